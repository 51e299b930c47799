/*
** vtab_pending.c -- changes that the index has not seen yet, and how it sees them: many at a time.
**
** An INSERT writes its row to t_rows and notes the row in t_pending; so do UPDATE and DELETE. What is noted is shown to the index at the COMMIT, before
** a query of the same transaction, or when there is much of it. So rows inserted one by one are encoded as one batch, and a
** ROLLBACK takes the notes back with the rows, because SQLite does it.
**
** The note of a row is made before the row is changed: when the change then fails, the note says only that the row is to leave and to enter as
** it is. A row has one note: the first keeps the latent that the index knows, later ones change the content to encode.
**
** A flush:
**   1. reads the next notes and their rows as they are now: what leaves, what enters, what is to be encoded first;
**   2. encodes all contents in a batch a kind, texts and pictures (but for t_config nothing is written yet: an interrupt here costs nothing);
**   3. writes the latents to t_rows, changes the index, and removes the notes.
** When step 3 fails midway outside of a COMMIT, which would be rolled back, the transaction must not be committed: vtab.broken_depth.
*/
#include "vtab.h"
#include <string.h>

enum { BODIES_MOST = 1000, VECTORS_MOST = 4096, BODIES_BYTES = 4 << 20 };

struct note {                   /* all pointers into the call's arena */
  int64_t id;
  float *old;                   /* [width]: where the index knows the row; NULL: it does not */
  float *now;                   /* [width]: where the row is; NULL: nowhere, or still to be encoded */
  uint64_t *keys;
  int kind;                     /* of what is to be encoded; 0: nothing is */
  struct content body;
};
struct notes {
  struct note *list;
  int n, most;
  size_t bytes;                 /* of all bodies */
};

int pending_most(const struct vtab *t){
  return t->definition.body ? BODIES_MOST : VECTORS_MOST;
}

int pending_add(struct call *c, struct vtab *t, sqlite3_int64 id, const void *old, int n_old, sqlite3_value *body, int has_body){
  sqlite3_stmt *s = store_statement(c, t, PENDING_ADD);
  int rc = SQLITE_OK;

  if( !s ) return c->err.rc;
  sqlite3_bind_int64(s, 1, id);
  if( old ) rc = sqlite3_bind_blob(s, 2, old, n_old, SQLITE_TRANSIENT);
  if( body && has_body && rc==SQLITE_OK ) rc = sqlite3_bind_value(s, 3, body);
  sqlite3_bind_int(s, 4, has_body);
  if( rc!=SQLITE_OK ) fail_nomem(&c->err);
  t->n_pending++;
  return store_do(c, s);
}

/* A column's content, copied. A BLOB was a picture when it was written; what is none any more, in a damaged row, is taken as it is. */
static int take_body(struct call *c, sqlite3_stmt *s, int column, struct notes *all, struct note *note){
  int type = sqlite3_column_type(s, column);
  const void *body = type==SQLITE_BLOB ? sqlite3_column_blob(s, column) : (const void*)sqlite3_column_text(s, column);
  size_t n = body ? (size_t)sqlite3_column_bytes(s, column) : 0;
  char *copy;

  if( type==SQLITE_NULL ) return SQLITE_OK;
  copy = arena_get(&c->arena, n + 1);
  if( !copy || (!body && (type!=SQLITE_BLOB || sqlite3_column_bytes(s, column)>0)) ) return fail_nomem(&c->err);
  if( n>0 ) memcpy(copy, body, n);
  note->kind = type==SQLITE_BLOB && picture_is(copy, n) ? KIND_PICTURE : KIND_TEXT;
  note->body = (struct content){ copy, n };
  all->bytes += n;
  return SQLITE_OK;
}

static float *take_vector(struct call *c, struct vtab *t, const void *latent, int n, const char *what){
  float *vector = arena_floats(&c->arena, (size_t)t->width);

  if( !vector ){ fail_nomem(&c->err); return NULL; }
  if( vtab_vector(t, vector, latent, (size_t)n, what, &c->err)!=SQLITE_OK && c->err.rc==SQLITE_ERROR ) c->err.rc = SQLITE_CORRUPT_VTAB;
  return vector;
}

