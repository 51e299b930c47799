/*
** index_cells.c -- cells in memory: their arrays, the list of them, the cache, and the nearest
** centroids.
**
** The arrays of a cell are two allocations. One is cut up by its capacity:
**     rowids | keys | signs | factors
** The other one has the bytes. They are four fifths of all, and most searches look at the bytes of
** few cells, so they are read later and go earlier.
** All centroids lie side by side once more in ix->centroids, because every change begins with a
** pass over all of them, or over those of a group, which are a range. A search begins with one too.
** It only ranks cells, so it takes the centroids in bytes, ix->coarse: a quarter of what it reads.
*/
#include "index.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- One cell ---- */

/* What a row takes without its bytes. */
static size_t row_bytes(const struct index *ix){
  const size_t words = (size_t)ix->shape.n_keys + SIGN_WORDS(ix->shape.width);

  return sizeof(int64_t) + sizeof(struct factors) + sizeof(uint64_t)*words;
}

/* Cuts up a block for `capacity` rows. */
static void cut_arrays(const struct index *ix, struct cell *c, void *block, int capacity){
  const size_t n = (size_t)capacity;

  c->rowids = block;
  c->keys = (uint64_t *)(c->rowids + n);
  c->signs = c->keys + n*ix->shape.n_keys;
  c->factors = (uint16_t *)(c->signs + n*SIGN_WORDS(ix->shape.width));
  c->capacity = capacity;
}

/* All but the bytes. */
static void copy_rows(const struct index *ix, struct cell *to, int to_at,
                      const struct cell *from, int from_at, int n){
  const size_t keys = (size_t)ix->shape.n_keys;
  const size_t words = SIGN_WORDS(ix->shape.width);

  memcpy(to->rowids + to_at, from->rowids + from_at, sizeof(int64_t)*n);
  memcpy(to->keys + to_at*keys, from->keys + from_at*keys, sizeof(uint64_t)*keys*n);
  memcpy(to->signs + to_at*words, from->signs + from_at*words, sizeof(uint64_t)*words*n);
  for(int k=0; k<N_FACTORS; k++){
    uint16_t *numbers = to->factors + (size_t)k*(size_t)to->capacity + to_at;
    memcpy(numbers, from->factors + (size_t)k*(size_t)from->capacity + from_at, sizeof(*numbers)*n);
  }
}

/* What the arrays of a cell take: those for capacity rows. */
static size_t signs_bytes(const struct index *ix, int capacity){
  return row_bytes(ix)*(size_t)capacity;
}

static size_t bytes_bytes(const struct index *ix, int capacity){
  return (size_t)ix->shape.width*(size_t)capacity;
}

int cell_reserve_signs(struct index *ix, struct cell *c, int n){
  void *block;

  assert( c->capacity==0 && n>0 );
  block = mem_alloc(signs_bytes(ix, n));
  if( block==NULL ) return SQLITE_NOMEM;
  cut_arrays(ix, c, block, n);
  ix->cached_bytes += signs_bytes(ix, n);
  return SQLITE_OK;
}

int cell_reserve_bytes(struct index *ix, struct cell *c){
  assert( c->capacity>0 && c->bytes==NULL );
  c->bytes = mem_alloc(bytes_bytes(ix, c->capacity));
  if( c->bytes==NULL ) return SQLITE_NOMEM;
  ix->cached_bytes += bytes_bytes(ix, c->capacity);
  return SQLITE_OK;
}

