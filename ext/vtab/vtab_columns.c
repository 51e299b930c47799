/*
** vtab_columns.c -- what stands between the brackets of CREATE VIRTUAL TABLE t USING latent(...).
**
** Each argument is one of
**
**     name [TEXT]                           the content column: one, or none in a table with a width
**     name INTEGER|REAL|TEXT filter         a filter column
**     key = value                           content, content_rowid, triggers, width, metric, cell_rows
**
** where a name or a value is bare or quoted ("", '', ``, []). SQLite hands the arguments over as they were written, spaces and
** comments trimmed at neither end of a word for us, so that this file has its own reader of words.
*/
#include "vtab.h"
#include <string.h>

struct words {                  /* one argument, read from left to right */
  const char *at;
  const char *argument;         /* all of it, for messages */
  const char *table;
  struct arena *arena;
  struct err *err;
};

static int is_space(char c){
  return c==' ' || c=='\t' || c=='\n' || c=='\r' || c=='\f';
}
static int is_word(char c){
  return (c>='a' && c<='z') || (c>='A' && c<='Z') || (c>='0' && c<='9') || c=='_' || c=='$' || c=='.' || c=='-' || c=='+' || (c & 0x80);
}

/* The next word without its quotes; NULL at the end of the argument, or after noting a failure. */
static char *next_word(struct words *w){
  const char *from;
  char *word, quote, *to;

  while( is_space(*w->at) ) w->at++;
  if( !*w->at ) return NULL;
  word = to = arena_get(w->arena, strlen(w->at) + 1);
  if( word==NULL ){ fail_nomem(w->err); return NULL; }
  quote = *w->at=='[' ? ']' : *w->at;
  if( quote=='"' || quote=='\'' || quote=='`' || quote==']' ){
    for(w->at++; *w->at && (*w->at!=quote || w->at[1]==quote); ){
      if( *w->at==quote ){
        if( quote==']' ) break;
        w->at++;
      }
      *to++ = *w->at++;
    }
    if( *w->at ) w->at++;
  }else{
    for(from=w->at; is_word(*w->at); w->at++);
    if( w->at==from ) w->at++;          /* any other character is a word of its own */
    memcpy(to, from, (size_t)(w->at - from));
    to += w->at - from;
  }
  *to = 0;
  return word;
}

static int refuse(struct words *w, const char *why){
  return fail(w->err, SQLITE_ERROR, "%s: argument '%.80s' %s", w->table, w->argument, why);
}

/* ---- key = value ---- */

static int whole(const char *text, int least, int most, int *x){
  long long y = 0;
  const char *p = text;

  for(; *p>='0' && *p<='9' && y<=most; p++) y = y*10 + (*p - '0');
  *x = (int)y;
  return p>text && *p==0 && y>=least && y<=most;
}

static int read_value(struct definition *d, struct words *w, const char *key, char *value){
  if( sqlite3_stricmp(key, "content")==0 ){
    if( d->content ) return refuse(w, "comes twice");
    if( !*value ) return refuse(w, "names no table");
    d->content = value;
  }else if( sqlite3_stricmp(key, "content_rowid")==0 ){
    if( !*value ) return refuse(w, "names no column");
    d->content_rowid = value;
  }else if( sqlite3_stricmp(key, "triggers")==0 ){
    if( !whole(value, 0, 1, &d->has_triggers) ) return refuse(w, "is not triggers=0 or triggers=1");
  }else if( sqlite3_stricmp(key, "width")==0 ){
    if( !whole(value, 1, INDEX_WIDTH_MOST, &d->width) ) return refuse(w, "is not a whole number from 1 to 8192");
  }else if( sqlite3_stricmp(key, "metric")==0 ){
    if( sqlite3_stricmp(value, "cosine")!=0 ) return refuse(w, "is not metric=cosine, the only one there is");
  }else if( sqlite3_stricmp(key, "cell_rows")==0 ){
    if( !whole(value, 4, 65536, &d->cell_rows) ) return refuse(w, "is not a whole number from 4 to 65536");
  }else{
    return refuse(w, "has an unknown key; known keys: content, content_rowid, triggers, width, metric");
  }
  return SQLITE_OK;
}

/* ---- Columns ---- */

static int check_name(const struct definition *d, struct words *w, const char *name){
  static const char *const taken[] = { "options", "distance", "latent", "rowid", "_rowid_", "oid" };

  if( !*name || strchr(name, '?') ) return refuse(w, "has no name that a column can have");
  for(size_t i=0; i<sizeof(taken)/sizeof(taken[0]); i++){
    if( sqlite3_stricmp(name, taken[i])==0 ) return refuse(w, "has a name that the table gives to a column of its own");
  }
  if( sqlite3_stricmp(name, w->table)==0 ) return refuse(w, "has the name of the table, which is that of the column for queries");
  if( d->body && sqlite3_stricmp(name, d->body)==0 ) return refuse(w, "has a name that comes twice");
  for(int i=0; i<d->n_filters; i++){
    if( sqlite3_stricmp(name, d->filters[i].name)==0 ) return refuse(w, "has a name that comes twice");
  }
  return SQLITE_OK;
}

