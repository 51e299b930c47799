/*
** damage.c -- shadow tables with a byte changed, a value cut, a row lost.
**
**   damage MODEL [STRIDE [SEED]]
**
** It is made to run under the address sanitizer. A database with t and p (twin.h) is made once.
** Then, for every value of every row of every shadow table, a copy of it is damaged and used. The
** damages of a value: each byte with one bit changed, a byte too few, a byte too many, NULL. The
** damage of a row: it is gone. STRIDE: one in so many of them is tried (1: all). What must hold
** of each:
**
**   1. Scans and queries give the right rows or an error that has a text; never wrong rows.
**   2. Changes succeed or fail with an error that has a text.
**   3. 'integrity-check' finds the damage, or a query has told of it (of another model's
**      fingerprint). In what FTS5 keeps beside the texts of t_words it finds what FTS5 finds.
**   4. 'rebuild' mends it: after it 'integrity-check' finds nothing, and t agrees with p. It may
**      refuse, with a text, where t_config is damaged: nothing else says what was there.
**   5. 0 bytes are left.
** What the user wrote (rowid, filters, content, a foreign vector) is nowhere else. Where that is
** damaged, 'rebuild' takes it as it is, or a vector as NULL. Then 1 and 4 ask only for the texts
** of errors, and that 'integrity-check' finds nothing after 'rebuild'. Rows without a latent may
** be lost unseen: how many is printed.
*/
#include "twin.h"

static const struct kind KINDS[] = {
  { .name = "vectors", .content = VECTORS, .width = 8, .n_filters = 1, .cell_rows = 8 },
  { .name = "three filters", .content = VECTORS, .width = 5, .n_filters = 3, .cell_rows = 4 },
  { .name = "texts", .content = TEXTS, .n_filters = 1, .cell_rows = 8 },
  { .name = "notes", .content = NOTES, .n_filters = 1, .cell_rows = 8 },
  { .name = "texts with words", .content = TEXTS, .n_filters = 1, .cell_rows = 8, .words = 1 },
  { .name = "partitions", .content = VECTORS, .width = 8, .n_filters = 2, .cell_rows = 4,
    .is_parted = 1 },
};
enum { N_KINDS = sizeof(KINDS)/sizeof(KINDS[0]), N_ROWS = 30 };
static int n_failed = 0;

/* A database in memory. */
struct image {
  unsigned char *data;          /* owned: sqlite3_free() */
  sqlite3_int64 n;
};

/* One value of a shadow table. */
struct place {
  char table[40], column[40];
  const char *key;                      /* "rowid", or the key of a table without one */
  sqlite3_value *at;                    /* the key's value; owned */
  sqlite3_value *value;                 /* owned */
  int is_first;                         /* the first column: the row as a whole is damaged here */
};
struct place_list {
  struct place *places;                 /* owned */
  int n;
};

struct tally {
  const struct kind *kind;
  int n;                        /* damages */
  int n_told;                   /* a query told of it */
  int n_unfound;                /* rows lost, and not found */
  int n_unmended;               /* 'rebuild' refused */
  int n_bad;                    /* what must not be */
  char first[WHY+300];          /* the first of these */
};

/* ---- The database ---- */
static struct image image_make(const struct kind *k){
  struct image image = { NULL, 0 };
  struct random r = random_of(3);
  char *create = twins_create(k, "main");
  char literal[LITERAL];
  sqlite3 *db = connect_to(":memory:", NULL);
  int rc = sqlite3_exec(db, create, NULL, NULL, NULL);
  if( rc==SQLITE_OK ) rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
  for(int i=1; i<=N_ROWS && rc==SQLITE_OK; i++){
    sqlite3_str *s = sqlite3_str_new(NULL);
    char *sql;
    content_literal(literal, &r, k);
    sqlite3_str_appendf(s, "INSERT INTO %%T(rowid, %s%s) VALUES(%d, %s", content_column(k),
                        FILTER_NAMES[k->n_filters], i, i%11 ? literal : "NULL");
    for(int j=0; j<k->n_filters; j++){
      static const char *const VALUES[] = { ", %d", ", %d.5", ", 'z%d'" };
      sqlite3_str_appendf(s, VALUES[j], i%5);
    }
    sqlite3_str_appendall(s, ")");
    sql = sqlite3_str_finish(s);
    rc = twins_change(db, k, sql);
    sqlite3_free(sql);
  }
  if( rc==SQLITE_OK ) rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
  if( rc==SQLITE_OK ){
    image.data = sqlite3_serialize(db, "main", &image.n, 0);
  }else{
    printf("# making the database: error %d, %s\n", rc, sqlite3_errmsg(db));
  }
  sqlite3_close(db);
  sqlite3_free(create);
  return image;
}

