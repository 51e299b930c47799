/*
** functions_draft.c -- texts for points of which nobody has written any, and how they read.
**
** Far from its rows a point decodes to a splice as often as to a sentence. What is cheap is to make many texts and show few:
**
**  1. Every point is decoded at several settings of the dials (DIALS): with all of its detail, half of it and none, with and without the plain
**     language model. All of it is one batch.
**  2. Texts that the table holds or that repeat are dropped, exact or in all but case, spaces and punctuation.
**  3. The rest is encoded again, in one batch: how far is it from what was asked (distance), how true to its point (fidelity).
**  4. It is read (struct reading): words that it says more often than any of its parents does, words that are neither known to the tokenizer nor
**     to the rows, runs of three words that no row has, and the plain language model's mean log-probability per token. Together they make
**     the `flaw` of a text, in units of distance, so that distance + flaw ranks what is near and readable first.
**
** Which terms there are, and how much each weighs beside the others, comes from 307 texts that a person had judged (21% of them readable): a logistic
** fit of them tells readable ones from others with an area under the curve of 0.77, held out. Twice the fitted weight of all against the
** distance was better than once: of the texts shown for 15 questions to 100,000 sentences 60% rather than 43% read well.
**
** Pictures go the same way without the words: settings of the detail alone, and of their flaws the fidelity. Two are the same to the eye where the whole
** points that they encode to are nearly the same.
*/
#include "functions.h"
#include <math.h>
#include <string.h>

/* ---- Sets of 64-bit hashes ---- */

static int set_init(struct hash_set *s, size_t most, struct arena *a){
  size_t capacity = 64;
  while( capacity<2*most ) capacity *= 2;
  s->slots = arena_zeroed(a, capacity*sizeof(*s->slots));
  s->mask = capacity - 1;
  return s->slots!=NULL;
}

/* Where x is, or the free slot for it; 0 stands for a free one, so a 0 among the hashes becomes 1. */
static uint64_t *set_slot(const struct hash_set *s, uint64_t *x){
  size_t at;
  if( *x==0 ) *x = 1;
  at = (size_t)(*x ^ *x>>32) & s->mask;
  while( s->slots[at] && s->slots[at]!=*x ) at = (at+1) & s->mask;
  return &s->slots[at];
}
static int set_has(const struct hash_set *s, uint64_t x){
  return *set_slot(s, &x)!=0;
}
static int set_add(struct hash_set *s, uint64_t x){             /* 1 when it is new */
  uint64_t *slot = set_slot(s, &x);
  int is_new = *slot==0;
  *slot = x;
  return is_new;
}

/* ---- Words ---- */

enum { WORD_START = 1, WORD_END = 2 };  /* stand before and after a text, in the place of hashes */
struct word { const char *text; int n; uint64_t hash; };

static int is_letter(char c){
  return (c>='a' && c<='z') || (c>='A' && c<='Z') || (c>='0' && c<='9') || c=='\'' || (unsigned char)c>=0x80;
}
static char lower(char c){
  return c>='A' && c<='Z' ? (char)(c - 'A' + 'a') : c;
}

/* FNV-1a of the lower-case bytes, of letters and digits alone. */
static uint64_t letters_hash(const char *text, size_t n){
  uint64_t hash = 14695981039346656037u;
  for(size_t i=0; i<n; i++){
    if( is_letter(text[i]) && text[i]!='\'' ) hash = (hash ^ (unsigned char)lower(text[i]))*1099511628211u;
  }
  return hash;
}

/* The first words of a text, DRAFT_WORDS at most. */
static int find_words(struct word *words, const char *text, size_t bytes){
  int n = 0;
  for(size_t at=0; at<bytes && n<DRAFT_WORDS; ){
    size_t from = at;
    while( at<bytes && is_letter(text[at]) ) at++;
    if( at>from ) words[n++] = (struct word){ text + from, (int)(at-from), letters_hash(text + from, at-from) };
    else at++;
  }
  return n;
}

