/*
** functions_brood.c -- how a child of texts, code or pictures is made. latent_breed(),
** latent_explore() and latent_grow() stand on it.
**
** "Text" is said of pictures too.
**
** 1. Mates: the parents that were given (functions_origin.c), the rows of the archive, and then
**    every child that is shown. A mate has an id. Children are numbered behind the largest id of
**    all that was read, so one column of parents' ids can name both, and SELECT * goes into the
**    table that was read from.
** 2. A draw: some of the mates, their weights in ten-thousandths, and a number that its mutation is
**    drawn with.
** 3. Its point: the parents are mixed (along arcs), spliced (the first segments of one, the next of
**    another), parted (r of the last, s of the others), or joined (a region of each picture). Genes
**    are added, then it is turned by the mutation.
** 4. The points of a batch are decoded together, each as it would be alone, with the seed of the
**    call: so its recipe is enough to grow it again. What the parents say, which the writer reads,
**    is what the small decoder says of their latents, since these are all that grows it again.
** 5. Its latent is what the text encodes to, not the point: a child is what can be read or seen,
**    and a point between others, whose r is short, would give ever vaguer children.
** 6. A child that says nearly what a mate says is no child. Nor is code that is no Python.
**
** A recipe is {"model":..., "writer":..., "draw":..., "weights":[...], "options":{...}}. It does
** not name the parents, since these may get other ids: their latents come with it.
*/
#include "functions.h"
#include "grammar.h"
#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

enum {
  KEEP = 4,                     /* where options do not say, as the next two */
  PARENTS_EACH = 2,
  SEED = 1,
  MATES_READ_MOST = 20000,
  SEGMENTS_MOST = 65535         /* of a latent */
};
/* At this distance nobody sees the difference: case, spaces, a dot more. */
static const float SAME = 0.03f;

/* ---- The state ---- */

void brood_release(void *state){
  struct brood *b = state;
  arena_release(&b->store);
  buf_release(&b->mates);
  mem_free(b);
}

struct mate *brood_mates(struct brood *b, int *n){
  *n = (int)(b->mates.n/sizeof(struct mate));
  return (void *)b->mates.data;
}

struct mate *mate_at(struct brood *b, int i){
  return (struct mate *)(void *)b->mates.data + i;
}

static void *store(struct call *c, struct brood *b, const void *data, size_t n){
  void *copy = c->err.rc==SQLITE_OK ? arena_get(&b->store, n) : NULL;
  if( copy ) memcpy(copy, data, n);
  else fail_nomem(&c->err);
  return copy;
}

/* A copy in the store, rounded as its BLOB is. */
struct latent brood_keep(struct call *c, struct brood *b, const struct latent *z){
  size_t count = (size_t)z->n_segments*(size_t)z->width;
  struct latent kept = *z;
  kept.z = store(c, b, z->z, count*sizeof(float));
  if( kept.z && z->kind!=KIND_DIRECTION ) round_to_halves(kept.z, count);
  return kept;
}

static void add_mate(struct call *c, struct brood *b, const struct seed *seed){
  struct mate mate = { .id = seed->id, .generation = seed->generation, .nearest = 2 };
  mate.z = brood_keep(c, b, &seed->z);
  buf_append(&b->mates, &mate, sizeof(mate));
  check_buf(c, &b->mates);
  if( seed->id>=INT64_MAX - MATES_READ_MOST ){
    fail(&c->err, SQLITE_ERROR, "a parent has the id %lld, which leaves none for its children",
         seed->id);
    return;
  }
  if( seed->id>=b->next_id ) b->next_id = seed->id + 1;
}

/* ---- What is read at first ---- */

void brood_check(struct call *c, struct brood *b, const struct latent *z, const char *what){
  const struct mate *first = mate_at(b, 0);
  if( b->mates.n==0 ){
    b->kind = z->kind;
  }else if( z->kind!=b->kind || z->fingerprint!=first->z.fingerprint ){
    fail(&c->err, SQLITE_ERROR, "%s has one of kind %s beside one of kind %s, expected all of one "
         "kind", what, kind_name(z->kind), kind_name(b->kind));
  }
}

