/*
** vtab.c -- the virtual table: CREATE VIRTUAL TABLE t USING latent(body). Its life, its transactions. Begin here.
**
** The parts, in the order in which a reader meets them:
**   vtab.c           create, connect, rename, drop; triggers on the content table; transactions
**   vtab_columns.c   the arguments of CREATE VIRTUAL TABLE
**   vtab_store.c     the shadow tables, byte by byte, and the statements on them
**   vtab_update.c    INSERT, UPDATE, DELETE; 'rebuild', 'optimize', 'integrity-check'
**   vtab_pending.c   changes that wait for the index, and how they reach it in batches
**   vtab_plan.c      conditions that reach the table
**   vtab_query.c     cursors
**   vtab_check.c     integrity-check
**
** Everything that lasts is in the shadow tables and changes in the transaction of the row; memory holds prepared statements and what the index
** has read, which it holds against the database before use. So ROLLBACK, crashes and other processes need no code here.
**
** Content of another table: three triggers on it, named t_insert, t_delete, t_update, keep t in step. SQLite rewrites them when that table is
** renamed, and so they are also where the table's present name is found. INSERT OR REPLACE into the content table deletes rows without
** firing a delete trigger, unless PRAGMA recursive_triggers is on; the insert trigger therefore replaces.
*/
#include "vtab.h"
#include <string.h>

/* ---- One method's call ---- */

void vtab_call(struct call *c, struct vtab *t){
  call_begin(c, &t->binding, 0, NULL);
  c->kind = KIND_TEXT;
}

int vtab_end(struct call *c, struct vtab *t){
  call_end(c);
  if( c->err.rc!=SQLITE_OK && c->err.rc!=SQLITE_NOMEM ){
    sqlite3_free(t->base.zErrMsg);
    t->base.zErrMsg = sqlite3_mprintf("%s", c->err.text);
  }
  return c->err.rc;
}

/* ---- Triggers on the content table ---- */

/* Appends the pieces for each column: "year"=new."year", ... */
static void put_columns(struct buf *out, const struct definition *d, const char *format, const char *between){
  for(int i=-1; i<d->n_filters; i++){
    char *text = sqlite3_mprintf(format, i<0 ? d->body : d->filters[i].name, i<0 ? d->body : d->filters[i].name);
    if( !text ) out->rc = SQLITE_NOMEM;
    else{
      buf_str(out, i<0 ? "" : between);
      buf_str(out, text);
    }
    sqlite3_free(text);
  }
}

static void put(struct buf *out, char *text){           /* takes text over */
  if( text ) buf_str(out, text);
  else out->rc = SQLITE_NOMEM;
  sqlite3_free(text);
}

static int execute(struct call *c, struct vtab *t, struct buf *sql){
  int rc;
  buf_text(sql);
  rc = sql->rc==SQLITE_OK ? sqlite3_exec(t->db, sql->data, NULL, NULL, NULL) : SQLITE_NOMEM;
  buf_release(sql);
  if( rc==SQLITE_NOMEM ) return fail_nomem(&c->err);
  return rc==SQLITE_OK ? SQLITE_OK : fail(&c->err, rc, "%s", sqlite3_errmsg(t->db));
}

static void put_head(struct buf *out, const struct vtab *t, const char *name, const char *event, const char *theirs){
  put(out, sqlite3_mprintf("CREATE TRIGGER \"%w\".\"%w_%w\" AFTER %s ON \"%w\"", t->schema, name, event, event, theirs));
}

