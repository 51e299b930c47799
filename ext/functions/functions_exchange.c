/*
** functions_exchange.c -- latents for other programs: as JSON, and as bare vectors.
**
** JSON:    {"kind":"text","model":"1a2b3c4d","segments":[{"s":[...],"r":[...]}, ...]}. A number has
**          as few digits as give the same float back.
** Vector:  the numbers as little-endian f32, one segment after another, as other vector extensions
**          store them. They are taken as a JSON array of numbers too.
*/
#include "functions.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON out ---- */

/* The shortest digits that read back as the same float. The C library writes the decimal sign of
** the process's locale, which may be a comma or several bytes; JSON knows only the point. */
static void write_float(struct buf *out, float x){
  char digits[40];
  int precision = 5;
  int is_in_sign = 0;
  do{
    snprintf(digits, sizeof(digits), "%.*g", ++precision, (double)x);
  }while( precision<9 && strtof(digits, NULL)!=x );
  for(const char *d=digits; *d; d++){
    int is_plain = strchr("0123456789+-e", *d)!=NULL;
    if( is_plain || !is_in_sign ) buf_char(out, is_plain ? *d : '.');
    is_in_sign = !is_plain;
  }
}

static void write_part(struct buf *out, const char *name, const float *x, int n){
  buf_printf(out, "\"%s\":[", name);
  for(int i=0; i<n; i++){
    if( i ) buf_char(out, ',');
    write_float(out, x[i]);
  }
  buf_char(out, ']');
}

static void latent_to_json(struct call *c, struct buf *out, const struct latent *z){
  buf_printf(out, "{\"kind\":\"%s\",\"model\":\"%08x\",\"segments\":[", kind_name(z->kind),
             z->fingerprint);
  for(int i=0; i<z->n_segments && out->rc==SQLITE_OK && !err_stopped(&c->err); i++){
    const float *segment = latent_segment(z, i);
    buf_str(out, i ? ",{" : "{");
    write_part(out, "s", segment, z->s);
    buf_char(out, ',');
    write_part(out, "r", segment + z->s, z->width - z->s);
    buf_char(out, '}');
  }
  buf_str(out, "]}");
}

/* ---- JSON in ----
** Read twice, without a tree: the members may come in any order, and the width of the segments
** follows from the model. The first time the segments are counted, the second time read. */
enum { NAME_BYTES = 48 };       /* of what kind and model are, in messages */
struct json_latent {            /* what the first reading finds */
  char kind[NAME_BYTES], model[NAME_BYTES];     /* "": it is missing, or no string */
  struct json segments;         /* stands before them */
  size_t n_segments;            /* 0: no array, or an empty one */
};

/* The key that is next: its place in names[n]. -1 after noting a failure: it is not there, or was
** before. seen: the keys that were. */
static int read_key(struct call *c, struct json *j, const char *what, const char *const *names,
                    int n, unsigned *seen){
  char key[64];
  int i = 0;
  json_string(j, key, sizeof(key));
  json_want(j, ':');
  if( c->err.rc!=SQLITE_OK ) return -1;
  while( i<n && strcmp(names[i], key)!=0 ) i++;
  if( i==n ){
    fail(&c->err, SQLITE_ERROR, "%s has the unknown key \"%.60s\"", what, key);
    return -1;
  }
  if( *seen & 1u<<i ){
    fail(&c->err, SQLITE_ERROR, "%s names the key \"%s\" twice", what, key);
    return -1;
  }
  *seen |= 1u<<i;
  return i;
}

static void read_name(struct json *j, char out[NAME_BYTES]){
  if( json_next(j)=='"' ) json_string(j, out, NAME_BYTES);
  else json_skip(j);
}

static void find_members(struct call *c, struct json *j, struct json_latent *found){
  static const char *const names[] = { "kind", "model", "segments" };
  unsigned seen = 0;
  int is_array;
  if( json_next(j)==0 ) json_bad(j);
  if( !json_take(j, '{') ) fail(&c->err, SQLITE_ERROR, "argument 1 is not a JSON object");
  for(int i=0; json_more(j, i, '}'); i++){
    switch( read_key(c, j, "the latent", names, 3, &seen) ){
      case 0: read_name(j, found->kind); break;
      case 1: read_name(j, found->model); break;
      case 2:
        found->segments = *j;
        is_array = json_next(j)=='[';
        found->n_segments = json_skip(j);
        if( !is_array ) found->n_segments = 0;
        break;
    }
  }
  json_close(j);
}

