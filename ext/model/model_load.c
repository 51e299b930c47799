/*
** model_load.c -- opens a model's two files, checks every tensor, and keeps one copy a process.
**
** Matrices are used where they lie in the process's copy of the file (base_map.c). Only what the
** kernels cannot read in place is copied: vectors (as floats), matrices in bf16 or i8 (as floats),
** matrices at an odd address, and the embedding transposed.
**
** The open models are a list under global_lock(). A model is loaded outside the lock, so that one
** thread's slow disk does not hold up another's open model. Of two threads that load the same path
** at a time, the second throws its copy away and takes the first one's.
*/
#define _XOPEN_SOURCE 700               /* realpath */
#include "model.h"
#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  ALIGNMENT = 64,                       /* of what is copied; the kernels need it */
  SPARE_POSITIONS = 8                   /* as in text_model.py; END and START need two */
};

static struct model *open_models = NULL;

/* ---- Tensors ----
** They are visited twice: first to check them and to count the bytes to copy, then to copy these
** into a block of that size. */

struct loader {
  struct model *m;
  const char *file;                     /* last part of the path, for messages */
  unsigned char *block;                 /* where copies go; NULL on the first visit */
  size_t used;                          /* bytes of it */
  struct err *e;
};

/* Room in the block, aligned; NULL on the first visit. */
static void *block_room(struct loader *l, size_t bytes){
  void *p = l->block ? l->block + l->used : NULL;
  l->used += (bytes + ALIGNMENT-1) & ~(size_t)(ALIGNMENT-1);
  return p;
}

static const char *shape_text(char *text, size_t n, int rank, int64_t rows, int64_t columns){
  long long first = (long long)rows;
  if( rank==0 ){
    snprintf(text, n, "a number");
  }else if( rank==1 ){
    snprintf(text, n, "[%lld]", first);
  }else{
    snprintf(text, n, "[%lld, %lld]", first, (long long)columns);
  }
  return text;
}

/* The tensor of that name and shape (columns 0: a vector). NULL after noting why not, or where
** something has failed before. */
static const struct tensor *find_tensor(struct loader *l, const char *name, int rows, int columns){
  const struct tensor *t;
  int rank = columns ? 2 : 1;
  int is_alike;
  char want[48], have[48];
  if( l->e->rc!=SQLITE_OK ) return NULL;
  t = safetensors_find(&l->m->file, name);
  shape_text(want, sizeof(want), rank, rows, columns);
  if( t==NULL ){
    fail(l->e, SQLITE_CORRUPT, "%s: has no tensor %s, expected one of %s", l->file, name, want);
    return NULL;
  }
  is_alike = t->rank==rank && t->shape[0]==rows && (rank==1 || t->shape[1]==columns);
  if( !is_alike ){
    shape_text(have, sizeof(have), t->rank, t->shape[0], t->shape[1]);
    fail(l->e, SQLITE_CORRUPT, "%s: %s is %s, expected %s", l->file, name, have, want);
    return NULL;
  }
  return t;
}

/* A copy of the tensor's n numbers as floats; NULL on the first visit. */
static float *copy_floats(struct loader *l, const struct tensor *t, size_t n){
  float *copy = block_room(l, n*sizeof(float));
  if( copy ) tensor_to_floats(copy, t);
  return copy;
}

static void load_vector(struct loader *l, const float **v, const char *name, int n){
  const struct tensor *t = find_tensor(l, name, n, 0);
  if( t ) *v = copy_floats(l, t, (size_t)n);
}

/* x[rows, columns], copied as floats. */
static void load_table(struct loader *l, const float **x, const char *name, int rows, int columns){
  const struct tensor *t = find_tensor(l, name, rows, columns);
  if( t ) *x = copy_floats(l, t, (size_t)rows*(size_t)columns);
}

