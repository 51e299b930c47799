/*
** vtab_pending.c -- changes that the index has not seen yet, and how it sees them: many at a time.
**
** INSERT, UPDATE and DELETE write to t_rows and note the row in t_pending. Where the content is
** another table's they only note the row. The index is shown the notes at the COMMIT, before a
** query of the same transaction, or when there are many. So rows that are inserted one by one are
** encoded as one batch, and a ROLLBACK takes the notes back with the rows, because SQLite does it.
**
** The note of a row is made before the row is changed. When the change then fails, the note says
** only that the row is to leave and to enter as it is. A row has one note: the first keeps the
** latent that the index knows.
**
** A flush:
**   1. reads the next notes, and their rows as they are now, in t_rows or in the content table
**      (vtab_content.c): what leaves, what enters, and what is to be encoded first;
**   2. encodes all contents, one batch for each kind, texts and pictures. Nothing is written before
**      that (except to t_config), so an interrupt in the long part costs nothing;
**   3. writes the rows to t_rows, changes the index, and removes the notes.
**
** Content that cannot be encoded costs its row the place in the index and nothing else: the row is
** written without a latent. Which of a batch it is, is found by halves. Where the table is strict
** it is an error, which names the row.
**
** When step 3 fails midway the transaction must not be committed: vtab.broken_depth. (A COMMIT in
** which it fails is rolled back by SQLite.)
*/
#include "vtab.h"
#include <string.h>

enum {
  NOTES_MOST = 1000,            /* notes of one flush, in a table with content */
  VECTORS_MOST = 4096,          /* ... in a foreign one */
  BODIES_BYTES = 4 << 20        /* bytes of content after which a flush takes no more notes */
};

struct piece {                  /* what a note has in one content column */
  struct note *note;
  const char *name;             /* of the column */
  int kind;                     /* of what is to be encoded; 0: nothing is */
  struct content body;
  struct latent z;              /* what it was encoded to; n_segments 0: nothing */
  struct content blob;          /* the same, as t_rows gets it */
};
struct note {                   /* pointers into the call's arena; filters' values are owned */
  sqlite3_int64 id;
  int is_known;                 /* the index knows the row */
  struct vectors old;           /* where it does; n is 0: nobody can tell */
  struct vectors now;           /* where the row is; n is 0: nowhere, or not encoded yet */
  uint64_t old_group, group;    /* in which it knows it; in which the row is now */
  uint64_t *keys;               /* [n_filters] */
  struct piece *pieces;         /* [n_bodies], to be encoded; NULL: nothing is */
  struct content latent;        /* to be written to t_rows; bytes NULL: none */
  enum { LEAVE, ENCODED, PUT, REMOVE } write;   /* in t_rows: nothing, the latent, the whole row;
                                ** or the row goes */
  sqlite3_value **filters;      /* [n_filters], of a row to put; the values are owned */
  sqlite3_int64 hash;           /* the same */
  struct err *why;              /* gets why the content cannot be encoded; NULL: nobody asks */
};
struct notes {
  struct note *list;            /* [most] */
  int n, most;
  size_t bytes;                 /* of all bodies */
};
enum {                          /* columns of PENDING_LIST; the last two of PENDING_READ alone */
  PENDING_ID, PENDING_OLD, PENDING_HOW, THEIR_ID,
  THEIR_BODIES                  /* and then their filters */
};

int pending_most(const struct vtab *t){
  return t->definition.n_bodies>0 ? NOTES_MOST : VECTORS_MOST;
}

int pending_add(struct call *c, struct vtab *t, int64_t id, struct content old, enum note_how how){
  sqlite3_stmt *s = store_statement(c, t, PENDING_ADD);
  int rc = SQLITE_OK;
  if( s==NULL ) return c->err.rc;
  sqlite3_bind_int64(s, 1, id);
  if( old.bytes ) rc = sqlite3_bind_blob(s, 2, old.bytes, (int)old.n, SQLITE_TRANSIENT);
  sqlite3_bind_int(s, 3, (int)how);
  if( t->definition.n_partitions>0 && old.bytes ){
    sqlite3_stmt *row = store_find(c, t, ROW_FILTERS, id);
    if( row ) sqlite3_bind_int64(s, 4, (sqlite3_int64)row_group(&t->definition, row, 1));
    sqlite3_reset(row);
  }
  check_bound(c, rc);
  t->n_pending++;
  return store_do(c, s);
}

