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

/* In the middle of two lines of code. Tuned by eye with the first model. The text
** decoder has learned to write from middles and does it better without (model/TRAINING.md, sixth
** weights). */
static const float FLUENCY_BETWEEN = 0.15f;

/* Of 120 held-out pairs 16% gave a text unlike both ends at 0.1 of the arc, 65% at 0.3, 99% at 0.5.
** The function is odd about 0.5 and rises, so the ends stay the ends. A picture changes evenly. */
double interp_ease(int kind, double t){
  const double u = 2*t - 1;
  const double u2 = u*u;
  const double u4 = u2*u2;
  if( kind==KIND_PICTURE ) return t;
  return 0.5 + 0.5*u*(0.4 + 0.6*u2*u4*u4*u4);
}

float interp_fluency(int kind, double t){
  return kind==KIND_CODE ? (float)(FLUENCY_BETWEEN*4*t*(1 - t)) : 0;
}

/* ---- What the ends say ---- */

static int count_segments(const struct latent *z, int n){
  int count = 0;
  for(int i=0; i<n; i++) count += z[i].n_segments;
  return count;
}

/* The texts of all segments of z[n], one after another, as the small decoder says them. */
static int speak(const struct model *m, struct run *run, const struct latent *z, int n,
                 struct content *texts){
  struct arena *a = run->arena;
  size_t count = (size_t)count_segments(z, n);
  struct latent *ones = arena_get(a, count*sizeof(*ones));
  struct buf *said = arena_zeroed(a, count*sizeof(*said));
  float *greedy = arena_zeroed(a, count*sizeof(float));
  struct decode_options plain;
  size_t at = 0;
  if( a->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    for(int k=0; k<z[i].n_segments; k++){
      ones[at] = z[i];
      ones[at].n_segments = 1;
      ones[at++].z = latent_segment(&z[i], k);
    }
  }
  decode_options_init(&plain);
  texts_decode(m, run, ones, (int)count, greedy, &plain, said, NULL);
  for(at=0; at<count && run->err->rc==SQLITE_OK; at++){
    texts[at] = (struct content){ buf_copy(&said[at], a), said[at].n };
    if( texts[at].bytes==NULL ) fail_nomem(run->err);
  }
  for(at=0; at<count; at++) buf_release(&said[at]);
  return run->err->rc;
}

/* Adds the ids that encoding the text gives, if it is one segment. */
static int add_said(const struct model *m, struct run *run, const struct content *text,
                    struct tokens *said, int *n_said){
  int *ids, *start, n;
  if( text_segment(m, run, text->bytes, text->n, &ids, &start, &n)!=SQLITE_OK ) return run->err->rc;
  if( n==1 ) said[(*n_said)++] = (struct tokens){ .ids = ids, .n = start[1] };
  return SQLITE_OK;
}

int said_by(const struct model *m, struct run *run, const struct latent *z, struct tokens *said,
            int *n_said){
  struct content text;
  *n_said = 0;
  if( m->config.kind==KIND_PICTURE || z->n_segments!=1 ) return SQLITE_OK;
  if( speak(m, run, z, 1, &text)!=SQLITE_OK ) return run->err->rc;
  return add_said(m, run, &text, said, n_said);
}

/* What is not to be said again. Where both ends say the same, what lies between may say it too. */
static int avoid_ends(const struct model *m, struct run *run, const struct content texts[2],
                      struct tokens said[2], int *n_said){
  *n_said = 0;
  add_said(m, run, &texts[0], said, n_said);
  if( run->err->rc==SQLITE_OK ) add_said(m, run, &texts[1], said, n_said);
  if( *n_said==2 && tokens_equal(&said[0], &said[1]) ) *n_said = 0;
  return run->err->rc;
}

/* ---- What segments lie between ---- */

/* The segment of z that is most like s[z->s]. */
static int likest(const struct latent *z, const float *s){
  int best = 0;
  float most = -2;
  for(int i=0; i<z->n_segments; i++){
    float like = point_cosine(latent_segment(z, i), s, z->s);
    if( like<=most ) continue;
    most = like;
    best = i;
  }
  return best;
}

/* What row[s+r], at t, lies between: a segment of each end, of which texts[] has the texts. Nothing
** where it is one. */
static struct parents parents_at(const struct latent ends[2], const struct content *texts,
                                 float *row, float t){
  struct latent one = ends[0];
  struct parents out = { .weights = { 1 - t, t } };
  one.n_segments = 1;
  one.z = row;
  if( !point_is_between(&one) ) return out;
  for(int i=0; i<2; i++){
    int at = likest(&ends[i], row);
    out.texts[i] = texts[i*ends[0].n_segments + at];
    out.s[i] = latent_segment(&ends[i], at);
  }
  out.n = 2;
  return out;
}