/* Registers enter the encoder beside the embeddings, and are scaled like them: by sqrt(d). */
static void load_registers(struct loader *l){
  const struct shape *shape = &l->m->config.shape;
  const struct tensor *t = find_tensor(l, "registers", shape->registers, shape->d);
  int n = shape->registers*shape->d;
  float scale = sqrtf((float)shape->d);
  float *copy;
  if( t==NULL ) return;
  copy = copy_floats(l, t, (size_t)n);
  for(int i=0; copy && i<n; i++) copy[i] *= scale;
  l->m->registers = copy;
}

static void load_matrix(struct loader *l, struct matrix *w, const char *name, int in, int out){
  const struct tensor *t = find_tensor(l, name, in, out);
  size_t count = (size_t)in*(size_t)out;
  uintptr_t address;
  if( t==NULL ) return;
  *w = (struct matrix){ .in = in, .out = out };
  address = (uintptr_t)t->data;
  if( t->element==ELEMENT_F16 && address%2==0 ){
    w->half = t->data;
  }else if( t->element==ELEMENT_F16 ){
    void *copy = block_room(l, count*2);
    if( copy ) memcpy(copy, t->data, count*2);
    w->half = copy;
  }else if( t->element==ELEMENT_F32 && address%4==0 ){
    w->full = t->data;
  }else{
    w->full = copy_floats(l, t, count);
  }
}

/* The table of words is read where it lies: it is the largest array, and a text needs few of its
** rows. */
static void load_words(struct loader *l){
  const struct shape *shape = &l->m->config.shape;
  const struct tensor *t;
  if( shape->words==0 ) return;
  t = find_tensor(l, "words", shape->words, shape->s);
  if( t==NULL ) return;
  if( t->element!=ELEMENT_I8 ){
    fail(l->e, SQLITE_CORRUPT, "%s: words is not I8, the one element type that the table of words "
         "may have", l->file);
    return;
  }
  l->m->words = t->data;
  l->m->word_scale = copy_floats(l, t->scale, (size_t)shape->s);
}

