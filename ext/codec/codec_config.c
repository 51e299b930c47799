/*
** codec_config.c -- reads <kind>.json: the kind of a model, its shape, its weights and its tokens.
**
**     {"kind": "text",
**      "config": {"d": 256, "encoder_layers": 4, "decoder_layers": 4, "s": 128, "r": 256,
**                 "registers": 8, "memory": 16, "pieces": 8192, "longest": 64},
**      "meaning": {"s": 256, "weights_hash": "..."},  may be left out; kind text alone
**      "weights_hash": "bc2f0d7c781b4b27",            hash64 of the .safetensors file
**      "tokenizer": {"pieces": ["<pad>", ...], "scores": [0.0, ...]}}
**
** A model of pictures has no tokens. Its "config" is "s" and "r" alone, and beside it stands
**
**      "picture": {"size": 64, "channels": [32, 64, 128, 256], "encoder_blocks": [1, 1, 2, 1],
**                  "decoder_blocks": [2, 2, 2, 2], "hidden": 384, "style": 16,
**                  "prior": {"width": 512, "hidden": 1024, "blocks": 4, "steps": 16},
**                  "names": ["grinning face", ...]}
**
** "meaning" is there where the s of a text comes of a sentence encoder, in the folder "meaning"
** beside the file: how many of its numbers a latent keeps, and the hash of its weights. The network
** then reads the first `s` of these.
**
** The file's own hash, cut to 32 bits, is the model's fingerprint. It depends on weights, shape and
** tokenizer at once, and every latent carries it. Every number is checked here, so the layers above
** can multiply sizes safely. Unknown keys are ignored: later versions may use them.
**
** Each read_x() reports into the same struct err, and does nothing after a failure.
*/
#include "codec.h"
#include <assert.h>
#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
  JSON_BYTES_MOST = 64 << 20,
  WIDTH_MOST = 4096,            /* of d, and of s + r */
  NAMES_MOST = 65535
};

static const char *const KINDS[] = {
  [KIND_DIRECTION] = "direction",
  [KIND_TEXT] = "text",
  [KIND_PICTURE] = "picture",
  [KIND_CODE] = "code",
};
enum { N_KINDS = sizeof(KINDS)/sizeof(KINDS[0]) };

const char *kind_name(int kind){
  return kind>=0 && kind<N_KINDS ? KINDS[kind] : "unknown";
}

/* The file that is read, and where failures go. */
struct source {
  const char *path;
  struct err *e;
};

static const cJSON *item_of(const cJSON *json, const char *name){
  return cJSON_GetObjectItemCaseSensitive(json, name);
}

/* ---- Whole numbers ---- */

/* A whole number of the JSON, or a list of them: where it goes in a struct, and its limits. */
struct field {
  const char *name;
  size_t offset;
  int least, most;
};
#define SHAPE(name)   #name, offsetof(struct shape, name)
#define PICTURE(name) #name, offsetof(struct picture_shape, name)
#define PRIOR(name)   #name, offsetof(struct prior_shape, name)

static const struct field SHAPE_FIELDS[] = {
  { SHAPE(d),              64, WIDTH_MOST },
  { SHAPE(encoder_layers), 1, 64 },
  { SHAPE(decoder_layers), 1, 64 },
  { SHAPE(s),              1, WIDTH_MOST },
  { SHAPE(r),              1, WIDTH_MOST },
  { SHAPE(registers),      1, 256 },
  { SHAPE(memory),         1, 256 },
  { SHAPE(pieces),         TOKEN_PIECE, 65535 },
  { SHAPE(longest),        2, 1024 },
};

static const struct field PICTURE_SHAPE_FIELDS[] = {    /* of the shape, those that pictures have */
  { SHAPE(s), 1, WIDTH_MOST },
  { SHAPE(r), 1, WIDTH_MOST },
};

