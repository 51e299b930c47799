/*
** model_point.c -- arithmetic of points.
**
** A segment is z = [s ; r]. s has unit length and moves along arcs. r has at most unit length and
** moves along straight lines. Between unlike points r is therefore short, and that is how the
** decoder knows that the detail is unsure there. r is never stretched again.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum { SEGMENTS_A_TIME = 256 };         /* until the caller is asked whether to go on */

float *latent_segment(const struct latent *z, int i){
  return z->z + (size_t)i*(size_t)z->width;
}

int most_segments(const struct latent *z, int n){
  int most = 0;
  for(int i=0; i<n; i++) most = z[i].n_segments>most ? z[i].n_segments : most;
  return most;
}

static float cosine(float xy, float xx, float yy){
  float c = xx>0 && yy>0 ? xy/sqrtf(xx*yy) : 0;
  return c>1 ? 1 : c<-1 ? -1 : c;
}

float point_cosine(const float *a, const float *b, int width){
  return cosine(dot(a, b, width), dot(a, a, width), dot(b, b, width));
}

float point_s(float *s, int width, const struct latent *z, int from, int to){
  int here = z->s<width ? z->s : width;
  assert( here>0 && from>=0 && from<to && to<=z->n_segments );
  memcpy(s, latent_segment(z, from), (size_t)here*sizeof(float));
  for(int i=from+1; i<to; i++) add(s, latent_segment(z, i), here);
  memset(s + here, 0, (size_t)(width - here)*sizeof(float));
  return normalize(s, width);
}

/* sum[count] = the sum over segments of their numbers from..from+count-1 */
static void sum_columns(float *sum, const struct latent *z, int from, int count){
  memcpy(sum, z->z + from, (size_t)count*sizeof(float));
  for(int i=1; i<z->n_segments; i++) add(sum, latent_segment(z, i) + from, count);
}

/* The same of s. Numbers that this s does not have are 0. */
static void sum_s(float *sum, const struct latent *z, int from, int count){
  int here = z->s - from<count ? z->s - from : count;
  if( here<0 ) here = 0;
  if( here>0 ) sum_columns(sum, z, from, here);
  memset(sum + here, 0, (size_t)(count - here)*sizeof(float));
}

/* Documents are summed a block of columns at a time, so that no memory is needed. */
float point_distance(const struct latent *a, const struct latent *b){
  enum { BLOCK = 64 };
  int width = a->s>b->s ? a->s : b->s;
  float x[BLOCK], y[BLOCK];
  float xy = 0, xx = 0, yy = 0;
  assert( a->s>0 && b->s>0 );
  if( a->n_segments==1 && b->n_segments==1 && a->s==b->s ){
    return 1 - point_cosine(a->z, b->z, a->s);
  }
  for(int from=0; from<width; from+=BLOCK){
    int count = width - from<BLOCK ? width - from : BLOCK;
    sum_s(x, a, from, count);
    sum_s(y, b, from, count);
    xy += dot(x, y, count);
    xx += dot(x, x, count);
    yy += dot(y, y, count);
  }
  return 1 - cosine(xy, xx, yy);
}

float passage_s(float *s, int width, const struct latent *z, int passage){
  int each = passage_segments(z->n_segments);
  int from = passage*each;
  int to = from+each<z->n_segments ? from+each : z->n_segments;
  return point_s(s, width, z, from, to);
}

/* The least distance of a passage of z to whole[width]. */
static float nearest_passage(const struct latent *z, const float *whole, int width, float *s,
                             struct err *e){
  int n = count_passages(z->n_segments);
  float most = -1;
  for(int i=0; i<n && !err_stopped(e); i++){
    if( passage_s(s, width, z, i)>0 ) most = fmaxf(most, dot(s, whole, width));
  }
  return most<1 ? 1 - most : 0;
}

int point_nearest(float *distance, const struct latent *a, const struct latent *b,
                  struct arena *arena, struct err *e){
  struct arena_mark mark = arena_mark(arena);
  int width = a->s>b->s ? a->s : b->s;
  int are_points = a->kind!=KIND_DIRECTION && b->kind!=KIND_DIRECTION;
  float *whole, *s;
  *distance = point_distance(a, b);
  if( !are_points || (a->n_segments==1 && b->n_segments==1) ) return e->rc;
  whole = arena_floats(arena, (size_t)width);
  s = arena_floats(arena, (size_t)width);
  if( arena->oom ) return fail_nomem(e);
  point_s(whole, width, b, 0, b->n_segments);
  *distance = fminf(*distance, nearest_passage(a, whole, width, s, e));
  point_s(whole, width, a, 0, a->n_segments);
  *distance = fminf(*distance, nearest_passage(b, whole, width, s, e));
  arena_rewind(arena, mark);
  return e->rc;
}

