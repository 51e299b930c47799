/*
** picture_files.h -- PNG and JPEG files of every kind for the tests, made by libpng and libjpeg
** from samples; and changed files made of such files.
**
** Files are appended to a buf. Samples are in `arena`, which the test releases after each case.
*/
#ifndef LATENT_TESTS_PICTURE_FILES_H
#define LATENT_TESTS_PICTURE_FILES_H
#include "codec.h"
#include "pictures.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include <png.h>

/* ---- PNG files ---- */

struct png_kind {
  int colour, depth;
  int interlaced;
  int keyed;                            /* has a tRNS chunk: one clear colour, or the alphas of the
                                        ** first half of a palette */
  int stored;                           /* not compressed */
};

static const struct { int colour, depths[6]; } COLOURS[] = {
  { PNG_COLOR_TYPE_GRAY, { 1, 2, 4, 8, 16 } },
  { PNG_COLOR_TYPE_RGB, { 8, 16 } },
  { PNG_COLOR_TYPE_PALETTE, { 1, 2, 4, 8 } },
  { PNG_COLOR_TYPE_GRAY_ALPHA, { 8, 16 } },
  { PNG_COLOR_TYPE_RGB_ALPHA, { 8, 16 } },
};

struct samples {
  int width, height, channels;
  uint16_t *at;                         /* [height, width, channels]: as in the file, < 2^depth */
  png_color palette[256];
  png_byte alphas[128];
  uint16_t key[3];
};

static int channels_of(int colour){
  switch( colour ){
    case PNG_COLOR_TYPE_RGB_ALPHA:  return 4;
    case PNG_COLOR_TYPE_RGB:        return 3;
    case PNG_COLOR_TYPE_GRAY_ALPHA: return 2;
    default:                        return 1;
  }
}

static png_color any_colour(struct random *r){
  png_color c;
  c.red = (png_byte)random_u64(r);
  c.green = (png_byte)random_u64(r);
  c.blue = (png_byte)random_u64(r);
  return c;
}

/* The clear colour is the first pixel's. The second pixel's colour is next to it, the third pixel
** has it again. */
static struct samples any_samples(const struct png_kind *k, int width, int height,
                                  struct random *r){
  struct samples s = { .width = width, .height = height, .channels = channels_of(k->colour) };
  int n = width*height*s.channels;
  s.at = arena_get(&arena, (size_t)n*sizeof(uint16_t));
  for(int i=0; i<n; i++) s.at[i] = (uint16_t)(random_u64(r) & ((1u<<k->depth)-1));
  for(int i=0; i<256; i++) s.palette[i] = any_colour(r);
  for(int i=0; i<128; i++) s.alphas[i] = (png_byte)random_u64(r);
  for(int i=0; i<s.channels && i<3; i++) s.key[i] = s.at[i];
  if( n<3*s.channels ) return s;
  for(int i=0; i<s.channels; i++){
    s.at[s.channels+i] = s.at[i];
    s.at[2*s.channels+i] = s.at[i];
  }
  s.at[2*s.channels-1] ^= 1;
  return s;
}

static void on_write(png_structp png, png_bytep bytes, size_t n){
  buf_append(png_get_io_ptr(png), bytes, n);
}

static void on_flush(png_structp png){
  (void)png;
}

static void put_colours(png_structp png, png_infop info, const struct png_kind *k,
                        const struct samples *s){
  png_color_16 key = {
    .red = s->key[0], .green = s->key[1], .blue = s->key[2], .gray = s->key[0],
  };
  int is_palette = k->colour==PNG_COLOR_TYPE_PALETTE;
  int n = 1<<k->depth;
  if( is_palette ) png_set_PLTE(png, info, s->palette, n);
  if( k->keyed ) png_set_tRNS(png, info, s->alphas, is_palette ? n/2 : 0, &key);
}

/* One byte a sample, two when there are 16 bits: what libpng wants after png_set_packing(). */
static void put_row(png_structp png, const struct png_kind *k, const struct samples *s, int y){
  unsigned char row[65*4*2];
  int n = s->width*s->channels;
  for(int i=0; i<n; i++){
    uint16_t v = s->at[y*n + i];
    if( k->depth==16 ){
      row[2*i] = (unsigned char)(v>>8);
      row[2*i+1] = (unsigned char)v;
    }else{
      row[i] = (unsigned char)v;
    }
  }
  png_write_row(png, row);
}

