/*
** vtab_store.c -- the shadow tables of a virtual table `t`, and all statements of the virtual
** table.
**
**   t_config(k TEXT PRIMARY KEY, v) WITHOUT ROWID
**       version   1
**       columns   as declared to SQLite, without t's name: so shadow tables that belong to another
**                 definition are found out
**       model     fingerprint of the text model, which encoded the texts in t_rows; absent where
**                 vectors are foreign
**       picture, code   fingerprints of these kinds' models; absent until t_rows holds a latent of
**                 the kind. So a new model of one kind stands in the way of rows of that kind
**                 alone, until 'rebuild' encodes all rows again
**       width     numbers of a vector of the index: the model's s, or the width in the definition
**   t_rows(id INTEGER PRIMARY KEY, sum INTEGER, latent BLOB, f0, f1, ... [, content])
**       sum       of all the others, see vtab_row.c
**       latent    NULL: there is no content, or it is still to be encoded
**       f0...     the filter columns
**       content   only where it is the table's own. It is last, so that long texts do not stand
**                 before what a search reads
**   t_pending(id INTEGER PRIMARY KEY, old BLOB, content)
**       Rows that the index has not seen as they are now. No committed transaction leaves rows
**       here.
**       old       the latent under which the index knows the row; NULL: it does not know it
**       content   what to encode, where the content is another table's (which may have changed once
**                 more by the time it is encoded)
**   t_cells, t_codes: the index's own, see index.h
**
** All SQL on these tables and on the content table is text with $names for what differs from table
** to table. For a table t with the filters year and lang, whose content is in "notes":
**
**   $schema                         "main"
**   $config $rows $pending          "main"."t_config", ...
**   $filters                        , f0, f1
**   $content                        nothing; where the content is the table's own: , content
**   $filter_marks $content_mark     , ? for each of the two above
**   $theirs $their_name             "main"."notes", "notes"
**   $their_id                       "id"; or rowid, without quotes
**   $id $body                       "id", "body"
**   $their_filters                  , "year", "lang"
**   $from_filters                   , T."year", T."lang"
**   $new_filters                    , new."year", new."lang"
**   $set_filters                    , "year"=new."year", "lang"=new."lang"
**   $or_filters_differ              OR old."year" COLLATE BINARY IS NOT new."year" OR ...
**   $and_id_differs                 nothing; without filters: AND old."id" IS NOT new."id"
**   $t                              "t"
**   $t_config $t_rows $t_pending    "t_config", ...
**   $t_insert $t_delete $t_update   "main"."t_insert", ...: its triggers
**
** A column of the content table is always written with its table (T."body", new."body"): a bare
** "body" that names no column is a string to SQLite, and every row would read 'body'.
**
** The last three lines can be asked for under the name that the table will have: store_run_as().
*/
#include "vtab.h"
#include <assert.h>
#include <string.h>

#define ROW_COLUMNS "id, sum, latent$filters$content"

static const char *const STATEMENTS[N_VTAB_STATEMENTS] = {
  [CONFIG_GET]   = "SELECT v FROM $config WHERE k=?1",
  [CONFIG_SET]   = "REPLACE INTO $config VALUES(?1, ?2)",
  [ROW_GET]      = "SELECT " ROW_COLUMNS " FROM $rows WHERE id=?1",
  [ROW_LATENT]   = "SELECT id, sum, latent FROM $rows WHERE id=?1",
  [ROW_PUT]      = ("REPLACE INTO $rows(" ROW_COLUMNS ")"
                    " VALUES(?, ?, ?$filter_marks$content_mark)"),
  [ROW_DELETE]   = "DELETE FROM $rows WHERE id=?1",
  [ROW_ENCODED]  = "UPDATE $rows SET sum=(sum & -4294967296) | ?2, latent=?3 WHERE id=?1",
  [ROW_MEND]     = "UPDATE $rows SET sum=?2, latent=?3 WHERE id=?1",
  [ROW_LAST]     = "SELECT max(id) FROM $rows",
  [PENDING_ADD]  = ("INSERT INTO $pending(id, old, content) VALUES(?1, ?2, ?3)"
                    " ON CONFLICT(id) DO UPDATE"
                    " SET content=CASE WHEN ?4 THEN excluded.content ELSE content END"),
  [PENDING_LIST] = "SELECT id, old, content FROM $pending ORDER BY id LIMIT ?1",
  [PENDING_DONE] = "DELETE FROM $pending WHERE id<=?1",
  [CONTENT_GET]  = "SELECT T.$body FROM $theirs AS T WHERE T.$their_id=?1",
};
static const char *const ROWS[N_ROWS_ORDERS] = {
  [ROWS_ONE]  = "SELECT " ROW_COLUMNS " FROM $rows WHERE id=?1",
  [ROWS_UP]   = "SELECT " ROW_COLUMNS " FROM $rows WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
  [ROWS_DOWN] = "SELECT " ROW_COLUMNS " FROM $rows WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC",
};

