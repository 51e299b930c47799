/*
** test_model_picture.c -- pictures through the model layer: the VQ-VAE against the PyTorch reference and against itself, files in and files out.
**
** The model is the tiny one of tests/data, the golden values come from model/golden.py (the Transformer's are in test_model.c, which runs
** over the picture model too). What the engine promises about itself (batches, threads, CPUs) is compared bit by bit.
*/
#include "fault.h"
#include "model_golden.h"
#include <pthread.h>
#include <sqlite3.h>
#include <unistd.h>

#define MODEL "tests/data/picture.safetensors"
enum { SIZE = 64, PIXELS = SIZE*SIZE*4, CODES = 64 };

static struct picture picture_of(unsigned char *pixels){ return (struct picture){ SIZE, SIZE, pixels }; }

/* n pictures of random pixels, one in three of few colours and alphas. */
static struct picture *random_pictures(int n, uint64_t seed, struct arena *a){
  struct picture *p = arena_get(a, (size_t)n*sizeof(*p));
  struct random random = random_of(seed);
  for(int i=0; i<n; i++){
    p[i] = picture_of(arena_get(a, PIXELS));
    for(int k=0; k<PIXELS; k++) p[i].pixels[k] = i%3 ? (unsigned char)random_u64(&random) : (unsigned char)((k/4%SIZE/16 + k/1024%7)*(k%4+1)*17);
  }
  return p;
}

/* n rows of random codes. */
static struct tokens *random_codes(const struct model *m, int n, uint64_t seed, struct arena *a){
  struct tokens *rows = arena_get(a, (size_t)n*sizeof(*rows));
  struct random random = random_of(seed);
  for(int i=0; i<n; i++){
    rows[i] = (struct tokens){ arena_get(a, CODES*sizeof(int)), CODES, 0 };
    for(int k=0; k<CODES; k++) rows[i].ids[k] = TOKEN_CODE + (int)(random_u64(&random)%(uint64_t)m->config.picture.codes);
  }
  return rows;
}

/* ---- Against the reference ---- */

struct seen { float *points, *pixels; size_t n_points, n_pixels; int width; };
static void note(void *arg, const char *stack, int layer, const float *x, int rows){
  struct seen *s = arg;
  int is_points = strcmp(stack, "points")==0, width = is_points ? s->width : 16;
  float **to = is_points ? &s->points : &s->pixels;
  size_t *n = is_points ? &s->n_points : &s->n_pixels, more = (size_t)rows*width;
  (void)layer;
  *to = realloc(*to, (*n + more)*sizeof(float));
  memcpy(*to + *n, x, more*sizeof(float));
  *n += more;
}

static void seen_release(struct seen *s){
  free(s->points);
  free(s->pixels);
}

static void test_golden_codes(const struct model *m, struct golden *g, struct bench *b){
  struct seen seen = { .width = m->config.picture.code_width };
  struct property p = { 0 };
  size_t n_bytes, n_codes;
  const float *bytes = golden_floats(g, "pictures", &n_bytes);
  const int *codes = golden_ints(g, "codes", &n_codes);
  int n = (int)(n_bytes/PIXELS), *ids = arena_get(&b->arena, (size_t)n*CODES*sizeof(int));
  struct picture *pictures = arena_get(&b->arena, (size_t)n*sizeof(*pictures));
  for(int i=0; i<n; i++){
    pictures[i] = picture_of(arena_get(&b->arena, PIXELS));
    for(int k=0; k<PIXELS; k++) pictures[i].pixels[k] = (unsigned char)bytes[(size_t)i*PIXELS + k];
  }
  b->run.watch = note;
  b->run.watch_arg = &seen;
  pictures_tokens(m, &b->run, pictures, n, ids);
  golden_compare(g, "points", seen.points, seen.n_points);
  for(size_t i=0; i<n_codes; i++) holds(&p, codes[i]<0 || ids[i]==codes[i], "place %zu: %d, expected %d", i, ids[i], codes[i]);
  holds(&p, n_codes==(size_t)n*CODES && b->err.rc==SQLITE_OK, "%zu codes of %d pictures; %s", n_codes, n, b->err.text);
  property_ok(&p, "picture: codes are the reference's");
  seen_release(&seen);
}

