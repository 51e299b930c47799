/*
** vtab_trigger.c -- triggers on the content table, which keep `t` in step with it: t_insert,
** t_delete, t_update.
**
** A trigger says only which row changed: INSERT INTO t(rowid) VALUES(id). The row itself is read
** from the content table later (vtab_content.c). So nothing depends on when a trigger fires, and no
** conflict clause of the user's statement can come in between, since no row conflicts with such an
** INSERT. There is no UPDATE or DELETE of `t` in them: in these, old.id is a column of `t` where t
** is called "old".
**
** SQLite rewrites them when the content table is renamed. So they are also where the table's
** present name is found (vtab_store.c).
**
** They go with the content table when it is dropped, as in SQLite's way to alter a table: make a
** new one, copy, drop, rename. Then `t` would miss every change. A search therefore looks whether
** they are there, anew whenever the schema has changed; 'integrity-check' reports it; 'sync' and
** 'rebuild' make them again.
*/
#include "vtab.h"
#include <assert.h>

int triggers_create(struct call *c, struct vtab *t, const char *name){
  assert( t->definition.has_triggers && t->definition.content );
  store_run_as(c, t, name, "CREATE TRIGGER $t_insert AFTER insert ON $their_name"
                           " BEGIN INSERT INTO $t(rowid) VALUES(new.$id); END;");
  store_run_as(c, t, name, "CREATE TRIGGER $t_delete AFTER delete ON $their_name"
                           " BEGIN INSERT INTO $t(rowid) VALUES(old.$id); END;");
  return store_run_as(c, t, name,
    "CREATE TRIGGER $t_update AFTER update ON $their_name"
    " WHEN old.$id IS NOT new.$id$or_bodies_differ$or_filters_differ"
    " BEGIN INSERT INTO $t(rowid) VALUES(old.$id);"
    " INSERT INTO $t(rowid) SELECT new.$id WHERE old.$id IS NOT new.$id; END;");
}

int triggers_drop(struct call *c, struct vtab *t){
  store_run(c, t, "DROP TRIGGER IF EXISTS $t_insert");
  store_run(c, t, "DROP TRIGGER IF EXISTS $t_delete");
  return store_run(c, t, "DROP TRIGGER IF EXISTS $t_update");
}

int triggers_missing(struct call *c, struct vtab *t, struct buf *names){
  sqlite3_stmt *s;
  if( !t->definition.has_triggers ) return c->err.rc;
  s = store_prepare(c, t, "SELECT ?1 || column1 FROM (VALUES('_insert'), ('_delete'), ('_update'))"
                    " EXCEPT SELECT name FROM $schema.sqlite_schema WHERE type='trigger'");
  if( s && sqlite3_bind_text(s, 1, t->name, -1, SQLITE_STATIC)!=SQLITE_OK ) fail_nomem(&c->err);
  while( store_step(c, s) ){
    const char *name = (const char *)sqlite3_column_text(s, 0);
    if( name==NULL ) fail_nomem(&c->err);
    else buf_printf(names, "%s%.100s", names->n>0 ? ", " : "", name);
  }
  sqlite3_finalize(s);
  return c->err.rc;
}

int triggers_require(struct call *c, struct vtab *t){
  struct buf names = { 0 };
  sqlite3_int64 version;
  if( !t->definition.has_triggers ) return c->err.rc;
  version = store_schema_version(c, t);
  if( c->err.rc!=SQLITE_OK || version==t->schema_seen ) return c->err.rc;
  triggers_missing(c, t, &names);
  if( names.n>0 ){
    fail(&c->err, SQLITE_ERROR, "triggers on \"%.60s\" are gone (%.120s), so changes may be "
         "missing: INSERT INTO \"%.40s\"(\"%.40s\") VALUES('sync') makes them again and takes in "
         "what has changed", t->definition.content, buf_text(&names), t->name, t->name);
  }
  if( names.rc!=SQLITE_OK ) fail_nomem(&c->err);
  /* In a transaction the version may be taken back, and then given to another schema. */
  if( c->err.rc==SQLITE_OK && sqlite3_get_autocommit(t->db) ) t->schema_seen = version;
  buf_release(&names);
  return c->err.rc;
}

int triggers_mend(struct call *c, struct vtab *t){
  struct buf names = { 0 };
  triggers_missing(c, t, &names);
  if( names.rc!=SQLITE_OK ) fail_nomem(&c->err);
  if( names.n>0 ){
    store_follow_content(c, t);
    triggers_drop(c, t);
    triggers_create(c, t, t->name);
  }
  buf_release(&names);
  return c->err.rc;
}
