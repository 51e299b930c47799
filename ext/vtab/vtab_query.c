/*
** vtab_query.c -- a cursor: rows nearest first for a query, by rowid without one.
**
** A query is content (encoded here; the same content again is not encoded again) or a latent, in a
** foreign table a vector. How it is answered:
**
**     options {"exact":true}      every row's distance from its stored latent, sorted: the truth,
**                                 to measure recall against
**     few rows                    the index at recall 1: every row, in exact order, as far as rows
**                                 are pulled
**     ORDER BY distance           the same, as that is what the statement asks for; but if it has a
**                                 LIMIT, reading all codes of a large table would take too long
**     otherwise, or "recall"      the index, near the recall asked for (0.95): see index.h
**
** So the order of the rows follows from the query and the table. LIMIT and OFFSET have no part in
** it: pages of a query, joined, are the whole.
*/
#include "vtab.h"
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

enum {
  FEW_ROWS = 4096,              /* so many or fewer are always searched at recall 1 */
  SORTED_NUMBERS = 1 << 24      /* with ORDER BY distance LIMIT: so many numbers in all rows. Their
                                ** bytes stay in the index's cache; 1.5 ms (EPYC Zen 5) */
};
static const double RECALL = 0.95;

struct vcursor {
  sqlite3_vtab_cursor base;     /* first: SQLite's part */
  enum rows_order order;        /* of rows */
  sqlite3_stmt *rows;           /* stands on the present row where is_there is set */
  int is_there;
  int is_checked;               /* filters and content of the present row are what was written */
  int searches;                 /* there is a query: distance is known */
  struct search *search;        /* rows as they are found; NULL: all of them are in ranked */
  struct found *ranked;         /* [n_ranked], nearest first; in the arena */
  int64_t n_ranked;
  int64_t at;                   /* the next of ranked */
  struct ranking ranking;       /* the order in which they come */
  int64_t left;                 /* rows that options still let through; -1: all */
  int64_t rowid;                /* of the present row, like distance */
  double distance;
  int eof;
  sqlite3_value *query, *options;       /* what the hidden columns show; owned */
  struct arena arena;           /* terms and ranked rows of this scan */
};

int vcursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out){
  struct vcursor *cursor = mem_alloc(sizeof(*cursor));
  (void)base;
  if( cursor==NULL ) return SQLITE_NOMEM;
  *cursor = (struct vcursor){ 0 };
  *out = &cursor->base;
  return SQLITE_OK;
}

/* Ends the scan: the cursor is as it was when it was opened. */
static void end_scan(struct vcursor *cursor){
  struct vtab *t = (struct vtab *)cursor->base.pVtab;
  sqlite3_vtab_cursor base = cursor->base;
  search_close(cursor->search);
  store_give_back(t, cursor->order, cursor->rows);
  sqlite3_value_free(cursor->query);
  sqlite3_value_free(cursor->options);
  arena_release(&cursor->arena);
  *cursor = (struct vcursor){ .base = base };
}

int vcursor_close(sqlite3_vtab_cursor *base){
  end_scan((struct vcursor *)base);
  mem_free(base);
  return SQLITE_OK;
}

/* ---- Options of a search ---- */

struct search_options {
  double recall;                /* 0: not given */
  int exact;
  int64_t limit;                /* -1: none */
  double diverse, within;       /* as in struct ranking */
  enum rank_by by;
  int says_by;                  /* the option was given */
};

static int bad_option(struct call *c, cJSON *item, const char *expected){
  char came[64];
  return fail(&c->err, SQLITE_ERROR, "options key \"%s\" is %s, expected %s", item->string,
              json_show(item, came), expected);
}

static int is_from_0_to(double most, const cJSON *item){
  return cJSON_IsNumber(item) && item->valuedouble>=0 && item->valuedouble<=most;
}

static int read_by(struct call *c, cJSON *item, struct search_options *o){
  static const char *const names[] = {
    [BY_BOTH] = "both", [BY_MEANING] = "meaning", [BY_WORDS] = "words"
  };
  const char *name = cJSON_GetStringValue(item);
  o->says_by = 1;
  for(size_t i=0; name && i<sizeof(names)/sizeof(names[0]); i++){
    o->by = (enum rank_by)i;
    if( strcmp(name, names[i])==0 ) return SQLITE_OK;
  }
  return bad_option(c, item, "\"meaning\", \"words\" or \"both\"");
}

