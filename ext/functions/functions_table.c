/*
** functions_table.c -- the one virtual table behind every table-valued function, and
** latent_functions(), the manual.
**
** A row of FUNCTIONS supplies the columns, the number of arguments and fill(). Everything else that
** SQLite asks of a virtual table is here. The tables exist without CREATE VIRTUAL TABLE
** ("eponymous"), and are read only.
**
** Arguments are hidden columns behind the visible ones. SQLite turns latent_path('a', 'b', 5) into
** WHERE a = 'a' AND b = 'b' AND n = 5, and an argument may come from a table to the left of this
** one: FROM notes, latent_path(notes.body, 'x', 5).
**
** A scan has three steps:
**
** 1. xBestIndex asks for the arguments, or refuses the plan. It tells xFilter which columns the
**    statement reads: a fill() may leave out what would cost time (rows_reads()).
** 2. xFilter is given them and calls fill(), which makes all rows at once.
** 3. xColumn shows the rows.
**
** All rows at once, because the model works in batches. The price is memory for a whole table. A
** function that may have any number of rows has more() besides: then the rows in memory are those
** of a batch, and xNext asks for the next batch when they have been read.
*/
#include "functions.h"
#include <assert.h>
#include <string.h>

struct row_value {              /* one column of one row */
  int type;                     /* SQLITE_NULL, SQLITE_INTEGER, ... */
  size_t n;                     /* bytes of TEXT and BLOB */
  union {
    sqlite3_int64 integer;
    double real;
    size_t at;                  /* TEXT and BLOB: where in rows.bytes */
  } as;
};
struct table {                  /* one for each connection that uses it */
  sqlite3_vtab base;            /* first: SQLite's part */
  const struct binding *binding;
  int n_visible;                /* columns that rows fill; the arguments follow them */
};
struct cursor {
  sqlite3_vtab_cursor base;     /* first: SQLite's part */
  struct rows rows;
  size_t arguments_bytes;       /* of rows.bytes: they stand before those of the rows */
  sqlite3_int64 n_before;       /* rows of the batches before */
  sqlite3_int64 n_rows;
  sqlite3_int64 at;             /* the current row, of n_rows */
};

/* ---- What fill() writes to ---- An append that fails leaves its mark in the buffer, and
** end_filter() asks once. */

static void add_value(struct rows *r, struct row_value value){
  buf_append(&r->values, &value, sizeof(value));
}

static void add_bytes(struct rows *r, int type, const void *data, size_t n){
  assert( data || n==0 );
  add_value(r, (struct row_value){ .type = type, .n = n, .as.at = r->bytes.n });
  buf_append(&r->bytes, data, n);
}

void rows_null(struct rows *r){
  add_value(r, (struct row_value){ .type = SQLITE_NULL });
}

void rows_integer(struct rows *r, sqlite3_int64 x){
  add_value(r, (struct row_value){ .type = SQLITE_INTEGER, .as.integer = x });
}

void rows_real(struct rows *r, double x){
  add_value(r, (struct row_value){ .type = SQLITE_FLOAT, .as.real = x });
}

void rows_text(struct rows *r, const char *text, size_t n){
  if( text ) add_bytes(r, SQLITE_TEXT, text, n);
  else rows_null(r);
}

void rows_blob(struct rows *r, const void *data, size_t n){
  add_bytes(r, SQLITE_BLOB, data, n);
}

void rows_content(struct rows *r, int kind, const char *content, size_t n){
  if( kind==KIND_PICTURE ) rows_blob(r, content, n);
  else rows_text(r, content, n);
}

