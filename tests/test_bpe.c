/*
** test_bpe.c -- the properties of codec_bpe.c. Run from the root of the repository.
**
**     test_bpe [STEP]                states them; every STEP-th byte of a file is damaged (7)
**     test_bpe JSON FILE             prints the piece numbers of each line of a file, which is a
**                                    text in hexadecimal
**     test_bpe JSON FILE N           reads the file's lines N times and prints how fast
**
** tests/data/bpe.tsv has piece numbers from PyPI's tokenizers, for the tokenizer in
** tests/data/bpe.json (tests/data/make_bpe_cases.py).
*/
#include "codec.h"
#include "fault.h"
#include "ok.h"
#include "piece_rows.h"
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_OF(list) (sizeof(list)/sizeof((list)[0]))
#define JSON "tests/data/bpe.json"

/* The bytes without a piece in bpe.json, as in make_bpe_cases.py. */
static int is_missing(unsigned char c){
  return c==0x04 || c==0x16 || c==0xC0 || c==0xFF;
}

static struct bpe *open_file(const char *path){
  struct buf json = read_whole(path);
  struct err e = { 0 };
  struct bpe *b;
  if( bpe_open(&b, json.data, json.n, path, &e)!=SQLITE_OK ){
    fprintf(stderr, "%s\n", e.text);
    exit(2);
  }
  buf_release(&json);
  return b;
}

/* ---- Piece numbers ---- */

static int hex_digit(char c){
  return is_ascii_digit(c) ? c - '0' : c - 'a' + 10;
}

/* Appends the bytes that hexadecimal stands for, and gives where that ends. */
static const char *from_hex(struct buf *out, const char *hex){
  for(; *hex!='\t' && *hex!='\n' && *hex; hex+=2){
    buf_char(out, (char)(hex_digit(hex[0])*16 + hex_digit(hex[1])));
  }
  return hex;
}

/* What decoding gives: the text, without the bytes that have no piece. */
static int comes_back(const struct bpe *b, const int *ids, int n, const char *text, size_t n_text){
  struct buf got = { 0 }, expected = { 0 };
  int same;
  for(size_t i=0; i<n_text; i++){
    if( !is_missing((unsigned char)text[i]) ) buf_char(&expected, text[i]);
  }
  for(int i=0; i<n; i++) bpe_decode(b, ids[i], &got);
  same = got.n==expected.n && strcmp(buf_text(&got), buf_text(&expected))==0
      && (got.n==0 || memcmp(got.data, expected.data, got.n)==0);
  buf_release(&got);
  buf_release(&expected);
  return same;
}

static void test_golden(void){
  struct buf rows = read_whole("tests/data/bpe.tsv");
  struct bpe *b = open_file(JSON);
  struct property same = { 0 }, back = { 0 };
  for(const char *row=rows.data; *row; row=strchr(row, '\n') + 1){
    struct arena a = { 0 };
    struct err e = { 0 };
    struct buf text = { 0 };
    const char *expected = from_hex(&text, row) + 1;
    int *ids, n;
    bpe_encode(b, buf_text(&text), text.n, &a, &ids, &n, &e);
    holds(&same, e.rc==SQLITE_OK && same_ids(ids, n, expected), "%.80s: %d numbers, expected %.80s",
          row, n, expected);
    holds(&back, comes_back(b, ids, n, text.data, text.n), "%.200s", row);
    buf_release(&text);
    arena_release(&a);
  }
  property_ok(&same, "bpe: the numbers of PyPI's tokenizers");
  property_ok(&back, "bpe: texts come back from their numbers");
  bpe_close(b);
  buf_release(&rows);
}

