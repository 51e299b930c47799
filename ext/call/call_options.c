/*
** call_options.c -- JSON that users write and read: the options of a call, and a latent in the open.
**
** options: an object whose keys are in KEYS; each is checked, and a refusal names the key, what came and what was expected.
** latent:  {"kind":"text","model":"1a2b3c4d","segments":[{"s":[...],"r":[...]}, ...]}, numbers as short as gives the same float back.
*/
#include "call.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value as it stood in the JSON, for a message; its type where it is long. */
static const char *show(cJSON *item, char out[64]){
  if( cJSON_IsNumber(item) && !isfinite(item->valuedouble) ) return "infinite";
  if( cJSON_PrintPreallocated(item, out, 60, 0) ) return out;
  return cJSON_IsString(item) ? "a long string" : cJSON_IsArray(item) ? "an array" : "an object";
}

static cJSON *parse_object(struct call *c, const char *text, size_t n, const char *what){
  char who[64];
  cJSON *tree;
  sqlite3_snprintf(sizeof(who), who, "%s: %s", c->function->name, what);
  tree = json_parse(text, n, who, &c->err);
  if( tree && !cJSON_IsObject(tree) ){
    char came[64];
    fail(&c->err, SQLITE_ERROR, "%s is %s, expected a JSON object", what, show(tree, came));
    cJSON_Delete(tree);
    tree = NULL;
  }
  return tree;
}

static int is_repeated(const cJSON *tree, const cJSON *item){
  for(const cJSON *i=tree->child; i!=item; i=i->next){
    if( strcmp(i->string, item->string)==0 ) return 1;
  }
  return 0;
}

/* ---- Options ---- */

enum key { KEY_KIND, KEY_BEAMS, KEY_BEST_OF, KEY_TEMPERATURE, KEY_SEED, KEY_MAX_TOKENS, KEY_FLUENCY, KEY_DETAIL, KEY_REFINE, KEY_STEPS, KEY_DISTINCT, N_KEYS };
static const struct {
  const char *name;
  double least, most;           /* of a number; both 0 for other types */
  int is_whole;
} KEYS[N_KEYS] = {
  [KEY_KIND]        = { "kind", 0, 0, 0 },
  [KEY_BEAMS]       = { "beams", 1, 32, 1 },
  [KEY_BEST_OF]     = { "best_of", 1, 64, 1 },
  [KEY_TEMPERATURE] = { "temperature", 0, 10, 0 },
  [KEY_SEED]        = { "seed", -9007199254740992.0, 9007199254740992.0, 1 },     /* what a JSON number holds exactly */
  [KEY_MAX_TOKENS]  = { "max_tokens", 1, 0, 1 },        /* to the model's longest segment */
  [KEY_FLUENCY]     = { "fluency", 0, 1, 0 },
  [KEY_DETAIL]      = { "detail", 0, 1, 0 },
  [KEY_REFINE]      = { "refine", 0, 64, 1 },
  [KEY_STEPS]       = { "steps", 0, 0, 0 },             /* from here on: latent_path() only */
  [KEY_DISTINCT]    = { "distinct", 0, 0, 0 },
};

static int n_keys(const struct call *c){
  return strcmp(c->function->name, "latent_path")==0 ? N_KEYS : KEY_STEPS;
}

static int unknown_key(struct call *c, const char *name){
  char known[160] = "";
  for(int i=0; i<n_keys(c); i++){
    size_t at = strlen(known);
    sqlite3_snprintf((int)(sizeof(known)-at), known+at, "%s%s", i ? ", " : "", KEYS[i].name);
  }
  return fail(&c->err, SQLITE_ERROR, "options have no key \"%.60s\"; known keys: %s", name, known);
}

static int bad_value(struct call *c, cJSON *item, const char *expected){
  char came[64];
  return fail(&c->err, SQLITE_ERROR, "options key \"%s\" is %s, expected %s", item->string, show(item, came), expected);
}

static int read_number(struct call *c, cJSON *item, enum key key, double *x){
  double most = KEYS[key].most;
  char expected[80];
  struct model *m;
  *x = 0;
  if( key==KEY_MAX_TOKENS ){
    if( call_model(c, &m)!=SQLITE_OK ) return c->err.rc;
    most = m->config.shape.longest;
  }
  sqlite3_snprintf(sizeof(expected), expected, "a %snumber from %.16g to %.16g", KEYS[key].is_whole ? "whole " : "", KEYS[key].least, most);
  if( !cJSON_IsNumber(item) ) return bad_value(c, item, expected);
  *x = item->valuedouble;
  if( !(*x>=KEYS[key].least && *x<=most) || (KEYS[key].is_whole && *x!=floor(*x)) ) return bad_value(c, item, expected);
  return SQLITE_OK;
}