/* Fills x[n] from an array of exactly n numbers. */
static void read_part(struct call *c, struct json *j, int at, const char *name, float *x, int n){
  int i = 0;
  if( !json_take(j, '[') ){
    fail(&c->err, SQLITE_ERROR, "segment %d has no array \"%s\"", at, name);
    return;
  }
  for(; i<n && json_more(j, i, ']'); i++){
    double number;
    x[i] = json_number(j, &number) ? (float)number : NAN;
    if( !isfinite(x[i]) ){
      fail(&c->err, SQLITE_ERROR, "segment %d: %s[%d] is no number that a float holds", at, name,
           i);
    }
  }
  if( i<n || json_more(j, 0, ']') ){
    fail(&c->err, SQLITE_ERROR, "segment %d: \"%s\" has %s%d numbers, expected %d", at, name,
         i<n ? "" : "more than ", i, n);
  }
}

/* One of z, the next in j. */
static void read_segment(struct call *c, struct json *j, int at, const struct latent *z){
  static const char *const names[] = { "s", "r" };
  float *x = latent_segment(z, at);
  unsigned seen = 0;
  if( !json_take(j, '{') ) fail(&c->err, SQLITE_ERROR, "a segment is not a JSON object");
  for(int i=0; json_more(j, i, '}'); i++){
    switch( read_key(c, j, "a segment", names, 2, &seen) ){
      case 0: read_part(c, j, at, "s", x, z->s); break;
      case 1: read_part(c, j, at, "r", x + z->s, z->width - z->s); break;
    }
  }
  for(int i=0; i<2; i++){
    if( seen & 1u<<i ) continue;
    fail(&c->err, SQLITE_ERROR, "segment %d has no array \"%s\"", at, names[i]);
  }
}

static void read_segments(struct call *c, const struct json_latent *found, struct latent *z){
  struct json j = found->segments;
  if( found->n_segments<1 || found->n_segments>65535 ){
    fail(&c->err, SQLITE_ERROR, "\"segments\" is not an array of 1 to 65535 objects");
    return;
  }
  z->n_segments = (int)found->n_segments;
  z->z = arena_floats(&c->arena, found->n_segments*(size_t)z->width);
  if( z->z==NULL ) fail_nomem(&c->err);
  json_take(&j, '[');
  for(int i=0; i<z->n_segments && json_more(&j, i, ']') && !err_stopped(&c->err); i++){
    read_segment(c, &j, i, z);
  }
}

/* If "kind" names no kind the model is text's, which will then refuse the latent. */
static struct model *find_model(struct call *c, const char *kind, const char *model){
  int i = KIND_CODE;
  while( i>=0 && (kind==NULL || strcmp(kind, kind_name(i))!=0) ) i--;
  return call_model_of(c, i<0 ? KIND_TEXT : i, model ? (uint32_t)strtoul(model, NULL, 16) : 0);
}

/* kind and model of z. The model must be the present one of the kind. */
static void read_head(struct call *c, const char *kind, const char *model, struct latent *z){
  const struct model *m = find_model(c, kind, model);
  char present[16];
  if( m==NULL ) return;
  *z = latent_of(m, 0);
  sqlite3_snprintf(sizeof(present), present, "%08x", z->fingerprint);
  if( kind && strcmp(kind, kind_name(KIND_DIRECTION))==0 ){
    z->kind = KIND_DIRECTION;
  }else if( kind==NULL || strcmp(kind, kind_name(z->kind))!=0 ){
    fail(&c->err, SQLITE_ERROR, "\"kind\" is %.40s, expected \"%s\" or \"direction\"",
         kind ? kind : "missing", kind_name(z->kind));
  }
  if( model==NULL || strcmp(model, present)!=0 ){
    fail(&c->err, SQLITE_ERROR, "\"model\" is %.40s, the present model is %s: encode the content "
         "again, or latent_load() the weights that made it", model ? model : "missing", present);
  }
}

struct latent latent_from_json(struct call *c, struct content text){
  struct json_latent found = { 0 };
  struct latent z = { 0 };
  char who[64];
  struct json j;
  sqlite3_snprintf(sizeof(who), who, "%s: argument 1", c->function->name);
  j = json_of(text.bytes, text.n, who, &c->err);
  find_members(c, &j, &found);
  if( c->err.rc==SQLITE_OK ){
    const char *kind = found.kind[0] ? found.kind : NULL;
    const char *model = found.model[0] ? found.model : NULL;
    read_head(c, kind, model, &z);
  }
  if( c->err.rc==SQLITE_OK ) read_segments(c, &found, &z);
  if( c->err.rc==SQLITE_OK ) point_settle(&z, &c->err);
  return z;
}

void scalar_json(struct call *c){
  struct buf json = call_buf(c);
  struct latent z = call_latent(c, 0, NULL);
  if( c->err.rc==SQLITE_OK ) latent_to_json(c, &json, &z);
  result_buf(c, &json);
}

