/*
** functions_table.c -- the one virtual table behind every table-valued function, and latent_functions(), the manual.
**
** A row of FUNCTIONS supplies the columns, the number of arguments and fill(); everything SQLite asks of a virtual table is here.
** The tables are eponymous: there without CREATE VIRTUAL TABLE, and read only. Arguments are hidden columns that follow the visible
** ones, so that SQLite turns latent_path('a', 'b', 5) into WHERE a = 'a' AND b = 'b' AND n = 5, and an argument may come from
** a table on its left: FROM notes, latent_path(notes.body, 'x', 5).
**
** A scan is: xBestIndex hands over the arguments, or refuses; xFilter calls fill(), which makes all rows; xColumn shows them.
** Making all rows at once is what lets the model work in batches; a table as long as its text is the price.
*/
#include "functions.h"
#include <string.h>

struct cell {
  int type;             /* SQLITE_NULL, SQLITE_INTEGER, ... */
  size_t n;             /* bytes of TEXT and BLOB */
  union {
    sqlite3_int64 integer;
    double real;
    size_t at;          /* TEXT and BLOB: where in rows.bytes */
  } as;
};
struct table {          /* one a connection that uses it */
  sqlite3_vtab base;    /* first: SQLite's part */
  const struct binding *binding;
  int n_visible;        /* columns that rows fill; the arguments follow them */
};
struct cursor {
  sqlite3_vtab_cursor base;
  struct rows rows;
  sqlite3_int64 n_rows, at;
};

/* ---- What fill() is given to write to. A failed append leaves its mark in the buffer: finish() asks once. ---- */

static struct cell *cell_add(struct rows *r, int type){
  struct cell *cell = buf_extend(&r->cells, sizeof(*cell));

  if( cell==NULL ) return NULL;
  memset(cell, 0, sizeof(*cell));
  cell->type = type;
  return cell;
}
void rows_null(struct rows *r){
  cell_add(r, SQLITE_NULL);
}
void rows_integer(struct rows *r, sqlite3_int64 x){
  struct cell *cell = cell_add(r, SQLITE_INTEGER);

  if( cell ) cell->as.integer = x;
}
void rows_real(struct rows *r, double x){
  struct cell *cell = cell_add(r, SQLITE_FLOAT);

  if( cell ) cell->as.real = x;
}
static void bytes_add(struct rows *r, int type, const void *data, size_t n){
  struct cell *cell = cell_add(r, type);

  if( cell==NULL ) return;
  cell->as.at = r->bytes.n;
  cell->n = n;
  buf_append(&r->bytes, data, n);
}
void rows_text(struct rows *r, const char *text, size_t n){
  if( text==NULL ){
    rows_null(r);
  }else{
    bytes_add(r, SQLITE_TEXT, text, n);
  }
}
void rows_blob(struct rows *r, const void *data, size_t n){
  bytes_add(r, SQLITE_BLOB, data, n);
}

void rows_content(struct rows *r, int kind, const char *content, size_t n){
  if( kind==KIND_PICTURE ) rows_blob(r, content, n);
  else rows_text(r, content, n);
}

