/*
** test_codec_picture.c -- the properties of the bytes of pictures: PNG and JPEG in, PNG out.
** (test_codec_fit.c: pictures on a square.)
**
** libpng and libjpeg themselves make the files from samples (picture_files.h); plain formulas over
** these samples say what pixels the files hold. A damaged file must give an error with a text, or a
** picture that is whole (picture_reading.h).
**
**     build/asan/test_codec_picture [ROUNDS]
**
** ROUNDS: how many files are damaged at random at the end.
*/
#include "codec.h"
#include "fault.h"
#include "ok.h"
#include "picture_files.h"
#include "picture_reading.h"
#include <sqlite3.h>

static const struct { int width, height; } SIZES[] = {
  { 1, 1 }, { 1, 7 }, { 7, 1 }, { 9, 5 }, { 64, 64 }, { 65, 63 },
};

/* ---- PNG in ---- */

static unsigned char to_8_bits(unsigned v, int depth){
  unsigned most = (1u<<depth) - 1;
  return (unsigned char)((v*255 + most/2)/most);
}

static void palette_pixel(unsigned char *to, const struct png_kind *k, const struct samples *s,
                          int index){
  const png_color *c = &s->palette[index];
  int has_alpha = k->keyed && index<(1<<k->depth)/2;
  to[0] = c->red;
  to[1] = c->green;
  to[2] = c->blue;
  to[3] = has_alpha ? s->alphas[index] : 255;
}

/* to[4] = what the samples v of one pixel mean. */
static void expected_pixel(unsigned char *to, const struct png_kind *k, const struct samples *s,
                           const uint16_t *v){
  int is_colour = k->colour & PNG_COLOR_MASK_COLOR;
  int has_alpha = k->colour & PNG_COLOR_MASK_ALPHA;
  int is_key = k->keyed;
  if( k->colour==PNG_COLOR_TYPE_PALETTE ){
    palette_pixel(to, k, s, v[0]);
    return;
  }
  for(int i=0; i<3; i++) to[i] = to_8_bits(v[is_colour ? i : 0], k->depth);
  for(int i=0; i<s->channels && i<3; i++) is_key &= v[i]==s->key[i];
  to[3] = is_key ? 0 : 255;
  if( has_alpha ) to[3] = to_8_bits(v[s->channels-1], k->depth);
}

static struct picture expected_of(const struct png_kind *k, const struct samples *s){
  struct picture p = blank(s->width, s->height);
  for(int i=0; i<s->width*s->height; i++){
    expected_pixel(p.pixels + (size_t)i*4, k, s, s->at + (size_t)i*(size_t)s->channels);
  }
  return p;
}

/* Every size of one kind. */
static void try_kind(struct property *p, const struct png_kind *k, struct random *r){
  for(size_t i=0; i<N_OF(SIZES); i++){
    struct buf png = { 0 };
    struct samples s = png_any(&png, k, SIZES[i].width, SIZES[i].height, r);
    struct picture expected = expected_of(k, &s);
    holds(p, reads_as(&png, &expected),
          "colour type %d of %d bits, interlaced %d, tRNS %d, %d x %d", k->colour, k->depth,
          k->interlaced, k->keyed, s.width, s.height);
    buf_release(&png);
    arena_release(&arena);
  }
}

static void test_png_kinds(void){
  struct property plain = { 0 }, keyed = { 0 };
  struct random r = random_of(1);
  for(size_t i=0; i<N_OF(COLOURS); i++){
    for(const int *depth=COLOURS[i].depths; *depth; depth++){
      for(int interlaced=0; interlaced<2; interlaced++){
        struct png_kind k = {
          .colour = COLOURS[i].colour, .depth = *depth, .interlaced = interlaced,
        };
        try_kind(&plain, &k, &r);
        k.keyed = 1;
        if( !(k.colour & PNG_COLOR_MASK_ALPHA) ) try_kind(&keyed, &k, &r);
      }
    }
  }
  property_ok(&plain, "pictures: a PNG of every colour type, depth and size, interlaced or not, "
                      "has its own pixels");
  property_ok(&keyed, "pictures: a PNG's clear colour or palette of alphas makes its pixels clear, "
                      "and no others");
}

/* ---- PNG out ---- */

static void test_png_round_trip(void){
  static const char before[] = "before";
  size_t n = strlen(before);
  struct property p = { 0 };
  struct random r = random_of(2);
  for(size_t i=0; i<N_OF(SIZES); i++){
    struct picture picture = any_picture(SIZES[i].width, SIZES[i].height, &r);
    struct buf png = { 0 };
    struct err e = { 0 };
    buf_str(&png, before);
    png_write(&png, &picture, &e);
    holds(&p, e.rc==SQLITE_OK && png.n>n && memcmp(png.data, before, n)==0, "%d x %d: %s",
          picture.width, picture.height, e.text);
    span_remove(&png, 0, n);
    holds(&p, reads_as(&png, &picture), "%d x %d", picture.width, picture.height);
    buf_release(&png);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: what is written as PNG comes back, the colours of clear pixels too, "
                  "behind what the buffer held");
}

