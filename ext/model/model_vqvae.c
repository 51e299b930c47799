/*
** model_vqvae.c -- the VQ-VAE of a model of kind picture: the network between pixels and codes, for
** a few pictures at a time.
**
** A row is a pixel or a place of a grid, from top left to bottom right, its channels side by side.
** So every step is a matrix product over rows (model/picture_codes.py is the plain definition).
** Sides are those of 64x64 pixels; c0, c1, c2 are the channels of the three levels:
**
**   encode   pixels [64*64, 4], premultiplied by alpha, 0..1
**            2x2 joined . in                        -> [32*32, c0], blocks
**            2x2 joined . down[0]                   -> [16*16, c1], blocks
**            2x2 joined . down[1]                   -> [8*8, c2],   blocks
**            unit(norm . to_code)                   -> [64, code_width]
**            the code of the nearest row of the codebook, of equals the first
**   decode   rows of the codebook . from_code       -> [8*8, c2],   blocks
**            . up[1], taken apart into 2x2          -> [16*16, c1], blocks
**            . up[0], taken apart                   -> [32*32, c0], blocks
**            norm . out, taken apart                -> [64*64, 4], cut to 0..1
**            divided by alpha, 8 bits
**   block    x + out(silu(conv(norm(x))))
**            conv is 3x3 with zeros around: each place's nine neighbours, side by side (im2col),
**            times a matrix
**
** The nine neighbours of all places would take nine times the memory of the grid. They are laid out
** for some rows at a time, which stay in the second-level cache for the product that reads them.
** Several pictures go together, so that the last level, of 64 places, has rows enough for a
** product. Each number of a result is one chain of sums, whatever is computed beside it
** (kernels.h).
**
** Measured on one core of an AMD EPYC Zen 5, with 256 pictures and the shipped model (32, 64 and
** 160 channels, [1, 1, 3] and [4, 2, 2] blocks): 1,230 pictures are encoded and 830 decoded a
** second with AVX-512, 700 and 460 with AVX2. More than four fifths of the time is in the products.
** It was 6% slower to lay out 128 KB of neighbours at a time.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

enum {
  NEIGHBOURS_FLOATS = (384<<10)/4,      /* laid out at a time */
  SCORES_FLOATS = 64<<10,               /* scores of codes held at a time */
  JOINED = 16                           /* numbers of 2x2 pixels */
};

/* ---- Sizes and scratch ---- */

static int largest_of(int a, int b){
  return a>b ? a : b;
}

/* Side of a level's grid: a half, a quarter, an eighth of the picture's. */
static int side_of(const struct model *m, int level){
  return m->config.picture.size >> (level + 1);
}

/* Floats of one picture's widest grid, or of the pixels that it comes from or goes to. */
static size_t widest_grid(const struct model *m){
  const struct picture_shape *p = &m->config.picture;
  size_t codes = (size_t)p->grid*p->grid*p->code_width;
  size_t most = (size_t)p->size*p->size*4;
  for(int i=0; i<PICTURE_LEVELS; i++){
    size_t side = (size_t)side_of(m, i);
    size_t n = side*side*(size_t)p->channels[i];
    if( n>most ) most = n;
  }
  return most>codes ? most : codes;
}

static int widest_channels(const struct model *m){
  const int *c = m->config.picture.channels;
  return largest_of(c[0], largest_of(c[1], c[2]));
}

/* Rows of 9c that are laid out at a time. */
static int neighbour_rows(int c){
  return largest_of(1, NEIGHBOURS_FLOATS/(9*c));
}

void picture_work_init(struct picture_work *w, const struct model *m, int pictures,
                       struct arena *a){
  const struct picture_shape *p = &m->config.picture;
  size_t grid = widest_grid(m)*(size_t)pictures;
  int c = widest_channels(m);
  int scores = largest_of(SCORES_FLOATS, p->codes);
  int widest_input = largest_of(JOINED, largest_of(9*c, p->code_width));
  w->x = arena_floats(a, grid);
  w->y = arena_floats(a, grid);
  w->neighbours = arena_floats(a, (size_t)largest_of(NEIGHBOURS_FLOATS + 9*c, scores));
  w->hidden = arena_floats(a, (size_t)(NEIGHBOURS_FLOATS/9 + c));
  w->panel = arena_floats(a, LINEAR_SCRATCH(widest_input));
}

/* y[rows, out] = x[rows, in] . w + bias */
static void affine(float *y, const float *x, const struct affine *a, int rows,
                   struct picture_work *w){
  linear(y, x, &a->w, rows, w->panel);
  add_bias(y, a->bias, rows, a->w.out);
}

