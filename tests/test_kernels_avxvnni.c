/*
** test_kernels_avxvnni.c -- the product of bytes with AVX-VNNI, its instruction written out in C
** (emulated.h).
**
** Prints a line for each property, as ok.h says. Exits with 1 when one failed.
*/
#include "emulated.h"
#if defined(KERNELS_AVX_VNNI)
#include <immintrin.h>

static inline __m256i dpbusd_256(__m256i sum, __m256i u, __m256i w){
  dpbusd(&sum, &u, &w, 8);
  return sum;
}
#define target(cpu)
#define _mm256_dpbusd_avx_epi32 dpbusd_256
#define bytes_avx2_vnni emulated
#include "kernels_bytes_avxvnni.c"
#else
#define emulated bytes_plain
#endif

int main(void){
  return emulated_ok("bytes: AVX-VNNI, emulated, equals plain");
}
