/*
** functions.h -- the functions of SQL, and the table of features that they are registered from.
**
** A function here is thin: read the arguments, ask the model, give the result. All it holds lies in its `struct call` (call.h).
*/
#ifndef LATENT_FUNCTIONS_H
#define LATENT_FUNCTIONS_H
#include "call.h"

/* ---- functions.c: one row is one feature ----
** Registration, latent_functions(), the reference in sql/README.md and the example tests are all made from these rows. */
extern const struct function FUNCTIONS[];
extern const int N_FUNCTIONS;
#define LATENT_VERSION "0.1.0"
int functions_register(sqlite3 *db, char **message);    /* SQLite result code; *message (sqlite3_free) on failure */

/* ---- functions_scalar.c: one function each ---- */
#define SCALAR(name) void name(sqlite3_context *, int, sqlite3_value **)
SCALAR(scalar_encode);    SCALAR(scalar_decode);    SCALAR(scalar_fidelity);  SCALAR(scalar_score);
SCALAR(scalar_interp);    SCALAR(scalar_slerp);     SCALAR(scalar_analogy);   SCALAR(scalar_move);
SCALAR(scalar_vary);      SCALAR(scalar_sample);    SCALAR(scalar_distance);
SCALAR(scalar_add);       SCALAR(scalar_sub);       SCALAR(scalar_scale);
SCALAR(scalar_json);      SCALAR(scalar_from_json); SCALAR(scalar_vector);    SCALAR(scalar_from_vector);
SCALAR(scalar_info);      SCALAR(scalar_load);
SCALAR(scalar_cross);     SCALAR(scalar_image);         /* functions_picture.c */

/* Mean log-probability per token of content of the model's kind, given z. what: "argument 1". (functions_picture.c) */
int content_score(struct call *c, const struct model *m, const struct content *content, const char *what, const struct latent *z, float *mean);
/* Where on the way from a to b a text function's t lies. (functions_scalar.c) */
double interp_ease(double t);
/* The share of the plain language model that makes the middle of a path readable: 0 at both ends, and between texts. (functions_scalar.c) */
float interp_fluency(int kind, double t);

/* What points z[n_z], n_z<=2, decode to, as ids: said[n_said], for decode_options.avoid. Nothing where one has several segments or is a picture, which
** seldom stays what it was. (functions_path.c) */
int said_by(struct call *c, const struct model *m, const struct latent *z, int n_z, struct tokens *said, int *n_said);
#define BEST_OF_OTHERS 8        /* candidates where something else is wanted than what was said */
/* Decodes points z[n] between two ends, which lie at t[n] (ascending, 0 to 1) as the user counts it: as contents_decode() does, each at interp_fluency() unless
** options set another, the best of BEST_OF_OTHERS candidates unless they say how many; strictly between the ends no content of an end is taken where there
** is another, and of several points those that lead from a to b together (choose_way() in model_decode.c). (functions_path.c) */
int between_decode(struct call *c, const struct model *m, const struct latent *ends, const struct latent *z, const double *t, int n, const struct options *o,
                   struct buf *contents, float *fidelities);

/* ---- functions_aggregate.c ---- */
void mean_step(sqlite3_context *, int, sqlite3_value **);       /* latent_mean(x [, weight]) */
void mean_inverse(sqlite3_context *, int, sqlite3_value **);
void mean_value(sqlite3_context *);                             /* and final: it holds nothing that SQLite does not free */
void direction_step(sqlite3_context *, int, sqlite3_value **);  /* latent_direction(x, label) */
void direction_final(sqlite3_context *);

/* ---- functions_sheet.c: pictures beside each other ---- */
void sheet_step(sqlite3_context *, int, sqlite3_value **);      /* latent_sheet(png [, label]) */
void sheet_final(sqlite3_context *);                            /* frees what the aggregate holds */
SCALAR(scalar_strip);                                           /* latent_strip(a, b, n [, options]) */

/* ---- functions_plot.c: a table as a map ---- */
void plot_step(sqlite3_context *, int, sqlite3_value **);       /* latent_plot(z, label [, picture]) */
void plot_final(sqlite3_context *);                             /* frees what the aggregate holds */

/* ---- functions_table.c: table-valued functions ----
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
void path_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);            /* functions_path.c */
void tokens_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);          /* functions_tokens.c */

/* ---- functions_near.c: a latent table, for the functions over one ---- */
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

/* ---- functions_draft.c: texts for points that nobody has written one for, and how they read; pictures likewise, as far as they can be read ---- */
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

void imagine_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);         /* functions_imagine.c */
void gaps_fill(struct call *c, int n, sqlite3_value **args, struct rows *r);            /* functions_gaps.c */

#endif
