/*
** emulated_groups.h -- as emulated.h, for a product of groups: its source is compiled with three
** instructions written out in C.
*/
#ifndef LATENT_EMULATED_GROUPS_H
#define LATENT_EMULATED_GROUPS_H
#include "base.h"
#include "dpbusd.h"
#include "kernels.h"
#include "ok.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As vcvtph2ps: y[n] = n binary16 numbers. */
static inline void cvtph(void *y, const void *halves, int n){
  for(int i=0; i<n; i++){
    uint16_t half;
    float x;
    memcpy(&half, (const char *)halves + 2*i, sizeof(half));
    x = half_to_float(half);
    memcpy((char *)y + 4*i, &x, sizeof(x));
  }
}

/* As vfmadd: c[n] = a*b + c. */
static inline void fmadd(const void *a, const void *b, void *c, int n){
  for(int i=0; i<n; i++){
    float x, y, z;
    memcpy(&x, (const char *)a + 4*i, sizeof(x));
    memcpy(&y, (const char *)b + 4*i, sizeof(y));
    memcpy(&z, (char *)c + 4*i, sizeof(z));
    z = fmaf(x, y, z);
    memcpy((char *)c + 4*i, &z, sizeof(z));
  }
}

static groups_code emulated;

/* One product, its operands in blocks of exactly their size. */
static void emulated_case(struct property *same, int bits, int rows, int in, int out){
  struct random r = random_of((uint64_t)rows*10000 + in*100 + out + bits);
  struct group_rows x = { .rows = rows, .groups = (int)GROUPS_IN(in) };
  struct matrix w = { .in = in, .out = out, .group_bits = bits };
  size_t n = (size_t)rows*out;
  size_t n_groups = (size_t)rows*x.groups;
  uint8_t *groups = malloc(MATRIX_GROUPS(bits, in, out));
  float *row = malloc(in*sizeof(float));
  float *want = malloc(n*sizeof(float));
  float *got = malloc(n*sizeof(float));
  x.q = malloc(n_groups*GROUP);
  x.of = malloc(n_groups*sizeof(*x.of));
  for(size_t i=0; i<MATRIX_GROUPS(bits, in, out); i++){
    int is_exponent = i%GROUP_BYTES(bits)<GROUP_HEAD(bits) && i%2;
    groups[i] = (uint8_t)(256*random_uniform(&r));
    if( is_exponent ) groups[i] &= 0xbf;                /* halves below 2 */
  }
  for(int i=0; i<rows; i++){
    size_t at = (size_t)i*x.groups;
    for(int k=0; k<in; k++) row[k] = random_uniform(&r) - 0.5f;
    lanes_plain.quantize_groups(x.q + at*GROUP, x.of + at, row, in);
  }
  w.groups = groups;
  groups_plain(want, &x, &w);
  emulated(got, &x, &w);
  holds(same, memcmp(want, got, n*sizeof(float))==0, "%d rows, [%d, %d], %d bits", rows, in, out,
        bits);
  free(groups);
  free(row);
  free(want);
  free(got);
  free(x.q);
  free(x.of);
}

static int emulated_ok(const char *name){
  static const int odd[] = { 1, 15, 16, 17, 31, 32, 33, 64, 65 };
  enum { ODD = sizeof(odd)/sizeof(odd[0]) };
  struct property same = { 0 };
  for(int bits=4; bits<=8; bits+=4){
    for(int rows=1; rows<=BYTE_ROWS; rows++){
      for(int i=0; i<ODD; i++) emulated_case(&same, bits, rows, odd[i], odd[(i + rows)%ODD]);
    }
    for(int i=0; i<ODD; i++) emulated_case(&same, bits, 5, 576, odd[i]);
  }
  property_ok(&same, name);
  return n_not_ok>0;
}

#endif
