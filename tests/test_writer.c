/*
** test_writer.c -- the writer: against the PyTorch reference (model/golden_writer.py makes the
** folder tests/data/llama and the golden values), against itself, and folders that are broken.
**
**     build/core/test_writer [ROOT]
*/
#include "broken.h"
#include "fault.h"
#include "model_golden.h"
#include <sys/stat.h>
#include <unistd.h>

enum { LAYERS_MOST = 4, TEXTS_MOST = 8 };

/* Both sides round activations to whole numbers, so they agree much better than elsewhere: to 8e-7.
** Or much worse, where a number lies so near to the middle of two that they round it otherwise:
** then take other texts in model/golden_writer.py. */
static const float WRITER_TOLERANCE = 2e-6f;

static struct writer *open_tiny(struct err *e){
  struct writer *w;
  writer_open(&w, path_of("tests/data/llama"), e);
  ok(w!=NULL, "writer: the tiny folder opens", "%s", e->text);
  return w;
}

static int same_floats(const float *a, const float *b, size_t n){
  return memcmp(a, b, n*sizeof(float))==0;
}

/* ---- The network ---- */

/* How the rows of all texts are read. */
enum order {
  PREFILL,                              /* a text at a step */
  ALONE,                                /* a row at a step */
  TOGETHER,                             /* all rows of all texts at a step */
  SIDE_BY_SIDE,                         /* the rows at a position of all texts at a step */
  COPIED                                /* as ALONE; its cache is copied before each row */
};
static const char *const ORDERS[] = {
  "a text at a step", "a row at a step", "all texts at a step", "texts side by side",
  "a copied cache",
};

/* What reads them. */
enum voice { WRITER, CODE, PLAIN };
static const char *const VOICES[] = { "writer", "code", "plain" };

struct network {                        /* one reading of texts */
  const struct writer *w;
  struct run *run;
  const int *ids, *start;
  int n;                                /* texts */
  const float *z, *detail;
  enum order order;
  enum voice voice;
  struct arena arena;                   /* owned: not the run's, whose marks are the writer's */
  struct writing writing;
  float *caches[TEXTS_MOST], *copies[TEXTS_MOST];
  float *layers[LAYERS_MOST];           /* [rows, d] each */
  float *scores;                        /* [rows, pieces] */
  const int *at;                        /* of the present step: which rows it reads */
  int n_at;
};

static void watch(void *arg, const char *stack, int layer, const float *x, int rows){
  struct network *g = arg;
  size_t d = (size_t)g->w->config.shape.d;
  (void)stack;
  for(int i=0; i<rows; i++){
    memcpy(g->layers[layer] + (size_t)g->at[i]*d, x + (size_t)i*d, d*sizeof(float));
  }
}

static int text_of(const struct network *g, int row){
  int text = 0;
  while( g->start[text+1]<=row ) text++;
  return text;
}

/* Reads rows at[n]. */
static void read_step(struct network *g, struct worker *worker, const int *at, int n){
  int limit = g->w->config.shape.longest + 1;
  size_t pieces = (size_t)g->w->config.shape.pieces;
  struct written rows[64];
  float *y = arena_floats(&g->arena, (size_t)n*pieces);
  for(int i=0; i<n; i++){
    int text = text_of(g, at[i]);
    int position = at[i] - g->start[text];
    if( g->order==COPIED && position>0 ){
      float *old = g->caches[text];
      writing_copy(&g->writing, g->copies[text], old, position, limit);
      g->caches[text] = g->copies[text];
      g->copies[text] = old;
      memset(old, 0xFF, page_floats(g->w, limit)*sizeof(float));        /* NaN */
    }
    rows[i] = (struct written){ g->ids[at[i]], position, text, g->caches[text], limit };
  }
  g->at = at;
  writing_step(&g->writing, g->run, worker, rows, n, g->voice==PLAIN);
  writing_scores(&g->writing, y, n);
  for(int i=0; i<n; i++){
    memcpy(g->scores + (size_t)at[i]*pieces, y + (size_t)i*pieces, pieces*sizeof(float));
  }
}

static void read_all(void *arg, struct worker *worker, int chunk){
  struct network *g = arg;
  int n_rows = g->start[g->n];
  int at[64];
  (void)chunk;
  for(int i=0; i<n_rows; i++) at[i] = i;
  if( g->order==TOGETHER ) read_step(g, worker, at, n_rows);
  for(int i=0; g->order==PREFILL && i<g->n; i++){
    read_step(g, worker, at + g->start[i], g->start[i+1] - g->start[i]);
  }
  for(int i=0; (g->order==ALONE || g->order==COPIED) && i<n_rows; i++){
    read_step(g, worker, at + i, 1);
  }
  for(int k=0; g->order==SIDE_BY_SIDE && k<n_rows; k++){
    int n = 0;
    for(int i=g->n-1; i>=0; i--){
      if( g->start[i] + k<g->start[i+1] ) at[n++] = g->start[i] + k;
    }
    if( n>0 ) read_step(g, worker, at, n);
  }
}

