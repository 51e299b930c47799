/*
** functions_scalar.c -- the scalar functions, one after the other as in the table of functions.c.
**
** Each reads its arguments, asks the model, and gives the result. A step that fails leaves its message in the call, and every step
** after it does nothing; so most functions are a chain of && and call_end() tells what went wrong. NULL in, NULL out comes first.
*/
#include "functions.h"
#include <math.h>
#include <string.h>

/* How much of the plain language model helps to word points that no text was encoded to, unless options say otherwise: the more, the
** further from any text. With the first model, tuned by eye; but for the first. */
static const float FLUENCY_BETWEEN = 0.15f;     /* in the middle of two lines of code or pictures; the text decoder has learned to write from middles, and does so better without (model/README.md) */
static const float FLUENCY_ARITHMETIC = 0.2f;   /* at a sum of texts and directions */
static const float FLUENCY_VARY = 0.3f;         /* a quarter turn away from a text */
/* A point drawn from the whole space: its detail means little, and one wording of it is as good as another. */
static const float SAMPLE_FLUENCY = 0.5f, SAMPLE_DETAIL = 0.5f, SAMPLE_TEMPERATURE = 0.7f;

/* Where on the arc t lies, for the functions that give text: near an end the decoder says that end, word for word (of 120 held-out pairs 16% differ from both
** at 0.1 of the arc, 65% at 0.3, 99% at 0.5), so all but the first and last steps of t are spent on its middle. Odd about 0.5 and rising; the ends stay the ends. */
double interp_ease(double t){
  const double u = 2*t - 1, u2 = u*u, u4 = u2*u2;
  return 0.5 + 0.5*u*(0.4 + 0.6*u2*u4*u4*u4);
}

/* The dial is most in the middle, which no text was encoded to, and none at the ends, which are texts. */
float interp_fluency(int kind, double t){
  return kind==KIND_TEXT ? 0 : (float)(FLUENCY_BETWEEN*4*t*(1-t));
}

/* ---- Arguments that many functions share. All return true when all is well. ---- */

/* Argument i as a latent of any kind; it is not NULL. */
static int get(struct call *c, sqlite3_value **args, int i, struct latent *z){
  int is_null;
  return call_point(c, args, i, z, &is_null)==SQLITE_OK;
}

/* Argument i as a point: no direction. */
static int get_point(struct call *c, sqlite3_value **args, int i, struct latent *z){
  char what[32];
  sqlite3_snprintf(sizeof(what), what, "argument %d", i+1);
  return get(c, args, i, z) && check_point(c, z, what)==SQLITE_OK;
}

/* Arguments 1 to n as points of one kind. */
static int get_points(struct call *c, sqlite3_value **args, int n, struct latent *z){
  for(int i=0; i<n; i++){
    if( !get_point(c, args, i, &z[i]) ) return 0;
  }
  return check_kinds(c, z, n)==SQLITE_OK;
}

/* The first two arguments, points or directions, of one kind. */
static int get_pair(struct call *c, sqlite3_value **args, struct latent *z){
  return get(c, args, 0, &z[0]) && get(c, args, 1, &z[1]) && check_kinds(c, z, 2)==SQLITE_OK;
}

static int get_number(struct call *c, sqlite3_value **args, int i, const char *name, double least, double most, double *x){
  return call_number(c, args, i, name, least, most, x)==SQLITE_OK;
}

/* Options at argument i, with the function's own fluency where they set none. */
static int get_options(struct call *c, int n, sqlite3_value **args, int i, float fluency, struct options *o){
  if( call_options(c, n, args, i, o)!=SQLITE_OK ) return 0;
  if( !o->has_fluency ) o->decode.fluency = fluency;
  return 1;
}

/* The model of a latent. */
static int get_model(struct call *c, const struct latent *z, struct model **m){
  return latent_model(c, z, m)==SQLITE_OK;
}

