/*
** functions_gaps.c -- latent_gaps(index [, n] [, options]): places between neighbouring rows where
** no row is.
**
** 1. SAMPLES rows of one kind are taken at equal steps of the rowid, so the work does not grow with
**    the table; {"seed": ...} shifts the steps. The kind is the one that options name, else the
**    most frequent one among the samples.
** 2. The midpoint of each sample and each of its RANKS nearest neighbours is looked at. A midpoint
**    is as empty as its nearest row is far. That row is at most as far as the nearest of the
**    neighbours, which is known without a search. The SEARCHED most promising midpoints are
**    searched for in the table.
** 3. A midpoint is no gap if some third row lies nearer to it than its parents do. What is left, at
**    most POINTS of them, is decoded (functions_draft.c).
** 4. n are shown: the emptiest that read well and that do not lie near one already shown (APART),
**    ordered by emptiness.
**
** A pair far apart always has an empty middle. Where nothing sensible lies there, the flaws of its
** text keep it from the top.
*/
#include "functions.h"
#include <math.h>
#include <string.h>

enum {
  N_MOST = 20,                  /* rows shown */
  N_DEFAULT = 5,
  SAMPLES = 48,
  RANKS = 8,
  SEARCHED = 64,
  POINTS = 20,
  SEGMENTS_MOST = 240           /* decoded at most, where documents are long */
};
/* A row lies in the gap if it is nearer to the middle than this share of the nearer parent's
** distance. */
static const float WITNESS = 0.98f;
static const float APART = 0.2f;        /* distance between two that are shown */

struct gap {
  struct point point;           /* cost: less the distance of the nearest row that is known */
  float parent_distance;        /* of the nearer parent */
};
struct gaps {
  struct near near;
  int n;                        /* rows asked for */
  uint64_t seed;
  struct neighbour *found;      /* [n_found] of [SAMPLES+1]: the samples, of any kind */
  int n_found;
  struct neighbour *rows;       /* [n_rows]: each sample of the kind, then its neighbours */
  int n_rows;
  int at[SAMPLES], count[SAMPLES];      /* where a sample lies in rows, and how many follow it */
  int n_samples;
  struct gap *list;             /* [n_gaps] of [SEARCHED], the most promising first */
  int n_gaps;
  struct drafts drafts;
};

/* ---- 1. Rows ---- */

static void gaps_begin(struct call *c, struct gaps *g, struct options *o){
  *g = (struct gaps){ .n = N_DEFAULT };
  if( call_has(c, 1) ) g->n = (int)call_integer(c, 1, "n", 1, N_MOST);
  *o = call_options(c, 2);
  g->seed = o->decode.seed;
  c->named = 0;                 /* it is the kind of the rows */
  near_open(&g->near, c, 0, o);
}

static void find_samples(struct call *c, struct gaps *g){
  sqlite3_int64 least, most;
  sqlite3_int64 last = INT64_MIN;
  uint64_t span, shift;
  near_rowids(&g->near, &least, &most);
  if( c->err.rc!=SQLITE_OK || most<least ) return;
  span = (uint64_t)most - (uint64_t)least;
  shift = g->seed*0x9E3779B97F4A7C15u % (span/SAMPLES + 1);
  for(uint64_t i=0; i<SAMPLES && c->err.rc==SQLITE_OK; i++){
    uint64_t step = span/SAMPLES*i + span%SAMPLES*i/SAMPLES;
    sqlite3_int64 from = (sqlite3_int64)((uint64_t)least + step + shift);
    int found;
    if( i>0 && from<=last ) continue;
    near_from(&g->near, from, &g->found[g->n_found], &found);
    if( found ) last = g->found[g->n_found++].rowid;
  }
}

/* The kind that most samples are of; the first of two equal ones. */
static int most_frequent(const struct gaps *g){
  int counts[KIND_CODE+1] = { 0 };
  int best = KIND_TEXT;
  for(int i=0; i<g->n_found; i++) counts[g->found[i].z.kind]++;
  for(int kind=KIND_TEXT; kind<=KIND_CODE; kind++){
    if( counts[kind]>counts[best] ) best = kind;
  }
  return best;
}

