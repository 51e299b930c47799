/*
** functions_scalar.c -- the scalar functions of points, in the order of the table in functions.c.
**
** Each reads its arguments, asks the model, and gives the result. After a failure every further
** step does nothing (call.h), so most functions are a plain sequence. call_scalar() has dealt with
** NULL.
*/
#include "functions.h"
#include <math.h>
#include <string.h>

/* How much of the plain language model helps to word a point that no content was encoded to, unless
** options say otherwise: the more, the further the point lies from any content. Tuned by eye. */
static const float FLUENCY_ARITHMETIC = 0.2f;   /* at a sum of points and directions */
static const float FLUENCY_VARY = 0.3f;         /* a quarter turn away from content */
/* For a point drawn from the whole space the detail means little, and one wording is as good as
** another. */
static const float SAMPLE_FLUENCY = 0.5f;
static const float SAMPLE_DETAIL = 0.5f;
static const float SAMPLE_TEMPERATURE = 0.7f;

/* ---- Arguments that many functions share ---- */

/* Arguments 1 to n as points of one kind. */
static void get_points(struct call *c, int n, struct latent *z){
  for(int i=0; i<n; i++) z[i] = call_point(c, i, NULL);
  check_kinds(c, z, n);
}

/* The first two arguments, points or directions, of one kind. */
static void get_pair(struct call *c, struct latent z[2]){
  z[0] = call_latent(c, 0, NULL);
  z[1] = call_latent(c, 1, NULL);
  check_kinds(c, z, 2);
}

/* Options at argument i, with the function's own fluency where they set none. */
static struct options get_options(struct call *c, int i, float fluency){
  struct options o = call_options(c, i);
  if( !o.decode.has_fluency ) o.decode.fluency = fluency;
  return o;
}

/* ka*a + kb*b, of one model. kind says whether the sum is a point or a direction. */
static struct latent combine(struct call *c, const struct latent *a, float ka,
                             const struct latent *b, float kb, int kind){
  struct latent sum = { 0 };
  if( latent_model(c, a) ) point_combine(&sum, a, ka, b, kb, kind, &c->arena, &c->err);
  return sum;
}

static int is_direction(const struct latent *z){
  return z->kind==KIND_DIRECTION;
}

static void result_number(struct call *c, double x){
  if( c->err.rc==SQLITE_OK ) sqlite3_result_double(c->context, x);
}

/* ---- Content and points ---- */

void scalar_encode(struct call *c){
  struct latent z;
  call_options(c, 1);           /* read first: they may name the kind, and set the rounds */
  z = call_latent(c, 0, NULL);
  result_latent(c, &z);
}

void scalar_decode(struct call *c){
  struct options o = call_options(c, 1);
  struct latent z = call_latent(c, 0, NULL);
  const struct model *m = latent_model(c, &z);
  call_writer_at(c, m, &o, &z);
  result_content(c, &z, &o);
}

/* s means the same in every kind. */
void scalar_distance(struct call *c){
  struct latent a = call_latent(c, 0, NULL);
  struct latent b = call_latent(c, 1, NULL);
  float distance = 0;
  latent_model(c, &a);          /* latent_load() may have come in between */
  latent_model(c, &b);
  if( c->err.rc==SQLITE_OK ) point_nearest(&distance, &a, &b, &c->arena, &c->err);
  result_number(c, distance);
}

void scalar_fidelity(struct call *c){
  struct options o = call_options(c, 1);
  struct decode_options *decode = &o.decode;
  struct latent z = call_point(c, 0, NULL);
  const struct model *m = latent_model(c, &z);
  struct buf content = { 0 };
  float fidelity = 0;
  decode->refine = c->rounds;
  call_writer_at(c, m, &o, &z);
  if( m && c->err.rc==SQLITE_OK ){
    contents_decode(m, &c->run, &z, 1, &decode->fluency, decode, &content, &fidelity);
  }
  result_number(c, fidelity);
  buf_release(&content);
}

/* Content at argument i, which is of kind *kind. */
static struct content get_content(struct call *c, int i, int *kind){
  *kind = value_kind(c, c->args[i]);
  if( *kind==0 ) refuse_argument(c, i, "content", "text or a picture (PNG, JPEG)");
  return value_bytes(c, c->args[i]);
}

void scalar_score(struct call *c){
  int kind;
  struct content content = get_content(c, 0, &kind);
  struct latent z = call_point(c, 1, NULL);
  const struct model *m = latent_model(c, &z);
  if( m && kind!=z.kind ){
    fail(&c->err, SQLITE_ERROR, "argument 1 (content) is of kind %s, argument 2 of kind %s: "
         "content is scored at points of its own kind", kind_name(kind), kind_name(z.kind));
  }
  result_number(c, content_score(c, m, &content, "argument 1 (content)", &z));
}

/* ---- Between and beyond ---- */

