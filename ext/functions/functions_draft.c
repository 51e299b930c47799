/*
** functions_draft.c -- texts for points of which nobody has written any, and how they read.
**
** Far from its rows a point decodes to a splice of words as often as to a sentence. Making texts is
** cheap, so many are made and few are shown:
**
**  1. Every point is decoded at several settings of the dials (DIALS): with all of its detail, half
**     of it and none, with and without the plain language model. All of it is one batch.
**  2. Texts that the table holds, and repeated ones, are dropped. Texts that differ only in case,
**     spaces and punctuation are the same here.
**  3. The rest is encoded again, in one batch. That gives the distance to what was asked, and the
**     fidelity to the text's own point.
**  4. Each is read (struct reading): words that it says more often than any of its parents does,
**     words that neither the tokenizer nor the rows know, runs of three words that no row has, and
**     the plain language model's mean log-probability per token. Together they make the text's
**     `flaw`, in units of distance. Ranked by distance + flaw, what is near and readable comes
**     first.
**
** The terms and their weights come from 307 texts that a person had judged (21% of them readable).
** A logistic fit tells readable ones from others with an area under the curve of 0.77, held out.
** Twice the fitted weight of all terms against the distance was better than once: of the texts
** shown for 15 questions to 100,000 sentences, 60% rather than 43% read well.
**
** Pictures go the same way without the words: the dials set the detail alone, and the flaw is what
** fidelity they lack. Two pictures are the same to the eye where the points that they encode to are
** nearly the same.
*/
#include "functions.h"
#include <math.h>
#include <string.h>

/* ---- Words ---- */

enum { WORD_START = 1, WORD_END = 2 };  /* stand before and after a text, in the place of hashes */
struct word {
  const char *text;
  int n;
  uint64_t hash;
};

static int is_word_byte(char c){
  return is_word_part((unsigned char)c) || c=='\'';
}

/* FNV-1a of the bytes of letters and digits, as lower case. */
static uint64_t letters_hash(const char *text, size_t n){
  uint64_t hash = 14695981039346656037u;
  for(size_t i=0; i<n; i++){
    unsigned char c = (unsigned char)text[i];
    if( is_word_part(c) ) hash = (hash ^ (unsigned char)ascii_lower(c))*1099511628211u;
  }
  return hash;
}

/* The first words of a text, DRAFT_WORDS at most. */
static int find_words(struct word *words, const char *text, size_t bytes){
  size_t at = 0;
  int n = 0;
  while( at<bytes && n<DRAFT_WORDS ){
    size_t from = at;
    while( at<bytes && is_word_byte(text[at]) ) at++;
    if( at==from ){
      at++;
      continue;
    }
    words[n++] = (struct word){
      .text = text + from,
      .n = (int)(at - from),
      .hash = letters_hash(text + from, at - from),
    };
  }
  return n;
}

/* The run of three words that ends with word i of n; i = n: with the end. */
static uint64_t triple_hash(const struct word *words, int n, int i){
  uint64_t a = i>=2 ? words[i-2].hash : WORD_START;
  uint64_t b = i>=1 ? words[i-1].hash : WORD_START;
  uint64_t c = i<n ? words[i].hash : WORD_END;
  uint64_t hash = a*0x9E3779B97F4A7C15u;
  hash = (hash ^ hash>>29 ^ b)*0xBF58476D1CE4E5B9u;
  hash = (hash ^ hash>>32 ^ c)*0x94D049BB133111EBu;
  return hash ^ hash>>31;
}

/* ---- What the rows say ---- */

static int is_picture(const struct reading *g){
  return g->model->config.kind==KIND_PICTURE;
}

static void read_row(struct reading *g, const struct neighbour *row){
  struct word words[DRAFT_WORDS];
  int n = find_words(words, row->text, row->text_bytes);
  reading_hold(g, row->text, row->text_bytes);
  for(int i=0; i<n; i++) key_set_add(&g->words, words[i].hash);
  for(int i=0; i<=n; i++) key_set_add(&g->triples, triple_hash(words, n, i));
}

