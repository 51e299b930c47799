/*
** functions_near.c -- a latent table as the functions over it see it: its rows nearest to a point,
** by SQL on the same connection.
**
** latent_imagine(), latent_gaps() and latent_cluster() are given the name of a virtual table,
** 'notes_latent' or 'main.notes_latent'. SQLite is asked what it is, not the index: a virtual table
** with the columns `distance` and `latent` is one of ours, and its visible columns without a type
** are the contents (definition_columns()). A table of somebody else's vectors has no such column.
** So these functions read what any SELECT of the user's would read, changes of this transaction
** included.
**
** A table may hold rows of several kinds, but points that are mixed must be of one kind. So these
** functions work with the rows of one kind and see no others. Of several contents they work with
** the first, which is also what the column `latent` is made of.
*/
#include "functions.h"
#include <stdlib.h>
#include <string.h>

enum {
  ROWS_SEARCHED_MOST = 4096,    /* rows looked at to find those of one kind */
  SPARE_ROWS = 32               /* looked at where the table measures by other vectors */
};

/* ---- Nested statements ---- */

/* Keeps SQLite's message and code: SQLITE_INTERRUPT, SQLITE_CORRUPT_VTAB and the like. */
static void nested_failed(struct near *t, int rc){
  struct err *e = &t->call->err;
  if( rc==SQLITE_NOMEM ) fail_nomem(e);
  else fail(e, rc, "%s", sqlite3_errmsg(t->call->connection->db));
}

sqlite3_stmt *nested_prepare_with(struct near *t, char *sql, unsigned flags){
  sqlite3_stmt *statement = NULL;
  int rc;
  if( sql==NULL ) fail_nomem(&t->call->err);
  if( t->call->err.rc==SQLITE_OK ){
    rc = sqlite3_prepare_v3(t->call->connection->db, sql, -1, flags, &statement, NULL);
    if( rc!=SQLITE_OK ) nested_failed(t, rc);
  }
  sqlite3_free(sql);
  return statement;
}

sqlite3_stmt *nested_prepare(struct near *t, char *sql){
  return nested_prepare_with(t, sql, 0);
}

int nested_step(struct near *t, sqlite3_stmt *statement){
  int rc;
  if( t->call->err.rc!=SQLITE_OK ) return 0;
  rc = sqlite3_step(statement);
  if( rc!=SQLITE_ROW && rc!=SQLITE_DONE ) nested_failed(t, rc);
  return rc==SQLITE_ROW;
}

char *nested_copy(struct near *t, sqlite3_stmt *statement, int column, size_t *n){
  int is_blob = sqlite3_column_type(statement, column)==SQLITE_BLOB;
  const void *text;
  char *copy;
  if( is_blob ) text = sqlite3_column_blob(statement, column);
  else text = sqlite3_column_text(statement, column);
  *n = (size_t)sqlite3_column_bytes(statement, column);
  copy = arena_get(&t->call->arena, *n + 1);
  if( text==NULL || copy==NULL ){
    fail_nomem(&t->call->err);
    return NULL;
  }
  memcpy(copy, text, *n);
  copy[*n] = 0;
  return copy;
}

/* ---- Which table ---- */

/* The name is 'schema.table' if there is such a table. Otherwise all of it is the table's name, and
** the first schema that has one is taken. */
sqlite3_stmt *near_named(struct near *t, const char *name, const char *condition){
  static const char sql[] = "SELECT schema, name, type, wr FROM pragma_table_list WHERE %s AND "
    "(name = %Q COLLATE NOCASE OR schema||'.'||name = %Q COLLATE NOCASE) "
    "ORDER BY schema <> 'temp', schema <> 'main', schema";
  sqlite3_stmt *s = nested_prepare(t, sqlite3_mprintf(sql, condition, name, name));
  size_t n;
  if( !nested_step(t, s) ){
    sqlite3_finalize(s);
    return NULL;
  }
  t->schema = nested_copy(t, s, 0, &n);
  t->table = nested_copy(t, s, 1, &n);
  return s;
}

int near_find(struct near *t, const char *name){
  sqlite3_stmt *s = near_named(t, name, "type = 'virtual'");
  if( s==NULL ){
    fail(&t->call->err, SQLITE_ERROR, "there is no virtual table \"%.100s\": expected the name of "
         "a table made by CREATE VIRTUAL TABLE ... USING latent(...)", name);
  }
  sqlite3_finalize(s);
  return t->call->err.rc;
}

