/*
** codec_ground.c -- a plain, opaque ground becomes transparent.
**
** The model has seen things on a transparent ground. The same thing on white, as in every JPEG, is
** another picture to it. So a picture is freed of its ground before it is encoded:
**
** 1. The border (the outermost pixels) says what the ground is. Its colour is the median of each
**    channel there, and its noise what two thirds of the border do not exceed: the greatest
**    difference of a channel from that colour. A border with more noise than NOISE_MOST is not
**    plain, and the picture stays as it came. So does one that has transparency already, and one
**    too small to have anything within its border.
** 2. The picture is scaled down to twice the size that the model wants, so that what follows is a
**    few thousand pixels however large it came. The ground is measured there once more: scaling has
**    taken most of the noise of a JPEG away.
** 3. From the border the ground spreads to neighbours (left, right, above, below) whose channels
**    differ from its colour by TOLERANCE and twice the noise at most. What has the colour of the
**    ground and is enclosed by something else is not reached, and is kept.
** 4. If nearly nothing is left, there was nothing on the ground: the picture is its colour, and
**    stays as it came.
** 5. The rim (the pixels next to the ground, one or two deep) is a mixture: of the ground W, and of
**    a thing whose colour C is found close by. The pixel O of the rim lies between the two,
**    O = W + alpha*(C - W). C is the pixel farthest from W, among those near that O lies in line
**    with; alpha is where O is on that line. Where none is farther than O, O is the thing itself.
** 6. The ground is taken out of a pixel of the rim, so that on the same ground it would look as
**    before: its colour is (O - (1 - alpha)*W)/alpha. The ground itself becomes clear.
**
** All of it is whole numbers, so every machine gives the same bits.
*/
#include "codec.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
  NOISE_MOST = 16,      /* that of a JPEG of quality 60 whose things come close to the border */
  TOLERANCE = 12,       /* 8 and 16 gave rims that were as good within a tenth */
  LEFT_LEAST = 256      /* one pixel of so many is the least that stands on a ground */
};

struct ground {
  int colour[3];                /* R G B */
  int tolerance;                /* how far a channel of the ground is from it */
};

/* What a pixel is; the rim counts on from GROUND: 2 is next to it, 3 behind that. */
enum part { THING = 0, GROUND = 1 };

struct clearing {
  struct ground ground;
  const struct picture *from;   /* as it came, opaque */
  unsigned char *parts;         /* [height, width], of enum part */
  int *found;                   /* [height*width]: the pixels of the ground, as they were reached */
  int n_found;
  int rim;                      /* how deep it is, in pixels */
};

/* ---- 1. The border ---- */

/* Pixel i of those at the border, of which there are border_length(). */
static const unsigned char *border_pixel(const struct picture *p, int i){
  int width = p->width;
  if( i<width ) return picture_pixel(p, i, 0);
  i -= width;
  if( i<width ) return picture_pixel(p, i, p->height-1);
  i -= width;
  return picture_pixel(p, i%2 ? width-1 : 0, 1 + i/2);
}

static int border_length(const struct picture *p){
  return 2*p->width + 2*(p->height-2);
}

/* The least number that part/whole of the n counted ones do not exceed. */
static int least_above(const int counts[256], int n, int part, int whole){
  int64_t seen = 0;
  for(int v=0; v<256; v++){
    seen += counts[v];
    if( seen*whole>=(int64_t)n*part ) return v;
  }
  return 255;
}

/* The greatest difference of a channel. */
static int distance(const unsigned char *pixel, const struct ground *g){
  int most = 0;
  for(int k=0; k<3; k++){
    int far = abs(pixel[k] - g->colour[k]);
    if( far>most ) most = far;
  }
  return most;
}