/* Scraps of text up to at least n bytes. */
static void any_scraps(struct buf *text, size_t n, struct random *r){
  static const char *const scraps[] = {
    " ", "  ", "the", "\n", "\r\n", "'s", "'", "7", "\xE2\x96\x81", "\xE2\x96", "\x81", "\xC3\xA9",
    "\xED\xA0\x80", "\xC0\x80", "\xF4\x90\x80\x80", "\xF0\x9F\x98", "\xF0\x9F\x98\x80", "\xC2\x85",
    "<|im_end|>", "\xD9\xA3", "\xE3\x80\x80",
  };
  while( text->n<n ){
    uint64_t x = random_u64(r);
    if( x%3>0 ) buf_str(text, scraps[(x >> 8)%N_OF(scraps)]);
    else buf_char(text, (char)(x >> 8));
  }
}

static void test_any_bytes(void){
  struct bpe *b = open_file(JSON);
  struct random r = random_of(19);
  struct property back = { 0 }, plain = { 0 };
  struct buf whole = { 0 };
  for(int i=0; i<5000; i++){
    struct buf text = { 0 };
    struct arena a = { 0 };
    struct err e = { 0 };
    int *ids, n;
    any_scraps(&text, random_u64(&r)%60, &r);
    bpe_encode(b, text.data, text.n, &a, &ids, &n, &e);
    holds(&back, e.rc==SQLITE_OK && comes_back(b, ids, n, text.data, text.n), "text %d, %zu bytes",
          i, text.n);
    for(int k=0; k<n; k++) holds(&plain, ids[k]>=3 && ids[k]<bpe_pieces(b), "%d", ids[k]);
    buf_release(&text);
    arena_release(&a);
  }
  for(int id=-2; id<3; id++) bpe_decode(b, id, &whole);
  bpe_decode(b, bpe_pieces(b), &whole);
  property_ok(&back, "bpe: any bytes come back, UTF-8 or not");
  property_ok(&plain, "bpe: no text gives a special token");
  ok(whole.n==0, "bpe: special tokens and numbers that are none have no bytes", "%zu", whole.n);
  buf_release(&whole);
  bpe_close(b);
}

/* ---- Texts that are long ---- */

static int count_pieces(const struct bpe *b, const char *unit, int count, struct err *e){
  struct buf text = { 0 };
  struct arena a = { 0 };
  int *ids, n;
  for(int i=0; i<count; i++) buf_str(&text, unit);
  if( bpe_encode(b, buf_text(&text), text.n, &a, &ids, &n, e)==SQLITE_OK
   && !comes_back(b, ids, n, text.data, text.n) ) n = -1;
  arena_release(&a);
  buf_release(&text);
  return n;
}

/* Stops when it is asked for the *arg-th time. */
static int stop_later(void *arg){
  int *left = arg;
  return --*left<=0 ? SQLITE_INTERRUPT : SQLITE_OK;
}

static void test_long(void){
  static const char *const units[] = { "a", "ab", "\xE6\x97\xA5", "!", " ", "7", "\n", "\xC3",
                                       "a ", " the" };
  struct bpe *b = open_file(JSON);
  struct property read = { 0 }, stops = { 0 };
  for(size_t i=0; i<N_OF(units); i++){
    struct err e = { 0 };
    int n = count_pieces(b, units[i], 1000000, &e);
    holds(&read, e.rc==SQLITE_OK && n>10000, "a million \"%s\": %d pieces, %s", units[i], n,
          e.text);
    for(int asked=1; asked<20; asked+=9){
      int left = asked;
      e = (struct err){ .stop = stop_later, .stop_arg = &left };
      count_pieces(b, units[i], 1000000, &e);
      holds(&stops, e.rc==SQLITE_INTERRUPT, "a million \"%s\", asked %d times: %d", units[i],
            asked - left, e.rc);
    }
  }
  property_ok(&read, "bpe: a million times the same is read");
  property_ok(&stops, "bpe: and can be stopped");
  bpe_close(b);
}

/* ---- Files that are no good ---- */

