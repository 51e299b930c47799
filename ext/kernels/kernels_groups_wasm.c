/*
** kernels_groups_wasm.c -- products of groups for every WebAssembly with SIMD128: as products of 16
** bits, of which neighbours are added; fused multiply-add by double precision (kernels_wasm.h). The
** algorithm is in kernels_groups_tile.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__wasm_simd128__)
#include "kernels_wasm.h"

#define TARGET
#define GROUPS_CODE groups_wasm
enum { WIDTH = 4, ROWS_4 = 2, ROWS_8 = 2 };
typedef wasm_pairs small;
#define vec_small_add(sum, w, four)  wasm_pairs_add(sum, (v128_t)(w), (v128_t)(four))
#define vec_small_sums(sum)          (ints)wasm_pairs_sums(sum)
#define vec_start(r)                 ((void)(r), (ints){ 0 })
#define vec_add(sum, w, four) \
  (ints)wasm_add_products((v128_t)(sum), (v128_t)(w), (v128_t)(four))
#define vec_halves(p)                (floats)wasm_halves(p)
#define vec_fma(a, b, c)  (floats)wasm_fma_exact((v128_t)(a), (v128_t)(b), (v128_t)(c))
#include "kernels_groups_tile.h"

#else
typedef int kernels_groups_wasm_nothing;
#endif
