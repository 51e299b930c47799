/*
** model_load.c -- opens a model's two files, checks every tensor, and keeps one copy a process.
**
** Matrices of the file are used where they lie in its read-only map, so processes share their pages; only what the kernels cannot read in
** place is copied: vectors (as floats), matrices in bf16 or i8 (as floats), matrices at an odd address, and the embedding turned round.
**
** The registry is a list under global_lock(). A model is loaded outside the lock, so that one thread's slow disk does not hold up
** another's open model; the thread that comes second with the same path throws its copy away and takes the first one's.
*/
#define _XOPEN_SOURCE 700                                       /* realpath */
#include "model.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#ifndef PATH_MAX
# define PATH_MAX 4096
#endif
#define HEAD 64
#define SPARE_POSITIONS 8                                       /* as in text_model.py; END and START need two */

static struct model *registry = 0;

/* The tensors are visited twice: first to check them and count the bytes to copy (at==NULL), then to fill the block of that size. */
struct loader {
  struct model *m;
  const char *file;                     /* last part of the path, for messages */
  unsigned char *at;                    /* the block, or NULL when counting */
  size_t used;
  struct err *e;
};

/* Room in the block, 64-byte aligned within it; NULL when counting. */
static void *place(struct loader *l, size_t bytes){
  void *p = l->at ? l->at + l->used : 0;
  l->used += (bytes + 63) & ~(size_t)63;
  return p;
}

static const char *shape_text(char *text, size_t n, int rank, long long rows, long long columns){
  if( rank==0 ) snprintf(text, n, "a number");
  else if( rank==1 ) snprintf(text, n, "[%lld]", rows);
  else snprintf(text, n, "[%lld, %lld]", rows, columns);
  return text;
}

/* The tensor of that name and shape (columns 0: a vector), or NULL with the failure noted. */
static const struct tensor *expect(struct loader *l, const char *name, int rows, int columns){
  const struct tensor *t = safetensors_find(&l->m->file, name);
  int rank = columns ? 2 : 1;
  char want[48], have[48];
  shape_text(want, sizeof(want), rank, rows, columns);
  if( t==0 ){
    fail(l->e, SQLITE_CORRUPT, "%s: has no tensor %s, expected one of %s", l->file, name, want);
    return 0;
  }
  if( t->rank!=rank || t->shape[0]!=rows || (columns && t->shape[1]!=columns) ){
    shape_text(have, sizeof(have), t->rank, (long long)t->shape[0], (long long)t->shape[1]);
    fail(l->e, SQLITE_CORRUPT, "%s: %s is %s, expected %s", l->file, name, have, want);
    return 0;
  }
  return t;
}

/* v[n], always copied as floats. */
static void load_vector(struct loader *l, const float **v, const char *name, int n){
  const struct tensor *t;
  float *copy;
  if( l->e->rc || (t = expect(l, name, n, 0))==0 ) return;
  copy = place(l, (size_t)n*sizeof(float));
  if( copy ) tensor_to_floats(copy, t);
  *v = copy;
}

/* Registers enter the encoder beside the embeddings, and are scaled like them: by sqrt(d). */
static void load_registers(struct loader *l){
  const struct shape *c = &l->m->config.shape;
  const struct tensor *t;
  float *copy, scale = sqrtf((float)c->d);
  if( l->e->rc || (t = expect(l, "registers", c->registers, c->d))==0 ) return;
  copy = place(l, (size_t)c->registers*c->d*sizeof(float));
  if( copy ){
    tensor_to_floats(copy, t);
    for(int i=0; i<c->registers*c->d; i++) copy[i] *= scale;
  }
  l->m->registers = copy;
}

