/*
** vtab_store.c -- the shadow tables of a virtual table `t`, and all statements of the virtual
** table.
**
**   t_config(k TEXT PRIMARY KEY, v) WITHOUT ROWID
**       version   2
**       columns   as declared to SQLite, without t's name: so shadow tables that belong to another
**                 definition are found out
**       model     fingerprint of the text model, which encoded the texts in t_rows; absent where
**                 vectors are foreign
**       picture, code   fingerprints of these kinds' models; absent until t_rows holds a latent of
**                 the kind. So a new model of one kind stands in the way of rows of that kind
**                 alone, until 'rebuild' encodes all rows again
**       picture_s, code_s   numbers of s in their latents; absent: width
**       rebuild   while a 'rebuild' in steps is under way: the rows from this id on that have no
**                 latent wait for it (vtab_rebuild.c)
**       encoder   with model='...': fingerprint of the sentence encoder
**       width     numbers of a vector of the index: the model's s, the encoder's width, or that of
**                 the definition
**       parts     1: a row of several segments has several vectors in the index (struct vectors in
**                 vtab.h); absent: one. 'rebuild' makes it 1
**   t_rows(id INTEGER PRIMARY KEY, sum INTEGER, latent BLOB, f0, f1, ...
**          [, content, content2, ... | hash])
**       sum       of all the others but hash, see vtab_row.c
**       latent    NULL: there is no content, it is still to be encoded, or it cannot be. With
**                 several content columns: one behind the other (struct vectors in vtab.h)
**       f0...     the filter columns
**       content...   where it is the table's own. These are last, so that long texts do not stand
**                 before what a search reads
**       hash      where the content is another table's: of all contents when they were encoded, see
**                 vtab_content.c
**   t_pending(id INTEGER PRIMARY KEY, old BLOB, how INTEGER [, old_group INTEGER])
**       Rows that the index has not seen as they are now. No committed transaction leaves rows
**       here.
**       old       the latent under which the index knows the row; NULL: it does not know it; of no
**                 bytes: it knows it, but t_rows had a damaged one
**       how       0   t_rows has the row as it is now
**                 1   the row is to be read from the content table; the index knows it as t_rows
**                     has it, and old is NULL
**                 2   both: t_rows has changed, and the row is to be read
**       old_group with partition columns: that of `old` (row_group())
**   t_cells, t_codes: the index's own, see index.h
**   t_words: FTS5's, with shadow tables of its own, see vtab_words.c
**
** All SQL on these tables and on the content table is text with $names for what differs from table
** to table. For a table t with the filters year and lang, whose content is in "notes":
**
**   $schema                         "main"
**   $config $rows $pending $words   "main"."t_config", ...
**   $words_content ...              "main"."t_words_content", ...: FTS5's
**   $filters                        , f0, f1
**   $content                        , hash; where the content is the table's own: , content,
**                                   content2 for two columns; without content: nothing
**   $filter_marks $content_marks    , ? for each of the two above
**   $own_texts                      , CASE typeof(content) ... for each own content: NULL of a BLOB
**   $words_columns $words_marks     , body, body2 and , ? for each content column: FTS5's
**   $words_stored $words_same       , c0, c1 and AND c0 IS ? AND c1 IS ?: those of its own table
**   $theirs $their_name             "main"."notes", "notes"
**   $their_id                       "id"; or rowid, without quotes
**   $old_group $old_group_value ... , old_group and what belongs to it, where there are partitions
**   $id                             "id"
**   $from_bodies                    , T."body"
**   $from_filters                   , T."year", T."lang"
**   $or_bodies_differ               OR old."body" COLLATE BINARY IS NOT new."body"
**   $or_filters_differ              the same of "year", "lang"
**   $t                              "t"
**   $t_config $t_rows ...           "t_config", ...
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
  [CONFIG_READY] = ("SELECT (SELECT v FROM $config WHERE k='model'),"
                    " (SELECT v FROM $config WHERE k='width'),"
                    " (SELECT v FROM $config WHERE k='parts'),"
                    " (SELECT v FROM $config WHERE k='picture_s'),"
                    " (SELECT v FROM $config WHERE k='code_s')"),
  [CONFIG_SET]   = "REPLACE INTO $config VALUES(?1, ?2)",
  [ROW_GET]      = "SELECT " ROW_COLUMNS " FROM $rows WHERE id=?1",
  [ROW_LATENT]   = "SELECT id, sum, latent FROM $rows WHERE id=?1",
  [ROW_FILTERS]  = "SELECT id$filters FROM $rows WHERE id=?1",
  [ROW_PUT]      = ("REPLACE INTO $rows(" ROW_COLUMNS ")"
                    " VALUES(?, ?, ?$filter_marks$content_marks)"),
  [ROW_DELETE]   = "DELETE FROM $rows WHERE id=?1",
  [ROW_ENCODED]  = "UPDATE $rows SET sum=(sum & -4294967296) | ?2, latent=?3 WHERE id=?1",
  [ROW_MEND]     = "UPDATE $rows SET sum=?2, latent=?3 WHERE id=?1",
  [ROW_LAST]     = "SELECT max(id) FROM $rows",
  [ROW_ANY]      = "SELECT 1 FROM $rows WHERE latent IS NOT NULL LIMIT 1",
  [PENDING_ADD]  = ("INSERT INTO $pending(id, old, how$old_group) VALUES(?1, ?2, ?3$group_mark)"
                    " ON CONFLICT(id) DO UPDATE"
                    " SET old=CASE how WHEN 1 THEN excluded.old ELSE old END$set_old_group,"
                    " how=CASE WHEN excluded.how=0 THEN 0 WHEN how=1 THEN 1 ELSE 2 END"),
  [PENDING_LIST] = "SELECT id, old, how$old_group FROM $pending ORDER BY id LIMIT ?1",
  [PENDING_READ] = ("SELECT P.id, P.old, P.how, T.$their_id$from_bodies$from_filters"
                    "$from_old_group"
                    " FROM $pending AS P LEFT JOIN $theirs AS T ON P.how>0 AND T.$their_id=P.id"
                    " ORDER BY P.id LIMIT ?1"),
  [PENDING_HAS]  = "SELECT 1 FROM $pending WHERE id=?1",
  [PENDING_DONE] = "DELETE FROM $pending WHERE id<=?1",
  [CONTENT_GET]  = SELECT_CONTENT " WHERE T.$their_id=?1",
  [CONTENT_HAS]  = "SELECT 1 FROM $theirs AS T WHERE T.$their_id=?1",
  [CONTENT_NAME] = ("SELECT tbl_name FROM $schema.sqlite_schema"
                    " WHERE type='trigger' AND name=?1 || '_insert'"),
  [WORDS_PUT]    = "REPLACE INTO $words(rowid$words_columns) VALUES(?$words_marks)",
  [WORDS_DELETE] = "DELETE FROM $words WHERE rowid=?1",
  [WORDS_SAME]   = "SELECT id=?1$words_same FROM $words_content WHERE id=?1",
  [SCHEMA_VERSION] = "PRAGMA $schema.schema_version",
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
    THEIRS, THEIR_NAME, THEIR_ID, ID,
    EACH_FILTER,                /* the text for each; in it # is its number, @ its quoted name */
    EACH_BODY,                  /* the same; in it % is nothing for the first, then 2, 3, ... */
    PARTITIONS,                 /* the text where there are partition columns */
    EACH_OWN_BODY,              /* as EACH_BODY where the content is the table's own */
    CONTENT                     /* the same; where it is another table's the text once, in which
                                ** content% is hash */
  } kind;
  const char *text;
} VARIABLES[] = {
  { "schema",            SCHEMA,      "" },
  { "config",            SHADOW,      "_config" },
  { "rows",              SHADOW,      "_rows" },
  { "pending",           SHADOW,      "_pending" },
  { "words",             SHADOW,      "_words" },
  { "words_config",      SHADOW,      "_words_config" },
  { "words_content",     SHADOW,      "_words_content" },
  { "words_data",        SHADOW,      "_words_data" },
  { "filters",           EACH_FILTER, ", f#" },
  { "filter_marks",      EACH_FILTER, ", ?" },
  { "content",           CONTENT,     ", content%" },
  { "content_marks",     CONTENT,     ", ?" },
  { "own_texts",         EACH_OWN_BODY, ", CASE typeof(content%) WHEN 'blob' THEN NULL"
                                        " ELSE content% END" },
  { "words_columns",     EACH_BODY,   ", body%" },
  { "words_marks",       EACH_BODY,   ", ?" },
  { "words_stored",      EACH_BODY,   ", c#" },
  { "words_same",        EACH_BODY,   " AND c# IS ?" },
  { "theirs",            THEIRS,      "" },
  { "their_name",        THEIR_NAME,  "" },
  { "their_id",          THEIR_ID,    "" },
  { "id",                ID,          "" },
  { "from_bodies",       EACH_BODY,   ", T.@" },
  { "from_filters",      EACH_FILTER, ", T.@" },
  { "or_bodies_differ",  EACH_BODY,   " OR old.@ COLLATE BINARY IS NOT new.@" },
  { "or_filters_differ", EACH_FILTER, " OR old.@ COLLATE BINARY IS NOT new.@" },
  { "old_group",         PARTITIONS,  ", old_group" },
  { "from_old_group",    PARTITIONS,  ", P.old_group" },
  { "group_mark",        PARTITIONS,  ", ?4" },
  { "set_old_group",     PARTITIONS,  ", old_group=CASE how WHEN 1 THEN excluded.old_group"
                                      " ELSE old_group END" },
  { "t",                 NAME,        "" },
  { "t_config",          NAME,        "_config" },
  { "t_rows",            NAME,        "_rows" },
  { "t_pending",         NAME,        "_pending" },
  { "t_words",           NAME,        "_words" },
  { "t_insert",          TRIGGER,     "_insert" },
  { "t_delete",          TRIGGER,     "_delete" },
  { "t_update",          TRIGGER,     "_update" },
};
enum { N_VARIABLES = sizeof(VARIABLES)/sizeof(VARIABLES[0]) };

