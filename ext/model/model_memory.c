/*
** model_memory.c -- what the decoder reads of a point z, made once for all of its tokens.
**
** One linear map gives `memory` vectors of d numbers, which every decoder layer attends to, as keys
** and values of its own. Another gives d numbers that are added to every input of the decoder.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* Floats that one layer's cross-attention reads of one point. */
static size_t cross_floats(const struct model *m){
  return (size_t)m->config.shape.memory*2*(size_t)m->config.shape.d;
}

/* Numbers of a point that the network reads. */
static size_t width_read(const struct model *m){
  return (size_t)m->config.shape.s + (size_t)m->config.shape.r;
}

void memories_init(struct memories *c, const struct model *m, int n, struct arena *a){
  const struct shape *shape = &m->config.shape;
  size_t d = (size_t)shape->d;
  size_t slots = (size_t)n;
  c->n = n;
  c->z_in = arena_floats(a, slots*d);
  c->cross = arena_floats(a, (size_t)shape->decoder_layers*slots*cross_floats(m));
  c->scaled = arena_floats(a, slots*width_read(m));
  c->expanded = arena_floats(a, slots*(size_t)shape->memory*d);
}

/* scaled = [s * sqrt(width of s) ; r * sqrt(width of r)]: numbers of unit variance, as in training.
** A shorter r is weaker detail. Of a longer s the network reads the first numbers, as an s of unit
** length. */
static void scale_point(const struct model *m, float *scaled, const float *z, float detail){
  const struct shape *shape = &m->config.shape;
  const float *r = z + model_s(m);
  float scale_s = sqrtf((float)shape->s);
  float scale_r = sqrtf((float)shape->r);
  memcpy(scaled, z, (size_t)shape->s*sizeof(float));
  if( model_s(m)>shape->s ) normalize(scaled, shape->s);
  for(int i=0; i<shape->s; i++) scaled[i] *= scale_s;
  for(int i=0; i<shape->r; i++) scaled[shape->s + i] = r[i]*detail*scale_r;
}

/* Of c->expanded, keys and values of all layers. Slots that lie side by side go into one
** product. */
static void fill_cross(struct memories *c, const struct model *m, const int *slots, int count,
                       float *panel){
  const struct shape *shape = &m->config.shape;
  size_t one_expanded = (size_t)shape->memory*(size_t)shape->d;
  int n;
  for(int i=0; i<count; i+=n){
    int slot = slots ? slots[i] : i;
    n = 1;
    while( i+n<count && (slots==NULL || slots[i+n]==slot+n) ) n++;
    for(int l=0; l<shape->decoder_layers; l++){
      float *kv = c->cross + ((size_t)l*c->n + slot)*cross_floats(m);
      const float *expanded = c->expanded + (size_t)i*one_expanded;
      linear(kv, expanded, &m->decoder[l].cross_kv, n*shape->memory, panel);
    }
  }
}

void memories_fill(struct memories *c, const struct model *m, const int *slots, const float *z,
                   int count, float detail, float *panel){
  const struct shape *shape = &m->config.shape;
  int d = shape->d;
  size_t width = (size_t)model_width(m);
  size_t read = width_read(m);
  assert( count<=c->n && (z || count==1) );
  if( z==NULL ){
    memset(c->scaled, 0, read*sizeof(float));
  }else{
    for(int i=0; i<count; i++) scale_point(m, c->scaled + i*read, z + i*width, detail);
  }
  linear(c->expanded, c->scaled, &m->z_in, count, panel);
  for(int i=0; i<count; i++){
    int slot = slots ? slots[i] : i;
    memcpy(c->z_in + (size_t)slot*d, c->expanded + (size_t)i*d, (size_t)d*sizeof(float));
  }
  linear(c->expanded, c->scaled, &m->memory, count, panel);
  for(int i=0; i<count; i++){
    add(c->expanded + (size_t)i*shape->memory*d, m->memory_bias, shape->memory*d);
  }
  fill_cross(c, m, slots, count, panel);
}

struct span memories_span(const struct memories *c, const struct model *m, int slot){
  size_t one = cross_floats(m);
  return (struct span){
    .kv = c->cross + slot*one,
    .layer_stride = c->n*one,
    .n = m->config.shape.memory,
  };
}
