/*
** vtab_encoder.c -- a table with a sentence encoder of its own: latent(body, model='name').
**
** The encoder is a folder of that name, which latent_load() has taken on this connection, or which
** lies beside the text model's weights. (No path: the name comes from the schema, which may be a
** stranger's.) Its vectors are what the index has. A row's latent is as in any table, so rows are
** decoded and mixed as elsewhere, but for a search by a latent: only a text can be asked for.
**
** The vectors of a row are those of the whole text, read in windows where it is long, and of each
** passage (struct vectors). With an encoder that was trained to be told, the query's and the
** passages' prefix stand before the text.
*/
#include "vtab.h"
#include <string.h>

const struct bert *table_encoder(struct call *c, const struct vtab *t){
  return t->definition.model ? call_encoder_named(c, t->definition.model) : NULL;
}

/* ---- Texts to vectors ---- */

struct pieces {                         /* texts that go into one batch */
  struct buf bytes;
  size_t *ends;                         /* [n] */
  int n;
};

static void add_piece(struct pieces *p, const char *prefix, const char *text, size_t n){
  if( prefix ) buf_str(&p->bytes, prefix);
  buf_append(&p->bytes, text, n);
  p->ends[p->n++] = p->bytes.n;
}

/* Adds the text whose latent is z, and its passages. */
static int add_text(struct call *c, const struct model *m, struct pieces *p, const char *prefix,
                    const struct content *text, const struct latent *z){
  struct buf passages = { 0 };
  size_t *ends;
  int n;
  add_piece(p, prefix, text->bytes, text->n);
  if( z->n_segments==1 ) return c->err.rc;
  text_passages(m, &c->run, text->bytes, text->n, z->n_segments, &passages, &ends, &n);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    size_t from = i>0 ? ends[i-1] : 0;
    add_piece(p, prefix, buf_text(&passages) + from, ends[i] - from);
  }
  buf_release(&passages);
  return c->err.rc;
}

/* Their vectors, in the call's arena; NULL on failure. */
static float *embed_pieces(struct call *c, const struct bert *b, struct pieces *p){
  struct content *texts = arena_get(&c->arena, sizeof(*texts)*(size_t)p->n);
  float *y = arena_floats(&c->arena, (size_t)p->n*(size_t)b->config.shape.d);
  const char *bytes = buf_text(&p->bytes);
  if( c->arena.oom || p->bytes.rc!=SQLITE_OK ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return NULL;
  for(int i=0; i<p->n; i++){
    size_t from = i>0 ? p->ends[i-1] : 0;
    texts[i] = (struct content){ bytes + from, p->ends[i] - from };
  }
  return bert_embed(b, &c->run, texts, p->n, y)==SQLITE_OK ? y : NULL;
}

/* ---- What t_rows gets ---- */

int encoder_store(struct call *c, struct vtab *t, const struct content *texts,
                  const struct latent *z, int n, struct content *blobs){
  const struct bert *b = table_encoder(c, t);
  const struct model *m = call_model(c);
  struct pieces p = { 0 };
  size_t most = 0;
  float *y = NULL;
  if( b==NULL || m==NULL ) return c->err.rc;
  for(int i=0; i<n; i++) most += (size_t)count_vectors(t, z[i].n_segments);
  p.ends = arena_get(&c->arena, sizeof(*p.ends)*most);
  if( p.ends==NULL ) return fail_nomem(&c->err);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    add_text(c, m, &p, b->config.passage_prefix, &texts[i], &z[i]);
  }
  if( c->err.rc==SQLITE_OK ) y = embed_pieces(c, b, &p);
  buf_release(&p.bytes);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    const struct latent vectors = {
      .kind = KIND_TEXT,
      .n_segments = count_vectors(t, z[i].n_segments),
      .width = b->config.shape.d,
      .fingerprint = (uint32_t)b->file.hash,
      .z = y,
    };
    blobs[i] = row_blob(c, &z[i], &vectors);
    y += (size_t)vectors.n_segments*(size_t)vectors.width;
  }
  return c->err.rc;
}

/* ---- A query ---- */

const float *encoder_query(struct call *c, struct vtab *t, sqlite3_value *v, struct arena *a){
  const struct bert *b = table_encoder(c, t);
  struct content text = { "", 0 };
  struct pieces p = { 0 };
  size_t end;
  float *y = NULL;
  float *vector;
  if( sqlite3_value_type(v)!=SQLITE_TEXT ){
    refuse_value(c, "the query", v, "text: the table's own model reads nothing else");
  }
  text = value_bytes(c, v);
  if( b==NULL || c->err.rc!=SQLITE_OK ) return NULL;
  p.ends = &end;
  add_piece(&p, b->config.query_prefix, text.bytes, text.n);
  y = embed_pieces(c, b, &p);
  buf_release(&p.bytes);
  vector = arena_floats(a, (size_t)t->width);
  if( vector==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return NULL;
  memcpy(vector, y, sizeof(float)*(size_t)t->width);
  normalize(vector, t->width);
  return vector;
}