static void network_run(struct network *g){
  const struct writer_shape *shape = &g->w->config.shape;
  int kind = g->voice==CODE ? KIND_CODE : KIND_TEXT;
  int width = g->voice==CODE ? shape->code_s + shape->code_r : shape->s + shape->r;
  size_t rows = (size_t)g->start[g->n];
  size_t cache = page_floats(g->w, shape->longest + 1);
  struct arena *a = &g->arena;
  writing_init(&g->writing, g->w, (int)rows, g->n, shape->longest + 1, a);
  for(int l=0; l<shape->layers; l++) g->layers[l] = arena_floats(a, rows*(size_t)shape->d);
  g->scores = arena_floats(a, rows*(size_t)shape->pieces);
  for(int i=0; i<g->n; i++){
    g->caches[i] = arena_floats(a, cache);
    g->copies[i] = arena_floats(a, cache);
    writing_point(&g->writing, i, kind, g->z + i*width, g->detail[i]);
  }
  g->run->watch = watch;
  g->run->watch_arg = g;
  chunks_run(g->run, 1, 1, read_all, g);
  g->run->watch = NULL;
}

static struct network network_of(struct golden *g, const struct writer *w, struct run *run,
                                 enum voice voice){
  struct network network = { .w = w, .run = run, .voice = voice };
  size_t n;
  network.ids = golden_ints(g, "ids", &n);
  network.start = golden_ints(g, "start", &n);
  network.n = (int)n - 1;
  network.z = golden_floats(g, voice==CODE ? "code_z" : "z", &n);
  network.detail = golden_floats(g, "detail", &n);
  return network;
}

static void compare_layers(struct golden *g, const struct network *got){
  const char *voice = VOICES[got->voice];
  const struct writer_shape *shape = &got->w->config.shape;
  size_t rows = (size_t)got->start[got->n];
  char name[40];
  for(int l=0; l<shape->layers; l++){
    snprintf(name, sizeof(name), "%s.%d", voice, l);
    golden_compare_to(g, name, got->layers[l], rows*(size_t)shape->d, WRITER_TOLERANCE);
  }
  snprintf(name, sizeof(name), "%s.scores", voice);
  golden_compare_to(g, name, got->scores, rows*(size_t)shape->pieces, WRITER_TOLERANCE);
}

static int same_network(const struct network *a, const struct network *b){
  const struct writer_shape *shape = &a->w->config.shape;
  size_t rows = (size_t)a->start[a->n];
  int same = same_floats(a->scores, b->scores, rows*(size_t)shape->pieces);
  for(int l=0; l<shape->layers; l++){
    same &= same_floats(a->layers[l], b->layers[l], rows*(size_t)shape->d);
  }
  return same;
}

static const char *const CODES[] = {
  "avx512_vnni", "avx512", "avx2_vnni", "avx2", "neon_dot", "neon", "plain"
};

static void test_network(void){
  struct property orders = { 0 }, codes = { 0 };
  struct bench b;
  struct golden g;
  struct writer *w;
  bench_start(&b);
  w = open_tiny(&b.err);
  if( w && golden_open(&g, "writer", &b) ){
    for(enum voice voice=WRITER; voice<=PLAIN; voice++){
      struct network first = network_of(&g, w, &b.run, voice);
      network_run(&first);
      compare_layers(&g, &first);
      for(int i=0; i<12; i++){
        struct network other = network_of(&g, w, &b.run, voice);
        other.order = i<5 ? (enum order)i : PREFILL;
        if( i>=5 && !linear_choose(CODES[i-5]) ) continue;
        network_run(&other);
        holds(i<5 ? &orders : &codes, same_network(&first, &other), "%s",
              i<5 ? ORDERS[i] : CODES[i-5]);
        arena_release(&other.arena);
      }
      linear_choose(NULL);
      arena_release(&first.arena);
    }
    safetensors_close(&g.file);
  }
  property_ok(&orders, "writer: rows alone, at once, beside others: the same bits");
  property_ok(&codes, "writer: every code gives the same bits");
  writer_close(w);
  bench_end(&b);
}