int cell_reserve(struct index *ix, struct cell *c, int n){
  struct cell more;
  int capacity;

  /* An empty cell is not read, so the cache may have dropped its bytes alone. */
  if( c->n==0 && c->bytes==NULL ) cell_drop_codes(ix, c);
  assert( c->capacity==0 || c->bytes );
  more = *c;
  capacity = c->capacity + c->capacity/2;
  if( c->capacity>=n ) return SQLITE_OK;
  if( capacity<n ) capacity = n;
  more.capacity = 0;
  more.bytes = NULL;
  if( cell_reserve_signs(ix, &more, capacity)!=SQLITE_OK ) return SQLITE_NOMEM;
  if( cell_reserve_bytes(ix, &more)!=SQLITE_OK ){
    cell_drop_codes(ix, &more);
    return SQLITE_NOMEM;
  }
  if( c->capacity>0 ){
    copy_rows(ix, &more, 0, c, 0, c->n);
    memcpy(more.bytes, c->bytes, bytes_bytes(ix, c->n));
  }
  cell_drop_codes(ix, c);
  *c = more;
  return SQLITE_OK;
}

void cell_drop_bytes(struct index *ix, struct cell *c){
  if( c->bytes==NULL ) return;
  ix->cached_bytes -= bytes_bytes(ix, c->capacity);
  mem_free(c->bytes);
  c->bytes = NULL;
}

void cell_drop_codes(struct index *ix, struct cell *c){
  cell_drop_bytes(ix, c);
  ix->cached_bytes -= signs_bytes(ix, c->capacity);
  mem_free(c->rowids);
  c->rowids = NULL;
  c->keys = NULL;
  c->signs = NULL;
  c->factors = NULL;
  c->capacity = 0;
}

void cell_code(const struct index *ix, struct cell *c, int at, const float *x){
  const int width = ix->shape.width;
  const size_t apart = (size_t)c->capacity;
  uint64_t *signs = c->signs + (size_t)at*SIGN_WORDS((size_t)width);
  uint16_t *to = c->factors + at;
  struct factors f;

  code_make(&f, signs, c->bytes + (size_t)at*(size_t)width, x, c->centroid, width);
  to[0] = f.scale;
  to[apart] = f.error;
  to[2*apart] = f.lean;
  to[3*apart] = f.step;
  to[4*apart] = f.slack;
}

void cell_append(const struct index *ix, struct cell *c, int64_t rowid, const uint64_t *keys,
                 const float *x){
  const size_t n_keys = (size_t)ix->shape.n_keys;
  const size_t at = (size_t)c->n;

  assert( c->n<c->capacity );
  c->rowids[at] = rowid;
  if( n_keys>0 ) memcpy(c->keys + at*n_keys, keys, sizeof(uint64_t)*n_keys);
  cell_code(ix, c, (int)at, x);
  c->n++;
  c->is_dirty = 1;
}

void cell_take_out(const struct index *ix, struct cell *c, int at){
  const size_t width = (size_t)ix->shape.width;

  assert( at>=0 && at<c->n && c->bytes );
  c->n--;
  if( at<c->n ){
    copy_rows(ix, c, at, c, c->n, 1);
    memcpy(c->bytes + (size_t)at*width, c->bytes + (size_t)c->n*width, width);
  }
  c->is_dirty = 1;
}

int cell_find(const struct index *ix, const struct cell *c, int64_t rowid, int part, int n){
  for(int i=0; i<n; i++){
    if( c->rowids[i]==rowid && cell_part(ix, c, i)==part ) return i;
  }
  return -1;
}

void cell_swap_codes(struct cell *a, struct cell *b){
  const struct cell old = *a;

  a->n = b->n;
  a->capacity = b->capacity;
  a->rowids = b->rowids;
  a->factors = b->factors;
  a->keys = b->keys;
  a->signs = b->signs;
  a->bytes = b->bytes;
  a->bytes_hash = b->bytes_hash;
  b->n = old.n;
  b->capacity = old.capacity;
  b->rowids = old.rowids;
  b->factors = old.factors;
  b->keys = old.keys;
  b->signs = old.signs;
  b->bytes = old.bytes;
  b->bytes_hash = old.bytes_hash;
}

/* ---- The list ---- */

