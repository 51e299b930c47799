/*
** kernels_wasm_relaxed.c -- matrix products for a WebAssembly with relaxed SIMD. Its multiply-add
** may round once or twice, as the machine likes: once on arm64, and on x86-64 with FMA.
** kernels_choose.c takes these products where wasm_fuses() says that it is once. The algorithm is
** in kernels_tile.h. On other machines, and in the module without relaxed SIMD, the file is empty.
*/
#include "kernels.h"
#if defined(__wasm_relaxed_simd__)
#include "kernels_wasm.h"

/* Asked with numbers whose exact product is needed: (1 + 2^-12)(1 - 2^-12) - 1 = -2^-24. volatile,
** so that the compiler does not answer. */
int wasm_fuses(void){
  volatile float a = 1 + 0x1p-12f;
  volatile float b = 1 - 0x1p-12f;
  volatile float c = -1;
  v128_t y = wasm_f32x4_relaxed_madd(wasm_f32x4_splat(a), wasm_f32x4_splat(b), wasm_f32x4_splat(c));
  return wasm_f32x4_extract_lane(y, 0)==-0x1p-24f && wasm_f32x4_extract_lane(y, 3)==-0x1p-24f;
}

#define TARGET
#define LINEAR linear_wasm_relaxed
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
#define vec_fma(a, b, c)  wasm_f32x4_relaxed_madd(a, b, c)
#define vec_store(p, a)   wasm_v128_store(p, a)
#include "kernels_tile.h"

#else
typedef int kernels_wasm_relaxed_nothing;
#endif
