/*
** model_convolve.c -- the network between pixels and points, for a few pictures at a time.
**
** A row is a pixel or a place of a grid, from top left to bottom right, its channels side by side.
** So every step is a matrix product over rows (model/picture_model.py is the plain definition).
** Sides are those of 64x64 pixels; c0 to c3 are the channels of the four levels:
**
**   encode   pixels [64*64, 4], premultiplied by alpha, 0..1
**            2x2 joined . in                        -> [32*32, c0], blocks
**            2x2 joined . down[0]                   -> [16*16, c1], blocks
**            2x2 joined . down[1]                   -> [8*8, c2],   blocks
**            2x2 joined . down[2]                   -> [4*4, c3],   blocks
**            norm, all places side by side          -> flat [16*c3]
**            s = unit(silu(flat . to_hidden) . to_s)
**            r = unit(flat . to_r)
**   decode   [s * sqrt(s's width) ; r * sqrt(r's width)] . from_z
**                                                   -> [4*4, c3],   blocks
**            . up[2], taken apart into 2x2          -> [8*8, c2],   blocks
**            . up[1], taken apart                   -> [16*16, c1], blocks
**            . up[0], taken apart                   -> [32*32, c0], blocks
**            norm . out, taken apart                -> [64*64, 4], cut to 0..1
**            divided by alpha, 8 bits
**   block    x + out(silu(conv(norm(x))))
**            conv is 3x3 with zeros around: each place's nine neighbours, side by side (im2col),
**            times a matrix
**
** The nine neighbours of all places would take nine times the memory of the grid. They are laid out
** for some rows at a time, which stay in the second-level cache for the product that reads them.
** Several pictures go together, so that the last level, of 16 places, has rows enough for a
** product. Each number of a result is one chain of sums, whatever is computed beside it
** (kernels.h).
*/
#include "model.h"
#include <assert.h>
#include <string.h>

enum {
  NEIGHBOURS_FLOATS = (384<<10)/4,      /* laid out at a time */
  JOINED = 16                           /* numbers of 2x2 pixels */
};

/* ---- Sizes and scratch ---- */

/* Side of a level's grid: a half, a quarter, an eighth, a sixteenth of the picture's. */
static int side_of(const struct model *m, int level){
  return m->config.picture.size >> (level + 1);
}

/* Numbers of the last grid. */
static int flat_of(const struct model *m){
  int last = PICTURE_LEVELS - 1;
  return side_of(m, last)*side_of(m, last)*m->config.picture.channels[last];
}

/* Floats of one picture's widest grid, of the pixels that it comes from or goes to, and of what
** lies between the grids and a point. */
static size_t widest_grid(const struct model *m){
  const struct picture_shape *p = &m->config.picture;
  size_t most = (size_t)p->size*(size_t)p->size*4;
  size_t others[] = { (size_t)p->hidden, (size_t)model_width(m) };
  for(int i=0; i<PICTURE_LEVELS; i++){
    size_t side = (size_t)side_of(m, i);
    size_t n = side*side*(size_t)p->channels[i];
    if( n>most ) most = n;
  }
  for(int i=0; i<2; i++) most = others[i]>most ? others[i] : most;
  return most;
}

static int widest_channels(const struct model *m){
  int most = 0;
  for(int i=0; i<PICTURE_LEVELS; i++) most = largest_of(most, m->config.picture.channels[i]);
  return most;
}

/* The most numbers that enter a matrix. */
static int widest_input(const struct model *m){
  int most = largest_of(9*widest_channels(m), flat_of(m));
  most = largest_of(most, largest_of(m->config.picture.hidden, model_width(m)));
  return largest_of(JOINED, most);
}

/* Rows of 9c that are laid out at a time. */
static int neighbour_rows(int c){
  return largest_of(1, NEIGHBOURS_FLOATS/(9*c));
}

void picture_work_init(struct picture_work *w, const struct model *m, int pictures,
                       struct arena *a){
  size_t grid = widest_grid(m)*(size_t)pictures;
  int c = widest_channels(m);
  w->x = arena_floats(a, grid);
  w->y = arena_floats(a, grid);
  w->neighbours = arena_floats(a, (size_t)(NEIGHBOURS_FLOATS + 9*c));
  w->hidden = arena_floats(a, (size_t)(NEIGHBOURS_FLOATS/9 + c));
  w->panel = arena_floats(a, LINEAR_SCRATCH(widest_input(m)));
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

/* ---- Pixels to points ---- */

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

/* s and r of flat w->y[n, flat] -> z[n, s+r]. w->x is scratch. */
static void read_points(const struct model *m, struct picture_work *w, int n, float *z){
  const struct picture_net *q = &m->picture;
  size_t s = (size_t)model_s(m);
  size_t r = (size_t)m->config.shape.r;
  int hidden = m->config.picture.hidden;
  affine(w->x, w->y, &q->to_r, n, w);
  for(int i=0; i<n; i++){
    float *own = z + i*(s + r) + s;
    memcpy(own, w->x + i*r, r*sizeof(float));
    normalize(own, (int)r);
  }
  linear(w->x, w->y, &q->to_hidden.w, n, w->panel);
  silu_bias(w->x, q->to_hidden.bias, n, hidden);
  affine(w->y, w->x, &q->to_s, n, w);
  for(int i=0; i<n; i++){
    float *own = z + i*(s + r);
    memcpy(own, w->y + i*s, s*sizeof(float));
    normalize(own, (int)s);
  }
}

void convolve_encode(const struct model *m, struct worker *worker, struct picture_work *w,
                     const struct picture *p, int n, float *z){
  const struct picture_net *q = &m->picture;
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
  read_points(m, w, n, z);
}

/* ---- Points to pixels ---- */

/* 0..255 of x, which may be anything; NaN is 0. */
static unsigned char byte_of(float x){
  if( !(x>0) ) return 0;
  return (unsigned char)(x<1 ? x*255.0f + 0.5f : 255);
}

/* A colour is divided by the alpha that came, not by the alpha rounded to 8 bits. */
void convolve_pixels(const struct model *m, const float *x, struct picture *p){
  int size = m->config.picture.size;
  for(int line=0; line<size; line+=2){
    for(int at=0; at<size; at+=2){
      for(int k=0; k<4; k++){
        unsigned char *pixel = p->pixels + ((size_t)(line + k/2)*size + at + k%2)*4;
        float alpha = x[3]<1 ? x[3] : 1;
        pixel[3] = byte_of(x[3]);
        for(int i=0; i<3; i++) pixel[i] = pixel[3] ? byte_of(x[i]/alpha) : 0;
        x += 4;
      }
    }
  }
}

void convolve_decode(const struct model *m, struct run *run, struct worker *worker,
                     struct picture_work *w, const float *z, int n){
  const struct picture_net *q = &m->picture;
  const struct picture_shape *shape = &m->config.picture;
  int last = PICTURE_LEVELS - 1;
  int side = side_of(m, last);
  affine(w->x, z, &q->from_z, n, w);
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
}
