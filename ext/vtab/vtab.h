/*
** vtab.h -- the virtual table, CREATE VIRTUAL TABLE t USING latent(body): the map of its files.
**
** Each file calls only the files above it:
**
**   vtab_method.c    the frame of a method; refusals; names in SQL
**   vtab_columns.c   the arguments of CREATE VIRTUAL TABLE
**   vtab_row.c       what a row of t_rows holds: its sum, its vector, its sort keys
**   vtab_store.c     the shadow tables, byte by byte, and all statements
**   vtab_words.c     words=1: an FTS5 table beside the rows
**   vtab_config.c    t_config: which models the rows are of; makes a table ready for work
**   vtab_encoder.c   a table with a sentence encoder of its own
**   vtab_write.c     a row into t_rows; which values a filter takes
**   vtab_trigger.c   triggers on the content table
**   vtab_content.c   content that is another table's: how t follows it, and sees where it does not
**   vtab_pending.c   changes that wait for the index, and how they reach it in batches
**   vtab_rebuild.c   'rebuild', at once or in steps; 'sync'
**   vtab_check.c     integrity-check
**   vtab_update.c    INSERT, UPDATE, DELETE; the commands
**   vtab_plan.c      which conditions of a statement reach the table
**   vtab_rank.c      in what order a query's rows come, where it is not simply nearest first
**   vtab_passage.c   what in a row answers a query
**   vtab_query.c     cursors
**   vtab.c           create, connect, rename, drop; transactions. Begin here.
**
** c->err is the one error channel, as in call.h: a function that is given a call does nothing once
** a failure is there, and gives an empty value. So a run of steps is checked once, at its end.
** Those that return an int return c->err.rc, unless they say otherwise.
*/
#ifndef LATENT_VTAB_H
#define LATENT_VTAB_H
#include "call.h"
#include "index.h"

/* ---- A table at work ---- */

enum filter_type { FILTER_INTEGER, FILTER_REAL, FILTER_TEXT };
struct filter {                 /* a filter column */
  char *name;
  enum filter_type type;
  int is_partition;             /* each value has its own cells: a search must say which */
};
enum { FILTERS_MOST = INDEX_KEYS_MOST, BODIES_MOST = 16 };
struct definition {             /* strings lie in the vtab's arena */
  const char *table;            /* its name when it was connected */
  char *bodies[BODIES_MOST];    /* the content columns; a row is found by each of them */
  int n_bodies;                 /* 0: the table holds foreign vectors, those of somebody else's
                                ** model */
  int n_filters;
  struct filter filters[FILTERS_MOST];
  int n_partitions;             /* of the filters */
  char *content;                /* the table that holds the content; NULL: this one does */
  char *content_rowid;          /* its rowid column */
  char *model;                  /* the sentence encoder that rows are found by, its name; NULL: the
                                ** text model's own */
  int has_triggers;             /* triggers on the content table keep this table in step with it */
  int has_words;                /* an FTS5 table has the words of the content */
  int is_strict;                /* content that cannot be encoded is refused */
  int width;                    /* of foreign vectors; 0 where there is a body */
  int cell_rows;                /* most rows of a cell; 0: the index's own choice */
};

