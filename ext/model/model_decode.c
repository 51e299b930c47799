/*
** model_decode.c -- points to rows of tokens: one text for each, or the best of several candidates.
**
** Best of K: for each point there are K candidates. The first is decoded as the options say, the
** others are sampled. Their texts are encoded again, as a user would encode them, and get a mark:
** how near that lies to the asked point, and, where fluency is asked for, how well the text reads
** (add_reading()). The best mark wins. A text that is to be avoided wins only where there is no
** other. The candidates of points on a way are chosen together (choose_way()).
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum {
  CANDIDATES_MOST = 64,
  CANDIDATES_HELD = 1024,               /* at a time, of all points together */
  NO_CODE = 10,                         /* likewise, and less than AVOIDED */
  AVOIDED = 100                         /* more than any two marks differ by */
};
static const float CANDIDATE_TEMPERATURE = 0.5f;
static const float WRITER_TEMPERATURE = 0.7f;   /* the same where the writer writes */

/* What a nat of the mean token, and of the worst token inside a word, counts against nearness at
** fluency 1. Of the middles of 118 pairs 55% were clean with these, and 34% without
** (model/README.md). With half as much it was 45%; with half more 58%, but they were less true to
** the point. */
static const float READING_MEAN = 0.2f;
static const float READING_WORST = 0.13f;

/* So many candidates of a point are read aloud to the plain language model, and a nat of the mean
** piece costs them so much (model/TRAINING.md, Choosing among candidates). */
enum { ALOUD = 4 };
static const float SURPRISE = 0.03f;

/* A text of the writer may have so many times the bytes of the longest that it lies between. Each
** time more costs so much. */
static const float LONG_ENOUGH = 1.2f;
static const float RAMBLING = 0.3f;

/* What a step on a way costs where it comes nearer to the start, or goes farther from the goal; and
** where it leads from a text to the same text. */
static const float TURNING = 0.15f;
static const float STANDING = 0.05f;

void decode_options_init(struct decode_options *o){
  *o = (struct decode_options){ .beams = 1, .best_of = 1, .detail = 1 };
}

int tokens_equal(const struct tokens *a, const struct tokens *b){
  return a->n==b->n && memcmp(a->ids, b->ids, (size_t)a->n*sizeof(int))==0;
}

/* The constant is odd and not the step of splitmix64, so that the random numbers of neighbouring
** rows are not the same ones shifted. */
uint64_t decode_seed(uint64_t seed, int row){
  return seed + (uint64_t)row*0xD1B54A32D192ED03u;
}

/* Strands for `count` points from row `at` on: k of each, the first as the options say, the others
** sampled. Each writes to its own of out[count*k]. */
static void set_strands(struct strand *strands, struct tokens *out, const struct decode_options *o,
                        int at, int count, int k){
  for(int i=0; i<count*k; i++){
    int row = at + i/k;
    int candidate = i%k;
    uint64_t seed = decode_seed(o->seed, o->one_seed ? 0 : row);
    struct strand *s = &strands[i];
    s->latent = row;
    s->beams = candidate==0 ? o->beams : 1;
    s->temperature = o->temperature;
    if( candidate==0 && (k>1 || o->beams>1) ) s->temperature = 0;
    if( candidate>0 && o->temperature<=0 ){
      s->temperature = o->writer ? WRITER_TEMPERATURE : CANDIDATE_TEMPERATURE;
    }
    s->random = random_of(seed + (uint64_t)candidate*0xA0761D6478BD642Fu);
    s->out = &out[i];
  }
}

static int run_strands(const struct model *m, struct run *run, const float *z,
                       const struct decode_options *o, struct strand *strands, int n){
  return o->writer ? strands_write(m, run, z, o, strands, n)
                   : strands_decode(m, run, z, o, strands, n);
}