static void load_matrix(struct loader *l, struct matrix *w, const char *name, int in, int out){
  const struct tensor *t;
  uintptr_t address;
  size_t count = (size_t)in*out;
  if( l->e->rc || (t = expect(l, name, in, out))==0 ) return;
  memset(w, 0, sizeof(*w));
  w->in = in;
  w->out = out;
  address = (uintptr_t)t->data;
  if( t->element==ELEMENT_F16 ){
    uint16_t *copy = address%2 ? place(l, count*2) : 0;
    if( copy ) memcpy(copy, t->data, count*2);
    w->half = address%2 ? copy : t->data;
  }else if( t->element==ELEMENT_F32 && address%4==0 ){
    w->full = t->data;
  }else{
    float *copy = place(l, count*sizeof(float));
    if( copy ) tensor_to_floats(copy, t);
    w->full = copy;
  }
}

/* The table of words is read where it lies: it is the largest array, and a text needs some rows of it. */
static void load_words(struct loader *l){
  const struct shape *c = &l->m->config.shape;
  const struct tensor *t;
  float *copy;
  if( l->e->rc || c->words==0 || (t = expect(l, "words", c->words, c->s))==0 ) return;
  if( t->element!=ELEMENT_I8 ){
    fail(l->e, SQLITE_CORRUPT, "%s: words is not I8, the one element type that the table of words may have", l->file);
    return;
  }
  l->m->words = (const int8_t *)t->data;
  copy = place(l, (size_t)c->s*sizeof(float));
  if( copy ) tensor_to_floats(copy, t->scale);
  l->m->word_scale = copy;
}

static void load_block(struct loader *l, struct block *b, const char *stack, int i, int cross){
  int d = l->m->config.shape.d, h = l->m->h;
  char name[64];
#define NAME(part) (snprintf(name, sizeof(name), "%s.%d." part, stack, i), name)
  load_vector(l, &b->attention_norm, NAME("attention_norm"), d);
  load_matrix(l, &b->q, NAME("attention.q"), d, d);
  load_matrix(l, &b->kv, NAME("attention.kv"), d, 2*d);
  load_matrix(l, &b->o, NAME("attention.o"), d, d);
  if( cross ){
    load_vector(l, &b->cross_norm, NAME("cross_norm"), d);
    load_matrix(l, &b->cross_q, NAME("cross.q"), d, d);
    load_matrix(l, &b->cross_kv, NAME("cross.kv"), d, 2*d);
    load_matrix(l, &b->cross_o, NAME("cross.o"), d, d);
  }
  load_vector(l, &b->feed_norm, NAME("feed_norm"), d);
  load_matrix(l, &b->feed_in, NAME("feed.in"), d, 2*h);
  load_matrix(l, &b->feed_out, NAME("feed.out"), h, d);
#undef NAME
}

/* y[columns, rows] = x[rows, columns] turned round. Tiles of 64 keep the cache lines of both sides until they are used up:
** the 8192 x 256 embedding takes 3 ms, and 14 ms without them (one core of the build machine). */
#define TILE 64
#define TRANSPOSE(y, x, rows, columns) \
  for(int i0=0; i0<rows; i0+=TILE){ \
    for(int j0=0; j0<columns; j0+=TILE){ \
      int i1 = i0+TILE<rows ? i0+TILE : rows, j1 = j0+TILE<columns ? j0+TILE : columns; \
      for(int j=j0; j<j1; j++){ \
        for(int i=i0; i<i1; i++) y[(size_t)j*rows + i] = x[(size_t)i*columns + j]; \
      } \
    } \
  }
static void transpose_half(uint16_t *y, const uint16_t *x, int rows, int columns){ TRANSPOSE(y, x, rows, columns) }
static void transpose_full(float *y, const float *x, int rows, int columns){ TRANSPOSE(y, x, rows, columns) }

