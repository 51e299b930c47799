/*
** test_map.c -- points_map(): what lies together in the space lies together on the map.
*/
#include "model.h"
#include "fault.h"
#include "ok.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 128, POINTS_MOST = 300 };

/* The points, and what points_map() makes of them. */
static float s[POINTS_MOST*WIDTH];
static double x[POINTS_MOST], y[POINTS_MOST];
static int group[POINTS_MOST];

/* n points about n_clusters directions, drawn by seed. Point i belongs to cluster i % n_clusters,
** and the first of each cluster lies in its direction. spread: of a cluster; 0: its points are
** equal. */
static void make_points(int n, int n_clusters, float spread, uint64_t seed){
  struct random dice = random_of(seed);
  for(int i=0; i<n; i++){
    float *p = s + (size_t)i*WIDTH;
    const float *centre = s + (size_t)(i%n_clusters)*WIDTH;
    for(int k=0; k<WIDTH; k++){
      float noise = random_normal(&dice);
      p[k] = i<n_clusters ? noise : 9*centre[k] + spread*noise;
    }
    normalize(p, WIDTH);
  }
}

static int make_map(int n, int n_groups, int n_threads, int (*stop)(void *), struct err *e){
  struct arena arena = { 0 };
  struct run run = { .arena = &arena, .n_threads = n_threads, .err = e };
  int rc;
  *e = (struct err){ .stop = stop };
  rc = points_map(&run, s, n, WIDTH, n_groups, x, y, group);
  arena_release(&arena);
  return rc;
}

static int nearest_on_map(int n, int i){
  int best = -1;
  double least = INFINITY;
  for(int k=0; k<n; k++){
    double dx = x[k] - x[i];
    double dy = y[k] - y[i];
    double d = dx*dx + dy*dy;
    if( k==i || d>=least ) continue;
    least = d;
    best = k;
  }
  return best;
}

/* Has point i a place, and one of the groups? */
static int is_placed(int i, int n_groups){
  return isfinite(x[i]) && isfinite(y[i]) && group[i]>=0 && group[i]<n_groups;
}

static void test_clusters(void){
  static const struct { int n, n_clusters; } cases[] = {
    { 20, 2 }, { 60, 4 }, { 150, 5 }, { 300, 8 },
  };
  struct property together = { 0 };
  struct property grouped = { 0 };
  struct property finite = { 0 };
  struct err e;
  for(size_t c=0; c<sizeof(cases)/sizeof(cases[0]); c++){
    int n = cases[c].n;
    int n_clusters = cases[c].n_clusters;
    int n_near = 0, n_alike = 0;
    int rc;
    make_points(n, n_clusters, 0.1f, 7 + c);
    rc = make_map(n, n_clusters, 1, NULL, &e);
    if( !holds(&finite, rc==SQLITE_OK, "%d points: %s", n, e.text) ) continue;
    for(int i=0; i<n; i++){
      holds(&finite, is_placed(i, n_clusters), "%d points: %d at %g, %g in group %d",
            n, i, x[i], y[i], group[i]);
      n_near += nearest_on_map(n, i)%n_clusters==i%n_clusters;
      n_alike += group[i]==group[i%n_clusters];
      if( i>0 && i<n_clusters ){
        holds(&grouped, group[i]!=group[i-1], "%d points: clusters %d and %d are one group",
              n, i-1, i);
      }
    }
    holds(&together, n_near>=n*95/100, "%d points in %d clusters: %d beside one of theirs",
          n, n_clusters, n_near);
    holds(&grouped, n_alike>=n*95/100, "%d points in %d clusters: %d in the group of theirs",
          n, n_clusters, n_alike);
  }
  property_ok(&finite, "every point has a place and a group");
  property_ok(&together, "of 20 points 19 or more lie beside one of their own cluster");
  property_ok(&grouped, "groups are the clusters");
}

static void test_few(void){
  struct property p = { 0 };
  struct err e;
  int rc;
  for(int n=1; n<=12; n++){
    for(int equal=0; equal<2; equal++){
      make_points(n, equal ? 1 : n, 0, (uint64_t)n);
      rc = make_map(n, 3, 1, NULL, &e);
      holds(&p, rc==SQLITE_OK, "%d points: %s", n, e.text);
      for(int i=0; i<n; i++){
        holds(&p, is_placed(i, 3), "%d points, %s: %d at %g, %g",
              n, equal ? "equal" : "apart", i, x[i], y[i]);
      }
    }
  }
  memset(s, 0, sizeof(s));
  rc = make_map(5, 3, 1, NULL, &e);
  holds(&p, rc==SQLITE_OK && isfinite(x[4]), "points of zeros: %s", e.text);
  property_ok(&p, "few points, equal ones, and points of zeros have finite places");
}

static void test_threads(void){
  static double x_alone[POINTS_MOST], y_alone[POINTS_MOST];
  struct property p = { 0 };
  struct err e;
  make_points(200, 6, 0.3f, 3);
  make_map(200, 6, 1, NULL, &e);
  memcpy(x_alone, x, sizeof(x));
  memcpy(y_alone, y, sizeof(y));
  for(int n_threads=1; n_threads<=5; n_threads++){
    int is_same;
    make_map(200, 6, n_threads, NULL, &e);
    is_same = memcmp(x, x_alone, sizeof(x))==0 && memcmp(y, y_alone, sizeof(y))==0;
    holds(&p, is_same, "%d threads", n_threads);
  }
  property_ok(&p, "the same map for every number of threads, bit by bit");
}

static int n_asked;
static int stop_later(void *arg){
  (void)arg;
  return ++n_asked>20 ? SQLITE_INTERRUPT : SQLITE_OK;
}

static void test_stop(void){
  struct err e;
  int rc;
  make_points(200, 6, 0.3f, 3);
  n_asked = 0;
  rc = make_map(200, 6, 1, stop_later, &e);
  ok(rc==SQLITE_INTERRUPT && n_asked<=22, "it stops when told to", "%d, asked %d times",
     e.rc, n_asked);
}

static void test_memory(void){
  struct property p = { 0 };
  struct err e;
  make_points(50, 3, 0.3f, 3);
  for(long i=1; ; i++){
    sqlite3_int64 before = sqlite3_memory_used();
    int rc, expected;
    fault_set(i, 0);
    rc = make_map(50, 3, 1, NULL, &e);
    expected = fault.failed ? SQLITE_NOMEM : SQLITE_OK;
    holds(&p, rc==expected && sqlite3_memory_used()==before, "allocation %ld: %d", i, rc);
    if( !fault.failed ) break;
  }
  fault_set(0, 0);
  property_ok(&p, "without the memory for it there is no map, and nothing is kept");
}

int main(void){
  if( fault_install()!=SQLITE_OK ) return 2;
  test_clusters();
  test_few();
  test_threads();
  test_stop();
  test_memory();
  return n_not_ok>0;
}
