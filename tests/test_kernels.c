/*
** test_kernels.c -- the kernels against their definitions, in every code that this CPU has.
**
** Products are compared bit by bit with linear_plain(), the rest with double precision and libm.
** The bits of all are compared with hashes that must be the same on every machine. Buffers have
** exactly the size that the header asks for, so that the address sanitizer sees every step too far.
**
** Prints a line for each property, as ok.h says. Exits with 1 when one failed.
*/
#include "base.h"
#include "kernels.h"
#include "ok.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a)/sizeof((a)[0]))
static const int odd[] = { 1, 7, 8, 9, 63, 64, 65 };

/* n floats in about [-scale, scale], the same for the same seed. The caller frees them. */
static float *numbers(size_t n, float scale, uint64_t seed){
  struct random r = random_of(seed);
  float *x = aligned_alloc(64, (n*sizeof(float) + 63)/64*64);
  for(size_t i=0; i<n; i++) x[i] = scale*(2*random_uniform(&r) - 1);
  return x;
}

/* Room for n floats. The caller frees it. */
static float *floats(size_t n){
  return malloc(n*sizeof(float));
}

/* y[n] = x[n] */
static void copy(float *y, const float *x, size_t n){
  memcpy(y, x, n*sizeof(float));
}

static int same_floats(const float *x, const float *y, size_t n){
  return memcmp(x, y, n*sizeof(float))==0;
}

/* The largest |got - want| / (|want| + floor). NaN counts as infinitely wrong. */
static double error_of(const float *got, const double *want, int n, double floor){
  double worst = 0;
  for(int i=0; i<n; i++){
    double e = fabs(got[i] - want[i])/(fabs(want[i]) + floor);
    if( !(e<=worst) ) worst = e==e ? e : INFINITY;
  }
  return worst;
}

static void error_ok(const char *name, double error, double allowed){
  ok(error<=allowed, name, "error %g, allowed %g", error, allowed);
}

/* ---- Products ---- */

/* A product of one size, its operands in blocks of exactly their size, and what linear_plain()
** makes of it. */
struct product {
  struct matrix w;
  int rows;
  void *weights;        /* of w */
  float *x;             /* [rows, in] */
  float *want;          /* [rows, out] */
};

static struct product product_of(int rows, int in, int out, int is_half){
  struct product p = { .w = { .in = in, .out = out }, .rows = rows };
  size_t n = (size_t)in*out;
  size_t n_x = (size_t)rows*in;
  float *full = numbers(n, 0.2f, n + 1);
  float *x = numbers(n_x, 2.0f, 77);
  p.x = floats(n_x);
  copy(p.x, x, n_x);
  free(x);
  p.weights = malloc(n*(is_half ? sizeof(uint16_t) : sizeof(float)));
  if( is_half ){
    uint16_t *half = p.weights;
    for(size_t i=0; i<n; i++) half[i] = float_to_half(full[i]);
    p.w.half = half;
  }else{
    memcpy(p.weights, full, n*sizeof(float));
    p.w.full = p.weights;
  }
  free(full);
  p.want = floats((size_t)rows*out);
  linear_plain(p.want, p.x, &p.w, rows);
  return p;
}

static void product_release(struct product *p){
  free(p->weights);
  free(p->x);
  free(p->want);
}

/* Runs linear(). Gives the largest difference from plain, relative to the largest number. exact: 0
** where all bits are the same, else infinity. */
static double product_error(const struct product *p, int exact){
  size_t n = (size_t)p->rows*p->w.out;
  float *y = floats(n);
  float *scratch = aligned_alloc(64, LINEAR_SCRATCH(p->w.in)*sizeof(float));
  double worst = 0;
  double largest = 1e-30;
  memset(y, 0xff, n*sizeof(float));
  linear(y, p->x, &p->w, p->rows, scratch);
  for(size_t i=0; i<n; i++){
    double e = fabs((double)y[i] - p->want[i]);
    if( !(e<=worst) ) worst = e==e ? e : INFINITY;
    largest = fmax(largest, fabs(p->want[i]));
  }
  if( exact ) worst = same_floats(y, p->want, n) ? 0 : INFINITY;
  free(y);
  free(scratch);
  return worst/largest;
}

static const char *const codes[] = {
  "avx512_vnni", "avx512", "avx2_vnni", "avx2", "neon_dot", "neon",
  "wasm_relaxed", "wasm", "openblas", "plain"
};
static struct property sizes_hold[COUNT(codes)];

static void compare_codes(int rows, int in, int out){
  for(int is_half=0; is_half<2; is_half++){
    struct product p = product_of(rows, in, out, is_half);
    for(size_t c=0; c<COUNT(codes); c++){
      int exact = strcmp(codes[c], "openblas")!=0;
      if( !linear_choose(codes[c]) ) continue;
      holds(&sizes_hold[c], product_error(&p, exact)<=(exact ? 0 : 1e-5),
            "%d rows, [%d, %d] %s", rows, in, out, is_half ? "half" : "full");
    }
    product_release(&p);
  }
}

