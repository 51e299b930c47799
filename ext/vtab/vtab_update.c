/*
** vtab_update.c -- INSERT, UPDATE, DELETE, and the commands: INSERT INTO t(t) VALUES('rebuild').
**
** Whatever can be wrong with a row is found before anything is written; then the row's change is noted (vtab_pending.c), then made.
** The index sees it later, together with others.
*/
#include "vtab.h"
#include <string.h>

struct fresh {                  /* a row as it shall be */
  sqlite3_int64 id;
  const void *latent;           /* NULL: none, or to be encoded */
  int n_latent;
  sqlite3_value *body;          /* NULL: there is no content column, or it does not change */
  sqlite3_value **filters;      /* NULL, or marked as unchanged: as in the old row */
  sqlite3_stmt *old;            /* stands on the old row; NULL: there is none */
};

/* ---- Is it right? ---- */

static int refuse(struct call *c, const char *column, sqlite3_value *v, const char *expected){
  char came[DESCRIBED];

  value_describe(v, came);
  return fail(&c->err, SQLITE_ERROR, "%.60s is %s, expected %s", column, came, expected);
}

static int check_filter(struct call *c, const struct filter *f, sqlite3_value *v){
  int type = sqlite3_value_type(v);
  double x;

  if( type==SQLITE_NULL ) return SQLITE_OK;
  if( f->type==FILTER_TEXT ) return type==SQLITE_BLOB ? refuse(c, f->name, v, "text or NULL") : SQLITE_OK;
  type = sqlite3_value_numeric_type(v);
  if( type==SQLITE_INTEGER || (type==SQLITE_FLOAT && f->type==FILTER_REAL) ) return SQLITE_OK;
  x = type==SQLITE_FLOAT ? sqlite3_value_double(v) : 0.5;
  if( x>=-9e18 && x<=9e18 && x==(double)(sqlite3_int64)x ) return SQLITE_OK;
  return refuse(c, f->name, v, f->type==FILTER_INTEGER ? "an integer or NULL" : "a number or NULL");
}

/* A latent that is given with the row. */
static int check_latent(struct call *c, struct vtab *t, sqlite3_value *v, struct fresh *row){
  struct latent z;
  struct model *m;
  float *vector = arena_floats(&c->arena, (size_t)t->width);
  struct content blob;

  if( !vector ) return fail_nomem(&c->err);
  if( sqlite3_value_type(v)!=SQLITE_BLOB ) return refuse(c, "latent", v, "a BLOB or NULL");
  blob = value_bytes(c, v);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  row->latent = blob.bytes;
  row->n_latent = (int)blob.n;
  if( !t->definition.body ) return vtab_vector(t, vector, blob.bytes, blob.n, "latent", &c->err);
  if( !latent_is(blob.bytes, blob.n) ) return refuse(c, "latent", v, "a latent (which begins with 4c 54 4e 54) or NULL");
  z = value_point(c, v, "latent");
  m = latent_model(c, &z);
  if( m==NULL || vtab_kind(c, t, m, 1)!=SQLITE_OK ) return c->err.rc;
  return vtab_point(t, vector, &z, "latent", &c->err);
}

/* Content: what is a BLOB must be a picture, and whole: it is encoded later, when nobody can be told any more which row it was. */
static int check_body(struct call *c, struct vtab *t, sqlite3_value *v){
  struct arena_mark mark = arena_mark(&c->arena);
  const char *name = t->definition.body;
  struct picture p;
  struct model *m;
  struct content data;

  if( sqlite3_value_type(v)!=SQLITE_BLOB ) return SQLITE_OK;
  if( value_kind(c, v)!=KIND_PICTURE ) return refuse(c, name, v, "text, a picture (PNG, JPEG) or NULL (a latent goes into the column latent)");
  m = call_model_of(c, KIND_PICTURE, 0);
  if( m==NULL || vtab_kind(c, t, m, 0)!=SQLITE_OK ) return c->err.rc;
  data = value_bytes(c, v);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( picture_read(&p, data.bytes, data.n, &c->arena, name, &c->err)==SQLITE_OK ) arena_rewind(&c->arena, mark);
  return c->err.rc;
}

