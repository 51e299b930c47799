/*
** sweep.c -- runs SQL scripts while the Nth allocation fails, for every N.
**
**   sweep [--points P | --every | --once] [--seed S] MODEL.safetensors SCRIPT.sql...
**
** The sources are compiled in (-DSQLITE_CORE), so the same program runs under the sanitizers. For each script:
**
**   1. Run it with no failure: note every statement's result code and a hash of its rows, and how many allocations there were.
**   2. For N = 1, 2, ...: a fresh connection, the model not yet loaded, and the Nth allocation fails; in odd turns that one alone,
**      in even turns all that follow it too; with an odd S the other way round.
**   3. Each statement must then give what it gave in step 1, or SQLITE_NOMEM, which ends the turn. Nothing else, no crash, and
**      0 bytes of SQLite's memory left when the connection is closed.
**   4. The connection lives on: in every latent table of it 'integrity-check' finds nothing, in the transaction that was open and after its
**      rollback; where it had found nothing before that statement in a run without failures.
**
** --points P tries the first P/2 values of N and P/2 more spread over the rest (the check), shifted by S; --every tries all of them
** (make sanitize, make soak); --once does step 1 alone. Lines that begin with a dot are the shell's and are left out.
*/
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fault.h"

int sqlite3_latent_init(sqlite3 *, char **, const sqlite3_api_routines *);

/* ---- One script ---- */
#define MOST_STATEMENTS 500

struct script {
  const char *path;
  char *sql;                            /* without the shell's own lines; owned */
  int n_statements;                     /* what the run without failures gave: */
  int rc[MOST_STATEMENTS];
  unsigned long long hash[MOST_STATEMENTS];
  char error[MOST_STATEMENTS][120];     /* the start of its message */
  long allocations;
  int whole[MOST_STATEMENTS];           /* before each statement: 'integrity-check' finds nothing */
  int at;                               /* the statement that was run last */
};
enum mode { RECORD, EXAMINE, COMPARE }; /* note what each statement gives; note whole[]; hold against what was noted */

/* The file without lines that begin with a dot; NULL when it cannot be read. */
static char *script_read(const char *path){
  FILE *f = fopen(path, "rb");
  char line[20000], *sql = NULL;
  size_t n = 0;
  if( f==NULL ) return NULL;
  sql = calloc(1, 1);
  while( sql!=NULL && fgets(line, sizeof line, f) ){
    size_t m = strlen(line);
    if( line[0]=='.' ) continue;
    sql = realloc(sql, n+m+1);
    if( sql==NULL ) break;
    memcpy(sql+n, line, m+1);
    n += m;
  }
  fclose(f);
  return sql;
}

static unsigned long long hash_bytes(unsigned long long h, const void *data, int n){
  const unsigned char *p = data;
  int i;
  for(i=0; i<n; i++) h = (h ^ p[i])*0x100000001b3ull;
  return (h ^ (unsigned)n)*0x100000001b3ull;
}

