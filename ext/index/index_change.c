/*
** index_change.c -- a batch of rows that leave and enter, and what keeps every cell within its bounds.
**
**  1. Removed rows leave their cells: nearly always the one with the nearest centroid; the others are looked through in order of distance.
**  2. Added rows enter the cell with the nearest centroid. The first ones of all make a cell.
**  3. Cells that rows have left and that are too small now are dissolved: their rows enter the nearest of the others.
**  4. Cells that are too large are split, and rows near the new boundaries move (index_split.c), only where there is room: so one pass ends it.
**  5. Every cell that has changed is written, once.
**
** After it every cell has at most cell_rows rows, and at least cell_rows_least(), unless it is the only one. The same rows in the same batches give
** the same cells, bit by bit, on every machine.
**
** Measured (EPYC Zen 5, one core, 341,000 vectors of 100 floats, batches of 4,096 in one transaction, WAL): 18 us a row, 9 with the first 100,000 rows and 25 with
** the last; 1.6 exact vectors fetched a row; cells are 75% full; 9.7% of rows that leave are not in the first cell that is looked at.
*/
#include "index.h"
#include <math.h>
#include <string.h>

int cell_rows_least(const struct index *ix){
  return ix->shape.cell_rows<16 ? 1 : ix->shape.cell_rows/8;
}

/* ---- The batch: rotated vectors, found by rowid ---- */

