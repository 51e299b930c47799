/*
** functions_aggregate.c -- latent_mean() and latent_direction(): many rows to one point, or to one direction.
**
** What an aggregate gathers lies in sqlite3_aggregate_context() alone, vectors included: SQLite frees it after every end, be it a
** result, an error, an interrupt or a new frame of a window, so nothing can leak here. Its size is settled by the first row that
** counts, which is also the first to say how wide points are. Sums are double: a window over a million rows that has
** added and subtracted each of them is still right to a float's precision.
*/
#include "functions.h"
#include <string.h>

#define WEIGHT_MOST 1e100       /* so that no sum of weights can overflow */

/* One weighted sum of rows. */
struct pile {
  sqlite3_int64 n;              /* rows in it */
  sqlite3_int64 n_weighted;     /* of these, rows that weigh more than 0 */
  double weight;                /* sum of their weights */
};

/* What both aggregates keep: one pile for latent_mean(), false and true for latent_direction(). */
struct gather {
  struct latent like;           /* kind, width and fingerprint of the first row; z is not used */
  struct pile pile[2];
  double sums[];                /* [2, width]: sum of weight * point */
};

static double *gather_sum(struct gather *g, int i){
  return g->sums + (size_t)i*g->like.width;
}

/* A row must be of the kind and the model of the first one, and a point where that is one. */
static int check_like(struct call *c, const struct latent *like, const struct latent *z){
  int is_direction = z->kind==KIND_DIRECTION, was_direction = like->kind==KIND_DIRECTION;
  if( !is_direction && !was_direction && z->kind!=like->kind ){
    return fail(&c->err, SQLITE_ERROR, "the rows before this one are of kind %s and this one is of kind %s: they have no common r, expected rows of one kind",
                kind_name(like->kind), kind_name(z->kind));
  }
  if( z->fingerprint!=like->fingerprint || z->width!=like->width ){
    return fail(&c->err, SQLITE_ERROR, "latents of two models: %08x (width %d) and %08x (width %d)", like->fingerprint, like->width, z->fingerprint, z->width);
  }
  if( is_direction==was_direction ) return SQLITE_OK;
  return fail(&c->err, SQLITE_ERROR, "the rows before this one are %s and this one is a %s: points and directions have no common mean",
              was_direction ? "directions" : "points", is_direction ? "direction" : "point");
}

/* The aggregate's memory, made for points like z when there is none yet; every later row must be like the first. */
static int gather_get(struct call *c, const struct latent *z, struct gather **out){
  struct gather *g;

  g = *out = sqlite3_aggregate_context(c->context, (int)(sizeof(*g) + 2*sizeof(double)*(size_t)z->width));
  if( g==NULL ) return fail_nomem(&c->err);
  if( g->like.n_segments==0 ){
    g->like = *z;
    g->like.n_segments = 1;
    g->like.z = NULL;
  }
  return check_like(c, &g->like, z);
}

/* One row as one vector: a document is the mean of its segments. A point's mean is a point again; a direction's has its own length. */
static void row_mean(float *mean, const struct latent *z, int s){
  int i, k;

  if( z->kind!=KIND_DIRECTION ){
    point_mean(mean, z, s);
    return;
  }
  for(k=0; k<z->width; k++){
    double sum = 0;
    for(i=0; i<z->n_segments; i++) sum += z->z[(size_t)i*z->width + k];
    mean[k] = (float)(sum/z->n_segments);
  }
}

/* Puts a row on pile i, or takes it off again (sign -1). An empty pile is exactly 0: no residue of the rows that have left. */
static int gather_add(struct call *c, struct gather *g, int i, const struct latent *z, double weight, int sign){
  struct pile *p = &g->pile[i];
  double *sum = gather_sum(g, i);
  struct model *m;
  float *mean;
  int k;

  if( latent_model(c, z, &m)!=SQLITE_OK ) return c->err.rc;
  mean = arena_floats(&c->arena, z->width);
  if( mean==NULL ) return fail_nomem(&c->err);
  row_mean(mean, z, m->config.shape.s);
  for(k=0; k<z->width; k++) sum[k] += sign*weight*mean[k];
  p->weight += sign*weight;
  p->n += sign;
  if( weight>0 ) p->n_weighted += sign;
  if( p->n_weighted==0 ){
    p->weight = 0;
    memset(sum, 0, sizeof(double)*z->width);
  }
  return SQLITE_OK;
}

