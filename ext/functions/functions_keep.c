/*
** functions_keep.c -- what latent_sheet() and latent_plot() keep of each row until they draw.
**
** Both are aggregates. SQLite's values are gone after the step, so a label is copied, and a picture
** is scaled down at once, however large it came.
*/
#include "functions.h"
#include <assert.h>

struct kept keep_label(struct call *c, struct buf *b, int i){
  struct kept label = { .at = b->n };
  const char *text;
  if( c->err.rc!=SQLITE_OK || !call_has(c, i) ) return label;
  text = (const char *)sqlite3_value_text(c->args[i]);
  if( text==NULL ){
    fail_nomem(&c->err);
    return label;
  }
  label.n = (size_t)sqlite3_value_bytes(c->args[i]);
  buf_append(b, text, label.n);
  return label;
}

void check_kept(struct call *c, const struct buf *b, const char *what){
  if( b->rc==SQLITE_TOOBIG ) fail(&c->err, b->rc, "the rows hold too much for one %s", what);
  else if( b->rc!=SQLITE_OK ) fail_nomem(&c->err);
}

struct picture read_picture(struct call *c, struct content file, int size, const char *what){
  struct picture came;
  struct picture fitted = { 0 };
  struct err *e = &c->err;
  assert( size>0 );
  if( e->rc!=SQLITE_OK ) return fitted;
  if( picture_read(&came, file.bytes, file.n, &c->arena, what, e)!=SQLITE_OK ) return fitted;
  picture_fit(&fitted, &came, size, &c->arena, e);
  return fitted;
}
