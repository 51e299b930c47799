/*
** test_kernels.c -- the kernels against their definitions: products bit by bit against linear_plain() in every code this CPU has, the
** rest against double precision and libm; and all of them, in every code, against hashes that must be the same on every machine.
**
** Prints `ok - property` or `not ok - property: detail` a line; exits with 1 when one failed. Buffers have exactly the size that the
** header asks for, so that the address sanitizer sees every step too far.
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
  size_t i;
  for(i=0; i<n; i++) x[i] = scale*(2*random_uniform(&r) - 1);
  return x;
}

/* The largest |got - want| / (|want| + floor). NaN counts as infinitely wrong. */
static double error_of(const float *got, const double *want, int n, double floor){
  double worst = 0;
  int i;
  for(i=0; i<n; i++){
    double e = fabs(got[i] - want[i])/(fabs(want[i]) + floor);
    if( !(e<=worst) ) worst = e==e ? e : INFINITY;
  }
  return worst;
}
static void error_ok(const char *name, double error, double allowed){
  ok(error<=allowed, name, "error %g, allowed %g", error, allowed);
}

/* ---- Products ---- */

/* A product of one size, its operands in blocks of exactly their size, and what linear_plain() makes of it. */
struct product {
  struct matrix w;
  int rows;
  void *weights;
  float *x, *want;
};
static struct product product_of(int rows, int in, int out, int is_half){
  struct product p = { { in, out, NULL, NULL }, rows, NULL, NULL, NULL };
  size_t n = (size_t)in*out, i;
  float *full = numbers(n, 0.2f, n + 1);
  p.x = malloc(sizeof(float)*(size_t)rows*in);
  float *x = numbers((size_t)rows*in, 2.0f, 77);
  memcpy(p.x, x, sizeof(float)*(size_t)rows*in);
  free(x);
  p.weights = malloc(n*(is_half ? sizeof(uint16_t) : sizeof(float)));
  if( is_half ){
    uint16_t *half = p.weights;
    for(i=0; i<n; i++) half[i] = float_to_half(full[i]);
    p.w.half = half;
  }else{
    memcpy(p.weights, full, n*sizeof(float));
    p.w.full = p.weights;
  }
  free(full);
  p.want = malloc(sizeof(float)*(size_t)rows*out);
  linear_plain(p.want, p.x, &p.w, rows);
  return p;
}
static void product_release(struct product *p){
  free(p->weights);
  free(p->x);
  free(p->want);
}

/* Runs linear(); the largest difference from plain, relative to the largest number. exact: 0 or infinity, by memcmp. */
static double product_error(const struct product *p, int exact){
  size_t n = (size_t)p->rows*p->w.out, i;
  float *y = malloc(n*sizeof(float)), *scratch = aligned_alloc(64, LINEAR_SCRATCH(p->w.in)*sizeof(float));
  double worst = 0, largest = 1e-30;
  memset(y, 0xff, n*sizeof(float));
  linear(y, p->x, &p->w, p->rows, scratch);
  for(i=0; i<n; i++){
    double e = fabs((double)y[i] - p->want[i]);
    worst = e<=worst ? worst : e==e ? e : INFINITY;
    largest = fmax(largest, fabs(p->want[i]));
  }
  if( exact ) worst = memcmp(y, p->want, n*sizeof(float)) ? INFINITY : 0;
  free(y);
  free(scratch);
  return worst/largest;
}

static const char *const codes[] = { "avx512", "avx2", "neon", "openblas", "plain" };
static struct property sizes_hold[COUNT(codes)];

static void compare_codes(int rows, int in, int out){
  int is_half;
  size_t c;
  for(is_half=0; is_half<2; is_half++){
    struct product p = product_of(rows, in, out, is_half);
    for(c=0; c<COUNT(codes); c++){
      int exact = strcmp(codes[c], "openblas")!=0;
      if( !linear_choose(codes[c]) ) continue;
      holds(&sizes_hold[c], product_error(&p, exact)<=(exact ? 0 : 1e-5), "%d rows, [%d, %d] %s", rows, in, out,
            is_half ? "half" : "full");
    }
    product_release(&p);
  }
}

