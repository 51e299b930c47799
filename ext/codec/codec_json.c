/*
** codec_json.c -- JSON: a whole document or an error.
**
** Two readers. What is short (options, the files of a model) becomes a tree, by cJSON. cJSON takes
** its memory from malloc(), since its hooks are global to the process, which is not ours: 64 bytes
** for a number of two. So SQLite's heap limit does not bind it; the size of a tree is bounded here,
** before it is built, and the tree is parsed, read and deleted within one call.
**
** What may be long (a latent's segments, vectors) is read from the start to the end by struct json,
** which needs no memory, and whose users ask whether to go on.
*/
#include "codec.h"
#include <assert.h>
#include <cjson/cJSON.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- As a tree ---- */

enum {
  TREE_BYTES_MOST = 64 << 20,   /* the largest tokenizers of others have 20 MB */
  TREE_NODES_MOST = 2000000     /* 128 MB of them */
};

/* At least the number of values in the text. Commas and brackets in strings are counted too: it
** need not be exact. */
static size_t count_nodes(const char *text, size_t n){
  size_t count = 1;
  for(size_t i=0; i<n; i++) count += text[i]==',' || text[i]=='[' || text[i]=='{';
  return count;
}

static int check_size(const char *text, size_t n, const char *who, struct err *e){
  if( n>TREE_BYTES_MOST ){
    return fail(e, SQLITE_TOOBIG, "%s: JSON of %zu bytes, expected at most %d", who, n,
                TREE_BYTES_MOST);
  }
  if( count_nodes(text, n)>TREE_NODES_MOST ){
    return fail(e, SQLITE_TOOBIG, "%s: JSON of more than %d values, the most that is read", who,
                TREE_NODES_MOST);
  }
  return SQLITE_OK;
}

