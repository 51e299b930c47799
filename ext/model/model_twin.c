/*
** model_twin.c -- what was done to one function is done to another.
**
** f became its twin; what does g become? All three are latents of code, of any numbers of lines.
**
**   1. Each is cut into statements (grammar_statements.c), and these are encoded: a point each.
**   2. f is aligned with its twin by the distance of the points of their statements: what has no
**      partner was deleted or inserted; what has one may have changed, or stand deeper.
**   3. g is aligned with f likewise. There the place in the function counts too, and the keyword.
**   4. An inserted statement goes where its neighbours' partners are (find_slot()). A deleted one
**      is deleted in g too, with its block. What stands deeper does so in g, with what stands
**      beside it. A changed one is changed by model_edit.c.
**   5. Names of f in what is inserted become those of g.
**   6. If g was Python and the result is not, nothing is carried over.
**
** The result is text, not a point. Adding the difference of two lines' points to a third line's
** point is plainer, but it breaks most signatures, and it cannot insert a line. Of 250 functions
** (model/score_code.py --functions 0 --pairs 0) it carried over the concept and kept the rest in
** 2.8%; this does in 99.2%, and in 86.4% of latents, which do not all decode to their function.
*/
#include "model.h"
#include "grammar.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum role { ROLE_DECORATOR, ROLE_HEAD, ROLE_DOCSTRING, ROLE_COMMENT, ROLE_BODY };
enum {
  INDENT = 4,                           /* of a function that has one line */
  NAMES_MOST = 64,
  BYTES_MOST = 1 << 18,                 /* of a function that is looked at */
  SEGMENTS_SAID = 4*STATEMENTS_MOST     /* the same, of one that is to be decoded */
};

/* Of alignments, in distances (1 - cosine) of points. */
static const float APART = 9;           /* never a pair */
static const float TWIN_ALONE = 0.3f;   /* a statement of f has changed: less than twice as far */
static const float OTHER_ALONE = 0.6f;  /* the same of f and g, which are not that near */
static const float OTHER_KEYWORD = 0.4f;
static const float OTHER_BLOCK = 0.2f;  /* blocks that begin with other keywords */
static const float OTHER_INDENT = 0.02f;
static const float OTHER_PLACE = 0.4f;  /* at the other end of the function */
static const float OTHER_DEPTH = 0.2f;  /* a block deeper */
static const float NEAR_ENOUGH = 0.5f;  /* to be deleted as the other one was */

struct function {
  struct content text;
  const struct statement *all;          /* [n] */
  int n;
  int head;                             /* the first one that is a head; n: none */
  int step;                             /* bytes that its body is indented by */
  char space;                           /* which they are */
  const float *points;                  /* [n, s+r] */
};
struct slot {                           /* where a statement is inserted */
  int at;                               /* before this statement of g; -1: it is not */
  int twin, g;                          /* its indentation is to these as it was; -1: to nothing */
};
struct twin {
  const struct model *m;
  struct run *run;
  struct function f, twin, g;
  int *f_twin, *twin_f;                 /* [f.n], [twin.n]: the partner, or -1 */
  int *f_g, *g_f;                       /* [f.n], [g.n]: likewise */
  struct slot *slots;                   /* [twin.n]: of what f has not */
  int *shift;                           /* [g.n]: bytes that it goes to the right */
  int *is_deleted;                      /* [g.n] */
  struct renaming names;
  struct buf made;
  int n_lines;                          /* that it has so far */
  int n_carried;
};

/* ---- Statements ---- */

static enum role role_of(const struct statement *s){
  const struct lexeme *first = &s->lexemes[0];
  int is_string = first->sort==LEXEME_STRING;
  if( first->sort==LEXEME_COMMENT ) return ROLE_COMMENT;
  if( lexeme_is(first, "@") ) return ROLE_DECORATOR;
  if( lexeme_is(first, "def") || lexeme_is(first, "class") ) return ROLE_HEAD;
  if( lexeme_is(first, "async") && s->n>2 && lexeme_is(&s->lexemes[2], "def") ) return ROLE_HEAD;
  for(int i=1; i<s->n && is_string; i++) is_string = s->lexemes[i].sort==LEXEME_SPACE;
  return is_string ? ROLE_DOCSTRING : ROLE_BODY;
}

