/*
** sql_call.c -- one call of one SQL function: what it may use, where its model comes from, how its failure is told.
**
** A connection of the database has one `struct connection`, shared by the functions registered on it and freed with the last
** of them. It holds one reference to each process-wide model it has used, one a kind. So a model goes when the last connection closes, and a server that
** opens a connection for each request maps the weights anew each time (milliseconds); keeping one connection open avoids
** it. The alternative, a model that stays until exit, would look like a leak to every leak checker.
*/
#define _GNU_SOURCE             /* dladdr */
#include "sql.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- The connection ---- */

struct connection *connection_open(sqlite3 *db){
  struct connection *c = mem_alloc(sizeof(*c) + (size_t)N_FUNCTIONS*sizeof(c->bindings[0]));
  if( !c ) return NULL;
  memset(c, 0, sizeof(*c));
  c->db = db;
  c->n_threads = thread_count();
  c->n_uses = 1;
  for(int i=0; i<N_FUNCTIONS; i++) c->bindings[i] = (struct binding){ &FUNCTIONS[i], c };
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

/* ---- Where the weights are ----
** A kind's weights are <kind>.safetensors. LATENT_MODEL (a directory that holds them, or the file of text's, beside which the other kinds' lie)
** when it is set, and nothing else then: who sets it means it. Otherwise beside the extension, in the order of BESIDE, relative to the
** directory that it lies in. A directory that latent_load() was given comes before all of these. */
#define ENDING ".safetensors"
static const char *const BESIDE[] = { "/", "/../model/", "/latent/" };
enum { N_BESIDE = sizeof(BESIDE)/sizeof(BESIDE[0]) };

/* Leaves the directory of a path. */
static void drop_name(char *path){
  char *slash = strrchr(path, '/');
  if( !slash ) strcpy(path, path[0] ? "." : "");
  else *(slash==path ? slash+1 : slash) = 0;
}

/* The directory of the library that this code is in; of the program, when linked statically. out[PATH_MAX]; "." when nobody knows. */
static void own_directory(char *out){
  Dl_info where;
  int found = dladdr((void*)FUNCTIONS, &where) && where.dli_fname && realpath(where.dli_fname, out);
  /* Linked statically, dladdr() gives the name that the program was called with, which need not be a path. */
  if( !found && !realpath("/proc/self/exe", out) ) strcpy(out, "./");
  drop_name(out);
}

static const char *join(struct call *c, const char *directory, const char *rest){
  size_t n = strlen(directory), n_rest = strlen(rest);
  char *path = arena_get(&c->arena, n + n_rest + 1);
  if( !path ){ fail_nomem(&c->err); return NULL; }
  memcpy(path, directory, n);
  memcpy(path+n, rest, n_rest+1);
  return path;
}

/* directory + between + "text.safetensors" */
static const char *weights_in(struct call *c, const char *directory, const char *between, int kind){
  const char *path = join(c, directory, between);
  if( path ) path = join(c, path, kind_name(kind));
  return path ? join(c, path, ENDING) : NULL;
}

static int is_directory(const char *path){
  struct stat st;
  return stat(path, &st)==0 && S_ISDIR(st.st_mode);
}

/* The weights of a kind that a path of the user's means. */
static const char *weights_at(struct call *c, const char *path, int kind){
  char *directory;
  if( is_directory(path) ) return weights_in(c, path, "/", kind);
  if( kind==KIND_TEXT ) return path;
  directory = arena_get(&c->arena, strlen(path) + 2);
  if( !directory ){ fail_nomem(&c->err); return NULL; }
  strcpy(directory, path);
  drop_name(directory);
  return weights_in(c, directory, "/", kind);
}

/* places[N_BESIDE]: returns how many there are, or 0 when out of memory. */
static int list_places(struct call *c, int kind, const char **places){
  const char *set = getenv("LATENT_MODEL");
  char directory[PATH_MAX];
  if( set && set[0] ){
    places[0] = weights_at(c, set, kind);
    return places[0]!=NULL;
  }
  own_directory(directory);
  for(int i=0; i<N_BESIDE; i++){
    if( !(places[i] = weights_in(c, directory, BESIDE[i], kind)) ) return 0;
  }
  return N_BESIDE;
}

const char *call_places(struct call *c){
  const char *places[N_BESIDE];
  int n = list_places(c, KIND_TEXT, places);
  const char *text = n>0 ? places[0] : NULL;
  for(int i=1; i<n && text; i++){
    text = join(c, text, "\n");
    if( text ) text = join(c, text, places[i]);
  }
  return text;
}

static int not_found(struct call *c, int kind, const char **places, int n){
  char list[360] = "";
  for(int i=0; i<n; i++){
    size_t at = strlen(list);
    sqlite3_snprintf((int)(sizeof(list)-at), list+at, "%s%s", i ? ", " : "", places[i]);
  }
  return fail(&c->err, SQLITE_CANTOPEN, "no weights %sfound (looked for %s): set LATENT_MODEL or call latent_load(path)",
              kind==KIND_CODE ? "for code " : kind==KIND_PICTURE ? "for pictures " : "", list);
}

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

/* The first place that has a file is it: weights that are there but damaged are an error, not a reason to look on. */
static int find_model(struct call *c, int kind, struct model **m){
  const char *places[N_BESIDE];
  struct stat st;
  int n;
  *m = c->connection->models[kind];
  if( *m ) return SQLITE_OK;
  if( c->connection->directory ){
    places[0] = weights_in(c, c->connection->directory, "/", kind);
    if( !places[0] ) return c->err.rc;
    if( stat(places[0], &st)==0 ) return open_weights(c, places[0], kind, m);
  }
  if( (n = list_places(c, kind, places))==0 ) return c->err.rc;
  for(int i=0; i<n; i++){
    if( stat(places[i], &st)==0 ) return open_weights(c, places[i], kind, m);
  }
  return not_found(c, kind, places, n);
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
  const char *weights = weights_in(c, directory, "/", KIND_TEXT);
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
