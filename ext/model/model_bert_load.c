/*
** model_bert_load.c -- opens the folder of a sentence encoder of the BERT family.
**
** Hugging Face keeps a product's weights as [out, in]. linear() wants [in, out], so matrices are
** transposed into memory of the process, as floats; q, k and v become one matrix. The tables of
** pieces and positions, half of a small encoder, are read where they lie.
**
** model/meaning.py writes an encoder in 8 bits, which is used where it lies. Its matrices are U8
** tensors in the layout of kernels_bytes.c, with a tensor of scales; q, k and v are one:
**
**     encoder.layer.<i>.attention.self.qkv.weight     [BYTES_OUT(3d)/16, PANEL_BYTES(d)]
**     encoder.layer.<i>.attention.self.qkv.scale      [3d], and .bias; likewise the others
**     embeddings.word_embeddings.weight, .scale       [pieces, d], [pieces]
**     turn.weight                                     [d, d], floats
*/
#include "model.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

/* What BERT and MPNet call the same thing. */
struct names {
  const char *q, *k, *v, *out, *attention_norm;
};
static const struct names BERT_NAMES = {
  .q = "attention.self.query",
  .k = "attention.self.key",
  .v = "attention.self.value",
  .out = "attention.output.dense",
  .attention_norm = "attention.output.LayerNorm",
};
static const struct names MPNET_NAMES = {
  .q = "attention.attn.q",
  .k = "attention.attn.k",
  .v = "attention.attn.v",
  .out = "attention.attn.o",
  .attention_norm = "attention.LayerNorm",
};
enum { NAME_MOST = 80 };

/* The name of a tensor, as it is in this file: some have "bert." or "mpnet." before each. */
static const char *name_of(struct loader *l, char name[NAME_MOST], const char *module,
                           const char *part){
  static const char *const BEFORE[] = { "", "bert.", "mpnet." };
  for(int i=0; i<3; i++){
    snprintf(name, NAME_MOST, "%s%s.%s", BEFORE[i], module, part);
    if( safetensors_find(l->tensors, name) ) return name;
  }
  snprintf(name, NAME_MOST, "%s.%s", module, part);     /* for the message */
  return name;
}

static void load_norm(struct loader *l, struct norm *norm, const char *module, int d){
  char name[NAME_MOST];
  loader_vector(l, &norm->weight, name_of(l, name, module, "weight"), d);
  loader_vector(l, &norm->bias, name_of(l, name, module, "bias"), d);
}

/* Columns at..at+out of w[in, stride] and of its bias[stride], both NULL on the first visit. */
static void load_columns(struct loader *l, float *w, float *bias, const char *module, int in,
                         int out, int stride){
  char name[NAME_MOST];
  struct arena scratch = { 0 };
  const struct tensor *t = loader_find(l, name_of(l, name, module, "weight"), out, in);
  const struct tensor *b = loader_find(l, name_of(l, name, module, "bias"), out, 0);
  const float *rows;
  if( t==NULL || b==NULL || w==NULL ) return;
  rows = t->data;
  if( t->element!=ELEMENT_F32 || (uintptr_t)t->data%sizeof(float)!=0 ){
    float *copy = arena_floats(&scratch, (size_t)in*(size_t)out);
    if( copy ) tensor_to_floats(copy, t);
    rows = copy;
  }
  if( rows ) transpose_full(w, rows, out, in, stride);
  else fail_nomem(l->e);
  tensor_to_floats(bias, b);
  arena_release(&scratch);
}

/* A matrix in 8 bits. */
static void load_bytes(struct loader *l, struct affine *a, const char *module, int in, int out){
  int panels = (int)(BYTES_OUT(out)/BYTES_PANEL);
  char name[NAME_MOST];
  snprintf(name, NAME_MOST, "%s.weight", module);
  a->w = (struct matrix){ .in = in, .out = out };
  a->w.bytes = loader_bytes(l, name, panels, (int)PANEL_BYTES(in));
  snprintf(name, NAME_MOST, "%s.scale", module);
  loader_vector(l, &a->w.scale, name, out);
  snprintf(name, NAME_MOST, "%s.bias", module);
  loader_vector(l, &a->bias, name, out);
}

/* n modules side by side. */
static void load_product(struct loader *l, struct affine *a, const char *const *modules, int n,
                         int in, int out){
  int stride = n*out;
  float *w = loader_room(l, (size_t)in*(size_t)stride*sizeof(float));
  float *bias = loader_room(l, (size_t)stride*sizeof(float));
  for(int i=0; i<n; i++){
    load_columns(l, w ? w + i*out : NULL, bias ? bias + i*out : NULL, modules[i], in, out, stride);
  }
  a->w = (struct matrix){ .in = in, .out = stride, .full = w };
  a->bias = bias;
}