static void test_png_unwritten(void){
  unsigned char pixels[4*100] = { 0 };
  struct picture none = { 0, 1, pixels };
  struct picture some = { 10, 10, pixels };
  struct buf out = { 0 };
  struct buf full = { .max = 40 };
  struct err e = { 0 }, too_big = { 0 };
  png_write(&out, &none, &e);
  png_write(&full, &some, &too_big);
  ok(e.rc==SQLITE_ERROR && strstr(e.text, "0 x 1"),
     "pictures: a picture of no pixels is not written", "%d %s", e.rc, e.text);
  ok(too_big.rc==SQLITE_TOOBIG && strstr(too_big.text, "10 x 10"),
     "pictures: a PNG that is larger than its buffer may be is not written", "%d %s", too_big.rc,
     too_big.text);
  buf_release(&out);
  buf_release(&full);
}

/* ---- Chunks ---- */

/* A chunk in each place where it may stand. */
static void try_chunk(struct property *p, const struct buf *png, const struct picture *expected,
                      const char *name, const void *data, size_t n){
  static const char *const places[] = { "PLTE", "tRNS", "IDAT", "IEND" };
  for(size_t i=0; i<N_OF(places); i++){
    struct buf with = { 0 };
    png_with(&with, png, places[i], name, data, n);
    holds(p, reads_as(&with, expected), "%s of %zu bytes before %s", name, n, places[i]);
    buf_release(&with);
  }
}

static void test_png_ancillary(void){
  static const char names[][5] = {
    "gAMA", "sRGB", "cHRM", "iCCP", "sBIT", "bKGD", "hIST", "pHYs", "sPLT", "tIME", "tEXt",
    "zTXt", "iTXt", "eXIf", "oFFs", "pCAL", "sCAL", "sTER", "acTL", "fcTL", "fdAT", "abCd",
    "abCD",
  };
  static const struct { const char *name, *data; size_t n; } whole[] = {
    { "gAMA", "\0\0\x10\0", 4 },
    { "sRGB", "\1", 1 },
    { "sBIT", "\1\1\1", 3 },
    { "bKGD", "\1", 1 },
    { "pHYs", "\0\0\0\1\0\0\0\x7\0", 9 },
    { "tEXt", "Title\0me", 8 },
    { "eXIf", "MM\0*\0\0\0\x8\0\1\1\x12\0\3\0\0\0\1\0\1\0\0\0\0\0\0", 26 },
    { "acTL", "\0\0\0\2\0\0\0\0", 8 },
    { "tIME", "\x7\xE8\1\1\1\1\1", 7 },
  };
  struct property p = { 0 };
  struct random r = random_of(3);
  struct png_kind k = { .colour = PNG_COLOR_TYPE_PALETTE, .depth = 4, .keyed = 1 };
  struct buf png = { 0 };
  struct samples s = png_any(&png, &k, 9, 5, &r);
  struct picture expected = expected_of(&k, &s);
  char noise[100];
  for(int i=0; i<100; i++) noise[i] = (char)(i*i>>3);
  for(size_t i=0; i<N_OF(whole); i++){
    try_chunk(&p, &png, &expected, whole[i].name, whole[i].data, whole[i].n);
  }
  for(size_t i=0; i<N_OF(names); i++){
    try_chunk(&p, &png, &expected, names[i], noise, 0);
    try_chunk(&p, &png, &expected, names[i], noise, sizeof(noise));
  }
  property_ok(&p, "pictures: chunks that colours do not need change nothing, not even broken "
                  "ones");
  buf_release(&png);
  arena_release(&arena);
}

/* The most of SQLite's memory that reading takes. */
static sqlite3_int64 memory_of(const struct buf *file, struct picture *p, struct err *e){
  sqlite3_int64 before = sqlite3_memory_used();
  sqlite3_memory_highwater(1);
  picture_read(p, file->data, file->n, &arena, WHO, e);
  return sqlite3_memory_highwater(0) - before;
}

/* libpng takes less than 9 MB of one chunk unless it is told to take more. */
static void test_png_text(void){
  static const size_t sizes[] = { 1<<20, 9<<20 };
  struct property p = { 0 };
  struct random r = random_of(9);
  struct png_kind k = { .colour = PNG_COLOR_TYPE_GRAY, .depth = 8 };
  struct buf png = { 0 };
  char *text = calloc(sizes[1], 1);
  png_any(&png, &k, 9, 5, &r);
  for(size_t i=0; i<N_OF(sizes); i++){
    struct buf with = { 0 };
    struct picture picture;
    struct err e = { 0 };
    sqlite3_int64 most;
    png_with(&with, &png, "IDAT", "tEXt", text, sizes[i]);
    arena_release(&arena);
    most = memory_of(&with, &picture, &e);
    holds(&p, e.rc==SQLITE_OK && picture.width==9 && most<200000,
          "%zu bytes: \"%s\", %lld bytes taken", sizes[i], e.text, (long long)most);
    buf_release(&with);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: a text of many megabytes is passed over, and takes no memory");
  buf_release(&png);
  free(text);
}

/* ---- JPEG in ---- */

static int expected_colour(const struct jpeg_kind *k, const unsigned char *v, int channel){
  switch( k->of ){
    case JCS_GRAYSCALE: return v[0];
    case JCS_RGB:       return v[channel];
    default:            return (255-v[channel])*(255-v[3])/255;
  }
}

/* Mean difference of the colours; 255 when a pixel is not opaque. */
static double distance_from(const struct picture *p, const struct jpeg_kind *k,
                            const unsigned char *samples){
  int n = p->width*p->height;
  int sum = 0;
  for(int i=0; i<n; i++){
    const unsigned char *pixel = p->pixels + (size_t)i*4;
    const unsigned char *v = samples + i*jpeg_channels(k);
    for(int c=0; c<3; c++) sum += abs(pixel[c] - expected_colour(k, v, c));
    if( pixel[3]!=255 ) return 255;
  }
  return sum/(3.0*n);
}

static void try_jpeg(struct property *p, const struct jpeg_kind *k, int width, int height){
  unsigned char *samples = smooth_samples(k, width, height);
  struct buf jpeg = { 0 };
  struct reading r;
  const char *odd;
  double apart = 255;
  jpeg_encode(&jpeg, k, samples, width, height, NULL, 0);
  odd = read_twice(&r, jpeg.data, jpeg.n);
  if( r.e.rc==SQLITE_OK && r.p.width==width && r.p.height==height ){
    apart = distance_from(&r.p, k, samples);
  }
  holds(p, odd==NULL && apart<2, "%s, %d x %d: %s %s, %.2f apart", k->name, width, height,
        shown(odd), r.e.text, apart);
  arena_release(&r.arena);
  buf_release(&jpeg);
  arena_release(&arena);
}

static void test_jpeg_kinds(void){
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(JPEGS); i++){
    for(size_t k=0; k<N_OF(SIZES); k++) try_jpeg(&p, &JPEGS[i], SIZES[k].width, SIZES[k].height);
  }
  property_ok(&p, "pictures: a JPEG of every kind has about the pixels that were put in");
}