/* ---- $names ---- */

static const struct variable {
  const char *name;
  enum {
    SCHEMA,                     /* "main" */
    SHADOW,                     /* "main"."t" with the text at its end */
    TRIGGER,                    /* the same, under the name that is asked for */
    NAME,                       /* "t" with the text at its end, under the name that is asked for */
    THEIRS, THEIR_NAME, THEIR_ID, ID, BODY,
    EACH_FILTER,                /* the text for each; in it # is its number, @ its quoted name */
    OWN_CONTENT,                /* the text, where the content is the table's own */
    NO_FILTERS                  /* the text, expanded, where there are no filters */
  } kind;
  const char *text;
} VARIABLES[] = {
  { "schema",            SCHEMA,      "" },
  { "config",            SHADOW,      "_config" },
  { "rows",              SHADOW,      "_rows" },
  { "pending",           SHADOW,      "_pending" },
  { "filters",           EACH_FILTER, ", f#" },
  { "filter_marks",      EACH_FILTER, ", ?" },
  { "content",           OWN_CONTENT, ", content" },
  { "content_mark",      OWN_CONTENT, ", ?" },
  { "theirs",            THEIRS,      "" },
  { "their_name",        THEIR_NAME,  "" },
  { "their_id",          THEIR_ID,    "" },
  { "id",                ID,          "" },
  { "body",              BODY,        "" },
  { "their_filters",     EACH_FILTER, ", @" },
  { "from_filters",      EACH_FILTER, ", T.@" },
  { "new_filters",       EACH_FILTER, ", new.@" },
  { "set_filters",       EACH_FILTER, ", @=new.@" },
  { "or_filters_differ", EACH_FILTER, " OR old.@ COLLATE BINARY IS NOT new.@" },
  { "and_id_differs",    NO_FILTERS,  " AND old.$id IS NOT new.$id" },
  { "t",                 NAME,        "" },
  { "t_config",          NAME,        "_config" },
  { "t_rows",            NAME,        "_rows" },
  { "t_pending",         NAME,        "_pending" },
  { "t_insert",          TRIGGER,     "_insert" },
  { "t_delete",          TRIGGER,     "_delete" },
  { "t_update",          TRIGGER,     "_update" },
};
enum { N_VARIABLES = sizeof(VARIABLES)/sizeof(VARIABLES[0]) };

static void put_in_schema(struct buf *out, const struct vtab *t, const char *name,
                          const char *ending){
  put_quoted(out, t->schema);
  buf_char(out, '.');
  put_quoted_with(out, name, ending);
}

static void put_each_filter(struct buf *out, const struct definition *d, const char *pattern){
  for(int i=0; i<d->n_filters; i++){
    for(const char *p=pattern; *p; p++){
      if( *p=='#' ) buf_printf(out, "%d", i);
      else if( *p=='@' ) put_quoted(out, d->filters[i].name);
      else buf_char(out, *p);
    }
  }
}

static void expand(struct buf *out, const struct vtab *t, const char *name, const char *text);

/* name: what the table is, or will be, called. */
static void put_variable(struct buf *out, const struct vtab *t, const char *name,
                         const struct variable *v){
  const struct definition *d = &t->definition;
  const char *theirs = t->content_now ? t->content_now : d->content;
  switch( v->kind ){
    case SCHEMA:      put_quoted(out, t->schema); break;
    case SHADOW:      put_in_schema(out, t, t->name, v->text); break;
    case TRIGGER:     put_in_schema(out, t, name, v->text); break;
    case NAME:        put_quoted_with(out, name, v->text); break;
    case THEIRS:      put_in_schema(out, t, theirs, ""); break;
    case THEIR_NAME:  put_quoted(out, theirs); break;
    case ID:          put_quoted(out, d->content_rowid); break;
    case BODY:        put_quoted(out, d->body); break;
    case EACH_FILTER: put_each_filter(out, d, v->text); break;
    case OWN_CONTENT: if( owns_content(d) ) buf_str(out, v->text); break;
    case NO_FILTERS:  if( d->n_filters==0 ) expand(out, t, name, v->text); break;
    case THEIR_ID:      /* "rowid" in quotes would be a string where a view has no such column */
      if( sqlite3_stricmp(d->content_rowid, "rowid")==0 ) buf_str(out, "rowid");
      else put_quoted(out, d->content_rowid);
      break;
  }
}

