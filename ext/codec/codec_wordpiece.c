/*
** codec_wordpiece.c -- text to piece numbers as BERT reads it: its normaliser, its words,
** WordPiece.
**
** Public sentence encoders (MiniLM, bge, e5, gte, mpnet) have this tokenizer. The reference is
** PyPI's tokenizers, Rust: BertNormalizer, BertPreTokenizer and WordPiece.
** tests/checks/wordpiece.py holds this to it on 100,000 lines.
**
** The text is read once, character by character. The folder says which of 1 to 4 are done:
**
**   1. Control characters and U+FFFD are dropped. Bytes that are not UTF-8 count as U+FFFD.
**   2. A Chinese character is a word.
**   3. Accents: NFD, and then marks (Mn) are dropped.
**   4. Capitals become small, each by itself.
**   5. White space ends a word. A punctuation character is a word.
**   6. A word becomes its longest prefix that is a piece, and so on with the rest, where pieces are
**      those that begin with ##. A word that cannot be had so, or is too long, is one [UNK].
**
** The reference matches special tokens in the text first: "[SEP]" in a text becomes a separator.
** Here no text can say one, as with the reference's encode_special_tokens.
**
** Pieces are looked up by a hash that grows with each character, so one pass over a word gives the
** hashes of all prefixes. Nothing is allocated for a word or a piece. On one core (AMD EPYC) 4 to 5
** million pieces a second of English and 4 million of all scripts; the reference, in one thread,
** has 0.25 million.
*/
#include "codec.h"
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

enum {
  FILE_BYTES_MOST = 32 << 20,
  PIECES_MOST = 1 << 20,
  PIECE_BYTES_MOST = 256,
  WORD_MOST = 1000,                     /* limit of "max_input_chars_per_word" */
  WORD_USUAL = 100,
  PARTS_MOST = 8,                       /* of one character; NFD has at most 4 */
  TEXT_BYTES_MOST = 1000000000,
  REPLACEMENT = 0xFFFD
};
static const uint64_t HASH_FACTOR = 0x9E3779B97F4A7C15u;

struct piece {
  const int32_t *c;                     /* its characters, without ## */
  int n;                                /* 0: there is none of this number */
  int goes_on;                          /* it began with ##: is for the rest of a word */
};

struct slot {
  uint64_t hash;
  int id;                               /* -1: the slot is free */
};

struct wordpiece {
  struct arena arena;                   /* owns what follows; never changes after opening */
  struct piece *pieces;                 /* [n_pieces], by number */
  int n_pieces;
  struct slot *slots;                   /* [1 << (64 - shift)] */
  int shift;                            /* a hash's first slot is hash >> shift */
  int longest;                          /* characters of the longest piece */
  int unknown;                          /* the number of [UNK] */
  int word_most;                        /* characters of a word; longer ones are [UNK] */
  int cleans, parts_chinese, strips, lowers;    /* steps 1 to 4 */
};

/* ---- Pieces by their hash ---- */

static uint64_t hash_start(int goes_on){
  return goes_on ? 2 : 1;
}

static uint64_t hash_add(uint64_t h, int32_t c){
  h = (h ^ (uint64_t)c)*HASH_FACTOR;
  return h ^ h>>32;
}

static size_t slots_mask(const struct wordpiece *w){
  return ((size_t)1 << (64 - w->shift)) - 1;
}

/* The slot of the piece c[n], or the free one where it would be. */
static struct slot *find_slot(const struct wordpiece *w, uint64_t hash, const int32_t *c, int n,
                              int goes_on){
  size_t at = (size_t)(hash >> w->shift);
  for(;; at = (at + 1) & slots_mask(w)){
    struct slot *s = &w->slots[at];
    const struct piece *p;
    if( s->id<0 ) return s;
    if( s->hash!=hash ) continue;
    p = &w->pieces[s->id];
    if( p->n==n && p->goes_on==goes_on && memcmp(p->c, c, (size_t)n*sizeof(*c))==0 ) return s;
  }
}

