/*
** test_index.c -- changes of the index: whatever happens to the rows, its cells hold exactly these
** rows, within their bounds and rightly coded.
**
** The caller's table is an ordinary one, rows(id, vector, key), in the same database. SQLite
** itself rolls it back, so it is the truth to compare with. Seeds are printed where a sequence
** fails.
*/
#include <sqlite3.h>
#include "index.h"
#include "fault.h"
#include "ok.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 12, N_KEYS = 1, ROWS_MOST = 400, PARTS_MOST = 4 };

/* ---- A database with rows and an index over them ---- */

struct base {
  sqlite3 *db;
  sqlite3_stmt *get, *put, *drop;
  struct index *ix;
  const char *schema;
  int width;
  int has_parts;                /* rows have 1 to PARTS_MOST vectors */
  struct err err;
};

static void sql(struct base *b, const char *text){
  if( sqlite3_exec(b->db, text, NULL, NULL, NULL)!=SQLITE_OK ){
    fail(&b->err, SQLITE_ERROR, "%s: %s", text, sqlite3_errmsg(b->db));
  }
}

/* A row's blob has all of its vectors, one after another. */
static int fetch(void *arg, int64_t rowid, const float **vectors, int *n, struct err *e){
  static float kept[PARTS_MOST*WIDTH];
  struct base *b = arg;
  size_t bytes = 0;
  int rc;

  sqlite3_bind_int64(b->get, 1, rowid);
  if( sqlite3_step(b->get)==SQLITE_ROW && sqlite3_column_blob(b->get, 0)!=NULL ){
    bytes = (size_t)sqlite3_column_bytes(b->get, 0);
  }
  if( bytes>0 && bytes<=sizeof(kept) ) memcpy(kept, sqlite3_column_blob(b->get, 0), bytes);
  *vectors = kept;
  *n = (int)(bytes/(sizeof(float)*(size_t)b->width));
  rc = sqlite3_reset(b->get);
  if( rc==SQLITE_OK ) return SQLITE_OK;
  *n = 0;
  return rc==SQLITE_NOMEM ? fail_nomem(e) : fail(e, rc, "rows: %s", sqlite3_errmsg(b->db));
}

static void statement(struct base *b, sqlite3_stmt **st, const char *format){
  char *text = sqlite3_mprintf(format, b->schema);

  sqlite3_finalize(*st);
  if( text==NULL || sqlite3_prepare_v2(b->db, text, -1, st, NULL)!=SQLITE_OK ){
    fail(&b->err, SQLITE_ERROR, "%s", sqlite3_errmsg(b->db));
  }
  sqlite3_free(text);
}

static void attach_index(struct base *b, int cell_rows, int is_new){
  const struct index_shape shape = {
    .width = b->width,
    .n_keys = N_KEYS,
    .cell_rows = cell_rows,
    .has_parts = b->has_parts,
  };
  const struct source source = { .arg = b, .fetch = fetch };

  if( is_new && b->err.rc==SQLITE_OK ) index_create(b->db, b->schema, "a \"t\"", &b->err);
  if( b->err.rc==SQLITE_OK ){
    index_open(&b->ix, b->db, b->schema, "a \"t\"", &shape, &source, &b->err);
  }
  statement(b, &b->get, "SELECT vector FROM \"%w\".rows WHERE id=?1");
  statement(b, &b->put, "REPLACE INTO \"%w\".rows VALUES(?1, ?2, ?3)");
  statement(b, &b->drop, "DELETE FROM \"%w\".rows WHERE id=?1");
}

static void open_with_parts(struct base *b, const char *file, const char *schema, int has_parts,
                            int cell_rows, int is_new){
  *b = (struct base){ .schema = schema, .width = WIDTH, .has_parts = has_parts };
  sqlite3_open(file, &b->db);
  if( strcmp(schema, "main")!=0 && strcmp(schema, "temp")!=0 ){
    sql(b, "ATTACH ':memory:' AS beside");
  }
  if( is_new ){
    char *text = sqlite3_mprintf("CREATE TABLE \"%w\".rows(id INTEGER PRIMARY KEY, vector BLOB,"
                                 " key INTEGER)", schema);
    sql(b, text);
    sqlite3_free(text);
  }
  attach_index(b, cell_rows, is_new);
}

static void base_open(struct base *b, const char *file, const char *schema, int cell_rows,
                      int is_new){
  open_with_parts(b, file, schema, 0, cell_rows, is_new);
}