static void report_codes(const char *sizes){
  for(size_t c=0; c<COUNT(codes); c++){
    char name[100];
    int exact = strcmp(codes[c], "openblas")!=0;
    if( !linear_choose(codes[c]) ) continue;
    snprintf(name, sizeof(name), "linear: %s %s plain, %s", codes[c],
             exact ? "equals" : "is within 1e-5 of", sizes);
    property_ok(&sizes_hold[c], name);
    sizes_hold[c] = (struct property){ 0 };
  }
  linear_choose(NULL);
}

static void test_linear(void){
  /* rows, in, out: the shapes of the models, and rows around the limits of tiles */
  static const int sizes[][3] = {
    { 1, 256, 256 }, { 1, 704, 256 }, { 1, 256, 1408 }, { 1, 256, 8192 }, { 2, 256, 512 },
    { 2, 704, 256 }, { 3, 256, 1408 }, { 4, 384, 4096 }, { 5, 256, 8192 }, { 6, 64, 320 },
    { 7, 256, 32 }, { 8, 256, 128 }, { 12, 64, 384 }, { 13, 704, 256 }, { 17, 256, 512 },
    { 64, 704, 256 }, { 65, 256, 1408 }, { 66, 64, 130 }, { 67, 64, 190 }, { 200, 256, 512 },
    { 5, 3, 1000 },
  };
  for(size_t i=0; i<COUNT(odd); i++){
    for(size_t j=0; j<COUNT(odd); j++){
      for(size_t k=0; k<COUNT(odd); k++) compare_codes(odd[i], odd[j], odd[k]);
    }
  }
  report_codes("odd sizes");
  for(size_t i=0; i<COUNT(sizes); i++) compare_codes(sizes[i][0], sizes[i][1], sizes[i][2]);
  report_codes("model sizes");
}

static void test_linear_rows(void){
  enum { IN = 64, OUT = 200 };
  static const int batches[] = { 2, 6, 7, 64, 65, 100 };
  struct property same = { 0 };
  for(size_t b=0; b<COUNT(batches); b++){
    struct product p = product_of(batches[b], IN, OUT, 1);
    float *scratch = numbers(LINEAR_SCRATCH(IN), 1, 1);
    float *y = floats((size_t)OUT*p.rows);
    float *one = floats(OUT);
    linear(y, p.x, &p.w, p.rows, scratch);
    for(int row=0; row<p.rows; row++){
      linear(one, p.x + (size_t)row*IN, &p.w, 1, scratch);
      holds(&same, same_floats(one, y + (size_t)row*OUT, OUT), "row %d of %d", row, p.rows);
    }
    product_release(&p);
    free(scratch);
    free(y);
    free(one);
  }
  property_ok(&same, "linear: a row of a batch equals the row alone");
}

/* All 65,536 binary16 numbers, as weights of [1, 65536]. */
static void test_linear_half(void){
  static uint16_t half[65536];
  static float y[65536], scratch[LINEAR_SCRATCH(1)] __attribute__((aligned(64)));
  struct matrix w = { .in = 1, .out = 65536, .half = half };
  float one = 1.0f;
  for(int i=0; i<65536; i++) half[i] = (uint16_t)i;
  for(size_t c=0; c<COUNT(codes); c++){
    struct property exact = { 0 };
    char name[100];
    if( strcmp(codes[c], "openblas")==0 || !linear_choose(codes[c]) ) continue;
    linear(y, &one, &w, 1, scratch);
    for(int i=0; i<65536; i++){
      float want = half_to_float((uint16_t)i);
      holds(&exact, y[i]==want || (isnan(y[i]) && isnan(want)),
            "%04x is %g, expected %g", i, y[i], want);
    }
    snprintf(name, sizeof(name), "linear: %s converts every binary16 number exactly", codes[c]);
    property_ok(&exact, name);
  }
  linear_choose(NULL);
}

static void test_linear_choose(void){
  const char *best = linear_kernel();
  ok(linear_choose("plain") && strcmp(linear_kernel(), "plain")==0,
     "linear_choose: plain is always there", "%s", linear_kernel());
  ok(!linear_choose("abacus") && strcmp(linear_kernel(), "plain")==0,
     "linear_choose: an unknown name changes nothing", "%s", linear_kernel());
  ok(linear_choose(NULL) && strcmp(linear_kernel(), best)==0,
     "linear_choose: NULL picks the best again", "%s", linear_kernel());
}

/* ---- Sums and norms ---- */

/* The definition in kernels.h, number by number. */
static float dot_plain(const float *x, const float *y, int n){
  float lane[16] = { 0 }, a[8], b[4];
  for(int i=0; i<n; i++) lane[i%16] += x[i]*y[i];
  for(int i=0; i<8; i++) a[i] = lane[i] + lane[i+8];
  for(int i=0; i<4; i++) b[i] = a[i] + a[i+4];
  return (b[0] + b[2]) + (b[1] + b[3]);
}

