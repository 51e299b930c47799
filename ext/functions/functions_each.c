/*
** functions_each.c -- latent_encode_each(json) and latent_encode_each(table, column [, options]): a
** row for each text of an array, or for each row of a table, with its latent. latent_embed_each()
** does the same for latent_embed().
**
** It is latent_encode() of many at once: SQLite calls a scalar function for one row at a time, and
** the model is twice as fast in batches. The rows come from a statement on the same connection, and
** are read, encoded and given batch by batch, so memory does not grow with their number. A batch is
** at most BATCH_MOST values, and no value is added to BATCH_BYTES of them. The first batch is
** small, for statements with a LIMIT.
**
** The statement is prepared with SQLITE_PREPARE_NO_VTAB, as those of the virtual table are
** (vtab_store.c): the name of the table may come from data. It ends at the rowid that is the last
** one when it begins: so INSERT INTO notes SELECT ... FROM latent_encode_each('notes', 'body') ends
** too. json_each() reads the array.
*/
#include "functions.h"
#include <string.h>

enum {
  BATCH_FIRST = 32,
  BATCH_MOST = 512,
  BATCH_BYTES = 1 << 18
};

struct each {                   /* rows.state */
  sqlite3_stmt *s;              /* gives rowid or key, value, and of an array the type; owned */
  int is_json;
  int batch;                    /* the most values of the next batch */
  int kind;                     /* that options name; 0: none */
  int rounds;                   /* of refining */
  int is_query;                 /* the role of what is embedded */
};
struct item {                   /* a value that is to be encoded */
  sqlite3_int64 rowid;
  sqlite3_value *value;         /* owned */
  int kind;                     /* of content; 0: a latent, or NULL */
  struct latent z;
};
struct batch_items {
  struct item *list;            /* [n] of [BATCH_MOST] */
  int n;
};

void each_release(void *state){
  struct each *e = state;
  sqlite3_finalize(e->s);
  mem_free(e);
}

/* ---- Where the values come from ---- */

static void bind_json(struct call *c, sqlite3_stmt *s){
  if( s==NULL ) return;
  if( sqlite3_bind_value(s, 1, c->args[0])!=SQLITE_OK ) fail_nomem(&c->err);
}

/* At \u0000 SQLite's own functions would end a text, without a word. */
static int has_nul(struct content json){
  const char *at = json.bytes;
  for(size_t i=0; i+6<=json.n; i++){
    if( at[i]!='\\' ) continue;
    if( memcmp(at + i, "\\u0000", 6)==0 ) return 1;
    i++;                        /* what this one escapes may be another */
  }
  return 0;
}

/* Read by our own reader: json_valid() calls an array invalid when it is out of memory. */
int is_json_array(struct call *c, struct content text){
  struct err why = c->err;
  struct json j = json_of(text.bytes, text.n, "argument 1", &why);
  int is_array = json_next(&j)=='[';
  if( is_array ) json_skip(&j);
  json_close(&j);
  if( why.rc==SQLITE_NOMEM || why.rc==SQLITE_INTERRUPT ) c->err = why;
  if( is_array && has_nul(text) ){
    fail(&c->err, SQLITE_ERROR, "argument 1 has \\u0000 in a text, where SQLite's JSON would end "
         "it; expected texts without it");
  }
  return is_array && why.rc==SQLITE_OK;
}

static void open_json(struct call *c, struct each *e){
  static const char read[] = "SELECT key, atom, type FROM json_each(?1)";
  struct near t = { .call = c };
  struct content text = call_text(c, 0, "json");
  if( c->err.rc==SQLITE_OK && !is_json_array(c, text) ){
    fail(&c->err, SQLITE_ERROR, "argument 1 is no JSON array of texts; of a table, name the column "
         "too: %s(table, column)", c->function->name);
  }
  e->is_json = 1;
  e->s = nested_prepare(&t, sqlite3_mprintf(read));
  bind_json(c, e->s);
}

const char *rowid_name(struct near *t){
  static const char *const names[] = { "rowid", "_rowid_", "oid" };
  static const char sql[] =
    "SELECT 1 FROM pragma_table_xinfo(%Q, %Q) WHERE lower(name) = %Q";
  for(size_t i=0; i<sizeof(names)/sizeof(names[0]); i++){
    char *text = sqlite3_mprintf(sql, t->table, t->schema, names[i]);
    sqlite3_stmt *s = nested_prepare(t, text);
    int is_column = nested_step(t, s);
    sqlite3_finalize(s);
    if( !is_column ) return names[i];
  }
  fail(&t->call->err, SQLITE_ERROR, "the columns of \"%.100s\" have all the names of a rowid",
       t->table);
  return names[0];
}

static void refuse_table(struct near *t, const char *what){
  fail(&t->call->err, SQLITE_ERROR, "\"%.100s\" is %s, expected a table with rowids; "
       "SELECT latent_encode(...) reads this one", t->table, what);
}

