/*
** codec_bpe.c -- text to piece numbers and back as SmolLM2 reads it: byte-level BPE.
**
** The reference is PyPI's tokenizers, Rust: its Digits, ByteLevel and BPE. tests/checks/bpe.py
** holds this to it on 100,000 lines.
**
** 1. The text is cut into words. L is a letter, N a digit of any script, S white space, O all else:
**
**      N                 each digit is a word
**      's 't 're 've 'm 'll 'd
**      L+ or O+          with the one space (U+0020) before it, where there is one
**      S+                what is left of white space: all of it before a digit or the end of the
**                        text, else all but its last character, which is then a word or that space
**
** 2. Each byte of a word becomes the piece that stands for it. SmolLM2 has no piece for 21 bytes
**    (04 06 13 14 16 1D C0 C1 F1 F2 F5 to FF): they are left out, as the reference does. Characters
**    that people write have none of them.
** 3. Of all neighbours in a word that some merge joins, those of the first merge in the list become
**    one piece; the leftmost of them, if there are several. This again until no merge applies.
**
** Step 3 is a heap of (merge, place). Pairs are added as they come to be, and what was joined
** meanwhile is passed over when it comes up. So a word of n bytes takes n log n steps.
**
** On one of two busy cores (AMD EPYC), with SmolLM2's 49,152 pieces: 11 MB of English a second, and
** 6.5 of one letter a million times; the reference, in one thread, reads 1.1 MB a second. Opening
** takes 33 ms, where the reference takes 124, and 2.3 MB of memory. A tree of the whole JSON would
** take 20 MB, and nearly twice as long.
**
** A byte that is not UTF-8 is an O. The reference takes no such text.
**
** The reference matches special tokens in the text first: "<|im_end|>" in a text ends a message.
** Here no text can say one, as with the reference's encode_special_tokens.
**
** tokenizer.json writes each byte as one character: those of Latin-1 that can be seen as
** themselves, the 68 others as U+0100 and up, in their order. So a space is U+0120.
*/
#include "codec.h"
#include <assert.h>
#include <cjson/cJSON.h>
#include <string.h>
#include <utf8proc.h>

enum {
  JSON_BYTES_MOST = 64 << 20,
  NAME_MOST = 1024,                     /* bytes of a piece in the JSON, with the 0 behind it */
  TEXT_BYTES_MOST = 1000000000,
  STEPS_A_TIME = 1 << 15,               /* until the caller is asked whether to go on */
  ALPHABET = 256 + 68                   /* characters of tokenizer.json: below U+0144 */
};

struct bpe {                            /* owns its arrays; never changes after opening */
  int n_pieces;
  char *bytes;                          /* of all pieces, one after the other */
  uint32_t *start;                      /* [n_pieces+1] where a piece begins; special ones have no
                                        ** bytes */
  int byte_piece[256];                  /* the piece that is this byte alone; -1: there is none */
  struct key_set pairs;                 /* left and right piece of a merge, to its rank */
  int *made;                            /* [merges] the piece that a merge makes, by rank */
};

static uint64_t pair_key(int left, int right){
  return (uint64_t)left << 32 | (uint32_t)right;
}

/* The merge that joins the two; -1: there is none. */
static int merge_of(const struct bpe *b, int left, int right){
  return key_set_value(&b->pairs, pair_key(left, right));
}

/* ---- What tokenizer.json must say ---- */

struct part {                           /* of the JSON */
  struct json json;                     /* at its first byte, after find_parts(); no text: none */
  size_t bytes;
  size_t n_items;
};

struct reading {                        /* of one tokenizer.json */
  struct bpe *b;
  struct part vocab, merges;            /* these are long: they are read from start to end */
  struct buf rest;                      /* the JSON with a 0 for each of them: becomes a tree */
  const char *kept;                     /* the JSON is in `rest` up to here */
  struct arena scratch;
  char *pool;                           /* where the next name goes */
  const char **names;                   /* [most] as they read; NULL: no piece has this number */
  size_t most;                          /* numbers are below */
  struct key_set numbers;               /* hash of a name, to the number */
  const char *who;                      /* for messages */
  struct err *e;
};

/* Passes the value that is next, which becomes a part. */
static void cut_part(struct reading *r, struct json *j, struct part *part){
  json_next(j);
  *part = (struct part){ .json = *j };
  buf_append(&r->rest, r->kept, (size_t)(j->at - r->kept));
  buf_char(&r->rest, '0');
  part->n_items = json_skip(j);
  part->bytes = (size_t)(j->at - part->json.at);
  r->kept = j->at;
}

