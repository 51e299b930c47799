/*
** functions_breed.c -- latent_breed(parents [, options]): generations of children; and
** latent_grow(parent, recipe, place), which makes a child again from its recipe.
**
** Each generation has up to `children` children, whose parents are drawn from a pool: at first the
** parents that were given, then the `keep` of the last generation with the greatest novelty +
** score. functions_brood.c makes the children; in the place of one that is none, another is drawn,
** up to DRAWS_EACH times.
*/
#include "functions.h"
#include <cjson/cJSON.h>
#include <string.h>

enum {
  CHILDREN = 8,                 /* of a generation, where options do not say */
  DRAWS_EACH = 3                /* per child that is asked for */
};

/* ---- Generations ---- */

/* Parents of the pool, each once. */
static void draw_mates(struct brood *b, struct draw *d){
  const struct breeding *o = &b->options.breeding;
  d->n = o->parents_each<b->n_pool ? o->parents_each : b->n_pool;
  for(int i=0; i<d->n; ){
    int is_new = 1;
    d->mates[i] = b->pool[random_below(&b->random, b->n_pool)];
    for(int k=0; k<i; k++) is_new &= d->mates[k]!=d->mates[i];
    i += is_new;
  }
  brood_weigh(b, d);
}

/* Options give the weights of all parents. */
static void weigh_all(struct brood *b, struct draw *d){
  const struct breeding *o = &b->options.breeding;
  d->n = o->n_weights;
  for(int i=0; i<d->n; i++){
    d->mates[i] = i;
    d->weights[i] = o->weights[i];
  }
  d->number = ++b->n_draws;
}

static float fitness(const struct mate *mate){
  return mate->nearest + mate->score;
}

/* The best of the mates from `first` on are the next pool; of equal ones the first. */
static void choose_pool(struct brood *b, int first){
  int n, i;
  const struct mate *mates = brood_mates(b, &n);
  b->n_pool = 0;
  for(int at=first; at<n; at++){
    if( b->n_pool<b->options.breeding.keep ) b->n_pool++;
    else if( fitness(&mates[at])<=fitness(&mates[b->pool[b->n_pool-1]]) ) continue;
    for(i=b->n_pool-1; i>0 && fitness(&mates[b->pool[i-1]])<fitness(&mates[at]); i--){
      b->pool[i] = b->pool[i-1];
    }
    b->pool[i] = at;
  }
}

static void make_generation(struct call *c, struct brood *b, struct rows *r){
  const struct breeding *o = &b->options.breeding;
  int children = o->children ? o->children : CHILDREN;
  struct draw *draws = arena_zeroed(&c->arena, DRAWS_MOST*sizeof(*draws));
  int n_left = children*DRAWS_EACH;
  int n_made = 0;
  int first;
  brood_mates(b, &first);
  if( draws==NULL ) fail_nomem(&c->err);
  while( n_made<children && n_left>0 && c->err.rc==SQLITE_OK ){
    int n = children - n_made<n_left ? children - n_made : n_left;
    if( n>DRAWS_MOST ) n = DRAWS_MOST;
    for(int i=0; i<n; i++){
      if( o->n_weights ) weigh_all(b, &draws[i]);
      else draw_mates(b, &draws[i]);
    }
    n_left -= n;
    n_made += brood_make(c, b, draws, n, r);
  }
  b->generation++;
  if( n_made>0 ) choose_pool(b, first);
  else b->generation = o->generations;
}

static void check_weights(struct call *c, const struct brood *b){
  const struct breeding *o = &b->options.breeding;
  if( o->n_weights==0 || c->err.rc!=SQLITE_OK ) return;
  if( o->n_weights!=b->n_parents ){
    fail(&c->err, SQLITE_ERROR, "options key \"weights\" has %d numbers, expected %d, one a parent",
         o->n_weights, b->n_parents);
  }else if( o->generations>1 ){
    fail(&c->err, SQLITE_ERROR, "options key \"weights\" is for one generation, and "
         "\"generations\" is %d", o->generations);
  }
}

void breed_more(struct call *c, struct rows *r){
  struct brood *b = r->state;
  brood_resume(c, b);
  if( b->generation<b->options.breeding.generations ) make_generation(c, b, r);
}

