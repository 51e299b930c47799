/*
** vtab_update.c -- INSERT, UPDATE, DELETE, and the commands: INSERT INTO t(t) VALUES('rebuild').
**
** Whatever can be wrong with a row is found before anything is written. Then the change is noted
** (vtab_pending.c), then made. The index sees it later, together with others.
*/
#include "vtab.h"
#include <assert.h>
#include <string.h>

static const struct content NO_LATENT = { NULL, 0 };

struct new_row {                /* a row as it shall be */
  sqlite3_int64 id;
  struct content latent;        /* bytes NULL: none, or to be encoded */
  sqlite3_value *body;          /* NULL: there is no content column, or it does not change */
  sqlite3_value **filters;      /* NULL, or one marked as unchanged: as in the old row */
  sqlite3_stmt *old;            /* stands on the old row; NULL: there is none */
};

/* ---- Is the row right? ---- */

static int check_filter(struct call *c, const struct filter *f, sqlite3_value *v){
  int type = sqlite3_value_type(v);
  double x = 0.5;                       /* anything that is no integer */
  if( type==SQLITE_NULL ) return SQLITE_OK;
  if( f->type==FILTER_TEXT ){
    return type==SQLITE_BLOB ? refuse_value(c, f->name, v, "text or NULL") : SQLITE_OK;
  }
  type = sqlite3_value_numeric_type(v);
  if( type==SQLITE_INTEGER || (type==SQLITE_FLOAT && f->type==FILTER_REAL) ) return SQLITE_OK;
  if( type==SQLITE_FLOAT ) x = sqlite3_value_double(v);
  if( x>=-9e18 && x<=9e18 && x==(double)(sqlite3_int64)x ) return SQLITE_OK;
  return refuse_value(c, f->name, v, f->type==FILTER_INTEGER ? "an integer or NULL"
                                                             : "a number or NULL");
}

/* A latent that is given with the row. */
static int check_latent(struct call *c, struct vtab *t, sqlite3_value *v, struct new_row *row){
  float *vector = arena_floats(&c->arena, (size_t)t->width);    /* to see that it can be made */
  struct model *m;
  struct latent z;
  if( vector==NULL ) return fail_nomem(&c->err);
  if( t->definition.body==NULL && sqlite3_value_type(v)==SQLITE_TEXT ){
    row->latent = value_vector_blob(c, v, "latent", (size_t)t->width);
    return vector_from_blob(t, vector, row->latent, "latent", &c->err);
  }
  if( sqlite3_value_type(v)!=SQLITE_BLOB ) return refuse_value(c, "latent", v, "a BLOB or NULL");
  row->latent = value_bytes(c, v);
  if( t->definition.body==NULL ) return vector_from_blob(t, vector, row->latent, "latent", &c->err);
  if( !latent_is(row->latent.bytes, row->latent.n) ){
    return refuse_value(c, "latent", v, "a latent (which begins with 4c 54 4e 54) or NULL");
  }
  z = value_point(c, v, "latent");
  m = latent_model(c, &z);
  if( m ) config_admit(c, t, m, 1);
  return c->err.rc==SQLITE_OK ? vector_from_latent(t, vector, &z, "latent", &c->err) : c->err.rc;
}

/* A BLOB as content must be a picture, and whole. It is encoded later, when it is too late to say
** which row it was. */
static int check_body(struct call *c, struct vtab *t, sqlite3_value *v){
  struct arena_mark mark = arena_mark(&c->arena);
  const char *name = t->definition.body;
  struct content data;
  struct picture p;
  struct model *m;
  if( c->err.rc!=SQLITE_OK || sqlite3_value_type(v)!=SQLITE_BLOB ) return c->err.rc;
  if( value_kind(c, v)!=KIND_PICTURE ){
    return refuse_value(c, name, v, "text, a picture (PNG, JPEG) or NULL (a latent goes into the "
                        "column latent)");
  }
  m = call_model_of(c, KIND_PICTURE, 0);
  if( m ) config_admit(c, t, m, 0);
  data = value_bytes(c, v);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  picture_read(&p, data.bytes, data.n, &c->arena, name, &c->err);
  if( c->err.rc==SQLITE_OK ) arena_rewind(&c->arena, mark);
  return c->err.rc;
}

static int is_given(sqlite3_value *v){
  return !sqlite3_value_nochange(v) && sqlite3_value_type(v)!=SQLITE_NULL;
}

