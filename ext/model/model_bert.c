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
#include <string.h>

enum {
  CHUNK_TOKENS = 512,                   /* as in model_encode.c */
  WORKER_TOKENS = 128
};

struct bert_work {                      /* scratch for up to `tokens` tokens; from the arena */
  float *x;                             /* [tokens, d] */
  float *y;                             /* [tokens, d] */
  float *qkv;                           /* [tokens, 3d] */
  float *hidden;                        /* [tokens, h] */
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
};

enum { ENDS = 2 };                      /* [CLS] and [SEP] */

static int row_tokens(const int *start, int i){
  return start[i+1] - start[i] + ENDS;
}

/* longest: tokens of the longest row. */
static void bert_work_init(struct bert_work *w, const struct bert *b, int tokens, int longest,
                           struct arena *a){
  const struct bert_shape *shape = &b->config.shape;
  size_t n = (size_t)tokens;
  size_t d = (size_t)shape->d;
  size_t rows = (size_t)longest;
  size_t head = d/(size_t)shape->heads;
  int widest = shape->d>shape->h ? shape->d : shape->h;
  if( widest<longest ) widest = longest;
  w->x = arena_floats(a, n*d);
  w->y = arena_floats(a, n*d);
  w->qkv = arena_floats(a, n*3*d);
  w->hidden = arena_floats(a, n*(size_t)shape->h);
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

/* Row i's tokens from x[at] on. Returns where the next row begins. */
static int embed_row(const struct bert_encoding *e, float *x, int at, int i){
  const struct bert *b = e->b;
  const struct bert_shape *shape = &b->config.shape;
  const int *ids = e->ids + e->start[i];
  int d = shape->d;
  int n = row_tokens(e->start, i);
  for(int k=0; k<n; k++){
    float *to = x + (size_t)(at + k)*d;
    int id = k==0 ? b->cls : k==n-1 ? b->sep : ids[k-1];
    embed_piece(b, to, id);
    add(to, b->positions + (size_t)(k + shape->first_position)*d, d);
    if( b->type ) add(to, b->type, d);
  }
  return at + n;
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

/* w->scores[n, n] += what head h adds for the distance of two pieces: MPNet alone. Piece i takes
** the numbers for -i, 1 - i, ..., which lie side by side. */
static void add_distances(const struct bert *b, struct bert_work *w, int n, int h){
  int heads = b->config.shape.heads;
  float *zero = w->apart + n - 1;
  for(int k=1-n; k<n; k++) zero[k] = b->distances[distance_bucket(k)*heads + h];
  for(int i=0; i<n; i++) add(w->scores + (size_t)i*n, zero - i, n);
}

/* to[columns, n] = from[n, columns]^T, whose rows are `stride` numbers apart. In groups of rows, so
** that their lines stay in the first-level cache: those of columns, a power of two apart, do not. */
static void transpose(float *to, const float *from, int n, int columns, int stride){
  enum { GROUP = 16 };
  for(int i=0; i<n; i+=GROUP, from+=(size_t)GROUP*stride){
    int rows = n - i<GROUP ? n - i : GROUP;
    for(int j=0; j<columns; j++){
      for(int k=0; k<rows; k++) to[(size_t)j*n + i + k] = from[(size_t)k*stride + j];
    }
  }
}

/* w->y[at..at+n) = what each token of a row reads of all of them. */
static void attend_row(const struct bert *b, struct bert_work *w, int at, int n){
  int d = b->config.shape.d;
  int head = d/b->config.shape.heads;
  float scale = 1.0f/sqrtf((float)head);
  for(int h=0; h<b->config.shape.heads; h++){
    struct matrix keys = { .in = head, .out = n, .full = w->k };
    struct matrix values = { .in = n, .out = head, .full = w->v };
    for(int i=0; i<n; i++){
      const float *q = w->qkv + (size_t)(at + i)*3*d + h*head;
      for(int j=0; j<head; j++) w->q[(size_t)i*head + j] = q[j]*scale;
      memcpy(w->v + (size_t)i*head, q + 2*d, (size_t)head*sizeof(float));
    }
    transpose(w->k, w->qkv + (size_t)at*3*d + d + h*head, n, head, 3*d);
    linear(w->scores, w->q, &keys, n, w->panel);
    if( b->distances ) add_distances(b, w, n, h);
    for(int i=0; i<n; i++) softmax(w->scores + (size_t)i*n, n);
    linear(w->out, w->scores, &values, n, w->panel);
    for(int i=0; i<n; i++){
      float *y = w->y + (size_t)(at + i)*d + h*head;
      memcpy(y, w->out + (size_t)i*head, (size_t)head*sizeof(float));
    }
  }
}

static void bert_layer_run(const struct bert_encoding *e, const struct bert_layer *layer,
                           struct bert_work *w, int row0, int row1, int n){
  const struct bert *b = e->b;
  int d = b->config.shape.d;
  float epsilon = b->config.shape.epsilon;
  int at = 0;
  affine_run(w->qkv, w->x, &layer->qkv, n, w->panel);
  for(int i=row0; i<row1; i++){
    attend_row(b, w, at, row_tokens(e->start, i));
    at += row_tokens(e->start, i);
  }
  affine_run(w->qkv, w->y, &layer->out, n, w->panel);
  add(w->x, w->qkv, n*d);
  layer_norm(w->x, w->x, layer->attention_norm.weight, layer->attention_norm.bias, n, d, epsilon);
  linear(w->hidden, w->x, &layer->up.w, n, w->panel);
  gelu_bias(w->hidden, layer->up.bias, n, b->config.shape.h);
  affine_run(w->y, w->hidden, &layer->down, n, w->panel);
  add(w->x, w->y, n*d);
  layer_norm(w->x, w->x, layer->feed_norm.weight, layer->feed_norm.bias, n, d, epsilon);
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

static void encode_chunk(void *arg, struct worker *worker, int chunk){
  struct bert_encoding *e = arg;
  const struct bert *b = e->b;
  const struct bert_shape *shape = &b->config.shape;
  struct bert_work *w = &e->work[worker->at];
  int row0 = e->chunk[chunk];
  int row1 = e->chunk[chunk+1];
  int n = 0;
  for(int i=row0; i<row1; i++) n = embed_row(e, w->x, n, i);
  layer_norm(w->x, w->x, b->norm.weight, b->norm.bias, n, shape->d, shape->epsilon);
  for(int l=0; l<shape->layers; l++){
    if( worker_stopped(worker) ) return;
    bert_layer_run(e, &b->layers[l], w, row0, row1, n);
    if( e->run->watch ) e->run->watch(e->run->watch_arg, "bert", l, w->x, n);
  }
  n = 0;
  for(int i=row0; i<row1; i++){
    int own = row_tokens(e->start, i);
    pool_row(b, w, e->y + (size_t)i*shape->d, w->x + (size_t)n*shape->d, own);
    n += own;
  }
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

int bert_encode(const struct bert *b, struct run *run, const int *ids, const int *start, int n,
                float *y){
  struct bert_encoding e = { .b = b, .run = run, .ids = ids, .start = start, .y = y };
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  size_t n_tokens;
  int *chunk;
  int limit, n_workers, n_chunks, largest, longest;
  assert( n>=0 && run->n_threads>=1 );
  if( n==0 ) return SQLITE_OK;
  if( check_rows(b, start, n, run->err)!=SQLITE_OK ) return run->err->rc;
  n_tokens = (size_t)(start[n] - start[0]) + (size_t)n*ENDS;
  n_workers = chunks_plan(run, n_tokens, CHUNK_TOKENS, WORKER_TOKENS, &limit);
  e.chunk = chunk = arena_get(a, ((size_t)n + 1)*sizeof(int));
  e.work = arena_get(a, (size_t)n_workers*sizeof(struct bert_work));
  if( a->oom ) return fail_nomem(run->err);
  largest = rows_cut(start, n, ENDS, limit, n, chunk, &n_chunks);
  longest = longest_row(start, n);
  for(int i=0; i<n_workers; i++) bert_work_init(&e.work[i], b, largest, longest, a);
  if( a->oom ) return fail_nomem(run->err);
  chunks_run(run, n_workers, n_chunks, encode_chunk, &e);
  arena_rewind(a, mark);
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
