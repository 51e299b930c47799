/*
** functions_picture.c -- two kinds at once: latent_cross(), latent_image(), latent_describe(); and
** how likely a picture is at a point.
**
** s means the same in every kind, r belongs to one kind. So the s of one kind can stand beside an r
** of another. Where that is a picture's, the prior draws an r that goes with the s
** (model_prior.c).
**
** latent_cross(content, style [, amount [, options]])
**
**    The point of style, its s turned towards content's. amount says how far along the arc: from 0
**    (style's own s) to 1 (content's). It is decoded as what style is. A picture's r is drawn for
**    that s, in the style of style's r, and amount leads from the one r to the other.
**
** latent_image(text, seed [, options])
**
**    s is the text's. Nothing says how the picture is drawn, so r is drawn for s, in any style.
**
** latent_describe(picture [, n])
**
**    The names nearest by s among those that the weights bring along: what the pictures of training
**    show. Of a text, too: the pictures that there are for it.
**
** join_points(), for breeding, cuts pictures and puts the pieces together.
**
** In the first two functions best_of (CANDIDATES) points are drawn, in the order of the seed. Their
** pictures are encoded again in one batch, as a user's latent_encode() would do it, and the one
** whose point is now nearest to what was asked for is taken.
*/
#include "functions.h"
#include <string.h>

/* Where options set nothing else. */
enum { CANDIDATES = 16 };
static const float GUIDANCE = 4;
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