const char *store_content_name(const struct vtab *t){
  return t->content_now ? t->content_now : t->definition.content;
}

static void put_in_schema(struct buf *out, const struct vtab *t, const char *name,
                          const char *ending){
  put_quoted(out, t->schema);
  buf_char(out, '.');
  put_quoted_with(out, name, ending);
}

/* Column i, with this name. */
static void put_pattern(struct buf *out, const char *pattern, int i, const char *name){
  for(const char *p=pattern; *p; p++){
    if( *p=='#' ) buf_printf(out, "%d", i);
    else if( *p=='@' ) put_quoted(out, name);
    else if( *p!='%' ) buf_char(out, *p);
    else if( i>0 ) buf_printf(out, "%d", i + 1);
  }
}

static void put_each_filter(struct buf *out, const struct definition *d, const char *pattern){
  for(int i=0; i<d->n_filters; i++) put_pattern(out, pattern, i, d->filters[i].name);
}

/* Of the first n content columns. */
static void put_each_body(struct buf *out, const struct definition *d, int n, const char *pattern){
  for(int i=0; i<n; i++) put_pattern(out, pattern, i, d->bodies[i]);
}

static void put_content(struct buf *out, const struct definition *d, const char *pattern){
  if( d->content==NULL ) put_each_body(out, d, d->n_bodies, pattern);
  else buf_str(out, strchr(pattern, '%') ? ", hash" : pattern);
}

