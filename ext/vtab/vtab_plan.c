/*
** vtab_plan.c -- which conditions of a statement reach the table (xBestIndex), and what they say
** (xFilter's arguments).
**
** idxNum is the way to answer (enum plan_mode). idxStr says in words what xFilter will be given, a
** word an argument, and is what EXPLAIN QUERY PLAN shows:
**
**     MATCH ?, options=?, distance<?, rowid>=?, year>=?, lang IN ?, LIMIT ?, OFFSET ?
**
** Only MATCH and options are consumed: SQLite checks every other condition again, row by row. So
** here a condition may let too much through, and LIMIT is only a hint how far to look.
*/
#include "vtab.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {                          /* short names for SQLite's */
  OP_EQ = SQLITE_INDEX_CONSTRAINT_EQ,
  OP_LT = SQLITE_INDEX_CONSTRAINT_LT,
  OP_LE = SQLITE_INDEX_CONSTRAINT_LE,
  OP_GT = SQLITE_INDEX_CONSTRAINT_GT,
  OP_GE = SQLITE_INDEX_CONSTRAINT_GE,
  OP_IS = SQLITE_INDEX_CONSTRAINT_IS,
  OP_IS_NULL = SQLITE_INDEX_CONSTRAINT_ISNULL,
  OP_MATCH = SQLITE_INDEX_CONSTRAINT_MATCH,
  OP_LIMIT = SQLITE_INDEX_CONSTRAINT_LIMIT,
  OP_OFFSET = SQLITE_INDEX_CONSTRAINT_OFFSET,
  OP_IN = 0                     /* SQLite has none: it is EQ, and sqlite3_vtab_in() tells */
};
static const struct { int op; const char *word; } OPS[] = {
  { OP_LE, "<=?" },
  { OP_LT, "<?" },
  { OP_GE, ">=?" },
  { OP_GT, ">?" },
  { OP_EQ, "=?" },
  { OP_IS, " IS ?" },
  { OP_IS_NULL, " IS NULL ?" },
  { OP_IN, " IN ?" },
};
enum { N_OPS = sizeof(OPS)/sizeof(OPS[0]), ROWID = -1 };

/* NULL: the table has no use for such a condition. */
static const char *op_word(int op){
  for(int i=0; i<N_OPS; i++){
    if( OPS[i].op==op ) return OPS[i].word;
  }
  return NULL;
}

static int is_equality(int op){
  return op==OP_EQ || op==OP_IS;
}

static int bounds_below(int op){
  return is_equality(op) || op==OP_GT || op==OP_GE;
}

static int bounds_above(int op){
  return is_equality(op) || op==OP_LT || op==OP_LE;
}

static int is_limit(int op){
  return op==OP_LIMIT || op==OP_OFFSET;
}

/* ---- xBestIndex ---- */

struct planning {
  const struct vtab *t;
  sqlite3_index_info *info;
  struct buf words;             /* idxStr */
  int n;                        /* arguments so far */
};

/* Condition i becomes the next argument of xFilter. */
static void use(struct planning *p, int i, int omit, const char *name, const char *word){
  p->info->aConstraintUsage[i].argvIndex = ++p->n;
  p->info->aConstraintUsage[i].omit = (unsigned char)omit;
  buf_printf(&p->words, "%s%s%s", p->words.n ? ", " : "", name, word);
}

static int is_used(const struct planning *p, int i){
  return p->info->aConstraintUsage[i].argvIndex>0;
}

/* The usable "column = ?" (or MATCH), or -1. *unusable: set where there is one that compares with a
** table further right in the join. */
static int find_equal(const struct planning *p, int column, int may_match, int *unusable){
  int found = -1;
  for(int i=0; i<p->info->nConstraint; i++){
    const struct sqlite3_index_constraint *k = &p->info->aConstraint[i];
    if( k->iColumn!=column ) continue;
    if( k->op!=OP_EQ && !(may_match && k->op==OP_MATCH) ) continue;
    if( !k->usable ) *unusable = 1;
    else if( found<0 ) found = i;
  }
  return found;
}

