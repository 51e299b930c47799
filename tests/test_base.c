/*
** test_base.c -- the properties of the base layer.
*/
#include "base.h"
#include "ok.h"
#include <cjson/cJSON.h>
#include <ctype.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Errors ---- */
static void test_err(void){
  struct err e = { 0 };
  int first = fail(&e, SQLITE_CORRUPT, "%s: rank %d, expected 2", "q", 3);
  int second = fail_nomem(&e);
  char longer[2000];
  ok(first==SQLITE_CORRUPT && second==SQLITE_CORRUPT && strcmp(e.text, "q: rank 3, expected 2")==0,
     "base: the first failure wins", "%d %d %s", first, second, e.text);
  memset(longer, 'x', sizeof(longer) - 1);
  longer[sizeof(longer) - 1] = 0;
  e.rc = 0;
  fail(&e, SQLITE_ERROR, "%s", longer);
  ok(strlen(e.text)==sizeof(e.text) - 1,
     "base: a long error text is cut to its buffer", "%zu", strlen(e.text));
}

/* A stop() that says what it is told to. */
static int told(void *arg){
  return *(int *)arg;
}

/* What stop() says is noted where it was asked, in a copy as well. */
static void test_stop(void){
  int says = SQLITE_OK;
  struct err e = { .stop = told, .stop_arg = &says };
  struct err interrupted = e;
  struct err full = e;
  int goes_on = !err_stopped(&e) && e.rc==SQLITE_OK;
  says = SQLITE_INTERRUPT;
  err_stopped(&interrupted);
  says = SQLITE_NOMEM;
  err_stopped(&full);
  ok(goes_on && interrupted.rc==SQLITE_INTERRUPT && full.rc==SQLITE_NOMEM
     && strcmp(interrupted.text, "interrupted")==0 && strcmp(full.text, "out of memory")==0,
     "base: a loop stops with what it is told", "%d \"%s\", %d \"%s\"", interrupted.rc,
     interrupted.text, full.rc, full.text);
}

/* ---- The arena ---- */
static void test_arena(void){
  struct property aligned = { 0 }, apart = { 0 };
  struct arena a = { 0 };
  struct random r = random_of(1);
  struct arena_mark m;
  unsigned char *got[500], *again;
  size_t bytes[500];
  for(int i=0; i<500; i++){
    bytes[i] = random_u64(&r)%(i%50==0 ? 300000 : 700);
    got[i] = arena_get(&a, bytes[i]);
    holds(&aligned, got[i] && (uintptr_t)got[i]%64==0,
          "get %d of %zu bytes at %p", i, bytes[i], (void *)got[i]);
    for(size_t j=0; j<bytes[i]; j++) got[i][j] = (unsigned char)i;
  }
  for(int i=0; i<500; i++){
    size_t j = 0;
    while( j<bytes[i] && got[i][j]==(unsigned char)i ) j++;
    holds(&apart, j==bytes[i], "get %d was written over at byte %zu", i, j);
  }
  property_ok(&aligned, "base: arena blocks are 64-byte aligned, of 0 bytes too");
  property_ok(&apart, "base: arena blocks do not overlap");
  m = arena_mark(&a);
  again = arena_get(&a, 100);
  for(int i=0; i<100; i++) arena_get(&a, 100000);
  arena_rewind(&a, m);
  ok(arena_get(&a, 100)==again, "base: a rewound arena gives the same place again", "another");
  ok(arena_floats(&a, SIZE_MAX/4 + 2)==NULL && a.oom && arena_get(&a, 1)==NULL,
     "base: a get that would overflow fails, and all after it", "oom %d", a.oom);
  arena_release(&a);
  ok(!a.oom && a.block==NULL && arena_zeroed(&a, 1000),
     "base: a released arena is usable again", "oom %d", a.oom);
  m.block = NULL;
  m.used = 0;
  arena_rewind(&a, m);
  ok(a.block==NULL, "base: rewinding to an empty arena frees all", "not all");
}

