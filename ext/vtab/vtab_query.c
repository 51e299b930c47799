/*
** vtab_query.c -- a cursor: rows nearest first for a query, by rowid without one.
**
** A query is text (encoded here, once for each text that comes in turn), a latent, or in a foreign table a vector. How it is answered:
**
**     options {"exact":true}       every row's distance from its stored latent, sorted: the truth, to measure recall against
**     LIMIT known, or "recall"     the index, near the asked recall (0.95): see index.h
**     otherwise, or few rows       the index at recall 1: every row, in exact order, as far as rows are pulled
*/
#include "vtab.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEW_ROWS = 4096 };       /* fewer are always searched at recall 1 */
static const double RECALL = 0.95;

struct ranked { double distance; int64_t rowid; };
struct vcursor {
  sqlite3_vtab_cursor base;     /* first: SQLite's part */
  enum look which;              /* of rows */
  sqlite3_stmt *rows;           /* stands on the present row, or is_there is 0 */
  int is_there;
  int is_checked;               /* its values are what was written */
  int searches;                 /* there is a query: distance is known */
  struct search *search;        /* one of these two: rows as they are found, ... */
  struct ranked *ranked;        /* ... or all of them, sorted; in the arena */
  int64_t n_ranked, at;
  int64_t left;                 /* rows that options let through yet; -1: all */
  int64_t rowid;
  double distance;
  int eof;
  sqlite3_value *query, *options;       /* what the hidden columns show; owned */
  struct arena arena;           /* terms and ranked rows of this scan */
};
struct search_options {
  double recall;                /* 0: not given */
  int exact;
  int64_t limit;                /* -1: none */
};

int vcursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out){
  struct vcursor *cursor = mem_alloc(sizeof(*cursor));

  (void)base;
  if( !cursor ) return SQLITE_NOMEM;
  memset(cursor, 0, sizeof(*cursor));
  *out = &cursor->base;
  return SQLITE_OK;
}

static void clear(struct vcursor *cursor){
  struct vtab *t = (struct vtab*)cursor->base.pVtab;
  sqlite3_vtab_cursor base = cursor->base;

  search_close(cursor->search);
  if( cursor->rows ) store_look_back(t, cursor->which, cursor->rows);
  sqlite3_value_free(cursor->query);
  sqlite3_value_free(cursor->options);
  arena_release(&cursor->arena);
  memset(cursor, 0, sizeof(*cursor));
  cursor->base = base;
}

int vcursor_close(sqlite3_vtab_cursor *base){
  clear((struct vcursor*)base);
  mem_free(base);
  return SQLITE_OK;
}

/* ---- Options ---- */

static int read_option(struct call *c, const cJSON *item, struct search_options *o){
  int64_t x;

  if( strcmp(item->string, "exact")==0 ){
    if( !cJSON_IsBool(item) ) return fail(&c->err, SQLITE_ERROR, "options key \"exact\" is neither true nor false");
    o->exact = cJSON_IsTrue(item);
  }else if( strcmp(item->string, "recall")==0 ){
    if( !cJSON_IsNumber(item) || !(item->valuedouble>0 && item->valuedouble<=1) ){
      return fail(&c->err, SQLITE_ERROR, "options key \"recall\" is no number above 0 and up to 1");
    }
    o->recall = item->valuedouble;
  }else if( strcmp(item->string, "limit")==0 ){
    if( !json_whole(item, 0, 1e9, &x) ) return fail(&c->err, SQLITE_ERROR, "options key \"limit\" is no whole number from 0 to 1000000000");
    o->limit = x;
  }else{
    return fail(&c->err, SQLITE_ERROR, "options have no key \"%.60s\"; known keys: recall, exact, limit", item->string);
  }
  return SQLITE_OK;
}

