/*
** index_search.c -- the rows of an index, nearest first, for as long as they are pulled.
**
** Scores are products with the query, so 1 - distance; large is near. What is known of a row, in the order in which it becomes known and
** dear: its sign bound (estimate + e errors: no score lies above it but by bad luck), its byte bound (no score lies above it for certain), its score.
**
** A search goes in rounds. A round looks for so many rows more, `wanted`, and leaves behind a floor, such that
**   - the pool holds every row of an opened cell whose two bounds reach the floor, and at least `wanted` of them have a score that reaches it;
**   - every other row has a bound below it. It is forgotten: the next round, with a lower floor, finds it again by its bounds, which are the
**     same each time. So no queue ever holds more than a few times the rows that are asked for, and a row costs 3 ns when it is passed over.
** 1. Cells are opened in the order of how likely they are to hold something. A row whose sign bound reaches the floor has its bytes looked at;
**    if the byte bound reaches the floor too, it goes into the pool. The floor is the wanted-th best lower bound (byte bound less twice the
**    slack) so far, so it rises from row to row.
** 2. With recall 1 all cells are opened and e is so large (ERRORS_CERTAIN) that bad luck will not happen. Else e is what a row exceeds about as often as rows
**    may be missed, and the round stops when the rows of the unopened cells that would reach the floor are expected to be fewer than may be missed. What is expected: the
**    product of the query with a residual has a spread, in units of what its cell's size suggests, that opened cells tell, and is about normal (it is a sum of many
**    numbers). That is corrected by how many rows of the opened cells reach the floor and how many were expected to: cells_needed().
** 3. Between rounds, search_next() takes rows out of the pool by their byte bound (an incremental quicksort: Paredes and Navarro 2006; what is never
**    pulled is never sorted), asks the source for their vectors, and gives out a row when nothing in the pool, and nothing left behind, can have a score as good.
** With a growing `wanted` this is the incremental nearest neighbour search of Hjaltason and Samet (1999), its queue kept on disk.
**
** While a search lives the index may change under it. Nothing in here points into the index between two calls; a round that finds another
** state than the last one saw begins anew with all cells, and leaves out every row that was given out or is in the pool already.
*/
#include "index.h"
#include <math.h>
#include <string.h>

#define ERRORS_CERTAIN 6.0f             /* a normal number exceeds it once in 10^9, products of unit vectors less often */
#define SPREAD_ROWS 4096                /* so many rows tell the spread of a query's products */
#define FIRST_WANTED 32                 /* of a search that was not told how many */
#define GROWTH 4                        /* of the wanted, each round */

struct pooled {                 /* a row known by its bytes */
  float bound;
  float sign_bound;
  int64_t rowid;
};
struct scored {                 /* a row known exactly */
  float score;
  int64_t rowid;
};
struct rowids {                 /* a set */
  int64_t *slots;               /* [size], 0 is an empty one; owned */
  int64_t n, size;              /* size: a power of two, or 0 */
  int has_zero;
};
struct search {
  struct index *ix;
  struct arena arena;           /* query, probe, terms: for the life of the search */
  struct probe probe;
  const float *vector;          /* [width], not rotated */
  float *fetched;               /* [width], the vector of a row */
  struct term *terms;
  int n_terms;
  double recall;
  float least;                  /* no row below this is wanted; -INFINITY */
  float errors;                 /* e */
  int (*stop)(void *arg);
  void *stop_arg;
  int64_t n_asked;              /* calls that could have asked stop() */

  int64_t k;                    /* rows that will be pulled, as far as known */
  int64_t found;                /* rows that the floor has let through so far */
  float floor;                  /* +INFINITY before the first round; `least` when nothing is left */
  struct pooled *pool;          /* owned */
  int64_t n_pool, pool_size;
  int64_t *sorted_to;           /* stack of positions, top smallest: no row at or behind one has a greater bound than any before it. Owned */
  int n_sorted, sorted_size;
  struct scored *ready;         /* a heap, nearest on top; owned */
  int64_t n_ready, ready_size;
  int64_t *given;               /* rowids given out; owned */
  int64_t n_given, given_size;
  struct scored last;           /* the last of them */
  struct rowids skip;           /* rows that a round must not put into the pool once more */