/* Pictures have no words to be known. */
int reading_init(struct reading *g, struct call *c, const struct model *m,
                 const struct neighbour *rows, int n_rows){
  struct word words[DRAFT_WORDS];
  size_t n_words = 0;
  *g = (struct reading){ .call = c, .model = m };
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  g->texts.arena = g->words.arena = g->triples.arena = &c->arena;
  if( is_picture(g) ) n_rows = 0;
  for(int i=0; i<n_rows; i++){
    n_words += (size_t)find_words(words, rows[i].text, rows[i].text_bytes) + 1;
  }
  key_set_reserve(&g->texts, (size_t)n_rows + DRAFTS_MOST + 1);
  key_set_reserve(&g->words, n_words);
  key_set_reserve(&g->triples, n_words);
  if( c->arena.oom ) return fail_nomem(&c->err);
  for(int i=0; i<n_rows; i++) read_row(g, &rows[i]);
  return SQLITE_OK;
}

static uint64_t text_hash(const struct reading *g, const char *text, size_t bytes){
  return is_picture(g) ? hash64(text, bytes) : letters_hash(text, bytes);
}

int reading_hold(struct reading *g, const char *text, size_t bytes){
  return key_set_add(&g->texts, text_hash(g, text, bytes));
}

static int count_word(const struct word *words, int n, uint64_t hash){
  int count = 0;
  for(int i=0; i<n; i++) count += words[i].hash==hash;
  return count;
}

/* How many words are too many: the text says them more often than any of its parents does. */
static int count_repeated(const struct draft *d, const struct word *words, int n){
  struct word own[DRAFT_WORDS];
  int allowed[DRAFT_WORDS];
  int n_too_many = 0;
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
static int is_piece(const struct reading *g, const struct word *w){
  const struct tokenizer *t = g->model->config.tokenizer;
  struct arena *a = &g->call->arena;
  struct err *e = &g->call->err;
  struct arena_mark mark = arena_mark(a);
  char text[64] = " ";
  int is_known = 0;
  size_t n = (size_t)w->n + 1;
  if( n>sizeof(text) ) return 0;
  for(int is_lower=0; is_lower<2 && !is_known; is_lower++){
    int *ids, n_ids;
    for(int i=0; i<w->n; i++){
      text[i+1] = is_lower ? (char)ascii_lower((unsigned char)w->text[i]) : w->text[i];
    }
    if( tokenizer_encode(t, text, n, a, &ids, NULL, &n_ids, e)!=SQLITE_OK ) return 0;
    is_known = n_ids==1;
  }
  arena_rewind(a, mark);
  return is_known;
}

/* Fills the draft's counts. */
static void read_words(const struct reading *g, struct draft *d){
  struct word words[DRAFT_WORDS];
  int n = find_words(words, buf_text(&d->text), d->text.n);
  int n_strange = 0;
  d->n_words = n;
  d->n_repeated = count_repeated(d, words, n);
  d->n_unknown = 0;
  for(int i=0; i<n && g->call->err.rc==SQLITE_OK; i++){
    d->n_unknown += !key_set_has(&g->words, words[i].hash) && !is_piece(g, &words[i]);
  }
  for(int i=0; i<=n; i++) n_strange += !key_set_has(&g->triples, triple_hash(words, n, i));
  d->strange = (float)n_strange/(float)(n + 1);
}

/* ---- How likely the plain language model finds them ---- */

struct segments {               /* of one draft */
  int *ids, *start;
  int n;
};

/* All segments of drafts[n] as rows side by side: rows->ids and rows->start[rows->n + 1]. */
static void join_segments(struct call *c, const struct segments *drafts, int n,
                          struct segments *rows){
  size_t n_ids = 0;
  size_t n_rows = 0;
  for(int i=0; i<n; i++){
    n_rows += (size_t)drafts[i].n;
    n_ids += (size_t)drafts[i].start[drafts[i].n];
  }
  *rows = (struct segments){ 0 };
  rows->ids = arena_get(&c->arena, (n_ids + 1)*sizeof(int));
  rows->start = arena_get(&c->arena, (n_rows + 1)*sizeof(int));
  if( c->arena.oom ){
    fail_nomem(&c->err);
    return;
  }
  rows->start[0] = 0;
  for(int i=0; i<n; i++){
    const struct segments *d = &drafts[i];
    int at = rows->start[rows->n];
    memcpy(rows->ids + at, d->ids, (size_t)d->start[d->n]*sizeof(int));
    for(int k=1; k<=d->n; k++) rows->start[++rows->n] = at + d->start[k];
  }
}

/* log_probability of drafts[n], with z = 0: the decoder is then the plain language model. */
static void score_drafts(struct reading *g, struct draft *drafts, int n){
  struct call *c = g->call;
  const struct model *m = g->model;
  struct arena_mark mark = arena_mark(&c->arena);
  struct segments *own = arena_get(&c->arena, (size_t)n*sizeof(*own));
  size_t width = (size_t)model_width(m);
  struct segments rows;
  const float *zero;
  float *sums;
  int at = 0;
  if( own==NULL ) fail_nomem(&c->err);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    const struct buf *text = &drafts[i].text;
    text_segment(m, &c->run, text->data, text->n, &own[i].ids, &own[i].start, &own[i].n);
  }
  if( c->err.rc!=SQLITE_OK ) return;
  join_segments(c, own, n, &rows);
  zero = arena_zeroed(&c->arena, (size_t)rows.n*width*sizeof(float));
  sums = arena_floats(&c->arena, (size_t)rows.n);
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  score_tokens(m, &c->run, zero, rows.ids, rows.start, rows.n, sums, NULL, NULL);
  if( c->err.rc!=SQLITE_OK ) return;
  for(int i=0; i<n; i++){
    int n_tokens = own[i].start[own[i].n] + own[i].n;
    float sum = 0;
    for(int k=0; k<own[i].n; k++) sum += sums[at++];
    drafts[i].log_probability = sum/(float)n_tokens;
  }
  arena_rewind(&c->arena, mark);
}

