/*
** codec_picture.c -- the bytes of a picture file to a picture, whatever the format; and a picture
** scaled, or fitted to a square.
**
** The first bytes of a file alone decide what it is. libpng (codec_png.c) and libjpeg-turbo
** (codec_jpeg.c) read the formats. Both call picture_allocate() before they unpack a pixel.
*/
#include "codec.h"
#include <assert.h>
#include <string.h>

static const unsigned char PNG_BEGINS[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n' };
static const unsigned char JPEG_BEGINS[3] = { 0xFF, 0xD8, 0xFF };

static int is_png(const void *bytes, size_t n){
  return n>=sizeof(PNG_BEGINS) && memcmp(bytes, PNG_BEGINS, sizeof(PNG_BEGINS))==0;
}

static int is_jpeg(const void *bytes, size_t n){
  return n>=sizeof(JPEG_BEGINS) && memcmp(bytes, JPEG_BEGINS, sizeof(JPEG_BEGINS))==0;
}

int picture_is(const void *bytes, size_t n){
  assert( bytes!=NULL || n==0 );
  return is_png(bytes, n) || is_jpeg(bytes, n);
}

int picture_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who,
                 struct err *e){
  assert( bytes!=NULL || n==0 );
  assert( who!=NULL && e->rc==SQLITE_OK );
  *p = (struct picture){ 0 };
  if( is_png(bytes, n) ) return png_read(p, bytes, n, a, who, e);
  if( is_jpeg(bytes, n) ) return jpeg_read(p, bytes, n, a, who, e);
  return fail(e, SQLITE_ERROR, "%s is neither a PNG nor a JPEG (%zu bytes)", who, n);
}

int picture_allocate(struct picture *p, uint32_t width, uint32_t height, struct arena *a,
                     const char *who, struct err *e){
  if( (uint64_t)width*height>PICTURE_PIXELS_MOST ){
    return fail(e, SQLITE_ERROR, "%s is a picture of %u x %u pixels, expected at most %d in all",
                who, width, height, PICTURE_PIXELS_MOST);
  }
  p->width = (int)width;
  p->height = (int)height;
  p->pixels = arena_get(a, (size_t)width*height*4);
  return p->pixels ? SQLITE_OK : fail_nomem(e);
}

/* ---- Scaled ---- */

/* One side of a picture: `from` pixels become `to`. Lengths are counted in parts of a pixel: an old
** pixel has `to` parts, a new one has `from`, so every border is a whole number. */
struct side { int from, to; };

/* The first old pixel in new pixel i. */
static int first_pixel(const struct side *s, int i){
  return (int)((int64_t)i*s->from/s->to);
}

/* One past the last old pixel in new pixel i. */
static int end_pixel(const struct side *s, int i){
  return (int)(((int64_t)(i+1)*s->from + s->to - 1)/s->to);
}

/* The parts of old pixel `old` that lie in new pixel i. */
static double overlap(const struct side *s, int old, int i){
  int64_t old_begin = (int64_t)old*s->to;
  int64_t old_end = old_begin + s->to;
  int64_t new_begin = (int64_t)i*s->from;
  int64_t new_end = new_begin + s->from;
  int64_t begin = old_begin>new_begin ? old_begin : new_begin;
  int64_t end = old_end<new_end ? old_end : new_end;
  return (double)(end - begin);
}

/* out[4] = the mean of the old pixels in new pixel (x, y), each colour counting by its alpha. */
static void mean_pixel(unsigned char *out, const struct picture *in, const struct side *across,
                       const struct side *down, int x, int y){
  double whole = (double)across->from*down->from;       /* parts of a new pixel */
  double colour[3] = { 0 };
  double alpha = 0;
  for(int j=first_pixel(down, y); j<end_pixel(down, y); j++){
    double height = overlap(down, j, y);
    for(int i=first_pixel(across, x); i<end_pixel(across, x); i++){
      const unsigned char *old = picture_pixel(in, i, j);
      double share = height*overlap(across, i, x)*old[3];
      alpha += share;
      for(int k=0; k<3; k++) colour[k] += share*old[k];
    }
  }
  out[3] = (unsigned char)(alpha/whole + 0.5);
  for(int k=0; k<3; k++) out[k] = out[3] ? (unsigned char)(colour[k]/alpha + 0.5) : 0;
}

/* A side's new length when the longest side gets `size` pixels: rounded, at least 1. */
static int scaled(int side, int longest, int size){
  int made = (int)(((int64_t)side*size + longest/2)/longest);
  return made>0 ? made : 1;
}

/* Both sides of a picture whose longest side becomes `longest`. */
struct scaling { struct side across, down; };

static struct scaling scaling_to(const struct picture *in, int longest){
  int came = in->width>in->height ? in->width : in->height;
  return (struct scaling){
    .across = { in->width, scaled(in->width, came, longest) },
    .down = { in->height, scaled(in->height, came, longest) },
  };
}

/* Draws the picture on `out`, its first pixel at (left, top). */
static int draw_scaled(struct picture *out, const struct picture *in, const struct scaling *s,
                       int left, int top, struct err *e){
  for(int y=0; y<s->down.to; y++){
    if( err_stopped(e) ) return e->rc;
    for(int x=0; x<s->across.to; x++){
      mean_pixel(picture_pixel(out, left+x, top+y), in, &s->across, &s->down, x, y);
    }
  }
  return e->rc;
}

int picture_scale(struct picture *out, const struct picture *in, int longest, struct arena *a,
                  struct err *e){
  struct scaling s = scaling_to(in, longest);
  assert( in->width>0 && in->height>0 && in->pixels!=NULL );
  assert( longest>0 && (int64_t)longest*longest<=PICTURE_PIXELS_MOST );
  *out = *in;
  if( s.across.to==in->width && s.down.to==in->height ) return SQLITE_OK;
  *out = (struct picture){ s.across.to, s.down.to, NULL };
  out->pixels = arena_get(a, (size_t)out->width*(size_t)out->height*4);
  if( out->pixels==NULL ) return fail_nomem(e);
  return draw_scaled(out, in, &s, 0, 0, e);
}

int picture_fit(struct picture *out, const struct picture *in, int size, struct arena *a,
                struct err *e){
  struct scaling s = scaling_to(in, size);
  assert( in->width>0 && in->height>0 && in->pixels!=NULL );
  assert( size>0 && (int64_t)size*size<=PICTURE_PIXELS_MOST );
  out->width = size;
  out->height = size;
  out->pixels = arena_zeroed(a, (size_t)size*size*4);
  if( out->pixels==NULL ) return fail_nomem(e);
  if( in->width==size && in->height==size ){
    memcpy(out->pixels, in->pixels, (size_t)size*size*4);
    return SQLITE_OK;
  }
  return draw_scaled(out, in, &s, (size - s.across.to)/2, (size - s.down.to)/2, e);
}