static void png_make(struct buf *out, const struct png_kind *k, const struct samples *s){
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  int n_passes;
  png_set_write_fn(png, out, on_write, on_flush);
  if( k->stored ) png_set_compression_level(png, 0);
  png_set_IHDR(png, info, (png_uint_32)s->width, (png_uint_32)s->height, k->depth, k->colour,
               k->interlaced, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  put_colours(png, info, k, s);
  png_write_info(png, info);
  png_set_packing(png);
  n_passes = png_set_interlace_handling(png);
  for(int pass=0; pass<n_passes; pass++){
    for(int y=0; y<s->height; y++) put_row(png, k, s, y);
  }
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
}

/* Appends a PNG of this kind and size, of any samples. Returns the samples. */
static struct samples png_any(struct buf *out, const struct png_kind *k, int width, int height,
                              struct random *r){
  struct samples s = any_samples(k, width, height, r);
  png_make(out, k, &s);
  return s;
}

/* ---- Chunks ---- */

static uint32_t big_u32(const void *from){
  const unsigned char *at = from;
  return (uint32_t)at[0]<<24 | (uint32_t)at[1]<<16 | (uint32_t)at[2]<<8 | at[3];
}

static void put_big_u32(void *to, uint32_t v){
  unsigned char *at = to;
  for(int i=0; i<4; i++) at[i] = (unsigned char)(v>>(24 - 8*i));
}

static uint32_t crc_of(const void *bytes, size_t n){
  static uint32_t table[256];
  const unsigned char *at = bytes;
  uint32_t crc = ~0u;
  for(uint32_t i=0; i<256 && !table[255]; i++){
    uint32_t c = i;
    for(int bit=0; bit<8; bit++) c = c&1 ? c>>1 ^ 0xEDB88320 : c>>1;
    table[i] = c;
  }
  for(size_t i=0; i<n; i++) crc = crc>>8 ^ table[(crc^at[i])&255];
  return ~crc;
}

enum { PNG_SIGNATURE = 8, CHUNK_BYTES = 12 };   /* of a chunk: length, name and CRC */

/* Where the chunk after the one at `at` begins, which may be the end of the file; 0 when the one at
** `at` is cut off. */
static size_t chunk_end(const struct buf *png, size_t at){
  size_t left = png->n - at;
  size_t n;
  if( left<CHUNK_BYTES ) return 0;
  n = big_u32(png->data + at);
  return n<=left-CHUNK_BYTES ? at + CHUNK_BYTES + n : 0;
}

static void correct_crcs(struct buf *png){
  size_t at = PNG_SIGNATURE;
  while( at<png->n ){
    size_t end = chunk_end(png, at);
    if( end==0 ) return;
    put_big_u32(png->data + end - 4, crc_of(png->data + at + 4, end - at - 8));
    at = end;
  }
}

/* Where the first chunk of that name begins; 0 when there is none. */
static size_t chunk_find(const struct buf *png, const char *name){
  for(size_t at=PNG_SIGNATURE; at && at<png->n; at=chunk_end(png, at)){
    if( memcmp(png->data + at + 4, name, 4)==0 ) return at;
  }
  return 0;
}

/* The PNG with one chunk more, before the first that is called `before`. */
static void png_with(struct buf *out, const struct buf *png, const char *before,
                     const char *name, const void *data, size_t n){
  size_t at = chunk_find(png, before);
  buf_append(out, png->data, at);
  put_big_u32(buf_extend(out, 4), (uint32_t)n);
  buf_append(out, name, 4);
  buf_append(out, data, n);
  put_big_u32(buf_extend(out, 4), crc_of(out->data + at + 4, n + 4));
  buf_append(out, png->data + at, png->n - at);
}

static void png_resize(struct buf *png, uint32_t width, uint32_t height){
  put_big_u32(png->data + 16, width);
  put_big_u32(png->data + 20, height);
  correct_crcs(png);
}

/* ---- JPEG files ---- */

struct jpeg_kind {
  const char *name;
  J_COLOR_SPACE of;                     /* what the samples are */
  J_COLOR_SPACE stored;                 /* how libjpeg stores them */
  int sampling;                         /* 2: colour at half the width and height */
  int progressive;
  int no_adobe;                         /* without the marker that libjpeg would write */
};

static const struct jpeg_kind JPEGS[] = {
  { "grey", JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 0, 0 },
  { "YCbCr 4:4:4", JCS_RGB, JCS_YCbCr, 1, 0, 0 },
  { "YCbCr 4:2:0", JCS_RGB, JCS_YCbCr, 2, 0, 0 },
  { "RGB", JCS_RGB, JCS_RGB, 1, 0, 0 },
  { "progressive grey", JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 1, 0 },
  { "progressive 4:2:0", JCS_RGB, JCS_YCbCr, 2, 1, 0 },
  { "CMYK of Adobe", JCS_CMYK, JCS_CMYK, 1, 0, 0 },
  { "CMYK of others", JCS_CMYK, JCS_CMYK, 1, 0, 1 },
  { "YCCK of Adobe", JCS_CMYK, JCS_YCCK, 1, 0, 0 },
  { "progressive CMYK of Adobe", JCS_CMYK, JCS_CMYK, 1, 1, 0 },
};

static int jpeg_channels(const struct jpeg_kind *k){
  switch( k->of ){
    case JCS_GRAYSCALE: return 1;
    case JCS_RGB:       return 3;
    default:            return 4;
  }
}

/* [height, width, channels]: samples that change slowly, each channel in its own way. They are
** light, or ink in CMYK. */
static unsigned char *smooth_samples(const struct jpeg_kind *k, int width, int height){
  int channels = jpeg_channels(k);
  int n = width*height*channels;
  unsigned char *at = arena_get(&arena, (size_t)n);
  for(int i=0; i<n; i++){
    int channel = i%channels;
    int x = i/channels%width;
    int y = i/channels/width;
    int across = channel&1 ? 65-x : x;
    int down = channel&2 ? 65-y : y/2;
    at[i] = (unsigned char)(20 + 30*channel + across + down);
  }
  return at;
}

/* What the encoder is to do, before it starts. scans: NULL for libjpeg's own. */
static void jpeg_set(struct jpeg_compress_struct *jpeg, const struct jpeg_kind *k, int width,
                     int height, const jpeg_scan_info *scans, int n_scans){
  jpeg->image_width = (JDIMENSION)width;
  jpeg->image_height = (JDIMENSION)height;
  jpeg->input_components = jpeg_channels(k);
  jpeg->in_color_space = k->of;
  jpeg_set_defaults(jpeg);
  jpeg_set_colorspace(jpeg, k->stored);
  jpeg_set_quality(jpeg, 95, TRUE);
  jpeg->comp_info[0].h_samp_factor = k->sampling;
  jpeg->comp_info[0].v_samp_factor = k->sampling;
  if( k->progressive ) jpeg_simple_progression(jpeg);
  if( k->no_adobe ) jpeg->write_Adobe_marker = FALSE;
  if( scans ){
    jpeg->scan_info = scans;
    jpeg->num_scans = n_scans;
  }
}

/* Programs of Adobe store 255 minus the ink. */
static void put_rows(struct jpeg_compress_struct *jpeg, const struct jpeg_kind *k,
                     const unsigned char *samples){
  size_t stride = (size_t)jpeg->image_width*(size_t)jpeg_channels(k);
  int inverted = k->of==JCS_CMYK && !k->no_adobe ? 255 : 0;
  unsigned char row[200*4];
  unsigned char *rows = row;
  while( jpeg->next_scanline<jpeg->image_height ){
    const unsigned char *from = samples + stride*jpeg->next_scanline;
    for(size_t i=0; i<stride; i++) row[i] = (unsigned char)(from[i]^inverted);
    jpeg_write_scanlines(jpeg, &rows, 1);
  }
}

static void jpeg_encode(struct buf *out, const struct jpeg_kind *k, const unsigned char *samples,
                        int width, int height, const jpeg_scan_info *scans, int n_scans){
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char *bytes = NULL;
  unsigned long n = 0;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &bytes, &n);
  jpeg_set(&jpeg, k, width, height, scans, n_scans);
  jpeg_start_compress(&jpeg, TRUE);
  put_rows(&jpeg, k, samples);
  jpeg_finish_compress(&jpeg);
  buf_append(out, bytes, n);
  jpeg_destroy_compress(&jpeg);
  free(bytes);
}

