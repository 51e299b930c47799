/*
** model_content.c -- content of any kind to points and back: what each kind does, chosen by the model's.
**
** Text and code go through model_text.c. A picture is read from its file and fitted to the model's size, becomes codes (model_picture.c) and
** then, like a sentence of them, one segment; on the way back a PNG.
*/
#include "model.h"
#include <string.h>

/* The picture in a file, fitted: pixels[size * size * 4]. What was needed besides is given back. */
static int read_fitted(const struct model *m, struct run *run, const struct content *c, const char *who, unsigned char *pixels){
  struct arena_mark mark = arena_mark(run->arena);
  struct picture whole, fitted;
  int size = m->config.picture.size;
  if( picture_read(&whole, c->bytes, c->n, run->arena, who, run->err) || picture_fit(&fitted, &whole, size, run->arena, run->err) ) return run->err->rc;
  memcpy(pixels, fitted.pixels, (size_t)size*size*4);
  arena_rewind(run->arena, mark);
  return run_stopped(run) ? run->err->rc : SQLITE_OK;
}

/* rows[n, s+r] from pictures[n]. */
static int encode_pictures(const struct model *m, struct run *run, const struct picture *pictures, int n, int rounds, float *rows){
  struct arena_mark mark = arena_mark(run->arena);
  int n_codes = m->config.shape.longest-1, *ids, *start;
  if( n>INT32_MAX/n_codes ) return fail(run->err, SQLITE_TOOBIG, "%d pictures are too many for one batch", n);
  ids = arena_get(run->arena, (size_t)n*n_codes*sizeof(int));
  start = arena_get(run->arena, ((size_t)n+1)*sizeof(int));
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<=n; i++) start[i] = i*n_codes;
  if( pictures_tokens(m, run, pictures, n, ids) || encode_tokens(m, run, ids, start, n, rows) ) return run->err->rc;
  if( refine_tokens(m, run, ids, start, n, rounds, rows) ) return run->err->rc;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

static int read_pictures(const struct model *m, struct run *run, const struct content *contents, int n, const char *who, int rounds, struct latent *z){
  int size = m->config.picture.size, width = m->config.shape.s + m->config.shape.r;
  size_t bytes = (size_t)size*size*4;
  float *rows = arena_floats(run->arena, (size_t)n*width);
  struct arena_mark mark = arena_mark(run->arena);
  struct picture *pictures = arena_get(run->arena, (size_t)n*sizeof(*pictures));
  unsigned char *pixels = arena_get(run->arena, n*bytes);
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    pictures[i] = (struct picture){ size, size, pixels + i*bytes };
    if( read_fitted(m, run, &contents[i], who, pictures[i].pixels) ) return run->err->rc;
  }
  if( encode_pictures(m, run, pictures, n, rounds, rows) ) return run->err->rc;
  arena_rewind(run->arena, mark);
  for(int i=0; i<n; i++){
    z[i] = latent_of(m, 1);
    z[i].z = rows + (size_t)i*width;
  }
  return SQLITE_OK;
}

static int read_texts(const struct model *m, struct run *run, const struct content *contents, int n, int rounds, struct latent *z){
  const char **texts = arena_get(run->arena, (size_t)n*sizeof(*texts));
  size_t *bytes = arena_get(run->arena, (size_t)n*sizeof(*bytes));
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    texts[i] = contents[i].bytes;
    bytes[i] = contents[i].n;
  }
  return texts_encode(m, run, texts, bytes, n, rounds, z);
}

int contents_encode(const struct model *m, struct run *run, const struct content *contents, int n, const char *who, int rounds, struct latent *z){
  memset(z, 0, (size_t)n*sizeof(*z));
  if( n==0 ) return SQLITE_OK;
  return m->config.kind==KIND_PICTURE ? read_pictures(m, run, contents, n, who, rounds, z) : read_texts(m, run, contents, n, rounds, z);
}

/* fidelities[i]: the cosine between z[i] and what the picture that came out encodes to. */
static int measure_pictures(const struct model *m, struct run *run, const float *rows, const struct picture *pictures, int n, int rounds, float *fidelities){
  int width = m->config.shape.s + m->config.shape.r;
  float *again = arena_floats(run->arena, (size_t)n*width);
  if( again==0 ) return fail_nomem(run->err);
  if( encode_pictures(m, run, pictures, n, rounds, again) ) return run->err->rc;
  for(int i=0; i<n; i++) fidelities[i] = point_cosine(rows + (size_t)i*width, again + (size_t)i*width, width);
  return SQLITE_OK;
}

static int write_pictures(const struct model *m, struct run *run, const struct latent *z, int n, const float *fluencies, const struct decode_options *o,
                          struct buf *contents, float *fidelities){
  struct arena_mark mark = arena_mark(run->arena);
  int width = m->config.shape.s + m->config.shape.r;
  struct decode_options options = *o;
  struct tokens *tokens = arena_get(run->arena, (size_t)n*sizeof(*tokens));
  struct picture *pictures = arena_get(run->arena, (size_t)n*sizeof(*pictures));
  float *rows = arena_floats(run->arena, (size_t)n*width);
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    if( z[i].n_segments!=1 ) return fail(run->err, SQLITE_ERROR, "decode: a latent of %d segments, expected 1: a picture is one segment", z[i].n_segments);
    memcpy(rows + (size_t)i*width, z[i].z, (size_t)width*sizeof(float));
  }
  options.fluencies = fluencies;
  if( decode_tokens(m, run, rows, n, &options, tokens) || tokens_pictures(m, run, tokens, n, pictures) ) return run->err->rc;
  for(int i=0; i<n; i++){
    if( png_write(&contents[i], &pictures[i], run->err) || run_stopped(run) ) return run->err->rc;
  }
  if( fidelities && measure_pictures(m, run, rows, pictures, n, o->refine, fidelities) ) return run->err->rc;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

int contents_decode(const struct model *m, struct run *run, const struct latent *z, int n, const float *fluencies, const struct decode_options *o,
                    struct buf *contents, float *fidelities){
  if( m->config.kind!=KIND_PICTURE ) return texts_decode(m, run, z, n, fluencies, o, contents, fidelities);
  if( fidelities ) memset(fidelities, 0, (size_t)n*sizeof(float));
  return n>0 ? write_pictures(m, run, z, n, fluencies, o, contents, fidelities) : SQLITE_OK;
}