/* The output layer is the embedding turned round, of the same element type. */
static void load_output(struct loader *l){
  const struct matrix *e = &l->m->embedding;
  struct matrix *o = &l->m->output;
  size_t count = (size_t)e->in*e->out;
  if( l->e->rc ) return;
  memset(o, 0, sizeof(*o));
  o->in = e->out;
  o->out = e->in;
  if( e->half ){
    uint16_t *turned = place(l, count*2);
    if( turned ) transpose_half(turned, e->half, e->in, e->out);
    o->half = turned;
  }else{
    float *turned = place(l, count*sizeof(float));
    if( turned ) transpose_full(turned, e->full, e->in, e->out);
    o->full = turned;
  }
}

/* ---- Kind picture: positions and the VQ-VAE ---- */

static void load_positions(struct loader *l, const float **positions, const char *name){
  const struct shape *c = &l->m->config.shape;
  const struct tensor *t;
  float *copy;
  if( l->e->rc || (t = expect(l, name, c->longest, c->d))==0 ) return;
  copy = place(l, (size_t)c->longest*c->d*sizeof(float));
  if( copy ) tensor_to_floats(copy, t);
  *positions = copy;
}

/* name.weight and name.bias */
static void load_affine(struct loader *l, struct affine *a, const char *name, int in, int out){
  char part[64];
  snprintf(part, sizeof(part), "%s.weight", name);
  load_matrix(l, &a->w, part, in, out);
  snprintf(part, sizeof(part), "%s.bias", name);
  load_vector(l, &a->bias, part, out);
}

/* stack.level.0, stack.level.1, ... of c channels. */
static void load_picture_blocks(struct loader *l, struct picture_block *blocks, int n, const char *stack, int level, int c){
  char name[64];
  for(int i=0; i<n; i++){
#define NAME(part) (snprintf(name, sizeof(name), "picture.%s.%d.%d." part, stack, level, i), name)
    load_vector(l, &blocks[i].norm, NAME("norm"), c);
    load_affine(l, &blocks[i].conv, NAME("conv"), 9*c, c);
    load_affine(l, &blocks[i].out, NAME("out"), c, c);
#undef NAME
  }
}

/* The codebook as floats, and turned round. */
static void load_codebook(struct loader *l){
  const struct picture_shape *p = &l->m->config.picture;
  const struct tensor *t;
  float *rows, *turned;
  if( l->e->rc || (t = expect(l, "picture.codebook", p->codes, p->code_width))==0 ) return;
  rows = place(l, (size_t)p->codes*p->code_width*sizeof(float));
  turned = place(l, (size_t)p->codes*p->code_width*sizeof(float));
  if( rows ){
    tensor_to_floats(rows, t);
    transpose_full(turned, rows, p->codes, p->code_width);
  }
  l->m->codes.codebook = rows;
  l->m->codes.nearest = (struct matrix){ p->code_width, p->codes, 0, turned };
}

static void load_picture(struct loader *l){
  struct picture_codes *q = &l->m->codes;
  const struct picture_shape *p = &l->m->config.picture;
  const int *c = p->channels, last = PICTURE_LEVELS-1;
  char name[64];
  load_positions(l, &l->m->encoder_position, "encoder_position");
  load_positions(l, &l->m->decoder_position, "decoder_position");
  load_affine(l, &q->in, "picture.in", 16, c[0]);
  for(int i=0; i<PICTURE_LEVELS; i++){
    load_picture_blocks(l, q->encoder[i], p->encoder_blocks[i], "encoder", i, c[i]);
    load_picture_blocks(l, q->decoder[i], p->decoder_blocks[last-i], "decoder", i, c[i]);
  }
  for(int i=0; i<last; i++){
    snprintf(name, sizeof(name), "picture.encoder.%d.down", i);
    load_affine(l, &q->down[i], name, 4*c[i], c[i+1]);
    snprintf(name, sizeof(name), "picture.decoder.%d.up", i+1);
    load_affine(l, &q->up[i], name, c[i+1], 4*c[i]);
  }
  load_vector(l, &q->encoder_norm, "picture.encoder.norm", c[last]);
  load_affine(l, &q->to_code, "picture.to_code", c[last], p->code_width);
  load_codebook(l);
  load_affine(l, &q->from_code, "picture.from_code", p->code_width, c[last]);
  load_vector(l, &q->decoder_norm, "picture.decoder.norm", c[0]);
  load_affine(l, &q->out, "picture.out", c[0], 16);
}

