/*
** functions.h -- the functions of SQL, and the table of features that they are registered from.
**
** A function here is thin: it reads its arguments, asks the model, and gives the result. All that
** it holds lies in its `struct call` (call.h). Failures go to call.err: after the first one, every
** function below that is given the call does nothing, and its results are empty.
*/
#ifndef LATENT_FUNCTIONS_H
#define LATENT_FUNCTIONS_H
#include "call.h"

/* ---- functions.c: one row is one feature ---- Registration, latent_functions(), the reference in
** sql/README.md and the tests of the examples are all made from these rows. */
#define LATENT_VERSION "0.2.0"
struct rows;
extern const struct function FUNCTIONS[];
extern const int N_FUNCTIONS;
/* Registers all of them, or none. An SQLite result code; on failure *message says why. It is for
** sqlite3_free(). message may be NULL. */
int functions_register(sqlite3 *db, char **message);

/* ======== Scalar functions: one C function each, which call_scalar() runs ======== */

/* ---- functions_scalar.c: content, points, and what lies between and beyond ---- */
void scalar_encode(struct call *c);
void scalar_decode(struct call *c);
void scalar_distance(struct call *c);
void scalar_fidelity(struct call *c);
void scalar_score(struct call *c);
void scalar_interp(struct call *c);
void scalar_slerp(struct call *c);
void scalar_analogy(struct call *c);
void scalar_move(struct call *c);
void scalar_vary(struct call *c);
/* What latent_vary() does to a point: turns it in a random direction, and a picture towards another
** of the same thing. */
void vary_point(struct call *c, const struct model *m, struct latent *z, float amount,
                uint64_t seed);
void scalar_sample(struct call *c);
void scalar_complete(struct call *c);
void scalar_add(struct call *c);
void scalar_sub(struct call *c);
void scalar_scale(struct call *c);

/* ---- functions_picture.c: two kinds at once ---- */
void scalar_cross(struct call *c);
void scalar_image(struct call *c);
void describe_fill(struct call *c, struct rows *r);
/* The point of style with content's meaning. Of texts and code its s is turned towards content's by
** `amount` of the arc, segment by segment where both have the same number; otherwise every segment
** of style turns towards the mean s of content. A picture's r is drawn for that s, as o says. */
struct latent cross_points(struct call *c, const struct latent *content,
                           const struct latent *style, float amount, const struct options *o);
/* A part of each of the pictures z[n], cut along lines in a direction that the seed draws, as large
** as weights[n] say, of sum WEIGHTS_WHOLE. Gives the point of the picture so put together. */
struct latent join_points(struct call *c, const struct latent *z, const int *weights, int n,
                          uint64_t seed);
/* Mean log-probability per token (of a picture: per byte) of content of the model's kind at z. what
** stands in messages: "argument 1". 0 on failure. */
float content_score(struct call *c, const struct model *m, const struct content *content,
                    const char *what, const struct latent *z);

/* ---- functions_code.c: code as such ---- */
void scalar_valid(struct call *c);

/* ---- functions_exchange.c: latents as JSON and as bare numbers ---- */
void scalar_json(struct call *c);
void scalar_from_json(struct call *c);
struct latent latent_from_json(struct call *c, struct content text);    /* argument 1, or a part */
void scalar_vector(struct call *c);
void scalar_embed(struct call *c);
void scalar_from_vector(struct call *c);
/* Argument i, (role), where it is given: whether it is 'query', not 'passage'. */
int call_is_query(struct call *c, int i);
/* Appends the vectors of texts[n] in this role, 4*d bytes each. Changes texts. */
void embed_texts(struct call *c, const struct bert *b, int is_query, struct content *texts, int n,
                 struct buf *out);

/* ---- functions_info.c: the model itself ---- */
void scalar_info(struct call *c);
void scalar_load(struct call *c);

/* ======== Aggregates: call_step(), call_inverse(), call_value() and call_final() run them ========
** state is zeroed before the first row. */

