/*
** test_codec_fit.c -- the properties of a picture on a square: picture_fit() against a plain
** definition, and what its words promise.
*/
#include "codec.h"
#include "ok.h"
#include "pictures.h"
#include <sqlite3.h>

static const struct { int width, height; } FITTED[] = {
  { 1, 1 }, { 1, 7 }, { 7, 8 }, { 9, 7 }, { 8, 8 }, { 64, 9 }, { 63, 65 }, { 65, 64 },
  { 130, 65 }, { 64, 130 }, { 1, 5000 }, { 5000, 1 }, { 3, 200 }, { 300, 2 },
};
static const int SQUARES[] = { 1, 7, 8, 9, 63, 64, 65 };

/* Each picture on each square. */
enum { N_CASES = N_OF(FITTED)*N_OF(SQUARES) };
struct fit_case { int width, height, size; };

static struct fit_case case_of(int i){
  int k = i/(int)N_OF(SQUARES);
  return (struct fit_case){
    .width = FITTED[k].width,
    .height = FITTED[k].height,
    .size = SQUARES[i%(int)N_OF(SQUARES)],
  };
}

static int is_same_size(const struct fit_case *c){
  return c->width==c->size && c->height==c->size;
}

/* ---- Against a plain definition ---- */

static int gcd(int a, int b){
  return b ? gcd(b, a%b) : a;
}

/* One side: each old pixel is blown up to `up` equal ones, so that a whole number n of them makes
** one new pixel. */
struct dumb_side { int made, n, up; };

static struct dumb_side dumb_side(int side, int longest, int size){
  int made = (2*side*size + longest)/(2*longest);
  int common;
  if( made<1 ) made = 1;
  common = gcd(side, made);
  return (struct dumb_side){ .made = made, .n = side/common, .up = made/common };
}

/* The mean of the blown up pixels in new pixel (x, y); each colour counts as much as its alpha. */
static void dumb_pixel(unsigned char *to, const struct picture *in,
                       const struct dumb_side *across, const struct dumb_side *down, int x, int y){
  uint64_t n = (uint64_t)across->n*(uint64_t)down->n;
  uint64_t colour[3] = { 0 };
  uint64_t alpha = 0;
  for(int j=y*down->n; j<(y+1)*down->n; j++){
    for(int i=x*across->n; i<(x+1)*across->n; i++){
      const unsigned char *from = picture_pixel(in, i/across->up, j/down->up);
      alpha += from[3];
      for(int k=0; k<3; k++) colour[k] += (uint64_t)from[k]*from[3];
    }
  }
  to[3] = (unsigned char)((2*alpha + n)/(2*n));
  for(int k=0; k<3; k++){
    to[k] = to[3] ? (unsigned char)((2*colour[k] + alpha)/(2*alpha)) : 0;
  }
}

static struct picture dumb_fit(const struct picture *in, int size){
  int longest = in->width>in->height ? in->width : in->height;
  struct dumb_side across = dumb_side(in->width, longest, size);
  struct dumb_side down = dumb_side(in->height, longest, size);
  int left = (size - across.made)/2;
  int top = (size - down.made)/2;
  struct picture p = blank(size, size);
  for(int y=0; y<down.made; y++){
    for(int x=0; x<across.made; x++){
      dumb_pixel(picture_pixel(&p, left+x, top+y), in, &across, &down, x, y);
    }
  }
  return p;
}

static void test_fit_oracle(void){
  struct property p = { 0 };
  struct random r = random_of(5);
  for(int i=0; i<N_CASES; i++){
    struct fit_case c = case_of(i);
    struct picture in = any_picture(c.width, c.height, &r);
    struct picture expected, got;
    struct err e = { 0 };
    if( is_same_size(&c) ) continue;
    expected = dumb_fit(&in, c.size);
    picture_fit(&got, &in, c.size, &arena, &e);
    holds(&p, e.rc==SQLITE_OK && same(&got, &expected), "%d x %d on %d", c.width, c.height,
          c.size);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: on a square a pixel is the mean of what lies in it, each colour "
                  "counting by its alpha");
}

/* ---- What the words promise ---- */

