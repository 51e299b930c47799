/*
** model_map.c -- points of the latent space as points of a plane: a map on which neighbours lie together.
**
**   1. The two axes along which the points differ most (principal components of s, by power iteration) give the first places: near each other what is alike at large.
**   2. Each point's NEIGHBOURS nearest by cosine pull it, the nearest most: the pull falls linearly to nothing at the first that is no neighbour. Pulls of a pair
**      are added, so that they are mutual, and all of them sum to 1.
**   3. The places follow the gradient of t-SNE (van der Maaten and Hinton 2008: pulls as above, and all points push each other apart by 1/(1+d^2), their push
**      summing to 1) with momentum, the pulls first made EXAGGERATED-fold (the same paper) so that groups form before they find their places. What a mere neighbour
**      graph does in place of the paper's Gaussians: Boehm, Berens and Kobak, "Attraction-repulsion spectrum in neighbor embeddings" (2022).
**   4. Groups, for colours: k-means of s, begun with points far from each other; then each point goes where most of its pull comes from.
**
** Pushes are added up exactly, n^2 a step: 2,000 points take a few seconds. Sums are double, in a fixed order, with no function of libm but sqrt(): the same map
** on every machine and for every number of threads.
*/
#include "model.h"
#include <math.h>
#include <string.h>

enum { NEIGHBOURS = 10, POWER_STEPS = 300, EARLY_STEPS = 120, STEPS = 400, EXAGGERATED = 12, MEANS_STEPS = 30, SETTLE_STEPS = 5, ROWS_A_CHUNK = 32 };
static const double MOMENTUM = 0.8, LATE = 1;          /* exaggeration to the end: none */

struct place { double x, y; };
struct pull { int to; double weight; };                /* a neighbour */
struct map {
  struct run *run;
  const float *s;                       /* [n, width], of unit length */
  int n, width, k;                      /* k: neighbours of each */
  struct place *at, *force, *speed;     /* [n] */
  double *push;                         /* [n]: each row's sum of 1/(1+d^2) */
  struct place *pushed;                 /* [n]: and of its pushes */
  struct pull *pulls;                   /* [n, k] */
};

/* Calls work(m, ., chunk) for every ROWS_A_CHUNK points. */
static int share_rows(struct map *m, void (*work)(void *, struct worker *, int)){
  int n_chunks = (m->n + ROWS_A_CHUNK-1)/ROWS_A_CHUNK;
  return run_chunks(m->run, n_chunks<m->run->n_threads ? n_chunks : m->run->n_threads, n_chunks, work, m);
}

/* ---- 1. Principal axes ---- */

/* axis = matrix . axis, of length 1; a matrix of zeros leaves it. */
static void power_step(double *axis, const double *matrix, double *scratch, int width){
  double sum = 0;
  for(int i=0; i<width; i++){
    scratch[i] = 0;
    for(int k=0; k<width; k++) scratch[i] += matrix[(size_t)i*(size_t)width + (size_t)k]*axis[k];
    sum += scratch[i]*scratch[i];
  }
  for(int i=0; i<width && sum>0; i++) axis[i] = scratch[i]/sqrt(sum);
}

/* The axis of the largest spread, which is then taken out of the covariance. It points to where its largest number is positive. */
static void take_axis(double *axis, double *covariance, double *scratch, int width){
  int most = 0;
  double spread = 0;
  for(int i=1; i<width; i++){
    if( covariance[(size_t)i*(size_t)width + (size_t)i] > covariance[(size_t)most*(size_t)width + (size_t)most] ) most = i;
  }
  memcpy(axis, covariance + (size_t)most*(size_t)width, sizeof(double)*(size_t)width);
  for(int i=0; i<POWER_STEPS; i++) power_step(axis, covariance, scratch, width);
  for(int i=0; i<width; i++){
    if( fabs(axis[i])>fabs(axis[most]) ) most = i;
  }
  for(int i=0, sign = axis[most]<0 ? -1 : 1; i<width; i++) axis[i] *= sign;
  for(int i=0; i<width; i++){
    for(int k=0; k<width; k++) spread += axis[i]*covariance[(size_t)i*(size_t)width + (size_t)k]*axis[k];
  }
  for(int i=0; i<width; i++){
    for(int k=0; k<width; k++) covariance[(size_t)i*(size_t)width + (size_t)k] -= spread*axis[i]*axis[k];
  }
}