static void test_sums(void){
  struct property dots = { 0 }, adds = { 0 }, biases = { 0 };
  double norm_error = 0;
  double length_error = 0;
  for(size_t s=0; s<COUNT(odd); s++){
    int n = odd[s];
    float *x = numbers(n, 3, 5);
    float *y = numbers(n, 3, 6);
    float *weight = numbers(n, 1, 7);
    float *z = floats(n);
    float *three = floats(3*n);
    double squares = 0;
    double length = 0;
    double want[65];
    holds(&dots, dot(x, y, n)==dot_plain(x, y, n), "n = %d", n);
    for(int i=0; i<n; i++) squares += (double)x[i]*x[i];
    for(int i=0; i<n; i++) want[i] = x[i]/sqrt(squares/n + 1e-6)*weight[i];
    rms_norm(z, x, weight, 1, n, 1e-6f);
    norm_error = fmax(norm_error, error_of(z, want, n, 0));
    copy(z, x, n);
    add(z, y, n);
    for(int i=0; i<n; i++) holds(&adds, z[i]==x[i]+y[i], "number %d of %d", i, n);
    copy(three, x, n);
    copy(three+n, y, n);
    copy(three+2*n, weight, n);
    add_bias(three, y, 3, n);
    for(int i=0; i<n; i++){
      holds(&biases, three[i]==x[i]+y[i], "number %d of row 0 of %d", i, n);
      holds(&biases, three[n+i]==y[i]+y[i], "number %d of row 1 of %d", i, n);
      holds(&biases, three[2*n+i]==weight[i]+y[i], "number %d of row 2 of %d", i, n);
    }
    length_error = fmax(length_error, fabs(normalize(x, n)/sqrt(squares) - 1));
    for(int i=0; i<n; i++) length += (double)x[i]*x[i];
    length_error = fmax(length_error, fabs(length - 1));
    free(x);
    free(y);
    free(weight);
    free(z);
    free(three);
  }
  property_ok(&dots, "dot: 16 lanes, added as kernels.h says");
  property_ok(&adds, "add: elementwise");
  property_ok(&biases, "add_bias: to every row");
  error_ok("rms_norm: against double precision", norm_error, 5e-7);
  error_ok("normalize: unit length, and the old one returned", length_error, 5e-7);
}

static void test_norm_ends(void){
  float zero[20] = { 0 };
  float weight[3] = { 1, 2, 3 };
  float x[6] = { 1, -2, 3, 4, 5, -6 };
  float rows[6], first[3], second[3];
  float length = normalize(zero, 20);
  ok(length==0 && zero[0]==0 && zero[19]==0,
     "normalize: a zero vector stays", "length %g, now starts with %g", length, zero[0]);
  rms_norm(rows, x, weight, 2, 3, 1e-6f);
  rms_norm(first, x, weight, 1, 3, 1e-6f);
  rms_norm(second, x+3, weight, 1, 3, 1e-6f);
  ok(same_floats(rows, first, 3) && same_floats(rows+3, second, 3),
     "rms_norm: rows are independent", "they differ");
}

/* The largest at every place: alone, once more behind it, among NaN. */
static void test_largest(const char *code){
  struct property p = { 0 };
  char name[80];
  for(size_t s=0; s<COUNT(odd); s++){
    int n = odd[s];
    float *x = floats(n);
    float *source = numbers(n, 3, 9);
    for(int i=0; i<n; i++){
      copy(x, source, n);
      x[i] = 4;
      holds(&p, largest(x, n)==i, "place %d of %d", i, n);
      x[n-1] = 4;
      holds(&p, largest(x, n)==i, "place %d of %d, and the last", i, n);
      if( i>0 ) x[i-1] = NAN;
      holds(&p, largest(x, n)==i, "place %d of %d, behind NaN", i, n);
      x[i] = INFINITY;
      holds(&p, largest(x, n)==i, "place %d of %d, infinite", i, n);
    }
    for(int i=0; i<n; i++) x[i] = NAN;
    holds(&p, largest(x, n)==0, "%d times NaN", n);
    for(int i=0; i<n; i++) x[i] = -INFINITY;
    holds(&p, largest(x, n)==0, "%d times minus infinity", n);
    free(x);
    free(source);
  }
  holds(&p, largest(NULL, 0)==0, "none");
  snprintf(name, sizeof(name), "largest: %s finds the first of the largest numbers", code);
  property_ok(&p, name);
}

static void test_layer_norm(void){
  double worst = 0;
  for(size_t s=0; s<COUNT(odd); s++){
    int n = odd[s];
    float *x = numbers(2*n, 3, 15);
    float *weight = numbers(n, 1, 16);
    float *bias = numbers(n, 1, 17);
    float *y = floats(2*n);
    copy(y, x, 2*n);
    layer_norm(y, y, weight, bias, 2, n, 1e-6f);
    for(int row=0; row<2; row++){
      double mean = 0, variance = 0, want[65];
      for(int i=0; i<n; i++) mean += x[row*n + i]/n;
      for(int i=0; i<n; i++) variance += pow(x[row*n + i] - mean, 2)/n;
      for(int i=0; i<n; i++){
        want[i] = (x[row*n + i] - mean)/sqrt(variance + 1e-6)*weight[i] + bias[i];
      }
      worst = fmax(worst, error_of(y + row*n, want, n, 1));
    }
    free(x);
    free(weight);
    free(bias);
    free(y);
  }
  error_ok("layer_norm: against double precision, in place", worst, 2e-6);
}