/* ---- The buffer ---- */
static void test_buf(void){
  struct buf b = { 0 };
  char longer[1000];
  ok(strcmp(buf_text(&b), "")==0 && b.n==0, "base: an empty buffer is an empty text", "%zu", b.n);
  for(int i=0; i<10000; i++) buf_printf(&b, "%d,", i);
  buf_char(&b, '!');
  ok(b.rc==SQLITE_OK && b.n==48891 && strcmp(buf_text(&b) + b.n - 6, "9999,!")==0,
     "base: a buffer grows", "%zu bytes", b.n);
  buf_release(&b);
  memset(longer, 'x', sizeof(longer) - 1);
  longer[sizeof(longer) - 1] = 0;
  buf_printf(&b, "%s", longer);
  ok(b.n==400, "base: buf_printf gives at most 400 bytes", "%zu", b.n);
  buf_release(&b);
  b.max = 10;
  buf_str(&b, "0123456789");
  ok(b.rc==SQLITE_OK && strcmp(buf_text(&b), "0123456789")==0,
     "base: a buffer holds its maximum", "rc %d", b.rc);
  buf_char(&b, 'x');
  buf_str(&b, "");
  ok(b.rc==SQLITE_TOOBIG && b.n==10 && strcmp(buf_text(&b), "")==0,
     "base: and no more, for good", "rc %d n %zu", b.rc, b.n);
  ok(buf_extend(&b, SIZE_MAX)==NULL && b.rc==SQLITE_TOOBIG,
     "base: the first failure of a buffer stays", "rc %d", b.rc);
  buf_release(&b);
  ok(buf_extend(&b, SIZE_MAX)==NULL && b.rc==SQLITE_TOOBIG,
     "base: a size that would overflow is too big", "rc %d", b.rc);
  buf_release(&b);
}

static void test_report_line(void){
  struct buf b = { 0 };
  char longer[1000];
  memset(longer, 'x', sizeof(longer) - 1);
  longer[sizeof(longer) - 1] = 0;
  buf_report_line(&b, "row %d", 7);
  buf_report_line(&b, "%s", longer);
  ok(b.n==6 + 300 && memcmp(buf_text(&b), "row 7\nxxx", 9)==0 && b.data[b.n-1]=='\n',
     "base: a line of a report has at most 299 bytes", "%zu bytes", b.n);
  for(int i=2; i<30; i++) buf_report_line(&b, "%02d", i);
  ok(strcmp(buf_text(&b) + b.n - 6, "18\n19\n")==0,
     "base: a report has at most 20 lines", "%s", buf_text(&b));
  buf_release(&b);
}

/* What a JSON reader makes of buf_json_string is the text, invalid bytes replaced. */
static void test_json_string(void){
  struct property same = { 0 };
  struct random r = random_of(2);
  struct buf json = { 0 }, clean = { 0 };
  for(int i=0; i<2000; i++){
    char text[40];
    size_t n = random_u64(&r)%sizeof(text);
    cJSON *tree;
    for(size_t j=0; j<n; j++) text[j] = (char)(1 + random_u64(&r)%(i%2 ? 127 : 255));
    json.n = 0;
    clean.n = 0;
    buf_json_string(&json, text, n);
    utf8_clean(&clean, text, n);
    tree = cJSON_Parse(buf_text(&json));
    holds(&same, cJSON_IsString(tree) && strcmp(tree->valuestring, buf_text(&clean))==0,
          "%s", buf_text(&json));
    cJSON_Delete(tree);
  }
  property_ok(&same, "base: a JSON string reads back as the text");
  json.n = 0;
  buf_json_string(&json, "a\0\"\\\n\xFF", 6);
  ok(strcmp(buf_text(&json), "\"a\\u0000\\\"\\\\\\n\xEF\xBF\xBD\"")==0,
     "base: a JSON string escapes", "%s", buf_text(&json));
  buf_release(&json);
  buf_release(&clean);
}

/* ---- The set of keys ---- */

/* Keys that are near each other and far apart, 0 and the largest among them. No two are
** the same. */
static uint64_t key_of(int i){
  return i%3==0 ? (uint64_t)(i/3) : i%3==1 ? UINT64_MAX - (uint64_t)(i/3) : (uint64_t)i << 40;
}

