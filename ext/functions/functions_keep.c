/*
** functions_keep.c -- what latent_sheet() and latent_plot() keep of each row until they draw.
**
** Both are aggregates. SQLite's values are gone after the step, so a label is copied, and a picture
** is scaled down at once, however large it came.
*/
#include "functions.h"
#include <assert.h>

enum { LABEL_MOST = 300 };      /* characters of a label, and so of a tooltip */

/* Bytes of the first n characters of text; all of them if there are fewer. A byte that is no UTF-8
** counts as one. */
static size_t first_characters(const char *text, size_t bytes, int n){
  size_t at = 0;
  for(int i=0; i<n && at<bytes; i++){
    int length = utf8_length(text + at, bytes - at);
    at += length ? (size_t)length : 1;
  }
  return at;
}

struct kept keep_label(struct call *c, struct buf *b, int i){
  struct kept label = { .at = b->n };
  const char *text;
  size_t whole, shown;
  if( c->err.rc!=SQLITE_OK || !call_has(c, i) ) return label;
  text = (const char *)sqlite3_value_text(c->args[i]);
  if( text==NULL ){
    fail_nomem(&c->err);
    return label;
  }
  whole = (size_t)sqlite3_value_bytes(c->args[i]);
  shown = first_characters(text, whole, LABEL_MOST);
  buf_append(b, text, shown<whole ? first_characters(text, whole, LABEL_MOST - 1) : whole);
  if( shown<whole ) buf_str(b, "\xe2\x80\xa6");            /* an ellipsis */
  label.n = b->n - label.at;
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