/* ---- Matrices of bytes ---- */

/* Is w[in, out] the same matrix if its columns are put one by one, the last one first? */
static int same_by_columns(const int8_t *bytes, const float *scale, const float *w, int in,
                           int out){
  int8_t *put = calloc(1, MATRIX_BYTES(in, out));
  float *put_scale = floats(out);
  float *column = floats(in);
  int same;
  for(int j=out-1; j>=0; j--){
    for(int k=0; k<in; k++) column[k] = 5;
    matrix_put_column(put, put_scale, column, in, j);   /* it is replaced */
    for(int k=0; k<in; k++) column[k] = w[(size_t)k*out + j];
    matrix_put_column(put, put_scale, column, in, j);
  }
  same = memcmp(put, bytes, MATRIX_BYTES(in, out))==0 && same_floats(put_scale, scale, (size_t)out);
  free(put);
  free(put_scale);
  free(column);
  return same;
}

static void test_bytes(void){
  static const int ends[][3] = { { 33, 384, 1152 }, { 65, 1536, 384 }, { 1, 384, 384 } };
  struct property same = { 0 }, near = { 0 }, columns = { 0 };
  char name[100];
  for(size_t at=0; at<343 + COUNT(ends); at++){
    const int *end = at<343 ? NULL : ends[at-343];
    int rows = end ? end[0] : odd[at/49];
    int in = end ? end[1] : odd[at/7%7];
    int out = end ? end[2] : odd[at%7];
    float *full = numbers((size_t)in*out, 0.2f, at + 1);
    float *x = numbers((size_t)rows*in, 2.0f, at + 2);
    float *scale = floats(out);
    int8_t *bytes = malloc(MATRIX_BYTES(in, out));
    struct matrix w = { .in = in, .out = out, .bytes = bytes, .scale = scale };
    struct matrix exact = { .in = in, .out = out, .full = full };
    float *want = floats((size_t)rows*out);
    float *got = floats((size_t)rows*out);
    float *truth = floats((size_t)rows*out);
    float *scratch = aligned_alloc(64, LINEAR_SCRATCH(in)*sizeof(float));
    matrix_quantize(bytes, scale, full, in, out);
    holds(&columns, same_by_columns(bytes, scale, full, in, out), "[%d, %d]", in, out);
    linear_plain(want, x, &w, rows);
    linear_plain(truth, x, &exact, rows);
    for(size_t c=0; c<COUNT(codes); c++){
      if( !linear_choose(codes[c]) ) continue;
      linear(got, x, &w, rows, scratch);
      holds(&same, same_floats(got, want, (size_t)rows*out), "%s: %d rows, [%d, %d]", codes[c],
            rows, in, out);
    }
    /* Each is off by at most half a step: x of 2/127, w of 0.2/64. */
    for(int i=0; i<rows*out; i++){
      double most = in*(2*0.2/128 + 0.2*2/254 + 2e-5);
      holds(&near, fabs(want[i] - truth[i])<=most, "%d rows, [%d, %d]: %g is not %g", rows, in, out,
            want[i], truth[i]);
    }
    free(full);
    free(x);
    free(scale);
    free(bytes);
    free(want);
    free(got);
    free(truth);
    free(scratch);
  }
  linear_choose(NULL);
  snprintf(name, sizeof(name), "linear, bytes: every code equals plain");
  property_ok(&same, name);
  property_ok(&near, "linear, bytes: within half a step of the numbers");
  property_ok(&columns, "matrix_put_column: column by column the matrix is the same");
}

/* ---- Matrices in groups ---- */

enum group_case {
  GROUPS_RANDOM, GROUPS_ENDS, GROUPS_ZEROS, GROUPS_TINY, GROUPS_HUGE, GROUPS_INFINITE, GROUPS_NAN,
  GROUP_CASES
};

static int same_or_nan(const float *x, const float *y, size_t n){
  for(size_t i=0; i<n; i++){
    if( !(isnan(x[i]) && isnan(y[i])) && memcmp(&x[i], &y[i], sizeof(*x))!=0 ) return 0;
  }
  return 1;
}

/* Scales and numbers of every panel and group, at random; or all at one of the ends. */
static void groups_fill(uint8_t *w, int bits, int in, int out, enum group_case what){
  struct random r = random_of((uint64_t)bits*in*out + what);
  size_t n = MATRIX_GROUPS(bits, in, out)/GROUP_BYTES(bits);
  for(size_t i=0; i<n; i++, w+=GROUP_BYTES(bits)){
    size_t head = GROUP_HEAD(bits);
    for(size_t k=0; k<head; k+=2){
      float scale = what==GROUPS_TINY ? 1e-6f : what==GROUPS_HUGE ? 6e4f : 0.01f;
      uint16_t half = float_to_half(scale*(2*random_uniform(&r) - 1));
      memcpy(w + k, &half, sizeof(half));
    }
    for(size_t k=head; k<GROUP_BYTES(bits); k++){
      int q = (int)(255*random_uniform(&r)) - 127;
      if( what==GROUPS_ENDS ) q = bits==4 ? 255 : i%2 ? 127 : -127;
      w[k] = (uint8_t)q;
    }
  }
}