static int is_given(sqlite3_value *v){
  return !sqlite3_value_nochange(v) && sqlite3_value_type(v)!=SQLITE_NULL;
}

/* args: all columns. */
static int check_row(struct call *c, struct vtab *t, sqlite3_value **args, struct fresh *row){
  const struct definition *d = &t->definition;

  if( is_given(args[hidden_at(d, HIDDEN_OPTIONS)]) ) return fail(&c->err, SQLITE_ERROR, "the column options is for queries: t(query, options)");
  if( is_given(args[hidden_at(d, HIDDEN_DISTANCE)]) ) return fail(&c->err, SQLITE_ERROR, "the column distance is computed, not written");
  row->filters = args + filter_at(d);
  for(int i=0; i<d->n_filters; i++){
    if( !sqlite3_value_nochange(row->filters[i]) && check_filter(c, &d->filters[i], row->filters[i])!=SQLITE_OK ) return c->err.rc;
  }
  if( d->body && !sqlite3_value_nochange(args[0]) ){
    row->body = args[0];
    if( check_body(c, t, args[0])!=SQLITE_OK ) return c->err.rc;
  }
  if( is_given(args[hidden_at(d, HIDDEN_LATENT)]) ) return check_latent(c, t, args[hidden_at(d, HIDDEN_LATENT)], row);
  return SQLITE_OK;
}

/* ---- Writing ---- */

/* What a filter's value is stored as. */
static int stored_type(enum filter_type type, sqlite3_value *v){
  static const int types[] = { [FILTER_INTEGER] = SQLITE_INTEGER, [FILTER_REAL] = SQLITE_FLOAT, [FILTER_TEXT] = SQLITE_TEXT };
  return sqlite3_value_type(v)==SQLITE_NULL ? SQLITE_NULL : types[type];
}

static int bind_filter(sqlite3_stmt *s, int at, enum filter_type type, sqlite3_value *v){
  if( sqlite3_value_type(v)==SQLITE_NULL ) return sqlite3_bind_null(s, at);
  if( type==FILTER_INTEGER ) return sqlite3_bind_int64(s, at, sqlite3_value_int64(v));
  if( type==FILTER_REAL ) return sqlite3_bind_double(s, at, sqlite3_value_double(v));
  if( sqlite3_value_type(v)==SQLITE_TEXT ) return sqlite3_bind_value(s, at, v);
  return sqlite3_bind_text(s, at, (const char*)sqlite3_value_text(v), sqlite3_value_bytes(v), SQLITE_TRANSIENT);
}

static int is_from_old(const struct fresh *row, int i){
  return row->old && (!row->filters || sqlite3_value_nochange(row->filters[i]));
}

/* Filters and own content, and *sum of them. */
static int bind_values(struct vtab *t, sqlite3_stmt *s, const struct fresh *row, struct values_sum *sum){
  const struct definition *d = &t->definition;
  int rc = SQLITE_OK, n = d->n_filters;

  for(int i=0; i<n && rc==SQLITE_OK; i++){
    int from_old = is_from_old(row, i);
    sqlite3_value *v = from_old ? sqlite3_column_value(row->old, LOOK_FILTERS+i) : row->filters[i];
    values_sum_add(sum, t, v, from_old ? sqlite3_value_type(v) : stored_type(d->filters[i].type, v));
    rc = from_old ? sqlite3_bind_value(s, 4+i, v) : bind_filter(s, 4+i, d->filters[i].type, v);
  }
  if( d->body && !d->content && rc==SQLITE_OK ){
    sqlite3_value *body = row->body ? row->body : sqlite3_column_value(row->old, LOOK_FILTERS+n);
    values_sum_add(sum, t, body, sqlite3_value_type(body));
    rc = sqlite3_bind_value(s, 4+n, body);
  }
  return sum->oom ? SQLITE_NOMEM : rc;
}

