/*
** codec_safetensors.c -- named arrays in one file, read and checked, then used in place.
**
** The format (huggingface.co/docs/safetensors):
**
**     0      u64, little-endian: bytes of the header
**     8      the header, a JSON object, padded with spaces:
**              {"__metadata__": {...},
**               "name": {"dtype": "F16", "shape": [256, 512], "data_offsets": [0, 262144]}, ...}
**     8 + h  the data, to the end of the file; offsets count from here; rows first
**
** The tensors must cover the data exactly, without gaps or overlaps. The format itself demands
** this; it leaves no byte of the file unexplained.
**
** safetensors_open():
**   1. reads the file, finds the header, parses it
**   2. reads each entry; its dtype, shape and offsets must agree and lie in the data
**   3. in order of offset: each tensor begins where the one before ended, the last ends the file
**   4. in order of name: no name twice; each I8 tensor has its scales
**   5. hashes the file
** Each step reports into the same struct err, and does nothing after a failure. The tensors and
** their names are one allocation.
*/
#include "codec.h"
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  HEADER_BYTES_MOST = 16 << 20,
  TENSORS_MOST = 100000,
  RANK_MOST = 2
};
static const double SIZE_MOST = 0x1p53;         /* JSON numbers are doubles, exact up to here */
#define METADATA "__metadata__"
#define SCALE    ".scale"

static const struct { const char *name; size_t bytes; } ELEMENTS[] = {
  [ELEMENT_F32] = { "F32", 4 },
  [ELEMENT_F16] = { "F16", 2 },
  [ELEMENT_BF16] = { "BF16", 2 },
  [ELEMENT_I8] = { "I8", 1 },
  [ELEMENT_BYTES] = { "U8", 1 },
  [ELEMENT_OTHER] = { "I64", 8 },
};
enum { N_ELEMENTS = sizeof(ELEMENTS)/sizeof(ELEMENTS[0]) };

/* The file that is read, and where failures go. */
struct source {
  const char *path;
  const unsigned char *data;    /* offsets count from here */
  uint64_t data_bytes;
  struct err *e;
};

/* Notes what is wrong with a tensor. */
__attribute__((format(printf, 3, 4)))
static void refuse(const struct source *s, const struct tensor *t, const char *format, ...){
  char why[300];
  va_list args;
  va_start(args, format);
  vsnprintf(why, sizeof(why), format, args);
  va_end(args);
  fail(s->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": %s", s->path, t->name, why);
}

/* ---- 2. One entry ---- */

/* Writes "[256, 512]" into text, and returns it. */
static const char *shape_text(const struct tensor *t, char text[64]){
  long long rows = (long long)t->shape[0];
  long long columns = (long long)t->shape[1];
  if( t->rank==0 ) snprintf(text, 64, "[]");
  else if( t->rank==1 ) snprintf(text, 64, "[%lld]", rows);
  else snprintf(text, 64, "[%lld, %lld]", rows, columns);
  return text;
}

static void read_element(struct tensor *t, const cJSON *entry, const struct source *s){
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
  if( !cJSON_IsString(dtype) ){
    refuse(s, t, "no dtype");
    return;
  }
  for(int i=0; i<N_ELEMENTS; i++){
    if( strcmp(dtype->valuestring, ELEMENTS[i].name)==0 ){
      t->element = (enum element)i;
      return;
    }
  }
  refuse(s, t, "dtype %.20s, expected F32, F16, BF16, I8, U8 or I64", dtype->valuestring);
}

static void read_shape(struct tensor *t, const cJSON *entry, const struct source *s){
  const cJSON *shape = cJSON_GetObjectItemCaseSensitive(entry, "shape");
  const cJSON *item;
  int n = cJSON_GetArraySize(shape);
  t->shape[0] = 1;
  t->shape[1] = 1;
  if( s->e->rc!=SQLITE_OK ) return;
  if( !cJSON_IsArray(shape) ){
    refuse(s, t, "no shape");
    return;
  }
  if( n>RANK_MOST ){
    refuse(s, t, "rank %d, expected 0 to %d", n, RANK_MOST);
    return;
  }
  cJSON_ArrayForEach(item, shape){
    if( !json_whole(item, 1, SIZE_MOST, &t->shape[t->rank++]) ){
      refuse(s, t, "a size in its shape is not a whole number above 0");
      return;
    }
  }
}