static const struct variable *find_variable(const char *name, size_t n){
  for(int i=0; i<N_VARIABLES; i++){
    const struct variable *v = &VARIABLES[i];
    if( strlen(v->name)==n && memcmp(v->name, name, n)==0 ) return v;
  }
  return NULL;
}

static void expand(struct buf *out, const struct vtab *t, const char *name, const char *text){
  while( *text ){
    const struct variable *v;
    size_t n = 0;
    if( *text!='$' ){
      buf_char(out, *text++);
      continue;
    }
    text++;
    while( (text[n]>='a' && text[n]<='z') || text[n]=='_' ) n++;
    v = find_variable(text, n);
    assert( v );
    put_variable(out, t, name, v);
    text += n;
  }
}

/* ---- Preparing and stepping ---- */

/* Notes what SQLite said. Damage of the database is damage of this table. */
static int fail_sqlite(struct call *c, int rc){
  if( rc==SQLITE_NOMEM || rc==SQLITE_IOERR_NOMEM ) return fail_nomem(&c->err);
  if( (rc & 0xff)==SQLITE_CORRUPT ) rc = SQLITE_CORRUPT_VTAB;
  return fail(&c->err, rc, "%s", sqlite3_errmsg(c->connection->db));
}

/* flags: SQLITE_PREPARE_NO_VTAB where only shadow tables are asked for: then nobody can put a
** virtual table in their place. */
static sqlite3_stmt *prepare(struct call *c, const struct vtab *t, const char *name,
                             const char *text, unsigned flags){
  struct buf sql = { 0 };
  sqlite3_stmt *s = NULL;
  int rc = SQLITE_NOMEM;
  if( c->err.rc!=SQLITE_OK ) return NULL;
  expand(&sql, t, name, text);
  buf_text(&sql);
  if( sql.rc==SQLITE_OK ) rc = sqlite3_prepare_v3(t->db, sql.data, -1, flags, &s, NULL);
  buf_release(&sql);
  /* A shadow table is missing, or it is another. */
  if( rc==SQLITE_ERROR && (flags & SQLITE_PREPARE_NO_VTAB) ) rc = SQLITE_CORRUPT_VTAB;
  if( rc!=SQLITE_OK ) fail_sqlite(c, rc);
  return s;
}

sqlite3_stmt *store_prepare(struct call *c, struct vtab *t, const char *text){
  return prepare(c, t, t->name, text, 0);
}

int store_step(struct call *c, sqlite3_stmt *s){
  int rc;
  if( s==NULL || c->err.rc!=SQLITE_OK ) return 0;
  rc = sqlite3_step(s);
  if( rc!=SQLITE_ROW && rc!=SQLITE_DONE ) fail_sqlite(c, rc);
  return rc==SQLITE_ROW;
}

int store_do(struct call *c, sqlite3_stmt *s){
  while( store_step(c, s) );
  if( s ){
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
  }
  return c->err.rc;
}

int store_run_as(struct call *c, struct vtab *t, const char *name, const char *text){
  sqlite3_stmt *s = prepare(c, t, name, text, 0);
  store_do(c, s);
  sqlite3_finalize(s);
  return c->err.rc;
}

int store_run(struct call *c, struct vtab *t, const char *text){
  return store_run_as(c, t, t->name, text);
}

/* ---- Statements that are kept ---- */

