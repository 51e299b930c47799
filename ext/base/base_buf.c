/*
** base_buf.c -- a growable byte buffer with a maximum.
**
** A run of appends needs no checks between them. The first failure (out of memory, or more than max
** bytes) sets rc, and everything after it does nothing. Capacity doubles and always has one byte
** more than n, for the terminating 0 of buf_text().
*/
#include "base.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
  MAX_BYTES = 1000000000,       /* SQLite's default limit for a string */
  CAPACITY_SMALLEST = 128,
  PRINTF_MOST = 400,
  REPORT_LINE_MOST = 299,
  REPORT_LINES_MOST = 20
};

/* Room for n more bytes and a terminator. Returns 0 after noting why not. */
static int make_room(struct buf *b, size_t n){
  size_t max = b->max ? b->max : MAX_BYTES;
  size_t capacity;
  char *data;
  assert( b->n<=b->capacity );
  if( b->rc!=SQLITE_OK ) return 0;
  if( n>max || b->n>max - n ){
    b->rc = SQLITE_TOOBIG;
    return 0;
  }
  if( b->n + n<b->capacity ) return 1;
  capacity = b->capacity<CAPACITY_SMALLEST ? CAPACITY_SMALLEST : b->capacity;
  while( capacity<=b->n + n ) capacity *= 2;
  data = mem_resize(b->data, capacity);
  if( data==NULL ){
    b->rc = SQLITE_NOMEM;
    return 0;
  }
  b->data = data;
  b->capacity = capacity;
  return 1;
}

void *buf_extend(struct buf *b, size_t n){
  char *p;
  if( !make_room(b, n) ) return NULL;
  p = b->data + b->n;
  b->n += n;
  return p;
}

void buf_append(struct buf *b, const void *data, size_t n){
  void *p = buf_extend(b, n);
  assert( data!=NULL || n==0 );
  if( p && n ) memcpy(p, data, n);
}

void buf_char(struct buf *b, char c){
  buf_append(b, &c, 1);
}

void buf_str(struct buf *b, const char *text){
  buf_append(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *format, ...){
  char text[PRINTF_MOST + 1];
  va_list args;
  int n;
  va_start(args, format);
  n = vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  if( n>0 ) buf_append(b, text, n<PRINTF_MOST ? (size_t)n : PRINTF_MOST);
}

void utf8_clean(struct buf *out, const char *text, size_t n){
  size_t done = 0;      /* text[0..done) is appended */
  size_t i = 0;         /* text[done..i) is valid, and waits for one append */
  while( i<n ){
    int length = utf8_length(text + i, n - i);
    if( length ){
      i += (size_t)length;
      continue;
    }
    buf_append(out, text + done, i - done);
    buf_str(out, UTF8_REPLACEMENT);
    i++;
    done = i;
  }
  buf_append(out, text + done, n - done);
}

/* The escape of one character below U+0080, or NULL when it stands for itself. */
static const char *json_escape(unsigned char c, char spare[8]){
  switch( c ){
    case '"':  return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
  }
  if( c>=0x20 ) return NULL;
  snprintf(spare, 8, "\\u%04x", c);
  return spare;
}

void buf_json_string(struct buf *b, const char *text, size_t n){
  char spare[8];
  size_t i = 0;
  buf_char(b, '"');
  while( i<n ){
    int length = utf8_length(text + i, n - i);
    const char *escape = length==1 ? json_escape((unsigned char)text[i], spare) : NULL;
    if( length==0 ) buf_str(b, UTF8_REPLACEMENT);
    else if( escape ) buf_str(b, escape);
    else buf_append(b, text + i, (size_t)length);
    i += length ? (size_t)length : 1;
  }
  buf_char(b, '"');
}

void buf_report_line(struct buf *report, const char *format, ...){
  char line[REPORT_LINE_MOST + 1];
  va_list args;
  int n_lines = 0;
  for(size_t i=0; i<report->n; i++) n_lines += report->data[i]=='\n';
  if( n_lines>=REPORT_LINES_MOST ) return;
  va_start(args, format);
  vsnprintf(line, sizeof(line), format, args);
  va_end(args);
  buf_str(report, line);
  buf_char(report, '\n');
}

const char *buf_text(struct buf *b){
  if( !make_room(b, 0) ) return "";
  b->data[b->n] = 0;
  return b->data;
}

char *buf_copy(const struct buf *b, struct arena *a){
  char *copy = arena_get(a, b->n + 1);
  if( copy==NULL ) return NULL;
  if( b->n>0 ) memcpy(copy, b->data, b->n);
  copy[b->n] = 0;
  return copy;
}

/* Keeps max, which belongs to the use and not to the contents. */
void buf_release(struct buf *b){
  mem_free(b->data);
  b->data = NULL;
  b->n = 0;
  b->capacity = 0;
  b->rc = SQLITE_OK;
}
