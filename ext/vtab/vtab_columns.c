/*
** vtab_columns.c -- what stands between the brackets of CREATE VIRTUAL TABLE t USING latent(...).
**
** Each argument is one of
**
**     name [TEXT]                      a content column; none in a table with a width
**     name INTEGER|REAL|TEXT filter    a filter column; `partition`: one whose value every search
**                                      must say
**     key = value                      content, content_rowid, triggers, words, strict, width,
**                                      metric, cell_rows
**
** A name or a value is bare or quoted ("", '', ``, []). SQLite hands the arguments over as they
** were written, with quotes, spaces and comments, so this file has its own reader of words.
*/
#include "vtab.h"
#include <string.h>

struct words {                  /* one argument, read from left to right */
  const char *at;               /* the rest of it */
  const char *argument;         /* all of it, for messages */
  const char *table;            /* the table's name, for messages */
  struct arena *arena;          /* of the words */
  struct err *err;
};

static int is_word(char c){
  if( is_word_part(c) ) return 1;
  return c!=0 && strchr("_$.-+", c);
}

/* Copies a quoted word to `to` without its quotes; w stands on the first of them. A quote within
** the word is doubled, except in []. Returns the end of the copy. */
static char *copy_quoted(struct words *w, char *to){
  char quote = *w->at=='[' ? ']' : *w->at;
  for(w->at++; *w->at; ){
    if( *w->at==quote ){
      if( w->at[1]!=quote || quote==']' ) break;
      w->at++;
    }
    *to++ = *w->at++;
  }
  if( *w->at ) w->at++;
  return to;
}

/* The next word without its quotes; NULL at the end of the argument, or after noting a failure. */
static char *next_word(struct words *w){
  const char *from;
  char *word;
  char *to;
  while( is_sql_space(*w->at) ) w->at++;
  if( *w->at==0 ) return NULL;
  word = to = arena_get(w->arena, strlen(w->at) + 1);
  if( word==NULL ){
    fail_nomem(w->err);
    return NULL;
  }
  if( strchr("\"'`[]", *w->at) ){
    to = copy_quoted(w, to);
  }else{
    from = w->at;
    while( is_word(*w->at) ) w->at++;
    if( w->at==from ) w->at++;          /* any other character is a word of its own */
    memcpy(to, from, (size_t)(w->at - from));
    to += w->at - from;
  }
  *to = 0;
  return word;
}

static int bad_argument(struct words *w, const char *why){
  return fail(w->err, SQLITE_ERROR, "%s: argument '%.80s' %s", w->table, w->argument, why);
}

/* ---- key = value ---- */

/* A whole number in these limits: true, and *x. */
static int read_whole(const char *text, int least, int most, int *x){
  long long y = 0;
  const char *p;
  for(p=text; *p>='0' && *p<='9' && y<=most; p++) y = y*10 + (*p - '0');
  *x = (int)y;
  return p>text && *p==0 && y>=least && y<=most;
}

static int read_value(struct definition *d, struct words *w, const char *key, char *value){
  if( sqlite3_stricmp(key, "content")==0 ){
    if( d->content ) return bad_argument(w, "comes twice");
    if( *value==0 ) return bad_argument(w, "names no table");
    d->content = value;
  }else if( sqlite3_stricmp(key, "content_rowid")==0 ){
    if( *value==0 ) return bad_argument(w, "names no column");
    d->content_rowid = value;
  }else if( sqlite3_stricmp(key, "model")==0 ){
    if( *value==0 || *value=='.' || strchr(value, '/') ){
      return bad_argument(w, "is not the name of a sentence encoder, which is that of its folder");
    }
    d->model = value;
  }else if( sqlite3_stricmp(key, "triggers")==0 ){
    if( !read_whole(value, 0, 1, &d->has_triggers) ){
      return bad_argument(w, "is not triggers=0 or triggers=1");
    }
  }else if( sqlite3_stricmp(key, "words")==0 ){
    if( !read_whole(value, 0, 1, &d->has_words) ){
      return bad_argument(w, "is not words=0 or words=1");
    }
  }else if( sqlite3_stricmp(key, "strict")==0 ){
    if( !read_whole(value, 0, 1, &d->is_strict) ){
      return bad_argument(w, "is not strict=0 or strict=1");
    }
  }else if( sqlite3_stricmp(key, "width")==0 ){
    if( !read_whole(value, 1, INDEX_WIDTH_MOST, &d->width) ){
      return bad_argument(w, "is not a whole number from 1 to 8192");
    }
  }else if( sqlite3_stricmp(key, "metric")==0 ){
    if( sqlite3_stricmp(value, "cosine")!=0 ){
      return bad_argument(w, "is not metric=cosine, the only one there is");
    }
  }else if( sqlite3_stricmp(key, "cell_rows")==0 ){
    if( !read_whole(value, 4, 65536, &d->cell_rows) ){
      return bad_argument(w, "is not a whole number from 4 to 65536");
    }
  }else{
    return bad_argument(w, "has an unknown key; known keys: content, content_rowid, model, "
                        "triggers, words, strict, width, metric");
  }
  return SQLITE_OK;
}

