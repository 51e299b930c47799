/*
** kernels_linear.c -- matrix products: what they are, and which code computes them on this CPU.
*/
#include "kernels.h"
#include <math.h>
#include <string.h>

/* Exact, subnormals, infinities and NaN included. The twin of base.h's half_to_float, here so that kernels stand alone. */
static float half(uint16_t h){
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff, bits;
  float x;
  if( rest<0x400 ){                     /* zero or subnormal: a multiple of 2^-24 */
    x = (float)rest*0x1p-24f;
    memcpy(&bits, &x, 4);
    bits |= sign;
  }else{
    bits = sign | ((rest << 13) + (rest<0x7c00 ? 0x38000000u : 0x70000000u));
  }
  memcpy(&x, &bits, 4);
  return x;
}

void linear_plain(float *y, const float *x, const struct matrix *w, int rows){
  int i, j, k;
  for(i=0; i<rows; i++){
    for(j=0; j<w->out; j++){
      float sum = 0.0f;
      for(k=0; k<w->in; k++){
        size_t at = (size_t)k*w->out + j;
        sum = fmaf(x[(size_t)i*w->in+k], w->half ? half(w->half[at]) : w->full[at], sum);
      }
      y[(size_t)i*w->out+j] = sum;
    }
  }
}

void linear(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  (void)scratch;
  linear_plain(y, x, w, rows);
}

const char *linear_kernel(void){
  return "plain";
}

int linear_choose(const char *name){
  return name==NULL || strcmp(name, "plain")==0;
}
