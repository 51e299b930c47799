/*
** kernels_bytes_wasm.c -- products of bytes for every WebAssembly with SIMD128: as products of 16
** bits, of which neighbours are added twice. The algorithm is in kernels_bytes_tile.h. On other
** machines the file is empty.
*/
#include "kernels.h"
#if defined(__wasm_simd128__)
#include "kernels_wasm.h"

#define BYTES bytes_wasm
enum { WIDTH = 4, SIGNED_ROWS = 1, TILE_ROWS = 2 };
#define vec_products(sum, four, w) \
  (ints)wasm_add_products((v128_t)(sum), (v128_t)(w), (v128_t)(four))
#include "kernels_bytes_tile.h"

#else
typedef int kernels_bytes_wasm_nothing;
#endif
