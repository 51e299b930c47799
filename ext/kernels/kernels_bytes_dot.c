/*
** kernels_bytes_dot.c -- products of bytes for arm64 CPUs with the instruction sdot (ARMv8.2 and
** later): 16 products, added in fours. The algorithm is in kernels_bytes_tile.h. On other machines
** the file is empty.
*/
#include "kernels.h"
#if defined(KERNELS_NEON_DOT)
#include <arm_neon.h>

#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define BYTES bytes_neon_dot
enum { WIDTH = 4, SIGNED_ROWS = 1, TILE_ROWS = 6 };    /* with 4 of w, 1 of x: 29 of 32 */
#define vec_products(sum, four, w) \
  (ints)vdotq_s32((int32x4_t)(sum), (int8x16_t)(four), (int8x16_t)(w))
#include "kernels_bytes_tile.h"

#else
typedef int kernels_bytes_dot_nothing;
#endif
