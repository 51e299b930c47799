/*
** codec_png.c -- PNG files to pictures and back, by libpng.
**
** libpng reports a failure with longjmp(). So a function that calls setjmp() changes no variable of
** its own afterwards, and its caller owns what must be freed. The memory of libpng and zlib is
** SQLite's.
**
** zlib makes a thousand bytes of one, so a small file may hold hours of work. Whoever waits for it
** is asked whether to go on at each row, and at each piece of the file (8 KB at most, of an IDAT
** chunk). A file whose data cannot be that of so few pixels is refused before it is unpacked.
*/
#include "codec.h"
#include <assert.h>
#include <png.h>
#include <string.h>

enum {
  IDAT = 0x49444154,            /* the name of the chunks that hold pixels */
  ALIGNMENT = 16                /* what setjmp() and libpng's own struct want on Windows */
};

/* What libpng's callbacks get. */
struct file {
  struct reader in;             /* for reading */
  size_t data;                  /* reading: bytes of IDAT chunks that have come */
  size_t data_most;             /* the most that so many pixels can have */
  struct buf *out;              /* for writing */
  struct err *err;              /* knows who wants to stop */
  int oom;                      /* an allocation has failed */
  char why[100];                /* the error text of libpng, or "" */
};

static void on_error(png_structp png, png_const_charp why){
  struct file *f = png_get_error_ptr(png);
  strncpy(f->why, why, sizeof(f->why)-1);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp why){
  (void)png;
  (void)why;
}

/* SQLite's memory begins at a multiple of 8. So up to 16 bytes are skipped, and the last of them
** says how many. */
static png_voidp get_memory(png_structp png, png_alloc_size_t bytes){
  struct file *f = png_get_mem_ptr(png);
  char *p = bytes<SIZE_MAX-ALIGNMENT ? mem_alloc(bytes + ALIGNMENT) : NULL;
  size_t skipped = ALIGNMENT - (uintptr_t)p%ALIGNMENT;
  if( p==NULL ){
    f->oom = 1;
    return NULL;
  }
  p[skipped-1] = (char)skipped;
  return p + skipped;
}

static void free_memory(png_structp png, png_voidp p){
  char *memory = p;
  (void)png;
  if( p ) mem_free(memory - memory[-1]);
}

/* libpng fails without a text when the program was compiled for another version of it. */
static const char *reason(const struct file *f){
  return f->why[0] ? f->why : "libpng is of another version";
}

/* ---- In ---- */

static void on_read(png_structp png, png_bytep to, size_t n){
  struct file *f = png_get_io_ptr(png);
  const void *bytes = reader_bytes(&f->in, n);
  if( bytes==NULL ) png_error(png, "it is cut off");
  if( png_get_io_chunk_type(png)==IDAT ) f->data += n;
  if( f->data>f->data_most ) png_error(png, "it has more data than its pixels need");
  if( err_stopped(f->err) ) png_error(png, "interrupted");
  memcpy(to, bytes, n);
}

struct unpacking {
  struct file *file;
  png_structp png;
  png_infop info;
  struct picture *p;
  struct arena *arena;
  const char *who;
  struct err *err;
};

/* Twice the pixels as they are before they are packed: packing never needs an eighth more. 16 bytes
** a row are for the filters, and for the parts of an interlaced row. */
static size_t most_data(const struct unpacking *u){
  size_t row = png_get_rowbytes(u->png, u->info) + 16;
  return 2*row*png_get_image_height(u->png, u->info) + 1024;
}

