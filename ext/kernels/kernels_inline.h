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

#endif