enum vtab_statement {           /* texts in vtab_store.c; each is prepared at its first use */
  CONFIG_GET, CONFIG_READY, CONFIG_SET, ROW_GET, ROW_LATENT, ROW_FILTERS, ROW_PUT, ROW_DELETE,
  ROW_ENCODED, ROW_MEND, ROW_LAST, ROW_ANY, PENDING_ADD, PENDING_LIST, PENDING_HAS, PENDING_READ,
  PENDING_DONE, CONTENT_GET, CONTENT_HAS, CONTENT_NAME, WORDS_PUT, WORDS_DELETE, WORDS_SAME,
  SCHEMA_VERSION,
  N_VTAB_STATEMENTS
};
enum rows_order {               /* statements that cursors step through, lent to one at a time */
  ROWS_ONE,                     /* the row with a rowid */
  ROWS_UP,                      /* a range of rowids, ascending */
  ROWS_DOWN,                    /* the same, descending */
  N_ROWS_ORDERS
};
struct last_query {             /* the last query that was content: the same again is not encoded */
  struct latent z;              /* z.z owned; NULL: there is none */
  struct content content;       /* in the same block as z.z */
};
struct vtab {                   /* one for each connection that uses the table */
  sqlite3_vtab base;            /* first: SQLite's part */
  struct function function;     /* stands for the table in a call: only its name and is_rough are
                                ** set, so that messages begin with the table's name */
  struct binding binding;       /* of this function and the connection */
  sqlite3 *db;
  char *schema;                 /* "main"; in the arena, as all strings here */
  char *name;                   /* "notes_latent" */
  struct definition definition;
  struct arena arena;
  sqlite3_stmt *statements[N_VTAB_STATEMENTS];  /* NULL until first use */
  sqlite3_stmt *rows[N_ROWS_ORDERS];    /* NULL until first use, or while a cursor has it */
  char *content_now;            /* the content table's name since an ALTER TABLE; NULL: not looked
                                ** up */
  sqlite3_int64 name_seen;      /* schema_version + 1 when that was looked up; 0: never */
  sqlite3_int64 schema_seen;    /* schema_version + 1 when the triggers were seen to be there; 0:
                                ** never */
  struct index *index;          /* NULL until first use */
  int width;                    /* of the index's vectors: s of the model, or the definition's;
                                ** 0: not known yet */
  int has_parts;                /* rows of several segments have several vectors in the index */
  int s[KIND_CODE+1];           /* by kind: numbers of s in the latents of t_rows; 0: there are none
                                ** of the kind. Set, as width is, by vtab_ready() */
  uint32_t fingerprint;         /* of the text model in t_config, as vtab_ready() found it */
  int is_utf8;                  /* the database's encoding: only then texts order by their bytes */
  int in_transaction;           /* between xBegin and xCommit or xRollback: rows may be pending */
  int n_pending;                /* about how many */
  int knows_none;               /* t_pending was looked at outside transactions: nothing is there */
  int depth;                    /* savepoints open */
  int renamed_depth;            /* 1 + depth when the table was renamed (SQLite has then connected
                                ** anew); 0: it was not */
  int broken_depth;             /* 1 + depth when a flush failed midway: what it wrote must not be
                                ** committed; 0: none did */
  struct last_query last_query;
  struct arena fetched;         /* the vectors that the index has asked for last */
  struct arena_mark fetched_mark;       /* its beginning; block NULL: not used yet */
};

/* ---- vtab_method.c: the frame of a method, and what all files use ---- */

/* method_begin() sets up the call, method_end() releases it, gives its message to SQLite and
** returns the result code. Each is called once. */
void method_begin(struct call *c, struct vtab *t);
int method_end(struct call *c, struct vtab *t);
/* A call inside a callback of the index, which has an error channel of its own: begins with the
** state of *e. It has the error and the connection, and nothing else may be used. */
struct call callback_call(struct vtab *t, const struct err *e);
/* After calls of the index: its SQLITE_CORRUPT, damage of the shadow tables, becomes
** SQLITE_CORRUPT_VTAB. (Elsewhere SQLITE_CORRUPT means an argument, see call_end().) */
int vtab_damaged(struct call *c);
/* "year is the TEXT 'x', expected an integer or NULL" */
int refuse_value(struct call *c, const char *what, sqlite3_value *v, const char *expected);
void put_quoted(struct buf *out, const char *name);     /* appends an identifier in double quotes */
void put_quoted_with(struct buf *out, const char *name, const char *ending);    /* "name_rows" */

/* ---- vtab_columns.c: the arguments of CREATE VIRTUAL TABLE ---- */

