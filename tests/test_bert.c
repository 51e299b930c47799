/*
** test_bert.c -- sentence encoders of the BERT family: against the PyTorch reference
** (model/bert_model.py makes the folders and golden values of tests/data), against themselves, and
** folders that are broken.
**
**     build/core/test_bert [ROOT]
*/
#include "broken.h"
#include "fault.h"
#include "model_golden.h"
#include <sys/stat.h>
#include <unistd.h>

static const char *const kinds[] = { "bert", "mpnet" };
enum { N_KINDS = 2 };
static const float BERT_TOLERANCE = 1e-5f;      /* sql/README.md promises it */

static struct bert *open_tiny(const char *kind, struct err *e){
  char folder[40];
  struct bert *b;
  snprintf(folder, sizeof(folder), "tests/data/%s", kind);
  bert_open(&b, path_of(folder), e);
  ok(b!=NULL, "bert: a folder as Hugging Face has it opens", "%s: %s", kind, e->text);
  return b;
}

struct rows {
  int *ids, *start;
  int n;
};

static struct rows golden_rows(struct golden *g){
  size_t n_start, n_ids;
  struct rows r = { 0 };
  r.ids = golden_ints(g, "ids", &n_ids);
  r.start = golden_ints(g, "start", &n_start);
  r.n = (int)n_start - 1;
  return r;
}

/* ---- Against the reference ---- */

struct watched {                        /* the outputs of layers, copied */
  struct arena *arena;                  /* not the run's, which rewinds its own */
  float *x[8];
  size_t n[8];
};

static void watch(void *arg, const char *stack, int layer, const float *x, int rows){
  struct watched *w = arg;
  enum { D = 48 };
  (void)stack;
  w->n[layer] = (size_t)rows*D;
  w->x[layer] = arena_floats(w->arena, w->n[layer]);
  memcpy(w->x[layer], x, w->n[layer]*sizeof(float));
}

static void test_golden(const char *kind){
  struct bench b;
  struct golden g;
  struct bert *bert;
  struct rows rows;
  struct arena own = { 0 };
  struct watched seen = { .arena = &own };
  float *y;
  char name[60];
  bench_start(&b);
  snprintf(name, sizeof(name), "tests/data/%s/golden.safetensors", kind);
  g = (struct golden){ .arena = &b.arena, .name = kind };
  safetensors_open(&g.file, path_of(name), &b.err);
  bert = open_tiny(kind, &b.err);
  if( bert ){
    rows = golden_rows(&g);
    y = arena_floats(&b.arena, (size_t)rows.n*(size_t)bert->config.shape.d);
    b.run.watch = watch;
    b.run.watch_arg = &seen;
    bert_encode(bert, &b.run, rows.ids, rows.start, rows.n, y);
    for(int i=0; i<bert->config.shape.layers; i++){
      snprintf(name, sizeof(name), "layer.%d", i);
      golden_compare_to(&g, name, seen.x[i], seen.n[i], BERT_TOLERANCE);
    }
    golden_compare_to(&g, "y", y, (size_t)rows.n*(size_t)bert->config.shape.d, BERT_TOLERANCE);
  }
  bert_close(bert);
  arena_release(&own);
  safetensors_close(&g.file);
  bench_end(&b);
}

/* ---- Against itself ---- */

static int random_rows(struct rows *r, const struct bert *b, int n, struct arena *a){
  struct random random = random_of(3);
  int most = bert_longest(b);
  int at = 0;
  r->n = n;
  r->ids = arena_get(a, (size_t)(n*most)*sizeof(int));
  r->start = arena_get(a, (size_t)(n + 1)*sizeof(int));
  for(int i=0; i<n; i++){
    int length = (int)(random_u64(&random)%(uint64_t)(most + 1));
    r->start[i] = at;
    while( length-->0 ) r->ids[at++] = (int)(random_u64(&random)%(uint64_t)b->config.shape.pieces);
  }
  r->start[n] = at;
  return at;
}

