/*
** kernels_choose.c -- which code computes products and vectors on this CPU. (kernels_bits.c
** chooses for itself: its codes need other instructions.)
**
** The choice is made at the first call, from the CPU alone, never from the environment. It is one
** pointer, read and written atomically. Threads that race to choose find the same.
*/
#include "kernels.h"
#include <stdatomic.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
# include <cpuid.h>
#endif

struct code {
  const char *name;
  int (*usable)(void);                  /* on this CPU */
  linear_code *linear;
  const struct lanes_table *lanes;
};

#if defined(__x86_64__) && defined(__GNUC__)
static int avx512_usable(void){
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f");
}

/* F16C has to be asked for by its bit: clang 14 does not know __builtin_cpu_supports("f16c"). */
static int avx2_usable(void){
  unsigned a, b, c, d;
  __builtin_cpu_init();
  if( !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ) return 0;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

static int always(void){
  return 1;
}

static void plain(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  (void)scratch;
  linear_plain(y, x, w, rows);
}

static const struct code codes[] = {    /* best first */
#if defined(__x86_64__) && defined(__GNUC__)
  { "avx512", avx512_usable, linear_avx512, &lanes_avx512 },
  { "avx2", avx2_usable, linear_avx2, &lanes_avx2 },
#elif defined(__aarch64__)
  { "neon", always, linear_neon, &lanes_plain },
#endif
  { "openblas", linear_openblas_usable, linear_openblas, &lanes_plain },
  { "plain", always, plain, &lanes_plain },
};
static _Atomic(const struct code *) chosen;     /* NULL until the first call */

int linear_choose(const char *name){
  for(size_t i=0; i<sizeof(codes)/sizeof(codes[0]); i++){
    if( name && strcmp(name, codes[i].name)!=0 ) continue;
    if( !codes[i].usable() ) continue;
    atomic_store(&chosen, &codes[i]);
    return 1;
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

linear_code *linear_chosen(void){
  return code()->linear;
}

const struct lanes_table *lanes_chosen(void){
  return code()->lanes;
}
