/*
** model_picture.c -- pictures to points and back.
**
** Checks what comes in and shares the work out to threads. The network is model_convolve.c.
*/
#include "model.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* Pictures of a chunk. */
enum { TOGETHER = 8 };

struct picture_job {                    /* one call */
  const struct model *m;
  struct run *run;
  int n;                                /* pictures in all */
  int together;                         /* and in a chunk */
  struct picture_work *work;            /* one a worker */
  const struct picture *from;           /* encoding: [n] */
  float *z;                             /* [n, s+r]; decoding: as the network reads it */
  float *made;                          /* decoding: [n, size*size*4], as the network gives it */
};

static int check_kind(const struct model *m, struct err *e){
  if( m->config.kind==KIND_PICTURE ) return SQLITE_OK;
  return fail(e, SQLITE_ERROR, "a model of kind %s has no pictures, expected one of kind picture",
              kind_name(m->config.kind));
}

/* Numbers of a picture. */
static size_t picture_numbers(const struct model *m){
  size_t size = (size_t)m->config.picture.size;
  return size*size*4;
}

/* Pictures of the chunk that begins with `first`. */
static int chunk_pictures(const struct picture_job *job, int first){
  int left = job->n - first;
  return left<job->together ? left : job->together;
}

static void encode_chunk(void *arg, struct worker *worker, int chunk){
  struct picture_job *job = arg;
  int first = chunk*job->together;
  float *z = job->z + (size_t)first*model_width(job->m);
  convolve_encode(job->m, worker, &job->work[worker->at], job->from + first,
                  chunk_pictures(job, first), z);
}

static void decode_chunk(void *arg, struct worker *worker, int chunk){
  struct picture_job *job = arg;
  struct picture_work *w = &job->work[worker->at];
  int first = chunk*job->together;
  int n = chunk_pictures(job, first);
  size_t each = picture_numbers(job->m);
  convolve_decode(job->m, job->run, worker, w, job->z + (size_t)first*model_width(job->m), n);
  if( worker_stopped(worker) ) return;
  memcpy(job->made + first*each, w->x, n*each*sizeof(float));
}

/* Shares the job's pictures out. */
static int run_job(struct picture_job *job, void (*work)(void *, struct worker *, int)){
  struct run *run = job->run;
  struct arena *a = run->arena;
  struct arena_mark mark = arena_mark(a);
  int each = (job->n + run->n_threads - 1)/run->n_threads;
  int n_workers, n_chunks;
  if( job->n==0 ) return SQLITE_OK;
  job->together = each<TOGETHER ? each : TOGETHER;
  n_chunks = (job->n + job->together - 1)/job->together;
  n_workers = run->n_threads<n_chunks ? run->n_threads : n_chunks;
  job->work = arena_get(a, (size_t)n_workers*sizeof(struct picture_work));
  if( a->oom ) return fail_nomem(run->err);
  for(int i=0; i<n_workers; i++) picture_work_init(&job->work[i], job->m, job->together, a);
  if( a->oom ) return fail_nomem(run->err);
  chunks_run(run, n_workers, n_chunks, work, job);
  arena_rewind(a, mark);
  return run->err->rc;
}

int pictures_encode(const struct model *m, struct run *run, const struct picture *p, int n,
                    float *z){
  struct picture_job job = { .m = m, .run = run, .n = n, .from = p, .z = z };
  int size = m->config.picture.size;
  assert( n>=0 && run->n_threads>=1 );
  if( check_kind(m, run->err)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n; i++){
    if( p[i].width==size && p[i].height==size ) continue;
    return fail(run->err, SQLITE_ERROR, "a picture of %dx%d pixels, expected %dx%d",
                p[i].width, p[i].height, size, size);
  }
  return run_job(&job, encode_chunk);
}

/* The decoder has learned from no shorter r: of less it makes noise. */
float picture_detail(float detail){
  static const float LEAST = 0.6f;
  return LEAST + (1 - LEAST)*detail;
}

