/*
** functions_info.c -- the model itself: latent_info() tells of it, latent_load() takes another.
*/
#include "functions.h"
#include <string.h>

static void put_text(struct buf *out, const char *name, const char *text){
  buf_printf(out, "\"%s\":", name);
  buf_json_string(out, text, strlen(text));
}

/* Scales of 8-bit matrices are not counted. */
static int64_t n_parameters(const struct model *m){
  int64_t sum = 0;
  for(int i=0; i<m->file.n_tensors; i++){
    const struct tensor *t = &m->file.tensors[i];
    const char *dot = strrchr(t->name, '.');
    if( dot==NULL || strcmp(dot, ".scale")!=0 ) sum += t->shape[0]*t->shape[1];
  }
  return sum;
}

static void put_shape(struct buf *out, const struct shape *s){
  buf_printf(out, "\"shape\":{\"d\":%d,\"encoder_layers\":%d,\"decoder_layers\":%d,", s->d,
             s->encoder_layers, s->decoder_layers);
  buf_printf(out, "\"s\":%d,\"r\":%d,\"registers\":%d,\"memory\":%d,", s->s, s->r, s->registers,
             s->memory);
  buf_printf(out, "\"pieces\":%d,\"longest\":%d}", s->pieces, s->longest);
}

static void put_picture_shape(struct buf *out, const struct config *c){
  buf_printf(out, "\"shape\":{\"size\":%d,\"s\":%d,\"r\":%d,\"style\":%d,\"steps\":%d}",
             c->picture.size, c->shape.s, c->shape.r, c->picture.style, c->picture.prior.steps);
}

static void put_model(struct buf *out, const struct model *m){
  buf_char(out, '{');
  put_text(out, "kind", kind_name(m->config.kind));
  buf_printf(out, ",\"fingerprint\":\"%08x\",", m->config.fingerprint);
  put_text(out, "path", m->shared.path);
  buf_printf(out, ",\"parameters\":%lld", (long long)n_parameters(m));
  buf_printf(out, ",\"bytes\":%lld,", (long long)m->file.map.n);
  if( m->config.kind==KIND_PICTURE ) put_picture_shape(out, &m->config);
  else put_shape(out, &m->config.shape);
  if( m->meaning ){
    buf_printf(out, ",\"meaning\":{\"s\":%d,", model_s(m));
    put_text(out, "path", m->meaning->shared.path);
    buf_char(out, '}');
  }
  buf_char(out, '}');
}

/* There are no weights: why, and where they were looked for. Here that is an answer and
** no error. */
static void put_missing(struct call *c, struct buf *out){
  struct places places;
  int is_nomem = c->err.rc==SQLITE_NOMEM;
  buf_str(out, "null,");
  put_text(out, "error", c->err.text);
  if( is_nomem ) return;
  err_clear(&c->err);
  places_list(&places, KIND_TEXT, &c->arena, &c->err);
  buf_str(out, ",\"places\":[");
  for(int i=0; i<places.n; i++){
    if( i ) buf_char(out, ',');
    buf_json_string(out, places.path[i], strlen(places.path[i]));
  }
  buf_char(out, ']');
}

static void put_encoder(struct buf *out, const struct bert *b){
  buf_char(out, '{');
  put_text(out, "name", shared_name(&b->shared));
  buf_printf(out, ",\"fingerprint\":\"%08x\",", (unsigned)(uint32_t)b->file.hash);
  put_text(out, "path", b->shared.path);
  buf_printf(out, ",\"width\":%d,\"window\":%d}", b->config.shape.d, b->config.window);
}

/* The writer shows once it is in use, too: it is 125 MB. What a piece costs is measured now. */
static void put_writer(struct call *c, struct buf *out, const struct writer *w){
  int64_t bytes = 0;
  double seconds;
  for(int i=0; i<WRITER_FILES; i++) bytes += (int64_t)w->files[i].map.n;
  if( writer_cost(w, &c->run, &seconds)!=SQLITE_OK ) return;
  buf_char(out, '{');
  put_text(out, "path", w->shared.path);
  buf_printf(out, ",\"bytes\":%lld,\"layers\":%d,\"pieces\":%d,\"ms_a_piece\":%.3f}",
             (long long)bytes, w->config.shape.layers, w->config.shape.pieces, 1000*seconds);
}

/* Pictures and code show once they are in use, so that nobody waits for their loading here. */
void scalar_info(struct call *c){
  struct buf out = { 0 };
  const struct model *m = call_model(c);
  buf_char(&out, '{');
  put_text(&out, "version", LATENT_VERSION);
  buf_char(&out, ',');
  put_text(&out, "sqlite", sqlite3_libversion());
  buf_str(&out, ",\"model\":");
  if( m ) put_model(&out, m);
  else put_missing(c, &out);
  for(int kind=KIND_PICTURE; kind<=KIND_CODE; kind++){
    buf_printf(&out, ",\"%s\":", kind_name(kind));
    m = c->connection->models[kind];
    if( m ) put_model(&out, m);
    else buf_str(&out, "null");
  }
  buf_str(&out, ",\"writer\":");
  if( c->connection->writer ) put_writer(c, &out, c->connection->writer);
  else buf_str(&out, "null");
  buf_str(&out, ",\"encoder\":");
  if( c->connection->encoder ) put_encoder(&out, c->connection->encoder);
  else buf_str(&out, "null");
  buf_char(&out, ',');
  put_text(&out, "kernel", linear_kernel());
  if( strcmp(linear_kernel(), "plain")==0 ){
    buf_char(&out, ',');
    put_text(&out, "warning", "no fast kernel for this CPU: plain loops, some 100 times slower");
  }
  buf_printf(&out, ",\"threads\":%d", c->connection->n_threads);
  buf_printf(&out, ",\"memory\":%lld}", (long long)sqlite3_memory_used());
  result_buf(c, &out);
}

void scalar_load(struct call *c){
  struct content path = call_text(c, 0, "path");
  const struct bert *encoder = NULL;
  const struct model *m = NULL;
  char fingerprint[16];
  if( c->err.rc==SQLITE_OK && (path.n==0 || memchr(path.bytes, 0, path.n)) ){
    fail(&c->err, SQLITE_ERROR, "argument 1 (path) is %s, expected a file of weights or its "
         "directory", path.n ? "text with a zero byte" : "empty");
  }
  if( c->err.rc==SQLITE_OK && is_bert(path.bytes) ) encoder = call_load_encoder(c, path.bytes);
  else m = call_load(c, path.bytes);
  if( c->err.rc!=SQLITE_OK ) return;
  sqlite3_snprintf(sizeof(fingerprint), fingerprint, "%08x",
                   m ? m->config.fingerprint : (uint32_t)encoder->file.hash);
  sqlite3_result_text(c->context, fingerprint, -1, SQLITE_TRANSIENT);
}
