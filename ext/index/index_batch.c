/*
** index_batch.c -- a batch at work: the exact vectors of its rows, and means of rows.
**
** A change needs exact vectors: to find the nearest cell of a row, and to code it anew when its
** cell is split or dissolved. Those of the rows that the batch adds are at hand. All others come
** from the source, one by one.
*/
#include "index.h"
#include <assert.h>
#include <math.h>
#include <string.h>

int cell_rows_least(const struct index *ix){
  return ix->shape.cell_rows<16 ? 1 : ix->shape.cell_rows/8;
}

/* ---- Means ---- */

void rows_sum(float *sum, const float *x, const int *order, int n, int width){
  memset(sum, 0, sizeof(float)*(size_t)width);
  for(int i=0; i<n; i++){
    const int row = order ? order[i] : i;
    add(sum, x + (size_t)row*width, width);
  }
}

void rows_mean(float *mean, const float *x, const int *order, int n, int width){
  assert( n>0 );
  rows_sum(mean, x, order, n, width);
  for(int i=0; i<width; i++) mean[i] *= 1.0f/(float)n;
}

/* ---- Vectors, rotated ---- */

static int check_finite(struct index_batch *b, int64_t rowid, const float *x){
  if( isfinite(dot(x, x, b->index->shape.width)) ) return SQLITE_OK;
  return fail(b->err, SQLITE_CORRUPT, "%s: the vector of row %lld is not finite",
              index_table(b->index), (long long)rowid);
}

float *batch_rotated(struct index_batch *b, const struct change *rows, int n){
  const int width = b->index->shape.width;
  float *x;

  if( b->err->rc!=SQLITE_OK ) return NULL;
  x = arena_floats(&b->arena, (size_t)n*width);
  if( x==NULL ) fail_nomem(b->err);
  for(int i=0; i<n && b->err->rc==SQLITE_OK; i++){
    if( check_finite(b, rows[i].rowid, rows[i].vector)!=SQLITE_OK ) break;
    rotate(&b->index->rotation, x + (size_t)i*width, rows[i].vector);
  }
  return b->err->rc==SQLITE_OK ? x : NULL;
}

int batch_hold_added(struct index_batch *b){
  const size_t n = (size_t)b->n_added;

  if( b->err->rc!=SQLITE_OK ) return b->err->rc;
  b->places = (struct key_set){ .arena = &b->arena, .has_values = 1 };
  if( key_set_reserve(&b->places, n)!=SQLITE_OK ) return fail_nomem(b->err);
  for(int i=0; i<b->n_added; i++){
    const int64_t rowid = b->added[i].rowid;
    if( key_set_put(&b->places, (uint64_t)rowid, i) ) continue;
    return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is added twice",
                index_table(b->index), (long long)rowid);
  }
  b->vectors = batch_rotated(b, b->added, b->n_added);
  return b->err->rc;
}

int batch_vector(struct index_batch *b, int64_t rowid, float *x){
  struct index *ix = b->index;
  const int at = key_set_value(&b->places, (uint64_t)rowid);
  const size_t width = (size_t)ix->shape.width;
  int found;

  if( b->err->rc!=SQLITE_OK ) return b->err->rc;
  if( at>=0 ){
    memcpy(x, b->vectors + (size_t)at*width, sizeof(float)*width);
    return SQLITE_OK;
  }
  if( ix->source.fetch(ix->source.arg, rowid, x, &found, b->err)!=SQLITE_OK ) return b->err->rc;
  if( !found ){
    return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is in the index but not in the table",
                index_table(ix), (long long)rowid);
  }
  if( check_finite(b, rowid, x)!=SQLITE_OK ) return b->err->rc;
  rotate(&ix->rotation, x, x);
  return SQLITE_OK;
}

int batch_vectors(struct index_batch *b, const struct cell *c, float *x){
  const size_t width = (size_t)b->index->shape.width;

  for(int i=0; i<c->n && b->err->rc==SQLITE_OK; i++) batch_vector(b, c->rowids[i], x + i*width);
  return b->err->rc;
}

int batch_end(struct index_batch *b){
  arena_release(&b->arena);
  if( b->err->rc!=SQLITE_OK ) index_forget(b->index);
  return b->err->rc;
}