/* covariance[width, width] and mean[width] of the points. */
static int fill_covariance(struct map *m, double *covariance, double *mean){
  int n = m->n, width = m->width;
  memset(mean, 0, sizeof(double)*(size_t)width);
  memset(covariance, 0, sizeof(double)*(size_t)width*(size_t)width);
  for(int p=0; p<n; p++){
    for(int i=0; i<width; i++) mean[i] += (double)m->s[(size_t)p*(size_t)width + (size_t)i]/n;
  }
  for(int p=0; p<n; p++){
    const float *x = m->s + (size_t)p*(size_t)width;
    if( p%256==0 && run_stopped(m->run) ) return m->run->err->rc;
    for(int i=0; i<width; i++){
      double d = x[i] - mean[i];
      for(int k=0; k<width; k++) covariance[(size_t)i*(size_t)width + (size_t)k] += d*(x[k] - mean[k]);
    }
  }
  return SQLITE_OK;
}

/* First places: small, as t-SNE wants them, and shaken a little, so that equal points part and no line stays a line. */
static int place_points(struct map *m){
  size_t width = (size_t)m->width;
  double *covariance = arena_get(m->run->arena, sizeof(double)*width*width), *mean = arena_get(m->run->arena, sizeof(double)*width*4);
  double *x_axis = mean + width, *y_axis = x_axis + width, *scratch = y_axis + width, spread = 0;
  struct random dice = random_of(1);
  if( m->run->arena->oom ) return fail_nomem(m->run->err);
  if( fill_covariance(m, covariance, mean)!=SQLITE_OK ) return m->run->err->rc;
  take_axis(x_axis, covariance, scratch, m->width);
  take_axis(y_axis, covariance, scratch, m->width);
  for(int p=0; p<m->n; p++){
    struct place *at = &m->at[p];
    at->x = at->y = 0;
    for(size_t i=0; i<width; i++){
      double d = m->s[(size_t)p*width + i] - mean[i];
      at->x += d*x_axis[i];
      at->y += d*y_axis[i];
    }
    spread += at->x*at->x/m->n;
  }
  spread = spread>0 ? sqrt(spread) : 1;
  for(int p=0; p<m->n; p++){
    m->at[p].x = (m->at[p].x/spread + 0.01*random_normal(&dice))*0.01;
    m->at[p].y = (m->at[p].y/spread + 0.01*random_normal(&dice))*0.01;
  }
  return SQLITE_OK;
}

/* ---- 2. Neighbours ---- */

/* Puts (to, cosine) into list[0..*n), which is sorted, the greatest first, and keeps `most`; of equals the earlier stays ahead. */
static void keep_nearest(struct pull *list, int *n, int most, int to, double cosine){
  int i = *n;
  if( i==most && cosine<=list[i-1].weight ) return;
  if( i==most ) i--;
  else (*n)++;
  for(; i>0 && list[i-1].weight<cosine; i--) list[i] = list[i-1];
  list[i] = (struct pull){ to, cosine };
}

