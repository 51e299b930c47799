/*
** vtab_store.c -- the shadow tables of a virtual table `t`, and the statements on them.
**
**   t_config(k TEXT PRIMARY KEY, v) WITHOUT ROWID
**       version   1
**       columns   as declared to SQLite, without t's name: shadow tables of another definition are known to be so
**       model     fingerprint of text's model, which encoded the texts in t_rows; absent where vectors are foreign
**       picture, code   fingerprints of these kinds' models; absent until t_rows holds a latent of the kind. So a new model of one kind stands in the way of
**                 what is of that kind alone, until 'rebuild' encodes all rows again
**       width     numbers of a vector of the index: the model's s, or the width that the definition asks for
**   t_rows(id INTEGER PRIMARY KEY, sum INTEGER, latent BLOB, f0, f1, ... [, content])
**       one row a row. latent NULL: there is no content, or it is still to be encoded. sum: of all the others, see
**       vtab_row.c. f0...: filter columns. content: only where it is the table's own; last, so that long texts do not stand before what
**       a search reads.
**   t_pending(id INTEGER PRIMARY KEY, old BLOB, content)
**       rows that the index has not seen as they are now: old: the latent under which it knows the row (NULL: it does not know it); content: what to
**       encode, where the content is another table's (that table may have moved on by the time). No committed transaction leaves rows here.
**   t_cells, t_codes: the index's own, see index.h
**
** The statements are written with names for what differs between tables: $rows is "main"."t_rows", $filters is ", f0, f1".
*/
#include "vtab.h"
#include <string.h>

#define VERSION 1

static const char *const STATEMENTS[N_VTAB_STATEMENTS] = {
  [CONFIG_GET]   = "SELECT v FROM $config WHERE k=?1",
  [CONFIG_SET]   = "REPLACE INTO $config VALUES(?1, ?2)",
  [ROW_GET]      = "SELECT id, sum, latent$filters$content FROM $rows WHERE id=?1",
  [ROW_LATENT]   = "SELECT id, sum, latent FROM $rows WHERE id=?1",
  [ROW_PUT]      = "REPLACE INTO $rows(id, sum, latent$filters$content) VALUES(?, ?, ?$marks)",
  [ROW_DELETE]   = "DELETE FROM $rows WHERE id=?1",
  [ROW_ENCODED]  = "UPDATE $rows SET sum=(sum & -4294967296) | ?2, latent=?3 WHERE id=?1",
  [ROW_MEND]     = "UPDATE $rows SET sum=?2, latent=?3 WHERE id=?1",
  [ROW_LAST]     = "SELECT max(id) FROM $rows",
  [PENDING_ADD]  = ("INSERT INTO $pending(id, old, content) VALUES(?1, ?2, ?3)"
                   " ON CONFLICT(id) DO UPDATE SET content=CASE WHEN ?4 THEN excluded.content ELSE content END"),
  [PENDING_LIST] = "SELECT id, old, content FROM $pending ORDER BY id LIMIT ?1",
  [PENDING_DONE] = "DELETE FROM $pending WHERE id<=?1",
  [CONTENT_GET]  = "SELECT $their_body FROM $theirs WHERE $their_id=?1",
  [TICK]         = "SELECT 1",
};
static const char *const LOOKS[N_LOOKS] = {
  [LOOK_ROW]  = "SELECT id, sum, latent$filters$content FROM $rows WHERE id=?1",
  [LOOK_UP]   = "SELECT id, sum, latent$filters$content FROM $rows WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
  [LOOK_DOWN] = "SELECT id, sum, latent$filters$content FROM $rows WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC",
};

/* ---- Statements: preparing and stepping ---- */

/* Notes what SQLite said. Damage of the database is damage of this table. */
static int failed(struct call *c, int rc){
  if( rc==SQLITE_NOMEM || rc==SQLITE_IOERR_NOMEM ) return fail_nomem(&c->err);
  if( (rc & 0xff)==SQLITE_CORRUPT ) rc = SQLITE_CORRUPT_VTAB;
  return fail(&c->err, rc, "%s", sqlite3_errmsg(c->connection->db));
}

int vtab_damaged(struct call *c){
  if( c->err.rc==SQLITE_CORRUPT ) c->err.rc = SQLITE_CORRUPT_VTAB;
  return c->err.rc;
}

