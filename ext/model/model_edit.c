/*
** model_edit.c -- what was done to one statement is done to another.
**
** a became b; what does c become? All three are statements of code, as lexemes.
**
**   1. a and b are aligned: an edit distance in which equal lexemes alone are pairs. What has no
**      partner is a hunk: lexemes of a that gave way to lexemes of b.
**   2. Each hunk is looked for in c: a place has a mark for each neighbour, and each lexeme that is
**      to go, that is the same there, or at least of the same sort; and a little for lying as far
**      from the nearer end. Each hunk has PLACES places.
**   3. All hunks at once, the best places first, are tried until what c becomes may begin Python.
**      So `=None` is put behind the last argument that has no default yet.
**
** Names of a's function in what comes in become those of c's function.
*/
#include "model.h"
#include "grammar.h"
#include <string.h>

enum {
  CELLS_MOST = 1 << 21,                 /* of the table of an alignment */
  HUNKS_MOST = 16,
  GOING_MOST = 64,                      /* lexemes of a hunk that go */
  PLACES = 6,
  LONGER = 24,                          /* lexemes by which what is to go may be longer in c */
  TRIES_MOST = 64
};
static const float MARK_LEAST = 0.5f;   /* of a place: the sort of one neighbour is known */
static const float SECOND = 0.5f;       /* what the neighbour after next counts */

/* ---- Two sequences, aligned ---- */

int sequences_align(const struct sequences *q, int *partner, struct arena *arena, struct err *e){
  struct arena_mark mark = arena_mark(arena);
  size_t columns = (size_t)q->n_b + 1;
  int i = q->n_a;
  int j = q->n_b;
  float *table;
  for(int k=0; k<q->n_a; k++) partner[k] = -1;
  if( ((size_t)q->n_a + 1)*columns>CELLS_MOST ) return SQLITE_OK;
  table = arena_floats(arena, ((size_t)q->n_a + 1)*columns);
  if( table==NULL ) return fail_nomem(e);
  for(int x=0; x<=q->n_a; x++){
    float *row = table + (size_t)x*columns;
    if( err_stopped(e) ) return e->rc;
    for(int y=0; y<=q->n_b; y++){
      float alone = x>0 ? row[y-(int)columns] + q->alone : 0;
      float pair;
      if( y>0 && (x==0 || row[y-1] + q->alone<alone) ) alone = row[y-1] + q->alone;
      row[y] = alone;
      if( x==0 || y==0 ) continue;
      pair = row[y-1-(int)columns] + q->cost(q->arg, x-1, y-1);
      if( pair<=alone ) row[y] = pair;
    }
  }
  while( i>0 && j>0 ){
    const float *cell = table + (size_t)i*columns + j;
    if( *cell==cell[-1-(int)columns] + q->cost(q->arg, i-1, j-1) ) partner[--i] = --j;
    else if( *cell==cell[-(int)columns] + q->alone ) i--;
    else j--;
  }
  arena_rewind(arena, mark);
  return SQLITE_OK;
}

/* ---- Names ---- */

static int same_bytes(const char *a, int n_a, const char *b, int n_b){
  return n_a==n_b && memcmp(a, b, (size_t)n_a)==0;
}

static int is_equal(const struct lexeme *x, const struct lexeme *y){
  return same_bytes(x->text, x->n, y->text, y->n);
}

static const struct name *find_name(const struct renaming *names, const char *text, int n){
  for(int i=0; i<names->n; i++){
    if( same_bytes(names->all[i].from, names->all[i].n_from, text, n) ) return &names->all[i];
  }
  return NULL;
}

void renaming_put(struct renaming *names, struct name name){
  if( names->n==names->most || find_name(names, name.from, name.n_from) ) return;
  names->all[names->n++] = name;
}

