/*
** test_model_picture.c -- pictures through the model layer: the network and the prior against the
** PyTorch reference and against themselves, files in and files out.
**
** The model is the tiny one of tests/data; the golden values come from model/golden.py. What the
** engine promises about itself (batches, threads, CPUs) is compared bit by bit. At the end the
** shipped model draws pictures of examples/pictures as the reference does.
*/
#include "fault.h"
#include "model_golden.h"
#include <cjson/cJSON.h>
#include <sqlite3.h>
#include <unistd.h>

#define MODEL "tests/data/picture.safetensors"
enum { SIZE = 64, PIXELS = SIZE*SIZE*4 };

static struct picture picture_of(unsigned char *pixels){
  return (struct picture){ SIZE, SIZE, pixels };
}

static int same_floats(const float *a, const float *b, size_t n){
  return memcmp(a, b, n*sizeof(float))==0;
}

/* Byte k of a picture of few colours and alphas. */
static unsigned char plain_byte(int k){
  int column = k/4%SIZE/16;
  int lines = k/1024%7;
  return (unsigned char)((column + lines)*(k%4 + 1)*17);
}

/* n pictures of random pixels, one in three of few colours and alphas. */
static struct picture *random_pictures(int n, uint64_t seed, struct arena *a){
  struct picture *p = arena_get(a, (size_t)n*sizeof(*p));
  struct random random = random_of(seed);
  for(int i=0; i<n; i++){
    p[i] = picture_of(arena_get(a, PIXELS));
    for(int k=0; k<PIXELS; k++){
      p[i].pixels[k] = i%3 ? (unsigned char)random_u64(&random) : plain_byte(k);
    }
  }
  return p;
}

/* n wishes: for an s and a style in turn, and both, and neither. */
static struct wish *random_wishes(const struct model *m, int n, uint64_t seed, struct arena *a){
  struct wish *wishes = arena_zeroed(a, (size_t)n*sizeof(*wishes));
  const float *z = random_points(m, n, seed, a);
  for(int i=0; i<n; i++){
    const float *own = z + (size_t)i*model_width(m);
    wishes[i].seed = seed + (uint64_t)i;
    if( i%2 ) wishes[i].s = own;
    if( i/2%2 ) wishes[i].like = own + model_s(m);
  }
  return wishes;
}

/* A copy of the tiny model, to be broken, in a folder of its own. */
struct copy {
  char folder[40];
  char weights[100], json[100];         /* paths */
  char *data, *text;                    /* what they hold */
  size_t n_data, n_text;
};

static void copy_make(struct copy *c){
  strcpy(c->folder, "/tmp/latent-test-XXXXXX");
  if( mkdtemp(c->folder)==NULL ) exit(1);
  snprintf(c->weights, sizeof(c->weights), "%s/picture.safetensors", c->folder);
  snprintf(c->json, sizeof(c->json), "%s/picture.json", c->folder);
  c->data = file_read(path_of(MODEL), &c->n_data);
  c->text = file_read(path_of("tests/data/picture.json"), &c->n_text);
}

static void copy_remove(struct copy *c){
  unlink(c->weights);
  unlink(c->json);
  rmdir(c->folder);
  free(c->data);
  free(c->text);
}

/* ---- Against the reference ---- */

struct seen {                           /* what has passed by */
  const char *stack;                    /* of which stack and layer */
  int layer;
  int width;                            /* of a row of it */
  float *x;
  size_t n;                             /* floats */
};

static void note_seen(void *arg, const char *stack, int layer, const float *x, int rows){
  struct seen *s = arg;
  size_t more = (size_t)rows*s->width;
  if( strcmp(stack, s->stack)!=0 || layer!=s->layer ) return;
  s->x = realloc(s->x, (s->n + more)*sizeof(float));
  memcpy(s->x + s->n, x, more*sizeof(float));
  s->n += more;
}

static void test_golden_points(const struct model *m, struct golden *g, struct bench *b){
  size_t n_bytes;
  const float *bytes = golden_floats(g, "pictures", &n_bytes);
  int n = (int)(n_bytes/PIXELS);
  size_t count = (size_t)n*model_width(m);
  struct picture *pictures = arena_get(&b->arena, (size_t)n*sizeof(*pictures));
  float *z = arena_floats(&b->arena, count);
  for(int i=0; i<n; i++){
    const float *own = bytes + (size_t)i*PIXELS;
    pictures[i] = picture_of(arena_get(&b->arena, PIXELS));
    for(int k=0; k<PIXELS; k++) pictures[i].pixels[k] = (unsigned char)own[k];
  }
  pictures_encode(m, &b->run, pictures, n, z);
  golden_compare(g, "z", z, count);
}

