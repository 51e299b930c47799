/*
** test_codec_ground.c -- the properties of picture_clear(): a plain, opaque ground becomes
** transparent, and nothing else does.
**
** Pictures are drawn twice: on a transparent ground, which is what is expected, and on an opaque
** one.
*/
#include "codec.h"
#include "ok.h"
#include "pictures.h"
#include <sqlite3.h>
#include <stdio.h>
#include <jpeglib.h>

enum { SIZE = 64 };             /* the model's */

static const unsigned char GROUNDS[][3] = {
  { 255, 255, 255 }, { 0, 0, 0 }, { 30, 120, 60 }, { 200, 220, 240 }, { 128, 128, 128 },
};
static const unsigned char RED[3] = { 210, 20, 40 };

/* ---- Drawing ---- */

/* How many of 64 points of the pixel lie between two circles around the middle; all in pixels. */
static int covered(int x, int y, double middle_x, double middle_y, double inner, double outer){
  int n = 0;
  for(int i=0; i<64; i++){
    double across = x + (i%8 + 0.5)/8 - middle_x;
    double down = y + (i/8 + 0.5)/8 - middle_y;
    double far = across*across + down*down;
    n += far>=inner*inner && far<=outer*outer;
  }
  return n;
}

/* A ring in the middle, on a clear ground; a disc when inner is 0. The radii are shares of the
** width. */
static struct picture ring(int width, int height, double inner, double outer,
                           const unsigned char *colour){
  struct picture p = blank(width, height);
  for(int y=0; y<height; y++){
    for(int x=0; x<width; x++){
      int n = covered(x, y, width/2.0, height/2.0, inner*width, outer*width);
      unsigned char *pixel = picture_pixel(&p, x, y);
      if( n==0 ) continue;
      memcpy(pixel, colour, 3);
      pixel[3] = (unsigned char)((n*255 + 32)/64);
    }
  }
  return p;
}

static struct picture on_ground(const struct picture *in, const unsigned char *ground){
  struct picture p = blank(in->width, in->height);
  for(int i=0; i<in->width*in->height; i++){
    const unsigned char *from = in->pixels + 4*i;
    unsigned char *to = p.pixels + 4*i;
    for(int k=0; k<3; k++){
      to[k] = (unsigned char)((from[k]*from[3] + ground[k]*(255-from[3]) + 127)/255);
    }
    to[3] = 255;
  }
  return p;
}

/* The same as a JPEG gives it back, its colours at half the width and height. */
static struct picture through_jpeg(const struct picture *in, int quality){
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char *bytes = NULL;
  unsigned long n = 0;
  struct picture p;
  struct err e = { 0 };
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &bytes, &n);
  jpeg.image_width = (JDIMENSION)in->width;
  jpeg.image_height = (JDIMENSION)in->height;
  jpeg.input_components = 4;
  jpeg.in_color_space = JCS_EXT_RGBX;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  for(int y=0; y<in->height; y++){
    unsigned char *row = picture_pixel(in, 0, y);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  picture_read(&p, bytes, n, &arena, "a JPEG", &e);
  free(bytes);
  return p;
}

/* ---- Comparing ---- */

struct apart { int most_alpha; double alpha, colour; };  /* means over all pixels, of 255 */

/* Colours count by their alpha. */
static struct apart apart_of(const struct picture *a, const struct picture *b){
  struct apart d = { 0 };
  int n = a->width*a->height;
  for(int i=0; i<n; i++){
    const unsigned char *p = a->pixels + 4*i;
    const unsigned char *q = b->pixels + 4*i;
    int alpha = abs(p[3]-q[3]);
    if( alpha>d.most_alpha ) d.most_alpha = alpha;
    d.alpha += alpha/(double)n;
    for(int k=0; k<3; k++) d.colour += abs(p[k]*p[3] - q[k]*q[3])/(255.0*3*n);
  }
  return d;
}

/* Cleared, as picture_clear() leaves it. */
static struct picture cleared(const struct picture *in){
  struct picture p = *in;
  struct err e = { 0 };
  picture_clear(&p, SIZE, &arena, &e);
  return p;
}

static int is_untouched(const struct picture *in){
  struct picture before = blank(in->width, in->height);
  struct picture after;
  memcpy(before.pixels, in->pixels, picture_bytes(in));
  after = cleared(in);
  return after.pixels==in->pixels && same(&after, &before);
}

/* ---- What is cleared ---- */

static void try_ring(struct property *p, int width, int height, const unsigned char *ground){
  struct picture expected = ring(width, height, 0, 0.31, RED);
  struct picture put = on_ground(&expected, ground);
  struct picture got = cleared(&put);
  struct picture back = on_ground(&got, ground);
  struct apart d = apart_of(&got, &expected);
  struct apart again = apart_of(&back, &put);
  holds(p, got.pixels!=put.pixels && d.most_alpha<=40 && d.alpha<1 && d.colour<1,
        "%d x %d on %d %d %d: alpha %d, %.2f off, colour %.2f", width, height, ground[0],
        ground[1], ground[2], d.most_alpha, d.alpha, d.colour);
  holds(p, again.colour<0.3, "%d x %d put on %d %d %d again: %.2f off", width, height, ground[0],
        ground[1], ground[2], again.colour);
  arena_release(&arena);
}

