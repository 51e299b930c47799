/*
** model_shared.c -- one copy a process of what is read from a path.
**
** The open ones of a sort are a list under global_lock(). One is read outside the lock, so that one
** thread's slow disk does not hold up another's open model. Of two threads that read the same path
** at a time, the second throws its copy away and takes the first one's.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

const char *shared_name(const struct shared *s){
  const char *slash = strrchr(s->path, '/');
  return slash ? slash + 1 : s->path;
}

static void shared_free(const struct sort *sort, struct shared *s){
  sort->release(s);
  mem_free(s->path);
  mem_free(s);
}

/* One with that path and nothing else; NULL when out of memory. */
static struct shared *new_shared(const struct sort *sort, const char *path){
  struct shared *s = mem_zeroed(sort->bytes);
  if( s==NULL ) return NULL;
  s->path = mem_alloc(strlen(path) + 1);
  if( s->path==NULL ){
    mem_free(s);
    return NULL;
  }
  strcpy(s->path, path);
  return s;
}

/* The open one of that path, with one more reference, or NULL. Under the lock. */
static struct shared *find_open(const struct sort *sort, const char *path){
  struct shared *s = sort->open;
  while( s && strcmp(s->path, path)!=0 ) s = s->next;
  if( s ) s->n_users++;
  return s;
}

static struct shared *lock_and_find_open(const struct sort *sort, const char *path){
  struct shared *s;
  global_lock();
  s = find_open(sort, path);
  global_unlock();
  return s;
}

/* Enters a new one into the list. If another thread was faster, frees it and returns that one's. */
static struct shared *enter_open(struct sort *sort, struct shared *s){
  struct shared *first;
  global_lock();
  first = find_open(sort, s->path);
  if( first==NULL ){
    s->n_users = 1;
    s->next = sort->open;
    sort->open = s;
  }
  global_unlock();
  if( first==NULL ) return s;
  shared_free(sort, s);
  return first;
}

struct shared *shared_open(struct sort *sort, const char *path, struct err *e){
  char real[PATH_BYTES];
  struct shared *s;
  assert( path && e );
  if( !path_real(real, path) ){
    fail(e, SQLITE_CANTOPEN, "%s: no such file, expected %s", path, sort->what);
    return NULL;
  }
  s = lock_and_find_open(sort, real);
  if( s ) return s;
  s = new_shared(sort, real);
  if( s==NULL ){
    fail_nomem(e);
    return NULL;
  }
  if( sort->read(s, e)!=SQLITE_OK ){
    shared_free(sort, s);
    return NULL;
  }
  return enter_open(sort, s);
}

void shared_close(struct sort *sort, struct shared *s){
  int is_last;
  if( s==NULL ) return;
  global_lock();
  assert( s->n_users>0 );
  is_last = --s->n_users==0;
  if( is_last ){
    struct shared **at = &sort->open;
    while( *at!=s ) at = &(*at)->next;
    *at = s->next;
  }
  global_unlock();
  if( is_last ) shared_free(sort, s);
}