static void fill_set(struct property *p, struct key_set *s, const char *name){
  enum { N = 3000 };
  holds(p, !key_set_has(s, 0) && !key_set_has(s, 5), "%s: a key is in the empty set", name);
  for(int i=0; i<N; i++){
    int is_new = s->has_values ? key_set_put(s, key_of(i), i) : key_set_add(s, key_of(i));
    int again = s->has_values ? key_set_put(s, key_of(i/2), 9) : key_set_add(s, key_of(i/2));
    holds(p, is_new && !again, "%s: key %d: added %d, once more %d", name, i, is_new, again);
  }
  for(int i=0; i<2*N; i++){
    int value = s->has_values ? key_set_value(s, key_of(i)) : -1;
    holds(p, key_set_has(s, key_of(i))==(i<N), "%s: key %d", name, i);
    holds(p, value==(s->has_values && i<N ? i : -1), "%s: key %d has the value %d", name, i, value);
  }
  holds(p, s->n==N && !s->oom, "%s: %zu keys, oom %d", name, s->n, s->oom);
}

static void test_set(void){
  struct property right = { 0 };
  struct arena a = { 0 };
  struct key_set plain = { 0 };
  struct key_set values = { .has_values = 1 };
  struct key_set in_arena = { .arena = &a, .has_values = 1 };
  uint64_t *keys;
  fill_set(&right, &plain, "keys alone");
  key_set_release(&plain);
  fill_set(&right, &plain, "released");
  fill_set(&right, &values, "values");
  fill_set(&right, &in_arena, "arena");
  property_ok(&right, "base: a set has the keys that were added, once, and their first values");
  key_set_release(&plain);
  key_set_release(&values);
  key_set_release(&in_arena);
  key_set_release(&plain);
  ok(key_set_reserve(&in_arena, 1000)==SQLITE_OK, "base: room for keys", "none");
  keys = in_arena.keys;
  for(int i=0; i<1000; i++) key_set_put(&in_arena, key_of(i), i);
  ok(in_arena.keys==keys && in_arena.n==1000,
     "base: a set with room does not move", "%zu keys", in_arena.n);
  ok(key_set_reserve(&in_arena, SIZE_MAX)==SQLITE_NOMEM && in_arena.oom
     && key_set_put(&in_arena, key_of(1000), 1)==0 && key_set_value(&in_arena, key_of(999))==999,
     "base: a set that cannot grow says so and keeps what it has", "oom %d", in_arena.oom);
  arena_release(&a);
}

/* ---- ASCII ---- */

/* Against the C locale's own tests, which know no byte of 0x80 or more. */
static void test_ascii(void){
  struct property right = { 0 };
  for(int c=0; c<256; c++){
    holds(&right, is_ascii_space(c)==(isspace(c)!=0), "is_ascii_space(%d)", c);
    holds(&right, is_ascii_digit(c)==(isdigit(c)!=0), "is_ascii_digit(%d)", c);
    holds(&right, is_ascii_letter(c)==(isalpha(c)!=0), "is_ascii_letter(%d)", c);
    holds(&right, ascii_lower(c)==tolower(c), "ascii_lower(%d)", c);
    holds(&right, is_word_part(c)==(isalnum(c)!=0 || c>=0x80), "is_word_part(%d)", c);
    holds(&right, is_sql_space(c)==(c && strchr(" \t\n\f\r", c)), "is_sql_space(%d)", c);
    holds(&right, is_xml_space(c)==(c && strchr(" \t\n\r", c)), "is_xml_space(%d)", c);
    holds(&right, is_word_part((char)c)==is_word_part(c), "is_word_part((char)%d)", c);
    holds(&right, is_ascii_space((char)c)==is_ascii_space(c), "is_ascii_space((char)%d)", c);
  }
  property_ok(&right, "base: ASCII tests are those of the C locale");
}

/* ---- UTF-8 ---- */
static int write_utf8(char *out, uint32_t c){
  if( c<0x80 ){
    out[0] = (char)c;
    return 1;
  }
  if( c<0x800 ){
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 63));
    return 2;
  }
  if( c<0x10000 ){
    out[0] = (char)(0xE0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 63));
    out[2] = (char)(0x80 | (c & 63));
    return 3;
  }
  out[0] = (char)(0xF0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 63));
  out[2] = (char)(0x80 | (c >> 6 & 63));
  out[3] = (char)(0x80 | (c & 63));
  return 4;
}