static void groups_rows(float *x, int rows, int in, enum group_case what){
  struct random r = random_of((uint64_t)rows*in + what);
  for(int i=0; i<rows*in; i++){
    float size = what==GROUPS_TINY ? 1e-38f : what==GROUPS_HUGE ? 3.4e38f : 2.0f;
    x[i] = size*(2*random_uniform(&r) - 1);
    if( what==GROUPS_ZEROS ) x[i] = i%2 ? 0.0f : -0.0f;
    if( what==GROUPS_ENDS ) x[i] = i/GROUP%2 ? 2.0f : -2.0f;
    if( what==GROUPS_INFINITE && i%50==7 ) x[i] = i%100==7 ? INFINITY : -INFINITY;
    if( what==GROUPS_NAN && i%50==7 ) x[i] = NAN;
  }
}

static void groups_compare(struct property *same, struct property *near, int bits, int rows, int in,
                           int out, enum group_case what){
  size_t n = (size_t)rows*out;
  uint8_t *bytes = malloc(MATRIX_GROUPS(bits, in, out) + 1);
  struct matrix w = { .in = in, .out = out, .groups = bytes + 1, .group_bits = bits };
  float *x = floats((size_t)rows*in);
  float *column = floats(in);
  float *want = floats(n);
  float *got = floats(n);
  float *scratch = aligned_alloc(64, LINEAR_SCRATCH(in)*sizeof(float));
  groups_fill(bytes + 1, bits, in, out, what);
  groups_rows(x, rows, in, what);
  linear_plain(want, x, &w, rows);
  for(size_t c=0; c<COUNT(codes); c++){
    if( !linear_choose(codes[c]) ) continue;
    memset(got, 0x55, n*sizeof(float));
    linear(got, x, &w, rows, scratch);
    holds(same, same_or_nan(got, want, n), "%s: %d rows, [%d, %d], %d bits, case %d", codes[c],
          rows, in, out, bits, (int)what);
  }
  for(int j=0; j<out && what<=GROUPS_ZEROS; j++){       /* off by half a step of x: 2/127 */
    groups_column(column, &w, j);
    for(int i=0; i<rows; i++){
      double truth = 0, most = 1e-6;
      for(int k=0; k<in; k++) truth += (double)x[i*in + k]*column[k];
      for(int k=0; k<in; k++) most += fabs(column[k])*(1.0/127 + 1e-5);
      holds(near, fabs(want[i*out + j] - truth)<=most, "%d rows, [%d, %d], %d bits: %g is not %g",
            rows, in, out, bits, want[i*out + j], truth);
    }
  }
  free(bytes);
  free(x);
  free(column);
  free(want);
  free(got);
  free(scratch);
}

static void test_groups(void){
  static const int ends[][3] = { { 1, 576, 960 }, { 8, 1536, 576 }, { 16, 96, 960 } };
  static const int ins[] = { 1, 31, 32, 33, 64, 96 };
  static const int outs[] = { 1, 15, 16, 17, 47 };
  struct property same = { 0 }, near = { 0 };
  for(int bits=4; bits<=8; bits+=4){
    for(int rows=1; rows<=BYTE_ROWS + 1; rows++){
      for(size_t i=0; i<COUNT(ins); i++){
        groups_compare(&same, &near, bits, rows, ins[i], outs[(i + rows)%COUNT(outs)], 0);
      }
    }
    for(size_t i=0; i<COUNT(ins)*COUNT(outs); i++){
      groups_compare(&same, &near, bits, 3, ins[i/COUNT(outs)], outs[i%COUNT(outs)], 0);
    }
    for(size_t i=0; i<COUNT(ends); i++){
      groups_compare(&same, &near, bits, ends[i][0], ends[i][1], ends[i][2], 0);
    }
    for(int what=0; what<GROUP_CASES; what++){
      groups_compare(&same, &near, bits, 13, 160, 33, (enum group_case)what);
    }
  }
  linear_choose(NULL);
  property_ok(&same, "linear, groups: every code equals plain");
  property_ok(&near, "linear, groups: within half a step of the numbers of groups_column()");
}

/* ---- exp and what needs it ---- */

static void test_silu(void){
  enum { ROWS = 3 };
  float ends[8] = { 1, 1, 1, 1, 1000, -1000, 0, NAN };
  float z[4];
  double worst = 0;
  for(size_t s=0; s<COUNT(odd); s++){
    int h = odd[s];
    float *x = numbers((size_t)ROWS*2*h, 85, 11 + h);
    float *y = floats((size_t)ROWS*h);
    silu_gate(y, x, ROWS, h);
    for(int i=0; i<ROWS*h; i++){
      const float *row = x + (size_t)(i/h)*2*h;
      double v = row[i%h];
      double g = row[h + i%h];
      double want = v*g/(1 + exp(-g));
      worst = fmax(worst, error_of(&y[i], &want, 1, 1e-37));
    }
    free(x);
    free(y);
  }
  error_ok("silu_gate: against double precision, gates -85 to 85", worst, 4e-7);
  silu_gate(z, ends, 1, 4);
  ok(z[0]==1000 && fabsf(z[1])<1e-30f && z[2]==0 && isnan(z[3]),
     "silu_gate: large gates, zero and NaN", "%g %g %g %g", z[0], z[1], z[2], z[3]);
}

