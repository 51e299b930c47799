/*
** model_refine.c -- points that decode to what was encoded: the encoder in a closed loop.
**
** The encoder reads a text once. What it leaves out of r shows when the point is decoded: a name, a
** figure, the order of two words. So the point is decoded, and moved until nothing is left out.
** Only r moves. s stays, and with it every distance. r0 is what the encoder gave.
**
**   1. score_tokens() says in one pass which token greedy decoding would choose in each place,
**      after the right ones before it. If all of these are right, greedy decoding gives the text,
**      and the point is done.
**   2. The text is encoded as it would be misread, with wrong tokens in the places of right ones.
**      The result is r'.
**   3. r = unit(r + GAIN (r0 - r')): away from the misreading.
**
** A point that does not get there keeps the r that had the most tokens right. Its numbers are
** rounded as a latent's BLOB rounds them before they are tried, so what is stored is what was
** tried.
**
** No gradient is needed, and mostly one round or two. Of 128 held-out texts of 33 to 63 tokens 23%
** came back from r0, and after 1, 2, 4 and 8 rounds 52%, 67%, 80% and 87%. Of texts of 17 to 32
** tokens it was 89%, and 100% after 3 rounds. GAIN 0.15 to 0.35 did about as well, 0.5 worse (80%
** after 8 rounds), 1 not (41%).
**
** What comes back takes few rounds. What does not (digits, base64, one letter a thousand times)
** would take all of them: a round costs twice what encoding cost. So a text has a budget. It is
** counted in work, so that every machine does the same:
**
**   - A row with less than half of its tokens right at first is left at that. Of 1,500 rows of
**     prose none that came back had less than 0.79 of them right.
**   - The others go on while their text has work left, those with the fewest tokens wrong first.
**     WORK_FREE is enough for all rounds of a short text. A long one gets as much as makes encoding
**     cost three times what it costs without refining.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

static const float GAIN = 0.25f;

/* Work is counted in tokens that pass a network. A token costs more in the decoder, which attends
** to the memory too and scores all pieces: 1.4 to 1.5 times as much with the text model on AVX2. */
enum {
  ENCODE_WORK = 8,                      /* of a token, a register or END */
  SCORE_WORK = 12,                      /* of a token or END */
  WORK_FREE = 4096*ENCODE_WORK,         /* what every text has at REFINE_ROUNDS */
  WORK_TIMES = 2                        /* a long one has so many times what encoding it costs */
};

struct refining {                       /* one call of refine_tokens() */
  const struct model *m;
  const int *texts;                     /* as in refine_tokens() */
  int *open, n_open;                    /* rows that do not come back yet, ascending */
  /* Of the open rows, one after another: */
  int *ids, *start;                     /* their tokens, and then those that they are misread as */
  int *guesses;                         /* what greedy decoding would choose in each place */
  float *z;                             /* [n_open, s+r]: their points */
  float *misread_z;                     /* [n_open, s+r]: what their misreadings encode to */
  float *sums;                          /* [n_open]: what score_tokens() gives, not used */
  /* Of all rows: */
  float *r0, *best;                     /* [n, r]: the encoder's r, and the best so far */
  int *most;                            /* [n]: tokens that were right with the best */
  int *goes_on;                         /* [n]: is the open row of this place to be moved? */
  long long *left;                      /* [n]: work that is left of each text */
};

static int refining_init(struct refining *f, const struct model *m, struct arena *a,
                         const int *start, const int *texts, int n){
  size_t rows = (size_t)n;
  size_t n_ids = (size_t)start[n];
  size_t r = (size_t)m->config.shape.r;
  size_t width = (size_t)model_width(m);
  *f = (struct refining){ .m = m, .texts = texts };
  f->open = arena_get(a, rows*sizeof(int));
  f->ids = arena_get(a, (n_ids + 1)*sizeof(int));
  f->start = arena_get(a, (rows + 1)*sizeof(int));
  f->guesses = arena_get(a, (n_ids + rows)*sizeof(int));
  f->most = arena_get(a, rows*sizeof(int));
  f->goes_on = arena_get(a, rows*sizeof(int));
  f->left = arena_zeroed(a, rows*sizeof(*f->left));
  f->sums = arena_floats(a, rows);
  f->z = arena_floats(a, rows*width);
  f->misread_z = arena_floats(a, rows*width);
  f->r0 = arena_floats(a, rows*r);
  f->best = arena_floats(a, rows*r);
  return !a->oom;
}