static void test_disc(void){
  static const struct { int width, height; } sizes[] = {
    { 24, 24 }, { 64, 64 }, { 65, 63 }, { 64, 100 }, { 100, 70 }, { 128, 128 },
  };
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(sizes); i++){
    for(size_t k=0; k<N_OF(GROUNDS); k++){
      try_ring(&p, sizes[i].width, sizes[i].height, GROUNDS[k]);
    }
  }
  property_ok(&p, "ground: a disc on a plain ground is the disc on a transparent one, its rim too; "
                  "on the ground it looks as before");
}

static void test_disc_jpeg(void){
  static const int qualities[] = { 95, 85, 75, 60 };
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(qualities); i++){
    for(size_t k=0; k<N_OF(GROUNDS); k++){
      struct picture expected = ring(64, 64, 0, 0.31, RED);
      struct picture put = on_ground(&expected, GROUNDS[k]);
      struct picture read = through_jpeg(&put, qualities[i]);
      struct picture got = cleared(&read);
      struct apart d = apart_of(&got, &expected);
      holds(&p, picture_pixel(&got, 0, 0)[3]==0 && d.alpha<12 && d.colour<12,
            "quality %d on %d %d %d: alpha %.2f off, colour %.2f", qualities[i], GROUNDS[k][0],
            GROUNDS[k][1], GROUNDS[k][2], d.alpha, d.colour);
      arena_release(&arena);
    }
  }
  property_ok(&p, "ground: so it is for a JPEG, in spite of its noise");
}

static void test_enclosed(void){
  struct property p = { 0 };
  for(size_t k=0; k<N_OF(GROUNDS); k++){
    struct picture thing = ring(64, 64, 0.2, 0.4, RED);
    struct picture put = on_ground(&thing, GROUNDS[k]);
    struct picture got = cleared(&put);
    const unsigned char *middle = picture_pixel(&got, 32, 32);
    holds(&p, picture_pixel(&got, 1, 1)[3]==0 && picture_pixel(&got, 62, 33)[3]==0,
          "%d %d %d: outside is not clear", GROUNDS[k][0], GROUNDS[k][1], GROUNDS[k][2]);
    holds(&p, middle[3]==255 && memcmp(middle, GROUNDS[k], 3)==0, "%d %d %d: inside is %d %d %d %d",
          GROUNDS[k][0], GROUNDS[k][1], GROUNDS[k][2], middle[0], middle[1], middle[2], middle[3]);
    arena_release(&arena);
  }
  property_ok(&p, "ground: what has the colour of the ground and is enclosed stays");
}

/* A thing that is cut off by the lower border. */
static void test_cut_off(void){
  struct picture put = blank(64, 64);
  struct picture got;
  int good = 1;
  for(int i=0; i<64*64; i++){
    int is_thing = i%64>=8 && i%64<56 && i/64>=20;
    memcpy(put.pixels + 4*i, is_thing ? RED : GROUNDS[0], 3);
    put.pixels[4*i+3] = 255;
  }
  got = cleared(&put);
  for(int i=0; i<64*64; i++){
    int is_thing = i%64>=8 && i%64<56 && i/64>=20;
    good &= got.pixels[4*i+3]==(is_thing ? 255 : 0);
    good &= memcmp(got.pixels + 4*i, is_thing ? RED : (const unsigned char[3]){ 0 }, 3)==0;
  }
  ok(good, "ground: a thing that reaches the border stays, pixel by pixel", "%d", good);
  arena_release(&arena);
}

/* ---- What is not ---- */

static void fill(struct picture *p, const unsigned char *colour){
  for(int i=0; i<p->width*p->height; i++){
    memcpy(p->pixels + 4*i, colour, 3);
    p->pixels[4*i+3] = 255;
  }
}

static void test_transparent(void){
  struct property p = { 0 };
  struct random r = random_of(1);
  for(int i=0; i<20; i++){
    struct picture any = any_picture(9 + i, 30 - i, &r);
    struct picture disc = ring(64, 64, 0, 0.3, RED);
    struct picture put = on_ground(&disc, GROUNDS[0]);
    put.pixels[4*(random_u64(&r)%(64*64))+3] = (unsigned char)(254*(i&1));
    holds(&p, is_untouched(&any) && is_untouched(&disc), "round %d: transparent", i);
    holds(&p, is_untouched(&put), "round %d: one pixel of alpha %d", i, 254*(i&1));
    arena_release(&arena);
  }
  property_ok(&p, "ground: a picture with any transparency stays as it came");
}

