/*
** model_write.c -- points to texts by the writer: greedy or sampled, many side by side.
**
** A worker has a batch of pages, each a text that is being written. At a step every page gets its
** next piece; a page that is full or has ended makes room for the next strand. What a strand gives
** does not depend on what else is in the batch.
**
** What stands before a text (decode_options.contexts) is read first, as much of it as the writer
** has been trained with.
**
** A page with fluency has a second voice: the plain language model, which reads no point but what
** stands before the text, and then the text. So the writer says what is to be said, and the other
** how it goes on: a piece's score is (1-f) log p(piece | z, text so far)
** + f log p(piece | context, text so far). When to end is the writer's to say, which knows how much
** the point holds. Where there are no points the second voice is alone, and goes on with the
** context.
**
** Where a point is known to lie between texts, a page takes up their words (model_wanted.c). How
** likely the text is does not count that.
**
** The text is then split into the small model's tokens: so all that judges, joins and encodes
** decoded texts works on texts by either.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum {
  PAGES = 16,                           /* of a batch */
  CACHE_BYTES = 64 << 20,               /* of all its pages, but of one at least */
  CONTEXT_ROWS = 32,                    /* of a context, read at a time */
  SHARE_STRANDS = 2                     /* fewer are not worth a thread */
};

/* Sampling draws from the likeliest pieces that have so much of the probability together, of
** PIECES_MOST at most. */
static const float NUCLEUS = 0.92f;
enum { PIECES_MOST = 40 };

struct pieces {                         /* a text in the writer's pieces */
  int *ids;
  int n;
};

struct page {                           /* a text that is written, or was */
  struct strand *strand;
  int *ids;                             /* [limit]; the first is `begin` */
  int n;
  float sum;                            /* of log-probabilities */
  float fluency;
  struct pieces context;                /* what stands before it: the plain model reads it */
  struct pieces before;                 /* and of that, what the writer has learned to read */
  const struct wanted *wanted;          /* words of what its point lies between; NULL: none */
  struct said said;                     /* of them, so far */
  int slot;                             /* of its point's memory */
  float *cache;                         /* while it is in a batch: the writer's, then the plain
                                        ** model's */
};

struct page_batch {                     /* one a worker */
  struct writing writing;
  struct page **pages;                  /* [n] of [room] */
  int room, n;
  float **caches;                       /* [room - n]: those that no page uses */
  int *latents;                         /* [room]: whose memory each slot holds, or -1 */
  struct written *rows;                 /* [room] or [CONTEXT_ROWS] */
  float *scores, *plain;                /* [room, pieces]: of both voices; plain may be NULL */
  float *chances;                       /* [pieces]: scratch */
};

struct write_job {                      /* one call of strands_write() */
  const struct writer *w;
  struct run *run;
  const float *z;                       /* NULL: the plain model alone */
  size_t width;                         /* of z */
  int kind;                             /* likewise */
  float detail;
  struct page *pages;                   /* [n], one a strand */
  int n, n_shares;
  int limit;                            /* of a text, `begin` counted */
  int goes_on;                          /* true: the page before was full */
  int has_plain;                        /* some have a second voice */
  int most_context;                     /* pieces of the longest context */
  struct page_batch *batches;           /* one a worker */
};

/* ---- Choosing a piece ---- */

/* Three pieces in a row come once in a text: where the model falls into a loop ("20 chairs, 20
** chairs, ..."), every round makes the next one likelier. */
static void forbid_repetition(float *y, const struct page *p){
  const int *ids = p->ids;
  int n = p->n;
  for(int i=1; i+2<n; i++){
    if( ids[i]==ids[n-2] && ids[i+1]==ids[n-1] ) y[ids[i+2]] = -INFINITY;
  }
}

