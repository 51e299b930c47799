/*
** call_value.c -- SQL values to points and numbers, and points back to SQL values.
**
** Everything that comes in is checked here. A refusal says which argument, what came and what was
** expected. TEXT is asked for as UTF-8 (SQLite converts it in a UTF-16 database) with its length,
** so that zero bytes are kept.
*/
#include "call.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- What came, in words ---- */

static void describe_blob(sqlite3_value *v, char *out){
  enum { SHOWN = 8 };
  int n = sqlite3_value_bytes(v);
  const unsigned char *bytes = sqlite3_value_blob(v);
  size_t at;
  if( bytes && picture_is(bytes, (size_t)n) ){
    const char *format = bytes[0]==0x89 ? "PNG" : "JPEG";
    sqlite3_snprintf(DESCRIBED, out, "a picture (a %s of %d bytes)", format, n);
    return;
  }
  sqlite3_snprintf(DESCRIBED, out, "a BLOB of %d byte%s", n, n==1 ? "" : "s");
  if( bytes==NULL || n==0 ) return;
  for(int i=0; i<n && i<SHOWN; i++){
    at = strlen(out);
    sqlite3_snprintf((int)(DESCRIBED - at), out + at, "%s%02x", i ? " " : " (", bytes[i]);
  }
  at = strlen(out);
  sqlite3_snprintf((int)(DESCRIBED - at), out + at, n>SHOWN ? " ...)" : ")");
}

void value_describe(sqlite3_value *v, char out[DESCRIBED]){
  switch( sqlite3_value_type(v) ){
    case SQLITE_NULL:
      sqlite3_snprintf(DESCRIBED, out, "NULL");
      break;
    case SQLITE_INTEGER:
      sqlite3_snprintf(DESCRIBED, out, "the INTEGER %lld", sqlite3_value_int64(v));
      break;
    case SQLITE_FLOAT:
      sqlite3_snprintf(DESCRIBED, out, "the REAL %.15g", sqlite3_value_double(v));
      break;
    case SQLITE_TEXT:
      sqlite3_snprintf(DESCRIBED, out, "the TEXT '%!.24s'", sqlite3_value_text(v));
      break;
    default:
      describe_blob(v, out);
  }
}

enum { NAMED = 80 };
/* "argument 1 (name)", or "argument 1" where it has no name. */
static const char *name_argument(int i, const char *name, char out[NAMED]){
  if( name ) sqlite3_snprintf(NAMED, out, "argument %d (%s)", i + 1, name);
  else sqlite3_snprintf(NAMED, out, "argument %d", i + 1);
  return out;
}

int refuse_argument(struct call *c, int i, const char *name, const char *expected){
  char what[NAMED];
  char came[DESCRIBED];
  value_describe(c->args[i], came);
  name_argument(i, name, what);
  return fail(&c->err, SQLITE_ERROR, "%s is %s, expected %s", what, came, expected);
}

/* ---- Numbers and bytes ---- */

struct content value_bytes(struct call *c, sqlite3_value *v){
  struct content content = { "", 0 };
  int is_text = sqlite3_value_type(v)==SQLITE_TEXT;
  const void *data;
  int n;
  if( c->err.rc!=SQLITE_OK ) return content;
  data = is_text ? (const void *)sqlite3_value_text(v) : sqlite3_value_blob(v);
  n = sqlite3_value_bytes(v);           /* second: asking for the bytes may change their number */
  if( data ) content = (struct content){ data, (size_t)n };
  else if( is_text || n>0 ) fail_nomem(&c->err);
  return content;
}

/* Text that reads as a number is one: it comes from CSV files and from columns without a type. */
double call_number(struct call *c, int i, const char *name, double least, double most){
  char expected[80];
  double x = 0;
  int type;
  assert( i<c->n_args && least<=most );
  if( c->err.rc!=SQLITE_OK ) return 0;
  type = sqlite3_value_numeric_type(c->args[i]);
  if( type==SQLITE_INTEGER || type==SQLITE_FLOAT ){
    x = sqlite3_value_double(c->args[i]);
    if( x>=least && x<=most ) return x;
  }
  sqlite3_snprintf(sizeof(expected), expected, "a number from %.16g to %.16g", least, most);
  refuse_argument(c, i, name, expected);
  return 0;
}

