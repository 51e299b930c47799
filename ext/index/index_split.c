/*
** index_split.c -- a cell that has grown too large becomes two or more, and rows near the new boundaries change cells.
**
**  1. 2-means: a first boundary through the mean, across the way to the row farthest from it; then each side's mean, and the boundary halfway
**     between the two, until no row changes sides (Lloyd). A side gets at least an eighth of the rows: the next nearest to the boundary
**     are taken where it has fewer, and where nothing tells the rows apart they are halved in their order. Each part that is still too large is
**     split again.
**  2. The first part keeps the cell's id, each other part makes a new cell. All rows are coded anew, from their exact vectors.
**  3. Reassignment (LIRE of SPFresh, Xu et al. 2023): only two kinds of rows can now lie in the wrong cell. A row of the old cell may
**     be nearer to a neighbour than to its new centroid; a row of a neighbour may be nearer to a new centroid than to its own. Its bytes decide
**     which of these are fetched: the exact vector has the last word.
**     Rows move only to cells with room, and never out of a cell with the least number of rows: so that no move calls for another split. A row that
**     therefore stays with the second nearest centroid costs a search a little, and is found all the same.
*/
#include "index.h"
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 12, NEIGHBOURS = 16 };
#define NEARER 1e-5f            /* by which a score must be better for a row to move: more than rounding */

/* Scores are <x, centroid> - half the centroid's squared length: the largest is the nearest. */

struct split {
  struct index_batch *batch;
  struct cell *old;
  int n;                        /* its rows */
  const float *x;               /* [n, width], exact and rotated */
  int *order;                   /* [n]: rows, part by part */
  int *starts;                  /* [n+1]: where each part begins in order; and the end */
  int n_parts;
  struct score { float score; int row; } *scores;       /* [n] */
  float *means;                 /* [3, width]: scratch of halve() */
  int *cells;                   /* [n_parts]: where they are now, then [n_neighbours] those around them */
  int n_neighbours;
  float *centroids, *halves;    /* of all of these */
};

/* ---- 1. Parts ---- */

static int by_score(const void *a, const void *b){      /* high ones first; no two are equal */
  const struct score *p = a, *q = b;

  if( p->score!=q->score ) return p->score>q->score ? -1 : 1;
  return p->row<q->row ? -1 : 1;
}

/* How many of the rows order[from..from+n) have a positive score: on which side of the boundary <x, direction> = threshold they lie. */
static int score_rows(struct split *s, int from, int n, const float *direction, float threshold){
  const int width = s->batch->index->shape.width;
  int i, n_left = 0;

  for(i=from; i<from+n; i++){
    s->scores[i].row = s->order[i];
    s->scores[i].score = dot(s->x + (size_t)s->order[i]*width, direction, width) - threshold;
    n_left += s->scores[i].score>0;
  }
  return n_left;
}

/* The first boundary: direction[width], from the mean to the row farthest from it. Gives the threshold. */
static float first_boundary(const struct split *s, int from, int n, const float *mean, float *direction){
  const int width = s->batch->index->shape.width;
  const float *farthest = s->x + (size_t)s->order[from]*width;
  float least = 0;
  int i;

  for(i=from; i<from+n; i++){
    const float *x = s->x + (size_t)s->order[i]*width;
    const float near = dot(x, mean, width) - 0.5f*dot(x, x, width);
    if( i==from || near<least ){
      least = near;
      farthest = x;
    }
  }
  for(i=0; i<width; i++) direction[i] = farthest[i] - mean[i];
  return dot(mean, direction, width);
}

/* The boundary between the means of the two sides. total: the sum of all rows. */
static float next_boundary(const struct split *s, int from, int n, int n_left, const float *total, float *left, float *direction){
  const int width = s->batch->index->shape.width;
  int i;

  memset(left, 0, sizeof(float)*(size_t)width);
  for(i=from; i<from+n; i++){
    if( s->scores[i].score>0 ) add(left, s->x + (size_t)s->scores[i].row*width, width);
  }
  for(i=0; i<width; i++){
    const float a = left[i]*(1.0f/(float)n_left), b = (total[i] - left[i])*(1.0f/(float)(n - n_left));
    direction[i] = a - b;
    left[i] = a + b;
  }
  return 0.5f*dot(left, direction, width);      /* (a + b)(a - b)/2 */
}

