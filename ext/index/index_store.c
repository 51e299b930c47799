/*
** index_store.c -- the index in its two shadow tables: opening and closing, the statements, the
** bytes of a cell, the state. index.h has the format.
**
** It believes nothing that it reads. The stamp of a cell covers its centroid and its codes. The
** state covers the stamps, ids and counts of all cells. So the rest of the layer meets only what
** was written, or SQLITE_CORRUPT with the table and the cell in its text.
*/
#ifdef SQLITE_CORE
# include <sqlite3.h>
#else
# include <sqlite3ext.h>
SQLITE_EXTENSION_INIT3
#endif
#include "index.h"
#include <assert.h>
#include <math.h>
#include <string.h>

#define ID_MOST ((int64_t)1 << 53)      /* a cell's id; the next one never overflows */

/* ---- Statements: prepared at first use ---- */

enum {
  READ_STATE, READ_CELLS, READ_CODES, READ_STRAY,
  WRITE_CELL, WRITE_CODES,
  DROP_CELL, DROP_CODES,
  CLEAR_CELLS, CLEAR_CODES,
  N_STATEMENTS
};

/* Each is formatted with schema, table, schema, table, used or not. */
static const char *const STATEMENTS[N_STATEMENTS] = {
  [READ_STATE] = "SELECT n, stamp FROM \"%w\".\"%w_cells\" WHERE id=0",
  [READ_CELLS] = "SELECT id, n, stamp, centroid FROM \"%w\".\"%w_cells\" ORDER BY id",
  [READ_CODES] = "SELECT rows FROM \"%w\".\"%w_codes\" WHERE id=?1",
  [READ_STRAY] = "SELECT id FROM \"%w\".\"%w_codes\""
                 " WHERE max(id, -id) NOT IN (SELECT id FROM \"%w\".\"%w_cells\" WHERE id<>0)"
                 " ORDER BY id",
  [WRITE_CELL] = "REPLACE INTO \"%w\".\"%w_cells\"(id, n, stamp, centroid) VALUES(?1, ?2, ?3, ?4)",
  [WRITE_CODES] = "REPLACE INTO \"%w\".\"%w_codes\"(id, rows) VALUES(?1, ?2)",
  [DROP_CELL] = "DELETE FROM \"%w\".\"%w_cells\" WHERE id=?1",
  [DROP_CODES] = "DELETE FROM \"%w\".\"%w_codes\" WHERE id IN (?1, -?1)",
  [CLEAR_CELLS] = "DELETE FROM \"%w\".\"%w_cells\"",
  [CLEAR_CODES] = "DELETE FROM \"%w\".\"%w_codes\"",
};

struct store {
  sqlite3 *db;
  char *schema, *table;                         /* owned */
  sqlite3_stmt *statements[N_STATEMENTS];       /* NULL: not prepared */
  /* Of the cell being written; kept to save the allocation. */
  struct buf codes;
};

/* Reports what SQLite says. */
static int sql_failed(sqlite3 *db, const char *schema, const char *table, int rc, struct err *e){
  if( (rc & 0xff)==SQLITE_NOMEM || rc==SQLITE_IOERR_NOMEM ) return fail_nomem(e);
  return fail(e, rc, "%s.%s: %s", schema, table, sqlite3_errmsg(db));
}

/* A statement that does not fit the shadow tables means that they are not ours any more. */
static int statement_failed(const struct store *s, int rc, struct err *e){
  return sql_failed(s->db, s->schema, s->table, rc==SQLITE_ERROR ? SQLITE_CORRUPT : rc, e);
}

