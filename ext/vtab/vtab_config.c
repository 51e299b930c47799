/*
** vtab_config.c -- what t_config says of a table, and the table made ready for work by it.
**
** t_config names the models that made the latents in t_rows. Version and columns are checked once a
** connection. Model and width are read anew each time vtab_ready() is called, because another
** connection may have run 'rebuild' with other weights in between.
*/
#include "vtab.h"
#include <assert.h>
#include <string.h>

enum { VERSION = 2 };

/* ---- One entry ---- */

/* In a column of s: an integer; -1 where it is none. */
static sqlite3_int64 column_entry(sqlite3_stmt *s, int i){
  return sqlite3_column_type(s, i)==SQLITE_INTEGER ? sqlite3_column_int64(s, i) : -1;
}

/* -1 where there is none. */
static sqlite3_int64 get(struct call *c, struct vtab *t, const char *key){
  sqlite3_stmt *s = store_statement(c, t, CONFIG_GET);
  sqlite3_int64 x = -1;
  if( s ) sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
  if( store_step(c, s) ) x = column_entry(s, 0);
  store_do(c, s);
  return x;
}

static int set(struct call *c, struct vtab *t, const char *key, sqlite3_int64 x){
  sqlite3_stmt *s = store_statement(c, t, CONFIG_SET);
  if( s==NULL ) return c->err.rc;
  sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
  sqlite3_bind_int64(s, 2, x);
  return store_do(c, s);
}

/* ---- `columns` ---- */

/* The definition as t_config keeps it. */
static void describe_columns(struct call *c, struct buf *out, const struct vtab *t){
  definition_columns(out, &t->definition, "");
  if( t->definition.content ) buf_str(out, ", content elsewhere");
  if( t->definition.has_words ) buf_str(out, ", words");
  if( t->definition.model ) buf_printf(out, ", model %s", t->definition.model);
  for(int i=0; i<t->definition.n_filters; i++){
    if( t->definition.filters[i].is_partition ) buf_printf(out, ", filter %d is a partition", i);
  }
  if( out->rc!=SQLITE_OK ) fail_nomem(&c->err);
}

static int put_columns(struct call *c, struct vtab *t){
  sqlite3_stmt *s = store_statement(c, t, CONFIG_SET);
  struct buf text = { 0 };
  int rc;
  if( s==NULL ) return c->err.rc;
  describe_columns(c, &text, t);
  sqlite3_bind_text(s, 1, "columns", -1, SQLITE_STATIC);
  rc = sqlite3_bind_text(s, 2, text.data, (int)text.n, SQLITE_TRANSIENT);
  check_bound(c, rc);
  store_do(c, s);
  buf_release(&text);
  return c->err.rc;
}

static int columns_agree(struct call *c, struct vtab *t){
  sqlite3_stmt *s = store_statement(c, t, CONFIG_GET);
  struct buf text = { 0 };
  int agree = 0;
  if( s==NULL ) return 0;
  describe_columns(c, &text, t);
  sqlite3_bind_text(s, 1, "columns", -1, SQLITE_STATIC);
  if( store_step(c, s) ){
    const void *stored = sqlite3_column_text(s, 0);
    size_t n = (size_t)sqlite3_column_bytes(s, 0);
    if( stored==NULL && sqlite3_column_type(s, 0)==SQLITE_TEXT ) fail_nomem(&c->err);
    agree = stored && n==text.n && memcmp(stored, text.data, n)==0;
  }
  store_do(c, s);
  buf_release(&text);
  return agree;
}

int config_is_early(struct call *c, struct vtab *t){
  if( get(c, t, "version")!=1 ) return 0;
  fail(&c->err, SQLITE_ERROR, "made by an earlier version of the extension (format 1, this one "
       "knows %d): DROP TABLE \"%.60s\" and make it anew (own content is in \"%.60s_rows\")",
       VERSION, t->name, t->name);
  return 1;
}

