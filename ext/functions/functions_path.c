/*
** functions_path.c -- latent_path(a, b, n [, options]): n texts, or pictures, on the way from a to b. "Text" is said of both below.
**
** 1. Points: latents at equal steps of t, both ends among them; where on the arc a t lies is interp_ease()'s to say, so column `latent` is not latent_slerp() of t.
** 2. All points are decoded in one batch, as latent_interp() does it (between_decode(), below), and the texts are encoded again in one.
** 3. {"steps": "even"}: even so, equal steps of t are not equal steps of meaning; stretches may decode to one text and then jump. So step 1
**    takes a finer grid, and here the n points are picked from it that lie nearest to equal steps along the path that the *re-encoded*
**    texts walk.
** 4. {"distinct": true}: neighbours with the same text are one candidate before anything is picked, so even steps go from text to text.
*/
#include "functions.h"
#include <math.h>
#include <string.h>

#define N_MOST 1000             /* rows */
#define GRID_STEP 4             /* grid points a row of an even path, and the fewest: enough to find a stretch that ... */
#define GRID_LEAST 33           /* ... begins and ends between two rows */

struct path {
  const struct model *m;
  struct latent ends[2];        /* a, b */
  int n;                        /* rows asked for */
  int n_points;                 /* points decoded */
  double *t;                    /* [n_points], like the rest */
  struct latent *z;             /* on the way */
  struct buf *texts;            /* what they decode to: texts, or PNGs; owned: path_release() */
  float *fidelities;            /* how true they are to their points */
  struct latent *again;         /* what the texts encode to */
};

