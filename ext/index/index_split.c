/*
** index_split.c -- a cell that has grown too large becomes two or more, and rows near the new
** boundaries change cells.
**
**  1. 2-means. The first boundary goes through the mean, at right angles to the direction of the
**     row farthest from it. Then comes each side's mean, and the boundary halfway between the
**     two, until no row changes sides (Lloyd). A side gets at least an eighth of the rows: where
**     it has fewer, it takes the next nearest to the boundary. Where nothing tells the rows
**     apart, they are halved in their order. Each part that is still too large is split again.
**  2. The first part keeps the cell's id, each other part makes a new cell. All rows are coded
**     anew, from their exact vectors.
**  3. Reassignment (LIRE of SPFresh, Xu et al. 2023). Only two kinds of rows can now lie in the
**     wrong cell. A row of the old cell may be nearer to a neighbour than to its new centroid. A
**     row of a neighbour may be nearer to a new centroid than to its own. Its bytes decide which
**     of these are fetched; then the exact vector decides. Rows move only to cells with room, and
**     never out of a cell with the least number of rows, so that no move calls for another split.
**     A row that therefore stays with the second nearest centroid costs a search a little, and is
**     found all the same.
**
** Scores are <x, centroid> - half the centroid's squared length: the largest is the nearest.
*/
#include "index.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 12, NEIGHBOURS = 16 };
/* By which a score must be better for a row to move: more than rounding. */
static const float NEARER = 1e-5f;

/* On which side of a boundary a row is, and how far. */
struct score {
  float score;
  int row;
};

struct split {
  struct index_batch *batch;
  struct cell *old;
  int n;                        /* its rows */
  const float *x;               /* [n, width], exact and rotated */
  int *order;                   /* [n]: rows, part by part */
  int *starts;                  /* [n+1]: where each part begins in order, and the end */
  int n_parts;
  struct score *scores;         /* [n] */
  float *means;                 /* [3, width]: scratch of halve() */
  int *cells;                   /* [n_parts]: where the parts are now; then [n_neighbours] */
  struct cell_range group;      /* the cells among which neighbours are looked for */
  int n_neighbours;             /* cells around them */
  float *centroids, *halves;    /* of the parts and the neighbours, in the order of cells */
};

static int width_of(const struct split *s){
  return s->batch->index->shape.width;
}

static const float *row_of(const struct split *s, int row){
  return s->x + (size_t)row*width_of(s);
}

/* ---- 1. Parts ---- */

/* High ones first; no two are equal. */
static int compare_scores(const void *a, const void *b){
  const struct score *p = a;
  const struct score *q = b;

  if( p->score!=q->score ) return p->score>q->score ? -1 : 1;
  return p->row<q->row ? -1 : 1;
}

/* Scores the rows order[from..from+n) against the boundary <x, direction> = threshold. Returns
** how many have a positive score: they are on the left side. */
static int score_rows(struct split *s, int from, int n, const float *direction, float threshold){
  int n_left = 0;

  for(int i=from; i<from+n; i++){
    s->scores[i].row = s->order[i];
    s->scores[i].score = dot(row_of(s, s->order[i]), direction, width_of(s)) - threshold;
    n_left += s->scores[i].score>0;
  }
  return n_left;
}

/* The first boundary: direction[width], from the mean to the row farthest from it. Returns the
** threshold. */
static float first_boundary(const struct split *s, int from, int n, const float *mean,
                            float *direction){
  const int width = width_of(s);
  const float *farthest = row_of(s, s->order[from]);
  float least = 0;

  for(int i=from; i<from+n; i++){
    const float *x = row_of(s, s->order[i]);
    const float near = dot(x, mean, width) - 0.5f*dot(x, x, width);
    if( i==from || near<least ){
      least = near;
      farthest = x;
    }
  }
  for(int i=0; i<width; i++) direction[i] = farthest[i] - mean[i];
  return dot(mean, direction, width);
}

/* The boundary between the means of the two sides. total: the sum of all rows. left[width]:
** scratch. */
static float next_boundary(const struct split *s, int from, int n, int n_left, const float *total,
                           float *left,
                           float *direction){
  const int width = width_of(s);
  const float left_share = 1.0f/(float)n_left;
  const float right_share = 1.0f/(float)(n - n_left);

  memset(left, 0, sizeof(float)*(size_t)width);
  for(int i=from; i<from+n; i++){
    if( s->scores[i].score>0 ) add(left, row_of(s, s->scores[i].row), width);
  }
  for(int i=0; i<width; i++){
    const float a = left[i]*left_share;
    const float b = (total[i] - left[i])*right_share;
    direction[i] = a - b;
    left[i] = a + b;
  }
  return 0.5f*dot(left, direction, width);      /* (a + b)(a - b)/2 */
}

