/*
** kernels_groups_neon.c -- products of groups for every arm64 CPU. With 4 bits the products of each
** byte are summed in 16 bits for a whole group, and neighbours are added at its end. With 8 bits
** neighbours are added twice in each step; two of them fit: 127*127*2 is less than 2^15. The
** algorithm is in kernels_groups_tile.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__aarch64__)
#include <arm_neon.h>

#define TARGET
#define GROUPS_CODE groups_neon
enum { WIDTH = 4, ROWS_4 = 3, ROWS_8 = 5 };
typedef struct {                /* 16 sums: those of a column's four bytes are neighbours */
  int16x8_t low, high;
} small;

static inline small small_add(small sum, int8x16_t w, int8x16_t x){
  sum.low = vmlal_s8(sum.low, vget_low_s8(w), vget_low_s8(x));
  sum.high = vmlal_high_s8(sum.high, w, x);
  return sum;
}

static inline int32x4_t add_products(int32x4_t sum, int8x16_t w, int8x16_t x){
  int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
  int16x8_t high = vmull_high_s8(w, x);
  return vpadalq_s16(sum, vpaddq_s16(low, high));
}
#define vec_small_add(sum, w, four)  small_add(sum, (int8x16_t)(w), (int8x16_t)(four))
#define vec_small_sums(sum)          (ints)vpaddlq_s16(vpaddq_s16((sum).low, (sum).high))
#define vec_start(r)                 ((void)(r), (ints){ 0 })
#define vec_add(sum, w, four) \
  (ints)add_products((int32x4_t)(sum), (int8x16_t)(w), (int8x16_t)(four))
#define vec_halves(p)                (floats)vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)))
#define vec_fma(a, b, c) \
  (floats)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b))
#include "kernels_groups_tile.h"

#else
typedef int kernels_groups_neon_nothing;
#endif
