/*
** codec_config.c -- <kind>.json: what kind of model, of which shape, with which weights, and what its tokens are.
**
**     {"kind": "text",
**      "config": {"d": 256, "encoder_layers": 4, "decoder_layers": 4, "s": 128, "r": 256, "registers": 8,
**                 "memory": 16, "pieces": 8192, "longest": 64, "words": 65536},       words: may be left out, 0
**      "weights_hash": "bc2f0d7c781b4b27",            hash64 of the .safetensors file
**      "tokenizer": {"pieces": ["<pad>", ...], "scores": [0.0, ...]}}
**
** Kind "picture" has codes in place of a tokenizer's pieces:
**
**      "picture": {"size": 64, "grid": 8, "codes": 1024, "code_width": 16, "channels": [32, 64, 128],
**                  "encoder_blocks": [1, 1, 2], "decoder_blocks": [3, 2, 2]}
**
** The file's own hash, shortened to 32 bits, is the model's fingerprint: it
** covers weights, shape and tokenizer at once, and every latent carries it.
** Every number is checked here, so that the layers above may multiply sizes
** without fear; keys that are not known are left for later versions.
*/
#include "codec.h"
#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define JSON_LARGEST  ((size_t)64 << 20)
#define WIDTH_LARGEST 4096      /* of d and of s + r */
#define WORDS_MOST    (1<<24)

static const char *const kind_names[] = {
  [KIND_DIRECTION] = "direction", [KIND_TEXT] = "text", [KIND_PICTURE] = "picture", [KIND_CODE] = "code",
};
#define N_KINDS ((int)(sizeof(kind_names)/sizeof(kind_names[0])))

const char *kind_name(int kind){
  return kind>=0 && kind<N_KINDS ? kind_names[kind] : "unknown";
}

static const struct { const char *name; size_t offset; int least, most; } numbers[] = {
  { "d",              offsetof(struct shape, d),              64,  WIDTH_LARGEST },
  { "encoder_layers", offsetof(struct shape, encoder_layers), 1,   64 },
  { "decoder_layers", offsetof(struct shape, decoder_layers), 1,   64 },
  { "s",              offsetof(struct shape, s),              1,   WIDTH_LARGEST },
  { "r",              offsetof(struct shape, r),              1,   WIDTH_LARGEST },
  { "registers",      offsetof(struct shape, registers),      1,   256 },
  { "memory",         offsetof(struct shape, memory),         1,   256 },
  { "pieces",         offsetof(struct shape, pieces),         TOKEN_PIECE, 65535 },
  { "longest",        offsetof(struct shape, longest),        2,   1024 },
};
#define N_NUMBERS (sizeof(numbers)/sizeof(numbers[0]))

/* A whole number in these limits. where, name: "config" "d". */
static int read_number(int *out, const cJSON *item, const char *where, const char *name, int least, int most, const char *path, struct err *e){
  char got[32] = "not a number";
  int64_t x;
  if( item==NULL ) return fail(e, SQLITE_CORRUPT, "%s: %s has no \"%s\"", path, where, name);
  if( !json_whole(item, least, most, &x) ){
    if( cJSON_IsNumber(item) ) snprintf(got, sizeof(got), "%g", item->valuedouble);
    return fail(e, SQLITE_CORRUPT, "%s: %s \"%s\" is %s, expected a whole number from %d to %d", path, where, name, got, least, most);
  }
  *out = (int)x;
  return SQLITE_OK;
}

static int read_shape(struct shape *shape, const cJSON *json, const char *path, struct err *e){
  const cJSON *words = cJSON_GetObjectItemCaseSensitive(json, "words");
  size_t i;
  for(i=0; i<N_NUMBERS; i++){
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, numbers[i].name);
    int *to = (int *)((char *)shape + numbers[i].offset);
    if( read_number(to, item, "config", numbers[i].name, numbers[i].least, numbers[i].most, path, e) ) return e->rc;
  }
  if( words && read_number(&shape->words, words, "config", "words", 0, WORDS_MOST, path, e) ) return e->rc;
  if( shape->d%64 ) return fail(e, SQLITE_CORRUPT, "%s: config \"d\" is %d, expected a multiple of 64", path, shape->d);
  if( shape->r%shape->registers ){
    return fail(e, SQLITE_CORRUPT, "%s: config \"r\" is %d, expected a multiple of %d registers", path, shape->r, shape->registers);
  }
  if( shape->s + shape->r>WIDTH_LARGEST ){
    return fail(e, SQLITE_CORRUPT, "%s: config \"s\" and \"r\" are %d together, expected at most %d", path, shape->s + shape->r,
                WIDTH_LARGEST);
  }
  return SQLITE_OK;
}

