/*
** vtab_rank.c -- in what order a query's rows come, where that is not simply nearest first.
**
** The search streams rows nearest first. A ranking pulls the first HEAD_ROWS of them, once, and
** puts them into an order of its own; the rest follow as they stream. How many rows are pulled of
** it has no part in that, so there is one order, and its pages joined are the whole. In this order:
**
**   1. Words ("by", in a table with words=1). "words": the rows that have one of the query's words,
**      by FTS5's bm25 alone; others do not come. "both": the HEAD_ROWS nearest rows and the
**      HEAD_ROWS best of FTS5 are ordered by
**
**          bm25 + FUSED*distance
**
**      where bm25 (below 0, the better the lower) is 0 for a row without the words.
**
**   Where the statement has an ORDER BY distance, that is the order: "both" is then the same as
**   "meaning", since every row comes.
*/
#include "vtab.h"
#include <stdlib.h>
#include <string.h>

enum { HEAD_ROWS = 200 };
/* Units of bm25 that one unit of distance counts. */
static const double FUSED = 20;

/* ---- A row's vectors ---- */

/* In the call's arena; n is 0 where there are none. */
static struct vectors row_vectors(struct call *c, struct vtab *t, int64_t id){
  sqlite3_stmt *s = store_find(c, t, ROW_LATENT, id);
  struct vectors v = { NULL, 0 };
  struct content latent = { NULL, 0 };
  if( s ) latent = row_latent(c, t, s);
  if( latent.bytes ) v = vectors_from_stored(c, t, latent, &c->arena, "a stored latent");
  sqlite3_reset(s);
  return v;
}

/* Fills in row->distance; 0: the row cannot be given. */
static int measure(struct call *c, struct vtab *t, const struct ranking *r, struct found *row){
  struct arena_mark mark = arena_mark(&c->arena);
  struct vectors v;
  if( row->distance!=UNKNOWN_DISTANCE ) return 1;
  v = row_vectors(c, t, row->rowid);
  if( v.n>0 ) row->distance = distance_of(r->query, &v, t->width);
  arena_rewind(&c->arena, mark);
  return v.n>0;
}

/* Would the index let the row through? Another table's rows may have filters that are none. */
static int meets(struct call *c, struct vtab *t, int64_t id, const struct conditions *want){
  sqlite3_stmt *s;
  int holds;
  if( want->n_terms==0 ) return 1;
  s = store_find(c, t, ROW_GET, id);
  holds = s!=NULL;
  for(int i=0; i<want->n_terms && holds; i++){
    const struct term *term = &want->terms[i];
    uint64_t key = (uint64_t)id;
    if( term->column>=0 ){
      sqlite3_value *v = sqlite3_column_value(s, COLUMN_FILTERS + term->column);
      key = filter_key(t->definition.filters[term->column].type, v);
    }
    holds = term_holds(term, key);
  }
  sqlite3_reset(s);
  return holds;
}

/* ---- Orders ---- */

static int compare_ids(const struct found *x, const struct found *y){
  return (x->rowid>y->rowid) - (x->rowid<y->rowid);
}

static int by_id(const void *a, const void *b){
  return compare_ids(a, b);
}

static int by_score(const void *a, const void *b){
  const struct found *x = a;
  const struct found *y = b;
  if( x->score!=y->score ) return x->score<y->score ? -1 : 1;
  return compare_ids(x, y);
}

static int by_distance(const void *a, const void *b){
  const struct found *x = a;
  const struct found *y = b;
  if( x->distance!=y->distance ) return x->distance<y->distance ? -1 : 1;
  return compare_ids(x, y);
}

static void sort(struct found *rows, int64_t n, int (*order)(const void *, const void *)){
  if( n>1 ) qsort(rows, (size_t)n, sizeof(*rows), order);
}

/* ---- By words alone ---- */