static int read_options(struct call *c, sqlite3_value *v, struct search_options *o){
  char came[DESCRIBED];
  struct content text;
  cJSON *tree;

  *o = (struct search_options){ .limit = -1 };
  if( !v || sqlite3_value_type(v)==SQLITE_NULL ) return SQLITE_OK;
  if( sqlite3_value_type(v)!=SQLITE_TEXT ){
    value_describe(v, came);
    return fail(&c->err, SQLITE_ERROR, "options is %s, expected a JSON object", came);
  }
  text = value_bytes(c, v);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  tree = json_parse(text.bytes, text.n, "options", &c->err);
  if( tree==NULL ) return c->err.rc;
  if( !cJSON_IsObject(tree) ) fail(&c->err, SQLITE_ERROR, "options is no JSON object");
  for(cJSON *item=tree->child; item && c->err.rc==SQLITE_OK; item=item->next) read_option(c, item, o);
  cJSON_Delete(tree);
  return c->err.rc;
}

/* ---- The query as a vector ---- */

/* The present model of the query's kind and no other made what is remembered. */
static int remembered(struct call *c, struct vtab *t, sqlite3_value *v, struct latent *z){
  const struct asked *a = &t->asked;
  int kind = value_kind(c, v);
  struct content data;
  const struct model *m;

  if( a->z.z==NULL || a->z.kind!=kind ) return 0;
  data = value_bytes(c, v);
  m = call_model_of(c, kind, 0);
  if( m==NULL || a->z.fingerprint!=m->config.fingerprint ) return 0;
  if( a->content.n!=data.n || memcmp(a->content.bytes, data.bytes, data.n)!=0 ) return 0;
  *z = a->z;
  return 1;
}

/* Best effort: without the memory for it the query is encoded again. One allocation: the numbers, then the content. */
static void remember(struct call *c, struct vtab *t, sqlite3_value *v, const struct latent *z){
  struct asked *a = &t->asked;
  size_t numbers = sizeof(float)*(size_t)z->n_segments*(size_t)z->width;
  struct content data;
  char *block;

  mem_free(a->z.z);
  *a = (struct asked){ 0 };
  if( !value_kind(c, v) ) return;
  data = value_bytes(c, v);
  if( c->err.rc!=SQLITE_OK ) return;
  block = mem_alloc(numbers + data.n + 1);
  if( block==NULL ) return;
  a->z = *z;
  a->z.z = (float*)(void*)block;
  memcpy(a->z.z, z->z, numbers);
  memcpy(block + numbers, data.bytes, data.n);
  a->content = (struct content){ block + numbers, data.n };
}

/* A point of any kind. */
static int query_point(struct call *c, struct vtab *t, sqlite3_value *v, float *vector){
  struct latent z;
  const struct model *m;
  int is_known = remembered(c, t, v, &z);

  if( !is_known ) z = value_point(c, v, "the query");
  m = latent_model(c, &z);
  if( m==NULL ) return c->err.rc;
  if( vtab_kind(c, t, m, 0)!=SQLITE_OK || vtab_point(t, vector, &z, "the query", &c->err)!=SQLITE_OK ) return c->err.rc;
  if( !is_known ) remember(c, t, v, &z);
  return c->err.rc;
}

static int query_vector(struct call *c, struct vtab *t, sqlite3_value *v, float *vector){
  struct content blob;
  char came[DESCRIBED];

  if( t->definition.body ) return query_point(c, t, v, vector);
  if( sqlite3_value_type(v)!=SQLITE_BLOB ){
    value_describe(v, came);
    return fail(&c->err, SQLITE_ERROR, "the query is %s, expected a latent or a vector of %d numbers (a BLOB of %d bytes): the table knows no model", came,
                t->width, t->width*4);
  }
  blob = value_bytes(c, v);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  return vtab_vector(t, vector, blob.bytes, blob.n, "the query", &c->err);
}

/* ---- The ways to answer ---- */

