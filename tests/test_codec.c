/*
** test_codec.c -- the properties of the codec layer, without pictures. Run from the root of the
** repository.
**
** model/tokenizer.py gives the expected token ids (tests/data/tokenizer.tsv). Damage is done to a
** copy of the tiny model, one byte or one length at a time. Every damaged file must give an error
** with a text or a model that works, never a crash, and nothing may be kept.
*/
#include "codec.h"
#include "fault.h"
#include "ok.h"
#include "piece_rows.h"
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TINY "tests/data/tiny"
#define TEXT "model/text"
#define N_OF(list) (sizeof(list)/sizeof((list)[0]))

static char folder[] = "/tmp/latent-test-XXXXXX";
static char scratch_path[100];          /* a file in it, which each test overwrites */

/* ---- Files ---- */

/* A whole file, 0-terminated, for free(). */
static char *read_file(const char *path, size_t *n){
  FILE *f = fopen(path, "rb");
  struct stat st;
  char *data;
  if( f==NULL || fstat(fileno(f), &st)!=0 ){
    fprintf(stderr, "cannot read %s\n", path);
    exit(2);
  }
  *n = (size_t)st.st_size;
  data = malloc(*n + 1);
  if( fread(data, 1, *n, f)!=*n ) exit(2);
  data[*n] = 0;
  fclose(f);
  return data;
}

static void write_scratch(const void *data, size_t n){
  FILE *f = fopen(scratch_path, "wb");
  if( f==NULL || fwrite(data, 1, n, f)!=n || fclose(f)!=0 ) exit(2);
}

/* 1 when the text begins with the scratch file's path and holds `part`. */
static int tells(const struct err *e, const char *part){
  return strncmp(e->text, scratch_path, strlen(scratch_path))==0 && strstr(e->text, part);
}

/* ---- The tokenizer ---- */

/* Encodes and decodes. The text must come back, and each id's bytes must lie where starts says.
** Returns the ids, from the arena, or NULL. */
static int *round_trip(const struct tokenizer *t, const char *text, size_t n, struct arena *a,
                       int *n_ids, struct property *lossless){
  struct err e = { 0 };
  struct buf b = { 0 };
  size_t *starts;
  int *ids;
  int good = 1;
  if( tokenizer_encode(t, text, n, a, &ids, &starts, n_ids, &e)!=SQLITE_OK ){
    holds(lossless, 0, "%zu bytes: %s", n, e.text);
    return NULL;
  }
  for(int i=0; i<*n_ids; i++){
    good &= starts[i]==b.n;
    tokenizer_decode(t, ids[i], &b);
  }
  good = good && b.n==n && (n==0 || memcmp(b.data, text, n)==0);
  holds(lossless, good, "%zu bytes: \"%.100s\" became \"%.100s\"", n, text, buf_text(&b));
  ids[*n_ids] = TOKEN_END;      /* the room that is promised */
  buf_release(&b);
  return ids;
}

/* Encodes and decodes, for what `lossless` says alone. */
static void try_round_trip(const struct tokenizer *t, const char *text, size_t n,
                           struct property *lossless){
  struct arena a = { 0 };
  int n_ids;
  round_trip(t, text, n, &a, &n_ids, lossless);
  arena_release(&a);
}

/* Bytes in hexadecimal, up to a tab; returns how many. */
static int from_hex(char *out, const char *hex){
  int n = 0;
  unsigned byte;
  while( sscanf(hex + 2*n, "%2x", &byte)==1 && hex[2*n]!='\t' ) out[n++] = (char)byte;
  return n;
}

/* model: the rows of the table begin with it. */
static void test_golden(const struct tokenizer *t, const char *model){
  static char line[10000], text[5000];
  struct property same = { 0 }, lossless = { 0 };
  FILE *f = fopen("tests/data/tokenizer.tsv", "r");
  char name[100];
  while( f && fgets(line, sizeof(line), f) ){
    struct arena a = { 0 };
    char *hex = strchr(line, '\t') + 1;
    const char *expected = strchr(hex, '\t') + 1;
    int n, n_ids;
    int *ids;
    if( strncmp(line, model, strlen(model))!=0 ) continue;
    text[0] = ' ';
    n = 1 + from_hex(text + 1, hex);
    ids = round_trip(t, text, (size_t)n, &a, &n_ids, &lossless);
    holds(&same, ids && same_ids(ids, n_ids, expected), "%.100s", hex);
    arena_release(&a);
  }
  if( f ) fclose(f);
  snprintf(name, sizeof(name), "codec: %s tokenizer: ids are model/tokenizer.py's", model);
  property_ok(&same, name);
  snprintf(name, sizeof(name), "codec: %s tokenizer: lossless on the same texts", model);
  property_ok(&lossless, name);
}

/* Scraps of text up to at least n bytes; returns how many. */
static size_t any_scraps(char *text, size_t n, struct random *r){
  static const char *const scraps[] = {
    " ", "the", " the", "\xE2\x96\x81", "\xE2\x96", "\x81", "a", "\0", "\xC3\xA9", "\n", "ing",
    ".", "\xED\xA0\x80",
  };
  size_t at = 0;
  while( at<n ){
    const char *scrap = scraps[random_u64(r)%N_OF(scraps)];
    size_t length = *scrap ? strlen(scrap) : 1;         /* the scrap "\0" is one byte */
    memcpy(text + at, scrap, length);
    at += length;
  }
  return at;
}

