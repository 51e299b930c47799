/*
** twin.h -- a virtual table and its twin: for the programs that compare `latent` tables with a
** plain table and brute force.
**
** Every database here has two tables that must say the same: `t`, a virtual table of module
** latent, and `p`, a plain one with the same rows. The same statements change both in the same
** transactions. So a rollback, a crash, another connection or a snapshot does to `p` what it
** should have done to `t`; SQLite is trusted with `p`. brute(), a cosine in double precision over
** all rows of `p`, says what is nearest to a query.
**
** All values are literals in the statements: what --verbose prints is a script that repeats a run
** in the sqlite3 shell.
*/
#ifndef LATENT_TESTS_TWIN_H
#define LATENT_TESTS_TWIN_H
#include "base.h"
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sqlite3_latent_init(sqlite3 *, char **, const sqlite3_api_routines *);

/* ---- Kinds of tables ---- */
enum content {
  VECTORS,              /* width=...: f32 blobs */
  TEXTS,                /* own content */
  NOTES                 /* p is the external content of t, kept in step by t's triggers */
};
struct kind {
  const char *name;
  enum content content;
  int width;            /* of VECTORS */
  int n_filters;        /* of x INTEGER, y REAL, z TEXT */
  int cell_rows;        /* 0: as the product has it */
  int n_rows;           /* about how many the oracle lets live */
  int words;            /* words=1 */
  int is_titled;        /* a second content column: title */
  int is_parted;        /* x is a partition column: queries are in one of its values */
};
static const char *const FILTERS[] = { "x INTEGER filter", "y REAL filter", "z TEXT filter" };
static const char *const FILTER_NAMES[] = { "", ", x", ", x, y", ", x, y, z" };

static inline const char *content_column(const struct kind *k){
  return k->content==VECTORS ? "latent" : "body";
}

/* All that a row says, in p; NULL: nothing. */
static inline const char *content_said(const struct kind *k){
  return k->is_titled ? "coalesce(body || ' ' || title, body, title)" : content_column(k);
}

/* The distance of a row of p to a query, by definition (sqlite3_free). */
static inline char *content_distance(const struct kind *k, const char *query){
  if( !k->is_titled ) return sqlite3_mprintf("brute(%s, %s)", content_column(k), query);
  return sqlite3_mprintf("min(ifnull(brute(body, %s), 9), ifnull(brute(title, %s), 9))", query,
                         query);
}

/* CREATE statements of p and t, in this order (sqlite3_free). schema: "main", "temp" or an
** attached one. */
static inline char *twins_create(const struct kind *k, const char *schema){
  sqlite3_str *s = sqlite3_str_new(NULL);
  sqlite3_str_appendf(s, "CREATE TABLE %s.p(id INTEGER PRIMARY KEY, %s, x INTEGER, y REAL, z"
                         " TEXT, title);", schema, content_column(k));
  sqlite3_str_appendf(s, "CREATE VIRTUAL TABLE %s.t USING latent(", schema);
  if( k->content==VECTORS ) sqlite3_str_appendf(s, "width=%d", k->width);
  else sqlite3_str_appendall(s, k->is_titled ? "title, body" : "body");
  for(int i=0; i<k->n_filters; i++){
    int is_partition = k->is_parted && i==0;
    sqlite3_str_appendf(s, ", %s", is_partition ? "x INTEGER partition" : FILTERS[i]);
  }
  if( k->content==NOTES ) sqlite3_str_appendall(s, ", content='p', content_rowid='id'");
  if( k->words ) sqlite3_str_appendall(s, ", words=1");
  if( k->cell_rows ) sqlite3_str_appendf(s, ", cell_rows=%d", k->cell_rows);
  sqlite3_str_appendall(s, ")");
  return sqlite3_str_finish(s);
}

/* ---- Texts: few, so that their distances are known beforehand ---- */
enum { N_TEXTS = 48 };
static struct {
  char text[N_TEXTS][100];
  double distance[N_TEXTS][N_TEXTS];
} texts;