static void base_close(struct base *b){
  index_close(b->ix);
  sqlite3_finalize(b->get);
  sqlite3_finalize(b->put);
  sqlite3_finalize(b->drop);
  if( sqlite3_close(b->db)!=SQLITE_OK ){
    ok(0, "index: a statement was left open", "%s", sqlite3_errmsg(b->db));
  }
}

/* A row of n vectors. */
static void put_parts(struct base *b, int64_t id, const float *vectors, int n, int64_t key){
  sqlite3_bind_int64(b->put, 1, id);
  sqlite3_bind_blob(b->put, 2, vectors, (int)sizeof(float)*n*b->width, SQLITE_STATIC);
  sqlite3_bind_int64(b->put, 3, key);
  sqlite3_step(b->put);
  if( sqlite3_reset(b->put)!=SQLITE_OK ) fail(&b->err, SQLITE_ERROR, "%s", sqlite3_errmsg(b->db));
}

static void drop_row(struct base *b, int64_t id){
  sqlite3_bind_int64(b->drop, 1, id);
  sqlite3_step(b->drop);
  if( sqlite3_reset(b->drop)!=SQLITE_OK ) fail(&b->err, SQLITE_ERROR, "%s", sqlite3_errmsg(b->db));
}

static void put_row(struct base *b, int64_t id, const float *vector, int64_t key){
  put_parts(b, id, vector, 1, key);
}

/* ---- One random batch ---- */

/* A batch: what leaves and what enters. */
struct rows {
  struct change removed[ROWS_MOST], added[ROWS_MOST];
  uint64_t keys[ROWS_MOST];
  float old[ROWS_MOST*PARTS_MOST*WIDTH], new[ROWS_MOST*PARTS_MOST*WIDTH];
  int n_removed, n_added;
};

/* Points around a few centres, so that there is something to split. One in eight is exactly one
** that was there before. */
static void make_vector(struct random *r, float *x){
  struct random centre = random_of(random_u64(r)%7);
  const int is_copy = random_u64(r)%8==0;

  for(int i=0; i<WIDTH; i++) x[i] = random_normal(&centre) + (is_copy ? 0 : 0.5f*random_normal(r));
  normalize(x, WIDTH);
}

/* With groups, one in each five rows is of the same. */
static uint64_t group_of(const struct base *b, int64_t id){
  return b->ix->shape.has_groups ? (uint64_t)(id%5) : 0;
}

static void add_row(struct base *b, struct rows *batch, struct random *r, int64_t id){
  float *x = batch->new + (size_t)batch->n_added*PARTS_MOST*WIDTH;
  int n = b->has_parts ? 1 + (int)(random_u64(r)%PARTS_MOST) : 1;

  for(int i=0; i<n; i++) make_vector(r, x + i*WIDTH);
  batch->keys[batch->n_added] = random_u64(r)%100;
  batch->added[batch->n_added] = (struct change){
    .rowid = id,
    .vectors = x,
    .n = n,
    .keys = &batch->keys[batch->n_added],
    .group = group_of(b, id),
  };
  put_parts(b, id, x, n, (int64_t)batch->keys[batch->n_added++]);
}

static int in_batch(const struct rows *batch, int64_t id){
  for(int i=0; i<batch->n_removed; i++){
    if( batch->removed[i].rowid==id ) return 1;
  }
  for(int i=0; i<batch->n_added; i++){
    if( batch->added[i].rowid==id ) return 1;
  }
  return 0;
}

/* Touches n of `ids` rowids, each once. A row that is there leaves or moves. One that is not there
** enters in `share` of 16 cases. */
static void change_rows(struct base *b, struct rows *batch, struct random *r, int n, int ids,
                        int share){
  batch->n_removed = batch->n_added = 0;
  while( n-->0 && b->err.rc==SQLITE_OK ){
    const int64_t id = (int64_t)(random_u64(r)%(uint64_t)ids) - ids/2;
    float *old = batch->old + (size_t)batch->n_removed*PARTS_MOST*WIDTH;
    const float *vectors;
    int n_parts;
    if( in_batch(batch, id) || fetch(b, id, &vectors, &n_parts, &b->err)!=SQLITE_OK ) continue;
    if( n_parts>0 ){
      int n_told = random_u64(r)%8 ? n_parts : 0;       /* 0: nobody knows them */
      memcpy(old, vectors, sizeof(float)*(size_t)n_parts*WIDTH);
      batch->removed[batch->n_removed++] = (struct change){
        .rowid = id, .vectors = old, .n = n_told, .group = group_of(b, id)
      };
      if( random_u64(r)%2 ){
        add_row(b, batch, r, id);
      }else{
        drop_row(b, id);
      }
    }else if( (int)(random_u64(r)%16)<share ){
      add_row(b, batch, r, id);
    }
  }
  if( b->err.rc==SQLITE_OK ){
    index_change(b->ix, batch->removed, batch->n_removed, batch->added, batch->n_added, &b->err);
  }
}