/* y[pieces]: from the scores of the writer, where there is one, to those of both voices;
** plain[pieces] is the other's, or NULL. Pieces that must not come out are -inf. */
static void score_page(const struct write_job *j, float *y, const float *plain,
                       const struct page *p){
  const struct writer *w = j->w;
  const struct writer_shape *shape = &w->config.shape;
  float f = p->fluency;
  float end = y[shape->end];
  if( plain && j->z==NULL ){
    memcpy(y, plain, (size_t)shape->pieces*sizeof(float));
    end = plain[shape->begin];          /* it stands between texts */
  }else if( plain ){
    for(int i=0; i<shape->pieces; i++) y[i] = (1-f)*y[i] + f*plain[i];
  }
  for(int i=0; i<w->n_special; i++) y[w->special[i]] = -INFINITY;
  forbid_repetition(y, p);
  y[shape->end] = p->n>1 || j->goes_on ? end : -INFINITY;       /* something must be written */
}

struct likely {
  int id;
  float chance;
};

/* Sorts the likeliest pieces into best[], from the best down. Of equal ones the first comes first.
** Returns their number. */
static int likeliest(const float *chances, int pieces, struct likely best[PIECES_MOST]){
  int n = 0;
  for(int i=0; i<pieces; i++){
    int at;
    if( n==PIECES_MOST && !(chances[i]>best[n-1].chance) ) continue;
    at = n<PIECES_MOST ? n++ : n-1;
    for(; at>0 && best[at-1].chance<chances[i]; at--) best[at] = best[at-1];
    best[at] = (struct likely){ i, chances[i] };
  }
  return n;
}

static int sample_piece(struct page_batch *b, const float *y, struct strand *s){
  struct likely best[PIECES_MOST];
  int pieces = b->writing.w->config.shape.pieces;
  float *chances = b->chances;
  float sum = 0;
  float u;
  int n, kept = 0;
  for(int i=0; i<pieces; i++) chances[i] = y[i]>-1e30f ? y[i]/s->temperature : -1e30f;
  softmax(chances, pieces);
  n = likeliest(chances, pieces, best);
  while( kept<n && (kept==0 || sum<NUCLEUS) ) sum += best[kept++].chance;
  u = random_uniform(&s->random)*sum;
  for(int i=0; i<kept; i++){
    u -= best[i].chance;
    if( u<0 ) return best[i].id;
  }
  return best[kept-1].id;
}

/* ---- A worker's share ---- */

/* The slot with the memory of that row of z, filled where none has it. */
static int slot_of(struct write_job *j, struct page_batch *b, int latent){
  int empty = -1;
  for(int i=0; i<b->room; i++){
    int is_used = 0;
    if( b->latents[i]==latent ) return i;
    for(int k=0; k<b->n; k++) is_used |= b->pages[k]->slot==i;
    if( !is_used ) empty = i;
  }
  assert( empty>=0 );
  b->latents[empty] = latent;
  writing_point(&b->writing, empty, j->kind, j->z + (size_t)latent*j->width, j->detail);
  return empty;
}

/* Positions of a page: those of what stands before it, and its own. */
static int positions(const struct write_job *j){
  return j->most_context + j->limit;
}

/* Floats of a page's cache that the writer has. */
static size_t own_floats(const struct write_job *j){
  return j->z ? page_floats(j->w, positions(j)) : 0;
}

/* The plain model's part of it. */
static float *plain_cache(const struct write_job *j, const struct page *p){
  return p->cache + own_floats(j);
}

/* Another page of the batch that has read the same, or NULL. */
static const struct page *page_like(const struct page_batch *b, const struct page *p){
  for(int i=0; i<b->n; i++){
    if( b->pages[i]->strand->latent==p->strand->latent ) return b->pages[i];
  }
  return NULL;
}

/* What a voice reads at position `at` of a page whose text stands behind `before`: `begin`, what
** stands before it, and then its own pieces. */
static struct written row_at(const struct write_job *j, const struct page *p,
                             const struct pieces *before, int at, float *cache){
  int id = j->w->config.shape.begin;
  if( at>before->n ) id = p->ids[at - before->n];
  else if( at>0 ) id = before->ids[at-1];
  return (struct written){ id, at, p->slot, cache, positions(j) };
}

