/*
** beside.c -- threads with a connection each on one database file: writers and readers side by
** side.
**
**   beside MODEL FOLDER [TRANSACTIONS]
**
** Two writers take turns, as SQLite's locks say. They commit changes to t and p (twin.h), and roll
** some back. Two readers take one snapshot after another. In each, t and p must agree in every row,
** and queries must agree with brute force. It is made to run under the thread sanitizer: what
** connections share (only the model) must be safe. It runs in WAL, and in a rollback journal, where
** readers and writers wait for each other.
*/
#include "twin.h"
#include <pthread.h>

static const struct kind KINDS[] = {
  { .name = "vectors", .content = VECTORS, .width = 16, .n_filters = 1, .cell_rows = 8 },
  { .name = "texts", .content = TEXTS, .n_filters = 1, .cell_rows = 8 },
};
enum { N_WRITERS = 2, N_READERS = 2, N_ROWIDS = 120, BUSY_MS = 60000 };

struct thread {
  pthread_t thread;
  const struct kind *kind;
  const char *path;
  unsigned long long seed;
  int n;                        /* transactions to go through */
  int n_snapshots;              /* different states that a reader has seen */
  char why[WHY];
};

static sqlite3 *connect_patiently(const char *path){
  sqlite3 *db = connect_to(path, NULL);
  sqlite3_busy_timeout(db, BUSY_MS);
  sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
  return db;
}

static void *writer(void *arg){
  struct thread *w = arg;
  struct random r = random_of(w->seed);
  sqlite3 *db = connect_patiently(w->path);
  int rc = SQLITE_OK;
  for(int i=0; i<w->n && rc==SQLITE_OK; i++){
    int changes = 1 + below(&r, 6);
    int is_kept = below(&r, 4)!=0;
    rc = sqlite3_exec(db, "BEGIN IMMEDIATE; UPDATE mark SET n=n+1", NULL, NULL, NULL);
    for(int j=0; j<changes && rc==SQLITE_OK; j++) rc = twins_change_any(db, w->kind, &r, N_ROWIDS);
    if( rc==SQLITE_OK ) rc = sqlite3_exec(db, is_kept ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL);
  }
  if( rc!=SQLITE_OK ) why_not(w->why, "a writer: error %d, %s", rc, sqlite3_errmsg(db));
  sqlite3_close(db);
  return NULL;
}

static void *reader(void *arg){
  struct thread *w = arg;
  struct random r = random_of(w->seed);
  sqlite3 *db = connect_patiently(w->path);
  sqlite3_int64 last = -1;
  char query[LITERAL];
  int rc;
  for(int i=0; i<w->n && !w->why[0]; i++){
    sqlite3_int64 mark;
    sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    mark = integer_of(db, "SELECT n FROM mark", -1);
    w->n_snapshots += mark!=last;
    last = mark;
    content_literal(query, &r, w->kind);
    if( scans_agree(db, w->kind, &rc, w->why) ) pull_agrees(db, w->kind, query, &rc, w->why);
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
  }
  sqlite3_close(db);
  return NULL;
}

static int campaign(const struct kind *k, int is_wal, const char *folder, int n){
  struct thread threads[N_WRITERS+N_READERS];
  struct random r = random_of(2);
  char path[600];
  char why[WHY] = "";
  char *create = twins_create(k, "main");
  sqlite3 *db;
  int rc;
  int n_snapshots = 0;
  snprintf(path, sizeof(path), "%s/beside.db", folder);
  files_remove(path);
  db = connect_patiently(path);
  rc = sqlite3_exec(db, is_wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE",
                    NULL, NULL, NULL);
  if( rc==SQLITE_OK ) rc = sqlite3_exec(db, create, NULL, NULL, NULL);
  if( rc==SQLITE_OK ){
    rc = sqlite3_exec(db, "CREATE TABLE mark(n); INSERT INTO mark VALUES(0)", NULL, NULL, NULL);
  }
  if( rc!=SQLITE_OK ) why_not(why, "making it: %s", sqlite3_errmsg(db));
  sqlite3_close(db);
  sqlite3_free(create);
  for(int i=0; i<N_WRITERS+N_READERS; i++){
    threads[i] = (struct thread){ .kind = k, .path = path, .seed = 1+i, .n = n };
    pthread_create(&threads[i].thread, NULL, i<N_WRITERS ? writer : reader, &threads[i]);
  }
  for(int i=0; i<N_WRITERS+N_READERS; i++){
    pthread_join(threads[i].thread, NULL);
    n_snapshots += threads[i].n_snapshots;
    if( threads[i].why[0] && !why[0] ) memcpy(why, threads[i].why, WHY);
  }
  db = connect_patiently(path);
  if( !why[0] ) twins_agree(db, k, &r, why);
  sqlite3_close(db);
  printf("%s - beside: %s, %s: ", why[0] ? "not ok" : "ok", k->name, is_wal ? "WAL" : "journal");
  if( why[0] ){
    printf("%s\n", why);
  }else{
    printf("%d transactions, %d snapshots\n", N_WRITERS*n, n_snapshots);
  }
  fflush(stdout);
  files_remove(path);
  return !why[0];
}

int main(int argc, char **argv){
  int n = argc>3 ? atoi(argv[3]) : 60;
  int good = 1;
  if( argc<3 ){
    fprintf(stderr, "usage: beside MODEL FOLDER [TRANSACTIONS]\n");
    return 2;
  }
  if( !twins_begin("beside", argv[1]) ) return 1;
  for(int i=0; i<4; i++) good &= campaign(&KINDS[i/2], i%2, argv[2], n);
  return !good;
}