/* A statement, ready to be bound and stepped, then to be ended by statement_end(). NULL after a
** failure. */
static sqlite3_stmt *statement_get(struct store *s, int which, struct err *e){
  const int flags = SQLITE_PREPARE_PERSISTENT | SQLITE_PREPARE_NO_VTAB;
  char *sql;
  int rc;

  if( e->rc!=SQLITE_OK ) return NULL;
  if( s->statements[which] ) return s->statements[which];
  sql = sqlite3_mprintf(STATEMENTS[which], s->schema, s->table, s->schema, s->table);
  if( sql==NULL ){
    fail_nomem(e);
    return NULL;
  }
  rc = sqlite3_prepare_v3(s->db, sql, -1, flags, &s->statements[which], NULL);
  sqlite3_free(sql);
  if( rc!=SQLITE_OK ) statement_failed(s, rc, e);
  return s->statements[which];
}

/* Reports how the steps of a statement ended, and makes it ready for the next time. */
static int statement_end(struct store *s, sqlite3_stmt *st, struct err *e){
  const int rc = sqlite3_reset(st);

  if( rc!=SQLITE_OK ) statement_failed(s, rc, e);
  sqlite3_clear_bindings(st);
  return e->rc;
}

/* Runs a statement that gives no rows; ?1 is id. */
static int statement_run(struct store *s, int which, int64_t id, struct err *e){
  sqlite3_stmt *st = statement_get(s, which, e);

  if( st==NULL ) return e->rc;
  if( sqlite3_bind_parameter_count(st)>0 ) sqlite3_bind_int64(st, 1, id);
  sqlite3_step(st);
  return statement_end(s, st, e);
}

/* ---- The index as a whole ---- */

/* Formats SQL with schema and table, as often as it asks for them, and runs it. */
static int run_sql(sqlite3 *db, const char *schema, const char *table, const char *format,
                   struct err *e){
  char *sql = sqlite3_mprintf(format, schema, table, schema, table, schema, table);
  int rc;

  if( sql==NULL ) return fail_nomem(e);
  rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  sqlite3_free(sql);
  return rc==SQLITE_OK ? SQLITE_OK : sql_failed(db, schema, table, rc, e);
}

int index_create(struct sqlite3 *db, const char *schema, const char *table, struct err *e){
  static const char SQL[] =
    "CREATE TABLE \"%w\".\"%w_cells\""
    "(id INTEGER PRIMARY KEY, n INTEGER, stamp INTEGER, centroid BLOB);"
    "CREATE TABLE \"%w\".\"%w_codes\"(id INTEGER PRIMARY KEY, rows BLOB);"
    "INSERT INTO \"%w\".\"%w_cells\" VALUES(0, 0, 0, x'')";

  assert( db && schema && table );
  return run_sql(db, schema, table, SQL, e);
}

int index_drop(struct sqlite3 *db, const char *schema, const char *table, struct err *e){
  static const char SQL[] =
    "DROP TABLE IF EXISTS \"%w\".\"%w_cells\"; DROP TABLE IF EXISTS \"%w\".\"%w_codes\"";

  assert( db && schema && table );
  return run_sql(db, schema, table, SQL, e);
}

static char *copy_text(const char *text){
  const size_t n = strlen(text) + 1;
  char *copy = mem_alloc(n);

  return copy ? memcpy(copy, text, n) : NULL;
}

/* NULL: out of memory. */
static struct store *store_open(sqlite3 *db, const char *schema, const char *table){
  struct store *s = mem_alloc(sizeof(*s));

  if( s==NULL ) return NULL;
  *s = (struct store){ .db = db, .schema = copy_text(schema), .table = copy_text(table) };
  return s;
}