static void find_parts_of_model(struct reading *r, struct json *j){
  json_want(j, '{');
  for(int i=0; json_more(j, i, '}'); i++){
    char key[8];
    json_string(j, key, sizeof(key));
    json_want(j, ':');
    if( strcmp(key, "vocab")==0 ) cut_part(r, j, &r->vocab);
    else if( strcmp(key, "merges")==0 ) cut_part(r, j, &r->merges);
    else json_skip(j);
  }
}

static void find_parts(struct reading *r, const char *text, size_t n){
  struct json j = json_of(text, n, r->who, r->e);
  r->kept = text;
  if( json_take(&j, '{') ){
    for(int i=0; json_more(&j, i, '}'); i++){
      char key[8];
      json_string(&j, key, sizeof(key));
      json_want(&j, ':');
      if( strcmp(key, "model")==0 && json_next(&j)=='{' ) find_parts_of_model(r, &j);
      else json_skip(&j);
    }
  }
  if( n>0 ) buf_append(&r->rest, r->kept, n - (size_t)(r->kept - text));
  if( r->rest.rc!=SQLITE_OK ) fail_nomem(r->e);
}

static int begins_with(const struct part *part, char c){
  return part->bytes>0 && *part->json.at==c;
}

static const cJSON *item_of(const cJSON *json, const char *name){
  return cJSON_GetObjectItemCaseSensitive(json, name);
}

static int has_type(const struct reading *r, const cJSON *part, const char *what,
                    const char *type){
  const char *got = cJSON_GetStringValue(item_of(part, "type"));
  if( got && strcmp(got, type)==0 ) return 1;
  fail(r->e, SQLITE_CORRUPT, "%s: the %s is %s%.40s%s, expected \"%s\"", r->who, what,
       got ? "\"" : "", got ? got : "not given", got ? "\"" : "", type);
  return 0;
}

/* Is it missing, null, false, or an empty text? */
static int is_unset(const cJSON *item){
  const char *text = cJSON_GetStringValue(item);
  return item==NULL || cJSON_IsNull(item) || cJSON_IsFalse(item) || (text && *text==0);
}

static void check_flag(const struct reading *r, const cJSON *part, const char *name, int expected){
  const cJSON *flag = item_of(part, name);
  if( expected ? cJSON_IsTrue(flag) : cJSON_IsFalse(flag) ) return;
  fail(r->e, SQLITE_CORRUPT, "%s: \"%s\" of the pre_tokenizer is not %s", r->who, name,
       expected ? "true" : "false");
}

/* SmolLM2's alone: others cut texts elsewhere. */
static void check_pre_tokenizer(const struct reading *r, const cJSON *pre){
  const cJSON *parts = item_of(pre, "pretokenizers");
  const cJSON *digits = cJSON_GetArrayItem(parts, 0);
  const cJSON *bytes = cJSON_GetArrayItem(parts, 1);
  if( !has_type(r, pre, "pre_tokenizer", "Sequence")
   || !has_type(r, digits, "first pre_tokenizer", "Digits")
   || !has_type(r, bytes, "second pre_tokenizer", "ByteLevel") ) return;
  if( cJSON_GetArraySize(parts)!=2 ){
    fail(r->e, SQLITE_CORRUPT, "%s: %d pre_tokenizers, expected \"Digits\" and \"ByteLevel\"",
         r->who, cJSON_GetArraySize(parts));
  }
  check_flag(r, digits, "individual_digits", 1);
  check_flag(r, bytes, "add_prefix_space", 0);
  if( item_of(bytes, "use_regex") ) check_flag(r, bytes, "use_regex", 1);
}

static void check_settings(const struct reading *r, const cJSON *json){
  static const char *const unset[] = {
    "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback",
    "ignore_merges",
  };
  const cJSON *model = item_of(json, "model");
  if( !has_type(r, model, "model", "BPE") ) return;
  for(size_t i=0; i<sizeof(unset)/sizeof(unset[0]); i++){
    if( is_unset(item_of(model, unset[i])) ) continue;
    fail(r->e, SQLITE_CORRUPT, "%s: the model has \"%s\", expected none", r->who, unset[i]);
  }
  if( !is_unset(item_of(json, "normalizer")) ){
    fail(r->e, SQLITE_CORRUPT, "%s: has a normalizer, expected none", r->who);
  }
  check_pre_tokenizer(r, item_of(json, "pre_tokenizer"));
}

