/*
** sweep.c -- runs SQL scripts while the Nth allocation fails, for every N.
**
**   sweep [--points P | --every | --once] [--seed S] MODEL.safetensors SCRIPT.sql...
**
** The sources are compiled in (-DSQLITE_CORE), so the same program runs under the sanitizers. For
** each script:
**
**   1. Run it with no failure. Note every statement's result code, a hash of its rows, and how many
**      allocations there were.
**   2. For N = 1, 2, ...: open a fresh connection, with the model not yet loaded, and let the Nth
**      allocation fail; in odd turns that one alone, in even turns all that follow it too. With an
**      odd S it is the other way round.
**   3. Each statement must then give what it gave in step 1, or SQLITE_NOMEM, which ends the turn.
**      Nothing else, no crash, and 0 bytes of SQLite's memory left when the connection is closed.
**   4. The connection lives on: in each of its latent tables 'integrity-check' finds nothing, in
**      the transaction that was open and after its rollback. This is asked only if it found nothing
**      before that statement in a run without failures.
**
** --points P tries the first P/2 values of N, and P/2 more spread over the rest, shifted by S.
** --every tries all of them (make soak). --once does step 1 alone. Lines that begin with a dot are
** the shell's and are left out.
*/
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fault.h"

int sqlite3_latent_init(sqlite3 *, char **, const sqlite3_api_routines *);

/* ---- One script ---- */
enum { STATEMENTS_MOST = 500, MESSAGE_BYTES = 120 };

struct script {
  const char *path;
  char *sql;                            /* without the shell's own lines; owned */
  int n_statements;                     /* what the run without failures gave: */
  int rc[STATEMENTS_MOST];
  unsigned long long hash[STATEMENTS_MOST];
  char error[STATEMENTS_MOST][MESSAGE_BYTES];   /* the start of its message */
  long allocations;
  int whole[STATEMENTS_MOST];           /* before each statement: 'integrity-check' finds nothing */
  long fail_at;                         /* the turn: which allocation fails; 0: none */
  int at;                               /* the statement that was run last */
};

/* Note what each statement gives; note whole[]; compare with what was noted. */
enum mode { RECORD, EXAMINE, COMPARE };