/* Lets a voice read what stands before the page, but for the last piece, which the first step
** reads. `like`: the cache of a page that has read it, or NULL. 0: stopped. */
static int read_before(struct write_job *j, struct page_batch *b, const struct page *p,
                       const struct pieces *before, float *cache, const float *like, int is_plain,
                       struct worker *worker){
  if( like ){
    writing_copy(&b->writing, cache, like, before->n, positions(j));
    return 1;
  }
  for(int at=0; at<before->n; at+=CONTEXT_ROWS){
    int count = before->n - at<CONTEXT_ROWS ? before->n - at : CONTEXT_ROWS;
    for(int i=0; i<count; i++) b->rows[i] = row_at(j, p, before, at + i, cache);
    if( !writing_step(&b->writing, j->run, worker, b->rows, count, is_plain) ) return 0;
  }
  return 1;
}

/* 0: stopped. */
static int admit_page(struct write_job *j, struct page_batch *b, struct page *p,
                      struct worker *worker){
  const struct page *like = page_like(b, p);
  if( j->z ) p->slot = slot_of(j, b, p->strand->latent);
  p->cache = b->caches[b->room - b->n - 1];
  p->ids[0] = j->w->config.shape.begin;
  p->n = 1;
  if( j->z && !read_before(j, b, p, &p->before, p->cache, like ? like->cache : NULL, 0, worker) ){
    return 0;
  }
  if( p->fluency>0 && !read_before(j, b, p, &p->context, plain_cache(j, p),
                                   like ? plain_cache(j, like) : NULL, 1, worker) ){
    return 0;
  }
  b->pages[b->n++] = p;
  return 1;
}

/* The scores of the next pieces: row i of b->scores is page i's, and b->plain has those of pages
** with fluency one behind another. 0: stopped. */
static int read_pages(struct write_job *j, struct page_batch *b, struct worker *worker){
  int n = 0;
  for(int i=0; i<b->n && j->z; i++){
    const struct page *p = b->pages[i];
    b->rows[n++] = row_at(j, p, &p->before, p->before.n + p->n - 1, p->cache);
  }
  if( n>0 && !writing_step(&b->writing, j->run, worker, b->rows, n, 0) ) return 0;
  if( n>0 ) writing_scores(&b->writing, b->scores, n);
  n = 0;
  for(int i=0; i<b->n; i++){
    const struct page *p = b->pages[i];
    if( p->fluency<=0 ) continue;
    b->rows[n++] = row_at(j, p, &p->context, p->context.n + p->n - 1, plain_cache(j, p));
  }
  if( n>0 && !writing_step(&b->writing, j->run, worker, b->rows, n, 1) ) return 0;
  if( n>0 ) writing_scores(&b->writing, b->plain, n);
  return 1;
}

/* Gives page i its next piece. Returns whether it is done: it has ended, or it is full. */
static int turn_page(struct write_job *j, struct page_batch *b, int i, const float *plain){
  int pieces = j->w->config.shape.pieces;
  int end = j->w->config.shape.end;
  struct page *p = b->pages[i];
  float *y = b->scores + (size_t)i*(size_t)pieces;
  int id;
  score_page(j, y, plain, p);
  if( p->wanted ) wanted_favour(p->wanted, &p->said, p->ids, p->n, 1, y);
  id = p->strand->temperature>0 ? sample_piece(b, y, p->strand) : largest(y, pieces);
  if( p->wanted ) wanted_favour(p->wanted, &p->said, p->ids, p->n, -1, y);
  if( p->wanted ) wanted_say(p->wanted, &p->said, id);
  p->sum += y[id];
  if( id==end ) return 1;
  p->ids[p->n++] = id;
  return p->n==j->limit;
}

