/*
** model_chunks.c -- cuts work into chunks and hands them to threads; listens for an interrupt.
**
** Each worker takes the next chunk from a counter until none is left. Only the caller's thread may
** ask the stop callback, which steps a statement of the caller's connection. The other threads look
** at a flag. A caller that finds no more chunks goes on asking while the others finish theirs,
** because a chunk of decoding can last longer than an interrupt may wait.
*/
#include "model.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

struct team {
  struct run *run;
  int n_chunks;
  atomic_int next;                      /* the first chunk that nobody has taken */
  atomic_int n_busy;                    /* workers inside a chunk */
  atomic_int stopped;
  pthread_t caller;
  void (*work)(void *arg, struct worker *worker, int chunk);
  void *arg;
};

/* ---- Interrupts ---- */

static int is_caller(const struct team *t){
  return pthread_equal(pthread_self(), t->caller);
}

int worker_stopped(struct worker *worker){
  struct team *t = worker->team;
  if( atomic_load_explicit(&t->stopped, memory_order_relaxed) ) return 1;
  if( !is_caller(t) || !err_stopped(t->run->err) ) return 0;
  atomic_store_explicit(&t->stopped, 1, memory_order_relaxed);
  return 1;
}

/* ---- Threads ---- */

/* The caller waits for the other workers, and asks for a stop meanwhile. */
static void wait_for_others(struct worker *worker){
  const int64_t since = clock_ns();
  while( atomic_load(&worker->team->n_busy)>0 ){
    if( thread_wait(since) && worker_stopped(worker) ) break;
  }
}

static void take_chunks(void *arg, int part){
  struct team *t = arg;
  struct worker worker = { t, part };
  for(;;){
    int chunk;
    /* A worker is busy before it takes a chunk. So a caller that sees no chunk left and nobody busy
    ** knows that all of them are done. */
    atomic_fetch_add(&t->n_busy, 1);
    chunk = atomic_fetch_add(&t->next, 1);
    if( chunk<t->n_chunks && !worker_stopped(&worker) ) t->work(t->arg, &worker, chunk);
    atomic_fetch_sub(&t->n_busy, 1);
    if( chunk>=t->n_chunks || atomic_load(&t->stopped) ) break;
  }
  if( is_caller(t) ) wait_for_others(&worker);
}

int chunks_run(struct run *run, int n_workers, int n_chunks,
               void (*work)(void *arg, struct worker *worker, int chunk), void *arg){
  struct team t = {
    .run = run,
    .n_chunks = n_chunks,
    .caller = pthread_self(),
    .work = work,
    .arg = arg,
  };
  assert( n_chunks>=0 );
  atomic_init(&t.next, 0);
  atomic_init(&t.n_busy, 0);
  atomic_init(&t.stopped, 0);
  if( n_workers<2 ){
    take_chunks(&t, 0);
  }else{
    thread_parts(n_workers, n_workers, take_chunks, &t);
  }
  return run->err->rc;
}

int chunks_plan(const struct run *run, size_t n_tokens, int most_tokens, int least_tokens,
                int *limit){
  size_t n = n_tokens/(size_t)least_tokens;
  if( n>(size_t)run->n_threads ) n = (size_t)run->n_threads;
  *limit = most_tokens;
  if( n<2 ) return 1;
  if( n_tokens/n + 1<(size_t)most_tokens ) *limit = (int)(n_tokens/n + 1);
  return (int)n;
}

/* ---- Rows of tokens ---- */

int rows_check(const struct model *m, const int *start, int n, const char *what, struct err *e){
  int most = m->config.shape.longest - 1;
  for(int i=0; i<n; i++){
    int n_ids = start[i+1] - start[i];
    if( n_ids>most ){
      return fail(e, SQLITE_TOOBIG, "%s: a segment has %d tokens, expected at most %d",
                  what, n_ids, most);
    }
  }
  return SQLITE_OK;
}

int rows_cut(const int *start, int n, int more, int most_tokens, int most_rows, int *chunk,
             int *n_chunks){
  int tokens = 0, largest_chunk = 0;
  *n_chunks = 0;
  chunk[0] = 0;
  for(int i=0; i<n; i++){
    int own = start[i+1] - start[i] + more;
    int is_full = tokens + own>most_tokens || i - chunk[*n_chunks]==most_rows;
    if( tokens>0 && is_full ){
      chunk[++*n_chunks] = i;
      tokens = 0;
    }
    tokens += own;
    if( tokens>largest_chunk ) largest_chunk = tokens;
  }
  chunk[++*n_chunks] = n;
  return largest_chunk;
}
