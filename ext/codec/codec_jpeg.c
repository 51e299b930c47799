/*
** codec_jpeg.c -- JPEG files to pictures, by libjpeg-turbo.
**
** As with libpng, a failure arrives by longjmp(). libjpeg takes its memory from malloc(), at most
** about three bytes a pixel, and has no hook that would change this. So SQLite does not count this
** memory, as it does not count the weights.
**
** A camera stores what its sensor saw, and says in Exif which way is up. codec_exif.c
** turns the picture.
*/
#include "codec.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <jpeglib.h>
#include <jerror.h>

enum { SCANS_MOST = 200 };      /* a few bytes can ask for many; each passes over all pixels */

struct unpacking {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf out;
  char why[JMSG_LENGTH_MAX];    /* the reason of a failure, or "" */
  int orientation;              /* from the markers, which jpeg_finish_decompress() frees */
  struct picture *p;
  struct arena *arena;
  const char *who;
  struct err *err;
};

static void on_error(j_common_ptr jpeg){
  struct unpacking *u = jpeg->client_data;
  if( u->why[0]==0 ) jpeg->err->format_message(jpeg, u->why);
  longjmp(u->out, 1);
}

static int is_harmless(int warning){
  return warning==JWRN_EXTRANEOUS_DATA
      || warning==JWRN_ADOBE_XFORM
      || warning==JWRN_JFIF_MAJOR
      || warning==JWRN_TOO_MUCH_DATA;
}

/* A warning (level < 0) is an error here unless it is harmless: libjpeg would go on with grey
** pixels. */
static void on_message(j_common_ptr jpeg, int level){
  if( level<0 && !is_harmless(jpeg->err->msg_code) ) on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg){
  struct unpacking *u = jpeg->client_data;
  if( err_stopped(u->err) ) longjmp(u->out, 1);
  if( u->jpeg.input_scan_number<=SCANS_MOST ) return;
  strcpy(u->why, "it has too many scans");
  on_error(jpeg);
}

/* ---- Colours ---- */

/* Programs of Adobe write how much of an ink is missing, others write how much there is. */
static void cmyk_to_rgba(unsigned char *row, int width, int is_adobe){
  int ink = is_adobe ? 0 : 255;
  for(int x=0; x<width; x++){
    unsigned char *pixel = row + (size_t)x*4;
    for(int k=0; k<3; k++){
      int product = (pixel[k]^ink)*(pixel[3]^ink);
      pixel[k] = (unsigned char)((product + 127)/255);
    }
    pixel[3] = 255;
  }
}

static void read_rows(struct unpacking *u){
  int is_cmyk = u->jpeg.out_color_space==JCS_CMYK;
  while( u->jpeg.output_scanline<u->jpeg.output_height ){
    unsigned char *row = picture_pixel(u->p, 0, (int)u->jpeg.output_scanline);
    if( err_stopped(u->err) ) longjmp(u->out, 1);
    jpeg_read_scanlines(&u->jpeg, &row, 1);
    if( is_cmyk ) cmyk_to_rgba(row, u->p->width, u->jpeg.saw_Adobe_marker);
  }
}

/* ---- Which way is up ---- */

/* The first marker that says anything but the right way up: other programs' markers have the same
** number. */
static int orientation_of(const struct unpacking *u){
  static const char begins[6] = "Exif\0";        /* then a TIFF file */
  for(const struct jpeg_marker_struct *m=u->jpeg.marker_list; m; m=m->next){
    size_t n = sizeof(begins);
    int orientation;
    if( m->data_length<n || memcmp(m->data, begins, n)!=0 ) continue;
    orientation = exif_orientation(m->data + n, m->data_length - n);
    if( orientation!=1 ) return orientation;
  }
  return 1;
}

/* ---- The whole ---- */

static int allocate(struct unpacking *u){
  const struct jpeg_decompress_struct *jpeg = &u->jpeg;
  return picture_allocate(u->p, jpeg->image_width, jpeg->image_height, u->arena, u->who, u->err);
}

/* 0 after a failure. The reason is in u->err, or in u->why. */
static int unpack(struct unpacking *u, const void *bytes, size_t n){
  if( setjmp(u->out) ) return 0;
  jpeg_create_decompress(&u->jpeg);
  u->jpeg.progress = &u->progress;
  jpeg_mem_src(&u->jpeg, bytes, n);
  jpeg_save_markers(&u->jpeg, JPEG_APP0+1, 0xFFFF);
  jpeg_read_header(&u->jpeg, TRUE);
  u->orientation = orientation_of(u);
  if( allocate(u)!=SQLITE_OK ) return 0;
  u->jpeg.out_color_space = u->jpeg.num_components==4 ? JCS_CMYK : JCS_EXT_RGBA;
  jpeg_start_decompress(&u->jpeg);
  read_rows(u);
  jpeg_finish_decompress(&u->jpeg);
  return 1;
}

int jpeg_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who,
              struct err *e){
  struct unpacking u = { .p = p, .arena = a, .who = who, .err = e };
  assert( bytes!=NULL && who!=NULL );
  assert( e->rc==SQLITE_OK );
  u.jpeg.err = jpeg_std_error(&u.errors);
  u.jpeg.client_data = &u;
  u.errors.error_exit = on_error;
  u.errors.emit_message = on_message;
  u.progress.progress_monitor = on_progress;
  /* A failure of picture_allocate() is noted already, and stays: the first one wins. */
  if( unpack(&u, bytes, n) ) picture_turn(p, u.orientation, a, e);
  else if( u.errors.msg_code==JERR_OUT_OF_MEMORY ) fail_nomem(e);
  else fail(e, SQLITE_ERROR, "%s is a broken JPEG of %zu bytes: %s", who, n, u.why);
  jpeg_destroy_decompress(&u.jpeg);
  return e->rc;
}