/* ---- functions_aggregate.c: latent_mean(x [, weight]) and latent_direction(x, label) ---- */
void mean_step(struct call *c, void *state);
void mean_inverse(struct call *c, void *state);
void mean_give(struct call *c, void *state);
void direction_step(struct call *c, void *state);
void direction_give(struct call *c, void *state);
void gather_release(void *state);               /* of both */

/* ---- functions_keep.c: what the next two keep of each row until they draw ---- */
struct kept {                   /* bytes of a buffer */
  size_t at;                    /* where they begin */
  size_t n;                     /* 0: there are none */
};
/* Appends argument i as text: 300 characters of it, the last of them an ellipsis where there would
** be more. Nothing where it was not given or is NULL. */
struct kept keep_label(struct call *c, struct buf *b, int i);
/* Notes the failure of a buffer of kept bytes. what: "map", of which there would be one. */
void check_kept(struct call *c, const struct buf *b, const char *what);
/* A PNG or JPEG file, fitted to size x size; the pixels lie in the call's arena. what stands in
** messages: "argument 1". Empty on failure. */
struct picture read_picture(struct call *c, struct content file, int size, const char *what);

/* ---- functions_sheet.c: latent_sheet(png [, label]), and a scalar one, latent_strip() ---- */
void sheet_step(struct call *c, void *state);
void sheet_give(struct call *c, void *state);
void sheet_release(void *state);
void scalar_strip(struct call *c);

/* ---- functions_plot.c: latent_plot(z, label [, picture]) ---- */
void plot_step(struct call *c, void *state);
void plot_give(struct call *c, void *state);
void plot_release(void *state);

/* ======== Table-valued functions ======== */

/* ---- functions_table.c: one module for all of them ---- At the start of a scan, fill() makes all
** rows: one value after another, the visible columns of each row in order. It is not called where a
** needed argument is NULL: then there are no rows. Where the rows may be too many for memory,
** fill() makes the first of them, and more() the next ones, a batch at a time. */
extern const sqlite3_module TABLE_MODULE;
struct rows {                   /* owned by the cursor of the scan */
  struct buf values;            /* of struct row_value: the arguments, then row after row */
  struct buf bytes;             /* copies of the bytes of text and blobs */
  int columns_read;             /* bit i: the statement reads visible column i */
  void *state;                  /* what fill() leaves to more(); the row's release() frees it */
};
int rows_reads(const struct rows *r, int column);       /* false: its values do not matter */
void rows_null(struct rows *r);
void rows_integer(struct rows *r, sqlite3_int64 x);
void rows_real(struct rows *r, double x);
void rows_text(struct rows *r, const char *text, size_t n);     /* UTF-8; text NULL gives NULL */
void rows_blob(struct rows *r, const void *data, size_t n);
void rows_value(struct rows *r, sqlite3_value *v);              /* as it is */
/* A BLOB where the kind is picture, otherwise text. */
void rows_content(struct rows *r, int kind, const char *content, size_t n);
void functions_fill(struct call *c, struct rows *r);            /* latent_functions() */

/* ---- functions_path.c, functions_tokens.c ---- */
void path_fill(struct call *c, struct rows *r);
void tokens_fill(struct call *c, struct rows *r);

/* ======== Functions over a latent table ======== */

