/*
** index_code.c -- the rotation, and the two codes of a row: pure arithmetic.
**
** Both codes are made from the residual r = x - c of a row x and the centroid c of its cell, both
** rotated. They serve one question: what is <q, x> for a query q of length 1, when <q, c> is
** known? D is the width, and s the signs of r as numbers -1 and 1.
**
** 1. Rotation. The vectors of a model have large and small axes. Signs are a fair code only where
**    no axis is special. So one random rotation turns all vectors. It leaves products as they
**    are. Four times it applies random signs and then Hadamard butterflies, scaled to keep
**    lengths, over the first 2^k numbers or, every other time, the last 2^k. 2^k is the largest
**    power of two within D (Ailon and Chazelle 2009, "The fast Johnson-Lindenstrauss transform",
**    repeated as in Andoni et al. 2015). It takes O(D log D), and works for any D: each round is
**    orthogonal.
**
** 2. Signs (Gao and Long, "RaBitQ", SIGMOD 2024, theorem 3.2). Let o = r/|r|, and let o' =
**    s/sqrt(D) be the corner of the cube nearest to it. Then <q, o'>/<o, o'> estimates <q, o>
**    without bias over random rotations. Its standard error for a q of length 1 is sqrt((1 -
**    <o,o'>^2) / (<o,o'>^2 (D-1))). As <o, o'> = sum|r_i| / (|r| sqrt(D)),
**        <q, r> = scale <q, s>, scale = |r|^2 / sum|r_i|, off by error = sqrt((scale^2 D - |r|^2)
**        / (D-1)).
**    The error lies at right angles to r, whatever q is. For q = c it is known when the row is
**    coded:
**        lean = <c, r> - scale <c, s>.
**    Write q = along c + rest, with rest at right angles to c. Then the estimate scale <q, s> +
**    along lean has an error from rest alone. A cell that is worth opening has a centroid that
**    points the way the query does, so |rest| is often about half of |q|. (This is ours. RaBitQ
**    codes q - c instead, so it codes a query anew for each cell.) q itself is rounded to 4 bits
**    a number, with steps as far apart as the largest number needs, so that bit_products() can do
**    64 numbers at once. What q loses is a vector of length q.error, and adds scale q.error to
**    the error. One number serves a whole cell: `error` is never stored below ERROR_LEAST scale,
**    and the error given for a row is error sqrt(|rest|^2 + (q.error/ERROR_LEAST)^2), a little
**    more than the two together.
**
** 3. Bytes. r is about step k, where k is a vector of whole numbers -127..127. By Cauchy and
**    Schwarz |<q, r> - step <q, k>| <= |r - step k| = slack, for certain. q.margin is added for
**    the rounding of floats on the way: in two rotations, in centroid and row, in three sums.
*/
#include "index.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum { ROUNDS = 4 };
static const float ERROR_LEAST = 0.45f;         /* a share of scale; usual is 0.6 to 0.75 */

/* ---- 1. Rotation ---- */

/* The exponent of the largest power of two within n. */
static int log2_floor(int n){
  int k = 0;

  while( n>>(k+1) ) k++;
  return k;
}

/* The first number of the block that a round mixes. */
static int block_at(const struct rotation *r, int round){
  return round%2 ? r->width - (1<<log2_floor(r->width)) : 0;
}

/* The signs of a block also carry the scale of its butterflies. */
int rotation_init(struct rotation *r, int width){
  struct random random = random_of(UINT64_C(0x6c6174656e742d31));
  const int n_block = 1<<log2_floor(width);
  const float scale = 1.0f/sqrtf((float)n_block);

  assert( width>=1 && width<=INDEX_WIDTH_MOST );
  r->width = width;
  r->signs = mem_alloc(sizeof(float)*ROUNDS*(size_t)width);
  if( r->signs==NULL ) return SQLITE_NOMEM;
  for(int round=0; round<ROUNDS; round++){
    const int at = block_at(r, round);
    for(int i=0; i<width; i++){
      const float size = i>=at && i<at+n_block ? scale : 1.0f;
      r->signs[(size_t)round*width + i] = random_u64(&random)>>63 ? size : -size;
    }
  }
  return SQLITE_OK;
}