sqlite3_int64 call_integer(struct call *c, int i, const char *name, sqlite3_int64 least,
                           sqlite3_int64 most){
  int is_any = least==INT64_MIN && most==INT64_MAX;
  char expected[80] = "an integer";
  assert( i<c->n_args && least<=most );
  if( c->err.rc!=SQLITE_OK ) return 0;
  if( sqlite3_value_numeric_type(c->args[i])==SQLITE_INTEGER ){
    sqlite3_int64 x = sqlite3_value_int64(c->args[i]);
    if( x>=least && x<=most ) return x;
  }
  if( !is_any ){
    sqlite3_snprintf(sizeof(expected), expected, "an integer from %lld to %lld", least, most);
  }
  refuse_argument(c, i, name, expected);
  return 0;
}

static struct content call_bytes(struct call *c, int i, const char *name, int type,
                                 const char *expected){
  assert( i<c->n_args );
  if( c->err.rc==SQLITE_OK && sqlite3_value_type(c->args[i])!=type ){
    refuse_argument(c, i, name, expected);
  }
  return value_bytes(c, c->args[i]);
}

struct content call_text(struct call *c, int i, const char *name){
  return call_bytes(c, i, name, SQLITE_TEXT, "text");
}

struct content call_blob(struct call *c, int i, const char *name){
  return call_bytes(c, i, name, SQLITE_BLOB, "a BLOB");
}

enum { NUMBERS_A_TIME = 1 << 16 };      /* until SQLite is asked whether to go on */

/* ---- Bare vectors ---- */

static void take_number(struct call *c, struct vector *vector, size_t i, float x, const char *what){
  vector->x[i] = x;
  if( !isfinite(x) ){
    fail(&c->err, SQLITE_ERROR, "%s: number %zu is NaN, infinite or too large for a float", what,
         i + 1);
  }
}

static struct vector vector_of_blob(struct call *c, struct content blob, const char *what){
  struct vector vector = { .n = blob.n/4 };
  struct reader r = reader_of(blob.bytes, blob.n);
  if( blob.n%4!=0 ){
    fail(&c->err, SQLITE_ERROR, "%s is a BLOB of %zu bytes, expected 4 for each number", what,
         blob.n);
    return vector;
  }
  vector.x = arena_floats(&c->arena, vector.n);
  if( vector.x==NULL ) fail_nomem(&c->err);
  for(size_t i=0; i<vector.n && c->err.rc==SQLITE_OK; i++){
    uint32_t bits = reader_u32(&r);
    float x;
    memcpy(&x, &bits, sizeof(x));
    if( i%NUMBERS_A_TIME==0 && err_stopped(&c->err) ) break;
    take_number(c, &vector, i, x, what);
  }
  return vector;
}

static struct vector vector_of_json(struct call *c, struct content text, const char *what){
  struct json j = json_of(text.bytes, text.n, what, &c->err);
  struct json all = j;
  struct vector vector = { 0 };
  if( json_next(&j)!='[' ){
    fail(&c->err, SQLITE_ERROR, "%s is TEXT that is no JSON array of numbers, such as [0.1, -0.2]",
         what);
  }
  vector.n = json_skip(&j);
  json_close(&j);
  if( c->err.rc==SQLITE_OK ) vector.x = arena_floats(&c->arena, vector.n);
  if( vector.x==NULL ) fail_nomem(&c->err);
  json_take(&all, '[');
  for(size_t i=0; i<vector.n && json_more(&all, i>0, ']'); i++){
    double x;
    int is_number = json_number(&all, &x);
    if( i%NUMBERS_A_TIME==0 && err_stopped(&c->err) ) break;
    if( is_number ) take_number(c, &vector, i, (float)x, what);
    else fail(&c->err, SQLITE_ERROR, "%s: item %zu of the array is no number", what, i + 1);
  }
  if( !json_take(&all, ']') ) json_bad(&all);
  return vector;
}

