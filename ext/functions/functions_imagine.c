/*
** functions_imagine.c -- latent_imagine(index, query [, n] [, options]): the contents that should
** lie nearest to the query and do not exist yet.
**
** "Text" below is a picture where the rows are pictures.
**
** 1. Rows: the ROWS_READ nearest rows of one kind, by a search of the table (functions_near.c). The
**    kind is the one that options name, else that of the nearest row. The query may be of any kind.
** 2. Points: for every pair of the nearest ROWS_PAIRED rows and every triple of the nearest
**    ROWS_TRIPLED, the weights whose mean lies nearest to the query: the least squares of their s
**    against the query's. Where all weights are positive the point lies between the rows, and
**    nearer than any of them. The line from row to row is latent_slerp()'s, so documents are
**    aligned segment by segment.
** 3. POINTS of them are kept: those near to the query whose r is long. A long r means that the
**    parents are built alike, and then the point decodes to a sentence more often.
** 4. Drafts: texts at all of these points, read and judged (functions_draft.c).
** 5. n are shown: the nearest row, with itself as its only parent, and the drafts with the least
**    distance + flaw that are not nearly the same as one already shown. They are ordered by
**    distance. So what stands above the row fits the query better than any row does, and where the
**    table holds an exact answer, that comes first.
*/
#include "functions.h"
#include <math.h>
#include <string.h>

enum {
  N_MOST = 100,                 /* rows shown */
  N_DEFAULT = 5,
  ROWS_READ = 200,              /* neighbours: what the drafts' words are compared with */
  ROWS_PAIRED = 16,
  ROWS_TRIPLED = 8,
  POINTS = 40,
  POINTS_PICTURES = 16,         /* a picture is 64 tokens, a text is 12 */
  SEGMENTS_MOST = 400           /* decoded at most, where documents lie near */
};
static const double WEIGHT_LEAST = 0.1;         /* a parent with less is no parent */
static const float LOOSE = 0.3f;        /* what a point with r = 0 pays for it, in distance */

struct imagine {
  struct near near;
  int n;                        /* rows asked for */
  struct latent query;
  float *query_s;               /* [s], unit length, like the rows' below */
  struct neighbour *rows;       /* [n_rows], nearest first */
  int n_rows;
  float *rows_s;                /* [ROWS_PAIRED, s]: their mean s */
  struct point *points;         /* [n_points] of [n_points_most], the cheapest first */
  int n_points, n_points_most;
  struct drafts drafts;
};

/* ---- 1. Rows ---- */

static void imagine_begin(struct call *c, struct imagine *g, struct options *o){
  struct content said = { NULL, 0 };
  *g = (struct imagine){ .n = N_DEFAULT };
  if( call_has(c, 2) ) g->n = (int)call_integer(c, 2, "n", 1, N_MOST);
  *o = call_options(c, 3);
  near_open(&g->near, c, 0, o);
  c->named = 0;                 /* it is the kind of the rows, not of the query */
  g->query = call_point(c, 1, "query");
  g->rows = arena_get(&c->arena, ROWS_READ*sizeof(*g->rows));
  if( g->rows==NULL ) fail_nomem(&c->err);
  if( sqlite3_value_type(c->args[1])==SQLITE_TEXT ) said = value_bytes(c, c->args[1]);
  near_rows(&g->near, &g->query, said, ROWS_READ, g->rows, &g->n_rows);
}

static void measure_rows(struct call *c, struct imagine *g){
  size_t s = (size_t)g->query.s;
  g->query_s = arena_floats(&c->arena, s);
  g->rows_s = arena_floats(&c->arena, ROWS_PAIRED*s);
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  for(int i=0; i<g->n_rows && i<ROWS_PAIRED; i++){
    const struct latent *z = &g->rows[i].z;
    point_s(g->rows_s + (size_t)i*s, (int)s, z, 0, z->n_segments);
  }
  point_s(g->query_s, (int)s, &g->query, 0, g->query.n_segments);
}

/* ---- 2. Points ---- */

/* The least squares of n = 2 or 3 unit vectors, not scaled, by Cramer's rule. gram[n, n]: their
** products with each other; q[n]: with the query. */
static void solve_squares(double *weights, const double gram[3][3], const double *q, int n){
  double a = gram[0][1];
  double b, d;
  if( n==2 ){
    weights[0] = q[0] - a*q[1];
    weights[1] = q[1] - a*q[0];
    return;
  }
  b = gram[0][2];
  d = gram[1][2];
  /* the adjugate of [1 a b; a 1 d; b d 1] */
  weights[0] = (1 - d*d)*q[0] + (b*d - a)*q[1] + (a*d - b)*q[2];
  weights[1] = (b*d - a)*q[0] + (1 - b*b)*q[1] + (a*b - d)*q[2];
  weights[2] = (a*d - b)*q[0] + (a*b - d)*q[1] + (1 - a*a)*q[2];
}