/* ---- Pieces by their names ---- */

/* FNV-1a. Goes on from `hash`, so that a name can come in two parts. */
static uint64_t hash_more(uint64_t hash, const char *text, size_t n){
  for(size_t i=0; i<n; i++) hash = (hash ^ (unsigned char)text[i])*UINT64_C(0x100000001B3);
  return hash;
}

static uint64_t hash_name(const char *text, size_t n){
  return hash_more(UINT64_C(0xCBF29CE484222325), text, n);
}

/* Is the name of piece `id` left[n_left], then right[n_right]? */
static int is_name(const struct reading *r, int id, const char *left, size_t n_left,
                   const char *right, size_t n_right){
  const char *name = r->names[id];
  return strncmp(name, left, n_left)==0 && strncmp(name + n_left, right, n_right)==0
      && name[n_left + n_right]==0;
}

/* The number of the piece that has this name; -1: there is none. */
static int number_of(const struct reading *r, const char *left, size_t n_left, const char *right,
                     size_t n_right){
  int id = key_set_value(&r->numbers, hash_more(hash_name(left, n_left), right, n_right));
  return id>=0 && is_name(r, id, left, n_left, right, n_right) ? id : -1;
}

static void add_name(struct reading *r, const char *name, double number){
  int id = number>=0 && number<(double)r->most ? (int)number : -1;
  if( id<0 || id!=number ){
    fail(r->e, SQLITE_CORRUPT,
         "%s: the number of piece \"%.40s\" is no whole number from 0 to %zu", r->who, name,
         r->most - 1);
  }else if( r->names[id] ){
    fail(r->e, SQLITE_CORRUPT,
         "%s: pieces \"%.40s\" and \"%.40s\" both have number %d, expected one of their own",
         r->who, r->names[id], name, id);
  }else if( key_set_put(&r->numbers, hash_name(name, strlen(name)), id)==0 ){
    fail(r->e, SQLITE_CORRUPT, "%s: piece \"%.40s\" comes twice", r->who, name);
  }else{
    r->names[id] = name;
    r->b->n_pieces++;
  }
}

/* A string with a backslash, quotes and all, as it reads. */
static void unescape(struct json *j, const char *quoted, char *out){
  cJSON *string = cJSON_ParseWithLength(quoted, (size_t)(j->at - quoted));
  const char *text = cJSON_GetStringValue(string);
  if( text ) memcpy(out, text, strlen(text) + 1);
  else json_bad(j);
  cJSON_Delete(string);
}

/* The string that is next, as it reads, into out[NAME_MOST]. Gives its bytes. */
static size_t read_name(const struct reading *r, struct json *j, char *out){
  const char *quoted;
  size_t n;
  json_next(j);
  quoted = j->at;
  json_string(j, out, NAME_MOST);
  if( r->e->rc!=SQLITE_OK ) return 0;
  n = (size_t)(j->at - quoted) - 2;
  if( n>=NAME_MOST ){
    fail(r->e, SQLITE_CORRUPT, "%s: piece \"%.40s\" has %zu bytes, expected fewer than %d", r->who,
         out, n, NAME_MOST);
  }else if( memchr(out, '\\', n) ){
    unescape(j, quoted, out);
    n = strlen(out);
  }
  return n;
}

static void vocab_init(struct reading *r, size_t n_added){
  r->most = r->vocab.n_items + n_added;
  r->numbers = (struct key_set){ .arena = &r->scratch, .has_values = 1 };
  r->names = arena_zeroed(&r->scratch, r->most*sizeof(*r->names));
  r->pool = arena_get(&r->scratch, r->vocab.bytes + NAME_MOST);
  key_set_reserve(&r->numbers, r->most);
  if( r->scratch.oom ) fail_nomem(r->e);
}

static void read_vocab(struct reading *r, const cJSON *added){
  struct json *j = &r->vocab.json;
  if( !begins_with(&r->vocab, '{') || r->vocab.n_items==0 ){
    fail(r->e, SQLITE_CORRUPT, "%s: the model has no \"vocab\", expected an object of pieces",
         r->who);
    return;
  }
  vocab_init(r, added ? (size_t)cJSON_GetArraySize(added) : 0);
  json_want(j, '{');
  for(int i=0; json_more(j, i, '}'); i++){
    char *name = r->pool;
    double number;
    r->pool += read_name(r, j, name) + 1;
    json_want(j, ':');
    if( !json_number(j, &number) ) number = -1;
    if( r->e->rc==SQLITE_OK ) add_name(r, name, number);
  }
}

