/*
** call_options.c -- the options of a call: a JSON object.
**
** Each key is a row of KEYS. A refusal names the key, what came and what was expected.
*/
#include "call.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* ---- JSON that users write ---- */

enum { OBJECT_BYTES_MOST = 100000 };    /* cJSON makes a few MB of so much */

const char *json_show(cJSON *item, char out[64]){
  if( cJSON_IsNumber(item) && !isfinite(item->valuedouble) ) return "infinite";
  if( cJSON_PrintPreallocated(item, out, 60, 0) ) return out;
  if( cJSON_IsString(item) ) return "a long string";
  return cJSON_IsArray(item) ? "an array" : "an object";
}

cJSON *json_object(struct call *c, const char *text, size_t n, const char *what){
  char who[64];
  char came[64];
  cJSON *tree;
  if( c->err.rc!=SQLITE_OK ) return NULL;
  if( n>OBJECT_BYTES_MOST ){
    fail(&c->err, SQLITE_TOOBIG, "%s are JSON of %zu bytes, expected at most %d", what, n,
         OBJECT_BYTES_MOST);
    return NULL;
  }
  sqlite3_snprintf(sizeof(who), who, "%s: %s", c->function->name, what);
  tree = json_parse(text, n, who, &c->err);
  if( tree==NULL || cJSON_IsObject(tree) ) return tree;
  fail(&c->err, SQLITE_ERROR, "%s is %s, expected a JSON object", what, json_show(tree, came));
  cJSON_Delete(tree);
  return NULL;
}

static int is_repeated(const cJSON *tree, const cJSON *item){
  for(const cJSON *i=tree->child; i!=item; i=i->next){
    if( strcmp(i->string, item->string)==0 ) return 1;
  }
  return 0;
}

int json_check_keys(struct call *c, const cJSON *object, const char *what, const char *const *names,
                    int n){
  if( !cJSON_IsObject(object) ) return fail(&c->err, SQLITE_ERROR, "%s is not a JSON object", what);
  for(const cJSON *item=object->child; item; item=item->next){
    int i = 0;
    while( i<n && strcmp(names[i], item->string)!=0 ) i++;
    if( i==n ){
      return fail(&c->err, SQLITE_ERROR, "%s has the unknown key \"%.60s\"", what, item->string);
    }
    if( is_repeated(object, item) ){
      return fail(&c->err, SQLITE_ERROR, "%s names the key \"%s\" twice", what, item->string);
    }
  }
  return SQLITE_OK;
}

/* ---- Options ---- */