static void jpeg_smooth(struct buf *out, const struct jpeg_kind *k, int width, int height){
  jpeg_encode(out, k, smooth_samples(k, width, height), width, height, NULL, 0);
}

/* The file with a marker (0xE1: where Exif stands) before all others. */
static void jpeg_with(struct buf *out, const struct buf *jpeg, int marker, const void *data,
                      size_t n){
  unsigned char head[4] = {
    0xFF, (unsigned char)marker, (unsigned char)((n+2)>>8), (unsigned char)(n+2),
  };
  buf_append(out, jpeg->data, 2);
  buf_append(out, head, 4);
  buf_append(out, data, n);
  buf_append(out, jpeg->data + 2, jpeg->n - 2);
}

/* ---- Exif ---- */

/* "Exif\0\0", a TIFF header, then a directory of three entries: the second is the orientation.
** Offsets count from the start of the marker's data. */
enum {
  EXIF_DIRECTORY = 6 + 8,
  EXIF_ENTRY = EXIF_DIRECTORY + 2 + 12,
  EXIF_BYTES = EXIF_DIRECTORY + 2 + 3*12 + 4
};

static void put_u16(unsigned char *to, unsigned v, int big){
  to[!big] = (unsigned char)(v>>8);
  to[big] = (unsigned char)v;
}