/* ---- Special tokens ---- */

/* Notes the number of a special token, which may be in the vocabulary too. */
static void add_special(struct reading *r, const cJSON *item, char *is_special){
  const char *name = cJSON_GetStringValue(item_of(item, "content"));
  const cJSON *number = item_of(item, "id");
  int id;
  if( name==NULL || !cJSON_IsTrue(item_of(item, "special")) ){
    fail(r->e, SQLITE_CORRUPT,
         "%s: added token \"%.40s\" is not special, expected \"content\" and \"special\":true",
         r->who, name ? name : "");
    return;
  }
  id = number_of(r, name, strlen(name), "", 0);
  if( id<0 ){
    add_name(r, name, cJSON_IsNumber(number) ? number->valuedouble : -1);
    id = number_of(r, name, strlen(name), "", 0);
  }
  if( r->e->rc!=SQLITE_OK ) return;
  if( !cJSON_IsNumber(number) || number->valuedouble!=id ){
    fail(r->e, SQLITE_CORRUPT,
         "%s: added token \"%.40s\" has another number than the piece, which has %d", r->who, name,
         id);
    return;
  }
  is_special[id] = 1;
}

/* Gives which pieces are special: [most]; NULL after a failure. */
static const char *read_added(struct reading *r, const cJSON *added){
  char *is_special = arena_zeroed(&r->scratch, r->most);
  const cJSON *item;
  if( is_special==NULL ){
    fail_nomem(r->e);
    return NULL;
  }
  if( added && !cJSON_IsArray(added) ){
    fail(r->e, SQLITE_CORRUPT, "%s: \"added_tokens\" is no array", r->who);
  }
  cJSON_ArrayForEach(item, added){
    if( r->e->rc==SQLITE_OK ) add_special(r, item, is_special);
  }
  for(int i=0; i<r->b->n_pieces && r->e->rc==SQLITE_OK; i++){
    if( r->names[i] ) continue;
    fail(r->e, SQLITE_CORRUPT, "%s: no piece has number %d, expected 0 to %d each once", r->who, i,
         r->b->n_pieces - 1);
  }
  return r->e->rc==SQLITE_OK ? is_special : NULL;
}

/* ---- Pieces in bytes ---- */

/* The byte that each character of tokenizer.json stands for; -1: none. */
static void fill_alphabet(int byte_of[ALPHABET]){
  int other = 256;
  for(int c=0; c<ALPHABET; c++) byte_of[c] = -1;
  for(int byte=0; byte<256; byte++){
    int is_seen = byte>' ' && byte!=0x7F && (byte<0x80 || byte>0xA0) && byte!=0xAD;
    byte_of[is_seen ? byte : other++] = byte;
  }
  assert( other==ALPHABET );
}

/* Writes the bytes of piece `id` and gives how many these are. */
static uint32_t spell(struct reading *r, int id, const int byte_of[ALPHABET], char *out){
  const char *name = r->names[id];
  size_t n = strlen(name);
  uint32_t n_bytes = 0;
  for(size_t at=0; at<n; ){
    int length = utf8_length(name + at, n - at);
    int32_t c = -1;
    if( length>0 ) utf8proc_iterate((const utf8proc_uint8_t *)name + at, length, &c);
    if( c<0 || c>=ALPHABET || byte_of[c]<0 ){
      fail(r->e, SQLITE_CORRUPT,
           "%s: byte %zu of piece %d, \"%.40s\", begins no character that stands for a byte",
           r->who, at, id, name);
      return 0;
    }
    out[n_bytes++] = (char)byte_of[c];
    at += (size_t)length;
  }
  if( n==0 ) fail(r->e, SQLITE_CORRUPT, "%s: piece %d is empty", r->who, id);
  if( n_bytes==1 ) r->b->byte_piece[(unsigned char)*out] = id;
  return n_bytes;
}