static sqlite3 *image_open(const struct image *image){
  const unsigned flags = SQLITE_DESERIALIZE_FREEONCLOSE|SQLITE_DESERIALIZE_RESIZEABLE;
  const sqlite3_int64 n = image->n;
  sqlite3 *db = connect_to(":memory:", NULL);
  unsigned char *copy = sqlite3_malloc64(n);
  memcpy(copy, image->data, n);
  if( sqlite3_deserialize(db, "main", copy, n, n, flags)!=SQLITE_OK ){
    sqlite3_close(db);
    return NULL;
  }
  return db;
}

/* ---- Where it can be damaged ---- */
static void places_of_table(struct place_list *l, sqlite3 *db, const char *table){
  char sql[200];
  sqlite3_stmt *statement = NULL;
  const char *key = "rowid";
  snprintf(sql, sizeof(sql), "SELECT rowid, * FROM %s", table);
  if( sqlite3_prepare_v2(db, sql, -1, &statement, NULL)!=SQLITE_OK ){
    key = "k";                  /* WITHOUT ROWID: the first column is the key */
    snprintf(sql, sizeof(sql), "SELECT k, * FROM %s", table);
    sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  }
  while( sqlite3_step(statement)==SQLITE_ROW ){
    for(int i=1; i<sqlite3_column_count(statement); i++){
      struct place *p;
      l->places = realloc(l->places, (l->n+1)*sizeof(*l->places));
      p = &l->places[l->n++];
      snprintf(p->table, sizeof(p->table), "%s", table);
      snprintf(p->column, sizeof(p->column), "%s", sqlite3_column_name(statement, i));
      p->key = key;
      p->at = sqlite3_value_dup(sqlite3_column_value(statement, 0));
      p->value = sqlite3_value_dup(sqlite3_column_value(statement, i));
      p->is_first = i==1;
    }
  }
  sqlite3_finalize(statement);
}

static struct place_list places_of(sqlite3 *db){
  struct place_list l = { NULL, 0 };
  sqlite3_stmt *statement = NULL;
  sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB 't_*'"
                         " AND name NOT IN ('t_words', 't_words_idx')"
                         " ORDER BY name", -1, &statement, NULL);
  while( sqlite3_step(statement)==SQLITE_ROW ){
    places_of_table(&l, db, (const char *)sqlite3_column_text(statement, 0));
  }
  sqlite3_finalize(statement);
  return l;
}

static void places_free(struct place_list *l){
  for(int i=0; i<l->n; i++){
    sqlite3_value_free(l->places[i].at);
    sqlite3_value_free(l->places[i].value);
  }
  free(l->places);
}

/* Bytes of a value that can be damaged one by one. */
static int bytes_of(const struct place *p){
  switch( sqlite3_value_type(p->value) ){
    case SQLITE_NULL: return 0;
    case SQLITE_INTEGER: case SQLITE_FLOAT: return 8;
    default: return sqlite3_value_bytes(p->value);
  }
}

/* How many damages there are of one value: each byte, then those of enum damages. */
enum damages { TOO_FEW, TOO_MANY, OTHER_TYPE, ROW_GONE, N_DAMAGES };
static int damages_of(const struct place *p){
  return bytes_of(p) + N_DAMAGES;
}

