/*
** kernels_groups_avx2.c -- products of groups for x86-64 CPUs with AVX2. One instruction multiplies
** bytes without a sign by bytes with one, and adds two neighbours into 16 bits. With 4 bits that is
** enough for a group. With 8 bits the sign of w is moved to x, and a second instruction adds two of
** those sums into 32 bits. The algorithm is in kernels_groups_tile.h. On other machines the file is
** empty.
*/
#include "kernels.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define GROUPS_CODE groups_avx2
enum { WIDTH = 8, ROWS_4 = 3, ROWS_8 = 4 };
typedef int16_t small __attribute__((vector_size(32)));
#define vec_small_add(sum, w, four) \
  ((sum) + (small)_mm256_maddubs_epi16((__m256i)(w), (__m256i)(four)))
#define vec_small_sums(sum)  (ints)_mm256_madd_epi16((__m256i)(sum), _mm256_set1_epi16(1))
#define vec_start(r)         ((void)(r), (ints){ 0 })
#define vec_pairs(w, four) \
  _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)(w)), \
                       _mm256_sign_epi8((__m256i)(four), (__m256i)(w)))
#define vec_add(sum, w, four) \
  ((sum) + (ints)_mm256_madd_epi16(vec_pairs(w, four), _mm256_set1_epi16(1)))
#define vec_halves(p)        (floats)_mm256_cvtph_ps(*(const __m128i_u *)(p))
#define vec_fma(a, b, c)     (floats)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#include "kernels_groups_tile.h"

#else
typedef int kernels_groups_avx2_nothing;
#endif
