/*
** model_picture.c -- pictures to rows of codes and back.
**
** Checks what comes in and shares the work out to threads. The network is model_vqvae.c.
*/
#include "model.h"
#include <assert.h>

/* Pictures of a chunk. 2 or 8 were as fast. */
enum { TOGETHER = 4 };

struct picture_job {                    /* one call */
  const struct model *m;
  struct run *run;
  int n;                                /* pictures in all */
  int together;                         /* and in a chunk */
  struct picture_work *work;            /* one a worker */
  const struct picture *from;           /* encoding: [n] */
  int *ids;                             /* [n, grid*grid] */
  const struct tokens *rows;            /* decoding: [n] */
  struct picture *to;                   /* [n] */
};

static int check_kind(const struct model *m, struct err *e){
  if( m->config.kind==KIND_PICTURE ) return SQLITE_OK;
  return fail(e, SQLITE_ERROR, "a model of kind %s has no pictures, expected one of kind picture",
              kind_name(m->config.kind));
}

/* Pictures of the chunk that begins with `first`. */
static int chunk_pictures(const struct picture_job *job, int first){
  int left = job->n - first;
  return left<job->together ? left : job->together;
}

static void encode_chunk(void *arg, struct worker *worker, int chunk){
  struct picture_job *job = arg;
  struct picture_work *w = &job->work[worker->at];
  int grid = job->m->config.picture.grid;
  int first = chunk*job->together;
  int n = chunk_pictures(job, first);
  int *ids = job->ids + (size_t)first*grid*grid;
  vqvae_encode(job->m, job->run, worker, w, job->from + first, n, ids);
}

static void decode_chunk(void *arg, struct worker *worker, int chunk){
  struct picture_job *job = arg;
  struct picture_work *w = &job->work[worker->at];
  int first = chunk*job->together;
  int n = chunk_pictures(job, first);
  vqvae_decode(job->m, job->run, worker, w, job->rows + first, n, job->to + first);
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

int pictures_tokens(const struct model *m, struct run *run, const struct picture *p, int n,
                    int *ids){
  struct picture_job job = { .m = m, .run = run, .n = n, .from = p, .ids = ids };
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

static int check_codes(const struct model *m, const struct tokens *row, struct err *e){
  const struct picture_shape *p = &m->config.picture;
  int places = p->grid*p->grid;
  if( row->n!=places ){
    return fail(e, SQLITE_ERROR, "a picture of %d codes, expected %d", row->n, places);
  }
  for(int i=0; i<row->n; i++){
    int code = row->ids[i] - TOKEN_CODE;
    if( code>=0 && code<p->codes ) continue;
    return fail(e, SQLITE_ERROR, "code %d of a picture is %d, expected 0 to %d",
                i, code, p->codes-1);
  }
  return SQLITE_OK;
}

int tokens_pictures(const struct model *m, struct run *run, const struct tokens *rows, int n,
                    struct picture *p){
  struct picture_job job = { .m = m, .run = run, .n = n, .rows = rows, .to = p };
  int size = m->config.picture.size;
  size_t bytes = (size_t)size*(size_t)size*4;
  assert( n>=0 && run->n_threads>=1 );
  for(int i=0; i<n; i++) p[i] = (struct picture){ 0 };
  if( check_kind(m, run->err)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n; i++){
    if( check_codes(m, &rows[i], run->err)!=SQLITE_OK ) return run->err->rc;
    p[i] = (struct picture){ size, size, arena_get(run->arena, bytes) };
  }
  if( run->arena->oom ) return fail_nomem(run->err);
  return run_job(&job, decode_chunk);
}