/* argv[3..argc) as SQLite gives them. Messages begin with the table's name. */
int definition_read(struct definition *d, const char *table, int argc, const char *const *argv,
                    struct arena *a, struct err *e);
/* Appends the column list for sqlite3_declare_vtab(): the content columns, the filters, then the
** hidden columns: one named like the table, options, latent, distance. */
void definition_columns(struct buf *out, const struct definition *d, const char *table);
/* Appends those that t_config does not note: passage, where there is content, and rank. The user
** may have called the table, or a column, so: then that one is meant. */
void definition_late_columns(struct buf *out, const struct definition *d);
/* The hidden columns in this order are the arguments of t(...); the first two may be given. */
enum hidden { HIDDEN_QUERY, HIDDEN_OPTIONS, HIDDEN_LATENT, HIDDEN_DISTANCE };
/* Numbers of columns: the first filter, behind the content columns; a hidden column. */
static inline int filter_at(const struct definition *d){
  return d->n_bodies;
}
static inline int hidden_at(const struct definition *d, enum hidden h){
  return filter_at(d) + d->n_filters + (int)h;
}
static inline int owns_content(const struct definition *d){     /* t_rows has columns for it */
  return d->n_bodies>0 && d->content==NULL;
}

static inline int count_own_bodies(const struct definition *d){
  return owns_content(d) ? d->n_bodies : 0;
}

int passage_at(const struct definition *d);      /* what in the row answers the query; -1: none */
/* The column rank, which says how many rows a step of 'rebuild' does. It may be the user's. */
int rank_at(const struct definition *d);
int count_columns(const struct definition *d);  /* all of them */

/* ---- vtab_row.c: what a row of t_rows holds ---- */

enum {                          /* columns of ROW_GET, ROW_LATENT and all rows_order statements */
  COLUMN_ID, COLUMN_SUM, COLUMN_LATENT,
  COLUMN_FILTERS                /* the filters, then the contents where they are the table's own, or
                                ** their hash; not in ROW_LATENT */
};
/* The values of n columns of s, from this one on. Good until s is stepped. */
void column_values(sqlite3_value **v, sqlite3_stmt *s, int column, int n);
uint32_t latent_sum(int64_t id, struct content latent);         /* the lower half of column `sum` */
struct values_sum {             /* of the filters, then the contents */
  uint64_t h;
  int oom;                      /* sticky */
};
/* type: the SQLITE_... type that v is stored as. */
void values_sum_add(struct values_sum *s, const struct vtab *t, sqlite3_value *v, int type);
sqlite3_int64 row_sum(sqlite3_int64 id, const struct values_sum *s, uint32_t latent);
/* Of the row that s stands on: its sum as it ought to be, with the lower half 0. */
sqlite3_int64 row_sum_expected(struct call *c, const struct vtab *t, sqlite3_stmt *s);
/* Of the row that s stands on: checks filters and own content against the sum. */
int row_check_values(struct call *c, const struct vtab *t, sqlite3_stmt *s);
/* Of the row that s stands on: its latent, checked against the sum; bytes NULL: it has none. Good
** until s is stepped. */
struct content row_latent(struct call *c, const struct vtab *t, sqlite3_stmt *s);
/* The latent under which the index is to find the row that s stands on. That of a damaged row is
** empty (n is 0): the index then looks for the row everywhere, so that it can be written again, or
** deleted. */
struct content row_known_latent(struct call *c, const struct vtab *t, sqlite3_stmt *s);

/* What the index knows of a row: x[n, t->width], each of unit length. A text of one segment has one
** vector. One of several has that of the whole, then those of its passages. A picture has one, and
** so has a row of somebody else's vectors.
**
** Where the table has a sentence encoder of its own (model='...') they are that one's, and stand in
** t_rows right behind the latent, in the same BLOB: f16[n, t->width]. Otherwise they are made of
** the latent's s.
**
** With several content columns all of this comes once for each that is not NULL, in their order:
** the BLOB has one latent behind the other, and the vectors are those of them all. */
struct vectors {
  float *x;                     /* NULL: there are none */
  int n;
};
/* From a latent, or in a foreign table from bare numbers; in the arena. Empty after a failure.
** what: "latent", for the message. */
struct vectors vectors_from_latent(const struct vtab *t, const struct latent *z, struct arena *a,
                                   const char *what, struct err *e);