static inline int text_find(const char *text){
  for(int i=0; i<N_TEXTS; i++){
    if( strcmp(texts.text[i], text)==0 ) return i;
  }
  return -1;
}

/* Fills `texts`, by latent_distance() of a connection. A query counts as a whole: its mean. Returns
** 0 when there is no model. */
static inline int texts_make(sqlite3 *db){
  static const char *const WHO[] = {
    "A small boat", "The old dog", "My sister", "Nobody", "The night train", "A letter",
  };
  static const char *const WHAT[] = {
    " waits by the harbor.",
    " sleeps in the sun.",
    " is late again. It rains. We wait.",
    " sings.",
    " comes home in the evening.",
    " costs nothing!",
    " knows the way to the sea, as it seems.",
    "",
  };
  sqlite3_stmt *statement = NULL;
  static const char sql[] = "SELECT latent_distance(?1, (SELECT latent_mean(?2)))";
  int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  for(int i=0; i<N_TEXTS; i++){
    snprintf(texts.text[i], sizeof(texts.text[i]), "%s%s", WHO[i/8], WHAT[i%8]);
  }
  for(int i=0; rc==SQLITE_OK && i<N_TEXTS*N_TEXTS; i++){
    const int a = i/N_TEXTS;
    const int b = i%N_TEXTS;
    sqlite3_bind_text(statement, 1, texts.text[a], -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, texts.text[b], -1, SQLITE_STATIC);
    rc = sqlite3_step(statement)==SQLITE_ROW ? SQLITE_OK : SQLITE_ERROR;
    texts.distance[a][b] = sqlite3_column_double(statement, 0);
    sqlite3_reset(statement);
  }
  sqlite3_finalize(statement);
  return rc==SQLITE_OK;
}

/* brute(content, query): the distance by definition. Two blobs of f32, or two of the texts; NULL
** for NULL. */
static inline void brute(sqlite3_context *context, int n_args, sqlite3_value **args){
  (void)n_args;
  if( sqlite3_value_type(args[0])==SQLITE_NULL ) return;
  if( sqlite3_value_type(args[0])==SQLITE_BLOB ){
    int n = sqlite3_value_bytes(args[0])/4;
    const float *a = sqlite3_value_blob(args[0]);
    const float *b = sqlite3_value_blob(args[1]);
    double ab = 0, aa = 0, bb = 0;
    if( n*4!=sqlite3_value_bytes(args[1]) ){
      sqlite3_result_error(context, "brute: two widths", -1);
      return;
    }
    for(int i=0; i<n; i++){
      ab += (double)a[i]*b[i];
      aa += (double)a[i]*a[i];
      bb += (double)b[i]*b[i];
    }
    sqlite3_result_double(context, 1 - ab/sqrt(aa*bb));
  }else{
    int a = text_find((const char *)sqlite3_value_text(args[0]));
    int b = text_find((const char *)sqlite3_value_text(args[1]));
    if( a<0 || b<0 ) sqlite3_result_error(context, "brute: not one of the texts", -1);
    else sqlite3_result_double(context, texts.distance[a][b]);
  }
}

/* ---- Connections and statements ---- */
/* path may be ":memory:"; vfs may be NULL. NULL when it cannot be opened. */
static inline sqlite3 *connect_to(const char *path, const char *vfs){
  sqlite3 *db = NULL;
  int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE|SQLITE_OPEN_CREATE|SQLITE_OPEN_URI,
                           vfs);
  if( rc==SQLITE_OK ) rc = sqlite3_latent_init(db, NULL, NULL);
  if( rc==SQLITE_OK ){
    rc = sqlite3_create_function(db, "brute", 2, SQLITE_UTF8|SQLITE_DETERMINISTIC, NULL, brute,
                                 NULL, NULL);
  }
  if( rc!=SQLITE_OK ){
    sqlite3_close(db);
    return NULL;
  }
  return db;
}

