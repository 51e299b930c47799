/*
** kernels_linear.c -- matrix products: what they are. linear() gives the same bits as
** linear_plain(), with the code that is best on this CPU (kernels_choose.c).
*/
#include "base.h"
#include "kernels.h"
#include <assert.h>
#include <math.h>

void linear_plain(float *y, const float *x, const struct matrix *w, int rows){
  if( w->bytes ){
    linear_bytes_plain(y, x, w, rows);
    return;
  }
  if( w->groups ){
    linear_groups_plain(y, x, w, rows);
    return;
  }
  for(int i=0; i<rows; i++){
    for(int j=0; j<w->out; j++){
      float sum = 0.0f;
      for(int k=0; k<w->in; k++){
        size_t at = (size_t)k*w->out + j;
        float weight = w->half ? half_to_float(w->half[at]) : w->full[at];
        sum = fmaf(x[(size_t)i*w->in+k], weight, sum);
      }
      y[(size_t)i*w->out+j] = sum;
    }
  }
}

void linear(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  assert( w->half || w->full || w->bytes || w->groups );
  assert( rows>=0 && w->in>0 && w->out>0 );
  assert( (uintptr_t)scratch%64==0 );
  if( w->bytes ) linear_bytes(y, x, w, rows, scratch);
  else if( w->groups ) linear_groups(y, x, w, rows, scratch);
  else linear_chosen()(y, x, w, rows, scratch);
}