/* Has sqlite3_interrupt() been called? The statement stays prepared: SQLite disconnects the table before it looks for statements left open. */
static int interrupted(void *arg){
  struct vtab *t = arg;
  struct call c = { .connection = t->binding.connection };
  sqlite3_stmt *s = store_statement(&c, t, TICK);
  int rc = s ? sqlite3_step(s) : c.err.rc;

  if( s ) sqlite3_reset(s);
  return rc==SQLITE_INTERRUPT;
}

static double distance_of(const float *query, const float *vector, int width){
  float d = 1 - dot(query, vector, width);
  return d<0 ? 0 : d;
}

static int by_distance(const void *a, const void *b){
  const struct ranked *x = a, *y = b;
  if( x->distance!=y->distance ) return x->distance<y->distance ? -1 : 1;
  return (x->rowid>y->rowid) - (x->rowid<y->rowid);
}

/* All rows from low to high that have a latent, by their distance. */
static int rank_rows(struct call *c, struct vtab *t, struct vcursor *cursor, const float *query, const struct wish *w){
  float *vector = arena_floats(&c->arena, (size_t)t->width);
  sqlite3_stmt *s = store_look(c, t, LOOK_UP);
  struct buf all = { 0 };
  int64_t n = 0;

  if( !vector ) fail_nomem(&c->err);
  if( s ){
    sqlite3_bind_int64(s, 1, w->low);
    sqlite3_bind_int64(s, 2, w->high);
  }
  while( s && store_step(c, s) ){
    struct ranked row = { .rowid = sqlite3_column_int64(s, LOOK_ID) };
    const void *latent;
    int n_latent;
    if( ++n%1024==0 && run_stopped(&c->run) ) break;
    if( look_latent(c, t, s, &latent, &n_latent)!=SQLITE_OK || !latent ) continue;
    if( vtab_vector(t, vector, latent, (size_t)n_latent, "a stored latent", &c->err)!=SQLITE_OK ) break;
    row.distance = distance_of(query, vector, t->width);
    buf_append(&all, &row, sizeof(row));
  }
  store_look_back(t, LOOK_UP, s);
  if( all.rc!=SQLITE_OK ) fail_nomem(&c->err);
  cursor->n_ranked = (int64_t)(all.n/sizeof(struct ranked));
  cursor->ranked = c->err.rc==SQLITE_OK ? arena_get(&cursor->arena, all.n) : NULL;
  if( c->err.rc==SQLITE_OK && !cursor->ranked ) fail_nomem(&c->err);
  if( cursor->ranked && all.n>0 ){
    memcpy(cursor->ranked, all.data, all.n);
    qsort(cursor->ranked, (size_t)cursor->n_ranked, sizeof(struct ranked), by_distance);
  }
  buf_release(&all);
  return c->err.rc;
}

static int ask_index(struct call *c, struct vtab *t, struct vcursor *cursor, const float *vector, const struct wish *w, const struct search_options *o){
  struct query q = { .vector = vector, .recall = 1, .k = w->k, .farthest = w->farthest, .terms = w->terms, .n_terms = w->n_terms,
                     .stop = interrupted, .stop_arg = t };
  int64_t n;

  if( index_rows(t->index, &n, &c->err)!=SQLITE_OK ) return vtab_damaged(c);
  if( o->limit>=0 && (q.k==0 || o->limit<q.k) ) q.k = o->limit;
  if( o->recall>0 || q.k>0 ) q.recall = o->recall>0 ? o->recall : RECALL;
  if( n<=FEW_ROWS ) q.recall = 1;
  search_open(&cursor->search, t->index, &q, &c->err);
  return vtab_damaged(c);
}

static int start_search(struct call *c, struct vtab *t, struct vcursor *cursor, int plan, const struct wish *w){
  struct search_options o;
  float *vector;

  if( vtab_ready(c, t, t->definition.body!=NULL)!=SQLITE_OK || pending_flush(c, t)!=SQLITE_OK || read_options(c, w->options, &o)!=SQLITE_OK ) return c->err.rc;
  cursor->left = o.limit;
  if( w->is_empty || sqlite3_value_type(w->query)==SQLITE_NULL ) return SQLITE_OK;
  vector = arena_floats(&cursor->arena, (size_t)t->width);
  if( !vector ) return fail_nomem(&c->err);
  if( query_vector(c, t, w->query, vector)!=SQLITE_OK ) return c->err.rc;
  if( o.exact || plan==PLAN_SEARCH_ROW ) return rank_rows(c, t, cursor, vector, w);
  return ask_index(c, t, cursor, vector, w, &o);
}

