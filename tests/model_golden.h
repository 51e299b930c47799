/*
** model_golden.h -- files, and golden values from model/golden.py: what the tests of the text models and of the picture model share.
**
** Float sums of the two sides differ in order, hence a tolerance of 1e-4 of the largest value compared.
*/
#ifndef LATENT_TESTS_MODEL_GOLDEN_H
#define LATENT_TESTS_MODEL_GOLDEN_H
#include "model_bench.h"
#include <stdlib.h>

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

static int same_tokens(const struct tokens *a, const struct tokens *b){
  return a->n==b->n && a->log_probability==b->log_probability && memcmp(a->ids, b->ids, (size_t)a->n*sizeof(int))==0;
}

static void expect_error(struct property *p, const char *path, int rc, const char *text){
  struct err e = { 0, "" };
  struct model *m;
  model_open(&m, path, &e);
  holds(p, m==NULL && e.rc==rc && strstr(e.text, text)!=NULL, "rc %d \"%s\", expected %d \"%s\"", e.rc, e.text, rc, text);
  model_close(m);
}

/* ---- A tiny model, layer by layer ---- */

#define TOLERANCE 1e-4f

struct golden { struct safetensors file; struct arena *arena; const char *name; };

static int golden_open(struct golden *g, const char *name, struct bench *b){
  char path[60];
  snprintf(path, sizeof(path), "tests/data/golden_%s.safetensors", name);
  *g = (struct golden){ .arena = &b->arena, .name = name };
  return ok(safetensors_open(&g->file, path_of(path), &b->err)==SQLITE_OK, "model: the golden values open", "%s", b->err.text);
}

/* Tensor `name` as floats; *n numbers. Its absence is a failed test and an empty array. */
static const float *golden_floats(struct golden *g, const char *name, size_t *n){
  const struct tensor *t = safetensors_find(&g->file, name);
  float *x;
  *n = t ? (size_t)(t->shape[0]*t->shape[1]) : 0;
  if( t==NULL ) ok(0, "model: the golden values have all tensors", "golden_%s: %s is missing: run python3 model/golden.py", g->name, name);
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
  snprintf(name, sizeof(name), "model: %s: %s is the reference's", g->name, what);
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
  score_tokens(m, &b.run, z, ids, start, n, sums, log_p);
  compare_layers(&g, &all, 1, c->decoder_layers);
  golden_compare(&g, "log_p", log_p, n_ids + (has_end(m) ? n : 0));
  b.run.watch = NULL;
  compare_greedy(&g, &b, m, z, n, 0);
  compare_greedy(&g, &b, m, z, n, 0.3f);
  ok(b.err.rc==SQLITE_OK, "model: the golden rows go through without an error", "%s: %s", name, b.err.text);
  safetensors_close(&g.file);
  bench_end(&b);
}

#endif
