/*
** model_score.c -- how likely tokens are, given points, and which ones greedy decoding would choose in their places: full decoding, in one pass
** and without a cache.
**
** Rows lie one behind another, as in model_encode.c: START and the ids go in, the ids and END are what is asked for. (Of a picture, which has
** no END, START and all ids but the last go in.) It is also the truth that cached decoding is tested against.
*/
#include "model.h"

#define CHUNK_TOKENS 512
#define CHUNK_ROWS 64                                           /* bounds the memories: [layers, rows, memory, 2d] */
#define OUTPUT_ROWS 64                                          /* tokens whose scores over all pieces are held at once */

struct scoring {
  const struct model *m;
  struct run *run;
  const float *z;
  const int *ids, *start;
  const int *chunk;                     /* chunk i is rows chunk[i]..chunk[i+1] */
  float *sums, *all;
  int *guesses;
  struct work *work;                    /* these three: one a worker */
  struct memories *memories;
  float **logits;                       /* [OUTPUT_ROWS, pieces] */
};

/* What is asked for of a row, and so what goes in. */
static int row_targets(const struct scoring *s, int row){
  return s->start[row+1] - s->start[row] + has_end(s->m);
}

static int place_row(const struct scoring *s, struct work *w, const struct memories *c, int row, int slot, int at){
  const struct model *m = s->m;
  const int *ids = s->ids + s->start[row];
  int d = m->config.shape.d, n = row_targets(s, row);
  for(int k=0; k<n; k++){
    float *x = w->x + (size_t)(at+k)*d;
    embed(m, x, k ? ids[k-1] : TOKEN_START);
    add(x, c->z_in + (size_t)slot*d, d);
    add_position(m, x, m->decoder_position, k);
    w->self[at+k] = (struct span){ w->kv + (size_t)at*2*d, 0, k+1 };
    memories_span(c, m, slot, &w->cross[at+k]);
    w->position[at+k] = k;
  }
  return at+n;
}

/* What greedy decoding would choose: the first of the most likely tokens that may come out. */
static int best_token(const struct model *m, const float *x){
  int best = has_end(m) ? TOKEN_END : TOKEN_CODE;
  for(int t=best+1; t<m->config.shape.pieces; t++){
    if( t!=TOKEN_UNKNOWN && x[t]>x[best] ) best = t;
  }
  return best;
}

/* Adds up the chunk's log-probabilities; w->y holds its n normed outputs. */
static void read_scores(const struct scoring *s, struct work *w, float *logits, int row0, int n){
  const struct model *m = s->m;
  int d = m->config.shape.d, pieces = m->config.shape.pieces, row = row0, k = 0, end = has_end(m);
  s->sums[row] = 0;
  for(int at=0; at<n; at+=OUTPUT_ROWS){
    int rows = n-at<OUTPUT_ROWS ? n-at : OUTPUT_ROWS;
    linear(logits, w->y + (size_t)at*d, &m->output, rows, w->panel);
    for(int i=0; i<rows; i++){
      int first = s->start[row], n_ids = s->start[row+1] - first;
      int target = k<n_ids ? s->ids[first+k] : TOKEN_END;
      float *x = logits + (size_t)i*pieces;
      log_softmax(x, pieces);
      s->sums[row] += x[target];
      if( s->all ) s->all[first + end*row + k] = x[target];
      if( s->guesses ) s->guesses[first + end*row + k] = best_token(m, x);
      if( ++k==n_ids+end ){
        k = 0;
        if( at+i+1<n ) s->sums[++row] = 0;
      }
    }
  }
}

static void score_chunk(void *arg, struct worker *worker, int chunk){
  struct scoring *s = arg;
  const struct model *m = s->m;
  struct work *w = &s->work[worker->at];
  struct memories *c = &s->memories[worker->at];
  int row0 = s->chunk[chunk], row1 = s->chunk[chunk+1], n = 0, width = m->config.shape.s + m->config.shape.r;
  memories_fill(c, m, NULL, s->z + (size_t)row0*width, row1-row0, 1, w->panel);
  for(int i=row0; i<row1; i++) n = place_row(s, w, c, i, i-row0, n);
  for(int l=0; l<m->config.shape.decoder_layers; l++){
    if( worker_stopped(worker) ) return;
    layer_run(m, &m->decoder[l], w, n, l);
    if( s->run->watch ) s->run->watch(s->run->watch_arg, "decoder", l, w->x, n);
  }
  if( worker_stopped(worker) ) return;
  rms_norm(w->y, w->x, m->decoder_norm, n, m->config.shape.d);
  read_scores(s, w, s->logits[worker->at], row0, n);
}

int score_tokens(const struct model *m, struct run *run, const float *z, const int *ids, const int *start, int n, float *sums, float *all, int *guesses){
  struct scoring s = { m, run, z, ids, start, 0, sums, all, guesses, 0, 0, 0 };
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  int n_chunks, n_workers, most, *chunk;
  if( n==0 ) return SQLITE_OK;
  if( check_rows(m, start, n, "score", run->err) ) return run->err->rc;
  s.chunk = chunk = arena_get(a, ((size_t)n+1)*sizeof(int));
  if( a->oom ) return fail_nomem(run->err);
  most = cut_chunks(start, n, has_end(m), CHUNK_TOKENS, CHUNK_ROWS, chunk, &n_chunks);
  n_workers = run->n_threads<n_chunks ? run->n_threads : n_chunks;
  s.work = arena_get(a, n_workers*sizeof(struct work));
  s.memories = arena_get(a, n_workers*sizeof(struct memories));
  s.logits = arena_get(a, n_workers*sizeof(float*));
  if( a->oom ) return fail_nomem(run->err);
  for(int i=0; i<n_workers; i++){
    work_init(&s.work[i], m, most, a);
    memories_init(&s.memories[i], m, n<CHUNK_ROWS ? n : CHUNK_ROWS, a);
    s.logits[i] = arena_floats(a, (size_t)OUTPUT_ROWS*m->config.shape.pieces);
  }
  if( a->oom ) return fail_nomem(run->err);
  run_chunks(run, n_workers, n_chunks, score_chunk, &s);
  arena_rewind(a, mark);
  return run->err->rc;
}