/* columns: all of them. Sets filters, body and latent of the row. */
static int check_row(struct call *c, struct vtab *t, sqlite3_value **columns, struct new_row *row){
  const struct definition *d = &t->definition;
  sqlite3_value *latent = columns[hidden_at(d, HIDDEN_LATENT)];
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( is_given(columns[hidden_at(d, HIDDEN_OPTIONS)]) ){
    return fail(&c->err, SQLITE_ERROR, "the column options is for queries: t(query, options)");
  }
  if( is_given(columns[hidden_at(d, HIDDEN_DISTANCE)]) ){
    return fail(&c->err, SQLITE_ERROR, "the column distance is computed, not written");
  }
  row->filters = columns + filter_at(d);
  for(int i=0; i<d->n_filters; i++){
    if( !sqlite3_value_nochange(row->filters[i]) ) check_filter(c, &d->filters[i], row->filters[i]);
  }
  if( d->body && !sqlite3_value_nochange(columns[0]) ){
    row->body = columns[0];
    check_body(c, t, row->body);
  }
  if( c->err.rc==SQLITE_OK && is_given(latent) ) check_latent(c, t, latent, row);
  return c->err.rc;
}

/* ---- Writing a row ---- */

/* The SQLITE_... type that a filter's value is stored as. */
static int stored_type(enum filter_type type, sqlite3_value *v){
  static const int types[] = {
    [FILTER_INTEGER] = SQLITE_INTEGER, [FILTER_REAL] = SQLITE_FLOAT, [FILTER_TEXT] = SQLITE_TEXT
  };
  return sqlite3_value_type(v)==SQLITE_NULL ? SQLITE_NULL : types[type];
}

static int bind_filter(sqlite3_stmt *s, int at, enum filter_type type, sqlite3_value *v){
  const char *text;
  if( sqlite3_value_type(v)==SQLITE_NULL ) return sqlite3_bind_null(s, at);
  if( type==FILTER_INTEGER ) return sqlite3_bind_int64(s, at, sqlite3_value_int64(v));
  if( type==FILTER_REAL ) return sqlite3_bind_double(s, at, sqlite3_value_double(v));
  if( sqlite3_value_type(v)==SQLITE_TEXT ) return sqlite3_bind_value(s, at, v);
  text = (const char *)sqlite3_value_text(v);
  return sqlite3_bind_text(s, at, text, sqlite3_value_bytes(v), SQLITE_TRANSIENT);
}

static int is_from_old(const struct new_row *row, int i){
  return row->old && (row->filters==NULL || sqlite3_value_nochange(row->filters[i]));
}

/* Binds filters and own content to ROW_PUT, and adds them to the sum. */
static int bind_values(const struct vtab *t, sqlite3_stmt *s, const struct new_row *row,
                       struct values_sum *sum){
  enum { FIRST = 4 };                   /* after id, sum, latent */
  const struct definition *d = &t->definition;
  int n = d->n_filters;
  int rc = SQLITE_OK;
  for(int i=0; i<n && rc==SQLITE_OK; i++){
    enum filter_type type = d->filters[i].type;
    sqlite3_value *v;
    if( is_from_old(row, i) ){
      v = sqlite3_column_value(row->old, COLUMN_FILTERS + i);
      values_sum_add(sum, t, v, sqlite3_value_type(v));
      rc = sqlite3_bind_value(s, FIRST + i, v);
    }else{
      v = row->filters[i];
      values_sum_add(sum, t, v, stored_type(type, v));
      rc = bind_filter(s, FIRST + i, type, v);
    }
  }
  if( owns_content(d) && rc==SQLITE_OK ){
    sqlite3_value *body = row->body;
    if( body==NULL ) body = sqlite3_column_value(row->old, COLUMN_FILTERS + n);
    values_sum_add(sum, t, body, sqlite3_value_type(body));
    rc = sqlite3_bind_value(s, FIRST + n, body);
  }
  return sum->oom ? SQLITE_NOMEM : rc;
}

/* Into t_rows, in the place of a row with this id. */
static int put_row(struct call *c, struct vtab *t, const struct new_row *row){
  sqlite3_stmt *s = store_statement(c, t, ROW_PUT);
  struct content latent = row->latent;
  struct values_sum sum = { 0 };
  uint32_t half;
  int rc;
  if( s==NULL ) return c->err.rc;
  rc = bind_values(t, s, row, &sum);
  half = latent.bytes ? latent_sum(row->id, latent) : 0;
  sqlite3_bind_int64(s, 1, row->id);
  sqlite3_bind_int64(s, 2, row_sum(row->id, &sum, half));
  if( latent.bytes && rc==SQLITE_OK ){
    rc = sqlite3_bind_blob(s, 3, latent.bytes, (int)latent.n, SQLITE_TRANSIENT);
  }
  check_bound(c, rc);
  if( row->old ) sqlite3_reset(row->old);
  return store_do(c, s);
}