/* ---- 1. Reading notes ---- */

/* Content that cannot be encoded: c->err says why. Strict tables say it with the row's name; in
** others the row goes on without a latent. Failures that say nothing of the content stay. */
static void refuse_content(struct call *c, const struct vtab *t, struct note *note){
  struct err why = c->err;
  if( why.rc!=SQLITE_ERROR && why.rc!=SQLITE_TOOBIG ) return;
  if( note->why ) *note->why = why;
  note->pieces = NULL;
  note->latent = (struct content){ NULL, 0 };
  note->now = (struct vectors){ NULL, 0 };
  err_clear(&c->err);
  if( t->definition.is_strict ) fail(&c->err, why.rc, "row %lld: %s", note->id, why.text);
}

/* Copies a column's content into a piece of a note. */
static void read_body(struct call *c, const struct vtab *t, sqlite3_stmt *s, int column,
                      struct piece *piece){
  int type = sqlite3_column_type(s, column);
  const void *body;
  size_t n;
  char *copy;
  if( type==SQLITE_NULL ) return;
  if( type==SQLITE_BLOB ) body = sqlite3_column_blob(s, column);
  else body = sqlite3_column_text(s, column);
  n = (size_t)sqlite3_column_bytes(s, column);
  copy = arena_get(&c->arena, n + 1);
  if( copy==NULL || (body==NULL && (type!=SQLITE_BLOB || n>0)) ){
    fail_nomem(&c->err);
    return;
  }
  if( n>0 ) memcpy(copy, body, n);
  piece->kind = type==SQLITE_BLOB ? KIND_PICTURE : KIND_TEXT;
  piece->body = (struct content){ copy, n };
  if( piece->kind==KIND_TEXT ) return;
  if( t->definition.model==NULL && picture_is(copy, n) ) return;
  refuse_value(c, piece->name, sqlite3_column_value(s, column),
               t->definition.model ? "text or NULL: the table's own model reads nothing else"
                                   : "text, a picture (PNG, JPEG) or NULL");
  refuse_content(c, t, piece->note);
}

/* The contents, in columns of s from this one on: note->pieces, NULL where there is none, or one
** cannot be encoded. */
static void read_bodies(struct call *c, const struct vtab *t, sqlite3_stmt *s, int column,
                        struct note *note){
  int n = t->definition.n_bodies;
  int has_content = 0;
  if( c->err.rc!=SQLITE_OK ) return;
  note->pieces = arena_zeroed(&c->arena, sizeof(*note->pieces)*(size_t)n);
  if( note->pieces==NULL ) fail_nomem(&c->err);
  for(int i=0; i<n && note->pieces && c->err.rc==SQLITE_OK; i++){
    struct piece *piece = &note->pieces[i];
    piece->note = note;
    piece->name = t->definition.bodies[i];
    read_body(c, t, s, column + i, piece);
    if( note->pieces && piece->kind ) has_content = 1;
  }
  if( !has_content ) note->pieces = NULL;
}

/* The index knows the row under this latent, which is empty where it was damaged. */
static void read_old(struct call *c, struct vtab *t, struct note *note, struct content latent,
                     const char *what){
  note->is_known = 1;
  if( latent.n>0 ) note->old = vectors_from_stored(c, t, latent, &c->arena, what);
}

/* The filters begin at a column of s. */
static uint64_t *read_keys(struct call *c, const struct definition *d, sqlite3_stmt *s, int column){
  uint64_t *keys = arena_get(&c->arena, sizeof(*keys)*(size_t)d->n_filters);
  if( keys==NULL ){
    fail_nomem(&c->err);
    return NULL;
  }
  for(int i=0; i<d->n_filters; i++){
    keys[i] = filter_key(d->filters[i].type, sqlite3_column_value(s, column + i));
  }
  return keys;
}

