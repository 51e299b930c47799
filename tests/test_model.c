/*
** test_model.c -- the model layer against the PyTorch reference, and against itself.
**
** Two models: the tiny one of tests/data, of which every layer is compared, and the shipped one,
** from end to end. The golden values come from model/golden.py. The two sides add floats up in
** different orders, hence tolerances of 1e-4 of the largest value compared. What the engine
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

/* n token rows of 0 to longest-1 random ids: start[n+1], ids. */
static void random_rows(const struct model *m, int n, uint64_t seed, struct arena *a, int **ids,
                        int **start){
  const struct shape *shape = &m->config.shape;
  uint64_t longest = (uint64_t)shape->longest;
  uint64_t n_tokens = (uint64_t)(shape->pieces - TOKEN_BYTE);
  struct random random = random_of(seed);
  *ids = arena_get(a, (size_t)n*longest*sizeof(int));
  *start = arena_get(a, ((size_t)n + 1)*sizeof(int));
  (*start)[0] = 0;
  for(int i=0; i<n; i++){
    int *row = *ids + (*start)[i];
    int count = (int)(random_u64(&random)%longest);
    for(int k=0; k<count; k++) row[k] = TOKEN_BYTE + (int)(random_u64(&random)%n_tokens);
    (*start)[i+1] = (*start)[i] + count;
  }
}

static int same_ids(const int *a, int n_a, const int *b, int n_b){
  return n_a==n_b && memcmp(a, b, (size_t)n_a*sizeof(int))==0;
}

static int same_tokens(const struct tokens *a, const struct tokens *b){
  return same_ids(a->ids, a->n, b->ids, b->n) && a->log_probability==b->log_probability;
}

static int same_floats(const float *a, const float *b, size_t n){
  return memcmp(a, b, n*sizeof(float))==0;
}

/* ---- Opening ---- */

struct opener {
  const char *path;
  struct model *m;
};

static void *open_once(void *arg){
  struct opener *o = arg;
  struct err e = { 0 };
  model_open(&o->m, o->path, &e);
  return NULL;
}

static void test_open(const char *path){
  enum { N = 8 };
  struct opener openers[N];
  const struct model *m;
  pthread_t threads[N];
  int same = 1;
  for(int i=0; i<N; i++){
    openers[i] = (struct opener){ path, NULL };
    pthread_create(&threads[i], NULL, open_once, &openers[i]);
  }
  for(int i=0; i<N; i++) pthread_join(threads[i], NULL);
  m = openers[0].m;
  for(int i=0; i<N; i++) same = same && openers[i].m==m;
  ok(m && same && m->shared.n_users==N, "model: eight threads that open one path get one copy",
     "%d references", m ? m->shared.n_users : 0);
  for(int i=0; i<N; i++) model_close(openers[i].m);
  model_close(NULL);
  ok(sqlite3_memory_used()==0, "model: the last close frees everything", "%lld bytes are left",
     (long long)sqlite3_memory_used());
}

/* The file json gets `text` with one digit of it changed: the one that follows `what` and a space
** or none. Then the model is refused with `message`. */
static void expect_digit(struct property *p, const char *weights, const char *json, char *text,
                         const char *what, char digit, const char *message){
  char *at = strstr(text, what);
  char was;
  if( at==NULL ) return;
  at += strlen(what);
  if( *at==' ' ) at++;
  was = *at;
  *at = digit;
  file_write(json, text, strlen(text));
  expect_error(p, weights, SQLITE_CORRUPT, message);
  *at = was;
}

/* The tiny model's JSON with one number changed, or its weights with one byte changed, in a folder
** of their own. */
static void test_broken(void){
  struct property p = { 0 };
  char folder[] = "/tmp/latent-test-XXXXXX";
  char weights[100], json[100];
  char *data, *text;
  size_t n_data, n_text;
  if( mkdtemp(folder)==NULL ) exit(1);
  snprintf(weights, sizeof(weights), "%s/tiny.safetensors", folder);
  snprintf(json, sizeof(json), "%s/tiny.json", folder);
  data = file_read(path_of("tests/data/tiny.safetensors"), &n_data);
  text = file_read(path_of("tests/data/tiny.json"), &n_text);
  expect_error(&p, "/tmp/no-such-latent.safetensors", SQLITE_CANTOPEN,
               "no-such-latent.safetensors");
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
  expect_digit(&p, weights, json, text, "\"memory\":", '8',
               "tiny.safetensors: memory.weight is [48, 256], expected [48, 512]");
  expect_digit(&p, weights, json, text, "\"encoder_layers\":", '3',
               "tiny.safetensors: has no tensor encoder.2.attention_norm, expected one of [64]");
  holds(&p, p.n_cases==7, "%d cases, expected 7", p.n_cases);
  property_ok(&p, "model: a broken model is refused with the file and what was expected");
  unlink(weights);
  unlink(json);
  rmdir(folder);
  free(data);
  free(text);
  ok(sqlite3_memory_used()==0, "model: refused models leave no memory behind", "%lld bytes",
     (long long)sqlite3_memory_used());
}

/* ---- A tiny model, layer by layer ---- */

/* What passes by. Rows of a chunk come in order, and so do chunks while there is one thread. */
struct layers {
  float *x[2][8];                       /* [encoder, decoder][layer] */
  size_t n[2][8];                       /* floats of each */
  size_t d;
};

static void note_layer(void *arg, const char *stack, int layer, const float *x, int rows){
  struct layers *all = arg;
  int decoder = strcmp(stack, "decoder")==0;
  size_t *n = &all->n[decoder][layer];
  float **to = &all->x[decoder][layer];
  size_t more = (size_t)rows*all->d;
  *to = realloc(*to, (*n + more)*sizeof(float));
  memcpy(*to + *n, x, more*sizeof(float));
  *n += more;
}

static void compare_layers(struct golden *g, struct layers *all, int decoder, int n_layers){
  for(int l=0; l<n_layers; l++){
    char name[32];
    snprintf(name, sizeof(name), "%s.%d", decoder ? "decoder" : "encoder", l);
    golden_compare(g, name, all->x[decoder][l], all->n[decoder][l]);
    free(all->x[decoder][l]);
  }
}

