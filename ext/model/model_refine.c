/*
** model_refine.c -- points that decode to what was encoded: the encoder in a closed loop.
**
** The encoder reads a text once, and what it leaves out of r shows when the point is decoded: a name, a figure, the order of two words. Decoding
** says which, so the point is moved until it says them (r0 is what the encoder gave; s stays, and with it every distance):
**   1. At each place, the token that greedy decoding would choose after the right ones before it (score_tokens(): one pass). When all are
**      right, so is greedy decoding, and the point is done.
**   2. The text as it would be misread, wrong tokens in the places of right ones, is encoded: r'.
**   3. r = unit(r + GAIN (r0 - r')): away from the misreading.
** A point that does not get there keeps the r with the most tokens right. Numbers are rounded as a latent's BLOB rounds them before they are
** tried, so that what is stored is what was found to decode.
**
** No gradient is needed, and mostly one round or two. Of 128 held-out texts of 33 to 63 tokens 23% came back from r0; after 1, 2, 4 and 8 rounds 52%, 67%,
** 80% and 87%; of 17 to 32 tokens 89%, after 3 rounds 100%. GAIN 0.15 to 0.35 did about as well, 0.5 worse (80% after 8), 1 not (41%).
*/
#include "model.h"
#include <string.h>

#define GAIN 0.25f

struct refining {
  const struct model *m;
  int *open, n_open;                    /* rows that do not come back yet, ascending */
  int *ids, *start;                     /* theirs, one after another: as they are, and then as they are misread */
  int *guesses;
  float *z, *again;                     /* [n_open, s+r]: their points, and what their misreadings encode to */
  float *sums;
  float *r0, *best;                     /* [n, r]: of all rows */
  int *most;                            /* [n]: tokens that were right with best */
};

static int refining_init(struct refining *f, const struct model *m, struct arena *a, const int *start, int n){
  int r = m->config.shape.r, width = m->config.shape.s + r;
  memset(f, 0, sizeof(*f));
  f->m = m;
  f->open = arena_get(a, (size_t)n*sizeof(int));
  f->ids = arena_get(a, ((size_t)start[n]+1)*sizeof(int));
  f->start = arena_get(a, ((size_t)n+1)*sizeof(int));
  f->guesses = arena_get(a, ((size_t)start[n]+n)*sizeof(int));
  f->most = arena_get(a, (size_t)n*sizeof(int));
  f->sums = arena_floats(a, n);
  f->z = arena_floats(a, (size_t)n*width);
  f->again = arena_floats(a, (size_t)n*width);
  f->r0 = arena_floats(a, (size_t)n*r);
  f->best = arena_floats(a, (size_t)n*r);
  return !a->oom;
}

/* Lays the open rows' tokens and points side by side. */
static void gather(struct refining *f, const int *ids, const int *start, const float *z){
  int width = f->m->config.shape.s + f->m->config.shape.r;
  f->start[0] = 0;
  for(int i=0; i<f->n_open; i++){
    int row = f->open[i], n = start[row+1] - start[row];
    if( n ) memcpy(f->ids + f->start[i], ids + start[row], (size_t)n*sizeof(int));
    f->start[i+1] = f->start[i] + n;
    memcpy(f->z + (size_t)i*width, z + (size_t)row*width, (size_t)width*sizeof(float));
  }
}

/* Compares n ids with the guesses at them and at END, where there is one; puts each wrong guess in the place of its token, but END, which would
** cut the text. Returns how many were right. */
static int misread(const struct model *m, int *ids, const int *guesses, int n){
  int right = 0;
  for(int k=0; k<n; k++){
    right += guesses[k]==ids[k];
    if( guesses[k]!=TOKEN_END ) ids[k] = guesses[k];
  }
  if( has_end(m) ) right += guesses[n]==TOKEN_END || n==m->config.shape.longest-1;     /* a full segment ends there whatever is likely */
  return right;
}

/* Closes the rows that came back; the others' best r is kept, and their tokens become what they are misread as. z: of all rows. */
static void compare(struct refining *f, const float *z){
  int s = f->m->config.shape.s, r = f->m->config.shape.r, end = has_end(f->m), n_open = 0, at = 0;
  for(int i=0; i<f->n_open; i++){
    int row = f->open[i], first = f->start[i], n = f->start[i+1] - first;
    int right = misread(f->m, f->ids + first, f->guesses + first + end*i, n);
    if( right>f->most[row] ){
      f->most[row] = right;
      memcpy(f->best + (size_t)row*r, z + (size_t)row*(s+r) + s, (size_t)r*sizeof(float));
    }
    if( right==n+end ) continue;
    memmove(f->ids + at, f->ids + first, (size_t)n*sizeof(int));
    f->open[n_open] = row;
    f->start[n_open++] = at;
    at += n;
  }
  f->start[n_open] = at;
  f->n_open = n_open;
}

/* Moves the open rows' r away from their misreadings. */
static void correct(struct refining *f, float *z){
  int s = f->m->config.shape.s, r = f->m->config.shape.r;
  for(int i=0; i<f->n_open; i++){
    float *x = z + (size_t)f->open[i]*(s+r) + s;
    const float *r0 = f->r0 + (size_t)f->open[i]*r, *again = f->again + (size_t)i*(s+r) + s;
    for(int k=0; k<r; k++) x[k] += GAIN*(r0[k] - again[k]);
    normalize(x, r);
    round_to_halves(x, (size_t)r);
  }
}

int refine_tokens(const struct model *m, struct run *run, const int *ids, const int *start, int n, int rounds, float *z){
  int s = m->config.shape.s, r = m->config.shape.r;
  struct arena_mark mark = arena_mark(run->arena);
  struct refining f;
  if( n==0 || rounds==0 ) return SQLITE_OK;
  if( !refining_init(&f, m, run->arena, start, n) ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    round_to_halves(z + (size_t)i*(s+r), (size_t)(s+r));
    memcpy(f.r0 + (size_t)i*r, z + (size_t)i*(s+r) + s, (size_t)r*sizeof(float));
    f.open[i] = i;
    f.most[i] = -1;
  }
  f.n_open = n;
  for(int round=0; f.n_open>0; round++){
    gather(&f, ids, start, z);
    if( score_tokens(m, run, f.z, f.ids, f.start, f.n_open, f.sums, NULL, f.guesses) ) return run->err->rc;
    compare(&f, z);
    if( round==rounds ) break;
    if( encode_tokens(m, run, f.ids, f.start, f.n_open, f.again) ) return run->err->rc;
    correct(&f, z);
  }
  for(int i=0; i<f.n_open; i++) memcpy(z + (size_t)f.open[i]*(s+r) + s, f.best + (size_t)f.open[i]*r, (size_t)r*sizeof(float));
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}