/* Steps to the end; the rows go into *hash. */
static int statement_run(sqlite3_stmt *statement, unsigned long long *hash){
  int rc, i;
  *hash = 0xcbf29ce484222325ull;
  while( (rc = sqlite3_step(statement))==SQLITE_ROW ){
    for(i=0; i<sqlite3_column_count(statement); i++){
      const void *value = sqlite3_column_blob(statement, i);
      int n = sqlite3_column_bytes(statement, i);
      if( value==NULL && sqlite3_errcode(sqlite3_db_handle(statement))==SQLITE_NOMEM ) return SQLITE_NOMEM;
      *hash = hash_bytes(*hash, value, n);
    }
  }
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

static int is_nomem(int rc){
  return (rc & 0xff)==SQLITE_NOMEM || rc==SQLITE_IOERR_NOMEM;
}

/* Holds statement i's outcome against the run without failures. Returns 0 when it must not be so. */
static int outcome_allowed(const struct script *s, int i, int rc, unsigned long long hash, sqlite3 *db){
  if( i>=s->n_statements ){
    printf("not ok - sweep %s: N=%ld: statement %d was not there without failures\n", s->path, fault.fail_at, i+1);
    return 0;
  }
  if( rc!=s->rc[i] ){
    printf("not ok - sweep %s: N=%ld: statement %d gave %d (%s), not %d (%s) or SQLITE_NOMEM\n",
           s->path, fault.fail_at, i+1, rc, sqlite3_errmsg(db), s->rc[i], s->error[i]);
    return 0;
  }
  if( rc==SQLITE_OK && hash!=s->hash[i] ){
    printf("not ok - sweep %s: N=%ld: statement %d succeeded with other rows\n", s->path, fault.fail_at, i+1);
    return 0;
  }
  return 1;
}

/* Does 'integrity-check' find nothing in any table? In a transaction that cannot be committed any more it says so. */
static int tables_whole(struct script *s, sqlite3 *db, int is_silent){
  char *message = NULL, *sql = NULL;
  sqlite3_stmt *names = NULL;
  int rc, in_transaction = !sqlite3_get_autocommit(db);
  rc = sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%USING latent%'", -1, &names, NULL);
  while( rc==SQLITE_OK && sqlite3_step(names)==SQLITE_ROW ){
    const char *name = (const char*)sqlite3_column_text(names, 0);
    sql = sqlite3_mprintf("INSERT INTO \"%w\"(\"%w\") VALUES('integrity-check')", name, name);
    rc = sqlite3_exec(db, sql, NULL, NULL, &message);
    if( in_transaction && rc==SQLITE_ABORT ) rc = SQLITE_OK;
    if( rc!=SQLITE_OK && !is_silent ) printf("not ok - sweep %s: N=%ld: afterwards%s, %s: %d (%s)\n", s->path, fault.fail_at, in_transaction ? " in the transaction" : "", sql, rc, message);
    sqlite3_free(message);
    sqlite3_free(sql);
  }
  sqlite3_finalize(names);
  return rc==SQLITE_OK;
}

/* Runs the statements in turn. Returns 0 when the property is broken. */
static int statements_run(struct script *s, sqlite3 *db, enum mode mode){
  const char *at = s->sql;
  int i = 0, good = 1;
  while( good && *at ){
    sqlite3_stmt *statement = NULL;
    const char *next = at + strlen(at);
    unsigned long long hash = 0;
    int rc = sqlite3_prepare_v2(db, at, -1, &statement, &next);
    if( rc==SQLITE_OK && statement==NULL ){             /* white space or a comment */
      at = next;
      continue;
    }
    s->at = i;
    if( mode==EXAMINE && i<MOST_STATEMENTS ) s->whole[i] = tables_whole(s, db, 1);
    if( rc==SQLITE_OK ) rc = statement_run(statement, &hash);
    if( mode!=EXAMINE && (!is_nomem(rc) || fault.failed==0) ){
      if( mode==RECORD && i<MOST_STATEMENTS ){
        s->rc[i] = rc;
        s->hash[i] = hash;
        snprintf(s->error[i], sizeof s->error[i], "%s", rc==SQLITE_OK ? "success" : sqlite3_errmsg(db));
        s->n_statements = i+1;
      }else{
        good = outcome_allowed(s, i, rc, hash, db);
      }
    }
    sqlite3_finalize(statement);
    if( is_nomem(rc) && mode==COMPARE ) break;
    i++;
    if( next==at ) break;
    at = next;
  }
  return good;
}

/* One connection from opening to closing. Returns 0 when the property is broken. */
static int script_run(struct script *s, long fail_at, int stays, enum mode mode){
  sqlite3 *db = NULL;
  char *message = NULL;
  int rc, good = 1;
  fault_set(fail_at, stays);
  rc = sqlite3_open(":memory:", &db);
  if( rc==SQLITE_OK ) rc = sqlite3_latent_init(db, &message, NULL);
  if( rc==SQLITE_OK ){
    good = statements_run(s, db, mode);
    if( mode==RECORD ) s->allocations = fault.seen;
    fault.stays = 0;
    if( good && fault.failed && s->at<MOST_STATEMENTS && s->whole[s->at] ){
      good = tables_whole(s, db, 0);
      if( good && !sqlite3_get_autocommit(db) ) good = sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL)==SQLITE_OK && tables_whole(s, db, 0);
    }
  }else if( !is_nomem(rc) || fault.failed==0 ){
    printf("not ok - sweep %s: N=%ld: opening gave %d (%s)\n", s->path, fail_at, rc, message ? message : "no message");
    good = 0;
  }
  fault_set(0, 0);
  sqlite3_free(message);
  sqlite3_close(db);
  if( good && sqlite3_memory_used()!=0 ){
    printf("not ok - sweep %s: N=%ld: %lld bytes left\n", s->path, fail_at, (long long)sqlite3_memory_used());
    good = 0;
  }
  return good;
}

/* points: how many values of N are tried; 0 means all, -1 none. */
static int script_sweep(const char *path, int points, unsigned long seed){
  struct script *s = calloc(1, sizeof *s);
  long n, step = 1, tried = 0;
  int good;
  s->path = path;
  s->sql = script_read(path);
  if( s->sql==NULL ){
    printf("not ok - sweep %s: cannot be read\n", path);
    free(s);
    return 0;
  }
  good = script_run(s, 0, 0, RECORD) && script_run(s, 0, 0, EXAMINE);
  for(n=1; good && points>=0 && n<=s->allocations; n+=step){
    good = script_run(s, n, (tried++ + seed)%2, COMPARE);
    if( points>0 && tried==points/2 && s->allocations>points ){
      step = (s->allocations-n)/(points-points/2) + 1;
      n -= seed%step;           /* by less than a step, which follows */
    }
  }
  if( good ) printf("ok - sweep %s: %d statements, %ld allocations, %ld failed in turn\n", path, s->n_statements, s->allocations, tried);
  fflush(stdout);
  free(s->sql);
  free(s);
  return good;
}

int main(int argc, char **argv){
  int points = 200, i = 1, good = 1;
  unsigned long seed = 0;
  for(; i<argc && argv[i][0]=='-'; i++){
    if( strcmp(argv[i], "--every")==0 ) points = 0;
    else if( strcmp(argv[i], "--once")==0 ) points = -1;
    else if( strcmp(argv[i], "--points")==0 && i+1<argc ) points = atoi(argv[++i]);
    else if( strcmp(argv[i], "--seed")==0 && i+1<argc ) seed = strtoul(argv[++i], NULL, 10);
    else return fprintf(stderr, "sweep: unknown option %s\n", argv[i]), 2;
  }
  if( i+1>=argc ) return fprintf(stderr, "usage: sweep [--points P | --every | --once] [--seed S] MODEL SCRIPT...\n"), 2;
  setenv("LATENT_MODEL", argv[i], 1);
  setenv("LATENT_THREADS", "1", 1);                     /* so that the Nth allocation is the same one every time */
  if( fault_install()!=SQLITE_OK ) return fprintf(stderr, "sweep: SQLite does not take our allocator\n"), 2;
  for(i++; i<argc; i++) good &= script_sweep(argv[i], points, seed);
  return !good;
}