static void compare_greedy(struct golden *g, struct bench *b, const struct model *m, const float *z,
                           int n, float fluency){
  struct property p = { 0 };
  struct decode_options o;
  struct tokens *out = arena_get(&b->arena, (size_t)n*sizeof(struct tokens));
  int digit = (int)lroundf(fluency*10);
  char name[80];
  size_t n_ids, n_start;
  int *ids, *start;
  snprintf(name, sizeof(name), "greedy.%d", digit);
  ids = golden_ints(g, name, &n_ids);
  snprintf(name, sizeof(name), "greedy.%d.start", digit);
  start = golden_ints(g, name, &n_start);
  decode_options_init(&o);
  o.fluency = fluency;
  decode_tokens(m, &b->run, z, n, &o, out);
  for(int i=0; i<n && n_start==(size_t)n+1; i++){
    int count = start[i+1] - start[i];
    if( count==0 ) continue;            /* a near tie: golden.py has left it out */
    holds(&p, same_ids(out[i].ids, out[i].n, ids + start[i], count), "row %d has %d ids for %d",
          i, out[i].n, count);
  }
  snprintf(name, sizeof(name), "model: %s: greedy rows at fluency 0.%d are the reference's",
           g->name, digit);
  property_ok(&p, name);
}

/* s and r of z[n, s+r], which the encoder gave, are those of the golden file. */
static void compare_points(struct golden *g, struct bench *b, const struct model *m, const float *z,
                           int n){
  const struct shape *shape = &m->config.shape;
  size_t n_s = (size_t)shape->s;
  size_t n_r = (size_t)shape->r;
  float *s = arena_floats(&b->arena, (size_t)n*n_s);
  float *r = arena_floats(&b->arena, (size_t)n*n_r);
  for(int i=0; i<n; i++){
    const float *point = z + (size_t)i*(n_s + n_r);
    memcpy(s + i*n_s, point, n_s*sizeof(float));
    memcpy(r + i*n_r, point + n_s, n_r*sizeof(float));
  }
  golden_compare(g, "s", s, (size_t)n*n_s);
  golden_compare(g, "r", r, (size_t)n*n_r);
}

/* Every layer of a tiny model over the rows of tests/data/golden_<name>.safetensors, and what comes
** of them. */
static void test_golden(const struct model *m, const char *name){
  const struct shape *shape = &m->config.shape;
  struct layers all = { .d = (size_t)shape->d };
  struct memories memories;
  struct golden g;
  struct bench b;
  float *z, *sums, *log_p, *panel;
  int *ids, *start, n;
  size_t n_ids, n_start;
  bench_start(&b);
  if( !golden_open(&g, name, &b) ) return;
  ids = golden_ints(&g, "ids", &n_ids);
  start = golden_ints(&g, "start", &n_start);
  n = (int)n_start - 1;
  z = arena_floats(&b.arena, (size_t)n*(size_t)model_width(m));
  sums = arena_floats(&b.arena, n);
  log_p = arena_floats(&b.arena, n_ids + n);
  panel = arena_floats(&b.arena, LINEAR_SCRATCH(1024));
  b.run.watch = note_layer;
  b.run.watch_arg = &all;
  encode_tokens(m, &b.run, ids, start, n, z);
  compare_layers(&g, &all, 0, shape->encoder_layers);
  compare_points(&g, &b, m, z, n);
  memories_init(&memories, m, n, &b.arena);
  memories_fill(&memories, m, NULL, z, n, 1, panel);
  golden_compare(&g, "memory", memories.expanded, (size_t)n*shape->memory*shape->d);
  score_tokens(m, &b.run, z, ids, start, n, sums, log_p, NULL);
  compare_layers(&g, &all, 1, shape->decoder_layers);
  golden_compare(&g, "log_p", log_p, n_ids + n);
  b.run.watch = NULL;
  compare_greedy(&g, &b, m, z, n, 0);
  compare_greedy(&g, &b, m, z, n, 0.3f);
  ok(b.err.rc==SQLITE_OK, "model: the golden rows go through without an error", "%s: %s",
     name, b.err.text);
  safetensors_close(&g.file);
  bench_end(&b);
}

/* ---- The shipped model, end to end ---- */

/* Is the list this row of ids? */
static int ids_agree(const cJSON *list, const int *ids, int n){
  int same = cJSON_GetArraySize(list)==n;
  for(int i=0; same && i<n; i++){
    same = ids[i]==(int)cJSON_GetNumberValue(cJSON_GetArrayItem(list, i));
  }
  return same;
}

struct shipped_golden {
  struct property ids, points, texts, scores, middles;
};

static void check_score(struct shipped_golden *p, const char *name, const cJSON *golden, float sum){
  double expected = golden_number(golden, "log_p");
  holds(&p->scores, fabs(sum - expected)<1e-3*(1 + fabs(sum)), "%s: %g, expected %g",
        name, (double)sum, expected);
}

static struct latent encoded(const struct model *m, struct run *run, const char *text){
  struct content content = { text, strlen(text) };
  struct latent z = { 0 };
  contents_encode(m, run, &content, 1, "a sentence", 0, &z);
  return z;
}

static void check_sentence(struct shipped_golden *p, const struct model *m, const cJSON *golden){
  const char *text = golden_string(golden, "text");
  const char *expected = golden_string(golden, "decoded");
  const cJSON *ids = cJSON_GetObjectItem(golden, "ids");
  size_t n_text = strlen(text);
  int *have, *start, n;
  struct decode_options o;
  struct buf out = { 0 };
  struct latent z;
  struct bench b;
  float mean = 0;
  bench_start(&b);
  decode_options_init(&o);
  text_segment(m, &b.run, text, n_text, &have, &start, &n);
  holds(&p->ids, n==1 && ids_agree(ids, have, start[1]), "%s", text);
  z = encoded(m, &b.run, text);
  if( b.err.rc==SQLITE_OK ){
    holds(&p->points, sketch_agrees(cJSON_GetObjectItem(golden, "r"), z.z + model_s(m),
                                    m->config.shape.r), "%s", text);
    text_decode(m, &b.run, &z, &o, &out, NULL);
    holds(&p->texts, strcmp(buf_text(&out), expected)==0, "\"%s\", expected \"%s\"",
          buf_text(&out), expected);
    text_score(m, &b.run, text, n_text, &z, &mean);
    check_score(p, text, golden, mean*(float)(cJSON_GetArraySize(ids) + 1));
  }
  holds(&p->points, b.err.rc==SQLITE_OK, "%s", b.err.text);
  buf_release(&out);
  bench_end(&b);
}

