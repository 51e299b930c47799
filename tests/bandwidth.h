/*
** bandwidth.h -- the thread's own processor time, and how fast it reads memory: what
** bench_kernels.c and bench_groups.c share.
*/
#ifndef LATENT_TESTS_BANDWIDTH_H
#define LATENT_TESTS_BANDWIDTH_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

static double now(void){
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec*1e-9;
}

/* Reading n bytes and nothing else, GB/s, the best of some runs. They are aligned to 64, n is a
** multiple of 256, and what is read ends in sink[256]. The compiler's widest vectors are needed to
** see more than half of it. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static double bandwidth(const void *from, size_t n, int runs, void *sink){
  typedef uint64_t words __attribute__((vector_size(64)));
  double best = 0;
  for(int run=0; run<runs; run++){
    const words *end = (const words *)((const char *)from + n);
    words sum[4] = { { 0 } };
    double start = now();
    double speed;
    for(const words *at=(const words *)from; at<end; at+=4){
      for(int i=0; i<4; i++) sum[i] ^= at[i];
    }
    speed = (double)n/(now() - start)*1e-9;
    if( speed>best ) best = speed;
    memcpy(sink, sum, sizeof(sum));
  }
  return best;
}

#endif
