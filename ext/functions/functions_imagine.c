/*
** functions_imagine.c -- latent_imagine(index, query [, n] [, options]): the texts that should lie nearest to the query, and do not; or the pictures.
**
** 1. Rows: the ROWS_READ nearest ones of one kind, by a search of the table (functions_near.c): of the kind that options name, else of the nearest row's. The
**    query may be of any kind.
** 2. Points: for every pair of the nearest ROWS_PAIRED and every triple of the nearest ROWS_TRIPLED, the weights whose mean lies nearest to
**    the query. Where those are all positive the point lies between the rows and nearer than any of them: the least squares of the
**    three (or two) s against the query's. The line from row to row is latent_slerp()'s, so documents are aligned segment by segment.
** 3. POINTS of them are kept: near to the query, and with long r, which is to say that their parents are built alike; those decode to
**    sentences more often.
** 4. Drafts: texts at all of these points, read and judged (functions_draft.c).
** 5. Shown are n: the nearest row, with itself as its only parent, and the drafts with the least distance + flaw that are not nearly the same
**    text as one shown already. Ordered by distance. So what stands above the row fits the query better than any row does, and where the table
**    has an exact answer that comes first.
*/
#include "functions.h"
#include <math.h>
#include <string.h>

#define N_MOST 100              /* rows shown */
#define N_DEFAULT 5
#define ROWS_READ 200           /* neighbours: what the drafts' words are compared with */
#define ROWS_PAIRED 16
#define ROWS_TRIPLED 8
#define POINTS 40
#define POINTS_PICTURES 16      /* a picture is 64 tokens, a text is 12 */
#define SEGMENTS_MOST 400       /* decoded at most, where documents lie near */
#define LEAST_WEIGHT 0.1        /* a parent with less is no parent */
#define LOOSE 0.3f              /* what a point with r = 0 pays for it, in distance */

struct imagine {
  struct near near;
  int n;                        /* rows asked for */
  struct latent query;
  float *query_s;               /* [s], unit length, like the rows' below */
  struct neighbour *rows;       /* [n_rows], nearest first */
  int n_rows;
  float *rows_s;                /* [ROWS_PAIRED, s]: their mean s */
  struct point *points;
  int n_points, most_points;
  struct drafts drafts;
};

/* ---- 1. Rows ---- */

static int imagine_begin(struct call *c, struct imagine *g, struct options *o){
  memset(g, 0, sizeof(*g));
  g->n = call_has(c, 2) ? (int)call_integer(c, 2, "n", 1, N_MOST) : N_DEFAULT;
  *o = call_options(c, 3);
  near_open(&g->near, c, 0, o->kind);
  c->named = 0;                 /* it is the kind of the rows */
  g->query = call_point(c, 1, "query");
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  g->rows = arena_get(&c->arena, ROWS_READ*sizeof(*g->rows));
  if( !g->rows ) return fail_nomem(&c->err);
  return near_rows(&g->near, &g->query, ROWS_READ, g->rows, &g->n_rows);
}

/* mean[s] of a latent's segments, unit length. */
static int mean_s(struct call *c, float *mean, const struct latent *z){
  struct arena_mark mark = arena_mark(&c->arena);
  float *whole = arena_floats(&c->arena, (size_t)z->width);
  if( !whole ) return fail_nomem(&c->err);
  point_mean(whole, z);
  memcpy(mean, whole, (size_t)z->s*sizeof(float));
  arena_rewind(&c->arena, mark);
  return SQLITE_OK;
}

static int measure_rows(struct call *c, struct imagine *g){
  int s = g->near.model->config.shape.s;
  g->query_s = arena_floats(&c->arena, (size_t)s);
  g->rows_s = arena_floats(&c->arena, (size_t)ROWS_PAIRED*(size_t)s);
  if( c->arena.oom ) return fail_nomem(&c->err);
  for(int i=0; i<g->n_rows && i<ROWS_PAIRED; i++){
    if( mean_s(c, g->rows_s + (size_t)i*(size_t)s, &g->rows[i].z)!=SQLITE_OK ) return c->err.rc;
  }
  return mean_s(c, g->query_s, &g->query);
}

/* ---- 2. Points ---- */

