/*
** bench_groups.c -- how fast products of matrices in groups are on one thread, beside reading the
** same bytes and nothing else. `make bench` builds and runs it; no test depends on it.
**
** The matrices are those of a layer of the writer. They are read in turn from 64 MB, as a language
** model's are, so they come from memory. Time is the thread's own processor time, and every figure
** is the best of several runs: other load on the machine disturbs that least.
*/
#include "bandwidth.h"
#include "kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHTS = 64 << 20, ROWS_MOST = 60, WIDEST = 3072, RUNS = 15 };
static const int shapes[][2] = { { 576, 960 }, { 576, 576 }, { 576, 3072 }, { 1536, 576 } };
static const int rows_of[] = { 1, 2, 4, 8, 16, 32, 60 };
#define COUNT(a) (sizeof(a)/sizeof((a)[0]))

static uint8_t *weights;
static float *x, *y, *scratch;

/* Layers of these bits that fit into the weights. */
static int count_layers(int bits, size_t *bytes){
  *bytes = 0;
  for(size_t s=0; s<COUNT(shapes); s++) *bytes += MATRIX_GROUPS(bits, shapes[s][0], shapes[s][1]);
  return (int)(WEIGHTS / *bytes);
}

/* All products of all layers, once. */
static void run_layers(int bits, int layers, int rows){
  const uint8_t *at = weights;
  for(int i=0; i<layers; i++){
    for(size_t s=0; s<COUNT(shapes); s++){
      struct matrix w = { .in = shapes[s][0], .out = shapes[s][1] };
      w.groups = at;
      w.group_bits = bits;
      linear(y, x, &w, rows, scratch);
      at += MATRIX_GROUPS(bits, w.in, w.out);
    }
  }
}

static void measure(int bits, int rows){
  size_t bytes;
  int layers = count_layers(bits, &bytes);
  double products = 0;
  double best = 1e9;
  for(size_t s=0; s<COUNT(shapes); s++) products += (double)shapes[s][0]*shapes[s][1];
  for(int run=0; run<RUNS; run++){
    double start = now();
    double time;
    run_layers(bits, layers, rows);
    time = now() - start;
    if( time<best ) best = time;
  }
  printf("%4d %5d %10.1f %10.1f\n", bits, rows, products*layers*rows/best*1e-9,
         (double)bytes*layers/best*1e-9);
}

int main(void){
  uint32_t state = 1;
  weights = aligned_alloc(4096, WEIGHTS);
  x = aligned_alloc(64, sizeof(float)*ROWS_MOST*WIDEST);
  y = aligned_alloc(64, sizeof(float)*ROWS_MOST*WIDEST);
  scratch = aligned_alloc(64, sizeof(float)*LINEAR_SCRATCH(WIDEST));
  for(size_t i=0; i<WEIGHTS; i++){
    state = state*1664525 + 1013904223;
    weights[i] = (uint8_t)(state >> 24);
    if( i%2 && i%544<64 ) weights[i] &= 0x3f;           /* most halves are finite */
  }
  for(size_t i=0; i<(size_t)ROWS_MOST*WIDEST; i++) x[i] = (float)(i%13) - 6;
  printf("one thread, %s; a loop that only reads the weights: %.1f GB/s\n", linear_kernel(),
         bandwidth(weights, WEIGHTS, RUNS, y));
  printf("bits  rows     GMAC/s       GB/s\n");
  for(int bits=4; bits<=8; bits+=4){
    for(size_t r=0; r<COUNT(rows_of); r++) measure(bits, rows_of[r]);
  }
  return 0;
}
