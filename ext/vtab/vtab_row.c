/*
** vtab_row.c -- what a row of t_rows holds: its sum, its latent as the index's vector, its filters as sort keys.
**
** sum is a 64-bit number: 32 bits of a hash of id and latent (0: there is no latent) and, above them, 32 bits of a hash of id, the filters, and the
** content where it is the table's own: of what is stored, types included, texts in the database's encoding. In two halves, because a
** search reads the latent alone. So a byte flipped on disk is found: in the latent when it is fetched, in the rest when it is shown.
*/
#include "vtab.h"
#include <math.h>
#include <string.h>

/* ---- The sum ---- */

uint32_t latent_sum(int64_t id, const void *latent, size_t n){
  uint64_t h = (hash64(latent, n) ^ (uint64_t)id)*UINT64_C(0x9E3779B97F4A7C15);
  return (uint32_t)(h >> 32);
}

static void mix(struct values_sum *s, uint64_t x, int type){
  s->h = (s->h ^ x ^ (uint64_t)type)*UINT64_C(0x9E3779B97F4A7C15);
  s->h ^= s->h >> 32;
}

void values_sum_add(struct values_sum *s, const struct vtab *t, sqlite3_value *v, int type){
  const void *data = NULL;
  size_t n = 0;

  if( type==SQLITE_INTEGER ){
    mix(s, (uint64_t)sqlite3_value_int64(v), type);
  }else if( type==SQLITE_FLOAT ){
    double x = sqlite3_value_double(v);
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    mix(s, bits, type);
  }else{
    if( type==SQLITE_TEXT ) data = t->is_utf8 ? (const void*)sqlite3_value_text(v) : sqlite3_value_text16(v);
    if( type==SQLITE_BLOB ) data = sqlite3_value_blob(v);       /* a picture, or damage */
    if( type==SQLITE_TEXT && !data ) s->oom = 1;
    if( data ) n = (size_t)(type==SQLITE_TEXT && !t->is_utf8 ? sqlite3_value_bytes16(v) : sqlite3_value_bytes(v));
    mix(s, hash64(n>0 ? data : "", n), type);
  }
}

sqlite3_int64 row_sum(sqlite3_int64 id, const struct values_sum *s, uint32_t latent){
  uint64_t h = (s->h ^ (uint64_t)id)*UINT64_C(0x9E3779B97F4A7C15);
  return (sqlite3_int64)((h & ~UINT64_C(0xffffffff)) | latent);
}

int look_sum(struct call *c, struct vtab *t, sqlite3_stmt *s, sqlite3_int64 *sum){
  const struct definition *d = &t->definition;
  struct values_sum values = { 0 };

  for(int i=0; i<d->n_filters + (d->body && !d->content); i++){
    sqlite3_value *v = sqlite3_column_value(s, LOOK_FILTERS + i);
    values_sum_add(&values, t, v, sqlite3_value_type(v));
  }
  *sum = row_sum(sqlite3_column_int64(s, LOOK_ID), &values, 0);
  return values.oom ? fail_nomem(&c->err) : SQLITE_OK;
}

int look_values(struct call *c, struct vtab *t, sqlite3_stmt *s){
  sqlite3_int64 sum;

  if( look_sum(c, t, s, &sum)!=SQLITE_OK || (uint64_t)(sqlite3_column_int64(s, LOOK_SUM) ^ sum)>>32==0 ) return c->err.rc;
  return fail(&c->err, SQLITE_CORRUPT_VTAB, "row %lld of the shadow table %.60s_rows is damaged: what it holds is not what was written. Write it again or DELETE it; "
              "INSERT INTO \"%.60s\"(\"%.60s\") VALUES('rebuild') takes it as it is", sqlite3_column_int64(s, LOOK_ID), t->name, t->name, t->name);
}

/* ---- The latent ---- */