static void report_codes(const char *sizes){
  size_t c;
  for(c=0; c<COUNT(codes); c++){
    char name[100];
    int exact = strcmp(codes[c], "openblas")!=0;
    if( !linear_choose(codes[c]) ) continue;
    snprintf(name, sizeof(name), "linear: %s %s plain, %s", codes[c], exact ? "equals" : "is within 1e-5 of", sizes);
    property_ok(&sizes_hold[c], name);
    sizes_hold[c] = (struct property){0};
  }
  linear_choose(NULL);
}

static void test_linear(void){
  static const int sizes[][3] = {       /* rows, in, out: the shapes of the models, and rows around the limits of tiles */
    { 1, 256, 256 }, { 1, 704, 256 }, { 1, 256, 1408 }, { 1, 256, 8192 }, { 2, 256, 512 }, { 2, 704, 256 }, { 3, 256, 1408 },
    { 4, 384, 4096 }, { 5, 256, 8192 }, { 6, 64, 320 }, { 7, 256, 32 }, { 8, 256, 128 }, { 12, 64, 384 }, { 13, 704, 256 },
    { 17, 256, 512 }, { 64, 704, 256 }, { 65, 256, 1408 }, { 66, 64, 130 }, { 67, 64, 190 }, { 200, 256, 512 }, { 5, 3, 1000 },
  };
  size_t i, j, k;
  for(i=0; i<COUNT(odd); i++) for(j=0; j<COUNT(odd); j++) for(k=0; k<COUNT(odd); k++) compare_codes(odd[i], odd[j], odd[k]);
  report_codes("odd sizes");
  for(i=0; i<COUNT(sizes); i++) compare_codes(sizes[i][0], sizes[i][1], sizes[i][2]);
  report_codes("model sizes");
}