static void test_lossless(const struct tokenizer *t, const char *name){
  static const char words[] = "the tone and this ";
  struct property lossless = { 0 };
  struct random r = random_of(4);
  size_t n = 1 << 20;
  char *text = malloc(n + 8);
  for(int round=0; round<1000; round++){
    size_t size = random_u64(&r)%200;
    for(size_t i=0; i<size; i++) text[i] = (char)random_u64(&r);
    try_round_trip(t, text, size, &lossless);
    size = any_scraps(text, size, &r);
    try_round_trip(t, text, size, &lossless);
  }
  for(size_t i=0; i<n; i++) text[i] = (char)random_u64(&r);
  try_round_trip(t, text, n, &lossless);
  for(size_t i=0; i<n; i++) text[i] = words[i%18];
  try_round_trip(t, text, n, &lossless);
  free(text);
  property_ok(&lossless, name);
}

static void test_decode_ids(const struct tokenizer *t, int n_pieces){
  static const int silent[] = {
    -1, TOKEN_PAD, TOKEN_START, TOKEN_END, TOKEN_UNKNOWN, 65536, 2147483647, -2147483647 - 1,
  };
  struct buf b = { 0 };
  for(size_t i=0; i<N_OF(silent); i++) tokenizer_decode(t, silent[i], &b);
  tokenizer_decode(t, n_pieces, &b);
  ok(b.n==0, "codec: control tokens and ids that do not exist decode to nothing", "%zu bytes",
     b.n);
  buf_release(&b);
}

/* A tokenizer of the bytes, "x" and one piece more. */
struct small {
  const char *pieces[TOKEN_PIECE + 2];
  double scores[TOKEN_PIECE + 2];
};

static void small_init(struct small *s){
  *s = (struct small){ 0 };
  for(int i=0; i<TOKEN_PIECE; i++) s->pieces[i] = "";
  s->pieces[TOKEN_PIECE] = "x";
}

static int small_open(struct tokenizer **t, struct small *s, const char *piece, double score,
                      struct err *e){
  s->pieces[TOKEN_PIECE + 1] = piece;
  s->scores[TOKEN_PIECE + 1] = score;
  return tokenizer_open(t, s->pieces, s->scores, TOKEN_PIECE + 2, e);
}

/* "x" then y in bytes, and "xy", have the same sum, -1. The definition looks at the bytes first,
** and keeps them. */
static void test_tie(void){
  struct small s;
  struct arena a = { 0 };
  struct err e = { 0 };
  struct tokenizer *t;
  int *ids;
  int n = 0;
  small_init(&s);
  s.scores[TOKEN_PIECE] = 10;
  if( small_open(&t, &s, "xy", -1, &e)==SQLITE_OK ){
    tokenizer_encode(t, "xy", 2, &a, &ids, NULL, &n, &e);
  }
  ok(n==2 && ids[0]==TOKEN_PIECE && ids[1]==TOKEN_BYTE + 'y',
     "codec: bytes win a tie against a piece", "%d ids %s", n, e.text);
  arena_release(&a);
  tokenizer_close(t);
}

static void test_bad_pieces(void){
  static const struct { const char *piece; double score; const char *text; } bad[] = {
    { "", -1, "0 bytes" },
    { "a b", -1, "space" },
    { "\xFF", -1, "UTF-8" },
    { "\xE2\x96", -1, "UTF-8" },
    { "x", -1, "equal" },
    { "y", NAN, "finite" },
    { "y", -INFINITY, "finite" },
  };
  struct property refused = { 0 };
  struct small s;
  char longest[258];
  struct tokenizer *t;
  struct err e;
  small_init(&s);
  for(size_t i=0; i<N_OF(bad); i++){
    e = (struct err){ 0 };
    small_open(&t, &s, bad[i].piece, bad[i].score, &e);
    holds(&refused, e.rc==SQLITE_CORRUPT && t==NULL && strstr(e.text, bad[i].text), "%s", e.text);
  }
  memset(longest, 'z', 257);
  longest[257] = 0;
  e = (struct err){ 0 };
  small_open(&t, &s, longest, -1, &e);
  holds(&refused, e.rc==SQLITE_CORRUPT && strstr(e.text, "257 bytes"), "%s", e.text);
  e = (struct err){ 0 };
  tokenizer_open(&t, s.pieces, s.scores, TOKEN_PIECE - 1, &e);
  holds(&refused, e.rc==SQLITE_CORRUPT && strstr(e.text, "259 pieces"), "%s", e.text);
  property_ok(&refused, "codec: pieces that cannot be are refused");
}

static void test_bytes_alone(void){
  struct small s;
  struct tokenizer *t;
  struct err e = { 0 };
  small_init(&s);
  tokenizer_open(&t, s.pieces, s.scores, TOKEN_PIECE, &e);
  ok(e.rc==SQLITE_OK, "codec: a tokenizer of bytes alone", "%s", e.text);
  if( t ){
    test_lossless(t, "codec: a tokenizer of bytes alone: every string of bytes comes back, 1 MB "
                     "too");
  }
  tokenizer_close(t);
}

