/*
** base_reader.c -- numbers out of bytes: little-endian, never past the end.
**
** A format is read field by field, without a check between. A read that would pass the end sets
** `bad` and gives 0, and so do all after it. The conversions to and from 16-bit floats are here as
** well, plain and exact: they are the definition, and the fast ones of the kernels must agree with
** them.
*/
#include "base.h"
#include <assert.h>
#include <string.h>

struct reader reader_of(const void *data, size_t n){
  const unsigned char *at = data;
  const unsigned char *end = n ? at + n : at;   /* NULL + 0 is not defined in C */
  assert( data!=NULL || n==0 );
  return (struct reader){ at, end, 0 };
}

const void *reader_bytes(struct reader *r, size_t n){
  const unsigned char *p = r->at;
  if( r->bad || (size_t)(r->end - r->at)<n ){
    r->bad = 1;
    return NULL;
  }
  if( n ) r->at += n;
  return p;
}

static uint64_t read_number(struct reader *r, size_t n){
  const unsigned char *p = reader_bytes(r, n);
  uint64_t x = 0;
  if( p==NULL ) return 0;
  for(size_t i=0; i<n; i++) x |= (uint64_t)p[i] << 8*i;
  return x;
}

uint8_t reader_u8(struct reader *r){
  return (uint8_t)read_number(r, 1);
}

uint16_t reader_u16(struct reader *r){
  return (uint16_t)read_number(r, 2);
}

uint32_t reader_u32(struct reader *r){
  return (uint32_t)read_number(r, 4);
}

uint64_t reader_u64(struct reader *r){
  return read_number(r, 8);
}

/* One check for all: a search reads some 70 vectors. */
void reader_floats(struct reader *r, float *x, size_t n){
  const unsigned char *p = n<=SIZE_MAX/4 ? reader_bytes(r, 4*n) : NULL;
  if( p==NULL ){
    r->bad = 1;
    memset(x, 0, n*sizeof(*x));
    return;
  }
  for(size_t i=0; i<n; i++, p+=4){
    uint32_t bits = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    memcpy(&x[i], &bits, sizeof(bits));
  }
}

/*
** binary16: sign 1 bit, exponent 5 (bias 15), fraction 10; binary32: 1, 8 (bias 127), 23.
** A subnormal half is fraction * 2^-24, which a float holds exactly.
*/
float half_to_float(uint16_t half){
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = (half >> 10) & 31;
  uint32_t fraction = half & 0x3FF;
  uint32_t bits;
  float x;
  if( exponent==0 ){
    x = (float)fraction*(1.0f/16777216.0f);
    return sign ? -x : x;
  }
  if( exponent==31 ) bits = sign | 0x7F800000 | fraction << 13;
  else bits = sign | (exponent + 112) << 23 | fraction << 13;
  memcpy(&x, &bits, 4);
  return x;
}

/* x without its lowest `shift` bits (1..31), rounded to nearest; a tie goes to the even
** neighbour. */
static uint32_t shift_rounded(uint32_t x, int shift){
  uint32_t kept = x >> shift;
  uint32_t rest = x & (((uint32_t)1 << shift) - 1);
  uint32_t tie = (uint32_t)1 << (shift - 1);
  return kept + (rest>tie || (rest==tie && (kept & 1)));
}

/*
** When the rounded fraction overflows, the carry runs into the exponent. That is right: it rounds
** up to the next power of two, from subnormal to normal as well. From the largest finite half it
** gives exactly the bits of infinity.
*/
static uint32_t size_to_half(uint32_t size){
  uint32_t fraction = (size & 0x7FFFFF) | 0x800000;                     /* with its leading 1 */
  if( size>0x7F800000 ) return 0x7E00 | (size >> 13 & 0x1FF);           /* NaN, made quiet */
  if( size>=0x47800000 ) return 0x7C00;                                 /* 65536 and above */
  if( size>=0x38800000 ) return shift_rounded(size - ((uint32_t)112 << 23), 13);
  if( size<0x33000000 ) return 0;                                       /* below 2^-25 */
  return shift_rounded(fraction, 126 - (int)(size >> 23));              /* in units of 2^-24 */
}

uint16_t float_to_half(float x){
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return (uint16_t)((bits >> 16 & 0x8000) | size_to_half(bits & 0x7FFFFFFF));
}

void round_to_halves(float *x, size_t n){
  for(size_t i=0; i<n; i++) x[i] = half_to_float(float_to_half(x[i]));
}