/* Sorts of JPEG that libjpeg does not read: the frame header says so, which the test changes. */
static void test_jpeg_unread(void){
  static const struct { int at; char byte; const char *why; } changes[] = {
    { 1, (char)0xC3, "Unsupported JPEG process" },      /* lossless */
    { 1, (char)0xC5, "Unsupported JPEG process" },      /* a difference to another picture */
    { 4, 12, "Unsupported JPEG data precision 12" },
    { 4, 16, "Unsupported JPEG data precision 16" },
    { 9, 5, "" },                                       /* more components than it describes */
  };
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(changes); i++){
    struct buf jpeg = { 0 };
    struct reading r;
    const char *odd;
    jpeg_smooth(&jpeg, &JPEGS[1], 9, 5);
    jpeg_frame(&jpeg)[changes[i].at] = (unsigned char)changes[i].byte;
    odd = read_twice(&r, jpeg.data, jpeg.n);
    holds(&p, odd==NULL && r.e.rc==SQLITE_ERROR && strstr(r.e.text, changes[i].why),
          "%s: %s \"%s\"", changes[i].why, shown(odd), r.e.text);
    arena_release(&r.arena);
    buf_release(&jpeg);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: a JPEG of a sort that cannot be read is refused, and told which");
}

/* ---- Exif ---- */

/* A file with Exif[n] in it: in a marker of a JPEG; without "Exif\0\0" in a chunk of a PNG, behind
** or before its pixels. */
static void with_exif(struct buf *out, const struct buf *file, const void *exif, size_t n,
                      int behind){
  enum { PREFIX = 6 };
  const char *tiff = exif;
  if( file->data[0]!=(char)0x89 ) jpeg_with(out, file, 0xE1, exif, n);
  else if( n<PREFIX ) png_with(out, file, behind ? "IEND" : "IDAT", "eXIf", exif, 0);
  else png_with(out, file, behind ? "IEND" : "IDAT", "eXIf", tiff+PREFIX, n-PREFIX);
}

/* A file of the other sort each time. */
static void any_file(struct buf *out, int is_png, int width, int height){
  struct png_kind k = { .colour = PNG_COLOR_TYPE_RGB_ALPHA, .depth = 8 };
  struct random r = random_of((uint64_t)(width*100 + height));
  if( is_png ) png_any(out, &k, width, height, &r);
  else jpeg_smooth(out, &JPEGS[2], width, height);
}

/* Six squares of 8 pixels, a to f from black to nearly white: what is seen, row by row, at each
** orientation. */
static const char SEEN[][9] = {
  "", "abc def", "cba fed", "fed cba", "def abc", "ad be cf", "da eb fc", "fc eb da", "cf be ad",
};

/* 1 when the square at (x, y) is the one of that letter. */
static int is_square(const struct picture *p, int x, int y, char letter){
  if( x+8>p->width || y+8>p->height ) return 0;
  for(int i=0; i<64; i++){
    int green = picture_pixel(p, x + i%8, y + i/8)[1];
    if( abs(green - 40*(letter-'a'))>4 ) return 0;
  }
  return 1;
}

static int shows(const struct picture *p, const char *seen){
  int x = 0, y = 0;
  for(; *seen; seen++){
    if( *seen==' ' ){
      x = 0;
      y += 8;
      continue;
    }
    if( !is_square(p, x, y, *seen) ) return 0;
    x += 8;
  }
  return p->width==x && p->height==y+8;
}

static void test_orientations(void){
  struct property p = { 0 };
  unsigned char squares[24*16], exif[EXIF_BYTES];
  struct buf jpeg = { 0 };
  for(int i=0; i<24*16; i++) squares[i] = (unsigned char)(40*(i%24/8 + i/24/8*3));
  jpeg_encode(&jpeg, &JPEGS[0], squares, 24, 16, NULL, 0);
  for(unsigned i=0; i<16; i++){
    unsigned orientation = 1 + i/2;
    int big = i&1;
    struct buf turned = { 0 };
    struct reading r;
    const char *odd;
    exif_make(exif, big, orientation);
    with_exif(&turned, &jpeg, exif, sizeof(exif), 0);
    odd = read_twice(&r, turned.data, turned.n);
    holds(&p, odd==NULL && r.e.rc==SQLITE_OK && shows(&r.p, SEEN[orientation]),
          "orientation %u in %s: %s %s", orientation, big ? "MM" : "II", shown(odd), r.e.text);
    arena_release(&r.arena);
    buf_release(&turned);
  }
  buf_release(&jpeg);
  property_ok(&p, "pictures: a JPEG of each of Exif's eight orientations is the right way up, in "
                  "either order of bytes");
}

