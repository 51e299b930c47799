/*
** index_cells.c -- cells in memory: their arrays, the list of them, which stay cached, and which lies nearest.
**
** The arrays of a cell are one allocation, cut up by its capacity: rowids | keys | signs | factors | bytes. The centroids lie a second time side by side
** in ix->centroids: a pass over all of them is what every search and every change begins with.
*/
#include "index.h"
#include <math.h>
#include <string.h>

/* ---- One cell ---- */

static size_t row_bytes(const struct index *ix){
  return sizeof(int64_t) + sizeof(struct factors) + sizeof(uint64_t)*((size_t)ix->shape.n_keys + SIGN_WORDS(ix->shape.width)) + (size_t)ix->shape.width;
}

/* Cuts a block for `capacity` rows up. */
static void arrays_at(const struct index *ix, struct cell *c, void *block, int capacity){
  const size_t n = (size_t)capacity;

  c->rowids = block;
  c->keys = (uint64_t*)(c->rowids + n);
  c->signs = c->keys + n*ix->shape.n_keys;
  c->factors = (struct factors*)(c->signs + n*SIGN_WORDS(ix->shape.width));
  c->bytes = (int8_t*)(c->factors + n);
  c->capacity = capacity;
}

static void copy_rows(const struct index *ix, struct cell *to, int to_at, const struct cell *from, int from_at, int n){
  const size_t keys = (size_t)ix->shape.n_keys, words = SIGN_WORDS(ix->shape.width), width = (size_t)ix->shape.width;

  memcpy(to->rowids + to_at, from->rowids + from_at, sizeof(int64_t)*n);
  memcpy(to->keys + to_at*keys, from->keys + from_at*keys, sizeof(uint64_t)*keys*n);
  memcpy(to->signs + to_at*words, from->signs + from_at*words, sizeof(uint64_t)*words*n);
  memcpy(to->factors + to_at, from->factors + from_at, sizeof(struct factors)*n);
  memcpy(to->bytes + to_at*width, from->bytes + from_at*width, width*n);
}

int cell_reserve(struct index *ix, struct cell *c, int n){
  struct cell more = *c;
  int capacity = c->capacity + c->capacity/2;
  void *block;

  if( c->capacity>=n ) return SQLITE_OK;
  if( capacity<n ) capacity = n;
  block = mem_alloc(row_bytes(ix)*(size_t)capacity);
  if( block==NULL ) return SQLITE_NOMEM;
  arrays_at(ix, &more, block, capacity);
  if( c->capacity>0 ) copy_rows(ix, &more, 0, c, 0, c->n);
  cell_drop_codes(ix, c);
  *c = more;
  ix->cached_bytes += row_bytes(ix)*(size_t)capacity;
  return SQLITE_OK;
}

void cell_drop_codes(struct index *ix, struct cell *c){
  ix->cached_bytes -= row_bytes(ix)*(size_t)c->capacity;
  mem_free(c->rowids);
  c->rowids = NULL;
  c->keys = c->signs = NULL;
  c->factors = NULL;
  c->bytes = NULL;
  c->capacity = 0;
}

void cell_append(const struct index *ix, struct cell *c, int64_t rowid, const uint64_t *keys, const float *x){
  const size_t n_keys = (size_t)ix->shape.n_keys, width = (size_t)ix->shape.width, at = (size_t)c->n++;

  c->rowids[at] = rowid;
  if( n_keys>0 ) memcpy(c->keys + at*n_keys, keys, sizeof(uint64_t)*n_keys);
  code_make(&c->factors[at], c->signs + at*SIGN_WORDS(width), c->bytes + at*width, x, c->centroid, (int)width);
  c->is_dirty = 1;
}

/* The last row takes the place of the one that leaves. */
void cell_take_out(const struct index *ix, struct cell *c, int at){
  c->n--;
  if( at<c->n ) copy_rows(ix, c, at, c, c->n, 1);
  c->is_dirty = 1;
}

int cell_find(const struct cell *c, int64_t rowid, int n){
  int i;

  for(i=0; i<n; i++){
    if( c->rowids[i]==rowid ) return i;
  }
  return -1;
}

void cell_swap_codes(struct cell *a, struct cell *b){
  struct cell old = *a;

  a->n = b->n;          b->n = old.n;
  a->capacity = b->capacity;    b->capacity = old.capacity;
  a->rowids = b->rowids;        b->rowids = old.rowids;
  a->factors = b->factors;      b->factors = old.factors;
  a->keys = b->keys;            b->keys = old.keys;
  a->signs = b->signs;          b->signs = old.signs;
  a->bytes = b->bytes;          b->bytes = old.bytes;
}

/* ---- The list ---- */