/* The run of three words that ends with word i of n; i = n: with the end. */
static uint64_t triple_hash(const struct word *words, int n, int i){
  uint64_t a = i>=2 ? words[i-2].hash : WORD_START, b = i>=1 ? words[i-1].hash : WORD_START, c = i<n ? words[i].hash : WORD_END;
  uint64_t hash = a*0x9E3779B97F4A7C15u;
  hash = (hash ^ hash>>29 ^ b)*0xBF58476D1CE4E5B9u;
  hash = (hash ^ hash>>32 ^ c)*0x94D049BB133111EBu;
  return hash ^ hash>>31;
}

/* ---- What the rows say ---- */

static int is_picture(const struct reading *g){
  return g->model->config.kind==KIND_PICTURE;
}

int reading_init(struct reading *g, struct call *c, const struct model *m, const struct neighbour *rows, int n_rows){
  size_t n_words = 0;
  struct word words[DRAFT_WORDS];
  memset(g, 0, sizeof(*g));
  g->call = c;
  g->model = m;
  if( is_picture(g) ) n_rows = 0;       /* no words to be known */
  for(int i=0; i<n_rows; i++) n_words += (size_t)find_words(words, rows[i].text, rows[i].text_bytes) + 1;
  set_init(&g->texts, (size_t)n_rows + DRAFTS_MOST + 1, &c->arena);
  set_init(&g->words, n_words, &c->arena);
  set_init(&g->triples, n_words, &c->arena);
  if( c->arena.oom ) return fail_nomem(&c->err);
  for(int i=0; i<n_rows; i++){
    int n = find_words(words, rows[i].text, rows[i].text_bytes);
    reading_hold(g, rows[i].text, rows[i].text_bytes);
    for(int k=0; k<n; k++) set_add(&g->words, words[k].hash);
    for(int k=0; k<=n; k++) set_add(&g->triples, triple_hash(words, n, k));
  }
  return SQLITE_OK;
}

int reading_hold(struct reading *g, const char *text, size_t bytes){
  return set_add(&g->texts, is_picture(g) ? hash64(text, bytes) : letters_hash(text, bytes));
}

static int count_word(const struct word *words, int n, uint64_t hash){
  int count = 0;
  for(int i=0; i<n; i++) count += words[i].hash==hash;
  return count;
}

/* How many words too many: those that stand in the text more often than in any of its parents. */
static int count_repeated(const struct draft *d, const struct word *words, int n){
  struct word own[DRAFT_WORDS];
  int n_too_many = 0, allowed[DRAFT_WORDS];
  for(int i=0; i<n; i++) allowed[i] = 1;
  for(int p=0; p<d->point->n_parents; p++){
    const struct neighbour *parent = d->point->parents[p];
    int n_own = find_words(own, parent->text, parent->text_bytes);
    for(int i=0; i<n; i++){
      int count = count_word(own, n_own, words[i].hash);
      if( count>allowed[i] ) allowed[i] = count;
    }
  }
  for(int i=0; i<n; i++) n_too_many += count_word(words, i, words[i].hash)>=allowed[i];
  return n_too_many;
}

/* Does the tokenizer have a piece of its own for the word, as it stands or in lower case? */
static int is_piece(const struct reading *g, const struct word *w, int *known){
  struct arena *a = &g->call->arena;
  struct arena_mark mark = arena_mark(a);
  char text[64];
  int *ids, n_ids;
  *known = 0;
  if( w->n>=(int)sizeof(text) ) return SQLITE_OK;
  for(int turn=0; turn<2 && !*known; turn++){
    text[0] = ' ';
    for(int i=0; i<w->n; i++) text[i+1] = turn ? lower(w->text[i]) : w->text[i];
    if( tokenizer_encode(g->model->config.tokenizer, text, (size_t)w->n+1, a, &ids, NULL, &n_ids, &g->call->err)!=SQLITE_OK ) return g->call->err.rc;
    *known = n_ids==1;
  }
  arena_rewind(a, mark);
  return SQLITE_OK;
}

