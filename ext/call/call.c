/*
** call.c -- one call of one SQL function: what it may use, where its model comes from, how its failure is told.
**
** A connection of the database has one `struct connection`, shared by the functions registered on it and freed with the last
** of them. It holds one reference to each process-wide model it has used, one a kind. So a model goes when the last connection closes, and a server that
** opens a connection for each request maps the weights anew each time (milliseconds); keeping one connection open avoids
** it. The alternative, a model that stays until exit, would look like a leak to every leak checker.
*/
#include "call.h"
#include <string.h>

/* ---- The connection ---- */

struct connection *connection_open(sqlite3 *db, const struct function *functions, int n){
  struct connection *c = mem_alloc(sizeof(*c) + (size_t)n*sizeof(c->bindings[0]));
  if( !c ) return NULL;
  memset(c, 0, sizeof(*c));
  c->db = db;
  c->n_threads = thread_count();
  c->n_uses = 1;
  for(int i=0; i<n; i++) c->bindings[i] = (struct binding){ &functions[i], c };
  return c;
}

void connection_use(struct connection *c){
  c->n_uses++;
}

void connection_drop(struct connection *c){
  if( --c->n_uses>0 ) return;
  for(int i=0; i<=KIND_CODE; i++) model_close(c->models[i]);
  mem_free(c->directory);
  mem_free(c);
}

void binding_drop(void *binding){
  connection_drop(((struct binding*)binding)->connection);
}

/* ---- The call ---- */

/* Has sqlite3_interrupt() been called? SQLite 3.40 has no function that tells; stepping any statement does. The statement lives
** only as long as the call, since one that stayed prepared would make sqlite3_close() fail. */
static int interrupted(void *arg){
  struct call *c = arg;
  int rc = SQLITE_OK;
  if( !c->tick ) rc = sqlite3_prepare_v2(c->connection->db, "SELECT 1", -1, &c->tick, NULL);
  if( rc==SQLITE_OK ){
    rc = sqlite3_step(c->tick);
    sqlite3_reset(c->tick);
  }
  if( rc==SQLITE_NOMEM ) fail_nomem(&c->err);   /* the statement that called us is lost too: stop, and say why */
  return rc==SQLITE_INTERRUPT || rc==SQLITE_NOMEM;
}

void call_begin_table(struct call *c, const struct binding *b, int n, sqlite3_value **args){
  memset(c, 0, sizeof(*c));
  c->n_args = n;
  c->args = args;
  c->function = b->function;
  c->rounds = b->function->is_rough ? 0 : REFINE_ROUNDS;
  c->connection = b->connection;
  connection_use(c->connection);
  c->run = (struct run){ .arena = &c->arena, .stop = interrupted, .stop_arg = c, .n_threads = c->connection->n_threads, .err = &c->err };
}

void call_begin(struct call *c, sqlite3_context *context, int n, sqlite3_value **args){
  call_begin_table(c, sqlite3_user_data(context), n, args);
  c->context = context;
}

/* Lower layers name the file or the fact that failed; the user wants to know the function first. */
static void name_function(struct err *e, const char *name){
  char text[sizeof(e->text)];
  size_t n = strlen(name);
  if( strncmp(e->text, name, n)==0 && e->text[n]==':' ) return;
  memcpy(text, e->text, sizeof(text));
  sqlite3_snprintf(sizeof(e->text), e->text, "%s: %s", name, text);
}

static void report(struct call *c){
  if( c->err.rc==SQLITE_NOMEM ){
    sqlite3_result_error_nomem(c->context);
  }else{
    sqlite3_result_error(c->context, c->err.text, -1);
    sqlite3_result_error_code(c->context, c->err.rc);
  }
}

void call_end(struct call *c){
  if( c->err.rc!=SQLITE_OK ) name_function(&c->err, c->function->name);
  /* To SQLite and those who wrap it CORRUPT means the database and MISMATCH a constraint, not a broken or wrong argument. */
  if( c->err.rc==SQLITE_CORRUPT || c->err.rc==SQLITE_MISMATCH ) c->err.rc = SQLITE_ERROR;
  if( c->err.rc!=SQLITE_OK && c->context ) report(c);
  sqlite3_finalize(c->tick);
  arena_release(&c->arena);
  connection_drop(c->connection);
}

/* ---- The models of a connection ---- */

