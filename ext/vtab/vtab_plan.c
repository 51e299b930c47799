/*
** vtab_plan.c -- which conditions of a statement reach the table (xBestIndex), and what they ask for (xFilter's arguments).
**
** idxNum is the way (enum plan_mode); idxStr says in words, an argument each, what xFilter will be given, and is what EXPLAIN QUERY PLAN shows:
**
**     MATCH ?  options=?  distance<?  rowid>=?  year>=?  lang IN ?  LIMIT ?  OFFSET ?
**
** Only MATCH and options are consumed: SQLite looks at every other condition again, row by row. So here a condition may let too much through,
** and LIMIT is but a hint how far to look.
*/
#include "vtab.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct { unsigned char op; const char *word; } OPS[] = {   /* the longer ones first: they are read back by their beginnings */
  { SQLITE_INDEX_CONSTRAINT_LE, "<=?" }, { SQLITE_INDEX_CONSTRAINT_LT, "<?" }, { SQLITE_INDEX_CONSTRAINT_GE, ">=?" },
  { SQLITE_INDEX_CONSTRAINT_GT, ">?" }, { SQLITE_INDEX_CONSTRAINT_EQ, "=?" }, { SQLITE_INDEX_CONSTRAINT_IS, " IS ?" },
  { SQLITE_INDEX_CONSTRAINT_ISNULL, " IS NULL ?" },
};
enum { N_OPS = sizeof(OPS)/sizeof(OPS[0]), OP_IN = 0 };

/* ---- xBestIndex ---- */

struct planning {
  const struct vtab *t;
  sqlite3_index_info *info;
  struct buf words;
  int n;                        /* arguments so far */
};

static const char *op_word(int op){
  for(int i=0; i<N_OPS; i++) if( OPS[i].op==op ) return OPS[i].word;
  return NULL;
}

static void use(struct planning *p, int i, int omit, const char *name, const char *word){
  p->info->aConstraintUsage[i].argvIndex = ++p->n;
  p->info->aConstraintUsage[i].omit = (unsigned char)omit;
  buf_printf(&p->words, "%s%s%s", p->words.n ? ", " : "", name, word);
}

/* The usable "column = ?" (or MATCH), or -1. *refused: there is one, but of a table that stands further right. */
static int find_equal(const struct planning *p, int column, int may_match, int *refused){
  int found = -1;

  for(int i=0; i<p->info->nConstraint; i++){
    const struct sqlite3_index_constraint *k = &p->info->aConstraint[i];
    if( k->iColumn!=column || (k->op!=SQLITE_INDEX_CONSTRAINT_EQ && !(may_match && k->op==SQLITE_INDEX_CONSTRAINT_MATCH)) ) continue;
    if( !k->usable ) *refused = 1;
    else if( found<0 ) found = i;
  }
  return found;
}

static int is_limit(int op){
  return op==SQLITE_INDEX_CONSTRAINT_LIMIT || op==SQLITE_INDEX_CONSTRAINT_OFFSET;
}

/* The distance is asked for in a condition or an order. */
static int asks_distance(const struct planning *p){
  int distance = hidden_at(&p->t->definition, HIDDEN_DISTANCE);

  for(int i=0; i<p->info->nConstraint; i++){
    if( !is_limit(p->info->aConstraint[i].op) && p->info->aConstraint[i].iColumn==distance ) return 1;
  }
  return p->info->nOrderBy>0 && p->info->aOrderBy[0].iColumn==distance;
}

