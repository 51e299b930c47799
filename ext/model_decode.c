/*
** model_decode.c -- points to token rows: greedy, sampling, beam search, best-of-K.
**
** Everything is a strand: one text to be decoded from one point. A strand is a group of 1..32 sequences in a batch (model_step.c) that
** start as one and end one by one. After each step a strand chooses the next tokens of its sequences:
**
**   1. Sampled: one token drawn from softmax(log p / temperature), from the strand's own random stream.
**   2. Otherwise, of all (sequence, next token) pairs the best k by summed log-probability, k = the strand's sequences that may still go on.
**      With one beam that is the greedy choice.
**   3. A choice of END finishes a sequence, and k shrinks by one; the finished text with the best mean log-probability per token
**      (END counted) is the strand's result. At the limit of tokens END is the only choice.
**   4. Other choices go on. The first child of a sequence takes over its block; further ones copy it into a block that nobody uses.
**
** Strands without sequences leave the batch, so no work is done for finished texts. Ties go to the earlier: a result does not depend on
** the batch, the threads, or the order of rows.
**
** Best-of-K: a strand like the caller's and K-1 sampled ones for each point; their texts are encoded again, as a user would encode them, and the
** one nearest to the asked point wins.
*/
#include "model.h"
#include <math.h>
#include <string.h>

#define MAX_BEAMS 32
#define MAX_CANDIDATES 64
#define BATCH_ROWS 64                   /* token rows of a step: products are near their full speed, and a step takes a few ms */
#define BATCH_BYTES ((size_t)128<<20)   /* of caches, for larger models */
#define WORKER_STRANDS 4                /* fewer are not worth a thread */
#define CANDIDATE_TEMPERATURE 0.5f
#define BEST_OF_STRANDS 1024            /* candidates held at a time */

struct strand {
  int latent;                           /* row of z */
  int beams;
  float temperature;                    /* > 0: sampled, and beams is 1 */
  struct random random;
  struct tokens *out;                   /* ids has room for the limit */
};

struct decoding {                       /* one call of decode_strands */
  const struct model *m;
  struct run *run;
  const float *z;
  const struct decode_options *options;
  struct strand *strands;
  const int *chunk;                     /* chunk i is strands chunk[i]..chunk[i+1] */
  struct batch *batches;                /* these: one a worker */
  struct group **groups;
};

struct choice { float sum; int from, token; };

struct group {                          /* a strand while it is decoded */
  struct strand *strand;
  int first, n;                         /* its sequences in the batch */
  int left;                             /* sequences that may still go on */
  float best_mean;
  int n_spare;
  struct sequence spare[MAX_BEAMS];     /* blocks that nobody uses: ids and cache */
};

void decode_options_init(struct decode_options *o){
  memset(o, 0, sizeof(*o));
  o->beams = 1;
  o->best_of = 1;
  o->detail = 1;
}

uint64_t decode_seed(uint64_t seed, int row){
  /* An odd constant that is not the step of splitmix64, so that neighbouring streams are not shifted copies of each other. */
  return seed + (uint64_t)row*0xD1B54A32D192ED03u;
}

/* ---- Choosing ---- */

/* Draws a token from the row of log-probabilities y. */
static int sample_token(struct batch *b, const float *y, float temperature, struct random *random){
  int pieces = b->m->config.shape.pieces, last = TOKEN_END;
  float *p = b->row, u, sum = 0;
  for(int i=0; i<pieces; i++) p[i] = y[i]>-1e30f ? y[i]/temperature : -1e30f;
  softmax(p, pieces);
  u = random_uniform(random);
  for(int i=0; i<pieces; i++){
    if( y[i]<=-1e30f || p[i]<=0 ) continue;
    sum += p[i];
    last = i;
    if( sum>u ) break;
  }
  return last;
}

/* Enters (sum, from, token) into best[n], sorted from the best down, of at most k. Returns the new n. */
static int keep_choice(struct choice *best, int n, int k, float sum, int from, int token){
  int at = n<k ? n : k-1;
  for(; at>0 && best[at-1].sum<sum; at--) best[at] = best[at-1];
  best[at] = (struct choice){ sum, from, token };
  return n<k ? n+1 : k;
}