#define BYTES  "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define DIGITS "{\"type\":\"Digits\",\"individual_digits\":true}"
#define PRE(list)    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" list "]}"
#define MODEL(rest)  "{" PRE(DIGITS "," BYTES) ",\"model\":{\"type\":\"BPE\"," rest "}}"
#define ABC    "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4}"
#define FULL   ABC ",\"merges\":[[\"a\",\"b\"],\"ab c\"]"
#define ADDED(list)  "{" PRE(DIGITS "," BYTES) ",\"added_tokens\":[" list "]," \
                     "\"model\":{\"type\":\"BPE\"," FULL "}}"
#define END_TOKEN    "\"content\":\"<end>\",\"special\":true}"

static void test_good_files(void){
  static const struct { const char *json; int n_pieces; } good[] = {
    { MODEL(FULL), 5 },
    { MODEL(ABC ",\"merges\":[]"), 5 },
    { MODEL("\"dropout\":null,\"unk_token\":null,\"byte_fallback\":false,\"ignore_merges\":false,"
            "\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\"," FULL), 5 },
    { "{\"normalizer\":null," PRE(DIGITS ",{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
      "\"use_regex\":true}") ",\"model\":{\"type\":\"BPE\"," FULL "}}", 5 },
    { "{\"model\":{\"merges\":[\"a b\"]," ABC ",\"type\":\"BPE\"}," PRE(DIGITS "," BYTES) "} ",
      5 },
    { MODEL("\"vocab\":{\"\\u0061\":0,\"\\u0120\":1,\"\xC4\xA0\\\\\":2,\"\\\\\":3,\"\\\"\":4},"
            "\"merges\":[\"\xC4\xA0 \\\\\"]"), 5 },
    { ADDED("{\"id\":5," END_TOKEN), 6 },
    { ADDED("{\"id\":6," END_TOKEN ",{\"id\":5,\"content\":\"x y\",\"special\":true}"), 7 },
    { ADDED("{\"id\":2,\"content\":\"c\",\"special\":true}"), 5 },
  };
  struct property taken = { 0 };
  for(size_t i=0; i<N_OF(good); i++){
    struct err e = { 0 };
    struct bpe *b;
    bpe_open(&b, good[i].json, strlen(good[i].json), "file", &e);
    holds(&taken, b && bpe_pieces(b)==good[i].n_pieces, "%s: %s", good[i].json, e.text);
    bpe_close(b);
  }
  property_ok(&taken, "bpe: files of each kind are read");
}

/* A special token may have the name of a byte. Its piece is then lost to texts. */
static void test_special_byte(void){
  static const char json[] = ADDED("{\"id\":2,\"content\":\"c\",\"special\":true}");
  struct arena a = { 0 };
  struct err e = { 0 };
  struct bpe *b;
  int *ids, n = 0;
  if( bpe_open(&b, json, strlen(json), "file", &e)==SQLITE_OK ){
    bpe_encode(b, "abc", 3, &a, &ids, &n, &e);
  }
  ok(n==1 && ids[0]==3, "bpe: a special token that is one byte", "%d numbers, %s", n, e.text);
  arena_release(&a);
  bpe_close(b);
}