/* Reads the header, and asks for 8 bits each of R, G, B and A, whatever the file has. Colour
** profiles and gamma are not applied: chunks that colours do not need are skipped. */
static void ask_for_rgba(const struct unpacking *u){
  png_set_keep_unknown_chunks(u->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  /* No limits here: picture_allocate() has ours, and its message tells the size that came. */
  png_set_user_limits(u->png, INT32_MAX, INT32_MAX);
  png_read_info(u->png, u->info);
  u->file->data_most = most_data(u);
  png_set_expand(u->png);
  png_set_scale_16(u->png);
  png_set_gray_to_rgb(u->png);
  png_set_add_alpha(u->png, 255, PNG_FILLER_AFTER);
}

static int allocate(const struct unpacking *u){
  uint32_t width = png_get_image_width(u->png, u->info);
  uint32_t height = png_get_image_height(u->png, u->info);
  return picture_allocate(u->p, width, height, u->arena, u->who, u->err);
}

static void read_rows(const struct unpacking *u){
  int n_passes = png_set_interlace_handling(u->png);
  png_read_update_info(u->png, u->info);
  if( png_get_rowbytes(u->png, u->info)!=(size_t)u->p->width*4 ){
    png_error(u->png, "its rows are not what its header says");
  }
  for(int pass=0; pass<n_passes; pass++){
    for(int y=0; y<u->p->height; y++){
      if( err_stopped(u->err) ) png_error(u->png, "interrupted");
      png_read_row(u->png, picture_pixel(u->p, 0, y), NULL);
    }
  }
  png_read_end(u->png, NULL);
}

/* What the eXIf chunks say. libpng is not asked: it would take a broken one for an error, and keep
** a long one in memory. The CRC does not matter, since any value from 1 to 8 makes a picture. */
static int orientation_of(const void *bytes, size_t n){
  enum { SIGNATURE = 8, LENGTH_AND_NAME = 8, CRC = 4 };
  const unsigned char *png = bytes;
  size_t at = SIGNATURE;
  while( at<n && n-at>=LENGTH_AND_NAME+CRC ){
    const unsigned char *data = png + at + LENGTH_AND_NAME;
    size_t left = n - at - LENGTH_AND_NAME - CRC;
    size_t length = (size_t)png[at]<<24 | (size_t)png[at+1]<<16 | (size_t)png[at+2]<<8 | png[at+3];
    int orientation = 1;
    if( length>left ) return 1;
    if( memcmp(png+at+4, "eXIf", 4)==0 ) orientation = exif_orientation(data, length);
    if( orientation!=1 ) return orientation;
    at += LENGTH_AND_NAME + length + CRC;
  }
  return 1;
}

/* 0 after a failure. The reason is in u->err, or in `why` and `oom` of the struct file. */
static int unpack(const struct unpacking *u){
  if( setjmp(png_jmpbuf(u->png)) ) return 0;
  ask_for_rgba(u);
  if( allocate(u)!=SQLITE_OK ) return 0;
  read_rows(u);
  return 1;
}

int png_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who,
             struct err *e){
  struct file f = { .in = reader_of(bytes, n), .data_most = SIZE_MAX, .err = e };
  struct unpacking u = { .file = &f, .p = p, .arena = a, .who = who, .err = e };
  int good;
  assert( bytes!=NULL && who!=NULL );
  assert( e->rc==SQLITE_OK );
  u.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &f, on_error, on_warning,
                                   &f, get_memory, free_memory);
  u.info = u.png ? png_create_info_struct(u.png) : NULL;
  if( u.info ) png_set_read_fn(u.png, &f, on_read);
  good = u.info && unpack(&u);
  png_destroy_read_struct(&u.png, &u.info, NULL);
  if( good ) return picture_turn(p, orientation_of(bytes, n), a, e);
  if( e->rc!=SQLITE_OK ) return e->rc;
  if( f.oom ) return fail_nomem(e);
  return fail(e, SQLITE_ERROR, "%s is a broken PNG of %zu bytes: %s", who, n, reason(&f));
}

/* ---- Out ---- */

static void on_write(png_structp png, png_bytep bytes, size_t n){
  struct file *f = png_get_io_ptr(png);
  buf_append(f->out, bytes, n);
  if( f->out->rc!=SQLITE_OK ) png_error(png, "no room");
}

static void on_flush(png_structp png){
  (void)png;
}

/* 0 after a failure. */
static int pack(png_structp png, png_infop info, const struct picture *p, struct err *e){
  if( setjmp(png_jmpbuf(png)) ) return 0;
  png_set_user_limits(png, INT32_MAX, INT32_MAX);
  png_set_IHDR(png, info, (png_uint_32)p->width, (png_uint_32)p->height, 8, PNG_COLOR_TYPE_RGBA,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for(int y=0; y<p->height; y++){
    if( err_stopped(e) ) return 0;
    png_write_row(png, picture_pixel(p, 0, y));
  }
  png_write_end(png, NULL);
  return 1;
}

int png_write(struct buf *out, const struct picture *p, struct err *e){
  struct file f = { .out = out };
  png_structp png;
  png_infop info;
  int good;
  assert( p->pixels!=NULL );
  assert( p->width>=0 && p->height>=0 );
  png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &f, on_error, on_warning,
                                  &f, get_memory, free_memory);
  info = png ? png_create_info_struct(png) : NULL;
  if( info ) png_set_write_fn(png, &f, on_write, on_flush);
  good = info && pack(png, info, p, e);
  png_destroy_write_struct(&png, &info);
  if( good ) return SQLITE_OK;
  if( f.oom || out->rc==SQLITE_NOMEM ) return fail_nomem(e);
  if( out->rc!=SQLITE_OK ){
    return fail(e, out->rc, "a PNG of %d x %d pixels has too many bytes", p->width, p->height);
  }
  return fail(e, SQLITE_ERROR, "a PNG of %d x %d pixels cannot be written: %s", p->width,
              p->height, reason(&f));
}