/* ---- What must hold ---- */

static int check_key(void *arg, int64_t rowid, const uint64_t *keys, uint64_t group,
                     struct buf *report, struct err *e){
  struct base *b = arg;
  sqlite3_stmt *st = NULL;
  char *text = sqlite3_mprintf("SELECT key FROM \"%w\".rows WHERE id=%lld", b->schema,
                               (long long)rowid);

  (void)e;
  sqlite3_prepare_v2(b->db, text, -1, &st, NULL);
  if( sqlite3_step(st)!=SQLITE_ROW || (uint64_t)sqlite3_column_int64(st, 0)!=keys[0] ){
    buf_printf(report, "row %lld has a wrong key\n", (long long)rowid);
  }
  if( group!=group_of(b, rowid) ){
    buf_printf(report, "row %lld is in a wrong group\n", (long long)rowid);
  }
  sqlite3_finalize(st);
  sqlite3_free(text);
  return SQLITE_OK;
}

/* The number that a statement gives; -1 where it fails. */
static int64_t count(struct base *b, const char *sql){
  sqlite3_stmt *st = NULL;
  int64_t n = -1;

  sqlite3_prepare_v2(b->db, sql, -1, &st, NULL);
  if( sqlite3_step(st)==SQLITE_ROW ) n = sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  return n;
}

/* Entries of the index: vectors of all rows. */
static int64_t count_rows(struct base *b){
  char *text = sqlite3_mprintf("SELECT coalesce(sum(length(vector)), 0)/%d FROM \"%w\".rows",
                               (int)sizeof(float)*b->width, b->schema);
  const int64_t n = count(b, text);

  sqlite3_free(text);
  return n;
}

/* Every row of the table once, rightly coded, with its key; every cell within its bounds. */
static int is_right(struct base *b, struct property *p, const char *where, uint64_t seed){
  struct buf report = { 0 };
  const unsigned long long printed = seed;
  const int64_t n = count_rows(b);
  int64_t n_rows = -1;
  int64_t n_seen;
  int good;

  if( b->err.rc==SQLITE_OK ) index_check(b->ix, &report, &n_seen, check_key, b, &b->err);
  if( b->err.rc==SQLITE_OK ) index_rows(b->ix, &n_rows, &b->err);
  good = holds(p, b->err.rc==SQLITE_OK && report.n==0 && n_seen==n && n_rows==n,
               "seed %llu, %s: %s %s", printed, where, b->err.text, buf_text(&report));
  for(int i=0; good && i<b->ix->n_cells; i++){
    const struct cell *c = b->ix->cells[i];
    const int least = cells_of(b->ix, c->group).n>1 ? cell_rows_least(b->ix) : 1;
    good = holds(p, c->n>=least && c->n<=b->ix->shape.cell_rows,
                 "seed %llu, %s: cell %lld has %d rows", printed, where, (long long)c->id, c->n);
  }
  buf_release(&report);
  return good;
}

/* ---- Long random sequences ---- */

