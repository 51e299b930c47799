/*
** base_thread.c -- parts of one job on several threads.
**
** Threads live for one call. A pool would save some 20 microseconds, but would
** have to survive fork(), dlclose() and the application's own signal handling;
** a library in somebody else's process should leave nothing running.
** Parts are handed out by an atomic counter: whoever is free takes the next.
*/
#include "base.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS_MOST     64     /* of LATENT_THREADS */
#define THREADS_DEFAULT  8      /* most that are used unasked */

struct job {
  void (*work)(void *arg, int part);
  void *arg;
  int n_parts;
  atomic_int next;              /* the part that nobody has taken */
};

static void *take_parts(void *p){
  struct job *job = p;
  int part;
  while( (part = atomic_fetch_add(&job->next, 1))<job->n_parts ) job->work(job->arg, part);
  return NULL;
}

/* Starts up to n threads and returns how many there are. They take no signals: those are for the application's own. */
static int start_threads(pthread_t *threads, int n, struct job *job){
  sigset_t all, before;
  int i;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for(i=0; i<n; i++){
    if( pthread_create(&threads[i], NULL, take_parts, job)!=0 ) break;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return i;
}

void thread_parts(int n_threads, int n_parts, void (*work)(void *arg, int part), void *arg){
  pthread_t threads[THREADS_MOST];
  struct job job;
  int n, i;
  job.work = work;
  job.arg = arg;
  job.n_parts = n_parts;
  atomic_init(&job.next, 0);
  if( n_threads>n_parts ) n_threads = n_parts;
  if( n_threads>THREADS_MOST ) n_threads = THREADS_MOST;
  n = n_threads>1 ? start_threads(threads, n_threads - 1, &job) : 0;
  take_parts(&job);
  for(i=0; i<n; i++) pthread_join(threads[i], NULL);
}

/* LATENT_THREADS as 1..64, or 0 when it is not set or not exactly such a number. */
static int threads_asked_for(void){
  const char *text = getenv("LATENT_THREADS");
  int n = 0, i;
  if( text==NULL || text[0]<'1' || text[0]>'9' ) return 0;
  for(i=0; text[i]; i++){
    if( text[i]<'0' || text[i]>'9' || i==2 ) return 0;
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