/* o->parents of all segments of all points. */
static int set_parents(const struct model *m, struct run *run, const struct between *p,
                       const struct content *texts, struct decode_options *o){
  size_t count = (size_t)count_segments(p->z, p->n);
  struct parents *parents = arena_get(run->arena, count*sizeof(*parents));
  if( parents==NULL ) return fail_nomem(run->err);
  o->parents = parents;
  for(int i=0; i<p->n; i++){
    float t = (float)interp_ease(m->config.kind, p->t[i]);
    for(int k=0; k<p->z[i].n_segments; k++){
      *parents++ = parents_at(p->ends, texts, latent_segment(&p->z[i], k), t);
    }
  }
  return SQLITE_OK;
}

/* ---- Points between ---- */

/* Points first..last-1 of a row of points, with what goes with each. */
static int decode_part(const struct model *m, struct run *run, const struct between *p, int first,
                       int last, const float *fluencies, const struct decode_options *o){
  float *fidelities = p->fidelities ? p->fidelities + first : NULL;
  return contents_decode(m, run, p->z + first, last - first, fluencies + first, o,
                         p->contents + first, fidelities);
}

/* Ends of more segments are not read for what the writer is to take up. */
enum { SEGMENTS_READ = 32 };

/* Candidates for each segment between the ends. A document of more than 32 segments has fewer of
** them, so that its middle costs no more than a few times what decoding it costs. */
static int candidates_between(const struct latent ends[2], int is_written){
  enum { CANDIDATES = 32*BEST_OF_OTHERS };
  int a = ends[0].n_segments;
  int b = ends[1].n_segments;
  int each = CANDIDATES/(a>b ? a : b);
  if( a==1 && b==1 && is_written ) return BEST_OF_WRITTEN;
  if( each>BEST_OF_OTHERS ) return BEST_OF_OTHERS;
  return each<1 ? 1 : each;
}

/* How the points strictly between the ends are decoded. said: [2]; both: [2, s], room for the ends'
** s. */
static int set_between(const struct model *m, struct run *run, const struct between *p,
                       struct tokens *said, float *both, struct decode_options *o){
  const struct latent *ends = p->ends;
  size_t s = (size_t)ends[0].s;
  int is_one = ends[0].n_segments==1 && ends[1].n_segments==1;
  int is_short = ends[0].n_segments<=SEGMENTS_READ && ends[1].n_segments<=SEGMENTS_READ;
  struct content *texts;
  if( !o->has_best_of && m->config.kind!=KIND_PICTURE ){
    o->best_of = candidates_between(ends, o->writer!=NULL);
  }
  o->avoid = said;
  memcpy(both, ends[0].z, s*sizeof(float));
  memcpy(both + s, ends[1].z, s*sizeof(float));
  if( is_one ){
    o->ends = both;
    o->is_way = p->n>1;
  }
  if( m->config.kind==KIND_PICTURE ) return SQLITE_OK;
  if( !(is_one && o->best_of>1) && !(is_short && o->writer) ) return SQLITE_OK;
  texts = arena_get(run->arena, (size_t)count_segments(ends, 2)*sizeof(*texts));
  if( texts==NULL ) return fail_nomem(run->err);
  if( speak(m, run, ends, 2, texts)!=SQLITE_OK ) return run->err->rc;
  if( is_one && avoid_ends(m, run, texts, said, &o->n_avoid)!=SQLITE_OK ) return run->err->rc;
  return o->writer ? set_parents(m, run, p, texts, o) : SQLITE_OK;
}

int between_decode(const struct model *m, struct run *run, const struct between *p,
                   const struct decode_options *o, int rounds){
  struct decode_options at_end = *o;
  struct decode_options between;
  struct tokens said[2];
  float *fluencies = arena_floats(run->arena, (size_t)p->n);
  float *both = arena_floats(run->arena, 2*(size_t)p->ends[0].s);
  int first = 0;
  int last = p->n;
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<p->n; i++){
    double t = interp_ease(m->config.kind, p->t[i]);
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
  if( between.parents ) between.parents += count_segments(p->z, first);
  return decode_part(m, run, p, first, last, fluencies, &between);
}
