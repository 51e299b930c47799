/*
** test_index_search.c -- what a search gives, compared with brute force over an array. With recall
** 1: the same rows in the same order. Else: the share that was asked for first, then the others.
** Each row comes once, whatever changes between two pulls, and in the same order, whoever pulls how
** many. A search ends cleanly when memory fails.
*/
#include <sqlite3.h>
#include "index.h"
#include "fault.h"
#include "ok.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- An index over an array ---- */

struct rows {
  int n, width;
  int parts;                    /* row i has 1 + i%parts vectors, and room for so many */
  float *vectors;               /* [n, parts, width] */
  uint64_t *keys;               /* [n] */
  char *is_there;               /* [n]; the rowid of row i is (i - 3)*7 */
  sqlite3 *db;
  struct index *ix;
  struct err err;
};

/* Of the indexes that follow. Less than all codes: searches below recall 1 do without bytes. */
static size_t cache_bytes = INDEX_CACHE_BYTES;

static int64_t rowid_of(int row){
  return (int64_t)(row - 3)*7;
}

static int row_of(int64_t rowid){
  return (int)(rowid/7) + 3;
}

/* A row's vectors. */
static float *vectors_of(const struct rows *t, int row){
  return t->vectors + (size_t)row*(size_t)t->parts*(size_t)t->width;
}
static int count_of(const struct rows *t, int row){
  return 1 + row%t->parts;
}

static int fetch(void *arg, int64_t rowid, const float **vectors, int *n, struct err *e){
  struct rows *t = arg;
  int row = row_of(rowid);
  (void)e;
  *n = row>=0 && row<t->n && t->is_there[row] ? count_of(t, row) : 0;
  *vectors = *n ? vectors_of(t, row) : NULL;
  return SQLITE_OK;
}

/* Vectors around 40 directions, some of them equal; keys 0..99. */
static void rows_init_parts(struct rows *t, int n, int width, int cell_rows, int parts){
  struct random r = random_of((uint64_t)n + 17);
  struct index_shape shape = {
    .width = width,
    .n_keys = 1,
    .cell_rows = cell_rows,
    .has_parts = parts>1,
  };
  struct source source = { .arg = t, .fetch = fetch };
  struct change *added = malloc(sizeof(*added)*(size_t)n);
  float *middles = malloc(sizeof(float)*40*(size_t)width);
  int n_vectors = n*parts;
  *t = (struct rows){ .n = n, .width = width, .parts = parts };
  t->vectors = malloc(sizeof(float)*(size_t)n_vectors*width);
  t->keys = malloc(sizeof(uint64_t)*(size_t)n);
  t->is_there = memset(malloc((size_t)n), 1, (size_t)n);
  for(int i=0; i<40*width; i++) middles[i] = random_normal(&r);
  for(int i=0; i<n_vectors; i++){
    float *x = t->vectors + (size_t)i*width;
    const float *m = middles + random_u64(&r)%40*(size_t)width;
    for(int j=0; j<width; j++) x[j] = m[j] + 0.8f*random_normal(&r);
    normalize(x, width);
    if( i%11==10 ) memcpy(x, x - 3*width, sizeof(float)*(size_t)width);
    if( i%parts!=0 ) continue;
    t->keys[i/parts] = random_u64(&r)%100;
    added[i/parts] = (struct change){
      rowid_of(i/parts), x, count_of(t, i/parts), &t->keys[i/parts], 0
    };
  }
  sqlite3_open(":memory:", &t->db);
  if( index_create(t->db, "main", "t", &t->err)==SQLITE_OK
   && index_open(&t->ix, t->db, "main", "t", &shape, &source, &t->err)==SQLITE_OK ){
    t->ix->cache_bytes = cache_bytes;
    for(int i=0; i<n; i+=1000){
      index_change(t->ix, NULL, 0, added+i, n-i<1000 ? n-i : 1000, &t->err);
    }
  }
  free(added);
  free(middles);
}