/* Notes a content column. Returns whether the column is one of the two that tell that the table is
** ours. */
static int read_column(struct near *t, sqlite3_stmt *statement){
  const char *name = (const char *)sqlite3_column_text(statement, 0);
  int has_type = sqlite3_column_bytes(statement, 1)>0;
  int is_hidden = sqlite3_column_int(statement, 2)!=0;
  size_t n;
  if( name==NULL ){
    fail_nomem(&t->call->err);
    return 0;
  }
  if( strcmp(name, "distance")==0 || strcmp(name, "latent")==0 ) return 1;
  if( is_hidden || has_type ) return 0;
  if( t->n_contents++==0 ) t->content = nested_copy(t, statement, 0, &n);
  return 0;
}

/* Sets the content column; NULL in a table of foreign vectors. */
static void read_columns(struct near *t){
  static const char sql[] = "SELECT name, type, hidden FROM pragma_table_xinfo(%Q, %Q)";
  sqlite3_stmt *statement = nested_prepare(t, sqlite3_mprintf(sql, t->table, t->schema));
  int n_own = 0;
  while( nested_step(t, statement) ) n_own += read_column(t, statement);
  sqlite3_finalize(statement);
  if( n_own==2 ) return;
  fail(&t->call->err, SQLITE_ERROR, "\"%.100s\" is a virtual table of another module, expected one "
       "made by CREATE VIRTUAL TABLE ... USING latent(...)", t->table);
}

/* The columns that options name are filters. */
static void check_where(struct near *t){
  static const char sql[] = "SELECT 1 FROM pragma_table_xinfo(%Q, %Q) WHERE name = %Q "
    "COLLATE NOCASE AND type <> '' AND hidden = 0 AND name NOT IN ('distance', 'latent')";
  for(int i=0; i<t->n_where && t->call->err.rc==SQLITE_OK; i++){
    const char *name = t->where[i].column;
    sqlite3_stmt *s = nested_prepare(t, sqlite3_mprintf(sql, t->table, t->schema, name));
    int is_filter = nested_step(t, s);
    sqlite3_finalize(s);
    if( is_filter || t->call->err.rc!=SQLITE_OK ) continue;
    fail(&t->call->err, SQLITE_ERROR, "options key \"where\" names \"%.60s\", which is no filter "
         "column of \"%.60s\"", name, t->table);
  }
}

/* The table's columns, and what options say of them. */
static void know_table(struct near *t, const struct options *o){
  if( t->call->err.rc==SQLITE_OK ) read_columns(t);
  t->where = o->where;
  t->n_where = o->n_where;
  check_where(t);
}

/* t_config names the table's own encoder. */
static void find_encoder(struct near *t){
  static const char sql[] = "SELECT 1 FROM \"%w\".\"%w_config\" WHERE k = 'encoder'";
  sqlite3_stmt *s = NULL;
  if( t->call->err.rc!=SQLITE_OK ) return;
  s = nested_prepare_with(t, sqlite3_mprintf(sql, t->schema, t->table), SQLITE_PREPARE_NO_VTAB);
  t->has_encoder = nested_step(t, s);
  sqlite3_finalize(s);
}

static void find_columns(struct near *t, const struct options *o){
  know_table(t, o);
  find_encoder(t);
  if( t->content || t->call->err.rc!=SQLITE_OK ) return;
  fail(&t->call->err, SQLITE_ERROR, "\"%.100s\" holds vectors of a model of its own (width=...), "
       "which nothing here can decode: expected a table with content", t->table);
}

int near_table(struct near *t, struct call *c, int i, const struct options *o){
  struct content name = call_text(c, i, "index");
  *t = (struct near){ .call = c, .kind = o->kind };
  if( c->err.rc==SQLITE_OK ) near_find(t, name.bytes);
  know_table(t, o);
  return c->err.rc;
}