struct vector value_vector(struct call *c, sqlite3_value *v, const char *what){
  struct vector vector = { 0 };
  int type = sqlite3_value_type(v);
  char came[DESCRIBED];
  struct content bytes;
  if( c->err.rc!=SQLITE_OK ) return vector;
  if( type!=SQLITE_BLOB && type!=SQLITE_TEXT ){
    value_describe(v, came);
    fail(&c->err, SQLITE_ERROR, "%s is %s, expected a BLOB or a JSON array", what, came);
    return vector;
  }
  bytes = value_bytes(c, v);
  if( c->err.rc!=SQLITE_OK ) return vector;
  vector = type==SQLITE_BLOB ? vector_of_blob(c, bytes, what) : vector_of_json(c, bytes, what);
  return c->err.rc==SQLITE_OK ? vector : (struct vector){ 0 };
}

struct content value_vector_blob(struct call *c, sqlite3_value *v, const char *what, size_t n){
  struct content blob = { "", 0 };
  struct vector vector;
  unsigned char *to;
  if( sqlite3_value_type(v)!=SQLITE_TEXT ) return value_bytes(c, v);
  vector = value_vector(c, v, what);
  if( c->err.rc==SQLITE_OK && vector.n!=n ){
    fail(&c->err, SQLITE_ERROR, "%s is an array of %zu numbers, expected %zu", what, vector.n, n);
  }
  to = c->err.rc==SQLITE_OK ? arena_get(&c->arena, 4*n) : NULL;
  if( to==NULL ){
    fail_nomem(&c->err);
    return blob;
  }
  for(size_t i=0; i<n; i++){
    uint32_t bits;
    memcpy(&bits, &vector.x[i], sizeof(bits));
    for(int k=0; k<4; k++) to[4*i+k] = (unsigned char)(bits >> 8*k);
  }
  return (struct content){ (const char *)to, 4*n };
}

/* ---- Latents ---- */

/* As the BLOB holds it (codec_latent.c writes f16). So a text means the same here as its stored
** latent, and latent_interp(a, b, 0) gives what latent_decode(latent_encode(a)) gives. */
static void round_as_stored(struct latent *z){
  round_to_halves(z->z, (size_t)z->n_segments*(size_t)z->width);
}

struct model *latent_model(struct call *c, const struct latent *z){
  struct model *m = call_model_of(c, z->kind, z->fingerprint);
  if( m==NULL || m->config.fingerprint==z->fingerprint ) return m;
  fail(&c->err, SQLITE_ERROR, "a latent of model %08x, the present model is %08x: latent_load() "
       "came in between", z->fingerprint, m->config.fingerprint);
  return NULL;
}

/* Where options name a kind, no point may be of another. */
static int check_named(struct call *c, const struct latent *z, int kind, const char *what){
  const char *expected = kind_name(c->named);
  if( c->named==0 || kind==c->named ) return SQLITE_OK;
  if( z->kind==KIND_DIRECTION ){
    return fail(&c->err, SQLITE_ERROR, "%s is a direction of kind %s, expected %s", what,
                kind_name(kind), expected);
  }
  return fail(&c->err, SQLITE_ERROR, "%s is a latent of kind %s, expected %s or direction", what,
              kind_name(kind), expected);
}

static void check_model(struct call *c, const struct latent *z, const struct model *m,
                        const char *what){
  const struct config *config = &m->config;
  int width = model_width(m);
  if( z->fingerprint!=config->fingerprint ){
    fail(&c->err, SQLITE_ERROR, "%s is a latent of model %08x, the present model is %08x (%.150s): "
         "encode the content again, or latent_load() the weights that made it", what,
         z->fingerprint, config->fingerprint, m->shared.path);
  }else if( z->width!=width ){
    fail(&c->err, SQLITE_ERROR, "%s is a latent of width %d, model %08x makes %d", what, z->width,
         config->fingerprint, width);
  }else{
    check_named(c, z, config->kind, what);
  }
}