static int read_option(struct call *c, cJSON *item, struct search_options *o){
  double x = item->valuedouble;
  if( strcmp(item->string, "exact")==0 ){
    if( !cJSON_IsBool(item) ) return bad_option(c, item, "true or false");
    o->exact = cJSON_IsTrue(item);
  }else if( strcmp(item->string, "recall")==0 ){
    if( !cJSON_IsNumber(item) || !(x>0 && x<=1) ){
      return bad_option(c, item, "a number above 0 and up to 1");
    }
    o->recall = x;
  }else if( strcmp(item->string, "limit")==0 ){
    if( !json_whole(item, 0, 1e9, &o->limit) ){
      return bad_option(c, item, "a whole number from 0 to 1000000000");
    }
  }else if( strcmp(item->string, "by")==0 ){
    return read_by(c, item, o);
  }else if( strcmp(item->string, "diverse")==0 ){
    if( !is_from_0_to(1, item) ) return bad_option(c, item, "a number from 0 to 1");
    o->diverse = x;
  }else if( strcmp(item->string, "within")==0 ){
    if( !is_from_0_to(2, item) ) return bad_option(c, item, "a distance, from 0 to 2");
    o->within = x;
  }else{
    return fail(&c->err, SQLITE_ERROR, "options have no key \"%.60s\"; known keys: recall, exact, "
                "limit, by, diverse, within", item->string);
  }
  return SQLITE_OK;
}

/* v: NULL where there are none. */
static struct search_options read_options(struct call *c, sqlite3_value *v){
  struct search_options o = { .limit = -1 };
  struct content text;
  cJSON *tree;
  if( v==NULL || sqlite3_value_type(v)==SQLITE_NULL ) return o;
  if( sqlite3_value_type(v)!=SQLITE_TEXT ) refuse_value(c, "options", v, "a JSON object");
  text = value_bytes(c, v);
  tree = json_object(c, text.bytes, text.n, "options");
  if( tree==NULL ) return o;
  for(cJSON *item=tree->child; item && c->err.rc==SQLITE_OK; item=item->next){
    read_option(c, item, &o);
  }
  cJSON_Delete(tree);
  return o;
}

/* ---- The query as a vector ---- */

/* The query is the content that was asked for last, and its model is still the present one: true,
** and its latent. */
static int recall_query(struct call *c, struct vtab *t, sqlite3_value *v, struct latent *z){
  const struct last_query *last = &t->last_query;
  int kind = value_kind(c, v);
  const struct model *m;
  struct content data;
  if( last->z.z==NULL || last->z.kind!=kind ) return 0;
  data = value_bytes(c, v);
  m = call_model_of(c, kind, 0);
  if( m==NULL || last->z.fingerprint!=m->config.fingerprint ) return 0;
  if( last->content.n!=data.n || memcmp(last->content.bytes, data.bytes, data.n)!=0 ) return 0;
  *z = last->z;
  return 1;
}

/* If there is no memory for it, the query is encoded again the next time. One block: the numbers,
** then the content. */
static void remember_query(struct call *c, struct vtab *t, sqlite3_value *v,
                           const struct latent *z){
  struct last_query *last = &t->last_query;
  size_t numbers = sizeof(float)*(size_t)z->n_segments*(size_t)z->width;
  struct content data;
  char *block;
  if( c->err.rc!=SQLITE_OK ) return;
  mem_free(last->z.z);
  *last = (struct last_query){ 0 };
  if( value_kind(c, v)==0 ) return;             /* a latent: nothing was encoded */
  data = value_bytes(c, v);
  if( c->err.rc!=SQLITE_OK ) return;
  block = mem_alloc(numbers + data.n + 1);
  if( block==NULL ) return;
  memcpy(block, z->z, numbers);
  memcpy(block + numbers, data.bytes, data.n);
  last->z = *z;
  last->z.z = (float *)(void *)block;
  last->content = (struct content){ block + numbers, data.n };
}