static void test_tokenizers(void){
  struct err e = { 0 };
  struct config tiny, text;
  config_open(&tiny, TINY ".json", &e);
  if( !ok(e.rc==SQLITE_OK, "codec: the tiny model's JSON", "%s", e.text) ) return;
  test_golden(tiny.tokenizer, "tiny");
  test_lossless(tiny.tokenizer, "codec: tiny tokenizer: every string of bytes comes back, 1 MB "
                                "too");
  test_decode_ids(tiny.tokenizer, tiny.shape.pieces);
  config_close(&tiny);
  config_open(&text, TEXT ".json", &e);
  if( !ok(e.rc==SQLITE_OK, "codec: the shipped model's JSON", "%s", e.text) ) return;
  test_golden(text.tokenizer, "text");
  test_lossless(text.tokenizer, "codec: text tokenizer: every string of bytes comes back, 1 MB "
                                "too");
  config_close(&text);
}

/* ---- Weights ---- */

/* A safetensors file in the scratch file: the header's text, then n bytes of data. */
static void write_tensors(const char *header, const void *data, size_t n){
  struct buf b = { 0 };
  uint64_t size = strlen(header);
  for(int i=0; i<8; i++) buf_char(&b, (char)(size >> 8*i));
  buf_str(&b, header);
  buf_append(&b, data, n);
  write_scratch(b.data, b.n);
  buf_release(&b);
}

static void test_find(const struct safetensors *s){
  static const char *const absent[] = { "", "zzz", "__metadata__" };
  struct property found = { 0 };
  for(int i=0; i<s->n_tensors; i++){
    const struct tensor *t = &s->tensors[i];
    holds(&found, safetensors_find(s, t->name)==t, "%s", t->name);
  }
  for(size_t i=0; i<N_OF(absent); i++){
    holds(&found, safetensors_find(s, absent[i])==NULL, "what is not there");
  }
  property_ok(&found, "codec: each tensor is found by its name, and no other");
}

static void test_tiny_weights(void){
  struct err e = { 0 };
  struct safetensors s;
  struct config c;
  const struct tensor *t;
  int good;
  safetensors_open(&s, TINY ".safetensors", &e);
  if( !ok(e.rc==SQLITE_OK, "codec: the tiny model's weights", "%s", e.text) ) return;
  config_open(&c, TINY ".json", &e);
  ok(c.weights_hash==s.hash, "codec: hash64 of the weights is what model/export.py wrote",
     "%016llx", (unsigned long long)s.hash);
  test_find(&s);
  t = safetensors_find(&s, "embedding");
  good = t
      && t->element==ELEMENT_F16
      && t->rank==2
      && t->shape[0]==c.shape.pieces
      && t->shape[1]==c.shape.d;
  ok(good, "codec: the embedding's shape", "it differs");
  config_close(&c);
  safetensors_close(&s);
  safetensors_close(&s);
}

#define ENTRY(name, dtype, shape, offsets) \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"

static void test_elements(void){
  static const char header[] =
    "{" ENTRY("f", "F32", "2", "0,8") "," ENTRY("h", "F16", "1,2", "8,12") ","
    ENTRY("b", "BF16", "", "12,14") "," ENTRY("i", "I8", "2,2", "14,18") ","
    ENTRY("i.scale", "F16", "2", "18,22") ",\"__metadata__\":{\"any\":\"thing\"}}   ";
  static const unsigned char data[] = {
    0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC0,         /* f */
    0, 0x3C, 0, 0xB8,                           /* h */
    0x40, 0x40,                                 /* b */
    1, 2, 0xFF, 0x80,                           /* i */
    0, 0x38, 0, 0x40,                           /* i.scale */
  };
  static const struct { const char *name; int n; float x[4]; } expected[] = {
    { "f", 2, { 1, -2.5f } },
    { "h", 2, { 1, -0.5f } },
    { "b", 1, { 3 } },
    { "i", 4, { 0.5f, 4, -0.5f, -256 } },
    { "i.scale", 2, { 0.5f, 2 } },
  };
  struct property right = { 0 };
  struct err e = { 0 };
  struct safetensors s;
  write_tensors(header, data, sizeof(data));
  safetensors_open(&s, scratch_path, &e);
  for(size_t i=0; i<N_OF(expected); i++){
    const struct tensor *t = safetensors_find(&s, expected[i].name);
    size_t bytes = sizeof(float)*(size_t)expected[i].n;
    int there = t && t->shape[0]*t->shape[1]==expected[i].n;
    float y[4];
    if( !holds(&right, there, "%s: %s", expected[i].name, e.text) ) continue;
    tensor_to_floats(y, t);
    holds(&right, memcmp(y, expected[i].x, bytes)==0, "%s: %g ...", expected[i].name, y[0]);
  }
  property_ok(&right, "codec: f32, f16, bf16 and i8 with scales become floats");
  safetensors_close(&s);
}

