/*
** kernels_bytes_tile.h -- the fast product of bytes, written once for every vector unit. Included
** by kernels_bytes_*.c, which define
**
**   TARGET        the function attribute that allows the instructions, or nothing
**   BYTES         the name of the function made here
**   WIDTH         numbers of 32 bits in a vector: 4, 8 or 16
**   SIGNED_ROWS   whether the instruction takes rows with a sign: q itself, not q + 128
**   TILE_ROWS     rows of a tile, at most 12: as many sums as registers can hold
**   vec_products(sum, four, w)  sum, with four products of bytes added to each number
**
** A tile is R rows by a panel of 16 columns. It is held in registers while k runs over the inner
** dimension, four k at a step:
**
**                     w        [ w0 | w1 | ... ]      a cache line: 16 columns of four bytes
**     four of row i   [four]   [ sums of row i ]      sums[i][v] += the four products of a column
**
** R is a constant wherever tile() is inlined. UNROLL makes the array of sums into registers. Only
** vec_products() needs an intrinsic, so that a test can run a unit that its machine does not have.
*/
#include "kernels_inline.h"
#include <string.h>

enum { VECS = BYTES_PANEL/WIDTH };

typedef int32_t ints __attribute__((vector_size(4*WIDTH), aligned(4), may_alias));
typedef float floats __attribute__((vector_size(4*WIDTH), aligned(4), may_alias));

/* The next four bytes of a row, in every place. */
INLINE TARGET ints four_bytes(const uint8_t *u){
  int32_t four;
  memcpy(&four, u, sizeof(four));
  if( SIGNED_ROWS ) four ^= (int32_t)0x80808080;        /* u - 128 */
  return (ints){ 0 } + four;
}

/* y[n] = the sums of row i as numbers, for the n columns that are there. */
INLINE TARGET void finish_row(float *y, const ints *sums, float row_scale, const float *scale,
                              int n){
  float line[BYTES_PANEL];
  if( n==BYTES_PANEL ){
    UNROLL for(int v=0; v<VECS; v++){
      floats sum = __builtin_convertvector(sums[v], floats)*row_scale;
      *(floats *)(y + v*WIDTH) = sum*(*(const floats *)(scale + v*WIDTH));
    }
    return;
  }
  UNROLL for(int v=0; v<VECS; v++){
    *(floats *)(line + v*WIDTH) = __builtin_convertvector(sums[v], floats)*row_scale;
  }
  for(int j=0; j<n; j++) y[j] = line[j]*scale[j];
}

/* y[R, n] = R rows by a panel, of which n columns are there. Rows of y are `out` numbers apart. */
INLINE TARGET void tile(float *y, int out, const struct byte_rows *x, int row, const int8_t *panel,
                        const float *scale, int n, const int R){
  const ints *start = (const ints *)panel;
  const size_t in = (size_t)x->in;
  const uint8_t *u = x->u + (size_t)row*in;
  ints sums[TILE_ROWS][VECS], w[VECS];
  UNROLL for(int i=0; i<R; i++){
    UNROLL for(int v=0; v<VECS; v++) sums[i][v] = SIGNED_ROWS ? (ints){ 0 } : start[v];
  }
  panel += START_BYTES;
  for(size_t k=0; k<in; k+=BYTES_TOGETHER, panel+=BYTES_TOGETHER*BYTES_PANEL){
    UNROLL for(int v=0; v<VECS; v++) w[v] = ((const ints *)panel)[v];
    UNROLL for(int i=0; i<R; i++){
      ints four = four_bytes(u + (size_t)i*in + k);
      UNROLL for(int v=0; v<VECS; v++) sums[i][v] = vec_products(sums[i][v], four, w[v]);
    }
  }
  UNROLL for(int i=0; i<R; i++){
    finish_row(y + (size_t)(row + i)*out, sums[i], x->scale[row+i], scale, n);
  }
}

/* Up to TILE_ROWS rows. The cases that a unit does not have are those of more rows: they compile to
** nothing. */
#define CASE(R) case R: if( R<=TILE_ROWS ) tile(y, out, x, row, panel, scale, n, R); break
static TARGET void tile_rows(float *y, int out, const struct byte_rows *x, int row, int rows,
                             const int8_t *panel, const float *scale, int n){
  switch( rows ){ EACH_TO_12(CASE) }
}

TARGET void BYTES(float *y, const struct byte_rows *x, const struct matrix *w){
  const int8_t *panel = w->bytes;
  const int tiles = (x->rows + TILE_ROWS - 1)/TILE_ROWS;
  const int group = tiles ? (x->rows + tiles - 1)/tiles : 1;    /* 6 rows are 3 + 3, not 5 + 1 */
  for(int at=0; at<w->out; at+=BYTES_PANEL, panel+=PANEL_BYTES(w->in)){
    int n = w->out - at<BYTES_PANEL ? w->out - at : BYTES_PANEL;
    for(int i=0; i<x->rows; i+=group){
      int rows = x->rows - i<group ? x->rows - i : group;
      tile_rows(y + at, w->out, x, i, rows, panel, w->scale + at, n);
    }
  }
}
