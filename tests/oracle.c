/*
** oracle.c -- long random sequences of everything that can be done to a virtual table, beside a
** plain table (twin.h).
**
**   oracle [--verbose] MODEL FOLDER
**       the campaigns of `make check`, with fixed seeds
**   oracle [--verbose] MODEL FOLDER KIND SEED STEPS
**       one campaign; the line of a campaign that failed says which
**   oracle MODEL FOLDER --soak SECONDS [SEED]
**       campaigns with new seeds, which are printed, until the time has passed
**
** Each step draws one act from ACTS: a change, a piece of a transaction, a reopening, a command,
** another connection's writing, a change of the schema, other weights, or a query with a random
** filter, limit, offset, order and bound. What t gives is compared with p at once. What must hold:
**
**   - A statement succeeds for t exactly when it does for p, and the rows are the same after it.
**   - A query's rows come in ascending distance, each once, each with its true distance. They are
**     exactly those that brute force gives, unless the table is large and there is a LIMIT without
**     ORDER BY. Then the mean share of the true ones over the campaign is at least 0.95, and the
**     order may begin anew once, after 100 rows.
**   - Pages of a query, joined, are the whole.
**   - By words, a query's rows are those that have the word. By words and meaning, they are all.
**   - 'integrity-check' finds nothing, whenever it is asked.
**   - While a column that t reads is called otherwise, or the weights are others, t gives the right
**     rows or an error, never other rows.
**
** With --verbose every statement is printed as it is run. FOLDER is where the databases are.
*/
#include "meaning.h"
#include "twin.h"
#include <time.h>

enum { MOST_SAVEPOINTS = 5, LARGE = 4096 };

static const struct kind KINDS[] = {
  { .name = "tiny cells", .content = VECTORS, .width = 16,
    .n_filters = 1, .cell_rows = 8, .n_rows = 150 },
  { .name = "tiniest cells, three filters", .content = VECTORS, .width = 7,
    .n_filters = 3, .cell_rows = 4, .n_rows = 120 },
  { .name = "no filters", .content = VECTORS, .width = 65, .cell_rows = 8, .n_rows = 100 },
  { .name = "cells of 256", .content = VECTORS, .width = 24, .n_filters = 3, .n_rows = 900 },
  { .name = "large", .content = VECTORS, .width = 24,
    .n_filters = 1, .cell_rows = 32, .n_rows = 6000 },
  { .name = "texts", .content = TEXTS, .n_filters = 3, .cell_rows = 8, .n_rows = 90 },
  { .name = "notes", .content = NOTES, .n_filters = 3, .cell_rows = 8, .n_rows = 90 },
  { .name = "one number", .content = VECTORS, .width = 1,
    .n_filters = 1, .cell_rows = 4, .n_rows = 60 },
  { .name = "texts with words", .content = TEXTS, .n_filters = 1, .cell_rows = 8, .n_rows = 90,
    .words = 1 },
  { .name = "notes with words", .content = NOTES, .n_filters = 1, .cell_rows = 8, .n_rows = 90,
    .words = 1 },
  { .name = "partitions", .content = VECTORS, .width = 16,
    .n_filters = 3, .cell_rows = 8, .n_rows = 400, .is_parted = 1 },
  { .name = "partitions of notes", .content = NOTES, .n_filters = 3, .cell_rows = 4, .n_rows = 90,
    .is_parted = 1 },
  { .name = "titles and texts", .content = TEXTS, .n_filters = 1, .cell_rows = 8, .n_rows = 90,
    .words = 1, .is_titled = 1 },
  { .name = "titles and notes", .content = NOTES, .n_filters = 3, .cell_rows = 8, .n_rows = 90,
    .is_titled = 1 },
};
enum { N_KINDS = sizeof(KINDS)/sizeof(KINDS[0]), KIND_LARGE = 4 };

static char other_model[700];   /* path of weights that are the same under another fingerprint */

struct world {
  const struct kind *kind;
  unsigned long long seed;
  struct random random;
  char path[600];
  int is_wal;
  sqlite3 *db;
  sqlite3 *reader;              /* another connection with a read transaction open; NULL: none */
  sqlite3_stmt *held;           /* a query of db that is pulled a little now and then; NULL: none */
  struct list held_rows;        /* what it has given */
  int held_falls;               /* how often its order has begun anew */
  int in_transaction, n_savepoints;
  sqlite3_int64 n_rows;         /* of p, about */
  long n_writes, n_queries, n_refused;
  long n_ranked;                /* queries that need not be exact */
  double shares;                /* of these, summed */
  char why[WHY];                /* the first thing that must not be; empty: none */
  char last[4][400];            /* the last statements, the newest last */
};
static int verbose = 0;

static int bad(const struct world *w){
  return w->why[0]!=0;
}

static int draw(struct world *w, int n){
  return below(&w->random, n);
}

static void say(struct world *w, const char *sql){
  memmove(w->last[0], w->last[1], sizeof(w->last) - sizeof(w->last[0]));
  snprintf(w->last[3], sizeof(w->last[3]), "%s", sql);
  if( verbose ) printf("%s;\n", sql);
}

/* ---- Statements: %T stands for the table ---- */
/* The template with a name in the place of each %T (sqlite3_free). */
static char *named(const char *template, const char *table){
  sqlite3_str *s = sqlite3_str_new(NULL);
  const char *at;
  while( (at = strstr(template, "%T"))!=NULL ){
    sqlite3_str_append(s, template, (int)(at-template));
    sqlite3_str_appendall(s, table);
    template = at+2;
  }
  sqlite3_str_appendall(s, template);
  return sqlite3_str_finish(s);
}

