/*
** vtab_write.c -- a row into t_rows, and which values a filter takes.
**
** An INTEGER filter takes whole numbers, a REAL one numbers, a TEXT one texts and numbers; each
** takes NULL. A number that is written as text is a number, as in a column of that type.
*/
#include "vtab.h"

/* ---- Filters ---- */

/* Text that is read from the front. */
struct scan {
  const char *at, *end;
};

static void skip_spaces(struct scan *s){
  while( s->at<s->end && is_ascii_space(*s->at) ) s->at++;
}

/* Is one of the two characters next? Then it is passed. */
static int skip_either(struct scan *s, char a, char b){
  if( s->at==s->end || (*s->at!=a && *s->at!=b) ) return 0;
  s->at++;
  return 1;
}

static int skip_digits(struct scan *s){
  const char *begin = s->at;
  while( s->at<s->end && is_ascii_digit(*s->at) ) s->at++;
  return (int)(s->at - begin);
}

/* Do the digits before s->at, with their sign, fit into 64 bits? */
static int fits_int64(const struct scan *s, int n_digits, int is_negative){
  uint64_t most = (uint64_t)INT64_MAX + (uint64_t)is_negative;
  uint64_t x = 0;
  for(const char *p=s->at-n_digits; p<s->at; p++){
    uint64_t digit = (uint64_t)(*p - '0');
    if( x>(most - digit)/10 ) return 0;
    x = x*10 + digit;
  }
  return 1;
}

/* The type of the number that a text is, with nothing but spaces around it; else SQLITE_TEXT. */
static int type_of_text(struct scan s){
  int type = SQLITE_FLOAT;
  int is_negative, n_digits;
  skip_spaces(&s);
  is_negative = s.at<s.end && *s.at=='-';
  skip_either(&s, '+', '-');
  n_digits = skip_digits(&s);
  if( fits_int64(&s, n_digits, is_negative) ) type = SQLITE_INTEGER;
  if( skip_either(&s, '.', '.') ){
    type = SQLITE_FLOAT;
    n_digits += skip_digits(&s);
  }
  if( n_digits==0 ) return SQLITE_TEXT;
  if( skip_either(&s, 'e', 'E') ){
    type = SQLITE_FLOAT;
    skip_either(&s, '+', '-');
    if( skip_digits(&s)==0 ) return SQLITE_TEXT;
  }
  skip_spaces(&s);
  return s.at==s.end ? type : SQLITE_TEXT;
}

/* What sqlite3_value_numeric_type() gives. That function must not be given a copy
** (sqlite3_value_dup()): it asks for the connection, which a copy has not, and newer versions of
** SQLite crash. */
static int numeric_type(sqlite3_value *v){
  int type = sqlite3_value_type(v);
  const char *text;
  if( type!=SQLITE_TEXT ) return type;
  text = (const char *)sqlite3_value_text(v);
  if( text==NULL ) return type;
  return type_of_text((struct scan){ text, text + sqlite3_value_bytes(v) });
}

int filter_fits(const struct filter *f, sqlite3_value *v){
  int type = sqlite3_value_type(v);
  double x;
  if( type==SQLITE_NULL ) return 1;
  if( f->type==FILTER_TEXT ) return type!=SQLITE_BLOB;
  type = numeric_type(v);
  if( type==SQLITE_INTEGER || (type==SQLITE_FLOAT && f->type==FILTER_REAL) ) return 1;
  if( type!=SQLITE_FLOAT ) return 0;
  x = sqlite3_value_double(v);
  return x>=-9e18 && x<=9e18 && x==(double)(sqlite3_int64)x;
}

int filter_refuse(struct call *c, const struct filter *f, sqlite3_value *v){
  static const char *const expected[] = {
    [FILTER_INTEGER] = "an integer or NULL",
    [FILTER_REAL] = "a number or NULL",
    [FILTER_TEXT] = "text or NULL",
  };
  return refuse_value(c, f->name, v, expected[f->type]);
}

int filter_type_stored(const struct filter *f, sqlite3_value *v){
  static const int types[] = {
    [FILTER_INTEGER] = SQLITE_INTEGER, [FILTER_REAL] = SQLITE_FLOAT, [FILTER_TEXT] = SQLITE_TEXT
  };
  int is_as_it_is = sqlite3_value_type(v)==SQLITE_NULL || !filter_fits(f, v);
  return is_as_it_is ? sqlite3_value_type(v) : types[f->type];
}

