/*
** index.h -- nearest neighbours over vectors of one width, kept in two shadow tables.
**
** The index knows no model: it does not ask what the vectors stand for. A vector is `width` floats
** of length 1. The distance of two vectors is 1 - cosine. A row is a rowid, its vectors and n_keys
** sort keys. It has one vector, or several where the shape says so, as a long text has one for each
** sentence: each is an entry of its own in all that follows, and the distance of a row is that of
** its nearest one. A sort key is a 64-bit number that stands for the value of a filter column; the
** index only compares keys. The index keeps codes of the vectors, not the exact vectors: the
** caller's `struct source` fetches those.
**
** The rows may be in groups, where the shape says so: a 64-bit number a row, which stands for the
** values of the partition columns. Rows of different groups are never in the same cell, and a
** search is in one group: what follows then holds for each group by itself.
**
** The structure, in the order in which a reader meets it:
**  1. One fixed rotation turns all vectors, so that nothing that follows depends on the axes.
**  2. Rows lie in cells of at most `cell_rows` rows. Each cell has a centroid, and a row belongs
**     to the cell with the nearest one. A cell that grows too large is split in two, and only
**     rows near the new boundary change cells (SPFresh, Xu et al. 2023, the LIRE protocol). A
**     cell that grows too small is dissolved into its neighbours. There is no training step.
**  3. A row has two codes, both made from its residual x - centroid. The first is the signs of
**     its numbers (RaBitQ, Gao and Long 2024): an unbiased estimate of the distance, with its
**     standard error. The second is 8 bits a number: its error is known, so it bounds the
**     distance for certain.
**  4. A search looks at cells in order of how likely they are to hold near rows, at the signs of
**     their rows, at the bytes of the rows that the signs let through, and at the exact vectors
**     of the rows that the bytes let through. It gives a row out when no other row can be nearer
**     (Hjaltason and Samet 1999). So rows stream nearest first, and the search reads no more than
**     the pulled rows ask for.
**
** On disk. All of it changes within the transaction of the row:
**   <table>_cells(id INTEGER PRIMARY KEY, n INTEGER, stamp INTEGER, centroid BLOB)
**       id 0: the whole index. n: rows in all. stamp: the state, which is the sum of a hash of
**       (id, n, stamp) over all cells; with groups, of (id, n, stamp, group). It is checked when
**       the cells are read, so no cell is lost or added unseen. It also tells whether cells in
**       memory are those of this state of the database, whoever wrote it and whatever was rolled
**       back. centroid: empty.
**       id 1...: a cell. n: its rows. stamp: hash64() of two numbers, which are hash64() of its
**       codes and hash64() of its centroid. centroid: f32[width], rotated; with groups, a u64
**       behind it: the group.
**   <table>_codes(id INTEGER PRIMARY KEY, rows BLOB): the rows of a cell, array after array,
**   little-endian. id: the cell's:
**       u64 hash64() of the bytes
**       i64 rowid[n]
**       f16 scale[n], error[n], lean[n], step[n], slack[n]        (struct factors)
**       u64 keys[n, n_keys]           (with several vectors a row: one more, the vector's number)
**       u8  signs[n, (width+7)/8]
**   and minus that, apart because most searches do without the bytes of most cells:
**       i8  bytes[n, width]
**
** The files, each on those before it: index_code.c, index_cells.c, index_store.c, index_batch.c,
** index_split.c, index_change.c. index_check.c and index_search.c stand on the first three, the
** latter also on index_floor.c and index_order.c.
*/
#ifndef LATENT_INDEX_H
#define LATENT_INDEX_H
#include "base.h"
#include "kernels.h"

struct sqlite3;
enum {
  INDEX_CELL_ROWS = 256,
  INDEX_WIDTH_MOST = 8192,
  INDEX_KEYS_MOST = 16
};
/* Cells kept in memory, for each connection and table: their signs rather than their bytes. */
#define INDEX_CACHE_BYTES ((size_t)64 << 20)

/* ======== For the layers above ========
** A function with a struct err returns its code: SQLITE_CORRUPT where the shadow tables are
** damaged, SQLITE_NOMEM, or what SQLite or the source failed with. */

/* ---- index_store.c: the index as a whole ---- */