/* Is there a condition on the column? (LIMIT and OFFSET have a column that means nothing.) */
static int has_condition(const struct planning *p, int column){
  for(int i=0; i<p->info->nConstraint; i++){
    const struct sqlite3_index_constraint *k = &p->info->aConstraint[i];
    if( !is_limit(k->op) && k->iColumn==column ) return 1;
  }
  return 0;
}

/* Only upper bounds on the distance are of use. */
static void use_distance(struct planning *p, int i){
  int op = p->info->aConstraint[i].op;
  if( !bounds_above(op) || sqlite3_vtab_in(p->info, i, -1) ) return;
  use(p, i, 0, "distance", op_word(op));
}

/* Keys order texts by their bytes: other collations are SQLite's. */
static int is_binary(const struct planning *p, int i){
  const char *collation = sqlite3_vtab_collation(p->info, i);
  return collation && sqlite3_stricmp(collation, "BINARY")==0;
}

/* One condition on a filter column, the rowid or the distance. */
static void use_condition(struct planning *p, int i, int searches){
  enum { SETS_BELOW = 32 };              /* sqlite3_vtab_in() knows the first 32 conditions */
  const struct definition *d = &p->t->definition;
  const struct sqlite3_index_constraint *k = &p->info->aConstraint[i];
  const char *word = op_word(k->op);
  const char *name = "rowid";
  if( !k->usable || word==NULL || is_limit(k->op) ) return;
  if( k->iColumn==hidden_at(d, HIDDEN_DISTANCE) ){
    if( searches ) use_distance(p, i);
    return;
  }
  if( k->iColumn>=0 ){
    int filter = k->iColumn - filter_at(d);
    if( !searches || filter<0 || filter>=d->n_filters ) return;
    if( d->filters[filter].type==FILTER_TEXT && !is_binary(p, i) ) return;
    name = d->filters[filter].name;
  }
  if( k->op==OP_EQ && sqlite3_vtab_in(p->info, i, -1) ){
    if( !searches || i>=SETS_BELOW ) return;
    sqlite3_vtab_in(p->info, i, 1);
    word = op_word(OP_IN);
  }
  use(p, i, 0, name, word);
}

/* All other conditions. LIMIT and OFFSET are used only where the table sees to the order and to
** every condition: else more rows will be pulled. They change how the search goes about it, never
** the order of the rows. */
static void use_rest(struct planning *p, int searches){
  sqlite3_index_info *info = p->info;
  int knows_all = searches && (info->nOrderBy==0 || info->orderByConsumed);
  for(int i=0; i<info->nConstraint; i++){
    if( is_used(p, i) || is_limit(info->aConstraint[i].op) ) continue;
    use_condition(p, i, searches);
    if( !is_used(p, i) ) knows_all = 0;
  }
  for(int i=0; i<info->nConstraint && knows_all; i++){
    int op = info->aConstraint[i].op;
    if( !is_limit(op) || !info->aConstraint[i].usable ) continue;
    use(p, i, 0, op==OP_LIMIT ? "LIMIT" : "OFFSET", " ?");
  }
}

/* ORDER BY distance, or distance, rowid: rows as near as each other come by their rowid. */
static int is_by_distance(const struct planning *p){
  const sqlite3_index_info *info = p->info;
  int columns[] = { hidden_at(&p->t->definition, HIDDEN_DISTANCE), ROWID };
  if( info->nOrderBy<1 || info->nOrderBy>2 ) return 0;
  for(int i=0; i<info->nOrderBy; i++){
    if( info->aOrderBy[i].iColumn!=columns[i] || info->aOrderBy[i].desc ) return 0;
  }
  return 1;
}