/* The shadow tables were made by this version, for a table like this one. */
static int check_made_for(struct call *c, struct vtab *t){
  sqlite3_int64 version;
  store_verify(c, t);
  words_verify(c, t);
  version = get(c, t, "version");
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( version>VERSION ){
    return fail(&c->err, SQLITE_ERROR, "made by a newer version of the extension (format %lld, "
                "this one knows %d)", version, VERSION);
  }
  if( config_is_early(c, t) ) return c->err.rc;
  if( version!=VERSION ){
    return fail(&c->err, SQLITE_CORRUPT_VTAB, "no version in the shadow table %s_config", t->name);
  }
  if( columns_agree(c, t) ) return c->err.rc;
  return fail(&c->err, SQLITE_CORRUPT_VTAB,
              "the shadow tables belong to a table with other columns");
}

/* ---- A table at work ---- */

/* For the index: the vectors of a row. They stay in t->fetched until the next are asked for. */
static int fetch(void *arg, int64_t rowid, const float **vectors, int *n, struct err *e){
  struct vtab *t = arg;
  struct call c = callback_call(t, e);
  sqlite3_stmt *s = store_find(&c, t, ROW_LATENT, rowid);
  struct vectors v = { NULL, 0 };
  if( t->fetched_mark.block ) arena_rewind(&t->fetched, t->fetched_mark);
  if( t->fetched_mark.block==NULL && arena_get(&t->fetched, 1) ){
    t->fetched_mark = arena_mark(&t->fetched);  /* arena_rewind() keeps the first block */
  }
  t->fetched.oom = 0;
  if( s ){
    struct content latent = row_latent(&c, t, s);
    if( latent.bytes ) v = vectors_from_stored(&c, t, latent, &t->fetched, "a stored latent");
    sqlite3_reset(s);
  }
  *vectors = v.x;
  *n = v.n;
  err_take(e, &c.err);
  return e->rc;
}

/* For the index: is a row noted as changing? */
static int is_changing(void *arg, int64_t rowid, struct err *e){
  struct vtab *t = arg;
  struct call c = callback_call(t, e);
  sqlite3_stmt *s = store_find(&c, t, PENDING_HAS, rowid);
  sqlite3_reset(s);
  err_take(e, &c.err);
  return s!=NULL;
}

static int open_index(struct call *c, struct vtab *t, int width, int has_parts){
  struct index_shape shape = {
    .width = width,
    .n_keys = t->definition.n_filters,
    .cell_rows = t->definition.cell_rows,
    .has_parts = has_parts,
    .has_groups = t->definition.n_partitions>0,
  };
  struct source source = { .arg = t, .fetch = fetch, .is_changing = is_changing };
  if( t->index && t->width==width && t->has_parts==has_parts ) return SQLITE_OK;
  index_close(t->index);
  t->has_parts = has_parts;
  t->index = NULL;
  t->width = 0;
  index_open(&t->index, t->db, t->schema, t->name, &shape, &source, &c->err);
  if( c->err.rc==SQLITE_OK ) t->width = width;
  return vtab_damaged(c);
}

static int find_encoding(struct call *c, struct vtab *t){
  sqlite3_stmt *s = store_prepare(c, t, "PRAGMA encoding");
  if( store_step(c, s) ){
    const char *name = (const char *)sqlite3_column_text(s, 0);
    if( name ) t->is_utf8 = strcmp(name, "UTF-8")==0;
    else fail_nomem(&c->err);
  }
  sqlite3_finalize(s);
  return c->err.rc;
}

/* what: "the latents", or those of a kind. */
static int other_model(struct call *c, const struct vtab *t, const char *what, uint32_t theirs,
                       const struct model *m){
  return fail(&c->err, SQLITE_ERROR, "%s are of model %08x, the present model is %08x (%.120s): "
              "INSERT INTO \"%.40s\"(\"%.40s\") VALUES('rebuild') encodes the content again, "
              "latent_load(path) takes the weights that made them", what, theirs,
              m->config.fingerprint, m->shared.path, t->name, t->name);
}