/* Binds a number with one bit of byte i changed. */
static void bind_number(sqlite3_stmt *statement, const struct place *p, int i, int bit,
                        char told[100]){
  double x = sqlite3_value_double(p->value);
  sqlite3_int64 n = sqlite3_value_int64(p->value);
  int is_float = sqlite3_value_type(p->value)==SQLITE_FLOAT;
  if( is_float ) memcpy(&n, &x, 8);
  n ^= (sqlite3_int64)(1ull << (8*i + bit));
  memcpy(&x, &n, 8);
  if( is_float ){
    sqlite3_bind_double(statement, 1, x);
  }else{
    sqlite3_bind_int64(statement, 1, n);
  }
  sqlite3_snprintf(100, told, "bit %d of the number %s", 8*i+bit, sqlite3_value_text(p->value));
}

/* Binds a text or blob with one bit of byte i changed; with a byte too few, or too many. */
static void bind_bytes(sqlite3_stmt *statement, const struct place *p, int i, int bit,
                       char told[100]){
  int bytes = bytes_of(p);
  int n = i<bytes ? bytes : i==bytes+TOO_FEW ? bytes-1 : bytes+1;
  int bound = n<0 ? 0 : n;
  char *copy = calloc(1, bytes+1);
  memcpy(copy, sqlite3_value_blob(p->value), bytes);
  if( i<bytes ) copy[i] ^= (char)(1 << bit);
  if( sqlite3_value_type(p->value)==SQLITE_TEXT ){
    sqlite3_bind_text(statement, 1, copy, bound, SQLITE_TRANSIENT);
  }else{
    sqlite3_bind_blob(statement, 1, copy, bound, SQLITE_TRANSIENT);
  }
  if( i<bytes ){
    sqlite3_snprintf(100, told, "bit %d of byte %d of %d", bit, i, bytes);
  }else{
    sqlite3_snprintf(100, told, "bit %d, %d bytes and not %d", bit, n, bytes);
  }
  free(copy);
}

/* Does the i-th damage of a value; told: a word for it. Returns 0 where there is none or SQLite
** refuses it. */
static int damage(sqlite3 *db, const struct place *p, int i, struct random *r, char told[200]){
  int type = sqlite3_value_type(p->value);
  int is_number = type==SQLITE_INTEGER || type==SQLITE_FLOAT;
  int bytes = bytes_of(p);
  int bit = below(r, 8);
  int row_goes = i==bytes+ROW_GONE;
  sqlite3_stmt *statement = NULL;
  char sql[300];
  char *at;
  if( row_goes ){
    snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE %s=?2 AND ?1 IS NULL", p->table, p->key);
  }else{
    snprintf(sql, sizeof(sql), "UPDATE %s SET %s=?1 WHERE %s=?2", p->table, p->column, p->key);
  }
  if( row_goes && !p->is_first ) return 0;
  if( i==bytes+TOO_FEW && bytes==0 ) return 0;          /* there is no byte to lose */
  if( sqlite3_prepare_v2(db, sql, -1, &statement, NULL)!=SQLITE_OK ) return 0;
  sqlite3_bind_value(statement, 2, p->at);
  snprintf(told, 200, "%s.%s of %s %s: ", p->table, p->column, p->key, sqlite3_value_text(p->at));
  at = told + strlen(told);
  if( i<bytes && is_number ){
    bind_number(statement, p, i, bit, at);
  }else if( i<=bytes+TOO_MANY && type!=SQLITE_NULL && !is_number ){
    bind_bytes(statement, p, i, bit, at);
  }else if( i==bytes+OTHER_TYPE ){
    sqlite3_snprintf(100, at, type==SQLITE_NULL ? "a number and not NULL" : "NULL");
    if( type==SQLITE_NULL ) sqlite3_bind_int(statement, 1, 77);
  }else if( row_goes ){
    sqlite3_snprintf(100, at, "the row is gone");
  }else{
    sqlite3_finalize(statement);
    return 0;
  }
  sqlite3_step(statement);
  return sqlite3_finalize(statement)==SQLITE_OK && sqlite3_changes(db)==1;
}

