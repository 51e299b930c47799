/*
** vtab_rank.c -- in what order a query's rows come, where that is not simply nearest first.
**
** The search streams rows nearest first. A ranking pulls the first HEAD_ROWS of them, once, and
** puts them into an order of its own; the rest follow as they stream. How many rows are pulled of
** it has no part in that. So there is one order, and its pages, joined, are the whole.
**
**   1. Words, in a table with words=1. By "words": the rows that have one of the query's words, by
**      FTS5's bm25 alone; others do not come. By "both": the HEAD_ROWS nearest rows and the
**      HEAD_ROWS best of FTS5 are ordered by
**
**          distance - WORDS_WEIGHT*b/(most + WORDS_FLOOR)
**
**      b is how well the row has the words: FTS5's bm25 with its sign turned, 0 for a row without
**      them; most is the greatest b of any row. So long questions, whose b are sums of more words,
**      count as much as short ones, and words that are everywhere, whose b are near 0, for little.
**      nDCG@10 over the 809 training queries of SciFact, latent_embed()'s distances: 0.745; bm25 -
**      F*distance 0.735 to 0.745 (F = 20 to 40), reciprocal ranks 0.720 at best, words alone 0.701,
**      meaning alone 0.655. Any weight from 0.4 to 1 gives 0.737 or more.
**   2. "diverse": the first HEAD_ROWS rows of that order are put into another, by maximal marginal
**      relevance (Carbonell and Goldstein 1998). The next row is always the one with the greatest
**
**          (1 - diverse)*relevance - diverse*similarity
**
**      similarity is the cosine to the most similar row before it. relevance is the cosine to the
**      query; in an order by words the row at place i has the i-th greatest cosine instead. So it
**      is on the scale of the similarities, whatever the rows were ordered by.
**   3. "within": a row nearer than that to one that was given is left out. Rows are compared with
**      the first KEPT_MOST that were given.
**
** Where the statement has an ORDER BY distance, that is the order. By "both" is then the same as by
** "meaning", since every row comes, and "diverse" counts for nothing.
*/
#include "vtab.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_ROWS = 200, KEPT_MOST = 1000 };
static const double WORDS_WEIGHT = 0.5;
static const double WORDS_FLOOR = 5;

double distance_of(const float *query, const struct vectors *v, int width){
  float nearest = 2;
  for(int i=0; i<v->n; i++){
    float d = 1 - dot(query, v->x + (size_t)i*(size_t)width, width);
    if( d<nearest ) nearest = d;
  }
  return nearest<0 ? 0 : nearest;
}

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