int index_open(struct index **out, struct sqlite3 *db, const char *schema, const char *table,
               const struct index_shape *shape, const struct source *source, struct err *e){
  struct index *ix = mem_alloc(sizeof(*ix));
  struct store *s;

  assert( shape->width>=1 && shape->width<=INDEX_WIDTH_MOST );
  assert( shape->n_keys>=0 && shape->n_keys<=INDEX_KEYS_MOST );
  assert( shape->cell_rows==0 || shape->cell_rows>=4 );
  *out = NULL;
  if( ix==NULL ) return fail_nomem(e);
  *ix = (struct index){ .shape = *shape, .source = *source, .cache_bytes = INDEX_CACHE_BYTES };
  if( ix->shape.cell_rows==0 ) ix->shape.cell_rows = INDEX_CELL_ROWS;
  if( shape->has_parts ) ix->shape.n_keys++;
  s = ix->store = store_open(db, schema, table);
  if( s==NULL || s->schema==NULL || s->table==NULL
   || rotation_init(&ix->rotation, shape->width)!=SQLITE_OK ){
    index_close(ix);
    return fail_nomem(e);
  }
  *out = ix;
  return SQLITE_OK;
}

void index_close(struct index *ix){
  if( ix==NULL ) return;
  index_forget(ix);
  if( ix->store ){
    index_idle(ix);
    buf_release(&ix->store->codes);
    mem_free(ix->store->schema);
    mem_free(ix->store->table);
    mem_free(ix->store);
  }
  rotation_release(&ix->rotation);
  mem_free(ix);
}

void index_idle(struct index *ix){
  for(int i=0; i<N_STATEMENTS; i++){
    sqlite3_finalize(ix->store->statements[i]);
    ix->store->statements[i] = NULL;
  }
}

int index_called(struct index *ix, const char *table){
  char *copy = copy_text(table);

  if( copy==NULL ) return SQLITE_NOMEM;
  index_idle(ix);
  mem_free(ix->store->table);
  ix->store->table = copy;
  return SQLITE_OK;
}

int index_rename(struct index *ix, const char *table, struct err *e){
  static const char SQL[] = "ALTER TABLE \"%w\".\"%w_cells\" RENAME TO \"%w_cells\";"
                            "ALTER TABLE \"%w\".\"%w_codes\" RENAME TO \"%w_codes\"";
  struct store *s = ix->store;
  char *sql = sqlite3_mprintf(SQL, s->schema, s->table, table, s->schema, s->table, table);
  int rc;

  if( sql==NULL ) return fail_nomem(e);
  index_idle(ix);
  rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
  sqlite3_free(sql);
  if( rc!=SQLITE_OK ) return statement_failed(s, rc, e);
  return index_called(ix, table)==SQLITE_OK ? SQLITE_OK : fail_nomem(e);
}

const char *index_table(const struct index *ix){
  return ix->store->table;
}

/* ---- Bytes: little-endian on disk ---- */

/* count numbers of `bytes` bytes each, from memory to disk or back. */
static void copy_numbers(void *to, const void *from, size_t count, int bytes){
  memcpy(to, from, count*(size_t)bytes);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__==__ORDER_BIG_ENDIAN__
  unsigned char *p = to;
  for(size_t i=0; i<count; i++, p+=bytes){
    for(int k=0; k<bytes/2; k++){
      unsigned char b = p[k];
      p[k] = p[bytes-1-k];
      p[bytes-1-k] = b;
    }
  }
#endif
}

static uint64_t hash_numbers(const uint64_t *x, int n){
  uint64_t line[8];

  assert( n<=8 );
  copy_numbers(line, x, (size_t)n, 8);
  return hash64(line, (size_t)n*8);
}

static uint64_t cell_stamp(const void *codes, size_t n_codes,
                           const void *centroid, size_t n_centroid){
  const uint64_t parts[2] = { hash64(codes, n_codes), hash64(centroid, n_centroid) };

  return hash_numbers(parts, 2);
}

/* What a cell adds to the state. */
static uint64_t cell_mark(const struct index *ix, const struct cell *c){
  const uint64_t parts[4] = { (uint64_t)c->id, (uint64_t)c->n, c->stamp, c->group };

  return hash_numbers(parts, ix->shape.has_groups ? 4 : 3);
}

/* Bytes of _cells.centroid, the group included. */
static size_t centroid_bytes(const struct index *ix){
  return 4*(size_t)ix->shape.width + (ix->shape.has_groups ? sizeof(uint64_t) : 0);
}