/* Into t_rows, in the place of a row with this id. */
static int put_row(struct call *c, struct vtab *t, const struct fresh *row){
  sqlite3_stmt *s = store_statement(c, t, ROW_PUT);
  struct values_sum sum = { 0 };
  int rc;

  if( !s ) return c->err.rc;
  sqlite3_bind_int64(s, 1, row->id);
  rc = bind_values(t, s, row, &sum);
  sqlite3_bind_int64(s, 2, row_sum(row->id, &sum, row->latent ? latent_sum(row->id, row->latent, (size_t)row->n_latent) : 0));
  if( row->latent && rc==SQLITE_OK ) rc = sqlite3_bind_blob(s, 3, row->latent, row->n_latent, SQLITE_TRANSIENT);
  if( rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  else if( rc!=SQLITE_OK ) fail(&c->err, rc, "a value is too large");
  if( row->old ) sqlite3_reset(row->old);
  return store_do(c, s);
}

static int next_id(struct call *c, struct vtab *t, sqlite3_int64 *id){
  sqlite3_stmt *s = store_statement(c, t, ROW_LAST);

  *id = 0;
  if( s && store_step(c, s) ) *id = sqlite3_column_int64(s, 0);
  if( s ) store_do(c, s);
  if( *id==INT64_MAX ) return fail(&c->err, SQLITE_FULL, "no rowid is left above %lld", *id);
  ++*id;
  return c->err.rc;
}

static int read_id(struct call *c, sqlite3_value *v, sqlite3_int64 *id){
  if( sqlite3_value_numeric_type(v)!=SQLITE_INTEGER ) return refuse(c, "rowid", v, "an integer");
  *id = sqlite3_value_int64(v);
  return SQLITE_OK;
}

/* A latent for a row whose own is damaged: the index, which knows it elsewhere, then looks for the row in all cells. */
static int stand_in(struct call *c, struct vtab *t, const void **latent, int *n){
  struct latent z = { .kind = KIND_TEXT, .n_segments = 1, .width = t->width, .z = arena_floats(&c->arena, (size_t)t->width) };
  struct buf blob = { 0 };
  void *copy;

  if( !z.z ) return fail_nomem(&c->err);
  memset(z.z, 0, sizeof(float)*(size_t)t->width);
  z.z[0] = 1;
  latent_write(&blob, &z);
  copy = blob.rc==SQLITE_OK ? arena_get(&c->arena, blob.n) : NULL;
  if( copy ) memcpy(copy, blob.data, blob.n);
  else fail_nomem(&c->err);
  *latent = copy;
  *n = (int)blob.n;
  buf_release(&blob);
  return c->err.rc;
}

/* The latent under which the index is to find the row on which s stands. So that a damaged row can be written again, or deleted. */
static int known_latent(struct call *c, struct vtab *t, sqlite3_stmt *s, const void **latent, int *n){
  if( look_latent(c, t, s, latent, n)!=SQLITE_CORRUPT_VTAB ) return c->err.rc;
  memset(&c->err, 0, sizeof(c->err));
  return stand_in(c, t, latent, n);
}

/* Notes that row id, which may be there already, will be replaced: an error unless the statement says OR REPLACE. */
static int replace_note(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_value *text){
  sqlite3_stmt *s = store_statement(c, t, ROW_LATENT);
  const void *latent = NULL;
  int n = 0;

  if( !s ) return c->err.rc;
  sqlite3_bind_int64(s, 1, id);
  if( store_step(c, s) ){
    if( sqlite3_vtab_on_conflict(t->db)!=SQLITE_REPLACE ) fail(&c->err, SQLITE_CONSTRAINT, "row %lld is there already", id);
    else known_latent(c, t, s, &latent, &n);
  }
  if( c->err.rc==SQLITE_OK ) pending_add(c, t, id, latent, n, text, 1);
  sqlite3_reset(s);
  return c->err.rc;
}

static int insert_row(struct call *c, struct vtab *t, sqlite3_value *id, sqlite3_value **columns, sqlite3_int64 *rowid){
  struct fresh row = { 0 };

  if( vtab_ready(c, t, 1)!=SQLITE_OK || check_row(c, t, columns, &row)!=SQLITE_OK ) return c->err.rc;
  if( sqlite3_value_type(id)==SQLITE_NULL ) next_id(c, t, &row.id);
  else read_id(c, id, &row.id);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  *rowid = row.id;
  if( replace_note(c, t, row.id, t->definition.content ? row.body : NULL)!=SQLITE_OK ) return c->err.rc;
  return put_row(c, t, &row);
}

static int delete_row(struct call *c, struct vtab *t, sqlite3_int64 id){
  sqlite3_stmt *s;
  const void *latent = NULL;
  int n = 0, found;

  if( vtab_ready(c, t, 0)!=SQLITE_OK || !(s = store_statement(c, t, ROW_LATENT)) ) return c->err.rc;
  sqlite3_bind_int64(s, 1, id);
  found = store_step(c, s);
  if( found ) known_latent(c, t, s, &latent, &n);
  if( found && c->err.rc==SQLITE_OK ) pending_add(c, t, id, latent, n, NULL, 1);
  sqlite3_reset(s);
  if( !found || !(s = store_statement(c, t, ROW_DELETE)) ) return c->err.rc;
  sqlite3_bind_int64(s, 1, id);
  return store_do(c, s);
}

/* Stands on the row, or NULL. */
static sqlite3_stmt *find_old(struct call *c, struct vtab *t, sqlite3_int64 id){
  sqlite3_stmt *s = store_statement(c, t, ROW_GET);

  if( !s ) return NULL;
  sqlite3_bind_int64(s, 1, id);
  if( store_step(c, s) ) return s;
  sqlite3_reset(s);
  return NULL;
}

/* The content column is set to what it is: nothing to encode. */
static int same_body(const struct vtab *t, const struct fresh *row){
  const struct definition *d = &t->definition;
  int type = row->body ? sqlite3_value_type(row->body) : SQLITE_NULL, at = LOOK_FILTERS + d->n_filters, n;
  const void *a, *b;

  if( !d->body || d->content || (type!=SQLITE_TEXT && type!=SQLITE_BLOB) || sqlite3_column_type(row->old, at)!=type ) return 0;
  a = type==SQLITE_TEXT ? (const void*)sqlite3_value_text(row->body) : sqlite3_value_blob(row->body);
  b = type==SQLITE_TEXT ? (const void*)sqlite3_column_text(row->old, at) : sqlite3_column_blob(row->old, at);
  n = sqlite3_value_bytes(row->body);
  return a && b && n==sqlite3_column_bytes(row->old, at) && memcmp(a, b, (size_t)n)==0;
}

/* Is something of the old row kept that look_values() holds against its sum? */
static int keeps_values(const struct vtab *t, const struct fresh *row){
  const struct definition *d = &t->definition;

  for(int i=0; i<d->n_filters; i++) if( is_from_old(row, i) ) return 1;
  return d->body && !d->content && !row->body;
}

/* row->old stands on the row that shall be *row. */
static int put_updated(struct call *c, struct vtab *t, sqlite3_int64 id, struct fresh *row, int sets_latent){
  const struct definition *d = &t->definition;
  sqlite3_value *text = d->content ? row->body : NULL;
  int moves = row->id!=id, encodes = row->body && !row->latent && !same_body(t, row), n;
  const void *latent;

  if( !row->latent && !encodes && !sets_latent ) look_latent(c, t, row->old, &row->latent, &row->n_latent);     /* it stays */
  if( keeps_values(t, row) && c->err.rc==SQLITE_OK ) look_values(c, t, row->old);
  if( c->err.rc!=SQLITE_OK || known_latent(c, t, row->old, &latent, &n)!=SQLITE_OK ) return c->err.rc;
  if( pending_add(c, t, id, latent, n, moves ? NULL : text, moves || encodes)==SQLITE_OK && moves ) replace_note(c, t, row->id, text);
  return c->err.rc==SQLITE_OK ? put_row(c, t, row) : c->err.rc;
}

static int update_row(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_value **args, sqlite3_value **columns){
  struct fresh row = { 0 };
  sqlite3_stmt *s;

  if( read_id(c, args[1], &row.id)!=SQLITE_OK ) return c->err.rc;
  if( row.id!=id && pending_flush(c, t)!=SQLITE_OK ) return c->err.rc;          /* so that no text waits under the old id */
  if( vtab_ready(c, t, t->definition.body && !sqlite3_value_nochange(columns[0]))!=SQLITE_OK ) return c->err.rc;
  if( check_row(c, t, columns, &row)!=SQLITE_OK || !(row.old = find_old(c, t, id)) ) return c->err.rc;
  put_updated(c, t, id, &row, !t->definition.body && !sqlite3_value_nochange(columns[hidden_at(&t->definition, HIDDEN_LATENT)]));
  sqlite3_reset(row.old);
  if( c->err.rc==SQLITE_OK && row.id!=id && (s = store_statement(c, t, ROW_DELETE))!=NULL ){
    sqlite3_bind_int64(s, 1, id);
    store_do(c, s);
  }
  return c->err.rc;
}

/* ---- Commands ---- */

/* One row of the content table. The values are copied: SQLite allows the original ones only to be bound. */
static int take_row(struct call *c, struct vtab *t, sqlite3_stmt *from){
  const struct definition *d = &t->definition;
  struct fresh row = { 0 };
  sqlite3_value *values[2 + FILTERS_MOST] = { 0 };
  int n = 2 + d->n_filters;

  for(int i=0; i<n; i++){
    if( !(values[i] = sqlite3_value_dup(sqlite3_column_value(from, i))) ) fail_nomem(&c->err);
  }
  if( c->err.rc==SQLITE_OK && read_id(c, values[0], &row.id)==SQLITE_OK ) check_body(c, t, values[1]);
  for(int i=0; i<d->n_filters && c->err.rc==SQLITE_OK; i++) check_filter(c, &d->filters[i], values[2+i]);
  row.body = values[1];
  row.filters = values + 2;
  if( c->err.rc==SQLITE_OK && pending_add(c, t, row.id, NULL, 0, row.body, 1)==SQLITE_OK ) put_row(c, t, &row);
  for(int i=0; i<n; i++) sqlite3_value_free(values[i]);
  return c->err.rc;
}

static int take_content(struct call *c, struct vtab *t){
  sqlite3_stmt *s;

  if( store_run(c, t, "DELETE FROM $rows")!=SQLITE_OK || !store_statement(c, t, CONTENT_GET) ) return c->err.rc;  /* which finds the table's name */
  s = store_prepare(c, t, "SELECT $their_id, $their_body$their_filters FROM $theirs");
  while( s && store_step(c, s) && take_row(c, t, s)==SQLITE_OK ){
    if( t->n_pending>=pending_most(t) ) pending_flush(c, t);
  }
  sqlite3_finalize(s);
  return c->err.rc;
}

/* What the rows hold is taken as it is; content is to be encoded again, and a foreign latent that is not what was written is NULL. */
static int mend_rows(struct call *c, struct vtab *t){
  sqlite3_stmt *s = store_look(c, t, LOOK_UP), *mend = store_statement(c, t, ROW_MEND);
  const void *latent = NULL;
  sqlite3_int64 sum;
  int n = 0;

  if( s ){
    sqlite3_bind_int64(s, 1, INT64_MIN);
    sqlite3_bind_int64(s, 2, INT64_MAX);
  }
  while( s && mend && store_step(c, s) && look_sum(c, t, s, &sum)==SQLITE_OK ){
    if( !t->definition.body && look_latent(c, t, s, &latent, &n)==SQLITE_CORRUPT_VTAB ) memset(&c->err, 0, sizeof(c->err));
    if( latent ) sum |= latent_sum(sqlite3_column_int64(s, LOOK_ID), latent, (size_t)n);
    if( sum==sqlite3_column_int64(s, LOOK_SUM) && (latent || sqlite3_column_type(s, LOOK_LATENT)==SQLITE_NULL) ) continue;
    sqlite3_bind_int64(mend, 1, sqlite3_column_int64(s, LOOK_ID));
    sqlite3_bind_int64(mend, 2, sum);
    if( latent && sqlite3_bind_blob(mend, 3, latent, n, SQLITE_TRANSIENT)!=SQLITE_OK ) fail_nomem(&c->err);
    store_do(c, mend);
  }
  store_look_back(t, LOOK_UP, s);
  return store_run(c, t, "INSERT INTO $pending(id) SELECT id FROM $rows");
}

int vtab_rebuild(struct call *c, struct vtab *t){
  if( store_config_put(c, t)!=SQLITE_OK || store_run(c, t, "DELETE FROM $pending")!=SQLITE_OK || vtab_ready(c, t, 1)!=SQLITE_OK ) return c->err.rc;
  if( index_clear(t->index, &c->err)!=SQLITE_OK ){
    t->broken_depth = t->depth + 1;
    return vtab_damaged(c);
  }
  if( t->definition.content ) take_content(c, t);
  else mend_rows(c, t);
  if( c->err.rc==SQLITE_OK ) pending_flush(c, t);
  if( c->err.rc!=SQLITE_OK ) t->broken_depth = t->depth + 1;
  return c->err.rc;
}

static int optimize(struct call *c, struct vtab *t){
  if( vtab_ready(c, t, t->definition.body!=NULL)!=SQLITE_OK || pending_flush(c, t)!=SQLITE_OK ) return c->err.rc;
  if( index_optimize(t->index, &c->err)!=SQLITE_OK ) t->broken_depth = t->depth + 1;
  return vtab_damaged(c);
}

static int check(struct call *c, struct vtab *t){
  struct buf report = { 0 };

  vtab_check(c, t, &report);
  if( report.rc!=SQLITE_OK ) fail_nomem(&c->err);
  if( report.n>0 && c->err.rc==SQLITE_OK ){
    fail(&c->err, SQLITE_CORRUPT_VTAB, "integrity-check: %.400s", buf_text(&report));
    for(char *p=c->err.text; *p; p++) if( *p=='\n' ) *p = p[1] ? ';' : 0;
  }
  buf_release(&report);
  return c->err.rc;
}

static int command(struct call *c, struct vtab *t, sqlite3_value *v){
  const char *name = sqlite3_value_type(v)==SQLITE_TEXT ? (const char*)sqlite3_value_text(v) : "";

  if( !name ) return fail_nomem(&c->err);
  if( sqlite3_stricmp(name, "rebuild")==0 ) return vtab_rebuild(c, t);
  if( sqlite3_stricmp(name, "optimize")==0 ) return optimize(c, t);
  if( sqlite3_stricmp(name, "integrity-check")==0 ) return check(c, t);
  return refuse(c, "the command", v, "'rebuild', 'optimize' or 'integrity-check'");
}

/* args[0]: the old rowid, NULL for an INSERT; args[1]: the new one; then the columns. A DELETE has args[0] alone. */
int vtab_update(sqlite3_vtab *base, int n, sqlite3_value **args, sqlite3_int64 *rowid){
  struct vtab *t = (struct vtab*)base;
  struct call c;
  sqlite3_int64 last = sqlite3_last_insert_rowid(t->db), id = sqlite3_value_int64(args[0]);
  sqlite3_value *query = n>1 ? args[2 + hidden_at(&t->definition, HIDDEN_QUERY)] : NULL;

  vtab_call(&c, t);
  if( n==1 ){
    delete_row(&c, t, id);
  }else if( sqlite3_value_type(args[0])!=SQLITE_NULL ){
    if( is_given(query) ) fail(&c.err, SQLITE_ERROR, "the column %.60s is for queries and, in an INSERT, for commands", t->name);
    else update_row(&c, t, id, args, args + 2);
  }else if( is_given(query) ){
    command(&c, t, query);
  }else{
    insert_row(&c, t, args[1], args + 2, rowid);
  }
  if( c.err.rc==SQLITE_OK && t->n_pending>=pending_most(t) ) pending_flush(&c, t);
  sqlite3_set_last_insert_rowid(t->db, last);
  return vtab_end(&c, t);
}