/* Room for all pieces, half of it free. */
static int slots_init(struct wordpiece *w, struct err *e){
  size_t n;
  w->shift = 63;
  while( slots_mask(w) + 1<(size_t)w->n_pieces*2 ) w->shift--;
  n = slots_mask(w) + 1;
  w->slots = arena_get(&w->arena, n*sizeof(*w->slots));
  if( w->slots==NULL ) return fail_nomem(e);
  for(size_t i=0; i<n; i++) w->slots[i] = (struct slot){ .id = -1 };
  return SQLITE_OK;
}

static int slots_fill(struct wordpiece *w, const char *path, struct err *e){
  if( slots_init(w, e)!=SQLITE_OK ) return e->rc;
  for(int i=0; i<w->n_pieces; i++){
    const struct piece *p = &w->pieces[i];
    uint64_t hash = hash_start(p->goes_on);
    struct slot *s;
    if( p->n==0 ) continue;
    for(int k=0; k<p->n; k++) hash = hash_add(hash, p->c[k]);
    s = find_slot(w, hash, p->c, p->n, p->goes_on);
    if( s->id>=0 ) return fail(e, SQLITE_CORRUPT, "%s: pieces %d and %d are equal", path, s->id, i);
    *s = (struct slot){ hash, i };
    if( p->n>w->longest ) w->longest = p->n;
  }
  return SQLITE_OK;
}

int wordpiece_number(const struct wordpiece *w, const char *piece){
  int32_t c[PIECE_BYTES_MOST];
  uint64_t hash = hash_start(0);
  int n = 0;
  for(; *piece && n<PIECE_BYTES_MOST; n++){
    int length = utf8_length(piece, strlen(piece));
    if( length==0 ) return -1;
    utf8proc_iterate((const utf8proc_uint8_t *)piece, length, &c[n]);
    hash = hash_add(hash, c[n]);
    piece += length;
  }
  return *piece==0 && n>0 ? find_slot(w, hash, c, n, 0)->id : -1;
}

/* ---- The vocabulary ---- */

/* Sets piece `id` to text[n]. pool: where its characters go; returns where the next ones go. */
static int32_t *set_piece(struct wordpiece *w, int id, const char *text, size_t n, int32_t *pool,
                          const char *path, struct err *e){
  struct piece *p = &w->pieces[id];
  if( n>PIECE_BYTES_MOST ){
    fail(e, SQLITE_CORRUPT, "%s: piece %d has %zu bytes, expected at most %d", path, id, n,
         PIECE_BYTES_MOST);
    return pool;
  }
  p->goes_on = n>2 && text[0]=='#' && text[1]=='#';
  p->c = pool;
  for(size_t at = p->goes_on ? 2 : 0; at<n; ){
    int length = utf8_length(text + at, n - at);
    if( length==0 ){
      fail(e, SQLITE_CORRUPT, "%s: piece %d is not UTF-8", path, id);
      return pool;
    }
    utf8proc_iterate((const utf8proc_uint8_t *)text + at, length, pool++);
    at += (size_t)length;
  }
  p->n = (int)(pool - p->c);
  return pool;
}

/* Memory for n pieces, and for their characters, which have n_bytes. */
static int32_t *pieces_init(struct wordpiece *w, size_t n, size_t n_bytes, const char *path,
                            struct err *e){
  int32_t *pool;
  if( n==0 || n>PIECES_MOST ){
    fail(e, SQLITE_CORRUPT, "%s: %zu pieces, expected 1 to %d", path, n, PIECES_MOST);
    return NULL;
  }
  w->n_pieces = (int)n;
  w->pieces = arena_zeroed(&w->arena, n*sizeof(*w->pieces));
  pool = arena_get(&w->arena, (n_bytes + 1)*sizeof(*pool));
  if( w->arena.oom ) fail_nomem(e);
  return w->arena.oom ? NULL : pool;
}

/* vocab.txt: a piece a line, numbered from 0. An empty line is a number that no text gives. */
static int read_lines(struct wordpiece *w, const char *text, size_t n, const char *path,
                      struct err *e){
  const char *end = text + n;
  size_t n_lines = n>0 && text[n-1]!='\n';
  int32_t *pool;
  for(size_t i=0; i<n; i++) n_lines += text[i]=='\n';
  pool = pieces_init(w, n_lines, n, path, e);
  for(int id=0; text<end && e->rc==SQLITE_OK; id++){
    const char *newline = memchr(text, '\n', (size_t)(end - text));
    const char *stop = newline ? newline : end;
    const char *last = stop;
    while( last>text && is_ascii_space(last[-1]) ) last--;
    pool = set_piece(w, id, text, (size_t)(last - text), pool, path, e);
    text = stop + 1;
  }
  return e->rc;
}

