/*
** codec_safetensors.c -- named arrays in one file, mapped and checked, never copied.
**
** The format (huggingface.co/docs/safetensors):
**
**     0      u64, little-endian: bytes of the header
**     8      the header, a JSON object, padded with spaces:
**              {"__metadata__": {...},
**               "name": {"dtype": "F16", "shape": [256, 512], "data_offsets": [0, 262144]}, ...}
**     8 + h  the data, to the end of the file; offsets count from here; rows first
**
** The data must be covered exactly, without gaps or overlaps. That is the
** format's own rule, and it means that no byte of the file goes unexplained.
**
** safetensors_open():
**   1. map the file, find the header, parse it
**   2. read each entry; its dtype, shape and offsets must agree with each other and lie in the data
**   3. in order of offset: each tensor begins where the one before ended, the last ends the file
**   4. in order of name: no name twice; each I8 tensor has its scales
**   5. hash the file
** The tensors and their names are one allocation.
*/
#include "codec.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LARGEST  ((uint64_t)16 << 20)
#define TENSORS_MOST    100000
#define SIZE_LARGEST    9007199254740992.0      /* 2^53: JSON numbers are doubles, exact to here */
#define METADATA        "__metadata__"
#define SCALE           ".scale"

static const struct { const char *name; size_t bytes; } elements[] = {
  [ELEMENT_F32] = { "F32", 4 },
  [ELEMENT_F16] = { "F16", 2 },
  [ELEMENT_BF16] = { "BF16", 2 },
  [ELEMENT_I8] = { "I8", 1 },
};
#define N_ELEMENTS ((int)(sizeof(elements)/sizeof(elements[0])))

/* What reading one entry needs to know. */
struct context {
  const char *path;
  const unsigned char *data;    /* where offsets count from */
  uint64_t data_bytes;
  struct err *e;
};

/* "[256, 512]" */
static const char *shape_text(const struct tensor *t, char text[64]){
  if( t->rank==0 ) snprintf(text, 64, "[]");
  else if( t->rank==1 ) snprintf(text, 64, "[%lld]", (long long)t->shape[0]);
  else snprintf(text, 64, "[%lld, %lld]", (long long)t->shape[0], (long long)t->shape[1]);
  return text;
}

static int read_element(struct tensor *t, const cJSON *entry, const struct context *c){
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
  int i;
  if( !cJSON_IsString(dtype) ) return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": no dtype", c->path, t->name);
  for(i=0; i<N_ELEMENTS; i++){
    if( strcmp(dtype->valuestring, elements[i].name)==0 ){
      t->element = (enum element)i;
      return SQLITE_OK;
    }
  }
  return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": dtype %.20s, expected F32, F16, BF16 or I8", c->path, t->name,
              dtype->valuestring);
}

static int read_shape(struct tensor *t, const cJSON *entry, const struct context *c){
  const cJSON *shape = cJSON_GetObjectItemCaseSensitive(entry, "shape");
  const cJSON *item;
  t->shape[0] = t->shape[1] = 1;
  if( !cJSON_IsArray(shape) ) return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": no shape", c->path, t->name);
  t->rank = cJSON_GetArraySize(shape);
  if( t->rank>2 ) return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": rank %d, expected 0 to 2", c->path, t->name, t->rank);
  t->rank = 0;
  cJSON_ArrayForEach(item, shape){
    if( !json_whole(item, 1, SIZE_LARGEST, &t->shape[t->rank++]) ){
      return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": a size in its shape is not a whole number above 0", c->path, t->name);
    }
  }
  return SQLITE_OK;
}

/* The bytes that element and shape take; 0 when that is more than 2^63. */
static uint64_t bytes_expected(const struct tensor *t){
  uint64_t rows = (uint64_t)t->shape[0], columns = (uint64_t)t->shape[1], element = elements[t->element].bytes;
  return rows>INT64_MAX/columns/element ? 0 : rows*columns*element;
}

