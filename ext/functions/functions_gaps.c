/*
** functions_gaps.c -- latent_gaps(index [, n] [, options]): places between neighbouring rows where no row is.
**
** 1. SAMPLES rows, at equal steps of the rowid; {"seed": ...} shifts the steps. So the work does not grow with the table. Of one kind: the one that options
**    name, else the most frequent among them.
** 2. The midpoints of each and its RANKS nearest neighbours. How empty a midpoint is: the distance of its nearest row. It cannot be
**    more than that of the nearest among the neighbours, which costs no search: the SEARCHED most promising ones are looked up in the table.
** 3. A midpoint to which some third row lies nearer than its parents is no gap: what is left is decoded (functions_draft.c), at most POINTS of them.
** 4. Shown are n: the emptiest that read well and do not lie near one shown already (APART), ordered by emptiness.
**
** A pair far apart has an empty middle as a matter of course; the flaws of its text keep it from the top where nothing sensible lies there.
*/
#include "functions.h"
#include <math.h>
#include <string.h>

#define N_MOST 20               /* rows shown */
#define N_DEFAULT 5
#define SAMPLES 48
#define RANKS 8
#define SEARCHED 64
#define POINTS 20
#define SEGMENTS_MOST 240       /* decoded at most, where documents are long */
#define WITNESS 0.98f           /* a row nearer than this, in the nearer parent's distance, lies in the gap */
#define APART 0.2f              /* distance between two that are shown */

struct gap {
  struct point point;           /* cost: less the distance of the nearest row that is known */
  float parent_distance;        /* of the nearer parent */
};
struct gaps {
  struct near near;
  int n;
  uint64_t seed;
  struct neighbour *found;      /* [n_found] of [SAMPLES]: the samples, of any kind */
  int n_found;
  struct neighbour *rows;       /* [n_rows] of [SAMPLES*(RANKS+1)]: each sample of the kind, then its neighbours */
  int n_rows;
  int at[SAMPLES], count[SAMPLES];      /* where a sample lies, and how many neighbours follow it */
  int n_samples;
  struct gap *list;             /* [n_gaps], the most promising first */
  int n_gaps;
  struct drafts drafts;
};

/* ---- 1. Rows ---- */

static int find_samples(struct call *c, struct gaps *g){
  sqlite3_int64 least, most, last = INT64_MIN;
  uint64_t span, shift;
  if( near_rowids(&g->near, &least, &most)!=SQLITE_OK || most<least ) return c->err.rc;
  span = (uint64_t)most - (uint64_t)least;
  shift = g->seed*0x9E3779B97F4A7C15u % (span/SAMPLES + 1);
  for(uint64_t i=0; i<SAMPLES; i++){
    sqlite3_int64 from = (sqlite3_int64)((uint64_t)least + span/SAMPLES*i + span%SAMPLES*i/SAMPLES + shift);
    int found;
    if( i>0 && from<=last ) continue;
    if( near_from(&g->near, from, &g->found[g->n_found], &found)!=SQLITE_OK ) return c->err.rc;
    if( found ) last = g->found[g->n_found++].rowid;
  }
  return SQLITE_OK;
}

/* The kind that most samples are of; the first of two. */
static int most_frequent(const struct gaps *g){
  int counts[KIND_CODE+1] = { 0 }, best = KIND_TEXT;
  for(int i=0; i<g->n_found; i++) counts[g->found[i].z.kind]++;
  for(int kind=KIND_TEXT; kind<=KIND_CODE; kind++) if( counts[kind]>counts[best] ) best = kind;
  return best;
}

static int sample_rows(struct call *c, struct gaps *g){
  g->found = arena_get(&c->arena, (size_t)(SAMPLES+1)*sizeof(*g->found));
  g->rows = arena_get(&c->arena, (size_t)SAMPLES*(RANKS+2)*sizeof(*g->rows));
  if( c->arena.oom ) return fail_nomem(&c->err);
  if( find_samples(c, g)!=SQLITE_OK || (!g->near.kind && near_settle(&g->near, most_frequent(g))!=SQLITE_OK) ) return c->err.rc;
  for(int i=0; i<g->n_found; i++){
    struct neighbour *own = &g->rows[g->n_rows];
    int n, k = g->n_samples;
    if( g->found[i].z.kind!=g->near.kind ) continue;
    *own = g->found[i];
    if( near_rows(&g->near, &own->z, RANKS+1, own+1, &n)!=SQLITE_OK ) return c->err.rc;
    g->at[k] = g->n_rows;
    g->count[k] = n;
    g->n_samples++;
    g->n_rows += 1+n;
  }
  return SQLITE_OK;
}

/* ---- 2. Midpoints ---- */

