/*
** call.h -- one call of SQL: its arguments, its results, its memory, its errors. The functions and
** the virtual table stand on this.
**
** SQLite calls a scalar function or an aggregate through call.c, which sets up a `struct call`,
** runs the C function of the row, and reports its failure. That C function reads arguments, asks
** the model and gives a result:
**
**     call_number, call_point, call_options  ->  model.h  ->  result_latent, result_content
**
** One error channel: the first failure is kept in call.err. Every function below does nothing once
** a failure is there and gives an empty value (0, NULL, a latent of 0 segments), so a run of them
** needs no check in between: ask c->err.rc before using what they gave.
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

/* ---- A feature: one row of the table in functions.c ----
** A scalar function has `scalar`; an aggregate has step and give; a table-valued
** function has columns and fill; the virtual table has a module of its own. */
enum feature { FEATURE_SCALAR, FEATURE_AGGREGATE, FEATURE_TABLE, FEATURE_VIRTUAL_TABLE };
struct call;
struct rows;
struct function {
  const char *name;
  int n_min, n_max;             /* argument counts; a table-valued function's are hidden columns */
  int n_needed;                 /* NULL among the first so many arguments gives NULL, no rows, or a
                                ** row that is left out; 0: n_min */
  int flags;                    /* SQLITE_DETERMINISTIC, SQLITE_INNOCUOUS, SQLITE_DIRECTONLY */
  enum feature feature;
  int is_rough;                 /* true: only s of its points is read, so of content among the
                                ** arguments nothing else is made */
  void (*scalar)(struct call *c);
  void (*step)(struct call *c, void *state);    /* aggregate; state: STATE_BYTES, zeroed at first */
  void (*inverse)(struct call *c, void *state); /* a row leaves the window; NULL: has no windows */
  void (*give)(struct call *c, void *state);    /* the result so far; nothing given: NULL */
  /* Frees what state owns; NULL: nothing. Of a table-valued function: rows.state, and the state
  ** itself. */
  void (*release)(void *state);
  const sqlite3_module *module;                 /* table-valued: &TABLE_MODULE */
  const char *columns;          /* as in CREATE TABLE: visible ones, then n_max HIDDEN arguments */
  void (*fill)(struct call *c, struct rows *r); /* makes all rows, or the first ones: */
  /* Makes the next rows, when those before are read; none: that was all. The call has no
  ** arguments. NULL: fill() makes all. */
  void (*more)(struct call *c, struct rows *r);
  const char *group;            /* chapter of the manual */
  const char *usage;            /* latent_interp(a, b, t [, options]) */
  const char *sentence;         /* what it gives */
  const char *example;          /* one SQL statement ... */
  const char *result;           /* ... and what the shell prints for it, with the shipped weights */
};

/* ---- call.c: one call of one function ---- */
struct binding {                /* user data of a registered function: sqlite3_user_data(), pAux */
  const struct function *function;
  struct connection *connection;        /* it holds this binding too: one allocation, one life */
};
enum { ENCODERS_MOST = 8 };     /* of one connection; the one that was asked for first goes */
struct connection {             /* one a database connection, shared by its functions */
  sqlite3 *db;
  struct bert *encoders[ENCODERS_MOST]; /* that were asked for; references are held */
  int n_encoders;
  struct bert *encoder;         /* one of them: that of latent_embed(); NULL until first use */
  struct writer *writer;        /* beside text's weights; NULL until first use */
  struct model *models[KIND_CODE+1];    /* by kind; NULL until first use; references are held */
  char *directory;              /* that latent_load() was given: kinds not in use yet are looked for
                                ** there first; owned; NULL: none */
  int n_threads;                /* thread_count(), asked once: it reads a file of the system's */
  int n_uses;                   /* functions, modules and tables that use it; freed at 0 */
  int n_calls;                  /* that run now, one within another */
  sqlite3_int64 since;          /* nanoseconds: when the outermost of them began, or it was asked
                                ** last */
  sqlite3_int64 worked;         /* nanoseconds of the calls before it, since SQLite was asked */
  unsigned n_asked;             /* how often it was asked */
  struct binding bindings[];    /* [n] of connection_open() */
};
struct call {
  const struct function *function;      /* its name stands at the start of every message */
  struct connection *connection;
  sqlite3_context *context;     /* NULL inside a table */
  sqlite3_value **args;         /* [n_args]: borrowed */
  int n_args;
  int n_points;                 /* so many arguments, from the first, can be points and settle the
                                ** kind: n_args, unless a function says less before it reads one */
  int keeps_points;             /* true: constant arguments are encoded once a statement */
  int kind;                     /* of the call, once call_kind() has settled it; 0: not yet */
  int rounds;                   /* of refine_tokens(), for content among the arguments; or
                                ** ROUNDS_FOR_S */
  int named;                    /* kind that options name: points must be of it; 0: none */
  struct arena arena;
  struct err err;
  struct run run;
  sqlite3_stmt *tick;           /* asks SQLite whether to stop; NULL until then */
};
enum { STATE_BYTES = 256 };     /* of every aggregate; each asserts that its own struct fits */
/* What SQLite calls, for every scalar function and every aggregate. */
void call_scalar(sqlite3_context *context, int n, sqlite3_value **args);
void call_step(sqlite3_context *context, int n, sqlite3_value **args);
void call_inverse(sqlite3_context *context, int n, sqlite3_value **args);
void call_value(sqlite3_context *context);
void call_final(sqlite3_context *context);
/* A call without a context: of a table. call_end() puts the function's name before the message and
** releases everything but c->err. Each is called once. */
void call_begin(struct call *c, const struct binding *b, int n, sqlite3_value **args);
void call_end(struct call *c);
int call_has(const struct call *c, int i);      /* argument i was given and is not NULL */
int call_lacks(const struct call *c);           /* one of the needed arguments is NULL */

