/*
** kernels_linear.c -- matrix products: what they are (linear_plain), and which code computes them, and everything else, on this CPU.
**
** The choice is made at the first product, from the CPU alone, never from the environment. It is one pointer, read and written
** atomically; threads that race to choose find the same.
*/
#include "base.h"
#include "kernels.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

void linear_plain(float *y, const float *x, const struct matrix *w, int rows){
  int i, j, k;
  for(i=0; i<rows; i++){
    for(j=0; j<w->out; j++){
      float sum = 0.0f;
      for(k=0; k<w->in; k++){
        size_t at = (size_t)k*w->out + j;
        sum = fmaf(x[(size_t)i*w->in+k], w->half ? half_to_float(w->half[at]) : w->full[at], sum);
      }
      y[(size_t)i*w->out+j] = sum;
    }
  }
}

/* ---- The choice ---- */

static void plain(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  (void)scratch;
  linear_plain(y, x, w, rows);
}
static int always(void){
  return 1;
}

struct code {
  const char *name;
  int (*usable)(void);                  /* on this CPU */
  void (*linear)(float *y, const float *x, const struct matrix *w, int rows, float *scratch);
  const struct lanes_table *lanes;
};
static const struct code codes[] = {    /* best first */
#if defined(__x86_64__)
  { "avx512", linear_avx512_usable, linear_avx512, &lanes_avx512 },
  { "avx2", linear_avx2_usable, linear_avx2, &lanes_avx2 },
#elif defined(__aarch64__)
  { "neon", linear_neon_usable, linear_neon, &lanes_plain },
#endif
  { "openblas", linear_openblas_usable, linear_openblas, &lanes_plain },
  { "plain", always, plain, &lanes_plain },
};
static _Atomic(const struct code *) chosen;     /* NULL until the first product */

int linear_choose(const char *name){
  size_t i;
  for(i=0; i<sizeof(codes)/sizeof(codes[0]); i++){
    if( (name==NULL || strcmp(name, codes[i].name)==0) && codes[i].usable() ){
      atomic_store(&chosen, &codes[i]);
      return 1;
    }
  }
  return 0;
}

static const struct code *code(void){
  const struct code *c = atomic_load_explicit(&chosen, memory_order_acquire);
  if( c==NULL ){
    linear_choose(NULL);
    c = atomic_load(&chosen);
  }
  return c;
}

const char *linear_kernel(void){
  return code()->name;
}

void linear(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  code()->linear(y, x, w, rows, scratch);
}

const struct lanes_table *lanes_chosen(void){
  return code()->lanes;
}
