/*
** web_system.c -- the system under latent in a browser: one thread, and files that lie in the
** module's own memory. It stands in the place of base_map.c, base_posix.c and base_thread.c.
**
** JavaScript brings files before they are asked for: web_space() makes space for one, JavaScript
** writes the bytes there, piece by piece as they arrive, and web_place() gives it its name. So the
** weights are in memory once. A file is never taken away again. map_open() hands out its address.
*/
#include "base.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT(name) __attribute__((export_name(name)))

/* ---- Files ---- */

struct file {
  struct file *next;
  size_t n;                     /* bytes */
  unsigned char *data;          /* [n], 64-byte aligned */
  char path[];                  /* absolute: "/model/text.safetensors" */
};
static struct file *files;

static struct file *file_find(const char *path){
  for(struct file *f=files; f; f=f->next){
    if( strcmp(f->path, path)==0 ) return f;
  }
  return NULL;
}

/* Does any file lie in this folder? */
static int is_folder(const char *path){
  size_t n = strlen(path);
  while( n>0 && path[n-1]=='/' ) n--;
  for(struct file *f=files; f; f=f->next){
    if( strncmp(f->path, path, n)==0 && f->path[n]=='/' ) return 1;
  }
  return 0;
}

/* Space for the n bytes of a file, which the caller fills; NULL: out of memory. */
EXPORT("web_space") void *web_space(size_t n){
  return aligned_alloc(64, (n + 64)/64*64);
}

/* Names the bytes that web_space() gave space for. A file of that path is replaced for all who open
** it from now on. SQLITE_OK or SQLITE_NOMEM. */
EXPORT("web_place") int web_place(const char *path, void *data, size_t n){
  struct file *f = malloc(sizeof(*f) + strlen(path) + 1);
  if( f==NULL ) return SQLITE_NOMEM;
  f->next = files;
  f->n = n;
  f->data = data;
  strcpy(f->path, path);
  files = f;
  return SQLITE_OK;
}

int map_open(struct file_map *m, const char *path, struct err *e){
  const struct file *f = file_find(path);
  *m = (struct file_map){ 0 };
  if( f==NULL && is_folder(path) ){
    return fail(e, SQLITE_CANTOPEN, "%s: is a directory, expected a file", path);
  }
  if( f==NULL ) return fail(e, SQLITE_CANTOPEN, "%s: %s", path, strerror(ENOENT));
  if( f->n==0 ) return fail(e, SQLITE_CORRUPT, "%s: the file is empty", path);
  m->data = f->data;
  m->n = f->n;
  return SQLITE_OK;
}

void map_close(struct file_map *m){
  *m = (struct file_map){ 0 };
}

int path_exists(const char *path){
  return file_find(path)!=NULL || is_folder(path);
}

int path_is_directory(const char *path){
  return is_folder(path);
}

int path_real(char *out, const char *path){
  if( !path_exists(path) || strlen(path)>=PATH_BYTES ) return 0;
  strcpy(out, path);
  return 1;
}

/* A module in WebAssembly does not know where it came from: LATENT_MODEL tells where to look. */
int path_own(char *out){
  (void)out;
  return 0;
}

const char *environment_get(const char *name, char *out){
  (void)out;
  return getenv(name);
}

/* ---- Threads, of which there is one ---- */

int pthread_key_create(pthread_key_t *key, void (*destroy)(void *)){
  static __typeof__(**key) only;
  (void)destroy;
  *key = &only;
  return 0;
}

void thread_parts(int n_threads, int n_parts, void (*work)(void *arg, int part), void *arg){
  (void)n_threads;
  assert( work!=NULL && n_parts>=0 );
  for(int part=0; part<n_parts; part++) work(arg, part);
}

int thread_count(void){
  return 1;
}

int processors_idle(void){
  return 0;
}

int thread_wait(int64_t since){         /* there is no other thread to wait for */
  (void)since;
  return 1;
}

void global_lock(void){
}

void global_unlock(void){
}

int64_t clock_ns(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec*1000000000 + t.tv_nsec;
}