static void rows_init(struct rows *t, int n, int width, int cell_rows){
  rows_init_parts(t, n, width, cell_rows, 1);
}

static void rows_release(struct rows *t){
  index_close(t->ix);
  sqlite3_close(t->db);
  free(t->vectors);
  free(t->keys);
  free(t->is_there);
}

static int count_cells(struct rows *t){
  sqlite3_stmt *st = NULL;
  int n = -1;

  sqlite3_prepare_v2(t->db, "SELECT count(*) FROM t_cells WHERE id>0", -1, &st, NULL);
  if( sqlite3_step(st)==SQLITE_ROW ) n = sqlite3_column_int(st, 0);
  sqlite3_finalize(st);
  return n;
}

static int drop_row(struct rows *t, int row){
  struct change c = { rowid_of(row), vectors_of(t, row), count_of(t, row), NULL, 0 };
  t->is_there[row] = 0;
  return index_change(t->ix, &c, 1, NULL, 0, &t->err);
}

/* ---- The truth ---- */

struct near {
  double distance;
  int64_t rowid;
};

static int compare(const void *a, const void *b){
  const struct near *x = a;
  const struct near *y = b;
  if( x->distance!=y->distance ) return x->distance<y->distance ? -1 : 1;
  return x->rowid<y->rowid ? -1 : x->rowid>y->rowid;
}

static int term_lets(const struct term *t, uint64_t key){
  if( t->set==NULL && t->column<0 ){
    return (int64_t)key>=(int64_t)t->low && (int64_t)key<=(int64_t)t->high;
  }
  if( t->set==NULL ) return key>=t->low && key<=t->high;
  for(int i=0; i<t->n_set; i++){
    if( t->set[i]==key ) return 1;
  }
  return 0;
}

/* The score of the row's nearest vector. */
static float best_of(const struct rows *t, int row, const float *query){
  float best = -INFINITY;
  for(int i=0; i<count_of(t, row); i++){
    float score = dot(query, vectors_of(t, row) + (size_t)i*(size_t)t->width, t->width);
    if( score>best ) best = score;
  }
  return best;
}

static int truth(struct near *near, const struct rows *t, const struct query *q){
  int n = 0;
  for(int i=0; i<t->n; i++){
    float score = best_of(t, i, q->vector);
    int lets = t->is_there[i];
    for(int j=0; j<q->n_terms; j++){
      lets &= term_lets(&q->terms[j], q->terms[j].column<0 ? (uint64_t)rowid_of(i) : t->keys[i]);
    }
    if( lets && 1-(double)score<=q->farthest ){
      near[n++] = (struct near){ 1 - (double)(score>1 ? 1 : score), rowid_of(i) };
    }
  }
  qsort(near, (size_t)n, sizeof(*near), compare);
  return n;
}

/* Pulls up to `most` rows; -1 on failure. */
static int pull(struct near *near, struct rows *t, const struct query *q, int most,
                struct search_cost *cost){
  struct search *s;
  int n = 0, eof = 0;
  if( search_open(&s, t->ix, q, &t->err)!=SQLITE_OK ) return -1;
  while( n<most && !eof ){
    if( search_next(s, &near[n].rowid, &near[n].distance, &eof, &t->err)!=SQLITE_OK ){
      search_close(s);
      return -1;
    }
    n += !eof;
  }
  if( cost ) search_cost(s, cost);
  search_close(s);
  return n;
}

static struct query query_of(const float *vector, double recall, int64_t k){
  return (struct query){ .vector = vector, .recall = recall, .k = k, .farthest = INFINITY };
}

static void any_vector(float *x, int width, uint64_t seed, const struct rows *t){
  struct random r = random_of(seed);
  const float *near = t->vectors + random_u64(&r)%(uint64_t)t->n*(size_t)t->width;
  for(int i=0; i<width; i++) x[i] = near[i] + 0.1f*random_normal(&r);
  normalize(x, width);
}

