/*
** kill.c -- a writing process, killed at random moments again and again.
**
**   kill MODEL FOLDER ROUNDS [SEED]
**
** A child opens the database and commits one transaction after another. Each holds some changes to
** t and p (twin.h) and its own number. After each COMMIT the child sends the number through a pipe.
** The parent kills it with SIGKILL a random time later. Opened again, the database must be whole, t
** and p must agree, and the last transaction must be the last one heard of, or the one after it. A
** 'rebuild' in steps may be halfway then: its end must be the same as if it were not. The next
** child goes on from there; now and then it begins with an empty database, in another kind of table
** or journal. The seed decides everything except the moments.
*/
#include "twin.h"
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct kind KINDS[] = {
  { .name = "vectors", .content = VECTORS, .width = 16, .n_filters = 1, .cell_rows = 8 },
  { .name = "texts", .content = TEXTS, .n_filters = 1, .cell_rows = 8 },
  { .name = "vectors, cells of 256", .content = VECTORS, .width = 32, .n_filters = 1 },
  { .name = "notes", .content = NOTES, .n_filters = 1, .cell_rows = 8 },
  { .name = "notes with words", .content = NOTES, .n_filters = 1, .cell_rows = 8, .words = 1 },
};
enum { N_KINDS = sizeof(KINDS)/sizeof(KINDS[0]), ROUNDS_EACH = 10, MOST_MICROSECONDS = 15000 };

static int database_make(const char *path, const struct kind *k, int is_wal, char why[WHY]){
  char *create = twins_create(k, "main");
  sqlite3 *db;
  int rc;
  files_remove(path);
  db = connect_to(path, NULL);
  rc = sqlite3_exec(db, is_wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE",
                    NULL, NULL, NULL);
  if( rc==SQLITE_OK ) rc = sqlite3_exec(db, create, NULL, NULL, NULL);
  if( rc==SQLITE_OK ){
    rc = sqlite3_exec(db, "CREATE TABLE mark(n); INSERT INTO mark VALUES(0)", NULL, NULL, NULL);
  }
  if( rc!=SQLITE_OK ) why_not(why, "making the database: error %d, %s", rc, sqlite3_errmsg(db));
  sqlite3_free(create);
  sqlite3_close(db);
  return rc==SQLITE_OK;
}

/* The child: it never returns. Some transactions are large, so that the cache spills into the
** file before they end. */
static void write_on(const char *path, const struct kind *k, struct random *r, int to){
  sqlite3 *db = connect_to(path, NULL);
  sqlite3_int64 n = integer_of(db, "SELECT n FROM mark", -1);
  int rc = sqlite3_exec(db, "PRAGMA cache_size=8", NULL, NULL, NULL);
  while( rc==SQLITE_OK && n>=0 ){
    int changes = below(r, 5) ? 1 + below(r, 4) : 40;
    rc = sqlite3_exec(db, "BEGIN; UPDATE mark SET n=n+1", NULL, NULL, NULL);
    for(int i=0; i<changes && rc==SQLITE_OK; i++) rc = twins_change_any(db, k, r, 300);
    if( rc==SQLITE_OK && below(r, 12)==0 ){
      rc = sqlite3_exec(db, "INSERT INTO t(t) VALUES('optimize')", NULL, NULL, NULL);
    }
    if( rc==SQLITE_OK && below(r, 4)==0 ){
      rc = sqlite3_exec(db, "INSERT INTO t(t, rank) VALUES('rebuild', 20)", NULL, NULL, NULL);
    }
    if( rc==SQLITE_OK ) rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    n++;
    if( rc==SQLITE_OK && write(to, &n, sizeof(n))!=sizeof(n) ) _exit(4);
  }
  fprintf(stderr, "kill: the writer: error %d, %s\n", rc, sqlite3_errmsg(db));
  _exit(3);
}