static void check_middle(struct shipped_golden *p, const struct model *m, const cJSON *golden,
                         float fluency){
  const char *from = golden_string(golden, "a");
  const char *to = golden_string(golden, "b");
  const char *expected = golden_string(golden, "decoded");
  struct decode_options o;
  struct buf out = { 0 };
  struct latent a, z, middle;
  struct bench b;
  bench_start(&b);
  decode_options_init(&o);
  o.fluency = fluency;
  a = encoded(m, &b.run, from);
  z = encoded(m, &b.run, to);
  if( b.err.rc==SQLITE_OK ){
    point_interp(&middle, &a, &z, 0.5f, &b.arena, &b.err);
  }
  if( b.err.rc==SQLITE_OK ) text_decode(m, &b.run, &middle, &o, &out, NULL);
  holds(&p->middles, strcmp(buf_text(&out), expected)==0, "\"%s\", expected \"%s\" %s",
        buf_text(&out), expected, b.err.text);
  buf_release(&out);
  bench_end(&b);
}

static void test_golden_text(const struct model *m){
  struct shipped_golden p = { 0 };
  const cJSON *c;
  int is_same;
  cJSON *golden = golden_of(m, "tests/data/golden_text.json",
                            "model: the golden values are of the shipped weights", &is_same);
  if( is_same ){
    float fluency = (float)golden_number(golden, "fluency");
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(golden, "sentences")) check_sentence(&p, m, c);
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(golden, "middles")) check_middle(&p, m, c, fluency);
    property_ok(&p.ids, "model: shipped sentences have the reference's tokens");
    property_ok(&p.points, "model: shipped sentences have the reference's r");
    property_ok(&p.texts, "model: shipped points decode to the reference's texts");
    property_ok(&p.scores, "model: shipped sentences have the reference's log-probabilities");
    property_ok(&p.middles,
                "model: shipped middles with fluency decode to the reference's texts");
  }
  cJSON_Delete(golden);
}

/* ---- Batches, threads, caches ---- */

static void test_encode_rows(const struct model *m){
  enum { N = 150 };
  const size_t width = (size_t)model_width(m);
  struct property alone = { 0 };
  struct bench b;
  float *z, *one, *threaded;
  int *ids, *start;
  bench_start(&b);
  random_rows(m, N, 1, &b.arena, &ids, &start);
  z = arena_floats(&b.arena, N*width);
  threaded = arena_floats(&b.arena, N*width);
  one = arena_floats(&b.arena, width);
  encode_tokens(m, &b.run, ids, start, N, z);
  for(int i=0; i<N; i++){
    int row[2] = { 0, start[i+1] - start[i] };
    encode_tokens(m, &b.run, ids + start[i], row, 1, one);
    holds(&alone, same_floats(one, z + i*width, width), "row %d of %d tokens", i, row[1]);
  }
  property_ok(&alone, "model: encoding a batch equals its rows one by one, bit by bit");
  b.run.n_threads = 4;
  encode_tokens(m, &b.run, ids, start, N, threaded);
  ok(same_floats(z, threaded, N*width), "model: encoding on four threads equals one, bit by bit",
     "it differs");
  start[1] = start[0] + m->config.shape.longest;
  ok(encode_tokens(m, &b.run, ids, start, 1, z)==SQLITE_TOOBIG,
     "model: a row that is too long is refused", "%s", b.err.text);
  bench_end(&b);
}

struct method {                         /* of decoding */
  const char *name;
  int beams, best_of, max_tokens;
  float temperature, fluency, detail;
};
static const struct method methods[] = {
  { "greedy", 1, 1, 0, 0, 0, 1 },
  { "greedy with fluency", 1, 1, 0, 0, 0.3f, 0.5f },
  { "sampling", 1, 1, 0, 0.8f, 0, 1 },
  { "sampling with fluency", 1, 1, 9, 0.8f, 0.3f, 1 },
  { "beams", 5, 1, 0, 0, 0, 1 },
  { "beams with fluency", 32, 1, 7, 0, 0.3f, 1 },
  { "best-of", 1, 5, 0, 0, 0, 1 },
  { "best-of beams", 3, 4, 9, 0.9f, 0.2f, 1 },
};
enum { N_METHODS = sizeof(methods)/sizeof(methods[0]) };

static struct decode_options options_of(const struct method *method){
  struct decode_options o;
  decode_options_init(&o);
  o.beams = method->beams;
  o.best_of = method->best_of;
  o.max_tokens = method->max_tokens;
  o.temperature = method->temperature;
  o.fluency = method->fluency;
  o.detail = method->detail;
  o.seed = 42;
  return o;
}

/* Are there as many ids as there may be, and may each of them come out? */
static int is_whole(const struct model *m, const struct decode_options *o,
                    const struct tokens *out){
  int most = m->config.shape.longest - 1;
  int limit = o->max_tokens ? o->max_tokens : most;
  int good = out->n>=0 && out->n<=limit;
  for(int k=0; good && k<out->n; k++){
    good = out->ids[k]>TOKEN_UNKNOWN && out->ids[k]<m->config.shape.pieces;
  }
  return good;
}

static void test_decode_rows(const struct model *m, const struct method *method, int n){
  enum { MOST = 70 };                   /* of n */
  const size_t width = (size_t)model_width(m);
  struct property alone = { 0 };
  struct property threaded = { 0 };
  struct property whole = { 0 };
  struct decode_options o = options_of(method);
  struct decode_options mine = o;
  struct tokens all[MOST], again[MOST], one;
  struct bench b;
  char name[120];
  float *z;
  bench_start(&b);
  z = random_points(m, n, 7, &b.arena);
  decode_tokens(m, &b.run, z, n, &o, all);
  for(int i=0; i<n; i++){
    int good = is_whole(m, &o, &all[i]) && b.err.rc==SQLITE_OK;
    holds(&whole, good, "row %d has %d ids; %s", i, all[i].n, b.err.text);
    mine.seed = decode_seed(o.seed, i);
    decode_tokens(m, &b.run, z + i*width, 1, &mine, &one);
    holds(&alone, same_tokens(&one, &all[i]), "row %d", i);
  }
  b.run.n_threads = 4;
  decode_tokens(m, &b.run, z, n, &o, again);
  for(int i=0; i<n; i++) holds(&threaded, same_tokens(&again[i], &all[i]), "row %d", i);
  snprintf(name, sizeof(name), "model: %s: a batch equals its rows one by one, bit by bit",
           method->name);
  property_ok(&alone, name);
  snprintf(name, sizeof(name), "model: %s: four threads equal one, bit by bit", method->name);
  property_ok(&threaded, name);
  snprintf(name, sizeof(name), "model: %s: ids are in range and within the limit",
           method->name);
  property_ok(&whole, name);
  bench_end(&b);
}