/* ---- Making them ---- */

struct dials { float detail, fluency; };
static const struct dials DIALS[DRAFT_DIALS] = {
  { 1, 0 }, { 1, 0.3f }, { 0.5f, 0 }, { 0.5f, 0.3f }, { 0, 0 }, { 0, 0.3f }
};

/* Setting k. What the user has set stays as the user has set it. The language model says nothing
** sensible of pictures far from all rows. */
static struct dials dials_at(const struct model *m, const struct options *o, int k){
  struct dials d = DIALS[k];
  if( m->config.kind==KIND_PICTURE ){
    d.fluency = 0;
    d.detail = picture_detail(d.detail);
  }
  if( o->decode.has_fluency ) d.fluency = o->decode.fluency;
  if( o->decode.has_detail ) d.detail = 1;      /* decoding scales by the user's */
  return d;
}

/* An earlier setting is the same, because of what is set. */
static int is_repeated(const struct model *m, const struct options *o, int k){
  struct dials d = dials_at(m, o, k);
  for(int i=0; i<k; i++){
    struct dials other = dials_at(m, o, i);
    if( other.detail==d.detail && other.fluency==d.fluency ) return 1;
  }
  return 0;
}

/* The point with its r scaled by `detail`. */
static struct latent dial_point(struct call *c, const struct latent *at, float detail){
  size_t count = (size_t)at->n_segments*(size_t)at->width;
  struct latent z = *at;
  z.z = arena_floats(&c->arena, count);
  if( z.z==NULL ){
    fail_nomem(&c->err);
    return z;
  }
  memcpy(z.z, at->z, count*sizeof(float));
  for(int i=0; i<z.n_segments; i++){
    float *segment = latent_segment(&z, i);
    for(int k=z.s; k<z.width; k++) segment[k] *= detail;
  }
  return z;
}

/* A draft for each point and each setting of the dials. */
static void place_drafts(struct call *c, const struct model *m, struct drafts *d,
                         const struct point *points, int n_points, const struct options *o,
                         struct latent *z, float *fluencies){
  for(int i=0; i<n_points; i++){
    for(int k=0; k<DRAFT_DIALS && c->err.rc==SQLITE_OK; k++){
      struct dials dials = dials_at(m, o, k);
      if( is_repeated(m, o, k) ) continue;
      z[d->n] = dial_point(c, &points[i].z, dials.detail);
      fluencies[d->n] = dials.fluency;
      d->list[d->n++].point = &points[i];
    }
  }
}

/* reading_hold() of a draft; each set of points holds its own texts. */
static int hold_draft(struct reading *g, const struct draft *d){
  uint64_t set = (uint64_t)d->point->set*0x9E3779B97F4A7C15u;
  if( d->point->set==0 ) return reading_hold(g, d->text.data, d->text.n);
  return key_set_add(&g->texts, text_hash(g, d->text.data, d->text.n) ^ set);
}

/* Drops texts that the reading holds. Those that stay are held from now on, in the same order. */
static void drop_held(struct drafts *d, struct reading *g){
  int n = 0;
  for(int i=0; i<d->n; i++){
    struct draft draft = d->list[i];
    d->list[i] = (struct draft){ 0 };
    if( draft.text.n>0 && hold_draft(g, &draft) ) d->list[n++] = draft;
    else buf_release(&draft.text);
  }
  d->n = n;
}

