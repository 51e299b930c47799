/*
** test_model.c -- the model layer against the PyTorch reference, and against itself.
**
** Two models: the tiny one of tests/data (every layer compared) and the shipped one (end to end). The golden values come from
** model/golden.py. Float sums of the two sides differ in order, hence tolerances of 1e-4 of the largest value compared; what the engine
** promises about itself (batches, threads, both ends of a line) is compared bit by bit.
*/
#include "model.h"
#include "ok.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *root = ".";

/* What one call needs, in one place: a test starts it, uses it, ends it. */
struct bench {
  struct err err;
  struct arena arena;
  struct run run;
};
static void bench_start(struct bench *b){
  memset(b, 0, sizeof(*b));
  b->run.arena = &b->arena;
  b->run.err = &b->err;
  b->run.n_threads = 1;
}
static void bench_end(struct bench *b){ arena_release(&b->arena); }

static const char *path_of(const char *name){
  static char path[4][1000];
  static int at;
  at = (at+1)%4;
  snprintf(path[at], sizeof(path[at]), "%s/%s", root, name);
  return path[at];
}

/* A whole file, 0-terminated; the test program ends without it. Owned by the caller. */
static char *file_read(const char *path, size_t *n){
  FILE *f = fopen(path, "rb");
  char *data;
  if( f==NULL ){
    printf("not ok - model: %s can be read: it cannot\n", path);
    exit(1);
  }
  fseek(f, 0, SEEK_END);
  *n = (size_t)ftell(f);
  rewind(f);
  data = malloc(*n+1);
  if( data==NULL || fread(data, 1, *n, f)!=*n ) exit(1);
  data[*n] = 0;
  fclose(f);
  return data;
}
static void file_write(const char *path, const void *data, size_t n){
  FILE *f = fopen(path, "wb");
  if( f==NULL || fwrite(data, 1, n, f)!=n || fclose(f)!=0 ) exit(1);
}

/* The greatest difference, as a share of the greatest value. */
static float difference(const float *x, const float *y, size_t n){
  float most = 0, scale = 1e-6f;
  for(size_t i=0; i<n; i++){
    float apart = fabsf(x[i]-y[i]);
    if( !(apart<=most) ) most = apart;                          /* a NaN counts */
    if( fabsf(y[i])>scale ) scale = fabsf(y[i]);
  }
  return most/scale;
}

static float *random_points(const struct model *m, int n, uint64_t seed, struct arena *a){
  const struct shape *c = &m->config.shape;
  float *z = arena_floats(a, (size_t)n*(c->s + c->r));
  struct random random = random_of(seed);
  for(int i=0; i<n*(c->s + c->r); i++) z[i] = random_normal(&random);
  for(int i=0; i<n; i++){
    normalize(z + (size_t)i*(c->s+c->r), c->s);
    normalize(z + (size_t)i*(c->s+c->r) + c->s, c->r);
  }
  return z;
}

/* n token rows of 0 to longest-1 random ids: start[n+1], ids. */
static void random_rows(const struct model *m, int n, uint64_t seed, struct arena *a, int **ids, int **start){
  const struct shape *c = &m->config.shape;
  struct random random = random_of(seed);
  *ids = arena_get(a, (size_t)n*c->longest*sizeof(int));
  *start = arena_get(a, (size_t)(n+1)*sizeof(int));
  (*start)[0] = 0;
  for(int i=0; i<n; i++){
    int count = (int)(random_u64(&random)%(uint64_t)c->longest);
    for(int k=0; k<count; k++) (*ids)[(*start)[i]+k] = TOKEN_BYTE + (int)(random_u64(&random)%(uint64_t)(c->pieces-TOKEN_BYTE));
    (*start)[i+1] = (*start)[i] + count;
  }
}

static int same_tokens(const struct tokens *a, const struct tokens *b){
  return a->n==b->n && a->log_probability==b->log_probability && memcmp(a->ids, b->ids, (size_t)a->n*sizeof(int))==0;
}

/* ---- Opening ---- */

struct opener { const char *path; struct model *m; };
static void *open_once(void *arg){
  struct opener *o = arg;
  struct err e = { 0, "" };
  model_open(&o->m, o->path, &e);
  return NULL;
}

static void test_open(const char *path){
  enum { N = 8 };
  struct opener openers[N];
  pthread_t threads[N];
  int same = 1;
  for(int i=0; i<N; i++){
    openers[i] = (struct opener){ path, NULL };
    pthread_create(&threads[i], NULL, open_once, &openers[i]);
  }
  for(int i=0; i<N; i++) pthread_join(threads[i], NULL);
  for(int i=0; i<N; i++) same = same && openers[i].m!=NULL && openers[i].m==openers[0].m;
  ok(same && openers[0].m->n_users==N, "model: eight threads that open one path get one copy", "%d references",
     openers[0].m ? openers[0].m->n_users : 0);
  for(int i=0; i<N; i++) model_close(openers[i].m);
  model_close(NULL);
  ok(sqlite3_memory_used()==0, "model: the last close frees everything", "%lld bytes are left", (long long)sqlite3_memory_used());
}

static void expect_error(struct property *p, const char *path, int rc, const char *text){
  struct err e = { 0, "" };
  struct model *m;
  model_open(&m, path, &e);
  holds(p, m==NULL && e.rc==rc && strstr(e.text, text)!=NULL, "rc %d \"%s\", expected %d \"%s\"", e.rc, e.text, rc, text);
  model_close(m);
}

