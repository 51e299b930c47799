/*
** vtab_check.c -- integrity-check: does everything that the shadow tables say agree?
**
** 1. t_config is of this version, for these columns (vtab_ready()).
** 2. Every row of t_rows holds what was written, by its sum; and its latent reads as a vector.
** 3. No row is pending.
** 4. The index agrees with t_rows: index_check(), which asks for the keys of each row. And it knows
**    as many vectors as the rows have.
** 5. Every row that has content has a latent, or waits for a 'rebuild' that is under way; of others
**    it says why not. (PRAGMA integrity_check leaves this out: such a row is no damage.)
** 6. t_words has the words of every row with text, and no others; FTS5 says that its own tables
**    agree (PRAGMA integrity_check asks it itself).
** 7. Where the content is another table's: its ids are lasting, the triggers are there, and each
**    row has the content and the filters that were encoded (vtab_content.c).
**
** Damage is reported, one line each, 20 lines at most. Only what keeps the check from going on is
** an error.
*/
#include "vtab.h"
#include <string.h>

/* Damage that was noted as a failure becomes a finding, without the advice that follows the first
** sentence. Other failures stay. */
static void report_failure(struct err *e, struct buf *report){
  char *end = strstr(e->text, ". ");
  if( e->rc!=SQLITE_CORRUPT_VTAB ) return;
  if( end ) *end = 0;
  buf_report_line(report, "%s", e->text);
  err_clear(e);
}

struct check {
  struct buf *report;
  int names_refused;            /* rows that could not be encoded are named too */
  struct rebuild rebuild;       /* rows that wait for it are well as they are */
};

/* Is there content in the columns of s from this one on? */
static int has_content(const struct vtab *t, sqlite3_stmt *s, int column){
  for(int i=0; i<t->definition.n_bodies; i++){
    if( sqlite3_column_type(s, column + i)!=SQLITE_NULL ) return 1;
  }
  return 0;
}