/* The row of a note, as it is now. pending: the statement that stands on the note. */
static int read_row(struct call *c, struct vtab *t, sqlite3_stmt *pending, struct notes *all, struct note *note){
  const struct definition *d = &t->definition;
  sqlite3_stmt *row = store_statement(c, t, ROW_GET);
  const void *latent;
  int n;

  if( !row ) return c->err.rc;
  sqlite3_bind_int64(row, 1, note->id);
  if( store_step(c, row) && look_latent(c, t, row, &latent, &n)==SQLITE_OK ){
    note->keys = arena_get(&c->arena, sizeof(uint64_t)*(size_t)d->n_filters);
    if( !note->keys ) fail_nomem(&c->err);
    for(int i=0; i<d->n_filters && note->keys; i++) note->keys[i] = filter_key(d->filters[i].type, sqlite3_column_value(row, LOOK_FILTERS + i));
    if( latent ) note->now = take_vector(c, t, latent, n, "a stored latent");
    else if( d->body && !d->content ) take_body(c, row, LOOK_FILTERS + d->n_filters, all, note);
    else if( d->body ) take_body(c, pending, 2, all, note);
  }
  sqlite3_reset(row);
  return c->err.rc;
}

static int read_notes(struct call *c, struct vtab *t, struct notes *all){
  sqlite3_stmt *s = store_statement(c, t, PENDING_LIST);

  if( !s ) return c->err.rc;
  sqlite3_bind_int(s, 1, all->most);
  while( c->err.rc==SQLITE_OK && all->bytes<BODIES_BYTES && store_step(c, s) ){
    struct note *note = &all->list[all->n++];
    memset(note, 0, sizeof(*note));
    note->id = sqlite3_column_int64(s, 0);
    if( sqlite3_column_type(s, 1)!=SQLITE_NULL ){
      note->old = take_vector(c, t, sqlite3_column_blob(s, 1), sqlite3_column_bytes(s, 1), "a pending latent");
    }
    if( c->err.rc==SQLITE_OK ) read_row(c, t, s, all, note);
  }
  sqlite3_reset(s);
  return c->err.rc;
}

static int put_latent(struct call *c, struct vtab *t, struct note *note, const struct latent *z, struct buf *blob){
  sqlite3_stmt *s = store_statement(c, t, ROW_ENCODED);

  if( !s ) return c->err.rc;
  blob->n = 0;
  latent_write(blob, z);
  if( blob->rc!=SQLITE_OK ) return fail_nomem(&c->err);
  sqlite3_bind_int64(s, 1, note->id);
  sqlite3_bind_int64(s, 2, latent_sum(note->id, blob->data, blob->n));
  if( sqlite3_bind_blob(s, 3, blob->data, (int)blob->n, SQLITE_STATIC)!=SQLITE_OK ) fail_nomem(&c->err);
  note->now = take_vector(c, t, blob->data, (int)blob->n, "an encoded latent");
  return store_do(c, s);
}

/* A picture could not be read: which one. */
static void name_picture(struct call *c, const struct notes *all){
  struct err first = c->err;
  struct picture p;
  char who[40];

  for(int i=0; i<all->n; i++){
    struct arena_mark mark = arena_mark(&c->arena);
    const struct note *note = &all->list[i];
    if( note->kind!=KIND_PICTURE ) continue;
    memset(&c->err, 0, sizeof(c->err));
    sqlite3_snprintf(sizeof(who), who, "row %lld", note->id);
    if( picture_read(&p, note->body.bytes, note->body.n, &c->arena, who, &c->err)!=SQLITE_OK ) return;
    arena_rewind(&c->arena, mark);
  }
  c->err = first;
}

/* The contents of one kind, in one batch. */
static int encode_kind(struct call *c, struct vtab *t, struct notes *all, int kind){
  struct content *bodies = arena_get(&c->arena, sizeof(*bodies)*(size_t)all->n);
  struct latent *z = arena_get(&c->arena, sizeof(*z)*(size_t)all->n);
  struct buf blob = { 0 };
  struct model *m;
  int n = 0;

  if( c->arena.oom ) return fail_nomem(&c->err);
  for(int i=0; i<all->n; i++) if( all->list[i].kind==kind ) bodies[n++] = all->list[i].body;
  if( n==0 ) return SQLITE_OK;
  m = call_model_of(c, kind, 0);
  if( m==NULL || vtab_kind(c, t, m, 1)!=SQLITE_OK ) return c->err.rc;
  if( contents_encode(m, &c->run, bodies, n, "a row", 0, z)!=SQLITE_OK ){
    if( kind==KIND_PICTURE && c->err.rc==SQLITE_ERROR ) name_picture(c, all);
    return c->err.rc;
  }
  n = 0;
  for(int i=0; i<all->n && c->err.rc==SQLITE_OK; i++){
    if( all->list[i].kind==kind ) put_latent(c, t, &all->list[i], &z[n++], &blob);
  }
  buf_release(&blob);
  return c->err.rc;
}

