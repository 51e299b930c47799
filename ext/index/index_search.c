/*
** index_search.c -- the rows of an index, nearest first, for as long as they are pulled.
**
** Scores are products with the query, that is 1 - distance: large is near. A row has three
** scores. Each is tighter than the one before, and costs more:
**     sign bound      estimate + e errors: the true score is above it only by bad luck
**     byte bound      the true score is never above it
**     score           exact
**
** A search goes in rounds. A round looks for a number of further rows, `wanted`. It leaves behind
** a floor, a score with these properties:
**   - The pool holds every row of an opened cell whose two bounds reach the floor. At least
**     `wanted` of them have a score that reaches it.
**   - Every other row has a bound below the floor. The search forgets it. The next round has a
**     lower floor, and finds the row again by its bounds, which are the same each time. So no
**     queue ever holds more than a few times the rows that are asked for, and a row costs 3 ns
**     when it is passed over.
**
** 1. A round opens cells, the likeliest to hold near rows first. Where the sign bound of a row
**    reaches the floor, its bytes are looked at. Where the byte bound reaches the floor too, the
**    row goes into the pool. The floor is the wanted-th best lower bound (byte bound less twice
**    the slack) so far, so it rises from row to row.
** 2. With recall 1 all cells are opened, and e is so large (ERRORS_CERTAIN) that bad luck will
**    not happen. With less, e is what a row exceeds about as often as rows may be missed. The
**    round stops when fewer rows are expected to be missed than may be, because their cells are
**    not opened: index_order.c. It ranks cells by products in bytes. Where bounds are certain,
**    the product with the centroid is taken anew when a cell is opened.
** 3. Between rounds, search_next() takes rows out of the pool by their byte bound (an incremental
**    quicksort: Paredes and Navarro 2006; rows that are never pulled are never sorted). It asks
**    the source for their vectors. It gives a row out when nothing in the pool, and nothing left
**    behind, can have a score as good.
** With a growing `wanted` this is the incremental nearest neighbour search of Hjaltason and Samet
** (1999), with its queue kept on disk.
**
** 4. The order of all rows depends on the query and the index alone, so that LIMIT 50 OFFSET 100
**    continues LIMIT 100. With recall 1 it is the true order. With less, the first rounds, the
**    head, look for 100 rows, then 1,000 in all, ...: always so many, whoever pulls how many. (A
**    round for 10 would cost as much: it opens as many cells for the same recall, and exact vectors
**    are fetched only for rows that are pulled.) Their rows come nearest first; one that an earlier
**    round passed over is kept for later. When the next round would look for more than a 32nd of
**    all rows, the head ends: the search goes on as with recall 1, gives those that were passed
**    over, and then every row that is left.
**
** 5. Where rows have several vectors, what is said of rows above holds for entries, up to the
**    exact vectors. These are fetched row by row: the first entry of a row that comes out of the
**    pool settles the row's score, which is that of its nearest vector, and its other entries are
**    dropped when they come. So `wanted` counts entries, and a row is given once.
**
** 6. Where the codes of all rows are more than the cache holds, the bytes of most cells would have
**    to come from the disk. Then the head does without them: a row whose sign bound reaches the
**    floor goes into the pool by its signs alone. Its lower bound is the estimate less e errors,
**    and the exact vectors decide. Few more of them are fetched, as only rows before the last that
**    is pulled are.
**
** The index may change while a search lives. Nothing in here points into the index between two
** calls. A round that finds another state than the last one saw begins anew with all cells, and
** leaves out every row that was given out or is in the pool already.
*/
#include "index.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* A normal number exceeds it once in 10^9, products of unit vectors less often. */
static const float ERRORS_CERTAIN = 6.0f;
enum {
  /* The first rows of a round: they tell the spread of a query's products. */
  SPREAD_ROWS = 4096,
  FIRST_WANTED = 32,            /* with recall 1, by a search that was not told how many */
  GROWTH = 4,                   /* of all wanted rows, each round with recall 1 */
  HEAD_ROWS = 100,              /* of the first round with less */
  HEAD_GROWTH = 10,
  HEAD_SHARE = 32,              /* so many times the rows of a round of the head must be there */
  PART = 256                    /* rows of a cell that are looked through at once */
};

/* A row known by its bytes, or by its signs alone. */
struct pooled {
  float bound;                  /* byte bound; or the sign bound */
  float sign_bound;
  float slack;                  /* the score is at least bound - 2*slack; by signs that is likely */
  int is_by_signs;
  int64_t rowid;
};