/* Room for one more cell in all that goes by its place. */
static int make_room(struct index *ix){
  const size_t width = (size_t)ix->shape.width, n = ix->cells_capacity ? (size_t)ix->cells_capacity*2 : 16;
  struct cell **cells;
  float *centroids, *halves;

  if( ix->n_cells<ix->cells_capacity ) return SQLITE_OK;
  if( (cells = mem_resize(ix->cells, sizeof(*cells)*n))!=NULL ) ix->cells = cells;
  if( (centroids = mem_resize(ix->centroids, sizeof(float)*width*n))!=NULL ) ix->centroids = centroids;
  if( (halves = mem_resize(ix->halves, sizeof(float)*n))!=NULL ) ix->halves = halves;
  if( !cells || !centroids || !halves ) return SQLITE_NOMEM;
  ix->cells_capacity = (int)n;
  return SQLITE_OK;
}

struct cell *cells_add(struct index *ix, int64_t id){
  struct cell *c;

  if( make_room(ix)!=SQLITE_OK || (c = mem_alloc(sizeof(*c)))==NULL ) return NULL;
  memset(c, 0, sizeof(*c));
  c->id = id;
  c->centroid = mem_alloc(sizeof(float)*(size_t)ix->shape.width);
  if( c->centroid==NULL ){
    mem_free(c);
    return NULL;
  }
  ix->cells[ix->n_cells++] = c;
  return c;
}

void cells_place(struct index *ix, int at){
  const int width = ix->shape.width;
  const float *centroid = ix->cells[at]->centroid;

  memcpy(ix->centroids + (size_t)at*width, centroid, sizeof(float)*(size_t)width);
  ix->halves[at] = 0.5f*dot(centroid, centroid, width);
}

static void cell_free(struct index *ix, struct cell *c){
  cell_drop_codes(ix, c);
  mem_free(c->centroid);
  mem_free(c);
}

void cells_remove(struct index *ix, int at){
  const size_t width = (size_t)ix->shape.width, behind = (size_t)(ix->n_cells - at - 1);

  cell_free(ix, ix->cells[at]);
  memmove(ix->cells + at, ix->cells + at + 1, sizeof(ix->cells[0])*behind);
  memmove(ix->centroids + at*width, ix->centroids + (at+1)*width, sizeof(float)*width*behind);
  memmove(ix->halves + at, ix->halves + at + 1, sizeof(float)*behind);
  ix->n_cells--;
}

struct cells_kept cells_set_aside(struct index *ix){
  struct cells_kept kept = { ix, ix->cells, ix->n_cells };

  ix->cells = NULL;
  mem_free(ix->centroids);
  mem_free(ix->halves);
  ix->centroids = ix->halves = NULL;
  ix->n_cells = ix->cells_capacity = 0;
  ix->is_loaded = 0;
  return kept;
}

/* Both lists ascend by id. */
void cells_take_back(struct index *ix, struct cells_kept *kept){
  int i, k = 0;

  for(i=0; i<ix->n_cells; i++){
    struct cell *c = ix->cells[i], *old;
    while( k<kept->n && kept->cells[k]->id<c->id ) k++;
    if( k==kept->n ) return;
    old = kept->cells[k];
    if( old->id!=c->id || old->n!=c->n || old->stamp!=c->stamp || old->is_dirty ) continue;
    cell_swap_codes(c, old);
    c->used = old->used;
  }
}

