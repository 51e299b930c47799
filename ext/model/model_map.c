/*
** model_map.c -- a map of points of the latent space, on which neighbours lie together.
**
**   1. First places come from the two axes along which the points differ most: principal components
**      of s, by power iteration. Points that are alike in the large then lie near each other.
**   2. The NEIGHBOURS nearest of a point, by cosine, pull it. The nearest pulls most, and the pull
**      falls linearly to nothing at the first point that is no neighbour. The two pulls of a pair
**      are added, so that they are mutual. All pulls sum to 1.
**   3. The places follow the gradient of t-SNE (van der Maaten and Hinton 2008) with momentum.
**      Pulls are as above. All points push each other apart by 1/(1+d^2), and all pushes sum to 1.
**      At first the pulls are EXAGGERATED-fold, as in the paper, so that groups form before they
**      find their places. (What a mere neighbour graph does in place of the paper's Gaussians:
**      Boehm, Berens and Kobak, "Attraction-repulsion spectrum in neighbor embeddings", 2022.)
**   4. Groups, for colours: k-means of s, begun with points far from each other. Then each point
**      goes to the group that most of its pull comes from.
**
** Pushes are added up exactly, n^2 a step: 2,000 points take a few seconds. Sums are double, in a
** fixed order, and use no function of libm except sqrt(). So the map is the same on every machine
** and for every number of threads.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum {
  NEIGHBOURS = 10,
  POWER_STEPS = 300,                    /* of power iteration */
  EARLY_STEPS = 120,                    /* of the gradient, with exaggerated pulls */
  STEPS = 400,                          /* of the gradient, these among them */
  EXAGGERATED = 12,
  MEANS_STEPS = 30,                     /* of k-means */
  SETTLE_STEPS = 5,                     /* of giving groups by pulls */
  CHUNK_POINTS = 32,
  COSINES_HELD = 256                    /* at a time */
};
static const double MOMENTUM = 0.8;
static const double LATE = 1;           /* the exaggeration after the early steps: none */
static const double LEAST_PULL = 1e-3;  /* of a neighbour as far as the first non-neighbour */
static const double OWN_VOTE = 0.3;     /* of a point for its group; all pulls on it are about 1 */

struct place {
  double x, y;
};

struct pull {                           /* on a point, by a neighbour */
  int to;                               /* which point that is */
  double weight;
};

struct map {
  struct run *run;
  const float *s;                       /* [n, width], of unit length */
  int n, width;
  int k;                                /* neighbours of each point */
  struct place *at;                     /* [n] */
  struct place *pulled, *pushed;        /* [n]: sums of the pulls and of the pushes on each */
  struct place *speed;                  /* [n] */
  double *push;                         /* [n]: each point's sum of 1/(1+d^2) */
  struct pull *pulls;                   /* [n, k] */
};

static const float *point_of(const struct map *m, int i){
  return m->s + (size_t)i*(size_t)m->width;
}

/* Calls work(m, ., chunk) for every CHUNK_POINTS points. */
static int share_points(struct map *m, void (*work)(void *, struct worker *, int)){
  int n_chunks = (m->n + CHUNK_POINTS-1)/CHUNK_POINTS;
  int n_workers = n_chunks<m->run->n_threads ? n_chunks : m->run->n_threads;
  return chunks_run(m->run, n_workers, n_chunks, work, m);
}

/* Where the points of a chunk end. */
static int chunk_end(const struct map *m, int chunk){
  int end = (chunk + 1)*CHUNK_POINTS;
  return end<m->n ? end : m->n;
}

/* ---- 1. Principal axes; matrices are [width, width] ---- */

/* axis = matrix . axis, of length 1. A matrix of zeros leaves it. */
static void power_step(double *axis, const double *matrix, double *scratch, int width){
  double sum = 0;
  for(int i=0; i<width; i++){
    const double *row = matrix + (size_t)i*(size_t)width;
    scratch[i] = 0;
    for(int k=0; k<width; k++) scratch[i] += row[k]*axis[k];
    sum += scratch[i]*scratch[i];
  }
  if( !(sum>0) ) return;
  for(int i=0; i<width; i++) axis[i] = scratch[i]/sqrt(sum);
}

/* The row of the matrix whose number on the diagonal is the greatest. */
static int greatest_spread(const double *matrix, int width){
  size_t step = (size_t)width + 1;
  int most = 0;
  for(int i=1; i<width; i++){
    if( matrix[i*step]>matrix[most*step] ) most = i;
  }
  return most;
}

