/*
** model_writer.c -- the writer's network: a language model of the Llama family whose upper layers
** read a point.
**
** A row is a piece at its position in a text; rows of several texts go side by side. Each layer
** keeps a row's key and value in the cache of its text, so a row sees those before it. With RMS
** norms, no biases, heads of 64 of which several share a key and a value (model/writer.py):
**
**   1. x += attention(norm(x)) . out         q and k are turned by their position
**   2. x += cross(norm(x), memory) . out     in the upper layers, to vectors made of the point
**   3. x += (value * silu(gate)) . out       [value | gate] = norm(x) . in
**
** Before the first of the upper layers a linear map of the point is added to x. In these layers,
** what was trained stands beside each matrix: x . w becomes x . w + (x . a) . b (Hu et al., LoRA,
** 2021). Without all this (is_plain) it is the language model as it came.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

static size_t width_of_kv(const struct writer *w){
  return (size_t)w->config.shape.shared*HEAD;
}

size_t page_floats(const struct writer *w, int limit){
  return (size_t)w->config.shape.layers*(size_t)limit*2*width_of_kv(w);
}

/* Floats that the upper layers' cross-attention reads of one point, in one layer. */
static size_t cross_floats(const struct writer *w){
  return (size_t)w->config.shape.memory*2*(size_t)w->config.shape.d;
}

void writing_init(struct writing *g, const struct writer *w, int rows, int slots, int limit,
                  struct arena *a){
  const struct writer_shape *shape = &w->config.shape;
  size_t n = (size_t)rows;
  size_t d = (size_t)shape->d;
  size_t widest = 2*(size_t)shape->h;
  size_t points = (size_t)slots;
  int z = shape->s + shape->r;
  int code = shape->code_s + shape->code_r + 1;
  int in = shape->h>shape->d ? shape->h : shape->d;
  size_t upper = (size_t)(shape->layers - shape->lower);
  if( widest<d + 2*width_of_kv(w) ) widest = d + 2*width_of_kv(w);
  if( code<z ) code = z;
  if( in<code ) in = code;
  if( in<3*shape->rank ) in = 3*shape->rank;
  *g = (struct writing){ .w = w, .n_slots = slots };
  g->x = arena_floats(a, n*d);
  g->y = arena_floats(a, n*d);
  g->wide = arena_floats(a, n*widest);
  g->beside = arena_floats(a, n*widest);
  g->low = arena_floats(a, n*3*(size_t)shape->rank);
  g->gated = arena_floats(a, n*(size_t)shape->h);
  g->scores = arena_floats(a, ATTEND_SCORES(limit>shape->memory ? limit : shape->memory));
  g->panel = arena_floats(a, LINEAR_SCRATCH(in));
  g->z_in = arena_floats(a, points*d);
  g->cross = arena_floats(a, points*upper*cross_floats(w));
  g->scaled = arena_floats(a, (size_t)code);
  g->mapped = arena_floats(a, (size_t)z);
  g->expanded = arena_floats(a, (size_t)shape->memory*d);
}

void writing_copy(const struct writing *g, float *to, const float *from, int n, int limit){
  size_t row = 2*width_of_kv(g->w);
  for(int l=0; l<g->w->config.shape.layers; l++){
    size_t at = (size_t)l*(size_t)limit*row;
    memcpy(to + at, from + at, (size_t)n*row*sizeof(float));
  }
}

/* ---- What is read of a point ---- */

/* y = z[s+r], each part scaled to numbers of unit variance. */
static void scale_point(float *y, const float *z, int s, int r, float detail){
  float scale_s = sqrtf((float)s);
  float scale_r = sqrtf((float)r)*detail;
  for(int i=0; i<s; i++) y[i] = z[i]*scale_s;
  for(int i=s; i<s+r; i++) y[i] = z[i]*scale_r;
}

void writing_point(struct writing *g, int slot, int kind, const float *z, float detail){
  const struct writer *w = g->w;
  const struct writer_shape *shape = &w->config.shape;
  int upper = shape->layers - shape->lower;
  float *kv = g->cross + (size_t)slot*(size_t)upper*cross_floats(w);
  const float *point = g->scaled;
  assert( slot>=0 && slot<g->n_slots );
  if( kind==KIND_CODE ){
    scale_point(g->scaled, z, shape->code_s, shape->code_r, detail);
    g->scaled[shape->code_s + shape->code_r] = 1;
    linear(g->mapped, g->scaled, &w->code, 1, g->panel);
    point = g->mapped;
  }else{
    scale_point(g->scaled, z, shape->s, shape->r, detail);
  }
  linear(g->z_in + (size_t)slot*(size_t)shape->d, point, &w->z_in, 1, g->panel);
  linear(g->expanded, point, &w->memory, 1, g->panel);
  add(g->expanded, w->memory_bias, shape->memory*shape->d);
  for(int l=shape->lower; l<shape->layers; l++, kv+=cross_floats(w)){
    linear(kv, g->expanded, &w->layers[l].cross_kv, shape->memory, g->panel);
  }
}

/* ---- A layer ---- */

/* y[rows, out] = x . w + (x . a) . b */
static void adapted_run(struct writing *g, float *y, const float *x, const struct adapted *m,
                        int rows){
  linear(y, x, &m->w, rows, g->panel);
  if( m->a.in==0 || g->is_plain ) return;
  linear(g->low, x, &m->a, rows, g->panel);
  linear(g->beside, g->low, &m->b, rows, g->panel);
  add(y, g->beside, rows*m->w.out);
}

