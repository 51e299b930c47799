/*
** index.h -- nearest neighbours over vectors of one width, kept in two shadow tables. Asks nobody where the vectors came from.
**
** A vector is `width` floats of length 1; the distance of two is 1 - cosine. A row is a rowid, its vector and n_keys sort keys (64-bit
** numbers that stand for the values of its filter columns: only their order means something here). The exact vectors are not kept
** in here: the caller's `struct source` fetches them.
**
** The structure, in the order in which a reader meets it:
**  1. All vectors are turned by one fixed rotation (index_code.c), so that what follows does not depend on the axes.
**  2. Rows lie in cells of at most `cell_rows` rows, each with a centroid (index_cells.c). A row belongs to the cell with the nearest centroid. A
**     cell that grows too large is split in two, and only rows near the new boundary change cells (SPFresh, Xu et al. 2023, the LIRE
**     protocol); one that grows too small is merged into its neighbours. There is no training step.
**  3. Within its cell a row is coded twice, both from its residual x - centroid: by the signs of its numbers (RaBitQ, Gao and Long 2024: an unbiased
**     estimate of the distance and the standard error of it), and by 8 bits a number, whose error is known and bounds the distance for certain.
**  4. A search (index_search.c) is one priority queue of cells, signs, bytes and exact rows, ordered by the least distance that each could have. What
**     comes out on top is looked at more closely and put back, or is an exact row and is the next result (Hjaltason and Samet
**     1999). So rows stream nearest first, and no more is read than the rows that are pulled ask for.
**
** On disk (index_store.c), all of it changed within the transaction of the row:
**   <table>_cells(id INTEGER PRIMARY KEY, n INTEGER, stamp INTEGER, centroid BLOB)
**       id 0: the whole index: n rows in all, stamp: the state, the sum of a hash of (id, n, stamp) over all cells: checked when they are read, so that
**       no cell is lost or added unseen; and memory kept between statements is known to be that of this database state, whoever wrote it and
**       whatever was rolled back. centroid: empty.
**       id 1...: a cell: n rows, stamp: hash64() of its codes, then of that and its centroid, centroid: f32[width], rotated.
**   <table>_codes(id INTEGER PRIMARY KEY, rows BLOB): of each cell, array after array, little-endian:
**       i64 rowid[n] | f16 scale, error, lean, step, slack [n] each (struct factors) | u64 keys[n, n_keys] | u8 signs[n, (width+7)/8] | i8 bytes[n, width]
*/
#ifndef LATENT_INDEX_H
#define LATENT_INDEX_H
#include "base.h"
#include "kernels.h"

struct sqlite3;
enum { INDEX_CELL_ROWS = 256, INDEX_WIDTH_MOST = 8192, INDEX_KEYS_MOST = 16 };
#define INDEX_CACHE_BYTES ((size_t)64 << 20)    /* cells kept in memory between statements, each connection and table */

/* ---- The index as a whole: index_store.c (open, close, shadow tables), index_cells.c (change, check) ---- */
struct source {                 /* where exact vectors come from: the caller's own table of rows */
  void *arg;
  /* The vector (unit length, not rotated) of a row; *found is 0 where there is no such row, which is no failure. */
  int (*fetch)(void *arg, int64_t rowid, float *vector, int *found, struct err *e);
};
struct index_shape {
  int width;                    /* 1..INDEX_WIDTH_MOST */
  int n_keys;                   /* sort keys a row, 0..INDEX_KEYS_MOST */
  int cell_rows;                /* most rows of a cell, 4 or more; 0: INDEX_CELL_ROWS. Tests make it tiny */
};
struct index;
/* Makes, or drops, the shadow tables of `table` in database `schema` ("main", ...). */
int index_create(struct sqlite3 *db, const char *schema, const char *table, struct err *e);
int index_drop(struct sqlite3 *db, const char *schema, const char *table, struct err *e);
/* Reads nothing yet. schema and table are copied. The index holds prepared statements until index_close(), or index_idle(), which lets go of them
** (before a DROP, a RENAME). */
int index_open(struct index **out, struct sqlite3 *db, const char *schema, const char *table, const struct index_shape *shape,
               const struct source *source, struct err *e);
