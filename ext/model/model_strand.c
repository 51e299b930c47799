/*
** model_strand.c -- strands: one text from one point, greedily, by sampling, or by beam search.
**
** While it is decoded a strand is a group of 1 to 32 sequences in a batch (model_step.c). They
** start as one, and end one by one. After each step the strand chooses the next tokens of its
** sequences:
**
**   1. Sampled: one token, drawn from softmax(log p / temperature) with the strand's own random
**      numbers.
**   2. Otherwise: of all pairs (sequence, next token) the k whose sums of log-probabilities are the
**      greatest. k is the number of the strand's sequences that may still go on. With one beam this
**      is greedy.
**   3. A choice of END finishes a sequence, and k shrinks by one. The strand's result is the
**      finished text with the best mean log-probability per token, END counted. At the limit of
**      tokens END is the only choice.
**   4. The other choices go on. The first child of a sequence takes over its block; further
**      children copy it into a spare one.
**
** A worker keeps its batch full. As strands end, the next ones come in, several at a time so that
** their memories are made together. What a strand gives does not depend on what else is in the
** batch. Of equal choices the earlier sequence wins, and then the earlier token.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

enum {
  BATCH_ROWS = 64,                      /* of a step: products are fast, and it takes few ms */
  BATCH_BYTES = 128 << 20,              /* of caches, for larger models */
  WORKER_STRANDS = 4                    /* fewer are not worth a thread */
};
static const float NEVER = -1e30f;      /* so low or lower: an id that must not come out */

struct choice {
  float sum;                            /* of log-probabilities, this token's among them */
  int from;                             /* the sequence in the batch */
  int token;
};

struct group {                          /* a strand while it is decoded */
  struct strand *strand;
  int slot;                             /* of its memory; strands of one latent may share one */
  int first, n;                         /* its sequences in the batch */
  int left;                             /* sequences that may still go on */
  float best_mean;                      /* mean log-probability of its result so far */
};

struct decoder {                        /* what one worker decodes with */
  struct batch batch;
  struct group *groups;                 /* [n_groups] of [room] */
  int n_groups;
  int *users;                           /* [room+1]: groups that read each slot of the memories */
  int *filled;                          /* [room]: slots that are to be filled */
  struct sequence *next;                /* [room]: the batch's sequences after a step */
};

struct decoding {                       /* one call of strands_decode() */
  const struct model *m;
  struct run *run;
  const float *z;
  const struct decode_options *options;
  struct strand *strands;
  const int *chunk;                     /* chunk i is strands chunk[i]..chunk[i+1]-1 */
  struct decoder *decoders;             /* one a worker */
};

/* ---- Choosing ---- */

/* Draws a token from the log-probabilities y[pieces]. */
static int sample_token(struct batch *b, const float *y, float temperature, struct random *random){
  int pieces = b->m->config.shape.pieces;
  int last = TOKEN_END;
  float *p = b->row;
  float u, sum = 0;
  for(int i=0; i<pieces; i++) p[i] = y[i]>NEVER ? y[i]/temperature : NEVER;
  softmax(p, pieces);
  u = random_uniform(random);
  for(int i=0; i<pieces; i++){
    if( y[i]<=NEVER || p[i]<=0 ) continue;
    sum += p[i];
    last = i;
    if( sum>u ) break;
  }
  return last;
}

/* The best choices so far, of at most k, sorted from the best down. */
struct ranking {
  struct choice *best;
  int n, k;
};

/* Adds a choice if it is among the best k. Of equal ones the first stays ahead. */
static inline void rank_choice(struct ranking *r, float sum, int from, int token){
  int at;
  if( r->n==r->k && !(sum>r->best[r->n-1].sum) ) return;
  at = r->n<r->k ? r->n++ : r->k-1;
  for(; at>0 && r->best[at-1].sum<sum; at--) r->best[at] = r->best[at-1];
  r->best[at] = (struct choice){ sum, from, token };
}