/* A path's rows have fluencies of their own: each gives what it gives alone with that one. */
static void test_fluencies(const struct model *m){
  enum { N = 30 };
  const size_t width = (size_t)model_width(m);
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
    decode_tokens(m, &b.run, z + i*width, 1, &mine, &one);
    holds(&p, same_tokens(&one, &all[i]), "row %d at %g; %s", i, (double)fluencies[i],
          b.err.text);
  }
  property_ok(&p, "model: rows of their own fluency equal each alone, bit by bit");
  bench_end(&b);
}

/* Decoded rows one behind another, as score_tokens() takes them: ids[start[n]], start[n+1]. */
static void join_rows(const struct tokens *rows, int n, int *ids, int *start){
  start[0] = 0;
  for(int i=0; i<n; i++){
    memcpy(ids + start[i], rows[i].ids, (size_t)rows[i].n*sizeof(int));
    start[i+1] = start[i] + rows[i].n;
  }
}

/* Cached decoding says how likely its result is. Full decoding must agree. */
static void test_cache(const struct model *m, const struct method *method){
  enum { N = 40 };
  struct decode_options o = options_of(method);
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
  join_rows(out, N, ids, start);
  score_tokens(m, &b.run, z, ids, start, N, sums, NULL, NULL);
  for(int i=0; i<N; i++){
    float cached = out[i].log_probability;
    float apart = fabsf(sums[i] - cached);
    holds(&p, apart<=1e-4f*(1 + fabsf(sums[i])), "row %d: %g cached, %g full",
          i, (double)cached, (double)sums[i]);
  }
  snprintf(name, sizeof(name), "model: %s: cached decoding equals full decoding", method->name);
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
  size_t longest = (size_t)m->config.shape.longest;
  int *ids, *guesses, start[N+1];
  bench_start(&b);
  z = random_points(m, N, 12, &b.arena);
  ids = arena_get(&b.arena, N*longest*sizeof(int));
  guesses = arena_get(&b.arena, N*(longest + 1)*sizeof(int));
  decode_options_init(&o);
  decode_tokens(m, &b.run, z, N, &o, out);
  join_rows(out, N, ids, start);
  score_tokens(m, &b.run, z, ids, start, N, sums, NULL, guesses);
  for(int i=0; i<N; i++){
    const int *own = guesses + start[i] + i;
    int n = out[i].n;
    holds(&p, b.err.rc==SQLITE_OK && same_ids(own, n, out[i].ids, n), "row %d; %s",
          i, b.err.text);
    if( n<(int)longest-1 ){
      holds(&p, own[n]==TOKEN_END, "row %d ends with %d", i, own[n]);
    }
  }
  property_ok(&p, "model: guesses are what greedy decoding chooses");
  bench_end(&b);
}

/* Tokens of a row that greedy decoding would choose in their places: how near z is to giving it
** back. */
static int right_guesses(const struct model *m, struct bench *b, const float *z, const int *ids,
                         int n){
  struct arena_mark mark = arena_mark(&b->arena);
  int *guesses = arena_get(&b->arena, ((size_t)n + 1)*sizeof(int));
  int start[2] = { 0, n };
  int right = 0;
  float sum;
  score_tokens(m, &b->run, z, ids, start, 1, &sum, NULL, guesses);
  for(int k=0; k<n; k++) right += guesses[k]==ids[k];
  arena_rewind(&b->arena, mark);
  return right;
}

/* Is `now` what `was` may be refined to? s stays, the length of r too, and numbers are rounded as
** in a BLOB. */
static int is_refined(const float *was, const float *now, int s, int width){
  const float *r = now + s;
  float rr = dot(r, r, width - s);
  for(int k=0; k<width; k++){
    float exact = k<s ? was[k] : now[k];
    if( now[k]!=half_to_float(float_to_half(exact)) ) return 0;
  }
  return fabsf(rr - 1)<1e-2f;
}

static void test_refine(const struct model *m){
  enum { N = 60, ROUNDS = 5 };
  const int s = model_s(m);
  const size_t width = (size_t)model_width(m);
  struct property alone = { 0 };
  struct property same = { 0 };
  struct property nearer = { 0 };
  struct bench b;
  float *z, *rough, *threaded, *one;
  int *ids, *start;
  bench_start(&b);
  random_rows(m, N, 3, &b.arena, &ids, &start);
  rough = arena_floats(&b.arena, N*width);
  z = arena_floats(&b.arena, N*width);
  threaded = arena_floats(&b.arena, N*width);
  one = arena_floats(&b.arena, width);
  encode_tokens(m, &b.run, ids, start, N, rough);
  memcpy(z, rough, N*width*sizeof(float));
  refine_tokens(m, &b.run, ids, start, NULL, N, 0, z);
  ok(same_floats(z, rough, N*width), "model: no rounds of refining change nothing", "it differs");
  memcpy(threaded, rough, N*width*sizeof(float));
  refine_tokens(m, &b.run, ids, start, NULL, N, ROUNDS, z);
  for(int i=0; i<N; i++){
    const float *was = rough + i*width;
    const float *now = z + i*width;
    const int *own = ids + start[i];
    int n = start[i+1] - start[i];
    int row[2] = { 0, n };
    int was_right = right_guesses(m, &b, was, own, n);
    int is_right = right_guesses(m, &b, now, own, n);
    memcpy(one, was, width*sizeof(float));
    refine_tokens(m, &b.run, own, row, NULL, 1, ROUNDS, one);
    holds(&alone, same_floats(one, now, width), "row %d of %d tokens", i, n);
    holds(&same, is_refined(was, now, s, (int)width), "row %d", i);
    holds(&nearer, is_right>=was_right-1, "row %d: %d right, then %d", i, was_right,
          is_right);                    /* rounding may cost one */
  }
  property_ok(&alone, "model: refining a batch equals its rows one by one, bit by bit");
  property_ok(&same,
              "model: refining keeps s and the length of r, and rounds both as a latent is stored");
  property_ok(&nearer, "model: refining loses no token of a row");
  b.run.n_threads = 4;
  refine_tokens(m, &b.run, ids, start, NULL, N, ROUNDS, threaded);
  ok(same_floats(z, threaded, N*width), "model: refining on four threads equals one, bit by bit",
     "it differs");
  bench_end(&b);
}

/* ---- Beam search against a dumb one ---- */

