/*
** model_picture.c -- pictures to codes and back: the VQ-VAE of a model of kind picture.
**
** Rows are pixels or places of a grid, from top left to bottom right, channels last, so that every step is a matrix product over rows
** (model/picture_codes.py is the plain definition). Sides are for 64x64, c0, c1, c2 the channels of the three levels:
**
**   encode   pixels [64*64, 4], premultiplied by alpha, 0..1
**            2x2 joined . in                        -> [32*32, c0], blocks
**            2x2 joined . down[0]                   -> [16*16, c1], blocks
**            2x2 joined . down[1]                   -> [8*8, c2],   blocks
**            unit(norm . to_code)                   -> [64, code_width]; the code of the nearest row of the codebook, of equals the first
**   decode   rows of the codebook . from_code       -> [8*8, c2],   blocks
**            . up[1], taken apart into 2x2          -> [16*16, c1], blocks
**            . up[0], taken apart                   -> [32*32, c0], blocks
**            norm . out, taken apart                -> [64*64, 4], cut to 0..1, divided by alpha, 8 bits
**   block    x + out(silu(conv(norm(x)))), conv 3x3 with zeros around: each place's nine neighbours side by side (im2col), times a matrix
**
** The nine neighbours of all places would be nine times the grid: they are laid out for some rows at a time, which stay in the
** second-level cache for the product that reads them. A few pictures go together, so that their last level, 64 places, has rows enough for a product.
** Each number of a result is one chain of sums, whatever is computed beside it (kernels.h).
**
** Measured (AMD EPYC Zen 5, one core, 256 pictures; 32, 64 and 160 channels, [1, 1, 3] and [4, 2, 2] blocks): AVX-512 1,230 encoded and 830 decoded a
** second, AVX2 700 and 460; more than four fifths of the time is in the products. Pieces of 128 KB were 6% slower, 2 or 8 pictures together the same.
*/
#include "model.h"
#include <string.h>

#define TOGETHER 4                      /* pictures of a chunk */
#define NEIGHBOURS_BYTES (384<<10)      /* of the rows laid out at a time */
#define SCORES_FLOATS (64<<10)          /* likenesses to codes held at a time */

struct sketch {                         /* scratch of one worker */
  float *x;                             /* [rows, channels] of a level: what the blocks add to */
  float *y;                             /* as much: normed, joined or taken apart */
  float *neighbours;                    /* some rows of [9c]; likenesses to codes */
  float *hidden;                        /* the same rows, [c] */
  float *panel;                         /* LINEAR_SCRATCH of the widest matrix */
};
struct drawing {                        /* one call */
  const struct model *m;
  struct run *run;
  int n, together;                      /* pictures in all, and in a chunk */
  struct sketch *sketches;              /* one a worker */
  const struct picture *from;           /* encoding */
  int *ids;
  const struct tokens *rows;            /* decoding */
  struct picture *to;
};

static int largest_of(int a, int b){ return a>b ? a : b; }

/* Side of a level's grid: a half, a quarter, an eighth of the picture's. */
static int side_of(const struct model *m, int level){ return m->config.picture.size>>(level+1); }

/* Floats of one picture's widest grid, and of the pixels it comes from or goes to. */
static size_t widest_grid(const struct model *m){
  const struct picture_shape *p = &m->config.picture;
  size_t most = (size_t)p->size*p->size*4;
  for(int i=0; i<PICTURE_LEVELS; i++){
    size_t side = side_of(m, i), n = side*side*p->channels[i];
    if( n>most ) most = n;
  }
  return most>(size_t)p->grid*p->grid*p->code_width ? most : (size_t)p->grid*p->grid*p->code_width;
}

static int widest_channels(const struct model *m){
  const int *c = m->config.picture.channels;
  return largest_of(c[0], largest_of(c[1], c[2]));
}

/* Rows of 9c that are laid out at a time. */
static int neighbour_rows(int c){ return largest_of(1, NEIGHBOURS_BYTES/(int)sizeof(float)/(9*c)); }

