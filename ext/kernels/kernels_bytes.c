/*
** kernels_bytes.c -- matrix products of 8 bits: y[i][j] = (sum over k of q[i][k]*w[k][j]) * scales.
**
** Rows of x are quantized when they come, to whole numbers from -127 to 127, columns of w when the
** weights are made (matrix_quantize()), from -64 to 64. The sum is of whole numbers and exact. It
** is the same in any order, so that every CPU gives the same bits by itself.
**
** AVX2 multiplies bytes without a sign by bytes with a sign, and adds two neighbours into 16 bits.
** So rows are kept as u = q + 128, and a column starts at -128 times its sum. And so weights end at
** 64: 255*64*2 is the most that fits into 16 bits. Weights to 127, with the sign of q given to w in
** each step, were a third slower, and no better: all-MiniLM-L6-v2 on STS-B dev has 0.8672 in
** floats, 0.8658 with weights to 127, 0.8655 with weights to 64.
**
** w is laid out in panels of 16 columns. One cache line is what one step of a tile needs:
**
**     int32 start[16]                  -128 times the sum of each column
**     int8  bytes[in/4][16][4]         for each four k, four bytes of each column
**
** Rows and columns are filled up with zeros. Numbers of 32 bits are little-endian.
**
** kernels_bytes_tile.h is the product, for AVX2, for the two VNNI of x86-64 and for the two kinds
** of arm64. The instructions of the last three take 127 too. The ends are the same for all, so that
** the weights are.
*/
#include "kernels.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- To bytes ---- */

static size_t byte_place(int in, int k, int column){
  size_t panel = (size_t)(column/BYTES_PANEL)*PANEL_BYTES(in) + START_BYTES;
  size_t step = (size_t)(k/BYTES_TOGETHER)*BYTES_TOGETHER*BYTES_PANEL;
  return panel + step + (size_t)(column%BYTES_PANEL)*BYTES_TOGETHER + k%BYTES_TOGETHER;
}

/* Column j becomes the numbers of x that are `apart` apart. */
static void put_column(int8_t *bytes, float *scale, const float *x, size_t apart, int in, int j){
  int8_t *panel = bytes + (size_t)(j/BYTES_PANEL)*PANEL_BYTES(in);
  int8_t *to = bytes + byte_place(in, 0, j);
  float most = 0.0f;
  float up;
  int32_t sum = 0;

  for(size_t k=0; k<(size_t)in; k++){
    const float size = fabsf(x[k*apart]);
    most = size>most ? size : most;
  }
  up = bytes_up(most, BYTE_WEIGHT_MOST);
  scale[j] = most/BYTE_WEIGHT_MOST;
  for(size_t k=0; k<(size_t)in; k++){
    const int8_t q = nearest_byte(x[k*apart]*up);
    to[k/BYTES_TOGETHER*BYTES_TOGETHER*BYTES_PANEL + k%BYTES_TOGETHER] = q;
    sum -= BYTE_OFFSET*q;
  }
  memcpy(panel + j%BYTES_PANEL*sizeof(sum), &sum, sizeof(sum));
}

void matrix_put_column(int8_t *bytes, float *scale, const float *x, int in, int column){
  put_column(bytes, scale, x, 1, in, column);
}

void matrix_quantize(int8_t *bytes, float *scale, const float *w, int in, int out){
  memset(bytes, 0, MATRIX_BYTES(in, out));
  for(int j=0; j<out; j++) put_column(bytes, scale, w + j, (size_t)out, in, j);
}

/* ---- Products ---- */

void linear_bytes_plain(float *y, const float *x, const struct matrix *w, int rows){
  for(int i=0; i<rows; i++, x+=w->in, y+=w->out){
    float most = 0.0f;
    float up;
    for(int k=0; k<w->in; k++) most = fmaxf(most, fabsf(x[k]));
    up = bytes_up(most, BYTE_MOST);
    for(int j=0; j<w->out; j++){
      int32_t sum = 0;
      for(int k=0; k<w->in; k++) sum += nearest_byte(x[k]*up)*w->bytes[byte_place(w->in, k, j)];
      y[j] = (float)sum*(most/BYTE_MOST)*w->scale[j];
    }
  }
}

void bytes_plain(float *y, const struct byte_rows *x, const struct matrix *w){
  for(int i=0; i<x->rows; i++){
    const uint8_t *u = x->u + (size_t)i*(size_t)x->in;
    for(int j=0; j<w->out; j++){
      int32_t sum = 0;
      for(int k=0; k<w->in; k++) sum += (u[k] - BYTE_OFFSET)*w->bytes[byte_place(w->in, k, j)];
      y[(size_t)i*w->out + j] = (float)sum*x->scale[i]*w->scale[j];
    }
  }
}

/* A block of rows: quantized into scratch, then multiplied. */
static void run_block(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  size_t in = BYTES_IN(w->in);
  struct byte_rows b = { .rows = rows, .in = (int)in, .u = (uint8_t *)scratch };
  for(int i=0; i<rows; i++){
    uint8_t *u = b.u + (size_t)i*in;
    b.scale[i] = lanes_chosen()->quantize(u, x + (size_t)i*w->in, w->in);
    for(size_t k=(size_t)w->in; k<in; k++) u[k] = 0;    /* where w has zeros */
  }
  bytes_chosen()(y, &b, w);
}

_Static_assert(BYTE_ROWS*BYTES_TOGETHER<=LINEAR_PANEL*(int)sizeof(float),
               "the scratch of linear() has room for a block");

void linear_bytes(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  for(int i=0; i<rows; i+=BYTE_ROWS){
    int n = rows - i<BYTE_ROWS ? rows - i : BYTE_ROWS;
    run_block(y + (size_t)i*w->out, x + (size_t)i*w->in, w, n, scratch);
  }
}
