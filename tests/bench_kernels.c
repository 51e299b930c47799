/*
** bench_kernels.c -- how fast the kernels are on one thread of this machine, beside OpenBLAS and
** the machine's own limits. `make bench` builds and runs it; no test depends on it.
**
** Products run over 12 MB of binary16 matrices in turn, as a decoder's step does. So the matrices
** come from the last-level cache, not from the first. OpenBLAS gets them as float (it has no
** binary16), and its matrix-vector product for one row. It chooses its CPU when it is loaded, from
** OPENBLAS_CORETYPE, so each choice is measured in a child process of its own. Time is the thread's
** own processor time, and every figure is the best of many short runs: other load on the machine
** disturbs that least.
*/
#include "bandwidth.h"
#include "kernels.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__has_include)
# if __has_include(<cblas.h>)
#  include <cblas.h>
#  define HAVE_CBLAS
# endif
#endif

enum {
  WEIGHTS = 6 << 20,    /* numbers, in all matrices of a shape together */
  ROWS_MOST = 1024,
  IN_MOST = 704,
  OUT_MOST = 8192
};
static const int rows_of[] = { 1, 2, 4, 16, 64, 256, 1024 };
static const int shapes[][2] = { { 256, 256 }, { 256, 1408 }, { 704, 256 }, { 256, 8192 } };
enum {
  N_ROWS = sizeof(rows_of)/sizeof(rows_of[0]),
  N_SHAPES = sizeof(shapes)/sizeof(shapes[0])
};

static uint16_t *half;
static float *full, *x, *y, *scratch;

static void fill(void){
  half = aligned_alloc(4096, WEIGHTS*sizeof(uint16_t));
  full = aligned_alloc(4096, WEIGHTS*sizeof(float));
  x = aligned_alloc(64, sizeof(float)*ROWS_MOST*IN_MOST);
  y = aligned_alloc(64, sizeof(float)*ROWS_MOST*OUT_MOST);
  scratch = aligned_alloc(64, sizeof(float)*LINEAR_SCRATCH(IN_MOST));
  for(size_t i=0; i<WEIGHTS; i++){
    half[i] = (uint16_t)(0x2000 + i*7919%8192);
    full[i] = (float)(i*7919%8192)*1e-4f;
  }
  for(size_t i=0; i<(size_t)ROWS_MOST*IN_MOST; i++) x[i] = (float)(i%7)*0.1f;
  memset(y, 0, sizeof(float)*ROWS_MOST*OUT_MOST);
}

/* ---- The limits ---- */

/* Fused multiply-adds on registers alone, GFLOP/s: 12 independent chains hide the latency. */
#if defined(__x86_64__)
#include <immintrin.h>
#define PEAK(name, isa, vec, set, fma, width) \
  static __attribute__((target(isa))) double name(void){ \
    vec s[12]; \
    vec a = set(0.99f); \
    double best = 0; \
    for(int i=0; i<12; i++) s[i] = set((float)i); \
    for(int run=0; run<40; run++){ \
      double start = now(); \
      double flops; \
      for(int k=0; k<100000; k++){ \
        s[0] = fma(a, s[0], a); \
        s[1] = fma(a, s[1], a); \
        s[2] = fma(a, s[2], a); \
        s[3] = fma(a, s[3], a); \
        s[4] = fma(a, s[4], a); \
        s[5] = fma(a, s[5], a); \
        s[6] = fma(a, s[6], a); \
        s[7] = fma(a, s[7], a); \
        s[8] = fma(a, s[8], a); \
        s[9] = fma(a, s[9], a); \
        s[10] = fma(a, s[10], a); \
        s[11] = fma(a, s[11], a); \
      } \
      flops = 12*2*width*1e5/(now() - start)*1e-9; \
      if( flops>best ) best = flops; \
    } \
    for(int i=0; i<12; i++) memcpy(scratch + 16*i, &s[i], sizeof(vec)); \
    return best; \
  }
PEAK(peak_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, 16)
PEAK(peak_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, 8)

static double peak_of(const char *name){
  if( strcmp(name, "avx512")==0 ) return peak_avx512();
  if( strcmp(name, "avx2")==0 ) return peak_avx2();
  return 0;
}
#else
static double peak_of(const char *name){
  (void)name;
  return 0;
}
#endif

/* ---- Products ---- */

typedef void product(int in, int out, int rows, size_t at);

static void ours(int in, int out, int rows, size_t at){
  struct matrix w = { .in = in, .out = out, .half = half + at };
  linear(y, x, &w, rows, scratch);
}

#ifdef HAVE_CBLAS
static __typeof__(cblas_sgemm) *sgemm;
static __typeof__(cblas_sgemv) *sgemv;

static void theirs(int in, int out, int rows, size_t at){
  const float *w = full + at;
  if( rows==1 ){
    sgemv(CblasRowMajor, CblasTrans, in, out, 1.0f, w, out, x, 1, 0.0f, y, 1);
  }else{
    sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, out, in,
          1.0f, x, in, w, out, 0.0f, y, out);
  }
}
#endif