/* One condition on a filter column, the rowid or the distance. */
static void use_condition(struct planning *p, int i, int searches){
  const struct definition *d = &p->t->definition;
  const struct sqlite3_index_constraint *k = &p->info->aConstraint[i];
  int at = k->iColumn - filter_at(d);
  const char *word = op_word(k->op), *name;
  int is_set;

  if( !k->usable || !word || is_limit(k->op) ) return;
  if( k->iColumn==hidden_at(d, HIDDEN_DISTANCE) ){
    if( searches && k->op!=SQLITE_INDEX_CONSTRAINT_GT && k->op!=SQLITE_INDEX_CONSTRAINT_GE && k->op!=SQLITE_INDEX_CONSTRAINT_ISNULL
     && !sqlite3_vtab_in(p->info, i, -1) ) use(p, i, 0, "distance", word);
    return;
  }
  if( k->iColumn>=0 && (!searches || at<0 || at>=d->n_filters) ) return;
  if( k->iColumn>=0 && d->filters[at].type==FILTER_TEXT ){
    const char *collation = sqlite3_vtab_collation(p->info, i);
    if( !collation || sqlite3_stricmp(collation, "BINARY")!=0 ) return;
  }
  name = k->iColumn<0 ? "rowid" : d->filters[at].name;
  is_set = k->op==SQLITE_INDEX_CONSTRAINT_EQ && sqlite3_vtab_in(p->info, i, -1);
  if( is_set && (!searches || i>31) ) return;
  if( is_set ) sqlite3_vtab_in(p->info, i, 1);
  use(p, i, 0, name, is_set ? " IN ?" : word);
}

/* All other conditions; LIMIT and OFFSET only where the table sees to the order and to every condition: else more rows will be pulled. */
static void use_rest(struct planning *p, int searches){
  int knows_all = searches && (p->info->nOrderBy==0 || p->info->orderByConsumed);

  for(int i=0; i<p->info->nConstraint; i++){
    if( p->info->aConstraintUsage[i].argvIndex>0 || is_limit(p->info->aConstraint[i].op) ) continue;
    use_condition(p, i, searches);
    if( p->info->aConstraintUsage[i].argvIndex==0 ) knows_all = 0;
  }
  for(int i=0; i<p->info->nConstraint && knows_all; i++){
    int op = p->info->aConstraint[i].op;
    if( is_limit(op) && p->info->aConstraint[i].usable ) use(p, i, 0, op==SQLITE_INDEX_CONSTRAINT_LIMIT ? "LIMIT" : "OFFSET", " ?");
  }
}

/* With a query: rows nearest first. The costs make the search the outer loop of a join, unless the other side is a row or two: otherwise the
** rows would come in that table's order. */
static void plan_search(struct planning *p, int query, int options){
  sqlite3_index_info *info = p->info;
  int refused = 0, row = find_equal(p, -1, 0, &refused);

  use(p, query, 1, "MATCH", " ?");
  if( options>=0 ) use(p, options, 1, "options", "=?");
  info->estimatedCost = 1e6;
  info->estimatedRows = 100;
  info->idxNum = PLAN_SEARCH;
  if( row>=0 && !sqlite3_vtab_in(info, row, -1) ){
    use(p, row, 0, "rowid", "=?");
    info->idxNum = PLAN_SEARCH_ROW;
    info->estimatedCost = 9e5;
    info->estimatedRows = 1;
  }
  info->orderByConsumed = info->nOrderBy==1 && !info->aOrderBy[0].desc && info->aOrderBy[0].iColumn==hidden_at(&p->t->definition, HIDDEN_DISTANCE);
  use_rest(p, 1);
}

/* Without one: by rowid. SQLITE_INDEX_SCAN_UNIQUE is never said: an UPDATE or DELETE of one row would then do without a statement journal, and
** a failure midway could not be taken back. */
static void plan_scan(struct planning *p){
  sqlite3_index_info *info = p->info;
  int refused = 0, row = find_equal(p, -1, 0, &refused);
  int by_rowid = info->nOrderBy==1 && info->aOrderBy[0].iColumn<0;

  info->idxNum = by_rowid && info->aOrderBy[0].desc ? PLAN_SCAN_DOWN : PLAN_SCAN;
  info->orderByConsumed = by_rowid;
  info->estimatedCost = 1e7;
  info->estimatedRows = 1000000;
  if( row>=0 ){
    use(p, row, 0, "rowid", "=?");
    info->idxNum = PLAN_ROW;
    info->estimatedCost = 10;
    info->estimatedRows = 1;
  }else{
    use_rest(p, 0);
    if( p->n>0 ) info->estimatedCost /= 4;
  }
}

