/*
** vtab_pending.c -- changes that the index has not seen yet, and how it sees them: many at a time.
**
** An INSERT writes its row to t_rows and notes the row in t_pending; so do UPDATE and DELETE. The
** index is shown the notes at the COMMIT, before a query of the same transaction, or when there are
** many. So rows that are inserted one by one are encoded as one batch, and a ROLLBACK takes the
** notes back with the rows, because SQLite does it.
**
** The note of a row is made before the row is changed. When the change then fails, the note says
** only that the row is to leave and to enter as it is. A row has one note: the first keeps the
** latent that the index knows, later ones change the content to encode.
**
** A flush:
**   1. reads the next notes, and their rows as they are now: what leaves, what enters, and what is
**      to be encoded first;
**   2. encodes all contents, one batch for each kind, texts and pictures, and writes the latents to
**      t_rows. Nothing is written before a batch is encoded (except to t_config), so an interrupt
**      in the long part costs nothing;
**   3. changes the index, and removes the notes.
**
** When step 3 fails midway the transaction must not be committed: vtab.broken_depth. (A COMMIT in
** which it fails is rolled back by SQLite.)
*/
#include "vtab.h"
#include <string.h>

enum {
  BODIES_MOST = 1000,           /* notes of one flush, in a table with content */
  VECTORS_MOST = 4096,          /* ... in a foreign one */
  BODIES_BYTES = 4 << 20        /* bytes of content after which a flush takes no more notes */
};

struct note {                   /* all pointers into the call's arena */
  int64_t id;
  float *old;                   /* [width]: where the index knows the row; NULL: it does not */
  float *now;                   /* [width]: where the row is; NULL: nowhere, or not encoded yet */
  uint64_t *keys;               /* [n_filters] */
  int kind;                     /* of what is to be encoded; 0: nothing is */
  struct content body;
};
struct notes {
  struct note *list;            /* [most] */
  int n, most;
  size_t bytes;                 /* of all bodies */
};

int pending_most(const struct vtab *t){
  return t->definition.body ? BODIES_MOST : VECTORS_MOST;
}

int pending_add(struct call *c, struct vtab *t, int64_t id, struct content old, sqlite3_value *body,
                int has_body){
  sqlite3_stmt *s = store_statement(c, t, PENDING_ADD);
  int rc = SQLITE_OK;
  if( s==NULL ) return c->err.rc;
  sqlite3_bind_int64(s, 1, id);
  if( old.bytes ) rc = sqlite3_bind_blob(s, 2, old.bytes, (int)old.n, SQLITE_TRANSIENT);
  if( body && has_body && rc==SQLITE_OK ) rc = sqlite3_bind_value(s, 3, body);
  sqlite3_bind_int(s, 4, has_body);
  check_bound(c, rc);
  t->n_pending++;
  return store_do(c, s);
}

/* ---- 1. Reading notes ---- */

/* Copies a column's content into the note. A BLOB was a picture when it was written; one that is
** none any more is damage, and is encoded as text. */
static void read_body(struct call *c, sqlite3_stmt *s, int column, struct notes *all,
                      struct note *note){
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
  note->kind = type==SQLITE_BLOB && picture_is(copy, n) ? KIND_PICTURE : KIND_TEXT;
  note->body = (struct content){ copy, n };
  all->bytes += n;
}

static float *read_vector(struct call *c, struct vtab *t, struct content latent, const char *what){
  float *vector = arena_floats(&c->arena, (size_t)t->width);
  if( vector==NULL ) fail_nomem(&c->err);
  vector_from_stored(c, t, vector, latent, what);
  return vector;
}

static uint64_t *read_keys(struct call *c, const struct definition *d, sqlite3_stmt *row){
  uint64_t *keys = arena_get(&c->arena, sizeof(*keys)*(size_t)d->n_filters);
  if( keys==NULL ){
    fail_nomem(&c->err);
    return NULL;
  }
  for(int i=0; i<d->n_filters; i++){
    sqlite3_value *v = sqlite3_column_value(row, COLUMN_FILTERS + i);
    keys[i] = filter_key(d->filters[i].type, v);
  }
  return keys;
}

/* The row of a note, as it is now. pending: the statement that stands on the note. */
static void read_row(struct call *c, struct vtab *t, sqlite3_stmt *pending, struct notes *all,
                     struct note *note){
  const struct definition *d = &t->definition;
  sqlite3_stmt *row = store_find(c, t, ROW_GET, note->id);
  struct content latent;
  if( row==NULL ) return;               /* it was deleted */
  latent = row_latent(c, t, row);
  if( c->err.rc==SQLITE_OK ){
    note->keys = read_keys(c, d, row);
    if( latent.bytes ) note->now = read_vector(c, t, latent, "a stored latent");
    else if( owns_content(d) ) read_body(c, row, COLUMN_FILTERS + d->n_filters, all, note);
    else if( d->body ) read_body(c, pending, 2, all, note);
  }
  sqlite3_reset(row);
}

