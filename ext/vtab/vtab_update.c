/*
** vtab_update.c -- INSERT, UPDATE, DELETE, and the commands: INSERT INTO t(t) VALUES('optimize').
** (vtab_rebuild.c has 'rebuild' and 'sync'.)
**
** Whatever can be wrong with a row is found before anything is written. Then the change is noted
** (vtab_pending.c), then made. The index sees it later, together with others.
**
** Where the content is another table's, an INSERT or UPDATE only notes that the row with this id is
** to be read from there. Its values do not matter: triggers give none.
*/
#include "vtab.h"
#include <assert.h>
#include <string.h>

static const struct content NO_LATENT = { NULL, 0 };

/* ---- Is the row right? ---- */

/* A latent that is given with the row: can the index take it? */
static int check_latent(struct call *c, struct vtab *t, sqlite3_value *v, struct new_row *row){
  struct model *m;
  struct latent z;
  if( t->definition.model ){
    return fail(&c->err, SQLITE_ERROR, "the latent of a row is made of its content, in a table "
                "with model='%.60s'", t->definition.model);
  }
  if( t->definition.n_bodies>1 ){
    return fail(&c->err, SQLITE_ERROR, "the latents of a row are made of its contents, in a table "
                "with several content columns");
  }
  if( t->definition.n_bodies==0 && sqlite3_value_type(v)==SQLITE_TEXT ){
    row->latent = value_vector_blob(c, v, "latent", (size_t)t->width);
    vectors_from_blob(t, row->latent, &c->arena, "latent", &c->err);
    return c->err.rc;
  }
  if( sqlite3_value_type(v)!=SQLITE_BLOB ) return refuse_value(c, "latent", v, "a BLOB or NULL");
  row->latent = value_bytes(c, v);
  if( t->definition.n_bodies==0 ){
    vectors_from_blob(t, row->latent, &c->arena, "latent", &c->err);
    return c->err.rc;
  }
  if( !latent_is(row->latent.bytes, row->latent.n) ){
    return refuse_value(c, "latent", v, "a latent (which begins with 4c 54 4e 54) or NULL");
  }
  z = value_point(c, v, "latent");
  m = latent_model(c, &z);
  if( m ) config_admit(c, t, m, 1);
  if( c->err.rc==SQLITE_OK ) vectors_from_latent(t, &z, &c->arena, "latent", &c->err);
  return c->err.rc;
}

static int refuse_body(struct call *c, const struct vtab *t, const char *name, sqlite3_value *v){
  return refuse_value(c, name, v, t->definition.n_bodies>1
                      ? "text, a picture (PNG, JPEG) or NULL"
                      : "text, a picture (PNG, JPEG) or NULL (a latent goes into the column "
                      "latent)");
}

/* What content column i of a strict table takes: a BLOB must be a picture, and whole. Other tables
** keep whatever comes, but a latent is here by mistake. Pictures need their model. */
static int check_body(struct call *c, struct vtab *t, int i, sqlite3_value *v){
  const char *name = t->definition.bodies[i];
  struct arena_mark mark = arena_mark(&c->arena);
  int is_strict = t->definition.is_strict;
  struct content data;
  struct picture p;
  struct model *m;
  if( c->err.rc!=SQLITE_OK || sqlite3_value_type(v)!=SQLITE_BLOB ) return c->err.rc;
  data = value_bytes(c, v);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( value_kind(c, v)!=KIND_PICTURE ){
    return is_strict || latent_is(data.bytes, data.n) ? refuse_body(c, t, name, v) : SQLITE_OK;
  }
  m = call_model_of(c, KIND_PICTURE, 0);
  if( m ) config_admit(c, t, m, 0);
  if( c->err.rc!=SQLITE_OK || !is_strict ) return c->err.rc;
  picture_read(&p, data.bytes, data.n, &c->arena, name, &c->err);
  if( c->err.rc==SQLITE_OK ) arena_rewind(&c->arena, mark);
  return c->err.rc;
}

static int is_given(sqlite3_value *v){
  return !sqlite3_value_nochange(v) && sqlite3_value_type(v)!=SQLITE_NULL;
}