/* A latent of one segment in the call's arena, zeroed, like the rows. */
static int gather_result(struct call *c, const struct gather *g, int kind, struct latent *z){
  *z = g->like;
  z->kind = kind;
  z->z = arena_zeroed(&c->arena, sizeof(float)*z->width);
  return z->z ? SQLITE_OK : fail_nomem(&c->err);
}

/* ---- latent_mean(x [, weight]) ---- */

/* Adds or takes off the row (x, weight). A NULL in either leaves the row out. */
static void mean_row(sqlite3_context *context, int n, sqlite3_value **args, int sign){
  struct call c;
  struct latent z;
  struct gather *g;
  double weight = 1;
  int is_null;

  call_begin(&c, context, n, args);
  if( has_null(n, args, n) ) goto done;
  if( n>1 && call_number(&c, args, 1, "weight", 0, WEIGHT_MOST, &weight)!=SQLITE_OK ) goto done;
  if( value_point(&c, args[0], "argument 1 (x)", &z, &is_null)!=SQLITE_OK || is_null ) goto done;
  if( gather_get(&c, &z, &g)!=SQLITE_OK ) goto done;
  gather_add(&c, g, 0, &z, weight, sign);
done:
  call_end(&c);
}
void mean_step(sqlite3_context *context, int n, sqlite3_value **args){
  mean_row(context, n, args, 1);
}
/* Called with the row that leaves the window: it was stepped over before, so its text is known to encode. */
void mean_inverse(sqlite3_context *context, int n, sqlite3_value **args){
  mean_row(context, n, args, -1);
}

/* The mean of what is on the pile; NULL when that weighs nothing. s gets unit length; r keeps the length that the mean gave it,
** the shorter the less the rows agree: that is how the decoder knows that the detail is unsure. */
static int mean_give(struct call *c, struct gather *g){
  const double *sum = gather_sum(g, 0);
  struct model *m;
  struct latent z;
  int k;

  if( latent_model(c, &g->like, &m)!=SQLITE_OK ) return c->err.rc;
  if( gather_result(c, g, g->like.kind, &z)!=SQLITE_OK ) return c->err.rc;
  for(k=0; k<z.width; k++) z.z[k] = (float)(sum[k]/g->pile[0].weight);
  if( z.kind!=KIND_DIRECTION ) point_normalize(z.z, m->config.shape.s, z.width);
  result_latent(c, &z);
  return c->err.rc;
}
void mean_value(sqlite3_context *context){
  struct gather *g = sqlite3_aggregate_context(context, 0);
  struct call c;

  if( g==NULL || g->pile[0].weight<=0 ) return;
  call_begin(&c, context, 0, NULL);
  mean_give(&c, g);
  call_end(&c);
}

/* ---- latent_direction(x, label) ---- */

void direction_step(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  struct gather *g;
  int is_null;

  call_begin(&c, context, n, args);
  if( has_null(n, args, n) ) goto done;
  if( value_point(&c, args[0], "argument 1 (x)", &z, &is_null)!=SQLITE_OK || is_null ) goto done;
  if( gather_get(&c, &z, &g)!=SQLITE_OK ) goto done;
  /* Truth as in WHERE: text counts through the number at its start. */
  gather_add(&c, g, sqlite3_value_double(args[1])!=0, &z, 1, 1);
done:
  call_end(&c);
}

/* From the mean of the false rows to the mean of the true ones, as long as the classes lie apart. */
static int direction_give(struct call *c, struct gather *g){
  const double *no = gather_sum(g, 0), *yes = gather_sum(g, 1);
  sqlite3_int64 n_no = g->pile[0].n, n_yes = g->pile[1].n;
  struct latent z;
  int k;

  if( n_no==0 || n_yes==0 ){
    return fail(&c->err, SQLITE_ERROR, "needs rows of both labels, got %lld true and %lld false", (long long)n_yes, (long long)n_no);
  }
  if( gather_result(c, g, KIND_DIRECTION, &z)!=SQLITE_OK ) return c->err.rc;
  for(k=0; k<z.width; k++) z.z[k] = (float)(yes[k]/(double)n_yes - no[k]/(double)n_no);
  result_latent(c, &z);
  return c->err.rc;
}
void direction_final(sqlite3_context *context){
  struct gather *g = sqlite3_aggregate_context(context, 0);
  struct call c;

  /* Also called to clean up after a step that failed: then both piles may be empty. */
  if( g==NULL || g->pile[0].n + g->pile[1].n==0 ) return;
  call_begin(&c, context, 0, NULL);
  direction_give(&c, g);
  call_end(&c);
}