/* An argument, kept so that its hidden column can be read. */
static void rows_value(struct rows *r, sqlite3_value *v){
  const void *data;

  switch( sqlite3_value_type(v) ){
    case SQLITE_INTEGER: rows_integer(r, sqlite3_value_int64(v)); break;
    case SQLITE_FLOAT:   rows_real(r, sqlite3_value_double(v)); break;
    case SQLITE_TEXT:    /* the pointer first: asking for it may change the length. NULL is out of memory, which fill() will meet too. */
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
static void rows_clear(struct rows *r){
  buf_release(&r->cells);
  buf_release(&r->bytes);
  memset(r, 0, sizeof(*r));
}

/* ---- The module ---- */

/* Columns at the top level of a column list: the commas outside brackets, and one. */
static int count_columns(const char *columns){
  int n = 1, depth = 0;

  for(; *columns; columns++){
    if( *columns=='(' ) depth++;
    if( *columns==')' ) depth--;
    if( *columns==',' && depth==0 ) n++;
  }
  return n;
}

static int table_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **message){
  const struct binding *binding = aux;
  const struct function *f = binding->function;
  struct table *t;
  char *schema;
  int rc;

  (void)argc; (void)argv; (void)message;
  schema = sqlite3_mprintf("CREATE TABLE x(%s)", f->columns);
  if( schema==NULL ) return SQLITE_NOMEM;
  rc = sqlite3_declare_vtab(db, schema);
  sqlite3_free(schema);
  if( rc!=SQLITE_OK ) return rc;
  if( f->flags & SQLITE_INNOCUOUS ) sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
  if( f->flags & SQLITE_DIRECTONLY ) sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  t = mem_alloc(sizeof(*t));
  if( t==NULL ) return SQLITE_NOMEM;
  memset(t, 0, sizeof(*t));
  t->binding = binding;
  t->n_visible = count_columns(f->columns) - f->n_max;
  connection_use(binding->connection);
  *out = &t->base;
  return SQLITE_OK;
}
static int table_disconnect(sqlite3_vtab *base){
  struct table *t = (struct table*)base;

  connection_drop(t->binding->connection);
  mem_free(t);
  return SQLITE_OK;
}

/* The arguments were n in a row and then, where `hole` is true, a later one: neither does. */
static int refuse_arguments(struct table *t, int n, int hole){
  const struct function *f = t->binding->function;

  sqlite3_free(t->base.zErrMsg);
  if( hole ){
    t->base.zErrMsg = sqlite3_mprintf("%s: argument %d is left out: %s", f->name, n + 1, f->usage);
  }else{
    t->base.zErrMsg = sqlite3_mprintf("%s: got %d argument%s, expected at least %d: %s", f->name, n, n==1 ? "" : "s", f->n_min, f->usage);
  }
  return t->base.zErrMsg ? SQLITE_ERROR : SQLITE_NOMEM;
}

/* The usable "= argument i" of the plan, or -1; *unusable when there is one, but of a table that stands further right. */
static int find_argument(const struct table *t, const sqlite3_index_info *plan, int i, int *unusable){
  int k;

  *unusable = 0;
  for(k=0; k<plan->nConstraint; k++){
    if( plan->aConstraint[k].iColumn!=t->n_visible + i || plan->aConstraint[k].op!=SQLITE_INDEX_CONSTRAINT_EQ ) continue;
    if( plan->aConstraint[k].usable ) return k;
    *unusable = 1;
  }
  return -1;
}

/* Arguments are handed to xFilter in order. A plan that cannot have them all is no plan (SQLITE_CONSTRAINT: SQLite tries another
** order of the tables); arguments that were never given are the user's error. The high cost keeps a scan out of inner loops. */
static int table_best_index(sqlite3_vtab *base, sqlite3_index_info *plan){
  struct table *t = (struct table*)base;
  const struct function *f = t->binding->function;
  int i, k, unusable, n = 0, refused = 0;

  for(i=0; i<f->n_max; i++){
    k = find_argument(t, plan, i, &unusable);
    if( k<0 && unusable ) refused = 1;
    if( k<0 && !unusable ) continue;
    if( i>n ) return refuse_arguments(t, n, 1);
    n++;
    if( k<0 ) continue;
    plan->aConstraintUsage[k].argvIndex = n;
    plan->aConstraintUsage[k].omit = 1;
  }
  if( n<f->n_min ) return refuse_arguments(t, n, 0);
  if( refused ) return SQLITE_CONSTRAINT;
  plan->estimatedCost = f->n_max ? 1e6 : 100;
  plan->estimatedRows = 25;
  return SQLITE_OK;
}

static int table_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out){
  struct cursor *cursor = mem_alloc(sizeof(*cursor));

  (void)base;
  if( cursor==NULL ) return SQLITE_NOMEM;
  memset(cursor, 0, sizeof(*cursor));
  *out = &cursor->base;
  return SQLITE_OK;
}
static int table_close(sqlite3_vtab_cursor *base){
  struct cursor *cursor = (struct cursor*)base;

  rows_clear(&cursor->rows);
  mem_free(cursor);
  return SQLITE_OK;
}