/* Is statement i in the body? Functions within it are, too. */
static int is_body(const struct function *f, int i){
  enum role role = role_of(&f->all[i]);
  if( role==ROLE_BODY || role==ROLE_COMMENT ) return 1;
  return i>f->head && (role!=ROLE_DOCSTRING || i>f->head + 1);
}

static int opens_block(const struct statement *s){
  int i = s->n - 1;
  while( i>0 && (s->lexemes[i].sort==LEXEME_SPACE || s->lexemes[i].sort==LEXEME_COMMENT) ) i--;
  return lexeme_is(&s->lexemes[i], ":");
}

static struct content text_of(const struct statement *s){
  const struct lexeme *last = &s->lexemes[s->n-1];
  const char *from = s->lexemes[0].text;
  return (struct content){ from, (size_t)(last->text + last->n - from) };
}

static int same_text(const struct statement *x, const struct statement *y){
  struct content a = text_of(x);
  struct content b = text_of(y);
  return a.n==b.n && memcmp(a.bytes, b.bytes, a.n)==0;
}

/* Do both begin with the same keyword, or neither with one? */
static int same_keyword(const struct statement *x, const struct statement *y){
  const struct lexeme *a = &x->lexemes[0];
  const struct lexeme *b = &y->lexemes[0];
  if( a->sort!=LEXEME_KEYWORD || b->sort!=LEXEME_KEYWORD ) return a->sort==b->sort;
  return a->n==b->n && memcmp(a->text, b->text, (size_t)a->n)==0;
}

/* The end of the block that statement i opens: the first one behind it. */
static int block_end(const struct function *f, int i){
  int end = i + 1;
  if( !opens_block(&f->all[i]) ) return end;
  while( end<f->n && f->all[end].indent>f->all[i].indent ) end++;
  return end;
}

/* ---- What the latents say ---- */

static int read_function(struct twin *t, struct function *f, struct content text){
  struct statements code;
  python_statements(&code, text.bytes, text.n, t->run->arena, t->run->err);
  if( t->run->err->rc!=SQLITE_OK ) return t->run->err->rc;
  f->text = text;
  f->all = code.all;
  f->n = code.n;
  f->step = INDENT;
  f->space = ' ';
  while( f->head<f->n && role_of(&f->all[f->head])!=ROLE_HEAD ) f->head++;
  for(int i=1; i<f->n; i++){
    if( f->all[i].indent<=f->all[0].indent ) continue;
    f->step = f->all[i].indent - f->all[0].indent;
    f->space = f->all[i].lead[f->all[i].n_lead];
    break;
  }
  return SQLITE_OK;
}

/* What z says, in the arena. */
static int say(struct twin *t, const struct latent *z, struct content *text){
  struct buf said = { 0 };
  struct decode_options plain;
  decode_options_init(&plain);
  if( text_decode(t->m, t->run, z, &plain, &said, NULL)==SQLITE_OK ){
    *text = (struct content){ buf_copy(&said, t->run->arena), said.n };
    if( text->bytes==NULL ) fail_nomem(t->run->err);
  }
  buf_release(&said);
  return t->run->err->rc;
}

/* What is too long stays a function without statements. */
static int read_functions(struct twin *t, const struct latent z[3], const struct content known[3]){
  struct function *functions[] = { &t->f, &t->twin, &t->g };
  for(int i=0; i<3; i++){
    struct content text = known[i];
    if( text.bytes==NULL && z[i].n_segments>SEGMENTS_SAID ) return SQLITE_OK;
    if( text.n>BYTES_MOST ) return SQLITE_OK;
    if( text.bytes==NULL && say(t, &z[i], &text)!=SQLITE_OK ) return t->run->err->rc;
    if( read_function(t, functions[i], text)!=SQLITE_OK ) return t->run->err->rc;
  }
  return SQLITE_OK;
}

