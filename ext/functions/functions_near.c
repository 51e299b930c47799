/*
** functions_near.c -- a latent table as the functions over it see it: its rows nearest to a point, by SQL on the same connection.
**
** latent_imagine() and latent_gaps() are given the name of a virtual table, 'notes_latent' or 'main.notes_latent'. What it is is asked of
** SQLite, not of the index: a virtual table with the columns `distance` and `latent` is one of ours, and its one visible column without a
** type is the content (definition_columns()); a table of somebody else's vectors has none. So they read what any SELECT of the user's would
** read, changes of this transaction among it.
**
** A table may hold rows of several kinds; mixed points are of one. So they work with the rows of one kind and see no others.
*/
#include "functions.h"
#include <string.h>

enum { FURTHEST = 4096 };       /* rows looked at for those of one kind */

/* A nested statement failed: its message, and with it SQLITE_INTERRUPT, SQLITE_CORRUPT_VTAB and the like. */
static int nested_failed(struct near *t, int rc){
  if( rc==SQLITE_NOMEM ) return fail_nomem(&t->call->err);
  return fail(&t->call->err, rc, "%s", sqlite3_errmsg(t->call->connection->db));
}

/* Prepares an SQL text of sqlite3_mprintf(), and frees it. */
static int prepare(struct near *t, char *sql, sqlite3_stmt **statement){
  int rc;
  *statement = NULL;
  if( !sql ) return fail_nomem(&t->call->err);
  rc = sqlite3_prepare_v2(t->call->connection->db, sql, -1, statement, NULL);
  sqlite3_free(sql);
  return rc==SQLITE_OK ? SQLITE_OK : nested_failed(t, rc);
}

/* The end of a nested statement: rc is what its last step gave. */
static int finish(struct near *t, sqlite3_stmt *statement, int rc){
  if( rc!=SQLITE_DONE && rc!=SQLITE_ROW && rc!=SQLITE_OK ) nested_failed(t, rc);
  sqlite3_reset(statement);
  return t->call->err.rc;
}

static char *column_copy(struct near *t, sqlite3_stmt *statement, int column, size_t *n){
  int is_blob = sqlite3_column_type(statement, column)==SQLITE_BLOB;
  const void *text = is_blob ? sqlite3_column_blob(statement, column) : (const void*)sqlite3_column_text(statement, column);
  char *copy;
  *n = (size_t)sqlite3_column_bytes(statement, column);
  copy = arena_get(&t->call->arena, *n + 1);
  if( !text || !copy ){
    fail_nomem(&t->call->err);
    return NULL;
  }
  memcpy(copy, text, *n);
  copy[*n] = 0;
  return copy;
}

/* ---- Which table ---- */

/* 'schema.table' where that is what there is, else the whole name is the table's, in the first schema that has it. */
static int find_table(struct near *t, const char *name){
  sqlite3_stmt *statement;
  size_t n;
  int rc;
  if( prepare(t, sqlite3_mprintf("SELECT schema, name FROM pragma_table_list WHERE type = 'virtual' AND (name = %Q COLLATE NOCASE OR schema||'.'||name = %Q "
                                 "COLLATE NOCASE) ORDER BY schema <> 'temp', schema <> 'main', schema", name, name), &statement)!=SQLITE_OK ){
    return t->call->err.rc;
  }
  rc = sqlite3_step(statement);
  if( rc==SQLITE_ROW ){
    t->schema = column_copy(t, statement, 0, &n);
    t->table = column_copy(t, statement, 1, &n);
  }else if( rc==SQLITE_DONE ){
    fail(&t->call->err, SQLITE_ERROR, "there is no virtual table \"%.100s\": expected the name of a table made by CREATE VIRTUAL TABLE ... USING latent(...)", name);
  }
  finish(t, statement, rc);
  sqlite3_finalize(statement);
  return t->call->err.rc;
}

/* Finds the content column; the columns `distance` and `latent` tell whether the table is ours. */
static int find_columns(struct near *t){
  sqlite3_stmt *statement;
  int rc, n_own = 0;
  size_t n;
  if( prepare(t, sqlite3_mprintf("SELECT name, type, hidden FROM pragma_table_xinfo(%Q, %Q)", t->table, t->schema), &statement)!=SQLITE_OK ) return t->call->err.rc;
  while( (rc = sqlite3_step(statement))==SQLITE_ROW && t->call->err.rc==SQLITE_OK ){
    const char *name = (const char*)sqlite3_column_text(statement, 0);
    if( !name ) fail_nomem(&t->call->err);
    else if( strcmp(name, "distance")==0 || strcmp(name, "latent")==0 ) n_own++;
    else if( !t->content && sqlite3_column_int(statement, 2)==0 && sqlite3_column_bytes(statement, 1)==0 ) t->content = column_copy(t, statement, 0, &n);
  }
  finish(t, statement, rc);
  sqlite3_finalize(statement);
  if( t->call->err.rc==SQLITE_OK && n_own!=2 ){
    fail(&t->call->err, SQLITE_ERROR, "\"%.100s\" is a virtual table of another module, expected one made by CREATE VIRTUAL TABLE ... USING latent(...)", t->table);
  }
  if( t->call->err.rc==SQLITE_OK && !t->content ){
    fail(&t->call->err, SQLITE_ERROR, "\"%.100s\" holds vectors of a model of its own (width=...), which nothing here can decode: expected a table with content", t->table);
  }
  return t->call->err.rc;
}