/* What stands for the row where rows are compared: the vector of the whole. Of several contents it
** is the mean of all vectors, which takes the place of the first. */
static const float *whole_of(const struct vtab *t, struct vectors *v){
  int width = t->width;
  if( t->definition.n_bodies<2 ) return v->x;
  for(int i=1; i<v->n; i++){
    for(int j=0; j<width; j++) v->x[j] += v->x[(size_t)i*(size_t)width+(size_t)j];
  }
  normalize(v->x, width);
  return v->x;
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

int found_by_distance(const void *a, const void *b){
  const struct found *x = a;
  const struct found *y = b;
  if( x->distance!=y->distance ) return x->distance<y->distance ? -1 : 1;
  return compare_ids(x, y);
}

void found_sort(struct found *rows, int64_t n, int (*order)(const void *, const void *)){
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
  found_sort(r->head, r->n_head, is_sorted ? found_by_distance : by_score);
}

/* ---- By words and meaning ---- */

/* The first rows of the stream. */
static void pull_head(struct call *c, struct ranking *r){
  r->head = arena_get(r->arena, sizeof(*r->head)*2*HEAD_ROWS);
  if( r->head==NULL ) fail_nomem(&c->err);
  while( r->n_head<HEAD_ROWS && r->stream.next(c, r->stream.arg, &r->head[r->n_head]) ){
    r->n_head++;
  }
}

/* The row's place by both: its score was FTS5's, which is at least `least`. */
static void fuse_row(struct found *row, double least){
  row->score = row->distance + WORDS_WEIGHT*row->score/(WORDS_FLOOR - least);
}

/* hits[n]: ascending by rowid. */
static void fuse_near(struct ranking *r, const struct found *hits, int64_t n, double least){
  for(int64_t i=0; i<r->n_head; i++){
    struct found *row = &r->head[i];
    const struct found *hit = NULL;
    if( n>0 ) hit = bsearch(row, hits, (size_t)n, sizeof(*hits), by_id);
    row->score = hit ? hit->score : 0;
    fuse_row(row, least);
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
    fuse_row(&row, hits[0].score);
    r->head[r->n_head++] = row;
  }
}

static void fuse(struct call *c, struct vtab *t, struct ranking *r, const struct buf *found,
                 const struct conditions *want){
  struct found *hits = (struct found *)(void *)found->data;
  int64_t n = (int64_t)(found->n/sizeof(*hits));
  double least = 0;
  if( n==0 ) return;
  for(int64_t i=0; i<n; i++) least = fmin(least, hits[i].score);
  pull_head(c, r);
  found_sort(hits, n, by_id);
  fuse_near(r, hits, n, least);
  found_sort(hits, n, by_score);
  fuse_hits(c, t, r, hits, n, want);
  found_sort(r->head, r->n_head, by_score);
}

/* ---- Diverse rows ---- */

struct candidate {              /* a row of those that are put into another order */
  struct found row;
  const float *vector;          /* [width]: of the whole row */
  float relevance;
  float nearest;                /* cosine to the most similar row that was chosen */
};

/* list[HEAD_ROWS]: the first rows of the head that have a vector. *n: how many. Returns how many
** rows of the head were looked at. */
static int64_t read_candidates(struct call *c, struct vtab *t, const struct ranking *r,
                               struct candidate *list, int *n){
  int64_t from = 0;
  *n = 0;
  for(; from<r->n_head && *n<HEAD_ROWS && c->err.rc==SQLITE_OK; from++){
    struct candidate x = { .row = r->head[from] };
    struct vectors v = row_vectors(c, t, x.row.rowid);
    if( v.n==0 ) continue;
    x.row.distance = distance_of(r->query, &v, t->width);
    x.vector = whole_of(t, &v);
    list[(*n)++] = x;
  }
  return from;
}

static int descending(const void *a, const void *b){
  float x = *(const float *)a;
  float y = *(const float *)b;
  return (x<y) - (x>y);
}

/* The row at place i has the i-th greatest cosine to the query. */
static void set_relevance(struct candidate *list, int n){
  float cosines[HEAD_ROWS];
  for(int i=0; i<n; i++) cosines[i] = (float)(1 - list[i].row.distance);
  if( n>1 ) qsort(cosines, (size_t)n, sizeof(*cosines), descending);
  for(int i=0; i<n; i++) list[i].relevance = cosines[i];
}

/* Which of list[n] comes first: of equal ones the first. */
static int choose(const struct candidate *list, int n, float diverse){
  float best = -INFINITY;
  int chosen = 0;
  for(int i=0; i<n; i++){
    float value = (1 - diverse)*list[i].relevance - diverse*list[i].nearest;
    if( value>best ){
      best = value;
      chosen = i;
    }
  }
  return chosen;
}

/* Each choice compares the row that was chosen with all that are left. */
static void spread(struct candidate *list, int n, float diverse, int width){
  for(; n>1; list++, n--){
    int i = choose(list, n, diverse);
    struct candidate chosen = list[i];
    memmove(list + 1, list, sizeof(*list)*(size_t)i);
    list[0] = chosen;
    for(int j=1; j<n; j++){
      float cosine = dot(chosen.vector, list[j].vector, width);
      list[j].nearest = fmaxf(list[j].nearest, cosine);
    }
  }
}

static void spread_head(struct call *c, struct vtab *t, struct ranking *r){
  struct candidate *list = arena_get(&c->arena, sizeof(*list)*HEAD_ROWS);
  int64_t from;
  int n;
  if( list==NULL ) fail_nomem(&c->err);
  if( c->err.rc==SQLITE_OK && r->head==NULL ) pull_head(c, r);
  if( c->err.rc!=SQLITE_OK ) return;
  from = read_candidates(c, t, r, list, &n);
  set_relevance(list, n);
  spread(list, n, (float)r->diverse, t->width);
  for(int i=0; i<n; i++) r->head[i] = list[i].row;
  memmove(r->head + n, r->head + from, sizeof(*r->head)*(size_t)(r->n_head - from));
  r->n_head -= from - n;
}

/* ---- Rows that are much the same ---- */

/* Is the row nearer than `within` to one that was given? If not, it counts as given. */
static int is_near_given(struct call *c, struct vtab *t, struct ranking *r, int64_t id){
  struct arena_mark mark = arena_mark(&c->arena);
  struct vectors v = { NULL, 0 };
  const float *whole;
  if( r->within>0 ) v = row_vectors(c, t, id);
  if( v.n==0 ) return 0;
  whole = whole_of(t, &v);
  for(int i=0; i<r->n_kept; i++){
    if( 1 - dot(r->kept[i], whole, t->width)<r->within ) return 1;
  }
  if( r->n_kept==KEPT_MOST ) return 0;
  if( r->kept==NULL ) r->kept = arena_get(r->arena, sizeof(*r->kept)*KEPT_MOST);
  if( r->kept ) r->kept[r->n_kept] = arena_floats(r->arena, (size_t)t->width);
  if( r->kept==NULL || r->kept[r->n_kept]==NULL ){
    fail_nomem(&c->err);
    return 0;
  }
  memcpy(r->kept[r->n_kept++], whole, sizeof(float)*(size_t)t->width);
  arena_rewind(&c->arena, mark);
  return 0;
}

/* ---- The ranking ---- */

static void rank_words(struct call *c, struct vtab *t, struct ranking *r, struct content words,
                       const struct conditions *want, int is_sorted){
  struct buf hits = { 0 };
  r->given.arena = r->arena;
  words_find(c, t, words, &hits);
  if( c->err.rc==SQLITE_OK && r->by==BY_WORDS ) take_hits(c, t, r, &hits, want, is_sorted);
  if( c->err.rc==SQLITE_OK && r->by==BY_BOTH ) fuse(c, t, r, &hits, want);
  if( r->given.oom ) fail_nomem(&c->err);
  buf_release(&hits);
}

int ranking_begin(struct call *c, struct vtab *t, struct ranking *r, const struct content *words,
                  const struct conditions *want, int is_sorted){
  int asks_words = words && !(r->by==BY_BOTH && is_sorted);
  int spreads = r->diverse>0 && !is_sorted;
  if( c->err.rc!=SQLITE_OK || !(asks_words || spreads || r->within>0) ) return c->err.rc;
  if( asks_words ) rank_words(c, t, r, *words, want, is_sorted);
  if( spreads ) spread_head(c, t, r);
  return c->err.rc;
}

/* The next row of the order, whatever it is like. */
static int next_in_order(struct call *c, struct vtab *t, struct ranking *r, struct found *row){
  while( c->err.rc==SQLITE_OK && r->at<r->n_head ){
    *row = r->head[r->at++];
    if( measure(c, t, r, row) ) return c->err.rc==SQLITE_OK;
  }
  while( c->err.rc==SQLITE_OK && !r->ends && r->stream.next(c, r->stream.arg, row) ){
    if( !key_set_has(&r->given, (uint64_t)row->rowid) ) return 1;
  }
  return 0;
}

int ranking_next(struct call *c, struct vtab *t, struct ranking *r, struct found *row){
  if( r->query==NULL ) return 0;        /* nothing was asked for */
  while( next_in_order(c, t, r, row) ){
    if( !is_near_given(c, t, r, row->rowid) ) return c->err.rc==SQLITE_OK;
  }
  return 0;
}