static const struct field PICTURE_FIELDS[] = {
  { PICTURE(size),   16, 128 },
  { PICTURE(hidden), 1, WIDTH_MOST },
  { PICTURE(style),  1, 256 },
};
static const struct field LEVEL_FIELDS[] = {    /* lists of PICTURE_LEVELS numbers */
  { PICTURE(channels),       1, 512 },
  { PICTURE(encoder_blocks), 0, 16 },
  { PICTURE(decoder_blocks), 0, 16 },
};
static const struct field PRIOR_FIELDS[] = {
  { PRIOR(width),  1, WIDTH_MOST },
  { PRIOR(hidden), 1, 2*WIDTH_MOST },
  { PRIOR(blocks), 1, 16 },
  { PRIOR(steps),  1, 64 },
};
#define N_OF(list) (sizeof(list)/sizeof((list)[0]))

static int *field_of(void *owner, const struct field *f){
  return (int *)((char *)owner + f->offset);
}

/* where: the JSON object that holds the item, for messages: "config". */
static void read_number(int *out, const cJSON *item, const char *where, const struct field *f,
                        const struct source *s){
  char got[32] = "not a number";
  int64_t x;
  if( s->e->rc!=SQLITE_OK ) return;
  if( item==NULL ){
    fail(s->e, SQLITE_CORRUPT, "%s: %s has no \"%s\"", s->path, where, f->name);
    return;
  }
  if( json_whole(item, f->least, f->most, &x) ){
    *out = (int)x;
    return;
  }
  if( cJSON_IsNumber(item) ) snprintf(got, sizeof(got), "%g", item->valuedouble);
  fail(s->e, SQLITE_CORRUPT, "%s: %s \"%s\" is %s, expected a whole number from %d to %d", s->path,
       where, f->name, got, f->least, f->most);
}

/* ---- The shape ---- */

static void read_fields(void *owner, const cJSON *json, const char *where,
                        const struct field *fields, size_t n, const struct source *s){
  for(size_t i=0; i<n; i++){
    read_number(field_of(owner, &fields[i]), item_of(json, fields[i].name), where, &fields[i], s);
  }
}

static void check_width(const struct shape *shape, const struct source *s){
  if( s->e->rc!=SQLITE_OK || shape->s + shape->r<=WIDTH_MOST ) return;
  fail(s->e, SQLITE_CORRUPT, "%s: config \"s\" and \"r\" are %d together, expected at most %d",
       s->path, shape->s + shape->r, WIDTH_MOST);
}

static void read_shape(struct shape *shape, const cJSON *json, const struct source *s){
  read_fields(shape, json, "config", SHAPE_FIELDS, N_OF(SHAPE_FIELDS), s);
  if( s->e->rc!=SQLITE_OK ) return;
  if( shape->d%64 ){
    fail(s->e, SQLITE_CORRUPT, "%s: config \"d\" is %d, expected a multiple of 64", s->path,
         shape->d);
  }
  if( shape->r%shape->registers ){
    fail(s->e, SQLITE_CORRUPT, "%s: config \"r\" is %d, expected a multiple of %d registers",
         s->path, shape->r, shape->registers);
  }
  check_width(shape, s);
}

static void read_hash(uint64_t *hash, const cJSON *json, const struct source *s){
  const char *text = cJSON_IsString(json) ? json->valuestring : "";
  if( s->e->rc!=SQLITE_OK || json_hash(text, hash) ) return;
  fail(s->e, SQLITE_CORRUPT, "%s: weights_hash \"%.40s\", expected 16 hexadecimal digits",
       s->path, text);
}

static void read_meaning(struct config *c, const cJSON *json, const struct source *s){
  const struct field field = { "s", 0, c->shape.s, WIDTH_MOST - c->shape.r };
  if( json==NULL || s->e->rc!=SQLITE_OK ) return;
  if( c->kind!=KIND_TEXT ){
    fail(s->e, SQLITE_CORRUPT, "%s: kind %s has a \"meaning\", expected it in kind text alone",
         s->path, kind_name(c->kind));
  }
  read_number(&c->meaning, item_of(json, "s"), "meaning", &field, s);
  read_hash(&c->meaning_hash, item_of(json, "weights_hash"), s);
}

/* ---- Pictures ---- */

