/*
** kernels_wasm.c -- matrix products for every WebAssembly with SIMD128. It has no fused
** multiply-add: one is made of double precision (kernels_wasm.h). The algorithm is in
** kernels_tile.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__wasm_simd128__)
#include "kernels_wasm.h"

#define TARGET
#define LINEAR linear_wasm
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
#define vec_fma(a, b, c)  wasm_fma_exact(a, b, c)
#define vec_store(p, a)   wasm_v128_store(p, a)
#include "kernels_tile.h"

#else
typedef int kernels_wasm_nothing;
#endif
