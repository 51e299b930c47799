/*
** test_words.c -- words=1: whatever is asked is a question, and finds its words; an SQLite without
** FTS5 says so.
*/
#include "functions.h"
#include "ok.h"
#include <stdlib.h>
#include <string.h>

int sqlite3_latent_init(sqlite3 *, char **, const sqlite3_api_routines *);

static sqlite3 *open_file(const char *path){
  sqlite3 *db = NULL;
  int rc = sqlite3_open(path, &db);
  if( rc==SQLITE_OK ) rc = sqlite3_latent_init(db, NULL, NULL);
  if( rc==SQLITE_OK ) return db;
  sqlite3_close(db);
  return NULL;
}

static int run(sqlite3 *db, const char *sql){
  return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* What can be in a query: syntax of FTS5, half a character, what only looks like a word. */
static const char *const PIECES[] = {
  "\"", "\"\"", "*", "^", "+", "-", ":", "(", ")", "{", "}", ",", ".", "'", ";", "?", " ", "  ",
  "\n", "\t", "AND", "OR", "NOT", "NEAR", "NEAR(", "body:", "t_words:", "rowid", "NULL", "x'00'",
  "\\", "%", "_", "\x01", "\xe2\x80\x94", "\xe2\x80\x99", "\xe2\x80", "\xe2", "\xc3\xa9", "\xff",
  "\xf0\x9f\x98\x80", "\xe4\xb8\xad\xe6\x96\x87", "\xcc\x81", "house", "12", "a",
};
enum { N_PIECES = sizeof(PIECES)/sizeof(PIECES[0]), QUERIES = 4000 };

/* Some pieces, then the word " zebra ", then some. The word stands outside of quotes. */
static void draw_query(struct random *r, char out[400]){
  int n = (int)(random_u64(r)%8);
  int n_quotes = 0;
  *out = 0;
  for(int i=0; i<n; i++){
    const char *piece = PIECES[random_u64(r)%N_PIECES];
    for(const char *p=piece; *p; p++) n_quotes += *p=='"';
    strcat(out, piece);
  }
  if( n_quotes%2 ) strcat(out, "\"");
  strcat(out, " zebra ");
  for(int i=0; i<n; i++) strcat(out, PIECES[random_u64(r)%N_PIECES]);
}

static void test_queries(sqlite3 *db){
  struct property all = { 0 };
  struct random r = random_of(18);
  sqlite3_stmt *s = NULL;
  run(db, "CREATE VIRTUAL TABLE t USING latent(body, words=1)");
  run(db, "INSERT INTO t(rowid, body) VALUES(1, 'A zebra.'), (2, 'No horse.')");
  sqlite3_prepare_v2(db, "SELECT rowid FROM t(?1, '{\"by\":\"words\"}') WHERE rowid=1", -1, &s,
                     NULL);
  for(int i=0; i<QUERIES; i++){
    char query[400];
    int rc;
    draw_query(&r, query);
    sqlite3_bind_text(s, 1, query, -1, SQLITE_STATIC);
    rc = sqlite3_step(s);
    holds(&all, rc==SQLITE_ROW, "%s: %d, %s", query, rc, sqlite3_errmsg(db));
    sqlite3_reset(s);
  }
  sqlite3_finalize(s);
  property_ok(&all, "words: every question finds its word");
}

static sqlite3_int64 count(sqlite3 *db, const char *query){
  sqlite3_stmt *s = NULL;
  sqlite3_int64 n = -1;
  sqlite3_prepare_v2(db, "SELECT count(*) FROM many(?1, '{\"by\":\"words\"}')", -1, &s, NULL);
  sqlite3_bind_text(s, 1, query, -1, SQLITE_STATIC);
  if( sqlite3_step(s)==SQLITE_ROW ) n = sqlite3_column_int64(s, 0);
  sqlite3_finalize(s);
  return n;
}

/* 11,000 rows have one word, half of them another, one a third. */
static void test_frequent(sqlite3 *db){
  int rc = run(db, "CREATE VIRTUAL TABLE many USING latent(body, words=1);"
    "WITH RECURSIVE z(i, z) AS (SELECT 0, latent_encode('z0') UNION ALL"
    "  SELECT i+1, latent_encode('z' || (i+1)) FROM z WHERE i<99),"
    " n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<10999)"
    " INSERT INTO many(body, latent)"
    "  SELECT 'always ' || iif(n.i%2, 'often', '') || iif(n.i=7, ' once', ''), z"
    "  FROM n JOIN z ON z.i=n.i%100");
  ok(rc==SQLITE_OK, "words: a large table", "%d, %s", rc, sqlite3_errmsg(db));
  ok(count(db, "always")==11000, "words: a frequent word alone finds all its rows", "%lld",
     count(db, "always"));
  ok(count(db, "always once")==1, "words: beside a rare word it is left out", "%lld",
     count(db, "always once"));
  ok(count(db, "always often once")==5500, "words: less frequent ones are not", "%lld",
     count(db, "always often once"));
}

/* A statement that fails with that in its text. */
static void refused(sqlite3 *db, const char *sql, const char *part){
  int rc = run(db, sql);
  const char *text = sqlite3_errmsg(db);
  ok(rc==SQLITE_ERROR && strstr(text, part), sql, "%d, %s", rc, text);
}

static void test_without_fts5(sqlite3 *db){
  static const char *keep[] = { "latent", NULL };
  sqlite3_drop_modules(db, keep);
  refused(db, "CREATE VIRTUAL TABLE u USING latent(body, words=1)", "needs FTS5");
  ok(run(db, "CREATE VIRTUAL TABLE u USING latent(body)")==SQLITE_OK,
     "words: without FTS5 and words=1 nothing is amiss", "%s", sqlite3_errmsg(db));
}

int main(int argc, char **argv){
  sqlite3 *db;
  if( argc>1 ) setenv("LATENT_MODEL", argv[1], 1);
  db = open_file(":memory:");
  if( !ok(db!=NULL, "words: a connection", "it cannot be opened") ) return 1;
  test_queries(db);
  test_frequent(db);
  test_without_fts5(db);
  sqlite3_close(db);
  return n_not_ok>0;
}