static void test_bad_weights(void){
#define A ENTRY("a", "F32", "2", "0,8")
  static const struct { const char *header; size_t n; const char *text; } bad[] = {
    { "", 0, "not valid JSON" },
    { "{" A, 8, "not valid JSON" },
    { "{" A "} x", 8, "not valid JSON" },
    { "[1]", 0, "not a JSON object" },
    { "{}", 0, "no tensors" },
    { "{\"__metadata__\":{}}", 0, "no tensors" },
    { "{\"a\":1}", 0, "tensor \"a\": not a JSON object" },
    { "{\"a\":{}}", 0, "no dtype" },
    { "{\"a\":{\"dtype\":\"F32\"}}", 0, "no shape" },
    { "{" ENTRY("a", "F64", "1", "0,8") "}", 8,
      "dtype F64, expected F32, F16, BF16, I8, U8 or I64" },
    { "{" ENTRY("a", "F32", "1,1,1", "0,4") "}", 4, "rank 3, expected 0 to 2" },
    { "{" ENTRY("a", "F32", "0", "0,0") "}", 0, "not a whole number above 0" },
    { "{" ENTRY("a", "F32", "-1", "0,4") "}", 4, "not a whole number above 0" },
    { "{" ENTRY("a", "F32", "1.5", "0,6") "}", 6, "not a whole number above 0" },
    { "{" ENTRY("a", "F32", "1e300", "0,4") "}", 4, "not a whole number above 0" },
    { "{" ENTRY("a", "F32", "4611686018427387904", "0,4") "}", 4, "not a whole number above 0" },
    { "{" ENTRY("a", "F32", "4503599627370496,4503599627370496", "0,4") "}", 4,
      "4 bytes for shape" },
    { "{" ENTRY("a", "F32", "2", "0") "}", 8, "not two whole numbers" },
    { "{" ENTRY("a", "F32", "2", "-8,0") "}", 8, "not two whole numbers" },
    { "{" ENTRY("a", "F32", "2", "0,\"8\"") "}", 8, "not two whole numbers" },
    { "{" ENTRY("a", "F32", "2", "8,0") "}", 8, "data_offsets [8, 0]" },
    { "{" A "}", 7, "data_offsets [0, 8] in a file with 7 bytes of data" },
    { "{" ENTRY("a", "F16", "2,3", "0,8") "}", 8,
      "tensor \"a\": 8 bytes for shape [2, 3] of F16, expected 12" },
    { "{" A "}", 9, "9 bytes of data, expected 8" },
    { "{" A "," ENTRY("b", "F32", "2", "4,12") "}", 12,
      "tensor \"b\" begins at byte 4 of the data, expected 8" },
    { "{" A "," ENTRY("b", "F32", "2", "9,17") "}", 17,
      "tensor \"b\" begins at byte 9 of the data, expected 8" },
    { "{" A "," ENTRY("b", "F32", "2", "0,8") "}", 8, "begins at byte 0 of the data, expected 8" },
    { "{" A "," ENTRY("a", "F32", "2", "8,16") "}", 16, "two tensors with the name \"a\"" },
    { "{" ENTRY("a", "I8", "4", "0,4") "}", 4, "tensor \"a\" is I8 and has no \"a.scale\"" },
    { "{" ENTRY("a", "I8", "2,2", "0,4") "," ENTRY("a.scale", "F32", "1", "4,8") "}", 8,
      "1 scales, expected one for each of 2 columns" },
    { "{" ENTRY("a", "I8", "2,2", "0,4") "," ENTRY("a.scale", "BF16", "2", "4,8") "}", 8,
      "dtype BF16, expected F32 or F16" },
  };
#undef A
  static const char zeros[32];
  struct property refused = { 0 };
  for(size_t i=0; i<N_OF(bad); i++){
    struct safetensors s;
    struct err e = { 0 };
    int rc, good;
    write_tensors(bad[i].header, zeros, bad[i].n);
    rc = safetensors_open(&s, scratch_path, &e);
    good = rc==SQLITE_CORRUPT
        && s.tensors==NULL
        && s.map.data==NULL
        && tells(&e, bad[i].text);
    holds(&refused, good, "%s: rc %d, \"%s\"", bad[i].header, rc, e.text);
    safetensors_close(&s);
  }
  property_ok(&refused, "codec: weights that cannot be are refused, each with its reason");
}
#undef ENTRY

/* ---- The model's JSON ---- */

/* The tiny model's JSON with the first `find` replaced, in the scratch file. */
static void write_changed(const char *json, const char *find, const char *replace){
  struct buf b = { 0 };
  const char *at = strstr(json, find);
  if( at==NULL ){
    fprintf(stderr, "no %s in %s.json\n", find, TINY);
    exit(2);
  }
  buf_append(&b, json, (size_t)(at - json));
  buf_str(&b, replace);
  buf_str(&b, at + strlen(find));
  write_scratch(b.data, b.n);
  buf_release(&b);
}

