/*
** index_code.c -- the rotation, and the two codes of a row: pure arithmetic.
**
** Everything starts from the residual r = x - c of a row x against the centroid c of its cell, both rotated, and serves one question: what is <q, x> for a
** query q of length 1, when <q, c> is known? D is the width, s the signs of r as numbers -1 and 1.
**
** 1. Rotation. Vectors of a model have large and small axes; signs are a fair code only where no axis is special. So all vectors are turned by
**    one random rotation, which leaves products as they are: four times, random signs and then Hadamard butterflies, scaled to keep lengths, over the first
**    2^k numbers or, every other time, the last 2^k, where 2^k is the largest power of two within D (Ailon and Chazelle 2009, "The fast
**    Johnson-Lindenstrauss transform", repeated as in Andoni et al. 2015). O(D log D), and any D will do: each round is orthogonal.
**
** 2. Signs (Gao and Long, "RaBitQ", SIGMOD 2024, theorem 3.2). Let o = r/|r| and o' = s/sqrt(D), the corner of the cube nearest to it. Then
**    <q, o'>/<o, o'> estimates <q, o> without bias over random rotations, and its standard error for a q of length 1 is
**    sqrt((1 - <o,o'>^2) / (<o,o'>^2 (D-1))). As <o, o'> = sum|r_i| / (|r| sqrt(D)), that is
**        <q, r> = scale <q, s>, scale = |r|^2 / sum|r_i|, give or take error = sqrt((scale^2 D - |r|^2) / (D-1)).
**    The error lives at right angles to r, whatever q is, and for q = c it is known when the row is coded:
**        lean = <c, r> - scale <c, s>.
**    Writing q = along c + rest, with rest at right angles to c, the estimate scale <q, s> + along lean has an error from rest alone. The queries of a cell that is worth
**    looking into point the way its centroid does, so that |rest| is often about half of |q|. (This is ours; RaBitQ codes q - c instead, which makes a
**    query's codes anew for each cell.)
**    q itself is rounded to 4 bits a number, with steps as far apart as the largest number asks for; bit_products() then does 64 of them at once. What q loses, a vector of length
**    p.error, adds scale p.error. So that one number serves a whole cell, `error` is never stored below ERROR_LEAST scale, and what is given for a row is
**    error sqrt(|rest|^2 + (p.error/ERROR_LEAST)^2), a little more than the two together.
**
** 3. Bytes. r is about step k, k a vector of whole numbers -127..127, and |<q, r> - step <q, k>| <= |r - step k| = slack for certain (Cauchy and
**    Schwarz). probe.margin is added for the rounding of floats on the way: of two rotations, of centroid and row, of three sums.
*/
#include "index.h"
#include <math.h>
#include <string.h>

#define ROUNDS 4
#define ERROR_LEAST 0.45f               /* a share of scale; usual is 0.6 to 0.75 */

/* ---- 1. Rotation ---- */

/* The largest power of two within n, as its exponent. */
static int log2_floor(int n){
  int k = 0;
  while( n>>(k+1) ) k++;
  return k;
}

/* The first number of the block that a round mixes. */
static int block_at(const struct rotation *r, int round){
  return round%2 ? r->width - (1<<log2_floor(r->width)) : 0;
}

