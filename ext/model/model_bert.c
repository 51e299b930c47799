/*
** model_bert.c -- sentence encoders of the BERT family: rows of pieces to vectors.
**
** A row is [CLS], its pieces, [SEP]. All rows of a chunk lie one behind another, without padding,
** and every product runs over all of them. In formulas (Devlin et al., BERT, 2019; Reimers and
** Gurevych, Sentence-BERT, 2019), with biases at every product:
**
**   1. x = norm(piece + position + type 0)
**   2. in each layer:  x = norm(x + attention(x) . out)
**                      x = norm(x + gelu(x . up) . down)
**   3. the mean of all x of the row, or the x of [CLS], whichever the folder says; to unit length,
**      if it says so
**
** MPNet (Song et al., 2020) has no types, and adds to the scores of attention a number that depends
** on the head and on how far apart two pieces are.
**
** Attention is made of the same products as all else: for each row and head, scores = q . k^T and
** y = softmax(scores) . v. k^T and v are copied to where linear() can take them as weights. That is
** 1/300 of the work, and linear() is four times as fast as loops over heads of 32 numbers.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum {
  CHUNK_TOKENS = 512,                   /* as in model_encode.c */
  WORKER_TOKENS = 128,
  PART_TOKENS = 64,                     /* of a part of a chunk that workers share */
  PART_LEAST = 16
};

struct bert_chunk {                     /* rows that lie one behind another */
  int row0, row1;                       /* rows row0..row1-1 */
  int n;                                /* their tokens */
  float *x;                             /* [n, d] */
  float *qkv[2];                        /* [n, 3d] of even and of odd layers; may be the same */
};

struct bert_work {                      /* scratch of a worker, from the arena */
  struct bert_chunk chunk;              /* the one it is at, where it does not share one */
  float *y;                             /* [tokens, d] */
  float *hidden;                        /* [tokens, h or d] */
  float *q, *k, *v;                     /* of a head: [longest, head], [head, longest], as q */
  float *scores;                        /* [longest, longest] */
  float *out;                           /* [longest, head] */
  float *apart;                         /* [2*longest]: what a head adds for each distance */
  float *panel;                         /* LINEAR_SCRATCH of the widest matrix */
};

struct bert_encoding {                  /* one call of bert_encode() */
  const struct bert *b;
  struct run *run;
  const int *ids, *start;
  const int *chunk;                     /* chunk i is rows chunk[i]..chunk[i+1]-1 */
  float *y;
  struct bert_work *work;               /* one a worker */
  struct bert_chunk shared;             /* the only chunk, where all workers share it */
  int n_workers;
  int n_parts;                          /* into which its tokens are cut; else 1 */
  atomic_int n_done;                    /* parts that are done, of all layers */
};

enum { ENDS = 2 };                      /* [CLS] and [SEP] */

static int row_tokens(const int *start, int i){
  return start[i+1] - start[i] + ENDS;
}

static int tokens_of(const int *start, int row0, int row1){
  return start[row1] - start[row0] + (row1 - row0)*ENDS;
}

/* For chunks of up to n tokens. shares_qkv: one for both kinds of layers. */
static void bert_chunk_init(struct bert_chunk *c, const struct bert *b, int n, int shares_qkv,
                            struct arena *a){
  size_t numbers = (size_t)n*(size_t)b->config.shape.d;
  c->x = arena_floats(a, numbers);
  c->qkv[0] = arena_floats(a, 3*numbers);
  c->qkv[1] = shares_qkv ? c->qkv[0] : arena_floats(a, 3*numbers);
}

/* For up to n tokens at a time. longest: tokens of the longest row. */
static void bert_work_init(struct bert_work *w, const struct bert *b, int n, int longest,
                           struct arena *a){
  const struct bert_shape *shape = &b->config.shape;
  size_t tokens = (size_t)n;
  size_t rows = (size_t)longest;
  size_t head = (size_t)(shape->d/shape->heads);
  int widest = shape->d>shape->h ? shape->d : shape->h;
  w->y = arena_floats(a, tokens*(size_t)shape->d);
  w->hidden = arena_floats(a, tokens*(size_t)widest);
  if( widest<longest ) widest = longest;
  w->q = arena_floats(a, rows*head);
  w->k = arena_floats(a, rows*head);
  w->v = arena_floats(a, rows*head);
  w->out = arena_floats(a, rows*head);
  w->apart = arena_floats(a, 2*rows);
  w->scores = arena_floats(a, rows*rows);
  w->panel = arena_floats(a, LINEAR_SCRATCH(widest));
}