/* Its bytes are asked for before their number, which asking may change. Where there is no memory
** for them they are NULL, and the value's user will fail for the same reason. */
void rows_value(struct rows *r, sqlite3_value *v){
  const void *data;
  switch( sqlite3_value_type(v) ){
    case SQLITE_INTEGER: rows_integer(r, sqlite3_value_int64(v)); break;
    case SQLITE_FLOAT:   rows_real(r, sqlite3_value_double(v)); break;
    case SQLITE_TEXT:
      data = sqlite3_value_text(v);
      rows_text(r, data, data ? (size_t)sqlite3_value_bytes(v) : 0);
      break;
    case SQLITE_BLOB:
      data = sqlite3_value_blob(v);
      rows_blob(r, data, data ? (size_t)sqlite3_value_bytes(v) : 0);
      break;
    default: rows_null(r);
  }
}

int rows_reads(const struct rows *r, int column){
  return (r->columns_read & 1<<column)!=0;
}

static void rows_clear(struct rows *r, const struct function *f){
  if( r->state ) f->release(r->state);
  buf_release(&r->values);
  buf_release(&r->bytes);
  *r = (struct rows){ 0 };
}

/* ---- A table of a connection ---- */

/* Columns of a column list: one more than the commas outside brackets. */
static int count_columns(const char *columns){
  int n = 1, depth = 0;
  for(; *columns; columns++){
    if( *columns=='(' ) depth++;
    if( *columns==')' ) depth--;
    if( *columns==',' && depth==0 ) n++;
  }
  return n;
}

static int declare_columns(sqlite3 *db, const struct function *f){
  char *schema = sqlite3_mprintf("CREATE TABLE x(%s)", f->columns);
  int rc = schema ? sqlite3_declare_vtab(db, schema) : SQLITE_NOMEM;
  sqlite3_free(schema);
  if( rc!=SQLITE_OK ) return rc;
  if( f->flags & SQLITE_INNOCUOUS ) sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
  if( f->flags & SQLITE_DIRECTONLY ) sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  return SQLITE_OK;
}

static int table_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                         sqlite3_vtab **out, char **message){
  const struct binding *binding = aux;
  const struct function *f = binding->function;
  int rc = declare_columns(db, f);
  struct table *t;
  (void)argc;
  (void)argv;
  (void)message;
  if( rc!=SQLITE_OK ) return rc;
  t = mem_alloc(sizeof(*t));
  if( t==NULL ) return SQLITE_NOMEM;
  *t = (struct table){ .binding = binding, .n_visible = count_columns(f->columns) - f->n_max };
  assert( t->n_visible>0 );
  connection_use(binding->connection);
  *out = &t->base;
  return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *base){
  struct table *t = (struct table *)base;
  connection_drop(t->binding->connection);
  mem_free(t);
  return SQLITE_OK;
}

/* ---- Plans ---- */

/* An error of the user's: the first n arguments were given, and no others. Or, where skips is true,
** a later one too. */
static int refuse_arguments(struct table *t, int n, int skips){
  const struct function *f = t->binding->function;
  sqlite3_free(t->base.zErrMsg);
  if( skips ){
    t->base.zErrMsg = sqlite3_mprintf("%s: argument %d is left out: %s", f->name, n + 1, f->usage);
  }else{
    t->base.zErrMsg = sqlite3_mprintf("%s: got %d argument%s, expected at least %d: %s", f->name, n,
                                      n==1 ? "" : "s", f->n_min, f->usage);
  }
  return t->base.zErrMsg ? SQLITE_ERROR : SQLITE_NOMEM;
}

/* The constraint "argument i = ..." of the plan that can be used, or -1. *waits: there is one, but
** its value comes from a table to the right of this one. */
static int find_argument(const struct table *t, const sqlite3_index_info *plan, int i, int *waits){
  *waits = 0;
  for(int k=0; k<plan->nConstraint; k++){
    if( plan->aConstraint[k].iColumn!=t->n_visible + i ) continue;
    if( plan->aConstraint[k].op!=SQLITE_INDEX_CONSTRAINT_EQ ) continue;
    if( plan->aConstraint[k].usable ) return k;
    *waits = 1;
  }
  return -1;
}