/* Room for one more cell in all arrays that have a place for each cell. */
static int reserve_list(struct index *ix){
  const size_t width = (size_t)ix->shape.width;
  const size_t n = ix->cells_capacity ? (size_t)ix->cells_capacity*2 : 16;
  struct cell **cells;
  const size_t coarse_bytes = MATRIX_BYTES(width, n);
  const size_t before = MATRIX_BYTES(width, ix->cells_capacity);
  float *centroids, *halves, *scale;
  int8_t *coarse;

  if( ix->n_cells<ix->cells_capacity ) return SQLITE_OK;
  cells = mem_resize(ix->cells, sizeof(*cells)*n);
  if( cells ) ix->cells = cells;
  centroids = mem_resize(ix->centroids, sizeof(float)*width*n);
  if( centroids ) ix->centroids = centroids;
  halves = mem_resize(ix->halves, sizeof(float)*n);
  if( halves ) ix->halves = halves;
  coarse = mem_resize(ix->coarse, coarse_bytes);
  if( coarse ) ix->coarse = coarse;
  scale = mem_resize(ix->coarse_scale, sizeof(float)*n);
  if( scale ) ix->coarse_scale = scale;
  if( cells==NULL || centroids==NULL || halves==NULL || coarse==NULL || scale==NULL ){
    return SQLITE_NOMEM;
  }
  memset(coarse + before, 0, coarse_bytes - before);
  ix->cells_capacity = (int)n;
  return SQLITE_OK;
}

struct cell *cells_add(struct index *ix, int64_t id, uint64_t group){
  const size_t bytes = sizeof(float)*(size_t)ix->shape.width;
  struct cell *c;

  assert( ix->shape.has_groups || group==0 );
  if( reserve_list(ix)!=SQLITE_OK ) return NULL;
  c = mem_alloc(sizeof(*c));
  if( c==NULL ) return NULL;
  *c = (struct cell){ .id = id, .group = group };
  c->centroid = mem_alloc(bytes + sizeof(group));
  if( c->centroid==NULL ){
    mem_free(c);
    return NULL;
  }
  memcpy((char *)c->centroid + bytes, &group, sizeof(group));
  ix->cells[ix->n_cells++] = c;
  return c;
}

void cells_set_centroid(struct index *ix, int at){
  const int width = ix->shape.width;
  const float *centroid = ix->cells[at]->centroid;

  assert( at>=0 && at<ix->n_cells );
  memcpy(ix->centroids + (size_t)at*width, centroid, sizeof(float)*(size_t)width);
  ix->halves[at] = 0.5f*dot(centroid, centroid, width);
  matrix_put_column(ix->coarse, ix->coarse_scale, centroid, width, at);
}

/* The matrix is cut up by panels of columns: it begins with the one that has the first cell. */
const float *cells_products(const struct index *ix, struct cell_range in, const float *x,
                            struct arena *a){
  const size_t width = (size_t)ix->shape.width;
  const int before = in.from%BYTES_PANEL;
  const int panel = in.from/BYTES_PANEL;
  struct matrix m = { .in = (int)width, .out = before + in.n };
  float *scratch = arena_floats(a, LINEAR_SCRATCH(width));
  float *products = arena_floats(a, (size_t)m.out);

  if( a->oom ) return NULL;
  if( in.n==0 ) return products;
  m.bytes = ix->coarse + (size_t)panel*PANEL_BYTES(width);
  m.scale = ix->coarse_scale + (size_t)panel*BYTES_PANEL;
  linear(products, x, &m, 1, scratch);
  return products + before;
}

/* Less than 0: a comes before b. */
static int compare_cells(const struct cell *a, const struct cell *b){
  if( a->group!=b->group ) return a->group<b->group ? -1 : 1;
  return (a->id>b->id) - (a->id<b->id);
}

static int compare_places(const void *a, const void *b){
  return compare_cells(*(struct cell *const *)a, *(struct cell *const *)b);
}

/* Without groups cells are added in order. */
void cells_sort(struct index *ix){
  int i = 1;

  while( i<ix->n_cells && compare_cells(ix->cells[i-1], ix->cells[i])<0 ) i++;
  if( i>=ix->n_cells ) return;
  qsort(ix->cells, (size_t)ix->n_cells, sizeof(ix->cells[0]), compare_places);
  for(i=0; i<ix->n_cells; i++) cells_set_centroid(ix, i);
}

