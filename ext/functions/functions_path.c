/*
** functions_path.c -- latent_path(a, b, n [, options]): n texts on the way from a to b.
**
** "Text" is said of pictures too.
**
** 1. Points: latents at equal steps of t, both ends among them. interp_ease() says where on the arc
**    a t lies, so the column `latent` is not latent_slerp() of t.
** 2. All points are decoded in one batch, by between_decode(), as latent_interp() does it. The
**    texts are then encoded again, in one batch.
** 3. {"steps": "even"}: equal steps of t are not equal steps of meaning. A stretch of points may
**    decode to one text, and then the text jumps. So step 1 takes a finer grid. Of its points, n
**    are picked: those whose texts, *encoded again*, lie nearest to equal steps along the path that
**    all texts walk.
** 4. {"distinct": true}: neighbours with the same text are one candidate before anything is picked,
**    so that even steps go from text to text.
*/
#include "functions.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* The grid of an even path is fine enough to find a stretch that begins and ends between two rows.
** */
enum {
  N_MOST = 1000,                /* rows */
  GRID_STEP = 4,                /* points of the grid for each row */
  GRID_LEAST = 33               /* points of the grid, at least */
};

struct path {
  const struct model *m;
  struct latent ends[2];        /* a, b */
  int n;                        /* rows asked for */
  int n_points;                 /* points decoded */
  double *t;                    /* [n_points], like the rest */
  struct latent *z;             /* on the way */
  struct buf *texts;            /* what they decode to: texts or PNGs; owned: path_release() */
  float *fidelities;            /* of texts to points */
  struct latent *again;         /* what the texts encode to */
};

static void path_begin(struct call *c, struct path *p, struct options *o){
  *p = (struct path){ .n = (int)call_integer(c, 2, "n", 2, N_MOST) };
  *o = call_options(c, 3);
  p->ends[0] = call_point(c, 0, "a");
  p->ends[1] = call_point(c, 1, "b");
  check_kinds(c, p->ends, 2);
  p->m = latent_model(c, &p->ends[0]);
  p->n_points = p->n;
  if( !o->steps_even ) return;
  p->n_points = p->n*GRID_STEP;
  if( p->n_points<GRID_LEAST ) p->n_points = GRID_LEAST;
}

static void path_release(struct path *p){
  if( p->texts==NULL ) return;
  for(int i=0; i<p->n_points; i++) buf_release(&p->texts[i]);
}

/* Places all points, at equal steps of t. */
static void place_points(struct call *c, struct path *p){
  size_t n = (size_t)p->n_points;
  float t;
  if( c->err.rc!=SQLITE_OK ) return;
  p->t = arena_get(&c->arena, n*sizeof(*p->t));
  p->z = arena_get(&c->arena, n*sizeof(*p->z));
  p->texts = arena_zeroed(&c->arena, n*sizeof(*p->texts));
  p->fidelities = arena_floats(&c->arena, n);
  p->again = arena_get(&c->arena, n*sizeof(*p->again));
  if( c->arena.oom ) fail_nomem(&c->err);
  for(int i=0; i<p->n_points && c->err.rc==SQLITE_OK; i++){
    if( err_stopped(&c->err) ) return;  /* aligning two long documents takes its time */
    p->t[i] = (double)i/(p->n_points - 1);
    t = (float)interp_ease(p->ends[0].kind, p->t[i]);
    point_interp(&p->z[i], &p->ends[0], &p->ends[1], t, &c->arena, &c->err);
  }
}

static int has_between(const struct path *p){
  for(int i=0; i<p->n_points; i++){
    if( point_is_between(&p->z[i]) ) return 1;
  }
  return 0;
}

