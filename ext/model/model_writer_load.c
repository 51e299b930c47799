/*
** model_writer_load.c -- opens the folder of a writer: a language model, and what was trained so
** that it reads points.
**
**     config.json           the shape, and which files belong to it (codec_writer.c)
**     tokenizer.json        its pieces, as Hugging Face has them
**     layers.safetensors    the language model's layers, as they came: 4 bits in groups
**     pieces.safetensors    its table of pieces: 8 bits in groups
**     trained.safetensors   what was trained: 8 bits in groups
**
** model/writer_files.py makes them. Matrices are U8 tensors in the layout of kernels_groups.c,
** used where they lie. The folder is 125 MB, and most calls of SQL write nothing: so a model opens
** its writer when it is first asked to write.
*/
#include "model.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MOST = 48, FILE_LAYERS = 0, FILE_PIECES = 1, FILE_TRAINED = 2 };

static const char *name_of(char name[NAME_MOST], int layer, const char *part){
  snprintf(name, NAME_MOST, "layer.%d.%s", layer, part);
  return name;
}

/* ---- The language model ---- */

static void load_layers(struct loader *l){
  struct writer *w = l->owner;
  const struct writer_shape *shape = &w->config.shape;
  int d = shape->d;
  int kv = shape->shared*HEAD;
  char name[NAME_MOST];
  for(int i=0; i<shape->layers; i++){
    struct writer_layer *layer = &w->layers[i];
    loader_vector(l, &layer->attention_norm, name_of(name, i, "attention_norm"), d);
    loader_groups(l, &layer->qkv.w, name_of(name, i, "qkv"), d, d + 2*kv, 4);
    loader_groups(l, &layer->out.w, name_of(name, i, "out"), d, d, 4);
    loader_vector(l, &layer->feed_norm, name_of(name, i, "feed_norm"), d);
    loader_groups(l, &layer->feed_in.w, name_of(name, i, "feed_in"), d, 2*shape->h, 4);
    loader_groups(l, &layer->feed_out.w, name_of(name, i, "feed_out"), shape->h, d, 4);
  }
  loader_vector(l, &w->norm, "norm", d);
}

static void load_pieces(struct loader *l){
  struct writer *w = l->owner;
  loader_groups(l, &w->pieces, "pieces", w->config.shape.d, w->config.shape.pieces, 8);
}

/* ---- What was trained ---- */

/* n matrices side by side have an a each, side by side; each one's b gives its own columns. */
static void load_adapter(struct loader *l, struct adapted *x, int i, const char *part, int n){
  int ranks = n*((struct writer *)l->owner)->config.shape.rank;
  char name[NAME_MOST];
  snprintf(name, NAME_MOST, "layer.%d.%s.a", i, part);
  loader_groups(l, &x->a, name, x->w.in, ranks, 8);
  snprintf(name, NAME_MOST, "layer.%d.%s.b", i, part);
  loader_groups(l, &x->b, name, ranks, x->w.out, 8);
}

static void load_trained(struct loader *l){
  struct writer *w = l->owner;
  const struct writer_shape *shape = &w->config.shape;
  int d = shape->d;
  int z = shape->s + shape->r;
  char name[NAME_MOST];
  loader_groups(l, &w->z_in, "z_in", z, d, 8);
  loader_groups(l, &w->memory, "memory", z, shape->memory*d, 8);
  loader_vector(l, &w->memory_bias, "memory_bias", shape->memory*d);
  if( shape->code_s>0 ) loader_groups(l, &w->code, "code", shape->code_s + shape->code_r + 1, z, 8);
  for(int i=shape->lower; i<shape->layers; i++){
    struct writer_layer *layer = &w->layers[i];
    load_adapter(l, &layer->qkv, i, "qkv", 3);
    load_adapter(l, &layer->out, i, "out", 1);
    load_adapter(l, &layer->feed_in, i, "feed_in", 2);
    load_adapter(l, &layer->feed_out, i, "feed_out", 1);
    loader_vector(l, &layer->cross_norm, name_of(name, i, "cross_norm"), d);
    loader_groups(l, &layer->cross_q, name_of(name, i, "cross_q"), d, d, 8);
    loader_groups(l, &layer->cross_kv, name_of(name, i, "cross_kv"), d, 2*d, 8);
    loader_groups(l, &layer->cross_out, name_of(name, i, "cross_out"), d, d, 8);
  }
}

