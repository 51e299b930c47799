/*
** base_memory.c -- memory from SQLite's allocator, and the arena over it.
**
** So everything that the extension holds is counted by sqlite3_memory_used(), obeys the
** application's heap limit, and can be made to fail by a test.
**
** The arena is a list of blocks, newest first:
**
**     a->block -> [ head | pad to 64 | used ......... | free .... ] -> older -> NULL
**
** A get takes from the newest block. Where that is too full, a new one is put in front, twice the
** size of the last, so that a call makes few of them. Nothing is given back one by one:
** arena_release() frees the list, arena_rewind() what is newer than a mark.
*/
#ifdef SQLITE_CORE
# include <sqlite3.h>
#else
# include <sqlite3ext.h>
SQLITE_EXTENSION_INIT3
#endif
#include "base.h"
#include <assert.h>
#include <string.h>

enum {
  ALIGNMENT = 64,               /* a cache line, and the widest vector register */
  BLOCK_SMALLEST = 64 << 10,
  BLOCK_LARGEST = 16 << 20      /* blocks stop doubling here; a larger get has a block of its own */
};
#define BYTES_MOST  (SIZE_MAX/4)        /* of a get: above this, adding the overhead could wrap */

void *mem_alloc(size_t bytes){
  return sqlite3_malloc64(bytes);
}

void *mem_zeroed(size_t bytes){
  void *p = mem_alloc(bytes);
  if( p ) memset(p, 0, bytes);
  return p;
}

/* Asked for 0 bytes SQLite would free the block and return NULL, which here means failure. */
void *mem_resize(void *p, size_t bytes){
  return sqlite3_realloc64(p, bytes ? bytes : 1);
}

void mem_free(void *p){
  sqlite3_free(p);
}

struct arena_block {
  struct arena_block *older;
  unsigned char *data;          /* the first aligned byte behind this head */
  size_t used;                  /* bytes of data that are given out: a multiple of ALIGNMENT */
  size_t size;                  /* bytes of data */
};

static uintptr_t aligned(uintptr_t x){
  return (x + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
}

/* Puts a block with room for at least `bytes` in front. Returns 0 when out of memory. */
static int add_block(struct arena *a, size_t bytes){
  struct arena_block *b;
  size_t size = a->block ? 2*a->block->size : BLOCK_SMALLEST;
  if( size<BLOCK_SMALLEST ) size = BLOCK_SMALLEST;
  if( size>BLOCK_LARGEST ) size = BLOCK_LARGEST;
  if( size<bytes ) size = bytes;
  b = mem_alloc(sizeof(*b) + ALIGNMENT - 1 + size);
  if( b==NULL ) return 0;
  b->data = (unsigned char *)aligned((uintptr_t)(b + 1));
  b->used = 0;
  b->size = size;
  b->older = a->block;
  a->block = b;
  return 1;
}

/* A get of 0 bytes is a valid address, so that NULL always means failure. */
void *arena_get(struct arena *a, size_t bytes){
  struct arena_block *b = a->block;
  void *p;
  if( a->oom ) return NULL;
  if( bytes>=BYTES_MOST ){
    a->oom = 1;
    return NULL;
  }
  bytes = bytes ? aligned(bytes) : ALIGNMENT;
  if( b==NULL || b->size - b->used<bytes ){
    if( !add_block(a, bytes) ){
      a->oom = 1;
      return NULL;
    }
    b = a->block;
  }
  p = b->data + b->used;
  b->used += bytes;
  assert( b->used<=b->size && (uintptr_t)p%ALIGNMENT==0 );
  return p;
}

void *arena_zeroed(struct arena *a, size_t bytes){
  void *p = arena_get(a, bytes);
  if( p ) memset(p, 0, bytes);
  return p;
}

float *arena_floats(struct arena *a, size_t count){
  return arena_get(a, count<BYTES_MOST/sizeof(float) ? count*sizeof(float) : SIZE_MAX);
}

static void free_blocks_above(struct arena *a, struct arena_block *keep){
  while( a->block!=keep ){
    struct arena_block *older = a->block->older;
    mem_free(a->block);
    a->block = older;
  }
}

void arena_release(struct arena *a){
  free_blocks_above(a, NULL);
  a->oom = 0;
}

struct arena_mark arena_mark(const struct arena *a){
  struct arena_mark m;
  m.block = a->block;
  m.used = a->block ? a->block->used : 0;
  return m;
}

/* A failure stays noted: something that was asked for after the mark was not got, and its user has
** not seen that yet. */
void arena_rewind(struct arena *a, struct arena_mark m){
  free_blocks_above(a, m.block);
  if( m.block==NULL ) return;
  assert( m.used<=m.block->used );
  m.block->used = m.used;
}