void rotation_release(struct rotation *r){
  mem_free(r->signs);
  r->signs = NULL;
}

/* x[n] = H x, n a power of two: (a, b) -> (a+b, a-b) over pairs 1, 2, 4, ... apart. */
static void butterflies(float *x, int n){
  for(int apart=1; apart<n; apart*=2){
    for(int i=0; i<n; i+=2*apart){
      for(int j=i; j<i+apart; j++){
        const float a = x[j];
        const float b = x[j+apart];
        x[j] = a + b;
        x[j+apart] = a - b;
      }
    }
  }
}

void rotate(const struct rotation *r, float *y, const float *x){
  const int n_block = 1<<log2_floor(r->width);

  for(int round=0; round<ROUNDS; round++){
    const float *signs = r->signs + (size_t)round*r->width;
    for(int i=0; i<r->width; i++) y[i] = x[i]*signs[i];
    butterflies(y + block_at(r, round), n_block);
    x = y;
  }
}

/* ---- 2. and 3. Codes ---- */

/* x >= 0, to the next f16 that is not below it. */
static uint16_t half_above(float x){
  const uint16_t half = float_to_half(x);

  return (uint16_t)(half + (half_to_float(half)<x));
}

/* The signs of r, and the factors that belong to them. Sums are in double and in order, so that
** they are the same everywhere. */
static void make_signs(struct factors *f, uint64_t *signs, const float *x, const float *centroid,
                       int width){
  double squares = 0, sum = 0;
  double along = 0, along_signs = 0;
  double scale, lean, error;
  float scale_kept;             /* as the half has it */

  memset(signs, 0, sizeof(uint64_t)*SIGN_WORDS(width));
  for(int i=0; i<width; i++){
    const float r = x[i] - centroid[i];
    const int plus = r>0;
    signs[i/64] |= (uint64_t)plus << i%64;
    squares += (double)r*r;
    sum += fabsf(r);
    along += (double)centroid[i]*r;
    along_signs += plus ? centroid[i] : -centroid[i];
  }
  scale = sum>0 ? squares/sum : 0;
  f->scale = float_to_half((float)scale);
  scale_kept = half_to_float(f->scale);
  lean = along - scale_kept*along_signs;
  f->lean = float_to_half((float)lean);
  error = width>1 ? (scale*scale*width - squares)/(width-1) : 0;
  error = error>0 ? sqrt(error) : 0;
  if( error<ERROR_LEAST*scale ) error = ERROR_LEAST*scale;
  error += fabs(scale - scale_kept) + fabs(lean - half_to_float(f->lean));
  f->error = half_above((float)error);
}

/* The step is rounded up, so that no k passes 127. */
static void make_bytes(struct factors *f, int8_t *bytes, const float *x, const float *centroid,
                       int width){
  float most = 0;
  double lost = 0;
  float step;

  for(int i=0; i<width; i++){
    const float r = fabsf(x[i] - centroid[i]);
    if( r>most ) most = r;
  }
  f->step = half_above(most/127);
  step = half_to_float(f->step);
  for(int i=0; i<width; i++){
    const float r = x[i] - centroid[i];
    float k = step>0 ? floorf(r/step + 0.5f) : 0;
    double rest;
    k = k>127 ? 127 : k<-127 ? -127 : k;
    bytes[i] = (int8_t)k;
    rest = r - (double)step*k;
    lost += rest*rest;
  }
  f->slack = half_above((float)sqrt(lost)*1.000001f);
}

void code_make(struct factors *f, uint64_t *signs, int8_t *bytes, const float *x,
               const float *centroid, int width){
  assert( width>=1 && width<=INDEX_WIDTH_MOST );
  make_signs(f, signs, x, centroid, width);
  make_bytes(f, bytes, x, centroid, width);
}

/* ---- The query's side ---- */