/* ---- Properties ---- */

/* Does row i come after row i-1? With recall below 1 the order begins anew once, after the head,
** which has 100 entries or more: *n_falls counts. */
static int follows(const struct near *got, int i, int parts, int *n_falls){
  if( i==0 || compare(&got[i-1], &got[i])<0 ) return 1;
  return i>=100/parts && ++*n_falls==1;
}

static void test_exact(void){
  /* rows, width, cell_rows, most vectors of a row */
  static const int shapes[][4] = {
    { 0, 5, 4, 1 }, { 1, 1, 4, 1 }, { 60, 2, 4, 3 }, { 900, 3, 8, 1 }, { 900, 16, 8, 5 },
    { 3000, 64, 16, 1 }, { 6000, 100, 0, 1 }, { 2000, 24, 0, 9 },
  };
  static const int64_t ks[] = { 0, 1, 10, 1000000 };
  struct property same = { 0 };
  for(size_t s=0; s<sizeof(shapes)/sizeof(shapes[0]); s++){
    struct rows t;
    struct near *want = malloc(sizeof(*want)*(size_t)(shapes[s][0]+1));
    struct near *got = malloc(sizeof(*got)*(size_t)(shapes[s][0]+1));
    float v[100];
    rows_init_parts(&t, shapes[s][0], shapes[s][1], shapes[s][2], shapes[s][3]);
    for(size_t k=0; k<4; k++){
      for(int filter=0; filter<6; filter++){
        static const uint64_t set[] = { 3, 50, 51, 99 };
        static const uint64_t ids[] = { (uint64_t)-21, (uint64_t)-7, 0, 7, 700 };
        const struct term terms[] = {
          { .column = 0, .low = 10, .high = 59 },
          { .column = 0, .set = set, .n_set = 4 },
          { .column = -1, .low = (uint64_t)-14, .high = 70 },
          { .column = -1, .set = ids, .n_set = 5 },
        };
        struct query q = query_of(v, 1, ks[k]);
        int n_want, n_got;
        if( t.n>0 ){
          any_vector(v, t.width, s*100 + k*10 + (unsigned)filter, &t);
        }else{
          memset(v, 0, sizeof(v));
        }
        if( filter<4 ){
          q.terms = terms + filter;
          q.n_terms = 1;
        }
        if( filter==5 ) q.farthest = 0.5;
        n_want = truth(want, &t, &q);
        n_got = pull(got, &t, &q, t.n+1, NULL);
        holds(&same, n_got==n_want, "%d rows, k %d, filter %d: %d rows, expected %d: %s", t.n,
              (int)ks[k], filter, n_got, n_want, t.err.text);
        for(int i=0; i<n_want && i<n_got; i++){
          const int is_same = compare(&want[i], &got[i])==0;
          holds(&same, is_same, "%d rows, k %d, filter %d: row %d", t.n, (int)ks[k], filter, i);
          if( !is_same ) break;
        }
      }
    }
    rows_release(&t);
    free(want);
    free(got);
  }
  property_ok(&same, "recall 1: brute force's rows in its order, with terms, a farthest distance,"
                     " and none");
}