static int start_scan(struct call *c, struct vtab *t, struct vcursor *cursor, int plan, const struct wish *w){
  if( vtab_ready(c, t, 0)!=SQLITE_OK || w->is_empty ) return c->err.rc;
  cursor->which = plan==PLAN_SCAN_DOWN ? LOOK_DOWN : LOOK_UP;
  cursor->rows = store_look(c, t, cursor->which);
  if( cursor->rows ){
    sqlite3_bind_int64(cursor->rows, 1, w->low);
    sqlite3_bind_int64(cursor->rows, 2, w->high);
  }
  return c->err.rc;
}

/* ---- Rows ---- */

/* The next row of a search: its rowid and distance; what else it holds is read when it is asked for. */
static int next_found(struct call *c, struct vcursor *cursor){
  cursor->is_there = 0;
  if( cursor->left==0 ){
    cursor->eof = 1;
    return SQLITE_OK;
  }
  if( cursor->left>0 ) cursor->left--;
  if( cursor->search ){
    search_next(cursor->search, &cursor->rowid, &cursor->distance, &cursor->eof, &c->err);
    return vtab_damaged(c);
  }
  cursor->eof = cursor->at>=cursor->n_ranked;
  if( cursor->eof ) return SQLITE_OK;
  cursor->rowid = cursor->ranked[cursor->at].rowid;
  cursor->distance = cursor->ranked[cursor->at++].distance;
  return SQLITE_OK;
}

static int next_row(struct call *c, struct vcursor *cursor){
  cursor->is_checked = 0;
  if( cursor->searches ) return next_found(c, cursor);
  cursor->is_there = cursor->rows && store_step(c, cursor->rows);
  cursor->eof = !cursor->is_there;
  if( cursor->is_there ) cursor->rowid = sqlite3_column_int64(cursor->rows, LOOK_ID);
  return c->err.rc;
}

int vcursor_filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text, int n, sqlite3_value **args){
  struct vcursor *cursor = (struct vcursor*)base;
  struct vtab *t = (struct vtab*)base->pVtab;
  struct wish w;
  struct call c;

  clear(cursor);
  vtab_call(&c, t);
  if( plan_read(&c, t, plan_text, n, args, &cursor->arena, &w)==SQLITE_OK ){
    cursor->searches = w.query!=NULL;
    if( w.query && !(cursor->query = sqlite3_value_dup(w.query)) ) fail_nomem(&c.err);
    if( w.options && !(cursor->options = sqlite3_value_dup(w.options)) ) fail_nomem(&c.err);
  }
  if( c.err.rc==SQLITE_OK && w.query ) start_search(&c, t, cursor, plan, &w);
  else if( c.err.rc==SQLITE_OK ) start_scan(&c, t, cursor, plan, &w);
  if( c.err.rc==SQLITE_OK ) next_row(&c, cursor);
  return vtab_end(&c, t);
}

int vcursor_next(sqlite3_vtab_cursor *base){
  struct vcursor *cursor = (struct vcursor*)base;
  struct vtab *t = (struct vtab*)base->pVtab;
  struct call c;

  vtab_call(&c, t);
  next_row(&c, cursor);
  return vtab_end(&c, t);
}

int vcursor_eof(sqlite3_vtab_cursor *base){
  return ((struct vcursor*)base)->eof;
}

int vcursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid){
  *rowid = ((struct vcursor*)base)->rowid;
  return SQLITE_OK;
}

/* ---- Columns ---- */