/* Gives every page its next piece; those that are done leave. */
static void turn_pages(struct write_job *j, struct page_batch *b){
  const float *plain = b->plain;
  int n = 0;
  for(int i=0; i<b->n; i++){
    struct page *p = b->pages[i];
    int has_plain = p->fluency>0;
    int is_done = turn_page(j, b, i, has_plain ? plain : NULL);
    if( has_plain ) plain += j->w->config.shape.pieces;
    if( is_done ) b->caches[b->room - b->n + i - n] = p->cache;
    else b->pages[n++] = p;
  }
  b->n = n;
}

static void write_share(void *arg, struct worker *worker, int share){
  struct write_job *j = arg;
  struct page_batch *b = &j->batches[worker->at];
  int at = (int)((int64_t)share*j->n/j->n_shares);
  int end = (int)((int64_t)(share + 1)*j->n/j->n_shares);
  while( at<end || b->n>0 ){
    while( at<end && b->n<b->room ){
      if( !admit_page(j, b, &j->pages[at++], worker) ) return;
    }
    if( !read_pages(j, b, worker) ) return;
    turn_pages(j, b);
  }
}

/* ---- All strands ---- */

static size_t cache_floats(const struct write_job *j){
  size_t n = own_floats(j);
  return j->has_plain ? n + page_floats(j->w, positions(j)) : n;
}

static void batch_make(struct page_batch *b, const struct write_job *j, int room){
  struct arena *a = j->run->arena;
  size_t n = (size_t)room;
  size_t scores = n*(size_t)j->w->config.shape.pieces;
  int rows = j->most_context>0 && room<CONTEXT_ROWS ? CONTEXT_ROWS : room;
  *b = (struct page_batch){ .room = room };
  writing_init(&b->writing, j->w, rows, room, positions(j), a);
  b->pages = arena_get(a, n*sizeof(*b->pages));
  b->caches = arena_get(a, n*sizeof(*b->caches));
  b->latents = arena_get(a, n*sizeof(int));
  b->rows = arena_get(a, (size_t)rows*sizeof(*b->rows));
  b->scores = arena_floats(a, scores);
  if( j->has_plain ) b->plain = arena_floats(a, scores);
  b->chances = arena_floats(a, (size_t)j->w->config.shape.pieces);
  if( a->oom ) return;
  for(int i=0; i<room; i++){
    b->latents[i] = -1;
    b->caches[i] = arena_floats(a, cache_floats(j));
  }
}

static struct pieces last_pieces(struct pieces p, int most){
  if( p.n<=most ) return p;
  return (struct pieces){ p.ids + p.n - most, most };
}

/* The last CONTEXT_MOST pieces of what stands before row `latent`. Of a long text the end alone is
** read: pieces have four or five bytes in the mean. */
static struct pieces context_of(const struct write_job *j, const struct decode_options *o,
                                int latent){
  struct run *run = j->run;
  enum { BYTES = 64*CONTEXT_MOST };
  const char *text;
  size_t n;
  struct pieces p = { 0 };
  if( o->contexts==NULL || o->contexts[latent].n==0 ) return p;
  text = o->contexts[latent].bytes;
  n = o->contexts[latent].n;
  if( n>BYTES ){
    text += n - BYTES;
    n = BYTES;
    for(; n>0 && ((unsigned char)*text & 0xC0)==0x80; n--) text++;    /* not inside a character */
  }
  bpe_encode(j->w->bpe, text, n, run->arena, &p.ids, &p.n, run->err);
  return last_pieces(p, CONTEXT_MOST);
}

/* The words that page p is to take up. Pages of one row of z share them. */
static int page_wants(struct write_job *j, const struct decode_options *o, struct page *p,
                      const struct page *before){
  int latent = p->strand->latent;
  struct wanted *own;
  if( o->parents==NULL || o->parents[latent].n==0 ) return SQLITE_OK;
  if( before && before->strand->latent==latent ){
    p->wanted = before->wanted;
  }else{
    own = arena_get(j->run->arena, sizeof(*own));
    if( own==NULL ) return fail_nomem(j->run->err);
    wanted_make(own, j->w->bpe, j->run, &o->parents[latent]);
    if( j->run->err->rc!=SQLITE_OK ) return j->run->err->rc;
    p->wanted = own;
  }
  if( said_make(&p->said, p->wanted, j->run->arena)!=SQLITE_OK ) return fail_nomem(j->run->err);
  return SQLITE_OK;
}