static void test_silu_bias(void){
  enum { ROWS = 3 };
  double worst = 0;
  for(size_t s=0; s<COUNT(odd); s++){
    int n = odd[s];
    float *x = numbers((size_t)ROWS*n, 40, 12 + n);
    float *bias = numbers(n, 40, 13);
    float *y = floats((size_t)ROWS*n);
    float *own = floats(n);
    copy(y, x, (size_t)ROWS*n);
    copy(own, bias, n);
    silu_bias(y, own, ROWS, n);
    for(int i=0; i<ROWS*n; i++){
      float sum = x[i] + bias[i%n];
      double want = sum/(1 + exp(-(double)sum));
      worst = fmax(worst, error_of(&y[i], &want, 1, 1e-37));
    }
    free(x);
    free(bias);
    free(y);
    free(own);
  }
  error_ok("silu_bias: against double precision, -80 to 80", worst, 4e-7);
}

static void test_gelu(void){
  double worst = 0;
  for(int i=-400; i<=400; i++){
    float x[7];
    float bias[7] = { 0, 0.5f, -0.5f, 0.01f, -0.01f, 0.25f, 0 };
    for(int k=0; k<7; k++) x[k] = (float)i/40;
    gelu_bias(x, bias, 1, 7);
    for(int k=0; k<7; k++){
      double sum = (float)i/40 + bias[k];
      double want = sum*(1 + erf(sum/sqrt(2)))/2;
      worst = fmax(worst, fabs(x[k] - want));
    }
  }
  error_ok("gelu_bias: against erf() in double precision, -10 to 10", worst, 1e-6);
}

/* softmax([x, 0]) over a fine grid: exp() itself, as seen from outside. */
static void test_exp(void){
  double worst = 0;
  for(int i=0; i<=400000; i++){
    float x = -87.0f*(float)i/400000;
    float y[2] = { x, 0 };
    double want = exp(x)/(1 + exp(x));
    softmax(y, 2);
    worst = fmax(worst, error_of(y, &want, 1, 0));
  }
  error_ok("softmax: exp over 400,000 steps from -87 to 0", worst, 4e-7);
}

static void test_softmax(void){
  static const int sizes[] = { 1, 7, 8, 9, 63, 64, 65, 320, 8191, 8192 };
  double soft_error = 0;
  double log_error = 0;
  for(size_t s=0; s<COUNT(sizes); s++){
    int n = sizes[s];
    float *x = floats(n);
    float *y = floats(n);
    float *source = numbers(n, 12, n);
    double *want = malloc(sizeof(double)*n);
    double sum = 0;
    double most = -INFINITY;
    copy(x, source, n);
    copy(y, source, n);
    for(int i=0; i<n; i++) most = fmax(most, x[i]);
    for(int i=0; i<n; i++) sum += exp(x[i] - most);
    for(int i=0; i<n; i++) want[i] = exp(x[i] - most)/sum;
    softmax(x, n);
    soft_error = fmax(soft_error, error_of(x, want, n, 0));
    for(int i=0; i<n; i++) want[i] = source[i] - most - log(sum);
    log_softmax(y, n);
    log_error = fmax(log_error, error_of(y, want, n, 1));
    free(x);
    free(y);
    free(source);
    free(want);
  }
  /* 2e-6, because x - max itself is rounded. */
  error_ok("softmax: against double precision", soft_error, 2e-6);
  error_ok("log_softmax: against double precision", log_error, 1e-6);
}

static void test_softmax_ends(void){
  float x[3] = { -INFINITY, 1000, 1000 };
  float y[3] = { -INFINITY, 1000, 1000 };
  float z[2] = { NAN, 0 };
  softmax(x, 3);
  log_softmax(y, 3);
  softmax(z, 2);
  ok(x[0]==0 && x[1]==0.5f && x[2]==0.5f && isnan(z[0]),
     "softmax: minus infinity is 0, large numbers do not overflow, NaN shows", "%g %g %g, NaN %g",
     x[0], x[1], x[2], z[0]);
  ok(y[0]==-INFINITY && fabsf(y[1] + 0.69314718f)<1e-4f,
     "log_softmax: minus infinity stays, large numbers do not overflow", "%g %g", y[0], y[1]);
  softmax(x, 0);
  log_softmax(x, 0);
}

/* ---- Rotary positions and attention ---- */

