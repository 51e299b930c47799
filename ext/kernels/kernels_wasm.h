/*
** kernels_wasm.h -- for kernels_*wasm*.c: binary16 numbers, products of bytes, and the fused
** multiply-add that WebAssembly does not have.
**
** SIMD128 multiplies and adds in two roundings. The product of two floats is exact in double
** precision. So the sum s = a*b + c is rounded once there, and once more to float. The two together
** are wrong only where s lies in the middle between two floats although a*b + c does not, or where
** the result is a subnormal float, whose middles are elsewhere. Both show in the bits of s. Then s
** is rounded to odd first (Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008):
** where s is not exact and its last bit is 0, it becomes its neighbour on the side of what was
** lost. 53 bits of that kind rounded to 24, or to the fewer of a subnormal, are right.
**
** At the end, what the tiles want of a machine: of kernels_tile.h where LINEAR is defined before,
** of kernels_groups_tile.h where GROUPS_CODE is. Two files each share it, since a module with
** relaxed SIMD has another multiply-add: WASM_FMA, which is wasm_fma_exact or the machine's own.
*/
#ifndef LATENT_KERNELS_WASM_H
#define LATENT_KERNELS_WASM_H
#include <wasm_simd128.h>

#define TARGET                  /* no function is for a part of the machines alone */
#define WASM_INLINE static inline __attribute__((always_inline))

/* Four binary16 numbers as floats. Their exponents are 112 apart, those of infinities and NaN 224.
** A subnormal one (a tenth of the weights of text) is made with 2^-14 too much, and that is taken
** off again: both are exact. A multiplication by 2^112 would do, but x86-64 takes 150 cycles for a
** float that is subnormal. */
WASM_INLINE v128_t wasm_halves(const void *p){
  v128_t half = wasm_i32x4_load16x4(p);         /* with its sign in all the bits above */
  v128_t low = wasm_v128_and(wasm_i32x4_shl(half, 13), wasm_u32x4_splat(0x8fffe000));
  v128_t number = wasm_i32x4_add(low, wasm_i32x4_splat(112<<23));
  v128_t exponent = wasm_v128_and(half, wasm_i32x4_splat(0x7c00));
  v128_t is_infinite = wasm_i32x4_eq(exponent, wasm_i32x4_splat(0x7c00));
  v128_t is_subnormal = wasm_i32x4_eq(exponent, wasm_i32x4_splat(0));
  v128_t top = wasm_i32x4_shl(is_subnormal, 23);      /* sign and exponent; -1 of an exponent */
  number = wasm_i32x4_add(number, wasm_v128_and(is_infinite, wasm_i32x4_splat(112<<23)));
  number = wasm_i32x4_sub(number, top);
  return wasm_f32x4_sub(number, wasm_v128_and(number, top));
}

/* s[2] = p + c in double precision, as it was rounded, rounded to odd instead. */
WASM_INLINE v128_t wasm_round_to_odd(v128_t s, v128_t p, v128_t c){
  v128_t rest = wasm_f64x2_sub(s, p);
  v128_t lost = wasm_f64x2_add(wasm_f64x2_sub(p, wasm_f64x2_sub(s, rest)),
                               wasm_f64x2_sub(c, rest));        /* exact: Knuth's TwoSum */
  v128_t is_lost = wasm_f64x2_gt(wasm_f64x2_abs(lost), wasm_f64x2_splat(0));    /* and no NaN */
  v128_t is_even = wasm_i64x2_eq(wasm_v128_and(s, wasm_i64x2_splat(1)), wasm_i64x2_splat(0));
  /* +1 away from 0, where lost has the sign of s; else -1 */
  v128_t step = wasm_v128_or(wasm_i64x2_shr(wasm_v128_xor(lost, s), 63), wasm_i64x2_splat(1));
  return wasm_i64x2_add(s, wasm_v128_and(step, wasm_v128_and(is_lost, is_even)));
}

/* Which of s[2] may be rounded to float wrongly. */
WASM_INLINE v128_t wasm_doubtful(v128_t s){
  v128_t tail = wasm_v128_and(s, wasm_i64x2_splat(0x1fffffff));
  return wasm_v128_or(wasm_i64x2_eq(tail, wasm_i64x2_splat(0x10000000)),
                      wasm_f64x2_lt(wasm_f64x2_abs(s), wasm_f64x2_splat(0x1p-126)));
}

