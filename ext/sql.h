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
enum feature { FEATURE_SCALAR, FEATURE_AGGREGATE, FEATURE_TABLE };
struct call;
struct rows;
struct function {
  const char *name;
  int n_min, n_max;             /* argument counts; a table-valued function's are its hidden columns */
  int flags;                    /* SQLITE_DETERMINISTIC, SQLITE_INNOCUOUS, SQLITE_DIRECTONLY */
  enum feature feature;
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
  struct model *text;           /* NULL until first use; latent_load() replaces it; a reference is held */
  int n_threads;                /* thread_count(), asked once: it reads a file of the system's, too slow for each call */
  int n_uses;                   /* functions and modules registered with it, and what they opened; freed at 0 */
  struct binding bindings[];    /* [N_FUNCTIONS] */
};
struct call {
  const struct function *function;      /* its name stands at the start of every message */
  struct connection *connection;
  sqlite3_context *context;     /* NULL inside a table-valued function */
  struct arena arena;
  struct err err;
  struct run run;
  sqlite3_stmt *tick;           /* SELECT 1, prepared when first asked: stepping it tells of sqlite3_interrupt() on every version */
};
void call_begin(struct call *c, sqlite3_context *context);
void call_begin_table(struct call *c, const struct binding *b);
/* Puts the function's name before the message (where it is not there yet), reports to the context, if there is one, and releases
** everything but c->err: a table-valued function reads its message there. Called once. */
void call_end(struct call *c);
/* The connection's model, loaded at first use: latent_load(), LATENT_MODEL, beside the extension. *m is borrowed: good for this call. */
int call_model(struct call *c, struct model **m);
int call_load(struct call *c, const char *path);        /* opens the weights at path (a file, or a directory holding text.safetensors) in the place of the model */
const char *call_places(struct call *c);                /* where call_model looks, one place a line; from the arena, NULL when out of memory */
struct connection *connection_open(sqlite3 *db);        /* one use, the caller's; NULL when out of memory */
void connection_use(struct connection *c);
void connection_drop(struct connection *c);
void binding_drop(void *binding);       /* connection_drop() of its connection: the destructor handed to SQLite */

/* ---- sql_value.c: arguments and results ---- */
int has_null(int n, sqlite3_value **args, int n_checked);       /* one of the first n_checked of n arguments is NULL: NULL in, NULL out */
/* Argument i as a point: TEXT is encoded (once per statement where it is constant: auxiliary data), a latent is read and must be
** of the present model. *is_null when it is NULL. Everything else is an error that says what came. z lies in the call's arena. */
int call_point(struct call *c, sqlite3_value **args, int i, struct latent *z, int *is_null);
/* The same for a value outside a scalar function (no auxiliary data). what: "argument 1 (a)". */
int value_point(struct call *c, sqlite3_value *v, const char *what, struct latent *z, int *is_null);
int call_number(struct call *c, sqlite3_value **args, int i, const char *name, double least, double most, double *x);
int call_integer(struct call *c, sqlite3_value **args, int i, const char *name, sqlite3_int64 least, sqlite3_int64 most, sqlite3_int64 *x);
int call_text(struct call *c, sqlite3_value **args, int i, const char *name, const char **text, int *n);        /* TEXT only; UTF-8, may hold zero bytes */
int call_blob(struct call *c, sqlite3_value **args, int i, const char *name, const void **data, int *n);
int value_bytes(struct call *c, sqlite3_value *v, const void **data, int *n);   /* of a BLOB or TEXT; SQLITE_NOMEM where SQLite cannot give them */
enum { DESCRIBED = 120 };
void value_describe(sqlite3_value *v, char out[DESCRIBED]);     /* "the INTEGER 42", "a BLOB of 3 bytes (00 01 02)": for messages */
/* Two latents must be of one model and width. */
int check_same(struct call *c, const struct latent *a, const struct latent *b);
/* A latent that is a point: kind direction is an error that says what to do. what: "argument 1". */
int check_point(struct call *c, const struct latent *z, const char *what);
/* Numbers from outside as a latent of the model: a point's s and r are brought back to the sphere where they are off it by more than
** rounding (so that an exact copy stays exact); an s that is all zero is an error. s: width of the semantic part. */
int point_settle(struct call *c, struct latent *z, int s);
struct options;
void result_latent(struct call *c, const struct latent *z);
void result_content(struct call *c, const struct latent *z, const struct options *o);   /* decodes; a direction is an error unless o->kind is set */
struct buf call_buf(struct call *c);                    /* empty, with SQLITE_LIMIT_LENGTH as its maximum */
void result_buf(struct call *c, struct buf *b);         /* TEXT; takes over what b holds */
void result_blob(struct call *c, struct buf *b);        /* the same as a BLOB */

/* ---- sql_json.c: options, and latents as JSON ---- */
struct options {
  struct decode_options decode;
  int has_fluency, has_detail, has_temperature, has_seed;  /* set by the user: a function's own default gives way */
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

/* The share of the plain language model that makes the middle of a path readable: 0 at both ends. (sql_scalar.c) */
float interp_fluency(double t);

/* ---- sql_aggregate.c ---- */
void mean_step(sqlite3_context *, int, sqlite3_value **);       /* latent_mean(x [, weight]) */
void mean_inverse(sqlite3_context *, int, sqlite3_value **);
void mean_value(sqlite3_context *);                             /* and final: it holds nothing that SQLite does not free */
void direction_step(sqlite3_context *, int, sqlite3_value **);  /* latent_direction(x, label) */
void direction_final(sqlite3_context *);

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
void functions_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);       /* latent_functions() */
void path_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);            /* sql_path.c */
void tokens_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);          /* sql_tokens.c */

#endif