/* out = ka*a + kb*b, of one model. Two directions give a direction; with a point in it the sum is a point. */
static int combine(struct call *c, struct latent *out, const struct latent *a, float ka, const struct latent *b, float kb, int kind){
  struct model *m;
  return get_model(c, a, &m) && point_combine(out, a, ka, b, kb, kind, m->config.shape.s, &c->arena, &c->err)==SQLITE_OK;
}

static int is_direction(const struct latent *z){
  return z->kind==KIND_DIRECTION;
}

/* ---- Content and points ---- */

void scalar_encode(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  struct options o;
  if( has_null(n, args, 1) ) return;
  call_begin(&c, context, n, args);
  if( get_options(&c, n, args, 1, 0, &o) && get(&c, args, 0, &z) ) result_latent(&c, &z);
  call_end(&c);
}

void scalar_decode(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  struct options o;
  if( has_null(n, args, 1) ) return;
  call_begin(&c, context, n, args);
  if( get_options(&c, n, args, 1, 0, &o) && get(&c, args, 0, &z) ) result_content(&c, &z, &o);
  call_end(&c);
}

/* s means the same in every kind. */
void scalar_distance(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent a, b;
  struct model *ma, *mb;
  if( has_null(n, args, 2) ) return;
  call_begin(&c, context, n, args);
  if( get(&c, args, 0, &a) && get(&c, args, 1, &b) && get_model(&c, &a, &ma) && get_model(&c, &b, &mb)
   && check_widths(&c, ma, mb)==SQLITE_OK ){
    sqlite3_result_double(context, point_distance(&a, &b, ma->config.shape.s));
  }
  call_end(&c);
}

void scalar_fidelity(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  struct options o;
  struct model *m;
  struct buf content = { 0 };
  float fidelity = 0;
  if( has_null(n, args, 1) ) return;
  call_begin(&c, context, n, args);
  if( get_options(&c, n, args, 1, 0, &o) ) o.decode.refine = c.rounds;
  if( get_point(&c, args, 0, &z) && get_model(&c, &z, &m)
   && contents_decode(m, &c.run, &z, 1, &o.decode.fluency, &o.decode, &content, &fidelity)==SQLITE_OK ){
    sqlite3_result_double(context, fidelity);
  }
  buf_release(&content);
  call_end(&c);
}

/* Content at argument i, which is of kind `kind`. */
static int get_content(struct call *c, sqlite3_value **args, int i, struct content *content, int *kind){
  char came[DESCRIBED];
  int n = 0;
  *kind = value_kind(c, args[i]);
  content->bytes = "";
  if( *kind ){
    value_bytes(c, args[i], &content->bytes, &n);
  }else{
    value_describe(args[i], came);
    fail(&c->err, SQLITE_ERROR, "argument %d (content) is %s, expected text or a picture (PNG, JPEG)", i+1, came);
  }
  content->n = (size_t)n;
  return c->err.rc==SQLITE_OK;
}

void scalar_score(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  struct model *m;
  struct content content;
  int kind;
  float mean = 0;
  if( has_null(n, args, 2) ) return;
  call_begin(&c, context, n, args);
  if( !get_content(&c, args, 0, &content, &kind) || !get_point(&c, args, 1, &z) || !get_model(&c, &z, &m) ) goto done;
  if( kind!=z.kind ){
    fail(&c.err, SQLITE_ERROR, "argument 1 (content) is of kind %s, argument 2 of kind %s: content is scored at points of its own kind", kind_name(kind), kind_name(z.kind));
  }else if( content_score(&c, m, &content, "argument 1 (content)", &z, &mean)==SQLITE_OK ){
    sqlite3_result_double(context, mean);
  }
done:
  call_end(&c);
}

/* ---- Between and beyond ---- */

/* Arguments (a, b, ...): the ends, their model, and the latent at t. */
static int get_between(struct call *c, sqlite3_value **args, double t, struct latent *ends, struct model **m, struct latent *z){
  return get_points(c, args, 2, ends) && get_model(c, &ends[0], m)
      && point_interp(z, &ends[0], &ends[1], (float)t, (*m)->config.shape.s, &c->arena, &c->err)==SQLITE_OK;
}

