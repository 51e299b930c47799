/*
** model_normal.c -- rows of tokens to points whose s is that of the normalised text.
**
** r has to say every byte of a text, so it is made of the text as it is. s is what search compares,
** so it is made of what text_normalize() makes of the text: a no-break space, an accent spelled in
** two characters or a heading in capitals do not move a text away from its plain twin. Where that
** is the text itself, as it mostly is, s and r come of one pass of the encoder. The other rows are
** encoded twice, in one batch with the rest.
**
** In code white space and capitals mean something, and a picture has no text: theirs stay.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

struct twins {                          /* normal forms of the rows that are not normal */
  const struct model *m;
  struct buf text, normal;              /* of the row that is looked at */
  int *row;                             /* [n]: the rows that have one */
  int n;
  size_t n_ids;                         /* no more than so many tokens in all */
  int *ids, *start;                     /* all rows, and behind them their twins */
};

/* Sets text and normal for a row. Returns whether they differ. */
static int normalize_row(struct twins *t, const int *ids, int n){
  t->text.n = t->normal.n = 0;
  for(int k=0; k<n; k++) tokenizer_decode(t->m->config.tokenizer, ids[k], &t->text);
  text_normalize(&t->normal, buf_text(&t->text), t->text.n);
  return t->normal.n!=t->text.n
      || memcmp(buf_text(&t->normal), buf_text(&t->text), t->text.n)!=0;
}

/* Most tokens of the normal form. It can have more letters than the text, as a ligature has: what
** is too long for a row is left out. */
static size_t most_ids(const struct twins *t){
  size_t most = (size_t)t->m->config.shape.longest - 1;
  return t->normal.n<most ? t->normal.n : most;
}

static int find_twins(struct twins *t, struct run *run, const int *ids, const int *start, int n){
  t->row = arena_get(run->arena, (size_t)n*sizeof(int));
  if( t->row==NULL ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    if( !normalize_row(t, ids + start[i], start[i+1] - start[i]) ) continue;
    t->row[t->n++] = i;
    t->n_ids += most_ids(t);
    if( err_stopped(run->err) ) return run->err->rc;
  }
  return t->text.rc || t->normal.rc ? fail_nomem(run->err) : SQLITE_OK;
}

/* Puts the tokens of `normal` behind the others, as the twin of row number n of them. */
static int add_twin(struct twins *t, struct run *run, int n){
  struct arena_mark mark = arena_mark(run->arena);
  size_t most = most_ids(t);
  int *ids, n_ids;
  tokenizer_encode(t->m->config.tokenizer, buf_text(&t->normal), t->normal.n, run->arena, &ids,
                   NULL, &n_ids, run->err);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  if( (size_t)n_ids>most ) n_ids = (int)most;
  if( n_ids>0 ) memcpy(t->ids + t->start[n], ids, (size_t)n_ids*sizeof(int));
  t->start[n+1] = t->start[n] + n_ids;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

/* Lays out all rows, and then the twins. */
static int join_twins(struct twins *t, struct run *run, const int *ids, const int *start, int n){
  size_t n_ids = (size_t)(start[n] - start[0]);
  size_t n_rows = (size_t)n + (size_t)t->n;
  if( n_rows>=INT32_MAX || n_ids + t->n_ids>INT32_MAX ){
    return fail(run->err, SQLITE_TOOBIG, "encode: %d segments are too many for one batch", n);
  }
  t->ids = arena_get(run->arena, (n_ids + t->n_ids + 1)*sizeof(int));
  t->start = arena_get(run->arena, (n_rows + 1)*sizeof(int));
  if( run->arena->oom ) return fail_nomem(run->err);
  memcpy(t->ids, ids + start[0], n_ids*sizeof(int));
  for(int i=0; i<=n; i++) t->start[i] = start[i] - start[0];
  for(int i=0; i<t->n; i++){
    int row = t->row[i];
    normalize_row(t, ids + start[row], start[row+1] - start[row]);
    if( add_twin(t, run, n + i)!=SQLITE_OK ) return run->err->rc;
  }
  return SQLITE_OK;
}

static int encode_twins(struct twins *t, struct run *run, const int *ids, const int *start, int n,
                        float *z){
  size_t width = (size_t)model_width(t->m);
  size_t s_bytes = (size_t)t->m->config.shape.s*sizeof(float);
  float *points;
  if( join_twins(t, run, ids, start, n)!=SQLITE_OK ) return run->err->rc;
  points = arena_floats(run->arena, ((size_t)n + (size_t)t->n)*width);
  if( points==NULL ) return fail_nomem(run->err);
  encode_tokens(t->m, run, t->ids, t->start, n + t->n, points);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  memcpy(z, points, (size_t)n*width*sizeof(float));
  for(int i=0; i<t->n; i++){
    memcpy(z + (size_t)t->row[i]*width, points + ((size_t)n + (size_t)i)*width, s_bytes);
  }
  return SQLITE_OK;
}

int encode_normal(const struct model *m, struct run *run, const int *ids, const int *start, int n,
                  float *z){
  struct arena_mark mark = arena_mark(run->arena);
  struct twins t = { .m = m };
  int rc;
  assert( n>=0 );
  if( m->config.kind!=KIND_TEXT || n==0 ) return encode_tokens(m, run, ids, start, n, z);
  rc = find_twins(&t, run, ids, start, n);
  if( rc==SQLITE_OK ){
    rc = t.n==0 ? encode_tokens(m, run, ids, start, n, z)
                : encode_twins(&t, run, ids, start, n, z);
  }
  buf_release(&t.text);
  buf_release(&t.normal);
  if( rc==SQLITE_OK ) arena_rewind(run->arena, mark);
  return rc;
}