struct vectors vectors_from_blob(const struct vtab *t, struct content blob, struct arena *a,
                                 const char *what, struct err *e);
/* The same for what the shadow tables hold: there a failure is SQLITE_CORRUPT_VTAB. */
struct vectors vectors_from_stored(struct call *c, const struct vtab *t, struct content blob,
                                   struct arena *a, const char *what);
/* How many vectors a latent of n segments has. */
int count_vectors(const struct vtab *t, int n_segments);
/* What t_rows gets for a row: its latent, and where the table has an encoder of its own the
** vectors, as one more. In the call's arena. */
struct content row_blob(struct call *c, const struct latent *z, const struct latent *vectors);
/* The latent alone, of what t_rows has for a row: that of the first column with content. */
struct content latent_alone(const struct vtab *t, struct content stored);
/* What a row's BLOB has for the next content column that is not NULL; *rest, which was all of it at
** first, is then what follows. n is 0 at the end. */
struct content stored_next(const struct vtab *t, struct content *rest);

/* The group of a row for the index: a hash of the values of its partition columns, 0 where the
** table has none. Of a row whose filters begin at a column of s; of n_partitions keys. */
uint64_t row_group(const struct definition *d, sqlite3_stmt *s, int column);
uint64_t keys_group(const uint64_t *keys, int n);
/* The key of one of these values. As SQLite compares it: 7 and '7' are one text, and one number. */
uint64_t partition_key(enum filter_type type, sqlite3_value *v);

/* Sort keys: a value as it is stored gives a key; NULL gives 0. */
uint64_t filter_key(enum filter_type type, sqlite3_value *v);
uint64_t number_key(double x);
uint64_t text_key_low(const char *text, size_t n);      /* least key of texts that begin so */
enum { TEXT_KEY_REST = 0xffff };                        /* low + this: the greatest */

/* ---- vtab_store.c: the shadow tables, and all statements ---- */

int store_create(struct call *c, struct vtab *t);       /* the shadow tables, without rows */
int store_drop(struct call *c, struct vtab *t);
int store_rename(struct call *c, struct vtab *t, const char *name);
void store_idle(struct vtab *t);        /* finalizes all statements, the index's too */

/* The shadow tables are tables, with nothing on them that we have not made: a trigger or a UNIQUE
** index of somebody else's would change what is written. */
int store_verify(struct call *c, struct vtab *t);

const char *store_content_name(const struct vtab *t);   /* what the content table is called */
enum content_type { CONTENT_NONE, CONTENT_TABLE, CONTENT_VIEW };
/* What it is, in its schema's own words. (A virtual table is a table.) */
enum content_type store_content_type(struct call *c, const struct vtab *t);
/* The version of the schema, counted from 1; 0 after a failure. */
sqlite3_int64 store_schema_version(struct call *c, struct vtab *t);
/* Learns what the content table is called now: our triggers are on it, and ALTER TABLE has put its
** new name into them. Called before the content is read: at each flush and query. Where the schema
** is as it was then, that is one PRAGMA. */
int store_follow_content(struct call *c, struct vtab *t);
/* A prepared statement, kept by t. The caller resets it. NULL on failure. */
sqlite3_stmt *store_statement(struct call *c, struct vtab *t, enum vtab_statement which);
/* The same with ?1 = id, on its first row; NULL where there is none, or on failure. */
sqlite3_stmt *store_find(struct call *c, struct vtab *t, enum vtab_statement which, int64_t id);
/* Runs a statement with ?1 = id that gives no rows. */
int store_do_at(struct call *c, struct vtab *t, enum vtab_statement which, int64_t id);
/* A statement for a cursor, which gives it back. store_range() binds low and high too. */
sqlite3_stmt *store_lend(struct call *c, struct vtab *t, enum rows_order order);
sqlite3_stmt *store_range(struct call *c, struct vtab *t, enum rows_order order, int64_t low,
                          int64_t high);
