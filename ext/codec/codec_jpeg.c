/*
** codec_jpeg.c -- JPEG to pixels, by libjpeg-turbo.
**
** As with libpng, a failure arrives by longjmp(). libjpeg takes its memory from malloc(), about three bytes a pixel at most, and no hook changes that: with the
** mapped weights it is what SQLite does not count. Cameras store what they saw and say in Exif how it is to be turned: that is done here.
*/
#include "codec.h"
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <jpeglib.h>
#include <jerror.h>

enum { SCANS_MOST = 200 };      /* of a progressive file: each costs a pass over all pixels, and a few bytes can ask for many */

struct unpacking {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf out;
  char why[JMSG_LENGTH_MAX];
  int orientation;              /* what the markers say: jpeg_finish_decompress() lets go of them */
  struct picture *p;
  struct arena *arena;
  const char *who;
  struct err *err;
};

static void on_error(j_common_ptr jpeg){
  struct unpacking *u = jpeg->client_data;
  if( !u->why[0] ) jpeg->err->format_message(jpeg, u->why);
  longjmp(u->out, 1);
}

/* Where libjpeg would warn and go on with grey pixels, the file is broken; some warnings mean no harm. */
static void on_message(j_common_ptr jpeg, int level){
  int code = jpeg->err->msg_code;
  if( level>=0 || code==JWRN_EXTRANEOUS_DATA || code==JWRN_ADOBE_XFORM || code==JWRN_JFIF_MAJOR || code==JWRN_TOO_MUCH_DATA ) return;
  on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg){
  struct unpacking *u = jpeg->client_data;
  if( u->jpeg.input_scan_number<=SCANS_MOST ) return;
  strcpy(u->why, "it has too many scans");
  on_error(jpeg);
}

/* ---- Colours ---- */

/* Adobe's programs write how much of an ink is missing, others how much there is. */
static void cmyk_to_rgba(unsigned char *row, int width, int is_adobe){
  int ink = is_adobe ? 0 : 255;
  for(int x=0; x<width; x++, row+=4){
    for(int k=0; k<3; k++) row[k] = (unsigned char)(((row[k]^ink)*(row[3]^ink) + 127)/255);
    row[3] = 255;
  }
}

static void read_rows(struct unpacking *u){
  size_t stride = (size_t)u->p->width*4;
  int is_cmyk = u->jpeg.out_color_space==JCS_CMYK;
  while( u->jpeg.output_scanline<u->jpeg.output_height ){
    unsigned char *row = u->p->pixels + stride*u->jpeg.output_scanline;
    jpeg_read_scanlines(&u->jpeg, &row, 1);
    if( is_cmyk ) cmyk_to_rgba(row, u->p->width, u->jpeg.saw_Adobe_marker);
  }
}

/* ---- Which way is up ---- */

static uint16_t tiff_u16(const unsigned char *at, int big){ return (uint16_t)(big ? at[0]<<8 | at[1] : at[1]<<8 | at[0]); }
static uint32_t tiff_u32(const unsigned char *at, int big){
  uint32_t a = tiff_u16(at, big), b = tiff_u16(at+2, big);
  return big ? a<<16 | b : b<<16 | a;
}

/* The orientation (1..8; 1 is as it should be) in an Exif marker: "Exif\0\0", then a TIFF file, whose first directory is a list of 12-byte entries. */
static int marker_orientation(const unsigned char *data, size_t n){
  const unsigned char *tiff = data + 6;
  size_t directory;
  int big, n_entries;
  if( n<6+8 || memcmp(data, "Exif\0\0", 6)!=0 || tiff[0]!=tiff[1] || (tiff[0]!='I' && tiff[0]!='M') ) return 1;
  n -= 6;
  big = tiff[0]=='M';
  directory = tiff_u32(tiff+4, big);
  if( directory>n || n-directory<2 ) return 1;
  n_entries = tiff_u16(tiff+directory, big);
  for(int i=0; i<n_entries && directory+2+12*((size_t)i+1)<=n; i++){
    const unsigned char *entry = tiff + directory + 2 + 12*(size_t)i;
    int value = tiff_u16(entry+8, big);
    if( tiff_u16(entry, big)==0x0112 ) return value>=1 && value<=8 ? value : 1;
  }
  return 1;
}

static int orientation_of(const struct unpacking *u){
  for(const struct jpeg_marker_struct *m=u->jpeg.marker_list; m; m=m->next){
    int orientation = marker_orientation(m->data, m->data_length);
    if( orientation!=1 ) return orientation;
  }
  return 1;
}

/* Exif's eight ways: 5 to 8 have rows and columns exchanged; then some are mirrored left to right, some upside down. */
static int turn(struct picture *p, int orientation, struct arena *a, struct err *e){
  int exchanged = orientation>=5, mirrored = orientation==2 || orientation==3 || orientation==6 || orientation==7;
  int upside_down = orientation==3 || orientation==4 || orientation==7 || orientation==8;
  struct picture came = *p;
  if( orientation==1 ) return SQLITE_OK;
  if( exchanged ){
    p->width = came.height;
    p->height = came.width;
  }
  p->pixels = arena_get(a, (size_t)p->width*p->height*4);
  if( !p->pixels ) return fail_nomem(e);
  for(int y=0; y<p->height; y++){
    for(int x=0; x<p->width; x++){
      int column = mirrored ? p->width-1-x : x, row = upside_down ? p->height-1-y : y;
      size_t from = exchanged ? (size_t)column*came.width + row : (size_t)row*came.width + column;
      memcpy(p->pixels + ((size_t)y*p->width + x)*4, came.pixels + from*4, 4);
    }
  }
  return SQLITE_OK;
}

/* ---- The whole ---- */

/* 0 after a failure: u->err has it already, or u->why does. */
static int unpack(struct unpacking *u, const void *bytes, size_t n){
  if( setjmp(u->out) ) return 0;
  jpeg_create_decompress(&u->jpeg);
  u->jpeg.progress = &u->progress;
  jpeg_mem_src(&u->jpeg, bytes, n);
  jpeg_save_markers(&u->jpeg, JPEG_APP0+1, 0xFFFF);
  jpeg_read_header(&u->jpeg, TRUE);
  u->orientation = orientation_of(u);
  if( picture_room(u->p, u->jpeg.image_width, u->jpeg.image_height, u->arena, u->who, u->err)!=SQLITE_OK ) return 0;
  u->jpeg.out_color_space = u->jpeg.num_components==4 ? JCS_CMYK : JCS_EXT_RGBA;
  jpeg_start_decompress(&u->jpeg);
  read_rows(u);
  jpeg_finish_decompress(&u->jpeg);
  return 1;
}

int jpeg_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who, struct err *e){
  struct unpacking u = { .p = p, .arena = a, .who = who, .err = e };
  u.jpeg.err = jpeg_std_error(&u.errors);
  u.jpeg.client_data = &u;
  u.errors.error_exit = on_error;
  u.errors.emit_message = on_message;
  u.progress.progress_monitor = on_progress;
  if( unpack(&u, bytes, n) ) turn(p, u.orientation, a, e);
  else if( e->rc==SQLITE_OK && u.errors.msg_code==JERR_OUT_OF_MEMORY ) fail_nomem(e);
  else if( e->rc==SQLITE_OK ) fail(e, SQLITE_ERROR, "%s is a broken JPEG of %zu bytes: %s", who, n, u.why);
  jpeg_destroy_decompress(&u.jpeg);
  return e->rc;
}