static void put_shadow(struct buf *out, const struct vtab *t, const char *ending){
  put_quoted(out, t->schema);
  buf_char(out, '.');
  buf_char(out, '"');
  for(const char *p=t->name; *p; p++){
    if( *p=='"' ) buf_char(out, '"');
    buf_char(out, *p);
  }
  buf_printf(out, "_%s\"", ending);
}
/* "rowid" in quotes would be a string where a view has no such column. */
static void put_their_id(struct buf *out, const struct definition *d){
  if( sqlite3_stricmp(d->content_rowid, "rowid")==0 ) buf_str(out, "rowid");
  else put_quoted(out, d->content_rowid);
}

static void put_variable(struct buf *out, const struct vtab *t, const char *name){
  const struct definition *d = &t->definition;
  int owns = d->body && !d->content;

  if( strcmp(name, "config")==0 || strcmp(name, "rows")==0 || strcmp(name, "pending")==0 ){
    put_shadow(out, t, name);
  }else if( strcmp(name, "filters")==0 ){
    for(int i=0; i<d->n_filters; i++) buf_printf(out, ", f%d", i);
  }else if( strcmp(name, "content")==0 ){
    buf_str(out, owns ? ", content" : "");
  }else if( strcmp(name, "marks")==0 ){
    for(int i=0; i<d->n_filters + owns; i++) buf_str(out, ", ?");
  }else if( strcmp(name, "their_id")==0 ){
    put_their_id(out, d);
  }else if( strcmp(name, "their_body")==0 ){
    put_quoted(out, d->body);
  }else if( strcmp(name, "their_filters")==0 ){
    for(int i=0; i<d->n_filters; i++){
      buf_str(out, ", ");
      put_quoted(out, d->filters[i].name);
    }
  }else{                        /* theirs */
    put_quoted(out, t->schema);
    buf_char(out, '.');
    put_quoted(out, t->content_now ? t->content_now : d->content);
  }
}

static void expand(struct buf *out, const struct vtab *t, const char *text){
  char name[16];
  while( *text ){
    size_t n = 0;
    if( *text!='$' ){
      buf_char(out, *text++);
      continue;
    }
    for(text++; (*text>='a' && *text<='z') || *text=='_'; text++) if( n<sizeof(name)-1 ) name[n++] = *text;
    name[n] = 0;
    put_variable(out, t, name);
  }
}

/* flags: SQLITE_PREPARE_NO_VTAB on the shadow tables: whoever has put another table in their place gets no further. */
static sqlite3_stmt *prepare(struct call *c, const struct vtab *t, const char *text, unsigned flags){
  struct buf sql = { 0 };
  sqlite3_stmt *s = NULL;
  int rc;

  expand(&sql, t, text);
  buf_text(&sql);
  if( sql.rc==SQLITE_OK ) rc = sqlite3_prepare_v3(t->db, sql.data, -1, flags, &s, NULL);
  else rc = SQLITE_NOMEM;
  buf_release(&sql);
  if( rc==SQLITE_ERROR && (flags & SQLITE_PREPARE_NO_VTAB) ) rc = SQLITE_CORRUPT_VTAB;  /* a shadow table is missing, or is another */
  if( rc!=SQLITE_OK ) failed(c, rc);
  return s;
}

sqlite3_stmt *store_prepare(struct call *c, struct vtab *t, const char *text){
  return prepare(c, t, text, 0);
}