/* GFLOP/s of products of `rows` rows by [in, out]. */
static double measure_one(int in, int out, int rows, product *multiply){
  size_t one = (size_t)in*out;
  int n_matrices = (int)(WEIGHTS/one);
  int n = (int)(2e8/((double)one*rows));                /* about 2 ms a run */
  int next = 0;
  double best = 1e9;
  if( n>n_matrices ) n = n_matrices;
  if( n<1 ) n = 1;
  for(int run=0; run<40; run++){
    double start = now();
    double time;
    for(int i=0; i<n; i++){
      multiply(in, out, rows, one*(next%n_matrices));
      next++;
    }
    time = now() - start;
    if( time<best ) best = time;
  }
  return 2.0*(double)one*rows*n/best*1e-9;
}

/* flops[N_ROWS, N_SHAPES]: GFLOP/s for every shape and number of rows. */
static void measure(double *flops, product *multiply){
  for(int r=0; r<N_ROWS; r++){
    for(int s=0; s<N_SHAPES; s++){
      flops[r*N_SHAPES+s] = measure_one(shapes[s][0], shapes[s][1], rows_of[r], multiply);
    }
  }
}

/* The same of OpenBLAS, in a child that tells it which CPU it runs on. The figures stay 0 when it
** cannot be loaded. */
static double *measure_openblas(const char *cpu){
  size_t bytes = sizeof(double)*N_ROWS*N_SHAPES;
  double *flops = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
#ifdef HAVE_CBLAS
  pid_t child = fork();
  if( child==0 ){
    void *library, (*set_threads)(int);
    setenv("OPENBLAS_CORETYPE", cpu, 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    library = dlopen("libopenblas.so.0", RTLD_NOW);
    if( library ){
      *(void **)&sgemm = dlsym(library, "cblas_sgemm");
      *(void **)&sgemv = dlsym(library, "cblas_sgemv");
      *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
      if( set_threads ) set_threads(1);
      measure(flops, theirs);
    }
    _exit(0);
  }
  if( child>0 ) waitpid(child, NULL, 0);
#endif
  (void)cpu;
  return flops;
}

static void print(const char *name, const double *flops, double peak){
  printf("\n%s, GFLOP/s", name);
  if( peak>0 ) printf(" (and share of %.0f)", peak);
  printf("\n%6s", "rows");
  for(int s=0; s<N_SHAPES; s++) printf("  %9d->%-4d", shapes[s][0], shapes[s][1]);
  printf("\n");
  for(int r=0; r<N_ROWS; r++){
    printf("%6d", rows_of[r]);
    for(int s=0; s<N_SHAPES; s++){
      if( peak>0 ) printf("  %8.1f %3.0f%% ", flops[r*N_SHAPES+s], 100*flops[r*N_SHAPES+s]/peak);
      else printf("  %8.1f      ", flops[r*N_SHAPES+s]);
    }
    printf("\n");
  }
}

/* ---- The rest ---- */

#define TIME(name, call) do{ \
    double best = 1e9; \
    for(int run=0; run<200; run++){ \
      double start = now(); \
      double time; \
      for(int i=0; i<100; i++) call; \
      time = (now() - start)/100; \
      if( time<best ) best = time; \
    } \
    printf("  %-40s %8.0f ns\n", name, best*1e9); \
  }while( 0 )

static void measure_rest(void){
  TIME("rms_norm, 256", rms_norm(y, x, full, 1, 256, 1e-6f));
  TIME("silu_gate, 704", silu_gate(y, x, 1, 704));
  TIME("rotary, 4 heads", rotary(y, x, 4, 64));
  TIME("add, 256", add(y, x, 256));
  TIME("attend, 24 keys, stride 512", attend(y, x, full, full+256, 24, 512, scratch));
  TIME("attend, 72 keys, stride 512", attend(y, x, full, full+256, 72, 512, scratch));
  TIME("log_softmax, 8192", log_softmax(y, 8192));
}

int main(void){
  static const char *const codes[] = { "avx512", "avx2", "neon", "plain" };
  static double flops[N_ROWS*N_SHAPES];
  const char *best = linear_kernel();
  fill();
  printf("one thread; the weights are read at %.0f GB/s by a loop that does nothing else\n",
         bandwidth(half, WEIGHTS*sizeof(uint16_t), 20, scratch));
  for(size_t c=0; c<sizeof(codes)/sizeof(codes[0]); c++){
    char name[60];
    if( !linear_choose(codes[c]) ) continue;
    if( strcmp(codes[c], "plain")!=0 || strcmp(best, "plain")==0 ){
      measure(flops, ours);
      snprintf(name, sizeof(name), "latent, %s, binary16 weights", codes[c]);
      print(name, flops, peak_of(codes[c]));
    }
    printf("\nlatent, %s, other kernels, one call\n", codes[c]);
    measure_rest();
  }
  linear_choose(NULL);
  print("OpenBLAS as Haswell (what Debian's takes newer CPUs for), float weights",
        measure_openblas("Haswell"), 0);
  print("OpenBLAS as SkylakeX, float weights", measure_openblas("SkylakeX"), 0);
  return 0;
}
