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

/* ---- Arguments ---- */

/* Options of a call in which points of two kinds meet: the kind they name, if any, is that of the result. */
static int get_options(struct call *c, int n, sqlite3_value **args, int i, struct options *o){
  if( call_options(c, n, args, i, o)!=SQLITE_OK ) return 0;
  c->named = 0;
  return 1;
}

static int get_point(struct call *c, sqlite3_value **args, int i, const char *what, struct latent *z){
  int is_null;
  return call_point(c, args, i, z, &is_null)==SQLITE_OK && check_point(c, z, what)==SQLITE_OK;
}

/* s[*width]: the mean s of a point's segments, of unit length; from the arena. */
static float *mean_s(struct call *c, const struct latent *z, const struct model *m){
  float *mean = arena_floats(&c->arena, (size_t)z->width);
  if( mean ) point_mean(mean, z, m->config.shape.s);
  else fail_nomem(&c->err);
  return mean;
}

/* ---- latent_cross(content, style [, amount [, options]]) ---- */

/* One segment of style, from[width], with its s turned to s: along the arc, by amount. */
static int cross_segment(struct call *c, float *out, const struct latent *style, const float *from, const float *s, int n_s, float amount){
  size_t bytes = (size_t)style->width*sizeof(float);
  struct latent a = *style, b = *style, between;
  a.n_segments = b.n_segments = 1;
  a.z = (float*)from;
  b.z = out;
  memcpy(out, from, bytes);
  memcpy(out, s, (size_t)n_s*sizeof(float));
  if( point_interp(&between, &a, &b, amount, n_s, &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
  memcpy(out, between.z, bytes);
  return SQLITE_OK;
}

/* Segment by segment where both have as many; else the mean s of all of content goes to every segment of style. */
static int cross(struct call *c, struct latent *z, const struct latent *content, const struct latent *style, float amount){
  size_t width = (size_t)style->width;
  const float *mean;
  struct model *a, *b;
  if( latent_model(c, content, &a)!=SQLITE_OK || latent_model(c, style, &b)!=SQLITE_OK || check_widths(c, a, b)!=SQLITE_OK ) return c->err.rc;
  if( !(mean = mean_s(c, content, a)) ) return c->err.rc;
  *z = *style;
  z->z = arena_floats(&c->arena, (size_t)style->n_segments*width);
  if( !z->z ) return fail_nomem(&c->err);
  for(int i=0; i<style->n_segments && c->err.rc==SQLITE_OK; i++){
    const float *s = content->n_segments==style->n_segments ? content->z + (size_t)i*(size_t)content->width : mean;
    cross_segment(c, z->z + (size_t)i*width, style, style->z + (size_t)i*width, s, b->config.shape.s, amount);
  }
  return c->err.rc;
}

void scalar_cross(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent content, style, z;
  struct options o;
  double amount = 1;
  if( has_null(n, args, 3) ) return;
  call_begin(&c, context, n, args);
  if( n>2 && call_number(&c, args, 2, "amount", 0, 1, &amount)!=SQLITE_OK ) goto done;
  if( !get_options(&c, n, args, 3, &o) ) goto done;
  if( !o.has_fluency ) o.decode.fluency = CROSS_FLUENCY;
  if( get_point(&c, args, 0, "argument 1 (content)", &content) && get_point(&c, args, 1, "argument 2 (style)", &style)
   && cross(&c, &z, &content, &style, (float)amount)==SQLITE_OK ){
    result_content(&c, &z, &o);
  }
done:
  call_end(&c);
}

/* ---- latent_image(text, seed [, options]) ---- */

struct image {
  struct model *m;
  const float *s;               /* [s]: what is asked for */
  int n;                        /* candidates */
  float *z;                     /* [n, s+r] */
};

static int image_begin(struct call *c, const struct latent *text, uint64_t seed, struct image *g){
  struct model *m;
  size_t width;
  int n_s;
  if( latent_model(c, text, &m)!=SQLITE_OK || call_model_of(c, KIND_PICTURE, 0, &g->m)!=SQLITE_OK || check_widths(c, m, g->m)!=SQLITE_OK ) return c->err.rc;
  n_s = g->m->config.shape.s;
  width = (size_t)(n_s + g->m->config.shape.r);
  g->s = mean_s(c, text, m);
  g->z = arena_floats(&c->arena, (size_t)g->n*width);
  if( c->arena.oom ) return fail_nomem(&c->err);
  for(int i=0; i<g->n; i++){
    struct latent drawn;
    if( point_sample(&drawn, decode_seed(seed, i), g->m, &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
    memcpy(g->z + (size_t)i*width, drawn.z, width*sizeof(float));
    memcpy(g->z + (size_t)i*width, g->s, (size_t)n_s*sizeof(float));
  }
  return SQLITE_OK;
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

void scalar_image(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent text;
  struct options o;
  struct image g = { .n = CANDIDATES };
  sqlite3_int64 seed;
  if( has_null(n, args, 2) ) return;
  call_begin(&c, context, n, args);
  if( call_integer(&c, args, 1, "seed", INT64_MIN, INT64_MAX, &seed)!=SQLITE_OK || !get_options(&c, n, args, 2, &o) ) goto done;
  if( o.has_best_of ) g.n = o.decode.best_of;
  if( !o.has_fluency ) o.decode.fluency = IMAGE_FLUENCY;
  if( !o.has_detail ) o.decode.detail = IMAGE_DETAIL;
  if( !o.has_temperature ) o.decode.temperature = IMAGE_TEMPERATURE;
  if( !o.has_seed ) o.decode.seed = (uint64_t)seed;
  if( get_point(&c, args, 0, "argument 1 (text)", &text) && image_begin(&c, &text, (uint64_t)seed, &g)==SQLITE_OK ) give_image(&c, &g, &o.decode);
done:
  call_end(&c);
}

/* ---- latent_score() of a picture ---- */

/* Its codes, as a text's tokens. */
static int picture_score(struct call *c, const struct model *m, const struct content *content, const char *what, const struct latent *z, float *mean){
  struct picture came, p;
  int n = m->config.shape.longest - 1, start[2] = { 0, n }, *ids = arena_get(&c->arena, (size_t)n*sizeof(*ids));
  float sum;
  if( !ids ) return fail_nomem(&c->err);
  if( z->n_segments!=1 ) return fail(&c->err, SQLITE_ERROR, "a latent of %d segments, expected 1: a picture is one segment", z->n_segments);
  if( picture_read(&came, content->bytes, content->n, &c->arena, what, &c->err)!=SQLITE_OK ) return c->err.rc;
  if( picture_fit(&p, &came, m->config.picture.size, &c->arena, &c->err)!=SQLITE_OK || pictures_tokens(m, &c->run, &p, 1, ids)!=SQLITE_OK ) return c->err.rc;
  if( score_tokens(m, &c->run, z->z, ids, start, 1, &sum, NULL, NULL)!=SQLITE_OK ) return c->err.rc;
  *mean = sum/(float)n;
  return SQLITE_OK;
}

int content_score(struct call *c, const struct model *m, const struct content *content, const char *what, const struct latent *z, float *mean){
  if( m->config.kind==KIND_PICTURE ) return picture_score(c, m, content, what, z, mean);
  return text_score(m, &c->run, content->bytes, content->n, z, mean);
}