static void test_golden_pixels(const struct model *m, struct golden *g, struct bench *b){
  struct seen seen = { .stack = "pixels", .width = 16 };
  struct property p = { 0 };
  struct picture *drawn;
  size_t n_z, n_bytes;
  const float *z = golden_floats(g, "z", &n_z);
  const float *bytes = golden_floats(g, "drawn", &n_bytes);
  int n = (int)(n_z/(size_t)model_width(m));
  int n_apart = 0;
  drawn = arena_get(&b->arena, (size_t)n*sizeof(*drawn));
  b->run.watch = note_seen;
  b->run.watch_arg = &seen;
  pictures_decode(m, &b->run, z, n, 1, drawn);
  golden_compare(g, "pixels", seen.x, seen.n);
  for(size_t i=0; i<n_bytes; i++){
    const unsigned char *pixels = drawn[i/PIXELS].pixels;
    int byte = pixels[i%PIXELS];
    int alpha = pixels[i%PIXELS/4*4 + 3];
    int apart = abs(byte - (int)bytes[i]);
    /* What is nearly clear has hardly any colour: there a float's last bit makes another one. */
    holds(&p, apart<=1 || alpha<2, "byte %zu: %d, expected %g", i, byte, (double)bytes[i]);
    n_apart += apart>0;
  }
  holds(&p, n_bytes==(size_t)n*PIXELS && n_apart<n*PIXELS/50, "%d of %zu bytes differ; %s",
        n_apart, n_bytes, b->err.text);
  property_ok(&p, "picture: 8-bit pixels are the reference's, or next to them");
  b->run.watch = NULL;
  free(seen.x);
}

static void test_golden_prior(const struct model *m, struct golden *g, struct bench *b){
  size_t n_s, n_like;
  const float *s = golden_floats(g, "s", &n_s);
  const float *like = golden_floats(g, "like", &n_like);
  int r = m->config.shape.r;
  int n = (int)(n_like/(size_t)r);
  float *drawn = arena_floats(&b->arena, n_like);
  struct wish wishes[4] = { { 0 } };
  char name[24];
  for(int i=0; i<n && i<4; i++){
    const float *own_s = s + i*model_s(m);
    const float *own_like = like + i*r;
    wishes[i].seed = (uint64_t)i;
    if( dot(own_s, own_s, model_s(m))>0 ) wishes[i].s = own_s;
    if( dot(own_like, own_like, r)>0 ) wishes[i].like = own_like;
  }
  for(int step=0; step<m->config.picture.prior.steps; step++){
    struct seen seen = { .stack = "prior", .layer = step, .width = r };
    b->run.watch = note_seen;
    b->run.watch_arg = &seen;
    details_draw(m, &b->run, wishes, n, 2, drawn);
    snprintf(name, sizeof(name), "prior.%d", step);
    golden_compare(g, name, seen.x, seen.n);
    free(seen.x);
  }
  b->run.watch = NULL;
  golden_compare(g, "r", drawn, n_like);
}

static void test_reference(const struct model *m){
  struct golden g;
  struct bench b;
  bench_start(&b);
  if( golden_open(&g, "picture", &b) ){
    test_golden_points(m, &g, &b);
    test_golden_pixels(m, &g, &b);
    test_golden_prior(m, &g, &b);
    safetensors_close(&g.file);
  }
  bench_end(&b);
}

/* ---- The same bits in any company, on any CPU ---- */

static void test_company(const struct model *m){
  enum { N = 37 };
  const size_t width = (size_t)model_width(m);
  const size_t r = (size_t)m->config.shape.r;
  struct property points = { 0 };
  struct property pixels = { 0 };
  struct property details = { 0 };
  struct picture *pictures, drawn[N], again[N], one;
  struct wish *wishes;
  struct bench b;
  float *z, *own, *many, *drawn_r, *again_r;
  bench_start(&b);
  pictures = random_pictures(N, 1, &b.arena);
  wishes = random_wishes(m, N, 2, &b.arena);
  z = arena_floats(&b.arena, N*width);
  many = arena_floats(&b.arena, N*width);
  own = arena_floats(&b.arena, width);
  drawn_r = arena_floats(&b.arena, N*r);
  again_r = arena_floats(&b.arena, N*r);
  pictures_encode(m, &b.run, pictures, N, z);
  pictures_decode(m, &b.run, z, N, 1, drawn);
  details_draw(m, &b.run, wishes, N, 2, drawn_r);
  for(int i=0; i<N; i++){
    pictures_encode(m, &b.run, &pictures[i], 1, own);
    holds(&points, same_floats(own, z + i*width, width), "picture %d alone", i);
    pictures_decode(m, &b.run, z + i*width, 1, 1, &one);
    holds(&pixels, memcmp(one.pixels, drawn[i].pixels, PIXELS)==0, "picture %d alone", i);
    details_draw(m, &b.run, &wishes[i], 1, 2, own);
    holds(&details, same_floats(own, drawn_r + i*r, r), "wish %d alone", i);
  }
  for(int n_threads=2; n_threads<=4; n_threads++){
    b.run.n_threads = n_threads;
    pictures_encode(m, &b.run, pictures, N, many);
    holds(&points, same_floats(many, z, N*width), "%d threads", n_threads);
    pictures_decode(m, &b.run, z, N, 1, again);
    for(int i=0; i<N; i++){
      holds(&pixels, memcmp(again[i].pixels, drawn[i].pixels, PIXELS)==0,
            "picture %d on %d threads", i, n_threads);
    }
    details_draw(m, &b.run, wishes, N, 2, again_r);
    holds(&details, same_floats(again_r, drawn_r, N*r), "%d threads", n_threads);
  }
  holds(&points, b.err.rc==SQLITE_OK, "%s", b.err.text);
  property_ok(&points, "picture: points are the same alone, in a batch and on threads");
  property_ok(&pixels, "picture: pixels are the same alone, in a batch and on threads, bit by bit");
  property_ok(&details, "picture: what is drawn is the same alone, in a batch and on threads");
  bench_end(&b);
}

