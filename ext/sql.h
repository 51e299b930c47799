/*
** sql.h -- the SQL surface: values in, values out, and the table of features.
**
** A function here is thin: read the arguments, ask the model, give the result. All it holds lies in its `struct call`.
** The way of every call, in whatever file:   call_begin  ->  call_point, call_number, call_options  ->  model.h
** ->  result_latent, result_content  ->  call_end. A step that fails notes it in call.err and returns the code; call_end reports it.
*/
#ifndef LATENT_SQL_H
#define LATENT_SQL_H
#ifdef SQLITE_CORE
# include <sqlite3.h>
#else
# include <sqlite3ext.h>
extern const sqlite3_api_routines *sqlite3_api;
#endif
#include "model.h"

/* ---- sql_functions.c: one row is one feature ----
** Registration, latent_functions(), the reference chapter of the README and the example tests are all made from these rows. */
enum feature { FEATURE_SCALAR, FEATURE_AGGREGATE, FEATURE_TABLE, FEATURE_VIRTUAL_TABLE };
struct call;
struct rows;
struct function {
  const char *name;
  int n_min, n_max;             /* argument counts; a table-valued function's are its hidden columns */
  int flags;                    /* SQLITE_DETERMINISTIC, SQLITE_INNOCUOUS, SQLITE_DIRECTONLY */
  enum feature feature;
  int is_rough;                 /* true: content among the arguments is encoded, but not refined: s is all that is read of it */
  void (*scalar)(sqlite3_context *, int, sqlite3_value **);     /* scalar; or an aggregate's step */
  void (*final)(sqlite3_context *);                             /* aggregate, like the next two */
  void (*value)(sqlite3_context *);
  void (*inverse)(sqlite3_context *, int, sqlite3_value **);
  const sqlite3_module *module;                                 /* table-valued: &TABLE_MODULE, with the next two */
  const char *columns;          /* as in CREATE TABLE: the visible ones, then n_max HIDDEN ones, the arguments in order */
  void (*fill)(struct call *, int n, sqlite3_value **args, struct rows *);      /* n_min <= n <= n_max; failure goes to the call's err */
  const char *group;            /* chapter of the manual */
  const char *usage;            /* latent_interp(a, b, t [, options]) */
  const char *sentence;         /* what it gives */
  const char *example;          /* one SQL statement ... */
  const char *result;           /* ... and what the shell prints for it, with the shipped weights */
};
extern const struct function FUNCTIONS[];
extern const int N_FUNCTIONS;
#define LATENT_VERSION "0.1.0"
int functions_register(sqlite3 *db, char **message);    /* SQLite result code; *message (sqlite3_free) on failure */

