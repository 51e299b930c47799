/*
** model_between.c -- content for points between two ends.
**
** A middle must not be one of its ends. Four things see to that:
**
**   1. Near an end the decoder says that end, word for word. interp_ease() therefore spends all but
**      the first and last steps of t on the middle of the arc.
**   2. interp_fluency() mixes in the plain language model where no content was encoded.
**   3. Several candidates are decoded for each point, and one that says what an end says is taken
**      only where there is no other. Long documents have fewer candidates.
**   4. The points of a path choose their candidates together, so that each step leads from a to b
**      (choose_way() in model_decode.c).
*/
#include "model.h"
#include <assert.h>
#include <string.h>

/* In the middle of two lines of code or two pictures. Tuned by eye with the first model. The text
** decoder has learned to write from middles and does it better without (model/TRAINING.md, sixth
** weights). */
static const float FLUENCY_BETWEEN = 0.15f;

/* Of 120 held-out pairs 16% gave a text unlike both ends at 0.1 of the arc, 65% at 0.3, 99% at 0.5.
** The function is odd about 0.5 and rises, so the ends stay the ends. */
double interp_ease(double t){
  const double u = 2*t - 1;
  const double u2 = u*u;
  const double u4 = u2*u2;
  return 0.5 + 0.5*u*(0.4 + 0.6*u2*u4*u4*u4);
}

float interp_fluency(int kind, double t){
  return kind==KIND_TEXT ? 0 : (float)(FLUENCY_BETWEEN*4*t*(1 - t));
}

/* ---- What the ends say ---- */

int said_by(const struct model *m, struct run *run, const struct latent *z, int n_z,
            struct tokens *said, int *n_said){
  static const float greedy[SAID_MOST] = { 0 };
  struct buf texts[SAID_MOST] = { { 0 } };
  struct decode_options plain;
  int *ids, *start, n;
  assert( n_z<=SAID_MOST );
  *n_said = 0;
  if( m->config.kind==KIND_PICTURE ) return SQLITE_OK;
  for(int i=0; i<n_z; i++){
    if( z[i].n_segments!=1 ) return SQLITE_OK;
  }
  decode_options_init(&plain);
  contents_decode(m, run, z, n_z, greedy, &plain, texts, NULL);
  for(int i=0; i<n_z && run->err->rc==SQLITE_OK; i++){
    if( text_segment(m, run, buf_text(&texts[i]), texts[i].n, &ids, &start, &n)!=SQLITE_OK ) break;
    if( n==1 ) said[(*n_said)++] = (struct tokens){ .ids = ids, .n = start[1] };
  }
  for(int i=0; i<n_z; i++) buf_release(&texts[i]);
  return run->err->rc;
}

static int are_equal(const struct tokens *a, const struct tokens *b){
  return a->n==b->n && memcmp(a->ids, b->ids, (size_t)a->n*sizeof(int))==0;
}

/* Where both ends say the same, what lies between may say it too: then nothing is to be avoided. */
static int said_by_ends(const struct model *m, struct run *run, const struct latent *ends,
                        struct tokens said[SAID_MOST], int *n_said){
  int rc = said_by(m, run, ends, 2, said, n_said);
  if( rc==SQLITE_OK && *n_said==2 && are_equal(&said[0], &said[1]) ) *n_said = 0;
  return rc;
}

/* ---- Points between ---- */

/* Points first..last-1 of a row of points, with what goes with each. */
static int decode_part(const struct model *m, struct run *run, const struct between *p, int first,
                       int last, const float *fluencies, const struct decode_options *o){
  float *fidelities = p->fidelities ? p->fidelities + first : NULL;
  return contents_decode(m, run, p->z + first, last - first, fluencies + first, o,
                         p->contents + first, fidelities);
}

/* Candidates for each segment between the ends. A document of more than 32 segments has fewer of
** them, so that its middle costs no more than a few times what decoding it costs. */
static int candidates_between(const struct latent ends[2]){
  enum { CANDIDATES = 32*BEST_OF_OTHERS };
  int a = ends[0].n_segments;
  int b = ends[1].n_segments;
  int each = CANDIDATES/(a>b ? a : b);
  if( each>BEST_OF_OTHERS ) return BEST_OF_OTHERS;
  return each<1 ? 1 : each;
}

/* How the points strictly between the ends are decoded. both: [2, s], room for the ends' s. */
static int set_between(const struct model *m, struct run *run, const struct between *p,
                       struct tokens said[SAID_MOST], float *both, struct decode_options *o){
  const struct latent *ends = p->ends;
  size_t s = (size_t)ends[0].s;
  if( !o->has_best_of && m->config.kind!=KIND_PICTURE ) o->best_of = candidates_between(ends);
  o->avoid = said;
  memcpy(both, ends[0].z, s*sizeof(float));
  memcpy(both + s, ends[1].z, s*sizeof(float));
  if( ends[0].n_segments==1 && ends[1].n_segments==1 ){
    o->ends = both;
    o->is_way = p->n>1;
  }
  return o->best_of>1 ? said_by_ends(m, run, ends, said, &o->n_avoid) : SQLITE_OK;
}

int between_decode(const struct model *m, struct run *run, const struct between *p,
                   const struct decode_options *o, int rounds){
  struct decode_options at_end = *o;
  struct decode_options between;
  struct tokens said[SAID_MOST];
  float *fluencies = arena_floats(run->arena, (size_t)p->n);
  float *both = arena_floats(run->arena, 2*(size_t)p->ends[0].s);
  int first = 0;
  int last = p->n;
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<p->n; i++){
    double t = interp_ease(p->t[i]);
    fluencies[i] = o->has_fluency ? o->fluency : interp_fluency(m->config.kind, t);
  }
  at_end.one_seed = 1;                  /* points that lie near each other come out alike */
  between = at_end;
  at_end.writer = NULL;                 /* what was encoded comes back as it was */
  at_end.refine = rounds;               /* so that an end is where encoding it has put it */
  if( set_between(m, run, p, said, both, &between)!=SQLITE_OK ) return run->err->rc;
  while( first<p->n && p->t[first]<=0 ) first++;
  while( last>first && p->t[last-1]>=1 ) last--;
  if( decode_part(m, run, p, 0, first, fluencies, &at_end)!=SQLITE_OK ) return run->err->rc;
  if( decode_part(m, run, p, last, p->n, fluencies, &at_end)!=SQLITE_OK ) return run->err->rc;
  return decode_part(m, run, p, first, last, fluencies, &between);
}
