/*
** vtab_words.c -- words=1: the words of the rows, in an FTS5 table beside them, t_words.
**
**     CREATE VIRTUAL TABLE t_words
**         USING fts5(body, tokenize='porter unicode61 remove_diacritics 2')
**
** With several content columns it has as many: body, body2, body3, ... (FTS5 takes no column that
** is called rank or rowid.) It has a row for each row of the table that has text, with the same
** rowid, and NULL for what is none. It keeps a copy of the text. Without the copy FTS5 would have
** to be told the old text of a row that changes. But where the content is another table's, that is
** gone by then; and nobody could check later that the words are those of the rows. (FTS5's
** contentless_delete=1 needs SQLite 3.43, and cannot be checked either.)
**
** SQLite allows nobody to write to a virtual table while a COMMIT asks the tables to sync, which is
** when rows are encoded. So t_words is written at once:
**
**     own content              with the row (vtab_write.c, vtab_update.c)
**     content elsewhere        when a row is noted as changed: what the content table says of it
**                              then. A later change of the row is noted anew
**
** t_words is the only virtual table that our statements use. A stranger's file could have another
** one in its place, to which SQLite would hand out more than to the schema. So words_verify() asks
** for exactly the definition above, and for real tables below it, without triggers of anybody's.
**
** A query is what people type. It becomes an FTS5 expression that cannot be wrong: each word in
** double quotes, joined by OR. What the user has put in double quotes stays a phrase. Words that
** very many rows have are left out where there are rarer ones.
*/
#include "vtab.h"
#include <stdlib.h>
#include <string.h>

/* fts5(body, tokenize='...') */
static void put_module(struct buf *out, const struct definition *d){
  buf_str(out, "fts5(");
  for(int i=0; i<d->n_bodies; i++) buf_printf(out, i ? "body%d, " : "body, ", i + 1);
  buf_str(out, "tokenize='porter unicode61 remove_diacritics 2')");
  buf_text(out);
}

/* ---- The table ---- */

int words_create(struct call *c, struct vtab *t){
  struct buf text = { 0 };
  if( !t->definition.has_words || c->err.rc!=SQLITE_OK ) return c->err.rc;
  buf_str(&text, "CREATE VIRTUAL TABLE $words USING ");
  put_module(&text, &t->definition);
  if( text.rc==SQLITE_OK ) store_run(c, t, text.data);
  else fail_nomem(&c->err);
  buf_release(&text);
  if( c->err.rc==SQLITE_ERROR && strstr(c->err.text, "no such module") ){
    err_clear(&c->err);
    fail(&c->err, SQLITE_ERROR, "words=1 needs FTS5, which this SQLite was built without: leave "
         "words=1 out, or take an SQLite that has it (SQLITE_ENABLE_FTS5)");
  }
  return c->err.rc;
}

int words_drop(struct call *c, struct vtab *t){
  if( !t->definition.has_words || c->err.rc!=SQLITE_OK ) return c->err.rc;
  store_idle(t);
  return store_run(c, t, "DROP TABLE IF EXISTS $words");
}

int words_rename(struct call *c, struct vtab *t, const char *name){
  if( !t->definition.has_words || c->err.rc!=SQLITE_OK ) return c->err.rc;
  store_idle(t);
  return store_run_as(c, t, name, "ALTER TABLE $words RENAME TO $t_words");
}

int words_verify(struct call *c, struct vtab *t){
  static const char text[] =
    "SELECT EXISTS(SELECT 1 FROM $schema.sqlite_schema WHERE type='table' AND name=?1"
    "  AND sql='CREATE VIRTUAL TABLE ' || ?2 || ' USING ' || ?3)"
    " AND NOT EXISTS(SELECT 1 FROM $schema.sqlite_schema WHERE tbl_name COLLATE NOCASE IN (?1,"
    "  ?1||'_data', ?1||'_idx', ?1||'_content', ?1||'_docsize', ?1||'_config')"
    "  AND tbl_name<>?1 AND NOT (type='table' AND rootpage>0)"
    "  AND NOT (type='index' AND sql IS NULL))";
  char *name;
  struct buf quoted = { 0 };
  struct buf module = { 0 };
  sqlite3_stmt *s;
  int rc = SQLITE_NOMEM;
  if( !t->definition.has_words || c->err.rc!=SQLITE_OK ) return c->err.rc;
  s = store_prepare(c, t, text);
  name = sqlite3_mprintf("%s_words", t->name);
  put_quoted(&quoted, name ? name : "");
  put_module(&module, &t->definition);
  if( s && name && quoted.rc==SQLITE_OK && module.rc==SQLITE_OK ){
    rc = sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    rc |= sqlite3_bind_text(s, 2, quoted.data, (int)quoted.n, SQLITE_STATIC);
    rc |= sqlite3_bind_text(s, 3, module.data, -1, SQLITE_STATIC);
  }
  if( rc!=SQLITE_OK ) fail_nomem(&c->err);
  if( store_step(c, s) && !sqlite3_column_int(s, 0) ){
    fail(&c->err, SQLITE_CORRUPT_VTAB, "the shadow table \"%.60s_words\", or one of its own, is "
         "not what this table has made", t->name);
  }
  sqlite3_finalize(s);
  sqlite3_free(name);
  buf_release(&quoted);
  buf_release(&module);
  return c->err.rc;
}