/* s: the table's row of pragma_table_list. */
static void check_table(struct near *t, sqlite3_stmt *s){
  const char *type = (const char *)sqlite3_column_text(s, 2);
  if( type==NULL || t->call->err.rc!=SQLITE_OK ) fail_nomem(&t->call->err);
  else if( strcmp(type, "view")==0 ) refuse_table(t, "a view");
  else if( strcmp(type, "virtual")==0 ) refuse_table(t, "a virtual table");
  else if( sqlite3_column_int(s, 3) ) refuse_table(t, "a table WITHOUT ROWID");
}

/* Sets schema and table. */
static void find_table(struct near *t, const char *name){
  sqlite3_stmt *s = near_named(t, name, "1");
  if( s ) check_table(t, s);
  else fail(&t->call->err, SQLITE_ERROR, "no such table: %.100s", name);
  sqlite3_finalize(s);
}

static void open_table(struct call *c, struct each *e){
  static const char sql[] =
    "SELECT T.%s, T.\"%w\" FROM \"%w\".\"%w\" AS T "
    "WHERE T.%s <= (SELECT max(U.%s) FROM \"%w\".\"%w\" AS U) ORDER BY T.%s";
  struct near t = { .call = c };
  struct content name = call_text(c, 0, "table");
  struct content column = call_text(c, 1, "column");
  const char *id;
  char *text;
  if( c->err.rc==SQLITE_OK ) find_table(&t, name.bytes);
  if( c->err.rc!=SQLITE_OK ) return;
  id = rowid_name(&t);
  text = sqlite3_mprintf(sql, id, column.bytes, t.schema, t.table, id, id, t.schema, t.table, id);
  e->s = nested_prepare_with(&t, text, SQLITE_PREPARE_NO_VTAB);
}

/* ---- A batch ---- */

/* "row 7", or of an array "item 7": for messages. */
static const char *name_item(const struct each *e, const struct item *item, char out[40]){
  sqlite3_snprintf(40, out, "%s %lld", e->is_json ? "item" : "row", item->rowid);
  return out;
}

static void check_item(struct call *c, struct each *e, const struct item *item){
  const char *type = e->is_json ? (const char *)sqlite3_column_text(e->s, 2) : "text";
  char what[40];
  if( type==NULL ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK || strcmp(type, "text")==0 || strcmp(type, "null")==0 ) return;
  fail(&c->err, SQLITE_ERROR, "%s of the array is of type %.20s, expected text or null",
       name_item(e, item, what), type);
}

/* Sets the next one. False: there is none; the statement, which would begin again, goes. */
static int next_item(struct call *c, struct each *e, struct item *item){
  struct near t = { .call = c };
  if( e->s==NULL ) return 0;
  if( !nested_step(&t, e->s) ){
    sqlite3_finalize(e->s);
    e->s = NULL;
    return 0;
  }
  *item = (struct item){ .rowid = sqlite3_column_int64(e->s, 0) };
  check_item(c, e, item);
  item->value = sqlite3_value_dup(sqlite3_column_value(e->s, 1));
  if( item->value==NULL ) fail_nomem(&c->err);
  return item->value!=NULL;
}

static void read_items(struct call *c, struct each *e, struct batch_items *b){
  size_t bytes = 0;
  while( b->n<e->batch && bytes<BATCH_BYTES && next_item(c, e, &b->list[b->n]) ){
    sqlite3_value *v = b->list[b->n++].value;
    int type = sqlite3_value_type(v);
    if( type==SQLITE_TEXT || type==SQLITE_BLOB ) bytes += (size_t)sqlite3_value_bytes(v);
    if( err_stopped(&c->err) ) return;
  }
}

/* Encodes the content of one kind, all of it together. */
static void encode_kind(struct call *c, struct each *e, struct batch_items *b, int kind){
  struct content *contents = arena_get(&c->arena, (size_t)b->n*sizeof(*contents));
  struct latent *z = arena_get(&c->arena, (size_t)b->n*sizeof(*z));
  const struct model *m = NULL;
  char what[40], who[80];
  int n = 0;
  if( c->arena.oom ) fail_nomem(&c->err);
  for(int i=0; i<b->n && c->err.rc==SQLITE_OK; i++){
    struct item *item = &b->list[i];
    if( item->kind!=kind ) continue;
    name_item(e, item, what);
    m = value_content(c, item->value, kind, what, &contents[n++]);
  }
  if( c->err.rc!=SQLITE_OK || n==0 ) return;
  sqlite3_snprintf(sizeof(who), who, "a picture of rows %lld to %lld", b->list[0].rowid,
                   b->list[b->n-1].rowid);
  contents_encode(m, &c->run, contents, n, who, c->rounds, z);
  for(int i=b->n-1; i>=0 && c->err.rc==SQLITE_OK; i--){
    if( b->list[i].kind==kind ) b->list[i].z = z[--n];
  }
}

static void encode_items(struct call *c, struct each *e, struct batch_items *b){
  char what[40];
  for(int i=0; i<b->n && c->err.rc==SQLITE_OK; i++){
    struct item *item = &b->list[i];
    item->kind = value_kind(c, item->value);
    if( item->kind==0 ) item->z = value_latent(c, item->value, name_item(e, item, what));
  }
  for(int kind=KIND_TEXT; kind<=KIND_CODE && c->err.rc==SQLITE_OK; kind++){
    encode_kind(c, e, b, kind);
  }
}