/* ---- What a picture's codes are ---- */

/* A number for each level. */
static int read_levels(int *out, const cJSON *json, const char *name, int least, int most, const char *path, struct err *e){
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
  int i, n = cJSON_GetArraySize(item);
  if( !cJSON_IsArray(item) || n!=PICTURE_LEVELS ){
    return fail(e, SQLITE_CORRUPT, "%s: picture \"%s\" is no list of %d numbers", path, name, PICTURE_LEVELS);
  }
  for(i=0; i<PICTURE_LEVELS; i++){
    if( read_number(&out[i], cJSON_GetArrayItem(item, i), "picture", name, least, most, path, e) ) return e->rc;
  }
  return SQLITE_OK;
}

static int read_picture(struct config *c, const cJSON *json, const char *path, struct err *e){
  struct picture_shape *p = &c->picture;
  static const struct { const char *name; size_t offset; int least, most; } own[] = {
    { "size",       offsetof(struct picture_shape, size),       8, 128 },
    { "grid",       offsetof(struct picture_shape, grid),       1, 16 },
    { "codes",      offsetof(struct picture_shape, codes),      1, 65535-TOKEN_CODE },
    { "code_width", offsetof(struct picture_shape, code_width), 1, 256 },
  };
  size_t i;
  if( json==NULL ) return fail(e, SQLITE_CORRUPT, "%s: kind picture, but no \"picture\"", path);
  for(i=0; i<sizeof(own)/sizeof(own[0]); i++){
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, own[i].name);
    if( read_number((int *)((char *)p + own[i].offset), item, "picture", own[i].name, own[i].least, own[i].most, path, e) ) return e->rc;
  }
  if( read_levels(p->channels, json, "channels", 1, 512, path, e) || read_levels(p->encoder_blocks, json, "encoder_blocks", 0, 16, path, e)
   || read_levels(p->decoder_blocks, json, "decoder_blocks", 0, 16, path, e) ) return e->rc;
  if( p->size!=8*p->grid ) return fail(e, SQLITE_CORRUPT, "%s: picture \"size\" is %d, expected 8 times \"grid\", %d", path, p->size, 8*p->grid);
  if( p->codes!=c->shape.pieces-TOKEN_CODE ){
    return fail(e, SQLITE_CORRUPT, "%s: picture \"codes\" is %d, expected %d fewer than config \"pieces\", %d", path, p->codes, TOKEN_CODE, c->shape.pieces);
  }
  if( c->shape.longest!=p->grid*p->grid+1 ){
    return fail(e, SQLITE_CORRUPT, "%s: config \"longest\" is %d, expected %d: a code for each place of the grid, and the end", path, c->shape.longest,
                p->grid*p->grid+1);
  }
  if( c->shape.words ) return fail(e, SQLITE_CORRUPT, "%s: config \"words\" is %d, expected 0 for pictures, which have no words", path, c->shape.words);
  return SQLITE_OK;
}

/* ---- The file ---- */

static int read_kind(int *kind, const cJSON *json, const char *path, struct err *e){
  int i;
  if( !cJSON_IsString(json) ) return fail(e, SQLITE_CORRUPT, "%s: no \"kind\"", path);
  for(i=KIND_TEXT; i<N_KINDS; i++){
    if( strcmp(json->valuestring, kind_names[i])==0 ){
      *kind = i;
      return SQLITE_OK;
    }
  }
  return fail(e, SQLITE_CORRUPT, "%s: kind \"%.40s\", expected text, picture or code", path, json->valuestring);
}

static int read_hash(uint64_t *hash, const cJSON *json, const char *path, struct err *e){
  static const char digits[] = "0123456789abcdef";
  const char *text = cJSON_IsString(json) ? json->valuestring : "";
  size_t i;
  if( strlen(text)!=16 || strspn(text, digits)!=16 ){
    return fail(e, SQLITE_CORRUPT, "%s: weights_hash \"%.40s\", expected 16 hexadecimal digits", path, text);
  }
  for(i=0; i<16; i++) *hash = *hash << 4 | (uint64_t)(strchr(digits, text[i]) - digits);
  return SQLITE_OK;
}