/* "vocab" of tokenizer.json: {"[PAD]":0, ...}, with each number below their count once. */
static int read_vocab(struct wordpiece *w, const cJSON *vocab, const char *path, struct err *e){
  size_t n = 0, n_bytes = 0;
  const cJSON *item;
  int32_t *pool;
  if( !cJSON_IsObject(vocab) ){
    return fail(e, SQLITE_CORRUPT, "%s: the model has no \"vocab\", expected an object of pieces",
                path);
  }
  cJSON_ArrayForEach(item, vocab){
    n_bytes += strlen(item->string);
    n++;
  }
  pool = pieces_init(w, n, n_bytes, path, e);
  if( pool==NULL ) return e->rc;
  cJSON_ArrayForEach(item, vocab){
    int64_t id;
    if( !json_whole(item, 0, (double)n - 1, &id) || w->pieces[id].n>0 ){
      return fail(e, SQLITE_CORRUPT,
                  "%s: the number of piece \"%.40s\" is no whole number from 0 to %zu of its own",
                  path, item->string, n - 1);
    }
    pool = set_piece(w, (int)id, item->string, strlen(item->string), pool, path, e);
    if( e->rc!=SQLITE_OK ) return e->rc;
  }
  return SQLITE_OK;
}

/* ---- What a folder says ---- */

static const cJSON *item_of(const cJSON *json, const char *name){
  return cJSON_GetObjectItemCaseSensitive(json, name);
}

/* A truth value of the JSON; `usual` where it is absent or null. */
static int read_flag(const cJSON *json, const char *name, int usual, const char *path,
                     struct err *e){
  const cJSON *item = item_of(json, name);
  if( item==NULL || cJSON_IsNull(item) ) return usual;
  if( !cJSON_IsBool(item) ){
    fail(e, SQLITE_CORRUPT, "%s: \"%s\" is not true or false", path, name);
  }
  return cJSON_IsTrue(item);
}

static int has_type(const cJSON *json, const char *part, const char *type, const char *path,
                    struct err *e){
  const char *got = cJSON_GetStringValue(item_of(item_of(json, part), "type"));
  if( got && strcmp(got, type)==0 ) return 1;
  fail(e, SQLITE_CORRUPT, "%s: the %s is %s%.40s%s, expected \"%s\"", path, part, got ? "\"" : "",
       got ? got : "not given", got ? "\"" : "", type);
  return 0;
}

/* The "normalizer" of tokenizer.json, or with other names tokenizer_config.json. */
static void read_steps(struct wordpiece *w, const cJSON *json, const char *lower,
                       const char *chinese, const char *path, struct err *e){
  w->cleans = read_flag(json, "clean_text", 1, path, e);
  w->parts_chinese = read_flag(json, chinese, 1, path, e);
  w->lowers = read_flag(json, lower, 1, path, e);
  w->strips = read_flag(json, "strip_accents", w->lowers, path, e);
}

static int set_unknown(struct wordpiece *w, const char *name, const char *path, struct err *e){
  w->unknown = name ? wordpiece_number(w, name) : -1;
  if( w->unknown>=0 ) return SQLITE_OK;
  return fail(e, SQLITE_CORRUPT, "%s: there is no piece %.40s, expected one for unknown words",
              path, name ? name : "\"unk_token\"");
}