static void load_layer(struct loader *l, struct bert_layer *layer, int i){
  const struct bert *b = l->owner;
  const struct bert_shape *shape = &b->config.shape;
  const struct names *names = shape->has_distances ? &MPNET_NAMES : &BERT_NAMES;
  const char *const parts[] = { names->q, names->k, names->v, names->out, "intermediate.dense",
                                "output.dense", names->attention_norm, "output.LayerNorm" };
  enum { PARTS = sizeof(parts)/sizeof(parts[0]) };
  char text[PARTS][NAME_MOST];
  const char *module[PARTS];
  int d = shape->d;
  for(int k=0; k<PARTS; k++){
    snprintf(text[k], NAME_MOST, "encoder.layer.%d.%s", i, parts[k]);
    module[k] = text[k];
  }
  if( b->piece_bytes ){
    char qkv[NAME_MOST];
    snprintf(qkv, NAME_MOST, "encoder.layer.%d.attention.self.qkv", i);
    load_bytes(l, &layer->qkv, qkv, d, 3*d);
    load_bytes(l, &layer->out, module[3], d, d);
    load_bytes(l, &layer->up, module[4], d, shape->h);
    load_bytes(l, &layer->down, module[5], shape->h, d);
  }else{
    load_product(l, &layer->qkv, &module[0], 3, d, d);
    load_product(l, &layer->out, &module[3], 1, d, d);
    load_product(l, &layer->up, &module[4], 1, d, shape->h);
    load_product(l, &layer->down, &module[5], 1, shape->h, d);
  }
  load_norm(l, &layer->attention_norm, module[6], d);
  load_norm(l, &layer->feed_norm, module[7], d);
}

static void load_pieces(struct loader *l, const char *name){
  struct bert *b = l->owner;
  int n = b->config.shape.pieces;
  int d = b->config.shape.d;
  if( !loader_has_bytes(l, name) ){
    loader_table(l, &b->pieces, name, n, d);
    return;
  }
  b->piece_bytes = loader_bytes(l, name, n, d);
  loader_vector(l, &b->piece_scale, "embeddings.word_embeddings.scale", n);
  loader_matrix(l, &b->turn, "turn.weight", d, d);
}

static void load_tensors(struct loader *l){
  struct bert *b = l->owner;
  const struct bert_shape *shape = &b->config.shape;
  int d = shape->d;
  char name[NAME_MOST];
#define NAME(module) name_of(l, name, module, "weight")
  load_pieces(l, NAME("embeddings.word_embeddings"));
  loader_table(l, &b->positions, NAME("embeddings.position_embeddings"), shape->positions, d);
  if( shape->types>0 ){
    loader_table(l, &b->type, NAME("embeddings.token_type_embeddings"), shape->types, d);
  }
  if( shape->has_distances ){
    loader_table(l, &b->distances, NAME("encoder.relative_attention_bias"), DISTANCE_BUCKETS,
                 shape->heads);
  }
#undef NAME
  load_norm(l, &b->norm, "embeddings.LayerNorm", d);
  for(int i=0; i<shape->layers; i++) load_layer(l, &b->layers[i], i);
}

/* BERT and MPNet call the pieces around a row differently. */
static int find_ends(struct bert *b, struct err *e){
  int is_mpnet = b->config.shape.has_distances;
  const char *const names[] = { is_mpnet ? "<s>" : "[CLS]", is_mpnet ? "</s>" : "[SEP]" };
  int *const ends[] = { &b->cls, &b->sep };
  for(int i=0; i<2; i++){
    *ends[i] = wordpiece_number(b->wordpiece, names[i]);
    if( *ends[i]>=0 && *ends[i]<b->config.shape.pieces ) continue;
    return fail(e, SQLITE_CORRUPT, "%s: the vocabulary has no %s", shared_name(&b->shared),
                names[i]);
  }
  return SQLITE_OK;
}

/* Fills a struct bert that has nothing but its path. */
static int bert_read(void *it, struct err *e){
  struct bert *b = it;
  struct loader l = { .owner = b, .tensors = &b->file, .file = "model.safetensors", .e = e };
  char path[PATH_BYTES + 32];
  if( bert_config_open(&b->config, b->shared.path, e)!=SQLITE_OK ) return e->rc;
  if( wordpiece_open(&b->wordpiece, b->shared.path, e)!=SQLITE_OK ) return e->rc;
  if( find_ends(b, e)!=SQLITE_OK ) return e->rc;
  snprintf(path, sizeof(path), "%s/%s", b->shared.path, l.file);
  if( safetensors_open(&b->file, path, e)!=SQLITE_OK ) return e->rc;
  if( tensors_check_finite(&b->file, l.file, e)!=SQLITE_OK ) return e->rc;
  b->layers = mem_zeroed((size_t)b->config.shape.layers*sizeof(*b->layers));
  if( b->layers==NULL ) return fail_nomem(e);
  return loader_run(&l, load_tensors, &b->converted);
}

static void bert_release(void *it){
  struct bert *b = it;
  mem_free(b->converted);
  mem_free(b->layers);
  wordpiece_close(b->wordpiece);
  bert_config_close(&b->config);
  safetensors_close(&b->file);
}

static struct sort berts = {
  .bytes = sizeof(struct bert),
  .what = "the folder of a sentence encoder",
  .read = bert_read,
  .release = bert_release,
};

int is_bert(const char *folder){
  char path[PATH_BYTES + 32];
  snprintf(path, sizeof(path), "%.*s/config.json", PATH_BYTES, folder);
  return path_exists(path);
}

int bert_open(struct bert **out, const char *folder, struct err *e){
  *out = (struct bert *)shared_open(&berts, folder, e);
  return e->rc;
}

void bert_close(struct bert *b){
  shared_close(&berts, (struct shared *)b);
}
