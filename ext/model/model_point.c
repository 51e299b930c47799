/*
** model_point.c -- arithmetic of points.
**
** A segment's point is z = [s ; r]: s has unit length and moves along arcs; r has at most unit length and moves along straight lines, so it
** is short between unlike points, which is how the decoder knows that the detail is unsure there. It is never stretched again.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

static float cosine(float xy, float xx, float yy){
  float c = xx>0 && yy>0 ? xy/sqrtf(xx*yy) : 0;
  return c>1 ? 1 : c<-1 ? -1 : c;
}

float point_cosine(const float *a, const float *b, int width){
  return cosine(dot(a, b, width), dot(a, a, width), dot(b, b, width));
}

/* sum[count] = the sum over segments of their numbers from..from+count-1 */
static void sum_columns(float *sum, const struct latent *z, int from, int count){
  memcpy(sum, z->z + from, count*sizeof(float));
  for(int i=1; i<z->n_segments; i++) add(sum, z->z + (size_t)i*z->width + from, count);
}

float point_distance(const struct latent *a, const struct latent *b, int s){
  float x[64], y[64], xy = 0, xx = 0, yy = 0;                   /* the sums a block of columns at a time: no memory is needed */
  if( a->n_segments==1 && b->n_segments==1 ) return 1 - point_cosine(a->z, b->z, s);
  for(int from=0; from<s; from+=64){
    int count = s-from<64 ? s-from : 64;
    sum_columns(x, a, from, count);
    sum_columns(y, b, from, count);
    xy += dot(x, y, count);
    xx += dot(x, x, count);
    yy += dot(y, y, count);
  }
  return 1 - cosine(xy, xx, yy);
}

void point_normalize(float *z, int s, int width){
  float length = sqrtf(dot(z+s, z+s, width-s));
  normalize(z, s);
  if( length>1 ) normalize(z+s, width-s);
}

void point_mean(float *mean, const struct latent *z, int s){
  sum_columns(mean, z, 0, z->width);
  for(int i=0; i<z->width; i++) mean[i] /= (float)z->n_segments;
  point_normalize(mean, s, z->width);
}

/* ---- A line between two documents ----
**
** Segments are aligned in order, like letters in an edit distance: pairing costs 1 - cosine of the two s, leaving a segment alone costs
** ALONE. So a pair is made wherever it costs less than leaving both alone (1.2: all but opposite meanings), and what stays alone is what one
** document has more than the other, at the place where that is cheapest.
**
** The table holds a step for each cell within a band about the diagonal; the band is the whole table up to MAX_CELLS cells. */
#define ALONE 0.6f
#define MAX_CELLS ((size_t)2<<20)

enum step { STEP_PAIR = 0, STEP_A = 1, STEP_B = 2 };            /* how the best way enters a cell: both, a's segment alone, b's alone */

struct alignment {
  const struct latent *a, *b;
  int s;
  int half;                             /* columns of the band on each side of the diagonal */
  unsigned char *steps;                 /* [a's segments + 1][2*half + 1] */
  float *above, *here;                  /* costs of two rows of the band, with one more on each side */
};

static int band_centre(const struct alignment *g, int i){
  return (int)((long long)i*g->b->n_segments/g->a->n_segments);
}

static float pair_cost(const struct alignment *g, int i, int j){
  const float *x = g->a->z + (size_t)i*g->a->width, *y = g->b->z + (size_t)j*g->b->width;
  return 1 - (g->a->kind==KIND_DIRECTION ? point_cosine(x, y, g->s) : dot(x, y, g->s));       /* a point has unit length */
}

/* Cost of cell (i, j) of the row above or this one; infinite outside the band. */
static float cell(const struct alignment *g, const float *row, int i, int j){
  int at = j - band_centre(g, i) + g->half;
  return i<0 || at<0 || at>2*g->half ? INFINITY : row[at];
}

