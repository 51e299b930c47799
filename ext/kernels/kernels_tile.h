/*
** kernels_tile.h -- the fast matrix product, written once for every vector unit. Included by
** kernels_avx512.c, kernels_avx2.c, kernels_neon.c and kernels_wasm*.c, which define
**
**   TARGET              the function attribute that allows the instructions, or nothing
**   LINEAR              the name of the function made here
**   vec, WIDTH          the vector type and its number of floats
**   vec_zero(), vec_all(float), vec_load(const float *), vec_store(float *, vec)
**   vec_half(const uint16_t *)  converts WIDTH binary16 numbers
**   vec_fma(a, b, c)    a*b + c, rounded once
**   VECS_1, VECS_2, VECS_4      vectors side by side in a tile of 1, of 2 or 3, and of 4 to 6 rows:
**                       as many sums as registers can hold. VECS_4*WIDTH divides LINEAR_PANEL
**   DIRECT_ROWS_WIDE    what DIRECT_ROWS is for matrices of WIDE columns and more
**   DIRECT_ROWS         may be left out: 64
**
** A tile is R rows by V vectors of the result. It is held in registers while k runs over the inner
** dimension, once, upwards:
**
**                   w[k]   [ w0 | w1 | ... ]        V vectors
**     x[i][k]       [ ]    [  sums of row i   ]     sums[i][v] = fma(x[i][k], w[v], sums[i][v])
**
** So every number of the result is the one chain of fmaf() that linear_plain() defines, whatever
** R, V and WIDTH are: how rows and columns are grouped cannot change a bit. There are two ways to
** the tiles:
**
** 1. Up to DIRECT_ROWS rows: tiles read the weights where they lie, and convert them on the way.
**    The speed of one row is limited by the bandwidth of the cache or memory that the weights come
**    from. Hence wide tiles (512 bytes of a row of w with AVX-512), and a prefetch AHEAD rows down,
**    since the hardware does not follow such long strides. (More than 4 rows down cost a fifth at a
**    stride of 16 KB, where all lines fall into the same few sets of the cache. Walking whole rows
**    of w with the sums in memory was a quarter slower.) With float weights all rows pass over a
**    strip of columns before the next.
** 2. More rows: a panel of LINEAR_PANEL columns is converted once into scratch, where it is
**    contiguous and stays in the second-level cache. All rows pass over it. This pays only for many
**    rows, because conversion and multiplication use different ports of the CPU. It pays sooner for
**    the output layer: its strides keep the tiles from staying in the cache from one group of rows
**    to the next. There, 64 rows by [256, 8192] went from 83 to 120 GFLOP/s with AVX2. With AVX-512
**    the product alone gained nothing, but decoding in batches gained 4%.
**
** Measured in GFLOP/s (AMD EPYC Zen 5, one core, peak 272 with AVX-512, 135 with AVX2;
** tests/bench_kernels.c, [256, 1408], weights from the last-level cache):
**     rows                             1     4    64   256  1024
**     OpenBLAS as Haswell, float      26    29   107   124   126
**     OpenBLAS as SkylakeX, float     25    31   171   226   240
**     this, AVX2, binary16            76   107   116   130   132
**     this, AVX-512, binary16        111   247   243   245   262
** One row of AVX-512 is 111 GB/s of weights: a loop that only reads them reaches no more.
**
** R and V are constants wherever tile() is inlined. UNROLL makes the arrays of sums into registers.
*/
#include "kernels_inline.h"
#include <string.h>

#ifndef DIRECT_ROWS
# define DIRECT_ROWS 64
#endif
enum {
  TILE_ROWS = 6,        /* 6 x 4 sums, 4 weights, 1 broadcast: 29 of 32 registers; 6 x 2: 15 */
  WIDE = 4096,          /* columns */
  AHEAD = 4,
  PANEL_AHEAD = 24,     /* into the second-level cache, which has room for them */
  CACHE_LINE = 64
};

