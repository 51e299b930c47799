/*
** index_change.c -- a batch of rows that leave and enter, and what keeps every cell within its
** bounds.
**
**  1. Removed rows leave their cells. Nearly always that is the cell with the nearest centroid;
**     else all others are looked through in order of distance.
**  2. Added rows enter the cell with the nearest centroid. The first rows of a group make a cell.
**  3. Cells that rows have left and that are too small now are dissolved: their rows enter the
**     nearest of the others.
**  4. Cells that are too large are split, and rows near the new boundaries move (index_split.c).
**     They move only where there is room, so one pass is enough.
**  5. Every cell that has changed is written, once.
**
** Where there are groups, "nearest" is always meant among the cells of the group.
**
** After it every cell has at most cell_rows rows, and at least cell_rows_least() unless it is the
** only one of its group. The same rows in the same batches give the same cells, bit by bit, on
** every machine.
**
** Measured (EPYC Zen 5, one core, 341,000 vectors of 100 floats, batches of 4,096 in one
** transaction, WAL): 18 us a row, 9 with the first 100,000 rows and 25 with the last. 1.6 exact
** vectors are fetched a row, cells are 75% full, and 9.7% of the rows that leave are not in the
** first cell that is looked at.
*/
#include "index.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- The nearest cells of many rows ---- */

/* A row of many, and its group. */
struct grouped {
  uint64_t group;
  int row;
};

static int compare_grouped(const void *a, const void *b){
  const struct grouped *p = a;
  const struct grouped *q = b;

  if( p->group!=q->group ) return p->group<q->group ? -1 : 1;
  return (p->row>q->row) - (p->row<q->row);
}

/* The rows group by group, each group's in their own order. In the arena. */
static struct grouped *sort_by_group(struct index_batch *b, const uint64_t *groups, int n){
  struct grouped *order = arena_get(&b->arena, sizeof(*order)*((size_t)n+1));

  if( order==NULL ) fail_nomem(b->err);
  for(int i=0; i<n && order; i++) order[i] = (struct grouped){ groups[i], i };
  if( order ) qsort(order, (size_t)n, sizeof(*order), compare_grouped);
  return order;
}

/* How many rows from order[0] on are of its group. */
static int count_group(const struct grouped *order, int n){
  int i = 1;

  while( i<n && order[i].group==order[0].group ) i++;
  return i;
}

/* The nearest cells of rows order[n], all of one group: nearest[row]. x, nearest: of all rows. */
static int nearest_in_group(struct index_batch *b, const struct grouped *order, int n,
                            const float *x, int *nearest, float *scratch){
  const struct arena_mark mark = arena_mark(&b->arena);
  const size_t width = (size_t)b->index->shape.width;
  const struct cell_range in = cells_of(b->index, order[0].group);
  const struct centroids to = cells_centroids(b->index, in);
  float *own = arena_floats(&b->arena, (size_t)n*width);
  int *found = arena_get(&b->arena, sizeof(*found)*(size_t)n);

  if( b->arena.oom ) return fail_nomem(b->err);
  for(int i=0; i<n; i++) memcpy(own + i*width, x + order[i].row*width, sizeof(float)*width);
  nearest_of(&to, own, n, found, scratch);
  for(int i=0; i<n; i++) nearest[order[i].row] = in.n>0 ? in.from + found[i] : -1;
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}

/* nearest[n]: the place of the nearest cell of each row's group; -1: the group has none. x[n,
** width], groups[n] (not read where the index has none). */
static int nearest_cells(struct index_batch *b, const float *x, const uint64_t *groups, int n,
                         int *nearest){
  struct index *ix = b->index;
  const struct arena_mark mark = arena_mark(&b->arena);
  const struct centroids all = cells_centroids(ix, (struct cell_range){ 0, ix->n_cells });
  float *scratch = arena_floats(&b->arena, nearest_scratch(ix->shape.width));
  const struct grouped *order;

  if( b->err->rc!=SQLITE_OK ) return b->err->rc;
  if( b->arena.oom ) return fail_nomem(b->err);
  if( !ix->shape.has_groups ){
    nearest_of(&all, x, n, nearest, scratch);
    for(int i=0; i<n && ix->n_cells==0; i++) nearest[i] = -1;
  }else if( (order = sort_by_group(b, groups, n))!=NULL ){
    for(int i=0; i<n && b->err->rc==SQLITE_OK; ){
      const int n_here = count_group(order + i, n - i);
      nearest_in_group(b, order + i, n_here, x, nearest, scratch);
      i += n_here;
    }
  }
  arena_rewind(&b->arena, mark);
  return b->err->rc;
}

