/*
** kernels.c -- the numeric loops that are not matrix products: norms, rotary positions, gates, softmax, attention, arcs.
**
** Everything works on `lanes`: 16 floats that the compiler maps onto what the machine has (one AVX-512 register, two of
** AVX2, four of SSE2 or NEON). The order of every addition is written down in lanes, so all of them give the same bits:
** only + - * / sqrt are used, which IEEE 754 rounds exactly once everywhere, and no fused multiply-add: this file must be compiled
** with -ffp-contract=off.
**
** Of libm, only double-precision sin, cos, pow, atan2 and log are called, and their results rounded to float: C libraries differ in
** the last bit of such a double at most, which survives the rounding once in about 2^29 calls. The float functions of libm
** differ far more often.
*/
#include "kernels.h"
#include <math.h>
#include <string.h>

/* One copy of a function per kind of vector unit, chosen when the library is loaded. All copies give the same bits. Needs the
** dynamic loader's ifunc (glibc), resolvers run too early for the sanitizers, and clang will not inline across the copies. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) \
    && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
# define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
# define CLONES
#endif
#define INLINE static inline __attribute__((always_inline))
#if defined(__GNUC__)
# pragma GCC diagnostic ignored "-Wpsabi"      /* lanes only pass between inlined functions; clang obeys this pragma too */
#endif

#define LANES 16
typedef float lanes __attribute__((vector_size(4*LANES), aligned(4)));
typedef int32_t lanes_int __attribute__((vector_size(4*LANES), aligned(4)));
typedef uint32_t lanes_bits __attribute__((vector_size(4*LANES), aligned(4)));

INLINE lanes lanes_of(float x){         /* a loop becomes one broadcast; gcc makes 16 inserts of (lanes){ x, x, ... } */
  float all[LANES];
  lanes v;
  int i;
  for(i=0; i<LANES; i++) all[i] = x;
  memcpy(&v, all, sizeof(v));
  return v;
}
INLINE lanes load(const float *x){
  lanes v;
  memcpy(&v, x, sizeof(v));
  return v;
}
INLINE void store(float *y, lanes v){
  memcpy(y, &v, sizeof(v));
}
/* The last n < 16 numbers of a row; the lanes behind them are `rest`. */
INLINE lanes load_part(const float *x, int n, float rest){
  lanes v = lanes_of(rest);
  memcpy(&v, x, sizeof(float)*(size_t)n);
  return v;
}
INLINE void store_part(float *y, lanes v, int n){
  memcpy(y, &v, sizeof(float)*(size_t)n);
}

/* yes ? a : b in every lane; a comparison of lanes gives -1 for yes and 0 for no. */
INLINE lanes choose(lanes_int yes, lanes a, lanes b){
  return (lanes)((yes & (lanes_int)a) | (~yes & (lanes_int)b));
}

/* ---- One number from 16 lanes ----
** Halves and quarters are read back from memory as `quads`, which every vector unit has; compilers make far slower code of v[i]. */
typedef float quad __attribute__((vector_size(16), aligned(4)));
INLINE quad load_quad(const float *x){
  return *(const quad*)x;
}
/* Lanes of a and b, numbered 0..3 and 4..7. */
#if defined(__clang__)
# define pick(a, b, i, j, k, l)  __builtin_shufflevector(a, b, i, j, k, l)
#else
# define pick(a, b, i, j, k, l)  __builtin_shuffle(a, b, (__attribute__((vector_size(16))) int){ i, j, k, l })
#endif