/* A row known exactly. */
struct scored {
  float score;
  int64_t rowid;
};

struct search {
  struct index *ix;
  uint64_t group;               /* in which it searches */
  struct arena arena;           /* query, vectors, terms: for the life of the search */
  struct prepared_query query;
  const float *vector;          /* [width], not rotated */
  struct term *terms;           /* [n_terms] */
  int n_terms;
  double recall;                /* of the head */
  int is_certain;               /* recall 1, from the beginning or since the head has ended */
  int is_by_signs;              /* without the bytes, which the cache does not hold */
  double farthest;              /* no row beyond this distance is wanted; INFINITY */
  float least;                  /* so no entry whose bound is below this; -INFINITY */
  float errors;                 /* e */
  int64_t n_asked;              /* calls of check_stop() */

  int64_t k;                    /* rows that will be pulled, as far as known: with recall 1 it says
                                ** how many the first round looks for */
  int64_t found;                /* rows that the floor has let through so far */
  float floor;                  /* +INFINITY before the first round; `least` when nothing is left */
  struct pooled *pool;          /* [n_pool]; owned, like the arrays below */
  int64_t n_pool, pool_size;
  int64_t *sorted_to;           /* [n_sorted]: stack of places in the pool, see pool_best_last() */
  int64_t n_sorted, sorted_size;
  struct scored *ready;         /* [n_ready]: a heap, nearest on top */
  int64_t n_ready, ready_size;
  int64_t *given;               /* [n_given]: rowids given out */
  int64_t n_given, given_size;
  struct scored last;           /* the last of them; its score is INFINITY before the first, and
                                ** when the head has ended */
  /* [n_late]: rows that an earlier round of the head should have found */
  struct scored *late;
  int64_t n_late, late_size;
  struct key_set skip;          /* rowids that a round must not put into the pool once more */
  struct key_set settled;       /* where rows have parts: those whose score is known */

  uint64_t state;               /* of the index, in the last round */
  int has_changed;              /* since the first round: rows that are ready may be gone */
  /* In that state: the cells and rows of the group, and where in the index's list its cells begin.
  ** n_cells is -1 before the first round. */
  int n_cells, first;
  int64_t n_rows;
  /* [n_cells]: down to where a cell was looked through; +INFINITY: not opened. Owned */
  float *floors;
  struct search_cost cost;
};

/* Room for one more element in *array, which holds n and has room for *size. */
static int array_reserve(void *array, int64_t n, int64_t *size, size_t bytes, struct err *e){
  void **p = array;
  const int64_t more = *size ? 2**size : 64;
  void *larger;

  if( n<*size ) return SQLITE_OK;
  larger = mem_resize(*p, (size_t)more*bytes);
  if( larger==NULL ) return fail_nomem(e);
  *p = larger;
  *size = more;
  return SQLITE_OK;
}

/* ---- The pool: the row with the greatest bound is wanted, again and again ---- */

static int pool_before(const struct pooled *a, const struct pooled *b){
  return a->bound>b->bound || (a->bound==b->bound && a->rowid<b->rowid);
}

/* Moves the rows of [from, to) that come before the middle one behind it. Returns where that one
** is then. */
static int64_t pool_split(struct pooled *pool, int64_t from, int64_t to){
  const int64_t middle = from + (to-from)/2;
  const struct pooled pivot = pool[middle];
  int64_t at = from;

  pool[middle] = pool[to-1];
  for(int64_t i=from; i<to-1; i++){
    if( pool_before(&pivot, &pool[i]) ){
      const struct pooled row = pool[i];
      pool[i] = pool[at];
      pool[at++] = row;
    }
  }
  pool[to-1] = pool[at];
  pool[at] = pivot;
  return at;
}

/* Puts the best row of the pool last. sorted_to is a stack of places p, rising: every row from p
** on comes before every row below p. */
static int pool_best_last(struct search *s, struct err *e){
  for(;;){
    int64_t from = s->n_sorted>0 ? s->sorted_to[s->n_sorted-1] : 0;
    if( from>=s->n_pool ){              /* its part is used up */
      if( s->n_sorted==0 ) return SQLITE_OK;
      s->n_sorted--;
      continue;
    }
    if( from==s->n_pool-1 ) return SQLITE_OK;
    array_reserve(&s->sorted_to, s->n_sorted+1, &s->sorted_size, sizeof(*s->sorted_to), e);
    if( e->rc!=SQLITE_OK ) return e->rc;
    from = pool_split(s->pool, from, s->n_pool);
    s->sorted_to[s->n_sorted++] = from;
    if( from<s->n_pool-1 ) s->sorted_to[s->n_sorted++] = from+1;
  }
}