static void test_bad_files(void){
  static const struct { const char *json, *text; } bad[] = {
    { "", "not valid JSON" },
    { "{", "not valid JSON" },
    { "[]", "the model is not given, expected \"BPE\"" },
    { "{\"model\":{\"type\":\"WordPiece\"}}", "the model is \"WordPiece\", expected \"BPE\"" },
    { "{\"model\":{\"type\":\"BPE\"}}", "the pre_tokenizer is not given, expected \"Sequence\"" },
    { "{\"pre_tokenizer\":" BYTES ",\"model\":{\"type\":\"BPE\"}}",
      "the pre_tokenizer is \"ByteLevel\", expected \"Sequence\"" },
    { "{" PRE(BYTES) ",\"model\":{\"type\":\"BPE\"}}",
      "the first pre_tokenizer is \"ByteLevel\", expected \"Digits\"" },
    { "{" PRE(DIGITS) ",\"model\":{\"type\":\"BPE\"}}",
      "the second pre_tokenizer is not given, expected \"ByteLevel\"" },
    { "{" PRE(DIGITS ",{\"type\":\"Split\"}") ",\"model\":{\"type\":\"BPE\"}}",
      "the second pre_tokenizer is \"Split\", expected \"ByteLevel\"" },
    { "{" PRE(DIGITS "," BYTES "," BYTES) ",\"model\":{\"type\":\"BPE\"}}", "3 pre_tokenizers" },
    { "{" PRE("{\"type\":\"Digits\",\"individual_digits\":false}," BYTES)
      ",\"model\":{\"type\":\"BPE\"}}", "\"individual_digits\" of the pre_tokenizer is not true" },
    { "{" PRE(DIGITS ",{\"type\":\"ByteLevel\",\"add_prefix_space\":true}")
      ",\"model\":{\"type\":\"BPE\"}}", "\"add_prefix_space\" of the pre_tokenizer is not false" },
    { "{" PRE(DIGITS ",{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}")
      ",\"model\":{\"type\":\"BPE\"}}", "\"use_regex\" of the pre_tokenizer is not true" },
    { "{\"normalizer\":{\"type\":\"NFC\"}," PRE(DIGITS "," BYTES) ",\"model\":{\"type\":\"BPE\"}}",
      "has a normalizer, expected none" },
    { MODEL("\"dropout\":0.1"), "the model has \"dropout\", expected none" },
    { MODEL("\"unk_token\":\"a\""), "the model has \"unk_token\", expected none" },
    { MODEL("\"continuing_subword_prefix\":\"##\""), "\"continuing_subword_prefix\"" },
    { MODEL("\"end_of_word_suffix\":\"</w>\""), "\"end_of_word_suffix\"" },
    { MODEL("\"byte_fallback\":true"), "\"byte_fallback\"" },
    { MODEL("\"ignore_merges\":true"), "\"ignore_merges\"" },
    { MODEL("\"merges\":[]"), "the model has no \"vocab\"" },
    { MODEL("\"vocab\":[\"a\"]"), "the model has no \"vocab\"" },
    { MODEL("\"vocab\":{}"), "the model has no \"vocab\"" },
    { MODEL("\"vocab\":{\"a\":0,\"b\":0}"), "pieces \"a\" and \"b\" both have number 0" },
    { MODEL("\"vocab\":{\"a\":0,\"a\":1}"), "piece \"a\" comes twice" },
    { MODEL("\"vocab\":{\"a\":0,\"b\":2}"),
      "number of piece \"b\" is no whole number from 0 to 1" },
    { MODEL("\"vocab\":{\"a\":-1}"), "number of piece \"a\"" },
    { MODEL("\"vocab\":{\"a\":0.5,\"b\":1}"), "number of piece \"a\"" },
    { MODEL("\"vocab\":{\"a\":1e99}"), "number of piece \"a\"" },
    { MODEL("\"vocab\":{\"a\":\"0\"}"), "number of piece \"a\"" },
    { MODEL("\"vocab\":{\"a\":0,\"\\x\":1}"), "not valid JSON" },
    { MODEL("\"vocab\":{\"a\" 0}"), "not valid JSON" },
    { MODEL("\"vocab\":{\"a\":0,}"), "not valid JSON" },
    { MODEL("\"vocab\":{0:1}"), "not valid JSON" },
    { MODEL("\"vocab\":{\"a\":null}"), "number of piece \"a\"" },
    { MODEL("\"vocab\":{\"a\":[0]}"), "number of piece \"a\"" },
    { MODEL("\"vocab\":{\"a\":0,\"\":1}"), "piece 1 is empty" },
    { MODEL("\"vocab\":{\"a\":0,\"b c\":1}"), "byte 1 of piece 1, \"b c\"" },
    { MODEL("\"vocab\":{\"a\":0,\"\xC2\xAD\":1}"), "byte 0 of piece 1" },
    { MODEL("\"vocab\":{\"a\":0,\"b\xC5\x84\":1}"), "byte 1 of piece 1" },
    { MODEL("\"vocab\":{\"a\":0,\"\xE2\x96\x81\":1}"), "byte 0 of piece 1" },
    { MODEL("\"vocab\":{\"a\":0,\"b\xFF\":1}"), "byte 1 of piece 1" },
    { MODEL(ABC), "the model has no \"merges\"" },
    { MODEL(ABC ",\"merges\":{\"a\":\"b\"}"), "the model has no \"merges\"" },
    { MODEL(ABC ",\"merges\":[\"ab\"]"), "merge 0 is neither \"a b\" nor [\"a\",\"b\"]" },
    { MODEL(ABC ",\"merges\":[\"a b\",\"a b c\"]"), "merge 1 is neither" },
    { MODEL(ABC ",\"merges\":[[\"a\"]]"), "merge 0 is neither" },
    { MODEL(ABC ",\"merges\":[[\"a\",\"b\",\"c\"]]"), "merge 0 is neither" },
    { MODEL(ABC ",\"merges\":[[\"a\",1]]"), "merge 0 is neither" },
    { MODEL(ABC ",\"merges\":[[1,\"a\"]]"), "merge 0 is neither" },
    { MODEL(ABC ",\"merges\":[7]"), "merge 0 is neither" },
    { MODEL(ABC ",\"merges\":[\"a b\" 7]"), "not valid JSON" },
    { MODEL(ABC ",\"merges\":[\"a b\",]"), "merge 1 is neither" },
    { MODEL(ABC ",\"merges\":[\"x b\"]"), "joins \"x\" and \"b\": the vocabulary lacks the first" },
    { MODEL(ABC ",\"merges\":[\"a x\"]"),
      "joins \"a\" and \"x\": the vocabulary lacks the second" },
    { MODEL(ABC ",\"merges\":[\"b c\"]"), "lacks what they make" },
    { MODEL(ABC ",\"merges\":[\" b\"]"), "the vocabulary lacks the first" },
    { MODEL(ABC ",\"merges\":[\"a b\",[\"a\",\"b\"]]"), "merge 1 comes twice" },
    { ADDED("{\"id\":5,\"content\":\"<end>\",\"special\":false}"), "\"<end>\" is not special" },
    { ADDED("{\"id\":5,\"special\":true}"), "\"\" is not special" },
    { ADDED("5"), "is not special" },
    { ADDED("{\"id\":7," END_TOKEN), "number of piece \"<end>\"" },
    { ADDED("{\"id\":0," END_TOKEN), "pieces \"a\" and \"<end>\" both have number 0" },
    { ADDED("{\"id\":6," END_TOKEN ",{\"id\":2,\"content\":\"c\",\"special\":true}"),
      "no piece has number 5" },
    { ADDED("{\"id\":1,\"content\":\"c\",\"special\":true}"), "the piece, which has 2" },
    { ADDED("{\"content\":\"c\",\"special\":true}"), "the piece, which has 2" },
    { ADDED("{\"id\":3,\"content\":\"ab\",\"special\":true}"), "makes \"ab\", which is special" },
    { "{" PRE(DIGITS "," BYTES) ",\"added_tokens\":{},\"model\":{\"type\":\"BPE\"," FULL "}}",
      "\"added_tokens\" is no array" },
  };
  struct property refused = { 0 };
  for(size_t i=0; i<N_OF(bad); i++){
    struct err e = { 0 };
    struct bpe *b;
    int good;
    bpe_open(&b, bad[i].json, strlen(bad[i].json), "file", &e);
    good = b==NULL && e.rc==SQLITE_CORRUPT && strstr(e.text, bad[i].text)
        && strncmp(e.text, "file: ", 6)==0;
    holds(&refused, good, "%s: rc %d, \"%s\"", bad[i].json, e.rc, e.text);
    bpe_close(b);
  }
  property_ok(&refused, "bpe: a file that cannot be is refused with its reason");
}