static void test_recall(int n_rows, int parts){
  static const double recalls[] = { 0.8, 0.95, 0.99 };
  static const uint64_t shares[] = { 99, 49, 4 };
  struct property reached = { 0 };
  struct property rising = { 0 };
  struct property once = { 0 };
  struct property all = { 0 };
  struct rows t;
  struct near *want = malloc(sizeof(*want)*((size_t)n_rows+1));
  struct near *got = malloc(sizeof(*got)*((size_t)n_rows+1));
  char *seen = malloc((size_t)n_rows);
  float v[64];
  int64_t n_opened = 0;
  int n_cells;
  rows_init_parts(&t, n_rows, 64, 64, parts);
  for(int c=0; c<3; c++){
    for(int f=0; f<3; f++){
      int n_found = 0;
      for(int query=0; query<40; query++){
        const struct term few = { .column = 0, .low = 0, .high = shares[f] };
        struct query q = query_of(v, recalls[c], 10);
        struct search_cost cost = { 0 };
        int n_falls = 0;
        int n;
        any_vector(v, 64, (uint64_t)query + 1000, &t);
        q.terms = &few;
        q.n_terms = 1;
        truth(want, &t, &q);
        n = pull(got, &t, &q, 10, &cost);
        for(int i=0; i<n; i++){
          n_found += got[i].distance<=want[9].distance;
          holds(&rising, follows(got, i, parts, &n_falls), "query %d", query);
        }
        if( c==0 && f==0 ) n_opened += cost.n_cells;
        if( query>0 ) continue;
        n = pull(got, &t, &q, n_rows, NULL);
        memset(seen, 0, (size_t)n_rows);
        for(int j=0; j<n; j++){
          holds(&once, !seen[row_of(got[j].rowid)]++, "rowid %lld comes again",
                (long long)got[j].rowid);
        }
        for(int j=1; j<n; j++){
          holds(&rising, follows(got, j, parts, &n_falls), "query %d, row %d of all", query, j);
        }
        holds(&all, n==truth(want, &t, &q), "%d rows of %d, %g asked", n, truth(want, &t, &q),
              recalls[c]);
      }
      holds(&reached, n_found>=(recalls[c] - 0.04)*400, "%g asked, %d of 400 found, keys up to %d",
            recalls[c], n_found, (int)shares[f]);
    }
  }
  n_cells = count_cells(&t);
  property_ok(&reached, "recall below 1: the share that was asked for is found, with filters too");
  property_ok(&rising, "recall below 1: rows come nearest first, to the end but for one seam");
  property_ok(&once, "recall below 1: pulled to the end, no row comes twice");
  property_ok(&all, "recall below 1: pulled to the end, every row comes");
  ok(n_opened<n_cells*40/2, "recall below 1: not all cells are opened", "%d of %d",
     (int)(n_opened/40), n_cells);
  rows_release(&t);
  free(want);
  free(got);
  free(seen);
}

/* A search that is told that k rows will be pulled begins as one that is not told. */
static void test_prefixes(int parts){
  enum { N = 6000 };
  static const int64_t ks[] = { 1, 10, 50, 99, 100, 101, 160, 1000, 3000, N };
  static const double recalls[] = { 0.5, 0.95, 0.99, 1 };
  struct property same = { 0 };
  struct property whole = { 0 };
  struct near *all = malloc(sizeof(*all)*(N + 1));
  struct near *got = malloc(sizeof(*got)*(N + 1));
  struct near *want = malloc(sizeof(*want)*(N + 1));
  const struct term half = { .column = 0, .low = 0, .high = 49 };
  struct rows t;
  float v[24];
  rows_init_parts(&t, N, 24, 32, parts);
  for(int i=0; i<24; i++){
    struct query q = query_of(v, recalls[i%4], 0);
    int n;
    any_vector(v, 24, (uint64_t)i + 50, &t);
    q.terms = &half;
    q.n_terms = i/4%2;
    if( i/8==1 ) q.farthest = 0.9;
    n = pull(all, &t, &q, N, NULL);
    holds(&whole, n==truth(want, &t, &q), "query %d: %d rows, not %d", i, n, truth(want, &t, &q));
    for(size_t k=0; k<sizeof(ks)/sizeof(ks[0]); k++){
      const int most = n<ks[k] ? n : (int)ks[k];
      q.k = ks[k];
      holds(&same, pull(got, &t, &q, most, NULL)==most, "query %d, k %d", i, (int)ks[k]);
      for(int j=0; j<most; j++){
        holds(&same, got[j].rowid==all[j].rowid, "query %d, k %d, row %d", i, (int)ks[k], j);
      }
    }
  }
  property_ok(&same, "k: whatever it is, the rows are the same in the same order");
  property_ok(&whole, "k: without it, every row comes");
  rows_release(&t);
  free(all);
  free(got);
  free(want);
}