/* Content or a latent, of any kind: the vector of the whole. In the cursor's arena. */
static const float *query_point(struct call *c, struct vtab *t, struct arena *a, sqlite3_value *v){
  struct vectors vectors;
  struct latent z;
  const struct model *m;
  int is_known = recall_query(c, t, v, &z);
  if( !is_known ) z = value_point(c, v, "the query");
  m = latent_model(c, &z);
  if( m ) config_admit(c, t, m, 0);
  if( c->err.rc!=SQLITE_OK ) return NULL;
  vectors = vectors_from_latent(t, &z, a, "the query", &c->err);
  if( !is_known ) remember_query(c, t, v, &z);
  return vectors.x;             /* the first is that of the whole */
}

/* In the cursor's arena; NULL on failure. */
static const float *query_vector(struct call *c, struct vtab *t, struct vcursor *cursor,
                                 sqlite3_value *v){
  int type = sqlite3_value_type(v);
  const float *vector = NULL;
  char expected[120];
  if( c->err.rc!=SQLITE_OK ) return NULL;
  if( t->definition.model ){
    vector = encoder_query(c, t, v, &cursor->arena);
  }else if( t->definition.n_bodies>0 ){
    vector = query_point(c, t, &cursor->arena, v);
  }else if( type==SQLITE_BLOB || type==SQLITE_TEXT ){
    struct content blob = value_vector_blob(c, v, "the query", (size_t)t->width);
    vector = vectors_from_blob(t, blob, &cursor->arena, "the query", &c->err).x;
  }else{
    sqlite3_snprintf(sizeof(expected), expected, "a latent or a vector of %d numbers (a BLOB of %d "
                     "bytes, or a JSON array): the table knows no model", t->width, t->width*4);
    refuse_value(c, "the query", v, expected);
  }
  return c->err.rc==SQLITE_OK ? vector : NULL;
}

/* ---- The ways to answer ---- */

/* Appends the distances of all rows from low to high that have a latent. */
static void measure_rows(struct call *c, struct vtab *t, const float *query, int64_t low,
                         int64_t high, struct buf *all){
  enum { ROWS_A_TICK = 1024 };
  void *first = arena_get(&c->arena, 1);        /* arena_rewind() keeps its block */
  struct arena_mark mark = arena_mark(&c->arena);
  sqlite3_stmt *s = store_range(c, t, ROWS_UP, low, high);
  int64_t n = 0;
  if( first==NULL ) fail_nomem(&c->err);
  while( store_step(c, s) ){
    struct found row = { .rowid = sqlite3_column_int64(s, COLUMN_ID) };
    struct content latent;
    struct vectors v;
    if( ++n%ROWS_A_TICK==0 && err_stopped(&c->err) ) break;
    latent = row_latent(c, t, s);
    if( latent.bytes==NULL ) continue;
    v = vectors_from_stored(c, t, latent, &c->arena, "a stored latent");
    if( c->err.rc!=SQLITE_OK ) break;
    row.distance = distance_of(query, &v, t->width);
    arena_rewind(&c->arena, mark);
    buf_append(all, &row, sizeof(row));
  }
  store_give_back(t, ROWS_UP, s);
  if( all->rc!=SQLITE_OK ) fail_nomem(&c->err);
}

/* The exact answer: cursor->ranked. */
static void rank_rows(struct call *c, struct vtab *t, struct vcursor *cursor, const float *query,
                      const struct conditions *want){
  struct buf all = { 0 };
  measure_rows(c, t, query, want->low, want->high, &all);
  if( c->err.rc==SQLITE_OK && all.n>0 ){
    cursor->ranked = arena_get(&cursor->arena, all.n);
    if( cursor->ranked==NULL ) fail_nomem(&c->err);
  }
  if( cursor->ranked ){
    memcpy(cursor->ranked, all.data, all.n);
    cursor->n_ranked = (int64_t)(all.n/sizeof(struct found));
    found_sort(cursor->ranked, cursor->n_ranked, found_by_distance);
  }
  buf_release(&all);
}

/* n: rows of the table, or of the partition. */
static double recall_for(const struct vtab *t, int64_t n, int plan, const struct conditions *want,
                         const struct search_options *o){
  int has_limit = want->has_limit || o->limit>=0;
  if( n<=FEW_ROWS ) return 1;
  if( o->recall>0 ) return o->recall;
  if( plan!=PLAN_SEARCH_SORTED ) return RECALL;
  return has_limit && n>SORTED_NUMBERS/t->width ? RECALL : 1;
}

