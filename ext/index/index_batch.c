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

int batch_entries(struct index_batch *b, const struct change *rows, int n){
  int64_t entries = 0;

  if( b->err->rc!=SQLITE_OK ) return 0;
  for(int i=0; i<n; i++){
    assert( rows[i].n==0 || rows[i].n==1 || b->index->shape.has_parts );
    entries += rows[i].n;
  }
  if( entries<INT32_MAX/4 ) return (int)entries;
  fail(b->err, SQLITE_TOOBIG, "%s: %lld vectors in one change", index_table(b->index),
       (long long)entries);
  return 0;
}

float *batch_rotated(struct index_batch *b, const struct change *rows, int n){
  const size_t width = (size_t)b->index->shape.width;
  const size_t entries = (size_t)batch_entries(b, rows, n);
  float *x, *to;

  if( b->err->rc!=SQLITE_OK ) return NULL;
  to = x = arena_floats(&b->arena, entries*width);
  if( x==NULL ) fail_nomem(b->err);
  for(int i=0; i<n && b->err->rc==SQLITE_OK; i++){
    for(int k=0; k<rows[i].n; k++, to+=width){
      const float *vector = rows[i].vectors + (size_t)k*width;
      if( check_finite(b, rows[i].rowid, vector)!=SQLITE_OK ) return NULL;
      rotate(&b->index->rotation, to, vector);
    }
  }
  return b->err->rc==SQLITE_OK ? x : NULL;
}

int batch_hold_added(struct index_batch *b){
  int at = 0;

  if( b->err->rc!=SQLITE_OK ) return b->err->rc;
  b->places = (struct key_set){ .arena = &b->arena, .has_values = 1 };
  if( key_set_reserve(&b->places, (size_t)b->n_added)!=SQLITE_OK ) return fail_nomem(b->err);
  for(int i=0; i<b->n_added; i++){
    const int64_t rowid = b->added[i].rowid;
    if( !key_set_put(&b->places, (uint64_t)rowid, at) ){
      return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is added twice",
                  index_table(b->index), (long long)rowid);
    }
    at += b->added[i].n;
  }
  b->vectors = batch_rotated(b, b->added, b->n_added);
  return b->err->rc;
}

int batch_vector(struct index_batch *b, int64_t rowid, int part, float *x){
  struct index *ix = b->index;
  const int at = key_set_value(&b->places, (uint64_t)rowid);
  const size_t width = (size_t)ix->shape.width;
  const float *vectors;
  int n;

  if( b->err->rc!=SQLITE_OK ) return b->err->rc;
  if( at>=0 ){
    memcpy(x, b->vectors + ((size_t)at + (size_t)part)*width, sizeof(float)*width);
    return SQLITE_OK;
  }
  if( ix->source.fetch(ix->source.arg, rowid, &vectors, &n, b->err)!=SQLITE_OK ) return b->err->rc;
  if( part>=n ){
    return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is in the index but not in the table",
                index_table(ix), (long long)rowid);
  }
  vectors += (size_t)part*width;
  if( check_finite(b, rowid, vectors)!=SQLITE_OK ) return b->err->rc;
  rotate(&ix->rotation, x, vectors);
  return SQLITE_OK;
}

int batch_vectors(struct index_batch *b, const struct cell *c, float *x){
  const size_t width = (size_t)b->index->shape.width;

  for(int i=0; i<c->n && b->err->rc==SQLITE_OK; i++){
    batch_vector(b, c->rowids[i], cell_part(b->index, c, i), x + i*width);
  }
  return b->err->rc;
}

int batch_end(struct index_batch *b){
  arena_release(&b->arena);
  if( b->err->rc!=SQLITE_OK ) index_forget(b->index);
  return b->err->rc;
}