/* Which partition a search is in is said by a table further right in the join, for one of the
** columns at least. */
static int lacks_partition(const struct planning *p){
  const struct definition *d = &p->t->definition;
  const struct sqlite3_index_constraint *k = p->info->aConstraint;
  for(int i=0; i<d->n_filters; i++){
    int is_given = 0;
    int is_said = 0;
    if( !d->filters[i].is_partition ) continue;
    for(int j=0; j<p->info->nConstraint; j++){
      if( k[j].iColumn!=filter_at(d) + i ) continue;
      if( !is_equality(k[j].op) && k[j].op!=OP_IS_NULL ) continue;
      if( k[j].usable ) is_given = 1;
      else is_said = 1;
    }
    if( is_said && !is_given ) return 1;
  }
  return 0;
}

/* With a query: rows nearest first. The costs make the search the outer loop of a join, unless the
** other side is a row or two: otherwise the rows would come in that table's order. */
static void plan_search(struct planning *p, int query, int options){
  sqlite3_index_info *info = p->info;
  int unusable = 0;
  int row = find_equal(p, ROWID, 0, &unusable);
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
  info->orderByConsumed = is_by_distance(p);
  if( info->orderByConsumed && info->idxNum==PLAN_SEARCH ) info->idxNum = PLAN_SEARCH_SORTED;
  use_rest(p, 1);
}

