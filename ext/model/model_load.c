/*
** model_load.c -- opens a model's two files and checks every tensor. model_shared.c keeps one copy
** a process; model_tensors.c says what is converted.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SPARE_POSITIONS = 8 };           /* as in text_model.py; END and START need two */

static struct model *model_of(struct loader *l){
  return l->owner;
}

/* Registers enter the encoder beside the embeddings, and are scaled like them: by sqrt(d). */
static void load_registers(struct loader *l){
  const struct shape *shape = &model_of(l)->config.shape;
  const struct tensor *t = loader_find(l, "registers", shape->registers, shape->d);
  int n = shape->registers*shape->d;
  float scale = sqrtf((float)shape->d);
  float *copy;
  if( t==NULL ) return;
  copy = loader_floats(l, t, (size_t)n);
  for(int i=0; copy && i<n; i++) copy[i] *= scale;
  model_of(l)->registers = copy;
}

static void load_block(struct loader *l, struct block *b, const char *stack, int i, int has_cross){
  int d = model_of(l)->config.shape.d;
  int h = model_of(l)->h;
  char name[64];
#define NAME(part) (snprintf(name, sizeof(name), "%s.%d." part, stack, i), name)
  loader_vector(l, &b->attention_norm, NAME("attention_norm"), d);
  loader_matrix(l, &b->q, NAME("attention.q"), d, d);
  loader_matrix(l, &b->kv, NAME("attention.kv"), d, 2*d);
  loader_matrix(l, &b->o, NAME("attention.o"), d, d);
  if( has_cross ){
    loader_vector(l, &b->cross_norm, NAME("cross_norm"), d);
    loader_matrix(l, &b->cross_q, NAME("cross.q"), d, d);
    loader_matrix(l, &b->cross_kv, NAME("cross.kv"), d, 2*d);
    loader_matrix(l, &b->cross_o, NAME("cross.o"), d, d);
  }
  loader_vector(l, &b->feed_norm, NAME("feed_norm"), d);
  loader_matrix(l, &b->feed_in, NAME("feed.in"), d, 2*h);
  loader_matrix(l, &b->feed_out, NAME("feed.out"), h, d);
#undef NAME
}

/* The output layer is the embedding transposed, of the same element type. */
static void load_output(struct loader *l){
  const struct matrix *e = &model_of(l)->embedding;
  struct matrix *o = &model_of(l)->output;
  size_t count = (size_t)e->in*(size_t)e->out;
  if( l->e->rc!=SQLITE_OK ) return;
  *o = (struct matrix){ .in = e->out, .out = e->in };
  if( e->half ){
    uint16_t *transposed = loader_room(l, count*2);
    if( transposed ) transpose_half(transposed, e->half, e->in, e->out);
    o->half = transposed;
  }else{
    float *transposed = loader_room(l, count*sizeof(float));
    if( transposed ) transpose_full(transposed, e->full, e->in, e->out, e->in);
    o->full = transposed;
  }
}

/* ---- Kind picture ---- */

/* name.weight and name.bias */
static void load_affine(struct loader *l, struct affine *a, const char *name, int in, int out){
  char part[64];
  snprintf(part, sizeof(part), "%s.weight", name);
  loader_matrix(l, &a->w, part, in, out);
  snprintf(part, sizeof(part), "%s.bias", name);
  loader_vector(l, &a->bias, part, out);
}

/* <stack>.<level>.0, .1, ... of c channels. */
static void load_picture_blocks(struct loader *l, struct picture_block *blocks, int n,
                                const char *stack, int level, int c){
  char name[64];
  for(int i=0; i<n; i++){
#define NAME(part) (snprintf(name, sizeof(name), "%s.%d.%d." part, stack, level, i), name)
    loader_vector(l, &blocks[i].norm, NAME("norm"), c);
    load_affine(l, &blocks[i].conv, NAME("conv"), 9*c, c);
    load_affine(l, &blocks[i].out, NAME("out"), c, c);
#undef NAME
  }
}

static void load_prior(struct loader *l){
  struct model *m = model_of(l);
  struct picture_net *q = &m->picture;
  const struct prior_shape *p = &m->config.picture.prior;
  int r = m->config.shape.r;
  char name[64];
  loader_matrix(l, &q->prior_r, "prior.in_r", r, p->width);
  loader_matrix(l, &q->prior_s, "prior.in_s", m->config.shape.s, p->width);
  loader_matrix(l, &q->prior_style, "prior.in_style", m->config.picture.style, p->width);
  loader_matrix(l, &q->prior_recalled, "prior.in_memory", r, p->width);
  loader_matrix(l, &q->memory, "prior.memory", m->config.n_names, r);
  loader_table(l, &q->prior_time, "prior.time", p->steps, p->width);
  for(int i=0; i<p->blocks; i++){
    struct prior_block *b = &q->prior[i];
#define NAME(part) (snprintf(name, sizeof(name), "prior.%d." part, i), name)
    loader_vector(l, &b->norm, NAME("norm"), p->width);
    loader_matrix(l, &b->in, NAME("in"), p->width, 2*p->hidden);
    loader_matrix(l, &b->out, NAME("out"), p->hidden, p->width);
#undef NAME
  }
  loader_vector(l, &q->prior_norm, "prior.norm", p->width);
  loader_matrix(l, &q->prior_out, "prior.out", p->width, r);
}