/* The index says that it is empty. Is it, or has somebody emptied it? */
static void check_empty(struct call *c, struct vtab *t){
  sqlite3_stmt *s = store_statement(c, t, ROW_ANY);
  if( store_step(c, s) ){
    fail(&c->err, SQLITE_CORRUPT_VTAB, "the index is empty, and %.60s_rows has latents: "
         "INSERT INTO \"%.60s\"(\"%.60s\") VALUES('rebuild')", t->name, t->name, t->name);
  }
  sqlite3_reset(s);
}

static void ask_index(struct call *c, struct vtab *t, struct vcursor *cursor, const float *vector,
                      int plan, const struct conditions *want, const struct search_options *o){
  struct query q = {
    .vector = vector,
    .k = want->k,
    .farthest = want->farthest,
    .terms = want->terms,
    .n_terms = want->n_terms,
    .group = plan_group(c, t, want),
  };
  int64_t n;
  if( c->err.rc!=SQLITE_OK ) return;
  index_rows(t->index, &n, &c->err);
  if( vtab_damaged(c)!=SQLITE_OK ) return;
  if( n==0 ) check_empty(c, t);
  index_rows_of(t->index, q.group, &n, &c->err);
  if( o->limit>=0 && (q.k==0 || o->limit<q.k) ) q.k = o->limit;
  q.recall = recall_for(t, n, plan, want, o);
  if( c->err.rc==SQLITE_OK ) search_open(&cursor->search, t->index, &q, &c->err);
  vtab_damaged(c);
}

/* The next row of those that come nearest first: a stream's. */
static int next_near(struct call *c, void *arg, struct found *row){
  struct vcursor *cursor = arg;
  int eof = 0;
  if( c->err.rc!=SQLITE_OK ) return 0;
  if( cursor->search ){
    search_next(cursor->search, &row->rowid, &row->distance, &eof, &c->err);
    return vtab_damaged(c)==SQLITE_OK && !eof;
  }
  if( cursor->at>=cursor->n_ranked ) return 0;
  *row = cursor->ranked[cursor->at++];
  return 1;
}

/* Do words count? Then *words, the query's text. */
static int asks_words(struct call *c, const struct vtab *t, sqlite3_value *query,
                      const struct search_options *o, struct content *words){
  int is_text = sqlite3_value_type(query)==SQLITE_TEXT;
  if( o->by==BY_MEANING || c->err.rc!=SQLITE_OK ) return 0;
  if( !t->definition.has_words && o->says_by ){
    fail(&c->err, SQLITE_ERROR, "options ask for words, which the table does not keep: make it "
         "anew with words=1 between the brackets, USING latent(%.60s, words=1)",
         t->definition.n_bodies>0 ? t->definition.bodies[0] : "body");
  }
  if( !is_text && o->says_by ){
    fail(&c->err, SQLITE_ERROR, "options ask for words, but the query is no text: leave \"by\" "
         "out");
  }
  if( !is_text || !t->definition.has_words || c->err.rc!=SQLITE_OK ) return 0;
  *words = value_bytes(c, query);
  return c->err.rc==SQLITE_OK;
}

static void start_search(struct call *c, struct vtab *t, struct vcursor *cursor, int plan,
                         const struct conditions *want){
  struct search_options o;
  struct content words;
  int has_words;
  const float *vector;
  vtab_ready(c, t, t->definition.n_bodies>0);
  triggers_require(c, t);
  pending_flush(c, t);
  o = read_options(c, want->options);
  cursor->left = o.limit;
  if( want->is_empty || sqlite3_value_type(want->query)==SQLITE_NULL ) return;
  vector = query_vector(c, t, cursor, want->query);
  if( vector==NULL ) return;
  if( o.exact || plan==PLAN_SEARCH_ROW ) rank_rows(c, t, cursor, vector, want);
  else ask_index(c, t, cursor, vector, plan, want, &o);
  cursor->ranking = (struct ranking){
    .by = o.by,
    .diverse = o.diverse,
    .within = o.within,
    .query = vector,
    .stream = { next_near, cursor },
    .arena = &cursor->arena,
  };
  has_words = asks_words(c, t, want->query, &o, &words);
  ranking_begin(c, t, &cursor->ranking, has_words ? &words : NULL, want, plan!=PLAN_SEARCH);
}