static int slot_of(const struct index_batch *b, int64_t rowid){
  int at = (int)(((uint64_t)rowid*UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (b->n_slots-1);

  while( b->slots[at]>=0 && b->added[b->slots[at]].rowid!=rowid ) at = (at + 1) & (b->n_slots-1);
  return at;
}

static int find_slots(struct index_batch *b){
  int i;

  for(b->n_slots=2; b->n_slots<2*b->n_added; b->n_slots*=2);
  b->slots = arena_get(&b->arena, sizeof(*b->slots)*(size_t)b->n_slots);
  if( b->slots==NULL ) return fail_nomem(b->err);
  for(i=0; i<b->n_slots; i++) b->slots[i] = -1;
  for(i=0; i<b->n_added; i++){
    int at = slot_of(b, b->added[i].rowid);
    if( b->slots[at]>=0 ){
      return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is added twice", index_table(b->index), (long long)b->added[i].rowid);
    }
    b->slots[at] = i;
  }
  return SQLITE_OK;
}

static int check_finite(struct index_batch *b, int64_t rowid, const float *x){
  if( isfinite(dot(x, x, b->index->shape.width)) ) return SQLITE_OK;
  return fail(b->err, SQLITE_CORRUPT, "%s: the vector of row %lld is not finite", index_table(b->index), (long long)rowid);
}

/* rows' vectors, rotated: [n, width]; NULL after a failure. */
static float *rotate_all(struct index_batch *b, const struct change *rows, int n){
  const int width = b->index->shape.width;
  float *x = arena_floats(&b->arena, (size_t)n*width);
  int i;

  if( x==NULL ) fail_nomem(b->err);
  for(i=0; i<n && b->err->rc==SQLITE_OK; i++){
    if( check_finite(b, rows[i].rowid, rows[i].vector)==SQLITE_OK ) rotate(&b->index->rotation, x + (size_t)i*width, rows[i].vector);
  }
  return b->err->rc==SQLITE_OK ? x : NULL;
}

int batch_vector(struct index_batch *b, int64_t rowid, float *x){
  struct index *ix = b->index;
  int at = b->n_slots>0 ? b->slots[slot_of(b, rowid)] : -1, found;

  if( at>=0 ){
    memcpy(x, b->vectors + (size_t)at*ix->shape.width, sizeof(float)*(size_t)ix->shape.width);
    return SQLITE_OK;
  }
  if( ix->source.fetch(ix->source.arg, rowid, x, &found, b->err)!=SQLITE_OK ) return b->err->rc;
  if( !found ) return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is in the index but not in the table", index_table(ix), (long long)rowid);
  if( check_finite(b, rowid, x)!=SQLITE_OK ) return b->err->rc;
  rotate(&ix->rotation, x, x);
  return SQLITE_OK;
}

int batch_vectors(struct index_batch *b, const struct cell *c, float *x){
  int i;

  for(i=0; i<c->n; i++){
    if( batch_vector(b, c->rowids[i], x + (size_t)i*b->index->shape.width)!=SQLITE_OK ) break;
  }
  return b->err->rc;
}

/* ---- Rows that enter ---- */

struct pile {                   /* rows without a cell */
  int n;
  int64_t *rowids;              /* [n], like the rest */
  const uint64_t **keys;        /* [n_keys] each */
  float *x;                     /* [n, width], rotated */
};

static int pile_init(struct index_batch *b, struct pile *p, int n){
  p->n = 0;
  p->rowids = arena_get(&b->arena, sizeof(*p->rowids)*(size_t)n);
  p->keys = arena_get(&b->arena, sizeof(*p->keys)*(size_t)n);
  return b->arena.oom ? fail_nomem(b->err) : SQLITE_OK;
}

/* The cell of the first rows: around their mean. */
static int add_first(struct index_batch *b, const struct pile *p){
  const int width = b->index->shape.width;
  struct cell *c = cells_add(b->index, 1);
  int i;

  if( c==NULL ) return fail_nomem(b->err);
  memset(c->centroid, 0, sizeof(float)*(size_t)width);
  for(i=0; i<p->n; i++) add(c->centroid, p->x + (size_t)i*width, width);
  for(i=0; i<width; i++) c->centroid[i] *= 1.0f/(float)p->n;
  cells_place(b->index, 0);
  return SQLITE_OK;
}

/* order[n]: the rows cell by cell, those of cell k from starts[k] to starts[k+1]; each cell's in their own order. */
static void sort_by_cell(const int *cells, int n, int n_cells, int *starts, int *order){
  int i;

  memset(starts, 0, sizeof(*starts)*(size_t)(n_cells+2));
  for(i=0; i<n; i++) starts[cells[i]+2]++;
  for(i=2; i<n_cells+2; i++) starts[i] += starts[i-1];
  for(i=0; i<n; i++) order[starts[cells[i]+1]++] = i;
}

/* n rows of the pile into cell c. */
static int enter_cell(struct index_batch *b, struct cell *c, const struct pile *p, const int *order, int n){
  struct index *ix = b->index;
  int i, n_before;

  if( cell_read(ix, c, b->err)!=SQLITE_OK ) return b->err->rc;
  n_before = c->n;
  if( n>INT32_MAX/2 - c->n ) return fail(b->err, SQLITE_TOOBIG, "%s: too many rows in one change", index_table(ix));
  if( cell_reserve(ix, c, c->n + n)!=SQLITE_OK ) return fail_nomem(b->err);
  for(i=0; i<n; i++){
    const int at = order[i];
    if( cell_find(c, p->rowids[at], n_before)>=0 ){
      return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is added, but it is in cell %lld already", index_table(ix), (long long)p->rowids[at], (long long)c->id);
    }
    cell_append(ix, c, p->rowids[at], p->keys[at], p->x + (size_t)at*ix->shape.width);
  }
  return SQLITE_OK;
}

static int enter(struct index_batch *b, const struct pile *p){
  struct index *ix = b->index;
  const struct arena_mark mark = arena_mark(&b->arena);
  int *nearest, *starts, *order, i;
  float *scratch;

  if( p->n==0 ) return SQLITE_OK;
  if( ix->n_cells==0 && add_first(b, p)!=SQLITE_OK ) return b->err->rc;
  nearest = arena_get(&b->arena, sizeof(*nearest)*(size_t)p->n);
  order = arena_get(&b->arena, sizeof(*order)*(size_t)p->n);
  starts = arena_get(&b->arena, sizeof(*starts)*((size_t)ix->n_cells+2));
  scratch = arena_floats(&b->arena, nearest_scratch(ix->shape.width));
  if( b->arena.oom ) return fail_nomem(b->err);
  nearest_of(&(struct centroids){ ix->centroids, ix->halves, ix->n_cells, ix->shape.width }, p->x, p->n, nearest, scratch);
  sort_by_cell(nearest, p->n, ix->n_cells, starts, order);
  for(i=0; i<ix->n_cells && b->err->rc==SQLITE_OK; i++){
    if( starts[i+1]>starts[i] ) enter_cell(b, ix->cells[i], p, order + starts[i], starts[i+1] - starts[i]);
  }
  arena_rewind(&b->arena, mark);
  return b->err->rc;
}

static int enter_added(struct index_batch *b){
  struct pile p;
  int i;

  if( pile_init(b, &p, b->n_added)!=SQLITE_OK ) return b->err->rc;
  for(i=0; i<b->n_added; i++){
    p.rowids[i] = b->added[i].rowid;
    p.keys[i] = b->added[i].keys;
  }
  p.n = b->n_added;
  p.x = b->vectors;
  b->index->n_rows += p.n;
  return enter(b, &p);
}

/* ---- Rows that leave ---- */

/* Is it in this cell? *at: its place, or -1. */
static int look(struct index_batch *b, int cell, int64_t rowid, int *at){
  struct cell *c = b->index->cells[cell];

  if( cell_read(b->index, c, b->err)!=SQLITE_OK ) return b->err->rc;
  *at = cell_find(c, rowid, c->n);
  return SQLITE_OK;
}

/* Where a row is: first in the cell `cell`, then in all others, the nearest to x first. */
static int locate(struct index_batch *b, int64_t rowid, const float *x, int *cell, int *at){
  struct index *ix = b->index;
  const struct arena_mark mark = arena_mark(&b->arena);
  const int n = ix->n_cells;
  float *distances;
  int *cells, i;

  *at = -1;
  if( n>0 && (look(b, *cell, rowid, at)!=SQLITE_OK || *at>=0) ) return b->err->rc;
  cells = arena_get(&b->arena, sizeof(*cells)*((size_t)n+1));
  distances = arena_floats(&b->arena, (size_t)n+1);
  if( b->arena.oom ) return fail_nomem(b->err);
  cells_nearest(ix, x, n, cells, distances);
  for(i=0; i<n && *at<0; i++){
    *cell = cells[i];
    if( look(b, *cell, rowid, at)!=SQLITE_OK ) return b->err->rc;
  }
  arena_rewind(&b->arena, mark);
  if( *at<0 ) return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is not in the index", index_table(ix), (long long)rowid);
  ix->n_strayed++;
  return SQLITE_OK;
}

static int leave(struct index_batch *b, const struct change *removed, int n){
  struct index *ix = b->index;
  const struct arena_mark mark = arena_mark(&b->arena);
  int *nearest = arena_get(&b->arena, sizeof(*nearest)*((size_t)n+1));
  float *x = rotate_all(b, removed, n), *scratch = arena_floats(&b->arena, nearest_scratch(ix->shape.width));
  int i, at;

  if( b->arena.oom ) return fail_nomem(b->err);
  if( x==NULL ) return b->err->rc;
  nearest_of(&(struct centroids){ ix->centroids, ix->halves, ix->n_cells, ix->shape.width }, x, n, nearest, scratch);
  for(i=0; i<n; i++){
    if( locate(b, removed[i].rowid, x + (size_t)i*ix->shape.width, &nearest[i], &at)!=SQLITE_OK ) return b->err->rc;
    cell_take_out(ix, ix->cells[nearest[i]], at);
  }
  ix->n_left += n;
  ix->n_rows -= n;
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}

/* ---- Cells that are too small ---- */

static int is_small(const struct index *ix, const struct cell *c){
  return c->n<cell_rows_least(ix);
}

/* The cells that stay: if all are small, the largest of them, where it has rows. Returns its place, or -1. */
static int choose_survivor(const struct index *ix){
  int i, best = -1;

  for(i=0; i<ix->n_cells; i++){
    if( !is_small(ix, ix->cells[i]) ) return -1;
    if( ix->cells[i]->n>(best<0 ? 0 : ix->cells[best]->n) ) best = i;
  }
  return best;
}

/* What the small cells hold, n rows in all, onto the pile, with copies of their keys; the cells are gone then. */
static int pile_small(struct index_batch *b, struct pile *p, int n, int survivor){
  struct index *ix = b->index;
  const size_t n_keys = (size_t)ix->shape.n_keys;
  uint64_t *keys = arena_get(&b->arena, sizeof(uint64_t)*n_keys*n);
  int i, k;

  if( keys==NULL ) return fail_nomem(b->err);
  for(i=ix->n_cells-1; i>=0; i--){
    struct cell *c = ix->cells[i];
    if( i==survivor || !is_small(ix, c) ) continue;
    if( cell_read(ix, c, b->err)!=SQLITE_OK || batch_vectors(b, c, p->x + (size_t)p->n*ix->shape.width)!=SQLITE_OK ) return b->err->rc;
    for(k=0; k<c->n; k++, keys+=n_keys){
      if( n_keys>0 ) memcpy(keys, c->keys + (size_t)k*n_keys, sizeof(uint64_t)*n_keys);
      p->rowids[p->n] = c->rowids[k];
      p->keys[p->n++] = keys;
    }
    if( cell_erase(ix, i, b->err)!=SQLITE_OK ) return b->err->rc;
  }
  return SQLITE_OK;
}

static int dissolve(struct index_batch *b){
  struct index *ix = b->index;
  const struct arena_mark mark = arena_mark(&b->arena);
  struct pile p;
  int i, n = 0, n_small = 0, survivor = choose_survivor(ix);

  for(i=0; i<ix->n_cells; i++){
    if( i==survivor || !is_small(ix, ix->cells[i]) ) continue;
    n_small++;
    n += ix->cells[i]->n;
  }
  if( n_small==0 ) return SQLITE_OK;
  p.x = arena_floats(&b->arena, (size_t)n*ix->shape.width + 1);
  if( p.x==NULL ) return fail_nomem(b->err);
  if( pile_init(b, &p, n)!=SQLITE_OK || pile_small(b, &p, n, survivor)!=SQLITE_OK || enter(b, &p)!=SQLITE_OK ) return b->err->rc;
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}

/* ---- The whole change ---- */

static int split_large(struct index_batch *b){
  struct index *ix = b->index;
  const int n = ix->n_cells;    /* what a split makes needs none */
  int i;

  for(i=0; i<n && b->err->rc==SQLITE_OK; i++){
    if( ix->cells[i]->n>ix->shape.cell_rows ) cell_split(b, i);
  }
  return b->err->rc;
}

/* What the batch held, its failure too. */
static int batch_end(struct index_batch *b){
  arena_release(&b->arena);
  if( b->err->rc!=SQLITE_OK ) index_forget(b->index);
  return b->err->rc;
}

int index_change(struct index *ix, const struct change *removed, int n_removed, const struct change *added, int n_added, struct err *e){
  struct index_batch b = { .index = ix, .added = added, .n_added = n_added, .err = e };

  if( index_load(ix, e)!=SQLITE_OK ) return e->rc;
  if( n_added>INT32_MAX/4 ) return fail(e, SQLITE_TOOBIG, "%s: %d rows in one change", index_table(ix), n_added);
  if( n_removed>0 ) leave(&b, removed, n_removed);
  if( e->rc==SQLITE_OK && n_added>0 && find_slots(&b)==SQLITE_OK && (b.vectors = rotate_all(&b, added, n_added))!=NULL ) enter_added(&b);
  if( e->rc==SQLITE_OK && dissolve(&b)==SQLITE_OK && split_large(&b)==SQLITE_OK ) index_write(ix, e);
  cells_trim(ix);
  return batch_end(&b);
}

int index_rekey(struct index *ix, const struct change *row, struct err *e){
  struct index_batch b = { .index = ix, .err = e };
  const size_t n_keys = (size_t)ix->shape.n_keys;
  float *x;
  int cell, at;

  if( index_load(ix, e)!=SQLITE_OK ) return e->rc;
  x = rotate_all(&b, row, 1);
  if( x!=NULL ){
    nearest_of(&(struct centroids){ ix->centroids, ix->halves, ix->n_cells, ix->shape.width }, x, 1, &cell, NULL);
    if( locate(&b, row->rowid, x, &cell, &at)==SQLITE_OK ){
      if( n_keys>0 ) memcpy(ix->cells[cell]->keys + (size_t)at*n_keys, row->keys, sizeof(uint64_t)*n_keys);
      ix->cells[cell]->is_dirty = 1;
      index_write(ix, e);
    }
  }
  return batch_end(&b);
}

/* ---- Optimize ---- */

/* The centroid becomes the mean of its rows, which are coded anew. */
static int center(struct index_batch *b, int at){
  struct index *ix = b->index;
  struct cell *c = ix->cells[at];
  const int width = ix->shape.width, words = SIGN_WORDS(width);
  const struct arena_mark mark = arena_mark(&b->arena);
  float *x;
  int i;

  if( cell_read(ix, c, b->err)!=SQLITE_OK ) return b->err->rc;
  x = arena_floats(&b->arena, (size_t)c->n*width);
  if( x==NULL ) return fail_nomem(b->err);
  if( batch_vectors(b, c, x)!=SQLITE_OK ) return b->err->rc;
  memset(c->centroid, 0, sizeof(float)*(size_t)width);
  for(i=0; i<c->n; i++) add(c->centroid, x + (size_t)i*width, width);
  for(i=0; i<width; i++) c->centroid[i] *= 1.0f/(float)c->n;
  cells_place(ix, at);
  for(i=0; i<c->n; i++){
    code_make(&c->factors[i], c->signs + (size_t)i*words, c->bytes + (size_t)i*width, x + (size_t)i*width, c->centroid, width);
  }
  c->is_dirty = 1;
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}

/* Rows of a cell that are nearer to another one go there. Rows that came in from a cell before it may be looked at twice: no harm. */
static int send_home(struct index_batch *b, int at){
  struct index *ix = b->index;
  struct cell *c = ix->cells[at], *to;
  const int width = ix->shape.width, n = c->n;
  const struct arena_mark mark = arena_mark(&b->arena);
  float *x = arena_floats(&b->arena, (size_t)n*width + 1), *scratch = arena_floats(&b->arena, nearest_scratch(width));
  int *nearest = arena_get(&b->arena, sizeof(*nearest)*((size_t)n+1)), i;

  if( b->arena.oom ) return fail_nomem(b->err);
  if( cell_read(ix, c, b->err)!=SQLITE_OK || batch_vectors(b, c, x)!=SQLITE_OK ) return b->err->rc;
  nearest_of(&(struct centroids){ ix->centroids, ix->halves, ix->n_cells, width }, x, n, nearest, scratch);
  c->is_dirty = 1;              /* so that it stays while others are read */
  for(i=n-1; i>=0; i--){
    if( nearest[i]==at ) continue;
    to = ix->cells[nearest[i]];
    if( cell_read(ix, to, b->err)!=SQLITE_OK ) return b->err->rc;
    if( cell_reserve(ix, to, to->n+1)!=SQLITE_OK ) return fail_nomem(b->err);
    cell_append(ix, to, c->rowids[i], c->keys + (size_t)i*ix->shape.n_keys, x + (size_t)i*width);
    cell_take_out(ix, c, i);
  }
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}

/* Writes and drops what no longer fits into the cache: all cells are dirty here. */
static int make_room(struct index_batch *b){
  struct index *ix = b->index;

  if( ix->cached_bytes<=ix->cache_bytes ) return SQLITE_OK;
  if( index_write_cells(ix, b->err)==SQLITE_OK ) cells_trim(ix);
  return b->err->rc;
}

int index_optimize(struct index *ix, struct err *e){
  struct index_batch b = { .index = ix, .err = e };
  int i;

  if( index_load(ix, e)!=SQLITE_OK ) return e->rc;
  for(i=0; i<ix->n_cells && e->rc==SQLITE_OK; i++){
    if( center(&b, i)==SQLITE_OK ) make_room(&b);
  }
  for(i=0; i<ix->n_cells && e->rc==SQLITE_OK; i++){
    if( send_home(&b, i)==SQLITE_OK ) make_room(&b);
  }
  if( e->rc==SQLITE_OK && dissolve(&b)==SQLITE_OK && split_large(&b)==SQLITE_OK ) index_write(ix, e);
  cells_trim(ix);
  return batch_end(&b);
}

/* ---- Counts ---- */

int index_rows(struct index *ix, int64_t *n, struct err *e){
  *n = 0;
  if( index_load(ix, e)==SQLITE_OK ) *n = ix->n_rows;
  return e->rc;
}

int index_cells_count(struct index *ix, int64_t *n, struct err *e){
  *n = 0;
  if( index_load(ix, e)==SQLITE_OK ) *n = ix->n_cells;
  return e->rc;
}