/* Where exact vectors come from: the caller's own table of rows. */
struct source {
  void *arg;
  /* Gives the vectors of a row: *vectors[*n, width], of unit length, not rotated, good until the
  ** next call. *n is 0 where there is no such row; that is no failure. */
  int (*fetch)(void *arg, int64_t rowid, const float **vectors, int *n, struct err *e);
  /* Will the index yet be told of a change of the row? NULL: it always may. */
  int (*is_changing)(void *arg, int64_t rowid, struct err *e);
};

struct index_shape {
  int width;                    /* 1..INDEX_WIDTH_MOST */
  int n_keys;                   /* sort keys a row, 0..INDEX_KEYS_MOST */
  /* Most entries of a cell, 4 or more; 0: INDEX_CELL_ROWS. Tests make it tiny. */
  int cell_rows;
  int has_parts;                /* rows may have several vectors */
  int has_groups;               /* else all rows are of group 0 */
};

struct index;

/* Makes, or drops, the shadow tables of `table` in database `schema` ("main", ...). */
int index_create(struct sqlite3 *db, const char *schema, const char *table, struct err *e);
int index_drop(struct sqlite3 *db, const char *schema, const char *table, struct err *e);

/* Reads nothing yet. schema and table are copied. The index holds prepared statements until
** index_close() or index_idle(). */
int index_open(struct index **out, struct sqlite3 *db, const char *schema, const char *table,
               const struct index_shape *shape, const struct source *source, struct err *e);
void index_close(struct index *ix);             /* NULL is allowed */
/* Lets go of the statements: before a DROP or a RENAME. */
void index_idle(struct index *ix);

/* Renames the shadow tables. */
int index_rename(struct index *ix, const char *table, struct err *e);
/* The shadow tables have that name already: after a ROLLBACK TO. SQLITE_OK or SQLITE_NOMEM. */
int index_called(struct index *ix, const char *table);

int index_rows(struct index *ix, int64_t *n, struct err *e);    /* how many entries */
int index_rows_of(struct index *ix, uint64_t group, int64_t *n, struct err *e); /* of a group */
int index_clear(struct index *ix, struct err *e);               /* removes all rows */

/* ---- index_change.c: rows leave and enter ---- */

/* One row that leaves or enters. A row that moves, or gets other keys, leaves and enters. */
struct change {
  int64_t rowid;
  /* [n, width], unit length, not rotated: those that the row had, or shall have */
  const float *vectors;
  /* 1 unless the shape has parts. Where the row leaves, 0: they are not known, and all cells are
  ** looked through for the row. */
  int n;
  const uint64_t *keys;         /* [n_keys]; not read where the row leaves */
  uint64_t group;               /* the one that the row was in, or shall be in */
};

/* One batch, written before it returns: first `removed` leave, then `added` enter. The larger the
** batch, the less each row costs. The caller's table already holds the added rows; it may no
** longer hold the removed ones. SQLITE_CORRUPT (of the shadow tables) if a removed row is not
** there, or an added one is already there in the same cell. After a failure the caller's
** statement must fail, so that SQLite takes back what was written. */
int index_change(struct index *ix, const struct change *removed, int n_removed,
                 const struct change *added, int n_added, struct err *e);

/* Every centroid becomes the mean of its rows, every row goes to the nearest cell; no cell is too
** large or too small. */
int index_optimize(struct index *ix, struct err *e);

/* ---- index_check.c: does every byte follow from the caller's rows? ---- */

/* Compares the keys and the group of a row with the caller's. Damage goes to the report. */
typedef int index_check_keys(void *arg, int64_t rowid, const uint64_t *keys, uint64_t group,
                             struct buf *report, struct err *e);

/* Checks shapes, stamps, counts, that numbers are finite, that no row is there twice, and that
** the signs and bytes of every row are those of the source's vectors. Damage does not fail the
** call: it is appended to `report`, one line each (buf_report_line()). *n_seen: entries found.
** check_keys, unless NULL, is called with `arg` for each entry. */
int index_check(struct index *ix, struct buf *report, int64_t *n_seen,
                index_check_keys *check_keys, void *arg, struct err *e);

/* ---- index_search.c: the nearest rows ---- */