static void test_rotary(void){
  enum { POSITIONS = 140, HEADS = 4, STRIDE = 100, N = (HEADS-1)*STRIDE + 64 };
  float *table = floats(64*POSITIONS);
  float *source = numbers(N, 1, 3);
  float *x = floats(N);
  double table_error = 0;
  double turn_error = 0;
  struct property gaps = { 0 };
  rotary_table(table, POSITIONS, 10000.0);
  for(int p=0; p<POSITIONS; p++){
    for(int i=0; i<32; i++){
      double angle = p*pow(10000, -i/32.0);
      table_error = fmax(table_error, fabs(table[p*64+i] - cos(angle)));
      table_error = fmax(table_error, fabs(table[p*64+32+i] - sin(angle)));
    }
  }
  error_ok("rotary_table: cosines and sines", table_error, 6e-8);
  copy(x, source, N);
  rotary(x, table + 137*64, HEADS, STRIDE);
  for(int h=0; h<HEADS; h++){
    const float *a = source + h*STRIDE;
    const float *got = x + h*STRIDE;
    for(int i=0; i<32; i++){
      double angle = 137*pow(10000, -i/32.0);
      double first = a[i]*cos(angle) - a[i+32]*sin(angle);
      double second = a[i]*sin(angle) + a[i+32]*cos(angle);
      turn_error = fmax(turn_error, fabs(got[i] - first));
      turn_error = fmax(turn_error, fabs(got[i+32] - second));
    }
    if( h<HEADS-1 ) holds(&gaps, same_floats(got + 64, a + 64, STRIDE-64), "after head %d", h);
  }
  error_ok("rotary: turns the pairs (i, i+32) of every head", turn_error, 3e-7);
  property_ok(&gaps, "rotary: leaves what lies between the heads");
  free(table);
  free(source);
  free(x);
}

/* The error of one attend(). */
static double attend_error(int n, int stride){
  size_t size = (size_t)(n-1)*stride + 64;
  float *k = numbers(size, 2, 21);
  float *v = numbers(size, 1, 22);
  float *q = numbers(64, 2, 23);
  float *scores = floats(ATTEND_SCORES(n));
  float out[64];
  double p[65];
  double want[64] = { 0 };
  double sum = 0;
  for(int j=0; j<n; j++){
    double dots = 0;
    for(int i=0; i<64; i++) dots += (double)q[i]*k[(size_t)j*stride+i];
    p[j] = exp(dots/8);
    sum += p[j];
  }
  for(int j=0; j<n; j++){
    for(int i=0; i<64; i++) want[i] += p[j]/sum*v[(size_t)j*stride+i];
  }
  attend(out, q, k, v, n, stride, scores);
  free(k);
  free(v);
  free(q);
  free(scores);
  return error_of(out, want, 64, 1);
}

static void test_attend(void){
  static const int strides[] = { 64, 128, 512 };
  double worst = 0;
  for(size_t s=0; s<COUNT(odd); s++){
    for(size_t t=0; t<COUNT(strides); t++) worst = fmax(worst, attend_error(odd[s], strides[t]));
  }
  error_ok("attend: against double precision", worst, 2e-6);
}

/* ---- Arcs ---- */

static void test_slerp(void){
  double worst = 0;
  double length_error = 0;
  double speed_error = 0;
  float *a = numbers(128, 1, 31);
  float *b = numbers(128, 1, 32);
  float y[128], z[128], minus[128];
  double want[128];
  double angle, dots = 0;
  normalize(a, 128);
  normalize(b, 128);
  for(int i=0; i<128; i++) dots += (double)a[i]*b[i];
  angle = acos(dots);
  for(int step=0; step<=10; step++){
    float t = (float)step/10;
    double of_a = sin((1-t)*angle)/sin(angle);
    double of_b = sin(t*angle)/sin(angle);
    for(int i=0; i<128; i++) want[i] = of_a*a[i] + of_b*b[i];
    slerp(y, a, b, t, 128);
    worst = fmax(worst, error_of(y, want, 128, 1));
  }
  error_ok("slerp: against double precision", worst, 2e-7);
  slerp(y, a, b, 0, 128);
  slerp(z, a, b, 1, 128);
  ok(same_floats(y, a, 128) && same_floats(z, b, 128),
     "slerp: t = 0 and 1 give the ends bit by bit", "they differ");
  slerp(y, a, a, 0.3f, 128);
  for(int i=0; i<128; i++) want[i] = a[i];
  error_ok("slerp: between equal vectors, the vector", error_of(y, want, 128, 1), 1e-7);
  for(int i=0; i<128; i++) minus[i] = -a[i];
  for(int step=0; step<=8; step++){     /* opposite: half a turn at even speed */
    slerp(y, a, minus, (float)step/8, 128);
    length_error = fmax(length_error, fabs(sqrt(dot(y, y, 128)) - 1));
    speed_error = fmax(speed_error, fabs(dot(y, a, 128) - cos(step*3.14159265358979/8)));
  }
  error_ok("slerp: between opposite vectors, unit length", length_error, 1e-6);
  error_ok("slerp: between opposite vectors, even speed", speed_error, 1e-6);
  copy(y, a, 128);
  slerp(y, y, b, 0.25f, 128);
  slerp(z, a, b, 0.25f, 128);
  ok(same_floats(y, z, 128), "slerp: in place", "it differs");
  free(a);
  free(b);
}

/* ---- The same bits everywhere ---- */