/* ---- sql_call.c: one call of one function ---- */
struct binding {                /* user data of one registered function: sqlite3_user_data(), the pAux of a module */
  const struct function *function;
  struct connection *connection;        /* which holds this binding too: one allocation, one life */
};
struct connection {             /* one a database connection, shared by its functions */
  sqlite3 *db;
  struct model *models[KIND_CODE+1];    /* by kind; NULL until first use; latent_load() replaces one; references are held */
  char *directory;              /* that latent_load() was given: where kinds not in use yet are looked for first; owned; NULL: none */
  int n_threads;                /* thread_count(), asked once: it reads a file of the system's, too slow for each call */
  int n_uses;                   /* functions and modules registered with it, and what they opened; freed at 0 */
  struct binding bindings[];    /* [N_FUNCTIONS] */
};
struct call {
  const struct function *function;      /* its name stands at the start of every message */
  struct connection *connection;
  sqlite3_context *context;     /* NULL inside a table-valued function */
  sqlite3_value **args;         /* [n_args]: borrowed */
  int n_args;
  int kind;                     /* of the call, once call_kind() has settled it; 0: not yet */
  int rounds;                   /* of refine_tokens(), for content among the arguments */
  int named;                    /* the kind that options name: the points must be of it; 0: none */
  struct arena arena;
  struct err err;
  struct run run;
  sqlite3_stmt *tick;           /* SELECT 1, prepared when first asked: stepping it tells of sqlite3_interrupt() on every version */
};
void call_begin(struct call *c, sqlite3_context *context, int n, sqlite3_value **args);
void call_begin_table(struct call *c, const struct binding *b, int n, sqlite3_value **args);
/* Puts the function's name before the message (where it is not there yet), reports to the context, if there is one, and releases
** everything but c->err: a table-valued function reads its message there. Called once. */
void call_end(struct call *c);
/* Every point has a kind of its own: a picture (a PNG or JPEG) and a latent say theirs, TEXT is of kind text; of kind code in a call of kind code. The kind of
** a call is what its options name, else the kind of the first argument that says its own (before all others a point, then a direction), else
** text. Settles c->kind. */
int call_kind(struct call *c);
/* The model of a kind: loaded at first use, from latent_load(), LATENT_MODEL, beside the extension. Kind direction: the one whose fingerprint that is, else
** text's, to refuse it. *m is borrowed: good for this call. */
int call_model_of(struct call *c, int kind, uint32_t fingerprint, struct model **m);
int call_model(struct call *c, struct model **m);       /* of the kind of the call: for what no point is there */
/* Opens the weights at path in the place of the connection's model of their kind; of a directory, which holds text.safetensors, text's, and the other
** kinds' when they are first used. */
int call_load(struct call *c, const char *path, struct model **m);
const char *call_places(struct call *c);                /* where call_model looks for text's, one place a line; from the arena, NULL when out of memory */
struct connection *connection_open(sqlite3 *db);        /* one use, the caller's; NULL when out of memory */
void connection_use(struct connection *c);
void connection_drop(struct connection *c);
void binding_drop(void *binding);       /* connection_drop() of its connection: the destructor handed to SQLite */

/* ---- sql_value.c: arguments and results ---- */
int has_null(int n, sqlite3_value **args, int n_checked);       /* one of the first n_checked of n arguments is NULL: NULL in, NULL out */
/* Argument i as a point: content (TEXT, a picture) is encoded, and refined for c->rounds (once per statement where it is constant: auxiliary data), a latent is read and must be
** of the present model of its kind. *is_null when it is NULL. Everything else is an error that says what came. z lies in the call's arena. */
int call_point(struct call *c, sqlite3_value **args, int i, struct latent *z, int *is_null);
/* The same for a value outside a scalar function (no auxiliary data). what: "argument 1 (a)". */
int value_point(struct call *c, sqlite3_value *v, const char *what, struct latent *z, int *is_null);
#define WANTED_POINT "text, a picture (PNG, JPEG) or a latent"         /* in messages: what is expected */
/* The kind of what content is a value (nothing else is), as a point would have it; 0: it is none. */
int value_kind(struct call *c, sqlite3_value *v);
/* The model that z is of: of its kind, and the one that made it. Borrowed. */
int latent_model(struct call *c, const struct latent *z, struct model **m);
int call_number(struct call *c, sqlite3_value **args, int i, const char *name, double least, double most, double *x);
int call_integer(struct call *c, sqlite3_value **args, int i, const char *name, sqlite3_int64 least, sqlite3_int64 most, sqlite3_int64 *x);
int call_text(struct call *c, sqlite3_value **args, int i, const char *name, const char **text, int *n);        /* TEXT only; UTF-8, may hold zero bytes */
int call_blob(struct call *c, sqlite3_value **args, int i, const char *name, const void **data, int *n);
int value_bytes(struct call *c, sqlite3_value *v, const void **data, int *n);   /* of a BLOB or TEXT; SQLITE_NOMEM where SQLite cannot give them */
enum { DESCRIBED = 120 };
void value_describe(sqlite3_value *v, char out[DESCRIBED]);     /* "the INTEGER 42", "a BLOB of 3 bytes (00 01 02)": for messages */
/* z[n], the first n arguments, as call_point() has read them, must be of one kind. */
int check_kinds(struct call *c, const struct latent *z, int n);
/* Points of these models can be compared by s. */
int check_widths(struct call *c, const struct model *a, const struct model *b);
/* A latent that is a point: kind direction is an error that says what to do. what: "argument 1". */
int check_point(struct call *c, const struct latent *z, const char *what);
/* Numbers from outside as a latent of the model: a point's s and r are brought back to the sphere where they are off it by more than
** rounding (so that an exact copy stays exact); an s that is all zero is an error. s: width of the semantic part. */
int point_settle(struct call *c, struct latent *z, int s);
struct options;
void result_latent(struct call *c, const struct latent *z);
/* Decodes: TEXT, or the BLOB of a PNG. A direction is an error unless o->kind is set. */
void result_content(struct call *c, const struct latent *z, const struct options *o);
void result_made(struct call *c, const struct model *m, struct buf *b);         /* content of the model's kind, as contents_decode() makes it; takes over what b holds */
struct buf call_buf(struct call *c);                    /* empty, with SQLITE_LIMIT_LENGTH as its maximum */
void result_buf(struct call *c, struct buf *b);         /* TEXT; takes over what b holds */
void result_blob(struct call *c, struct buf *b);        /* the same as a BLOB */

