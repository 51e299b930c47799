/*
** functions_aggregate.c -- latent_mean() and latent_direction(): many rows to one point, or to one
** direction.
**
** Both keep weighted sums of rows. The sums are made for the first row that counts, which also says
** how wide points are. They are double: a window that has added and subtracted each of a million
** rows is still right to a float's precision.
*/
#include "functions.h"
#include <string.h>

static const double WEIGHT_MOST = 1e100;        /* so that no sum of weights can overflow */

/* One weighted sum of rows. */
struct pile {
  sqlite3_int64 n;              /* rows in it */
  sqlite3_int64 n_weighted;     /* of these, rows that weigh more than 0 */
  double weight;                /* sum of their weights */
};

/* What an aggregate has gathered. latent_mean() uses one pile; latent_direction() one for false
** rows and one for true ones. */
struct gather {
  struct latent like;           /* kind, width and fingerprint of the first row; z is not used */
  struct pile pile[2];
  double *sums;                 /* [2, width]: sum of weight * point; owned */
};
_Static_assert(sizeof(struct gather)<=STATE_BYTES, "the state of an aggregate fits");

void gather_release(void *state){
  struct gather *g = state;
  mem_free(g->sums);
  g->sums = NULL;
}

static double *gather_sum(struct gather *g, int i){
  return g->sums + (size_t)i*(size_t)g->like.width;
}

/* A row must be of the kind and the model of the first one, and a point where that is a point. */
static void check_like(struct call *c, const struct latent *like, const struct latent *z){
  int is_direction = z->kind==KIND_DIRECTION;
  int was_direction = like->kind==KIND_DIRECTION;
  if( !is_direction && !was_direction && z->kind!=like->kind ){
    fail(&c->err, SQLITE_ERROR, "the rows before this one are of kind %s and this one is of kind "
         "%s: they have no common r, expected rows of one kind", kind_name(like->kind),
         kind_name(z->kind));
  }else if( z->fingerprint!=like->fingerprint || z->width!=like->width ){
    fail(&c->err, SQLITE_ERROR, "latents of two models: %08x (width %d) and %08x (width %d)",
         like->fingerprint, like->width, z->fingerprint, z->width);
  }else if( is_direction!=was_direction ){
    fail(&c->err, SQLITE_ERROR, "the rows before this one are %s and this one is a %s: points and "
         "directions have no common mean", was_direction ? "directions" : "points",
         is_direction ? "direction" : "point");
  }
}

/* Makes the sums for rows like z, unless there are some. */
static void gather_begin(struct call *c, struct gather *g, const struct latent *z){
  size_t bytes = 2*sizeof(double)*(size_t)z->width;
  if( g->sums ){
    check_like(c, &g->like, z);
    return;
  }
  g->sums = mem_alloc(bytes);
  if( g->sums==NULL ){
    fail_nomem(&c->err);
    return;
  }
  memset(g->sums, 0, bytes);
  g->like = *z;
  g->like.n_segments = 1;
  g->like.z = NULL;
}

/* One row as one vector: the mean of its segments. The mean of points is a point again; that of
** directions keeps its own length. */
static void row_mean(float *mean, const struct latent *z){
  if( z->kind!=KIND_DIRECTION ){
    point_mean(mean, z);
    return;
  }
  for(int k=0; k<z->width; k++){
    double sum = 0;
    for(int i=0; i<z->n_segments; i++) sum += latent_segment(z, i)[k];
    mean[k] = (float)(sum/z->n_segments);
  }
}

/* Puts a row on pile i, or takes it off again (sign -1). An empty pile is exactly 0: the rows that
** have left leave no residue. */
static void gather_add(struct call *c, struct gather *g, int i, const struct latent *z,
                       double weight, int sign){
  struct pile *p = &g->pile[i];
  float *mean;
  double *sum;
  gather_begin(c, g, z);
  latent_model(c, z);           /* latent_load() may have come in between */
  if( c->err.rc!=SQLITE_OK ) return;
  mean = arena_floats(&c->arena, (size_t)z->width);
  if( mean==NULL ){
    fail_nomem(&c->err);
    return;
  }
  row_mean(mean, z);
  sum = gather_sum(g, i);
  for(int k=0; k<z->width; k++) sum[k] += sign*weight*mean[k];
  p->weight += sign*weight;
  p->n += sign;
  if( weight>0 ) p->n_weighted += sign;
  if( p->n_weighted==0 ){
    p->weight = 0;
    memset(sum, 0, sizeof(double)*(size_t)z->width);
  }
}

/* A latent of one segment like the rows, in the call's arena, to be filled in. */
static struct latent gather_latent(struct call *c, const struct gather *g, int kind){
  struct latent z = g->like;
  z.kind = kind;
  z.z = arena_floats(&c->arena, (size_t)z.width);
  if( z.z==NULL ) fail_nomem(&c->err);
  return z;
}

/* ---- latent_mean(x [, weight]) ---- */

/* Adds or takes off the row (x, weight). */
static void mean_row(struct call *c, struct gather *g, int sign){
  double weight = c->n_args>1 ? call_number(c, 1, "weight", 0, WEIGHT_MOST) : 1;
  struct latent z = call_latent(c, 0, "x");
  if( c->err.rc==SQLITE_OK ) gather_add(c, g, 0, &z, weight, sign);
}

void mean_step(struct call *c, void *state){
  mean_row(c, state, 1);
}

/* The row that leaves the window was stepped over before, so its content is known to encode. */
void mean_inverse(struct call *c, void *state){
  mean_row(c, state, -1);
}

/* The mean of what is on the pile; nothing (NULL) where that weighs nothing. s gets unit length. r
** keeps the length that the mean gave it: the less the rows agree the shorter it is, and that is
** how the decoder knows that the detail is unsure. */
void mean_give(struct call *c, void *state){
  struct gather *g = state;
  const double *sum = gather_sum(g, 0);
  double weight = g->pile[0].weight;
  struct latent z;
  if( weight<=0 || latent_model(c, &g->like)==NULL ) return;
  z = gather_latent(c, g, g->like.kind);
  if( c->err.rc!=SQLITE_OK ) return;
  for(int k=0; k<z.width; k++) z.z[k] = (float)(sum[k]/weight);
  if( z.kind!=KIND_DIRECTION ) point_normalize(&z);
  result_latent(c, &z);
}

/* ---- latent_direction(x, label) ---- */

/* A label is true as in WHERE: text counts through the number at its start. */
void direction_step(struct call *c, void *state){
  struct latent z = call_latent(c, 0, "x");
  int is_true = sqlite3_value_double(c->args[1])!=0;
  if( c->err.rc==SQLITE_OK ) gather_add(c, state, is_true, &z, 1, 1);
}

/* From the mean of the false rows to the mean of the true ones, as long as the classes
** lie apart. */
void direction_give(struct call *c, void *state){
  struct gather *g = state;
  const double *no = gather_sum(g, 0);
  const double *yes = gather_sum(g, 1);
  sqlite3_int64 n_no = g->pile[0].n;
  sqlite3_int64 n_yes = g->pile[1].n;
  struct latent z;
  if( n_no==0 || n_yes==0 ){
    fail(&c->err, SQLITE_ERROR, "needs rows of both labels, got %lld true and %lld false",
         (long long)n_yes, (long long)n_no);
    return;
  }
  z = gather_latent(c, g, KIND_DIRECTION);
  if( c->err.rc!=SQLITE_OK ) return;
  for(int k=0; k<z.width; k++){
    z.z[k] = (float)(yes[k]/(double)n_yes - no[k]/(double)n_no);
  }
  result_latent(c, &z);
}