enum { BEAMS = 3, LIMIT = 3 };
struct hypothesis {
  int ids[LIMIT+1], n;
  float sum;
};

/* log_p[pieces] of every token after the ids of h, by full decoding of h and that token. */
static void all_continuations(const struct model *m, struct bench *b, const float *z,
                              const struct hypothesis *h, float *log_p){
  struct arena_mark mark = arena_mark(&b->arena);
  size_t pieces = (size_t)m->config.shape.pieces;
  size_t width = (size_t)model_width(m);
  size_t n = (size_t)h->n + 1;
  float *points = arena_floats(&b->arena, pieces*width);
  float *sums = arena_floats(&b->arena, pieces);
  float *all = arena_floats(&b->arena, pieces*(n + 1));
  int *ids = arena_get(&b->arena, pieces*n*sizeof(int));
  int *start = arena_get(&b->arena, (pieces + 1)*sizeof(int));
  start[0] = 0;
  for(size_t t=0; t<pieces; t++){
    int *row = ids + t*n;
    start[t+1] = (int)((t + 1)*n);
    memcpy(points + t*width, z, width*sizeof(float));
    memcpy(row, h->ids, (size_t)h->n*sizeof(int));
    row[n-1] = (int)t;
  }
  score_tokens(m, &b->run, points, ids, start, (int)pieces, sums, all, NULL);
  for(size_t t=0; t<pieces; t++) log_p[t] = all[t*(n + 1) + n-1];
  arena_rewind(&b->arena, mark);
}

/* The best continuation of live[n_live]: its sum, which one it continues (-1: there is none) and
** the token. */
static float best_continuation(const struct model *m, const struct hypothesis *live, int n_live,
                               const float *log_p, int *from, int *token){
  int pieces = m->config.shape.pieces;
  float most = -INFINITY;
  *from = -1;
  *token = 0;
  for(int i=0; i<n_live; i++){
    for(int t=TOKEN_END; t<pieces; t++){
      float sum = live[i].sum + log_p[(size_t)i*pieces + t];
      int may_come = t!=TOKEN_UNKNOWN && (live[i].n<LIMIT || t==TOKEN_END);
      if( !may_come || sum<=most ) continue;
      most = sum;
      *from = i;
      *token = t;
    }
  }
  return most;
}

/* The rule of model_strand.c's head comment, with whole copies and no cache. */
static struct hypothesis dumb_beams(const struct model *m, struct bench *b, const float *z){
  struct hypothesis live[BEAMS] = { { .n = 0 } };
  struct hypothesis best = { .n = -1 };
  int pieces = m->config.shape.pieces;
  float *log_p = arena_floats(&b->arena, (size_t)BEAMS*pieces);
  int n_live = 1;
  int left = BEAMS;
  while( n_live>0 ){
    struct hypothesis next[BEAMS];
    int n_next = 0;
    int n_taken = left;
    for(int i=0; i<n_live; i++){
      all_continuations(m, b, z, &live[i], log_p + (size_t)i*pieces);
    }
    for(int k=0; k<n_taken; k++){
      int from, token;
      float sum = best_continuation(m, live, n_live, log_p, &from, &token);
      if( from<0 ) break;
      log_p[(size_t)from*pieces + token] = -INFINITY;
      if( token!=TOKEN_END ){
        struct hypothesis *child = &next[n_next++];
        *child = live[from];
        child->ids[child->n++] = token;
        child->sum = sum;
        continue;
      }
      left--;
      if( best.n<0 || sum/(live[from].n + 1)>best.sum/(best.n + 1) ){
        best = live[from];
        best.sum = sum;
      }
    }
    n_live = n_next;
    memcpy(live, next, (size_t)n_next*sizeof(*next));
  }
  return best;
}

static void test_beams(const struct model *m){
  enum { N = 3 };
  const size_t width = (size_t)model_width(m);
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
    struct hypothesis h = dumb_beams(m, &b, z + i*width);
    float sum = out[i].log_probability;
    int good = same_ids(h.ids, h.n, out[i].ids, out[i].n) && fabsf(h.sum - sum)<1e-3f;
    holds(&p, good, "row %d: %d ids of %g, expected %d of %g", i, out[i].n, (double)sum,
          h.n, (double)h.sum);
  }
  property_ok(&p, "model: beam search gives what a dumb one gives");
  bench_end(&b);
}

/* ---- Best of K against candidates drawn one by one ---- */

/* Best-of never gets further from the asked point than its own first candidate. */
static void test_best_of(const struct model *m){
  enum { N = 12 };
  const int width = model_width(m);
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
  tokens_encode(m, &b.run, one, NULL, N, 0, near);
  tokens_encode(m, &b.run, best, NULL, N, 0, nearer);
  for(int i=0; i<N; i++){
    size_t at = (size_t)i*width;
    float first = point_cosine(z + at, near + at, width);
    float chosen = point_cosine(z + at, nearer + at, width);
    holds(&p, chosen>=first, "row %d: %g after %g", i, (double)chosen, (double)first);
    n_better += chosen>first;
  }
  property_ok(&p, "model: best-of is at least as near as greedy");
  ok(n_better>0 && b.err.rc==SQLITE_OK, "model: best-of finds nearer texts",
     "for none of %d points; %s", N, b.err.text);
  bench_end(&b);
}

/* The candidates of one point as best-of draws them: the greedy text, then samples at temperature
** 0.5, each with a seed of its own. */
static void draw_candidates(const struct model *m, struct run *run, const float *z,
                            const struct decode_options *best_of, struct tokens *candidates){
  struct decode_options o = *best_of;
  o.best_of = 1;
  o.is_way = 0;
  for(int i=0; i<best_of->best_of; i++){
    o.temperature = i>0 ? 0.5f : 0;
    o.seed = best_of->seed + (uint64_t)i*UINT64_C(0xA0761D6478BD642F);
    decode_tokens(m, run, z, 1, &o, &candidates[i]);
  }
}

static int continues_word(const struct model *m, int id){
  struct buf bytes = { 0 };
  int first;
  tokenizer_decode(m->config.tokenizer, id, &bytes);
  first = bytes.n>0 ? buf_text(&bytes)[0] | 32 : 0;
  buf_release(&bytes);
  return first>='a' && first<='z';
}

