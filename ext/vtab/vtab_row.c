/*
** vtab_row.c -- what a row of t_rows holds: its sum, its latent as a vector, its filters as sort
** keys.
**
** The sum finds bytes that were flipped on disk. It is a 64-bit number of two halves:
**
**     lower 32 bits   a hash of id and latent; 0 where there is no latent
**     upper 32 bits   a hash of id, the filters, and the contents where they are the table's own:
**                     of what is stored, types included, texts in the database's encoding
**
** There are two halves because a search reads the latent alone. So damage of the latent is found
** when the latent is fetched, damage of the rest when the rest is shown.
*/
#include "vtab.h"
#include <assert.h>
#include <math.h>
#include <string.h>

void column_values(sqlite3_value **v, sqlite3_stmt *s, int column, int n){
  for(int i=0; i<n; i++) v[i] = sqlite3_column_value(s, column + i);
}

/* ---- The sum ---- */

#define MIX UINT64_C(0x9E3779B97F4A7C15)        /* 2^64 / golden ratio: spreads bits upwards */

uint32_t latent_sum(int64_t id, struct content latent){
  uint64_t h = (hash64(latent.bytes, latent.n) ^ (uint64_t)id)*MIX;
  return (uint32_t)(h >> 32);
}

static void sum_add(struct values_sum *s, uint64_t x, int type){
  s->h = (s->h ^ x ^ (uint64_t)type)*MIX;
  s->h ^= s->h >> 32;
}

/* The hash of a TEXT or a BLOB (a picture, or damage); of other types that of no bytes. */
static uint64_t bytes_hash(struct values_sum *s, const struct vtab *t, sqlite3_value *v, int type){
  int is_utf16 = type==SQLITE_TEXT && !t->is_utf8;
  const void *data = NULL;
  size_t n = 0;
  if( type==SQLITE_BLOB ) data = sqlite3_value_blob(v);
  if( type==SQLITE_TEXT ){
    data = is_utf16 ? sqlite3_value_text16(v) : (const void *)sqlite3_value_text(v);
    if( data==NULL ) s->oom = 1;
  }
  if( data ) n = (size_t)(is_utf16 ? sqlite3_value_bytes16(v) : sqlite3_value_bytes(v));
  return hash64(n>0 ? data : "", n);
}

void values_sum_add(struct values_sum *s, const struct vtab *t, sqlite3_value *v, int type){
  if( type==SQLITE_INTEGER ){
    sum_add(s, (uint64_t)sqlite3_value_int64(v), type);
  }else if( type==SQLITE_FLOAT ){
    double x = sqlite3_value_double(v);
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    sum_add(s, bits, type);
  }else{
    sum_add(s, bytes_hash(s, t, v, type), type);
  }
}

sqlite3_int64 row_sum(sqlite3_int64 id, const struct values_sum *s, uint32_t latent){
  uint64_t h = (s->h ^ (uint64_t)id)*MIX;
  return (sqlite3_int64)((h & ~UINT64_C(0xffffffff)) | latent);
}

sqlite3_int64 row_sum_expected(struct call *c, const struct vtab *t, sqlite3_stmt *s){
  const struct definition *d = &t->definition;
  int n = d->n_filters + count_own_bodies(d);
  struct values_sum values = { 0 };
  if( c->err.rc!=SQLITE_OK ) return 0;
  assert( sqlite3_column_count(s)>=COLUMN_FILTERS + n );
  for(int i=0; i<n; i++){
    sqlite3_value *v = sqlite3_column_value(s, COLUMN_FILTERS + i);
    values_sum_add(&values, t, v, sqlite3_value_type(v));
  }
  if( values.oom ){
    fail_nomem(&c->err);
    return 0;
  }
  return row_sum(sqlite3_column_int64(s, COLUMN_ID), &values, 0);
}

int row_check_values(struct call *c, const struct vtab *t, sqlite3_stmt *s){
  sqlite3_int64 expected = row_sum_expected(c, t, s);
  uint64_t differing;
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  differing = (uint64_t)(sqlite3_column_int64(s, COLUMN_SUM) ^ expected);
  if( differing>>32==0 ) return SQLITE_OK;
  return fail(&c->err, SQLITE_CORRUPT_VTAB, "row %lld of the shadow table %.60s_rows is damaged: "
              "what it holds is not what was written. Write it again or DELETE it; "
              "INSERT INTO \"%.60s\"(\"%.60s\") VALUES('rebuild') takes it as it is",
              sqlite3_column_int64(s, COLUMN_ID), t->name, t->name, t->name);
}