/* A string or a comment, in which words that are names become the others. What a name has become
** stands there too if it is a name. */
static void append_text(struct buf *out, const struct lexeme *x, const struct renaming *names){
  int at = 0;
  while( at<x->n ){
    const struct name *name;
    int end = at;
    while( end<x->n && (x->text[end]=='_' || is_word_part(x->text[end])) ) end++;
    name = end>at ? find_name(names, x->text + at, end - at) : NULL;
    if( end==at ) end++;
    if( name && name->is_name ) buf_append(out, name->to, (size_t)name->n_to);
    else buf_append(out, x->text + at, (size_t)(end - at));
    at = end;
  }
}

void lexemes_append(struct buf *out, const struct lexeme *all, int from, int to,
                    const struct renaming *names){
  for(int i=from; i<to; i++){
    const struct lexeme *x = &all[i];
    int is_text = x->sort==LEXEME_STRING || x->sort==LEXEME_COMMENT;
    int is_field = i>0 && lexeme_is(&all[i-1], ".");
    const struct name *name = NULL;
    if( names && x->sort==LEXEME_NAME && !is_field ) name = find_name(names, x->text, x->n);
    if( names && is_text ) append_text(out, x, names);
    else if( name ) buf_append(out, name->to, (size_t)name->n_to);
    else buf_append(out, x->text, (size_t)x->n);
  }
}

/* ---- Hunks ---- */

struct hunk {
  int a, a_end;                         /* lexemes of a that go */
  int b, b_end;                         /* lexemes of b that come */
};
struct place {                          /* of a hunk in c */
  int at, end;                          /* lexemes of c that go */
  float mark;
};
struct edit {
  const struct statement *a, *b, *c;
  const struct renaming *names;
  struct run *run;
  struct hunk hunks[HUNKS_MOST];
  struct place places[HUNKS_MOST][PLACES];
  int n_places[HUNKS_MOST];
  int n_hunks;
  int chosen[HUNKS_MOST];               /* the place of each hunk that is tried */
  int tries;
  int is_checked;                       /* c begins Python by itself, so what it becomes is to */
  struct buf made;
};

static float lexeme_cost(const void *arg, int i, int j){
  const struct edit *d = arg;
  return is_equal(&d->a->lexemes[i], &d->b->lexemes[j]) ? 0 : 3;
}

/* What is only inserted may often stand a little farther right as well: the last bracket of two is
** the new one as much as the first. Where that leads to the end of a, it is taken to be there. */
static struct hunk slide(const struct edit *d, const int *partner, struct hunk h){
  struct hunk right = h;
  if( h.a<h.a_end || h.b==h.b_end ) return h;
  while( right.a<d->a->n && partner[right.a]==right.b_end
      && is_equal(&d->a->lexemes[right.a], &d->b->lexemes[right.b]) ){
    right.a++;
    right.b++;
    right.b_end++;
  }
  right.a_end = right.a;
  return right.a==d->a->n && right.b_end==d->b->n ? right : h;
}

/* 0: there are too many, or they are too long. */
static int find_hunks(struct edit *d, const int *partner){
  int i = 0;
  int j = 0;
  while( i<d->a->n || j<d->b->n ){
    struct hunk h = { i, i, j, j };
    if( i<d->a->n && partner[i]==j ){
      i++;
      j++;
      continue;
    }
    while( i<d->a->n && partner[i]<0 ) i++;
    j = i<d->a->n ? partner[i] : d->b->n;
    h = (struct hunk){ h.a, i, h.b, j };
    if( d->n_hunks==HUNKS_MOST || h.a_end - h.a>GOING_MOST ) return 0;
    d->hunks[d->n_hunks++] = slide(d, partner, h);
  }
  return 1;
}

/* ---- Places ---- */

static int is_caller(const struct lexeme *x){
  return lexeme_is(x, "self") || lexeme_is(x, "cls");
}

/* None, True and False are keywords with a capital. */
static int is_operand(const struct lexeme *x){
  if( x->sort==LEXEME_KEYWORD ) return is_ascii_upper(x->text[0]);
  return x->sort==LEXEME_NAME || x->sort==LEXEME_NUMBER || x->sort==LEXEME_STRING;
}

