/*
** codec_latent.c -- the latent BLOB: a point of the latent space, or several in order.
**
**      0  "LTNT"
**      4  u8   format version, 1
**      5  u8   kind: 0 direction, 1 text, 2 picture, 3 code
**      6  u8   element: 0 f32, 1 f16, 2 i8
**      7  u8   0
**      8  u16  segments, 1 or more
**     10  u16  width of a segment, 1 or more
**     12  u32  fingerprint of the model that made it
**     16  the segments: width elements each; with i8 one f32 scale before each segment,
**         and a number is scale * element
**
** Little-endian. Nothing follows the last segment. A blob may come from
** anywhere, so that each of its bytes is checked and each number is finite.
*/
#include "codec.h"
#include <assert.h>
#include <math.h>
#include <string.h>

#define MAGIC "LTNT"
enum {
  VERSION = 1,
  HEADER_BYTES = 16,
  SEGMENTS_A_TIME = 256,        /* read until the caller is asked whether to go on */
  NUMBERS_A_TIME = 1 << 18      /* checked or written until then */
};

enum { F32 = 0, F16 = 1, I8 = 2 };      /* as stored: not the order of enum element */
static const struct { const char *name; unsigned bytes, scale_bytes; } elements[] = {
  [F32] = { "f32", 4, 0 }, [F16] = { "f16", 2, 0 }, [I8] = { "i8", 1, 4 },
};

int latent_is(const void *blob, size_t n){
  return n>=4 && memcmp(blob, MAGIC, 4)==0;
}

int latent_peek(const void *blob, size_t n, int *kind, uint32_t *fingerprint){
  const unsigned char *p = blob;
  if( n<HEADER_BYTES || !latent_is(blob, n) ) return 0;
  *kind = p[5];
  *fingerprint = p[12] | (uint32_t)p[13]<<8 | (uint32_t)p[14]<<16 | (uint32_t)p[15]<<24;
  return 1;
}

/* What the header says, before it is checked. The reader stands behind the magic, and then at the
** payload. */
struct header {
  int version, kind, element, reserved;
};

static struct header read_header(struct latent *z, struct reader *r){
  struct header h;
  h.version = reader_u8(r);
  h.kind = reader_u8(r);
  h.element = reader_u8(r);
  h.reserved = reader_u8(r);
  z->n_segments = reader_u16(r);
  z->width = reader_u16(r);
  z->fingerprint = reader_u32(r);
  z->kind = h.kind;
  return h;
}

static int check_header(const struct header *h, const struct latent *z, const char *who,
                        struct err *e){
  if( h->version!=VERSION ){
    return fail(e, SQLITE_ERROR, "%s: latent of format version %d, this build reads %d", who,
                h->version, VERSION);
  }
  if( h->kind>KIND_CODE ){
    return fail(e, SQLITE_ERROR, "%s: latent of kind %d, expected 0 to %d", who, h->kind,
                KIND_CODE);
  }
  if( h->element>I8 ){
    return fail(e, SQLITE_ERROR, "%s: latent of element type %d, expected 0 to %d", who, h->element,
                I8);
  }
  if( h->reserved!=0 ){
    return fail(e, SQLITE_ERROR, "%s: latent with %d in its reserved byte, expected 0", who,
                h->reserved);
  }
  if( z->n_segments==0 ){
    return fail(e, SQLITE_ERROR, "%s: latent of 0 segments, expected 1 or more", who);
  }
  if( z->width==0 ){
    return fail(e, SQLITE_ERROR, "%s: latent of width 0, expected 1 or more", who);
  }
  return SQLITE_OK;
}

/* What the header says of the length. */
static uint64_t length_of(const struct latent *z, int element){
  uint64_t numbers = (uint64_t)z->width*elements[element].bytes;
  uint64_t segment = numbers + elements[element].scale_bytes;
  return HEADER_BYTES + (uint64_t)z->n_segments*segment;
}

size_t latent_bytes(const void *blob, size_t n, int *n_segments){
  struct reader r = reader_of(blob, n);
  struct latent z = { 0 };
  struct header h;
  *n_segments = 0;
  if( n<HEADER_BYTES || !latent_is(blob, n) ) return 0;
  reader_bytes(&r, 4);
  h = read_header(&z, &r);
  if( z.n_segments==0 || h.element>I8 || length_of(&z, h.element)>n ) return 0;
  *n_segments = z.n_segments;
  return (size_t)length_of(&z, h.element);
}

static int check_length(const struct latent *z, int element, size_t n, const char *who,
                        struct err *e){
  uint64_t expected = length_of(z, element);
  if( n==expected ) return SQLITE_OK;
  return fail(e, SQLITE_ERROR, "%s: latent of %zu bytes, expected %llu for %d segment%s of width "
              "%d in %s", who, n, (unsigned long long)expected, z->n_segments,
              z->n_segments==1 ? "" : "s", z->width, elements[element].name);
}