/* Every character has its length; and there are as many valid strings of 1, 2, 3 bytes (and of 4
** that end in 80) as there are characters. */
static void test_utf8(void){
  struct property right = { 0 };
  long found[5] = { 0 };
  char s[4];
  for(uint32_t c=0; c<0x110000; c++){
    int n = write_utf8(s, c);
    int surrogate = c>=0xD800 && c<0xE000;
    holds(&right, utf8_length(s, (size_t)n)==(surrogate ? 0 : n), "U+%04X", (unsigned)c);
    holds(&right, utf8_length(s, (size_t)n - 1)==0, "U+%04X without its last byte", (unsigned)c);
  }
  property_ok(&right, "base: utf8_length of every character, whole and cut");
  for(uint32_t c=0; c<0x1000000; c++){
    s[0] = (char)(c >> 16);
    s[1] = (char)(c >> 8);
    s[2] = (char)c;
    s[3] = (char)0x80;
    found[utf8_length(s, 4)]++;
  }
  ok(found[1]==128L<<16 && found[2]==1920L<<8 && found[3]==65536 - 2048 - 2048
     && found[4]==0x100000/64,
     "base: nothing else is UTF-8", "%ld %ld %ld %ld", found[1], found[2], found[3], found[4]);
}

static void test_utf8_clean(void){
  static const char want[] =
    "a" UTF8_REPLACEMENT UTF8_REPLACEMENT UTF8_REPLACEMENT "z\xC3\xA9" UTF8_REPLACEMENT;
  struct buf b = { 0 };
  utf8_clean(&b, "a\xFF\xE2\x96z\xC3\xA9\x80", 8);
  ok(strcmp(buf_text(&b), want)==0,
     "base: utf8_clean replaces each byte that is no character", "%s", buf_text(&b));
  buf_release(&b);
}

/* ---- The reader and 16-bit floats ---- */
static void test_reader_floats(void){
  static const unsigned char data[] = { 0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0, 1 };
  struct reader r = reader_of(data, sizeof(data));
  float x[2], none;
  reader_floats(&r, x, 2);
  ok(x[0]==1 && x[1]==-2.5f && !r.bad, "base: the reader reads floats", "%g, %g", x[0], x[1]);
  reader_floats(&r, &none, 1);
  ok(r.bad && none==0, "base: no float past the end", "%g", none);
}

