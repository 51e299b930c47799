/*
** model_meaning.c -- rows of tokens to points whose s is what a sentence encoder says.
**
** r has to say every byte of a text, so our own encoder makes it, of the text as it is. s is what
** search compares. A sentence encoder that has read a billion pairs of texts makes it
** (model_bert.c), of what text_normalize() makes of the text: a no-break space, an accent spelled
** in two characters or a heading in capitals do not move a text away from its plain twin.
**
** The encoder's vectors are turned so that the first numbers say most (model/meaning.py), and a
** latent keeps the first config.meaning of them. The first shape.s are the axes of s in every kind:
** those are what the decoder reads, and what is compared with pictures and code.
**
** Code and pictures make their own s, and so does a text model that has no sentence encoder.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

/* Appends the normalised text of a row to `out`. text: for scratch. */
static void append_normal(const struct model *m, const int *ids, int n, struct buf *text,
                          struct buf *out){
  text->n = 0;
  for(int k=0; k<n; k++) tokenizer_decode(m->config.tokenizer, ids[k], text);
  text_normalize(out, buf_text(text), text->n);
}

/* The normalised texts of n rows, one after another in `all`: row i is ends[i-1]..ends[i]. */
static int normalize_rows(const struct model *m, struct run *run, const int *ids, const int *start,
                          int n, struct buf *all, size_t *ends){
  struct buf text = { 0 };
  for(int i=0; i<n && run->err->rc==SQLITE_OK; i++){
    append_normal(m, ids + start[i], start[i+1] - start[i], &text, all);
    ends[i] = all->n;
    err_stopped(run->err);
  }
  if( text.rc!=SQLITE_OK || all->rc!=SQLITE_OK ) fail_nomem(run->err);
  buf_release(&text);
  return run->err->rc;
}

/* Puts the first numbers of vectors y[n, d] into z[n, s+r], as an s of unit length. */
static void take_vectors(const struct model *m, const float *y, int n, float *z){
  size_t d = (size_t)m->meaning->config.shape.d;
  size_t width = (size_t)model_width(m);
  int s = model_s(m);
  for(int i=0; i<n; i++){
    memcpy(z + (size_t)i*width, y + (size_t)i*d, (size_t)s*sizeof(float));
    normalize(z + (size_t)i*width, s);
  }
}

/* Sets s of z[n, s+r]. */
static int read_meanings(const struct model *m, struct run *run, const int *ids, const int *start,
                         int n, float *z){
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  struct buf all = { 0 };
  size_t *ends = arena_get(a, (size_t)n*sizeof(*ends));
  struct content *texts = arena_get(a, (size_t)n*sizeof(*texts));
  float *y = arena_floats(a, (size_t)n*(size_t)m->meaning->config.shape.d);
  if( a->oom ) return fail_nomem(run->err);
  if( normalize_rows(m, run, ids, start, n, &all, ends)==SQLITE_OK ){
    const char *bytes = buf_text(&all);
    for(int i=0; i<n; i++){
      size_t from = i>0 ? ends[i-1] : 0;
      texts[i] = (struct content){ bytes + from, ends[i] - from };
    }
    bert_embed(m->meaning, run, texts, n, y);
  }
  buf_release(&all);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  take_vectors(m, y, n, z);
  arena_rewind(a, mark);
  return SQLITE_OK;
}

int encode_points(const struct model *m, struct run *run, const int *ids, const int *start, int n,
                  float *z){
  assert( n>=0 );
  if( encode_tokens(m, run, ids, start, n, z)!=SQLITE_OK ) return run->err->rc;
  return m->meaning && n>0 ? read_meanings(m, run, ids, start, n, z) : SQLITE_OK;
}

int encode_meanings(const struct model *m, struct run *run, const int *ids, const int *start, int n,
                    float *z){
  assert( m->meaning && n>=0 );
  memset(z, 0, (size_t)n*(size_t)model_width(m)*sizeof(float));
  return n>0 ? read_meanings(m, run, ids, start, n, z) : SQLITE_OK;
}