/* Turns the axis so that its number of the greatest size is positive; the first of equals, where
** `most` counts as the first. */
static void turn_axis(double *axis, int most, int width){
  double sign;
  for(int i=0; i<width; i++){
    if( fabs(axis[i])>fabs(axis[most]) ) most = i;
  }
  sign = axis[most]<0 ? -1 : 1;
  for(int i=0; i<width; i++) axis[i] *= sign;
}

/* The axis of the greatest spread, which is then taken out of the covariance. */
static void take_axis(double *axis, double *covariance, double *scratch, int width){
  int most = greatest_spread(covariance, width);
  double spread = 0;
  memcpy(axis, covariance + (size_t)most*(size_t)width, sizeof(double)*(size_t)width);
  for(int i=0; i<POWER_STEPS; i++) power_step(axis, covariance, scratch, width);
  turn_axis(axis, most, width);
  for(int i=0; i<width; i++){
    const double *row = covariance + (size_t)i*(size_t)width;
    for(int k=0; k<width; k++) spread += axis[i]*row[k]*axis[k];
  }
  for(int i=0; i<width; i++){
    double *row = covariance + (size_t)i*(size_t)width;
    for(int k=0; k<width; k++) row[k] -= spread*axis[i]*axis[k];
  }
}

/* The covariance and the mean[width] of the points. */
static int fill_covariance(struct map *m, double *covariance, double *mean){
  int n = m->n;
  int width = m->width;
  memset(mean, 0, sizeof(double)*(size_t)width);
  memset(covariance, 0, sizeof(double)*(size_t)width*(size_t)width);
  for(int p=0; p<n; p++){
    const float *x = point_of(m, p);
    for(int i=0; i<width; i++) mean[i] += (double)x[i]/n;
  }
  for(int p=0; p<n; p++){
    const float *x = point_of(m, p);
    if( p%256==0 && err_stopped(m->run->err) ) return m->run->err->rc;
    for(int i=0; i<width; i++){
      double *row = covariance + (size_t)i*(size_t)width;
      double d = x[i] - mean[i];
      for(int k=0; k<width; k++) row[k] += d*(x[k] - mean[k]);
    }
  }
  return SQLITE_OK;
}

/* First places: small, as t-SNE wants them, and shaken a little, so that equal points part and no
** line stays a line. */
static int place_points(struct map *m){
  struct random dice = random_of(1);
  size_t width = (size_t)m->width;
  double *covariance = arena_get(m->run->arena, sizeof(double)*width*width);
  double *mean = arena_get(m->run->arena, sizeof(double)*width*4);
  double *x_axis = mean + width;
  double *y_axis = x_axis + width;
  double *scratch = y_axis + width;
  double spread = 0;
  if( m->run->arena->oom ) return fail_nomem(m->run->err);
  if( fill_covariance(m, covariance, mean)!=SQLITE_OK ) return m->run->err->rc;
  take_axis(x_axis, covariance, scratch, m->width);
  take_axis(y_axis, covariance, scratch, m->width);
  for(int p=0; p<m->n; p++){
    const float *x = point_of(m, p);
    struct place *at = &m->at[p];
    *at = (struct place){ 0 };
    for(size_t i=0; i<width; i++){
      double d = x[i] - mean[i];
      at->x += d*x_axis[i];
      at->y += d*y_axis[i];
    }
    spread += at->x*at->x/m->n;
  }
  spread = spread>0 ? sqrt(spread) : 1;
  for(int p=0; p<m->n; p++){
    struct place *at = &m->at[p];
    at->x = (at->x/spread + 0.01*random_normal(&dice))*0.01;
    at->y = (at->y/spread + 0.01*random_normal(&dice))*0.01;
  }
  return SQLITE_OK;
}

/* ---- 2. Neighbours ---- */

/* Puts (to, cosine) into list[0..*n), which is sorted, the greatest first, and holds at most
** `most`. Of equals the earlier stays ahead. */
static void keep_nearest(struct pull *list, int *n, int most, int to, double cosine){
  int i = *n;
  if( i==most && cosine<=list[i-1].weight ) return;
  if( i==most ) i--;
  else (*n)++;
  for(; i>0 && list[i-1].weight<cosine; i--) list[i] = list[i-1];
  list[i] = (struct pull){ to, cosine };
}

