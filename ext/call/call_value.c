/*
** call_value.c -- SQL values to points and numbers, and points back to SQL values.
**
** Everything that comes in is checked here, and a refusal says which argument, what came and what was expected.
** TEXT is asked for as UTF-8 (SQLite converts in a UTF-16 database) with its length, so that zero bytes are kept.
*/
#include "call.h"
#include <math.h>
#include <string.h>

int has_null(int n, sqlite3_value **args, int n_checked){
  for(int i=0; i<n && i<n_checked; i++){
    if( sqlite3_value_type(args[i])==SQLITE_NULL ) return 1;
  }
  return 0;
}

/* ---- What came, in words ---- */

static void describe_blob(sqlite3_value *v, char *out){
  int n = sqlite3_value_bytes(v);
  const unsigned char *bytes = sqlite3_value_blob(v);
  if( bytes && picture_is(bytes, (size_t)n) ){
    sqlite3_snprintf(DESCRIBED, out, "a picture (a %s of %d bytes)", bytes[0]==0x89 ? "PNG" : "JPEG", n);
    return;
  }
  sqlite3_snprintf(DESCRIBED, out, "a BLOB of %d byte%s", n, n==1 ? "" : "s");
  for(int i=0; bytes && i<n && i<8; i++){
    size_t at = strlen(out);
    sqlite3_snprintf((int)(DESCRIBED-at), out+at, "%s%02x%s", i ? " " : " (", bytes[i], i==7 && n>8 ? " ...)" : i==7 || i==n-1 ? ")" : "");
  }
}

void value_describe(sqlite3_value *v, char out[DESCRIBED]){
  switch( sqlite3_value_type(v) ){
    case SQLITE_NULL:     sqlite3_snprintf(DESCRIBED, out, "NULL"); break;
    case SQLITE_INTEGER:  sqlite3_snprintf(DESCRIBED, out, "the INTEGER %lld", sqlite3_value_int64(v)); break;
    case SQLITE_FLOAT:    sqlite3_snprintf(DESCRIBED, out, "the REAL %.15g", sqlite3_value_double(v)); break;
    case SQLITE_TEXT:     sqlite3_snprintf(DESCRIBED, out, "the TEXT '%!.24s'", sqlite3_value_text(v)); break;
    default:              describe_blob(v, out);
  }
}

/* ---- Points ---- */

int value_bytes(struct call *c, sqlite3_value *v, const void **data, int *n){
  int is_text = sqlite3_value_type(v)==SQLITE_TEXT;
  *data = is_text ? (const void*)sqlite3_value_text(v) : sqlite3_value_blob(v);
  *n = sqlite3_value_bytes(v);
  if( !*data && (is_text || *n>0) ) return fail_nomem(&c->err);
  if( !*data ) *data = "";
  return SQLITE_OK;
}

/* A point as its BLOB holds it (codec_latent.c writes f16): so text means the same here as its stored latent, and
** latent_interp(a, b, 0) gives what latent_decode(latent_encode(a)) does. */
static void round_as_stored(struct latent *z){
  round_to_halves(z->z, (size_t)z->n_segments*(size_t)z->width);
}

int latent_model(struct call *c, const struct latent *z, struct model **m){
  if( call_model_of(c, z->kind, z->fingerprint, m)!=SQLITE_OK || (*m)->config.fingerprint==z->fingerprint ) return c->err.rc;
  return fail(&c->err, SQLITE_ERROR, "a latent of model %08x, the present model is %08x: latent_load() came in between", z->fingerprint, (*m)->config.fingerprint);
}

/* Where options name a kind no point may be of another. */
static int check_named(struct call *c, const struct latent *z, int kind, const char *what){
  if( c->named==0 || kind==c->named ) return SQLITE_OK;
  if( z->kind==KIND_DIRECTION ) return fail(&c->err, SQLITE_ERROR, "%s is a direction of kind %s, expected %s", what, kind_name(kind), kind_name(c->named));
  return fail(&c->err, SQLITE_ERROR, "%s is a latent of kind %s, expected %s or direction", what, kind_name(kind), kind_name(c->named));
}

/* Every way in for a latent from outside passes here: whole, finite, and of the present model of its kind. */
static int read_latent(struct call *c, const void *blob, int n, const char *what, struct latent *z){
  const struct config *config;
  struct model *m;
  if( latent_read(z, blob, (size_t)n, &c->arena, c->function->name, &c->err)!=SQLITE_OK ) return c->err.rc;
  if( z->kind!=KIND_DIRECTION && check_named(c, z, z->kind, what)!=SQLITE_OK ) return c->err.rc;
  if( call_model_of(c, z->kind, z->fingerprint, &m)!=SQLITE_OK ) return c->err.rc;
  config = &m->config;
  if( z->fingerprint!=config->fingerprint ){
    return fail(&c->err, SQLITE_ERROR, "%s is a latent of model %08x, the present model is %08x (%.150s): encode the content again, or "
                "latent_load() the weights that made it", what, z->fingerprint, config->fingerprint, m->path);
  }
  if( z->width!=config->shape.s+config->shape.r ){
    return fail(&c->err, SQLITE_ERROR, "%s is a latent of width %d, model %08x makes %d", what, z->width, config->fingerprint,
                config->shape.s+config->shape.r);
  }
  return check_named(c, z, config->kind, what);
}