/* Fills the draft's counts. */
static int read_words(const struct reading *g, struct draft *d){
  struct word words[DRAFT_WORDS];
  int n = find_words(words, buf_text(&d->text), d->text.n), n_strange = 0;
  d->n_words = n;
  d->n_repeated = count_repeated(d, words, n);
  d->n_unknown = 0;
  for(int i=0; i<n; i++){
    int known = set_has(&g->words, words[i].hash);
    if( !known && is_piece(g, &words[i], &known)!=SQLITE_OK ) return g->call->err.rc;
    d->n_unknown += !known;
  }
  for(int i=0; i<=n; i++) n_strange += !set_has(&g->triples, triple_hash(words, n, i));
  d->strange = (float)n_strange/(float)(n+1);
  return SQLITE_OK;
}

/* ---- How likely the plain language model finds them ---- */

static int score_drafts(struct reading *g, struct draft *drafts, int n){
  struct call *c = g->call;
  struct arena_mark mark = arena_mark(&c->arena);
  int width = g->model->config.shape.s + g->model->config.shape.r, n_rows = 0, n_ids = 0, at = 0;
  int **ids = arena_get(&c->arena, n*sizeof(*ids)), **starts = arena_get(&c->arena, n*sizeof(*starts)), *counts = arena_get(&c->arena, n*sizeof(*counts));
  int *all, *start;
  float *zero, *sums;
  if( c->arena.oom ) return fail_nomem(&c->err);
  for(int i=0; i<n; i++){
    if( text_segment(g->model, &c->run, buf_text(&drafts[i].text), drafts[i].text.n, &ids[i], &starts[i], &counts[i])!=SQLITE_OK ) return c->err.rc;
    n_rows += counts[i];
    n_ids += starts[i][counts[i]];
  }
  all = arena_get(&c->arena, ((size_t)n_ids+1)*sizeof(int));
  start = arena_get(&c->arena, ((size_t)n_rows+1)*sizeof(int));
  zero = arena_zeroed(&c->arena, (size_t)n_rows*(size_t)width*sizeof(float));
  sums = arena_floats(&c->arena, (size_t)n_rows);
  if( c->arena.oom ) return fail_nomem(&c->err);
  start[0] = n_ids = n_rows = 0;
  for(int i=0; i<n; i++){
    for(int k=0; k<counts[i]; k++){
      int n_own = starts[i][k+1] - starts[i][k];
      memcpy(all + n_ids, ids[i] + starts[i][k], (size_t)n_own*sizeof(int));
      n_ids += n_own;
      start[++n_rows] = n_ids;
    }
  }
  if( score_tokens(g->model, &c->run, zero, all, start, n_rows, sums, NULL, NULL)!=SQLITE_OK ) return c->err.rc;
  for(int i=0; i<n; i++){
    float sum = 0;
    for(int k=0; k<counts[i]; k++) sum += sums[at++];
    drafts[i].log_probability = sum/(float)(starts[i][counts[i]] + counts[i]);
  }
  arena_rewind(&c->arena, mark);
  return SQLITE_OK;
}

/* ---- Making them ---- */

static const struct { float detail, fluency; } DIALS[DRAFT_DIALS] = { {1, 0}, {1, 0.3f}, {0.5f, 0}, {0.5f, 0.3f}, {0, 0}, {0, 0.3f} };

/* Setting k: the user's, where he has set one. The language model says nothing sensible of pictures far from all rows. */
static void dial(const struct model *m, const struct options *o, int k, float *detail, float *fluency){
  *detail = o->decode.has_detail ? 1 : DIALS[k].detail;
  *fluency = o->decode.has_fluency ? o->decode.fluency : m->config.kind==KIND_PICTURE ? 0 : DIALS[k].fluency;
}

static int dial_point(struct call *c, struct latent *z, const struct latent *at, float detail){
  size_t count = (size_t)at->n_segments*(size_t)at->width;
  *z = *at;
  z->z = arena_floats(&c->arena, count);
  if( !z->z ) return fail_nomem(&c->err);
  memcpy(z->z, at->z, count*sizeof(float));
  for(int i=0; i<at->n_segments; i++){
    for(int k=at->s; k<at->width; k++) z->z[(size_t)i*(size_t)at->width + (size_t)k] *= detail;
  }
  return SQLITE_OK;
}