/* ---- sql_json.c: options, and latents as JSON ---- */
struct options {
  struct decode_options decode;
  int has_fluency, has_detail, has_temperature, has_seed, has_best_of;         /* set by the user: a function's own default gives way */
  int kind;                     /* 0 when not given */
  int steps_even, distinct;     /* latent_path only */
};
/* Argument i, when there (n > i) and not NULL, as a JSON object; defaults otherwise. Unknown keys and values out of range are errors
** that list what is known. */
int call_options(struct call *c, int n, sqlite3_value **args, int i, struct options *o);
void latent_to_json(struct buf *out, const struct latent *z, int s);
int latent_from_json(struct call *c, const char *text, size_t n, struct latent *z);

/* ---- sql_scalar.c: one function each ---- */
#define SCALAR(name) void name(sqlite3_context *, int, sqlite3_value **)
SCALAR(scalar_encode);    SCALAR(scalar_decode);    SCALAR(scalar_fidelity);  SCALAR(scalar_score);
SCALAR(scalar_interp);    SCALAR(scalar_slerp);     SCALAR(scalar_analogy);   SCALAR(scalar_move);
SCALAR(scalar_vary);      SCALAR(scalar_sample);    SCALAR(scalar_distance);
SCALAR(scalar_add);       SCALAR(scalar_sub);       SCALAR(scalar_scale);
SCALAR(scalar_json);      SCALAR(scalar_from_json); SCALAR(scalar_vector);    SCALAR(scalar_from_vector);
SCALAR(scalar_info);      SCALAR(scalar_load);
SCALAR(scalar_cross);     SCALAR(scalar_image);         /* sql_picture.c */

/* Mean log-probability per token of content of the model's kind, given z. what: "argument 1". (sql_picture.c) */
int content_score(struct call *c, const struct model *m, const struct content *content, const char *what, const struct latent *z, float *mean);
/* Where on the way from a to b a text function's t lies. (sql_scalar.c) */
double interp_ease(double t);
/* The share of the plain language model that makes the middle of a path readable: 0 at both ends, and between texts. (sql_scalar.c) */
float interp_fluency(int kind, double t);

/* What points z[n_z], n_z<=2, decode to, as ids: said[n_said], for decode_options.avoid. Nothing where one has several segments or is a picture, which
** seldom stays what it was. (sql_path.c) */
int said_by(struct call *c, const struct model *m, const struct latent *z, int n_z, struct tokens *said, int *n_said);
#define BEST_OF_OTHERS 8        /* candidates where something else is wanted than what was said */
/* Decodes points z[n] between two ends, which lie at t[n] (ascending, 0 to 1) as the user counts it: as contents_decode() does, each at interp_fluency() unless
** options set another, the best of BEST_OF_OTHERS candidates unless they say how many; strictly between the ends no content of an end is taken where there
** is another, and of several points those that lead from a to b together (choose_way() in model_decode.c). (sql_path.c) */
int between_decode(struct call *c, const struct model *m, const struct latent *ends, const struct latent *z, const double *t, int n, const struct options *o,
                   struct buf *contents, float *fidelities);