/* The cheapest way into cell (i, j), and by which step. here: the row's cells so far, from column `first`. */
static float enter_cell(const struct alignment *g, int i, int j, int first, unsigned char *step){
  float pair = i>0 && j>0 ? cell(g, g->above, i-1, j-1) : INFINITY;
  float a = i>0 ? cell(g, g->above, i-1, j) + ALONE : INFINITY;
  float b = j>first ? g->here[j-1-first] + ALONE : INFINITY;
  *step = STEP_PAIR;
  if( i==0 && j==0 ) return 0;
  if( pair<INFINITY ) pair += pair_cost(g, i-1, j-1);           /* not asked for where there is no way in */
  if( pair<=a && pair<=b ) return pair;
  *step = a<=b ? STEP_A : STEP_B;
  return a<=b ? a : b;
}

static void fill_row(struct alignment *g, int i){
  int first = band_centre(g, i) - g->half, last = first + 2*g->half;
  unsigned char *steps = g->steps + (size_t)i*(2*g->half + 1);
  for(int j=first; j<=last; j++){
    int inside = j>=0 && j<=g->b->n_segments;
    g->here[j-first] = inside ? enter_cell(g, i, j, first, &steps[j-first]) : INFINITY;
  }
}

/* The way through the table: path[0..n), from the start. At most a's and b's segments together. */
static int align(struct alignment *g, unsigned char *path, struct arena *arena){
  int n_a = g->a->n_segments, n_b = g->b->n_segments, i = n_a, j = n_b, n = 0;
  size_t columns;
  g->half = n_b;
  if( (size_t)n_a*n_b>MAX_CELLS && (size_t)n_b>MAX_CELLS/(2*(size_t)n_a) ) g->half = (int)(MAX_CELLS/(2*(size_t)n_a));
  columns = 2*(size_t)g->half + 1;
  g->steps = arena_get(arena, ((size_t)n_a+1)*columns);
  g->above = arena_floats(arena, columns);
  g->here = arena_floats(arena, columns);
  if( arena->oom ) return 0;
  for(int row=0; row<=n_a; row++){
    float *swap = g->above;
    g->above = g->here;
    g->here = swap;
    fill_row(g, row);
  }
  while( i>0 || j>0 ){
    int step = g->steps[(size_t)i*columns + (j - band_centre(g, i) + g->half)];
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

static void interp_segment(float *z, const float *a, const float *b, float t, int s, int width, int kind){
  if( t==0 || t==1 ){                                           /* the ends are the parents, bit by bit */
    memcpy(z, t==0 ? a : b, width*sizeof(float));
    return;
  }
  for(int i=0; i<width; i++) z[i] = (1-t)*a[i] + t*b[i];
  if( kind==KIND_DIRECTION ) return;                            /* directions are vectors of a flat space */
  slerp(z, a, b, t, s);
  if( t<0 || t>1 ) point_normalize(z, s, width);                /* past an end r could grow longer than 1 */
}

/* Walks the path at t: pairs are mixed; of k segments alone, the i-th of a leaves, and that of b enters, at (i+0.5)/k. The
** larger k has at least as many still to go at any t, so the result never has more segments than the longer parent. */
static void walk(struct latent *out, const struct latent *a, const struct latent *b, float t, int s, const unsigned char *path, int n){
  int n_pairs = 0, i = 0, j = 0, alone_a = 0, alone_b = 0, width = a->width;
  float *z = out->z;
  for(int k=0; k<n; k++) n_pairs += path[k]==STEP_PAIR;
  for(int k=0; k<n; k++){
    const float *za = a->z + (size_t)i*width, *zb = b->z + (size_t)j*width;
    int here = 1;
    if( path[k]==STEP_PAIR ) interp_segment(z, za, zb, t, s, width, out->kind);
    else if( path[k]==STEP_A ) here = t < ((float)alone_a++ + 0.5f)/(float)(a->n_segments - n_pairs);
    else here = t >= ((float)alone_b++ + 0.5f)/(float)(b->n_segments - n_pairs);
    if( here && path[k]!=STEP_PAIR ) memcpy(z, path[k]==STEP_A ? za : zb, width*sizeof(float));
    if( here ) z += width;
    i += path[k]!=STEP_B;
    j += path[k]!=STEP_A;
  }
  out->n_segments = (int)((z - out->z)/width);
}

int point_interp(struct latent *out, const struct latent *a, const struct latent *b, float t, int s, struct arena *arena, struct err *e){
  static const unsigned char one_pair[1] = { STEP_PAIR };
  struct alignment g = { a, b, s, 0, 0, 0, 0 };
  struct arena_mark mark;
  size_t most = a->n_segments>b->n_segments ? a->n_segments : b->n_segments;      /* never more at any t: see walk() */
  unsigned char *path;
  int n;
  assert( a->width==b->width && s<=a->width );
  *out = *a;
  out->z = arena_floats(arena, most*a->width);
  if( arena->oom ) return fail_nomem(e);
  if( a->n_segments==1 && b->n_segments==1 ){
    walk(out, a, b, t, s, one_pair, 1);
    return SQLITE_OK;
  }
  mark = arena_mark(arena);
  path = arena_get(arena, (size_t)a->n_segments + b->n_segments);
  if( arena->oom || (n = align(&g, path, arena))==0 ) return fail_nomem(e);
  walk(out, a, b, t, s, path, n);
  arena_rewind(arena, mark);
  return SQLITE_OK;
}

/* ---- Sums, variations, samples ---- */

int point_combine(struct latent *out, const struct latent *a, float ka, const struct latent *b, float kb, int kind, int s,
                  struct arena *arena, struct err *e){
  int n_a = a->n_segments, n_b = b ? b->n_segments : n_a, n = n_a>n_b ? n_a : n_b, width = a->width;
  const float *za = a->z, *zb = b ? b->z : 0;                   /* noted first: out may be a or b */
  assert( b==0 || b->width==width );
  *out = *a;
  out->z = 0;
  if( n_a!=n_b && n_a!=1 && n_b!=1 ){
    return fail(e, SQLITE_MISMATCH, "latents of %d and %d segments, expected the same number, or 1 on one side", n_a, n_b);
  }
  out->kind = kind;
  out->n_segments = n;
  out->z = arena_floats(arena, (size_t)n*width);
  if( arena->oom ) return fail_nomem(e);
  for(int i=0; i<n; i++){
    const float *x = za + (size_t)(n_a==1 ? 0 : i)*width, *y = zb ? zb + (size_t)(n_b==1 ? 0 : i)*width : 0;
    float *z = out->z + (size_t)i*width;
    for(int k=0; k<width; k++) z[k] = y ? ka*x[k] + kb*y[k] : ka*x[k];
    if( kind!=KIND_DIRECTION ) point_normalize(z, s, width);
  }
  return SQLITE_OK;
}

/* Turns v[n] by `angle` towards a random direction at right angles to it; its length stays. The random numbers are drawn twice, once to
** measure the direction and once to use it, so that no memory is needed. */
static void turn(float *v, int n, double angle, struct random *random){
  struct random again = *random;
  double vv = 0, uv = 0, uu = 0, along, across;
  for(int i=0; i<n; i++){
    double u = random_normal(random);
    vv += (double)v[i]*v[i];
    uv += u*v[i];
    uu += u*u;
  }
  if( vv<=0 || uu*vv-uv*uv<=0 ) return;                         /* no detail to turn, or no room to turn it in */
  /* v' = v cos + (u - v uv/vv) |v|/|u - v uv/vv| sin */
  across = sin(angle)*vv/sqrt(uu*vv - uv*uv);
  along = cos(angle) - across*uv/vv;
  for(int i=0; i<n; i++) v[i] = (float)(along*v[i] + across*random_normal(&again));
}

void point_vary(struct latent *z, float amount, uint64_t seed, int s){
  const double right_angle = 1.5707963267948966;
  struct random random = random_of(seed);
  for(int i=0; i<z->n_segments; i++){
    float *segment = z->z + (size_t)i*z->width;
    turn(segment, s, amount*right_angle, &random);
    turn(segment+s, z->width-s, amount*right_angle, &random);
  }
}

int point_sample(struct latent *out, uint64_t seed, const struct model *m, struct arena *arena, struct err *e){
  const struct shape *c = &m->config.shape;
  struct random random = random_of(seed);
  memset(out, 0, sizeof(*out));
  out->z = arena_floats(arena, c->s + c->r);
  if( arena->oom ) return fail_nomem(e);
  out->kind = m->config.kind;
  out->n_segments = 1;
  out->width = c->s + c->r;
  out->fingerprint = m->config.fingerprint;
  for(int i=0; i<out->width; i++) out->z[i] = random_normal(&random);
  normalize(out->z, c->s);
  normalize(out->z + c->s, c->r);
  return SQLITE_OK;
}