static void test_bad_config(void){
  static const struct { const char *find, *replace, *text; } bad[] = {
    { "{", "[", "not valid JSON" },
    { "\"kind\"", "\"sort\"", "no \"kind\"" },
    { "\"text\"", "7", "no \"kind\"" },
    { "\"text\"", "\"direction\"", "kind \"direction\", expected text, picture or code" },
    { "\"d\":", "\"D\":", "config has no \"d\"" },
    { "\"config\"", "\"Config\"", "config has no \"d\"" },
    { "\"d\":64", "\"d\":65", "config \"d\" is 65, expected a multiple of 64" },
    { "\"d\":64", "\"d\":\"64\"",
      "config \"d\" is not a number, expected a whole number from 64 to 4096" },
    { "\"d\":64", "\"d\":64.5", "config \"d\" is 64.5, expected" },
    { "\"d\":64", "\"d\":1e999", "config \"d\" is inf, expected" },
    { "\"d\":64", "\"d\":8192", "config \"d\" is 8192, expected" },
    { "\"encoder_layers\":2", "\"encoder_layers\":0",
      "config \"encoder_layers\" is 0, expected a whole number from 1 to 64" },
    { "\"decoder_layers\":2", "\"decoder_layers\":65", "\"decoder_layers\" is 65" },
    { "\"s\":16", "\"s\":-1", "\"s\" is -1" },
    { "\"s\":16", "\"s\":4080", "4112 together, expected at most 4096" },
    { "\"r\":32", "\"r\":33", "config \"r\" is 33, expected a multiple of 4 registers" },
    { "\"registers\":4", "\"registers\":257", "\"registers\" is 257" },
    { "\"memory\":4", "\"memory\":0", "\"memory\" is 0" },
    { "\"longest\":24", "\"longest\":1",
      "\"longest\" is 1, expected a whole number from 2 to 1024" },
    { "\"longest\":24", "\"longest\":24,\"words\":64", "config has \"words\", expected none" },
    { "\"pieces\":320", "\"pieces\":259", "\"pieces\" is 259" },
    { "\"pieces\":320", "\"pieces\":319", "320 pieces, expected 319" },
    { "\"pieces\":320", "\"pieces\":321", "320 pieces, expected 321" },
    { "\"scores\":[", "\"scores\":[0,", "321 scores, expected 320" },
    { "\"scores\":[0.0", "\"scores\":[null", "score 0 is not a number" },
    { "\"scores\":[0.0", "\"scores\":[1e999", "score 0 is not a finite number" },
    { "\"<pad>\"", "0", "piece 0 is not a string" },
    { "\"tokenizer\"", "\"tokeniser\"", "0 pieces, expected 320" },
    { "\"weights_hash\":\"", "\"weights_hash\":\"0", "expected 16 hexadecimal digits" },
    { "\"weights_hash\":\"", "\"weights_hash\":7,\"x\":\"",
      "weights_hash \"\", expected 16 hexadecimal digits" },
  };
  struct property refused = { 0 };
  size_t n;
  char *json = read_file(TINY ".json", &n);
  for(size_t i=0; i<N_OF(bad); i++){
    struct config c;
    struct err e = { 0 };
    int rc, good;
    write_changed(json, bad[i].find, bad[i].replace);
    rc = config_open(&c, scratch_path, &e);
    good = rc==SQLITE_CORRUPT && c.tokenizer==NULL && tells(&e, bad[i].text);
    holds(&refused, good, "%s: rc %d, \"%s\"", bad[i].replace, rc, e.text);
    config_close(&c);
  }
  property_ok(&refused, "codec: a model's JSON that cannot be is refused, each with its reason");
  free(json);
}

static void test_kinds(void){
  static const struct { int kind; const char *name; } kinds[] = {
    { KIND_DIRECTION, "direction" }, { KIND_TEXT, "text" }, { KIND_PICTURE, "picture" },
    { KIND_CODE, "code" }, { 4, "unknown" }, { -1, "unknown" },
  };
  int good = 1;
  for(size_t i=0; i<N_OF(kinds); i++) good &= strcmp(kind_name(kinds[i].kind), kinds[i].name)==0;
  ok(good, "codec: kinds have names", "not these");
}

/* ---- Latents ---- */

static void try_latent(struct property *same, int kind, int n_segments, struct random *r){
  struct arena a = { 0 };
  struct err e = { 0 };
  struct buf b = { 0 };
  struct latent z = {
    .kind = kind, .n_segments = n_segments, .width = 33, .fingerprint = 0xFEDCBA98,
  };
  struct latent back;
  size_t n = (size_t)n_segments*33;
  size_t bytes = kind==KIND_DIRECTION ? 4 : 2;
  int good;
  z.z = arena_floats(&a, n);
  for(size_t i=0; i<n; i++) z.z[i] = random_normal(r);
  latent_write(&b, &z, &e);
  good = latent_is(b.data, b.n) && latent_read(&back, b.data, b.n, &a, "f", &e)==SQLITE_OK;
  holds(same, good, "kind %d: %s", kind, e.text);
  good = e.rc==SQLITE_OK
      && back.kind==kind
      && back.n_segments==n_segments
      && back.width==33
      && back.fingerprint==z.fingerprint;
  holds(same, good, "kind %d: header", kind);
  for(size_t i=0; i<n && e.rc==SQLITE_OK; i++){
    float expected = kind==KIND_DIRECTION ? z.z[i] : half_to_float(float_to_half(z.z[i]));
    holds(same, back.z[i]==expected, "kind %d, number %zu: %g for %g", kind, i, back.z[i],
          expected);
  }
  holds(same, b.n==16 + n*bytes, "kind %d: %zu bytes", kind, b.n);
  buf_release(&b);
  arena_release(&a);
}