/* ---- sql_aggregate.c ---- */
void mean_step(sqlite3_context *, int, sqlite3_value **);       /* latent_mean(x [, weight]) */
void mean_inverse(sqlite3_context *, int, sqlite3_value **);
void mean_value(sqlite3_context *);                             /* and final: it holds nothing that SQLite does not free */
void direction_step(sqlite3_context *, int, sqlite3_value **);  /* latent_direction(x, label) */
void direction_final(sqlite3_context *);

/* ---- sql_sheet.c: pictures beside each other ---- */
void sheet_step(sqlite3_context *, int, sqlite3_value **);      /* latent_sheet(png [, label]) */
void sheet_final(sqlite3_context *);                            /* frees what the aggregate holds */
SCALAR(scalar_strip);                                           /* latent_strip(a, b, n [, options]) */

/* ---- sql_plot.c: a table as a map ---- */
void plot_step(sqlite3_context *, int, sqlite3_value **);       /* latent_plot(z, label [, picture]) */
void plot_final(sqlite3_context *);                             /* frees what the aggregate holds */

/* ---- sql_table.c: table-valued functions ----
** One module for all of them: fill() makes every row at the start of a scan, cell by cell, each row's visible columns in order.
** It is not called when one of the n_min first arguments is NULL: NULL in, no rows. */
extern const sqlite3_module TABLE_MODULE;
struct rows {
  struct buf cells;             /* of struct cell: the arguments, then row after row */
  struct buf bytes;             /* what text and blob cells hold: own copies */
};
void rows_null(struct rows *r);
void rows_integer(struct rows *r, sqlite3_int64 x);
void rows_real(struct rows *r, double x);
void rows_text(struct rows *r, const char *text, size_t n);     /* UTF-8; a NULL pointer gives NULL */
void rows_blob(struct rows *r, const void *data, size_t n);
void rows_content(struct rows *r, int kind, const char *content, size_t n);     /* TEXT; of kind picture a BLOB */
void functions_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);       /* latent_functions() */
void path_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);            /* sql_path.c */
void tokens_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);          /* sql_tokens.c */

/* ---- sql_vtab*.c: the virtual table, CREATE VIRTUAL TABLE t USING latent(...). Begin with sql_vtab.c ---- */
struct vtab_module {            /* sqlite3_module as 3.44 knows it (version 4); earlier ones do not look at the end */
  sqlite3_module base;
#if SQLITE_VERSION_NUMBER<3044000
  int (*xIntegrity)(sqlite3_vtab *, const char *schema, const char *table, int flags, char **report);
#endif
};
extern const struct vtab_module VTAB_MODULE;

/* sql_vtab_columns.c: the arguments of CREATE VIRTUAL TABLE */
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

enum vtab_statement {           /* prepared when first asked for; texts in sql_vtab_store.c */
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

/* sql_vtab_store.c: statements on the shadow tables, and what one of their rows holds */
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

/* sql_vtab_row.c: what a row of t_rows holds */
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

/* sql_vtab_pending.c: what the index has not seen yet */
int pending_add(struct call *c, struct vtab *t, sqlite3_int64 id, const void *old, int n_old, sqlite3_value *body, int has_body);
int pending_flush(struct call *c, struct vtab *t);
int pending_most(const struct vtab *t);         /* this many are flushed */

/* sql_vtab_update.c: xUpdate, and commands */
int vtab_update(sqlite3_vtab *base, int n, sqlite3_value **args, sqlite3_int64 *rowid);
int vtab_rebuild(struct call *c, struct vtab *t);
/* sql_vtab_check.c */
int vtab_check(struct call *c, struct vtab *t, struct buf *report);     /* findings, one a line; none: all is well */

/* sql_vtab_plan.c: which conditions reach the table, and as what */
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

/* sql_vtab_query.c: a cursor */
int vcursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out);
int vcursor_close(sqlite3_vtab_cursor *base);
int vcursor_filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text, int n, sqlite3_value **args);
int vcursor_next(sqlite3_vtab_cursor *base);
int vcursor_eof(sqlite3_vtab_cursor *base);
int vcursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column);
int vcursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid);