/* A condition on one sort key or on the rowid; all terms must hold. Bounds are inclusive. A term
** may let too many rows through, as the caller looks again, but never too few. */
struct term {
  /* 0..n_keys-1; -1: the rowid, a signed number: low and high are cast from int64_t */
  int column;
  uint64_t low, high;           /* the range, where set is NULL */
  /* Ascending (as signed numbers for the rowid); the caller's, outlives the search. */
  const uint64_t *set;
  int n_set;
};

int term_holds(const struct term *t, uint64_t key);     /* does a key, or a rowid, meet it? */

struct query {
  const float *vector;          /* [width], unit length, not rotated; copied */
  /* 1: every row, in exact order. Less: the mean share of the true nearest that the head has, the
  ** rows of the first 100 entries or more. The rows that it passed over come right after it, then
  ** all others: there, once, a distance may be less than the one before. */
  double recall;
  /* How many rows will be pulled, or a guess; 0: not known. It does not change their order. */
  int64_t k;
  double farthest;              /* rows farther than this are not wanted; INFINITY: all are */
  const struct term *terms;     /* [n_terms]; copied, but not their sets */
  int n_terms;
  uint64_t group;               /* in which it searches */
};

struct search;

/* The index may change while a search runs. Rows that change may be shown or not; no row is shown
** twice, and rows that are gone are left out. A row of which the source has another vector than the
** index was told, or none, is damage unless it is changing. *out: search_close(). */
int search_open(struct search **out, struct index *ix, const struct query *q, struct err *e);
/* The next row, or *eof. */
int search_next(struct search *s, int64_t *rowid, double *distance, int *eof, struct err *e);
void search_close(struct search *s);            /* NULL is allowed */

/* How many of each a search has looked at: for tests and measuring. */
struct search_cost {
  int64_t n_cells, n_signs, n_bytes, n_exact;
};
void search_cost(const struct search *s, struct search_cost *cost);

/* ======== Inside the layer ======== */

/* ---- index_code.c: the rotation and the codes, pure arithmetic ---- */

/* Four rounds of random signs and Hadamard butterflies over the first or the last 2^k numbers;
** the seed is fixed. */
struct rotation {
  int width;
  float *signs;                 /* [4, width]; owned */
};
int rotation_init(struct rotation *r, int width);               /* SQLITE_OK or SQLITE_NOMEM */
void rotation_release(struct rotation *r);
/* Turns a vector: y[width] = R x. May be in place. */
void rotate(const struct rotation *r, float *y, const float *x);

/* What the codes of a row need besides signs and bytes: each number an f16, as on the disk, so that
** a cache of 64 MB holds the signs of 1,000,000 rows of 384 numbers. error and slack are rounded
** upwards. */
struct factors {
  /* <q, x - centroid> is about scale * signs_product, give or take error (one standard
  ** deviation, for a q of length 1) */
  uint16_t scale, error;
  /* <centroid, x - centroid> less that estimate of it: so the part of q that points along the
  ** centroid costs no error */
  uint16_t lean;
  /* <q, x - centroid> is step * <q, bytes>, off by at most slack (for a q of length 1) */
  uint16_t step, slack;
};
enum { N_FACTORS = sizeof(struct factors)/sizeof(uint16_t) };
#define SIGN_WORDS(width) (((width)+63)/64)     /* signs in memory: u64 words, unused bits 0 */

/* Codes x[width] (rotated) against a centroid[width] (rotated): signs[SIGN_WORDS], bytes[width]. */
void code_make(struct factors *f, uint64_t *signs, int8_t *bytes, const float *x,
               const float *centroid, int width);

/* A query vector, prepared once for all cells: it does not depend on a centroid. */
struct prepared_query {
  int width;
  float *vector;                /* [width], rotated; in the arena, like planes */
  /* [4, SIGN_WORDS]: bit planes of the vector in 4 bits a number, two's complement */
  uint64_t *planes;
  float step, sum;              /* number i is about step * planes(i); sum: of all these */
  float error;                  /* length of what the 4 bits lose */
  float margin;                 /* most that query_bytes() is off by float rounding */
};
/* vector[width]: not rotated. SQLITE_NOMEM where the arena cannot hold it. */
int query_prepare(struct prepared_query *q, const struct rotation *r, const float *vector,
                  struct arena *a, struct err *e);