static void test_photographs(void){
  struct property p = { 0 };
  struct random r = random_of(2);
  struct picture noise = any_picture(80, 60, &r);
  struct picture slope = blank(80, 60);
  struct picture halves = blank(80, 60);
  for(int i=0; i<80*60; i++){
    unsigned char *at = slope.pixels + 4*i;
    noise.pixels[4*i+3] = 255;
    at[0] = (unsigned char)(3*(i%80));
    at[1] = (unsigned char)(4*(i/80));
    at[2] = 90;
    at[3] = 255;
    memcpy(halves.pixels + 4*i, i/80<30 ? GROUNDS[0] : GROUNDS[2], 3);
    halves.pixels[4*i+3] = 255;
  }
  holds(&p, is_untouched(&noise), "noise");
  holds(&p, is_untouched(&slope), "colours that change across the picture");
  holds(&p, is_untouched(&halves), "two halves");
  property_ok(&p, "ground: a picture whose border is not plain stays as it came");
  arena_release(&arena);
}

static void test_plain(void){
  static const struct { int width, height; } sizes[] = {
    { 1, 1 }, { 2, 2 }, { 1, 9 }, { 9, 2 }, { 3, 3 }, { 64, 64 }, { 200, 90 }, { 3000, 3 },
  };
  struct property p = { 0 };
  struct random r = random_of(3);
  for(size_t i=0; i<N_OF(sizes); i++){
    for(size_t k=0; k<N_OF(GROUNDS); k++){
      struct picture plain = blank(sizes[i].width, sizes[i].height);
      fill(&plain, GROUNDS[k]);
      holds(&p, is_untouched(&plain), "%d x %d", plain.width, plain.height);
      for(size_t n=0; n<picture_bytes(&plain); n++){
        unsigned char *at = plain.pixels + n;
        int by = (int)(random_u64(&r)%6);
        if( n%4!=3 ) *at = (unsigned char)(*at>127 ? *at-by : *at+by);
      }
      holds(&p, is_untouched(&plain), "%d x %d with noise", plain.width, plain.height);
      if( plain.width==64 ) memcpy(picture_pixel(&plain, 30, 30), RED, 3);
      holds(&p, is_untouched(&plain), "%d x %d with a speck", plain.width, plain.height);
      arena_release(&arena);
    }
  }
  property_ok(&p, "ground: a picture that is nothing but a plain colour, with noise or a speck of "
                  "dust, stays as it came");
}

/* ---- Large, and the same bits ---- */

static void test_large(void){
  struct property p = { 0 };
  for(int width=150; width<=2400; width*=2){
    struct picture thing = ring(width, width/2, 0, 0.2, RED);
    struct picture expected, put, got, fitted;
    struct err e = { 0 };
    struct apart d;
    picture_fit(&expected, &thing, SIZE, &arena, &e);
    put = on_ground(&thing, GROUNDS[0]);
    got = cleared(&put);
    holds(&p, got.width==2*SIZE && got.height==SIZE, "%d became %d x %d", width, got.width,
          got.height);
    picture_fit(&fitted, &got, SIZE, &arena, &e);
    d = apart_of(&fitted, &expected);
    holds(&p, e.rc==SQLITE_OK && d.most_alpha<16 && d.alpha<1 && d.colour<1,
          "%d wide: alpha %d, %.2f off, colour %.2f", width, d.most_alpha, d.alpha, d.colour);
    arena_release(&arena);
  }
  property_ok(&p, "ground: a large picture is cleared in a small one, and fits as if it had been "
                  "transparent");
}

/* What many pictures of noise on a plain ground become, summed up. */
static void test_bits(void){
  struct random r = random_of(4);
  uint64_t sum = 0;
  for(int i=0; i<40; i++){
    struct picture in = any_picture(20 + 3*i, 90 - i, &r);
    struct picture got;
    for(int y=0; y<in.height; y++){
      for(int x=0; x<in.width; x++){
        unsigned char *at = picture_pixel(&in, x, y);
        int is_thing = x>5 && x<in.width-5 && y>7 && y<in.height-4;
        for(int k=0; k<3; k++){
          int v = is_thing ? at[k] : GROUNDS[i%5][k] + at[k]%9 - 4;
          at[k] = (unsigned char)(v<0 ? 0 : v>255 ? 255 : v);
        }
        at[3] = 255;
      }
    }
    got = cleared(&in);
    sum = sum*31 + hash64(got.pixels, picture_bytes(&got));
    arena_release(&arena);
  }
  ok(sum==0xdb85232e24d16455, "ground: the bits are those of every other machine", "%016llx",
     (unsigned long long)sum);
}

int main(void){
  test_disc();
  test_disc_jpeg();
  test_enclosed();
  test_cut_off();
  test_transparent();
  test_photographs();
  test_plain();
  test_large();
  test_bits();
  ok(sqlite3_memory_used()==0, "ground: nothing is left of SQLite's memory", "%lld bytes",
     (long long)sqlite3_memory_used());
  return n_not_ok>0;
}