  uint64_t state;               /* of the index, in the last round */
  int has_changed;              /* since the first one: rows that are ready may be gone */
  int n_cells;                  /* in that state */
  float *floors;                /* [n_cells]: down to where a cell has been looked through; +INFINITY: not opened. Owned */
  struct search_cost cost;
};

/* ---- Arrays that grow, and the set ---- */

/* Room for one more element in *array of `n`. */
static int make_room(void *array, int64_t n, int64_t *size, size_t bytes, struct err *e){
  void **p = array, *larger;
  int64_t more = *size ? 2**size : 64;
  if( n<*size ) return SQLITE_OK;
  larger = mem_resize(*p, (size_t)more*bytes);
  if( larger==NULL ) return fail_nomem(e);
  *p = larger;
  *size = more;
  return SQLITE_OK;
}

static int64_t slot_of(const struct rowids *r, int64_t rowid){
  int64_t i = (int64_t)((uint64_t)rowid*UINT64_C(0x9E3779B97F4A7C15)>>20) & (r->size-1);
  while( r->slots[i]!=0 && r->slots[i]!=rowid ) i = (i+1) & (r->size-1);
  return i;
}
static int rowids_has(const struct rowids *r, int64_t rowid){
  if( rowid==0 ) return r->has_zero;
  return r->n>0 && r->slots[slot_of(r, rowid)]==rowid;
}
static int rowids_add(struct rowids *r, int64_t rowid, struct err *e){
  struct rowids larger = { NULL, r->n, r->size ? 2*r->size : 256, r->has_zero };
  int64_t i;
  if( rowid==0 ){
    r->has_zero = 1;
    return SQLITE_OK;
  }
  if( 2*(r->n+1)>r->size ){
    larger.slots = mem_alloc(sizeof(int64_t)*(size_t)larger.size);
    if( larger.slots==NULL ) return fail_nomem(e);
    memset(larger.slots, 0, sizeof(int64_t)*(size_t)larger.size);
    for(i=0; i<r->size; i++) if( r->slots[i] ) larger.slots[slot_of(&larger, r->slots[i])] = r->slots[i];
    mem_free(r->slots);
    *r = larger;
  }
  i = slot_of(r, rowid);
  r->n += r->slots[i]==0;
  r->slots[i] = rowid;
  return SQLITE_OK;
}

/* ---- The pool: the row with the greatest bound is wanted, again and again ---- */

static int pool_before(const struct pooled *a, const struct pooled *b){
  return a->bound>b->bound || (a->bound==b->bound && a->rowid<b->rowid);
}

/* The pool is kept in rising order from the back: its best row stands last. Moves the rows of [from, to) that come before the middle one's
** behind it; returns where that one stands. */
static int64_t pool_split(struct pooled *pool, int64_t from, int64_t to){
  int64_t i, at = from, middle = from + (to-from)/2;
  struct pooled pivot = pool[middle], swap;
  pool[middle] = pool[to-1];
  for(i=from; i<to-1; i++){
    if( pool_before(&pivot, &pool[i]) ){
      swap = pool[i];
      pool[i] = pool[at];
      pool[at++] = swap;
    }
  }
  pool[to-1] = pool[at];
  pool[at] = pivot;
  return at;
}

/* Puts the best row of the pool last. sorted_to is a stack of places p, rising: every row from p on comes before every row below p. */
static int pool_best_last(struct search *s, struct err *e){
  for(;;){
    int64_t from = s->n_sorted>0 ? s->sorted_to[s->n_sorted-1] : 0, size = s->sorted_size;
    if( from>=s->n_pool ){              /* its part is used up */
      if( s->n_sorted==0 ) return SQLITE_OK;
      s->n_sorted--;
      continue;
    }
    if( from==s->n_pool-1 ) return SQLITE_OK;
    if( make_room(&s->sorted_to, s->n_sorted+1, &size, sizeof(int64_t), e)!=SQLITE_OK ) return e->rc;
    s->sorted_size = (int)size;
    from = pool_split(s->pool, from, s->n_pool);
    s->sorted_to[s->n_sorted++] = from;
    if( from<s->n_pool-1 ) s->sorted_to[s->n_sorted++] = from+1;
  }
}