/* What texts_nats() should give: the texts, in pieces, read by the network. */
static void nats_of(const struct writer *w, struct run *run, const struct content *texts, int n,
                    float *nats){
  struct network g = { .w = w, .run = run, .voice = PLAIN, .n = n };
  int pieces = w->config.shape.pieces;
  int all[64];
  int start[TEXTS_MOST+1] = { 0 };
  const float *y;
  for(int i=0; i<n; i++){
    int *ids, n_ids;
    int *row = all + start[i];
    bpe_encode(w->bpe, texts[i].bytes, texts[i].n, run->arena, &ids, &n_ids, run->err);
    if( n_ids>w->config.shape.longest ) n_ids = w->config.shape.longest;
    row[0] = w->config.shape.begin;
    memcpy(row + 1, ids, (size_t)n_ids*sizeof(int));
    start[i+1] = start[i] + 1 + n_ids;
  }
  g.ids = all;
  g.start = start;
  g.z = g.detail = arena_zeroed(run->arena, 1024*sizeof(float));
  network_run(&g);
  y = g.scores;
  for(int i=0; i<n; i++){
    float sum = 0;
    int n_ids;
    for(int at=start[i]; at<start[i+1]; at++, y+=pieces){
      if( at>start[i] ) sum -= y[at+1<start[i+1] ? all[at+1] : w->config.shape.begin];
    }
    n_ids = start[i+1] - start[i] - 1;
    nats[i] = n_ids>0 ? sum/(float)n_ids : 0;
  }
  arena_release(&g.arena);
}

static void test_aloud(void){
  static const char *const said[] = {
    "", " the", " it was night by the sea and rain", " The old cat said \"no\".",
    " and and and and and and and and and and and and and and and", "\xFF\xFE",
  };
  enum { SAID = sizeof(said)/sizeof(*said) };
  struct property same = { 0 };
  struct content texts[SAID];
  float wanted[SAID], got[SAID];
  struct bench b;
  struct writer *w;
  bench_start(&b);
  w = open_tiny(&b.err);
  for(int i=0; i<SAID; i++) texts[i] = (struct content){ said[i], strlen(said[i]) };
  if( w ) nats_of(w, &b.run, texts, SAID, wanted);
  for(int n=1; w && n<=3; n++){
    b.run.n_threads = n;
    texts_nats(w, &b.run, texts, SAID, got);
    holds(&same, same_floats(wanted, got, SAID), "%d threads", n);
  }
  property_ok(&same, "writer: texts are read aloud as the plain model reads them");
  ok(got[4]>0 && got[4]<20, "writer: and a text that is too long to its limit", "%g", got[4]);
  writer_close(w);
  bench_end(&b);
}

/* ---- Texts ---- */

/* What strands are written with: points, contexts, fluencies. */
struct scene {
  struct bench b;
  struct model *m;
  struct writer *w;
  float *z;
  struct decode_options o;
  float fluencies[40];
  struct content contexts[40];
  struct parents parents[40];
};
enum { N_POINTS = 14, N_STRANDS = 3*N_POINTS };

static const char *const BEFORE[] = {
  "", "The rain was on the sea.", " and", ("\xFF\x00 by night" "\x80"),
};

/* What point i lies between: nothing, or one to three texts. */
static struct parents parents_of_number(int i){
  struct parents p = { .n = i%4 };
  for(int k=0; k<p.n; k++){
    const char *text = BEFORE[(i + k)%4];
    p.texts[k] = (struct content){ text, strlen(text) };
    p.weights[k] = 1/(float)p.n;
  }
  return p;
}

static int scene_open(struct scene *s){
  *s = (struct scene){ 0 };
  bench_start(&s->b);
  decode_options_init(&s->o);
  if( model_open(&s->m, path_of("tests/data/text.safetensors"), &s->b.err)==SQLITE_OK ){
    writer_open(&s->w, path_of("tests/data/llama"), &s->b.err);
  }
  s->o.writer = s->w;
  s->o.detail = 0.7f;
  return s->b.err.rc==SQLITE_OK;
}

static int scene_start(struct scene *s){
  if( !scene_open(s) ) return 0;
  s->z = random_points(s->m, N_POINTS, 8, &s->b.arena);
  for(int i=0; i<N_POINTS; i++){
    const char *text = BEFORE[i%4];
    s->fluencies[i] = i%3==0 ? 0 : i%3==1 ? 0.4f : 1;
    s->contexts[i] = (struct content){ text, i%4==3 ? 12 : strlen(text) };
    s->parents[i] = parents_of_number(i);
  }
  s->o.parents = s->parents;
  s->o.fluencies = s->fluencies;
  s->o.contexts = s->contexts;
  return 1;
}

static void scene_end(struct scene *s){
  writer_close(s->w);
  model_close(s->m);
  bench_end(&s->b);
}

/* Strand i, of three for each point: the likeliest, and two that draw. */
static struct strand strand_of_number(int i, struct tokens *out){
  return (struct strand){
    .latent = i/3,
    .beams = 1,
    .temperature = i%3==0 ? 0 : 0.5f*(float)(i%3),
    .random = random_of((uint64_t)i + 1),
    .out = out,
  };
}

/* Strands from..to-1 in one call; their tokens go to out[from] and on. */
static void write_strands(struct scene *s, struct tokens *out, int from, int to){
  struct strand strands[N_STRANDS];
  tokens_init(out + from, s->m, to - from, &s->o, &s->b.arena);
  for(int i=from; i<to; i++) strands[i] = strand_of_number(i, &out[i]);
  strands_write(s->m, &s->b.run, s->z, &s->o, strands + from, to - from);
}