static void read_notes(struct call *c, struct vtab *t, struct notes *all){
  sqlite3_stmt *s = store_statement(c, t, PENDING_LIST);
  if( s ) sqlite3_bind_int(s, 1, all->most);
  while( all->bytes<BODIES_BYTES && store_step(c, s) ){
    struct note *note = &all->list[all->n++];
    *note = (struct note){ .id = sqlite3_column_int64(s, 0) };
    if( sqlite3_column_type(s, 1)!=SQLITE_NULL ){
      struct content old = { sqlite3_column_blob(s, 1), 0 };
      old.n = (size_t)sqlite3_column_bytes(s, 1);
      note->old = read_vector(c, t, old, "a pending latent");
    }
    read_row(c, t, s, all, note);
  }
  sqlite3_reset(s);
}

/* ---- 2. Encoding ---- */

/* A picture could not be read: says which one. */
static void name_picture(struct call *c, const struct notes *all){
  struct err first = c->err;
  struct picture p;
  char who[40];
  for(int i=0; i<all->n; i++){
    struct arena_mark mark = arena_mark(&c->arena);
    const struct note *note = &all->list[i];
    if( note->kind!=KIND_PICTURE ) continue;
    err_clear(&c->err);
    sqlite3_snprintf(sizeof(who), who, "row %lld", note->id);
    picture_read(&p, note->body.bytes, note->body.n, &c->arena, who, &c->err);
    if( c->err.rc!=SQLITE_OK ) return;
    arena_rewind(&c->arena, mark);
  }
  c->err = first;
}

/* Writes the latent of a note's row to t_rows. blob: for scratch. */
static void put_latent(struct call *c, struct vtab *t, struct note *note, const struct latent *z,
                       struct buf *blob){
  sqlite3_stmt *s = store_statement(c, t, ROW_ENCODED);
  struct content latent;
  int rc;
  if( s==NULL ) return;
  blob->n = 0;
  latent_write(blob, z);
  check_buf(c, blob);
  if( c->err.rc!=SQLITE_OK ) return;
  latent = (struct content){ blob->data, blob->n };
  sqlite3_bind_int64(s, 1, note->id);
  sqlite3_bind_int64(s, 2, latent_sum(note->id, latent));
  rc = sqlite3_bind_blob(s, 3, latent.bytes, (int)latent.n, SQLITE_STATIC);
  check_bound(c, rc);
  note->now = read_vector(c, t, latent, "an encoded latent");
  store_do(c, s);
}

/* The contents of one kind, in one batch. */
static void encode_kind(struct call *c, struct vtab *t, struct notes *all, int kind){
  struct content *bodies = arena_get(&c->arena, sizeof(*bodies)*(size_t)all->n);
  struct latent *z = arena_get(&c->arena, sizeof(*z)*(size_t)all->n);
  struct buf blob = { 0 };
  struct model *m;
  int n = 0;
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  for(int i=0; i<all->n; i++){
    if( all->list[i].kind==kind ) bodies[n++] = all->list[i].body;
  }
  if( n==0 ) return;
  m = call_model_of(c, kind, 0);
  if( m ) config_admit(c, t, m, 1);
  if( c->err.rc!=SQLITE_OK ) return;
  contents_encode(m, &c->run, bodies, n, "a row", 0, z);
  if( kind==KIND_PICTURE && c->err.rc==SQLITE_ERROR ) name_picture(c, all);
  n = 0;
  for(int i=0; i<all->n && c->err.rc==SQLITE_OK; i++){
    if( all->list[i].kind==kind ) put_latent(c, t, &all->list[i], &z[n++], &blob);
  }
  buf_release(&blob);
}

/* ---- 3. Changing the index ---- */

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
    if( note->old ){
      removed[n_removed++] = (struct change){ .rowid = note->id, .vector = note->old };
    }
    if( note->now ){
      added[n_added++] = (struct change){
        .rowid = note->id,
        .vector = note->now,
        .keys = note->keys,
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
  if( all.n>0 ){
    encode_kind(c, t, &all, KIND_TEXT);
    encode_kind(c, t, &all, KIND_PICTURE);
  }
  if( c->err.rc==SQLITE_OK && all.n>0 ){
    change_index(c, t, &all);
    if( c->err.rc!=SQLITE_OK ) t->broken_depth = t->depth + 1;
  }
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
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  /* After a ROLLBACK TO that took back a change of the schema, SQLite connects anew, in the middle
  ** of the transaction. What the struct vtab before left pending is for this one to flush. */
  if( !t->in_transaction && sqlite3_get_autocommit(t->db) ) return check_none_forgotten(c, t);
  vtab_ready(c, t, 0);
  while( n>0 && c->err.rc==SQLITE_OK && !run_stopped(&c->run) ) n = flush_some(c, t);
  if( c->err.rc==SQLITE_OK ) t->n_pending = 0;
  sqlite3_set_last_insert_rowid(t->db, last);
  return c->err.rc;
}
