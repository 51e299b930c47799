/*
** kernels_groups_vnni.c -- products of groups for x86-64 CPUs with AVX-512 VNNI (Ice Lake, Zen 4):
** one instruction multiplies four bytes without a sign by four with one, and adds them to 32 bits.
** With 8 bits it gets w + 128, so sums start at -128 times the sum of the row's numbers. The
** algorithm is in kernels_groups_tile.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512vnni")))
#define GROUPS_CODE groups_avx512_vnni
/* A sum takes 5 cycles, and CPUs begin two in each: 10 rows or more keep them busy. */
enum { WIDTH = 16, ROWS_4 = 12, ROWS_8 = 12 };
typedef int32_t small __attribute__((vector_size(64)));
#define vec_dot(sum, w, four) \
  _mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(w), (__m512i)(four))
#define vec_small_add(sum, w, four)  (small)vec_dot(sum, w, four)
#define vec_small_sums(sum)          (ints)(sum)
#define vec_start(r)                 ((ints){ 0 } - 128*(r)->sum)
#define vec_add(sum, w, four)        (ints)vec_dot(sum, (w) ^ (int32_t)0x80808080, four)
#define vec_halves(p)                (floats)_mm512_cvtph_ps(*(const __m256i_u *)(p))
#define vec_fma(a, b, c) \
  (floats)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c))
#include "kernels_groups_tile.h"

#else
typedef int kernels_groups_vnni_nothing;
#endif