/* ---- name [TYPE [filter|partition]] ---- */

static const char *const FILTER_TYPES[] = {
  [FILTER_INTEGER] = "INTEGER", [FILTER_REAL] = "REAL", [FILTER_TEXT] = "TEXT"
};
enum { N_FILTER_TYPES = sizeof(FILTER_TYPES)/sizeof(FILTER_TYPES[0]) };

/* The table has a column of this name already. */
static int is_taken(const char *name){
  static const char *const taken[] = {
    "options", "distance", "latent", "rowid", "_rowid_", "oid"
  };
  for(size_t i=0; i<sizeof(taken)/sizeof(taken[0]); i++){
    if( sqlite3_stricmp(name, taken[i])==0 ) return 1;
  }
  return 0;
}

static int check_name(const struct definition *d, struct words *w, const char *name){
  if( *name==0 || strchr(name, '?') ) return bad_argument(w, "has no name that a column can have");
  if( is_taken(name) ){
    return bad_argument(w, "has a name that the table gives to a column of its own");
  }
  if( sqlite3_stricmp(name, w->table)==0 ){
    return bad_argument(w, "has the name of the table, which is that of the column for queries");
  }
  for(int i=0; i<d->n_bodies; i++){
    if( sqlite3_stricmp(name, d->bodies[i])==0 ){
      return bad_argument(w, "has a name that comes twice");
    }
  }
  for(int i=0; i<d->n_filters; i++){
    if( sqlite3_stricmp(name, d->filters[i].name)==0 ){
      return bad_argument(w, "has a name that comes twice");
    }
  }
  return SQLITE_OK;
}

static int is_filter(const char *word){
  return word && (sqlite3_stricmp(word, "filter")==0 || sqlite3_stricmp(word, "partition")==0);
}

static int add_filter(struct definition *d, struct words *w, char *name, const char *type,
                      const char *what){
  int is_partition = sqlite3_stricmp(what, "partition")==0;
  int i = 0;
  while( i<N_FILTER_TYPES && sqlite3_stricmp(type, FILTER_TYPES[i])!=0 ) i++;
  if( sqlite3_stricmp(type, "INT")==0 ) i = FILTER_INTEGER;
  if( i==N_FILTER_TYPES ){
    return bad_argument(w, "is a filter of none of the types INTEGER, REAL and TEXT");
  }
  if( d->n_filters==FILTERS_MOST ){
    return bad_argument(w, "is one filter column more than the 16 there may be");
  }
  d->filters[d->n_filters++] = (struct filter){ name, (enum filter_type)i, is_partition };
  d->n_partitions += is_partition;
  return SQLITE_OK;
}

/* second, third: NULL where the argument has fewer words. */
static int read_column(struct definition *d, struct words *w, char *name, char *second,
                       char *third){
  if( check_name(d, w, name)!=SQLITE_OK ) return w->err->rc;
  if( is_filter(third) ) return add_filter(d, w, name, second, third);
  if( is_filter(second) ){
    int is_partition = sqlite3_stricmp(second, "partition")==0;
    return bad_argument(w, is_partition ? "lacks its type: write INTEGER, REAL or TEXT before "
                        "partition" : "lacks its type: write INTEGER, REAL or TEXT before filter");
  }
  if( third || (second && sqlite3_stricmp(second, "TEXT")!=0) ){
    return bad_argument(w, "is neither a content column, nor name TYPE filter, nor key=value");
  }
  if( d->n_bodies==BODIES_MOST ){
    return bad_argument(w, "is one content column more than the 16 there may be");
  }
  d->bodies[d->n_bodies++] = name;
  return SQLITE_OK;
}

/* ---- Columns of a later version ----
** A table that was made before there were such columns may have one of that name. */

/* The user's column of a name: its number; -1: there is none. */
static int user_column(const struct definition *d, const char *name){
  for(int i=0; i<d->n_bodies; i++){
    if( sqlite3_stricmp(d->bodies[i], name)==0 ) return i;
  }
  for(int i=0; i<d->n_filters; i++){
    if( sqlite3_stricmp(d->filters[i].name, name)==0 ) return filter_at(d) + i;
  }
  return sqlite3_stricmp(d->table, name)==0 ? hidden_at(d, HIDDEN_QUERY) : -1;
}