/* The best k continuations of a group's sequences. */
static int best_choices(const struct batch *b, const struct group *g, struct choice *best){
  int pieces = b->m->config.shape.pieces, k = g->left, n = 0;
  for(int i=g->first; i<g->first+g->n; i++){
    const float *y = b->logits + (size_t)i*pieces;
    float sum = b->sequences[i].sum;
    if( b->sequences[i].n==b->limit ){
      if( n<k || sum+y[TOKEN_END]>best[n-1].sum ) n = keep_choice(best, n, k, sum+y[TOKEN_END], i, TOKEN_END);
      continue;
    }
    for(int t=TOKEN_END; t<pieces; t++){
      if( t!=TOKEN_UNKNOWN && (n<k || sum+y[t]>best[n-1].sum) ) n = keep_choice(best, n, k, sum+y[t], i, t);
    }
  }
  return n;
}

static int group_choose(struct batch *b, struct group *g, struct choice *best){
  struct strand *s = g->strand;
  const struct sequence *q = &b->sequences[g->first];
  const float *y = b->logits + (size_t)g->first*b->m->config.shape.pieces;
  int token;
  if( s->temperature<=0 || q->n==b->limit ) return best_choices(b, g, best);
  token = sample_token(b, y, s->temperature, &s->random);
  best[0] = (struct choice){ q->sum + y[token], g->first, token };
  return 1;
}

/* ---- A group's step ---- */

/* A choice of END: the text is the strand's result if it is the best one so far. */
static void finish(struct group *g, const struct sequence *q, float sum){
  struct tokens *out = g->strand->out;
  float mean = sum/(float)(q->n+1);
  g->left--;
  if( out->n>=0 && mean<=g->best_mean ) return;
  g->best_mean = mean;
  memcpy(out->ids, q->ids, (size_t)q->n*sizeof(int));
  out->n = q->n;
  out->log_probability = sum;
}

/* Takes a block that nobody uses and makes it a copy of q. A group has as many blocks as beams, and one is spare whenever a parent has
** a second child. */
static struct sequence copy_of(struct batch *b, struct group *g, const struct sequence *q){
  struct sequence copy = g->spare[--g->n_spare];
  sequence_copy(b, &copy, q);
  return copy;
}

/* Gives the choices to the sequences: next[] is where the batch's surviving sequences are collected. Returns their number. */
static int group_advance(struct batch *b, struct group *g, const struct choice *best, int n_best, struct sequence *next){
  int n = 0;
  char used[MAX_BEAMS] = {0};
  for(int i=0; i<n_best; i++){
    if( best[i].token==TOKEN_END ) finish(g, &b->sequences[best[i].from], best[i].sum);
    else used[best[i].from - g->first] = 1;
  }
  for(int i=0; i<g->n; i++){
    if( !used[i] ) g->spare[g->n_spare++] = b->sequences[g->first+i];
  }
  /* Parents are copied before their blocks get a new token: an id past a copy's end is never read. */
  for(int i=0; i<n_best; i++){
    int parent = best[i].from - g->first;
    const struct sequence *q = &b->sequences[best[i].from];
    if( best[i].token==TOKEN_END ) continue;
    next[n] = used[parent]==1 ? *q : copy_of(b, g, q);
    used[parent] = 2;
    next[n].ids[next[n].n++] = best[i].token;
    next[n++].sum = best[i].sum;
  }
  return n;
}

/* ---- A chunk of strands ---- */

/* Fills the batch with the first sequence of each strand; the other blocks of its beams are spare. */
static void chunk_begin(struct decoding *e, struct batch *b, struct group *groups, struct strand *strands, int n){
  const struct shape *c = &e->m->config.shape;
  int first = strands[0].latent, count = strands[n-1].latent - first + 1, block = n;
  memories_fill(&b->memories, e->m, 1, e->z + (size_t)first*(c->s + c->r), count, e->options->detail, b->work.panel);
  b->n = n;
  for(int i=0; i<n; i++){
    struct group *g = &groups[i];
    struct sequence *q = &b->sequences[i];
    g->strand = &strands[i];
    g->first = i;
    g->n = 1;
    g->left = strands[i].beams;
    g->n_spare = 0;
    for(int k=1; k<strands[i].beams; k++) g->spare[g->n_spare++] = b->sequences[block++];
    q->latent = 1 + strands[i].latent - first;
    q->fluency = e->options->fluencies ? e->options->fluencies[strands[i].latent] : e->options->fluency;
    q->n = 0;
    q->sum = 0;
    strands[i].out->n = -1;                                     /* nothing finished yet */
  }
}

