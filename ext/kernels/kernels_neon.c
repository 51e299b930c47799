/*
** kernels_neon.c -- matrix products for arm64, where NEON, its fused multiply-add and its binary16
** conversion are always there. The algorithm is in kernels_tile.h. On other machines the file is
** empty.
*/
#include "kernels.h"
#if defined(__aarch64__)
#include <arm_neon.h>

#define TARGET
#define LINEAR linear_neon
typedef float32x4_t vec;
#define WIDTH 4
#define VECS_1 16
#define VECS_2 8
#define VECS_4 4
#define DIRECT_ROWS_WIDE 16
#define vec_zero()        vdupq_n_f32(0.0f)
#define vec_all(x)        vdupq_n_f32(x)
#define vec_load(p)       vld1q_f32(p)
#define vec_half(p)       vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))
#define vec_fma(a, b, c)  vfmaq_f32(c, a, b)
#define vec_store(p, a)   vst1q_f32(p, a)
#include "kernels_tile.h"

#else
typedef int kernels_neon_nothing;
#endif