static void spell_pieces(struct reading *r, const char *is_special){
  struct bpe *b = r->b;
  int byte_of[ALPHABET];
  size_t n_bytes = 0;
  fill_alphabet(byte_of);
  for(int i=0; i<256; i++) b->byte_piece[i] = -1;
  for(int i=0; i<b->n_pieces; i++) n_bytes += strlen(r->names[i]);
  b->bytes = mem_alloc(n_bytes + 1);
  b->start = mem_alloc(((size_t)b->n_pieces + 1)*sizeof(*b->start));
  if( b->bytes==NULL || b->start==NULL ){
    fail_nomem(r->e);
    return;
  }
  b->start[0] = 0;
  for(int i=0; i<b->n_pieces && r->e->rc==SQLITE_OK; i++){
    uint32_t n = is_special[i] ? 0 : spell(r, i, byte_of, b->bytes + b->start[i]);
    b->start[i+1] = b->start[i] + n;
  }
}

/* ---- Merges ---- */

/* The merge that is next: "a b", or in newer files ["a","b"]. left[NAME_MOST] gets a; right, which
** has as much room, b. 0: it is neither. */
static int read_pair(const struct reading *r, struct json *j, char *left, char *right){
  char *space;
  if( json_take(j, '[') ){
    if( json_next(j)!='"' ) return 0;
    read_name(r, j, left);
    if( !json_take(j, ',') || json_next(j)!='"' ) return 0;
    read_name(r, j, right);
    return json_take(j, ']');
  }
  if( json_next(j)!='"' ) return 0;
  read_name(r, j, left);
  space = strchr(left, ' ');
  if( space==NULL || strchr(space + 1, ' ') ) return 0;
  *space = 0;
  memcpy(right, space + 1, strlen(space + 1) + 1);
  return 1;
}

/* Mostly a merge makes the piece after that of the merge before: that one is looked at first. */
static void add_merge(struct reading *r, int rank, const char *left, const char *right){
  size_t n_left = strlen(left);
  size_t n_right = strlen(right);
  int made = rank>0 ? r->b->made[rank-1] + 1 : r->b->n_pieces;
  int a, b;
  a = number_of(r, left, n_left, "", 0);
  b = number_of(r, right, n_right, "", 0);
  if( made>=r->b->n_pieces || !is_name(r, made, left, n_left, right, n_right) ){
    made = number_of(r, left, n_left, right, n_right);
  }
  if( a<0 || b<0 || made<0 ){
    fail(r->e, SQLITE_CORRUPT,
         "%s: merge %d joins \"%.40s\" and \"%.40s\": the vocabulary lacks %s, expected all three",
         r->who, rank, left, right,
         a<0 ? "the first" : b<0 ? "the second" : "what they make");
  }else if( r->b->start[made]==r->b->start[made+1] ){
    fail(r->e, SQLITE_CORRUPT, "%s: merge %d makes \"%.40s\", which is special", r->who, rank,
         r->names[made]);
  }else if( key_set_put(&r->b->pairs, pair_key(a, b), rank)==0 ){
    fail(r->e, SQLITE_CORRUPT, "%s: merge %d comes twice", r->who, rank);
  }else{
    r->b->made[rank] = made;
  }
}

static void read_merges(struct reading *r){
  struct bpe *b = r->b;
  struct json *j = &r->merges.json;
  size_t n = r->merges.n_items;
  if( !begins_with(&r->merges, '[') ){
    fail(r->e, SQLITE_CORRUPT, "%s: the model has no \"merges\", expected an array of pairs",
         r->who);
    return;
  }
  b->pairs = (struct key_set){ .has_values = 1 };
  b->made = mem_alloc((n + 1)*sizeof(*b->made));
  if( b->made==NULL || key_set_reserve(&b->pairs, n)!=SQLITE_OK ) fail_nomem(r->e);
  json_want(j, '[');
  for(int i=0; json_more(j, i, ']'); i++){
    char left[NAME_MOST], right[NAME_MOST];
    int is_pair = read_pair(r, j, left, right);
    if( !is_pair ){
      fail(r->e, SQLITE_CORRUPT, "%s: merge %d is neither \"a b\" nor [\"a\",\"b\"]", r->who, i);
    }
    if( r->e->rc==SQLITE_OK ) add_merge(r, i, left, right);
  }
}

/* ---- Opening ---- */

static void read_tokenizer(struct reading *r, const cJSON *json){
  const cJSON *added = item_of(json, "added_tokens");
  const char *is_special = NULL;
  check_settings(r, json);
  if( r->e->rc==SQLITE_OK ) read_vocab(r, added);
  if( r->e->rc==SQLITE_OK ) is_special = read_added(r, added);
  if( is_special ) spell_pieces(r, is_special);
  if( r->e->rc==SQLITE_OK ) read_merges(r);
}