static void load_picture(struct loader *l){
  struct model *m = model_of(l);
  struct picture_net *q = &m->picture;
  const struct shape *shape = &m->config.shape;
  const struct picture_shape *p = &m->config.picture;
  const int *c = p->channels;
  int last = PICTURE_LEVELS - 1;
  int side = p->size >> PICTURE_LEVELS;
  int flat = side*side*c[last];
  char name[64];
  load_affine(l, &q->in, "in", 16, c[0]);
  for(int i=0; i<=last; i++){
    load_picture_blocks(l, q->encoder[i], p->encoder_blocks[i], "encoder", i, c[i]);
    load_picture_blocks(l, q->decoder[i], p->decoder_blocks[last-i], "decoder", i, c[i]);
  }
  for(int i=0; i<last; i++){
    snprintf(name, sizeof(name), "encoder.%d.down", i);
    load_affine(l, &q->down[i], name, 4*c[i], c[i+1]);
    snprintf(name, sizeof(name), "decoder.%d.up", i + 1);
    load_affine(l, &q->up[i], name, c[i+1], 4*c[i]);
  }
  loader_vector(l, &q->encoder_norm, "encoder.norm", c[last]);
  load_affine(l, &q->to_r, "to_r", flat, shape->r);
  load_affine(l, &q->to_hidden, "to_hidden", flat, p->hidden);
  load_affine(l, &q->to_s, "to_s", p->hidden, shape->s);
  loader_matrix(l, &q->to_style, "to_style", shape->r, p->style);
  load_affine(l, &q->from_z, "from_z", shape->s + shape->r, flat);
  loader_vector(l, &q->decoder_norm, "decoder.norm", c[0]);
  load_affine(l, &q->out, "out", c[0], 16);
  loader_table(l, &q->names, "names", m->config.n_names, shape->s);
  load_prior(l);
}

/* ---- All tensors ---- */

static void load_positions(struct loader *l){
  const struct shape *shape = &model_of(l)->config.shape;
  int positions = shape->registers + shape->longest + SPARE_POSITIONS;
  float *cos_sin = loader_room(l, (size_t)positions*HEAD*sizeof(float));
  if( cos_sin ) rotary_table(cos_sin, positions, 10000.0);
  model_of(l)->cos_sin = cos_sin;
}

static void load_tensors(struct loader *l){
  struct model *m = model_of(l);
  const struct shape *shape = &m->config.shape;
  int d = shape->d;
  int z = shape->s + shape->r;
  loader_matrix(l, &m->embedding, "embedding", shape->pieces, d);
  load_registers(l);
  for(int i=0; i<shape->encoder_layers; i++) load_block(l, &m->encoder[i], "encoder", i, 0);
  for(int i=0; i<shape->decoder_layers; i++) load_block(l, &m->decoder[i], "decoder", i, 1);
  loader_vector(l, &m->encoder_norm, "encoder_norm", d);
  loader_vector(l, &m->decoder_norm, "decoder_norm", d);
  loader_matrix(l, &m->to_r, "to_r", d, shape->r/shape->registers);
  if( m->meaning==NULL ) loader_matrix(l, &m->to_s, "to_s", d, shape->s);
  loader_matrix(l, &m->memory, "memory.weight", z, shape->memory*d);
  loader_vector(l, &m->memory_bias, "memory.bias", shape->memory*d);
  loader_matrix(l, &m->z_in, "z_in", z, d);
  load_output(l);
  load_positions(l);
}

/* ---- A model ---- */

static void model_release(void *it){
  struct model *m = it;
  mem_free(m->converted);
  mem_free(m->encoder);                 /* one allocation with m->decoder */
  mem_free(m->picture.encoder[0]);      /* one allocation with all other levels' */
  mem_free(m->picture.prior);
  bert_close(m->meaning);
  config_close(&m->config);
  safetensors_close(&m->file);
}

/* Opens <name>.json beside <name>.safetensors. */
static int open_config(struct model *m, struct err *e){
  static const char suffix[] = ".safetensors";
  char json[PATH_BYTES + 8];
  size_t n = strlen(m->shared.path);
  size_t n_suffix = sizeof(suffix) - 1;
  if( n<=n_suffix || n>=PATH_BYTES || strcmp(m->shared.path + n - n_suffix, suffix)!=0 ){
    return fail(e, SQLITE_CANTOPEN, "%s: expected the path of a file that ends in .safetensors",
                shared_name(&m->shared));
  }
  memcpy(json, m->shared.path, n - n_suffix);
  strcpy(json + n - n_suffix, ".json");
  return config_open(&m->config, json, e);
}