/* columns: all of them. Sets filters, bodies and latent of the row. */
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
  if( passage_at(d)>=0 && is_given(columns[passage_at(d)]) ){
    return fail(&c->err, SQLITE_ERROR, "the column passage is computed, not written");
  }
  if( rank_at(d)>hidden_at(d, HIDDEN_DISTANCE) && is_given(columns[rank_at(d)]) ){
    return fail(&c->err, SQLITE_ERROR, "the column rank is for 'rebuild' in steps: "
                "INSERT INTO \"%.60s\"(\"%.60s\", rank) VALUES('rebuild', 1000)", t->name, t->name);
  }
  row->filters = columns + filter_at(d);
  for(int i=0; i<d->n_filters; i++){
    sqlite3_value *v = row->filters[i];
    if( sqlite3_value_nochange(v) || c->err.rc!=SQLITE_OK ) continue;
    if( !filter_fits(&d->filters[i], v) ) filter_refuse(c, &d->filters[i], v);
  }
  row->bodies = columns;
  for(int i=0; i<d->n_bodies; i++){
    if( !sqlite3_value_nochange(columns[i]) ) check_body(c, t, i, columns[i]);
  }
  if( c->err.rc==SQLITE_OK && is_given(latent) ) check_latent(c, t, latent, row);
  return c->err.rc;
}

/* ---- Writing a row ---- */

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

/* ---- INSERT, DELETE ---- */

/* Notes that a row with this id is written. If there is one already, it is an error unless the
** statement says OR REPLACE. */
static void note_written(struct call *c, struct vtab *t, sqlite3_int64 id){
  sqlite3_stmt *s = store_find(c, t, ROW_LATENT, id);
  struct content old = NO_LATENT;
  if( s ){
    if( sqlite3_vtab_on_conflict(t->db)==SQLITE_REPLACE ) old = row_known_latent(c, t, s);
    else fail(&c->err, SQLITE_CONSTRAINT, "row %lld is there already", id);
  }
  pending_add(c, t, id, old, NOTE_WRITTEN);
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
  note_written(c, t, row.id);
  row_put(c, t, &row);
}

static void delete_row(struct call *c, struct vtab *t, sqlite3_int64 id){
  sqlite3_stmt *s;
  vtab_ready(c, t, 0);
  s = store_find(c, t, ROW_LATENT, id);
  if( s==NULL ) return;
  pending_add(c, t, id, row_known_latent(c, t, s), NOTE_WRITTEN);
  sqlite3_reset(s);
  store_do_at(c, t, ROW_DELETE, id);
  words_put(c, t, id, NULL);
}

/* ---- UPDATE ---- */

/* Content column i is set to what it is, or not at all. */
static int is_same_body(const struct vtab *t, const struct new_row *row, int i){
  int at = COLUMN_FILTERS + t->definition.n_filters + i;
  sqlite3_value *body = row->bodies[i];
  int type = sqlite3_value_type(body);
  const void *a, *b;
  int n;
  if( row_keeps_body(row, i) ) return 1;
  if( sqlite3_column_type(row->old, at)!=type ) return 0;
  if( type==SQLITE_TEXT ){
    a = sqlite3_value_text(body);
    b = sqlite3_column_text(row->old, at);
  }else if( type==SQLITE_BLOB ){
    a = sqlite3_value_blob(body);
    b = sqlite3_column_blob(row->old, at);
  }else{
    return 0;
  }
  n = sqlite3_value_bytes(body);
  return a && b && n==sqlite3_column_bytes(row->old, at) && memcmp(a, b, (size_t)n)==0;
}

/* Is there something to encode? */
static int is_new_content(const struct vtab *t, const struct new_row *row){
  for(int i=0; i<t->definition.n_bodies; i++){
    if( !is_same_body(t, row, i) ) return 1;
  }
  return 0;
}

/* Is something of the old row kept that row_check_values() checks? */
static int keeps_values(const struct vtab *t, const struct new_row *row){
  for(int i=0; i<t->definition.n_filters; i++){
    if( row_keeps_filter(row, i) ) return 1;
  }
  for(int i=0; i<t->definition.n_bodies; i++){
    if( row_keeps_body(row, i) ) return 1;
  }
  return 0;
}

