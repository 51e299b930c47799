/*
** call.c -- one call of one SQL function: what it may use, which model it means, how it fails.
**
** A database connection has one `struct connection`, shared by the functions registered on it and
** freed with the last of them. It holds one reference to each process-wide model that it has used,
** one a kind. So a model goes when the last connection closes, and a server that opens a connection
** for each request maps the weights anew each time (milliseconds). Keeping one connection open
** avoids that. A model that stayed until exit would look like a leak to every leak checker.
*/
#include "call.h"
#include <assert.h>
#include <string.h>

/* ---- The connection ---- */

struct connection *connection_open(sqlite3 *db, const struct function *functions, int n){
  struct connection *c = mem_alloc(sizeof(*c) + (size_t)n*sizeof(c->bindings[0]));
  assert( db && n>0 );
  if( c==NULL ) return NULL;
  *c = (struct connection){ .db = db, .n_threads = thread_count(), .n_uses = 1 };
  for(int i=0; i<n; i++) c->bindings[i] = (struct binding){ &functions[i], c };
  return c;
}

void connection_use(struct connection *c){
  c->n_uses++;
}

void connection_drop(struct connection *c){
  assert( c->n_uses>0 );
  if( --c->n_uses>0 ) return;
  for(int i=0; i<=KIND_CODE; i++) model_close(c->models[i]);
  writer_close(c->writer);
  for(int i=0; i<c->n_encoders; i++) bert_close(c->encoders[i]);
  mem_free(c->directory);
  mem_free(c);
}

void binding_drop(void *binding){
  connection_drop(((struct binding *)binding)->connection);
}

/* ---- Whether to stop ---- */

/* Two may want a statement to stop: sqlite3_interrupt(), and the progress handler of the
** application. SQLite 3.40 has no function that tells of the first, and none that calls the second:
** SQLite itself calls it after every N operations of its virtual machine, and N is the
** application's. To run a statement does both, if the statement has enough operations. So TICK
** walks over as many rows as it is told to, at two operations and some 20 nanoseconds a row, and
** gives none. It reads no table, so an authorizer is asked for SQLITE_SELECT alone.
**
** Asked after each 20 ms of work, in one call or in many. Most times a few rows are enough for the
** interrupt and for small N; now and then there are more, for large ones:
**
**     every       rows       share of the time    a handler is called when its N is up to
**      20 ms        5,000    1%                      10,000
**     100 ms       50,000    1%                     100,000
**       1 s       500,000    1%                   1,000,000
**
** Within one call what is left of N counts on, since the statement stays prepared: so a larger N is
** reached too, at two million operations a second. It does not stay prepared for longer, because
** sqlite3_close() would then fail. */
enum {
  ASK_NS = 20000000,
  OFTEN = 5, RARELY = 50,       /* asking so many times makes 100 ms and 1 s */
  ROWS_FEW = 5000, ROWS_MORE = 50000, ROWS_MOST = 500000        /* at most 16^5 */
};
#define ROWS16 "(VALUES (0),(0),(0),(0),(0),(0),(0),(0),(0),(0),(0),(0),(0),(0),(0),(0))"
static const char TICK[] =
  "SELECT 1 FROM " ROWS16 "," ROWS16 "," ROWS16 "," ROWS16 "," ROWS16 " LIMIT 1 OFFSET ?";

static int rows_to_walk(unsigned n_asked){
  if( n_asked%RARELY==0 ) return ROWS_MOST;
  return n_asked%OFTEN==0 ? ROWS_MORE : ROWS_FEW;
}

/* The stop() of struct err. Notes nothing: the one who asks may have a copy of c->err. */
static int ask(void *arg){
  struct call *c = arg;
  struct connection *own = c->connection;
  int rc = SQLITE_OK;
  if( own->worked + clock_ns() - own->since<ASK_NS ) return SQLITE_OK;
  if( c->tick==NULL ) rc = sqlite3_prepare_v2(own->db, TICK, -1, &c->tick, NULL);
  if( rc==SQLITE_OK ){
    sqlite3_bind_int(c->tick, 1, rows_to_walk(++own->n_asked));
    rc = sqlite3_step(c->tick);
    sqlite3_reset(c->tick);
  }
  own->worked = 0;
  own->since = clock_ns();
  return rc==SQLITE_INTERRUPT || rc==SQLITE_NOMEM ? rc : SQLITE_OK;
}