static void test_linear_rows(void){
  static const int batches[] = { 2, 6, 7, 64, 65, 100 };
  struct property same = {0};
  size_t b;
  int row;
  for(b=0; b<COUNT(batches); b++){
    struct product p = product_of(batches[b], 64, 200, 1);
    float *scratch = numbers(LINEAR_SCRATCH(64), 1, 1), *y = malloc(sizeof(float)*200*(size_t)p.rows), *one = malloc(sizeof(float)*200);
    linear(y, p.x, &p.w, p.rows, scratch);
    for(row=0; row<p.rows; row++){
      linear(one, p.x + (size_t)row*64, &p.w, 1, scratch);
      holds(&same, memcmp(one, y + (size_t)row*200, sizeof(float)*200)==0, "row %d of %d", row, p.rows);
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
  struct matrix w = { 1, 65536, half, NULL };
  float one = 1.0f;
  size_t c;
  int i;
  for(i=0; i<65536; i++) half[i] = (uint16_t)i;
  for(c=0; c<COUNT(codes); c++){
    struct property exact = {0};
    char name[100];
    if( strcmp(codes[c], "openblas")==0 || !linear_choose(codes[c]) ) continue;
    linear(y, &one, &w, 1, scratch);
    for(i=0; i<65536; i++){
      float want = half_to_float((uint16_t)i);
      holds(&exact, y[i]==want || (isnan(y[i]) && isnan(want)), "%04x is %g, expected %g", i, y[i], want);
    }
    snprintf(name, sizeof(name), "linear: %s converts every binary16 number exactly", codes[c]);
    property_ok(&exact, name);
  }
  linear_choose(NULL);
}

static void test_linear_choose(void){
  const char *best = linear_kernel();
  ok(linear_choose("plain") && strcmp(linear_kernel(), "plain")==0, "linear_choose: plain is always there", "%s", linear_kernel());
  ok(!linear_choose("abacus") && strcmp(linear_kernel(), "plain")==0, "linear_choose: an unknown name changes nothing", "%s", linear_kernel());
  ok(linear_choose(NULL) && strcmp(linear_kernel(), best)==0, "linear_choose: NULL picks the best again", "%s", linear_kernel());
}

/* ---- Sums and norms ---- */

/* The definition in kernels.h, number by number. */
static float dot_plain(const float *x, const float *y, int n){
  float lane[16] = {0}, a[8], b[4];
  int i;
  for(i=0; i<n; i++) lane[i%16] += x[i]*y[i];
  for(i=0; i<8; i++) a[i] = lane[i] + lane[i+8];
  for(i=0; i<4; i++) b[i] = a[i] + a[i+4];
  return (b[0] + b[2]) + (b[1] + b[3]);
}

static void test_sums(void){
  struct property dots = {0}, adds = {0}, biases = {0};
  double norm_error = 0, length_error = 0;
  size_t s;
  int i;
  for(s=0; s<COUNT(odd); s++){
    int n = odd[s];
    float *x = numbers(n, 3, 5), *y = numbers(n, 3, 6), *weight = numbers(n, 1, 7), *z = malloc(sizeof(float)*n);
    float *three = malloc(sizeof(float)*3*n);
    double want[65], squares = 0, length = 0;
    holds(&dots, dot(x, y, n)==dot_plain(x, y, n), "n = %d", n);
    for(i=0; i<n; i++) squares += (double)x[i]*x[i];
    for(i=0; i<n; i++) want[i] = x[i]/sqrt(squares/n + 1e-6)*weight[i];
    rms_norm(z, x, weight, 1, n);
    norm_error = fmax(norm_error, error_of(z, want, n, 0));
    memcpy(z, x, sizeof(float)*n);
    add(z, y, n);
    for(i=0; i<n; i++) holds(&adds, z[i]==x[i]+y[i], "number %d of %d", i, n);
    memcpy(three, x, sizeof(float)*n);
    memcpy(three+n, y, sizeof(float)*n);
    memcpy(three+2*n, weight, sizeof(float)*n);
    add_bias(three, y, 3, n);
    for(i=0; i<3*n; i++) holds(&biases, three[i]==(i<n ? x[i] : i<2*n ? y[i-n] : weight[i-2*n]) + y[i%n], "number %d of 3 rows of %d", i, n);
    length_error = fmax(length_error, fabs(normalize(x, n)/sqrt(squares) - 1));
    for(i=0; i<n; i++) length += (double)x[i]*x[i];
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
  float zero[20] = {0}, weight[6] = { 1, 2, 3, 4, 5, 6 }, x[6] = { 1, -2, 3, 4, 5, -6 }, rows[6], first[3], second[3];
  float length = normalize(zero, 20);
  ok(length==0 && zero[0]==0 && zero[19]==0, "normalize: a zero vector stays", "length %g, now starts with %g", length, zero[0]);
  rms_norm(rows, x, weight, 2, 3);
  rms_norm(first, x, weight, 1, 3);
  rms_norm(second, x+3, weight, 1, 3);
  ok(memcmp(rows, first, 12)==0 && memcmp(rows+3, second, 12)==0, "rms_norm: rows are independent", "they differ");
}

/* The largest at every place, alone, again behind, among NaN. */
static void test_largest(const char *code){
  struct property p = {0};
  char name[80];
  size_t s;
  int i;
  for(s=0; s<COUNT(odd); s++){
    int n = odd[s];
    float *x = malloc(sizeof(float)*n), *source = numbers(n, 3, 9);
    for(i=0; i<n; i++){
      memcpy(x, source, sizeof(float)*n);
      x[i] = 4;
      holds(&p, largest(x, n)==i, "place %d of %d", i, n);
      x[n-1] = 4;
      holds(&p, largest(x, n)==i, "place %d of %d, and the last", i, n);
      if( i>0 ) x[i-1] = NAN;
      holds(&p, largest(x, n)==i, "place %d of %d, behind NaN", i, n);
      x[i] = INFINITY;
      holds(&p, largest(x, n)==i, "place %d of %d, infinite", i, n);
    }
    for(i=0; i<n; i++) x[i] = NAN;
    holds(&p, largest(x, n)==0, "%d times NaN", n);
    for(i=0; i<n; i++) x[i] = -INFINITY;
    holds(&p, largest(x, n)==0, "%d times minus infinity", n);
    free(x);
    free(source);
  }
  holds(&p, largest(NULL, 0)==0, "none");
  snprintf(name, sizeof(name), "largest: %s finds the first of the largest numbers", code);
  property_ok(&p, name);
}

/* ---- exp and what needs it ---- */

static void test_silu(void){
  double worst = 0;
  size_t s;
  int i;
  for(s=0; s<COUNT(odd); s++){
    int h = odd[s], rows = 3;
    float *x = numbers((size_t)rows*2*h, 85, 11 + h), *y = malloc(sizeof(float)*rows*h);
    silu_gate(y, x, rows, h);
    for(i=0; i<rows*h; i++){
      const float *row = x + (size_t)(i/h)*2*h;
      double v = row[i%h], g = row[h + i%h], want = v*g/(1 + exp(-g));
      worst = fmax(worst, error_of(&y[i], &want, 1, 1e-37));
    }
    free(x);
    free(y);
  }
  error_ok("silu_gate: against double precision, gates -85 to 85", worst, 4e-7);
  float ends[8] = { 1, 1, 1, 1, 1000, -1000, 0, NAN }, y[4];
  silu_gate(y, ends, 1, 4);
  ok(y[0]==1000 && fabsf(y[1])<1e-30f && y[2]==0 && isnan(y[3]), "silu_gate: large gates, zero and NaN", "%g %g %g %g", y[0], y[1], y[2], y[3]);
}

static void test_silu_bias(void){
  double worst = 0;
  size_t s;
  int i;
  for(s=0; s<COUNT(odd); s++){
    int n = odd[s], rows = 3;
    float *x = numbers((size_t)rows*n, 40, 12 + n), *bias = numbers(n, 40, 13), *y = malloc(sizeof(float)*rows*n), *own = malloc(sizeof(float)*n);
    memcpy(y, x, sizeof(float)*rows*n);
    memcpy(own, bias, sizeof(float)*n);
    silu_bias(y, own, rows, n);
    for(i=0; i<rows*n; i++){
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

/* softmax([x, 0]) and log_softmax([x, 0]) over a fine grid: exp() itself, as seen from outside. */
static void test_exp(void){
  double worst = 0;
  int i;
  for(i=0; i<=400000; i++){
    float x = -87.0f*(float)i/400000, y[2] = { x, 0 };
    double want = exp(x)/(1 + exp(x));
    softmax(y, 2);
    worst = fmax(worst, error_of(y, &want, 1, 0));
  }
  error_ok("softmax: exp over 400,000 steps from -87 to 0", worst, 4e-7);
}

static void test_softmax(void){
  static const int sizes[] = { 1, 7, 8, 9, 63, 64, 65, 320, 8191, 8192 };
  double soft_error = 0, log_error = 0;
  size_t s;
  int i;
  for(s=0; s<COUNT(sizes); s++){
    int n = sizes[s];
    float *x = malloc(sizeof(float)*n), *y = malloc(sizeof(float)*n), *source = numbers(n, 12, n);
    double *want = malloc(sizeof(double)*n), sum = 0, most = -INFINITY;
    memcpy(x, source, sizeof(float)*n);
    memcpy(y, source, sizeof(float)*n);
    for(i=0; i<n; i++) most = fmax(most, x[i]);
    for(i=0; i<n; i++) sum += exp(x[i] - most);
    for(i=0; i<n; i++) want[i] = exp(x[i] - most)/sum;
    softmax(x, n);
    soft_error = fmax(soft_error, error_of(x, want, n, 0));
    for(i=0; i<n; i++) want[i] = source[i] - most - log(sum);
    log_softmax(y, n);
    log_error = fmax(log_error, error_of(y, want, n, 1));
    free(x);
    free(y);
    free(source);
    free(want);
  }
  error_ok("softmax: against double precision", soft_error, 2e-6);      /* x - max itself is rounded */
  error_ok("log_softmax: against double precision", log_error, 1e-6);
}

static void test_softmax_ends(void){
  float x[3] = { -INFINITY, 1000, 1000 }, y[3] = { -INFINITY, 1000, 1000 }, z[2] = { NAN, 0 };
  softmax(x, 3);
  log_softmax(y, 3);
  softmax(z, 2);
  ok(x[0]==0 && x[1]==0.5f && x[2]==0.5f && isnan(z[0]), "softmax: minus infinity is 0, large numbers do not overflow, NaN shows",
     "%g %g %g, NaN %g", x[0], x[1], x[2], z[0]);
  ok(y[0]==-INFINITY && fabsf(y[1] + 0.69314718f)<1e-4f, "log_softmax: minus infinity stays, large numbers do not overflow",
     "%g %g", y[0], y[1]);
  softmax(x, 0);
  log_softmax(x, 0);
}

/* ---- Rotary positions and attention ---- */

static void test_rotary(void){
  enum { POSITIONS = 140 };
  float *table = malloc(sizeof(float)*64*POSITIONS), *source = numbers(4*100, 1, 3), *x = malloc(sizeof(float)*(3*100 + 64));
  double table_error = 0, turn_error = 0;
  struct property gaps = {0};
  int p, i, h;
  rotary_table(table, POSITIONS);
  for(p=0; p<POSITIONS; p++) for(i=0; i<32; i++){
    double angle = p*pow(10000, -i/32.0);
    table_error = fmax(table_error, fmax(fabs(table[p*64+i] - cos(angle)), fabs(table[p*64+32+i] - sin(angle))));
  }
  error_ok("rotary_table: cosines and sines", table_error, 6e-8);
  memcpy(x, source, sizeof(float)*(3*100 + 64));
  rotary(x, table + 137*64, 4, 100);
  for(h=0; h<4; h++){
    const float *a = source + h*100;
    for(i=0; i<32; i++){
      double angle = 137*pow(10000, -i/32.0), want[2];
      want[0] = a[i]*cos(angle) - a[i+32]*sin(angle);
      want[1] = a[i]*sin(angle) + a[i+32]*cos(angle);
      turn_error = fmax(turn_error, fmax(fabs(x[h*100+i] - want[0]), fabs(x[h*100+32+i] - want[1])));
    }
    if( h<3 ) holds(&gaps, memcmp(x + h*100 + 64, a + 64, 36*sizeof(float))==0, "after head %d", h);
  }
  error_ok("rotary: turns the pairs (i, i+32) of every head", turn_error, 3e-7);
  property_ok(&gaps, "rotary: leaves what lies between the heads");
  free(table);
  free(source);
  free(x);
}

static void test_attend(void){
  static const int strides[] = { 64, 128, 512 };
  double worst = 0;
  size_t s, t;
  int i, j;
  for(s=0; s<COUNT(odd); s++) for(t=0; t<COUNT(strides); t++){
    int n = odd[s], stride = strides[t];
    size_t size = (size_t)(n-1)*stride + 64;
    float *k = numbers(size, 2, 21), *v = numbers(size, 1, 22), *q = numbers(64, 2, 23), out[64], *scores = malloc(sizeof(float)*ATTEND_SCORES(n));
    double p[65], want[64] = {0}, sum = 0;
    for(j=0; j<n; j++){
      double dots = 0;
      for(i=0; i<64; i++) dots += (double)q[i]*k[(size_t)j*stride+i];
      sum += p[j] = exp(dots/8);
    }
    for(j=0; j<n; j++) for(i=0; i<64; i++) want[i] += p[j]/sum*v[(size_t)j*stride+i];
    attend(out, q, k, v, n, stride, scores);
    worst = fmax(worst, error_of(out, want, 64, 1));
    free(k);
    free(v);
    free(q);
    free(scores);
  }
  error_ok("attend: against double precision", worst, 2e-6);
}

/* ---- Arcs ---- */

static void test_slerp(void){
  double worst = 0, length_error = 0, speed_error = 0;
  float *a = numbers(128, 1, 31), *b = numbers(128, 1, 32), y[128], z[128], minus[128];
  double want[128], dots = 0;
  int i, step;
  normalize(a, 128);
  normalize(b, 128);
  for(i=0; i<128; i++) dots += (double)a[i]*b[i];
  for(step=0; step<=10; step++){
    float t = (float)step/10;
    double angle = acos(dots);
    for(i=0; i<128; i++) want[i] = sin((1-t)*angle)/sin(angle)*a[i] + sin(t*angle)/sin(angle)*b[i];
    slerp(y, a, b, t, 128);
    worst = fmax(worst, error_of(y, want, 128, 1));
  }
  error_ok("slerp: against double precision", worst, 2e-7);
  slerp(y, a, b, 0, 128);
  slerp(z, a, b, 1, 128);
  ok(memcmp(y, a, sizeof(y))==0 && memcmp(z, b, sizeof(z))==0, "slerp: t = 0 and 1 give the ends bit by bit", "they differ");
  slerp(y, a, a, 0.3f, 128);
  for(i=0; i<128; i++) want[i] = a[i];
  error_ok("slerp: between equal vectors, the vector", error_of(y, want, 128, 1), 1e-7);
  for(i=0; i<128; i++) minus[i] = -a[i];
  for(step=0; step<=8; step++){         /* opposite: half a turn at even speed */
    slerp(y, a, minus, (float)step/8, 128);
    length_error = fmax(length_error, fabs(sqrt(dot(y, y, 128)) - 1));
    speed_error = fmax(speed_error, fabs(dot(y, a, 128) - cos(step*3.14159265358979/8)));
  }
  error_ok("slerp: between opposite vectors, unit length", length_error, 1e-6);
  error_ok("slerp: between opposite vectors, even speed", speed_error, 1e-6);
  memcpy(y, a, sizeof(y));
  slerp(y, y, b, 0.25f, 128);
  slerp(z, a, b, 0.25f, 128);
  ok(memcmp(y, z, sizeof(y))==0, "slerp: in place", "it differs");
  free(a);
  free(b);
}

/* ---- The same bits everywhere ---- */

/* Hashes of results that no libm touches. They must not depend on compiler, CPU, vector unit or sanitizer; they change only when an
** algorithm is changed on purpose. (OpenBLAS is excused from linear.) */
static void bits_of(const char *code){
  enum { N = 1000 };
  static float x[2*N], y[2*N], k[64*70], out[4][64], scores[ATTEND_SCORES(60)], scratch[LINEAR_SCRATCH(N)] __attribute__((aligned(64)));
  struct random r = random_of(2024);
  struct matrix w = { N, 1, NULL, x };
  struct { const char *name; uint64_t want, got; } rows[] = {
    { "dot", 0x7c4459fae1b11e14, 0 }, { "rms_norm", 0x2418453ad7527e06, 0 }, { "silu_gate", 0x86548f2a8e7d245c, 0 },
    { "softmax", 0xebc599e8c037312c, 0 }, { "attend", 0x6453b1d8c0abc82f, 0 }, { "linear", 0x65ef559fe27dda7f, 0 },
    { "silu_bias", 0x2b8d96f53107403a, 0 }, { "add_bias", 0x4f3ae68b41893358, 0 },
  };
  struct property same = {0};
  char name[80];
  float sum;
  size_t i;
  for(i=0; i<2*N; i++) x[i] = 20*random_uniform(&r) - 10;
  for(i=0; i<COUNT(k); i++) k[i] = 2*random_uniform(&r) - 1;
  sum = dot(x, x+N, N);
  rows[0].got = hash64(&sum, sizeof(sum));
  rms_norm(y, x, x+1, 3, N/4);
  rows[1].got = hash64(y, sizeof(float)*3*(N/4));
  silu_gate(y, x, 1, N);
  rows[2].got = hash64(y, sizeof(float)*N);
  memcpy(y, x, sizeof(float)*N);
  softmax(y, N);
  rows[3].got = hash64(y, sizeof(float)*N);
  for(i=0; i<4; i++) attend(out[i], x + 16*i, k, k + 32, 60, 64, scores);
  rows[4].got = hash64(out, sizeof(out));
  linear(y, x+1, &w, 1, scratch);
  rows[5].got = hash64(y, sizeof(float));
  memcpy(y, x, sizeof(float)*N);
  silu_bias(y, x+N, 8, N/8);
  rows[6].got = hash64(y, sizeof(float)*N);
  memcpy(y, x, sizeof(float)*N);
  add_bias(y, x+N, 8, N/8);
  rows[7].got = hash64(y, sizeof(float)*N);
  for(i=0; i<COUNT(rows); i++){
    if( strcmp(rows[i].name, "linear")==0 && strcmp(code, "openblas")==0 ) continue;
    holds(&same, rows[i].got==rows[i].want, "%s 0x%016llx", rows[i].name, (unsigned long long)rows[i].got);
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
  for(size_t c=0; c<COUNT(codes); c++){
    if( linear_choose(codes[c]) ) test_largest(codes[c]);
  }
  linear_choose(NULL);
  test_silu();
  test_silu_bias();
  test_exp();
  test_softmax();
  test_softmax_ends();
  test_rotary();
  test_attend();
  test_slerp();
  return n_not_ok>0;
}