/* A row alone, in a batch, on several threads, with every code. */
static void test_batches(const char *kind){
  enum { N = 60, TOGETHER = 6 };        /* so few are one chunk */
  static const char *const codes[] = {
    "avx512_vnni", "avx512", "avx2_vnni", "avx2", "neon_dot", "neon", "plain"
  };
  struct property alone = { 0 }, threads = { 0 }, shared = { 0 }, everywhere = { 0 };
  struct bench b;
  struct bert *bert;
  struct rows rows;
  float *y, *other;
  size_t d, all;
  bench_start(&b);
  bert = open_tiny(kind, &b.err);
  if( bert==NULL ) return;
  d = (size_t)bert->config.shape.d;
  all = N*d*sizeof(float);
  random_rows(&rows, bert, N, &b.arena);
  y = arena_floats(&b.arena, N*d);
  other = arena_floats(&b.arena, N*d);
  bert_encode(bert, &b.run, rows.ids, rows.start, N, y);
  for(int i=0; i<N; i++){
    bert_encode(bert, &b.run, rows.ids, rows.start + i, 1, other);
    holds(&alone, memcmp(other, y + (size_t)i*d, d*sizeof(float))==0, "%s: row %d", kind, i);
  }
  for(int n=2; n<=4; n++){
    b.run.n_threads = n;
    bert_encode(bert, &b.run, rows.ids, rows.start, N, other);
    holds(&threads, memcmp(other, y, all)==0, "%s: %d threads", kind, n);
  }
  b.run.shares = 1;
  for(int i=0; i<2*N; i++){
    int row = i/2;
    int n = i%2==0 ? 1 : row+TOGETHER<=N ? TOGETHER : N - row;
    b.run.n_threads = 2 + row%3;
    bert_encode(bert, &b.run, rows.ids, rows.start + row, n, other);
    holds(&shared, memcmp(other, y + (size_t)row*d, (size_t)n*d*sizeof(float))==0,
          "%s: rows %d to %d", kind, row, row + n - 1);
  }
  b.run.shares = 0;
  for(size_t c=0; c<sizeof(codes)/sizeof(codes[0]); c++){
    if( !linear_choose(codes[c]) ) continue;
    bert_encode(bert, &b.run, rows.ids, rows.start, N, other);
    holds(&everywhere, memcmp(other, y, all)==0, "%s: %s", kind, codes[c]);
  }
  linear_choose(NULL);
  property_ok(&alone, "bert: a row of a batch equals the row alone");
  property_ok(&threads, "bert: threads give the same bits");
  property_ok(&shared, "bert: threads that share a row, or a few, give the same bits");
  property_ok(&everywhere, "bert: every code gives the same bits");
  bert_close(bert);
  bench_end(&b);
}

static void test_long_row(void){
  struct bench b;
  struct bert *bert;
  int ids[100] = { 0 };
  int start[] = { 0, 35 };
  float y[48];
  bench_start(&b);
  bert = open_tiny("bert", &b.err);
  if( bert==NULL ) return;
  bert_encode(bert, &b.run, ids, start, 1, y);
  ok(b.err.rc==SQLITE_TOOBIG && strstr(b.err.text, "35 pieces, expected at most 34"),
     "bert: a row longer than the window is refused", "%d %s", b.err.rc, b.err.text);
  bert_close(bert);
  bench_end(&b);
}

/* ---- A stop ---- */

/* Threads that share rows stop wherever they are, and none waits for another. */
static void test_stop(void){
  enum { N = 6 };
  struct property p = { 0 };
  int stopped = 1;
  for(int stop_at=1; stopped; stop_at++){
    struct stopper s = { .stop_at = stop_at, .caller = pthread_self() };
    struct rows rows;
    struct bench b;
    struct bert *bert;
    float y[N*48];
    int rc;
    bench_start(&b);
    bert_open(&bert, path_of("tests/data/bert"), &b.err);
    if( bert==NULL ) return;
    random_rows(&rows, bert, N, &b.arena);
    b.run.n_threads = 3;
    b.run.shares = 1;
    b.err.stop = count_and_stop;
    b.err.stop_arg = &s;
    rc = bert_encode(bert, &b.run, rows.ids, rows.start, N, y);
    stopped = s.n_asked>=stop_at;
    holds(&p, rc==(stopped ? SQLITE_INTERRUPT : SQLITE_OK) && s.n_after==0 && !s.is_foreign,
          "question %d gives %d, asked %d times more", stop_at, rc, s.n_after);
    bert_close(bert);
    bench_end(&b);
  }
  property_ok(&p, "bert: threads that share rows stop when they are asked to");
}

/* ---- No memory ---- */

static void test_memory(void){
  enum { N = 36 };                      /* enough for two threads to share */
  struct property p = { 0 };
  int failed = 1;
  for(long at=1; failed && at<1000; at++){
    struct bench b;
    struct bert *bert;
    int ids[N];
    int start[] = { 0, 6, N };
    float y[2*48];
    bench_start(&b);
    for(int i=0; i<N; i++) ids[i] = 5 + i;
    b.run.n_threads = 2;
    b.run.shares = (int)(at%2);
    fault_set(at, 1);
    bert_open(&bert, path_of("tests/data/bert"), &b.err);
    if( bert ) bert_encode(bert, &b.run, ids, start, 2, y);
    failed = fault.failed;
    fault_set(0, 0);
    holds(&p, b.err.rc==(failed ? SQLITE_NOMEM : SQLITE_OK), "allocation %ld: %d %s", at, b.err.rc,
          b.err.text);
    bert_close(bert);
    bench_end(&b);
  }
  property_ok(&p, "bert: without memory, SQLITE_NOMEM");
  ok(sqlite3_memory_used()==0, "bert: without memory, nothing leaks", "%lld bytes are left",
     sqlite3_memory_used());
}

