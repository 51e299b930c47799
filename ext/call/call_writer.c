/*
** call_writer.c -- which decoder a call's result is written by.
**
** The small decoder gives back what was encoded, in milliseconds. The writer writes what is between
** or beyond in the words of a language model. It is the folder "writer" beside the weights of text;
** where there is none, the small decoder does all. A connection opens it when it first writes.
*/
#include "call.h"

static int check_reads(struct call *c, const struct writer *w, const struct model *m){
  const struct writer_shape *shape = &w->config.shape;
  unsigned long long reads = w->config.reads;
  unsigned long long have = m->config.weights_hash;
  if( reads!=have ){
    return fail(&c->err, SQLITE_ERROR, "%s reads latents of weights %016llx, these are of %016llx: "
                "{\"decoder\":\"exact\"} does without it", w->shared.path, reads, have);
  }
  if( shape->s==model_s(m) && shape->r==m->config.shape.r ) return SQLITE_OK;
  return fail(&c->err, SQLITE_ERROR, "%s reads points of %d and %d numbers, these have %d and %d",
              w->shared.path, shape->s, shape->r, model_s(m), m->config.shape.r);
}

/* The writer beside the weights of m. NULL: there is none, or a failure. */
static const struct writer *find_writer(struct call *c, const struct model *m){
  struct connection *own = c->connection;
  const char *folder = writer_beside(m, &c->arena, &c->err);
  struct writer *w;
  if( folder==NULL ) return NULL;
  if( writer_open(&w, folder, &c->err)!=SQLITE_OK ) return NULL;
  writer_close(own->writer);            /* which is the same, but at first or after latent_load() */
  own->writer = w;
  return check_reads(c, w, m)==SQLITE_OK ? w : NULL;
}

void call_writer(struct call *c, const struct model *m, struct options *o, int is_beyond){
  int is_wanted = o->decoder==DECODER_WRITER || (o->decoder==DECODER_DEFAULT && is_beyond);
  if( m==NULL || c->err.rc!=SQLITE_OK || !is_wanted ) return;
  if( m->config.kind==KIND_CODE && is_beyond && !o->decode.has_best_of ){
    o->decode.best_of = BEST_OF_OTHERS;         /* so that there is a choice of what parses */
  }
  if( m->config.kind==KIND_TEXT ) o->decode.writer = find_writer(c, m);
  if( o->decode.writer && !o->decode.has_fluency ) o->decode.fluency = 0;
  if( o->decode.writer || o->decoder!=DECODER_WRITER || c->err.rc!=SQLITE_OK ) return;
  if( m->config.kind!=KIND_TEXT ){
    fail(&c->err, SQLITE_ERROR, "options key \"decoder\" is \"writer\", which writes kind text "
         "alone, and this is of kind %s", kind_name(m->config.kind));
  }else{
    fail(&c->err, SQLITE_CANTOPEN, "no writer found (looked for the folder \"writer\" beside %s)",
         m->shared.path);
  }
}
