/*
** model_prior.c -- draws the r of a picture for an s and a style: what a text leaves open.
**
** A text has an s, and no r. Many pictures have that s, and the mean of their r is no picture's. So
** r is drawn: from noise, along a flow that training has laid from noise to the r of pictures with
** such an s (Lipman et al. 2023, "Flow matching for generative modeling"; that a picture is made of
** a text by way of such a network over points is DALL-E 2's, Ramesh et al. 2022).
**
**   1. x = noise of unit variance, from the seed.
**   2. For k = 0 .. steps-1: x += v/steps, where v is the network's at x, k and the wish:
**        h = x . r + s * sqrt(s's width) . s + style * sqrt(its width) . style
**          + recalled * sqrt(its width) . memory + time[k]
**        h += (value * silu(gate)) . out, [value | gate] = norm(h) . in      for each block
**        v = norm(h) . out
**      With guidance g it is v0 + g*(v1 - v0), where v0 has no wish and v1 has it (Ho and Salimans
**      2022, "Classifier-free diffusion guidance").
**   3. r = unit(x), and without a style unit(unit(x) + NEARER*unit(recalled)): a little vaguer, and
**      more often what was asked for.
**
** What is recalled for an s is the mean of the memory's r, each weighted by how near its name is to
** s: softmax(RECALL*cosines). The memory has the mean r of what training saw of each name. So the
** network need not keep what thousands of things look like, and draws what nobody has drawn
** (Blattmann et al. 2022, "Retrieval-augmented diffusion models").
**
** The style of an r is unit(r . to_style): training has made it tell the set that a picture is of.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum { TOGETHER = 16 };                 /* wishes of a chunk */
static const float RECALL = 40;         /* as in training */
/* Of 100 common names a picture showed 62 by step 3 with 0, 72 with 0.3, 78 with 0.6, in training's
** own count (model/TRAINING.md). */
static const float NEARER = 0.6f;

struct prior_work {                     /* scratch for up to 2*TOGETHER rows; from the arena */
  float *x;                             /* [wishes, r] */
  float *twice;                         /* [rows, r]: x of the rows with a wish, then without */
  float *asked;                         /* [rows, width]: what the wish adds to every h */
  float *near;                          /* [n_names]: of one wish */
  float *recalled;                      /* [wishes, r]: of those with an s */
  float *h, *normed;                    /* [rows, width] */
  float *value_gate, *gated;            /* [rows, 2 hidden], [rows, hidden] */
  float *v;                             /* [rows, r] */
  float *panel;                         /* LINEAR_SCRATCH of the widest matrix */
};

struct drawing {                        /* one call */
  const struct model *m;
  struct run *run;
  const struct wish *wishes;            /* [n] */
  int n;
  float guidance;
  float *r;                             /* [n, r] */
  struct prior_work *work;              /* one a worker */
};

static void prior_work_init(struct prior_work *w, const struct model *m, struct arena *a){
  const struct prior_shape *p = &m->config.picture.prior;
  size_t rows = 2*TOGETHER;
  size_t r = (size_t)m->config.shape.r;
  int asked = largest_of(model_s(m), m->config.picture.style);
  int widest = largest_of(largest_of(p->width, p->hidden), largest_of(m->config.shape.r, asked));
  widest = largest_of(widest, m->config.n_names);
  w->x = arena_floats(a, TOGETHER*r);
  w->twice = arena_floats(a, rows*r);
  w->asked = arena_floats(a, rows*(size_t)p->width);
  w->near = arena_floats(a, (size_t)m->config.n_names);
  w->recalled = arena_floats(a, TOGETHER*r);
  w->h = arena_floats(a, rows*(size_t)p->width);
  w->normed = arena_floats(a, rows*(size_t)largest_of(p->width, asked));
  w->value_gate = arena_floats(a, rows*2*(size_t)p->hidden);
  w->gated = arena_floats(a, rows*(size_t)p->hidden);
  w->v = arena_floats(a, rows*r);
  w->panel = arena_floats(a, LINEAR_SCRATCH(widest));
}

/* y[style] = the style of r, of unit length. */
static void read_style(const struct model *m, const float *r, float *y, float *panel){
  linear(y, r, &m->picture.to_style, 1, panel);
  normalize(y, m->config.picture.style);
}

/* x[n] *= k */
static void scale(float *x, float k, int n){
  for(int i=0; i<n; i++) x[i] *= k;
}

