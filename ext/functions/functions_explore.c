/*
** functions_explore.c -- latent_explore(seeds, wish [, options]): breeding without a person,
** towards what is new, and where there is a wish, near to it.
**
** Novelty search (Lehman and Stanley 2011): there is no goal but to be unlike what is there. The
** archive is all that was read and all that was found.
**
** 1. A parent is the better of CONTESTANTS of the archive, drawn at random: the one whose nearest
**    neighbour is further away, with a wish the one that is nearer to it besides. So what stands
**    alone has children, and what was found a moment ago may be a parent.
** 2. To place a point costs next to nothing, to decode it a tenth of a second. So for each child
**    PLACES points are placed. The one is decoded that is furthest from the archive and from the
**    other points of its batch, plus its nearness to the wish.
**
** Of 32 children of 12 notes the mean distance to the nearest other one is 0.38, that of random
** mixes 0.31 (model/score_breed.py --children 32 --runs 2 --options '{"best_of":1}'). Without
** step 2 it was no more than theirs.
**
** Rows come a batch at a time, so whoever reads them can stop after any. There is no end but the
** budget: `children` rows, or `seconds`. Only with the second one does it depend on the machine how
** many there are.
*/
#include "functions.h"

enum {
  CHILDREN = 64,
  BATCH = 8,
  CONTESTANTS = 2,
  PLACES = 16,                  /* points of which one is decoded */
  BARREN_MOST = 6               /* batches without a child that is new: then there is no more */
};

/* The distance of each to the nearest of the others, and the nearness of each to the wish. Those of
** children are known; these change them. */
static void measure_archive(struct call *c, struct brood *b){
  int n;
  struct mate *mates = brood_mates(b, &n);
  for(; b->n_measured<n && !err_stopped(&c->err); b->n_measured++){
    struct mate *mate = &mates[b->n_measured];
    if( b->wish.n_segments>0 ) mate->score = 1 - brood_distance(c, &mate->z, &b->wish);
    for(int i=0; i<b->n_measured && !err_stopped(&c->err); i++){
      float d = brood_distance(c, &mate->z, &mates[i].z);
      if( d<mate->nearest ) mate->nearest = d;
      if( d<mates[i].nearest ) mates[i].nearest = d;
    }
  }
}

/* The winner among some of the archive. */
static int draw_mate(struct brood *b){
  int n;
  const struct mate *mates = brood_mates(b, &n);
  int best = random_below(&b->random, n);
  for(int i=1; i<CONTESTANTS; i++){
    int at = random_below(&b->random, n);
    if( mates[at].nearest + mates[at].score>mates[best].nearest + mates[best].score ) best = at;
  }
  return best;
}

/* A mate may be drawn twice, and is then one parent. */
static void draw_child(struct brood *b, struct draw *d){
  const int n = b->options.breeding.parents_each;
  d->n = 0;
  for(int i=0; i<n; i++){
    int is_new = 1;
    d->mates[d->n] = draw_mate(b);
    for(int k=0; k<d->n; k++) is_new &= d->mates[k]!=d->mates[d->n];
    d->n += is_new;
  }
  brood_weigh(b, d);
}

/* How far a point is from the archive and from points[n], and with a wish how near to that. */
static float judge_point(struct call *c, struct brood *b, const struct latent *z,
                         const struct latent *points, int n){
  int n_mates;
  const struct mate *mates = brood_mates(b, &n_mates);
  float nearest = 2;
  for(int i=0; i<n_mates + n && !err_stopped(&c->err); i++){
    float d = brood_distance(c, z, i<n_mates ? &mates[i].z : &points[i-n_mates]);
    if( d<nearest ) nearest = d;
  }
  if( b->wish.n_segments>0 ) nearest += 1 - brood_distance(c, z, &b->wish);
  return nearest;
}

/* The best of PLACES draws, as judged by its point, which is points[n] then. */
static void choose_draw(struct call *c, struct brood *b, struct draw *d, struct latent *points,
                        int n){
  float most = -4;
  for(int i=0; i<PLACES && c->err.rc==SQLITE_OK; i++){
    struct draw other;
    struct latent z;
    float fitness;
    draw_child(b, &other);
    z = brood_place(c, b, &other);
    fitness = c->err.rc==SQLITE_OK ? judge_point(c, b, &z, points, n) : 0;
    if( fitness<=most ) continue;
    most = fitness;
    *d = other;
    points[n] = z;
  }
}

static int is_over(const struct brood *b){
  int most = b->options.breeding.children;
  if( b->n_barren>=BARREN_MOST ) return 1;
  if( b->until>0 && clock_ns()>=b->until ) return 1;
  return most>0 && b->n_shown>=most;
}

/* Makes batches until one has a child to show. */
void explore_more(struct call *c, struct rows *r){
  struct brood *b = r->state;
  struct draw draws[BATCH];
  struct latent points[BATCH];
  int n_made = 0;
  brood_resume(c, b);
  measure_archive(c, b);
  while( n_made==0 && !is_over(b) && c->err.rc==SQLITE_OK ){
    int most = b->options.breeding.children;
    int n = most>0 && most - b->n_shown<BATCH ? most - b->n_shown : BATCH;
    for(int i=0; i<n; i++) choose_draw(c, b, &draws[i], points, i);
    if( c->err.rc!=SQLITE_OK ) return;
    n_made = brood_make(c, b, draws, n, r);
    b->n_barren = n_made>0 ? 0 : b->n_barren + 1;
  }
}

void explore_fill(struct call *c, struct rows *r){
  struct brood *b = brood_begin(c, r, 2);
  struct breeding *o;
  if( b==NULL ) return;
  o = &b->options.breeding;
  if( o->children==0 && o->seconds<=0 ) o->children = CHILDREN;
  if( o->seconds>0 ) b->until = clock_ns() + (sqlite3_int64)(o->seconds*1e9);
  if( call_has(c, 1) ) brood_wish(c, b, c->args[1]);
  if( c->err.rc==SQLITE_OK ) explore_more(c, r);
}