/* All text is content but one: a latent that || or replace() or a text file has turned into TEXT, and broken. */
static int check_text(struct call *c, const char *text, int n, const char *what){
  if( n<5 || !latent_is(text, (size_t)n) || (unsigned char)text[4]>=' ' ) return SQLITE_OK;
  return fail(&c->err, SQLITE_ERROR, "%s is a latent that has become TEXT on its way, expected the BLOB", what);
}

int value_kind(struct call *c, sqlite3_value *v){
  int type = sqlite3_value_type(v);
  const void *data = type==SQLITE_BLOB ? sqlite3_value_blob(v) : NULL;
  if( type==SQLITE_TEXT ) return call_kind(c)==SQLITE_OK && c->kind==KIND_CODE ? KIND_CODE : KIND_TEXT;
  return data && picture_is(data, (size_t)sqlite3_value_bytes(v)) ? KIND_PICTURE : 0;
}

/* The model that encodes content of a kind. */
static int content_model(struct call *c, int kind, const char *what, struct model **m){
  *m = NULL;
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( c->named==KIND_PICTURE && kind!=KIND_PICTURE ){
    return fail(&c->err, SQLITE_ERROR, "%s is text, and options name the kind picture: latent_image(text, seed) makes a picture of a text", what);
  }
  if( c->named && kind!=c->named ) return fail(&c->err, SQLITE_ERROR, "%s is a picture, and options name the kind %s", what, kind_name(c->named));
  return call_model_of(c, kind, 0, m);
}

static int encode_content(struct call *c, sqlite3_value *v, int kind, const char *what, struct latent *z){
  struct content content;
  struct model *m;
  int n;
  if( value_bytes(c, v, &content.bytes, &n)!=SQLITE_OK || content_model(c, kind, what, &m)!=SQLITE_OK ) return c->err.rc;
  if( sqlite3_value_type(v)==SQLITE_TEXT && check_text(c, content.bytes, n, what)!=SQLITE_OK ) return c->err.rc;
  content.n = (size_t)n;
  if( contents_encode(m, &c->run, &content, 1, what, c->rounds, z)==SQLITE_OK ) round_as_stored(z);
  return c->err.rc;
}

int value_point(struct call *c, sqlite3_value *v, const char *what, struct latent *z, int *is_null){
  int type = sqlite3_value_type(v), kind = value_kind(c, v), n;
  const void *data;
  char came[DESCRIBED];
  memset(z, 0, sizeof(*z));
  *is_null = type==SQLITE_NULL;
  if( *is_null ) return SQLITE_OK;
  if( kind ) return encode_content(c, v, kind, what, z);
  value_describe(v, came);
  if( type!=SQLITE_BLOB ) return fail(&c->err, SQLITE_ERROR, "%s is %s, expected " WANTED_POINT, what, came);
  if( value_bytes(c, v, &data, &n)!=SQLITE_OK ) return c->err.rc;
  if( latent_is(data, (size_t)n) ) return read_latent(c, data, n, what, z);
  return fail(&c->err, SQLITE_ERROR, "%s is %s and no latent (those begin with 4c 54 4e 54), expected " WANTED_POINT, what, came);
}

/* ---- Constant arguments, encoded once a statement ----
** SQLite keeps auxiliary data for arguments that are constant throughout a statement and frees it at once for all others. */
struct encoded {                /* one allocation: the head, then z */
  struct latent z;              /* its fingerprint tells whether latent_load() came in between */
  int rounds;
  float numbers[];
};

static int copy_latent(struct call *c, struct latent *to, const struct latent *from){
  size_t count = (size_t)from->n_segments*(size_t)from->width;
  float *z = arena_floats(&c->arena, count);
  if( !z ) return fail_nomem(&c->err);
  memcpy(z, from->z, count*sizeof(float));
  *to = *from;
  to->z = z;
  return SQLITE_OK;
}

/* Best effort: without the memory for it the argument is simply encoded again. The copy may be gone as soon as SQLite has it. */
static void remember(struct call *c, int i, const struct latent *z){
  size_t bytes = (size_t)z->n_segments*(size_t)z->width*sizeof(float);
  struct encoded *e = mem_alloc(sizeof(*e) + bytes);
  if( !e ) return;
  e->z = *z;
  e->z.z = e->numbers;
  e->rounds = c->rounds;
  memcpy(e->numbers, z->z, bytes);
  sqlite3_set_auxdata(c->context, i, e, mem_free);
}

