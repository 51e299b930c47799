/*
** model_content.c -- content of any kind to points, and back, as the model's kind has it.
**
** Text and code go through model_text.c. A picture is read from its file, freed of a plain ground,
** and fitted to the model's size. Then model_picture.c encodes it as one segment. On the way back
** it becomes a PNG.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

/* ---- Pictures to points ---- */

int content_picture(const struct model *m, struct run *run, const struct content *c,
                    const char *who, struct picture *p){
  struct arena_mark mark = arena_mark(run->arena);
  struct picture whole, fitted;
  int size = m->config.picture.size;
  picture_read(&whole, c->bytes, c->n, run->arena, who, run->err);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  picture_clear(&whole, size, run->arena, run->err);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  picture_fit(&fitted, &whole, size, run->arena, run->err);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  memcpy(p->pixels, fitted.pixels, (size_t)size*(size_t)size*4);
  arena_rewind(run->arena, mark);
  return err_stopped(run->err) ? run->err->rc : SQLITE_OK;
}

static int read_pictures(const struct model *m, struct run *run, const struct content *contents,
                         int n, const char *who, struct latent *z){
  struct arena *a = run->arena;
  int size = m->config.picture.size;
  size_t bytes = (size_t)size*(size_t)size*4;
  size_t width = (size_t)model_width(m);
  float *points = arena_floats(a, (size_t)n*width);
  struct arena_mark mark = arena_mark(a);       /* the points stay; the rest is scratch */
  struct picture *pictures = arena_get(a, (size_t)n*sizeof(*pictures));
  unsigned char *pixels = arena_get(a, (size_t)n*bytes);
  if( a->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    pictures[i] = (struct picture){ size, size, pixels + i*bytes };
    content_picture(m, run, &contents[i], who, &pictures[i]);
    if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  }
  pictures_encode(m, run, pictures, n, points);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  arena_rewind(a, mark);
  for(int i=0; i<n; i++){
    z[i] = latent_of(m, 1);
    z[i].z = points + i*width;
  }
  return SQLITE_OK;
}

static int read_texts(const struct model *m, struct run *run, const struct content *contents, int n,
                      int rounds, struct latent *z){
  const char **texts = arena_get(run->arena, (size_t)n*sizeof(*texts));
  size_t *bytes = arena_get(run->arena, (size_t)n*sizeof(*bytes));
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    texts[i] = contents[i].bytes;
    bytes[i] = contents[i].n;
  }
  return texts_encode(m, run, texts, bytes, n, rounds, z);
}

int contents_encode(const struct model *m, struct run *run, const struct content *contents, int n,
                    const char *who, int rounds, struct latent *z){
  int is_picture = m->config.kind==KIND_PICTURE;
  assert( n>=0 && rounds>=ROUNDS_FOR_S );
  for(int i=0; i<n; i++) z[i] = (struct latent){ 0 };
  if( n==0 ) return SQLITE_OK;
  return is_picture ? read_pictures(m, run, contents, n, who, z)
                    : read_texts(m, run, contents, n, rounds, z);
}

/* ---- Points to pictures ---- */

/* fidelities[i]: the cosine between point i of z[n, s+r] and what its picture encodes to. Changes
** the pictures. */
static int measure_pictures(const struct model *m, struct run *run, const float *z,
                            struct picture *pictures, int n, float *fidelities){
  int width = model_width(m);
  float *encoded = arena_floats(run->arena, (size_t)n*(size_t)width);
  if( run->arena->oom ) return fail_nomem(run->err);
  if( pictures_reread(m, run, pictures, n, encoded)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n; i++){
    size_t at = (size_t)i*(size_t)width;
    fidelities[i] = point_cosine(z + at, encoded + at, width);
  }
  return SQLITE_OK;
}

static int write_pictures(const struct model *m, struct run *run, const struct latent *z, int n,
                          float detail, struct buf *contents, float *fidelities){
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  size_t width = (size_t)model_width(m);
  struct picture *pictures = arena_get(a, (size_t)n*sizeof(*pictures));
  float *points = arena_floats(a, (size_t)n*width);
  if( a->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    if( z[i].n_segments!=1 ){
      return fail(run->err, SQLITE_ERROR,
                  "decode: a latent of %d segments, expected 1: a picture is one segment",
                  z[i].n_segments);
    }
    memcpy(points + i*width, z[i].z, width*sizeof(float));
  }
  if( pictures_decode(m, run, points, n, detail, pictures)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n; i++){
    png_write(&contents[i], &pictures[i], run->err);
    if( run->err->rc!=SQLITE_OK || err_stopped(run->err) ) return run->err->rc;
  }
  if( fidelities ) measure_pictures(m, run, points, pictures, n, fidelities);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  arena_rewind(a, mark);
  return SQLITE_OK;
}

int contents_decode(const struct model *m, struct run *run, const struct latent *z, int n,
                    const float *fluencies, const struct decode_options *o, struct buf *contents,
                    float *fidelities){
  assert( n>=0 && (fluencies || n==0) );
  if( m->config.kind!=KIND_PICTURE ){
    return texts_decode(m, run, z, n, fluencies, o, contents, fidelities);
  }
  if( fidelities ) memset(fidelities, 0, (size_t)n*sizeof(float));
  if( n==0 ) return SQLITE_OK;
  return write_pictures(m, run, z, n, o->detail, contents, fidelities);
}