static int read_tokenizer(struct wordpiece *w, const cJSON *json, const char *path, struct err *e){
  const cJSON *model = item_of(json, "model");
  const cJSON *most = item_of(model, "max_input_chars_per_word");
  const cJSON *prefix = item_of(model, "continuing_subword_prefix");
  int64_t word_most = WORD_USUAL;
  if( !has_type(json, "model", "WordPiece", path, e)
   || !has_type(json, "normalizer", "BertNormalizer", path, e)
   || !has_type(json, "pre_tokenizer", "BertPreTokenizer", path, e) ) return e->rc;
  if( prefix && !(cJSON_IsString(prefix) && strcmp(prefix->valuestring, "##")==0) ){
    return fail(e, SQLITE_CORRUPT, "%s: \"continuing_subword_prefix\" is not \"##\"", path);
  }
  if( most && !json_whole(most, 1, WORD_MOST, &word_most) ){
    return fail(e, SQLITE_CORRUPT,
                "%s: \"max_input_chars_per_word\" is no whole number from 1 to %d", path,
                WORD_MOST);
  }
  w->word_most = (int)word_most;
  read_steps(w, item_of(json, "normalizer"), "lowercase", "handle_chinese_chars", path, e);
  if( e->rc==SQLITE_OK ) read_vocab(w, item_of(model, "vocab"), path, e);
  if( e->rc==SQLITE_OK ) slots_fill(w, path, e);
  if( e->rc!=SQLITE_OK ) return e->rc;
  return set_unknown(w, cJSON_GetStringValue(item_of(model, "unk_token")), path, e);
}

/* A whole file of the folder as JSON, for cJSON_Delete(), or NULL after noting why not. */
static cJSON *read_json(const char *path, struct err *e){
  struct file_map map;
  cJSON *json = NULL;
  if( map_open(&map, path, e)!=SQLITE_OK ) return NULL;
  if( map.n>FILE_BYTES_MOST ){
    fail(e, SQLITE_CORRUPT, "%s: %zu bytes, expected at most %d", path, map.n, FILE_BYTES_MOST);
  }else{
    json = json_parse((const char *)map.data, map.n, path, e);
  }
  map_close(&map);
  return json;
}

static int open_tokenizer(struct wordpiece *w, const char *path, struct err *e){
  cJSON *json = read_json(path, e);
  if( json ) read_tokenizer(w, json, path, e);
  cJSON_Delete(json);
  return e->rc;
}

/* config: of tokenizer_config.json, which may be missing: then everything is as BERT has it. */
static int open_vocab(struct wordpiece *w, const char *path, const char *config, struct err *e){
  struct file_map map;
  cJSON *json = path_exists(config) ? read_json(config, e) : NULL;
  if( e->rc==SQLITE_OK ) read_steps(w, json, "do_lower_case", "tokenize_chinese_chars", config, e);
  cJSON_Delete(json);
  w->word_most = WORD_USUAL;
  if( e->rc!=SQLITE_OK || map_open(&map, path, e)!=SQLITE_OK ) return e->rc;
  if( map.n>FILE_BYTES_MOST ){
    fail(e, SQLITE_CORRUPT, "%s: %zu bytes, expected at most %d", path, map.n, FILE_BYTES_MOST);
  }else{
    read_lines(w, (const char *)map.data, map.n, path, e);
  }
  map_close(&map);
  if( e->rc==SQLITE_OK ) slots_fill(w, path, e);
  return e->rc==SQLITE_OK ? set_unknown(w, "[UNK]", path, e) : e->rc;
}

static const char *path_in(struct arena *a, const char *folder, const char *name){
  size_t n = strlen(folder) + strlen(name) + 2;
  char *path = arena_get(a, n);
  if( path ) snprintf(path, n, "%s/%s", folder, name);
  return path;
}

int wordpiece_open(struct wordpiece **out, const char *folder, struct err *e){
  struct arena scratch = { 0 };
  const char *tokenizer = path_in(&scratch, folder, "tokenizer.json");
  const char *vocab = path_in(&scratch, folder, "vocab.txt");
  const char *config = path_in(&scratch, folder, "tokenizer_config.json");
  struct wordpiece *w = mem_alloc(sizeof(*w));
  *out = NULL;
  if( w ) *w = (struct wordpiece){ 0 };
  if( w==NULL || scratch.oom ) fail_nomem(e);
  else if( path_exists(tokenizer) ) open_tokenizer(w, tokenizer, e);
  else if( path_exists(vocab) ) open_vocab(w, vocab, config, e);
  else fail(e, SQLITE_CANTOPEN, "%s: has no tokenizer.json and no vocab.txt", folder);
  arena_release(&scratch);
  if( e->rc==SQLITE_OK ) *out = w;
  else wordpiece_close(w);
  return e->rc;
}