static void test_golden_pixels(const struct model *m, struct golden *g, struct bench *b){
  struct seen seen = { 0 };
  struct property p = { 0 };
  struct picture drawn[2];
  struct tokens rows[2];
  size_t n_ids, n_bytes;
  int *ids = golden_ints(g, "ids", &n_ids), n_apart = 0;
  const float *bytes = golden_floats(g, "drawn", &n_bytes);
  for(int i=0; i<2; i++) rows[i] = (struct tokens){ ids + n_ids - (size_t)(2-i)*CODES, CODES, 0 };
  b->run.watch = note;
  b->run.watch_arg = &seen;
  tokens_pictures(m, &b->run, rows, 2, drawn);
  golden_compare(g, "pixels", seen.pixels, seen.n_pixels);
  for(size_t i=0; i<n_bytes; i++){
    int apart = abs(drawn[i/PIXELS].pixels[i%PIXELS] - (int)bytes[i]);
    /* What is nearly clear has hardly any colour: there a float's last bit is a different one. */
    holds(&p, apart<=1 || drawn[i/PIXELS].pixels[i%PIXELS/4*4 + 3]<2, "byte %zu: %d, expected %g", i, drawn[i/PIXELS].pixels[i%PIXELS], (double)bytes[i]);
    n_apart += apart>0;
  }
  holds(&p, n_bytes==2*PIXELS && n_apart<PIXELS/50, "%d of %zu bytes differ; %s", n_apart, n_bytes, b->err.text);
  property_ok(&p, "picture: 8-bit pixels are the reference's, or next to them");
  b->run.watch = NULL;
  seen_release(&seen);
}

static void test_reference(const struct model *m){
  struct golden g;
  struct bench b;
  bench_start(&b);
  if( golden_open(&g, "picture", &b) ){
    test_golden_codes(m, &g, &b);
    test_golden_pixels(m, &g, &b);
    safetensors_close(&g.file);
  }
  bench_end(&b);
}

/* ---- The same bits in any company, on any CPU ---- */

static void test_company(const struct model *m){
  enum { N = 11 };
  struct property codes = { 0 }, pixels = { 0 };
  struct picture *pictures, drawn[N], again[N], one;
  struct tokens *rows;
  struct bench b;
  int ids[N*CODES], threaded[N*CODES], own[CODES];
  bench_start(&b);
  pictures = random_pictures(N, 1, &b.arena);
  rows = random_codes(m, N, 2, &b.arena);
  pictures_tokens(m, &b.run, pictures, N, ids);
  tokens_pictures(m, &b.run, rows, N, drawn);
  for(int i=0; i<N; i++){
    pictures_tokens(m, &b.run, &pictures[i], 1, own);
    holds(&codes, memcmp(own, ids + i*CODES, sizeof(own))==0, "picture %d alone", i);
    tokens_pictures(m, &b.run, &rows[i], 1, &one);
    holds(&pixels, memcmp(one.pixels, drawn[i].pixels, PIXELS)==0, "picture %d alone", i);
  }
  for(int n_threads=2; n_threads<=4; n_threads++){
    b.run.n_threads = n_threads;
    pictures_tokens(m, &b.run, pictures, N, threaded);
    holds(&codes, memcmp(threaded, ids, sizeof(ids))==0, "%d threads", n_threads);
    tokens_pictures(m, &b.run, rows, N, again);
    for(int i=0; i<N; i++) holds(&pixels, memcmp(again[i].pixels, drawn[i].pixels, PIXELS)==0, "picture %d on %d threads", i, n_threads);
  }
  holds(&codes, b.err.rc==SQLITE_OK, "%s", b.err.text);
  property_ok(&codes, "picture: codes are the same alone, in a batch and on threads");
  property_ok(&pixels, "picture: pixels are the same alone, in a batch and on threads, bit by bit");
  bench_end(&b);
}

