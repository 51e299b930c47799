/*
** call_writer.c -- which decoder a call's result is written by.
**
** The small decoder gives back what was encoded, in milliseconds. The writer writes what is between
** or beyond in the words of a language model. It is the folder "writer" beside the weights of text
** or code, or in the directory of latent_load(). Where there is none, or it reads no code, the
** small decoder does all. A connection opens it when it first writes. A line of code that stands
** alone is the small decoder's too: the writer has read lines of whole functions.
*/
#include "call.h"

static int check_reads(struct call *c, const struct writer *w, const struct model *m){
  const struct writer_shape *shape = &w->config.shape;
  int is_code = m->config.kind==KIND_CODE;
  int s = is_code ? shape->code_s : shape->s;
  int r = is_code ? shape->code_r : shape->r;
  unsigned long long reads = is_code ? w->config.reads_code : w->config.reads;
  unsigned long long have = m->config.weights_hash;
  if( reads!=have ){
    return fail(&c->err, SQLITE_ERROR, "%s reads latents of weights %016llx, these are of %016llx: "
                "{\"decoder\":\"exact\"} does without it", w->shared.path, reads, have);
  }
  if( s==model_s(m) && r==m->config.shape.r ) return SQLITE_OK;
  return fail(&c->err, SQLITE_ERROR, "%s reads points of %d and %d numbers, these have %d and %d",
              w->shared.path, s, r, model_s(m), m->config.shape.r);
}

/* The writer beside the weights of m, or in the connection's directory. NULL: there is none, it
** reads no code and m is of code, or a failure. */
static const struct writer *find_writer(struct call *c, const struct model *m){
  struct connection *own = c->connection;
  const char *folder = writer_find(m, own->directory, &c->arena, &c->err);
  struct writer *w;
  if( folder==NULL ) return NULL;
  if( writer_open(&w, folder, &c->err)!=SQLITE_OK ) return NULL;
  writer_close(own->writer);            /* which is the same, but at first or after latent_load() */
  own->writer = w;
  if( m->config.kind==KIND_CODE && w->config.shape.code_s==0 ) return NULL;
  return check_reads(c, w, m)==SQLITE_OK ? w : NULL;
}

void call_writer(struct call *c, const struct model *m, struct options *o, int is_beyond,
                 int n_segments){
  int is_line = m && m->config.kind==KIND_CODE && n_segments==1;
  int is_exact = o->decoder==DECODER_EXACT || (o->decoder==DECODER_DEFAULT && !is_beyond);
  if( m==NULL || c->err.rc!=SQLITE_OK || is_exact ) return;
  if( m->config.kind==KIND_CODE && is_beyond && !o->decode.has_best_of ){
    o->decode.best_of = BEST_OF_OTHERS;         /* so that there is a choice of what parses */
  }
  if( o->decoder==DECODER_DEFAULT && is_line ) return;
  if( m->config.kind!=KIND_PICTURE ) o->decode.writer = find_writer(c, m);
  if( o->decode.writer && !o->decode.has_fluency ) o->decode.fluency = 0;
  if( o->decode.writer || o->decoder!=DECODER_WRITER || c->err.rc!=SQLITE_OK ) return;
  if( m->config.kind==KIND_PICTURE ){
    fail(&c->err, SQLITE_ERROR, "options key \"decoder\" is \"writer\", which writes kinds text "
         "and code, and this is of kind %s", kind_name(m->config.kind));
  }else{
    fail(&c->err, SQLITE_CANTOPEN, "no writer of %s found (looked for the folder \"writer\" beside "
         "%s)", kind_name(m->config.kind), m->shared.path);
  }
}

void call_writer_at(struct call *c, const struct model *m, struct options *o,
                    const struct latent *z){
  int is_between = m && z->kind!=KIND_DIRECTION && point_is_between(z);
  call_writer(c, m, o, is_between, z->n_segments);
  o->decode.keeps_encoded = o->decoder==DECODER_DEFAULT;
}