/* Asks for the arguments, in order. If one waits for a table to the right, the answer is
** SQLITE_CONSTRAINT and SQLite tries another order of the tables. An argument that was never given
** is the user's error. The high cost keeps a scan out of inner loops. */
static int table_best_index(sqlite3_vtab *base, sqlite3_index_info *plan){
  struct table *t = (struct table *)base;
  const struct function *f = t->binding->function;
  int n = 0, is_refused = 0;
  for(int i=0; i<f->n_max; i++){
    int waits;
    int k = find_argument(t, plan, i, &waits);
    if( k<0 && !waits ) continue;
    if( i>n ) return refuse_arguments(t, n, 1);
    n++;
    if( k<0 ){
      is_refused = 1;
    }else{
      plan->aConstraintUsage[k].argvIndex = n;
      plan->aConstraintUsage[k].omit = 1;
    }
  }
  if( n<f->n_min ) return refuse_arguments(t, n, 0);
  if( is_refused ) return SQLITE_CONSTRAINT;
  assert( t->n_visible<31 );
  plan->idxNum = (int)(plan->colUsed & ((1u << t->n_visible) - 1));
  plan->estimatedCost = f->n_max ? 1e6 : 100;
  plan->estimatedRows = 25;
  return SQLITE_OK;
}

/* ---- Scans ---- */

static int table_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out){
  struct cursor *cursor = mem_alloc(sizeof(*cursor));
  (void)base;
  if( cursor==NULL ) return SQLITE_NOMEM;
  *cursor = (struct cursor){ 0 };
  *out = &cursor->base;
  return SQLITE_OK;
}

static const struct function *function_of(const struct cursor *cursor){
  return ((const struct table *)cursor->base.pVtab)->binding->function;
}

static int table_close(sqlite3_vtab_cursor *base){
  struct cursor *cursor = (struct cursor *)base;
  rows_clear(&cursor->rows, function_of(cursor));
  mem_free(cursor);
  return SQLITE_OK;
}

/* Ends the call that made rows. If it failed, or a buffer of the rows did, there are no rows, and
** SQLite is handed the code and the message. */
static int end_rows(struct call *c, struct cursor *cursor){
  struct table *t = (struct table *)cursor->base.pVtab;
  const struct function *f = t->binding->function;
  struct rows *r = &cursor->rows;
  int rc = r->values.rc ? r->values.rc : r->bytes.rc;
  if( rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  if( rc==SQLITE_TOOBIG ) fail(&c->err, rc, "the rows take more than 1000000000 bytes");
  call_end(c);
  cursor->at = cursor->n_rows = 0;
  if( c->err.rc==SQLITE_OK ){
    size_t n_values = r->values.n/sizeof(struct row_value) - (size_t)f->n_max;
    assert( n_values%(size_t)t->n_visible==0 );
    cursor->n_rows = (sqlite3_int64)n_values/t->n_visible;
    return SQLITE_OK;
  }
  rows_clear(r, f);
  if( c->err.rc!=SQLITE_NOMEM ){
    sqlite3_free(t->base.zErrMsg);
    t->base.zErrMsg = sqlite3_mprintf("%s", c->err.text);
  }
  return c->err.rc;
}

static int table_filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text, int n,
                        sqlite3_value **args){
  struct cursor *cursor = (struct cursor *)base;
  const struct table *t = (const struct table *)base->pVtab;
  const struct function *f = t->binding->function;
  struct rows *r = &cursor->rows;
  struct call c;
  (void)plan_text;
  rows_clear(r, f);
  r->columns_read = plan;
  for(int i=0; i<f->n_max; i++){        /* kept, so that hidden columns can be read */
    if( i<n ) rows_value(r, args[i]);
    else rows_null(r);
  }
  cursor->arguments_bytes = r->bytes.n;
  cursor->n_before = 0;
  call_begin(&c, t->binding, n, args);
  if( !call_lacks(&c) && !err_stopped(&c.err) ) f->fill(&c, r);
  return end_rows(&c, cursor);
}