/* A point for each statement, wherever it stands. */
static int set_points(struct twin *t){
  struct arena *a = t->run->arena;
  struct function *functions[] = { &t->f, &t->twin, &t->g };
  size_t n = (size_t)(t->f.n + t->twin.n + t->g.n);
  size_t width = (size_t)model_width(t->m);
  struct content *texts = arena_get(a, n*sizeof(*texts));
  struct latent *encoded = arena_get(a, n*sizeof(*encoded));
  float *points = arena_floats(a, n*width);
  size_t at = 0;
  if( a->oom ) return fail_nomem(t->run->err);
  for(int k=0; k<3; k++){
    functions[k]->points = points + at*width;
    for(int i=0; i<functions[k]->n; i++) texts[at++] = text_of(&functions[k]->all[i]);
  }
  contents_encode(t->m, t->run, texts, (int)n, "code", 0, encoded);
  if( t->run->err->rc!=SQLITE_OK ) return t->run->err->rc;
  for(at=0; at<n; at++) point_mean(points + at*width, &encoded[at]);
  return SQLITE_OK;
}

/* ---- Who is whose partner ---- */

static float distance(const struct twin *t, const struct function *f, int i,
                      const struct function *g, int j){
  size_t width = (size_t)model_width(t->m);
  return 1 - point_cosine(f->points + (size_t)i*width, g->points + (size_t)j*width, (int)width);
}

static float twin_cost(const void *arg, int i, int j){
  const struct twin *t = arg;
  const struct statement *x = &t->f.all[i];
  const struct statement *y = &t->twin.all[j];
  float cost = x->indent==y->indent ? 0 : OTHER_INDENT;
  if( same_text(x, y) ) return cost;
  if( role_of(x)!=role_of(y) ) return APART;
  if( role_of(x)!=ROLE_HEAD && !same_keyword(x, y) ) cost += OTHER_KEYWORD;
  return cost + distance(t, &t->f, i, &t->twin, j);
}

/* Do f's statement i and g's statement j open blocks that do not begin alike? */
static int other_blocks(const struct twin *t, int i, int j){
  if( !opens_block(&t->f.all[i]) || !opens_block(&t->g.all[j]) ) return 0;
  if( i+1==t->f.n || j+1==t->g.n ) return 0;
  return !same_keyword(&t->f.all[i+1], &t->g.all[j+1]);
}

static float other_cost(const void *arg, int i, int j){
  const struct twin *t = arg;
  const struct statement *x = &t->f.all[i];
  const struct statement *y = &t->g.all[j];
  float place = ((float)i + 0.5f)/(float)t->f.n - ((float)j + 0.5f)/(float)t->g.n;
  float depth = (float)x->indent/(float)t->f.step - (float)y->indent/(float)t->g.step;
  float cost = OTHER_PLACE*fabsf(place) + OTHER_DEPTH*fabsf(depth);
  if( role_of(x)!=role_of(y) ) return APART;
  if( role_of(x)==ROLE_HEAD || role_of(x)==ROLE_DOCSTRING ) return cost;
  cost += distance(t, &t->f, i, &t->g, j);
  if( other_blocks(t, i, j) ) cost += OTHER_BLOCK;
  if( !same_keyword(x, y) ) return cost + OTHER_KEYWORD;
  return x->lexemes[0].sort==LEXEME_KEYWORD ? cost/2 : cost;
}

/* partner[n_f] and its inverse, back[n_b]. */
static int align(struct twin *t, int n_b, float alone, float (*cost)(const void *, int, int),
                 int **partner, int **back){
  struct arena *a = t->run->arena;
  const struct sequences q = { t->f.n, n_b, alone, cost, t };
  *partner = arena_get(a, (size_t)q.n_a*sizeof(int));
  *back = arena_get(a, (size_t)q.n_b*sizeof(int));
  if( a->oom ) return fail_nomem(t->run->err);
  if( sequences_align(&q, *partner, a, t->run->err)!=SQLITE_OK ) return t->run->err->rc;
  for(int j=0; j<q.n_b; j++) (*back)[j] = -1;
  for(int i=0; i<q.n_a; i++) if( (*partner)[i]>=0 ) (*back)[(*partner)[i]] = i;
  return SQLITE_OK;
}