static void start_scan(struct call *c, struct vtab *t, struct vcursor *cursor, int plan,
                       const struct conditions *want){
  vtab_ready(c, t, 0);
  if( want->is_empty ) return;
  if( t->definition.content ) pending_flush(c, t);      /* new rows are not in t_rows yet */
  cursor->order = plan==PLAN_SCAN_DOWN ? ROWS_DOWN : ROWS_UP;
  cursor->rows = store_range(c, t, cursor->order, want->low, want->high);
}

/* ---- Rows ---- */

/* The next row of a search: its rowid and distance. What else it holds is read when it is asked
** for. */
static void next_found(struct call *c, struct vtab *t, struct vcursor *cursor){
  struct found row = { 0 };
  cursor->is_there = 0;
  cursor->eof = !ranking_next(c, t, &cursor->ranking, &row);
  cursor->rowid = row.rowid;
  cursor->distance = row.distance;
}

/* The next row of a search. One that is gone from the content table is passed over. */
static void next_kept(struct call *c, struct vtab *t, struct vcursor *cursor){
  int is_followed = t->definition.content!=NULL;
  cursor->eof = cursor->left==0;
  if( cursor->eof ) return;
  if( cursor->left>0 ) cursor->left--;
  next_found(c, t, cursor);
  while( is_followed && c->err.rc==SQLITE_OK && !cursor->eof ){
    if( content_has(c, t, cursor->rowid) ) break;
    next_found(c, t, cursor);
  }
}

static void next_row(struct call *c, struct vtab *t, struct vcursor *cursor){
  if( c->err.rc!=SQLITE_OK ) return;
  cursor->is_checked = 0;
  if( cursor->searches ){
    next_kept(c, t, cursor);
    return;
  }
  cursor->is_there = store_step(c, cursor->rows);
  cursor->eof = !cursor->is_there;
  if( cursor->is_there ) cursor->rowid = sqlite3_column_int64(cursor->rows, COLUMN_ID);
}

/* A copy that the cursor owns; NULL of NULL. */
static sqlite3_value *copy_value(struct call *c, sqlite3_value *v){
  sqlite3_value *copy = sqlite3_value_dup(v);
  if( v && copy==NULL ) fail_nomem(&c->err);
  return copy;
}

int vcursor_filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text, int n,
                   sqlite3_value **args){
  struct vcursor *cursor = (struct vcursor *)base;
  struct vtab *t = (struct vtab *)base->pVtab;
  struct conditions want;
  struct call c;
  end_scan(cursor);
  method_begin(&c, t);
  plan_read(&c, t, plan_text, n, args, &cursor->arena, &want);
  if( c.err.rc==SQLITE_OK ){
    cursor->searches = want.query!=NULL;
    cursor->query = copy_value(&c, want.query);
    cursor->options = copy_value(&c, want.options);
    if( cursor->searches ) start_search(&c, t, cursor, plan, &want);
    else start_scan(&c, t, cursor, plan, &want);
    next_row(&c, t, cursor);
  }
  return method_end(&c, t);
}

int vcursor_next(sqlite3_vtab_cursor *base){
  struct vcursor *cursor = (struct vcursor *)base;
  struct vtab *t = (struct vtab *)base->pVtab;
  struct call c;
  assert( !cursor->eof );
  method_begin(&c, t);
  next_row(&c, t, cursor);
  return method_end(&c, t);
}

int vcursor_eof(sqlite3_vtab_cursor *base){
  return ((struct vcursor *)base)->eof;
}

int vcursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid){
  *rowid = ((struct vcursor *)base)->rowid;
  return SQLITE_OK;
}

/* ---- Columns ---- */

/* Makes cursor->rows stand on the present row. A row that was deleted while the search ran shows
** NULLs. */
static void find_row(struct call *c, struct vtab *t, struct vcursor *cursor){
  if( cursor->is_there || !cursor->searches ) return;
  if( cursor->rows==NULL ){
    cursor->order = ROWS_ONE;
    cursor->rows = store_lend(c, t, ROWS_ONE);
    if( cursor->rows==NULL ) return;
  }
  sqlite3_reset(cursor->rows);
  sqlite3_bind_int64(cursor->rows, 1, cursor->rowid);
  cursor->is_there = store_step(c, cursor->rows);
}