/* ---- Broken folders ---- */

static const struct broken BROKEN[] = {
  { "config.json", NULL, NULL, SQLITE_CANTOPEN, "has no config.json" },
  { "model.safetensors", NULL, NULL, SQLITE_CANTOPEN, "model.safetensors" },
  { "config.json", "\"bert\"", "\"gpt2\"", SQLITE_ERROR, "\"gpt2\", expected \"bert\"" },
  { "config.json", "48,", "49,", SQLITE_CORRUPT, "expected a multiple of 3 heads" },
  { "config.json", "48,", "96,", SQLITE_CORRUPT, "expected [63, 96]" },
  { "config.json", "48,", "-8,", SQLITE_CORRUPT, "whole number from 1" },
  { "config.json", "80,", "\"80\",", SQLITE_CORRUPT, "is not a number" },
  { "config.json", "\"hidden_size\"", "\"hidden_site\"", SQLITE_CORRUPT,
    "\"hidden_size\" is missing" },
  { "config.json", "\"gelu\"", "\"relu\"", SQLITE_ERROR, "\"relu\", expected \"gelu\"" },
  { "config.json", "hidden_act", NULL, SQLITE_CORRUPT, "not valid JSON" },
  { "config.json", "1e-05", "7", SQLITE_CORRUPT, "is 7, expected 0 to 1" },
  { "1_Pooling/config.json", "mean_tokens\": true", "max_tokens\": true", SQLITE_ERROR,
    "pooling_mode_max_tokens" },
  { "modules.json", "Normalize", "Dense", SQLITE_ERROR, "Dense" },
  { "model.safetensors", "layer.1.output.dense.weight", "layer.1.output.dense.weighs",
    SQLITE_CORRUPT, "has no tensor encoder.layer.1.output.dense.weight" },
  { "model.safetensors", "layer.1.output.dense.weight", NULL, SQLITE_CORRUPT, "model.safetensors" },
};
enum { N_BROKEN = sizeof(BROKEN)/sizeof(BROKEN[0]) };

static const char *const FILES[] = {
  "config.json", "1_Pooling/config.json", "modules.json", "sentence_bert_config.json", "vocab.txt",
  "model.safetensors",
};
enum { N_FILES = sizeof(FILES)/sizeof(FILES[0]) };

static void copy_folder(const char *folder, const struct broken *how){
  char path[200];
  mkdir(folder, 0755);
  snprintf(path, sizeof(path), "%s/1_Pooling", folder);
  mkdir(path, 0755);
  copy_files(folder, "bert", FILES, N_FILES, how);
}

static void remove_folder(const char *folder){
  char path[200];
  remove_files(folder, FILES, N_FILES);
  snprintf(path, sizeof(path), "%s/1_Pooling", folder);
  rmdir(path);
  rmdir(folder);
}

static void test_broken(void){
  struct property p = { 0 };
  char folder[] = "/tmp/latent-test-XXXXXX";
  if( mkdtemp(folder)==NULL ) exit(1);
  for(int i=0; i<N_BROKEN; i++){
    const struct broken *how = &BROKEN[i];
    struct err e = { 0 };
    struct bert *b;
    copy_folder(folder, how);
    bert_open(&b, folder, &e);
    holds(&p, b==NULL && e.rc==how->rc && strstr(e.text, how->text),
          "%s, %s: rc %d \"%s\", expected %d \"%s\"", how->file, how->from ? how->from : "left out",
          e.rc, e.text, how->rc, how->text);
    bert_close(b);
    remove_folder(folder);
  }
  property_ok(&p, "bert: a broken folder is refused, and the message says why");
}

int main(int argc, char **argv){
  if( argc>1 ) root = argv[1];
  if( fault_install()!=SQLITE_OK ) return 1;
  for(int i=0; i<N_KINDS; i++) test_golden(kinds[i]);
  for(int i=0; i<N_KINDS; i++) test_batches(kinds[i]);
  test_long_row();
  test_broken();
  test_stop();
  test_memory();
  return n_not_ok>0;
}