/* Estimates <q, x - centroid> of n rows by their signs, with standard errors: estimate[n],
** error[n]. q = along * centroid + a part at right angles to the centroid, of length `rest`: only
** that part has an error. factors: scale[n], error[n], lean[n], each `apart` numbers behind. */
void query_signs(float *estimate, float *error, const struct prepared_query *q, float along,
                 float rest, const uint16_t *factors, size_t apart, const uint64_t *signs, int n);
/* The same product of one row by its bytes: off by at most *slack. */
float query_bytes(const struct prepared_query *q, const struct factors *f, const int8_t *bytes,
                  float *slack);

/* ---- index_cells.c: cells in memory ---- */

struct cell {
  int64_t id;                   /* 1... */
  uint64_t group;               /* of all its rows */
  int n;                        /* rows */
  int capacity;                 /* rows that the arrays have room for; 0: not read yet */
  uint64_t bytes_hash;          /* of the bytes, as stored */
  uint64_t stamp;               /* as stored; of the codes and the centroid */
  /* As stored; hash of (id, n, stamp, and with groups the group), which is added to the state. 0:
  ** not written yet. */
  uint64_t mark;
  /* [width], rotated; owned. The group stands behind it once more, so that one hash is of both. */
  float *centroid;
  int64_t *rowids;              /* [n], like all below; owned, one allocation with those to signs */
  /* [N_FACTORS, capacity]: all scales, then all errors, ...: a search reads the first three */
  uint16_t *factors;
  uint64_t *keys;               /* [n, n_keys] */
  uint64_t *signs;              /* [n, SIGN_WORDS] */
  int8_t *bytes;                /* [n, width]; NULL: not read yet. Owned */
  /* Differs from the disk: within index_change() and index_optimize() only. */
  int is_dirty;
  int64_t used;                 /* index.clock when last used: the oldest go from a full cache */
};

struct index {
  struct index_shape shape;     /* cell_rows filled in; n_keys counts the number of the part too */
  struct source source;
  struct rotation rotation;
  struct store *store;          /* statements; index_store.c's own */
  int is_loaded;                /* cells and n_rows are those of `state` */
  uint64_t state;               /* stamp of id 0 */
  int64_t n_rows;
  struct cell **cells;          /* [n_cells], ascending by group, then by id; owned */
  int n_cells, cells_capacity;
  /* [n_cells, width]: a copy of all, side by side, for one pass over them; owned */
  float *centroids;
  float *halves;                /* [n_cells]: dot(centroid, centroid)/2 of each; owned */
  /* The centroids once more, as bytes: a matrix [width, n_cells] (kernels_bytes.c). A search ranks
  ** all cells by these. Both owned. */
  int8_t *coarse;
  float *coarse_scale;          /* [n_cells] */
  int64_t clock;                /* uses of cells so far */
  size_t cached_bytes;          /* of the cells that are read */
  size_t cache_bytes;           /* as many may stay: INDEX_CACHE_BYTES, less in tests */
  /* Rows that left since the opening; those not in the nearest cell: for measuring. */
  int64_t n_left, n_strayed;
};

static inline struct factors cell_factors(const struct cell *c, int at){
  const uint16_t *f = c->factors + at;
  const size_t apart = (size_t)c->capacity;

  return (struct factors){ f[0], f[apart], f[2*apart], f[3*apart], f[4*apart] };
}

/* Room for n rows: SQLITE_OK or SQLITE_NOMEM. */
int cell_reserve(struct index *ix, struct cell *c, int n);
int cell_reserve_signs(struct index *ix, struct cell *c, int n);        /* without that for bytes */
int cell_reserve_bytes(struct index *ix, struct cell *c);       /* for as many as the others have */
void cell_drop_bytes(struct index *ix, struct cell *c);
void cell_drop_codes(struct index *ix, struct cell *c);         /* frees the arrays */
/* Which of its row's vectors the entry with these keys, or entry `at` of a cell, stands for. */
static inline int part_of(const struct index *ix, const uint64_t *keys){
  return ix->shape.has_parts ? (int)keys[ix->shape.n_keys-1] : 0;
}
static inline int cell_part(const struct index *ix, const struct cell *c, int at){
  return part_of(ix, c->keys + (size_t)at*(size_t)ix->shape.n_keys);
}
/* The codes of x (rotated) become those of entry `at`. */
void cell_code(const struct index *ix, struct cell *c, int at, const float *x);
/* Codes x (rotated) and appends it: there is room. */
void cell_append(const struct index *ix, struct cell *c, int64_t rowid, const uint64_t *keys,
                 const float *x);