/* ---- The rows that are known exactly: a heap ---- */

static int scored_before(const struct scored *a, const struct scored *b){
  return a->score>b->score || (a->score==b->score && a->rowid<b->rowid);
}

static int ready_push(struct search *s, struct scored row, struct err *e){
  int64_t i = s->n_ready;

  array_reserve(&s->ready, s->n_ready, &s->ready_size, sizeof(row), e);
  if( e->rc!=SQLITE_OK ) return e->rc;
  s->n_ready++;
  while( i>0 && scored_before(&row, &s->ready[(i-1)/2]) ){
    s->ready[i] = s->ready[(i-1)/2];
    i = (i-1)/2;
  }
  s->ready[i] = row;
  return SQLITE_OK;
}

static struct scored ready_pop(struct search *s){
  const struct scored top = s->ready[0];
  const struct scored row = s->ready[--s->n_ready];
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

/* ---- A round: the rows of one cell ---- */

struct round {
  struct floor floor;
  struct cell_order order;
  int64_t n_rows, n_passed;     /* of the opened cells; those that the terms let pass */
  /* Of the last row whose bytes were looked at: that of others is much the same. */
  float slack;
};

static int set_has(const struct term *t, uint64_t value, uint64_t flip){
  int high = t->n_set;
  int low = 0;
  while( low<high ){
    const int middle = low + (high-low)/2;
    const uint64_t here = t->set[middle]^flip;
    if( here==value ) return 1;
    if( here<value ){
      low = middle+1;
    }else{
      high = middle;
    }
  }
  return 0;
}

int term_holds(const struct term *t, uint64_t key){
  /* Puts signed numbers into the order of unsigned ones. */
  const uint64_t flip = t->column<0 ? UINT64_C(1)<<63 : 0;

  key ^= flip;
  if( t->set ) return set_has(t, key, flip);
  return key>=(t->low^flip) && key<=(t->high^flip);
}

static int row_passes(const struct search *s, const struct cell *c, int row){
  const uint64_t *keys = c->keys + (size_t)row*s->ix->shape.n_keys;

  for(int i=0; i<s->n_terms; i++){
    const struct term *t = &s->terms[i];
    const uint64_t key = t->column<0 ? (uint64_t)c->rowids[row] : keys[t->column];
    if( !term_holds(t, key) ) return 0;
  }
  return 1;
}

/* A cell that is being looked through. */
struct scan {
  const struct cell *cell;
  float product;                /* <q, centroid> */
  float along, rest;            /* how the query lies to the centroid: see query_signs() */
  float above;                  /* down to here its rows are known from the rounds before */
};

/* Into the pool, if both bounds reach the floor and it was not found before. */
static int pool_add(struct search *s, struct round *r, const struct scan *k, struct pooled row,
                    struct err *e){
  const float least = row.bound<row.sign_bound ? row.bound : row.sign_bound;