/* Where the rows of a batch have been read, the next ones take their place. */
static int table_next(sqlite3_vtab_cursor *base){
  struct cursor *cursor = (struct cursor *)base;
  const struct table *t = (const struct table *)base->pVtab;
  const struct function *f = t->binding->function;
  struct rows *r = &cursor->rows;
  struct call c;
  cursor->at++;
  if( cursor->at<cursor->n_rows || f->more==NULL ) return SQLITE_OK;
  cursor->n_before += cursor->n_rows;
  r->values.n = (size_t)f->n_max*sizeof(struct row_value);
  r->bytes.n = cursor->arguments_bytes;
  call_begin(&c, t->binding, 0, NULL);
  if( !err_stopped(&c.err) ) f->more(&c, r);
  return end_rows(&c, cursor);
}

static int table_eof(sqlite3_vtab_cursor *base){
  const struct cursor *cursor = (const struct cursor *)base;
  return cursor->at>=cursor->n_rows;
}

static int table_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid){
  const struct cursor *cursor = (const struct cursor *)base;
  *rowid = cursor->n_before + cursor->at + 1;
  return SQLITE_OK;
}

/* The value of a column of the current row. Arguments are the same in every row. */
static const struct row_value *value_at(const struct cursor *cursor, int column){
  const struct table *t = (const struct table *)cursor->base.pVtab;
  const struct row_value *values = (const void *)cursor->rows.values.data;
  if( column>=t->n_visible ) return values + column - t->n_visible;
  return values + t->binding->function->n_max + cursor->at*t->n_visible + column;
}

static int table_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column){
  const struct cursor *cursor = (const struct cursor *)base;
  const struct row_value *v = value_at(cursor, column);
  const char *bytes = cursor->rows.bytes.data ? cursor->rows.bytes.data : "";
  switch( v->type ){
    case SQLITE_INTEGER: sqlite3_result_int64(context, v->as.integer); break;
    case SQLITE_FLOAT:   sqlite3_result_double(context, v->as.real); break;
    case SQLITE_TEXT:
      sqlite3_result_text64(context, bytes + v->as.at, v->n, SQLITE_TRANSIENT, SQLITE_UTF8);
      break;
    case SQLITE_BLOB:
      sqlite3_result_blob64(context, bytes + v->as.at, v->n, SQLITE_TRANSIENT);
      break;
    default: sqlite3_result_null(context);
  }
  return SQLITE_OK;
}

const sqlite3_module TABLE_MODULE = {
  .xConnect = table_connect,    /* no xCreate: there is no CREATE VIRTUAL TABLE for it */
  .xBestIndex = table_best_index,
  .xDisconnect = table_disconnect,
  .xOpen = table_open,
  .xClose = table_close,
  .xFilter = table_filter,
  .xNext = table_next,
  .xEof = table_eof,
  .xColumn = table_column,
  .xRowid = table_rowid,
};

/* ---- latent_functions() ---- */

static void rows_string(struct rows *r, const char *text){
  rows_text(r, text, text ? strlen(text) : 0);
}

/* The manual: one row for each row of FUNCTIONS, in the order of the chapters. */
void functions_fill(struct call *c, struct rows *r){
  static const char *const kinds[] = {
    [FEATURE_SCALAR] = "scalar",
    [FEATURE_AGGREGATE] = "aggregate",
    [FEATURE_TABLE] = "table",
    [FEATURE_VIRTUAL_TABLE] = "virtual table",
  };
  (void)c;
  for(const struct function *f=FUNCTIONS; f<FUNCTIONS + N_FUNCTIONS; f++){
    rows_string(r, f->name);
    rows_integer(r, f->n_min);
    rows_integer(r, f->n_max);
    rows_string(r, kinds[f->feature]);
    rows_integer(r, (f->flags & SQLITE_DETERMINISTIC)!=0);
    rows_string(r, f->usage);
    rows_string(r, f->sentence);
    rows_string(r, f->example);
    rows_string(r, f->result);
    rows_string(r, f->group);
  }
}