/* A number for each level. */
static void read_levels(int *out, const cJSON *json, const struct field *f,
                        const struct source *s){
  const cJSON *list = item_of(json, f->name);
  if( s->e->rc!=SQLITE_OK ) return;
  if( !cJSON_IsArray(list) || cJSON_GetArraySize(list)!=PICTURE_LEVELS ){
    fail(s->e, SQLITE_CORRUPT, "%s: picture \"%s\" is no list of %d numbers", s->path, f->name,
         PICTURE_LEVELS);
    return;
  }
  for(int i=0; i<PICTURE_LEVELS; i++){
    read_number(&out[i], cJSON_GetArrayItem(list, i), "picture", f, s);
  }
}

/* The names, copied: pointers, and behind them the texts. */
static void read_names(struct config *c, const cJSON *list, const struct source *s){
  const cJSON *item;
  size_t bytes = 0;
  char *at;
  int n = cJSON_GetArraySize(list);
  if( s->e->rc!=SQLITE_OK ) return;
  if( !cJSON_IsArray(list) || n<1 || n>NAMES_MOST ){
    fail(s->e, SQLITE_CORRUPT, "%s: picture \"names\" is no list of 1 to %d names", s->path,
         NAMES_MOST);
    return;
  }
  cJSON_ArrayForEach(item, list){
    if( !cJSON_IsString(item) ){
      fail(s->e, SQLITE_CORRUPT, "%s: picture \"names\" has what is no string", s->path);
      return;
    }
    bytes += strlen(item->valuestring) + 1;
  }
  c->names = mem_alloc((size_t)n*sizeof(*c->names) + bytes);
  if( c->names==NULL ){
    fail_nomem(s->e);
    return;
  }
  at = (char *)(c->names + n);
  cJSON_ArrayForEach(item, list){
    c->names[c->n_names++] = at;
    strcpy(at, item->valuestring);
    at += strlen(at) + 1;
  }
}

static void read_picture(struct config *c, const cJSON *config, const cJSON *json,
                         const struct source *s){
  struct picture_shape *p = &c->picture;
  read_fields(&c->shape, config, "config", PICTURE_SHAPE_FIELDS, N_OF(PICTURE_SHAPE_FIELDS), s);
  check_width(&c->shape, s);
  if( s->e->rc!=SQLITE_OK ) return;
  if( json==NULL ){
    fail(s->e, SQLITE_CORRUPT, "%s: kind picture, but no \"picture\"", s->path);
    return;
  }
  read_fields(p, json, "picture", PICTURE_FIELDS, N_OF(PICTURE_FIELDS), s);
  for(size_t i=0; i<N_OF(LEVEL_FIELDS); i++){
    read_levels(field_of(p, &LEVEL_FIELDS[i]), json, &LEVEL_FIELDS[i], s);
  }
  read_fields(&p->prior, item_of(json, "prior"), "picture \"prior\"", PRIOR_FIELDS,
              N_OF(PRIOR_FIELDS), s);
  read_names(c, item_of(json, "names"), s);
  if( s->e->rc==SQLITE_OK && p->size%16 ){
    fail(s->e, SQLITE_CORRUPT, "%s: picture \"size\" is %d, expected a multiple of 16", s->path,
         p->size);
  }
}

/* ---- The tokenizer ---- */

/* texts[n]: they stay in the tree. */
static void read_pieces(const char **texts, int n, const cJSON *list, const struct source *s){
  const cJSON *item;
  int i = 0;
  if( s->e->rc!=SQLITE_OK ) return;
  cJSON_ArrayForEach(item, list){
    if( i<n && !cJSON_IsString(item) ){
      fail(s->e, SQLITE_CORRUPT, "%s: piece %d is not a string", s->path, i);
      return;
    }
    if( i<n ) texts[i] = item->valuestring;
    i++;
  }
  if( i!=n ) fail(s->e, SQLITE_CORRUPT, "%s: %d pieces, expected %d", s->path, i, n);
}

static void read_scores(double *scores, int n, const cJSON *list, const struct source *s){
  const cJSON *item;
  int i = 0;
  if( s->e->rc!=SQLITE_OK ) return;
  cJSON_ArrayForEach(item, list){
    if( i<n && !cJSON_IsNumber(item) ){
      fail(s->e, SQLITE_CORRUPT, "%s: score %d is not a number", s->path, i);
      return;
    }
    if( i<n ) scores[i] = item->valuedouble;
    i++;
  }
  if( i!=n ) fail(s->e, SQLITE_CORRUPT, "%s: %d scores, expected %d", s->path, i, n);
}

