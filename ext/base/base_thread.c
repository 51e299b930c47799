/*
** base_thread.c -- parts of one job on several threads.
**
** Threads live for one call. A pool would save some 20 microseconds, but it would have to survive
** fork(), dlclose() and the application's own signal handling. A library in somebody else's process
** should leave nothing running. An atomic counter hands out the parts: a thread that is free takes
** the next one.
*/
#include "base_system.h"
#include <assert.h>
#include <stdatomic.h>
#include <time.h>

enum {
  THREADS_MOST = 64,            /* LATENT_THREADS may be so large */
  THREADS_DEFAULT = 8           /* the most without LATENT_THREADS */
};

struct job {
  void (*work)(void *arg, int part);
  void *arg;
  int n_parts;
  atomic_int next;              /* the first part that nobody has taken */
};

static void *take_parts(void *p){
  struct job *job = p;
  int part;
  while( (part = atomic_fetch_add(&job->next, 1))<job->n_parts ) job->work(job->arg, part);
  return NULL;
}

void thread_parts(int n_threads, int n_parts, void (*work)(void *arg, int part), void *arg){
  pthread_t threads[THREADS_MOST];
  struct job job = { .work = work, .arg = arg, .n_parts = n_parts };
  int n;
  assert( work!=NULL );
  assert( n_parts>=0 );
  atomic_init(&job.next, 0);
  if( n_threads>n_parts ) n_threads = n_parts;
  if( n_threads>THREADS_MOST ) n_threads = THREADS_MOST;
  n = n_threads>1 ? threads_start(threads, n_threads - 1, take_parts, &job) : 0;
  take_parts(&job);
  for(int i=0; i<n; i++) pthread_join(threads[i], NULL);
}

/* LATENT_THREADS, or 0 when it is not set or is anything but a number from 1 to 64. */
static int threads_asked_for(void){
  char scratch[PATH_BYTES];
  const char *text = environment_get("LATENT_THREADS", scratch);
  int n = 0;
  if( text==NULL || text[0]=='0' ) return 0;
  for(int i=0; text[i]; i++){
    if( !is_ascii_digit(text[i]) || i==2 ) return 0;
    n = 10*n + text[i] - '0';
  }
  return n<=THREADS_MOST ? n : 0;
}

int thread_count(void){
  int n = threads_asked_for();
  if( n ) return n;
  n = processors_count();
  return n>THREADS_DEFAULT ? THREADS_DEFAULT : n;
}

int64_t clock_ns(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec*1000000000 + t.tv_nsec;
}

int thread_wait(int64_t since){
  enum { AWAKE = 200000, MOST = 1000000 };
  const int64_t waited = clock_ns() - since;
  const struct timespec pause = { 0, (long)(waited/8<MOST ? waited/8 : MOST) };
  if( waited<AWAKE ) return 0;
  nanosleep(&pause, NULL);
  return 1;
}

/* Not SQLite's own mutex: a SQLite that was built without threads (SQLITE_THREADSAFE=0) has none,
** and could not be linked with. */
static pthread_mutex_t global = PTHREAD_MUTEX_INITIALIZER;

void global_lock(void){
  pthread_mutex_lock(&global);
}

void global_unlock(void){
  pthread_mutex_unlock(&global);
}