/* Removes row `at`: the last row takes its place. */
void cell_take_out(const struct index *ix, struct cell *c, int at);
/* The place of a part of a row among the first n entries of the cell; -1: not there. */
int cell_find(const struct index *ix, const struct cell *c, int64_t rowid, int part, int n);
void cell_swap_codes(struct cell *a, struct cell *b);           /* rows, with all their arrays */

/* A new cell at the end of the list. The caller fills in its centroid and calls
** cells_set_centroid(), and cells_sort() when it has no use for the old places any more. NULL: out
** of memory. */
struct cell *cells_add(struct index *ix, int64_t id, uint64_t group);
int64_t cells_new_id(const struct index *ix);   /* above all others */
void cells_sort(struct index *ix);
/* Where the cells of a group are, in a list that is sorted. */
struct cell_range {
  int from, n;                  /* places from..from+n */
};
struct cell_range cells_of(const struct index *ix, uint64_t group);
/* Copies the centroid of cell `at` to ix->centroids and ix->halves. */
void cells_set_centroid(struct index *ix, int at);
/* products[in.n]: about x . centroid, for all cells of a range: off by a few thousandths of the
** centroid's length. NULL where the arena cannot hold them. */
const float *cells_products(const struct index *ix, struct cell_range in, const float *x,
                            struct arena *a);
/* goes[n_cells]: those that are to leave the list. */
void cells_remove(struct index *ix, const uint8_t *goes);
/* Frees arrays of idle cells while the cache is too full, all bytes before any signs. */
void cells_trim(struct index *ix);
/* Do the codes of all rows not fit into the cache? */
int cells_overflow(const struct index *ix);
/* Drops everything read from the database: after a failure. */
void index_forget(struct index *ix);

/* The list of cells, set aside while it is read anew. */
struct cells_kept {
  struct index *index;
  struct cell **cells;          /* owned: cells_release() */
  int n;
};
struct cells_kept cells_set_aside(struct index *ix);
/* Moves the arrays of unchanged cells into the new list. */
void cells_take_back(struct index *ix, struct cells_kept *kept);
void cells_release(struct cells_kept *kept);

/* The at most n cells of a range nearest to x (rotated), nearest first, ties by their order.
** Returns how many. distances: half the squared length of the centroid less its product with x.
** They rank as Euclidean distances do. */
int cells_nearest(const struct index *ix, struct cell_range in, const float *x, int n, int *cells,
                  float *distances);

/* Some centroids, laid out as in struct index. */
struct centroids {
  const float *centroids;       /* [n, width] */
  const float *halves;          /* [n] */
  int n, width;
};
struct centroids cells_centroids(const struct index *ix, struct cell_range in);
/* How many floats of scratch nearest_of() needs, 64-byte aligned. */
size_t nearest_scratch(int width);
/* nearest[n]: which centroid is nearest to each row of x[n, width]. scratch is not used for fewer
** than 8 rows. */
void nearest_of(const struct centroids *to, const float *x, int n, int *nearest, float *scratch);

/* ---- index_store.c: cells on disk ---- */

/* Makes ix->cells those of the database as this statement sees it; returns at once where memory
** has that state already. Cells with the same stamp keep their codes. */
int index_load(struct index *ix, struct err *e);
/* Reads the codes of a cell, and checks them, unless they are in memory. May drop those of idle
** cells. */
int cell_read(struct index *ix, struct cell *c, struct err *e);
int cell_read_signs(struct index *ix, struct cell *c, struct err *e);   /* all but the bytes */
int index_write(struct index *ix, struct err *e);               /* dirty cells and the new state */
/* Only the dirty cells, so that their codes may be dropped. */
int index_write_cells(struct index *ix, struct err *e);
/* From the disk and the list: goes[n_cells] says which. */
int cells_erase(struct index *ix, const uint8_t *goes, struct err *e);
/* Reports rows of _codes that belong to no cell. */
int index_strays(struct index *ix, struct buf *report, struct err *e);
const char *index_table(const struct index *ix);                /* its name, for messages */