/* weights[n] of sum 1. False where one would be less than WEIGHT_LEAST: then no point between all n
** is nearest. */
static int find_weights(double *weights, const double gram[3][3], const double *q, int n){
  double sum = 0;
  solve_squares(weights, gram, q, n);
  for(int i=0; i<n; i++){
    if( !(weights[i]>0) ) return 0;
    sum += weights[i];
  }
  for(int i=0; i<n; i++){
    weights[i] /= sum;
    if( !(weights[i]>=WEIGHT_LEAST) ) return 0;
  }
  return 1;
}

/* p->z = the weighted mean of the parents, one after another along arcs. */
static void mix_rows(struct call *c, struct point *p){
  float t = (float)(p->weights[1]/(p->weights[0] + p->weights[1]));
  p->z = p->parents[0]->z;
  for(int i=1; i<p->n_parents && c->err.rc==SQLITE_OK; i++){
    struct latent mixed = p->z;
    if( i>1 ) t = (float)p->weights[i];
    point_interp(&p->z, &mixed, &p->parents[i]->z, t, &c->arena, &c->err);
  }
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

/* Keeps the list sorted by cost, the earlier of two equal ones first. Its last point leaves where
** it is full. */
static void enter_point(struct imagine *g, const struct point *p){
  int i = g->n_points;
  if( g->n_points<g->n_points_most ) g->n_points++;
  else i--;
  for(; i>0 && g->points[i-1].cost>p->cost; i--) g->points[i] = g->points[i-1];
  g->points[i] = *p;
}

/* Enters the point between the rows at[n] if it is one of the cheapest. */
static void try_point(struct call *c, struct imagine *g, const int *at, int n){
  struct arena_mark mark = arena_mark(&c->arena);
  struct point p = { .n_parents = n };
  int s = g->query.s;
  double gram[3][3], q[3];
  for(int i=0; i<n; i++){
    const float *x = g->rows_s + (size_t)at[i]*(size_t)s;
    p.parents[i] = &g->rows[at[i]];
    q[i] = dot(x, g->query_s, s);
    for(int k=0; k<n; k++) gram[i][k] = dot(x, g->rows_s + (size_t)at[k]*(size_t)s, s);
  }
  if( !find_weights(p.weights, gram, q, n) ) return;
  mix_rows(c, &p);
  if( c->err.rc!=SQLITE_OK ) return;
  p.cost = point_distance(&p.z, &g->query) + LOOSE*(1 - detail_length(&p.z));
  if( g->n_points<g->n_points_most || p.cost<g->points[g->n_points-1].cost ) enter_point(g, &p);
  else arena_rewind(&c->arena, mark);
}

/* Drops points from the end until what is left has at most SEGMENTS_MOST segments to decode. */
static void limit_segments(struct imagine *g){
  int n_segments = 0;
  for(int i=0; i<g->n_points; i++){
    n_segments += g->points[i].z.n_segments;
    if( i>0 && n_segments>SEGMENTS_MOST/DRAFT_DIALS ) g->n_points = i;
  }
}

static void find_points(struct call *c, struct imagine *g){
  int n = g->n_rows<ROWS_PAIRED ? g->n_rows : ROWS_PAIRED;
  int at[3];
  g->n_points_most = g->near.kind==KIND_PICTURE ? POINTS_PICTURES : POINTS;
  g->points = arena_get(&c->arena, POINTS*sizeof(*g->points));
  if( g->points==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  for(at[0]=0; at[0]<n; at[0]++){
    for(at[1]=at[0]+1; at[1]<n; at[1]++){
      if( err_stopped(&c->err) ) return;
      try_point(c, g, at, 2);
      for(at[2]=at[1]+1; at[2]<n && at[2]<ROWS_TRIPLED; at[2]++) try_point(c, g, at, 3);
    }
  }
  limit_segments(g);
}

/* ---- 4. Drafts ---- */

/* A query as a sentence. The writer goes on behind it; behind a phrase it would only end the phrase
** (", where the sea is calm"). */
static struct content as_sentence(struct call *c, struct content query){
  const char *from = query.bytes;
  size_t n = query.n;
  char *text = arena_get(&c->arena, n + 1);
  if( text==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return (struct content){ 0 };
  while( n>0 && is_ascii_space(from[n-1]) ) n--;
  memcpy(text, from, n);
  if( n>0 && is_ascii_lower(text[0]) ) text[0] = (char)(text[0] - 'a' + 'A');
  if( n>0 && is_word_part(text[n-1]) ) text[n++] = '.';
  return (struct content){ text, n };
}

/* Nobody needs to be told what he has just said: the query itself is no answer. */
static void make_drafts(struct call *c, struct imagine *g, const struct options *options){
  sqlite3_value *query = c->args[1];
  struct options own = *options;
  struct reading reading;
  reading_init(&reading, c, g->near.model, g->rows, g->n_rows);
  if( sqlite3_value_type(query)==SQLITE_TEXT && g->near.kind!=KIND_PICTURE ){
    struct content text = value_bytes(c, query);
    if( c->err.rc==SQLITE_OK ) reading_hold(&reading, text.bytes, text.n);
    if( g->near.kind==KIND_TEXT ) own.decode.before = as_sentence(c, text);
  }
  if( c->err.rc!=SQLITE_OK ) return;
  drafts_make(&g->drafts, &reading, g->points, g->n_points, &own);
  for(int i=0; i<g->drafts.n && c->err.rc==SQLITE_OK; i++){
    struct draft *d = &g->drafts.list[i];
    d->distance = point_distance(&d->again, &g->query);
  }
}

/* ---- 5. What is shown ---- */

/* Is the text of d nearly that of one of shown[n]? */
static int is_alike(const struct draft *d, const struct draft *const *shown, int n){
  for(int i=0; i<n; i++){
    if( drafts_alike(d, shown[i]) ) return 1;
  }
  return 0;
}

/* Does the table hold the text after all, in a row that is not among the neighbours of
** the query? */
static int is_held(struct call *c, struct imagine *g, const struct draft *d){
  struct arena_mark mark = arena_mark(&c->arena);
  struct content said = { d->text.data, d->text.n };
  struct neighbour rows[2];
  int n;
  int found = 0;
  near_rows(&g->near, &d->again, said, 2, rows, &n);
  if( c->err.rc!=SQLITE_OK ) return 0;
  for(int i=0; i<n; i++) found |= draft_says(d, &rows[i]);
  arena_rewind(&c->arena, mark);
  return found;
}

/* The best drafts, at most `most` of them, ascending by distance: shown[*n]. */
static void choose_drafts(struct call *c, struct imagine *g, const struct draft **shown, int most,
                          int *n){
  *n = 0;
  while( *n<most && c->err.rc==SQLITE_OK ){
    const struct draft *best = drafts_best(&g->drafts);
    if( best==NULL ) return;
    if( is_alike(best, shown, *n) || is_held(c, g, best) || c->err.rc!=SQLITE_OK ) continue;
    draft_show(best, shown, n);
  }
}

/* The nearest row, as a row of the result. */
static void give_row(struct call *c, const struct neighbour *row, struct rows *r){
  struct point p = { .parents = { row }, .weights = { 1 }, .n_parents = 1, .z = row->z };
  int kind = row->is_blob ? KIND_PICTURE : KIND_TEXT;
  draft_give(c, &p, kind, row->text, row->text_bytes, (float)row->distance, 1, r);
}

static void give_rows(struct call *c, struct imagine *g, struct rows *r){
  const struct draft **shown = arena_get(&c->arena, (size_t)g->n*sizeof(*shown));
  int i = 0;
  int is_given = 0;             /* the nearest row is */
  int n;
  if( shown==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  choose_drafts(c, g, shown, g->n>1 ? g->n - 1 : 1, &n);
  for(int k=0; k<g->n && (i<n || !is_given) && c->err.rc==SQLITE_OK; k++){
    if( !is_given && (i==n || shown[i]->distance>=g->rows[0].distance) ){
      give_row(c, &g->rows[0], r);
      is_given = 1;
    }else{
      const struct draft *d = shown[i++];
      draft_give(c, d->point, g->near.kind, d->text.data, d->text.n, d->distance, d->fidelity, r);
    }
  }
}

void imagine_fill(struct call *c, struct rows *r){
  struct options o;
  struct imagine g;
  imagine_begin(c, &g, &o);
  if( c->err.rc==SQLITE_OK && g.n_rows>0 ){
    measure_rows(c, &g);
    find_points(c, &g);
    make_drafts(c, &g, &o);
    give_rows(c, &g, r);
  }
  drafts_release(&g.drafts);
  near_release(&g.near);
}