static int same_tokens(const struct tokens *a, const struct tokens *b, int n){
  for(int i=0; i<n; i++){
    if( a[i].n!=b[i].n || a[i].log_probability!=b[i].log_probability
     || memcmp(a[i].ids, b[i].ids, (size_t)a[i].n*sizeof(int))!=0 ) return 0;
  }
  return 1;
}

static void test_strands(void){
  struct property alone = { 0 }, some = { 0 }, threads = { 0 }, differ = { 0 };
  struct tokens all[N_STRANDS], other[N_STRANDS];
  struct scene s;
  if( !scene_start(&s) ) return;
  write_strands(&s, all, 0, N_STRANDS);
  for(int i=0; i<N_STRANDS; i++){
    write_strands(&s, other, i, i + 1);
    holds(&alone, same_tokens(&all[i], &other[i], 1), "strand %d", i);
    if( i%3==2 ) holds(&differ, !same_tokens(&all[i], &all[i-2], 1), "strand %d", i);
  }
  for(int i=0; i<N_STRANDS; i+=5){
    int n = N_STRANDS - i<5 ? N_STRANDS - i : 5;
    write_strands(&s, other, i, i + n);
    holds(&some, same_tokens(&all[i], &other[i], n), "strands from %d on", i);
  }
  for(int n=2; n<=5; n++){
    s.b.run.n_threads = n;
    write_strands(&s, other, 0, N_STRANDS);
    holds(&threads, same_tokens(all, other, N_STRANDS), "%d threads", n);
  }
  ok(s.b.err.rc==SQLITE_OK, "writer: strands are written", "%s", s.b.err.text);
  property_ok(&alone, "writer: a strand among many equals the strand alone");
  property_ok(&some, "writer: and five of them, which begin within a point's three");
  property_ok(&threads, "writer: threads give the same bits");
  property_ok(&differ, "writer: strands that draw differ");
  scene_end(&s);
}

/* What stands before a text counts: by its last pieces. */
static void test_contexts(void){
  enum { LONG = 1000 };
  static char text[LONG], other[LONG];
  struct property counts = { 0 }, end = { 0 };
  struct scene s;
  if( !scene_start(&s) ) return;
  for(int i=0; i<LONG; i++) text[i] = other[i] = (char)(i%7==6 ? ' ' : 'k' + i%5);
  memset(other, 'z', 300);
  for(int i=0; i<N_POINTS; i++){
    struct tokens long_one, like, none;
    int first = 3*i;
    struct tokens *at = &long_one - first;
    s.contexts[i] = (struct content){ text, LONG };
    write_strands(&s, at, first, first + 1);
    at = &like - first;
    s.contexts[i] = (struct content){ other, LONG };
    write_strands(&s, at, first, first + 1);
    at = &none - first;
    s.contexts[i] = (struct content){ NULL, 0 };
    write_strands(&s, at, first, first + 1);
    holds(&end, same_tokens(&long_one, &like, 1), "point %d", i);
    holds(&counts, !same_tokens(&long_one, &none, 1), "point %d", i);
  }
  property_ok(&counts, "writer: a context counts, with fluency and without");
  property_ok(&end, "writer: a long context counts by its end");
  scene_end(&s);
}

/* ---- The words of what a point lies between ---- */

static struct bpe *open_pieces(struct err *e){
  struct bpe *b = NULL;
  size_t n;
  char *json = file_read(path_of("model/writer/tokenizer.json"), &n);
  bpe_open(&b, json, n, "tokenizer.json", e);
  free(json);
  ok(b!=NULL, "wanted: the pieces of SmolLM2 are read", "%s", e->text);
  return b;
}

static int first_piece(const struct bpe *b, const char *text, struct run *run){
  int *ids, n;
  bpe_encode(b, text, strlen(text), run->arena, &ids, &n, run->err);
  return n>0 ? ids[0] : -1;
}

struct wanting {                        /* scores that are 0 but for what is favoured */
  struct bench b;
  struct bpe *pieces;
  struct wanted wanted;
  struct said said;
  float *y;                             /* [n_pieces] */
  int n_pieces;
  int ids[8];                           /* [n]: the text so far */
  int n;
};

static int wanting_start(struct wanting *g, const char *a, const char *b, float t){
  struct parents p = { .n = 2, .weights = { 1 - t, t } };
  *g = (struct wanting){ .n = 1 };
  bench_start(&g->b);
  p.texts[0] = (struct content){ a, strlen(a) };
  p.texts[1] = (struct content){ b, strlen(b) };
  g->pieces = open_pieces(&g->b.err);
  if( g->pieces==NULL ) return 0;
  g->n_pieces = bpe_pieces(g->pieces);
  g->y = arena_zeroed(&g->b.arena, (size_t)g->n_pieces*sizeof(float));
  wanted_make(&g->wanted, g->pieces, &g->b.run, &p);
  said_make(&g->said, &g->wanted, &g->b.arena);
  return g->b.err.rc==SQLITE_OK;
}