/* The kinds are those that have a model; directions have none. */
static int read_kind(struct call *c, cJSON *item, struct options *o){
  for(int kind=KIND_TEXT; kind<=KIND_CODE; kind++){
    if( cJSON_IsString(item) && strcmp(item->valuestring, kind_name(kind))==0 ) o->kind = kind;
  }
  if( !o->kind ) return bad_value(c, item, "\"text\", \"picture\" or \"code\"");
  c->kind = c->named = o->kind;
  return SQLITE_OK;
}

static int read_steps(struct call *c, cJSON *item, struct options *o){
  if( !cJSON_IsString(item) || (strcmp(item->valuestring, "even")!=0 && strcmp(item->valuestring, "equal")!=0) ){
    return bad_value(c, item, "\"even\" or \"equal\"");
  }
  o->steps_even = strcmp(item->valuestring, "even")==0;
  return SQLITE_OK;
}

static int read_key(struct call *c, cJSON *item, enum key key, struct options *o){
  double x;
  switch( key ){
    case KEY_KIND:      return SQLITE_OK;       /* read first: it says whose max_tokens counts */
    case KEY_STEPS:     return read_steps(c, item, o);
    case KEY_DISTINCT:
      if( !cJSON_IsBool(item) ) return bad_value(c, item, "true or false");
      o->distinct = cJSON_IsTrue(item);
      return SQLITE_OK;
    default: break;
  }
  if( read_number(c, item, key, &x)!=SQLITE_OK ) return c->err.rc;
  switch( key ){
    case KEY_BEAMS:       o->decode.beams = (int)x; break;
    case KEY_BEST_OF:     o->decode.best_of = (int)x; o->has_best_of = 1; break;
    case KEY_TEMPERATURE: o->decode.temperature = (float)x; o->has_temperature = 1; break;
    case KEY_SEED:        o->decode.seed = (uint64_t)(int64_t)x; o->has_seed = 1; break;
    case KEY_MAX_TOKENS:  o->decode.max_tokens = (int)x; break;
    case KEY_REFINE:      c->rounds = (int)x; break;
    case KEY_FLUENCY:     o->decode.fluency = (float)x; o->has_fluency = 1; break;
    default:              o->decode.detail = (float)x; o->has_detail = 1; break;
  }
  return SQLITE_OK;
}

static int read_options(struct call *c, const cJSON *tree, struct options *o){
  cJSON *kind = cJSON_GetObjectItemCaseSensitive(tree, KEYS[KEY_KIND].name);
  if( kind && read_kind(c, kind, o)!=SQLITE_OK ) return c->err.rc;
  for(cJSON *item=tree->child; item; item=item->next){
    int key = 0;
    while( key<n_keys(c) && strcmp(KEYS[key].name, item->string)!=0 ) key++;
    if( key==n_keys(c) ) return unknown_key(c, item->string);
    if( is_repeated(tree, item) ) return fail(&c->err, SQLITE_ERROR, "options name the key \"%s\" twice", item->string);
    if( read_key(c, item, (enum key)key, o)!=SQLITE_OK ) return c->err.rc;
  }
  return SQLITE_OK;
}

int call_options(struct call *c, int n, sqlite3_value **args, int i, struct options *o){
  const char *text;
  int bytes;
  cJSON *tree;
  memset(o, 0, sizeof(*o));
  decode_options_init(&o->decode);
  if( i>=n || sqlite3_value_type(args[i])==SQLITE_NULL ) return SQLITE_OK;
  if( call_text(c, args, i, "options", &text, &bytes)!=SQLITE_OK ) return c->err.rc;
  tree = parse_object(c, text, (size_t)bytes, "options");
  if( tree ) read_options(c, tree, o);
  cJSON_Delete(tree);
  return c->err.rc;
}

/* ---- A latent as JSON ---- */

