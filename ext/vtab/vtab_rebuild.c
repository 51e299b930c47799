/*
** vtab_rebuild.c -- 'rebuild', which encodes all rows again, at once or in steps; and 'sync'.
**
** INSERT INTO t(t, rank) VALUES('rebuild', 1000) encodes 1,000 rows at most, and the same statement
** again goes on from there:
**
**   1. The first step makes the table the present models', empties the index, and takes the latents
**      from all rows. That encodes nothing: it is one pass over t_rows.
**   2. Every step encodes the next rows that have no latent, in the order of their ids, as a flush
**      encodes rows that were written. t_config notes where it goes on: `rebuild`, an id.
**   3. The step that finds no more behind its rows removes that entry.
**
** A row that waits is a row without a latent, as there are others. So nothing else needs to know of
** it: the index does not have it, a search does not find it, a write encodes it at once, a deletion
** is one. Rollback, a crash or another connection find rows, index and entry as they belong
** together. Models that are not those of the entries in t_config begin anew, whoever is halfway.
**
** Where the content is another table's, the first step takes in which rows it has, with their
** filters. (The hash of a row that waits is 0, which is that of no content, so the flush finds it
** changed.) 'sync' leaves it so.
**
** A table of foreign vectors has nothing to encode. There a step does the whole.
*/
#include "vtab.h"

static const struct content NO_LATENT = { NULL, 0 };

int rebuild_awaits(struct call *c, struct vtab *t, const struct rebuild *r, sqlite3_int64 id){
  sqlite3_stmt *s;
  int waits;
  if( !r->is_begun || id<r->next ) return 0;
  s = store_find(c, t, ROW_LATENT, id);
  waits = s && sqlite3_column_type(s, COLUMN_LATENT)==SQLITE_NULL;
  sqlite3_reset(s);
  return waits;
}

/* ---- Content that is another table's ---- */

/* Puts the row of the content table that s stands on into t_rows, without a latent. */
static void put_waiting(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_stmt *s,
                        void *arg){
  const struct definition *d = &t->definition;
  sqlite3_value *filters[FILTERS_MOST] = { NULL };
  struct new_row row = { .id = id, .filters = filters };
  (void)arg;
  for(int i=0; i<d->n_filters; i++){
    sqlite3_value *v = sqlite3_column_value(s, CONTENT_BODIES + d->n_bodies + i);
    filters[i] = sqlite3_value_dup(v);
    if( filters[i]==NULL ) fail_nomem(&c->err);
  }
  if( c->err.rc==SQLITE_OK ) row_put(c, t, &row);
  words_put_columns(c, t, id, s, CONTENT_BODIES);
  for(int i=0; i<d->n_filters; i++) sqlite3_value_free(filters[i]);
}

/* arg: the 'rebuild' that is under way, or not. A row that waits for it goes on waiting. */
static void note_differing(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_stmt *s,
                           void *arg){
  if( s && rebuild_awaits(c, t, arg, id) ){
    put_waiting(c, t, id, s, NULL);
  }else{
    if( s ) words_put_columns(c, t, id, s, CONTENT_BODIES);
    else words_put(c, t, id, NULL);
    pending_add(c, t, id, NO_LATENT, NOTE_READ);
  }
}

/* Calls differs() for all rows that are not as the content table has them. */
static void compare_content(struct call *c, struct vtab *t, const struct content_walk *walk){
  content_check(c, t);
  triggers_mend(c, t);
  if( c->err.rc==SQLITE_OK ) content_walk(c, t, walk);
}

int vtab_sync(struct call *c, struct vtab *t){
  struct rebuild rebuild = { 0 };
  struct content_walk walk = { .differs = note_differing, .arg = &rebuild };
  if( t->definition.content==NULL ){
    fail(&c->err, SQLITE_ERROR, "'sync' is for a table with content='another table': this one has "
         "its own");
  }
  vtab_ready(c, t, 1);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  rebuild = config_rebuild(c, t);
  compare_content(c, t, &walk);
  return pending_flush(c, t);
}

/* ---- Own content, foreign vectors ---- */

