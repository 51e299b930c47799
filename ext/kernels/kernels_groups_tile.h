/*
** kernels_groups_tile.h -- the fast product of matrices in groups, written once for every vector
** unit. Included by kernels_groups_*.c, which define
**
**   TARGET        the function attribute that allows the instructions, or nothing
**   GROUPS_CODE   the name of the function made here
**   WIDTH         numbers of 32 bits in a vector: 4, 8 or 16
**   ROWS_4, ROWS_8  rows of a tile with 4 and with 8 bits, at most 12: as many sums as registers
**                 can hold
**   small         a type: the sums of a group of 4 bits. They need no more than 16 bits: two
**                 products of a step, and 8 steps, are 2*8*15*127 = 30480 at most
**   vec_small_add(sum, w, four)  sum, with four products of bytes added to each column; w is 0..15
**   vec_small_sums(sum)          the same as ints
**   vec_start(r)                 what sums of 8 bits start with, for a struct row_group
**   vec_add(sum, w, four)        sum, with four products of bytes added to each column
**   vec_halves(const uint8_t *)  WIDTH binary16 numbers as floats
**   vec_fma(a, b, c)             a*b + c, rounded once
**
** A tile is R rows by a panel of 16 columns. The whole numbers of a group are summed in registers,
** then added to `line`, which is in memory:
**
**                     w        [ w0 | w1 | ... ]      16 columns of four bytes
**     four of row i   [four]   [ sums of row i ]      sums[i][v] += the four products of a column
**
** One row is limited by the memory that w comes from; w is laid out as it is read. With more rows,
** w is unpacked once for R of them, and the first R fetch the next panel into the cache: 2 to 4
** rows gain a tenth of it.
**
** Measured in GMAC/s (AMD EPYC Zen 3, AVX2, one core of a busy machine, gcc 12 -O2;
** tests/bench_groups.c, the products of a layer, weights from memory, which a loop that does
** nothing else reads at 13 GB/s; in brackets from the last-level cache):
**     rows                1        2     4        8       16      60
**     4 bits        22 [58]       44    60  71 [83]  72 [82]      79
**     8 bits        14 [45]       26    46  48 [58]  51 [58]      53
** This CPU begins one vpmaddubsw in a cycle: 103 GMAC/s with 4 bits. With 8 bits, where it needs a
** sign and a second instruction, a loop on registers reaches 74; with two vpmaddwd of 16 bits, 52.
**
** R and `bits` are constants wherever tile() is inlined. UNROLL makes the arrays of sums into
** registers. Only the macros need intrinsics, so that a test can run a unit that its machine does
** not have.
*/
#include "kernels_inline.h"
#include <string.h>

enum { VECS = GROUP_COLUMNS/WIDTH, TILE_ROWS = 12, VEC_BYTES = 4*WIDTH };

typedef int32_t ints __attribute__((vector_size(4*WIDTH), aligned(1), may_alias));
typedef float floats __attribute__((vector_size(4*WIDTH), aligned(1), may_alias));

/* The next four bytes of a row, or a float, in every place. A sum of floats with 0 would be an
** addition: it makes -0 into 0. */
INLINE TARGET ints everywhere(const void *four_bytes){
  int32_t four;
  memcpy(&four, four_bytes, sizeof(four));
  return (ints){ 0 } + four;
}

/* The sums of a group of 4 bits: of R rows, whose q are `row` bytes apart. */
INLINE TARGET void sums_4(ints sums[TILE_ROWS][VECS], const uint8_t *w, const int8_t *q, size_t row,
                          const int R){
  small s[TILE_ROWS][VECS];
  UNROLL for(int i=0; i<R; i++){
    UNROLL for(int v=0; v<VECS; v++) s[i][v] = (small){ 0 };
  }
  for(int k=0; k<GROUP; k+=8, w+=VECS*VEC_BYTES){
    ints two[VECS];
    UNROLL for(int v=0; v<VECS; v++) two[v] = *(const ints *)(w + v*VEC_BYTES);
    UNROLL for(int i=0; i<R; i++){
      ints four = everywhere(q + (size_t)i*row + k);
      UNROLL for(int v=0; v<VECS; v++){
        s[i][v] = vec_small_add(s[i][v], two[v] & 0x0f0f0f0f, four);
      }
    }
    UNROLL for(int i=0; i<R; i++){
      ints four = everywhere(q + (size_t)i*row + k + 4);
      UNROLL for(int v=0; v<VECS; v++){
        s[i][v] = vec_small_add(s[i][v], two[v] >> 4 & 0x0f0f0f0f, four);
      }
    }
  }
  UNROLL for(int i=0; i<R; i++){
    UNROLL for(int v=0; v<VECS; v++) sums[i][v] = vec_small_sums(s[i][v]);
  }
}