/* The shortest digits that read back as the same float. The C library writes the decimal sign of the process's locale, which may be
** a comma or several bytes; JSON knows the point only. */
static void write_float(struct buf *out, float x){
  char digits[40];
  int precision = 5, in_sign = 0;
  do{
    snprintf(digits, sizeof(digits), "%.*g", ++precision, (double)x);
  }while( precision<9 && strtof(digits, NULL)!=x );
  for(const char *d=digits; *d; d++){
    int is_plain = strchr("0123456789+-e", *d)!=NULL;
    if( is_plain || !in_sign ) buf_char(out, is_plain ? *d : '.');
    in_sign = !is_plain;
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

void latent_to_json(struct buf *out, const struct latent *z, int s){
  buf_printf(out, "{\"kind\":\"%s\",\"model\":\"%08x\",\"segments\":[", kind_name(z->kind), z->fingerprint);
  for(int i=0; i<z->n_segments; i++){
    const float *segment = z->z + (size_t)i*(size_t)z->width;
    buf_str(out, i ? ",{" : "{");
    write_part(out, "s", segment, s);
    buf_char(out, ',');
    write_part(out, "r", segment+s, z->width-s);
    buf_char(out, '}');
  }
  buf_str(out, "]}");
}

/* Fills x[n] from an array of exactly n numbers. */
static int read_part(struct call *c, cJSON *segment, int at, const char *name, float *x, int n){
  const cJSON *part = cJSON_GetObjectItemCaseSensitive(segment, name), *item;
  int i = 0;
  if( !cJSON_IsArray(part) ) return fail(&c->err, SQLITE_ERROR, "segment %d has no array \"%s\"", at, name);
  for(item=part->child; item && i<n; item=item->next, i++){
    x[i] = cJSON_IsNumber(item) ? (float)item->valuedouble : NAN;
    if( !isfinite(x[i]) ) return fail(&c->err, SQLITE_ERROR, "segment %d: %s[%d] is no number that a float holds", at, name, i);
  }
  if( item || i<n ) return fail(&c->err, SQLITE_ERROR, "segment %d: \"%s\" has %d numbers, expected %d", at, name, cJSON_GetArraySize(part), n);
  return SQLITE_OK;
}

/* An object with these keys and no others, each once. */
static int check_keys(struct call *c, const cJSON *tree, const char *what, const char *const *names, int n){
  if( !cJSON_IsObject(tree) ) return fail(&c->err, SQLITE_ERROR, "%s is not a JSON object", what);
  for(const cJSON *item=tree->child; item; item=item->next){
    int i = 0;
    while( i<n && strcmp(names[i], item->string)!=0 ) i++;
    if( i==n ) return fail(&c->err, SQLITE_ERROR, "%s has the unknown key \"%.60s\"", what, item->string);
    if( is_repeated(tree, item) ) return fail(&c->err, SQLITE_ERROR, "%s names the key \"%s\" twice", what, item->string);
  }
  return SQLITE_OK;
}

static int read_segments(struct call *c, const cJSON *segments, struct latent *z, int s){
  static const char *const names[] = { "s", "r" };
  int i = 0;
  z->n_segments = cJSON_IsArray(segments) ? cJSON_GetArraySize(segments) : 0;
  if( z->n_segments<1 || z->n_segments>65535 ) return fail(&c->err, SQLITE_ERROR, "\"segments\" is not an array of 1 to 65535 objects");
  z->z = arena_floats(&c->arena, (size_t)z->n_segments*(size_t)z->width);
  if( !z->z ) return fail_nomem(&c->err);
  for(cJSON *item=segments->child; item; item=item->next, i++){
    float *segment = z->z + (size_t)i*(size_t)z->width;
    if( check_keys(c, item, "a segment", names, 2)!=SQLITE_OK ) return c->err.rc;
    if( read_part(c, item, i, "s", segment, s)!=SQLITE_OK ) return c->err.rc;
    if( read_part(c, item, i, "r", segment+s, z->width-s)!=SQLITE_OK ) return c->err.rc;
  }
  return SQLITE_OK;
}

/* Text's model where "kind" names none: it will be the one to refuse the latent. */
static int find_model(struct call *c, const cJSON *tree, struct model **m){
  const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "kind"));
  const char *model = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "model"));
  int kind = KIND_CODE;
  while( kind>=0 && (!name || strcmp(name, kind_name(kind))!=0) ) kind--;
  return call_model_of(c, kind<0 ? KIND_TEXT : kind, model ? (uint32_t)strtoul(model, NULL, 16) : 0, m);
}

/* kind and model of z; the model must be the present one. */
static int read_head(struct call *c, const cJSON *tree, const struct config *config, struct latent *z){
  const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "kind"));
  const char *model = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "model"));
  char present[16];
  sqlite3_snprintf(sizeof(present), present, "%08x", config->fingerprint);
  *z = (struct latent){ .kind = config->kind, .width = config->shape.s + config->shape.r, .fingerprint = config->fingerprint };
  if( kind && strcmp(kind, kind_name(KIND_DIRECTION))==0 ) z->kind = KIND_DIRECTION;
  else if( !kind || strcmp(kind, kind_name(config->kind))!=0 ){
    return fail(&c->err, SQLITE_ERROR, "\"kind\" is %.40s, expected \"%s\" or \"direction\"", kind ? kind : "missing", kind_name(config->kind));
  }
  if( !model || strcmp(model, present)!=0 ){
    return fail(&c->err, SQLITE_ERROR, "\"model\" is %.40s, the present model is %s: encode the content again, or latent_load() the weights "
                "that made it", model ? model : "missing", present);
  }
  return SQLITE_OK;
}

int latent_from_json(struct call *c, const char *text, size_t n, struct latent *z){
  static const char *const names[] = { "kind", "model", "segments" };
  struct model *m;
  cJSON *tree;
  memset(z, 0, sizeof(*z));
  tree = parse_object(c, text, n, "argument 1");
  if( tree && check_keys(c, tree, "the latent", names, 3)==SQLITE_OK && find_model(c, tree, &m)==SQLITE_OK
   && read_head(c, tree, &m->config, z)==SQLITE_OK ){
    read_segments(c, cJSON_GetObjectItemCaseSensitive(tree, "segments"), z, m->config.shape.s);
  }
  cJSON_Delete(tree);
  return c->err.rc==SQLITE_OK ? point_settle(c, z, m->config.shape.s) : c->err.rc;
}
