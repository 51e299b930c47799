/*
** model_run.c -- shares chunks of work out to threads and listens for an interrupt.
**
** Each worker takes the next chunk from a counter until none is left. Only the caller's thread may ask the stop callback (it steps
** a statement of the caller's connection); the others look at a flag. A caller that has run out of chunks goes on asking while the
** others finish theirs, since a chunk of decoding can last longer than an interrupt may wait.
*/
#include "model.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

struct team {
  struct run *run;
  int n_chunks;
  atomic_int next;                      /* first chunk that nobody has taken */
  atomic_int n_busy;                    /* workers inside a chunk */
  atomic_int stopped;
  pthread_t caller;
  void (*work)(void *, struct worker *, int);
  void *arg;
};

int run_stopped(struct run *r){
  if( r->stop==0 || !r->stop(r->stop_arg) ) return 0;
  fail(r->err, SQLITE_INTERRUPT, "interrupted");
  return 1;
}

int worker_stopped(struct worker *w){
  struct team *t = w->team;
  if( atomic_load_explicit(&t->stopped, memory_order_relaxed) ) return 1;
  if( !pthread_equal(pthread_self(), t->caller) || !run_stopped(t->run) ) return 0;
  atomic_store_explicit(&t->stopped, 1, memory_order_relaxed);
  return 1;
}

/* The caller's turn to wait: stop() is asked once a millisecond. */
static void wait_for_others(struct worker *w){
  const struct timespec millisecond = { 0, 1000000 };
  while( atomic_load(&w->team->n_busy)>0 && !worker_stopped(w) ) nanosleep(&millisecond, 0);
}

static void take_chunks(void *arg, int part){
  struct team *t = arg;
  struct worker w = { t, part };
  for(;;){
    int chunk;
    /* Busy before the chunk is taken: a caller that sees no chunk left and nobody busy may rely on both. */
    atomic_fetch_add(&t->n_busy, 1);
    chunk = atomic_fetch_add(&t->next, 1);
    if( chunk<t->n_chunks && !worker_stopped(&w) ) t->work(t->arg, &w, chunk);
    atomic_fetch_sub(&t->n_busy, 1);
    if( chunk>=t->n_chunks || atomic_load(&t->stopped) ) break;
  }
  if( pthread_equal(pthread_self(), t->caller) ) wait_for_others(&w);
}

int run_chunks(struct run *run, int n_workers, int n_chunks, void (*work)(void *, struct worker *, int), void *arg){
  struct team t;
  t.run = run;
  t.n_chunks = n_chunks;
  atomic_init(&t.next, 0);
  atomic_init(&t.n_busy, 0);
  atomic_init(&t.stopped, 0);
  t.caller = pthread_self();
  t.work = work;
  t.arg = arg;
  if( n_workers<2 ){
    take_chunks(&t, 0);
  }else{
    thread_parts(n_workers, n_workers, take_chunks, &t);
  }
  return run->err->rc;
}

int check_rows(const struct model *m, const int *start, int n, const char *what, struct err *err){
  int limit = m->config.shape.longest - 1;
  for(int i=0; i<n; i++){
    int have = start[i+1] - start[i];
    if( have>limit ) return fail(err, SQLITE_TOOBIG, "%s: a segment has %d tokens, expected at most %d", what, have, limit);
    if( have<limit && !has_end(m) ) return fail(err, SQLITE_ERROR, "%s: a picture has %d codes, expected %d", what, have, limit);
  }
  return SQLITE_OK;
}

int cut_chunks(const int *start, int n, int more, int most_tokens, int most_rows, int *chunk, int *n_chunks){
  int tokens = 0, most = 0;
  *n_chunks = 0;
  chunk[0] = 0;
  for(int i=0; i<n; i++){
    int own = start[i+1] - start[i] + more;
    if( tokens>0 && (tokens+own>most_tokens || i-chunk[*n_chunks]==most_rows) ){
      chunk[++*n_chunks] = i;
      tokens = 0;
    }
    tokens += own;
    if( tokens>most ) most = tokens;
  }
  chunk[++*n_chunks] = n;
  return most;
}