int64_t cells_new_id(const struct index *ix){
  int64_t most = 0;

  if( ix->n_cells>0 && !ix->shape.has_groups ) return ix->cells[ix->n_cells-1]->id + 1;
  for(int i=0; i<ix->n_cells; i++){
    if( ix->cells[i]->id>most ) most = ix->cells[i]->id;
  }
  return most + 1;
}

/* The place of the first cell whose group is `group`, or above it. */
static int first_from(const struct index *ix, uint64_t group){
  int low = 0;
  int high = ix->n_cells;

  while( low<high ){
    const int middle = low + (high-low)/2;
    if( ix->cells[middle]->group<group ){
      low = middle + 1;
    }else{
      high = middle;
    }
  }
  return low;
}

struct cell_range cells_of(const struct index *ix, uint64_t group){
  struct cell_range all = { 0, ix->n_cells };
  int from, to;

  if( !ix->shape.has_groups ) return all;
  from = first_from(ix, group);
  to = group<UINT64_MAX ? first_from(ix, group+1) : ix->n_cells;
  return (struct cell_range){ from, to-from };
}

static void cell_free(struct index *ix, struct cell *c){
  cell_drop_codes(ix, c);
  mem_free(c->centroid);
  mem_free(c);
}

void cells_remove(struct index *ix, const uint8_t *goes){
  const size_t width = (size_t)ix->shape.width;
  int n = 0;

  for(int i=0; i<ix->n_cells; i++){
    if( goes[i] ){
      cell_free(ix, ix->cells[i]);
      continue;
    }
    ix->cells[n] = ix->cells[i];
    ix->halves[n] = ix->halves[i];
    memmove(ix->centroids + n*width, ix->centroids + i*width, sizeof(float)*width);
    if( n<i ){
      matrix_put_column(ix->coarse, ix->coarse_scale, ix->centroids + n*width, (int)width, n);
    }
    n++;
  }
  ix->n_cells = n;
}

struct cells_kept cells_set_aside(struct index *ix){
  const struct cells_kept kept = { .index = ix, .cells = ix->cells, .n = ix->n_cells };

  mem_free(ix->centroids);
  mem_free(ix->halves);
  mem_free(ix->coarse);
  mem_free(ix->coarse_scale);
  ix->cells = NULL;
  ix->centroids = NULL;
  ix->halves = NULL;
  ix->coarse = NULL;
  ix->coarse_scale = NULL;
  ix->n_cells = 0;
  ix->cells_capacity = 0;
  ix->is_loaded = 0;
  return kept;
}

/* Both lists are sorted. */
void cells_take_back(struct index *ix, struct cells_kept *kept){
  int k = 0;

  for(int i=0; i<ix->n_cells; i++){
    struct cell *c = ix->cells[i];
    struct cell *old;
    while( k<kept->n && compare_cells(kept->cells[k], c)<0 ) k++;
    if( k==kept->n ) return;
    old = kept->cells[k];
    if( compare_cells(old, c)!=0 || old->is_dirty ) continue;
    if( old->n!=c->n || old->stamp!=c->stamp ) continue;
    cell_swap_codes(c, old);
    c->used = old->used;
  }
}

void cells_release(struct cells_kept *kept){
  for(int i=0; i<kept->n; i++) cell_free(kept->index, kept->cells[i]);
  mem_free(kept->cells);
  kept->cells = NULL;
  kept->n = 0;
}

void index_forget(struct index *ix){
  struct cells_kept kept = cells_set_aside(ix);

  cells_release(&kept);
  ix->state = 0;
  ix->n_rows = 0;
}

/* ---- The cache ---- */

/* A cell whose codes may be dropped: they are the same on the disk. */
static int is_idle(const struct cell *c){
  return c->capacity>0 && !c->is_dirty;
}