/* Batches in transactions and savepoints that are kept or taken back. What memory holds must follow
** them. */
static void random_sequence(struct property *p, uint64_t seed, int cell_rows, const char *schema,
                            int has_groups){
  static struct rows batch;
  struct random r = random_of(seed);
  struct base b;

  open_with_parts(&b, ":memory:", schema, seed%3==0, cell_rows, 1);
  b.ix->shape.has_groups = has_groups;
  b.ix->cache_bytes = seed%2 ? 2000 : INDEX_CACHE_BYTES;        /* a handful of cells, or all */
  for(int step=0; step<60 && b.err.rc==SQLITE_OK; step++){
    const int is_kept = random_u64(&r)%3>0;
    const int share = step<30 ? 16 : (int)(random_u64(&r)%17);
    sql(&b, "SAVEPOINT outer");
    change_rows(&b, &batch, &r, 1 + (int)(random_u64(&r)%(step%10==0 ? 300 : 20)), 600, share);
    if( random_u64(&r)%4==0 ){
      sql(&b, "SAVEPOINT inner");
      change_rows(&b, &batch, &r, 30, 600, 8);
      sql(&b, "ROLLBACK TO inner; RELEASE inner");
      change_rows(&b, &batch, &r, 5, 600, 8);
    }
    if( random_u64(&r)%16==0 ) index_optimize(b.ix, &b.err);
    if( random_u64(&r)%40==0 ){
      sql(&b, "DELETE FROM rows");
      index_clear(b.ix, &b.err);
    }
    sql(&b, is_kept ? "RELEASE outer" : "ROLLBACK TO outer; RELEASE outer");
    if( step%4==0 && !is_right(&b, p, "in the sequence", seed) ) break;
  }
  is_right(&b, p, "at its end", seed);
  base_close(&b);
}

static void test_sequences(int has_groups){
  static const int cell_rows[] = { 4, 5, 8, 16, 256 };
  static const char *const schemas[] = { "main", "temp", "beside" };
  struct property p = { 0 };

  for(uint64_t seed=1; seed<=30; seed++){
    random_sequence(&p, seed, cell_rows[seed%5], schemas[seed%3], has_groups);
  }
  property_ok(&p, has_groups ? "index: the same with rows in groups: each cell has rows of one"
                  : "index: after random changes and rollbacks each row is in one cell, rightly"
                    " coded, and each cell within its bounds (seeds 1 to 30)");
}

/* ---- Two connections ---- */

static void test_two(int has_groups){
  static struct rows batch;
  const char *file = "build/test_index.db";
  struct property p = { 0 };
  struct random r = random_of(77);
  struct base both[2];

  unlink(file);
  unlink("build/test_index.db-wal");
  base_open(&both[0], file, "main", 8, 1);
  sql(&both[0], "PRAGMA journal_mode=wal; PRAGMA synchronous=off");
  base_open(&both[1], file, "main", 8, 0);
  both[0].ix->shape.has_groups = both[1].ix->shape.has_groups = has_groups;
  for(int step=0; step<60; step++){
    struct base *b = &both[random_u64(&r)%2];
    sql(b, "BEGIN IMMEDIATE");
    change_rows(b, &batch, &r, 20, 300, 12);
    sql(b, random_u64(&r)%4 ? "COMMIT" : "ROLLBACK");
    if( !is_right(b, &p, "the writer", 77) || !is_right(&both[step%2], &p, "one of the two", 77) ){
      break;
    }
  }
  property_ok(&p, has_groups ? "index: the same with rows in groups"
                  : "index: two connections that write in turns see each other's cells (seed 77)");
  base_close(&both[0]);
  base_close(&both[1]);
  unlink(file);
}

/* ---- The same history, the same bytes ---- */

static uint64_t hash_tables(struct base *b){
  sqlite3_stmt *st = NULL;
  uint64_t h = 0;

  sqlite3_prepare_v2(b->db, "SELECT C.id, n, stamp, centroid, rows FROM \"a \"\"t\"\"_cells\" C"
                     " LEFT JOIN \"a \"\"t\"\"_codes\" R ON R.id IN (C.id, -C.id)"
                     " ORDER BY C.id, R.id", -1, &st, NULL);
  while( sqlite3_step(st)==SQLITE_ROW ){
    for(int i=0; i<5; i++){
      h = h*31 + hash64(sqlite3_column_text(st, i), (size_t)sqlite3_column_bytes(st, i));
    }
  }
  sqlite3_finalize(st);
  return h;
}

