/*
** model_tensors.c -- tensors of a weight file to where the kernels read them.
**
** Matrices are used where they lie in the process's copy of the file (base_map.c). Only what the
** kernels cannot read in place is copied: vectors (as floats), matrices in bf16 or i8 (as floats),
** matrices at an odd address, and matrices that lie transposed.
**
** The copies of a model lie in one block. A model's load function is therefore called twice: first
** to check all tensors and to count the bytes, then to copy. loader_run() does this.
*/
#include "model.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64 };                /* of what is copied; the kernels need it */

void *loader_room(struct loader *l, size_t bytes){
  void *p = l->block ? l->block + l->used : NULL;
  l->used += (bytes + ALIGNMENT-1) & ~(size_t)(ALIGNMENT-1);
  return p;
}

static const char *shape_text(char *text, size_t n, int rank, int64_t rows, int64_t columns){
  long long first = (long long)rows;
  if( rank==0 ){
    snprintf(text, n, "a number");
  }else if( rank==1 ){
    snprintf(text, n, "[%lld]", first);
  }else{
    snprintf(text, n, "[%lld, %lld]", first, (long long)columns);
  }
  return text;
}

/* The tensor of that name and shape, numbers or bytes. */
static const struct tensor *find_any(struct loader *l, const char *name, int rows, int columns){
  const struct tensor *t;
  int rank = columns ? 2 : 1;
  int is_alike;
  char want[48], have[48];
  if( l->e->rc!=SQLITE_OK ) return NULL;
  t = safetensors_find(l->tensors, name);
  shape_text(want, sizeof(want), rank, rows, columns);
  if( t==NULL ){
    fail(l->e, SQLITE_CORRUPT, "%s: has no tensor %s, expected one of %s", l->file, name, want);
    return NULL;
  }
  is_alike = t->rank==rank && t->shape[0]==rows && (rank==1 || t->shape[1]==columns);
  if( !is_alike ){
    shape_text(have, sizeof(have), t->rank, t->shape[0], t->shape[1]);
    fail(l->e, SQLITE_CORRUPT, "%s: %s is %s, expected %s", l->file, name, have, want);
    return NULL;
  }
  return t;
}

const struct tensor *loader_find(struct loader *l, const char *name, int rows, int columns){
  const struct tensor *t = find_any(l, name, rows, columns);
  if( t==NULL || t->element<ELEMENT_BYTES ) return t;
  fail(l->e, SQLITE_CORRUPT, "%s: %s has bytes or whole numbers, expected floats", l->file, name);
  return NULL;
}

const int8_t *loader_bytes(struct loader *l, const char *name, int rows, int columns){
  const struct tensor *t = find_any(l, name, rows, columns);
  if( t==NULL ) return NULL;
  if( t->element==ELEMENT_BYTES ) return t->data;
  fail(l->e, SQLITE_CORRUPT, "%s: %s has numbers, expected bytes (U8)", l->file, name);
  return NULL;
}

void loader_groups(struct loader *l, struct matrix *w, const char *name, int in, int out, int bits){
  int panels = (out + GROUP_COLUMNS-1)/GROUP_COLUMNS;
  const int8_t *bytes = loader_bytes(l, name, panels, (int)PANEL_GROUPS(bits, in));
  *w = (struct matrix){ .in = in, .out = out, .group_bits = bits };
  w->groups = (const uint8_t *)bytes;
}

int loader_has_bytes(const struct loader *l, const char *name){
  const struct tensor *t = safetensors_find(l->tensors, name);
  return t && t->element==ELEMENT_BYTES;
}

float *loader_floats(struct loader *l, const struct tensor *t, size_t n){
  float *copy = loader_room(l, n*sizeof(float));
  if( copy ) tensor_to_floats(copy, t);
  return copy;
}

void loader_vector(struct loader *l, const float **v, const char *name, int n){
  const struct tensor *t = loader_find(l, name, n, 0);
  if( t ) *v = loader_floats(l, t, (size_t)n);
}

void loader_table(struct loader *l, const float **x, const char *name, int rows, int columns){
  const struct tensor *t = loader_find(l, name, rows, columns);
  if( t==NULL ) return;
  if( t->element==ELEMENT_F32 && (uintptr_t)t->data%sizeof(float)==0 ) *x = t->data;
  else *x = loader_floats(l, t, (size_t)rows*(size_t)columns);
}

void loader_matrix(struct loader *l, struct matrix *w, const char *name, int in, int out){
  const struct tensor *t = loader_find(l, name, in, out);
  size_t count = (size_t)in*(size_t)out;
  uintptr_t address;
  if( t==NULL ) return;
  *w = (struct matrix){ .in = in, .out = out };
  address = (uintptr_t)t->data;
  if( t->element==ELEMENT_F16 && address%2==0 ){
    w->half = t->data;
  }else if( t->element==ELEMENT_F16 ){
    void *copy = loader_room(l, count*2);
    if( copy ) memcpy(copy, t->data, count*2);
    w->half = copy;
  }else if( t->element==ELEMENT_F32 && address%4==0 ){
    w->full = t->data;
  }else{
    w->full = loader_floats(l, t, count);
  }
}

/* ---- Transposed ----
** Tiles of 64 keep the cache lines of both sides until they are used up: the 8192 x 256 embedding
** takes 3 ms, and 14 ms without them (one core of the build machine). */

/* y[columns, stride] of x[rows, columns] */
#define TRANSPOSE(y, x, rows, columns, stride) \
  enum { TILE = 64 }; \
  for(int i0=0; i0<rows; i0+=TILE){ \
    int i1 = i0+TILE<rows ? i0+TILE : rows; \
    for(int j0=0; j0<columns; j0+=TILE){ \
      int j1 = j0+TILE<columns ? j0+TILE : columns; \
      for(int j=j0; j<j1; j++){ \
        for(int i=i0; i<i1; i++) y[(size_t)j*stride + i] = x[(size_t)i*columns + j]; \
      } \
    } \
  }

void transpose_half(uint16_t *y, const uint16_t *x, int rows, int columns){
  TRANSPOSE(y, x, rows, columns, rows)
}

void transpose_full(float *y, const float *x, int rows, int columns, int stride){
  assert( stride>=rows );
  TRANSPOSE(y, x, rows, columns, stride)
}

/* ---- All of a model's tensors ---- */

int loader_run(struct loader *l, void (*load)(struct loader *l), void **block){
  uintptr_t first;
  *block = NULL;
  load(l);
  if( l->e->rc!=SQLITE_OK ) return l->e->rc;
  *block = mem_alloc(l->used + ALIGNMENT-1);
  if( *block==NULL ) return fail_nomem(l->e);
  first = ((uintptr_t)*block + ALIGNMENT-1) & ~(uintptr_t)(ALIGNMENT-1);
  l->block = (unsigned char *)first;
  l->used = 0;
  load(l);
  return l->e->rc;
}

/* A number that is not finite would spread to every point, and to the latents that are stored. */
int tensors_check_finite(const struct safetensors *s, const char *file, struct err *e){
  for(int i=0; i<s->n_tensors; i++){
    const struct tensor *t = &s->tensors[i];
    if( tensor_is_finite(t) ) continue;
    return fail(e, SQLITE_CORRUPT, "%s: %s has a number that is infinite or NaN", file, t->name);
  }
  return SQLITE_OK;
}
