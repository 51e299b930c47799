/*
** emulated.h -- a product of bytes for a unit that this CPU need not have. A program defines
** target(cpu) as nothing, the instruction as a function of dpbusd.h, and the name of the product
** as `emulated`; then it includes the source of the product. The compiler makes all but the one
** instruction for the CPU that there is. So tiles, rows, columns and sums are tested, but not that
** the instruction does what its manual says: test_kernels.c tests that where the CPU has it.
** (Bochs has run both VNNI, over these sizes, as Sapphire Rapids, Ice Lake and Arrow Lake: PyPI's
** bochscpu, once, by hand.)
*/
#ifndef LATENT_EMULATED_H
#define LATENT_EMULATED_H
#include "base.h"
#include "dpbusd.h"
#include "kernels.h"
#include "ok.h"
#include <stdlib.h>
#include <string.h>

static bytes_code emulated;

/* One product, its operands in blocks of exactly their size. */
static void emulated_case(struct property *same, int rows, int in, int out){
  struct random r = random_of((uint64_t)rows*10000 + in*100 + out);
  struct byte_rows x = { .rows = rows, .in = (int)BYTES_IN(in) };
  struct matrix w = { .in = in, .out = out };
  size_t n = (size_t)rows*out;
  float *full = malloc((size_t)in*out*sizeof(float));
  float *scale = malloc((size_t)out*sizeof(float));
  int8_t *bytes = malloc(MATRIX_BYTES(in, out));
  float *want = malloc(n*sizeof(float));
  float *got = malloc(n*sizeof(float));
  x.u = calloc((size_t)rows, (size_t)x.in);
  for(int i=0; i<in*out; i++) full[i] = 2*random_uniform(&r) - 1;
  for(int i=0; i<rows; i++){
    x.scale[i] = random_uniform(&r);
    for(int k=0; k<in; k++) x.u[(size_t)i*x.in + k] = (uint8_t)(1 + 255*random_uniform(&r));
  }
  matrix_quantize(bytes, scale, full, in, out);
  w.bytes = bytes;
  w.scale = scale;
  bytes_plain(want, &x, &w);
  emulated(got, &x, &w);
  holds(same, memcmp(want, got, n*sizeof(float))==0, "%d rows, [%d, %d]", rows, in, out);
  free(full);
  free(scale);
  free(bytes);
  free(want);
  free(got);
  free(x.u);
}

static int emulated_ok(const char *name){
  static const int odd[] = { 1, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65 };
  enum { ODD = sizeof(odd)/sizeof(odd[0]) };
  struct property same = { 0 };
  for(int rows=1; rows<=BYTE_ROWS; rows++){
    for(int i=0; i<ODD; i++) emulated_case(&same, rows, odd[i], odd[(i + rows)%ODD]);
  }
  for(int i=0; i<ODD; i++) emulated_case(&same, 5, 384, odd[i]);
  property_ok(&same, name);
  return n_not_ok>0;
}

#endif
