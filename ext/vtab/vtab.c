/*
** vtab.c -- the virtual table, CREATE VIRTUAL TABLE t USING latent(body): its life, its
** transactions, its module. Begin here; vtab.h lists the other files.
**
** Everything that lasts is in the shadow tables and changes in the transaction of the row. Memory
** holds prepared statements and what the index has read, and the index checks that against the
** database before use. So ROLLBACK, crashes and other processes need no code here.
*/
#include "vtab.h"
#include <string.h>

/* ---- Create and connect ---- */

static void vtab_free(struct vtab *t){
  sqlite3_free(t->base.zErrMsg);        /* after xIntegrity SQLite does not look at it */
  store_idle(t);
  index_close(t->index);
  mem_free(t->last_query.z.z);
  arena_release(&t->fetched);
  connection_drop(t->binding.connection);
  arena_release(&t->arena);
  mem_free(t);
}

static char *copy_text(struct vtab *t, const char *text, struct err *e){
  size_t n = strlen(text) + 1;
  char *copy = arena_get(&t->arena, n);
  if( copy ) memcpy(copy, text, n);
  else fail_nomem(e);
  return copy;
}

static int declare(struct vtab *t, struct err *e){
  const struct definition *d = &t->definition;
  struct buf columns = { 0 };
  int rc = SQLITE_NOMEM;
  buf_str(&columns, "CREATE TABLE x(");
  definition_columns(&columns, d, t->name);
  definition_late_columns(&columns, d);
  buf_str(&columns, ")");
  buf_text(&columns);
  if( columns.rc==SQLITE_OK ) rc = sqlite3_declare_vtab(t->db, columns.data);
  buf_release(&columns);
  if( rc==SQLITE_NOMEM ) return fail_nomem(e);
  if( rc!=SQLITE_OK ) return fail(e, rc, "%s: %s", t->name, sqlite3_errmsg(t->db));
  /* Innocuous: triggers may write to it where schemas are not trusted. */
  sqlite3_vtab_config(t->db, SQLITE_VTAB_INNOCUOUS);
  sqlite3_vtab_config(t->db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
  return SQLITE_OK;
}

/* A vtab that knows its definition, and that SQLite knows; NULL on failure. */
static struct vtab *vtab_open(const struct binding *b, int argc, const char *const *argv,
                              struct err *e){
  struct vtab *t = mem_alloc(sizeof(*t));
  if( t==NULL ){
    fail_nomem(e);
    return NULL;
  }
  *t = (struct vtab){ .db = b->connection->db };
  t->binding = (struct binding){ &t->function, b->connection };
  connection_use(b->connection);
  t->schema = copy_text(t, argv[1], e);
  t->name = copy_text(t, argv[2], e);
  t->function.name = t->name;
  t->function.is_rough = b->function->is_rough;
  if( e->rc==SQLITE_OK ) definition_read(&t->definition, t->name, argc, argv, &t->arena, e);
  if( e->rc==SQLITE_OK ) declare(t, e);
  if( e->rc==SQLITE_OK ) return t;
  vtab_free(t);
  return NULL;
}

/* The end of create() and connect(): the table, or what went wrong. */
static int give_table(struct vtab *t, const struct err *e, sqlite3_vtab **out, char **message){
  if( e->rc==SQLITE_OK ){
    *out = &t->base;
    return SQLITE_OK;
  }
  if( t ) vtab_free(t);
  if( e->rc!=SQLITE_NOMEM ) *message = sqlite3_mprintf("%s", e->text);
  return e->rc;
}

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out,
                   char **message){
  struct err e = { 0 };
  struct vtab *t = vtab_open(aux, argc, argv, &e);
  (void)db;
  return give_table(t, &e, out, message);
}

/* Where triggers keep the table in step from now on, what the content table holds is taken in at
** once. The content must be there, with the columns that the definition names: the statement that
** reads it says so best. */
static void take_in(struct call *c, struct vtab *t){
  const struct definition *d = &t->definition;
  if( d->content==NULL ) return;
  sqlite3_finalize(store_prepare(c, t, SELECT_CONTENT));
  content_check(c, t);
  if( !d->has_triggers ) return;
  triggers_create(c, t, t->name);
  if( c->err.rc==SQLITE_OK ) vtab_rebuild(c, t);
}

static int create(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out,
                  char **message){
  struct err e = { 0 };
  struct vtab *t = vtab_open(aux, argc, argv, &e);
  struct call c;
  (void)db;
  if( t ){
    method_begin(&c, t);
    t->in_transaction = 1;      /* SQLite counts it among the tables of the transaction, without
                                ** calling xBegin */
    store_create(&c, t);
    words_create(&c, t);
    config_put(&c, t);
    take_in(&c, t);
    call_end(&c);               /* not method_end(): the message goes to *message */
    t->broken_depth = 0;
    e = c.err;
  }
  return give_table(t, &e, out, message);
}

static int disconnect(sqlite3_vtab *base){
  vtab_free((struct vtab *)base);
  return SQLITE_OK;
}

static int destroy(sqlite3_vtab *base){
  struct vtab *t = (struct vtab *)base;
  struct call c;
  method_begin(&c, t);
  if( t->definition.has_triggers ) triggers_drop(&c, t);
  words_drop(&c, t);
  store_drop(&c, t);
  if( method_end(&c, t)==SQLITE_OK ) vtab_free(t);
  return c.err.rc;
}

/* ---- Rename ---- */