/* ---- Rows ---- */

static int is_text(sqlite3_value *v){
  int type = sqlite3_value_type(v);
  return type!=SQLITE_NULL && type!=SQLITE_BLOB;
}

/* How many of v[n_bodies] are text; v may be NULL. */
static int count_texts(const struct vtab *t, sqlite3_value *const *v){
  int n = 0;
  for(int i=0; v && i<t->definition.n_bodies; i++) n += is_text(v[i]);
  return n;
}

/* Binds those that are, from parameter 2 on. */
static void bind_texts(struct call *c, const struct vtab *t, sqlite3_stmt *s,
                       sqlite3_value *const *v){
  for(int i=0; i<t->definition.n_bodies; i++){
    if( is_text(v[i]) ) check_bound(c, sqlite3_bind_value(s, 2 + i, v[i]));
  }
}

/* Does a failure say that FTS5's tables are damaged? Some of its texts have no code for it. */
static int is_damage(const struct err *e){
  if( e->rc==SQLITE_CORRUPT_VTAB ) return 1;
  if( e->rc!=SQLITE_ERROR ) return 0;
  return strstr(e->text, "constructor failed") || strstr(e->text, "invalid fts5 file format");
}

/* Where t_words is damaged: what to do. */
static int say_remedy(struct call *c, const struct vtab *t){
  if( !is_damage(&c->err) ) return c->err.rc;
  err_clear(&c->err);
  return fail(&c->err, SQLITE_CORRUPT_VTAB, "the words in the shadow table %.60s_words are "
              "damaged: INSERT INTO \"%.60s\"(\"%.60s\") VALUES('rebuild') makes them anew",
              t->name, t->name, t->name);
}

