/*
** functions_picture.c -- two kinds at once: latent_cross() and latent_image(); and how likely a
** picture is at a point.
**
** s means the same in every kind, r belongs to one kind. So the s of one kind can stand beside the
** r of another. Both functions stand on that:
**
** latent_cross(content, style [, amount [, options]])
**
**    The point of style, its s turned towards content's. amount says how far along the arc: from 0
**    (style's own s) to 1 (content's). It is decoded as what style is.
**
** latent_image(text, seed [, options])
**
**    s is the text's. Nothing says how the picture is drawn, so r is random:
**
**    1. best_of (CANDIDATES) points have the text's s, and an r drawn from the prior, in the order
**       of the seed. Most of the sphere of r lies between styles, so `detail` makes r weak.
**    2. All are decoded in one batch, by sampling. The pictures are encoded again in one batch,
**       from their pixels, as a user's latent_encode() would do it.
**    3. The candidate whose s is now nearest to the text's becomes the PNG.
*/
#include "functions.h"
#include <string.h>

/* Where options set nothing else. */
enum { CANDIDATES = 16 };
static const float IMAGE_DETAIL = 0.3f;
static const float IMAGE_TEMPERATURE = 0.6f;
static const float IMAGE_FLUENCY = 0;
static const float CROSS_FLUENCY = 0;

/* Options of a call in which points of two kinds meet. A kind that they name is that of the result,
** not of the arguments. */
static struct options get_options(struct call *c, int i){
  struct options o = call_options(c, i);
  c->named = 0;
  return o;
}

/* The mean s of a point's segments as one of `width` numbers, of unit length; from the arena. Kinds
** share the first numbers of s. */
static float *mean_s(struct call *c, int width, const struct latent *z){
  float *mean = arena_floats(&c->arena, (size_t)width);
  if( mean ) point_s(mean, width, z, 0, z->n_segments);
  else fail_nomem(&c->err);
  return mean;
}

/* ---- latent_cross(content, style [, amount [, options]]) ---- */

/* out = segment i of style, its s turned towards s by `amount` of the arc. */
static void cross_segment(struct call *c, float *out, const struct latent *style, int i,
                          const float *s, float amount){
  size_t bytes = (size_t)style->width*sizeof(float);
  struct latent from = *style;
  struct latent to = *style;
  struct latent between;
  from.n_segments = to.n_segments = 1;
  from.z = latent_segment(style, i);
  to.z = out;
  memcpy(to.z, from.z, bytes);
  memcpy(to.z, s, (size_t)style->s*sizeof(float));
  if( point_interp(&between, &from, &to, amount, &c->arena, &c->err)==SQLITE_OK ){
    memcpy(out, between.z, bytes);
  }
}

struct latent cross_points(struct call *c, const struct latent *content,
                           const struct latent *style, float amount){
  int is_even = content->n_segments==style->n_segments;
  struct latent z = *style;
  float *s;
  latent_model(c, content);     /* latent_load() may have come in between */
  latent_model(c, style);
  if( c->err.rc!=SQLITE_OK ) return z;
  s = mean_s(c, style->s, content);
  z.z = arena_floats(&c->arena, (size_t)style->n_segments*(size_t)style->width);
  if( z.z==NULL ) fail_nomem(&c->err);
  for(int i=0; i<style->n_segments && c->err.rc==SQLITE_OK; i++){
    if( is_even ) point_s(s, style->s, content, i, i + 1);
    cross_segment(c, latent_segment(&z, i), style, i, s, amount);
  }
  return z;
}

void scalar_cross(struct call *c){
  double amount = c->n_args>2 ? call_number(c, 2, "amount", 0, 1) : 1;
  struct options o = get_options(c, 3);
  struct latent content, style, z;
  if( !o.decode.has_fluency ) o.decode.fluency = CROSS_FLUENCY;
  content = call_point(c, 0, "content");
  style = call_point(c, 1, "style");
  z = cross_points(c, &content, &style, (float)amount);
  if( c->err.rc==SQLITE_OK ){
    call_writer(c, latent_model(c, &z), &o, amount>0, z.n_segments);
  }
  result_content(c, &z, &o);
}

/* ---- latent_image(text, seed [, options]) ---- */

struct image {
  struct model *m;
  const float *s;               /* [s]: the text's, of unit length */
  int n;                        /* candidates */
  float *z;                     /* [n, s+r] */
};

