/*
** kernels_avx2.c -- the kernels for x86-64 CPUs with AVX2, FMA and F16C (since 2013); the algorithms are in kernels_tile.h and
** kernels_lanes.h. Nothing on other machines.
*/
#include "kernels.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define LINEAR linear_avx2
#define LANES lanes_avx2
typedef __m256 vec;
#define WIDTH 8
#define VECS_1 8
#define VECS_2 4
#define VECS_4 2
#define vec_zero()        _mm256_setzero_ps()
#define vec_all(x)        _mm256_set1_ps(x)
#define vec_load(p)       _mm256_loadu_ps(p)
#define vec_half(p)       _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p)))
#define vec_bytes(p)      _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)(p))))
#define vec_fma(a, b, c)  _mm256_fmadd_ps(a, b, c)
#define vec_store(p, a)   _mm256_storeu_ps(p, a)
#define DIRECT_ROWS_WIDE 8
#include "kernels_tile.h"
#include "kernels_lanes.h"

int linear_avx2_usable(void){
  unsigned a, b, c, d;
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
      && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);     /* clang 14 knows no __builtin_cpu_supports("f16c") */
}
#else
typedef int kernels_avx2_nothing;
#endif