/* y[R, n] = x[R, in] . w[in, n], with n = V*WIDTH or less (then w is padded). Rows of y are `out`
** numbers apart, those of w `stride` numbers: binary16 or float. */
INLINE TARGET void tile(float *y, int out, const float *x, int in, const void *w, int stride, int n,
                        const int half, const int ahead, const int R, const int V){
  const size_t number = half ? sizeof(uint16_t) : sizeof(float);
  const size_t step = number*(size_t)stride;
  const char *row = w;
  vec sums[TILE_ROWS][16], wk[16];
  UNROLL for(int i=0; i<R; i++){
    UNROLL for(int v=0; v<V; v++) sums[i][v] = vec_zero();
  }
  for(int k=0; k<in; k++, row+=step){
    if( ahead ){
      const char *next = row + (size_t)ahead*step;
      UNROLL for(int v=0; v<V; v++){
        size_t at = v*WIDTH*number;
        if( at%CACHE_LINE==0 ) __builtin_prefetch(next + at);
      }
    }
    UNROLL for(int v=0; v<V; v++){
      const char *at = row + v*WIDTH*number;
      wk[v] = half ? vec_half((const uint16_t *)at) : vec_load((const float *)at);
    }
    UNROLL for(int i=0; i<R; i++){
      vec xi = vec_all(x[(size_t)i*in+k]);
      UNROLL for(int v=0; v<V; v++) sums[i][v] = vec_fma(xi, wk[v], sums[i][v]);
    }
  }
  UNROLL for(int i=0; i<R; i++){
    float line[16*WIDTH];
    float *to = n==V*WIDTH ? y + (size_t)i*out : line;
    UNROLL for(int v=0; v<V; v++) vec_store(to + v*WIDTH, sums[i][v]);
    if( n<V*WIDTH ) memcpy(y + (size_t)i*out, line, sizeof(float)*(size_t)n);
  }
}

/* ---- Few rows: straight from the weights ---- */

/* Columns from `at` to end-1, as far as whole tiles of V vectors fit. Returns the first column that
** is left. */
INLINE TARGET int direct_tiles(float *y, const float *x, const struct matrix *w, int at, int end,
                               const int R, const int V){
  for(; at+V*WIDTH<=end; at+=V*WIDTH){
    if( w->half ){
      tile(y+at, w->out, x, w->in, w->half+at, w->out, V*WIDTH, 1, AHEAD, R, V);
    }else{
      tile(y+at, w->out, x, w->in, w->full+at, w->out, V*WIDTH, 0, AHEAD, R, V);
    }
  }
  return at;
}

/* Wide tiles first, narrower ones for what they leave. Always ends at the last multiple of
** VECS_4*WIDTH, and returns that. */
static TARGET int direct(float *y, const float *x, const struct matrix *w, int rows){
  int at = 0;
  switch( rows ){
    case 1:
      at = direct_tiles(y, x, w, at, w->out, 1, VECS_1);
      at = direct_tiles(y, x, w, at, w->out, 1, VECS_2);
      return direct_tiles(y, x, w, at, w->out, 1, VECS_4);
    case 2:
      at = direct_tiles(y, x, w, at, w->out, 2, VECS_2);
      return direct_tiles(y, x, w, at, w->out, 2, VECS_4);
    case 3: return direct_tiles(y, x, w, at, w->out, 3, VECS_4);
    case 4: return direct_tiles(y, x, w, at, w->out, 4, VECS_4);
    case 5: return direct_tiles(y, x, w, at, w->out, 5, VECS_4);
    default: return direct_tiles(y, x, w, at, w->out, TILE_ROWS, VECS_4);
  }
}

/* The same for more rows of floats, in groups of at most TILE_ROWS. All groups pass over a strip of
** columns, which stays in the second-level cache, before the next strip: weights of 40 MB were read
** from memory once a group. (16 and 64 rows of all-MiniLM-L6-v2: 12.8 -> 7.2 and 54 -> 43 ms.
** Matrices of binary16 gained nothing in bench_kernels.c.) */
static TARGET int direct_groups(float *y, const float *x, const struct matrix *w, int rows,
                                int group){
  enum { STRIP = VECS_4*WIDTH };
  int at = 0;
  if( rows<=group ) return direct(y, x, w, rows);
  for(; at+STRIP<=w->out; at+=STRIP){
    for(int i=0; i<rows; i+=group){
      float *to = y + (size_t)i*w->out;
      const float *from = x + (size_t)i*w->in;
      switch( rows-i<group ? rows-i : group ){
        case 1: direct_tiles(to, from, w, at, at + STRIP, 1, VECS_4); break;
        case 2: direct_tiles(to, from, w, at, at + STRIP, 2, VECS_4); break;
        case 3: direct_tiles(to, from, w, at, at + STRIP, 3, VECS_4); break;
        case 4: direct_tiles(to, from, w, at, at + STRIP, 4, VECS_4); break;
        case 5: direct_tiles(to, from, w, at, at + STRIP, 5, VECS_4); break;
        default: direct_tiles(to, from, w, at, at + STRIP, TILE_ROWS, VECS_4); break;
      }
    }
  }
  return at;
}