static void wanting_end(struct wanting *g){
  bpe_close(g->pieces);
  bench_end(&g->b);
}

/* What the score of a text's first piece changes by, at the present place. */
static float change_of(struct wanting *g, const char *text){
  int id = first_piece(g->pieces, text, &g->b.run);
  float change;
  wanted_favour(&g->wanted, &g->said, g->ids, g->n, 1, g->y);
  change = g->y[id];
  wanted_favour(&g->wanted, &g->said, g->ids, g->n, -1, g->y);
  return change;
}

static void say_piece(struct wanting *g, const char *text){
  g->ids[g->n] = first_piece(g->pieces, text, &g->b.run);
  wanted_say(&g->wanted, &g->said, g->ids[g->n++]);
}

static void test_wanted(void){
  struct wanting g;
  int is_restored = 1;
  if( !wanting_start(&g, "The doughnut was sweet.", "Sauce, 14 of the boxes!", 0.25f) ) return;
  ok(change_of(&g, " sweet")>change_of(&g, " Sauce") && change_of(&g, " Sauce")>0
     && change_of(&g, " sauce")==change_of(&g, " Sauce") && change_of(&g, " the")==0
     && change_of(&g, " Sweet")==0 && change_of(&g, "1")==0,
     "wanted: rare words of both, of the nearer one more, small letters too; nothing else",
     "sweet %g, Sauce %g, sauce %g, the %g", change_of(&g, " sweet"), change_of(&g, " Sauce"),
     change_of(&g, " sauce"), change_of(&g, " the"));
  ok(change_of(&g, " dough")>0 && change_of(&g, "nut")==0, "wanted: a word from its beginning",
     "nut %g", change_of(&g, "nut"));
  say_piece(&g, " dough");
  ok(change_of(&g, "nut")>change_of(&g, " sweet") && change_of(&g, " sweet")>0
     && change_of(&g, " dough")<0,
     "wanted: then its end, and not the word again", "nut %g, sweet %g, dough %g",
     change_of(&g, "nut"), change_of(&g, " sweet"), change_of(&g, " dough"));
  ok(change_of(&g, " sweet")<change_of(&g, " boxes"), "wanted: who is behind has the word",
     "sweet %g, boxes %g", change_of(&g, " sweet"), change_of(&g, " boxes"));
  say_piece(&g, " Sauce");
  ok(change_of(&g, " Sauce")<0 && change_of(&g, " sauce")==change_of(&g, " Sauce"),
     "wanted: a word that is said is said in small letters too", "sauce %g",
     change_of(&g, " sauce"));
  for(int i=0; i<g.n_pieces; i++) is_restored &= g.y[i]==0;
  ok(is_restored, "wanted: what was changed is taken back", "it is not");
  wanting_end(&g);
}

/* Parents that are empty, long, no text or alike. */
static void test_wanted_odd(void){
  static char word[100000];
  static const char *const odd[] = { "", " ", "\xFF\x80", ". , ; 12 3", word };
  struct property works = { 0 };
  memset(word, 'k', sizeof(word) - 1);
  for(int i=0; i<5; i++){
    struct wanting g;
    int is_started = wanting_start(&g, odd[i], odd[(i+1)%5], 0.5f);
    if( is_started ) say_piece(&g, " sauce");
    holds(&works, is_started && change_of(&g, " sauce")<0 && g.wanted.n<=256, "text %d: %d", i,
          g.wanted.n);
    wanting_end(&g);
  }
  property_ok(&works, "wanted: texts without words, and of one that is long");
}

/* ---- Documents, and going on ---- */

static const char DOCUMENT[] = "The sea was old. It was night. The dog and the cat said no. Rain.";

/* The text that the document's point is written as, with `threads`; owned by the caller. */
static struct buf write_document(struct scene *s, int threads, const char *complete){
  struct buf out = { 0 };
  struct latent z;
  float fluency = 0.5f;
  s->b.run.n_threads = threads;
  s->o.contexts = NULL;
  if( text_encode(s->m, &s->b.run, DOCUMENT, strlen(DOCUMENT), &z)!=SQLITE_OK ) return out;
  if( complete ){
    struct content text = { complete, strlen(complete) };
    s->o.fluencies = NULL;
    s->o.fluency = fluency;
    text_complete(s->m, &s->b.run, &text, &z, &s->o, &out);
  }else{
    texts_decode(s->m, &s->b.run, &z, 1, &fluency, &s->o, &out, NULL);
  }
  return out;
}