/* *heard: the number of the last transaction that was heard of before the end; unchanged when
** none was. */
static int child_kill(const char *path, const struct kind *k, struct random *r,
                      sqlite3_int64 *heard, char why[WHY]){
  struct random own = random_of(random_u64(r));
  struct timespec wait = { 0, 1000*(long)below(r, MOST_MICROSECONDS) };
  int ends[2];
  int status = 0;
  sqlite3_int64 n;
  pid_t child;
  if( pipe(ends)!=0 ) return why_not(why, "no pipe can be made");
  child = fork();
  if( child<0 ) return why_not(why, "no child can be made");
  if( child==0 ) write_on(path, k, &own, ends[1]);
  close(ends[1]);
  if( read(ends[0], &n, sizeof(n))==sizeof(n) ) *heard = n;         /* it is at work */
  nanosleep(&wait, NULL);
  kill(child, SIGKILL);
  while( read(ends[0], &n, sizeof(n))==sizeof(n) ) *heard = n;
  close(ends[0]);
  waitpid(child, &status, 0);
  if( !WIFSIGNALED(status) || WTERMSIG(status)!=SIGKILL ){
    return why_not(why, "the writer ended by itself, status %d", status);
  }
  return 1;
}

/* Whole halfway; then goes on to the end. *n counts databases that were halfway. */
static int rebuild_end(sqlite3 *db, int *n, char why[WHY]){
  const char *is_begun = "SELECT count(*) FROM latent_progress('t') WHERE phase='rebuild'";
  int rc = sqlite3_exec(db, "INSERT INTO t(t) VALUES('integrity-check')", NULL, NULL, NULL);
  *n += (int)integer_of(db, is_begun, 0);
  while( rc==SQLITE_OK && integer_of(db, is_begun, 0)==1 ){
    rc = sqlite3_exec(db, "INSERT INTO t(t, rank) VALUES('rebuild', 50)", NULL, NULL, NULL);
  }
  return rc==SQLITE_OK || why_not(why, "'rebuild' in steps: error %d, %s", rc, sqlite3_errmsg(db));
}

static int database_check(const char *path, const struct kind *k, struct random *r,
                          sqlite3_int64 heard, int *n_halfway, char why[WHY]){
  sqlite3 *db = connect_to(path, NULL);
  sqlite3_int64 mark = integer_of(db, "SELECT n FROM mark", -1);
  int good = 1;
  if( !is_whole(db) ) good = why_not(why, "PRAGMA integrity_check is not ok");
  if( good && mark!=heard && mark!=heard+1 ){
    good = why_not(why, "transaction %lld is the last, but %lld was heard of", mark, heard);
  }
  good = good && rebuild_end(db, n_halfway, why) && twins_agree(db, k, r, why);
  sqlite3_close(db);
  return good;
}

int main(int argc, char **argv){
  unsigned long long seed = argc>4 ? strtoull(argv[4], NULL, 10) : 1;
  struct random r = random_of(seed);
  char path[600];
  char why[WHY] = "";
  int i, is_wal;
  int rounds = argc>3 ? atoi(argv[3]) : 0;
  int good = 1;
  int n_halfway = 0;
  long n_transactions = 0;
  sqlite3_int64 heard = 0;
  sqlite3 *db;
  if( argc<4 ){
    fprintf(stderr, "usage: kill MODEL FOLDER ROUNDS [SEED]\n");
    return 2;
  }
  if( !twins_begin("kill", argv[1]) ) return 1;
  snprintf(path, sizeof(path), "%s/kill-%d.db", argv[2], (int)getpid());
  for(i=0; good && i<rounds; i++){
    const struct kind *k = &KINDS[i/ROUNDS_EACH%N_KINDS];
    if( i%ROUNDS_EACH==0 ){
      n_transactions += heard;
      heard = 0;
      is_wal = i/ROUNDS_EACH/N_KINDS%2 ^ i/ROUNDS_EACH%2;
      good = database_make(path, k, is_wal, why);
    }
    good = good && child_kill(path, k, &r, &heard, why)
        && database_check(path, k, &r, heard, &n_halfway, why);
    if( good ){
      db = connect_to(path, NULL);
      heard = integer_of(db, "SELECT n FROM mark", heard);
      sqlite3_close(db);
    }
  }
  if( good ){
    printf("ok - kill: seed %llu: killed %d times in %ld transactions, %d times halfway through a "
           "'rebuild'\n", seed, rounds, n_transactions + (long)heard, n_halfway);
  }else{
    printf("not ok - kill: seed %llu, round %d, %s (%s): %s\n", seed, i-1,
           KINDS[(i-1)/ROUNDS_EACH%N_KINDS].name, path, why);
  }
  if( good ) files_remove(path);
  return !good;
}