/* The tiny model's JSON with one number changed, or its weights with one byte changed, in a folder of their own. */
static void test_broken(void){
  struct property p = { 0 };
  char folder[] = "/tmp/latent-test-XXXXXX", weights[100], json[100], *data, *text, *at;
  size_t n_data, n_text;
  if( mkdtemp(folder)==NULL ) exit(1);
  snprintf(weights, sizeof(weights), "%s/tiny.safetensors", folder);
  snprintf(json, sizeof(json), "%s/tiny.json", folder);
  data = file_read(path_of("tests/data/tiny.safetensors"), &n_data);
  text = file_read(path_of("tests/data/tiny.json"), &n_text);
  expect_error(&p, "/tmp/no-such-latent.safetensors", SQLITE_CANTOPEN, "no-such-latent.safetensors");
  file_write(weights, data, n_data);
  expect_error(&p, weights, SQLITE_CANTOPEN, "tiny.json");
  file_write(json, text, n_text);
  expect_error(&p, json, SQLITE_CANTOPEN, "ends in .safetensors");
  data[n_data-1] ^= 1;
  file_write(weights, data, n_data);
  expect_error(&p, weights, SQLITE_CORRUPT, "the file is altered or of another model");
  data[n_data-1] ^= 1;
  file_write(weights, data, n_data/2);
  expect_error(&p, weights, SQLITE_CORRUPT, "tiny.safetensors");
  file_write(weights, data, n_data);
  if( (at = strstr(text, "\"memory\": 4"))==NULL ) at = strstr(text, "\"memory\":4");
  if( at ){
    char *digit = strchr(at, '4');
    *digit = '8';
    file_write(json, text, n_text);
    expect_error(&p, weights, SQLITE_CORRUPT, "tiny.safetensors: memory.weight is [48, 256], expected [48, 512]");
    *digit = '4';
  }
  if( (at = strstr(text, "\"encoder_layers\": 2"))==NULL ) at = strstr(text, "\"encoder_layers\":2");
  if( at ){
    *strchr(at, '2') = '3';
    file_write(json, text, n_text);
    expect_error(&p, weights, SQLITE_CORRUPT, "tiny.safetensors: has no tensor encoder.2.attention_norm, expected one of [64]");
  }
  holds(&p, p.n_cases==7, "%d cases, expected 7", p.n_cases);
  property_ok(&p, "model: a broken model is refused with the file and what was expected");
  unlink(weights);
  unlink(json);
  rmdir(folder);
  free(data);
  free(text);
  ok(sqlite3_memory_used()==0, "model: refused models leave no memory behind", "%lld bytes", (long long)sqlite3_memory_used());
}

/* ---- The tiny model, layer by layer ---- */

#define TOLERANCE 1e-4f

struct golden { struct safetensors file; struct arena *arena; };

/* Tensor `name` as floats; *n numbers. Its absence is a failed test and an empty array. */
static const float *golden_floats(struct golden *g, const char *name, size_t *n){
  const struct tensor *t = safetensors_find(&g->file, name);
  float *x;
  *n = t ? (size_t)(t->shape[0]*t->shape[1]) : 0;
  if( t==NULL ) ok(0, "model: golden_tiny has all tensors", "%s is missing: run python3 model/golden.py", name);
  x = arena_floats(g->arena, *n+1);
  if( t ) tensor_to_floats(x, t);
  return x;
}
static int *golden_ints(struct golden *g, const char *name, size_t *n){
  const float *x = golden_floats(g, name, n);
  int *i = arena_get(g->arena, (*n+1)*sizeof(int));
  for(size_t k=0; k<*n; k++) i[k] = (int)x[k];
  return i;
}
static void golden_compare(struct golden *g, const char *what, const float *x, size_t n){
  size_t n_golden;
  const float *y = golden_floats(g, what, &n_golden);
  float apart = n==n_golden ? difference(x, y, n) : INFINITY;
  char name[100];
  snprintf(name, sizeof(name), "model: tiny %s is the reference's", what);
  ok(apart<TOLERANCE, name, "%zu numbers for %zu, apart by %g of the greatest", n, n_golden, (double)apart);
}

/* Notes layers as they pass by. Rows of a chunk arrive in order, chunks too while there is one thread. */
struct layers { float *x[2][8]; size_t n[2][8], d; };
static void note_layer(void *arg, const char *stack, int layer, const float *x, int rows){
  struct layers *all = arg;
  int decoder = strcmp(stack, "decoder")==0;
  size_t *n = &all->n[decoder][layer];
  float **to = &all->x[decoder][layer];
  *to = realloc(*to, (*n + (size_t)rows*all->d)*sizeof(float));
  memcpy(*to + *n, x, (size_t)rows*all->d*sizeof(float));
  *n += (size_t)rows*all->d;
}

static void compare_layers(struct golden *g, struct layers *all, int decoder, int n_layers){
  for(int l=0; l<n_layers; l++){
    char name[32];
    snprintf(name, sizeof(name), "%s.%d", decoder ? "decoder" : "encoder", l);
    golden_compare(g, name, all->x[decoder][l], all->n[decoder][l]);
    free(all->x[decoder][l]);
  }
}

static void compare_greedy(struct golden *g, struct bench *b, const struct model *m, const float *z, int n, float fluency){
  struct property p = { 0 };
  struct decode_options o;
  struct tokens *out = arena_get(&b->arena, n*sizeof(struct tokens));
  char name[40];
  size_t n_ids, n_start;
  int *ids, *start, digit = (int)lroundf(fluency*10);
  snprintf(name, sizeof(name), "greedy.%d", digit);
  ids = golden_ints(g, name, &n_ids);
  snprintf(name, sizeof(name), "greedy.%d.start", digit);
  start = golden_ints(g, name, &n_start);
  decode_options_init(&o);
  o.fluency = fluency;
  decode_tokens(m, &b->run, z, n, &o, out);
  for(int i=0; i<n && n_start==(size_t)n+1; i++){
    int count = start[i+1]-start[i];
    if( count==0 ) continue;                                    /* a near tie: golden.py left it out */
    holds(&p, out[i].n==count && memcmp(out[i].ids, ids+start[i], count*sizeof(int))==0, "row %d has %d ids for %d", i, out[i].n, count);
  }
  snprintf(name, sizeof(name), "model: tiny greedy rows at fluency 0.%d", digit);
  property_ok(&p, name);
}

