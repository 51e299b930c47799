/*
** test_groups_vnni.c -- the product of groups with AVX-512 VNNI, its instructions written out in C
** (emulated_groups.h).
**
** Prints a line for each property, as ok.h says. Exits with 1 when one failed.
*/
#include "emulated_groups.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

static inline __m512i dpbusd_512(__m512i sum, __m512i u, __m512i w){
  dpbusd(&sum, &u, &w, 16);
  return sum;
}

static inline __m512 cvtph_512(__m256i halves){
  __m512 y;
  cvtph(&y, &halves, 16);
  return y;
}

static inline __m512 fmadd_512(__m512 a, __m512 b, __m512 c){
  fmadd(&a, &b, &c, 16);
  return c;
}
#define target(cpu)
#define _mm512_dpbusd_epi32 dpbusd_512
#define _mm512_cvtph_ps cvtph_512
#define _mm512_fmadd_ps fmadd_512
#define groups_avx512_vnni emulated
#include "kernels_groups_vnni.c"
#else
#define emulated groups_plain
#endif

int main(void){
  return emulated_ok("groups: AVX-512 VNNI, emulated, equals plain");
}
