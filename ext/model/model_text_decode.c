/*
** model_text_decode.c -- points to texts, many in one batch.
**
** The segments of all texts are decoded side by side, and then joined. The writer reads what it has
** written of a text, and so keeps to names, tense and who is meant. It writes segment after
** segment, the first of all texts, then the second. Of code it is the same with lines.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

int tokens_text(const struct model *m, struct run *run, const struct tokens *tokens,
                struct content *text){
  struct buf bytes = { 0 };
  for(int i=0; i<tokens->n; i++){
    tokenizer_decode(m->config.tokenizer, tokens->ids[i], &bytes);
  }
  *text = (struct content){ buf_copy(&bytes, run->arena), bytes.n };
  if( text->bytes==NULL || bytes.rc!=SQLITE_OK ) fail_nomem(run->err);
  buf_release(&bytes);
  return run->err->rc;
}

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

struct telling {                        /* one call of decode_in_order() */
  const struct latent *z;               /* [n] */
  const float *fluencies;               /* [n] */
  const struct decode_options *options;
  struct buf *told;                     /* [n]: the texts so far */
  int n;
  struct tokens *rows;                  /* all segments of z[0], then of z[1], ... */
  struct tokens **next;                 /* [n]: where the next segment of each text goes */
  /* The texts that have a segment at the present place: */
  int n_now;
  int *latents;                         /* [n_now]: which they are */
  float *points;                        /* [n_now, s+r]: these segments */
  float *shares;                        /* [n_now]: of the plain language model */
  struct content *contexts;             /* [n_now] */
  struct parents *parents;              /* [n_now] */
  int *lasts;                           /* [n_now]: is it the last one? Of code */
  struct tokens *tokens;                /* [n_now] */
};

static int telling_init(struct telling *t, const struct model *m, struct run *run,
                        struct tokens *tokens){
  struct arena *a = run->arena;
  size_t n = (size_t)t->n;
  t->rows = tokens;
  t->told = arena_zeroed(a, n*sizeof(*t->told));
  t->next = arena_get(a, n*sizeof(*t->next));
  t->latents = arena_get(a, n*sizeof(int));
  t->points = arena_floats(a, n*(size_t)model_width(m));
  t->shares = arena_floats(a, n);
  t->contexts = arena_get(a, n*sizeof(*t->contexts));
  t->parents = arena_get(a, n*sizeof(*t->parents));
  t->lasts = arena_get(a, n*sizeof(int));
  t->tokens = arena_get(a, n*sizeof(*t->tokens));
  if( a->oom ) return fail_nomem(run->err);
  for(int i=0; i<t->n; i++){
    const struct content *before = &t->options->before;
    t->next[i] = tokens;
    tokens += t->z[i].n_segments;
    if( before->n>0 ) buf_append(&t->told[i], before->bytes, before->n);
    if( t->told[i].rc!=SQLITE_OK ) fail_nomem(run->err);
  }
  return run->err->rc;
}

/* Is the segment the writer's? Not where it was encoded, and what was encoded is to come back. */
static int is_told(const struct telling *t, const struct latent *z, int at){
  struct latent one = *z;
  one.n_segments = 1;
  one.z = latent_segment(z, at);
  return !t->options->keeps_encoded || point_is_between(&one);
}

/* Gathers segment `at` of the texts that have it: those that the writer tells, or the others. */
static void gather_tellings(struct telling *t, int at, int told){
  t->n_now = 0;
  for(int i=0; i<t->n; i++){
    const struct latent *z = &t->z[i];
    size_t width = (size_t)z->width;
    if( at>=z->n_segments || is_told(t, z, at)!=told ) continue;
    memcpy(t->points + (size_t)t->n_now*width, latent_segment(z, at), width*sizeof(float));
    t->shares[t->n_now] = t->fluencies[i];
    t->contexts[t->n_now] = (struct content){ t->told[i].data, t->told[i].n };
    if( t->options->parents ) t->parents[t->n_now] = t->options->parents[t->next[i] - t->rows];
    t->lasts[t->n_now] = at>0 && at==z->n_segments-1;   /* a line alone may be any part of code */
    t->latents[t->n_now++] = i;
  }
}

/* Writes what was gathered, and appends it to what was told. */
static int tell_segments(const struct model *m, struct run *run, struct telling *t, int told){
  struct decode_options own = *t->options;
  if( told ){
    own.fluencies = t->shares;
    own.contexts = t->contexts;
    if( t->options->parents ) own.parents = t->parents;
    if( m->config.kind==KIND_CODE ) own.lasts = t->lasts;
  }else{
    decode_options_init(&own);
    own.detail = t->options->detail;
    own.max_tokens = t->options->max_tokens;
  }
  decode_tokens(m, run, t->points, t->n_now, &own, t->tokens);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<t->n_now; i++){
    const struct tokens *made = &t->tokens[i];
    struct buf *text = &t->told[t->latents[i]];
    *t->next[t->latents[i]]++ = *made;
    for(int k=0; k<made->n; k++) tokenizer_decode(m->config.tokenizer, made->ids[k], text);
    if( text->rc!=SQLITE_OK ) return fail_nomem(run->err);
  }
  return SQLITE_OK;
}

/* tokens: those of all segments, as telling.rows. o->parents likewise. */
static int decode_in_order(const struct model *m, struct run *run, const struct latent *z, int n,
                           const float *fluencies, const struct decode_options *o,
                           struct tokens *tokens){
  struct telling t = { .z = z, .fluencies = fluencies, .options = o, .n = n };
  int most = most_segments(z, n);
  telling_init(&t, m, run, tokens);
  for(int at=0; at<most && run->err->rc==SQLITE_OK; at++){
    for(int told=0; told<2 && run->err->rc==SQLITE_OK; told++){
      gather_tellings(&t, at, told);
      tell_segments(m, run, &t, told);
    }
  }
  for(int i=0; i<n && t.told; i++) buf_release(&t.told[i]);
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
  if( m->config.kind==KIND_CODE ) options.lines_of = rows.latents;
  if( o->writer ) decode_in_order(m, run, z, n, fluencies, o, rows.tokens);
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