static void test_golden_tiny(const struct model *m){
  const struct shape *c = &m->config.shape;
  struct layers all = { { { 0 } }, { { 0 } }, (size_t)c->d };
  struct memories memories;
  struct golden g;
  struct bench b;
  float *z, *sums, *log_p, *s, *r, *panel;
  int *ids, *start, n, width = c->s + c->r;
  size_t n_ids, n_start;
  bench_start(&b);
  g.arena = &b.arena;
  if( !ok(safetensors_open(&g.file, path_of("tests/data/golden_tiny.safetensors"), &b.err)==SQLITE_OK, "model: golden_tiny opens", "%s", b.err.text) ) return;
  ids = golden_ints(&g, "ids", &n_ids);
  start = golden_ints(&g, "start", &n_start);
  n = (int)n_start-1;
  z = arena_floats(&b.arena, (size_t)n*width);
  s = arena_floats(&b.arena, (size_t)n*c->s);
  r = arena_floats(&b.arena, (size_t)n*c->r);
  sums = arena_floats(&b.arena, n);
  log_p = arena_floats(&b.arena, n_ids+n);
  panel = arena_floats(&b.arena, LINEAR_SCRATCH(1024));
  b.run.watch = note_layer;
  b.run.watch_arg = &all;
  encode_tokens(m, &b.run, ids, start, n, z);
  compare_layers(&g, &all, 0, c->encoder_layers);
  for(int i=0; i<n; i++){
    memcpy(s + (size_t)i*c->s, z + (size_t)i*width, c->s*sizeof(float));
    memcpy(r + (size_t)i*c->r, z + (size_t)i*width + c->s, c->r*sizeof(float));
  }
  golden_compare(&g, "s", s, (size_t)n*c->s);
  golden_compare(&g, "r", r, (size_t)n*c->r);
  memories_init(&memories, m, n, &b.arena);
  memories_fill(&memories, m, 0, z, n, 1, panel);
  golden_compare(&g, "memory", memories.expanded, (size_t)n*c->memory*c->d);
  score_tokens(m, &b.run, z, ids, start, n, sums, log_p);
  compare_layers(&g, &all, 1, c->decoder_layers);
  golden_compare(&g, "log_p", log_p, n_ids+n);
  b.run.watch = NULL;
  compare_greedy(&g, &b, m, z, n, 0);
  compare_greedy(&g, &b, m, z, n, 0.3f);
  ok(b.err.rc==SQLITE_OK, "model: tiny golden without an error", "%s", b.err.text);
  safetensors_close(&g.file);
  bench_end(&b);
}

/* ---- The shipped model, end to end ---- */

static double number_of(const cJSON *object, const char *name){ return cJSON_GetNumberValue(cJSON_GetObjectItem(object, name)); }
static const char *text_of(const cJSON *object, const char *name){
  const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
  return text ? text : "(absent)";
}

/* golden.py: sketch() */
static int sketch_agrees(const cJSON *sketch, const float *x, int n){
  const cJSON *first = cJSON_GetObjectItem(sketch, "first");
  double dot = 0;
  for(int i=0; i<8; i++){
    if( fabs(cJSON_GetNumberValue(cJSON_GetArrayItem(first, i)) - x[i])>TOLERANCE ) return 0;
  }
  for(int i=0; i<n; i++) dot += x[i]*(i*37%101 - 50)/50.0;
  return fabs(dot - number_of(sketch, "dot"))<1e-3;
}

struct shipped_golden { struct property ids, points, texts, scores, middles; };

static void check_sentence(struct shipped_golden *p, const struct model *m, const cJSON *c){
  const char *text = text_of(c, "text");
  const cJSON *ids = cJSON_GetObjectItem(c, "ids");
  int n_golden = cJSON_GetArraySize(ids), *have, *start, n, same, s = m->config.shape.s;
  struct decode_options o;
  struct buf out = { 0 };
  struct latent z;
  struct bench b;
  float mean = 0;
  bench_start(&b);
  decode_options_init(&o);
  text_segment(m, &b.run, text, strlen(text), &have, &start, &n);
  same = n==1 && start[1]==n_golden;
  for(int i=0; same && i<n_golden; i++) same = have[i]==(int)cJSON_GetNumberValue(cJSON_GetArrayItem(ids, i));
  holds(&p->ids, same, "%s", text);
  text_encode(m, &b.run, text, strlen(text), &z);
  if( b.err.rc==SQLITE_OK ){
    holds(&p->points, sketch_agrees(cJSON_GetObjectItem(c, "s"), z.z, s) && sketch_agrees(cJSON_GetObjectItem(c, "r"), z.z+s, z.width-s), "%s", text);
    text_decode(m, &b.run, &z, &o, &out, NULL);
    holds(&p->texts, strcmp(buf_text(&out), text_of(c, "decoded"))==0, "\"%s\", expected \"%s\"", buf_text(&out), text_of(c, "decoded"));
    text_score(m, &b.run, text, strlen(text), &z, &mean);
    mean *= (float)(n_golden+1);
    holds(&p->scores, fabs(mean - number_of(c, "log_p"))<1e-3*(1 + fabs(mean)), "%g, expected %g", (double)mean, number_of(c, "log_p"));
  }
  holds(&p->points, b.err.rc==SQLITE_OK, "%s", b.err.text);
  buf_release(&out);
  bench_end(&b);
}

static void check_middle(struct shipped_golden *p, const struct model *m, const cJSON *c, float fluency){
  const char *from = text_of(c, "a"), *to = text_of(c, "b");
  struct decode_options o;
  struct buf out = { 0 };
  struct latent a, z, middle;
  struct bench b;
  bench_start(&b);
  decode_options_init(&o);
  o.fluency = fluency;
  if( text_encode(m, &b.run, from, strlen(from), &a)==SQLITE_OK && text_encode(m, &b.run, to, strlen(to), &z)==SQLITE_OK
   && point_interp(&middle, &a, &z, 0.5f, m->config.shape.s, &b.arena, &b.err)==SQLITE_OK ){
    text_decode(m, &b.run, &middle, &o, &out, NULL);
  }
  holds(&p->middles, strcmp(buf_text(&out), text_of(c, "decoded"))==0, "\"%s\", expected \"%s\" %s", buf_text(&out), text_of(c, "decoded"), b.err.text);
  buf_release(&out);
  bench_end(&b);
}

static void test_golden_text(const struct model *m){
  size_t n;
  char *text = file_read(path_of("tests/data/golden_text.json"), &n), hash[20];
  cJSON *golden = cJSON_ParseWithLength(text, n);
  const cJSON *c;
  struct shipped_golden p;
  memset(&p, 0, sizeof(p));
  free(text);
  snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)m->config.weights_hash);
  if( ok(strcmp(hash, text_of(golden, "weights_hash"))==0, "model: the golden values are of the shipped weights",
         "they are of %s, these are %s: run python3 model/golden.py", text_of(golden, "weights_hash"), hash) ){
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(golden, "sentences")) check_sentence(&p, m, c);
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(golden, "middles")) check_middle(&p, m, c, (float)number_of(golden, "fluency"));
    property_ok(&p.ids, "model: shipped sentences have the reference's tokens");
    property_ok(&p.points, "model: shipped sentences have the reference's points");
    property_ok(&p.texts, "model: shipped points decode to the reference's texts");
    property_ok(&p.scores, "model: shipped sentences have the reference's log-probabilities");
    property_ok(&p.middles, "model: shipped middles with fluency decode to the reference's texts");
  }
  cJSON_Delete(golden);
}