/* A draft for each point and setting of the dials: those that the user has set stay where they are. */
static int place_drafts(struct call *c, const struct model *m, struct drafts *d, const struct point *points, int n_points, const struct options *o, struct latent *z, float *fluencies){
  for(int i=0; i<n_points; i++){
    for(int k=0; k<DRAFT_DIALS; k++){
      float detail, fluency, other_detail, other_fluency;
      int is_same = 0;
      dial(m, o, k, &detail, &fluency);
      for(int j=0; j<k; j++){
        dial(m, o, j, &other_detail, &other_fluency);
        is_same |= other_detail==detail && other_fluency==fluency;
      }
      if( is_same ) continue;
      if( dial_point(c, &z[d->n], &points[i].z, detail)!=SQLITE_OK ) return c->err.rc;
      fluencies[d->n] = fluency;
      d->list[d->n++].point = &points[i];
    }
  }
  return SQLITE_OK;
}

/* Drops texts that the reading holds; what stays is held from now on. Order stays. */
static void drop_held(struct drafts *d, struct reading *g){
  int n = 0;
  for(int i=0; i<d->n; i++){
    struct draft *draft = &d->list[i];
    if( draft->text.n==0 || !reading_hold(g, buf_text(&draft->text), draft->text.n) ){
      buf_release(&draft->text);
      memset(draft, 0, sizeof(*draft));
      continue;
    }
    if( n<i ){
      d->list[n] = *draft;
      memset(draft, 0, sizeof(*draft));
    }
    n++;
  }
  d->n = n;
}

static int encode_drafts(struct call *c, const struct model *m, struct drafts *d){
  struct content *texts = arena_get(&c->arena, (size_t)d->n*sizeof(*texts));
  struct latent *again = arena_get(&c->arena, (size_t)d->n*sizeof(*again));
  int width = m->config.shape.s + m->config.shape.r;
  float *x = arena_floats(&c->arena, (size_t)width), *y = arena_floats(&c->arena, (size_t)width);
  if( c->arena.oom ) return fail_nomem(&c->err);
  for(int i=0; i<d->n; i++) texts[i] = (struct content){ buf_text(&d->list[i].text), d->list[i].text.n };
  if( contents_encode(m, &c->run, texts, d->n, "a draft", 0, again)!=SQLITE_OK ) return c->err.rc;
  for(int i=0; i<d->n; i++){
    d->list[i].again = again[i];
    point_mean(x, &again[i]);
    point_mean(y, &d->list[i].point->z);
    d->list[i].fidelity = point_cosine(x, y, width);
  }
  return SQLITE_OK;
}

static const float FIDELITY_WEIGHT = 0.50f;

/* The terms are the fitted ones, but for the first two, which are stronger: what they count is plain to see. */
static void weigh(struct draft *d){
  float words = (float)d->n_words;
  d->flaw = 0.20f*(float)(d->n_repeated<3 ? d->n_repeated : 3) + 0.20f*(float)(d->n_unknown<3 ? d->n_unknown : 3) + 0.30f*d->strange
          - 0.12f*fminf(d->log_probability, -2.5f) - FIDELITY_WEIGHT*d->fidelity + 0.012f*fminf(words, 20) + (words<3 ? 0.2f : 0);
}