/* Takes what s gives, but for what is among the mates already; known: keys of those. */
static void read_mates(struct call *c, struct brood *b, struct origin *s, const char *what,
                       struct key_set *known){
  struct arena_mark mark = arena_mark(&c->arena);
  struct seed seed;
  int n;
  while( origin_next(s, &seed) ){
    size_t bytes = (size_t)seed.z.n_segments*(size_t)seed.z.width*sizeof(float);
    uint64_t key = hash64(seed.z.z, bytes) ^ (uint64_t)seed.id*0x9E3779B97F4A7C15u;
    brood_check(c, b, &seed.z, what);
    if( key_set_add(known, key) && c->err.rc==SQLITE_OK ) add_mate(c, b, &seed);
    if( known->oom ) fail_nomem(&c->err);
    brood_mates(b, &n);
    if( n>MATES_READ_MOST ){
      fail(&c->err, SQLITE_ERROR, "%s has more than %d rows: choose some by a query, 'SELECT "
           "latent, id FROM ... LIMIT 1000'", what, MATES_READ_MOST);
    }
    if( c->err.rc!=SQLITE_OK ) break;
    arena_rewind(&c->arena, mark);
  }
  origin_close(s);
}

static void read_parents(struct call *c, struct brood *b){
  static const char what[] = "argument 1 (parents)";
  struct content text = call_text(c, 0, "parents");
  const char *archive = b->options.breeding.archive;
  struct key_set known = { 0 };
  struct origin s = { 0 };
  if( c->err.rc==SQLITE_OK && origin_open(&s, c, text, what)==SQLITE_OK ){
    read_mates(c, b, &s, what, &known);
  }
  origin_close(&s);
  brood_mates(b, &b->n_parents);
  if( b->n_parents==0 && c->err.rc==SQLITE_OK ){
    fail(&c->err, SQLITE_ERROR, "%s gives no parents: there is no row with content", what);
  }
  if( archive && c->err.rc==SQLITE_OK && origin_table(&s, c, archive)==SQLITE_OK ){
    read_mates(c, b, &s, "option \"archive\"", &known);
  }
  origin_close(&s);
  key_set_release(&known);
}

/* TEXT is a wish in words, whatever the kind of the parents. */
void brood_wish(struct call *c, struct brood *b, sqlite3_value *v){
  int named = c->named;
  int kind = c->kind;
  struct latent z;
  if( c->err.rc!=SQLITE_OK ) return;
  c->named = 0;
  if( sqlite3_value_type(v)==SQLITE_TEXT ) c->kind = KIND_TEXT;
  z = value_point(c, v, "the wish");
  c->named = named;
  c->kind = kind;
  if( c->err.rc==SQLITE_OK ) b->wish = brood_keep(c, b, &z);
}

static struct latent encode_text(struct call *c, const char *text, const char *what, int kind){
  const struct content content = { text, strlen(text) };
  const struct model *m = call_model_of(c, kind, 0);
  struct latent z = { 0 };
  if( m ) contents_encode(m, &c->run, &content, 1, what, 0, &z);
  return z;
}

void brood_wish_for(struct call *c, struct brood *b, const char *text){
  struct latent z = encode_text(c, text, "the wish", KIND_TEXT);
  if( c->err.rc==SQLITE_OK ) b->wish = brood_keep(c, b, &z);
}

/* ---- Genes ---- [{"from": content, "to": content or a direction, "amount": 0.5}], without `from`
** towards `to`. Content is text, or a latent as latent_json() gives it. ---- */

static const char *const GENE_KEYS[] = { "from", "to", "amount" };

static struct latent gene_end(struct call *c, const struct brood *b, const cJSON *item){
  struct latent z = { 0 };
  const char *text = cJSON_GetStringValue(item);
  char *json;
  if( c->err.rc!=SQLITE_OK ) return z;
  if( text ) return encode_text(c, text, "a gene", b->kind==KIND_CODE ? KIND_CODE : KIND_TEXT);
  json = cJSON_PrintUnformatted(item);
  if( json ) z = latent_from_json(c, (struct content){ json, strlen(json) });
  else fail_nomem(&c->err);
  cJSON_free(json);
  return z;
}