/* ---- Batches, threads, caches ---- */

static void test_encode_rows(const struct model *m){
  enum { N = 150 };
  const int width = m->config.shape.s + m->config.shape.r;
  struct property alone = { 0 };
  struct bench b;
  float *z, *one, *threaded;
  int *ids, *start, row[2];
  bench_start(&b);
  random_rows(m, N, 1, &b.arena, &ids, &start);
  z = arena_floats(&b.arena, (size_t)N*width);
  threaded = arena_floats(&b.arena, (size_t)N*width);
  one = arena_floats(&b.arena, width);
  encode_tokens(m, &b.run, ids, start, N, z);
  for(int i=0; i<N; i++){
    row[0] = 0;
    row[1] = start[i+1]-start[i];
    encode_tokens(m, &b.run, ids+start[i], row, 1, one);
    holds(&alone, memcmp(one, z + (size_t)i*width, width*sizeof(float))==0, "row %d of %d tokens", i, row[1]);
  }
  property_ok(&alone, "model: encoding a batch equals its rows one by one, bit by bit");
  b.run.n_threads = 4;
  encode_tokens(m, &b.run, ids, start, N, threaded);
  ok(memcmp(z, threaded, (size_t)N*width*sizeof(float))==0, "model: encoding on four threads equals one, bit by bit", "it differs");
  start[1] = start[0] + m->config.shape.longest;
  ok(encode_tokens(m, &b.run, ids, start, 1, z)==SQLITE_TOOBIG, "model: a row that is too long is refused", "%s", b.err.text);
  bench_end(&b);
}

struct way { const char *name; int beams, best_of, max_tokens; float temperature, fluency, detail; };
static const struct way ways[] = {
  { "greedy", 1, 1, 0, 0, 0, 1 },
  { "greedy with fluency", 1, 1, 0, 0, 0.3f, 0.5f },
  { "sampling", 1, 1, 0, 0.8f, 0, 1 },
  { "sampling with fluency", 1, 1, 9, 0.8f, 0.3f, 1 },
  { "beams", 5, 1, 0, 0, 0, 1 },
  { "beams with fluency", 32, 1, 7, 0, 0.3f, 1 },
  { "best-of", 1, 5, 0, 0, 0, 1 },
  { "best-of beams", 3, 4, 9, 0.9f, 0.2f, 1 },
};
#define N_WAYS ((int)(sizeof(ways)/sizeof(ways[0])))

static struct decode_options options_of(const struct way *w){
  struct decode_options o;
  decode_options_init(&o);
  o.beams = w->beams;
  o.best_of = w->best_of;
  o.max_tokens = w->max_tokens;
  o.temperature = w->temperature;
  o.fluency = w->fluency;
  o.detail = w->detail;
  o.seed = 42;
  return o;
}

static void test_decode_rows(const struct model *m, const struct way *way){
  enum { N = 70 };
  const int width = m->config.shape.s + m->config.shape.r;
  struct property alone = { 0 }, threaded = { 0 }, whole = { 0 };
  struct decode_options o = options_of(way), mine = o;
  struct tokens all[N], again[N], one;
  struct bench b;
  char name[120];
  float *z;
  bench_start(&b);
  z = random_points(m, N, 7, &b.arena);
  decode_tokens(m, &b.run, z, N, &o, all);
  for(int i=0; i<N; i++){
    int limit = o.max_tokens ? o.max_tokens : m->config.shape.longest-1, good = all[i].n>=0 && all[i].n<=limit;
    for(int k=0; good && k<all[i].n; k++) good = all[i].ids[k]>TOKEN_UNKNOWN && all[i].ids[k]<m->config.shape.pieces;
    holds(&whole, good && b.err.rc==SQLITE_OK, "row %d has %d ids; %s", i, all[i].n, b.err.text);
    mine.seed = decode_seed(o.seed, i);
    decode_tokens(m, &b.run, z + (size_t)i*width, 1, &mine, &one);
    holds(&alone, same_tokens(&one, &all[i]), "row %d", i);
  }
  b.run.n_threads = 4;
  decode_tokens(m, &b.run, z, N, &o, again);
  for(int i=0; i<N; i++) holds(&threaded, same_tokens(&again[i], &all[i]), "row %d", i);
  snprintf(name, sizeof(name), "model: %s: a batch equals its rows one by one, bit by bit", way->name);
  property_ok(&alone, name);
  snprintf(name, sizeof(name), "model: %s: four threads equal one, bit by bit", way->name);
  property_ok(&threaded, name);
  snprintf(name, sizeof(name), "model: %s: ids are in range and within the limit", way->name);
  property_ok(&whole, name);
  bench_end(&b);
}

/* Cached decoding says how likely its result is; full decoding must agree. */
static void test_cache(const struct model *m, const struct way *way){
  enum { N = 40 };
  struct decode_options o = options_of(way);
  struct tokens out[N];
  struct property p = { 0 };
  struct bench b;
  float *z, sums[N];
  int *ids, start[N+1];
  char name[120];
  bench_start(&b);
  z = random_points(m, N, 9, &b.arena);
  ids = arena_get(&b.arena, (size_t)N*m->config.shape.longest*sizeof(int));
  decode_tokens(m, &b.run, z, N, &o, out);
  start[0] = 0;
  for(int i=0; i<N; i++){
    memcpy(ids+start[i], out[i].ids, (size_t)out[i].n*sizeof(int));
    start[i+1] = start[i] + out[i].n;
  }
  score_tokens(m, &b.run, z, ids, start, N, sums, NULL);
  for(int i=0; i<N; i++){
    float apart = fabsf(sums[i]-out[i].log_probability);
    holds(&p, apart<=1e-4f*(1+fabsf(sums[i])), "row %d: %g cached, %g full", i, (double)out[i].log_probability, (double)sums[i]);
  }
  snprintf(name, sizeof(name), "model: %s: cached decoding equals full decoding", way->name);
  property_ok(&p, name);
  bench_end(&b);
}

/* ---- Beam search against a dumb one ---- */