/* The argument that takes what is left over. */
static int is_starred(const struct lexeme *x, int i){
  return i>0 && (lexeme_is(x - 1, "*") || lexeme_is(x - 1, "**"));
}

/* How much lexeme i of a statement is like lexeme j of another. Before the first and behind the
** last of both there is the same. */
static float likeness(const struct statement *a, int i, const struct statement *c, int j){
  int x_is_out = i<0 || i>=a->n;
  int y_is_out = j<0 || j>=c->n;
  const struct lexeme *x, *y;
  if( x_is_out || y_is_out ) return x_is_out && y_is_out && (i<0)==(j<0) ? 3 : 0;
  x = &a->lexemes[i];
  y = &c->lexemes[j];
  if( x->sort==LEXEME_SPACE || y->sort==LEXEME_SPACE ) return x->sort==y->sort;
  if( is_equal(x, y) ) return 2;
  if( is_starred(x, i)!=is_starred(y, j) ) return -3;   /* nothing may stand behind **y */
  if( is_caller(x) || is_caller(y) || !is_operand(x) || !is_operand(y) ) return 0;
  return x->sort==y->sort ? 1 : 0.5f;
}

static float place_mark(const struct edit *d, const struct hunk *h, int at, int end){
  int n = h->a_end - h->a;
  int from_start = at>h->a ? at - h->a : h->a - at;
  int from_end = (d->c->n - end) - (d->a->n - h->a_end);
  float off = (float)(h->a<d->a->n - h->a_end ? from_start : from_end<0 ? -from_end : from_end);
  float mark = likeness(d->a, h->a-1, d->c, at-1) + likeness(d->a, h->a_end, d->c, end);
  if( h->a>=2 && at>=2 ) mark += SECOND*likeness(d->a, h->a-2, d->c, at-2);
  if( h->a_end+1<d->a->n ) mark += SECOND*likeness(d->a, h->a_end+1, d->c, end+1);
  for(int i=0; i<n; i++){
    float most = 0;
    for(int j=at; j<end; j++){
      float like = likeness(d->a, h->a + i, d->c, j);
      if( like>most ) most = like;
    }
    mark += most;
  }
  return mark - 0.1f*(float)(end - at>n ? end - at - n : 0) - 0.5f*off/(float)(d->c->n + 1);
}

/* Keeps the best PLACES, the best first. */
static void keep_place(struct edit *d, int hunk, struct place place){
  struct place *kept = d->places[hunk];
  int n = d->n_places[hunk];
  int at = n<PLACES ? n : PLACES;
  if( place.mark<MARK_LEAST ) return;
  while( at>0 && kept[at-1].mark<place.mark ) at--;
  if( at==PLACES ) return;
  if( n<PLACES ) d->n_places[hunk]++;
  for(int i=d->n_places[hunk]-1; i>at; i--) kept[i] = kept[i-1];
  kept[at] = place;
}

static int find_places(struct edit *d, int hunk){
  const struct hunk *h = &d->hunks[hunk];
  int n = h->a_end - h->a;
  for(int at=0; at<=d->c->n; at++){
    int last = at + n + LONGER<d->c->n ? at + n + LONGER : d->c->n;
    if( err_stopped(d->run->err) ) return 0;
    if( n==0 ) keep_place(d, hunk, (struct place){ at, at, place_mark(d, h, at, at) });
    for(int end=at+1; n>0 && end<=last; end++){
      keep_place(d, hunk, (struct place){ at, end, place_mark(d, h, at, end) });
    }
  }
  return d->n_places[hunk]>0;
}

/* ---- Tries ---- */

