/*
** test_groups_avxvnni.c -- the product of groups with AVX-VNNI, its instructions written out in C
** (emulated_groups.h).
**
** Prints a line for each property, as ok.h says. Exits with 1 when one failed.
*/
#include "emulated_groups.h"
#if defined(KERNELS_AVX_VNNI)
#include <immintrin.h>

static inline __m256i dpbusd_256(__m256i sum, __m256i u, __m256i w){
  dpbusd(&sum, &u, &w, 8);
  return sum;
}

static inline __m256 cvtph_256(__m128i halves){
  __m256 y;
  cvtph(&y, &halves, 8);
  return y;
}

static inline __m256 fmadd_256(__m256 a, __m256 b, __m256 c){
  fmadd(&a, &b, &c, 8);
  return c;
}
#define target(cpu)
#define _mm256_dpbusd_avx_epi32 dpbusd_256
#define _mm256_cvtph_ps cvtph_256
#define _mm256_fmadd_ps fmadd_256
#define groups_avx2_vnni emulated
#include "kernels_groups_avxvnni.c"
#else
#define emulated groups_plain
#endif

int main(void){
  return emulated_ok("groups: AVX-VNNI, emulated, equals plain");
}