enum { BEAMS = 3, LIMIT = 3 };
struct hypothesis { int ids[LIMIT+1], n; float sum; };

/* log p of every token after the ids of h, by full decoding of h and that token. */
static void all_continuations(const struct model *m, struct bench *b, const float *z, const struct hypothesis *h, float *log_p){
  int pieces = m->config.shape.pieces, width = m->config.shape.s + m->config.shape.r, n = h->n+1;
  struct arena_mark mark = arena_mark(&b->arena);
  float *points = arena_floats(&b->arena, (size_t)pieces*width), *sums = arena_floats(&b->arena, pieces);
  float *all = arena_floats(&b->arena, (size_t)pieces*(n+1));
  int *ids = arena_get(&b->arena, (size_t)pieces*n*sizeof(int)), *start = arena_get(&b->arena, (pieces+1)*sizeof(int));
  for(int t=0; t<=pieces; t++){
    start[t] = t*n;
    if( t==pieces ) break;
    memcpy(points + (size_t)t*width, z, width*sizeof(float));
    memcpy(ids + t*n, h->ids, h->n*sizeof(int));
    ids[t*n + n-1] = t;
  }
  score_tokens(m, &b->run, points, ids, start, pieces, sums, all);
  for(int t=0; t<pieces; t++) log_p[t] = all[t*(n+1) + n-1];
  arena_rewind(&b->arena, mark);
}

/* The rule of model_decode.c's head comment with whole copies and no cache. */
static struct hypothesis dumb_beams(const struct model *m, struct bench *b, const float *z){
  struct hypothesis live[BEAMS], best = { { 0 }, -1, 0 };
  int n_live = 1, left = BEAMS, pieces = m->config.shape.pieces;
  float *log_p = arena_floats(&b->arena, (size_t)BEAMS*pieces);
  live[0] = (struct hypothesis){ { 0 }, 0, 0 };
  while( n_live>0 ){
    struct hypothesis next[BEAMS];
    int n_next = 0, n_taken = left;
    for(int i=0; i<n_live; i++) all_continuations(m, b, z, &live[i], log_p + (size_t)i*pieces);
    for(int k=0; k<n_taken; k++){
      int from = -1, token = 0;
      float most = -INFINITY;
      for(int i=0; i<n_live; i++){
        for(int t=TOKEN_END; t<pieces; t++){
          float sum = live[i].sum + log_p[(size_t)i*pieces + t];
          if( t==TOKEN_UNKNOWN || (live[i].n==LIMIT && t!=TOKEN_END) || sum<=most ) continue;
          most = sum;
          from = i;
          token = t;
        }
      }
      if( from<0 ) break;
      log_p[(size_t)from*pieces + token] = -INFINITY;
      if( token!=TOKEN_END ){
        next[n_next] = live[from];
        next[n_next].ids[next[n_next].n++] = token;
        next[n_next++].sum = most;
        continue;
      }
      left--;
      if( best.n<0 || most/(live[from].n+1) > best.sum/(best.n+1) ){
        best = live[from];
        best.sum = most;
      }
    }
    n_live = n_next;
    memcpy(live, next, sizeof(live));
  }
  return best;
}

static void test_beams(const struct model *m){
  enum { N = 3 };
  const int width = m->config.shape.s + m->config.shape.r;
  struct property p = { 0 };
  struct decode_options o;
  struct tokens out[N];
  struct bench b;
  float *z;
  bench_start(&b);
  decode_options_init(&o);
  o.beams = BEAMS;
  o.max_tokens = LIMIT;
  z = random_points(m, N, 21, &b.arena);
  decode_tokens(m, &b.run, z, N, &o, out);
  for(int i=0; i<N; i++){
    struct hypothesis h = dumb_beams(m, &b, z + (size_t)i*width);
    holds(&p, h.n==out[i].n && memcmp(h.ids, out[i].ids, h.n*sizeof(int))==0 && fabsf(h.sum-out[i].log_probability)<1e-3f,
          "row %d: %d ids of %g, expected %d of %g", i, out[i].n, (double)out[i].log_probability, h.n, (double)h.sum);
  }
  property_ok(&p, "model: beam search gives what a dumb one gives");
  bench_end(&b);
}

/* Best-of never gets further from the asked point than its own first candidate. */
static void test_best_of(const struct model *m){
  enum { N = 12 };
  const int width = m->config.shape.s + m->config.shape.r;
  struct property p = { 0 };
  struct decode_options o;
  struct tokens one[N], best[N];
  struct bench b;
  float *z, *near, *nearer;
  int n_better = 0;
  bench_start(&b);
  z = random_points(m, N, 5, &b.arena);
  near = arena_floats(&b.arena, (size_t)N*width);
  nearer = arena_floats(&b.arena, (size_t)N*width);
  decode_options_init(&o);
  decode_tokens(m, &b.run, z, N, &o, one);
  o.best_of = 8;
  decode_tokens(m, &b.run, z, N, &o, best);
  tokens_encode(m, &b.run, one, N, near);
  tokens_encode(m, &b.run, best, N, nearer);
  for(int i=0; i<N; i++){
    float x = point_cosine(z + (size_t)i*width, near + (size_t)i*width, width), y = point_cosine(z + (size_t)i*width, nearer + (size_t)i*width, width);
    holds(&p, y>=x, "row %d: %g after %g", i, (double)y, (double)x);
    n_better += y>x;
  }
  property_ok(&p, "model: best-of is at least as near as greedy");
  ok(n_better>0 && b.err.rc==SQLITE_OK, "model: best-of finds nearer texts", "for none of %d points; %s", N, b.err.text);
  bench_end(&b);
}

static void test_seeds(const struct model *m){
  enum { N = 10 };
  struct decode_options o;
  struct tokens a[N], c[N];
  struct bench b;
  float *z;
  int n_same = 0;
  bench_start(&b);
  z = random_points(m, N, 3, &b.arena);
  decode_options_init(&o);
  o.temperature = 1;
  o.seed = 1;
  decode_tokens(m, &b.run, z, N, &o, a);
  o.seed = 2;
  decode_tokens(m, &b.run, z, N, &o, c);
  for(int i=0; i<N; i++) n_same += same_tokens(&a[i], &c[i]);
  ok(n_same<N/2, "model: another seed gives other samples", "%d of %d are the same", n_same, N);
  bench_end(&b);
}