int bpe_open(struct bpe **out, const char *json, size_t n, const char *who, struct err *e){
  struct reading r = { .who = who, .e = e };
  cJSON *tree = NULL;
  assert( json!=NULL || n==0 );
  *out = NULL;
  if( n>JSON_BYTES_MOST ){
    return fail(e, SQLITE_TOOBIG, "%s: %zu bytes, expected at most %d", who, n, JSON_BYTES_MOST);
  }
  r.b = mem_zeroed(sizeof(*r.b));
  if( r.b==NULL ) return fail_nomem(e);
  find_parts(&r, json, n);
  if( e->rc==SQLITE_OK ) tree = json_parse(r.rest.data, r.rest.n, who, e);
  if( tree ) read_tokenizer(&r, tree);
  cJSON_Delete(tree);
  buf_release(&r.rest);
  arena_release(&r.scratch);
  if( e->rc==SQLITE_OK ) *out = r.b;
  else bpe_close(r.b);
  return e->rc;
}

void bpe_close(struct bpe *b){
  if( b==NULL ) return;
  mem_free(b->bytes);
  mem_free(b->start);
  mem_free(b->made);
  key_set_release(&b->pairs);
  mem_free(b);
}

int bpe_pieces(const struct bpe *b){
  return b->n_pieces;
}

/* ---- What Unicode says of a character, as the reference knows it ---- */

enum class { LETTER, DIGIT, SPACE, OTHER, NO_MORE };    /* L N S O; the text has ended */

/* What utf8proc 2.8, which has Unicode 15, does not know yet, and the reference does. (Made by
** comparing it with tokenizers 0.23, character by character.) */
static const struct { int32_t first, last; enum class class; } NEWER[] = {
  { 0x1C89, 0x1C8A, LETTER }, { 0xA7CB, 0xA7CD, LETTER }, { 0xA7DA, 0xA7DC, LETTER },
  { 0x105C0, 0x105F3, LETTER }, { 0x10D40, 0x10D49, DIGIT }, { 0x10D4A, 0x10D65, LETTER },
  { 0x10D6F, 0x10D85, LETTER }, { 0x10EC2, 0x10EC4, LETTER }, { 0x11380, 0x11389, LETTER },
  { 0x1138B, 0x1138B, LETTER }, { 0x1138E, 0x1138E, LETTER }, { 0x11390, 0x113B5, LETTER },
  { 0x113B7, 0x113B7, LETTER }, { 0x113D1, 0x113D1, LETTER }, { 0x113D3, 0x113D3, LETTER },
  { 0x116D0, 0x116E3, DIGIT }, { 0x11BC0, 0x11BE0, LETTER }, { 0x11BF0, 0x11BF9, DIGIT },
  { 0x11DE0, 0x11DE9, DIGIT }, { 0x13460, 0x143FA, LETTER }, { 0x16100, 0x1611D, LETTER },
  { 0x16130, 0x16139, DIGIT }, { 0x16D40, 0x16D6C, LETTER }, { 0x16D70, 0x16D79, DIGIT },
  { 0x16FF4, 0x16FF6, DIGIT }, { 0x18CFF, 0x18CFF, LETTER }, { 0x1CCF0, 0x1CCF9, DIGIT },
  { 0x1E5D0, 0x1E5ED, LETTER }, { 0x1E5F0, 0x1E5F0, LETTER }, { 0x1E5F1, 0x1E5FA, DIGIT },
  { 0x2EBF0, 0x2EE5D, LETTER },
};
enum { N_NEWER = sizeof(NEWER)/sizeof(NEWER[0]) };

static enum class class_of_new(int32_t c){
  for(int i=0; i<N_NEWER && c>=NEWER[i].first; i++){
    if( c<=NEWER[i].last ) return NEWER[i].class;
  }
  return OTHER;
}

static enum class class_of_ascii(int c){
  if( is_ascii_letter(c) ) return LETTER;
  if( is_ascii_digit(c) ) return DIGIT;
  return is_ascii_space(c) ? SPACE : OTHER;
}

static enum class class_of(int32_t c){
  switch( utf8proc_category(c) ){
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO: return LETTER;
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO: return DIGIT;
    case UTF8PROC_CATEGORY_ZS: case UTF8PROC_CATEGORY_ZL: case UTF8PROC_CATEGORY_ZP: return SPACE;
    case UTF8PROC_CATEGORY_CN: return class_of_new(c);
    default: return c==0x85 ? SPACE : OTHER;
  }
}