static int change_index(struct call *c, struct vtab *t, const struct notes *all){
  struct change *removed = arena_get(&c->arena, sizeof(*removed)*(size_t)all->n);
  struct change *added = arena_get(&c->arena, sizeof(*added)*(size_t)all->n);
  sqlite3_stmt *s;
  int n_removed = 0, n_added = 0;

  if( c->arena.oom ) return fail_nomem(&c->err);
  for(int i=0; i<all->n; i++){
    const struct note *note = &all->list[i];
    if( note->old ) removed[n_removed++] = (struct change){ .rowid = note->id, .vector = note->old };
    if( note->now ) added[n_added++] = (struct change){ .rowid = note->id, .vector = note->now, .keys = note->keys };
  }
  if( index_change(t->index, removed, n_removed, added, n_added, &c->err)!=SQLITE_OK ) return vtab_damaged(c);
  if( (s = store_statement(c, t, PENDING_DONE))==NULL ) return c->err.rc;
  sqlite3_bind_int64(s, 1, all->list[all->n-1].id);
  return store_do(c, s);
}

static int flush_some(struct call *c, struct vtab *t, int *n){
  struct notes all = { .most = pending_most(t) };
  struct arena_mark mark = arena_mark(&c->arena);

  all.list = arena_get(&c->arena, sizeof(*all.list)*(size_t)all.most);
  if( !all.list ) return fail_nomem(&c->err);
  if( read_notes(c, t, &all)==SQLITE_OK && all.n>0 && encode_kind(c, t, &all, KIND_TEXT)==SQLITE_OK && encode_kind(c, t, &all, KIND_PICTURE)==SQLITE_OK && change_index(c, t, &all)!=SQLITE_OK ){
    t->broken_depth = t->depth + 1;
  }
  *n = all.n;
  if( c->err.rc==SQLITE_OK ) arena_rewind(&c->arena, mark);
  return c->err.rc;
}

/* Outside a transaction nothing is pending, unless DROP TABLE was taken back by ROLLBACK TO: SQLite had forgotten by then that t was part of the transaction, and
** committed without asking. Looked for once a connection. */
static int pending_forgotten(struct call *c, struct vtab *t){
  sqlite3_stmt *s;

  if( t->knows_none || vtab_ready(c, t, 0)!=SQLITE_OK || !(s = store_statement(c, t, PENDING_LIST)) ) return c->err.rc;
  sqlite3_bind_int(s, 1, 1);
  if( store_step(c, s) ) fail(&c->err, SQLITE_ERROR, "rows wait for the index since a DROP TABLE was rolled back: INSERT INTO \"%s\"(\"%s\") VALUES('optimize') takes them in", t->name, t->name);
  sqlite3_reset(s);
  t->knows_none = c->err.rc==SQLITE_OK;
  return c->err.rc;
}

int pending_flush(struct call *c, struct vtab *t){
  sqlite3_int64 last = sqlite3_last_insert_rowid(t->db);
  int n = 1;

  /* After a ROLLBACK TO that took a change of the schema back, SQLite connects anew: what that one left pending is this one's too. */
  if( !t->in_transaction && sqlite3_get_autocommit(t->db) ) return pending_forgotten(c, t);
  if( vtab_ready(c, t, 0)!=SQLITE_OK ) return c->err.rc;
  while( n>0 && c->err.rc==SQLITE_OK && !run_stopped(&c->run) ) flush_some(c, t, &n);
  if( c->err.rc==SQLITE_OK ) t->n_pending = 0;
  sqlite3_set_last_insert_rowid(t->db, last);
  return c->err.rc;
}