static int read_place(struct tensor *t, const cJSON *entry, const struct context *c){
  const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
  uint64_t expected = bytes_expected(t);
  int64_t begin, end;
  char shape[64];
  if( !cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets)!=2
   || !json_whole(cJSON_GetArrayItem(offsets, 0), 0, SIZE_LARGEST, &begin)
   || !json_whole(cJSON_GetArrayItem(offsets, 1), 0, SIZE_LARGEST, &end) ){
    return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": data_offsets are not two whole numbers", c->path, t->name);
  }
  if( begin>end || (uint64_t)end>c->data_bytes ){
    return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": data_offsets [%lld, %lld] in a file with %llu bytes of data", c->path,
                t->name, (long long)begin, (long long)end, (unsigned long long)c->data_bytes);
  }
  if( (uint64_t)(end - begin)!=expected ){
    return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": %lld bytes for shape %s of %s, expected %llu", c->path, t->name,
                (long long)(end - begin), shape_text(t, shape), elements[t->element].name, (unsigned long long)expected);
  }
  t->data = c->data + begin;
  t->bytes = (size_t)expected;
  return SQLITE_OK;
}

static int read_entry(struct tensor *t, const cJSON *entry, const struct context *c){
  int rc;
  if( !cJSON_IsObject(entry) ) return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": not a JSON object", c->path, t->name);
  rc = read_element(t, entry, c);
  if( rc==SQLITE_OK ) rc = read_shape(t, entry, c);
  if( rc==SQLITE_OK ) rc = read_place(t, entry, c);
  return rc;
}

/* One allocation for all tensors and, behind them, their names. */
static int allocate_tensors(struct safetensors *s, const cJSON *header, const struct context *c, char **names){
  const cJSON *entry;
  size_t name_bytes = 0, n = 0;
  cJSON_ArrayForEach(entry, header){
    if( strcmp(entry->string, METADATA)==0 ) continue;
    name_bytes += strlen(entry->string) + 1;
    n++;
  }
  if( n==0 ) return fail(c->e, SQLITE_CORRUPT, "%s: no tensors", c->path);
  if( n>TENSORS_MOST ) return fail(c->e, SQLITE_CORRUPT, "%s: %zu tensors, expected at most %d", c->path, n, TENSORS_MOST);
  s->tensors = mem_alloc(n*sizeof(*s->tensors) + name_bytes);
  if( s->tensors==NULL ) return fail_nomem(c->e);
  memset(s->tensors, 0, n*sizeof(*s->tensors));
  *names = (char *)(s->tensors + n);
  return SQLITE_OK;
}

static int read_entries(struct safetensors *s, const cJSON *header, const struct context *c){
  const cJSON *entry;
  char *name = NULL;
  int rc;
  if( !cJSON_IsObject(header) ) return fail(c->e, SQLITE_CORRUPT, "%s: the header is not a JSON object", c->path);
  rc = allocate_tensors(s, header, c, &name);
  if( rc!=SQLITE_OK ) return rc;
  cJSON_ArrayForEach(entry, header){
    size_t bytes = strlen(entry->string) + 1;
    struct tensor *t = &s->tensors[s->n_tensors];
    if( strcmp(entry->string, METADATA)==0 ) continue;
    t->name = memcpy(name, entry->string, bytes);
    name += bytes;
    rc = read_entry(t, entry, c);
    if( rc!=SQLITE_OK ) return rc;
    s->n_tensors++;
  }
  return SQLITE_OK;
}

static int compare_places(const void *a, const void *b){
  const unsigned char *x = ((const struct tensor *)a)->data, *y = ((const struct tensor *)b)->data;
  return x<y ? -1 : x>y;
}

static int check_coverage(struct safetensors *s, const struct context *c){
  const unsigned char *at = c->data;
  int i;
  qsort(s->tensors, (size_t)s->n_tensors, sizeof(s->tensors[0]), compare_places);
  for(i=0; i<s->n_tensors; i++){
    const struct tensor *t = &s->tensors[i];
    const unsigned char *begin = t->data;
    if( begin!=at ){
      return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\" begins at byte %llu of the data, expected %llu", c->path, t->name,
                  (unsigned long long)(begin - c->data), (unsigned long long)(at - c->data));
    }
    at += t->bytes;
  }
  if( (uint64_t)(at - c->data)!=c->data_bytes ){
    return fail(c->e, SQLITE_CORRUPT, "%s: %llu bytes of data, expected %llu", c->path, (unsigned long long)c->data_bytes,
                (unsigned long long)(at - c->data));
  }
  return SQLITE_OK;
}