int passage_at(const struct definition *d){
  if( d->n_bodies==0 || user_column(d, "passage")>=0 ) return -1;
  return hidden_at(d, HIDDEN_DISTANCE) + 1;
}

static int rank_is_late(const struct definition *d){
  return user_column(d, "rank")<0;
}

int rank_at(const struct definition *d){
  if( !rank_is_late(d) ) return user_column(d, "rank");
  return hidden_at(d, HIDDEN_DISTANCE) + 1 + (passage_at(d)>=0);
}

int count_columns(const struct definition *d){
  return hidden_at(d, HIDDEN_DISTANCE) + 1 + (passage_at(d)>=0) + rank_is_late(d);
}

void definition_late_columns(struct buf *out, const struct definition *d){
  if( passage_at(d)>=0 ) buf_str(out, ", passage TEXT HIDDEN");
  if( rank_is_late(d) ) buf_str(out, ", rank HIDDEN");
}

/* ---- The whole ---- */

static int read_argument(struct definition *d, struct words *w){
  char *words[4] = { NULL };
  for(int i=0; i<4; i++){
    words[i] = next_word(w);
    if( words[i]==NULL ) break;
  }
  if( w->err->rc!=SQLITE_OK ) return w->err->rc;
  if( words[0]==NULL ) return bad_argument(w, "is empty");
  if( words[1] && strcmp(words[1], "=")==0 ){
    if( words[2]==NULL || words[3] ){
      return bad_argument(w, "is not key=value: a value of several words needs quotes");
    }
    return read_value(d, w, words[0], words[2]);
  }
  if( words[3] ){
    return bad_argument(w, "is neither a content column, nor name TYPE filter, nor key=value");
  }
  return read_column(d, w, words[0], words[1], words[2]);
}

/* Arguments that are right one by one, but not together. */
static int check_together(const struct definition *d, const char *table, struct err *e){
  int has_body = d->n_bodies>0;
  const char *name = has_body ? d->bodies[0] : "";
  if( has_body && d->width ){
    return fail(e, SQLITE_ERROR, "%s: both a content column (%.60s) and a width: a table holds "
                "content, encoded by the model, or vectors of a width", table, name);
  }
  if( !has_body && d->width==0 ){
    return fail(e, SQLITE_ERROR, "%s: neither a content column nor a width: write latent(body) or "
                "latent(width=384)", table);
  }
  if( d->model && !has_body ){
    return fail(e, SQLITE_ERROR, "%s: model='%.60s' without a content column: a table of vectors "
                "knows no model", table, d->model);
  }
  if( d->has_words && !has_body ){
    return fail(e, SQLITE_ERROR, "%s: words=1 without a content column: a table of vectors has no "
                "words", table);
  }
  if( d->content && !has_body ){
    return fail(e, SQLITE_ERROR, "%s: content='%.60s' without a content column", table, d->content);
  }
  if( d->content==NULL && d->content_rowid ){
    return fail(e, SQLITE_ERROR, "%s: content_rowid without content='a table'", table);
  }
  if( d->content && sqlite3_stricmp(d->content, table)==0 ){
    return fail(e, SQLITE_ERROR, "%s: content='%.60s' is the table itself", table, d->content);
  }
  return SQLITE_OK;
}

int definition_read(struct definition *d, const char *table, int argc, const char *const *argv,
                    struct arena *a, struct err *e){
  struct words w = { .table = table, .arena = a, .err = e };
  *d = (struct definition){ .table = table, .has_triggers = 1 };
  if( is_taken(table) ){
    return fail(e, SQLITE_ERROR, "%s: the column for queries is called like the table, and a "
                "column \"%s\" is there already: give the table another name", table, table);
  }
  for(int i=3; i<argc; i++){
    w.at = w.argument = argv[i];
    if( read_argument(d, &w)!=SQLITE_OK ) return e->rc;
  }
  if( check_together(d, table, e)!=SQLITE_OK ) return e->rc;
  if( d->content==NULL ) d->has_triggers = 0;
  if( d->content && d->content_rowid==NULL ) d->content_rowid = "rowid";
  return SQLITE_OK;
}

void definition_columns(struct buf *out, const struct definition *d, const char *table){
  for(int i=0; i<d->n_bodies; i++){
    put_quoted(out, d->bodies[i]);
    buf_str(out, ", ");
  }
  for(int i=0; i<d->n_filters; i++){
    put_quoted(out, d->filters[i].name);
    buf_printf(out, " %s, ", FILTER_TYPES[d->filters[i].type]);
  }
  put_quoted(out, table);
  buf_str(out, " HIDDEN, options HIDDEN, latent BLOB");
  if( d->n_bodies>0 ) buf_str(out, " HIDDEN");  /* SELECT * shows the vectors of a foreign table */
  buf_str(out, ", distance REAL HIDDEN");
}