/* ---- Interrupts ---- */

struct stopper { int n_asked, stop_at, n_after, foreign; pthread_t caller; };
static int count_and_stop(void *arg){
  struct stopper *s = arg;
  s->foreign |= !pthread_equal(pthread_self(), s->caller);
  s->n_after += s->n_asked>=s->stop_at;
  return ++s->n_asked>=s->stop_at;
}

static void test_interrupt(const struct model *m, int n_threads){
  struct property p = { 0 };
  char name[100];
  for(int stop_at=1; stop_at<200; stop_at+=stop_at<20 ? 1 : 17){
    for(int work=0; work<3; work++){
      struct stopper s = { 0, stop_at, 0, 0, pthread_self() };
      struct decode_options o;
      struct tokens out[80];
      struct bench b;
      float *z, *again;
      int *ids, *start, rc;
      bench_start(&b);
      decode_options_init(&o);
      o.best_of = work==2 ? 4 : 1;
      random_rows(m, 80, 5, &b.arena, &ids, &start);
      z = random_points(m, 80, 6, &b.arena);
      again = arena_floats(&b.arena, 80*(size_t)(m->config.shape.s + m->config.shape.r));
      b.run.n_threads = n_threads;
      b.run.stop = count_and_stop;
      b.run.stop_arg = &s;
      rc = work==0 ? encode_tokens(m, &b.run, ids, start, 80, again) : decode_tokens(m, &b.run, z, 80, &o, out);
      if( s.n_asked>=stop_at ){
        holds(&p, rc==SQLITE_INTERRUPT && strcmp(b.err.text, "interrupted")==0 && s.n_after==0 && !s.foreign,
              "work %d stopped at question %d gives %d \"%s\", asked %d times more, from another thread: %d", work, stop_at, rc, b.err.text, s.n_after, s.foreign);
      }else{
        holds(&p, rc==SQLITE_OK && !s.foreign, "work %d, never stopped, gives %d", work, rc);
      }
      bench_end(&b);
    }
  }
  snprintf(name, sizeof(name), "model: an interrupt ends the work at once, on %d thread%s", n_threads, n_threads>1 ? "s" : "");
  property_ok(&p, name);
}

/* ---- Segments ---- */

/* The segments' bytes joined are a space and the text; no segment is empty or too long. */
static int segments_lossless(const struct model *m, const char *text, size_t n, int *n_segments){
  struct buf joined = { 0 };
  struct bench b;
  int *ids, *start, good;
  bench_start(&b);
  good = text_segment(m, &b.run, text, n, &ids, &start, n_segments)==SQLITE_OK;
  for(int i=0; good && i<*n_segments; i++){
    good = start[i+1]>start[i] && start[i+1]-start[i]<m->config.shape.longest;
    for(int k=start[i]; k<start[i+1]; k++) tokenizer_decode(m->config.tokenizer, ids[k], &joined);
  }
  good = good && joined.n==n+1 && joined.data[0]==' ' && memcmp(joined.data+1, text, n)==0;
  buf_release(&joined);
  bench_end(&b);
  return good;
}

static void test_segments(const struct model *m){
  static const struct { const char *text; int n; } counted[] = {
    { "", 1 }, { " ", 1 }, { "One. Two! Three? Four", 4 }, { "He said \"stop.\" Then he left.", 2 }, { "see e.g. this one", 1 },
    { "a\nb\n\nc", 3 }, { "end.\n", 1 }, { "end.  lower case", 2 }, { "\xe2\x80\x9cWhy?\xe2\x80\x9d She left (at once.) Good.", 3 },
    { "version 1.5 is out... now", 1 }, { "\n\nfirst", 1 }, { "No.\r\nYes.", 2 }, { "3.14 is not. An end", 2 },
  };
  static const char *const parts[] = { ".", "!", "?", " ", "  ", "\n", "\r\n", "\t", "a", "The", " word", "\"", ")", "\xe2\x80\x9d", "\xc3\xa9", "\xff", "\xe2\x96\x81", "", "9" };
  struct property count = { 0 }, lossless = { 0 };
  struct random random = random_of(11);
  char *long_text = malloc(1000000);
  int n;
  for(size_t i=0; i<sizeof(counted)/sizeof(counted[0]); i++){
    int good = segments_lossless(m, counted[i].text, strlen(counted[i].text), &n);
    holds(&count, good && n==counted[i].n, "\"%s\" has %d segments, expected %d", counted[i].text, n, counted[i].n);
  }
  property_ok(&count, "model: text is cut after sentences and before line breaks");
  for(int i=0; i<400; i++){
    struct buf text = { 0 };
    int n_parts = (int)(random_u64(&random)%300);
    for(int k=0; k<n_parts; k++){
      if( i%3==0 ) buf_char(&text, (char)random_u64(&random));
      else buf_str(&text, parts[random_u64(&random)%(sizeof(parts)/sizeof(parts[0]))]);
    }
    holds(&lossless, segments_lossless(m, buf_text(&text), text.n, &n), "text %d of %zu bytes", i, text.n);
    buf_release(&text);
  }
  memset(long_text, 'x', 1000000);
  holds(&lossless, segments_lossless(m, long_text, 1000000, &n), "1 MB of one letter");
  for(int i=0; i<1000000; i++) long_text[i] = i%6==5 ? ' ' : 'a' + i*7%26;
  holds(&lossless, segments_lossless(m, long_text, 1000000, &n), "1 MB of words");
  property_ok(&lossless, "model: segments joined are the text, for any bytes");
  free(long_text);
}

static void test_text(const struct model *m){
  const char text[] = "One day it rained. \xff Two cats came!\nAnd a dog.";
  struct decode_options o;
  struct buf out = { 0 };
  struct latent z;
  struct bench b;
  float fidelity = -2, mean = 1;
  bench_start(&b);
  decode_options_init(&o);
  text_encode(m, &b.run, text, sizeof(text)-1, &z);
  ok(b.err.rc==SQLITE_OK && z.n_segments==4-1 && z.kind==KIND_TEXT && z.fingerprint==m->config.fingerprint, "model: a text is a latent of its segments",
     "%d segments; %s", z.n_segments, b.err.text);
  text_decode(m, &b.run, &z, &o, &out, &fidelity);
  text_score(m, &b.run, text, sizeof(text)-1, &z, &mean);
  ok(b.err.rc==SQLITE_OK && fidelity>=-1 && fidelity<=1 && mean<0, "model: text decodes with a fidelity and has a score", "%g %g %s",
     (double)fidelity, (double)mean, b.err.text);
  buf_release(&out);
  bench_end(&b);
}