/* ---- The rows that are known exactly ---- */

static int scored_before(const struct scored *a, const struct scored *b){
  return a->score>b->score || (a->score==b->score && a->rowid<b->rowid);
}

static int ready_push(struct search *s, struct scored row, struct err *e){
  int64_t i = s->n_ready;
  if( make_room(&s->ready, s->n_ready, &s->ready_size, sizeof(row), e)!=SQLITE_OK ) return e->rc;
  s->n_ready++;
  for(; i>0 && scored_before(&row, &s->ready[(i-1)/2]); i=(i-1)/2) s->ready[i] = s->ready[(i-1)/2];
  s->ready[i] = row;
  return SQLITE_OK;
}

static struct scored ready_pop(struct search *s){
  struct scored top = s->ready[0], row = s->ready[--s->n_ready];
  int64_t i = 0, child;
  while( (child = 2*i+1)<s->n_ready ){
    if( child+1<s->n_ready && scored_before(&s->ready[child+1], &s->ready[child]) ) child++;
    if( !scored_before(&s->ready[child], &row) ) break;
    s->ready[i] = s->ready[child];
    i = child;
  }
  s->ready[i] = row;
  return top;
}

/* ---- The floor of a round ---- */

struct floor {                  /* the `size` best lower bounds, a heap with the least on top */
  float *best;                  /* [size] */
  int64_t n, size;              /* size 0: the floor is `least` and stays there */
  float at;                     /* the floor */
};

static void floor_see(struct floor *f, float lower){
  int64_t i, child;
  if( f->n<f->size ){
    for(i=f->n++; i>0 && lower<f->best[(i-1)/2]; i=(i-1)/2) f->best[i] = f->best[(i-1)/2];
    f->best[i] = lower;
  }else if( f->size>0 && lower>f->best[0] ){
    for(i=0; (child = 2*i+1)<f->size; i=child){
      if( child+1<f->size && f->best[child+1]<f->best[child] ) child++;
      if( f->best[child]>=lower ) break;
      f->best[i] = f->best[child];
    }
    f->best[i] = lower;
  }
  if( f->n==f->size && f->size>0 && f->best[0]>f->at ) f->at = f->best[0];
}

/* ---- A round ---- */

struct seen_cell {              /* what a round makes of a cell before it is opened */
  float product;                /* <q, centroid> */
  float spread;                 /* what its size suggests for the spread of <q, x - centroid> */
};
struct round {
  struct floor floor;
  struct seen_cell *cells;      /* [n_cells] */
  int *order;                   /* [n_cells]: those not opened yet, likeliest first */
  double squares, n_squares;    /* of <q, x - centroid>/spread over the first SPREAD_ROWS rows */
  int64_t n_rows, n_passed;     /* of the opened cells; those that the terms let pass */
  int n_opened;                 /* cells: the first in order */
  int n_likely;                 /* cells that may have to be opened: so many, the first in order */
  float slack;                  /* of the last row whose bytes were looked at: that of others is much the same */
};

static int term_holds(const struct term *t, uint64_t key){
  int low = 0, high = t->n_set;
  uint64_t flip = t->column<0 ? UINT64_C(1)<<63 : 0;    /* signed numbers in the order of unsigned ones */
  key ^= flip;
  if( t->set==NULL ) return key>=(t->low^flip) && key<=(t->high^flip);
  while( low<high ){
    int middle = low + (high-low)/2;
    uint64_t value = t->set[middle]^flip;
    if( value==key ) return 1;
    if( value<key ) low = middle+1;
    else high = middle;
  }
  return 0;
}

static int row_passes(const struct search *s, const struct cell *c, int row){
  int i, n_keys = s->ix->shape.n_keys;
  for(i=0; i<s->n_terms; i++){
    const struct term *t = &s->terms[i];
    if( !term_holds(t, t->column<0 ? (uint64_t)c->rowids[row] : c->keys[(size_t)row*n_keys + t->column]) ) return 0;
  }
  return 1;
}