static int same_bufs(const struct buf *a, const struct buf *b){
  return a->n==b->n && a->n>0 && memcmp(a->data, b->data, a->n)==0;
}

static void test_documents(void){
  struct property p = { 0 };
  for(int goes_on=0; goes_on<2; goes_on++){
    struct scene s;
    struct buf one, two;
    if( !scene_start(&s) ) return;
    one = write_document(&s, 1, goes_on ? "It was" : NULL);
    two = write_document(&s, 3, goes_on ? "It was" : NULL);
    holds(&p, s.b.err.rc==SQLITE_OK && same_bufs(&one, &two), "%s: %s and %s", s.b.err.text,
          buf_text(&one), buf_text(&two));
    buf_release(&one);
    buf_release(&two);
    scene_end(&s);
  }
  property_ok(&p, "writer: documents and their continuations are the same on three threads");
}

/* A long one goes on page by page: up to each length it is the beginning of a longer one. */
static void test_pages(void){
  static const int most[] = { 5, 12, 13, 24, 40 };      /* a page has 12 */
  struct property begins = { 0 }, grows = { 0 };
  struct content text = { "It was", 6 };
  struct buf before = { 0 };
  struct scene s;
  if( !scene_start(&s) ) return;
  s.o.fluencies = NULL;
  s.o.fluency = 1;
  for(int i=0; i<5; i++){
    struct buf made = { 0 };
    s.o.max_tokens = most[i];
    text_complete(s.m, &s.b.run, &text, NULL, &s.o, &made);
    holds(&begins, made.n>=before.n && memcmp(buf_text(&made), buf_text(&before), before.n)==0,
          "%d pieces: %s", most[i], buf_text(&made));
    holds(&grows, made.n>before.n, "%d pieces: %s", most[i], buf_text(&made));
    buf_release(&before);
    before = made;
  }
  buf_release(&before);
  ok(s.b.err.rc==SQLITE_OK, "writer: texts are completed", "%s", s.b.err.text);
  property_ok(&begins, "writer: a completion is the beginning of a longer one");
  property_ok(&grows, "writer: of more pages than one too");
  scene_end(&s);
}

/* ---- A stop, no memory ---- */

static void test_stop(void){
  struct property p = { 0 };
  int stopped = 1;
  for(int stop_at=1; stopped; stop_at++){
    struct stopper stop = { .stop_at = stop_at, .caller = pthread_self() };
    struct tokens out[N_STRANDS];
    struct scene s;
    if( !scene_start(&s) ) return;
    s.b.run.n_threads = 2;
    s.b.err.stop = count_and_stop;
    s.b.err.stop_arg = &stop;
    write_strands(&s, out, 0, 12);
    stopped = stop.n_asked>=stop_at;
    holds(&p, s.b.err.rc==(stopped ? SQLITE_INTERRUPT : SQLITE_OK) && !stop.is_foreign,
          "question %d gives %d", stop_at, s.b.err.rc);
    if( stop_at>20 ) stop_at += stop_at/4;
    scene_end(&s);
  }
  property_ok(&p, "writer: it stops when it is asked to");
}

/* Two documents at once, behind something else, each segment the best of three. */
static void write_two(struct scene *s, struct buf out[2]){
  static const float fluencies[2] = { 0 };
  struct latent z[2];
  s->o.before = (struct content){ "It was night.", 13 };
  s->o.best_of = 3;
  if( text_encode(s->m, &s->b.run, DOCUMENT, strlen(DOCUMENT), &z[0])!=SQLITE_OK ) return;
  z[1] = z[0];
  texts_decode(s->m, &s->b.run, z, 2, fluencies, &s->o, out, NULL);
}

static void test_memory_of_two(void){
  struct property p = { 0 };
  int failed = 1;
  for(long at=1; failed && at<2000; at++){
    struct scene s;
    struct buf texts[2] = { { 0 } };
    fault_set(at, (int)(at%2));
    if( scene_open(&s) ) write_two(&s, texts);
    failed = fault.failed;
    fault_set(0, 0);
    holds(&p, s.b.err.rc==(failed ? SQLITE_NOMEM : SQLITE_OK),
          "allocation %ld: %d %s", at, s.b.err.rc, s.b.err.text);
    for(int i=0; i<2; i++) buf_release(&texts[i]);
    scene_end(&s);
  }
  property_ok(&p, "writer: two texts, read aloud, without memory, SQLITE_NOMEM");
  ok(sqlite3_memory_used()==0, "writer: and nothing leaks", "%lld bytes are left",
     sqlite3_memory_used());
}