/* The rows of the left side first, each side in its order. */
static void part_rows(struct split *s, int from, int n, int n_left){
  int i, left = from, right = from + n_left;

  for(i=from; i<from+n; i++){
    s->order[s->scores[i].score>0 ? left++ : right++] = s->scores[i].row;
  }
}

/* Splits order[from..from+n) in two. Returns how many rows are in the first. */
static int halve(struct split *s, int from, int n){
  const int width = s->batch->index->shape.width, least = n/8>1 ? n/8 : 1;
  float *total = s->means, *left = total + width, *direction = left + width, threshold;
  int i, n_left, n_last = -1, round;

  memset(total, 0, sizeof(float)*(size_t)width);
  for(i=from; i<from+n; i++) add(total, s->x + (size_t)s->order[i]*width, width);
  for(i=0; i<width; i++) left[i] = total[i]*(1.0f/(float)n);
  threshold = first_boundary(s, from, n, left, direction);
  n_left = score_rows(s, from, n, direction, threshold);
  for(round=0; round<ROUNDS && n_left>0 && n_left<n && n_left!=n_last; round++){
    n_last = n_left;
    threshold = next_boundary(s, from, n, n_left, total, left, direction);
    n_left = score_rows(s, from, n, direction, threshold);
  }
  if( n_left>=least && n_left<=n-least ){
    part_rows(s, from, n, n_left);
    return n_left;
  }
  qsort(s->scores + from, (size_t)n, sizeof(s->scores[0]), by_score);
  for(i=from; i<from+n; i++) s->order[i] = s->scores[i].row;
  return n_left<=0 || n_left>=n ? n/2 : n_left<least ? least : n - least;
}

/* Parts of at most cell_rows. Each is at most 7/8 of what it came from, so this is not deep. */
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

static void set_centroid(const struct split *s, struct cell *c, int part){
  const int width = s->batch->index->shape.width, from = s->starts[part], to = s->starts[part+1];
  int i;

  memset(c->centroid, 0, sizeof(float)*(size_t)width);
  for(i=from; i<to; i++) add(c->centroid, s->x + (size_t)s->order[i]*width, width);
  for(i=0; i<width; i++) c->centroid[i] *= 1.0f/(float)(to - from);
}

/* The rows of a part, taken from the old cell. */
static int fill(struct split *s, struct cell *c, int part){
  struct index *ix = s->batch->index;
  int i;

  if( cell_reserve(ix, c, s->starts[part+1] - s->starts[part])!=SQLITE_OK ) return fail_nomem(s->batch->err);
  for(i=s->starts[part]; i<s->starts[part+1]; i++){
    const size_t row = (size_t)s->order[i];
    cell_append(ix, c, s->old->rowids[row], s->old->keys + row*ix->shape.n_keys, s->x + row*ix->shape.width);
  }
  c->used = ++ix->clock;
  return SQLITE_OK;
}

/* The first part is filled last, when the others have taken their rows out of the old cell. */
static int make_cells(struct split *s, int at){
  struct index *ix = s->batch->index;
  struct cell first = { .centroid = s->old->centroid };
  int part, rc;

  for(part=1; part<s->n_parts; part++){
    struct cell *c = cells_add(ix, ix->cells[ix->n_cells-1]->id + 1);
    if( c==NULL ) return fail_nomem(s->batch->err);
    set_centroid(s, c, part);
    cells_place(ix, ix->n_cells-1);
    s->cells[part] = ix->n_cells-1;
    if( fill(s, c, part)!=SQLITE_OK ) return s->batch->err->rc;
  }
  set_centroid(s, &first, 0);
  cells_place(ix, at);
  s->cells[0] = at;
  rc = fill(s, &first, 0);
  if( rc==SQLITE_OK ) cell_swap_codes(s->old, &first);
  s->old->is_dirty = 1;
  cell_drop_codes(ix, &first);
  return rc;
}

/* ---- 3. Reassignment ---- */

static int is_part(const struct split *s, int cell){
  int i;

  for(i=0; i<s->n_parts; i++){
    if( s->cells[i]==cell ) return 1;
  }
  return 0;
}