/* Where column c and row r of the file are seen, first across, then down; '-' counts from the far
** end. */
static const struct { char across_sign, across, down_sign, down; } PLACES[] = {
  { 0, 0, 0, 0 },
  { '+', 'c', '+', 'r' },
  { '-', 'c', '+', 'r' },
  { '-', 'c', '-', 'r' },
  { '+', 'c', '-', 'r' },
  { '+', 'r', '+', 'c' },
  { '-', 'r', '+', 'c' },
  { '-', 'r', '-', 'c' },
  { '+', 'r', '-', 'c' },
};

static int is_turned(const struct picture *p, const struct picture *plain, unsigned orientation){
  int exchanged = PLACES[orientation].across=='r';
  int width = exchanged ? plain->height : plain->width;
  int height = exchanged ? plain->width : plain->height;
  if( p->width!=width || p->height!=height ) return 0;
  for(int r=0; r<plain->height; r++){
    for(int c=0; c<plain->width; c++){
      int x = exchanged ? r : c;
      int y = exchanged ? c : r;
      if( PLACES[orientation].across_sign=='-' ) x = width-1-x;
      if( PLACES[orientation].down_sign=='-' ) y = height-1-y;
      if( memcmp(picture_pixel(p, x, y), picture_pixel(plain, c, r), 4)!=0 ) return 0;
    }
  }
  return 1;
}

static void try_turned(struct property *p, int is_png, int width, int height,
                       unsigned orientation){
  unsigned char exif[EXIF_BYTES];
  struct buf file = { 0 }, turned = { 0 };
  struct reading plain, r;
  const char *odd;
  int good;
  any_file(&file, is_png, width, height);
  exif_make(exif, width&1, orientation);
  with_exif(&turned, &file, exif, sizeof(exif), height&1);
  read_once(&plain, file.data, file.n, 0);
  odd = read_twice(&r, turned.data, turned.n);
  good = odd==NULL
      && plain.e.rc==SQLITE_OK
      && r.e.rc==SQLITE_OK
      && is_turned(&r.p, &plain.p, orientation);
  holds(p, good, "%s, orientation %u of %d x %d: %s %s", is_png ? "PNG" : "JPEG", orientation,
        plain.p.width, plain.p.height, shown(odd), r.e.text);
  arena_release(&plain.arena);
  arena_release(&r.arena);
  buf_release(&file);
  buf_release(&turned);
  arena_release(&arena);
}

static void test_orientation_sizes(void){
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(SIZES); i++){
    for(unsigned o=1; o<=8; o++){
      try_turned(&p, 0, SIZES[i].width, SIZES[i].height, o);
      try_turned(&p, 1, SIZES[i].width, SIZES[i].height, o);
    }
  }
  property_ok(&p, "pictures: turning a JPEG or PNG moves each pixel of any size to its "
                  "place and changes none");
}

/* How a file with this Exif is turned, or 0 when it is not read. then: good Exif of orientation 6
** stands behind it. */
static unsigned turned_by(int is_png, const void *marker, size_t n, int then){
  struct buf file = { 0 }, first = { 0 }, both = { 0 };
  struct reading plain, r;
  unsigned char exif[EXIF_BYTES];
  unsigned found = 0;
  any_file(&file, is_png, 9, 5);
  exif_make(exif, 1, 6);
  if( then ) with_exif(&first, &file, exif, sizeof(exif), 1);
  else buf_append(&first, file.data, file.n);
  with_exif(&both, &first, marker, n, 0);
  read_once(&plain, file.data, file.n, 0);
  if( read_twice(&r, both.data, both.n)==NULL && r.e.rc==SQLITE_OK ){
    for(unsigned o=1; o<=8 && !found; o++) found = is_turned(&r.p, &plain.p, o) ? o : 0;
  }
  arena_release(&plain.arena);
  arena_release(&r.arena);
  buf_release(&file);
  buf_release(&first);
  buf_release(&both);
  arena_release(&arena);
  return found;
}