enum { COMPLETE_MOST = 2048 };          /* pieces that latent_complete() writes at most */
enum key {
  KEY_KIND, KEY_BEAMS, KEY_BEST_OF, KEY_TEMPERATURE, KEY_SEED, KEY_MAX_TOKENS, KEY_FLUENCY,
  KEY_DETAIL, KEY_REFINE, KEY_DECODER, KEY_GUIDANCE, KEY_WHERE, KEY_STEPS, KEY_DISTINCT,
  KEY_MUTATION, KEY_CROSSOVER, KEY_GENES, KEY_CHILDREN, KEY_GENERATIONS, KEY_KEEP, KEY_PARENTS_EACH,
  KEY_WEIGHTS, KEY_WISH, KEY_ARCHIVE, KEY_SECONDS, N_KEYS
};
/* Which functions take a key; all take those without such a list. */
#define OVER_TABLES "latent_imagine latent_gaps latent_cluster"
#define BREEDING    "latent_breed latent_explore"
#define GROWING     BREEDING " latent_grow"
static const struct {
  const char *name;
  double least, most;           /* of a number; both 0 for other types */
  int is_whole;
  const char *takers;
} KEYS[N_KEYS] = {
  [KEY_KIND]         = { "kind", 0, 0, 0, NULL },
  [KEY_BEAMS]        = { "beams", 1, 32, 1, NULL },
  [KEY_BEST_OF]      = { "best_of", 1, 64, 1, NULL },
  [KEY_TEMPERATURE]  = { "temperature", 0, 10, 0, NULL },
  [KEY_SEED]         = { "seed", -9007199254740992.0, 9007199254740992.0, 1, NULL },     /* 2^53 */
  [KEY_MAX_TOKENS]   = { "max_tokens", 1, COMPLETE_MOST, 1, NULL },     /* of latent_complete() */
  [KEY_FLUENCY]      = { "fluency", 0, 1, 0, NULL },
  [KEY_DETAIL]       = { "detail", 0, 1, 0, NULL },
  [KEY_REFINE]       = { "refine", 0, 64, 1, NULL },
  [KEY_DECODER]      = { "decoder", 0, 0, 0, NULL },
  [KEY_GUIDANCE]     = { "guidance", 0, 10, 0, "latent_image latent_cross" },
  [KEY_WHERE]        = { "where", 0, 0, 0, OVER_TABLES },
  [KEY_STEPS]        = { "steps", 0, 0, 0, "latent_path" },
  [KEY_DISTINCT]     = { "distinct", 0, 0, 0, "latent_path" },
  [KEY_MUTATION]     = { "mutation", 0, 1, 0, GROWING },
  [KEY_CROSSOVER]    = { "crossover", 0, 0, 0, GROWING },
  [KEY_GENES]        = { "genes", 0, 0, 0, GROWING },
  [KEY_CHILDREN]     = { "children", 1, 10000, 1, BREEDING },
  [KEY_GENERATIONS]  = { "generations", 1, 1000, 1, "latent_breed" },
  [KEY_KEEP]         = { "keep", 1, 1000, 1, "latent_breed" },
  [KEY_PARENTS_EACH] = { "parents_each", 1, MATES_MOST, 1, BREEDING },
  [KEY_WEIGHTS]      = { "weights", 0, 0, 0, "latent_breed" },
  [KEY_WISH]         = { "wish", 0, 0, 0, "latent_breed" },
  [KEY_ARCHIVE]      = { "archive", 0, 0, 0, BREEDING },
  [KEY_SECONDS]      = { "seconds", 0, 86400, 0, "latent_explore" },
};

/* Where options do not say: the same number twice. */
static const float MUTATION = 0.2f;
static const char MUTATION_DEFAULT[] = "0.2";

/* Is the name one of those in a list, between spaces? */
static int is_listed(const char *list, const char *name){
  size_t n = strlen(name);
  for(const char *at=strstr(list, name); at; at=strstr(at + n, name)){
    if( (at==list || at[-1]==' ') && (at[n]==0 || at[n]==' ') ) return 1;
  }
  return 0;
}

/* Does the function take the key? */
static int takes(const struct call *c, int key){
  const char *takers = KEYS[key].takers;
  return takers==NULL || is_listed(takers, c->function->name);
}

static void unknown_key(struct call *c, const char *name){
  char known[300] = "";
  for(int i=0; i<N_KEYS; i++){
    size_t at = strlen(known);
    if( !takes(c, i) ) continue;
    sqlite3_snprintf((int)(sizeof(known) - at), known + at, "%s%s", i ? ", " : "", KEYS[i].name);
  }
  fail(&c->err, SQLITE_ERROR, "options have no key \"%.60s\"; known keys: %s", name, known);
}

static void bad_value(struct call *c, cJSON *item, const char *expected){
  char came[64];
  fail(&c->err, SQLITE_ERROR, "options key \"%s\" is %s, expected %s", item->string,
       json_show(item, came), expected);
}

static double read_number(struct call *c, cJSON *item, enum key key){
  int is_whole = KEYS[key].is_whole;
  double least = KEYS[key].least;
  double most = KEYS[key].most;
  double x = item->valuedouble;
  char expected[80];
  if( key==KEY_MAX_TOKENS && strcmp(c->function->name, "latent_complete")!=0 ){
    const struct model *m = call_model(c);
    if( m==NULL ) return 0;
    if( m->config.kind!=KIND_PICTURE ) most = m->config.shape.longest;  /* which has no tokens */
  }
  if( cJSON_IsNumber(item) && x>=least && x<=most && (!is_whole || x==floor(x)) ) return x;
  sqlite3_snprintf(sizeof(expected), expected, "a %snumber from %.16g to %.16g",
                   is_whole ? "whole " : "", least, most);
  bad_value(c, item, expected);
  return 0;
}

