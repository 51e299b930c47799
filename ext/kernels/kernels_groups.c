/*
** kernels_groups.c -- matrix products of 4 or 8 bits in groups, for weights that a language model
** has them in: GGUF's Q4_1 and Q8_0, of which nothing is lost.
**
** 32 neighbouring inputs of one column are a group. They share a scale d, and with 4 bits a least
** number m, both binary16:
**
**     4 bits    w = d*q + m, q from 0 to 15
**     8 bits    w = d*q,     q from -127 to 127
**
** A row of x is quantized by groups too, with scale = max |x|/127. The product is this chain:
**
**     y = 0
**     for each group:  y = fma(d*scale, sum of x's q times w's q, y)
**       with 4 bits:   y = fma(m, sum of x's q times scale, y)
**
** The sums are of whole numbers, and the chain goes down one column: it does not depend on which
** columns lie beside each other in a vector. So every CPU gives the same bits by itself. A group of
** x with NaN or an infinity makes the whole row NaN.
**
** w is laid out as it is read, in panels of 16 columns. Of each group of a panel there are
**
**     half  d[16]
**     half  m[16]              only with 4 bits
**     uint8 numbers[4][16][4]  4 bits: of the 8 steps of four inputs, two share the bytes. Inputs
**                              8 i and on are the low halves of numbers[i], 8 i + 4 the high ones
**     int8  numbers[8][16][4]  8 bits: for each four inputs, four bytes of each column
**
** Inputs are filled up to groups and columns to panels, with zeros. Halves are little-endian.
*/
#include "base.h"
#include "kernels.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- Numbers of a matrix ---- */

enum { STEP_BYTES = 4*GROUP_COLUMNS };          /* four bytes of each column */

static float half_at(const uint8_t *at, int i){
  uint16_t half;
  memcpy(&half, at + 2*i, sizeof(half));
  return half_to_float(half);
}

/* The group g of the panel that a column is in. */
static const uint8_t *group_at(const struct matrix *w, int g, int column){
  size_t panel = (size_t)(column/GROUP_COLUMNS)*PANEL_GROUPS(w->group_bits, w->in);
  return w->groups + panel + (size_t)g*GROUP_BYTES(w->group_bits);
}

/* q[GROUP] = the whole numbers of a column of the panel. */
static void group_numbers(int8_t *q, const uint8_t *group, int bits, int column){
  const uint8_t *numbers = group + GROUP_HEAD(bits) + 4*column;
  for(int i=0; i<GROUP; i++){
    int step = i/4;
    if( bits==8 ){
      q[i] = (int8_t)numbers[step*STEP_BYTES + i%4];
    }else{
      uint8_t two = numbers[step/2*STEP_BYTES + i%4];
      q[i] = (int8_t)(step%2 ? two >> 4 : two & 15);
    }
  }
}

void groups_column(float *y, const struct matrix *w, int column){
  const int at = column%GROUP_COLUMNS;
  int8_t q[GROUP];
  assert( w->groups && column>=0 && column<w->out );
  for(int k=0; k<w->in; k++){
    const uint8_t *group = group_at(w, k/GROUP, column);
    if( k%GROUP==0 ) group_numbers(q, group, w->group_bits, at);
    y[k] = half_at(group, at)*(float)q[k%GROUP];
    if( w->group_bits==4 ) y[k] += half_at(group + 2*GROUP_COLUMNS, at);
  }
}

/* ---- Products ---- */

/* q[GROUP] of x[n], n at most GROUP. */
static void row_group(int8_t *q, struct row_group *r, const float *x, int n){
  float most = 0.0f;
  float up;
  *r = (struct row_group){ 0 };
  for(int i=0; i<n; i++){
    float size = fabsf(x[i]);
    if( !(size<=most) ) most = size;                    /* NaN stays: nothing is larger */
    if( isnan(most) ) break;
  }
  up = bytes_up(most, BYTE_MOST);
  for(int i=0; i<GROUP; i++){
    q[i] = i<n && up>0 ? nearest_byte(x[i]*up) : 0;
    r->sum += q[i];
  }
  r->scale = most/BYTE_MOST;
  r->shift = r->scale*(float)r->sum;
}

/* y[out] goes on with group g. */
static void add_group(float *y, const int8_t *x, const struct row_group *r, const struct matrix *w,
                      int g){
  int8_t q[GROUP];
  for(int j=0; j<w->out; j++){
    const uint8_t *group = group_at(w, g, j);
    int32_t sum = 0;
    group_numbers(q, group, w->group_bits, j%GROUP_COLUMNS);
    for(int i=0; i<GROUP; i++) sum += x[i]*q[i];
    y[j] = fmaf(half_at(group, j%GROUP_COLUMNS)*r->scale, (float)sum, y[j]);
    if( w->group_bits==4 ){
      y[j] = fmaf(half_at(group + 2*GROUP_COLUMNS, j%GROUP_COLUMNS), r->shift, y[j]);
    }
  }
}

void linear_groups_plain(float *y, const float *x, const struct matrix *w, int rows){
  for(int i=0; i<rows; i++, x+=w->in, y+=w->out){
    for(int j=0; j<w->out; j++) y[j] = 0.0f;
    for(int k=0; k<w->in; k+=GROUP){
      struct row_group r;
      int8_t q[GROUP];
      row_group(q, &r, x + k, w->in - k<GROUP ? w->in - k : GROUP);
      add_group(y, q, &r, w, k/GROUP);
    }
  }
}

void groups_plain(float *y, const struct group_rows *x, const struct matrix *w){
  for(int i=0; i<x->rows; i++, y+=w->out){
    for(int j=0; j<w->out; j++) y[j] = 0.0f;
    for(int g=0; g<x->groups; g++){
      size_t at = (size_t)i*(size_t)x->groups + (size_t)g;
      add_group(y, x->q + at*GROUP, &x->of[at], w, g);
    }
  }
}

_Static_assert(BYTE_ROWS*(GROUP + sizeof(struct row_group))<=GROUP*LINEAR_PANEL*sizeof(float),
               "the scratch of linear() has room for a block");

/* A block of rows: quantized into scratch, then multiplied. */
static void run_block(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  const int groups = (int)GROUPS_IN(w->in);
  struct row_group *of = (struct row_group *)scratch;
  int8_t *q = (int8_t *)(of + (size_t)rows*(size_t)groups);
  struct group_rows b = { .rows = rows, .groups = groups, .q = q, .of = of };
  for(int i=0; i<rows; i++){
    size_t at = (size_t)i*(size_t)groups;
    lanes_chosen()->quantize_groups(q + at*GROUP, of + at, x + (size_t)i*(size_t)w->in, w->in);
  }
  groups_chosen()(y, &b, w);
}

void linear_groups(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  assert( w->group_bits==4 || w->group_bits==8 );
  for(int i=0; i<rows; i+=BYTE_ROWS){
    int n = rows - i<BYTE_ROWS ? rows - i : BYTE_ROWS;
    run_block(y + (size_t)i*w->out, x + (size_t)i*w->in, w, n, scratch);
  }
}