static int run(struct world *w, sqlite3 *db, const char *sql){
  if( verbose && db!=w->db ) printf("-- another connection:\n");
  say(w, sql);
  return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* Runs a statement that must succeed. */
static void must(struct world *w, sqlite3 *db, const char *sql){
  int rc = run(w, db, sql);
  if( rc!=SQLITE_OK && !bad(w) ) why_not(w->why, "error %d, %s", rc, sqlite3_errmsg(db));
}

/* OR ROLLBACK, or a trigger of the user's, has ended the transaction. */
static int was_rolled_back(struct world *w, sqlite3 *db, int was_in_transaction){
  if( !was_in_transaction || !sqlite3_get_autocommit(db) ) return 0;
  if( db==w->db ) w->in_transaction = w->n_savepoints = 0;
  return 1;
}

/* Runs a change on t and p (on p alone where t follows it). Both must accept it, or both refuse it
** for a constraint; if t's refusal has rolled everything back, p is not asked. Returns whether they
** accepted it. */
static int change(struct world *w, sqlite3 *db, const char *template){
  char *sql_t = named(template, "t");
  char *sql_p = named(template, "p");
  char told[200] = "";
  int was_in_transaction = !sqlite3_get_autocommit(db);
  int rc_t = SQLITE_OK, rc_p;
  if( w->kind->content!=NOTES ){
    rc_t = run(w, db, sql_t);
    snprintf(told, sizeof(told), "%s", sqlite3_errmsg(db));
  }
  if( was_rolled_back(w, db, was_in_transaction) ) rc_p = rc_t;
  else rc_p = run(w, db, sql_p);
  was_rolled_back(w, db, was_in_transaction);
  if( w->kind->content==NOTES ) rc_t = rc_p;
  if( (rc_t!=SQLITE_OK || rc_p!=SQLITE_OK) && !bad(w)
      && ((rc_t&0xff)!=(rc_p&0xff) || (rc_p&0xff)!=SQLITE_CONSTRAINT) ){
    why_not(w->why, "t gives %d (%s), p %d (%s)", rc_t, told, rc_p, sqlite3_errmsg(db));
  }
  w->n_writes++;
  w->n_refused += rc_p!=SQLITE_OK;
  sqlite3_free(sql_t);
  sqlite3_free(sql_p);
  return rc_p==SQLITE_OK;
}

/* ---- Values and conditions ---- */
static const char *const X_VALUES[] = {
  "NULL", "0", "1", "2", "3", "4", "5", "6", "7", "-3",
  "9007199254740993", "-9223372036854775808", "9223372036854775807",
};
static const char *const Y_VALUES[] = {
  "NULL", "0.0", "0.25", "0.5", "-1.5", "3.0", "1e300", "-9e999", "9e999", "1e-300", "7.0",
};
static const char *const Z_VALUES[] = {
  "NULL", "''", "'de'", "'en'", "'EN'", "'fr'",
  "'a long prefix, then one'", "'a long prefix, then two'", "'\xc3\xa9t\xc3\xa9'", "'7'",
};
#define ONE_OF(w, values) ((values)[draw((w), sizeof(values)/sizeof((values)[0]))])

static const char *const COMPARE[] = {
  "=", "<", "<=", ">", ">=", "<>", "IS", "IS NOT", "==",
};

static const char *value_of_filter(struct world *w, int column){
  return column==0 ? ONE_OF(w, X_VALUES) : column==1 ? ONE_OF(w, Y_VALUES) : ONE_OF(w, Z_VALUES);
}

static sqlite3_int64 rowid_draw(struct world *w){
  if( draw(w, 60)!=0 ) return draw(w, 2*w->kind->n_rows) - 4;
  return draw(w, 2) ? INT64_MIN + draw(w, 3) : 4000000000LL + draw(w, 3);
}

/* A condition on the rowid. */
static void condition_rowid(struct world *w, sqlite3_str *s, int reads_p){
  long long a = rowid_draw(w);
  long long b = rowid_draw(w);
  switch( reads_p ? draw(w, 7) : draw(w, 3) ){
    case 0:
      sqlite3_str_appendf(s, "rowid %s %lld", ONE_OF(w, COMPARE), a);
      break;
    case 1:
      sqlite3_str_appendf(s, "rowid BETWEEN %lld AND %lld", a<b ? a : b, a<b ? b : a);
      break;
    case 2:
      sqlite3_str_appendf(s, "rowid IN (%lld, %lld, 7, 7, NULL, 'x', 8.0)", a, b);
      break;
    case 3:
      sqlite3_str_appendf(s, "rowid IN (SELECT id FROM p WHERE id%%%d=0)", 2+draw(w, 5));
      break;
    case 4:
      sqlite3_str_appendf(s, "rowid %s %d.5", ONE_OF(w, COMPARE), draw(w, w->kind->n_rows));
      break;
    case 5:
      sqlite3_str_appendf(s, "rowid %s '%lld'", ONE_OF(w, COMPARE), a);
      break;
    default:
      sqlite3_str_appendf(s, "rowid %% %d = 1", 2+draw(w, 3));
      break;
  }
}

/* Appends one condition on filter columns or the rowid. reads_p: it may ask p. It may not while p
** is being changed, because SQLite may ask in the midst of the change. alone: it is not a side of
** an OR. SQLite before 3.50 or so makes an IN of an OR and forgets COLLATE; it then loses rows,
** of a plain table with an index too. */
static void condition_one(struct world *w, sqlite3_str *s, int reads_p, int alone){
  int column = draw(w, w->kind->n_filters+2) - 1;
  char name = "xyz"[column<0 ? 0 : column];
  if( column<0 || column>=w->kind->n_filters ){
    condition_rowid(w, s, reads_p);
    return;
  }
  switch( reads_p ? draw(w, 12) : draw(w, 6) ){
    case 0: case 1: case 2: case 3:
      sqlite3_str_appendf(s, "%c %s %s", name, ONE_OF(w, COMPARE), value_of_filter(w, column));
      break;
    case 4:
      sqlite3_str_appendf(s, "%c BETWEEN %s AND %s", name, value_of_filter(w, column),
                          value_of_filter(w, column));
      break;
    case 5:
      sqlite3_str_appendf(s, "%c IN (%s, %s, %s)", name, value_of_filter(w, column),
                          value_of_filter(w, column), value_of_filter(w, column));
      break;
    case 6:
      sqlite3_str_appendf(s, "%c IN (SELECT %c FROM p WHERE id < %d)", name, name,
                          draw(w, w->kind->n_rows));
      break;
    case 7:
      sqlite3_str_appendf(s, "%c %s", name, draw(w, 2) ? "IS NULL" : "IS NOT NULL");
      break;
    case 8:                     /* another type's value */
      sqlite3_str_appendf(s, "%c %s %s", name, ONE_OF(w, COMPARE), value_of_filter(w, draw(w, 3)));
      break;
    case 9:
      sqlite3_str_appendf(s, "%c %s 'EN' COLLATE NOCASE", name, alone ? "=" : ">");
      break;
    case 10:
      sqlite3_str_appendf(s, "%c %s", name, draw(w, 2) ? "LIKE 'e%'" : "GLOB 'a long*'");
      break;
    default:
      sqlite3_str_appendf(s, "%c || '' %s %s", name, ONE_OF(w, COMPARE),
                          value_of_filter(w, column));
      break;
  }
}

/* Up to three of them, or NULL (sqlite3_free). */
static char *condition(struct world *w, int reads_p){
  sqlite3_str *s = sqlite3_str_new(NULL);
  int n = draw(w, 4);
  int either = draw(w, 6)==0;
  for(int i=0; i<n; i++){
    if( i>0 ) sqlite3_str_appendall(s, either ? " OR " : " AND ");
    condition_one(w, s, reads_p, !either || n==1);
  }
  return sqlite3_str_finish(s);
}

/* The condition of a query: one with partitions says which. */
static char *condition_of_query(struct world *w){
  static const char *const WAYS[] = { "x IS %s", "x IS %s", "x = %s", "x = (SELECT %s)" };
  char *where = condition(w, 1);
  char *which, *both;
  if( !w->kind->is_parted ) return where;
  which = sqlite3_mprintf(ONE_OF(w, WAYS), value_of_filter(w, 0));
  both = sqlite3_mprintf("%s AND (%s)", which, where ? where : "1");
  sqlite3_free(which);
  sqlite3_free(where);
  return both;
}

/* ---- Changes ---- */
/* "(rowid, content, x, y, z)" */
static void columns_append(struct world *w, sqlite3_str *s){
  sqlite3_str_appendf(s, "(rowid, %s%s%s)", content_column(w->kind),
                      FILTER_NAMES[w->kind->n_filters], w->kind->is_titled ? ", title" : "");
}

static void row_append(struct world *w, sqlite3_str *s, sqlite3_int64 rowid){
  char content[LITERAL] = "NULL";
  if( draw(w, 10) ) content_literal(content, &w->random, w->kind);
  sqlite3_str_appendf(s, "(%lld, %s", rowid, content);
  for(int i=0; i<w->kind->n_filters; i++) sqlite3_str_appendf(s, ", %s", value_of_filter(w, i));
  if( w->kind->is_titled ){
    strcpy(content, "NULL");
    if( draw(w, 4) ) content_literal(content, &w->random, w->kind);
    sqlite3_str_appendf(s, ", %s", content);
  }
  sqlite3_str_appendall(s, ")");
}

static const char *const ON_CONFLICT[] = {
  "", "", " OR REPLACE", " OR REPLACE", " OR IGNORE", " OR ABORT", " OR FAIL", " OR ROLLBACK",
};

static const char *on_conflict(struct world *w){
  return ONE_OF(w, ON_CONFLICT);
}

static void insert_rows(struct world *w, sqlite3 *db, int n){
  sqlite3_str *s = sqlite3_str_new(NULL);
  char *sql;
  sqlite3_str_appendf(s, "INSERT%s INTO %%T", on_conflict(w));
  columns_append(w, s);
  sqlite3_str_appendall(s, " VALUES ");
  for(int i=0; i<n; i++){
    if( i>0 ) sqlite3_str_appendall(s, ", ");
    row_append(w, s, rowid_draw(w));
  }
  sql = sqlite3_str_finish(s);
  change(w, db, sql);
  sqlite3_free(sql);
}

static void act_insert(struct world *w){
  insert_rows(w, w->db, 1);
}

static void act_insert_many(struct world *w){
  insert_rows(w, w->db, 2 + draw(w, w->kind->n_rows/6 + 6));
}

/* t chooses the rowid; p takes the same. */
static void act_insert_auto(struct world *w){
  sqlite3_str *s = sqlite3_str_new(NULL);
  const char *filters = FILTER_NAMES[w->kind->n_filters];
  const char *column = content_column(w->kind);
  char content[LITERAL] = "NULL";
  char *sql;
  int follows = w->kind->content==NOTES;
  if( draw(w, 10) ) content_literal(content, &w->random, w->kind);
  sqlite3_str_appendf(s, "INSERT INTO %s(%s%s) VALUES (%s", follows ? "p" : "t", column, filters,
                      content);
  for(int i=0; i<w->kind->n_filters; i++) sqlite3_str_appendf(s, ", %s", value_of_filter(w, i));
  sqlite3_str_appendall(s, ")");
  sql = sqlite3_str_finish(s);
  if( follows ) change(w, w->db, sql);          /* a trigger of the user's may refuse the row */
  else must(w, w->db, sql);
  sqlite3_free(sql);
  if( follows || bad(w) ) return;
  sql = sqlite3_mprintf("INSERT INTO p(id, %s%s) SELECT rowid, %s%s FROM t WHERE rowid=%lld",
                        column, filters, column, filters, sqlite3_last_insert_rowid(w->db));
  must(w, w->db, sql);
  if( sqlite3_changes(w->db)!=1 && !bad(w) ){
    why_not(w->why, "last_insert_rowid() is not the rowid");
  }
  sqlite3_free(sql);
  w->n_writes++;
}

static void act_insert_select(struct world *w){
  char *where = condition(w, 0);
  char *columns = sqlite3_mprintf("%s%s", content_column(w->kind),
                                  FILTER_NAMES[w->kind->n_filters]);
  char *sql = sqlite3_mprintf("INSERT INTO %%T(rowid, %s) SELECT rowid+%d, %s FROM %%T WHERE (%s)"
                              " AND rowid BETWEEN 0 AND %d", columns, w->kind->n_rows+draw(w, 900),
                              columns, where ? where : "1", w->kind->n_rows/4);
  if( w->n_rows<w->kind->n_rows ) change(w, w->db, sql);
  sqlite3_free(sql);
  sqlite3_free(columns);
  sqlite3_free(where);
}

/* One row, or those that a condition names. */
static char *rows_named(struct world *w){
  char *where = draw(w, 3)==0 ? condition(w, 0) : NULL;
  return where ? where : sqlite3_mprintf("rowid = %lld", rowid_draw(w));
}

static void update_title(struct world *w){
  char content[LITERAL] = "NULL";
  char *where = rows_named(w);
  const char *also = draw(w, 3)==0 ? ", body = NULL" : "";
  char *sql;
  if( draw(w, 3) ) content_literal(content, &w->random, w->kind);
  sql = sqlite3_mprintf("UPDATE %%T SET title = %s%s WHERE %s", content, also, where);
  change(w, w->db, sql);
  sqlite3_free(sql);
  sqlite3_free(where);
}

static void act_update_content(struct world *w){
  char *sql;
  char content[LITERAL] = "NULL";
  char *where = rows_named(w);
  int column = draw(w, 3);
  if( w->kind->is_titled && draw(w, 2) ) update_title(w);
  if( draw(w, 8) ) content_literal(content, &w->random, w->kind);
  if( column<w->kind->n_filters && draw(w, 2) ){
    sql = sqlite3_mprintf("UPDATE %%T SET %s = %s, %c = %s WHERE %s", content_column(w->kind),
                          content, "xyz"[column], value_of_filter(w, column), where);
  }else{
    sql = sqlite3_mprintf("UPDATE %%T SET %s = %s WHERE %s", content_column(w->kind), content,
                          where);
  }
  change(w, w->db, sql);
  sqlite3_free(sql);
  sqlite3_free(where);
}

static void act_update_filter(struct world *w){
  char *where = rows_named(w);
  char *sql = NULL;
  int column = draw(w, 3);
  if( column<w->kind->n_filters ){
    sql = sqlite3_mprintf("UPDATE %%T SET %c = %s WHERE %s", "xyz"[column],
                          value_of_filter(w, column), where);
  }
  if( sql ) change(w, w->db, sql);
  sqlite3_free(sql);
  sqlite3_free(where);
}

static void act_update_rowid(struct world *w){
  const char *how = on_conflict(w);
  char *sql = sqlite3_mprintf("UPDATE%s %%T SET rowid = %lld WHERE rowid = %lld", how,
                              rowid_draw(w), rowid_draw(w));
  change(w, w->db, sql);
  sqlite3_free(sql);
}

static void act_delete(struct world *w){
  char *where = rows_named(w);
  char *sql = sqlite3_mprintf("DELETE FROM %%T WHERE %s", where);
  if( draw(w, 3)==0 || strncmp(where, "rowid = ", 8)==0 ) change(w, w->db, sql);
  sqlite3_free(sql);
  sqlite3_free(where);
}

/* Half of the rows, so that cells empty and merge; seldom all. */
static void act_delete_many(struct world *w){
  if( draw(w, 6)==0 ){
    change(w, w->db, "DELETE FROM %T");
  }else if( draw(w, 2) ){
    change(w, w->db, "DELETE FROM %T WHERE rowid%2=0");
  }else{
    change(w, w->db, "DELETE FROM %T WHERE rowid%3");
  }
}

/* The rows nearest to something, deleted while the query that names them is open. */
static void act_delete_nearest(struct world *w){
  char query[LITERAL];
  char *sql;
  struct list l = { 0 };
  sqlite3_str *s = sqlite3_str_new(NULL);
  const char *where = w->kind->is_parted ? "x IS 3" : "1";
  content_literal(query, &w->random, w->kind);
  sql = sqlite3_mprintf("SELECT rowid FROM t(%s) WHERE %s LIMIT %d", query, where, 1+draw(w, 12));
  if( list_fill(&l, w->db, sql)!=SQLITE_OK && !bad(w) ){
    why_not(w->why, "%s", sqlite3_errmsg(w->db));
  }
  sqlite3_free(sql);
  sqlite3_str_appendall(s, "DELETE FROM p WHERE id IN (-100");
  for(int i=0; i<l.n; i++) sqlite3_str_appendf(s, ", %lld", l.rows[i].rowid);
  sqlite3_str_appendall(s, ")");
  if( w->kind->content!=NOTES ){
    sql = sqlite3_mprintf("DELETE FROM t WHERE rowid IN"
                          " (SELECT rowid FROM t(%s) WHERE %s LIMIT %d)", query, where, l.n);
    must(w, w->db, sql);
    sqlite3_free(sql);
  }
  sql = sqlite3_str_finish(s);
  must(w, w->db, sql);
  sqlite3_free(sql);
  free(l.rows);
  w->n_writes++;
}

/* ---- Transactions and connections ---- */
static void held_close(struct world *w){
  sqlite3_finalize(w->held);
  w->held = NULL;
  w->held_rows.n = 0;
  w->held_falls = 0;
}

static void act_begin(struct world *w){
  if( w->in_transaction ) return;
  must(w, w->db, draw(w, 2) ? "BEGIN" : "BEGIN IMMEDIATE");
  w->in_transaction = 1;
}

static void act_end(struct world *w){
  if( !w->in_transaction ) return;
  must(w, w->db, draw(w, 2) ? "ROLLBACK" : "COMMIT");
  w->in_transaction = 0;
  w->n_savepoints = 0;
}

static void act_savepoint(struct world *w){
  char sql[60];
  if( w->n_savepoints==MOST_SAVEPOINTS || !w->in_transaction ) return;
  snprintf(sql, sizeof(sql), "SAVEPOINT s%d", w->n_savepoints++);
  must(w, w->db, sql);
}

static void act_savepoint_end(struct world *w){
  char sql[60];
  int i;
  if( w->n_savepoints==0 ) return;
  i = draw(w, w->n_savepoints);
  if( draw(w, 3) ){
    snprintf(sql, sizeof(sql), "ROLLBACK TO s%d", i);
    w->n_savepoints = i+1;
  }else{
    snprintf(sql, sizeof(sql), "RELEASE s%d", i);
    w->n_savepoints = i;
  }
  must(w, w->db, sql);
}

/* An open transaction is lost with the connection. */
static void act_reopen(struct world *w){
  held_close(w);
  say(w, "-- closed and opened again");
  if( sqlite3_close(w->db)!=SQLITE_OK ) why_not(w->why, "closing: %s", sqlite3_errmsg(w->db));
  w->in_transaction = 0;
  w->n_savepoints = 0;
  w->db = connect_to(w->path, NULL);
  if( w->db==NULL ){
    why_not(w->why, "cannot be opened again");
  }else{
    must(w, w->db, "PRAGMA synchronous=OFF");
  }
}

/* A snapshot: what it shows must stay as it is while db writes. Only where readers and a writer
** may be side by side. */
static void act_reader(struct world *w){
  if( w->reader ){
    must(w, w->reader, "COMMIT");
    sqlite3_close(w->reader);
    w->reader = NULL;
    return;
  }
  if( w->is_wal ) w->reader = connect_to(w->path, NULL);
  if( w->reader==NULL ) return;
  must(w, w->reader, "BEGIN");
  must(w, w->reader, draw(w, 2) ? "SELECT count(*) FROM p" : "SELECT count(*) FROM t");
}

/* db's memory of the table is stale after this. */
static void act_other_writes(struct world *w){
  sqlite3 *other;
  if( w->in_transaction ) return;
  held_close(w);
  /* After a statement that failed SQLite 3.40 keeps a read lock where FTS5 wrote, with or without
  ** us, until the next statement. */
  if( w->kind->words ) must(w, w->db, "SELECT count(*) FROM p");
  other = connect_to(w->path, NULL);
  must(w, other, "PRAGMA synchronous=OFF");
  if( draw(w, 2) ) must(w, other, "BEGIN");
  insert_rows(w, other, 1 + draw(w, 12));
  if( draw(w, 3)==0 ) change(w, other, "DELETE FROM %T WHERE rowid%4=1");
  if( !sqlite3_get_autocommit(other) ) must(w, other, draw(w, 5) ? "COMMIT" : "ROLLBACK");
  sqlite3_close(other);
}

static void act_vacuum(struct world *w){
  if( w->in_transaction || w->reader ) return;
  held_close(w);
  must(w, w->db, "VACUUM");
}

static int follows(const struct world *w){
  return w->kind->content==NOTES;
}

static void act_optimize(struct world *w){
  must(w, w->db, "INSERT INTO t(t) VALUES('optimize')");
}

static void act_rebuild(struct world *w){
  must(w, w->db, "INSERT INTO t(t) VALUES('rebuild')");
}

/* While a 'rebuild' is under way t has all rows, and finds those that have a latent. */
static void halfway_agrees(struct world *w){
  char content[LITERAL];
  char *sql;
  int rc;
  content_literal(content, &w->random, w->kind);
  sql = sqlite3_mprintf(w->kind->is_parted ?
                        "SELECT (SELECT count(*) FROM (SELECT DISTINCT x FROM p) AS d, t(%s) AS n"
                        " WHERE n.x IS d.x) - (SELECT count(*) FROM t WHERE latent IS NOT NULL)" :
                        "SELECT (SELECT count(*) FROM t(%s)) -"
                        " (SELECT count(*) FROM t WHERE latent IS NOT NULL)", content);
  if( !bad(w) ) scans_agree(w->db, w->kind, &rc, w->why);
  if( !bad(w) && integer_of(w->db, sql, -1)!=0 ){
    why_not(w->why, "halfway: a query does not give the rows that have a latent");
  }
  sqlite3_free(sql);
  if( draw(w, 3)==0 ) must(w, w->db, "INSERT INTO t(t) VALUES('integrity-check')");
}

static void any_change(struct world *w){
  switch( draw(w, 5) ){
    case 0: insert_rows(w, w->db, 1 + draw(w, 9)); break;
    case 1: act_update_content(w); break;
    case 2: act_update_filter(w); break;
    case 3: act_update_rowid(w); break;
    default: act_delete(w);
  }
}

static void rebuild_in_steps(struct world *w, int with_changes){
  const char *is_begun = "SELECT count(*) FROM latent_progress('t') WHERE phase='rebuild'";
  do{
    char *sql = sqlite3_mprintf("INSERT INTO t(t, rank) VALUES('rebuild', %d)",
                                1 + draw(w, w->kind->n_rows/2));
    must(w, w->db, sql);
    sqlite3_free(sql);
    halfway_agrees(w);
    if( with_changes && draw(w, 2) ){
      any_change(w);
      halfway_agrees(w);
    }
    if( follows(w) && draw(w, 4)==0 ) must(w, w->db, "INSERT INTO t(t) VALUES('sync')");
  }while( integer_of(w->db, is_begun, 0)==1 && !bad(w) );
}

static void act_rebuild_in_steps(struct world *w){
  rebuild_in_steps(w, 1);
}

static void act_rename(struct world *w){
  held_close(w);
  must(w, w->db, "ALTER TABLE t RENAME TO \"an other\"");
  must(w, w->db, "ALTER TABLE \"an other\" RENAME TO t");
}

/* Dropped and made again from p, or dropped and brought back by a rollback. */
static void act_drop(struct world *w){
  char *create, *columns;
  int is_there;
  if( w->in_transaction ) return;
  held_close(w);
  must(w, w->db, "BEGIN");
  must(w, w->db, "DROP TABLE t");
  if( draw(w, 2) ){
    create = twins_create(w->kind, "main");
    must(w, w->db, strstr(create, ";CREATE")+1);
    columns = sqlite3_mprintf("%s%s%s", content_column(w->kind),
                              FILTER_NAMES[w->kind->n_filters],
                              w->kind->is_titled ? ", title" : "");
    if( w->kind->content==NOTES ){
      must(w, w->db, "INSERT INTO t(t) VALUES('rebuild')");
    }else{
      char *sql = sqlite3_mprintf("INSERT INTO t(rowid, %s) SELECT id, %s FROM p", columns,
                                  columns);
      must(w, w->db, sql);
      sqlite3_free(sql);
    }
    sqlite3_free(columns);
    sqlite3_free(create);
  }
  is_there = integer_of(w->db, "SELECT count(*) FROM sqlite_schema WHERE name='t'", 0)>0;
  must(w, w->db, draw(w, 2) || !is_there ? "ROLLBACK" : "COMMIT");
}

/* ---- The schema of the content, users' triggers, weights ---- */

/* A change that a trigger of the user's may refuse. */
static void may(struct world *w, const char *sql){
  int rc = run(w, w->db, sql);
  if( rc!=SQLITE_OK && (rc&0xff)!=SQLITE_CONSTRAINT && !bad(w) ){
    why_not(w->why, "error %d, %s", rc, sqlite3_errmsg(w->db));
  }
  w->n_writes++;
}

/* t may refuse a statement, with a text. If it does not, the statement gives what p's gives. */
static void agrees_or_refuses(struct world *w, const char *sql_t, const char *sql_p){
  sqlite3_stmt *t = NULL, *p = NULL;
  int rc = sqlite3_prepare_v2(w->db, sql_t, -1, &t, NULL);
  int n = 0;
  say(w, sql_t);
  sqlite3_prepare_v2(w->db, sql_p, -1, &p, NULL);
  while( rc==SQLITE_OK && !bad(w) && sqlite3_step(t)==SQLITE_ROW ){
    const char *a = (const char *)sqlite3_column_text(t, 1);
    const char *b;
    int is_there = sqlite3_step(p)==SQLITE_ROW;
    b = (const char *)sqlite3_column_text(p, 1);
    if( is_there && sqlite3_column_int64(t, 0)==sqlite3_column_int64(p, 0)
     && (a==NULL)==(b==NULL) && (a==NULL || strcmp(a, b)==0) ){
      n++;
      continue;
    }
    why_not(w->why, "row %d is (%lld, %s), not (%lld, %s)", n+1, sqlite3_column_int64(t, 0),
            a ? a : "NULL", is_there ? sqlite3_column_int64(p, 0) : -1, b ? b : "NULL");
  }
  rc = sqlite3_finalize(t);
  if( rc!=SQLITE_OK && strlen(sqlite3_errmsg(w->db))<10 && !bad(w) ){
    why_not(w->why, "error %d says only %s", rc, sqlite3_errmsg(w->db));
  }
  sqlite3_finalize(p);
}

static void act_rename_column(struct world *w){
  int filter = draw(w, 2);
  const char *from = filter ? "x" : "body";
  char *there = sqlite3_mprintf("ALTER TABLE p RENAME COLUMN %s TO \"an other\"", from);
  char *back = sqlite3_mprintf("ALTER TABLE p RENAME COLUMN \"an other\" TO %s", from);
  if( follows(w) ){
    held_close(w);
    must(w, w->db, there);
    agrees_or_refuses(w, filter ? "SELECT rowid, x FROM t" : "SELECT rowid, body FROM t",
                      "SELECT id, \"an other\" FROM p ORDER BY id");
    must(w, w->db, back);
    if( !bad(w) ) twins_agree(w->db, w->kind, &w->random, w->why);
  }
  sqlite3_free(there);
  sqlite3_free(back);
}

static void act_rename_content(struct world *w){
  if( !follows(w) ) return;
  held_close(w);
  must(w, w->db, "ALTER TABLE p RENAME TO \"p, or so\"");
  may(w, "UPDATE \"p, or so\" SET x=4 WHERE id%4=0");
  may(w, "DELETE FROM \"p, or so\" WHERE id%9=0");
  agrees_or_refuses(w, "SELECT rowid, body FROM t",
                    "SELECT id, body FROM \"p, or so\" ORDER BY id");
  must(w, w->db, "ALTER TABLE \"p, or so\" RENAME TO p");
}

static int has_column(struct world *w, const char *name){
  char *sql = sqlite3_mprintf("SELECT count(*) FROM pragma_table_info('p') WHERE name=%Q", name);
  int n = (int)integer_of(w->db, sql, 0);
  sqlite3_free(sql);
  return n>0;
}

/* The INSERT may roll it back. */
static void act_add_column(struct world *w){
  if( !follows(w) ) return;
  held_close(w);
  must(w, w->db, "ALTER TABLE p ADD COLUMN more DEFAULT 'more'");
  insert_rows(w, w->db, 1 + draw(w, 6));
  if( has_column(w, "more") ) may(w, "UPDATE p SET more=id WHERE id%3=0");
  if( !bad(w) ) twins_agree(w->db, w->kind, &w->random, w->why);
  if( has_column(w, "more") ) must(w, w->db, "ALTER TABLE p DROP COLUMN more");
}

/* SQLite's own way to alter a table: a new one, copied, dropped, renamed. The triggers go with the
** old one. Then 'rebuild', or t is dropped and made again. */
static void content_anew(struct world *w, int rebuilds){
  char *create = twins_create(w->kind, "main");
  if( follows(w) ){
    held_close(w);
    must(w, w->db, "CREATE TABLE p_new(id INTEGER PRIMARY KEY, body, x INTEGER, y REAL, z TEXT,"
         " title)");
    must(w, w->db, "INSERT INTO p_new SELECT id, body, x, y, z, title FROM p WHERE id%17");
    must(w, w->db, "DROP TABLE p");
    must(w, w->db, "ALTER TABLE p_new RENAME TO p");
    if( !rebuilds ) must(w, w->db, "DROP TABLE t");
    must(w, w->db, rebuilds ? "INSERT INTO t(t) VALUES('rebuild')" : strstr(create, ";CREATE")+1);
    insert_rows(w, w->db, 1 + draw(w, 6));
    if( !bad(w) ) twins_agree(w->db, w->kind, &w->random, w->why);
  }
  sqlite3_free(create);
}

static void act_content_anew(struct world *w){
  content_anew(w, 0);
}

static void act_content_rebuilt(struct world *w){
  content_anew(w, 1);
}

/* Makes one of the user's own triggers, or drops it. */
static void toggle(struct world *w, const char *name, const char *text){
  char *sql = sqlite3_mprintf("SELECT count(*) FROM sqlite_schema WHERE name=%Q", name);
  char *drop = sqlite3_mprintf("DROP TRIGGER %s", name);
  char *create = sqlite3_mprintf("CREATE TRIGGER %s %s", name, text);
  if( follows(w) ){
    held_close(w);
    must(w, w->db, integer_of(w->db, sql, 0) ? drop : create);
  }
  sqlite3_free(sql);
  sqlite3_free(drop);
  sqlite3_free(create);
}

static void act_trigger(struct world *w){
  switch( draw(w, 3) ){
    case 0:
      toggle(w, "u_ignores", "BEFORE INSERT ON p WHEN new.id%13=5 BEGIN SELECT RAISE(IGNORE); END");
      break;
    case 1:
      toggle(w, "u_refuses", "AFTER UPDATE ON p WHEN new.id%11=3"
             " BEGIN SELECT RAISE(ABORT, 'not this one'); END");
      break;
    default:
      toggle(w, "u_deletes", "AFTER DELETE ON p WHEN old.id%5=2"
             " BEGIN DELETE FROM p WHERE id=old.id+1; END");
  }
}

static void act_trigger_changes(struct world *w){
  toggle(w, draw(w, 2) ? "u_changes" : "u_changes_too", "AFTER INSERT ON p WHEN new.id%5=3"
         " BEGIN UPDATE p SET body='The old dog sings.', x=7 WHERE id=new.id; END");
}

static void act_recursive_triggers(struct world *w){
  must(w, w->db, draw(w, 2) ? "PRAGMA recursive_triggers=1" : "PRAGMA recursive_triggers=0");
}

static void act_upsert(struct world *w){
  static const char *const WAYS[] = {
    "NOTHING", "UPDATE SET body=excluded.body", "UPDATE SET x=excluded.x, body=body",
    "UPDATE SET body=excluded.body, x=excluded.x WHERE x IS NOT excluded.x",
  };
  char content[LITERAL] = "NULL";
  char *sql;
  if( !follows(w) ) return;
  if( draw(w, 8) ) content_literal(content, &w->random, w->kind);
  sql = sqlite3_mprintf("INSERT INTO %%T(id, body, x) VALUES(%lld, %s, %d), (%lld, NULL, 1)"
                        " ON CONFLICT(id) DO %s", rowid_draw(w), content, draw(w, 9),
                        rowid_draw(w), ONE_OF(w, WAYS));
  change(w, w->db, sql);
  sqlite3_free(sql);
}

/* REPLACE for a column that is not the key: the row that has the same value goes, and no trigger
** says so. Searches pass over it at once; scans do after 'sync'. */
static void act_replace_unique(struct world *w){
  char content[LITERAL];
  char *sql;
  if( !follows(w) ) return;
  held_close(w);
  content_literal(content, &w->random, w->kind);
  if( !has_column(w, "u") ){
    must(w, w->db, "ALTER TABLE p ADD COLUMN u");
    must(w, w->db, "CREATE UNIQUE INDEX IF NOT EXISTS p_u ON p(u)");
  }
  sql = sqlite3_mprintf("INSERT OR REPLACE INTO %%T(id, body, u) VALUES(%lld, %s, %d)",
                        rowid_draw(w), content, draw(w, 5));
  change(w, w->db, sql);
  sqlite3_free(sql);
  if( !bad(w) ) must(w, w->db, "INSERT INTO t(t) VALUES('sync')");
}

static void load_weights(struct world *w, const char *path){
  char *sql = sqlite3_mprintf("SELECT latent_load(%Q)", path);
  must(w, w->db, sql);
  sqlite3_free(sql);
}

/* Other weights: t refuses queries, until 'rebuild' or the right weights come. */
static void act_weights(struct world *w){
  char content[LITERAL];
  char *query;
  struct list l = { 0 };
  if( w->kind->content==VECTORS ) return;
  held_close(w);
  content_literal(content, &w->random, w->kind);
  query = sqlite3_mprintf("SELECT rowid, distance FROM t(%s)", content);
  must(w, w->db, "INSERT INTO t(t) VALUES('integrity-check')");         /* nothing is pending */
  load_weights(w, other_model);
  say(w, query);
  if( list_fill(&l, w->db, query)==SQLITE_OK && !bad(w) ){
    why_not(w->why, "a query under other weights gives %d rows", l.n);
  }
  must(w, w->db, "SAVEPOINT weights");
  if( draw(w, 2) ) must(w, w->db, "INSERT INTO t(t) VALUES('rebuild')");
  else rebuild_in_steps(w, 0);
  if( !bad(w) ) twins_agree(w->db, w->kind, &w->random, w->why);
  must(w, w->db, "ROLLBACK TO weights");
  must(w, w->db, "RELEASE weights");
  load_weights(w, getenv("LATENT_MODEL"));
  if( !bad(w) ) twins_agree(w->db, w->kind, &w->random, w->why);
  sqlite3_free(query);
  free(l.rows);
}

/* ---- Questions ---- */
/* What is asked for: the text for t(...), and what brute() gets for it. */
static void query_draw(struct world *w, char query[LITERAL], char plain[LITERAL]){
  content_literal(plain, &w->random, w->kind);
  if( w->kind->content!=VECTORS && draw(w, 3)==0 ){
    sqlite3_snprintf(LITERAL, query, "latent_encode(%s)", plain);
  }else{
    memcpy(query, plain, LITERAL);
  }
}

/* Fills all with the rows of p that the condition lets through, nearest first. `farthest`: a
** bound on the distance; INFINITY. */
static void truth(struct world *w, sqlite3 *db, struct list *all, const char *plain,
                  const char *where, double farthest){
  char *measure = content_distance(w->kind, plain);
  char *sql = sqlite3_mprintf("SELECT id, %s FROM p WHERE %s IS NOT NULL AND (%s)", measure,
                              content_said(w->kind), where ? where : "1");
  int rc = list_fill(all, db, sql);
  if( rc!=SQLITE_OK && !bad(w) ){
    why_not(w->why, "brute force: error %d, %s", rc, sqlite3_errmsg(db));
  }
  if( all->n>0 ) qsort(all->rows, all->n, sizeof(*all->rows), found_by_distance);
  while( all->n>0 && all->rows[all->n-1].distance>=farthest ) all->n--;
  sqlite3_free(measure);
  sqlite3_free(sql);
}

/* A bound in a gap between two distances, so that rounding does not decide who is within it. */
static double bound_draw(struct world *w, const struct list *all){
  int at = all->n>1 ? draw(w, all->n-1) : 0;
  if( all->n<2 || all->rows[at+1].distance - all->rows[at].distance<4*NEAR ) return INFINITY;
  return (all->rows[at].distance + all->rows[at+1].distance)/2;
}

static const char *const OPTIONS[] = {
  "{\"exact\":true}", "{\"recall\":1}", "{\"recall\":0.97}", "{}",
};

static void act_nearest(struct world *w){
  sqlite3 *db = w->reader && draw(w, 2) ? w->reader : w->db;
  char query[LITERAL];
  char plain[LITERAL];
  char *sql;
  char *where = condition_of_query(w);
  char bound_text[80] = "";
  int rc, exact, is_sorted;
  int limit = draw(w, 3) ? draw(w, 30) : -1;
  int offset = limit>=0 && draw(w, 3)==0 ? draw(w, 20) : 0;
  int form = draw(w, 4);
  const char *options = draw(w, 4)==0 ? ONE_OF(w, OPTIONS) : NULL;
  struct list all = { 0 };
  struct list got = { 0 };
  sqlite3_str *s = sqlite3_str_new(NULL);
  double share = 1, bound = INFINITY;
  if( w->kind->words ) options = "{\"by\":\"meaning\"}";
  query_draw(w, query, plain);
  truth(w, db, &all, plain, where, INFINITY);
  if( draw(w, 3)==0 ) bound = bound_draw(w, &all);
  if( bound<INFINITY ){
    snprintf(bound_text, sizeof(bound_text), " AND distance %s %.17g", draw(w, 2) ? "<" : "<=",
             bound);
    while( all.n>0 && all.rows[all.n-1].distance>bound ) all.n--;
  }
  sqlite3_str_appendall(s, "SELECT rowid, distance FROM t");
  if( form==0 || options ){
    sqlite3_str_appendf(s, options ? "(%s, '%s') WHERE 1" : "(%s) WHERE 1", query, options);
  }else{
    sqlite3_str_appendf(s, form==1 ? " WHERE t MATCH %s" : " WHERE t = %s", query);
  }
  if( where ) sqlite3_str_appendf(s, " AND (%s)", where);
  sqlite3_str_appendall(s, bound_text);
  is_sorted = draw(w, 2);
  if( is_sorted ) sqlite3_str_appendall(s, draw(w, 2) ? " ORDER BY distance"
                                                      : " ORDER BY distance, rowid");
  if( limit>=0 ) sqlite3_str_appendf(s, " LIMIT %d", limit);
  if( offset ) sqlite3_str_appendf(s, " OFFSET %d", offset);
  sql = sqlite3_str_finish(s);
  say(w, sql);
  rc = list_fill(&got, db, sql);
  exact = w->n_rows<=LARGE*3/4 || options==OPTIONS[0] || options==OPTIONS[1];
  exact |= is_sorted && options!=OPTIONS[2];
  if( rc!=SQLITE_OK && !bad(w) ) why_not(w->why, "error %d, %s", rc, sqlite3_errmsg(db));
  if( !bad(w) ) nearest_agree(&got, &all, limit, offset, exact, &share, w->why);
  if( !bad(w) && exact && share<1 ) why_not(w->why, "only %.3f of the rows are the nearest", share);
  if( !exact && all.n>0 ){
    w->n_ranked++;
    w->shares += share;
  }
  w->n_queries++;
  sqlite3_free(sql);
  sqlite3_free(where);
  free(all.rows);
  free(got.rows);
}

/* Pages of one query, joined, are the whole, row for row. */
static void act_pages(struct world *w){
  static const int SIZES[] = { 1, 3, 7, 20, 50, 111 };
  char query[LITERAL];
  char plain[LITERAL];
  char *where = condition_of_query(w);
  int size = ONE_OF(w, SIZES);
  int n_pages = 0;
  struct list all = { 0 };
  struct list page = { 0 };
  char *sql;
  query_draw(w, query, plain);
  sql = sqlite3_mprintf("SELECT rowid, distance FROM t WHERE t %s %s AND (%s)%s",
                        draw(w, 2) ? "MATCH" : "=", query, where ? where : "1",
                        draw(w, 3) ? "" : " ORDER BY distance");
  say(w, sql);
  if( list_fill(&all, w->db, sql)!=SQLITE_OK && !bad(w) ){
    why_not(w->why, "error %s", sqlite3_errmsg(w->db));
  }
  for(int at=0; at<=all.n && n_pages<40 && !bad(w); at+=size){
    int n = all.n-at<size ? all.n-at : size;
    char *part = sqlite3_mprintf("%s LIMIT %d OFFSET %d", sql, size, at);
    list_fill(&page, w->db, part);
    if( page.n!=n ) why_not(w->why, "the page from %d has %d rows, not %d", at, page.n, n);
    for(int i=0; i<n && !bad(w); i++){
      if( page.rows[i].rowid==all.rows[at+i].rowid ) continue;
      why_not(w->why, "row %d of the page of %d from %d is rowid %lld, not %lld", i, size, at,
              page.rows[i].rowid, all.rows[at+i].rowid);
    }
    sqlite3_free(part);
    n_pages++;
  }
  w->n_queries += n_pages+1;
  sqlite3_free(sql);
  sqlite3_free(where);
  free(all.rows);
  free(page.rows);
}

/* The rows that have a word, or all. */
static void act_words(struct world *w){
  static const char *const WORDS[] = {
    "boat", "dog", "sister", "nobody", "letter", "harbor", "rains", "sun", "home", "nothing",
  };
  const char *word = ONE_OF(w, WORDS);
  int by_words = draw(w, 2);
  char *where = condition(w, 1);
  char *has_word = sqlite3_mprintf("(%s) AND %s LIKE '%%%s%%'", where ? where : "1",
                                   content_said(w->kind), by_words ? word : "");
  char *sql = sqlite3_mprintf("SELECT rowid, distance FROM t('%s?', '{\"by\":\"%s\"}') WHERE %s"
                              " ORDER BY rowid", word, by_words ? "words" : "both",
                              where ? where : "1");
  char *sql_p = sqlite3_mprintf("SELECT id AS rowid FROM p WHERE %s ORDER BY id", has_word);
  struct list all = { 0 };
  struct list got = { 0 };
  if( w->kind->words ){
    say(w, sql);
    if( list_fill(&got, w->db, sql)!=SQLITE_OK || list_fill(&all, w->db, sql_p)!=SQLITE_OK ){
      if( !bad(w) ) why_not(w->why, "error %s", sqlite3_errmsg(w->db));
    }
    if( got.n!=all.n && !bad(w) ) why_not(w->why, "%d rows, not %d", got.n, all.n);
    for(int i=0; i<got.n && !bad(w); i++){
      if( got.rows[i].rowid==all.rows[i].rowid ) continue;
      why_not(w->why, "rowid %lld, not %lld", got.rows[i].rowid, all.rows[i].rowid);
    }
    w->n_queries++;
  }
  sqlite3_free(sql);
  sqlite3_free(sql_p);
  sqlite3_free(has_word);
  sqlite3_free(where);
  free(all.rows);
  free(got.rows);
}

/* Sums over a query's rows, and orders that are not the index's own: there a LIMIT says nothing
** about how many rows are pulled. */
static void act_summary(struct world *w){
  char query[LITERAL];
  char plain[LITERAL];
  char *sql;
  char *where = condition_of_query(w);
  struct list all = { 0 };
  struct list got = { 0 };
  int limit = 1 + draw(w, 9);
  int way = draw(w, 3);
  query_draw(w, query, plain);
  truth(w, w->db, &all, plain, where, INFINITY);
  if( way==0 ){
    sql = sqlite3_mprintf("SELECT count(*), sum(distance) FROM t(%s) WHERE %s", query,
                          where ? where : "1");
  }else{
    sql = sqlite3_mprintf("SELECT rowid, distance FROM t(%s) WHERE %s ORDER BY %s LIMIT %d", query,
                          where ? where : "1", way==1 ? "rowid" : "distance DESC", limit);
  }
  say(w, sql);
  if( list_fill(&got, w->db, sql)!=SQLITE_OK && !bad(w) ){
    why_not(w->why, "error %s", sqlite3_errmsg(w->db));
  }
  if( !bad(w) && way==0 ){
    double sum = 0;
    for(int i=0; i<all.n; i++) sum += all.rows[i].distance;
    if( got.n!=1 || got.rows[0].rowid!=all.n
     || fabs(sum - got.rows[0].distance)>NEAR*(all.n+1) ){
      why_not(w->why, "count or sum of distances is wrong");
    }
  }else if( !bad(w) ){
    int n = all.n<limit ? all.n : limit;
    if( way==1 && all.n>0 ) qsort(all.rows, all.n, sizeof(*all.rows), found_by_rowid);
    for(int i=0; i<n && !bad(w); i++){
      const struct found *is = &all.rows[way==1 ? i : all.n-1-i];
      if( got.n!=n || fabs(is->distance - got.rows[i].distance)>NEAR
       || (way==1 && is->rowid!=got.rows[i].rowid) ){
        why_not(w->why, "row %d of a LIMIT in another order is wrong", i+1);
      }
    }
  }
  w->n_queries++;
  sqlite3_free(sql);
  sqlite3_free(where);
  free(all.rows);
  free(got.rows);
}

/* No query: scans, look-ups, counts. */
static void act_scan(struct world *w){
  sqlite3 *db = w->reader && draw(w, 2) ? w->reader : w->db;
  char *where = condition(w, 1);
  const char *form = draw(w, 2) ? "SELECT rowid FROM %%T WHERE %s ORDER BY rowid"
                                : "SELECT count(*) FROM %%T WHERE %s";
  char *template = sqlite3_mprintf(form, where ? where : "1");
  char *sql_t = named(template, "t");
  char *sql_p = named(template, "p");
  struct list t = { 0 };
  struct list p = { 0 };
  int rc;
  say(w, sql_t);
  rc = list_fill(&t, db, sql_t);
  if( rc!=SQLITE_OK && !bad(w) ) why_not(w->why, "error %d, %s", rc, sqlite3_errmsg(db));
  list_fill(&p, db, sql_p);
  if( t.n!=p.n && !bad(w) ) why_not(w->why, "%d rows, not %d", t.n, p.n);
  for(int i=0; !bad(w) && i<t.n; i++){
    if( t.rows[i].rowid!=p.rows[i].rowid ){
      why_not(w->why, "row %d: %lld, not %lld", i+1, t.rows[i].rowid, p.rows[i].rowid);
    }
  }
  w->n_queries++;
  free(t.rows);
  free(p.rows);
  sqlite3_free(template);
  sqlite3_free(sql_t);
  sqlite3_free(sql_p);
  sqlite3_free(where);
}

/* One of four ways to ask for the neighbours of row `id` of p (sqlite3_free). The first has no
** LIMIT. */
static char *correlated(const char *content, int way, sqlite3_int64 id, int limit){
  switch( way ){
    case 0:
      return sqlite3_mprintf("SELECT n.rowid, n.distance FROM p CROSS JOIN t n"
                             " WHERE n.t = p.%s AND p.id=%lld", content, id);
    case 1:
      return sqlite3_mprintf("SELECT n.rowid, n.distance FROM p JOIN t(p.%s) n"
                             " WHERE p.id=%lld LIMIT %d", content, id, limit);
    case 2:
      return sqlite3_mprintf("SELECT rowid, distance FROM t((SELECT %s FROM p WHERE id=%lld))"
                             " LIMIT %d", content, id, limit);
    default:
      return sqlite3_mprintf("WITH q(v) AS (SELECT %s FROM p WHERE id=%lld)"
                             " SELECT p.id, n.distance FROM q JOIN t(q.v) n JOIN p ON p.id=n.rowid"
                             " ORDER BY n.distance LIMIT %d", content, id, limit);
  }
}

/* Each row of a join asks for its own neighbours. */
static void act_correlated(struct world *w){
  const char *content = content_column(w->kind);
  char *sql = sqlite3_mprintf("SELECT p.id, p.%s FROM p WHERE p.%s IS NOT NULL ORDER BY p.id%%%d,"
                              " p.id LIMIT %d", content, content, 2+draw(w, 9), 1+draw(w, 4));
  struct list outer = { 0 };
  struct list all = { 0 };
  struct list got = { 0 };
  int rc = w->kind->is_parted ? SQLITE_OK : list_fill(&outer, w->db, sql);
  char *join = sqlite3_mprintf("SELECT o.id*1000000 + row_number() OVER (), n.rowid FROM (SELECT"
                               " id, %s FROM (%s)) o JOIN t(o.%s) n", content, sql, content);
  if( rc!=SQLITE_OK && !bad(w) ) why_not(w->why, "%s", sqlite3_errmsg(w->db));
  for(int i=0; i<outer.n && !bad(w); i++){
    char plain[200];
    double share = 1;
    int way = draw(w, 4);
    int limit = way ? draw(w, 8) : -1;
    char *inner = correlated(content, way, outer.rows[i].rowid, limit);
    snprintf(plain, sizeof(plain), "(SELECT %s FROM p WHERE id=%lld)", content,
             outer.rows[i].rowid);
    truth(w, w->db, &all, plain, NULL, INFINITY);
    say(w, inner);
    if( list_fill(&got, w->db, inner)!=SQLITE_OK && !bad(w) ){
      why_not(w->why, "%s", sqlite3_errmsg(w->db));
    }
    if( !bad(w) && !w->kind->words ){
      nearest_agree(&got, &all, limit, 0, w->n_rows<=LARGE*3/4, &share, w->why);
    }
    if( !bad(w) && share<1 && (w->n_rows<=LARGE*3/4 || limit<0) ){
      why_not(w->why, "only %.3f of the rows are the nearest", share);
    }
    sqlite3_free(inner);
  }
  say(w, join);
  if( !bad(w) && outer.n>0 && list_fill(&got, w->db, join)!=SQLITE_OK ){
    why_not(w->why, "%s", sqlite3_errmsg(w->db));
  }
  if( !bad(w) && got.n!=outer.n*all.n ){
    why_not(w->why, "a join of %d rows with all %d gives %d", outer.n, all.n, got.n);
  }
  w->n_queries += outer.n+1;
  sqlite3_free(join);
  sqlite3_free(sql);
  free(outer.rows);
  free(all.rows);
  free(got.rows);
}

/* A query that stays open while everything else goes on. It must never show a row twice, nor go
** back in distance. */
static void act_held(struct world *w){
  char query[LITERAL];
  const char *form;
  char *sql;
  int n_pulls;
  int rc = SQLITE_ROW;
  if( w->kind->words ) return;          /* their order is not by distance alone */
  if( w->held==NULL ){
    content_literal(query, &w->random, w->kind);
    form = draw(w, 2) ? "SELECT rowid, distance FROM t(%s) WHERE %s"
                      : "SELECT rowid, distance FROM t(%s) WHERE %s LIMIT 1000";
    sql = sqlite3_mprintf(form, query, w->kind->is_parted ? "x IS 2" : "1");
    say(w, sql);
    if( sqlite3_prepare_v2(w->db, sql, -1, &w->held, NULL)!=SQLITE_OK && !bad(w) ){
      why_not(w->why, "%s", sqlite3_errmsg(w->db));
    }
    sqlite3_free(sql);
    w->n_queries++;
  }
  n_pulls = 1 + draw(w, 6);
  for(int i=0; i<n_pulls && w->held; i++){
    struct list *l = &w->held_rows;
    struct found f;
    rc = sqlite3_step(w->held);
    if( rc!=SQLITE_ROW ) break;
    f = (struct found){ sqlite3_column_int64(w->held, 0), sqlite3_column_double(w->held, 1) };
    for(int j=0; j<l->n; j++){
      if( l->rows[j].rowid!=f.rowid || bad(w) ) continue;
      why_not(w->why, "the held query shows rowid %lld twice", f.rowid);
    }
    if( l->n>0 && f.distance<l->rows[l->n-1].distance && !bad(w)
     && !(l->n>=100 && w->n_rows>LARGE*3/4 && !w->held_falls++) ){
      why_not(w->why, "the held query goes back in distance");
    }
    list_add(l, f);
  }
  if( rc==SQLITE_ROW ) return;
  if( rc!=SQLITE_DONE && (rc&0xff)!=SQLITE_ABORT && !bad(w) ){
    why_not(w->why, "the held query: error %d, %s", rc, sqlite3_errmsg(w->db));
  }
  held_close(w);
}

static void act_agree(struct world *w){
  int rc;
  if( !bad(w) ) twins_agree(w->db, w->kind, &w->random, w->why);
  if( !bad(w) && w->reader ) scans_agree(w->reader, w->kind, &rc, w->why);
  w->n_rows = integer_of(w->db, "SELECT count(*) FROM p", 0);
}

/* ---- Campaigns ---- */
static const struct act {
  const char *name;
  void (*run)(struct world *);
  int weight;
} ACTS[] = {
  { "insert", act_insert, 14 },
  { "insert many", act_insert_many, 8 },
  { "insert auto", act_insert_auto, 10 },
  { "insert select", act_insert_select, 2 },
  { "update content", act_update_content, 8 },
  { "update filter", act_update_filter, 6 },
  { "update rowid", act_update_rowid, 4 },
  { "delete", act_delete, 12 },
  { "delete many", act_delete_many, 1 },
  { "delete nearest", act_delete_nearest, 3 },
  { "begin", act_begin, 8 },
  { "end", act_end, 5 },
  { "savepoint", act_savepoint, 8 },
  { "end of savepoint", act_savepoint_end, 6 },
  { "reopen", act_reopen, 1 },
  { "reader", act_reader, 2 },
  { "other writes", act_other_writes, 3 },
  { "vacuum", act_vacuum, 1 },
  { "optimize", act_optimize, 1 },
  { "rebuild", act_rebuild, 1 },
  { "rebuild in steps", act_rebuild_in_steps, 1 },
  { "rename", act_rename, 1 },
  { "drop", act_drop, 1 },
  { "rename a column", act_rename_column, 1 },
  { "rename the content", act_rename_content, 1 },
  { "add a column", act_add_column, 1 },
  { "content anew", act_content_anew, 1 },
  { "content anew, rebuilt", act_content_rebuilt, 1 },
  { "the user's trigger", act_trigger, 2 },
  { "the user's trigger that changes", act_trigger_changes, 1 },
  { "recursive triggers", act_recursive_triggers, 1 },
  { "upsert", act_upsert, 4 },
  { "replace a unique column", act_replace_unique, 2 },
  { "weights", act_weights, 1 },
  { "nearest", act_nearest, 40 },
  { "pages", act_pages, 3 },
  { "summary", act_summary, 5 },
  { "words", act_words, 12 },
  { "scan", act_scan, 8 },
  { "correlated", act_correlated, 3 },
  { "held", act_held, 8 },
  { "agree", act_agree, 4 },
};
enum { N_ACTS = sizeof(ACTS)/sizeof(ACTS[0]), ACT_DELETE_MANY = 8, ACT_AGREE = N_ACTS-1 };

static const struct act *act_draw(struct world *w){
  const struct act *act = ACTS;
  int sum = 0, at;
  for(int i=0; i<N_ACTS; i++) sum += ACTS[i].weight;
  at = draw(w, sum);
  while( at>=act->weight ){
    at -= act->weight;
    act++;
  }
  return act;
}

static void world_open(struct world *w, const char *folder){
  char *create = twins_create(w->kind, "main");
  w->random = random_of(w->seed);
  snprintf(w->path, sizeof(w->path), "%s/oracle-%d.db", folder, (int)(w->kind-KINDS));
  files_remove(w->path);
  w->db = connect_to(w->path, NULL);
  if( w->db==NULL ){
    why_not(w->why, "%s cannot be opened", w->path);
    sqlite3_free(create);
    return;
  }
  w->is_wal = draw(w, 2);
  must(w, w->db, w->is_wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE");
  must(w, w->db, "PRAGMA synchronous=OFF");
  must(w, w->db, create);
  sqlite3_free(create);
  if( w->kind-KINDS==KIND_LARGE ){
    for(int i=0; i<w->kind->n_rows && !bad(w); i+=500) insert_rows(w, w->db, 500);
  }
}

static void world_close(struct world *w){
  held_close(w);
  sqlite3_close(w->reader);
  if( w->db && sqlite3_close(w->db)!=SQLITE_OK && !bad(w) ){
    why_not(w->why, "closing: %s", sqlite3_errmsg(w->db));
  }
  free(w->held_rows.rows);
  if( sqlite3_memory_used()!=0 && !bad(w) ){
    why_not(w->why, "%lld bytes left", (long long)sqlite3_memory_used());
  }
  if( !bad(w) ) files_remove(w->path);
}

/* Returns 1 when all that must hold did. */
static int campaign(const struct kind *kind, unsigned long long seed, int steps,
                    const char *folder){
  struct world *w = calloc(1, sizeof(*w));
  const struct act *act = NULL;
  int step, good;
  w->kind = kind;
  w->seed = seed;
  world_open(w, folder);
  for(step=0; step<steps && !bad(w); step++){
    act = step==steps-1 ? &ACTS[ACT_AGREE] : act_draw(w);
    if( verbose ) printf("-- %d: %s\n", step, act->name);
    if( w->n_rows>2*kind->n_rows && act->run==act_insert_many ) act = &ACTS[ACT_DELETE_MANY];
    act->run(w);
    if( step%16==0 && w->db ) w->n_rows = integer_of(w->db, "SELECT count(*) FROM p", 0);
  }
  world_close(w);
  if( !bad(w) && w->n_ranked>0 && w->shares/w->n_ranked<0.95 ){
    why_not(w->why, "recall %.4f over %ld queries", w->shares/w->n_ranked, w->n_ranked);
  }
  good = !bad(w);
  printf("%s - oracle: %s, seed %llu, %d steps: ", good ? "ok" : "not ok", kind->name, seed, steps);
  if( good ){
    printf("%ld changes (%ld refused), %ld queries", w->n_writes, w->n_refused, w->n_queries);
    if( w->n_ranked ) printf(", recall %.4f over %ld", w->shares/w->n_ranked, w->n_ranked);
    printf("\n");
  }else{
    /* The last step of a campaign is always "agree". */
    printf("step %d, %s: %s | %s | %s (again: oracle --verbose MODEL FOLDER %d %llu %d)\n",
           step-1, act ? act->name : "opening", w->why, w->last[2], w->last[3],
           (int)(kind-KINDS), seed, step+1);
  }
  fflush(stdout);
  free(w);
  return good;
}

/* Appends a file to another one, which begins with nothing. Returns how many bytes it has. */
static long file_copy(const char *from, FILE *to){
  FILE *f = fopen(from, "rb");
  char part[4096];
  size_t n;
  long sum = 0;
  while( f && to && (n = fread(part, 1, sizeof(part), f))>0 ) sum += (long)fwrite(part, 1, n, to);
  if( f ) fclose(f);
  return sum;
}

/* The same weights, with a blank more in their JSON: another fingerprint. */
static int weights_copy(const char *model, const char *folder){
  static const char *const ENDINGS[] = { ".safetensors", ".json" };
  int stem = (int)strlen(model) - (int)strlen(ENDINGS[0]);
  int good = stem>0;
  for(int i=0; i<2 && good; i++){
    char from[700];
    FILE *to;
    snprintf(from, sizeof(from), "%.*s%s", stem, model, ENDINGS[i]);
    snprintf(other_model, sizeof(other_model), "%s/other%s", folder, ENDINGS[i]);
    to = fopen(other_model, "wb");
    good = file_copy(from, to)>0;
    if( to && i==1 ) fputc('\n', to);
    if( to ) fclose(to);
  }
  snprintf(other_model, sizeof(other_model), "%s/other%s", folder, ENDINGS[0]);
  meaning_link(model, folder);
  return good;
}

static int soak(const char *folder, int seconds, unsigned long long seed){
  time_t end = time(NULL) + seconds;
  int good = 1;
  for(int i=0; time(NULL)<end; i++){
    const struct kind *kind = &KINDS[i%N_KINDS];
    good &= campaign(kind, seed+i, kind-KINDS==KIND_LARGE ? 300 : 3000, folder);
  }
  return good;
}

int main(int argc, char **argv){
  const char *folder;
  unsigned long long seed;
  int i = 1, good = 1;
  int kind, n_args;
  for(; i<argc && strncmp(argv[i], "--", 2)==0; i++){
    if( strcmp(argv[i], "--verbose")==0 ) verbose = 1;
  }
  n_args = argc-i;
  if( n_args<2 ){
    fprintf(stderr, "usage: oracle [--verbose] MODEL FOLDER"
                    " [KIND SEED STEPS | --soak SECONDS [SEED]]\n");
    return 2;
  }
  if( !twins_begin("oracle", argv[i]) ) return 1;
  folder = argv[i+1];
  if( !weights_copy(argv[i], folder) ){
    printf("not ok - oracle: %s cannot be copied to %s\n", argv[i], folder);
    return 1;
  }
  if( n_args>=4 && strcmp(argv[i+2], "--soak")==0 ){
    seed = n_args>4 ? strtoull(argv[i+4], NULL, 10) : (unsigned long long)time(NULL);
    return !soak(folder, atoi(argv[i+3]), seed);
  }
  if( n_args>=5 ){
    kind = atoi(argv[i+2]);
    seed = strtoull(argv[i+3], NULL, 10);
    return kind<0 || kind>=N_KINDS || !campaign(&KINDS[kind], seed, atoi(argv[i+4]), folder);
  }
  for(kind=0; kind<N_KINDS; kind++){
    good &= campaign(&KINDS[kind], 1+kind, kind==KIND_LARGE ? 60 : 500, folder);
  }
  return !good;
}