/* row->old stands on the row `id` that shall be *row. */
static void put_updated(struct call *c, struct vtab *t, sqlite3_int64 id, struct new_row *row,
                        int sets_latent){
  int moves = row->id!=id;
  int encodes = row->latent.bytes==NULL && is_new_content(t, row);
  int stays = row->latent.bytes==NULL && !encodes && !sets_latent;
  struct content known;
  if( stays ) row->latent = row_latent(c, t, row->old);
  if( keeps_values(t, row) ) row_check_values(c, t, row->old);
  if( c->err.rc!=SQLITE_OK ) return;
  known = row_known_latent(c, t, row->old);
  pending_add(c, t, id, known, NOTE_WRITTEN);
  if( moves && c->err.rc==SQLITE_OK ) note_written(c, t, row->id);
  row_put(c, t, row);
}

static void update_row(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_value *new_id,
                       sqlite3_value **columns){
  const struct definition *d = &t->definition;
  int sets_latent = d->n_bodies==0 && !sqlite3_value_nochange(columns[hidden_at(d, HIDDEN_LATENT)]);
  struct new_row row = { .id = read_id(c, new_id) };
  int moves = row.id!=id;
  int sets_body = 0;
  for(int i=0; i<d->n_bodies; i++) sets_body |= !sqlite3_value_nochange(columns[i]);
  vtab_ready(c, t, sets_body);
  check_row(c, t, columns, &row);
  row.old = store_find(c, t, ROW_GET, id);
  if( row.old==NULL ) return;
  put_updated(c, t, id, &row, sets_latent);
  sqlite3_reset(row.old);
  if( !moves ) return;
  store_do_at(c, t, ROW_DELETE, id);
  words_put(c, t, id, NULL);
}

/* ---- Where the content is another table's ---- */

/* The row of the content table that s stands on, in a strict table. The values are copied: SQLite
** allows the original ones only to be bound. */
static void check_theirs(struct call *c, struct vtab *t, sqlite3_stmt *s){
  const struct definition *d = &t->definition;
  int n = d->n_bodies;
  for(int i=0; i<n+d->n_filters && c->err.rc==SQLITE_OK; i++){
    const struct filter *f = i<n ? NULL : &d->filters[i-n];
    sqlite3_value *v = sqlite3_value_dup(sqlite3_column_value(s, CONTENT_BODIES + i));
    if( v==NULL ) fail_nomem(&c->err);
    else if( f==NULL ) check_body(c, t, i, v);
    else if( !filter_fits(f, v) ) filter_refuse(c, f, v);
    sqlite3_value_free(v);
  }
}

/* Notes that the row is to be read. What would be an error then is one now, as far as it can be
** seen: then it is clear which statement it was. */
static void follow_row(struct call *c, struct vtab *t, sqlite3_int64 id){
  sqlite3_stmt *s;
  vtab_ready(c, t, 0);
  s = store_find(c, t, CONTENT_GET, id);
  if( s ) vtab_ready(c, t, 1);
  if( s && t->definition.is_strict ) check_theirs(c, t, s);
  if( s ) words_put_columns(c, t, id, s, CONTENT_BODIES);
  else words_put(c, t, id, NULL);
  sqlite3_reset(s);
  pending_add(c, t, id, NO_LATENT, NOTE_READ);
}

static void insert_followed(struct call *c, struct vtab *t, sqlite3_value *id,
                            sqlite3_value **columns, sqlite3_int64 *rowid){
  if( is_given(columns[hidden_at(&t->definition, HIDDEN_LATENT)]) ){
    fail(&c->err, SQLITE_ERROR, "a row of \"%.60s\" is encoded from its content; UPDATE its latent "
         "afterwards", t->definition.content);
  }
  *rowid = read_id(c, id);
  follow_row(c, t, *rowid);
}

/* The row gets a latent that somebody else has made of its content. */
static void set_latent(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_value *latent){
  struct new_row row = { .id = id };
  pending_flush(c, t);
  vtab_ready(c, t, 0);
  if( c->err.rc==SQLITE_OK ) check_latent(c, t, latent, &row);
  row.old = store_find(c, t, ROW_GET, id);
  if( row.old==NULL ) return;
  row_check_values(c, t, row.old);
  row.hash = sqlite3_column_int64(row.old, COLUMN_FILTERS + t->definition.n_filters);
  pending_add(c, t, id, row_known_latent(c, t, row.old), NOTE_WRITTEN);
  row_put(c, t, &row);
  sqlite3_reset(row.old);
}

