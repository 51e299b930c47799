/*
** test_codec_picture.c -- the properties of pictures' bytes: PNG and JPEG in, PNG out, and a picture on a square.
**
** The files are made by libpng and libjpeg themselves (picture_files.h), from samples; what pixels they hold is said by plain formulas over these samples. What
** is damaged must give an error with a text, or a picture that is whole, and the same one whatever lay in memory before: each file is read twice, into memory
** that is filled first with one byte and then with another.
**
**     build/asan/test_codec_picture [ROUNDS]
**
** ROUNDS: of the damage drawn by lot at the end.
*/
#include "codec.h"
#include "fault.h"
#include "ok.h"
#include "picture_files.h"
#include <sqlite3.h>

#define WHO "argument 1"

static const struct { int width, height; } SIZES[] = { { 1, 1 }, { 1, 7 }, { 7, 1 }, { 9, 5 }, { 64, 64 }, { 65, 63 } };

/* ---- Reading, watched ---- */

enum { ROOM = 60000 };                  /* of the first block of an arena: a small picture's pixels lie in it */
struct reading {
  struct arena arena;
  struct picture p;
  struct err e;
  int beyond;                           /* 1: a byte behind the pixels was written to */
};

static int all_are(const unsigned char *at, size_t n, int byte){
  return n==0 || (at[0]==byte && memcmp(at, at+1, n-1)==0);
}

/* Reads a copy that is exactly as long, so that the sanitizer sees a step beyond it. `fill`: what is in memory before. */
static void read_once(struct reading *r, const void *bytes, size_t n, int fill){
  unsigned char *copy = malloc(n ? n : 1), *room, *behind;
  struct arena_mark mark;
  memset(r, 0, sizeof(*r));
  arena_get(&r->arena, 1);
  mark = arena_mark(&r->arena);
  room = arena_get(&r->arena, ROOM);
  memset(room, fill, ROOM);
  arena_rewind(&r->arena, mark);
  if( n ) memcpy(copy, bytes, n);
  picture_read(&r->p, copy, n, &r->arena, WHO, &r->e);
  free(copy);
  behind = r->p.pixels ? r->p.pixels + picture_bytes(&r->p) : NULL;
  if( behind>=room && behind<=room+ROOM ) r->beyond = !all_are(behind, (size_t)(room+ROOM-behind), fill);
}

/* NULL, or what is wrong with how it was read. */
static const char *odd_about(const struct reading *r){
  if( r->beyond ) return "bytes behind the pixels are changed";
  if( r->e.rc==SQLITE_OK ) return r->p.pixels && r->p.width>0 && r->p.height>0 && picture_bytes(&r->p)/4<=PICTURE_PIXELS_MOST ? NULL : "a picture that cannot be";
  if( r->e.rc!=SQLITE_ERROR ) return "the error is not SQLITE_ERROR";
  return strncmp(r->e.text, WHO " ", strlen(WHO " "))==0 ? NULL : "the text does not begin with who it is";
}

static const char *odd_between(const struct reading *a, const struct reading *b){
  if( a->e.rc!=b->e.rc || strcmp(a->e.text, b->e.text)!=0 ) return "another error the second time";
  return a->e.rc!=SQLITE_OK || same(&a->p, &b->p) ? NULL : "other pixels the second time";
}

/* Reads twice; r is the first time, for the caller to release. NULL, or what is wrong. */
static const char *read_twice(struct reading *r, const void *bytes, size_t n){
  struct reading again;
  const char *odd;
  read_once(r, bytes, n, 0x00);
  odd = odd_about(r);
  if( odd || (r->p.pixels && picture_bytes(&r->p)>ROOM) ) return odd;       /* too large for the memory that was filled */
  read_once(&again, bytes, n, 0xFF);
  odd = odd_about(&again) ? odd_about(&again) : odd_between(r, &again);
  arena_release(&again.arena);
  return odd;
}

/* 1 when the file is read well, as this picture. */
static int reads_as(const struct buf *file, const struct picture *expected){
  struct reading r;
  int good = read_twice(&r, file->data, file->n)==NULL && r.e.rc==SQLITE_OK && same(&r.p, expected);
  arena_release(&r.arena);
  return good;
}

/* ---- PNG in ---- */

static unsigned char to_8_bits(unsigned v, int depth){
  unsigned most = (1u<<depth) - 1;
  return (unsigned char)((v*255 + most/2)/most);
}

static void expected_pixel(unsigned char *to, const struct png_kind *k, const struct samples *s, const uint16_t *v){
  int is_colour = k->colour & PNG_COLOR_MASK_COLOR, has_alpha = k->colour & PNG_COLOR_MASK_ALPHA, is_key = k->keyed;
  if( k->colour==PNG_COLOR_TYPE_PALETTE ){
    const png_color *c = &s->palette[v[0]];
    memcpy(to, (unsigned char[]){ c->red, c->green, c->blue, k->keyed && v[0]<(1<<k->depth)/2 ? s->alphas[v[0]] : 255 }, 4);
    return;
  }
  for(int i=0; i<3; i++) to[i] = to_8_bits(v[is_colour ? i : 0], k->depth);
  for(int i=0; i<s->channels && i<3; i++) is_key &= v[i]==s->key[i];
  to[3] = has_alpha ? to_8_bits(v[s->channels-1], k->depth) : is_key ? 0 : 255;
}

static struct picture expected_of(const struct png_kind *k, const struct samples *s){
  struct picture p = blank(s->width, s->height);
  for(int i=0; i<s->width*s->height; i++) expected_pixel(p.pixels + (size_t)i*4, k, s, s->at + (size_t)i*(size_t)s->channels);
  return p;
}