/* sql_vtab.c */
void vtab_call(struct call *c, struct vtab *t);         /* call_begin() of a method */
int vtab_end(struct call *c, struct vtab *t);           /* call_end(), and the message to SQLite; returns the result code */
int vtab_damaged(struct call *c);       /* SQLITE_CORRUPT, as the layers below say it, becomes SQLITE_CORRUPT_VTAB; returns c->err.rc */

/* ---- sql_near.c: a latent table, for the functions over one ---- */
struct neighbour {              /* one of its rows; what it points to comes from the call's arena */
  sqlite3_int64 rowid;
  double distance;
  struct latent z;
  const char *text;             /* the content: UTF-8, or a picture's file */
  size_t text_bytes;
  int is_blob;                  /* it was a BLOB */
};
struct near {
  struct call *call;
  int kind;                     /* rows of this kind alone; 0: not settled yet */
  struct model *model;          /* of this kind; NULL: not settled */
  const char *schema, *table, *content;         /* the table, and its content column */
  sqlite3_stmt *nearest, *from; /* owned: near_release() */
};
/* Argument i, (index), is the name: 'notes_latent' or 'main.notes_latent'. kind: which rows; 0: to be settled. */
int near_open(struct near *t, struct call *c, sqlite3_value **args, int i, int kind);
int near_settle(struct near *t, int kind);
void near_release(struct near *t);
/* Nearest first: rows[*n] of [most]. Where the kind is not settled the nearest row settles it. */
int near_rows(struct near *t, const struct latent *at, int most, struct neighbour *rows, int *n);
int near_rowids(struct near *t, sqlite3_int64 *least, sqlite3_int64 *most);     /* of all rows; most < least: there are none */
int near_from(struct near *t, sqlite3_int64 rowid, struct neighbour *row, int *found);  /* the first row with content from this rowid on, not far behind it */

/* ---- sql_draft.c: texts for points that nobody has written one for, and how they read; pictures likewise, as far as they can be read ---- */
enum { DRAFT_DIALS = 6, DRAFT_WORDS = 100, DRAFTS_MOST = 1024 };
struct point {                  /* a mean of rows */
  const struct neighbour *parents[3];
  double weights[3];            /* sum 1 */
  int n_parents;
  struct latent z;
  float cost;                   /* the less the better: what its maker ranks it by */
};
struct draft {
  const struct point *point;    /* borrowed */
  struct buf text;              /* or a PNG */
  struct latent again;          /* what it encodes to */
  float fidelity;               /* cosine of the two */
  float distance;               /* to what is asked for: the caller's */
  int n_words, n_repeated, n_unknown;
  float strange;                /* share of runs of three words that none of the rows has */
  float log_probability;        /* mean per token, for the plain language model */
  float flaw;                   /* of all these, in units of distance */
};
struct drafts { struct draft *list; int n; };
struct hash_set { uint64_t *slots; size_t mask; };
struct reading {                /* what the rows say: drafts are read beside them. All of it from the call's arena */
  struct call *call;
  const struct model *model;
  struct hash_set texts, words, triples;
};
int reading_init(struct reading *g, struct call *c, const struct model *m, const struct neighbour *rows, int n_rows);
int reading_hold(struct reading *g, const char *text, size_t bytes);    /* drafts shall not say this; true when it is new. DRAFTS_MOST at most */
/* Fills d with what the points decode to, without what `g` holds. points must outlive d; what d holds goes with drafts_release(), which may be called
** after a failure too. */
int drafts_make(struct drafts *d, struct reading *g, const struct point *points, int n_points, const struct options *o);
void drafts_release(struct drafts *d);
int draft_says(const struct draft *d, const struct neighbour *row);     /* the same in all but case, spaces and punctuation; a picture that is the same to the eye */
int drafts_alike(const struct draft *a, const struct draft *b);         /* nobody needs both */
/* Cells of a row: content, distance, latent, fidelity, parents, weights. */
int draft_give(struct call *c, const struct point *p, int is_blob, const char *text, size_t bytes, float distance, float fidelity, struct rows *r);

void imagine_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);         /* sql_imagine.c */
void gaps_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);            /* sql_gaps.c */

#endif