static void read_tokenizer(struct config *c, const cJSON *json, struct arena *scratch,
                           const struct source *s){
  int n = c->shape.pieces;
  struct err why = { 0 };               /* the tokenizer does not know the path */
  const char **texts;
  double *scores;
  if( s->e->rc!=SQLITE_OK ) return;
  texts = arena_get(scratch, (size_t)n*sizeof(*texts));
  scores = arena_get(scratch, (size_t)n*sizeof(*scores));
  if( scratch->oom ){
    fail_nomem(s->e);
    return;
  }
  read_pieces(texts, n, item_of(json, "pieces"), s);
  read_scores(scores, n, item_of(json, "scores"), s);
  if( s->e->rc!=SQLITE_OK ) return;
  tokenizer_open(&c->tokenizer, texts, scores, n, &why);
  if( why.rc==SQLITE_NOMEM ) fail_nomem(s->e);
  else if( why.rc!=SQLITE_OK ) fail(s->e, why.rc, "%s: %s", s->path, why.text);
}

/* ---- The file ---- */

static void read_kind(int *kind, const cJSON *json, const struct source *s){
  if( !cJSON_IsString(json) ){
    fail(s->e, SQLITE_CORRUPT, "%s: no \"kind\"", s->path);
    return;
  }
  for(int i=KIND_TEXT; i<N_KINDS; i++){
    if( strcmp(json->valuestring, KINDS[i])==0 ){
      *kind = i;
      return;
    }
  }
  fail(s->e, SQLITE_CORRUPT, "%s: kind \"%.40s\", expected text, picture or code", s->path,
       json->valuestring);
}

/* Older models had a table of words that added to their own s: without it, s would be another. */
static void refuse_words(const struct config *c, const cJSON *json, const struct source *s){
  if( s->e->rc!=SQLITE_OK || c->meaning>0 || item_of(json, "words")==NULL ) return;
  fail(s->e, SQLITE_CORRUPT, "%s: config has \"words\", expected none: a table of words is no "
       "longer read", s->path);
}

static void read_tree(struct config *c, const cJSON *tree, const struct source *s){
  struct arena scratch = { 0 };
  const cJSON *config = item_of(tree, "config");
  read_kind(&c->kind, item_of(tree, "kind"), s);
  read_hash(&c->weights_hash, item_of(tree, "weights_hash"), s);
  if( s->e->rc!=SQLITE_OK ) return;
  if( c->kind==KIND_PICTURE ){
    read_picture(c, config, item_of(tree, "picture"), s);
    return;
  }
  read_shape(&c->shape, config, s);
  read_meaning(c, item_of(tree, "meaning"), s);
  refuse_words(c, config, s);
  read_tokenizer(c, item_of(tree, "tokenizer"), &scratch, s);
  arena_release(&scratch);
}

int config_open(struct config *c, const char *path, struct err *e){
  struct source s = { path, e };
  struct file_map map = { 0 };
  cJSON *tree = NULL;
  assert( path!=NULL );
  assert( e->rc==SQLITE_OK );
  *c = (struct config){ 0 };
  if( map_open(&map, path, e)!=SQLITE_OK ) return e->rc;
  if( map.n>JSON_BYTES_MOST ){
    fail(e, SQLITE_TOOBIG, "%s: %zu bytes, expected at most %d", path, map.n, JSON_BYTES_MOST);
  }else{
    c->fingerprint = (uint32_t)hash64(map.data, map.n);
    tree = json_parse((const char *)map.data, map.n, path, e);
  }
  if( tree ) read_tree(c, tree, &s);
  cJSON_Delete(tree);
  map_close(&map);
  if( e->rc!=SQLITE_OK ) config_close(c);
  return e->rc;
}

void config_close(struct config *c){
  tokenizer_close(c->tokenizer);
  mem_free((void *)c->names);
  *c = (struct config){ 0 };
}