/* The ids that the text's bytes give. */
static struct tokens as_read(const struct model *m, struct run *run, const struct tokens *text){
  const struct tokenizer *t = m->config.tokenizer;
  struct tokens out = { 0 };
  struct buf bytes = { 0 };
  for(int i=0; i<text->n; i++) tokenizer_decode(t, text->ids[i], &bytes);
  tokenizer_encode(t, buf_text(&bytes), bytes.n, run->arena, &out.ids, NULL, &out.n, run->err);
  buf_release(&bytes);
  return out;
}

/* What best-of goes by. *near: the cosine of the text's own latent to z. *reading, both by the
** plain language model: a fifth of the mean log-probability of its tokens and END, and 0.13 of the
** worst one inside a word. The ids are those that the text's bytes give. */
static void mark_text(const struct model *m, struct run *run, const float *z,
                      const struct tokens *text, float *near, float *reading){
  const int width = model_width(m);
  struct tokens read = as_read(m, run, text);
  int start[2] = { 0, read.n };
  float *own = arena_floats(run->arena, (size_t)width);
  float *zero = arena_zeroed(run->arena, (size_t)width*sizeof(float));
  float *each = arena_floats(run->arena, (size_t)read.n + 1);
  float sum;
  float worst = 0;
  encode_points(m, run, read.ids, start, 1, own);
  score_tokens(m, run, zero, read.ids, start, 1, &sum, each, NULL);
  for(int i=0; i<read.n; i++){
    if( continues_word(m, read.ids[i]) && each[i]<worst ) worst = each[i];
  }
  *near = point_cosine(z, own, width);
  *reading = 0.2f*sum/(float)(read.n + 1) + 0.13f*worst;
}

/* At every fluency that text wins, of candidates drawn one by one, for which nearness and fluency
** times reading are the most. */
static void test_best_of_reading(const struct model *m){
  enum { N = 24, K = 6 };
  static const float fluencies[] = { 0, 0.15f, 1 };
  const size_t width = (size_t)model_width(m);
  struct property wins = { 0 };
  struct property again = { 0 };
  int n_not_nearest = 0, n_not_greedy = 0;
  for(int at=0; at<3*N; at++){
    struct tokens best, once_more, candidates[K];
    float mark[K], near[K], reading, *z;
    struct decode_options o;
    struct bench b;
    int good;
    int winner = 0, nearest = 0;
    bench_start(&b);
    z = random_points(m, N, 9, &b.arena) + at/3*width;
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
    good = b.err.rc==SQLITE_OK && same_tokens(&best, &candidates[winner]);
    holds(&wins, good, "point %d at fluency %g: it is not candidate %d; %s", at/3,
          (double)o.fluency, winner, b.err.text);
    holds(&again, same_tokens(&best, &once_more), "point %d", at/3);
    n_not_nearest += near[winner]<near[nearest];
    n_not_greedy += winner>0;
    bench_end(&b);
  }
  property_ok(&wins, "model: best-of takes the candidate with the best mark");
  property_ok(&again, "model: best-of gives the same for the same seed");
  ok(n_not_nearest>0 && n_not_greedy>N/2,
     "model: best-of: reading and samples decide at times",
     "%d were not the nearest, %d not the greedy one", n_not_nearest, n_not_greedy);
}

/* The best of candidates[n] that is not `avoid`, or -1. */
static int best_other(const struct model *m, struct run *run, const float *z, float fluency,
                      const struct tokens *candidates, int n, const struct tokens *avoid){
  float most = -INFINITY;
  int winner = -1;
  for(int i=0; i<n; i++){
    struct tokens read = as_read(m, run, &candidates[i]);
    float mark, near, reading;
    if( same_tokens(&read, avoid) ) continue;
    mark_text(m, run, z, &candidates[i], &near, &reading);
    mark = near + fluency*reading;
    if( mark<=most ) continue;
    most = mark;
    winner = i;
  }
  return winner;
}

/* What is to be avoided is taken only where every candidate is it; else the best of the others. */
static void test_avoid(const struct model *m){
  enum { N = 24, K = 6 };
  const size_t width = (size_t)model_width(m);
  struct property others = { 0 };
  int n_others = 0;
  for(int at=0; at<N; at++){
    struct tokens best, other, avoid, candidates[K];
    const struct tokens *expected;
    struct decode_options o;
    struct bench b;
    float *z;
    int winner;
    bench_start(&b);
    z = random_points(m, N, 9, &b.arena) + at*width;
    decode_options_init(&o);
    o.best_of = K;
    o.max_tokens = 3;                   /* so that candidates are alike at times */
    o.fluency = 0.3f;
    o.seed = (uint64_t)at;
    decode_tokens(m, &b.run, z, 1, &o, &best);
    avoid = as_read(m, &b.run, &best);
    o.avoid = &avoid;
    o.n_avoid = 1;
    decode_tokens(m, &b.run, z, 1, &o, &other);
    draw_candidates(m, &b.run, z, &o, candidates);
    winner = best_other(m, &b.run, z, o.fluency, candidates, K, &avoid);
    expected = winner<0 ? &best : &candidates[winner];
    n_others += winner>=0;
    holds(&others, b.err.rc==SQLITE_OK && same_tokens(&other, expected),
          "point %d: it is not candidate %d; %s", at, winner, b.err.text);
    bench_end(&b);
  }
  property_ok(&others, "model: best-of takes no text that is to be avoided where there is another");
  ok(n_others>N/2, "model: best-of: there are others", "for %d of %d points", n_others, N);
}

/* ---- Best of K on a way against all ways ---- */

enum {
  POINTS = 5,                           /* on a way */
  CHOICES = 3,                          /* candidates of each */
  WAYS = 243                            /* ways through them */
};
struct way_text {
  float mark;
  float far[2];                         /* distances from both ends */
};

/* What a way through the candidates is worth, by the rule in model_decode.c. `number` in base 3
** says which candidates it takes: taken[]. */
static float way_worth(struct way_text texts[POINTS][CHOICES], float apart, int number, int *taken){
  const struct way_text start = { 0, { 0, apart } };
  const struct way_text goal = { 0, { apart, 0 } };
  const struct way_text *from = &start;
  float worth = 0;
  for(int i=0; i<=POINTS; i++){
    int choice = number%CHOICES;
    const struct way_text *to = i<POINTS ? &texts[i][choice] : &goal;
    if( i<POINTS ) taken[i] = choice;
    worth += to->mark;
    if( to->far[0]<from->far[0] ) worth -= 0.15f + from->far[0] - to->far[0];
    if( to->far[1]>from->far[1] ) worth -= 0.15f + to->far[1] - from->far[1];
    if( to->far[0]==from->far[0] && to->far[1]==from->far[1] ) worth -= 0.05f;
    from = to;
    number /= CHOICES;
  }
  return worth;
}

