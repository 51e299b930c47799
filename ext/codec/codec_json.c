/*
** codec_json.c -- JSON with cJSON: a whole document or an error, and whole numbers within limits.
**
** cJSON stays in its own memory (its hooks are global to the process, and the
** process is not ours), so a tree is short-lived: parsed, read, deleted.
*/
#include "codec.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/*
** cJSON gets a copy with a 0 behind it: releases before 1.7.18 read a byte past the end of some broken documents
** (CVE-2023-53154), and the document may end where its map does.
*/
struct cJSON *json_parse(const char *text, size_t n, const char *who, struct err *e){
  char *copy = mem_alloc(n + 1);
  const char *end = NULL;
  cJSON *tree;
  size_t at;
  if( copy==NULL ){
    fail_nomem(e);
    return NULL;
  }
  memcpy(copy, text, n);
  copy[n] = 0;
  tree = cJSON_ParseWithLengthOpts(copy, n + 1, &end, 0);
  at = end ? (size_t)(end - copy) : 0;
  if( tree ) at += strspn(end, " \t\r\n");
  if( tree==NULL || at!=n ){
    cJSON_Delete(tree);
    tree = NULL;
    fail(e, SQLITE_CORRUPT, "%s: not valid JSON at byte %zu of %zu", who, at, n);
  }
  mem_free(copy);
  return tree;
}

int json_whole(const struct cJSON *item, double least, double most, int64_t *out){
  *out = 0;
  if( !cJSON_IsNumber(item) ) return 0;
  if( !(item->valuedouble>=least && item->valuedouble<=most) || item->valuedouble!=floor(item->valuedouble) ) return 0;
  *out = (int64_t)item->valuedouble;
  return 1;
}
