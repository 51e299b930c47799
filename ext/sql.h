/*
** sql.h -- the SQL surface: values in, values out, and the table of features.
**
** A function here is thin: read the arguments, ask the model, give the result. All it holds lies in its `struct call`.
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
struct function {
  const char *name;
  int n_min, n_max;             /* argument counts; a table-valued function's are its hidden columns */
  int flags;                    /* SQLITE_DETERMINISTIC, SQLITE_INNOCUOUS, SQLITE_DIRECTONLY */
  enum feature feature;
  void (*scalar)(sqlite3_context *, int, sqlite3_value **);     /* scalar; or an aggregate's step */
  void (*final)(sqlite3_context *);                             /* aggregate, like the next two */
  void (*value)(sqlite3_context *);
  void (*inverse)(sqlite3_context *, int, sqlite3_value **);
  const sqlite3_module *module;                                 /* table-valued */
  const char *group;            /* chapter of the manual */
  const char *usage;            /* latent_interp(a, b, t [, options]) */
  const char *sentence;         /* what it gives */
  const char *example;          /* one SQL statement ... */
  const char *result;           /* ... and what the shell prints for it, with the shipped weights */
};
extern const struct function FUNCTIONS[];
extern const int N_FUNCTIONS;
int functions_register(sqlite3 *db, char **message);    /* SQLite result code; *message (sqlite3_free) on failure */

/* ---- sql_call.c: one call of one function ---- */
struct connection {             /* one a database connection, shared by its functions: their user data */
  sqlite3 *db;
  struct model *text;           /* NULL until first use; latent_load() replaces it */
  int n_uses;                   /* functions and modules registered with it, and what they opened */
};
struct binding {                /* user data of one registered function */
  const struct function *function;
  struct connection *connection;
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
void call_end(struct call *c);          /* reports c->err to the context, if any, and releases everything; may be called once only */
int call_model(struct call *c, struct model **m);       /* loads it at first use: latent_load(), LATENT_MODEL, beside the extension */
struct connection *connection_open(sqlite3 *db);
void connection_use(struct connection *c);
void connection_drop(void *c);          /* the destructor handed to SQLite */

/* ---- sql_value.c: arguments and results ---- */
/* Argument i as a point: TEXT is encoded (once per statement where it is constant: auxiliary data), a latent is read and must be
** of the present model. *is_null when it is NULL. Everything else is an error that says what came. */
int call_point(struct call *c, sqlite3_value **args, int i, struct latent *z, int *is_null);
/* The same for a value outside a scalar function (no auxiliary data). what: "argument 1 (a)". */
int value_point(struct call *c, sqlite3_value *v, const char *what, struct latent *z, int *is_null);
int call_number(struct call *c, sqlite3_value **args, int i, const char *name, double least, double most, double *x);
int call_integer(struct call *c, sqlite3_value **args, int i, const char *name, sqlite3_int64 least, sqlite3_int64 most, sqlite3_int64 *x);
struct options {
  struct decode_options decode;
  int has_fluency, has_detail, has_best_of;     /* set by the user: a function's own default gives way */
  int kind;                     /* 0 when not given */
  int steps_even, distinct;     /* latent_path only */
};
/* Argument i, when there (n > i) and not NULL, as a JSON object; defaults otherwise. Unknown keys and values out of range are errors that list what is known. */
int call_options(struct call *c, int n, sqlite3_value **args, int i, struct options *o);
/* Two latents must be of one model and width. */
int check_same(struct call *c, const struct latent *a, const struct latent *b);
void result_latent(struct call *c, const struct latent *z);
void result_content(struct call *c, const struct latent *z, const struct options *o);   /* decodes; kind direction is an error that says what to do */

#endif
