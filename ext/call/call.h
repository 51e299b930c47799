/*
** call.h -- one call of one SQL function: its arguments, its results, its memory, its errors. Functions and the virtual table stand on this.
**
** The way of every call, in whatever file:   call_begin  ->  call_point, call_number, call_options  ->  model.h
** ->  result_latent, result_content  ->  call_end. A step that fails notes it in call.err and returns the code; call_end reports it.
*/
#ifndef LATENT_CALL_H
#define LATENT_CALL_H
#ifdef SQLITE_CORE
# include <sqlite3.h>
#else
# include <sqlite3ext.h>
extern const sqlite3_api_routines *sqlite3_api;
#endif
#include "model.h"

/* ---- A feature: one row of the table in functions.c ---- */
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

/* ---- call.c: one call of one function ---- */
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
  struct binding bindings[];    /* [n] of connection_open() */
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
/* For functions[n], which must outlive it. One use, the caller's; NULL when out of memory. */
struct connection *connection_open(sqlite3 *db, const struct function *functions, int n);
void connection_use(struct connection *c);
void connection_drop(struct connection *c);
void binding_drop(void *binding);       /* connection_drop() of its connection: the destructor handed to SQLite */

/* ---- call_value.c: arguments and results ---- */
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

/* ---- call_options.c: options, and latents as JSON ---- */
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

#endif
