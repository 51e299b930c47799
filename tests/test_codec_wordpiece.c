/*
** test_codec_wordpiece.c -- the properties of codec_wordpiece.c. Run from the root of the
** repository.
**
**     test_codec_wordpiece                  states them
**     test_codec_wordpiece FOLDER FILE      prints the piece numbers of each line of a file
**     test_codec_wordpiece FOLDER FILE N    reads the file N times and prints the pieces a second
**
** tests/data/wordpiece.tsv has piece numbers from PyPI's tokenizers, for the vocabulary in
** tests/data/wordpiece.txt and each way to set the normaliser (tests/data/make_wordpiece_cases.py).
*/
#include "codec.h"
#include "fault.h"
#include "ok.h"
#include "piece_rows.h"
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define N_OF(list) (sizeof(list)/sizeof((list)[0]))

static char folder[] = "/tmp/latent-test-XXXXXX";
static const char *const FILES[] = { "tokenizer.json", "vocab.txt", "tokenizer_config.json" };

/* ---- Folders of a model ---- */

static const char *path_of(const char *name){
  static char path[100];
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  return path;
}

static void remove_files(void){
  for(size_t i=0; i<N_OF(FILES); i++) unlink(path_of(FILES[i]));
}

static void write_file(const char *name, const char *data, size_t n){
  FILE *f = fopen(path_of(name), "wb");
  if( f==NULL || fwrite(data, 1, n, f)!=n || fclose(f)!=0 ) exit(2);
}

/* How the rows of wordpiece.tsv set the normaliser. */
static const struct setting { const char *name, *json; } SETTINGS[] = {
  { "uncased", "\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,"
    "\"lowercase\":true" },
  { "cased", "\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,"
    "\"lowercase\":false" },
  { "accents", "\"clean_text\":true,\"handle_chinese_chars\":false,\"strip_accents\":false,"
    "\"lowercase\":true" },
  { "raw", "\"clean_text\":false,\"handle_chinese_chars\":true,\"strip_accents\":true,"
    "\"lowercase\":false" },
};