/* The row of a note as t_rows has it. */
static void read_written(struct call *c, struct vtab *t, struct note *note){
  const struct definition *d = &t->definition;
  sqlite3_stmt *row = store_find(c, t, ROW_GET, note->id);
  struct content latent;
  if( row==NULL ) return;               /* it was deleted */
  latent = row_latent(c, t, row);
  if( c->err.rc==SQLITE_OK ){
    note->keys = read_keys(c, d, row, COLUMN_FILTERS);
    note->group = row_group(d, row, COLUMN_FILTERS);
    if( latent.bytes ){
      note->now = vectors_from_stored(c, t, latent, &c->arena, "a stored latent");
    }else if( owns_content(d) ){
      read_bodies(c, t, row, COLUMN_FILTERS + d->n_filters, note);
    }
    if( note->pieces ) note->write = ENCODED;
  }
  sqlite3_reset(row);
}

/* Copies the filters, which begin at a column of s: note->filters. A value that a filter cannot
** have is like content that cannot be encoded. */
static void read_filters(struct call *c, struct vtab *t, sqlite3_stmt *s, int column,
                         struct note *note){
  const struct definition *d = &t->definition;
  if( c->err.rc!=SQLITE_OK ) return;
  note->filters = arena_zeroed(&c->arena, sizeof(*note->filters)*((size_t)d->n_filters + 1));
  if( note->filters==NULL ) fail_nomem(&c->err);
  for(int i=0; i<d->n_filters && c->err.rc==SQLITE_OK; i++){
    sqlite3_value *v = sqlite3_value_dup(sqlite3_column_value(s, column + i));
    note->filters[i] = v;
    if( v==NULL ) fail_nomem(&c->err);
    else if( !filter_fits(&d->filters[i], v) ) filter_refuse(c, &d->filters[i], v);
  }
  refuse_content(c, t, note);
}

/* Keeps the latent of a row whose content has not changed. Returns whether it has one. */
static int keep_latent(struct call *c, struct vtab *t, sqlite3_stmt *row, struct note *note){
  struct content latent = row_latent(c, t, row);
  void *copy;
  if( latent.bytes==NULL ) return 0;
  copy = arena_get(&c->arena, latent.n + 1);
  if( copy ) note->latent = (struct content){ memcpy(copy, latent.bytes, latent.n), latent.n };
  else fail_nomem(&c->err);
  note->now = vectors_from_stored(c, t, latent, &c->arena, "a stored latent");
  return 1;
}

/* The row of a note as the content table has it: s, PENDING_READ, stands on both. */
static void read_followed(struct call *c, struct vtab *t, sqlite3_stmt *s, struct note *note){
  sqlite3_stmt *row = store_find(c, t, ROW_GET, note->id);
  int filters_at = THEIR_BODIES + t->definition.n_bodies;
  int is_there = sqlite3_column_type(s, THEIR_ID)!=SQLITE_NULL;
  int is_known = row && sqlite3_column_int(s, PENDING_HOW)==NOTE_READ;
  int same = 0;
  if( is_there ) note->hash = content_hash(c, t, s, THEIR_BODIES);
  if( is_there && row ) same = content_same(c, t, row, s, THEIR_BODIES, note->hash);
  if( c->err.rc==SQLITE_OK && !(is_known && same==SAME_ALL) ){
    if( is_known ){
      struct content old = row_known_latent(c, t, row);
      if( old.bytes ) read_old(c, t, note, old, "a stored latent");
      note->old_group = row_group(&t->definition, row, COLUMN_FILTERS);
    }
    if( is_there ){
      int keeps = (same & SAME_CONTENT) && keep_latent(c, t, row, note);
      note->write = PUT;
      note->keys = read_keys(c, &t->definition, s, filters_at);
      note->group = row_group(&t->definition, s, filters_at);
      if( !keeps ) read_bodies(c, t, s, THEIR_BODIES, note);
      read_filters(c, t, s, filters_at, note);
    }else if( row ){
      note->write = REMOVE;
    }
  }
  sqlite3_reset(row);
}