/* A row whose sign bound is `sign_bound`; down to `above` it is known already. */
static int look_at_bytes(struct search *s, struct round *r, const struct cell *c, int row, float product, float sign_bound, float above, struct err *e){
  float slack, bound;
  s->cost.n_bytes++;
  bound = product + probe_bytes(&s->probe, &c->factors[row], c->bytes + (size_t)row*s->ix->shape.width, &slack) + slack;
  if( bound<r->floor.at || (bound<sign_bound ? bound : sign_bound)>=above ) return SQLITE_OK;
  if( (s->skip.n>0 || s->skip.has_zero) && rowids_has(&s->skip, c->rowids[row]) ) return SQLITE_OK;
  if( make_room(&s->pool, s->n_pool, &s->pool_size, sizeof(*s->pool), e)!=SQLITE_OK ) return e->rc;
  s->pool[s->n_pool++] = (struct pooled){ bound, sign_bound, c->rowids[row] };
  r->slack = slack;
  floor_see(&r->floor, bound - 2*slack);
  return SQLITE_OK;
}

/* How the query lies to a centroid of a length: see probe_signs(). A tiny centroid tells nothing. */
static float rest_of(float product, float half, float *along){
  float square = 2*half, rest;
  *along = square>0.01f ? product/square : 0;
  rest = 1 - 2**along*product + *along**along*square;
  return rest>0 ? sqrtf(rest) : 0;
}

/* Notes the spread of products in units of what the size of their cell suggests. */
static void see_spread(struct round *r, const struct seen_cell *seen, const float *estimate, const float *error, int n){
  double squares = 0;
  int i;
  for(i=0; i<n; i++) squares += estimate[i]*estimate[i] - error[i]*error[i];
  if( seen->spread>0 && squares>0 ) r->squares += squares/(seen->spread*seen->spread);
  r->n_squares += n;
}

/* Looks through rows [from, to) of a cell; passes[to-from] says which of them the terms let pass, NULL: all. The bytes of those that reach the floor are asked for
** before the first is looked at: with a large index each lies alone in memory. */
static int scan_rows(struct search *s, struct round *r, const struct cell *c, int at, int from, int to, const uint8_t *passes, struct err *e){
  enum { PART = 256 };
  const struct seen_cell *seen = &r->cells[at];
  float estimate[PART], error[PART], along, rest, above = s->floors[at];
  int rows[PART], n_rows = 0, i, j, n = to-from, width = s->ix->shape.width;
  rest = rest_of(seen->product, s->ix->halves[at], &along);
  probe_signs(estimate, error, &s->probe, along, rest, c->factors+from, c->signs + (size_t)from*SIGN_WORDS(s->probe.width), n);
  s->cost.n_signs += n;
  if( r->n_squares<SPREAD_ROWS ) see_spread(r, seen, estimate, error, n);
  for(i=0; i<n; i++){
    estimate[i] = seen->product + estimate[i] + s->errors*error[i];     /* the sign bound */
    rows[n_rows] = i;
    n_rows += estimate[i]>=r->floor.at && (!passes || passes[i]);
  }
  for(i=0; i<n_rows; i++){
    const int8_t *bytes = c->bytes + (size_t)(from+rows[i])*width;
    for(j=0; j<width; j+=64) __builtin_prefetch(bytes + j);
  }
  for(i=0; i<n_rows; i++){
    float sign_bound = estimate[rows[i]];
    if( sign_bound<r->floor.at ) continue;              /* it has risen since */
    if( look_at_bytes(s, r, c, from+rows[i], seen->product, sign_bound, above, e)!=SQLITE_OK ) return e->rc;
  }
  return SQLITE_OK;
}

static int open_cell(struct search *s, struct round *r, int at, struct err *e){
  enum { PART = 256 };
  struct cell *c = s->ix->cells[at];
  uint8_t passes[PART];
  int from, i, n_pass, rc = cell_read(s->ix, c, e);
  if( rc!=SQLITE_OK ) return rc;
  s->cost.n_cells++;
  r->n_rows += c->n;
  for(from=0; from<c->n; from+=PART){
    int to = c->n-from<PART ? c->n : from+PART;
    n_pass = to-from;
    if( s->n_terms>0 ){
      for(n_pass=0, i=from; i<to; i++) n_pass += passes[i-from] = (uint8_t)row_passes(s, c, i);
    }
    r->n_passed += n_pass;
    if( n_pass>0 && scan_rows(s, r, c, at, from, to, s->n_terms>0 ? passes : NULL, e)!=SQLITE_OK ) return e->rc;
  }
  return SQLITE_OK;
}

