/*
** kernels.h -- pure numeric loops. Output first, inputs const, sizes last; memory from the caller; no failure.
**
** The same bits on every CPU that has fused multiply-add (all arm64, x86-64 since 2013), for every batch size and number of
** threads: each output of a product is one chain of fmaf() over k = 0, 1, 2, ..., and sums of long vectors go into 16 lanes,
** lane i taking elements i, i+16, ..., which are added as ((0+8)+(4+12)) ... by lanes_sum(). exp() is our own polynomial.
** So a row encoded alone, in a batch, or on another node of a replicated database gives the same blob.
*/
#ifndef LATENT_KERNELS_H
#define LATENT_KERNELS_H
#include <stddef.h>
#include <stdint.h>

/* ---- kernels_linear.c: matrix products ---- */
struct matrix {         /* [in, out], row-major, as in the file */
  int in, out;
  const uint16_t *half; /* binary16, or NULL */
  const float *full;    /* used when half is NULL */
};
/* y[rows, out] = x[rows, in] . w[in, out]. scratch: LINEAR_SCRATCH(in) floats, 64-byte aligned, used by this call alone. */
#define LINEAR_PANEL 64
#define LINEAR_SCRATCH(in) ((size_t)(in)*LINEAR_PANEL)
void linear(float *y, const float *x, const struct matrix *w, int rows, float *scratch);
void linear_plain(float *y, const float *x, const struct matrix *w, int rows);    /* the definition: fmaf() chains, slow */

/* Which code linear() and everything below use: "avx512", "avx2", "neon", or "openblas" (other CPUs; last bits may differ there), "plain". */
const char *linear_kernel(void);
int linear_choose(const char *name);    /* for tests and benchmarks: 0 when this CPU cannot; NULL picks the best again */

/* ---- kernels.c: everything else ---- */
float dot(const float *x, const float *y, int n);                       /* 16 lanes */
void dots(float *y, const float *x, const float *rows, int n, int d);   /* y[n] = rows[n,d] . x[d], each as dot() gives it */
float dot_bytes(const float *x, const int8_t *y, int n);                /* dot() with the bytes as numbers */
void rms_norm(float *y, const float *x, const float *weight, int rows, int d);      /* y = x / sqrt(mean x^2 + 1e-6) * weight */
void rotary_table(float *cos_sin, int positions);                       /* [positions, 64]: 32 cosines, then 32 sines */
void rotary(float *x, const float *cos_sin, int heads, int stride);     /* one token's heads of 64, `stride` floats apart; in place */
void silu_gate(float *y, const float *value_gate, int rows, int h);     /* y[rows,h] = v * g / (1 + exp(-g)), value_gate[rows, 2h] = [v | g] */
void silu_bias(float *y, const float *bias, int rows, int n);            /* y[rows,n] = silu(y + bias[n]) in place, silu(x) = x / (1 + exp(-x)) */
void softmax(float *x, int n);                                          /* in place */
void log_softmax(float *x, int n);
void add(float *y, const float *x, int n);                              /* y += x */
void add_bias(float *y, const float *bias, int rows, int n);            /* y[rows,n] += bias[n] */
int largest(const float *x, int n);                                     /* where the largest number stands, the first of equals; 0 when none is a number */
float normalize(float *x, int n);                                       /* to unit length in place; a zero vector stays; returns the old length */
/* One query head over n keys: out[64] = softmax(q . k_j / 8) . v; k and v are n rows of 64, `stride` floats apart. scores: scratch of ATTEND_SCORES(n)
** floats; afterwards its first n are the softmax. */
#define ATTEND_SCORES(n) (((size_t)(n)+15)/16*16)
void attend(float *out, const float *q, const float *k, const float *v, int n, int stride, float *scores);
void slerp(float *y, const float *a, const float *b, float t, int n);   /* unit vectors; opposite or equal ones are handled */

/* ---- kernels_bits.c: whole numbers ---- */
/* y[n] = the sum of planes' numbers where a row of codes[n, words] has a 1; planes[4, words] hold them in two's complement, lowest bits first. */
void bit_products(int32_t *y, const uint64_t *codes, const uint64_t *planes, int n, int words);
int bits_choose(const char *name);      /* "avx512", "popcnt", "plain", as linear_choose() */

/* ---- What the calls above choose from; for kernels* only ---- */
struct lanes_table {                    /* made from kernels_lanes.h, once for each width of vectors; the functions above, in their order */
  float (*dot)(const float *x, const float *y, int n);
  void (*dots)(float *y, const float *x, const float *rows, int n, int d);
  float (*dot_bytes)(const float *x, const int8_t *y, int n);
  void (*rms_norm)(float *y, const float *x, const float *weight, int rows, int d);
  void (*rotary)(float *x, const float *cos_sin, int heads, int stride);
  void (*silu_gate)(float *y, const float *value_gate, int rows, int h);
  void (*silu_bias)(float *y, const float *bias, int rows, int n);
  void (*softmax)(float *x, int n);
  void (*log_softmax)(float *x, int n);
  void (*add)(float *y, const float *x, int n);
  void (*add_bias)(float *y, const float *bias, int rows, int n);
  int (*largest)(const float *x, int n);
  float (*normalize)(float *x, int n);
  void (*attend)(float *out, const float *q, const float *k, const float *v, int n, int stride, float *scores);
};
extern const struct lanes_table lanes_avx512, lanes_avx2, lanes_plain;  /* kernels_avx512.c, kernels_avx2.c, kernels.c */
const struct lanes_table *lanes_chosen(void);                           /* kernels_linear.c, which chooses for all */

/* kernels_avx512.c, kernels_avx2.c, kernels_neon.c: made from kernels_tile.h; kernels_blas.c. Each may be called, as may the table of its
** name, only where its _usable() says so. */
void linear_avx512(float *y, const float *x, const struct matrix *w, int rows, float *scratch);
void linear_avx2(float *y, const float *x, const struct matrix *w, int rows, float *scratch);
void linear_neon(float *y, const float *x, const struct matrix *w, int rows, float *scratch);
void linear_openblas(float *y, const float *x, const struct matrix *w, int rows, float *scratch);
int linear_avx512_usable(void);
int linear_avx2_usable(void);
int linear_neon_usable(void);
int linear_openblas_usable(void);       /* opens the library at the first call */

#endif
