/*
** test_constant.c -- a constant argument is encoded once a statement, however many rows there are.
**
** The linker puts __wrap_contents_encode() in the place of contents_encode() (-Wl,--wrap, see the Makefile): here what it encodes is counted.
*/
#include "model.h"
#include "ok.h"
#include <sqlite3.h>
#include <stdlib.h>

#define MODEL "tests/data/tiny.safetensors"
/* A dot, 1x1. */
#define PICTURE "x'89504E470D0A1A0A0000000D4948445200000001000000010802000000907753DE0000000C4944415478DA63F8D0A0000003F40191ED293CC80000000049454E44AE426082'"

int sqlite3_latent_init(sqlite3 *, char **, const sqlite3_api_routines *);
int __real_contents_encode(const struct model *m, struct run *run, const struct content *contents, int n, const char *who, int rounds, struct latent *z);
int __wrap_contents_encode(const struct model *m, struct run *run, const struct content *contents, int n, const char *who, int rounds, struct latent *z);

static int n_encodes;

int __wrap_contents_encode(const struct model *m, struct run *run, const struct content *contents, int n, const char *who, int rounds, struct latent *z){
  n_encodes += n;
  return __real_contents_encode(m, run, contents, n, who, rounds, z);
}

/* How many texts the statement encodes; -1 when it fails. parameter is bound to ?1. */
static int count_encodes(sqlite3 *db, const char *sql, const char *parameter){
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  n_encodes = 0;
  if( rc==SQLITE_OK && parameter ) sqlite3_bind_text(statement, 1, parameter, -1, SQLITE_STATIC);
  while( rc==SQLITE_OK || rc==SQLITE_ROW ) rc = sqlite3_step(statement);
  sqlite3_finalize(statement);
  return rc==SQLITE_DONE ? n_encodes : -1;
}

static void expect(sqlite3 *db, const char *name, const char *sql, const char *parameter, int expected){
  int n = count_encodes(db, sql, parameter);
  ok(n==expected, name, "%d texts encoded, expected %d: %s", n, expected, sql);
}

int main(void){
  sqlite3 *db = NULL;
  setenv("LATENT_MODEL", MODEL, 1);
  sqlite3_open(":memory:", &db);
  sqlite3_latent_init(db, NULL, NULL);
  expect(db, "a generated column encodes each row once",
         "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50) SELECT latent_encode('row ' || i) FROM n", NULL, 50);
  sqlite3_exec(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT, z BLOB AS (latent_encode(body)) STORED);"
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50) INSERT INTO t(body) SELECT 'row ' || i FROM n", NULL, NULL, NULL);
  expect(db, "ORDER BY latent_distance(z, 'query') costs one", "SELECT id FROM t ORDER BY latent_distance(z, 'a quiet place by the sea')", NULL, 1);
  expect(db, "with LIMIT too", "SELECT id FROM t ORDER BY latent_distance(z, 'a quiet place by the sea') LIMIT 5", NULL, 1);
  expect(db, "a bound parameter is a constant", "SELECT id FROM t ORDER BY latent_distance(z, ?1)", "a quiet place by the sea", 1);
  expect(db, "a constant in WHERE", "SELECT id FROM t WHERE latent_distance('a quiet place', z) < 0.5", NULL, 1);
  expect(db, "two constants are two", "SELECT latent_slerp('one', 'two', id/50.0) FROM t", NULL, 2);
  expect(db, "a column is encoded for each row", "SELECT latent_distance(body, 'one') FROM t", NULL, 51);
  expect(db, "stored latents cost none", "SELECT count(*) FROM t a, t b WHERE latent_distance(a.z, b.z) < 0", NULL, 0);
  expect(db, "a picture is a constant too", "SELECT id FROM t ORDER BY latent_distance(z, " PICTURE ")", NULL, 1);
  expect(db, "and beside a text that is none", "SELECT latent_distance(body, " PICTURE ") FROM t", NULL, 51);
  sqlite3_close(db);
  return n_not_ok>0;
}