/* What is of another kind counts by its s, the numbers that both have. */
static struct latent fit_end(struct call *c, const struct brood *b, const struct latent *z){
  const struct model *m = call_model_of(c, b->kind, 0);
  struct latent fitted = { 0 };
  if( m==NULL || z->fingerprint==m->config.fingerprint ) return *z;
  fitted = latent_of(m, 1);
  fitted.kind = KIND_DIRECTION;
  fitted.z = arena_zeroed(&c->arena, (size_t)fitted.width*sizeof(float));
  if( fitted.z ) point_s(fitted.z, fitted.s, z, 0, z->n_segments);
  else fail_nomem(&c->err);
  return fitted;
}

static void read_gene(struct call *c, struct brood *b, const cJSON *item){
  const cJSON *from = cJSON_GetObjectItemCaseSensitive(item, "from");
  const cJSON *to = cJSON_GetObjectItemCaseSensitive(item, "to");
  const cJSON *amount = cJSON_GetObjectItemCaseSensitive(item, "amount");
  const double most = 1000;
  struct gene *g = &b->genes[b->n_genes];
  struct latent ends[2];
  json_check_keys(c, item, "a gene", GENE_KEYS, 3);
  if( to==NULL || !cJSON_IsNumber(amount) || !(fabs(amount->valuedouble)<=most) ){
    fail(&c->err, SQLITE_ERROR, "gene %d needs \"to\" and an \"amount\" from -%g to %g",
         b->n_genes + 1, most, most);
  }
  if( c->err.rc!=SQLITE_OK ) return;
  ends[1] = gene_end(c, b, to);
  if( c->err.rc==SQLITE_OK ) ends[1] = fit_end(c, b, &ends[1]);
  if( from && c->err.rc==SQLITE_OK ) ends[0] = gene_end(c, b, from);
  if( from && c->err.rc==SQLITE_OK ) ends[0] = fit_end(c, b, &ends[0]);
  if( from && c->err.rc==SQLITE_OK ){
    point_combine(&ends[1], &ends[1], 1, &ends[0], -1, KIND_DIRECTION, &c->arena, &c->err);
  }
  if( c->err.rc!=SQLITE_OK ) return;
  ends[1].kind = KIND_DIRECTION;
  *g = (struct gene){ brood_keep(c, b, &ends[1]), (float)amount->valuedouble };
  b->n_genes++;
}

void brood_genes(struct call *c, struct brood *b){
  const char *text = b->options.breeding.genes;
  cJSON *array = NULL;
  size_t n;
  if( text==NULL || c->err.rc!=SQLITE_OK ) return;
  array = json_parse(text, strlen(text), "genes", &c->err);
  n = array ? (size_t)cJSON_GetArraySize(array) : 0;
  b->genes = arena_zeroed(&b->store, (n + 1)*sizeof(*b->genes));
  if( b->genes==NULL ) fail_nomem(&c->err);
  for(cJSON *item=array ? array->child : NULL; item && c->err.rc==SQLITE_OK; item=item->next){
    read_gene(c, b, item);
  }
  cJSON_Delete(array);
}

/* ---- Beginning ---- */

/* After the options are read. */
void brood_settle(struct call *c, struct brood *b, const struct options *o){
  const char *recipe = o->breeding.recipe;
  struct breeding *own = &b->options.breeding;
  b->options = *o;
  b->rounds = c->rounds;
  if( !o->decode.has_seed ) b->options.decode.seed = SEED;
  b->options.decode.one_seed = 1;
  b->random = random_of(b->options.decode.seed);
  if( own->parents_each==0 ) own->parents_each = PARENTS_EACH;
  if( own->keep==0 ) own->keep = KEEP;
  if( own->generations==0 ) own->generations = 1;
  if( recipe ) own->recipe = store(c, b, recipe, strlen(recipe) + 1);
}