/* Fills texts, fidelities and again. */
static void decode_points(struct call *c, struct path *p, struct options *o){
  size_t n = (size_t)p->n_points;
  struct content *texts = arena_get(&c->arena, n*sizeof(*texts));
  struct between points = {
    .ends = p->ends,
    .z = p->z,
    .t = p->t,
    .n = p->n_points,
    .contents = p->texts,
    .fidelities = p->fidelities,
  };
  if( texts==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  call_writer(c, p->m, o, has_between(p), most_segments(p->z, p->n_points));
  if( c->err.rc!=SQLITE_OK ) return;
  if( between_decode(p->m, &c->run, &points, &o->decode, c->rounds)!=SQLITE_OK ) return;
  for(int i=0; i<p->n_points; i++){
    texts[i] = (struct content){ buf_text(&p->texts[i]), p->texts[i].n };
  }
  contents_encode(p->m, &c->run, texts, p->n_points, "the content of a point", 0, p->again);
}

static int same_text(const struct path *p, int i, int k){
  const struct buf *a = &p->texts[i];
  const struct buf *b = &p->texts[k];
  return a->n==b->n && (a->n==0 || memcmp(a->data, b->data, a->n)==0);
}

/* The points that may be shown, ascending: candidates[returned]. Without `distinct` all of them.
** Otherwise one of each run of neighbours with the same text: an end of the path if one is in the
** run, else the most faithful point. */
static int list_candidates(const struct path *p, int distinct, int *candidates){
  int last = p->n_points - 1;
  int n = 0;
  for(int i=0; i<=last; i++){
    int before = n>0 ? candidates[n-1] : -1;
    if( !distinct || n==0 || !same_text(p, i, before) ){
      candidates[n++] = i;
    }else if( before>0 && (i==last || p->fidelities[i]>p->fidelities[before]) ){
      candidates[n-1] = i;
    }
  }
  return n;
}

/* along[i] = the length of the way from text to text, up to candidate i. Each step counts a little
** more than it is long, so that the rows spread even where all texts are the same. */
static void measure_way(const struct path *p, const int *candidates, int n, double *along){
  int last = n - 1;
  along[0] = 0;
  for(int i=1; i<=last; i++){
    const struct latent *from = &p->again[candidates[i-1]];
    const struct latent *to = &p->again[candidates[i]];
    double step = point_distance(from, to);
    along[i] = along[i-1] + fmax(step, 0) + 1e-4/last;
  }
}

/* Of the candidates, the n whose texts lie nearest to equal steps: chosen[n]. Both ends are among
** them. */
static void choose_points(struct call *c, const struct path *p, const int *candidates,
                          int n_candidates, int n, int *chosen){
  double *along = arena_get(&c->arena, (size_t)n_candidates*sizeof(*along));
  int at = 0;
  assert( n>0 && n<=n_candidates );
  if( along==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  measure_way(p, candidates, n_candidates, along);
  for(int i=0; i<n; i++){
    double want = n>1 ? along[n_candidates-1]*i/(n - 1) : 0;
    int most = n_candidates - n + i;    /* leaves one for each row to come */
    while( at<most && fabs(along[at+1] - want)<fabs(along[at] - want) ) at++;
    chosen[i] = candidates[at++];
  }
}

/* One row: t, content, latent, fidelity, distance_a, distance_b. */
static void give_point(struct call *c, struct path *p, int i, struct rows *r){
  struct buf blob = { 0 };
  float far[2] = { 0 };
  latent_write(&blob, &p->z[i], &c->err);
  for(int end=0; end<2; end++){
    point_nearest(&far[end], &p->again[i], &p->ends[end], &c->arena, &c->err);
  }
  rows_real(r, p->t[i]);
  rows_content(r, p->m->config.kind, buf_text(&p->texts[i]), p->texts[i].n);
  rows_blob(r, buf_text(&blob), blob.n);
  rows_real(r, p->fidelities[i]);
  rows_real(r, far[0]);
  rows_real(r, far[1]);
  check_buf(c, &blob);
  buf_release(&blob);
}

static void give_path(struct call *c, struct path *p, const struct options *o, struct rows *r){
  size_t most = (size_t)p->n_points;
  int *candidates = arena_get(&c->arena, most*sizeof(*candidates));
  int *chosen = arena_get(&c->arena, most*sizeof(*chosen));
  int n, n_candidates;
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  n_candidates = list_candidates(p, o->distinct, candidates);
  n = p->n<n_candidates ? p->n : n_candidates;
  choose_points(c, p, candidates, n_candidates, n, chosen);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    /* What lay between two runs of one text may not have been chosen. */
    int is_repeated = o->distinct && i>0 && same_text(p, chosen[i], chosen[i-1]);
    if( !is_repeated ) give_point(c, p, chosen[i], r);
  }
}

void path_fill(struct call *c, struct rows *r){
  struct options o;
  struct path p;
  path_begin(c, &p, &o);
  place_points(c, &p);
  decode_points(c, &p, &o);
  give_path(c, &p, &o, r);
  path_release(&p);
}
