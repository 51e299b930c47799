/*
** kernels.h -- pure numeric loops. Output first, inputs const, sizes last; memory from the caller;
** no failure.
**
** They give the same bits on every CPU that has fused multiply-add (all arm64, x86-64 since 2013),
** for every batch size and number of threads. Each output of a product is one chain of fmaf() over
** k = 0, 1, 2, ... Sums of long vectors go into 16 lanes: lane i takes elements i, i+16, ..., and
** lanes_sum() adds the lanes as ((0+8)+(4+12)) ... exp() is our own polynomial. So a row gives the
** same blob when it is encoded alone, in a batch, or on another node of a replicated database.
*/
#ifndef LATENT_KERNELS_H
#define LATENT_KERNELS_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- kernels_linear.c: matrix products ---- */
struct matrix {                 /* one of half, full, bytes, groups is there */
  int in, out;
  const uint16_t *half;         /* [in, out] row-major, binary16 */
  const float *full;            /* [in, out] row-major */
  const int8_t *bytes;          /* MATRIX_BYTES(in, out), as kernels_bytes.c lays them out */
  const float *scale;           /* [out]: what the numbers of a column of bytes are multiplied by */
  const uint8_t *groups;        /* MATRIX_GROUPS(group_bits, in, out), as kernels_groups.c lays them
                                ** out, at any alignment */
  int group_bits;               /* of a number in groups: 4 or 8 */
};
enum { LINEAR_PANEL = 64 };     /* columns that are converted at a time */
#define LINEAR_SCRATCH(in) (GROUPS_IN(in)*GROUP*LINEAR_PANEL)
enum { BYTES_TOGETHER = 4, BYTES_PANEL = 16 };
#define BYTES_IN(in) (((size_t)(in) + BYTES_TOGETHER-1)/BYTES_TOGETHER*BYTES_TOGETHER)
#define BYTES_OUT(out) (((size_t)(out) + BYTES_PANEL-1)/BYTES_PANEL*BYTES_PANEL)
enum { START_BYTES = BYTES_PANEL*4 };
#define PANEL_BYTES(in) (BYTES_IN(in)*BYTES_PANEL + START_BYTES)
#define MATRIX_BYTES(in, out) (PANEL_BYTES(in)*(BYTES_OUT(out)/BYTES_PANEL))
enum { GROUP = 32, GROUP_COLUMNS = 16 };        /* inputs of a group; columns of a panel */
#define GROUPS_IN(in) (((size_t)(in) + GROUP-1)/GROUP)
/* Bytes of a panel's scales and numbers of one group, and of a whole panel: columns 16 i and on are
** i panels further. */
#define GROUP_HEAD(bits) ((size_t)((bits)==4 ? 4 : 2)*GROUP_COLUMNS)
#define GROUP_BYTES(bits) (GROUP_HEAD(bits) + (size_t)(bits)*GROUP*GROUP_COLUMNS/8)
#define PANEL_GROUPS(bits, in) (GROUPS_IN(in)*GROUP_BYTES(bits))
#define MATRIX_GROUPS(bits, in, out) \
  (PANEL_GROUPS(bits, in)*(((size_t)(out) + GROUP_COLUMNS-1)/GROUP_COLUMNS))

/* y[rows, out] = x[rows, in] . w[in, out]. scratch: LINEAR_SCRATCH(in) floats, 64-byte aligned,
** which nobody else uses during the call. */
void linear(float *y, const float *x, const struct matrix *w, int rows, float *scratch);
/* The definition: chains of fmaf(), and for bytes and groups sums of whole numbers. Slow. */
void linear_plain(float *y, const float *x, const struct matrix *w, int rows);

/* ---- kernels_bytes.c: matrices of 8 bits ---- */
/* A matrix of floats w[in, out] as one of bytes: bytes[MATRIX_BYTES(in, out)], scale[out]. Each
** column is quantized by itself. */
void matrix_quantize(int8_t *bytes, float *scale, const float *w, int in, int out);
/* Column `column` of such a matrix becomes x[in]. Where none was put yet the bytes must be 0. */
void matrix_put_column(int8_t *bytes, float *scale, const float *x, int in, int column);

/* ---- kernels_groups.c: matrices of 4 or 8 bits in groups ---- */
/* y[in] = the numbers of one column of w, which is in groups. */
void groups_column(float *y, const struct matrix *w, int column);

/* ---- kernels_vectors.c: sums, norms, softmax, attention, arcs ---- */

/* x[n] . y[n], in 16 lanes. dot_bytes() takes the bytes as numbers. */
float dot(const float *x, const float *y, int n);
float dot_bytes(const float *x, const int8_t *y, int n);
/* y[n] = rows[n, d] . x[d], each as dot() gives it. */
void dots(float *y, const float *x, const float *rows, int n, int d);

/* y[n] = x[n], which are binary16 numbers, all of them finite. */
void widen(float *y, const uint16_t *x, int n);

