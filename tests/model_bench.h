/*
** model_bench.h -- what the test programs of the model layer share.
*/
#ifndef LATENT_TESTS_MODEL_BENCH_H
#define LATENT_TESTS_MODEL_BENCH_H
#include "model.h"
#include "ok.h"
#include <math.h>
#include <pthread.h>
#include <string.h>

static const char *root = ".";          /* of the repository */

/* What one call needs, in one place: a test starts it, uses it, ends it. */
struct bench {
  struct err err;
  struct arena arena;
  struct run run;
};

static void bench_start(struct bench *b){
  *b = (struct bench){ 0 };
  b->run.arena = &b->arena;
  b->run.err = &b->err;
  b->run.n_threads = 1;
}

static void bench_end(struct bench *b){
  arena_release(&b->arena);
}

/* A path in the repository. The text stays valid for the next three calls. */
static const char *path_of(const char *name){
  static char path[4][1000];
  static int at;
  at = (at + 1)%4;
  snprintf(path[at], sizeof(path[at]), "%s/%s", root, name);
  return path[at];
}

/* z: the latent of one text, not refined. Its numbers lie in the run's arena. */
__attribute__((unused))
static int text_encode(const struct model *m, struct run *run, const char *text, size_t n,
                       struct latent *z){
  return texts_encode(m, run, &text, &n, 1, 0, z);
}

/* The greatest difference, as a share of the greatest value. */
static float difference(const float *x, const float *y, size_t n){
  float most = 0;
  float scale = 1e-6f;
  for(size_t i=0; i<n; i++){
    float apart = fabsf(x[i] - y[i]);
    if( !(apart<=most) ) most = apart;                  /* a NaN counts */
    if( fabsf(y[i])>scale ) scale = fabsf(y[i]);
  }
  return most/scale;
}

__attribute__((unused))
static float *random_points(const struct model *m, int n, uint64_t seed, struct arena *a){
  int s = model_s(m);
  int r = m->config.shape.r;
  int width = model_width(m);
  float *z = arena_floats(a, (size_t)n*(size_t)width);
  struct random random = random_of(seed);
  for(int i=0; i<n*width; i++) z[i] = random_normal(&random);
  for(int i=0; i<n; i++){
    float *point = z + (size_t)i*width;
    normalize(point, s);
    normalize(point + s, r);
  }
  return z;
}

/* For err.stop: says no until it is asked for the stop_at-th time. */
struct stopper {
  int stop_at;
  int n_asked;
  int n_after;                          /* times that it was asked after it had said yes */
  int is_foreign;                       /* true: another thread than the caller's has asked */
  pthread_t caller;
};

__attribute__((unused))
static int count_and_stop(void *arg){
  struct stopper *s = arg;
  s->is_foreign |= !pthread_equal(pthread_self(), s->caller);
  s->n_after += s->n_asked>=s->stop_at;
  return ++s->n_asked>=s->stop_at ? SQLITE_INTERRUPT : SQLITE_OK;
}

#endif