static void test_large(void){
  static const char *const starts[] = { "", "{\"model\":", "{\"model\":{\"vocab\":" };
  struct property refused = { 0 };
  struct err e = { 0 };
  struct bpe *b;
  struct buf json = { 0 };
  for(size_t i=0; i<N_OF(starts); i++){
    json.n = 0;
    e = (struct err){ 0 };
    buf_str(&json, starts[i]);
    for(int k=0; k<1000000; k++) buf_char(&json, '[');
    bpe_open(&b, json.data, json.n, "file", &e);
    holds(&refused, b==NULL && e.rc==SQLITE_CORRUPT, "%s: %d", starts[i], e.rc);
  }
  property_ok(&refused, "bpe: a million brackets are refused");
  json.n = 0;
  e = (struct err){ 0 };
  buf_str(&json, "{" PRE(DIGITS "," BYTES) ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"");
  memset(buf_extend(&json, 10000000), 'x', 10000000);
  buf_str(&json, "\":0}}}");
  bpe_open(&b, json.data, json.n, "file", &e);
  ok(b==NULL && strstr(e.text, "has 10000000 bytes, expected fewer than 1024"),
     "bpe: a piece of 10 MB is refused", "%s", e.text);
  e = (struct err){ 0 };
  bpe_open(&b, json.data, (64 << 20) + 1, "file", &e);
  ok(b==NULL && e.rc==SQLITE_TOOBIG && strstr(e.text, "67108865 bytes, expected at most 67108864"),
     "bpe: a file of more than 64 MB is refused", "%s", e.text);
  buf_release(&json);
}