/* Puts cursor->rows on the present row. A row that went while the search ran shows as NULLs. */
static int stand_on_row(struct call *c, struct vtab *t, struct vcursor *cursor){
  if( cursor->is_there || !cursor->searches ) return c->err.rc;
  if( !cursor->rows ){
    cursor->which = LOOK_ROW;
    cursor->rows = store_look(c, t, LOOK_ROW);
    if( !cursor->rows ) return c->err.rc;
  }
  sqlite3_reset(cursor->rows);
  sqlite3_bind_int64(cursor->rows, 1, cursor->rowid);
  cursor->is_there = store_step(c, cursor->rows);
  return c->err.rc;
}

/* From the content table, as a LEFT JOIN would give it. */
static void give_content(struct call *c, struct vtab *t, int64_t rowid, sqlite3_context *context){
  sqlite3_stmt *s = store_statement(c, t, CONTENT_GET);

  if( !s ) return;
  sqlite3_bind_int64(s, 1, rowid);
  if( store_step(c, s) ) sqlite3_result_value(context, sqlite3_column_value(s, 0));
  sqlite3_reset(s);
}

/* A latent that is asked for while it is pending is encoded now, with all that are. */
static void give_latent(struct call *c, struct vtab *t, struct vcursor *cursor, sqlite3_context *context){
  sqlite3_stmt *s = cursor->rows;
  const void *latent = NULL;
  int n = 0;

  if( sqlite3_column_type(s, LOOK_LATENT)==SQLITE_NULL && t->in_transaction ){
    if( pending_flush(c, t)!=SQLITE_OK || !(s = store_statement(c, t, ROW_LATENT)) ) return;
    sqlite3_bind_int64(s, 1, cursor->rowid);
    if( !store_step(c, s) ){
      sqlite3_reset(s);
      return;
    }
  }
  if( look_latent(c, t, s, &latent, &n)==SQLITE_OK && latent ) sqlite3_result_blob(context, latent, n, SQLITE_TRANSIENT);
  if( s!=cursor->rows ) sqlite3_reset(s);
}

/* A filter or own content: once a row all of them are held against their sum. */
static void give_value(struct call *c, struct vtab *t, struct vcursor *cursor, sqlite3_context *context, int i){
  if( !cursor->is_checked && look_values(c, t, cursor->rows)!=SQLITE_OK ) return;
  cursor->is_checked = 1;
  sqlite3_result_value(context, sqlite3_column_value(cursor->rows, LOOK_FILTERS + i));
}

/* In an UPDATE, a column that does not change is not read: xUpdate is told so. */
static void give_column(struct call *c, struct vtab *t, struct vcursor *cursor, sqlite3_context *context, int column){
  const struct definition *d = &t->definition;
  int at = column - filter_at(d);

  if( column==hidden_at(d, HIDDEN_DISTANCE) ){
    if( cursor->searches ) sqlite3_result_double(context, cursor->distance);
  }else if( column==hidden_at(d, HIDDEN_QUERY) || column==hidden_at(d, HIDDEN_OPTIONS) ){
    sqlite3_value *v = column==hidden_at(d, HIDDEN_QUERY) ? cursor->query : cursor->options;
    if( v ) sqlite3_result_value(context, v);
  }else if( at<0 && d->content ){
    give_content(c, t, cursor->rowid, context);
  }else if( stand_on_row(c, t, cursor)==SQLITE_OK && cursor->is_there ){
    if( column==hidden_at(d, HIDDEN_LATENT) ) give_latent(c, t, cursor, context);
    else give_value(c, t, cursor, context, at<0 ? d->n_filters : at);
  }
}

int vcursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column){
  struct vcursor *cursor = (struct vcursor*)base;
  struct vtab *t = (struct vtab*)base->pVtab;
  struct call c;

  if( sqlite3_vtab_nochange(context) ) return SQLITE_OK;
  vtab_call(&c, t);
  give_column(&c, t, cursor, context, column);
  return vtab_end(&c, t);
}