/* The triggers of a table called `name`, on the table `theirs`. */
static int make_triggers(struct call *c, struct vtab *t, const char *name, const char *theirs){
  const struct definition *d = &t->definition;
  const char *id = d->content_rowid;
  struct buf sql = { 0 };

  put_head(&sql, t, name, "insert", theirs);
  put(&sql, sqlite3_mprintf(" BEGIN INSERT OR REPLACE INTO \"%w\"(rowid, ", name));
  put_columns(&sql, d, "\"%w\"", ", ");
  put(&sql, sqlite3_mprintf(") VALUES(new.\"%w\", ", id));
  put_columns(&sql, d, "new.\"%w\"", ", ");
  buf_str(&sql, "); END;");
  put_head(&sql, t, name, "delete", theirs);
  put(&sql, sqlite3_mprintf(" BEGIN DELETE FROM \"%w\" WHERE rowid=old.\"%w\"; END;", name, id));
  /* Where the content stays the same, only rowid and filters are set: nothing is encoded. */
  put_head(&sql, t, name, "update", theirs);
  put(&sql, sqlite3_mprintf(" WHEN old.\"%w\" IS NOT new.\"%w\" OR ", id, id));
  put_columns(&sql, d, "old.\"%w\" COLLATE BINARY IS NOT new.\"%w\"", " OR ");
  put(&sql, sqlite3_mprintf(" BEGIN UPDATE \"%w\" SET rowid=new.\"%w\"", name, id));
  for(int i=0; i<d->n_filters; i++) put(&sql, sqlite3_mprintf(", \"%w\"=new.\"%w\"", d->filters[i].name, d->filters[i].name));
  put(&sql, sqlite3_mprintf(" WHERE rowid=old.\"%w\"", id));
  if( d->n_filters==0 ) put(&sql, sqlite3_mprintf(" AND old.\"%w\" IS NOT new.\"%w\"", id, id));
  put(&sql, sqlite3_mprintf("; UPDATE \"%w\" SET \"%w\"=new.\"%w\" WHERE rowid=new.\"%w\" AND old.\"%w\" COLLATE BINARY IS NOT new.\"%w\"; END;",
                            name, d->body, d->body, id, d->body, d->body));
  return execute(c, t, &sql);
}

static int drop_triggers(struct call *c, struct vtab *t){
  static const char *const events[] = { "insert", "delete", "update" };
  struct buf sql = { 0 };

  for(int i=0; i<3; i++) put(&sql, sqlite3_mprintf("DROP TRIGGER IF EXISTS \"%w\".\"%w_%w\";", t->schema, t->name, events[i]));
  return execute(c, t, &sql);
}

/* ---- Create and connect ---- */

static void vtab_free(struct vtab *t){
  sqlite3_free(t->base.zErrMsg);        /* after xIntegrity SQLite does not look at it */
  store_idle(t);
  index_close(t->index);
  mem_free(t->asked.z.z);
  arena_release(&t->scratch);
  if( t->binding.connection ) connection_drop(t->binding.connection);
  arena_release(&t->arena);
  mem_free(t);
}

static char *copy(struct vtab *t, const char *text, struct err *e){
  size_t n = strlen(text) + 1;
  char *p = arena_get(&t->arena, n);
  if( p ) memcpy(p, text, n);
  else fail_nomem(e);
  return p;
}

static int declare(struct vtab *t, struct err *e){
  struct buf columns = { 0 };
  int rc;

  buf_str(&columns, "CREATE TABLE x(");
  definition_columns(&columns, &t->definition, t->name);
  buf_str(&columns, ")");
  buf_text(&columns);
  rc = columns.rc==SQLITE_OK ? sqlite3_declare_vtab(t->db, columns.data) : SQLITE_NOMEM;
  buf_release(&columns);
  if( rc==SQLITE_NOMEM ) return fail_nomem(e);
  if( rc!=SQLITE_OK ) return fail(e, rc, "%s: %s", t->name, sqlite3_errmsg(t->db));
  sqlite3_vtab_config(t->db, SQLITE_VTAB_INNOCUOUS);    /* so that triggers may write to it where schemas are not trusted */
  sqlite3_vtab_config(t->db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
  return SQLITE_OK;
}

/* A vtab that knows its definition, and that SQLite knows; NULL after noting why not. */
static struct vtab *vtab_open(const struct binding *b, int argc, const char *const *argv, struct err *e){
  struct vtab *t = mem_alloc(sizeof(*t));

  if( !t ){ fail_nomem(e); return NULL; }
  memset(t, 0, sizeof(*t));
  t->db = b->connection->db;
  t->binding = (struct binding){ &t->function, b->connection };
  connection_use(b->connection);
  t->schema = copy(t, argv[1], e);
  t->name = copy(t, argv[2], e);
  t->function.name = t->name;
  t->function.is_rough = b->function->is_rough;
  if( e->rc==SQLITE_OK && definition_read(&t->definition, t->name, argc, argv, &t->arena, e)==SQLITE_OK && declare(t, e)==SQLITE_OK ) return t;
  vtab_free(t);
  return NULL;
}

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **message){
  struct err e = { 0 };
  struct vtab *t = vtab_open(aux, argc, argv, &e);

  (void)db;
  if( t ) *out = &t->base;
  else if( e.rc!=SQLITE_NOMEM ) *message = sqlite3_mprintf("%s", e.text);
  return e.rc;
}