/* The blocks are handed round among the sequences while a chunk is decoded, so the batch is put back as it was afterwards. */

static void decode_chunk(void *arg, struct worker *worker, int chunk){
  struct decoding *e = arg;
  struct batch *b = &e->batches[worker->at];
  struct group *groups = e->groups[worker->at];
  struct sequence next[BATCH_ROWS], blocks[BATCH_ROWS];
  int n_groups = e->chunk[chunk+1] - e->chunk[chunk];
  memcpy(blocks, b->sequences, b->room*sizeof(struct sequence));
  chunk_begin(e, b, groups, e->strands + e->chunk[chunk], n_groups);
  while( b->n>0 && batch_step(b, e->run, worker) ){
    int n = 0, n_left = 0;
    for(int i=0; i<n_groups; i++){
      struct choice best[MAX_BEAMS];
      struct group *g = &groups[i];
      int n_best = group_choose(b, g, best);
      int n_next = group_advance(b, g, best, n_best, next+n);
      g->first = n;
      g->n = n_next;
      n += n_next;
      if( n_next>0 ) groups[n_left++] = *g;
    }
    n_groups = n_left;
    memcpy(b->sequences, next, n*sizeof(struct sequence));
    b->n = n;
  }
  memcpy(b->sequences, blocks, b->room*sizeof(struct sequence));
}

/* ---- All strands ---- */

static int token_limit(const struct model *m, const struct decode_options *o){
  int limit = m->config.shape.longest - 1;
  return o->max_tokens>0 && o->max_tokens<limit ? o->max_tokens : limit;
}

/* Sequences of a batch. Never fewer than the beams of one strand. */
static int batch_room(const struct model *m, const struct decode_options *o, int limit){
  int twins = o->fluency>0 ? 2 : 1;
  size_t room = BATCH_BYTES/batch_sequence_bytes(m, limit, o->fluency);
  if( room>(size_t)(BATCH_ROWS/twins) ) room = BATCH_ROWS/twins;
  return room<(size_t)o->beams ? o->beams : (int)room;
}

/* Cuts the strands into chunks of at most `room` sequences: chunk[0..n_chunks]. *room becomes the most of one, *n_latents the most latents. */
static int cut_chunks(const struct strand *strands, int n, int *room, int *n_latents, int *chunk){
  int n_chunks = 0, width = 0, most = 0;
  chunk[0] = 0;
  *n_latents = 0;
  for(int i=0; i<=n; i++){
    if( i==n || width+strands[i].beams>*room ){
      int count = strands[i-1].latent - strands[chunk[n_chunks]].latent + 1;
      if( count>*n_latents ) *n_latents = count;
      chunk[++n_chunks] = i;
      width = 0;
    }
    if( i<n ) width += strands[i].beams;
    if( width>most ) most = width;
  }
  *room = most;
  return n_chunks;
}

/* Evens the chunks out: as many as `room` asks for, a multiple of the threads, all of about the same width. */
static int even_room(const struct strand *strands, int n, int room, int n_threads){
  int width = 0, widest = 1, n_chunks;
  for(int i=0; i<n; i++){
    width += strands[i].beams;
    if( strands[i].beams>widest ) widest = strands[i].beams;
  }
  n_chunks = ((width + room-1)/room + n_threads-1)/n_threads*n_threads;
  room = (width + n_chunks-1)/n_chunks;
  return room<widest ? widest : room;
}