/* The bytes that element and shape take; 0 when they are more than 2^63. */
static uint64_t bytes_expected(const struct tensor *t){
  uint64_t rows = (uint64_t)t->shape[0];
  uint64_t columns = (uint64_t)t->shape[1];
  uint64_t element = ELEMENTS[t->element].bytes;
  return rows>INT64_MAX/columns/element ? 0 : rows*columns*element;
}

/* 1 when "data_offsets" are two whole numbers. */
static int read_offsets(int64_t *begin, int64_t *end, const cJSON *entry){
  const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
  return cJSON_IsArray(offsets)
      && cJSON_GetArraySize(offsets)==2
      && json_whole(cJSON_GetArrayItem(offsets, 0), 0, SIZE_MOST, begin)
      && json_whole(cJSON_GetArrayItem(offsets, 1), 0, SIZE_MOST, end);
}

static void read_place(struct tensor *t, const cJSON *entry, const struct source *s){
  uint64_t expected;
  int64_t begin, end;
  char shape[64];
  if( s->e->rc!=SQLITE_OK ) return;
  if( !read_offsets(&begin, &end, entry) ){
    refuse(s, t, "data_offsets are not two whole numbers");
    return;
  }
  if( begin>end || (uint64_t)end>s->data_bytes ){
    refuse(s, t, "data_offsets [%lld, %lld] in a file with %llu bytes of data", (long long)begin,
           (long long)end, (unsigned long long)s->data_bytes);
    return;
  }
  expected = bytes_expected(t);
  if( (uint64_t)(end - begin)!=expected ){
    refuse(s, t, "%lld bytes for shape %s of %s, expected %llu", (long long)(end - begin),
           shape_text(t, shape), ELEMENTS[t->element].name, (unsigned long long)expected);
    return;
  }
  t->data = s->data + begin;
  t->bytes = (size_t)expected;
}

static void read_entry(struct tensor *t, const cJSON *entry, const struct source *s){
  if( !cJSON_IsObject(entry) ){
    refuse(s, t, "not a JSON object");
    return;
  }
  read_element(t, entry, s);
  read_shape(t, entry, s);
  read_place(t, entry, s);
}

/* ---- 2. All entries ---- */

static int is_metadata(const cJSON *entry){
  return strcmp(entry->string, METADATA)==0;
}

/* One allocation holds all tensors and, behind them, their names. Returns where the names begin, or
** NULL after a failure. */
static char *allocate_tensors(struct safetensors *file, const cJSON *header,
                              const struct source *s){
  const cJSON *entry;
  size_t name_bytes = 0, n = 0;
  cJSON_ArrayForEach(entry, header){
    if( is_metadata(entry) ) continue;
    name_bytes += strlen(entry->string) + 1;
    n++;
  }
  if( n==0 ){
    fail(s->e, SQLITE_CORRUPT, "%s: no tensors", s->path);
    return NULL;
  }
  if( n>TENSORS_MOST ){
    fail(s->e, SQLITE_CORRUPT, "%s: %zu tensors, expected at most %d", s->path, n, TENSORS_MOST);
    return NULL;
  }
  file->tensors = mem_alloc(n*sizeof(*file->tensors) + name_bytes);
  if( file->tensors==NULL ){
    fail_nomem(s->e);
    return NULL;
  }
  memset(file->tensors, 0, n*sizeof(*file->tensors));
  return (char *)(file->tensors + n);
}

static void read_entries(struct safetensors *file, const cJSON *header, const struct source *s){
  const cJSON *entry;
  char *name;
  if( !cJSON_IsObject(header) ){
    fail(s->e, SQLITE_CORRUPT, "%s: the header is not a JSON object", s->path);
    return;
  }
  name = allocate_tensors(file, header, s);
  if( name==NULL ) return;
  cJSON_ArrayForEach(entry, header){
    size_t bytes = strlen(entry->string) + 1;
    struct tensor *t = &file->tensors[file->n_tensors];
    if( is_metadata(entry) ) continue;
    t->name = memcpy(name, entry->string, bytes);
    name += bytes;
    read_entry(t, entry, s);
    if( s->e->rc!=SQLITE_OK ) return;
    file->n_tensors++;
  }
}

