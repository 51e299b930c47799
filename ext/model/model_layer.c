/*
** model_layer.c -- one Transformer layer over rows of tokens.
**
** Every row says what it attends to (struct span). So one function serves the encoder (a row
** attends to all rows of its text), full decoding (to the rows before it), cached decoding (to its
** own cache) and cross-attention (to the memory of its point). Every product runs over all rows of
** a chunk at once. No row depends on what else is in the chunk: a text gives the same bits alone
** and in any batch.
**
** A layer has RMS norms, rotary positions, heads of 64 and no biases (model/text_model.py: Block):
**
**   1. x += attention(norm(x)) . o           q and [k | v] are products of the normed rows; q and k
**                                            are turned by their position
**   2. x += cross(norm(x), memory) . o       in the decoder only; k and v were made by
**                                            memories_fill() and have no positions
**   3. x += (value * silu(gate)) . out       [value | gate] = norm(x) . in
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- Scratch ---- */

static int widest_input(const struct model *m){
  int width = model_width(m);
  if( width<m->config.shape.d ) width = m->config.shape.d;
  return width<m->h ? m->h : width;
}

/* The longest span is a whole segment with its registers, or the memory. */
static int longest_span(const struct model *m){
  const struct shape *shape = &m->config.shape;
  int n = shape->registers + shape->longest + 1;
  return n<shape->memory ? shape->memory : n;
}

void work_init(struct work *w, const struct model *m, int rows, struct arena *a){
  size_t d = (size_t)m->config.shape.d;
  size_t h = (size_t)m->h;
  size_t n = (size_t)rows;
  w->rows = rows;
  w->cached = 0;
  w->x = arena_floats(a, n*d);
  w->y = arena_floats(a, n*d);
  w->q = arena_floats(a, n*d);
  w->kv = arena_floats(a, n*2*d);
  w->value_gate = arena_floats(a, n*2*h);
  w->gated = arena_floats(a, n*h);
  w->scores = arena_floats(a, ATTEND_SCORES(longest_span(m)));
  w->panel = arena_floats(a, LINEAR_SCRATCH(widest_input(m)));
  w->self = arena_get(a, n*sizeof(struct span));
  w->cross = arena_get(a, n*sizeof(struct span));
  w->position = arena_get(a, n*sizeof(int));
}

/* ---- What goes in ---- */

/* x[64] = halves * scale. The multiplication by 2^112 moves the exponent. That is exact for all
** finite numbers, and compilers turn it into vector code; half_to_float() took 1.5% of encoding. */
static void embed_halves(float *restrict x, const uint16_t *restrict halves, float scale){
  for(int i=0; i<HEAD; i++){
    uint32_t sign = (uint32_t)(halves[i] & 0x8000) << 16;
    uint32_t bits = sign | (uint32_t)(halves[i] & 0x7fff) << 13;
    float y;
    memcpy(&y, &bits, sizeof(y));
    x[i] = y*0x1p112f*scale;
  }
}

void token_embed(const struct model *m, float *x, int id){
  const struct matrix *e = &m->embedding;
  int d = m->config.shape.d;
  float scale = sqrtf((float)d);
  size_t first = (size_t)id*(size_t)d;
  assert( id>=0 && id<m->config.shape.pieces );
  if( e->half ){
    for(int i=0; i<d; i+=HEAD) embed_halves(x + i, e->half + first + i, scale);
  }else{
    for(int i=0; i<d; i++) x[i] = e->full[first + i]*scale;
  }
}

/* ---- The layer ---- */

/* y[i] = what row i reads of its span: softmax(q . k / 8) . v, head by head. */
static void attend_rows(const struct model *m, struct work *w, const struct span *spans, int rows,
                        int layer){
  int d = m->config.shape.d;
  for(int i=0; i<rows; i++){
    const float *k = spans[i].kv + spans[i].layer_stride*layer;
    const float *v = k + d;
    const float *q = w->q + (size_t)i*d;
    float *y = w->y + (size_t)i*d;
    for(int h=0; h<d; h+=HEAD) attend(y + h, q + h, k + h, v + h, spans[i].n, 2*d, w->scores);
  }
}

/* x += y . o */
static void add_product(const struct matrix *o, struct work *w, int rows){
  linear(w->q, w->y, o, rows, w->panel);
  add(w->x, w->q, rows*o->out);
}

/* Row i's [k | v] becomes the last row of its span: its cache. */
static void keep_key_value(struct work *w, int i, const float *kv, int d, int layer){
  const struct span *span = &w->self[i];
  float *cache = span->kv + span->layer_stride*layer;
  memcpy(cache + (size_t)(span->n - 1)*2*d, kv, (size_t)2*d*sizeof(float));
}

static void self_attention(const struct model *m, const struct block *b, struct work *w, int rows,
                           int layer){
  int d = m->config.shape.d;
  rms_norm(w->y, w->x, b->attention_norm, rows, d, RMS_EPSILON);
  linear(w->q, w->y, &b->q, rows, w->panel);
  linear(w->kv, w->y, &b->kv, rows, w->panel);
  for(int i=0; i<rows; i++){
    const float *cos_sin = m->cos_sin + (size_t)w->position[i]*HEAD;
    float *kv = w->kv + (size_t)i*2*d;
    rotary(w->q + (size_t)i*d, cos_sin, d/HEAD, HEAD);
    rotary(kv, cos_sin, d/HEAD, HEAD);
    if( w->cached ) keep_key_value(w, i, kv, d, layer);
  }
  attend_rows(m, w, w->self, rows, layer);
  add_product(&b->o, w, rows);
}

static void cross_attention(const struct model *m, const struct block *b, struct work *w, int rows,
                            int layer){
  rms_norm(w->y, w->x, b->cross_norm, rows, m->config.shape.d, RMS_EPSILON);
  linear(w->q, w->y, &b->cross_q, rows, w->panel);
  attend_rows(m, w, w->cross, rows, layer);
  add_product(&b->cross_o, w, rows);
}

static void feed_forward(const struct model *m, const struct block *b, struct work *w, int rows){
  int d = m->config.shape.d;
  rms_norm(w->y, w->x, b->feed_norm, rows, d, RMS_EPSILON);
  linear(w->value_gate, w->y, &b->feed_in, rows, w->panel);
  silu_gate(w->gated, w->value_gate, rows, m->h);
  linear(w->q, w->gated, &b->feed_out, rows, w->panel);
  add(w->x, w->q, rows*d);
}

void layer_run(const struct model *m, const struct block *b, struct work *w, int rows, int layer){
  assert( rows>=0 && rows<=w->rows );
  self_attention(m, b, w, rows, layer);
  if( b->cross_norm ) cross_attention(m, b, w, rows, layer);
  feed_forward(m, b, w, rows);
}