void store_give_back(struct vtab *t, enum rows_order order, sqlite3_stmt *s);   /* or NULL */
/* All rows of the content table, for store_prepare(). Before it, store_follow_content(). */
#define SELECT_CONTENT "SELECT T.$their_id$from_bodies$from_filters FROM $theirs AS T"
enum {                          /* columns of it, and of CONTENT_GET */
  CONTENT_ID,
  CONTENT_BODIES                /* the contents, then the filters */
};
/* Texts with $names, see vtab_store.c. What store_prepare() gives is the caller's to finalize. */
sqlite3_stmt *store_prepare(struct call *c, struct vtab *t, const char *text);
int store_run(struct call *c, struct vtab *t, const char *text);        /* one statement, no rows */
/* The same where the table is to be called `name`: in $t, $t_rows, $t_insert, ... */
int store_run_as(struct call *c, struct vtab *t, const char *name, const char *text);
/* s may be NULL: no row. */
int store_step(struct call *c, sqlite3_stmt *s);        /* 1: a row; 0: the end, or a failure */
int store_do(struct call *c, sqlite3_stmt *s);          /* to the end, then resets and unbinds */

/* ---- vtab_words.c: the words of the rows, in an FTS5 table ----
** Where the table has no words all of these do nothing. */

int words_create(struct call *c, struct vtab *t);
int words_drop(struct call *c, struct vtab *t);
int words_rename(struct call *c, struct vtab *t, const char *name);
int words_verify(struct call *c, struct vtab *t);       /* t_words is the one that we have made */
/* The words of row id are now those of v[n_bodies]: contents as they are stored. NULL, a BLOB: it
** has none; the same where v is NULL. Not while a COMMIT lets the tables sync: SQLite refuses it.
** */
int words_put(struct call *c, struct vtab *t, int64_t id, sqlite3_value *const *v);
/* The same of the contents in columns of s, from this one on. */
int words_put_columns(struct call *c, struct vtab *t, int64_t id, sqlite3_stmt *s, int column);
/* Forgets all words, and takes in own content anew. Content of another table's is taken in by
** words_put(). */
int words_rebuild(struct call *c, struct vtab *t);
/* Findings for integrity-check: about the row whose contents are in columns of s, from this one on;
** about the whole. may_write: this is a statement that changes something, so that FTS5 can check
** its part. */
int words_check_row(struct call *c, struct vtab *t, int64_t id, sqlite3_stmt *row, int column,
                    struct buf *report);
int words_check(struct call *c, struct vtab *t, int may_write, struct buf *report);
/* Appends a struct found for each row that has one of the words of a text: its score is FTS5's bm25
** (below 0, the better the lower), its distance is not known. */
int words_find(struct call *c, struct vtab *t, struct content text, struct buf *hits);

/* ---- vtab_config.c: t_config, and the table made ready ---- */

/* Writes all of t_config: from now on the table is the present model's. */
int config_put(struct call *c, struct vtab *t);
/* An error, and true, where the shadow tables have columns of an earlier format: not even 'rebuild'
** can use them. */
int config_is_early(struct call *c, struct vtab *t);
/* Opens what is not open yet: sets t->width, t->index, t->is_utf8, t->fingerprint. needs_model: the
** present text model must be the table's. */
int vtab_ready(struct call *c, struct vtab *t, int needs_model);
/* May a latent of model m be searched for, or (is_new) come into the table? m must be the model
** that the table has for its kind; the first latent that comes in settles which that is. */
int config_admit(struct call *c, struct vtab *t, const struct model *m, int is_new);
/* Are the latents in t_rows of the models that are present now? */
int config_is_present(struct call *c, struct vtab *t);