/* Signs of the block carry the scale of its butterflies. */
int rotation_init(struct rotation *r, int width){
  struct random random = random_of(UINT64_C(0x6c6174656e742d31));
  int k = log2_floor(width), round, i;
  float scale = 1.0f/sqrtf((float)(1<<k));
  r->width = width;
  r->signs = mem_alloc(sizeof(float)*ROUNDS*(size_t)width);
  if( r->signs==NULL ) return SQLITE_NOMEM;
  for(round=0; round<ROUNDS; round++){
    int at = block_at(r, round);
    for(i=0; i<width; i++){
      float size = i>=at && i<at+(1<<k) ? scale : 1.0f;
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
  int apart, i, j;
  for(apart=1; apart<n; apart*=2){
    for(i=0; i<n; i+=2*apart){
      for(j=i; j<i+apart; j++){
        float a = x[j], b = x[j+apart];
        x[j] = a + b;
        x[j+apart] = a - b;
      }
    }
  }
}

void rotate(const struct rotation *r, float *y, const float *x){
  int round, i, n = 1<<log2_floor(r->width);
  const float *signs = r->signs;
  for(round=0; round<ROUNDS; round++, signs+=r->width){
    for(i=0; i<r->width; i++) y[i] = x[i]*signs[i];
    butterflies(y + block_at(r, round), n);
    x = y;
  }
}

/* ---- 2. and 3. Codes ---- */

static float rounded(float x){
  return half_to_float(float_to_half(x));
}
/* x >= 0, to the next f16 that is not below it. */
static float rounded_up(float x){
  uint16_t half = float_to_half(x);
  return half_to_float((uint16_t)(half + (half_to_float(half)<x)));
}

/* The signs of r, and what the factors need of them; sums in double, in order, so that they are the same everywhere. */
static void make_signs(struct factors *f, uint64_t *signs, const float *x, const float *centroid, int width){
  double squares = 0, sum = 0, along = 0, along_signs = 0, scale, lean, error;
  int i;
  memset(signs, 0, sizeof(uint64_t)*SIGN_WORDS(width));
  for(i=0; i<width; i++){
    float r = x[i] - centroid[i];
    int plus = r>0;
    signs[i/64] |= (uint64_t)plus << i%64;
    squares += (double)r*r;
    sum += fabsf(r);
    along += (double)centroid[i]*r;
    along_signs += plus ? centroid[i] : -centroid[i];
  }
  scale = sum>0 ? squares/sum : 0;
  f->scale = rounded((float)scale);
  lean = along - f->scale*along_signs;
  f->lean = rounded((float)lean);
  error = width>1 ? (scale*scale*width - squares)/(width-1) : 0;
  error = error>0 ? sqrt(error) : 0;
  if( error<ERROR_LEAST*scale ) error = ERROR_LEAST*scale;
  f->error = rounded_up((float)(error + fabs(scale - f->scale) + fabs(lean - f->lean)));
}

/* One step more than the largest number needs when it is rounded up, so that no k passes 127. */
static void make_bytes(struct factors *f, int8_t *bytes, const float *x, const float *centroid, int width){
  float most = 0;
  double lost = 0;
  int i;
  for(i=0; i<width; i++){
    float r = fabsf(x[i] - centroid[i]);
    if( r>most ) most = r;
  }
  f->step = rounded_up(most/127);
  for(i=0; i<width; i++){
    float r = x[i] - centroid[i], k = f->step>0 ? floorf(r/f->step + 0.5f) : 0;
    double rest;
    k = k>127 ? 127 : k<-127 ? -127 : k;
    bytes[i] = (int8_t)k;
    rest = r - (double)f->step*k;
    lost += rest*rest;
  }
  f->slack = rounded_up((float)sqrt(lost)*1.000001f);
}

void code_make(struct factors *f, uint64_t *signs, int8_t *bytes, const float *x, const float *centroid, int width){
  make_signs(f, signs, x, centroid, width);
  make_bytes(f, bytes, x, centroid, width);
}

/* ---- The query's side ---- */

/* The vector in 4 bits a number. The largest number lies half a step beyond 7, which costs it no more than the others. */
static void make_planes(struct probe *p, int width){
  int words = SIGN_WORDS(width), i, plane;
  float most = 0;
  double lost = 0;
  int64_t sum = 0;
  for(i=0; i<width; i++) most = fabsf(p->vector[i])>most ? fabsf(p->vector[i]) : most;
  p->step = most/7.5f;
  for(i=0; i<width; i++){
    float k = p->step>0 ? floorf(p->vector[i]/p->step + 0.5f) : 0;
    int number = (int)(k>7 ? 7 : k<-8 ? -8 : k);
    double rest = p->vector[i] - (double)p->step*number;
    lost += rest*rest;
    sum += number;
    for(plane=0; plane<4; plane++) p->planes[plane*words + i/64] |= (uint64_t)((unsigned)number>>plane & 1) << i%64;
  }
  p->sum = p->step*(float)sum;
  p->error = (float)sqrt(lost);
}

int probe_init(struct probe *p, const struct rotation *r, const float *vector, struct arena *a, struct err *e){
  int width = r->width;
  memset(p, 0, sizeof(*p));
  p->width = width;
  p->vector = arena_floats(a, (size_t)width);
  p->planes = arena_zeroed(a, sizeof(uint64_t)*4*SIGN_WORDS(width));
  if( a->oom ) return fail_nomem(e);
  rotate(r, p->vector, vector);
  make_planes(p, width);
  /* In units of the last place: 4 (k+2) of either rotation, D/16+8 of each sum; doubled, as rows and queries are of length 1 but for their rounding. */
  p->margin = 0x1p-24f*2*(float)(8*(log2_floor(width) + 2) + 3*(width/16 + 8));
  return SQLITE_OK;
}

void probe_signs(float *estimate, float *error, const struct probe *p, float along, float rest, const struct factors *f, const uint64_t *signs, int n){
  enum { PART = 256 };
  float lost = p->error/ERROR_LEAST, share = sqrtf(rest*rest + lost*lost), step = 2*p->step;
  int words = SIGN_WORDS(p->width), at, i;
  int32_t products[PART];
  for(at=0; at<n; at+=PART){
    int part = n-at<PART ? n-at : PART;
    bit_products(products, signs + (size_t)at*words, p->planes, part, words);
    for(i=0; i<part; i++){
      estimate[at+i] = f[at+i].scale*(step*(float)products[i] - p->sum) + along*f[at+i].lean;
      error[at+i] = f[at+i].error*share;
    }
  }
}

float probe_bytes(const struct probe *p, const struct factors *f, const int8_t *bytes, float *slack){
  *slack = f->slack + p->margin;
  return f->step*dot_bytes(p->vector, bytes, p->width);
}