static void encode_drafts(struct call *c, const struct model *m, struct drafts *d){
  size_t n = (size_t)d->n;
  size_t width = (size_t)model_width(m);
  struct content *texts = arena_get(&c->arena, n*sizeof(*texts));
  struct latent *again = arena_get(&c->arena, n*sizeof(*again));
  float *x = arena_floats(&c->arena, width);
  float *y = arena_floats(&c->arena, width);
  if( c->arena.oom ){
    fail_nomem(&c->err);
    return;
  }
  for(int i=0; i<d->n; i++){
    texts[i] = (struct content){ d->list[i].text.data, d->list[i].text.n };
  }
  if( contents_encode(m, &c->run, texts, d->n, "a draft", 0, again)!=SQLITE_OK ) return;
  for(int i=0; i<d->n; i++){
    d->list[i].again = again[i];
    point_mean(x, &again[i]);
    point_mean(y, &d->list[i].point->z);
    d->list[i].fidelity = point_cosine(x, y, (int)width);
  }
}

static const float FIDELITY_WEIGHT = 0.50f;

static float least(float x, float most){
  return x<most ? x : most;
}

/* The terms are the fitted ones. The first two weigh more than the fit says, since anybody sees
** what they count. */
static float weigh(const struct draft *d){
  float flaw = 0.20f*least((float)d->n_repeated, 3);
  flaw += 0.20f*least((float)d->n_unknown, 3);
  flaw += 0.30f*d->strange;
  flaw -= 0.12f*least(d->log_probability, -2.5f);
  flaw -= FIDELITY_WEIGHT*d->fidelity;
  flaw += 0.012f*least((float)d->n_words, 20);
  return d->n_words<3 ? flaw + 0.2f : flaw;
}

/* flaw of all drafts. */
static void judge_drafts(struct drafts *d, struct reading *g){
  if( is_picture(g) ){
    for(int i=0; i<d->n; i++) d->list[i].flaw = FIDELITY_WEIGHT*(1 - d->list[i].fidelity);
    return;
  }
  score_drafts(g, d->list, d->n);
  for(int i=0; i<d->n && g->call->err.rc==SQLITE_OK; i++){
    read_words(g, &d->list[i]);
    d->list[i].flaw = weigh(&d->list[i]);
  }
}

/* Who writes them. The writer has no use for the settings that differ in fluency alone. */
static struct options writer_options(struct call *c, const struct model *m,
                                     const struct point *points, int n_points,
                                     const struct options *o){
  struct options own = *o;
  int most = 1;                         /* segments of a point */
  for(int i=0; i<n_points; i++) most = points[i].z.n_segments>most ? points[i].z.n_segments : most;
  call_writer(c, m, &own, 1, most);
  if( own.decode.writer ) own.decode.has_fluency = 1;
  return own;
}

/* What a point of one segment lies between. Of several it is not known which belongs to which. */
static struct parents parents_of(const struct point *p){
  struct parents out = { 0 };
  if( p->z.n_segments!=1 ) return out;
  for(int i=0; i<p->n_parents; i++){
    const struct neighbour *row = p->parents[i];
    if( row->z.n_segments!=1 || row->is_blob ) return out;
    out.texts[i] = (struct content){ row->text, row->text_bytes };
    out.s[i] = row->z.z;
    out.weights[i] = (float)p->weights[i];
  }
  out.n = p->n_parents;
  return out;
}

/* For decode_options: one a segment of z[d->n]. */
static struct parents *find_parents(struct call *c, const struct drafts *d,
                                    const struct latent *z){
  size_t count = 0;
  struct parents *all, *to;
  for(int i=0; i<d->n; i++) count += (size_t)z[i].n_segments;
  all = to = arena_get(&c->arena, count*sizeof(*all));
  if( all==NULL ) fail_nomem(&c->err);
  for(int i=0; i<d->n && all!=NULL; i++){
    struct parents own = parents_of(d->list[i].point);
    for(int k=0; k<z[i].n_segments; k++) *to++ = own;
  }
  return all;
}