static void read_note(struct call *c, struct vtab *t, sqlite3_stmt *s, struct note *note){
  if( sqlite3_column_type(s, PENDING_OLD)!=SQLITE_NULL ){
    struct content old = { sqlite3_column_blob(s, PENDING_OLD), 0 };
    old.n = (size_t)sqlite3_column_bytes(s, PENDING_OLD);
    read_old(c, t, note, old, "a pending latent");
    if( t->definition.n_partitions>0 ){         /* old_group is the last column */
      int at = sqlite3_column_count(s) - 1;
      note->old_group = (uint64_t)sqlite3_column_int64(s, at);
    }
  }
  if( c->err.rc!=SQLITE_OK ) return;
  if( sqlite3_column_int(s, PENDING_HOW)==NOTE_WRITTEN || t->definition.content==NULL ){
    read_written(c, t, note);
  }else{
    read_followed(c, t, s, note);
  }
}

/* A view may have several rows of one id; the first counts. */
static void read_notes(struct call *c, struct vtab *t, struct notes *all){
  enum vtab_statement which = t->definition.content ? PENDING_READ : PENDING_LIST;
  sqlite3_stmt *s = store_statement(c, t, which);
  if( s ) sqlite3_bind_int(s, 1, all->most);
  while( all->bytes<BODIES_BYTES && store_step(c, s) ){
    sqlite3_int64 id = sqlite3_column_int64(s, PENDING_ID);
    struct note *note = &all->list[all->n];
    if( all->n>0 && all->list[all->n-1].id==id ) continue;
    *note = (struct note){ .id = id };
    all->n++;
    read_note(c, t, s, note);
    for(int i=0; note->pieces && i<t->definition.n_bodies; i++){
      all->bytes += note->pieces[i].body.n;
    }
  }
  sqlite3_reset(s);
}

static void release_notes(const struct vtab *t, struct notes *all){
  for(int i=0; i<all->n; i++){
    struct note *note = &all->list[i];
    for(int j=0; note->filters && j<t->definition.n_filters; j++){
      sqlite3_value_free(note->filters[j]);
    }
    note->filters = NULL;
  }
}

/* ---- 2. Encoding ---- */

/* The contents of list[n], all of one kind, in one batch. If it cannot be, each half by itself. */
static void encode_batch(struct call *c, struct vtab *t, const struct model *m,
                         struct piece **list, int n){
  struct arena_mark mark = arena_mark(&c->arena);
  struct content *bodies = arena_get(&c->arena, sizeof(*bodies)*(size_t)n);
  struct latent *z = arena_get(&c->arena, sizeof(*z)*(size_t)n);
  struct content *blobs = arena_get(&c->arena, sizeof(*blobs)*(size_t)n);
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  for(int i=0; i<n; i++) bodies[i] = list[i]->body;
  contents_encode(m, &c->run, bodies, n, list[0]->name, 0, z);
  if( t->definition.model && c->err.rc==SQLITE_OK ) encoder_store(c, t, bodies, z, n, blobs);
  if( c->err.rc==SQLITE_OK ){
    for(int i=0; i<n; i++) list[i]->z = z[i];
    for(int i=0; i<n && t->definition.model; i++) list[i]->blob = blobs[i];
  }else if( n==1 ){
    refuse_content(c, t, list[0]->note);
  }else if( c->err.rc==SQLITE_ERROR || c->err.rc==SQLITE_TOOBIG ){
    err_clear(&c->err);
    arena_rewind(&c->arena, mark);
    encode_batch(c, t, m, list, n/2);
    encode_batch(c, t, m, list + n/2, n - n/2);
  }
}