/* ---- What goes in ---- */

static void embed_piece(const struct bert *b, float *x, int id){
  int d = b->config.shape.d;
  assert( id>=0 && id<b->config.shape.pieces );
  if( b->piece_bytes ){
    const int8_t *bytes = b->piece_bytes + (size_t)id*d;
    for(int i=0; i<d; i++) x[i] = (float)bytes[i]*b->piece_scale[id];
  }else{
    memcpy(x, b->pieces + (size_t)id*d, (size_t)d*sizeof(float));
  }
}

/* x[n of tokens, d] = the tokens from..to-1 of a chunk. */
static void embed_tokens(const struct bert_encoding *e, const struct bert_chunk *c, int from,
                         int to){
  const struct bert *b = e->b;
  const struct bert_shape *shape = &b->config.shape;
  int d = shape->d;
  int at = 0;
  for(int i=c->row0; i<c->row1; i++){
    const int *ids = e->ids + e->start[i];
    int n = row_tokens(e->start, i);
    for(int k=0; k<n; k++, at++){
      float *x = c->x + (size_t)at*d;
      if( at<from || at>=to ) continue;
      embed_piece(b, x, k==0 ? b->cls : k==n-1 ? b->sep : ids[k-1]);
      add(x, b->positions + (size_t)(k + shape->first_position)*d, d);
      if( b->type ) add(x, b->type, d);
    }
  }
  at = from*d;
  layer_norm(c->x + at, c->x + at, b->norm.weight, b->norm.bias, to - from, d, shape->epsilon);
}

/* ---- A layer ---- */

/* y[rows, out] = x[rows, in] . w + bias */
static void affine_run(float *y, const float *x, const struct affine *a, int rows, float *panel){
  linear(y, x, &a->w, rows, panel);
  add_bias(y, a->bias, rows, a->w.out);
}

/* The bucket of T5 (Raffel et al., 2020) for two pieces that are `apart` pieces apart. Each side
** has 16: one for each distance below 8, then two for each doubling, and the last for 91 and more.
** */
static int distance_bucket(int apart){
  enum { SIDE = DISTANCE_BUCKETS/2, EXACT = SIDE/2 };
  int n = apart<0 ? -apart : apart;
  int bucket = n<EXACT ? n : EXACT;
  for(int64_t square=2*EXACT*EXACT; n>=EXACT && (int64_t)n*n>=square; square*=2) bucket++;
  if( bucket>SIDE-1 ) bucket = SIDE-1;
  return apart>0 ? SIDE + bucket : bucket;
}

/* w->scores[to - from, n] += what head h adds for the distance of two pieces: MPNet alone. Piece i
** takes the numbers for -i, 1 - i, ..., which lie side by side. */
static void add_distances(const struct bert *b, struct bert_work *w, int n, int from, int to,
                          int h){
  int heads = b->config.shape.heads;
  float *zero = w->apart + n - 1;
  for(int k=1-n; k<n; k++) zero[k] = b->distances[distance_bucket(k)*heads + h];
  for(int i=from; i<to; i++) add(w->scores + (size_t)(i - from)*n, zero - i, n);
}

/* to[columns, n] = from[n, columns]^T, whose rows are `stride` numbers apart. In groups of rows, so
** that their lines stay in the first-level cache: those of columns, a power of two apart, do not.
** */
static void transpose(float *to, const float *from, int n, int columns, int stride){
  enum { GROUP = 16 };
  for(int i=0; i<n; i+=GROUP, from+=(size_t)GROUP*stride){
    int rows = n - i<GROUP ? n - i : GROUP;
    for(int j=0; j<columns; j++){
      for(int k=0; k<rows; k++) to[(size_t)j*n + i + k] = from[(size_t)k*stride + j];
    }
  }
}