  if( least<r->floor.at || least>=k->above ) return SQLITE_OK;
  if( key_set_has(&s->skip, (uint64_t)row.rowid) ) return SQLITE_OK;
  array_reserve(&s->pool, s->n_pool, &s->pool_size, sizeof(*s->pool), e);
  if( e->rc!=SQLITE_OK ) return e->rc;
  s->pool[s->n_pool++] = row;
  r->slack = row.slack;
  floor_see(&r->floor, row.bound - 2*row.slack);
  return SQLITE_OK;
}

/* The rows of a part of a cell that reach the floor by their signs: rows[n], counted from `from`.
*/
struct likely {
  float bounds[PART];           /* sign bounds, by place in the part; like errors */
  float errors[PART];
  int rows[PART];
  int from, n;
};

static int pool_by_signs(struct search *s, struct round *r, const struct scan *k,
                         const struct likely *l, struct err *e){
  for(int i=0; i<l->n; i++) __builtin_prefetch(k->cell->rowids + l->from + l->rows[i]);
  for(int i=0; i<l->n && e->rc==SQLITE_OK; i++){
    const int at = l->rows[i];
    const struct pooled row = {
      .bound = l->bounds[at], .sign_bound = l->bounds[at], .slack = s->errors*l->errors[at],
      .is_by_signs = 1, .rowid = k->cell->rowids[l->from + at]
    };
    pool_add(s, r, k, row, e);
  }
  return e->rc;
}

/* It prefetches the bytes of all rows before it looks at the first: in a large index each lies
** alone in memory. */
static int pool_by_bytes(struct search *s, struct round *r, const struct scan *k,
                         const struct likely *l, struct err *e){
  const struct cell *c = k->cell;
  const int width = s->ix->shape.width;

  for(int i=0; i<l->n; i++){
    const int8_t *bytes = c->bytes + (size_t)(l->from + l->rows[i])*width;
    for(int j=0; j<width; j+=64) __builtin_prefetch(bytes + j);
  }
  for(int i=0; i<l->n && e->rc==SQLITE_OK; i++){
    const int at = l->from + l->rows[i];
    const struct factors f = cell_factors(c, at);
    struct pooled row = { .sign_bound = l->bounds[l->rows[i]], .rowid = c->rowids[at] };
    if( row.sign_bound<r->floor.at ) continue;  /* the floor has risen since */
    row.bound = k->product + query_bytes(&s->query, &f, c->bytes + (size_t)at*width,
                                         &row.slack);
    row.bound += row.slack;
    s->cost.n_bytes++;
    pool_add(s, r, k, row, e);
  }
  return e->rc;
}

/* How the query lies to a centroid: q = along * centroid + something of length rest. A tiny
** centroid tells nothing. */
static void split_query(struct scan *k, float half){
  const float square = 2*half;
  float rest;

  k->along = square>0.01f ? k->product/square : 0;
  rest = 1 - 2*k->along*k->product + k->along*k->along*square;
  k->rest = rest>0 ? sqrtf(rest) : 0;
}

/* From estimates to bounds, in their place. By steps of a fixed size, so that the compiler makes
** vector code of it. */
static void sign_bounds(struct likely *l, float product, float errors, int n){
  enum { STEP = 16 };

  for(int i=n; i%STEP!=0; i++) l->bounds[i] = l->errors[i] = 0;
  for(int at=0; at<n; at+=STEP){
    for(int i=at; i<at+STEP; i++) l->bounds[i] = product + l->bounds[i] + errors*l->errors[i];
  }
}

/* Looks through rows [from, to) of cell `at`, at most PART. passes[to-from] says which of them
** the terms let pass; NULL: all. */
static int scan_rows(struct search *s, struct round *r, const struct scan *k, int at, int from,
                     int to,
                     const uint8_t *passes, struct err *e){
  const struct cell *c = k->cell;
  const int n = to-from;
  const uint64_t *signs = c->signs + (size_t)from*SIGN_WORDS(s->ix->shape.width);
  struct likely l;

  l.from = from;
  l.n = 0;
  query_signs(l.bounds, l.errors, &s->query, k->along, k->rest, c->factors+from,
              (size_t)c->capacity, signs, n);
  s->cost.n_signs += n;
  if( r->order.n_squares<SPREAD_ROWS ) order_see(&r->order, at, l.bounds, l.errors, n);
  sign_bounds(&l, k->product, s->errors, n);
  for(int i=0; i<n; i++){
    l.rows[l.n] = i;
    l.n += l.bounds[i]>=r->floor.at && (passes==NULL || passes[i]);
  }
  return s->is_by_signs ? pool_by_signs(s, r, k, &l, e) : pool_by_bytes(s, r, k, &l, e);
}

/* The cells of the group are numbered from 0. */
static struct cell *cell_at(const struct search *s, int at){
  return s->ix->cells[s->first + at];
}

static int open_cell(struct search *s, struct round *r, int at, struct err *e){
  struct cell *c = cell_at(s, at);
  struct scan k = { .cell = c, .product = r->order.cells[at].product, .above = s->floors[at] };
  uint8_t passes[PART];

  if( s->is_by_signs ) cell_read_signs(s->ix, c, e);
  else cell_read(s->ix, c, e);
  if( e->rc!=SQLITE_OK ) return e->rc;
  /* A bound that is certain needs the product itself. */
  if( !s->is_by_signs ) k.product = dot(s->query.vector, c->centroid, s->query.width);
  split_query(&k, s->ix->halves[s->first + at]);
  s->cost.n_cells++;
  r->n_rows += c->n;
  for(int from=0; from<c->n; from+=PART){
    const int to = c->n-from<PART ? c->n : from+PART;
    int n_pass = to-from;
    if( s->n_terms>0 ){
      n_pass = 0;
      for(int i=from; i<to; i++){
        passes[i-from] = (uint8_t)row_passes(s, c, i);
        n_pass += passes[i-from];
      }
    }
    r->n_passed += n_pass;
    if( n_pass>0 ) scan_rows(s, r, &k, at, from, to, s->n_terms>0 ? passes : NULL, e);
    if( e->rc!=SQLITE_OK ) return e->rc;
  }
  return SQLITE_OK;
}

/* ---- A round: which cells, and how many ---- */

/* e of a search: bad luck passes over a row at the floor as often as rows may be missed, and rows
** above it more seldom. At recall 0.95 this costs a tenth of what may be missed. Never the e of
** less than 0.95: rows that one round passes over come too late in the next, which is felt when
** all rows are pulled. */
static float errors_for(const struct search *s){
  double may_miss = 1 - (s->recall<0.95 ? 0.95 : s->recall);
  float errors = 0;

  if( s->is_certain ) return ERRORS_CERTAIN;
  if( s->is_by_signs ) may_miss /= 2;           /* they may be missed in the pool once more */
  while( errors<ERRORS_CERTAIN && share_above(errors)>may_miss ) errors += 0.02f;
  return errors;
}

/* Is it worth asking again how many cells are needed? If there is a floor that is higher than
** when it was last asked, and a quarter more cells are open. */
static int is_time_to_ask(const struct round *r, int opened_then, float floor_then){
  if( r->floor.size==0 || r->floor.n<r->floor.size ) return 0;
  return r->floor.at>floor_then && r->order.n_opened>=opened_then + 2 + r->order.n_opened/4;
}

static int check_stop(struct search *s, struct err *e){
  if( (++s->n_asked & 15)==0 ) err_stopped(e);
  return e->rc;
}

/* Prefetches the numbers of a cell that will be opened soon, and of a later one what tells where
** its numbers are: those of a large index lie in memory, not in the processor's cache. Measured
** (EPYC Zen 5, 339,479 rows of 100 numbers): 2,245 -> 2,846 queries a second. Two cells ahead are
** a twentieth faster than one (1,000,000 rows of 384), three are not faster. */
static void prefetch_cells(const struct search *s, const struct cell_order *o, int end){
  enum { AHEAD = 2, LATER = 4 };
  const size_t sign_bytes = sizeof(uint64_t)*SIGN_WORDS((size_t)s->query.width);
  const struct cell *c;

  if( o->n_opened+LATER<end ) __builtin_prefetch(cell_at(s, o->order[o->n_opened+LATER]));
  if( o->n_opened+AHEAD>=end ) return;
  c = cell_at(s, o->order[o->n_opened+AHEAD]);
  if( c->capacity==0 ) return;
  for(size_t i=0; i<sign_bytes*(size_t)c->n; i+=64) __builtin_prefetch((const char *)c->signs + i);
  for(int i=0; i<2*c->capacity + c->n; i+=32) __builtin_prefetch(c->factors + i);
}

/* The score of the rows that a round looks for. The floor is made of lower bounds; the scores lie
** about the slack above them. */
static float score_wanted(const struct round *r){
  return r->floor.at>-1 ? r->floor.at + r->slack : 0.8f;
}

/* How many cells, in order, must be opened so that the others hold fewer than `allowed` rows that
** reach the floor. */
static int cells_needed(const struct search *s, struct round *r, double allowed){
  const double share = (double)(r->n_passed + 1)/(double)(r->n_rows + 1);
  const double mean_rows = (double)s->n_rows/s->n_cells;

  return order_needed(&r->order, score_wanted(r), (double)r->floor.size, share, mean_rows, allowed);
}

/* Opens cells for a round that looks for so many further rows. What earlier rounds of the head
** passed over has been allowed for by them. */
static int open_cells(struct search *s, struct round *r, int64_t wanted, struct err *e){
  /* The curve has too few rows far out: where rows have a few near relatives among noise, and in
  ** large tables, and the more so the farther out the rows are that may not be missed. Under terms
  ** few rows pass, and tell only roughly what their spread is. */
  const double farther = s->recall>0.95 ? s->recall - 0.95 : 0;
  const double care = s->n_terms>0 ? 0.4 : 0.6 - 4*farther;
  const double allowed = (1 - s->recall)*(double)wanted*care;
  struct cell_order *o = &r->order;
  float floor_then = -INFINITY;
  int opened_then = 0;
  int end = s->n_cells;

  order_sort(o, score_wanted(r));
  while( o->n_opened<end ){
    if( is_time_to_ask(r, opened_then, floor_then) ){
      opened_then = o->n_opened;
      floor_then = r->floor.at;
      order_sort(o, score_wanted(r));
      if( !s->is_certain ) end = cells_needed(s, r, allowed);
      if( end<=o->n_opened ) break;
    }
    prefetch_cells(s, o, end);
    if( check_stop(s, e)!=SQLITE_OK ) return e->rc;
    if( open_cell(s, r, o->order[o->n_opened], e)!=SQLITE_OK ) return e->rc;
    o->n_opened++;
  }
  return SQLITE_OK;
}

/* ---- A round, whole ---- */

static int skip_row(struct search *s, int64_t rowid, struct err *e){
  key_set_add(&s->skip, (uint64_t)rowid);
  return s->skip.oom ? fail_nomem(e) : e->rc;
}

/* Rows that came into the pool while the floor was lower leave it again if their byte bound is
** below the floor. If only their sign bound is, they stay; but the next round would find them
** once more, so it must skip them. The opened cells are now known down to the floor. */
static int round_end(struct search *s, const struct round *r, int64_t pool_from, struct err *e){
  int64_t n = pool_from;

  for(int64_t i=pool_from; i<s->n_pool; i++){
    const struct pooled row = s->pool[i];
    if( row.bound<r->floor.at ) continue;
    if( row.sign_bound<r->floor.at && skip_row(s, row.rowid, e)!=SQLITE_OK ) return e->rc;
    s->pool[n++] = row;
  }
  s->found += n - pool_from;
  s->n_pool = n;
  s->n_sorted = 0;
  s->floor = r->floor.at;
  for(int i=0; i<r->order.n_opened; i++) s->floors[r->order.order[i]] = r->floor.at;
  return SQLITE_OK;
}

/* No cell counts as opened any more. The rows that are known will be skipped. */
static int begin_anew(struct search *s, struct err *e){
  float *floors = mem_alloc(sizeof(float)*(size_t)(s->n_cells+1));

  if( floors==NULL ) return fail_nomem(e);
  mem_free(s->floors);
  s->floors = floors;
  s->is_by_signs = !s->is_certain && cells_overflow(s->ix);
  s->errors = errors_for(s);
  for(int i=0; i<s->n_cells; i++) floors[i] = INFINITY;
  for(int64_t i=0; i<s->n_given; i++) skip_row(s, s->given[i], e);
  for(int64_t i=0; i<s->n_pool; i++) skip_row(s, s->pool[i].rowid, e);
  for(int64_t i=0; i<s->n_ready; i++) skip_row(s, s->ready[i].rowid, e);
  for(int64_t i=0; i<s->n_late; i++) skip_row(s, s->late[i].rowid, e);
  return e->rc;
}

/* Makes sure that the cells are those of the present index. */
static int see_index(struct search *s, struct err *e){
  struct index *ix = s->ix;
  struct cell_range in;
  int64_t n_rows;

  if( index_rows_of(ix, s->group, &n_rows, e)!=SQLITE_OK ) return e->rc;
  in = cells_of(ix, s->group);
  if( s->n_cells==in.n && s->state==ix->state ) return SQLITE_OK;
  if( s->n_cells>=0 ) s->has_changed = 1;
  s->n_cells = in.n;
  s->first = in.from;
  s->n_rows = n_rows;
  s->state = ix->state;
  if( begin_anew(s, e)!=SQLITE_OK ) s->n_cells = -1;
  return e->rc;
}

/* How many more rows the next round of the head looks for; 0: it has ended. Where a round came
** down to `least`, all has been looked at. */
static int64_t head_wanted(const struct search *s){
  int64_t rows = HEAD_ROWS;

  if( s->floor<=s->least ) return 0;
  while( rows<=s->found ) rows *= HEAD_GROWTH;
  return rows*HEAD_SHARE<=s->n_rows ? rows - s->found : 0;
}

/* From now on nothing is passed over. The sign bounds of all rows are others then, so that floors
** do not tell which rows are known. */
static int end_head(struct search *s, struct err *e){
  s->is_certain = 1;
  s->last.score = INFINITY;
  begin_anew(s, e);
  for(int64_t i=0; i<s->n_late && e->rc==SQLITE_OK; i++) ready_push(s, s->late[i], e);
  s->n_late = 0;
  return e->rc;
}

/* How many more rows a round looks for. 0: all, because few would be left. */
static int64_t rows_wanted(const struct search *s){
  int64_t wanted = s->found==0 ? FIRST_WANTED : (GROWTH-1)*s->found;

  if( !s->is_certain ) return head_wanted(s);
  if( s->k>s->found ) wanted = s->k - s->found;
  return s->found + wanted>=s->n_rows/2 ? 0 : wanted;
}

static int search_round(struct search *s, struct err *e){
  struct round r = { .floor = { .at = s->least } };
  struct arena a = { 0 };
  const int64_t pool_from = s->n_pool;
  int64_t wanted;

  if( see_index(s, e)!=SQLITE_OK ) return e->rc;
  if( !s->is_certain && head_wanted(s)==0 && end_head(s, e)!=SQLITE_OK ) return e->rc;
  wanted = rows_wanted(s);
  r.floor.size = wanted;
  r.floor.best = arena_floats(&a, (size_t)wanted);
  order_init(&r.order, s->ix, (struct cell_range){ s->first, s->n_cells }, s->query.vector, &a);
  if( a.oom ){
    fail_nomem(e);
  }else{
    open_cells(s, &r, wanted, e);
    if( e->rc==SQLITE_OK ) round_end(s, &r, pool_from, e);
  }
  arena_release(&a);
  return e->rc;
}

/* ---- The search ---- */

int search_open(struct search **out, struct index *ix, const struct query *q, struct err *e){
  struct search *s = mem_alloc(sizeof(*s));
  const size_t width = (size_t)ix->shape.width;
  float *vector;

  assert( q->vector && q->n_terms>=0 && (q->n_terms==0 || q->terms) );
  *out = NULL;
  if( s==NULL ) return fail_nomem(e);
  *s = (struct search){ .ix = ix, .n_terms = q->n_terms, .group = q->group };
  s->recall = q->recall<1 ? q->recall : 1;
  if( s->recall<0 ) s->recall = 0;
  s->is_certain = s->recall>=1;
  s->k = q->k>0 ? q->k : 0;
  s->farthest = q->farthest;
  s->floor = INFINITY;
  s->n_cells = -1;
  s->last.score = INFINITY;
  index_load(ix, e);
  vector = arena_floats(&s->arena, width);
  s->vector = vector;
  s->terms = arena_get(&s->arena, sizeof(*s->terms)*(size_t)q->n_terms);
  if( e->rc==SQLITE_OK ) query_prepare(&s->query, &ix->rotation, q->vector, &s->arena, e);
  if( e->rc!=SQLITE_OK ){
    search_close(s);
    return e->rc;
  }
  memcpy(vector, q->vector, sizeof(float)*width);
  if( q->n_terms>0 ) memcpy(s->terms, q->terms, sizeof(*s->terms)*(size_t)q->n_terms);
  s->least = q->farthest<2 ? (float)(1 - q->farthest) - s->query.margin : -INFINITY;
  *out = s;
  return SQLITE_OK;
}

void search_close(struct search *s){
  if( s==NULL ) return;
  mem_free(s->pool);
  mem_free(s->sorted_to);
  mem_free(s->ready);
  mem_free(s->given);
  mem_free(s->late);
  mem_free(s->floors);
  key_set_release(&s->skip);
  key_set_release(&s->settled);
  arena_release(&s->arena);
  mem_free(s);
}

void search_cost(const struct search *s, struct search_cost *cost){
  *cost = s->cost;
}

/* The source has another row than the index, or none. That is well if the index has changed since
** the last round, or will. Else somebody has changed the row behind its back. */
static int row_differs(struct search *s, int64_t rowid, const char *what, struct err *e){
  struct index *ix = s->ix;
  const struct source *from = &ix->source;

  if( from->is_changing==NULL || index_load(ix, e)!=SQLITE_OK || ix->state!=s->state ) return e->rc;
  if( from->is_changing(from->arg, rowid, e) || e->rc!=SQLITE_OK ) return e->rc;
  return fail(e, SQLITE_CORRUPT, "row %lld of %s: %s. 'rebuild' takes the rows as they are",
              (long long)rowid, index_table(ix), what);
}

/* Is the score what the bytes of the entry say, give or take what floats round? */
static int score_fits(float score, const struct pooled *row){
  static const float rounding = 1e-4f;
  if( row->is_by_signs ) return 1;
  return score<=row->bound + rounding && score>=row->bound - 2*row->slack - rounding;
}

/* The score of vectors[n, width]: the best. *fits: one of them has the score that the bytes of the
** entry say. */
static float best_score(const struct search *s, const float *vectors, int n,
                        const struct pooled *known, int *fits){
  const int width = s->ix->shape.width;
  float best = -INFINITY;

  *fits = 0;
  for(int i=0; i<n; i++){
    const float score = dot(s->vector, vectors + (size_t)i*(size_t)width, width);
    *fits |= score_fits(score, known);
    if( score>best ) best = score;
  }
  return best<1 ? best : 1;
}

/* Takes the best entry out of the pool and looks at the exact vectors of its row. Rows that are
** gone are left out, and rows whose score is known. */
static int look_exactly(struct search *s, struct err *e){
  const struct source *from = &s->ix->source;
  const struct pooled known = s->pool[--s->n_pool];
  struct scored row = { .rowid = known.rowid };
  const float *vectors;
  int n = 0;
  int fits;

  if( check_stop(s, e)!=SQLITE_OK ) return e->rc;
  if( s->ix->shape.has_parts && !key_set_add(&s->settled, (uint64_t)row.rowid) ){
    return s->settled.oom ? fail_nomem(e) : SQLITE_OK;
  }
  if( from->fetch(from->arg, row.rowid, &vectors, &n, e)!=SQLITE_OK ) return e->rc;
  if( n==0 ) return row_differs(s, row.rowid, "the table has no latent, the index has", e);
  s->cost.n_exact++;
  row.score = best_score(s, vectors, n, &known, &fits);
  if( !fits ) row_differs(s, row.rowid, "its latent is not the one that the index was told", e);
  if( e->rc!=SQLITE_OK || 1 - (double)row.score>s->farthest ) return e->rc;
  return ready_push(s, row, e);
}

/* Keeps a row for the end of the head. */
static int keep_late(struct search *s, struct scored row, struct err *e){
  array_reserve(&s->late, s->n_late, &s->late_size, sizeof(*s->late), e);
  if( e->rc==SQLITE_OK ) s->late[s->n_late++] = row;
  return e->rc;
}

/* Gives a row out as s->last, unless it must stay back. *is_given: whether. It stays back if
**   - it lies before the last one: a round of the head found what an earlier one missed. (After
**     the head only a row that has moved since can do so: it has had its turn.)
**   - the index has changed since the first round, and the row is gone. */
static int give_out(struct search *s, struct scored row, int *is_given, struct err *e){
  const struct source *from = &s->ix->source;
  const int may_be_gone = s->has_changed || s->ix->state!=s->state;
  const float *vectors;

  *is_given = scored_before(&s->last, &row);
  if( !*is_given && !s->is_certain ) return keep_late(s, row, e);
  if( *is_given && may_be_gone ) from->fetch(from->arg, row.rowid, &vectors, is_given, e);
  if( e->rc!=SQLITE_OK || !*is_given ) return e->rc;
  array_reserve(&s->given, s->n_given, &s->given_size, sizeof(*s->given), e);
  if( e->rc!=SQLITE_OK ) return e->rc;
  s->given[s->n_given++] = row.rowid;
  s->last = row;
  return SQLITE_OK;
}

/* Can nothing else have a score as good as the best row that is ready? The pool's best row is its
** last. */
static int best_is_next(const struct search *s){
  float score;

  if( s->n_ready==0 ) return 0;
  score = s->ready[0].score;
  if( s->n_pool>0 && !(score>s->pool[s->n_pool-1].bound) ) return 0;
  return score>=s->floor || s->floor<=s->least;
}

int search_next(struct search *s, int64_t *rowid, double *distance, int *eof, struct err *e){
  int is_given = 0;

  assert( s && rowid && distance && eof );
  *rowid = 0;
  *distance = 0;
  *eof = 0;
  while( e->rc==SQLITE_OK && !is_given && !*eof ){
    if( pool_best_last(s, e)!=SQLITE_OK ) return e->rc;
    if( best_is_next(s) ){
      give_out(s, ready_pop(s), &is_given, e);
    }else if( s->n_pool>0 ){
      look_exactly(s, e);
    }else if( s->is_certain && s->floor<=s->least ){
      *eof = 1;
    }else{
      search_round(s, e);
    }
  }
  if( e->rc==SQLITE_OK && is_given ){
    *rowid = s->last.rowid;
    *distance = 1 - (double)s->last.score;
  }
  return e->rc;
}
