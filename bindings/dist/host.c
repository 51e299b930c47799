/*
** host.c -- a program that loads the extension and runs SQL, for platforms that have no sqlite3
** shell here: musl, arm64 in an emulator, and Windows. It is linked with SQLite's amalgamation.
**
**   host latent.so < script.sql
**
** Prints every row on a line, its values with '|' between them: a BLOB in hexadecimal digits, a
** REAL with all of its 17 digits, so that two platforms with the same bits print the same. An error
** of a statement is a line that begins with "error: ", and the next statement goes on.
*/
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
# include <fcntl.h>
# include <io.h>
#endif

enum { SCRIPT_BYTES = 1 << 20 };
static char script[SCRIPT_BYTES];

static void print_value(sqlite3_stmt *s, int i){
  const unsigned char *bytes;
  switch( sqlite3_column_type(s, i) ){
    case SQLITE_NULL:
      printf("NULL");
      break;
    case SQLITE_FLOAT:
      printf("%.17g", sqlite3_column_double(s, i));
      break;
    case SQLITE_BLOB:
      bytes = sqlite3_column_blob(s, i);
      for(int b=0; b<sqlite3_column_bytes(s, i); b++) printf("%02x", bytes[b]);
      break;
    default:
      printf("%s", (const char *)sqlite3_column_text(s, i));
  }
}

/* Runs the first statement of the text, and gives what comes after it; NULL where there is none. */
static const char *run_one(sqlite3 *db, const char *text){
  sqlite3_stmt *s = NULL;
  const char *rest = text;
  int rc = sqlite3_prepare_v2(db, text, -1, &s, &rest);
  if( rc==SQLITE_OK && s==NULL ) return NULL;
  while( rc==SQLITE_OK && sqlite3_step(s)==SQLITE_ROW ){
    for(int i=0; i<sqlite3_column_count(s); i++){
      if( i ) putchar('|');
      print_value(s, i);
    }
    putchar('\n');
  }
  if( sqlite3_finalize(s)!=SQLITE_OK || rc!=SQLITE_OK ) printf("error: %s\n", sqlite3_errmsg(db));
  if( rc!=SQLITE_OK ) rest = strchr(text, ';');
  return rest && *rest ? rest + (rc!=SQLITE_OK) : NULL;
}

int main(int argc, char **argv){
  sqlite3 *db;
  char *why = NULL;
  const char *text = script;
#ifdef _WIN32
  _setmode(_fileno(stdin), _O_BINARY);          /* no other ends of lines than elsewhere */
  _setmode(_fileno(stdout), _O_BINARY);
#endif
  if( argc!=2 ){
    fprintf(stderr, "usage: host latent.so < script.sql\n");
    return 2;
  }
  if( sqlite3_open(":memory:", &db)!=SQLITE_OK ) return 1;
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
  if( sqlite3_load_extension(db, argv[1], NULL, &why)!=SQLITE_OK ){
    fprintf(stderr, "%s\n", why ? why : sqlite3_errmsg(db));
    return 1;
  }
  script[fread(script, 1, SCRIPT_BYTES - 1, stdin)] = 0;
  while( text ) text = run_one(db, text);
  return sqlite3_close(db)==SQLITE_OK ? 0 : 1;
}