static void test_latent_round_trip(void){
  struct property same = { 0 };
  struct random r = random_of(5);
  for(int kind=KIND_DIRECTION; kind<=KIND_CODE; kind++){
    for(int n_segments=1; n_segments<4; n_segments++) try_latent(&same, kind, n_segments, &r);
  }
  property_ok(&same, "codec: a latent comes back from its blob, points to 16 bits, directions "
                     "exactly");
}

static void test_latent_i8(void){
  static const unsigned char blob[] =
    "LTNT\1\1\2\0\2\0\3\0\4\3\2\1" "\0\0\0\x3F\1\2\xFF" "\0\0\0\x40\x80\x7F\0";
  static const float expected[] = { 0.5f, 1, -0.5f, -256, 254, 0 };
  struct arena a = { 0 };
  struct err e = { 0 };
  struct latent z;
  int good;
  latent_read(&z, blob, sizeof(blob) - 1, &a, "f", &e);
  good = e.rc==SQLITE_OK
      && z.n_segments==2
      && z.width==3
      && z.fingerprint==0x01020304
      && memcmp(z.z, expected, sizeof(expected))==0;
  ok(good, "codec: a latent of 8-bit numbers, one scale a segment", "%s", e.text);
  arena_release(&a);
}

static void test_bad_latents(void){
#define HEAD "LTNT\1\1\1\0\1\0\2\0\0\0\0\0"
  static const struct { const char *blob; size_t n; const char *text; } bad[] = {
    { "", 0, "f: blob of 0 bytes, expected a latent" },
    { "LTNT", 4, "f: blob of 4 bytes, expected a latent" },
    { "XTNT\1\1\1\0\1\0\2\0\0\0\0\0....", 20, "starts with 58544e54, expected a latent" },
    { "LTNT\7\1\1\0\1\0\2\0\0\0\0\0....", 20, "f: latent of format version 7, this build reads 1" },
    { "LTNT\0\1\1\0\1\0\2\0\0\0\0\0....", 20, "format version 0" },
    { "LTNT\1\4\1\0\1\0\2\0\0\0\0\0....", 20, "kind 4, expected 0 to 3" },
    { "LTNT\1\1\3\0\1\0\2\0\0\0\0\0....", 20, "element type 3, expected 0 to 2" },
    { "LTNT\1\1\1\1\1\0\2\0\0\0\0\0....", 20, "1 in its reserved byte" },
    { "LTNT\1\1\1\0\0\0\2\0\0\0\0\0....", 20, "0 segments" },
    { "LTNT\1\1\1\0\1\0\0\0\0\0\0\0....", 20, "width 0" },
    { HEAD, 16, "f: latent of 16 bytes, expected 20 for 1 segment of width 2 in f16" },
    { HEAD "...", 19, "19 bytes, expected 20" },
    { HEAD ".....", 21, "21 bytes, expected 20" },
    { "LTNT\1\1\2\0\2\0\2\0\0\0\0\0....", 20,
      "f: latent of 20 bytes, expected 28 for 2 segments of width 2 in i8" },
    { "LTNT\1\1\0\0\xFF\xFF\xFF\xFF\0\0\0\0....", 20, "expected 17179344916 for 65535 segments" },
    { HEAD "\0\0\0\x7C", 20, "number 2 of segment 1 is infinite" },
    { HEAD "\1\xFC\0\0", 20, "number 1 of segment 1 is NaN" },
    { "LTNT\1\1\0\0\1\0\1\0\0\0\0\0\0\0\xC0\x7F", 20, "is NaN" },
    { "LTNT\1\1\2\0\1\0\1\0\0\0\0\0\0\0\x80\x7F\1", 21, "is infinite" },
    { "LTNT\1\1\2\0\1\0\1\0\0\0\0\0\xFF\xFF\x7F\x7F\2", 21, "is infinite" },
  };
#undef HEAD
  struct property refused = { 0 };
  for(size_t i=0; i<N_OF(bad); i++){
    struct arena a = { 0 };
    struct err e = { 0 };
    struct latent z;
    /* Exactly as long, so that the sanitizer sees a read beyond it. */
    unsigned char *copy = malloc(bad[i].n ? bad[i].n : 1);
    int rc, good;
    memcpy(copy, bad[i].blob, bad[i].n);
    rc = latent_read(&z, copy, bad[i].n, &a, "f", &e);
    good = rc==SQLITE_ERROR && z.z==NULL && z.n_segments==0 && strstr(e.text, bad[i].text);
    holds(&refused, good, "%zu: rc %d, \"%s\"", i, rc, e.text);
    arena_release(&a);
    free(copy);
  }
  property_ok(&refused, "codec: blobs that are no latents are refused, each with its reason");
}

/* ---- Numbers that are not finite ---- */

