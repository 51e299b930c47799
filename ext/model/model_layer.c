/*
** model_layer.c -- one Transformer layer over rows of tokens, and what the decoder reads of a latent.
**
** Every row says what it attends to (struct span), so one function serves the encoder (all rows of its text), full decoding (the rows
** before it), cached decoding (its own cache) and cross-attention (the memory of its latent). All products run over all rows of
** a chunk at once, and no row depends on another one's company: a text gives the same bits alone and in any batch.
**
** A layer, with RMS norms, rotary positions, heads of 64 and no biases (model/text_model.py: Block):
**   1. x += attention(norm(x)) . o          q, [k | v] from the normed rows; q and k turned by their position
**   2. x += cross(norm(x), memory) . o      decoder only; k and v were made by memories_fill(), without positions
**   3. x += (value * silu(gate)) . out      [value | gate] = norm(x) . in
*/
#include "model.h"
#include <math.h>
#include <string.h>

#define HEAD 64

static int widest_input(const struct model *m){
  int width = m->config.shape.s + m->config.shape.r;
  if( width<m->config.shape.d ) width = m->config.shape.d;
  return width<m->h ? m->h : width;
}

/* The longest span: a whole segment with its registers, or the memory. */
static int longest_span(const struct model *m){
  int n = m->config.shape.registers + m->config.shape.longest + 1;
  return n<m->config.shape.memory ? m->config.shape.memory : n;
}

void work_init(struct work *w, const struct model *m, int rows, struct arena *a){
  size_t d = m->config.shape.d, n = rows;
  w->rows = rows;
  w->cached = 0;
  w->x = arena_floats(a, n*d);
  w->y = arena_floats(a, n*d);
  w->q = arena_floats(a, n*d);
  w->kv = arena_floats(a, n*2*d);
  w->value_gate = arena_floats(a, n*2*m->h);
  w->gated = arena_floats(a, n*m->h);
  w->scores = arena_floats(a, ATTEND_SCORES(longest_span(m)));
  w->panel = arena_floats(a, LINEAR_SCRATCH(widest_input(m)));
  w->self = arena_get(a, n*sizeof(struct span));
  w->cross = arena_get(a, n*sizeof(struct span));
  w->position = arena_get(a, n*sizeof(int));
}

/* x[64] = halves * scale. A multiplication moves the exponent, which is exact for all finite numbers, and which compilers turn into vectors:
** half_to_float() took 1.5% of encoding. */
static void embed_halves(float *restrict x, const uint16_t *restrict halves, float scale){
  for(int i=0; i<HEAD; i++){
    uint32_t bits = (uint32_t)(halves[i] & 0x8000) << 16 | (uint32_t)(halves[i] & 0x7fff) << 13;
    float y;
    memcpy(&y, &bits, sizeof(y));
    x[i] = y*0x1p112f*scale;
  }
}

void embed(const struct model *m, float *x, int id){
  int d = m->config.shape.d;
  float scale = sqrtf((float)d);
  const struct matrix *e = &m->embedding;
  if( e->half ){
    for(int i=0; i<d; i+=HEAD) embed_halves(x+i, e->half + (size_t)id*d + i, scale);
  }else{
    for(int i=0; i<d; i++) x[i] = e->full[(size_t)id*d + i] * scale;
  }
}

void add_position(const struct model *m, float *x, const float *positions, int at){
  int d = m->config.shape.d;
  if( positions ) add(x, positions + (size_t)at*d, d);
}

int has_end(const struct model *m){ return m->config.kind!=KIND_PICTURE; }

/* y[i] = what row i reads of its span: softmax(q . k / 8) . v, head by head. */
static void attend_rows(const struct model *m, struct work *w, const struct span *spans, int rows, int layer){
  int d = m->config.shape.d;
  for(int i=0; i<rows; i++){
    const float *kv = spans[i].kv + spans[i].layer_stride*layer;
    for(int h=0; h<d; h+=HEAD){
      attend(w->y + (size_t)i*d + h, w->q + (size_t)i*d + h, kv + h, kv + d + h, spans[i].n, 2*d, w->scores);
    }
  }
}

/* x += y . o */
static void project(const struct matrix *o, struct work *w, int rows){
  linear(w->q, w->y, o, rows, w->panel);
  add(w->x, w->q, rows*o->out);
}