int words_put(struct call *c, struct vtab *t, int64_t id, sqlite3_value *const *v){
  sqlite3_stmt *s;
  if( !t->definition.has_words || c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( count_texts(t, v)==0 ){
    store_do_at(c, t, WORDS_DELETE, id);
    return say_remedy(c, t);
  }
  s = store_statement(c, t, WORDS_PUT);
  if( s==NULL ) return c->err.rc;
  sqlite3_bind_int64(s, 1, id);
  bind_texts(c, t, s, v);
  store_do(c, s);
  return say_remedy(c, t);
}

int words_put_columns(struct call *c, struct vtab *t, int64_t id, sqlite3_stmt *s, int column){
  sqlite3_value *v[BODIES_MOST];
  if( !t->definition.has_words || c->err.rc!=SQLITE_OK ) return c->err.rc;
  column_values(v, s, column, t->definition.n_bodies);
  return words_put(c, t, id, v);
}

/* FTS5's tables as they are when it has made them. It cannot even be asked to 'rebuild' them where
** they are too damaged. */
static void clear_words(struct call *c, struct vtab *t){
  err_clear(&c->err);
  store_run(c, t, "REPLACE INTO $words_config VALUES('version', 4)");
  store_run(c, t, "DELETE FROM $words_data");
  store_run(c, t, "INSERT INTO $words_data VALUES(1, x''), (10, x'00000000000000')");
}

int words_rebuild(struct call *c, struct vtab *t){
  static const char rebuild[] = "INSERT INTO $words($t_words) VALUES('rebuild')";
  if( !t->definition.has_words ) return c->err.rc;
  store_run(c, t, "DELETE FROM $words_content");
  if( owns_content(&t->definition) ){
    store_run(c, t, "INSERT INTO $words_content(id$words_stored) SELECT id$own_texts FROM $rows"
                    " WHERE coalesce(NULL$own_texts) IS NOT NULL");
  }
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  store_run(c, t, rebuild);
  if( !is_damage(&c->err) ) return c->err.rc;
  clear_words(c, t);
  return store_run(c, t, rebuild);
}

/* ---- integrity-check ---- */

int words_check_row(struct call *c, struct vtab *t, int64_t id, sqlite3_stmt *row, int column,
                    struct buf *report){
  sqlite3_value *v[BODIES_MOST];
  sqlite3_stmt *s;
  int has_text, agrees;
  if( !t->definition.has_words ) return c->err.rc;
  s = store_statement(c, t, WORDS_SAME);
  if( s==NULL ) return c->err.rc;
  column_values(v, row, column, t->definition.n_bodies);
  has_text = count_texts(t, v)>0;
  sqlite3_bind_int64(s, 1, id);
  bind_texts(c, t, s, v);
  agrees = store_step(c, s) ? sqlite3_column_int(s, 0) && has_text : !has_text;
  store_do(c, s);
  if( c->err.rc==SQLITE_OK && !agrees ){
    buf_report_line(report, "row %lld: %.60s_words has other words than it: 'rebuild' makes them "
                    "anew", (long long)id, t->name);
  }
  return c->err.rc;
}

/* Rows that only t_words has. */
static void check_strays(struct call *c, struct vtab *t, struct buf *report){
  sqlite3_stmt *s = store_prepare(c, t, "SELECT id FROM $words_content WHERE id NOT IN"
                                        " (SELECT id FROM $rows) LIMIT 20");
  while( store_step(c, s) ){
    buf_report_line(report, "%.60s_words has words of a row %lld, which is not there: 'rebuild' "
                    "makes them anew", t->name, (long long)sqlite3_column_int64(s, 0));
  }
  sqlite3_finalize(s);
}

int words_check(struct call *c, struct vtab *t, int may_write, struct buf *report){
  if( !t->definition.has_words || c->err.rc!=SQLITE_OK ) return c->err.rc;
  words_verify(c, t);
  check_strays(c, t, report);
  if( may_write ) store_run(c, t, "INSERT INTO $words($t_words) VALUES('integrity-check')");
  return say_remedy(c, t);
}

/* ---- A query ---- */

/* How many bytes at text are a character that separates words; 0: a part of a word. General
** punctuation (U+2000..206F: dashes, curly quotes) separates as ASCII's does. */
static size_t separator(const char *text, size_t n){
  const unsigned char *s = (const unsigned char *)text;
  if( !is_word_part(s[0]) ) return 1;
  if( n<3 || s[0]!=0xE2 || (s[2] & 0xC0)!=0x80 ) return 0;
  return s[1]==0x80 || s[1]==0x81 ? 3 : 0;
}

enum {
  PHRASES_MOST = 100,           /* more say nothing new, and each costs time */
  ROWS_MOST = 10000             /* rows that all phrases have, taken together */
};
struct phrase {
  size_t at;                    /* in `texts`: "in double quotes", 0-terminated */
  sqlite3_int64 n_rows;         /* that have it: ROWS_MOST + 1 where there are more */
};
struct expression {
  struct phrase phrases[PHRASES_MOST];
  int n;
  struct buf texts;
  struct buf words;             /* of the phrase that is next, with a space between two */
  struct key_set seen;          /* hashes of the phrases' words */
};

static void add_phrase(struct expression *x){
  struct buf *p = &x->words;
  if( p->n>0 && x->n<PHRASES_MOST && key_set_add(&x->seen, hash64(p->data, p->n)) ){
    x->phrases[x->n++].at = x->texts.n;
    buf_char(&x->texts, '"');
    buf_append(&x->texts, p->data, p->n);
    buf_append(&x->texts, "\"", 2);     /* and the 0 */
  }
  p->n = 0;
}

/* The words of text[n], each by itself or all as one phrase. */
static void add_words(struct expression *x, const char *text, size_t n, int is_phrase){
  for(size_t i=0; i<n; ){
    size_t skipped = separator(text + i, n - i);
    if( skipped==0 ){
      buf_char(&x->words, (char)ascii_lower(text[i++]));
    }else{
      if( is_phrase ) buf_char(&x->words, ' ');
      else add_phrase(x);
      i += skipped;
    }
  }
  add_phrase(x);
}

static void read_phrases(struct call *c, struct expression *x, const char *text, size_t n){
  while( n>0 ){
    const char *open = memchr(text, '"', n);
    const char *close = NULL;
    if( open ) close = memchr(open + 1, '"', (size_t)(text + n - open - 1));
    add_words(x, text, close ? (size_t)(open - text) : n, 0);
    if( close==NULL ) break;
    add_words(x, open + 1, (size_t)(close - open - 1), 1);
    n -= (size_t)(close + 1 - text);
    text = close + 1;
  }
  if( x->texts.rc!=SQLITE_OK || x->words.rc!=SQLITE_OK || x->seen.oom ) fail_nomem(&c->err);
}

static int rarest_first(const void *a, const void *b){
  const struct phrase *x = a;
  const struct phrase *y = b;
  if( x->n_rows!=y->n_rows ) return x->n_rows<y->n_rows ? -1 : 1;
  return (x->at>y->at) - (x->at<y->at);
}

/* Leaves out the most frequent phrases, but for one, so that the others have ROWS_MOST rows in all:
** FTS5 takes 5 to 10 us to score a row. On SciFact that changes nothing (nDCG@10 0.745 either way;
** with 2,000 rows 0.739). */
static void leave_out_frequent(struct call *c, struct vtab *t, struct expression *x){
  sqlite3_stmt *s = store_prepare(c, t, "SELECT count(*) FROM (SELECT 1 FROM $words"
                                        " WHERE $t_words MATCH ?1 LIMIT ?2)");
  sqlite3_int64 sum = 0;
  int n = 0;
  for(int i=0; i<x->n && s; i++){
    check_bound(c, sqlite3_bind_text(s, 1, x->texts.data + x->phrases[i].at, -1, SQLITE_STATIC));
    sqlite3_bind_int(s, 2, ROWS_MOST + 1);
    if( store_step(c, s) ) x->phrases[i].n_rows = sqlite3_column_int64(s, 0);
    store_do(c, s);
  }
  sqlite3_finalize(s);
  qsort(x->phrases, (size_t)x->n, sizeof(*x->phrases), rarest_first);
  while( n<x->n && (n==0 || sum + x->phrases[n].n_rows<=ROWS_MOST) ) sum += x->phrases[n++].n_rows;
  x->n = n;
}

/* Appends what FTS5 is asked for; nothing: there is no word in the text. */
static void express(struct call *c, struct vtab *t, struct content text, struct buf *out){
  struct expression x = { 0 };
  int64_t n_rows = 0;
  read_phrases(c, &x, text.bytes, text.n);
  if( c->err.rc==SQLITE_OK ) index_rows(t->index, &n_rows, &c->err);
  if( vtab_damaged(c)==SQLITE_OK && x.n>1 && x.n*n_rows>ROWS_MOST ) leave_out_frequent(c, t, &x);
  for(int i=0; i<x.n && c->err.rc==SQLITE_OK; i++){
    if( i>0 ) buf_str(out, " OR ");
    buf_str(out, x.texts.data + x.phrases[i].at);
  }
  if( out->rc!=SQLITE_OK ) fail_nomem(&c->err);
  buf_release(&x.texts);
  buf_release(&x.words);
  key_set_release(&x.seen);
}

int words_find(struct call *c, struct vtab *t, struct content text, struct buf *hits){
  enum { HITS_A_TICK = 1024 };
  struct buf match = { 0 };
  sqlite3_stmt *s = NULL;
  int64_t n = 0;
  express(c, t, text, &match);
  if( match.n>0 ) s = store_prepare(c, t, "SELECT rowid, bm25($t_words) FROM $words"
                                          " WHERE $t_words MATCH ?1");
  if( s ) check_bound(c, sqlite3_bind_text(s, 1, match.data, (int)match.n, SQLITE_STATIC));
  while( store_step(c, s) ){
    struct found hit = {
      .rowid = sqlite3_column_int64(s, 0),
      .score = sqlite3_column_double(s, 1),
      .distance = UNKNOWN_DISTANCE,
    };
    if( ++n%HITS_A_TICK==0 && err_stopped(&c->err) ) break;
    buf_append(hits, &hit, sizeof(hit));
  }
  sqlite3_finalize(s);
  if( hits->rc!=SQLITE_OK ) fail_nomem(&c->err);
  buf_release(&match);
  return say_remedy(c, t);
}