void index_close(struct index *ix);     /* NULL is allowed */
void index_idle(struct index *ix);
int index_rename(struct index *ix, const char *table, struct err *e);   /* renames the shadow tables too */
int index_called(struct index *ix, const char *table);                   /* the same where they are already called so: after a ROLLBACK TO */

struct change {                 /* one row that leaves or enters. A row that moves leaves and enters. */
  int64_t rowid;
  const float *vector;          /* [width], unit length, not rotated: where it is, or shall be, found */
  const uint64_t *keys;         /* [n_keys]; not looked at where a row leaves */
};
/* One batch, written before it returns: first `removed` leave, then `added` enter. The larger the batch the less each row costs. The caller's table
** already holds the added rows and may no longer hold the removed ones. A removed row that is not there, or an added one that is there already in the
** same cell, is SQLITE_CORRUPT (of the shadow tables). On failure the caller's statement must fail, so that SQLite takes back what was written. */
int index_change(struct index *ix, const struct change *removed, int n_removed, const struct change *added, int n_added, struct err *e);
/* The same row with other keys. */
int index_rekey(struct index *ix, const struct change *row, struct err *e);
int index_clear(struct index *ix, struct err *e);               /* no rows */
int index_optimize(struct index *ix, struct err *e);            /* every row to its nearest cell, no cell too large or too small */
int index_rows(struct index *ix, int64_t *n, struct err *e);    /* how many rows */
/* Every byte: shapes, stamps, counts, finite numbers, no row twice, every row's signs and bytes are those of source's vector. Damage is not a failure of the
** call: it is appended to `report`, one line each, at most 20. *n_seen: rows found; check_keys (may be NULL) is asked for the keys of each. */
int index_check(struct index *ix, struct buf *report, int64_t *n_seen,
                int (*check_keys)(void *arg, int64_t rowid, const uint64_t *keys, struct buf *report, struct err *e), void *arg, struct err *e);
int index_cells_count(struct index *ix, int64_t *n, struct err *e);

/* ---- index_search.c ---- */
struct term {                   /* a condition on one sort key, or on the rowid: all terms must hold. Inclusive; a condition may let too much through (the caller
                                ** looks again), never too little */
  int column;                   /* 0..n_keys-1; -1: the rowid, as a signed number: low and high are cast from int64_t */
  uint64_t low, high;
  const uint64_t *set;          /* ascending (as signed numbers for the rowid); NULL: the range. Owned by the caller, must outlive the search */
  int n_set;
};
struct query {
  const float *vector;          /* [width], unit length, not rotated; copied */
  double recall;                /* 1: every row, in exact order. Below 1: the share of the true nearest `k` that is found on average; distances still never fall */
  int64_t k;                    /* how many rows will be pulled, as far as known; 0: not known. More may be pulled */
  double farthest;              /* rows farther than this are not wanted; INFINITY */
  const struct term *terms;     /* copied, but for the sets */
  int n_terms;
  int (*stop)(void *arg);       /* asked at least every few milliseconds; true ends with SQLITE_INTERRUPT. May be NULL */
  void *stop_arg;
};
struct search;
/* A search sees the index as it is at its opening as far as it has read it. Rows that are changed while it runs may be shown or not; none is shown twice,
** and rows that are gone are left out. */
int search_open(struct search **out, struct index *ix, const struct query *q, struct err *e);
int search_next(struct search *s, int64_t *rowid, double *distance, int *eof, struct err *e);
void search_close(struct search *s);    /* NULL is allowed */
struct search_cost { int64_t n_cells, n_signs, n_bytes, n_exact; };     /* how many of each were looked at: for tests and measuring */
void search_cost(const struct search *s, struct search_cost *cost);

/* ======== Inside the layer: nothing above index_* uses what follows ======== */