/* ---- Rows that enter ---- */

/* Rows without a cell. */
struct pile {
  int n;
  int64_t *rowids;              /* [n] */
  uint64_t *groups;             /* [n] */
  const uint64_t **keys;        /* [n]: n_keys each */
  float *x;                     /* [n, width], rotated */
};

/* Room for n rows; the caller sets x. */
static int pile_init(struct index_batch *b, struct pile *p, int n){
  p->n = 0;
  p->rowids = arena_get(&b->arena, sizeof(*p->rowids)*(size_t)n);
  p->keys = arena_get(&b->arena, sizeof(*p->keys)*(size_t)n);
  p->groups = arena_get(&b->arena, sizeof(*p->groups)*(size_t)n);
  return b->arena.oom ? fail_nomem(b->err) : b->err->rc;
}

/* The cell of the first rows of a group, order[n]: around their mean. rows[n]: scratch. */
static int make_first_cell(struct index_batch *b, const struct pile *p, int64_t id,
                           const struct grouped *order, int n, int *rows){
  struct cell *c = cells_add(b->index, id, order[0].group);

  if( c==NULL ) return fail_nomem(b->err);
  for(int i=0; i<n; i++) rows[i] = order[i].row;
  rows_mean(c->centroid, p->x, rows, n, b->index->shape.width);
  cells_set_centroid(b->index, b->index->n_cells-1);
  return SQLITE_OK;
}

/* Where the group of a row has no cell, its rows make one. nearest[n]: where they are -1. */
static int make_first_cells(struct index_batch *b, const struct pile *p, const int *nearest){
  const struct arena_mark mark = arena_mark(&b->arena);
  const struct grouped *order = sort_by_group(b, p->groups, p->n);
  int *rows = arena_get(&b->arena, sizeof(*rows)*(size_t)p->n);
  int64_t id = cells_new_id(b->index);

  if( b->arena.oom ) return fail_nomem(b->err);
  for(int i=0; i<p->n && b->err->rc==SQLITE_OK; ){
    const int n_here = count_group(order + i, p->n - i);
    if( nearest[order[i].row]<0 ) make_first_cell(b, p, id++, order + i, n_here, rows);
    i += n_here;
  }
  cells_sort(b->index);
  arena_rewind(&b->arena, mark);
  return b->err->rc;
}

static int has_homeless(const int *nearest, int n){
  for(int i=0; i<n; i++){
    if( nearest[i]<0 ) return 1;
  }
  return 0;
}

/* order[n]: the rows cell by cell, those of cell k from starts[k] to starts[k+1], each cell's in
** their own order. starts[n_cells+2]. */
static void sort_by_cell(const int *cells, int n, int n_cells, int *starts, int *order){
  for(int i=0; i<n_cells+2; i++) starts[i] = 0;
  for(int i=0; i<n; i++) starts[cells[i]+2]++;
  for(int i=2; i<n_cells+2; i++) starts[i] += starts[i-1];
  for(int i=0; i<n; i++) order[starts[cells[i]+1]++] = i;
}