static void find_neighbours(void *arg, struct worker *w, int chunk){
  struct map *m = arg;
  struct pull list[NEIGHBOURS+1];
  float cosines[256];
  (void)w;
  for(int i=chunk*ROWS_A_CHUNK; i<m->n && i<(chunk+1)*ROWS_A_CHUNK; i++){
    double farthest, sum = 0;
    int n = 0;
    for(int from=0; from<m->n; from+=256){
      int count = m->n-from<256 ? m->n-from : 256;
      dots(cosines, m->s + (size_t)i*(size_t)m->width, m->s + (size_t)from*(size_t)m->width, count, m->width);
      for(int j=0; j<count; j++){
        if( from+j!=i ) keep_nearest(list, &n, m->k+1, from+j, cosines[j]);
      }
    }
    farthest = n>m->k ? list[m->k].weight : -1;
    for(int j=0; j<m->k; j++) sum += list[j].weight - farthest + 1e-3;
    for(int j=0; j<m->k; j++) m->pulls[(size_t)i*(size_t)m->k + (size_t)j] = (struct pull){ list[j].to, (list[j].weight - farthest + 1e-3)/(sum*2*m->n) };
  }
}

/* ---- 3. Pulling together and pushing apart ---- */

static void push_rows(void *arg, struct worker *w, int chunk){
  struct map *m = arg;
  (void)w;
  for(int i=chunk*ROWS_A_CHUNK; i<m->n && i<(chunk+1)*ROWS_A_CHUNK; i++){
    double x = m->at[i].x, y = m->at[i].y, sum = 0, push_x = 0, push_y = 0;
    for(int j=0; j<m->n; j++){
      double dx = x - m->at[j].x, dy = y - m->at[j].y, q = 1/(1 + dx*dx + dy*dy);
      sum += q;
      push_x += q*q*dx;
      push_y += q*q*dy;
    }
    m->push[i] = sum - 1;               /* without itself, at distance 0 */
    m->pushed[i] = (struct place){ push_x, push_y };
  }
}

static void pull_rows(struct map *m){
  for(int i=0; i<m->n; i++){
    for(int j=0; j<m->k; j++){
      const struct pull *p = &m->pulls[(size_t)i*(size_t)m->k + (size_t)j];
      double dx = m->at[p->to].x - m->at[i].x, dy = m->at[p->to].y - m->at[i].y, strength = p->weight/(1 + dx*dx + dy*dy);
      m->force[i].x += strength*dx;
      m->force[i].y += strength*dy;
      m->force[p->to].x -= strength*dx;
      m->force[p->to].y -= strength*dy;
    }
  }
}

/* One step down the gradient. n/exaggeration as its length: a point's pulls, which sum to about exaggeration/n, then never carry it past its neighbours. */
static int move_points(struct map *m, double exaggeration){
  double all = 1e-12, length = m->n/exaggeration;
  if( share_rows(m, push_rows)!=SQLITE_OK ) return m->run->err->rc;
  for(int i=0; i<m->n; i++) all += m->push[i];
  memset(m->force, 0, sizeof(*m->force)*(size_t)m->n);
  pull_rows(m);
  for(int i=0; i<m->n; i++){
    m->speed[i].x = MOMENTUM*m->speed[i].x + length*(exaggeration*m->force[i].x + m->pushed[i].x/all);
    m->speed[i].y = MOMENTUM*m->speed[i].y + length*(exaggeration*m->force[i].y + m->pushed[i].y/all);
  }
  for(int i=0; i<m->n; i++){
    m->at[i].x += m->speed[i].x;
    m->at[i].y += m->speed[i].y;
  }
  return SQLITE_OK;
}

/* ---- 4. Groups ---- */

static int nearest_mean(const struct map *m, const float *means, int n_groups, int p, float *cosine){
  int best = 0;
  for(int g=0; g<n_groups; g++){
    float c = dot(m->s + (size_t)p*(size_t)m->width, means + (size_t)g*(size_t)m->width, m->width);
    if( g>0 && c<=*cosine ) continue;
    *cosine = c;
    best = g;
  }
  return best;
}