/* Exif that is cut off, or whose numbers are wrong. */
static void try_broken_exif(struct property *p, int is_png, int big){
  enum { END = EXIF_BYTES-6 };
  static const uint32_t offsets[] = {
    9, END-2, END-1, END, END+1, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFE,
    0xFFFFFFFF,
  };
  static const unsigned values[] = { 0, 9, 255, 256, 0x600, 0x8000, 0xFFFF };
  static const unsigned magics[] = { 0, 41, 43, 42<<8, 0xFFFF };
  unsigned char exif[EXIF_BYTES];
  for(size_t n=0; n<=EXIF_BYTES; n++){
    unsigned expected = n>=EXIF_ENTRY+12 ? 6 : 1;
    exif_make(exif, big, 6);
    holds(p, turned_by(is_png, exif, n, 0)==expected, "cut to %zu bytes", n);
  }
  for(size_t i=0; i<N_OF(offsets); i++){
    exif_make(exif, big, 6);
    put_u32(exif+10, offsets[i], big);
    holds(p, turned_by(is_png, exif, sizeof(exif), 0)==1, "directory at %u", offsets[i]);
  }
  for(size_t i=0; i<N_OF(values); i++){
    exif_make(exif, big, values[i]);
    holds(p, turned_by(is_png, exif, sizeof(exif), 0)==1, "orientation %u", values[i]);
    holds(p, turned_by(is_png, exif, sizeof(exif), 1)==6, "orientation %u, then 6", values[i]);
  }
  for(size_t i=0; i<N_OF(magics); i++){
    exif_make(exif, big, 6);
    put_u16(exif+8, magics[i], big);
    holds(p, turned_by(is_png, exif, sizeof(exif), 0)==1, "%u where 42 should be", magics[i]);
  }
  exif_make(exif, big, 6);
  put_u32(exif+10, 0, big);
  put_u32(exif+sizeof(exif)-4, EXIF_DIRECTORY-6, big);
  holds(p, turned_by(is_png, exif, sizeof(exif), 0)==1, "a directory on the header");
  exif_make(exif, big, 3);
  put_u32(exif+sizeof(exif)-4, EXIF_DIRECTORY-6, big);
  put_u32(exif+EXIF_ENTRY+4, 0xFFFFFFFF, big);
  holds(p, turned_by(is_png, exif, sizeof(exif), 0)==3,
        "a directory followed by itself, of 2^32-1 values");
  exif_make(exif, big, 6);
  put_u16(exif+EXIF_DIRECTORY, 1, big);
  holds(p, turned_by(is_png, exif, sizeof(exif), 0)==1, "one entry, two given");
  put_u16(exif+EXIF_DIRECTORY, 0xFFFF, big);
  holds(p, turned_by(is_png, exif, sizeof(exif), 0)==6,
        "65535 entries, the orientation among those that are there");
  put_u16(exif+EXIF_ENTRY, 0x0113, big);
  holds(p, turned_by(is_png, exif, sizeof(exif), 0)==1, "65535 entries without it");
  exif_make(exif, big, 6);
  exif[7] ^= 'M'^'I';
  holds(p, turned_by(is_png, exif, sizeof(exif), 0)==1, "two orders of bytes at once");
}

static void test_broken_exif(void){
  static const char xmp[] = "http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>";
  struct property ignored = { 0 };
  for(int i=0; i<4; i++) try_broken_exif(&ignored, i/2, i%2);
  holds(&ignored, turned_by(0, xmp, sizeof(xmp), 1)==6 && turned_by(0, "", 0, 1)==6,
        "another marker before it");
  property_ok(&ignored, "pictures: broken Exif of a JPEG or PNG is passed over, and other "
                        "markers");
}

/* ---- What asks for too much ---- */

/* A script of many scans: the means; then each of the 63 other numbers of each component, without
** its last bit; then these bits. */
static int many_scans(jpeg_scan_info *scans){
  int n = 0;
  for(int component=0; component<3; component++){
    scans[n++] = (jpeg_scan_info){ 1, { component }, 0, 0, 0, 0 };
  }
  for(int i=0; i<2*63*3; i++){
    int refining = i/(63*3);
    int component = i/63%3;
    int number = 1 + i%63;
    scans[n++] = (jpeg_scan_info){ 1, { component }, number, number, refining, !refining };
  }
  return n;
}

static void test_scans(void){
  jpeg_scan_info scans[3 + 2*63*3];
  int tried[] = { 3, 199, 200, 201, many_scans(scans) };
  const struct jpeg_kind *k = &JPEGS[1];
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(tried); i++){
    struct buf jpeg = { 0 };
    struct reading r;
    const char *odd;
    int good;
    jpeg_encode(&jpeg, k, smooth_samples(k, 9, 5), 9, 5, scans, tried[i]);
    odd = read_twice(&r, jpeg.data, jpeg.n);
    if( tried[i]<=200 ) good = r.e.rc==SQLITE_OK;
    else good = r.e.rc==SQLITE_ERROR && strstr(r.e.text, "too many scans");
    holds(&p, odd==NULL && good, "%d scans: %s %s", tried[i], shown(odd), r.e.text);
    arena_release(&r.arena);
    buf_release(&jpeg);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: a JPEG of 200 scans is read, one of 201 is not");
}

static void try_large(struct property *p, const struct buf *file, uint32_t width,
                      uint32_t height){
  struct err e = { 0 };
  struct picture picture;
  char says[60];
  sqlite3_int64 most;
  int good;
  snprintf(says, sizeof(says), WHO " is a picture of %u x %u pixels, ", width, height);
  most = memory_of(file, &picture, &e);
  good = e.rc==SQLITE_ERROR
      && strncmp(e.text, says, strlen(says))==0
      && strstr(e.text, "67108864")
      && most<100000
      && picture.pixels==NULL;
  holds(p, good, "%u x %u: %d \"%s\", %lld bytes taken", width, height, e.rc, e.text,
        (long long)most);
}