/* Rows leave, and come back, between two pulls. */
static void test_changes(void){
  struct property once = { 0 };
  struct property order = { 0 };
  struct property gone = { 0 };
  struct property all = { 0 };
  for(int round=0; round<8; round++){
    struct rows t;
    struct random r = random_of((uint64_t)round);
    struct search *s;
    struct near last = { -1, 0 };
    struct near now;
    char *seen = calloc(4000, 1);
    char *touched = calloc(4000, 1);
    float v[24];
    int row;
    int eof = 0, n = 0, n_falls = 0, n_dropped = 0;
    struct query q = query_of(v, round%2 ? 1 : 0.9, round%3 ? 0 : 10);
    rows_init_parts(&t, 4000, 24, 16, round%4==3 ? 3 : 1);
    any_vector(v, 24, (uint64_t)round, &t);
    search_open(&s, t.ix, &q, &t.err);
    while( search_next(s, &now.rowid, &now.distance, &eof, &t.err)==SQLITE_OK && !eof ){
      row = row_of(now.rowid);
      holds(&once, !seen[row]++, "rowid %lld", (long long)now.rowid);
      holds(&gone, t.is_there[row], "rowid %lld", (long long)now.rowid);
      if( n>0 && compare(&last, &now)>=0 ) n_falls++;
      /* The head ends after 100 rows, less those that have gone before they came. */
      holds(&order, n_falls<=(q.recall<1 && n + n_dropped>=100/t.parts), "row %d", n);
      last = now;
      if( n++%5==0 ){
        row = (int)(random_u64(&r)%4000);
        touched[row] = 1;
        if( t.is_there[row] ){
          drop_row(&t, row);
          n_dropped += !seen[row];
        }else{
          struct change c = {
            rowid_of(row), vectors_of(&t, row), count_of(&t, row), &t.keys[row], 0
          };
          t.is_there[row] = 1;
          index_change(t.ix, NULL, 0, &c, 1, &t.err);
        }
      }
    }
    for(row=0; row<4000; row++){
      holds(&all, seen[row] || touched[row], "row %d never came: %s", row, t.err.text);
    }
    search_close(s);
    rows_release(&t);
    free(seen);
    free(touched);
  }
  property_ok(&once, "changes between pulls: no row comes twice");
  property_ok(&gone, "changes between pulls: no row that is gone comes");
  property_ok(&order, "changes between pulls: the order holds");
  property_ok(&all, "changes between pulls: every row that nobody touched comes");
}

static int stop_now(void *arg){
  return ++*(int *)arg>3 ? SQLITE_INTERRUPT : SQLITE_OK;
}

static void test_ends(void){
  struct rows t;
  struct property clean = { 0 };
  struct near *got = malloc(sizeof(*got)*3301);
  float v[32];
  int rc;
  int asked = 0, n = -1;
  struct query q = query_of(v, 1, 0);
  rows_init(&t, 3300, 32, 16);
  any_vector(v, 32, 1, &t);
  t.err.stop = stop_now;
  t.err.stop_arg = &asked;
  rc = pull(got, &t, &q, 3300, NULL)<0 ? t.err.rc : 0;
  ok(rc==SQLITE_INTERRUPT, "stop: ends a search", "%d", rc);
  t.err.stop = NULL;
  for(int most=10; most<=3300; most+=3290){
    q.recall = most>10 ? 0.9 : 1;
    /* A small cache reads cells anew: many more allocations, of which not all are failed. */
    for(long at=1; at<40000; at+=cache_bytes<INDEX_CACHE_BYTES ? 1 + at/16 : 1){
      t.err = (struct err){ 0 };
      fault_set(at, 0);
      n = pull(got, &t, &q, most, NULL);
      rc = fault.failed;
      fault_set(0, 0);
      if( rc==0 ) break;
      holds(&clean, n==most || t.err.rc==SQLITE_NOMEM, "allocation %ld: %d rows, %d %s", at, n,
            t.err.rc, t.err.text);
      t.err = (struct err){ 0 };
    }
  }
  holds(&clean, n==3300, "the last one: %d", n);
  property_ok(&clean, "out of memory at any allocation: said, and the next search works");
  rows_release(&t);
  free(got);
  ok(sqlite3_memory_used()==0, "nothing leaks", "%lld bytes", (long long)sqlite3_memory_used());
}

