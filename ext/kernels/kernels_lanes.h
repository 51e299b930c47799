/*
** kernels_lanes.h -- sums, norms, gates, softmax, rotary positions and attention, written once for
** every vector unit. Included by kernels_vectors.c (4 floats: what every x86-64 and arm64 has),
** kernels_avx2.c (8) and kernels_avx512.c (16), which define
**
**   TARGET    the function attribute that allows the instructions, or nothing
**   WIDTH     floats in a vector: 4, 8 or 16
**   LANES     the name of the table of functions made here
**   vec_bytes loads WIDTH int8_t as floats; may be left out
**   vec_half  loads WIDTH binary16 numbers as floats; may be left out
**   vec_larger  a>b ? a : b for each of two vectors; may be left out
**   vec_put_bytes  stores WIDTH int32_t of 0 to 255 as bytes; may be left out
**
** Sums go into 16 lanes, in 16/WIDTH vectors, so that the order of all additions is the same for
** every WIDTH. Only + - * / sqrt are used, which IEEE 754 rounds exactly once everywhere, and no
** fused multiply-add (compile with -ffp-contract=off). So the results have the same bits on all
** machines. One function of libm is used, log() in double precision. C libraries may differ in the
** last bit of that double. Rounded to float, that shows once in about 2^29 calls; their logf()
** differ far more often.
**
** Measured (AMD EPYC Zen 5, one core, gcc 12 -O2), ns a call:
**                                4 floats     8    16
**     silu_gate of 704 numbers        738   328   199
**     log_softmax of 8,192           9322  4331  3492
**     attend over 24 keys             276   186   132
**     rms_norm of 256                  49    32    30
** One type of 16 floats for all, which the compiler cuts up (vector_size(64) with target_clones),
** was 3 times slower than this with AVX2 under gcc.
*/
#include <math.h>
#include <string.h>

#if defined(__clang__)
# define EACH_PART _Pragma("clang loop unroll(full)") for(int part=0; part<PARTS; part++)
#else
# define EACH_PART _Pragma("GCC unroll 4") for(int part=0; part<PARTS; part++)
#endif
#define PARTS (16/WIDTH)
#define LANE static inline TARGET __attribute__((always_inline))

typedef float floats __attribute__((vector_size(4*WIDTH), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4*WIDTH), aligned(4), may_alias));
typedef uint32_t bits __attribute__((vector_size(4*WIDTH), aligned(4), may_alias));
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
struct lanes { floats part[PARTS]; };   /* lane i is part[i/WIDTH][i%WIDTH] */

LANE floats load(const float *x){
  return *(const floats *)x;
}

LANE void store(float *y, floats v){
  *(floats *)y = v;
}

/* Each byte as a number: exact. gcc makes 60 instructions of the plain code for 16 bytes. The CPU
** needs two, and vec_bytes() are those. */
LANE floats load_bytes(const int8_t *x){
#ifdef vec_bytes
  return (floats)vec_bytes(x);
#else
  typedef int8_t bytes __attribute__((vector_size(WIDTH), aligned(1), may_alias));
  return __builtin_convertvector(__builtin_convertvector(*(const bytes *)x, ints), floats);
#endif
}

LANE quad load_quad(const float *x){
  return *(const quad *)x;
}

/* yes ? a : b; a comparison of vectors gives -1 for yes and 0 for no. */
LANE floats choose(ints yes, floats a, floats b){
  return (floats)((yes & (ints)a) | (~yes & (ints)b));
}

/* a>b ? a : b. gcc makes two instructions of the plain code, of which one is slow. */
LANE floats larger_of(floats a, floats b){
#ifdef vec_larger
  return vec_larger(a, b);
#else
  return choose(a > b, a, b);
#endif
}

/* |x| */
LANE floats size_of(floats x){
  return (floats)((ints)x & 0x7fffffff);
}

/* The last n < 16 numbers of a row, with `rest` behind them: to[16]. */
LANE void copy_rest(float *to, const float *x, int n, float rest){
  for(int i=0; i<16; i++) to[i] = rest;
  for(int i=0; i<n; i++) to[i] = x[i];
}

