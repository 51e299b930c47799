/*
** kernels_bytes.c -- matrix products of 8 bits: y[i][j] = (sum over k of q[i][k]*w[k][j]) * scales.
**
** Rows of x are quantized when they come (quantize()), columns of w when the weights are made
** (matrix_quantize()). The sum is of whole numbers and exact: at most 127*127*131072 < 2^31. It is
** the same in any order, so that every CPU gives the same bits by itself.
**
** w is laid out in panels of 16 columns. A panel has, for each four k, four bytes of each column:
**
**     bytes[panel][k/4][column%16][k%4]
**
** One cache line is thus what one step of a tile needs. Rows and columns are filled up with zeros.
**
** AVX2 multiplies bytes without a sign by bytes with a sign, and adds two neighbours into 16 bits.
** 127*127*2 fits into these; 255*127*2 does not. So |q| is multiplied by w with the sign of q.
** AVX-512 CPUs run the same code: what VNNI would give has not been measured here.
*/
#include "kernels.h"
#include <assert.h>
#include <math.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

/* ---- To bytes ---- */

/* The nearest whole number, ties to even. Adding 1.5*2^23 leaves no bits for fractions. */
static inline int8_t nearest(float x){
  float sum = x + 12582912.0f;
  int32_t bits;
  memcpy(&bits, &sum, sizeof(bits));
  return (int8_t)bits;
}

static size_t byte_place(int in, int k, int column){
  size_t panel = (size_t)(column/BYTES_PANEL)*BYTES_IN(in)*BYTES_PANEL;
  size_t step = (size_t)(k/BYTES_TOGETHER)*BYTES_TOGETHER*BYTES_PANEL;
  return panel + step + (size_t)(column%BYTES_PANEL)*BYTES_TOGETHER + k%BYTES_TOGETHER;
}

void matrix_quantize(int8_t *bytes, float *scale, const float *w, int in, int out){
  memset(bytes, 0, MATRIX_BYTES(in, out));
  for(int j=0; j<out; j++){
    float most = 0.0f;
    float up;
    for(int k=0; k<in; k++) most = fmaxf(most, fabsf(w[(size_t)k*out + j]));
    up = bytes_up(most);
    scale[j] = most/BYTE_MOST;
    for(int k=0; k<in; k++) bytes[byte_place(in, k, j)] = nearest(w[(size_t)k*out + j]*up);
  }
}

/* ---- Products ---- */

void linear_bytes_plain(float *y, const float *x, const struct matrix *w, int rows){
  for(int i=0; i<rows; i++, x+=w->in, y+=w->out){
    float most = 0.0f;
    float up;
    for(int k=0; k<w->in; k++) most = fmaxf(most, fabsf(x[k]));
    up = bytes_up(most);
    for(int j=0; j<w->out; j++){
      int32_t sum = 0;
      for(int k=0; k<w->in; k++) sum += nearest(x[k]*up)*w->bytes[byte_place(w->in, k, j)];
      y[j] = (float)sum*(most/BYTE_MOST)*w->scale[j];
    }
  }
}