static int check_hash(const struct model *m, const char *file, struct err *e){
  int n_stem = (int)(strlen(file) - strlen(".safetensors"));
  unsigned long long have = m->file.hash;
  unsigned long long want = m->config.weights_hash;
  if( have==want ) return SQLITE_OK;
  return fail(e, SQLITE_CORRUPT, "%s: its bytes hash to %016llx, %.*s.json expects %016llx: "
              "the file is altered or of another model", file, have, n_stem, file, want);
}

/* What the encoder's scratch relies on besides what config_open() has checked. */
static int check_shape(const struct model *m, const char *file, struct err *e){
  const struct shape *shape = &m->config.shape;
  int most = (shape->registers + 1)*m->h;
  if( m->config.kind==KIND_PICTURE || (shape->s<=most && shape->r<=most) ) return SQLITE_OK;
  return fail(e, SQLITE_CORRUPT, "%s: s and r of %d and %d numbers, expected at most %d",
              file, shape->s, shape->r, most);
}

/* The blocks of all levels and of the prior, zeroed. */
static int make_picture_blocks(struct model *m, struct err *e){
  const struct picture_shape *p = &m->config.picture;
  struct picture_block *at;
  size_t n = 1;                         /* one more, so that there is something to free */
  for(int i=0; i<PICTURE_LEVELS; i++) n += (size_t)(p->encoder_blocks[i] + p->decoder_blocks[i]);
  at = mem_zeroed(n*sizeof(*at));
  m->picture.encoder[0] = at;
  m->picture.prior = mem_zeroed((size_t)p->prior.blocks*sizeof(*m->picture.prior));
  if( at==NULL || m->picture.prior==NULL ) return fail_nomem(e);
  for(int i=0; i<PICTURE_LEVELS; i++){
    m->picture.encoder[i] = at;
    m->picture.decoder[i] = at + p->encoder_blocks[i];
    at += p->encoder_blocks[i] + p->decoder_blocks[PICTURE_LEVELS-1-i];
  }
  return SQLITE_OK;
}

/* The blocks of both stacks, zeroed. */
static int make_blocks(struct model *m, struct err *e){
  const struct shape *shape = &m->config.shape;
  size_t n = (size_t)(shape->encoder_layers + shape->decoder_layers);
  if( m->config.kind==KIND_PICTURE ) return make_picture_blocks(m, e);
  m->encoder = mem_zeroed(n*sizeof(struct block));
  if( m->encoder==NULL ) return fail_nomem(e);
  m->decoder = m->encoder + shape->encoder_layers;
  return SQLITE_OK;
}

/* The sentence encoder, in the folder "meaning" beside the weights. */
static int open_meaning(struct model *m, struct err *e){
  static const char name[] = "meaning";
  size_t n = (size_t)(shared_name(&m->shared) - m->shared.path);
  unsigned long long have, want;
  char folder[PATH_BYTES + sizeof(name)];
  if( m->config.meaning==0 ) return SQLITE_OK;
  memcpy(folder, m->shared.path, n);
  strcpy(folder + n, name);
  if( bert_open(&m->meaning, folder, e)!=SQLITE_OK ) return e->rc;
  have = m->meaning->file.hash;
  want = m->config.meaning_hash;
  if( have!=want ){
    return fail(e, SQLITE_CORRUPT, "%s: its weights hash to %016llx, %s expects %016llx: the "
                "folder is of another model", folder, have, m->shared.path, want);
  }
  if( m->meaning->config.shape.d>=m->config.meaning ) return SQLITE_OK;
  return fail(e, SQLITE_CORRUPT, "%s: vectors of %d numbers, expected %d or more", folder,
              m->meaning->config.shape.d, m->config.meaning);
}

/* Reads and checks both files of a struct model that has nothing but its path. */
static int model_read(void *it, struct err *e){
  struct model *m = it;
  struct loader l = {
    .owner = m,
    .tensors = &m->file,
    .file = shared_name(&m->shared),
    .e = e,
  };
  if( open_config(m, e)!=SQLITE_OK ) return e->rc;
  if( safetensors_open(&m->file, m->shared.path, e)!=SQLITE_OK ) return e->rc;
  if( check_hash(m, l.file, e)!=SQLITE_OK ) return e->rc;
  if( tensors_check_finite(&m->file, l.file, e)!=SQLITE_OK ) return e->rc;
  m->h = (m->config.shape.d*8/3 + 63)/64*64;
  if( check_shape(m, l.file, e)!=SQLITE_OK || open_meaning(m, e)!=SQLITE_OK ) return e->rc;
  if( make_blocks(m, e)!=SQLITE_OK ) return e->rc;
  return loader_run(&l, m->config.kind==KIND_PICTURE ? load_picture : load_tensors, &m->converted);
}

static struct sort models = {
  .bytes = sizeof(struct model),
  .what = "the weights of a model",
  .read = model_read,
  .release = model_release,
};

int model_open(struct model **out, const char *path, struct err *e){
  *out = (struct model *)shared_open(&models, path, e);
  return e->rc;
}

void model_close(struct model *m){
  shared_close(&models, (struct shared *)m);
}
