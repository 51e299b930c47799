/*
** model_batch.c -- many texts in one batch: what text_encode() and text_decode() do for one.
**
** All segments of all texts stand in one row of segments, so that every matrix product runs over all of them: a path of ten points
** decodes in little more than the time of one.
*/
#include "model.h"
#include <string.h>

/* The segments of all texts, one after another. */
struct segments {
  int *ids, *start;             /* as encode_tokens() wants them: start[n + 1] */
  int n;
};

/* Joins n texts' segments, text i having counts[i] of them in ids[i], starts[i]. */
static int join_segments(struct run *run, int **ids, int **starts, const int *counts, int n, struct segments *all){
  size_t n_ids = 0, n_segments = 0, at = 0;
  int i, k;

  memset(all, 0, sizeof(*all));
  for(i=0; i<n; i++){
    n_segments += counts[i];
    n_ids += starts[i][counts[i]];
  }
  if( n_ids>INT32_MAX || n_segments>=INT32_MAX ) return fail(run->err, SQLITE_TOOBIG, "%d texts have %zu tokens, too many for one batch", n, n_ids);
  all->ids = arena_get(run->arena, (n_ids + 1)*sizeof(int));
  all->start = arena_get(run->arena, (n_segments + 1)*sizeof(int));
  if( run->arena->oom ) return fail_nomem(run->err);
  for(i=0; i<n; i++){
    memcpy(all->ids + at, ids[i], sizeof(int)*starts[i][counts[i]]);
    for(k=0; k<counts[i]; k++) all->start[all->n++] = (int)at + starts[i][k];
    at += starts[i][counts[i]];
  }
  all->start[all->n] = (int)at;
  return SQLITE_OK;
}

int texts_encode(const struct model *m, struct run *run, const char *const *texts, const size_t *texts_bytes, int n, struct latent *z){
  int width = m->config.shape.s + m->config.shape.r, i;
  int **ids = arena_get(run->arena, sizeof(*ids)*n), **starts = arena_get(run->arena, sizeof(*starts)*n);
  int *counts = arena_get(run->arena, sizeof(*counts)*n);
  struct segments all;
  float *rows;

  if( run->arena->oom ) return fail_nomem(run->err);
  for(i=0; i<n; i++){
    if( text_segment(m, run, texts[i], texts_bytes[i], &ids[i], &starts[i], &counts[i])!=SQLITE_OK ) return run->err->rc;
  }
  if( join_segments(run, ids, starts, counts, n, &all)!=SQLITE_OK ) return run->err->rc;
  rows = arena_floats(run->arena, (size_t)all.n*width);
  if( rows==NULL ) return fail_nomem(run->err);
  if( encode_tokens(m, run, all.ids, all.start, all.n, rows)!=SQLITE_OK ) return run->err->rc;
  for(i=0; i<n; i++){
    z[i] = (struct latent){m->config.kind, counts[i], width, m->config.fingerprint, rows};
    rows += (size_t)counts[i]*width;
  }
  return SQLITE_OK;
}

/* Appends the text that n segments of tokens spell: without the space that every document begins with, and valid UTF-8. */
static int join_tokens(const struct model *m, struct run *run, const struct tokens *segments, int n, struct buf *text){
  struct buf raw = {0};
  int i, k;

  for(i=0; i<n; i++){
    for(k=0; k<segments[i].n; k++) tokenizer_decode(m->config.tokenizer, segments[i].ids[k], &raw);
  }
  k = raw.n>0 && raw.data[0]==' ';
  if( raw.rc==SQLITE_OK ) utf8_clean(text, raw.data + k, raw.n - k);
  if( raw.rc!=SQLITE_OK && text->rc==SQLITE_OK ) text->rc = raw.rc;
  buf_release(&raw);
  if( text->rc==SQLITE_OK ) return SQLITE_OK;
  return text->rc==SQLITE_NOMEM ? fail_nomem(run->err) : fail(run->err, text->rc, "the decoded text is longer than SQLite allows");
}

/* fidelities[i]: the cosine between each segment of z[i] and what its tokens encode to, mean over the segments. rows[n_rows, s + r]: all segments. */
static int measure_fidelities(const struct model *m, struct run *run, const struct latent *z, int n, const float *rows, const struct tokens *tokens,
                              int n_rows, float *fidelities){
  int width = m->config.shape.s + m->config.shape.r, i, k;
  float *again = arena_floats(run->arena, (size_t)n_rows*width);

  if( again==NULL ) return fail_nomem(run->err);
  if( tokens_encode(m, run, tokens, n_rows, again)!=SQLITE_OK ) return run->err->rc;
  for(i=0; i<n; i++){
    double sum = 0;
    for(k=0; k<z[i].n_segments; k++, rows+=width, again+=width) sum += point_cosine(rows, again, width);
    fidelities[i] = (float)(sum/z[i].n_segments);
  }
  return SQLITE_OK;
}

int texts_decode(const struct model *m, struct run *run, const struct latent *z, int n, const float *fluencies, const struct decode_options *o,
                 struct buf *texts, float *fidelities){
  struct decode_options options = *o;
  size_t n_rows = 0, row_bytes = sizeof(float)*(m->config.shape.s + m->config.shape.r);
  struct tokens *tokens, *next;
  float *rows, *dials;
  int i, k, at = 0;

  for(i=0; i<n; i++) n_rows += z[i].n_segments;
  if( n_rows>=INT32_MAX ) return fail(run->err, SQLITE_TOOBIG, "%zu segments are too many for one batch", n_rows);
  rows = arena_get(run->arena, n_rows*row_bytes);
  dials = arena_floats(run->arena, n_rows);
  tokens = arena_get(run->arena, n_rows*sizeof(*tokens));
  if( run->arena->oom ) return fail_nomem(run->err);
  for(i=0; i<n; i++){
    memcpy((char*)rows + at*row_bytes, z[i].z, z[i].n_segments*row_bytes);
    for(k=0; k<z[i].n_segments; k++) dials[at++] = fluencies ? fluencies[i] : o->fluency;
  }
  options.fluencies = dials;
  if( decode_tokens(m, run, rows, at, &options, tokens)!=SQLITE_OK ) return run->err->rc;
  for(i=0, next=tokens; i<n; next+=z[i++].n_segments){
    if( join_tokens(m, run, next, z[i].n_segments, &texts[i])!=SQLITE_OK ) return run->err->rc;
  }
  return fidelities ? measure_fidelities(m, run, z, n, rows, tokens, at, fidelities) : SQLITE_OK;
}