/* The fingerprint of a sentence encoder: it stands for its weights. */
static uint32_t encoder_fingerprint(const struct bert *b){
  return (uint32_t)b->file.hash;
}

/* The table's own sentence encoder, if it has one, is the one whose vectors t_rows has. */
static int check_encoder(struct call *c, struct vtab *t, const struct bert *b){
  sqlite3_int64 own;
  if( b==NULL ) return c->err.rc;
  own = get(c, t, "encoder");
  if( c->err.rc!=SQLITE_OK || own==encoder_fingerprint(b) ) return c->err.rc;
  return fail(&c->err, SQLITE_ERROR, "the vectors are of encoder %08x, the present %.40s is %08x "
              "(%.120s): INSERT INTO \"%.40s\"(\"%.40s\") VALUES('rebuild') encodes the content "
              "again, latent_load(folder) takes the encoder that made them", (uint32_t)own,
              t->definition.model, encoder_fingerprint(b), b->shared.path, t->name, t->name);
}

/* t_config is of the present models. */
static int check_model(struct call *c, struct vtab *t, sqlite3_int64 width, int has_parts){
  const struct model *m = call_model(c);
  const struct bert *b;
  if( m==NULL ) return c->err.rc;
  if( m->config.fingerprint!=t->fingerprint ){
    return other_model(c, t, "the latents", t->fingerprint, m);
  }
  b = table_encoder(c, t);
  if( check_encoder(c, t, b)!=SQLITE_OK ) return c->err.rc;
  if( has_parts && width==(b ? b->config.shape.d : model_s(m)) ) return c->err.rc;
  return fail(&c->err, SQLITE_CORRUPT_VTAB, "the shadow table %.60s_config has another width, or "
              "no parts: INSERT INTO \"%.60s\"(\"%.60s\") VALUES('rebuild')", t->name, t->name,
              t->name);
}

/* Names in t_config of how many numbers of s the latents of a kind have. */
static const char *const S_OF[KIND_CODE+1] = {
  [KIND_PICTURE] = "picture_s",
  [KIND_CODE] = "code_s",
};

/* t->s. entries: of KIND_PICTURE and KIND_CODE. A table in which a kind has no such number is from
** before they were noted: then all kinds had the same. */
static void set_kinds(struct vtab *t, int width, const sqlite3_int64 *entries){
  if( t->definition.model ) return;     /* its vectors are not made of s */
  t->s[KIND_TEXT] = width;
  for(int kind=KIND_PICTURE; kind<=KIND_CODE; kind++){
    sqlite3_int64 s = entries[kind-KIND_PICTURE];
    t->s[kind] = s>0 && s<=INDEX_WIDTH_MOST ? (int)s : width;
  }
}

enum { ENTRY_MODEL, ENTRY_WIDTH, ENTRY_PARTS, ENTRY_KINDS, N_ENTRIES = ENTRY_KINDS + 2 };

/* The columns of CONFIG_READY. */
static int read_entries(struct call *c, struct vtab *t, sqlite3_int64 *entries){
  sqlite3_stmt *s = store_statement(c, t, CONFIG_READY);
  if( store_step(c, s) ){
    for(int i=0; i<N_ENTRIES; i++) entries[i] = column_entry(s, i);
  }
  store_do(c, s);
  return c->err.rc;
}