/* y[to - from, d] = what the tokens from..to-1 of a row of n read of all of them. qkv: of the row.
** */
static void attend_row(const struct bert *b, struct bert_work *w, float *y, const float *qkv, int n,
                       int from, int to){
  int d = b->config.shape.d;
  int head = d/b->config.shape.heads;
  int n_q = to - from;
  float scale = 1.0f/sqrtf((float)head);
  for(int h=0; h<b->config.shape.heads; h++, qkv+=head, y+=head){
    struct matrix keys = { .in = head, .out = n, .full = w->k };
    struct matrix values = { .in = n, .out = head, .full = w->v };
    for(int i=0; i<n_q; i++){
      const float *q = qkv + (size_t)(from + i)*3*d;
      for(int j=0; j<head; j++) w->q[(size_t)i*head + j] = q[j]*scale;
    }
    for(int i=0; i<n; i++){
      memcpy(w->v + (size_t)i*head, qkv + (size_t)i*3*d + 2*d, (size_t)head*sizeof(float));
    }
    transpose(w->k, qkv + d, n, head, 3*d);
    linear(w->scores, w->q, &keys, n_q, w->panel);
    if( b->distances ) add_distances(b, w, n, from, to, h);
    for(int i=0; i<n_q; i++) softmax(w->scores + (size_t)i*n, n);
    linear(w->out, w->scores, &values, n_q, w->panel);
    for(int i=0; i<n_q; i++){
      memcpy(y + (size_t)i*d, w->out + (size_t)i*head, (size_t)head*sizeof(float));
    }
  }
}

/* w->y = what the tokens from..to-1 of a chunk read, each of its row. */
static void attend_tokens(const struct bert_encoding *e, const struct bert_chunk *c,
                          const float *qkv, struct bert_work *w, int from, int to){
  int d = e->b->config.shape.d;
  int at = 0;
  for(int i=c->row0; i<c->row1; i++){
    int n = row_tokens(e->start, i);
    int first = from>at ? from - at : 0;
    int end = to<at+n ? to - at : n;
    if( first<end ){
      float *y = w->y + (size_t)(at + first - from)*d;
      attend_row(e->b, w, y, qkv + (size_t)at*3*d, n, first, end);
    }
    at += n;
  }
}

/* A layer from its attention on, for the tokens from..to-1 of a chunk. */
static void bert_layer_run(const struct bert_encoding *e, const struct bert_chunk *c,
                           struct bert_work *w, int l, int from, int to){
  const struct bert *b = e->b;
  const struct bert_layer *layer = &b->layers[l];
  int d = b->config.shape.d;
  int n = to - from;
  float epsilon = b->config.shape.epsilon;
  float *x = c->x + (size_t)from*d;
  attend_tokens(e, c, c->qkv[l%2], w, from, to);
  affine_run(w->hidden, w->y, &layer->out, n, w->panel);
  add(x, w->hidden, n*d);
  layer_norm(x, x, layer->attention_norm.weight, layer->attention_norm.bias, n, d, epsilon);
  linear(w->hidden, x, &layer->up.w, n, w->panel);
  gelu_bias(w->hidden, layer->up.bias, n, b->config.shape.h);
  affine_run(w->y, w->hidden, &layer->down, n, w->panel);
  add(x, w->y, n*d);
  layer_norm(x, x, layer->feed_norm.weight, layer->feed_norm.bias, n, d, epsilon);
  if( e->run->watch ) e->run->watch(e->run->watch_arg, "bert", l, x, n);
}

/* Step l of the tokens from..to-1, once all tokens have been through step l-1: the rest of layer
** l-1, and of layer l what its attention reads. */
static void bert_step(const struct bert_encoding *e, const struct bert_chunk *c,
                      struct bert_work *w, int l, int from, int to){
  const struct bert *b = e->b;
  int d = b->config.shape.d;
  if( l==0 ) embed_tokens(e, c, from, to);
  else bert_layer_run(e, c, w, l - 1, from, to);
  if( l<b->config.shape.layers ){
    float *qkv = c->qkv[l%2] + (size_t)from*3*d;
    affine_run(qkv, c->x + (size_t)from*d, &b->layers[l].qkv, to - from, w->panel);
  }
}