/* Decodes strands[n], sorted by latent, into their out. */
static int decode_strands(const struct model *m, struct run *run, const float *z, const struct decode_options *o, struct strand *strands, int n){
  struct decoding e = { m, run, z, o, strands, 0, 0, 0 };
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  int limit = token_limit(m, o), n_threads = n>=2*WORKER_STRANDS && run->n_threads>1 ? run->n_threads : 1;
  int room = even_room(strands, n, batch_room(m, o, limit), n_threads), n_latents, n_chunks, *chunk;
  e.chunk = chunk = arena_get(a, ((size_t)n+1)*sizeof(int));
  if( a->oom ) return fail_nomem(run->err);
  n_chunks = cut_chunks(strands, n, &room, &n_latents, chunk);
  if( n_threads>n_chunks ) n_threads = n_chunks;
  e.batches = arena_get(a, n_threads*sizeof(struct batch));
  e.groups = arena_get(a, n_threads*sizeof(struct group*));
  if( a->oom ) return fail_nomem(run->err);
  for(int i=0; i<n_threads; i++){
    batch_init(&e.batches[i], m, room, n_latents, limit, o->fluency, a);
    e.groups[i] = arena_get(a, room*sizeof(struct group));
  }
  if( a->oom ) return fail_nomem(run->err);
  run_chunks(run, n_threads, n_chunks, decode_chunk, &e);
  arena_rewind(a, mark);
  return run->err->rc;
}

/* Token rows with room for the limit; sticky like the arena. */
static void tokens_init(struct tokens *rows, int n, int limit, struct arena *a){
  int *ids = arena_get(a, (size_t)n*(limit+1)*sizeof(int));
  memset(rows, 0, n*sizeof(struct tokens));
  for(int i=0; i<n && ids; i++) rows[i].ids = ids + (size_t)i*(limit+1);
}