static void test_too_large(void){
  enum { JPEG_SIDE_MOST = 65500 };
  static const struct { uint32_t width, height; } sizes[] = {
    { 8193, 8192 }, { 8192, 8193 }, { 65500, 65500 }, { 65500, 1025 }, { (1<<26)+1, 1 },
    { 1, (1<<26)+1 }, { 1<<16, 1<<16 }, { 0x7FFFFFFF, 1 }, { 0x7FFFFFFF, 0x7FFFFFFF },
  };
  struct property p = { 0 };
  struct random r = random_of(4);
  for(size_t i=0; i<N_OF(sizes); i++){
    uint32_t width = sizes[i].width;
    uint32_t height = sizes[i].height;
    struct buf png = { 0 }, jpeg = { 0 };
    struct png_kind k = { .colour = PNG_COLOR_TYPE_GRAY, .depth = 1, .interlaced = (int)(i&1) };
    png_any(&png, &k, 8, 8, &r);
    png_resize(&png, width, height);
    try_large(&p, &png, width, height);
    if( width<=JPEG_SIDE_MOST && height<=JPEG_SIDE_MOST ){
      jpeg_smooth(&jpeg, &JPEGS[i%N_OF(JPEGS)], 8, 8);
      jpeg_resize(&jpeg, width, height);
      try_large(&p, &jpeg, width, height);
    }
    buf_release(&png);
    buf_release(&jpeg);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: a header that asks for too many pixels is refused before there is "
                  "memory for them, and told");
}

static void test_allocate(void){
  struct err few = { 0 }, many = { 0 };
  struct picture p = { 0 };
  int good;
  picture_allocate(&p, 8192, 8192, &arena, WHO, &few);
  good = few.rc==SQLITE_OK && p.width==8192 && p.height==8192 && p.pixels;
  picture_allocate(&p, UINT32_MAX, UINT32_MAX, &arena, WHO, &many);
  ok(good && many.rc==SQLITE_ERROR,
     "pictures: there is room for the largest, and none for 2^64 pixels", "%s%s", few.text,
     many.text);
  arena_release(&arena);
}

/* ---- What is no picture, and messages ---- */

static void test_messages(void){
  static const struct { const char *bytes; size_t n; int is_picture; const char *text; } cases[] = {
    { NULL, 0, 0, WHO " is neither a PNG nor a JPEG (0 bytes)" },
    { "", 0, 0, WHO " is neither a PNG nor a JPEG (0 bytes)" },
    { "GIF89a", 6, 0, WHO " is neither a PNG nor a JPEG (6 bytes)" },
    { "\x89PNG\r\n\x1A", 7, 0, WHO " is neither a PNG nor a JPEG (7 bytes)" },
    { "\x89PNG\n\x1A\n\n", 8, 0, WHO " is neither a PNG nor a JPEG (8 bytes)" },
    { "\xFF\xD8", 2, 0, WHO " is neither a PNG nor a JPEG (2 bytes)" },
    { "\x89PNG\r\n\x1A\n", 8, 1, WHO " is a broken PNG of 8 bytes: it is cut off" },
    { "\xFF\xD8\xFF", 3, 1, WHO " is a broken JPEG of 3 bytes: " },
    { "\xFF\xD8\xFF\xD9", 4, 1, WHO " is a broken JPEG of 4 bytes: " },
    { "\xFF\xD8\xFF\xFF\xFF", 5, 1, WHO " is a broken JPEG of 5 bytes: " },
  };
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(cases); i++){
    const char *text = cases[i].text;
    struct reading r;
    const char *odd = read_twice(&r, cases[i].bytes, cases[i].n);
    int good = strncmp(r.e.text, text, strlen(text))==0;
    if( !cases[i].is_picture ) good = strcmp(r.e.text, text)==0;
    good = good
        && odd==NULL
        && r.e.rc==SQLITE_ERROR
        && picture_is(cases[i].bytes, cases[i].n)==cases[i].is_picture;
    holds(&p, good, "\"%s\", expected \"%s\"", r.e.text, text);
    arena_release(&r.arena);
  }
  property_ok(&p, "pictures: what is no picture, or a broken one, is told: who, of what format, of "
                  "how many bytes, why");
}

/* ---- Files to damage ---- */

enum { N_PNGS = 5, N_JPEGS = 5, N_FILES = N_PNGS + N_JPEGS };

/* File i; the first N_PNGS are PNG. */
static void damage_file(struct buf *out, int i){
  static const struct png_kind pngs[N_PNGS] = {
    { .colour = PNG_COLOR_TYPE_RGB_ALPHA, .depth = 8, .stored = 1 },
    { .colour = PNG_COLOR_TYPE_PALETTE, .depth = 4, .interlaced = 1, .keyed = 1 },
    { .colour = PNG_COLOR_TYPE_GRAY, .depth = 16, .interlaced = 1, .keyed = 1, .stored = 1 },
    { .colour = PNG_COLOR_TYPE_PALETTE, .depth = 2, .keyed = 1, .stored = 1 },
    { .colour = PNG_COLOR_TYPE_RGB, .depth = 8, .interlaced = 1, .keyed = 1 },
  };
  static const int jpegs[N_JPEGS] = { 0, 2, 5, 7, 8 };
  struct random r = random_of((uint64_t)i);
  struct buf plain = { 0 };
  unsigned char exif[EXIF_BYTES];
  exif_make(exif, i&1, 7);
  if( i<N_PNGS ) png_any(&plain, &pngs[i], i==3 ? 19 : 7, 5, &r);
  else jpeg_smooth(&plain, &JPEGS[jpegs[i-N_PNGS]], 19, 9);
  with_exif(out, &plain, exif, sizeof(exif), i&1);
  buf_release(&plain);
  arena_release(&arena);
}