/* The best continuations of a group's sequences, as many as may go on. Returns their number. */
static int best_choices(const struct batch *b, const struct group *g, struct choice *best){
  struct ranking r = { best, 0, g->left };
  int pieces = b->m->config.shape.pieces;
  int first = TOKEN_END;
  for(int i=g->first; i<g->first+g->n; i++){
    const float *y = b->logits + (size_t)i*pieces;
    float sum = b->sequences[i].sum;
    if( b->sequences[i].n==b->limit ){
      rank_choice(&r, sum + y[TOKEN_END], i, TOKEN_END);
      continue;
    }
    for(int t=first; t<pieces; t++){
      if( t!=TOKEN_UNKNOWN ) rank_choice(&r, sum + y[t], i, t);
    }
  }
  return r.n;
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

/* q and its last choice become the strand's result if they are the best so far. */
static void finish_sequence(struct group *g, const struct sequence *q, const struct choice *c){
  struct tokens *out = g->strand->out;
  float mean = c->sum/(float)(q->n + 1);
  g->left--;
  if( out->n>=0 && mean<=g->best_mean ) return;
  g->best_mean = mean;
  memcpy(out->ids, q->ids, (size_t)q->n*sizeof(int));
  out->n = q->n;
  if( c->token!=TOKEN_END ) out->ids[out->n++] = c->token;
  out->log_probability = c->sum;
}

/* A copy of q in a spare block. There is a spare one whenever a parent has a second child: the
** strands in a batch never have more sequences left than it has room, and parents without children
** have given their blocks back. */
static struct sequence copy_of(struct batch *b, int *n_spare, const struct sequence *q){
  struct sequence copy = b->spare[--*n_spare];
  sequence_copy(b, &copy, q);
  return copy;
}

/* Gives the choices to the group's sequences. next[] takes those that go on. Returns their
** number. */
static int group_advance(struct batch *b, struct group *g, const struct choice *best, int n_best,
                         int *n_spare, struct sequence *next){
  enum { CHILDLESS, HAS_CHILDREN, HANDED_ON } state[BEAMS_MOST] = { CHILDLESS };
  int n = 0;
  for(int i=0; i<n_best; i++){
    const struct choice *c = &best[i];
    if( c->token==TOKEN_END ) finish_sequence(g, &b->sequences[c->from], c);
    else state[c->from - g->first] = HAS_CHILDREN;
  }
  for(int i=0; i<g->n; i++){
    if( state[i]==CHILDLESS ) b->spare[(*n_spare)++] = b->sequences[g->first+i];
  }
  /* The parents in b->sequences keep their old count of ids. So a copy does not see what the first
  ** child has appended. */
  for(int i=0; i<n_best; i++){
    const struct choice *c = &best[i];
    const struct sequence *q = &b->sequences[c->from];
    int parent = c->from - g->first;
    if( c->token==TOKEN_END ) continue;
    next[n] = state[parent]==HAS_CHILDREN ? *q : copy_of(b, n_spare, q);
    state[parent] = HANDED_ON;
    next[n].ids[next[n].n++] = c->token;
    next[n].sum = c->sum;
    n++;
  }
  return n;
}

/* ---- A worker's chunk of strands ---- */

/* Lets strand s into the batch, with one sequence that has read nothing. */
static void admit_strand(struct decoding *e, struct decoder *d, struct strand *s, int slot){
  const struct decode_options *o = e->options;
  struct batch *b = &d->batch;
  struct sequence *q = &b->sequences[b->n];
  *q = b->spare[b->room - b->n - 1];
  q->slot = slot;
  q->fluency = o->fluencies ? o->fluencies[s->latent] : o->fluency;
  q->n = 0;
  q->sum = 0;
  s->out->n = -1;                       /* nothing is finished yet */
  d->groups[d->n_groups++] = (struct group){
    .strand = s,
    .slot = slot,
    .first = b->n,
    .n = 1,
    .left = s->beams,
  };
  d->users[slot]++;
  b->n++;
}

static int free_slot(const struct decoder *d, int from){
  while( d->users[from]>0 ) from++;
  return from;
}

/* Lets in as many of strands at..end-1 as there is room for. Returns the first that must wait. */
static int admit_some(struct decoding *e, struct decoder *d, int at, int end, int room){
  const float *z = e->z + (size_t)e->strands[at].latent*model_width(e->m);
  int first = at;
  int n_filled = 0, slot = 0;
  for(; at<end && e->strands[at].beams<=room; at++){
    struct strand *s = &e->strands[at];
    if( at==first || s->latent!=s[-1].latent ){
      slot = free_slot(d, slot + 1);
      d->filled[n_filled++] = slot;
    }
    admit_strand(e, d, s, slot);
    room -= s->beams;
  }
  memories_fill(&d->batch.memories, e->m, d->filled, z, n_filled, e->options->detail,
                d->batch.work.panel);
  return at;
}

/* After a step every group chooses; those without sequences leave. */
static void advance_groups(struct decoder *d){
  struct batch *b = &d->batch;
  int n_spare = b->room - b->n;
  int n = 0, n_left = 0;
  for(int i=0; i<d->n_groups; i++){
    struct choice best[BEAMS_MOST];
    struct group *g = &d->groups[i];
    int n_best = group_choose(b, g, best);
    int n_next = group_advance(b, g, best, n_best, &n_spare, d->next + n);
    g->first = n;
    g->n = n_next;
    n += n_next;
    if( n_next>0 ) d->groups[n_left++] = *g;
    else d->users[g->slot]--;
  }
  d->n_groups = n_left;
  memcpy(b->sequences, d->next, (size_t)n*sizeof(struct sequence));
  b->n = n;
}

/* Sequences that may still come in. A group counts as all the sequences that it may become. */
static int room_left(const struct decoder *d){
  int room = d->batch.room;
  for(int i=0; i<d->n_groups; i++) room -= d->groups[i].left;
  return room;
}

static void decode_chunk(void *arg, struct worker *worker, int chunk){
  struct decoding *e = arg;
  struct decoder *d = &e->decoders[worker->at];
  int at = e->chunk[chunk];
  int end = e->chunk[chunk+1];
  while( at<end || d->batch.n>0 ){
    int room = room_left(d);
    int is_time = d->batch.n==0 || room>=d->batch.room/4;
    if( at<end && is_time ) at = admit_some(e, d, at, end, room);
    if( !batch_step(&d->batch, e->run, worker) ) return;
    advance_groups(d);
  }
}

/* ---- All strands ---- */

int strand_limit(const struct model *m, const struct decode_options *o){
  int limit = m->config.shape.longest - 1;
  int is_shorter = o->max_tokens>0 && o->max_tokens<limit;
  return is_shorter ? o->max_tokens : limit;
}

/* Sequences of a batch: not more than there can be, and not fewer than the beams of one strand. */
static int batch_room(const struct model *m, const struct decode_options *o, int n_sequences){
  int twins = o->fluency>0;
  size_t room = BATCH_BYTES/sequence_bytes(m, strand_limit(m, o), twins);
  size_t rows = twins ? BATCH_ROWS/2 : BATCH_ROWS;
  if( room>rows ) room = rows;
  if( room>(size_t)n_sequences ) room = (size_t)n_sequences;
  return room<(size_t)o->beams ? o->beams : (int)room;
}

/* Cuts the strands into n_chunks with about the same number of sequences: chunk[0..n_chunks].
** Returns the sequences of all. */
static int cut_strands(const struct strand *strands, int n, int n_chunks, int *chunk){
  int all = 0, before = 0, at = 0;
  for(int i=0; i<n; i++) all += strands[i].beams;
  for(int k=0; k<n_chunks; k++){
    chunk[k] = at;
    while( at<n && (long long)before*n_chunks<(long long)all*(k + 1) ){
      before += strands[at].beams;
      at++;
    }
  }
  chunk[n_chunks] = n;
  return all;
}

static void decoder_init(struct decoder *d, const struct model *m, const struct decode_options *o,
                         int n_sequences, struct arena *a){
  int room = batch_room(m, o, n_sequences);
  size_t n = (size_t)room;
  *d = (struct decoder){ 0 };
  batch_init(&d->batch, m, room, strand_limit(m, o), o->fluency>0, a);
  d->groups = arena_get(a, n*sizeof(struct group));
  d->users = arena_zeroed(a, (n + 1)*sizeof(int));
  d->filled = arena_get(a, n*sizeof(int));
  d->next = arena_get(a, n*sizeof(struct sequence));
}

int strands_decode(const struct model *m, struct run *run, const float *z,
                   const struct decode_options *o, struct strand *strands, int n){
  struct decoding e = { .m = m, .run = run, .z = z, .options = o, .strands = strands };
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  int n_workers = n/WORKER_STRANDS;
  int n_sequences, each;
  int *chunk;
  assert( n>0 && z && run->n_threads>=1 );
  if( n_workers>run->n_threads ) n_workers = run->n_threads;
  if( n_workers<1 ) n_workers = 1;
  e.chunk = chunk = arena_get(a, ((size_t)n_workers + 1)*sizeof(int));
  e.decoders = arena_get(a, (size_t)n_workers*sizeof(struct decoder));
  if( a->oom ) return fail_nomem(run->err);
  n_sequences = cut_strands(strands, n, n_workers, chunk);
  each = (n_sequences + n_workers - 1)/n_workers;
  for(int i=0; i<n_workers; i++) decoder_init(&e.decoders[i], m, o, each, a);
  if( a->oom ) return fail_nomem(run->err);
  chunks_run(run, n_workers, n_workers, decode_chunk, &e);
  arena_rewind(a, mark);
  return run->err->rc;
}

void tokens_init(struct tokens *rows, const struct model *m, int n, const struct decode_options *o,
                 struct arena *a){
  size_t room = (size_t)strand_limit(m, o) + 1;
  int *ids = arena_get(a, (size_t)n*room*sizeof(int));
  for(int i=0; i<n; i++) rows[i] = (struct tokens){ .ids = ids ? ids + i*room : NULL };
}