static int make_pages(struct write_job *j, const struct decode_options *o, struct strand *strands){
  struct arena *a = j->run->arena;
  size_t limit = (size_t)j->limit;
  int *ids = arena_get(a, (size_t)j->n*limit*sizeof(int));
  j->pages = arena_zeroed(a, (size_t)j->n*sizeof(*j->pages));
  if( a->oom ) return fail_nomem(j->run->err);
  for(int i=0; i<j->n; i++){
    struct page *p = &j->pages[i];
    int latent = strands[i].latent;
    int read;
    p->strand = &strands[i];
    p->ids = ids + (size_t)i*limit;
    if( page_wants(j, o, p, i>0 ? p - 1 : NULL)!=SQLITE_OK ) return j->run->err->rc;
    p->fluency = o->fluencies ? o->fluencies[latent] : o->fluency;
    if( p->fluency>0 ) j->has_plain = 1;
    if( i>0 && strands[i-1].latent==latent ) p->context = p[-1].context;
    else p->context = context_of(j, o, latent);
    p->before = last_pieces(p->context, j->w->config.shape.context);
    read = p->fluency>0 ? p->context.n : j->z ? p->before.n : 0;
    if( read>j->most_context ) j->most_context = read;
  }
  return j->run->err->rc;
}

/* Pages of a batch, where there are `most` strands for each. */
static int pages_room(const struct write_job *j, int most){
  size_t room = CACHE_BYTES/(cache_floats(j)*sizeof(float));
  if( room>PAGES ) room = PAGES;
  if( room>(size_t)most ) room = (size_t)most;
  return room<1 ? 1 : (int)room;
}

