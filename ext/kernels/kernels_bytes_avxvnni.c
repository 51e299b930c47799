/*
** kernels_bytes_avxvnni.c -- products of bytes for x86-64 CPUs with VNNI in vectors of 256 bits
** (AVX-VNNI: Alder Lake and later, which have no AVX-512). The algorithm is in
** kernels_bytes_tile.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(KERNELS_AVX_VNNI)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,avxvnni")))
#define BYTES bytes_avx2_vnni
enum { WIDTH = 8, SIGNED_ROWS = 0, TILE_ROWS = 6 };    /* with 2 of w, 1 of x: 15 of 16 */
#define vec_products(sum, four, w) \
  (ints)_mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(four), (__m256i)(w))
#include "kernels_bytes_tile.h"

#else
typedef int kernels_bytes_avxvnni_nothing;
#endif
