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
  int i, s = p->m->config.shape.s;

  p->t = arena_get(&c->arena, sizeof(*p->t)*p->n_points);
  p->z = arena_get(&c->arena, sizeof(*p->z)*p->n_points);
  p->texts = arena_zeroed(&c->arena, sizeof(*p->texts)*p->n_points);
  p->fidelities = arena_floats(&c->arena, p->n_points);
  p->again = arena_get(&c->arena, sizeof(*p->again)*p->n_points);
  if( c->arena.oom ) return fail_nomem(&c->err);
  for(i=0; i<p->n_points; i++){
    if( run_stopped(&c->run) ) return c->err.rc;        /* the alignment of two long documents takes its time */
    p->t[i] = (double)i/(p->n_points - 1);
    if( point_interp(&p->z[i], &p->ends[0], &p->ends[1], (float)interp_ease(p->t[i]), s, &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
  }
  return SQLITE_OK;
}

/* ---- Decoding between two ends ---- */

int said_by(struct call *c, const struct model *m, const struct latent *z, int n_z, struct tokens *said, int *n_said){
  struct buf texts[2] = { { 0 }, { 0 } };
  const float greedy[2] = { 0, 0 };
  struct decode_options plain;
  int *ids, *start, n;

  *n_said = 0;
  for(int i=0; i<n_z; i++) if( m->config.kind==KIND_PICTURE || z[i].n_segments!=1 ) return SQLITE_OK;
  decode_options_init(&plain);
  contents_decode(m, &c->run, z, n_z, greedy, &plain, texts, NULL);
  for(int i=0; i<n_z && c->err.rc==SQLITE_OK; i++){
    if( text_segment(m, &c->run, buf_text(&texts[i]), texts[i].n, &ids, &start, &n)==SQLITE_OK && n==1 ) said[(*n_said)++] = (struct tokens){ ids, start[1], 0 };
  }
  buf_release(&texts[0]);
  buf_release(&texts[1]);
  return c->err.rc;
}

/* What a point between the ends should not say again; nothing where both say the same: then so may what lies between. */
static int said_by_ends(struct call *c, const struct model *m, const struct latent *ends, struct tokens *said, int *n_said){
  if( said_by(c, m, ends, 2, said, n_said)!=SQLITE_OK ) return c->err.rc;
  if( *n_said==2 && said[0].n==said[1].n && memcmp(said[0].ids, said[1].ids, (size_t)said[0].n*sizeof(int))==0 ) *n_said = 0;
  return SQLITE_OK;
}

int between_decode(struct call *c, const struct model *m, const struct latent *ends, const struct latent *z, const double *t, int n, const struct options *o,
                   struct buf *contents, float *fidelities){
  struct decode_options plain = o->decode, between;
  struct tokens said[2];
  const int s = m->config.shape.s;
  float *fluencies = arena_floats(&c->arena, (size_t)n), *way = arena_floats(&c->arena, 2*(size_t)s);
  int first = 0, last = n;

  if( c->arena.oom ) return fail_nomem(&c->err);
  for(int i=0; i<n; i++) fluencies[i] = o->has_fluency ? plain.fluency : interp_fluency(m->config.kind, interp_ease(t[i]));
  plain.one_seed = 1;           /* neighbours come out alike */
  between = plain;
  plain.refine = c->rounds;     /* an end's own point is what encoding it gives */
  if( !o->has_best_of && m->config.kind!=KIND_PICTURE ) between.best_of = BEST_OF_OTHERS;
  between.avoid = said;
  for(int i=0; i<2; i++) memcpy(way + i*s, ends[i].z, (size_t)s*sizeof(float));
  if( n>1 && ends[0].n_segments==1 && ends[1].n_segments==1 ) between.way = way;
  if( between.best_of>1 && said_by_ends(c, m, ends, said, &between.n_avoid)!=SQLITE_OK ) return c->err.rc;
  while( first<n && t[first]<=0 ) first++;
  while( last>first && t[last-1]>=1 ) last--;
  if( contents_decode(m, &c->run, z, first, fluencies, &plain, contents, fidelities)!=SQLITE_OK ) return c->err.rc;
  if( contents_decode(m, &c->run, z+last, n-last, fluencies+last, &plain, contents+last, fidelities ? fidelities+last : NULL)!=SQLITE_OK ) return c->err.rc;
  return contents_decode(m, &c->run, z+first, last-first, fluencies+first, &between, contents+first, fidelities ? fidelities+first : NULL);
}

/* Fills texts, fidelities and again. */
static int decode_points(struct call *c, struct path *p, const struct options *o){
  struct content *texts = arena_get(&c->arena, sizeof(*texts)*p->n_points);
  int i;

  if( c->arena.oom ) return fail_nomem(&c->err);
  if( between_decode(c, p->m, p->ends, p->z, p->t, p->n_points, o, p->texts, p->fidelities)!=SQLITE_OK ) return c->err.rc;
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
  int i = 0, k, s = p->m->config.shape.s, last = n_candidates - 1;
  double *along = arena_get(&c->arena, sizeof(*along)*n_candidates);    /* length of the way to each */

  if( along==NULL ) return fail_nomem(&c->err);
  along[0] = 0;
  for(k=1; k<=last; k++){
    double step = point_distance(&p->again[candidates[k-1]], &p->again[candidates[k]], s);
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
  int s = p->m->config.shape.s;
  struct buf blob = {0};

  latent_write(&blob, &p->z[i]);
  rows_real(r, p->t[i]);
  rows_content(r, p->m->config.kind, buf_text(&p->texts[i]), p->texts[i].n);
  rows_blob(r, buf_text(&blob), blob.n);
  rows_real(r, p->fidelities[i]);
  rows_real(r, point_distance(&p->again[i], &p->ends[0], s));
  rows_real(r, point_distance(&p->again[i], &p->ends[1], s));
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

static int path_begin(struct call *c, int n, sqlite3_value **args, struct path *p, struct options *o){
  struct model *m;
  sqlite3_int64 rows;
  int is_null;

  memset(p, 0, sizeof(*p));
  if( call_integer(c, args, 2, "n", 2, N_MOST, &rows)!=SQLITE_OK || call_options(c, n, args, 3, o)!=SQLITE_OK ) return c->err.rc;
  if( value_point(c, args[0], "argument 1 (a)", &p->ends[0], &is_null)!=SQLITE_OK || check_point(c, &p->ends[0], "argument 1 (a)")!=SQLITE_OK ) return c->err.rc;
  if( value_point(c, args[1], "argument 2 (b)", &p->ends[1], &is_null)!=SQLITE_OK || check_point(c, &p->ends[1], "argument 2 (b)")!=SQLITE_OK ) return c->err.rc;
  if( check_kinds(c, p->ends, 2)!=SQLITE_OK || latent_model(c, &p->ends[0], &m)!=SQLITE_OK ) return c->err.rc;
  p->m = m;
  p->n = (int)rows;
  p->n_points = p->n;
  if( o->steps_even ) p->n_points = p->n*GRID_STEP<GRID_LEAST ? GRID_LEAST : p->n*GRID_STEP;
  return SQLITE_OK;
}
static void path_release(struct path *p){
  int i;

  for(i=0; p->texts && i<p->n_points; i++) buf_release(&p->texts[i]);
}

void path_fill(struct call *c, int n, sqlite3_value **args, struct rows *r){
  struct options o;
  struct path p;

  if( path_begin(c, n, args, &p, &o)==SQLITE_OK && place_points(c, &p)==SQLITE_OK && decode_points(c, &p, &o)==SQLITE_OK ){
    give_path(c, &p, &o, r);
  }
  path_release(&p);
}