/* ---- Using it ---- */
static int bad(struct tally *y, const char *told, const char *what, const char *why){
  if( y->n_bad++==0 ) snprintf(y->first, sizeof(y->first), "%s: %s: %s", told, what, why);
  if( getenv("DAMAGE_VERBOSE") ) printf("# %s: %s: %s\n", told, what, why);
  return 0;
}

/* An error that tells a user something. */
static int is_clean(sqlite3 *db, int rc){
  const char *text = sqlite3_errmsg(db);
  int primary = rc & 0xff;
  if( primary!=SQLITE_CORRUPT && primary!=SQLITE_ERROR ) return 0;
  return strcmp(text, "SQL logic error")!=0 && strlen(text)>=10;
}

/* Runs a statement that may fail, cleanly. Returns its code. */
static int try(struct tally *y, sqlite3 *db, const char *told, const char *sql){
  int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  char why[WHY];
  if( rc!=SQLITE_OK && !is_clean(db, rc) ){
    why_not(why, "error %d, '%s'", rc, sqlite3_errmsg(db));
    bad(y, told, sql, why);
  }
  return rc;
}

/* Is it the user's own? Once it is damaged, nothing says what it was. */
static int is_of_user(const struct place *p){
  if( strcmp(p->table, "t_rows")!=0 || strcmp(p->column, "sum")==0 ) return 0;
  return strcmp(p->column, "latent")!=0;
}

/* Property 1. Returns 1 when something said that there is damage. */
static int read_all(struct tally *y, sqlite3 *db, const struct place *p, const char *told,
                    struct random *r){
  char literal[LITERAL];
  char why[WHY];
  char sql[LITERAL+200];
  int rc;
  int own = is_of_user(p);
  int n_errors = 0;
  if( !scans_agree(db, y->kind, &rc, why) && !(rc==SQLITE_OK ? own : is_clean(db, rc)) ){
    bad(y, told, "scan", why);
  }
  n_errors += rc!=SQLITE_OK;
  for(int i=0; i<2; i++){
    content_literal(literal, r, y->kind);
    if( !pull_agrees(db, y->kind, literal, &rc, why) && !(rc==SQLITE_OK ? own : is_clean(db, rc)) ){
      bad(y, told, "query", why);
    }
    n_errors += rc!=SQLITE_OK;
  }
  snprintf(sql, sizeof(sql), "SELECT rowid, distance, x FROM t(%s) WHERE %s LIMIT 4", literal,
           y->kind->is_parted ? "x=2" : "x>1");
  n_errors += try(y, db, told, sql)!=SQLITE_OK;
  return n_errors>0;
}

/* Property 2. */
static void write_all(struct tally *y, sqlite3 *db, const char *told, struct random *r){
  int rc = SQLITE_OK;
  char why[WHY];
  try(y, db, told, "BEGIN");
  for(int i=0; i<6 && !sqlite3_get_autocommit(db); i++){
    rc = twins_change_any(db, y->kind, r, N_ROWS+8);
    if( rc!=SQLITE_OK && !is_clean(db, rc) ){
      why_not(why, "error %d, '%s'", rc, sqlite3_errmsg(db));
      bad(y, told, "change", why);
    }
  }
  try(y, db, told, "SELECT count(*) FROM t");
  if( !sqlite3_get_autocommit(db) ) try(y, db, told, "ROLLBACK");
}