void scalar_interp(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent ends[2], z;
  struct model *m;
  struct options o;
  struct buf b;
  double t;
  if( has_null(n, args, 3) ) return;
  call_begin(&c, context, n, args);
  b = call_buf(&c);
  if( get_number(&c, args, 2, "t", 0, 1, &t) && call_options(&c, n, args, 3, &o)==SQLITE_OK && get_between(&c, args, interp_ease(t), ends, &m, &z) ){
    between_decode(&c, m, ends, &z, &t, 1, &o, &b, NULL);
    result_made(&c, m, &b);
  }
  call_end(&c);
}

void scalar_slerp(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent ends[2], z;
  struct model *m;
  double t;
  if( has_null(n, args, 3) ) return;
  call_begin(&c, context, n, args);
  if( get_number(&c, args, 2, "t", 0, 1, &t) && get_between(&c, args, t, ends, &m, &z) ) result_latent(&c, &z);
  call_end(&c);
}

/* The least step, in length of z, after which something else is said: under that of a mean of many pairs (0.26 and more: model/README.md, Training). */
static const float STEP_LEAST = 0.2f;

static float step_length(const struct latent *z, const struct latent *x){
  float sum = 0;
  for(int i=0; i<z->width; i++) sum += (z->z[i] - x->z[i])*(z->z[i] - x->z[i]);
  return sqrtf(sum);
}

/* Sets the result to the content at z, whither x was moved: after more than STEP_LEAST the best of BEST_OF_OTHERS candidates, if the options do not say how
** many, that is not what x itself says. A text is near many points; without this, x is the answer to most moves by the mean of many pairs. */
static void result_moved(struct call *c, const struct latent *z, const struct latent *x, struct options *o){
  struct tokens said;
  struct model *m;
  if( latent_model(c, x, &m)!=SQLITE_OK ) return;
  if( m->config.kind==KIND_PICTURE || x->n_segments!=1 || z->n_segments!=1 || step_length(z, x)<STEP_LEAST ){
    result_content(c, z, o);
    return;
  }
  if( !o->has_best_of ) o->decode.best_of = BEST_OF_OTHERS;
  o->decode.avoid = &said;
  if( o->decode.best_of>1 && said_by(c, m, x, 1, &said, &o->decode.n_avoid)!=SQLITE_OK ) return;
  result_content(c, z, o);
}

/* c + (b - a) */
void scalar_analogy(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent points[3], step, z;     /* a, b, c */
  struct options o;
  if( has_null(n, args, 3) ) return;
  call_begin(&c, context, n, args);
  if( get_options(&c, n, args, 3, FLUENCY_ARITHMETIC, &o)
   && get_points(&c, args, 3, points)
   && combine(&c, &step, &points[1], 1, &points[0], -1, KIND_DIRECTION) && combine(&c, &z, &points[2], 1, &step, 1, points[2].kind) ){
    result_moved(&c, &z, &points[2], &o);
  }
  call_end(&c);
}

/* Steps and factors beyond this leave the sphere so far behind that a float keeps nothing of the start. */
static const double FACTOR_MOST = 1e6;

void scalar_move(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent from[2], z;             /* x, direction */
  struct options o;
  double amount, share;
  if( has_null(n, args, 3) ) return;
  call_begin(&c, context, n, args);
  if( !get_number(&c, args, 2, "amount", -FACTOR_MOST, FACTOR_MOST, &amount) ) goto done;
  share = fmin(fabs(amount), 1);
  if( get_options(&c, n, args, 3, (float)(FLUENCY_ARITHMETIC*share), &o) && get_pair(&c, args, from) && check_point(&c, &from[0], "argument 1")==SQLITE_OK
   && combine(&c, &z, &from[0], 1, &from[1], (float)amount, from[0].kind) ){
    result_moved(&c, &z, &from[0], &o);
  }
done:
  call_end(&c);
}

