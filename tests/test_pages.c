/*
** test_pages.c -- pages of a query (LIMIT 50 OFFSET 100) are pieces of one order, in a table that
** is searched approximately: joined, they are what the query without a LIMIT gives, row for row.
**
** It does not matter whether SQLite tells the table the LIMIT: it does not in joins, and before
** 3.41 not with MATCH.
*/
#include "ok.h"
#include "twin.h"

enum { N_ROWS = 6000, WIDTH = 16, N_QUERIES = 2 };

static const struct form {
  const char *sql;              /* the part after FROM; ?1: the query */
  const char *count;            /* how many rows of p it gives */
  int is_sorted;                /* its distances never fall */
} FORMS[] = {
  { "t(?1)", "1", 0 },
  { "t WHERE t MATCH ?1", "1", 0 },
  { "(SELECT 1) CROSS JOIN t(?1)", "1", 0 },
  { "t(?1) CROSS JOIN p ON p.id=t.rowid", "1", 0 },
  { "t(?1, '{\"recall\":0.8}')", "1", 0 },
  { "t(?1) WHERE x<400", "x<400", 0 },
  { "t(?1) WHERE t.rowid%2", "id%2", 0 },
  { "t(?1) WHERE distance<0.3", "brute(latent, ?1)<0.3", 0 },
  { "t(?1) ORDER BY distance", "1", 1 },
  { "t(?1) ORDER BY distance, t.rowid", "1", 1 },
  { "t WHERE t MATCH ?1 ORDER BY distance", "1", 1 },
  { "t(?1) CROSS JOIN p ON p.id=t.rowid ORDER BY distance", "1", 1 },
  { "t(?1, '{\"exact\":true}')", "1", 1 },
};
enum { N_FORMS = sizeof(FORMS)/sizeof(FORMS[0]) };
static const int SIZES[] = { 7, 50, 333, 1000 };

static void vector_draw(float v[WIDTH], struct random *r){
  struct random centre = random_of((uint64_t)below(r, 60));
  for(int i=0; i<WIDTH; i++) v[i] = random_normal(&centre) + 0.7f*random_normal(r);
}

static int fill(sqlite3 *db){
  struct kind k = { .content = VECTORS, .width = WIDTH, .n_filters = 1 };
  struct random r = random_of(4);
  char *sql = twins_create(&k, "main");
  sqlite3_stmt *s[2] = { NULL, NULL };
  int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  sqlite3_free(sql);
  sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
  sqlite3_prepare_v2(db, "INSERT INTO t(rowid, latent, x) VALUES(?1, ?2, ?3)", -1, &s[0], NULL);
  sqlite3_prepare_v2(db, "INSERT INTO p(id, latent, x) VALUES(?1, ?2, ?3)", -1, &s[1], NULL);
  for(int i=1; i<=N_ROWS && rc==SQLITE_OK; i++){
    float v[WIDTH];
    int x = below(&r, 1000);
    vector_draw(v, &r);
    for(int j=0; j<2 && rc==SQLITE_OK; j++){
      sqlite3_bind_int(s[j], 1, i);
      sqlite3_bind_blob(s[j], 2, v, sizeof(v), SQLITE_STATIC);
      sqlite3_bind_int(s[j], 3, x);
      sqlite3_step(s[j]);
      rc = sqlite3_reset(s[j]);
    }
  }
  sqlite3_finalize(s[0]);
  sqlite3_finalize(s[1]);
  return rc==SQLITE_OK ? sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) : rc;
}

/* Adds the rows of a statement with ?1 = v to the list. */
static void pull(struct list *l, sqlite3 *db, const float *v, const char *format, ...){
  va_list args;
  char *sql;
  sqlite3_stmt *s = NULL;
  va_start(args, format);
  sql = sqlite3_vmprintf(format, args);
  va_end(args);
  sqlite3_prepare_v2(db, sql, -1, &s, NULL);
  sqlite3_bind_blob(s, 1, v, WIDTH*(int)sizeof(*v), SQLITE_STATIC);
  while( sqlite3_step(s)==SQLITE_ROW ){
    list_add(l, (struct found){ sqlite3_column_int64(s, 0), sqlite3_column_double(s, 1) });
  }
  if( sqlite3_finalize(s)!=SQLITE_OK ) printf("# %s: %s\n", sql, sqlite3_errmsg(db));
  sqlite3_free(sql);
}