/* The triggers are made anew under the new name. SQLite has already put the new name into their
** bodies. Where one is gone, changes may have been missed: then none is made, so that it is seen.
** */
static void rename_triggers(struct call *c, struct vtab *t, const char *name){
  struct buf missing = { 0 };
  store_follow_content(c, t);
  triggers_missing(c, t, &missing);
  if( missing.rc!=SQLITE_OK ) fail_nomem(&c->err);
  if( c->err.rc==SQLITE_OK ){
    store_idle(t);
    triggers_drop(c, t);
    if( missing.n==0 ) triggers_create(c, t, name);
  }
  buf_release(&missing);
}

/* SQLite connects anew after it. This struct vtab is kept until the COMMIT. Its name may be another
** table's by then, so it leaves the transaction here. But a ROLLBACK TO may take the name back:
** rollback_to(). */
static int rename_table(sqlite3_vtab *base, const char *name){
  struct vtab *t = (struct vtab *)base;
  struct call c;
  method_begin(&c, t);
  pending_flush(&c, t);
  vtab_ready(&c, t, 0);
  if( c.err.rc==SQLITE_OK ){
    if( t->definition.has_triggers ) rename_triggers(&c, t, name);
    words_rename(&c, t, name);
    store_rename(&c, t, name);
    t->in_transaction = 0;
    t->renamed_depth = t->depth + 1;
  }
  return method_end(&c, t);
}

/* ---- Transactions ---- */

/* A transaction begins, or has ended. */
static void forget_transaction(struct vtab *t){
  t->in_transaction = 0;
  t->n_pending = 0;
  t->depth = 0;
  t->broken_depth = 0;
  t->renamed_depth = 0;
}

static int begin(sqlite3_vtab *base){
  struct vtab *t = (struct vtab *)base;
  forget_transaction(t);
  t->in_transaction = 1;
  return SQLITE_OK;
}

/* A ROLLBACK TO has taken back that this table was created, or got its name. SQLite keeps it in the
** transaction all the same. */
static int is_gone(struct call *c, const struct vtab *t){
  char *pending = sqlite3_mprintf("%s_pending", t->name);
  int rc = SQLITE_NOMEM;
  if( pending ){
    rc = sqlite3_table_column_metadata(t->db, t->schema, pending, NULL, NULL, NULL, NULL, NULL,
                                       NULL);
  }
  sqlite3_free(pending);
  if( rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  return rc==SQLITE_ERROR;
}

/* The COMMIT: what waits is done now. If it fails SQLite rolls everything back. */
static int sync(sqlite3_vtab *base){
  struct vtab *t = (struct vtab *)base;
  struct call c;
  method_begin(&c, t);
  if( t->broken_depth ){
    fail(&c.err, SQLITE_ABORT, "a statement failed while it wrote the index: this transaction can "
         "only be rolled back");
  }else if( t->in_transaction && !is_gone(&c, t) ){
    pending_flush(&c, t);
  }
  return method_end(&c, t);
}

static int end(sqlite3_vtab *base){
  forget_transaction((struct vtab *)base);
  return SQLITE_OK;
}

static int savepoint(sqlite3_vtab *base, int i){
  ((struct vtab *)base)->depth = i + 1;
  return SQLITE_OK;
}

static int release(sqlite3_vtab *base, int i){
  ((struct vtab *)base)->depth = i;
  return SQLITE_OK;
}

/* Back to savepoint i. What a failed flush wrote is taken back with a savepoint that was there
** before it. Where a renaming is taken back, the rows that it flushed are pending again, and under
** the present name. */
static int rollback_to(sqlite3_vtab *base, int i){
  struct vtab *t = (struct vtab *)base;
  int depth = i + 1;
  int rc = SQLITE_OK;
  if( depth<=t->broken_depth - 1 ) t->broken_depth = 0;
  if( depth<=t->renamed_depth - 1 ){
    t->renamed_depth = 0;
    t->in_transaction = 1;
    if( t->index ) rc = index_called(t->index, t->name);
  }
  t->depth = depth;
  return rc;
}

/* ---- The module ---- */

static int shadow_name(const char *ending){
  static const char *const endings[] = {
    "config", "rows", "pending", "cells", "codes", "words", "words_data", "words_idx",
    "words_content", "words_docsize", "words_config"
  };
  for(size_t i=0; i<sizeof(endings)/sizeof(endings[0]); i++){
    if( sqlite3_stricmp(ending, endings[i])==0 ) return 1;
  }
  return 0;
}

/* Does the failure of a check say something about the table? The others say something about the
** moment. */
static int is_finding(int rc){
  switch( rc & 0xff ){
    case SQLITE_OK: case SQLITE_NOMEM: case SQLITE_INTERRUPT:
    case SQLITE_BUSY: case SQLITE_LOCKED: case SQLITE_IOERR:
      return 0;
    default:
      return 1;
  }
}

/* PRAGMA integrity_check and quick_check, since SQLite 3.44. */
static int integrity(sqlite3_vtab *base, const char *schema, const char *table, int flags,
                     char **report){
  struct vtab *t = (struct vtab *)base;
  struct buf found = { 0 };
  struct call c;
  (void)flags;
  method_begin(&c, t);
  vtab_check(&c, t, 0, &found);
  if( found.rc!=SQLITE_OK ) fail_nomem(&c.err);
  if( is_finding(c.err.rc) || (c.err.rc==SQLITE_OK && found.n>0) ){
    const char *text = found.n>0 ? buf_text(&found) : c.err.text;
    *report = sqlite3_mprintf("in the latent table %s.%s: %s", schema, table, text);
    err_clear(&c.err);
    if( *report==NULL ) fail_nomem(&c.err);
  }
  buf_release(&found);
  return method_end(&c, t);
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