int tokens_encode(const struct model *m, struct run *run, const struct tokens *rows, int n, float *z){
  int limit = m->config.shape.longest - 1, *all, *start;
  struct arena_mark mark = arena_mark(run->arena);
  struct buf bytes = {0};
  all = arena_get(run->arena, (size_t)n*limit*sizeof(int));
  start = arena_get(run->arena, ((size_t)n+1)*sizeof(int));
  if( run->arena->oom ) return fail_nomem(run->err);
  start[0] = 0;
  for(int i=0; i<n && run->err->rc==SQLITE_OK; i++){
    struct arena_mark inner = arena_mark(run->arena);
    int *ids, n_ids;
    bytes.n = 0;
    for(int k=0; k<rows[i].n; k++) tokenizer_decode(m->config.tokenizer, rows[i].ids[k], &bytes);
    if( bytes.rc ){
      fail_nomem(run->err);
    }else if( tokenizer_encode(m->config.tokenizer, buf_text(&bytes), bytes.n, run->arena, &ids, 0, &n_ids, run->err)==SQLITE_OK ){
      if( n_ids>limit ) n_ids = limit;
      memcpy(all + start[i], ids, (size_t)n_ids*sizeof(int));
      start[i+1] = start[i] + n_ids;
      arena_rewind(run->arena, inner);
    }
  }
  buf_release(&bytes);
  if( run->err->rc || encode_tokens(m, run, all, start, n, z) ) return run->err->rc;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

/* ---- Best of K ---- */

/* Strands for `count` points from row `at`: k of each, the first as the options say, the others sampled. */
static void candidate_strands(struct strand *strands, struct tokens *candidates, const struct decode_options *o, int at, int count, int k){
  for(int i=0; i<count*k; i++){
    struct strand *s = &strands[i];
    int row = at + i/k, first = i%k==0;
    s->latent = row;
    s->beams = first ? o->beams : 1;
    s->temperature = first && (k>1 || o->beams>1) ? 0 : o->temperature;
    if( !first && s->temperature<=0 ) s->temperature = CANDIDATE_TEMPERATURE;
    s->random = random_of(decode_seed(o->seed, row) + (uint64_t)(i%k)*0xA0761D6478BD642Fu);
    s->out = &candidates[i];
  }
}

/* out = the candidate nearest to its point. */
static void take_nearest(const struct model *m, struct tokens *out, const struct tokens *candidates, const float *z, const float *again, int k){
  int width = m->config.shape.s + m->config.shape.r, best = 0;
  float nearest = -2;
  for(int i=0; i<k; i++){
    float cosine = point_cosine(z, again + (size_t)i*width, width);
    if( cosine>nearest ){
      nearest = cosine;
      best = i;
    }
  }
  memcpy(out->ids, candidates[best].ids, (size_t)candidates[best].n*sizeof(int));
  out->n = candidates[best].n;
  out->log_probability = candidates[best].log_probability;
}

static int best_of(const struct model *m, struct run *run, const float *z, int at, int count, const struct decode_options *o, struct tokens *out){
  int k = o->best_of, width = m->config.shape.s + m->config.shape.r, n = count*k;
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  struct strand *strands = arena_get(a, n*sizeof(struct strand));
  struct tokens *candidates = arena_get(a, n*sizeof(struct tokens));
  float *again = arena_floats(a, (size_t)n*width);
  if( a->oom ) return fail_nomem(run->err);
  tokens_init(candidates, n, token_limit(m, o), a);
  if( a->oom ) return fail_nomem(run->err);
  candidate_strands(strands, candidates, o, at, count, k);
  if( decode_strands(m, run, z, o, strands, n) || tokens_encode(m, run, candidates, n, again) ) return run->err->rc;
  for(int i=0; i<count; i++){
    take_nearest(m, &out[at+i], candidates + (size_t)i*k, z + (size_t)(at+i)*width, again + (size_t)i*k*width, k);
  }
  arena_rewind(a, mark);
  return SQLITE_OK;
}

static int decode_each(const struct model *m, struct run *run, const float *z, int n, const struct decode_options *o, struct tokens *out){
  struct arena_mark mark = arena_mark(run->arena);
  struct strand *strands = arena_get(run->arena, n*sizeof(struct strand));
  if( run->arena->oom ) return fail_nomem(run->err);
  candidate_strands(strands, out, o, 0, n, 1);
  if( decode_strands(m, run, z, o, strands, n) ) return run->err->rc;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

/* o->fluencies[n]: o->fluency becomes the most of them, which tells whether there are twins. */
static int check_fluencies(struct decode_options *o, int n, struct err *e){
  o->fluency = 0;
  for(int i=0; i<n; i++){
    float f = o->fluencies[i];
    if( !(f>=0 && f<=1) ) return fail(e, SQLITE_ERROR, "decode: fluency is %g, expected 0 to 1", f);
    if( f>o->fluency ) o->fluency = f;
  }
  return SQLITE_OK;
}

static int check_options(const struct decode_options *o, struct err *e){
  if( o->beams<1 || o->beams>MAX_BEAMS ) return fail(e, SQLITE_ERROR, "decode: beams is %d, expected 1 to %d", o->beams, MAX_BEAMS);
  if( o->best_of<1 || o->best_of>MAX_CANDIDATES ){
    return fail(e, SQLITE_ERROR, "decode: best_of is %d, expected 1 to %d", o->best_of, MAX_CANDIDATES);
  }
  if( !(o->temperature>=0) ) return fail(e, SQLITE_ERROR, "decode: temperature is %g, expected 0 or more", o->temperature);
  if( !(o->fluency>=0 && o->fluency<=1) ) return fail(e, SQLITE_ERROR, "decode: fluency is %g, expected 0 to 1", o->fluency);
  if( !(o->detail>=0 && o->detail<=1) ) return fail(e, SQLITE_ERROR, "decode: detail is %g, expected 0 to 1", o->detail);
  return SQLITE_OK;
}

int decode_tokens(const struct model *m, struct run *run, const float *z, int n, const struct decode_options *options, struct tokens *out){
  struct decode_options own = *options, *o = &own;
  int some = BEST_OF_STRANDS/(o->best_of>0 ? o->best_of : 1);
  memset(out, 0, n*sizeof(struct tokens));
  if( n==0 ) return SQLITE_OK;
  if( check_options(o, run->err) || (o->fluencies && check_fluencies(o, n, run->err)) ) return run->err->rc;
  tokens_init(out, n, token_limit(m, o), run->arena);
  if( run->arena->oom ) return fail_nomem(run->err);
  if( o->best_of==1 ) return decode_each(m, run, z, n, o, out);
  for(int at=0; at<n; at+=some){
    if( best_of(m, run, z, at, n-at<some ? n-at : some, o, out) ) return run->err->rc;
  }
  return SQLITE_OK;
}