void scalar_vary(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  struct options o;
  struct model *m;
  double amount;
  sqlite3_int64 seed;
  if( has_null(n, args, 3) ) return;
  call_begin(&c, context, n, args);
  if( get_number(&c, args, 1, "amount", 0, 1, &amount) && call_integer(&c, args, 2, "seed", INT64_MIN, INT64_MAX, &seed)==SQLITE_OK
   && get_options(&c, n, args, 3, (float)(FLUENCY_VARY*amount), &o) && get_point(&c, args, 0, &z) && get_model(&c, &z, &m) ){
    point_vary(&z, (float)amount, (uint64_t)seed, m->config.shape.s);
    if( !o.has_seed ) o.decode.seed = (uint64_t)seed;
    result_content(&c, &z, &o);
  }
  call_end(&c);
}

void scalar_sample(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  struct options o;
  struct model *m;
  sqlite3_int64 seed;
  if( has_null(n, args, 1) ) return;
  call_begin(&c, context, n, args);
  if( call_integer(&c, args, 0, "seed", INT64_MIN, INT64_MAX, &seed)==SQLITE_OK && get_options(&c, n, args, 1, SAMPLE_FLUENCY, &o)
   && call_model(&c, &m)==SQLITE_OK && point_sample(&z, (uint64_t)seed, m, &c.arena, &c.err)==SQLITE_OK ){
    if( !o.has_detail ) o.decode.detail = SAMPLE_DETAIL;
    if( !o.has_temperature ) o.decode.temperature = SAMPLE_TEMPERATURE;
    if( !o.has_seed ) o.decode.seed = (uint64_t)seed;
    result_content(&c, &z, &o);
  }
  call_end(&c);
}

/* ---- Algebra ---- */

void scalar_add(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent x[2], z;
  if( has_null(n, args, 2) ) return;
  call_begin(&c, context, n, args);
  if( get_pair(&c, args, x) && combine(&c, &z, &x[0], 1, &x[1], 1, is_direction(&x[0]) ? x[1].kind : x[0].kind) ){
    result_latent(&c, &z);
  }
  call_end(&c);
}

/* The way from one point to another is a direction, and so is whatever begins with one; a point taken along a direction stays a point. */
void scalar_sub(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent x[2], z;
  if( has_null(n, args, 2) ) return;
  call_begin(&c, context, n, args);
  if( get_pair(&c, args, x) && combine(&c, &z, &x[0], 1, &x[1], -1, is_direction(&x[1]) ? x[0].kind : KIND_DIRECTION) ){
    result_latent(&c, &z);
  }
  call_end(&c);
}

void scalar_scale(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  double k;
  if( has_null(n, args, 2) ) return;
  call_begin(&c, context, n, args);
  if( get_number(&c, args, 1, "k", -FACTOR_MOST, FACTOR_MOST, &k) && get(&c, args, 0, &z)
   && combine(&c, &z, &z, (float)k, &z, 0, KIND_DIRECTION) ){
    result_latent(&c, &z);
  }
  call_end(&c);
}

/* ---- Exchange ---- */

void scalar_json(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  struct model *m;
  struct buf json;
  if( has_null(n, args, 1) ) return;
  call_begin(&c, context, n, args);
  json = call_buf(&c);
  if( get(&c, args, 0, &z) && get_model(&c, &z, &m) ) latent_to_json(&json, &z, m->config.shape.s);
  result_buf(&c, &json);
  call_end(&c);
}

void scalar_from_json(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  const char *text;
  int n_text;
  if( has_null(n, args, 1) ) return;
  call_begin(&c, context, n, args);
  if( call_text(&c, args, 0, "json", &text, &n_text)==SQLITE_OK && latent_from_json(&c, text, (size_t)n_text, &z)==SQLITE_OK ){
    result_latent(&c, &z);
  }
  call_end(&c);
}