/* Puts the rows of the left side first, each side in its order. */
static void part_rows(struct split *s, int from, int n, int n_left){
  int left = from;
  int right = from + n_left;

  for(int i=from; i<from+n; i++){
    const int to = s->scores[i].score>0 ? left++ : right++;
    s->order[to] = s->scores[i].row;
  }
}

/* Splits order[from..from+n) in two. Returns how many rows are in the first. */
static int halve(struct split *s, int from, int n){
  const int width = width_of(s);
  const int least = n/8>1 ? n/8 : 1;
  float *total = s->means;
  float *left = total + width;
  float *direction = left + width;
  float threshold;
  int n_left, n_last = -1;

  rows_sum(total, s->x, s->order + from, n, width);
  for(int i=0; i<width; i++) left[i] = total[i]*(1.0f/(float)n);
  threshold = first_boundary(s, from, n, left, direction);
  n_left = score_rows(s, from, n, direction, threshold);
  for(int round=0; round<ROUNDS; round++){
    if( n_left<=0 || n_left>=n || n_left==n_last ) break;
    n_last = n_left;
    threshold = next_boundary(s, from, n, n_left, total, left, direction);
    n_left = score_rows(s, from, n, direction, threshold);
  }
  if( n_left>=least && n_left<=n-least ){
    part_rows(s, from, n, n_left);
    return n_left;
  }
  qsort(s->scores + from, (size_t)n, sizeof(s->scores[0]), compare_scores);
  for(int i=from; i<from+n; i++) s->order[i] = s->scores[i].row;
  if( n_left<=0 || n_left>=n ) return n/2;
  return n_left<least ? least : n - least;
}

/* Divides into parts of at most cell_rows. Each is at most 7/8 of what it came from, so this is
** not deep. */
static void divide(struct split *s, int from, int n){
  int n_left;

  if( n<=s->batch->index->shape.cell_rows ){
    s->starts[s->n_parts++] = from;
    return;
  }
  n_left = halve(s, from, n);
  divide(s, from, n_left);
  divide(s, from + n_left, n - n_left);
}

/* ---- 2. Cells ---- */

/* Centroid and rows of a part, taken from the old cell, into c, which has no rows. */
static int fill_cell(struct split *s, struct cell *c, int part){
  struct index *ix = s->batch->index;
  const size_t n_keys = (size_t)ix->shape.n_keys;
  const int from = s->starts[part];
  const int to = s->starts[part+1];

  rows_mean(c->centroid, s->x, s->order + from, to - from, width_of(s));
  if( cell_reserve(ix, c, to - from)!=SQLITE_OK ) return fail_nomem(s->batch->err);
  for(int i=from; i<to; i++){
    const int row = s->order[i];
    cell_append(ix, c, s->old->rowids[row], s->old->keys + row*n_keys, row_of(s, row));
  }
  c->used = ++ix->clock;
  return SQLITE_OK;
}

/* The first part is filled last, when the others have taken their rows out of the old cell. */
static int make_cells(struct split *s, int at){
  struct index *ix = s->batch->index;
  struct cell first = { .centroid = s->old->centroid };
  int rc;

  for(int part=1; part<s->n_parts; part++){
    struct cell *c = cells_add(ix, cells_new_id(ix), s->old->group);
    if( c==NULL ) return fail_nomem(s->batch->err);
    s->cells[part] = ix->n_cells-1;
    if( fill_cell(s, c, part)!=SQLITE_OK ) return s->batch->err->rc;
    cells_set_centroid(ix, s->cells[part]);
  }
  s->cells[0] = at;
  rc = fill_cell(s, &first, 0);
  cells_set_centroid(ix, at);
  if( rc==SQLITE_OK ) cell_swap_codes(s->old, &first);
  s->old->is_dirty = 1;
  cell_drop_codes(ix, &first);
  return rc;
}

/* ---- 3. Reassignment ---- */

static int is_part(const struct split *s, int cell){
  for(int i=0; i<s->n_parts; i++){
    if( s->cells[i]==cell ) return 1;
  }
  return 0;
}