/* Points before the nearest code and pixels before rounding, of every code of kernels that this CPU has. */
static void test_cpus(const struct model *m){
  static const char *const codes[] = { "plain", "avx2", "avx512", "neon" };
  struct property p = { 0 };
  uint64_t want_points = 0, want_pixels = 0;
  for(size_t c=0; c<sizeof(codes)/sizeof(codes[0]); c++){
    struct seen seen = { .width = m->config.picture.code_width };
    struct picture drawn[2];
    struct bench b;
    int ids[2*CODES];
    uint64_t points, pixels;
    if( !linear_choose(codes[c]) ) continue;
    bench_start(&b);
    b.run.watch = note;
    b.run.watch_arg = &seen;
    pictures_tokens(m, &b.run, random_pictures(2, 3, &b.arena), 2, ids);
    tokens_pictures(m, &b.run, random_codes(m, 2, 4, &b.arena), 2, drawn);
    points = hash64(seen.points, seen.n_points*sizeof(float));
    pixels = hash64(seen.pixels, seen.n_pixels*sizeof(float));
    if( c==0 ){
      want_points = points;
      want_pixels = pixels;
    }
    holds(&p, points==want_points && pixels==want_pixels, "%s: %016llx %016llx, plain %016llx %016llx", codes[c], (unsigned long long)points,
          (unsigned long long)pixels, (unsigned long long)want_points, (unsigned long long)want_pixels);
    seen_release(&seen);
    bench_end(&b);
  }
  linear_choose(NULL);
  property_ok(&p, "picture: all kernels give the bits of the plain ones");
}

/* Colours of what is clear do not count, and come out as 0; every byte from 0 to 255 may come in. */
static void test_extremes(const struct model *m){
  struct property p = { 0 };
  struct picture *pictures, drawn[8];
  struct tokens rows[8];
  struct bench b;
  int ids[8*CODES], n_clear = 0;
  bench_start(&b);
  pictures = random_pictures(8, 5, &b.arena);
  for(int i=0; i<4; i++) memset(pictures[i].pixels, i%2 ? 255 : 0, PIXELS);
  for(int k=0; k<PIXELS; k+=4){
    pictures[2].pixels[k] = pictures[2].pixels[k+1] = (unsigned char)k;         /* clear, and coloured */
    pictures[3].pixels[k+3] = 0;                                                /* clear, and white */
    pictures[4].pixels[k+3] = 1;
  }
  pictures_tokens(m, &b.run, pictures, 8, ids);
  holds(&p, memcmp(ids, ids + 2*CODES, CODES*sizeof(int))==0 && memcmp(ids, ids + 3*CODES, CODES*sizeof(int))==0, "clear pictures of different colours differ");
  holds(&p, memcmp(ids, ids + CODES, CODES*sizeof(int))!=0, "white is what nothing is");
  for(int i=0; i<8; i++) rows[i] = (struct tokens){ ids + i*CODES, CODES, 0 };
  tokens_pictures(m, &b.run, rows, 8, drawn);
  for(int i=0; i<8*SIZE*SIZE; i++){
    const unsigned char *pixel = drawn[i/SIZE/SIZE].pixels + i%(SIZE*SIZE)*4;
    if( pixel[3] ) continue;
    n_clear++;
    holds(&p, pixel[0]==0 && pixel[1]==0 && pixel[2]==0, "pixel %d is clear and has a colour", i);
  }
  holds(&p, b.err.rc==SQLITE_OK && n_clear>0, "%d clear pixels; %s", n_clear, b.err.text);
  property_ok(&p, "picture: what is clear has no colour, in and out");
  bench_end(&b);
}

/* ---- Files ---- */

static struct buf png_of(const struct picture *p, struct err *e){
  struct buf png = { 0 };
  png_write(&png, p, e);
  return png;
}

