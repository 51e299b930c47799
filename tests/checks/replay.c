/*
** replay.c -- replays a log of statements on whatever SQLite it is linked with.
**
**     replay DATABASE EXTENSION LOG
**
** Opens the database, loads the extension, and runs the statements of the log in their order, as a
** replica does. It prints SQLite's version and the kernel; then each error, with the number of its
** statement. A statement that fails changes nothing, and the log goes on: all replicas must fail at
** the same ones. replication.py builds it for each SQLite and compares what they wrote.
*/
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char VERSION[] =
  "SELECT sqlite_version() || ' ' || (latent_info() ->> '$.kernel')";

static char *file_read(const char *path){
  FILE *f = fopen(path, "rb");
  char *text = NULL;
  long n;
  if( f==NULL ) return NULL;
  fseek(f, 0, SEEK_END);
  n = ftell(f);
  rewind(f);
  text = malloc((size_t)n + 1);
  if( text && fread(text, 1, (size_t)n, f)==(size_t)n ) text[n] = 0;
  fclose(f);
  return text;
}

/* Runs all rows of the first statement in sql. Gives what follows it. */
static const char *statement_run(sqlite3 *db, const char *sql, int number){
  const char *rest = "";
  sqlite3_stmt *s = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &s, &rest);
  while( rc==SQLITE_OK && s && sqlite3_step(s)==SQLITE_ROW ){}
  if( s ) rc = sqlite3_finalize(s);
  if( rc!=SQLITE_OK ) printf("statement %d: %s\n", number, sqlite3_errmsg(db));
  return rest;
}

static int print_value(sqlite3 *db, const char *sql){
  sqlite3_stmt *s;
  if( sqlite3_prepare_v2(db, sql, -1, &s, NULL)!=SQLITE_OK ) return 0;
  if( sqlite3_step(s)==SQLITE_ROW ) printf("%s\n", sqlite3_column_text(s, 0));
  return sqlite3_finalize(s)==SQLITE_OK;
}

int main(int argc, char **argv){
  sqlite3 *db = NULL;
  char *error = NULL;
  const char *at = argc==4 ? file_read(argv[3]) : NULL;
  if( at==NULL ){
    fprintf(stderr, "usage: replay DATABASE EXTENSION LOG\n");
    return 2;
  }
  if( sqlite3_open(argv[1], &db)!=SQLITE_OK
   || sqlite3_enable_load_extension(db, 1)!=SQLITE_OK
   || sqlite3_load_extension(db, argv[2], NULL, &error)!=SQLITE_OK ){
    fprintf(stderr, "%s: %s\n", argv[2], error ? error : sqlite3_errmsg(db));
    return 1;
  }
  if( !print_value(db, VERSION) ) return 1;
  for(int number=1; *at; number++) at = statement_run(db, at, number);
  return sqlite3_close(db)!=SQLITE_OK;
}