/* ---- The folder ---- */

static int load_file(struct writer *w, int file, void (*load)(struct loader *l), struct err *e){
  struct safetensors *s = &w->files[file];
  struct loader l = { .owner = w, .tensors = s, .file = WRITER_FILE[file], .e = e };
  unsigned long long want = w->config.hashes[file];
  char path[PATH_BYTES + NAME_MOST];
  if( err_stopped(e) ) return e->rc;
  snprintf(path, sizeof(path), "%s/%s", w->shared.path, l.file);
  if( safetensors_open(s, path, e)!=SQLITE_OK ) return e->rc;
  if( s->hash!=want ){
    return fail(e, SQLITE_CORRUPT, "%s: its bytes hash to %016llx, config.json expects %016llx: "
                "the file is altered or of another writer", path, (unsigned long long)s->hash,
                want);
  }
  if( tensors_check_finite(s, l.file, e)!=SQLITE_OK ) return e->rc;
  return loader_run(&l, load, &w->converted[file]);
}

static int open_bpe(struct writer *w, struct err *e){
  struct file_map map;
  char path[PATH_BYTES + NAME_MOST];
  if( e->rc!=SQLITE_OK ) return e->rc;
  snprintf(path, sizeof(path), "%s/tokenizer.json", w->shared.path);
  if( map_open(&map, path, e)!=SQLITE_OK ) return e->rc;
  bpe_open(&w->bpe, (const char *)map.data, map.n, path, e);
  map_close(&map);
  return e->rc;
}

/* Pieces that stand for no bytes: those that steer a language model. */
static int find_special(struct writer *w, struct err *e){
  struct buf bytes = { 0 };
  int pieces = w->config.shape.pieces;
  if( e->rc!=SQLITE_OK ) return e->rc;
  if( bpe_pieces(w->bpe)!=pieces ){
    return fail(e, SQLITE_CORRUPT, "%s: tokenizer.json has %d pieces, config.json has %d",
                w->shared.path, bpe_pieces(w->bpe), pieces);
  }
  w->special = mem_alloc((size_t)pieces*sizeof(int));
  if( w->special==NULL ) return fail_nomem(e);
  for(int i=0; i<pieces; i++){
    bytes.n = 0;
    bpe_decode(w->bpe, i, &bytes);
    if( bytes.n==0 ) w->special[w->n_special++] = i;
  }
  if( bytes.rc!=SQLITE_OK ) fail_nomem(e);
  buf_release(&bytes);
  return e->rc;
}

/* Fills a struct writer that has nothing but its path. */
static int writer_read(void *it, struct err *e){
  struct writer *w = it;
  const struct writer_shape *shape = &w->config.shape;
  size_t positions;
  if( writer_config_open(&w->config, w->shared.path, e)!=SQLITE_OK ) return e->rc;
  positions = (size_t)shape->longest + 1 + CONTEXT_MOST;
  w->layers = mem_zeroed((size_t)shape->layers*sizeof(*w->layers));
  w->cos_sin = mem_alloc(positions*HEAD*sizeof(float));
  if( w->layers==NULL || w->cos_sin==NULL ) return fail_nomem(e);
  rotary_table(w->cos_sin, (int)positions, w->config.rotary_base);
  open_bpe(w, e);
  find_special(w, e);
  load_file(w, FILE_LAYERS, load_layers, e);
  load_file(w, FILE_PIECES, load_pieces, e);
  return load_file(w, FILE_TRAINED, load_trained, e);
}

static void writer_release(void *it){
  struct writer *w = it;
  for(int i=0; i<WRITER_FILES; i++){
    mem_free(w->converted[i]);
    safetensors_close(&w->files[i]);
  }
  bpe_close(w->bpe);
  mem_free(w->special);
  mem_free(w->cos_sin);
  mem_free(w->layers);
}

static struct sort writers = {
  .bytes = sizeof(struct writer),
  .what = "the folder of a writer",
  .read = writer_read,
  .release = writer_release,
};

int writer_open(struct writer **out, const char *folder, struct err *e){
  *out = (struct writer *)shared_open(&writers, folder, e);
  return e->rc;
}

void writer_close(struct writer *w){
  shared_close(&writers, (struct shared *)w);
}
