/*
** model_bench.h -- what the test programs of the model layer share.
*/
#ifndef LATENT_TESTS_MODEL_BENCH_H
#define LATENT_TESTS_MODEL_BENCH_H
#include "model.h"
#include "ok.h"
#include <math.h>
#include <string.h>

static const char *root = ".";          /* of the repository */

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

/* z: the latent of one text, not refined; its numbers lie in the run's arena. */
__attribute__((unused))
static int text_encode(const struct model *m, struct run *run, const char *text, size_t n,
                       struct latent *z){
  return texts_encode(m, run, &text, &n, 1, 0, z);
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

#endif