static int decode_each(const struct model *m, struct run *run, const float *z, int n,
                       const struct decode_options *o, struct tokens *out){
  struct arena_mark mark = arena_mark(run->arena);
  struct strand *strands = arena_get(run->arena, (size_t)n*sizeof(struct strand));
  if( strands==NULL ) return fail_nomem(run->err);
  set_strands(strands, out, o, 0, n, 1);
  if( run_strands(m, run, z, o, strands, n)!=SQLITE_OK ) return run->err->rc;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

/* ---- Best of K: marks ---- */

struct contest {                        /* for some points at a time */
  const struct model *m;
  struct run *run;
  const struct decode_options *o;
  const float *z;                       /* [points, s+r]: the asked points */
  int points, k, n;                     /* n candidates, k of each point */
  const struct parents *parents;        /* [points], or NULL */
  const float *fluencies;               /* [points] */
  struct tokens *candidates;            /* [n] */
  float *encoded;                       /* [n, s+r]: what they encode to */
  float *marks;                         /* [n] */
  int *chosen;                          /* [points]: which candidate of each, 0..k-1 */
};

/* Does the piece go on with a word? It does if it begins with a letter, not with a space. */
static int continues_word(const struct model *m, int id, struct buf *bytes){
  bytes->n = 0;
  tokenizer_decode(m->config.tokenizer, id, bytes);
  return bytes->n>0 && is_ascii_letter(bytes->data[0]);
}

/* The least of the log-probabilities of those of ids[n] that go on with a word. */
static float worst_inside_word(const struct model *m, const int *ids, const float *log_p, int n,
                               struct buf *bytes){
  float worst = 0;
  for(int i=0; i<n; i++){
    if( log_p[i]<worst && continues_word(m, ids[i], bytes) ) worst = log_p[i];
  }
  return worst;
}

/* marks[i] += fluency * how well candidate i reads to the plain language model (z = 0). That is the
** mean log-probability of its tokens, and the least one inside a word. Nearness alone takes splices
** and broken words ("intrictives"); the mean alone takes what is bland. */
static int add_reading(struct contest *c, const int *ids, const int *start){
  const struct model *m = c->m;
  struct run *run = c->run;
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  struct buf bytes = { 0 };
  size_t n = (size_t)c->n;
  float *zero = arena_zeroed(a, n*(size_t)model_width(m)*sizeof(float));
  float *sums = arena_floats(a, n);
  float *log_p = arena_floats(a, (size_t)start[c->n] + n);
  if( a->oom ) return fail_nomem(run->err);
  score_tokens(m, run, zero, ids, start, c->n, sums, log_p, NULL);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<c->n; i++){
    int first = start[i];
    int n_ids = start[i+1] - first;
    /* log_p has one number more than ids for each row before this one: that of END. */
    float worst = worst_inside_word(m, ids + first, log_p + first + i, n_ids, &bytes);
    float mean = READING_MEAN*sums[i]/(float)(n_ids + 1);
    c->marks[i] += c->fluencies[i/c->k]*(mean + READING_WORST*worst);
  }
  if( bytes.rc!=SQLITE_OK ) fail_nomem(run->err);
  buf_release(&bytes);
  arena_rewind(a, mark);
  return run->err->rc;
}

static int is_avoided(const struct decode_options *o, const int *ids, int n){
  for(int i=0; i<o->n_avoid; i++){
    const struct tokens *avoid = &o->avoid[i];
    if( avoid->n==n && memcmp(avoid->ids, ids, (size_t)n*sizeof(int))==0 ) return 1;
  }
  return 0;
}

/* How a text of the writer, which encodes to x[s+r], meets row `at` of z: how near it comes, and
** how likely its words are there. Where the row lies between others: how near it comes to each of
** them, and a little how near to the row. Nearness to the row alone takes texts that hold to one of
** them, or to none: so near a text hardly ever comes to a point between unlike ones
** (model/TRAINING.md, the writer). */
static float writer_mark(const struct contest *c, const struct tokens *text, int at,
                         const float *x){
  static const float NEARNESS = 0.3f;
  static const float LIKELIHOOD = 0.08f;
  const struct parents *parents = c->parents ? &c->parents[at] : NULL;
  const float *z = c->z + (size_t)at*model_width(c->m);
  int s = model_s(c->m);
  float near = point_cosine(z, x, model_width(c->m));
  float likely = LIKELIHOOD*text->log_probability/(float)(text->n + 1);
  float least = 2;
  if( parents==NULL || parents->n==0 ) return near + likely;
  for(int i=0; i<parents->n; i++){
    float nearer = point_cosine(parents->s[i], x, s) - point_cosine(parents->s[i], z, s);
    if( nearer<least ) least = nearer;
  }
  return least + NEARNESS*near + likely;
}