/* ---- Which cells, and how many ---- */

/* The share of products that lie more than z spreads above their middle, for z = 0, 1/4, ...: of a normal curve whose spread is itself drawn, e^(0.08 g) with a normal
** g, as cells are longer in one direction than in another; written out, as C libraries' erfc() differ. */
static float tail(float z){
  static const float shares[] = {
    0.5f, 0.401f, 0.308f, 0.226f, 0.159f, 0.106f, 0.0676f, 0.041f, 0.0238f, 0.0131f, 0.00694f, 0.00351f,
    0.0017f, 0.000789f, 0.000352f, 0.000152f, 6.29e-05f, 2.52e-05f, 9.8e-06f, 3.69e-06f, 1.35e-06f, 4.81e-07f,
    1.67e-07f, 5.67e-08f, 1.88e-08f, 6.11e-09f, 1.94e-09f, 6.08e-10f, 1.87e-10f, 5.64e-11f, 1.68e-11f, 4.93e-12f, 0, 0,
  };
  float at = z*4;
  int i;
  if( !(at>-16) ) return 1;
  if( at<0 ) return 1 - tail(-z);
  if( at>=32 ) return 0;
  i = (int)at;
  return shares[i] + (at - (float)i)*(shares[i+1] - shares[i]);
}

/* e of a search: a row at the floor is passed over by bad luck as often as rows may be missed, those above it more seldom; at recall 0.95 this costs a tenth of what
** may be missed. Never as for less than 0.95: rows that one round passes over come too late in the next, which is felt when all rows are pulled. */
static float errors_for(double recall){
  float errors = 0;
  if( recall<0.95 ) recall = 0.95;
  while( errors<ERRORS_CERTAIN && tail(errors)>1-recall ) errors += 0.02f;
  return errors;
}

/* The spread of products in units of what was suggested, with as much doubt as few rows leave. */
static float spread_scale(const struct round *r){
  return sqrtf((float)((r->squares + 50)/(r->n_squares + 50)));
}

/* Sorts the likely cells that are not opened yet into 256 classes by how many spreads they lie below the floor (or, before there is one, below 0.8). */
static void order_cells(struct round *r, int *scratch){
  int counts[257] = {0}, from = r->n_opened, n = r->n_likely, i;
  float scale = spread_scale(r), floor = r->floor.at>-1 ? r->floor.at : 0.8f;
  for(i=from; i<n; i++){
    const struct seen_cell *c = &r->cells[r->order[i]];
    float z = c->spread>0 ? (floor - c->product)/(c->spread*scale) : 0;
    int class = (int)((z + 4)*16);
    scratch[i] = class<0 ? 0 : class>255 ? 255 : class;
    counts[scratch[i]+1]++;
  }
  for(i=0; i<256; i++) counts[i+1] += counts[i];
  for(i=from; i<n; i++) scratch[n + from + counts[scratch[i]]++] = r->order[i];
  memcpy(r->order+from, scratch + n + from, sizeof(int)*(size_t)(n-from));
}

/* How many rows of a cell are expected to reach the floor, if all pass. The floor stands on lower bounds; the scores lie about the slack above them. */
static double expected_rows(const struct search *s, const struct round *r, int at, float scale){
  const struct seen_cell *c = &r->cells[at];
  float above = r->floor.at + r->slack - c->product, z = c->spread>0 ? above/(c->spread*scale) : above>0 ? 10.0f : -10.0f;
  return (double)s->ix->cells[at]->n*tail(z);
}

