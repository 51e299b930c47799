/*
** codec_pixels.c -- a picture file's bytes to a picture, whatever its format; and pictures fitted to a square.
**
** What a file is, is said by its first bytes alone. The formats themselves are libpng's (codec_png.c) and libjpeg-turbo's (codec_jpeg.c); both ask
** picture_room() before the first pixel is unpacked.
*/
#include "codec.h"
#include <string.h>

static const unsigned char PNG_BEGINS[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n' }, JPEG_BEGINS[3] = { 0xFF, 0xD8, 0xFF };

static int begins(const void *bytes, size_t n, const unsigned char *with, size_t n_with){
  return n>=n_with && memcmp(bytes, with, n_with)==0;
}

int picture_is(const void *bytes, size_t n){
  return begins(bytes, n, PNG_BEGINS, sizeof(PNG_BEGINS)) || begins(bytes, n, JPEG_BEGINS, sizeof(JPEG_BEGINS));
}

int picture_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who, struct err *e){
  memset(p, 0, sizeof(*p));
  if( begins(bytes, n, PNG_BEGINS, sizeof(PNG_BEGINS)) ) return png_read(p, bytes, n, a, who, e);
  if( begins(bytes, n, JPEG_BEGINS, sizeof(JPEG_BEGINS)) ) return jpeg_read(p, bytes, n, a, who, e);
  return fail(e, SQLITE_ERROR, "%s is neither a PNG nor a JPEG (%zu bytes)", who, n);
}

int picture_room(struct picture *p, uint32_t width, uint32_t height, struct arena *a, const char *who, struct err *e){
  if( (uint64_t)width*height>PICTURE_PIXELS_MOST ){
    return fail(e, SQLITE_ERROR, "%s is a picture of %u x %u pixels, expected at most %d in all", who, width, height, PICTURE_PIXELS_MOST);
  }
  p->width = (int)width;
  p->height = (int)height;
  p->pixels = arena_get(a, (size_t)width*height*4);
  return p->pixels ? SQLITE_OK : fail_nomem(e);
}

/* ---- On a square ---- */

/* Along one side: `from` pixels become `to`. Lengths are counted in parts of a pixel, `to` of them to a pixel that came and `from` to one that is made, so
** that every border is a whole number. */
struct side { int from, to; };

static int first_pixel(const struct side *s, int made){
  return (int)((int64_t)made*s->from/s->to);
}

static int end_pixel(const struct side *s, int made){
  return (int)(((int64_t)(made+1)*s->from + s->to - 1)/s->to);
}

/* How much of the pixel `came` lies in the pixel `made`. */
static double overlap(const struct side *s, int came, int made){
  int64_t a = (int64_t)came*s->to, b = a + s->to, c = (int64_t)made*s->from, d = c + s->from;
  return (double)((b<d ? b : d) - (a>c ? a : c));
}

/* The mean of what lies in one made pixel, each colour counting by its alpha. */
static void mean_pixel(unsigned char *out, const struct picture *in, const struct side *across, const struct side *down, int x, int y){
  double alpha = 0, colour[3] = { 0 }, whole = (double)across->from*down->from;
  for(int j=first_pixel(down, y); j<end_pixel(down, y); j++){
    double height = overlap(down, j, y);
    const unsigned char *row = in->pixels + (size_t)j*in->width*4;
    for(int i=first_pixel(across, x); i<end_pixel(across, x); i++){
      double share = height*overlap(across, i, x)*row[4*(size_t)i+3];
      alpha += share;
      for(int k=0; k<3; k++) colour[k] += share*row[4*(size_t)i+k];
    }
  }
  out[3] = (unsigned char)(alpha/whole + 0.5);
  for(int k=0; k<3; k++) out[k] = out[3] ? (unsigned char)(colour[k]/alpha + 0.5) : 0;
}

static int share_of(int side, int longest, int size){
  int made = (int)(((int64_t)side*size + longest/2)/longest);
  return made>0 ? made : 1;
}

int picture_fit(struct picture *out, const struct picture *in, int size, struct arena *a, struct err *e){
  int longest = in->width>in->height ? in->width : in->height;
  struct side across = { in->width, share_of(in->width, longest, size) }, down = { in->height, share_of(in->height, longest, size) };
  int left = (size - across.to)/2, top = (size - down.to)/2;
  *out = (struct picture){ size, size, arena_zeroed(a, (size_t)size*size*4) };
  if( !out->pixels ) return fail_nomem(e);
  if( in->width==size && in->height==size ){
    memcpy(out->pixels, in->pixels, (size_t)size*size*4);
    return SQLITE_OK;
  }
  for(int y=0; y<down.to; y++){
    for(int x=0; x<across.to; x++) mean_pixel(out->pixels + ((size_t)(top+y)*size + left + x)*4, in, &across, &down, x, y);
  }
  return SQLITE_OK;
}