void scalar_from_json(struct call *c){
  struct latent z = latent_from_json(c, call_text(c, 0, "json"));
  result_latent(c, &z);
}

/* ---- Vectors ---- */

/* Appends x[count] as bytes. */
static void append_f32(struct buf *out, const float *x, int count){
  unsigned char *to = buf_extend(out, 4*(size_t)count);
  for(int i=0; to && i<count; i++, to+=4){
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof(bits));
    for(int k=0; k<4; k++) to[k] = (unsigned char)(bits >> 8*k);
  }
}

/* Which numbers of a segment argument 2 names: from..to-1. */
static void read_part_name(struct call *c, const struct latent *z, int *from, int *to){
  struct content part = { "z", 1 };
  const char *name;
  *from = 0;
  *to = z->width;
  if( c->n_args>1 ) part = call_text(c, 1, "part");
  if( c->err.rc!=SQLITE_OK ) return;
  name = part.bytes;
  if( part.n==1 && name[0]=='s' ){
    *to = z->s;
  }else if( part.n==1 && name[0]=='r' ){
    *from = z->s;
  }else if( part.n!=1 || name[0]!='z' ){
    fail(&c->err, SQLITE_ERROR, "argument 2 (part) is '%.40s', expected 's', 'r' or 'z'", name);
  }
}

void scalar_vector(struct call *c){
  struct buf out = call_buf(c);
  struct latent z = call_latent(c, 0, NULL);
  int from, to;
  read_part_name(c, &z, &from, &to);
  for(int i=0; i<z.n_segments && c->err.rc==SQLITE_OK; i++){
    append_f32(&out, latent_segment(&z, i) + from, to - from);
  }
  result_blob(c, &out);
}

/* ---- A sentence encoder's vectors ---- */

int call_is_query(struct call *c, int i){
  struct content role;
  if( !call_has(c, i) ) return 0;
  role = call_text(c, i, "role");
  if( role.n==5 && memcmp(role.bytes, "query", 5)==0 ) return 1;
  if( role.n!=7 || memcmp(role.bytes, "passage", 7)!=0 ){
    refuse_argument(c, i, "role", "'query' or 'passage'");
  }
  return 0;
}

/* The text with the prefix before it, in the call's arena. */
static struct content with_prefix(struct call *c, const char *prefix, struct content text){
  size_t before = strlen(prefix);
  char *said = arena_get(&c->arena, before + text.n + 1);
  if( said==NULL ){
    fail_nomem(&c->err);
    return text;
  }
  memcpy(said, prefix, before);
  memcpy(said + before, text.bytes, text.n);
  return (struct content){ said, before + text.n };
}

void embed_texts(struct call *c, const struct bert *b, int is_query, struct content *texts, int n,
                 struct buf *out){
  const char *prefix = is_query ? b->config.query_prefix : b->config.passage_prefix;
  size_t d = (size_t)b->config.shape.d;
  float *y = arena_floats(&c->arena, (size_t)n*d);
  if( y==NULL ) fail_nomem(&c->err);
  for(int i=0; i<n && prefix && c->err.rc==SQLITE_OK; i++){
    texts[i] = with_prefix(c, prefix, texts[i]);
  }
  if( c->err.rc==SQLITE_OK ) bert_embed(b, &c->run, texts, n, y);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++) append_f32(out, y + (size_t)i*d, (int)d);
}

void scalar_embed(struct call *c){
  struct buf out = call_buf(c);
  struct content text = call_text(c, 0, "text");
  const struct bert *b = call_encoder(c);
  int is_query = call_is_query(c, 1);
  if( c->err.rc==SQLITE_OK ) embed_texts(c, b, is_query, &text, 1, &out);
  result_blob(c, &out);
}

/* Numbers as a point of the present model of the call's kind. */
static struct latent latent_from_vector(struct call *c, struct vector vector){
  struct latent z = { 0 };
  const struct model *m = call_model(c);
  size_t width;
  if( m==NULL ) return z;
  z = latent_of(m, 0);
  width = (size_t)z.width;
  if( vector.n==0 || vector.n%width!=0 || vector.n/width>65535 ){
    fail(&c->err, SQLITE_ERROR, "argument 1 (vector) has %zu numbers, expected %zu for each of 1 "
         "to 65535 segments", vector.n, width);
    return z;
  }
  z.n_segments = (int)(vector.n/width);
  z.z = vector.x;
  point_settle(&z, &c->err);
  return z;
}

/* The vector is no latent, whatever its bytes look like. */
void scalar_from_vector(struct call *c){
  struct vector vector = value_vector(c, c->args[0], "argument 1 (vector)");
  struct latent z;
  c->n_points = 0;
  call_options(c, 1);
  z = latent_from_vector(c, vector);
  result_latent(c, &z);
}