/* recalled[r] = what the memory has for s. */
static void recall(const struct model *m, struct prior_work *w, const float *s, float *recalled){
  const struct picture_net *q = &m->picture;
  dots(w->near, s, q->names, m->config.n_names, model_s(m));
  scale(w->near, RECALL, m->config.n_names);
  softmax(w->near, m->config.n_names);
  linear(recalled, w->near, &q->memory, 1, w->panel);
}

/* y[width] = what a wish adds: of its s, what that recalls, and of its style, where it has them.
** Sets recalled[r] where it has an s. w->normed and w->v are scratch. */
static void ask(const struct model *m, struct prior_work *w, const struct wish *wish, float *y,
                float *recalled){
  const struct picture_net *q = &m->picture;
  int width = m->config.picture.prior.width;
  int style = m->config.picture.style;
  int s = model_s(m);
  int r = m->config.shape.r;
  memset(y, 0, (size_t)width*sizeof(float));
  if( wish->s ){
    memcpy(w->normed, wish->s, (size_t)s*sizeof(float));
    scale(w->normed, sqrtf((float)s), s);
    linear(w->h, w->normed, &q->prior_s, 1, w->panel);
    add(y, w->h, width);
    recall(m, w, wish->s, recalled);
    memcpy(w->v, recalled, (size_t)r*sizeof(float));
    scale(w->v, sqrtf((float)r), r);
    linear(w->h, w->v, &q->prior_recalled, 1, w->panel);
    add(y, w->h, width);
  }
  if( wish->like ){
    read_style(m, wish->like, w->normed, w->panel);
    scale(w->normed, sqrtf((float)style), style);
    linear(w->h, w->normed, &q->prior_style, 1, w->panel);
    add(y, w->h, width);
  }
}

/* w->v[rows, r] = the velocity at w->twice[rows, r] in step k. */
static void flow(const struct model *m, struct prior_work *w, int rows, int k){
  const struct picture_net *q = &m->picture;
  const struct prior_shape *p = &m->config.picture.prior;
  int width = p->width;
  linear(w->h, w->twice, &q->prior_r, rows, w->panel);
  add(w->h, w->asked, rows*width);
  add_bias(w->h, q->prior_time + (size_t)k*(size_t)width, rows, width);
  for(int i=0; i<p->blocks; i++){
    const struct prior_block *b = &q->prior[i];
    rms_norm(w->normed, w->h, b->norm, rows, width, RMS_EPSILON);
    linear(w->value_gate, w->normed, &b->in, rows, w->panel);
    silu_gate(w->gated, w->value_gate, rows, p->hidden);
    linear(w->normed, w->gated, &b->out, rows, w->panel);
    add(w->h, w->normed, rows*width);
  }
  rms_norm(w->normed, w->h, q->prior_norm, rows, width, RMS_EPSILON);
  linear(w->v, w->normed, &q->prior_out, rows, w->panel);
}

/* Takes step k: x[n, r] moves along. with: rows that have a wish, 0 or n; the others have none. */
static void take_step(const struct drawing *d, struct prior_work *w, int n, int with, int k){
  const struct model *m = d->m;
  int steps = m->config.picture.prior.steps;
  size_t count = (size_t)n*(size_t)m->config.shape.r;
  int is_guided = with>0 && d->guidance!=1;
  const float *v0 = w->v + (is_guided ? count : 0);
  memcpy(w->twice, w->x, count*sizeof(float));
  if( is_guided ) memcpy(w->twice + count, w->x, count*sizeof(float));
  flow(m, w, is_guided ? 2*n : n, k);
  for(size_t i=0; i<count; i++){
    float v = is_guided ? v0[i] + d->guidance*(w->v[i] - v0[i]) : w->v[i];
    w->x[i] += v/(float)steps;
  }
  if( d->run->watch ) d->run->watch(d->run->watch_arg, "prior", k, w->x, n);
}

/* Step 3, of one wish: x[r]. Changes recalled[r]. */
static void finish(const struct wish *wish, int is_asked, float *recalled, float *x, int r){
  normalize(x, r);
  if( !is_asked || wish->s==NULL || wish->like ) return;
  normalize(recalled, r);
  scale(recalled, NEARER, r);
  add(x, recalled, r);
  normalize(x, r);
}

