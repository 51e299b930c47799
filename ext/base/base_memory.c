/*
** base_memory.c -- memory from SQLite's allocator, and the arena over it.
**
** Everything the extension holds is counted by sqlite3_memory_used(), obeys the
** application's heap limit, and can be made to fail by a test. The one lock of
** the process is here too, because it is SQLite's.
**
** The arena is a list of blocks, newest first:
**
**     a->block -> [ head | pad to 64 | used ......... | free .... ] -> older -> NULL
**
** A get takes from the newest block, or puts a new one in front (twice the size
** of the last, so that a call makes few of them). Nothing is returned one by
** one: arena_release() frees the list, arena_rewind() what is newer than a mark.
** An arena belongs to one thread.
*/
#ifdef SQLITE_CORE
# include <sqlite3.h>
#else
# include <sqlite3ext.h>
SQLITE_EXTENSION_INIT3
#endif
#include "base.h"
#include <string.h>

#define ALIGNMENT       ((size_t)64)            /* a cache line, and the widest vector register */
#define BLOCK_SMALLEST  ((size_t)64 << 10)
#define BLOCK_LARGEST   ((size_t)16 << 20)      /* blocks stop doubling here; a larger get has a block of its own */
#define BLOCK_ROOM      ((size_t)1 << 62)       /* above this, adding a block's overhead could wrap */

void *mem_alloc(size_t bytes){
  return sqlite3_malloc64(bytes);
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
  unsigned char *data;          /* first aligned byte behind this head */
  size_t used, size;            /* bytes of data; used is a multiple of ALIGNMENT or equals size */
};

/* Puts a block with room for at least `bytes` in front. Returns 0 when out of memory. */
static int add_block(struct arena *a, size_t bytes){
  struct arena_block *b;
  size_t size = a->block ? 2*a->block->size : BLOCK_SMALLEST;
  if( size<BLOCK_SMALLEST ) size = BLOCK_SMALLEST;
  if( size>BLOCK_LARGEST ) size = BLOCK_LARGEST;
  if( size<bytes ) size = bytes;
  b = mem_alloc(sizeof(*b) + ALIGNMENT - 1 + size);
  if( b==NULL ) return 0;
  b->data = (unsigned char *)(((uintptr_t)(b + 1) + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
  b->used = 0;
  b->size = size;
  b->older = a->block;
  a->block = b;
  return 1;
}

/* A get of 0 bytes is a valid address, so that NULL always means failure. */
void *arena_get(struct arena *a, size_t bytes){
  struct arena_block *b;
  void *p;
  if( a->oom ) return NULL;
  if( bytes>=BLOCK_ROOM ){
    a->oom = 1;
    return NULL;
  }
  bytes = bytes ? (bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1) : ALIGNMENT;
  b = a->block;
  if( b==NULL || b->size - b->used<bytes ){
    if( !add_block(a, bytes) ){
      a->oom = 1;
      return NULL;
    }
    b = a->block;
  }
  p = b->data + b->used;
  b->used += bytes;
  return p;
}

void *arena_zeroed(struct arena *a, size_t bytes){
  void *p = arena_get(a, bytes);
  if( p ) memset(p, 0, bytes);
  return p;
}

float *arena_floats(struct arena *a, size_t count){
  return arena_get(a, count<BLOCK_ROOM/sizeof(float) ? count*sizeof(float) : SIZE_MAX);
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

/* A failure stays noted: what was asked for after the mark was not got, and its user has yet to see that. */
void arena_rewind(struct arena *a, struct arena_mark m){
  free_blocks_above(a, m.block);
  if( m.block ) m.block->used = m.used;
}

/* NULL when SQLite was built without threads; entering that is a no-op, as it should be. */
void global_lock(void){
  sqlite3_mutex_enter(sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1));
}

void global_unlock(void){
  sqlite3_mutex_leave(sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1));
}