/* ---- What comes out ---- */

static void pool_row(const struct bert *b, struct bert_work *w, float *y, const float *x, int n){
  int d = b->config.shape.d;
  memcpy(y, x, (size_t)d*sizeof(float));
  if( b->config.pooling==POOLING_MEAN ){
    for(int i=1; i<n; i++) add(y, x + (size_t)i*d, d);
    for(int i=0; i<d; i++) y[i] /= (float)n;
  }
  if( b->turn.in ){
    memcpy(w->y, y, (size_t)d*sizeof(float));
    linear(y, w->y, &b->turn, 1, w->panel);
  }
  if( b->config.normalize ) normalize(y, d);
}

static void pool_rows(const struct bert_encoding *e, const struct bert_chunk *c,
                      struct bert_work *w){
  int d = e->b->config.shape.d;
  const float *x = c->x;
  for(int i=c->row0; i<c->row1; i++){
    int n = row_tokens(e->start, i);
    pool_row(e->b, w, e->y + (size_t)i*d, x, n);
    x += (size_t)n*d;
  }
}

static void encode_chunk(void *arg, struct worker *worker, int chunk){
  struct bert_encoding *e = arg;
  struct bert_work *w = &e->work[worker->at];
  struct bert_chunk *c = &w->chunk;
  c->row0 = e->chunk[chunk];
  c->row1 = e->chunk[chunk+1];
  c->n = tokens_of(e->start, c->row0, c->row1);
  for(int l=0; l<=e->b->config.shape.layers; l++){
    if( worker_stopped(worker) ) return;
    bert_step(e, c, w, l, 0, c->n);
  }
  pool_rows(e, c, w);
}

/* ---- One chunk on several threads ----
**
** Its tokens are cut into parts, and the work into steps: a part of a step needs all parts of the
** step before. Workers take parts from one list, step by step, so whoever waits, waits for parts
** that others are at. A worker that comes late finds fewer parts left.
**
** In ordinary scheduling, with two others for each processor, 16 pieces on two threads took four
** times as long as on one; so short rows are shared only where a processor is idle. Long ones took
** as long as on one thread there. (tests/bench/README.md has what sharing gives.) */

/* Until so many parts are done: 0 after a stop. Mostly that is soon. Where the other one lost its
** processor, it may take this one's, which sleeps. */
static int wait_for_parts(struct bert_encoding *e, struct worker *worker, int n){
  const int64_t since = clock_ns();
  while( atomic_load_explicit(&e->n_done, memory_order_acquire)<n ){
    if( thread_wait(since) && worker_stopped(worker) ) return 0;
  }
  return 1;
}

static void encode_part(void *arg, struct worker *worker, int at){
  struct bert_encoding *e = arg;
  int step = at/e->n_parts;
  int part = at%e->n_parts;
  int from = part*e->shared.n/e->n_parts;
  int to = (part + 1)*e->shared.n/e->n_parts;
  if( !wait_for_parts(e, worker, step*e->n_parts) ) return;
  bert_step(e, &e->shared, &e->work[worker->at], step, from, to);
  atomic_fetch_add_explicit(&e->n_done, 1, memory_order_release);
}

/* All n rows as one chunk. */
static void encode_shared(struct bert_encoding *e, int n){
  int n_steps = e->b->config.shape.layers + 1;
  atomic_init(&e->n_done, 0);
  e->shared.row1 = n;
  chunks_run(e->run, e->n_workers, n_steps*e->n_parts, encode_part, e);
  if( e->run->err->rc==SQLITE_OK ) pool_rows(e, &e->shared, &e->work[0]);
}

/* ---- A call ---- */

int bert_longest(const struct bert *b){
  return b->config.window - ENDS;
}

static int check_rows(const struct bert *b, const int *start, int n, struct err *e){
  int most = bert_longest(b);
  for(int i=0; i<n; i++){
    int n_ids = start[i+1] - start[i];
    if( n_ids<=most ) continue;
    return fail(e, SQLITE_TOOBIG, "a text has %d pieces, expected at most %d", n_ids, most);
  }
  return SQLITE_OK;
}