/* The best of marks[k]; of equals the first. */
static int best_mark(const float *marks, int k){
  int best = 0;
  for(int i=1; i<k; i++){
    if( marks[i]>marks[best] ) best = i;
  }
  return best;
}

/* best[ALOUD]: of k candidates those with the best marks, each text once where there are so many.
** marks[k] is scratch. */
static void best_texts(const struct tokens *candidates, float *marks, int k, int best[ALOUD]){
  for(int i=0; i<ALOUD; i++){
    best[i] = best_mark(marks, k);
    for(int other=0; other<k; other++){
      if( tokens_equal(&candidates[other], &candidates[best[i]]) ) marks[other] = -INFINITY;
    }
  }
}

/* Takes from marks[k] what each candidate costs read aloud. Of best[ALOUD] that is nats[ALOUD]; the
** others cost as much as the worst of these. */
static void pay_for(const struct tokens *candidates, float *marks, int k, const int best[ALOUD],
                    const float nats[ALOUD]){
  float worst = nats[0];
  for(int i=1; i<ALOUD; i++) worst = nats[i]>worst ? nats[i] : worst;
  for(int other=0; other<k; other++){
    float cost = worst;
    for(int i=0; i<ALOUD; i++){
      if( tokens_equal(&candidates[other], &candidates[best[i]]) ) cost = nats[i];
    }
    marks[other] -= SURPRISE*cost;
  }
}

/* The best candidates of each point are read aloud: said[n], by the writer. */
static int read_aloud(struct contest *c, const struct content *said){
  struct run *run = c->run;
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  int n = c->points*ALOUD;
  struct content *texts = arena_get(a, (size_t)n*sizeof(*texts));
  float *nats = arena_floats(a, (size_t)n);
  float *marks = arena_floats(a, (size_t)c->n);
  int *best = arena_get(a, (size_t)n*sizeof(int));
  if( a->oom ) return fail_nomem(run->err);
  memcpy(marks, c->marks, (size_t)c->n*sizeof(float));
  for(int i=0; i<c->points; i++){
    best_texts(c->candidates + i*c->k, marks + i*c->k, c->k, best + i*ALOUD);
  }
  for(int i=0; i<n; i++) texts[i] = said[i/ALOUD*c->k + best[i]];
  if( texts_nats(c->o->writer, run, texts, n, nats)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<c->points; i++){
    pay_for(c->candidates + i*c->k, c->marks + i*c->k, c->k, best + i*ALOUD, nats + i*ALOUD);
  }
  arena_rewind(a, mark);
  return SQLITE_OK;
}

/* What a text costs that is much longer than any of those that it is to lie between: it rambles. */
static void add_lengths(struct contest *c, const struct content *said){
  for(int i=0; i<c->n; i++){
    const struct parents *parents = &c->parents[i/c->k];
    size_t longest = 0;
    float times;
    for(int k=0; k<parents->n; k++){
      if( parents->texts[k].n>longest ) longest = parents->texts[k].n;
    }
    times = longest>0 ? (float)said[i].n/(float)longest : 0;
    if( times>LONG_ENOUGH ) c->marks[i] -= RAMBLING*(times - LONG_ENOUGH);
  }
}

/* How the candidates of the writer read. After the other marks. */
static int add_saying(struct contest *c){
  struct arena_mark mark = arena_mark(c->run->arena);
  struct content *said = arena_get(c->run->arena, (size_t)c->n*sizeof(*said));
  if( said==NULL ) return fail_nomem(c->run->err);
  for(int i=0; i<c->n; i++){
    tokens_text(c->m, c->run, &c->candidates[i], &said[i]);
    if( c->run->err->rc!=SQLITE_OK ) return c->run->err->rc;
  }
  if( c->parents ) add_lengths(c, said);
  if( c->m->config.kind==KIND_TEXT ) read_aloud(c, said);
  arena_rewind(c->run->arena, mark);
  return c->run->err->rc;
}

