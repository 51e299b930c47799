/*
** codec_json.c -- JSON, read by cJSON: a whole document or an error; whole numbers within limits.
**
** cJSON takes its memory from malloc(): its hooks are global to the process, which is not ours. So
** a tree is parsed, read and deleted within one call.
*/
#include "codec.h"
#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* cJSON gets a copy with a 0 behind it. Releases before 1.7.18 read a byte past the end of some
** broken documents (CVE-2023-53154), and a document may end where its file map does. */
struct cJSON *json_parse(const char *text, size_t n, const char *who, struct err *e){
  char *copy = mem_alloc(n + 1);
  const char *end = NULL;
  cJSON *tree;
  size_t at;
  assert( text!=NULL || n==0 );
  assert( who!=NULL );
  if( copy==NULL ){
    fail_nomem(e);
    return NULL;
  }
  if( n>0 ) memcpy(copy, text, n);
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
  double x;
  assert( least<=most );
  assert( least>=-0x1p63 && most<0x1p63 );
  *out = 0;
  if( !cJSON_IsNumber(item) ) return 0;
  x = item->valuedouble;
  if( !(x>=least && x<=most) ) return 0;        /* NaN is outside too */
  if( x!=floor(x) ) return 0;
  *out = (int64_t)x;
  return 1;
}