/* Up to where cells, in order, have to be opened so that the others hold fewer than `allowed` rows that reach the floor.
**
** The opened cells hold floor.size such rows. Where other than that was expected of them, so it is of the others: rows of a cell lie less far towards the query than a normal curve
** has it, because there they would be nearer to another centroid, and how much less depends on the data. Measured: that the correction goes with the square of found/expected, the PRIOR
** rows that keep few finds from counting too much, and the spread of spreads in tail(). */
static int cells_needed(const struct search *s, struct round *r, double allowed){
  enum { PRIOR = 5 };
  float scale = spread_scale(r), share = (float)(r->n_passed + 1)/(float)(r->n_rows + 1);
  double found = 0, missed = 0, correction;
  int i;
  for(i=0; i<r->n_opened; i++) found += share*expected_rows(s, r, r->order[i], scale);
  correction = ((double)r->floor.size + PRIOR)/(found + PRIOR);
  allowed /= share*correction*correction;
  for(i=r->n_likely; i>r->n_opened; i--){
    if( missed<0.01*allowed ) r->n_likely = i;          /* as the floor only rises, what lies behind will count even less */
    missed += expected_rows(s, r, r->order[i-1], scale);
    if( missed>allowed ) break;
  }
  return i;
}

/* There is a floor, it has risen since it stood at `floor` and `thought` cells were open, and more of them are: worth thinking again how many are needed. */
static int is_time_to_think(const struct round *r, int thought, float floor){
  return r->floor.size>0 && r->floor.n==r->floor.size && r->floor.at>floor && r->n_opened>=thought + 2 + r->n_opened/8;
}

static int asked_to_stop(struct search *s, struct err *e){
  if( s->stop && (++s->n_asked & 15)==0 && s->stop(s->stop_arg) ) return fail(e, SQLITE_INTERRUPT, "interrupted");
  return SQLITE_OK;
}

/* Asks for the numbers of a cell that will be opened soon: with a large index they lie in memory, not in the processor's cache. Measured (EPYC Zen 5, 339,479 rows of
** 100 numbers): 2,245 -> 2,846 queries a second. */
static void expect_cell(const struct cell *c, int words){
  size_t signs = sizeof(uint64_t)*(size_t)words*(size_t)c->n, factors = sizeof(struct factors)*(size_t)c->n, i;
  if( c->capacity==0 ) return;
  for(i=0; i<signs; i+=64) __builtin_prefetch((const char*)c->signs + i);
  for(i=0; i<factors; i+=64) __builtin_prefetch((const char*)c->factors + i);
}

/* Opens cells for a round at whose end `wanted` rows shall be known. */
static int open_cells(struct search *s, struct round *r, int *scratch, int64_t wanted, struct err *e){
  double allowed = (1 - s->recall)*(double)wanted*(s->n_terms>0 ? 0.4 : 1);      /* what few rows that pass tell of their spread is rough */
  float floor = -INFINITY;
  int thought = 0, end = s->n_cells;
  r->n_likely = s->n_cells;
  order_cells(r, scratch);
  for(; r->n_opened<end; r->n_opened++){
    if( is_time_to_think(r, thought, floor) ){
      thought = r->n_opened;
      floor = r->floor.at;
      order_cells(r, scratch);
      if( s->recall<1 ) end = cells_needed(s, r, allowed);
      if( end<=r->n_opened ) break;
    }
    if( r->n_opened+1<end ) expect_cell(s->ix->cells[r->order[r->n_opened+1]], SIGN_WORDS(s->probe.width));
    if( asked_to_stop(s, e)!=SQLITE_OK || open_cell(s, r, r->order[r->n_opened], e)!=SQLITE_OK ) return e->rc;
  }
  return SQLITE_OK;
}

/* Rows that were pooled while the floor was lower leave again, unless it is only by their sign bound that they would: those are kept, but
** as the next round would find them once more, their rowids are. Cells that were opened are now known down to the floor. */
static int settle(struct search *s, const struct round *r, int64_t pool_from, struct err *e){
  int64_t i, n = pool_from;
  for(i=pool_from; i<s->n_pool; i++){
    struct pooled row = s->pool[i];
    if( row.bound<r->floor.at ) continue;
    if( row.sign_bound<r->floor.at && rowids_add(&s->skip, row.rowid, e)!=SQLITE_OK ) return e->rc;
    s->pool[n++] = row;
  }
  s->found += n - pool_from;
  s->n_pool = n;
  s->n_sorted = 0;
  s->floor = r->floor.at;
  for(i=0; i<r->n_opened; i++) s->floors[r->order[i]] = r->floor.at;
  return SQLITE_OK;
}