/* Bytes of _codes.rows for n rows, the bytes of the rows apart. */
static size_t codes_bytes(const struct index *ix, int n){
  const size_t keys = 8*(size_t)ix->shape.n_keys;
  const size_t signs = ((size_t)ix->shape.width+7)/8;

  return sizeof(uint64_t) + (size_t)n*(8 + 2*N_FACTORS + keys + signs);
}

static size_t cell_bytes(const struct index *ix, const struct cell *c){
  return (size_t)c->n*(size_t)ix->shape.width;
}

/* to[codes_bytes]: what _codes.rows holds. */
static void codes_put(const struct index *ix, const struct cell *c, unsigned char *to){
  const int width = ix->shape.width;
  const int words = SIGN_WORDS(width);
  const int signs_bytes = (width+7)/8;
  uint64_t line[SIGN_WORDS(INDEX_WIDTH_MOST)];

  copy_numbers(to, &c->bytes_hash, 1, 8);
  to += sizeof(uint64_t);
  copy_numbers(to, c->rowids, (size_t)c->n, 8);
  to += (size_t)c->n*8;
  for(int k=0; k<N_FACTORS; k++){
    copy_numbers(to, c->factors + (size_t)k*(size_t)c->capacity, (size_t)c->n, 2);
    to += (size_t)c->n*2;
  }
  copy_numbers(to, c->keys, (size_t)c->n*ix->shape.n_keys, 8);
  to += (size_t)c->n*ix->shape.n_keys*8;
  for(int i=0; i<c->n; i++){
    copy_numbers(line, c->signs + (size_t)i*words, (size_t)words, 8);
    memcpy(to, line, (size_t)signs_bytes);
    to += signs_bytes;
  }
}

/* The way back; c has room for c->n rows. Returns 0 where a factor is not a number that
** code_make() gives. */
static int codes_take(const struct index *ix, struct cell *c, const unsigned char *from){
  const int width = ix->shape.width;
  const int words = SIGN_WORDS(width);
  const int signs_bytes = (width+7)/8;
  uint64_t line[SIGN_WORDS(INDEX_WIDTH_MOST)] = { 0 };
  int good = 1;

  copy_numbers(&c->bytes_hash, from, 1, 8);
  from += sizeof(uint64_t);
  copy_numbers(c->rowids, from, (size_t)c->n, 8);
  from += (size_t)c->n*8;
  for(int k=0; k<N_FACTORS; k++){
    uint16_t *halves = c->factors + (size_t)k*(size_t)c->capacity;
    copy_numbers(halves, from, (size_t)c->n, 2);
    from += (size_t)c->n*2;
    for(int i=0; i<c->n; i++) good &= (halves[i] & 0x7c00)!=0x7c00;     /* not infinite, not NaN */
  }
  for(int i=0; i<c->n; i++){
    const struct factors f = cell_factors(c, i);
    good &= ((f.scale | f.error | f.step | f.slack) & 0x8000)==0;
  }
  copy_numbers(c->keys, from, (size_t)c->n*ix->shape.n_keys, 8);
  from += (size_t)c->n*ix->shape.n_keys*8;
  for(int i=0; i<c->n; i++){
    memcpy(line, from, (size_t)signs_bytes);
    copy_numbers(c->signs + (size_t)i*words, line, (size_t)words, 8);
    from += signs_bytes;
  }
  return good;
}

/* ---- Reading ---- */

/* n and stamp of the index as this statement sees it. */
static int read_state(struct index *ix, int64_t *n, uint64_t *state, struct err *e){
  struct store *s = ix->store;
  sqlite3_stmt *st = statement_get(s, READ_STATE, e);
  int found;

  *n = 0;
  *state = 0;
  if( st==NULL ) return e->rc;
  found = sqlite3_step(st)==SQLITE_ROW;
  if( found ){
    *n = sqlite3_column_int64(st, 0);
    *state = (uint64_t)sqlite3_column_int64(st, 1);
  }
  statement_end(s, st, e);
  if( !found ){
    fail(e, SQLITE_CORRUPT, "%s.%s_cells: row 0, the state of the index, is missing",
         s->schema, s->table);
  }
  return e->rc;
}