static void encode_kind(struct call *c, struct vtab *t, struct notes *all, int kind){
  size_t n_columns = (size_t)t->definition.n_bodies;
  struct piece **list = arena_get(&c->arena, sizeof(*list)*(size_t)all->n*n_columns);
  struct model *m;
  int n = 0;
  if( list==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  for(int i=0; i<all->n; i++){
    struct piece *pieces = all->list[i].pieces;
    for(size_t k=0; pieces && k<n_columns; k++){
      if( pieces[k].kind==kind ) list[n++] = &pieces[k];
    }
  }
  if( n==0 ) return;
  m = call_model_of(c, kind, 0);
  if( m ) config_admit(c, t, m, 1);
  if( c->err.rc==SQLITE_OK ) encode_batch(c, t, m, list, n);
}

/* The blobs of all pieces, one behind the other. */
static struct content join_pieces(struct call *c, const struct vtab *t, struct piece *pieces){
  struct content all = { NULL, 0 };
  char *bytes;
  if( t->definition.n_bodies==1 ) return pieces[0].blob;
  for(int i=0; i<t->definition.n_bodies; i++) all.n += pieces[i].blob.n;
  all.bytes = bytes = arena_get(&c->arena, all.n);
  if( bytes==NULL ) fail_nomem(&c->err);
  for(int i=0; i<t->definition.n_bodies && bytes; i++){
    if( pieces[i].blob.n>0 ) memcpy(bytes, pieces[i].blob.bytes, pieces[i].blob.n);
    bytes += pieces[i].blob.n;
  }
  return all;
}

/* From the points to what is written and what the index gets. */
static void settle_note(struct call *c, struct vtab *t, struct note *note){
  size_t most = (size_t)sqlite3_limit(t->db, SQLITE_LIMIT_LENGTH, -1);
  struct piece *pieces = note->pieces;
  if( c->err.rc!=SQLITE_OK || pieces==NULL ) return;
  for(int i=0; i<t->definition.n_bodies && t->definition.model==NULL; i++){
    if( pieces[i].kind ) pieces[i].blob = row_blob(c, &pieces[i].z, NULL);
  }
  if( c->err.rc==SQLITE_OK ) note->latent = join_pieces(c, t, pieces);
  if( c->err.rc!=SQLITE_OK ) return;
  if( note->latent.n>most ){
    fail(&c->err, SQLITE_TOOBIG, "its latent of %zu bytes is longer than SQLite's limit here",
         note->latent.n);
  }
  note->now = vectors_from_blob(t, note->latent, &c->arena, "the latent", &c->err);
  refuse_content(c, t, note);
}

static void encode_notes(struct call *c, struct vtab *t, struct notes *all){
  if( c->err.rc!=SQLITE_OK || t->definition.n_bodies==0 ) return;
  encode_kind(c, t, all, KIND_TEXT);
  encode_kind(c, t, all, KIND_PICTURE);
  for(int i=0; i<all->n; i++) settle_note(c, t, &all->list[i]);
}

void pending_explain(struct call *c, struct vtab *t, sqlite3_int64 id, sqlite3_stmt *s, int column,
                     struct buf *report){
  const struct definition *d = &t->definition;
  struct arena_mark mark = arena_mark(&c->arena);
  struct err why = { 0 };
  struct note note = { .id = id, .why = &why };
  struct notes all = { .list = &note, .n = 1 };
  read_bodies(c, t, s, column, &note);
  if( d->content ) read_filters(c, t, s, column + d->n_bodies, &note);
  encode_notes(c, t, &all);
  release_notes(t, &all);
  if( c->err.rc==SQLITE_NOMEM || c->err.rc==SQLITE_INTERRUPT ) return;
  if( c->err.rc!=SQLITE_OK ) why = c->err;
  err_clear(&c->err);
  arena_rewind(&c->arena, mark);
  if( why.rc!=SQLITE_OK ){
    buf_report_line(report, "row %lld is not in the index: %s", id, why.text);
  }else{
    buf_report_line(report, "row %lld is not in the index, although it can be: 'rebuild' takes it "
                    "in", id);
  }
}

/* ---- 3. Writing rows, and changing the index ---- */

static void write_latent(struct call *c, struct vtab *t, const struct note *note){
  sqlite3_stmt *s = store_statement(c, t, ROW_ENCODED);
  struct content latent = note->latent;
  if( s==NULL ) return;
  sqlite3_bind_int64(s, 1, note->id);
  sqlite3_bind_int64(s, 2, latent_sum(note->id, latent));
  check_bound(c, sqlite3_bind_blob(s, 3, latent.bytes, (int)latent.n, SQLITE_STATIC));
  store_do(c, s);
}

static void write_row(struct call *c, struct vtab *t, const struct note *note){
  struct new_row row = {
    .id = note->id,
    .latent = note->latent,
    .filters = note->filters,
    .hash = note->hash,
  };
  if( note->write==PUT ) row_put(c, t, &row);
  else if( note->write==REMOVE ) store_do_at(c, t, ROW_DELETE, note->id);
  else if( note->write==ENCODED && note->latent.bytes ) write_latent(c, t, note);
}

static void change_index(struct call *c, struct vtab *t, const struct notes *all){
  struct change *removed = arena_get(&c->arena, sizeof(*removed)*(size_t)all->n);
  struct change *added = arena_get(&c->arena, sizeof(*added)*(size_t)all->n);
  int n_removed = 0;
  int n_added = 0;
  if( c->arena.oom ){
    fail_nomem(&c->err);
    return;
  }
  for(int i=0; i<all->n; i++){
    const struct note *note = &all->list[i];
    if( note->is_known ){
      removed[n_removed++] = (struct change){
        .rowid = note->id,
        .vectors = note->old.x,
        .n = note->old.n,
        .group = note->old_group,
      };
    }
    if( note->now.n>0 ){
      added[n_added++] = (struct change){
        .rowid = note->id,
        .vectors = note->now.x,
        .n = note->now.n,
        .keys = note->keys,
        .group = note->group,
      };
    }
  }
  index_change(t->index, removed, n_removed, added, n_added, &c->err);
  vtab_damaged(c);
  store_do_at(c, t, PENDING_DONE, all->list[all->n-1].id);
}

/* ---- The flush ---- */

/* Flushes some notes; returns how many. */
static int flush_some(struct call *c, struct vtab *t){
  struct notes all = { .most = pending_most(t) };
  struct arena_mark mark = arena_mark(&c->arena);
  all.list = arena_get(&c->arena, sizeof(*all.list)*(size_t)all.most);
  if( all.list==NULL ){
    fail_nomem(&c->err);
    return 0;
  }
  read_notes(c, t, &all);
  if( all.n>0 ) encode_notes(c, t, &all);
  if( c->err.rc==SQLITE_OK && all.n>0 ){
    for(int i=0; i<all.n; i++) write_row(c, t, &all.list[i]);
    if( c->err.rc==SQLITE_OK ) change_index(c, t, &all);
    if( c->err.rc!=SQLITE_OK ) t->broken_depth = t->depth + 1;
  }
  release_notes(t, &all);
  if( c->err.rc==SQLITE_OK ) arena_rewind(&c->arena, mark);
  return all.n;
}

/* Outside a transaction nothing is pending, with one exception: when ROLLBACK TO takes back a DROP
** TABLE, SQLite has forgotten by then that t was part of the transaction, and commits without
** asking it. Looked for once a connection. */
static int check_none_forgotten(struct call *c, struct vtab *t){
  sqlite3_stmt *s;
  if( t->knows_none ) return c->err.rc;
  vtab_ready(c, t, 0);
  s = store_find(c, t, PENDING_LIST, 1);        /* one note at most */
  if( s ){
    fail(&c->err, SQLITE_ERROR, "rows wait for the index since a DROP TABLE was rolled back: "
         "INSERT INTO \"%s\"(\"%s\") VALUES('optimize') takes them in", t->name, t->name);
  }
  sqlite3_reset(s);
  t->knows_none = c->err.rc==SQLITE_OK;
  return c->err.rc;
}

int pending_flush(struct call *c, struct vtab *t){
  sqlite3_int64 last = sqlite3_last_insert_rowid(t->db);
  int n = 1;
  if( store_follow_content(c, t)!=SQLITE_OK ) return c->err.rc;
  /* After a ROLLBACK TO that took back a change of the schema, SQLite connects anew, in the middle
  ** of the transaction. What the struct vtab before left pending is for this one to flush. */
  if( !t->in_transaction && sqlite3_get_autocommit(t->db) ) return check_none_forgotten(c, t);
  vtab_ready(c, t, 0);
  while( n>0 && c->err.rc==SQLITE_OK && !err_stopped(&c->err) ) n = flush_some(c, t);
  if( c->err.rc==SQLITE_OK ) t->n_pending = 0;
  sqlite3_set_last_insert_rowid(t->db, last);
  return c->err.rc;
}