/* Takes what the row holds, that s stands on, as it is. Its content is to be encoded again. A
** foreign latent that is not what was written becomes NULL. */
static void mend_row(struct call *c, struct vtab *t, sqlite3_stmt *s, sqlite3_stmt *mend){
  sqlite3_int64 id = sqlite3_column_int64(s, COLUMN_ID);
  sqlite3_int64 sum = row_sum_expected(c, t, s);
  int has_none = sqlite3_column_type(s, COLUMN_LATENT)==SQLITE_NULL;
  struct content latent = NO_LATENT;
  if( t->definition.n_bodies==0 ) latent = row_latent(c, t, s);
  if( c->err.rc==SQLITE_CORRUPT_VTAB ) err_clear(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  if( latent.bytes ) sum |= latent_sum(id, latent);
  if( sum==sqlite3_column_int64(s, COLUMN_SUM) && (latent.bytes || has_none) ) return;
  sqlite3_bind_int64(mend, 1, id);
  sqlite3_bind_int64(mend, 2, sum);
  if( latent.bytes ){
    check_bound(c, sqlite3_bind_blob(mend, 3, latent.bytes, (int)latent.n, SQLITE_TRANSIENT));
  }
  store_do(c, mend);
}

static void mend_rows(struct call *c, struct vtab *t){
  sqlite3_stmt *s = store_range(c, t, ROWS_UP, INT64_MIN, INT64_MAX);
  sqlite3_stmt *mend = store_statement(c, t, ROW_MEND);
  while( store_step(c, s) ) mend_row(c, t, s, mend);
  store_give_back(t, ROWS_UP, s);
}

/* ---- 'rebuild' ---- */

/* The index is empty, and the rows in t_rows have no latents; foreign vectors stay. What differs()
** is given are the rows of another table's content: all of them, as t_rows has none. */
static int begin_anew(struct call *c, struct vtab *t, const struct content_walk *walk){
  static const struct rebuild NONE = { 0 };
  config_put(c, t);
  config_put_rebuild(c, t, &NONE);
  store_run(c, t, "DELETE FROM $pending");
  vtab_ready(c, t, 1);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  index_clear(t->index, &c->err);
  vtab_damaged(c);
  words_rebuild(c, t);
  if( t->definition.content==NULL ){
    mend_rows(c, t);
  }else{
    store_run(c, t, "DELETE FROM $rows");
    compare_content(c, t, walk);
  }
  return c->err.rc;
}

int vtab_rebuild(struct call *c, struct vtab *t){
  struct rebuild none = { 0 };
  struct content_walk walk = { .differs = note_differing, .arg = &none };
  if( config_is_early(c, t) ) return c->err.rc;
  begin_anew(c, t, &walk);
  if( t->definition.content==NULL ){
    store_run(c, t, "INSERT INTO $pending(id, how) SELECT id, 0 FROM $rows");
  }
  pending_flush(c, t);
  if( c->err.rc!=SQLITE_OK ) t->broken_depth = t->depth + 1;
  return c->err.rc;
}

/* Notes the next n rows, and moves r->next behind them. */
static void note_waiting(struct call *c, struct vtab *t, struct rebuild *r, sqlite3_int64 n){
  enum note_how how = t->definition.content ? NOTE_READ : NOTE_WRITTEN;
  sqlite3_stmt *s = store_prepare(c, t, "SELECT id FROM $rows WHERE id>=?1 AND latent IS NULL"
                                  " ORDER BY id");
  if( s ) sqlite3_bind_int64(s, 1, r->next);
  r->is_begun = store_step(c, s);
  for(sqlite3_int64 i=0; i<n && r->is_begun; i++){
    pending_add(c, t, sqlite3_column_int64(s, 0), NO_LATENT, how);
    r->is_begun = store_step(c, s);
  }
  if( r->is_begun ) r->next = sqlite3_column_int64(s, 0);
  sqlite3_finalize(s);
}

int rebuild_some(struct call *c, struct vtab *t, sqlite3_int64 n){
  static const struct content_walk WALK = { .differs = put_waiting };
  struct rebuild r;
  int begins;
  if( t->definition.n_bodies==0 ) return vtab_rebuild(c, t);
  if( config_is_early(c, t) ) return c->err.rc;
  r = config_rebuild(c, t);
  begins = !r.is_begun || !config_is_present(c, t);
  if( begins ){
    begin_anew(c, t, &WALK);
    r.next = INT64_MIN;
  }
  vtab_ready(c, t, 1);
  pending_flush(c, t);                  /* what was written meanwhile does not wait any more */
  note_waiting(c, t, &r, n);
  config_put_rebuild(c, t, &r);
  pending_flush(c, t);
  if( begins && c->err.rc!=SQLITE_OK ) t->broken_depth = t->depth + 1;
  return c->err.rc;
}

/* ---- How far it is ---- */

int progress_read(struct call *c, const char *schema, const char *table, struct progress *p){
  static const char text[] =
    "WITH config AS (SELECT k, v FROM \"%w\".\"%w_config\"),"
    " next AS (SELECT v AS id FROM config WHERE k='rebuild') "
    "SELECT EXISTS(SELECT 1 FROM next),"
    " (SELECT count(*) FROM \"%w\".\"%w_rows\"),"
    " (SELECT count(*) FROM next, \"%w\".\"%w_rows\" AS R WHERE R.id>=next.id AND latent IS NULL),"
    " ifnull((SELECT v FROM config WHERE k='model'), -1)";
  sqlite3 *db = c->connection->db;
  char *sql = sqlite3_mprintf(text, schema, table, schema, table, schema, table);
  sqlite3_stmt *s = NULL;
  int rc = SQLITE_NOMEM;
  *p = (struct progress){ 0 };
  if( sql ) rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_NO_VTAB, &s, NULL);
  if( rc==SQLITE_ERROR ){
    fail(&c->err, SQLITE_ERROR, "\"%.100s\" is a virtual table of another module, expected one "
         "made by CREATE VIRTUAL TABLE ... USING latent(...)", table);
  }else if( rc!=SQLITE_OK ){
    fail(&c->err, rc, "%s", sqlite3_errmsg(db));
  }
  if( store_step(c, s) ){
    p->is_begun = sqlite3_column_int(s, 0);
    p->total = sqlite3_column_int64(s, 1);
    p->done = p->total - sqlite3_column_int64(s, 2);
    p->model = sqlite3_column_int64(s, 3);
  }
  sqlite3_finalize(s);
  sqlite3_free(sql);
  return c->err.rc;
}