/* ---- index_code.c: pure arithmetic ---- */
struct rotation { int width; float *signs; };   /* four rounds of random signs and Hadamard butterflies over the first and the last 2^k numbers; a fixed seed */
int rotation_init(struct rotation *r, int width);               /* SQLITE_OK or SQLITE_NOMEM */
void rotation_release(struct rotation *r);
void rotate(const struct rotation *r, float *y, const float *x);        /* y[width] = R x; may be in place */

struct factors {                /* of one row; what is stored as f16 is rounded to it when made (error and slack upwards), so that memory and disk agree */
  float scale, error;           /* <q, x - centroid> is about scale * signs_product, give or take error (one standard deviation, for a q of length 1) */
  float lean;                   /* <centroid, x - centroid> less that estimate of it: what q shares with the centroid then costs no error */
  float step, slack;            /* <q, x - centroid> is step * <q, bytes>, give or take slack for certain (for a q of length 1) */
};
#define SIGN_WORDS(width) (((width)+63)/64)     /* signs in memory: u64 words, unused bits 0 */
/* Codes x (rotated) against a centroid (rotated). */
void code_make(struct factors *f, uint64_t *signs, int8_t *bytes, const float *x, const float *centroid, int width);
struct probe {                  /* a query, prepared for all cells: it does not depend on the centroid */
  int width;
  float *vector;                /* [width], rotated */
  uint64_t *planes;             /* [4, SIGN_WORDS]: the bit planes of the vector in 4 bits a number, two's complement */
  float step, sum;              /* number i is about step * planes(i); sum of these */
  float error;                  /* length of what the 4 bits lose */
  float margin;                 /* float rounding of probe_bytes(), at most */
};
int probe_init(struct probe *p, const struct rotation *r, const float *vector, struct arena *a, struct err *e);
/* Products <q, x - centroid> of n rows with their standard errors: estimate[n], error[n]. q = along * centroid + something at right angles to it, of
** length `rest`: only that has an error. */
void probe_signs(float *estimate, float *error, const struct probe *p, float along, float rest, const struct factors *f, const uint64_t *signs, int n);
float probe_bytes(const struct probe *p, const struct factors *f, const int8_t *bytes, float *slack);    /* one row */

/* ---- index_cells.c: cells in memory; index_store.c: cells on disk ---- */
struct cell {
  int64_t id;                   /* 1... */
  int n;                        /* rows */
  int capacity;                 /* rows that the arrays have room for; 0: not read yet */
  uint64_t stamp;               /* as stored; of the codes and the centroid */
  uint64_t mark;                /* as stored; hash of (id, n, stamp): what it adds to the state. 0: not written yet */
  float *centroid;              /* [width], rotated; owned */
  int64_t *rowids;              /* [n], like all below; owned */
  struct factors *factors;
  uint64_t *keys;               /* [n, n_keys] */
  uint64_t *signs;              /* [n, SIGN_WORDS] */
  int8_t *bytes;                /* [n, width] */
  int is_dirty;                 /* differs from the disk: within index_change() only */
  int64_t used;                 /* index.clock when last used: the oldest go when the cache is full */
};
struct index {
  struct index_shape shape;     /* cell_rows filled in */
  struct source source;
  struct rotation rotation;
  struct store *store;          /* statements; index_store.c's own */
  int is_loaded;                /* cells and state are those of `state` */
  uint64_t state;               /* stamp of id 0 */
  int64_t n_rows;
  struct cell **cells;          /* [n_cells], ascending by id; owned */
  int n_cells, cells_capacity;
  float *centroids;             /* [n_cells, width]: the same numbers side by side, for one pass over all; cells_refresh() */
  float *halves;                /* [n_cells]: dot(centroid, centroid)/2 of each, made along with centroids */
  int64_t clock;
  size_t cached_bytes;          /* of the cells that are read */
  size_t cache_bytes;           /* as many as may stay: INDEX_CACHE_BYTES, less in tests */
  int64_t n_left, n_strayed;    /* rows that left since the opening, and how many of them were not in the cell with the nearest centroid: for measuring */
};
/* Makes ix->cells those of the database as this statement sees it: at once where the state is known. Cells whose stamp did not change stay read. */
int index_load(struct index *ix, struct err *e);
int cell_read(struct index *ix, struct cell *c, struct err *e);         /* reads its codes, checked, unless they are there; may drop others that lie idle */
int index_write(struct index *ix, struct err *e);                       /* dirty cells and the new state */
int index_write_cells(struct index *ix, struct err *e);                 /* dirty cells alone, to be free to drop them */
int cell_erase(struct index *ix, int at, struct err *e);                /* from the disk and the list */
int index_strays(struct index *ix, struct buf *report, struct err *e);  /* reports codes that belong to no cell */
const char *index_table(const struct index *ix);                        /* its name, for messages */
void index_forget(struct index *ix);                                    /* all memory of the database: after a failure */