/* Row 0 of _cells as read_cells() meets it. */
static int read_state_row(struct index *ix, sqlite3_stmt *st, struct err *e){
  const struct store *s = ix->store;
  const int64_t id = sqlite3_column_int64(st, 0);
  const int bytes = sqlite3_column_bytes(st, 3);

  ix->n_rows = sqlite3_column_int64(st, 1);
  ix->state = (uint64_t)sqlite3_column_int64(st, 2);
  if( id!=0 ){
    return fail(e, SQLITE_CORRUPT, "%s.%s_cells: the first row has id %lld, expected 0",
                s->schema, s->table, (long long)id);
  }
  if( bytes!=0 || sqlite3_column_type(st, 3)!=SQLITE_BLOB ){
    return fail(e, SQLITE_CORRUPT, "%s.%s_cells: row 0 has a centroid of %d bytes, expected an "
                "empty BLOB", s->schema, s->table, bytes);
  }
  return SQLITE_OK;
}

/* Another row of _cells, as a cell at the end of ix->cells. */
static int read_cell_row(struct index *ix, sqlite3_stmt *st, struct err *e){
  const struct store *s = ix->store;
  const int64_t id = sqlite3_column_int64(st, 0);
  const int64_t n = sqlite3_column_int64(st, 1);
  const int width = ix->shape.width;
  const void *blob = sqlite3_column_blob(st, 3);
  const int bytes = sqlite3_column_bytes(st, 3);
  const int expected = (int)centroid_bytes(ix);
  uint64_t group = 0;
  struct cell *c;

  if( blob==NULL && sqlite3_errcode(s->db)==SQLITE_NOMEM ) return fail_nomem(e);
  if( id<1 || id>ID_MOST || n<1 || n>INT32_MAX/2
   || sqlite3_column_type(st, 3)!=SQLITE_BLOB || bytes!=expected ){
    return fail(e, SQLITE_CORRUPT, "%s.%s_cells: cell %lld has %lld rows"
                " and a centroid of %d bytes, expected 1 or more and %d",
                s->schema, s->table, (long long)id, (long long)n, bytes, expected);
  }
  if( ix->shape.has_groups ) copy_numbers(&group, (const char *)blob + 4*width, 1, 8);
  c = cells_add(ix, id, group);
  if( c==NULL ) return fail_nomem(e);
  copy_numbers(c->centroid, blob, (size_t)width, 4);
  for(int i=0; i<width; i++){
    if( isfinite(c->centroid[i]) ) continue;
    return fail(e, SQLITE_CORRUPT,
                "%s.%s_cells: the centroid of cell %lld holds a number that is not finite",
                s->schema, s->table, (long long)id);
  }
  cells_set_centroid(ix, ix->n_cells-1);
  c->n = (int)n;
  c->stamp = (uint64_t)sqlite3_column_int64(st, 2);
  c->mark = cell_mark(ix, c);
  return SQLITE_OK;
}

/* All of _cells into the empty ix->cells; and checks that they are what row 0 says. */
static int read_cells(struct index *ix, struct err *e){
  struct store *s = ix->store;
  sqlite3_stmt *st = statement_get(s, READ_CELLS, e);
  uint64_t state = 0;
  int64_t n = 0;
  int has_state = 0;

  if( st==NULL ) return e->rc;
  while( e->rc==SQLITE_OK && sqlite3_step(st)==SQLITE_ROW ){
    if( !has_state ){
      has_state = 1;
      read_state_row(ix, st, e);
    }else if( read_cell_row(ix, st, e)==SQLITE_OK ){
      n += ix->cells[ix->n_cells-1]->n;
      state += ix->cells[ix->n_cells-1]->mark;
    }
  }
  if( statement_end(s, st, e)!=SQLITE_OK ) return e->rc;
  cells_sort(ix);
  if( !has_state || n!=ix->n_rows || state!=ix->state ){
    fail(e, SQLITE_CORRUPT,
         "%s.%s_cells: %d cells of %lld rows are not those of the state in row 0,"
         " which counts %lld rows",
         s->schema, s->table, ix->n_cells, (long long)n, (long long)(has_state ? ix->n_rows : 0));
  }
  return e->rc;
}

