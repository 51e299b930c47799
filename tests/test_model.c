/*
** test_model.c -- the model layer against the PyTorch reference, and against itself.
**
** Two models: the tiny one of tests/data (every layer compared) and the shipped one (end to end). The golden values come from
** model/golden.py. Float sums of the two sides differ in order, hence tolerances of 1e-4 of the largest value compared; what the engine
** promises about itself (batches, threads, both ends of a line) is compared bit by bit.
*/
#include "fault.h"
#include "model_golden.h"
#include <cjson/cJSON.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* n token rows of 0 to longest-1 random ids, of a picture longest-1: start[n+1], ids. */
static void random_rows(const struct model *m, int n, uint64_t seed, struct arena *a, int **ids, int **start){
  const struct shape *c = &m->config.shape;
  struct random random = random_of(seed);
  *ids = arena_get(a, (size_t)n*c->longest*sizeof(int));
  *start = arena_get(a, (size_t)(n+1)*sizeof(int));
  (*start)[0] = 0;
  for(int i=0; i<n; i++){
    int count = has_end(m) ? (int)(random_u64(&random)%(uint64_t)c->longest) : c->longest-1;
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
  if( (at = strstr(text, "\"words\":64"))!=0 ){
    memcpy(at, "\"words\":65", 10);
    file_write(json, text, n_text);
    expect_error(&p, weights, SQLITE_CORRUPT, "tiny.safetensors: words is [64, 16], expected [65, 16]");
    memcpy(at, "\"words\":64", 10);
  }
  if( (at = strstr(text, "\"encoder_layers\": 2"))==NULL ) at = strstr(text, "\"encoder_layers\":2");
  if( at ){
    *strchr(at, '2') = '3';
    file_write(json, text, n_text);
    expect_error(&p, weights, SQLITE_CORRUPT, "tiny.safetensors: has no tensor encoder.2.attention_norm, expected one of [64]");
  }
  holds(&p, p.n_cases==8, "%d cases, expected 8", p.n_cases);
  property_ok(&p, "model: a broken model is refused with the file and what was expected");
  unlink(weights);
  unlink(json);
  rmdir(folder);
  free(data);
  free(text);
  ok(sqlite3_memory_used()==0, "model: refused models leave no memory behind", "%lld bytes", (long long)sqlite3_memory_used());
}

/* ---- A tiny model, layer by layer ---- */

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
  char name[80];
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
  snprintf(name, sizeof(name), "model: %s: greedy rows at fluency 0.%d are the reference's", g->name, digit);
  property_ok(&p, name);
}