/* ---- functions_near.c: the rows of the table that lie near a point ---- */
struct neighbour {              /* a row; what it points to lies in the call's arena */
  sqlite3_int64 rowid;
  double distance;              /* to the point that was asked for */
  struct latent z;
  const char *text;             /* the content: UTF-8, or a picture's file */
  size_t text_bytes;
  int is_blob;                  /* the content is a BLOB */
};
struct near {                   /* a table, and the kind of its rows that counts */
  struct call *call;
  const struct where *where;    /* [n_where]: which rows count; borrowed */
  int n_where;
  int kind;                     /* rows of other kinds are left out; 0: not settled yet */
  struct model *model;          /* of this kind; NULL: not settled yet */
  const char *schema, *table;
  const char *content;          /* the table's first content column, which is the one that counts;
                                ** NULL: it holds foreign vectors */
  int n_contents;               /* how many there are */
  int has_encoder;              /* model='...': rows are found by its vectors, for a text alone */
  sqlite3_stmt *nearest;        /* nearest to a point; owned, like the next one */
  sqlite3_stmt *from;           /* from a rowid on; NULL until its first use */
};
/* Opens the table that argument i, (index), names: 'notes_latent' or 'main.notes_latent'. kind: of
** which rows; 0: the first near_rows() settles it. o: the options, which say which rows count; they
** stay where they are. near_release() may follow a failure too. */
int near_open(struct near *t, struct call *c, int i, const struct options *o);
/* Sets schema and table alone. */
int near_find(struct near *t, const char *name);
/* The same, of any table or view: gives its row of pragma_table_list, schema, name, type, wr, for
** sqlite3_finalize(). NULL: there is none that meets the condition, or it failed. */
sqlite3_stmt *near_named(struct near *t, const char *name, const char *condition);
int near_settle(struct near *t, int kind);
void near_release(struct near *t);
/* Nearest first: rows[*n] of [most]. If the kind is not settled, the nearest row settles it.
**
** Where the table has several content columns, or a sentence encoder of its own, it says which rows
** are looked at, a few more than `most`; how near these are is then the distance of their latents
** to `at`, those of the first column. said: the text that is asked for where there is an encoder;
** its bytes NULL: `at` itself is, which such a table refuses. */
int near_rows(struct near *t, const struct latent *at, struct content said, int most,
              struct neighbour *rows, int *n);
/* Prepares an SQL text of sqlite3_mprintf(), and frees it. flags: of sqlite3_prepare_v3(). NULL
** on failure. */
sqlite3_stmt *nested_prepare(struct near *t, char *sql);
sqlite3_stmt *nested_prepare_with(struct near *t, char *sql, unsigned flags);
/* True: a row. False: the end, or a failure. */
int nested_step(struct near *t, sqlite3_stmt *statement);
/* A column's bytes, terminated, in the call's arena; NULL on failure. */
char *nested_copy(struct near *t, sqlite3_stmt *statement, int column, size_t *n);
/* The same as near_open(), for near_all() and near_from() alone: the table may hold foreign
** vectors, and then has no near_from(). kind may change. */
int near_table(struct near *t, struct call *c, int i, const struct options *o);
/* All of its rows, of any kind: rowid and latent, which may be NULL, in the order of the rowids.
** For sqlite3_finalize(). */
sqlite3_stmt *near_all(struct near *t);
/* The least and the greatest rowid; of an empty table 0 and -1. */
int near_rowids(struct near *t, sqlite3_int64 *least, sqlite3_int64 *most);
/* The first row with content at this rowid or behind it. *found is 0 if the next 20 rows are not of
** the kind, or have no content. */
int near_from(struct near *t, sqlite3_int64 rowid, struct neighbour *row, int *found);

/* ---- functions_draft.c: texts for points that nobody has written one for, and how they read ----
** "Text" is said of pictures too: they are made and judged in the same way, without the words. */
enum {
  DRAFT_DIALS = 6,              /* drafts of one point */
  DRAFT_WORDS = 100,            /* words of a text that are looked at */
  DRAFTS_MOST = 1024            /* of one reading */
};
struct point {                  /* a mean of rows */
  const struct neighbour *parents[3];           /* borrowed */
  double weights[3];            /* of the parents; their sum is 1 */
  int n_parents;
  /* 0: its drafts shall not say what another does, nor what a row says. Else a number that it
  ** shares with other points: its drafts shall not say what one of theirs does. */
  int set;
  struct latent z;
  float cost;                   /* its maker ranks points by it, the least first */
};
struct draft {
  const struct point *point;    /* borrowed */
  struct buf text;              /* or a PNG; owned */
  struct latent again;          /* what the text encodes to */
  float fidelity;               /* cosine of `again` and the point */
  float distance;               /* to what was asked for; the caller sets it */
  int n_words;
  int n_repeated;               /* words that it says more often than its parents do */
  int n_unknown;                /* words that neither the tokenizer nor the rows know */
  float strange;                /* share of runs of three words that none of the rows has */
  float log_probability;        /* mean per token, for the plain language model */
  float flaw;                   /* made of all these, in units of distance */
  int is_seen;                  /* drafts_best() has given it */
};
struct drafts {
  struct draft *list;           /* [n], in the call's arena */
  int n;
};
struct reading {                /* what the rows say, to compare drafts with; in the call's arena */
  struct call *call;
  const struct model *model;    /* of the rows, and of the drafts */
  struct key_set texts;         /* hashes of what no draft shall say */
  struct key_set words;         /* hashes of the rows' words */
  struct key_set triples;       /* hashes of the rows' runs of three words */
};
int reading_init(struct reading *g, struct call *c, const struct model *m,
                 const struct neighbour *rows, int n_rows);