/* ---- The order of cells ---- */

/* How many spreads a score lies above the product of a cell. */
static float spreads_above(const struct cell_order *o, int i, float score){
  const struct ordered_cell *c = &o->cells[o->order[i]];
  return (score - c->product)/c->spread;
}

static void check_order(struct property *p, const struct index *ix, struct cell_range in,
                        const float *query){
  const int width = ix->shape.width;
  struct cell_order o;
  struct arena a = { 0 };
  int *times = calloc((size_t)in.n, sizeof(*times));
  int needed;
  order_init(&o, ix, in, query, &a);
  for(int i=0; i<in.n; i++){
    const float truth = dot(query, ix->centroids + (size_t)(in.from + i)*width, width);
    holds(p, fabsf(truth - o.cells[i].product)<0.01f, "cell %d: %g is not %g", in.from + i,
          o.cells[i].product, truth);
  }
  o.n_opened = 3;
  order_sort(&o, 0.5f);
  for(int i=0; i<3; i++) holds(p, o.order[i]==i, "an opened cell has moved");
  for(int i=0; i<in.n; i++) times[o.order[i]]++;
  for(int i=0; i<in.n; i++) holds(p, times[i]==1, "cell %d is there %d times", i, times[i]);
  for(int i=4; i<in.n; i++){
    const float step = spreads_above(&o, i, 0.5f) - spreads_above(&o, i-1, 0.5f);
    holds(p, step>-0.07f || spreads_above(&o, i, 0.5f)>11, "place %d: %g", i, step);
  }
  needed = order_needed(&o, 0.5f, 10, 1, 20, 0.1);
  holds(p, needed>=3 && needed<=in.n && o.n_likely>=needed, "%d are needed, %d likely", needed,
        o.n_likely);
  holds(p, order_needed(&o, 0.5f, 10, 1, 20, 1)<=needed, "more may be missed: more are needed");
  holds(p, order_needed(&o, 0.5f, 10, 1, 20, 1e9)<=3, "all may be missed: some are needed");
  arena_release(&a);
  free(times);
}

/* Ranges begin anywhere, as those of groups do; and cells leave. */
static void test_order(void){
  struct property p = { 0 };
  struct random r = random_of(3);
  struct rows t;
  float query[36];
  rows_init(&t, 3000, 36, 16);
  for(int turn=0; turn<2; turn++){
    for(int from=0; from<40; from+=3){
      for(int i=0; i<36; i++) query[i] = random_normal(&r);
      normalize(query, 36);
      check_order(&p, t.ix, (struct cell_range){ from, t.ix->n_cells - from - from%5 }, query);
    }
    for(int row=0; row<1500 && turn==0; row++) drop_row(&t, row);
  }
  property_ok(&p, "order: cells in bytes rank as centroids do, each once, the likeliest first");
  rows_release(&t);
}

int main(void){
  fault_install();
  test_exact();
  test_order();
  for(int small=0; small<2; small++){
    if( small ) cache_bytes = 100000;
    test_recall(20000, 1);
    test_recall(7000, 5);
    test_prefixes(1);
    test_prefixes(4);
    test_changes();
    test_ends();
  }
  return n_not_ok>0;
}