/* What the content table is called now: its triggers are on it, and ALTER TABLE has renamed that for us. */
static int find_content(struct call *c, struct vtab *t){
  sqlite3_stmt *s = NULL;
  char *sql;
  int rc;

  if( t->content_now || !t->definition.has_triggers ) return SQLITE_OK;
  sql = sqlite3_mprintf("SELECT tbl_name FROM \"%w\".sqlite_schema WHERE type='trigger' AND name='%q_insert'", t->schema, t->name);
  rc = sql ? sqlite3_prepare_v2(t->db, sql, -1, &s, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  if( rc!=SQLITE_OK ) return failed(c, rc);
  if( store_step(c, s) ){
    const char *name = (const char*)sqlite3_column_text(s, 0);
    size_t n = name ? strlen(name) + 1 : 0;
    t->content_now = name ? arena_get(&t->arena, n) : NULL;
    if( t->content_now ) memcpy(t->content_now, name, n);
    else fail_nomem(&c->err);
  }
  sqlite3_finalize(s);
  return c->err.rc;
}

sqlite3_stmt *store_statement(struct call *c, struct vtab *t, enum vtab_statement which){
  sqlite3_stmt *s = t->statements[which];

  if( c->err.rc!=SQLITE_OK ) return NULL;
  if( s && sqlite3_stmt_busy(s) ){      /* a content view that reads the table it is the content of */
    fail(&c->err, SQLITE_ERROR, "the table is asked for while it is being read");
    return NULL;
  }
  if( s ) return s;
  if( which==CONTENT_GET && find_content(c, t)!=SQLITE_OK ) return NULL;
  s = prepare(c, t, STATEMENTS[which], SQLITE_PREPARE_PERSISTENT | (which==CONTENT_GET ? 0 : SQLITE_PREPARE_NO_VTAB));
  t->statements[which] = s;
  return s;
}

sqlite3_stmt *store_look(struct call *c, struct vtab *t, enum look which){
  sqlite3_stmt *s = t->looks[which];

  t->looks[which] = NULL;
  return s ? s : prepare(c, t, LOOKS[which], SQLITE_PREPARE_PERSISTENT | SQLITE_PREPARE_NO_VTAB);
}
void store_look_back(struct vtab *t, enum look which, sqlite3_stmt *s){
  if( t->looks[which] || !s ){
    sqlite3_finalize(s);
  }else{
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    t->looks[which] = s;
  }
}

int store_step(struct call *c, sqlite3_stmt *s){
  int rc = c->err.rc==SQLITE_OK ? sqlite3_step(s) : SQLITE_DONE;
  if( rc!=SQLITE_ROW && rc!=SQLITE_DONE ) failed(c, rc);
  return rc==SQLITE_ROW;
}

int store_do(struct call *c, sqlite3_stmt *s){
  while( store_step(c, s) );
  sqlite3_reset(s);
  sqlite3_clear_bindings(s);
  return c->err.rc;
}

int store_run(struct call *c, struct vtab *t, const char *text){
  sqlite3_stmt *s = c->err.rc==SQLITE_OK ? prepare(c, t, text, 0) : NULL;
  if( s ) store_do(c, s);
  sqlite3_finalize(s);
  return c->err.rc;
}

void store_idle(struct vtab *t){
  for(int i=0; i<N_VTAB_STATEMENTS; i++){
    sqlite3_finalize(t->statements[i]);
    t->statements[i] = NULL;
  }
  for(int i=0; i<N_LOOKS; i++){
    sqlite3_finalize(t->looks[i]);
    t->looks[i] = NULL;
  }
  if( t->index ) index_idle(t->index);
}

/* ---- t_config ---- */

static int config_get(struct call *c, struct vtab *t, const char *key, sqlite3_int64 *x){
  sqlite3_stmt *s = store_statement(c, t, CONFIG_GET);

  *x = -1;
  if( !s ) return c->err.rc;
  sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
  if( store_step(c, s) && sqlite3_column_type(s, 0)==SQLITE_INTEGER ) *x = sqlite3_column_int64(s, 0);
  store_do(c, s);
  return c->err.rc;
}

static int config_set(struct call *c, struct vtab *t, const char *key, sqlite3_int64 x){
  sqlite3_stmt *s = store_statement(c, t, CONFIG_SET);

  if( !s ) return c->err.rc;
  sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
  sqlite3_bind_int64(s, 2, x);
  return store_do(c, s);
}

/* The definition as t_config keeps it. */
static void describe_columns(struct buf *out, const struct vtab *t){
  definition_columns(out, &t->definition, "");
  buf_str(out, t->definition.content ? ", content elsewhere" : "");
}

static int columns_put(struct call *c, struct vtab *t){
  sqlite3_stmt *s = store_statement(c, t, CONFIG_SET);
  struct buf text = { 0 };

  if( !s ) return c->err.rc;
  describe_columns(&text, t);
  if( text.rc!=SQLITE_OK ) fail_nomem(&c->err);
  sqlite3_bind_text(s, 1, "columns", -1, SQLITE_STATIC);
  if( sqlite3_bind_text(s, 2, text.data, (int)text.n, SQLITE_TRANSIENT)!=SQLITE_OK ) fail_nomem(&c->err);
  store_do(c, s);
  buf_release(&text);
  return c->err.rc;
}

/* The shadow tables were made by this version, for a table like this one. */
static int columns_check(struct call *c, struct vtab *t){
  sqlite3_stmt *s;
  struct buf text = { 0 };
  sqlite3_int64 version;
  int same = 0;

  if( config_get(c, t, "version", &version)!=SQLITE_OK ) return c->err.rc;
  if( version>VERSION ) return fail(&c->err, SQLITE_ERROR, "made by a newer version of the extension (format %lld, this one knows %d)", version, VERSION);
  if( version!=VERSION ) return fail(&c->err, SQLITE_CORRUPT_VTAB, "no version in the shadow table %s_config", t->name);
  if( (s = store_statement(c, t, CONFIG_GET))==NULL ) return c->err.rc;
  describe_columns(&text, t);
  if( text.rc!=SQLITE_OK ) fail_nomem(&c->err);
  sqlite3_bind_text(s, 1, "columns", -1, SQLITE_STATIC);
  if( store_step(c, s) ){
    const void *stored = sqlite3_column_text(s, 0);
    same = stored && (size_t)sqlite3_column_bytes(s, 0)==text.n && memcmp(stored, text.data, text.n)==0;
    if( !stored && sqlite3_column_type(s, 0)==SQLITE_TEXT ) fail_nomem(&c->err);
  }
  store_do(c, s);
  buf_release(&text);
  if( c->err.rc==SQLITE_OK && !same ) fail(&c->err, SQLITE_CORRUPT_VTAB, "the shadow tables belong to a table with other columns");
  return c->err.rc;
}

/* ---- A table at work ---- */

static int fetch(void *arg, int64_t rowid, float *vector, int *found, struct err *e){
  struct vtab *t = arg;
  struct call c = { .connection = t->binding.connection };      /* err and connection are all that is used */
  sqlite3_stmt *s;
  const void *latent;
  int n;

  *found = 0;
  if( (s = store_statement(&c, t, ROW_LATENT))!=NULL ){
    sqlite3_bind_int64(s, 1, rowid);
    if( store_step(&c, s) && look_latent(&c, t, s, &latent, &n)==SQLITE_OK && latent ){
      if( vtab_vector(t, vector, latent, (size_t)n, "a stored latent", &c.err)==SQLITE_OK ) *found = 1;
      else if( c.err.rc==SQLITE_ERROR ) c.err.rc = SQLITE_CORRUPT_VTAB;
    }
    sqlite3_reset(s);
  }
  return c.err.rc==SQLITE_OK ? SQLITE_OK : fail(e, c.err.rc, "%s", c.err.text);
}

static int open_index(struct call *c, struct vtab *t, int width){
  struct index_shape shape = { .width = width, .n_keys = t->definition.n_filters, .cell_rows = t->definition.cell_rows };
  struct source source = { .arg = t, .fetch = fetch };

  if( t->index && t->width==width ) return SQLITE_OK;
  index_close(t->index);
  t->index = NULL;
  t->width = 0;
  if( index_open(&t->index, t->db, t->schema, t->name, &shape, &source, &c->err)==SQLITE_OK ) t->width = width;
  return vtab_damaged(c);
}

static int find_encoding(struct call *c, struct vtab *t){
  sqlite3_stmt *s = NULL;
  int rc = sqlite3_prepare_v2(t->db, "PRAGMA encoding", -1, &s, NULL);

  if( rc!=SQLITE_OK ) return failed(c, rc);
  if( store_step(c, s) ){
    const char *name = (const char*)sqlite3_column_text(s, 0);
    if( !name ) fail_nomem(&c->err);
    else t->is_utf8 = strcmp(name, "UTF-8")==0;
  }
  sqlite3_finalize(s);
  return c->err.rc;
}

static int check_model(struct call *c, struct vtab *t){
  const struct model *m = call_model(c);

  if( m==NULL ) return c->err.rc;
  if( m->config.fingerprint==t->fingerprint ) return SQLITE_OK;
  return fail(&c->err, SQLITE_ERROR, "the latents are of model %08x, the present model is %08x (%.120s): INSERT INTO \"%.40s\"(\"%.40s\") VALUES('rebuild') "
              "encodes the content again, latent_load(path) takes the weights that made them", t->fingerprint, m->config.fingerprint, m->path,
              t->name, t->name);
}

int vtab_ready(struct call *c, struct vtab *t, int needs_model){
  sqlite3_int64 model = 0, width = t->definition.width;

  if( t->width==0 && (find_encoding(c, t)!=SQLITE_OK || columns_check(c, t)!=SQLITE_OK) ) return c->err.rc;
  if( t->definition.body ){
    if( config_get(c, t, "model", &model)!=SQLITE_OK || config_get(c, t, "width", &width)!=SQLITE_OK ) return c->err.rc;
    if( model<0 || model>UINT32_MAX || width<1 || width>INDEX_WIDTH_MOST ){
      return fail(&c->err, SQLITE_CORRUPT_VTAB, "no model or no width in the shadow table %s_config", t->name);
    }
    t->fingerprint = (uint32_t)model;
    if( needs_model && check_model(c, t)!=SQLITE_OK ) return c->err.rc;
  }
  return open_index(c, t, (int)width);
}

int vtab_kind(struct call *c, struct vtab *t, const struct model *m, int is_new){
  const char *name = kind_name(m->config.kind);
  sqlite3_int64 own;

  if( m->config.shape.s!=t->width ){
    return fail(&c->err, SQLITE_ERROR, "the present model of kind %s has an s of width %d, the table holds width %d", name, m->config.shape.s, t->width);
  }
  if( m->config.kind==KIND_TEXT || config_get(c, t, name, &own)!=SQLITE_OK || own==m->config.fingerprint ) return c->err.rc;
  if( own<0 ) return is_new ? config_set(c, t, name, m->config.fingerprint) : SQLITE_OK;
  return fail(&c->err, SQLITE_ERROR, "the latents of kind %s are of model %08x, the present model is %08x (%.120s): INSERT INTO \"%.40s\"(\"%.40s\") VALUES('rebuild') "
              "encodes the content again, latent_load(path) takes the weights that made them", name, (unsigned)own, m->config.fingerprint, m->path, t->name, t->name);
}

int store_config_put(struct call *c, struct vtab *t){
  struct model *m;

  if( config_set(c, t, "version", VERSION)!=SQLITE_OK || columns_put(c, t)!=SQLITE_OK || !t->definition.body ) return c->err.rc;
  if( store_run(c, t, "DELETE FROM $config WHERE k IN ('picture', 'code')")!=SQLITE_OK ) return c->err.rc;
  m = call_model(c);
  if( m==NULL || config_set(c, t, "model", m->config.fingerprint)!=SQLITE_OK ) return c->err.rc;
  return config_set(c, t, "width", m->config.shape.s);
}

int store_create(struct call *c, struct vtab *t){
  store_run(c, t, "CREATE TABLE $config(k TEXT PRIMARY KEY, v) WITHOUT ROWID");
  store_run(c, t, "CREATE TABLE $rows(id INTEGER PRIMARY KEY, sum INTEGER, latent BLOB$filters$content)");
  store_run(c, t, "CREATE TABLE $pending(id INTEGER PRIMARY KEY, old BLOB, content)");
  if( c->err.rc==SQLITE_OK ) index_create(t->db, t->schema, t->name, &c->err);
  return vtab_damaged(c)==SQLITE_OK ? store_config_put(c, t) : c->err.rc;
}

int store_drop(struct call *c, struct vtab *t){
  store_idle(t);
  store_run(c, t, "DROP TABLE IF EXISTS $config");
  store_run(c, t, "DROP TABLE IF EXISTS $rows");
  store_run(c, t, "DROP TABLE IF EXISTS $pending");
  if( c->err.rc==SQLITE_OK ) index_drop(t->db, t->schema, t->name, &c->err);
  return vtab_damaged(c);
}

int store_rename(struct call *c, struct vtab *t, const char *name){
  static const char *const tables[] = { "config", "rows", "pending" };

  store_idle(t);
  for(int i=0; i<3 && c->err.rc==SQLITE_OK; i++){
    char *sql = sqlite3_mprintf("ALTER TABLE \"%w\".\"%w_%s\" RENAME TO \"%w_%s\"", t->schema, t->name, tables[i], name, tables[i]);
    int rc = sql ? sqlite3_exec(t->db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
    if( rc!=SQLITE_OK ) failed(c, rc);
  }
  return c->err.rc==SQLITE_OK && index_rename(t->index, name, &c->err)!=SQLITE_OK ? vtab_damaged(c) : c->err.rc;
}