int vtab_ready(struct call *c, struct vtab *t, int needs_model){
  sqlite3_int64 width = t->definition.width;
  int has_parts = 0;
  assert( t->db && t->schema && t->name );
  if( t->width==0 ){
    find_encoding(c, t);
    check_made_for(c, t);
  }
  if( t->definition.n_bodies>0 ){
    sqlite3_int64 entries[N_ENTRIES] = { 0 };
    sqlite3_int64 model;
    if( read_entries(c, t, entries)!=SQLITE_OK ) return c->err.rc;
    model = entries[ENTRY_MODEL];
    width = entries[ENTRY_WIDTH];
    if( model<0 || model>UINT32_MAX || width<1 || width>INDEX_WIDTH_MOST ){
      return fail(&c->err, SQLITE_CORRUPT_VTAB,
                  "no model or no width in the shadow table %s_config", t->name);
    }
    t->fingerprint = (uint32_t)model;
    has_parts = entries[ENTRY_PARTS]==1;
    set_kinds(t, (int)width, entries + ENTRY_KINDS);
    if( needs_model ) check_model(c, t, width, has_parts);
  }
  return c->err.rc==SQLITE_OK ? open_index(c, t, (int)width, has_parts) : c->err.rc;
}

int config_admit(struct call *c, struct vtab *t, const struct model *m, int is_new){
  int kind = m->config.kind;
  char what[40];
  sqlite3_int64 own;
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( kind==KIND_TEXT ) return SQLITE_OK;       /* vtab_ready() has seen to it */
  own = get(c, t, kind_name(kind));
  if( c->err.rc!=SQLITE_OK || own==m->config.fingerprint ) return c->err.rc;
  if( own<0 && is_new ){
    t->s[kind] = model_s(m);
    set(c, t, S_OF[kind], t->s[kind]);
    return set(c, t, kind_name(kind), m->config.fingerprint);
  }
  if( own<0 ) return SQLITE_OK;
  sqlite3_snprintf(sizeof(what), what, "the latents of kind %s", kind_name(kind));
  return other_model(c, t, what, (uint32_t)own, m);
}

int config_is_present(struct call *c, struct vtab *t){
  const struct model *m = call_model(c);
  const struct bert *b = table_encoder(c, t);
  int is_present = m && get(c, t, "model")==m->config.fingerprint;
  if( b ) is_present &= get(c, t, "encoder")==encoder_fingerprint(b);
  for(int kind=KIND_PICTURE; kind<=KIND_CODE && is_present; kind++){
    sqlite3_int64 own = get(c, t, kind_name(kind));
    if( own<0 ) continue;
    m = call_model_of(c, kind, 0);
    is_present = m && own==m->config.fingerprint;
  }
  return is_present && c->err.rc==SQLITE_OK;
}

/* The entry may be any integer, so get() cannot say that there is none. */
struct rebuild config_rebuild(struct call *c, struct vtab *t){
  sqlite3_stmt *s = store_statement(c, t, CONFIG_GET);
  struct rebuild r = { 0 };
  if( s ) sqlite3_bind_text(s, 1, "rebuild", -1, SQLITE_STATIC);
  if( store_step(c, s) ){
    r.is_begun = 1;
    r.next = sqlite3_column_int64(s, 0);
  }
  store_do(c, s);
  return r;
}

int config_put_rebuild(struct call *c, struct vtab *t, const struct rebuild *r){
  if( r->is_begun ) return set(c, t, "rebuild", r->next);
  return store_run(c, t, "DELETE FROM $config WHERE k='rebuild'");
}

int config_put(struct call *c, struct vtab *t){
  const struct bert *b;
  struct model *m;
  set(c, t, "version", VERSION);
  put_columns(c, t);
  if( t->definition.n_bodies==0 ) return c->err.rc;
  store_run(c, t, "DELETE FROM $config WHERE k IN ('picture', 'picture_s', 'code', 'code_s')");
  m = call_model(c);
  if( m==NULL ) return c->err.rc;
  set(c, t, "parts", 1);
  set(c, t, "model", m->config.fingerprint);
  b = table_encoder(c, t);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( b ) set(c, t, "encoder", encoder_fingerprint(b));
  return set(c, t, "width", b ? b->config.shape.d : model_s(m));
}