/* cJSON gets a copy with a 0 behind it. Releases before 1.7.18 read a byte past the end of some
** broken documents (CVE-2023-53154), and a document may end where its file map does. */
struct cJSON *json_parse(const char *text, size_t n, const char *who, struct err *e){
  const char *end = NULL;
  char *copy;
  cJSON *tree;
  size_t at;
  assert( text!=NULL || n==0 );
  assert( who!=NULL );
  if( check_size(text, n, who, e)!=SQLITE_OK ) return NULL;
  copy = mem_alloc(n + 1);
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

const char *json_text(const struct cJSON *json, const char *name, const char *otherwise){
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
  return cJSON_IsString(item) ? item->valuestring : otherwise;
}

int json_hash(const char *text, uint64_t *hash){
  static const char digits[] = "0123456789abcdef";
  enum { DIGITS = 16 };
  *hash = 0;
  if( strlen(text)!=DIGITS || strspn(text, digits)!=DIGITS ) return 0;
  for(int i=0; i<DIGITS; i++){
    *hash = *hash << 4 | (uint64_t)(strchr(digits, text[i]) - digits);
  }
  return 1;
}

/* ---- From the start to the end ---- */

struct json json_of(const char *text, size_t n, const char *who, struct err *e){
  assert( text!=NULL || n==0 );
  return (struct json){ .text = text, .at = text, .end = text + n, .who = who, .err = e };
}

int json_bad(struct json *j){
  return fail(j->err, SQLITE_CORRUPT, "%s: not valid JSON at byte %zu of %zu", j->who,
              (size_t)(j->at - j->text), (size_t)(j->end - j->text));
}

int json_next(struct json *j){
  if( j->err->rc!=SQLITE_OK ) return 0;
  while( j->at<j->end && is_xml_space(*j->at) ) j->at++;
  return j->at<j->end ? *j->at : 0;
}

int json_take(struct json *j, char c){
  if( c==0 || json_next(j)!=c ) return 0;
  j->at++;
  return 1;
}

int json_want(struct json *j, char c){
  if( json_take(j, c) ) return 1;
  json_bad(j);
  return 0;
}

int json_more(struct json *j, int i, char close){
  if( json_take(j, close) ) return 0;
  return i==0 || json_want(j, ',') ? j->err->rc==SQLITE_OK : 0;
}

/* Passes a string, of which the first quote is next. Gives where it begins, behind that quote; n:
** its bytes. */
static const char *pass_string(struct json *j, size_t *n){
  const char *start;
  *n = 0;
  if( !json_want(j, '"') ) return "";
  start = j->at;
  while( j->at<j->end && *j->at!='"' ){
    int bytes = *j->at=='\\' ? 2 : 1;
    if( (unsigned char)*j->at<' ' || bytes>j->end - j->at ) break;
    j->at += bytes;
  }
  *n = (size_t)(j->at - start);
  if( j->at<j->end && *j->at=='"' ) j->at++;
  else json_bad(j);
  return start;
}

void json_string(struct json *j, char *out, size_t n){
  size_t bytes;
  const char *inside = pass_string(j, &bytes);
  if( bytes>=n ) bytes = n - 1;
  memcpy(out, inside, bytes);
  out[bytes] = 0;
}

/* ---- Numbers ---- */

static const char *pass_digits(const char *p, const char *end){
  while( p<end && is_ascii_digit(*p) ) p++;
  return p;
}

/* The end of the number at p, as JSON's grammar has it; p: there is none. */
static const char *number_end(const char *p, const char *end){
  const char *start = p;
  const char *digits;
  if( p<end && *p=='-' ) p++;
  digits = p;
  p = p<end && *p=='0' ? p + 1 : pass_digits(p, end);
  if( p==digits ) return start;
  if( p<end && *p=='.' ){
    digits = p + 1;
    p = pass_digits(digits, end);
    if( p==digits ) return start;
  }
  if( p<end && (*p=='e' || *p=='E') ){
    p++;
    if( p<end && (*p=='+' || *p=='-') ) p++;
    digits = p;
    p = pass_digits(digits, end);
    if( p==digits ) return start;
  }
  return p;
}

/* strtod() reads the decimal sign of the process's locale, which may be a comma or several bytes.
** A number with too many digits for the buffer loses the last of them, unless it has an exponent:
** that is NaN. */
static double number_value(const char *p, size_t n){
  const char *point = localeconv()->decimal_point;
  char digits[400];
  size_t used = 0;
  for(size_t i=0; i<n && used+8<sizeof(digits); i++){
    size_t bytes = p[i]=='.' ? strlen(point) : 1;
    if( bytes>8 ) return NAN;
    memcpy(digits + used, p[i]=='.' ? point : p + i, bytes);
    used += bytes;
  }
  if( used+8>=sizeof(digits) && (memchr(p, 'e', n) || memchr(p, 'E', n)) ) return NAN;
  digits[used] = 0;
  return strtod(digits, NULL);
}

int json_number(struct json *j, double *x){
  const char *end;
  *x = 0;
  json_next(j);
  if( j->err->rc!=SQLITE_OK ) return 0;
  end = number_end(j->at, j->end);
  if( end==j->at ) return 0;
  *x = number_value(j->at, (size_t)(end - j->at));
  j->at = end;
  return 1;
}

/* ---- Values that are passed ---- */

static int is_literal(int c){           /* part of a number, true, false or null */
  return c!=0 && strchr("[]{},:\" \t\r\n", c)==NULL;
}

/* Passes a string, a literal, or one byte of what holds them together. */
static void pass_piece(struct json *j){
  size_t bytes;
  if( j->at<j->end && *j->at=='"' ){
    pass_string(j, &bytes);
  }else if( j->at<j->end && is_literal(*j->at) ){
    while( j->at<j->end && is_literal(*j->at) ) j->at++;
  }else if( j->at<j->end ){
    j->at++;
  }
}

size_t json_skip(struct json *j){
  enum { A_TIME = 4096 };               /* strings, brackets and commas, until it is asked */
  size_t depth = 0, commas = 0, is_empty = 1;
  unsigned n = 0;
  do{
    int c = json_next(j);
    if( c==0 ) json_bad(j);
    if( n++%A_TIME==0 && err_stopped(j->err) ) return 0;
    if( depth>0 && c!=']' && c!='}' ) is_empty = 0;
    commas += depth==1 && c==',';
    depth += c=='[' || c=='{';
    if( depth>0 && (c==']' || c=='}') ) depth--;
    pass_piece(j);
  }while( depth>0 && j->err->rc==SQLITE_OK );
  return is_empty ? 0 : commas + 1;
}

void json_close(struct json *j){
  if( json_next(j)!=0 || j->at<j->end ) json_bad(j);
}
