/*
** kernels_bytes_avx2.c -- products of bytes for x86-64 CPUs with AVX2. One instruction multiplies
** and adds two neighbours into 16 bits, a second adds two of those into 32. The algorithm is in
** kernels_bytes_tile.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define BYTES bytes_avx2
enum { WIDTH = 8, SIGNED_ROWS = 0, TILE_ROWS = 5 };    /* 10 sums, 6 registers besides */
#define vec_pairs(four, w) _mm256_maddubs_epi16((__m256i)(four), (__m256i)(w))
#define vec_products(sum, four, w) \
  ((sum) + (ints)_mm256_madd_epi16(vec_pairs(four, w), _mm256_set1_epi16(1)))
#include "kernels_bytes_tile.h"

#else
typedef int kernels_bytes_avx2_nothing;
#endif
