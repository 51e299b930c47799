/*
** base_err.c -- what went wrong first, in a fixed buffer.
**
** A failure is reported where it is found, and travels up as a result code. A caller that adds its
** own "could not ..." afterwards changes nothing, because the first text knows most. The buffer is
** part of struct err, so that reporting "out of memory" needs no memory.
*/
#include "base.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

/* A text may hold bytes of a user's that are no UTF-8, or be cut within a character. */
void err_settle(struct err *e){
  size_t n = strlen(e->text);
  size_t i = 0;
  while( i<n ){
    int length = utf8_length(e->text + i, n - i);
    if( length==0 ) e->text[i] = '?';
    i += length ? (size_t)length : 1;
  }
}

int fail(struct err *e, int rc, const char *format, ...){
  va_list args;
  assert( rc!=SQLITE_OK );
  assert( format!=NULL );
  if( e->rc!=SQLITE_OK ) return e->rc;
  e->rc = rc;
  va_start(args, format);
  vsnprintf(e->text, sizeof(e->text), format, args);
  va_end(args);
  err_settle(e);
  return rc;
}

int fail_nomem(struct err *e){
  return fail(e, SQLITE_NOMEM, "out of memory");
}

void err_take(struct err *e, const struct err *from){
  if( from->rc!=SQLITE_OK ) fail(e, from->rc, "%s", from->text);
}

void err_clear(struct err *e){
  e->rc = SQLITE_OK;
  e->text[0] = 0;
}

int err_stopped(struct err *e){
  int rc;
  if( e->rc!=SQLITE_OK ) return 1;
  rc = e->stop ? e->stop(e->stop_arg) : SQLITE_OK;
  if( rc==SQLITE_OK ) return 0;
  if( rc==SQLITE_NOMEM ) fail_nomem(e);
  else fail(e, SQLITE_INTERRUPT, "interrupted");
  return 1;
}