int index_load(struct index *ix, struct err *e){
  struct cells_kept kept;
  uint64_t state;
  int64_t n;

  if( read_state(ix, &n, &state, e)!=SQLITE_OK ) return e->rc;
  if( ix->is_loaded && state==ix->state && n==ix->n_rows ) return SQLITE_OK;
  kept = cells_set_aside(ix);
  if( read_cells(ix, e)==SQLITE_OK ){
    cells_take_back(ix, &kept);
    ix->is_loaded = 1;
  }
  cells_release(&kept);
  if( e->rc!=SQLITE_OK ) index_forget(ix);
  return e->rc;
}

int index_rows(struct index *ix, int64_t *n, struct err *e){
  *n = 0;
  if( index_load(ix, e)==SQLITE_OK ) *n = ix->n_rows;
  return e->rc;
}

int index_rows_of(struct index *ix, uint64_t group, int64_t *n, struct err *e){
  struct cell_range in;

  if( index_rows(ix, n, e)!=SQLITE_OK || !ix->shape.has_groups ) return e->rc;
  in = cells_of(ix, group);
  *n = 0;
  for(int i=in.from; i<in.from+in.n; i++) *n += ix->cells[i]->n;
  return SQLITE_OK;
}

/* The blob of a row of _codes, which must be so long. NULL after a failure. */
static const void *codes_blob(struct index *ix, const struct cell *c, sqlite3_stmt *st,
                              size_t expected, struct err *e){
  const struct store *s = ix->store;
  const void *blob = sqlite3_column_blob(st, 0);
  const size_t n = (size_t)sqlite3_column_bytes(st, 0);

  if( blob==NULL && sqlite3_errcode(s->db)==SQLITE_NOMEM ){
    fail_nomem(e);
  }else if( n!=expected || sqlite3_column_type(st, 0)!=SQLITE_BLOB ){
    fail(e, SQLITE_CORRUPT, "%s.%s_codes: cell %lld has %zu bytes, expected %zu for %d rows. "
         "'rebuild' writes the index anew",
         s->schema, s->table, (long long)c->id, n, expected, c->n);
  }
  return e->rc==SQLITE_OK ? blob : NULL;
}

static int not_as_stamped(struct index *ix, const struct cell *c, struct err *e){
  return fail(e, SQLITE_CORRUPT, "%s.%s_codes: cell %lld is not what its stamp says",
              ix->store->schema, ix->store->table, (long long)c->id);
}

/* The codes that _codes holds for c, into its arrays: all but the bytes. */
static int read_signs_row(struct index *ix, struct cell *c, sqlite3_stmt *st, struct err *e){
  const struct store *s = ix->store;
  const size_t n = codes_bytes(ix, c->n);
  const void *blob = codes_blob(ix, c, st, n, e);

  if( blob==NULL ) return e->rc;
  if( cell_stamp(blob, n, c->centroid, centroid_bytes(ix))!=c->stamp ){
    return not_as_stamped(ix, c, e);
  }
  if( cell_reserve_signs(ix, c, c->n)!=SQLITE_OK ) return fail_nomem(e);
  if( !codes_take(ix, c, blob) ){
    cell_drop_codes(ix, c);
    return fail(e, SQLITE_CORRUPT,
                "%s.%s_codes: cell %lld holds a factor that is negative or not finite",
                s->schema, s->table, (long long)c->id);
  }
  return SQLITE_OK;
}