struct brood *brood_begin(struct call *c, struct rows *r, int i){
  struct brood *b = mem_zeroed(sizeof(*b));
  struct options o;
  r->state = b;
  if( b==NULL ){
    fail_nomem(&c->err);
    return NULL;
  }
  c->n_points = 0;              /* parents are no points of the call */
  b->next_id = 1;
  o = call_options(c, i);
  c->kind = c->named;
  brood_settle(c, b, &o);
  read_parents(c, b);
  brood_genes(c, b);
  b->options.where = NULL;      /* and what else lay in the call's arena */
  b->options.breeding.archive = b->options.breeding.genes = NULL;
  return c->err.rc==SQLITE_OK ? b : NULL;
}

void brood_resume(struct call *c, struct brood *b){
  c->kind = c->named = b->kind;
  c->rounds = b->rounds;
}

/* ---- 2. Draws ---- */

int random_below(struct random *random, int n){
  return (int)(random_u64(random)%(uint64_t)n);
}

/* No parent of two has less than a quarter of the weight. */
void brood_weigh(struct brood *b, struct draw *d){
  int shares[MATES_MOST];
  int sum = 0;
  int rest = WEIGHTS_WHOLE;
  for(int i=0; i<d->n; i++) sum += shares[i] = 50 + random_below(&b->random, 101);
  for(int i=d->n-1; i>0; i--){
    d->weights[i] = shares[i]*100/sum*(WEIGHTS_WHOLE/100);      /* in hundredths */
    rest -= d->weights[i];
  }
  d->weights[0] = rest;
  d->number = ++b->n_draws;
}

/* ---- 3. Points ---- */

static void mix_mates(struct call *c, struct brood *b, const struct draw *d, int n,
                      struct latent *z){
  int sum = d->weights[0];
  *z = mate_at(b, d->mates[0])->z;
  for(int i=1; i<n && c->err.rc==SQLITE_OK; i++){
    struct latent before = *z;
    int weight = d->weights[i];
    sum += weight;
    if( weight==0 ) continue;
    point_interp(z, &before, &mate_at(b, d->mates[i])->z, (float)weight/(float)sum, &c->arena,
                 &c->err);
  }
}

/* Of each mate, in order, its share of its own segments: the first third of one, the rest of
** another. Gives 0 where that is none, or where all have one segment. */
static int splice_mates(struct call *c, struct brood *b, const struct draw *d, struct latent *z){
  int from[MATES_MOST], to[MATES_MOST];
  int n = 0, before = 0, most = 0;
  for(int i=0; i<d->n; i++){
    sqlite3_int64 own = mate_at(b, d->mates[i])->z.n_segments;
    from[i] = (int)((before*own + WEIGHTS_WHOLE/2)/WEIGHTS_WHOLE);
    before += d->weights[i];
    to[i] = (int)((before*own + WEIGHTS_WHOLE/2)/WEIGHTS_WHOLE);
    if( n + to[i] - from[i]>SEGMENTS_MOST ) to[i] = from[i] + SEGMENTS_MOST - n;
    n += to[i] - from[i];
    if( own>most ) most = (int)own;
  }
  if( n==0 || most==1 ) return 0;
  *z = mate_at(b, d->mates[0])->z;
  z->n_segments = 0;
  z->z = arena_floats(&c->arena, (size_t)n*(size_t)z->width);
  if( z->z==NULL ) fail_nomem(&c->err);
  for(int i=0; i<d->n && c->err.rc==SQLITE_OK; i++){
    size_t count = (size_t)(to[i] - from[i])*(size_t)z->width;
    const struct latent *own = &mate_at(b, d->mates[i])->z;
    if( count>0 ) memcpy(latent_segment(z, z->n_segments), latent_segment(own, from[i]),
                         count*sizeof(float));
    z->n_segments += to[i] - from[i];
  }
  return 1;
}

static void join_mates(struct call *c, struct brood *b, const struct draw *d, struct latent *z){
  struct latent own[MATES_MOST];
  for(int i=0; i<d->n; i++) own[i] = mate_at(b, d->mates[i])->z;
  *z = join_points(c, own, d->weights, d->n, decode_seed(b->options.decode.seed, d->number));
}

