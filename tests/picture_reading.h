/*
** picture_reading.h -- reads a picture file, and watches how: for the tests.
**
** A file must give an error with a text, or a picture that is whole, and the same one whatever lay
** in memory before. So each file is read twice, into memory that was filled with one byte and then
** with another.
*/
#ifndef LATENT_TESTS_PICTURE_READING_H
#define LATENT_TESTS_PICTURE_READING_H
#include "codec.h"
#include "pictures.h"
#include <stdlib.h>
#include <string.h>

#define WHO "argument 1"                /* what messages begin with */

enum { ROOM = 60000 };                  /* of an arena's first block: holds a small picture */

struct reading {
  struct arena arena;
  struct picture p;
  struct err e;
  int beyond;                           /* 1: a byte behind the pixels was written to */
};

static int all_are(const unsigned char *at, size_t n, int byte){
  return n==0 || (at[0]==byte && memcmp(at, at+1, n-1)==0);
}

/* Where the next ROOM bytes of the arena will lie, filled with this byte. */
static unsigned char *fill_arena(struct arena *a, int fill){
  struct arena_mark mark;
  unsigned char *room;
  arena_get(a, 1);
  mark = arena_mark(a);
  room = arena_get(a, ROOM);
  memset(room, fill, ROOM);
  arena_rewind(a, mark);
  return room;
}

/* Reads a copy that is exactly as long, so that the sanitizer sees a step beyond it. `fill` is in
** memory before. */
static void read_once(struct reading *r, const void *bytes, size_t n, int fill){
  unsigned char *copy = malloc(n ? n : 1);
  const unsigned char *room;
  const unsigned char *behind;
  *r = (struct reading){ 0 };
  room = fill_arena(&r->arena, fill);
  if( n ) memcpy(copy, bytes, n);
  picture_read(&r->p, copy, n, &r->arena, WHO, &r->e);
  free(copy);
  behind = r->p.pixels ? r->p.pixels + picture_bytes(&r->p) : NULL;
  if( behind>=room && behind<=room+ROOM ){
    r->beyond = !all_are(behind, (size_t)(room+ROOM-behind), fill);
  }
}

static int is_whole(const struct picture *p){
  return p->pixels
      && p->width>0
      && p->height>0
      && picture_bytes(p)/4<=PICTURE_PIXELS_MOST;
}

/* NULL, or what is wrong with how it was read. */
static const char *odd_about(const struct reading *r){
  if( r->beyond ) return "bytes behind the pixels are changed";
  if( r->e.rc==SQLITE_OK ) return is_whole(&r->p) ? NULL : "a picture that cannot be";
  if( r->e.rc!=SQLITE_ERROR ) return "the error is not SQLITE_ERROR";
  if( strncmp(r->e.text, WHO " ", strlen(WHO " "))==0 ) return NULL;
  return "the text does not begin with who it is";
}

static const char *odd_between(const struct reading *a, const struct reading *b){
  int same_error = a->e.rc==b->e.rc && strcmp(a->e.text, b->e.text)==0;
  if( !same_error ) return "another error the second time";
  if( a->e.rc!=SQLITE_OK || same(&a->p, &b->p) ) return NULL;
  return "other pixels the second time";
}

/* Reads twice; r is the first time, for the caller to release. NULL, or what is wrong. */
static const char *read_twice(struct reading *r, const void *bytes, size_t n){
  struct reading again;
  const char *odd;
  read_once(r, bytes, n, 0x00);
  odd = odd_about(r);
  if( odd ) return odd;
  /* A larger picture does not lie in the memory that was filled. */
  if( r->p.pixels && picture_bytes(&r->p)>ROOM ) return NULL;
  read_once(&again, bytes, n, 0xFF);
  odd = odd_about(&again);
  if( odd==NULL ) odd = odd_between(r, &again);
  arena_release(&again.arena);
  return odd;
}

/* "" for NULL, for messages. */
static const char *shown(const char *odd){
  return odd ? odd : "";
}

/* 1 when the file is read well, as this picture. */
static int reads_as(const struct buf *file, const struct picture *expected){
  struct reading r;
  const char *odd = read_twice(&r, file->data, file->n);
  int good = odd==NULL && r.e.rc==SQLITE_OK && same(&r.p, expected);
  arena_release(&r.arena);
  return good;
}

#endif