void breed_fill(struct call *c, struct rows *r){
  struct brood *b = brood_begin(c, r, 1);
  const char *wish = b ? b->options.breeding.wish : NULL;
  size_t most;
  if( b==NULL ) return;
  check_weights(c, b);
  if( wish ) brood_wish_for(c, b, wish);
  most = (size_t)b->n_parents + (size_t)b->options.breeding.keep;
  b->pool = arena_get(&b->store, most*sizeof(*b->pool));
  if( b->pool==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  for(b->n_pool=0; b->n_pool<b->n_parents; b->n_pool++) b->pool[b->n_pool] = b->n_pool;
  breed_more(c, r);
}

/* ---- latent_grow(parent, recipe, place) ---- */

static const char *const RECIPE_KEYS[] = { "model", "writer", "draw", "weights", "options" };

struct recipe {
  char model[16], writer[16];   /* "": it names none */
  struct options options;
  struct draw draw;
};
struct growing {                /* the aggregate's state; zeroed is empty */
  struct brood *brood;          /* its mates are the parents, in their places */
  struct buf recipe;
  int came;                     /* bit i: parent i did */
};
_Static_assert(sizeof(struct growing)<=STATE_BYTES, "the state of an aggregate fits");

void grow_release(void *state){
  struct growing *g = state;
  if( g->brood ) brood_release(g->brood);
  buf_release(&g->recipe);
}

static void read_recipe(struct call *c, struct content text, struct recipe *out){
  cJSON *json = json_object(c, text.bytes, text.n, "argument 2 (recipe)");
  const cJSON *options;
  int64_t number;
  *out = (struct recipe){ 0 };
  if( json==NULL ) return;
  json_check_keys(c, json, "argument 2 (recipe)", RECIPE_KEYS, 5);
  sqlite3_snprintf(sizeof(out->model), out->model, "%s", json_text(json, "model", ""));
  sqlite3_snprintf(sizeof(out->writer), out->writer, "%s", json_text(json, "writer", ""));
  out->draw.n = json_weights(cJSON_GetObjectItemCaseSensitive(json, "weights"), out->draw.weights);
  if( out->draw.n==0 ){
    fail(&c->err, SQLITE_ERROR, "argument 2 (recipe) has no \"weights\", an array of 1 to %d "
         "numbers from 0 on", MATES_MOST);
  }
  if( !json_whole(cJSON_GetObjectItemCaseSensitive(json, "draw"), 0, INT32_MAX, &number) ){
    fail(&c->err, SQLITE_ERROR, "argument 2 (recipe) has no \"draw\", a whole number");
  }
  out->draw.number = (int)number;
  options = cJSON_GetObjectItemCaseSensitive(json, "options");
  if( !cJSON_IsObject(options) || out->model[0]==0 ){
    fail(&c->err, SQLITE_ERROR, "argument 2 (recipe) has no %s", out->model[0] ? "\"options\", an "
         "object" : "\"model\"");
  }
  if( c->err.rc==SQLITE_OK ) out->options = options_of(c, options);
  cJSON_Delete(json);
}

/* The same model and the same writer. */
static void check_recipe(struct call *c, const struct recipe *recipe, int kind){
  const struct model *m = call_model_of(c, kind, 0);
  struct options o = recipe->options;
  char present[16] = "none";
  if( m==NULL ) return;
  sqlite3_snprintf(sizeof(present), present, "%08x", m->config.fingerprint);
  if( strcmp(recipe->model, present)!=0 ){
    fail(&c->err, SQLITE_ERROR, "the recipe is for model %s, the present model is %s: "
         "latent_load() the weights that made it", recipe->model, present);
  }
  call_writer(c, m, &o, 1, 2);
  if( recipe->writer[0]==0 || c->err.rc!=SQLITE_OK ) return;
  sqlite3_snprintf(sizeof(present), present, "none");
  if( c->connection->writer ){
    sqlite3_snprintf(sizeof(present), present, "%08x", writer_print(c->connection->writer));
  }
  if( strcmp(recipe->writer, present)!=0 ){
    fail(&c->err, SQLITE_ERROR, "the recipe is for writer %s, the present writer is %s",
         recipe->writer, present);
  }
}

/* Room for n parents. */
static void grow_begin(struct call *c, struct growing *g, struct content text,
                       const struct recipe *recipe){
  struct mate none = { .nearest = 2 };
  g->brood = mem_zeroed(sizeof(*g->brood));
  if( g->brood==NULL ) fail_nomem(&c->err);
  buf_append(&g->recipe, text.bytes, text.n);
  check_buf(c, &g->recipe);
  for(int i=0; i<recipe->draw.n && c->err.rc==SQLITE_OK; i++){
    buf_append(&g->brood->mates, &none, sizeof(none));
    check_buf(c, &g->brood->mates);
  }
}

void grow_step(struct call *c, void *state){
  struct growing *g = state;
  struct content text = call_text(c, 1, "recipe");
  struct recipe recipe;
  struct latent z;
  int place;
  c->n_points = 1;
  read_recipe(c, text, &recipe);
  if( c->err.rc!=SQLITE_OK ) return;
  place = (int)call_integer(c, 2, "place", 0, recipe.draw.n - 1);
  z = call_point(c, 0, "parent");
  if( c->err.rc==SQLITE_OK && g->brood==NULL ) grow_begin(c, g, text, &recipe);
  if( c->err.rc!=SQLITE_OK ) return;
  if( g->recipe.n!=text.n || memcmp(g->recipe.data, text.bytes, text.n)!=0 ){
    fail(&c->err, SQLITE_ERROR, "the rows have two recipes: grow one child at a time, or GROUP BY "
         "its id");
  }else if( g->came & 1<<place ){
    fail(&c->err, SQLITE_ERROR, "the recipe's parent in place %d came twice", place);
  }else{
    mate_at(g->brood, place)->z = brood_keep(c, g->brood, &z);
    g->came |= 1<<place;
  }
}

void grow_give(struct call *c, void *state){
  struct growing *g = state;
  struct brood *b = g->brood;
  struct content text = { g->recipe.data, g->recipe.n };
  struct recipe recipe;
  struct buf made = call_buf(c);
  if( b==NULL ) return;
  read_recipe(c, text, &recipe);
  b->kind = mate_at(b, 0)->z.kind;
  for(int i=0; i<recipe.draw.n && c->err.rc==SQLITE_OK; i++){
    recipe.draw.mates[i] = i;
    if( g->came & 1<<i ) brood_check(c, b, &mate_at(b, i)->z, "the recipe");
    else fail(&c->err, SQLITE_ERROR, "the recipe's parent in place %d did not come", i);
  }
  if( c->err.rc!=SQLITE_OK ) return;
  brood_settle(c, b, &recipe.options);
  check_recipe(c, &recipe, b->kind);
  b->n_genes = 0;
  brood_genes(c, b);
  if( c->err.rc==SQLITE_OK ) brood_decode(c, b, &recipe.draw, 1, &made);
  if( c->err.rc==SQLITE_OK ) result_made(c, call_model_of(c, b->kind, 0), &made);
  buf_release(&made);
}