void wordpiece_close(struct wordpiece *w){
  if( w==NULL ) return;
  arena_release(&w->arena);
  mem_free(w);
}

/* ---- What Unicode says of a character, as the reference knows it ---- */

/* The reference's marks, punctuation and format characters are those of Unicode 8, and its NFD is
** that of Unicode 9. The ranges of NEWER have all that came or changed after 8, and nothing else
** that matters here: to the reference these are letters. Those of NINE among them have a class of
** marks all the same. (Made by comparing utf8proc 2.8 with tokenizers 0.23, character by
** character.) */
static const int32_t NEWER[][2] = {
  { 0x61D, 0x61D }, { 0x7FD, 0x7FD }, { 0x890, 0x8E2 }, { 0x9FD, 0x9FE }, { 0xA76, 0xA76 },
  { 0xAFA, 0xAFF }, { 0xB55, 0xB55 }, { 0xC04, 0xC3C }, { 0xC77, 0xC77 }, { 0xC84, 0xC84 },
  { 0xD00, 0xD00 }, { 0xD3B, 0xD3C }, { 0xD81, 0xD81 }, { 0xEBA, 0xEBA }, { 0xECE, 0xECE },
  { 0x1715, 0x1715 }, { 0x180F, 0x1886 }, { 0x1ABF, 0x1ACE }, { 0x1B7D, 0x1B7E },
  { 0x1DF6, 0x1DFB },
  { 0x2E43, 0x2E5D }, { 0xA82C, 0xA82C }, { 0xA8C5, 0xA8C5 }, { 0xA8FF, 0xA8FF },
  { 0xA9BD, 0xA9BD }, { 0x10D24, 0x10F89 }, { 0x11070, 0x11074 }, { 0x110C2, 0x110CD },
  { 0x111C9, 0x111C9 }, { 0x111CF, 0x111CF }, { 0x1123E, 0x11241 }, { 0x1133B, 0x1133B },
  { 0x11438, 0x1145E }, { 0x11660, 0x1166C }, { 0x116B9, 0x116B9 }, { 0x1182F, 0x11FFF },
  { 0x12FF1, 0x13455 }, { 0x16E97, 0x16F4F }, { 0x16FE2, 0x16FF1 }, { 0x1CF00, 0x1CF46 },
  { 0x1E000, 0x1E4EF }, { 0x1E944, 0x1E95F },
};
enum { N_NEWER = sizeof(NEWER)/sizeof(NEWER[0]) };

static const int32_t NINE[][2] = {
  { 0x8D4, 0x8E1 }, { 0x1DFB, 0x1DFB }, { 0x11442, 0x11446 }, { 0x11C3F, 0x11C3F },
  { 0x1E000, 0x1E02A }, { 0x1E944, 0x1E94A },
};
enum { N_NINE = sizeof(NINE)/sizeof(NINE[0]) };

/* Does one of the n ranges, which ascend, have c? */
static int is_among(int32_t c, const int32_t (*ranges)[2], size_t n){
  size_t low = 0;
  size_t high = n;
  while( low<high ){
    size_t middle = (low + high)/2;
    if( c>ranges[middle][1] ) low = middle + 1;
    else high = middle;
  }
  return low<n && c>=ranges[low][0];
}

static int is_newer(int32_t c){
  return is_among(c, NEWER, N_NEWER);
}

/* The class of a mark, by which NFD orders the marks of a letter; 0: no mark. */
static int mark_class(int32_t c){
  int class = c<0x300 ? 0 : utf8proc_get_property(c)->combining_class;
  if( class!=0 && is_newer(c) && !is_among(c, NINE, N_NINE) ) return 0;
  return class;
}

static int is_mark(int32_t c){
  if( c==0x1734 ) return 1;             /* was one in Unicode 8 */
  return utf8proc_category(c)==UTF8PROC_CATEGORY_MN && !is_newer(c);
}