/* A 'rebuild' that goes in steps: vtab_rebuild.c. */
struct rebuild {
  int is_begun;                 /* one is under way */
  sqlite3_int64 next;           /* the rows from this id on that have no latent wait for it */
};
struct rebuild config_rebuild(struct call *c, struct vtab *t);
int config_put_rebuild(struct call *c, struct vtab *t, const struct rebuild *r);

/* ---- vtab_encoder.c: a table with a sentence encoder of its own ---- */

/* The encoder. NULL where the table has none, or on failure. Borrowed. */
const struct bert *table_encoder(struct call *c, const struct vtab *t);
/* The vectors of n texts whose latents are z[n]: blobs[i] is what t_rows gets, the latent and the
** vectors behind it. From the call's arena. */
int encoder_store(struct call *c, struct vtab *t, const struct content *texts,
                  const struct latent *z, int n, struct content *blobs);
/* The vector of a query; NULL on failure. */
const float *encoder_query(struct call *c, struct vtab *t, sqlite3_value *v, struct arena *a);

/* ---- vtab_write.c: a row into t_rows ---- */

struct new_row {                /* a row as it shall be */
  sqlite3_int64 id;
  struct content latent;        /* bytes NULL: none, or to be encoded */
  sqlite3_value **bodies;       /* [n_bodies]: own contents; NULL, or one marked as unchanged: as
                                ** in the old row, or there are none */
  sqlite3_value **filters;      /* [n_filters]; the same */
  sqlite3_int64 hash;           /* where the content is another table's */
  sqlite3_stmt *old;            /* ROW_GET on the old row; NULL: there is none */
};
/* In the place of a row with this id. Resets row->old. */
int row_put(struct call *c, struct vtab *t, const struct new_row *row);
int row_keeps_filter(const struct new_row *row, int i);         /* it has that of the old row */
int row_keeps_body(const struct new_row *row, int i);
/* Own content i of it. */
sqlite3_value *row_body(const struct vtab *t, const struct new_row *row, int i);
/* Can v be the value of a filter? In rows of another table's it need not; then it is stored as it
** is, and the row is not in the index. v: no column of a statement, but a copy. */
int filter_fits(const struct filter *f, sqlite3_value *v);
int filter_refuse(struct call *c, const struct filter *f, sqlite3_value *v);
int filter_type_stored(const struct filter *f, sqlite3_value *v);       /* SQLITE_... */

/* ---- vtab_trigger.c: triggers on the content table ---- */

/* For the table under the name that it has, or will have. */
int triggers_create(struct call *c, struct vtab *t, const char *name);
int triggers_drop(struct call *c, struct vtab *t);
/* Appends the names of those that are gone: "t_insert, t_delete". None where there are to be
** none. */
int triggers_missing(struct call *c, struct vtab *t, struct buf *names);
int triggers_require(struct call *c, struct vtab *t);   /* an error where one is gone */
int triggers_mend(struct call *c, struct vtab *t);      /* makes them again where one is gone */

/* ---- vtab_content.c: content that is another table's ---- */

/* The content table is there, and content_rowid names a lasting id of its rows. */
int content_check(struct call *c, struct vtab *t);
/* Of the contents in columns of s, from this one on. */
sqlite3_int64 content_hash(struct call *c, const struct vtab *t, sqlite3_stmt *s, int column);
enum { SAME_CONTENT = 1, SAME_FILTERS = 2, SAME_ALL = 3 };
/* row: ROW_GET. What of it is as in the content table: s has the contents from a column on, with
** that hash, and then the filters. 0 where the row is damaged. */
int content_same(struct call *c, struct vtab *t, sqlite3_stmt *row, sqlite3_stmt *s, int column,
                 sqlite3_int64 hash);