/* Puts the cells around the old centroid behind the parts in s->cells, and copies the centroids
** of them all. */
static int find_neighbours(struct split *s, const float *old_centroid){
  struct index *ix = s->batch->index;
  struct arena *a = &s->batch->arena;
  const size_t width = (size_t)ix->shape.width;
  int n = NEIGHBOURS + s->n_parts;
  int *nearest = arena_get(a, sizeof(*nearest)*(size_t)n);
  float *distances = arena_floats(a, (size_t)n);

  s->centroids = arena_floats(a, (size_t)n*width);
  s->halves = arena_floats(a, (size_t)n);
  if( a->oom ) return fail_nomem(s->batch->err);
  n = cells_nearest(ix, s->group, old_centroid, n, nearest, distances);
  for(int i=0; i<n && s->n_neighbours<NEIGHBOURS; i++){
    if( is_part(s, nearest[i]) ) continue;
    s->cells[s->n_parts + s->n_neighbours] = nearest[i];
    s->n_neighbours++;
  }
  for(int i=0; i<s->n_parts+s->n_neighbours; i++){
    const size_t cell = (size_t)s->cells[i];
    memcpy(s->centroids + i*width, ix->centroids + cell*width, sizeof(float)*width);
    s->halves[i] = ix->halves[cell];
  }
  return SQLITE_OK;
}

/* Row `at` of one cell goes to another, coded from x, if both cells allow it. */
static int move_row(struct split *s, struct cell *from, int at, struct cell *to, const float *x){
  struct index *ix = s->batch->index;
  const size_t n_keys = (size_t)ix->shape.n_keys;

  if( to->n>=ix->shape.cell_rows || from->n<=cell_rows_least(ix) ) return SQLITE_OK;
  from->is_dirty = 1;           /* so that it stays while the other is read */
  if( cell_read(ix, to, s->batch->err)!=SQLITE_OK ) return s->batch->err->rc;
  if( cell_reserve(ix, to, to->n+1)!=SQLITE_OK ) return fail_nomem(s->batch->err);
  cell_append(ix, to, from->rowids[at], from->keys + at*n_keys, x);
  cell_take_out(ix, from, at);
  return SQLITE_OK;
}

/* Moves rows of the parts that are nearer to another part or a neighbour. starts and order say
** where each row is: row k of a part is at place k of its cell, until rows move. So this goes
** through the places from the last to the first. A row that leaves does not disturb the places
** before it, and rows that come in lie behind. */
static int reassign_parts(struct split *s){
  struct index *ix = s->batch->index;
  struct arena *a = &s->batch->arena;
  const int width = ix->shape.width;
  const struct centroids all = {
    .centroids = s->centroids,
    .halves = s->halves,
    .n = s->n_parts + s->n_neighbours,
    .width = width
  };
  int *nearest = arena_get(a, sizeof(*nearest)*(size_t)s->n);
  float *scratch = arena_floats(a, nearest_scratch(width));

  if( a->oom ) return fail_nomem(s->batch->err);
  nearest_of(&all, s->x, s->n, nearest, scratch);
  for(int part=0; part<s->n_parts; part++){
    struct cell *c = ix->cells[s->cells[part]];
    const float *own = s->centroids + (size_t)part*width;
    for(int i=s->starts[part+1]-1; i>=s->starts[part]; i--){
      const float *x = row_of(s, s->order[i]);
      const int best = nearest[s->order[i]];
      const float *other = s->centroids + (size_t)best*width;
      float here, there;
      if( best==part ) continue;
      here = dot(x, own, width) - s->halves[part];
      there = dot(x, other, width) - s->halves[best];
      if( there<here + NEARER ) continue;
      if( move_row(s, c, i - s->starts[part], ix->cells[s->cells[best]], x)!=SQLITE_OK ) break;
    }
    if( s->batch->err->rc!=SQLITE_OK ) break;
  }
  return s->batch->err->rc;
}

/* How one neighbour compares with the parts. */
struct comparison {
  /* [n_parts, width]: the centroid of each part less the neighbour's */
  float *differences;
  /* [n_parts]: how much better than the neighbour's centroid that of a part scores for the
  ** neighbour's centroid itself */
  float *gains;
  float *x;                     /* [width]: scratch */
};

/* The part that a neighbour's row is nearest to by its bytes, if it is nearer than the
** neighbour's centroid; else -1. */
static int nearest_part(const struct split *s, const struct cell *c, int row,
                        const struct comparison *k){
  const int width = width_of(s);
  const int8_t *bytes = c->bytes + (size_t)row*width;
  const float step = half_to_float(cell_factors(c, row).step);
  float best = NEARER;
  int best_part = -1;

  for(int part=0; part<s->n_parts; part++){
    const float *difference = k->differences + (size_t)part*width;
    const float gain = k->gains[part] + step*dot_bytes(difference, bytes, width);
    if( gain>best ){
      best = gain;
      best_part = part;
    }
  }
  return best_part;
}