/* (0+8)+(4+12), (1+9)+(5+13), ... */
INLINE quad quarter_sums(const float *p){
  return (load_quad(p) + load_quad(p+8)) + (load_quad(p+4) + load_quad(p+12));
}
INLINE float lanes_sum(lanes v){
  quad sums = quarter_sums((const float*)&v);
  return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

INLINE float larger(float a, float b){
  return a>b ? a : b;
}
INLINE float lanes_max(lanes v){
  const float *p = (const float*)&v;
  float m[4];
  int i;
  for(i=0; i<4; i++) m[i] = larger(larger(p[i], p[i+4]), larger(p[i+8], p[i+12]));
  return larger(larger(m[0], m[1]), larger(m[2], m[3]));
}

/* exp(x): x = n ln 2 + r with |r| <= ln 2 / 2, then 2^n * p(r), where p is the Taylor polynomial of degree 7 (remainder below
** 2^-26 there). Relative error below 2e-7. Below -87.3, where the result would be subnormal, exactly 0; above 88.3 the value
** at 88.3 (so that 1 + exp stays finite); NaN stays NaN. n ln 2 is taken off in two parts: 355/512 has so few bits that the
** first product is exact (Cody and Waite). */
INLINE lanes lanes_exp(lanes x){
  const lanes round = lanes_of(12582912.0f);            /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits */
  const lanes low = lanes_of(-87.3f), high = lanes_of(88.3f);
  lanes t, n, r, p, scale;
  lanes_int tiny = x < low;
  x = choose(x > high, high, x);
  t = x*lanes_of(1.44269504f) + round;
  n = t - round;
  r = x - n*lanes_of(0.693359375f);
  r = r + n*lanes_of(2.12194440e-4f);
  p = lanes_of(1.0f/5040);
  p = p*r + lanes_of(1.0f/720);
  p = p*r + lanes_of(1.0f/120);
  p = p*r + lanes_of(1.0f/24);
  p = p*r + lanes_of(1.0f/6);
  p = p*r + lanes_of(0.5f);
  p = p*(r*r) + r;
  p = p + lanes_of(1.0f);
  scale = (lanes)(((lanes_bits)t + 127) << 23);         /* 2^n, built as exponent bits; the bits of `round` are shifted out */
  return choose(tiny, lanes_of(0.0f), p*scale);
}

/* ---- Sums ---- */

INLINE float dot_lanes(const float *x, const float *y, int n){
  lanes sum = lanes_of(0.0f);
  int i;
  for(i=0; i+LANES<=n; i+=LANES) sum = sum + load(x+i)*load(y+i);
  if( i<n ) sum = sum + load_part(x+i, n-i, 0.0f)*load_part(y+i, n-i, 0.0f);
  return lanes_sum(sum);
}

CLONES float dot(const float *x, const float *y, int n){
  return dot_lanes(x, y, n);
}

CLONES void add(float *y, const float *x, int n){
  int i;
  for(i=0; i+LANES<=n; i+=LANES) store(y+i, load(y+i) + load(x+i));
  for(; i<n; i++) y[i] += x[i];
}

CLONES float normalize(float *x, int n){
  float length = sqrtf(dot_lanes(x, x, n));
  int i;
  if( !(length>0.0f) ) return length;
  for(i=0; i+LANES<=n; i+=LANES) store(x+i, load(x+i)/lanes_of(length));
  for(; i<n; i++) x[i] /= length;
  return length;
}

/* Zhang and Sennrich, Root Mean Square Layer Normalization, 2019. */
CLONES void rms_norm(float *y, const float *x, const float *weight, int rows, int d){
  int row, i;
  for(row=0; row<rows; row++, x+=d, y+=d){
    float scale = 1.0f/sqrtf(dot_lanes(x, x, d)/(float)d + 1e-6f);
    for(i=0; i+LANES<=d; i+=LANES) store(y+i, load(x+i)*lanes_of(scale)*load(weight+i));
    for(; i<d; i++) y[i] = x[i]*scale*weight[i];
  }
}

/* ---- Rotary positions (Su et al., RoFormer, 2021) ----
** Position p turns the pair (i, i+32) of a head by p * 10000^(-i/32). Tables are made once a model, in double. */
void rotary_table(float *cos_sin, int positions){
  int p, i;
  for(i=0; i<32; i++){
    double step = pow(10000.0, -i/32.0);
    for(p=0; p<positions; p++){
      cos_sin[p*64+i] = (float)cos(p*step);
      cos_sin[p*64+32+i] = (float)sin(p*step);
    }
  }
}

CLONES void rotary(float *x, const float *cos_sin, int heads, int stride){
  int head, i;
  for(head=0; head<heads; head++, x+=stride){
    for(i=0; i<32; i+=LANES){
      lanes a = load(x+i), b = load(x+32+i), cosine = load(cos_sin+i), sine = load(cos_sin+32+i);
      store(x+i, a*cosine - b*sine);
      store(x+32+i, a*sine + b*cosine);
    }
  }
}

/* ---- exp and what needs it ---- */

/* v * silu(g) = v * g / (1 + exp(-g)): Shazeer, GLU Variants Improve Transformer, 2020. */
CLONES void silu_gate(float *y, const float *value_gate, int rows, int h){
  const lanes one = lanes_of(1.0f);
  int row, i;
  for(row=0; row<rows; row++, y+=h, value_gate+=2*(size_t)h){
    const float *value = value_gate, *gate = value_gate + h;
    for(i=0; i+LANES<=h; i+=LANES){
      lanes g = load(gate+i);
      store(y+i, load(value+i)*g/(one + lanes_exp(-g)));
    }
    if( i<h ){
      lanes g = load_part(gate+i, h-i, 0.0f);
      store_part(y+i, load_part(value+i, h-i, 0.0f)*g/(one + lanes_exp(-g)), h-i);
    }
  }
}

/* The largest of n > 0 numbers. Which of several equal ones does not matter, so neither does the order. */
INLINE float max_of(const float *x, int n){
  const float least = -INFINITY;
  lanes m = lanes_of(least);
  int i;
  for(i=0; i+LANES<=n; i+=LANES){
    lanes v = load(x+i);
    m = choose(v > m, v, m);
  }
  if( i<n ){
    lanes v = load_part(x+i, n-i, least);
    m = choose(v > m, v, m);
  }
  return lanes_max(m);
}

/* y[i] = exp(x[i] - shift), which may be in place, unless y is NULL; returns their sum. */
INLINE float exp_sum(float *y, const float *x, int n, float shift){
  lanes sum = lanes_of(0.0f);
  int i;
  for(i=0; i+LANES<=n; i+=LANES){
    lanes e = lanes_exp(load(x+i) - lanes_of(shift));
    if( y ) store(y+i, e);
    sum = sum + e;
  }
  if( i<n ){
    lanes e = lanes_exp(load_part(x+i, n-i, -INFINITY) - lanes_of(shift));   /* the lanes behind the end give exp(-inf) = 0 */
    if( y ) store_part(y+i, e, n-i);
    sum = sum + e;
  }
  return lanes_sum(sum);
}

INLINE void softmax_lanes(float *x, int n){
  float scale = 1.0f/exp_sum(x, x, n, max_of(x, n));
  int i;
  for(i=0; i+LANES<=n; i+=LANES) store(x+i, load(x+i)*lanes_of(scale));
  for(; i<n; i++) x[i] *= scale;
}

CLONES void softmax(float *x, int n){
  if( n>0 ) softmax_lanes(x, n);
}

CLONES void log_softmax(float *x, int n){
  float shift;
  int i;
  if( n<=0 ) return;
  shift = max_of(x, n);
  shift = (float)(shift + log(exp_sum(NULL, x, n, shift)));
  for(i=0; i+LANES<=n; i+=LANES) store(x+i, load(x+i) - lanes_of(shift));
  for(; i<n; i++) x[i] -= shift;
}

/* ---- Attention of one query head (Vaswani et al., 2017) ---- */

/* lanes_sum() of 16 lanes at once, in the same order: 16 sums apart take three times as long. */
INLINE lanes lanes_sums(const float part[LANES][LANES]){
  float sums[LANES];
  int i, j;
  for(i=0; i<LANES; i+=4){
    quad a[4], left, right;
    for(j=0; j<4; j++) a[j] = quarter_sums(part[i+j]);
    left = pick(a[0], a[1], 0, 1, 4, 5) + pick(a[0], a[1], 2, 3, 6, 7);
    right = pick(a[2], a[3], 0, 1, 4, 5) + pick(a[2], a[3], 2, 3, 6, 7);
    *(quad*)(sums+i) = pick(left, right, 0, 2, 4, 6) + pick(left, right, 1, 3, 5, 7);
  }
  return load(sums);
}

/* scores[j] = q . k_j / 8 for n keys; minus infinity behind them, up to a multiple of 16. */
INLINE void attend_scores(float *scores, const float *q, const float *k, int n, int stride){
  lanes q0 = load(q), q1 = load(q+16), q2 = load(q+32), q3 = load(q+48);
  float part[LANES][LANES] = {{0}};
  int j, i;
  for(j=0; j<n; j+=LANES){
    const int end = n-j<LANES ? n-j : LANES;
    for(i=0; i<end; i++, k+=stride){
      lanes sum = q0*load(k);
      sum = sum + q1*load(k+16);
      sum = sum + q2*load(k+32);
      store(part[i], sum + q3*load(k+48));
    }
    store(scores+j, lanes_sums((const float (*)[LANES])part)*lanes_of(0.125f));
    for(; i<LANES; i++) scores[j+i] = -INFINITY;
  }
}

/* Sums run over the keys in order, lane by lane. */
CLONES void attend(float *out, const float *q, const float *k, const float *v, int n, int stride, float *scores){
  lanes out0 = lanes_of(0.0f), out1 = out0, out2 = out0, out3 = out0;
  int j;
  attend_scores(scores, q, k, n, stride);
  softmax_lanes(scores, (n + LANES-1)/LANES*LANES);
  for(j=0; j<n; j++, v+=stride){
    lanes p = lanes_of(scores[j]);
    out0 = out0 + p*load(v);
    out1 = out1 + p*load(v+16);
    out2 = out2 + p*load(v+32);
    out3 = out3 + p*load(v+48);
  }
  store(out, out0);
  store(out+16, out1);
  store(out+32, out2);
  store(out+48, out3);
}

/* ---- Arcs ---- */

/* The arc from a to b: y = cos(t w) a + sin(t w) u, where w = 2 atan2(|a-b|, |a+b|) is the angle between them (Kahan: accurate for
** small and for large angles, where acos of a dot product is not) and u the unit vector along what b has at right angles to a.
** Equal vectors have w = 0 and need no u. Opposite ones leave u open: it leans towards the axis that a has least of, so that the
** arc still has even speed and unit length. t = 0 and t = 1 give a and b bit by bit. y may be a or b. */
void slerp(float *y, const float *a, const float *b, float t, int n){
  double apart = 0, together = 0, along = 0, length = 0, along_a, along_u, angle;
  int i, axis = 0, opposite;
  if( n<=0 ) return;
  if( t==0.0f || t==1.0f ){
    memmove(y, t==0.0f ? a : b, sizeof(float)*(size_t)n);
    return;
  }
  for(i=0; i<n; i++){
    double minus = (double)a[i] - b[i], plus = (double)a[i] + b[i];
    apart += minus*minus;
    together += plus*plus;
    if( fabsf(a[i])<fabsf(a[axis]) ) axis = i;
  }
  opposite = together<1e-8;
  for(i=0; i<n; i++) along += (double)a[i]*(opposite ? i==axis : b[i]);
  for(i=0; i<n; i++){
    double u = (opposite ? i==axis : b[i]) - along*a[i];
    length += u*u;
  }
  length = sqrt(length);
  angle = 2*atan2(sqrt(apart), sqrt(together));
  along_a = cos(t*angle);
  along_u = length>0 ? sin(t*angle)/length : 0;
  for(i=0; i<n; i++){
    double u = (opposite ? i==axis : b[i]) - along*a[i];
    y[i] = (float)(along_a*a[i] + along_u*u);
  }
}
