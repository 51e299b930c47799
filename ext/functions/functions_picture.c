/*
** functions_picture.c -- two kinds at once: latent_cross() and latent_image(); and how likely a picture is at a point.
**
** s means the same in every kind, r belongs to one. So a point of one kind may take its s from another kind, and that is all there is to both functions:
**
**   latent_cross(content, style [, amount [, options]])   style's point, its s turned towards content's: amount says how far along the arc, 0 (as it was) to 1
**   (content's). Decoded as what style is.
**   latent_image(text, seed [, options])                  s is the text's; nobody says how the picture is drawn, so r is:
**     1. best_of (CANDIDATES) points: the asked s, and for each an r drawn from the prior, in the order of the seed. detail makes r weak, since most
**        of the sphere of r lies between styles.
**     2. All are decoded in one batch, by sampling, and what they look like is encoded again in one batch: codes to pixels to codes, as a user's own
**        latent_encode() would see them.
**     3. Kept is the candidate whose s lies nearest to the asked one: its pixels become a PNG.
*/
#include "functions.h"
#include <string.h>

/* What latent_image() does where options say nothing. */
static const int CANDIDATES = 16;
static const float IMAGE_DETAIL = 0.3f, IMAGE_TEMPERATURE = 0.6f, IMAGE_FLUENCY = 0;
static const float CROSS_FLUENCY = 0;

/* Options of a call in which points of two kinds meet: the kind they name is that of the result. */
static struct options get_options(struct call *c, int i){
  struct options o = call_options(c, i);
  c->named = 0;
  return o;
}

/* s[z->s]: the mean s of a point's segments, of unit length; from the arena. */
static float *mean_s(struct call *c, const struct latent *z){
  float *mean = arena_floats(&c->arena, (size_t)z->width);
  if( mean ) point_mean(mean, z);
  else fail_nomem(&c->err);
  return mean;
}

/* ---- latent_cross(content, style [, amount [, options]]) ---- */

/* out = segment i of style, its s turned towards s by `amount` of the arc. */
static void cross_segment(struct call *c, float *out, const struct latent *style, int i, const float *s,
                          float amount){
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

/* Segment by segment where both have as many. Else every segment of style turns to the mean s of all of
** content. */
static struct latent cross(struct call *c, const struct latent *content, const struct latent *style,
                           float amount){
  const struct model *content_model = latent_model(c, content);
  const struct model *style_model = latent_model(c, style);
  int is_even = content->n_segments==style->n_segments;
  struct latent z = *style;
  const float *mean;
  check_widths(c, content_model, style_model);
  if( c->err.rc!=SQLITE_OK ) return z;
  mean = mean_s(c, content);
  z.z = arena_floats(&c->arena, (size_t)style->n_segments*(size_t)style->width);
  if( z.z==NULL ) fail_nomem(&c->err);
  for(int i=0; i<style->n_segments && c->err.rc==SQLITE_OK; i++){
    const float *s = is_even ? latent_segment(content, i) : mean;
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
  z = cross(c, &content, &style, (float)amount);
  result_content(c, &z, &o);
}

/* ---- latent_image(text, seed [, options]) ---- */

struct image {
  struct model *m;
  const float *s;               /* [s]: what is asked for */
  int n;                        /* candidates */
  float *z;                     /* [n, s+r] */
};

static void image_begin(struct call *c, const struct latent *text, uint64_t seed, struct image *g){
  const struct model *text_model = latent_model(c, text);
  size_t width;
  g->m = call_model_of(c, KIND_PICTURE, 0);
  check_widths(c, text_model, g->m);
  if( c->err.rc!=SQLITE_OK ) return;
  width = (size_t)(g->m->config.shape.s + g->m->config.shape.r);
  g->s = mean_s(c, text);
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

/* The candidate whose codes say best what is asked for; the first of equal ones. */
static int choose(struct call *c, const struct image *g, const struct tokens *rows, int *best){
  int n_s = g->m->config.shape.s, width = n_s + g->m->config.shape.r;
  float *again = arena_floats(&c->arena, (size_t)g->n*(size_t)width), most = -2;
  *best = 0;
  if( !again ) return fail_nomem(&c->err);
  if( g->n==1 || tokens_encode(g->m, &c->run, rows, g->n, 0, again)!=SQLITE_OK ) return c->err.rc;
  for(int i=0; i<g->n; i++){
    float near = point_cosine(again + (size_t)i*(size_t)width, g->s, n_s);
    if( near<=most ) continue;
    most = near;
    *best = i;
  }
  return SQLITE_OK;
}

static void give_image(struct call *c, const struct image *g, struct decode_options *o){
  struct tokens *rows = arena_get(&c->arena, (size_t)g->n*sizeof(*rows));
  struct buf png = call_buf(c);
  struct picture p;
  int best;
  if( !rows ){ fail_nomem(&c->err); return; }
  o->best_of = 1;               /* the choice is made here, by s alone */
  if( decode_tokens(g->m, &c->run, g->z, g->n, o, rows)==SQLITE_OK && choose(c, g, rows, &best)==SQLITE_OK
   && tokens_pictures(g->m, &c->run, &rows[best], 1, &p)==SQLITE_OK ){
    png_write(&png, &p, &c->err);
  }
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

/* Its codes, as a text's tokens. */
static float picture_score(struct call *c, const struct model *m, const struct content *content,
                           const char *what, const struct latent *z){
  int n = m->config.shape.longest - 1;
  int start[2] = { 0, n };
  int *ids = arena_get(&c->arena, (size_t)n*sizeof(*ids));
  struct picture came, p;
  struct err *e = &c->err;
  float sum = 0;
  if( ids==NULL ) fail_nomem(e);
  if( z->n_segments!=1 ){
    fail(e, SQLITE_ERROR, "a latent of %d segments, expected 1: a picture is one segment",
         z->n_segments);
  }
  if( e->rc!=SQLITE_OK ) return 0;
  if( picture_read(&came, content->bytes, content->n, &c->arena, what, e)!=SQLITE_OK ) return 0;
  if( picture_fit(&p, &came, m->config.picture.size, &c->arena, e)!=SQLITE_OK ) return 0;
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