/* What stands in the place of c's lexemes. Where a name got letters before it or behind it, c's
** name gets them. */
static void append_hunk(struct edit *d, const struct hunk *h, const struct place *place){
  const struct lexeme *a = &d->a->lexemes[h->a];
  const struct lexeme *b = &d->b->lexemes[h->b];
  const struct lexeme *c = &d->c->lexemes[place->at];
  int is_one = h->a_end - h->a==1 && h->b_end - h->b==1 && place->end - place->at==1;
  int more = is_one ? b->n - a->n : 0;
  int is_before = more>0 && same_bytes(a->text, a->n, b->text + more, a->n);
  int is_behind = more>0 && same_bytes(a->text, a->n, b->text, a->n);
  if( more>0 && (a->sort!=LEXEME_NAME || c->sort!=LEXEME_NAME) ) is_before = is_behind = 0;
  if( !is_before && !is_behind ){
    lexemes_append(&d->made, d->b->lexemes, h->b, h->b_end, d->names);
    return;
  }
  if( is_before ) buf_append(&d->made, b->text, (size_t)more);
  buf_append(&d->made, c->text, (size_t)c->n);
  if( !is_before ) buf_append(&d->made, b->text + a->n, (size_t)more);
}

/* d->made: what c becomes with the hunks at their chosen places. 0: it is nothing that may be. */
static int try_places(struct edit *d){
  int at = 0;
  d->made.n = 0;
  for(int k=0; k<d->n_hunks; k++){
    const struct place *place = &d->places[k][d->chosen[k]];
    if( place->at<at ) return 0;
    lexemes_append(&d->made, d->c->lexemes, at, place->at, NULL);
    append_hunk(d, &d->hunks[k], place);
    at = place->end;
  }
  lexemes_append(&d->made, d->c->lexemes, at, d->c->n, NULL);
  d->tries++;
  if( d->made.rc!=SQLITE_OK ) fail_nomem(d->run->err);
  if( d->made.n==0 ) return 0;
  return !d->is_checked || python_begins(buf_text(&d->made), d->made.n, d->run->err);
}

/* Tries places of hunk k and those behind it, whose ranks have this sum. */
static int try_ranks(struct edit *d, int k, int sum){
  if( k==d->n_hunks ) return sum==0 && try_places(d);
  for(int rank=0; rank<d->n_places[k] && rank<=sum; rank++){
    if( d->tries>=TRIES_MOST || err_stopped(d->run->err) ) return 0;
    d->chosen[k] = rank;
    if( try_ranks(d, k + 1, sum - rank) ) return 1;
  }
  return 0;
}

static int begins(struct edit *d){
  d->made.n = 0;
  lexemes_append(&d->made, d->c->lexemes, 0, d->c->n, NULL);
  if( d->made.rc!=SQLITE_OK ) fail_nomem(d->run->err);
  return python_begins(buf_text(&d->made), d->made.n, d->run->err);
}

static int find_edit(struct edit *d){
  struct sequences q = { d->a->n, d->b->n, 1, lexeme_cost, d };
  int *partner = arena_get(d->run->arena, ((size_t)d->a->n + 1)*sizeof(int));
  int is_found = 0;
  if( partner==NULL ){
    fail_nomem(d->run->err);
    return 0;
  }
  if( sequences_align(&q, partner, d->run->arena, d->run->err)!=SQLITE_OK ) return 0;
  if( !find_hunks(d, partner) ) return 0;
  for(int k=0; k<d->n_hunks; k++){
    if( !find_places(d, k) ) return 0;
  }
  d->is_checked = begins(d);
  for(int sum=0; sum<PLACES*d->n_hunks && !is_found; sum++){
    if( d->tries>=TRIES_MOST || d->run->err->rc!=SQLITE_OK ) return 0;
    is_found = try_ranks(d, 0, sum);
  }
  return is_found && d->run->err->rc==SQLITE_OK;
}

int statement_edit(struct run *run, const struct statement *a, const struct statement *b,
                   const struct statement *c, const struct renaming *names, struct buf *out){
  struct edit d = { .a = a, .b = b, .c = c, .names = names, .run = run };
  struct arena_mark mark = arena_mark(run->arena);
  int is_found = find_edit(&d);
  if( is_found ) buf_append(out, d.made.data, d.made.n);
  buf_release(&d.made);
  if( run->err->rc==SQLITE_OK ) arena_rewind(run->arena, mark);
  return is_found;
}