/* From now on drafts shall not say this. True if it is new. DRAFTS_MOST texts at most. */
int reading_hold(struct reading *g, const char *text, size_t bytes);
/* Fills d with what the points decode to, except what g holds. points must outlive d. What d owns
** goes with drafts_release(), which may be called after a failure too. */
int drafts_make(struct drafts *d, struct reading *g, const struct point *points, int n_points,
                const struct options *o);
void drafts_release(struct drafts *d);
/* The row says the same, if case, spaces and punctuation do not count. Of pictures: it looks the
** same. */
int draft_says(const struct draft *d, const struct neighbour *row);
int drafts_alike(const struct draft *a, const struct draft *b);         /* nobody needs both */
/* The draft of least distance + flaw that it has not given yet; NULL: none is left. */
struct draft *drafts_best(struct drafts *all);
/* Enters d into shown[*n], which ascends by distance and has room; behind equal ones. */
void draft_show(const struct draft *d, const struct draft **shown, int *n);
/* The columns content, distance, latent, fidelity, parents and weights of a row. */
int draft_give(struct call *c, const struct point *p, int kind, const char *content, size_t bytes,
               float distance, float fidelity, struct rows *r);

/* ---- functions_cluster.c ---- */
void cluster_fill(struct call *c, struct rows *r);

/* ---- functions_each.c: rows of any table, or texts of a JSON array, encoded in batches ---- */
void encode_each_fill(struct call *c, struct rows *r);
void encode_each_more(struct call *c, struct rows *r);
void embed_each_fill(struct call *c, struct rows *r);
void embed_each_more(struct call *c, struct rows *r);
void each_release(void *state);
int is_json_array(struct call *c, struct content text);
/* The name that reads the rowid of t's table: one that no column has. */
const char *rowid_name(struct near *t);

/* ---- functions_imagine.c, functions_gaps.c ---- */
void imagine_fill(struct call *c, struct rows *r);
void gaps_fill(struct call *c, struct rows *r);

/* ======== Breeding ======== */

/* ---- functions_origin.c: where parents come from ---- */
struct origin {                 /* statement: value, id, generation; of an array also the type */
  struct call *call;
  sqlite3_stmt *statement;      /* owned */
  int is_json;
  int n;                        /* values so far */
};
struct seed {                   /* one of them; what it points to lies in the call's arena */
  sqlite3_int64 id;
  int generation;
  struct latent z;              /* a point */
};
/* Argument or option `what` as parents: a JSON array of content and latents, a query, or the name
** of a table. Values are read with c->kind, c->named and c->rounds. */
int origin_open(struct origin *s, struct call *c, struct content text, const char *what);
/* The same of a name alone. */
int origin_table(struct origin *s, struct call *c, const char *name);
int origin_next(struct origin *s, struct seed *out);    /* 0: that was all, or a failure */
void origin_close(struct origin *s);