static sqlite3_int64 next_id(struct call *c, struct vtab *t){
  sqlite3_stmt *s = store_statement(c, t, ROW_LAST);
  sqlite3_int64 last = 0;
  if( store_step(c, s) ) last = sqlite3_column_int64(s, 0);
  store_do(c, s);
  if( last<INT64_MAX ) return last + 1;
  fail(&c->err, SQLITE_FULL, "no rowid is left above %lld", last);
  return 0;
}

static sqlite3_int64 read_id(struct call *c, sqlite3_value *v){
  if( sqlite3_value_numeric_type(v)==SQLITE_INTEGER ) return sqlite3_value_int64(v);
  refuse_value(c, "rowid", v, "an integer");
  return 0;
}

/* ---- The latent that the index knows ---- */

/* Stands for a latent that is damaged. The index knows the row elsewhere, and so looks for it in
** all cells. */
static struct content stand_in(struct call *c, const struct vtab *t){
  struct content latent = NO_LATENT;
  float *x = arena_zeroed(&c->arena, sizeof(float)*(size_t)t->width);
  struct latent z = { .kind = KIND_TEXT, .n_segments = 1, .width = t->width, .z = x };
  struct buf blob = { 0 };
  void *copy = NULL;
  if( x ){
    x[0] = 1;
    latent_write(&blob, &z);
  }
  if( x && blob.rc==SQLITE_OK ) copy = arena_get(&c->arena, blob.n);
  if( copy ) latent = (struct content){ memcpy(copy, blob.data, blob.n), blob.n };
  else fail_nomem(&c->err);
  buf_release(&blob);
  return latent;
}

/* The latent under which the index is to find the row that s stands on. A damaged row gets one too,
** so that it can be written again, or deleted. */
static struct content known_latent(struct call *c, struct vtab *t, sqlite3_stmt *s){
  struct content latent;
  if( c->err.rc!=SQLITE_OK ) return NO_LATENT;
  latent = row_latent(c, t, s);
  if( c->err.rc!=SQLITE_CORRUPT_VTAB ) return latent;
  err_clear(&c->err);
  return stand_in(c, t);
}

/* ---- INSERT, DELETE ---- */

/* Notes that a row with this id is written. If there is one already, it is an error unless the
** statement says OR REPLACE. body: to be encoded, where the content is another table's. */
static void note_written(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_value *body){
  sqlite3_stmt *s = store_find(c, t, ROW_LATENT, id);
  struct content old = NO_LATENT;
  if( s ){
    if( sqlite3_vtab_on_conflict(t->db)==SQLITE_REPLACE ) old = known_latent(c, t, s);
    else fail(&c->err, SQLITE_CONSTRAINT, "row %lld is there already", id);
  }
  pending_add(c, t, id, old, body, 1);
  sqlite3_reset(s);
}

static void insert_row(struct call *c, struct vtab *t, sqlite3_value *id, sqlite3_value **columns,
                       sqlite3_int64 *rowid){
  struct new_row row = { 0 };
  vtab_ready(c, t, 1);
  check_row(c, t, columns, &row);
  if( c->err.rc!=SQLITE_OK ) return;
  row.id = sqlite3_value_type(id)==SQLITE_NULL ? next_id(c, t) : read_id(c, id);
  if( c->err.rc!=SQLITE_OK ) return;
  *rowid = row.id;
  note_written(c, t, row.id, t->definition.content ? row.body : NULL);
  put_row(c, t, &row);
}

static void delete_row(struct call *c, struct vtab *t, sqlite3_int64 id){
  sqlite3_stmt *s;
  vtab_ready(c, t, 0);
  s = store_find(c, t, ROW_LATENT, id);
  if( s==NULL ) return;
  pending_add(c, t, id, known_latent(c, t, s), NULL, 1);
  sqlite3_reset(s);
  store_do_at(c, t, ROW_DELETE, id);
}

/* ---- UPDATE ---- */

