/*
** kernels_bytes_vnni.c -- products of bytes for x86-64 CPUs with AVX-512 VNNI (Ice Lake, Zen 4):
** one instruction multiplies four bytes without a sign by four with one, and adds them to 32 bits.
** The algorithm is in kernels_bytes_tile.h. On other machines the file is empty.
*/
#include "kernels.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512vnni")))
#define BYTES bytes_avx512_vnni
/* A sum takes 5 cycles, and CPUs begin two in each: 10 rows or more keep them busy. */
enum { WIDTH = 16, SIGNED_ROWS = 0, TILE_ROWS = 12 };
#define vec_products(sum, four, w) \
  (ints)_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(four), (__m512i)(w))
#include "kernels_bytes_tile.h"

#else
typedef int kernels_bytes_vnni_nothing;
#endif