static int is_punctuation(int32_t c){
  int category = utf8proc_category(c);
  if( c<0x80 ) return c>' ' && c<0x7F && !is_word_part(c);
  if( c==0x166D || c==0x111C9 ) return 1;       /* were so in Unicode 8 */
  return category>=UTF8PROC_CATEGORY_PC && category<=UTF8PROC_CATEGORY_PO && !is_newer(c);
}

static int is_white(int32_t c){
  int category = utf8proc_category(c);
  return (c>='\t' && c<='\r') || c==0x85 || category==UTF8PROC_CATEGORY_ZS
      || category==UTF8PROC_CATEGORY_ZL || category==UTF8PROC_CATEGORY_ZP;
}

/* What step 1 drops. */
static int is_unclean(int32_t c){
  int category = utf8proc_category(c);
  if( c==REPLACEMENT ) return 1;
  if( c=='\t' || c=='\n' || c=='\r' ) return 0;
  return category==UTF8PROC_CATEGORY_CC || category==UTF8PROC_CATEGORY_CO
      || (category==UTF8PROC_CATEGORY_CF && !is_newer(c));
}

static int is_chinese(int32_t c){
  return (c>=0x4E00 && c<=0x9FFF) || (c>=0x3400 && c<=0x4DBF) || (c>=0xF900 && c<=0xFAFF)
      || (c>=0x20000 && c<=0x2A6DF) || (c>=0x2A700 && c<=0x2B81F)
      || (c>=0x2B920 && c<=0x2CEAF) || (c>=0x2F800 && c<=0x2FA1F);
}

/* ---- Words to pieces ---- */

struct reading {                        /* one call of wordpiece_encode() */
  const struct wordpiece *w;
  int32_t c[WORD_MOST+1];               /* the word so far */
  size_t at[WORD_MOST+1];               /* the byte of the text that each came from */
  int n;                                /* of these; word_most+1: the word is too long */
  int marks;                            /* c[marks..n) are marks of one letter, in their order */
  size_t from;                          /* the byte of the character that is being read */
  int *ids;
  size_t *starts;                       /* or NULL */
  int n_ids;
};

static void add_id(struct reading *r, int id, size_t at){
  if( r->starts ) r->starts[r->n_ids] = at;
  r->ids[r->n_ids++] = id;
}

/* The longest piece with which the word goes on at character `from`. Returns its characters, 0
** where there is none. */
static int match_piece(const struct reading *r, int from, int *id){
  const struct wordpiece *w = r->w;
  uint64_t hash[PIECE_BYTES_MOST+1];
  int most = r->n - from<w->longest ? r->n - from : w->longest;
  hash[0] = hash_start(from>0);
  for(int k=0; k<most; k++) hash[k+1] = hash_add(hash[k], r->c[from+k]);
  for(int n=most; n>0; n--){
    *id = find_slot(w, hash[n], r->c + from, n, from>0)->id;
    if( *id>=0 ) return n;
  }
  return 0;
}

static void end_word(struct reading *r){
  int n_before = r->n_ids;
  int at = 0;
  if( r->n==0 ) return;
  while( r->n<=r->w->word_most && at<r->n ){
    int id;
    int n = match_piece(r, at, &id);
    if( n==0 ) break;
    add_id(r, id, r->at[at]);
    at += n;
  }
  if( at<r->n ){
    r->n_ids = n_before;
    add_id(r, r->w->unknown, r->at[0]);
  }
  r->n = r->marks = 0;
}

/* A mark goes before those marks of its letter whose class is higher, as NFD wants it. */
static void sort_mark(struct reading *r){
  int32_t c = r->c[r->n-1];
  int class = mark_class(c);
  int k = r->n - 1;
  while( k>r->marks && mark_class(r->c[k-1])>class ){
    r->c[k] = r->c[k-1];
    r->at[k] = r->at[k-1];
    k--;
  }
  r->c[k] = c;
  r->at[k] = r->from;
}

static void extend_word(struct reading *r, int32_t c){
  if( r->n>r->w->word_most ) return;
  r->c[r->n] = c;
  r->at[r->n++] = r->from;
  if( r->w->strips && mark_class(c)!=0 ) sort_mark(r);
  else r->marks = r->n;
}