/* The first mean is the first point, each next one the point farthest from those so far. */
static void begin_means(const struct map *m, float *means, int n_groups){
  size_t bytes = sizeof(float)*(size_t)m->width;
  memcpy(means, m->s, bytes);
  for(int g=1; g<n_groups; g++){
    int farthest = 0;
    float least = 2, cosine = 0;
    for(int p=0; p<m->n; p++){
      nearest_mean(m, means, g, p, &cosine);
      if( cosine>=least ) continue;
      least = cosine;
      farthest = p;
    }
    memcpy(means + (size_t)g*(size_t)m->width, m->s + (size_t)farthest*(size_t)m->width, bytes);
  }
}

static int find_groups(struct map *m, int n_groups, int *group){
  size_t width = (size_t)m->width;
  float *means = arena_floats(m->run->arena, (size_t)n_groups*width), cosine = 0;
  if( !means ) return fail_nomem(m->run->err);
  begin_means(m, means, n_groups);
  for(int step=0; step<MEANS_STEPS; step++){
    if( run_stopped(m->run) ) return m->run->err->rc;
    for(int p=0; p<m->n; p++) group[p] = nearest_mean(m, means, n_groups, p, &cosine);
    memset(means, 0, sizeof(float)*(size_t)n_groups*width);
    for(int p=0; p<m->n; p++) add(means + (size_t)group[p]*width, m->s + (size_t)p*width, m->width);
    for(int g=0; g<n_groups; g++) normalize(means + (size_t)g*width, m->width);
  }
  return SQLITE_OK;
}

/* Points take the group that most of the pull on them comes from, their own counting as a part of it, a few times over: groups then lie together on the map. */
static int settle_groups(struct map *m, int n_groups, int *group){
  double *votes = arena_get(m->run->arena, sizeof(*votes)*(size_t)m->n*(size_t)n_groups);
  if( !votes ) return fail_nomem(m->run->err);
  for(int step=0; step<SETTLE_STEPS; step++){
    memset(votes, 0, sizeof(*votes)*(size_t)m->n*(size_t)n_groups);
    for(int p=0; p<m->n; p++) votes[p*n_groups + group[p]] = 0.3/m->n;          /* all pulls on a point are about 1/n */
    for(int i=0; i<m->n*m->k; i++){
      int from = i/m->k, to = m->pulls[i].to;
      votes[from*n_groups + group[to]] += m->pulls[i].weight;
      votes[to*n_groups + group[from]] += m->pulls[i].weight;
    }
    for(int p=0; p<m->n; p++){
      for(int g=0; g<n_groups; g++){
        if( votes[p*n_groups + g]>votes[p*n_groups + group[p]] ) group[p] = g;
      }
    }
  }
  return SQLITE_OK;
}

int points_map(struct run *run, const float *s, int n, int width, int n_groups, double *x, double *y, int *group){
  struct map m = { .run = run, .s = s, .n = n, .width = width };
  size_t places = sizeof(struct place)*(size_t)n;
  m.k = n/4<2 ? 2 : n/4<NEIGHBOURS ? n/4 : NEIGHBOURS;
  if( m.k>n-1 ) m.k = n-1;
  m.at = arena_get(run->arena, places);
  m.force = arena_get(run->arena, places);
  m.speed = arena_zeroed(run->arena, places);
  m.pushed = arena_get(run->arena, places);
  m.push = arena_get(run->arena, sizeof(double)*(size_t)n);
  m.pulls = arena_get(run->arena, sizeof(struct pull)*(size_t)(m.k>0 ? m.k : 1)*(size_t)n);
  if( run->arena->oom ) return fail_nomem(run->err);
  if( place_points(&m)!=SQLITE_OK ) return run->err->rc;
  if( share_rows(&m, find_neighbours)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<STEPS; i++){
    if( move_points(&m, i<EARLY_STEPS ? EXAGGERATED : LATE)!=SQLITE_OK ) return run->err->rc;
  }
  for(int i=0; i<n; i++){
    x[i] = m.at[i].x;
    y[i] = m.at[i].y;
  }
  if( n_groups>n ) n_groups = n;
  return find_groups(&m, n_groups, group)==SQLITE_OK ? settle_groups(&m, n_groups, group) : run->err->rc;
}
