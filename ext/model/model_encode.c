/*
** model_encode.c -- token rows to points: the encoder.
**
** A row is its registers (positions 0 .. n-1), its tokens, and END. Rows lie one behind another in a chunk, without padding, and every
** matrix product runs over all tokens of the chunk. Then (model/text_model.py: encode):
**   s = unit(mean of the outputs of tokens and END . to_s + mean of the words' rows of the table of words, where the model has one)
**   r = unit(each register's output . to_r, one after another)
*/
#include "model.h"
#include <string.h>

/* Tokens of a chunk. More of them share each unpacking of the weights, fewer keep the rows in the second-level cache. */
#define CHUNK_TOKENS 512
/* Less work than this is not worth a thread: it starts on the caller's processor and is moved too late. (Two threads that shared one text of 16
** tokens, spinning between half layers, took 0.98 ms, one alone 0.75; 0.46 ms under real-time scheduling, which no user has.) */
#define WORKER_TOKENS 128

struct encoding {                       /* one call of encode_tokens */
  const struct model *m;
  struct run *run;
  const int *ids, *start;
  const int *chunk;                     /* chunk i is rows chunk[i]..chunk[i+1] */
  float *z;
  struct work *work;                    /* one a worker */
  struct pool *pool;                    /* one a worker */
};
struct pool {                           /* what becomes of a chunk's outputs */
  float *pooled;                        /* [rows, d] means, or [rows * registers, d] register outputs */
  float *projected;                     /* [rows, s] or [rows, r] */
  int32_t *words;                       /* [s] */
};

/* For a chunk of that many tokens. */
static void pool_init(struct pool *p, const struct model *m, int n_tokens, struct arena *a){
  const struct shape *c = &m->config.shape;
  size_t rows = n_tokens/(c->registers+1) + 1;
  p->pooled = arena_floats(a, (size_t)n_tokens*c->d);
  p->projected = arena_floats(a, rows*(c->s>c->r ? c->s : c->r));
  p->words = arena_get(a, (size_t)c->s*sizeof(int32_t));
}

/* Token rows that row i takes in a chunk. */
static int row_tokens(const struct model *m, const int *start, int i){
  return m->config.shape.registers + start[i+1] - start[i] + 1;
}

/* Lays out row i at token `at` of the chunk. */
static int place_row(const struct encoding *e, struct work *w, int i, int at){
  const struct model *m = e->m;
  int d = m->config.shape.d, n_registers = m->config.shape.registers;
  int n = row_tokens(m, e->start, i);
  float *x = w->x + (size_t)at*d;
  for(int k=0; k<n; k++, x+=d){
    if( k<n_registers ){
      memcpy(x, m->registers + (size_t)k*d, (size_t)d*sizeof(float));
    }else{
      embed(m, x, k==n-1 ? TOKEN_END : e->ids[e->start[i] + k - n_registers]);
      add_position(m, x, m->encoder_position, k - n_registers);
    }
    w->self[at+k] = (struct span){ w->kv + (size_t)at*2*d, 0, n };
    w->position[at+k] = k;
  }
  return at+n;
}

/* Adds to s what the words say by themselves: the mean of their rows of the table. Sums of whole numbers, so in any order the same. */
static void add_words(const struct encoding *e, float *s, int32_t *sum, int i){
  const struct model *m = e->m;
  struct word_reader w = { m->config.tokenizer, e->ids + e->start[i], e->start[i+1] - e->start[i], 0, 0 };
  int width = m->config.shape.s, n = 0;
  uint32_t hash;
  memset(sum, 0, (size_t)width*sizeof(*sum));
  for(; tokenizer_next_word(&w, &hash); n++){
    const int8_t *row = m->words + (size_t)(hash % (uint32_t)m->config.shape.words)*width;
    for(int k=0; k<width; k++) sum[k] += row[k];
  }
  for(int k=0; n && k<width; k++) s[k] += (float)sum[k]*m->word_scale[k]/(float)n;
}