/* The vector in 4 bits a number. The largest number lies half a step beyond 7, so it loses no
** more than the others. */
static void make_planes(struct prepared_query *q, int width){
  const int words = SIGN_WORDS(width);
  float most = 0;
  double lost = 0;
  int64_t sum = 0;

  for(int i=0; i<width; i++){
    const float size = fabsf(q->vector[i]);
    most = size>most ? size : most;
  }
  q->step = most/7.5f;
  for(int i=0; i<width; i++){
    const float k = q->step>0 ? floorf(q->vector[i]/q->step + 0.5f) : 0;
    const int number = (int)(k>7 ? 7 : k<-8 ? -8 : k);
    const double rest = q->vector[i] - (double)q->step*number;
    lost += rest*rest;
    sum += number;
    for(int plane=0; plane<4; plane++){
      const uint64_t bit = (unsigned)number>>plane & 1;
      q->planes[plane*words + i/64] |= bit << i%64;
    }
  }
  q->sum = q->step*(float)sum;
  q->error = (float)sqrt(lost);
}

int query_prepare(struct prepared_query *q, const struct rotation *r, const float *vector,
                  struct arena *a, struct err *e){
  const int width = r->width;
  int last_places;

  assert( r->signs && vector );
  *q = (struct prepared_query){ 0 };
  q->width = width;
  q->vector = arena_floats(a, (size_t)width);
  q->planes = arena_zeroed(a, sizeof(uint64_t)*4*SIGN_WORDS(width));
  if( a->oom ) return fail_nomem(e);
  rotate(r, q->vector, vector);
  make_planes(q, width);
  /* In units of the last place: 4 (k+2) of either rotation, D/16+8 of each sum. Doubled, because
  ** rows and queries are of length 1 only up to rounding. */
  last_places = 8*(log2_floor(width) + 2) + 3*(width/16 + 8);
  q->margin = 0x1p-24f*2*(float)last_places;
  return SQLITE_OK;
}

enum { PART = 256, STEP = 16 };

/* What is said of a part of the rows. */
struct estimates {
  int32_t products[PART];       /* bit_products() */
  float scale[PART], error[PART], lean[PART];
};

/* From scale to estimate, in its place; likewise the errors. By steps of a fixed size, so that the
** compiler makes vector code of it. */
static void estimate_part(struct estimates *restrict e, float step, float sum, float along,
                          float share, int n){
  for(int at=0; at<n; at+=STEP){
    for(int i=at; i<at+STEP; i++){
      e->scale[i] = e->scale[i]*(step*(float)e->products[i] - sum) + along*e->lean[i];
      e->error[i] *= share;
    }
  }
}

void query_signs(float *estimate, float *error, const struct prepared_query *q, float along,
                 float rest, const uint16_t *factors, size_t apart, const uint64_t *signs, int n){
  const float lost = q->error/ERROR_LEAST;
  const float share = sqrtf(rest*rest + lost*lost);
  const float step = 2*q->step;
  const int words = SIGN_WORDS(q->width);
  struct estimates e;

  for(int at=0; at<n; at+=PART){
    const int part = n-at<PART ? n-at : PART;
    bit_products(e.products, signs + (size_t)at*words, q->planes, part, words);
    widen(e.scale, factors + at, part);
    widen(e.error, factors + apart + at, part);
    widen(e.lean, factors + 2*apart + at, part);
    for(int i=part; i%STEP!=0; i++) e.products[i] = e.scale[i] = e.error[i] = e.lean[i] = 0;
    estimate_part(&e, step, q->sum, along, share, part);
    memcpy(estimate + at, e.scale, sizeof(float)*(size_t)part);
    memcpy(error + at, e.error, sizeof(float)*(size_t)part);
  }
}

float query_bytes(const struct prepared_query *q, const struct factors *f, const int8_t *bytes,
                  float *slack){
  *slack = half_to_float(f->slack) + q->margin;
  return half_to_float(f->step)*dot_bytes(q->vector, bytes, q->width);
}