/* Where the r of row i of z[n, s+r] lies. */
static float *r_of(const struct refining *f, float *z, int i){
  return z + (size_t)i*model_width(f->m) + model_s(f->m);
}

/* Tokens that are asked for of the open row of place i. */
static int row_targets(const struct refining *f, int i){
  return f->start[i+1] - f->start[i] + 1;
}

/* What it costs to encode n tokens, which are those of a row. */
static long long encode_work(const struct model *m, int n){
  return (long long)ENCODE_WORK*(n + m->config.shape.registers + 1);
}

/* The work that is left of the text of a row. */
static long long *work_left(struct refining *f, int row){
  return &f->left[f->texts ? f->texts[row] : row];
}

/* Gives each text its work. More rounds than are usual are given more. The first scores of all rows
** are paid. */
static void give_work(struct refining *f, const int *start, int n, int rounds){
  long long times = rounds>REFINE_ROUNDS ? rounds : REFINE_ROUNDS;
  for(int i=0; i<n; i++) *work_left(f, i) += WORK_TIMES*encode_work(f->m, start[i+1] - start[i]);
  for(int i=0; i<n; i++){
    if( f->left[i]<WORK_FREE ) f->left[i] = WORK_FREE;
    f->left[i] = f->left[i]*times/REFINE_ROUNDS;
  }
  for(int i=0; i<n; i++){
    *work_left(f, i) -= (long long)SCORE_WORK*(start[i+1] - start[i] + 1);
  }
}

/* At first all rows are open. z is rounded. */
static void open_rows(struct refining *f, float *z, int n){
  size_t r = (size_t)f->m->config.shape.r;
  size_t width = (size_t)model_width(f->m);
  for(int i=0; i<n; i++){
    round_to_halves(z + i*width, width);
    memcpy(f->r0 + i*r, r_of(f, z, i), r*sizeof(float));
    f->open[i] = i;
    f->most[i] = -1;
  }
  f->n_open = n;
}

/* Lays the tokens and the points of the open rows side by side. */
static void gather_open_rows(struct refining *f, const int *ids, const int *start, const float *z){
  size_t width = (size_t)model_width(f->m);
  f->start[0] = 0;
  for(int i=0; i<f->n_open; i++){
    int row = f->open[i];
    int n = start[row+1] - start[row];
    if( n>0 ) memcpy(f->ids + f->start[i], ids + start[row], (size_t)n*sizeof(int));
    f->start[i+1] = f->start[i] + n;
    memcpy(f->z + i*width, z + row*width, width*sizeof(float));
  }
}

/* Compares n ids, and END, with the guesses in their places. Puts each wrong
** guess in the place of its token, except END, which would cut the text. Returns how many were
** right. */
static int misread(const struct model *m, int *ids, const int *guesses, int n){
  int right = 0;
  int is_full;
  for(int k=0; k<n; k++){
    right += guesses[k]==ids[k];
    if( guesses[k]!=TOKEN_END ) ids[k] = guesses[k];
  }
  is_full = n==m->config.shape.longest-1;       /* then it ends, whatever is likely */
  return right + (is_full || guesses[n]==TOKEN_END);
}

/* Compares what the open rows are read as with what they are. Keeps the best r of each. Their
** tokens become those that they are misread as. A row goes on until it comes back, unless it has no
** hope from the first round on. z: of all rows. */
static void judge_rows(struct refining *f, float *z, int round){
  size_t r = (size_t)f->m->config.shape.r;
  for(int i=0; i<f->n_open; i++){
    int row = f->open[i];
    int first = f->start[i];
    int targets = row_targets(f, i);
    int right = misread(f->m, f->ids + first, f->guesses + first + i, targets - 1);
    f->goes_on[i] = right<targets && (round>0 || 2*right>=targets);
    if( right<=f->most[row] ) continue;
    f->most[row] = right;
    memcpy(f->best + row*r, r_of(f, z, row), r*sizeof(float));
  }
}