/* Without a query: by rowid. SQLITE_INDEX_SCAN_UNIQUE is never set: an UPDATE or DELETE of one row
** would then do without a statement journal, and a failure midway could not be taken back. */
static void plan_scan(struct planning *p){
  sqlite3_index_info *info = p->info;
  int by_rowid = info->nOrderBy==1 && info->aOrderBy[0].iColumn<0;
  int unusable = 0;
  int row = find_equal(p, ROWID, 0, &unusable);
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

/* The statement has a query, but it is not among the conditions: SQLite asks what one side of an OR
** would cost alone. That plan would lose the query, so it must be dearer than any other. (An UPDATE
** looks the same, as it uses all columns; there is no other plan then.) */
static int is_branch(const struct planning *p){
  int query = hidden_at(&p->t->definition, HIDDEN_QUERY);
  if( has_condition(p, query) ) return 0;
  return (p->info->colUsed>>query & 1)!=0;
}

/* format: takes the table's name twice. */
static int refuse_plan(struct vtab *t, const char *format){
  sqlite3_free(t->base.zErrMsg);
  t->base.zErrMsg = sqlite3_mprintf(format, t->name, t->name);
  return t->base.zErrMsg ? SQLITE_ERROR : SQLITE_NOMEM;
}

static int give_words(struct planning *p){
  sqlite3_index_info *info = p->info;
  buf_text(&p->words);
  if( p->words.rc==SQLITE_OK ) info->idxStr = sqlite3_mprintf("%s", p->words.data);
  buf_release(&p->words);
  if( info->idxStr==NULL ) return SQLITE_NOMEM;
  info->needToFreeIdxStr = 1;
  return SQLITE_OK;
}

int vtab_best_index(sqlite3_vtab *base, sqlite3_index_info *info){
  struct vtab *t = (struct vtab *)base;
  const struct definition *d = &t->definition;
  struct planning p = { .t = t, .info = info };
  int no_query = 0;
  int no_options = 0;
  int third = 0;
  int query = find_equal(&p, hidden_at(d, HIDDEN_QUERY), 1, &no_query);
  int options = find_equal(&p, hidden_at(d, HIDDEN_OPTIONS), 0, &no_options);
  if( query<0 && no_query ) return SQLITE_CONSTRAINT;
  if( query>=0 && options<0 && no_options ) return SQLITE_CONSTRAINT;
  if( query>=0 && lacks_partition(&p) ) return SQLITE_CONSTRAINT;
  if( query>=0 ){
    if( find_equal(&p, hidden_at(d, HIDDEN_LATENT), 0, &third)>=0 || third ){
      return refuse_plan(t, "%s: a third argument, or a condition on latent beside a query: "
                         "\"%w\"(query [, options]) takes two");
    }
    plan_search(&p, query, options);
  }else if( is_branch(&p) ){
    plan_scan(&p);
    info->estimatedCost = 1e30;
  }else{
    plan_scan(&p);              /* distance and options are then NULL, as FTS5's rank is */
  }
  return give_words(&p);
}

/* ---- xFilter: one value ---- */

/* A number as SQLite would compare it with one; 0: it is none. */
static int read_number(sqlite3_value *v, double *x){
  int type = sqlite3_value_numeric_type(v);
  *x = sqlite3_value_double(v);
  return type==SQLITE_INTEGER || type==SQLITE_FLOAT;
}

/* The least and the greatest key of values equal to v; 0: only SQLite knows what is equal. */
static int key_range(const struct vtab *t, enum filter_type type, sqlite3_value *v, int is_equal,
                     uint64_t *low, uint64_t *high){
  const char *text;
  double x;
  if( type!=FILTER_TEXT ){
    if( !read_number(v, &x) ) return 0;
    *low = *high = number_key(x);
    return 1;
  }
  text = sqlite3_value_type(v)==SQLITE_TEXT ? (const char *)sqlite3_value_text(v) : NULL;
  if( text==NULL ) return 0;
  if( is_equal ){
    *low = *high = filter_key(type, v);
    return 1;
  }
  *low = text_key_low(text, (size_t)sqlite3_value_bytes(v));
  *high = *low + TEXT_KEY_REST;
  return t->is_utf8;            /* other encodings order texts otherwise */
}

/* ---- xFilter: the arguments ---- */

struct reading {                /* xFilter's arguments, as they are read */
  struct call *c;
  const struct vtab *t;
  struct arena *arena;          /* of the terms */
  struct conditions *to;
  int64_t limit, offset;        /* limit -1: none */
};

/* A new term that lets everything through; NULL on failure. */
static struct term *add_term(struct reading *r, int column){
  struct conditions *to = r->to;
  size_t bytes = sizeof(struct term)*(size_t)to->n_terms;
  struct term *terms = arena_get(r->arena, bytes + sizeof(*terms));
  if( terms==NULL ){
    fail_nomem(&r->c->err);
    return NULL;
  }
  if( to->n_terms ) memcpy(terms, to->terms, bytes);
  to->terms = terms;
  terms[to->n_terms] = (struct term){ .column = column, .low = 0, .high = UINT64_MAX };
  return &terms[to->n_terms++];
}

static int by_key(const void *a, const void *b){
  uint64_t x = *(const uint64_t *)a;
  uint64_t y = *(const uint64_t *)b;
  return (x>y) - (x<y);
}

static int by_rowid(const void *a, const void *b){
  int64_t x = *(const int64_t *)a;
  int64_t y = *(const int64_t *)b;
  return (x>y) - (x<y);
}

/* The key of a member of an IN; 0: only SQLite can compare it. */
static int member_key(const struct vtab *t, int column, sqlite3_value *v, uint64_t *key){
  uint64_t high;
  *key = 0;
  if( column==ROWID ){
    *key = (uint64_t)sqlite3_value_int64(v);
    return sqlite3_value_numeric_type(v)==SQLITE_INTEGER;
  }
  return key_range(t, t->definition.filters[column].type, v, 1, key, &high);
}

/* The keys of all members but NULL. Returns 0 if only SQLite can compare one of them. */
static int read_members(struct reading *r, int column, sqlite3_value *list, struct buf *keys){
  sqlite3_value *v = NULL;
  int is_known = 1;
  int rc = sqlite3_vtab_in_first(list, &v);
  while( rc==SQLITE_OK && v ){
    uint64_t key;
    if( sqlite3_value_type(v)!=SQLITE_NULL ){
      if( !member_key(r->t, column, v, &key) ) is_known = 0;
      buf_append(keys, &key, sizeof(key));
    }
    rc = sqlite3_vtab_in_next(list, &v);
  }
  if( keys->rc!=SQLITE_OK || rc==SQLITE_NOMEM ) fail_nomem(&r->c->err);
  if( rc!=SQLITE_OK && rc!=SQLITE_DONE ) fail(&r->c->err, rc, "the list of an IN cannot be read");
  return is_known;
}

static void add_set(struct reading *r, int column, const struct buf *keys){
  uint64_t *set = arena_get(r->arena, keys->n);
  struct term *term = add_term(r, column);
  if( set==NULL ) fail_nomem(&r->c->err);
  if( set==NULL || term==NULL ) return;
  memcpy(set, keys->data, keys->n);
  term->set = set;
  term->n_set = (int)(keys->n/sizeof(*set));
  qsort(set, (size_t)term->n_set, sizeof(*set), column==ROWID ? by_rowid : by_key);
}

/* column IN (...). A member that only SQLite can compare makes the whole condition SQLite's. */
static void read_set(struct reading *r, int column, sqlite3_value *list){
  struct buf keys = { 0 };
  int is_known = read_members(r, column, list, &keys);
  if( r->c->err.rc==SQLITE_OK && is_known ){
    if( keys.n==0 ) r->to->is_empty = 1;
    else add_set(r, column, &keys);
  }
  buf_release(&keys);
}

/* Notes which value of a partition column the search is for. A value of a type that none of the
** column's has is equal to none. */
static void read_partition(struct reading *r, int column, int op, sqlite3_value *v){
  const struct filter *f = &r->t->definition.filters[column];
  int type = f->type==FILTER_TEXT ? sqlite3_value_type(v) : sqlite3_value_numeric_type(v);
  if( !is_equality(op) && op!=OP_IS_NULL ) return;
  if( type==SQLITE_BLOB || (type==SQLITE_TEXT && f->type!=FILTER_TEXT) ) r->to->is_empty = 1;
  r->to->partitions[column] = op==OP_IS_NULL ? 0 : partition_key(f->type, v);
  r->to->n_given[column]++;
}

static void read_filter(struct reading *r, int column, int op, sqlite3_value *v){
  enum filter_type type = r->t->definition.filters[column].type;
  int is_null = sqlite3_value_type(v)==SQLITE_NULL;
  uint64_t low = 0;
  uint64_t high = 0;
  struct term *term;
  if( op==OP_IS_NULL || (op==OP_IS && is_null) ){
    term = add_term(r, column);
    if( term ) term->high = 0;          /* the key of NULL */
    return;
  }
  if( is_null ) r->to->is_empty = 1;    /* nothing is less than NULL, or equal to it */
  if( is_null || !key_range(r->t, type, v, is_equality(op), &low, &high) ) return;
  term = add_term(r, column);
  if( term==NULL ) return;
  term->low = bounds_below(op) ? low : 1;       /* 1: not NULL */
  if( bounds_above(op) ) term->high = high;
}

static void read_rowid(struct reading *r, int op, sqlite3_value *v){
  struct conditions *to = r->to;
  int type = sqlite3_value_numeric_type(v);
  int is_equal = is_equality(op);
  double x = sqlite3_value_double(v);
  int64_t id = sqlite3_value_int64(v);  /* of a REAL: towards 0, or the nearest end */
  int64_t low = id;
  int64_t high = id;
  if( op==OP_IS_NULL || type==SQLITE_NULL ) to->is_empty = 1;
  if( type==SQLITE_FLOAT && is_equal && x!=(double)id ) to->is_empty = 1;
  if( type!=SQLITE_INTEGER && type!=SQLITE_FLOAT ){
    if( is_equal ) to->is_empty = 1;    /* no rowid is a text */
    return;
  }
  if( type==SQLITE_FLOAT && !is_equal ){        /* outwards: -1.5 lies between -2 and -1 */
    if( x<0 && id>INT64_MIN ) low = id - 1;
    if( x>0 && id<INT64_MAX ) high = id + 1;
  }
  if( bounds_below(op) && low>to->low ) to->low = low;
  if( bounds_above(op) && high<to->high ) to->high = high;
}

static void read_distance(struct reading *r, int op, sqlite3_value *v){
  double x;
  if( sqlite3_value_type(v)==SQLITE_NULL && op!=OP_IS ) r->to->is_empty = 1;
  if( read_number(v, &x) && x<r->to->farthest ) r->to->farthest = x;
}

/* ---- xFilter: the words of idxStr ---- */

/* If `word` begins with name: what follows it. */
static const char *after(const char *word, const char *name){
  size_t n = strlen(name);
  return strncmp(word, name, n)==0 ? word + n : NULL;
}

/* Is `word` a condition on name? Then its operator; else -1. */
static int condition_on(const char *word, const char *name){
  const char *rest = after(word, name);
  for(int i=0; i<N_OPS && rest; i++){
    const char *end = after(rest, OPS[i].word);
    if( end && (*end==0 || *end==',') ) return OPS[i].op;
  }
  return -1;
}

static int64_t read_hint(sqlite3_value *v){
  return sqlite3_value_type(v)==SQLITE_INTEGER ? sqlite3_value_int64(v) : -1;
}

/* One argument. Filters come before rowid and the rest, as one may be called `rowidx`. */
static void read_argument(struct reading *r, const char *word, sqlite3_value *v){
  const struct definition *d = &r->t->definition;
  int op;
  if( after(word, "MATCH ?") ){
    r->to->query = v;
    return;
  }
  if( after(word, "LIMIT ?") ){
    r->limit = read_hint(v);
    r->to->has_limit = 1;
    return;
  }
  if( after(word, "OFFSET ?") ){
    r->offset = read_hint(v);
    return;
  }
  for(int i=0; i<d->n_filters; i++){
    op = condition_on(word, d->filters[i].name);
    if( op<0 ) continue;
    if( op==OP_IN ){
      read_set(r, i, v);
    }else{
      if( d->filters[i].is_partition ) read_partition(r, i, op, v);
      read_filter(r, i, op, v);
    }
    return;
  }
  if( condition_on(word, "options")==OP_EQ ) r->to->options = v;
  op = condition_on(word, "rowid");
  if( op==OP_IN ) read_set(r, ROWID, v);
  else if( op>0 ) read_rowid(r, op, v);
  op = condition_on(word, "distance");
  if( op>0 ) read_distance(r, op, v);
}

/* The word of idxStr after this one; NULL: it is the last. No name has a '?' in it. */
static const char *next_argument(const char *word){
  const char *mark = strchr(word, '?');
  return mark && mark[1] ? mark + 3 : NULL;
}

int plan_read(struct call *c, const struct vtab *t, const char *plan_text, int n,
              sqlite3_value **args, struct arena *a, struct conditions *to){
  enum { HINTS_BELOW = 1000000000 };
  struct reading r = { .c = c, .t = t, .arena = a, .to = to, .limit = -1 };
  const char *word = plan_text;
  *to = (struct conditions){ .low = INT64_MIN, .high = INT64_MAX, .farthest = INFINITY };
  for(int i=0; i<n && word && c->err.rc==SQLITE_OK; i++){
    read_argument(&r, word, args[i]);
    word = next_argument(word);
  }
  if( c->err.rc!=SQLITE_OK ) return c->err.rc;
  if( r.limit>=0 && r.limit<HINTS_BELOW && r.offset<HINTS_BELOW ){
    to->k = r.limit + (r.offset>0 ? r.offset : 0);
  }
  if( to->low>to->high ) to->is_empty = 1;
  if( to->low>INT64_MIN || to->high<INT64_MAX ){
    struct term *term = add_term(&r, ROWID);
    if( term ){
      term->low = (uint64_t)to->low;
      term->high = (uint64_t)to->high;
    }
  }
  return c->err.rc;
}

uint64_t plan_group(struct call *c, const struct vtab *t, const struct conditions *want){
  const struct definition *d = &t->definition;
  uint64_t keys[FILTERS_MOST];
  int n = 0;
  for(int i=0; i<d->n_filters; i++){
    const struct filter *f = &d->filters[i];
    if( !f->is_partition ) continue;
    keys[n++] = want->partitions[i];
    if( want->n_given[i]>0 ) continue;
    fail(&c->err, SQLITE_ERROR, "%.60s is a partition column: a search says which one it is in, "
         "WHERE %.60s = ?; latent_imagine and latent_gaps do by the option \"where\". (\"exact\" "
         "searches all)", f->name, f->name);
  }
  return keys_group(keys, n);
}
