/*
** test_constant.c -- a constant argument is encoded once a statement, however many rows there are.
**
** The linker puts __wrap_contents_encode() in the place of contents_encode() (-Wl,--wrap, see the
** Makefile). Here what it encodes is counted.
*/
#include "model.h"
#include "ok.h"
#include <sqlite3.h>
#include <stdlib.h>

#define MODEL "tests/data/tiny.safetensors"
/* A PNG of one pixel. */
#define PICTURE "x'89504E470D0A1A0A0000000D4948445200000001000000010802000000907753DE0000000C4944" \
                "415478DA63F8D0A0000003F40191ED293CC80000000049454E44AE426082'"
/* 50 rows i. */
#define ROWS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50) "

int sqlite3_latent_init(sqlite3 *, char **, const sqlite3_api_routines *);
int __real_contents_encode(const struct model *m, struct run *run, const struct content *contents,
                           int n, const char *who, int rounds, struct latent *z);
int __wrap_contents_encode(const struct model *m, struct run *run, const struct content *contents,
                           int n, const char *who, int rounds, struct latent *z);

static int n_encodes;

int __wrap_contents_encode(const struct model *m, struct run *run, const struct content *contents,
                           int n, const char *who, int rounds, struct latent *z){
  n_encodes += n;
  return __real_contents_encode(m, run, contents, n, who, rounds, z);
}

/* How many texts the statement encodes, or -1 when it fails. parameter is bound to ?1. */
static int count_encodes(sqlite3 *db, const char *sql, const char *parameter){
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  n_encodes = 0;
  if( rc==SQLITE_OK && parameter ){
    sqlite3_bind_text(statement, 1, parameter, -1, SQLITE_STATIC);
  }
  while( rc==SQLITE_OK || rc==SQLITE_ROW ) rc = sqlite3_step(statement);
  sqlite3_finalize(statement);
  return rc==SQLITE_DONE ? n_encodes : -1;
}

static void expect_encodes(sqlite3 *db, int expected, const char *name, const char *sql,
                           const char *parameter){
  int n = count_encodes(db, sql, parameter);
  ok(n==expected, name, "%d texts encoded, expected %d: %s", n, expected, sql);
}

int main(void){
  sqlite3 *db = NULL;
  setenv("LATENT_MODEL", MODEL, 1);
  sqlite3_open(":memory:", &db);
  sqlite3_latent_init(db, NULL, NULL);
  expect_encodes(db, 50, "a generated column encodes each row once",
                 ROWS "SELECT latent_encode('row ' || i) FROM n", NULL);
  sqlite3_exec(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT,"
                   "               z BLOB AS (latent_encode(body)) STORED);"
                   ROWS "INSERT INTO t(body) SELECT 'row ' || i FROM n", NULL, NULL, NULL);
  expect_encodes(db, 1, "ORDER BY latent_distance(z, 'query') costs one",
                 "SELECT id FROM t ORDER BY latent_distance(z, 'a quiet place by the sea')", NULL);
  expect_encodes(db, 1, "with LIMIT too",
                 "SELECT id FROM t ORDER BY latent_distance(z, 'a quiet place by the sea') LIMIT 5",
                 NULL);
  expect_encodes(db, 1, "a bound parameter is a constant",
                 "SELECT id FROM t ORDER BY latent_distance(z, ?1)", "a quiet place by the sea");
  expect_encodes(db, 1, "a constant in WHERE",
                 "SELECT id FROM t WHERE latent_distance('a quiet place', z) < 0.5", NULL);
  expect_encodes(db, 2, "two constants are two",
                 "SELECT latent_slerp('one', 'two', id/50.0) FROM t", NULL);
  expect_encodes(db, 51, "a column is encoded for each row",
                 "SELECT latent_distance(body, 'one') FROM t", NULL);
  expect_encodes(db, 0, "stored latents cost none",
                 "SELECT count(*) FROM t a, t b WHERE latent_distance(a.z, b.z) < 0", NULL);
  expect_encodes(db, 1, "a picture is a constant too",
                 "SELECT id FROM t ORDER BY latent_distance(z, " PICTURE ")", NULL);
  expect_encodes(db, 51, "and beside a text that is none",
                 "SELECT latent_distance(body, " PICTURE ") FROM t", NULL);
  sqlite3_close(db);
  return n_not_ok>0;
}
