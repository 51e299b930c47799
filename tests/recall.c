/*
** recall.c -- how much of the truth the index finds, after building, deleting, and inserting other
** data, with and without filters.
**
**   recall [ROWS [SEED]]
**
** ROWS clustered vectors of 64 numbers (20,000), each with an x that is drawn from 0..999. After
** each phase the same queries are asked, without a filter and with filters that keep 50%, 5% and
** 0.5% of the rows. What must hold:
**
**   - {"exact":true} gives what brute force over the plain table gives;
**   - with LIMIT 10, the mean share of the true ten nearest is at least 0.95;
**   - with ORDER BY distance, and no LIMIT that the table sees, the first ten are the true ones,
**     always;
**   - pages of 7 and of 50, joined, are what the query without LIMIT gives, row for row.
**
** Phases: built in one transaction; half deleted; half inserted again, from clusters that have
** moved; the old half deleted; optimised.
*/
#include "twin.h"

enum { WIDTH = 64, N_CLUSTERS = 150, N_QUERIES = 40, K = 10 };
static const struct kind KIND = {
  .name = "recall", .content = VECTORS, .width = WIDTH, .n_filters = 1
};
static int n_failed = 0;

static void report(int good, const char *phase, const char *what, double value){
  printf("%s - recall: %s: %s: %.4f\n", good ? "ok" : "not ok", phase, what, value);
  fflush(stdout);
  n_failed += !good;
}

/* Around one of the clusters; shift: how far these have moved. */
static void vector_draw(float v[WIDTH], struct random *r, float shift){
  int at = below(r, N_CLUSTERS);
  struct random centre = random_of(5000 + at);
  struct random moved = random_of(9000 + at);
  for(int i=0; i<WIDTH; i++){
    v[i] = random_normal(&centre) + shift*random_normal(&moved) + 0.6f*random_normal(r);
  }
}

/* Inserts rows first...last into both tables, in one transaction. */
static int rows_insert(sqlite3 *db, struct random *r, int first, int last, float shift){
  sqlite3_stmt *into[2] = { NULL, NULL };
  float v[WIDTH];
  int rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
  if( rc==SQLITE_OK ){
    rc = sqlite3_prepare_v2(db, "INSERT INTO t(rowid, latent, x) VALUES(?1, ?2, ?3)", -1,
                            &into[0], NULL);
  }
  if( rc==SQLITE_OK ){
    rc = sqlite3_prepare_v2(db, "INSERT INTO p(id, latent, x) VALUES(?1, ?2, ?3)", -1,
                            &into[1], NULL);
  }
  for(int i=first; i<=last && rc==SQLITE_OK; i++){
    int x = below(r, 1000);
    vector_draw(v, r, shift);
    for(int j=0; j<2 && rc==SQLITE_OK; j++){
      sqlite3_bind_int(into[j], 1, i);
      sqlite3_bind_blob(into[j], 2, v, sizeof(v), SQLITE_STATIC);
      sqlite3_bind_int(into[j], 3, x);
      rc = sqlite3_step(into[j])==SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db);
      sqlite3_reset(into[j]);
    }
  }
  sqlite3_finalize(into[0]);
  sqlite3_finalize(into[1]);
  if( rc==SQLITE_OK ) rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
  return rc;
}

static int rows_of(sqlite3_stmt *statement, const float *v, int most, struct found *out){
  int n = 0;
  sqlite3_bind_blob(statement, 1, v, WIDTH*sizeof(*v), SQLITE_STATIC);
  while( n<most && sqlite3_step(statement)==SQLITE_ROW ){
    out[n].rowid = sqlite3_column_int64(statement, 0);
    out[n++].distance = sqlite3_column_double(statement, 1);
  }
  sqlite3_reset(statement);
  return n;
}

/* The share of the truth that was found. */
static double share_of(const struct found *found, int n_found, const struct found *truth, int n){
  int good = 0;
  for(int i=0; i<n_found && i<n; i++) good += found[i].distance<=truth[n-1].distance + 1e-6;
  return n ? (double)good/n : 1;
}

/* Compares the first 30 pages of a query with the whole. Returns the share of its rows that the
** pages have in the same place. */
static double share_of_pages(sqlite3 *db, const float *v, const char *filter, int page){
  const int most = 30*page;
  char *sql = sqlite3_mprintf("SELECT rowid, distance FROM t(?1) WHERE %s", filter);
  char *sql_page = sqlite3_mprintf("%s LIMIT %d OFFSET ?2", sql, page);
  struct found *all = malloc((most + page)*sizeof(*all));
  struct found *got = malloc((most + page)*sizeof(*got));
  sqlite3_stmt *whole = NULL, *part = NULL;
  int n, n_got = 0, n_same = 0;
  sqlite3_prepare_v2(db, sql, -1, &whole, NULL);
  sqlite3_prepare_v2(db, sql_page, -1, &part, NULL);
  n = rows_of(whole, v, most, all);
  for(int more=1; more && n_got<n; n_got+=more){
    sqlite3_bind_int(part, 2, n_got);
    more = rows_of(part, v, page, got + n_got);
  }
  for(int i=0; i<n && i<n_got; i++) n_same += all[i].rowid==got[i].rowid;
  sqlite3_finalize(whole);
  sqlite3_finalize(part);
  sqlite3_free(sql);
  sqlite3_free(sql_page);
  free(all);
  free(got);
  return n ? (double)n_same/n : 1;
}