/* Of the rows that count: rowid and `what`, in which $ is the content. arguments: of a query.
** condition: a WHERE, or empty. end: order and limit. */
static sqlite3_stmt *select_rows(struct near *t, const char *what, const char *arguments,
                                 const char *condition, const char *end){
  sqlite3_str *s = sqlite3_str_new(t->call->connection->db);
  int is_first = *condition==0;
  sqlite3_str_appendall(s, "SELECT T.rowid, ");
  for(const char *p=what; *p; p++){
    if( *p=='$' ) sqlite3_str_appendf(s, "T.\"%w\"", t->content);
    else sqlite3_str_appendchar(s, 1, *p);
  }
  sqlite3_str_appendf(s, " FROM \"%w\".\"%w\"%s AS T %s", t->schema, t->table, arguments,
                      condition);
  for(int i=0; i<t->n_where; i++){
    sqlite3_str_appendf(s, " %s T.\"%w\" IS %s", is_first ? "WHERE" : "AND", t->where[i].column,
                        t->where[i].value);
    is_first = 0;
  }
  sqlite3_str_appendf(s, " %s", end);
  return nested_prepare(t, sqlite3_str_finish(s));
}

/* Recall 1: the answer depends on the rows alone, not on how the index lies. On 100,000 rows the
** nearest one then takes 1.5 ms, rather than 0.1. */
int near_open(struct near *t, struct call *c, int i, const struct options *o){
  static const char arguments[] = "(?1, '{\"recall\":1,\"by\":\"meaning\"}')";
  struct content name = call_text(c, i, "index");
  *t = (struct near){ .call = c };
  if( o->kind ) near_settle(t, o->kind);
  if( c->err.rc==SQLITE_OK ) near_find(t, name.bytes);
  find_columns(t, o);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  t->nearest = select_rows(t, "T.distance, T.latent, $", arguments, "", "LIMIT ?2");
  return c->err.rc;
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

enum { ROW_ID, ROW_DISTANCE, ROW_LATENT, ROW_CONTENT };         /* columns of both statements */

static int is_of_another_kind(const struct near *t, sqlite3_stmt *statement){
  const void *latent = sqlite3_column_blob(statement, ROW_LATENT);
  size_t n = (size_t)sqlite3_column_bytes(statement, ROW_LATENT);
  uint32_t fingerprint;
  int kind;
  if( t->kind==0 || latent==NULL ) return 0;
  return latent_peek(latent, n, &kind, &fingerprint) && kind!=t->kind;
}

/* Returns whether the row is of the kind, and has content. Values of a statement are safe to read
** here: SQLite holds the connection's mutex around the call. */
static int read_row(struct near *t, sqlite3_stmt *statement, struct neighbour *row){
  sqlite3_value *latent = sqlite3_column_value(statement, ROW_LATENT);
  int type = sqlite3_column_type(statement, ROW_CONTENT);
  *row = (struct neighbour){ 0 };
  if( is_of_another_kind(t, statement) ) return 0;
  row->rowid = sqlite3_column_int64(statement, ROW_ID);
  row->distance = sqlite3_column_double(statement, ROW_DISTANCE);
  row->z = value_latent(t->call, latent, "the latent of a row");
  row->is_blob = type==SQLITE_BLOB;
  if( row->z.n_segments>0 && type!=SQLITE_NULL ){
    row->text = nested_copy(t, statement, ROW_CONTENT, &row->text_bytes);
  }
  return row->text!=NULL;
}

/* What is asked for: a text where the table's own encoder reads it, else a latent. */
static int bind_query(struct near *t, const struct buf *at, struct content said){
  int is_text = t->has_encoder && said.bytes;
  if( !is_text ) return sqlite3_bind_blob64(t->nearest, 1, at->data, at->n, SQLITE_STATIC);
  return sqlite3_bind_text64(t->nearest, 1, said.bytes, said.n, SQLITE_STATIC, SQLITE_UTF8);
}

/* The rows of the kind among the `limit` nearest ones: rows[*n] of [most]. Returns how many of
** these are of another kind, or have nothing in the first of several columns. */
static int read_nearest(struct near *t, const struct buf *at, struct content said, int limit,
                        int most, struct neighbour *rows, int *n){
  sqlite3_stmt *s = t->nearest;
  int n_others = 0;
  int rc = bind_query(t, at, said);
  *n = 0;
  if( rc==SQLITE_OK ) rc = sqlite3_bind_int(s, 2, limit);
  if( rc!=SQLITE_OK ) nested_failed(t, rc);
  while( *n<most && nested_step(t, s) ){
    int takes = read_row(t, s, &rows[*n]);
    if( takes && t->kind==0 ) near_settle(t, rows[*n].z.kind);
    n_others += !takes && (rows[*n].z.z==NULL || t->n_contents>1);
    *n += takes;
  }
  sqlite3_reset(s);
  sqlite3_clear_bindings(s);
  return n_others;
}

/* Where rows of other kinds lie nearer it looks further, but not through all of a large table. */
static int find_rows(struct near *t, const struct latent *at, struct content said, int most,
                     struct neighbour *rows, int *n){
  struct call *c = t->call;
  struct arena_mark mark = arena_mark(&c->arena);
  struct buf blob = { 0 };
  *n = 0;
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  latent_write(&blob, at, &c->err);
  check_buf(c, &blob);
  for(int limit=most; c->err.rc==SQLITE_OK; limit*=8){
    int n_others = read_nearest(t, &blob, said, limit, most, rows, n);
    int is_all = *n==most || *n + n_others<limit || n_others==0;
    if( is_all || limit>=ROWS_SEARCHED_MOST || c->err.rc!=SQLITE_OK ) break;
    arena_rewind(&c->arena, mark);
  }
  buf_release(&blob);
  return c->err.rc;
}

static int by_distance(const void *a, const void *b){
  const struct neighbour *x = a;
  const struct neighbour *y = b;
  if( x->distance!=y->distance ) return x->distance<y->distance ? -1 : 1;
  return (x->rowid>y->rowid) - (x->rowid<y->rowid);
}

int near_rows(struct near *t, const struct latent *at, struct content said, int most,
              struct neighbour *rows, int *n){
  struct call *c = t->call;
  int n_looked_at = 4*most + SPARE_ROWS;
  struct neighbour *list;
  *n = 0;
  if( t->n_contents==1 && !t->has_encoder ) return find_rows(t, at, said, most, rows, n);
  list = arena_get(&c->arena, sizeof(*list)*(size_t)n_looked_at);
  if( list==NULL ) fail_nomem(&c->err);
  find_rows(t, at, said, n_looked_at, list, n);
  for(int i=0; i<*n && c->err.rc==SQLITE_OK; i++){
    float distance;
    point_nearest(&distance, &list[i].z, at, &c->arena, &c->err);
    list[i].distance = (double)distance;
  }
  if( c->err.rc!=SQLITE_OK ) *n = 0;
  if( *n>1 ) qsort(list, (size_t)*n, sizeof(*list), by_distance);
  if( *n>most ) *n = most;
  if( *n>0 ) memcpy(rows, list, sizeof(*list)*(size_t)*n);
  return c->err.rc;
}

sqlite3_stmt *near_all(struct near *t){
  return select_rows(t, "T.latent", "", "", "ORDER BY T.rowid");
}

/* The first rowid in an order; `otherwise` where there is no row. */
static sqlite3_int64 first_rowid(struct near *t, const char *end, sqlite3_int64 otherwise){
  sqlite3_stmt *s = select_rows(t, "0", "", "", end);
  sqlite3_int64 rowid = otherwise;
  if( nested_step(t, s) ) rowid = sqlite3_column_int64(s, 0);
  sqlite3_finalize(s);
  return rowid;
}

int near_rowids(struct near *t, sqlite3_int64 *least, sqlite3_int64 *most){
  *least = 0;
  *most = -1;
  if( t->call->err.rc!=SQLITE_OK ) return t->call->err.rc;
  *least = first_rowid(t, "ORDER BY T.rowid LIMIT 1", 0);
  *most = first_rowid(t, "ORDER BY T.rowid DESC LIMIT 1", -1);
  return t->call->err.rc;
}

int near_from(struct near *t, sqlite3_int64 rowid, struct neighbour *row, int *found){
  *found = 0;
  if( t->from==NULL ){
    t->from = select_rows(t, "0.0, T.latent, $", "", "WHERE T.rowid >= ?1",
                          "ORDER BY T.rowid LIMIT 20");
  }
  if( t->from ) sqlite3_bind_int64(t->from, 1, rowid);
  while( !*found && nested_step(t, t->from) ) *found = read_row(t, t->from, row);
  sqlite3_reset(t->from);
  return t->call->err.rc;
}