/* scaled[n, s+r] = z as the network reads it: of unit variance. */
static void scale_points(const struct model *m, float *scaled, const float *z, int n, float detail){
  int s = model_s(m);
  int width = model_width(m);
  float scale_s = sqrtf((float)s);
  float scale_r = sqrtf((float)(width - s))*picture_detail(detail);
  for(int i=0; i<n; i++){
    for(int k=0; k<width; k++) *scaled++ = *z++*(k<s ? scale_s : scale_r);
  }
}

/* made[n, size*size*4]: the pixels before they are rounded, 2x2 of them side by side. From the
** arena. */
static int decode_numbers(const struct model *m, struct run *run, const float *z, int n,
                          float detail, float **made){
  struct picture_job job = { .m = m, .run = run, .n = n };
  assert( n>=0 && run->n_threads>=1 );
  *made = NULL;
  if( check_kind(m, run->err)!=SQLITE_OK ) return run->err->rc;
  *made = job.made = arena_floats(run->arena, (size_t)n*picture_numbers(m));
  job.z = arena_floats(run->arena, (size_t)n*(size_t)model_width(m));
  if( run->arena->oom ) return fail_nomem(run->err);
  scale_points(m, job.z, z, n, detail);
  return run_job(&job, decode_chunk);
}

int pictures_decode(const struct model *m, struct run *run, const float *z, int n, float detail,
                    struct picture *p){
  int size = m->config.picture.size;
  struct arena_mark mark;
  float *made;
  for(int i=0; i<n; i++){
    p[i] = (struct picture){ size, size, arena_get(run->arena, picture_numbers(m)) };
  }
  if( run->arena->oom ) return fail_nomem(run->err);
  mark = arena_mark(run->arena);
  if( decode_numbers(m, run, z, n, detail, &made)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n; i++) convolve_pixels(m, made + i*picture_numbers(m), &p[i]);
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

int pictures_reread(const struct model *m, struct run *run, struct picture *p, int n, float *z){
  struct arena_mark mark = arena_mark(run->arena);
  for(int i=0; i<n; i++){
    picture_clear(&p[i], m->config.picture.size, run->arena, run->err);
    if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  }
  if( pictures_encode(m, run, p, n, z)!=SQLITE_OK ) return run->err->rc;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

int picture_score(const struct model *m, struct run *run, const struct picture *p, const float *z,
                  float *mean){
  enum { DEVIATION = 16 };
  static const float LOG_WIDTH = 3.6915272f;    /* log(DEVIATION*sqrt(2 pi)) */
  struct arena_mark mark = arena_mark(run->arena);
  struct picture made;
  size_t n = picture_numbers(m);
  double sum = 0;                       /* of squares, which are whole numbers over 255^2 */
  *mean = 0;
  if( pictures_decode(m, run, z, 1, 1, &made)!=SQLITE_OK ) return run->err->rc;
  assert( p->width==made.width && p->height==made.height );
  for(size_t i=0; i<n; i++){
    double a = p->pixels[i];
    double b = made.pixels[i];
    if( i%4<3 ){
      a *= p->pixels[i|3]/255.0;
      b *= made.pixels[i|3]/255.0;
    }
    sum += (a - b)*(a - b);
  }
  arena_rewind(run->arena, mark);
  *mean = (float)(-0.5*sum/(double)n/(DEVIATION*DEVIATION)) - LOG_WIDTH;
  return SQLITE_OK;
}

int names_near(const struct model *m, struct run *run, const float *s, int n, int *which,
               float *far){
  struct arena_mark mark = arena_mark(run->arena);
  int n_names = m->config.n_names;
  float *like = arena_floats(run->arena, (size_t)n_names);
  assert( n<=n_names );
  if( run->arena->oom ) return fail_nomem(run->err);
  dots(like, s, m->picture.names, n_names, model_s(m));
  for(int i=0; i<n; i++){
    which[i] = largest(like, n_names);
    far[i] = 1 - like[which[i]];
    like[which[i]] = -INFINITY;
  }
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}
