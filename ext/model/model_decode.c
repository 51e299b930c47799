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
**      (END counted) is the strand's result. At the limit of tokens END is the only choice. A picture has no END: its last code finishes it.
**   4. Other choices go on. The first child of a sequence takes over its block; further ones copy it into a spare one.
**
** A worker keeps its batch full: as texts end, the next strands come in, a few at a time so that their memories are made together. What a strand
** gives does not depend on its company; ties go to the earlier token and the earlier sequence.
**
** Best-of-K: a strand like the caller's and K-1 sampled ones for each point; their texts are encoded again, as a user would encode them, and the
** one nearest to the asked point wins. Where fluency is asked for, how well a text reads counts too: see add_reading(). Texts to avoid win only
** where there is no other. Of rows that are a way, the candidates are chosen together: see choose_way().
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
#define TURNING 0.15f                   /* what a step on a way that comes nearer to its start, or away from its goal, counts against both its ends */
#define STANDING 0.05f                  /* and one from a text to the same text */
#define AVOIDED 100                     /* more than any two marks differ by */
#define READING_MEAN 0.2f               /* what a nat of the mean token, and of the worst one inside a word, counts against nearness at fluency 1. */
#define READING_WORST 0.13f             /* Of 118 pairs' middles 55% rather than 34% were clean (model/README.md); half as much: 45%, half more: 58% and less true */

struct strand {
  int latent;                           /* row of z */
  int beams;
  float temperature;                    /* > 0: sampled, and beams is 1 */
  struct random random;
  struct tokens *out;                   /* ids has room for the limit */
};

struct choice { float sum; int from, token; };

struct group {                          /* a strand while it is decoded */
  struct strand *strand;
  int slot;                             /* of its memory; strands that came in together may share one */
  int first, n;                         /* its sequences in the batch */
  int left;                             /* sequences that may still go on */
  float best_mean;
};

struct crew {                           /* what one worker decodes with */
  struct batch batch;
  struct group *groups;                 /* [n_groups] of [room] */
  int n_groups;
  int *users;                           /* [room+1]: groups that read each slot of the memories */
  int *filled;                          /* [room]: slots to be filled */
  struct sequence *next;                /* [room]: the batch's sequences after a step */
};

