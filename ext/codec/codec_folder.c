/*
** codec_folder.c -- JSON files in the folder of a model.
*/
#include "codec.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

enum { JSON_MOST = 1 << 20 };

static const char *path_of(char path[PATH_BYTES], const char *folder, const char *name){
  int n = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
  return n>0 && n<PATH_BYTES ? path : NULL;
}

static int file_exists(const char *folder, const char *name){
  char path[PATH_BYTES];
  return path_of(path, folder, name) && path_exists(path);
}

struct folder_file folder_open(const char *folder, const char *name, struct err *e){
  struct folder_file f = { .folder = folder, .name = name, .e = e };
  struct file_map map = { 0 };
  char path[PATH_BYTES];
  if( e->rc!=SQLITE_OK || !file_exists(folder, name) ) return f;
  if( map_open(&map, path_of(path, folder, name), e)!=SQLITE_OK ) return f;
  if( map.n>JSON_MOST ){
    fail(e, SQLITE_TOOBIG, "%s: %zu bytes, expected at most %d", path, map.n, JSON_MOST);
  }else{
    f.json = json_parse((const char *)map.data, map.n, path, e);
  }
  map_close(&map);
  return f;
}

int folder_whole(const struct folder_file *f, const char *name, int least, int most){
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(f->json, name);
  char got[32] = "missing";
  int64_t x;
  if( f->e->rc!=SQLITE_OK ) return 0;
  if( json_whole(item, least, most, &x) ) return (int)x;
  if( item ) snprintf(got, sizeof(got), "not a number");
  if( cJSON_IsNumber(item) ) snprintf(got, sizeof(got), "%g", item->valuedouble);
  fail(f->e, SQLITE_CORRUPT, "%s/%s: \"%s\" is %s, expected a whole number from %d to %d",
       f->folder, f->name, name, got, least, most);
  return 0;
}