static void test_same(void){
  static struct rows batch;
  uint64_t hashes[2];
  int64_t n_cells = 0;

  for(int k=0; k<2; k++){
    struct random r = random_of(5);
    struct base b;
    base_open(&b, ":memory:", "main", 8, 1);
    if( k==1 ) b.ix->cache_bytes = 1000;
    for(int step=0; step<50; step++){
      if( k==1 && step%3==0 ){          /* what memory has seen must not matter */
        struct random other = random_of((uint64_t)step);
        sql(&b, "SAVEPOINT s");
        change_rows(&b, &batch, &other, 50, 600, 12);
        sql(&b, "ROLLBACK TO s; RELEASE s");
      }
      change_rows(&b, &batch, &r, 30, 600, 12);
    }
    n_cells = count(&b, "SELECT count(*) FROM \"a \"\"t\"\"_cells\" WHERE id>0");
    hashes[k] = hash_tables(&b);
    ok(b.err.rc==SQLITE_OK && n_cells>20, "index: a history of 50 batches", "%s, %d cells",
       b.err.text, (int)n_cells);
    base_close(&b);
  }
  ok(hashes[0]==hashes[1], "index: the same history gives the same bytes,"
     " whatever was rolled back or cached between (seed 5)", "%llx %llx",
     (unsigned long long)hashes[0], (unsigned long long)hashes[1]);
}

/* ---- Rows that are all alike, and one large first batch ---- */

static void test_alike(void){
  enum { N = 3000 };
  static struct change rows[N];
  static float x[N*WIDTH];
  struct property p = { 0 };
  uint64_t key = 7;

  for(int variant=0; variant<3; variant++){
    struct random r = random_of(9);
    struct base b;
    base_open(&b, ":memory:", "main", variant==2 ? 256 : 16, 1);
    for(int i=0; i<N; i++){
      float *to = x + (size_t)i*WIDTH;
      memset(to, 0, sizeof(float)*WIDTH);
      to[0] = 1;                /* all are alike; or all but one in eight; or none */
      if( variant==2 || (variant==1 && i%8==0) ){
        for(int k=0; k<WIDTH; k++) to[k] = random_normal(&r);
      }
      normalize(to, WIDTH);
      rows[i] = (struct change){ i, to, 1, &key, 0 };
      put_row(&b, i, to, 7);
    }
    index_change(b.ix, NULL, 0, rows, N/2, &b.err);
    for(int i=N/2; i<N && b.err.rc==SQLITE_OK; i+=10){
      index_change(b.ix, NULL, 0, rows+i, 10, &b.err);
    }
    is_right(&b, &p, "filled", (uint64_t)variant);
    for(int i=0; i<N && b.err.rc==SQLITE_OK; i+=2){
      drop_row(&b, i);
      index_change(b.ix, rows+i, 1, NULL, 0, &b.err);
    }
    is_right(&b, &p, "half left", (uint64_t)variant);
    for(int i=1; i<N && b.err.rc==SQLITE_OK; i+=2){
      drop_row(&b, i);
      index_change(b.ix, rows+i, 1, NULL, 0, &b.err);
    }
    is_right(&b, &p, "all left", (uint64_t)variant);
    holds(&p, b.ix->n_cells==0, "variant %d: %d cells left", variant, b.ix->n_cells);
    base_close(&b);
  }
  property_ok(&p, "index: thousands of rows that are alike split into cells within bounds, and all"
                  " leave again");
}

/* ---- Errors ---- */

static void test_errors(void){
  struct base b;
  float x[WIDTH] = { 1 };
  float y[WIDTH] = { 0, 1 };
  uint64_t key = 1, other = 2;
  struct change row = { 3, x, 1, &key, 0 };
  struct change rekeyed = row;
  struct change moved = { 3, y, 1, &key, 0 };
  struct change twice[2] = { { 4, x, 1, &key, 0 }, { 4, y, 1, &key, 0 } };
  struct property p = { 0 };
  struct err e = { 0 };
  int64_t n;

  base_open(&b, ":memory:", "main", 4, 1);
  put_row(&b, 3, x, 1);
  index_change(b.ix, NULL, 0, &row, 1, &b.err);
  ok(index_change(b.ix, NULL, 0, &row, 1, &e)==SQLITE_CORRUPT,
     "index: a row that is there already is refused", "%s", e.text);
  e.rc = 0;
  ok(index_change(b.ix, NULL, 0, twice, 2, &e)==SQLITE_CORRUPT,
     "index: a row twice in a batch is refused", "%s", e.text);
  e.rc = 0;
  ok(index_change(b.ix, twice, 1, NULL, 0, &e)==SQLITE_CORRUPT && strstr(e.text, "row 4"),
     "index: a row that is not there cannot leave", "%s", e.text);
  is_right(&b, &p, "after refusals", 0);
  put_row(&b, 3, x, 2);
  rekeyed.keys = &other;
  index_change(b.ix, &row, 1, &rekeyed, 1, &b.err);
  is_right(&b, &p, "after other keys", 0);
  put_row(&b, 3, y, 2);
  moved.keys = &other;
  index_change(b.ix, &rekeyed, 1, &moved, 1, &b.err);
  is_right(&b, &p, "after a move", 0);
  index_rename(b.ix, "new'name", &b.err);
  is_right(&b, &p, "renamed", 0);
  index_close(b.ix);
  b.ix = NULL;
  index_drop(b.db, "main", "new'name", &b.err);
  property_ok(&p, "index: refusals, other keys, a move, a new name");
  e.rc = 0;
  attach_index(&b, 4, 0);
  ok(index_rows(b.ix, &n, &e)==SQLITE_CORRUPT, "index: shadow tables that are gone are damage",
     "%d %s", e.rc, e.text);
  base_close(&b);
}