static void test_memory(void){
  struct property p = { 0 };
  int failed = 1;
  for(long at=1; failed && at<1000; at++){
    struct scene s;
    struct buf text = { 0 };
    fault_set(at, (int)(at%2));
    if( scene_open(&s) ) text = write_document(&s, 2, at%3 ? NULL : "A dog");
    failed = fault.failed;
    fault_set(0, 0);
    holds(&p, s.b.err.rc==(failed ? SQLITE_NOMEM : SQLITE_OK),
          "allocation %ld: %d %s", at, s.b.err.rc, s.b.err.text);
    buf_release(&text);
    scene_end(&s);
  }
  property_ok(&p, "writer: without memory, SQLITE_NOMEM");
  ok(sqlite3_memory_used()==0, "writer: without memory, nothing leaks", "%lld bytes are left",
     sqlite3_memory_used());
}

/* ---- Broken folders ---- */

static const struct broken BROKEN[] = {
  { "config.json", NULL, NULL, SQLITE_CANTOPEN, "has no config.json, expected the folder of a" },
  { "layers.safetensors", NULL, NULL, SQLITE_CANTOPEN, "layers.safetensors" },
  { "pieces.safetensors", NULL, NULL, SQLITE_CANTOPEN, "pieces.safetensors" },
  { "trained.safetensors", NULL, NULL, SQLITE_CANTOPEN, "trained.safetensors" },
  { "tokenizer.json", NULL, NULL, SQLITE_CANTOPEN, "tokenizer.json" },
  { "config.json", "\"layers\"", NULL, SQLITE_CORRUPT, "not valid JSON" },
  { "config.json", "\"d\": 128", "\"d\": 64", SQLITE_CORRUPT, "expected [" },
  { "config.json", "\"d\": 128", "\"d\": 100", SQLITE_CORRUPT, "expected multiples of 64 and 32" },
  { "config.json", "\"d\": 128", "\"d\": 1e9", SQLITE_CORRUPT, "whole number from 64 to 4096" },
  { "config.json", "\"layers\": 3", "\"layers\": 4", SQLITE_CORRUPT, "layer.3.attention_norm" },
  { "config.json", "\"layers\": 3", "\"layers\": 1", SQLITE_CORRUPT, "is 1, expected a whole" },
  { "config.json", "\"lower\": 1", "\"lower\": 3", SQLITE_CORRUPT, "number from 1 to 2" },
  { "config.json", "\"lower\": 1", "\"lower\": -1", SQLITE_CORRUPT, "number from 1 to 2" },
  { "config.json", "\"shared\": 1", "\"shared\": 0", SQLITE_CORRUPT, "is 0, expected a whole" },
  { "config.json", "\"shared\": 1", "\"shared\": 2", SQLITE_CORRUPT, "layer.0.qkv" },
  { "config.json", "\"shared\": 1", "\"shared\": 3", SQLITE_CORRUPT, "a divisor of the heads" },
  { "config.json", "\"h\": 64", "\"h\": 40", SQLITE_CORRUPT, "h 40" },
  { "config.json", "\"h\": 64", "\"h\": \"64\"", SQLITE_CORRUPT, "\"h\" is not a number" },
  { "config.json", "\"memory\": 2", "\"memory\": 3", SQLITE_CORRUPT, "is [16, 1088], expected" },
  { "config.json", "\"memory\": 2", "\"memory\": 2.5", SQLITE_CORRUPT, "is 2.5" },
  { "config.json", "\"rank\": 8", "\"rank\": 32", SQLITE_CORRUPT, "qkv.a" },
  { "config.json", "\"rank\"", "\"bank\"", SQLITE_CORRUPT, "\"rank\" is missing" },
  { "config.json", "\"longest\": 12", "\"longest\": 5000", SQLITE_CORRUPT, "from 1 to 4096" },
  { "config.json", "\"begin\": 0", "\"begin\": 308", SQLITE_CORRUPT, "from 0 to 307" },
  { "config.json", "\"end\": 2", "\"end\": 308", SQLITE_CORRUPT, "from 0 to 307" },
  { "config.json", "1000.0", "0.5", SQLITE_CORRUPT, "\"rotary_base\" is no number from 1 to" },
  { "config.json", "1e-05", "7", SQLITE_CORRUPT, "\"epsilon\" is no number from 0 to 1" },
  { "config.json", "\"pieces\": 308", "\"pieces\": 307", SQLITE_CORRUPT,
    "tokenizer.json has 308 pieces, config.json has 307" },
  { "config.json", "\"s\": 24", "\"s\": 90", SQLITE_CORRUPT, "z_in" },
  { "config.json", "\"reads\": \"6", "\"reads\": \"x", SQLITE_CORRUPT, "16 hexadecimal digits" },
  { "config.json", "\"reads\"", "\"heeds\"", SQLITE_CORRUPT, "\"reads\" is \"missing\"" },
  { "config.json", "\"pieces.safetensors\": \"4", "\"pieces.safetensors\": \"5", SQLITE_CORRUPT,
    "pieces.safetensors: its bytes hash to 4" },
  { "layers.safetensors", "\"writer\"", "\"reader\"", SQLITE_CORRUPT, "altered" },
  { "layers.safetensors", "layer.2.qkv", NULL, SQLITE_CORRUPT, "layers.safetensors" },
  { "pieces.safetensors", "pieces", "pieses", SQLITE_CORRUPT, "altered or of another writer" },
  { "trained.safetensors", "layer.1.cross_q", "layer.1.cross_p", SQLITE_CORRUPT, "altered" },
  { "trained.safetensors", "layer.1.cross_q", NULL, SQLITE_CORRUPT, "trained.safetensors" },
  { "tokenizer.json", "\"merges\"", NULL, SQLITE_CORRUPT, "not valid JSON" },
  { "tokenizer.json", "\"merges\"", "\"merger\"", SQLITE_CORRUPT, "no \"merges\"" },
  { "tokenizer.json", "\"BPE\"", "\"BPF\"", SQLITE_CORRUPT, "expected \"BPE\"" },
  { "tokenizer.json", "<|im_end|>\":2,", "<|im_end|>\":3,", SQLITE_CORRUPT, "number 3" },
};
enum { N_BROKEN = sizeof(BROKEN)/sizeof(BROKEN[0]) };