/* One segment of a point: s to length 1, r to at most 1. */
static void normalize_segment(float *z, int s, int width){
  float length = sqrtf(dot(z + s, z + s, width - s));
  normalize(z, s);
  if( length>1 ) normalize(z + s, width - s);
}

void point_normalize(struct latent *z){
  assert( z->s>0 && z->s<=z->width );
  for(int i=0; i<z->n_segments; i++) normalize_segment(latent_segment(z, i), z->s, z->width);
}

void point_mean(float *mean, const struct latent *z){
  assert( z->s>0 && z->s<=z->width );
  sum_columns(mean, z, 0, z->width);
  for(int i=0; i<z->width; i++) mean[i] /= (float)z->n_segments;
  normalize_segment(mean, z->s, z->width);
}

static double length(const float *x, int n){
  double sum = 0;
  for(int i=0; i<n; i++) sum += (double)x[i]*(double)x[i];
  return sqrt(sum);
}

int point_settle(struct latent *z, struct err *e){
  const double rounding = 1e-2;
  const double most = 1e6;
  if( z->kind==KIND_DIRECTION ) return SQLITE_OK;
  for(int i=0; i<z->n_segments; i++){
    float *x = latent_segment(z, i);
    double length_s = length(x, z->s);
    double length_r = length(x + z->s, z->width - z->s);
    if( i%SEGMENTS_A_TIME==0 && err_stopped(e) ) return e->rc;
    if( length_s==0 || length_s>most || length_r>most ){
      return fail(e, SQLITE_ERROR, "segment %d has an s of length %g and an r of length %g, "
                  "expected about 1 and at most 1", i, length_s, length_r);
    }
    if( fabs(length_s - 1)>rounding || length_r>1 + rounding ) normalize_segment(x, z->s, z->width);
  }
  return SQLITE_OK;
}

/* ---- A line between two documents ----
**
** Segments are aligned in order, like letters in an edit distance. To pair two costs 1 - cosine of
** their s; to leave one alone costs ALONE. So two are paired where that costs less than leaving
** both alone (1.2: all but opposite meanings). What stays alone is what one document has and the
** other has not, at the place where that is cheapest.
**
** The table holds a step for each cell (i, j): i segments of a and j of b are behind us. Only a
** band about the diagonal is computed; up to MAX_CELLS cells the band is the whole table. */
static const float ALONE = 0.6f;
#define MAX_CELLS ((size_t)2<<20)

enum step {                             /* how the cheapest way enters a cell: */
  STEP_PAIR = 0,                        /* with a segment of each */
  STEP_A = 1,                           /* with a's alone */
  STEP_B = 2                            /* with b's alone */
};

struct alignment {
  const struct latent *a, *b;
  int half;                             /* columns of the band on each side of the diagonal */
  unsigned char *steps;                 /* [a's segments + 1][2*half + 1] */
  float *above, *here;                  /* costs of two rows of the band */
  struct err *err;                      /* knows who wants to stop */
};

static int band_centre(const struct alignment *g, int i){
  return (int)((long long)i*g->b->n_segments/g->a->n_segments);
}

static float pair_cost(const struct alignment *g, int i, int j){
  const float *x = latent_segment(g->a, i);
  const float *y = latent_segment(g->b, j);
  if( g->a->kind==KIND_DIRECTION ) return 1 - point_cosine(x, y, g->a->s);
  return 1 - dot(x, y, g->a->s);        /* a point has unit length */
}

/* Cost of cell (i, j) in a row of the band; infinite outside the band. */
static float cell_cost(const struct alignment *g, const float *row, int i, int j){
  int at = j - band_centre(g, i) + g->half;
  return i<0 || at<0 || at>2*g->half ? INFINITY : row[at];
}