static void update_followed(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_value *new_id,
                            sqlite3_value **columns){
  sqlite3_value *latent = columns[hidden_at(&t->definition, HIDDEN_LATENT)];
  sqlite3_int64 to = read_id(c, new_id);
  if( is_given(latent) ){
    set_latent(c, t, id, latent);
    return;
  }
  follow_row(c, t, id);
  if( to!=id ) follow_row(c, t, to);
}

/* ---- Commands ---- */

static void optimize(struct call *c, struct vtab *t){
  vtab_ready(c, t, t->definition.n_bodies>0);
  pending_flush(c, t);
  if( c->err.rc!=SQLITE_OK ) return;
  index_optimize(t->index, &c->err);
  if( vtab_damaged(c)!=SQLITE_OK ) t->broken_depth = t->depth + 1;
}

static void integrity_check(struct call *c, struct vtab *t){
  struct buf report = { 0 };
  vtab_check(c, t, 1, &report);
  if( report.rc!=SQLITE_OK ) fail_nomem(&c->err);
  if( report.n>0 && c->err.rc==SQLITE_OK ){
    fail(&c->err, SQLITE_CORRUPT_VTAB, "integrity-check: %.400s", buf_text(&report));
    for(char *p=c->err.text; *p; p++){          /* one line: "...;..." */
      if( *p=='\n' ) *p = p[1] ? ';' : 0;
    }
  }
  buf_release(&report);
}

/* 'rebuild', all of it, or so many rows as the column rank says. */
static void rebuild(struct call *c, struct vtab *t, sqlite3_value *rank){
  if( !is_given(rank) ){
    vtab_rebuild(c, t);
  }else if( sqlite3_value_type(rank)!=SQLITE_INTEGER || sqlite3_value_int64(rank)<1 ){
    refuse_value(c, "rank", rank, "how many rows 'rebuild' does now, 1 or more");
  }else{
    rebuild_some(c, t, sqlite3_value_int64(rank));
  }
}

static void run_command(struct call *c, struct vtab *t, sqlite3_value **columns){
  sqlite3_value *v = columns[hidden_at(&t->definition, HIDDEN_QUERY)];
  sqlite3_value *rank = columns[rank_at(&t->definition)];
  int is_text = sqlite3_value_type(v)==SQLITE_TEXT;
  const char *name = is_text ? (const char *)sqlite3_value_text(v) : "";
  if( name==NULL ) fail_nomem(&c->err);
  else if( sqlite3_stricmp(name, "rebuild")==0 ) rebuild(c, t, rank);
  else if( is_given(rank) ) refuse_value(c, "rank", rank, "NULL: only 'rebuild' has steps");
  else if( sqlite3_stricmp(name, "sync")==0 ) vtab_sync(c, t);
  else if( sqlite3_stricmp(name, "optimize")==0 ) optimize(c, t);
  else if( sqlite3_stricmp(name, "integrity-check")==0 ) integrity_check(c, t);
  else refuse_value(c, "the command", v, "'rebuild', 'sync', 'optimize' or "
                    "'integrity-check'");
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
  assert( n==1 || n==2 + count_columns(&t->definition) );
  method_begin(&c, t);
  if( n==1 ){
    delete_row(&c, t, id);
  }else if( sqlite3_value_type(args[0])==SQLITE_NULL ){
    if( is_given(query) ) run_command(&c, t, columns);
    else if( t->definition.content ) insert_followed(&c, t, args[1], columns, rowid);
    else insert_row(&c, t, args[1], columns, rowid);
  }else if( is_given(query) ){
    fail(&c.err, SQLITE_ERROR, "the column %.60s is for queries and, in an INSERT, for commands",
         t->name);
  }else if( t->definition.content ){
    update_followed(&c, t, id, args[1], columns);
  }else{
    update_row(&c, t, id, args[1], columns);
  }
  if( t->n_pending>=pending_most(t) ) pending_flush(&c, t);
  sqlite3_set_last_insert_rowid(t->db, last);
  return method_end(&c, t);
}