/* Compares all rows with those of t_rows, and calls differs() for each id where they differ; for
** the others equal(), which may be NULL. s stands on the row of the content table; NULL: it has
** none. */
struct content_walk {
  void (*differs)(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_stmt *s, void *arg);
  void (*equal)(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_stmt *row,
                sqlite3_stmt *s, void *arg);
  void *arg;
};
int content_walk(struct call *c, struct vtab *t, const struct content_walk *w);
int content_has(struct call *c, struct vtab *t, int64_t id);    /* 1: it has a row with this id */

/* ---- vtab_pending.c: what the index has not seen yet ---- */

enum note_how {                 /* column `how` of t_pending; vtab_store.c says what they mean */
  NOTE_WRITTEN, NOTE_READ, NOTE_BOTH
};
/* Notes that row id is about to change in t_rows (NOTE_WRITTEN), or may have changed in the content
** table (NOTE_READ). old: the latent under which the index knows the row; bytes NULL: it does not,
** or how is NOTE_READ. */
int pending_add(struct call *c, struct vtab *t, int64_t id, struct content old, enum note_how how);
int pending_flush(struct call *c, struct vtab *t);      /* all notes: encodes, tells the index */
int pending_most(const struct vtab *t);                 /* so many are flushed at once */
/* The row that s stands on has contents (from a column on; another table's filters follow them),
** but no latent: appends a line that says why. */
void pending_explain(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_stmt *s,
                     int column, struct buf *report);

/* ---- vtab_rebuild.c: 'rebuild', 'sync' ---- */

int vtab_rebuild(struct call *c, struct vtab *t);       /* the whole */
/* Begins a 'rebuild', or goes on with it: encodes n rows at most. */
int rebuild_some(struct call *c, struct vtab *t, sqlite3_int64 n);
/* The row is in t_rows without a latent, and a 'rebuild' will come to it. */
int rebuild_awaits(struct call *c, struct vtab *t, const struct rebuild *r, sqlite3_int64 id);
int vtab_sync(struct call *c, struct vtab *t);
/* How far a table's 'rebuild' is, for anybody who knows its name. */
struct progress {
  int is_begun;                 /* one is under way */
  int64_t done, total;          /* rows */
  int64_t model;                /* fingerprint of the text model; -1: the vectors are foreign */
};
int progress_read(struct call *c, const char *schema, const char *table, struct progress *p);

/* ---- vtab_check.c ---- */

/* Findings, one a line; none: all is well. names_refused: rows that could not be encoded are
** named too. */
int vtab_check(struct call *c, struct vtab *t, int names_refused, struct buf *report);

/* ---- vtab_update.c: xUpdate, and the commands ---- */

int vtab_update(sqlite3_vtab *base, int n, sqlite3_value **args, sqlite3_int64 *rowid);

/* ---- vtab_plan.c: which conditions reach the table, and as what ---- */

int vtab_best_index(sqlite3_vtab *base, sqlite3_index_info *plan);
enum plan_mode {                /* idxNum */
  PLAN_SCAN,                    /* rows by rowid, ascending */
  PLAN_SCAN_DOWN,               /* ... descending */
  PLAN_ROW,                     /* one row */
  PLAN_SEARCH,                  /* rows nearest to the query */
  PLAN_SEARCH_ROW,              /* the distance of one row */
  PLAN_SEARCH_SORTED            /* as PLAN_SEARCH; the statement has an ORDER BY distance */
};
struct conditions {             /* what xFilter's arguments say */
  sqlite3_value *query;         /* borrowed; NULL: not given */
  sqlite3_value *options;       /* the same */
  int is_empty;                 /* no row can meet them */
  int64_t low, high;            /* rowids, inclusive */
  double farthest;              /* greatest distance; INFINITY */
  int64_t k;                    /* rows that will be pulled; 0: not known */
  int has_limit;                /* the statement has a LIMIT that the table was told, whatever it
                                ** is */
  struct term *terms;           /* for the index; in the arena given, sets included */
  int n_terms;
  uint64_t partitions[FILTERS_MOST];    /* keys of the partition columns, where given */
  int n_given[FILTERS_MOST];    /* how many conditions give each */
};
/* plan_text: idxStr; args[n]: xFilter's. */
int plan_read(struct call *c, const struct vtab *t, const char *plan_text, int n,
              sqlite3_value **args, struct arena *a, struct conditions *to);