/* Hands the call's failure, or that of the rows, to SQLite. */
static int finish(struct call *c, struct table *t, struct rows *r){
  int rc = r->cells.rc ? r->cells.rc : r->bytes.rc;

  if( rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  if( rc==SQLITE_TOOBIG ) fail(&c->err, rc, "the rows take more than 1000000000 bytes");
  call_end(c);
  if( c->err.rc==SQLITE_OK ) return SQLITE_OK;
  rows_clear(r);
  if( c->err.rc!=SQLITE_NOMEM ){
    sqlite3_free(t->base.zErrMsg);
    t->base.zErrMsg = sqlite3_mprintf("%s", c->err.text);
  }
  return c->err.rc;
}
static int table_filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text, int n, sqlite3_value **args){
  struct cursor *cursor = (struct cursor*)base;
  struct table *t = (struct table*)base->pVtab;
  const struct function *f = t->binding->function;
  struct call c;
  int i, rc;

  (void)plan; (void)plan_text;
  rows_clear(&cursor->rows);
  cursor->n_rows = cursor->at = 0;
  for(i=0; i<n; i++) rows_value(&cursor->rows, args[i]);
  for(; i<f->n_max; i++) rows_null(&cursor->rows);
  call_begin(&c, t->binding, n, args);
  if( !call_lacks(&c) ) f->fill(&c, &cursor->rows);
  rc = finish(&c, t, &cursor->rows);
  if( rc==SQLITE_OK ){
    cursor->n_rows = ((sqlite3_int64)(cursor->rows.cells.n/sizeof(struct cell)) - f->n_max)/t->n_visible;
  }
  return rc;
}
static int table_next(sqlite3_vtab_cursor *base){
  ((struct cursor*)base)->at++;
  return SQLITE_OK;
}
static int table_eof(sqlite3_vtab_cursor *base){
  return ((struct cursor*)base)->at >= ((struct cursor*)base)->n_rows;
}
static int table_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid){
  *rowid = ((struct cursor*)base)->at + 1;
  return SQLITE_OK;
}
static int table_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column){
  const struct cursor *cursor = (struct cursor*)base;
  const struct table *t = (struct table*)base->pVtab;
  const struct cell *cells = (const struct cell*)(const void*)cursor->rows.cells.data, *cell;
  const char *bytes = cursor->rows.bytes.data ? cursor->rows.bytes.data : "";

  if( column>=t->n_visible ){
    cell = cells + column - t->n_visible;
  }else{
    cell = cells + t->binding->function->n_max + cursor->at*t->n_visible + column;
  }
  switch( cell->type ){
    case SQLITE_INTEGER: sqlite3_result_int64(context, cell->as.integer); break;
    case SQLITE_FLOAT:   sqlite3_result_double(context, cell->as.real); break;
    case SQLITE_TEXT:    sqlite3_result_text64(context, bytes + cell->as.at, cell->n, SQLITE_TRANSIENT, SQLITE_UTF8); break;
    case SQLITE_BLOB:    sqlite3_result_blob64(context, bytes + cell->as.at, cell->n, SQLITE_TRANSIENT); break;
    default:             sqlite3_result_null(context);
  }
  return SQLITE_OK;
}

const sqlite3_module TABLE_MODULE = {
  .xConnect = table_connect,    /* without an xCreate: eponymous only */
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
  static const char *const kinds[] = {"scalar", "aggregate", "table", "virtual table"};
  const struct function *f;

  (void)c;
  for(f=FUNCTIONS; f<FUNCTIONS + N_FUNCTIONS; f++){
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