/* The statement has a query, but it is not among the conditions: SQLite asks what one side of an OR would cost alone. That plan would lose
** the query, so it must be dearer than any other. (An UPDATE looks the same, as it uses all columns; there is no other plan then.) */
static int is_branch(const struct planning *p){
  int column = hidden_at(&p->t->definition, HIDDEN_QUERY);

  for(int i=0; i<p->info->nConstraint; i++){
    if( !is_limit(p->info->aConstraint[i].op) && p->info->aConstraint[i].iColumn==column ) return 0;
  }
  return (p->info->colUsed>>column & 1)!=0;
}

static int tell(struct planning *p, const char *format){
  struct vtab *t = (struct vtab*)p->t;

  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = sqlite3_mprintf(format, t->name, t->name);
  return t->base.zErrMsg ? SQLITE_ERROR : SQLITE_NOMEM;
}

int vtab_best_index(sqlite3_vtab *base, sqlite3_index_info *info){
  struct vtab *t = (struct vtab*)base;
  struct planning p = { .t = t, .info = info };
  int refused = 0, no_options = 0, third = 0;
  int query = find_equal(&p, hidden_at(&t->definition, HIDDEN_QUERY), 1, &refused);
  int options = find_equal(&p, hidden_at(&t->definition, HIDDEN_OPTIONS), 0, &no_options);

  if( query<0 && refused ) return SQLITE_CONSTRAINT;
  if( options<0 && no_options ) return SQLITE_CONSTRAINT;
  if( query<0 && options>=0 ) return tell(&p, "%s: options without a query: write \"%w\"(query, options)");
  if( query>=0 && find_equal(&p, hidden_at(&t->definition, HIDDEN_LATENT), 0, &third)>=0 ) third = 1;
  if( query>=0 && third ) return tell(&p, "%s: a third argument, or a condition on latent beside a query: \"%w\"(query [, options]) takes two");
  if( query<0 && !is_branch(&p) && asks_distance(&p) ) return tell(&p, "%s: a distance needs something to be distant from: write FROM \"%w\"(query) ... ORDER BY distance");
  if( query>=0 ) plan_search(&p, query, options);
  else plan_scan(&p);
  if( query<0 && is_branch(&p) ) info->estimatedCost = 1e30;
  buf_text(&p.words);
  info->idxStr = p.words.rc==SQLITE_OK ? sqlite3_mprintf("%s", p.words.data) : NULL;
  buf_release(&p.words);
  if( !info->idxStr ) return SQLITE_NOMEM;
  info->needToFreeIdxStr = 1;
  return SQLITE_OK;
}

/* ---- xFilter ---- */

/* An argument that is a number, as SQLite would compare it with one; 0 otherwise. */
static int as_number(sqlite3_value *v, double *x){
  int type = sqlite3_value_numeric_type(v);
  *x = sqlite3_value_double(v);
  return type==SQLITE_INTEGER || type==SQLITE_FLOAT;
}

/* The least and the greatest key of values equal to v; 0: SQLite alone knows what is equal. */
static int key_range(const struct vtab *t, enum filter_type type, sqlite3_value *v, int is_equal, uint64_t *low, uint64_t *high){
  double x;

  if( type!=FILTER_TEXT ){
    if( !as_number(v, &x) ) return 0;
    *low = *high = number_key(x);
    return 1;
  }
  if( sqlite3_value_type(v)!=SQLITE_TEXT || !sqlite3_value_text(v) ) return 0;
  if( is_equal ){
    *low = *high = filter_key(type, v);
    return 1;
  }
  *low = text_key_low((const char*)sqlite3_value_text(v), (size_t)sqlite3_value_bytes(v));
  *high = *low + TEXT_KEY_REST;
  return t->is_utf8;            /* other encodings order texts otherwise */
}

static struct term *add_term(struct call *c, struct arena *a, struct wish *w, int column){
  struct term *terms = arena_get(a, sizeof(*terms)*(size_t)(w->n_terms + 1));

  if( !terms ){ fail_nomem(&c->err); return NULL; }
  if( w->n_terms ) memcpy(terms, w->terms, sizeof(*terms)*(size_t)w->n_terms);
  w->terms = terms;
  terms[w->n_terms] = (struct term){ .column = column, .low = 0, .high = UINT64_MAX };
  return &terms[w->n_terms++];
}

static int by_key(const void *a, const void *b){
  uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  return (x>y) - (x<y);
}
static int by_rowid(const void *a, const void *b){
  int64_t x = *(const int64_t*)a, y = *(const int64_t*)b;
  return (x>y) - (x<y);
}