/* The kinds are those that have a model; directions have none. */
static void read_kind(struct call *c, cJSON *item, struct options *o){
  const char *name = cJSON_GetStringValue(item);
  for(int kind=KIND_TEXT; kind<=KIND_CODE; kind++){
    if( name && strcmp(name, kind_name(kind))==0 ) o->kind = kind;
  }
  if( o->kind ) c->kind = c->named = o->kind;
  else bad_value(c, item, "\"text\", \"picture\" or \"code\"");
}

static void read_steps(struct call *c, cJSON *item, struct options *o){
  const char *name = cJSON_GetStringValue(item);
  if( name && strcmp(name, "even")==0 ) o->steps_even = 1;
  else if( name==NULL || strcmp(name, "equal")!=0 ) bad_value(c, item, "\"even\" or \"equal\"");
}

static void read_decoder(struct call *c, cJSON *item, struct options *o){
  const char *name = cJSON_GetStringValue(item);
  if( name && strcmp(name, "exact")==0 ) o->decoder = DECODER_EXACT;
  else if( name && strcmp(name, "writer")==0 ) o->decoder = DECODER_WRITER;
  else bad_value(c, item, "\"exact\" or \"writer\"");
}

static void read_distinct(struct call *c, cJSON *item, struct options *o){
  if( cJSON_IsBool(item) ) o->distinct = cJSON_IsTrue(item);
  else bad_value(c, item, "true or false");
}

static char *copy_string(struct call *c, const char *text){
  size_t n = strlen(text) + 1;
  char *copy = arena_get(&c->arena, n);
  if( copy ) memcpy(copy, text, n);
  else fail_nomem(&c->err);
  return copy;
}

/* A value as SQL writes it, in the call's arena; NULL where it is none that a column has. */
static const char *sql_value(struct call *c, const cJSON *item){
  double x = item->valuedouble;
  int is_whole = cJSON_IsNumber(item) && x==floor(x) && fabs(x)<=9007199254740992.0;
  char *text, *copy;
  if( cJSON_IsString(item) ) text = sqlite3_mprintf("%Q", item->valuestring);
  else if( cJSON_IsNull(item) ) text = sqlite3_mprintf("NULL");
  else if( is_whole ) text = sqlite3_mprintf("%lld", (sqlite3_int64)x);
  else if( cJSON_IsNumber(item) && isfinite(x) ) text = sqlite3_mprintf("%!.17g", x);
  else return NULL;
  if( text==NULL ){
    fail_nomem(&c->err);
    return NULL;
  }
  copy = copy_string(c, text);
  sqlite3_free(text);
  return copy;
}

/* {"lang": "en", "year": 2024} */
static void read_where(struct call *c, cJSON *object, struct options *o){
  static const char expected[] = "an object of columns and their values, {\"lang\": \"en\"}";
  int n = cJSON_IsObject(object) ? cJSON_GetArraySize(object) : 0;
  if( n==0 ){
    bad_value(c, object, expected);
    return;
  }
  o->where = arena_get(&c->arena, sizeof(*o->where)*(size_t)n);
  if( o->where==NULL ) fail_nomem(&c->err);
  for(cJSON *item=object->child; item && c->err.rc==SQLITE_OK; item=item->next){
    struct where *w = &o->where[o->n_where++];
    w->column = copy_string(c, item->string);
    w->value = sql_value(c, item);
    if( w->value==NULL ) bad_value(c, item, "a text, a number or null");
  }
}

/* ---- Options of breeding ---- */

static void read_crossover(struct call *c, cJSON *item, struct breeding *b){
  static const char *const names[] = { "mix", "segments", "part", "regions" };
  const char *name = cJSON_GetStringValue(item);
  for(int i=0; i<4; i++){
    if( name==NULL || strcmp(name, names[i])!=0 ) continue;
    b->crossover = (enum crossover)i;
    return;
  }
  bad_value(c, item, "\"mix\", \"segments\", \"part\" or \"regions\"");
}