/* Every layer of a tiny model over the rows of tests/data/golden_<name>.safetensors, and what comes of them. */
static void test_golden(const struct model *m, const char *name){
  const struct shape *c = &m->config.shape;
  struct layers all = { { { 0 } }, { { 0 } }, (size_t)c->d };
  struct memories memories;
  struct golden g;
  struct bench b;
  float *z, *sums, *log_p, *s, *r, *panel;
  int *ids, *start, n, width = c->s + c->r;
  size_t n_ids, n_start;
  bench_start(&b);
  if( !golden_open(&g, name, &b) ) return;
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
  memories_fill(&memories, m, NULL, z, n, 1, panel);
  golden_compare(&g, "memory", memories.expanded, (size_t)n*c->memory*c->d);
  score_tokens(m, &b.run, z, ids, start, n, sums, log_p, NULL);
  compare_layers(&g, &all, 1, c->decoder_layers);
  golden_compare(&g, "log_p", log_p, n_ids + (has_end(m) ? n : 0));
  b.run.watch = NULL;
  compare_greedy(&g, &b, m, z, n, 0);
  compare_greedy(&g, &b, m, z, n, 0.3f);
  ok(b.err.rc==SQLITE_OK, "model: the golden rows go through without an error", "%s: %s", name, b.err.text);
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

/* Is the list this row of ids? */
static int ids_agree(const cJSON *list, const int *ids, int n){
  int same = cJSON_GetArraySize(list)==n;
  for(int i=0; same && i<n; i++) same = ids[i]==(int)cJSON_GetNumberValue(cJSON_GetArrayItem(list, i));
  return same;
}

struct shipped_golden { struct property ids, points, texts, scores, middles; };

static void check_sentence(struct shipped_golden *p, const struct model *m, const cJSON *c){
  const char *text = text_of(c, "text");
  const cJSON *ids = cJSON_GetObjectItem(c, "ids");
  int n_golden = cJSON_GetArraySize(ids), *have, *start, n, s = m->config.shape.s;
  struct decode_options o;
  struct buf out = { 0 };
  struct latent z;
  struct bench b;
  float mean = 0;
  bench_start(&b);
  decode_options_init(&o);
  text_segment(m, &b.run, text, strlen(text), &have, &start, &n);
  holds(&p->ids, n==1 && ids_agree(ids, have, start[1]), "%s", text);
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
   && point_interp(&middle, &a, &z, 0.5f, &b.arena, &b.err)==SQLITE_OK ){
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

/* A PNG of examples/pictures: its codes, its point, and the codes that the point decodes to. */
static void check_picture(struct shipped_golden *p, const struct model *m, const cJSON *c){
  const char *file = text_of(c, "file");
  const int s = m->config.shape.s, n_codes = m->config.shape.longest-1;
  struct picture whole, fitted;
  struct content content;
  struct decode_options o;
  struct tokens out;
  struct latent z;
  struct bench b;
  float sum = 0;
  int *ids, start[2] = { 0, n_codes };
  content.bytes = file_read(path_of(file), &content.n);
  bench_start(&b);
  decode_options_init(&o);
  ids = arena_get(&b.arena, (size_t)n_codes*sizeof(int));
  if( picture_read(&whole, content.bytes, content.n, &b.arena, file, &b.err)==SQLITE_OK
   && picture_fit(&fitted, &whole, m->config.picture.size, &b.arena, &b.err)==SQLITE_OK
   && pictures_tokens(m, &b.run, &fitted, 1, ids)==SQLITE_OK && contents_encode(m, &b.run, &content, 1, file, 0, &z)==SQLITE_OK ){
    holds(&p->ids, ids_agree(cJSON_GetObjectItem(c, "ids"), ids, n_codes), "%s", file);
    holds(&p->points, sketch_agrees(cJSON_GetObjectItem(c, "s"), z.z, s) && sketch_agrees(cJSON_GetObjectItem(c, "r"), z.z+s, z.width-s), "%s", file);
    decode_tokens(m, &b.run, z.z, 1, &o, &out);
    holds(&p->texts, ids_agree(cJSON_GetObjectItem(c, "decoded"), out.ids, out.n), "%s", file);
    score_tokens(m, &b.run, z.z, ids, start, 1, &sum, NULL, NULL);
    holds(&p->scores, fabs(sum - number_of(c, "log_p"))<1e-3*(1 + fabs(sum)), "%s: %g, expected %g", file, (double)sum, number_of(c, "log_p"));
  }
  holds(&p->points, b.err.rc==SQLITE_OK, "%s", b.err.text);
  bench_end(&b);
  free((void*)content.bytes);
}

static void test_golden_picture(const struct model *m){
  size_t n;
  char *text = file_read(path_of("tests/data/golden_shipped_picture.json"), &n), hash[20];
  cJSON *golden = cJSON_ParseWithLength(text, n);
  const cJSON *c;
  struct shipped_golden p;
  memset(&p, 0, sizeof(p));
  free(text);
  snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)m->config.weights_hash);
  if( ok(strcmp(hash, text_of(golden, "weights_hash"))==0, "model: the golden pictures are of the shipped weights",
         "they are of %s, these are %s: run python3 model/golden.py", text_of(golden, "weights_hash"), hash) ){
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(golden, "pictures")) check_picture(&p, m, c);
    property_ok(&p.ids, "model: example pictures have the reference's codes");
    property_ok(&p.points, "model: example pictures have the reference's points");
    property_ok(&p.texts, "model: their points decode to the reference's codes");
    property_ok(&p.scores, "model: example pictures have the reference's log-probabilities");
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

static void test_decode_rows(const struct model *m, const struct way *way, int n){
  enum { N = 70 };                                              /* n at most */
  const int width = m->config.shape.s + m->config.shape.r;
  struct property alone = { 0 }, threaded = { 0 }, whole = { 0 };
  struct decode_options o = options_of(way), mine = o;
  struct tokens all[N], again[N], one;
  struct bench b;
  char name[120];
  float *z;
  bench_start(&b);
  z = random_points(m, n, 7, &b.arena);
  decode_tokens(m, &b.run, z, n, &o, all);
  for(int i=0; i<n; i++){
    int most = m->config.shape.longest-1, limit = o.max_tokens ? o.max_tokens : most, good = has_end(m) ? all[i].n>=0 && all[i].n<=limit : all[i].n==most;
    for(int k=0; good && k<all[i].n; k++) good = all[i].ids[k]>TOKEN_UNKNOWN && all[i].ids[k]<m->config.shape.pieces;
    holds(&whole, good && b.err.rc==SQLITE_OK, "row %d has %d ids; %s", i, all[i].n, b.err.text);
    mine.seed = decode_seed(o.seed, i);
    decode_tokens(m, &b.run, z + (size_t)i*width, 1, &mine, &one);
    holds(&alone, same_tokens(&one, &all[i]), "row %d", i);
  }
  b.run.n_threads = 4;
  decode_tokens(m, &b.run, z, n, &o, again);
  for(int i=0; i<n; i++) holds(&threaded, same_tokens(&again[i], &all[i]), "row %d", i);
  snprintf(name, sizeof(name), "model: %s: a batch equals its rows one by one, bit by bit", way->name);
  property_ok(&alone, name);
  snprintf(name, sizeof(name), "model: %s: four threads equal one, bit by bit", way->name);
  property_ok(&threaded, name);
  snprintf(name, sizeof(name), "model: %s: ids are in range and %s", way->name, has_end(m) ? "within the limit" : "as many as a picture has");
  property_ok(&whole, name);
  bench_end(&b);
}

/* A path's rows have fluencies of their own: each gives what it gives alone with that one. */
static void test_fluencies(const struct model *m){
  enum { N = 30 };
  const int width = m->config.shape.s + m->config.shape.r;
  struct property p = { 0 };
  struct decode_options o, mine;
  struct tokens all[N], one;
  float fluencies[N], *z;
  struct bench b;
  bench_start(&b);
  z = random_points(m, N, 8, &b.arena);
  for(int i=0; i<N; i++) fluencies[i] = i%3 ? (float)i/N : 0;
  decode_options_init(&o);
  mine = o;
  o.fluencies = fluencies;
  decode_tokens(m, &b.run, z, N, &o, all);
  for(int i=0; i<N; i++){
    mine.fluency = fluencies[i];
    decode_tokens(m, &b.run, z + (size_t)i*width, 1, &mine, &one);
    holds(&p, same_tokens(&one, &all[i]), "row %d at %g; %s", i, (double)fluencies[i], b.err.text);
  }
  property_ok(&p, "model: rows of their own fluency equal each alone, bit by bit");
  bench_end(&b);
}

/* Decoded rows one behind another, as score_tokens() takes them: ids[start[n]], start[n+1]. */
static void lay_out(const struct tokens *rows, int n, int *ids, int *start){
  start[0] = 0;
  for(int i=0; i<n; i++){
    memcpy(ids+start[i], rows[i].ids, (size_t)rows[i].n*sizeof(int));
    start[i+1] = start[i] + rows[i].n;
  }
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
  lay_out(out, N, ids, start);
  score_tokens(m, &b.run, z, ids, start, N, sums, NULL, NULL);
  for(int i=0; i<N; i++){
    float apart = fabsf(sums[i]-out[i].log_probability);
    holds(&p, apart<=1e-4f*(1+fabsf(sums[i])), "row %d: %g cached, %g full", i, (double)out[i].log_probability, (double)sums[i]);
  }
  snprintf(name, sizeof(name), "model: %s: cached decoding equals full decoding", way->name);
  property_ok(&p, name);
  bench_end(&b);
}

/* ---- Refining ---- */

/* What score_tokens() guesses at the rows that greedy decoding gave is those rows. */
static void test_guesses(const struct model *m){
  enum { N = 40 };
  struct decode_options o;
  struct tokens out[N];
  struct property p = { 0 };
  struct bench b;
  float *z, sums[N];
  int *ids, *guesses, start[N+1], longest = m->config.shape.longest;
  bench_start(&b);
  z = random_points(m, N, 12, &b.arena);
  ids = arena_get(&b.arena, (size_t)N*longest*sizeof(int));
  guesses = arena_get(&b.arena, (size_t)N*(longest+1)*sizeof(int));
  decode_options_init(&o);
  decode_tokens(m, &b.run, z, N, &o, out);
  lay_out(out, N, ids, start);
  score_tokens(m, &b.run, z, ids, start, N, sums, NULL, guesses);
  for(int i=0; i<N; i++){
    const int *own = guesses + start[i] + has_end(m)*i;
    holds(&p, b.err.rc==SQLITE_OK && memcmp(own, out[i].ids, (size_t)out[i].n*sizeof(int))==0, "row %d; %s", i, b.err.text);
    if( has_end(m) && out[i].n<longest-1 ) holds(&p, own[out[i].n]==TOKEN_END, "row %d ends with %d", i, own[out[i].n]);
  }
  property_ok(&p, "model: guesses are what greedy decoding chooses");
  bench_end(&b);
}

/* Tokens of a row that greedy decoding would choose in their places, and so how near z is to giving it back. */
static int right_guesses(const struct model *m, struct bench *b, const float *z, const int *ids, int n){
  struct arena_mark mark = arena_mark(&b->arena);
  int start[2] = { 0, n }, right = 0, *guesses = arena_get(&b->arena, ((size_t)n+1)*sizeof(int));
  float sum;
  score_tokens(m, &b->run, z, ids, start, 1, &sum, NULL, guesses);
  for(int k=0; k<n; k++) right += guesses[k]==ids[k];
  arena_rewind(&b->arena, mark);
  return right;
}

static void test_refine(const struct model *m){
  enum { N = 60, ROUNDS = 5 };
  const int s = m->config.shape.s, width = s + m->config.shape.r;
  struct property alone = { 0 }, same = { 0 }, nearer = { 0 };
  struct bench b;
  float *z, *rough, *threaded, *one;
  int *ids, *start, row[2];
  bench_start(&b);
  random_rows(m, N, 3, &b.arena, &ids, &start);
  rough = arena_floats(&b.arena, (size_t)N*width);
  z = arena_floats(&b.arena, (size_t)N*width);
  threaded = arena_floats(&b.arena, (size_t)N*width);
  one = arena_floats(&b.arena, width);
  encode_tokens(m, &b.run, ids, start, N, rough);
  memcpy(z, rough, (size_t)N*width*sizeof(float));
  refine_tokens(m, &b.run, ids, start, N, 0, z);
  ok(memcmp(z, rough, (size_t)N*width*sizeof(float))==0, "model: no rounds of refining change nothing", "it differs");
  memcpy(threaded, rough, (size_t)N*width*sizeof(float));
  refine_tokens(m, &b.run, ids, start, N, ROUNDS, z);
  for(int i=0; i<N; i++){
    const float *was = rough + (size_t)i*width, *now = z + (size_t)i*width;
    int n = start[i+1]-start[i], rounded = 1, was_right = right_guesses(m, &b, was, ids+start[i], n), is_right = right_guesses(m, &b, now, ids+start[i], n);
    row[0] = 0;
    row[1] = n;
    memcpy(one, was, width*sizeof(float));
    refine_tokens(m, &b.run, ids+start[i], row, 1, ROUNDS, one);
    holds(&alone, memcmp(one, now, width*sizeof(float))==0, "row %d of %d tokens", i, n);
    for(int k=0; k<width; k++) rounded = rounded && now[k]==half_to_float(float_to_half(k<s ? was[k] : now[k]));
    holds(&same, rounded && fabsf(dot(now+s, now+s, width-s)-1)<1e-2f, "row %d", i);
    holds(&nearer, is_right>=was_right-1, "row %d: %d right, then %d", i, was_right, is_right);        /* rounding may cost one */
  }
  property_ok(&alone, "model: refining a batch equals its rows one by one, bit by bit");
  property_ok(&same, "model: refining keeps s and the length of r, and rounds both as a latent is stored");
  property_ok(&nearer, "model: refining loses no token of a row");
  b.run.n_threads = 4;
  refine_tokens(m, &b.run, ids, start, N, ROUNDS, threaded);
  ok(memcmp(z, threaded, (size_t)N*width*sizeof(float))==0, "model: refining on four threads equals one, bit by bit", "it differs");
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
  score_tokens(m, &b->run, points, ids, start, pieces, sums, all, NULL);
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
  tokens_encode(m, &b.run, one, N, 0, near);
  tokens_encode(m, &b.run, best, N, 0, nearer);
  for(int i=0; i<N; i++){
    float x = point_cosine(z + (size_t)i*width, near + (size_t)i*width, width), y = point_cosine(z + (size_t)i*width, nearer + (size_t)i*width, width);
    holds(&p, y>=x, "row %d: %g after %g", i, (double)y, (double)x);
    n_better += y>x;
  }
  property_ok(&p, "model: best-of is at least as near as greedy");
  ok(n_better>0 && b.err.rc==SQLITE_OK, "model: best-of finds nearer texts", "for none of %d points; %s", N, b.err.text);
  bench_end(&b);
}

/* The candidates of one point as best-of draws them: the greedy text, then samples at temperature 0.5, each of a seed of its own. */
static void draw_candidates(const struct model *m, struct run *run, const float *z, const struct decode_options *best_of, struct tokens *candidates){
  struct decode_options o = *best_of;
  o.best_of = 1;
  o.way = NULL;
  for(int i=0; i<best_of->best_of; i++){
    o.temperature = i>0 ? 0.5f : 0;
    o.seed = best_of->seed + (uint64_t)i*UINT64_C(0xA0761D6478BD642F);
    decode_tokens(m, run, z, 1, &o, &candidates[i]);
  }
}

static int continues_word(const struct model *m, int id){
  struct buf bytes = { 0 };
  int yes;
  tokenizer_decode(m->config.tokenizer, id, &bytes);
  yes = bytes.n>0 && ((buf_text(&bytes)[0]|32)>='a' && (buf_text(&bytes)[0]|32)<='z');
  buf_release(&bytes);
  return yes;
}

/* The ids that the text's bytes give. */
static struct tokens as_read(const struct model *m, struct run *run, const struct tokens *text){
  struct tokens out = { 0, 0, 0 };
  struct buf bytes = { 0 };
  for(int i=0; i<text->n; i++) tokenizer_decode(m->config.tokenizer, text->ids[i], &bytes);
  tokenizer_encode(m->config.tokenizer, buf_text(&bytes), bytes.n, run->arena, &out.ids, 0, &out.n, run->err);
  buf_release(&bytes);
  return out;
}

/* What best-of goes by: *near, the cosine of the text's own latent to z; *reading, a fifth of the mean log-probability of its tokens and END, and 0.13 of the
** worst one inside a word, both by the plain language model. The ids are those that the text's bytes give. */
static void mark_text(const struct model *m, struct run *run, const float *z, const struct tokens *text, float *near, float *reading){
  const int width = m->config.shape.s + m->config.shape.r;
  float *own = arena_floats(run->arena, (size_t)width), *zero = arena_zeroed(run->arena, (size_t)width*sizeof(float)), *each, sum, worst = 0;
  struct tokens read = as_read(m, run, text);
  int *ids = read.ids, start[2] = { 0, read.n };
  each = arena_floats(run->arena, (size_t)start[1] + 1);
  encode_tokens(m, run, ids, start, 1, own);
  score_tokens(m, run, zero, ids, start, 1, &sum, each, NULL);
  for(int i=0; i<start[1]; i++) if( continues_word(m, ids[i]) && each[i]<worst ) worst = each[i];
  *near = point_cosine(z, own, width);
  *reading = 0.2f*sum/(float)(start[1]+1) + 0.13f*worst;
}

/* At every fluency the text that wins is the one, of candidates drawn one by one, for which nearness and fluency times reading is the most. */
static void test_best_of_reading(const struct model *m){
  enum { N = 24, K = 6 };
  static const float fluencies[] = { 0, 0.15f, 1 };
  const int width = m->config.shape.s + m->config.shape.r;
  struct property wins = { 0 }, again = { 0 };
  int n_not_nearest = 0, n_not_greedy = 0;
  for(int at=0; at<3*N; at++){
    struct tokens best, once_more, candidates[K];
    float mark[K], near[K], reading, *z;
    struct decode_options o;
    struct bench b;
    int winner = 0, nearest = 0;
    bench_start(&b);
    z = random_points(m, N, 9, &b.arena) + (size_t)(at/3)*width;
    decode_options_init(&o);
    o.best_of = K;
    o.max_tokens = 12;
    o.fluency = fluencies[at%3];
    o.seed = (uint64_t)at*3 + 1;
    decode_tokens(m, &b.run, z, 1, &o, &best);
    decode_tokens(m, &b.run, z, 1, &o, &once_more);
    draw_candidates(m, &b.run, z, &o, candidates);
    for(int i=0; i<K; i++){
      mark_text(m, &b.run, z, &candidates[i], &near[i], &reading);
      mark[i] = near[i] + o.fluency*reading;
      if( mark[i]>mark[winner] ) winner = i;
      if( near[i]>near[nearest] ) nearest = i;
    }
    holds(&wins, b.err.rc==SQLITE_OK && same_tokens(&best, &candidates[winner]), "point %d at fluency %g: it is not candidate %d; %s", at/3, (double)o.fluency, winner,
          b.err.text);
    holds(&again, same_tokens(&best, &once_more), "point %d", at/3);
    n_not_nearest += near[winner]<near[nearest];
    n_not_greedy += winner>0;
    bench_end(&b);
  }
  property_ok(&wins, "model: best-of takes the candidate with the best mark");
  property_ok(&again, "model: best-of gives the same for the same seed");
  ok(n_not_nearest>0 && n_not_greedy>N/2, "model: best-of: reading and samples decide at times", "%d were not the nearest, %d not the greedy one", n_not_nearest, n_not_greedy);
}

/* What is to be avoided is taken only where every candidate is it; else the best of the others. */
static void test_avoid(const struct model *m){
  enum { N = 24, K = 6 };
  const int width = m->config.shape.s + m->config.shape.r;
  struct property others = { 0 };
  int n_others = 0;
  for(int at=0; at<N; at++){
    struct tokens best, other, avoid, candidates[K];
    float mark, most = -INFINITY, near, reading, *z;
    struct decode_options o;
    struct bench b;
    int winner = -1;
    bench_start(&b);
    z = random_points(m, N, 9, &b.arena) + (size_t)at*width;
    decode_options_init(&o);
    o.best_of = K;
    o.max_tokens = 3;           /* so that candidates are alike at times */
    o.fluency = 0.3f;
    o.seed = (uint64_t)at;
    decode_tokens(m, &b.run, z, 1, &o, &best);
    avoid = as_read(m, &b.run, &best);
    o.avoid = &avoid;
    o.n_avoid = 1;
    decode_tokens(m, &b.run, z, 1, &o, &other);
    draw_candidates(m, &b.run, z, &o, candidates);
    for(int i=0; i<K; i++){
      struct tokens read = as_read(m, &b.run, &candidates[i]);
      if( same_tokens(&read, &avoid) ) continue;
      mark_text(m, &b.run, z, &candidates[i], &near, &reading);
      mark = near + o.fluency*reading;
      if( mark<=most ) continue;
      most = mark;
      winner = i;
    }
    n_others += winner>=0;
    holds(&others, b.err.rc==SQLITE_OK && same_tokens(&other, winner<0 ? &best : &candidates[winner]), "point %d: it is not candidate %d; %s", at, winner, b.err.text);
    bench_end(&b);
  }
  property_ok(&others, "model: best-of takes no text that is to be avoided where there is another");
  ok(n_others>N/2, "model: best-of: there are others", "for %d of %d points", n_others, N);
}

enum { WAY = 5, WAY_BEST = 3, WAYS = 243 };     /* rows, candidates of each, and so many ways through them */
struct way_text { float mark, far[2]; };

/* What a way through the candidates is worth: `number` in base 3 says which is taken. By the rule in model_decode.c. */
static float way_worth(struct way_text texts[WAY][WAY_BEST], float apart, int number, int *taken){
  float worth = 0, from[2] = { 0, apart };
  const struct way_text goal = { 0, { apart, 0 } };
  for(int i=0; i<=WAY; i++, number/=WAY_BEST){
    const struct way_text *to = i<WAY ? &texts[i][number%WAY_BEST] : &goal;
    if( i<WAY ) taken[i] = number%WAY_BEST;
    worth += to->mark;
    if( to->far[0]<from[0] ) worth -= 0.15f + from[0]-to->far[0];
    if( to->far[1]>from[1] ) worth -= 0.15f + to->far[1]-from[1];
    if( to->far[0]==from[0] && to->far[1]==from[1] ) worth -= 0.05f;
    memcpy(from, to->far, sizeof(from));
  }
  return worth;
}

/* On a way the candidates are those that together are worth the most, of all ways there are. */
static void test_way(const struct model *m){
  enum { N = 12 };
  const int s = m->config.shape.s, width = s + m->config.shape.r;
  struct property p = { 0 };
  int n_not_best = 0;
  for(int at=0; at<N; at++){
    struct way_text texts[WAY][WAY_BEST];
    struct tokens out[WAY], candidates[WAY][WAY_BEST];
    struct decode_options o;
    struct bench b;
    float *z, *way, best = -INFINITY, apart, alone = 0;
    int taken[WAY], best_taken[WAY] = { 0 }, same = 1;
    bench_start(&b);
    z = random_points(m, WAY, (uint64_t)at + 30, &b.arena);
    way = arena_floats(&b.arena, 2*(size_t)s);
    memcpy(way, z, (size_t)s*sizeof(float));
    memcpy(way+s, z + (size_t)(WAY-1)*width, (size_t)s*sizeof(float));
    apart = 1 - point_cosine(way, way+s, s);
    decode_options_init(&o);
    o.best_of = WAY_BEST;
    o.max_tokens = 8;
    o.seed = (uint64_t)at;
    o.one_seed = 1;
    o.way = way;
    decode_tokens(m, &b.run, z, WAY, &o, out);
    for(int i=0; i<WAY; i++){
      float reading, *own = arena_floats(&b.arena, width), highest = -INFINITY;
      draw_candidates(m, &b.run, z + (size_t)i*width, &o, candidates[i]);
      for(int k=0; k<WAY_BEST; k++){
        mark_text(m, &b.run, z + (size_t)i*width, &candidates[i][k], &texts[i][k].mark, &reading);
        tokens_encode(m, &b.run, &candidates[i][k], 1, 0, own);
        for(int end=0; end<2; end++) texts[i][k].far[end] = 1 - point_cosine(way + end*s, own, s);
        if( texts[i][k].mark>highest ) highest = texts[i][k].mark;
      }
      alone += highest;
    }
    for(int number=0; number<WAYS; number++){
      float worth = way_worth(texts, apart, number, taken);
      if( worth<=best ) continue;
      best = worth;
      memcpy(best_taken, taken, sizeof(taken));
    }
    for(int i=0; i<WAY; i++){
      same = same && same_tokens(&out[i], &candidates[i][best_taken[i]]);
      alone -= texts[i][best_taken[i]].mark;
    }
    n_not_best += alone>1e-6f;
    holds(&p, same && b.err.rc==SQLITE_OK, "way %d; %s", at, b.err.text);
    bench_end(&b);
  }
  property_ok(&p, "model: best-of on a way takes the candidates that are worth the most together");
  ok(n_not_best>0, "model: best-of on a way: some give up their own best", "none of %d ways", N);
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

/* ---- Out of memory at every allocation ---- */

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
  if( rc==SQLITE_OK ) rc = point_interp(&z, &a, &c, 0.3f, &b.arena, &b.err);
  for(int i=0; i<N_WAYS && rc==SQLITE_OK; i++){
    struct decode_options o = options_of(&ways[i]);
    o.max_tokens = 4;
    rc = text_decode(m, &b.run, &z, &o, &out, i%2 ? &fidelity : NULL);
  }
  if( rc==SQLITE_OK ) rc = text_score(m, &b.run, text, sizeof(text)-1, &z, &mean);
  if( rc==SQLITE_OK ) rc = point_combine(&z, &a, 1, &c, 1, KIND_TEXT, &b.arena, &b.err);
  buf_release(&out);
  bench_end(&b);
  model_close(m);
  return rc;
}

static void test_memory(const char *path){
  struct property p = { 0 };
  int rc = SQLITE_NOMEM, n;
  for(n=0; rc==SQLITE_NOMEM && n<5000; n++){
    fault_set(n+1, 1);
    rc = whole_work(path);
    fault_set(0, 0);
    holds(&p, (rc==SQLITE_OK || rc==SQLITE_NOMEM) && sqlite3_memory_used()==0, "allocation %d fails: rc %d, %lld bytes left", n, rc, (long long)sqlite3_memory_used());
  }
  holds(&p, rc==SQLITE_OK && n>20, "ended with rc %d after %d allocations", rc, n);
  property_ok(&p, "model: every allocation may fail: NOMEM, and nothing leaks");
}

int main(int argc, char **argv){
  struct err e = { 0, "" };
  struct model *tiny, *text, *picture;
  if( argc>1 ) root = argv[1];
  if( fault_install()!=SQLITE_OK ) return 2;
  test_open(path_of("tests/data/tiny.safetensors"));
  test_broken();
  test_memory(path_of("tests/data/tiny.safetensors"));
  if( !ok(model_open(&tiny, path_of("tests/data/tiny.safetensors"), &e)==SQLITE_OK, "model: the tiny model opens", "%s", e.text) ) return 1;
  test_golden(tiny, "tiny");
  test_encode_rows(tiny);
  for(int i=0; i<N_WAYS; i++) test_decode_rows(tiny, &ways[i], 70);
  test_fluencies(tiny);
  test_cache(tiny, &ways[0]);
  test_cache(tiny, &ways[2]);
  test_cache(tiny, &ways[4]);
  test_guesses(tiny);
  test_refine(tiny);
  test_beams(tiny);
  test_best_of(tiny);
  test_best_of_reading(tiny);
  test_avoid(tiny);
  test_way(tiny);
  test_seeds(tiny);
  test_interrupt(tiny, 1);
  test_interrupt(tiny, 4);
  model_close(tiny);
  if( ok(model_open(&picture, path_of("tests/data/picture.safetensors"), &e)==SQLITE_OK, "model: the tiny picture model opens", "%s", e.text) ){
    test_golden(picture, "picture");
    test_encode_rows(picture);
    for(int i=0; i<N_WAYS; i++) test_decode_rows(picture, &ways[i], 4);
    test_fluencies(picture);
    test_cache(picture, &ways[0]);
    test_cache(picture, &ways[4]);
    test_guesses(picture);
    test_refine(picture);
    model_close(picture);
  }
  if( access(path_of("model/picture.safetensors"), R_OK)!=0 ){
    printf("# model/picture.safetensors is not there: no shipped pictures to compare\n");
  }else if( ok(model_open(&picture, path_of("model/picture.safetensors"), &e)==SQLITE_OK, "model: the shipped picture model opens", "%s", e.text) ){
    test_golden_picture(picture);
    model_close(picture);
  }
  if( ok(model_open(&text, path_of("model/text.safetensors"), &e)==SQLITE_OK, "model: the shipped model opens", "%s", e.text) ){
    test_golden_text(text);
    model_close(text);
  }
  ok(sqlite3_memory_used()==0, "model: nothing is left at the end", "%lld bytes", (long long)sqlite3_memory_used());
  return n_not_ok ? 1 : 0;
}