static void put_u32(unsigned char *to, uint32_t v, int big){
  put_u16(to + 2*!big, v>>16, big);
  put_u16(to + 2*big, v & 0xFFFF, big);
}

static void exif_make(unsigned char *to, int big, unsigned orientation){
  static const unsigned tags[] = { 0x0100, 0x0112, 0x011A };
  memset(to, 0, EXIF_BYTES);
  memcpy(to, "Exif", 4);
  memcpy(to+6, big ? "MM" : "II", 2);
  put_u16(to+8, 42, big);
  put_u32(to+10, EXIF_DIRECTORY-6, big);
  put_u16(to+EXIF_DIRECTORY, 3, big);
  for(int i=0; i<3; i++){
    unsigned char *entry = to + EXIF_DIRECTORY + 2 + 12*i;
    put_u16(entry, tags[i], big);
    put_u16(entry+2, 3, big);
    put_u32(entry+4, 1, big);
    put_u16(entry+8, i==1 ? orientation : 3, big);
  }
}

/* Of a file that libjpeg wrote: its frame header, the first marker C0 or C2. */
static unsigned char *jpeg_frame(struct buf *jpeg){
  unsigned char *bytes = (unsigned char *)jpeg->data;
  size_t at = 2;
  while( bytes[at+1]!=0xC0 && bytes[at+1]!=0xC2 ) at += 2 + (big_u32(bytes + at) & 0xFFFF);
  return bytes + at;
}

static void jpeg_resize(struct buf *jpeg, uint32_t width, uint32_t height){
  put_u16(jpeg_frame(jpeg) + 5, height, 1);
  put_u16(jpeg_frame(jpeg) + 7, width, 1);
}

/* ---- Damage ---- */

/* A number from 0 to n-1. */
static size_t below(struct random *r, size_t n){
  return (size_t)(random_u64(r)%n);
}

static void span_remove(struct buf *b, size_t at, size_t n){
  memmove(b->data + at, b->data + at + n, b->n - at - n);
  b->n -= n;
}

/* Inserts the bytes [from, from+n) once more, at `at`. */
static void span_repeat(struct buf *b, size_t from, size_t n, size_t at){
  char *span = malloc(n ? n : 1);
  memcpy(span, b->data + from, n);
  buf_extend(b, n);
  memmove(b->data + at + n, b->data + at, b->n - n - at);
  memcpy(b->data + at, span, n);
  free(span);
}

static uint32_t any_number(struct random *r){
  static const uint32_t numbers[] = {
    0, 1, 2, 8, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
  };
  return numbers[below(r, N_OF(numbers))];
}

static void change_span(struct buf *b, struct random *r){
  size_t at = below(r, b->n-4);
  size_t n = 1 + below(r, 8);
  char *place = b->data + at;
  if( n>b->n-at-2 ) n = b->n-at-2;
  switch( below(r, 6) ){
    case 0:  span_remove(b, at, n); break;
    case 1:  span_repeat(b, at, n, below(r, b->n)); break;
    case 2:  put_big_u32(place, any_number(r)); break;
    case 3:  put_u16((unsigned char *)place, any_number(r) & 0xFFFF, 1); break;
    case 4:  *place = (char)(*place ^ (1<<below(r, 8))); break;
    default: *place = (char)random_u64(r);
  }
}

/* A chunk once more somewhere, or one less. */
static void change_chunks(struct buf *png, struct random *r){
  size_t at[40];
  size_t n = 0;
  size_t from, end;
  for(size_t next=PNG_SIGNATURE; next && next<png->n && n<N_OF(at); next=chunk_end(png, next)){
    at[n++] = next;
  }
  if( n==0 ) return;
  from = at[below(r, n)];
  end = chunk_end(png, from);
  if( end==0 ) return;
  if( below(r, 3)==0 && png->n-(end-from)>=20 ) span_remove(png, from, end-from);
  else span_repeat(png, from, end-from, at[below(r, n)]);
}

/* Makes the picture small again, mostly: the time is for many files, not for large ones. */
static void keep_small(struct buf *png, struct random *r){
  uint64_t pixels;
  uint32_t width;
  if( png->n<33 || below(r, 50)==0 ) return;
  pixels = (uint64_t)big_u32(png->data+16)*big_u32(png->data+20);
  if( pixels<=100000 ) return;
  width = 1 + (uint32_t)below(r, 40);
  png_resize(png, width, 1 + (uint32_t)below(r, 40));
}

static void damage(struct buf *file, int is_png, struct random *r){
  for(size_t n=1 + below(r, 5); n>0; n--){
    if( is_png && below(r, 6)==0 ) change_chunks(file, r);
    else if( file->n>20 ) change_span(file, r);
  }
  if( !is_png ) return;
  keep_small(file, r);
  if( below(r, 8) ) correct_crcs(file);
}

#endif