/* ---- The call ---- */

static void connection_begin(struct connection *c){
  if( c->n_calls++==0 ) c->since = clock_ns();
}

static void connection_end(struct connection *c){
  assert( c->n_calls>0 );
  if( --c->n_calls==0 ) c->worked += clock_ns() - c->since;
}

void call_begin(struct call *c, const struct binding *b, int n, sqlite3_value **args){
  assert( b->function && b->connection );
  assert( n==0 || args );
  *c = (struct call){
    .function = b->function,
    .connection = b->connection,
    .args = args,
    .n_args = n,
    .n_points = n,
    .rounds = b->function->is_rough ? ROUNDS_FOR_S : REFINE_ROUNDS,
  };
  c->run = (struct run){
    .arena = &c->arena,
    .n_threads = b->connection->n_threads,
    .err = &c->err,
  };
  c->err.stop = ask;
  c->err.stop_arg = c;
  connection_use(c->connection);
  connection_begin(c->connection);
}

/* Lower layers name the file or the fact that failed. The user wants to know the function first. */
static void name_function(struct err *e, const char *name){
  char text[sizeof(e->text)];
  size_t n = strlen(name);
  if( strncmp(e->text, name, n)==0 && e->text[n]==':' ) return;
  memcpy(text, e->text, sizeof(text));
  sqlite3_snprintf(sizeof(e->text), e->text, "%s: %s", name, text);
  err_settle(e);                /* the end may have been cut */
}

static void report(struct call *c){
  if( c->err.rc==SQLITE_NOMEM ){
    sqlite3_result_error_nomem(c->context);
  }else{
    sqlite3_result_error(c->context, c->err.text, -1);
    sqlite3_result_error_code(c->context, c->err.rc);
  }
}

/* To SQLite and those who wrap it CORRUPT means the database and MISMATCH a constraint. Here they
** mean a broken or a wrong argument, so they go out as ERROR. */
void call_end(struct call *c){
  struct err *e = &c->err;
  /* SQLite's own word, by which programs know that it was they who stopped it. */
  if( e->rc==SQLITE_INTERRUPT ) strcpy(e->text, "interrupted");
  else if( e->rc!=SQLITE_OK ) name_function(e, c->function->name);
  if( e->rc==SQLITE_CORRUPT || e->rc==SQLITE_MISMATCH ) e->rc = SQLITE_ERROR;
  if( e->rc!=SQLITE_OK && c->context ) report(c);
  sqlite3_finalize(c->tick);
  arena_release(&c->arena);
  connection_end(c->connection);
  connection_drop(c->connection);
}

int call_has(const struct call *c, int i){
  return i<c->n_args && sqlite3_value_type(c->args[i])!=SQLITE_NULL;
}

int call_lacks(const struct call *c){
  const struct function *f = c->function;
  int n_needed = f->n_needed ? f->n_needed : f->n_min;
  for(int i=0; i<c->n_args && i<n_needed; i++){
    if( !call_has(c, i) ) return 1;
  }
  return 0;
}

/* ---- What SQLite calls: scalar functions ---- */

static void begin_in_context(struct call *c, sqlite3_context *context, int n, sqlite3_value **args){
  call_begin(c, sqlite3_user_data(context), n, args);
  c->context = context;
}

void call_scalar(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  begin_in_context(&c, context, n, args);
  c.keeps_points = 1;
  assert( c.function->scalar );
  if( !call_lacks(&c) && !err_stopped(&c.err) ) c.function->scalar(&c);
  call_end(&c);
}

/* ---- What SQLite calls: aggregates ----
** What an aggregate has gathered lies in SQLite's own memory for it, behind this head. SQLite calls
** final() on every way out: after a result, after a step that failed, after a statement that was
** reset in the middle. So what the state owns is released there and never leaks. */
struct gathered {
  int has_failed;               /* a step has: there will be no result */
  _Alignas(8) unsigned char state[STATE_BYTES];
};

