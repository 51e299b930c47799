/*
** vtab.h -- the virtual table, CREATE VIRTUAL TABLE t USING latent(...). Begin with vtab.c.
*/
#ifndef LATENT_VTAB_H
#define LATENT_VTAB_H
#include "call.h"
#include "index.h"

struct vtab_module {            /* sqlite3_module as 3.44 knows it (version 4); earlier ones do not look at the end */
  sqlite3_module base;
#if SQLITE_VERSION_NUMBER<3044000
  int (*xIntegrity)(sqlite3_vtab *, const char *schema, const char *table, int flags, char **report);
#endif
};
extern const struct vtab_module VTAB_MODULE;

/* vtab_columns.c: the arguments of CREATE VIRTUAL TABLE */
enum filter_type { FILTER_INTEGER, FILTER_REAL, FILTER_TEXT };
struct filter { char *name; enum filter_type type; };
enum { FILTERS_MOST = 16 };     /* INDEX_KEYS_MOST */
struct definition {             /* strings lie in the vtab's arena */
  char *body;                   /* the content column; NULL: the table holds vectors of somebody else's model */
  int n_filters;
  struct filter filters[FILTERS_MOST];
  char *content;                /* the table that holds the content; NULL: this one does */
  char *content_rowid;          /* its rowid column */
  int has_triggers;             /* which keep this table in step with it */
  int width;                    /* of foreign vectors; 0 where there is a body */
  int cell_rows;                /* 0: the index's own choice */
};
/* argv[3..argc) as SQLite gives them. Messages begin with the table's name. */
int definition_read(struct definition *d, const char *table, int argc, const char *const *argv, struct arena *a, struct err *e);
/* Appends the column list for sqlite3_declare_vtab(): the visible columns, then the hidden ones: table, options, distance, latent. */
void put_quoted(struct buf *out, const char *name);      /* appends an identifier in double quotes */
void definition_columns(struct buf *out, const struct definition *d, const char *table);
static inline int filter_at(const struct definition *d){ return d->body!=NULL; }        /* number of the first filter column */
enum hidden { HIDDEN_QUERY, HIDDEN_OPTIONS, HIDDEN_LATENT, HIDDEN_DISTANCE };        /* in this order they are arguments of t(...): two of them may be given */
static inline int hidden_at(const struct definition *d, enum hidden h){ return filter_at(d) + d->n_filters + h; }

enum vtab_statement {           /* prepared when first asked for; texts in vtab_store.c */
  CONFIG_GET, CONFIG_SET, ROW_GET, ROW_LATENT, ROW_PUT, ROW_DELETE, ROW_ENCODED, ROW_MEND, ROW_LAST,
  PENDING_ADD, PENDING_LIST, PENDING_DONE, CONTENT_GET, TICK, N_VTAB_STATEMENTS
};
enum look { LOOK_ROW, LOOK_UP, LOOK_DOWN, N_LOOKS };    /* a cursor's statements: one row, rows ascending, rows descending */
struct asked {                  /* the last query that was content: asked again it is not encoded again */
  struct latent z;              /* z.z owned; NULL: none */
  struct content content;       /* in the same block */
};
struct index;
struct vtab {                   /* one a connection that uses the table */
  sqlite3_vtab base;            /* first: SQLite's part */
  struct function function;     /* all that is set is its name, the table's: so messages begin with it */
  struct binding binding;       /* of this function and the connection */
  sqlite3 *db;
  char *schema, *name;          /* "main", "notes_latent"; in the arena, like the definition's strings */
  struct definition definition;
  struct arena arena;
  sqlite3_stmt *statements[N_VTAB_STATEMENTS];
  sqlite3_stmt *looks[N_LOOKS]; /* lent to a cursor: NULL then */
  char *content_now;            /* what the content table is called since an ALTER TABLE; in the arena; NULL: not looked up yet */
  struct index *index;          /* NULL until first use */
  int width;                    /* of the index's vectors: s of the model, or the definition's; 0: not known yet */
  uint32_t fingerprint;         /* of text's model that the table is of, as vtab_ready() found it */
  int is_utf8;                  /* the database's encoding: only then texts order by their bytes */
  int in_transaction;           /* between xBegin and xCommit or xRollback: there may be pending rows */
  int n_pending;                /* about how many */
  int knows_none;               /* outside transactions: t_pending has been looked at */
  int depth;                    /* savepoints open */
  int renamed_depth;            /* 1 + depth when it was renamed, so that SQLite has connected anew; 0: was not */
  int broken_depth;             /* 1 + depth when a flush failed midway: what it wrote must not be committed; 0: none did */
  struct asked asked;
  struct arena scratch;         /* of one row at a time; keeps its first block */
};