/* y[d] = what query heads q[d] read of n keys and values, `shared` heads of each; a row of both has
** `stride` floats. */
static void attend_heads(struct writing *g, float *y, const float *q, const float *k,
                         const float *v, int n, int shared, int stride){
  int d = g->w->config.shape.d;
  int each = d/HEAD/shared;
  for(int h=0; h<d/HEAD; h++){
    int at = h/each*HEAD;
    attend(y + h*HEAD, q + h*HEAD, k + at, v + at, n, stride, g->scores);
  }
}

static void self_attention(struct writing *g, const struct written *rows, int n, int l){
  const struct writer *w = g->w;
  const struct writer_layer *layer = &w->layers[l];
  int d = w->config.shape.d;
  int shared = w->config.shape.shared;
  size_t kv = width_of_kv(w);
  size_t stride = (size_t)layer->qkv.w.out;
  rms_norm(g->y, g->x, layer->attention_norm, n, d, w->config.epsilon);
  adapted_run(g, g->wide, g->y, &layer->qkv, n);
  for(int i=0; i<n; i++){
    float *q = g->wide + (size_t)i*stride;
    float *own = rows[i].cache + ((size_t)l*(size_t)rows[i].limit + (size_t)rows[i].position)*2*kv;
    const float *cos_sin = w->cos_sin + (size_t)rows[i].position*HEAD;
    rotary(q, cos_sin, d/HEAD + shared, HEAD);
    memcpy(own, q + d, 2*kv*sizeof(float));
  }
  for(int i=0; i<n; i++){
    const float *keys = rows[i].cache + (size_t)l*(size_t)rows[i].limit*2*kv;
    const float *q = g->wide + (size_t)i*stride;
    attend_heads(g, g->y + (size_t)i*(size_t)d, q, keys, keys + kv, rows[i].position + 1, shared,
                 (int)(2*kv));
  }
  adapted_run(g, g->wide, g->y, &layer->out, n);
  add(g->x, g->wide, n*d);
}

static void cross_attention(struct writing *g, const struct written *rows, int n, int l){
  const struct writer *w = g->w;
  const struct writer_layer *layer = &w->layers[l];
  const struct writer_shape *shape = &w->config.shape;
  int d = shape->d;
  size_t upper = (size_t)(shape->layers - shape->lower);
  size_t at = (size_t)(l - shape->lower);
  rms_norm(g->y, g->x, layer->cross_norm, n, d, w->config.epsilon);
  linear(g->wide, g->y, &layer->cross_q, n, g->panel);
  for(int i=0; i<n; i++){
    const float *keys = g->cross + ((size_t)rows[i].slot*upper + at)*cross_floats(w);
    attend_heads(g, g->y + (size_t)i*(size_t)d, g->wide + (size_t)i*(size_t)d, keys, keys + d,
                 shape->memory, d/HEAD, 2*d);
  }
  linear(g->wide, g->y, &layer->cross_out, n, g->panel);
  add(g->x, g->wide, n*d);
}

static void feed_forward(struct writing *g, int n, int l){
  const struct writer *w = g->w;
  const struct writer_layer *layer = &w->layers[l];
  int d = w->config.shape.d;
  rms_norm(g->y, g->x, layer->feed_norm, n, d, w->config.epsilon);
  adapted_run(g, g->wide, g->y, &layer->feed_in, n);
  silu_gate(g->gated, g->wide, n, w->config.shape.h);
  adapted_run(g, g->wide, g->gated, &layer->feed_out, n);
  add(g->x, g->wide, n*d);
}

/* ---- A step ---- */

static void add_points(struct writing *g, const struct written *rows, int n){
  int d = g->w->config.shape.d;
  for(int i=0; i<n; i++){
    add(g->x + (size_t)i*(size_t)d, g->z_in + (size_t)rows[i].slot*(size_t)d, d);
  }
}

int writing_step(struct writing *g, struct run *run, struct worker *worker,
                 const struct written *rows, int n, int is_plain){
  const struct writer *w = g->w;
  const struct writer_shape *shape = &w->config.shape;
  g->is_plain = is_plain;
  for(int i=0; i<n; i++){
    assert( rows[i].position>=0 && rows[i].position<rows[i].limit );
    groups_column(g->x + (size_t)i*(size_t)shape->d, &w->pieces, rows[i].id);
  }
  for(int l=0; l<shape->layers; l++){
    int reads = l>=shape->lower && !is_plain;
    if( worker_stopped(worker) ) return 0;
    if( reads && l==shape->lower ) add_points(g, rows, n);
    self_attention(g, rows, n, l);
    if( reads ) cross_attention(g, rows, n, l);
    feed_forward(g, n, l);
    if( run->watch ) run->watch(run->watch_arg, "writer", l, g->x, n);
  }
  return !worker_stopped(worker);
}

void writing_scores(struct writing *g, float *y, int n){
  const struct writer *w = g->w;
  int d = w->config.shape.d;
  int pieces = w->config.shape.pieces;
  rms_norm(g->y, g->x, w->norm, n, d, w->config.epsilon);
  linear(y, g->y, &w->pieces, n, g->panel);
  for(int i=0; i<n; i++) log_softmax(y + (size_t)i*(size_t)pieces, pieces);
}