/* The file without lines that begin with a dot; NULL when it cannot be read. */
static char *script_read(const char *path){
  FILE *f = fopen(path, "rb");
  char line[20000];
  char *sql;
  size_t n = 0;
  if( f==NULL ) return NULL;
  sql = calloc(1, 1);
  while( sql!=NULL && fgets(line, sizeof(line), f) ){
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
  for(int i=0; i<n; i++) h = (h ^ p[i])*0x100000001b3ull;
  return (h ^ (unsigned)n)*0x100000001b3ull;
}

/* Steps to the end. The rows go into *hash. */
static int statement_run(sqlite3_stmt *statement, unsigned long long *hash){
  sqlite3 *db = sqlite3_db_handle(statement);
  int rc;
  *hash = 0xcbf29ce484222325ull;
  while( (rc = sqlite3_step(statement))==SQLITE_ROW ){
    for(int i=0; i<sqlite3_column_count(statement); i++){
      const void *value = sqlite3_column_blob(statement, i);
      int n = sqlite3_column_bytes(statement, i);
      if( value==NULL && sqlite3_errcode(db)==SQLITE_NOMEM ) return SQLITE_NOMEM;
      *hash = hash_bytes(*hash, value, n);
    }
  }
  return rc==SQLITE_DONE ? SQLITE_OK : rc;
}

static int is_nomem(int rc){
  return (rc & 0xff)==SQLITE_NOMEM || rc==SQLITE_IOERR_NOMEM;
}

/* Begins a line that says what went wrong in this turn. */
static void not_ok(const struct script *s){
  printf("not ok - sweep %s: N=%ld: ", s->path, s->fail_at);
}

/* Compares statement i's outcome with the run without failures. Returns 0 if it must not be so. */
static int outcome_allowed(const struct script *s, int i, int rc, unsigned long long hash,
                           sqlite3 *db){
  if( i>=s->n_statements ){
    not_ok(s);
    printf("statement %d was not there without failures\n", i+1);
    return 0;
  }
  if( rc!=s->rc[i] ){
    not_ok(s);
    printf("statement %d gave %d (%s), not %d (%s) or SQLITE_NOMEM\n",
           i+1, rc, sqlite3_errmsg(db), s->rc[i], s->error[i]);
    return 0;
  }
  if( rc==SQLITE_OK && hash!=s->hash[i] ){
    not_ok(s);
    printf("statement %d succeeded with other rows\n", i+1);
    return 0;
  }
  return 1;
}

/* FTS5 of SQLite 3.40 may call its own tables damaged once, after it ran out of memory in a
** statement of the script's own on t_words, and not when it is asked again. Damage stays. */
static int check_run(sqlite3 *db, const char *sql, char **message){
  int rc = sqlite3_exec(db, sql, NULL, NULL, message);
  if( rc!=SQLITE_CORRUPT || *message==NULL || !strstr(*message, "_words are damaged") ) return rc;
  sqlite3_free(*message);
  return sqlite3_exec(db, sql, NULL, NULL, message);
}

/* Does 'integrity-check' find nothing in this table? */
static int table_whole(const struct script *s, sqlite3 *db, const char *name, int is_silent){
  char *sql = sqlite3_mprintf("INSERT INTO \"%w\"(\"%w\") VALUES('integrity-check')", name, name);
  char *message = NULL;
  int in_transaction = !sqlite3_get_autocommit(db);
  int rc = check_run(db, sql, &message);
  /* A transaction that cannot be committed any more says so. */
  if( in_transaction && rc==SQLITE_ABORT ) rc = SQLITE_OK;
  if( rc!=SQLITE_OK && !is_silent ){
    not_ok(s);
    printf("afterwards%s, %s: %d (%s)\n",
           in_transaction ? " in the transaction" : "", sql, rc, message);
  }
  sqlite3_free(message);
  sqlite3_free(sql);
  return rc==SQLITE_OK;
}

/* The same of every latent table. */
static int tables_whole(const struct script *s, sqlite3 *db, int is_silent){
  static const char *const TABLES =
    "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%USING latent%'";
  sqlite3_stmt *names = NULL;
  int is_whole = sqlite3_prepare_v2(db, TABLES, -1, &names, NULL)==SQLITE_OK;
  while( is_whole && sqlite3_step(names)==SQLITE_ROW ){
    is_whole = table_whole(s, db, (const char *)sqlite3_column_text(names, 0), is_silent);
  }
  sqlite3_finalize(names);
  return is_whole;
}

/* Notes what statement i gave. */
static void outcome_record(struct script *s, int i, int rc, unsigned long long hash, sqlite3 *db){
  const char *message = rc==SQLITE_OK ? "success" : sqlite3_errmsg(db);
  s->rc[i] = rc;
  s->hash[i] = hash;
  snprintf(s->error[i], sizeof(s->error[i]), "%s", message);
  s->n_statements = i+1;
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
    if( mode==EXAMINE && i<STATEMENTS_MOST ) s->whole[i] = tables_whole(s, db, 1);
    if( rc==SQLITE_OK ) rc = statement_run(statement, &hash);
    if( mode!=EXAMINE && (!is_nomem(rc) || fault.failed==0) ){
      if( mode==RECORD && i<STATEMENTS_MOST ) outcome_record(s, i, rc, hash, db);
      else good = outcome_allowed(s, i, rc, hash, db);
    }
    sqlite3_finalize(statement);
    if( is_nomem(rc) && mode==COMPARE ) break;
    i++;
    if( next==at ) break;
    at = next;
  }
  return good;
}