/* ---- More rows, and the last columns: through a panel ---- */

/* panel[in, LINEAR_PANEL] = n columns of w from `at` on, as floats; zeros behind them. */
static TARGET void panel_fill(float *panel, const struct matrix *w, int at, int n){
  for(int k=0; k<w->in; k++, panel+=LINEAR_PANEL){
    const size_t start = (size_t)k*w->out + at;
    if( w->half ){
      const uint16_t *from = w->half + start;
      const uint16_t *ahead = from + (size_t)PANEL_AHEAD*w->out;
      uint16_t line[LINEAR_PANEL];
      if( n<LINEAR_PANEL ){
        memset(line, 0, sizeof(line));
        from = memcpy(line, from, sizeof(uint16_t)*(size_t)n);
      }
      __builtin_prefetch(ahead, 0, 2);
      __builtin_prefetch(ahead + LINEAR_PANEL/2, 0, 2);
      UNROLL for(int j=0; j<LINEAR_PANEL; j+=WIDTH) vec_store(panel+j, vec_half(from+j));
    }else{
      memcpy(panel, w->full + start, sizeof(float)*(size_t)n);
      memset(panel+n, 0, sizeof(float)*(size_t)(LINEAR_PANEL-n));
    }
  }
}

/* Up to TILE_ROWS rows by n columns of a panel, V vectors or less. */
INLINE TARGET void panel_tile(float *y, int out, const float *x, int in, const float *panel, int n,
                              int rows, const int V){
  switch( rows ){
    case 1: tile(y, out, x, in, panel, LINEAR_PANEL, n, 0, 0, 1, V); break;
    case 2: tile(y, out, x, in, panel, LINEAR_PANEL, n, 0, 0, 2, V); break;
    case 3: tile(y, out, x, in, panel, LINEAR_PANEL, n, 0, 0, 3, V); break;
    case 4: tile(y, out, x, in, panel, LINEAR_PANEL, n, 0, 0, 4, V); break;
    case 5: tile(y, out, x, in, panel, LINEAR_PANEL, n, 0, 0, 5, V); break;
    default: tile(y, out, x, in, panel, LINEAR_PANEL, n, 0, 0, TILE_ROWS, V); break;
  }
}

/* Up to TILE_ROWS rows over a panel of n columns. Where half a tile or less is left at the end,
** half a tile does: that is so for matrices of 32 and 160 columns, in pictures. (AVX-512: 1,000 ->
** 1,230 pictures encoded a second.) */
static TARGET void panel_rows(float *y, int out, const float *x, int in, const float *panel, int n,
                              int rows){
  for(int j=0; j<n; j+=VECS_4*WIDTH){
    int left = n-j<VECS_4*WIDTH ? n-j : VECS_4*WIDTH;
    if( left>VECS_4*WIDTH/2 ) panel_tile(y+j, out, x, in, panel+j, left, rows, VECS_4);
    else panel_tile(y+j, out, x, in, panel+j, left, rows, VECS_4/2);
  }
}

TARGET void LINEAR(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  const int tiles = (rows + TILE_ROWS - 1)/TILE_ROWS;
  const int group = tiles ? (rows + tiles - 1)/tiles : 1;       /* 8 rows are 4 + 4, not 6 + 2 */
  int at = 0;
  if( rows<=(w->out<WIDE ? DIRECT_ROWS : DIRECT_ROWS_WIDE) ){
    if( w->full ) at = direct_groups(y, x, w, rows, group);
    for(int i=0; w->half && i<rows; i+=group){
      int n_rows = rows-i<group ? rows-i : group;
      at = direct(y + (size_t)i*w->out, x + (size_t)i*w->in, w, n_rows);
    }
  }
  for(; at<w->out; at+=LINEAR_PANEL){
    int n = w->out-at<LINEAR_PANEL ? w->out-at : LINEAR_PANEL;
    panel_fill(scratch, w, at, n);
    for(int i=0; i<rows; i+=group){
      int n_rows = rows-i<group ? rows-i : group;
      float *to = y + (size_t)i*w->out + at;
      panel_rows(to, w->out, x + (size_t)i*w->in, w->in, scratch, n, n_rows);
    }
  }
}