/* Every latent from outside passes here: it is whole, finite, and of the present model
** of its kind. */
static void read_latent(struct call *c, struct content blob, const char *what, struct latent *z){
  const char *who = c->function->name;
  struct model *m;
  if( latent_read(z, blob.bytes, blob.n, &c->arena, who, &c->err)!=SQLITE_OK ) return;
  if( z->kind!=KIND_DIRECTION && check_named(c, z, z->kind, what)!=SQLITE_OK ) return;
  m = call_model_of(c, z->kind, z->fingerprint);
  if( m==NULL ) return;
  check_model(c, z, m, what);
  z->s = model_s(m);
}

/* A latent that || or replace() or a text file has turned into TEXT is broken, and no content. */
static void check_text(struct call *c, struct content content, const char *what){
  const char *text = content.bytes;
  if( content.n<5 || !latent_is(text, content.n) || (unsigned char)text[4]>=' ' ) return;
  fail(&c->err, SQLITE_ERROR, "%s is a latent that has become TEXT on its way, expected the BLOB",
       what);
}

int value_kind(struct call *c, sqlite3_value *v){
  int type = sqlite3_value_type(v);
  const void *data = type==SQLITE_BLOB ? sqlite3_value_blob(v) : NULL;
  if( type==SQLITE_TEXT ) return call_kind(c)==KIND_CODE ? KIND_CODE : KIND_TEXT;
  return data && picture_is(data, (size_t)sqlite3_value_bytes(v)) ? KIND_PICTURE : 0;
}

/* The model that encodes content of a kind. */
static struct model *content_model(struct call *c, int kind, const char *what){
  if( c->err.rc!=SQLITE_OK ) return NULL;
  if( c->named==KIND_PICTURE && kind!=KIND_PICTURE ){
    fail(&c->err, SQLITE_ERROR, "%s is text, and options name the kind picture: "
         "latent_image(text, seed) makes a picture of a text", what);
  }else if( c->named && kind!=c->named ){
    fail(&c->err, SQLITE_ERROR, "%s is a picture, and options name the kind %s", what,
         kind_name(c->named));
  }
  return call_model_of(c, kind, 0);
}

const struct model *value_content(struct call *c, sqlite3_value *v, int kind, const char *what,
                                  struct content *content){
  const struct model *m;
  *content = value_bytes(c, v);
  m = content_model(c, kind, what);
  if( sqlite3_value_type(v)==SQLITE_TEXT ) check_text(c, *content, what);
  return c->err.rc==SQLITE_OK ? m : NULL;
}

static void encode_content(struct call *c, sqlite3_value *v, int kind, const char *what,
                           struct latent *z){
  struct content content;
  const struct model *m = value_content(c, v, kind, what, &content);
  if( m==NULL ) return;
  contents_encode(m, &c->run, &content, 1, what, c->rounds, z);
  if( c->err.rc==SQLITE_OK ) round_as_stored(z);
}

static void refuse_blob(struct call *c, const char *what, const char *came){
  fail(&c->err, SQLITE_ERROR, "%s is %s and no latent (those begin with 4c 54 4e 54), expected "
       WANTED_POINT, what, came);
}

struct latent value_latent(struct call *c, sqlite3_value *v, const char *what){
  struct latent z = { 0 };
  char came[DESCRIBED];
  int type = sqlite3_value_type(v);
  int kind;
  if( type==SQLITE_NULL || c->err.rc!=SQLITE_OK ) return z;
  kind = value_kind(c, v);
  if( kind ){
    encode_content(c, v, kind, what, &z);
    return z;
  }
  value_describe(v, came);
  if( type!=SQLITE_BLOB ){
    fail(&c->err, SQLITE_ERROR, "%s is %s, expected " WANTED_POINT, what, came);
  }else{
    struct content blob = value_bytes(c, v);
    if( latent_is(blob.bytes, blob.n) ) read_latent(c, blob, what, &z);
    else refuse_blob(c, what, came);
  }
  return z;
}

struct latent value_point(struct call *c, sqlite3_value *v, const char *what){
  struct latent z = value_latent(c, v, what);
  check_point(c, &z, what);
  return z;
}