static int longest_row(const int *start, int n){
  int longest = 0;
  for(int i=0; i<n; i++){
    if( row_tokens(start, i)>longest ) longest = row_tokens(start, i);
  }
  return longest;
}

/* Plans who shares a chunk of n tokens. A short one is shared only with processors that are idle: a
** thread that has to wait for one is waited for. */
static void plan_sharing(struct bert_encoding *e, int n){
  int most = n/PART_LEAST;
  e->n_workers = e->run->n_threads;
  if( e->n_workers>most ) e->n_workers = most;
  if( e->n_workers>1 && n<2*WORKER_TOKENS && !e->run->shares ){
    int idle = processors_idle();
    if( e->n_workers>1 + idle ) e->n_workers = 1 + idle;
  }
  if( e->n_workers<1 ) e->n_workers = 1;
  if( e->n_workers==1 ) return;
  /* As many for each: who has none waits. */
  e->n_parts = e->n_workers*largest_of(1, (n/PART_TOKENS + e->n_workers - 1)/e->n_workers);
}

/* The scratch of each worker. tokens, longest: the most of a chunk, and of a row. */
static int scratch_init(struct bert_encoding *e, int tokens, int longest){
  struct arena *a = e->run->arena;
  int own = tokens/e->n_parts + 1;
  e->work = arena_get(a, (size_t)e->n_workers*sizeof(struct bert_work));
  if( a->oom ) return fail_nomem(e->run->err);
  for(int i=0; i<e->n_workers; i++){
    bert_work_init(&e->work[i], e->b, own, longest, a);
    if( e->n_parts==1 ) bert_chunk_init(&e->work[i].chunk, e->b, tokens, 1, a);
  }
  e->shared.n = tokens;
  if( e->n_parts>1 ) bert_chunk_init(&e->shared, e->b, tokens, 0, a);
  return a->oom ? fail_nomem(e->run->err) : SQLITE_OK;
}

int bert_encode(const struct bert *b, struct run *run, const int *ids, const int *start, int n,
                float *y){
  struct bert_encoding e = { .b = b, .run = run, .ids = ids, .start = start, .y = y };
  struct arena_mark mark = arena_mark(run->arena);
  size_t n_tokens;
  int *chunk;
  int limit, n_chunks, largest;
  assert( n>=0 && run->n_threads>=1 );
  if( n==0 ) return SQLITE_OK;
  if( check_rows(b, start, n, run->err)!=SQLITE_OK ) return run->err->rc;
  n_tokens = (size_t)(start[n] - start[0]) + (size_t)n*ENDS;
  e.n_workers = chunks_plan(run, n_tokens, CHUNK_TOKENS, WORKER_TOKENS, &limit);
  e.n_parts = 1;
  e.chunk = chunk = arena_get(run->arena, ((size_t)n + 1)*sizeof(int));
  if( run->arena->oom ) return fail_nomem(run->err);
  largest = rows_cut(start, n, ENDS, limit, n, chunk, &n_chunks);
  if( n_chunks==1 ) plan_sharing(&e, largest);
  if( scratch_init(&e, largest, longest_row(start, n))!=SQLITE_OK ) return run->err->rc;
  if( e.n_parts>1 ) encode_shared(&e, n);
  else chunks_run(run, e.n_workers, n_chunks, encode_chunk, &e);
  arena_rewind(run->arena, mark);
  return run->err->rc;
}

/* ---- Texts ---- */

enum { OVERLAP = 8 };                   /* windows overlap by an eighth */

struct windows {                        /* of all texts, as bert_encode() takes rows */
  int *rows, *start;
  int n;
};

/* Ids from one window's begin to the next one's. */
static int window_step(const struct bert *b){
  return bert_longest(b) - bert_longest(b)/OVERLAP;
}

/* Windows of a text of n ids. No ids are one window. */
static int windows_of(const struct bert *b, int n){
  int most = bert_longest(b);
  int step = window_step(b);
  return n<=most ? 1 : (n - most + step - 1)/step + 1;
}