/* Content in and out: what contents_*() give is what the steps give one by one, and encoding again what came out gives the fidelity. */
static void test_contents(const struct model *m){
  enum { N = 6 };
  const int width = m->config.shape.s + m->config.shape.r;
  struct property in = { 0 }, out = { 0 }, near = { 0 };
  struct buf files[N], decoded[N] = {{0}};
  struct content contents[N], again[N];
  struct latent z[N], z_again[N];
  float fluencies[N] = { 0, 0.3f }, fidelities[N], alone, *row;
  struct picture *pictures;
  struct decode_options o;
  struct bench b;
  int ids[CODES], start[2] = { 0, CODES };
  bench_start(&b);
  decode_options_init(&o);
  row = arena_floats(&b.arena, width);
  pictures = random_pictures(N, 6, &b.arena);
  for(int i=0; i<N; i++){
    files[i] = png_of(&pictures[i], &b.err);
    contents[i] = (struct content){ files[i].data, files[i].n };
  }
  contents_encode(m, &b.run, contents, N, "test", 0, z);
  for(int i=0; i<N && b.err.rc==SQLITE_OK; i++){
    pictures_tokens(m, &b.run, &pictures[i], 1, ids);
    encode_tokens(m, &b.run, ids, start, 1, row);
    holds(&in, z[i].kind==KIND_PICTURE && z[i].n_segments==1 && z[i].fingerprint==m->config.fingerprint && z[i].width==width
          && memcmp(z[i].z, row, width*sizeof(float))==0, "picture %d", i);
  }
  property_ok(&in, "picture: a PNG's latent is that of its pixels' codes");
  contents_decode(m, &b.run, z, N, fluencies, &o, decoded, fidelities);
  for(int i=0; i<N; i++) again[i] = (struct content){ decoded[i].data, decoded[i].n };
  if( b.err.rc==SQLITE_OK ) contents_encode(m, &b.run, again, N, "test", 0, z_again);
  for(int i=0; i<N && b.err.rc==SQLITE_OK; i++){
    struct buf one = { 0 };
    struct tokens tokens;
    struct decode_options own = o;
    own.fluency = fluencies[i];
    contents_decode(m, &b.run, &z[i], 1, &fluencies[i], &o, &one, &alone);
    holds(&out, one.n>0 && one.n==decoded[i].n && memcmp(one.data, decoded[i].data, one.n)==0 && alone==fidelities[i], "picture %d", i);
    holds(&near, fidelities[i]==point_cosine(z[i].z, z_again[i].z, width), "picture %d: %g", i, (double)fidelities[i]);
    decode_tokens(m, &b.run, z[i].z, 1, &own, &tokens);
    tokens_encode(m, &b.run, &tokens, 1, 0, row);
    holds(&near, memcmp(row, z_again[i].z, width*sizeof(float))==0, "picture %d: codes again", i);
    buf_release(&one);
  }
  holds(&near, b.err.rc==SQLITE_OK, "%s", b.err.text);
  property_ok(&out, "picture: a batch of points decodes to what each gives alone");
  property_ok(&near, "picture: fidelity is that of the PNG, read again");
  for(int i=0; i<N; i++){
    buf_release(&files[i]);
    buf_release(&decoded[i]);
  }
  bench_end(&b);
}

static void test_text_content(const struct model *m){
  const struct content contents[3] = { { "One. Two.", 9 }, { NULL, 0 }, { "three", 5 } };
  static const float fluencies[3] = { 0 };
  struct buf out[3] = {{0}}, text = { 0 };
  struct decode_options o;
  struct latent z[3], direct;
  struct bench b;
  bench_start(&b);
  decode_options_init(&o);
  o.max_tokens = 5;
  contents_encode(m, &b.run, contents, 3, "test", 0, z);
  text_encode(m, &b.run, "One. Two.", 9, &direct);
  ok(b.err.rc==SQLITE_OK && z[0].n_segments==2 && memcmp(z[0].z, direct.z, 2*sizeof(float)*(size_t)direct.width)==0, "content: text is what text_encode() gives", "%s", b.err.text);
  contents_decode(m, &b.run, z, 3, fluencies, &o, out, NULL);
  text_decode(m, &b.run, &direct, &o, &text, NULL);
  ok(b.err.rc==SQLITE_OK && strcmp(buf_text(&out[0]), buf_text(&text))==0, "content: and what text_decode() gives", "\"%s\"; %s", buf_text(&out[0]), b.err.text);
  for(int i=0; i<3; i++) buf_release(&out[i]);
  buf_release(&text);
  bench_end(&b);
}