/* The cheapest way into cell (i, j), and its step. g->here holds this row's cells so far, from
** column `first`. */
static float enter_cell(const struct alignment *g, int i, int j, int first, unsigned char *step){
  float pair = i>0 && j>0 ? cell_cost(g, g->above, i-1, j-1) : INFINITY;
  float a = i>0 ? cell_cost(g, g->above, i-1, j) + ALONE : INFINITY;
  float b = j>first ? g->here[j-1-first] + ALONE : INFINITY;
  *step = STEP_PAIR;
  if( i==0 && j==0 ) return 0;
  if( pair<INFINITY ) pair += pair_cost(g, i-1, j-1);
  if( pair<=a && pair<=b ) return pair;
  *step = a<=b ? STEP_A : STEP_B;
  return a<=b ? a : b;
}

static void fill_row(struct alignment *g, int i){
  int first = band_centre(g, i) - g->half;
  int last = first + 2*g->half;
  unsigned char *steps = g->steps + (size_t)i*(size_t)(2*g->half + 1);
  for(int j=first; j<=last; j++){
    int is_inside = j>=0 && j<=g->b->n_segments;
    g->here[j-first] = is_inside ? enter_cell(g, i, j, first, &steps[j-first]) : INFINITY;
  }
}

static void fill_table(struct alignment *g){
  for(int i=0; i<=g->a->n_segments && !err_stopped(g->err); i++){
    float *swap = g->above;
    g->above = g->here;
    g->here = swap;
    fill_row(g, i);
  }
}

/* Follows the steps back from the last cell: path[0..n), in reading order. Returns n. */
static int trace_path(const struct alignment *g, unsigned char *path){
  size_t columns = 2*(size_t)g->half + 1;
  int i = g->a->n_segments;
  int j = g->b->n_segments;
  int n = 0;
  while( i>0 || j>0 ){
    int step = g->steps[(size_t)i*columns + (size_t)(j - band_centre(g, i) + g->half)];
    path[n++] = (unsigned char)step;
    i -= step!=STEP_B;
    j -= step!=STEP_A;
  }
  for(int k=0; k<n/2; k++){
    unsigned char swap = path[k];
    path[k] = path[n-1-k];
    path[n-1-k] = swap;
  }
  return n;
}

/* The steps of the cheapest alignment: path[0..n), at most a's and b's segments together. Returns
** n; 0: out of memory, or the work is to stop. */
static int align(struct alignment *g, unsigned char *path, struct arena *arena){
  size_t n_a = (size_t)g->a->n_segments;
  size_t n_b = (size_t)g->b->n_segments;
  size_t columns;
  g->half = (int)n_b;
  if( n_a*n_b>MAX_CELLS && n_b>MAX_CELLS/(2*n_a) ) g->half = (int)(MAX_CELLS/(2*n_a));
  columns = 2*(size_t)g->half + 1;
  g->steps = arena_get(arena, (n_a + 1)*columns);
  g->above = arena_floats(arena, columns);
  g->here = arena_floats(arena, columns);
  if( arena->oom ) return 0;
  fill_table(g);
  return g->err->rc==SQLITE_OK ? trace_path(g, path) : 0;
}

/* out (one segment) = what lies at t between a pair. At the ends it is the parent, bit by bit. */
static void interp_segment(const struct latent *out, float *z, const float *a, const float *b,
                           float t){
  if( t==0 || t==1 ){
    memcpy(z, t==0 ? a : b, (size_t)out->width*sizeof(float));
    return;
  }
  for(int i=0; i<out->width; i++) z[i] = (1-t)*a[i] + t*b[i];
  if( out->kind==KIND_DIRECTION ) return;       /* directions are vectors of a flat space */
  slerp(z, a, b, t, out->s);
  if( t<0 || t>1 ) normalize_segment(z, out->s, out->width);    /* r may have grown longer than 1 */
}

/* What is made of the segments on a path. */
struct mixture {
  float t;                              /* which of those without a partner are there */
  int is_sum;                           /* pairs are added; else they are what lies at t */
  float ka, kb;                         /* for a sum: the factors */
  int pairs_alone;                      /* nothing is there without a partner */
};

static void mix_pair(const struct latent *out, float *z, const float *a, const float *b,
                     const struct mixture *mix){
  if( !mix->is_sum ){
    interp_segment(out, z, a, b, mix->t);
    return;
  }
  for(int i=0; i<out->width; i++) z[i] = mix->ka*a[i] + mix->kb*b[i];
}