static int add_filter(struct definition *d, struct words *w, char *name, const char *type){
  static const char *const types[] = { [FILTER_INTEGER] = "INTEGER", [FILTER_REAL] = "REAL", [FILTER_TEXT] = "TEXT" };
  int i = 0;

  while( i<3 && sqlite3_stricmp(type, types[i])!=0 ) i++;
  if( i==3 && sqlite3_stricmp(type, "INT")==0 ) i = FILTER_INTEGER;
  if( i==3 ) return refuse(w, "is a filter of none of the types INTEGER, REAL and TEXT");
  if( d->n_filters==FILTERS_MOST ) return refuse(w, "is one filter column more than the 16 there may be");
  d->filters[d->n_filters++] = (struct filter){ name, (enum filter_type)i };
  return SQLITE_OK;
}

static int read_column(struct definition *d, struct words *w, char *name, char *second, char *third){
  if( check_name(d, w, name)!=SQLITE_OK ) return w->err->rc;
  if( third && sqlite3_stricmp(third, "filter")==0 ) return add_filter(d, w, name, second);
  if( second && sqlite3_stricmp(second, "filter")==0 ) return refuse(w, "lacks its type: write INTEGER, REAL or TEXT before filter");
  if( third || (second && sqlite3_stricmp(second, "TEXT")!=0) ) return refuse(w, "is neither a content column, nor name TYPE filter, nor key=value");
  if( d->body ) return refuse(w, "is a second content column: there is one; more go into the table as filters (name TYPE filter)");
  d->body = name;
  return SQLITE_OK;
}

static int read_argument(struct definition *d, struct words *w){
  char *words[4] = { 0 };

  for(int i=0; i<4; i++){
    words[i] = next_word(w);
    if( w->err->rc!=SQLITE_OK ) return w->err->rc;
    if( !words[i] ) break;
  }
  if( !words[0] ) return refuse(w, "is empty");
  if( words[1] && strcmp(words[1], "=")==0 ){
    if( !words[2] || words[3] ) return refuse(w, "is not key=value: a value of several words needs quotes");
    return read_value(d, w, words[0], words[2]);
  }
  if( words[3] ) return refuse(w, "is neither a content column, nor name TYPE filter, nor key=value");
  return read_column(d, w, words[0], words[1], words[2]);
}

/* What is right word by word, but not together. */
static int check_whole(const struct definition *d, const char *table, const struct words *w){
  struct err *e = w->err;
  const char *name = d->body ? d->body : "";

  if( d->body && d->width ) return fail(e, SQLITE_ERROR, "%s: both a content column (%.60s) and a width: a table holds content, encoded by the model, or "
                                        "vectors of a width", table, name);
  if( !d->body && !d->width ) return fail(e, SQLITE_ERROR, "%s: neither a content column nor a width: write latent(body) or latent(width=384)", table);
  if( d->content && !d->body ) return fail(e, SQLITE_ERROR, "%s: content='%.60s' without a content column", table, d->content);
  if( !d->content && d->content_rowid ) return fail(e, SQLITE_ERROR, "%s: content_rowid without content='a table'", table);
  if( d->content && sqlite3_stricmp(d->content, table)==0 ) return fail(e, SQLITE_ERROR, "%s: content='%.60s' is the table itself", table, d->content);
  return SQLITE_OK;
}

int definition_read(struct definition *d, const char *table, int argc, const char *const *argv, struct arena *a, struct err *e){
  struct words w = { .table = table, .arena = a, .err = e };

  memset(d, 0, sizeof(*d));
  d->has_triggers = 1;
  for(int i=3; i<argc; i++){
    w.at = w.argument = argv[i];
    if( read_argument(d, &w)!=SQLITE_OK ) return e->rc;
  }
  if( check_whole(d, table, &w)!=SQLITE_OK ) return e->rc;
  if( !d->content ) d->has_triggers = 0;
  if( d->content && !d->content_rowid ) d->content_rowid = "rowid";
  return SQLITE_OK;
}

void put_quoted(struct buf *out, const char *name){
  buf_char(out, '"');
  for(; *name; name++){
    if( *name=='"' ) buf_char(out, '"');
    buf_char(out, *name);
  }
  buf_char(out, '"');
}

void definition_columns(struct buf *out, const struct definition *d, const char *table){
  static const char *const types[] = { [FILTER_INTEGER] = " INTEGER", [FILTER_REAL] = " REAL", [FILTER_TEXT] = " TEXT" };

  if( d->body ){
    put_quoted(out, d->body);
    buf_str(out, ", ");
  }
  for(int i=0; i<d->n_filters; i++){
    put_quoted(out, d->filters[i].name);
    buf_str(out, types[d->filters[i].type]);
    buf_str(out, ", ");
  }
  put_quoted(out, table);
  buf_str(out, " HIDDEN, options HIDDEN, latent BLOB");
  buf_str(out, d->body ? " HIDDEN" : "");       /* vectors are what a table of vectors holds: SELECT * shows them */
  buf_str(out, ", distance REAL HIDDEN");
}