/* Of the rows that would go on, those do whose text can pay for the round. Those with the fewest
** tokens wrong come first. */
static void spend_work(struct refining *f){
  for(int wrong=1; wrong<=f->m->config.shape.longest; wrong++){
    for(int i=0; i<f->n_open; i++){
      int row = f->open[i];
      int targets = row_targets(f, i);
      long long *left = work_left(f, row);
      long long work;
      if( !f->goes_on[i] || targets - f->most[row]!=wrong ) continue;
      work = encode_work(f->m, targets - 1) + (long long)SCORE_WORK*targets;
      f->goes_on[i] = work<=*left;
      if( f->goes_on[i] ) *left -= work;
    }
  }
}

/* Rows that do not go on are closed: each takes the best r that it had. */
static void close_rows(struct refining *f, float *z){
  size_t r = (size_t)f->m->config.shape.r;
  int n_open = 0, at = 0;
  for(int i=0; i<f->n_open; i++){
    int row = f->open[i];
    int first = f->start[i];
    int n = f->start[i+1] - first;
    if( !f->goes_on[i] ){
      memcpy(r_of(f, z, row), f->best + row*r, r*sizeof(float));
      continue;
    }
    memmove(f->ids + at, f->ids + first, (size_t)n*sizeof(int));
    f->open[n_open] = row;
    f->start[n_open++] = at;
    at += n;
  }
  f->start[n_open] = at;
  f->n_open = n_open;
}

/* Moves the r of the open rows away from their misreadings. */
static void move_open_rows(struct refining *f, float *z){
  int r = f->m->config.shape.r;
  for(int i=0; i<f->n_open; i++){
    int row = f->open[i];
    float *x = r_of(f, z, row);
    const float *r0 = f->r0 + (size_t)row*r;
    const float *misread_r = r_of(f, f->misread_z, i);
    for(int k=0; k<r; k++) x[k] += GAIN*(r0[k] - misread_r[k]);
    normalize(x, r);
    round_to_halves(x, (size_t)r);
  }
}

int refine_tokens(const struct model *m, struct run *run, const int *ids, const int *start,
                  const int *texts, int n, int rounds, float *z){
  struct arena_mark mark = arena_mark(run->arena);
  struct refining f;
  assert( n>=0 && rounds>=0 );
  if( n==0 || rounds==0 ) return SQLITE_OK;
  if( !refining_init(&f, m, run->arena, start, texts, n) ) return fail_nomem(run->err);
  give_work(&f, start, n, rounds);
  open_rows(&f, z, n);
  for(int round=0; ; round++){
    gather_open_rows(&f, ids, start, z);
    score_tokens(m, run, f.z, f.ids, f.start, f.n_open, f.sums, NULL, f.guesses);
    if( run->err->rc!=SQLITE_OK ) return run->err->rc;
    judge_rows(&f, z, round);
    for(int i=0; i<f.n_open && round==rounds; i++) f.goes_on[i] = 0;
    spend_work(&f);
    close_rows(&f, z);
    if( f.n_open==0 ) break;
    encode_tokens(m, run, f.ids, f.start, f.n_open, f.misread_z);
    if( run->err->rc!=SQLITE_OK ) return run->err->rc;
    move_open_rows(&f, z);
  }
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

int encode_refined(const struct model *m, struct run *run, const int *ids, const int *start,
                   const int *texts, int n, int rounds, float *z){
  if( rounds==ROUNDS_FOR_S && m->meaning ) return encode_meanings(m, run, ids, start, n, z);
  if( encode_points(m, run, ids, start, n, z)!=SQLITE_OK || rounds<=0 ) return run->err->rc;
  return refine_tokens(m, run, ids, start, texts, n, rounds, z);
}
