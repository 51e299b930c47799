/*
** writer.c -- the writer's side of tests/bench/writer.py: one measurement for each line of its
** input.
**
**     build/core/bench/writer FOLDER
**
**   WHAT THREADS TEXTS ROWS STEPS     so many texts side by side read ROWS pieces at each of STEPS
**                                     steps, and score those that follow the last one.
**                                     WHAT is `plain`, the language model as it came, or `point`,
**                                     which reads a point besides  -> seconds
*/
#include "model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MOST = 64, LIMIT = 256 };

struct job {
  const struct writer *w;
  struct run *run;
  int is_plain;
  int texts, shares, rows, steps;
  struct writing writing[THREADS_MOST];
  float *caches;                        /* [texts], page_floats() each */
  float *scores[THREADS_MOST];          /* [texts, pieces] */
  struct written *read[THREADS_MOST];   /* [texts, rows] */
};

static double now(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

/* The texts of one share, from the first step to the last. */
static void write_share(void *arg, struct worker *worker, int share){
  struct job *j = arg;
  struct writing *g = &j->writing[worker->at];
  struct written *read = j->read[worker->at];
  int first = share*j->texts/j->shares;
  int n = (share + 1)*j->texts/j->shares - first;
  for(int step=0; step<j->steps; step++){
    int at = 0;
    for(int k=0; k<j->rows; k++){
      int position = step*j->rows + k;
      for(int i=0; i<n; i++){
        float *cache = j->caches + (size_t)(first + i)*page_floats(j->w, LIMIT);
        read[at++] = (struct written){ 100 + position, position, 0, cache, LIMIT };
      }
    }
    if( !writing_step(g, j->run, worker, read, at, j->is_plain) ) return;
    writing_scores(g, j->scores[worker->at], n);
  }
}

static double measure(struct job *j, struct run *run){
  const struct writer_shape *shape = &j->w->config.shape;
  int z = shape->s + shape->r;
  float *point = arena_floats(run->arena, (size_t)z);
  double start;
  j->run = run;
  j->shares = run->n_threads<j->texts ? run->n_threads : j->texts;
  j->caches = arena_floats(run->arena, (size_t)j->texts*page_floats(j->w, LIMIT));
  for(int i=0; i<z; i++) point[i] = 0.05f;
  for(int i=0; i<j->shares; i++){
    int rows = j->texts*j->rows;
    writing_init(&j->writing[i], j->w, rows, 1, LIMIT, run->arena);
    writing_point(&j->writing[i], 0, KIND_TEXT, point, 1);
    j->scores[i] = arena_floats(run->arena, (size_t)j->texts*(size_t)shape->pieces);
    j->read[i] = arena_get(run->arena, (size_t)rows*sizeof(struct written));
  }
  start = now();
  chunks_run(run, j->shares, j->shares, write_share, j);
  return now() - start;
}

int main(int argc, char **argv){
  struct err e = { 0 };
  struct writer *w;
  char what[16];
  int threads;
  struct job j = { 0 };
  if( argc!=2 || writer_open(&w, argv[1], &e)!=SQLITE_OK ){
    fprintf(stderr, "writer FOLDER: %s\n", e.text);
    return 1;
  }
  while( scanf("%15s %d %d %d %d", what, &threads, &j.texts, &j.rows, &j.steps)==5 ){
    struct arena a = { 0 };
    struct run run = { .arena = &a, .err = &e, .n_threads = threads };
    if( threads<1 || threads>THREADS_MOST || j.rows*j.steps>LIMIT || j.texts<1 ) return 2;
    j.w = w;
    j.is_plain = strcmp(what, "plain")==0;
    printf("%.6f\n", measure(&j, &run));
    fflush(stdout);
    arena_release(&a);
    if( e.rc!=SQLITE_OK ) return 1;
  }
  writer_close(w);
  return 0;
}
