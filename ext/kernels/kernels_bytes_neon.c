/*
** kernels_bytes_neon.c -- products of bytes for every arm64 CPU: 16 products of 16 bits, of which
** neighbours are added twice. Two of them fit: 127*64*2 is less than 2^15. The algorithm is in
** kernels_bytes_tile.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__aarch64__)
#include <arm_neon.h>

#define TARGET
#define BYTES bytes_neon
enum { WIDTH = 4, SIGNED_ROWS = 1, TILE_ROWS = 5 };    /* with 4 of w, 1 of x, 3 products: 28 */

static inline int32x4_t add_products(int32x4_t sum, int8x16_t x, int8x16_t w){
  int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(w));
  int16x8_t high = vmull_high_s8(x, w);
  return vpadalq_s16(sum, vpaddq_s16(low, high));
}
#define vec_products(sum, four, w) \
  (ints)add_products((int32x4_t)(sum), (int8x16_t)(four), (int8x16_t)(w))
#include "kernels_bytes_tile.h"

#else
typedef int kernels_bytes_neon_nothing;
#endif