/* The bytes likewise. They are those that the stamp covers if their hash is. */
static int read_bytes_row(struct index *ix, struct cell *c, sqlite3_stmt *st, struct err *e){
  const size_t n = cell_bytes(ix, c);
  const void *blob = codes_blob(ix, c, st, n, e);

  if( blob==NULL ) return e->rc;
  if( hash64(blob, n)!=c->bytes_hash ) return not_as_stamped(ix, c, e);
  if( cell_reserve_bytes(ix, c)!=SQLITE_OK ) return fail_nomem(e);
  memcpy(c->bytes, blob, n);
  return SQLITE_OK;
}

/* Row `id` of _codes, which is of c. */
static int read_row(struct index *ix, struct cell *c, int64_t id,
                    int (*take)(struct index *, struct cell *, sqlite3_stmt *, struct err *),
                    struct err *e){
  struct store *s = ix->store;
  sqlite3_stmt *st = statement_get(s, READ_CODES, e);

  if( st==NULL ) return e->rc;
  sqlite3_bind_int64(st, 1, id);
  if( sqlite3_step(st)==SQLITE_ROW ){
    take(ix, c, st, e);
    statement_end(s, st, e);
  }else if( statement_end(s, st, e)==SQLITE_OK ){
    fail(e, SQLITE_CORRUPT, "%s.%s_codes: cell %lld is missing",
         s->schema, s->table, (long long)c->id);
  }
  cells_trim(ix);
  return e->rc;
}

int cell_read_signs(struct index *ix, struct cell *c, struct err *e){
  if( e->rc!=SQLITE_OK ) return e->rc;
  c->used = ++ix->clock;
  if( c->capacity>0 || c->n==0 ) return SQLITE_OK;
  return read_row(ix, c, c->id, read_signs_row, e);
}

int cell_read(struct index *ix, struct cell *c, struct err *e){
  if( cell_read_signs(ix, c, e)!=SQLITE_OK || c->bytes || c->n==0 ) return e->rc;
  return read_row(ix, c, -c->id, read_bytes_row, e);
}

int index_strays(struct index *ix, struct buf *report, struct err *e){
  struct store *s = ix->store;
  sqlite3_stmt *st = statement_get(s, READ_STRAY, e);

  if( st==NULL ) return e->rc;
  while( sqlite3_step(st)==SQLITE_ROW ){
    buf_report_line(report, "%s.%s_codes: row %lld belongs to no cell",
                    s->schema, s->table, (long long)sqlite3_column_int64(st, 0));
  }
  return statement_end(s, st, e);
}

/* ---- Writing ---- */

/* A value that is longer than SQLite's limit for this connection is an error. */
static int bind_bytes(const struct store *s, sqlite3_stmt *st, int at, const void *data, size_t n,
                      struct err *e){
  int rc = sqlite3_bind_blob64(st, at, data, n, SQLITE_STATIC);
  if( rc==SQLITE_OK ) return rc;
  if( rc==SQLITE_NOMEM ) return fail_nomem(e);
  return fail(e, rc, "%s.%s: a value of %zu bytes is longer than SQLite's limit here", s->schema,
              s->table, n);
}

/* One row of _codes. */
static int write_codes(struct store *s, int64_t id, const void *data, size_t n, struct err *e){
  sqlite3_stmt *st = statement_get(s, WRITE_CODES, e);

  if( st==NULL ) return e->rc;
  sqlite3_bind_int64(st, 1, id);
  if( bind_bytes(s, st, 2, data, n, e)==SQLITE_OK ) sqlite3_step(st);
  return statement_end(s, st, e);
}