/* The vocabulary may have more pieces than the network. */
static int check_ids(const struct bert *b, const int *ids, int n, struct err *e){
  for(int i=0; i<n; i++){
    if( ids[i]<b->config.shape.pieces ) continue;
    return fail(e, SQLITE_CORRUPT, "%s: the vocabulary has a piece %d, and the network %d pieces",
                shared_name(&b->shared), ids[i], b->config.shape.pieces);
  }
  return SQLITE_OK;
}

/* The windows of ids[n] become rows; the last one ends where the text does. */
static void lay_out_windows(const struct bert *b, struct windows *w, const int *ids, int n){
  int most = bert_longest(b);
  int n_windows = windows_of(b, n);
  int length = n<most ? n : most;
  for(int i=0; i<n_windows; i++){
    int from = i<n_windows-1 ? i*window_step(b) : n - length;
    int at = w->start[w->n];
    if( length>0 ) memcpy(w->rows + at, ids + from, (size_t)length*sizeof(int));
    w->start[++w->n] = at + length;
  }
}

struct pieces {                         /* of one text */
  int *ids;
  int n;
};

/* pieces[n] of the texts, in the arena. *n_rows, *n_ids: of all their windows. */
static int read_pieces(const struct bert *b, struct run *run, const struct content *texts, int n,
                       struct pieces *pieces, size_t *n_rows, size_t *n_ids){
  *n_rows = *n_ids = 0;
  for(int i=0; i<n; i++){
    struct pieces *p = &pieces[i];
    int n_windows;
    wordpiece_encode(b->wordpiece, texts[i].bytes, texts[i].n, run->arena, &p->ids, NULL, &p->n,
                     run->err);
    if( run->err->rc!=SQLITE_OK || err_stopped(run->err) ) return run->err->rc;
    if( check_ids(b, p->ids, p->n, run->err)!=SQLITE_OK ) return run->err->rc;
    n_windows = windows_of(b, p->n);
    *n_rows += (size_t)n_windows;
    *n_ids += n_windows>1 ? (size_t)n_windows*(size_t)bert_longest(b) : (size_t)p->n;
  }
  return SQLITE_OK;
}

/* y[d] = the mean of each[n, d] */
static void mean_of_windows(const struct bert *b, float *y, const float *each, int n){
  int d = b->config.shape.d;
  memcpy(y, each, (size_t)d*sizeof(float));
  for(int i=1; i<n; i++) add(y, each + (size_t)i*(size_t)d, d);
  for(int i=0; n>1 && i<d; i++) y[i] /= (float)n;
  if( n>1 && b->config.normalize ) normalize(y, d);
}

int bert_embed(const struct bert *b, struct run *run, const struct content *texts, int n, float *y){
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  size_t d = (size_t)b->config.shape.d;
  struct pieces *pieces = arena_get(a, (size_t)n*sizeof(*pieces));
  struct windows w = { 0 };
  size_t n_rows, n_ids;
  float *each;
  if( a->oom ) return fail_nomem(run->err);
  if( read_pieces(b, run, texts, n, pieces, &n_rows, &n_ids)!=SQLITE_OK ) return run->err->rc;
  if( n_rows>=INT32_MAX || n_ids>INT32_MAX ){
    return fail(run->err, SQLITE_TOOBIG, "%d texts have %zu pieces, too many for one batch", n,
                n_ids);
  }
  w.rows = arena_get(a, (n_ids + 1)*sizeof(int));
  w.start = arena_get(a, (n_rows + 1)*sizeof(int));
  each = arena_floats(a, n_rows*d);
  if( a->oom ) return fail_nomem(run->err);
  w.start[0] = 0;
  for(int i=0; i<n; i++) lay_out_windows(b, &w, pieces[i].ids, pieces[i].n);
  if( bert_encode(b, run, w.rows, w.start, w.n, each)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n; i++){
    int n_windows = windows_of(b, pieces[i].n);
    mean_of_windows(b, y + (size_t)i*d, each, n_windows);
    each += (size_t)n_windows*d;
  }
  arena_rewind(a, mark);
  return SQLITE_OK;
}