/* vtab_store.c: statements on the shadow tables, and what one of their rows holds */
int store_create(struct call *c, struct vtab *t);
int store_drop(struct call *c, struct vtab *t);
int store_rename(struct call *c, struct vtab *t, const char *name);
void store_idle(struct vtab *t);        /* lets go of all statements */
int store_run(struct call *c, struct vtab *t, const char *text);        /* one statement without rows */
sqlite3_stmt *store_statement(struct call *c, struct vtab *t, enum vtab_statement which);       /* NULL after noting why not */
sqlite3_stmt *store_look(struct call *c, struct vtab *t, enum look which);      /* columns: LOOK_*; give it back */
void store_look_back(struct vtab *t, enum look which, sqlite3_stmt *s);
sqlite3_stmt *store_prepare(struct call *c, struct vtab *t, const char *text);  /* with the same $names; the caller's to finalize */
int store_step(struct call *c, sqlite3_stmt *s);        /* 1: a row; 0: the end, or a failure: see c->err */
int store_do(struct call *c, sqlite3_stmt *s);          /* to the end and back to the start: SQLite result code */
enum { LOOK_ID, LOOK_SUM, LOOK_LATENT, LOOK_FILTERS };  /* columns of ROW_GET and of a look: from there on filters, then the content where it is the table's own */
/* Opens what is not open, and finds the table's model to be the present one, where needs_model is set. */
int vtab_ready(struct call *c, struct vtab *t, int needs_model);
int store_config_put(struct call *c, struct vtab *t);           /* all of t_config: the present model is the table's from now on */
/* A latent of model m is to be searched for, or (is_new) comes into the table: as wide as the others, and of the model that the table has for its kind. */
int vtab_kind(struct call *c, struct vtab *t, const struct model *m, int is_new);

/* vtab_row.c: what a row of t_rows holds */
uint32_t latent_sum(int64_t id, const void *latent, size_t n);  /* the lower half of column `sum` */
struct values_sum { uint64_t h; int oom; };                     /* of the filters, then the content; oom: sticky */
void values_sum_add(struct values_sum *s, const struct vtab *t, sqlite3_value *v, int type);    /* type: v is stored as one */
sqlite3_int64 row_sum(sqlite3_int64 id, const struct values_sum *s, uint32_t latent);
/* Of the row that s (ROW_GET, a look) stands on: its sum as it ought to be, the lower half 0; what it holds but the latent, held against its sum; the latent
** (NULL and 0: none), held against its. */
int look_sum(struct call *c, struct vtab *t, sqlite3_stmt *s, sqlite3_int64 *sum);
int look_values(struct call *c, struct vtab *t, sqlite3_stmt *s);
int look_latent(struct call *c, struct vtab *t, sqlite3_stmt *s, const void **latent, int *n);
/* A latent or, in a foreign table, bare numbers, as the index's vector[width]. what: "latent", for the message. */
int vtab_vector(struct vtab *t, float *vector, const void *blob, size_t n, const char *what, struct err *e);
int vtab_point(struct vtab *t, float *vector, const struct latent *z, const char *what, struct err *e);
uint64_t filter_key(enum filter_type type, sqlite3_value *v);   /* a value as it is stored -> its sort key; NULL is 0 */
uint64_t number_key(double x);
uint64_t text_key_low(const char *text, size_t n);              /* least key of a text with these first bytes */
enum { TEXT_KEY_REST = 0xffff };                                /* low + this: the greatest */

/* vtab_pending.c: what the index has not seen yet */
int pending_add(struct call *c, struct vtab *t, sqlite3_int64 id, const void *old, int n_old, sqlite3_value *body, int has_body);
int pending_flush(struct call *c, struct vtab *t);
int pending_most(const struct vtab *t);         /* this many are flushed */

/* vtab_update.c: xUpdate, and commands */
int vtab_update(sqlite3_vtab *base, int n, sqlite3_value **args, sqlite3_int64 *rowid);
int vtab_rebuild(struct call *c, struct vtab *t);
/* vtab_check.c */
int vtab_check(struct call *c, struct vtab *t, struct buf *report);     /* findings, one a line; none: all is well */

/* vtab_plan.c: which conditions reach the table, and as what */
int vtab_best_index(sqlite3_vtab *base, sqlite3_index_info *plan);
enum plan_mode { PLAN_SCAN, PLAN_SCAN_DOWN, PLAN_ROW, PLAN_SEARCH, PLAN_SEARCH_ROW };   /* idxNum */
struct wish {                   /* what xFilter's arguments ask for */
  sqlite3_value *query, *options;       /* borrowed; NULL: not there */
  int is_empty;                 /* no row can be it */
  int64_t low, high;            /* rowids */
  double farthest;
  int64_t k;                    /* rows that will be pulled; 0: not known */
  struct term *terms;           /* in the arena given, sets included */
  int n_terms;
};
int plan_read(struct call *c, const struct vtab *t, const char *plan_text, int n, sqlite3_value **args, struct arena *a, struct wish *w);

/* vtab_query.c: a cursor */
int vcursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out);
int vcursor_close(sqlite3_vtab_cursor *base);
int vcursor_filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text, int n, sqlite3_value **args);
int vcursor_next(sqlite3_vtab_cursor *base);
int vcursor_eof(sqlite3_vtab_cursor *base);
int vcursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column);
int vcursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid);

/* vtab.c */
void vtab_call(struct call *c, struct vtab *t);         /* call_begin() of a method */
int vtab_end(struct call *c, struct vtab *t);           /* call_end(), and the message to SQLite; returns the result code */
int vtab_damaged(struct call *c);       /* SQLITE_CORRUPT, as the layers below say it, becomes SQLITE_CORRUPT_VTAB; returns c->err.rc */

#endif