/* ---- The latent ---- */

static int damaged_latent(struct call *c, const struct vtab *t, sqlite3_int64 id){
  int is_foreign = t->definition.n_bodies==0;
  const char *first = is_foreign ? "Write it again or DELETE the row; " : "";
  const char *effect = is_foreign ? "sets such latents to NULL" : "encodes the content again";
  return fail(&c->err, SQLITE_CORRUPT_VTAB, "row %lld of the shadow table %.60s_rows is damaged: "
              "its latent is not what was written. %sINSERT INTO \"%.60s\"(\"%.60s\") "
              "VALUES('rebuild') %s", id, t->name, first, t->name, t->name, effect);
}

struct content row_latent(struct call *c, const struct vtab *t, sqlite3_stmt *s){
  struct content none = { NULL, 0 };
  struct content latent;
  sqlite3_int64 id;
  uint32_t sum;
  int type;
  if( c->err.rc!=SQLITE_OK ) return none;
  id = sqlite3_column_int64(s, COLUMN_ID);
  sum = (uint32_t)sqlite3_column_int64(s, COLUMN_SUM);
  type = sqlite3_column_type(s, COLUMN_LATENT);
  if( type==SQLITE_NULL && sum==0 ) return none;
  if( type==SQLITE_BLOB ){
    latent.bytes = sqlite3_column_blob(s, COLUMN_LATENT);
    latent.n = (size_t)sqlite3_column_bytes(s, COLUMN_LATENT);
    if( latent.bytes==NULL && latent.n>0 ) fail_nomem(&c->err);
    if( latent.bytes && sum==latent_sum(id, latent) ) return latent;
  }
  damaged_latent(c, t, id);
  return none;
}

struct content row_known_latent(struct call *c, const struct vtab *t, sqlite3_stmt *s){
  struct content latent = { NULL, 0 };
  if( c->err.rc!=SQLITE_OK ) return latent;
  latent = row_latent(c, t, s);
  if( c->err.rc!=SQLITE_CORRUPT_VTAB ) return latent;
  err_clear(&c->err);
  return (struct content){ "", 0 };
}

/* ---- Vectors ---- */

static int no_length(const char *what, struct err *e){
  return fail(e, SQLITE_ERROR,
              "%s has the length 0 and so no direction, which the distance asks for", what);
}

/* z with its width of s: foreign, that of whole segments. An error where the table does not know
** it. */
static int settle_s(const struct vtab *t, struct latent *z, const char *what, struct err *e){
  int is_foreign = t->definition.n_bodies==0;
  if( is_foreign ) z->s = z->width;
  else if( z->s==0 ) z->s = t->s[z->kind];
  if( z->s>0 && z->s<=z->width && (!is_foreign || z->width==t->width) ) return SQLITE_OK;
  return fail(e, SQLITE_ERROR, "%s is a latent of kind %s and of width %d, which the table of "
              "width %d does not know", what, kind_name(z->kind), z->width, t->width);
}

int count_vectors(const struct vtab *t, int n_segments){
  return t->has_parts && n_segments>1 ? 1 + count_passages(n_segments) : 1;
}

/* As latent_distance() takes them: the whole, then its passages. */
struct vectors vectors_from_latent(const struct vtab *t, const struct latent *latent,
                                   struct arena *a, const char *what, struct err *e){
  struct vectors none = { NULL, 0 };
  struct vectors v = { NULL, count_vectors(t, latent->n_segments) };
  size_t width = (size_t)t->width;
  struct latent z = *latent;
  float least;
  assert( t->width>0 && z.n_segments>0 );
  if( settle_s(t, &z, what, e)!=SQLITE_OK ) return none;
  v.x = arena_floats(a, (size_t)v.n*width);
  if( v.x==NULL ){
    fail_nomem(e);
    return none;
  }
  least = point_s(v.x, t->width, &z, 0, z.n_segments);
  for(int i=1; i<v.n && least>0; i++) least = passage_s(v.x + (size_t)i*width, t->width, &z, i - 1);
  if( !(least>0) ) no_length(what, e);
  return e->rc==SQLITE_OK ? v : none;
}

/* The squares of numbers beyond 1e17 overflow a float when they are summed, and those of numbers
** below 1e-18 vanish. Such a vector is brought to a size of 1 first. All others keep their bits. */
static void bring_in_range(float *vector, int width){
  float most = 0;
  for(int i=0; i<width; i++){
    float size = fabsf(vector[i]);
    if( size>most ) most = size;
  }
  if( most==0 || (most>1e-18f && most<1e17f) ) return;
  for(int i=0; i<width; i++) vector[i] /= most;
}

