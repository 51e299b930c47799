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

/* ---- Scalar functions: one C function each, run by call_scalar() ---- */
#define SCALAR(name) void name(struct call *c)
/* functions_scalar.c */
SCALAR(scalar_encode);    SCALAR(scalar_decode);    SCALAR(scalar_fidelity);  SCALAR(scalar_score);
SCALAR(scalar_interp);    SCALAR(scalar_slerp);     SCALAR(scalar_analogy);   SCALAR(scalar_move);
SCALAR(scalar_vary);      SCALAR(scalar_sample);    SCALAR(scalar_distance);
SCALAR(scalar_add);       SCALAR(scalar_sub);       SCALAR(scalar_scale);
/* functions_exchange.c */
SCALAR(scalar_json);      SCALAR(scalar_from_json); SCALAR(scalar_vector);    SCALAR(scalar_from_vector);
/* functions_info.c */
SCALAR(scalar_info);      SCALAR(scalar_load);
/* functions_picture.c */
SCALAR(scalar_cross);     SCALAR(scalar_image);
/* functions_sheet.c */
SCALAR(scalar_strip);

/* Mean log-probability per token of content of the model's kind, given z. what: "argument 1".
** (functions_picture.c) */
float content_score(struct call *c, const struct model *m, const struct content *content,
                    const char *what, const struct latent *z);

/* ---- Aggregates: run by call_step(), call_value() and call_final() ----
** state is zeroed before the first row. */
/* functions_aggregate.c */
void gather_release(void *state);
void mean_step(struct call *c, void *state);            /* latent_mean(x [, weight]) */
void mean_inverse(struct call *c, void *state);
void mean_give(struct call *c, void *state);
void direction_step(struct call *c, void *state);       /* latent_direction(x, label) */
void direction_give(struct call *c, void *state);
/* functions_sheet.c */
void sheet_release(void *state);
void sheet_step(struct call *c, void *state);           /* latent_sheet(png [, label]) */
void sheet_give(struct call *c, void *state);
/* functions_plot.c */
void plot_release(void *state);
void plot_step(struct call *c, void *state);            /* latent_plot(z, label [, picture]) */
void plot_give(struct call *c, void *state);

/* ---- functions_table.c: table-valued functions ----
** One module for all of them: fill() makes every row at the start of a scan, cell by cell, each row's visible columns in order.
** It is not called when one of the n_min first arguments is NULL: NULL in, no rows. */
extern const sqlite3_module TABLE_MODULE;
struct rows {
  struct buf values;            /* of struct row_value: the arguments, then row after row */
  struct buf bytes;             /* what text and blob values hold: own copies */
};
void rows_null(struct rows *r);
void rows_integer(struct rows *r, sqlite3_int64 x);
void rows_real(struct rows *r, double x);
void rows_text(struct rows *r, const char *text, size_t n);     /* UTF-8; a NULL pointer gives NULL */
void rows_blob(struct rows *r, const void *data, size_t n);
void rows_content(struct rows *r, int kind, const char *content, size_t n);     /* TEXT; of kind picture a BLOB */
void functions_fill(struct call *c, struct rows *r);       /* latent_functions() */
void path_fill(struct call *c, struct rows *r);            /* functions_path.c */
void tokens_fill(struct call *c, struct rows *r);          /* functions_tokens.c */

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
int near_open(struct near *t, struct call *c, int i, int kind);
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
struct reading {                /* what the rows say: drafts are read beside them. All of it from the call's arena */
  struct call *call;
  const struct model *model;
  struct key_set texts, words, triples;
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
int draft_give(struct call *c, const struct point *p, int kind, const char *content, size_t bytes,
               float distance, float fidelity, struct rows *r);

void imagine_fill(struct call *c, struct rows *r);         /* functions_imagine.c */
void gaps_fill(struct call *c, struct rows *r);            /* functions_gaps.c */

#endif