int call_point(struct call *c, sqlite3_value **args, int i, struct latent *z, int *is_null){
  char what[32];
  const struct encoded *known = sqlite3_get_auxdata(c->context, i);
  int kind = value_kind(c, args[i]);
  struct model *m;
  sqlite3_snprintf(sizeof(what), what, "argument %d", i+1);
  if( known && kind ){
    *is_null = 0;
    if( content_model(c, kind, what, &m)!=SQLITE_OK ) return c->err.rc;
    if( known->z.fingerprint==m->config.fingerprint && known->rounds==c->rounds ) return copy_latent(c, z, &known->z);
  }
  if( value_point(c, args[i], what, z, is_null)==SQLITE_OK && kind ) remember(c, i, z);
  return c->err.rc;
}

int check_kinds(struct call *c, const struct latent *z, int n){
  for(int i=1; i<n; i++){
    struct model *a, *b;
    if( z[i].fingerprint==z[0].fingerprint && z[i].width==z[0].width ) continue;
    if( latent_model(c, &z[0], &a)!=SQLITE_OK || latent_model(c, &z[i], &b)!=SQLITE_OK ) return c->err.rc;
    return fail(&c->err, SQLITE_ERROR, "argument 1 is %sof kind %s, argument %d %sof kind %s: latent_cross(content, style) puts two kinds together",
                z[0].kind==KIND_DIRECTION ? "a direction " : "", kind_name(a->config.kind), i+1, z[i].kind==KIND_DIRECTION ? "a direction " : "",
                kind_name(b->config.kind));
  }
  return SQLITE_OK;
}

int check_widths(struct call *c, const struct model *a, const struct model *b){
  if( a->config.shape.s==b->config.shape.s ) return SQLITE_OK;
  return fail(&c->err, SQLITE_ERROR, "the present model of kind %s has an s of width %d, that of kind %s one of width %d: expected models that were made for each other",
              kind_name(a->config.kind), a->config.shape.s, kind_name(b->config.kind), b->config.shape.s);
}

int check_point(struct call *c, const struct latent *z, const char *what){
  if( z->kind!=KIND_DIRECTION ) return SQLITE_OK;
  return fail(&c->err, SQLITE_ERROR, "%s is a direction, expected a point: add it to one with latent_add(point, direction) or "
              "latent_move(point, direction, amount)", what);
}

static double length(const float *x, int n){
  double sum = 0;
  for(int i=0; i<n; i++) sum += (double)x[i]*(double)x[i];
  return sqrt(sum);
}

int point_settle(struct call *c, struct latent *z, int s){
  const double rounding = 1e-2, most = 1e6;
  for(int i=0; i<z->n_segments && z->kind!=KIND_DIRECTION; i++){
    float *x = z->z + (size_t)i*(size_t)z->width;
    double length_s = length(x, s), length_r = length(x+s, z->width-s);
    if( length_s==0 || length_s>most || length_r>most ){
      return fail(&c->err, SQLITE_ERROR, "segment %d has an s of length %g and an r of length %g, expected about 1 and at most 1", i, length_s, length_r);
    }
    if( fabs(length_s-1)>rounding || length_r>1+rounding ) point_normalize(x, s, z->width);
  }
  return SQLITE_OK;
}

/* ---- Numbers and text ---- */

static int refuse(struct call *c, sqlite3_value *v, int i, const char *name, const char *expected){
  char came[DESCRIBED];
  value_describe(v, came);
  return fail(&c->err, SQLITE_ERROR, "argument %d (%s) is %s, expected %s", i+1, name, came, expected);
}

/* Text that reads as a number is one: it comes from CSV files and from columns without a type. */
int call_number(struct call *c, sqlite3_value **args, int i, const char *name, double least, double most, double *x){
  int type = sqlite3_value_numeric_type(args[i]);
  char expected[80];
  *x = 0;
  sqlite3_snprintf(sizeof(expected), expected, "a number from %.16g to %.16g", least, most);
  if( type!=SQLITE_INTEGER && type!=SQLITE_FLOAT ) return refuse(c, args[i], i, name, expected);
  *x = sqlite3_value_double(args[i]);
  return *x>=least && *x<=most ? SQLITE_OK : refuse(c, args[i], i, name, expected);
}

int call_integer(struct call *c, sqlite3_value **args, int i, const char *name, sqlite3_int64 least, sqlite3_int64 most, sqlite3_int64 *x){
  char expected[80];
  *x = 0;
  if( least==INT64_MIN && most==INT64_MAX ) sqlite3_snprintf(sizeof(expected), expected, "an integer");
  else sqlite3_snprintf(sizeof(expected), expected, "an integer from %lld to %lld", least, most);
  if( sqlite3_value_numeric_type(args[i])!=SQLITE_INTEGER ) return refuse(c, args[i], i, name, expected);
  *x = sqlite3_value_int64(args[i]);
  return *x>=least && *x<=most ? SQLITE_OK : refuse(c, args[i], i, name, expected);
}