/* Properties 3 and 4. */
static void mend(struct tally *y, sqlite3 *db, const struct place *p, int is_told, const char *told,
                 struct random *r){
  char why[WHY];
  int rc = sqlite3_exec(db, "INSERT INTO t(t) VALUES('integrity-check')", NULL, NULL, NULL);
  int own = is_of_user(p);
  int may_refuse = strcmp(p->table, "t_config")==0;
  /* FTS5 does not look at all that it keeps beside the texts. */
  int is_fts5 = strncmp(p->table, "t_words_", 8)==0 && strcmp(p->table, "t_words_content")!=0;
  int is_gone = own && strstr(told, "the row is gone")!=NULL;
  /* The vector may be lost. */
  if( y->kind->content==VECTORS && strcmp(p->table, "t_rows")==0 ) own = 1;
  y->n_unfound += rc==SQLITE_OK && is_gone;
  if( rc==SQLITE_OK && !is_gone && !is_told && !is_fts5 ){
    bad(y, told, "'integrity-check'", "finds nothing");
  }else if( rc!=SQLITE_OK && !is_clean(db, rc) ){
    bad(y, told, "'integrity-check'", sqlite3_errmsg(db));
  }
  rc = try(y, db, told, "INSERT INTO t(t) VALUES('rebuild')");
  y->n_unmended += rc!=SQLITE_OK;
  if( rc!=SQLITE_OK && !may_refuse ) bad(y, told, "'rebuild'", sqlite3_errmsg(db));
  if( rc!=SQLITE_OK ) return;
  rc = sqlite3_exec(db, "INSERT INTO t(t) VALUES('integrity-check')", NULL, NULL, NULL);
  if( rc!=SQLITE_OK ){
    bad(y, told, "'integrity-check' after 'rebuild'", sqlite3_errmsg(db));
  }else if( !own && !twins_agree(db, y->kind, r, why) ){
    bad(y, told, "after 'rebuild'", why);
  }
}

static void campaign(const struct kind *k, int stride, unsigned long long seed){
  struct tally *y = calloc(1, sizeof(*y));
  struct random r = random_of(seed);
  struct image image = image_make(k);
  struct place_list l = { NULL, 0 };
  sqlite3 *db = image.data ? image_open(&image) : NULL;
  int at = 0;
  y->kind = k;
  if( db==NULL ){
    bad(y, "the database", "cannot be made", "");
  }else{
    l = places_of(db);
  }
  sqlite3_close(db);
  for(int i=0; i<l.n; i++){
    for(int j=0; j<damages_of(&l.places[i]); j++){
      char told[200] = "";
      if( at++%stride!=0 ) continue;
      db = image_open(&image);
      if( damage(db, &l.places[i], j, &r, told) ){
        int is_told = read_all(y, db, &l.places[i], told, &r);
        y->n++;
        y->n_told += is_told;
        write_all(y, db, told, &r);
        mend(y, db, &l.places[i], is_told, told, &r);
      }
      if( sqlite3_close(db)!=SQLITE_OK ) bad(y, told, "closing", "statements are left open");
    }
  }
  printf("%s - damage: %s: ", y->n_bad ? "not ok" : "ok", k->name);
  if( y->n_bad ){
    printf("%d of %d damages; %s\n", y->n_bad, y->n, y->first);
  }else{
    printf("%d damages of %d values, %d told of by a query, %d rows lost unseen,"
           " %d that 'rebuild' refused\n", y->n, l.n, y->n_told, y->n_unfound, y->n_unmended);
  }
  fflush(stdout);
  n_failed += y->n_bad>0 || y->n==0;
  places_free(&l);
  sqlite3_free(image.data);
  free(y);
}

int main(int argc, char **argv){
  int stride = argc>2 ? atoi(argv[2]) : 1;
  unsigned long long seed = argc>3 ? strtoull(argv[3], NULL, 10) : 1;
  if( argc<2 ){
    fprintf(stderr, "usage: damage MODEL [STRIDE [SEED]]\n");
    return 2;
  }
  if( !twins_begin("damage", argv[1]) ) return 1;
  for(int i=0; i<N_KINDS; i++){
    campaign(&KINDS[i], stride<1 ? 1 : stride, seed);
  }
  if( sqlite3_memory_used()!=0 ){
    printf("not ok - damage: %lld bytes left\n", (long long)sqlite3_memory_used());
  }else{
    printf("ok - damage: 0 bytes left\n");
  }
  return n_failed>0 || sqlite3_memory_used()!=0;
}