static void take_row(struct call *c, void (*take)(struct call *, void *)){
  struct gathered *g;
  if( call_lacks(c) || err_stopped(&c->err) ) return;
  g = sqlite3_aggregate_context(c->context, sizeof(*g));
  if( g==NULL ){
    fail_nomem(&c->err);
    return;
  }
  take(c, g->state);
  if( c->err.rc!=SQLITE_OK ) g->has_failed = 1;
}

void call_step(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  begin_in_context(&c, context, n, args);
  take_row(&c, c.function->step);
  call_end(&c);
}

void call_inverse(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  begin_in_context(&c, context, n, args);
  take_row(&c, c.function->inverse);
  call_end(&c);
}

/* No row: no memory, and the result is NULL. */
void call_value(sqlite3_context *context){
  struct gathered *g = sqlite3_aggregate_context(context, 0);
  struct call c;
  if( g==NULL || g->has_failed ) return;
  begin_in_context(&c, context, 0, NULL);
  c.function->give(&c, g->state);
  call_end(&c);
}

void call_final(sqlite3_context *context){
  const struct binding *b = sqlite3_user_data(context);
  struct gathered *g = sqlite3_aggregate_context(context, 0);
  call_value(context);
  if( g && b->function->release ) b->function->release(g->state);
}

/* ---- The models of a connection ---- */

/* Opens weights in the place of the connection's model of their kind. kind: the one that is
** expected; 0: any kind that has a model. */
static struct model *open_weights(struct call *c, const char *path, int kind){
  struct model **own;
  struct model *m;
  int came;
  if( model_open(&m, path, &c->err)!=SQLITE_OK ) return NULL;
  came = m->config.kind;
  if( kind ? came!=kind : came==KIND_DIRECTION ){
    const char *expected = kind ? kind_name(kind) : "text, picture or code";
    model_close(m);
    fail(&c->err, SQLITE_ERROR, "%s is a model of kind %s, expected %s", path, kind_name(came),
         expected);
    return NULL;
  }
  own = &c->connection->models[came];
  model_close(*own);
  *own = m;
  return m;
}

static struct model *find_model(struct call *c, int kind){
  const char *directory = c->connection->directory;
  const char *path;
  if( c->connection->models[kind] ) return c->connection->models[kind];
  if( weights_find(&path, directory, kind, &c->arena, &c->err)!=SQLITE_OK ) return NULL;
  return open_weights(c, path, kind);
}

/* ---- Which kind ---- */

/* Kinds that have a model. Text stands first, so that who uses text alone never loads another. */
static const int KINDS[] = { KIND_TEXT, KIND_PICTURE, KIND_CODE };
enum { N_KINDS = sizeof(KINDS)/sizeof(KINDS[0]) };

/* Only the fingerprint of a direction says which kind it belongs to. It is looked for among the
** models in use, then among those that can be found. If none has it the answer is text, whose model
** will then refuse the direction. */
static int direction_kind(struct call *c, uint32_t fingerprint){
  const struct model *m;
  for(int i=0; i<N_KINDS; i++){
    m = c->connection->models[KINDS[i]];
    if( m && m->config.fingerprint==fingerprint ) return KINDS[i];
  }
  for(int i=0; i<N_KINDS; i++){
    m = find_model(c, KINDS[i]);
    if( m && m->config.fingerprint==fingerprint ) return KINDS[i];
    if( c->err.rc==SQLITE_NOMEM ) break;
    err_clear(&c->err);                 /* no such model here: whoever needs it will say so */
  }
  return KIND_TEXT;
}

struct model *call_model_of(struct call *c, int kind, uint32_t fingerprint){
  assert( kind>=KIND_DIRECTION && kind<=KIND_CODE );
  if( c->err.rc!=SQLITE_OK ) return NULL;
  if( kind==KIND_DIRECTION ) kind = direction_kind(c, fingerprint);
  return c->err.rc==SQLITE_OK ? find_model(c, kind) : NULL;
}