/* Moves the rows of one neighbour that are nearer to a part. */
static int reassign_neighbour(struct split *s, int neighbour, const struct comparison *k){
  struct index *ix = s->batch->index;
  struct cell *c = ix->cells[s->cells[neighbour]];
  const int width = ix->shape.width;
  const float *own = s->centroids + (size_t)neighbour*width;

  if( cell_read(ix, c, s->batch->err)!=SQLITE_OK ) return s->batch->err->rc;
  for(int part=0; part<s->n_parts; part++){
    const float *centroid = s->centroids + (size_t)part*width;
    float *difference = k->differences + (size_t)part*width;
    for(int i=0; i<width; i++) difference[i] = centroid[i] - own[i];
    k->gains[part] = dot(own, difference, width) - s->halves[part] + s->halves[neighbour];
  }
  for(int row=c->n-1; row>=0 && c->n>cell_rows_least(ix); row--){
    const int part = nearest_part(s, c, row, k);
    struct cell *to = part<0 ? NULL : ix->cells[s->cells[part]];
    float product;
    if( to==NULL || to->n>=ix->shape.cell_rows ) continue;
    batch_vector(s->batch, c->rowids[row], cell_part(ix, c, row), k->x);
    if( s->batch->err->rc!=SQLITE_OK ) break;
    product = dot(k->x, k->differences + (size_t)part*width, width);
    if( product - s->halves[part] + s->halves[neighbour]<NEARER ) continue;
    if( move_row(s, c, row, to, k->x)!=SQLITE_OK ) break;
  }
  return s->batch->err->rc;
}

static int reassign_neighbours(struct split *s){
  struct arena *a = &s->batch->arena;
  const size_t width = (size_t)width_of(s);
  const struct comparison k = {
    .differences = arena_floats(a, width*s->n_parts),
    .gains = arena_floats(a, (size_t)s->n_parts),
    .x = arena_floats(a, width)
  };

  if( a->oom ) return fail_nomem(s->batch->err);
  for(int i=0; i<s->n_neighbours; i++){
    if( reassign_neighbour(s, s->n_parts + i, &k)!=SQLITE_OK ) break;
  }
  return s->batch->err->rc;
}

/* ---- All of it ---- */

/* Memory, and the exact vectors of the rows. */
static int split_init(struct split *s){
  struct arena *a = &s->batch->arena;
  const size_t n = (size_t)s->n;
  const size_t width = (size_t)width_of(s);
  float *x = arena_floats(a, n*width);

  s->x = x;
  s->order = arena_get(a, sizeof(*s->order)*n);
  s->starts = arena_get(a, sizeof(*s->starts)*(n+1));
  s->scores = arena_get(a, sizeof(*s->scores)*n);
  s->means = arena_floats(a, 3*width);
  s->cells = arena_get(a, sizeof(*s->cells)*(n+NEIGHBOURS));
  if( a->oom ) return fail_nomem(s->batch->err);
  for(int i=0; i<s->n; i++) s->order[i] = i;
  return batch_vectors(s->batch, s->old, x);
}

int cell_split(struct index_batch *b, int at){
  struct index *ix = b->index;
  const size_t width = (size_t)ix->shape.width;
  const struct arena_mark mark = arena_mark(&b->arena);
  struct cell *old = ix->cells[at];
  struct split s = { .batch = b, .old = old, .n = old->n, .group = cells_of(ix, old->group) };
  float *old_centroid;

  assert( s.n>ix->shape.cell_rows );
  if( cell_read(ix, s.old, b->err)!=SQLITE_OK || split_init(&s)!=SQLITE_OK ) return b->err->rc;
  old_centroid = arena_floats(&b->arena, width);
  if( old_centroid==NULL ) return fail_nomem(b->err);
  memcpy(old_centroid, s.old->centroid, sizeof(float)*width);
  divide(&s, 0, s.n);
  s.starts[s.n_parts] = s.n;
  if( make_cells(&s, at)!=SQLITE_OK ) return b->err->rc;
  if( find_neighbours(&s, old_centroid)!=SQLITE_OK ) return b->err->rc;
  if( reassign_parts(&s)!=SQLITE_OK ) return b->err->rc;
  if( reassign_neighbours(&s)!=SQLITE_OK ) return b->err->rc;
  cells_sort(ix);
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}