/* ---- Points ---- */

static struct latent latent_of(const struct model *m, float *z, int n){
  return (struct latent){ KIND_TEXT, n, m->config.shape.s + m->config.shape.r, m->config.fingerprint, z };
}

static void test_interp(const struct model *m){
  static const struct { int a, b; } sizes[] = { { 1, 1 }, { 1, 5 }, { 7, 2 }, { 6, 6 }, { 40, 31 }, { 2500, 1200 }, { 1, 3000 } };
  struct property ends = { 0 }, counts = { 0 }, lengths = { 0 };
  int s = m->config.shape.s, width = s + m->config.shape.r;
  for(size_t i=0; i<sizeof(sizes)/sizeof(sizes[0]); i++){
    struct bench b;
    struct latent x, y, z;
    int longer = sizes[i].a>sizes[i].b ? sizes[i].a : sizes[i].b;
    bench_start(&b);
    x = latent_of(m, random_points(m, sizes[i].a, 1+i, &b.arena), sizes[i].a);
    y = latent_of(m, random_points(m, sizes[i].b, 100+i, &b.arena), sizes[i].b);
    point_interp(&z, &x, &y, 0, s, &b.arena, &b.err);
    holds(&ends, z.n_segments==x.n_segments && memcmp(z.z, x.z, (size_t)width*x.n_segments*sizeof(float))==0, "t = 0 of %d and %d", sizes[i].a, sizes[i].b);
    point_interp(&z, &x, &y, 1, s, &b.arena, &b.err);
    holds(&ends, z.n_segments==y.n_segments && memcmp(z.z, y.z, (size_t)width*y.n_segments*sizeof(float))==0, "t = 1 of %d and %d", sizes[i].a, sizes[i].b);
    for(float t=0.05f; t<1; t+=0.15f){
      point_interp(&z, &x, &y, t, s, &b.arena, &b.err);
      holds(&counts, z.n_segments>=1 && z.n_segments<=longer, "%d segments between %d and %d", z.n_segments, sizes[i].a, sizes[i].b);
      for(int k=0; k<z.n_segments; k++){
        const float *v = z.z + (size_t)k*width;
        holds(&lengths, fabsf(dot(v, v, s)-1)<1e-5f && dot(v+s, v+s, width-s)<1+1e-5f, "t %g, segment %d", (double)t, k);
      }
    }
    holds(&ends, b.err.rc==SQLITE_OK, "%s", b.err.text);
    bench_end(&b);
  }
  property_ok(&ends, "model: the ends of a line are its parents, bit by bit");
  property_ok(&counts, "model: a line between documents has as many segments as one of them at most");
  property_ok(&lengths, "model: points on a line have s of length 1 and r of at most 1");
}

/* A document and the same one without some of its sentences: the middle pairs equals with equals. */
static void test_alignment(const struct model *m){
  enum { N = 9 };
  static const int kept[] = { 0, 2, 3, 7, 8 };
  int s = m->config.shape.s, width = s + m->config.shape.r, n_kept = (int)(sizeof(kept)/sizeof(kept[0])), at = 0;
  struct property p = { 0 };
  struct latent x, y, z;
  struct bench b;
  float *shorter;
  bench_start(&b);
  x = latent_of(m, random_points(m, N, 77, &b.arena), N);
  shorter = arena_floats(&b.arena, (size_t)n_kept*width);
  for(int i=0; i<n_kept; i++) memcpy(shorter + (size_t)i*width, x.z + (size_t)kept[i]*width, width*sizeof(float));
  y = latent_of(m, shorter, n_kept);
  point_interp(&z, &x, &y, 0.99f, s, &b.arena, &b.err);         /* all that is alone has left */
  holds(&p, z.n_segments==n_kept, "%d segments, expected %d", z.n_segments, n_kept);
  for(int i=0; i<n_kept && i<z.n_segments; i++) holds(&p, difference(z.z + (size_t)i*width, y.z + (size_t)i*width, width)<1e-5f, "segment %d", i);
  point_interp(&z, &y, &x, 0.5f, s, &b.arena, &b.err);          /* half of what is alone has entered: in its place */
  holds(&p, z.n_segments==n_kept+2, "%d segments at the middle, expected %d", z.n_segments, n_kept+2);
  for(int i=0; i<z.n_segments; i++){
    while( at<N && difference(z.z + (size_t)i*width, x.z + (size_t)at*width, width)>1e-5f ) at++;
    holds(&p, at++<N, "segment %d of the middle is out of order", i);
  }
  property_ok(&p, "model: alignment pairs equal segments and keeps their order");
  bench_end(&b);
}