static int align_all(struct twin *t){
  align(t, t->twin.n, TWIN_ALONE, twin_cost, &t->f_twin, &t->twin_f);
  if( t->run->err->rc!=SQLITE_OK ) return t->run->err->rc;
  return align(t, t->g.n, OTHER_ALONE, other_cost, &t->f_g, &t->g_f);
}

/* ---- Names ---- */

static struct name name_of(const struct lexeme *from, const struct lexeme *to){
  return (struct name){ from->text, to->text, from->n, to->n, 1 };
}

/* The lexemes of a signature that are names: that of the function, and of the arguments that a
** caller writes. Returns how many. */
static int signature_names(const struct statement *s, const struct lexeme *out[NAMES_MOST]){
  int n = 0;
  int depth = 0;
  int is_next = 0;
  for(int i=0; i<s->n && n<NAMES_MOST; i++){
    const struct lexeme *x = &s->lexemes[i];
    int is_caller = lexeme_is(x, "self") || lexeme_is(x, "cls");
    if( x->sort==LEXEME_NAME && is_next && !is_caller ) out[n++] = x;
    if( x->sort==LEXEME_MARK && strchr("([{", x->text[0]) ) depth++;
    if( x->sort==LEXEME_MARK && strchr(")]}", x->text[0]) && --depth==0 ) break;
    if( x->sort==LEXEME_SPACE || (x->sort==LEXEME_MARK && x->text[0]=='*') ) continue;
    is_next = lexeme_is(x, "def") || (depth==1 && (lexeme_is(x, ",") || lexeme_is(x, "(")));
  }
  return n;
}

static void name_signature(struct twin *t, const struct statement *x, const struct statement *y){
  const struct lexeme *from[NAMES_MOST], *to[NAMES_MOST];
  int n_from = signature_names(x, from);
  int n_to = signature_names(y, to);
  for(int i=0; i<n_from && i<n_to; i++) renaming_put(&t->names, name_of(from[i], to[i]));
}

/* `return x` and `return a + b`: what x was, a + b is. */
static void name_returned(struct twin *t, const struct statement *x, const struct statement *y){
  struct content to = text_of(y);
  struct name name;
  if( x->n!=3 || y->n<3 || x->lexemes[2].sort!=LEXEME_NAME ) return;
  if( !lexeme_is(&x->lexemes[0], "return") || !lexeme_is(&y->lexemes[0], "return") ) return;
  name = name_of(&x->lexemes[2], &y->lexemes[2]);
  name.is_name = y->n==3 && y->lexemes[2].sort==LEXEME_NAME;
  name.n_to = (int)((const char *)to.bytes + to.n - name.to);
  renaming_put(&t->names, name);
}

/* `x = ...` and `a = ...` */
static void name_assigned(struct twin *t, const struct statement *x, const struct statement *y){
  const struct lexeme *a = x->lexemes;
  const struct lexeme *b = y->lexemes;
  if( x->n<3 || y->n<3 || a->sort!=LEXEME_NAME || b->sort!=LEXEME_NAME ) return;
  if( lexeme_is(&a[2], "=") && lexeme_is(&b[2], "=") ) renaming_put(&t->names, name_of(a, b));
}

static int set_names(struct twin *t){
  void (*const each[])(struct twin *t, const struct statement *x, const struct statement *y) = {
    name_signature, name_returned, name_assigned,
  };
  t->names.most = 2*NAMES_MOST;
  t->names.all = arena_get(t->run->arena, (size_t)t->names.most*sizeof(struct name));
  if( t->names.all==NULL ) return fail_nomem(t->run->err);
  for(int k=0; k<3; k++){
    for(int i=0; i<t->f.n; i++){
      int j = t->f_g[i];
      int is_head = role_of(&t->f.all[i])==ROLE_HEAD;
      if( j>=0 && is_head==(k==0) ) each[k](t, &t->f.all[i], &t->g.all[j]);
    }
  }
  return SQLITE_OK;
}

/* ---- What stands deeper, and what is deleted ---- */

/* Bytes of the twin's indentation as bytes of g's. */
static int scaled(const struct twin *t, int bytes){
  return bytes*t->g.step/t->twin.step;
}