/* Least squares of n = 2 or 3 unit vectors with the products gram[n, n] among them and q[n] with the query: weights[n] of sum 1, by Cramer's
** rule. False where one would be less than LEAST_WEIGHT: then no point between all n is nearest. */
static int find_weights(double *weights, const double gram[3][3], const double *q, int n){
  double sum = 0;
  if( n==2 ){
    weights[0] = q[0] - gram[0][1]*q[1];
    weights[1] = q[1] - gram[0][1]*q[0];
  }else{
    double a = gram[0][1], b = gram[0][2], d = gram[1][2];      /* the adjugate of [1 a b; a 1 d; b d 1] */
    weights[0] = (1 - d*d)*q[0] + (b*d - a)*q[1] + (a*d - b)*q[2];
    weights[1] = (b*d - a)*q[0] + (1 - b*b)*q[1] + (a*b - d)*q[2];
    weights[2] = (a*d - b)*q[0] + (a*b - d)*q[1] + (1 - a*a)*q[2];
  }
  for(int i=0; i<n; i++){
    if( !(weights[i]>0) ) return 0;
    sum += weights[i];
  }
  for(int i=0; i<n; i++){
    weights[i] /= sum;
    if( !(weights[i]>=LEAST_WEIGHT) ) return 0;
  }
  return 1;
}