void add(float *y, const float *x, int n);                      /* y[n] += x[n] */
void add_bias(float *y, const float *bias, int rows, int n);    /* y[rows, n] += bias[n] */
/* Where the largest of x[n] stands: the first of equals, 0 when none of them is a number. */
int largest(const float *x, int n);
/* x[n] to unit length, in place. A zero vector stays. Returns the old length. */
float normalize(float *x, int n);
/* y[rows, d] = x / sqrt(mean of x^2 in the row + epsilon) * weight[d], for x[rows, d]. */
void rms_norm(float *y, const float *x, const float *weight, int rows, int d, float epsilon);
/* y[rows, d] = (x - mean of the row)/sqrt(variance of the row + epsilon) * weight[d] + bias[d], for
** x[rows, d]. y may be x. */
void layer_norm(float *y, const float *x, const float *weight, const float *bias, int rows, int d,
                float epsilon);

/* y[rows, h] = v * silu(g) of value_gate[rows, 2h] = [v | g], where silu(x) = x / (1 + exp(-x)). */
void silu_gate(float *y, const float *value_gate, int rows, int h);
void silu_bias(float *y, const float *bias, int rows, int n);   /* y[rows, n] = silu(y + bias[n]) */
void gelu_bias(float *y, const float *bias, int rows, int n);   /* y[rows, n] = gelu(y + bias[n]) */
void softmax(float *x, int n);                                  /* x[n], in place */
void log_softmax(float *x, int n);

/* cos_sin[positions, 64]: for each position 32 cosines, then 32 sines. The pair (i, i+32) turns by
** base^(-i/32) from one position to the next. */
void rotary_table(float *cos_sin, int positions, double base);
/* Turns one token's x[heads, 64] in place. Its heads are `stride` floats apart. cos_sin: one row of
** the table. */
void rotary(float *x, const float *cos_sin, int heads, int stride);

/* One query head over n > 0 keys: out[64] = softmax(q[64] . k_j / 8) . v. k and v are n rows of 64,
** `stride` floats apart. scores: scratch of ATTEND_SCORES(n) floats; afterwards its first n are the
** softmax. */
#define ATTEND_SCORES(n) (((size_t)(n)+15)/16*16)
void attend(float *out, const float *q, const float *k, const float *v, int n, int stride,
            float *scores);

/* y[n]: the point at t (0..1) on the arc from a[n] to b[n], of unit length both. They may be equal
** or opposite. y may be a or b. */
void slerp(float *y, const float *a, const float *b, float t, int n);

/* ---- kernels_bits.c: whole numbers ---- */

/* y[n] = the sum of the planes' numbers where a row of codes[n, words] has a 1. planes[4, words]
** hold the numbers in two's complement, lowest bits first. */
void bit_products(int32_t *y, const uint64_t *codes, const uint64_t *planes, int n, int words);
/* As linear_choose(), for bit_products() alone: "avx512", "popcnt", "plain". */
int bits_choose(const char *name);

/* ---- kernels_choose.c: which code computes all this ---- */

/* What this CPU uses for linear() and the vectors: "avx512", "avx2", "neon", each with "_vnni" or
** "_dot" behind it where bytes have their own instructions; in WebAssembly "wasm", "wasm_relaxed";
** on other CPUs "openblas" (last bits of products may differ there), else "plain". */
const char *linear_kernel(void);
/* For tests and benchmarks: takes the code of that name. Returns 0, and changes nothing, when
** there is none or this CPU cannot run it. NULL picks the best one again. */
int linear_choose(const char *name);

/* ==== For kernels_*.c only ==== */

typedef void linear_code(float *y, const float *x, const struct matrix *w, int rows,
                         float *scratch);

enum { BYTE_ROWS = 60, BYTE_MOST = 127, BYTE_WEIGHT_MOST = 64, BYTE_OFFSET = 128 };
struct byte_rows {              /* some rows of x as whole numbers */
  int rows;                     /* at most BYTE_ROWS */
  int in;                       /* a multiple of BYTES_TOGETHER */
  uint8_t *u;                   /* [rows, in]: BYTE_OFFSET more than numbers from -127 to 127 */
  float scale[BYTE_ROWS];       /* x = (u - BYTE_OFFSET)*scale */
};
/* What numbers up to `most` are multiplied by to be at most `end`. Subnormal ones become 0, and so
** do those of a row that has infinities. */
static inline float bytes_up(float most, int end){
  return most>1e-36f && most<=3e38f ? (float)end/most : 0.0f;
}

/* The nearest whole number, ties to even. Adding 1.5*2^23 leaves no bits for fractions. */
static inline int8_t nearest_byte(float x){
  float sum = x + 12582912.0f;
  int32_t bits;
  memcpy(&bits, &sum, sizeof(bits));
  return (int8_t)bits;
}

/* y[rows, out] = x . w, for a matrix w of bytes. */
typedef void bytes_code(float *y, const struct byte_rows *x, const struct matrix *w);