/* The content column is set to what it is: nothing to encode. */
static int is_same_body(const struct vtab *t, const struct new_row *row){
  const struct definition *d = &t->definition;
  int at = COLUMN_FILTERS + d->n_filters;
  int type = row->body ? sqlite3_value_type(row->body) : SQLITE_NULL;
  const void *a, *b;
  int n;
  if( !owns_content(d) || sqlite3_column_type(row->old, at)!=type ) return 0;
  if( type==SQLITE_TEXT ){
    a = sqlite3_value_text(row->body);
    b = sqlite3_column_text(row->old, at);
  }else if( type==SQLITE_BLOB ){
    a = sqlite3_value_blob(row->body);
    b = sqlite3_column_blob(row->old, at);
  }else{
    return 0;
  }
  n = sqlite3_value_bytes(row->body);
  return a && b && n==sqlite3_column_bytes(row->old, at) && memcmp(a, b, (size_t)n)==0;
}

/* Is something of the old row kept that row_check_values() checks? */
static int keeps_values(const struct vtab *t, const struct new_row *row){
  for(int i=0; i<t->definition.n_filters; i++){
    if( is_from_old(row, i) ) return 1;
  }
  return owns_content(&t->definition) && row->body==NULL;
}

/* row->old stands on the row `id` that shall be *row. */
static void put_updated(struct call *c, struct vtab *t, sqlite3_int64 id, struct new_row *row,
                        int sets_latent){
  sqlite3_value *theirs = t->definition.content ? row->body : NULL;
  int moves = row->id!=id;
  int encodes = row->body && row->latent.bytes==NULL && !is_same_body(t, row);
  int stays = row->latent.bytes==NULL && !encodes && !sets_latent;
  struct content known;
  if( stays ) row->latent = row_latent(c, t, row->old);
  if( keeps_values(t, row) ) row_check_values(c, t, row->old);
  if( c->err.rc!=SQLITE_OK ) return;
  known = known_latent(c, t, row->old);
  pending_add(c, t, id, known, moves ? NULL : theirs, moves || encodes);
  if( moves && c->err.rc==SQLITE_OK ) note_written(c, t, row->id, theirs);
  put_row(c, t, row);
}

static void update_row(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_value *new_id,
                       sqlite3_value **columns){
  const struct definition *d = &t->definition;
  int sets_body = d->body && !sqlite3_value_nochange(columns[0]);
  int sets_latent = d->body==NULL && !sqlite3_value_nochange(columns[hidden_at(d, HIDDEN_LATENT)]);
  struct new_row row = { .id = read_id(c, new_id) };
  int moves = row.id!=id;
  if( moves ) pending_flush(c, t);      /* so that no text waits under the old id */
  vtab_ready(c, t, sets_body);
  check_row(c, t, columns, &row);
  row.old = store_find(c, t, ROW_GET, id);
  if( row.old==NULL ) return;
  put_updated(c, t, id, &row, sets_latent);
  sqlite3_reset(row.old);
  if( moves ) store_do_at(c, t, ROW_DELETE, id);
}

/* ---- 'rebuild' ---- */

/* One row of the content table. The values are copied: SQLite allows the original ones only to be
** bound. */
static void take_row(struct call *c, struct vtab *t, sqlite3_stmt *from){
  const struct definition *d = &t->definition;
  sqlite3_value *values[2 + FILTERS_MOST] = { NULL };
  int n = 2 + d->n_filters;
  struct new_row row = { 0 };
  for(int i=0; i<n; i++){
    values[i] = sqlite3_value_dup(sqlite3_column_value(from, i));
    if( values[i]==NULL ) fail_nomem(&c->err);
  }
  if( c->err.rc==SQLITE_OK ){
    row.id = read_id(c, values[0]);
    row.body = values[1];
    row.filters = values + 2;
    check_body(c, t, row.body);
    for(int i=0; i<d->n_filters; i++) check_filter(c, &d->filters[i], row.filters[i]);
    pending_add(c, t, row.id, NO_LATENT, row.body, 1);
    put_row(c, t, &row);
  }
  for(int i=0; i<n; i++) sqlite3_value_free(values[i]);
}

static void take_content(struct call *c, struct vtab *t){
  sqlite3_stmt *s;
  store_run(c, t, "DELETE FROM $rows");
  store_statement(c, t, CONTENT_GET);           /* finds the content table's name */
  s = store_prepare(c, t, SELECT_CONTENT);
  while( store_step(c, s) ){
    take_row(c, t, s);
    if( t->n_pending>=pending_most(t) ) pending_flush(c, t);
  }
  sqlite3_finalize(s);
}

