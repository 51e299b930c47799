/*
** bert.c -- the latent side of tests/bench/bert.py.
**
**     build/core/bench/bert FOLDER THREADS
**
** Reads batches from stdin until it ends: int32 n, tokens, times, int32 ids[n, tokens], [CLS] and
** [SEP] among them. Encodes each so many times, one after the other, and writes for it: double
** seconds[times], int32 d, float y[n, d].
*/
#include "model.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS_MOST = 64 };

static double now(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

/* One batch: 0 at the end of the input. */
static int batch(const struct bert *b, struct run *run){
  int size[3];
  int d = b->config.shape.d;
  int *ids, *start;
  float *y;
  double seconds[RUNS_MOST];
  if( fread(size, sizeof(int), 3, stdin)!=3 ) return 0;
  if( size[2]<1 || size[2]>RUNS_MOST ) exit(1);
  ids = malloc((size_t)size[0]*(size_t)size[1]*sizeof(int));
  start = malloc(((size_t)size[0] + 1)*sizeof(int));
  y = malloc((size_t)size[0]*(size_t)d*sizeof(float));
  for(int i=0; i<size[0]; i++){
    int row[2048];
    if( size[1]>2048 || fread(row, sizeof(int), (size_t)size[1], stdin)!=(size_t)size[1] ) exit(1);
    start[i] = i*(size[1] - 2);
    for(int k=1; k<size[1]-1; k++) ids[start[i] + k - 1] = row[k];
  }
  start[size[0]] = size[0]*(size[1] - 2);
  for(int i=0; i<size[2]; i++){
    double begin = now();
    if( bert_encode(b, run, ids, start, size[0], y)!=SQLITE_OK ) exit(1);
    seconds[i] = now() - begin;
  }
  fwrite(seconds, sizeof(*seconds), (size_t)size[2], stdout);
  fwrite(&d, sizeof(d), 1, stdout);
  fwrite(y, sizeof(float), (size_t)size[0]*(size_t)d, stdout);
  fflush(stdout);
  free(ids);
  free(start);
  free(y);
  return 1;
}

int main(int argc, char **argv){
  struct err e = { 0 };
  struct arena a = { 0 };
  struct run run = { .arena = &a, .err = &e };
  struct bert *b;
  if( argc!=3 ) return 2;
  run.n_threads = atoi(argv[2]);
  if( bert_open(&b, argv[1], &e)!=SQLITE_OK ){
    fprintf(stderr, "%s\n", e.text);
    return 1;
  }
  while( batch(b, &run) ){}
  bert_close(b);
  arena_release(&a);
  return 0;
}
