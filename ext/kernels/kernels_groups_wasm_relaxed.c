/*
** kernels_groups_wasm_relaxed.c -- products of groups for a WebAssembly with relaxed SIMD whose
** multiply-add rounds once. All else is as in kernels_groups_wasm.c, the algorithm in
** kernels_groups_tile.h. On other machines, and in the module without relaxed SIMD, the file is
** empty.
*/
#include "kernels.h"
#if defined(__wasm_relaxed_simd__)
#include "kernels_wasm.h"

#define TARGET
#define GROUPS_CODE groups_wasm_relaxed
enum { WIDTH = 4, ROWS_4 = 2, ROWS_8 = 2 };
typedef wasm_pairs small;
#define vec_small_add(sum, w, four)  wasm_pairs_add(sum, (v128_t)(w), (v128_t)(four))
#define vec_small_sums(sum)          (ints)wasm_pairs_sums(sum)
#define vec_start(r)                 ((void)(r), (ints){ 0 })
#define vec_add(sum, w, four) \
  (ints)wasm_add_products((v128_t)(sum), (v128_t)(w), (v128_t)(four))
#define vec_halves(p)                (floats)wasm_halves(p)
#define vec_fma(a, b, c) \
  (floats)wasm_f32x4_relaxed_madd((v128_t)(a), (v128_t)(b), (v128_t)(c))
#include "kernels_groups_tile.h"

#else
typedef int kernels_groups_wasm_relaxed_nothing;
#endif
