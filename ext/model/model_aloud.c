/*
** model_aloud.c -- how a text reads to the language model as it came, which knows no point.
**
** The writer is sure of many a text that nobody would write: "How long would rice fried in chicken
** sauce?". The plain model is not. So the best candidates for a point are read once more, all
** pieces of some texts at a step, which takes a fraction of what writing them took. What counts is
** how each goes on: its first piece comes out of nothing and would weigh upon short texts.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

enum { ROWS = 32 };                     /* of the texts of a chunk, or one text */

struct aloud {                          /* one call of texts_nats() */
  const struct writer *w;
  struct run *run;
  int *ids, *start;                     /* pieces of text i: ids[start[i]..start[i+1]) */
  int n;
  int *chunk, n_chunks;                 /* chunk c is the texts chunk[c]..chunk[c+1]-1 */
  int rows, texts;                      /* of the largest chunk */
  float *nats;                          /* [n] */
  struct aloud_work *work;              /* one a worker */
};

struct aloud_work {
  struct writing writing;
  struct written *rows;
  float *scores;                        /* [rows, pieces] */
  float *caches;                        /* [texts] of page_floats() */
};

/* The pieces of all texts, of each up to what the writer would write. */
static int cut_texts(struct aloud *a, const struct content *texts){
  struct arena *arena = a->run->arena;
  int longest = a->w->config.shape.longest;
  a->ids = arena_get(arena, (size_t)a->n*(size_t)longest*sizeof(int));
  a->start = arena_get(arena, ((size_t)a->n + 1)*sizeof(int));
  a->chunk = arena_get(arena, ((size_t)a->n + 1)*sizeof(int));
  if( arena->oom ) return fail_nomem(a->run->err);
  a->start[0] = 0;
  for(int i=0; i<a->n; i++){
    struct arena_mark mark = arena_mark(arena);
    int *ids, n;
    bpe_encode(a->w->bpe, texts[i].bytes, texts[i].n, arena, &ids, &n, a->run->err);
    if( a->run->err->rc!=SQLITE_OK ) return a->run->err->rc;
    if( n>longest ) n = longest;
    memcpy(a->ids + a->start[i], ids, (size_t)n*sizeof(int));
    a->start[i+1] = a->start[i] + n;
    arena_rewind(arena, mark);
  }
  return SQLITE_OK;
}

/* Reads the texts of a chunk. Their rows are `begin` and their pieces. */
static void read_chunk(void *arg, struct worker *worker, int chunk){
  struct aloud *a = arg;
  struct aloud_work *work = &a->work[worker->at];
  const struct writer_shape *shape = &a->w->config.shape;
  int limit = shape->longest + 1;
  int first = a->chunk[chunk];
  int end = a->chunk[chunk+1];
  const float *y = work->scores;
  int n = 0;
  for(int i=first; i<end; i++){
    float *cache = work->caches + (size_t)(i - first)*page_floats(a->w, limit);
    for(int at=0; at<=a->start[i+1] - a->start[i]; at++){
      int id = at==0 ? shape->begin : a->ids[a->start[i] + at - 1];
      work->rows[n++] = (struct written){ id, at, 0, cache, limit };
    }
  }
  if( !writing_step(&work->writing, a->run, worker, work->rows, n, 1) ) return;
  writing_scores(&work->writing, work->scores, n);
  for(int i=first; i<end; i++){
    int pieces = a->start[i+1] - a->start[i];
    float sum = 0;
    for(int at=0; at<=pieces; at++, y+=shape->pieces){
      int next = at<pieces ? a->ids[a->start[i] + at] : shape->begin;   /* between texts */
      if( at>0 ) sum -= y[next];
    }
    a->nats[i] = pieces>0 ? sum/(float)pieces : 0;
  }
}

static int make_work(struct aloud *a, int n_workers){
  struct arena *arena = a->run->arena;
  const struct writer_shape *shape = &a->w->config.shape;
  int limit = shape->longest + 1;
  a->work = arena_zeroed(arena, (size_t)n_workers*sizeof(*a->work));
  if( arena->oom ) return fail_nomem(a->run->err);
  for(int i=0; i<n_workers; i++){
    struct aloud_work *work = &a->work[i];
    writing_init(&work->writing, a->w, a->rows, 1, limit, arena);
    work->rows = arena_get(arena, (size_t)a->rows*sizeof(*work->rows));
    work->scores = arena_floats(arena, (size_t)a->rows*(size_t)shape->pieces);
    work->caches = arena_floats(arena, (size_t)a->texts*page_floats(a->w, limit));
  }
  return arena->oom ? fail_nomem(a->run->err) : SQLITE_OK;
}

int texts_nats(const struct writer *w, struct run *run, const struct content *texts, int n,
               float *nats){
  struct arena_mark mark = arena_mark(run->arena);
  struct aloud a = { .w = w, .run = run, .n = n, .nats = nats };
  int n_workers;
  assert( n>0 );
  if( cut_texts(&a, texts)!=SQLITE_OK ) return run->err->rc;
  a.rows = rows_cut(a.start, n, 1, ROWS, ROWS, a.chunk, &a.n_chunks);
  for(int i=0; i<a.n_chunks; i++){
    int count = a.chunk[i+1] - a.chunk[i];
    if( count>a.texts ) a.texts = count;
  }
  n_workers = a.n_chunks<run->n_threads ? a.n_chunks : run->n_threads;
  if( make_work(&a, n_workers)!=SQLITE_OK ) return run->err->rc;
  chunks_run(run, n_workers, a.n_chunks, read_chunk, &a);
  arena_rewind(run->arena, mark);
  return run->err->rc;
}
