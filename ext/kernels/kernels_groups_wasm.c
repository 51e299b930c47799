/*
** kernels_groups_wasm.c -- products of groups for every WebAssembly with SIMD128: as products of 16
** bits, of which neighbours are added; fused multiply-add by double precision (kernels_wasm.h). The
** algorithm is in kernels_groups_tile.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__wasm_simd128__)
#define GROUPS_CODE groups_wasm
#define WASM_FMA wasm_fma_exact
#include "kernels_wasm.h"
#include "kernels_groups_tile.h"

#else
typedef int kernels_groups_wasm_nothing;
#endif