/* Step 5. */
static void add_char(struct reading *r, int32_t c){
  if( is_white(c) ){
    end_word(r);
  }else if( is_punctuation(c) ){
    end_word(r);
    extend_word(r, c);
    end_word(r);
  }else{
    extend_word(r, c);
  }
}

/* ---- Text to words ---- */

/* Step 4. */
static void add_lower(struct reading *r, int32_t c){
  if( !r->w->lowers ){
    add_char(r, c);
  }else if( c==0x130 ){                 /* I with a dot: an i, and the dot */
    add_char(r, 'i');
    add_char(r, 0x307);
  }else{
    add_char(r, utf8proc_tolower(c));
  }
}

/* Step 3. A mark that is dropped still parts the marks before it from those behind, where its class
** is 0. */
static void add_stripped(struct reading *r, int32_t c){
  int32_t part[PARTS_MOST] = { c };
  int boundary = 0;
  int n = 1;
  if( !is_newer(c) ){
    n = (int)utf8proc_decompose_char(c, part, PARTS_MOST, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
                                     &boundary);
  }
  assert( n>0 && n<=PARTS_MOST );
  for(int i=0; i<n; i++){
    if( !is_mark(part[i]) ) add_lower(r, part[i]);
    else if( mark_class(part[i])==0 ) r->marks = r->n;
  }
}

/* Steps 1 and 2. */
static void read_char(struct reading *r, int32_t c){
  const struct wordpiece *w = r->w;
  int is_word = w->parts_chinese && is_chinese(c);
  if( w->cleans && is_unclean(c) ) return;
  if( is_word ) end_word(r);
  if( w->strips ) add_stripped(r, c);
  else add_lower(r, c);
  if( is_word ) end_word(r);
}

/* The same for ASCII, which has no marks. */
static void read_ascii(struct reading *r, int c){
  int is_space = r->w->cleans ? c==' ' || c=='\t' || c=='\n' || c=='\r' : is_ascii_space(c);
  if( is_word_part(c) ){
    extend_word(r, r->w->lowers ? ascii_lower(c) : c);
  }else if( is_space ){
    end_word(r);
  }else if( c>' ' && c<0x7F ){
    end_word(r);
    extend_word(r, c);
    end_word(r);
  }else if( !r->w->cleans ){
    extend_word(r, c);
  }
}

static void read_text(struct reading *r, const char *text, size_t n, struct err *e){
  enum { CHARACTERS_A_TIME = 4096 };
  for(size_t i=1; r->from<n; i++){
    const char *at = text + r->from;
    int length = utf8_length(at, n - r->from);
    int32_t c = REPLACEMENT;
    if( i%CHARACTERS_A_TIME==0 && err_stopped(e) ) return;
    if( length==1 ){
      read_ascii(r, (unsigned char)*at);
    }else{
      if( length>0 ) utf8proc_iterate((const utf8proc_uint8_t *)at, length, &c);
      read_char(r, c);
    }
    r->from += length>0 ? (size_t)length : 1;
  }
  end_word(r);
}

int wordpiece_encode(const struct wordpiece *w, const char *text, size_t n, struct arena *a,
                     int **ids, size_t **starts, int *n_ids, struct err *e){
  struct reading r = { 0 };
  assert( w!=NULL );
  assert( text!=NULL || n==0 );
  *ids = NULL;
  *n_ids = 0;
  if( starts ) *starts = NULL;
  if( n>TEXT_BYTES_MOST ){
    return fail(e, SQLITE_TOOBIG, "a text of %zu bytes, expected at most %d", n, TEXT_BYTES_MOST);
  }
  r.w = w;
  r.ids = arena_get(a, (n + 1)*sizeof(int));    /* a character gives no more pieces than bytes */
  if( starts ) r.starts = arena_get(a, (n + 1)*sizeof(size_t));
  if( a->oom ) return fail_nomem(e);
  read_text(&r, text, n, e);
  if( e->rc!=SQLITE_OK ) return e->rc;
  assert( (size_t)r.n_ids<=n );
  *ids = r.ids;
  *n_ids = r.n_ids;
  if( starts ) *starts = r.starts;
  return SQLITE_OK;
}