/* ---- Damage ---- */

/* Flips a bit of a blob's byte; byte<0: bit -byte-1 of a number. */
static void flip(struct base *b, const char *what, int64_t id, int byte){
  char *text;

  if( byte<0 ){
    text = sqlite3_mprintf("UPDATE \"a \"\"t\"\"_cells\" SET %s = (~(%s & %lld)) & (%s | %lld)"
                           " WHERE id=%lld",
                           what, what, 1LL << -(byte+1), what, 1LL << -(byte+1), (long long)id);
  }else{
    const char *table = strcmp(what, "rows")==0 ? "codes" : "cells";    /* bytes: of id < 0 */
    text = sqlite3_mprintf("UPDATE \"a \"\"t\"\"_%s\" SET %s = CAST(substr(%s, 1, %d)"
                           " || (SELECT x FROM flipped WHERE b=substr(%s, %d, 1))"
                           " || substr(%s, %d) AS BLOB) WHERE id=%lld",
                           table, what, what, byte, what, byte+1, what, byte+2, (long long)id);
  }
  sql(b, text);
  sqlite3_free(text);
}

static int finds_damage(struct base *b){
  struct buf report = { 0 };
  struct err e = { 0 };
  int64_t n_seen;
  int found;

  index_check(b->ix, &report, &n_seen, NULL, NULL, &e);
  found = e.rc==SQLITE_OK && report.n>0;
  buf_release(&report);
  return found;
}

static void make_flipped(struct base *b){
  sql(b, "CREATE TEMP TABLE flipped(b BLOB, x BLOB)");
  for(int i=0; i<256; i++){
    char *text = sqlite3_mprintf("INSERT INTO flipped VALUES(x'%02x', x'%02x')", i, i ^ 1 << i%8);
    sql(b, text);
    sqlite3_free(text);
  }
}