/* Walks the path. Pairs are mixed. Of the k segments that a has alone, number i leaves where t is
** (i+0.5)/k; those of b enter likewise. The parent with more of them has at least as many still to
** go at any t, so the result never has more segments than the longer parent. */
static void walk_path(struct latent *out, const struct latent *a, const struct latent *b,
                      const struct mixture *mix, const unsigned char *path, int n){
  float t = mix->t;
  int n_pairs = 0, i = 0, j = 0, alone_a = 0, alone_b = 0;
  size_t bytes = (size_t)a->width*sizeof(float);
  float *z = out->z;
  float n_alone_a, n_alone_b;
  for(int k=0; k<n; k++) n_pairs += path[k]==STEP_PAIR;
  n_alone_a = (float)(a->n_segments - n_pairs);
  n_alone_b = (float)(b->n_segments - n_pairs);
  for(int k=0; k<n; k++){
    const float *za = latent_segment(a, i);
    const float *zb = latent_segment(b, j);
    int is_here = 1;
    if( path[k]==STEP_PAIR ) mix_pair(out, z, za, zb, mix);
    if( path[k]==STEP_A ) is_here = t < ((float)alone_a++ + 0.5f)/n_alone_a;
    if( path[k]==STEP_B ) is_here = t >= ((float)alone_b++ + 0.5f)/n_alone_b;
    if( path[k]!=STEP_PAIR && mix->pairs_alone ) is_here = 0;
    if( is_here && path[k]!=STEP_PAIR ) memcpy(z, path[k]==STEP_A ? za : zb, bytes);
    if( is_here ) z += a->width;
    i += path[k]!=STEP_B;
    j += path[k]!=STEP_A;
  }
  out->n_segments = (int)((z - out->z)/a->width);
}

/* out = a and b mixed along their alignment. out is not a or b. */
static int mix_aligned(struct latent *out, const struct latent *a, const struct latent *b,
                       const struct mixture *mix, struct arena *arena, struct err *e){
  static const unsigned char one_pair[1] = { STEP_PAIR };
  struct alignment g = { .a = a, .b = b, .err = e };
  int most = a->n_segments>b->n_segments ? a->n_segments : b->n_segments;     /* see walk_path() */
  struct arena_mark mark;
  unsigned char *path;
  int n;
  assert( a->width==b->width && a->s==b->s );
  assert( a->s>0 && a->s<=a->width );
  *out = *a;
  out->z = arena_floats(arena, (size_t)most*(size_t)a->width);
  if( arena->oom ) return fail_nomem(e);
  if( a->n_segments==1 && b->n_segments==1 ){
    walk_path(out, a, b, mix, one_pair, 1);
    return SQLITE_OK;
  }
  mark = arena_mark(arena);
  path = arena_get(arena, (size_t)a->n_segments + (size_t)b->n_segments);
  n = path ? align(&g, path, arena) : 0;
  if( n==0 ) return fail_nomem(e);      /* unless a stop is noted: the first failure wins */
  walk_path(out, a, b, mix, path, n);
  arena_rewind(arena, mark);
  return SQLITE_OK;
}

int point_interp(struct latent *out, const struct latent *a, const struct latent *b, float t,
                 struct arena *arena, struct err *e){
  const struct mixture mix = { .t = t };
  return mix_aligned(out, a, b, &mix, arena, e);
}

/* ---- Sums, variations, samples ---- */

/* Two documents with different numbers of segments: aligned. What is alone says nothing about a
** difference. If nothing has a partner, the difference is that of the means. */
static int combine_aligned(struct latent *out, const struct latent *a, float ka,
                           const struct latent *b, float kb, int kind, struct arena *arena,
                           struct err *e){
  const struct mixture mix = {
    .t = kb>0 ? kb/(fabsf(ka) + kb) : 0,
    .is_sum = 1,
    .ka = ka,
    .kb = kb,
    .pairs_alone = kind==KIND_DIRECTION,
  };
  float *mean;
  if( mix_aligned(out, a, b, &mix, arena, e)!=SQLITE_OK ) return e->rc;
  out->kind = kind;
  if( out->n_segments>0 ) return SQLITE_OK;
  mean = arena_floats(arena, (size_t)b->width);
  if( mean==NULL ) return fail_nomem(e);
  out->n_segments = 1;
  point_mean(out->z, a);
  point_mean(mean, b);
  for(int k=0; k<b->width; k++) out->z[k] = ka*out->z[k] + kb*mean[k];
  return SQLITE_OK;
}

