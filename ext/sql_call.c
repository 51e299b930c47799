/*
** sql_call.c -- one call of one SQL function: what it may use, where its model comes from, how its failure is told.
**
** A connection of the database has one `struct connection`, shared by the functions registered on it and freed with the last
** of them. It holds one reference to the process-wide model. So the model goes when the last connection closes, and a server that
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
  model_close(c->text);
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

void call_begin_table(struct call *c, const struct binding *b){
  memset(c, 0, sizeof(*c));
  c->function = b->function;
  c->connection = b->connection;
  connection_use(c->connection);
  c->run = (struct run){ .arena = &c->arena, .stop = interrupted, .stop_arg = c, .n_threads = c->connection->n_threads, .err = &c->err };
}

void call_begin(struct call *c, sqlite3_context *context){
  call_begin_table(c, sqlite3_user_data(context));
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
** LATENT_MODEL (a file, or a directory that holds text.safetensors) when it is set, and nothing else then: who sets it means it.
** Otherwise beside the extension, in the order of BESIDE, relative to the directory that it lies in. */
#define WEIGHTS "text.safetensors"
static const char *const BESIDE[] = { "/" WEIGHTS, "/../model/" WEIGHTS, "/latent/" WEIGHTS };
enum { N_BESIDE = sizeof(BESIDE)/sizeof(BESIDE[0]) };

/* The directory of the library that this code is in; of the program, when linked statically. out[PATH_MAX]; "." when nobody knows. */
static void own_directory(char *out){
  Dl_info where;
  char *slash;
  int found = dladdr((void*)FUNCTIONS, &where) && where.dli_fname && realpath(where.dli_fname, out);
  /* Linked statically, dladdr() gives the name that the program was called with, which need not be a path. */
  if( !found && !realpath("/proc/self/exe", out) ) strcpy(out, "./");
  slash = strrchr(out, '/');
  *(slash==out ? slash+1 : slash) = 0;
}

static const char *join(struct call *c, const char *directory, const char *rest){
  size_t n = strlen(directory), n_rest = strlen(rest);
  char *path = arena_get(&c->arena, n + n_rest + 1);
  if( !path ){ fail_nomem(&c->err); return NULL; }
  memcpy(path, directory, n);
  memcpy(path+n, rest, n_rest+1);
  return path;
}

static int is_directory(const char *path){
  struct stat st;
  return stat(path, &st)==0 && S_ISDIR(st.st_mode);
}

/* The weights that a path of the user's means. */
static const char *weights_at(struct call *c, const char *path){
  return is_directory(path) ? join(c, path, "/" WEIGHTS) : path;
}

/* places[N_BESIDE]: returns how many there are, or 0 when out of memory. */
static int list_places(struct call *c, const char **places){
  const char *set = getenv("LATENT_MODEL");
  char directory[PATH_MAX];
  if( set && set[0] ){
    places[0] = weights_at(c, set);
    return places[0]!=NULL;
  }
  own_directory(directory);
  for(int i=0; i<N_BESIDE; i++){
    if( !(places[i] = join(c, directory, BESIDE[i])) ) return 0;
  }
  return N_BESIDE;
}

const char *call_places(struct call *c){
  const char *places[N_BESIDE];
  int n = list_places(c, places);
  const char *text = n>0 ? places[0] : NULL;
  for(int i=1; i<n && text; i++){
    text = join(c, text, "\n");
    if( text ) text = join(c, text, places[i]);
  }
  return text;
}

static int not_found(struct call *c, const char **places, int n){
  char list[360] = "";
  for(int i=0; i<n; i++){
    size_t at = strlen(list);
    sqlite3_snprintf((int)(sizeof(list)-at), list+at, "%s%s", i ? ", " : "", places[i]);
  }
  return fail(&c->err, SQLITE_CANTOPEN, "no weights found (looked for %s): set LATENT_MODEL or call latent_load(path)", list);
}

/* The first place that has a file is it: weights that are there but damaged are an error, not a reason to look on. */
static int find_model(struct call *c){
  const char *places[N_BESIDE];
  struct stat st;
  int n = list_places(c, places);
  if( n==0 ) return c->err.rc;
  for(int i=0; i<n; i++){
    if( stat(places[i], &st)==0 ) return model_open(&c->connection->text, places[i], &c->err);
  }
  return not_found(c, places, n);
}

int call_model(struct call *c, struct model **m){
  *m = NULL;
  if( !c->connection->text ) find_model(c);
  if( c->err.rc==SQLITE_OK ) *m = c->connection->text;
  return c->err.rc;
}

int call_load(struct call *c, const char *path){
  struct model *m = NULL;
  const char *weights = weights_at(c, path);
  if( weights ) model_open(&m, weights, &c->err);
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  model_close(c->connection->text);
  c->connection->text = m;
  return SQLITE_OK;
}