/* Lists of the tokenizer, checked to be n long; into the tree and the arena. */
static int read_pieces(const char **texts, int n, const cJSON *json, const char *path, struct err *e){
  const cJSON *item;
  int i = 0;
  cJSON_ArrayForEach(item, json){
    if( i<n && !cJSON_IsString(item) ) return fail(e, SQLITE_CORRUPT, "%s: piece %d is not a string", path, i);
    if( i<n ) texts[i] = item->valuestring;
    i++;
  }
  return i==n ? SQLITE_OK : fail(e, SQLITE_CORRUPT, "%s: %d pieces, expected %d", path, i, n);
}

static int read_scores(double *scores, int n, const cJSON *json, const char *path, struct err *e){
  const cJSON *item;
  int i = 0;
  cJSON_ArrayForEach(item, json){
    if( i<n && !cJSON_IsNumber(item) ) return fail(e, SQLITE_CORRUPT, "%s: score %d is not a number", path, i);
    if( i<n ) scores[i] = item->valuedouble;
    i++;
  }
  return i==n ? SQLITE_OK : fail(e, SQLITE_CORRUPT, "%s: %d scores, expected %d", path, i, n);
}

static int read_tokenizer(struct config *c, const cJSON *json, const char *path, struct arena *scratch, struct err *e){
  int n = c->shape.pieces, rc;
  const char **texts = arena_get(scratch, (size_t)n*sizeof(*texts));
  double *scores = arena_get(scratch, (size_t)n*sizeof(*scores));
  struct err why = { 0, "" };
  if( scratch->oom ) return fail_nomem(e);
  rc = read_pieces(texts, n, cJSON_GetObjectItemCaseSensitive(json, "pieces"), path, e);
  if( rc==SQLITE_OK ) rc = read_scores(scores, n, cJSON_GetObjectItemCaseSensitive(json, "scores"), path, e);
  if( rc!=SQLITE_OK ) return rc;
  rc = tokenizer_open(&c->tokenizer, texts, scores, n, &why);
  if( rc==SQLITE_NOMEM ) return fail_nomem(e);
  return rc==SQLITE_OK ? rc : fail(e, rc, "%s: %s", path, why.text);
}

static int read_tree(struct config *c, const cJSON *tree, const char *path, struct err *e){
  struct arena scratch = { NULL, 0 };
  const cJSON *config = cJSON_GetObjectItemCaseSensitive(tree, "config");
  const cJSON *tokenizer = cJSON_GetObjectItemCaseSensitive(tree, "tokenizer");
  int rc = read_kind(&c->kind, cJSON_GetObjectItemCaseSensitive(tree, "kind"), path, e);
  if( rc==SQLITE_OK ) rc = read_shape(&c->shape, config, path, e);
  if( rc==SQLITE_OK ) rc = read_hash(&c->weights_hash, cJSON_GetObjectItemCaseSensitive(tree, "weights_hash"), path, e);
  if( rc==SQLITE_OK && c->kind==KIND_PICTURE ) rc = read_picture(c, cJSON_GetObjectItemCaseSensitive(tree, "picture"), path, e);
  else if( rc==SQLITE_OK ) rc = read_tokenizer(c, tokenizer, path, &scratch, e);
  arena_release(&scratch);
  return rc;
}

int config_open(struct config *c, const char *path, struct err *e){
  struct file_map map = { NULL, 0 };
  cJSON *tree = NULL;
  int rc;
  memset(c, 0, sizeof(*c));
  rc = map_open(&map, path, e);
  if( rc!=SQLITE_OK ) goto done;
  if( map.n>JSON_LARGEST ){
    rc = fail(e, SQLITE_TOOBIG, "%s: %zu bytes, expected at most %zu", path, map.n, JSON_LARGEST);
    goto done;
  }
  c->fingerprint = (uint32_t)hash64(map.data, map.n);
  tree = json_parse((const char *)map.data, map.n, path, e);
  rc = tree ? read_tree(c, tree, path, e) : e->rc;
done:
  cJSON_Delete(tree);
  map_close(&map);
  if( rc!=SQLITE_OK ) config_close(c);
  return rc;
}

void config_close(struct config *c){
  tokenizer_close(c->tokenizer);
  memset(c, 0, sizeof(*c));
}