/* The row that s stands on. Returns how many vectors it has. */
static int check_row(struct call *c, struct vtab *t, sqlite3_stmt *s, const struct check *check){
  int body_at = COLUMN_FILTERS + t->definition.n_filters;
  struct buf *report = check->report;
  long long id = sqlite3_column_int64(s, COLUMN_ID);
  struct err found = { 0 };
  struct arena_mark mark = arena_mark(&c->arena);
  struct content latent;
  struct vectors v;
  row_check_values(c, t, s);
  report_failure(&c->err, report);
  if( owns_content(&t->definition) ){
    words_check_row(c, t, id, s, body_at, report);
  }
  latent = row_latent(c, t, s);
  report_failure(&c->err, report);
  if( latent.bytes==NULL ){
    int names = owns_content(&t->definition) && check->names_refused;
    if( names && rebuild_awaits(c, t, &check->rebuild, id) ) return 0;
    if( names && has_content(t, s, body_at) ) pending_explain(c, t, id, s, body_at, report);
    return 0;
  }
  v = vectors_from_blob(t, latent, &c->arena, "its latent", &found);
  if( found.rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  else if( found.rc!=SQLITE_OK ) buf_report_line(report, "row %lld: %s", id, found.text);
  arena_rewind(&c->arena, mark);
  return v.n;
}

/* All rows. Returns how many vectors they have. */
static int64_t check_all(struct call *c, struct vtab *t, const struct check *check){
  sqlite3_stmt *s = store_range(c, t, ROWS_UP, INT64_MIN, INT64_MAX);
  int64_t n = 0;
  while( store_step(c, s) ) n += check_row(c, t, s, check);
  store_give_back(t, ROWS_UP, s);
  return n;
}

/* For the index: are these the keys of the row? */
static int check_keys(void *arg, int64_t rowid, const uint64_t *keys, uint64_t group,
                      struct buf *report, struct err *e){
  struct vtab *t = arg;
  const struct definition *d = &t->definition;
  struct call c = callback_call(t, e);
  sqlite3_stmt *s = store_find(&c, t, ROW_GET, rowid);
  for(int i=0; s && i<d->n_filters; i++){
    sqlite3_value *v = sqlite3_column_value(s, COLUMN_FILTERS + i);
    if( filter_key(d->filters[i].type, v)==keys[i] ) continue;
    buf_report_line(report, "row %lld: the index has another value of %s than %s_rows",
                (long long)rowid, d->filters[i].name, t->name);
  }
  if( s && row_group(d, s, COLUMN_FILTERS)!=group ){
    buf_report_line(report, "row %lld: the index has it in another partition than %s_rows",
                    (long long)rowid, t->name);
  }
  sqlite3_reset(s);
  err_take(e, &c.err);
  return e->rc;
}

static void check_index(struct call *c, struct vtab *t, int64_t n_vectors, struct buf *report){
  int64_t n = 0;
  if( c->err.rc!=SQLITE_OK ) return;
  index_check(t->index, report, &n, check_keys, t, &c->err);
  if( vtab_damaged(c)!=SQLITE_OK || n==n_vectors ) return;
  buf_report_line(report, "the rows have %lld vectors, the index has %lld", (long long)n_vectors,
              (long long)n);
}

static void check_words(struct call *c, struct vtab *t, int may_write, struct buf *report){
  if( c->err.rc!=SQLITE_OK ) return;
  words_check(c, t, may_write, report);
  report_failure(&c->err, report);
}

/* A statement that gives rowids; each is a finding. */
static void check_none(struct call *c, struct vtab *t, struct buf *report, const char *sql,
                       const char *finding){
  sqlite3_stmt *s = store_prepare(c, t, sql);
  while( store_step(c, s) ){
    buf_report_line(report, "row %lld %s", (long long)sqlite3_column_int64(s, 0), finding);
  }
  sqlite3_finalize(s);
}

/* ---- Content that is another table's ---- */

static void report_differing(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_stmt *s,
                             void *arg){
  const struct check *check = arg;
  const char *theirs = t->definition.content;
  sqlite3_stmt *row = s ? store_find(c, t, ROW_LATENT, id) : NULL;
  const char *what = row ? "has changed" : "is missing";
  sqlite3_reset(row);
  if( row && rebuild_awaits(c, t, &check->rebuild, id) ) return;
  if( s==NULL ) what = "is gone";
  buf_report_line(check->report, "row %lld of \"%.60s\" %s: 'sync' takes it %s", id, theirs, what,
                  s ? "in" : "out");
}

static void report_refused(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_stmt *row,
                           sqlite3_stmt *s, void *arg){
  const struct check *check = arg;
  int has_latent = sqlite3_column_type(row, COLUMN_LATENT)!=SQLITE_NULL;
  words_check_row(c, t, id, s, CONTENT_BODIES, check->report);
  if( !has_latent && check->names_refused && has_content(t, s, CONTENT_BODIES) ){
    pending_explain(c, t, id, s, CONTENT_BODIES, check->report);
  }
}

/* What is no damage of the shadow tables is a finding too. */
static void report_refusal(struct err *e, struct buf *report){
  if( e->rc!=SQLITE_ERROR ) return;
  buf_report_line(report, "%s", e->text);
  err_clear(e);
}

static void check_content(struct call *c, struct vtab *t, struct check *check){
  struct content_walk walk = { report_differing, report_refused, check };
  struct buf names = { 0 };
  store_follow_content(c, t);
  triggers_missing(c, t, &names);
  if( names.n>0 ) buf_report_line(check->report, "triggers on \"%.60s\" are gone (%.120s): 'sync' "
                                  "makes them again", t->definition.content, buf_text(&names));
  if( names.rc!=SQLITE_OK ) fail_nomem(&c->err);
  buf_release(&names);
  if( c->err.rc!=SQLITE_OK ) return;
  content_check(c, t);
  report_refusal(&c->err, check->report);
  content_walk(c, t, &walk);
  report_refusal(&c->err, check->report);
}

int vtab_check(struct call *c, struct vtab *t, int names_refused, struct buf *report){
  struct check check = { .report = report, .names_refused = names_refused };
  int64_t n_vectors;
  vtab_ready(c, t, 0);
  if( pending_flush(c, t)!=SQLITE_OK ) return c->err.rc;
  check.rebuild = config_rebuild(c, t);
  n_vectors = check_all(c, t, &check);
  check_none(c, t, report, "SELECT id FROM $pending LIMIT 20", "is pending, although nothing is");
  check_index(c, t, n_vectors, report);
  check_words(c, t, names_refused, report);
  if( t->definition.content ) check_content(c, t, &check);
  return c->err.rc;
}
