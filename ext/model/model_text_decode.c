/*
** model_text_decode.c -- points to texts, many in one batch.
**
** The segments of all texts are decoded side by side, and then joined. The writer reads what it has
** written of a text: so it writes segment after segment, the first of all texts, then the second.
** Each is the writer's of its point, and by CONTEXT_FLUENCY what the plain language model makes of
** the text before it: names, tense and who is meant.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

/* Tuned by eye on interpolations of documents. */
static const float CONTEXT_FLUENCY = 0.25f;

/* Appends the texts of all segments as valid UTF-8, without the space that text_segment() puts
** first. */
static int append_text(const struct model *m, const struct tokens *rows, int n, struct buf *out,
                       struct err *e){
  struct buf bytes = { 0 };
  int rc;
  for(int i=0; i<n; i++){
    for(int k=0; k<rows[i].n; k++) tokenizer_decode(m->config.tokenizer, rows[i].ids[k], &bytes);
  }
  if( bytes.rc==SQLITE_OK && bytes.n>0 ){
    int skip = bytes.data[0]==' ';
    utf8_clean(out, bytes.data + skip, bytes.n - skip);
  }
  rc = bytes.rc ? bytes.rc : out->rc;
  buf_release(&bytes);
  if( rc==SQLITE_NOMEM ) return fail_nomem(e);
  return rc==SQLITE_OK ? SQLITE_OK : fail(e, rc, "decode: the text is too long");
}

struct segment_rows {                   /* all segments of some latents, one after another */
  float *z;                             /* [n, s+r] */
  float *fluencies;                     /* [n] */
  struct tokens *tokens;                /* [n]: what they decode to */
  int *latents;                         /* [n]: the number of each one's latent */
  int n;
};

static int gather_segments(const struct model *m, struct run *run, const struct latent *z, int n,
                           const float *fluencies, struct segment_rows *rows){
  size_t width = (size_t)model_width(m);
  size_t count = 0;
  *rows = (struct segment_rows){ 0 };
  for(int i=0; i<n; i++) count += z[i].n_segments;
  if( count>=INT32_MAX ){
    return fail(run->err, SQLITE_TOOBIG, "%zu segments are too many for one batch", count);
  }
  rows->z = arena_floats(run->arena, count*width);
  rows->fluencies = arena_floats(run->arena, count);
  rows->tokens = arena_get(run->arena, count*sizeof(struct tokens));
  rows->latents = arena_get(run->arena, count*sizeof(int));
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    int n_segments = z[i].n_segments;
    memcpy(rows->z + rows->n*width, z[i].z, n_segments*width*sizeof(float));
    for(int k=0; k<n_segments; k++){
      rows->latents[rows->n] = i;
      rows->fluencies[rows->n++] = fluencies[i];
    }
  }
  return SQLITE_OK;
}

/* fidelities[i]: the cosine between a segment of z[i] and what its tokens encode to, mean over its
** segments. */
static int measure_fidelities(const struct model *m, struct run *run, const struct latent *z, int n,
                              const struct segment_rows *rows, int rounds, float *fidelities){
  int width = model_width(m);
  const float *asked = rows->z;
  float *encoded = arena_floats(run->arena, (size_t)rows->n*width);
  if( encoded==NULL ) return fail_nomem(run->err);
  tokens_encode(m, run, rows->tokens, rows->latents, rows->n, rounds, encoded);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n; i++){
    float sum = 0;
    for(int k=0; k<z[i].n_segments; k++){
      sum += point_cosine(asked, encoded, width);
      asked += width;
      encoded += width;
    }
    fidelities[i] = sum/(float)z[i].n_segments;
  }
  return SQLITE_OK;
}

/* ---- In order, each with the text before it ---- */

struct telling {                        /* the texts that have a segment `at` */
  float *z;                             /* [n, s+r]: these segments */
  float *fluencies;                     /* [n] */
  struct content *contexts;             /* [n] */
  struct tokens *tokens;                /* [n] */
  int *latents;                         /* [n]: whose they are */
  int n;
};

static int telling_init(struct telling *t, const struct model *m, struct run *run, int n){
  struct arena *a = run->arena;
  size_t most = (size_t)n;
  t->z = arena_floats(a, most*(size_t)model_width(m));
  t->fluencies = arena_floats(a, most);
  t->contexts = arena_get(a, most*sizeof(*t->contexts));
  t->tokens = arena_get(a, most*sizeof(*t->tokens));
  t->latents = arena_get(a, most*sizeof(int));
  return a->oom ? fail_nomem(run->err) : SQLITE_OK;
}