static int mix_rows(struct call *c, struct point *p){
  const struct latent *first = &p->parents[0]->z;
  float t = (float)(p->weights[1]/(p->weights[0] + p->weights[1]));
  int i = 1;
  if( point_interp(&p->z, first, &p->parents[1]->z, t, &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
  for(i=2; i<p->n_parents; i++){
    struct latent mixed = p->z;
    if( point_interp(&p->z, &mixed, &p->parents[i]->z, (float)p->weights[i], &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
  }
  return SQLITE_OK;
}

/* Length of r, mean over the segments: 1 where the parents' details agree. */
static float detail_length(const struct latent *z){
  float sum = 0;
  for(int i=0; i<z->n_segments; i++){
    const float *r = latent_segment(z, i) + z->s;
    sum += sqrtf(dot(r, r, z->width - z->s));
  }
  return sum/(float)z->n_segments;
}

/* Enters the point between the rows at[n] where it is one of the POINTS best: sorted by cost, the earlier of two equal ones first. */
static int try_point(struct call *c, struct imagine *g, const int *at, int n){
  struct arena_mark mark = arena_mark(&c->arena);
  int s = g->near.model->config.shape.s, i;
  struct point p = { .n_parents = n };
  double gram[3][3], q[3];
  for(i=0; i<n; i++){
    const float *x = g->rows_s + (size_t)at[i]*(size_t)s;
    p.parents[i] = &g->rows[at[i]];
    q[i] = dot(x, g->query_s, s);
    for(int k=0; k<n; k++) gram[i][k] = dot(x, g->rows_s + (size_t)at[k]*(size_t)s, s);
  }
  if( !find_weights(p.weights, gram, q, n) ) return SQLITE_OK;
  if( mix_rows(c, &p)!=SQLITE_OK ) return c->err.rc;
  p.cost = point_distance(&p.z, &g->query) + LOOSE*(1 - detail_length(&p.z));
  if( g->n_points==g->most_points && !(p.cost<g->points[g->n_points-1].cost) ){
    arena_rewind(&c->arena, mark);
    return SQLITE_OK;
  }
  i = g->n_points<g->most_points ? g->n_points++ : g->most_points-1;
  for(; i>0 && g->points[i-1].cost>p.cost; i--) g->points[i] = g->points[i-1];
  g->points[i] = p;
  return SQLITE_OK;
}

static int find_points(struct call *c, struct imagine *g){
  int n = g->n_rows<ROWS_PAIRED ? g->n_rows : ROWS_PAIRED, at[3], n_segments = 0, k = 0;
  g->most_points = g->near.kind==KIND_PICTURE ? POINTS_PICTURES : POINTS;
  g->points = arena_get(&c->arena, POINTS*sizeof(*g->points));
  if( !g->points ) return fail_nomem(&c->err);
  for(at[0]=0; at[0]<n; at[0]++){
    for(at[1]=at[0]+1; at[1]<n; at[1]++){
      if( run_stopped(&c->run) || try_point(c, g, at, 2)!=SQLITE_OK ) return c->err.rc;
      for(at[2]=at[1]+1; at[2]<n && at[2]<ROWS_TRIPLED; at[2]++){
        if( try_point(c, g, at, 3)!=SQLITE_OK ) return c->err.rc;
      }
    }
  }
  for(; k<g->n_points && (k==0 || n_segments + g->points[k].z.n_segments<=SEGMENTS_MOST/DRAFT_DIALS); k++) n_segments += g->points[k].z.n_segments;
  g->n_points = k;
  return SQLITE_OK;
}

/* ---- 5. What is shown ---- */

/* Is the text of d nearly that of one of shown[n]? */
static int is_alike(const struct draft *d, const struct draft *const *shown, int n){
  for(int i=0; i<n; i++){
    if( drafts_alike(d, shown[i]) ) return 1;
  }
  return 0;
}

/* Does the table hold the text after all, in a row that is not among the neighbours of the query? */
static int is_held(struct call *c, struct imagine *g, const struct draft *d, int *held){
  struct arena_mark mark = arena_mark(&c->arena);
  struct neighbour rows[2];
  int n;
  *held = 0;
  if( near_rows(&g->near, &d->again, 2, rows, &n)!=SQLITE_OK ) return c->err.rc;
  for(int i=0; i<n; i++) *held |= draft_says(d, &rows[i]);
  arena_rewind(&c->arena, mark);
  return SQLITE_OK;
}

/* The best drafts, at most `most` of them, ascending by distance: shown[*n]. */
static int choose(struct call *c, struct imagine *g, const struct draft **shown, int most, int *n){
  char *seen = arena_zeroed(&c->arena, (size_t)g->drafts.n + 1);
  *n = 0;
  if( !seen ) return fail_nomem(&c->err);
  while( *n<most ){
    struct draft *best = NULL;
    int held, at;
    for(int i=0; i<g->drafts.n; i++){
      struct draft *d = &g->drafts.list[i];
      if( !seen[i] && (!best || d->distance + d->flaw<best->distance + best->flaw) ) best = d;
    }
    if( !best ) return SQLITE_OK;
    seen[best - g->drafts.list] = 1;
    if( is_alike(best, shown, *n) ) continue;
    if( is_held(c, g, best, &held)!=SQLITE_OK ) return c->err.rc;
    if( held ) continue;
    for(at=(*n)++; at>0 && shown[at-1]->distance>best->distance; at--) shown[at] = shown[at-1];
    shown[at] = best;
  }
  return SQLITE_OK;
}

/* The nearest row, as a row of the result. */
static int give_row(struct call *c, const struct neighbour *row, struct rows *r){
  struct point p = { .parents = { row }, .weights = { 1 }, .n_parents = 1, .z = row->z };
  return draft_give(c, &p, row->is_blob ? KIND_PICTURE : KIND_TEXT, row->text, row->text_bytes, (float)row->distance, 1, r);
}
static int give(struct call *c, struct imagine *g, struct rows *r){
  const struct draft **shown = arena_get(&c->arena, (size_t)g->n*sizeof(*shown));
  int n, i = 0, is_given = 0;
  if( !shown ) return fail_nomem(&c->err);
  if( choose(c, g, shown, g->n>1 ? g->n-1 : 1, &n)!=SQLITE_OK ) return c->err.rc;
  for(int k=0; k<g->n && (i<n || !is_given); k++){
    if( !is_given && (i==n || shown[i]->distance>=g->rows[0].distance) ){
      if( give_row(c, &g->rows[0], r)!=SQLITE_OK ) return c->err.rc;
      is_given = 1;
      continue;
    }
    if( draft_give(c, shown[i]->point, g->near.kind, shown[i]->text.data, shown[i]->text.n, shown[i]->distance, shown[i]->fidelity, r)!=SQLITE_OK ) return c->err.rc;
    i++;
  }
  return SQLITE_OK;
}

/* Texts at all points, and how far they are from the query. Nobody needs to be told what he has just said: the query itself is no answer. */
static int make_drafts(struct call *c, struct imagine *g, sqlite3_value *query, const struct options *o){
  struct reading reading;
  if( reading_init(&reading, c, g->near.model, g->rows, g->n_rows)!=SQLITE_OK ) return c->err.rc;
  if( sqlite3_value_type(query)==SQLITE_TEXT && g->near.kind!=KIND_PICTURE ){
    struct content text = value_bytes(c, query);
    if( c->err.rc==SQLITE_OK ) reading_hold(&reading, text.bytes, text.n);
  }
  if( drafts_make(&g->drafts, &reading, g->points, g->n_points, o)!=SQLITE_OK ) return c->err.rc;
  for(int i=0; i<g->drafts.n; i++){
    struct draft *d = &g->drafts.list[i];
    d->distance = point_distance(&d->again, &g->query);
  }
  return SQLITE_OK;
}

void imagine_fill(struct call *c, struct rows *r){
  struct options o;
  struct imagine g;
  if( imagine_begin(c, &g, &o)==SQLITE_OK && g.n_rows>0 && measure_rows(c, &g)==SQLITE_OK && find_points(c, &g)==SQLITE_OK
   && make_drafts(c, &g, c->args[1], &o)==SQLITE_OK ){
    give(c, &g, r);
  }
  drafts_release(&g.drafts);
  near_release(&g.near);
}
