/*
** model_step.c -- decodes sequences side by side: a step takes the last token of each and gives the
** log-probabilities of the next.
**
** Each sequence owns a block: its ids and, for every decoder layer, the keys and values of the
** tokens that it has read (its cache). Sequences may be of different lengths. One with a fluency f
** above 0 has a twin, which reads the same tokens but the memory of z = 0: the plain language
** model. A token's score is then (1-f) log p(token | z) + f log p(token | 0). A sequence without
** fluency pays nothing for it.
**
** Rows of a step: 0..n-1 are the sequences; the twins follow.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* Floats of one layer's cache of one sequence: START and up to limit ids go in. */
static size_t layer_floats(const struct model *m, int limit){
  return (size_t)(limit + 1)*2*m->config.shape.d;
}

/* Floats of all layers of a sequence, without its twin's. */
static size_t stack_floats(const struct model *m, int limit){
  return layer_floats(m, limit)*m->config.shape.decoder_layers;
}

size_t sequence_bytes(const struct model *m, int limit, int twins){
  return stack_floats(m, limit)*sizeof(float)*(twins ? 2 : 1);
}

void batch_init(struct batch *b, const struct model *m, int room, int limit, int twins,
                struct arena *a){
  int rows = twins ? 2*room : room;
  int pieces = m->config.shape.pieces;
  size_t bytes = (size_t)room*sizeof(struct sequence);
  *b = (struct batch){ .m = m, .limit = limit, .room = room, .twins = twins };
  work_init(&b->work, m, rows, a);
  b->work.cached = 1;
  memories_init(&b->memories, m, room + 1, a);
  b->logits = arena_floats(a, (size_t)rows*pieces);
  b->row = arena_floats(a, pieces);
  b->sequences = arena_zeroed(a, bytes);
  b->spare = arena_zeroed(a, bytes);
  if( a->oom ) return;
  for(int i=0; i<room; i++){
    b->spare[i].ids = arena_get(a, (size_t)(limit + 1)*sizeof(int));
    b->spare[i].cache = arena_get(a, sequence_bytes(m, limit, twins));
  }
  if( twins && !a->oom ) memories_fill(&b->memories, m, NULL, NULL, 1, 1, b->work.panel);
}

/* Row i of the step: the last token of a sequence, read with the memory of a slot, over a cache. */
static void lay_out_token(struct batch *b, int i, const struct sequence *q, int slot, float *cache){
  const struct model *m = b->m;
  int d = m->config.shape.d;
  float *x = b->work.x + (size_t)i*d;
  token_embed(m, x, q->n ? q->ids[q->n-1] : TOKEN_START);
  add(x, b->memories.z_in + (size_t)slot*d, d);
  b->work.self[i] = (struct span){ cache, layer_floats(m, b->limit), q->n + 1 };
  b->work.cross[i] = memories_span(&b->memories, m, slot);
  b->work.position[i] = q->n;
}

/* All rows of the step. Returns their number. */
static int lay_out_tokens(struct batch *b){
  int rows = b->n;
  for(int i=0; i<b->n; i++){
    struct sequence *q = &b->sequences[i];
    lay_out_token(b, i, q, q->slot, q->cache);
    if( q->fluency<=0 ) continue;
    q->twin = rows++;
    lay_out_token(b, q->twin, q, 0, q->cache + stack_floats(b->m, b->limit));
  }
  return rows;
}

/* Log-probabilities of sequence i, mixed with its twin's; -inf for ids that must never come out. */
static void score_sequence(struct batch *b, int i){
  int pieces = b->m->config.shape.pieces;
  float *y = b->logits + (size_t)i*pieces;
  float f = b->sequences[i].fluency;
  log_softmax(y, pieces);
  if( f>0 ){
    float *twin = b->logits + (size_t)b->sequences[i].twin*pieces;
    log_softmax(twin, pieces);
    for(int k=0; k<pieces; k++) y[k] = (1-f)*y[k] + f*twin[k];
  }
  y[TOKEN_PAD] = y[TOKEN_START] = y[TOKEN_UNKNOWN] = -INFINITY;
}

int batch_step(struct batch *b, struct run *run, struct worker *worker){
  const struct model *m = b->m;
  struct work *w = &b->work;
  int rows = lay_out_tokens(b);
  assert( b->n<=b->room && rows<=w->rows );
  for(int l=0; l<m->config.shape.decoder_layers; l++){
    if( worker_stopped(worker) ) return 0;
    layer_run(m, &m->decoder[l], w, rows, l);
    if( run->watch ) run->watch(run->watch_arg, "decoder", l, w->x, rows);
  }
  rms_norm(w->y, w->x, m->decoder_norm, rows, m->config.shape.d, RMS_EPSILON);
  linear(b->logits, w->y, &m->output, rows, w->panel);
  for(int i=0; i<b->n; i++) score_sequence(b, i);
  return 1;
}

void sequence_copy(const struct batch *b, struct sequence *to, const struct sequence *from){
  const struct model *m = b->m;
  size_t used = (size_t)(from->n + 1)*2*m->config.shape.d*sizeof(float);
  size_t stride = layer_floats(m, b->limit);
  int n_layers = m->config.shape.decoder_layers*(from->fluency>0 ? 2 : 1);
  to->slot = from->slot;
  to->fluency = from->fluency;
  to->n = from->n;
  to->sum = from->sum;
  memcpy(to->ids, from->ids, (size_t)from->n*sizeof(int));
  for(int l=0; l<n_layers; l++){
    memcpy(to->cache + l*stride, from->cache + l*stride, used);
  }
}