/* One row of _cells. */
static int write_row(struct store *s, int64_t id, int64_t n, uint64_t stamp, const void *centroid,
                     size_t bytes,
                     struct err *e){
  sqlite3_stmt *st = statement_get(s, WRITE_CELL, e);

  if( st==NULL ) return e->rc;
  sqlite3_bind_int64(st, 1, id);
  sqlite3_bind_int64(st, 2, n);
  sqlite3_bind_int64(st, 3, (int64_t)stamp);
  if( bind_bytes(s, st, 4, centroid, bytes, e)==SQLITE_OK ) sqlite3_step(st);
  return statement_end(s, st, e);
}

/* Codes and row of a dirty cell. Its stamp covers both, so the centroid lies behind the codes in
** s->codes. */
static int write_cell(struct index *ix, struct cell *c, struct err *e){
  struct store *s = ix->store;
  const size_t n = codes_bytes(ix, c->n);
  const size_t n_centroid = centroid_bytes(ix);
  unsigned char *codes, *centroid;
  int rc;

  if( e->rc!=SQLITE_OK ) return e->rc;
  s->codes.n = 0;
  codes = buf_extend(&s->codes, n + n_centroid);
  if( codes==NULL ){
    rc = s->codes.rc;
    buf_release(&s->codes);
    if( rc==SQLITE_NOMEM ) return fail_nomem(e);
    return fail(e, rc, "%s.%s_codes: a cell of %zu bytes is too big", s->schema, s->table, n);
  }
  centroid = codes + n;
  c->bytes_hash = hash64(c->bytes, cell_bytes(ix, c));
  codes_put(ix, c, codes);
  copy_numbers(centroid, c->centroid, (size_t)ix->shape.width, 4);
  if( ix->shape.has_groups ) copy_numbers(centroid + 4*ix->shape.width, &c->group, 1, 8);
  if( write_codes(s, c->id, codes, n, e)!=SQLITE_OK ) return e->rc;
  if( write_codes(s, -c->id, c->bytes, cell_bytes(ix, c), e)!=SQLITE_OK ) return e->rc;
  c->stamp = cell_stamp(codes, n, centroid, n_centroid);
  ix->state -= c->mark;
  c->mark = cell_mark(ix, c);
  ix->state += c->mark;
  c->is_dirty = 0;
  return write_row(s, c->id, c->n, c->stamp, centroid, n_centroid, e);
}

int index_write_cells(struct index *ix, struct err *e){
  const sqlite3_int64 last = sqlite3_last_insert_rowid(ix->store->db);

  for(int i=0; i<ix->n_cells && e->rc==SQLITE_OK; i++){
    if( ix->cells[i]->is_dirty ) write_cell(ix, ix->cells[i], e);
  }
  /* Back to the user's last rowid: shadow tables must not show in it. */
  sqlite3_set_last_insert_rowid(ix->store->db, last);
  return e->rc;
}

int index_write(struct index *ix, struct err *e){
  const sqlite3_int64 last = sqlite3_last_insert_rowid(ix->store->db);

  index_write_cells(ix, e);
  write_row(ix->store, 0, ix->n_rows, ix->state, "", 0, e);
  sqlite3_set_last_insert_rowid(ix->store->db, last);
  return e->rc;
}

int cells_erase(struct index *ix, const uint8_t *goes, struct err *e){
  for(int i=0; i<ix->n_cells; i++){
    const struct cell *c = ix->cells[i];
    if( !goes[i] ) continue;
    statement_run(ix->store, DROP_CELL, c->id, e);
    statement_run(ix->store, DROP_CODES, c->id, e);
    if( e->rc!=SQLITE_OK ) return e->rc;
    ix->state -= c->mark;
  }
  cells_remove(ix, goes);
  return SQLITE_OK;
}

int index_clear(struct index *ix, struct err *e){
  index_forget(ix);
  statement_run(ix->store, CLEAR_CELLS, 0, e);
  statement_run(ix->store, CLEAR_CODES, 0, e);
  if( index_write(ix, e)==SQLITE_OK ) ix->is_loaded = 1;
  return e->rc;
}