/* Encodes the candidates and gives each its mark. */
static int mark_candidates(struct contest *c){
  const struct model *m = c->m;
  struct run *run = c->run;
  struct arena_mark mark = arena_mark(run->arena);
  int width = model_width(m);
  int is_fluent = 0;
  int *ids, *start;
  tokens_reread(m, run, c->candidates, c->n, &ids, &start);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  encode_points(m, run, ids, start, c->n, c->encoded);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<c->n; i++){
    const float *x = c->encoded + (size_t)i*width;
    int at = i/c->k;
    c->marks[i] = c->o->writer ? writer_mark(c, &c->candidates[i], at, x)
                               : point_cosine(c->z + (size_t)at*width, x, width);
  }
  for(int i=0; i<c->points; i++) is_fluent |= c->fluencies[i]>0;
  if( is_fluent && c->o->writer==NULL ) add_reading(c, ids, start);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<c->n; i++){
    if( is_avoided(c->o, ids + start[i], start[i+1] - start[i]) ) c->marks[i] -= AVOIDED;
  }
  arena_rewind(run->arena, mark);
  return c->o->writer ? add_saying(c) : SQLITE_OK;
}

/* ---- Best of K: the candidates of a way ---- */

/* A candidate on a way. */
struct stop {
  float far[2];                         /* distances of its text from the start and from the goal */
  float sum;                            /* the most that a way to here is worth */
  int from;                             /* the candidate before it on that way, or -1 */
};

/* What it costs to go from one text to the next. */
static float step_cost(const float from[2], const float to[2]){
  float nearer = to[0]<from[0] ? TURNING + from[0]-to[0] : 0;
  float farther = to[1]>from[1] ? TURNING + to[1]-from[1] : 0;
  int stands = to[0]==from[0] && to[1]==from[1];
  return nearer + farther + (stands ? STANDING : 0);
}

/* The best way to a stop leads through one of the candidates of the point before: before[k], which
** are candidates at, at+1, ... */
static void enter_stop(struct stop *to, const struct stop *before, int at, int k){
  to->from = -1;
  to->sum = -INFINITY;
  for(int p=0; p<k; p++){
    float sum = before[p].sum - step_cost(before[p].far, to->far);
    if( !(sum>to->sum) ) continue;
    to->sum = sum;
    to->from = at + p;
  }
}

/* Chooses one candidate of each point, so that the sum of the marks less the cost of the steps is
** the greatest that there is (Viterbi). The best candidate of each by itself may go back and
** forth. */
static int choose_way(struct contest *c){
  struct arena_mark mark = arena_mark(c->run->arena);
  const float *way = c->o->ends;
  int s = model_s(c->m);
  int width = model_width(c->m);
  int k = c->k;
  int last = c->n - k;                  /* the first candidate of the last point */
  float apart = 1 - point_cosine(way, way + s, s);
  const float start[2] = { 0, apart };
  const float goal[2] = { apart, 0 };
  struct stop *stops = arena_get(c->run->arena, (size_t)c->n*sizeof(*stops));
  float *ways = arena_floats(c->run->arena, (size_t)k);
  int at;
  if( c->run->arena->oom ) return fail_nomem(c->run->err);
  for(int i=0; i<c->n; i++){
    const float *text = c->encoded + (size_t)i*width;
    struct stop *stop = &stops[i];
    int before = i/k*k - k;             /* the first candidate of the point before */
    for(int end=0; end<2; end++) stop->far[end] = 1 - point_cosine(way + end*s, text, s);
    if( before<0 ){
      stop->from = -1;
      stop->sum = -step_cost(start, stop->far);
    }else{
      enter_stop(stop, stops + before, before, k);
    }
    stop->sum += c->marks[i];
  }
  for(int i=0; i<k; i++) ways[i] = stops[last+i].sum - step_cost(stops[last+i].far, goal);
  at = last + best_mark(ways, k);
  for(int point=c->points-1; point>=0; point--){
    c->chosen[point] = at%k;
    at = stops[at].from;
  }
  arena_rewind(c->run->arena, mark);
  return SQLITE_OK;
}

