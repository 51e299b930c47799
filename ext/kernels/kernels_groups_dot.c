/*
** kernels_groups_dot.c -- products of groups for arm64 CPUs with the instruction sdot (ARMv8.2 and
** later): 16 products, added in fours. The algorithm is in kernels_groups_tile.h. On other machines
** the file is empty.
*/
#include "kernels.h"
#if defined(KERNELS_NEON_DOT)
#include <arm_neon.h>

#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define GROUPS_CODE groups_neon_dot
enum { WIDTH = 4, ROWS_4 = 5, ROWS_8 = 6 };
typedef int32_t small __attribute__((vector_size(16)));
#define vec_dot(sum, w, four) \
  vdotq_s32((int32x4_t)(sum), (int8x16_t)(w), (int8x16_t)(four))
#define vec_small_add(sum, w, four)  (small)vec_dot(sum, w, four)
#define vec_small_sums(sum)          (ints)(sum)
#define vec_start(r)                 ((void)(r), (ints){ 0 })
#define vec_add(sum, w, four)        (ints)vec_dot(sum, w, four)
#define vec_halves(p)                (floats)vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)))
#define vec_fma(a, b, c) \
  (floats)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b))
#include "kernels_groups_tile.h"

#else
typedef int kernels_groups_dot_nothing;
#endif
