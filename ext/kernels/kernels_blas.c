/*
** kernels_blas.c -- matrix products through OpenBLAS, for CPUs without fused multiply-add: x86-64
** before 2013, and small ones since.
**
** The only file that knows <cblas.h>. Nothing links against the library. It is opened at the first
** product that needs it, so that nobody else pays for its start-up, threads and buffers. Built
** without the header, or run without the library, this code is simply not usable, and linear()
** takes the plain one. OpenBLAS adds in its own order: the last bits differ from those of
** linear_plain().
*/
#include "kernels.h"
#if defined(__has_include)
# if __has_include(<cblas.h>) && __has_include(<dlfcn.h>)
#  include <cblas.h>
#  include <dlfcn.h>
#  include <pthread.h>
#  define HAVE_CBLAS
# endif
#endif
#include <string.h>

#ifdef HAVE_CBLAS
static __typeof__(cblas_sgemm) *sgemm;  /* NULL without the library; fixed once it is `opened` */
static pthread_once_t opened = PTHREAD_ONCE_INIT;

/* Sets the library to one thread: callers bring their own. The setting belongs to the whole
** process, so it is only touched when nobody else in the process had the library open. The library
** stays open: the code of its threads must not be unmapped under them. */
static void open_library(void){
  void *found = dlopen("libopenblas.so.0", RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
  void *library = found ? found : dlopen("libopenblas.so.0", RTLD_LAZY | RTLD_LOCAL);
  void (*set_threads)(int);
  if( library==NULL ) return;
  *(void **)&sgemm = dlsym(library, "cblas_sgemm");
  *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
  if( found==NULL && set_threads ) set_threads(1);
}

int linear_openblas_usable(void){
  pthread_once(&opened, open_library);
  return sgemm!=NULL;
}

/* panel[in, LINEAR_PANEL] = columns [at, at+n) of the binary16 matrix w, as floats. A
** multiplication moves the exponent: that is right for subnormals too, and compilers vectorise it.
** Infinities and NaN become large numbers; weights have none. */
static void panel_fill(float *panel, const struct matrix *w, int at, int n){
  for(int k=0; k<w->in; k++, panel+=LINEAR_PANEL){
    const uint16_t *from = w->half + (size_t)k*w->out + at;
    for(int j=0; j<n; j++){
      uint32_t bits = (uint32_t)(from[j] & 0x8000) << 16 | (uint32_t)(from[j] & 0x7fff) << 13;
      float x;
      memcpy(&x, &bits, 4);
      panel[j] = x*0x1p112f;
    }
  }
}

/* y[rows, n] = x[rows, in] . w[in, n]; rows of y are `out` floats apart, those of w `stride`. */
static void multiply(float *y, int out, const float *x, int in, const float *w, int stride, int n,
                     int rows){
  sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, n, in,
        1.0f, x, in, w, stride, 0.0f, y, out);
}

void linear_openblas(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  if( w->half==NULL ){
    multiply(y, w->out, x, w->in, w->full, w->out, w->out, rows);
    return;
  }
  for(int at=0; at<w->out; at+=LINEAR_PANEL){
    int n = w->out-at<LINEAR_PANEL ? w->out-at : LINEAR_PANEL;
    panel_fill(scratch, w, at, n);
    multiply(y+at, w->out, x, w->in, scratch, LINEAR_PANEL, n, rows);
  }
}

#else
int linear_openblas_usable(void){
  return 0;
}

void linear_openblas(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  (void)scratch;
  linear_plain(y, x, w, rows);
}
#endif