static void sketch_init(struct sketch *s, const struct model *m, int together, struct arena *a){
  size_t grid = widest_grid(m)*together, c = widest_channels(m);
  int codes = m->config.picture.codes, width = largest_of(16, largest_of((int)(9*c), m->config.picture.code_width));
  s->x = arena_floats(a, grid);
  s->y = arena_floats(a, grid);
  s->neighbours = arena_floats(a, largest_of(NEIGHBOURS_BYTES/(int)sizeof(float) + (int)(9*c), largest_of(SCORES_FLOATS, codes)));
  s->hidden = arena_floats(a, NEIGHBOURS_BYTES/sizeof(float)/9 + c);
  s->panel = arena_floats(a, LINEAR_SCRATCH(width));
}

/* y[rows, out] = x[rows, in] . w + bias */
static void affine(float *y, const float *x, const struct affine *a, int rows, struct sketch *s){
  linear(y, x, &a->w, rows, s->panel);
  add_bias(y, a->bias, rows, a->w.out);
}

/* ---- Grids: n of side x side places with c channels each ---- */

/* y = 2x2 places of x joined: [n * side/2 * side/2, 4c], in the order (dy, dx, channel). */
static void join_places(float *y, const float *x, int n, int side, int c){
  size_t pair = (size_t)2*c;
  for(int row=0; row<n*side; row+=2){                           /* sides are even, so a pair of rows is one picture's */
    for(int at=0; at<side; at+=2, y+=2*pair){
      const float *first = x + ((size_t)row*side + at)*c;
      memcpy(y, first, pair*sizeof(float));
      memcpy(y + pair, first + (size_t)side*c, pair*sizeof(float));
    }
  }
}

/* The inverse: x[n * side * side, 4c] -> y[n * 2side * 2side, c]. */
static void part_places(float *y, const float *x, int n, int side, int c){
  size_t pair = (size_t)2*c;
  for(int row=0; row<n*side; row++){
    for(int at=0; at<side; at++, x+=2*pair){
      float *first = y + ((size_t)row*4*side + 2*at)*c;
      memcpy(first, x, pair*sizeof(float));
      memcpy(first + pair*side, x + pair, pair*sizeof(float));
    }
  }
}

/* y[9c] = place (row, at) of x[side*side, c] and its neighbours, zeros beyond the edges, in the order (ky, kx, channel). */
static void gather_neighbours(float *y, const float *x, int side, int c, int row, int at){
  int left = at==0, right = at==side-1;                         /* columns missing */
  size_t n = (size_t)c*sizeof(float);
  for(int k=row-1; k<=row+1; k++, y+=3*c){
    if( k<0 || k==side ){
      memset(y, 0, 3*n);
      continue;
    }
    if( left ) memset(y, 0, n);
    memcpy(y + left*c, x + ((size_t)k*side + at-1+left)*c, (3-left-right)*n);
    if( right ) memset(y + 2*c, 0, n);
  }
}

/* x += out(silu(conv(norm(x)))) */
static void block_run(const struct picture_block *b, struct sketch *s, int n, int side){
  int c = b->out.w.in, places = side*side, rows = n*places, some = neighbour_rows(c);
  rms_norm(s->y, s->x, b->norm, rows, c);
  for(int row=0; row<rows; row+=some){
    int count = rows-row<some ? rows-row : some;
    float *x = s->x + (size_t)row*c;
    for(int i=0; i<count; i++){
      int picture = (row+i)/places, place = (row+i)%places;
      gather_neighbours(s->neighbours + (size_t)i*9*c, s->y + (size_t)picture*places*c, side, c, place/side, place%side);
    }
    linear(s->hidden, s->neighbours, &b->conv.w, count, s->panel);
    silu_bias(s->hidden, b->conv.bias, count, c);
    affine(s->neighbours, s->hidden, &b->out, count, s);
    add(x, s->neighbours, count*c);
  }
}

/* Blocks of a level; 0 when stopped. */
static int blocks_run(const struct picture_block *blocks, int n_blocks, struct sketch *s, int n, int side, struct worker *worker){
  for(int i=0; i<n_blocks; i++){
    if( worker_stopped(worker) ) return 0;
    block_run(&blocks[i], s, n, side);
  }
  return !worker_stopped(worker);
}

/* ---- Pixels to codes ---- */