/* list[0..most): the points nearest to point i with their cosines. Returns how many there are. */
static int list_nearest(const struct map *m, int i, struct pull *list, int most){
  float cosines[COSINES_HELD];
  int n = 0;
  for(int from=0; from<m->n; from+=COSINES_HELD){
    int count = m->n - from<COSINES_HELD ? m->n - from : COSINES_HELD;
    dots(cosines, point_of(m, i), point_of(m, from), count, m->width);
    for(int j=0; j<count; j++){
      if( from+j!=i ) keep_nearest(list, &n, most, from + j, cosines[j]);
    }
  }
  return n;
}

static void find_neighbours(void *arg, struct worker *worker, int chunk){
  struct map *m = arg;
  (void)worker;
  for(int i=chunk*CHUNK_POINTS; i<chunk_end(m, chunk); i++){
    struct pull list[NEIGHBOURS+1];
    struct pull *pulls = m->pulls + (size_t)i*(size_t)m->k;
    int n = list_nearest(m, i, list, m->k + 1);
    double farthest = n>m->k ? list[m->k].weight : -1;
    double sum = 0;
    for(int j=0; j<m->k; j++) sum += list[j].weight - farthest + LEAST_PULL;
    for(int j=0; j<m->k; j++){
      double weight = list[j].weight - farthest + LEAST_PULL;
      pulls[j] = (struct pull){ list[j].to, weight/(sum*2*m->n) };
    }
  }
}

/* ---- 3. Pulling together and pushing apart ---- */

static void push_points(void *arg, struct worker *worker, int chunk){
  struct map *m = arg;
  (void)worker;
  for(int i=chunk*CHUNK_POINTS; i<chunk_end(m, chunk); i++){
    double x = m->at[i].x;
    double y = m->at[i].y;
    double sum = 0, push_x = 0, push_y = 0;
    for(int j=0; j<m->n; j++){
      double dx = x - m->at[j].x;
      double dy = y - m->at[j].y;
      double q = 1/(1 + dx*dx + dy*dy);
      sum += q;
      push_x += q*q*dx;
      push_y += q*q*dy;
    }
    m->push[i] = sum - 1;               /* without the point itself, at distance 0 */
    m->pushed[i] = (struct place){ push_x, push_y };
  }
}

static void pull_points(struct map *m){
  for(int i=0; i<m->n; i++) m->pulled[i] = (struct place){ 0 };
  for(int i=0; i<m->n; i++){
    for(int j=0; j<m->k; j++){
      const struct pull *p = &m->pulls[(size_t)i*(size_t)m->k + (size_t)j];
      double dx = m->at[p->to].x - m->at[i].x;
      double dy = m->at[p->to].y - m->at[i].y;
      double strength = p->weight/(1 + dx*dx + dy*dy);
      m->pulled[i].x += strength*dx;
      m->pulled[i].y += strength*dy;
      m->pulled[p->to].x -= strength*dx;
      m->pulled[p->to].y -= strength*dy;
    }
  }
}

/* One step down the gradient. Its length is n/exaggeration: a point's pulls, which sum to about
** exaggeration/n, then never carry it past its neighbours. */
static int move_points(struct map *m, double exaggeration){
  double all = 1e-12;                   /* not 0, where points push each other by nothing */
  double length = m->n/exaggeration;
  if( share_points(m, push_points)!=SQLITE_OK ) return m->run->err->rc;
  for(int i=0; i<m->n; i++) all += m->push[i];
  pull_points(m);
  for(int i=0; i<m->n; i++){
    const struct place *pulled = &m->pulled[i];
    const struct place *pushed = &m->pushed[i];
    struct place *speed = &m->speed[i];
    speed->x = MOMENTUM*speed->x + length*(exaggeration*pulled->x + pushed->x/all);
    speed->y = MOMENTUM*speed->y + length*(exaggeration*pulled->y + pushed->y/all);
  }
  for(int i=0; i<m->n; i++){
    m->at[i].x += m->speed[i].x;
    m->at[i].y += m->speed[i].y;
  }
  return SQLITE_OK;
}

/* ---- 4. Groups ---- */

/* Which of means[n_groups, width] point p is nearest to, of equals the first, and their cosine. */
static int nearest_mean(const struct map *m, const float *means, int n_groups, int p,
                        float *cosine){
  int best = 0;
  for(int g=0; g<n_groups; g++){
    float c = dot(point_of(m, p), means + (size_t)g*(size_t)m->width, m->width);
    if( g>0 && c<=*cosine ) continue;
    *cosine = c;
    best = g;
  }
  return best;
}