/* Arguments 1 and 2 are the ends: the latent at t of the arc between them, or where interp_ease()
** puts t. */
static struct latent get_between(struct call *c, double t, int is_eased, struct latent ends[2]){
  struct latent z = { 0 };
  get_points(c, 2, ends);
  if( latent_model(c, &ends[0]) ){
    if( is_eased ) t = interp_ease(ends[0].kind, t);
    point_interp(&z, &ends[0], &ends[1], (float)t, &c->arena, &c->err);
  }
  return z;
}

void scalar_interp(struct call *c){
  double t = call_number(c, 2, "t", 0, 1);
  struct options o = call_options(c, 3);
  struct latent ends[2];
  struct latent z = get_between(c, t, 1, ends);
  const struct model *m = latent_model(c, &ends[0]);
  struct buf content = call_buf(c);
  struct between middle = { .ends = ends, .z = &z, .t = &t, .n = 1, .contents = &content };
  call_writer(c, m, &o, m && point_is_between(&z), z.n_segments);
  if( m==NULL || c->err.rc!=SQLITE_OK ) return;
  between_decode(m, &c->run, &middle, &o.decode, c->rounds);
  result_made(c, m, &content);
}

void scalar_slerp(struct call *c){
  double t = call_number(c, 2, "t", 0, 1);
  struct latent ends[2];
  struct latent z = get_between(c, t, 0, ends);
  result_latent(c, &z);
}

/* The least step, in length of z, after which something else than x is wanted. It lies below the
** step of a mean of many pairs, which is 0.26 and more (model/TRAINING.md, fifth weights). */
static const float STEP_LEAST = 0.2f;

static float step_length(const struct latent *z, const struct latent *x){
  float sum = 0;
  for(int i=0; i<z->width; i++) sum += (z->z[i] - x->z[i])*(z->z[i] - x->z[i]);
  return sqrtf(sum);
}

/* The result is the content at z, to which x was moved. After a step of STEP_LEAST or more it is
** the best candidate that is not what x itself says. Many points lie near a text: without this, x
** would be the answer to most moves by the mean of many pairs. */
static void result_moved(struct call *c, const struct latent *z, const struct latent *x,
                         struct options *o){
  struct decode_options *decode = &o->decode;
  const struct model *m = latent_model(c, x);
  struct tokens said;
  int is_one = x->n_segments==1 && z->n_segments==1;
  if( m==NULL || c->err.rc!=SQLITE_OK ) return;
  call_writer_at(c, m, o, z);
  if( c->err.rc!=SQLITE_OK ) return;
  if( m->config.kind!=KIND_PICTURE && is_one && step_length(z, x)>=STEP_LEAST ){
    if( !decode->has_best_of ) decode->best_of = BEST_OF_OTHERS;
    decode->avoid = &said;
    if( decode->best_of>1 ) said_by(m, &c->run, x, &said, &decode->n_avoid);
  }
  result_content(c, z, o);
}

/* Code: what was done to a is done to c, statement by statement. 0: that cannot be, or options ask
** for the writer, which is to find words of its own. */
static int result_carried(struct call *c, const struct latent points[3], const struct options *o){
  const struct model *m = latent_model(c, &points[2]);
  struct content known[3] = { { 0 } };  /* what came as text: no latent says it better */
  struct buf made = call_buf(c);
  int is_carried = 0;
  if( m==NULL || m->config.kind!=KIND_CODE || o->decoder==DECODER_WRITER ) return 0;
  for(int i=0; i<3; i++){
    if( sqlite3_value_type(c->args[i])==SQLITE_TEXT ) known[i] = value_bytes(c, c->args[i]);
  }
  if( c->err.rc==SQLITE_OK ) twin_carry(m, &c->run, points, known, &made, &is_carried);
  if( is_carried ) result_buf(c, &made);
  buf_release(&made);
  return is_carried;
}

/* c + (b - a) */
void scalar_analogy(struct call *c){
  struct options o = get_options(c, 3, FLUENCY_ARITHMETIC);
  struct latent points[3];      /* a, b, c */
  struct latent step, z;
  get_points(c, 3, points);
  if( result_carried(c, points, &o) ) return;
  step = combine(c, &points[1], 1, &points[0], -1, KIND_DIRECTION);
  z = combine(c, &points[2], 1, &step, 1, points[2].kind);
  result_moved(c, &z, &points[2], &o);
}

/* Beyond this a step or a factor leaves the sphere so far behind that a float keeps nothing of the
** start. */
static const double FACTOR_MOST = 1e6;

void scalar_move(struct call *c){
  double amount = call_number(c, 2, "amount", -FACTOR_MOST, FACTOR_MOST);
  double share = fmin(fabs(amount), 1);
  struct options o = get_options(c, 3, (float)(FLUENCY_ARITHMETIC*share));
  struct latent from[2];        /* x, direction */
  struct latent z;
  get_pair(c, from);
  check_point(c, &from[0], "argument 1");
  z = combine(c, &from[0], 1, &from[1], (float)amount, from[0].kind);
  result_moved(c, &z, &from[0], &o);
}

void vary_point(struct call *c, const struct model *m, struct latent *z, float amount,
                uint64_t seed){
  if( c->err.rc!=SQLITE_OK ) return;
  if( m->config.kind!=KIND_PICTURE ) point_vary(z, amount, seed);
  else if( z->n_segments==1 ) picture_vary(m, &c->run, z->z, amount, seed);
}

