/*
** base_set.c -- a set of 64-bit keys, each with a number if that is asked for.
**
** Open addressing: a key lies at the place that its hash names, or at the first free place behind
** it. A free place holds 0. At most half of the places are taken, so a search passes few of them.
**
**     keys    [ 0 | 77 | 0 | 5 | 12 | 0 | 0 | 0 ]  [ 1 ]
**               size places, a power of 2           the key 0: 1 when it is in the set
**
** The key 0 cannot be told from a free place. It has a place of its own behind the others, which
** holds 1 when the key is in the set. So a place is taken if it does not hold 0, in all cases.
*/
#include "base.h"
#include <assert.h>
#include <string.h>

enum { SIZE_SMALLEST = 64 };
#define KEYS_MOST  (SIZE_MAX/64)        /* more would let the number of bytes overflow */

/* Where the key is, or the free place for it. The set has places. */
static size_t place_of(const struct key_set *s, uint64_t key){
  size_t at = (size_t)(key*UINT64_C(0x9E3779B97F4A7C15) >> 32) & (s->size - 1);
  if( key==0 ) return s->size;
  while( s->keys[at]!=0 && s->keys[at]!=key ) at = (at + 1) & (s->size - 1);
  return at;
}

static void *get_memory(struct key_set *s, size_t bytes){
  void *p = s->arena ? arena_get(s->arena, bytes) : mem_alloc(bytes);
  if( p==NULL ) s->oom = 1;
  return p;
}

static void free_memory(struct key_set *s){
  if( s->arena ) return;
  mem_free(s->keys);
  mem_free(s->values);
}

/* Takes over what `from` holds. There is room for it. */
static void copy_places(struct key_set *s, const struct key_set *from){
  for(size_t i=0; i<=from->size; i++){
    uint64_t key = i<from->size ? from->keys[i] : 0;
    size_t at;
    if( from->keys[i]==0 ) continue;
    at = place_of(s, key);
    s->keys[at] = from->keys[i];
    if( s->has_values ) s->values[at] = from->values[i];
  }
  s->n = from->n;
}

int key_set_reserve(struct key_set *s, size_t most){
  struct key_set larger = { .arena = s->arena, .has_values = s->has_values };
  if( s->oom ) return SQLITE_NOMEM;
  if( most<=s->size/2 ) return SQLITE_OK;
  if( most>KEYS_MOST ){
    s->oom = 1;
    return SQLITE_NOMEM;
  }
  larger.size = SIZE_SMALLEST;
  while( larger.size/2<most ) larger.size *= 2;
  larger.keys = get_memory(&larger, (larger.size + 1)*sizeof(*larger.keys));
  if( s->has_values ) larger.values = get_memory(&larger, (larger.size + 1)*sizeof(*larger.values));
  if( larger.oom ){
    free_memory(&larger);
    s->oom = 1;
    return SQLITE_NOMEM;
  }
  memset(larger.keys, 0, (larger.size + 1)*sizeof(*larger.keys));
  if( s->size>0 ) copy_places(&larger, s);
  free_memory(s);
  *s = larger;
  return SQLITE_OK;
}

int key_set_put(struct key_set *s, uint64_t key, int value){
  size_t at;
  assert( value>=0 );
  assert( s->n<=s->size/2 );
  if( key_set_has(s, key) ) return 0;
  if( key_set_reserve(s, s->n + 1)!=SQLITE_OK ) return 0;
  at = place_of(s, key);
  s->keys[at] = key ? key : 1;
  if( s->has_values ) s->values[at] = value;
  s->n++;
  return 1;
}

int key_set_add(struct key_set *s, uint64_t key){
  assert( !s->has_values );
  return key_set_put(s, key, 0);
}

int key_set_has(const struct key_set *s, uint64_t key){
  return s->n>0 && s->keys[place_of(s, key)]!=0;
}

int key_set_value(const struct key_set *s, uint64_t key){
  size_t at;
  if( s->n==0 ) return -1;
  assert( s->has_values );
  at = place_of(s, key);
  return s->keys[at]!=0 ? s->values[at] : -1;
}

/* Keeps arena and has_values, which belong to the use and not to the contents. */
void key_set_release(struct key_set *s){
  free_memory(s);
  *s = (struct key_set){ .arena = s->arena, .has_values = s->has_values };
}