/* Draws the candidates of the points z[POINTS, s+r] on a way and describes them in texts. Returns
** the sum of the best marks. */
static float draw_way(const struct model *m, struct bench *b, const float *z,
                      const struct decode_options *o, struct tokens candidates[POINTS][CHOICES],
                      struct way_text texts[POINTS][CHOICES]){
  const int s = model_s(m);
  const size_t width = (size_t)model_width(m);
  float *own = arena_floats(&b->arena, width);
  float sum = 0;
  for(int i=0; i<POINTS; i++){
    const float *point = z + i*width;
    float highest = -INFINITY;
    float reading;
    draw_candidates(m, &b->run, point, o, candidates[i]);
    for(int k=0; k<CHOICES; k++){
      struct way_text *text = &texts[i][k];
      mark_text(m, &b->run, point, &candidates[i][k], &text->mark, &reading);
      tokens_encode(m, &b->run, &candidates[i][k], NULL, 1, 0, own);
      for(int end=0; end<2; end++) text->far[end] = 1 - point_cosine(o->ends + end*s, own, s);
      if( text->mark>highest ) highest = text->mark;
    }
    sum += highest;
  }
  return sum;
}

/* The candidates of the best of all ways: taken[]. */
static void best_way(struct way_text texts[POINTS][CHOICES], float apart, int *taken){
  float best = -INFINITY;
  int own[POINTS];
  for(int number=0; number<WAYS; number++){
    float worth = way_worth(texts, apart, number, own);
    if( worth<=best ) continue;
    best = worth;
    memcpy(taken, own, sizeof(own));
  }
}

/* On a way the candidates are those that together are worth the most, of all ways there are. */
static void test_way(const struct model *m){
  enum { N = 12 };
  const size_t s = (size_t)model_s(m);
  const size_t width = (size_t)model_width(m);
  struct property p = { 0 };
  int n_not_best = 0;
  for(int at=0; at<N; at++){
    struct way_text texts[POINTS][CHOICES];
    struct tokens out[POINTS], candidates[POINTS][CHOICES];
    struct decode_options o;
    struct bench b;
    float *z, *way, apart, given_up;
    int taken[POINTS] = { 0 };
    int same = 1;
    bench_start(&b);
    z = random_points(m, POINTS, (uint64_t)at + 30, &b.arena);
    way = arena_floats(&b.arena, 2*s);
    memcpy(way, z, s*sizeof(float));
    memcpy(way + s, z + (POINTS-1)*width, s*sizeof(float));
    apart = 1 - point_cosine(way, way + s, (int)s);
    decode_options_init(&o);
    o.best_of = CHOICES;
    o.max_tokens = 8;
    o.seed = (uint64_t)at;
    o.one_seed = 1;
    o.ends = way;
    o.is_way = 1;
    decode_tokens(m, &b.run, z, POINTS, &o, out);
    given_up = draw_way(m, &b, z, &o, candidates, texts);
    best_way(texts, apart, taken);
    for(int i=0; i<POINTS; i++){
      same = same && same_tokens(&out[i], &candidates[i][taken[i]]);
      given_up -= texts[i][taken[i]].mark;
    }
    n_not_best += given_up>1e-6f;
    holds(&p, same && b.err.rc==SQLITE_OK, "way %d; %s", at, b.err.text);
    bench_end(&b);
  }
  property_ok(&p, "model: best-of on a way takes the candidates that are worth the most together");
  ok(n_not_best>0, "model: best-of on a way: some give up their own best", "none of %d ways", N);
}

static void test_seeds(const struct model *m){
  enum { N = 10 };
  struct decode_options o;
  struct tokens first[N], second[N];
  struct bench b;
  float *z;
  int n_same = 0;
  bench_start(&b);
  z = random_points(m, N, 3, &b.arena);
  decode_options_init(&o);
  o.temperature = 1;
  o.seed = 1;
  decode_tokens(m, &b.run, z, N, &o, first);
  o.seed = 2;
  decode_tokens(m, &b.run, z, N, &o, second);
  for(int i=0; i<N; i++) n_same += same_tokens(&first[i], &second[i]);
  ok(n_same<N/2, "model: another seed gives other samples", "%d of %d are the same", n_same, N);
  bench_end(&b);
}

/* ---- Interrupts ---- */

enum { WORK_ENCODE, WORK_DECODE, WORK_BEST_OF, N_WORK };

/* Stops some work when it asks for the stop_at-th time. */
static void interrupt_work(struct property *p, const struct model *m, int n_threads, int stop_at,
                           int work){
  enum { N = 80 };
  struct stopper s = { .stop_at = stop_at, .caller = pthread_self() };
  struct decode_options o;
  struct tokens out[N];
  struct bench b;
  float *z, *again;
  int *ids, *start, rc;
  bench_start(&b);
  decode_options_init(&o);
  o.best_of = work==WORK_BEST_OF ? 4 : 1;
  random_rows(m, N, 5, &b.arena, &ids, &start);
  z = random_points(m, N, 6, &b.arena);
  again = arena_floats(&b.arena, (size_t)N*model_width(m));
  b.run.n_threads = n_threads;
  b.err.stop = count_and_stop;
  b.err.stop_arg = &s;
  rc = work==WORK_ENCODE ? encode_tokens(m, &b.run, ids, start, N, again)
                         : decode_tokens(m, &b.run, z, N, &o, out);
  if( s.n_asked>=stop_at ){
    int told = rc==SQLITE_INTERRUPT && strcmp(b.err.text, "interrupted")==0;
    holds(p, told && s.n_after==0 && !s.is_foreign,
          "work %d stopped at question %d gives %d \"%s\", asked %d times more, from another "
          "thread: %d", work, stop_at, rc, b.err.text, s.n_after, s.is_foreign);
  }else{
    holds(p, rc==SQLITE_OK && !s.is_foreign, "work %d, never stopped, gives %d", work, rc);
  }
  bench_end(&b);
}

static void test_interrupt(const struct model *m, int n_threads){
  struct property p = { 0 };
  char name[100];
  for(int stop_at=1; stop_at<200; stop_at+=stop_at<20 ? 1 : 17){
    for(int work=0; work<N_WORK; work++) interrupt_work(&p, m, n_threads, stop_at, work);
  }
  snprintf(name, sizeof(name), "model: an interrupt ends the work at once, on %d thread%s",
           n_threads, n_threads>1 ? "s" : "");
  property_ok(&p, name);
}