static int bind_filter(sqlite3_stmt *s, int at, int type, sqlite3_value *v){
  const char *text;
  if( type==SQLITE_INTEGER ) return sqlite3_bind_int64(s, at, sqlite3_value_int64(v));
  if( type==SQLITE_FLOAT ) return sqlite3_bind_double(s, at, sqlite3_value_double(v));
  if( type!=SQLITE_TEXT || sqlite3_value_type(v)==SQLITE_TEXT ) return sqlite3_bind_value(s, at, v);
  text = (const char *)sqlite3_value_text(v);
  return sqlite3_bind_text(s, at, text, sqlite3_value_bytes(v), SQLITE_TRANSIENT);
}

/* ---- The row ---- */

int row_keeps_body(const struct new_row *row, int i){
  return row->old && (row->bodies==NULL || sqlite3_value_nochange(row->bodies[i]));
}

sqlite3_value *row_body(const struct vtab *t, const struct new_row *row, int i){
  if( !row_keeps_body(row, i) ) return row->bodies[i];
  return sqlite3_column_value(row->old, COLUMN_FILTERS + t->definition.n_filters + i);
}

int row_keeps_filter(const struct new_row *row, int i){
  return row->old && (row->filters==NULL || sqlite3_value_nochange(row->filters[i]));
}

/* Binds filters, and own contents or the hash, to ROW_PUT, and adds them to the sum. */
static int bind_values(const struct vtab *t, sqlite3_stmt *s, const struct new_row *row,
                       struct values_sum *sum){
  enum { FIRST = 4 };                   /* after id, sum, latent */
  const struct definition *d = &t->definition;
  int n = d->n_filters;
  int rc = SQLITE_OK;
  for(int i=0; i<n && rc==SQLITE_OK; i++){
    sqlite3_value *v;
    if( row_keeps_filter(row, i) ){
      v = sqlite3_column_value(row->old, COLUMN_FILTERS + i);
      values_sum_add(sum, t, v, sqlite3_value_type(v));
      rc = sqlite3_bind_value(s, FIRST + i, v);
    }else{
      int type = filter_type_stored(&d->filters[i], row->filters[i]);
      values_sum_add(sum, t, row->filters[i], type);
      rc = bind_filter(s, FIRST + i, type, row->filters[i]);
    }
  }
  if( d->content && rc==SQLITE_OK ) rc = sqlite3_bind_int64(s, FIRST + n, row->hash);
  for(int i=0; i<count_own_bodies(d) && rc==SQLITE_OK; i++){
    sqlite3_value *body = row_body(t, row, i);
    values_sum_add(sum, t, body, sqlite3_value_type(body));
    rc = sqlite3_bind_value(s, FIRST + n + i, body);
  }
  return sum->oom ? SQLITE_NOMEM : rc;
}

/* Own contents: their words, where a content or the id is new. */
static void put_words(struct call *c, struct vtab *t, const struct new_row *row){
  int n = count_own_bodies(&t->definition);
  int is_new = row->old && sqlite3_column_int64(row->old, COLUMN_ID)!=row->id;
  sqlite3_value *bodies[BODIES_MOST];
  for(int i=0; i<n; i++){
    bodies[i] = row_body(t, row, i);
    if( !row_keeps_body(row, i) ) is_new = 1;
  }
  if( n>0 && is_new ) words_put(c, t, row->id, bodies);
}

int row_put(struct call *c, struct vtab *t, const struct new_row *row){
  sqlite3_stmt *s = store_statement(c, t, ROW_PUT);
  struct content latent = row->latent;
  struct values_sum sum = { 0 };
  uint32_t half;
  int rc;
  if( s==NULL ) return c->err.rc;
  rc = bind_values(t, s, row, &sum);
  half = latent.bytes ? latent_sum(row->id, latent) : 0;
  sqlite3_bind_int64(s, 1, row->id);
  sqlite3_bind_int64(s, 2, row_sum(row->id, &sum, half));
  if( latent.bytes && rc==SQLITE_OK ){
    rc = sqlite3_bind_blob(s, 3, latent.bytes, (int)latent.n, SQLITE_TRANSIENT);
  }
  if( rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  else if( rc!=SQLITE_OK ) fail(&c->err, rc, "a value is too large");
  put_words(c, t, row);
  if( row->old ) sqlite3_reset(row->old);
  return store_do(c, s);
}