/* The point of style, its s turned towards content's by `amount` of the arc. */
static struct latent turn_points(struct call *c, const struct latent *content,
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

/* ---- Pictures that are drawn ---- */

struct draught {                /* candidates for one picture */
  struct model *m;
  const float *s;               /* [s], of unit length */
  const float *like;            /* [r], whose style they have; NULL: any */
  uint64_t seed;
  float guidance;
  int n;
  float *z;                     /* [n, s+r], from the arena */
  struct picture *pictures;     /* [n] */
};

static struct draught draught_of(const struct options *o, struct model *m, uint64_t seed){
  const struct decode_options *d = &o->decode;
  return (struct draught){
    .m = m,
    .seed = d->has_seed ? d->seed : seed,
    .guidance = d->has_guidance ? d->guidance : GUIDANCE,
    .n = d->has_best_of ? d->best_of : CANDIDATES,
  };
}

/* Draws the points. */
static void draw_points(struct call *c, struct draught *d){
  size_t width = (size_t)model_width(d->m);
  size_t n_s = (size_t)model_s(d->m);
  size_t n_r = width - n_s;
  struct wish *wishes = arena_zeroed(&c->arena, (size_t)d->n*sizeof(*wishes));
  float *r = arena_floats(&c->arena, (size_t)d->n*n_r);
  d->z = arena_floats(&c->arena, (size_t)d->n*width);
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  for(int i=0; i<d->n; i++){
    wishes[i] = (struct wish){ .s = d->s, .like = d->like, .seed = decode_seed(d->seed, i) };
  }
  if( details_draw(d->m, &c->run, wishes, d->n, d->guidance, r)!=SQLITE_OK ) return;
  for(int i=0; i<d->n; i++){
    memcpy(d->z + i*width, d->s, n_s*sizeof(float));
    memcpy(d->z + i*width + n_s, r + i*n_r, n_r*sizeof(float));
  }
}

/* Draws them, and gives the number of the one whose picture, encoded again, lies nearest to what is
** asked for; the first of equal ones. Its picture is as it was decoded. */
static int draw_best(struct call *c, struct draught *d, float detail){
  size_t n_s, width;
  struct picture *again;
  float *z;
  float most = -4;
  int best = 0;
  draw_points(c, d);
  if( c->err.rc!=SQLITE_OK ) return 0;
  n_s = (size_t)model_s(d->m);
  width = (size_t)model_width(d->m);
  d->pictures = arena_get(&c->arena, (size_t)d->n*sizeof(*d->pictures));
  again = arena_get(&c->arena, (size_t)d->n*sizeof(*again));
  z = arena_floats(&c->arena, (size_t)d->n*width);
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return 0;
  if( pictures_decode(d->m, &c->run, d->z, d->n, detail, d->pictures)!=SQLITE_OK ) return 0;
  memcpy(again, d->pictures, (size_t)d->n*sizeof(*again));
  if( d->n>1 && pictures_reread(d->m, &c->run, again, d->n, z)!=SQLITE_OK ) return 0;
  for(int i=0; i<d->n && d->n>1; i++){
    const float *own = z + i*width;
    float near = point_cosine(own, d->s, (int)n_s);
    if( d->like ) near += styles_cosine(d->m, own + n_s, d->like, &c->arena);
    if( near<=most ) continue;
    most = near;
    best = i;
  }
  if( c->arena.oom ) fail_nomem(&c->err);
  return best;
}

/* ---- latent_cross(), decoded ---- */

/* What nobody can tell apart is one picture: it crossed with itself is itself. */
static int is_same_s(const struct latent *z, const struct latent *style){
  return point_cosine(z->z, style->z, style->s)>1 - 1e-6f;
}

/* z, a picture's point of `style` with another s: its r is drawn for this s. */
static void draw_cross(struct call *c, struct model *m, const struct latent *style,
                       const struct options *o, struct latent *z, float amount){
  struct draught d = draught_of(o, m, 0);
  struct latent to = *z;
  int best;
  d.s = z->z;
  d.like = style->z + style->s;
  best = draw_best(c, &d, 1);
  if( c->err.rc!=SQLITE_OK ) return;
  to.z = d.z + (size_t)best*(size_t)z->width;
  point_interp(z, style, &to, amount, &c->arena, &c->err);
}

struct latent cross_points(struct call *c, const struct latent *content,
                           const struct latent *style, float amount, const struct options *o){
  struct model *m = latent_model(c, style);
  int is_drawn = m && m->config.kind==KIND_PICTURE && style->n_segments==1;
  struct latent z = turn_points(c, content, style, is_drawn ? 1 : amount);
  if( c->err.rc!=SQLITE_OK || !is_drawn ) return z;
  if( amount==0 || is_same_s(&z, style) ) return *style;
  draw_cross(c, m, style, o, &z, amount);
  return z;
}

void scalar_cross(struct call *c){
  double amount = c->n_args>2 ? call_number(c, 2, "amount", 0, 1) : 1;
  struct options o = get_options(c, 3);
  struct latent content, style, z;
  if( !o.decode.has_fluency ) o.decode.fluency = CROSS_FLUENCY;
  content = call_point(c, 0, "content");
  style = call_point(c, 1, "style");
  z = cross_points(c, &content, &style, (float)amount, &o);
  if( c->err.rc==SQLITE_OK ){
    call_writer(c, latent_model(c, &z), &o, amount>0, z.n_segments);
  }
  result_content(c, &z, &o);
}

/* ---- Pictures put together ---- */

/* order[size*size]: the pixels, from one edge to the one across, in a direction of the seed's. */
static void sweep_pixels(struct call *c, int size, uint64_t seed, int *order){
  enum { STEEP = 8 };           /* the direction is one of whole numbers up to this */
  struct random random = random_of(seed);
  int dx = random_below(&random, 2*STEEP + 1) - STEEP;
  int dy = random_below(&random, 2*STEEP + 1) - STEEP;
  int least, n_places;
  int *place;
  if( dx==0 && dy==0 ) dx = 1;
  least = ((dx<0 ? dx : 0) + (dy<0 ? dy : 0))*size;
  n_places = 2*STEEP*size + 1;
  place = arena_zeroed(&c->arena, (size_t)(n_places + 1)*sizeof(*place));
  if( place==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  for(int i=0; i<size*size; i++) place[i%size*dx + i/size*dy - least + 1]++;
  for(int i=0; i<n_places; i++) place[i+1] += place[i];
  for(int i=0; i<size*size; i++) order[place[i%size*dx + i/size*dy - least]++] = i;
}

struct latent join_points(struct call *c, const struct latent *z, const int *weights, int n,
                          uint64_t seed){
  const struct model *m = latent_model(c, z);
  struct latent joined = *z;
  struct picture parts[MATES_MOST], whole;
  int *order;
  int size, before = 0, at = 0;
  if( m==NULL ) return joined;
  if( m->config.kind!=KIND_PICTURE ){
    fail(&c->err, SQLITE_ERROR, "crossover \"regions\" is of pictures, and the parents are of kind "
         "%s", kind_name(m->config.kind));
    return joined;
  }
  size = m->config.picture.size;
  order = arena_get(&c->arena, (size_t)size*(size_t)size*sizeof(*order));
  joined.z = arena_floats(&c->arena, (size_t)z->width);
  if( c->arena.oom ) fail_nomem(&c->err);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    pictures_decode(m, &c->run, z[i].z, 1, 1, &parts[i]);
  }
  if( c->err.rc==SQLITE_OK ) sweep_pixels(c, size, seed, order);
  if( c->err.rc!=SQLITE_OK ) return joined;
  whole = parts[0];
  for(int i=0; i<n; i++){
    before += weights[i];
    for(; at<size*size*before/WEIGHTS_WHOLE; at++){
      memcpy(whole.pixels + order[at]*4, parts[i].pixels + order[at]*4, 4);
    }
  }
  pictures_reread(m, &c->run, &whole, 1, joined.z);
  return joined;
}

/* ---- latent_image(text, seed [, options]) ---- */

void scalar_image(struct call *c){
  uint64_t seed = (uint64_t)call_integer(c, 1, "seed", INT64_MIN, INT64_MAX);
  struct options o = get_options(c, 2);
  struct latent text = call_point(c, 0, "text");
  struct buf png = call_buf(c);
  struct draught d;
  int best;
  latent_model(c, &text);       /* latent_load() may have come in between */
  d = draught_of(&o, call_model_of(c, KIND_PICTURE, 0), seed);
  if( c->err.rc==SQLITE_OK ) d.s = mean_s(c, model_s(d.m), &text);
  best = c->err.rc==SQLITE_OK ? draw_best(c, &d, o.decode.detail) : 0;
  if( c->err.rc==SQLITE_OK ) png_write(&png, &d.pictures[best], &c->err);
  result_blob(c, &png);
}

/* ---- latent_describe(picture [, n]) ---- */

/* One row for each name: name, distance. */
static void give_names(struct call *c, const struct model *m, const float *s, int n,
                       struct rows *r){
  int *which;
  float *far;
  if( n>m->config.n_names ) n = m->config.n_names;
  which = arena_get(&c->arena, (size_t)n*sizeof(*which));
  far = arena_floats(&c->arena, (size_t)n);
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK || names_near(m, &c->run, s, n, which, far)!=SQLITE_OK ) return;
  for(int i=0; i<n; i++){
    const char *name = m->config.names[which[i]];
    rows_text(r, name, strlen(name));
    rows_real(r, far[i]);
  }
}