/* What the content table is called now. Our triggers are on it, and ALTER TABLE has put its new
** name into them. */
static int find_content(struct call *c, struct vtab *t){
  sqlite3_stmt *s;
  if( t->content_now || !t->definition.has_triggers ) return c->err.rc;
  s = store_prepare(c, t, "SELECT tbl_name FROM $schema.sqlite_schema"
                    " WHERE type='trigger' AND name=?1 || '_insert'");
  if( s && sqlite3_bind_text(s, 1, t->name, -1, SQLITE_STATIC)!=SQLITE_OK ) fail_nomem(&c->err);
  if( store_step(c, s) ){
    const char *name = (const char *)sqlite3_column_text(s, 0);
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
  unsigned flags = SQLITE_PREPARE_PERSISTENT;
  assert( which<N_VTAB_STATEMENTS );
  if( c->err.rc!=SQLITE_OK ) return NULL;
  if( s && sqlite3_stmt_busy(s) ){      /* the content is a view that reads this table */
    fail(&c->err, SQLITE_ERROR, "the table is asked for while it is being read");
    return NULL;
  }
  if( s ) return s;
  if( which==CONTENT_GET ) find_content(c, t);
  else flags |= SQLITE_PREPARE_NO_VTAB;
  t->statements[which] = prepare(c, t, t->name, STATEMENTS[which], flags);
  return t->statements[which];
}

sqlite3_stmt *store_find(struct call *c, struct vtab *t, enum vtab_statement which, int64_t id){
  sqlite3_stmt *s = store_statement(c, t, which);
  if( s==NULL ) return NULL;
  sqlite3_bind_int64(s, 1, id);
  if( store_step(c, s) ) return s;
  sqlite3_reset(s);
  return NULL;
}

int store_do_at(struct call *c, struct vtab *t, enum vtab_statement which, int64_t id){
  sqlite3_stmt *s = store_statement(c, t, which);
  if( s ) sqlite3_bind_int64(s, 1, id);
  return store_do(c, s);
}

sqlite3_stmt *store_lend(struct call *c, struct vtab *t, enum rows_order order){
  sqlite3_stmt *s = t->rows[order];
  if( c->err.rc!=SQLITE_OK ) return NULL;
  t->rows[order] = NULL;
  if( s ) return s;
  return prepare(c, t, t->name, ROWS[order], SQLITE_PREPARE_PERSISTENT | SQLITE_PREPARE_NO_VTAB);
}

sqlite3_stmt *store_range(struct call *c, struct vtab *t, enum rows_order order, int64_t low,
                          int64_t high){
  sqlite3_stmt *s = store_lend(c, t, order);
  if( s==NULL ) return NULL;
  sqlite3_bind_int64(s, 1, low);
  sqlite3_bind_int64(s, 2, high);
  return s;
}

void store_give_back(struct vtab *t, enum rows_order order, sqlite3_stmt *s){
  if( s==NULL ) return;
  if( t->rows[order] ){                 /* two cursors had one each */
    sqlite3_finalize(s);
    return;
  }
  sqlite3_reset(s);
  sqlite3_clear_bindings(s);
  t->rows[order] = s;
}

void store_idle(struct vtab *t){
  for(int i=0; i<N_VTAB_STATEMENTS; i++){
    sqlite3_finalize(t->statements[i]);
    t->statements[i] = NULL;
  }
  for(int i=0; i<N_ROWS_ORDERS; i++){
    sqlite3_finalize(t->rows[i]);
    t->rows[i] = NULL;
  }
  if( t->index ) index_idle(t->index);
}

/* ---- The shadow tables ---- */

int store_create(struct call *c, struct vtab *t){
  store_run(c, t, "CREATE TABLE $config(k TEXT PRIMARY KEY, v) WITHOUT ROWID");
  store_run(c, t, "CREATE TABLE $rows(id INTEGER PRIMARY KEY, sum INTEGER, latent BLOB"
            "$filters$content)");
  store_run(c, t, "CREATE TABLE $pending(id INTEGER PRIMARY KEY, old BLOB, content)");
  if( c->err.rc==SQLITE_OK ) index_create(t->db, t->schema, t->name, &c->err);
  return vtab_damaged(c);
}

int store_drop(struct call *c, struct vtab *t){
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  store_idle(t);
  store_run(c, t, "DROP TABLE IF EXISTS $config");
  store_run(c, t, "DROP TABLE IF EXISTS $rows");
  store_run(c, t, "DROP TABLE IF EXISTS $pending");
  if( c->err.rc==SQLITE_OK ) index_drop(t->db, t->schema, t->name, &c->err);
  return vtab_damaged(c);
}

int store_rename(struct call *c, struct vtab *t, const char *name){
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  store_idle(t);
  store_run_as(c, t, name, "ALTER TABLE $config RENAME TO $t_config");
  store_run_as(c, t, name, "ALTER TABLE $rows RENAME TO $t_rows");
  store_run_as(c, t, name, "ALTER TABLE $pending RENAME TO $t_pending");
  if( c->err.rc==SQLITE_OK ) index_rename(t->index, name, &c->err);
  return vtab_damaged(c);
}
