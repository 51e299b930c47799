/*
** model_reread.c -- encodes what was decoded, as a user would who has only the bytes.
**
** The tokens that a decoder gives need not be those that its text is split into when it is read:
** there may be a likelier way to spell the same bytes. So what a point decodes to is judged by what
** its bytes encode to. (model_picture.c does it for pictures.)
*/
#include "model.h"
#include <assert.h>
#include <string.h>

/* ids[*n_ids], with room for longest-1: the tokens of the row's text. bytes: scratch. */
static int reread_text(const struct model *m, struct run *run, const struct tokens *row,
                       struct buf *bytes, int *ids, int *n_ids){
  const struct tokenizer *t = m->config.tokenizer;
  struct arena_mark mark = arena_mark(run->arena);
  int most = m->config.shape.longest - 1;
  int *own, n;
  *n_ids = 0;
  bytes->n = 0;
  for(int k=0; k<row->n; k++) tokenizer_decode(t, row->ids[k], bytes);
  if( bytes->rc!=SQLITE_OK ) return fail_nomem(run->err);
  tokenizer_encode(t, buf_text(bytes), bytes->n, run->arena, &own, NULL, &n, run->err);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  *n_ids = n<most ? n : most;
  memcpy(ids, own, (size_t)*n_ids*sizeof(int));
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

int tokens_reread(const struct model *m, struct run *run, const struct tokens *rows, int n,
                  int **ids, int **start){
  size_t most = (size_t)(m->config.shape.longest - 1);
  struct buf bytes = { 0 };
  int *all = arena_get(run->arena, (size_t)n*most*sizeof(int));
  int *first = arena_get(run->arena, ((size_t)n + 1)*sizeof(int));
  *ids = all;
  *start = first;
  if( run->arena->oom ) return fail_nomem(run->err);
  first[0] = 0;
  for(int i=0; i<n; i++){
    int n_ids;
    if( reread_text(m, run, &rows[i], &bytes, all + first[i], &n_ids)!=SQLITE_OK ) break;
    first[i+1] = first[i] + n_ids;
  }
  buf_release(&bytes);
  return run->err->rc;
}

int tokens_encode(const struct model *m, struct run *run, const struct tokens *rows,
                  const int *texts, int n, int rounds, float *z){
  struct arena_mark mark = arena_mark(run->arena);
  int *ids, *start;
  assert( n>=0 && rounds>=ROUNDS_FOR_S );
  if( tokens_reread(m, run, rows, n, &ids, &start)!=SQLITE_OK ) return run->err->rc;
  encode_refined(m, run, ids, start, texts, n, rounds, z);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}