/* What dropping the bytes, or all codes, of the idle cells that were last used up to `clock` frees.
** */
static size_t freed_until(const struct index *ix, int64_t clock, int is_all){
  size_t n = 0;

  for(int i=0; i<ix->n_cells; i++){
    const struct cell *c = ix->cells[i];
    if( !is_idle(c) || c->used>clock ) continue;
    if( c->bytes ) n += bytes_bytes(ix, c->capacity);
    if( is_all ) n += signs_bytes(ix, c->capacity);
  }
  return n;
}

/* Drops the bytes, or all codes, of the cells that were not used for the longest time, until
** `want` bytes are free. Halves the interval of time to find up to when cells go. The cell that was
** used last stays. */
static void free_oldest(struct index *ix, size_t want, int is_all){
  int64_t low = 0;
  int64_t high = ix->clock - 1;

  while( low<high ){
    const int64_t middle = low + (high - low)/2;
    if( freed_until(ix, middle, is_all)>=want ){
      high = middle;
    }else{
      low = middle + 1;
    }
  }
  for(int i=0; i<ix->n_cells; i++){
    struct cell *c = ix->cells[i];
    if( !is_idle(c) || c->used>low || c->used>=ix->clock ) continue;
    if( is_all ) cell_drop_codes(ix, c);
    else cell_drop_bytes(ix, c);
  }
}

/* Frees an eighth of the cache more than it must, so that passes over all cells are rare. */
void cells_trim(struct index *ix){
  const size_t most = ix->cache_bytes - ix->cache_bytes/8;

  if( ix->cached_bytes<=ix->cache_bytes ) return;
  free_oldest(ix, ix->cached_bytes - most, 0);
  if( ix->cached_bytes>most ) free_oldest(ix, ix->cached_bytes - most, 1);
}

int cells_overflow(const struct index *ix){
  const size_t each = row_bytes(ix) + (size_t)ix->shape.width;

  return (size_t)ix->n_rows>ix->cache_bytes/each;
}

/* ---- The nearest of one vector ----
** The n nearest so far are a heap with the farthest on top. */

/* a is farther than b, or as far and behind it. */
static int is_farther(const float *distances, const int *cells, int a, int b){
  return distances[a]>distances[b] || (distances[a]==distances[b] && cells[a]>cells[b]);
}

static void swap(int *cells, float *distances, int a, int b){
  const int cell = cells[a];
  const float distance = distances[a];

  cells[a] = cells[b];
  distances[a] = distances[b];
  cells[b] = cell;
  distances[b] = distance;
}

/* Restores the heap of n from `at` downwards. */
static void sift(int *cells, float *distances, int n, int at){
  for(;;){
    int child = 2*at + 1;
    if( child+1<n && is_farther(distances, cells, child+1, child) ) child++;
    if( child>=n || !is_farther(distances, cells, child, at) ) return;
    swap(cells, distances, child, at);
    at = child;
  }
}

int cells_nearest(const struct index *ix, struct cell_range in, const float *x, int n, int *cells,
                  float *distances){
  enum { PART = 256 };
  const int width = ix->shape.width;
  const int end = in.from + in.n;
  float products[PART];
  int n_found = 0;

  if( n>in.n ) n = in.n;
  for(int i=in.from; i<end; i+=PART){
    const int n_part = end-i<PART ? end-i : PART;
    dots(products, x, ix->centroids + (size_t)i*width, n_part, width);
    for(int k=0; k<n_part; k++){
      const float distance = ix->halves[i+k] - products[k];
      if( n_found<n ){
        cells[n_found] = i + k;
        distances[n_found++] = distance;
        if( n_found<n ) continue;
        for(int at=n/2-1; at>=0; at--) sift(cells, distances, n, at);
      }else if( distance<distances[0] ){
        cells[0] = i + k;
        distances[0] = distance;
        sift(cells, distances, n, 0);
      }
    }
  }
  for(int i=n-1; i>0; i--){
    swap(cells, distances, 0, i);
    sift(cells, distances, i, 0);
  }
  return n;
}