static void test_damage(void){
  static struct rows batch;
  static const char *const other[] = {
    "DELETE FROM \"a \"\"t\"\"_cells\" WHERE id=2",
    "DELETE FROM \"a \"\"t\"\"_codes\" WHERE id=2",
    "DELETE FROM \"a \"\"t\"\"_codes\" WHERE id=-2",
    "UPDATE \"a \"\"t\"\"_cells\" SET id=99 WHERE id=2",
    "INSERT INTO \"a \"\"t\"\"_codes\" VALUES(99, x'00')",
    "INSERT INTO \"a \"\"t\"\"_codes\" VALUES(-99, x'00')",
    "INSERT INTO \"a \"\"t\"\"_codes\" VALUES(-9223372036854775807-1, x'00')",
    "DELETE FROM \"a \"\"t\"\"_cells\"",
    "UPDATE \"a \"\"t\"\"_codes\" SET rows=(SELECT rows FROM \"a \"\"t\"\"_codes\" WHERE id=1)"
      " WHERE id=2",
    "UPDATE \"a \"\"t\"\"_codes\" SET rows=zeroblob(length(rows)) WHERE id=-2",
    "UPDATE \"a \"\"t\"\"_cells\" SET centroid=NULL WHERE id=2",
    "UPDATE \"a \"\"t\"\"_codes\" SET rows='text' WHERE id=1",
    "UPDATE \"a \"\"t\"\"_cells\" SET n='many' WHERE id=1",
    "UPDATE rows SET vector=(SELECT vector FROM rows ORDER BY id DESC LIMIT 1)"
      " WHERE id=(SELECT min(id) FROM rows)",
    "DELETE FROM rows WHERE id=(SELECT min(id) FROM rows)",
  };
  struct random r = random_of(3);
  struct property flips = { 0 };
  struct property p = { 0 };
  struct base b;
  int64_t n_rows;
  int n;

  base_open(&b, ":memory:", "main", 4, 1);
  change_rows(&b, &batch, &r, 14, 600, 16);
  make_flipped(&b);
  is_right(&b, &p, "before damage", 3);
  n = b.ix->n_cells;
  for(int id=0; id<=n && index_rows(b.ix, &n_rows, &b.err)==SQLITE_OK; id++){
    const int row_bytes = 8 + 10 + 8*N_KEYS + (WIDTH+7)/8;
    const int n_here = id==0 ? 0 : b.ix->cells[id-1]->n;
    const int codes_bytes = id==0 ? 0 : 8 + n_here*row_bytes;
    const int centroid_bytes = id==0 ? 0 : 4*WIDTH;
    for(int i=-63-64; i<centroid_bytes+codes_bytes && b.err.rc==SQLITE_OK; i++){
      const char *what = i<-63 ? "n" : i<0 ? "stamp" : i<centroid_bytes ? "centroid" : "rows";
      sql(&b, "SAVEPOINT damage");
      flip(&b, what, id, i<-63 ? (i+63)%31-1 : i<centroid_bytes ? i : i - centroid_bytes);
      holds(&flips, finds_damage(&b), "%s of cell %d, %d", what, id, i);
      sql(&b, "ROLLBACK TO damage; RELEASE damage");
    }
    for(int i=0; i<n_here*WIDTH && b.err.rc==SQLITE_OK; i++){
      sql(&b, "SAVEPOINT damage");
      flip(&b, "rows", -id, i);
      holds(&flips, finds_damage(&b), "bytes of cell %d, %d", id, i);
      sql(&b, "ROLLBACK TO damage; RELEASE damage");
    }
  }
  holds(&flips, n>2 && b.err.rc==SQLITE_OK, "%d cells, %s", n, b.err.text);
  property_ok(&flips, "index: index_check finds every flipped byte of cells and codes");
  for(int i=0; i<(int)(sizeof(other)/sizeof(other[0])); i++){
    sql(&b, "SAVEPOINT damage");
    sql(&b, other[i]);
    holds(&p, finds_damage(&b), "%s", other[i]);
    sql(&b, "ROLLBACK TO damage; RELEASE damage");
  }
  is_right(&b, &p, "after damage taken back", 3);
  property_ok(&p, "index: index_check finds cells that are missing, stray, swapped, or coded from"
                  " other vectors");
  base_close(&b);
}

/* ---- Out of memory ---- */

/* The whole life of a small index while one allocation fails. It ends well or with SQLITE_NOMEM,
** and leaves nothing behind. */
static int life(void){
  static struct rows batch;
  struct random r = random_of(11);
  struct buf report = { 0 };
  struct base b;
  int64_t n;
  int rc;

  base_open(&b, ":memory:", "main", 4, 1);
  for(int step=0; step<6 && b.err.rc==SQLITE_OK; step++){
    if( step==3 ) b.ix->cache_bytes = 500;
    change_rows(&b, &batch, &r, 25, 60, 12);
    if( step==4 && b.err.rc==SQLITE_OK ) index_forget(b.ix);
  }
  if( b.err.rc==SQLITE_OK ) index_optimize(b.ix, &b.err);
  if( b.err.rc==SQLITE_OK ) index_check(b.ix, &report, &n, NULL, NULL, &b.err);
  if( b.err.rc==SQLITE_OK ) index_rename(b.ix, "other", &b.err);
  if( b.err.rc==SQLITE_OK ) index_clear(b.ix, &b.err);
  rc = b.err.rc==SQLITE_OK && report.n>0 ? SQLITE_CORRUPT : b.err.rc;
  buf_release(&report);
  index_close(b.ix);
  sqlite3_finalize(b.get);
  sqlite3_finalize(b.put);
  sqlite3_finalize(b.drop);
  if( sqlite3_close(b.db)!=SQLITE_OK ) rc = SQLITE_ERROR;
  return rc;
}