void describe_fill(struct call *c, struct rows *r){
  enum { NAMES = 5, NAMES_MOST = 1000 };
  int n = call_has(c, 1) ? (int)call_integer(c, 1, "n", 1, NAMES_MOST) : NAMES;
  struct latent z;
  const struct model *m;
  c->n_points = 1;
  z = call_point(c, 0, "picture");
  latent_model(c, &z);
  m = call_model_of(c, KIND_PICTURE, 0);
  if( m ) give_names(c, m, mean_s(c, model_s(m), &z), n, r);
}

/* ---- latent_score() of a picture ---- */

static float score_picture(struct call *c, const struct model *m, const struct content *content,
                           const char *what, const struct latent *z){
  int size = m->config.picture.size;
  struct picture p = { size, size, arena_get(&c->arena, (size_t)size*(size_t)size*4) };
  struct err *e = &c->err;
  float mean = 0;
  if( c->arena.oom ) fail_nomem(e);
  if( z->n_segments!=1 ){
    fail(e, SQLITE_ERROR, "a latent of %d segments, expected 1: a picture is one segment",
         z->n_segments);
  }
  if( e->rc!=SQLITE_OK ) return 0;
  if( content_picture(m, &c->run, content, what, &p)!=SQLITE_OK ) return 0;
  picture_score(m, &c->run, &p, z->z, &mean);
  return mean;
}

float content_score(struct call *c, const struct model *m, const struct content *content,
                    const char *what, const struct latent *z){
  float mean = 0;
  if( c->err.rc!=SQLITE_OK ) return 0;
  if( m->config.kind==KIND_PICTURE ) return score_picture(c, m, content, what, z);
  text_score(m, &c->run, content->bytes, content->n, z, &mean);
  return mean;
}