/* name: what the table is, or will be, called. */
static void put_variable(struct buf *out, const struct vtab *t, const char *name,
                         const struct variable *v){
  const struct definition *d = &t->definition;
  const char *theirs = store_content_name(t);
  switch( v->kind ){
    case SCHEMA:      put_quoted(out, t->schema); break;
    case SHADOW:      put_in_schema(out, t, t->name, v->text); break;
    case TRIGGER:     put_in_schema(out, t, name, v->text); break;
    case NAME:        put_quoted_with(out, name, v->text); break;
    case THEIRS:      put_in_schema(out, t, theirs, ""); break;
    case THEIR_NAME:  put_quoted(out, theirs); break;
    case ID:          put_quoted(out, d->content_rowid); break;
    case EACH_FILTER: put_each_filter(out, d, v->text); break;
    case EACH_BODY:   put_each_body(out, d, d->n_bodies, v->text); break;
    case EACH_OWN_BODY: put_each_body(out, d, count_own_bodies(d), v->text); break;
    case CONTENT:     put_content(out, d, v->text); break;
    case PARTITIONS:  buf_str(out, d->n_partitions>0 ? v->text : ""); break;
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

/* Our statements count as the application's own, to which SQLite refuses nothing. But the names in
** them come from the schema, which may be a stranger's: content='fsdir' would read files. So they
** are prepared with SQLITE_PREPARE_NO_VTAB, and nobody can put a virtual table in the place of a
** shadow table or of the content. One shadow table is a virtual one, t_words: before it is used,
** words_verify() has seen that it is what we have made. And where the content is a view: what a
** view asks for counts as the schema's, and there SQLite heeds SQLITE_VTAB_DIRECTONLY and
** trusted_schema. */
static int prepare_sql(const struct vtab *t, const char *sql, unsigned flags, sqlite3_stmt **s){
  return sqlite3_prepare_v3(t->db, sql, -1, flags, s, NULL);
}

enum content_type store_content_type(struct call *c, const struct vtab *t){
  static const char text[] = "SELECT type='view' FROM %Q.sqlite_schema"
                             " WHERE type IN ('table', 'view') AND name=%Q COLLATE NOCASE";
  enum content_type type = CONTENT_NONE;
  char *sql = sqlite3_mprintf(text, t->schema, store_content_name(t));
  sqlite3_stmt *s = NULL;
  int rc = SQLITE_NOMEM;
  if( sql ) rc = prepare_sql(t, sql, SQLITE_PREPARE_NO_VTAB, &s);
  if( rc!=SQLITE_OK ) fail_sqlite(c, rc);
  if( store_step(c, s) ) type = sqlite3_column_int(s, 0) ? CONTENT_VIEW : CONTENT_TABLE;
  sqlite3_finalize(s);
  sqlite3_free(sql);
  return type;
}

/* A statement on the content was refused. Was it because that is a virtual table? */
static int fail_content(struct call *c, const struct vtab *t, const char *sql){
  struct buf said = { 0 };
  sqlite3_stmt *s = NULL;
  buf_str(&said, sqlite3_errmsg(t->db));
  buf_text(&said);
  if( said.rc!=SQLITE_OK ){
    fail_nomem(&c->err);
  }else if( strcmp(said.data, "no such column: T.rowid")==0 ){
    fail(&c->err, SQLITE_ERROR, "\"%.60s\" has no rowid: expected content_rowid='a column' that "
         "gives each row an integer (in a table UNIQUE NOT NULL, beside a key of texts)",
         store_content_name(t));
  }else if( prepare_sql(t, sql, 0, &s)==SQLITE_OK ){
    fail(&c->err, SQLITE_ERROR, "the content '%.60s' is a virtual table, expected a table or a "
         "view. A view of it will do: CREATE VIEW v AS SELECT ... FROM \"%.60s\"",
         store_content_name(t), store_content_name(t));
  }else{
    fail(&c->err, SQLITE_ERROR, "%s", said.data);
  }
  sqlite3_finalize(s);
  buf_release(&said);
  return c->err.rc;
}

/* Does it change the schema, or ask about it by pragma_...(), which are virtual tables? A table
** with the name of one of these has no arguments, so that it cannot take its place. */
static int is_of_schema(const char *text){
  static const char *const words[] = { "CREATE ", "DROP ", "ALTER " };
  for(size_t i=0; i<sizeof(words)/sizeof(words[0]); i++){
    if( strncmp(text, words[i], strlen(words[i]))==0 ) return 1;
  }
  return strstr(text, " pragma_")!=NULL;
}

/* Does it use t_words, the one virtual table among the shadow tables? */
static int is_of_words(const char *text){
  const char *found = strstr(text, "$words");
  return found && found[strlen("$words")]!='_';
}

/* flags: without SQLITE_PREPARE_NO_VTAB, see above. */
static sqlite3_stmt *prepare(struct call *c, const struct vtab *t, const char *name,
                             const char *text, unsigned flags){
  int names_content = strstr(text, "$theirs")!=NULL;
  int asks_views = names_content && store_content_type(c, t)==CONTENT_VIEW;
  struct buf sql = { 0 };
  sqlite3_stmt *s = NULL;
  int rc = SQLITE_NOMEM;
  if( c->err.rc!=SQLITE_OK ) return NULL;
  if( !asks_views && !is_of_schema(text) && !is_of_words(text) ) flags |= SQLITE_PREPARE_NO_VTAB;
  expand(&sql, t, name, text);
  buf_text(&sql);
  if( sql.rc==SQLITE_OK ) rc = prepare_sql(t, sql.data, flags, &s);
  if( rc==SQLITE_ERROR && names_content ){
    fail_content(c, t, sql.data);
  }else if( rc==SQLITE_ERROR && (flags & SQLITE_PREPARE_NO_VTAB) ){
    fail_sqlite(c, SQLITE_CORRUPT_VTAB);        /* a shadow table is missing, or it is another */
  }else if( rc!=SQLITE_OK ){
    fail_sqlite(c, rc);
  }
  buf_release(&sql);
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

static int asks_content(enum vtab_statement which){
  return which==CONTENT_GET || which==CONTENT_HAS || which==PENDING_READ;
}

static void keep_name(struct call *c, struct vtab *t, const char *name){
  size_t n = name ? strlen(name) + 1 : 0;
  if( name && strcmp(name, store_content_name(t))==0 ) return;
  for(int i=0; i<N_VTAB_STATEMENTS; i++){
    if( !asks_content((enum vtab_statement)i) ) continue;
    sqlite3_finalize(t->statements[i]);
    t->statements[i] = NULL;
  }
  t->content_now = name ? arena_get(&t->arena, n) : NULL;
  if( t->content_now ) memcpy(t->content_now, name, n);
  else fail_nomem(&c->err);
}

sqlite3_int64 store_schema_version(struct call *c, struct vtab *t){
  sqlite3_stmt *s = store_statement(c, t, SCHEMA_VERSION);
  sqlite3_int64 version = 0;
  if( store_step(c, s) ) version = sqlite3_column_int64(s, 0) + 1;
  store_do(c, s);
  return version;
}

int store_follow_content(struct call *c, struct vtab *t){
  sqlite3_int64 version;
  sqlite3_stmt *s;
  if( !t->definition.has_triggers ) return c->err.rc;
  version = store_schema_version(c, t);
  if( c->err.rc!=SQLITE_OK || version==t->name_seen ) return c->err.rc;
  s = store_statement(c, t, CONTENT_NAME);
  if( s && sqlite3_bind_text(s, 1, t->name, -1, SQLITE_STATIC)!=SQLITE_OK ) fail_nomem(&c->err);
  if( store_step(c, s) ) keep_name(c, t, (const char *)sqlite3_column_text(s, 0));
  store_do(c, s);
  /* In a transaction the version may be taken back, and then given to another schema. */
  if( c->err.rc==SQLITE_OK && sqlite3_get_autocommit(t->db) ) t->name_seen = version;
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
  if( asks_content(which) && t->content_now==NULL ) store_follow_content(c, t);
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
  return prepare(c, t, t->name, ROWS[order], SQLITE_PREPARE_PERSISTENT);
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

int store_verify(struct call *c, struct vtab *t){
  static const char text[] = "SELECT type, name, tbl_name FROM %Q.sqlite_schema WHERE tbl_name"
    " COLLATE NOCASE IN (%Q||'_config', %Q||'_rows', %Q||'_pending', %Q||'_cells', %Q||'_codes')"
    " AND NOT (type='table' AND rootpage>0) AND NOT (type='index' AND sql IS NULL)";
  const char *n = t->name;
  char *sql = sqlite3_mprintf(text, t->schema, n, n, n, n, n);
  sqlite3_stmt *s = NULL;
  int rc = SQLITE_NOMEM;
  if( c->err.rc!=SQLITE_OK ){
    sqlite3_free(sql);
    return c->err.rc;
  }
  if( sql ) rc = prepare_sql(t, sql, SQLITE_PREPARE_NO_VTAB, &s);
  if( rc!=SQLITE_OK ) fail_sqlite(c, rc);
  if( store_step(c, s) ){
    fail(&c->err, SQLITE_CORRUPT_VTAB, "the %.20s \"%.60s\", which somebody has put to the "
         "shadow table %.60s, would change what is written: DROP it",
         (const char *)sqlite3_column_text(s, 0), (const char *)sqlite3_column_text(s, 1),
         (const char *)sqlite3_column_text(s, 2));
  }
  sqlite3_finalize(s);
  sqlite3_free(sql);
  return c->err.rc;
}

int store_create(struct call *c, struct vtab *t){
  store_run(c, t, "CREATE TABLE $config(k TEXT PRIMARY KEY, v) WITHOUT ROWID");
  store_run(c, t, "CREATE TABLE $rows(id INTEGER PRIMARY KEY, sum INTEGER, latent BLOB"
            "$filters$content)");
  store_run(c, t, "CREATE TABLE $pending(id INTEGER PRIMARY KEY, old BLOB, how INTEGER$old_group)");
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