static void test_reader(void){
  static const unsigned char data[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
  struct reader r = reader_of(data, sizeof(data));
  int good = reader_u8(&r)==0x01
          && reader_u16(&r)==0x0302
          && reader_u32(&r)==0x07060504
          && reader_u64(&r)==UINT64_C(0x0F0E0D0C0B0A0908);
  ok(good && !r.bad, "base: the reader reads little-endian", "bad %d", r.bad);
  test_reader_floats();
  ok(reader_u16(&r)==0 && r.bad && reader_u8(&r)==0 && reader_bytes(&r, 0)==NULL,
     "base: a read past the end gives 0, and so do all after it", "bad %d", r.bad);
  r = reader_of(NULL, 0);
  ok(reader_u8(&r)==0 && r.bad, "base: a reader of nothing", "bad %d", r.bad);
}

static uint32_t bits_of(float x){
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}

/* IEEE 754's definition of a half, in arithmetic. */
static double half_value(uint16_t half){
  int exponent = half >> 10 & 31;
  int fraction = half & 0x3FF;
  double x = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
  return half & 0x8000 ? -x : x;
}

static void test_halves(void){
  struct property value = { 0 }, back = { 0 }, rounded = { 0 };
  for(int h=0; h<0x10000; h++){
    float x = half_to_float((uint16_t)h);
    int special = (h & 0x7C00)==0x7C00;
    int fraction = h & 0x3FF;
    int good = !special ? x==half_value((uint16_t)h) && !signbit(x)==!(h & 0x8000)
             : fraction ? isnan(x)
                        : isinf(x) && (x<0)==(h >> 15);
    holds(&value, good, "half %04x is %g", h, x);
    holds(&back, float_to_half(x)==(special && fraction ? h | 0x200 : h),
          "half %04x comes back as %04x", h, float_to_half(x));
  }
  /* Between two neighbours, the middle and the floats beside it decide everything. Above the
  ** largest lies 65536, which is infinity. */
  for(int h=0; h<0x7C00; h++){
    double low = half_value((uint16_t)h);
    double high = h==0x7BFF ? 65536 : half_value((uint16_t)(h + 1));
    float middle = (float)((low + high)/2);
    float below = nextafterf(middle, 0);
    float above = nextafterf(middle, INFINITY);
    int even = h + (h & 1);
    holds(&rounded, float_to_half(below)==h && float_to_half(middle)==even
          && float_to_half(above)==h + 1,
          "above half %04x", h);
    holds(&rounded, float_to_half(-below)==(h | 0x8000) && float_to_half(-middle)==(even | 0x8000)
          && float_to_half(-above)==((h + 1) | 0x8000),
          "below half %04x", h | 0x8000);
  }
  holds(&rounded, float_to_half(1e-30f)==0 && float_to_half(3e38f)==0x7C00
        && bits_of(half_to_float(0x8000))==0x80000000,
        "extremes");
  property_ok(&value, "base: every half has its value");
  property_ok(&back, "base: every half comes back, NaN made quiet");
  property_ok(&rounded, "base: floats round to the nearest half, ties to even");
}

/* ---- Maps ---- */
static void write_file(const char *path, const void *data, size_t n){
  FILE *f = fopen(path, "wb");
  if( f==NULL || fwrite(data, 1, n, f)!=n || fclose(f)!=0 ) exit(2);
}

static void refuse_map(struct property *p, const char *path, int rc, const char *text){
  struct file_map m;
  struct err e = { 0 };
  int got = map_open(&m, path, &e);
  holds(p, got==rc && strstr(e.text, path) && strstr(e.text, text) && m.data==NULL,
        "%s: rc %d, \"%s\"", path, got, e.text);
  map_close(&m);
}

static void test_map(void){
  struct property refused = { 0 };
  char folder[] = "/tmp/latent-test-XXXXXX", path[100];
  struct file_map m;
  struct err e = { 0 };
  if( mkdtemp(folder)==NULL ) exit(2);
  snprintf(path, sizeof(path), "%s/file", folder);
  write_file(path, "some bytes", 10);
  ok(map_open(&m, path, &e)==SQLITE_OK && m.n==10 && memcmp(m.data, "some bytes", 10)==0,
     "base: a file is mapped", "%s", e.text);
  map_close(&m);
  map_close(&m);
  refuse_map(&refused, folder, SQLITE_CANTOPEN, "directory");
  write_file(path, "", 0);
  refuse_map(&refused, path, SQLITE_CORRUPT, "empty");
  unlink(path);
  refuse_map(&refused, path, SQLITE_CANTOPEN, "No such file");
#ifndef _WIN32                          /* whose pipes have no paths */
  if( mkfifo(path, 0600)!=0 ) exit(2);
  refuse_map(&refused, path, SQLITE_CANTOPEN, "regular");
  unlink(path);
#endif
  rmdir(folder);
  property_ok(&refused, "base: a folder, an empty file, a pipe and nothing at all are not mapped");
}

/* ---- Hash and random numbers ---- */

/* Computed by model/export.py's hash64() for bytes (131*i + 7) % 256. */
static void test_hash(void){
  static const struct {
    size_t n;
    uint64_t hash;
  } known[] = {
    { 0, UINT64_C(0x16269CF64E859C91) },
    { 1, UINT64_C(0x2947B9645EFF22E3) },
    { 7, UINT64_C(0x313F377A71B55C40) },
    { 31, UINT64_C(0x811A791090BB5CB0) },
    { 32, UINT64_C(0x886B3006F2AB6926) },
    { 33, UINT64_C(0x7E40D9AD9E795272) },
    { 63, UINT64_C(0x84A4A2CA0E5EFDF9) },
    { 64, UINT64_C(0x0183D3DD05358A6F) },
    { 65, UINT64_C(0xE924F482430448F9) },
    { 1000, UINT64_C(0x0316D0A4A0134CE2) },
  };
  struct property same = { 0 };
  unsigned char data[1001];
  for(size_t i=0; i<sizeof(known)/sizeof(known[0]); i++){
    for(size_t shift=0; shift<2; shift++){             /* at an odd address too */
      for(size_t j=0; j<known[i].n; j++) data[j + shift] = (unsigned char)(131*j + 7);
      holds(&same, hash64(data + shift, known[i].n)==known[i].hash, "%zu bytes", known[i].n);
    }
  }
  property_ok(&same, "base: hash64 is model/export.py's");
}

static void test_random(void){
  enum { N = 100000 };
  struct random r = random_of(0);
  double sum = 0;
  double squares = 0;
  float low = 1;
  float high = 0;
  ok(random_u64(&r)==UINT64_C(0xE220A8397B1DCDAF) && random_u64(&r)==UINT64_C(0x6E789E6AA1B965F4)
     && random_u64(&r)==UINT64_C(0x06C45D188009454F),
     "base: random numbers are splitmix64's", "they differ");
  for(int i=0; i<N; i++){
    float u = random_uniform(&r);
    double x = random_normal(&r);
    low = u<low ? u : low;
    high = u>high ? u : high;
    sum += x;
    squares += x*x;
  }
  ok(low>=0 && low<1e-3 && high<1 && high>0.999,
     "base: uniform numbers fill [0, 1)", "%g to %g", low, high);
  ok(fabs(sum/N)<0.01 && fabs(squares/N - 1)<0.02,
     "base: normal numbers have mean 0 and variance 1", "%g, %g", sum/N, squares/N);
}

/* ---- Threads ---- */
static atomic_int visits[100];

static void visit(void *arg, int part){
  atomic_fetch_add((atomic_int *)arg + part, 1);
}

static void test_threads(void){
  static const int threads[] = { -1, 0, 1, 2, 3, 8, 1000 };
  static const int parts[] = { 0, 1, 2, 7, 100 };
  static const struct {
    const char *text;
    int count;
  } counts[] = {
    { "1", 1 }, { "3", 3 }, { "64", 64 }, { "65", 0 }, { "0", 0 }, { "-1", 0 }, { " 2", 0 },
    { "2 ", 0 }, { "2x", 0 }, { "", 0 }, { "002", 0 }, { "999999999999", 0 },
  };
  struct property once = { 0 }, asked = { 0 };
  int unasked;
  for(size_t i=0; i<sizeof(threads)/sizeof(threads[0]); i++){
    for(size_t j=0; j<sizeof(parts)/sizeof(parts[0]); j++){
      for(int k=0; k<100; k++) atomic_store(&visits[k], 0);
      thread_parts(threads[i], parts[j], visit, visits);
      for(int k=0; k<100; k++){
        holds(&once, atomic_load(&visits[k])==(k<parts[j]),
              "%d threads, %d parts: part %d", threads[i], parts[j], k);
      }
    }
  }
  property_ok(&once, "base: each part is worked on once, for any number of threads");
  unsetenv("LATENT_THREADS");
  unasked = thread_count();
  ok(unasked>=1 && unasked<=8, "base: 1 to 8 threads unasked", "%d", unasked);
  for(size_t i=0; i<sizeof(counts)/sizeof(counts[0]); i++){
    setenv("LATENT_THREADS", counts[i].text, 1);
    holds(&asked, thread_count()==(counts[i].count ? counts[i].count : unasked),
          "\"%s\" gives %d", counts[i].text, thread_count());
  }
  unsetenv("LATENT_THREADS");
  property_ok(&asked, "base: LATENT_THREADS is 1 to 64 or is ignored");
}

int main(void){
  test_err();
  test_stop();
  test_arena();
  test_buf();
  test_report_line();
  test_json_string();
  test_set();
  test_ascii();
  test_utf8();
  test_utf8_clean();
  test_reader();
  test_halves();
  test_map();
  test_hash();
  test_random();
  test_threads();
  return n_not_ok>0;
}