/* How far f's statement i has gone to the right. */
static int f_shift(const struct twin *t, int i){
  int j = t->f_twin[i];
  return j<0 ? 0 : scaled(t, t->twin.all[j].indent - t->f.all[i].indent);
}

/* The statement of f that g's statement k goes with: its partner, or that of the nearest one before
** it, or else behind it, in the body; or else the one at the same place of f's body. -1: none. */
static int leader_of(const struct twin *t, int k){
  int same = k*t->f.n/t->g.n;
  if( t->g_f[k]>=0 || !is_body(&t->g, k) ) return t->g_f[k];
  for(int i=k-1; i>=0 && is_body(&t->g, i); i--) if( t->g_f[i]>=0 ) return t->g_f[i];
  for(int i=k+1; i<t->g.n && is_body(&t->g, i); i++) if( t->g_f[i]>=0 ) return t->g_f[i];
  while( same<t->f.n && !is_body(&t->f, same) ) same++;
  return same<t->f.n ? same : -1;
}

static int set_shifts(struct twin *t){
  t->shift = arena_zeroed(t->run->arena, (size_t)t->g.n*sizeof(int));
  if( t->shift==NULL ) return fail_nomem(t->run->err);
  for(int k=0; k<t->g.n; k++){
    int leader = leader_of(t, k);
    if( leader>=0 ) t->shift[k] = f_shift(t, leader);
    if( t->g.all[k].indent + t->shift[k]<0 ) t->shift[k] = -t->g.all[k].indent;
    t->n_carried += t->shift[k]!=0;
  }
  return SQLITE_OK;
}

/* Is every statement from i to end-1 of f deleted? */
static int all_deleted(const struct twin *t, int i, int end){
  while( i<end && t->f_twin[i]<0 ) i++;
  return i==end;
}

static int is_near_enough(const struct twin *t, int i, int k){
  const struct statement *x = &t->f.all[i];
  if( role_of(x)==ROLE_DOCSTRING ) return 1;
  if( x->lexemes[0].sort==LEXEME_KEYWORD && same_keyword(x, &t->g.all[k]) ) return 1;
  return distance(t, &t->f, i, &t->g, k)<NEAR_ENOUGH;
}

/* What stands in a block that is deleted goes with it, and is not looked for by itself. */
static int set_deleted(struct twin *t){
  t->is_deleted = arena_zeroed(t->run->arena, (size_t)t->g.n*sizeof(int));
  if( t->is_deleted==NULL ) return fail_nomem(t->run->err);
  for(int i=0; i<t->f.n; i++){
    int end = block_end(&t->f, i);
    int k = t->f_g[i];
    int is_whole = all_deleted(t, i, end);
    if( t->f_twin[i]>=0 ) continue;
    if( k>=0 && is_near_enough(t, i, k) ){
      int last = is_whole ? block_end(&t->g, k) : k + 1;
      t->n_carried++;
      while( k<last ) t->is_deleted[k++] = 1;
    }
    if( is_whole ) i = end - 1;
  }
  return SQLITE_OK;
}

/* ---- What is inserted ---- */

/* The next statement of the twin from j on, in this direction, that has a partner in f: which it
** is. -1: none. */
static int neighbour_in_f(const struct twin *t, int j, int step){
  for(j+=step; j>=0 && j<t->twin.n; j+=step) if( t->twin_f[j]>=0 ) return t->twin_f[j];
  return -1;
}

/* The head of the function, where all three have one: what stands in its body is measured by it. */
static struct slot slot_by_head(const struct twin *t, int at){
  struct slot slot = { at, -1, -1 };
  for(int i=t->f.n-1; i>=0; i--){
    if( role_of(&t->f.all[i])!=ROLE_HEAD || t->f_twin[i]<0 || t->f_g[i]<0 ) continue;
    slot.twin = t->f_twin[i];
    slot.g = t->f_g[i];
  }
  return slot;
}

/* Behind the head of g, and behind its docstring where no docstring is inserted. */
static struct slot slot_below_head(const struct twin *t, int j, int head){
  int at = t->f_g[head] + 1;
  int is_docstring = role_of(&t->twin.all[j])==ROLE_DOCSTRING;
  while( !is_docstring && at<t->g.n && role_of(&t->g.all[at])==ROLE_DOCSTRING ) at++;
  return slot_by_head(t, at);
}