static int read_bare(const struct vtab *t, float *vector, struct content blob, const char *what,
                     struct err *e){
  struct reader r = reader_of(blob.bytes, blob.n);
  int width = t->width;
  if( blob.n!=(size_t)width*4 ){
    return fail(e, SQLITE_ERROR, "%s is a BLOB of %zu bytes, expected a latent of width %d or %d "
                "bytes (%d numbers, f32)", what, blob.n, width, width*4, width);
  }
  reader_floats(&r, vector, (size_t)width);
  for(int i=0; i<width; i++){
    if( !isfinite(vector[i]) ){
      return fail(e, SQLITE_ERROR, "%s: number %d is not finite", what, i + 1);
    }
  }
  bring_in_range(vector, width);
  return normalize(vector, width)>0 ? SQLITE_OK : no_length(what, e);
}

struct content row_blob(struct call *c, const struct latent *z, const struct latent *vectors){
  struct content blob = { NULL, 0 };
  struct buf bytes = { 0 };
  void *copy = NULL;
  latent_write(&bytes, z, &c->err);
  if( vectors ) latent_write(&bytes, vectors, &c->err);
  if( bytes.rc==SQLITE_OK ) copy = arena_get(&c->arena, bytes.n);
  if( copy ) blob = (struct content){ memcpy(copy, bytes.data, bytes.n), bytes.n };
  else fail_nomem(&c->err);
  buf_release(&bytes);
  return blob;
}

struct content latent_alone(const struct vtab *t, struct content stored){
  int is_first = t->definition.model || t->definition.n_bodies>1;
  int n_segments;
  size_t n = is_first ? latent_bytes(stored.bytes, stored.n, &n_segments) : 0;
  if( n>0 ) stored.n = n;
  return stored;
}

/* What cannot be told apart is one. */
struct content stored_next(const struct vtab *t, struct content *rest){
  const char *bytes = rest->bytes;
  struct content next = *rest;
  int n_segments;
  size_t n = t->definition.n_bodies>1 ? latent_bytes(bytes, rest->n, &n_segments) : 0;
  if( n>0 && t->definition.model ) n += latent_bytes(bytes + n, rest->n - n, &n_segments);
  if( n>0 ) next.n = n;
  *rest = (struct content){ bytes + next.n, rest->n - next.n };
  return next;
}

/* Of a table with a sentence encoder: the latent, then its vectors as one more. */
static struct vectors read_behind(const struct vtab *t, struct content blob, struct arena *a,
                                  const char *what, struct err *e){
  struct vectors v = { NULL, 0 };
  int n_segments;
  size_t n = latent_bytes(blob.bytes, blob.n, &n_segments);
  const char *behind = (const char *)blob.bytes + n;
  struct latent z;
  if( latent_read(&z, behind, blob.n - n, a, what, e)!=SQLITE_OK ) return v;
  if( z.width!=t->width || z.n_segments!=count_vectors(t, n_segments) ){
    fail(e, SQLITE_ERROR, "%s has %d vectors of %d numbers, expected %d of %d", what, z.n_segments,
         z.width, count_vectors(t, n_segments), t->width);
    return v;
  }
  for(int i=0; i<z.n_segments && e->rc==SQLITE_OK; i++){
    if( normalize(latent_segment(&z, i), z.width)==0 ) no_length(what, e);
  }
  if( e->rc==SQLITE_OK ) v = (struct vectors){ z.z, z.n_segments };
  return v;
}

/* Of one content column, or of a row of foreign vectors. */
static struct vectors read_vectors(const struct vtab *t, struct content blob, struct arena *a,
                                   const char *what, struct err *e){
  struct vectors v = { NULL, 0 };
  struct latent z;
  if( t->definition.model ) return read_behind(t, blob, a, what, e);
  if( t->definition.n_bodies>0 || latent_is(blob.bytes, blob.n) ){
    if( latent_read(&z, blob.bytes, blob.n, a, what, e)!=SQLITE_OK ) return v;
    return vectors_from_latent(t, &z, a, what, e);
  }
  v.x = arena_floats(a, (size_t)t->width);
  if( v.x==NULL ) fail_nomem(e);
  else if( read_bare(t, v.x, blob, what, e)==SQLITE_OK ) v.n = 1;
  return v;
}