/* ---- Constant arguments are encoded once a statement ----
** SQLite keeps auxiliary data for arguments that are constant throughout a statement, and frees it
** at once for all others. */
struct encoded {                /* one allocation: the head, then the numbers of z */
  struct latent z;              /* its fingerprint tells whether latent_load() came in between */
  int rounds;
  float numbers[];
};

static void copy_latent(struct call *c, struct latent *to, const struct latent *from){
  size_t count = (size_t)from->n_segments*(size_t)from->width;
  float *z = arena_floats(&c->arena, count);
  if( z==NULL ){
    fail_nomem(&c->err);
    return;
  }
  memcpy(z, from->z, count*sizeof(float));
  *to = *from;
  to->z = z;
}

/* If there is no memory for it the argument is encoded again the next time. SQLite may free the
** copy at once. */
static void remember(struct call *c, int i, const struct latent *z){
  size_t bytes = (size_t)z->n_segments*(size_t)z->width*sizeof(float);
  struct encoded *e = mem_alloc(sizeof(*e) + bytes);
  if( e==NULL ) return;
  e->z = *z;
  e->z.z = e->numbers;
  e->rounds = c->rounds;
  memcpy(e->numbers, z->z, bytes);
  sqlite3_set_auxdata(c->context, i, e, mem_free);
}

/* Argument i where this statement has encoded it before: true, and z. */
static int recall(struct call *c, int i, int kind, const char *what, struct latent *z){
  const struct encoded *known = sqlite3_get_auxdata(c->context, i);
  const struct model *m;
  if( known==NULL || kind==0 ) return 0;
  m = content_model(c, kind, what);
  if( m==NULL ) return 0;
  if( known->z.fingerprint!=m->config.fingerprint || known->rounds!=c->rounds ) return 0;
  copy_latent(c, z, &known->z);
  return 1;
}

struct latent call_latent(struct call *c, int i, const char *name){
  struct latent z = { 0 };
  char what[NAMED];
  int kind;
  assert( i<c->n_args );
  if( c->err.rc!=SQLITE_OK ) return z;
  name_argument(i, name, what);
  if( !c->keeps_points ) return value_latent(c, c->args[i], what);
  kind = value_kind(c, c->args[i]);
  if( recall(c, i, kind, what, &z) ) return z;
  z = value_latent(c, c->args[i], what);
  if( c->err.rc==SQLITE_OK && kind ) remember(c, i, &z);
  return z;
}

struct latent call_point(struct call *c, int i, const char *name){
  struct latent z = call_latent(c, i, name);
  char what[NAMED];
  check_point(c, &z, name_argument(i, name, what));
  return z;
}

/* ---- Points that meet ---- */

static const char *a_direction(const struct latent *z){
  return z->kind==KIND_DIRECTION ? "a direction " : "";
}

void check_kinds(struct call *c, const struct latent *z, int n){
  for(int i=1; i<n && c->err.rc==SQLITE_OK; i++){
    const struct model *a, *b;
    if( z[i].fingerprint==z[0].fingerprint && z[i].width==z[0].width ) continue;
    a = latent_model(c, &z[0]);
    b = latent_model(c, &z[i]);
    if( c->err.rc!=SQLITE_OK ) return;
    fail(&c->err, SQLITE_ERROR, "argument 1 is %sof kind %s, argument %d %sof kind %s: "
         "latent_cross(content, style) puts two kinds together", a_direction(&z[0]),
         kind_name(a->config.kind), i + 1, a_direction(&z[i]), kind_name(b->config.kind));
  }
}

/* An empty latent, from NULL or a failure, is left alone. */
void check_point(struct call *c, const struct latent *z, const char *what){
  if( z->n_segments==0 || z->kind!=KIND_DIRECTION ) return;
  fail(&c->err, SQLITE_ERROR, "%s is a direction, expected a point: add it to one with "
       "latent_add(point, direction) or latent_move(point, direction, amount)", what);
}

/* ---- Results ---- */