/* Rows order[n] of the pile enter cell c. */
static int enter_cell(struct index_batch *b, struct cell *c, const struct pile *p, const int *order,
                      int n){
  struct index *ix = b->index;
  const size_t width = (size_t)ix->shape.width;
  int n_before;

  if( cell_read(ix, c, b->err)!=SQLITE_OK ) return b->err->rc;
  n_before = c->n;
  if( n>INT32_MAX/2 - c->n ){
    return fail(b->err, SQLITE_TOOBIG, "%s: too many rows in one change", index_table(ix));
  }
  if( cell_reserve(ix, c, c->n + n)!=SQLITE_OK ) return fail_nomem(b->err);
  for(int i=0; i<n; i++){
    const int at = order[i];
    const int64_t rowid = p->rowids[at];
    if( cell_find(ix, c, rowid, part_of(ix, p->keys[at]), n_before)>=0 ){
      return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is added, but it is in cell %lld already",
                  index_table(ix), (long long)rowid, (long long)c->id);
    }
    cell_append(ix, c, rowid, p->keys[at], p->x + at*width);
  }
  return SQLITE_OK;
}

/* All rows of the pile enter the nearest cells. */
static int enter_cells(struct index_batch *b, const struct pile *p){
  struct index *ix = b->index;
  const struct arena_mark mark = arena_mark(&b->arena);
  const size_t n = (size_t)p->n;
  int *nearest, *starts, *order;

  if( b->err->rc!=SQLITE_OK || n==0 ) return b->err->rc;
  nearest = arena_get(&b->arena, sizeof(*nearest)*n);
  order = arena_get(&b->arena, sizeof(*order)*n);
  if( b->arena.oom ) return fail_nomem(b->err);
  if( nearest_cells(b, p->x, p->groups, p->n, nearest)!=SQLITE_OK ) return b->err->rc;
  if( has_homeless(nearest, p->n) ){
    make_first_cells(b, p, nearest);
    nearest_cells(b, p->x, p->groups, p->n, nearest);
  }
  starts = arena_get(&b->arena, sizeof(*starts)*((size_t)ix->n_cells+2));
  if( b->arena.oom ) return fail_nomem(b->err);
  if( b->err->rc!=SQLITE_OK ) return b->err->rc;
  sort_by_cell(nearest, p->n, ix->n_cells, starts, order);
  for(int i=0; i<ix->n_cells && b->err->rc==SQLITE_OK; i++){
    const int n_here = starts[i+1] - starts[i];
    if( n_here>0 ) enter_cell(b, ix->cells[i], p, order + starts[i], n_here);
  }
  arena_rewind(&b->arena, mark);
  return b->err->rc;
}

/* The keys of a part: those of its row, then its number. In the arena. */
static uint64_t *keys_of_part(struct index_batch *b, const uint64_t *keys, int part){
  const size_t n = (size_t)b->index->shape.n_keys;
  uint64_t *all = arena_get(&b->arena, sizeof(*all)*n);

  if( all==NULL ){
    fail_nomem(b->err);
    return NULL;
  }
  if( n>1 ) memcpy(all, keys, sizeof(*all)*(n-1));
  all[n-1] = (uint64_t)part;
  return all;
}

/* Appends the entries of a row. */
static int pile_row(struct index_batch *b, struct pile *p, const struct change *row){
  for(int k=0; k<row->n; k++){
    const uint64_t *keys = row->keys;
    if( b->index->shape.has_parts ) keys = keys_of_part(b, row->keys, k);
    p->rowids[p->n] = row->rowid;
    p->groups[p->n] = row->group;
    p->keys[p->n++] = keys;
  }
  return b->err->rc;
}

static int enter_added(struct index_batch *b){
  struct pile p;

  if( b->n_added==0 || batch_hold_added(b)!=SQLITE_OK ) return b->err->rc;
  if( pile_init(b, &p, batch_entries(b, b->added, b->n_added))!=SQLITE_OK ) return b->err->rc;
  for(int i=0; i<b->n_added; i++){
    if( pile_row(b, &p, &b->added[i])!=SQLITE_OK ) return b->err->rc;
  }
  p.x = b->vectors;
  b->index->n_rows += p.n;
  return enter_cells(b, &p);
}

/* ---- Rows that leave ---- */

/* Is the part of a row in this cell? *at: its place, or -1. */
static int find_in_cell(struct index_batch *b, int cell, int64_t rowid, int part, int *at){
  struct cell *c = b->index->cells[cell];

  *at = -1;
  if( cell_read(b->index, c, b->err)!=SQLITE_OK ) return b->err->rc;
  *at = cell_find(b->index, c, rowid, part, c->n);
  return SQLITE_OK;
}