/* What the programs begin with: the model, one thread, the texts. Returns 0, and says so, where the
** model cannot be used. */
static inline int twins_begin(const char *program, const char *model){
  sqlite3 *db;
  int good;
  setenv("LATENT_MODEL", model, 1);
  setenv("LATENT_THREADS", "1", 1);
  db = connect_to(":memory:", NULL);
  good = db && texts_make(db);
  sqlite3_close(db);
  if( !good ) printf("not ok - %s: %s cannot be used\n", program, model);
  return good;
}

static inline void files_remove(const char *path){
  static const char *const ENDINGS[] = { "", "-journal", "-wal", "-shm" };
  char name[700];
  for(int i=0; i<4; i++){
    snprintf(name, sizeof(name), "%s%s", path, ENDINGS[i]);
    remove(name);
  }
}

/* The first value of the first row; `otherwise` where there is none or the statement fails. */
static inline sqlite3_int64 integer_of(sqlite3 *db, const char *sql, sqlite3_int64 otherwise){
  sqlite3_stmt *statement = NULL;
  sqlite3_int64 x = otherwise;
  if( sqlite3_prepare_v2(db, sql, -1, &statement, NULL)==SQLITE_OK
      && sqlite3_step(statement)==SQLITE_ROW ){
    x = sqlite3_column_int64(statement, 0);
  }
  if( sqlite3_finalize(statement)!=SQLITE_OK ) x = otherwise;
  return x;
}

/* Does SQLite's own check find nothing? */
static inline int is_whole(sqlite3 *db){
  const char *sql = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'";
  return integer_of(db, sql, 0)==1;
}

/* The rows of a statement whose first columns are a rowid and, maybe, a distance. */
struct found {
  sqlite3_int64 rowid;
  double distance;
};
struct list {
  struct found *rows;           /* owned, free() */
  int n, capacity;
};

static inline void list_add(struct list *l, struct found row){
  if( l->n==l->capacity ){
    l->capacity = 2*l->capacity + 64;
    l->rows = realloc(l->rows, l->capacity*sizeof(*l->rows));
  }
  l->rows[l->n++] = row;
}

static inline int list_fill(struct list *l, sqlite3 *db, const char *sql){
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  l->n = 0;
  if( rc!=SQLITE_OK ) return rc;
  while( sqlite3_step(statement)==SQLITE_ROW ){
    struct found row = { .rowid = sqlite3_column_int64(statement, 0) };
    if( sqlite3_column_count(statement)>1 ) row.distance = sqlite3_column_double(statement, 1);
    list_add(l, row);
  }
  return sqlite3_finalize(statement);
}

static inline int found_by_rowid(const void *a, const void *b){
  const struct found *x = a;
  const struct found *y = b;
  return (x->rowid>y->rowid) - (x->rowid<y->rowid);
}

static inline int found_by_distance(const void *a, const void *b){
  const struct found *x = a;
  const struct found *y = b;
  if( x->distance==y->distance ) return found_by_rowid(a, b);
  return (x->distance>y->distance) - (x->distance<y->distance);
}

/* ---- Literals ---- */
enum { LITERAL = 3000 };

static inline int below(struct random *r, int n){                /* 0..n-1 */
  return (int)(random_u64(r) % (unsigned)n);
}

/* A vector of `width` as X'...'. It lies around one of a few centres, so that cells differ in
** density. One time in 12 it is one of three that occur again and again, so that a cell may hold
** nothing else and cannot be split by where its rows lie. */
static inline void vector_literal(char out[LITERAL], struct random *r, int width){
  struct random centre = random_of(1000 + below(r, 9));
  struct random own = random_of(random_u64(r));
  float spread = 0.05f + 0.4f*random_uniform(&own);
  float size = 0.5f + 3*random_uniform(&own);
  int again = below(r, 12)==0;
  char *at = out + sprintf(out, "X'");
  if( again ) own = random_of(below(r, 3));
  for(int i=0; i<width; i++){
    float middle = again ? 1 : random_normal(&centre);
    float x = size*(middle + (again ? 1 : spread)*random_normal(&own));
    unsigned char bytes[4];
    memcpy(bytes, &x, 4);
    for(int j=0; j<4; j++) at += sprintf(at, "%02X", bytes[j]);
  }
  sprintf(at, "'");
}