struct decoding {                       /* one call of decode_strands */
  const struct model *m;
  struct run *run;
  const float *z;
  const struct decode_options *options;
  struct strand *strands;
  const int *chunk;                     /* chunk i is strands chunk[i]..chunk[i+1] */
  struct crew *crews;                   /* one a worker */
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

/* The least id that may be chosen. */
static int first_token(const struct model *m){ return has_end(m) ? TOKEN_END : TOKEN_CODE; }

/* Draws a token from the row of log-probabilities y. */
static int sample_token(struct batch *b, const float *y, float temperature, struct random *random){
  int pieces = b->m->config.shape.pieces, last = first_token(b->m);
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
  int pieces = b->m->config.shape.pieces, k = g->left, n = 0, first = first_token(b->m);
  for(int i=g->first; i<g->first+g->n; i++){
    const float *y = b->logits + (size_t)i*pieces;
    float sum = b->sequences[i].sum;
    if( b->sequences[i].n==b->limit ){
      if( n<k || sum+y[TOKEN_END]>best[n-1].sum ) n = keep_choice(best, n, k, sum+y[TOKEN_END], i, TOKEN_END);
      continue;
    }
    for(int t=first; t<pieces; t++){
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

/* Does the choice finish its sequence? END does, and a picture's last code. */
static int finishes(const struct batch *b, const struct choice *c){
  return c->token==TOKEN_END || (!has_end(b->m) && b->sequences[c->from].n+1==b->limit);
}

/* q and its last choice: the strand's result if it is the best one so far. */
static void finish(struct group *g, const struct sequence *q, const struct choice *c){
  struct tokens *out = g->strand->out;
  float mean = c->sum/(float)(q->n+1);
  g->left--;
  if( out->n>=0 && mean<=g->best_mean ) return;
  g->best_mean = mean;
  memcpy(out->ids, q->ids, (size_t)q->n*sizeof(int));
  out->n = q->n;
  if( c->token!=TOKEN_END ) out->ids[out->n++] = c->token;
  out->log_probability = c->sum;
}

/* A copy of q in a spare block. There is one whenever a parent has a second child: the strands in a batch never have more sequences
** left than it has room, and parents without children have given theirs back. */
static struct sequence copy_of(struct batch *b, int *n_spare, const struct sequence *q){
  struct sequence copy = b->spare[--*n_spare];
  sequence_copy(b, &copy, q);
  return copy;
}

/* Gives the choices to the group's sequences. next[] takes those that go on; returns their number. */
static int group_advance(struct batch *b, struct group *g, const struct choice *best, int n_best, int *n_spare, struct sequence *next){
  int n = 0;
  char used[MAX_BEAMS] = {0};
  for(int i=0; i<n_best; i++){
    if( finishes(b, &best[i]) ) finish(g, &b->sequences[best[i].from], &best[i]);
    else used[best[i].from - g->first] = 1;
  }
  for(int i=0; i<g->n; i++){
    if( !used[i] ) b->spare[(*n_spare)++] = b->sequences[g->first+i];
  }
  /* The parents in b->sequences keep their old count of ids, so a copy does not see what a first child has appended. */
  for(int i=0; i<n_best; i++){
    int parent = best[i].from - g->first;
    const struct sequence *q = &b->sequences[best[i].from];
    if( finishes(b, &best[i]) ) continue;
    next[n] = used[parent]==1 ? *q : copy_of(b, n_spare, q);
    used[parent] = 2;
    next[n].ids[next[n].n++] = best[i].token;
    next[n++].sum = best[i].sum;
  }
  return n;
}

/* ---- A worker's chunk of strands ---- */

/* Lets strand s in, with one sequence that has read nothing. */
static void admit(struct decoding *e, struct crew *c, struct strand *s, int slot){
  struct batch *b = &c->batch;
  struct sequence *q = &b->sequences[b->n];
  *q = b->spare[b->room - b->n - 1];
  q->latent = slot;
  q->fluency = e->options->fluencies ? e->options->fluencies[s->latent] : e->options->fluency;
  q->n = 0;
  q->sum = 0;
  s->out->n = -1;                                               /* nothing finished yet */
  c->groups[c->n_groups++] = (struct group){ s, slot, b->n++, 1, s->beams, 0 };
  c->users[slot]++;
}

static int free_slot(const struct crew *c, int from){
  while( c->users[from]>0 ) from++;
  return from;
}

/* Lets in as many of strands at..end as there is room for. Returns the first that must wait. */
static int admit_some(struct decoding *e, struct crew *c, int at, int end, int room){
  int width = e->m->config.shape.s + e->m->config.shape.r, n_filled = 0, slot = 0, first = at;
  const float *z = e->z + (size_t)e->strands[at].latent*width;
  for(; at<end && e->strands[at].beams<=room; at++){
    struct strand *s = &e->strands[at];
    if( at==first || s->latent!=s[-1].latent ) c->filled[n_filled++] = slot = free_slot(c, slot+1);
    admit(e, c, s, slot);
    room -= s->beams;
  }
  memories_fill(&c->batch.memories, e->m, c->filled, z, n_filled, e->options->detail, c->batch.work.panel);
  return at;
}

/* After a step: every group chooses; those without sequences leave. */
static void advance(struct crew *c){
  struct batch *b = &c->batch;
  int n = 0, n_left = 0, n_spare = b->room - b->n;
  for(int i=0; i<c->n_groups; i++){
    struct choice best[MAX_BEAMS];
    struct group *g = &c->groups[i];
    int n_best = group_choose(b, g, best);
    int n_next = group_advance(b, g, best, n_best, &n_spare, c->next+n);
    g->first = n;
    g->n = n_next;
    n += n_next;
    if( n_next>0 ) c->groups[n_left++] = *g;
    else c->users[g->slot]--;
  }
  c->n_groups = n_left;
  memcpy(b->sequences, c->next, n*sizeof(struct sequence));
  b->n = n;
}

/* Sequences that may still come in: those in it count as all that they may become. */
static int room_left(const struct crew *c){
  int room = c->batch.room;
  for(int i=0; i<c->n_groups; i++) room -= c->groups[i].left;
  return room;
}

static void decode_chunk(void *arg, struct worker *worker, int chunk){
  struct decoding *e = arg;
  struct crew *c = &e->crews[worker->at];
  int at = e->chunk[chunk], end = e->chunk[chunk+1];
  while( at<end || c->batch.n>0 ){
    int room = room_left(c);
    if( at<end && (c->batch.n==0 || room>=c->batch.room/4) ) at = admit_some(e, c, at, end, room);
    if( !batch_step(&c->batch, e->run, worker) ) return;
    advance(c);
  }
}

/* ---- All strands ---- */

static int token_limit(const struct model *m, const struct decode_options *o){
  int limit = m->config.shape.longest - 1;
  return has_end(m) && o->max_tokens>0 && o->max_tokens<limit ? o->max_tokens : limit;
}

/* Sequences of a batch: never fewer than the beams of one strand, nor more than there can be. */
static int batch_room(const struct model *m, const struct decode_options *o, int limit, int width){
  int twins = o->fluency>0;
  size_t room = BATCH_BYTES/sequence_bytes(m, limit, twins);
  if( room>(size_t)(BATCH_ROWS>>twins) ) room = BATCH_ROWS>>twins;
  if( room>(size_t)width ) room = width;
  return room<(size_t)o->beams ? o->beams : (int)room;
}

/* Cuts the strands into n_chunks of about the same number of sequences: chunk[0..n_chunks]. Returns all their sequences. */
static int cut_strands(const struct strand *strands, int n, int n_chunks, int *chunk){
  int width = 0, before = 0, at = 0;
  for(int i=0; i<n; i++) width += strands[i].beams;
  for(int k=0; k<n_chunks; k++){
    chunk[k] = at;
    for(; at<n && (long long)before*n_chunks<(long long)width*(k+1); at++) before += strands[at].beams;
  }
  chunk[n_chunks] = n;
  return width;
}

static void crew_init(struct crew *c, const struct model *m, int room, int limit, int twins, struct arena *a){
  memset(c, 0, sizeof(*c));
  batch_init(&c->batch, m, room, limit, twins, a);
  c->groups = arena_get(a, room*sizeof(struct group));
  c->users = arena_zeroed(a, (room+1)*sizeof(int));
  c->filled = arena_get(a, room*sizeof(int));
  c->next = arena_get(a, room*sizeof(struct sequence));
}

/* Decodes strands[n], sorted by latent and none left out between two, into their out. */
static int decode_strands(const struct model *m, struct run *run, const float *z, const struct decode_options *o, struct strand *strands, int n){
  struct decoding e = { m, run, z, o, strands, 0, 0 };
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  int limit = token_limit(m, o), n_threads = n/WORKER_STRANDS<run->n_threads ? n/WORKER_STRANDS : run->n_threads, width, *chunk;
  if( n_threads<1 ) n_threads = 1;
  e.chunk = chunk = arena_get(a, ((size_t)n_threads+1)*sizeof(int));
  e.crews = arena_get(a, n_threads*sizeof(struct crew));
  if( a->oom ) return fail_nomem(run->err);
  width = cut_strands(strands, n, n_threads, chunk);
  for(int i=0; i<n_threads; i++) crew_init(&e.crews[i], m, batch_room(m, o, limit, (width + n_threads-1)/n_threads), limit, o->fluency>0, a);
  if( a->oom ) return fail_nomem(run->err);
  run_chunks(run, n_threads, n_threads, decode_chunk, &e);
  arena_rewind(a, mark);
  return run->err->rc;
}

/* Token rows with room for the limit; sticky like the arena. */
static void tokens_init(struct tokens *rows, int n, int limit, struct arena *a){
  int *ids = arena_get(a, (size_t)n*(limit+1)*sizeof(int));
  memset(rows, 0, n*sizeof(struct tokens));
  for(int i=0; i<n && ids; i++) rows[i].ids = ids + (size_t)i*(limit+1);
}

/* The codes that the pixels of each row's picture give. */
static int codes_again(const struct model *m, struct run *run, const struct tokens *rows, int n, int *ids, int *start){
  struct arena_mark mark = arena_mark(run->arena);
  struct picture *pictures = arena_get(run->arena, (size_t)n*sizeof(*pictures));
  if( pictures==0 ) return fail_nomem(run->err);
  if( tokens_pictures(m, run, rows, n, pictures) || pictures_tokens(m, run, pictures, n, ids) ) return run->err->rc;
  for(int i=0; i<=n; i++) start[i] = i*(m->config.shape.longest - 1);
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

/* The ids that the bytes of each row give when a user's text is read, or its pixels: ids[start[i]..start[i+1]), at most the limit of them. */
static int tokens_again(const struct model *m, struct run *run, const struct tokens *rows, int n, int **ids, int **start){
  int limit = m->config.shape.longest - 1, *all, *first;
  struct buf bytes = {0};
  *ids = all = arena_get(run->arena, (size_t)n*limit*sizeof(int));
  *start = first = arena_get(run->arena, ((size_t)n+1)*sizeof(int));
  if( run->arena->oom ) return fail_nomem(run->err);
  if( m->config.kind==KIND_PICTURE ) return codes_again(m, run, rows, n, all, first);
  first[0] = 0;
  for(int i=0; i<n && run->err->rc==SQLITE_OK; i++){
    struct arena_mark mark = arena_mark(run->arena);
    int *own, n_own;
    bytes.n = 0;
    for(int k=0; k<rows[i].n; k++) tokenizer_decode(m->config.tokenizer, rows[i].ids[k], &bytes);
    if( bytes.rc ){
      fail_nomem(run->err);
    }else if( tokenizer_encode(m->config.tokenizer, buf_text(&bytes), bytes.n, run->arena, &own, 0, &n_own, run->err)==SQLITE_OK ){
      if( n_own>limit ) n_own = limit;
      memcpy(all + first[i], own, (size_t)n_own*sizeof(int));
      first[i+1] = first[i] + n_own;
      arena_rewind(run->arena, mark);
    }
  }
  buf_release(&bytes);
  return run->err->rc;
}

int tokens_encode(const struct model *m, struct run *run, const struct tokens *rows, int n, int rounds, float *z){
  struct arena_mark mark = arena_mark(run->arena);
  int *ids, *start;
  if( tokens_again(m, run, rows, n, &ids, &start) || encode_tokens(m, run, ids, start, n, z) || refine_tokens(m, run, ids, start, n, rounds, z) ) return run->err->rc;
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
    s->random = random_of(decode_seed(o->seed, o->one_seed ? 0 : row) + (uint64_t)(i%k)*0xA0761D6478BD642Fu);
    s->out = &candidates[i];
  }
}

/* Does the piece go on with a word: does it begin with a letter, and not with a space? */
static int goes_on(const struct model *m, int id, struct buf *bytes){
  char c;
  bytes->n = 0;
  tokenizer_decode(m->config.tokenizer, id, bytes);
  c = bytes->n ? buf_text(bytes)[0] : 0;
  return (c>='a' && c<='z') || (c>='A' && c<='Z');
}

/* marks[i] += fluency * how well candidate i reads, as the plain language model (z = 0) sees it: the mean log-probability of its tokens, and
** the worst one inside a word (pictures have none). Nearness alone takes splices and broken words ("intrictives"); the mean alone takes what is bland. */
static int add_reading(const struct model *m, struct run *run, const int *ids, const int *start, int n, const float *fluencies, int k, float *marks){
  struct arena_mark mark = arena_mark(run->arena);
  float *zero = arena_zeroed(run->arena, (size_t)n*(m->config.shape.s + m->config.shape.r)*sizeof(float));
  float *sums = arena_floats(run->arena, n), *each = arena_floats(run->arena, (size_t)start[n] + n);
  int end = has_end(m);
  struct buf bytes = {0};
  if( run->arena->oom ) return fail_nomem(run->err);
  if( score_tokens(m, run, zero, ids, start, n, sums, each, NULL) ) return run->err->rc;
  for(int i=0; i<n; i++){
    float worst = 0;
    for(int at=start[i]; m->config.tokenizer && at<start[i+1]; at++){
      if( each[at+i]<worst && goes_on(m, ids[at], &bytes) ) worst = each[at+i];
    }
    marks[i] += fluencies[i/k]*(READING_MEAN*sums[i]/(float)(start[i+1]-start[i]+end) + READING_WORST*worst);
  }
  if( bytes.rc ) fail_nomem(run->err);
  buf_release(&bytes);
  arena_rewind(run->arena, mark);
  return run->err->rc;
}

static int is_avoided(const struct decode_options *o, const int *ids, int n){
  for(int i=0; i<o->n_avoid; i++){
    if( o->avoid[i].n==n && memcmp(o->avoid[i].ids, ids, (size_t)n*sizeof(int))==0 ) return 1;
  }
  return 0;
}

/* again[n, s+r]: what each candidate encodes to. marks[n]: how near that lies to its point, z[n/k, s+r], and how well the candidate reads where that is asked for. */
static int mark_candidates(const struct model *m, struct run *run, const struct decode_options *o, const struct tokens *candidates, int n, const float *z,
                           const float *fluencies, float *again, float *marks){
  struct arena_mark mark = arena_mark(run->arena);
  int width = m->config.shape.s + m->config.shape.r, k = o->best_of, fluent = 0, *ids, *start;
  if( tokens_again(m, run, candidates, n, &ids, &start) || encode_tokens(m, run, ids, start, n, again) ) return run->err->rc;
  for(int i=0; i<n; i++) marks[i] = point_cosine(z + (size_t)(i/k)*width, again + (size_t)i*width, width);
  for(int i=0; i<n/k; i++) fluent |= fluencies[i]>0;
  if( fluent && add_reading(m, run, ids, start, n, fluencies, k, marks) ) return run->err->rc;
  for(int i=0; i<n; i++) marks[i] -= is_avoided(o, ids+start[i], start[i+1]-start[i]) ? AVOIDED : 0;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

/* The best of marks[k]; of equals the first. */
static int best_mark(const float *marks, int k){
  int best = 0;
  for(int i=1; i<k; i++){
    if( marks[i]>marks[best] ) best = i;
  }
  return best;
}

/* What a step costs from a text at distances from[2] from the ends of the way to one at to[2]. */
static float step_cost(const float *from, const float *to){
  float turning = (to[0]<from[0] ? TURNING + from[0]-to[0] : 0) + (to[1]>from[1] ? TURNING + to[1]-from[1] : 0);
  return turning + (to[0]==from[0] && to[1]==from[1] ? STANDING : 0);
}

/* For each of `count` rows on a way one of its k candidates, so that the sum of the marks, less the steps' costs, is the most there is (Viterbi): what each
** point takes for itself may go back and forth. chosen[count]; far[count*k, 2], sum[count*k], from[count*k]: scratch. */
static void choose_way(const struct model *m, const float *way, const float *again, const float *marks, int count, int k, float *far, float *sum, int *from, int *chosen){
  int s = m->config.shape.s, width = s + m->config.shape.r, at;
  float apart = 1 - point_cosine(way, way+s, s);
  const float start[2] = { 0, apart }, goal[2] = { apart, 0 };
  for(int i=0; i<count*k; i++){
    for(int end=0; end<2; end++) far[2*i+end] = 1 - point_cosine(way + end*s, again + (size_t)i*width, s);
  }
  for(int i=0; i<count*k; i++){
    const int row = i/k;
    from[i] = -1;
    sum[i] = row==0 ? -step_cost(start, far+2*i) : -INFINITY;
    for(int p=(row-1)*k; row>0 && p<row*k; p++){
      float through = sum[p] - step_cost(far+2*p, far+2*i);
      if( through>sum[i] ){
        sum[i] = through;
        from[i] = p;
      }
    }
    sum[i] += marks[i];
  }
  for(int i=(count-1)*k; i<count*k; i++) sum[i] -= step_cost(far+2*i, goal);
  at = (count-1)*k + best_mark(sum + (size_t)(count-1)*k, k);
  for(int row=count-1; row>=0; row--, at=from[at]) chosen[row] = at%k;
}

static void take(struct tokens *out, const struct tokens *candidate){
  memcpy(out->ids, candidate->ids, (size_t)candidate->n*sizeof(int));
  out->n = candidate->n;
  out->log_probability = candidate->log_probability;
}

static int best_of(const struct model *m, struct run *run, const float *z, int at, int count, const struct decode_options *o, struct tokens *out){
  int k = o->best_of, width = m->config.shape.s + m->config.shape.r, n = count*k;
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  struct strand *strands = arena_get(a, n*sizeof(struct strand));
  struct tokens *candidates = arena_get(a, n*sizeof(struct tokens));
  float *marks = arena_floats(a, n), *fluencies = arena_floats(a, count), *again = arena_floats(a, (size_t)n*width), *sum = arena_floats(a, n), *far = arena_floats(a, 2*(size_t)n);
  int *chosen = arena_get(a, count*sizeof(int)), *from = arena_get(a, n*sizeof(int));
  if( a->oom ) return fail_nomem(run->err);
  tokens_init(candidates, n, token_limit(m, o), a);
  if( a->oom ) return fail_nomem(run->err);
  for(int i=0; i<count; i++) fluencies[i] = o->fluencies ? o->fluencies[at+i] : o->fluency;
  candidate_strands(strands, candidates, o, at, count, k);
  if( decode_strands(m, run, z, o, strands, n) ) return run->err->rc;
  if( mark_candidates(m, run, o, candidates, n, z + (size_t)at*width, fluencies, again, marks) ) return run->err->rc;
  for(int i=0; i<count; i++) chosen[i] = best_mark(marks + (size_t)i*k, k);
  if( o->way ) choose_way(m, o->way, again, marks, count, k, far, sum, from, chosen);
  for(int i=0; i<count; i++) take(&out[at+i], &candidates[i*k + chosen[i]]);
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