/* ---- Text to words ---- */

struct node {                           /* a piece of the word that is being joined */
  int id;                               /* -1: it went into the one on its left */
  int previous, next;                   /* its neighbours; -1: there is none */
};

struct encoding {                       /* one call of bpe_encode() */
  const struct bpe *b;
  const char *text;
  size_t n;                             /* bytes of it */
  struct arena scratch;
  struct node *nodes;                   /* [capacity] */
  uint64_t *heap;                       /* [2*capacity]: rank << 32 | place; the least is first */
  size_t capacity;                      /* bytes of the longest word that there is room for */
  size_t n_heap;
  int *ids;                             /* room for an id for each byte */
  int n_ids;
  unsigned steps;
  struct err *e;
};

/* Counts a step. 0: something failed, or the caller wants no more. Short texts do not ask: they are
** read in other threads than the caller's too. */
static int goes_on(struct encoding *c){
  if( ++c->steps%STEPS_A_TIME==0 ) return !err_stopped(c->e);
  return c->e->rc==SQLITE_OK;
}

/* The class of the character at byte `at`; *end: the byte behind it. */
static enum class read_class(struct encoding *c, size_t at, size_t *end){
  int32_t character;
  int length;
  *end = at;
  if( at>=c->n || !goes_on(c) ) return NO_MORE;
  length = utf8_length(c->text + at, c->n - at);
  *end = at + (length>0 ? (size_t)length : 1);
  if( length==1 ) return class_of_ascii(c->text[at]);
  if( length==0 ) return OTHER;
  utf8proc_iterate((const utf8proc_uint8_t *)c->text + at, length, &character);
  return class_of(character);
}

/* The end of the run of characters of one class that begins at `at`; *last: its last character. */
static size_t run_end(struct encoding *c, size_t at, enum class class, size_t *last){
  size_t end;
  *last = at;
  while( read_class(c, at, &end)==class ){
    *last = at;
    at = end;
  }
  return at;
}

/* Bytes of 's 't 're 've 'm 'll 'd at the start of text[n]; 0: there is none. */
static size_t contraction(const char *text, size_t n){
  static const char *const endings[] = { "s", "t", "re", "ve", "m", "ll", "d" };
  if( n<2 || text[0]!='\'' ) return 0;
  for(size_t i=0; i<sizeof(endings)/sizeof(endings[0]); i++){
    size_t length = strlen(endings[i]);
    if( length<n && memcmp(text + 1, endings[i], length)==0 ) return length + 1;
  }
  return 0;
}

/* White space from `at` on that is no space before a word. */
static size_t space_end(struct encoding *c, size_t at){
  size_t last, end_of_next;
  size_t end = run_end(c, at, SPACE, &last);
  enum class next = read_class(c, end, &end_of_next);
  return last>at && (next==LETTER || next==OTHER) ? last : end;
}

/* Step 1: the end of the word that begins at `at`. */
static size_t word_end(struct encoding *c, size_t at){
  size_t end, last;
  enum class class = read_class(c, at, &end);
  size_t short_form = contraction(c->text + at, c->n - at);
  if( class==DIGIT || class==NO_MORE ) return end;
  if( short_form>0 ) return at + short_form;
  if( class==SPACE ){
    enum class next = c->text[at]==' ' ? read_class(c, end, &last) : SPACE;
    if( next!=LETTER && next!=OTHER ) return space_end(c, at);
    return run_end(c, end, next, &last);
  }
  return run_end(c, at, class, &last);
}

/* ---- The heap ---- */

static void heap_push(struct encoding *c, uint64_t entry){
  size_t at = c->n_heap++;
  assert( c->n_heap<=2*c->capacity );
  while( at>0 && c->heap[(at-1)/2]>entry ){
    c->heap[at] = c->heap[(at-1)/2];
    at = (at-1)/2;
  }
  c->heap[at] = entry;
}

static uint64_t heap_pop(struct encoding *c){
  uint64_t least = c->heap[0];
  uint64_t entry = c->heap[--c->n_heap];
  size_t at = 0;
  for(;;){
    size_t child = 2*at + 1;
    if( child>=c->n_heap ) break;
    if( child+1<c->n_heap && c->heap[child+1]<c->heap[child] ) child++;
    if( c->heap[child]>=entry ) break;
    c->heap[at] = c->heap[child];
    at = child;
  }
  c->heap[at] = entry;
  return least;
}