/* The content must be there, with the columns that the definition names; the statement that reads it says so best. */
static int fill(struct call *c, struct vtab *t){
  const struct definition *d = &t->definition;

  if( !d->content || !store_statement(c, t, CONTENT_GET) ) return c->err.rc;
  if( d->has_triggers && make_triggers(c, t, t->name, d->content)!=SQLITE_OK ) return c->err.rc;
  return d->has_triggers ? vtab_rebuild(c, t) : SQLITE_OK;
}

/* A non-empty content table is taken in at once, where triggers keep the two in step from now on. */
static int create(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **message){
  struct err e = { 0 };
  struct vtab *t = vtab_open(aux, argc, argv, &e);
  struct call c;

  (void)db;
  if( t ){
    vtab_call(&c, t);
    t->in_transaction = 1;      /* SQLite counts a table that is being created among those of the transaction, without xBegin */
    if( store_create(&c, t)==SQLITE_OK ) fill(&c, t);
    call_end(&c);
    e = c.err;
  }
  if( e.rc==SQLITE_OK ){
    t->broken_depth = 0;
    *out = &t->base;
    return SQLITE_OK;
  }
  if( t ) vtab_free(t);
  if( e.rc!=SQLITE_NOMEM ) *message = sqlite3_mprintf("%s", e.text);
  return e.rc;
}

static int disconnect(sqlite3_vtab *base){
  vtab_free((struct vtab*)base);
  return SQLITE_OK;
}

static int destroy(sqlite3_vtab *base){
  struct vtab *t = (struct vtab*)base;
  struct call c;

  vtab_call(&c, t);
  if( !t->definition.has_triggers || drop_triggers(&c, t)==SQLITE_OK ) store_drop(&c, t);
  if( vtab_end(&c, t)==SQLITE_OK ) vtab_free(t);
  return c.err.rc;
}

/* The triggers are made anew under the new name; SQLite has already put it into their bodies. */
static int rename_triggers(struct call *c, struct vtab *t, const char *name){
  if( !store_statement(c, t, CONTENT_GET) ) return c->err.rc;   /* which finds the content table's name */
  store_idle(t);
  if( drop_triggers(c, t)!=SQLITE_OK ) return c->err.rc;
  return make_triggers(c, t, name, t->content_now ? t->content_now : t->definition.content);
}

static int rename_table(sqlite3_vtab *base, const char *name){
  struct vtab *t = (struct vtab*)base;
  struct call c;

  vtab_call(&c, t);
  if( pending_flush(&c, t)==SQLITE_OK && vtab_ready(&c, t, 0)==SQLITE_OK ){
    if( !t->definition.has_triggers || rename_triggers(&c, t, name)==SQLITE_OK ) store_rename(&c, t, name);
    t->in_transaction = 0;      /* SQLite connects anew; this one is only kept until the COMMIT, and its name may be another's then */
    t->renamed_depth = t->depth + 1;    /* ... unless a ROLLBACK TO takes the name back */
  }
  return vtab_end(&c, t);
}

/* ---- Transactions ---- */

static int begin(sqlite3_vtab *base){
  struct vtab *t = (struct vtab*)base;
  t->in_transaction = 1;
  t->n_pending = t->depth = t->broken_depth = t->renamed_depth = 0;
  return SQLITE_OK;
}