/* The kind of the call: what its options name; else that of the first argument that says its own
** (points before directions); else text. A picture (PNG, JPEG) and a latent say their kind; TEXT
** does not. TEXT is of kind code in a call of kind code, otherwise of kind text. */
int call_kind(struct call *c);
/* The model of a kind, loaded at first use. Kind direction: the model with that fingerprint, else
** text's, which will then refuse it. Borrowed: good for this call. NULL on failure. */
struct model *call_model_of(struct call *c, int kind, uint32_t fingerprint);
struct model *call_model(struct call *c);       /* of the call's kind, where there is no point */
/* Weights at path take the place of the connection's model of their kind. A directory: text's
** weights now, the other kinds' at their first use. */
struct model *call_load(struct call *c, const char *path);
/* The connection's sentence encoder: what latent_load() took, else the shipped one, in the folder
** "meaning" beside text's weights. Borrowed. NULL on failure. */
struct bert *call_encoder(struct call *c);
/* The sentence encoder in the folder at path, from now on that of latent_embed(). Borrowed. */
struct bert *call_load_encoder(struct call *c, const char *path);
/* The one whose folder is called `name`: which latent_load() took, or which lies beside text's
** weights. Borrowed. NULL on failure. */
struct bert *call_encoder_named(struct call *c, const char *name);
/* For functions[n], which must outlive it. One use, the caller's; NULL when out of memory. */
struct connection *connection_open(sqlite3 *db, const struct function *functions, int n);
void connection_use(struct connection *c);
void connection_drop(struct connection *c);
void binding_drop(void *binding);       /* connection_drop() of its connection: for SQLite */

/* ---- call_value.c: arguments and results ---- */
#define WANTED_POINT "text, a picture (PNG, JPEG) or a latent"  /* in messages: what is expected */
/* Argument i as a latent. Content is encoded, and refined for c->rounds. A latent must be of the
** present model of its kind. name (may be NULL) stands in messages: "argument 1 (name)". z lies in
** the call's arena. NULL gives a latent of 0 segments; anything else is an error that says what
** came. */
struct latent call_latent(struct call *c, int i, const char *name);
struct latent call_point(struct call *c, int i, const char *name);      /* the same, no direction */
struct latent value_latent(struct call *c, sqlite3_value *v, const char *what);
struct latent value_point(struct call *c, sqlite3_value *v, const char *what);
/* The kind of content that v is; 0: it is no content. */
int value_kind(struct call *c, sqlite3_value *v);
/* Content of that kind, to encode it: its bytes, good as long as v, and the model. NULL: it cannot
** be encoded. */
const struct model *value_content(struct call *c, sqlite3_value *v, int kind, const char *what,
                                  struct content *content);
/* The model that made z: the present one of its kind. Borrowed. */
struct model *latent_model(struct call *c, const struct latent *z);
double call_number(struct call *c, int i, const char *name, double least, double most);
sqlite3_int64 call_integer(struct call *c, int i, const char *name, sqlite3_int64 least,
                           sqlite3_int64 most);