static struct latent copy_latent(struct call *c, const struct latent *z){
  size_t count = (size_t)z->n_segments*(size_t)z->width;
  struct latent copy = *z;
  if( c->err.rc!=SQLITE_OK ) return copy;
  copy.z = arena_floats(&c->arena, count);
  if( copy.z ) memcpy(copy.z, z->z, count*sizeof(float));
  else fail_nomem(&c->err);
  return copy;
}

struct latent brood_place(struct call *c, struct brood *b, const struct draw *d){
  const struct breeding *o = &b->options.breeding;
  int is_part = o->crossover==CROSSOVER_PART && d->n>1;
  struct options drawn = { 0 };         /* how a picture's r is drawn: as a recipe says it again */
  struct latent z, mixed;
  drawn.decode.has_seed = 1;
  drawn.decode.seed = decode_seed(b->options.decode.seed, d->number);
  if( o->crossover==CROSSOVER_REGIONS ){
    join_mates(c, b, d, &z);
  }else if( o->crossover!=CROSSOVER_SEGMENTS || !splice_mates(c, b, d, &z) ){
    mix_mates(c, b, d, is_part ? d->n - 1 : d->n, &z);
  }
  mixed = z;
  if( is_part && c->err.rc==SQLITE_OK ){
    z = cross_points(c, &mixed, &mate_at(b, d->mates[d->n-1])->z, 1, &drawn);
  }
  z = copy_latent(c, &z);
  for(int i=0; i<b->n_genes && c->err.rc==SQLITE_OK; i++){
    const struct gene *g = &b->genes[i];
    point_combine(&z, &z, 1, &g->direction, g->amount, z.kind, &c->arena, &c->err);
  }
  if( c->err.rc==SQLITE_OK && o->mutation>0 ){
    vary_point(c, call_model_of(c, z.kind, 0), &z, o->mutation,
               decode_seed(b->options.decode.seed, d->number));
  }
  return z;
}

/* ---- 4. Decoding ---- */

/* Sets what the small decoder says of the mates of draws[n], of one segment each. */
static void read_said(struct call *c, struct brood *b, const struct model *m,
                      const struct draw *draws, int n){
  static const float greedy[1] = { 0 };
  struct decode_options plain;
  decode_options_init(&plain);
  for(int i=0; i<n; i++){
    for(int k=0; k<draws[i].n && c->err.rc==SQLITE_OK; k++){
      struct mate *mate = mate_at(b, draws[i].mates[k]);
      struct buf said = { 0 };
      if( mate->said.bytes || mate->z.n_segments!=1 ) continue;
      texts_decode(m, &c->run, &mate->z, 1, greedy, &plain, &said, NULL);
      mate->said.n = said.n;
      mate->said.bytes = c->err.rc==SQLITE_OK ? buf_copy(&said, &b->store) : NULL;
      if( mate->said.bytes==NULL ) fail_nomem(&c->err);
      buf_release(&said);
    }
  }
}

/* What a child of one segment lies between, whose words it is to take up. */
static struct parents parents_of(struct brood *b, const struct draw *d){
  struct parents out = { 0 };
  if( d->n>PARENTS_MOST ) return out;
  for(int i=0; i<d->n; i++){
    const struct mate *mate = mate_at(b, d->mates[i]);
    if( mate->z.n_segments!=1 ) return out;
    out.texts[i] = mate->said;
    out.s[i] = mate->z.z;
    out.weights[i] = (float)d->weights[i]/WEIGHTS_WHOLE;
  }
  out.n = d->n;
  return out;
}

