/*
** kernels_wasm.c -- matrix products for every WebAssembly with SIMD128. It has no fused
** multiply-add: one is made of double precision (kernels_wasm.h). The algorithm is in
** kernels_tile.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__wasm_simd128__)
#define LINEAR linear_wasm
#define WASM_FMA wasm_fma_exact
#include "kernels_wasm.h"

#include "kernels_tile.h"

#else
typedef int kernels_wasm_nothing;
#endif