/* The number of segments of a sum. 1 is repeated; a direction is spread over a point. */
static int sum_segments(const struct latent *x, const struct latent *y){
  int is_one = x->n_segments==1 || y->n_segments==1;
  int both = (x->kind==KIND_DIRECTION)==(y->kind==KIND_DIRECTION);
  if( is_one || both ) return x->n_segments>y->n_segments ? x->n_segments : y->n_segments;
  return x->kind==KIND_DIRECTION ? y->n_segments : x->n_segments;
}

/* Segment i of n that z is spread over, in order. */
static const float *spread_segment(const struct latent *z, int i, int n){
  return latent_segment(z, (int)((2LL*i + 1)*z->n_segments/(2LL*n)));
}

/* x and y are noted before out is written, since out may be a or b. */
int point_combine(struct latent *out, const struct latent *a, float ka, const struct latent *b,
                  float kb, int kind, struct arena *arena, struct err *e){
  const struct latent x = *a;
  const struct latent y = b ? *b : *a;
  int n = sum_segments(&x, &y);
  int are_points = x.kind!=KIND_DIRECTION && y.kind!=KIND_DIRECTION;
  int is_even = x.n_segments==y.n_segments || x.n_segments==1 || y.n_segments==1;
  int stays = ka==1 && (b==NULL || kb==0) && kind==x.kind;     /* bit by bit */
  assert( x.width==y.width && x.s==y.s );
  *out = x;
  out->z = NULL;
  if( are_points && !is_even ){
    combine_aligned(out, &x, ka, &y, kb, kind, arena, e);
    if( e->rc==SQLITE_OK && kind!=KIND_DIRECTION ) point_normalize(out);
    return e->rc;
  }
  out->kind = kind;
  out->n_segments = n;
  out->z = arena_floats(arena, (size_t)n*(size_t)x.width);
  if( arena->oom ) return fail_nomem(e);
  for(int i=0; i<n; i++){
    const float *zx = spread_segment(&x, i, n);
    const float *zy = spread_segment(&y, i, n);
    float *z = latent_segment(out, i);
    if( i%SEGMENTS_A_TIME==0 && err_stopped(e) ) return e->rc;
    for(int k=0; k<x.width; k++) z[k] = b ? ka*zx[k] + kb*zy[k] : ka*zx[k];
    if( kind!=KIND_DIRECTION && !stays ) normalize_segment(z, x.s, x.width);
  }
  return SQLITE_OK;
}

/* Turns v[n] by `angle` towards a random direction at right angles to it. Its length stays. The
** random numbers are drawn twice, once to measure the direction and once to use it, so that no
** memory is needed. */
static void turn(float *v, int n, double angle, struct random *random){
  struct random again = *random;
  double vv = 0, uv = 0, uu = 0;
  double along, across;
  for(int i=0; i<n; i++){
    double u = random_normal(random);
    vv += (double)v[i]*v[i];
    uv += u*v[i];
    uu += u*u;
  }
  if( vv<=0 || uu*vv - uv*uv<=0 ) return;       /* no detail to turn, or no room to turn it in */
  /* v' = v cos + (u - v uv/vv) |v|/|u - v uv/vv| sin */
  across = sin(angle)*vv/sqrt(uu*vv - uv*uv);
  along = cos(angle) - across*uv/vv;
  for(int i=0; i<n; i++) v[i] = (float)(along*v[i] + across*random_normal(&again));
}

void point_vary(struct latent *z, float amount, uint64_t seed){
  const double right_angle = 1.5707963267948966;
  struct random random = random_of(seed);
  assert( z->s>0 && z->s<=z->width );
  for(int i=0; i<z->n_segments; i++){
    float *segment = latent_segment(z, i);
    turn(segment, z->s, amount*right_angle, &random);
    turn(segment + z->s, z->width - z->s, amount*right_angle, &random);
  }
}

int point_sample(struct latent *out, uint64_t seed, const struct model *m, struct arena *arena,
                 struct err *e){
  struct random random = random_of(seed);
  *out = latent_of(m, 1);
  out->z = arena_floats(arena, (size_t)out->width);
  if( arena->oom ) return fail_nomem(e);
  for(int i=0; i<out->width; i++) out->z[i] = random_normal(&random);
  normalize(out->z, out->s);
  normalize(out->z + out->s, out->width - out->s);
  return SQLITE_OK;
}

int point_is_between(const struct latent *z){
  static const float LEAST = 0.95f;
  for(int i=0; i<z->n_segments; i++){
    const float *r = latent_segment(z, i) + z->s;
    int n = z->width - z->s;
    if( dot(r, r, n)<LEAST*LEAST ) return 1;
  }
  return 0;
}
