/*
** kernels_groups_wasm_relaxed.c -- products of groups for a WebAssembly with relaxed SIMD whose
** multiply-add rounds once. All else is as in kernels_groups_wasm.c, the algorithm in
** kernels_groups_tile.h. On other machines, and in the module without relaxed SIMD, the file is
** empty.
*/
#include "kernels.h"
#if defined(__wasm_relaxed_simd__)
#define GROUPS_CODE groups_wasm_relaxed
#define WASM_FMA wasm_f32x4_relaxed_madd
#include "kernels_wasm.h"
#include "kernels_groups_tile.h"

#else
typedef int kernels_groups_wasm_relaxed_nothing;
#endif