/* ---- 3. In order of offset ---- */

static int compare_places(const void *a, const void *b){
  const unsigned char *x = ((const struct tensor *)a)->data;
  const unsigned char *y = ((const struct tensor *)b)->data;
  return x<y ? -1 : x>y;
}

static void check_coverage(struct safetensors *file, const struct source *s){
  const unsigned char *at = s->data;
  if( s->e->rc!=SQLITE_OK ) return;
  qsort(file->tensors, (size_t)file->n_tensors, sizeof(file->tensors[0]), compare_places);
  for(int i=0; i<file->n_tensors; i++){
    const struct tensor *t = &file->tensors[i];
    const unsigned char *begin = t->data;
    if( begin!=at ){
      fail(s->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\" begins at byte %llu of the data, "
           "expected %llu", s->path, t->name, (unsigned long long)(begin - s->data),
           (unsigned long long)(at - s->data));
      return;
    }
    at += t->bytes;
  }
  if( (uint64_t)(at - s->data)!=s->data_bytes ){
    fail(s->e, SQLITE_CORRUPT, "%s: %llu bytes of data, expected %llu", s->path,
         (unsigned long long)s->data_bytes, (unsigned long long)(at - s->data));
  }
}

/* ---- 4. In order of name ---- */

static int compare_names(const void *a, const void *b){
  return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static void check_names(struct safetensors *file, const struct source *s){
  if( s->e->rc!=SQLITE_OK ) return;
  qsort(file->tensors, (size_t)file->n_tensors, sizeof(file->tensors[0]), compare_names);
  for(int i=1; i<file->n_tensors; i++){
    if( strcmp(file->tensors[i-1].name, file->tensors[i].name)==0 ){
      fail(s->e, SQLITE_CORRUPT, "%s: two tensors with the name \"%.100s\"", s->path,
           file->tensors[i].name);
      return;
    }
  }
}

/* For bsearch(): compares "<key>.scale" with a tensor's name, without building that string. */
static int compare_with_scale(const void *key, const void *element){
  const char *name = key;
  const char *other = ((const struct tensor *)element)->name;
  size_t n = strlen(name);
  int order = strncmp(name, other, n);
  return order ? order : strcmp(SCALE, other + n);
}

static void link_scale(struct safetensors *file, struct tensor *t, const struct source *s){
  const struct tensor *scale = bsearch(t->name, file->tensors, (size_t)file->n_tensors,
                                       sizeof(*t), compare_with_scale);
  size_t bytes;
  if( scale==NULL ){
    fail(s->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\" is I8 and has no \"%.100s" SCALE "\"",
         s->path, t->name, t->name);
    return;
  }
  if( scale->element!=ELEMENT_F32 && scale->element!=ELEMENT_F16 ){
    refuse(s, scale, "dtype %s, expected F32 or F16", ELEMENTS[scale->element].name);
    return;
  }
  bytes = ELEMENTS[scale->element].bytes;
  if( scale->bytes!=(uint64_t)t->shape[1]*bytes ){
    refuse(s, scale, "%lld scales, expected one for each of %lld columns",
           (long long)(scale->bytes/bytes), (long long)t->shape[1]);
    return;
  }
  t->scale = scale;
}

static void link_scales(struct safetensors *file, const struct source *s){
  for(int i=0; i<file->n_tensors && s->e->rc==SQLITE_OK; i++){
    if( file->tensors[i].element==ELEMENT_I8 ) link_scale(file, &file->tensors[i], s);
  }
}

/* ---- The file ---- */

static void read_file(struct safetensors *file, const char *path, struct err *e){
  struct reader r = reader_of(file->map.data, file->map.n);
  uint64_t header_bytes = reader_u64(&r);
  struct source s = { .path = path, .e = e };
  const char *text;
  cJSON *header;
  if( r.bad || header_bytes>file->map.n - 8 || header_bytes>HEADER_BYTES_MOST ){
    fail(e, SQLITE_CORRUPT, "%s: a header of %llu bytes in a file of %zu, expected a safetensors "
         "file", path, (unsigned long long)header_bytes, file->map.n);
    return;
  }
  text = reader_bytes(&r, (size_t)header_bytes);
  s.data = r.at;
  s.data_bytes = (uint64_t)(r.end - r.at);
  header = json_parse(text, (size_t)header_bytes, path, e);
  if( header ) read_entries(file, header, &s);
  cJSON_Delete(header);
  check_coverage(file, &s);
  check_names(file, &s);
  link_scales(file, &s);
}

int safetensors_open(struct safetensors *s, const char *path, struct err *e){
  assert( path!=NULL );
  assert( e->rc==SQLITE_OK );
  *s = (struct safetensors){ 0 };
  if( map_open(&s->map, path, e)==SQLITE_OK ) read_file(s, path, e);
  if( e->rc==SQLITE_OK ) s->hash = hash64(s->map.data, s->map.n);
  else safetensors_close(s);
  return e->rc;
}

void safetensors_close(struct safetensors *s){
  mem_free(s->tensors);
  map_close(&s->map);
  *s = (struct safetensors){ 0 };
}

const struct tensor *safetensors_find(const struct safetensors *s, const char *name){
  struct tensor key = { .name = name };
  assert( name!=NULL );
  if( s->n_tensors==0 ) return NULL;
  return bsearch(&key, s->tensors, (size_t)s->n_tensors, sizeof(key), compare_names);
}

/* ---- Numbers ---- */

static float float_of_bits(uint32_t bits){
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

static uint32_t bits_at(const unsigned char *p, int n_bytes){
  uint32_t bits = 0;
  for(int i=0; i<n_bytes; i++) bits |= (uint32_t)p[i] << 8*i;
  return bits;
}

/* The i-th number as it is stored; an I8 without its scale. */
static float number_at(const struct tensor *t, int64_t i){
  const unsigned char *p = t->data;
  switch( t->element ){
    case ELEMENT_F32:  return float_of_bits(bits_at(p + 4*i, 4));
    case ELEMENT_F16:  return half_to_float((uint16_t)bits_at(p + 2*i, 2));
    case ELEMENT_BF16: return float_of_bits(bits_at(p + 2*i, 2) << 16);
    case ELEMENT_I8:   return (float)(int8_t)p[i];
    case ELEMENT_BYTES:
    case ELEMENT_OTHER: break;
  }
  return 0;
}

/* Of the numbers side by side in a word of 64 bits: where the exponent is, its lowest bit, and the
** bit that is set when `low` is added to an exponent of ones, which only infinity and NaN have. */
struct exponents {
  uint64_t all, low, carry;
};
static const struct exponents EXPONENTS[] = {
  [ELEMENT_F32]  = { 0x7F8000007F800000, 0x0080000000800000, 0x8000000080000000 },
  [ELEMENT_F16]  = { 0x7C007C007C007C00, 0x0400040004000400, 0x8000800080008000 },
  [ELEMENT_BF16] = { 0x7F807F807F807F80, 0x0080008000800080, 0x8000800080008000 },
};

/* A word at a time: the shipped weights have 33 MB of such numbers. */
int tensor_is_finite(const struct tensor *t){
  const unsigned char *p = t->data;
  struct exponents x;
  uint64_t found = 0;
  assert( t->data!=NULL );
  if( t->element==ELEMENT_I8 || t->element>=ELEMENT_BYTES ) return 1;
  x = EXPONENTS[t->element];
  for(size_t at=0; at<t->bytes; at+=8){
    uint64_t word = 0;
    memcpy(&word, p + at, t->bytes - at<8 ? t->bytes - at : 8);
    found |= (word & x.all) + x.low;
  }
  return (found & x.carry)==0;
}

void tensor_to_floats(float *y, const struct tensor *t){
  int64_t rows = t->shape[0];
  int64_t columns = t->shape[1];
  assert( t->data!=NULL );
  assert( t->element!=ELEMENT_I8 || t->scale!=NULL );
  for(int64_t row=0; row<rows; row++){
    for(int64_t column=0; column<columns; column++){
      float x = number_at(t, row*columns + column);
      if( t->scale ) x *= number_at(t->scale, column);
      y[row*columns + column] = x;
    }
  }
}