int call_text(struct call *c, sqlite3_value **args, int i, const char *name, const char **text, int *n){
  const void *data;
  *text = "";
  *n = 0;
  if( sqlite3_value_type(args[i])!=SQLITE_TEXT ) return refuse(c, args[i], i, name, "text");
  if( value_bytes(c, args[i], &data, n)!=SQLITE_OK ) return c->err.rc;
  *text = data;
  return SQLITE_OK;
}

int call_blob(struct call *c, sqlite3_value **args, int i, const char *name, const void **data, int *n){
  *data = "";
  *n = 0;
  if( sqlite3_value_type(args[i])!=SQLITE_BLOB ) return refuse(c, args[i], i, name, "a BLOB");
  return value_bytes(c, args[i], data, n);
}

/* ---- Results ---- */

/* Sums of large directions may leave the range of a float: caught here, on the way out of every function. */
static int check_finite(struct call *c, const struct latent *z){
  size_t count = (size_t)z->n_segments*(size_t)z->width;
  for(size_t i=0; i<count; i++){
    if( !isfinite(z->z[i]) ) return fail(&c->err, SQLITE_ERROR, "the result is too large for a float");
  }
  return SQLITE_OK;
}

/* The same limit that SQLite sets for the length of a string or blob, noticed before the memory is taken. */
struct buf call_buf(struct call *c){
  return (struct buf){ .max = (size_t)sqlite3_limit(c->connection->db, SQLITE_LIMIT_LENGTH, -1) };
}

static int check_buf(struct call *c, const struct buf *b){
  if( b->rc==SQLITE_TOOBIG ) return fail(&c->err, SQLITE_TOOBIG, "the result is longer than %lld bytes, SQLite's limit here", (sqlite3_int64)b->max);
  return b->rc==SQLITE_OK ? SQLITE_OK : fail_nomem(&c->err);
}

void result_buf(struct call *c, struct buf *b){
  if( c->err.rc==SQLITE_OK && check_buf(c, b)==SQLITE_OK ){
    sqlite3_result_text64(c->context, b->n ? b->data : "", b->n, b->n ? mem_free : SQLITE_STATIC, SQLITE_UTF8);
    if( b->n ) *b = (struct buf){ 0 };
  }
  buf_release(b);
}

void result_blob(struct call *c, struct buf *b){
  if( c->err.rc==SQLITE_OK && check_buf(c, b)==SQLITE_OK ){
    sqlite3_result_blob64(c->context, b->n ? b->data : "", b->n, b->n ? mem_free : SQLITE_STATIC);
    if( b->n ) *b = (struct buf){ 0 };
  }
  buf_release(b);
}

void result_latent(struct call *c, const struct latent *z){
  struct buf b = call_buf(c);
  if( c->err.rc==SQLITE_OK && check_finite(c, z)==SQLITE_OK ) latent_write(&b, z);
  result_blob(c, &b);
}

void result_made(struct call *c, const struct model *m, struct buf *b){
  if( m->config.kind==KIND_PICTURE ) result_blob(c, b);
  else result_buf(c, b);
}

/* A direction, taken as the point on the sphere that it points at. */
static int direction_to_point(struct call *c, struct latent *z, const struct model *m){
  struct latent direction = *z;
  if( copy_latent(c, z, &direction)!=SQLITE_OK ) return c->err.rc;
  z->kind = m->config.kind;
  for(int i=0; i<z->n_segments; i++) point_normalize(z->z + (size_t)i*(size_t)z->width, m->config.shape.s, z->width);
  return SQLITE_OK;
}

void result_content(struct call *c, const struct latent *z, const struct options *o){
  struct latent point = *z;
  struct model *m;
  struct buf b = call_buf(c);
  if( c->err.rc!=SQLITE_OK || latent_model(c, z, &m)!=SQLITE_OK ) return;
  if( o->kind && z->kind==KIND_DIRECTION ) direction_to_point(c, &point, m);
  if( point.kind==KIND_DIRECTION ){
    fail(&c->err, SQLITE_ERROR, "argument 1 is a direction, which is no content: add it to a point with latent_add(point, direction) or "
         "latent_move(point, direction, amount), or give {\"kind\":\"%s\"} to read it as a point", kind_name(m->config.kind));
  }
  if( c->err.rc==SQLITE_OK && check_finite(c, &point)==SQLITE_OK ) contents_decode(m, &c->run, &point, 1, &o->decode.fluency, &o->decode, &b, NULL);
  result_made(c, m, &b);
}