/* The group that a search is in: an error where a partition column is not given. */
uint64_t plan_group(struct call *c, const struct vtab *t, const struct conditions *want);

/* ---- vtab_rank.c: in what order the rows of a query come ---- */

#define UNKNOWN_DISTANCE (-1.0)
struct found {                  /* a row of a query's answer */
  int64_t rowid;
  double distance;              /* to the query; or UNKNOWN_DISTANCE */
  double score;                 /* what it is ordered by, ascending, where that is not the
                                ** distance */
};
struct stream {                 /* rows nearest first */
  int (*next)(struct call *c, void *arg, struct found *row);    /* 1: a row; 0: none, or failed */
  void *arg;
};
enum rank_by { BY_BOTH, BY_MEANING, BY_WORDS };
struct ranking {                /* zeroed, but for the first six */
  enum rank_by by;
  double diverse;               /* 0..1: how much it counts that rows differ */
  double within;                /* rows nearer than that to one that was given do not come */
  const float *query;           /* [width]; the arena's */
  struct stream stream;
  struct arena *arena;          /* of all that it needs */
  struct found *head;           /* [n_head]: the first rows, in their order */
  int64_t n_head, at;           /* at: the next of them */
  int ends;                     /* no rows follow the head */
  struct key_set given;         /* rows of the head that the stream may still give */
  float **kept;                 /* [n_kept]: vectors of rows that were given; where `within` asks */
  int n_kept;
};
/* Rows in an order: that of their distances, or another comparison. */
int found_by_distance(const void *a, const void *b);
void found_sort(struct found *rows, int64_t n, int (*order)(const void *, const void *));
/* Of the nearest of a row's vectors. */
double distance_of(const float *query, const struct vectors *v, int width);
/* words: the query's text where words count; NULL: they do not. is_sorted: the rows are wanted by
** their distance. */
int ranking_begin(struct call *c, struct vtab *t, struct ranking *r, const struct content *words,
                  const struct conditions *want, int is_sorted);
/* 1: the next row, with its distance; 0: the end, or a failure. */
int ranking_next(struct call *c, struct vtab *t, struct ranking *r, struct found *row);

/* ---- vtab_passage.c: what in a row answers a query ---- */

/* Gives the passage that is nearest to query[t->width]: a sentence of the content that is nearest.
** The contents are in columns of the row that s stands on, from this one on; latent: the row's, as
** t_rows has it. Gives nothing where the row has none, or that content is no text, or has changed
** since it was encoded. */
void passage_give(struct call *c, struct vtab *t, const float *query, sqlite3_stmt *s, int column,
                  struct content latent, sqlite3_context *context);

/* ---- vtab_query.c: a cursor ---- */

int vcursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out);
int vcursor_close(sqlite3_vtab_cursor *base);
int vcursor_filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text, int n,
                   sqlite3_value **args);
int vcursor_next(sqlite3_vtab_cursor *base);
int vcursor_eof(sqlite3_vtab_cursor *base);
int vcursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column);
int vcursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid);

/* ---- vtab.c: the module ---- */

struct vtab_module {            /* sqlite3_module as SQLite 3.44 knows it (version 4); earlier
                                ** ones do not look at the end */
  sqlite3_module base;
#if SQLITE_VERSION_NUMBER<3044000
  int (*xIntegrity)(sqlite3_vtab *, const char *schema, const char *table, int flags,
                    char **report);
#endif
};
extern const struct vtab_module VTAB_MODULE;

#endif
