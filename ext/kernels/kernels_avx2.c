/*
** kernels_avx2.c -- the kernels for x86-64 CPUs with AVX2, FMA and F16C (since 2013). The
** algorithms are in kernels_tile.h and kernels_lanes.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define LINEAR linear_avx2
#define LANES lanes_avx2
typedef __m256 vec;
#define WIDTH 8
#define VECS_1 8
#define VECS_2 4
#define VECS_4 2
#define DIRECT_ROWS_WIDE 8
#define vec_zero()        _mm256_setzero_ps()
#define vec_all(x)        _mm256_set1_ps(x)
#define vec_load(p)       _mm256_loadu_ps(p)
#define vec_half(p)       _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p)))
#define vec_bytes(p) \
  _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p))))
#define vec_larger(a, b)  (floats)_mm256_max_ps((__m256)(a), (__m256)(b))
#define vec_put_bytes(p, n)  put_bytes(p, (__m256i)(n))
#define vec_fma(a, b, c)  _mm256_fmadd_ps(a, b, c)
#define vec_store(p, a)   _mm256_storeu_ps(p, a)

static inline TARGET void put_bytes(uint8_t *p, __m256i n){
  __m128i low = _mm256_castsi256_si128(n);
  __m128i words = _mm_packus_epi32(low, _mm256_extracti128_si256(n, 1));
  _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
}
#include "kernels_tile.h"
#include "kernels_lanes.h"

#else
typedef int kernels_avx2_nothing;
#endif
