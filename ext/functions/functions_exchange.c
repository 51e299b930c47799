/*
** functions_exchange.c -- latents for other programs: as JSON, and as bare vectors.
**
** JSON:    {"kind":"text","model":"1a2b3c4d","segments":[{"s":[...],"r":[...]}, ...]}. A number has
**          as few digits as give the same float back.
** Vector:  the numbers as little-endian f32, one segment after another, as other vector extensions
**          store them.
*/
#include "functions.h"
#include <cjson/cJSON.h>
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

static void latent_to_json(struct buf *out, const struct latent *z){
  buf_printf(out, "{\"kind\":\"%s\",\"model\":\"%08x\",\"segments\":[", kind_name(z->kind),
             z->fingerprint);
  for(int i=0; i<z->n_segments; i++){
    const float *segment = latent_segment(z, i);
    buf_str(out, i ? ",{" : "{");
    write_part(out, "s", segment, z->s);
    buf_char(out, ',');
    write_part(out, "r", segment + z->s, z->width - z->s);
    buf_char(out, '}');
  }
  buf_str(out, "]}");
}

/* ---- JSON in ---- */

/* Fills x[n] from an array of exactly n numbers. */
static void read_part(struct call *c, cJSON *segment, int at, const char *name, float *x, int n){
  const cJSON *part = cJSON_GetObjectItemCaseSensitive(segment, name);
  const cJSON *item;
  int i = 0;
  if( !cJSON_IsArray(part) ){
    fail(&c->err, SQLITE_ERROR, "segment %d has no array \"%s\"", at, name);
    return;
  }
  for(item=part->child; item && i<n && c->err.rc==SQLITE_OK; item=item->next, i++){
    x[i] = cJSON_IsNumber(item) ? (float)item->valuedouble : NAN;
    if( !isfinite(x[i]) ){
      fail(&c->err, SQLITE_ERROR, "segment %d: %s[%d] is no number that a float holds", at, name,
           i);
    }
  }
  if( item || i<n ){
    fail(&c->err, SQLITE_ERROR, "segment %d: \"%s\" has %d numbers, expected %d", at, name,
         cJSON_GetArraySize(part), n);
  }
}

static void read_segments(struct call *c, const cJSON *segments, struct latent *z){
  static const char *const names[] = { "s", "r" };
  int n = cJSON_IsArray(segments) ? cJSON_GetArraySize(segments) : 0;
  int i = 0;
  z->n_segments = n;
  if( n<1 || n>65535 ){
    fail(&c->err, SQLITE_ERROR, "\"segments\" is not an array of 1 to 65535 objects");
    return;
  }
  z->z = arena_floats(&c->arena, (size_t)n*(size_t)z->width);
  if( z->z==NULL ) fail_nomem(&c->err);
  for(cJSON *item=segments->child; item && c->err.rc==SQLITE_OK; item=item->next, i++){
    float *segment = latent_segment(z, i);
    json_check_keys(c, item, "a segment", names, 2);
    read_part(c, item, i, "s", segment, z->s);
    read_part(c, item, i, "r", segment + z->s, z->width - z->s);
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

static struct latent latent_from_json(struct call *c, struct content text){
  static const char *const names[] = { "kind", "model", "segments" };
  struct latent z = { 0 };
  cJSON *tree = json_object(c, text.bytes, text.n, "argument 1");
  if( tree && json_check_keys(c, tree, "the latent", names, 3)==SQLITE_OK ){
    cJSON *kind = cJSON_GetObjectItemCaseSensitive(tree, "kind");
    cJSON *model = cJSON_GetObjectItemCaseSensitive(tree, "model");
    read_head(c, cJSON_GetStringValue(kind), cJSON_GetStringValue(model), &z);
  }
  if( c->err.rc==SQLITE_OK ){
    read_segments(c, cJSON_GetObjectItemCaseSensitive(tree, "segments"), &z);
  }
  cJSON_Delete(tree);
  if( c->err.rc==SQLITE_OK ) point_settle(&z, &c->err);
  return z;
}

void scalar_json(struct call *c){
  struct buf json = call_buf(c);
  struct latent z = call_latent(c, 0, NULL);
  if( c->err.rc==SQLITE_OK ) latent_to_json(&json, &z);
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

/* What the encoder wants before the text of this role; NULL: nothing. */
static const char *role_prefix(struct call *c, const struct bert *b){
  struct content role;
  if( !call_has(c, 1) ) return b->config.passage_prefix;
  role = call_text(c, 1, "role");
  if( role.n==5 && memcmp(role.bytes, "query", 5)==0 ) return b->config.query_prefix;
  if( role.n==7 && memcmp(role.bytes, "passage", 7)==0 ) return b->config.passage_prefix;
  refuse_argument(c, 1, "role", "'query' or 'passage'");
  return NULL;
}

void scalar_embed(struct call *c){
  struct buf out = call_buf(c);
  struct buf said = { 0 };
  struct content text = call_text(c, 0, "text");
  const struct bert *b = call_encoder(c);
  const char *prefix;
  float *y;
  if( b==NULL ) return;
  prefix = role_prefix(c, b);
  y = arena_floats(&c->arena, (size_t)b->config.shape.d);
  if( y==NULL ) fail_nomem(&c->err);
  if( prefix ) buf_str(&said, prefix);
  if( prefix ) buf_append(&said, text.bytes, text.n);
  if( prefix ) text = (struct content){ buf_text(&said), said.n };
  if( said.rc!=SQLITE_OK ) fail(&c->err, said.rc, "a text of %zu bytes is too long", text.n);
  if( c->err.rc==SQLITE_OK ) bert_embed(b, &c->run, text.bytes, text.n, y);
  if( c->err.rc==SQLITE_OK ) append_f32(&out, y, b->config.shape.d);
  buf_release(&said);
  result_blob(c, &out);
}

static float f32_at(const unsigned char *p){
  uint32_t bits = p[0] | (uint32_t)p[1]<<8 | (uint32_t)p[2]<<16 | (uint32_t)p[3]<<24;
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

/* The numbers of a blob as a point of the present model of the call's kind. */
static struct latent latent_from_vector(struct call *c, struct content vector){
  struct latent z = { 0 };
  const struct model *m = call_model(c);
  size_t bytes_each, count;
  if( m==NULL ) return z;
  z = latent_of(m, 0);
  bytes_each = 4*(size_t)z.width;
  if( vector.n==0 || vector.n%bytes_each!=0 || vector.n/bytes_each>65535 ){
    fail(&c->err, SQLITE_ERROR, "argument 1 (vector) has %zu bytes, expected %zu for each of 1 to "
         "65535 segments", vector.n, bytes_each);
    return z;
  }
  z.n_segments = (int)(vector.n/bytes_each);
  count = vector.n/4;
  z.z = arena_floats(&c->arena, count);
  if( z.z==NULL ) fail_nomem(&c->err);
  for(size_t i=0; i<count && c->err.rc==SQLITE_OK; i++){
    z.z[i] = f32_at((const unsigned char *)vector.bytes + 4*i);
    if( !isfinite(z.z[i]) ){
      fail(&c->err, SQLITE_ERROR, "argument 1 (vector): number %zu is not finite", i);
    }
  }
  if( c->err.rc==SQLITE_OK ) point_settle(&z, &c->err);
  return z;
}

/* The vector is no latent, whatever its bytes look like. */
void scalar_from_vector(struct call *c){
  struct content vector = call_blob(c, 0, "vector");
  struct latent z;
  c->n_points = 0;
  call_options(c, 1);
  z = latent_from_vector(c, vector);
  result_latent(c, &z);
}