/* The kind that an argument says, -1 if it says none. */
static int own_kind(sqlite3_value *v, uint32_t *fingerprint){
  const void *data = sqlite3_value_type(v)==SQLITE_BLOB ? sqlite3_value_blob(v) : NULL;
  size_t n = data ? (size_t)sqlite3_value_bytes(v) : 0;
  int kind;
  if( data && latent_peek(data, n, &kind, fingerprint) ) return kind>KIND_CODE ? -1 : kind;
  return data && picture_is(data, n) ? KIND_PICTURE : -1;
}

int call_kind(struct call *c){
  int has_direction = 0;
  uint32_t fingerprint, first = 0;
  for(int i=0; i<c->n_points && c->kind==0; i++){
    int kind = own_kind(c->args[i], &fingerprint);
    if( kind>KIND_DIRECTION ) c->kind = kind;
    if( kind==KIND_DIRECTION && !has_direction ){
      first = fingerprint;
      has_direction = 1;
    }
  }
  if( c->kind==0 ) c->kind = has_direction ? direction_kind(c, first) : KIND_TEXT;
  return c->kind;
}

struct model *call_model(struct call *c){
  return c->err.rc==SQLITE_OK ? call_model_of(c, call_kind(c), 0) : NULL;
}

/* ---- latent_load() ---- */

static void close_other_kinds(struct connection *own){
  for(int i=0; i<N_KINDS; i++){
    if( KINDS[i]==KIND_TEXT ) continue;
    model_close(own->models[KINDS[i]]);
    own->models[KINDS[i]] = NULL;
  }
}

/* On failure nothing has changed. */
static struct model *load_directory(struct call *c, const char *directory){
  const char *weights = weights_in(directory, KIND_TEXT, &c->arena, &c->err);
  char *copy = mem_alloc(strlen(directory) + 1);
  struct model *m = NULL;
  if( copy==NULL ) fail_nomem(&c->err);
  if( c->err.rc==SQLITE_OK ) m = open_weights(c, weights, KIND_TEXT);
  if( m==NULL ){
    mem_free(copy);
    return NULL;
  }
  close_other_kinds(c->connection);
  mem_free(c->connection->directory);
  c->connection->directory = strcpy(copy, directory);
  return m;
}

struct model *call_load(struct call *c, const char *path){
  if( c->err.rc!=SQLITE_OK ) return NULL;
  return path_is_directory(path) ? load_directory(c, path) : open_weights(c, path, 0);
}

/* The encoder in a folder, among the connection's. */
static struct bert *open_encoder(struct call *c, const char *path){
  struct connection *own = c->connection;
  struct bert *b;
  if( c->err.rc!=SQLITE_OK || bert_open(&b, path, &c->err)!=SQLITE_OK ) return NULL;
  for(int i=0; i<own->n_encoders; i++){
    if( own->encoders[i]!=b ) continue;
    bert_close(b);              /* one reference is enough */
    return b;
  }
  if( own->n_encoders==ENCODERS_MOST ){
    if( own->encoder==own->encoders[0] ) own->encoder = NULL;
    bert_close(own->encoders[0]);
    own->n_encoders--;
    memmove(own->encoders, own->encoders + 1, sizeof(b)*(size_t)own->n_encoders);
  }
  own->encoders[own->n_encoders++] = b;
  return b;
}

struct bert *call_load_encoder(struct call *c, const char *path){
  struct bert *b = open_encoder(c, path);
  if( b ) c->connection->encoder = b;
  return b;
}

/* The one of that name beside text's weights. */
static struct bert *find_encoder(struct call *c, const char *name){
  const char *first = c->connection->directory;
  const char *folder;
  if( encoder_find(&folder, first, name, &c->arena, &c->err)!=SQLITE_OK ) return NULL;
  return open_encoder(c, folder);
}

struct bert *call_encoder(struct call *c){
  struct connection *own = c->connection;
  if( c->err.rc!=SQLITE_OK ) return NULL;
  if( own->encoder==NULL ) own->encoder = find_encoder(c, "meaning");
  return own->encoder;
}

struct bert *call_encoder_named(struct call *c, const char *name){
  const struct connection *own = c->connection;
  if( c->err.rc!=SQLITE_OK ) return NULL;
  for(int i=own->n_encoders-1; i>=0; i--){
    if( strcmp(shared_name(&own->encoders[i]->shared), name)==0 ) return own->encoders[i];
  }
  return find_encoder(c, name);
}