/* Step 4: the tables are whole after a failure, in the transaction and after its rollback. */
static int whole_afterwards(const struct script *s, sqlite3 *db){
  if( fault.failed==0 || s->at>=STATEMENTS_MOST || !s->whole[s->at] ) return 1;
  if( !tables_whole(s, db, 0) ) return 0;
  if( sqlite3_get_autocommit(db) ) return 1;
  return sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL)==SQLITE_OK && tables_whole(s, db, 0);
}

/* One connection from opening to closing. Returns 0 when the property is broken. */
static int script_run(struct script *s, long fail_at, int stays, enum mode mode){
  sqlite3 *db = NULL;
  char *message = NULL;
  int rc, good = 1;
  s->fail_at = fail_at;
  fault_set(fail_at, stays);
  rc = sqlite3_open(":memory:", &db);
  if( rc==SQLITE_OK ) rc = sqlite3_latent_init(db, &message, NULL);
  if( rc==SQLITE_OK ){
    good = statements_run(s, db, mode);
    if( mode==RECORD ) s->allocations = fault.seen;
    fault.stays = 0;
    if( good ) good = whole_afterwards(s, db);
  }else if( !is_nomem(rc) || fault.failed==0 ){
    not_ok(s);
    printf("opening gave %d (%s)\n", rc, message ? message : "no message");
    good = 0;
  }
  fault_set(0, 0);
  sqlite3_free(message);
  sqlite3_close(db);
  if( good && sqlite3_memory_used()!=0 ){
    not_ok(s);
    printf("%lld bytes left\n", (long long)sqlite3_memory_used());
    good = 0;
  }
  return good;
}

/* points: how many values of N are tried; 0 means all, -1 none. */
static int script_sweep(const char *path, int points, unsigned long seed){
  struct script *s = calloc(1, sizeof(*s));
  long step = 1, tried = 0;
  int good;
  s->path = path;
  s->sql = script_read(path);
  if( s->sql==NULL ){
    printf("not ok - sweep %s: cannot be read\n", path);
    free(s);
    return 0;
  }
  good = script_run(s, 0, 0, RECORD);
  if( points>=0 ) good = good && script_run(s, 0, 0, EXAMINE);
  for(long n=1; good && points>=0 && n<=s->allocations; n+=step){
    good = script_run(s, n, (tried + seed)%2, COMPARE);
    tried++;
    if( points>0 && tried==points/2 && s->allocations>points ){
      step = (s->allocations-n)/(points-points/2) + 1;
      n -= seed%step;           /* by less than a step, which follows */
    }
  }
  if( good ){
    printf("ok - sweep %s: %d statements, %ld allocations, %ld failed in turn\n",
           path, s->n_statements, s->allocations, tried);
  }
  fflush(stdout);
  free(s->sql);
  free(s);
  return good;
}

static int misused(const char *what){
  fprintf(stderr, "sweep: %s\nusage: sweep [--points P | --every | --once] [--seed S] "
          "MODEL SCRIPT...\n", what);
  return 2;
}

int main(int argc, char **argv){
  int points = 200, i = 1, good = 1;
  unsigned long seed = 0;
  for(; i<argc && argv[i][0]=='-'; i++){
    if( strcmp(argv[i], "--every")==0 ) points = 0;
    else if( strcmp(argv[i], "--once")==0 ) points = -1;
    else if( strcmp(argv[i], "--points")==0 && i+1<argc ) points = atoi(argv[++i]);
    else if( strcmp(argv[i], "--seed")==0 && i+1<argc ) seed = strtoul(argv[++i], NULL, 10);
    else return misused(argv[i]);
  }
  if( i+1>=argc ) return misused("a model and scripts are missing");
  setenv("LATENT_MODEL", argv[i], 1);
  setenv("LATENT_THREADS", "1", 1);     /* so that the Nth allocation is the same one every time */
  if( fault_install()!=SQLITE_OK ) return misused("SQLite does not take our allocator");
  for(i++; i<argc; i++) good &= script_sweep(argv[i], points, seed);
  return !good;
}
