/*
** kernels_wasm_relaxed.c -- matrix products for a WebAssembly with relaxed SIMD. Its multiply-add
** may round once or twice, as the machine likes: once on arm64, and on x86-64 with FMA.
** kernels_choose.c takes these products where wasm_fuses() says that it is once. The algorithm is
** in kernels_tile.h. On other machines, and in the module without relaxed SIMD, the file is empty.
*/
#include "kernels.h"
#if defined(__wasm_relaxed_simd__)
#define LINEAR linear_wasm_relaxed
#define WASM_FMA wasm_f32x4_relaxed_madd
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

#include "kernels_tile.h"

#else
typedef int kernels_wasm_relaxed_nothing;
#endif
