/*
** index.c -- the index alone: without SQL around it, exact vectors from memory.
**
**     build/core/bench/index FILE RECALL CACHE... <build/bench-index/meaning-rows.f32
**
** Reads vectors of 384 floats: 300 queries, then the rows, at most ROWS. Builds the index in FILE,
** or takes the one that lies there. For each cache in MB, 10 neighbours of every query: the share
** of the true ones, queries a second of processor time, and what a search looks at. What 64 MB are
** to 1,000,000 rows, 7.7 MB are to 120,000.
*/
#include <sqlite3.h>
#include "index.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WIDTH = 384, QUERIES = 300, ROWS = 120000, NEAREST = 10, BATCH = 4096 };
static float queries[QUERIES*WIDTH];
static float least[QUERIES];            /* the true score of the last neighbour */
static float *rows;
static int n_rows;

static double now(void){
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

static void check(const struct err *e){
  if( e->rc==SQLITE_OK ) return;
  fprintf(stderr, "%s\n", e->text);
  exit(1);
}

static int fetch(void *arg, int64_t rowid, const float **vectors, int *n, struct err *e){
  (void)arg;
  *vectors = rows + (size_t)(rowid - 1)*WIDTH;
  *n = 1;
  return e->rc;
}

static int descending(const void *a, const void *b){
  float x = *(const float *)a;
  float y = *(const float *)b;
  return (x<y) - (x>y);
}

static void find_truth(void){
  float *scores = malloc(sizeof(float)*(size_t)n_rows);
  for(int i=0; i<QUERIES; i++){
    dots(scores, queries + (size_t)i*WIDTH, rows, n_rows, WIDTH);
    qsort(scores, (size_t)n_rows, sizeof(*scores), descending);
    least[i] = scores[NEAREST-1];
  }
  free(scores);
}

static void build(sqlite3 *db, struct index *ix){
  static struct change added[BATCH];
  struct err e = { 0 };
  sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
  for(int at=0; at<n_rows; at+=BATCH){
    int n = n_rows-at<BATCH ? n_rows-at : BATCH;
    for(int i=0; i<n; i++){
      const float *x = rows + (size_t)(at + i)*WIDTH;
      added[i] = (struct change){ .rowid = at + i + 1, .vectors = x, .n = 1 };
    }
    index_change(ix, NULL, 0, added, n, &e);
    check(&e);
  }
  sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
}

/* One query; returns how many of its true neighbours came. */
static int ask(struct index *ix, int i, double recall, struct search_cost *sum){
  struct query q = { .vector = queries + (size_t)i*WIDTH, .recall = recall, .k = NEAREST,
                     .farthest = INFINITY };
  struct search_cost cost;
  struct search *s;
  struct err e = { 0 };
  int right = 0;
  search_open(&s, ix, &q, &e);
  check(&e);
  for(int k=0; k<NEAREST; k++){
    int64_t rowid;
    double distance;
    int eof;
    search_next(s, &rowid, &distance, &eof, &e);
    check(&e);
    right += !eof && 1 - distance>=least[i] - 1e-6;
  }
  search_cost(s, &cost);
  sum->n_cells += cost.n_cells;
  sum->n_signs += cost.n_signs;
  sum->n_bytes += cost.n_bytes;
  sum->n_exact += cost.n_exact;
  search_close(s);
  return right;
}

/* All queries twice; the second time counts. */
static void measure(struct index *ix, double recall, double mb){
  struct search_cost sum;
  double seconds = 0;
  int right = 0;
  index_forget(ix);             /* what a larger cache has kept */
  ix->cache_bytes = (size_t)(mb*(1<<20));
  for(int turn=0; turn<2; turn++){
    double begin = now();
    sum = (struct search_cost){ 0 };
    right = 0;
    for(int i=0; i<QUERIES; i++) right += ask(ix, i, recall, &sum);
    seconds = now() - begin;
  }
  printf("%g MB: recall %.3f, %.0f queries/s, cells %.0f, signs %.0f, bytes %.0f, exact %.0f\n", mb,
         (double)right/(NEAREST*QUERIES), QUERIES/seconds, (double)sum.n_cells/QUERIES,
         (double)sum.n_signs/QUERIES, (double)sum.n_bytes/QUERIES, (double)sum.n_exact/QUERIES);
}

int main(int argc, char **argv){
  struct index_shape shape = { .width = WIDTH };
  struct source source = { .fetch = fetch };
  const size_t bytes = sizeof(float)*WIDTH;
  struct err e = { 0 };
  struct index *ix;
  sqlite3 *db;
  int64_t n = 0;
  rows = malloc(bytes*ROWS);
  if( argc<4 || fread(queries, bytes, QUERIES, stdin)!=QUERIES || rows==NULL ) return 1;
  n_rows = (int)fread(rows, bytes, ROWS, stdin);
  linear_choose(NULL);
  find_truth();
  sqlite3_open(argv[1], &db);
  sqlite3_exec(db, "PRAGMA mmap_size=1073741824; PRAGMA synchronous=off", NULL, NULL, NULL);
  if( index_create(db, "main", "t", &e)!=SQLITE_OK ) err_clear(&e);
  index_open(&ix, db, "main", "t", &shape, &source, &e);
  index_rows(ix, &n, &e);
  check(&e);
  if( n==0 ) build(db, ix);
  for(int i=3; i<argc; i++) measure(ix, atof(argv[2]), atof(argv[i]));
  index_close(ix);
  sqlite3_close(db);
  free(rows);
  return 0;
}
