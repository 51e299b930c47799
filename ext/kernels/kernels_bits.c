/*
** kernels_bits.c -- products of sign codes with a number in bit planes. They are whole numbers,
** and so the same on every machine.
**
** A code is `words` words of 64 signs, 1 for plus. A query is four rows of as many bits, its
** planes. Number i of the query is bit i of the four planes, read in two's complement: -8..7. The
** product of the two is the sum of the query's numbers where the code has a 1, and that is
**
**     popcount(code & plane0) + 2 popcount(code & plane1)
**                             + 4 popcount(code & plane2) - 8 popcount(code & plane3)
**
** So each instruction that counts bits does 64 numbers (Gao and Long, RaBitQ, SIGMOD 2024, section
** 3.3.2; the sign of the last plane saves counting the ones of the code).
**
** Measured (AMD EPYC Zen 5, one core, gcc 12 -O2), ns a row:
**                  plain  popcnt  avx512
**     128 signs     11.4     4.0     0.4
**     256           21       7.3     1.2
**     384           32       7.6     1.2
*/
#include "kernels.h"
#include "kernels_inline.h"
#include <assert.h>
#include <stdatomic.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
# include <immintrin.h>
#endif

typedef void bits_code(int32_t *y, const uint64_t *codes, const uint64_t *planes, int n, int words);

/* The definition. It runs on every machine, and is compiled once more for CPUs that count the bits
** of a word in one instruction. */
static inline __attribute__((always_inline))
int32_t row_product(const uint64_t *code, const uint64_t *planes, int words){
  int32_t sums[4] = { 0 };
  for(int w=0; w<words; w++){
    for(int p=0; p<4; p++) sums[p] += __builtin_popcountll(code[w] & planes[p*words+w]);
  }
  return sums[0] + 2*sums[1] + 4*sums[2] - 8*sums[3];
}

static void bits_plain(int32_t *y, const uint64_t *codes, const uint64_t *planes, int n, int words){
  for(int i=0; i<n; i++, codes+=words) y[i] = row_product(codes, planes, words);
}

static int always(void){
  return 1;
}

#if defined(__x86_64__) && defined(__GNUC__)
/* ---- x86-64 since 2008 ---- */

static __attribute__((target("popcnt")))
void bits_popcnt(int32_t *y, const uint64_t *codes, const uint64_t *planes, int n, int words){
  for(int i=0; i<n; i++, codes+=words) y[i] = row_product(codes, planes, words);
}

static int popcnt_usable(void){
  return cpu_has(CPU_POPCNT);
}

/* ---- AVX-512 with VPOPCNTDQ: Intel since 2019, AMD since 2022 ---- */

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vpopcntdq")))

/* Eight words of codes against the same eight words of each plane. */
INLINE TARGET __m512i words_product(__m512i code, const __m512i plane[4]){
  __m512i ones = _mm512_popcnt_epi64(_mm512_and_si512(code, plane[0]));
  __m512i twos = _mm512_popcnt_epi64(_mm512_and_si512(code, plane[1]));
  __m512i fours = _mm512_popcnt_epi64(_mm512_and_si512(code, plane[2]));
  __m512i eights = _mm512_popcnt_epi64(_mm512_and_si512(code, plane[3]));
  __m512i low = _mm512_add_epi64(ones, _mm512_slli_epi64(twos, 1));
  __m512i high = _mm512_sub_epi64(fours, _mm512_slli_epi64(eights, 1));
  return _mm512_add_epi64(low, _mm512_slli_epi64(high, 2));
}

/* Sums of neighbours: a0+a1, b0+b1, a2+a3, b2+b3, ... */
INLINE TARGET __m512i pair_sums(__m512i a, __m512i b){
  return _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* The products of eight rows of up to 128 signs. As many rows as fit lie side by side in
** a vector. */
INLINE TARGET void eight_short(int32_t *y, const uint64_t *codes, const __m512i plane[4],
                               int words){
  const __m512i order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
  __m512i sums = words_product(_mm512_loadu_si512(codes), plane);
  if( words==2 ){
    __m512i more = words_product(_mm512_loadu_si512(codes + 8), plane);
    sums = _mm512_permutexvar_epi64(order, pair_sums(sums, more));
  }
  _mm256_storeu_si256((__m256i *)y, _mm512_cvtepi64_epi32(sums));
}

static TARGET
void bits_short(int32_t *y, const uint64_t *codes, const uint64_t *planes, int n, int words){
  __m512i plane[4];
  uint64_t last[16] = { 0 };
  int32_t rest[8];
  int i;
  for(int p=0; p<4; p++){
    plane[p] = words==1 ? _mm512_set1_epi64((long long)planes[p])
                        : _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(planes + 2*p)));
  }
  for(i=0; i+8<=n; i+=8) eight_short(y+i, codes + (size_t)i*words, plane, words);
  if( i==n ) return;
  memcpy(last, codes + (size_t)i*words, sizeof(uint64_t)*(size_t)((n-i)*words));
  eight_short(rest, last, plane, words);
  memcpy(y+i, rest, sizeof(int32_t)*(size_t)(n-i));
}