static void draw_chunk(void *arg, struct worker *worker, int chunk){
  struct drawing *d = arg;
  const struct model *m = d->m;
  struct prior_work *w = &d->work[worker->at];
  size_t r = (size_t)m->config.shape.r;
  size_t width = (size_t)m->config.picture.prior.width;
  int first = chunk*TOGETHER;
  int n = d->n - first<TOGETHER ? d->n - first : TOGETHER;
  int with = d->guidance>0 ? n : 0;
  memset(w->asked, 0, 2*TOGETHER*width*sizeof(float));
  for(int i=0; i<n; i++){
    struct random random = random_of(d->wishes[first+i].seed);
    for(size_t k=0; k<r; k++) w->x[i*r+k] = random_normal(&random);
    if( with ) ask(m, w, &d->wishes[first+i], w->asked + i*width, w->recalled + i*r);
  }
  for(int k=0; k<m->config.picture.prior.steps; k++){
    if( worker_stopped(worker) ) return;
    take_step(d, w, n, with, k);
  }
  for(int i=0; i<n; i++){
    finish(&d->wishes[first+i], with>0, w->recalled + i*r, w->x + i*r, (int)r);
    memcpy(d->r + (first + i)*r, w->x + i*r, r*sizeof(float));
  }
}

int details_draw(const struct model *m, struct run *run, const struct wish *wishes, int n,
                 float guidance, float *r){
  struct drawing d = {
    .m = m, .run = run, .wishes = wishes, .n = n, .guidance = guidance, .r = r
  };
  struct arena_mark mark = arena_mark(run->arena);
  int n_chunks = (n + TOGETHER - 1)/TOGETHER;
  int n_workers = run->n_threads<n_chunks ? run->n_threads : n_chunks;
  assert( n>=0 && m->config.kind==KIND_PICTURE && guidance>=0 );
  if( n==0 ) return SQLITE_OK;
  d.work = arena_get(run->arena, (size_t)n_workers*sizeof(*d.work));
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n_workers; i++) prior_work_init(&d.work[i], m, run->arena);
  if( run->arena->oom ) return fail_nomem(run->err);
  chunks_run(run, n_workers, n_chunks, draw_chunk, &d);
  arena_rewind(run->arena, mark);
  return run->err->rc;
}

float styles_cosine(const struct model *m, const float *a, const float *b, struct arena *arena){
  struct arena_mark mark = arena_mark(arena);
  int n = m->config.picture.style;
  float *styles = arena_floats(arena, 2*(size_t)n);
  float *panel = arena_floats(arena, LINEAR_SCRATCH(m->config.shape.r));
  float cosine;
  if( arena->oom ) return 0;
  read_style(m, a, styles, panel);
  read_style(m, b, styles + n, panel);
  cosine = dot(styles, styles + n, n);
  arena_rewind(arena, mark);
  return cosine;
}

int picture_vary(const struct model *m, struct run *run, float *z, float amount, uint64_t seed){
  static const float GUIDANCE = 1.5f;
  struct arena_mark mark = arena_mark(run->arena);
  struct wish wish = { .s = z, .seed = seed };
  int n = m->config.shape.r;
  float *r = z + model_s(m);
  float *drawn = arena_floats(run->arena, (size_t)n);
  float length;
  if( drawn==NULL ) return fail_nomem(run->err);
  if( amount<=0 ) return SQLITE_OK;
  if( details_draw(m, run, &wish, 1, GUIDANCE, drawn)!=SQLITE_OK ) return run->err->rc;
  length = normalize(r, n);
  slerp(r, r, drawn, amount, n);
  scale(r, length + amount*(1 - length), n);
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

/* A point with this r and no s is decoded, and the picture encoded: so the point has the s of what
** it shows. */
int pictures_sample(const struct model *m, struct run *run, const uint64_t *seeds, int n,
                    float *z){
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  size_t r = (size_t)m->config.shape.r;
  size_t width = (size_t)model_width(m);
  struct wish *wishes = arena_zeroed(a, (size_t)n*sizeof(*wishes));
  struct picture *pictures = arena_get(a, (size_t)n*sizeof(*pictures));
  float *drawn = arena_floats(a, (size_t)n*r);
  if( a->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++) wishes[i].seed = seeds[i];
  if( details_draw(m, run, wishes, n, 0, drawn)!=SQLITE_OK ) return run->err->rc;
  memset(z, 0, (size_t)n*width*sizeof(float));
  for(int i=0; i<n; i++) memcpy(z + (i + 1)*width - r, drawn + i*r, r*sizeof(float));
  if( pictures_decode(m, run, z, n, 1, pictures)!=SQLITE_OK ) return run->err->rc;
  if( pictures_reread(m, run, pictures, n, z)!=SQLITE_OK ) return run->err->rc;
  arena_rewind(a, mark);
  return SQLITE_OK;
}