void bytes_plain(float *y, const struct byte_rows *x, const struct matrix *w){
  for(int i=0; i<x->rows; i++){
    const int8_t *q = x->q + (size_t)i*(size_t)x->in;
    for(int j=0; j<w->out; j++){
      int32_t sum = 0;
      for(int k=0; k<w->in; k++) sum += q[k]*w->bytes[byte_place(w->in, k, j)];
      y[(size_t)i*w->out + j] = (float)sum*x->scale[i]*w->scale[j];
    }
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
#define TARGET __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
# define UNROLL _Pragma("clang loop unroll(full)")
#else
# define UNROLL _Pragma("GCC unroll 8")
#endif
enum { TILE_ROWS = 4 };               /* 4 x 2 sums, 2 of w, 2 of x, 2 products, ones */

INLINE TARGET __m256i four_bytes(const void *p){
  int32_t four;
  memcpy(&four, p, sizeof(four));
  return _mm256_set1_epi32(four);
}

/* y[R, n] = R rows by a panel, of which n columns are there. */
INLINE TARGET void bytes_tile(float *y, const struct byte_rows *x, int row, const int8_t *panel,
                              const float *scale, int out, int n, const int R){
  const __m256i ones = _mm256_set1_epi16(1);
  const size_t in = (size_t)x->in;
  const int8_t *q = x->q + (size_t)row*in;
  const uint8_t *size = x->size + (size_t)row*in;
  __m256i sums[TILE_ROWS][2];
  UNROLL for(int i=0; i<R; i++) sums[i][0] = sums[i][1] = _mm256_setzero_si256();
  for(size_t k=0; k<in; k+=BYTES_TOGETHER, panel+=BYTES_TOGETHER*BYTES_PANEL){
    __m256i w0 = _mm256_loadu_si256((const __m256i *)panel);
    __m256i w1 = _mm256_loadu_si256((const __m256i *)(panel + 32));
    UNROLL for(int i=0; i<R; i++){
      __m256i signs = four_bytes(q + i*in + k);
      __m256i sizes = four_bytes(size + i*in + k);
      __m256i a = _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(w0, signs));
      __m256i b = _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(w1, signs));
      sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(a, ones));
      sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(b, ones));
    }
  }
  UNROLL for(int i=0; i<R; i++){
    float line[BYTES_PANEL];
    UNROLL for(int half=0; half<2; half++){
      __m256 sum = _mm256_cvtepi32_ps(sums[i][half]);
      _mm256_storeu_ps(line + half*8, _mm256_mul_ps(sum, _mm256_set1_ps(x->scale[row+i])));
    }
    for(int j=0; j<n; j++) y[(size_t)(row + i)*out + j] = line[j]*scale[j];
  }
}

TARGET void bytes_avx2(float *y, const struct byte_rows *x, const struct matrix *w){
  for(int at=0; at<w->out; at+=BYTES_PANEL){
    const int8_t *panel = w->bytes + (size_t)at*(size_t)x->in;
    const float *scale = w->scale + at;
    int n = w->out - at<BYTES_PANEL ? w->out - at : BYTES_PANEL;
    int i = 0;
    for(; i+TILE_ROWS<=x->rows; i+=TILE_ROWS){
      bytes_tile(y + at, x, i, panel, scale, w->out, n, TILE_ROWS);
    }
    for(; i<x->rows; i++) bytes_tile(y + at, x, i, panel, scale, w->out, n, 1);
  }
}
#endif

/* A block of rows: quantized into scratch, then multiplied. */
static void run_block(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  size_t in = BYTES_IN(w->in);
  struct byte_rows b = { .rows = rows, .in = (int)in, .q = (int8_t *)scratch };
  b.size = (uint8_t *)scratch + BYTE_ROWS*in;
  for(int i=0; i<rows; i++){
    int8_t *q = b.q + (size_t)i*in;
    uint8_t *size = b.size + (size_t)i*in;
    b.scale[i] = lanes_chosen()->quantize(q, size, x + (size_t)i*w->in, w->in);
    for(size_t k=(size_t)w->in; k<in; k++) q[k] = 0;
    for(size_t k=(size_t)w->in; k<in; k++) size[k] = 0;
  }
  bytes_chosen()(y, &b, w);
}

_Static_assert(2*BYTE_ROWS*BYTES_TOGETHER<=LINEAR_PANEL*(int)sizeof(float),
               "the scratch of linear() has room for a block");

void linear_bytes(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  for(int i=0; i<rows; i+=BYTE_ROWS){
    int n = rows - i<BYTE_ROWS ? rows - i : BYTE_ROWS;
    run_block(y + (size_t)i*w->out, x + (size_t)i*w->in, w, n, scratch);
  }
}