static inline void content_literal(char out[LITERAL], struct random *r, const struct kind *k){
  if( k->content==VECTORS ) vector_literal(out, r, k->width);
  else sqlite3_snprintf(LITERAL, out, "'%q'", texts.text[below(r, N_TEXTS)]);
}

/* ---- Changes ---- */
/* Runs one change on t and p, where %T stands for the table; on p alone where t follows it. The
** first failure's code. */
static inline int twins_change(sqlite3 *db, const struct kind *k, const char *template){
  static const char *const TABLES[] = { "t", "p" };
  int rc = SQLITE_OK;
  for(int i=k->content==NOTES; rc==SQLITE_OK && i<2; i++){
    sqlite3_str *s = sqlite3_str_new(NULL);
    const char *from = template;
    const char *at;
    char *sql;
    while( (at = strstr(from, "%T"))!=NULL ){
      sqlite3_str_appendf(s, "%.*s%s", (int)(at-from), from, TABLES[i]);
      from = at+2;
    }
    sqlite3_str_appendall(s, from);
    sql = sqlite3_str_finish(s);
    rc = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
  }
  return rc;
}

/* Inserts, changes or deletes a few rows: one statement that never meets a constraint. For kinds
** with at least the filter x. */
static inline int twins_change_any(sqlite3 *db, const struct kind *k, struct random *r,
                                   int n_rowids){
  const char *content = content_column(k);
  char literal[LITERAL];
  char *sql = NULL;
  int rc;
  int way = below(r, 8);
  int a = below(r, n_rowids);
  content_literal(literal, r, k);
  if( way==0 ){
    sql = sqlite3_mprintf("DELETE FROM %%T WHERE rowid BETWEEN %d AND %d", a, a+below(r, 8));
  }
  if( way==1 ) sql = sqlite3_mprintf("UPDATE %%T SET %s=%s WHERE rowid=%d", content, literal, a);
  if( way==2 ){
    sql = sqlite3_mprintf("UPDATE %%T SET x=%d WHERE rowid BETWEEN %d AND %d", below(r, 9), a, a+5);
  }
  if( way>=3 ){
    sqlite3_str *s = sqlite3_str_new(NULL);
    int n = 1 + below(r, 8);
    sqlite3_str_appendf(s, "INSERT OR IGNORE INTO %%T(rowid, %s, x) VALUES (%d, NULL, NULL)",
                        content, a);
    for(int i=0; i<n; i++){
      content_literal(literal, r, k);
      sqlite3_str_appendf(s, ", (%d, %s, %d)", below(r, n_rowids), literal, below(r, 9));
    }
    sql = sqlite3_str_finish(s);
  }
  rc = twins_change(db, k, sql);
  sqlite3_free(sql);
  return rc;
}

/* ---- What must hold of the two at any moment ---- */
/* These functions compare t with p, and queries with brute force. They return 1, or 0 with the
** first difference in `why`. */
enum { WHY = 600 };

static inline int why_not(char why[WHY], const char *format, ...){
  va_list args;
  va_start(args, format);
  vsnprintf(why, WHY, format, args);
  va_end(args);
  return 0;
}