/* x[count] as bytes. */
static void append_f32(struct buf *out, const float *x, int count){
  unsigned char *to = buf_extend(out, 4*(size_t)count);
  for(int i=0; to && i<count; i++, to+=4){
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof(bits));
    for(int k=0; k<4; k++) to[k] = (unsigned char)(bits >> 8*k);
  }
}

static float f32_at(const unsigned char *p){
  uint32_t bits = p[0] | (uint32_t)p[1]<<8 | (uint32_t)p[2]<<16 | (uint32_t)p[3]<<24;
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

/* Which numbers of a segment: from..to. */
static int get_part(struct call *c, int n, sqlite3_value **args, const struct shape *shape, int *from, int *to){
  const char *part = "z";
  int n_part = 1;
  *from = 0;
  *to = shape->s + shape->r;
  if( n>1 && call_text(c, args, 1, "part", &part, &n_part)!=SQLITE_OK ) return 0;
  if( n_part==1 && part[0]=='z' ) return 1;
  if( n_part==1 && part[0]=='s' ){ *to = shape->s; return 1; }
  if( n_part==1 && part[0]=='r' ){ *from = shape->s; return 1; }
  fail(&c->err, SQLITE_ERROR, "argument 2 (part) is '%.40s', expected 's', 'r' or 'z'", part);
  return 0;
}

void scalar_vector(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  struct model *m;
  struct buf out;
  int from, to;
  if( has_null(n, args, 2) ) return;
  call_begin(&c, context, n, args);
  out = call_buf(&c);
  if( get(&c, args, 0, &z) && get_model(&c, &z, &m) && get_part(&c, n, args, &m->config.shape, &from, &to) ){
    for(int i=0; i<z.n_segments; i++) append_f32(&out, z.z + (size_t)i*(size_t)z.width + from, to-from);
  }
  result_blob(&c, &out);
  call_end(&c);
}

/* The numbers of a blob as a point of the present model, of the kind that options name. */
static int from_vector(struct call *c, const unsigned char *data, int n, struct latent *z){
  struct model *m;
  int width, count = n/4;
  if( call_model(c, &m)!=SQLITE_OK ) return 0;
  width = m->config.shape.s + m->config.shape.r;
  if( n==0 || n%(4*width)!=0 || count/width>65535 ){
    fail(&c->err, SQLITE_ERROR, "argument 1 (vector) has %d bytes, expected %d for each of 1 to 65535 segments", n, 4*width);
    return 0;
  }
  *z = (struct latent){ .kind = m->config.kind, .n_segments = count/width, .width = width, .fingerprint = m->config.fingerprint };
  z->z = arena_floats(&c->arena, (size_t)count);
  if( !z->z ) fail_nomem(&c->err);
  for(int i=0; i<count && c->err.rc==SQLITE_OK; i++){
    z->z[i] = f32_at(data + 4*i);
    if( !isfinite(z->z[i]) ) fail(&c->err, SQLITE_ERROR, "argument 1 (vector): number %d is not finite", i);
  }
  return c->err.rc==SQLITE_OK && point_settle(c, z, m->config.shape.s)==SQLITE_OK;
}

void scalar_from_vector(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent z;
  struct options o;
  const void *data;
  int n_data;
  if( has_null(n, args, 1) ) return;
  call_begin(&c, context, n-1, args+1);         /* the vector is no latent, whatever its bytes */
  if( call_blob(&c, args, 0, "vector", &data, &n_data)==SQLITE_OK && get_options(&c, n, args, 1, 0, &o) && from_vector(&c, data, n_data, &z) ){
    result_latent(&c, &z);
  }
  call_end(&c);
}

/* ---- The model ---- */

static void json_text(struct buf *out, const char *name, const char *text){
  buf_printf(out, "\"%s\":", name);
  buf_json_string(out, text, strlen(text));
}

static int64_t n_parameters(const struct model *m){
  int64_t sum = 0;
  for(int i=0; i<m->file.n_tensors; i++){
    const struct tensor *t = &m->file.tensors[i];
    const char *dot = strrchr(t->name, '.');
    if( !dot || strcmp(dot, ".scale")!=0 ) sum += t->shape[0]*t->shape[1];
  }
  return sum;
}

static void info_model(struct buf *out, const struct model *m){
  const struct shape *s = &m->config.shape;
  buf_char(out, '{');
  json_text(out, "kind", kind_name(m->config.kind));
  buf_printf(out, ",\"fingerprint\":\"%08x\",", m->config.fingerprint);
  json_text(out, "path", m->path);
  buf_printf(out, ",\"parameters\":%lld,\"bytes\":%lld,", (long long)n_parameters(m), (long long)m->file.map.n);
  buf_printf(out, "\"shape\":{\"d\":%d,\"encoder_layers\":%d,\"decoder_layers\":%d,\"s\":%d,\"r\":%d,\"registers\":%d,\"memory\":%d,\"pieces\":%d,"
             "\"longest\":%d,\"words\":%d}}", s->d, s->encoder_layers, s->decoder_layers, s->s, s->r, s->registers, s->memory, s->pieces, s->longest, s->words);
}

/* Without weights: why, and where they were looked for. That is an answer here, not an error. */
static void info_missing(struct call *c, struct buf *out){
  struct places places;
  int is_nomem = c->err.rc==SQLITE_NOMEM;
  buf_str(out, "null,");
  json_text(out, "error", c->err.text);
  if( is_nomem ) return;
  c->err = (struct err){ 0 };
  places_list(&places, KIND_TEXT, &c->arena, &c->err);
  buf_str(out, ",\"places\":[");
  for(int i=0; i<places.n; i++){
    if( i ) buf_char(out, ',');
    buf_json_string(out, places.path[i], strlen(places.path[i]));
  }
  buf_char(out, ']');
}

void scalar_info(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct model *m;
  struct buf out = { 0 };
  call_begin(&c, context, n, args);
  buf_char(&out, '{');
  json_text(&out, "version", LATENT_VERSION);
  buf_char(&out, ',');
  json_text(&out, "sqlite", sqlite3_libversion());
  buf_str(&out, ",\"model\":");
  if( call_model(&c, &m)==SQLITE_OK ) info_model(&out, m);
  else info_missing(&c, &out);
  for(int kind=KIND_PICTURE; kind<=KIND_CODE; kind++){          /* once they are in use: nobody waits for their loading here */
    buf_printf(&out, ",\"%s\":", kind_name(kind));
    if( c.connection->models[kind] ) info_model(&out, c.connection->models[kind]);
    else buf_str(&out, "null");
  }
  buf_char(&out, ',');
  json_text(&out, "kernel", linear_kernel());
  buf_printf(&out, ",\"threads\":%d,\"memory\":%lld}", c.connection->n_threads, (long long)sqlite3_memory_used());
  result_buf(&c, &out);
  call_end(&c);
}

static int get_path(struct call *c, sqlite3_value **args, const char **path){
  int n;
  if( call_text(c, args, 0, "path", path, &n)!=SQLITE_OK ) return 0;
  if( n>0 && memchr(*path, 0, (size_t)n)==NULL ) return 1;
  fail(&c->err, SQLITE_ERROR, "argument 1 (path) is %s, expected a file of weights or its directory", n ? "text with a zero byte" : "empty");
  return 0;
}

void scalar_load(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  const char *path;
  struct model *m;
  char fingerprint[16];
  if( has_null(n, args, 1) ) return;
  call_begin(&c, context, n, args);
  if( get_path(&c, args, &path) && call_load(&c, path, &m)==SQLITE_OK ){
    sqlite3_snprintf(sizeof(fingerprint), fingerprint, "%08x", m->config.fingerprint);
    sqlite3_result_text(context, fingerprint, -1, SQLITE_TRANSIENT);
  }
  call_end(&c);
}
