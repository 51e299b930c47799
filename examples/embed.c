/*
** embed.c -- latent inside a C program: there is no file to load, and every connection has the
** functions.
**
**   make static            makes one object, build/latent.o, whose only global name is
**                          sqlite3_latent_init
**   gcc -O2 -o embed examples/embed.c build/latent.o \
**       -lsqlite3 -lcjson -lutf8proc -lpng -ljpeg -lm -lpthread -ldl
**   ./embed                (make check builds it as build/embed)
**
** make static compiles the sources with -DSQLITE_CORE: they are linked with SQLite instead of being
** loaded by it. The weights are looked for in LATENT_MODEL, or else beside the program, in ../model
** and latent/ from there.
*/
#include <sqlite3.h>
#include <stdio.h>

int sqlite3_latent_init(sqlite3 *db, char **message, const sqlite3_api_routines *api);

static int print_row(void *unused, int n, char **values, char **names){
  (void)unused;
  (void)n;
  (void)names;
  printf("%s\n", values[0] ? values[0] : "NULL");
  return 0;
}

static const char SQL[] =
  "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, z BLOB AS (latent_encode(body)) STORED);"
  "INSERT INTO notes(body) VALUES('The beach is empty in the early morning.'),"
  " ('It is raining in the mountains.'), ('I got the job that I wanted.');"
  "SELECT 'nearest: ' || body FROM notes"
  " ORDER BY latent_distance(z, 'a quiet place by the sea') LIMIT 1;"
  "SELECT 'between: ' || latent_interp(a.z, b.z, 0.5) FROM notes a, notes b"
  " WHERE a.id=1 AND b.id=2;"
  "SELECT 'decoded: ' || latent_decode(z) FROM notes WHERE id=3;";

int main(void){
  sqlite3 *db = NULL;
  char *message = NULL;
  int rc;
  sqlite3_auto_extension((void (*)(void))sqlite3_latent_init);
  rc = sqlite3_open(":memory:", &db);
  if( rc==SQLITE_OK ) rc = sqlite3_exec(db, SQL, print_row, NULL, &message);
  if( rc!=SQLITE_OK ) fprintf(stderr, "error: %s\n", message ? message : sqlite3_errmsg(db));
  sqlite3_free(message);
  sqlite3_close(db);
  return rc!=SQLITE_OK;
}