static void load_block(struct loader *l, struct block *b, const char *stack, int i, int has_cross){
  int d = l->m->config.shape.d;
  int h = l->m->h;
  char name[64];
#define NAME(part) (snprintf(name, sizeof(name), "%s.%d." part, stack, i), name)
  load_vector(l, &b->attention_norm, NAME("attention_norm"), d);
  load_matrix(l, &b->q, NAME("attention.q"), d, d);
  load_matrix(l, &b->kv, NAME("attention.kv"), d, 2*d);
  load_matrix(l, &b->o, NAME("attention.o"), d, d);
  if( has_cross ){
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

/* ---- Transposed: y[columns, rows] of x[rows, columns] ----
** Tiles of 64 keep the cache lines of both sides until they are used up: the 8192 x 256 embedding
** takes 3 ms, and 14 ms without them (one core of the build machine). */

#define TRANSPOSE(y, x, rows, columns) \
  enum { TILE = 64 }; \
  for(int i0=0; i0<rows; i0+=TILE){ \
    int i1 = i0+TILE<rows ? i0+TILE : rows; \
    for(int j0=0; j0<columns; j0+=TILE){ \
      int j1 = j0+TILE<columns ? j0+TILE : columns; \
      for(int j=j0; j<j1; j++){ \
        for(int i=i0; i<i1; i++) y[(size_t)j*rows + i] = x[(size_t)i*columns + j]; \
      } \
    } \
  }

static void transpose_half(uint16_t *y, const uint16_t *x, int rows, int columns){
  TRANSPOSE(y, x, rows, columns)
}

static void transpose_full(float *y, const float *x, int rows, int columns){
  TRANSPOSE(y, x, rows, columns)
}

/* The output layer is the embedding transposed, of the same element type. */
static void load_output(struct loader *l){
  const struct matrix *e = &l->m->embedding;
  struct matrix *o = &l->m->output;
  size_t count = (size_t)e->in*(size_t)e->out;
  if( l->e->rc!=SQLITE_OK ) return;
  *o = (struct matrix){ .in = e->out, .out = e->in };
  if( e->half ){
    uint16_t *transposed = block_room(l, count*2);
    if( transposed ) transpose_half(transposed, e->half, e->in, e->out);
    o->half = transposed;
  }else{
    float *transposed = block_room(l, count*sizeof(float));
    if( transposed ) transpose_full(transposed, e->full, e->in, e->out);
    o->full = transposed;
  }
}

/* ---- Kind picture: positions and the VQ-VAE ---- */

/* name.weight and name.bias */
static void load_affine(struct loader *l, struct affine *a, const char *name, int in, int out){
  char part[64];
  snprintf(part, sizeof(part), "%s.weight", name);
  load_matrix(l, &a->w, part, in, out);
  snprintf(part, sizeof(part), "%s.bias", name);
  load_vector(l, &a->bias, part, out);
}

/* picture.<stack>.<level>.0, .1, ... of c channels. */
static void load_picture_blocks(struct loader *l, struct picture_block *blocks, int n,
                                const char *stack, int level, int c){
  char name[64];
  for(int i=0; i<n; i++){
#define NAME(part) \
    (snprintf(name, sizeof(name), "picture.%s.%d.%d." part, stack, level, i), name)
    load_vector(l, &blocks[i].norm, NAME("norm"), c);
    load_affine(l, &blocks[i].conv, NAME("conv"), 9*c, c);
    load_affine(l, &blocks[i].out, NAME("out"), c, c);
#undef NAME
  }
}

/* The codebook as floats, and transposed. */
static void load_codebook(struct loader *l){
  const struct picture_shape *p = &l->m->config.picture;
  struct picture_codes *q = &l->m->codes;
  float *transposed;
  load_table(l, &q->codebook, "picture.codebook", p->codes, p->code_width);
  if( l->e->rc!=SQLITE_OK ) return;
  transposed = block_room(l, (size_t)p->codes*(size_t)p->code_width*sizeof(float));
  if( transposed ) transpose_full(transposed, q->codebook, p->codes, p->code_width);
  q->nearest = (struct matrix){ .in = p->code_width, .out = p->codes, .full = transposed };
}

static void load_picture(struct loader *l){
  struct model *m = l->m;
  struct picture_codes *q = &m->codes;
  const struct shape *shape = &m->config.shape;
  const struct picture_shape *p = &m->config.picture;
  const int *c = p->channels;
  int last = PICTURE_LEVELS - 1;
  char name[64];
  load_table(l, &m->encoder_position, "encoder_position", shape->longest, shape->d);
  load_table(l, &m->decoder_position, "decoder_position", shape->longest, shape->d);
  load_affine(l, &q->in, "picture.in", 16, c[0]);
  for(int i=0; i<=last; i++){
    load_picture_blocks(l, q->encoder[i], p->encoder_blocks[i], "encoder", i, c[i]);
    load_picture_blocks(l, q->decoder[i], p->decoder_blocks[last-i], "decoder", i, c[i]);
  }
  for(int i=0; i<last; i++){
    snprintf(name, sizeof(name), "picture.encoder.%d.down", i);
    load_affine(l, &q->down[i], name, 4*c[i], c[i+1]);
    snprintf(name, sizeof(name), "picture.decoder.%d.up", i + 1);
    load_affine(l, &q->up[i], name, c[i+1], 4*c[i]);
  }
  load_vector(l, &q->encoder_norm, "picture.encoder.norm", c[last]);
  load_affine(l, &q->to_code, "picture.to_code", c[last], p->code_width);
  load_codebook(l);
  load_affine(l, &q->from_code, "picture.from_code", p->code_width, c[last]);
  load_vector(l, &q->decoder_norm, "picture.decoder.norm", c[0]);
  load_affine(l, &q->out, "picture.out", c[0], 16);
}

/* ---- All tensors ---- */

static void load_positions(struct loader *l){
  const struct shape *shape = &l->m->config.shape;
  int positions = shape->registers + shape->longest + SPARE_POSITIONS;
  float *cos_sin = block_room(l, (size_t)positions*HEAD*sizeof(float));
  if( cos_sin ) rotary_table(cos_sin, positions);
  l->m->cos_sin = cos_sin;
}

static void load_tensors(struct loader *l){
  struct model *m = l->m;
  const struct shape *shape = &m->config.shape;
  int d = shape->d;
  int z = model_width(m);
  load_matrix(l, &m->embedding, "embedding", shape->pieces, d);
  load_registers(l);
  for(int i=0; i<shape->encoder_layers; i++) load_block(l, &m->encoder[i], "encoder", i, 0);
  for(int i=0; i<shape->decoder_layers; i++) load_block(l, &m->decoder[i], "decoder", i, 1);
  load_vector(l, &m->encoder_norm, "encoder_norm", d);
  load_vector(l, &m->decoder_norm, "decoder_norm", d);
  load_matrix(l, &m->to_s, "to_s", d, shape->s);
  load_matrix(l, &m->to_r, "to_r", d, shape->r/shape->registers);
  load_words(l);
  load_matrix(l, &m->memory, "memory.weight", z, shape->memory*d);
  load_vector(l, &m->memory_bias, "memory.bias", shape->memory*d);
  load_matrix(l, &m->z_in, "z_in", z, d);
  load_output(l);
  if( m->config.kind==KIND_PICTURE ) load_picture(l);
  load_positions(l);
}

/* ---- A model ---- */

static const char *last_part(const char *path){
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static void model_free(struct model *m){
  if( m==NULL ) return;
  mem_free(m->converted);
  mem_free(m->encoder);                 /* one allocation with m->decoder */
  mem_free(m->codes.encoder[0]);        /* one allocation with all other levels' */
  config_close(&m->config);
  safetensors_close(&m->file);
  mem_free(m->path);
  mem_free(m);
}

/* Opens <name>.json beside <name>.safetensors. */
static int open_config(struct model *m, struct err *e){
  static const char suffix[] = ".safetensors";
  char json[PATH_MAX + 8];
  size_t n = strlen(m->path);
  size_t n_suffix = sizeof(suffix) - 1;
  if( n<=n_suffix || n>=PATH_MAX || strcmp(m->path + n - n_suffix, suffix)!=0 ){
    return fail(e, SQLITE_CANTOPEN, "%s: expected the path of a file that ends in .safetensors",
                last_part(m->path));
  }
  memcpy(json, m->path, n - n_suffix);
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
  if( shape->s<=most && shape->r<=most ) return SQLITE_OK;
  return fail(e, SQLITE_CORRUPT, "%s: s and r of %d and %d numbers, expected at most %d",
              file, shape->s, shape->r, most);
}

/* Zeroed. NULL when out of memory. */
static void *mem_zeroed(size_t bytes){
  void *p = mem_alloc(bytes);
  if( p ) memset(p, 0, bytes);
  return p;
}

/* The VQ-VAE's blocks of all levels, zeroed. */
static int make_picture_blocks(struct model *m, struct err *e){
  const struct picture_shape *p = &m->config.picture;
  struct picture_block *at;
  size_t n = 0;
  for(int i=0; i<PICTURE_LEVELS; i++) n += (size_t)(p->encoder_blocks[i] + p->decoder_blocks[i]);
  if( n==0 ) return SQLITE_OK;
  at = mem_zeroed(n*sizeof(*at));
  if( at==NULL ) return fail_nomem(e);
  for(int i=0; i<PICTURE_LEVELS; i++){
    m->codes.encoder[i] = at;
    m->codes.decoder[i] = at + p->encoder_blocks[i];
    at += p->encoder_blocks[i] + p->decoder_blocks[PICTURE_LEVELS-1-i];
  }
  return SQLITE_OK;
}

/* The blocks of both stacks, zeroed, and a picture model's. */
static int make_blocks(struct model *m, struct err *e){
  const struct shape *shape = &m->config.shape;
  size_t n = (size_t)(shape->encoder_layers + shape->decoder_layers);
  m->encoder = mem_zeroed(n*sizeof(struct block));
  if( m->encoder==NULL ) return fail_nomem(e);
  m->decoder = m->encoder + shape->encoder_layers;
  return make_picture_blocks(m, e);
}

/* Reads and checks both files of m->path. */
/* A number that is not finite would spread to every point, and to the latents that are stored. */
static int check_finite_numbers(const struct model *m, const char *file, struct err *e){
  for(int i=0; i<m->file.n_tensors; i++){
    const struct tensor *t = &m->file.tensors[i];
    if( tensor_is_finite(t) ) continue;
    return fail(e, SQLITE_CORRUPT, "%s: %s has a number that is infinite or NaN", file, t->name);
  }
  return SQLITE_OK;
}

static int read_model(struct model *m, struct err *e){
  struct loader l = { .m = m, .file = last_part(m->path), .e = e };
  uintptr_t first;
  if( open_config(m, e)!=SQLITE_OK ) return e->rc;
  if( safetensors_open(&m->file, m->path, e)!=SQLITE_OK ) return e->rc;
  if( check_hash(m, l.file, e)!=SQLITE_OK ) return e->rc;
  if( check_finite_numbers(m, l.file, e)!=SQLITE_OK ) return e->rc;
  m->h = (m->config.shape.d*8/3 + 63)/64*64;
  if( check_shape(m, l.file, e)!=SQLITE_OK || make_blocks(m, e)!=SQLITE_OK ) return e->rc;
  load_tensors(&l);
  if( e->rc!=SQLITE_OK ) return e->rc;
  m->converted = mem_alloc(l.used + ALIGNMENT-1);
  if( m->converted==NULL ) return fail_nomem(e);
  first = ((uintptr_t)m->converted + ALIGNMENT-1) & ~(uintptr_t)(ALIGNMENT-1);
  l.block = (unsigned char *)first;
  l.used = 0;
  load_tensors(&l);
  return e->rc;
}

/* A model with that path and nothing else; NULL when out of memory. */
static struct model *new_model(const char *path){
  struct model *m = mem_zeroed(sizeof(*m));
  if( m==NULL ) return NULL;
  m->path = mem_alloc(strlen(path) + 1);
  if( m->path==NULL ){
    mem_free(m);
    return NULL;
  }
  strcpy(m->path, path);
  return m;
}

/* ---- One copy a process ---- */

/* The open model of that path, with one more reference, or NULL. Under the lock. */
static struct model *find_open(const char *path){
  struct model *m = open_models;
  while( m && strcmp(m->path, path)!=0 ) m = m->next;
  if( m ) m->n_users++;
  return m;
}

static struct model *lock_and_find_open(const char *path){
  struct model *m;
  global_lock();
  m = find_open(path);
  global_unlock();
  return m;
}

/* Enters a new model into the list. If another thread was faster, frees it and returns that
** one's. */
static struct model *enter_open(struct model *m){
  struct model *first;
  global_lock();
  first = find_open(m->path);
  if( first==NULL ){
    m->n_users = 1;
    m->next = open_models;
    open_models = m;
  }
  global_unlock();
  if( first==NULL ) return m;
  model_free(m);
  return first;
}

int model_open(struct model **out, const char *path, struct err *e){
  char real[PATH_MAX];
  struct model *m;
  assert( out && path && e );
  *out = NULL;
  if( realpath(path, real)==NULL ){
    return fail(e, SQLITE_CANTOPEN, "%s: no such file, expected the weights of a model", path);
  }
  *out = lock_and_find_open(real);
  if( *out ) return SQLITE_OK;
  m = new_model(real);
  if( m==NULL ) return fail_nomem(e);
  if( read_model(m, e)!=SQLITE_OK ){
    model_free(m);
    return e->rc;
  }
  *out = enter_open(m);
  return SQLITE_OK;
}

void model_close(struct model *m){
  int is_last;
  if( m==NULL ) return;
  global_lock();
  assert( m->n_users>0 );
  is_last = --m->n_users==0;
  if( is_last ){
    struct model **at = &open_models;
    while( *at!=m ) at = &(*at)->next;
    *at = m->next;
  }
  global_unlock();
  if( is_last ) model_free(m);
}