/* Content column i, from the content table, as a LEFT JOIN would give it. */
static void give_content(struct call *c, struct vtab *t, int64_t rowid, int i,
                         sqlite3_context *context){
  sqlite3_stmt *s = store_find(c, t, CONTENT_GET, rowid);
  if( s ) sqlite3_result_value(context, sqlite3_column_value(s, CONTENT_BODIES + i));
  sqlite3_reset(s);
}

static void give_stored(struct call *c, struct vtab *t, sqlite3_stmt *s, sqlite3_context *context){
  struct content latent = latent_alone(t, row_latent(c, t, s));
  if( latent.bytes==NULL ) return;
  sqlite3_result_blob(context, latent.bytes, (int)latent.n, SQLITE_TRANSIENT);
}

/* A latent that is asked for while it is pending is encoded now, with all that are. */
static void give_latent(struct call *c, struct vtab *t, struct vcursor *cursor,
                        sqlite3_context *context){
  int is_null = sqlite3_column_type(cursor->rows, COLUMN_LATENT)==SQLITE_NULL;
  sqlite3_stmt *s;
  if( !is_null || !t->in_transaction ){
    give_stored(c, t, cursor->rows, context);
    return;
  }
  pending_flush(c, t);
  s = store_find(c, t, ROW_LATENT, cursor->rowid);
  if( s ) give_stored(c, t, s, context);
  sqlite3_reset(s);
}

/* A filter or own content. When the first of them is asked for, all are checked. */
static void give_value(struct call *c, struct vtab *t, struct vcursor *cursor,
                       sqlite3_context *context, int i){
  if( !cursor->is_checked ) row_check_values(c, t, cursor->rows);
  if( c->err.rc!=SQLITE_OK ) return;
  cursor->is_checked = 1;
  sqlite3_result_value(context, sqlite3_column_value(cursor->rows, COLUMN_FILTERS + i));
}

/* What in the row answers the query. */
static void give_passage(struct call *c, struct vtab *t, struct vcursor *cursor,
                         sqlite3_context *context){
  const float *query = cursor->ranking.query;
  int body_at = COLUMN_FILTERS + t->definition.n_filters;
  struct content latent;
  sqlite3_stmt *s;
  find_row(c, t, cursor);
  if( !cursor->is_there || query==NULL ) return;
  s = cursor->rows;
  latent = row_latent(c, t, s);
  if( owns_content(&t->definition) ){
    row_check_values(c, t, s);
    passage_give(c, t, query, s, body_at, latent, context);
  }else{
    s = store_find(c, t, CONTENT_GET, cursor->rowid);
    if( s ) passage_give(c, t, query, s, CONTENT_BODIES, latent, context);
    sqlite3_reset(s);
  }
}

static void give_column(struct call *c, struct vtab *t, struct vcursor *cursor,
                        sqlite3_context *context, int column){
  const struct definition *d = &t->definition;
  int filter = column - filter_at(d);
  if( column>hidden_at(d, HIDDEN_DISTANCE) && column==rank_at(d) ) return;     /* for commands */
  if( column==hidden_at(d, HIDDEN_DISTANCE) ){
    if( cursor->searches ) sqlite3_result_double(context, cursor->distance);
  }else if( column==hidden_at(d, HIDDEN_QUERY) ){
    if( cursor->query ) sqlite3_result_value(context, cursor->query);
  }else if( column==passage_at(d) ){
    give_passage(c, t, cursor, context);
  }else if( column==hidden_at(d, HIDDEN_OPTIONS) ){
    if( cursor->options ) sqlite3_result_value(context, cursor->options);
  }else if( filter<0 && d->content ){
    give_content(c, t, cursor->rowid, column, context);
  }else{
    find_row(c, t, cursor);
    if( !cursor->is_there ) return;
    if( column==hidden_at(d, HIDDEN_LATENT) ) give_latent(c, t, cursor, context);
    else give_value(c, t, cursor, context, filter<0 ? d->n_filters + column : filter);
  }
}

/* In an UPDATE, a column that does not change is not read: xUpdate is told so. */
int vcursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column){
  struct vcursor *cursor = (struct vcursor *)base;
  struct vtab *t = (struct vtab *)base->pVtab;
  struct call c;
  if( sqlite3_vtab_nochange(context) ) return SQLITE_OK;
  method_begin(&c, t);
  give_column(&c, t, cursor, context, column);
  return method_end(&c, t);
}
