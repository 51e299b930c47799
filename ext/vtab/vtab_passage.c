/*
** vtab_passage.c -- the hidden column `passage`: what in a row answers the query.
**
** A text of several sentences is as near as the nearest of them. Which one that is the latent
** tells, whose segments are those sentences, in order (model_text.c). What it says is read from the
** content, cut as it was when it was encoded. Where that gives another number of segments, the
** content has changed since, and nobody can tell. Of several content columns it is the nearest one.
*/
#include "vtab.h"
#include <math.h>
#include <string.h>

/* The passage that is nearest to query[t->width], the first of equal ones. v: of the row. */
static int nearest(const struct vtab *t, const struct vectors *v, const float *query){
  size_t width = (size_t)t->width;
  float most = -2;
  int best = 0;
  for(int i=1; i<v->n; i++){
    float score = dot(query, v->x + (size_t)i*width, t->width);
    if( score<=most ) continue;
    most = score;
    best = i - 1;
  }
  return best;
}

/* The text in a column of s; bytes NULL: there is none. */
static struct content column_text(struct call *c, sqlite3_stmt *s, int column){
  struct content text = { NULL, 0 };
  if( sqlite3_column_type(s, column)!=SQLITE_TEXT ) return text;
  text.bytes = sqlite3_column_text(s, column);
  text.n = (size_t)sqlite3_column_bytes(s, column);
  if( text.bytes==NULL ) fail_nomem(&c->err);
  return text;
}

/* Of the one content in a column of s. */
static void give_sentence(struct call *c, struct vtab *t, const float *query, sqlite3_stmt *s,
                          int column, struct content latent, sqlite3_context *context){
  struct content own = latent_alone(t, latent);
  struct content text = column_text(c, s, column);
  const struct model *m;
  struct vectors v;
  struct latent z;
  struct buf all;
  size_t *ends;
  int n = 0;
  if( text.bytes==NULL || latent.bytes==NULL || c->err.rc!=SQLITE_OK ) return;
  v = vectors_from_stored(c, t, latent, &c->arena, "a stored latent");
  m = call_model_of(c, KIND_TEXT, 0);
  if( c->err.rc!=SQLITE_OK ) return;
  latent_read(&z, own.bytes, own.n, &c->arena, "a stored latent", &c->err);
  if( c->err.rc!=SQLITE_OK || z.kind!=KIND_TEXT ) return;
  all = call_buf(c);
  text_passages(m, &c->run, text.bytes, text.n, z.n_segments, &all, &ends, &n);
  check_buf(c, &all);
  if( c->err.rc==SQLITE_OK && n>0 ){
    int i = nearest(t, &v, query);
    size_t from = i>0 ? ends[i-1] : 0;
    sqlite3_result_text64(context, buf_text(&all) + from, ends[i] - from, SQLITE_TRANSIENT,
                          SQLITE_UTF8);
  }
  buf_release(&all);
}

/* Is the content that *latent was made of nearer to the query than *least, which then is its
** distance? */
static int is_nearer(struct call *c, struct vtab *t, const float *query, struct content latent,
                     double *least){
  struct arena_mark mark = arena_mark(&c->arena);
  struct vectors v = vectors_from_stored(c, t, latent, &c->arena, "a stored latent");
  double distance = distance_of(query, &v, t->width);
  arena_rewind(&c->arena, mark);
  if( c->err.rc!=SQLITE_OK || distance>=*least ) return 0;
  *least = distance;
  return 1;
}

void passage_give(struct call *c, struct vtab *t, const float *query, sqlite3_stmt *s, int column,
                  struct content latent, sqlite3_context *context){
  struct content best = { NULL, 0 };
  struct content rest = latent;
  double least = INFINITY;
  int at = -1;
  if( latent.bytes==NULL ) return;
  for(int i=0; i<t->definition.n_bodies && c->err.rc==SQLITE_OK; i++){
    struct content next;
    if( sqlite3_column_type(s, column + i)==SQLITE_NULL ) continue;
    next = stored_next(t, &rest);
    if( next.n==0 ) return;             /* there is content that was not there */
    if( !is_nearer(c, t, query, next, &least) ) continue;
    best = next;
    at = column + i;
  }
  if( at<0 || rest.n>0 ) return;
  give_sentence(c, t, query, s, at, best, context);
}