/* x[size/2 * size/2, 16]: 2x2 pixels joined. Zero alpha has no colour, whatever the file says. */
static void read_pixels(float *x, const unsigned char *pixels, int size){
  for(int row=0; row<size; row+=2){
    for(int at=0; at<size; at+=2){
      for(int k=0; k<4; k++, x+=4){
        const unsigned char *p = pixels + ((size_t)(row + k/2)*size + at + k%2)*4;
        float alpha = (float)p[3]/255.0f;
        for(int i=0; i<3; i++) x[i] = (float)p[i]/255.0f*alpha;
        x[3] = alpha;
      }
    }
  }
}

/* ids[rows] of the nearest codes to x[rows, code_width]. */
static void nearest_codes(const struct drawing *d, struct sketch *s, int *ids, float *x, int rows){
  const struct picture_shape *p = &d->m->config.picture;
  int some = largest_of(1, SCORES_FLOATS/p->codes);
  for(int i=0; i<rows; i++) normalize(x + (size_t)i*p->code_width, p->code_width);
  if( d->run->watch ) d->run->watch(d->run->watch_arg, "points", 0, x, rows);
  for(int row=0; row<rows; row+=some){
    int count = rows-row<some ? rows-row : some;
    linear(s->neighbours, x + (size_t)row*p->code_width, &d->m->codes.nearest, count, s->panel);
    for(int i=0; i<count; i++) ids[row+i] = TOKEN_CODE + largest(s->neighbours + (size_t)i*p->codes, p->codes);
  }
}

static void encode_chunk(void *arg, struct worker *worker, int chunk){
  struct drawing *d = arg;
  const struct model *m = d->m;
  const struct picture_codes *q = &m->codes;
  const struct picture_shape *p = &m->config.picture;
  struct sketch *s = &d->sketches[worker->at];
  int first = chunk*d->together, n = d->n-first<d->together ? d->n-first : d->together, side = side_of(m, 0);
  for(int i=0; i<n; i++) read_pixels(s->y + (size_t)i*side*side*16, d->from[first+i].pixels, p->size);
  affine(s->x, s->y, &q->in, n*side*side, s);
  for(int level=0; level<PICTURE_LEVELS; level++){
    side = side_of(m, level);
    if( !blocks_run(q->encoder[level], p->encoder_blocks[level], s, n, side, worker) ) return;
    if( level==PICTURE_LEVELS-1 ) break;
    join_places(s->y, s->x, n, side, p->channels[level]);
    affine(s->x, s->y, &q->down[level], n*side*side/4, s);
  }
  rms_norm(s->y, s->x, q->encoder_norm, n*side*side, p->channels[PICTURE_LEVELS-1]);
  affine(s->x, s->y, &q->to_code, n*side*side, s);
  nearest_codes(d, s, d->ids + (size_t)first*side*side, s->x, n*side*side);
}

/* ---- Codes to pixels ---- */

/* 0..255 of x, which may be anything; NaN is 0. */
static unsigned char byte_of(float x){
  return x>0 ? (unsigned char)(x<1 ? x*255.0f + 0.5f : 255) : 0;
}

/* pixels[size * size, 4] of x[size/2 * size/2, 16]. A colour is divided by the alpha as it came, not by the one rounded to 8 bits. */
static void write_pixels(unsigned char *pixels, const float *x, int size){
  for(int row=0; row<size; row+=2){
    for(int at=0; at<size; at+=2){
      for(int k=0; k<4; k++, x+=4){
        unsigned char *p = pixels + ((size_t)(row + k/2)*size + at + k%2)*4;
        float alpha = x[3]<1 ? x[3] : 1;
        p[3] = byte_of(x[3]);
        for(int i=0; i<3; i++) p[i] = p[3] ? byte_of(x[i]/alpha) : 0;
      }
    }
  }
}