/* ---- What is refused ---- */

static void refused(struct property *p, struct bench *b, int rc, const char *text){
  holds(p, rc==SQLITE_ERROR && b->err.rc==rc && strstr(b->err.text, text)!=NULL, "%d \"%s\", expected \"%s\"", rc, b->err.text, text);
  b->err = (struct err){ 0, "" };
}

static void test_refused(const struct model *m, const struct model *text){
  struct property p = { 0 };
  const int width = m->config.shape.s + m->config.shape.r;
  struct picture drawn, small = { 32, 64, NULL };
  struct tokens *row;
  struct decode_options o;
  struct content broken = { "\x89PNG\r\n\x1a\nnot one", 15 };
  struct latent z, *points;
  struct buf out = { 0 };
  struct bench b;
  float fluency = 0, sum;
  int start[2] = { 0, CODES-1 }, *ids, *starts, n;
  bench_start(&b);
  decode_options_init(&o);
  row = random_codes(m, 1, 7, &b.arena);
  points = &(struct latent){ KIND_PICTURE, 2, width, m->config.fingerprint, random_points(m, 2, 8, &b.arena) };
  refused(&p, &b, encode_tokens(m, &b.run, row->ids, start, 1, points->z), "encode: a picture has 63 codes, expected 64");
  refused(&p, &b, score_tokens(m, &b.run, points->z, row->ids, start, 1, &sum, NULL, NULL), "score: a picture has 63 codes, expected 64");
  refused(&p, &b, pictures_tokens(m, &b.run, &small, 1, row->ids), "a picture of 32x64 pixels, expected 64x64");
  row->n--;
  refused(&p, &b, tokens_pictures(m, &b.run, row, 1, &drawn), "a picture of 63 codes, expected 64");
  row->n++;
  row->ids[5] = TOKEN_END;
  refused(&p, &b, tokens_pictures(m, &b.run, row, 1, &drawn), "code 5 of a picture is -2, expected 0 to 255");
  row->ids[5] = TOKEN_CODE + 256;
  refused(&p, &b, tokens_pictures(m, &b.run, row, 1, &drawn), "code 5 of a picture is 256, expected 0 to 255");
  refused(&p, &b, tokens_pictures(text, &b.run, row, 1, &drawn), "a model of kind text has no pictures");
  refused(&p, &b, pictures_tokens(text, &b.run, &small, 1, row->ids), "a model of kind text has no pictures");
  refused(&p, &b, text_segment(m, &b.run, "a", 1, &ids, &starts, &n), "a model of kind picture reads and writes no text");
  refused(&p, &b, text_decode(m, &b.run, points, &o, &out, NULL), "a model of kind picture reads and writes no text");
  refused(&p, &b, contents_decode(m, &b.run, points, 1, &fluency, &o, &out, NULL), "a latent of 2 segments, expected 1: a picture is one segment");
  refused(&p, &b, contents_encode(m, &b.run, &broken, 1, "argument 7", 0, &z), "argument 7");
  holds(&p, out.n==0, "%zu bytes came out", out.n);
  property_ok(&p, "picture: what is no picture is refused");
  buf_release(&out);
  bench_end(&b);
}