/* What a damaged file gives: an error with a text, or a tokenizer that works. */
static void try_damaged(const struct buf *json, struct property *sound){
  static const char text[] = "The caf\xC3\xA9's  42 \xE6\x97\xA5\xE6\x9C\xAC\r\n<|im_end|>\xFF";
  char *copy = malloc(json->n ? json->n : 1);   /* a sanitizer sees a read past its end */
  struct arena a = { 0 };
  struct err e = { 0 };
  struct bpe *b;
  int *ids, n;
  memcpy(copy, json->data, json->n);
  if( bpe_open(&b, copy, json->n, "file", &e)==SQLITE_OK ){
    struct buf out = { 0 };
    int good = bpe_encode(b, text, sizeof(text) - 1, &a, &ids, &n, &e)==SQLITE_OK;
    for(int i=0; good && i<n; i++){
      good &= ids[i]>=0 && ids[i]<bpe_pieces(b);
      bpe_decode(b, ids[i], &out);
    }
    holds(sound, good && out.n<sizeof(text), "%zu bytes: %s", json->n, e.text);
    buf_release(&out);
  }else{
    holds(sound, b==NULL && strlen(e.text)>10, "%zu bytes: rc %d, \"%s\"", json->n, e.rc, e.text);
  }
  bpe_close(b);
  arena_release(&a);
  free(copy);
}

/* Every byte changed, and the file cut at every length; each `step` bytes. */
static void test_damage(int step){
  static const char marks[] = " {}[],:\"-0e9.\\\xFF\x00uab";
  struct buf json = read_whole(JSON);
  struct random r = random_of(20);
  struct property sound = { 0 };
  size_t n = json.n;
  for(size_t at=0; at<n; at+=(size_t)step){
    char before = json.data[at];
    uint64_t x = random_u64(&r);
    json.data[at] = x%2 ? before ^ (char)(1 << x/2%8) : marks[x/2%(sizeof(marks) - 1)];
    try_damaged(&json, &sound);
    json.data[at] = before;
    json.n = at;
    try_damaged(&json, &sound);
    json.n = n;
  }
  property_ok(&sound, "bpe: a damaged file gives an error, or a tokenizer that works");
  buf_release(&json);
}