/* Every size of one kind. */
static void try_kind(struct property *p, const struct png_kind *k, struct random *r){
  for(size_t i=0; i<N_OF(SIZES); i++){
    struct buf png = { 0 };
    struct samples s = png_any(&png, k, SIZES[i].width, SIZES[i].height, r);
    struct picture expected = expected_of(k, &s);
    holds(p, reads_as(&png, &expected), "colour type %d of %d bits, interlaced %d, tRNS %d, %d x %d", k->colour, k->depth, k->interlaced, k->keyed, s.width,
          s.height);
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
        struct png_kind k = { COLOURS[i].colour, *depth, interlaced, 0, 0 };
        try_kind(&plain, &k, &r);
        k.keyed = 1;
        if( !(k.colour & PNG_COLOR_MASK_ALPHA) ) try_kind(&keyed, &k, &r);
      }
    }
  }
  property_ok(&plain, "pictures: a PNG of every colour type, depth and size, interlaced or not, has its own pixels");
  property_ok(&keyed, "pictures: a PNG's clear colour or palette of alphas makes its pixels clear, and no others");
}

static void test_png_round_trip(void){
  struct property p = { 0 };
  struct random r = random_of(2);
  for(size_t i=0; i<N_OF(SIZES); i++){
    struct picture picture = any_picture(SIZES[i].width, SIZES[i].height, &r);
    struct buf png = { 0 };
    struct err e = { 0, "" };
    buf_str(&png, "before");
    png_write(&png, &picture, &e);
    holds(&p, e.rc==SQLITE_OK && png.n>6 && memcmp(png.data, "before", 6)==0, "%d x %d: %s", picture.width, picture.height, e.text);
    memmove(png.data, png.data+6, png.n -= 6);
    holds(&p, reads_as(&png, &picture), "%d x %d", picture.width, picture.height);
    buf_release(&png);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: what is written as PNG comes back, the colours of clear pixels too, behind what the buffer held");
}

static void test_png_unwritten(void){
  unsigned char pixels[4*100] = { 0 };
  struct picture none = { 0, 1, pixels }, some = { 10, 10, pixels };
  struct buf out = { 0 }, full = { .max = 40 };
  struct err e = { 0, "" }, too_big = { 0, "" };
  png_write(&out, &none, &e);
  png_write(&full, &some, &too_big);
  ok(e.rc==SQLITE_ERROR && strstr(e.text, "0 x 1"), "pictures: a picture of no pixels is not written", "%d %s", e.rc, e.text);
  ok(too_big.rc==SQLITE_TOOBIG && strstr(too_big.text, "10 x 10"), "pictures: a PNG that is larger than its buffer may be is not written", "%d %s", too_big.rc,
     too_big.text);
  buf_release(&out);
  buf_release(&full);
}

/* ---- Chunks ---- */

/* In each place where it may stand. */
static void try_chunk(struct property *p, const struct buf *png, const struct picture *expected, const char *name, const void *data, size_t n){
  static const char *const places[] = { "PLTE", "tRNS", "IDAT", "IEND" };
  for(size_t i=0; i<N_OF(places); i++){
    struct buf with = { 0 };
    png_with(&with, png, places[i], name, data, n);
    holds(p, reads_as(&with, expected), "%s of %zu bytes before %s", name, n, places[i]);
    buf_release(&with);
  }
}

static void test_png_ancillary(void){
  static const char names[][5] = { "gAMA", "sRGB", "cHRM", "iCCP", "sBIT", "bKGD", "hIST", "pHYs", "sPLT", "tIME", "tEXt", "zTXt", "iTXt", "eXIf", "oFFs", "pCAL",
                                   "sCAL", "sTER", "acTL", "fcTL", "fdAT", "abCd", "abCD" };
  static const struct { const char *name, *data; size_t n; } whole[] = {
    { "gAMA", "\0\0\x10\0", 4 }, { "sRGB", "\1", 1 }, { "sBIT", "\1\1\1", 3 }, { "bKGD", "\1", 1 }, { "pHYs", "\0\0\0\1\0\0\0\x7\0", 9 }, { "tEXt", "Title\0me", 8 },
    { "eXIf", "MM\0*\0\0\0\x8\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0", 26 }, { "acTL", "\0\0\0\2\0\0\0\0", 8 }, { "tIME", "\x7\xE8\1\1\1\1\1", 7 },
  };
  struct property p = { 0 };
  struct random r = random_of(3);
  struct png_kind k = { PNG_COLOR_TYPE_PALETTE, 4, 0, 1, 0 };
  struct buf png = { 0 };
  struct samples s = png_any(&png, &k, 9, 5, &r);
  struct picture expected = expected_of(&k, &s);
  char noise[100];
  for(int i=0; i<100; i++) noise[i] = (char)(i*i>>3);
  for(size_t i=0; i<N_OF(whole); i++) try_chunk(&p, &png, &expected, whole[i].name, whole[i].data, whole[i].n);
  for(size_t i=0; i<N_OF(names); i++){
    try_chunk(&p, &png, &expected, names[i], noise, 0);
    try_chunk(&p, &png, &expected, names[i], noise, sizeof(noise));
  }
  property_ok(&p, "pictures: chunks that colours do not need change nothing, not even broken ones");
  buf_release(&png);
  arena_release(&arena);
}

/* What reading takes of SQLite's memory at the most. */
static sqlite3_int64 memory_of(const struct buf *file, struct picture *p, struct err *e){
  sqlite3_int64 before = sqlite3_memory_used();
  sqlite3_memory_highwater(1);
  picture_read(p, file->data, file->n, &arena, WHO, e);
  return sqlite3_memory_highwater(0) - before;
}

/* 9 MB are more than libpng takes of one chunk unless it is told to. */
static void test_png_text(void){
  static const size_t sizes[] = { 1<<20, 9<<20 };
  struct property p = { 0 };
  struct random r = random_of(9);
  struct png_kind k = { PNG_COLOR_TYPE_GRAY, 8, 0, 0, 0 };
  struct buf png = { 0 };
  char *text = calloc(sizes[1], 1);
  png_any(&png, &k, 9, 5, &r);
  for(size_t i=0; i<N_OF(sizes); i++){
    struct buf with = { 0 };
    struct picture picture;
    struct err e = { 0, "" };
    png_with(&with, &png, "IDAT", "tEXt", text, sizes[i]);
    arena_release(&arena);
    sqlite3_int64 most = memory_of(&with, &picture, &e);
    holds(&p, e.rc==SQLITE_OK && picture.width==9 && most<200000, "%zu bytes: \"%s\", %lld bytes taken", sizes[i], e.text, (long long)most);
    buf_release(&with);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: a text of many megabytes is passed over, and takes no memory");
  buf_release(&png);
  free(text);
}

/* ---- JPEG in ---- */

static int expected_colour(const struct jpeg_kind *k, const unsigned char *v, int channel){
  return k->of==JCS_GRAYSCALE ? v[0] : k->of==JCS_RGB ? v[channel] : (255-v[channel])*(255-v[3])/255;
}

/* Mean difference of the colours; 255 when a pixel is not opaque. */
static double distance_from(const struct picture *p, const struct jpeg_kind *k, const unsigned char *samples){
  int sum = 0, n = p->width*p->height;
  for(int i=0; i<n; i++){
    for(int c=0; c<3; c++) sum += abs(p->pixels[(size_t)i*4+(size_t)c] - expected_colour(k, samples + i*jpeg_channels(k), c));
    if( p->pixels[(size_t)i*4+3]!=255 ) return 255;
  }
  return sum/(3.0*n);
}

static void test_jpeg_kinds(void){
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(JPEGS)*N_OF(SIZES); i++){
    const struct jpeg_kind *k = &JPEGS[i/N_OF(SIZES)];
    int width = SIZES[i%N_OF(SIZES)].width, height = SIZES[i%N_OF(SIZES)].height;
    unsigned char *samples = smooth_samples(k, width, height);
    struct buf jpeg = { 0 };
    struct reading r;
    const char *odd;
    double apart = 255;
    jpeg_encode(&jpeg, k, samples, width, height, NULL, 0);
    odd = read_twice(&r, jpeg.data, jpeg.n);
    if( r.p.width==width && r.p.height==height && r.e.rc==SQLITE_OK ) apart = distance_from(&r.p, k, samples);
    holds(&p, !odd && apart<2, "%s, %d x %d: %s %s, %.2f apart", k->name, width, height, odd ? odd : "", r.e.text, apart);
    arena_release(&r.arena);
    buf_release(&jpeg);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: a JPEG of every kind has about the pixels that were put in");
}

/* ---- Exif ---- */

/* Six squares of 8 pixels, a to f from black to nearly white; what is to be seen, row by row, at each orientation. */
static const char SEEN[][9] = { "", "abc def", "cba fed", "fed cba", "def abc", "ad be cf", "da eb fc", "fc eb da", "cf be ad" };
static int shows(const struct picture *p, const char *seen){
  int x = 0, y = 0;
  for(; *seen; seen++){
    if( *seen==' ' ){
      x = 0;
      y += 8;
      continue;
    }
    if( x+8>p->width || y+8>p->height ) return 0;
    for(int i=0; i<64; i++){
      if( abs(pixel(p, x + i%8, y + i/8)[1] - 40*(*seen-'a'))>4 ) return 0;
    }
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
    struct buf turned = { 0 };
    struct reading r;
    const char *odd;
    exif_make(exif, i&1, orientation);
    jpeg_with(&turned, &jpeg, 0xE1, exif, sizeof(exif));
    odd = read_twice(&r, turned.data, turned.n);
    holds(&p, !odd && r.e.rc==SQLITE_OK && shows(&r.p, SEEN[orientation]), "orientation %u in %s: %s %s", orientation,
          i&1 ? "MM" : "II", odd ? odd : "", r.e.text);
    arena_release(&r.arena);
    buf_release(&turned);
  }
  buf_release(&jpeg);
  property_ok(&p, "pictures: a JPEG of each of Exif's eight orientations is the right way up, in either order of bytes");
}

/* Where column c and row r of the file are to be seen, first across, then down; with a minus, counted from the far end. */
static const struct { char across_sign, across, down_sign, down; } PLACES[] = {
  { 0, 0, 0, 0 }, { '+', 'c', '+', 'r' }, { '-', 'c', '+', 'r' }, { '-', 'c', '-', 'r' }, { '+', 'c', '-', 'r' },
  { '+', 'r', '+', 'c' }, { '-', 'r', '+', 'c' }, { '-', 'r', '-', 'c' }, { '+', 'r', '-', 'c' },
};
static int is_turned(const struct picture *p, const struct picture *plain, unsigned orientation){
  int exchanged = PLACES[orientation].across=='r';
  int good = p->width==(exchanged ? plain->height : plain->width) && p->height==(exchanged ? plain->width : plain->height);
  for(int i=0; good && i<plain->width*plain->height; i++){
    int c = i%plain->width, r = i/plain->width, x = exchanged ? r : c, y = exchanged ? c : r;
    if( PLACES[orientation].across_sign=='-' ) x = p->width-1-x;
    if( PLACES[orientation].down_sign=='-' ) y = p->height-1-y;
    good = memcmp(pixel(p, x, y), pixel(plain, c, r), 4)==0;
  }
  return good;
}

static void test_orientation_sizes(void){
  struct property p = { 0 };
  unsigned char exif[EXIF_BYTES];
  for(size_t i=0; i<N_OF(SIZES)*8; i++){
    unsigned orientation = 1 + (unsigned)(i%8);
    struct buf jpeg = { 0 }, turned = { 0 };
    struct reading plain, r;
    const char *odd;
    jpeg_smooth(&jpeg, &JPEGS[2], SIZES[i/8].width, SIZES[i/8].height);
    exif_make(exif, 0, orientation);
    jpeg_with(&turned, &jpeg, 0xE1, exif, sizeof(exif));
    read_once(&plain, jpeg.data, jpeg.n, 0);
    odd = read_twice(&r, turned.data, turned.n);
    holds(&p, !odd && plain.e.rc==SQLITE_OK && r.e.rc==SQLITE_OK && is_turned(&r.p, &plain.p, orientation), "orientation %u of %d x %d: %s %s", orientation,
          plain.p.width, plain.p.height, odd ? odd : "", r.e.text);
    arena_release(&plain.arena);
    arena_release(&r.arena);
    buf_release(&jpeg);
    buf_release(&turned);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: turning moves each pixel of any size to its place and changes none");
}

/* A JPEG with this marker, and with a good one of orientation 6 behind it if `then` says so: which way it is turned, or 0 when it is not read. */
static unsigned turned_by(const void *marker, size_t n, int then){
  struct buf jpeg = { 0 }, first = { 0 }, both = { 0 };
  struct reading plain, r;
  unsigned char exif[EXIF_BYTES];
  unsigned found = 0;
  jpeg_smooth(&jpeg, &JPEGS[0], 9, 5);
  exif_make(exif, 1, 6);
  if( then ) jpeg_with(&first, &jpeg, 0xE1, exif, sizeof(exif));
  else buf_append(&first, jpeg.data, jpeg.n);
  jpeg_with(&both, &first, 0xE1, marker, n);
  read_once(&plain, jpeg.data, jpeg.n, 0);
  if( read_twice(&r, both.data, both.n)==NULL && r.e.rc==SQLITE_OK ){
    for(unsigned o=1; o<=8 && !found; o++) found = is_turned(&r.p, &plain.p, o) ? o : 0;
  }
  arena_release(&plain.arena);
  arena_release(&r.arena);
  buf_release(&jpeg);
  buf_release(&first);
  buf_release(&both);
  arena_release(&arena);
  return found;
}

static void test_broken_exif(void){
  enum { END = EXIF_BYTES-6 };
  static const uint32_t offsets[] = { 9, END-2, END-1, END, END+1, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF };
  static const unsigned values[] = { 0, 9, 255, 256, 0x600, 0x8000, 0xFFFF };
  static const char xmp[] = "http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>";
  struct property ignored = { 0 };
  unsigned char exif[EXIF_BYTES];
  for(int big=0; big<2; big++){
    for(size_t n=0; n<=EXIF_BYTES; n++){
      exif_make(exif, big, 6);
      holds(&ignored, turned_by(exif, n, 0)==(n>=EXIF_ENTRY+12 ? 6 : 1), "cut to %zu bytes", n);
    }
    for(size_t i=0; i<N_OF(offsets); i++){
      exif_make(exif, big, 6);
      put_u32(exif+10, offsets[i], big);
      holds(&ignored, turned_by(exif, sizeof(exif), 0)==1, "directory at %u", offsets[i]);
    }
    for(size_t i=0; i<N_OF(values); i++){
      exif_make(exif, big, values[i]);
      holds(&ignored, turned_by(exif, sizeof(exif), 0)==1 && turned_by(exif, sizeof(exif), 1)==6, "orientation %u", values[i]);
    }
    exif_make(exif, big, 6);
    put_u16(exif+EXIF_DIRECTORY, 1, big);
    holds(&ignored, turned_by(exif, sizeof(exif), 0)==1, "one entry, two given");
    put_u16(exif+EXIF_DIRECTORY, 0xFFFF, big);
    holds(&ignored, turned_by(exif, sizeof(exif), 0)==6, "65535 entries, the orientation among those that are there");
    put_u16(exif+EXIF_ENTRY, 0x0113, big);
    holds(&ignored, turned_by(exif, sizeof(exif), 0)==1, "65535 entries without it");
    exif_make(exif, big, 6);
    exif[7] ^= 'M'^'I';
    holds(&ignored, turned_by(exif, sizeof(exif), 0)==1, "two orders of bytes at once");
  }
  holds(&ignored, turned_by(xmp, sizeof(xmp), 1)==6 && turned_by("", 0, 1)==6, "another marker before it");
  property_ok(&ignored, "pictures: broken Exif is passed over, and other markers");
}

/* ---- What asks for too much ---- */

/* A script of many scans: the means, then each of the 63 other numbers of each component but for its last bit, then these bits. */
static int many_scans(jpeg_scan_info *scans){
  int n = 0;
  for(int component=0; component<3; component++) scans[n++] = (jpeg_scan_info){ 1, { component }, 0, 0, 0, 0 };
  for(int i=0; i<2*63*3; i++){
    int refining = i/(63*3), number = 1 + i%63;
    scans[n++] = (jpeg_scan_info){ 1, { i/63%3 }, number, number, refining, !refining };
  }
  return n;
}

static void test_scans(void){
  jpeg_scan_info scans[3 + 2*63*3];
  int n = many_scans(scans), tried[] = { 3, 199, 200, 201, n };
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(tried); i++){
    struct buf jpeg = { 0 };
    struct reading r;
    const char *odd;
    jpeg_encode(&jpeg, &JPEGS[1], smooth_samples(&JPEGS[1], 9, 5), 9, 5, scans, tried[i]);
    odd = read_twice(&r, jpeg.data, jpeg.n);
    holds(&p, !odd && (tried[i]<=200 ? r.e.rc==SQLITE_OK : r.e.rc==SQLITE_ERROR && strstr(r.e.text, "too many scans")), "%d scans: %s %s", tried[i],
          odd ? odd : "", r.e.text);
    arena_release(&r.arena);
    buf_release(&jpeg);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: a JPEG of 200 scans is read, one of 201 is not");
}

static void try_large(struct property *p, const struct buf *file, uint32_t width, uint32_t height){
  struct err e = { 0, "" };
  struct picture picture;
  char says[60];
  sqlite3_int64 most;
  snprintf(says, sizeof(says), WHO " is a picture of %u x %u pixels, ", width, height);
  most = memory_of(file, &picture, &e);
  holds(p, e.rc==SQLITE_ERROR && strncmp(e.text, says, strlen(says))==0 && strstr(e.text, "67108864") && most<100000 && picture.pixels==NULL,
        "%u x %u: %d \"%s\", %lld bytes taken", width, height, e.rc, e.text, (long long)most);
}

static void test_too_large(void){
  static const struct { uint32_t width, height; } sizes[] = {
    { 8193, 8192 }, { 8192, 8193 }, { 65500, 65500 }, { 65500, 1025 }, { (1<<26)+1, 1 }, { 1, (1<<26)+1 }, { 1<<16, 1<<16 }, { 0x7FFFFFFF, 1 },
    { 0x7FFFFFFF, 0x7FFFFFFF },
  };
  struct property p = { 0 };
  struct random r = random_of(4);
  for(size_t i=0; i<N_OF(sizes); i++){
    struct buf png = { 0 }, jpeg = { 0 };
    struct png_kind k = { PNG_COLOR_TYPE_GRAY, 1, (int)(i&1), 0, 0 };
    png_any(&png, &k, 8, 8, &r);
    png_resize(&png, sizes[i].width, sizes[i].height);
    try_large(&p, &png, sizes[i].width, sizes[i].height);
    if( sizes[i].width<=65500 && sizes[i].height<=65500 ){
      jpeg_smooth(&jpeg, &JPEGS[i%N_OF(JPEGS)], 8, 8);
      jpeg_resize(&jpeg, sizes[i].width, sizes[i].height);
      try_large(&p, &jpeg, sizes[i].width, sizes[i].height);
    }
    buf_release(&png);
    buf_release(&jpeg);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: a header that asks for too many pixels is refused before there is memory for them, and told");
}

static void test_room(void){
  struct err few = { 0, "" }, many = { 0, "" };
  struct picture p = { 0 };
  int good = picture_allocate(&p, 8192, 8192, &arena, WHO, &few)==SQLITE_OK && p.width==8192 && p.height==8192 && p.pixels;
  ok(good && picture_allocate(&p, UINT32_MAX, UINT32_MAX, &arena, WHO, &many)==SQLITE_ERROR, "pictures: there is room for the largest, and none for 2^64 pixels",
     "%s%s", few.text, many.text);
  arena_release(&arena);
}

/* ---- What is no picture, and messages ---- */

static void test_messages(void){
  static const struct { const char *bytes; size_t n; const char *text; } none[] = {
    { NULL, 0, WHO " is neither a PNG nor a JPEG (0 bytes)" }, { "", 0, WHO " is neither a PNG nor a JPEG (0 bytes)" },
    { "GIF89a", 6, WHO " is neither a PNG nor a JPEG (6 bytes)" }, { "\x89PNG\r\n\x1A", 7, WHO " is neither a PNG nor a JPEG (7 bytes)" },
    { "\x89PNG\n\x1A\n\n", 8, WHO " is neither a PNG nor a JPEG (8 bytes)" }, { "\xFF\xD8", 2, WHO " is neither a PNG nor a JPEG (2 bytes)" },
  };
  static const struct { const char *bytes; size_t n; const char *text; } broken[] = {
    { "\x89PNG\r\n\x1A\n", 8, WHO " is a broken PNG of 8 bytes: it is cut off" }, { "\xFF\xD8\xFF", 3, WHO " is a broken JPEG of 3 bytes: " },
    { "\xFF\xD8\xFF\xD9", 4, WHO " is a broken JPEG of 4 bytes: " }, { "\xFF\xD8\xFF\xFF\xFF", 5, WHO " is a broken JPEG of 5 bytes: " },
  };
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(none)+N_OF(broken); i++){
    int is_none = i<N_OF(none);
    const char *bytes = is_none ? none[i].bytes : broken[i-N_OF(none)].bytes, *text = is_none ? none[i].text : broken[i-N_OF(none)].text;
    size_t n = is_none ? none[i].n : broken[i-N_OF(none)].n;
    struct reading r;
    const char *odd = read_twice(&r, bytes, n);
    int good = is_none ? strcmp(r.e.text, text)==0 : strncmp(r.e.text, text, strlen(text))==0 && strlen(r.e.text)>strlen(text)-1;
    holds(&p, !odd && r.e.rc==SQLITE_ERROR && good && picture_is(bytes, n)==!is_none, "\"%s\", expected \"%s\"", r.e.text, text);
    arena_release(&r.arena);
  }
  property_ok(&p, "pictures: what is no picture, or a broken one, is told: who, of what format, of how many bytes, why");
}

/* ---- Files to damage ---- */

enum { N_PNGS = 5, N_FILES = N_PNGS + 5 };

/* The first N_PNGS are PNG. */
static void damage_file(struct buf *out, int i){
  static const struct png_kind pngs[N_PNGS] = {
    { PNG_COLOR_TYPE_RGB_ALPHA, 8, 0, 0, 1 }, { PNG_COLOR_TYPE_PALETTE, 4, 1, 1, 0 }, { PNG_COLOR_TYPE_GRAY, 16, 1, 1, 1 }, { PNG_COLOR_TYPE_PALETTE, 2, 0, 1, 1 },
    { PNG_COLOR_TYPE_RGB, 8, 1, 1, 0 },
  };
  static const int jpegs[] = { 0, 2, 5, 7, 8 };
  struct random r = random_of((uint64_t)i);
  struct buf plain = { 0 };
  unsigned char exif[EXIF_BYTES];
  exif_make(exif, i&1, 7);
  if( i<N_PNGS ) png_any(out, &pngs[i], i==3 ? 19 : 7, 5, &r);
  else{
    jpeg_smooth(&plain, &JPEGS[jpegs[i-N_PNGS]], 19, 9);
    jpeg_with(out, &plain, 0xE1, exif, sizeof(exif));
    buf_release(&plain);
  }
  arena_release(&arena);
}

/* Each byte in four ways; each length, which is never a picture any more. */
static void test_damage(void){
  static const unsigned char changes[] = { 0x01, 0x80, 0x16, 0xFF };
  struct property cut = { 0 }, changed = { 0 };
  for(int i=0; i<N_FILES; i++){
    struct buf file = { 0 };
    struct reading r;
    const char *odd;
    damage_file(&file, i);
    holds(&cut, picture_is(file.data, file.n) && read_twice(&r, file.data, file.n)==NULL && r.e.rc==SQLITE_OK, "file %d, whole: %s", i, r.e.text);
    arena_release(&r.arena);
    for(size_t at=0; at<file.n*N_OF(changes); at++){
      file.data[at/4] = (char)(file.data[at/4]^changes[at%4]);
      odd = read_twice(&r, file.data, file.n);
      holds(&changed, !odd, "file %d, byte %zu of %zu by %02x: %s (%d \"%s\")", i, at/4, file.n, changes[at%4], odd ? odd : "", r.e.rc, r.e.text);
      file.data[at/4] = (char)(file.data[at/4]^changes[at%4]);
      arena_release(&r.arena);
    }
    for(size_t n=0; n<file.n; n++){
      odd = read_twice(&r, file.data, n);
      holds(&cut, !odd && r.e.rc==SQLITE_ERROR, "file %d, %zu of %zu bytes: %s (%d \"%s\")", i, n, file.n, odd ? odd : "", r.e.rc, r.e.text);
      arena_release(&r.arena);
    }
    buf_release(&file);
  }
  property_ok(&cut, "pictures: a file that is cut off anywhere is an error");
  property_ok(&changed, "pictures: a file with any byte changed is an error, or a whole picture");
}

/* What may stand in a file and says nothing of its colours. */
static void test_passed_over(void){
  static const struct { int marker; const char *data; size_t n; } markers[] = {
    { 0xFE, "a comment", 9 }, { 0xFE, "", 0 }, { 0xE2, "ICC_PROFILE\0\1\1nonsense", 22 }, { 0xED, "Photoshop 3.0\0" "8BIM", 18 }, { 0xE1, "Exif", 4 },
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
      holds(&p, reads_as(&with, &plain.p), "file %d with marker %02x, \"%s\"", i, (unsigned)markers[m].marker, markers[m].data);
      buf_release(&with);
    }
    buf_append(&file, "\xFF\xD9 and more \0\0\0", 16);
    holds(&p, plain.e.rc==SQLITE_OK && reads_as(&file, &plain.p), "file %d with bytes behind its end", i);
    arena_release(&plain.arena);
    buf_release(&file);
  }
  property_ok(&p, "pictures: a JPEG's comments and profiles, and what stands behind the end of a file, change nothing");
}

/* ---- Damage drawn by lot ---- */

/* What has been read can be fitted and written, and comes back. NULL, or what is wrong. */
static const char *is_usable(const struct picture *p){
  struct err e = { 0, "" };
  struct picture small, back = { 0 };
  struct buf png = { 0 };
  int good = picture_fit(&small, p, 8, &arena, &e)==SQLITE_OK && png_write(&png, p, &e)==SQLITE_OK
          && picture_read(&back, png.data, png.n, &arena, WHO, &e)==SQLITE_OK && same(p, &back);
  buf_release(&png);
  arena_release(&arena);
  return good ? NULL : "what was read cannot be fitted and written";
}

static void test_lots(int n_rounds){
  struct property p = { 0 };
  struct buf files[N_FILES] = { 0 };
  int n_read[2] = { 0 }, n_refused[2] = { 0 };
  for(int i=0; i<N_FILES; i++) damage_file(&files[i], i);
  for(int round=0; round<n_rounds; round++){
    struct random random = random_of((uint64_t)round);
    int i = (int)below(&random, N_FILES);
    struct buf file = { 0 };
    struct reading r;
    const char *odd;
    buf_append(&file, files[i].data, files[i].n);
    damage(&file, i<N_PNGS, &random);
    odd = read_twice(&r, file.data, file.n);
    if( !odd && r.e.rc==SQLITE_OK && picture_bytes(&r.p)<10000 ) odd = is_usable(&r.p);
    ++*(r.e.rc==SQLITE_OK ? &n_read[i<N_PNGS] : &n_refused[i<N_PNGS]);
    holds(&p, !odd, "round %d, file %d: %s (%d \"%s\")", round, i, odd ? odd : "", r.e.rc, r.e.text);
    arena_release(&r.arena);
    buf_release(&file);
  }
  for(int i=0; i<N_FILES; i++) buf_release(&files[i]);
  for(int i=0; i<2; i++) holds(&p, n_read[i]>n_rounds/100 && n_refused[i]>n_rounds/100, "%d read, %d refused: the damage is of one sort", n_read[i], n_refused[i]);
  property_ok(&p, "pictures: files damaged by lot are an error, or a whole picture that can be used");
}

/* ---- On a square ---- */

static int gcd(int a, int b){ return b ? gcd(b, a%b) : a; }

/* What picture_fit() is to give, from its words alone: each pixel that came is blown up to up_across x up_down equal ones, so that a whole number of them,
** n_across x n_down, makes one of the result. Its alpha is their mean, its colours are their means with each counting as much as its alpha. */
static void dumb_pixel(unsigned char *to, const struct picture *in, int n_across, int n_down, int up_across, int up_down, int x, int y){
  uint64_t alpha = 0, colour[3] = { 0 }, n = (uint64_t)n_across*(uint64_t)n_down;
  for(int j=y*n_down; j<(y+1)*n_down; j++){
    for(int i=x*n_across; i<(x+1)*n_across; i++){
      const unsigned char *from = pixel(in, i/up_across, j/up_down);
      alpha += from[3];
      for(int k=0; k<3; k++) colour[k] += (uint64_t)from[k]*from[3];
    }
  }
  to[3] = (unsigned char)((2*alpha + n)/(2*n));
  for(int k=0; k<3; k++) to[k] = to[3] ? (unsigned char)((2*colour[k] + alpha)/(2*alpha)) : 0;
}

static int dumb_side(int side, int longest, int size){
  int made = (2*side*size + longest)/(2*longest);
  return made<1 ? 1 : made;
}

static struct picture dumb_fit(const struct picture *in, int size){
  int longest = in->width>in->height ? in->width : in->height, width = dumb_side(in->width, longest, size), height = dumb_side(in->height, longest, size);
  int g_across = gcd(in->width, width), g_down = gcd(in->height, height);
  struct picture p = blank(size, size);
  for(int y=0; y<height; y++){
    for(int x=0; x<width; x++){
      dumb_pixel(pixel(&p, x + (size-width)/2, y + (size-height)/2), in, in->width/g_across, in->height/g_down, width/g_across, height/g_down, x, y);
    }
  }
  return p;
}

static const struct { int width, height; } FITTED[] = {
  { 1, 1 }, { 1, 7 }, { 7, 8 }, { 9, 7 }, { 8, 8 }, { 64, 9 }, { 63, 65 }, { 65, 64 }, { 130, 65 }, { 64, 130 }, { 1, 5000 }, { 5000, 1 }, { 3, 200 }, { 300, 2 },
};
static const int SQUARES[] = { 1, 7, 8, 9, 63, 64, 65 };

static void test_fit_oracle(void){
  struct property p = { 0 };
  struct random r = random_of(5);
  for(size_t i=0; i<N_OF(FITTED)*N_OF(SQUARES); i++){
    int size = SQUARES[i%N_OF(SQUARES)];
    struct picture in = any_picture(FITTED[i/N_OF(SQUARES)].width, FITTED[i/N_OF(SQUARES)].height, &r), expected, got;
    struct err e = { 0, "" };
    if( in.width==size && in.height==size ) continue;
    expected = dumb_fit(&in, size);
    holds(&p, picture_fit(&got, &in, size, &arena, &e)==SQLITE_OK && same(&got, &expected), "%d x %d on %d", in.width, in.height, size);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: on a square a pixel is the mean of what lies in it, each colour counting by its alpha");
}

static void test_fit_same(void){
  struct property p = { 0 };
  struct random r = random_of(6);
  for(size_t i=0; i<N_OF(SQUARES); i++){
    struct picture in = any_picture(SQUARES[i], SQUARES[i], &r), got;
    struct err e = { 0, "" };
    holds(&p, picture_fit(&got, &in, SQUARES[i], &arena, &e)==SQLITE_OK && same(&got, &in) && got.pixels!=in.pixels, "%d", SQUARES[i]);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: of the same size every byte stays, in memory of its own");
}

struct box { int left, top, right, bottom; };   /* the first and the last column and row */

/* The smallest that holds all pixels which are not clear. */
static struct box box_of(const struct picture *p){
  struct box b = { p->width, p->height, -1, -1 };
  for(int i=0; i<p->width*p->height; i++){
    int x = i%p->width, y = i/p->width;
    if( p->pixels[(size_t)i*4+3]==0 ) continue;
    if( x<b.left ) b.left = x;
    if( x>b.right ) b.right = x;
    if( y<b.top ) b.top = y;
    b.bottom = y;
  }
  return b;
}

static int is_even(const struct picture *p, const struct box *b, const unsigned char *colour){
  int good = 1;
  for(int i=0; i<p->width*p->height; i++){
    int x = i%p->width, y = i/p->width, inside = x>=b->left && x<=b->right && y>=b->top && y<=b->bottom;
    good &= memcmp(p->pixels + (size_t)i*4, inside ? colour : (const unsigned char*)"\0\0\0", 4)==0;
  }
  return good;
}

static void try_even(struct property *p, int width, int height, int size, const unsigned char *colour){
  struct picture in = blank(width, height), got;
  struct err e = { 0, "" };
  for(int i=0; i<width*height; i++) memcpy(in.pixels + (size_t)i*4, colour, 4);
  picture_fit(&got, &in, size, &arena, &e);
  struct box b = box_of(&got);
  int across = b.right-b.left+1, down = b.bottom-b.top+1, longer = width>height ? across : down, shorter = width>height ? down : across;
  double ratio = width>height ? (double)height*size/width : (double)width*size/height;
  holds(p, e.rc==SQLITE_OK && is_even(&got, &b, colour), "%d x %d on %d: not the colour that it was, all over its box", width, height, size);
  holds(p, longer==size && shorter>=ratio-0.5 && (shorter==1 || shorter<=ratio+0.5), "%d x %d on %d: %d by %d", width, height, size, longer, shorter);
  holds(p, abs(b.left-(size-1-b.right))<=1 && abs(b.top-(size-1-b.bottom))<=1, "%d x %d on %d: not in the middle", width, height, size);
  arena_release(&arena);
}

static void test_fit_even(void){
  static const unsigned char colours[][4] = { { 255, 255, 255, 255 }, { 1, 127, 254, 255 }, { 200, 3, 90, 7 }, { 0, 0, 0, 255 } };
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(FITTED)*N_OF(SQUARES); i++){
    for(size_t c=0; c<N_OF(colours); c++) try_even(&p, FITTED[i/N_OF(SQUARES)].width, FITTED[i/N_OF(SQUARES)].height, SQUARES[i%N_OF(SQUARES)], colours[c]);
  }
  property_ok(&p, "pictures: an even colour stays as it is, in a box of the same proportions, in the middle");
}

static void test_fit_clear(void){
  struct property p = { 0 };
  struct random r = random_of(7);
  for(size_t i=0; i<N_OF(FITTED)*N_OF(SQUARES); i++){
    int size = SQUARES[i%N_OF(SQUARES)];
    struct picture in = any_picture(FITTED[i/N_OF(SQUARES)].width, FITTED[i/N_OF(SQUARES)].height, &r), other = blank(in.width, in.height), a, b;
    struct err e = { 0, "" };
    if( in.width==size && in.height==size ) continue;
    for(int k=0; k<in.width*in.height*4; k++) other.pixels[k] = in.pixels[k|3] ? in.pixels[k] : k%4==3 ? 0 : (unsigned char)random_u64(&r);
    picture_fit(&a, &in, size, &arena, &e);
    picture_fit(&b, &other, size, &arena, &e);
    holds(&p, e.rc==SQLITE_OK && same(&a, &b), "%d x %d on %d", in.width, in.height, size);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: the colours of clear pixels are not seen on a square");
}

/* ---- Out of memory, at every single allocation ---- */

static struct buf file_of_body;         /* what body_read() reads */
static int body_read(struct err *e){
  struct arena a = { NULL, 0 };
  struct picture p;
  int rc = picture_read(&p, file_of_body.data, file_of_body.n, &a, WHO, e);
  arena_release(&a);
  return rc;
}

static struct picture picture_of_body;
static int body_fit(struct err *e){
  struct arena a = { NULL, 0 };
  struct picture p;
  int rc = picture_fit(&p, &picture_of_body, 130, &a, e);
  arena_release(&a);
  return rc;
}

static int body_write(struct err *e){
  struct buf b = { 0 };
  int rc = png_write(&b, &picture_of_body, e);
  buf_release(&b);
  return rc;
}

/* least: allocations that there are at the least. One fails alone, or all after it too. */
static void sweep(struct property *p, const char *name, int (*body)(struct err *), long least){
  for(int stays=0; stays<2; stays++){
    sqlite3_int64 before = sqlite3_memory_used(), kept;
    long n = 0;
    int failed;
    do{
      struct err e = { 0, "" };
      int rc;
      fault_set(++n, stays);
      rc = body(&e);
      failed = fault.failed;
      fault_set(0, 0);
      kept = sqlite3_memory_used() - before;
      holds(p, rc==(failed ? SQLITE_NOMEM : SQLITE_OK) && rc==e.rc && strcmp(e.text, failed ? "out of memory" : "")==0 && kept==0,
            "%s, allocation %ld: rc %d, %s, %lld bytes kept", name, n, rc, e.text, (long long)kept);
    }while( failed && n<10000 );
    holds(p, n>least && n<10000, "%s: %ld allocations", name, n-1);
  }
}

static void test_out_of_memory(void){
  struct property p = { 0 };
  struct random r = random_of(8);
  unsigned char exif[EXIF_BYTES], samples[200*100] = { 0 };
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
  buf_release(&jpeg);
  buf_release(&file_of_body);
  arena_release(&arena);
  property_ok(&p, "pictures: out of memory at every single allocation of reading, fitting and writing");
}

int main(int argc, char **argv){
  if( fault_install()!=SQLITE_OK || sqlite3_initialize()!=SQLITE_OK ) return 2;
  test_png_kinds();
  test_png_round_trip();
  test_png_unwritten();
  test_png_ancillary();
  test_png_text();
  test_jpeg_kinds();
  test_orientations();
  test_orientation_sizes();
  test_broken_exif();
  test_scans();
  test_too_large();
  test_room();
  test_messages();
  test_passed_over();
  test_damage();
  test_fit_same();
  test_fit_oracle();
  test_fit_even();
  test_fit_clear();
  test_out_of_memory();
  test_lots(argc>1 ? atoi(argv[1]) : 20000);
  ok(sqlite3_memory_used()==0, "pictures: nothing is left of SQLite's memory", "%lld bytes", (long long)sqlite3_memory_used());
  return n_not_ok>0;
}
