/*
** base_thread.c -- parts of one job on several threads.
**
** Threads live for one call. A pool would save some 20 microseconds, but it would have to survive
** fork(), dlclose() and the application's own signal handling. A library in somebody else's process
** should leave nothing running. An atomic counter hands out the parts: a thread that is free takes
** the next one.
*/
#include "base.h"
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

/* Starts up to n threads and returns how many there are. They take no signals: those are for the
** application's own threads. */
static int start_threads(pthread_t *threads, int n, struct job *job){
  sigset_t all, before;
  int n_started = 0;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while( n_started<n && pthread_create(&threads[n_started], NULL, take_parts, job)==0 ) n_started++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return n_started;
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
  n = n_threads>1 ? start_threads(threads, n_threads - 1, &job) : 0;
  take_parts(&job);
  for(int i=0; i<n; i++) pthread_join(threads[i], NULL);
}

/* LATENT_THREADS, or 0 when it is not set or is anything but a number from 1 to 64. */
static int threads_asked_for(void){
  const char *text = getenv("LATENT_THREADS");
  int n = 0;
  if( text==NULL || text[0]=='0' ) return 0;
  for(int i=0; text[i]; i++){
    if( !is_ascii_digit(text[i]) || i==2 ) return 0;
    n = 10*n + text[i] - '0';
  }
  return n<=THREADS_MOST ? n : 0;
}

int thread_count(void){
  int asked = threads_asked_for();
  long n;
  if( asked ) return asked;
  n = sysconf(_SC_NPROCESSORS_ONLN);
  return n<1 ? 1 : n>THREADS_DEFAULT ? THREADS_DEFAULT : (int)n;
}

int64_t clock_ns(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec*1000000000 + t.tv_nsec;
}

/* /proc/loadavg: "0.10 0.20 0.30 1/120 4711", where 1 thread runs or waits for a processor. The one
** that asks is among them. */
int processors_idle(void){
  char text[128];
  int file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  ssize_t n = file<0 ? -1 : read(file, text, sizeof(text) - 1);
  long idle = sysconf(_SC_NPROCESSORS_ONLN);
  const char *running;
  if( file>=0 ) close(file);
  if( n<=0 ) return 0;
  text[n] = 0;
  running = strchr(text, '/');
  if( running==NULL ) return 0;
  while( running>text && is_ascii_digit(running[-1]) ) running--;
  idle -= atol(running);
  return idle<0 ? 0 : (int)idle;
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