/* Each byte of file i in four ways. */
static void try_changes(struct property *changed, struct buf *file, int i){
  static const unsigned char changes[] = { 0x01, 0x80, 0x16, 0xFF };
  for(size_t at=0; at<file->n; at++){
    for(size_t k=0; k<N_OF(changes); k++){
      struct reading r;
      const char *odd;
      file->data[at] = (char)(file->data[at]^changes[k]);
      odd = read_twice(&r, file->data, file->n);
      holds(changed, odd==NULL, "file %d, byte %zu of %zu by %02x: %s (%d \"%s\")", i, at,
            file->n, changes[k], shown(odd), r.e.rc, r.e.text);
      file->data[at] = (char)(file->data[at]^changes[k]);
      arena_release(&r.arena);
    }
  }
}

/* Each length of file i. A part is never a picture. */
static void try_lengths(struct property *cut, const struct buf *file, int i){
  for(size_t n=0; n<file->n; n++){
    struct reading r;
    const char *odd = read_twice(&r, file->data, n);
    holds(cut, odd==NULL && r.e.rc==SQLITE_ERROR, "file %d, %zu of %zu bytes: %s (%d \"%s\")", i,
          n, file->n, shown(odd), r.e.rc, r.e.text);
    arena_release(&r.arena);
  }
}

static void test_damage(void){
  struct property cut = { 0 }, changed = { 0 };
  for(int i=0; i<N_FILES; i++){
    struct buf file = { 0 };
    struct reading r;
    const char *odd;
    damage_file(&file, i);
    odd = read_twice(&r, file.data, file.n);
    holds(&cut, picture_is(file.data, file.n) && odd==NULL && r.e.rc==SQLITE_OK,
          "file %d, whole: %s", i, r.e.text);
    arena_release(&r.arena);
    try_changes(&changed, &file, i);
    try_lengths(&cut, &file, i);
    buf_release(&file);
  }
  property_ok(&cut, "pictures: a file that is cut off anywhere is an error");
  property_ok(&changed, "pictures: a file with any byte changed is an error, or a whole picture");
}

/* What may stand in a file and says nothing about its colours. */
static void test_passed_over(void){
  static const struct { int marker; const char *data; size_t n; } markers[] = {
    { 0xFE, "a comment", 9 },
    { 0xFE, "", 0 },
    { 0xE2, "ICC_PROFILE\0\1\1nonsense", 22 },
    { 0xED, "Photoshop 3.0\0" "8BIM", 18 },
    { 0xE1, "Exif", 4 },
    { 0xE0, "JFIF\0\3\0\0\0\0\0\0\0", 14 },
  };
  struct property p = { 0 };
  for(int i=0; i<N_FILES; i++){
    struct buf file = { 0 };
    struct reading plain;
    damage_file(&file, i);
    read_once(&plain, file.data, file.n, 0);
    for(size_t m=0; i>=N_PNGS && m<N_OF(markers); m++){
      struct buf with = { 0 };
      jpeg_with(&with, &file, markers[m].marker, markers[m].data, markers[m].n);
      holds(&p, reads_as(&with, &plain.p), "file %d with marker %02x, \"%s\"", i,
            (unsigned)markers[m].marker, markers[m].data);
      buf_release(&with);
    }
    buf_append(&file, "\xFF\xD9 and more \0\0\0", 16);
    holds(&p, plain.e.rc==SQLITE_OK && reads_as(&file, &plain.p),
          "file %d with bytes behind its end", i);
    arena_release(&plain.arena);
    buf_release(&file);
  }
  property_ok(&p, "pictures: a JPEG's comments and profiles, and what stands behind the end of a "
                  "file, change nothing");
}

/* ---- Damage at random ---- */

/* What has been read can be cleared, fitted and written, and comes back. NULL, or what is wrong. */
static const char *odd_in_use(const struct picture *p){
  struct err e = { 0 };
  struct picture cleared = *p;
  struct picture small;
  struct picture back = { 0 };
  struct buf png = { 0 };
  int good = picture_clear(&cleared, 8, &arena, &e)==SQLITE_OK
          && picture_fit(&small, &cleared, 8, &arena, &e)==SQLITE_OK
          && png_write(&png, p, &e)==SQLITE_OK
          && picture_read(&back, png.data, png.n, &arena, WHO, &e)==SQLITE_OK
          && same(p, &back);
  buf_release(&png);
  arena_release(&arena);
  return good ? NULL : "what was read cannot be cleared, fitted and written";
}

/* How many files of one format, damaged, were read and refused. */
struct tally { int n_read, n_refused; };

static void try_random(struct property *p, const struct buf *files, int round,
                       struct tally tallies[2]){
  struct random random = random_of((uint64_t)round);
  int i = (int)below(&random, N_FILES);
  int is_png = i<N_PNGS;
  struct buf file = { 0 };
  struct reading r;
  const char *odd;
  buf_append(&file, files[i].data, files[i].n);
  damage(&file, is_png, &random);
  odd = read_twice(&r, file.data, file.n);
  if( odd==NULL && r.e.rc==SQLITE_OK && picture_bytes(&r.p)<10000 ) odd = odd_in_use(&r.p);
  if( r.e.rc==SQLITE_OK ) tallies[is_png].n_read++;
  else tallies[is_png].n_refused++;
  holds(p, odd==NULL, "round %d, file %d: %s (%d \"%s\")", round, i, shown(odd), r.e.rc,
        r.e.text);
  arena_release(&r.arena);
  buf_release(&file);
}