/* A ROLLBACK TO has taken back that this table was created, or got its name; SQLite keeps it in the transaction all the same. */
static int is_gone(struct call *c, const struct vtab *t){
  char *pending = sqlite3_mprintf("%s_pending", t->name);
  int rc = pending ? sqlite3_table_column_metadata(t->db, t->schema, pending, NULL, NULL, NULL, NULL, NULL, NULL) : SQLITE_NOMEM;

  sqlite3_free(pending);
  if( rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  return rc==SQLITE_ERROR;
}

/* The COMMIT: what waits is done now. If it fails SQLite rolls everything back. */
static int sync(sqlite3_vtab *base){
  struct vtab *t = (struct vtab*)base;
  struct call c;

  vtab_call(&c, t);
  if( t->broken_depth ) fail(&c.err, SQLITE_ABORT, "a statement failed while it wrote the index: this transaction can only be rolled back");
  else if( t->in_transaction && !is_gone(&c, t) && c.err.rc==SQLITE_OK ) pending_flush(&c, t);
  return vtab_end(&c, t);
}

static int end(sqlite3_vtab *base){
  struct vtab *t = (struct vtab*)base;
  t->in_transaction = t->n_pending = t->depth = t->broken_depth = t->renamed_depth = 0;
  return SQLITE_OK;
}

static int savepoint(sqlite3_vtab *base, int i){
  ((struct vtab*)base)->depth = i + 1;
  return SQLITE_OK;
}
static int release(sqlite3_vtab *base, int i){
  ((struct vtab*)base)->depth = i;
  return SQLITE_OK;
}
/* What a failed flush wrote is taken back with a savepoint that was there before it. */
static int rollback_to(sqlite3_vtab *base, int i){
  struct vtab *t = (struct vtab*)base;
  int rc = SQLITE_OK;

  if( i + 1<=t->broken_depth - 1 ) t->broken_depth = 0;
  if( i + 1<=t->renamed_depth - 1 ){    /* the rows that the renaming flushed are pending again, and under this name */
    t->renamed_depth = 0;
    t->in_transaction = 1;
    if( t->index ) rc = index_called(t->index, t->name);
  }
  t->depth = i + 1;
  return rc;
}

/* ---- The module ---- */

static int shadow_name(const char *ending){
  static const char *const endings[] = { "config", "rows", "pending", "cells", "codes" };
  for(int i=0; i<5; i++) if( sqlite3_stricmp(ending, endings[i])==0 ) return 1;
  return 0;
}

/* The failure of a check that says something about the table; the others say something about the moment. */
static int is_finding(int rc){
  switch( rc & 0xff ){
    case SQLITE_OK: case SQLITE_NOMEM: case SQLITE_INTERRUPT: case SQLITE_BUSY: case SQLITE_LOCKED: case SQLITE_IOERR: return 0;
    default: return 1;
  }
}

/* PRAGMA integrity_check and quick_check, since SQLite 3.44. */
static int integrity(sqlite3_vtab *base, const char *schema, const char *table, int flags, char **report){
  struct vtab *t = (struct vtab*)base;
  struct buf found = { 0 };
  struct call c;

  (void)flags;
  vtab_call(&c, t);
  vtab_check(&c, t, &found);
  if( found.rc!=SQLITE_OK ) fail_nomem(&c.err);
  if( is_finding(c.err.rc) || (c.err.rc==SQLITE_OK && found.n>0) ){
    const char *text = found.n>0 ? buf_text(&found) : c.err.text;
    *report = sqlite3_mprintf("in the latent table %s.%s: %s", schema, table, text);
    memset(&c.err, 0, sizeof(c.err));
    if( !*report ) fail_nomem(&c.err);
  }
  buf_release(&found);
  return vtab_end(&c, t);
}

const struct vtab_module VTAB_MODULE = {
  .base = {
    .iVersion = 4,
    .xCreate = create,
    .xConnect = connect,
    .xBestIndex = vtab_best_index,
    .xDisconnect = disconnect,
    .xDestroy = destroy,
    .xOpen = vcursor_open,
    .xClose = vcursor_close,
    .xFilter = vcursor_filter,
    .xNext = vcursor_next,
    .xEof = vcursor_eof,
    .xColumn = vcursor_column,
    .xRowid = vcursor_rowid,
    .xUpdate = vtab_update,
    .xBegin = begin,
    .xSync = sync,
    .xCommit = end,
    .xRollback = end,
    .xRename = rename_table,
    .xSavepoint = savepoint,
    .xRelease = release,
    .xRollbackTo = rollback_to,
    .xShadowName = shadow_name,
#if SQLITE_VERSION_NUMBER>=3044000
    .xIntegrity = integrity,
#endif
  },
#if SQLITE_VERSION_NUMBER<3044000
  .xIntegrity = integrity,
#endif
};
