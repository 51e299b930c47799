/*
** model_find.c -- where the weights of a kind lie on this machine.
**
** The weights of a kind are <kind>.safetensors. They are looked for in this order, and the first
** file that exists is taken:
**
**   1. the directory that latent_load() was given, if it was given one
**   2. if LATENT_MODEL is set, there and nowhere else. It names a directory, or the file of text's
**      weights; the other kinds' files then lie beside that file
**   3. beside the extension: in its own directory, in ../model, in ./latent
**
** The shipped sentence encoder is the folder "meaning" beside the weights of text, the writer is
** the folder "writer" beside them. Packages that bring each kind in a folder of its own join them
** in a directory of links and give that to latent_load(). A model's path is where its link leads,
** so the writer is looked for in that directory too.
**
** A file that exists but is damaged is an error, not a reason to look further.
*/
#include "model.h"
#include <stdio.h>
#include <string.h>

#define ENDING ".safetensors"
/* Relative to the extension's directory. */
static const char *const BESIDE[] = { "/", "/../model/", "/latent/" };
enum { N_BESIDE = sizeof(BESIDE)/sizeof(BESIDE[0]) };
_Static_assert((int)N_BESIDE<=(int)PLACES_MOST, "struct places has room for all places");

/* Cuts the file's name off a path, so that its directory remains: "." where the path is a bare
** name. */
static void cut_name(char *path){
  char *slash = strrchr(path, '/');
  if( slash==NULL ) strcpy(path, path[0] ? "." : "");
  else if( slash==path ) slash[1] = 0;
  else slash[0] = 0;
}

/* The directory of the library that this code is in: out[PATH_BYTES]. */
static void own_directory(char *out){
  if( !path_own(out) ) strcpy(out, "./");
  cut_name(out);
}

/* directory + between + <kind>.safetensors */
static const char *path_of(const char *directory, const char *between, int kind, struct arena *a,
                           struct err *e){
  const char *name = kind_name(kind);
  size_t size = strlen(directory) + strlen(between) + strlen(name) + sizeof(ENDING);
  char *path = arena_get(a, size);
  if( path==NULL ){
    fail_nomem(e);
    return NULL;
  }
  snprintf(path, size, "%s%s%s%s", directory, between, name, ENDING);
  return path;
}

const char *weights_in(const char *directory, int kind, struct arena *a, struct err *e){
  return path_of(directory, "/", kind, a, e);
}

/* The weights of a kind that LATENT_MODEL means: see 2 above. */
static const char *weights_at(const char *set, int kind, struct arena *a, struct err *e){
  char *path;
  if( path_is_directory(set) ) return weights_in(set, kind, a, e);
  path = arena_get(a, strlen(set) + 2);
  if( path==NULL ){
    fail_nomem(e);
    return NULL;
  }
  strcpy(path, set);
  if( kind==KIND_TEXT ) return path;
  cut_name(path);
  return weights_in(path, kind, a, e);
}

int places_list(struct places *p, int kind, struct arena *a, struct err *e){
  char directory[PATH_BYTES];
  const char *set = environment_get("LATENT_MODEL", directory);
  p->n = 0;
  if( set && set[0] ){
    p->path[p->n++] = weights_at(set, kind, a, e);
  }else{
    own_directory(directory);
    while( p->n<N_BESIDE && e->rc==SQLITE_OK ){
      p->path[p->n] = path_of(directory, BESIDE[p->n], kind, a, e);
      p->n++;
    }
  }
  if( e->rc!=SQLITE_OK ) p->n = 0;
  return e->rc;
}

static int not_found(int kind, const struct places *p, struct err *e){
  const char *whose = kind==KIND_CODE ? "for code " : kind==KIND_PICTURE ? "for pictures " : "";
  char list[360] = "";
  for(int i=0; i<p->n; i++){
    size_t at = strlen(list);
    snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "", p->path[i]);
  }
  return fail(e, SQLITE_CANTOPEN, "no weights %sfound (looked for %s): set LATENT_MODEL or call "
              "latent_load(path)", whose, list);
}

int weights_find(const char **path, const char *first, int kind, struct arena *a, struct err *e){
  struct places places;
  *path = NULL;
  if( first ){
    *path = weights_in(first, kind, a, e);
    if( *path==NULL || path_exists(*path) ) return e->rc;
  }
  if( places_list(&places, kind, a, e)!=SQLITE_OK ) return e->rc;
  for(int i=0; i<places.n; i++){
    *path = places.path[i];
    if( path_exists(*path) ) return SQLITE_OK;
  }
  *path = NULL;
  return not_found(kind, &places, e);
}

int encoder_find(const char **folder, const char *first, const char *name, struct arena *a,
                 struct err *e){
  const char *weights;
  char *path;
  *folder = NULL;
  if( weights_find(&weights, first, KIND_TEXT, a, e)!=SQLITE_OK ) return e->rc;
  path = arena_get(a, strlen(weights) + strlen(name) + 2);
  if( path==NULL ) return fail_nomem(e);
  strcpy(path, weights);
  cut_name(path);
  strcat(path, "/");
  strcat(path, name);
  *folder = path;
  if( is_bert(path) ) return SQLITE_OK;
  return fail(e, SQLITE_CANTOPEN, "no sentence encoder %.60s found (looked for %s): call "
              "latent_load('/path/to/%.60s')", name, path, name);
}

/* then: NULL where latent_load() was given no directory. */
const char *writer_find(const struct model *m, const char *then, struct arena *a, struct err *e){
  static const char name[] = "/writer";
  size_t n = then ? strlen(then) : 0;
  char *path;
  if( n<strlen(m->shared.path) ) n = strlen(m->shared.path);
  path = arena_get(a, n + sizeof(name));
  if( path==NULL ){
    fail_nomem(e);
    return NULL;
  }
  strcpy(path, m->shared.path);
  cut_name(path);
  strcat(path, name);
  if( path_is_directory(path) ) return path;
  if( then==NULL ) return NULL;
  strcpy(path, then);
  strcat(path, name);
  return path_is_directory(path) ? path : NULL;
}