/* Of several content columns: the vectors of each, behind each other. */
static struct vectors join_vectors(const struct vtab *t, struct content blob, struct arena *a,
                                   const char *what, struct err *e){
  size_t width = (size_t)t->width;
  struct vectors all = { NULL, 0 };
  struct vectors each[BODIES_MOST];
  float *x;
  int n = 0;
  while( n<t->definition.n_bodies && (n==0 || blob.n>0) && e->rc==SQLITE_OK ){
    each[n] = read_vectors(t, stored_next(t, &blob), a, what, e);
    all.n += each[n++].n;
  }
  if( blob.n>0 ) fail(e, SQLITE_ERROR, "%s has %zu bytes too many", what, blob.n);
  x = arena_floats(a, (size_t)all.n*width);
  if( x==NULL ) fail_nomem(e);
  if( e->rc!=SQLITE_OK ) return (struct vectors){ NULL, 0 };
  all.x = x;
  for(int i=0; i<n; i++){
    memcpy(x, each[i].x, sizeof(*x)*(size_t)each[i].n*width);
    x += (size_t)each[i].n*width;
  }
  return all;
}

struct vectors vectors_from_blob(const struct vtab *t, struct content blob, struct arena *a,
                                 const char *what, struct err *e){
  struct vectors none = { NULL, 0 };
  if( e->rc!=SQLITE_OK ) return none;
  if( t->definition.n_bodies>1 ) return join_vectors(t, blob, a, what, e);
  return read_vectors(t, blob, a, what, e);
}

struct vectors vectors_from_stored(struct call *c, const struct vtab *t, struct content blob,
                                   struct arena *a, const char *what){
  struct vectors v = { NULL, 0 };
  if( c->err.rc!=SQLITE_OK ) return v;
  v = vectors_from_blob(t, blob, a, what, &c->err);
  if( c->err.rc==SQLITE_ERROR ) c->err.rc = SQLITE_CORRUPT_VTAB;
  return v;
}

/* ---- Sort keys ----
** A key never contradicts the order of the values, but different values may have the same key. So a
** condition on a key may let too much through, never too little. 0 is NULL. */

/* The bits of a double, turned so that they order as numbers do. -inf is above 0. */
uint64_t number_key(double x){
  uint64_t bits;
  if( x==0 ) x = 0;             /* -0 */
  memcpy(&bits, &x, sizeof(bits));
  return bits>>63 ? ~bits : bits | UINT64_C(1)<<63;
}

/* Six bytes of the text, in order, then two bytes for filter_key() to fill. */
uint64_t text_key_low(const char *text, size_t n){
  uint64_t key = 0;
  for(size_t i=0; i<6; i++) key = key<<8 | (i<n ? (unsigned char)text[i] : 0);
  return key<<16;
}

/* ---- Groups ---- */

/* Texts by a hash of the whole: of a partition only equality is asked. */
uint64_t partition_key(enum filter_type type, sqlite3_value *v){
  const char *text;
  if( sqlite3_value_type(v)==SQLITE_NULL ) return 0;
  if( type!=FILTER_TEXT ) return number_key(sqlite3_value_double(v));
  text = (const char *)sqlite3_value_text(v);
  return text ? hash64(text, (size_t)sqlite3_value_bytes(v)) : 0;
}

uint64_t keys_group(const uint64_t *keys, int n){
  struct values_sum sum = { 0 };
  for(int i=0; i<n; i++) sum_add(&sum, keys[i], 0);
  return sum.h;
}

uint64_t row_group(const struct definition *d, sqlite3_stmt *s, int column){
  uint64_t keys[FILTERS_MOST];
  int n = 0;
  for(int i=0; i<d->n_filters; i++){
    if( !d->filters[i].is_partition ) continue;
    keys[n++] = partition_key(d->filters[i].type, sqlite3_column_value(s, column + i));
  }
  return keys_group(keys, n);
}

/* The last two bytes of a text's key are a hash of the whole, never 0. So different texts that
** begin alike rarely have the same key. */
uint64_t filter_key(enum filter_type type, sqlite3_value *v){
  if( sqlite3_value_type(v)==SQLITE_NULL ) return 0;
  if( type==FILTER_TEXT ){
    const char *text = (const char *)sqlite3_value_text(v);
    size_t n = text ? (size_t)sqlite3_value_bytes(v) : 0;
    return text_key_low(text, n) | (hash64(text, n)%TEXT_KEY_REST + 1);
  }
  return number_key(sqlite3_value_double(v));
}