/* Places n_points points at equal steps. */
static int place_points(struct call *c, struct path *p){
  int i;

  p->t = arena_get(&c->arena, sizeof(*p->t)*p->n_points);
  p->z = arena_get(&c->arena, sizeof(*p->z)*p->n_points);
  p->texts = arena_zeroed(&c->arena, sizeof(*p->texts)*p->n_points);
  p->fidelities = arena_floats(&c->arena, p->n_points);
  p->again = arena_get(&c->arena, sizeof(*p->again)*p->n_points);
  if( c->arena.oom ) return fail_nomem(&c->err);
  for(i=0; i<p->n_points; i++){
    if( run_stopped(&c->run) ) return c->err.rc;        /* the alignment of two long documents takes its time */
    p->t[i] = (double)i/(p->n_points - 1);
    if( point_interp(&p->z[i], &p->ends[0], &p->ends[1], (float)interp_ease(p->t[i]), &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
  }
  return SQLITE_OK;
}

/* Fills texts, fidelities and again. */
static int decode_points(struct call *c, struct path *p, const struct options *o){
  struct content *texts = arena_get(&c->arena, sizeof(*texts)*p->n_points);
  struct between way = { p->ends, p->z, p->t, p->n_points, p->texts, p->fidelities };
  int i;

  if( c->arena.oom ) return fail_nomem(&c->err);
  if( between_decode(p->m, &c->run, &way, &o->decode, c->rounds)!=SQLITE_OK ) return c->err.rc;
  for(i=0; i<p->n_points; i++) texts[i] = (struct content){ buf_text(&p->texts[i]), p->texts[i].n };
  return contents_encode(p->m, &c->run, texts, p->n_points, "the content of a point", 0, p->again);
}

static int same_text(const struct path *p, int i, int k){
  const struct buf *a = &p->texts[i], *b = &p->texts[k];

  return a->n==b->n && (a->n==0 || memcmp(a->data, b->data, a->n)==0);
}

/* The points that may be shown, ascending: all of them; or, distinct, one of each run of neighbours with the same text, the most faithful
** one, but the ends of the path where they are in it. Returns how many. */
static int list_candidates(const struct path *p, int distinct, int *candidates){
  int i, n = 0, last = p->n_points - 1;

  for(i=0; i<=last; i++){
    int is_new = n==0 || !distinct || !same_text(p, i, candidates[n-1]);
    if( is_new ){
      candidates[n++] = i;
    }else if( candidates[n-1]>0 && (i==last || p->fidelities[i]>p->fidelities[candidates[n-1]]) ){
      candidates[n-1] = i;
    }
  }
  return n;
}

/* Of the candidates, n whose texts lie nearest to equal steps: chosen[n] of candidates[n_candidates], both ends among them. */
static int choose_points(struct call *c, const struct path *p, const int *candidates, int n_candidates, int n, int *chosen){
  int i = 0, k, last = n_candidates - 1;
  double *along = arena_get(&c->arena, sizeof(*along)*n_candidates);    /* length of the way to each */

  if( along==NULL ) return fail_nomem(&c->err);
  along[0] = 0;
  for(k=1; k<=last; k++){
    double step = point_distance(&p->again[candidates[k-1]], &p->again[candidates[k]]);
    along[k] = along[k-1] + fmax(step, 0) + 1e-4/last;  /* the little extra spreads the points where all texts are the same */
  }
  for(k=0; k<n; k++, i++){
    double want = n>1 ? along[last]*k/(n - 1) : 0;
    int most = n_candidates - n + k;                    /* leaves one for each row to come */
    while( i<most && fabs(along[i+1] - want)<fabs(along[i] - want) ) i++;
    chosen[k] = candidates[i];
  }
  return SQLITE_OK;
}

/* One row: t, content, latent, fidelity, distance_a, distance_b. */
static int give_point(struct call *c, struct path *p, int i, struct rows *r){
  struct buf blob = {0};

  latent_write(&blob, &p->z[i]);
  rows_real(r, p->t[i]);
  rows_content(r, p->m->config.kind, buf_text(&p->texts[i]), p->texts[i].n);
  rows_blob(r, buf_text(&blob), blob.n);
  rows_real(r, p->fidelities[i]);
  rows_real(r, point_distance(&p->again[i], &p->ends[0]));
  rows_real(r, point_distance(&p->again[i], &p->ends[1]));
  if( blob.rc!=SQLITE_OK ) fail_nomem(&c->err);
  buf_release(&blob);
  return c->err.rc;
}
static int give_path(struct call *c, struct path *p, const struct options *o, struct rows *r){
  int *candidates = arena_get(&c->arena, sizeof(*candidates)*p->n_points), *chosen = arena_get(&c->arena, sizeof(*chosen)*p->n_points);
  int k, n, n_candidates;

  if( c->arena.oom ) return fail_nomem(&c->err);
  n_candidates = list_candidates(p, o->distinct, candidates);
  n = p->n<n_candidates ? p->n : n_candidates;
  if( choose_points(c, p, candidates, n_candidates, n, chosen)!=SQLITE_OK ) return c->err.rc;
  for(k=0; k<n; k++){
    /* What stood between two runs of one text may not have been chosen. */
    if( o->distinct && k>0 && same_text(p, chosen[k], chosen[k-1]) ) continue;
    if( give_point(c, p, chosen[k], r)!=SQLITE_OK ) return c->err.rc;
  }
  return SQLITE_OK;
}

static int path_begin(struct call *c, struct path *p, struct options *o){
  memset(p, 0, sizeof(*p));
  p->n = (int)call_integer(c, 2, "n", 2, N_MOST);
  *o = call_options(c, 3);
  p->ends[0] = call_point(c, 0, "a");
  p->ends[1] = call_point(c, 1, "b");
  check_kinds(c, p->ends, 2);
  p->m = latent_model(c, &p->ends[0]);
  p->n_points = p->n;
  if( o->steps_even ) p->n_points = p->n*GRID_STEP<GRID_LEAST ? GRID_LEAST : p->n*GRID_STEP;
  return c->err.rc;
}
static void path_release(struct path *p){
  int i;

  for(i=0; p->texts && i<p->n_points; i++) buf_release(&p->texts[i]);
}

void path_fill(struct call *c, struct rows *r){
  struct options o;
  struct path p;

  if( path_begin(c, &p, &o)==SQLITE_OK && place_points(c, &p)==SQLITE_OK && decode_points(c, &p, &o)==SQLITE_OK ){
    give_path(c, &p, &o, r);
  }
  path_release(&p);
}