int json_weights(const cJSON *array, int weights[MATES_MOST]){
  static const double most = 1e6;
  int n = cJSON_IsArray(array) ? cJSON_GetArraySize(array) : 0;
  const cJSON *item = n>0 ? array->child : NULL;
  double sum = 0;
  int rest = WEIGHTS_WHOLE, largest = 0;
  if( n>MATES_MOST ) return 0;
  for(const cJSON *x=item; x; x=x->next){
    if( !cJSON_IsNumber(x) || !(x->valuedouble>=0 && x->valuedouble<=most) ) return 0;
    sum += x->valuedouble;
  }
  if( !(sum>0) ) return 0;
  for(int i=0; i<n; i++, item=item->next){
    weights[i] = (int)(item->valuedouble/sum*WEIGHTS_WHOLE + 0.5);
    if( weights[i]>weights[largest] ) largest = i;
    rest -= weights[i];
  }
  weights[largest] += rest;
  return n;
}

static void read_weights(struct call *c, cJSON *item, struct breeding *b){
  b->n_weights = json_weights(item, b->weights);
  if( b->n_weights==0 ) bad_value(c, item, "an array of up to 8 numbers from 0 on, one a parent");
}

static const char *read_string(struct call *c, cJSON *item, const char *expected){
  const char *text = cJSON_GetStringValue(item);
  if( text ) return copy_string(c, text);
  bad_value(c, item, expected);
  return NULL;
}

/* Appends the value as JSON, its numbers with all their digits. */
static void put_json(struct call *c, struct buf *b, const cJSON *item){
  char *text = c->err.rc==SQLITE_OK ? cJSON_PrintUnformatted(item) : NULL;
  if( text ) buf_str(b, text);
  else fail_nomem(&c->err);
  cJSON_free(text);
}

static const char *settle_text(struct call *c, struct buf *b){
  char *text = c->err.rc==SQLITE_OK && b->rc==SQLITE_OK ? buf_copy(b, &c->arena) : NULL;
  if( text==NULL ) fail_nomem(&c->err);
  buf_release(b);
  return text;
}

/* What is in it is looked at where it is used. */
static void read_genes(struct call *c, cJSON *item, struct breeding *b){
  struct buf text = { 0 };
  if( !cJSON_IsArray(item) ){
    bad_value(c, item, "an array, [{\"from\": \"sad\", \"to\": \"happy\", \"amount\": 0.5}]");
    return;
  }
  put_json(c, &text, item);
  b->genes = settle_text(c, &text);
}

/* The options that a child depends on, so that it can be grown again after defaults have changed:
** all but those that say how many there are and which of them go on. */
static const char *write_recipe(struct call *c, const cJSON *tree){
  const cJSON *item = tree ? tree->child : NULL;
  struct buf b = { 0 };
  int has_mutation = 0, has_seed = 0;
  buf_char(&b, '{');
  for(; item && c->err.rc==SQLITE_OK; item=item->next){
    int key = 0;
    while( key<N_KEYS && strcmp(KEYS[key].name, item->string)!=0 ) key++;
    if( key>KEY_GENES ) continue;
    has_mutation |= key==KEY_MUTATION;
    has_seed |= key==KEY_SEED;
    if( b.n>1 ) buf_char(&b, ',');
    buf_json_string(&b, item->string, strlen(item->string));
    buf_char(&b, ':');
    put_json(c, &b, item);
  }
  if( !has_mutation ) buf_printf(&b, "%s\"mutation\":%s", b.n>1 ? "," : "", MUTATION_DEFAULT);
  if( !has_seed ) buf_str(&b, ",\"seed\":1");
  buf_char(&b, '}');
  return settle_text(c, &b);
}

/* Log-probabilities are divided by it: by less, they leave the range of a float. Draws would be of
** the likeliest alone long before. */
static float temperature_of(double x){
  static const double LEAST = 1e-6;
  return x<LEAST ? 0 : (float)x;
}

