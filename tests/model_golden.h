/*
** model_golden.h -- files, and golden values from model/golden.py: what test_model.c and
** test_model_picture.c share.
**
** Golden values and C add floats in different orders. So they may differ by 1e-4 of the largest
** value compared.
*/
#ifndef LATENT_TESTS_MODEL_GOLDEN_H
#define LATENT_TESTS_MODEL_GOLDEN_H
#include "model_bench.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

/* ---- Files ---- */

/* A whole file, 0-terminated, owned by the caller. Without it the test program ends. */
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

__attribute__((unused))
static void file_write(const char *path, const void *data, size_t n){
  FILE *f = fopen(path, "wb");
  if( f==NULL || fwrite(data, 1, n, f)!=n || fclose(f)!=0 ) exit(1);
}

/* The model at the path must be refused with this code and this text. */
__attribute__((unused))
static void expect_error(struct property *p, const char *path, int rc, const char *text){
  struct err e = { 0 };
  struct model *m;
  model_open(&m, path, &e);
  holds(p, m==NULL && e.rc==rc && strstr(e.text, text)!=NULL,
        "rc %d \"%s\", expected %d \"%s\"", e.rc, e.text, rc, text);
  model_close(m);
}

/* ---- Golden values ---- */

static const float TOLERANCE = 1e-4f;

struct golden {
  struct safetensors file;
  struct arena *arena;          /* for the values that are read */
  const char *name;             /* the file is golden_<name>.safetensors */
};

__attribute__((unused))
static int golden_open(struct golden *g, const char *name, struct bench *b){
  char path[60];
  snprintf(path, sizeof(path), "tests/data/golden_%s.safetensors", name);
  *g = (struct golden){ .arena = &b->arena, .name = name };
  safetensors_open(&g->file, path_of(path), &b->err);
  return ok(b->err.rc==SQLITE_OK, "model: the golden values open", "%s", b->err.text);
}

/* Tensor `name` as *n floats. When there is none, a test fails and *n is 0. */
static const float *golden_floats(struct golden *g, const char *name, size_t *n){
  const struct tensor *t = safetensors_find(&g->file, name);
  float *x;
  *n = t ? (size_t)(t->shape[0]*t->shape[1]) : 0;
  if( t==NULL ){
    ok(0, "model: the golden values have all tensors",
       "golden_%s: %s is missing: run python3 model/golden.py", g->name, name);
  }
  x = arena_floats(g->arena, *n+1);
  if( t ) tensor_to_floats(x, t);
  return x;
}

__attribute__((unused))
static int *golden_ints(struct golden *g, const char *name, size_t *n){
  const float *x = golden_floats(g, name, n);
  int *ints = arena_get(g->arena, (*n+1)*sizeof(int));
  for(size_t i=0; i<*n; i++) ints[i] = (int)x[i];
  return ints;
}

/* x[n] must be the golden values called `what`, but for a share of the greatest. */
static void golden_compare_to(struct golden *g, const char *what, const float *x, size_t n,
                              float tolerance){
  size_t n_golden;
  const float *y = golden_floats(g, what, &n_golden);
  float apart = n==n_golden ? difference(x, y, n) : INFINITY;
  char name[100];
  snprintf(name, sizeof(name), "model: %s: %s is the reference's", g->name, what);
  ok(apart<tolerance, name, "%zu numbers for %zu, apart by %g of the greatest", n, n_golden,
     (double)apart);
}

__attribute__((unused))
static void golden_compare(struct golden *g, const char *what, const float *x, size_t n){
  golden_compare_to(g, what, x, n, TOLERANCE);
}

/* ---- Golden values of shipped models, as JSON ---- */

__attribute__((unused))
static double golden_number(const cJSON *object, const char *name){
  return cJSON_GetNumberValue(cJSON_GetObjectItem(object, name));
}

__attribute__((unused))
static const char *golden_string(const cJSON *object, const char *name){
  const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
  return text ? text : "(absent)";
}

/* Is x[n] what golden.py: sketch() made the sketch of? */
__attribute__((unused))
static int sketch_agrees(const cJSON *sketch, const float *x, int n){
  const cJSON *first = cJSON_GetObjectItem(sketch, "first");
  double dot = 0;
  for(int i=0; i<8; i++){
    double expected = cJSON_GetNumberValue(cJSON_GetArrayItem(first, i));
    if( fabs(expected - x[i])>TOLERANCE ) return 0;
  }
  for(int i=0; i<n; i++) dot += x[i]*(i*37%101 - 50)/50.0;
  return fabs(dot - golden_number(sketch, "dot"))<1e-3;
}

/* The golden values of a shipped model. They are worth comparing only if they are of these weights:
** states that as `name`, and returns it. */
__attribute__((unused))
static cJSON *golden_of(const struct model *m, const char *file, const char *name, int *is_same){
  size_t n;
  char *text = file_read(path_of(file), &n);
  cJSON *golden = cJSON_ParseWithLength(text, n);
  const char *expected = golden_string(golden, "weights_hash");
  char hash[20];
  free(text);
  snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)m->config.weights_hash);
  *is_same = ok(strcmp(hash, expected)==0, name,
                "they are of %s, these are %s: run python3 model/golden.py", expected, hash);
  return golden;
}

#endif