/* Where in g the twin's statement j goes, which f has not. What follows the head of f follows that
** of g; what stands first or last does so too; else it goes before the one that it stood before, or
** else behind the one that it stood behind. */
static struct slot find_slot(const struct twin *t, int j){
  int before = neighbour_in_f(t, j, -1);
  int behind = neighbour_in_f(t, j, 1);
  int before_g = before>=0 ? t->f_g[before] : -1;
  int behind_g = behind>=0 ? t->f_g[behind] : -1;
  if( before<0 ) return slot_by_head(t, 0);
  if( behind<0 ) return slot_by_head(t, t->g.n);
  if( before_g>=0 && !is_body(&t->f, before) ) return slot_below_head(t, j, before);
  if( behind_g>=0 ) return (struct slot){ behind_g, t->f_twin[behind], behind_g };
  if( before_g>=0 ) return (struct slot){ before_g + 1, t->f_twin[before], before_g };
  return slot_by_head(t, t->g.n);
}

static int set_slots(struct twin *t){
  t->slots = arena_get(t->run->arena, (size_t)t->twin.n*sizeof(struct slot));
  if( t->slots==NULL ) return fail_nomem(t->run->err);
  for(int j=0; j<t->twin.n; j++){
    t->slots[j].at = -1;
    if( t->twin_f[j]<0 ) t->slots[j] = find_slot(t, j);
  }
  return SQLITE_OK;
}

/* ---- The text that is made ---- */

/* The line break and the empty lines before a statement, and `indent` bytes of white space, of
** which it has `own` itself. */
static void begin_line(struct twin *t, const struct statement *s, int own, int indent){
  int has_break = s->n_lead>0 && memchr(s->lead, '\n', (size_t)s->n_lead)!=NULL;
  if( t->n_lines++>0 ){
    if( has_break ) buf_append(&t->made, s->lead, (size_t)s->n_lead);
    else buf_char(&t->made, '\n');
  }
  if( own>indent ) own = indent;
  buf_append(&t->made, s->lead + s->n_lead, (size_t)own);
  for(int i=own; i<indent; i++) buf_char(&t->made, t->g.space);
}

/* White space with a line break, and then as many bytes more or fewer as the shift says. */
static void append_break(struct twin *t, const struct lexeme *x, int shift){
  int line = x->n;                      /* where the last line begins */
  int columns;
  while( x->text[line-1]!='\n' ) line--;
  columns = x->n - line + shift;
  if( columns<0 ) columns = 0;
  buf_append(&t->made, x->text, (size_t)(line + columns<x->n ? line + columns : x->n));
  for(int i=x->n-line; i<columns; i++) buf_char(&t->made, t->g.space);
}

/* Appends a statement's text, its lines after the first one moved to the right. */
static int append_moved(struct twin *t, const char *text, size_t n, int shift){
  struct statements parsed;
  if( python_statements(&parsed, text, n, t->run->arena, t->run->err)!=SQLITE_OK ){
    return t->run->err->rc;
  }
  for(int i=0; parsed.n>0 && i<parsed.all[0].n; i++){
    const struct lexeme *x = &parsed.all[0].lexemes[i];
    int is_break = x->sort==LEXEME_SPACE && memchr(x->text, '\n', (size_t)x->n)!=NULL;
    if( is_break ) append_break(t, x, shift);
    else buf_append(&t->made, x->text, (size_t)x->n);
  }
  return SQLITE_OK;
}

/* The statement of f whose change g's statement k takes: its partner; or the nearest with the same
** keyword, where k has no partner, so that each `return` is changed. -1: none. */
static int changed_as(const struct twin *t, int k){
  int nearest = t->g_f[k];
  float least = APART;
  if( nearest>=0 || t->g.all[k].lexemes[0].sort!=LEXEME_KEYWORD ) return nearest;
  for(int i=0; i<t->f.n; i++){
    float apart;
    if( role_of(&t->f.all[i])!=ROLE_BODY || !same_keyword(&t->f.all[i], &t->g.all[k]) ) continue;
    apart = distance(t, &t->f, i, &t->g, k);
    if( apart>=least ) continue;
    least = apart;
    nearest = i;
  }
  return nearest;
}

