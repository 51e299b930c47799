/*
** codec_png.c -- PNG to pixels and back, by libpng.
**
** libpng reports a failure with longjmp(): each function that calls setjmp() changes no variable of its own afterwards, and what must be given back
** belongs to its caller. libpng's and zlib's memory is SQLite's.
*/
#include "codec.h"
#include <png.h>
#include <string.h>

struct file {                   /* what libpng's callbacks get */
  struct reader in;             /* reading */
  struct buf *out;              /* writing */
  int oom;
  char why[100];                /* what libpng said last */
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

static png_voidp get_memory(png_structp png, png_alloc_size_t bytes){
  void *p = mem_alloc(bytes);
  if( !p ) ((struct file*)png_get_mem_ptr(png))->oom = 1;
  return p;
}

static void free_memory(png_structp png, png_voidp p){
  (void)png;
  mem_free(p);
}

/* ---- In ---- */

static void on_read(png_structp png, png_bytep to, size_t n){
  struct file *f = png_get_io_ptr(png);
  const void *bytes = reader_bytes(&f->in, n);
  if( !bytes ) png_error(png, "it is cut off");
  memcpy(to, bytes, n);
}

struct unpacking {
  png_structp png;
  png_infop info;
  struct picture *p;
  struct arena *arena;
  const char *who;
  struct err *err;
};

/* Whatever the colours and depth: 8 bits of R, G, B and A. Colour profiles and gamma are not applied; all chunks that colours do not need are passed over. */
static void ask_for_rgba(const struct unpacking *u){
  png_set_keep_unknown_chunks(u->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_user_limits(u->png, INT32_MAX, INT32_MAX);    /* picture_room() has ours, and tells the size that came */
  png_read_info(u->png, u->info);
  png_set_expand(u->png);
  png_set_scale_16(u->png);
  png_set_gray_to_rgb(u->png);
  png_set_add_alpha(u->png, 255, PNG_FILLER_AFTER);
}

static void read_rows(const struct unpacking *u){
  int n_passes = png_set_interlace_handling(u->png);
  png_read_update_info(u->png, u->info);
  if( png_get_rowbytes(u->png, u->info)!=(size_t)u->p->width*4 ) png_error(u->png, "its rows are not what its header says");
  for(int pass=0; pass<n_passes; pass++){
    for(int y=0; y<u->p->height; y++) png_read_row(u->png, u->p->pixels + (size_t)y*u->p->width*4, NULL);
  }
  png_read_end(u->png, NULL);
}

/* 0 after a failure: u->err has it already, or the file's `why` and `oom` do. */
static int unpack(const struct unpacking *u){
  if( setjmp(png_jmpbuf(u->png)) ) return 0;
  ask_for_rgba(u);
  if( picture_room(u->p, png_get_image_width(u->png, u->info), png_get_image_height(u->png, u->info), u->arena, u->who, u->err)!=SQLITE_OK ) return 0;
  read_rows(u);
  return 1;
}

int png_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who, struct err *e){
  struct file f = { .in = reader_of(bytes, n) };
  struct unpacking u = { .p = p, .arena = a, .who = who, .err = e };
  int good;
  u.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &f, on_error, on_warning, &f, get_memory, free_memory);
  u.info = u.png ? png_create_info_struct(u.png) : NULL;
  if( u.info ) png_set_read_fn(u.png, &f, on_read);
  good = u.info && unpack(&u);
  png_destroy_read_struct(&u.png, &u.info, NULL);
  if( good || e->rc ) return e->rc;
  if( f.oom ) return fail_nomem(e);
  return fail(e, SQLITE_ERROR, "%s is a broken PNG of %zu bytes: %s", who, n, f.why[0] ? f.why : "libpng is of another version");
}

/* ---- Out ---- */

static void on_write(png_structp png, png_bytep bytes, size_t n){
  struct file *f = png_get_io_ptr(png);
  buf_append(f->out, bytes, n);
  if( f->out->rc ) png_error(png, "no room");
}

static void on_flush(png_structp png){
  (void)png;
}

static int pack(png_structp png, png_infop info, const struct picture *p){
  if( setjmp(png_jmpbuf(png)) ) return 0;
  png_set_user_limits(png, INT32_MAX, INT32_MAX);
  png_set_IHDR(png, info, (png_uint_32)p->width, (png_uint_32)p->height, 8, PNG_COLOR_TYPE_RGBA, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for(int y=0; y<p->height; y++) png_write_row(png, p->pixels + (size_t)y*p->width*4);
  png_write_end(png, NULL);
  return 1;
}

int png_write(struct buf *out, const struct picture *p, struct err *e){
  struct file f = { .out = out };
  png_structp png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &f, on_error, on_warning, &f, get_memory, free_memory);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  int good;
  if( info ) png_set_write_fn(png, &f, on_write, on_flush);
  good = info && pack(png, info, p);
  png_destroy_write_struct(&png, &info);
  if( good ) return SQLITE_OK;
  if( f.oom || out->rc==SQLITE_NOMEM ) return fail_nomem(e);
  if( out->rc ) return fail(e, out->rc, "a PNG of %d x %d pixels has too many bytes", p->width, p->height);
  return fail(e, SQLITE_ERROR, "a PNG of %d x %d pixels cannot be written: %s", p->width, p->height, f.why[0] ? f.why : "libpng is of another version");
}