static struct content text_of(const struct neighbour *row){
  return (struct content){ row->text, row->text_bytes };
}

/* Enters a sample, and the neighbours that follow it in g->rows. */
static void add_sample(struct gaps *g, const struct neighbour *sample){
  struct neighbour *own = &g->rows[g->n_rows];
  int n;
  *own = *sample;
  near_rows(&g->near, &own->z, text_of(own), RANKS + 1, own + 1, &n);
  g->at[g->n_samples] = g->n_rows;
  g->count[g->n_samples++] = n;
  g->n_rows += 1 + n;
}

static void sample_rows(struct call *c, struct gaps *g){
  g->found = arena_get(&c->arena, (SAMPLES + 1)*sizeof(*g->found));
  g->rows = arena_get(&c->arena, SAMPLES*(RANKS + 2)*sizeof(*g->rows));
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  find_samples(c, g);
  if( !g->near.kind ) near_settle(&g->near, most_frequent(g));
  for(int i=0; i<g->n_found && c->err.rc==SQLITE_OK; i++){
    if( g->found[i].z.kind==g->near.kind ) add_sample(g, &g->found[i]);
  }
}

/* ---- 2. Midpoints ---- */

/* Keeps the list sorted, the earlier of two equal ones first. Its last leaves where it is full. */
static void enter_gap(struct gaps *g, const struct gap *gap){
  int i = g->n_gaps<SEARCHED ? g->n_gaps++ : SEARCHED - 1;
  float cost = gap->point.cost;
  for(; i>0 && g->list[i-1].point.cost>cost; i--) g->list[i] = g->list[i-1];
  g->list[i] = *gap;
}

static int is_promising(const struct gaps *g, const struct gap *gap){
  float nearest = -gap->point.cost;
  if( nearest<WITNESS*gap->parent_distance || nearest<=0 ) return 0;
  return g->n_gaps<SEARCHED || gap->point.cost<g->list[SEARCHED-1].point.cost;
}

/* Enters the midpoint of sample k and b where it is among the most promising. */
static void try_pair(struct call *c, struct gaps *g, int k, const struct neighbour *b){
  struct arena_mark mark = arena_mark(&c->arena);
  const struct neighbour *a = &g->rows[g->at[k]];
  struct gap gap = { .point = { .parents = { a, b }, .weights = { 0.5, 0.5 }, .n_parents = 2 } };
  struct latent *z = &gap.point.z;
  float nearest;
  if( point_interp(z, &a->z, &b->z, 0.5f, &c->arena, &c->err)!=SQLITE_OK ) return;
  nearest = fminf(point_distance(z, &a->z), point_distance(z, &b->z));
  gap.parent_distance = nearest;
  for(int i=1; i<=g->count[k]; i++) nearest = fminf(nearest, point_distance(z, &a[i].z));
  gap.point.cost = -nearest;
  if( is_promising(g, &gap) ) enter_gap(g, &gap);
  else arena_rewind(&c->arena, mark);
}

/* The pair was looked at the other way round. */
static int is_pair_known(const struct gaps *g, sqlite3_int64 a, sqlite3_int64 b){
  for(int i=0; i<g->n_gaps; i++){
    const struct point *p = &g->list[i].point;
    if( p->parents[0]->rowid==b && p->parents[1]->rowid==a ) return 1;
  }
  return 0;
}

static void find_pairs(struct call *c, struct gaps *g){
  g->list = arena_get(&c->arena, SEARCHED*sizeof(*g->list));
  if( g->list==NULL ) fail_nomem(&c->err);
  for(int k=0; k<g->n_samples && c->err.rc==SQLITE_OK; k++){
    const struct neighbour *a = &g->rows[g->at[k]];
    if( err_stopped(&c->err) ) return;
    for(int i=1; i<=g->count[k] && c->err.rc==SQLITE_OK; i++){
      int is_known = a[i].rowid==a->rowid || is_pair_known(g, a->rowid, a[i].rowid);
      if( !is_known ) try_pair(c, g, k, &a[i]);
    }
  }
}

/* ---- 3. Which are gaps: asked of the table ---- */