/* Opens weights in the place of the connection's model of their kind. kind: which is expected; 0: any that has a model. */
static int open_weights(struct call *c, const char *path, int kind, struct model **out){
  struct model *m, **own;
  int came;
  if( model_open(&m, path, &c->err)!=SQLITE_OK ) return c->err.rc;
  came = m->config.kind;
  if( kind ? came!=kind : came==KIND_DIRECTION ){
    model_close(m);
    return fail(&c->err, SQLITE_ERROR, "%s is a model of kind %s, expected %s", path, kind_name(came), kind ? kind_name(kind) : "text, picture or code");
  }
  own = &c->connection->models[came];
  model_close(*own);
  *out = *own = m;
  return SQLITE_OK;
}

static int find_model(struct call *c, int kind, struct model **m){
  const char *path;
  *m = c->connection->models[kind];
  if( *m ) return SQLITE_OK;
  if( weights_find(&path, c->connection->directory, kind, &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
  return open_weights(c, path, kind, m);
}

/* ---- Which kind ---- */

/* Kinds that have a model. Text stands first, so that who uses text alone never loads another one. */
static const int KINDS[] = { KIND_TEXT, KIND_PICTURE, KIND_CODE };
enum { N_KINDS = sizeof(KINDS)/sizeof(KINDS[0]) };

/* Whose a direction is only its fingerprint says: of the models in use, else of those that can be found. Where nobody owns up to it, text's will be the
** one to refuse it. */
static int direction_kind(struct call *c, uint32_t fingerprint){
  struct model *m;
  for(int i=0; i<N_KINDS; i++){
    m = c->connection->models[KINDS[i]];
    if( m && m->config.fingerprint==fingerprint ) return KINDS[i];
  }
  for(int i=0; i<N_KINDS; i++){
    if( find_model(c, KINDS[i], &m)==SQLITE_OK && m->config.fingerprint==fingerprint ) return KINDS[i];
    if( c->err.rc==SQLITE_NOMEM ) break;
    c->err = (struct err){ 0 };         /* no such model here: whoever needs it says so */
  }
  return KIND_TEXT;
}

int call_model_of(struct call *c, int kind, uint32_t fingerprint, struct model **m){
  *m = NULL;
  if( kind==KIND_DIRECTION ) kind = direction_kind(c, fingerprint);
  if( c->err.rc==SQLITE_OK ) find_model(c, kind, m);
  return c->err.rc;
}

/* What kind an argument is, where it says so itself: -1 where not. */
static int own_kind(sqlite3_value *v, uint32_t *fingerprint){
  const void *data = sqlite3_value_type(v)==SQLITE_BLOB ? sqlite3_value_blob(v) : NULL;
  size_t n = data ? (size_t)sqlite3_value_bytes(v) : 0;
  int kind;
  if( data && latent_peek(data, n, &kind, fingerprint) ) return kind>KIND_CODE ? -1 : kind;
  return data && picture_is(data, n) ? KIND_PICTURE : -1;
}

int call_kind(struct call *c){
  int has_direction = 0;
  uint32_t fingerprint, whose = 0;
  for(int i=0; i<c->n_args && c->kind==0; i++){
    int kind = own_kind(c->args[i], &fingerprint);
    if( kind>KIND_DIRECTION ) c->kind = kind;
    if( kind!=KIND_DIRECTION || has_direction ) continue;
    whose = fingerprint;
    has_direction = 1;
  }
  if( c->kind==0 ) c->kind = has_direction ? direction_kind(c, whose) : KIND_TEXT;
  return c->err.rc;
}

int call_model(struct call *c, struct model **m){
  *m = NULL;
  return call_kind(c)==SQLITE_OK ? call_model_of(c, c->kind, 0, m) : c->err.rc;
}

/* ---- latent_load() ---- */

/* Text's weights now, the other kinds' at their first use: each from here, where it is here. */
static int load_directory(struct call *c, const char *directory, struct model **m){
  struct connection *own = c->connection;
  const char *weights = weights_in(directory, KIND_TEXT, &c->arena, &c->err);
  char *copy = mem_alloc(strlen(directory) + 1);
  if( !copy ) fail_nomem(&c->err);
  if( !weights || !copy || open_weights(c, weights, KIND_TEXT, m)!=SQLITE_OK ){
    mem_free(copy);
    return c->err.rc;
  }
  for(int i=1; i<N_KINDS; i++){
    model_close(own->models[KINDS[i]]);
    own->models[KINDS[i]] = NULL;
  }
  mem_free(own->directory);
  own->directory = strcpy(copy, directory);
  return SQLITE_OK;
}

int call_load(struct call *c, const char *path, struct model **m){
  *m = NULL;
  return is_directory(path) ? load_directory(c, path, m) : open_weights(c, path, 0, m);
}