/* ---- Best of K ---- */

static int contest_init(struct contest *c, const struct decode_options *o, int at){
  struct arena *a = c->run->arena;
  size_t n = (size_t)c->n;
  float *fluencies = arena_floats(a, (size_t)c->points);
  c->candidates = arena_get(a, n*sizeof(struct tokens));
  c->encoded = arena_floats(a, n*(size_t)model_width(c->m));
  c->marks = arena_floats(a, n);
  c->chosen = arena_get(a, (size_t)c->points*sizeof(int));
  if( a->oom ) return fail_nomem(c->run->err);
  tokens_init(c->candidates, c->m, c->n, o, a);
  if( a->oom ) return fail_nomem(c->run->err);
  for(int i=0; i<c->points; i++) fluencies[i] = o->fluencies ? o->fluencies[at+i] : o->fluency;
  c->fluencies = fluencies;
  return SQLITE_OK;
}

/* Calls choose() for each text whose lines are all among the points of the contest; n: rows that
** decode_tokens() has in all; at: how many of them come before the contest's. */
static int each_text(struct contest *c, int at, int n,
                     int (*choose)(struct contest *c, int first, int lines)){
  const int *texts = c->o->lines_of + at;
  int first = 0;
  if( at>0 && texts[-1]==texts[0] ) while( first<c->points && texts[first]==texts[-1] ) first++;
  while( first<c->points && c->run->err->rc==SQLITE_OK ){
    int end = first + 1;
    while( end<n-at && texts[end]==texts[first] ) end++;
    if( end<=c->points ) choose(c, first, end - first);
    first = end;
  }
  return c->run->err->rc;
}

static int mark_line(struct contest *c, int first, int lines){
  size_t at = (size_t)first*(size_t)c->k;
  if( lines>1 ) return SQLITE_OK;
  return line_marks(c->m, c->run, c->candidates + at, c->k, NO_CODE, c->marks + at);
}

/* n lines from point `first` on. */
static struct lines lines_at(const struct contest *c, int first, int n){
  size_t at = (size_t)first*(size_t)c->k;
  return (struct lines){
    .is_whole = 1,
    .n = n,
    .k = c->k,
    .candidates = c->candidates + at,
    .marks = c->marks + at,
    .chosen = c->chosen + first,
    .most_tokens = strand_limit(c->m, c->o),
  };
}

static int choose_lines(struct contest *c, int first, int n){
  struct lines lines = lines_at(c, first, n);
  return n==1 ? SQLITE_OK : lines_choose(c->m, c->run, &lines);
}

/* Each point is a line behind o->contexts. `at`: rows before the contest's. */
static int choose_next_lines(struct contest *c, int at){
  for(int i=0; i<c->points && c->run->err->rc==SQLITE_OK; i++){
    struct lines line = lines_at(c, i, 1);
    line.before = c->o->contexts[at+i];
    line.is_whole = c->o->lasts[at+i];
    lines_choose(c->m, c->run, &line);
  }
  return c->run->err->rc;
}

static void copy_tokens(struct tokens *to, const struct tokens *from){
  memcpy(to->ids, from->ids, (size_t)from->n*sizeof(int));
  to->n = from->n;
  to->log_probability = from->log_probability;
}