int drafts_make(struct drafts *d, struct reading *g, const struct point *points, int n_points,
                const struct options *options){
  struct call *c = g->call;
  struct options o = writer_options(c, g->model, points, n_points, options);
  size_t most = (size_t)n_points*DRAFT_DIALS;
  struct latent *z = arena_get(&c->arena, most*sizeof(*z));
  float *fluencies = arena_floats(&c->arena, most);
  struct buf *texts = arena_zeroed(&c->arena, most*sizeof(*texts));
  *d = (struct drafts){ .list = arena_zeroed(&c->arena, most*sizeof(*d->list)) };
  if( c->arena.oom ) return fail_nomem(&c->err);
  place_drafts(c, g->model, d, points, n_points, &o, z, fluencies);
  if( o.decode.writer && c->err.rc==SQLITE_OK ) o.decode.parents = find_parents(c, d, z);
  if( d->n==0 || c->err.rc!=SQLITE_OK ) return c->err.rc;
  contents_decode(g->model, &c->run, z, d->n, fluencies, &o.decode, texts, NULL);
  for(int i=0; i<d->n; i++) d->list[i].text = texts[i];   /* owned, after a failure too */
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  drop_held(d, g);
  if( d->n==0 ) return SQLITE_OK;
  encode_drafts(c, g->model, d);
  if( c->err.rc==SQLITE_OK ) judge_drafts(d, g);
  return c->err.rc;
}

void drafts_release(struct drafts *d){
  for(int i=0; i<d->n; i++) buf_release(&d->list[i].text);
  d->n = 0;
}

/* ---- Side by side, and out ---- */

struct draft *drafts_best(struct drafts *all){
  struct draft *best = NULL;
  for(int i=0; i<all->n; i++){
    struct draft *d = &all->list[i];
    if( d->is_seen ) continue;
    if( best==NULL || d->distance + d->flaw<best->distance + best->flaw ) best = d;
  }
  if( best ) best->is_seen = 1;
  return best;
}

void draft_show(const struct draft *d, const struct draft **shown, int *n){
  int at;
  for(at=(*n)++; at>0 && shown[at-1]->distance>d->distance; at--) shown[at] = shown[at-1];
  shown[at] = d;
}

/* Share of words that makes two texts nearly the same. */
static const double WORDS_ALIKE = 0.75;
/* Cosine of whole points that makes two pictures nearly the same, and the same to the eye. */
static const float PICTURES_ALIKE = 0.9f;
static const float PICTURES_SAME = 0.98f;

static int are_near(const struct latent *a, const struct latent *b, float cosine){
  return point_cosine(a->z, b->z, a->width)>=cosine;
}

int draft_says(const struct draft *d, const struct neighbour *row){
  if( d->again.kind==KIND_PICTURE ) return are_near(&d->again, &row->z, PICTURES_SAME);
  return letters_hash(d->text.data, d->text.n)==letters_hash(row->text, row->text_bytes);
}

int drafts_alike(const struct draft *a, const struct draft *b){
  struct word x[DRAFT_WORDS], y[DRAFT_WORDS];
  int n_both = 0;
  int n_x, n_y;
  if( a->again.kind==KIND_PICTURE ) return are_near(&a->again, &b->again, PICTURES_ALIKE);
  n_x = find_words(x, a->text.data, a->text.n);
  n_y = find_words(y, b->text.data, b->text.n);
  for(int i=0; i<n_x; i++){
    int n_before = count_word(x, i, x[i].hash);
    n_both += n_before<count_word(y, n_y, x[i].hash);
  }
  return n_x + n_y==0 || 2.0*n_both/(n_x + n_y)>=WORDS_ALIKE;
}

/* Two places behind the point, whatever the locale. */
static void put_weight(struct buf *out, double weight){
  int hundredths = (int)(weight*100 + 0.5);
  buf_printf(out, "%d.%02d", hundredths/100, hundredths%100);
}

int draft_give(struct call *c, const struct point *p, int kind, const char *content, size_t bytes,
               float distance, float fidelity, struct rows *r){
  struct buf blob = { 0 }, parents = { 0 }, weights = { 0 };
  latent_write(&blob, &p->z, &c->err);
  for(int i=0; i<p->n_parents; i++){
    buf_printf(&parents, "%s%lld", i ? "," : "[", (long long)p->parents[i]->rowid);
    buf_char(&weights, i ? ',' : '[');
    put_weight(&weights, p->weights[i]);
  }
  buf_char(&parents, ']');
  buf_char(&weights, ']');
  rows_content(r, kind, content, bytes);
  rows_real(r, distance);
  rows_blob(r, buf_text(&blob), blob.n);
  rows_real(r, fidelity);
  rows_text(r, buf_text(&parents), parents.n);
  rows_text(r, buf_text(&weights), weights.n);
  check_buf(c, &blob);
  check_buf(c, &parents);
  check_buf(c, &weights);
  buf_release(&blob);
  buf_release(&parents);
  buf_release(&weights);
  return c->err.rc;
}