/* 1 when the border is plain: then g is the ground. */
static int measure_ground(struct ground *g, const struct picture *p){
  int n = border_length(p);
  int counts[3][256] = { 0 };
  int distances[256] = { 0 };
  int noise;
  if( p->width<3 || p->height<3 ) return 0;
  for(int i=0; i<n; i++){
    const unsigned char *pixel = border_pixel(p, i);
    if( pixel[3]!=255 ) return 0;
    for(int k=0; k<3; k++) counts[k][pixel[k]]++;
  }
  for(int k=0; k<3; k++) g->colour[k] = least_above(counts[k], n, 1, 2);
  for(int i=0; i<n; i++) distances[distance(border_pixel(p, i), g)]++;
  noise = least_above(distances, n, 2, 3);
  g->tolerance = TOLERANCE + 2*noise;
  return noise<=NOISE_MOST;
}

static int is_opaque(const struct picture *p){
  size_t n = (size_t)p->width*(size_t)p->height;
  for(size_t i=0; i<n; i++){
    if( p->pixels[4*i+3]!=255 ) return 0;
  }
  return 1;
}

/* ---- 3. Spreading ---- */

static void reach(struct clearing *c, int x, int y){
  const struct picture *p = c->from;
  int at = y*p->width + x;
  if( x<0 || x>=p->width || y<0 || y>=p->height ) return;
  if( c->parts[at]==GROUND ) return;
  if( distance(picture_pixel(p, x, y), &c->ground)>c->ground.tolerance ) return;
  c->parts[at] = GROUND;
  c->found[c->n_found++] = at;
}

static void spread(struct clearing *c){
  int width = c->from->width;
  int height = c->from->height;
  for(int x=0; x<width; x++){
    reach(c, x, 0);
    reach(c, x, height-1);
  }
  for(int y=0; y<height; y++){
    reach(c, 0, y);
    reach(c, width-1, y);
  }
  for(int i=0; i<c->n_found; i++){
    int x = c->found[i]%width;
    int y = c->found[i]/width;
    reach(c, x-1, y);
    reach(c, x+1, y);
    reach(c, x, y-1);
    reach(c, x, y+1);
  }
}

/* ---- 5. The rim ---- */

/* The columns (or rows) at most `reach` away from `at`, of n. */
struct span { int first, end; };

static struct span span_around(int at, int reach, int n){
  return (struct span){ at>reach ? at-reach : 0, at+reach+1<n ? at+reach+1 : n };
}

/* 1 when one of the eight pixels around (x, y) is that part. */
static int touches(const struct clearing *c, int x, int y, int part){
  struct span across = span_around(x, 1, c->from->width);
  struct span down = span_around(y, 1, c->from->height);
  for(int j=down.first; j<down.end; j++){
    for(int i=across.first; i<across.end; i++){
      if( c->parts[j*c->from->width + i]==part ) return 1;
    }
  }
  return 0;
}

static void mark_rim(struct clearing *c){
  for(int depth=GROUND; depth<GROUND + c->rim; depth++){
    for(int y=0; y<c->from->height; y++){
      for(int x=0; x<c->from->width; x++){
        unsigned char *part = &c->parts[y*c->from->width + x];
        if( *part==THING && touches(c, x, y, depth) ) *part = (unsigned char)(depth+1);
      }
    }
  }
}

/* The product of the ways from the ground's colour to two others. */
static int64_t product(const unsigned char *a, const unsigned char *b, const struct ground *g){
  int64_t sum = 0;
  for(int k=0; k<3; k++) sum += (a[k] - g->colour[k])*(b[k] - g->colour[k]);
  return sum;
}

/* 1 when `pixel` may be a mixture of the ground and `thing`: when it is no farther from the line
** between the two than twice the tolerance. */
static int is_between(const unsigned char *pixel, const unsigned char *thing,
                      const struct ground *g){
  int64_t along = product(pixel, thing, g);
  int64_t length = product(thing, thing, g);
  int64_t slack = 4*(int64_t)g->tolerance*g->tolerance;
  return along>=0 && (product(pixel, pixel, g) - slack)*length<=along*along;
}