/* Looks for the part of a row in all cells, those of its group first, the nearest to x first.
** *cell, *at: where it is. */
static int find_strayed(struct index_batch *b, const struct change *row, int part, const float *x,
                        int *cell, int *at){
  struct index *ix = b->index;
  const struct cell_range all = { 0, ix->n_cells };
  const struct arena_mark mark = arena_mark(&b->arena);
  const int n = ix->n_cells;
  int *cells = arena_get(&b->arena, sizeof(*cells)*((size_t)n+1));
  float *distances = arena_floats(&b->arena, (size_t)n+1);

  *at = -1;
  if( b->arena.oom ) return fail_nomem(b->err);
  cells_nearest(ix, all, x, n, cells, distances);
  for(int i=0; i<2*n && *at<0; i++){
    *cell = cells[i%n];
    if( (ix->cells[*cell]->group==row->group)!=(i<n) ) continue;
    if( find_in_cell(b, *cell, row->rowid, part, at)!=SQLITE_OK ) return b->err->rc;
  }
  arena_rewind(&b->arena, mark);
  if( *at<0 ){
    return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is not in the index",
                index_table(ix), (long long)row->rowid);
  }
  ix->n_strayed++;
  return SQLITE_OK;
}

/* Takes out the part of a row whose vector is x (rotated), and whose nearest cell this is; -1: its
** group has none. */
static int remove_part(struct index_batch *b, const struct change *row, int part, const float *x,
                       int cell){
  struct index *ix = b->index;
  int at = -1;

  if( cell>=0 ) find_in_cell(b, cell, row->rowid, part, &at);
  if( b->err->rc==SQLITE_OK && at<0 ) find_strayed(b, row, part, x, &cell, &at);
  if( b->err->rc==SQLITE_OK ) cell_take_out(ix, ix->cells[cell], at);
  return b->err->rc;
}

/* Takes out all entries of a row whose vectors are not known. */
static int remove_everywhere(struct index_batch *b, int64_t rowid){
  struct index *ix = b->index;
  int n = 0;

  for(int i=0; i<ix->n_cells; i++){
    struct cell *c = ix->cells[i];
    if( cell_read(ix, c, b->err)!=SQLITE_OK ) return b->err->rc;
    for(int at=c->n-1; at>=0; at--){
      if( c->rowids[at]!=rowid ) continue;
      cell_take_out(ix, c, at);
      n++;
    }
  }
  ix->n_rows -= n;
  if( n>0 ) return SQLITE_OK;
  return fail(b->err, SQLITE_CORRUPT, "%s: row %lld is not in the index", index_table(ix),
              (long long)rowid);
}

static int remove_rows(struct index_batch *b, const struct change *removed, int n){
  struct index *ix = b->index;
  const struct arena_mark mark = arena_mark(&b->arena);
  const size_t width = (size_t)ix->shape.width;
  const int entries = batch_entries(b, removed, n);
  uint64_t *groups, *group;
  int *nearest;
  float *x;

  if( b->err->rc!=SQLITE_OK || n==0 ) return b->err->rc;
  nearest = arena_get(&b->arena, sizeof(*nearest)*((size_t)entries+1));
  group = groups = arena_get(&b->arena, sizeof(*groups)*((size_t)entries+1));
  x = batch_rotated(b, removed, n);
  if( b->arena.oom ) return fail_nomem(b->err);
  if( x==NULL ) return b->err->rc;
  for(int i=0; i<n; i++){
    for(int k=0; k<removed[i].n; k++) *group++ = removed[i].group;
  }
  if( nearest_cells(b, x, groups, entries, nearest)!=SQLITE_OK ) return b->err->rc;
  for(int i=0; i<n; i++){
    if( removed[i].n==0 && remove_everywhere(b, removed[i].rowid)!=SQLITE_OK ) return b->err->rc;
    for(int k=0; k<removed[i].n; k++, x+=width, nearest++){
      if( remove_part(b, &removed[i], k, x, *nearest)!=SQLITE_OK ) return b->err->rc;
    }
  }
  ix->n_left += entries;
  ix->n_rows -= entries;
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}