struct content call_text(struct call *c, int i, const char *name);      /* zero bytes are kept */
struct content call_blob(struct call *c, int i, const char *name);
struct content value_bytes(struct call *c, sqlite3_value *v);   /* of TEXT (UTF-8) or a BLOB */
/* A bare vector: the numbers of a BLOB (little-endian f32), or of TEXT that is a JSON array of
** them. All are finite. Any other value is refused. */
struct vector {
  float *x;                     /* [n]: in the call's arena; NULL on failure */
  size_t n;
};
struct vector value_vector(struct call *c, sqlite3_value *v, const char *what);
/* The same as a BLOB of n numbers, for who stores them; TEXT with another number is refused. A BLOB
** is given back as it came. */
struct content value_vector_blob(struct call *c, sqlite3_value *v, const char *what, size_t n);
enum { DESCRIBED = 120 };
void value_describe(sqlite3_value *v, char out[DESCRIBED]);     /* "the INTEGER 42": for messages */
/* "argument 2 (name) is the INTEGER 42, expected ..." */
int refuse_argument(struct call *c, int i, const char *name, const char *expected);
/* z[n], the first n arguments, must be of one kind. */
void check_kinds(struct call *c, const struct latent *z, int n);
/* z must be no direction. what: "argument 1". */
void check_point(struct call *c, const struct latent *z, const char *what);
struct options;
void result_latent(struct call *c, const struct latent *z);
/* Decodes: TEXT, or the BLOB of a PNG. A direction is an error unless o->kind is set. */
void result_content(struct call *c, const struct latent *z, const struct options *o);
/* Content of the model's kind, as contents_decode() makes it; takes over what b holds. */
void result_made(struct call *c, const struct model *m, struct buf *b);
struct buf call_buf(struct call *c);                    /* empty, at most SQLITE_LIMIT_LENGTH */
void check_buf(struct call *c, const struct buf *b);    /* notes why it could not hold all */
void check_bound(struct call *c, int rc);               /* the same, for sqlite3_bind_blob() */
void result_buf(struct call *c, struct buf *b);         /* TEXT; takes over what b holds */
void result_blob(struct call *c, struct buf *b);        /* a BLOB; takes over what b holds */

/* ---- call_options.c: options are a JSON object ---- */
enum decoder { DECODER_DEFAULT, DECODER_EXACT, DECODER_WRITER };
enum crossover { CROSSOVER_MIX, CROSSOVER_SEGMENTS, CROSSOVER_PART, CROSSOVER_REGIONS };
enum { MATES_MOST = 8 };        /* parents of a child */
struct breeding {               /* of functions that breed; strings lie in the call's arena */
  int children, generations, keep, parents_each;        /* 0: not given */
  int weights[MATES_MOST];      /* of all parents, of sum WEIGHTS_WHOLE */
  int n_weights;                /* 0: they are drawn */
  double seconds;               /* 0: no limit */
  float mutation;
  enum crossover crossover;
  const char *wish, *archive;   /* NULL: there is none */
  const char *genes;            /* a JSON array; NULL: none */
  const char *recipe;           /* what a child depends on of the options, as JSON */
};
enum { WEIGHTS_WHOLE = 10000 };         /* the sum of weights: so they are written with 4 places */
struct where {                  /* a row counts where this column has this value */
  const char *column;
  const char *value;            /* as SQL writes it */
};
struct options {
  struct decode_options decode;
  enum decoder decoder;         /* call_writer() takes it to decode.writer */
  int kind;                     /* 0 when not given */
  int steps_even, distinct;     /* latent_path() only */
  struct where *where;          /* [n_where], in the call's arena: of functions over a table */
  int n_where;
  struct breeding breeding;
};
/* Argument i where it was given and is not NULL, defaults otherwise. */
struct options call_options(struct call *c, int i);
/* Those in a JSON object. */
struct cJSON;
struct options options_of(struct call *c, const struct cJSON *object);
/* An array of 1 to MATES_MOST numbers from 0 on, not all 0: weights[returned], of sum
** WEIGHTS_WHOLE. 0: it is none. */
int json_weights(const struct cJSON *array, int weights[MATES_MOST]);
/* For others who read JSON that users write. The object is for cJSON_Delete(); NULL on failure. */
struct cJSON *json_object(struct call *c, const char *text, size_t n, const char *what);
const char *json_show(struct cJSON *item, char out[64]);        /* as it stood, for messages */
/* Each key of the object is one of names[n], once; else an error that names the key. */
int json_check_keys(struct call *c, const struct cJSON *object, const char *what,
                    const char *const *names, int n);

/* ---- call_writer.c: which decoder a result is written by ---- */
/* Sets o->decode.writer for results of m: where options ask for it; or is_beyond (the result is no
** content that was encoded, but between or beyond), there is a writer, and options do not ask for
** the other. n_segments: of the longest result; one of code alone is not the writer's unless it is
** asked for. m may be NULL. */
void call_writer(struct call *c, const struct model *m, struct options *o, int is_beyond,
                 int n_segments);
/* The same for the content at z. Of several segments those that were encoded come back as they
** were, where options name no decoder. */
void call_writer_at(struct call *c, const struct model *m, struct options *o,
                    const struct latent *z);

#endif
