/*
** kernels_choose.c -- which code computes products and vectors on this CPU. (kernels_bits.c
** chooses for itself: its codes need other instructions.)
**
** The choice is made at the first call, from the CPU alone, never from the environment. It is one
** pointer, read and written atomically. Threads that race to choose find the same.
*/
#include "kernels.h"
#include <stdatomic.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
# include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
# include <asm/hwcap.h>
# include <sys/auxv.h>
#endif

struct code {
  const char *name;
  int (*usable)(void);                  /* on this CPU */
  linear_code *linear;
  bytes_code *bytes;
  groups_code *groups;
  const struct lanes_table *lanes;
};

#if defined(__x86_64__) && defined(__GNUC__)
/* The registers that the system saves when it switches threads: XCR0. */
static unsigned saved_registers(void){
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

/* Asked by cpuid itself. __builtin_cpu_supports() needs the compiler's run-time library, and where
** that is missing it answers 0 to everything: the engine would then run "plain", 150 times slower,
** and say nothing. */
int cpu_has(enum cpu_feature feature){
  enum { AVX_SAVED = 0x06, AVX512_SAVED = 0xe6, AVX_VNNI = 1<<4 };
  unsigned a, b, c, d, b7, c7, last;
  unsigned saved;
  if( !__get_cpuid(1, &a, &b, &c, &d) ) return 0;
  if( feature==CPU_POPCNT ) return (c & bit_POPCNT)!=0;
  if( !(c & bit_OSXSAVE) || !__get_cpuid_count(7, 0, &last, &b7, &c7, &d) ) return 0;
  saved = saved_registers();
  if( feature==CPU_AVX2 || feature==CPU_AVX2_VNNI ){
    unsigned wanted = bit_AVX | bit_FMA | bit_F16C;
    if( (saved & AVX_SAVED)!=AVX_SAVED || (c & wanted)!=wanted || !(b7 & bit_AVX2) ) return 0;
    if( feature==CPU_AVX2 ) return 1;
    return last>=1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & AVX_VNNI)!=0;
  }
  if( (saved & AVX512_SAVED)!=AVX512_SAVED || !(b7 & bit_AVX512F) ) return 0;
  if( feature==CPU_AVX512 ) return 1;
  if( feature==CPU_AVX512_VNNI ) return (c7 & bit_AVX512VNNI)!=0;
  return (b7 & bit_AVX512BW)!=0 && (c7 & bit_AVX512VPOPCNTDQ)!=0;
}

static int avx512_usable(void){
  return cpu_has(CPU_AVX512);
}

static int avx512_vnni_usable(void){
  return cpu_has(CPU_AVX512_VNNI);
}

static int avx2_usable(void){
  return cpu_has(CPU_AVX2);
}
#endif

#if defined(KERNELS_AVX_VNNI)
static int avx2_vnni_usable(void){
  return cpu_has(CPU_AVX2_VNNI);
}
#endif

#if defined(KERNELS_NEON_DOT)
static int neon_dot_usable(void){
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP)!=0;
#elif defined(__APPLE__)
  return 1;                             /* all of Apple's own CPUs for computers have it */
#else
  return 0;
#endif
}
#endif

static int always(void){
  return 1;
}

static void plain(float *y, const float *x, const struct matrix *w, int rows, float *scratch){
  (void)scratch;
  linear_plain(y, x, w, rows);
}

static const struct code codes[] = {    /* best first */
#if defined(__x86_64__) && defined(__GNUC__)
  { "avx512_vnni", avx512_vnni_usable, linear_avx512, bytes_avx512_vnni, groups_avx512_vnni,
    &lanes_avx512 },
  { "avx512", avx512_usable, linear_avx512, bytes_avx2, groups_avx2, &lanes_avx512 },
# if defined(KERNELS_AVX_VNNI)
  { "avx2_vnni", avx2_vnni_usable, linear_avx2, bytes_avx2_vnni, groups_avx2_vnni, &lanes_avx2 },
# endif
  { "avx2", avx2_usable, linear_avx2, bytes_avx2, groups_avx2, &lanes_avx2 },
#elif defined(__aarch64__)
# if defined(KERNELS_NEON_DOT)
  { "neon_dot", neon_dot_usable, linear_neon, bytes_neon_dot, groups_neon_dot, &lanes_plain },
# endif
  { "neon", always, linear_neon, bytes_neon, groups_neon, &lanes_plain },
#elif defined(__wasm_simd128__)
# if defined(__wasm_relaxed_simd__)
  { "wasm_relaxed", wasm_fuses, linear_wasm_relaxed, bytes_wasm, groups_wasm_relaxed,
    &lanes_plain },
# endif
  { "wasm", always, linear_wasm, bytes_wasm, groups_wasm, &lanes_plain },
#endif
  { "openblas", linear_openblas_usable, linear_openblas, bytes_plain, groups_plain, &lanes_plain },
  { "plain", always, plain, bytes_plain, groups_plain, &lanes_plain },
};
static _Atomic(const struct code *) chosen;     /* NULL until the first call */

int linear_choose(const char *name){
  for(size_t i=0; i<sizeof(codes)/sizeof(codes[0]); i++){
    if( name && strcmp(name, codes[i].name)!=0 ) continue;
    if( !codes[i].usable() ) continue;
    atomic_store(&chosen, &codes[i]);
    return 1;
  }
  return 0;
}

static const struct code *code(void){
  const struct code *c = atomic_load_explicit(&chosen, memory_order_acquire);
  if( c==NULL ){
    linear_choose(NULL);
    c = atomic_load(&chosen);
  }
  return c;
}

const char *linear_kernel(void){
  return code()->name;
}

linear_code *linear_chosen(void){
  return code()->linear;
}

bytes_code *bytes_chosen(void){
  return code()->bytes;
}

groups_code *groups_chosen(void){
  return code()->groups;
}

const struct lanes_table *lanes_chosen(void){
  return code()->lanes;
}