/* The model's JSON with one thing changed. */
static void test_broken(void){
  static const struct { const char *from, *to, *text; } cases[] = {
    { "\"picture\":{\"size\"", "\"pictures\":{\"size\"", "kind picture, but no \"picture\"" },
    { "\"channels\":[8,", "\"channels\":[0,", "picture \"channels\" is 0, expected a whole number from 1 to 512" },
    { "\"channels\":[8,", "\"channels\":[100000,", "picture \"channels\" is 100000, expected a whole number from 1 to 512" },
    { "\"channels\":[8,", "\"channels\":[1e99,", "picture \"channels\" is 1e+99" },
    { "\"channels\":[8,", "\"channels\":[\"8\",", "picture \"channels\" is not a number" },
    { "\"channels\":[8,", "\"channels\":[", "picture \"channels\" is no list of 3 numbers" },
    { "\"channels\":[8,", "\"channels\":[16,", "picture.in.weight is [16, 8], expected [16, 16]" },
    { "\"channels\":[8,8,16]", "\"channels\":[8,16,16]", "picture.encoder.1.0.norm is [8], expected [16]" },
    { "\"encoder_blocks\":[1,", "\"encoder_blocks\":[2,", "has no tensor picture.encoder.0.1.norm, expected one of [8]" },
    { "\"decoder_blocks\":[1,", "\"decoder_blocks\":[17,", "picture \"decoder_blocks\" is 17, expected a whole number from 0 to 16" },
    { "\"decoder_blocks\":[1,1,1]", "\"decoder_blocks\":1", "picture \"decoder_blocks\" is no list of 3 numbers" },
    { "\"code_width\":16", "\"code_width\":8", "picture.to_code.weight is [16, 16], expected [16, 8]" },
    { "\"code_width\":16", "\"code_width\":-1", "picture \"code_width\" is -1, expected a whole number from 1 to 256" },
    { "\"codes\":256", "\"codes\":255", "picture \"codes\" is 255, expected 4 fewer than config \"pieces\", 260" },
    { "\"size\":64", "\"size\":60", "picture \"size\" is 60, expected 8 times \"grid\", 64" },
    { "\"size\":64", "\"sizes\":64", "picture has no \"size\"" },
    { "\"grid\":8", "\"grid\":17", "picture \"grid\" is 17, expected a whole number from 1 to 16" },
    { "\"longest\":65", "\"longest\":64", "config \"longest\" is 64, expected 65" },
    { "\"longest\":65", "\"longest\":65,\"words\":7", "config \"words\" is 7, expected 0 for pictures" },
    { "\"kind\":\"picture\"", "\"kind\":\"text\"", "0 pieces, expected 260" },
    { "\"kind\":\"picture\"", "\"kind\":\"photo\"", "kind \"photo\", expected text, picture or code" },
  };
  struct property p = { 0 };
  char folder[] = "/tmp/latent-test-XXXXXX", weights[100], json[100], *data, *text;
  size_t n_data, n_text;
  if( mkdtemp(folder)==NULL ) exit(1);
  snprintf(weights, sizeof(weights), "%s/picture.safetensors", folder);
  snprintf(json, sizeof(json), "%s/picture.json", folder);
  data = file_read(path_of(MODEL), &n_data);
  text = file_read(path_of("tests/data/picture.json"), &n_text);
  file_write(weights, data, n_data);
  for(size_t i=0; i<sizeof(cases)/sizeof(cases[0]); i++){
    /* json.dumps writes [8, 8, 16] with or without spaces: golden.py without. */
    const char *at = strstr(text, cases[i].from);
    struct buf changed = { 0 };
    if( !holds(&p, at!=NULL, "%s is not in picture.json", cases[i].from) ) continue;
    buf_append(&changed, text, (size_t)(at-text));
    buf_str(&changed, cases[i].to);
    buf_str(&changed, at + strlen(cases[i].from));
    file_write(json, changed.data, changed.n);
    expect_error(&p, weights, SQLITE_CORRUPT, cases[i].text);
    buf_release(&changed);
  }
  property_ok(&p, "picture: a broken model is refused with what was expected");
  unlink(weights);
  unlink(json);
  rmdir(folder);
  free(data);
  free(text);
  ok(sqlite3_memory_used()==0, "picture: refused models leave no memory behind", "%lld bytes", (long long)sqlite3_memory_used());
}