/* *rc: what t's statement ended with, SQLITE_OK where it ended well. */
static inline int scans_agree(sqlite3 *db, const struct kind *k, int *rc, char why[WHY]){
  const char *content = content_column(k);
  const char *filters = FILTER_NAMES[k->n_filters];
  const char *title = k->is_titled ? ", title" : "";
  char *sql_t = sqlite3_mprintf("SELECT rowid%s, %s%s FROM t", filters, content, title);
  char *sql_p = sqlite3_mprintf("SELECT rowid%s, %s%s FROM p ORDER BY rowid", filters, content,
                                title);
  sqlite3_stmt *t = NULL, *p = NULL;
  int rc_t = sqlite3_prepare_v2(db, sql_t, -1, &t, NULL);
  int rc_p = sqlite3_prepare_v2(db, sql_p, -1, &p, NULL);
  int good = 1;
  while( good && rc_t!=SQLITE_DONE ){
    if( rc_t==SQLITE_OK || rc_t==SQLITE_ROW ) rc_t = sqlite3_step(t);
    if( rc_p==SQLITE_OK || rc_p==SQLITE_ROW ) rc_p = sqlite3_step(p);
    if( rc_t!=rc_p ){
      sqlite3_stmt *longer = rc_t==SQLITE_ROW ? t : p;
      int has_row = rc_t==SQLITE_ROW || rc_p==SQLITE_ROW;
      good = why_not(why, "scan: t gives %d (%s) where p gives %d, rowid %lld",
                     rc_t, sqlite3_errmsg(db), rc_p, has_row ? sqlite3_column_int64(longer, 0) : 0);
    }
    for(int i=0; good && rc_t==SQLITE_ROW && i<sqlite3_column_count(t); i++){
      int n = sqlite3_column_bytes(t, i);
      if( sqlite3_column_type(t, i)!=sqlite3_column_type(p, i) || n!=sqlite3_column_bytes(p, i)
       || (n && memcmp(sqlite3_column_blob(t, i), sqlite3_column_blob(p, i), n)!=0) ){
        good = why_not(why, "scan: rowid %lld of p, column %s: t and p differ (%.40s, %.40s)",
                       sqlite3_column_int64(p, 0), sqlite3_column_name(t, i),
                       sqlite3_column_text(t, i), sqlite3_column_text(p, i));
      }
    }
    if( rc_t!=SQLITE_ROW ) break;
  }
  *rc = rc_t==SQLITE_DONE || rc_t==SQLITE_ROW ? SQLITE_OK : rc_t;
  sqlite3_finalize(t);
  sqlite3_finalize(p);
  sqlite3_free(sql_t);
  sqlite3_free(sql_p);
  return good;
}

/* f32 may differ from double by this much. Rows as near as that to each other may change places. */
static const double NEAR = 2.5e-4;     /* means are rounded to f16: 2^-12 of each number */

/* Compares the rows found in t, in the order in which they came, with `all` rows of p that could
** have come, nearest first. `offset` rows were to be skipped, and at most `limit` to come (-1:
** all). exact: else the order may begin anew once, after 100 rows. *share: the share of what exact
** search gives that is there. */
static inline int nearest_agree(const struct list *got, const struct list *all, int limit,
                                int offset, int exact, double *share, char why[WHY]){
  struct found *by_rowid = malloc((all->n+1)*sizeof(*by_rowid));
  char *seen = calloc(all->n+1, 1);
  int n = all->n>offset ? all->n-offset : 0;
  int n_true = 0, n_falls = 0, good = 1;
  if( limit>=0 && n>limit ) n = limit;
  if( all->n>0 ) memcpy(by_rowid, all->rows, all->n*sizeof(*by_rowid));
  qsort(by_rowid, all->n, sizeof(*by_rowid), found_by_rowid);
  if( got->n!=n ) good = why_not(why, "%d rows, not %d", got->n, n);
  for(int i=0; good && i<n; i++){
    const struct found *f = &got->rows[i];
    const struct found *is = bsearch(f, by_rowid, all->n, sizeof(*f), found_by_rowid);
    if( is==NULL ){
      good = why_not(why, "row %d is rowid %lld, which p leaves out", i+1, f->rowid);
    }else if( seen[is-by_rowid]++ ){
      good = why_not(why, "rowid %lld comes twice", f->rowid);
    }else if( !(fabs(is->distance - f->distance)<=NEAR) ){
      good = why_not(why, "rowid %lld: distance %.9g, not %.9g", f->rowid, f->distance,
                     is->distance);
    }else if( i>0 && f->distance<got->rows[i-1].distance
              && (exact || offset+i<100 || n_falls++>0) ){
      good = why_not(why, "row %d (rowid %lld) is nearer than the one before it", i+1, f->rowid);
    }else{
      n_true += f->distance<=all->rows[offset+n-1].distance + NEAR;
    }
  }
  *share = n>0 ? (double)n_true/n : 1;
  free(by_rowid);
  free(seen);
  return good;
}