/* s of the chunk's rows: the mean over tokens and END, projected, and what the words add. */
static void read_s(const struct encoding *e, struct work *w, struct pool *pool, int row0, int row1){
  const struct model *m = e->m;
  const struct shape *c = &m->config.shape;
  int d = c->d, at = 0, width = c->s + c->r;
  for(int i=row0; i<row1; i++){
    int n = row_tokens(m, e->start, i);
    float *mean = pool->pooled + (size_t)(i-row0)*d;
    memset(mean, 0, (size_t)d*sizeof(float));
    for(int k=c->registers; k<n; k++) add(mean, w->y + (size_t)(at+k)*d, d);
    for(int k=0; k<d; k++) mean[k] /= (float)(n - c->registers);
    at += n;
  }
  linear(pool->projected, pool->pooled, &m->to_s, row1-row0, w->panel);
  for(int i=row0; i<row1; i++){
    float *s = e->z + (size_t)i*width;
    memcpy(s, pool->projected + (size_t)(i-row0)*c->s, (size_t)c->s*sizeof(float));
    if( m->words ) add_words(e, s, pool->words, i);
    normalize(s, c->s);
  }
}

/* r of the chunk's rows: their registers' outputs, projected. */
static void read_r(const struct encoding *e, struct work *w, struct pool *pool, int row0, int row1){
  const struct model *m = e->m;
  const struct shape *c = &m->config.shape;
  int d = c->d, at = 0, width = c->s + c->r;
  size_t one = (size_t)c->registers*d;
  for(int i=row0; i<row1; i++){
    memcpy(pool->pooled + (size_t)(i-row0)*one, w->y + (size_t)at*d, one*sizeof(float));
    at += row_tokens(m, e->start, i);
  }
  linear(pool->projected, pool->pooled, &m->to_r, (row1-row0)*c->registers, w->panel);
  for(int i=row0; i<row1; i++){
    float *r = e->z + (size_t)i*width + c->s;
    memcpy(r, pool->projected + (size_t)(i-row0)*c->r, (size_t)c->r*sizeof(float));
    normalize(r, c->r);
  }
}

static void encode_chunk(void *arg, struct worker *worker, int chunk){
  struct encoding *e = arg;
  const struct model *m = e->m;
  struct work *w = &e->work[worker->at];
  int row0 = e->chunk[chunk], row1 = e->chunk[chunk+1], n = 0;
  for(int i=row0; i<row1; i++) n = place_row(e, w, i, n);
  for(int l=0; l<m->config.shape.encoder_layers; l++){
    if( worker_stopped(worker) ) return;
    layer_run(m, &m->encoder[l], w, n, l);
    if( e->run->watch ) e->run->watch(e->run->watch_arg, "encoder", l, w->x, n);
  }
  rms_norm(w->y, w->x, m->encoder_norm, n, m->config.shape.d);
  read_s(e, w, &e->pool[worker->at], row0, row1);
  read_r(e, w, &e->pool[worker->at], row0, row1);
}

/* Workers that n_tokens are worth, and in *limit the tokens of a chunk so that all get some. */
static int plan_workers(const struct run *run, size_t n_tokens, int *limit){
  size_t n = n_tokens/WORKER_TOKENS;
  if( n>(size_t)run->n_threads ) n = run->n_threads;
  *limit = CHUNK_TOKENS;
  if( n<2 ) return 1;
  if( n_tokens/n + 1 < CHUNK_TOKENS ) *limit = (int)(n_tokens/n + 1);
  return (int)n;
}

int encode_tokens(const struct model *m, struct run *run, const int *ids, const int *start, int n, float *z){
  struct encoding e = { m, run, ids, start, 0, z, 0, 0 };
  struct arena_mark mark = arena_mark(run->arena);
  size_t n_tokens;
  int limit, n_workers, n_chunks, most, *chunk;
  if( n==0 ) return SQLITE_OK;
  if( check_rows(m, start, n, "encode", run->err) ) return run->err->rc;
  n_tokens = (size_t)(start[n] - start[0]) + (size_t)n*(m->config.shape.registers + 1);
  n_workers = plan_workers(run, n_tokens, &limit);
  e.chunk = chunk = arena_get(run->arena, ((size_t)n+1)*sizeof(int));
  e.work = arena_get(run->arena, n_workers*sizeof(struct work));
  e.pool = arena_get(run->arena, n_workers*sizeof(struct pool));
  if( run->arena->oom ) return fail_nomem(run->err);
  most = cut_chunks(start, n, m->config.shape.registers + 1, limit, n, chunk, &n_chunks);
  for(int i=0; i<n_workers; i++){
    work_init(&e.work[i], m, most, run->arena);
    pool_init(&e.pool[i], m, most, run->arena);
  }
  if( run->arena->oom ) return fail_nomem(run->err);
  run_chunks(run, n_workers, n_chunks, encode_chunk, &e);
  arena_rewind(run->arena, mark);
  return run->err->rc;
}