/* ---- Out of memory at every allocation ---- */

/* Everything that a model does, once. */
static int whole_work(const char *path){
  const char text[] = "One. Two words! And three.";
  size_t n = sizeof(text) - 1;
  struct model *m = NULL;
  struct latent a, c, z;
  struct buf out = { 0 };
  struct bench b;
  float fidelity, mean;
  int rc;
  bench_start(&b);
  rc = model_open(&m, path, &b.err);
  if( rc==SQLITE_OK ) rc = text_encode(m, &b.run, text, n, &a);
  if( rc==SQLITE_OK ) rc = text_encode(m, &b.run, "Four.", 5, &c);
  if( rc==SQLITE_OK ) rc = point_interp(&z, &a, &c, 0.3f, &b.arena, &b.err);
  for(int i=0; i<N_METHODS && rc==SQLITE_OK; i++){
    struct decode_options o = options_of(&methods[i]);
    o.max_tokens = 4;
    rc = text_decode(m, &b.run, &z, &o, &out, i%2 ? &fidelity : NULL);
  }
  if( rc==SQLITE_OK ) rc = text_score(m, &b.run, text, n, &z, &mean);
  if( rc==SQLITE_OK ) rc = point_combine(&z, &a, 1, &c, 1, KIND_TEXT, &b.arena, &b.err);
  buf_release(&out);
  bench_end(&b);
  model_close(m);
  return rc;
}

static void test_memory(const char *path){
  struct property p = { 0 };
  int rc = SQLITE_NOMEM;
  int n;
  for(n=0; rc==SQLITE_NOMEM && n<5000; n++){
    long long left;
    fault_set(n + 1, 1);
    rc = whole_work(path);
    fault_set(0, 0);
    left = (long long)sqlite3_memory_used();
    holds(&p, (rc==SQLITE_OK || rc==SQLITE_NOMEM) && left==0,
          "allocation %d fails: rc %d, %lld bytes left", n, rc, left);
  }
  holds(&p, rc==SQLITE_OK && n>20, "ended with rc %d after %d allocations", rc, n);
  property_ok(&p, "model: every allocation may fail: NOMEM, and nothing leaks");
}

/* ---- The models ---- */

static void test_tiny(void){
  struct err e = { 0 };
  struct model *m;
  model_open(&m, path_of("tests/data/tiny.safetensors"), &e);
  if( !ok(m!=NULL, "model: the tiny model opens", "%s", e.text) ) return;
  test_golden(m, "tiny");
  test_encode_rows(m);
  for(int i=0; i<N_METHODS; i++) test_decode_rows(m, &methods[i], 70);
  test_fluencies(m);
  test_cache(m, &methods[0]);
  test_cache(m, &methods[2]);
  test_cache(m, &methods[4]);
  test_guesses(m);
  test_refine(m);
  test_beams(m);
  test_best_of(m);
  test_best_of_reading(m);
  test_avoid(m);
  test_way(m);
  test_seeds(m);
  test_interrupt(m, 1);
  test_interrupt(m, 4);
  model_close(m);
}

static void test_shipped_text(void){
  struct err e = { 0 };
  struct model *m;
  model_open(&m, path_of("model/text.safetensors"), &e);
  if( !ok(m!=NULL, "model: the shipped model opens", "%s", e.text) ) return;
  test_golden_text(m);
  model_close(m);
}

/* Where a text model has a sentence encoder, s is the beginning of its vector, r is the network's
** own, and the decoder reads the beginning of s. */
static void test_meaning(const char *with, const char *without){
  static const char text[] = "The  CAT was late.";
  struct content normal = { "the cat was late.", 17 };
  struct property p = { 0 };
  struct model *m, *plain;
  int *ids, *start, n;
  float *z, *own, *vector, *cut;
  float sums[2];
  struct bench b;
  bench_start(&b);
  model_open(&m, path_of(with), &b.err);
  model_open(&plain, path_of(without), &b.err);
  if( !ok(m && plain, "model: one with a sentence encoder opens", "%s", b.err.text) ) return;
  text_segment(m, &b.run, text, strlen(text), &ids, &start, &n);
  z = arena_floats(&b.arena, (size_t)model_width(m));
  own = arena_floats(&b.arena, (size_t)model_width(plain));
  vector = arena_floats(&b.arena, (size_t)m->meaning->config.shape.d);
  cut = arena_floats(&b.arena, (size_t)model_width(plain));
  holds(&p, n==1 && model_s(m)>model_s(plain), "%d segments", n);
  encode_points(m, &b.run, ids, start, 1, z);
  encode_points(plain, &b.run, ids, start, 1, own);
  bert_embed(m->meaning, &b.run, &normal, 1, vector);
  holds(&p, 1 - point_cosine(z, vector, model_s(m))<1e-6f, "s is not the encoder's");
  holds(&p, difference(z + model_s(m), own + model_s(plain), plain->config.shape.r)==0,
        "r is not the network's");
  memcpy(cut, z, sizeof(float)*(size_t)model_s(plain));
  normalize(cut, model_s(plain));
  memcpy(cut + model_s(plain), z + model_s(m), sizeof(float)*(size_t)plain->config.shape.r);
  score_tokens(m, &b.run, z, ids, start, 1, &sums[0], NULL, NULL);
  score_tokens(plain, &b.run, cut, ids, start, 1, &sums[1], NULL, NULL);
  holds(&p, sums[0]==sums[1], "the decoder reads another s: %g, %g", (double)sums[0],
        (double)sums[1]);
  holds(&p, b.err.rc==SQLITE_OK, "%s", b.err.text);
  property_ok(&p, "model: with a sentence encoder, s is its vector's beginning, and r stays");
  model_close(m);
  model_close(plain);
  bench_end(&b);
}

int main(int argc, char **argv){
  if( argc>1 ) root = argv[1];
  if( fault_install()!=SQLITE_OK ) return 2;
  test_open(path_of("tests/data/tiny.safetensors"));
  test_broken();
  test_memory(path_of("tests/data/tiny.safetensors"));
  test_tiny();
  test_shipped_text();
  test_meaning("tests/data/text.safetensors", "tests/data/tiny.safetensors");
  ok(sqlite3_memory_used()==0, "model: nothing is left at the end", "%lld bytes",
     (long long)sqlite3_memory_used());
  return n_not_ok ? 1 : 0;
}
