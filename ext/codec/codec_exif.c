/*
** codec_exif.c -- which way is up: the orientation in Exif, and a picture turned by it.
**
** A camera stores what its sensor saw, and says in Exif which way is up. Exif is a TIFF file
** without pixels. A JPEG has it in an APP1 marker, after "Exif\0\0"; a PNG in its eXIf chunk:
**
**     0  2  "II": numbers have their low byte first; "MM": their high byte
**     2  2  42
**     4  4  where the first directory lies
**     directory:  2  how many entries; then 12 for each:
**                    2 tag, 2 type (3: 16 bits), 4 how many values, 4 the value itself
**
** Only entries of the first directory are read, and only those that are there. Whatever is wrong
** with the file, the picture is then the right way up.
*/
#include "codec.h"
#include <assert.h>
#include <string.h>

enum {
  HEADER_BYTES = 8,
  ENTRY_BYTES = 12,
  TAG_ORIENTATION = 0x0112,
  MAGIC = 42
};

static uint16_t tiff_u16(const unsigned char *at, int big){
  return (uint16_t)(big ? at[0]<<8 | at[1] : at[1]<<8 | at[0]);
}

static uint32_t tiff_u32(const unsigned char *at, int big){
  uint32_t a = tiff_u16(at, big);
  uint32_t b = tiff_u16(at+2, big);
  return big ? a<<16 | b : b<<16 | a;
}

int exif_orientation(const unsigned char *tiff, size_t n){
  size_t directory;
  int big, n_entries;
  if( n<HEADER_BYTES || tiff[0]!=tiff[1] || (tiff[0]!='I' && tiff[0]!='M') ) return 1;
  big = tiff[0]=='M';
  if( tiff_u16(tiff+2, big)!=MAGIC ) return 1;
  directory = tiff_u32(tiff+4, big);
  if( directory>n || n-directory<2 ) return 1;
  n_entries = tiff_u16(tiff+directory, big);
  for(int i=0; i<n_entries; i++){
    size_t at = directory + 2 + ENTRY_BYTES*(size_t)i;
    int value;
    if( at+ENTRY_BYTES>n ) return 1;    /* the file has fewer entries than it says */
    if( tiff_u16(tiff+at, big)!=TAG_ORIENTATION ) continue;
    value = tiff_u16(tiff+at+8, big);
    return value>=1 && value<=8 ? value : 1;
  }
  return 1;
}

/* Exif's eight orientations: 5 to 8 exchange rows and columns; then some are mirrored left to
** right, some are upside down. */
int picture_turn(struct picture *p, int orientation, struct arena *a, struct err *e){
  int exchanged = orientation>=5;
  int mirrored = orientation==2 || orientation==3 || orientation==6 || orientation==7;
  int upside_down = orientation==3 || orientation==4 || orientation==7 || orientation==8;
  struct picture came = *p;
  assert( orientation>=1 && orientation<=8 );
  if( orientation==1 ) return SQLITE_OK;
  if( exchanged ){
    p->width = came.height;
    p->height = came.width;
  }
  p->pixels = arena_get(a, (size_t)p->width*p->height*4);
  if( p->pixels==NULL ) return fail_nomem(e);
  for(int y=0; y<p->height; y++){
    int row = upside_down ? p->height-1-y : y;
    if( err_stopped(e) ) return e->rc;
    for(int x=0; x<p->width; x++){
      int column = mirrored ? p->width-1-x : x;
      const unsigned char *from = exchanged ? picture_pixel(&came, row, column)
                                            : picture_pixel(&came, column, row);
      memcpy(picture_pixel(p, x, y), from, 4);
    }
  }
  return SQLITE_OK;
}