static void decode_chunk(void *arg, struct worker *worker, int chunk){
  struct drawing *d = arg;
  const struct model *m = d->m;
  const struct picture_codes *q = &m->codes;
  const struct picture_shape *p = &m->config.picture;
  struct sketch *s = &d->sketches[worker->at];
  int first = chunk*d->together, n = d->n-first<d->together ? d->n-first : d->together, places = p->grid*p->grid, side = p->grid;
  for(int i=0; i<n*places; i++){
    int code = d->rows[first + i/places].ids[i%places] - TOKEN_CODE;
    memcpy(s->y + (size_t)i*p->code_width, q->codebook + (size_t)code*p->code_width, (size_t)p->code_width*sizeof(float));
  }
  affine(s->x, s->y, &q->from_code, n*places, s);
  for(int level=PICTURE_LEVELS-1; level>=0; level--){
    side = side_of(m, level);
    if( !blocks_run(q->decoder[level], p->decoder_blocks[PICTURE_LEVELS-1-level], s, n, side, worker) ) return;
    if( level==0 ) break;
    affine(s->y, s->x, &q->up[level-1], n*side*side, s);
    part_places(s->x, s->y, n, side, p->channels[level-1]);
  }
  rms_norm(s->y, s->x, q->decoder_norm, n*side*side, p->channels[0]);
  affine(s->x, s->y, &q->out, n*side*side, s);
  if( d->run->watch ) d->run->watch(d->run->watch_arg, "pixels", 0, s->x, n*side*side);
  for(int i=0; i<n; i++) write_pixels(d->to[first+i].pixels, s->x + (size_t)i*side*side*16, p->size);
}

/* ---- Many pictures ---- */

static int check_kind(const struct model *m, struct err *e){
  if( m->config.kind==KIND_PICTURE ) return SQLITE_OK;
  return fail(e, SQLITE_ERROR, "a model of kind %s has no pictures, expected one of kind picture", kind_name(m->config.kind));
}

static int draw(struct drawing *d, void (*work)(void *, struct worker *, int)){
  struct arena *a = d->run->arena;
  struct arena_mark mark = arena_mark(a);
  int n_workers, n_chunks, each = (d->n + d->run->n_threads-1)/d->run->n_threads;
  d->together = each<TOGETHER ? each : TOGETHER;
  n_chunks = (d->n + d->together-1)/d->together;
  n_workers = d->run->n_threads<n_chunks ? d->run->n_threads : n_chunks;
  d->sketches = arena_get(a, (size_t)n_workers*sizeof(struct sketch));
  if( a->oom ) return fail_nomem(d->run->err);
  for(int i=0; i<n_workers; i++) sketch_init(&d->sketches[i], d->m, d->together, a);
  if( a->oom ) return fail_nomem(d->run->err);
  run_chunks(d->run, n_workers, n_chunks, work, d);
  arena_rewind(a, mark);
  return d->run->err->rc;
}

int pictures_tokens(const struct model *m, struct run *run, const struct picture *p, int n, int *ids){
  struct drawing d = { .m = m, .run = run, .n = n, .from = p, .ids = ids };
  int size = m->config.picture.size;
  if( check_kind(m, run->err) ) return run->err->rc;
  for(int i=0; i<n; i++){
    if( p[i].width==size && p[i].height==size ) continue;
    return fail(run->err, SQLITE_ERROR, "a picture of %dx%d pixels, expected %dx%d", p[i].width, p[i].height, size, size);
  }
  return n>0 ? draw(&d, encode_chunk) : SQLITE_OK;
}

static int check_codes(const struct model *m, const struct tokens *row, struct err *e){
  const struct picture_shape *p = &m->config.picture;
  if( row->n!=p->grid*p->grid ) return fail(e, SQLITE_ERROR, "a picture of %d codes, expected %d", row->n, p->grid*p->grid);
  for(int i=0; i<row->n; i++){
    int code = row->ids[i] - TOKEN_CODE;
    if( code<0 || code>=p->codes ) return fail(e, SQLITE_ERROR, "code %d of a picture is %d, expected 0 to %d", i, code, p->codes-1);
  }
  return SQLITE_OK;
}

int tokens_pictures(const struct model *m, struct run *run, const struct tokens *rows, int n, struct picture *p){
  struct drawing d = { .m = m, .run = run, .n = n, .rows = rows, .to = p };
  int size = m->config.picture.size;
  memset(p, 0, (size_t)n*sizeof(*p));
  if( check_kind(m, run->err) ) return run->err->rc;
  for(int i=0; i<n; i++){
    if( check_codes(m, &rows[i], run->err) ) return run->err->rc;
    p[i] = (struct picture){ size, size, arena_get(run->arena, (size_t)size*size*4) };
  }
  if( run->arena->oom ) return fail_nomem(run->err);
  return n>0 ? draw(&d, decode_chunk) : SQLITE_OK;
}