int look_latent(struct call *c, struct vtab *t, sqlite3_stmt *s, const void **latent, int *n){
  sqlite3_int64 id = sqlite3_column_int64(s, LOOK_ID);
  uint32_t sum = (uint32_t)sqlite3_column_int64(s, LOOK_SUM);
  int type = sqlite3_column_type(s, LOOK_LATENT);

  *latent = NULL;
  *n = 0;
  if( type==SQLITE_NULL && sum==0 ) return SQLITE_OK;
  if( type==SQLITE_BLOB ){
    const void *data = sqlite3_column_blob(s, LOOK_LATENT);
    int bytes = sqlite3_column_bytes(s, LOOK_LATENT);
    if( !data && bytes>0 ) return fail_nomem(&c->err);
    if( data && sum==latent_sum(id, data, (size_t)bytes) ){
      *latent = data;
      *n = bytes;
      return SQLITE_OK;
    }
  }
  return fail(&c->err, SQLITE_CORRUPT_VTAB, "row %lld of the shadow table %.60s_rows is damaged: its latent is not what was written. %sINSERT INTO \"%.60s\"(\"%.60s\") "
              "VALUES('rebuild') %s", id, t->name, t->definition.body ? "" : "Write it again or DELETE the row; ", t->name, t->name,
              t->definition.body ? "encodes the content again" : "sets such latents to NULL");
}

static int no_length(const char *what, struct err *e){
  return fail(e, SQLITE_ERROR, "%s has the length 0 and so no direction, which the distance asks for", what);
}

/* Content: the mean of the segments' s, as latent_distance() takes it. Foreign: the mean of whole segments. */
int vtab_point(struct vtab *t, float *vector, const struct latent *z, const char *what, struct err *e){
  if( t->definition.body ? z->width<t->width : z->width!=t->width ){
    return fail(e, SQLITE_ERROR, "%s is a latent of width %d, the table holds width %d", what, z->width, t->width);
  }
  memcpy(vector, z->z, sizeof(float)*(size_t)t->width);
  for(int i=1; i<z->n_segments; i++) add(vector, z->z + (size_t)i*(size_t)z->width, t->width);
  return normalize(vector, t->width)>0 ? SQLITE_OK : no_length(what, e);
}

static int read_bare(struct vtab *t, float *vector, const void *blob, size_t n, const char *what, struct err *e){
  struct reader r = reader_of(blob, n);

  if( n!=(size_t)t->width*4 ){
    return fail(e, SQLITE_ERROR, "%s is a BLOB of %zu bytes, expected a latent of width %d or %d bytes (%d numbers, f32)", what, n, t->width, t->width*4, t->width);
  }
  for(int i=0; i<t->width; i++){
    uint32_t bits = reader_u32(&r);
    memcpy(&vector[i], &bits, 4);
    if( !isfinite(vector[i]) ) return fail(e, SQLITE_ERROR, "%s: number %d is not finite", what, i+1);
  }
  return normalize(vector, t->width)>0 ? SQLITE_OK : no_length(what, e);
}

int vtab_vector(struct vtab *t, float *vector, const void *blob, size_t n, const char *what, struct err *e){
  struct arena_mark mark;
  struct latent z;

  if( !t->definition.body && !latent_is(blob, n) ) return read_bare(t, vector, blob, n, what, e);
  if( !t->scratch.block ) arena_get(&t->scratch, 1);    /* a first block, which arena_rewind() keeps */
  mark = arena_mark(&t->scratch);
  if( latent_read(&z, blob, n, &t->scratch, what, e)==SQLITE_OK ) vtab_point(t, vector, &z, what, e);
  arena_rewind(&t->scratch, mark);
  t->scratch.oom = 0;
  return e->rc;
}

/* ---- Sort keys ----
** Keys keep the order of the values, not strictly: a condition on a key may let too much through. 0 is NULL. */

/* The bits of a double, turned so that they order as numbers do. -inf is above 0. */
uint64_t number_key(double x){
  uint64_t bits;
  if( x==0 ) x = 0;             /* -0 */
  memcpy(&bits, &x, sizeof(bits));
  return bits>>63 ? ~bits : bits | UINT64_C(1)<<63;
}

/* Six bytes, in order; the last two are a hash of the whole, never 0, so that different texts that begin alike rarely have one key. */
uint64_t text_key_low(const char *text, size_t n){
  uint64_t key = 0;
  for(size_t i=0; i<6; i++) key = key<<8 | (i<n ? (unsigned char)text[i] : 0);
  return key<<16;
}

uint64_t filter_key(enum filter_type type, sqlite3_value *v){
  if( sqlite3_value_type(v)==SQLITE_NULL ) return 0;
  if( type==FILTER_TEXT ){
    const char *text = (const char*)sqlite3_value_text(v);
    size_t n = text ? (size_t)sqlite3_value_bytes(v) : 0;
    return text_key_low(text, n) | (hash64(text, n)%TEXT_KEY_REST + 1);
  }
  return number_key(sqlite3_value_double(v));
}