/* ---- The nearest of many vectors at once ----
** This is a product of matrices: TILE vectors are turned on their side, [width, TILE], and the
** centroids pass over them. 4,096 vectors of 100 floats against 2,000 centroids take 23 ms; one
** by one they take 182 ms (EPYC Zen 5, one core, AVX-512). */
enum { TILE = LINEAR_PANEL, BLOCK = 128, FEW = 8 };

struct centroids cells_centroids(const struct index *ix, struct cell_range in){
  const int width = ix->shape.width;

  if( in.n==0 ) return (struct centroids){ .width = width };
  return (struct centroids){
    .centroids = ix->centroids + (size_t)in.from*width, .halves = ix->halves + in.from, .n = in.n,
    .width = width
  };
}

size_t nearest_scratch(int width){
  return (size_t)width*TILE + LINEAR_SCRATCH(width) + (size_t)BLOCK*TILE;
}

/* Updates the largest score of each column; the first one where several are equal. */
static void best_of_block(float *restrict best, int32_t *restrict best_at,
                          const float *restrict products, const float *halves, int at, int n){
  for(int i=0; i<n; i++){
    const float half = halves[i];
    const float *line = products + (size_t)i*TILE;
    for(int k=0; k<TILE; k++){
      const float score = line[k] - half;
      best_at[k] = score>best[k] ? at + i : best_at[k];
      best[k] = score>best[k] ? score : best[k];
    }
  }
}

/* nearest[n] of x[n, width], n at most TILE. */
static void nearest_tile(const struct centroids *to, const float *x, int n, int *nearest,
                         float *scratch){
  const int width = to->width;
  float *sideways = scratch;                            /* [width, TILE] */
  float *panel = sideways + (size_t)width*TILE;         /* linear()'s scratch */
  float *products = panel + LINEAR_SCRATCH(width);      /* [BLOCK, TILE] */
  const struct matrix m = { .in = width, .out = TILE, .full = sideways };
  float best[TILE];
  int32_t best_at[TILE];

  for(int k=0; k<width; k++){
    for(int i=0; i<TILE; i++) sideways[(size_t)k*TILE+i] = i<n ? x[(size_t)i*width+k] : 0;
  }
  for(int i=0; i<TILE; i++){
    best[i] = -INFINITY;
    best_at[i] = 0;
  }
  for(int i=0; i<to->n; i+=BLOCK){
    const int n_block = to->n-i<BLOCK ? to->n-i : BLOCK;
    linear(products, to->centroids + (size_t)i*width, &m, n_block, panel);
    best_of_block(best, best_at, products, to->halves + i, i, n_block);
  }
  for(int i=0; i<n; i++) nearest[i] = best_at[i];
}

static int nearest_one(const struct centroids *to, const float *x){
  float best = -INFINITY;
  float products[BLOCK];
  int best_at = 0;

  for(int i=0; i<to->n; i+=BLOCK){
    const int n_block = to->n-i<BLOCK ? to->n-i : BLOCK;
    dots(products, x, to->centroids + (size_t)i*to->width, n_block, to->width);
    for(int k=0; k<n_block; k++){
      const float score = products[k] - to->halves[i+k];
      if( score<=best ) continue;
      best = score;
      best_at = i + k;
    }
  }
  return best_at;
}

void nearest_of(const struct centroids *to, const float *x, int n, int *nearest, float *scratch){
  const size_t width = (size_t)to->width;

  assert( to->width>=1 && n>=0 );
  assert( n<FEW || (uintptr_t)scratch%64==0 );
  if( n<FEW ){
    for(int i=0; i<n; i++) nearest[i] = nearest_one(to, x + i*width);
    return;
  }
  for(int i=0; i<n; i+=TILE){
    const int n_tile = n-i<TILE ? n-i : TILE;
    nearest_tile(to, x + i*width, n_tile, nearest + i, scratch);
  }
}