/* The index is not the one that the last round saw: begins anew, without the rows that are known. */
static int begin_anew(struct search *s, struct err *e){
  struct index *ix = s->ix;
  float *floors = mem_alloc(sizeof(float)*(size_t)(ix->n_cells+1));
  int64_t i;
  if( floors==NULL ) return fail_nomem(e);
  mem_free(s->floors);
  s->floors = floors;
  for(i=0; i<ix->n_cells; i++) floors[i] = INFINITY;
  if( s->n_cells>=0 ){
    s->has_changed = 1;
    for(i=0; i<s->n_given; i++) if( rowids_add(&s->skip, s->given[i], e)!=SQLITE_OK ) return e->rc;
    for(i=0; i<s->n_pool; i++) if( rowids_add(&s->skip, s->pool[i].rowid, e)!=SQLITE_OK ) return e->rc;
    for(i=0; i<s->n_ready; i++) if( rowids_add(&s->skip, s->ready[i].rowid, e)!=SQLITE_OK ) return e->rc;
  }
  s->n_cells = ix->n_cells;
  s->state = ix->state;
  return SQLITE_OK;
}

static void measure_cells(struct search *s, struct round *r, float *products){
  struct index *ix = s->ix;
  int i, width = ix->shape.width;
  float part = 1.0f/sqrtf((float)width);
  dots(products, s->probe.vector, ix->centroids, ix->n_cells, width);
  for(i=0; i<ix->n_cells; i++){
    float inside = 1 - 2*ix->halves[i];         /* rows are of length 1: what the centroid lacks of it is the mean square of the residuals */
    r->cells[i].product = products[i];
    r->cells[i].spread = inside>0 ? sqrtf(inside)*part : 0;
    r->order[i] = i;
  }
}

/* How many more rows a round looks for: all, when few would be left. 0: all. */
static int64_t rows_wanted(const struct search *s){
  int64_t wanted;
  if( s->found==0 ) wanted = s->k>0 ? s->k : FIRST_WANTED;
  else wanted = (GROWTH-1)*s->found;
  return s->found + wanted>=s->ix->n_rows/2 ? 0 : wanted;
}

static int search_round(struct search *s, struct err *e){
  struct index *ix = s->ix;
  struct round r = {0};
  struct arena a = {0};
  int64_t wanted, pool_from = s->n_pool;
  int *scratch, rc = index_load(ix, e);
  float *products;
  if( rc!=SQLITE_OK ) return rc;
  if( s->n_cells<0 || ix->state!=s->state || ix->n_cells!=s->n_cells ){
    if( begin_anew(s, e)!=SQLITE_OK ) return e->rc;
  }
  wanted = rows_wanted(s);
  r.floor.size = wanted;
  r.floor.at = s->least;
  r.floor.best = arena_floats(&a, (size_t)wanted);
  r.cells = arena_get(&a, sizeof(*r.cells)*(size_t)ix->n_cells);
  r.order = arena_get(&a, sizeof(int)*(size_t)ix->n_cells);
  products = arena_floats(&a, (size_t)ix->n_cells);
  scratch = arena_get(&a, 2*sizeof(int)*(size_t)ix->n_cells);
  if( a.oom ){
    arena_release(&a);
    return fail_nomem(e);
  }
  measure_cells(s, &r, products);
  rc = open_cells(s, &r, scratch, s->found + (wanted ? wanted : ix->n_rows), e);
  if( rc==SQLITE_OK ) rc = settle(s, &r, pool_from, e);
  arena_release(&a);
  return rc;
}

/* ---- The search ---- */