static float read_f32(struct reader *r){
  uint32_t bits = reader_u32(r);
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

static void read_segment(float *z, int width, int element, struct reader *r){
  float scale = element==I8 ? read_f32(r) : 1;
  for(int i=0; i<width; i++){
    switch( element ){
      case F32: z[i] = read_f32(r); break;
      case F16: z[i] = half_to_float(reader_u16(r)); break;
      case I8:  z[i] = scale*(float)(int8_t)reader_u8(r); break;
    }
  }
}

static int check_finite(const struct latent *z, const char *who, struct err *e){
  size_t width = (size_t)z->width;
  size_t n = (size_t)z->n_segments*width;
  for(size_t i=0; i<n; i++){
    const char *came = isnan(z->z[i]) ? "NaN" : "infinite";
    if( i%NUMBERS_A_TIME==0 && err_stopped(e) ) return e->rc;
    if( isfinite(z->z[i]) ) continue;
    return fail(e, SQLITE_ERROR, "%s: latent whose number %zu of segment %zu is %s, expected "
                "finite numbers", who, i%width + 1, i/width + 1, came);
  }
  return SQLITE_OK;
}

static int check_magic(const void *blob, size_t n, const char *who, struct err *e){
  const unsigned char *b = blob;
  if( n<HEADER_BYTES ){
    return fail(e, SQLITE_ERROR, "%s: blob of %zu bytes, expected a latent of more than %d", who, n,
                HEADER_BYTES);
  }
  if( latent_is(blob, n) ) return SQLITE_OK;
  return fail(e, SQLITE_ERROR, "%s: blob that starts with %02x%02x%02x%02x, expected a latent, "
              "which starts with 4c544e54 (" MAGIC ")", who, b[0], b[1], b[2], b[3]);
}

static int read_blob(struct latent *z, const void *blob, size_t n, struct arena *a, const char *who,
                     struct err *e){
  struct reader r = reader_of(blob, n);
  struct header h;
  if( check_magic(blob, n, who, e)!=SQLITE_OK ) return e->rc;
  reader_bytes(&r, 4);
  h = read_header(z, &r);
  if( check_header(&h, z, who, e)!=SQLITE_OK ) return e->rc;
  if( check_length(z, h.element, n, who, e)!=SQLITE_OK ) return e->rc;
  z->z = arena_floats(a, (size_t)z->n_segments*(size_t)z->width);
  if( z->z==NULL ) return fail_nomem(e);
  for(int i=0; i<z->n_segments; i++){
    if( i%SEGMENTS_A_TIME==0 && err_stopped(e) ) return e->rc;
    read_segment(z->z + (size_t)i*(size_t)z->width, z->width, h.element, &r);
  }
  assert( !r.bad && r.at==r.end );
  return check_finite(z, who, e);
}

int latent_read(struct latent *z, const void *blob, size_t n, struct arena *a, const char *who,
                struct err *e){
  *z = (struct latent){ 0 };
  assert( e->rc==SQLITE_OK );
  if( read_blob(z, blob, n, a, who, e)!=SQLITE_OK ) *z = (struct latent){ 0 };
  return e->rc;
}

static void write_number(unsigned char *p, uint32_t x, int n_bytes){
  for(int i=0; i<n_bytes; i++) p[i] = (unsigned char)(x >> 8*i);
}

/* How the numbers of z are stored. */
static int element_of(const struct latent *z){
  return z->kind==KIND_DIRECTION ? F32 : F16;
}

static void write_header(unsigned char *p, const struct latent *z){
  assert( z->n_segments>0 && z->n_segments<65536 );
  assert( z->width>0 && z->width<65536 );
  memcpy(p, MAGIC, 4);
  p[4] = VERSION;
  p[5] = (unsigned char)z->kind;
  p[6] = (unsigned char)element_of(z);
  p[7] = 0;
  write_number(p + 8, (uint32_t)z->n_segments, 2);
  write_number(p + 10, (uint32_t)z->width, 2);
  write_number(p + 12, z->fingerprint, 4);
}

/* x[n] */
static void write_numbers(unsigned char *p, const float *x, size_t n, int element){
  int bytes = (int)elements[element].bytes;
  for(size_t i=0; i<n; i++){
    uint32_t bits;
    memcpy(&bits, &x[i], 4);
    if( element==F16 ) bits = float_to_half(x[i]);
    write_number(p + i*(size_t)bytes, bits, bytes);
  }
}

void latent_write(struct buf *out, const struct latent *z, struct err *e){
  int element = element_of(z);
  size_t bytes = elements[element].bytes;
  size_t n = (size_t)z->n_segments*(size_t)z->width;
  unsigned char *p = buf_extend(out, HEADER_BYTES + n*bytes);
  if( p==NULL ) return;
  write_header(p, z);
  p += HEADER_BYTES;
  for(size_t at=0; at<n && !err_stopped(e); at+=NUMBERS_A_TIME){
    size_t some = n - at<NUMBERS_A_TIME ? n - at : NUMBERS_A_TIME;
    write_numbers(p + at*bytes, z->z + at, some, element);
  }
}