/* Every place of tensors of several lengths, so that the last word is whole or not. */
static void test_finite(void){
  static const struct {
    enum element element;
    int bytes;
    uint32_t bad[4], good[3];
  } CASES[] = {
    { ELEMENT_F32, 4, { 0x7F800000, 0xFF800000, 0x7FC00000, 0xFF800001 },
      { 0x7F7FFFFF, 0xFF7FFFFF, 0x00000001 } },
    { ELEMENT_F16, 2, { 0x7C00, 0xFC00, 0x7E00, 0xFC01 }, { 0x7BFF, 0xFBFF, 0x0001 } },
    { ELEMENT_BF16, 2, { 0x7F80, 0xFF80, 0x7FC0, 0xFF81 }, { 0x7F7F, 0xFF7F, 0x0001 } },
  };
  enum { NUMBERS_MOST = 11 };
  struct property found = { 0 };
  for(size_t i=0; i<N_OF(CASES); i++){
    for(int n=1; n<=NUMBERS_MOST; n++){
      unsigned char *data = malloc((size_t)(n*CASES[i].bytes));
      struct tensor t = { .name = "x", .element = CASES[i].element, .data = data };
      t.bytes = (size_t)(n*CASES[i].bytes);
      for(int k=0; k<n; k++) memcpy(data + k*CASES[i].bytes, &CASES[i].good[k%3], CASES[i].bytes);
      holds(&found, tensor_is_finite(&t), "case %zu: %d finite numbers", i, n);
      for(int at=0; at<4*n; at++){
        unsigned char *place = data + at/4*CASES[i].bytes;
        memcpy(place, &CASES[i].bad[at%4], CASES[i].bytes);
        holds(&found, !tensor_is_finite(&t), "case %zu: number %d of %d", i, at/4, n);
        memcpy(place, &CASES[i].good[at/4%3], CASES[i].bytes);
      }
      free(data);
    }
  }
  property_ok(&found, "codec: infinite numbers and NaN are found in any place of a tensor");
}

/* ---- Damage: every byte changed, every length ---- */

/* Opens the scratch file, and uses it when it opens. 1 unless an error has no text. */
static int try_weights(void){
  struct safetensors s;
  struct err e = { 0 };
  int rc = safetensors_open(&s, scratch_path, &e);
  int good = rc==SQLITE_OK || e.text[0];
  for(int i=0; i<s.n_tensors; i++){
    const struct tensor *t = &s.tensors[i];
    float *y = malloc((size_t)(t->shape[0]*t->shape[1])*sizeof(float));
    if( i<3 ) tensor_to_floats(y, t);
    free(y);
  }
  safetensors_close(&s);
  return good;
}

static int try_config(void){
  static const char text[] = " the \xE2\x96\x81 tone\xFF.";
  struct property lossless = { 0 };
  struct config c;
  struct err e = { 0 };
  int rc = config_open(&c, scratch_path, &e);
  if( rc==SQLITE_OK ) try_round_trip(c.tokenizer, text, sizeof(text) - 1, &lossless);
  config_close(&c);
  return lossless.n_bad==0 && (rc==SQLITE_OK || e.text[0]);
}

/* Changes each of the first n bytes of the scratch file in three ways. */
static void change_bytes(struct property *survived, int (*try)(void), int fd, const char *data,
                         size_t n){
  static const unsigned char change[] = { 0x01, 0x80, 0x16 };
  for(size_t at=0; at<n; at++){
    for(size_t i=0; i<N_OF(change); i++){
      char c = (char)(data[at] ^ change[i]);
      if( pwrite(fd, &c, 1, (off_t)at)!=1 ) exit(2);
      holds(survived, try(), "byte %zu changed by %02x", at, change[i]);
    }
    if( pwrite(fd, data + at, 1, (off_t)at)!=1 ) exit(2);
  }
}

/* Cuts the scratch file to some lengths above n, and to each length below. */
static void cut_lengths(struct property *survived, int (*try)(void), int fd, size_t total,
                        size_t n){
  enum { STEP = 10007 };
  size_t at = total;
  while( at>0 ){
    if( ftruncate(fd, (off_t)at)!=0 ) exit(2);
    holds(survived, try(), "cut to %zu bytes", at);
    if( at>n + STEP ) at -= STEP;
    else if( at>n ) at = n;
    else at--;
  }
}

/* Does both kinds of damage to a copy of the file; try() must be 1 each time. */
static void damage_file(int (*try)(void), const char *path, size_t n, const char *name){
  struct property survived = { 0 };
  size_t total;
  char *data = read_file(path, &total);
  int fd;
  write_scratch(data, total);
  fd = open(scratch_path, O_RDWR);
  change_bytes(&survived, try, fd, data, n);
  cut_lengths(&survived, try, fd, total, n);
  close(fd);
  free(data);
  property_ok(&survived, name);
}

static void test_damaged_files(void){
  size_t n;
  char *data = read_file(TINY ".json", &n);
  free(data);
  damage_file(try_config, TINY ".json", n,
              "codec: a model's JSON with any byte changed or cut at any length");
  data = read_file(TINY ".safetensors", &n);
  n = 8 + (unsigned char)data[0] + 256*(size_t)(unsigned char)data[1];
  free(data);
  damage_file(try_weights, TINY ".safetensors", n,
              "codec: weights with any byte of their header changed or cut at any length");
}