/* Only the rows with a query's word. Where their distances are not asked for yet, each is measured
** when its turn comes. */
static void take_hits(struct call *c, struct vtab *t, struct ranking *r, const struct buf *hits,
                      const struct conditions *want, int is_sorted){
  const struct found *list = (const struct found *)(const void *)hits->data;
  int64_t n = (int64_t)(hits->n/sizeof(*list));
  r->ends = 1;
  r->head = arena_get(r->arena, hits->n);
  if( r->head==NULL ) fail_nomem(&c->err);
  for(int64_t i=0; i<n && c->err.rc==SQLITE_OK; i++){
    struct found row = list[i];
    if( row.rowid<want->low || row.rowid>want->high ) continue;
    if( is_sorted && !measure(c, t, r, &row) ) continue;
    r->head[r->n_head++] = row;
  }
  sort(r->head, r->n_head, is_sorted ? by_distance : by_score);
}

/* ---- By words and meaning ---- */

/* The first rows of the stream. */
static void pull_head(struct call *c, struct ranking *r, int n){
  while( r->n_head<n && r->stream.next(c, r->stream.arg, &r->head[r->n_head]) ) r->n_head++;
}

/* hits[n]: ascending by rowid. */
static void fuse_near(struct ranking *r, const struct found *hits, int64_t n){
  for(int64_t i=0; i<r->n_head; i++){
    struct found *row = &r->head[i];
    const struct found *hit = NULL;
    if( n>0 ) hit = bsearch(row, hits, (size_t)n, sizeof(*hits), by_id);
    row->score = (hit ? hit->score : 0) + FUSED*row->distance;
    if( hit ) key_set_add(&r->given, (uint64_t)row->rowid);
  }
}

/* hits[n]: ascending by score. The best of them that are not among the near rows. */
static void fuse_hits(struct call *c, struct vtab *t, struct ranking *r, const struct found *hits,
                      int64_t n, const struct conditions *want){
  int n_taken = 0;
  for(int64_t i=0; i<n && n_taken<HEAD_ROWS && c->err.rc==SQLITE_OK; i++){
    struct found row = hits[i];
    if( !meets(c, t, row.rowid, want) || !measure(c, t, r, &row) ) continue;
    n_taken++;
    if( row.distance>want->farthest || !key_set_add(&r->given, (uint64_t)row.rowid) ) continue;
    row.score += FUSED*row.distance;
    r->head[r->n_head++] = row;
  }
}

static void fuse(struct call *c, struct vtab *t, struct ranking *r, const struct buf *found,
                 const struct conditions *want){
  struct found *hits = (struct found *)(void *)found->data;
  int64_t n = (int64_t)(found->n/sizeof(*hits));
  r->head = arena_get(r->arena, sizeof(*r->head)*2*HEAD_ROWS);
  if( r->head==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK || n==0 ) return;
  pull_head(c, r, HEAD_ROWS);
  sort(hits, n, by_id);
  fuse_near(r, hits, n);
  sort(hits, n, by_score);
  fuse_hits(c, t, r, hits, n, want);
  sort(r->head, r->n_head, by_score);
}

/* ---- The ranking ---- */

int ranking_begin(struct call *c, struct vtab *t, struct ranking *r, const struct content *words,
                  const struct conditions *want, int is_sorted){
  struct buf hits = { 0 };
  if( c->err.rc!=SQLITE_OK || words==NULL ) return c->err.rc;
  if( r->by==BY_BOTH && is_sorted ) return SQLITE_OK;
  r->given.arena = r->arena;
  words_find(c, t, *words, &hits);
  if( c->err.rc==SQLITE_OK && r->by==BY_WORDS ) take_hits(c, t, r, &hits, want, is_sorted);
  if( c->err.rc==SQLITE_OK && r->by==BY_BOTH ) fuse(c, t, r, &hits, want);
  if( r->given.oom ) fail_nomem(&c->err);
  buf_release(&hits);
  return c->err.rc;
}

int ranking_next(struct call *c, struct vtab *t, struct ranking *r, struct found *row){
  if( r->query==NULL ) return 0;        /* nothing was asked for */
  while( c->err.rc==SQLITE_OK && r->at<r->n_head ){
    *row = r->head[r->at++];
    if( measure(c, t, r, row) ) return c->err.rc==SQLITE_OK;
  }
  while( c->err.rc==SQLITE_OK && !r->ends && r->stream.next(c, r->stream.arg, row) ){
    if( !key_set_has(&r->given, (uint64_t)row->rowid) ) return 1;
  }
  return 0;
}