/* Hashes of results that no libm touches. They must not depend on compiler, CPU, vector unit or
** sanitizer. They change only when an algorithm is changed on purpose. (OpenBLAS need not have the
** hash of linear.) */
static void bits_of(const char *code){
  enum { N = 1000 };
  static float x[2*N], y[2*N], k[64*70], out[4][64], scores[ATTEND_SCORES(60)];
  static float scratch[LINEAR_SCRATCH(N)] __attribute__((aligned(64)));
  static int8_t bytes[MATRIX_BYTES(64, 70)];
  static float scale[70];
  static uint8_t groups[2][MATRIX_GROUPS(8, 70, 50)];
  struct random r = random_of(2024);
  struct matrix w = { .in = N, .out = 1, .full = x };
  struct matrix w_bytes = { .in = 64, .out = 70, .bytes = bytes, .scale = scale };
  struct {
    const char *name;
    uint64_t want, got;
  } rows[] = {
    { "dot", 0x7c4459fae1b11e14, 0 },
    { "rms_norm", 0x2418453ad7527e06, 0 },
    { "silu_gate", 0x86548f2a8e7d245c, 0 },
    { "softmax", 0xebc599e8c037312c, 0 },
    { "attend", 0x6453b1d8c0abc82f, 0 },
    { "linear", 0x65ef559fe27dda7f, 0 },
    { "silu_bias", 0x2b8d96f53107403a, 0 },
    { "add_bias", 0x4f3ae68b41893358, 0 },
    { "layer_norm", 0x2f03525f9455edb2, 0 },
    { "gelu_bias", 0x1a31345e6fa7e849, 0 },
    { "bytes", 0xd8d5c200c55efb06, 0 },
    { "groups of 4 bits", 0xd7b2f226be09b9c0, 0 },
    { "groups of 8 bits", 0x7d4fe4daa86746a4, 0 },
  };
  struct property same = { 0 };
  char name[80];
  float sum;
  for(size_t i=0; i<2*N; i++) x[i] = 20*random_uniform(&r) - 10;
  for(size_t i=0; i<COUNT(k); i++) k[i] = 2*random_uniform(&r) - 1;
  sum = dot(x, x+N, N);
  rows[0].got = hash64(&sum, sizeof(sum));
  rms_norm(y, x, x+1, 3, N/4, 1e-6f);
  rows[1].got = hash64(y, sizeof(float)*3*(N/4));
  silu_gate(y, x, 1, N);
  rows[2].got = hash64(y, sizeof(float)*N);
  copy(y, x, N);
  softmax(y, N);
  rows[3].got = hash64(y, sizeof(float)*N);
  for(size_t i=0; i<4; i++) attend(out[i], x + 16*i, k, k + 32, 60, 64, scores);
  rows[4].got = hash64(out, sizeof(out));
  linear(y, x+1, &w, 1, scratch);
  rows[5].got = hash64(y, sizeof(float));
  copy(y, x, N);
  silu_bias(y, x+N, 8, N/8);
  rows[6].got = hash64(y, sizeof(float)*N);
  copy(y, x, N);
  add_bias(y, x+N, 8, N/8);
  rows[7].got = hash64(y, sizeof(float)*N);
  layer_norm(y, x, x+1, x+2, 3, N/4, 1e-12f);
  rows[8].got = hash64(y, sizeof(float)*3*(N/4));
  copy(y, x, N);
  gelu_bias(y, x+N, 8, N/8);
  rows[9].got = hash64(y, sizeof(float)*N);
  matrix_quantize(bytes, scale, k, 64, 70);
  linear(y, x, &w_bytes, 15, scratch);
  rows[10].got = hash64(y, sizeof(float)*15*70);
  for(int i=0; i<2; i++){
    struct matrix w_groups = { .in = 70, .out = 50, .groups = groups[i], .group_bits = 4 + 4*i };
    groups_fill(groups[i], w_groups.group_bits, 70, 50, GROUPS_RANDOM);
    linear(y, x, &w_groups, 15, scratch);
    rows[11+i].got = hash64(y, sizeof(float)*15*50);
  }
  for(size_t i=0; i<COUNT(rows); i++){
    if( strcmp(rows[i].name, "linear")==0 && strcmp(code, "openblas")==0 ) continue;
    holds(&same, rows[i].got==rows[i].want,
          "%s 0x%016llx", rows[i].name, (unsigned long long)rows[i].got);
  }
  snprintf(name, sizeof(name), "%s: all kernels give the bits they give on every machine", code);
  property_ok(&same, name);
}

int main(void){
  printf("# linear() uses %s\n", linear_kernel());
  test_linear();
  test_linear_rows();
  test_linear_half();
  test_linear_choose();
  for(size_t c=0; c<COUNT(codes); c++){
    if( linear_choose(codes[c]) ) bits_of(codes[c]);
  }
  linear_choose(NULL);
  test_sums();
  test_norm_ends();
  test_layer_norm();
  test_bytes();
  test_groups();
  for(size_t c=0; c<COUNT(codes); c++){
    if( linear_choose(codes[c]) ) test_largest(codes[c]);
  }
  linear_choose(NULL);
  test_silu();
  test_silu_bias();
  test_gelu();
  test_exp();
  test_softmax();
  test_softmax_ends();
  test_rotary();
  test_attend();
  test_slerp();
  return n_not_ok>0;
}