/* A full pull by meaning against brute force: every row that meets the condition once, in exact
** order. */
static inline int pull_agrees_where(sqlite3 *db, const struct kind *k, const char *query,
                                    const char *where, int *rc, char why[WHY]){
  struct list got = { 0 };
  struct list all = { 0 };
  double share = 0;
  char *sql_t = sqlite3_mprintf("SELECT rowid, distance FROM t(%s%s) WHERE %s", query,
                                k->words ? ", '{\"by\":\"meaning\"}'" : "", where);
  char *distance = content_distance(k, query);
  char *sql_p = sqlite3_mprintf("SELECT id, %s FROM p WHERE %s IS NOT NULL AND (%s)", distance,
                                content_said(k), where);
  int good = 1;
  sqlite3_free(distance);
  *rc = list_fill(&got, db, sql_t);
  if( *rc!=SQLITE_OK ) good = why_not(why, "query: error %d, %s", *rc, sqlite3_errmsg(db));
  if( good && list_fill(&all, db, sql_p)!=SQLITE_OK ){
    good = why_not(why, "brute force: %s", sqlite3_errmsg(db));
  }
  if( good ){
    if( all.n>0 ) qsort(all.rows, all.n, sizeof(*all.rows), found_by_distance);
    good = nearest_agree(&got, &all, -1, 0, all.n<3000, &share, why);
    if( good && share<1 ) good = why_not(why, "only %.3f of the rows are the nearest", share);
  }
  sqlite3_free(sql_t);
  sqlite3_free(sql_p);
  free(got.rows);
  free(all.rows);
  return good;
}

/* All rows; with partitions, one after another, those that have no rows too. */
static inline int pull_agrees(sqlite3 *db, const struct kind *k, const char *query, int *rc,
                              char why[WHY]){
  struct list values = { 0 };
  int good = 1;
  if( !k->is_parted ) return pull_agrees_where(db, k, query, "1", rc, why);
  *rc = list_fill(&values, db, "SELECT DISTINCT x FROM p WHERE x IS NOT NULL UNION SELECT 100");
  for(int i=0; i<=values.n && good; i++){
    char where[60] = "x IS NULL";
    if( i<values.n ) snprintf(where, sizeof(where), "x = %lld", (long long)values.rows[i].rowid);
    good = pull_agrees_where(db, k, query, where, rc, why);
  }
  free(values.rows);
  return good;
}

/* Everything: the database, the index, the rows, three queries. */
static inline int twins_agree(sqlite3 *db, const struct kind *k, struct random *r, char why[WHY]){
  char query[LITERAL];
  int rc;
  if( !scans_agree(db, k, &rc, why) ) return 0;
  for(int i=0; i<3; i++){
    content_literal(query, r, k);
    if( !pull_agrees(db, k, query, &rc, why) ) return 0;
  }
  rc = sqlite3_exec(db, "INSERT INTO t(t) VALUES('integrity-check')", NULL, NULL, NULL);
  if( rc!=SQLITE_OK ){
    return why_not(why, "'integrity-check': error %d, %s", rc, sqlite3_errmsg(db));
  }
  return 1;
}

#endif
