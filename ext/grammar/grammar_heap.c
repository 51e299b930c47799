/*
** grammar_heap.c -- the memory of one parse, and the way out of it.
**
** tree-sitter expects every allocation to succeed: its own allocator ends the process where one
** fails, and with another it would write to NULL. So an allocation that fails here does not return:
** it jumps (longjmp) back to who began the parse. This is sound because
**
**   - a parse holds nothing but memory: no lock, no file, no thread. (It has a file only for its
**     drawings of graphs, which nobody asks for.)
**   - all of that memory, parser and tree included, is of this one heap, which is then freed whole.
**     No half-changed structure is ever looked at again, and nothing leaks.
**   - what outlives a parse is constant: the tables of the grammar, and the four addresses of the
**     allocator, which are set once in a process.
**   - tree-sitter and the scanner are C: none of their frames has anything to tidy up.
**
** In the same way a parse ends that the caller wants to stop, or that takes too much.
**
** The heap of a thread's parse is found by a key of pthreads. A _Thread_local would do, but where
** the library is loaded at run time, the first use of one may allocate, and ends the process if it
** cannot.
**
** A block is 16 bytes that say its size's number, and then what was asked for. Sizes are the
** multiples of 64 up to 1024, then powers of 2. A block that was given back waits for the next of
** its size.
*/
#include "grammar.h"
#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <tree_sitter/api.h>

enum {
  HEAD = 16,
  STEP = 64,
  STEPS = 16,                           /* sizes that are multiples of STEP */
  HEAP_BYTES_MOST = 1 << 30,
  ASKED_A_TIME = 64                     /* steps until the caller is asked whether to stop */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int has_key;

static void make_key(void){
  has_key = pthread_key_create(&key, NULL)==0;
  ts_set_allocator(grammar_malloc, grammar_calloc, grammar_realloc, grammar_free);
}

int heap_enter(struct heap *h, struct err *e){
  *h = (struct heap){ .err = e };
  pthread_once(&once, make_key);
  if( !has_key || pthread_setspecific(key, h)!=0 ) return fail_nomem(e);
  return SQLITE_OK;
}

void heap_exit(struct heap *h){
  if( has_key ) pthread_setspecific(key, NULL);
  arena_release(&h->arena);
}

void heap_leave(struct heap *h){
  longjmp(h->out, 1);
}

void heap_ask(struct heap *h){
  if( ++h->n_asked%ASKED_A_TIME==0 && err_stopped(h->err) ) heap_leave(h);
}

static size_t bytes_of(int size){
  return size<STEPS ? (size_t)STEP*((size_t)size + 1) : (size_t)STEP*STEPS << (size - STEPS + 1);
}

/* The number of the least size that holds so many bytes and a head. */
static int size_for(size_t bytes){
  int size = STEPS;
  if( bytes + HEAD<=STEP*STEPS ) return (int)((bytes + HEAD + STEP - 1)/STEP) - 1;
  while( bytes_of(size)<bytes + HEAD ) size++;
  return size;
}

static void *new_block(struct heap *h, int size){
  void *p;
  if( h->bytes + bytes_of(size)>HEAP_BYTES_MOST ){
    fail(h->err, SQLITE_TOOBIG, "the code takes more than 1 GB to parse");
    heap_leave(h);
  }
  p = arena_get(&h->arena, bytes_of(size));
  if( p==NULL ){
    fail_nomem(h->err);
    heap_leave(h);
  }
  h->bytes += bytes_of(size);
  return p;
}

void *grammar_malloc(size_t bytes){
  struct heap *h = pthread_getspecific(key);
  char *block;
  int size;
  assert( h!=NULL );
  heap_ask(h);
  if( bytes>HEAP_BYTES_MOST ) bytes = HEAP_BYTES_MOST;  /* too many, and more need not be said */
  size = size_for(bytes);
  block = h->free[size];
  if( block ) memcpy(&h->free[size], block + HEAD, sizeof(void *));
  else block = new_block(h, size);
  memcpy(block, &size, sizeof(size));
  return block + HEAD;
}

void *grammar_calloc(size_t n, size_t bytes){
  size_t all = bytes>0 && n>SIZE_MAX/bytes ? SIZE_MAX : n*bytes;
  void *p = grammar_malloc(all);
  memset(p, 0, all);
  return p;
}

static int size_of(void *p){
  int size;
  memcpy(&size, (char *)p - HEAD, sizeof(size));
  return size;
}

void *grammar_realloc(void *p, size_t bytes){
  size_t held = p ? bytes_of(size_of(p)) - HEAD : 0;
  void *larger;
  if( bytes<=held ) return p;
  larger = grammar_malloc(bytes);
  if( p ) memcpy(larger, p, held);
  grammar_free(p);
  return larger;
}

void grammar_free(void *p){
  struct heap *h = pthread_getspecific(key);
  int size;
  if( p==NULL ) return;
  heap_ask(h);
  size = size_of(p);
  memcpy(p, &h->free[size], sizeof(void *));
  h->free[size] = (char *)p - HEAD;
}
