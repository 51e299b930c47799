/*
** index_order.c -- the cells of a search, the likeliest to hold near rows first, and how many of
** them must be opened.
**
** The product of the query with the residual of a row is a sum of many numbers, so it is about
** normal. How many rows of a cell reach a score follows from how many spreads the score lies above
** the product of the query with the centroid. What the size of a cell suggests for its spread, and
** what the spread is in the cells that were opened first, differ by a factor, which is much the
** same for all cells of a query.
**
** The cells are sorted into classes, CLASS_PARTS to a spread. That is fine enough: a class has an
** eighth more rows that reach the score than the next one, and the cells of one class need no
** order. Of each class the number of cells is known, so that what is expected of cells that are not
** opened takes a pass over 256 classes and not one over all cells.
*/
#include "index.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum {
  CLASS_PARTS = 16,             /* classes of a spread */
  CLASS_FIRST = -4              /* spreads above the product at which the first class begins */
};

void order_init(struct cell_order *o, const struct index *ix, struct cell_range in,
                const float *query, struct arena *a){
  const size_t n = (size_t)in.n;
  const float part = 1.0f/sqrtf((float)ix->shape.width);
  const float *products = cells_products(ix, in, query, a);

  *o = (struct cell_order){ .index = ix, .in = in, .n_likely = in.n };
  o->cells = arena_get(a, sizeof(*o->cells)*n);
  o->order = arena_get(a, sizeof(*o->order)*n);
  o->scratch = arena_get(a, 2*sizeof(*o->scratch)*n);
  if( a->oom ) return;
  for(int i=0; i<in.n; i++){
    /* Rows are of length 1: what the centroid lacks of it is the mean square of the residuals.
    ** Where rows are equal, the products in bytes still are a little off. */
    const float inside = 1 - 2*ix->halves[in.from + i];
    const float spread = part*(inside>4e-4f ? sqrtf(inside) : 0.02f);
    o->cells[i] = (struct ordered_cell){ products[i], spread, 1/spread };
    o->order[i] = i;
  }
}

void order_see(struct cell_order *o, int at, const float *estimate, const float *error, int n){
  const float steep = o->cells[at].steep;
  double squares = 0;

  for(int i=0; i<n; i++) squares += estimate[i]*estimate[i] - error[i]*error[i];
  if( squares>0 ) o->squares += squares*(steep*steep);
  o->n_squares += n;
}

/* The spread of products in units of what was suggested. Few rows leave doubt: it begins as 1, as
** if 50 rows had told so. */
static float spread_scale(const struct cell_order *o){
  return sqrtf((float)((o->squares + 50)/(o->n_squares + 50)));
}

void order_sort(struct cell_order *o, float score){
  const int from = o->n_opened;
  const int n = o->n_likely;
  const float steep = CLASS_PARTS/spread_scale(o);
  int *classes = o->scratch;
  int *sorted = o->scratch + n;
  int places[N_CLASSES];

  memset(o->counts, 0, sizeof(o->counts));
  for(int i=from; i<n; i++){
    const struct ordered_cell *c = &o->cells[o->order[i]];
    const float at = (score - c->product)*c->steep*steep - CLASS_FIRST*CLASS_PARTS;
    int class = N_CLASSES-1;
    if( at<N_CLASSES-1 ) class = at>0 ? (int)at : 0;
    classes[i] = class;
    o->counts[class]++;
  }
  for(int class=0, at=from; class<N_CLASSES; class++){
    places[class] = at;
    at += o->counts[class];
  }
  for(int i=from; i<n; i++) sorted[places[classes[i]]++] = o->order[i];
  memcpy(o->order + from, sorted + from, sizeof(int)*(size_t)(n-from));
}

/* How many rows of the opened cells were expected to reach the score. */
static double expected_rows(const struct cell_order *o, float score){
  const float steep = 1/spread_scale(o);
  double expected = 0;

  for(int i=0; i<o->n_opened; i++){
    const struct ordered_cell *c = &o->cells[o->order[i]];
    const int n = o->index->cells[o->in.from + o->order[i]]->n;
    expected += (double)n*share_above((score - c->product)*c->steep*steep);
  }
  return expected;
}

/* If what was found is not what was expected, the expectation for the other cells is corrected.
** Rows of a cell lie less far towards the query than a normal curve says, because there they would
** be nearer to another centroid; how much less depends on the data. Measured: that the correction
** goes with the square of found/expected, the PRIOR rows that keep few finds from counting too
** much, and the spread of spreads in share_above(). */
int order_needed(struct cell_order *o, float score, double found, double share, double mean_rows,
                 double allowed){
  enum { PRIOR = 5 };
  const double correction = (found + PRIOR)/(share*expected_rows(o, score) + PRIOR);
  double missed = 0;
  int end = o->n_likely;

  assert( share>0 && mean_rows>0 && allowed>=0 );
  allowed /= share*correction*correction*mean_rows;
  for(int class=N_CLASSES-1; class>=0; class--){
    const double each = share_above(CLASS_FIRST + (class + 0.5f)/CLASS_PARTS);
    const double more = missed + each*o->counts[class];
    /* The score only rises: later the cells behind count even less. */
    if( missed<0.01*allowed ) o->n_likely = end;
    if( more>allowed ) return end - (int)((allowed - missed)/each);
    missed = more;
    end -= o->counts[class];
  }
  return end;
}