/* Draws the candidates. */
static void image_begin(struct call *c, const struct latent *text, uint64_t seed, struct image *g){
  size_t width;
  latent_model(c, text);        /* latent_load() may have come in between */
  g->m = call_model_of(c, KIND_PICTURE, 0);
  if( c->err.rc!=SQLITE_OK ) return;
  width = (size_t)model_width(g->m);
  g->s = mean_s(c, model_s(g->m), text);
  g->z = arena_floats(&c->arena, (size_t)g->n*width);
  if( c->arena.oom ) fail_nomem(&c->err);
  for(int i=0; i<g->n && c->err.rc==SQLITE_OK; i++){
    float *z = g->z + (size_t)i*width;
    struct latent drawn;
    if( point_sample(&drawn, decode_seed(seed, i), g->m, &c->arena, &c->err)!=SQLITE_OK ) return;
    memcpy(z, drawn.z, width*sizeof(float));
    memcpy(z, g->s, (size_t)drawn.s*sizeof(float));
  }
}

/* The candidate whose pixels, encoded again, lie nearest to what is asked for; the first of equal
** ones. */
static const struct tokens *choose(struct call *c, const struct image *g,
                                   const struct tokens *rows){
  int s = model_s(g->m);
  size_t width = (size_t)model_width(g->m);
  float *again = arena_floats(&c->arena, (size_t)g->n*width);
  float most = -2;
  int best = 0;
  if( again==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK || g->n==1 ) return rows;
  if( tokens_encode(g->m, &c->run, rows, NULL, g->n, 0, again)!=SQLITE_OK ) return rows;
  for(int i=0; i<g->n; i++){
    float cosine = point_cosine(again + (size_t)i*width, g->s, s);
    if( cosine<=most ) continue;
    most = cosine;
    best = i;
  }
  return &rows[best];
}

static void give_image(struct call *c, const struct image *g, struct decode_options *o){
  struct tokens *rows = arena_get(&c->arena, (size_t)g->n*sizeof(*rows));
  const struct tokens *best = rows;
  struct buf png = call_buf(c);
  struct picture p;
  if( rows==NULL ) fail_nomem(&c->err);
  o->best_of = 1;               /* choose() chooses, by s alone */
  if( c->err.rc==SQLITE_OK ) decode_tokens(g->m, &c->run, g->z, g->n, o, rows);
  if( c->err.rc==SQLITE_OK ) best = choose(c, g, rows);
  if( c->err.rc==SQLITE_OK ) tokens_pictures(g->m, &c->run, best, 1, &p);
  if( c->err.rc==SQLITE_OK ) png_write(&png, &p, &c->err);
  result_blob(c, &png);
}

void scalar_image(struct call *c){
  uint64_t seed = (uint64_t)call_integer(c, 1, "seed", INT64_MIN, INT64_MAX);
  struct options o = get_options(c, 2);
  struct decode_options *decode = &o.decode;
  struct image g = { .n = decode->has_best_of ? decode->best_of : CANDIDATES };
  struct latent text;
  if( !decode->has_fluency ) decode->fluency = IMAGE_FLUENCY;
  if( !decode->has_detail ) decode->detail = IMAGE_DETAIL;
  if( !decode->has_temperature ) decode->temperature = IMAGE_TEMPERATURE;
  if( !decode->has_seed ) decode->seed = seed;
  text = call_point(c, 0, "text");
  image_begin(c, &text, seed, &g);
  if( c->err.rc==SQLITE_OK ) give_image(c, &g, decode);
}

/* ---- latent_score() of a picture ---- */

/* Its codes are scored as a text's tokens are. */
static float picture_score(struct call *c, const struct model *m, const struct content *content,
                           const char *what, const struct latent *z){
  int n = m->config.shape.longest - 1;
  int start[2] = { 0, n };
  int *ids = arena_get(&c->arena, (size_t)n*sizeof(*ids));
  int size = m->config.picture.size;
  struct picture p = { size, size, arena_get(&c->arena, (size_t)size*(size_t)size*4) };
  struct err *e = &c->err;
  float sum = 0;
  if( c->arena.oom ) fail_nomem(e);
  if( z->n_segments!=1 ){
    fail(e, SQLITE_ERROR, "a latent of %d segments, expected 1: a picture is one segment",
         z->n_segments);
  }
  if( e->rc!=SQLITE_OK ) return 0;
  if( content_picture(m, &c->run, content, what, &p)!=SQLITE_OK ) return 0;
  if( pictures_tokens(m, &c->run, &p, 1, ids)!=SQLITE_OK ) return 0;
  score_tokens(m, &c->run, z->z, ids, start, 1, &sum, NULL, NULL);
  return sum/(float)n;
}

float content_score(struct call *c, const struct model *m, const struct content *content,
                    const char *what, const struct latent *z){
  float mean = 0;
  if( c->err.rc!=SQLITE_OK ) return 0;
  if( m->config.kind==KIND_PICTURE ) return picture_score(c, m, content, what, z);
  text_score(m, &c->run, content->bytes, content->n, z, &mean);
  return mean;
}