/* Rows are 64 codes, and codes are of the codebook, whatever the weights say: all of them this binary16 number. */
static void test_nonsense(void){
  static const uint16_t halves[] = { 0x7e00, 0x7c00, 0xfbff, 0x0000 };          /* NaN, infinity, the least number, 0 */
  struct property p = { 0 };
  char folder[] = "/tmp/latent-test-XXXXXX", weights[100], json[100], *data, *text, digits[17];
  size_t n_data, n_text, header;
  if( mkdtemp(folder)==NULL ) exit(1);
  snprintf(weights, sizeof(weights), "%s/picture.safetensors", folder);
  snprintf(json, sizeof(json), "%s/picture.json", folder);
  data = file_read(path_of(MODEL), &n_data);
  text = file_read(path_of("tests/data/picture.json"), &n_text);
  header = 8 + (size_t)(unsigned char)data[0] + 256*(size_t)(unsigned char)data[1];
  for(size_t i=0; i<sizeof(halves)/sizeof(halves[0]); i++){
    struct model *m = NULL;
    struct decode_options o;
    struct picture drawn[3];
    struct tokens rows[3];
    struct bench b;
    int ids[2*CODES], good = 1;
    for(size_t at=header; at+2<=n_data; at+=2) memcpy(data+at, &halves[i], 2);
    snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)hash64(data, n_data));
    memcpy(strstr(text, "weights_hash\":\"")+15, digits, 16);
    file_write(weights, data, n_data);
    file_write(json, text, n_text);
    bench_start(&b);
    decode_options_init(&o);
    o.beams = i%2 ? 3 : 1;
    o.temperature = i==2 ? 1 : 0;
    if( model_open(&m, weights, &b.err)==SQLITE_OK && pictures_tokens(m, &b.run, random_pictures(2, 1, &b.arena), 2, ids)==SQLITE_OK ){
      for(int k=0; k<2*CODES; k++) good = good && ids[k]>=TOKEN_CODE && ids[k]<m->config.shape.pieces;
      decode_tokens(m, &b.run, random_points(m, 3, 1, &b.arena), 3, &o, rows);
      tokens_pictures(m, &b.run, rows, 3, drawn);
    }
    holds(&p, good && b.err.rc==SQLITE_OK, "%04x: codes are %sin range; %s", halves[i], good ? "" : "not ", b.err.text);
    bench_end(&b);
    model_close(m);
  }
  property_ok(&p, "picture: weights that are no sense still give pictures");
  unlink(weights);
  unlink(json);
  rmdir(folder);
  free(data);
  free(text);
}

/* ---- Interrupts, and out of memory at every allocation ---- */

struct stopper { int n_asked, stop_at, n_after, foreign; pthread_t caller; };
static int count_and_stop(void *arg){
  struct stopper *s = arg;
  s->foreign |= !pthread_equal(pthread_self(), s->caller);
  s->n_after += s->n_asked>=s->stop_at;
  return ++s->n_asked>=s->stop_at;
}

static void test_interrupt(const struct model *m, int n_threads){
  enum { N = 10 };
  struct property p = { 0 };
  char name[100];
  for(int stop_at=1; stop_at<60; stop_at+=stop_at<20 ? 1 : 7){
    for(int work=0; work<4; work++){
      struct stopper s = { 0, stop_at, 0, 0, pthread_self() };
      struct picture drawn[N], *pictures;
      struct content contents[2];
      struct buf out[2] = {{0}}, png;
      struct latent z[2];
      struct decode_options o;
      struct bench b;
      float fluencies[2] = { 0 };
      int ids[N*CODES], rc;
      bench_start(&b);
      decode_options_init(&o);
      pictures = random_pictures(N, 1, &b.arena);
      png = png_of(pictures, &b.err);
      for(int i=0; i<2; i++){
        contents[i] = (struct content){ png.data, png.n };
        z[i] = (struct latent){ KIND_PICTURE, 1, m->config.shape.s + m->config.shape.r, 0, random_points(m, 1, i+1, &b.arena) };
      }
      b.run.n_threads = n_threads;
      b.run.stop = count_and_stop;
      b.run.stop_arg = &s;
      rc = work==0 ? pictures_tokens(m, &b.run, pictures, N, ids) : work==1 ? tokens_pictures(m, &b.run, random_codes(m, N, 2, &b.arena), N, drawn)
         : work==2 ? contents_encode(m, &b.run, contents, 2, "test", 0, z) : contents_decode(m, &b.run, z, 2, fluencies, &o, out, NULL);
      if( s.n_asked>=stop_at ){
        holds(&p, rc==SQLITE_INTERRUPT && strcmp(b.err.text, "interrupted")==0 && s.n_after==0 && !s.foreign,
              "work %d stopped at question %d gives %d \"%s\", asked %d times more, from another thread: %d", work, stop_at, rc, b.err.text, s.n_after, s.foreign);
      }else{
        holds(&p, rc==SQLITE_OK && !s.foreign && (s.n_asked>2 || n_threads>1), "work %d, asked %d times and never stopped, gives %d", work, s.n_asked, rc);
      }
      for(int i=0; i<2; i++) buf_release(&out[i]);
      buf_release(&png);
      bench_end(&b);
    }
  }
  snprintf(name, sizeof(name), "picture: an interrupt ends the work at once, on %d thread%s", n_threads, n_threads>1 ? "s" : "");
  property_ok(&p, name);
}