/* Decodes those of z[n] that have one segment, or the others: they may have another decoder. */
static void decode_some(struct call *c, struct brood *b, const struct draw *draws,
                        const struct latent *z, int n, int is_single, struct buf *texts){
  const struct model *m = call_model_of(c, b->kind, 0);
  struct options o = b->options;
  struct latent *points = arena_get(&c->arena, (size_t)n*sizeof(*points));
  float *fluencies = arena_floats(&c->arena, (size_t)n);
  struct parents *parents = arena_get(&c->arena, (size_t)n*sizeof(*parents));
  struct buf *made = arena_zeroed(&c->arena, (size_t)n*sizeof(*made));
  int count = 0;
  if( c->arena.oom ) fail_nomem(&c->err);
  call_writer(c, m, &o, 1, is_single ? 1 : 2);
  if( c->err.rc!=SQLITE_OK ) return;
  if( o.decode.writer && !o.decode.has_best_of && b->kind==KIND_TEXT ){
    o.decode.best_of = BEST_OF_WRITTEN;
  }
  if( o.decode.writer && is_single ) read_said(c, b, m, draws, n);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    if( (z[i].n_segments==1)!=is_single ) continue;
    fluencies[count] = o.decode.fluency;
    parents[count] = parents_of(b, &draws[i]);
    points[count++] = z[i];
  }
  if( o.decode.writer && is_single ) o.decode.parents = parents;
  o.decode.keeps_encoded = o.decoder==DECODER_DEFAULT && o.breeding.mutation<=0 && b->n_genes==0;
  if( count>0 && c->err.rc==SQLITE_OK ){
    contents_decode(m, &c->run, points, count, fluencies, &o.decode, made, NULL);
  }
  count = 0;
  for(int i=0; i<n; i++){               /* owned, after a failure too */
    if( (z[i].n_segments==1)==is_single ) texts[i] = made[count++];
  }
}

/* Fills texts[n], which are the caller's. */
void brood_decode(struct call *c, struct brood *b, const struct draw *draws, int n,
                  struct buf *texts){
  struct latent *z = arena_zeroed(&c->arena, (size_t)n*sizeof(*z));
  if( z==NULL ) fail_nomem(&c->err);
  for(int i=0; i<n && !err_stopped(&c->err); i++) z[i] = brood_place(c, b, &draws[i]);
  for(int is_single=0; is_single<2 && c->err.rc==SQLITE_OK; is_single++){
    decode_some(c, b, draws, z, n, is_single, texts);
  }
}

/* ---- A row ---- */

static void put_weights(struct buf *out, const struct draw *d){
  for(int i=0; i<d->n; i++){
    int w = d->weights[i];
    buf_char(out, i ? ',' : '[');
    if( w%100==0 ) buf_printf(out, "%d.%02d", w/WEIGHTS_WHOLE, w%WEIGHTS_WHOLE/100);
    else buf_printf(out, "%d.%04d", w/WEIGHTS_WHOLE, w%WEIGHTS_WHOLE);
  }
  buf_char(out, ']');
}

/* Stands for all that the connection's writer is. */
uint32_t writer_print(const struct writer *w){
  return (uint32_t)hash64(w->config.hashes, sizeof(w->config.hashes));
}

static void put_recipe(struct call *c, const struct brood *b, const struct draw *d,
                       struct buf *out){
  const struct model *m = call_model_of(c, b->kind, 0);
  if( m==NULL ) return;
  buf_printf(out, "{\"model\":\"%08x\",", m->config.fingerprint);
  if( b->kind!=KIND_PICTURE && c->connection->writer ){
    buf_printf(out, "\"writer\":\"%08x\",", writer_print(c->connection->writer));
  }
  buf_printf(out, "\"draw\":%d,\"weights\":", d->number);
  put_weights(out, d);
  buf_str(out, ",\"options\":");
  buf_str(out, b->options.breeding.recipe);
  buf_char(out, '}');
}

/* The columns child, content, latent, parents, weights, generation, novelty, score, recipe. */
static void give_child(struct call *c, struct brood *b, const struct mate *mate,
                       const struct draw *d, const struct buf *text, struct rows *r){
  struct buf blob = call_buf(c);
  struct buf parents = { 0 }, weights = { 0 }, recipe = { 0 };
  latent_write(&blob, &mate->z, &c->err);
  for(int i=0; i<d->n; i++){
    buf_printf(&parents, "%s%lld", i ? "," : "[", (long long)mate_at(b, d->mates[i])->id);
  }
  buf_char(&parents, ']');
  put_weights(&weights, d);
  put_recipe(c, b, d, &recipe);
  rows_integer(r, mate->id);
  rows_content(r, b->kind, text->data, text->n);
  rows_blob(r, buf_text(&blob), blob.n);
  rows_text(r, buf_text(&parents), parents.n);
  rows_text(r, buf_text(&weights), weights.n);
  rows_integer(r, mate->generation);
  rows_real(r, (double)mate->nearest);
  if( b->wish.n_segments>0 ) rows_real(r, (double)mate->score);
  else rows_null(r);
  rows_text(r, buf_text(&recipe), recipe.n);
  check_buf(c, &blob);
  check_buf(c, &parents);
  check_buf(c, &weights);
  check_buf(c, &recipe);
  buf_release(&blob);
  buf_release(&parents);
  buf_release(&weights);
  buf_release(&recipe);
}

