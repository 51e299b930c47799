/*
** vtab_method.c -- what every method of the virtual table needs: the frame of its call, its
** refusals, and names as SQL wants them.
*/
#include "vtab.h"
#include <assert.h>
#include <string.h>

void method_begin(struct call *c, struct vtab *t){
  call_begin(c, &t->binding, 0, NULL);
  c->kind = KIND_TEXT;
}

int method_end(struct call *c, struct vtab *t){
  call_end(c);
  if( c->err.rc!=SQLITE_OK && c->err.rc!=SQLITE_NOMEM ){
    sqlite3_free(t->base.zErrMsg);
    t->base.zErrMsg = sqlite3_mprintf("%s", c->err.text);
  }
  return c->err.rc;
}

struct call callback_call(struct vtab *t, const struct err *e){
  return (struct call){ .connection = t->binding.connection, .err = *e };
}

int vtab_damaged(struct call *c){
  if( c->err.rc==SQLITE_CORRUPT ) c->err.rc = SQLITE_CORRUPT_VTAB;
  return c->err.rc;
}

int refuse_value(struct call *c, const char *what, sqlite3_value *v, const char *expected){
  char came[DESCRIBED];
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  value_describe(v, came);
  return fail(&c->err, SQLITE_ERROR, "%.60s is %s, expected %s", what, came, expected);
}

void put_quoted_with(struct buf *out, const char *name, const char *ending){
  assert( strchr(ending, '"')==NULL );
  buf_char(out, '"');
  for(; *name; name++){
    if( *name=='"' ) buf_char(out, '"');
    buf_char(out, *name);
  }
  buf_str(out, ending);
  buf_char(out, '"');
}

void put_quoted(struct buf *out, const char *name){
  put_quoted_with(out, name, "");
}