/* Takes what the row holds, that s stands on, as it is. Its content is to be encoded again. A
** foreign latent that is not what was written becomes NULL. */
static void mend_row(struct call *c, struct vtab *t, sqlite3_stmt *s, sqlite3_stmt *mend){
  sqlite3_int64 id = sqlite3_column_int64(s, COLUMN_ID);
  sqlite3_int64 sum = row_sum_expected(c, t, s);
  int has_none = sqlite3_column_type(s, COLUMN_LATENT)==SQLITE_NULL;
  struct content latent = NO_LATENT;
  if( t->definition.body==NULL ) latent = row_latent(c, t, s);
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
  store_run(c, t, "INSERT INTO $pending(id) SELECT id FROM $rows");
}

int vtab_rebuild(struct call *c, struct vtab *t){
  config_put(c, t);
  store_run(c, t, "DELETE FROM $pending");
  vtab_ready(c, t, 1);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  index_clear(t->index, &c->err);
  vtab_damaged(c);
  if( t->definition.content ) take_content(c, t);
  else mend_rows(c, t);
  pending_flush(c, t);
  if( c->err.rc!=SQLITE_OK ) t->broken_depth = t->depth + 1;
  return c->err.rc;
}

/* ---- Commands ---- */

static void optimize(struct call *c, struct vtab *t){
  vtab_ready(c, t, t->definition.body!=NULL);
  pending_flush(c, t);
  if( c->err.rc!=SQLITE_OK ) return;
  index_optimize(t->index, &c->err);
  if( vtab_damaged(c)!=SQLITE_OK ) t->broken_depth = t->depth + 1;
}

static void integrity_check(struct call *c, struct vtab *t){
  struct buf report = { 0 };
  vtab_check(c, t, &report);
  if( report.rc!=SQLITE_OK ) fail_nomem(&c->err);
  if( report.n>0 && c->err.rc==SQLITE_OK ){
    fail(&c->err, SQLITE_CORRUPT_VTAB, "integrity-check: %.400s", buf_text(&report));
    for(char *p=c->err.text; *p; p++){          /* one line: "...;..." */
      if( *p=='\n' ) *p = p[1] ? ';' : 0;
    }
  }
  buf_release(&report);
}

static void run_command(struct call *c, struct vtab *t, sqlite3_value *v){
  int is_text = sqlite3_value_type(v)==SQLITE_TEXT;
  const char *name = is_text ? (const char *)sqlite3_value_text(v) : "";
  if( name==NULL ) fail_nomem(&c->err);
  else if( sqlite3_stricmp(name, "rebuild")==0 ) vtab_rebuild(c, t);
  else if( sqlite3_stricmp(name, "optimize")==0 ) optimize(c, t);
  else if( sqlite3_stricmp(name, "integrity-check")==0 ) integrity_check(c, t);
  else refuse_value(c, "the command", v, "'rebuild', 'optimize' or 'integrity-check'");
}

/* ---- xUpdate ---- */

/* args[0]: the old rowid, NULL for an INSERT; args[1]: the new one; then the columns. A DELETE has
** args[0] alone. */
int vtab_update(sqlite3_vtab *base, int n, sqlite3_value **args, sqlite3_int64 *rowid){
  struct vtab *t = (struct vtab *)base;
  sqlite3_int64 last = sqlite3_last_insert_rowid(t->db);
  sqlite3_int64 id = sqlite3_value_int64(args[0]);
  sqlite3_value **columns = args + 2;
  sqlite3_value *query = n>1 ? columns[hidden_at(&t->definition, HIDDEN_QUERY)] : NULL;
  struct call c;
  assert( n==1 || n==2 + hidden_at(&t->definition, HIDDEN_DISTANCE) + 1 );
  method_begin(&c, t);
  if( n==1 ){
    delete_row(&c, t, id);
  }else if( sqlite3_value_type(args[0])==SQLITE_NULL ){
    if( is_given(query) ) run_command(&c, t, query);
    else insert_row(&c, t, args[1], columns, rowid);
  }else if( is_given(query) ){
    fail(&c.err, SQLITE_ERROR, "the column %.60s is for queries and, in an INSERT, for commands",
         t->name);
  }else{
    update_row(&c, t, id, args[1], columns);
  }
  if( t->n_pending>=pending_most(t) ) pending_flush(&c, t);
  sqlite3_set_last_insert_rowid(t->db, last);
  return method_end(&c, t);
}
