/*
** vtab_trigger.c -- triggers on the content table, which keep `t` in step with it: t_insert,
** t_delete, t_update.
**
** SQLite rewrites them when the content table is renamed. So they are also where the table's
** present name is found (vtab_store.c).
**
** INSERT OR REPLACE into the content table deletes rows without firing a delete trigger, unless
** PRAGMA recursive_triggers is on. Therefore the insert trigger replaces.
*/
#include "vtab.h"
#include <assert.h>

int triggers_create(struct call *c, struct vtab *t, const char *name){
  assert( t->definition.has_triggers && t->definition.content );
  store_run_as(c, t, name,
    "CREATE TRIGGER $t_insert AFTER insert ON $their_name"
    " BEGIN INSERT OR REPLACE INTO $t(rowid, $body$their_filters)"
    " VALUES(new.$id, new.$body$new_filters); END;");
  store_run_as(c, t, name,
    "CREATE TRIGGER $t_delete AFTER delete ON $their_name"
    " BEGIN DELETE FROM $t WHERE rowid=old.$id; END;");
  /* Where the content stays the same, only rowid and filters are set, and nothing is encoded. */
  return store_run_as(c, t, name,
    "CREATE TRIGGER $t_update AFTER update ON $their_name"
    " WHEN old.$id IS NOT new.$id OR old.$body COLLATE BINARY IS NOT new.$body$or_filters_differ"
    " BEGIN UPDATE $t SET rowid=new.$id$set_filters WHERE rowid=old.$id$and_id_differs;"
    " UPDATE $t SET $body=new.$body"
    " WHERE rowid=new.$id AND old.$body COLLATE BINARY IS NOT new.$body; END;");
}

int triggers_drop(struct call *c, struct vtab *t){
  store_run(c, t, "DROP TRIGGER IF EXISTS $t_insert");
  store_run(c, t, "DROP TRIGGER IF EXISTS $t_delete");
  return store_run(c, t, "DROP TRIGGER IF EXISTS $t_update");
}
