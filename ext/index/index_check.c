/*
** index_check.c -- does every byte of the index follow from the caller's rows? Damage is
** reported, line by line, and never fails the call.
**
** Everything is read from the disk anew. index_store.c checks stamps, the state, shapes and
** numbers on the way in, so one flipped byte shows there. What is left to ask of a cell that is
** whole: is each of its rows in the caller's table, in no other cell, and coded from the vector
** that it has there?
*/
#include "index.h"
#include <assert.h>
#include <string.h>

struct check {
  struct index *ix;
  struct buf *report;
  struct key_set seen;          /* entries: hashes of rowid and part */
  float *x;                     /* [width]: an entry's vector, rotated */
  uint64_t *signs;              /* [SIGN_WORDS]: its codes, like bytes */
  int8_t *bytes;                /* [width] */
  struct arena arena;
  struct err *err;
};

/* Damage goes to the report; any other failure fails the call. */
static void report_damage(struct check *k, const struct err *e){
  if( e->rc==SQLITE_CORRUPT ){
    buf_report_line(k->report, "%s", e->text);
  }else{
    fail(k->err, e->rc, "%s", e->text);
  }
}

/* Is an entry coded as its vector asks for? */
static int same_codes(const struct check *k, const struct cell *c, int row, const float *vector){
  const int width = k->ix->shape.width;
  const int words = SIGN_WORDS(width);
  const uint64_t *signs = c->signs + (size_t)row*words;
  const int8_t *bytes = c->bytes + (size_t)row*width;
  const struct factors kept = cell_factors(c, row);
  struct factors f;

  rotate(&k->ix->rotation, k->x, vector);
  code_make(&f, k->signs, k->bytes, k->x, c->centroid, width);
  return memcmp(&f, &kept, sizeof(f))==0
      && memcmp(k->signs, signs, sizeof(uint64_t)*(size_t)words)==0
      && memcmp(k->bytes, bytes, (size_t)width)==0;
}

static int check_row(struct check *k, const struct cell *c, int row){
  struct index *ix = k->ix;
  const char *table = index_table(ix);
  const long long rowid = c->rowids[row];
  const long long cell = c->id;
  const int part = cell_part(ix, c, row);
  const int64_t entry[2] = { rowid, part };
  struct err e = { 0 };
  const float *vectors;
  int n;

  if( !key_set_add(&k->seen, hash64(entry, sizeof(entry))) ){
    buf_report_line(k->report, "%s: row %lld is in more than one place, one of them cell %lld",
                    table, rowid, cell);
  }
  if( ix->source.fetch(ix->source.arg, rowid, &vectors, &n, &e)!=SQLITE_OK ){
    report_damage(k, &e);
  }else if( part<0 || part>=n ){
    buf_report_line(k->report, "%s: row %lld is in cell %lld, but not in the table",
                    table, rowid, cell);
  }else if( !same_codes(k, c, row, vectors + (size_t)part*(size_t)ix->shape.width) ){
    buf_report_line(k->report,
                    "%s: row %lld is coded in cell %lld as another vector than the table holds",
                    table, rowid, cell);
  }
  return k->err->rc;
}

/* Memory. The rows of all cells are as many as the state counts, so the set has room for them. */
static int check_init(struct check *k){
  const size_t width = (size_t)k->ix->shape.width;

  k->seen = (struct key_set){ .arena = &k->arena };
  key_set_reserve(&k->seen, (size_t)k->ix->n_rows);
  k->x = arena_floats(&k->arena, width);
  k->signs = arena_get(&k->arena, sizeof(uint64_t)*SIGN_WORDS(width));
  k->bytes = arena_get(&k->arena, width);
  return k->arena.oom || k->seen.oom ? fail_nomem(k->err) : SQLITE_OK;
}

int index_check(struct index *ix, struct buf *report, int64_t *n_seen,
                index_check_keys *check_keys, void *arg, struct err *e){
  struct check k = { .ix = ix, .report = report, .err = e };
  const size_t n_keys = (size_t)ix->shape.n_keys;
  struct err found = { 0 };

  assert( report && n_seen );
  *n_seen = 0;
  index_forget(ix);             /* what memory holds may hide what the disk has lost */
  if( index_load(ix, &found)!=SQLITE_OK ){
    report_damage(&k, &found);
    return e->rc;
  }
  check_init(&k);
  for(int i=0; i<ix->n_cells && e->rc==SQLITE_OK; i++){
    struct cell *c = ix->cells[i];
    found = (struct err){ 0 };
    if( cell_read(ix, c, &found)!=SQLITE_OK ){
      report_damage(&k, &found);
      continue;
    }
    for(int row=0; row<c->n && e->rc==SQLITE_OK; row++){
      ++*n_seen;
      if( check_row(&k, c, row)!=SQLITE_OK || check_keys==NULL ) continue;
      check_keys(arg, c->rowids[row], c->keys + row*n_keys, c->group, report, e);
    }
  }
  index_strays(ix, report, e);
  if( report->rc!=SQLITE_OK ) fail(e, report->rc, "%s: the report cannot be held", index_table(ix));
  arena_release(&k.arena);
  return e->rc;
}
