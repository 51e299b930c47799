/*
** vtab_check.c -- integrity-check: does everything that the shadow tables say agree?
**
** 1. t_config is of this version, for these columns (vtab_ready()).
** 2. Every row of t_rows holds what was written: by its sum; and its latent reads as a vector.
** 3. No row is pending.
** 4. The index agrees with t_rows: index_check(), which asks for the keys of each row; and knows as many rows as have a latent.
** 5. Where the content is another table's: the same rowids here and there.
**
** Damage is reported a line each, 20 at most; only what keeps the check from going on is an error.
*/
#include "vtab.h"
#include <string.h>

/* Damage, noted as a failure, becomes a finding, without what is said of ways out; another failure stays one. */
static void report_failure(struct err *e, struct buf *report){
  char *end = strstr(e->text, ". ");

  if( e->rc!=SQLITE_CORRUPT_VTAB ) return;
  if( end ) *end = 0;
  buf_report_line(report, "%s", e->text);
  memset(e, 0, sizeof(*e));
}

static void check_stored(struct call *c, struct vtab *t, struct buf *report, int64_t *n_latents){
  sqlite3_stmt *s = store_look(c, t, LOOK_UP);
  float *vector = arena_floats(&c->arena, (size_t)t->width);

  *n_latents = 0;
  if( !vector ) fail_nomem(&c->err);
  if( s ){
    sqlite3_bind_int64(s, 1, INT64_MIN);
    sqlite3_bind_int64(s, 2, INT64_MAX);
  }
  while( s && store_step(c, s) ){
    struct err found = { 0 };
    const void *latent;
    int n;
    look_values(c, t, s);
    report_failure(&c->err, report);
    if( look_latent(c, t, s, &latent, &n)==SQLITE_OK && latent ){
      ++*n_latents;
      vtab_vector(t, vector, latent, (size_t)n, "its latent", &found);
      if( found.rc==SQLITE_NOMEM ) c->err = found;
      else if( found.rc!=SQLITE_OK ) buf_report_line(report, "row %lld: %s", (long long)sqlite3_column_int64(s, LOOK_ID), found.text);
    }
    report_failure(&c->err, report);
  }
  store_look_back(t, LOOK_UP, s);
}

static int check_keys(void *arg, int64_t rowid, const uint64_t *keys, struct buf *report, struct err *e){
  struct vtab *t = arg;
  struct call c = { .connection = t->binding.connection };
  sqlite3_stmt *s = store_statement(&c, t, ROW_GET);

  if( s ){
    sqlite3_bind_int64(s, 1, rowid);
    if( store_step(&c, s) ){
      for(int i=0; i<t->definition.n_filters; i++){
        if( filter_key(t->definition.filters[i].type, sqlite3_column_value(s, LOOK_FILTERS + i))==keys[i] ) continue;
        buf_report_line(report, "row %lld: the index has another value of %s than %s_rows", (long long)rowid, t->definition.filters[i].name, t->name);
      }
    }
    sqlite3_reset(s);
  }
  return c.err.rc==SQLITE_OK ? SQLITE_OK : fail(e, c.err.rc, "%s", c.err.text);
}

/* A statement that gives rowids; each is a finding. */
static void check_none(struct call *c, struct vtab *t, struct buf *report, const char *sql, const char *finding){
  sqlite3_stmt *s = c->err.rc==SQLITE_OK ? store_prepare(c, t, sql) : NULL;

  while( s && store_step(c, s) ) buf_report_line(report, "row %lld %s", (long long)sqlite3_column_int64(s, 0), finding);
  sqlite3_finalize(s);
}

int vtab_check(struct call *c, struct vtab *t, struct buf *report){
  int64_t n_latents, n_indexed = 0;

  if( vtab_ready(c, t, 0)!=SQLITE_OK || pending_flush(c, t)!=SQLITE_OK ) return c->err.rc;
  check_stored(c, t, report, &n_latents);
  check_none(c, t, report, "SELECT id FROM $pending LIMIT 20", "is pending, although nothing is");
  if( c->err.rc==SQLITE_OK && index_check(t->index, report, &n_indexed, check_keys, t, &c->err)==SQLITE_OK && n_indexed!=n_latents ){
    buf_report_line(report, "%lld rows have a latent, the index has %lld", (long long)n_latents, (long long)n_indexed);
  }
  if( t->definition.content && c->err.rc==SQLITE_OK && store_statement(c, t, CONTENT_GET) ){
    check_none(c, t, report, "SELECT $their_id FROM $theirs WHERE $their_id NOT IN (SELECT id FROM $rows) LIMIT 20", "of the content table is missing");
    check_none(c, t, report, "SELECT id FROM $rows WHERE id NOT IN (SELECT $their_id FROM $theirs) LIMIT 20", "is none of the content table's");
  }
  return vtab_damaged(c);
}