/* ---- Grids: n of side x side places with c channels each ---- */

/* y = 2x2 places of x joined: [n * side/2 * side/2, 4c], in the order (dy, dx, channel). Sides are
** even, so a pair of lines is one picture's. */
static void join_places(float *y, const float *x, int n, int side, int c){
  size_t pair = (size_t)2*c;
  for(int line=0; line<n*side; line+=2){
    for(int at=0; at<side; at+=2){
      const float *first = x + ((size_t)line*side + at)*c;
      memcpy(y, first, pair*sizeof(float));
      memcpy(y + pair, first + (size_t)side*c, pair*sizeof(float));
      y += 2*pair;
    }
  }
}

/* The inverse: x[n * side * side, 4c] -> y[n * 2side * 2side, c]. */
static void part_places(float *y, const float *x, int n, int side, int c){
  size_t pair = (size_t)2*c;
  for(int line=0; line<n*side; line++){
    for(int at=0; at<side; at++){
      float *first = y + ((size_t)line*4*side + 2*at)*c;
      memcpy(first, x, pair*sizeof(float));
      memcpy(first + pair*side, x + pair, pair*sizeof(float));
      x += 2*pair;
    }
  }
}

/* y[9c] = place (line, at) of x[side*side, c] and its neighbours, zeros beyond the edges, in the
** order (ky, kx, channel). */
static void gather_neighbours(float *y, const float *x, int side, int c, int line, int at){
  int no_left = at==0;                  /* a column is missing */
  int no_right = at==side-1;
  int n_columns = 3 - no_left - no_right;
  size_t bytes = (size_t)c*sizeof(float);
  for(int k=line-1; k<=line+1; k++){
    if( k<0 || k==side ){
      memset(y, 0, 3*bytes);
    }else{
      const float *first = x + ((size_t)k*side + at-1+no_left)*c;
      if( no_left ) memset(y, 0, bytes);
      memcpy(y + no_left*c, first, n_columns*bytes);
      if( no_right ) memset(y + 2*c, 0, bytes);
    }
    y += 3*c;
  }
}

/* w->x += out(silu(conv(norm(w->x)))) */
static void block_run(const struct picture_block *b, struct picture_work *w, int n, int side){
  int c = b->out.w.in;
  int places = side*side;
  int rows = n*places;
  int some = neighbour_rows(c);
  rms_norm(w->y, w->x, b->norm, rows, c, RMS_EPSILON);
  for(int row=0; row<rows; row+=some){
    int count = rows - row<some ? rows - row : some;
    for(int i=0; i<count; i++){
      int picture = (row + i)/places;
      int place = (row + i)%places;
      const float *grid = w->y + (size_t)picture*places*c;
      float *neighbours = w->neighbours + (size_t)i*9*c;
      gather_neighbours(neighbours, grid, side, c, place/side, place%side);
    }
    linear(w->hidden, w->neighbours, &b->conv.w, count, w->panel);
    silu_bias(w->hidden, b->conv.bias, count, c);
    affine(w->neighbours, w->hidden, &b->out, count, w);
    add(w->x + (size_t)row*c, w->neighbours, count*c);
  }
}

/* The blocks of a level. 0: stopped. */
static int blocks_run(const struct picture_block *blocks, int n_blocks, struct picture_work *w,
                      int n, int side, struct worker *worker){
  for(int i=0; i<n_blocks; i++){
    if( worker_stopped(worker) ) return 0;
    block_run(&blocks[i], w, n, side);
  }
  return !worker_stopped(worker);
}

/* ---- Pixels to codes ---- */

/* x[size/2 * size/2, 16]: 2x2 pixels joined. What has no alpha has no colour, whatever the file
** says. */
static void read_pixels(float *x, const unsigned char *pixels, int size){
  for(int line=0; line<size; line+=2){
    for(int at=0; at<size; at+=2){
      for(int k=0; k<4; k++){
        const unsigned char *p = pixels + ((size_t)(line + k/2)*size + at + k%2)*4;
        float alpha = (float)p[3]/255.0f;
        for(int i=0; i<3; i++) x[i] = (float)p[i]/255.0f*alpha;
        x[3] = alpha;
        x += 4;
      }
    }
  }
}