/* ---- Cells that are too small ---- */

static int is_small(const struct index *ix, const struct cell *c){
  return c->n<cell_rows_least(ix);
}

/* The cells of a group: where all are small, the largest of them stays if it has rows. Returns its
** place, or -1. */
static int choose_survivor(const struct index *ix, struct cell_range in){
  int best = -1;

  for(int i=in.from; i<in.from+in.n; i++){
    const int most = best<0 ? 0 : ix->cells[best]->n;
    if( !is_small(ix, ix->cells[i]) ) return -1;
    if( ix->cells[i]->n>most ) best = i;
  }
  return best;
}

/* goes[n_cells]: which cells are to be dissolved. Returns how many. */
static int choose_small(const struct index *ix, uint8_t *goes){
  int n_small = 0;

  for(int at=0; at<ix->n_cells; ){
    const struct cell_range in = cells_of(ix, ix->cells[at]->group);
    const int survivor = choose_survivor(ix, in);
    for(; at<in.from+in.n; at++){
      goes[at] = is_small(ix, ix->cells[at]) && at!=survivor;
      n_small += goes[at];
    }
  }
  return n_small;
}

/* Moves the rows of the small cells, n in all, to the pile, with copies of their keys. The cells
** are gone after it. */
static int pile_small(struct index_batch *b, struct pile *p, int n, const uint8_t *goes){
  struct index *ix = b->index;
  const size_t n_keys = (size_t)ix->shape.n_keys;
  uint64_t *keys = arena_get(&b->arena, sizeof(uint64_t)*n_keys*n);

  if( keys==NULL ) return fail_nomem(b->err);
  for(int i=ix->n_cells-1; i>=0; i--){
    struct cell *c = ix->cells[i];
    if( !goes[i] ) continue;
    cell_read(ix, c, b->err);
    if( batch_vectors(b, c, p->x + (size_t)p->n*ix->shape.width)!=SQLITE_OK ) return b->err->rc;
    for(int k=0; k<c->n; k++){
      if( n_keys>0 ) memcpy(keys, c->keys + (size_t)k*n_keys, sizeof(uint64_t)*n_keys);
      p->rowids[p->n] = c->rowids[k];
      p->groups[p->n] = c->group;
      p->keys[p->n++] = keys;
      keys += n_keys;
    }
  }
  return cells_erase(ix, goes, b->err);
}

static int dissolve_small(struct index_batch *b){
  struct index *ix = b->index;
  const struct arena_mark mark = arena_mark(&b->arena);
  uint8_t *goes;
  struct pile p;
  int n = 0;

  if( b->err->rc!=SQLITE_OK ) return b->err->rc;
  goes = arena_get(&b->arena, (size_t)ix->n_cells+1);
  if( goes==NULL ) return fail_nomem(b->err);
  if( choose_small(ix, goes)==0 ){
    arena_rewind(&b->arena, mark);
    return SQLITE_OK;
  }
  for(int i=0; i<ix->n_cells; i++) n += goes[i] ? ix->cells[i]->n : 0;
  if( pile_init(b, &p, n)!=SQLITE_OK ) return b->err->rc;
  p.x = arena_floats(&b->arena, (size_t)n*ix->shape.width + 1);
  if( p.x==NULL ) return fail_nomem(b->err);
  if( pile_small(b, &p, n, goes)!=SQLITE_OK ) return b->err->rc;
  if( enter_cells(b, &p)!=SQLITE_OK ) return b->err->rc;
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}

/* ---- The whole change ---- */

static int split_large(struct index_batch *b){
  struct index *ix = b->index;
  /* Cells that a split makes need no splitting. They lie behind the others of their group. */
  for(int i=0; i<ix->n_cells && b->err->rc==SQLITE_OK; i++){
    if( ix->cells[i]->n>ix->shape.cell_rows ) cell_split(b, i);
  }
  return b->err->rc;
}