/* ---- index_cells.c: the arrays and the list of cells ---- */
int cell_reserve(struct index *ix, struct cell *c, int n);              /* room for n rows: SQLITE_OK or SQLITE_NOMEM */
void cell_drop_codes(struct index *ix, struct cell *c);
/* Codes x (rotated) and appends it: there is room. */
void cell_append(const struct index *ix, struct cell *c, int64_t rowid, const uint64_t *keys, const float *x);
void cell_take_out(const struct index *ix, struct cell *c, int at);
int cell_find(const struct cell *c, int64_t rowid, int n);              /* among its first n rows; -1: not there */
void cell_swap_codes(struct cell *a, struct cell *b);                   /* rows, with all their arrays */
struct cell *cells_add(struct index *ix, int64_t id);                   /* at the end: id is above all. The caller fills in its centroid, then cells_place(). NULL: out of memory */
void cells_place(struct index *ix, int at);                             /* its centroid into ix->centroids and ix->halves */
void cells_remove(struct index *ix, int at);
void cells_trim(struct index *ix);                                      /* frees arrays of idle cells while the cache is too full */
struct cells_kept { struct index *index; struct cell **cells; int n; }; /* the list before it is read anew */
struct cells_kept cells_set_aside(struct index *ix);
void cells_take_back(struct index *ix, struct cells_kept *kept);        /* the arrays of cells that have not changed */
void cells_release(struct cells_kept *kept);
/* Nearest cells to x (rotated): at most n of them, nearest first, ties by their order. distances: half the squared length of the centroid less the
** product with it, which ranks as the Euclidean distance does. Returns how many. */
int cells_nearest(const struct index *ix, const float *x, int n, int *cells, float *distances);
struct centroids { const float *centroids, *halves; int n, width; };    /* some centroids, as they lie in struct index */
size_t nearest_scratch(int width);                                      /* in floats, 64-byte aligned */
void nearest_of(const struct centroids *to, const float *x, int n, int *nearest, float *scratch);       /* nearest[n] of x[n, width] */

/* ---- index_change.c: one change; index_split.c: cells that are too large ---- */
struct index_batch {                  /* a change at work */
  struct index *index;
  const struct change *added;
  int n_added;
  float *vectors;               /* [n_added, width]: of the added rows, rotated */
  int *slots;                   /* places in `added` by hash of rowid, -1: free */
  int n_slots;                  /* a power of 2; 0: no rows are at hand */
  struct arena arena;
  struct err *err;
};
/* Exact vectors, rotated, of all rows of a cell that is read: x[c->n, width], from the batch or else the source. */
int batch_vectors(struct index_batch *b, const struct cell *c, float *x);
int batch_vector(struct index_batch *b, int64_t rowid, float *x);
int cell_split(struct index_batch *b, int at);        /* into cells of at most cell_rows, and moves rows near the new boundaries */
int cell_rows_least(const struct index *ix);    /* smaller ones are dissolved */

/* ---- index_check.c ---- */
void report_line(struct buf *report, const char *format, ...)           /* while there are fewer than 20 */
#if defined(__GNUC__)
  __attribute__((format(printf, 2, 3)))
#endif
;

#endif