/* ---- Words to pieces ---- */

/* The merge of the piece at a place with the next one; -1: there is none. */
static int merge_at(const struct encoding *c, int at){
  const struct node *left = &c->nodes[at];
  if( left->id<0 || left->next<0 ) return -1;
  return merge_of(c->b, left->id, c->nodes[left->next].id);
}

static void push_pair(struct encoding *c, int at){
  int rank = at>=0 ? merge_at(c, at) : -1;
  if( rank>=0 ) heap_push(c, (uint64_t)rank << 32 | (uint32_t)at);
}

/* The piece at a place takes in the next one. */
static void join(struct encoding *c, int at, int made){
  struct node *left = &c->nodes[at];
  struct node *right = &c->nodes[left->next];
  left->id = made;
  left->next = right->next;
  right->id = -1;
  if( left->next>=0 ) c->nodes[left->next].previous = at;
  push_pair(c, left->previous);
  push_pair(c, at);
}

/* Step 3. An entry may be old: what stood there was joined otherwise. It still counts if the pair
** that stands there now makes the same piece, as in the reference. */
static void join_all(struct encoding *c, int n_nodes){
  c->n_heap = 0;
  for(int at=0; at+1<n_nodes && goes_on(c); at++) push_pair(c, at);
  while( c->n_heap>0 && goes_on(c) ){
    uint64_t entry = heap_pop(c);
    int at = (int)(uint32_t)entry;
    int rank = merge_at(c, at);
    int made = c->b->made[entry >> 32];
    if( rank>=0 && c->b->made[rank]==made ) join(c, at, made);
  }
}

/* Room for a word of n bytes. The heap starts with less than n pairs, and each of less than n joins
** takes one from it and adds two. */
static int reserve(struct encoding *c, size_t n){
  if( n<=c->capacity ) return SQLITE_OK;
  if( c->capacity==0 ) c->capacity = 64;
  while( c->capacity<n ) c->capacity *= 2;
  c->nodes = arena_get(&c->scratch, c->capacity*sizeof(*c->nodes));
  c->heap = arena_get(&c->scratch, 2*c->capacity*sizeof(*c->heap));
  return c->scratch.oom ? fail_nomem(c->e) : SQLITE_OK;
}

/* Steps 2 and 3. */
static void read_word(struct encoding *c, const char *word, size_t n){
  int n_nodes = 0;
  if( reserve(c, n)!=SQLITE_OK ) return;
  for(size_t i=0; i<n; i++){
    int id = c->b->byte_piece[(unsigned char)word[i]];
    if( id<0 ) continue;
    c->nodes[n_nodes] = (struct node){ id, n_nodes - 1, n_nodes + 1 };
    n_nodes++;
  }
  if( n_nodes==0 ) return;
  c->nodes[n_nodes-1].next = -1;
  join_all(c, n_nodes);
  for(int at=0; at>=0; at=c->nodes[at].next) c->ids[c->n_ids++] = c->nodes[at].id;
}

int bpe_encode(const struct bpe *b, const char *text, size_t n, struct arena *a, int **ids,
               int *n_ids, struct err *e){
  struct encoding c = { .b = b, .text = text, .n = n, .e = e };
  assert( b!=NULL );
  assert( text!=NULL || n==0 );
  *ids = NULL;
  *n_ids = 0;
  if( n>TEXT_BYTES_MOST ){
    return fail(e, SQLITE_TOOBIG, "a text of %zu bytes, expected at most %d", n, TEXT_BYTES_MOST);
  }
  c.ids = arena_get(a, (n + 1)*sizeof(*c.ids));
  if( c.ids==NULL ) return fail_nomem(e);
  for(size_t at=0; at<n && e->rc==SQLITE_OK; ){
    size_t end = word_end(&c, at);
    if( e->rc==SQLITE_OK ) read_word(&c, text + at, end - at);
    at = end;
  }
  arena_release(&c.scratch);
  if( e->rc!=SQLITE_OK ) return e->rc;
  *ids = c.ids;
  *n_ids = c.n_ids;
  return SQLITE_OK;
}

/* ---- Numbers to text ---- */

void bpe_decode(const struct bpe *b, int id, struct buf *out){
  if( id<0 || id>=b->n_pieces ) return;
  buf_append(out, b->bytes + b->start[id], b->start[id+1] - b->start[id]);
}