/* ---- 5., 6. Children ---- */

float brood_distance(struct call *c, const struct latent *a, const struct latent *b){
  float d = 2;
  if( c->err.rc==SQLITE_OK ) point_nearest(&d, a, b, &c->arena, &c->err);
  return d;
}

static int generation_of(struct brood *b, const struct draw *d){
  int most = 0;
  for(int i=0; i<d->n; i++){
    int own = mate_at(b, d->mates[i])->generation;
    if( own>most ) most = own;
  }
  return most + 1;
}

/* Sets what the distances to all others say; false: it is one of them. */
static int measure_child(struct call *c, struct brood *b, struct mate *child){
  int n;
  struct mate *mates = brood_mates(b, &n);
  child->nearest = 2;
  for(int i=0; i<n && !err_stopped(&c->err); i++){
    float d = brood_distance(c, &child->z, &mates[i].z);
    if( d<child->nearest ) child->nearest = d;
    if( d<SAME ) return 0;
  }
  if( b->wish.n_segments>0 ) child->score = 1 - brood_distance(c, &child->z, &b->wish);
  return c->err.rc==SQLITE_OK;
}

/* The mate that stands at the end, and its row. */
static void show_child(struct call *c, struct brood *b, const struct draw *d,
                       const struct latent *z, const struct buf *text, struct mate *child,
                       struct rows *r){
  child->id = b->next_id++;
  child->generation = generation_of(b, d);
  child->z = brood_keep(c, b, z);
  if( c->err.rc==SQLITE_OK ) give_child(c, b, child, d, text, r);
  buf_append(&b->mates, child, sizeof(*child));
  check_buf(c, &b->mates);
  b->n_shown++;
}

/* The kind code has learned from Python alone. */
static int is_sound(struct call *c, const struct brood *b, const struct content *text){
  if( text->n==0 ) return 0;
  return b->kind!=KIND_CODE || python_valid(text->bytes, text->n, &c->err);
}

static int choose_children(struct call *c, struct brood *b, const struct draw *draws, int n,
                           const struct buf *texts, struct rows *r){
  struct content *contents = arena_get(&c->arena, (size_t)n*sizeof(*contents));
  struct latent *z = arena_get(&c->arena, (size_t)n*sizeof(*z));
  const struct model *m = call_model_of(c, b->kind, 0);
  int n_shown = 0;
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return 0;
  for(int i=0; i<n; i++){
    const char *text = texts[i].n>0 ? texts[i].data : "";
    contents[i] = (struct content){ text, texts[i].n };
  }
  contents_encode(m, &c->run, contents, n, "a child", b->rounds, z);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    struct mate child = { .z = z[i] };
    if( !is_sound(c, b, &contents[i]) || !measure_child(c, b, &child) ) continue;
    show_child(c, b, &draws[i], &z[i], &texts[i], &child, r);
    n_shown++;
  }
  return n_shown;
}

int brood_make(struct call *c, struct brood *b, const struct draw *draws, int n, struct rows *r){
  struct buf *texts = arena_zeroed(&c->arena, (size_t)n*sizeof(*texts));
  int n_shown;
  assert( n>0 && n<=DRAWS_MOST );
  if( texts==NULL ){
    fail_nomem(&c->err);
    return 0;
  }
  brood_decode(c, b, draws, n, texts);
  n_shown = choose_children(c, b, draws, n, texts, r);
  for(int i=0; i<n; i++) buf_release(&texts[i]);
  return n_shown;
}