int search_open(struct search **out, struct index *ix, const struct query *q, struct err *e){
  struct search *s = mem_alloc(sizeof(*s));
  size_t width = (size_t)ix->shape.width;
  float *vector;
  int rc;
  *out = NULL;
  if( s==NULL ) return fail_nomem(e);
  memset(s, 0, sizeof(*s));
  s->ix = ix;
  s->recall = q->recall<1 ? (q->recall>0 ? q->recall : 0) : 1;
  s->k = q->k>0 ? q->k : 0;
  s->stop = q->stop;
  s->stop_arg = q->stop_arg;
  s->floor = INFINITY;
  s->n_cells = -1;
  s->errors = s->recall<1 ? errors_for(s->recall) : ERRORS_CERTAIN;
  s->last.score = INFINITY;
  rc = index_load(ix, e);
  s->vector = vector = arena_floats(&s->arena, width);
  s->fetched = arena_floats(&s->arena, width);
  s->terms = arena_get(&s->arena, sizeof(struct term)*(size_t)q->n_terms);
  s->n_terms = q->n_terms;
  if( rc==SQLITE_OK ) rc = probe_init(&s->probe, &ix->rotation, q->vector, &s->arena, e);
  if( rc!=SQLITE_OK ){
    search_close(s);
    return rc;
  }
  memcpy(vector, q->vector, sizeof(float)*width);
  if( q->n_terms ) memcpy(s->terms, q->terms, sizeof(struct term)*(size_t)q->n_terms);
  s->least = q->farthest<2 ? (float)(1 - q->farthest) - s->probe.margin : -INFINITY;
  *out = s;
  return SQLITE_OK;
}

void search_close(struct search *s){
  if( s==NULL ) return;
  mem_free(s->pool);
  mem_free(s->sorted_to);
  mem_free(s->ready);
  mem_free(s->given);
  mem_free(s->skip.slots);
  mem_free(s->floors);
  arena_release(&s->arena);
  mem_free(s);
}

void search_cost(const struct search *s, struct search_cost *cost){
  *cost = s->cost;
}

/* The best row of the pool is looked at exactly. */
static int look_exactly(struct search *s, struct err *e){
  struct scored row = { 0, s->pool[--s->n_pool].rowid };
  int found = 0, rc = asked_to_stop(s, e);
  if( rc==SQLITE_OK ) rc = s->ix->source.fetch(s->ix->source.arg, row.rowid, s->fetched, &found, e);
  if( rc!=SQLITE_OK || !found ) return rc;
  s->cost.n_exact++;
  row.score = dot(s->vector, s->fetched, s->ix->shape.width);
  if( row.score>1 ) row.score = 1;
  if( !(row.score>=s->least) ) return SQLITE_OK;
  return ready_push(s, row, e);
}

/* Notes a row as given out, unless it must not be: it lies before the last one (a later round found what an earlier one missed: distances never fall,
** so it stays a miss), or the index has changed since the first round, and the row is gone. */
static int give(struct search *s, struct scored row, int *is_given, struct err *e){
  int rc = SQLITE_OK;
  *is_given = s->n_given==0 || scored_before(&s->last, &row);
  if( *is_given && (s->has_changed || s->ix->state!=s->state) ) rc = s->ix->source.fetch(s->ix->source.arg, row.rowid, s->fetched, is_given, e);
  if( rc!=SQLITE_OK || !*is_given ) return rc;
  if( make_room(&s->given, s->n_given, &s->given_size, sizeof(int64_t), e)!=SQLITE_OK ) return e->rc;
  s->given[s->n_given++] = row.rowid;
  s->last = row;
  return SQLITE_OK;
}

int search_next(struct search *s, int64_t *rowid, double *distance, int *eof, struct err *e){
  int rc = SQLITE_OK, is_given = 0;
  *rowid = 0;
  *distance = 0;
  *eof = 0;
  while( rc==SQLITE_OK && !is_given && !*eof ){
    int nothing_left = s->floor<=s->least, is_next = 0;
    if( pool_best_last(s, e)!=SQLITE_OK ) return e->rc;
    if( s->n_ready>0 ){
      float score = s->ready[0].score;
      is_next = (s->n_pool==0 || score>s->pool[s->n_pool-1].bound) && (nothing_left || score>=s->floor);
    }
    if( is_next ) rc = give(s, ready_pop(s), &is_given, e);
    else if( s->n_pool>0 ) rc = look_exactly(s, e);
    else if( nothing_left ) *eof = 1;
    else rc = search_round(s, e);
  }
  if( is_given ){
    *rowid = s->last.rowid;
    *distance = 1 - (double)s->last.score;
  }
  return rc;
}
