/*
** vtab_check.c -- integrity-check: does everything that the shadow tables say agree?
**
** 1. t_config is of this version, for these columns (vtab_ready()).
** 2. Every row of t_rows holds what was written, by its sum; and its latent reads as a vector.
** 3. No row is pending.
** 4. The index agrees with t_rows: index_check(), which asks for the keys of each row. And it knows
**    as many rows as have a latent.
** 5. Where the content is another table's: the same rowids here and there.
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
  *e = (struct err){ 0 };
}

/* The row that s stands on. vector[width]: for scratch. Returns whether it has a latent. */
static int check_row(struct call *c, struct vtab *t, sqlite3_stmt *s, float *vector,
                     struct buf *report){
  long long id = sqlite3_column_int64(s, COLUMN_ID);
  struct err found = { 0 };
  struct content latent;
  row_check_values(c, t, s);
  report_failure(&c->err, report);
  latent = row_latent(c, t, s);
  report_failure(&c->err, report);
  if( latent.bytes==NULL ) return 0;
  vector_from_blob(t, vector, latent, "its latent", &found);
  if( found.rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  else if( found.rc!=SQLITE_OK ) buf_report_line(report, "row %lld: %s", id, found.text);
  return 1;
}

/* All rows. Returns how many have a latent. */
static int64_t check_all(struct call *c, struct vtab *t, struct buf *report){
  sqlite3_stmt *s = store_range(c, t, ROWS_UP, INT64_MIN, INT64_MAX);
  float *vector = arena_floats(&c->arena, (size_t)t->width);
  int64_t n = 0;
  if( vector==NULL ) fail_nomem(&c->err);
  while( store_step(c, s) ) n += check_row(c, t, s, vector, report);
  store_give_back(t, ROWS_UP, s);
  return n;
}

/* For the index: are these the keys of the row? */
static int check_keys(void *arg, int64_t rowid, const uint64_t *keys, struct buf *report,
                      struct err *e){
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
  sqlite3_reset(s);
  *e = c.err;
  return e->rc;
}

static void check_index(struct call *c, struct vtab *t, int64_t n_latents, struct buf *report){
  int64_t n = 0;
  if( c->err.rc!=SQLITE_OK ) return;
  index_check(t->index, report, &n, check_keys, t, &c->err);
  if( vtab_damaged(c)!=SQLITE_OK || n==n_latents ) return;
  buf_report_line(report, "%lld rows have a latent, the index has %lld", (long long)n_latents,
              (long long)n);
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

int vtab_check(struct call *c, struct vtab *t, struct buf *report){
  int64_t n_latents;
  vtab_ready(c, t, 0);
  if( pending_flush(c, t)!=SQLITE_OK ) return c->err.rc;
  n_latents = check_all(c, t, report);
  check_none(c, t, report, "SELECT id FROM $pending LIMIT 20", "is pending, although nothing is");
  check_index(c, t, n_latents, report);
  if( t->definition.content==NULL ) return c->err.rc;
  store_statement(c, t, CONTENT_GET);           /* finds the content table's name */
  check_none(c, t, report, "SELECT T.$their_id FROM $theirs AS T"
             " WHERE T.$their_id NOT IN (SELECT id FROM $rows) LIMIT 20",
             "of the content table is missing");
  check_none(c, t, report, "SELECT id FROM $rows"
             " WHERE id NOT IN (SELECT T.$their_id FROM $theirs AS T) LIMIT 20",
             "is none of the content table's");
  return c->err.rc;
}