/* Sums of large directions may leave the range of a float. Every function's result passes here. */
static void check_finite(struct call *c, const struct latent *z){
  size_t count = (size_t)z->n_segments*(size_t)z->width;
  for(size_t i=0; i<count && c->err.rc==SQLITE_OK; i++){
    if( i%NUMBERS_A_TIME==0 && err_stopped(&c->err) ) return;
    if( !isfinite(z->z[i]) ) fail(&c->err, SQLITE_ERROR, "the result is too large for a float");
  }
}

/* SQLite's own limit for the length of a string or blob, noticed before the memory is taken. */
struct buf call_buf(struct call *c){
  int limit = sqlite3_limit(c->connection->db, SQLITE_LIMIT_LENGTH, -1);
  return (struct buf){ .max = (size_t)limit };
}

void check_buf(struct call *c, const struct buf *b){
  if( b->rc==SQLITE_TOOBIG ){
    fail(&c->err, SQLITE_TOOBIG, "the result is longer than %lld bytes, SQLite's limit here",
         b->max ? (sqlite3_int64)b->max : 1000000000);
  }else if( b->rc!=SQLITE_OK ){
    fail_nomem(&c->err);
  }
}

void check_bound(struct call *c, int rc){
  if( rc==SQLITE_TOOBIG ){
    fail(&c->err, rc, "a value is longer than %d bytes, SQLite's limit here",
         sqlite3_limit(c->connection->db, SQLITE_LIMIT_LENGTH, -1));
  }else if( rc!=SQLITE_OK ){
    fail_nomem(&c->err);
  }
}

/* type: SQLITE_TEXT or SQLITE_BLOB. */
static void result_bytes(struct call *c, struct buf *b, int type){
  const char *data = b->n ? b->data : "";
  void (*release)(void *) = b->n ? mem_free : SQLITE_STATIC;
  assert( c->context );
  check_buf(c, b);
  if( c->err.rc==SQLITE_OK ){
    if( type==SQLITE_TEXT ) sqlite3_result_text64(c->context, data, b->n, release, SQLITE_UTF8);
    else sqlite3_result_blob64(c->context, data, b->n, release);
    if( b->n ) *b = (struct buf){ 0 };
  }
  buf_release(b);
}

void result_buf(struct call *c, struct buf *b){
  result_bytes(c, b, SQLITE_TEXT);
}

void result_blob(struct call *c, struct buf *b){
  result_bytes(c, b, SQLITE_BLOB);
}

void result_latent(struct call *c, const struct latent *z){
  struct buf b = call_buf(c);
  check_finite(c, z);
  if( c->err.rc==SQLITE_OK ) latent_write(&b, z, &c->err);
  result_blob(c, &b);
}

void result_made(struct call *c, const struct model *m, struct buf *b){
  if( m->config.kind==KIND_PICTURE ) result_blob(c, b);
  else result_buf(c, b);
}

/* A direction, taken as the point on the sphere that it points at. */
static void direction_to_point(struct call *c, struct latent *z, const struct model *m){
  struct latent direction = *z;
  copy_latent(c, z, &direction);
  if( c->err.rc!=SQLITE_OK ) return;
  z->kind = m->config.kind;
  point_normalize(z);
}

void result_content(struct call *c, const struct latent *z, const struct options *o){
  const struct decode_options *decode = &o->decode;
  struct latent point = *z;
  struct model *m = latent_model(c, z);
  struct buf b = call_buf(c);
  if( m==NULL ) return;
  if( o->kind && z->kind==KIND_DIRECTION ) direction_to_point(c, &point, m);
  if( point.kind==KIND_DIRECTION ){
    fail(&c->err, SQLITE_ERROR, "argument 1 is a direction, which is no content: add it to a point "
         "with latent_add(point, direction) or latent_move(point, direction, amount), or give "
         "{\"kind\":\"%s\"} to read it as a point", kind_name(m->config.kind));
  }
  check_finite(c, &point);
  if( c->err.rc==SQLITE_OK ){
    contents_decode(m, &c->run, &point, 1, &decode->fluency, decode, &b, NULL);
  }
  result_made(c, m, &b);
}