/* Enters a pair's midpoint where it is among the SEARCHED most promising: sorted, the earlier of two equal ones first. */
static int try_pair(struct call *c, struct gaps *g, int k, const struct neighbour *b){
  struct arena_mark mark = arena_mark(&c->arena);
  const struct neighbour *a = &g->rows[g->at[k]];
  struct gap gap = { .point = { .parents = { a, b }, .weights = { 0.5, 0.5 }, .n_parents = 2 } };
  int i;
  float nearest;
  if( point_interp(&gap.point.z, &a->z, &b->z, 0.5f, &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
  gap.parent_distance = nearest = fminf(point_distance(&gap.point.z, &a->z), point_distance(&gap.point.z, &b->z));
  for(i=1; i<=g->count[k]; i++) nearest = fminf(nearest, point_distance(&gap.point.z, &a[i].z));
  gap.point.cost = -nearest;
  if( nearest<WITNESS*gap.parent_distance || nearest<=0 || (g->n_gaps==SEARCHED && !(gap.point.cost<g->list[SEARCHED-1].point.cost)) ){
    arena_rewind(&c->arena, mark);
    return SQLITE_OK;
  }
  i = g->n_gaps<SEARCHED ? g->n_gaps++ : SEARCHED-1;
  for(; i>0 && g->list[i-1].point.cost>gap.point.cost; i--) g->list[i] = g->list[i-1];
  g->list[i] = gap;
  return SQLITE_OK;
}

static int is_pair_known(const struct gaps *g, sqlite3_int64 a, sqlite3_int64 b){
  for(int i=0; i<g->n_gaps; i++){
    if( g->list[i].point.parents[0]->rowid==b && g->list[i].point.parents[1]->rowid==a ) return 1;
  }
  return 0;
}

static int find_pairs(struct call *c, struct gaps *g){
  g->list = arena_get(&c->arena, SEARCHED*sizeof(*g->list));
  if( !g->list ) return fail_nomem(&c->err);
  for(int k=0; k<g->n_samples; k++){
    const struct neighbour *a = &g->rows[g->at[k]];
    if( run_stopped(&c->run) ) return c->err.rc;
    for(int i=1; i<=g->count[k]; i++){
      if( a[i].rowid==a->rowid || is_pair_known(g, a->rowid, a[i].rowid) ) continue;
      if( try_pair(c, g, k, &a[i])!=SQLITE_OK ) return c->err.rc;
    }
  }
  return SQLITE_OK;
}

/* ---- 3. Which are gaps: asked of the table ---- */

/* points[*n_points]: those without a witness, at most POINTS. cost: less the emptiness. */
static int keep_gaps(struct call *c, struct gaps *g, struct point *points, int *n_points){
  int n_segments = 0;
  *n_points = 0;
  for(int i=0; i<g->n_gaps && *n_points<POINTS; i++){
    struct gap *gap = &g->list[i];
    struct arena_mark mark = arena_mark(&c->arena);
    struct neighbour nearest;
    int n, is_gap;
    if( near_rows(&g->near, &gap->point.z, 1, &nearest, &n)!=SQLITE_OK ) return c->err.rc;
    is_gap = n==1 && nearest.distance>=(double)(WITNESS*gap->parent_distance);
    if( is_gap ) gap->point.cost = -(float)nearest.distance;
    arena_rewind(&c->arena, mark);
    if( !is_gap || (*n_points>0 && n_segments + gap->point.z.n_segments>SEGMENTS_MOST/DRAFT_DIALS) ) continue;
    n_segments += gap->point.z.n_segments;
    points[(*n_points)++] = gap->point;
  }
  return SQLITE_OK;
}

/* ---- 4. What is shown ---- */

static int is_near(const struct draft *d, const struct draft *const *shown, int n){
  for(int i=0; i<n; i++){
    if( point_distance(&d->point->z, &shown[i]->point->z)<APART || point_distance(&d->again, &shown[i]->again)<APART ) return 1;
  }
  return 0;
}

/* The best drafts, at most n of them, the emptiest first. */
static int give(struct call *c, struct gaps *g, struct rows *r){
  const struct draft **shown = arena_get(&c->arena, (size_t)g->n*sizeof(*shown));
  char *seen = arena_zeroed(&c->arena, (size_t)g->drafts.n + 1);
  int n = 0, at;
  if( c->arena.oom ) return fail_nomem(&c->err);
  while( n<g->n ){
    struct draft *best = NULL;
    for(int i=0; i<g->drafts.n; i++){
      struct draft *d = &g->drafts.list[i];
      if( !seen[i] && (!best || d->point->cost + d->flaw<best->point->cost + best->flaw) ) best = d;
    }
    if( !best ) break;
    seen[best - g->drafts.list] = 1;
    if( is_near(best, shown, n) ) continue;
    for(at=n++; at>0 && shown[at-1]->point->cost>best->point->cost; at--) shown[at] = shown[at-1];
    shown[at] = best;
  }
  for(int i=0; i<n; i++){
    const struct draft *d = shown[i];
    if( draft_give(c, d->point, g->near.kind, d->text.data, d->text.n, -d->point->cost, d->fidelity, r)!=SQLITE_OK ) return c->err.rc;
  }
  return SQLITE_OK;
}

static int gaps_begin(struct call *c, struct gaps *g, struct options *o){
  memset(g, 0, sizeof(*g));
  g->n = call_has(c, 1) ? (int)call_integer(c, 1, "n", 1, N_MOST) : N_DEFAULT;
  *o = call_options(c, 2);
  g->seed = o->decode.seed;
  c->named = 0;                 /* it is the kind of the rows */
  return near_open(&g->near, c, 0, o->kind);
}

void gaps_fill(struct call *c, struct rows *r){
  struct reading reading;
  struct options o;
  struct gaps g;
  struct point *points = arena_get(&c->arena, POINTS*sizeof(*points));
  int n_points;
  if( !points ){
    fail_nomem(&c->err);
    return;
  }
  if( gaps_begin(c, &g, &o)==SQLITE_OK && sample_rows(c, &g)==SQLITE_OK && find_pairs(c, &g)==SQLITE_OK
   && keep_gaps(c, &g, points, &n_points)==SQLITE_OK && reading_init(&reading, c, g.near.model, g.rows, g.n_rows)==SQLITE_OK
   && drafts_make(&g.drafts, &reading, points, n_points, &o)==SQLITE_OK ){
    give(c, &g, r);
  }
  drafts_release(&g.drafts);
  near_release(&g.near);
}