/* The colour of the thing at the pixel (x, y) of the rim. */
static const unsigned char *thing_at(const struct clearing *c, int x, int y){
  const struct picture *p = c->from;
  const struct ground *g = &c->ground;
  const unsigned char *pixel = picture_pixel(p, x, y);
  const unsigned char *thing = pixel;
  struct span across = span_around(x, c->rim, p->width);
  struct span down = span_around(y, c->rim, p->height);
  int64_t most = product(pixel, pixel, g);
  for(int j=down.first; j<down.end; j++){
    for(int i=across.first; i<across.end; i++){
      const unsigned char *other = picture_pixel(p, i, j);
      int64_t far = product(other, other, g);
      if( far<=most || c->parts[j*p->width + i]==GROUND ) continue;
      if( !is_between(pixel, other, g) ) continue;
      most = far;
      thing = other;
    }
  }
  return thing;
}

/* ---- 6. Without the ground ---- */

/* to[4] = `pixel`, of which alpha/255 is the thing, without its share of the ground. */
static void remove_ground(unsigned char *to, const unsigned char *pixel, int alpha,
                          const struct ground *g){
  memset(to, 0, 4);
  if( alpha==0 ) return;
  for(int k=0; k<3; k++){
    int share = 255*pixel[k] - (255-alpha)*g->colour[k];
    int value = share>0 ? (share + alpha/2)/alpha : 0;
    to[k] = (unsigned char)(value<255 ? value : 255);
  }
  to[3] = (unsigned char)alpha;
}

static void clear_pixel(const struct clearing *c, struct picture *to, int x, int y){
  const unsigned char *pixel = picture_pixel(c->from, x, y);
  const unsigned char *thing = pixel;
  int part = c->parts[y*c->from->width + x];
  int alpha = 0;
  if( part!=GROUND && part!=THING ) thing = thing_at(c, x, y);
  if( part!=GROUND && thing==pixel ){
    alpha = 255;
  }else if( part!=GROUND ){
    int64_t length = product(thing, thing, &c->ground);
    alpha = (int)((255*product(pixel, thing, &c->ground) + length/2)/length);
  }
  remove_ground(picture_pixel(to, x, y), pixel, alpha, &c->ground);
}

/* ---- The whole ---- */

/* to: pixels of its own for what is cleared. 0 when nothing stands on the ground, or out of
** memory. */
static int clear(struct picture *to, struct clearing *c, struct arena *a){
  const struct picture *from = c->from;
  size_t n = (size_t)from->width*(size_t)from->height;
  *to = (struct picture){ from->width, from->height, arena_get(a, n*4) };
  c->parts = arena_zeroed(a, n);
  c->found = arena_get(a, n*sizeof(*c->found));
  if( a->oom ) return 0;
  spread(c);
  if( (n - (size_t)c->n_found)*LEFT_LEAST<n ) return 0;
  mark_rim(c);
  for(int y=0; y<from->height; y++){
    for(int x=0; x<from->width; x++) clear_pixel(c, to, x, y);
  }
  return 1;
}

int picture_clear(struct picture *p, int size, struct arena *a, struct err *e){
  struct clearing c = { 0 };
  struct picture scaled, cleared;
  int longest = p->width>p->height ? p->width : p->height;
  assert( p->pixels!=NULL && e->rc==SQLITE_OK );
  assert( size>0 && size<=INT16_MAX );
  if( !measure_ground(&c.ground, p) || !is_opaque(p) ) return SQLITE_OK;
  if( longest>2*size ) longest = 2*size;
  if( picture_scale(&scaled, p, longest, a, e)!=SQLITE_OK ) return e->rc;
  if( !measure_ground(&c.ground, &scaled) ) return SQLITE_OK;
  c.from = &scaled;
  c.rim = 2*longest>3*size ? 2 : 1;
  if( clear(&cleared, &c, a) ) *p = cleared;
  return a->oom ? fail_nomem(e) : SQLITE_OK;
}