static void test_fit_same(void){
  struct property p = { 0 };
  struct random r = random_of(6);
  for(size_t i=0; i<N_OF(SQUARES); i++){
    struct picture in = any_picture(SQUARES[i], SQUARES[i], &r);
    struct picture got;
    struct err e = { 0 };
    picture_fit(&got, &in, SQUARES[i], &arena, &e);
    holds(&p, e.rc==SQLITE_OK && same(&got, &in) && got.pixels!=in.pixels, "%d", SQUARES[i]);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: of the same size every byte stays, in memory of its own");
}

struct box { int left, top, right, bottom; };   /* the first and the last column and row */

/* The smallest box that holds all pixels which are not clear. */
static struct box box_of(const struct picture *p){
  struct box b = { p->width, p->height, -1, -1 };
  for(int y=0; y<p->height; y++){
    for(int x=0; x<p->width; x++){
      if( picture_pixel(p, x, y)[3]==0 ) continue;
      if( x<b.left ) b.left = x;
      if( x>b.right ) b.right = x;
      if( y<b.top ) b.top = y;
      b.bottom = y;
    }
  }
  return b;
}

/* 1 when the box has this colour and all around it is clear and black. */
static int is_even(const struct picture *p, const struct box *b, const unsigned char *colour){
  static const unsigned char clear[4] = { 0 };
  for(int y=0; y<p->height; y++){
    for(int x=0; x<p->width; x++){
      int inside = x>=b->left && x<=b->right && y>=b->top && y<=b->bottom;
      if( memcmp(picture_pixel(p, x, y), inside ? colour : clear, 4)!=0 ) return 0;
    }
  }
  return 1;
}

static void try_even(struct property *p, const struct fit_case *c, const unsigned char *colour){
  int width = c->width;
  int height = c->height;
  int size = c->size;
  struct picture in = blank(width, height);
  struct picture got;
  struct err e = { 0 };
  struct box b;
  int across, down, longer, shorter;
  double ratio;
  for(int i=0; i<width*height; i++) memcpy(in.pixels + (size_t)i*4, colour, 4);
  picture_fit(&got, &in, size, &arena, &e);
  b = box_of(&got);
  across = b.right-b.left+1;
  down = b.bottom-b.top+1;
  longer = width>height ? across : down;
  shorter = width>height ? down : across;
  ratio = width>height ? (double)height*size/width : (double)width*size/height;
  holds(p, e.rc==SQLITE_OK && is_even(&got, &b, colour),
        "%d x %d on %d: not the colour that it was, all over its box", width, height, size);
  holds(p, longer==size && shorter>=ratio-0.5 && (shorter==1 || shorter<=ratio+0.5),
        "%d x %d on %d: %d by %d", width, height, size, longer, shorter);
  holds(p, abs(b.left-(size-1-b.right))<=1 && abs(b.top-(size-1-b.bottom))<=1,
        "%d x %d on %d: not in the middle", width, height, size);
  arena_release(&arena);
}

static void test_fit_even(void){
  static const unsigned char colours[][4] = {
    { 255, 255, 255, 255 }, { 1, 127, 254, 255 }, { 200, 3, 90, 7 }, { 0, 0, 0, 255 },
  };
  struct property p = { 0 };
  for(int i=0; i<N_CASES; i++){
    struct fit_case c = case_of(i);
    for(size_t k=0; k<N_OF(colours); k++) try_even(&p, &c, colours[k]);
  }
  property_ok(&p, "pictures: an even colour stays as it is, in a box of the same proportions, in "
                  "the middle");
}

/* The same picture, with other colours where it is clear. */
static struct picture with_other_clear(const struct picture *in, struct random *r){
  struct picture other = blank(in->width, in->height);
  for(int i=0; i<in->width*in->height; i++){
    const unsigned char *from = in->pixels + (size_t)i*4;
    unsigned char *to = other.pixels + (size_t)i*4;
    if( from[3] ){
      memcpy(to, from, 4);
      continue;
    }
    for(int k=0; k<3; k++) to[k] = (unsigned char)random_u64(r);
  }
  return other;
}

static void test_fit_clear(void){
  struct property p = { 0 };
  struct random r = random_of(7);
  for(int i=0; i<N_CASES; i++){
    struct fit_case c = case_of(i);
    struct picture in = any_picture(c.width, c.height, &r);
    struct picture other, a, b;
    struct err e = { 0 };
    if( is_same_size(&c) ) continue;
    other = with_other_clear(&in, &r);
    picture_fit(&a, &in, c.size, &arena, &e);
    picture_fit(&b, &other, c.size, &arena, &e);
    holds(&p, e.rc==SQLITE_OK && same(&a, &b), "%d x %d on %d", c.width, c.height, c.size);
    arena_release(&arena);
  }
  property_ok(&p, "pictures: the colours of clear pixels are not seen on a square");
}

int main(void){
  test_fit_same();
  test_fit_oracle();
  test_fit_even();
  test_fit_clear();
  arena_release(&arena);
  ok(sqlite3_memory_used()==0, "pictures: nothing is left of SQLite's memory", "%lld bytes",
     (long long)sqlite3_memory_used());
  return n_not_ok>0;
}
