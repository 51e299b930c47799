/*
** model_encode.c -- the encoder: rows of tokens to points.
**
** What goes through the layers for one row of tokens is a text of its registers (positions 0, 1,
** ...), its tokens, and END. Texts lie one behind another in a chunk, without padding, and every
** matrix product runs over all tokens of the chunk. Then (model/text_model.py: encode):
**
**   s = unit(mean of the outputs of tokens and END . to_s)
**   r = unit(each register's output . to_r, one after another)
**
** A text model that has a sentence encoder leaves s to it (model_meaning.c).
*/
#include "model.h"
#include <assert.h>
#include <string.h>

enum {
  /* Tokens of a chunk. More of them share each unpacking of the weights; fewer keep the rows in the
  ** second-level cache. */
  CHUNK_TOKENS = 512,
  /* Less work than this is not worth a thread: a new thread starts on the caller's processor and is
  ** moved too late. (Two threads that shared one text of 16 tokens, spinning between half layers,
  ** took 0.98 ms, and one alone 0.75. They took 0.46 ms under real-time scheduling, which no user
  ** has.) */
  WORKER_TOKENS = 128
};

struct pool {                           /* scratch for what is made of a chunk's outputs */
  float *pooled;                        /* [rows, d] means, or [rows * registers, d] outputs */
  float *projected;                     /* [rows, s] or [rows, r] */
};

struct encoding {                       /* one call of encode_tokens() */
  const struct model *m;
  struct run *run;
  const int *ids, *start;
  const int *chunk;                     /* chunk i is rows chunk[i]..chunk[i+1]-1 */
  float *z;
  struct work *work;                    /* one a worker */
  struct pool *pool;                    /* one a worker */
};

/* For a chunk of n_tokens. */
static void pool_init(struct pool *p, const struct model *m, int n_tokens, struct arena *a){
  const struct shape *shape = &m->config.shape;
  size_t rows = (size_t)n_tokens/(size_t)(shape->registers + 1) + 1;
  int widest = shape->s>shape->r ? shape->s : shape->r;
  p->pooled = arena_floats(a, (size_t)n_tokens*(size_t)shape->d);
  p->projected = arena_floats(a, rows*(size_t)widest);
}

/* Tokens of row i in a chunk, its registers and END among them. */
static int text_tokens(const struct model *m, const int *start, int i){
  return m->config.shape.registers + start[i+1] - start[i] + 1;
}

/* Lays out row i from token `at` of the chunk on. Returns where the next one begins. */
static int lay_out_row(const struct encoding *e, struct work *w, int i, int at){
  const struct model *m = e->m;
  const int *ids = e->ids + e->start[i];
  size_t d = (size_t)m->config.shape.d;
  int n_registers = m->config.shape.registers;
  int n = text_tokens(m, e->start, i);
  for(int k=0; k<n; k++){
    float *x = w->x + (size_t)(at + k)*d;
    int token = k - n_registers;
    if( token<0 ){
      memcpy(x, m->registers + (size_t)k*d, d*sizeof(float));
    }else{
      token_embed(m, x, k==n-1 ? TOKEN_END : ids[token]);
    }
    w->self[at+k] = (struct span){ w->kv + (size_t)at*2*d, 0, n };
    w->position[at+k] = k;
  }
  return at + n;
}

/* s of the chunk's rows: the mean over tokens and END, projected. */
static void read_s(const struct encoding *e, struct work *w, struct pool *pool, int row0, int row1){
  const struct model *m = e->m;
  const struct shape *shape = &m->config.shape;
  int d = shape->d;
  int s = shape->s;
  int at = 0;
  for(int i=row0; i<row1; i++){
    int n = text_tokens(m, e->start, i);
    float *mean = pool->pooled + (size_t)(i - row0)*d;
    memset(mean, 0, (size_t)d*sizeof(float));
    for(int k=shape->registers; k<n; k++) add(mean, w->y + (size_t)(at + k)*d, d);
    for(int k=0; k<d; k++) mean[k] /= (float)(n - shape->registers);
    at += n;
  }
  linear(pool->projected, pool->pooled, &m->to_s, row1 - row0, w->panel);
  for(int i=row0; i<row1; i++){
    float *z = e->z + (size_t)i*model_width(m);
    memcpy(z, pool->projected + (size_t)(i - row0)*s, (size_t)s*sizeof(float));
    normalize(z, s);
  }
}