INLINE TARGET void sums_8(ints sums[TILE_ROWS][VECS], const uint8_t *w, const int8_t *q, size_t row,
                          const struct row_group *of, const int R){
  UNROLL for(int i=0; i<R; i++){
    UNROLL for(int v=0; v<VECS; v++) sums[i][v] = vec_start(&of[(size_t)i*row/GROUP]);
  }
  for(int k=0; k<GROUP; k+=4, w+=VECS*VEC_BYTES){
    ints bytes[VECS];
    UNROLL for(int v=0; v<VECS; v++) bytes[v] = *(const ints *)(w + v*VEC_BYTES);
    UNROLL for(int i=0; i<R; i++){
      ints four = everywhere(q + (size_t)i*row + k);
      UNROLL for(int v=0; v<VECS; v++) sums[i][v] = vec_add(sums[i][v], bytes[v], four);
    }
  }
}

/* Asks for n bytes. */
INLINE void fetch(const uint8_t *from, size_t n){
  for(size_t at=0; at<n; at+=64) __builtin_prefetch(from + at);
}

/* y[R, n] = R rows by a panel, of which n columns are there. Rows of y are `out` numbers apart. */
INLINE TARGET void tile(float *y, int out, const struct group_rows *x, int row,
                        const uint8_t *panel, int n, const int bits, const int R){
  const size_t groups = (size_t)x->groups;
  const int8_t *q = x->q + (size_t)row*groups*GROUP;
  const struct row_group *of = x->of + (size_t)row*groups;
  floats line[TILE_ROWS][VECS];
  for(int i=0; i<R; i++){
    UNROLL for(int v=0; v<VECS; v++) line[i][v] = (floats){ 0 };
  }
  for(size_t g=0; g<groups; g++, panel+=GROUP_BYTES(bits), q+=GROUP, of++){
    const uint8_t *w = panel + GROUP_HEAD(bits);
    ints sums[TILE_ROWS][VECS];
    if( row==0 ) fetch(panel + groups*GROUP_BYTES(bits), GROUP_BYTES(bits));
    if( bits==4 ) sums_4(sums, w, q, groups*GROUP, R);
    else sums_8(sums, w, q, groups*GROUP, of, R);
    UNROLL for(int v=0; v<VECS; v++){
      floats d = vec_halves(panel + 2*WIDTH*v);
      UNROLL for(int i=0; i<R; i++){
        floats scale = d*of[(size_t)i*groups].scale;
        line[i][v] = vec_fma(scale, __builtin_convertvector(sums[i][v], floats), line[i][v]);
      }
      if( bits==4 ){
        floats m = vec_halves(panel + 2*GROUP_COLUMNS + 2*WIDTH*v);
        UNROLL for(int i=0; i<R; i++){
          line[i][v] = vec_fma(m, (floats)everywhere(&of[(size_t)i*groups].shift), line[i][v]);
        }
      }
    }
  }
  for(int i=0; i<R; i++) memcpy(y + (size_t)(row + i)*out, line[i], sizeof(float)*(size_t)n);
}

/* Up to ROWS_4 or ROWS_8 rows. The cases that a unit does not have are those of more rows: they
** compile to nothing. */
#define CASE(R) \
    case R: if( R<=(bits==4 ? ROWS_4 : ROWS_8) ) tile(y, out, x, row, panel, n, bits, R); break
INLINE TARGET void tile_rows(float *y, int out, const struct group_rows *x, int row, int rows,
                             const uint8_t *panel, int n, const int bits){
  switch( rows ){ EACH_TO_12(CASE) }
}

INLINE TARGET void panels(float *y, const struct group_rows *x, const struct matrix *w,
                          const int bits){
  const int most = bits==4 ? ROWS_4 : ROWS_8;
  const int tiles = (x->rows + most - 1)/most;
  const int each = tiles ? (x->rows + tiles - 1)/tiles : 1;     /* 6 rows are 3 + 3, not 5 + 1 */
  const uint8_t *panel = w->groups;
  for(int at=0; at<w->out; at+=GROUP_COLUMNS, panel+=PANEL_GROUPS(bits, w->in)){
    int n = w->out - at<GROUP_COLUMNS ? w->out - at : GROUP_COLUMNS;
    for(int i=0; i<x->rows; i+=each){
      int rows = x->rows - i<each ? x->rows - i : each;
      tile_rows(y + at, w->out, x, i, rows, panel, n, bits);
    }
  }
}

TARGET void GROUPS_CODE(float *y, const struct group_rows *x, const struct matrix *w){
  if( w->group_bits==4 ) panels(y, x, w, 4);
  else panels(y, x, w, 8);
}