/* a*b + c, rounded once. */
WASM_INLINE v128_t wasm_fma_exact(v128_t a, v128_t b, v128_t c){
  v128_t a2 = wasm_i32x4_shuffle(a, a, 2, 3, 0, 1);
  v128_t b2 = wasm_i32x4_shuffle(b, b, 2, 3, 0, 1);
  v128_t c_low = wasm_f64x2_promote_low_f32x4(c);
  v128_t c_high = wasm_f64x2_promote_low_f32x4(wasm_i32x4_shuffle(c, c, 2, 3, 0, 1));
  v128_t p_low = wasm_f64x2_mul(wasm_f64x2_promote_low_f32x4(a), wasm_f64x2_promote_low_f32x4(b));
  v128_t p_high = wasm_f64x2_mul(wasm_f64x2_promote_low_f32x4(a2),
                                 wasm_f64x2_promote_low_f32x4(b2));
  v128_t low = wasm_f64x2_add(p_low, c_low);
  v128_t high = wasm_f64x2_add(p_high, c_high);
  if( __builtin_expect(wasm_v128_any_true(wasm_v128_or(wasm_doubtful(low),
                                                       wasm_doubtful(high))), 0) ){
    low = wasm_round_to_odd(low, p_low, c_low);
    high = wasm_round_to_odd(high, p_high, c_high);
  }
  return wasm_i32x4_shuffle(wasm_f32x4_demote_f64x2_zero(low), wasm_f32x4_demote_f64x2_zero(high),
                            0, 1, 4, 5);
}

/* ---- Products of bytes ----
** x has the same four bytes four times. Relaxed SIMD has an instruction for these products, but the
** first compiler of V8 11.3 (Node 20) adds some of them twice. Its second compiler does not: the
** bits would change as the code gets warm, and no look at the start would tell. */
typedef struct {                /* sums of two products, neighbours are of one column */
  v128_t low, high;
} wasm_pairs;

WASM_INLINE wasm_pairs wasm_pairs_add(wasm_pairs sum, v128_t w, v128_t x){
  v128_t four = wasm_i16x8_extend_low_i8x16(x);
  v128_t low = wasm_i32x4_dot_i16x8(wasm_i16x8_extend_low_i8x16(w), four);
  v128_t high = wasm_i32x4_dot_i16x8(wasm_i16x8_extend_high_i8x16(w), four);
  sum.low = wasm_i32x4_add(sum.low, low);
  sum.high = wasm_i32x4_add(sum.high, high);
  return sum;
}

/* The sums of the four columns. */
WASM_INLINE v128_t wasm_pairs_sums(wasm_pairs sum){
  return wasm_i32x4_add(wasm_i32x4_shuffle(sum.low, sum.high, 0, 2, 4, 6),
                        wasm_i32x4_shuffle(sum.low, sum.high, 1, 3, 5, 7));
}

/* sum, with four products of bytes added to each column. */
WASM_INLINE v128_t wasm_add_products(v128_t sum, v128_t w, v128_t x){
  return wasm_i32x4_add(sum, wasm_pairs_sums(wasm_pairs_add((wasm_pairs){ 0 }, w, x)));
}

/* ---- For kernels_tile.h ---- */
#if defined(LINEAR)
typedef v128_t vec;
#define WIDTH 4
#define VECS_1 8
#define VECS_2 4
#define VECS_4 2
/* A vector of binary16 takes 9 instructions to convert: more rows than a tile has do it once. */
#define DIRECT_ROWS 6
#define DIRECT_ROWS_WIDE 6
#define vec_zero()        wasm_f32x4_splat(0.0f)
#define vec_all(x)        wasm_f32x4_splat(x)
#define vec_load(p)       wasm_v128_load(p)
#define vec_half(p)       wasm_halves(p)
#define vec_fma(a, b, c)  WASM_FMA(a, b, c)
#define vec_store(p, a)   wasm_v128_store(p, a)
#endif

/* ---- For kernels_groups_tile.h ---- */
#if defined(GROUPS_CODE)
enum { WIDTH = 4, ROWS_4 = 2, ROWS_8 = 2 };
typedef wasm_pairs small;
#define vec_small_add(sum, w, four)  wasm_pairs_add(sum, (v128_t)(w), (v128_t)(four))
#define vec_small_sums(sum)          (ints)wasm_pairs_sums(sum)
#define vec_start(r)                 ((void)(r), (ints){ 0 })
#define vec_add(sum, w, four) \
  (ints)wasm_add_products((v128_t)(sum), (v128_t)(w), (v128_t)(four))
#define vec_halves(p)                (floats)wasm_halves(p)
#define vec_fma(a, b, c)     (floats)WASM_FMA((v128_t)(a), (v128_t)(b), (v128_t)(c))
#endif

#endif