static void test_arithmetic(const struct model *m){
  int s = m->config.shape.s, width = s + m->config.shape.r;
  struct latent a, c, three, sum, back, sample, other;
  struct bench b;
  float mean[4096], cosine_s, cosine_r;
  bench_start(&b);
  a = latent_of(m, random_points(m, 1, 1, &b.arena), 1);
  c = latent_of(m, random_points(m, 1, 2, &b.arena), 1);
  three = latent_of(m, random_points(m, 3, 3, &b.arena), 3);
  point_combine(&sum, &a, 1, &c, -1, KIND_DIRECTION, s, &b.arena, &b.err);
  point_combine(&back, &c, 1, &sum, 1, KIND_TEXT, s, &b.arena, &b.err);
  ok(difference(back.z, a.z, width)<1e-5f, "model: b + (a - b) is a", "apart by %g", (double)difference(back.z, a.z, width));
  point_combine(&sum, &three, 0.5f, &a, 0.5f, KIND_TEXT, s, &b.arena, &b.err);
  ok(sum.n_segments==3 && fabsf(dot(sum.z+2*width, sum.z+2*width, s)-1)<1e-5f, "model: one segment is added to each of three", "%d", sum.n_segments);
  point_combine(&sum, &three, 2, NULL, 0, KIND_DIRECTION, s, &b.arena, &b.err);
  ok(b.err.rc==SQLITE_OK && sum.z[5]==2*three.z[5], "model: a direction is scaled", "%g", (double)sum.z[5]);
  three.n_segments = 2;
  back = latent_of(m, random_points(m, 3, 3, &b.arena), 3);
  ok(point_combine(&sum, &three, 1, &back, 1, KIND_TEXT, s, &b.arena, &b.err)==SQLITE_MISMATCH, "model: unequal counts are refused", "%s", b.err.text);
  b.err.rc = 0;
  ok(fabsf(point_distance(&a, &a, s))<1e-6f && fabsf(point_distance(&a, &c, s)-(1-point_cosine(a.z, c.z, s)))<1e-6f, "model: distance is 1 - cosine of s",
     "%g", (double)point_distance(&a, &a, s));
  point_mean(mean, &back, s);
  other = latent_of(m, mean, 1);
  ok(fabsf(point_distance(&back, &other, s))<1e-5f && fabsf(dot(mean, mean, s)-1)<1e-5f, "model: a document is as far as its mean", "%g",
     (double)point_distance(&back, &other, s));
  point_combine(&other, &a, 1, NULL, 0, KIND_TEXT, s, &b.arena, &b.err);
  point_vary(&other, 0.5f, 4, s);
  cosine_s = point_cosine(a.z, other.z, s);
  cosine_r = point_cosine(a.z+s, other.z+s, width-s);
  ok(fabsf(cosine_s-0.70710678f)<1e-4f && fabsf(cosine_r-0.70710678f)<1e-4f, "model: varying by 0.5 turns by 45 degrees", "%g %g", (double)cosine_s, (double)cosine_r);
  point_sample(&sample, 1, m, &b.arena, &b.err);
  point_sample(&other, 2, m, &b.arena, &b.err);
  ok(fabsf(dot(sample.z, sample.z, s)-1)<1e-5f && fabsf(dot(sample.z+s, sample.z+s, width-s)-1)<1e-5f && point_distance(&sample, &other, s)>0.1f,
     "model: samples are points, and differ by seed", "%g", (double)point_distance(&sample, &other, s));
  bench_end(&b);
}

/* ---- Out of memory at every allocation ---- */

static sqlite3_mem_methods real_memory;
static int allocations_left = -1;       /* -1: no failure; 0: every allocation fails */
static int next_fails(void){
  if( allocations_left<0 ) return 0;
  if( allocations_left==0 ) return 1;
  allocations_left--;
  return 0;
}
static void *failing_malloc(int n){ return next_fails() ? NULL : real_memory.xMalloc(n); }
static void *failing_realloc(void *p, int n){ return next_fails() ? NULL : real_memory.xRealloc(p, n); }

static void memory_init(void){
  sqlite3_mem_methods failing;
  sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
  failing = real_memory;
  failing.xMalloc = failing_malloc;
  failing.xRealloc = failing_realloc;
  sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
}

/* Everything a model does, once. */
static int whole_work(const char *path){
  const char text[] = "One. Two words! And three.";
  struct model *m = NULL;
  struct latent a, c, z;
  struct buf out = { 0 };
  struct bench b;
  float fidelity, mean;
  int rc;
  bench_start(&b);
  rc = model_open(&m, path, &b.err);
  if( rc==SQLITE_OK ) rc = text_encode(m, &b.run, text, sizeof(text)-1, &a);
  if( rc==SQLITE_OK ) rc = text_encode(m, &b.run, "Four.", 5, &c);
  if( rc==SQLITE_OK ) rc = point_interp(&z, &a, &c, 0.3f, m->config.shape.s, &b.arena, &b.err);
  for(int i=0; i<N_WAYS && rc==SQLITE_OK; i++){
    struct decode_options o = options_of(&ways[i]);
    o.max_tokens = 4;
    rc = text_decode(m, &b.run, &z, &o, &out, i%2 ? &fidelity : NULL);
  }
  if( rc==SQLITE_OK ) rc = text_score(m, &b.run, text, sizeof(text)-1, &z, &mean);
  if( rc==SQLITE_OK ) rc = point_combine(&z, &a, 1, &c, 1, KIND_TEXT, m->config.shape.s, &b.arena, &b.err);
  buf_release(&out);
  bench_end(&b);
  model_close(m);
  return rc;
}

static void test_memory(const char *path){
  struct property p = { 0 };
  int rc = SQLITE_NOMEM, n;
  for(n=0; rc==SQLITE_NOMEM && n<5000; n++){
    allocations_left = n;
    rc = whole_work(path);
    allocations_left = -1;
    holds(&p, (rc==SQLITE_OK || rc==SQLITE_NOMEM) && sqlite3_memory_used()==0, "allocation %d fails: rc %d, %lld bytes left", n, rc, (long long)sqlite3_memory_used());
  }
  holds(&p, rc==SQLITE_OK && n>20, "ended with rc %d after %d allocations", rc, n);
  property_ok(&p, "model: every allocation may fail: NOMEM, and nothing leaks");
}

int main(int argc, char **argv){
  struct err e = { 0, "" };
  struct model *tiny, *text;
  if( argc>1 ) root = argv[1];
  memory_init();
  test_open(path_of("tests/data/tiny.safetensors"));
  test_broken();
  test_memory(path_of("tests/data/tiny.safetensors"));
  if( !ok(model_open(&tiny, path_of("tests/data/tiny.safetensors"), &e)==SQLITE_OK, "model: the tiny model opens", "%s", e.text) ) return 1;
  test_golden_tiny(tiny);
  test_encode_rows(tiny);
  for(int i=0; i<N_WAYS; i++) test_decode_rows(tiny, &ways[i]);
  test_cache(tiny, &ways[0]);
  test_cache(tiny, &ways[2]);
  test_cache(tiny, &ways[4]);
  test_beams(tiny);
  test_best_of(tiny);
  test_seeds(tiny);
  test_interrupt(tiny, 1);
  test_interrupt(tiny, 4);
  test_segments(tiny);
  test_text(tiny);
  test_interp(tiny);
  test_alignment(tiny);
  test_arithmetic(tiny);
  model_close(tiny);
  if( ok(model_open(&text, path_of("model/text.safetensors"), &e)==SQLITE_OK, "model: the shipped model opens", "%s", e.text) ){
    test_golden_text(text);
    test_segments(text);
    model_close(text);
  }
  ok(sqlite3_memory_used()==0, "model: nothing is left at the end", "%lld bytes", (long long)sqlite3_memory_used());
  return n_not_ok ? 1 : 0;
}