static void test_random_damage(int n_rounds){
  struct property p = { 0 };
  struct buf files[N_FILES] = { 0 };
  struct tally tallies[2] = { 0 };
  for(int i=0; i<N_FILES; i++) damage_file(&files[i], i);
  for(int round=0; round<n_rounds; round++) try_random(&p, files, round, tallies);
  for(int i=0; i<N_FILES; i++) buf_release(&files[i]);
  for(int i=0; i<2; i++){
    const struct tally *t = &tallies[i];
    holds(&p, t->n_read>n_rounds/100 && t->n_refused>n_rounds/100,
          "%d read, %d refused: the damage is of one sort", t->n_read, t->n_refused);
  }
  property_ok(&p, "pictures: files damaged by lot are an error, or a whole picture that can be "
                  "used");
}

/* ---- Out of memory, at every single allocation ---- */

static struct buf file_of_body;         /* what body_read() reads */
static struct picture picture_of_body;  /* what the other bodies take */

static int body_read(struct err *e){
  struct arena a = { 0 };
  struct picture p;
  int rc = picture_read(&p, file_of_body.data, file_of_body.n, &a, WHO, e);
  arena_release(&a);
  return rc;
}

static int body_fit(struct err *e){
  struct arena a = { 0 };
  struct picture p;
  int rc = picture_fit(&p, &picture_of_body, 130, &a, e);
  arena_release(&a);
  return rc;
}

static int body_clear(struct err *e){
  struct arena a = { 0 };
  struct picture p = picture_of_body;
  int rc = picture_clear(&p, 64, &a, e);
  arena_release(&a);
  return rc;
}

static int body_write(struct err *e){
  struct buf b = { 0 };
  int rc = png_write(&b, &picture_of_body, e);
  buf_release(&b);
  return rc;
}

/* Runs the body once with its n-th allocation failing; with stays, all after it too. Returns how
** many have failed. */
static int fail_once(struct property *p, const char *name, int (*body)(struct err *), long n,
                     int stays){
  sqlite3_int64 before = sqlite3_memory_used();
  sqlite3_int64 kept;
  struct err e = { 0 };
  const char *expected;
  int failed, rc, good;
  fault_set(n, stays);
  rc = body(&e);
  failed = fault.failed;
  fault_set(0, 0);
  kept = sqlite3_memory_used() - before;
  expected = failed ? "out of memory" : "";
  good = rc==(failed ? SQLITE_NOMEM : SQLITE_OK)
      && rc==e.rc
      && strcmp(e.text, expected)==0
      && kept==0;
  holds(p, good, "%s, allocation %ld: rc %d, %s, %lld bytes kept", name, n, rc, e.text,
        (long long)kept);
  return failed;
}

/* least: the body makes more allocations than this. */
static void sweep(struct property *p, const char *name, int (*body)(struct err *), long least){
  for(int stays=0; stays<2; stays++){
    long n = 1;
    while( fail_once(p, name, body, n, stays) && n<10000 ) n++;
    holds(p, n>least && n<10000, "%s: %ld allocations", name, n-1);
  }
}

static void test_out_of_memory(void){
  struct property p = { 0 };
  struct random r = random_of(8);
  unsigned char samples[200*100] = { 0 };
  unsigned char exif[EXIF_BYTES];
  struct buf jpeg = { 0 };
  char name[20];
  for(int i=0; i<N_FILES; i++){
    snprintf(name, sizeof(name), "file %d", i);
    damage_file(&file_of_body, i);
    sweep(&p, name, body_read, i<N_PNGS ? 3 : 1);
    buf_release(&file_of_body);
  }
  /* Larger than an arena's first block, so that the turned picture is an allocation of its own. */
  jpeg_encode(&jpeg, &JPEGS[0], samples, 200, 100, NULL, 0);
  exif_make(exif, 0, 5);
  jpeg_with(&file_of_body, &jpeg, 0xE1, exif, sizeof(exif));
  sweep(&p, "a JPEG that is turned", body_read, 2);
  picture_of_body = any_picture(200, 180, &r);
  sweep(&p, "fitting", body_fit, 1);
  sweep(&p, "writing", body_write, 3);
  for(int i=0; i<200*180; i++){
    int is_thing = i%200>50 && i%200<150 && i/200>50 && i/200<130;
    memset(picture_of_body.pixels + 4*i, is_thing ? 90 : 255, 3);
    picture_of_body.pixels[4*i+3] = 255;
  }
  sweep(&p, "clearing", body_clear, 1);
  buf_release(&jpeg);
  buf_release(&file_of_body);
  arena_release(&arena);
  property_ok(&p, "pictures: out of memory at every single allocation of reading, fitting and "
                  "writing");
}

int main(int argc, char **argv){
  if( fault_install()!=SQLITE_OK || sqlite3_initialize()!=SQLITE_OK ) return 2;
  test_png_kinds();
  test_png_round_trip();
  test_png_unwritten();
  test_png_ancillary();
  test_png_text();
  test_jpeg_kinds();
  test_jpeg_unread();
  test_orientations();
  test_orientation_sizes();
  test_broken_exif();
  test_scans();
  test_too_large();
  test_allocate();
  test_messages();
  test_passed_over();
  test_damage();
  test_out_of_memory();
  test_random_damage(argc>1 ? atoi(argv[1]) : 20000);
  ok(sqlite3_memory_used()==0, "pictures: nothing is left of SQLite's memory", "%lld bytes",
     (long long)sqlite3_memory_used());
  return n_not_ok>0;
}