/* ids[rows] of the codes nearest to x[rows, code_width], which is made of unit length. */
static void nearest_codes(const struct model *m, struct run *run, struct picture_work *w, float *x,
                          int rows, int *ids){
  int n_codes = m->config.picture.codes;
  int width = m->config.picture.code_width;
  int some = largest_of(1, SCORES_FLOATS/n_codes);
  for(int i=0; i<rows; i++) normalize(x + (size_t)i*width, width);
  if( run->watch ) run->watch(run->watch_arg, "points", 0, x, rows);
  for(int row=0; row<rows; row+=some){
    int count = rows - row<some ? rows - row : some;
    float *scores = w->neighbours;
    linear(scores, x + (size_t)row*width, &m->codes.nearest, count, w->panel);
    for(int i=0; i<count; i++){
      ids[row+i] = TOKEN_CODE + largest(scores + (size_t)i*n_codes, n_codes);
    }
  }
}

void vqvae_encode(const struct model *m, struct run *run, struct worker *worker,
                  struct picture_work *w, const struct picture *p, int n, int *ids){
  const struct picture_codes *q = &m->codes;
  const struct picture_shape *shape = &m->config.picture;
  int last = PICTURE_LEVELS - 1;
  int side = side_of(m, 0);
  for(int i=0; i<n; i++){
    assert( p[i].width==shape->size && p[i].height==shape->size );
    read_pixels(w->y + (size_t)i*side*side*JOINED, p[i].pixels, shape->size);
  }
  affine(w->x, w->y, &q->in, n*side*side, w);
  for(int level=0; level<=last; level++){
    side = side_of(m, level);
    if( !blocks_run(q->encoder[level], shape->encoder_blocks[level], w, n, side, worker) ) return;
    if( level==last ) break;
    join_places(w->y, w->x, n, side, shape->channels[level]);
    affine(w->x, w->y, &q->down[level], n*side*side/4, w);
  }
  rms_norm(w->y, w->x, q->encoder_norm, n*side*side, shape->channels[last], RMS_EPSILON);
  affine(w->x, w->y, &q->to_code, n*side*side, w);
  nearest_codes(m, run, w, w->x, n*side*side, ids);
}

/* ---- Codes to pixels ---- */

/* 0..255 of x, which may be anything; NaN is 0. */
static unsigned char byte_of(float x){
  if( !(x>0) ) return 0;
  return (unsigned char)(x<1 ? x*255.0f + 0.5f : 255);
}

/* pixels[size * size, 4] of x[size/2 * size/2, 16]. A colour is divided by the alpha that came, not
** by the alpha rounded to 8 bits. */
static void write_pixels(unsigned char *pixels, const float *x, int size){
  for(int line=0; line<size; line+=2){
    for(int at=0; at<size; at+=2){
      for(int k=0; k<4; k++){
        unsigned char *p = pixels + ((size_t)(line + k/2)*size + at + k%2)*4;
        float alpha = x[3]<1 ? x[3] : 1;
        p[3] = byte_of(x[3]);
        for(int i=0; i<3; i++) p[i] = p[3] ? byte_of(x[i]/alpha) : 0;
        x += 4;
      }
    }
  }
}

/* y[n, grid*grid, code_width]: the rows of the codebook. */
static void look_up_codes(const struct model *m, float *y, const struct tokens *rows, int n){
  const struct picture_shape *shape = &m->config.picture;
  int places = shape->grid*shape->grid;
  size_t width = (size_t)shape->code_width;
  for(int i=0; i<n*places; i++){
    int code = rows[i/places].ids[i%places] - TOKEN_CODE;
    assert( code>=0 && code<shape->codes );
    memcpy(y + i*width, m->codes.codebook + code*width, width*sizeof(float));
  }
}

void vqvae_decode(const struct model *m, struct run *run, struct worker *worker,
                  struct picture_work *w, const struct tokens *rows, int n, struct picture *p){
  const struct picture_codes *q = &m->codes;
  const struct picture_shape *shape = &m->config.picture;
  int last = PICTURE_LEVELS - 1;
  int side = shape->grid;
  look_up_codes(m, w->y, rows, n);
  affine(w->x, w->y, &q->from_code, n*side*side, w);
  for(int level=last; level>=0; level--){
    int n_blocks = shape->decoder_blocks[last-level];
    side = side_of(m, level);
    if( !blocks_run(q->decoder[level], n_blocks, w, n, side, worker) ) return;
    if( level==0 ) break;
    affine(w->y, w->x, &q->up[level-1], n*side*side, w);
    part_places(w->x, w->y, n, side, shape->channels[level-1]);
  }
  rms_norm(w->y, w->x, q->decoder_norm, n*side*side, shape->channels[0], RMS_EPSILON);
  affine(w->x, w->y, &q->out, n*side*side, w);
  if( run->watch ) run->watch(run->watch_arg, "pixels", 0, w->x, n*side*side);
  for(int i=0; i<n; i++){
    write_pixels(p[i].pixels, w->x + (size_t)i*side*side*JOINED, shape->size);
  }
}