void scalar_vary(struct call *c){
  double amount = call_number(c, 1, "amount", 0, 1);
  uint64_t seed = (uint64_t)call_integer(c, 2, "seed", INT64_MIN, INT64_MAX);
  struct options o = get_options(c, 3, (float)(FLUENCY_VARY*amount));
  struct latent z = call_point(c, 0, NULL);
  const struct model *m = latent_model(c, &z);
  if( m==NULL || c->err.rc!=SQLITE_OK ) return;
  vary_point(c, m, &z, (float)amount, seed);
  if( !o.decode.has_seed ) o.decode.seed = seed;
  call_writer(c, m, &o, amount>0, z.n_segments);
  result_content(c, &z, &o);
}

static void sample_picture(struct call *c, const struct model *m, uint64_t seed,
                           struct options *o){
  struct latent z = latent_of(m, 1);
  z.z = arena_floats(&c->arena, (size_t)z.width);
  if( z.z==NULL ) fail_nomem(&c->err);
  call_writer(c, m, o, 1, 1);           /* which does not write pictures */
  if( c->err.rc==SQLITE_OK ) pictures_sample(m, &c->run, &seed, 1, z.z);
  result_content(c, &z, o);
}

void scalar_sample(struct call *c){
  uint64_t seed = (uint64_t)call_integer(c, 0, "seed", INT64_MIN, INT64_MAX);
  struct options o = get_options(c, 1, SAMPLE_FLUENCY);
  const struct model *m = call_model(c);
  struct latent z;
  if( m && m->config.kind==KIND_PICTURE ){
    sample_picture(c, m, seed, &o);
    return;
  }
  if( m==NULL || point_sample(&z, seed, m, &c->arena, &c->err)!=SQLITE_OK ) return;
  if( !o.decode.has_detail ) o.decode.detail = SAMPLE_DETAIL;
  if( !o.decode.has_temperature ) o.decode.temperature = SAMPLE_TEMPERATURE;
  if( !o.decode.has_seed ) o.decode.seed = seed;
  call_writer(c, m, &o, 1, z.n_segments);
  /* So far from all content the candidate that is nearest is no better one. */
  if( !o.decode.has_best_of ) o.decode.best_of = 1;
  result_content(c, &z, &o);
}

/* The plain language model's part where there is something to go towards. The writer reads the text
** too. Tuned by eye: from 0.5 on what comes is of the text alone. */
static const float FLUENCY_COMPLETE = 0.2f;

void scalar_complete(struct call *c){
  struct options o = get_options(c, 2, FLUENCY_COMPLETE);
  struct content text = call_text(c, 0, "text");
  struct latent towards = { 0 };
  const struct model *m;
  struct buf made = call_buf(c);
  int has_goal = call_has(c, 1);
  if( has_goal ) towards = call_point(c, 1, "towards");
  m = has_goal ? latent_model(c, &towards) : call_model_of(c, KIND_TEXT, 0);
  if( m && m->config.kind==KIND_PICTURE ){
    fail(&c->err, SQLITE_ERROR, "argument 2 (towards) is of kind %s, expected text or code: the "
         "writer goes on with these alone", kind_name(m->config.kind));
  }
  if( o.decoder==DECODER_DEFAULT ) o.decoder = DECODER_WRITER;
  if( !has_goal ) o.decode.fluency = 1;
  o.decode.has_fluency = 1;             /* the writer's own would be 0 */
  call_writer(c, m, &o, 1, 1);
  if( c->err.rc==SQLITE_OK && o.decode.writer==NULL ){
    fail(&c->err, SQLITE_ERROR, "options key \"decoder\" is \"exact\", and only the writer goes "
         "on with a text");
  }
  if( c->err.rc==SQLITE_OK ){
    text_complete(m, &c->run, &text, has_goal ? &towards : NULL, &o.decode, &made);
  }
  result_buf(c, &made);
}

/* ---- Algebra ---- */

/* Two directions give a direction. With a point in it the sum is a point. */
void scalar_add(struct call *c){
  struct latent x[2], z;
  get_pair(c, x);
  z = combine(c, &x[0], 1, &x[1], 1, is_direction(&x[0]) ? x[1].kind : x[0].kind);
  result_latent(c, &z);
}

/* The way from one point to another is a direction, and so is a direction less anything. A point
** less a direction stays a point. */
void scalar_sub(struct call *c){
  struct latent x[2], z;
  get_pair(c, x);
  z = combine(c, &x[0], 1, &x[1], -1, is_direction(&x[1]) ? x[0].kind : KIND_DIRECTION);
  result_latent(c, &z);
}

void scalar_scale(struct call *c){
  double k = call_number(c, 1, "k", -FACTOR_MOST, FACTOR_MOST);
  struct latent x = call_latent(c, 0, NULL);
  struct latent z = combine(c, &x, (float)k, &x, 0, KIND_DIRECTION);
  result_latent(c, &z);
}