/* Statement k of g, changed as f's was. */
static int append_own(struct twin *t, int k){
  const struct statement *s = &t->g.all[k];
  int i = changed_as(t, k);
  int j = i>=0 ? t->f_twin[i] : -1;
  struct content text = text_of(s);
  struct buf changed = { 0 };
  begin_line(t, s, s->indent, s->indent + t->shift[k]);
  if( j>=0 && !same_text(&t->f.all[i], &t->twin.all[j])
   && statement_edit(t->run, &t->f.all[i], &t->twin.all[j], s, &t->names, &changed) ){
    t->n_carried++;
    append_moved(t, changed.data, changed.n, t->shift[k]);
  }else{
    append_moved(t, text.bytes, text.n, t->shift[k]);
  }
  if( changed.rc!=SQLITE_OK ) fail_nomem(t->run->err);
  buf_release(&changed);
  return t->run->err->rc;
}

/* Statement j of the twin, which f has not. */
static int append_inserted(struct twin *t, int j, struct slot slot){
  const struct statement *s = &t->twin.all[j];
  int indent = scaled(t, s->indent);
  struct buf named = { 0 };
  if( slot.g>=0 ){
    int off = s->indent - t->twin.all[slot.twin].indent;
    indent = t->g.all[slot.g].indent + t->shift[slot.g] + scaled(t, off);
  }
  if( indent<0 ) indent = 0;
  begin_line(t, s, 0, indent);
  lexemes_append(&named, s->lexemes, 0, s->n, &t->names);
  if( named.rc!=SQLITE_OK ) fail_nomem(t->run->err);
  else append_moved(t, named.data, named.n, indent - s->indent);
  t->n_carried++;
  buf_release(&named);
  return t->run->err->rc;
}

static int make_text(struct twin *t){
  for(int k=0; k<=t->g.n; k++){
    for(int j=0; j<t->twin.n; j++){
      if( t->slots[j].at!=k ) continue;
      if( append_inserted(t, j, t->slots[j])!=SQLITE_OK ) return t->run->err->rc;
    }
    if( err_stopped(t->run->err) ) return t->run->err->rc;
    if( k==t->g.n || t->is_deleted[k] ) continue;
    if( append_own(t, k)!=SQLITE_OK ) return t->run->err->rc;
  }
  return t->made.rc==SQLITE_OK ? SQLITE_OK : fail_nomem(t->run->err);
}

static int is_too_long(const struct function *f){
  return f->n==0 || f->n>STATEMENTS_MOST;
}

/* t->made: what g becomes. 0: nothing was carried over, or run->err has a failure. */
static int carry(struct twin *t){
  struct err *e = t->run->err;
  const char *g = t->g.text.bytes;
  if( is_too_long(&t->f) || is_too_long(&t->twin) || is_too_long(&t->g) ) return 0;
  if( set_points(t)!=SQLITE_OK || align_all(t)!=SQLITE_OK ) return 0;
  if( set_names(t)!=SQLITE_OK || set_shifts(t)!=SQLITE_OK || set_deleted(t)!=SQLITE_OK ) return 0;
  if( set_slots(t)!=SQLITE_OK || make_text(t)!=SQLITE_OK ) return 0;
  if( t->n_carried==0 || t->n_lines==0 ) return 0;
  if( !python_valid(g, t->g.text.n, e) ) return e->rc==SQLITE_OK;
  return python_valid(buf_text(&t->made), t->made.n, e);
}

int twin_carry(const struct model *m, struct run *run, const struct latent z[3],
               const struct content known[3], struct buf *out, int *is_carried){
  struct twin t = { .m = m, .run = run };
  *is_carried = 0;
  assert( m->config.kind==KIND_CODE );
  if( read_functions(&t, z, known)!=SQLITE_OK ) return run->err->rc;
  *is_carried = carry(&t);
  if( *is_carried ) utf8_clean(out, t.made.data, t.made.n);
  buf_release(&t.made);
  return run->err->rc;
}