static void gather_tellings(struct telling *t, const struct latent *z, int n, int at,
                            const float *fluencies, const struct decode_options *o,
                            const struct buf *told){
  t->n = 0;
  for(int i=0; i<n; i++){
    size_t width = (size_t)z[i].width;
    float fluency = fluencies[i];
    if( at>=z[i].n_segments ) continue;
    if( at>0 && !o->has_fluency && fluency<CONTEXT_FLUENCY ) fluency = CONTEXT_FLUENCY;
    memcpy(t->z + (size_t)t->n*width, latent_segment(&z[i], at), width*sizeof(float));
    t->fluencies[t->n] = fluency;
    t->contexts[t->n] = (struct content){ told[i].data, told[i].n };
    t->latents[t->n++] = i;
  }
}

/* Segment `at` of all texts: to rows->tokens, and to the end of told[n]. */
static int tell_segments(const struct model *m, struct run *run, const struct latent *z, int n,
                         int at, const struct decode_options *o, struct telling *t,
                         const int *first, struct segment_rows *rows, struct buf *told){
  struct decode_options own = *o;
  own.fluencies = t->fluencies;
  own.contexts = t->contexts;
  gather_tellings(t, z, n, at, o->fluencies, o, told);
  decode_tokens(m, run, t->z, t->n, &own, t->tokens);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<t->n; i++){
    const struct tokens *made = &t->tokens[i];
    struct buf *text = &told[t->latents[i]];
    rows->tokens[first[t->latents[i]] + at] = *made;
    for(int k=0; k<made->n; k++) tokenizer_decode(m->config.tokenizer, made->ids[k], text);
    if( text->rc!=SQLITE_OK ) return fail_nomem(run->err);
  }
  return SQLITE_OK;
}

static int decode_in_order(const struct model *m, struct run *run, const struct latent *z, int n,
                           const float *fluencies, const struct decode_options *o,
                           struct segment_rows *rows){
  struct decode_options own = *o;
  struct telling t;
  int *first = arena_get(run->arena, (size_t)n*sizeof(int));
  struct buf *told = arena_zeroed(run->arena, (size_t)n*sizeof(*told));
  int most = 0, count = 0;
  if( run->arena->oom ) return fail_nomem(run->err);
  own.fluencies = fluencies;
  for(int i=0; i<n; i++){
    first[i] = count;
    count += z[i].n_segments;
    if( z[i].n_segments>most ) most = z[i].n_segments;
  }
  if( telling_init(&t, m, run, n)!=SQLITE_OK ) return run->err->rc;
  for(int at=0; at<most && run->err->rc==SQLITE_OK; at++){
    tell_segments(m, run, z, n, at, &own, &t, first, rows, told);
  }
  for(int i=0; i<n; i++) buf_release(&told[i]);
  return run->err->rc;
}

/* ---- The door ---- */

int texts_decode(const struct model *m, struct run *run, const struct latent *z, int n,
                 const float *fluencies, const struct decode_options *o, struct buf *texts,
                 float *fidelities){
  struct arena_mark mark = arena_mark(run->arena);
  struct decode_options options = *o;
  struct segment_rows rows;
  int at = 0;
  if( fidelities ) memset(fidelities, 0, (size_t)n*sizeof(float));
  if( text_check(m, run->err)!=SQLITE_OK ) return run->err->rc;
  if( gather_segments(m, run, z, n, fluencies, &rows)!=SQLITE_OK ) return run->err->rc;
  options.fluencies = rows.fluencies;
  if( o->writer ) decode_in_order(m, run, z, n, fluencies, o, &rows);
  else decode_tokens(m, run, rows.z, rows.n, &options, rows.tokens);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n; i++){
    append_text(m, rows.tokens + at, z[i].n_segments, &texts[i], run->err);
    if( run->err->rc!=SQLITE_OK ) return run->err->rc;
    at += z[i].n_segments;
  }
  if( fidelities ) measure_fidelities(m, run, z, n, &rows, o->refine, fidelities);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

int text_decode(const struct model *m, struct run *run, const struct latent *z,
                const struct decode_options *o, struct buf *out, float *fidelity){
  return texts_decode(m, run, z, 1, &o->fluency, o, out, fidelity);
}