void cells_release(struct cells_kept *kept){
  int i;

  for(i=0; i<kept->n; i++) cell_free(kept->index, kept->cells[i]);
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

static int is_idle(const struct cell *c){
  return c->capacity>0 && !c->is_dirty;
}

/* Bytes of the idle cells last used up to `clock`. */
static size_t bytes_until(const struct index *ix, int64_t clock){
  size_t n = 0;
  int i;

  for(i=0; i<ix->n_cells; i++){
    if( is_idle(ix->cells[i]) && ix->cells[i]->used<=clock ) n += row_bytes(ix)*(size_t)ix->cells[i]->capacity;
  }
  return n;
}

/* An eighth goes at once, so that a pass over all cells is rare; the time up to which cells go is found by halving. The one that was just
** used stays. */
void cells_trim(struct index *ix){
  int64_t low = 0, high = ix->clock - 1;
  size_t want;
  int i;

  if( ix->cached_bytes<=ix->cache_bytes ) return;
  want = ix->cached_bytes - ix->cache_bytes + ix->cache_bytes/8;
  while( low<high ){
    int64_t middle = low + (high - low)/2;
    if( bytes_until(ix, middle)>=want ) high = middle; else low = middle + 1;
  }
  for(i=0; i<ix->n_cells; i++){
    if( is_idle(ix->cells[i]) && ix->cells[i]->used<=low && ix->cells[i]->used<ix->clock ) cell_drop_codes(ix, ix->cells[i]);
  }
}

/* ---- Nearest ---- */

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
/* Restores a heap of n with the farthest on top, from `at` downwards. */
static void sift(int *cells, float *distances, int n, int at){
  for(;;){
    int child = 2*at + 1;
    if( child+1<n && is_farther(distances, cells, child+1, child) ) child++;
    if( child>=n || !is_farther(distances, cells, child, at) ) return;
    swap(cells, distances, child, at);
    at = child;
  }
}

int cells_nearest(const struct index *ix, const float *x, int n, int *cells, float *distances){
  enum { BLOCK = 256 };
  float products[BLOCK];
  int i, k, n_block, n_found = 0;

  if( n>ix->n_cells ) n = ix->n_cells;
  for(i=0; i<ix->n_cells; i+=BLOCK){
    n_block = ix->n_cells-i<BLOCK ? ix->n_cells-i : BLOCK;
    dots(products, x, ix->centroids + (size_t)i*ix->shape.width, n_block, ix->shape.width);
    for(k=0; k<n_block; k++){
      const float distance = ix->halves[i+k] - products[k];
      if( n_found<n ){
        cells[n_found] = i + k;
        distances[n_found++] = distance;
        if( n_found==n ) for(int at=n/2-1; at>=0; at--) sift(cells, distances, n, at);
      }else if( distance<distances[0] ){
        cells[0] = i + k;
        distances[0] = distance;
        sift(cells, distances, n, 0);
      }
    }
  }
  for(i=n-1; i>0; i--){
    swap(cells, distances, 0, i);
    sift(cells, distances, i, 0);
  }
  return n;
}

/* ---- Nearest, for many vectors at once ----
** As a product of matrices: TILE vectors are turned on their side, [width, TILE], and the centroids pass over them. 4,096 vectors of 100 floats
** against 2,000 centroids take 23 ms, one by one 182 ms (EPYC Zen 5, one core, AVX-512). */
enum { TILE = LINEAR_PANEL, BLOCK = 128, FEW = 8 };

size_t nearest_scratch(int width){
  return (size_t)width*TILE + LINEAR_SCRATCH(width) + (size_t)BLOCK*TILE;
}

/* The largest score of each column so far; the first one where several are equal. */
static void best_of_block(float *restrict best, int32_t *restrict best_at, const float *restrict products, const float *halves, int at, int n){
  int i, k;

  for(i=0; i<n; i++){
    const float half = halves[i];
    const float *line = products + (size_t)i*TILE;
    for(k=0; k<TILE; k++){
      const float score = line[k] - half;
      best_at[k] = score>best[k] ? at + i : best_at[k];
      best[k] = score>best[k] ? score : best[k];
    }
  }
}

static void nearest_tile(const struct centroids *to, const float *x, int n, int *nearest, float *scratch){
  const int width = to->width;
  float *sideways = scratch, *panel = sideways + (size_t)width*TILE, *products = panel + LINEAR_SCRATCH(width);
  const struct matrix m = { .in = width, .out = TILE, .full = sideways };
  float best[TILE];
  int32_t best_at[TILE];
  int i, k;

  for(k=0; k<width; k++){
    for(i=0; i<TILE; i++) sideways[(size_t)k*TILE+i] = i<n ? x[(size_t)i*width+k] : 0;
  }
  for(i=0; i<TILE; i++){
    best[i] = -INFINITY;
    best_at[i] = 0;
  }
  for(i=0; i<to->n; i+=BLOCK){
    const int n_block = to->n-i<BLOCK ? to->n-i : BLOCK;
    linear(products, to->centroids + (size_t)i*width, &m, n_block, panel);
    best_of_block(best, best_at, products, to->halves + i, i, n_block);
  }
  for(i=0; i<n; i++) nearest[i] = best_at[i];
}

static int nearest_one(const struct centroids *to, const float *x){
  float best = -INFINITY, products[BLOCK];
  int i, k, best_at = 0;

  for(i=0; i<to->n; i+=BLOCK){
    const int n_block = to->n-i<BLOCK ? to->n-i : BLOCK;
    dots(products, x, to->centroids + (size_t)i*to->width, n_block, to->width);
    for(k=0; k<n_block; k++){
      if( products[k] - to->halves[i+k]<=best ) continue;
      best = products[k] - to->halves[i+k];
      best_at = i + k;
    }
  }
  return best_at;
}

void nearest_of(const struct centroids *to, const float *x, int n, int *nearest, float *scratch){
  int i;

  if( n<FEW ){
    for(i=0; i<n; i++) nearest[i] = nearest_one(to, x + (size_t)i*to->width);
  }else{
    for(i=0; i<n; i+=TILE) nearest_tile(to, x + (size_t)i*to->width, n-i<TILE ? n-i : TILE, nearest + i, scratch);
  }
}