LANE void copy_rest_bytes(int8_t *to, const int8_t *x, int n){
  for(int i=0; i<16; i++) to[i] = 0;
  for(int i=0; i<n; i++) to[i] = x[i];
}

/* ---- One number from 16 lanes ---- */

/* (0+8)+(4+12), (1+9)+(5+13), (2+10)+(6+14), (3+11)+(7+15) */
LANE quad quarter_sums(const float *lane){
  return (load_quad(lane) + load_quad(lane+8)) + (load_quad(lane+4) + load_quad(lane+12));
}

LANE float lanes_sum(const struct lanes *v){
  quad sums = quarter_sums((const float *)v);
  return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

LANE float larger(float a, float b){
  return a>b ? a : b;
}

LANE float lanes_max(const struct lanes *v){
  const float *p = (const float *)v;
  float m[4];
  for(int i=0; i<4; i++) m[i] = larger(larger(p[i], p[i+4]), larger(p[i+8], p[i+12]));
  return larger(larger(m[0], m[1]), larger(m[2], m[3]));
}

/* Four of eight numbers: 0..3 are those of a, 4..7 those of b. */
#if defined(__clang__)
# define pick(a, b, i, j, k, l)  __builtin_shufflevector(a, b, i, j, k, l)
#else
# define pick(a, b, i, j, k, l) \
    __builtin_shuffle(a, b, (__attribute__((vector_size(16))) int){ i, j, k, l })
#endif

/* lanes_sum() of each, four at a time, in the same order. */
LANE quad four_sums(const struct lanes products[4]){
  quad a = quarter_sums((const float *)&products[0]);
  quad b = quarter_sums((const float *)&products[1]);
  quad c = quarter_sums((const float *)&products[2]);
  quad d = quarter_sums((const float *)&products[3]);
  quad left = pick(a, b, 0, 1, 4, 5) + pick(a, b, 2, 3, 6, 7);
  quad right = pick(c, d, 0, 1, 4, 5) + pick(c, d, 2, 3, 6, 7);
  return pick(left, right, 0, 2, 4, 6) + pick(left, right, 1, 3, 5, 7);
}

/* ---- Sums, norms ---- */

LANE void add_products(struct lanes *sum, const float *x, const float *y){
  EACH_PART sum->part[part] += load(x + part*WIDTH)*load(y + part*WIDTH);
}

LANE float dot_inline(const float *x, const float *y, int n){
  struct lanes sum = { 0 };
  float a[16], b[16];
  int i;
  for(i=0; i+16<=n; i+=16) add_products(&sum, x+i, y+i);
  if( i<n ){
    copy_rest(a, x+i, n-i, 0.0f);
    copy_rest(b, y+i, n-i, 0.0f);
    add_products(&sum, a, b);
  }
  return lanes_sum(&sum);
}

static TARGET float lanes_dot(const float *x, const float *y, int n){
  return dot_inline(x, y, n);
}

/* Four rows side by side: 16 numbers of x are loaded once for the four, and their sums are made in
** one. */
static TARGET void lanes_dots(float *y, const float *x, const float *rows, int n, int d){
  int i, k;
  for(i=0; i+4<=n; i+=4, rows+=4*(size_t)d){
    struct lanes sums[4] = { 0 };
    for(k=0; k+16<=d; k+=16){
      add_products(&sums[0], rows + k, x+k);
      add_products(&sums[1], rows + d + k, x+k);
      add_products(&sums[2], rows + 2*(size_t)d + k, x+k);
      add_products(&sums[3], rows + 3*(size_t)d + k, x+k);
    }
    if( k<d ){
      float a[16], b[16];
      copy_rest(b, x+k, d-k, 0.0f);
      for(int j=0; j<4; j++){
        copy_rest(a, rows + (size_t)j*d + k, d-k, 0.0f);
        add_products(&sums[j], a, b);
      }
    }
    *(quad *)(y+i) = four_sums(sums);
  }
  for(; i<n; i++, rows+=d) y[i] = dot_inline(rows, x, d);
}

LANE void add_byte_products(struct lanes *sum, const float *x, const int8_t *y){
  EACH_PART sum->part[part] += load(x + part*WIDTH)*load_bytes(y + part*WIDTH);
}

static TARGET float lanes_dot_bytes(const float *x, const int8_t *y, int n){
  struct lanes sum = { 0 };
  int i;
  for(i=0; i+16<=n; i+=16) add_byte_products(&sum, x+i, y+i);
  if( i<n ){
    float a[16];
    int8_t b[16];
    copy_rest(a, x+i, n-i, 0.0f);
    copy_rest_bytes(b, y+i, n-i);
    add_byte_products(&sum, a, b);
  }
  return lanes_sum(&sum);
}

/* Finite ones. The exponents of the two formats are 112 apart. */
LANE floats load_halves(const uint16_t *x){
#ifdef vec_half
  return (floats)vec_half(x);
#else
  typedef uint16_t halves __attribute__((vector_size(2*WIDTH), aligned(2), may_alias));
  bits half = __builtin_convertvector(*(const halves *)x, bits);
  bits size = half & 0x7fff;
  bits normal = (size<<13) + (112u<<23);
  bits subnormal = (bits)(__builtin_convertvector((ints)size, floats)*0x1p-24f);
  bits is_normal = (bits)((ints)size>=0x400);
  return (floats)((normal & is_normal) | (subnormal & ~is_normal) | (half & 0x8000)<<16);
#endif
}

static TARGET void lanes_widen(float *y, const uint16_t *x, int n){
  uint16_t rest[WIDTH] = { 0 };
  float last[WIDTH];
  int i;
  for(i=0; i+WIDTH<=n; i+=WIDTH) store(y+i, load_halves(x+i));
  if( i==n ) return;
  memcpy(rest, x+i, sizeof(*rest)*(size_t)(n-i));
  store(last, load_halves(rest));
  memcpy(y+i, last, sizeof(*last)*(size_t)(n-i));
}

static TARGET void lanes_add(float *y, const float *x, int n){
  int i;
  for(i=0; i+WIDTH<=n; i+=WIDTH) store(y+i, load(y+i) + load(x+i));
  for(; i<n; i++) y[i] += x[i];
}

static TARGET void lanes_add_bias(float *y, const float *bias, int rows, int n){
  for(int row=0; row<rows; row++, y+=n){
    int i;
    for(i=0; i+WIDTH<=n; i+=WIDTH) store(y+i, load(y+i) + load(bias+i));
    for(; i<n; i++) y[i] += bias[i];
  }
}

static TARGET float lanes_normalize(float *x, int n){
  float length = sqrtf(dot_inline(x, x, n));
  int i;
  if( !(length>0.0f) ) return length;
  for(i=0; i+WIDTH<=n; i+=WIDTH) store(x+i, load(x+i)/length);
  for(; i<n; i++) x[i] /= length;
  return length;
}

/* Zhang and Sennrich, Root Mean Square Layer Normalization, 2019. */
static TARGET void lanes_rms_norm(float *y, const float *x, const float *weight, int rows, int d,
                                  float epsilon){
  for(int row=0; row<rows; row++, x+=d, y+=d){
    float scale = 1.0f/sqrtf(dot_inline(x, x, d)/(float)d + epsilon);
    int i;
    for(i=0; i+WIDTH<=d; i+=WIDTH) store(y+i, load(x+i)*scale*load(weight+i));
    for(; i<d; i++) y[i] = x[i]*scale*weight[i];
  }
}

LANE void add_numbers(struct lanes *sum, const float *x){
  EACH_PART sum->part[part] += load(x + part*WIDTH);
}

LANE float sum_inline(const float *x, int n){
  struct lanes sum = { 0 };
  float rest[16];
  int i;
  for(i=0; i+16<=n; i+=16) add_numbers(&sum, x+i);
  if( i<n ){
    copy_rest(rest, x+i, n-i, 0.0f);
    add_numbers(&sum, rest);
  }
  return lanes_sum(&sum);
}

LANE void add_squares(struct lanes *sum, const float *x, float shift){
  EACH_PART{
    floats apart = load(x + part*WIDTH) - shift;
    sum->part[part] += apart*apart;
  }
}

/* sum of (x - shift)^2 */
LANE float square_sum(const float *x, float shift, int n){
  struct lanes sum = { 0 };
  float rest[16];
  int i;
  for(i=0; i+16<=n; i+=16) add_squares(&sum, x+i, shift);
  if( i<n ){
    copy_rest(rest, x+i, n-i, shift);                   /* shift - shift = 0 adds nothing */
    add_squares(&sum, rest, shift);
  }
  return lanes_sum(&sum);
}

/* Ba, Kiros and Hinton, Layer Normalization, 2016. */
static TARGET void lanes_layer_norm(float *y, const float *x, const float *weight,
                                    const float *bias, int rows, int d, float epsilon){
  for(int row=0; row<rows; row++, x+=d, y+=d){
    float mean = sum_inline(x, d)/(float)d;
    float scale = 1.0f/sqrtf(square_sum(x, mean, d)/(float)d + epsilon);
    int i;
    for(i=0; i+WIDTH<=d; i+=WIDTH){
      store(y+i, (load(x+i) - mean)*scale*load(weight+i) + load(bias+i));
    }
    for(; i<d; i++) y[i] = (x[i] - mean)*scale*weight[i] + bias[i];
  }
}

/* ---- Rotary positions (Su et al., RoFormer, 2021): the pair (i, i+32) of a head is turned ---- */

static TARGET void lanes_rotary(float *x, const float *cos_sin, int heads, int stride){
  for(int head=0; head<heads; head++, x+=stride){
    for(int i=0; i<32; i+=WIDTH){
      floats a = load(x+i);
      floats b = load(x+32+i);
      floats cosine = load(cos_sin+i);
      floats sine = load(cos_sin+32+i);
      store(x+i, a*cosine - b*sine);
      store(x+32+i, a*sine + b*cosine);
    }
  }
}

/* ---- exp and what needs it ---- */

/* exp(x): x = n ln 2 + r with |r| <= ln 2 / 2, then 2^n * p(r), where p is the Taylor polynomial
** of degree 7 (remainder below 2^-26 there). The relative error is below 2e-7. Below -87.3, where
** the result would be subnormal, it is exactly 0. Above 88.3 it is the value at 88.3, so that 1 +
** exp stays finite. NaN stays NaN. n ln 2 is subtracted in two parts: 355/512 has so few bits that
** the first product is exact (Cody and Waite). */
LANE floats exp_floats(floats x){
  const float round = 12582912.0f;      /* 1.5 * 2^23: a sum's low bits are the nearest integer */
  const floats zero = { 0 };
  const floats most = zero + 88.3f;
  ints tiny = x < zero - 87.3f;
  floats t, n, r, p, scale;
  x = choose(x > most, most, x);
  t = x*1.44269504f + round;
  n = t - round;
  r = x - n*0.693359375f;
  r = r + n*2.12194440e-4f;
  p = r*(1.0f/5040) + 1.0f/720;
  p = p*r + 1.0f/120;
  p = p*r + 1.0f/24;
  p = p*r + 1.0f/6;
  p = p*r + 0.5f;
  p = p*(r*r) + r;
  p = p + 1.0f;
  scale = (floats)(((bits)t + 127u) << 23);     /* 2^n: exponent bits; those of `round` drop out */
  return choose(tiny, zero, p*scale);
}

/* v * silu(g) = v * g / (1 + exp(-g)): Shazeer, GLU Variants Improve Transformer, 2020. */
LANE floats gated(floats value, floats gate){
  return value*gate/(exp_floats(-gate) + 1.0f);
}

static TARGET void lanes_silu_gate(float *y, const float *value_gate, int rows, int h){
  float value[16], gate[16];
  for(int row=0; row<rows; row++, y+=h, value_gate+=2*(size_t)h){
    int i;
    for(i=0; i+WIDTH<=h; i+=WIDTH){
      store(y+i, gated(load(value_gate+i), load(value_gate+h+i)));
    }
    if( i<h ){
      copy_rest(value, value_gate+i, h-i, 0.0f);
      copy_rest(gate, value_gate+h+i, h-i, 0.0f);
      store(value, gated(load(value), load(gate)));
      memcpy(y+i, value, sizeof(float)*(size_t)(h-i));
    }
  }
}

LANE floats silu(floats x){
  return x/(exp_floats(-x) + 1.0f);
}

static TARGET void lanes_silu_bias(float *y, const float *bias, int rows, int n){
  float some[16], theirs[16];
  for(int row=0; row<rows; row++, y+=n){
    int i;
    for(i=0; i+WIDTH<=n; i+=WIDTH) store(y+i, silu(load(y+i) + load(bias+i)));
    if( i<n ){
      copy_rest(some, y+i, n-i, 0.0f);
      copy_rest(theirs, bias+i, n-i, 0.0f);
      store(some, silu(load(some) + load(theirs)));
      memcpy(y+i, some, sizeof(float)*(size_t)(n-i));
    }
  }
}

/* x * (1 + erf(x/sqrt(2)))/2: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016. The error
** function is that of Abramowitz and Stegun, 7.1.26, which is off by less than 1.5e-7:
** 1 - erf(u) = (a1 t + ... + a5 t^5) exp(-u^2), t = 1/(1 + 0.3275911 u), for u >= 0. */
LANE floats gelu(floats x){
  const floats zero = { 0 };
  ints negative = x < zero;
  floats u = size_of(x)*0.70710678f;
  floats t = 1.0f/(u*0.3275911f + 1.0f);
  floats p = t*1.061405429f - 1.453152027f;
  p = p*t + 1.421413741f;
  p = p*t - 0.284496736f;
  p = p*t + 0.254829592f;
  p = p*t*exp_floats(-(u*u))*0.5f;              /* the share of a normal number beyond |x| */
  return x*choose(negative, p, 1.0f - p);
}

static TARGET void lanes_gelu_bias(float *y, const float *bias, int rows, int n){
  float some[16], theirs[16];
  for(int row=0; row<rows; row++, y+=n){
    int i;
    for(i=0; i+WIDTH<=n; i+=WIDTH) store(y+i, gelu(load(y+i) + load(bias+i)));
    if( i<n ){
      copy_rest(some, y+i, n-i, 0.0f);
      copy_rest(theirs, bias+i, n-i, 0.0f);
      store(some, gelu(load(some) + load(theirs)));
      memcpy(y+i, some, sizeof(float)*(size_t)(n-i));
    }
  }
}

/* sizes: of |x|. */
LANE void max_with(struct lanes *most, const float *x, const int sizes){
  EACH_PART{
    floats v = load(x + part*WIDTH);
    if( sizes ) v = size_of(v);
    most->part[part] = larger_of(v, most->part[part]);
  }
}

/* The largest of n numbers, or of their sizes; `least` when all are NaN or there are none. */
LANE float max_inline(const float *x, int n, float least, const int sizes){
  struct lanes most;
  float rest[16];
  int i;
  EACH_PART most.part[part] = (floats){ 0 } + least;
  for(i=0; i+16<=n; i+=16) max_with(&most, x+i, sizes);
  if( i<n ){
    copy_rest(rest, x+i, n-i, least);
    max_with(&most, rest, sizes);
  }
  return lanes_max(&most);
}

LANE float max_of(const float *x, int n){
  return max_inline(x, n, -INFINITY, 0);
}

LANE float size_max(const float *x, int n){
  return max_inline(x, n, 0.0f, 1);
}

/* gcc makes 30 instructions of the plain code for 8 numbers. */
LANE void store_bytes(uint8_t *u, ints n){
#ifdef vec_put_bytes
  vec_put_bytes(u, n);
#else
  typedef uint8_t small_bytes __attribute__((vector_size(WIDTH), aligned(1), may_alias));
  *(small_bytes *)u = __builtin_convertvector(n, small_bytes);
#endif
}

/* BYTE_OFFSET + x*up: the nearest whole numbers, ties to even. A sum with 1.5*2^23 has no bits for
** fractions, and the whole number in its lowest ones. */
LANE void to_bytes(uint8_t *u, const float *x, float up){
  store_bytes(u, (ints)(load(x)*up + (12582912.0f + BYTE_OFFSET)) & 255);
}

static TARGET float lanes_quantize(uint8_t *u, const float *x, int n){
  float most = size_max(x, n);
  float up = bytes_up(most, BYTE_MOST);
  float rest[16];
  uint8_t u_rest[16];
  int i;
  for(i=0; i+WIDTH<=n; i+=WIDTH) to_bytes(u+i, x+i, up);
  if( i<n ){
    copy_rest(rest, x+i, n-i, 0.0f);
    to_bytes(u_rest, rest, up);
    memcpy(u+i, u_rest, (size_t)(n - i));
  }
  return most/BYTE_MOST;
}

/* The whole numbers of a group, q[GROUP], and what they stand for. Sizes are compared as whole
** numbers, which puts NaN above infinities: both make the scale what is no number. */
LANE void quantize_group(int8_t *q, struct row_group *of, const float *x){
  ints most = { 0 };
  ints sums = { 0 };
  int32_t size = 0;
  float up;
  for(int i=0; i<GROUP; i+=WIDTH){
    ints sizes = (ints)load(x+i) & 0x7fffffff;
    most = (ints)choose(sizes > most, (floats)sizes, (floats)most);
  }
  for(int i=0; i<WIDTH; i++) size = most[i]>size ? most[i] : size;
  memcpy(&of->scale, &size, sizeof(size));
  up = bytes_up(of->scale, BYTE_MOST);
  of->scale /= BYTE_MOST;
  *of = (struct row_group){ .scale = of->scale };
  memset(q, 0, GROUP);
  if( up==0.0f ) return;
  for(int i=0; i<GROUP; i+=WIDTH){
    ints n = (ints)(load(x+i)*up + 12582912.0f) - 0x4b400000;   /* less the bits of 1.5*2^23 */
    sums += n;
    store_bytes((uint8_t *)q + i, n & 255);
  }
  for(int i=0; i<WIDTH; i++) of->sum += sums[i];
  of->shift = of->scale*(float)of->sum;
}

static TARGET void lanes_quantize_groups(int8_t *q, struct row_group *of, const float *x, int n){
  float rest[GROUP] = { 0 };
  int i;
  for(i=0; i+GROUP<=n; i+=GROUP) quantize_group(q+i, of++, x+i);
  if( i==n ) return;
  memcpy(rest, x+i, sizeof(float)*(size_t)(n-i));
  quantize_group(q+i, of, rest);
}

/* Finds the largest number first, then where it stands. The second pass ends early, and neither
** has to keep places beside numbers. */
static TARGET int lanes_largest(const float *x, int n){
  float most = n>0 ? max_of(x, n) : 0.0f;
  int i;
  for(i=0; i+WIDTH<=n; i+=WIDTH){
    ints same = load(x+i) == most;
    int any = 0;
    for(int j=0; j<WIDTH; j++) any |= same[j];
    if( any ) break;
  }
  for(; i<n; i++){
    if( x[i]==most ) return i;
  }
  return 0;
}

/* y[16] = exp(x[16] - shift), also added to sum. y may be NULL. */
LANE void add_exp(struct lanes *sum, float *y, const float *x, float shift){
  EACH_PART{
    floats e = exp_floats(load(x + part*WIDTH) - shift);
    if( y ) store(y + part*WIDTH, e);
    sum->part[part] += e;
  }
}

/* y[n] = exp(x[n] - shift); returns their sum. y may be x, or NULL. */
LANE float exp_sum(float *y, const float *x, int n, float shift){
  struct lanes sum = { 0 };
  float rest[16];
  int i;
  for(i=0; i+16<=n; i+=16) add_exp(&sum, y ? y+i : NULL, x+i, shift);
  if( i<n ){
    copy_rest(rest, x+i, n-i, -INFINITY);               /* exp(-inf) = 0 adds nothing */
    add_exp(&sum, rest, rest, shift);
    if( y ) memcpy(y+i, rest, sizeof(float)*(size_t)(n-i));
  }
  return lanes_sum(&sum);
}

LANE void softmax_inline(float *x, int n){
  float scale = 1.0f/exp_sum(x, x, n, max_of(x, n));
  int i;
  for(i=0; i+WIDTH<=n; i+=WIDTH) store(x+i, load(x+i)*scale);
  for(; i<n; i++) x[i] *= scale;
}

static TARGET void lanes_softmax(float *x, int n){
  if( n>0 ) softmax_inline(x, n);
}

static TARGET void lanes_log_softmax(float *x, int n){
  float shift;
  int i;
  if( n<=0 ) return;
  shift = max_of(x, n);
  shift = (float)(shift + log(exp_sum(NULL, x, n, shift)));
  for(i=0; i+WIDTH<=n; i+=WIDTH) store(x+i, load(x+i) - shift);
  for(; i<n; i++) x[i] -= shift;
}

/* ---- Attention of one query head (Vaswani et al., 2017) ---- */

/* scores[j] = q . k_j / 8 for n keys; -infinity behind them, up to a multiple of 16. */
LANE void attend_scores(float *scores, const float *q, const float *k, int n, int stride){
  struct lanes products[4] = { 0 };
  int j;
  for(j=0; j<n; j++, k+=stride){
    struct lanes *sum = &products[j%4];
    EACH_PART sum->part[part] = load(q + part*WIDTH)*load(k + part*WIDTH);
    add_products(sum, q+16, k+16);
    add_products(sum, q+32, k+32);
    add_products(sum, q+48, k+48);
    if( j%4==3 || j==n-1 ) *(quad *)(scores + j/4*4) = four_sums(products)*0.125f;
  }
  for(; j%16; j++) scores[j] = -INFINITY;
}

/* Sums run over the keys in order, number by number. */
static TARGET void lanes_attend(float *out, const float *q, const float *k, const float *v, int n,
                                int stride, float *scores){
  struct lanes sums[4] = { 0 };
  attend_scores(scores, q, k, n, stride);
  softmax_inline(scores, (n+15)/16*16);
  for(int j=0; j<n; j++, v+=stride){
    float p = scores[j];
    EACH_PART{
      sums[0].part[part] += p*load(v + part*WIDTH);
      sums[1].part[part] += p*load(v + 16 + part*WIDTH);
      sums[2].part[part] += p*load(v + 32 + part*WIDTH);
      sums[3].part[part] += p*load(v + 48 + part*WIDTH);
    }
  }
  memcpy(out, sums, sizeof(sums));
}

const struct lanes_table LANES = {
  .dot = lanes_dot,
  .dot_bytes = lanes_dot_bytes,
  .dots = lanes_dots,
  .widen = lanes_widen,
  .add = lanes_add,
  .add_bias = lanes_add_bias,
  .largest = lanes_largest,
  .normalize = lanes_normalize,
  .quantize = lanes_quantize,
  .quantize_groups = lanes_quantize_groups,
  .rms_norm = lanes_rms_norm,
  .layer_norm = lanes_layer_norm,
  .silu_gate = lanes_silu_gate,
  .silu_bias = lanes_silu_bias,
  .gelu_bias = lanes_gelu_bias,
  .softmax = lanes_softmax,
  .log_softmax = lanes_log_softmax,
  .rotary = lanes_rotary,
  .attend = lanes_attend,
};