/* Every allocation fails in turn, alone or with all that follow. */
static void test_out_of_memory(void){
  struct buf json = read_whole(JSON);
  struct property told = { 0 };
  int failed = 1;
  for(int at=1; failed; at++){
    for(int stays=0; stays<2; stays++){
      struct arena a = { 0 };
      struct err e = { 0 };
      struct bpe *b;
      int *ids, n;
      fault_set(at, stays);
      if( bpe_open(&b, json.data, json.n, "file", &e)==SQLITE_OK ){
        char text[500];
        memset(text, 'x', sizeof(text));
        memcpy(text, "the ", 4);
        bpe_encode(b, text, sizeof(text), &a, &ids, &n, &e);
      }
      failed = fault.failed;
      fault_set(0, 0);
      holds(&told, e.rc==(failed ? SQLITE_NOMEM : SQLITE_OK), "allocation %d: rc %d, %s", at, e.rc,
            e.text);
      arena_release(&a);
      bpe_close(b);
    }
  }
  property_ok(&told, "bpe: failed allocations are told as such");
  buf_release(&json);
}

/* ---- A file's lines ---- */

static void print_lines(const struct bpe *b, const struct buf *lines){
  for(const char *line=lines->data; *line; line=strchr(line, '\n') + 1){
    struct buf text = { 0 };
    struct arena a = { 0 };
    struct err e = { 0 };
    int *ids, n;
    from_hex(&text, line);
    if( bpe_encode(b, text.data, text.n, &a, &ids, &n, &e)!=SQLITE_OK ) exit(2);
    for(int i=0; i<n; i++) printf(i ? " %d" : "%d", ids[i]);
    printf("\n");
    arena_release(&a);
    buf_release(&text);
  }
}

static long count_lines(const struct bpe *b, const struct buf *text){
  long n_all = 0;
  for(const char *line=text->data, *end=line + text->n; line<end; ){
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    struct arena a = { 0 };
    struct err e = { 0 };
    int *ids, n;
    if( stop==NULL ) stop = end;
    if( bpe_encode(b, line, (size_t)(stop - line), &a, &ids, &n, &e)!=SQLITE_OK ) exit(2);
    n_all += n;
    arena_release(&a);
    line = stop + 1;
  }
  return n_all;
}

static double seconds_since(clock_t start){
  return (double)(clock() - start)/CLOCKS_PER_SEC;
}

static int read_lines(const char *path, const char *file, int repeat){
  struct buf text = read_whole(file);
  sqlite3_int64 bytes = sqlite3_memory_used();
  clock_t start = clock();
  struct bpe *b = open_file(path);
  double opening = seconds_since(start), seconds;
  long n = 0;
  bytes = sqlite3_memory_used() - bytes;
  start = clock();
  if( repeat==0 ) print_lines(b, &text);
  for(int i=0; i<repeat; i++) n += count_lines(b, &text);
  seconds = seconds_since(start);
  if( repeat>0 ){
    printf("opened in %.1f ms, %.1f MB of memory; %.1f MB/s, %.0f pieces/s\n", opening*1e3,
           (double)bytes/1e6, (double)text.n*repeat/1e6/seconds, (double)n/seconds);
  }
  bpe_close(b);
  buf_release(&text);
  return 0;
}

int main(int n, char **arguments){
  if( fault_install()!=SQLITE_OK ) return 2;
  if( n>2 ) return read_lines(arguments[1], arguments[2], n>3 ? atoi(arguments[3]) : 0);
  test_golden();
  test_any_bytes();
  test_long();
  test_good_files();
  test_special_byte();
  test_bad_files();
  test_large();
  test_damage(n>1 ? atoi(arguments[1]) : 7);
  test_out_of_memory();
  ok(sqlite3_memory_used()==0, "bpe: nothing is left of SQLite's memory", "%lld bytes",
     (long long)sqlite3_memory_used());
  return n_not_ok>0;
}