/* out[at..at+count-1]: the best of K for these rows of z[n]. */
static int decode_best(const struct model *m, struct run *run, const float *z, int n, int at,
                       int count, const struct decode_options *o, struct tokens *out){
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  int k = o->best_of;
  struct contest c = {
    .m = m,
    .run = run,
    .o = o,
    .z = z + (size_t)at*model_width(m),
    .parents = o->parents ? o->parents + at : NULL,
    .points = count,
    .k = k,
    .n = count*k,
  };
  struct strand *strands = arena_get(a, (size_t)c.n*sizeof(struct strand));
  if( strands==NULL ) return fail_nomem(run->err);
  if( contest_init(&c, o, at)!=SQLITE_OK ) return run->err->rc;
  set_strands(strands, c.candidates, o, at, count, k);
  if( run_strands(m, run, z, o, strands, c.n)!=SQLITE_OK ) return run->err->rc;
  if( mark_candidates(&c)!=SQLITE_OK ) return run->err->rc;
  if( o->lines_of && each_text(&c, at, n, mark_line)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<count; i++) c.chosen[i] = best_mark(c.marks + (size_t)i*k, k);
  if( o->is_way && choose_way(&c)!=SQLITE_OK ) return run->err->rc;
  if( o->lines_of && each_text(&c, at, n, choose_lines)!=SQLITE_OK ) return run->err->rc;
  if( o->lasts && choose_next_lines(&c, at)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<count; i++) copy_tokens(&out[at+i], &c.candidates[i*k + c.chosen[i]]);
  arena_rewind(a, mark);
  return SQLITE_OK;
}

/* How many of the rows at..n-1 are decoded together: at most `some`, and whole texts of lines. */
static int rows_together(const struct decode_options *o, int n, int at, int some){
  int count = n - at<some ? n - at : some;
  int whole = count;
  if( o->lines_of==NULL || at+count==n ) return count;
  while( whole>0 && o->lines_of[at+whole]==o->lines_of[at+whole-1] ) whole--;
  return whole>0 ? whole : count;
}

/* ---- The door ---- */

/* Where rows have fluencies of their own, o->fluency becomes the greatest: it says whether
** sequences have twins. */
static int check_fluencies(struct decode_options *o, int n, struct err *e){
  if( o->fluencies==NULL ) return SQLITE_OK;
  o->fluency = 0;
  for(int i=0; i<n; i++){
    float f = o->fluencies[i];
    if( !(f>=0 && f<=1) ){
      return fail(e, SQLITE_ERROR, "decode: fluency is %g, expected 0 to 1", f);
    }
    if( f>o->fluency ) o->fluency = f;
  }
  return SQLITE_OK;
}

static int check_options(const struct decode_options *o, struct err *e){
  if( o->beams<1 || o->beams>BEAMS_MOST ){
    return fail(e, SQLITE_ERROR, "decode: beams is %d, expected 1 to %d", o->beams, BEAMS_MOST);
  }
  if( o->best_of<1 || o->best_of>CANDIDATES_MOST ){
    return fail(e, SQLITE_ERROR, "decode: best_of is %d, expected 1 to %d",
                o->best_of, CANDIDATES_MOST);
  }
  if( !(o->temperature>=0) ){
    return fail(e, SQLITE_ERROR, "decode: temperature is %g, expected 0 or more", o->temperature);
  }
  if( !(o->fluency>=0 && o->fluency<=1) ){
    return fail(e, SQLITE_ERROR, "decode: fluency is %g, expected 0 to 1", o->fluency);
  }
  if( !(o->detail>=0 && o->detail<=1) ){
    return fail(e, SQLITE_ERROR, "decode: detail is %g, expected 0 to 1", o->detail);
  }
  return SQLITE_OK;
}

int decode_tokens(const struct model *m, struct run *run, const float *z, int n,
                  const struct decode_options *options, struct tokens *out){
  struct decode_options own = *options;
  const struct decode_options *o = &own;
  int some;
  assert( n>=0 && run->n_threads>=1 );
  for(int i=0; i<n; i++) out[i] = (struct tokens){ 0 };
  if( n==0 ) return SQLITE_OK;
  assert( z && (o->avoid || o->n_avoid==0) );
  if( check_options(o, run->err)!=SQLITE_OK ) return run->err->rc;
  if( check_fluencies(&own, n, run->err)!=SQLITE_OK ) return run->err->rc;
  tokens_init(out, m, n, o, run->arena);
  if( run->arena->oom ) return fail_nomem(run->err);
  if( o->best_of==1 ) return decode_each(m, run, z, n, o, out);
  some = CANDIDATES_HELD/o->best_of;
  for(int at=0; at<n; ){
    int count = rows_together(o, n, at, some);
    if( decode_best(m, run, z, n, at, count, o, out)!=SQLITE_OK ) return run->err->rc;
    at += count;
  }
  return SQLITE_OK;
}