/* The page's text becomes its strand's result, in the tokens of m. */
static int give_text(const struct write_job *j, const struct model *m, const struct page *p,
                     int most){
  struct run *run = j->run;
  struct tokens *out = p->strand->out;
  struct arena_mark mark = arena_mark(run->arena);
  struct buf text = { 0 };
  int *ids, n;
  for(int i=1; i<p->n; i++) bpe_decode(j->w->bpe, p->ids[i], &text);
  if( text.rc!=SQLITE_OK ){
    fail_nomem(run->err);
  }else{
    tokenizer_encode(m->config.tokenizer, buf_text(&text), text.n, run->arena, &ids, NULL, &n,
                     run->err);
  }
  buf_release(&text);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  out->n = n<most ? n : most;
  out->log_probability = p->sum;
  memcpy(out->ids, ids, (size_t)out->n*sizeof(int));
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

static int write_all(struct write_job *j){
  struct arena *a = j->run->arena;
  int room;
  j->n_shares = j->n/SHARE_STRANDS;
  if( j->n_shares>j->run->n_threads ) j->n_shares = j->run->n_threads;
  if( j->n_shares<1 ) j->n_shares = 1;
  room = pages_room(j, (j->n + j->n_shares - 1)/j->n_shares);
  j->batches = arena_get(a, (size_t)j->n_shares*sizeof(*j->batches));
  if( j->batches==NULL ) return fail_nomem(j->run->err);
  for(int i=0; i<j->n_shares; i++) batch_make(&j->batches[i], j, room);
  if( a->oom ) return fail_nomem(j->run->err);
  return chunks_run(j->run, j->n_shares, j->n_shares, write_share, j);
}

static struct write_job job_of(const struct model *m, struct run *run, const float *z,
                               const struct decode_options *o, int n){
  return (struct write_job){
    .w = o->writer,
    .run = run,
    .z = z,
    .width = (size_t)model_width(m),
    .kind = m->config.kind,
    .detail = o->detail,
    .n = n,
    .limit = o->writer->config.shape.longest + 1,
  };
}

int strands_write(const struct model *m, struct run *run, const float *z,
                  const struct decode_options *o, struct strand *strands, int n){
  struct write_job j = job_of(m, run, z, o, n);
  struct arena_mark mark = arena_mark(run->arena);
  assert( n>0 && z && m->config.kind!=KIND_PICTURE );
  if( make_pages(&j, o, strands)!=SQLITE_OK || write_all(&j)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n; i++){
    if( give_text(&j, m, &j.pages[i], strand_limit(m, o))!=SQLITE_OK ) return run->err->rc;
  }
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

/* ---- Going on with a text ---- */

/* Writes one page behind the text so far, and appends it. *left: pieces that may be written, 0 when
** the text has ended. */
static int complete_page(const struct model *m, struct run *run, const float *z,
                         const struct decode_options *o, struct strand *strand, struct buf *text,
                         int *left){
  struct content so_far = { buf_text(text), text->n };
  struct decode_options own = *o;
  struct write_job j = job_of(m, run, z, o, 1);
  struct arena_mark mark = arena_mark(run->arena);
  const struct page *p;
  own.contexts = &so_far;
  own.fluencies = NULL;
  j.goes_on = *left<o->max_tokens;
  if( *left<j.limit ) j.limit = *left + 1;
  if( make_pages(&j, &own, strand)!=SQLITE_OK || write_all(&j)!=SQLITE_OK ) return run->err->rc;
  p = &j.pages[0];
  for(int i=1; i<p->n; i++) bpe_decode(j.w->bpe, p->ids[i], text);
  *left = p->n<j.limit ? 0 : *left - (p->n - 1);
  if( text->rc!=SQLITE_OK ) fail_nomem(run->err);
  arena_rewind(run->arena, mark);
  return run->err->rc;
}

int text_complete(const struct model *m, struct run *run, const struct content *text,
                  const struct latent *towards, const struct decode_options *o, struct buf *out){
  struct decode_options own = *o;
  float *z = towards ? arena_floats(run->arena, (size_t)model_width(m)) : NULL;
  struct strand strand = { .temperature = o->temperature, .random = random_of(o->seed) };
  struct buf whole = { 0 };
  int left;
  if( run->arena->oom ) return fail_nomem(run->err);
  if( towards ) point_mean(z, towards);
  if( own.max_tokens<=0 ) own.max_tokens = o->writer->config.shape.longest;
  left = own.max_tokens;
  buf_append(&whole, text->bytes, text->n);
  if( whole.rc!=SQLITE_OK ) fail_nomem(run->err);
  while( left>0 && run->err->rc==SQLITE_OK ){
    complete_page(m, run, z, &own, &strand, &whole, &left);
  }
  if( run->err->rc==SQLITE_OK && whole.n>text->n ){
    utf8_clean(out, whole.data + text->n, whole.n - text->n);
  }
  if( out->rc==SQLITE_NOMEM ) fail_nomem(run->err);
  else if( out->rc!=SQLITE_OK ) fail(run->err, out->rc, "the text is too long");
  buf_release(&whole);
  return run->err->rc;
}

/* ---- What it costs ---- */

int writer_cost(const struct writer *w, struct run *run, double *seconds){
  enum { PIECES = 4 };
  struct run alone = *run;
  struct write_job j = { .w = w, .run = &alone, .n = 1, .limit = PIECES + 1 };
  struct strand strand = { .latent = 0 };
  struct arena_mark mark = arena_mark(run->arena);
  struct decode_options o;
  int64_t from;
  alone.n_threads = 1;
  decode_options_init(&o);
  o.fluency = 1;
  if( make_pages(&j, &o, &strand)!=SQLITE_OK ) return run->err->rc;
  from = clock_ns();
  if( write_all(&j)!=SQLITE_OK ) return run->err->rc;
  *seconds = 1e-9*(double)(clock_ns() - from)/(j.pages[0].n - 1);
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}