static void test_memory(void){
  struct property p = { 0 };
  long n;

  fault_set(0, 0);
  holds(&p, life()==SQLITE_OK, "without a failure");
  n = fault.seen;
  for(long at=1; at<=n && p.n_bad==0; at+=1 + n/3000){
    const sqlite3_int64 before = sqlite3_memory_used();
    int rc;
    fault_set(at, at%2);
    rc = life();
    fault_set(0, 0);
    holds(&p, rc==SQLITE_OK || rc==SQLITE_NOMEM || rc==SQLITE_ERROR, "allocation %ld of %ld: %d",
          at, n, rc);
    holds(&p, sqlite3_memory_used()==before, "allocation %ld of %ld: %lld bytes left", at, n,
          (long long)(sqlite3_memory_used() - before));
  }
  property_ok(&p, "index: out of memory at every allocation leaves nothing behind");
}

/* ---- Where rows lie ---- */

/* Splits and reassignment exist so that rows lie in the cell with the nearest centroid. Rows come
** one cluster after the other, so that cells made for the first ones split again and again. All
** rows leave at once, and those that are elsewhere are counted: 0.068. Without the reassignment of
** the parts it is 0.096, without that of the neighbours 0.22, without both 0.33. */
static void test_nearest_cell(void){
  enum { N = 6000, BATCH = 60 };
  static float x[N*WIDTH];
  static struct change rows[N];
  static const uint64_t key = 5;
  struct random r = random_of(31);
  struct base b;
  double share;

  base_open(&b, ":memory:", "main", 32, 1);
  for(int i=0; i<N; i++){
    struct random centre = random_of(100 + (uint64_t)i/150);
    for(int k=0; k<WIDTH; k++) x[i*WIDTH+k] = random_normal(&centre) + 0.7f*random_normal(&r);
    normalize(x + i*WIDTH, WIDTH);
    rows[i] = (struct change){ i+1, x + i*WIDTH, 1, &key, 0 };
  }
  sql(&b, "BEGIN");
  for(int i=0; i<N && b.err.rc==SQLITE_OK; i+=BATCH){
    for(int k=i; k<i+BATCH; k++) put_row(&b, k+1, x + k*WIDTH, 5);
    index_change(b.ix, NULL, 0, rows+i, BATCH, &b.err);
  }
  index_change(b.ix, rows, N, NULL, 0, &b.err);
  sql(&b, "COMMIT");
  share = b.ix->n_left ? (double)b.ix->n_strayed/(double)b.ix->n_left : 1;
  ok(b.err.rc==SQLITE_OK && b.ix->n_left==N && share<0.08,
     "index: rows lie in the cell with the nearest centroid", "%.4f of %d do not; %s",
     share, N, b.err.text);
  base_close(&b);
}

/* ---- Nearest ---- */

static void test_nearest(void){
  enum { N = 300, CELLS = 150, W = 37 };
  static float x[N*W], centroids[CELLS*W], halves[CELLS];
  struct centroids to = { .centroids = centroids, .halves = halves, .n = CELLS, .width = W };
  struct property p = { 0 };
  struct random r = random_of(21);
  struct arena a = { 0 };
  int nearest[N];

  for(int i=0; i<N*W; i++) x[i] = random_normal(&r);
  for(int i=0; i<CELLS*W; i++) centroids[i] = random_normal(&r);
  for(int i=0; i<CELLS; i++) halves[i] = 0.5f*dot(centroids + i*W, centroids + i*W, W);
  for(int k=1; k<=N; k+=k<80 ? 1 : 44){
    nearest_of(&to, x, k, nearest, arena_floats(&a, nearest_scratch(W)));
    for(int i=0; i<k; i++){
      int best = 0;
      for(int c=1; c<CELLS; c++){
        float here = dot(x + i*W, centroids + c*W, W) - halves[c];
        if( here>dot(x + i*W, centroids + best*W, W) - halves[best] ) best = c;
      }
      holds(&p, nearest[i]==best, "of %d, row %d: %d, expected %d", k, i, nearest[i], best);
    }
  }
  arena_release(&a);
  property_ok(&p, "index: the nearest centroids of many vectors at once are those of each alone");
}

int main(void){
  setvbuf(stdout, NULL, _IOLBF, 0);
  if( fault_install()!=SQLITE_OK ) return 2;
  test_nearest_cell();
  test_nearest();
  test_sequences(0);
  test_sequences(1);
  test_two(0);
  test_two(1);
  test_same();
  test_alike();
  test_errors();
  test_damage();
  test_memory();
  return n_not_ok>0;
}