/* The halves of a vector, added: the pairs of a, then those of b. */
INLINE TARGET __m512i half_sums(__m512i a, __m512i b){
  return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xdd));
}

/* The sums of eight vectors, in order: pairs, then quarters, then halves of vectors are added. */
INLINE TARGET __m256i eight_sums(const __m512i v[8]){
  __m512i a = pair_sums(v[0], v[1]);
  __m512i b = pair_sums(v[2], v[3]);
  __m512i c = pair_sums(v[4], v[5]);
  __m512i d = pair_sums(v[6], v[7]);
  return _mm512_cvtepi64_epi32(half_sums(half_sums(a, b), half_sums(c, d)));
}

/* Rows of three to eight words: the planes stay in registers, and so do the sums of eight rows. */
static TARGET
void bits_middle(int32_t *y, const uint64_t *codes, const uint64_t *planes, int n, int words){
  const __mmask8 there = (__mmask8)((1<<words) - 1);
  __m512i plane[4], sums[8];
  for(int p=0; p<4; p++) plane[p] = _mm512_maskz_loadu_epi64(there, planes + p*words);
  for(; n>=8; n-=8, y+=8, codes+=(size_t)8*words){
    UNROLL for(int j=0; j<8; j++){
      sums[j] = words_product(_mm512_maskz_loadu_epi64(there, codes + (size_t)j*words), plane);
    }
    _mm256_storeu_si256((__m256i *)y, eight_sums(sums));
  }
  for(int j=0; j<n; j++, codes+=words){
    const __m512i code = _mm512_maskz_loadu_epi64(there, codes);
    y[j] = (int32_t)_mm512_reduce_add_epi64(words_product(code, plane));
  }
}

static TARGET
void bits_avx512(int32_t *y, const uint64_t *codes, const uint64_t *planes, int n, int words){
  if( words<=2 ){
    bits_short(y, codes, planes, n, words);
    return;
  }
  if( words<=8 ){
    bits_middle(y, codes, planes, n, words);
    return;
  }
  for(int i=0; i<n; i+=8){
    __m512i sums[8], plane[4];
    int rows = n-i<8 ? n-i : 8;
    for(int j=0; j<8; j++) sums[j] = _mm512_setzero_si512();
    for(int w=0; w<words; w+=8){
      __mmask8 there = (__mmask8)(words-w>=8 ? 0xff : (1<<(words-w)) - 1);
      for(int p=0; p<4; p++) plane[p] = _mm512_maskz_loadu_epi64(there, planes + p*words + w);
      for(int j=0; j<rows; j++){
        __m512i code = _mm512_maskz_loadu_epi64(there, codes + (size_t)(i+j)*words + w);
        sums[j] = _mm512_add_epi64(sums[j], words_product(code, plane));
      }
    }
    if( rows==8 ){
      _mm256_storeu_si256((__m256i *)(y+i), eight_sums(sums));
    }else{
      int32_t rest[8];
      _mm256_storeu_si256((__m256i *)rest, eight_sums(sums));
      memcpy(y+i, rest, sizeof(int32_t)*(size_t)rows);
    }
  }
}

static int avx512_usable(void){
  return cpu_has(CPU_AVX512_POPCNT);
}
#endif

/* ---- The choice, made at the first product, as in kernels_choose.c ----
** arm64 has no code of its own: compilers make vector code of the plain one. */

struct code {
  const char *name;
  int (*usable)(void);                          /* on this CPU */
  bits_code *products;
};
static const struct code codes_known[] = {      /* best first */
#if defined(__x86_64__) && defined(__GNUC__)
  { "avx512", avx512_usable, bits_avx512 },
  { "popcnt", popcnt_usable, bits_popcnt },
#endif
  { "plain", always, bits_plain },
};
static _Atomic(const struct code *) chosen;     /* NULL until the first product */

int bits_choose(const char *name){
  for(size_t i=0; i<sizeof(codes_known)/sizeof(codes_known[0]); i++){
    if( name && strcmp(name, codes_known[i].name)!=0 ) continue;
    if( !codes_known[i].usable() ) continue;
    atomic_store(&chosen, &codes_known[i]);
    return 1;
  }
  return 0;
}

void bit_products(int32_t *y, const uint64_t *codes, const uint64_t *planes, int n, int words){
  const struct code *c = atomic_load_explicit(&chosen, memory_order_acquire);
  assert( n>=0 && words>0 );
  if( c==NULL ){
    bits_choose(NULL);
    c = atomic_load(&chosen);
  }
  c->products(y, codes, planes, n, words);
}