/* Recall 1: the answer depends on the rows alone, not on how the index lies; on 100,000 rows the nearest one takes 1.5 ms, rather than 0.1. */
int near_open(struct near *t, struct call *c, int i, int kind){
  struct content name = call_text(c, i, "index");
  memset(t, 0, sizeof(*t));
  t->call = c;
  if( kind ) near_settle(t, kind);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( find_table(t, name.bytes)!=SQLITE_OK || find_columns(t)!=SQLITE_OK ) return c->err.rc;
  return prepare(t, sqlite3_mprintf("SELECT rowid, distance, latent, \"%w\" FROM \"%w\".\"%w\"(?1, '{\"recall\":1}') LIMIT ?2", t->content, t->schema, t->table), &t->nearest);
}

int near_settle(struct near *t, int kind){
  t->kind = kind;
  t->model = call_model_of(t->call, kind, 0);
  return t->call->err.rc;
}

void near_release(struct near *t){
  sqlite3_finalize(t->nearest);
  sqlite3_finalize(t->from);
  t->nearest = t->from = NULL;
}

/* ---- Its rows ---- */

/* Columns rowid, distance, latent, content. *takes: the row is of the kind, and has content. Values of a statement are safe to read here: SQLite holds the
** connection's mutex around the call. */
static int read_row(struct near *t, sqlite3_stmt *statement, struct neighbour *row, int *takes){
  const void *latent = sqlite3_column_blob(statement, 2);
  uint32_t fingerprint;
  int kind;
  memset(row, 0, sizeof(*row));
  *takes = 0;
  if( t->kind && latent && latent_peek(latent, (size_t)sqlite3_column_bytes(statement, 2), &kind, &fingerprint) && kind!=t->kind ) return SQLITE_OK;
  row->rowid = sqlite3_column_int64(statement, 0);
  row->distance = sqlite3_column_double(statement, 1);
  row->z = value_latent(t->call, sqlite3_column_value(statement, 2), "the latent of a row");
  if( row->z.n_segments==0 ) return t->call->err.rc;
  row->is_blob = sqlite3_column_type(statement, 3)==SQLITE_BLOB;
  if( sqlite3_column_type(statement, 3)!=SQLITE_NULL ) row->text = column_copy(t, statement, 3, &row->text_bytes);
  *takes = row->text!=NULL;
  return t->call->err.rc;
}

/* The rows of the kind among the `limit` nearest ones. *n_others: how many of these are of another kind. */
static int read_nearest(struct near *t, const struct buf *at, int limit, int most, struct neighbour *rows, int *n, int *n_others){
  int takes, rc = sqlite3_bind_blob64(t->nearest, 1, at->data, at->n, SQLITE_STATIC);
  *n = *n_others = 0;
  if( rc==SQLITE_OK ) rc = sqlite3_bind_int(t->nearest, 2, limit);
  if( rc!=SQLITE_OK ) nested_failed(t, rc);
  while( t->call->err.rc==SQLITE_OK && *n<most && (rc = sqlite3_step(t->nearest))==SQLITE_ROW ){
    if( read_row(t, t->nearest, &rows[*n], &takes)!=SQLITE_OK ) break;
    if( takes && !t->kind ) near_settle(t, rows[*n].z.kind);
    *n += takes;
    *n_others += !takes && !rows[*n].z.z;
  }
  finish(t, t->nearest, rc);
  sqlite3_clear_bindings(t->nearest);
  return t->call->err.rc;
}

/* Where other kinds lie nearer it looks further, but not through all of a large table. */
int near_rows(struct near *t, const struct latent *at, int most, struct neighbour *rows, int *n){
  struct arena_mark mark = arena_mark(&t->call->arena);
  struct buf blob = {0};
  int n_others;
  latent_write(&blob, at);
  if( blob.rc ) fail_nomem(&t->call->err);
  for(int limit=most; t->call->err.rc==SQLITE_OK; limit*=8){
    read_nearest(t, &blob, limit, most, rows, n, &n_others);
    if( *n==most || *n + n_others<limit || n_others==0 || limit>=FURTHEST ) break;
    arena_rewind(&t->call->arena, mark);
  }
  buf_release(&blob);
  return t->call->err.rc;
}

int near_rowids(struct near *t, sqlite3_int64 *least, sqlite3_int64 *most){
  sqlite3_stmt *statement;
  *least = 0;
  *most = -1;
  for(int i=0; i<2; i++){
    sqlite3_int64 *x = i ? most : least;
    int rc;
    if( prepare(t, sqlite3_mprintf("SELECT rowid FROM \"%w\".\"%w\" ORDER BY rowid%s LIMIT 1", t->schema, t->table, i ? " DESC" : ""), &statement)!=SQLITE_OK ) return t->call->err.rc;
    rc = sqlite3_step(statement);
    if( rc==SQLITE_ROW ) *x = sqlite3_column_int64(statement, 0);
    finish(t, statement, rc);
    sqlite3_finalize(statement);
  }
  return t->call->err.rc;
}

int near_from(struct near *t, sqlite3_int64 rowid, struct neighbour *row, int *found){
  int rc = SQLITE_DONE;
  *found = 0;
  if( !t->from && prepare(t, sqlite3_mprintf("SELECT rowid, 0.0, latent, \"%w\" FROM \"%w\".\"%w\" WHERE rowid >= ?1 ORDER BY rowid LIMIT 20",
                                             t->content, t->schema, t->table), &t->from)!=SQLITE_OK ) return t->call->err.rc;
  sqlite3_bind_int64(t->from, 1, rowid);
  while( t->call->err.rc==SQLITE_OK && !*found && (rc = sqlite3_step(t->from))==SQLITE_ROW ){
    read_row(t, t->from, row, found);
  }
  return t->call->err.rc ? (sqlite3_reset(t->from), t->call->err.rc) : finish(t, t->from, rc);
}