/* Some rows of x in groups of whole numbers. */
struct row_group {
  float scale;                  /* x = q*scale */
  float shift;                  /* the sum of the group's q, times scale */
  int32_t sum;                  /* of the group's q */
};
struct group_rows {
  int rows;                     /* at most BYTE_ROWS */
  int groups;                   /* of a row: GROUPS_IN(in) */
  int8_t *q;                    /* [rows, groups, GROUP]: -127 to 127 */
  struct row_group *of;         /* [rows, groups] */
};
/* y[rows, out] = x . w, for a matrix w in groups. */
typedef void groups_code(float *y, const struct group_rows *x, const struct matrix *w);

/* The vector functions above that kernels_lanes.h makes, once for each width of vectors. */
struct lanes_table {
  float (*dot)(const float *x, const float *y, int n);
  float (*dot_bytes)(const float *x, const int8_t *y, int n);
  void (*dots)(float *y, const float *x, const float *rows, int n, int d);
  void (*widen)(float *y, const uint16_t *x, int n);
  void (*add)(float *y, const float *x, int n);
  void (*add_bias)(float *y, const float *bias, int rows, int n);
  int (*largest)(const float *x, int n);
  float (*normalize)(float *x, int n);
  /* u[n] = BYTE_OFFSET + x[n]/scale, rounded; returns the scale. */
  float (*quantize)(uint8_t *u, const float *x, int n);
  /* q[GROUPS_IN(n), GROUP] and of[GROUPS_IN(n)] of x[n]. */
  void (*quantize_groups)(int8_t *q, struct row_group *of, const float *x, int n);
  void (*rms_norm)(float *y, const float *x, const float *weight, int rows, int d, float epsilon);
  void (*layer_norm)(float *y, const float *x, const float *weight, const float *bias, int rows,
                     int d, float epsilon);
  void (*silu_gate)(float *y, const float *value_gate, int rows, int h);
  void (*silu_bias)(float *y, const float *bias, int rows, int n);
  void (*gelu_bias)(float *y, const float *bias, int rows, int n);
  void (*softmax)(float *x, int n);
  void (*log_softmax)(float *x, int n);
  void (*rotary)(float *x, const float *cos_sin, int heads, int stride);
  void (*attend)(float *out, const float *q, const float *k, const float *v, int n, int stride,
                 float *scores);
};

/* kernels_choose.c: the choice, made at the first call */
linear_code *linear_chosen(void);
bytes_code *bytes_chosen(void);
groups_code *groups_chosen(void);
const struct lanes_table *lanes_chosen(void);

/* kernels_tile.h, kernels_lanes.h, kernels_bytes_tile.h and kernels_groups_tile.h, compiled for
** each vector unit. Only kernels_choose.c may take them, after it has asked the CPU. lanes_plain
** runs everywhere. */
extern const struct lanes_table lanes_plain;                    /* kernels_vectors.c */
extern const struct lanes_table lanes_avx2, lanes_avx512;       /* kernels_avx2.c, _avx512.c */
linear_code linear_avx2, linear_avx512, linear_neon;            /* these, and kernels_neon.c */
linear_code linear_wasm, linear_wasm_relaxed;                   /* kernels_wasm*.c */
bytes_code bytes_plain;                                         /* kernels_bytes.c */
bytes_code bytes_avx2, bytes_avx2_vnni, bytes_avx512_vnni;      /* kernels_bytes_*.c */
bytes_code bytes_neon, bytes_neon_dot;
bytes_code bytes_wasm;
groups_code groups_plain;                                       /* kernels_groups.c */
groups_code groups_avx2, groups_avx2_vnni, groups_avx512_vnni;  /* kernels_groups_*.c */
groups_code groups_neon, groups_neon_dot;
groups_code groups_wasm, groups_wasm_relaxed;
int wasm_fuses(void);   /* does the multiply-add of relaxed SIMD round once on this machine? */
/* Where the compiler knows the instructions. */
#if defined(__x86_64__) && (__GNUC__>=11 || __clang_major__>=12)
# define KERNELS_AVX_VNNI 1
#endif
#if defined(__aarch64__) && (!defined(__clang__) || __clang_major__>=16)
# define KERNELS_NEON_DOT 1
#endif
void linear_groups(float *y, const float *x, const struct matrix *w, int rows, float *scratch);
void linear_groups_plain(float *y, const float *x, const struct matrix *w, int rows);
void linear_bytes(float *y, const float *x, const struct matrix *w, int rows, float *scratch);
void linear_bytes_plain(float *y, const float *x, const struct matrix *w, int rows);

/* kernels_blas.c */
linear_code linear_openblas;            /* only where it is usable */
/* kernels_choose.c: what an x86-64 CPU and the system on it have. AVX2 with FMA and F16C, and with
** VNNI for its vectors; AVX-512 F; the same with BW and VPOPCNTDQ, or with VNNI. */
enum cpu_feature {
  CPU_POPCNT, CPU_AVX2, CPU_AVX2_VNNI, CPU_AVX512, CPU_AVX512_POPCNT, CPU_AVX512_VNNI
};
int cpu_has(enum cpu_feature feature);
int linear_openblas_usable(void);       /* opens the library at the first call */

#endif
