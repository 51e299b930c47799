/*
** kernels_inline.h -- for the tiles: functions that are always inlined, and loops that are always
** unrolled, so that arrays of sums become registers.
*/
#ifndef LATENT_KERNELS_INLINE_H
#define LATENT_KERNELS_INLINE_H

#if defined(__clang__)
# define UNROLL _Pragma("clang loop unroll(full)")
#else
# define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))
/* The cases of a switch over the rows of a tile, so that R is a constant in each. */
#define EACH_TO_12(CASE) \
  CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6); \
  CASE(7); CASE(8); CASE(9); CASE(10); CASE(11); CASE(12);

#endif