/* ---- All of it ---- */

static void load_tensors(struct loader *l){
  struct model *m = l->m;
  const struct shape *c = &m->config.shape;
  int positions = c->registers + c->longest + SPARE_POSITIONS, z = c->s + c->r;
  float *cos_sin;
  load_matrix(l, &m->embedding, "embedding", c->pieces, c->d);
  load_registers(l);
  for(int i=0; i<c->encoder_layers; i++) load_block(l, &m->encoder[i], "encoder", i, 0);
  for(int i=0; i<c->decoder_layers; i++) load_block(l, &m->decoder[i], "decoder", i, 1);
  load_vector(l, &m->encoder_norm, "encoder_norm", c->d);
  load_vector(l, &m->decoder_norm, "decoder_norm", c->d);
  load_matrix(l, &m->to_s, "to_s", c->d, c->s);
  load_matrix(l, &m->to_r, "to_r", c->d, c->r/c->registers);
  load_words(l);
  load_matrix(l, &m->memory, "memory.weight", z, c->memory*c->d);
  load_vector(l, &m->memory_bias, "memory.bias", c->memory*c->d);
  load_matrix(l, &m->z_in, "z_in", z, c->d);
  load_output(l);
  if( m->config.kind==KIND_PICTURE ) load_picture(l);
  cos_sin = place(l, (size_t)positions*HEAD*sizeof(float));
  if( cos_sin ) rotary_table(cos_sin, positions);
  m->cos_sin = cos_sin;
}

static const char *last_part(const char *path){
  const char *slash = strrchr(path, '/');
  return slash ? slash+1 : path;
}

static void model_free(struct model *m){
  if( m==0 ) return;
  mem_free(m->converted);
  mem_free(m->encoder);                                         /* one block with m->decoder */
  mem_free(m->codes.encoder[0]);                                /* and one with all other levels' */
  config_close(&m->config);
  safetensors_close(&m->file);
  mem_free(m->path);
  mem_free(m);
}

/* Opens <name>.json beside <name>.safetensors. */
static int open_config(struct model *m, struct err *e){
  static const char suffix[] = ".safetensors";
  char json[PATH_MAX + 8];
  size_t n = strlen(m->path), n_suffix = sizeof(suffix)-1;
  if( n<=n_suffix || n>=PATH_MAX || strcmp(m->path + n - n_suffix, suffix)!=0 ){
    return fail(e, SQLITE_CANTOPEN, "%s: expected the path of a file that ends in .safetensors", last_part(m->path));
  }
  memcpy(json, m->path, n - n_suffix);
  strcpy(json + n - n_suffix, ".json");
  return config_open(&m->config, json, e);
}

static int check_hash(const struct model *m, const char *file, struct err *e){
  int n_stem = (int)(strlen(file) - strlen(".safetensors"));
  if( m->file.hash==m->config.weights_hash ) return SQLITE_OK;
  return fail(e, SQLITE_CORRUPT, "%s: its bytes hash to %016llx, %.*s.json expects %016llx: the file is altered or of another model",
              file, (unsigned long long)m->file.hash, n_stem, file, (unsigned long long)m->config.weights_hash);
}

/* What the encoder's scratch relies on beyond what config_open() has checked. */
static int check_shape(const struct model *m, const char *file, struct err *e){
  const struct shape *c = &m->config.shape;
  int most = (c->registers+1)*m->h;
  if( c->s<=most && c->r<=most ) return SQLITE_OK;
  return fail(e, SQLITE_CORRUPT, "%s: s and r of %d and %d numbers, expected at most %d", file, c->s, c->r, most);
}

