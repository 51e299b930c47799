/*
** index_check.c -- does every byte of the index follow from the caller's rows? Damage is reported, line by line, and never fails the call.
**
** Everything is read from the disk anew. Stamps, the state, shapes and numbers are checked on the way in (index_store.c), so that one flipped byte shows
** there. What is left to ask of a cell that is whole: is each of its rows in the caller's table, in no other cell, and coded from the
** vector that it has there?
*/
#include "index.h"
#include <stdio.h>
#include <string.h>

enum { LINES_MOST = 20 };

void report_line(struct buf *report, const char *format, ...){
  char line[300];
  va_list args;
  size_t i, n_lines = 0;

  for(i=0; i<report->n; i++) n_lines += report->data[i]=='\n';
  if( n_lines>=LINES_MOST ) return;
  va_start(args, format);
  vsnprintf(line, sizeof(line), format, args);
  va_end(args);
  buf_str(report, line);
  buf_char(report, '\n');
}

struct check {
  struct index *ix;
  struct buf *report;
  int64_t *seen;                /* rowids, by their hash */
  unsigned char *is_seen;       /* [n_slots] */
  size_t n_slots;               /* a power of 2 */
  float *x;                     /* [width] */
  uint64_t *signs;
  int8_t *bytes;
  struct arena arena;
  struct err *err;
};

/* Damage goes to the report, all else fails the call. Returns 1 where it was damage. */
static int is_damage(struct check *k, struct err *e){
  if( e->rc!=SQLITE_CORRUPT ){
    fail(k->err, e->rc, "%s", e->text);
    return 0;
  }
  report_line(k->report, "%s", e->text);
  return 1;
}

/* Was the row met before? */
static int note_row(struct check *k, int64_t rowid){
  size_t at = (size_t)(((uint64_t)rowid*UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (k->n_slots-1);

  while( k->is_seen[at] && k->seen[at]!=rowid ) at = (at + 1) & (k->n_slots-1);
  if( k->is_seen[at] ) return 1;
  k->is_seen[at] = 1;
  k->seen[at] = rowid;
  return 0;
}

static int same_codes(const struct check *k, const struct cell *c, int row){
  const int width = k->ix->shape.width, words = SIGN_WORDS(width);
  struct factors f;

  rotate(&k->ix->rotation, k->x, k->x);
  code_make(&f, k->signs, k->bytes, k->x, c->centroid, width);
  return memcmp(&f, &c->factors[row], sizeof(f))==0
      && memcmp(k->signs, c->signs + (size_t)row*words, sizeof(uint64_t)*(size_t)words)==0
      && memcmp(k->bytes, c->bytes + (size_t)row*width, (size_t)width)==0;
}

static int check_row(struct check *k, const struct cell *c, int row){
  struct index *ix = k->ix;
  const long long rowid = c->rowids[row];
  struct err e = {0};
  int found;

  if( note_row(k, rowid) ) report_line(k->report, "%s: row %lld is in more than one place, one of them cell %lld", index_table(ix), rowid, (long long)c->id);
  if( ix->source.fetch(ix->source.arg, rowid, k->x, &found, &e)!=SQLITE_OK ){
    is_damage(k, &e);
  }else if( !found ){
    report_line(k->report, "%s: row %lld is in cell %lld, but not in the table", index_table(ix), rowid, (long long)c->id);
  }else if( !same_codes(k, c, row) ){
    report_line(k->report, "%s: row %lld is coded in cell %lld as another vector than the table holds", index_table(ix), rowid, (long long)c->id);
  }
  return k->err->rc;
}

static int begin(struct check *k){
  const size_t width = (size_t)k->ix->shape.width;

  for(k->n_slots=2; k->n_slots<2*(size_t)k->ix->n_rows; k->n_slots*=2);
  k->seen = arena_get(&k->arena, sizeof(*k->seen)*k->n_slots);
  k->is_seen = arena_zeroed(&k->arena, k->n_slots);
  k->x = arena_floats(&k->arena, width);
  k->signs = arena_get(&k->arena, sizeof(uint64_t)*SIGN_WORDS(width));
  k->bytes = arena_get(&k->arena, width);
  return k->arena.oom ? fail_nomem(k->err) : SQLITE_OK;
}

int index_check(struct index *ix, struct buf *report, int64_t *n_seen,
                int (*check_keys)(void *arg, int64_t rowid, const uint64_t *keys, struct buf *report, struct err *e), void *arg, struct err *e){
  struct check k = { .ix = ix, .report = report, .err = e };
  struct err local = {0};
  int i, row;

  *n_seen = 0;
  index_forget(ix);             /* what memory holds may hide what the disk has lost */
  if( index_load(ix, &local)!=SQLITE_OK ){
    is_damage(&k, &local);
    return e->rc;
  }
  begin(&k);
  for(i=0; i<ix->n_cells && e->rc==SQLITE_OK; i++){
    struct cell *c = ix->cells[i];
    local.rc = SQLITE_OK;
    if( cell_read(ix, c, &local)!=SQLITE_OK ){
      is_damage(&k, &local);
      continue;
    }
    for(row=0; row<c->n && e->rc==SQLITE_OK; row++){
      ++*n_seen;
      if( check_row(&k, c, row)==SQLITE_OK && check_keys ) check_keys(arg, c->rowids[row], c->keys + (size_t)row*ix->shape.n_keys, report, e);
    }
  }
  if( e->rc==SQLITE_OK ) index_strays(ix, report, e);
  if( report->rc!=SQLITE_OK && e->rc==SQLITE_OK ) fail(e, report->rc, "%s: the report cannot be held", index_table(ix));
  arena_release(&k.arena);
  return e->rc;
}