static void set_number(struct call *c, enum key key, double x, struct options *options){
  struct decode_options *o = &options->decode;
  struct breeding *b = &options->breeding;
  switch( key ){
    case KEY_BEAMS:       o->beams = (int)x; break;
    case KEY_BEST_OF:     o->best_of = (int)x; o->has_best_of = 1; break;
    case KEY_TEMPERATURE: o->temperature = temperature_of(x); o->has_temperature = 1; break;
    case KEY_SEED:        o->seed = (uint64_t)(int64_t)x; o->has_seed = 1; break;
    case KEY_MAX_TOKENS:  o->max_tokens = (int)x; break;
    case KEY_REFINE:      c->rounds = (int)x; break;
    case KEY_FLUENCY:     o->fluency = (float)x; o->has_fluency = 1; break;
    case KEY_DETAIL:      o->detail = (float)x; o->has_detail = 1; break;
    case KEY_GUIDANCE:    o->guidance = (float)x; o->has_guidance = 1; break;
    case KEY_MUTATION:    b->mutation = (float)x; break;
    case KEY_CHILDREN:    b->children = (int)x; break;
    case KEY_GENERATIONS: b->generations = (int)x; break;
    case KEY_KEEP:        b->keep = (int)x; break;
    case KEY_PARENTS_EACH: b->parents_each = (int)x; break;
    case KEY_SECONDS:     b->seconds = x; break;
    default:              break;
  }
}

static void read_key(struct call *c, cJSON *item, enum key key, struct options *o){
  struct breeding *b = &o->breeding;
  double x;
  switch( key ){
    case KEY_KIND:     return;          /* read first: it says whose max_tokens counts */
    case KEY_DECODER:  read_decoder(c, item, o); return;
    case KEY_WHERE:    read_where(c, item, o); return;
    case KEY_STEPS:    read_steps(c, item, o); return;
    case KEY_DISTINCT: read_distinct(c, item, o); return;
    case KEY_CROSSOVER: read_crossover(c, item, b); return;
    case KEY_GENES:    read_genes(c, item, b); return;
    case KEY_WEIGHTS:  read_weights(c, item, b); return;
    case KEY_WISH:     b->wish = read_string(c, item, "a text"); return;
    case KEY_ARCHIVE:  b->archive = read_string(c, item, "the name of a table"); return;
    default:           break;
  }
  x = read_number(c, item, key);
  if( c->err.rc==SQLITE_OK ) set_number(c, key, x, o);
}

static void read_options(struct call *c, const cJSON *tree, struct options *o){
  cJSON *kind = cJSON_GetObjectItemCaseSensitive(tree, KEYS[KEY_KIND].name);
  if( kind ) read_kind(c, kind, o);
  for(cJSON *item=tree->child; item && c->err.rc==SQLITE_OK; item=item->next){
    int key = 0;
    while( key<N_KEYS && !(takes(c, key) && strcmp(KEYS[key].name, item->string)==0) ) key++;
    if( key==N_KEYS ) unknown_key(c, item->string);
    else if( !is_repeated(tree, item) ) read_key(c, item, (enum key)key, o);
    else fail(&c->err, SQLITE_ERROR, "options name the key \"%s\" twice", item->string);
  }
}

struct options options_of(struct call *c, const cJSON *tree){
  struct options o = { .breeding.mutation = MUTATION };
  decode_options_init(&o.decode);
  if( tree ) read_options(c, tree, &o);
  if( takes(c, KEY_MUTATION) && c->err.rc==SQLITE_OK ) o.breeding.recipe = write_recipe(c, tree);
  return o;
}

struct options call_options(struct call *c, int i){
  struct options o;
  struct content text;
  cJSON *tree;
  if( !call_has(c, i) ) return options_of(c, NULL);
  text = call_text(c, i, "options");
  tree = json_object(c, text.bytes, text.n, "options");
  o = options_of(c, tree);
  cJSON_Delete(tree);
  return o;
}
