/*
** codec_writer.c -- reads config.json in the folder of a writer: its shape, and which files belong
** to it.
**
**     {"d": 576, "layers": 30, "lower": 18, "shared": 3, "h": 1536, "pieces": 49152,
**      "memory": 16, "rank": 32, "s": 256, "r": 256, "longest": 64, "context": 64, "begin": 0,
**      "end": 2, "rotary_base": 100000, "epsilon": 1e-5,
**      "reads": "bc2f0d7c781b4b27",                    hash64 of text.safetensors
**      "code": {"s": 128, "r": 256, "reads": "..."},   code.safetensors; may be missing
**      "layers.safetensors": "...",                    and of the writer's own files
**      "pieces.safetensors": "...", "trained.safetensors": "..."}
**
** Every number is checked here, so the layers above can multiply sizes safely.
*/
#include "codec.h"
#include <assert.h>
#include <cjson/cJSON.h>

const char *const WRITER_FILE[WRITER_FILES] = {
  "layers.safetensors",
  "pieces.safetensors",
  "trained.safetensors",
};

static float read_number(const struct folder_file *f, const char *name, double least, double most){
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(f->json, name);
  double x = cJSON_IsNumber(item) ? item->valuedouble : least - 1;
  if( f->e->rc!=SQLITE_OK || (x>=least && x<=most) ) return (float)x;
  fail(f->e, SQLITE_CORRUPT, "%s/%s: \"%s\" is no number from %g to %g", f->folder, f->name, name,
       least, most);
  return 0;
}

static uint64_t read_hash(const struct folder_file *f, const char *name){
  const char *text = json_text(f->json, name, "missing");
  uint64_t hash;
  if( json_hash(text, &hash) || f->e->rc!=SQLITE_OK ) return hash;
  fail(f->e, SQLITE_CORRUPT, "%s/%s: \"%s\" is \"%.40s\", expected 16 hexadecimal digits",
       f->folder, f->name, name, text);
  return 0;
}

static void read_shape(struct writer_shape *shape, const struct folder_file *f){
  enum { HEAD = 64 };
  shape->layers = folder_whole(f, "layers", 2, 64);
  shape->lower = folder_whole(f, "lower", 1, shape->layers - 1);
  shape->d = folder_whole(f, "d", HEAD, 4096);
  shape->shared = folder_whole(f, "shared", 1, 64);
  shape->h = folder_whole(f, "h", 32, 16384);
  shape->pieces = folder_whole(f, "pieces", 2, 1000000);
  shape->memory = folder_whole(f, "memory", 1, 256);
  shape->rank = folder_whole(f, "rank", 1, 1024);
  shape->s = folder_whole(f, "s", 1, 4096);
  shape->r = folder_whole(f, "r", 1, 4096);
  shape->longest = folder_whole(f, "longest", 1, 4096);
  shape->context = folder_whole(f, "context", 0, CONTEXT_MOST);
  shape->begin = folder_whole(f, "begin", 0, shape->pieces - 1);
  shape->end = folder_whole(f, "end", 0, shape->pieces - 1);
  if( f->e->rc!=SQLITE_OK ) return;
  if( shape->d%HEAD==0 && shape->h%32==0 && shape->d/HEAD%shape->shared==0 ) return;
  fail(f->e, SQLITE_CORRUPT, "%s/%s: d %d, h %d and %d shared heads, expected multiples of %d and "
       "32, and a divisor of the heads", f->folder, f->name, shape->d, shape->h, shape->shared,
       HEAD);
}

/* What it reads of code. */
static void read_code(struct writer_config *c, const struct folder_file *f){
  struct folder_file code = *f;
  code.json = cJSON_GetObjectItemCaseSensitive(f->json, "code");
  if( code.json==NULL ) return;
  code.name = "config.json: \"code\"";  /* for messages */
  c->shape.code_s = folder_whole(&code, "s", 1, 4096);
  c->shape.code_r = folder_whole(&code, "r", 1, 4096);
  c->reads_code = read_hash(&code, "reads");
}

int writer_config_open(struct writer_config *c, const char *folder, struct err *e){
  struct folder_file f = folder_open(folder, "config.json", e);
  *c = (struct writer_config){ 0 };
  if( e->rc==SQLITE_OK && f.json==NULL ){
    fail(e, SQLITE_CANTOPEN, "%s: has no config.json, expected the folder of a writer", folder);
  }
  if( e->rc==SQLITE_OK ) read_shape(&c->shape, &f);
  c->rotary_base = read_number(&f, "rotary_base", 1, 1e9);
  c->epsilon = read_number(&f, "epsilon", 0, 1);
  c->reads = read_hash(&f, "reads");
  read_code(c, &f);
  for(int i=0; i<WRITER_FILES; i++) c->hashes[i] = read_hash(&f, WRITER_FILE[i]);
  cJSON_Delete(f.json);
  return e->rc;
}