static int compare_names(const void *a, const void *b){
  return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int check_names(struct safetensors *s, const struct context *c){
  int i;
  qsort(s->tensors, (size_t)s->n_tensors, sizeof(s->tensors[0]), compare_names);
  for(i=1; i<s->n_tensors; i++){
    if( strcmp(s->tensors[i-1].name, s->tensors[i].name)==0 ){
      return fail(c->e, SQLITE_CORRUPT, "%s: two tensors with the name \"%.100s\"", c->path, s->tensors[i].name);
    }
  }
  return SQLITE_OK;
}

/* bsearch over names without building "<name>.scale": the key is the name, and the suffix is understood. */
static int compare_with_scale(const void *key, const void *element){
  const char *name = key, *other = ((const struct tensor *)element)->name;
  size_t n = strlen(name);
  int order = strncmp(name, other, n);
  return order ? order : strcmp(SCALE, other + n);
}

static int link_scale(struct safetensors *s, struct tensor *t, const struct context *c){
  const struct tensor *scale = bsearch(t->name, s->tensors, (size_t)s->n_tensors, sizeof(*t), compare_with_scale);
  if( scale==NULL ) return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\" is I8 and has no \"%.100s" SCALE "\"", c->path, t->name, t->name);
  if( scale->element!=ELEMENT_F32 && scale->element!=ELEMENT_F16 ){
    return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": dtype %s, expected F32 or F16", c->path, scale->name,
                elements[scale->element].name);
  }
  if( scale->bytes!=(uint64_t)t->shape[1]*elements[scale->element].bytes ){
    return fail(c->e, SQLITE_CORRUPT, "%s: tensor \"%.100s\": %lld scales, expected one for each of %lld columns", c->path, scale->name,
                (long long)(scale->bytes/elements[scale->element].bytes), (long long)t->shape[1]);
  }
  t->scale = scale;
  return SQLITE_OK;
}

static int link_scales(struct safetensors *s, const struct context *c){
  int i, rc = SQLITE_OK;
  for(i=0; i<s->n_tensors && rc==SQLITE_OK; i++){
    if( s->tensors[i].element==ELEMENT_I8 ) rc = link_scale(s, &s->tensors[i], c);
  }
  return rc;
}

static int read_header(struct safetensors *s, const char *path, struct err *e){
  struct reader r = reader_of(s->map.data, s->map.n);
  uint64_t header_bytes = reader_u64(&r);
  struct context c = { path, NULL, 0, e };
  const char *text;
  cJSON *header;
  int rc;
  if( r.bad || header_bytes>s->map.n - 8 || header_bytes>HEADER_LARGEST ){
    return fail(e, SQLITE_CORRUPT, "%s: a header of %llu bytes in a file of %zu, expected a safetensors file", path,
                (unsigned long long)header_bytes, s->map.n);
  }
  text = reader_bytes(&r, (size_t)header_bytes);
  c.data = r.at;
  c.data_bytes = (uint64_t)(r.end - r.at);
  header = json_parse(text, (size_t)header_bytes, path, e);
  if( header==NULL ) return e->rc;
  rc = read_entries(s, header, &c);
  cJSON_Delete(header);
  if( rc==SQLITE_OK ) rc = check_coverage(s, &c);
  if( rc==SQLITE_OK ) rc = check_names(s, &c);
  if( rc==SQLITE_OK ) rc = link_scales(s, &c);
  return rc;
}

int safetensors_open(struct safetensors *s, const char *path, struct err *e){
  int rc;
  memset(s, 0, sizeof(*s));
  rc = map_open(&s->map, path, e);
  if( rc==SQLITE_OK ) rc = read_header(s, path, e);
  if( rc==SQLITE_OK ) s->hash = hash64(s->map.data, s->map.n);
  if( rc!=SQLITE_OK ) safetensors_close(s);
  return rc;
}

void safetensors_close(struct safetensors *s){
  mem_free(s->tensors);
  map_close(&s->map);
  memset(s, 0, sizeof(*s));
}

const struct tensor *safetensors_find(const struct safetensors *s, const char *name){
  struct tensor key = { .name = name };
  if( s->n_tensors==0 ) return NULL;
  return bsearch(&key, s->tensors, (size_t)s->n_tensors, sizeof(key), compare_names);
}

static float float_of_bits(uint32_t bits){
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

static uint32_t bits_at(const unsigned char *p, int n_bytes){
  uint32_t bits = 0;
  int i;
  for(i=0; i<n_bytes; i++) bits |= (uint32_t)p[i] << 8*i;
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
  }
  return 0;
}

void tensor_to_floats(float *y, const struct tensor *t){
  int64_t row, column, columns = t->shape[1];
  for(row=0; row<t->shape[0]; row++){
    for(column=0; column<columns; column++){
      float x = number_at(t, row*columns + column);
      y[row*columns + column] = t->scale ? x*number_at(t->scale, column) : x;
    }
  }
}