static const char *const FILES[] = {
  "config.json", "tokenizer.json", "layers.safetensors", "pieces.safetensors",
  "trained.safetensors",
};
enum { N_FILES = sizeof(FILES)/sizeof(FILES[0]) };

/* how NULL: as it is. */
static void copy_folder(const char *folder, const struct broken *how){
  copy_files(folder, "llama", FILES, N_FILES, how);
}

static void remove_folder(const char *folder){
  remove_files(folder, FILES, N_FILES);
  rmdir(folder);
}

static void expect_refused(struct property *p, const char *folder, int rc, const char *text,
                           const char *what){
  struct err e = { 0 };
  struct writer *w;
  writer_open(&w, folder, &e);
  holds(p, w==NULL && e.rc==rc && strstr(e.text, text), "%s: rc %d \"%s\", expected %d \"%s\"",
        what, e.rc, e.text, rc, text);
  writer_close(w);
}

/* Any byte of its weights is another, or one is missing. */
static void test_altered(const char *folder){
  struct property p = { 0 };
  char path[200];
  for(int i=2; i<N_FILES; i++){
    char *data;
    size_t n;
    snprintf(path, sizeof(path), "%s/%s", folder, FILES[i]);
    copy_folder(folder, NULL);
    data = file_read(path, &n);
    for(size_t at=0; at<n; at+=n/7){
      data[at] ^= 1;
      file_write(path, data, n);
      expect_refused(&p, folder, SQLITE_CORRUPT, FILES[i], FILES[i]);
      data[at] ^= 1;
      file_write(path, data, at);
      expect_refused(&p, folder, SQLITE_CORRUPT, FILES[i], FILES[i]);
    }
    free(data);
  }
  property_ok(&p, "writer: a folder with an altered or cut file is refused");
}

/* A file of it is its neighbour. */
static void test_swapped(const char *folder){
  struct property p = { 0 };
  char path[200], other[200];
  for(int i=1; i<N_FILES; i++){
    char *data;
    size_t n;
    copy_folder(folder, NULL);
    snprintf(path, sizeof(path), "%s/%s", folder, FILES[i]);
    snprintf(other, sizeof(other), "%s/%s", folder, FILES[i<N_FILES-1 ? i + 1 : 2]);
    data = file_read(other, &n);
    unlink(path);
    file_write(path, data, n);
    free(data);
    expect_refused(&p, folder, SQLITE_CORRUPT, FILES[i], FILES[i]);
  }
  property_ok(&p, "writer: a folder with another file in a place is refused");
}

static void test_broken(void){
  struct property p = { 0 };
  char folder[] = "/tmp/latent-test-XXXXXX";
  struct err e = { 0 };
  struct writer *w;
  if( mkdtemp(folder)==NULL ) exit(1);
  for(int i=0; i<N_BROKEN; i++){
    const struct broken *how = &BROKEN[i];
    copy_folder(folder, how);
    expect_refused(&p, folder, how->rc, how->text, how->to ? how->to : how->file);
  }
  property_ok(&p, "writer: a broken folder is refused, and the message says why");
  test_altered(folder);
  test_swapped(folder);
  copy_folder(folder, NULL);
  writer_open(&w, folder, &e);
  ok(w!=NULL, "writer: and a whole copy opens", "%s", e.text);
  writer_close(w);
  remove_folder(folder);
}

int main(int argc, char **argv){
  if( argc>1 ) root = argv[1];
  if( fault_install()!=SQLITE_OK ) return 1;
  test_network();
  test_aloud();
  test_strands();
  test_contexts();
  test_wanted();
  test_wanted_odd();
  test_documents();
  test_pages();
  test_stop();
  test_memory();
  test_memory_of_two();
  test_broken();
  return n_not_ok>0;
}