/* column IN (...). column -1: the rowid. A member that only SQLite can compare makes the whole condition SQLite's. */
static int read_set(struct call *c, const struct vtab *t, int column, sqlite3_value *list, struct arena *a, struct wish *w){
  struct buf keys = { 0 };
  sqlite3_value *v = NULL;
  uint64_t low, high;
  int known = 1, rc;
  struct term *term;
  uint64_t *set;

  for(rc=sqlite3_vtab_in_first(list, &v); rc==SQLITE_OK && v; rc=sqlite3_vtab_in_next(list, &v)){
    if( sqlite3_value_type(v)==SQLITE_NULL ) continue;
    if( column<0 ){
      if( sqlite3_value_numeric_type(v)!=SQLITE_INTEGER ) known = 0;
      low = (uint64_t)sqlite3_value_int64(v);
    }else if( !key_range(t, t->definition.filters[column].type, v, 1, &low, &high) ){
      known = 0;
      low = 0;
    }
    buf_append(&keys, &low, sizeof(low));
  }
  if( rc!=SQLITE_OK && rc!=SQLITE_DONE ) fail(&c->err, rc, "the list of an IN cannot be read");
  if( keys.rc!=SQLITE_OK || rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  if( c->err.rc==SQLITE_OK && known && keys.n==0 ) w->is_empty = 1;
  if( c->err.rc==SQLITE_OK && known && keys.n>0 && (set = arena_get(a, keys.n))!=NULL && (term = add_term(c, a, w, column))!=NULL ){
    memcpy(set, keys.data, keys.n);
    qsort(set, keys.n/sizeof(*set), sizeof(*set), column<0 ? by_rowid : by_key);
    term->set = set;
    term->n_set = (int)(keys.n/sizeof(*set));
  }
  if( a->oom ) fail_nomem(&c->err);
  buf_release(&keys);
  return c->err.rc;
}

static int read_filter(struct call *c, const struct vtab *t, int column, int op, sqlite3_value *v, struct arena *a, struct wish *w){
  int is_null = sqlite3_value_type(v)==SQLITE_NULL;
  int is_equal = op==SQLITE_INDEX_CONSTRAINT_EQ || op==SQLITE_INDEX_CONSTRAINT_IS;
  uint64_t low = 0, high = 0;
  struct term *term;

  if( op==SQLITE_INDEX_CONSTRAINT_ISNULL || (op==SQLITE_INDEX_CONSTRAINT_IS && is_null) ){
    term = add_term(c, a, w, column);
    if( term ) term->high = 0;
    return c->err.rc;
  }
  if( is_null ) w->is_empty = 1;        /* nothing is less than NULL, or equal to it */
  if( is_null || !key_range(t, t->definition.filters[column].type, v, is_equal, &low, &high) ) return SQLITE_OK;
  if( (term = add_term(c, a, w, column))==NULL ) return c->err.rc;
  term->low = 1;                        /* NULL is not */
  if( is_equal || op==SQLITE_INDEX_CONSTRAINT_GT || op==SQLITE_INDEX_CONSTRAINT_GE ) term->low = low;
  if( is_equal || op==SQLITE_INDEX_CONSTRAINT_LT || op==SQLITE_INDEX_CONSTRAINT_LE ) term->high = high;
  return SQLITE_OK;
}

static void read_rowid(int op, sqlite3_value *v, struct wish *w){
  int type = sqlite3_value_numeric_type(v);
  int is_equal = op==SQLITE_INDEX_CONSTRAINT_EQ || op==SQLITE_INDEX_CONSTRAINT_IS;
  double x = sqlite3_value_double(v);
  int64_t id = sqlite3_value_int64(v);  /* of a REAL: towards 0, or the nearest end */

  if( op==SQLITE_INDEX_CONSTRAINT_ISNULL || type==SQLITE_NULL ) w->is_empty = 1;
  if( type==SQLITE_FLOAT && is_equal && x!=(double)id ) w->is_empty = 1;
  if( type!=SQLITE_INTEGER && type!=SQLITE_FLOAT ){
    if( is_equal ) w->is_empty = 1;     /* no rowid is a text */
    return;
  }
  if( (is_equal || op==SQLITE_INDEX_CONSTRAINT_GT || op==SQLITE_INDEX_CONSTRAINT_GE) ){
    int64_t low = type==SQLITE_FLOAT && x<0 && id>INT64_MIN && !is_equal ? id-1 : id;
    if( low>w->low ) w->low = low;
  }
  if( (is_equal || op==SQLITE_INDEX_CONSTRAINT_LT || op==SQLITE_INDEX_CONSTRAINT_LE) ){
    int64_t high = type==SQLITE_FLOAT && x>0 && id<INT64_MAX && !is_equal ? id+1 : id;
    if( high<w->high ) w->high = high;
  }
}

static void read_distance(int op, sqlite3_value *v, struct wish *w){
  double x;

  if( sqlite3_value_type(v)==SQLITE_NULL && op!=SQLITE_INDEX_CONSTRAINT_IS ) w->is_empty = 1;
  if( as_number(v, &x) && x<w->farthest ) w->farthest = x;
}

/* Does `word` begin with name? Then what follows it. */
static const char *after(const char *word, const char *name){
  size_t n = strlen(name);
  return strncmp(word, name, n)==0 ? word + n : NULL;
}
static int op_of(const char *rest){
  if( strncmp(rest, " IN ?", 5)==0 ) return OP_IN;
  for(int i=0; i<N_OPS; i++){
    size_t n = strlen(OPS[i].word);
    if( strncmp(rest, OPS[i].word, n)==0 && (!rest[n] || rest[n]==',') ) return OPS[i].op;
  }
  return -1;
}

static int read_hint(sqlite3_value *v, int64_t *k){
  *k = sqlite3_value_type(v)==SQLITE_INTEGER ? sqlite3_value_int64(v) : -1;
  return SQLITE_OK;
}

static int read_word(struct call *c, const struct vtab *t, const char *word, sqlite3_value *v, struct arena *a, struct wish *w, int64_t *limit, int64_t *offset){
  const struct definition *d = &t->definition;
  const char *rest;
  int op;

  if( after(word, "MATCH ?") ){ w->query = v; return SQLITE_OK; }
  if( after(word, "LIMIT ?") ) return read_hint(v, limit);
  if( after(word, "OFFSET ?") ) return read_hint(v, offset);
  for(int i=0; i<d->n_filters; i++){
    rest = after(word, d->filters[i].name);
    if( !rest || (op = op_of(rest))<0 ) continue;
    return op==OP_IN ? read_set(c, t, i, v, a, w) : read_filter(c, t, i, op, v, a, w);
  }
  if( (rest = after(word, "options"))!=NULL ){
    w->options = v;
  }else if( (rest = after(word, "rowid"))!=NULL && (op = op_of(rest))>=0 ){
    if( op==OP_IN ) return read_set(c, t, -1, v, a, w);
    read_rowid(op, v, w);
  }else if( (rest = after(word, "distance"))!=NULL && (op = op_of(rest))>0 ){
    read_distance(op, v, w);
  }
  return SQLITE_OK;
}

int plan_read(struct call *c, const struct vtab *t, const char *plan_text, int n, sqlite3_value **args, struct arena *a, struct wish *w){
  int64_t limit = -1, offset = 0;
  struct term *term;

  *w = (struct wish){ .low = INT64_MIN, .high = INT64_MAX, .farthest = INFINITY };
  for(int i=0; i<n && plan_text && c->err.rc==SQLITE_OK; i++){
    const char *mark;
    read_word(c, t, plan_text, args[i], a, w, &limit, &offset);
    mark = strchr(plan_text, '?');      /* no name has one */
    plan_text = mark && mark[1] ? mark + 3 : NULL;
  }
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( limit>=0 && limit<1000000000 && offset<1000000000 ) w->k = limit + (offset>0 ? offset : 0);
  if( w->low>w->high ) w->is_empty = 1;
  if( (w->low>INT64_MIN || w->high<INT64_MAX) && (term = add_term(c, a, w, -1))!=NULL ){
    term->low = (uint64_t)w->low;
    term->high = (uint64_t)w->high;
  }
  return c->err.rc;
}