/* ---- index_batch.c: exact vectors during a change ---- */

/* A change at work. Its functions return err->rc; they do nothing if that is a failure already. */
struct index_batch {
  struct index *index;
  const struct change *added;   /* [n_added]: rows */
  int n_added;
  /* [entries, width]: of the added rows, rotated; in the arena, like places */
  float *vectors;
  struct key_set places;        /* rowid of an added row -> its first place in vectors */
  struct arena arena;
  struct err *err;
};
/* Rotates the added rows and notes where each is. SQLITE_CORRUPT where a row is added twice or is
** not finite. */
int batch_hold_added(struct index_batch *b);
/* Releases the batch; after a failure the index forgets its cells. */
int batch_end(struct index_batch *b);

/* Entries of n rows; 0 after a failure, such as too many. */
int batch_entries(struct index_batch *b, const struct change *rows, int n);
/* The vectors of rows, rotated: [entries, width], in the arena. NULL after a failure. */
float *batch_rotated(struct index_batch *b, const struct change *rows, int n);
/* The exact vectors, rotated, of one entry or of all entries of a cell that is read: from the added
** rows, else the source. */
int batch_vector(struct index_batch *b, int64_t rowid, int part, float *x);     /* x[width] */
int batch_vectors(struct index_batch *b, const struct cell *c, float *x);       /* x[c->n, width] */

/* The least rows of a cell: cells with fewer are dissolved. */
int cell_rows_least(const struct index *ix);
/* Sum and mean of rows of x[, width]: those in order[n], in that order; order NULL: the first n. */
void rows_sum(float *sum, const float *x, const int *order, int n, int width);
void rows_mean(float *mean, const float *x, const int *order, int n, int width);

/* ---- index_order.c: which cells a search opens ---- */

enum { N_CLASSES = 256 };       /* of cells, by how likely they are to hold near rows */

/* What a round of a search knows of a cell before it is opened. */
struct ordered_cell {
  float product;                /* about <q, centroid>: cells_products() */
  /* What the cell's size suggests for the spread of <q, x - centroid>, and 1/spread. */
  float spread, steep;
};

struct cell_order {
  const struct index *index;
  struct cell_range in;
  struct ordered_cell *cells;   /* [in.n]: in the arena, like order and scratch[2, in.n] */
  int *order;                   /* [in.n]: the opened cells, then the others, likeliest first */
  int *scratch;
  int n_opened;                 /* cells: the first in order */
  /* Cells that may have to be opened, the opened ones included: the first in order. */
  int n_likely;
  /* Of those that are likely and not opened: how many are of each class. */
  int counts[N_CLASSES];
  double squares, n_squares;    /* of <q, x - centroid>/spread over the rows that it was shown */
};

/* In the order of the list. It cannot be used where the arena is out of memory. */
void order_init(struct cell_order *o, const struct index *ix, struct cell_range in,
                const float *query, struct arena *a);
/* Notes the spread of products in the rows of a cell: estimates and errors of query_signs(). */
void order_see(struct cell_order *o, int at, const float *estimate, const float *error, int n);
/* Sorts the likely cells that are not opened yet: those that may hold most rows with such a score
** come first. */
void order_sort(struct cell_order *o, float score);
/* How many cells, in order, must be opened so that the others hold fewer than `allowed` rows that
** reach the score, where the opened ones hold `found`. share: of the rows, those that pass the
** terms. mean_rows: of a cell. The cells were sorted for that score. */
int order_needed(struct cell_order *o, float score, double found, double share, double mean_rows,
                 double allowed);

/* ---- index_floor.c: what a search reckons with ---- */

/* The `size` best lower bounds of a round. */
struct floor {
  float *best;                  /* [size] */
  int64_t n, size;              /* size 0: the floor is where it began, and stays there */
  float at;                     /* the floor */
};
void floor_see(struct floor *f, float lower);   /* takes note of the lower bound of a row */
/* The share of products that lie more than z spreads above their middle. */
float share_above(float z);

/* ---- index_split.c: cells that are too large ---- */

/* Splits cell `at` into cells of at most cell_rows rows, and moves rows near the new boundaries. */
int cell_split(struct index_batch *b, int at);

#endif