/* ---- functions_brood.c: how children are made ---- */
struct mate {                   /* one who may become a parent */
  sqlite3_int64 id;
  int generation;
  struct latent z;              /* like the text, in the brood's store */
  struct content said;          /* what the small decoder says of z; NULL: not asked yet */
  float nearest;                /* the distance to the nearest of the others */
  float score;                  /* nearness to the wish */
};
struct gene {
  struct latent direction;
  float amount;
};
struct brood {                  /* rows.state of latent_breed() and latent_explore() */
  struct arena store;           /* what outlives a call */
  struct buf mates;             /* of struct mate: parents, the archive, children in order */
  int n_parents;                /* so many, the first, are the parents that were given */
  struct options options;       /* borrows from the store */
  struct latent wish;           /* n_segments 0: there is none */
  struct gene *genes;           /* [n_genes]: in the store */
  int n_genes;
  int kind, rounds;
  sqlite3_int64 next_id;
  int n_draws;                  /* children that were drawn, shown or not */
  int n_shown;
  struct random random;         /* draws the parents */
  /* latent_breed(): the generation that is to come, and the mates that are its parents */
  int generation;
  int *pool, n_pool;            /* [as many as there are parents, or keep]: in the store */
  /* latent_explore(): */
  int n_measured;               /* mates whose `nearest` and `score` are known */
  int n_barren;                 /* batches without a child to show, one after another */
  sqlite3_int64 until;          /* nanoseconds of the clock; 0: no limit */
};
struct draw {                   /* a child that is to be made */
  int mates[MATES_MOST], n;     /* places in mates */
  int weights[MATES_MOST];      /* of sum WEIGHTS_WHOLE */
  int number;                   /* what its mutation is drawn with */
};
enum { DRAWS_MOST = 64 };       /* of one batch */
void brood_release(void *state);
struct mate *brood_mates(struct brood *b, int *n);      /* good until the next one comes */
struct mate *mate_at(struct brood *b, int i);
/* The state of a scan: reads argument 0, the archive, and the options, argument i. NULL: failed. */
struct brood *brood_begin(struct call *c, struct rows *r, int i);
/* The wish: any content or latent; TEXT is words, whatever the kind of the parents. */
void brood_wish(struct call *c, struct brood *b, sqlite3_value *v);
void brood_wish_for(struct call *c, struct brood *b, const char *text);
void brood_resume(struct call *c, struct brood *b);     /* at the start of more() */
int random_below(struct random *random, int n);
/* Weights and a number for a draw whose mates are chosen. */
void brood_weigh(struct brood *b, struct draw *d);
/* The point of a draw, in the call's arena. */
struct latent brood_place(struct call *c, struct brood *b, const struct draw *d);
/* Makes the children of draws[n]. Those that no mate is like become mates and rows; how many? */
int brood_make(struct call *c, struct brood *b, const struct draw *draws, int n, struct rows *r);
float brood_distance(struct call *c, const struct latent *a, const struct latent *b);
/* For who fills a brood by hand: the options, and what follows from them; the genes; a copy of a
** latent in the store; that z is of the kind of the first mate; what draws[n] decode to: texts[n],
** which are the caller's. */
void brood_settle(struct call *c, struct brood *b, const struct options *o);
void brood_genes(struct call *c, struct brood *b);
struct latent brood_keep(struct call *c, struct brood *b, const struct latent *z);
void brood_check(struct call *c, struct brood *b, const struct latent *z, const char *what);
void brood_decode(struct call *c, struct brood *b, const struct draw *draws, int n,
                  struct buf *texts);
uint32_t writer_print(const struct writer *w);          /* stands for all that it is */

/* ---- functions_breed.c ---- */
void breed_fill(struct call *c, struct rows *r);
void breed_more(struct call *c, struct rows *r);
void grow_step(struct call *c, void *state);
void grow_give(struct call *c, void *state);
void grow_release(void *state);

/* ---- functions_explore.c ---- */
void explore_fill(struct call *c, struct rows *r);
void explore_more(struct call *c, struct rows *r);

/* ---- functions_tree.c: latent_tree(id, parents, content [, label]) ---- */
void tree_step(struct call *c, void *state);
void tree_give(struct call *c, void *state);
void tree_release(void *state);

/* ---- functions_progress.c ---- */
void progress_fill(struct call *c, struct rows *r);

#endif