/* The cells around the old centroid, behind the parts in s->cells; and the centroids of them all. */
static int find_neighbours(struct split *s, const float *old_centroid){
  struct index *ix = s->batch->index;
  const size_t width = (size_t)ix->shape.width;
  int n = NEIGHBOURS + s->n_parts, i, *nearest = arena_get(&s->batch->arena, sizeof(*nearest)*(size_t)n);
  float *distances = arena_floats(&s->batch->arena, (size_t)n);

  s->centroids = arena_floats(&s->batch->arena, (size_t)n*width);
  s->halves = arena_floats(&s->batch->arena, (size_t)n);
  if( s->batch->arena.oom ) return fail_nomem(s->batch->err);
  n = cells_nearest(ix, old_centroid, n, nearest, distances);
  for(i=0; i<n && s->n_neighbours<NEIGHBOURS; i++){
    if( !is_part(s, nearest[i]) ) s->cells[s->n_parts + s->n_neighbours++] = nearest[i];
  }
  for(i=0; i<s->n_parts+s->n_neighbours; i++){
    memcpy(s->centroids + (size_t)i*width, ix->centroids + (size_t)s->cells[i]*width, sizeof(float)*width);
    s->halves[i] = ix->halves[s->cells[i]];
  }
  return SQLITE_OK;
}

/* Row `at` of one cell goes to another, coded from x, where that is allowed. */
static int move(struct split *s, struct cell *from, int at, struct cell *to, const float *x){
  struct index *ix = s->batch->index;

  if( to->n>=ix->shape.cell_rows || from->n<=cell_rows_least(ix) ) return SQLITE_OK;
  from->is_dirty = 1;           /* it stays while the other is read */
  if( cell_read(ix, to, s->batch->err)!=SQLITE_OK ) return s->batch->err->rc;
  if( cell_reserve(ix, to, to->n+1)!=SQLITE_OK ) return fail_nomem(s->batch->err);
  cell_append(ix, to, from->rowids[at], from->keys + (size_t)at*ix->shape.n_keys, x);
  cell_take_out(ix, from, at);
  return SQLITE_OK;
}

/* Rows of the parts that are nearer to another part or a neighbour. starts and order say where each is: row k of a part is at place k of its cell, until
** rows move. So the places are gone through from the last to the first, which a row that leaves does not disturb; rows that come in lie behind. */
static int reassign_parts(struct split *s){
  struct index *ix = s->batch->index;
  const int width = ix->shape.width;
  const struct centroids all = { s->centroids, s->halves, s->n_parts + s->n_neighbours, width };
  int *nearest = arena_get(&s->batch->arena, sizeof(*nearest)*(size_t)s->n), part, i;
  float *scratch = arena_floats(&s->batch->arena, nearest_scratch(width));

  if( s->batch->arena.oom ) return fail_nomem(s->batch->err);
  nearest_of(&all, s->x, s->n, nearest, scratch);
  for(part=0; part<s->n_parts; part++){
    struct cell *c = ix->cells[s->cells[part]];
    const float *own = s->centroids + (size_t)part*width;
    for(i=s->starts[part+1]-1; i>=s->starts[part]; i--){
      const int row = s->order[i], best = nearest[row];
      const float *x = s->x + (size_t)row*width, *other = s->centroids + (size_t)best*width;
      if( best==part || dot(x, other, width) - s->halves[best] < dot(x, own, width) - s->halves[part] + NEARER ) continue;
      if( move(s, c, i - s->starts[part], ix->cells[s->cells[best]], x)!=SQLITE_OK ) return s->batch->err->rc;
    }
  }
  return SQLITE_OK;
}

/* The part that a neighbour's row is nearest to by its bytes, where that is nearer than its own centroid; else -1. differences[n_parts, width]: of the parts'
** centroids to the neighbour's; gains[n_parts]: how much better than the neighbour a part scores for the neighbour's centroid itself. */
static int nearest_part(const struct split *s, const struct cell *c, int row, const float *differences, const float *gains){
  const int width = s->batch->index->shape.width;
  float best = NEARER;
  int part, best_part = -1;

  for(part=0; part<s->n_parts; part++){
    const float gain = gains[part] + c->factors[row].step*dot_bytes(differences + (size_t)part*width, c->bytes + (size_t)row*width, width);
    if( gain>best ){
      best = gain;
      best_part = part;
    }
  }
  return best_part;
}