/* r of the chunk's rows: the outputs of their registers, projected. */
static void read_r(const struct encoding *e, struct work *w, struct pool *pool, int row0, int row1){
  const struct model *m = e->m;
  const struct shape *shape = &m->config.shape;
  size_t d = (size_t)shape->d;
  size_t r = (size_t)shape->r;
  size_t one = (size_t)shape->registers*d;
  int at = 0;
  for(int i=row0; i<row1; i++){
    memcpy(pool->pooled + (size_t)(i - row0)*one, w->y + (size_t)at*d, one*sizeof(float));
    at += text_tokens(m, e->start, i);
  }
  linear(pool->projected, pool->pooled, &m->to_r, (row1 - row0)*shape->registers, w->panel);
  for(int i=row0; i<row1; i++){
    float *own = e->z + (size_t)i*model_width(m) + model_s(m);
    memcpy(own, pool->projected + (size_t)(i - row0)*r, r*sizeof(float));
    normalize(own, shape->r);
  }
}

static void encode_chunk(void *arg, struct worker *worker, int chunk){
  struct encoding *e = arg;
  const struct model *m = e->m;
  struct run *run = e->run;
  struct work *w = &e->work[worker->at];
  int row0 = e->chunk[chunk];
  int row1 = e->chunk[chunk+1];
  int n = 0;
  for(int i=row0; i<row1; i++) n = lay_out_row(e, w, i, n);
  for(int l=0; l<m->config.shape.encoder_layers; l++){
    if( worker_stopped(worker) ) return;
    layer_run(m, &m->encoder[l], w, n, l);
    if( run->watch ) run->watch(run->watch_arg, "encoder", l, w->x, n);
  }
  rms_norm(w->y, w->x, m->encoder_norm, n, m->config.shape.d, RMS_EPSILON);
  if( m->meaning==NULL ) read_s(e, w, &e->pool[worker->at], row0, row1);
  read_r(e, w, &e->pool[worker->at], row0, row1);
}

int encode_tokens(const struct model *m, struct run *run, const int *ids, const int *start, int n,
                  float *z){
  struct encoding e = { .m = m, .run = run, .ids = ids, .start = start, .z = z };
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  int more = m->config.shape.registers + 1;
  size_t n_tokens;
  int *chunk;
  int limit, n_workers, n_chunks, largest_chunk;
  assert( n>=0 && run->n_threads>=1 );
  if( n==0 ) return SQLITE_OK;
  assert( z && start[n]>=start[0] );
  if( rows_check(m, start, n, "encode", run->err)!=SQLITE_OK ) return run->err->rc;
  n_tokens = (size_t)(start[n] - start[0]) + (size_t)n*(size_t)more;
  n_workers = chunks_plan(run, n_tokens, CHUNK_TOKENS, WORKER_TOKENS, &limit);
  e.chunk = chunk = arena_get(a, ((size_t)n + 1)*sizeof(int));
  e.work = arena_get(a, (size_t)n_workers*sizeof(struct work));
  e.pool = arena_get(a, (size_t)n_workers*sizeof(struct pool));
  if( a->oom ) return fail_nomem(run->err);
  largest_chunk = rows_cut(start, n, more, limit, n, chunk, &n_chunks);
  for(int i=0; i<n_workers; i++){
    work_init(&e.work[i], m, largest_chunk, a);
    pool_init(&e.pool[i], m, largest_chunk, a);
  }
  if( a->oom ) return fail_nomem(run->err);
  chunks_run(run, n_workers, n_chunks, encode_chunk, &e);
  arena_rewind(a, mark);
  return run->err->rc;
}
