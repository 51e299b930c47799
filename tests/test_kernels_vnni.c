/*
** test_kernels_vnni.c -- the product of bytes with AVX-512 VNNI, its instruction written out in C
** (emulated.h).
**
** Prints a line for each property, as ok.h says. Exits with 1 when one failed.
*/
#include "emulated.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

static inline __m512i dpbusd_512(__m512i sum, __m512i u, __m512i w){
  dpbusd(&sum, &u, &w, 16);
  return sum;
}
#define target(cpu)
#define _mm512_dpbusd_epi32 dpbusd_512
#define bytes_avx512_vnni emulated
#include "kernels_bytes_vnni.c"
#else
#define emulated bytes_plain
#endif

int main(void){
  return emulated_ok("bytes: AVX-512 VNNI, emulated, equals plain");
}