/* Points, pixels before rounding, and what is drawn, of every kind of kernels that this CPU has. */
static void test_cpus(const struct model *m){
  static const char *const kernels[] = { "plain", "avx2", "avx512", "neon" };
  struct property p = { 0 };
  unsigned long long want[3] = { 0 };
  for(size_t c=0; c<sizeof(kernels)/sizeof(kernels[0]); c++){
    struct seen seen = { .stack = "pixels", .width = 16 };
    struct picture drawn[2];
    struct bench b;
    float *z, *r;
    unsigned long long have[3];
    if( !linear_choose(kernels[c]) ) continue;
    bench_start(&b);
    z = arena_floats(&b.arena, 2*(size_t)model_width(m));
    r = arena_floats(&b.arena, 4*(size_t)m->config.shape.r);
    b.run.watch = note_seen;
    b.run.watch_arg = &seen;
    pictures_encode(m, &b.run, random_pictures(2, 3, &b.arena), 2, z);
    pictures_decode(m, &b.run, z, 2, 1, drawn);
    details_draw(m, &b.run, random_wishes(m, 4, 4, &b.arena), 4, 3, r);
    have[0] = hash64(z, 2*(size_t)model_width(m)*sizeof(float));
    have[1] = hash64(seen.x, seen.n*sizeof(float));
    have[2] = hash64(r, 4*(size_t)m->config.shape.r*sizeof(float));
    if( c==0 ) memcpy(want, have, sizeof(want));
    for(int i=0; i<3; i++){
      holds(&p, have[i]==want[i], "%s: %d: %016llx, plain %016llx", kernels[c], i, have[i],
            want[i]);
    }
    free(seen.x);
    bench_end(&b);
  }
  linear_choose(NULL);
  property_ok(&p, "picture: all kernels give the bits of the plain ones");
}

/* No wish at all is what guidance 0 makes of any wish; guidance 1 is the wish alone. */
static void test_guidance(const struct model *m){
  const size_t r = (size_t)m->config.shape.r;
  struct property p = { 0 };
  struct wish *wishes, none[4] = { { 0 } };
  struct bench b;
  float *a, *c;
  bench_start(&b);
  wishes = random_wishes(m, 4, 3, &b.arena);
  a = arena_floats(&b.arena, 4*r);
  c = arena_floats(&b.arena, 4*r);
  for(int i=0; i<4; i++) none[i].seed = wishes[i].seed;
  details_draw(m, &b.run, wishes, 4, 0, a);
  details_draw(m, &b.run, none, 4, 1, c);
  holds(&p, same_floats(a, c, 4*r), "guidance 0 is not what no wish gives");
  details_draw(m, &b.run, wishes, 4, 1, a);
  holds(&p, same_floats(a, c, r) && !same_floats(a + r, c + r, r), "a wish makes no difference");
  for(int i=0; i<4; i++){
    float length = sqrtf(dot(a + i*r, a + i*r, (int)r));
    holds(&p, fabsf(length - 1)<1e-5f, "r %d has length %g", i, (double)length);
  }
  property_ok(&p, "picture: guidance leads from no wish to the wish");
  bench_end(&b);
}

/* Pictures 0 and 1 become nothing and white; 2 and 3 clear, but coloured and white; 4 nearly
** clear. */
static void make_extremes(struct picture *pictures){
  for(int i=0; i<4; i++) memset(pictures[i].pixels, i%2 ? 255 : 0, PIXELS);
  for(int k=0; k<PIXELS; k+=4){
    pictures[2].pixels[k] = (unsigned char)k;
    pictures[2].pixels[k+1] = (unsigned char)k;
    pictures[3].pixels[k+3] = 0;
    pictures[4].pixels[k+3] = 1;
  }
}

