/*
** functions_progress.c -- latent_progress(table): how far a 'rebuild' in steps is.
**
** One row: whether a 'rebuild' is under way, how many rows are done, how many there are, and the
** model of those that are done. It counts what the transaction sees, uncommitted steps included.
*/
#include "functions.h"
#include "vtab.h"
#include <string.h>

void progress_fill(struct call *c, struct rows *r){
  struct content name = call_text(c, 0, "table");
  struct near t = { .call = c };
  struct progress p;
  const char *phase;
  char model[16];
  if( c->err.rc!=SQLITE_OK || near_find(&t, name.bytes)!=SQLITE_OK ) return;
  if( progress_read(c, t.schema, t.table, &p)!=SQLITE_OK ) return;
  phase = p.is_begun ? "rebuild" : "ready";
  rows_text(r, phase, strlen(phase));
  rows_integer(r, p.done);
  rows_integer(r, p.total);
  if( p.model<0 ){
    rows_null(r);
    return;
  }
  sqlite3_snprintf(sizeof(model), model, "%08x", (unsigned)p.model);
  rows_text(r, model, strlen(model));
}