/* The nearest row to the middle, as the table knows it: *nearest. A table with an encoder of its
** own cannot be asked for a point; there it is the nearest of the rows near the parents. Returns
** whether there is one. */
static int find_nearest(struct gaps *g, const struct gap *gap, struct neighbour *nearest){
  const struct point *p = &gap->point;
  int found = 0;
  for(int i=0; i<(g->near.has_encoder ? 2 : 1); i++){
    struct neighbour row;
    int n;
    near_rows(&g->near, &p->z, text_of(p->parents[i]), 1, &row, &n);
    if( n==0 || (found && row.distance>=nearest->distance) ) continue;
    *nearest = row;
    found = 1;
  }
  return found;
}

/* The table's nearest row is not nearer than the parents are. Sets the cost: less the emptiness. */
static int is_gap(struct call *c, struct gaps *g, struct gap *gap){
  struct arena_mark mark = arena_mark(&c->arena);
  struct neighbour nearest;
  int is_empty;
  int found = find_nearest(g, gap, &nearest);
  if( c->err.rc!=SQLITE_OK ) return 0;
  is_empty = found && nearest.distance>=(double)(WITNESS*gap->parent_distance);
  if( is_empty ) gap->point.cost = -(float)nearest.distance;
  arena_rewind(&c->arena, mark);
  return is_empty;
}

/* Fills points[POINTS] with those that are gaps. Returns how many. */
static int keep_gaps(struct call *c, struct gaps *g, struct point *points){
  int n_segments = 0;
  int n = 0;
  for(int i=0; i<g->n_gaps && n<POINTS && c->err.rc==SQLITE_OK; i++){
    struct gap *gap = &g->list[i];
    int more = gap->point.z.n_segments;
    if( !is_gap(c, g, gap) ) continue;
    if( n>0 && n_segments + more>SEGMENTS_MOST/DRAFT_DIALS ) continue;
    n_segments += more;
    points[n++] = gap->point;
  }
  return n;
}

/* ---- 4. What is shown ---- */

static int is_near(const struct draft *d, const struct draft *const *shown, int n){
  for(int i=0; i<n; i++){
    if( point_distance(&d->point->z, &shown[i]->point->z)<APART ) return 1;
    if( point_distance(&d->again, &shown[i]->again)<APART ) return 1;
  }
  return 0;
}

/* The best drafts, at most g->n of them, the emptiest first: shown[n]. Returns n. A draft's
** distance is less its emptiness. */
static int choose_drafts(struct gaps *g, const struct draft **shown){
  int n = 0;
  for(int i=0; i<g->drafts.n; i++) g->drafts.list[i].distance = g->drafts.list[i].point->cost;
  while( n<g->n ){
    const struct draft *best = drafts_best(&g->drafts);
    if( best==NULL ) break;
    if( !is_near(best, shown, n) ) draft_show(best, shown, &n);
  }
  return n;
}

static void give_rows(struct call *c, struct gaps *g, struct rows *r){
  const struct draft **shown = arena_get(&c->arena, (size_t)g->n*sizeof(*shown));
  int n;
  if( shown==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  n = choose_drafts(g, shown);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    const struct draft *d = shown[i];
    draft_give(c, d->point, g->near.kind, d->text.data, d->text.n, -d->distance, d->fidelity, r);
  }
}

void gaps_fill(struct call *c, struct rows *r){
  struct point *points = arena_get(&c->arena, POINTS*sizeof(*points));
  struct reading reading;
  struct options o;
  struct gaps g;
  int n_points;
  if( points==NULL ) fail_nomem(&c->err);
  gaps_begin(c, &g, &o);
  sample_rows(c, &g);
  find_pairs(c, &g);
  n_points = keep_gaps(c, &g, points);
  reading_init(&reading, c, g.near.model, g.rows, g.n_rows);
  if( c->err.rc==SQLITE_OK ) drafts_make(&g.drafts, &reading, points, n_points, &o);
  if( c->err.rc==SQLITE_OK ) give_rows(c, &g, r);
  drafts_release(&g.drafts);
  near_release(&g.near);
}