/* Colours of what is clear do not count, and come out as 0. Every byte from 0 to 255 may come
** in. */
static void test_extremes(const struct model *m){
  enum { N = 8 };
  const size_t width = (size_t)model_width(m);
  struct property p = { 0 };
  struct picture *pictures, drawn[N];
  struct bench b;
  float *z;
  int n_clear = 0;
  bench_start(&b);
  pictures = random_pictures(N, 5, &b.arena);
  z = arena_floats(&b.arena, N*width);
  make_extremes(pictures);
  pictures_encode(m, &b.run, pictures, N, z);
  holds(&p, same_floats(z, z + 2*width, width) && same_floats(z, z + 3*width, width),
        "clear pictures of different colours differ");
  holds(&p, !same_floats(z, z + width, width), "white is what nothing is");
  pictures_decode(m, &b.run, z, N, 1, drawn);
  for(int i=0; i<N*SIZE*SIZE; i++){
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

static struct content content_of(const struct buf *file){
  return (struct content){ file->data, file->n };
}

static int same_bytes(const struct buf *a, const struct buf *b){
  return a->n>0 && a->n==b->n && memcmp(a->data, b->data, a->n)==0;
}

/* Is z the latent of a picture of this model, with these numbers? */
static int is_latent(const struct model *m, const struct latent *z, const float *expected){
  size_t width = (size_t)model_width(m);
  return z->kind==KIND_PICTURE && z->n_segments==1 && z->width==(int)width
      && z->fingerprint==m->config.fingerprint
      && memcmp(z->z, expected, width*sizeof(float))==0;
}

/* Content in and out: what contents_encode() and contents_decode() give is what the steps give one
** by one, and encoding again what came out gives the fidelity. */
static void test_contents(const struct model *m){
  enum { N = 6 };
  const int width = model_width(m);
  const size_t bytes = (size_t)width*sizeof(float);
  struct property in = { 0 };
  struct property out = { 0 };
  struct property near = { 0 };
  struct buf files[N], decoded[N] = { { 0 } };
  struct content contents[N], again[N];
  struct latent z[N], z_again[N];
  float fluencies[N] = { 0, 0.3f };
  float fidelities[N], alone, *row;
  struct picture *pictures;
  struct decode_options o;
  struct bench b;
  bench_start(&b);
  decode_options_init(&o);
  row = arena_floats(&b.arena, width);
  pictures = random_pictures(N, 6, &b.arena);
  for(int i=0; i<N; i++){
    files[i] = png_of(&pictures[i], &b.err);
    contents[i] = content_of(&files[i]);
  }
  contents_encode(m, &b.run, contents, N, "test", 0, z);
  for(int i=0; i<N && b.err.rc==SQLITE_OK; i++){
    pictures_encode(m, &b.run, &pictures[i], 1, row);
    holds(&in, is_latent(m, &z[i], row), "picture %d", i);
  }
  property_ok(&in, "picture: a PNG's latent is that of its pixels");
  contents_decode(m, &b.run, z, N, fluencies, &o, decoded, fidelities);
  for(int i=0; i<N; i++) again[i] = content_of(&decoded[i]);
  if( b.err.rc==SQLITE_OK ) contents_encode(m, &b.run, again, N, "test", 0, z_again);
  for(int i=0; i<N && b.err.rc==SQLITE_OK; i++){
    struct buf one = { 0 };
    struct picture picture;
    float fidelity = point_cosine(z[i].z, z_again[i].z, width);
    contents_decode(m, &b.run, &z[i], 1, &fluencies[i], &o, &one, &alone);
    holds(&out, same_bytes(&one, &decoded[i]) && alone==fidelities[i], "picture %d", i);
    holds(&near, fidelities[i]==fidelity, "picture %d: %g", i, (double)fidelities[i]);
    pictures_decode(m, &b.run, z[i].z, 1, 1, &picture);
    pictures_reread(m, &b.run, &picture, 1, row);
    holds(&near, memcmp(row, z_again[i].z, bytes)==0, "picture %d: pixels again", i);
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
  struct buf out[3] = { { 0 } };
  struct buf text = { 0 };
  struct decode_options o;
  struct latent z[3], direct;
  struct bench b;
  int good;
  bench_start(&b);
  decode_options_init(&o);
  o.max_tokens = 5;
  contents_encode(m, &b.run, contents, 3, "test", 0, z);
  text_encode(m, &b.run, "One. Two.", 9, &direct);
  good = b.err.rc==SQLITE_OK && z[0].n_segments==2;
  good = good && memcmp(z[0].z, direct.z, 2*sizeof(float)*(size_t)direct.width)==0;
  ok(good, "content: text is what text_encode() gives", "%s", b.err.text);
  contents_decode(m, &b.run, z, 3, fluencies, &o, out, NULL);
  text_decode(m, &b.run, &direct, &o, &text, NULL);
  good = b.err.rc==SQLITE_OK && strcmp(buf_text(&out[0]), buf_text(&text))==0;
  ok(good, "content: and what text_decode() gives", "\"%s\"; %s", buf_text(&out[0]), b.err.text);
  for(int i=0; i<3; i++) buf_release(&out[i]);
  buf_release(&text);
  bench_end(&b);
}

/* ---- What is refused ---- */

/* The call that gave rc was refused with a message that has `text` in it. */
static void refused(struct property *p, struct bench *b, int rc, const char *text){
  int good = rc==SQLITE_ERROR && b->err.rc==rc && strstr(b->err.text, text)!=NULL;
  holds(p, good, "%d \"%s\", expected \"%s\"", rc, b->err.text, text);
  b->err = (struct err){ 0 };
}

static void test_refused(const struct model *m, const struct model *text){
  struct property p = { 0 };
  struct picture drawn, small = { 32, 64, NULL };
  struct decode_options o;
  struct content broken = { "\x89PNG\r\n\x1a\nnot one", 15 };
  struct latent z, two = latent_of(m, 2);
  struct buf out = { 0 };
  struct bench b;
  float fluency = 0;
  int *ids, *starts, n, rc;
  bench_start(&b);
  decode_options_init(&o);
  two.z = random_points(m, 2, 8, &b.arena);
  rc = pictures_encode(m, &b.run, &small, 1, two.z);
  refused(&p, &b, rc, "a picture of 32x64 pixels, expected 64x64");
  rc = pictures_decode(text, &b.run, two.z, 1, 1, &drawn);
  refused(&p, &b, rc, "a model of kind text has no pictures");
  rc = pictures_encode(text, &b.run, &small, 1, two.z);
  refused(&p, &b, rc, "a model of kind text has no pictures");
  rc = text_segment(m, &b.run, "a", 1, &ids, &starts, &n);
  refused(&p, &b, rc, "a model of kind picture reads and writes no text");
  rc = text_decode(m, &b.run, &two, &o, &out, NULL);
  refused(&p, &b, rc, "a model of kind picture reads and writes no text");
  rc = contents_decode(m, &b.run, &two, 1, &fluency, &o, &out, NULL);
  refused(&p, &b, rc, "a latent of 2 segments, expected 1: a picture is one segment");
  rc = contents_encode(m, &b.run, &broken, 1, "argument 7", 0, &z);
  refused(&p, &b, rc, "argument 7");
  holds(&p, out.n==0, "%zu bytes came out", out.n);
  property_ok(&p, "picture: what is no picture is refused");
  buf_release(&out);
  bench_end(&b);
}

/* The model's JSON with one thing changed: `from` to `to`. text: what is then said. */
static void test_broken(void){
  static const struct { const char *from, *to, *text; } cases[] = {
    { "\"picture\":{\"size\"", "\"pictures\":{\"size\"", "kind picture, but no \"picture\"" },
    { "\"channels\":[8,", "\"channels\":[0,",
      "picture \"channels\" is 0, expected a whole number from 1 to 512" },
    { "\"channels\":[8,", "\"channels\":[100000,",
      "picture \"channels\" is 100000, expected a whole number from 1 to 512" },
    { "\"channels\":[8,", "\"channels\":[1e99,", "picture \"channels\" is 1e+99" },
    { "\"channels\":[8,", "\"channels\":[\"8\",", "picture \"channels\" is not a number" },
    { "\"channels\":[8,", "\"channels\":[", "picture \"channels\" is no list of 4 numbers" },
    { "\"channels\":[8,", "\"channels\":[16,", "in.weight is [16, 8], expected [16, 16]" },
    { "\"channels\":[8,8,", "\"channels\":[8,16,",
      "encoder.1.0.norm is [8], expected [16]" },
    { "\"encoder_blocks\":[1,", "\"encoder_blocks\":[2,",
      "has no tensor encoder.0.1.norm, expected one of [8]" },
    { "\"decoder_blocks\":[1,", "\"decoder_blocks\":[17,",
      "picture \"decoder_blocks\" is 17, expected a whole number from 0 to 16" },
    { "\"decoder_blocks\":[1,1,1,1]", "\"decoder_blocks\":1",
      "picture \"decoder_blocks\" is no list of 4 numbers" },
    { "\"hidden\":24", "\"hidden\":23", "to_hidden.weight is [256, 24], expected [256, 23]" },
    { "\"style\":8", "\"style\":0",
      "picture \"style\" is 0, expected a whole number from 1 to 256" },
    { "\"size\":64", "\"size\":60", "picture \"size\" is 60, expected a multiple of 16" },
    { "\"size\":64", "\"size\":48", "to_r.weight is [256, 32], expected [144, 32]" },
    { "\"size\":64", "\"sizes\":64", "picture has no \"size\"" },
    { "\"names\":[\"a cat\",", "\"names\":[", "names is [3, 16], expected [2, 16]" },
    { "\"names\":[\"a cat\",", "\"names\":[7,", "picture \"names\" has what is no string" },
    { "\"names\":", "\"name\":", "picture \"names\" is no list of 1 to 65535 names" },
    { "\"prior\":{", "\"priors\":{", "picture \"prior\" has no \"width\"" },
    { "\"steps\":4", "\"steps\":5", "prior.time is [4, 48], expected [5, 48]" },
    { "\"blocks\":2", "\"blocks\":3", "has no tensor prior.2.norm, expected one of [48]" },
    { "\"s\":16", "\"s\":8", "to_s.weight is [24, 16], expected [24, 8]" },
    { "\"r\":32", "\"r\":5000", "config \"r\" is 5000, expected a whole number from 1 to 4096" },
    { "\"r\":32", "\"r\":4096", "config \"s\" and \"r\" are 4112 together" },
    { "\"kind\":\"picture\"", "\"kind\":\"text\"", "config has no \"d\"" },
    { "\"kind\":\"picture\"", "\"kind\":\"photo\"",
      "kind \"photo\", expected text, picture or code" },
  };
  struct property p = { 0 };
  struct copy c;
  copy_make(&c);
  file_write(c.weights, c.data, c.n_data);
  for(size_t i=0; i<sizeof(cases)/sizeof(cases[0]); i++){
    const char *from = cases[i].from;
    const char *at = strstr(c.text, from);              /* golden.py writes no spaces */
    struct buf changed = { 0 };
    if( !holds(&p, at!=NULL, "%s is not in picture.json", from) ) continue;
    buf_append(&changed, c.text, (size_t)(at - c.text));
    buf_str(&changed, cases[i].to);
    buf_str(&changed, at + strlen(from));
    file_write(c.json, changed.data, changed.n);
    expect_error(&p, c.weights, SQLITE_CORRUPT, cases[i].text);
    buf_release(&changed);
  }
  property_ok(&p, "picture: a broken model is refused with what was expected");
  copy_remove(&c);
  ok(sqlite3_memory_used()==0, "picture: refused models leave no memory behind", "%lld bytes",
     (long long)sqlite3_memory_used());
}

/* All weights become this binary16 number, and the JSON their hash. */
static void fill_weights(struct copy *c, uint16_t half){
  const unsigned char *length = (const unsigned char *)c->data;
  size_t header = 8 + (size_t)length[0] + 256*(size_t)length[1];
  char digits[17];
  for(size_t at=header; at+2<=c->n_data; at+=2) memcpy(c->data + at, &half, 2);
  snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)hash64(c->data, c->n_data));
  memcpy(strstr(c->text, "weights_hash\":\"") + 15, digits, 16);
  file_write(c->weights, c->data, c->n_data);
  file_write(c->json, c->text, c->n_text);
}

/* They would spread to every point, and to the latents that are stored. */
static void test_not_finite(struct copy *c){
  static const uint16_t halves[] = { 0x7e00, 0xfe01, 0x7c00, 0xfc00 };
  struct property p = { 0 };
  for(size_t i=0; i<sizeof(halves)/sizeof(halves[0]); i++){
    fill_weights(c, halves[i]);
    expect_error(&p, c->weights, SQLITE_CORRUPT, "has a number that is infinite or NaN");
  }
  property_ok(&p, "picture: weights with an infinite number or NaN are refused");
}

/* Pictures have their size and may be drawn, whatever the weights say. */
static void test_nonsense(void){
  /* the greatest number, the one nearest to 0, the least, 0 */
  static const uint16_t halves[] = { 0x7bff, 0x0001, 0xfbff, 0x0000 };
  struct property p = { 0 };
  struct copy c;
  copy_make(&c);
  for(size_t i=0; i<sizeof(halves)/sizeof(halves[0]); i++){
    struct model *m = NULL;
    struct picture drawn[3];
    struct bench b;
    uint64_t seed = i;
    float *z;
    fill_weights(&c, halves[i]);
    bench_start(&b);
    model_open(&m, c.weights, &b.err);
    if( m ){
      z = arena_floats(&b.arena, 3*(size_t)model_width(m));
      pictures_encode(m, &b.run, random_pictures(3, 1, &b.arena), 3, z);
      pictures_decode(m, &b.run, z, 3, 1, drawn);
      pictures_sample(m, &b.run, &seed, 1, z);
    }
    holds(&p, m && b.err.rc==SQLITE_OK, "%04x: %s", halves[i], b.err.text);
    bench_end(&b);
    model_close(m);
  }
  property_ok(&p, "picture: weights that are no sense still give pictures");
  test_not_finite(&c);
  copy_remove(&c);
}

/* ---- Interrupts, and out of memory at every allocation ---- */

enum { WORK_ENCODE, WORK_DECODE, WORK_DRAW, WORK_CONTENTS_IN, WORK_CONTENTS_OUT, N_WORK };

static int do_work(const struct model *m, struct bench *b, int work, const struct buf *png){
  enum { N = 10 };
  static const float fluencies[2] = { 0 };
  struct picture drawn[N];
  struct content contents[2];
  struct latent z[2];
  struct buf out[2] = { { 0 } };
  struct decode_options o;
  float *points = random_points(m, N, 2, &b->arena);
  int rc;
  decode_options_init(&o);
  for(int i=0; i<2; i++){
    contents[i] = content_of(png);
    z[i] = latent_of(m, 1);
    z[i].z = random_points(m, 1, i + 1, &b->arena);
  }
  switch( work ){
    case WORK_ENCODE:
      rc = pictures_encode(m, &b->run, random_pictures(N, 1, &b->arena), N, points);
      break;
    case WORK_DECODE:
      rc = pictures_decode(m, &b->run, points, N, 1, drawn);
      break;
    case WORK_DRAW:
      rc = details_draw(m, &b->run, random_wishes(m, N, 3, &b->arena), N, 2, points);
      break;
    case WORK_CONTENTS_IN:
      rc = contents_encode(m, &b->run, contents, 2, "test", 0, z);
      break;
    default:
      rc = contents_decode(m, &b->run, z, 2, fluencies, &o, out, NULL);
      break;
  }
  for(int i=0; i<2; i++) buf_release(&out[i]);
  return rc;
}

/* Stops some work when it asks for the stop_at-th time. */
static void interrupt_work(struct property *p, const struct model *m, int n_threads, int stop_at,
                           int work){
  struct stopper s = { .stop_at = stop_at, .caller = pthread_self() };
  struct bench b;
  struct buf png;
  int rc;
  bench_start(&b);
  png = png_of(random_pictures(1, 1, &b.arena), &b.err);
  b.run.n_threads = n_threads;
  b.err.stop = count_and_stop;
  b.err.stop_arg = &s;
  rc = do_work(m, &b, work, &png);
  if( s.n_asked>=stop_at ){
    int told = rc==SQLITE_INTERRUPT && strcmp(b.err.text, "interrupted")==0;
    holds(p, told && s.n_after==0 && !s.is_foreign,
          "work %d stopped at question %d gives %d \"%s\", asked %d times more, from another "
          "thread: %d", work, stop_at, rc, b.err.text, s.n_after, s.is_foreign);
  }else{
    holds(p, rc==SQLITE_OK && !s.is_foreign && (s.n_asked>2 || n_threads>1),
          "work %d, asked %d times and never stopped, gives %d", work, s.n_asked, rc);
  }
  buf_release(&png);
  bench_end(&b);
}

static void test_interrupt(const struct model *m, int n_threads){
  struct property p = { 0 };
  char name[100];
  for(int stop_at=1; stop_at<60; stop_at+=stop_at<20 ? 1 : 7){
    for(int work=0; work<N_WORK; work++) interrupt_work(&p, m, n_threads, stop_at, work);
  }
  snprintf(name, sizeof(name), "picture: an interrupt ends the work at once, on %d thread%s",
           n_threads, n_threads>1 ? "s" : "");
  property_ok(&p, name);
}

/* Everything that a picture model does, once. file is a PNG. */
static int whole_work(const char *path, const struct buf *file){
  struct content contents[2] = { content_of(file), content_of(file) };
  struct model *m = NULL;
  struct latent z[2];
  struct buf out[2] = { { 0 } };
  struct decode_options o;
  struct bench b;
  float fluencies[2] = { 0, 0.5f };
  float fidelities[2];
  uint64_t seed = 1;
  int rc;
  bench_start(&b);
  decode_options_init(&o);
  rc = model_open(&m, path, &b.err);
  if( rc==SQLITE_OK ) rc = contents_encode(m, &b.run, contents, 2, "test", 0, z);
  if( rc==SQLITE_OK ) rc = contents_decode(m, &b.run, z, 2, fluencies, &o, out, fidelities);
  if( rc==SQLITE_OK ) rc = pictures_sample(m, &b.run, &seed, 1, z[0].z);
  for(int i=0; i<2; i++) buf_release(&out[i]);
  bench_end(&b);
  model_close(m);
  return rc;
}

static void test_memory(void){
  struct property p = { 0 };
  struct err e = { 0 };
  struct bench b;
  struct buf file;
  long long before;
  int rc = SQLITE_NOMEM;
  int n;
  bench_start(&b);
  file = png_of(random_pictures(2, 9, &b.arena) + 1, &e);
  before = sqlite3_memory_used();
  for(n=0; rc==SQLITE_NOMEM && n<5000; n++){
    long long left;
    fault_set(n + 1, 1);
    rc = whole_work(path_of(MODEL), &file);
    fault_set(0, 0);
    left = sqlite3_memory_used() - before;
    holds(&p, (rc==SQLITE_OK || rc==SQLITE_NOMEM) && left==0,
          "allocation %d fails: rc %d, %lld bytes left", n, rc, left);
  }
  holds(&p, rc==SQLITE_OK && n>20, "ended with rc %d after %d allocations", rc, n);
  property_ok(&p, "picture: every allocation may fail: NOMEM, and nothing leaks");
  buf_release(&file);
  bench_end(&b);
}

/* ---- The shipped model ---- */

/* A PNG of examples/pictures: its point, some bytes of what that decodes to, and what is drawn for
** its s in its style. */
static void check_shipped(struct property *p, const struct model *m, const cJSON *golden,
                          float guidance){
  const char *file = golden_string(golden, "file");
  const cJSON *pixels = cJSON_GetObjectItem(golden, "pixels");
  const cJSON *byte;
  int s = model_s(m);
  int r = m->config.shape.r;
  struct wish wish = { .seed = 1 };
  struct picture drawn;
  struct content content;
  struct latent z;
  struct bench b;
  float *like;
  int at = 0;
  int n_apart = 0;
  char *bytes = file_read(path_of(file), &content.n);
  content.bytes = bytes;
  bench_start(&b);
  like = arena_floats(&b.arena, (size_t)r);
  if( contents_encode(m, &b.run, &content, 1, file, 0, &z)==SQLITE_OK ){
    wish.s = z.z;
    wish.like = z.z + s;
    pictures_decode(m, &b.run, z.z, 1, 1, &drawn);
    details_draw(m, &b.run, &wish, 1, guidance, like);
  }
  if( b.err.rc==SQLITE_OK ){
    holds(p, sketch_agrees(cJSON_GetObjectItem(golden, "s"), z.z, s), "%s: s", file);
    holds(p, sketch_agrees(cJSON_GetObjectItem(golden, "r"), z.z + s, r), "%s: r", file);
    holds(p, sketch_agrees(cJSON_GetObjectItem(golden, "like"), like, r), "%s: drawn", file);
    cJSON_ArrayForEach(byte, pixels){
      n_apart += abs(drawn.pixels[257*at++] - (int)cJSON_GetNumberValue(byte))>1;
    }
    holds(p, at>60 && n_apart==0, "%s: %d of %d bytes differ", file, n_apart, at);
  }
  holds(p, b.err.rc==SQLITE_OK, "%s", b.err.text);
  bench_end(&b);
  free(bytes);
}

static void test_shipped(void){
  const char *path = path_of("model/picture.safetensors");
  struct property p = { 0 };
  struct err e = { 0 };
  struct model *m;
  const cJSON *c;
  cJSON *golden;
  int is_same;
  if( access(path, R_OK)!=0 ){
    printf("# model/picture.safetensors is not there: no shipped pictures to compare\n");
    return;
  }
  model_open(&m, path, &e);
  if( !ok(m!=NULL, "picture: the shipped model opens", "%s", e.text) ) return;
  golden = golden_of(m, "tests/data/golden_shipped_picture.json",
                     "picture: the golden pictures are of the shipped weights", &is_same);
  if( is_same ){
    float guidance = (float)golden_number(golden, "guidance");
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(golden, "pictures")){
      check_shipped(&p, m, c, guidance);
    }
    property_ok(&p, "picture: example pictures have the reference's points, pixels and drawings");
  }
  cJSON_Delete(golden);
  model_close(m);
}

int main(int argc, char **argv){
  struct err e = { 0 };
  struct model *m = NULL;
  struct model *text = NULL;
  if( argc>1 ) root = argv[1];
  if( fault_install()!=SQLITE_OK ) return 2;
  test_broken();
  test_nonsense();
  test_memory();
  model_open(&m, path_of(MODEL), &e);
  model_open(&text, path_of("tests/data/tiny.safetensors"), &e);
  if( !ok(m && text, "picture: the tiny models open", "%s", e.text) ) return 1;
  test_reference(m);
  test_company(m);
  test_cpus(m);
  test_guidance(m);
  test_extremes(m);
  test_contents(m);
  test_text_content(text);
  test_refused(m, text);
  test_interrupt(m, 1);
  test_interrupt(m, 3);
  model_close(m);
  model_close(text);
  test_shipped();
  ok(sqlite3_memory_used()==0, "picture: nothing is left at the end", "%lld bytes",
     (long long)sqlite3_memory_used());
  return n_not_ok ? 1 : 0;
}