/* The first mean is the first point. Each next one is the point farthest from those so far. */
static void begin_means(const struct map *m, float *means, int n_groups){
  size_t width = (size_t)m->width;
  memcpy(means, m->s, sizeof(float)*width);
  for(int g=1; g<n_groups; g++){
    int farthest = 0;
    float least = 2, cosine = 0;
    for(int p=0; p<m->n; p++){
      nearest_mean(m, means, g, p, &cosine);
      if( cosine>=least ) continue;
      least = cosine;
      farthest = p;
    }
    memcpy(means + g*width, point_of(m, farthest), sizeof(float)*width);
  }
}

static int find_groups(struct map *m, int n_groups, int *group){
  size_t width = (size_t)m->width;
  size_t count = (size_t)n_groups*width;
  float *means = arena_floats(m->run->arena, count);
  float cosine = 0;
  if( means==NULL ) return fail_nomem(m->run->err);
  begin_means(m, means, n_groups);
  for(int step=0; step<MEANS_STEPS; step++){
    if( err_stopped(m->run->err) ) return m->run->err->rc;
    for(int p=0; p<m->n; p++) group[p] = nearest_mean(m, means, n_groups, p, &cosine);
    memset(means, 0, sizeof(float)*count);
    for(int p=0; p<m->n; p++) add(means + group[p]*width, point_of(m, p), m->width);
    for(int g=0; g<n_groups; g++) normalize(means + g*width, m->width);
  }
  return SQLITE_OK;
}

/* Each point takes the group that most of the pull on it comes from, a few times over; its own
** group has a part of a vote too. Groups then lie together on the map. */
static int settle_groups(struct map *m, int n_groups, int *group){
  size_t bytes = sizeof(double)*(size_t)m->n*(size_t)n_groups;
  double *votes = arena_get(m->run->arena, bytes);      /* [n, n_groups] */
  if( votes==NULL ) return fail_nomem(m->run->err);
  for(int step=0; step<SETTLE_STEPS; step++){
    memset(votes, 0, bytes);
    for(int p=0; p<m->n; p++) votes[p*n_groups + group[p]] = OWN_VOTE/m->n;
    for(int i=0; i<m->n*m->k; i++){
      int from = i/m->k;
      int to = m->pulls[i].to;
      votes[from*n_groups + group[to]] += m->pulls[i].weight;
      votes[to*n_groups + group[from]] += m->pulls[i].weight;
    }
    for(int p=0; p<m->n; p++){
      const double *own = votes + p*n_groups;
      for(int g=0; g<n_groups; g++){
        if( own[g]>own[group[p]] ) group[p] = g;
      }
    }
  }
  return SQLITE_OK;
}

/* ---- The map ---- */

static int map_init(struct map *m){
  struct arena *a = m->run->arena;
  size_t n = (size_t)m->n;
  size_t bytes = sizeof(struct place)*n;
  int k = m->n/4;
  if( k<2 ) k = 2;
  if( k>NEIGHBOURS ) k = NEIGHBOURS;
  if( k>m->n-1 ) k = m->n-1;
  m->k = k;
  m->at = arena_get(a, bytes);
  m->pulled = arena_get(a, bytes);
  m->speed = arena_zeroed(a, bytes);
  m->pushed = arena_get(a, bytes);
  m->push = arena_get(a, sizeof(double)*n);
  m->pulls = arena_get(a, sizeof(struct pull)*(size_t)(k>0 ? k : 1)*n);
  return a->oom ? fail_nomem(m->run->err) : SQLITE_OK;
}

int points_map(struct run *run, const float *s, int n, int width, int n_groups, double *x,
               double *y, int *group){
  struct map m = { .run = run, .s = s, .n = n, .width = width };
  assert( n>0 && width>0 && n_groups>0 );
  assert( run->n_threads>=1 );
  if( map_init(&m)!=SQLITE_OK ) return run->err->rc;
  if( place_points(&m)!=SQLITE_OK ) return run->err->rc;
  if( share_points(&m, find_neighbours)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<STEPS; i++){
    if( move_points(&m, i<EARLY_STEPS ? EXAGGERATED : LATE)!=SQLITE_OK ) return run->err->rc;
  }
  for(int i=0; i<n; i++){
    x[i] = m.at[i].x;
    y[i] = m.at[i].y;
  }
  if( n_groups>n ) n_groups = n;
  if( find_groups(&m, n_groups, group)!=SQLITE_OK ) return run->err->rc;
  return settle_groups(&m, n_groups, group);
}
