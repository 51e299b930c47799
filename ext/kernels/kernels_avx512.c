/*
** kernels_avx512.c -- the kernels for x86-64 CPUs with AVX-512. The algorithms are in
** kernels_tile.h and kernels_lanes.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* clang's UBSan build of this file alone takes a minute. kernels_avx2.c is the same code, and stays
** checked. */
#if defined(__clang__)
# define TARGET __attribute__((target("avx512f"), no_sanitize("undefined")))
#else
# define TARGET __attribute__((target("avx512f")))
#endif
#define LINEAR linear_avx512
#define LANES lanes_avx512
typedef __m512 vec;
#define WIDTH 16
#define VECS_1 16
#define VECS_2 8
#define VECS_4 4
#define DIRECT_ROWS_WIDE 32
#define vec_zero()        _mm512_setzero_ps()
#define vec_all(x)        _mm512_set1_ps(x)
#define vec_load(p)       _mm512_loadu_ps(p)
#define vec_half(p)       _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p)))
#define vec_bytes(p) \
  _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define vec_larger(a, b)  (floats)_mm512_max_ps((__m512)(a), (__m512)(b))
#define vec_put_bytes(p, n) \
  _mm_storeu_si128((__m128i *)(p), _mm512_cvtepi32_epi8((__m512i)(n)))
#define vec_fma(a, b, c)  _mm512_fmadd_ps(a, b, c)
#define vec_store(p, a)   _mm512_storeu_ps(p, a)
#include "kernels_tile.h"
#include "kernels_lanes.h"

#else
typedef int kernels_avx512_nothing;
#endif