/* The columns rowid, content, latent. */
static void give_item(struct call *c, const struct item *item, struct buf *blob, struct rows *r){
  rows_integer(r, item->rowid);
  rows_value(r, item->value);
  if( item->z.n_segments==0 ){
    rows_null(r);
    return;
  }
  blob->n = 0;
  latent_write(blob, &item->z, &c->err);
  check_buf(c, blob);
  if( c->err.rc==SQLITE_OK ) rows_blob(r, blob->data, blob->n);
}

static void items_begin(struct call *c, struct batch_items *b){
  *b = (struct batch_items){ .list = arena_get(&c->arena, BATCH_MOST*sizeof(*b->list)) };
  if( b->list==NULL ) fail_nomem(&c->err);
}

static void items_end(struct each *e, struct batch_items *b){
  for(int i=0; i<b->n; i++) sqlite3_value_free(b->list[i].value);
  e->batch = 4*e->batch<BATCH_MOST ? 4*e->batch : BATCH_MOST;
}

void encode_each_more(struct call *c, struct rows *r){
  struct each *e = r->state;
  struct buf blob = call_buf(c);
  struct batch_items b;
  c->kind = c->named = e->kind;
  c->rounds = e->rounds;
  items_begin(c, &b);
  if( c->err.rc==SQLITE_OK ) read_items(c, e, &b);
  encode_items(c, e, &b);
  for(int i=0; i<b.n && c->err.rc==SQLITE_OK; i++) give_item(c, &b.list[i], &blob, r);
  items_end(e, &b);
  buf_release(&blob);
}

/* Opens what is read, after e is set. */
static void open_source(struct call *c, struct each *e){
  if( call_has(c, 1) ) open_table(c, e);
  else open_json(c, e);
}

static struct each *each_begin(struct call *c, struct rows *r){
  struct each *e = mem_zeroed(sizeof(*e));
  r->state = e;
  if( e==NULL ) fail_nomem(&c->err);
  else e->batch = BATCH_FIRST;
  c->n_points = 0;              /* what is encoded is not among the arguments */
  return e;
}

void encode_each_fill(struct call *c, struct rows *r){
  struct each *e = each_begin(c, r);
  if( e==NULL ) return;
  call_options(c, 2);
  e->kind = c->named;
  e->rounds = c->rounds;
  open_source(c, e);
  if( c->err.rc==SQLITE_OK ) encode_each_more(c, r);
}

/* ---- latent_embed_each() ---- */

/* The texts of a batch: contents[returned]. Anything else but NULL is refused. */
static int list_texts(struct call *c, struct each *e, struct batch_items *b,
                      struct content *contents){
  char what[40], came[DESCRIBED];
  int n = 0;
  for(int i=0; i<b->n && c->err.rc==SQLITE_OK; i++){
    struct item *item = &b->list[i];
    int type = sqlite3_value_type(item->value);
    if( type==SQLITE_TEXT ) contents[n++] = value_bytes(c, item->value);
    if( type==SQLITE_TEXT || type==SQLITE_NULL ) continue;
    value_describe(item->value, came);
    fail(&c->err, SQLITE_ERROR, "%s is %s, expected text", name_item(e, item, what), came);
  }
  return n;
}

/* The columns rowid, content, vector. */
void embed_each_more(struct call *c, struct rows *r){
  struct content *texts = arena_get(&c->arena, BATCH_MOST*sizeof(*texts));
  const struct bert *encoder = call_encoder(c);
  struct each *e = r->state;
  struct buf vectors = { 0 };
  struct batch_items b;
  size_t at = 0, bytes = 0;
  int n = 0;
  items_begin(c, &b);
  if( c->err.rc==SQLITE_OK ) read_items(c, e, &b);
  if( c->arena.oom ) fail_nomem(&c->err);
  else n = list_texts(c, e, &b, texts);
  if( c->err.rc==SQLITE_OK ) embed_texts(c, encoder, e->is_query, texts, n, &vectors);
  check_buf(c, &vectors);
  if( n>0 ) bytes = vectors.n/(size_t)n;
  for(int i=0; i<b.n && c->err.rc==SQLITE_OK; i++){
    int is_null = sqlite3_value_type(b.list[i].value)==SQLITE_NULL;
    rows_integer(r, b.list[i].rowid);
    rows_value(r, b.list[i].value);
    if( is_null ) rows_null(r);
    else rows_blob(r, vectors.data + at, bytes);
    if( !is_null ) at += bytes;
  }
  items_end(e, &b);
  buf_release(&vectors);
}

void embed_each_fill(struct call *c, struct rows *r){
  struct each *e = each_begin(c, r);
  if( e==NULL ) return;
  e->is_query = call_is_query(c, 2);
  open_source(c, e);
  if( c->err.rc==SQLITE_OK ) embed_each_more(c, r);
}