/* Rows of one neighbour that are nearer to a part. differences, gains: scratch of nearest_part(); x[width]: scratch. */
static int reassign_neighbour(struct split *s, int neighbour, float *differences, float *gains, float *x){
  struct index *ix = s->batch->index;
  struct cell *c = ix->cells[s->cells[neighbour]];
  const int width = ix->shape.width;
  const float *own = s->centroids + (size_t)neighbour*width;
  int part, row, i;

  if( cell_read(ix, c, s->batch->err)!=SQLITE_OK ) return s->batch->err->rc;
  for(part=0; part<s->n_parts; part++){
    float *difference = differences + (size_t)part*width;
    for(i=0; i<width; i++) difference[i] = s->centroids[(size_t)part*width+i] - own[i];
    gains[part] = dot(own, difference, width) - s->halves[part] + s->halves[neighbour];
  }
  for(row=c->n-1; row>=0 && c->n>cell_rows_least(ix); row--){
    part = nearest_part(s, c, row, differences, gains);
    if( part<0 || ix->cells[s->cells[part]]->n>=ix->shape.cell_rows ) continue;
    if( batch_vector(s->batch, c->rowids[row], x)!=SQLITE_OK ) return s->batch->err->rc;
    if( dot(x, differences + (size_t)part*width, width) - s->halves[part] + s->halves[neighbour]<NEARER ) continue;
    if( move(s, c, row, ix->cells[s->cells[part]], x)!=SQLITE_OK ) return s->batch->err->rc;
  }
  return SQLITE_OK;
}

static int reassign_neighbours(struct split *s){
  const size_t width = (size_t)s->batch->index->shape.width;
  float *differences = arena_floats(&s->batch->arena, width*s->n_parts), *gains = arena_floats(&s->batch->arena, (size_t)s->n_parts);
  float *x = arena_floats(&s->batch->arena, width);
  int i;

  if( s->batch->arena.oom ) return fail_nomem(s->batch->err);
  for(i=0; i<s->n_neighbours; i++){
    if( reassign_neighbour(s, s->n_parts + i, differences, gains, x)!=SQLITE_OK ) break;
  }
  return s->batch->err->rc;
}

/* ---- All of it ---- */

/* Memory, and the rows' exact vectors. */
static int begin(struct split *s){
  struct arena *a = &s->batch->arena;
  const size_t n = (size_t)s->n, width = (size_t)s->batch->index->shape.width;
  float *x = arena_floats(a, n*width);
  int i;

  s->x = x;
  s->order = arena_get(a, sizeof(*s->order)*n);
  s->starts = arena_get(a, sizeof(*s->starts)*(n+1));
  s->scores = arena_get(a, sizeof(*s->scores)*n);
  s->means = arena_floats(a, 3*width);
  s->cells = arena_get(a, sizeof(*s->cells)*(n+NEIGHBOURS));
  if( a->oom ) return fail_nomem(s->batch->err);
  for(i=0; i<s->n; i++) s->order[i] = i;
  return batch_vectors(s->batch, s->old, x);
}

int cell_split(struct index_batch *b, int at){
  struct index *ix = b->index;
  struct split s = { .batch = b, .old = ix->cells[at], .n = ix->cells[at]->n };
  const struct arena_mark mark = arena_mark(&b->arena);
  float *old_centroid;

  if( cell_read(ix, s.old, b->err)!=SQLITE_OK || begin(&s)!=SQLITE_OK ) return b->err->rc;
  old_centroid = arena_floats(&b->arena, (size_t)ix->shape.width);
  if( old_centroid==NULL ) return fail_nomem(b->err);
  memcpy(old_centroid, s.old->centroid, sizeof(float)*(size_t)ix->shape.width);
  divide(&s, 0, s.n);
  s.starts[s.n_parts] = s.n;
  if( make_cells(&s, at)!=SQLITE_OK || find_neighbours(&s, old_centroid)!=SQLITE_OK ) return b->err->rc;
  if( reassign_parts(&s)!=SQLITE_OK || reassign_neighbours(&s)!=SQLITE_OK ) return b->err->rc;
  arena_rewind(&b->arena, mark);
  return SQLITE_OK;
}
