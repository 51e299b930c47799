/*
** model_score.c -- how likely rows of tokens are at points, and which tokens greedy decoding would
** choose in their places.
**
** This is full decoding: one pass over whole rows, without a cache. Cached decoding (model_step.c)
** is tested against it.
**
** Rows lie one behind another, as in model_encode.c. START and the ids go in; the ids and END are
** asked for.
*/
#include "model.h"
#include <assert.h>

enum {
  CHUNK_TOKENS = 512,
  CHUNK_ROWS = 64,                      /* bounds the memories: [layers, rows, memory, 2d] */
  OUTPUT_ROWS = 64                      /* tokens whose scores over all pieces are held at once */
};

struct scoring {                        /* one call of score_tokens() */
  const struct model *m;
  struct run *run;
  const float *z;
  const int *ids, *start;
  const int *chunk;                     /* chunk i is rows chunk[i]..chunk[i+1]-1 */
  float *sums, *all;                    /* as in score_tokens() */
  int *guesses;
  struct work *work;                    /* one a worker */
  struct memories *memories;            /* one a worker */
  float **logits;                       /* one a worker: [OUTPUT_ROWS, pieces] */
};

/* Tokens that are asked for of a row; as many go in. */
static int row_targets(const struct scoring *s, int row){
  return s->start[row+1] - s->start[row] + 1;
}

/* Lays out a row from token `at` of the chunk on. slot: of its memory. Returns where the next
** begins. */
static int lay_out_row(const struct scoring *s, struct work *w, const struct memories *c, int row,
                       int slot, int at){
  const struct model *m = s->m;
  const int *ids = s->ids + s->start[row];
  int d = m->config.shape.d;
  int n = row_targets(s, row);
  for(int k=0; k<n; k++){
    float *x = w->x + (size_t)(at + k)*d;
    token_embed(m, x, k ? ids[k-1] : TOKEN_START);
    add(x, c->z_in + (size_t)slot*d, d);
    w->self[at+k] = (struct span){ w->kv + (size_t)at*2*d, 0, k + 1 };
    w->cross[at+k] = memories_span(c, m, slot);
    w->position[at+k] = k;
  }
  return at + n;
}

/* What greedy decoding would choose: the first of the most likely tokens that may come out. */
static int best_token(const struct model *m, const float *x){
  int best = TOKEN_END;
  for(int t=best+1; t<m->config.shape.pieces; t++){
    if( t!=TOKEN_UNKNOWN && x[t]>x[best] ) best = t;
  }
  return best;
}

/* Notes token k of a row. x[pieces]: its log-probabilities. */
static void score_token(const struct scoring *s, int row, int k, const float *x){
  int first = s->start[row];
  int n_ids = s->start[row+1] - first;
  int target = k<n_ids ? s->ids[first+k] : TOKEN_END;
  int at = first + row + k;
  s->sums[row] += x[target];
  if( s->all ) s->all[at] = x[target];
  if( s->guesses ) s->guesses[at] = best_token(s->m, x);
}

/* Adds up the log-probabilities of a chunk that begins with row0. w->y holds its n normed
** outputs. */
static void read_scores(const struct scoring *s, struct work *w, float *logits, int row0, int n){
  const struct model *m = s->m;
  int d = m->config.shape.d;
  int pieces = m->config.shape.pieces;
  int row = row0;
  int k = 0;
  s->sums[row] = 0;
  for(int at=0; at<n; at+=OUTPUT_ROWS){
    int count = n - at<OUTPUT_ROWS ? n - at : OUTPUT_ROWS;
    linear(logits, w->y + (size_t)at*d, &m->output, count, w->panel);
    for(int i=0; i<count; i++){
      float *x = logits + (size_t)i*pieces;
      log_softmax(x, pieces);
      score_token(s, row, k, x);
      if( ++k<row_targets(s, row) ) continue;
      k = 0;
      if( at + i + 1<n ) s->sums[++row] = 0;
    }
  }
}

static void score_chunk(void *arg, struct worker *worker, int chunk){
  struct scoring *s = arg;
  const struct model *m = s->m;
  struct run *run = s->run;
  struct work *w = &s->work[worker->at];
  struct memories *c = &s->memories[worker->at];
  int row0 = s->chunk[chunk];
  int row1 = s->chunk[chunk+1];
  int n = 0;
  memories_fill(c, m, NULL, s->z + (size_t)row0*model_width(m), row1 - row0, 1, w->panel);
  for(int i=row0; i<row1; i++) n = lay_out_row(s, w, c, i, i - row0, n);
  for(int l=0; l<m->config.shape.decoder_layers; l++){
    if( worker_stopped(worker) ) return;
    layer_run(m, &m->decoder[l], w, n, l);
    if( run->watch ) run->watch(run->watch_arg, "decoder", l, w->x, n);
  }
  if( worker_stopped(worker) ) return;
  rms_norm(w->y, w->x, m->decoder_norm, n, m->config.shape.d, RMS_EPSILON);
  read_scores(s, w, s->logits[worker->at], row0, n);
}

int score_tokens(const struct model *m, struct run *run, const float *z, const int *ids,
                 const int *start, int n, float *sums, float *all, int *guesses){
  struct scoring s = {
    .m = m,
    .run = run,
    .z = z,
    .ids = ids,
    .start = start,
    .sums = sums,
    .all = all,
    .guesses = guesses,
  };
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  int most_rows = n<CHUNK_ROWS ? n : CHUNK_ROWS;
  int *chunk;
  int n_chunks, n_workers, largest_chunk;
  assert( n>=0 && run->n_threads>=1 );
  if( n==0 ) return SQLITE_OK;
  assert( z && sums && start[n]>=start[0] );
  if( rows_check(m, start, n, "score", run->err)!=SQLITE_OK ) return run->err->rc;
  s.chunk = chunk = arena_get(a, ((size_t)n + 1)*sizeof(int));
  if( a->oom ) return fail_nomem(run->err);
  largest_chunk = rows_cut(start, n, 1, CHUNK_TOKENS, CHUNK_ROWS, chunk, &n_chunks);
  n_workers = run->n_threads<n_chunks ? run->n_threads : n_chunks;
  s.work = arena_get(a, (size_t)n_workers*sizeof(struct work));
  s.memories = arena_get(a, (size_t)n_workers*sizeof(struct memories));
  s.logits = arena_get(a, (size_t)n_workers*sizeof(float *));
  if( a->oom ) return fail_nomem(run->err);
  for(int i=0; i<n_workers; i++){
    work_init(&s.work[i], m, largest_chunk, a);
    memories_init(&s.memories[i], m, most_rows, a);
    s.logits[i] = arena_floats(a, (size_t)OUTPUT_ROWS*(size_t)m->config.shape.pieces);
  }
  if( a->oom ) return fail_nomem(run->err);
  chunks_run(run, n_workers, n_chunks, score_chunk, &s);
  arena_rewind(a, mark);
  return run->err->rc;
}