int index_change(struct index *ix, const struct change *removed, int n_removed,
                 const struct change *added, int n_added, struct err *e){
  struct index_batch b = { .index = ix, .added = added, .n_added = n_added, .err = e };

  assert( n_removed>=0 && (n_removed==0 || removed) );
  assert( n_added>=0 && (n_added==0 || added) );
  if( index_load(ix, e)!=SQLITE_OK ) return e->rc;
  remove_rows(&b, removed, n_removed);
  enter_added(&b);
  dissolve_small(&b);
  split_large(&b);
  index_write(ix, e);
  cells_trim(ix);
  return batch_end(&b);
}

/* ---- Optimize ---- */

/* The centroid becomes the mean of its rows, which are coded anew. */
static int center_cell(struct index_batch *b, int at){
  struct index *ix = b->index;
  struct cell *c = ix->cells[at];
  const size_t width = (size_t)ix->shape.width;
  const struct arena_mark mark = arena_mark(&b->arena);
  float *x;

  if( cell_read(ix, c, b->err)!=SQLITE_OK ) return b->err->rc;
  x = arena_floats(&b->arena, c->n*width);
  if( x==NULL ) return fail_nomem(b->err);
  if( batch_vectors(b, c, x)!=SQLITE_OK ) return b->err->rc;
  rows_mean(c->centroid, x, NULL, c->n, (int)width);
  cells_set_centroid(ix, at);
  for(int i=0; i<c->n; i++) cell_code(ix, c, i, x + i*width);
  c->is_dirty = 1;
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}

/* Rows of a cell that are nearer to another one go there. Rows that came in from a cell before it
** may be looked at twice: no harm. */
static int send_to_nearest(struct index_batch *b, int at){
  struct index *ix = b->index;
  struct cell *c = ix->cells[at];
  const int n = c->n;
  const size_t width = (size_t)ix->shape.width;
  const size_t n_keys = (size_t)ix->shape.n_keys;
  const struct arena_mark mark = arena_mark(&b->arena);
  const struct cell_range in = cells_of(ix, c->group);
  const struct centroids all = cells_centroids(ix, in);
  float *x = arena_floats(&b->arena, n*width + 1);
  float *scratch = arena_floats(&b->arena, nearest_scratch(ix->shape.width));
  int *nearest = arena_get(&b->arena, sizeof(*nearest)*((size_t)n+1));

  if( b->arena.oom ) return fail_nomem(b->err);
  cell_read(ix, c, b->err);
  if( batch_vectors(b, c, x)!=SQLITE_OK ) return b->err->rc;
  nearest_of(&all, x, n, nearest, scratch);
  c->is_dirty = 1;              /* so that it stays while others are read */
  for(int i=n-1; i>=0; i--){
    struct cell *to = ix->cells[in.from + nearest[i]];
    if( to==c ) continue;
    if( cell_read(ix, to, b->err)!=SQLITE_OK ) return b->err->rc;
    if( cell_reserve(ix, to, to->n+1)!=SQLITE_OK ) return fail_nomem(b->err);
    cell_append(ix, to, c->rowids[i], c->keys + i*n_keys, x + i*width);
    cell_take_out(ix, c, i);
  }
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}

/* Writes and drops what no longer fits into the cache: all cells are dirty during this work. */
static int spill(struct index_batch *b){
  struct index *ix = b->index;

  if( ix->cached_bytes<=ix->cache_bytes ) return SQLITE_OK;
  if( index_write_cells(ix, b->err)==SQLITE_OK ) cells_trim(ix);
  return b->err->rc;
}

int index_optimize(struct index *ix, struct err *e){
  struct index_batch b = { .index = ix, .err = e };

  if( index_load(ix, e)!=SQLITE_OK ) return e->rc;
  for(int i=0; i<ix->n_cells && e->rc==SQLITE_OK; i++){
    if( center_cell(&b, i)==SQLITE_OK ) spill(&b);
  }
  for(int i=0; i<ix->n_cells && e->rc==SQLITE_OK; i++){
    if( send_to_nearest(&b, i)==SQLITE_OK ) spill(&b);
  }
  dissolve_small(&b);
  split_large(&b);
  index_write(ix, e);
  cells_trim(ix);
  return batch_end(&b);
}