/* Asks N_QUERIES queries under a filter, and reports. shift: how far half of them have moved. */
static void ask(sqlite3 *db, const char *phase, const char *filter, const char *name, float shift){
  struct random r = random_of(77);
  sqlite3_stmt *by[4];
  const char *const FORMS[4] = {
    "SELECT rowid, distance FROM t(?1, '{\"exact\":true}') WHERE %s LIMIT 10",
    "SELECT rowid, distance FROM t(?1) WHERE %s LIMIT 10",
    "SELECT rowid, distance FROM t(?1) WHERE %s ORDER BY distance",
    "SELECT id, brute(latent, ?1) FROM p WHERE %s ORDER BY 2 LIMIT 10",
  };
  struct found rows[4][K];
  double sum = 0, sum_full = 0, sum_exact = 0, sum_pages = 0;
  int n[4];
  int n_brute = 0;
  for(int j=0; j<4; j++){
    char *sql = sqlite3_mprintf(FORMS[j], filter);
    if( sqlite3_prepare_v2(db, sql, -1, &by[j], NULL)!=SQLITE_OK ){
      printf("# %s: %s\n", sql, sqlite3_errmsg(db));
    }
    sqlite3_free(sql);
  }
  for(int i=0; i<N_QUERIES; i++){
    float v[WIDTH];
    vector_draw(v, &r, i%2 ? shift : 0);
    for(int j=0; j<3; j++) n[j] = rows_of(by[j], v, K, rows[j]);
    sum += share_of(rows[1], n[1], rows[0], n[0]);
    sum_full += share_of(rows[2], n[2], rows[0], n[0]);
    if( i%8==0 ){
      n[3] = rows_of(by[3], v, K, rows[3]);
      sum_exact += n[0]==n[3] ? share_of(rows[0], n[0], rows[3], n[3]) : 0;
      n_brute++;
      sum_pages += share_of_pages(db, v, filter, i%16 ? 50 : 7);
    }
  }
  for(int j=0; j<4; j++) sqlite3_finalize(by[j]);
  if( sum_exact<n_brute ) report(0, phase, "exact is the truth", sum_exact/n_brute);
  if( sum_full<N_QUERIES ){
    report(0, phase, "with ORDER BY every one of the nearest comes", sum_full/N_QUERIES);
  }
  if( sum_pages<n_brute ) report(0, phase, "pages are the whole", sum_pages/n_brute);
  report(sum>=0.95*N_QUERIES, phase, name, sum/N_QUERIES);
}

/* Reports what holds after a phase, which ended with rc. */
static void phase(sqlite3 *db, const char *name, int rc, float shift){
  if( rc!=SQLITE_OK ) printf("# error %d, %s\n", rc, sqlite3_errmsg(db));
  rc = sqlite3_exec(db, "INSERT INTO t(t) VALUES('integrity-check')", NULL, NULL, NULL);
  if( rc!=SQLITE_OK ) report(0, name, sqlite3_errmsg(db), rc);
  ask(db, name, "1", "all rows", shift);
  ask(db, name, "x<500", "50% of the rows", shift);
  ask(db, name, "x BETWEEN 300 AND 349", "5% of the rows", shift);
  ask(db, name, "x IN (11, 222, 333, 444, 555)", "0.5% of the rows", shift);
}

int main(int argc, char **argv){
  int n = argc>1 ? atoi(argv[1]) : 20000;
  struct random r = random_of(argc>2 ? strtoull(argv[2], NULL, 10) : 1);
  sqlite3 *db = connect_to(":memory:", NULL);
  char *create = twins_create(&KIND, "main");
  char old[60];
  setenv("LATENT_THREADS", "1", 1);
  if( sqlite3_exec(db, create, NULL, NULL, NULL)!=SQLITE_OK ){
    report(0, "creating", sqlite3_errmsg(db), 0);
  }
  sqlite3_free(create);
  snprintf(old, sizeof(old), "DELETE FROM %%T WHERE rowid<=%d", n);
  phase(db, "built", rows_insert(db, &r, 1, n, 0), 0);
  phase(db, "half deleted", twins_change(db, &KIND, "DELETE FROM %T WHERE rowid%2=0"), 0);
  phase(db, "shifted rows inserted", rows_insert(db, &r, n+1, n+n/2, 0.7f), 0.7f);
  phase(db, "old rows deleted", twins_change(db, &KIND, old), 0.7f);
  phase(db, "optimised", sqlite3_exec(db, "INSERT INTO t(t) VALUES('optimize')", NULL, NULL, NULL),
        0.7f);
  sqlite3_close(db);
  if( sqlite3_memory_used()!=0 ) report(0, "closed", "bytes left", (double)sqlite3_memory_used());
  return n_failed>0;
}