/* Everything a picture model does, once: file is a PNG. */
static int whole_work(const char *path, const struct buf *file){
  struct content contents[2] = { { file->data, file->n }, { file->data, file->n } };
  struct model *m = NULL;
  struct latent z[2];
  struct buf out[2] = {{0}};
  struct decode_options o;
  struct bench b;
  float fluencies[2] = { 0, 0.5f }, fidelities[2];
  int rc;
  bench_start(&b);
  decode_options_init(&o);
  o.best_of = 2;
  rc = model_open(&m, path, &b.err);
  if( rc==SQLITE_OK ) rc = contents_encode(m, &b.run, contents, 2, "test", 0, z);
  if( rc==SQLITE_OK ) rc = contents_decode(m, &b.run, z, 2, fluencies, &o, out, fidelities);
  for(int i=0; i<2; i++) buf_release(&out[i]);
  bench_end(&b);
  model_close(m);
  return rc;
}

static void test_memory(void){
  struct property p = { 0 };
  struct err e = { 0, "" };
  struct bench b;
  struct buf file;
  long long before;
  int rc = SQLITE_NOMEM, n;
  bench_start(&b);
  file = png_of(random_pictures(2, 9, &b.arena) + 1, &e);
  before = sqlite3_memory_used();
  for(n=0; rc==SQLITE_NOMEM && n<5000; n++){
    fault_set(n+1, 1);
    rc = whole_work(path_of(MODEL), &file);
    fault_set(0, 0);
    holds(&p, (rc==SQLITE_OK || rc==SQLITE_NOMEM) && sqlite3_memory_used()==before, "allocation %d fails: rc %d, %lld bytes left", n, rc,
          (long long)sqlite3_memory_used()-before);
  }
  holds(&p, rc==SQLITE_OK && n>20, "ended with rc %d after %d allocations", rc, n);
  property_ok(&p, "picture: every allocation may fail: NOMEM, and nothing leaks");
  buf_release(&file);
  bench_end(&b);
}

int main(int argc, char **argv){
  struct err e = { 0, "" };
  struct model *m = NULL, *text = NULL;
  if( argc>1 ) root = argv[1];
  if( fault_install()!=SQLITE_OK ) return 2;
  test_broken();
  test_nonsense();
  test_memory();
  model_open(&m, path_of(MODEL), &e);
  model_open(&text, path_of("tests/data/tiny.safetensors"), &e);
  if( !ok(e.rc==SQLITE_OK, "picture: the tiny models open", "%s", e.text) ) return 1;
  test_reference(m);
  test_company(m);
  test_cpus(m);
  test_extremes(m);
  test_contents(m);
  test_text_content(text);
  test_refused(m, text);
  test_interrupt(m, 1);
  test_interrupt(m, 3);
  model_close(m);
  model_close(text);
  ok(sqlite3_memory_used()==0, "picture: nothing is left at the end", "%lld bytes", (long long)sqlite3_memory_used());
  return n_not_ok ? 1 : 0;
}