int drafts_make(struct drafts *d, struct reading *g, const struct point *points, int n_points, const struct options *o){
  struct call *c = g->call;
  int most = n_points*DRAFT_DIALS;
  struct latent *z = arena_get(&c->arena, (size_t)most*sizeof(*z));
  float *fluencies = arena_floats(&c->arena, (size_t)most);
  struct buf *texts = arena_zeroed(&c->arena, (size_t)most*sizeof(*texts));
  memset(d, 0, sizeof(*d));
  d->list = arena_zeroed(&c->arena, (size_t)most*sizeof(*d->list));
  if( c->arena.oom ) return fail_nomem(&c->err);
  if( n_points==0 || place_drafts(c, g->model, d, points, n_points, o, z, fluencies)!=SQLITE_OK ) return c->err.rc;
  contents_decode(g->model, &c->run, z, d->n, fluencies, &o->decode, texts, NULL);
  for(int i=0; i<d->n; i++) d->list[i].text = texts[i];         /* owned from here on, whatever came of it */
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  drop_held(d, g);
  if( d->n==0 ) return SQLITE_OK;
  if( encode_drafts(c, g->model, d)!=SQLITE_OK ) return c->err.rc;
  if( is_picture(g) ){
    for(int i=0; i<d->n; i++) d->list[i].flaw = FIDELITY_WEIGHT*(1 - d->list[i].fidelity);
    return SQLITE_OK;
  }
  if( score_drafts(g, d->list, d->n)!=SQLITE_OK ) return c->err.rc;
  for(int i=0; i<d->n; i++){
    if( read_words(g, &d->list[i])!=SQLITE_OK ) return c->err.rc;
    weigh(&d->list[i]);
  }
  return SQLITE_OK;
}

void drafts_release(struct drafts *d){
  for(int i=0; i<d->n; i++) buf_release(&d->list[i].text);
  d->n = 0;
}

/* ---- Side by side, and out ---- */

#define WORDS_ALIKE 0.75                /* share of words that makes two texts nearly the same */
#define PICTURES_ALIKE 0.9f             /* cosine of whole points that makes two pictures ... */
#define PICTURES_SAME 0.98f

static int pictures_near(const struct latent *a, const struct latent *b, float cosine){
  return point_cosine(a->z, b->z, a->width)>=cosine;
}

int draft_says(const struct draft *d, const struct neighbour *row){
  if( d->again.kind==KIND_PICTURE ) return pictures_near(&d->again, &row->z, PICTURES_SAME);
  return letters_hash(buf_text((struct buf*)&d->text), d->text.n)==letters_hash(row->text, row->text_bytes);
}

int drafts_alike(const struct draft *a, const struct draft *b){
  struct word x[DRAFT_WORDS], y[DRAFT_WORDS];
  int n_x, n_y, n_both = 0;
  if( a->again.kind==KIND_PICTURE ) return pictures_near(&a->again, &b->again, PICTURES_ALIKE);
  n_x = find_words(x, a->text.data, a->text.n);
  n_y = find_words(y, b->text.data, b->text.n);
  for(int i=0; i<n_x; i++){
    int here = count_word(x, i, x[i].hash);
    n_both += here<count_word(y, n_y, x[i].hash);
  }
  return n_x+n_y==0 || 2.0*n_both/(n_x+n_y)>=WORDS_ALIKE;
}

/* Two places behind the point, whatever the locale. */
static void weight_add(struct buf *out, double weight){
  int hundredths = (int)(weight*100 + 0.5);
  buf_printf(out, "%d.%02d", hundredths/100, hundredths%100);
}

int draft_give(struct call *c, const struct point *p, int is_blob, const char *text, size_t bytes, float distance, float fidelity, struct rows *r){
  struct buf blob = {0}, parents = {0}, weights = {0};
  latent_write(&blob, &p->z);
  for(int i=0; i<p->n_parents; i++){
    buf_printf(&parents, "%s%lld", i ? "," : "[", (long long)p->parents[i]->rowid);
    buf_char(&weights, i ? ',' : '[');
    weight_add(&weights, p->weights[i]);
  }
  buf_char(&parents, ']');
  buf_char(&weights, ']');
  if( is_blob ) rows_blob(r, text, bytes);
  else rows_text(r, text, bytes);
  rows_real(r, distance);
  rows_blob(r, buf_text(&blob), blob.n);
  rows_real(r, fidelity);
  rows_text(r, buf_text(&parents), parents.n);
  rows_text(r, buf_text(&weights), weights.n);
  if( blob.rc || parents.rc || weights.rc ) fail_nomem(&c->err);
  buf_release(&blob);
  buf_release(&parents);
  buf_release(&weights);
  return c->err.rc;
}