static void test_damaged_latents(void){
  struct err e = { 0 };
  struct property survived = { 0 };
  struct buf b = { 0 };
  float numbers[20] = { 1, 2, 3 };
  struct latent z = {
    .kind = KIND_TEXT, .n_segments = 2, .width = 10, .fingerprint = 1, .z = numbers,
  };
  latent_write(&b, &z, &e);
  for(size_t at=0; at<b.n; at++){
    for(unsigned change=0; change<256; change++){
      struct arena a = { 0 };
      struct err e = { 0 };
      struct latent back;
      int rc;
      b.data[at] = (char)(b.data[at] ^ change);
      rc = latent_read(&back, b.data, b.n, &a, "f", &e);
      holds(&survived, rc==SQLITE_OK ? back.z!=NULL : e.text[0]!=0, "byte %zu changed by %02x", at,
            change);
      b.data[at] = (char)(b.data[at] ^ change);
      arena_release(&a);
    }
  }
  for(size_t at=0; at<b.n; at++){
    struct arena a = { 0 };
    struct err e = { 0 };
    struct latent back;
    char *copy = malloc(at + 1);
    memcpy(copy, b.data, at);
    holds(&survived, latent_read(&back, copy, at, &a, "f", &e)==SQLITE_ERROR, "cut to %zu bytes",
          at);
    free(copy);
  }
  buf_release(&b);
  property_ok(&survived, "codec: a latent with any byte changed or cut at any length");
}

/* ---- Out of memory, at every single allocation ---- */

static int body_weights(struct err *e){
  struct safetensors s;
  int rc = safetensors_open(&s, TINY ".safetensors", e);
  safetensors_close(&s);
  return rc;
}

static int body_config(struct err *e){
  struct config c;
  int rc = config_open(&c, TINY ".json", e);
  config_close(&c);
  return rc;
}

static struct config open_config;       /* opened before the faults */

static int body_encode(struct err *e){
  static char text[300000];
  const struct tokenizer *t = open_config.tokenizer;
  struct arena a = { 0 };
  size_t *starts;
  int *ids;
  int n, rc;
  memset(text, 'e', sizeof(text));
  rc = tokenizer_encode(t, text, sizeof(text), &a, &ids, &starts, &n, e);
  if( rc==SQLITE_OK ) rc = tokenizer_encode(t, " the", 4, &a, &ids, NULL, &n, e);
  arena_release(&a);
  return rc;
}

static int body_latent(struct err *e){
  struct arena a = { 0 };
  struct buf b = { 0 };
  struct latent z = { .kind = KIND_TEXT, .n_segments = 1000, .width = 384, .fingerprint = 1 };
  int rc;
  z.z = arena_zeroed(&a, (size_t)z.n_segments*(size_t)z.width*sizeof(float));
  if( z.z ) latent_write(&b, &z, e);
  if( a.oom || b.rc!=SQLITE_OK ) rc = fail_nomem(e);
  else rc = latent_read(&z, b.data, b.n, &a, "f", e);
  if( rc==SQLITE_OK ){
    buf_json_string(&b, b.data, 2000);
    buf_text(&b);
    if( b.rc!=SQLITE_OK ) rc = fail(e, b.rc, "buffer");
  }
  buf_release(&b);
  arena_release(&a);
  return rc;
}

/* Fails each allocation of the body in turn, and all after it. */
static void sweep(int (*body)(struct err *), const char *name){
  struct property survived = { 0 };
  sqlite3_int64 before = sqlite3_memory_used();
  sqlite3_int64 kept;
  long n = 0;
  int failed;
  do{
    struct err e = { 0 };
    int rc;
    n++;
    fault_set(n, 1);
    rc = body(&e);
    failed = fault.failed;
    fault_set(0, 0);
    kept = sqlite3_memory_used() - before;
    holds(&survived, rc==(failed ? SQLITE_NOMEM : SQLITE_OK) && kept==0,
          "allocation %ld: rc %d, %s, %lld bytes kept", n, rc, e.text, (long long)kept);
  }while( failed && n<10000 );
  holds(&survived, n>2 && n<10000, "%ld allocations", n - 1);
  property_ok(&survived, name);
}

static void test_out_of_memory(void){
  struct err e = { 0 };
  if( config_open(&open_config, TINY ".json", &e)!=SQLITE_OK ) return;
  sweep(body_weights, "codec: out of memory while opening weights");
  sweep(body_config, "codec: out of memory while opening a model's JSON and tokenizer");
  sweep(body_encode, "codec: out of memory while encoding");
  sweep(body_latent, "codec: out of memory while writing and reading latents");
  config_close(&open_config);
}

int main(void){
  if( fault_install()!=SQLITE_OK ) return 2;
  if( mkdtemp(folder)==NULL ) return 2;
  snprintf(scratch_path, sizeof(scratch_path), "%s/file", folder);
  test_finite();
  test_tokenizers();
  test_tie();
  test_bad_pieces();
  test_bytes_alone();
  test_tiny_weights();
  test_elements();
  test_bad_weights();
  test_bad_config();
  test_kinds();
  test_latent_round_trip();
  test_latent_i8();
  test_bad_latents();
  test_damaged_latents();
  test_damaged_files();
  test_out_of_memory();
  unlink(scratch_path);
  rmdir(folder);
  ok(sqlite3_memory_used()==0, "codec: nothing is left of SQLite's memory", "%lld bytes",
     (long long)sqlite3_memory_used());
  return n_not_ok>0;
}