static int count_rows(sqlite3 *db, const float *v, const char *where){
  struct list l = { 0 };
  int n;
  pull(&l, db, v, "SELECT count(*) FROM p WHERE %s", where);
  n = l.n ? (int)l.rows[0].rowid : -1;
  free(l.rows);
  return n;
}

/* How many of the rows come for the second time. */
static int count_twice(const struct list *l){
  char *seen = calloc(N_ROWS + 1, 1);
  int n = 0;
  for(int i=0; i<l->n; i++) n += seen[l->rows[i].rowid]++>0;
  free(seen);
  return n;
}

static int count_falls(const struct list *l){
  int n = 0;
  for(int i=1; i<l->n; i++) n += l->rows[i].distance<l->rows[i-1].distance;
  return n;
}

/* The first row in which they differ, or -1. */
static int difference(const struct list *a, const struct list *b, int most){
  int n = a->n<most ? a->n : most;
  for(int i=0; i<n; i++){
    if( i>=b->n || a->rows[i].rowid!=b->rows[i].rowid ) return i;
  }
  return -1;
}

/* Twenty pages of each size; of the first form all. */
static void test_sizes(struct property *same, sqlite3 *db, const struct form *f, const float *v,
                       const struct list *whole){
  for(size_t j=0; j<sizeof(SIZES)/sizeof(SIZES[0]); j++){
    const int n_pages = f==FORMS && SIZES[j]>7 ? N_ROWS : 20;
    const int most = n_pages*SIZES[j]<whole->n ? n_pages*SIZES[j] : whole->n;
    struct list pages = { 0 };
    int at;
    for(int from=0; from<most; from+=SIZES[j]){
      pull(&pages, db, v, "SELECT t.rowid, distance FROM %s LIMIT %d OFFSET %d", f->sql, SIZES[j],
           from);
    }
    at = difference(whole, &pages, most);
    holds(same, at<0, "%s, pages of %d: row %d", f->sql, SIZES[j], at);
    free(pages.rows);
  }
}

static void test_form(sqlite3 *db, const struct form *f){
  struct property all = { 0 };
  struct property same = { 0 };
  struct property order = { 0 };
  struct random r = random_of(77);
  char name[200];
  for(int i=0; i<N_QUERIES; i++){
    struct list whole = { 0 };
    float v[WIDTH];
    int n;
    vector_draw(v, &r);
    n = count_rows(db, v, f->count);
    pull(&whole, db, v, "SELECT t.rowid, distance FROM %s", f->sql);
    holds(&all, n>0 && whole.n==n && count_twice(&whole)==0, "%d rows, %d twice, expected %d",
          whole.n, count_twice(&whole), n);
    holds(&order, count_falls(&whole)<=!f->is_sorted, "it falls %d times", count_falls(&whole));
    test_sizes(&same, db, f, v, &whole);
    free(whole.rows);
  }
  snprintf(name, sizeof(name), "%s: every row, once", f->sql);
  property_ok(&all, name);
  snprintf(name, sizeof(name), "%s: the distance never falls%s", f->sql,
           f->is_sorted ? "" : ", but once");
  property_ok(&order, name);
  snprintf(name, sizeof(name), "%s: pages, joined, are the whole", f->sql);
  property_ok(&same, name);
}

/* FORMS begins with four ways to say the same. */
static void test_ways(sqlite3 *db){
  struct random r = random_of(78);
  struct list whole[4] = { { 0 } };
  float v[WIDTH];
  vector_draw(v, &r);
  for(int i=0; i<4; i++) pull(&whole[i], db, v, "SELECT t.rowid, distance FROM %s", FORMS[i].sql);
  for(int i=1; i<4; i++){
    ok(difference(&whole[0], &whole[i], N_ROWS)<0, "call, MATCH and joins give one order", "%s",
       FORMS[i].sql);
  }
  for(int i=0; i<4; i++) free(whole[i].rows);
}

int main(void){
  sqlite3 *db = connect_to(":memory:", NULL);
  int rc = fill(db);
  ok(rc==SQLITE_OK, "a table with 6,000 rows", "%d, %s", rc, sqlite3_errmsg(db));
  for(int i=0; i<N_FORMS; i++) test_form(db, &FORMS[i]);
  test_ways(db);
  sqlite3_close(db);
  return n_not_ok>0;
}