/* Zeroed blocks of both stacks; of a picture's also those of every level. */
static int make_blocks(struct model *m, struct err *e){
  const struct shape *c = &m->config.shape;
  const struct picture_shape *p = &m->config.picture;
  struct picture_block *at;
  size_t n = (size_t)(c->encoder_layers + c->decoder_layers), n_picture = 0;
  m->encoder = mem_alloc(n*sizeof(struct block));
  if( m->encoder==0 ) return fail_nomem(e);
  memset(m->encoder, 0, n*sizeof(struct block));
  m->decoder = m->encoder + c->encoder_layers;
  for(int i=0; i<PICTURE_LEVELS; i++) n_picture += (size_t)(p->encoder_blocks[i] + p->decoder_blocks[i]);
  if( n_picture==0 ) return SQLITE_OK;
  at = mem_alloc(n_picture*sizeof(*at));
  if( at==0 ) return fail_nomem(e);
  memset(at, 0, n_picture*sizeof(*at));
  for(int i=0; i<PICTURE_LEVELS; i++){
    m->codes.encoder[i] = at;
    m->codes.decoder[i] = at + p->encoder_blocks[i];
    at += p->encoder_blocks[i] + p->decoder_blocks[PICTURE_LEVELS-1-i];
  }
  return SQLITE_OK;
}

static int load(struct model *m, struct err *e){
  struct loader l = { m, last_part(m->path), 0, 0, e };
  const struct shape *c = &m->config.shape;
  if( open_config(m, e) || safetensors_open(&m->file, m->path, e) || check_hash(m, l.file, e) ) return e->rc;
  m->h = (c->d*8/3 + 63)/64*64;
  if( check_shape(m, l.file, e) || make_blocks(m, e) ) return e->rc;
  load_tensors(&l);
  if( e->rc ) return e->rc;
  m->converted = mem_alloc(l.used + 63);
  if( m->converted==0 ) return fail_nomem(e);
  l.at = (unsigned char*)(((uintptr_t)m->converted + 63) & ~(uintptr_t)63);
  l.used = 0;
  load_tensors(&l);
  return e->rc;
}

/* The open model of that path with one more reference, or NULL. Under the lock. */
static struct model *registered(const char *path){
  struct model *m = registry;
  while( m && strcmp(m->path, path)!=0 ) m = m->next;
  if( m ) m->n_users++;
  return m;
}

static struct model *registered_locked(const char *path){
  struct model *m;
  global_lock();
  m = registered(path);
  global_unlock();
  return m;
}

/* Enters a new model; when another thread was faster, gives up ours and returns its model. */
static struct model *enter(struct model *m){
  struct model *first;
  global_lock();
  first = registered(m->path);
  if( first==0 ){
    m->n_users = 1;
    m->next = registry;
    registry = m;
  }
  global_unlock();
  if( first==0 ) return m;
  model_free(m);
  return first;
}

int model_open(struct model **out, const char *path, struct err *e){
  char real[PATH_MAX];
  struct model *m;
  *out = 0;
  if( realpath(path, real)==0 ) return fail(e, SQLITE_CANTOPEN, "%s: no such file, expected the weights of a model", path);
  if( (*out = registered_locked(real))!=0 ) return SQLITE_OK;
  m = mem_alloc(sizeof(*m));
  if( m==0 ) return fail_nomem(e);
  memset(m, 0, sizeof(*m));
  m->path = mem_alloc(strlen(real)+1);
  if( m->path==0 ){
    fail_nomem(e);
  }else{
    strcpy(m->path, real);
    load(m, e);
  }
  if( e->rc ){
    model_free(m);
    return e->rc;
  }
  *out = enter(m);
  return SQLITE_OK;
}

void model_close(struct model *m){
  struct model **at;
  int last;
  if( m==0 ) return;
  global_lock();
  last = --m->n_users==0;
  if( last ){
    for(at=&registry; *at!=m; at=&(*at)->next){}
    *at = m->next;
  }
  global_unlock();
  if( last ) model_free(m);
}
