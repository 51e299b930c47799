/*
** kernels_groups_avxvnni.c -- products of groups for x86-64 CPUs with VNNI in vectors of 256 bits
** (AVX-VNNI: Alder Lake and later, which have no AVX-512), as in kernels_groups_vnni.c. On other
** machines the file is empty.
*/
#include "kernels.h"
#if defined(KERNELS_AVX_VNNI)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,f16c,avxvnni")))
#define GROUPS_CODE groups_avx2_vnni
enum { WIDTH = 8, ROWS_4 = 4, ROWS_8 = 5 };
typedef int32_t small __attribute__((vector_size(32)));
#define vec_dot(sum, w, four) \
  _mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(w), (__m256i)(four))
#define vec_small_add(sum, w, four)  (small)vec_dot(sum, w, four)
#define vec_small_sums(sum)          (ints)(sum)
#define vec_start(r)                 ((ints){ 0 } - 128*(r)->sum)
#define vec_add(sum, w, four)        (ints)vec_dot(sum, (w) ^ (int32_t)0x80808080, four)
#define vec_halves(p)                (floats)_mm256_cvtph_ps(*(const __m128i_u *)(p))
#define vec_fma(a, b, c) \
  (floats)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#include "kernels_groups_tile.h"

#else
typedef int kernels_groups_avxvnni_nothing;
#endif