/* Writes tokenizer.json with the vocabulary of the tests. */
static void write_tokenizer(const char *setting){
  struct buf vocab = read_whole("tests/data/wordpiece.txt");
  struct buf b = { 0 };
  char *line = vocab.data;
  buf_str(&b, "{\"normalizer\":{\"type\":\"BertNormalizer\",");
  buf_str(&b, setting);
  buf_str(&b, "},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
          "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
          "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":{");
  for(int id=0; *line; id++){
    size_t n = strcspn(line, "\n");
    if( id>0 ) buf_char(&b, ',');
    buf_json_string(&b, line, n);
    buf_printf(&b, ":%d", id);
    line += n + (line[n]=='\n');
  }
  buf_str(&b, "}}}");
  write_file("tokenizer.json", b.data, b.n);
  buf_release(&vocab);
  buf_release(&b);
}

/* ---- Piece numbers ---- */

/* Bytes in hexadecimal, up to a tab; returns how many. */
static int from_hex(char *out, const char *hex){
  int n = 0;
  unsigned byte;
  while( sscanf(hex + 2*n, "%2x", &byte)==1 && hex[2*n]!='\t' ) out[n++] = (char)byte;
  return n;
}

static int rises(const size_t *starts, int n, size_t n_text){
  for(int i=0; i<n; i++){
    if( starts[i]>=n_text || (i>0 && starts[i]<starts[i-1]) ) return 0;
  }
  return 1;
}

static void check_row(const struct wordpiece *w, const char *hex, struct property *same,
                      struct property *starts_rise){
  static char text[10000];
  const char *expected = strchr(hex, '\t') + 1;
  struct arena a = { 0 };
  struct err e = { 0 };
  size_t *starts;
  int *ids, n_ids;
  int n = from_hex(text, hex);
  wordpiece_encode(w, text, (size_t)n, &a, &ids, &starts, &n_ids, &e);
  holds(same, e.rc==SQLITE_OK && same_ids(ids, n_ids, expected),
        "%.80s: %d numbers, expected %.80s", hex, n_ids, expected);
  holds(starts_rise, rises(starts, n_ids, (size_t)n), "%.200s", hex);
  arena_release(&a);
}

static void test_golden(void){
  struct buf rows = read_whole("tests/data/wordpiece.tsv");
  struct property same = { 0 }, starts_rise = { 0 };
  for(size_t i=0; i<N_OF(SETTINGS); i++){
    struct err e = { 0 };
    struct wordpiece *w;
    size_t n_name = strlen(SETTINGS[i].name);
    write_tokenizer(SETTINGS[i].json);
    wordpiece_open(&w, folder, &e);
    if( !holds(&same, e.rc==SQLITE_OK, "%s", e.text) ) continue;
    for(char *row=rows.data; *row; row=strchr(row, '\n') + 1){
      if( strncmp(row, SETTINGS[i].name, n_name)!=0 || row[n_name]!='\t' ) continue;
      check_row(w, row + n_name + 1, &same, &starts_rise);
    }
    wordpiece_close(w);
  }
  property_ok(&same, "wordpiece: the numbers of PyPI's tokenizers, whatever the normaliser does");
  property_ok(&starts_rise, "wordpiece: pieces begin in the order of the text");
  remove_files();
  buf_release(&rows);
}

/* The folder with vocab.txt alone gives what it gives with tokenizer.json. */
static void test_vocab(void){
  static const char TEXT[] = "The CAF\xC3\x89 was late, \xE4\xBD\xA0\xE5\xA5\xBD!";
  struct buf vocab = read_whole("tests/data/wordpiece.txt");
  struct property same = { 0 };
  for(int cased=0; cased<2; cased++){
    struct arena a = { 0 };
    struct err e = { 0 };
    struct wordpiece *w[2];
    int *ids[2], n[2];
    remove_files();
    write_tokenizer(SETTINGS[cased].json);
    wordpiece_open(&w[0], folder, &e);
    remove_files();
    write_file("vocab.txt", vocab.data, vocab.n);
    if( cased ) write_file("tokenizer_config.json", "{\"do_lower_case\":false}", 23);
    wordpiece_open(&w[1], folder, &e);
    if( holds(&same, e.rc==SQLITE_OK, "%s", e.text) ){
      for(int i=0; i<2; i++){
        wordpiece_encode(w[i], TEXT, strlen(TEXT), &a, &ids[i], NULL, &n[i], &e);
      }
      holds(&same, n[0]>5 && n[0]==n[1] && memcmp(ids[0], ids[1], sizeof(int)*(size_t)n[0])==0,
            "%d and %d numbers", n[0], n[1]);
      holds(&same, wordpiece_number(w[1], "[CLS]")==2 && wordpiece_number(w[1], "[cls")==-1,
            "[CLS] is %d", wordpiece_number(w[1], "[CLS]"));
      holds(&same, wordpiece_number(w[1], "\xFF")==-1 && wordpiece_number(w[1], "")==-1,
            "a piece that is none");
    }
    for(int i=0; i<2; i++) wordpiece_close(w[i]);
    arena_release(&a);
  }
  property_ok(&same, "wordpiece: vocab.txt gives what tokenizer.json gives");
  remove_files();
  buf_release(&vocab);
}

/* ---- Texts that are too much ---- */

/* count times `unit`, in one word or in many. Returns how many pieces. */
static int count_pieces(const struct wordpiece *w, const char *unit, int count, int *first){
  struct buf text = { 0 };
  struct arena a = { 0 };
  struct err e = { 0 };
  int *ids, n;
  for(int i=0; i<count; i++) buf_str(&text, unit);
  wordpiece_encode(w, buf_text(&text), text.n, &a, &ids, NULL, &n, &e);
  *first = n>0 ? ids[0] : -1;
  arena_release(&a);
  buf_release(&text);
  return n;
}

static void test_long(void){
  struct err e = { 0 };
  struct wordpiece *w;
  int unknown, id, n;
  write_tokenizer(SETTINGS[0].json);
  if( wordpiece_open(&w, folder, &e)!=SQLITE_OK ){
    ok(0, "wordpiece: the vocabulary of the tests", "%s", e.text);
    return;
  }
  unknown = wordpiece_number(w, "[UNK]");
  n = count_pieces(w, "x", 100, &id);
  ok(n>1 && id!=unknown, "wordpiece: a word of 100 characters is read", "%d pieces", n);
  n = count_pieces(w, "x", 101, &id);
  ok(n==1 && id==unknown, "wordpiece: a word of 101 characters is unknown", "%d pieces", n);
  n = count_pieces(w, "x", 1000000, &id);
  ok(n==1 && id==unknown, "wordpiece: so is one of a million", "%d pieces", n);
  n = count_pieces(w, "the ", 100000, &id);
  ok(n==100000 && id==wordpiece_number(w, "the"), "wordpiece: a text of any length",
     "%d pieces", n);
  /* Marks that stay, of class 224, then 9: the order that takes longest to put right. */
  n = count_pieces(w, "\xE3\x80\xAE\xF0\x91\x84\xB4\xE1\xAD\x84", 100000, &id);
  ok(n==1 && id==unknown, "wordpiece: a letter with 300,000 marks", "%d pieces", n);
  n = count_pieces(w, "\xCC\x81", 100000, &id);
  ok(n==0, "wordpiece: marks alone are nothing", "%d pieces", n);
  n = count_pieces(w, "\xFF", 1000, &id);
  ok(n==0, "wordpiece: bytes that are not UTF-8 are nothing", "%d pieces", n);
  wordpiece_close(w);
  remove_files();
}

/* ---- Folders that are no good ---- */

#define NORMAL "\"normalizer\":{\"type\":\"BertNormalizer\"},"
#define PRE    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
#define MODEL(rest)  "{" NORMAL PRE "\"model\":{\"type\":\"WordPiece\"," rest "}}"
#define VOCAB  "\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,\"a\":1}"

static void test_bad_folders(void){
  static const struct { const char *file, *data, *text; } bad[] = {
    { "vocab.txt", "a\nb\n", "no piece [UNK]" },
    { "vocab.txt", "[UNK]\na\nb\na\n", "pieces 1 and 3 are equal" },
    { "vocab.txt", "[UNK]\n##a\nb\n##a", "pieces 1 and 3 are equal" },
    { "vocab.txt", "[UNK]\n\xFF\n", "piece 1 is not UTF-8" },
    { "vocab.txt", "[UNK]\na\xE2\x96\n", "piece 1 is not UTF-8" },
    { "vocab.txt", "[UNK]\n##\xED\xA0\x80\n", "piece 1 is not UTF-8" },
    { "vocab.txt", "\n\n\n", "no piece [UNK]" },
    { "tokenizer.json", "", "empty" },
    { "tokenizer.json", "{", "not valid JSON" },
    { "tokenizer.json", "[]", "the model is not given, expected \"WordPiece\"" },
    { "tokenizer.json", "{\"model\":{\"type\":\"Unigram\"}}",
      "the model is \"Unigram\", expected \"WordPiece\"" },
    { "tokenizer.json", "{\"model\":{\"type\":\"WordPiece\"}}",
      "the normalizer is not given, expected \"BertNormalizer\"" },
    { "tokenizer.json", "{" NORMAL "\"model\":{\"type\":\"WordPiece\"}}",
      "the pre_tokenizer is not given" },
    { "tokenizer.json", MODEL("\"vocab\":[]"), "no \"vocab\"" },
    { "tokenizer.json", MODEL("\"vocab\":{}"), "0 pieces" },
    { "tokenizer.json", MODEL("\"vocab\":{\"[UNK]\":0}"), "no piece \"unk_token\"" },
    { "tokenizer.json", MODEL("\"unk_token\":\"<unk>\",\"vocab\":{\"[UNK]\":0}"),
      "no piece <unk>" },
    { "tokenizer.json", MODEL("\"vocab\":{\"a\":1}"), "number of piece \"a\"" },
    { "tokenizer.json", MODEL("\"vocab\":{\"a\":0,\"b\":0}"), "number of piece \"b\"" },
    { "tokenizer.json", MODEL("\"vocab\":{\"a\":-1}"), "number of piece \"a\"" },
    { "tokenizer.json", MODEL("\"vocab\":{\"a\":\"0\"}"), "number of piece \"a\"" },
    { "tokenizer.json", MODEL("\"vocab\":{\"a\":0,\"a\":1}"), "pieces 0 and 1 are equal" },
    { "tokenizer.json", MODEL("\"continuing_subword_prefix\":\"@@\"," VOCAB), "not \"##\"" },
    { "tokenizer.json", MODEL("\"max_input_chars_per_word\":0," VOCAB), "from 1 to 1000" },
    { "tokenizer.json", MODEL("\"max_input_chars_per_word\":1e9," VOCAB), "from 1 to 1000" },
    { "tokenizer.json", "{\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":1}," PRE
      "\"model\":{\"type\":\"WordPiece\"," VOCAB "}}", "\"lowercase\" is not true or false" },
  };
  struct property refused = { 0 };
  for(size_t i=0; i<N_OF(bad); i++){
    struct err e = { 0 };
    struct wordpiece *w;
    int good;
    remove_files();
    write_file(bad[i].file, bad[i].data, strlen(bad[i].data));
    wordpiece_open(&w, folder, &e);
    good = w==NULL && e.rc==SQLITE_CORRUPT && strstr(e.text, bad[i].text)
        && strncmp(e.text, folder, strlen(folder))==0;
    holds(&refused, good, "\"%s\": rc %d, \"%s\"", bad[i].data, e.rc, e.text);
    wordpiece_close(w);
  }
  property_ok(&refused, "wordpiece: a folder that cannot be is refused with its reason");
  remove_files();
}

/* A line of 10 MB, a file of 33 MB, and no file at all. */
static void test_large(void){
  struct buf b = { 0 };
  struct err e = { 0 };
  struct wordpiece *w;
  buf_str(&b, "[UNK]\n");
  memset(buf_extend(&b, 10000000), 'x', 10000000);
  write_file("vocab.txt", b.data, b.n);
  wordpiece_open(&w, folder, &e);
  ok(w==NULL && strstr(e.text, "piece 1 has 10000000 bytes, expected at most 256"),
     "wordpiece: a line of 10 MB is refused", "%s", e.text);
  memset(buf_extend(&b, 23600000), '\n', 23600000);
  write_file("vocab.txt", b.data, b.n);
  e = (struct err){ 0 };
  wordpiece_open(&w, folder, &e);
  ok(w==NULL && strstr(e.text, "bytes, expected at most"), "wordpiece: a file of 33 MB is refused",
     "%s", e.text);
  remove_files();
  e = (struct err){ 0 };
  wordpiece_open(&w, folder, &e);
  ok(w==NULL && e.rc==SQLITE_CANTOPEN && strstr(e.text, "no tokenizer.json and no vocab.txt"),
     "wordpiece: an empty folder is refused", "%s", e.text);
  buf_release(&b);
}

/* Every allocation fails in turn, alone or with all that follow. */
static void test_out_of_memory(const char *name){
  struct property told = { 0 };
  int failed = 1;
  for(int at=1; failed; at++){
    for(int stays=0; stays<2; stays++){
      struct arena a = { 0 };
      struct err e = { 0 };
      struct wordpiece *w;
      size_t *starts;
      int *ids, n;
      fault_set(at, stays);
      if( wordpiece_open(&w, folder, &e)==SQLITE_OK ){
        wordpiece_encode(w, "the caf\xC3\xA9", 9, &a, &ids, &starts, &n, &e);
      }
      failed = fault.failed;
      fault_set(0, 0);
      holds(&told, e.rc==(failed ? SQLITE_NOMEM : SQLITE_OK), "%s, allocation %d: rc %d, %s", name,
            at, e.rc, e.text);
      arena_release(&a);
      wordpiece_close(w);
    }
  }
  property_ok(&told, name);
}

static void test_sweep(void){
  struct buf vocab = read_whole("tests/data/wordpiece.txt");
  write_tokenizer(SETTINGS[0].json);
  test_out_of_memory("wordpiece: failed allocations are told as such (tokenizer.json)");
  remove_files();
  write_file("vocab.txt", vocab.data, vocab.n);
  write_file("tokenizer_config.json", "{}", 2);
  test_out_of_memory("wordpiece: failed allocations are told as such (vocab.txt)");
  remove_files();
  buf_release(&vocab);
}

/* ---- A file's lines ---- */

static long print_lines(const struct wordpiece *w, const struct buf *text, int prints){
  long n_all = 0;
  for(const char *line=text->data, *end=line + text->n; line<end; ){
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    struct arena a = { 0 };
    struct err e = { 0 };
    int *ids, n;
    if( stop==NULL ) stop = end;
    wordpiece_encode(w, line, (size_t)(stop - line), &a, &ids, NULL, &n, &e);
    if( e.rc!=SQLITE_OK ) exit(2);
    for(int i=0; prints && i<n; i++) printf(i ? " %d" : "%d", ids[i]);
    if( prints ) printf("\n");
    n_all += n;
    arena_release(&a);
    line = stop + 1;
  }
  return n_all;
}

static int read_lines(const char *path, const char *file, int repeat){
  struct err e = { 0 };
  struct wordpiece *w;
  struct buf text = read_whole(file);
  clock_t start;
  long n = 0;
  if( wordpiece_open(&w, path, &e)!=SQLITE_OK ){
    fprintf(stderr, "%s\n", e.text);
    return 1;
  }
  start = clock();
  for(int i=0; i<repeat; i++) n += print_lines(w, &text, 0);
  if( repeat==0 ) print_lines(w, &text, 1);
  else printf("%.0f pieces/s\n", (double)n*CLOCKS_PER_SEC/(double)(clock() - start));
  wordpiece_close(w);
  buf_release(&text);
  return 0;
}

int main(int n, char **arguments){
  if( fault_install()!=SQLITE_OK ) return 2;
  if( n>2 ) return read_lines(arguments[1], arguments[2], n>3 ? atoi(arguments[3]) : 0);
  if( mkdtemp(folder)==NULL ) return 2;
  test_golden();
  test_vocab();
  test_long();
  test_bad_folders();
  test_large();
  test_sweep();
  rmdir(folder);
  ok(sqlite3_memory_used()==0, "wordpiece: nothing is left of SQLite's memory", "%lld bytes",
     (long long)sqlite3_memory_used());
  return n_not_ok>0;
}