static void self_attention(const struct model *m, const struct block *b, struct work *w, int rows, int layer){
  int d = m->config.shape.d;
  rms_norm(w->y, w->x, b->attention_norm, rows, d);
  linear(w->q, w->y, &b->q, rows, w->panel);
  linear(w->kv, w->y, &b->kv, rows, w->panel);
  for(int i=0; i<rows; i++){
    const float *turn = m->cos_sin + (size_t)w->position[i]*HEAD;
    float *kv = w->kv + (size_t)i*2*d;
    rotary(w->q + (size_t)i*d, turn, d/HEAD, HEAD);
    rotary(kv, turn, d/HEAD, HEAD);
    if( w->cached ){
      float *last = w->self[i].kv + w->self[i].layer_stride*layer + (size_t)(w->self[i].n - 1)*2*d;
      memcpy(last, kv, (size_t)2*d*sizeof(float));
    }
  }
  attend_rows(m, w, w->self, rows, layer);
  project(&b->o, w, rows);
}

static void cross_attention(const struct model *m, const struct block *b, struct work *w, int rows, int layer){
  rms_norm(w->y, w->x, b->cross_norm, rows, m->config.shape.d);
  linear(w->q, w->y, &b->cross_q, rows, w->panel);
  attend_rows(m, w, w->cross, rows, layer);
  project(&b->cross_o, w, rows);
}

void layer_run(const struct model *m, const struct block *b, struct work *w, int rows, int layer){
  int d = m->config.shape.d;
  self_attention(m, b, w, rows, layer);
  if( b->cross_norm ) cross_attention(m, b, w, rows, layer);
  rms_norm(w->y, w->x, b->feed_norm, rows, d);
  linear(w->value_gate, w->y, &b->feed_in, rows, w->panel);
  silu_gate(w->gated, w->value_gate, rows, m->h);
  linear(w->q, w->gated, &b->feed_out, rows, w->panel);
  add(w->x, w->q, rows*d);
}

void memories_init(struct memories *c, const struct model *m, int n, struct arena *a){
  const struct shape *shape = &m->config.shape;
  size_t d = shape->d;
  c->n = n;
  c->z_in = arena_floats(a, n*d);
  c->cross = arena_floats(a, (size_t)shape->decoder_layers*n*shape->memory*2*d);
  c->joined = arena_floats(a, (size_t)n*(shape->s + shape->r));
  c->expanded = arena_floats(a, (size_t)n*shape->memory*d);
}

/* z of unit variance, which is what the network was trained on: [s*sqrt(width) ; r*sqrt(width)]. A shorter r is weaker detail. */
static void join(float *joined, const float *z, int s, int r, float detail){
  float scale_s = sqrtf((float)s), scale_r = sqrtf((float)r);
  for(int i=0; i<s; i++) joined[i] = z[i] * scale_s;
  for(int i=0; i<r; i++) joined[s+i] = z[s+i] * detail * scale_r;
}

void memories_fill(struct memories *c, const struct model *m, const int *slots, const float *z, int count, float detail, float *panel){
  const struct shape *shape = &m->config.shape;
  int d = shape->d, width = shape->s + shape->r, n;
  size_t one = (size_t)shape->memory*2*d;                       /* floats of one latent in one layer's cross */
  if( z==0 ){
    memset(c->joined, 0, (size_t)width*sizeof(float));
  }else{
    for(int i=0; i<count; i++) join(c->joined + (size_t)i*width, z + (size_t)i*width, shape->s, shape->r, detail);
  }
  linear(c->expanded, c->joined, &m->z_in, count, panel);
  for(int i=0; i<count; i++) memcpy(c->z_in + (size_t)(slots ? slots[i] : i)*d, c->expanded + (size_t)i*d, d*sizeof(float));
  linear(c->expanded, c->joined, &m->memory, count, panel);
  for(int i=0; i<count; i++) add(c->expanded + (size_t)i*shape->memory*d, m->memory_bias, shape->memory*d);
  for(int i=0; i<count; i+=n){                                  /* slots that lie side by side, in one product */
    int at = slots ? slots[i] : i;
    for(n=1; i+n<count && (slots==0 || slots[i+n]==at+n); n++){}
    for(int l=0; l<shape->decoder_layers; l++){
      float *kv = c->cross + ((size_t)l*c->n + at)*one;
      linear(kv, c->expanded + (size_t)i*shape->memory*d, &m->decoder[l].cross_kv, n*shape->memory, panel);
    }
  }
}

void memories_span(const struct memories *c, const struct model *m, int at, struct span *span){
  size_t one = (size_t)m->config.shape.memory*2*m->config.shape.d;
  span->kv = c->cross + at*one;
  span->layer_stride = c->n*one;
  span->n = m->config.shape.memory;
}
