/*
** model_wanted.c -- the words of the texts that a point lies between.
**
** What stands between two texts takes something from both. A point says what they mean, but less of
** their words the less alike they are, and the writer then says what is general. So where these
** texts are known, the scores of their words get a bonus:
**
**   - of pieces that begin a word, the more the rarer they are. Pieces are numbered about as often
**     as they occur, so the number tells: " the" is 260, " sauce" 14,124.
**   - until the word is said. The words of a text that has said more than its part get less.
**   - of pieces that go on with a word as one of the texts does, once that much of it is said.
**
** Words count as they are written and in small letters: who has said one of the two has said both.
** And whatever the writer takes up, a word that is not common is not said again as readily.
** model/TRAINING.md has what this gives.
*/
#include "model.h"
#include <string.h>

enum { PIECES_READ = 64 };              /* of a text, in each way of writing it */
enum { COMMON = 1000, RARE = 8000 };    /* pieces up to COMMON get none, from RARE on all of it */
static const float FAVOUR = 4;          /* nats: the bonus */
static const float AHEAD = 0.4f;        /* of it is left to a text that is ahead */
static const float SAID = 1.5f;         /* nats that a word loses each time it is said */
enum { SAID_SO = 1, SAID_OTHERWISE };   /* of is_said: in this spelling, in another */

/* ---- What is wanted ---- */

static int begins_word(const struct buf *piece){
  int first = piece->n>1 ? (unsigned char)piece->data[1] : ' ';
  return piece->n>1 && piece->data[0]==' ' && is_word_part(first) && !is_ascii_digit(first);
}

static int goes_on(const struct buf *piece){
  int first = piece->n>0 ? (unsigned char)piece->data[0] : ' ';
  return is_word_part(first) && !is_ascii_digit(first);
}

static void want(struct wanted *w, struct wanted_piece new){
  if( new.weight<=0 ) return;
  for(int i=0; i<w->n; i++){
    const struct wanted_piece *p = &w->pieces[i];
    if( p->id==new.id && p->before==new.before && p->parent==new.parent ) return;
  }
  w->pieces[w->n++] = new;
}

static float rarity(int id){
  float x = (float)(id - COMMON)/(float)(RARE - COMMON);
  return x<0 ? 0 : x>1 ? 1 : x;
}

/* Adds the words of a text, which counts `weight`. */
static int want_words(struct wanted *w, const struct bpe *b, const char *text, size_t n,
                      int parent, float weight, struct run *run){
  struct buf piece = { 0 };
  int is_inside = 0;
  int word = 0;
  int *ids, n_ids;
  if( bpe_encode(b, text, n, run->arena, &ids, &n_ids, run->err)!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n_ids && i<PIECES_READ; i++){
    piece.n = 0;
    bpe_decode(b, ids[i], &piece);
    if( begins_word(&piece) ){
      is_inside = 1;
      want(w, (struct wanted_piece){ ids[i], -1, parent, ++word, weight*rarity(ids[i]) });
    }else{
      is_inside = is_inside && goes_on(&piece);
      if( is_inside ) want(w, (struct wanted_piece){ ids[i], ids[i-1], parent, word, weight });
    }
  }
  if( piece.rc!=SQLITE_OK ) fail_nomem(run->err);
  buf_release(&piece);
  return run->err->rc;
}

/* The text as the writer would begin it: behind a space, and no longer than can be read. */
static char *as_written(const struct content *text, size_t *n, struct arena *a){
  enum { BYTES = 16*PIECES_READ };
  size_t skip = text->n>0 && *(const char *)text->bytes==' ';
  char *copy;
  *n = text->n - skip<BYTES ? text->n - skip : BYTES;
  copy = arena_get(a, *n + 1);
  if( copy==NULL ) return NULL;
  copy[0] = ' ';
  if( *n>0 ) memcpy(copy + 1, (const char *)text->bytes + skip, *n);
  ++*n;
  return copy;
}

int wanted_make(struct wanted *w, const struct bpe *b, struct run *run, const struct parents *p){
  struct arena *a = run->arena;
  size_t most = (size_t)p->n*2*PIECES_READ;
  *w = (struct wanted){ .pieces = arena_get(a, most*sizeof(*w->pieces)), .parents = p->n };
  if( w->pieces==NULL ) return fail_nomem(run->err);
  for(int i=0; i<p->n; i++){
    float weight = p->weights[i]*(float)p->n;
    size_t n;
    char *text = as_written(&p->texts[i], &n, a);
    if( text==NULL ) return fail_nomem(run->err);
    if( weight>1 ) weight = 1;
    if( want_words(w, b, text, n, i, weight, run)!=SQLITE_OK ) return run->err->rc;
    for(size_t k=0; k<n; k++) text[k] = (char)ascii_lower((unsigned char)text[k]);
    if( want_words(w, b, text, n, i, weight, run)!=SQLITE_OK ) return run->err->rc;
  }
  return SQLITE_OK;
}

/* ---- What is said of it ---- */

int said_make(struct said *s, const struct wanted *w, struct arena *a){
  *s = (struct said){ .is_said = arena_zeroed(a, (size_t)w->n + 1) };
  return s->is_said==NULL ? SQLITE_NOMEM : SQLITE_OK;
}

/* Has the parent said more words than another? */
static int is_ahead(const struct said *s, int parent, int n){
  for(int i=0; i<n; i++){
    if( s->words[parent]>s->words[i] ) return 1;
  }
  return 0;
}

/* From 0 to 1; `last` is the piece that was written last. */
static float bonus_of(const struct wanted *w, const struct said *s, int at, int last){
  const struct wanted_piece *p = &w->pieces[at];
  if( p->before>=0 ) return p->before==last ? p->weight : 0;
  if( s->is_said[at] ) return 0;
  return is_ahead(s, p->parent, w->parents) ? AHEAD*p->weight : p->weight;
}

void wanted_favour(const struct wanted *w, const struct said *s, const int *ids, int n, float sign,
                   float *y){
  for(int i=0; i<w->n; i++){
    y[w->pieces[i].id] += sign*FAVOUR*bonus_of(w, s, i, ids[n-1]);
  }
  for(int i=0; i<n; i++){
    if( ids[i]>=COMMON ) y[ids[i]] -= sign*SAID;
  }
  for(int i=0; i<w->n; i++){
    if( s->is_said[i]==SAID_OTHERWISE ) y[w->pieces[i].id] -= sign*SAID;
  }
}

/* The word of pieces[at] is said: by this piece. In another spelling it has others. */
static void say_word(const struct wanted *w, struct said *s, int at){
  const struct wanted_piece *p = &w->pieces[at];
  for(int i=0; i<w->n; i++){
    const struct wanted_piece *other = &w->pieces[i];
    if( other->parent!=p->parent || other->word!=p->word || other->before>=0 ) continue;
    if( !s->is_said[i] ) s->is_said[i] = other->id==p->id ? SAID_SO : SAID_OTHERWISE;
  }
}

void wanted_say(const struct wanted *w, struct said *s, int id){
  int says[PARENTS_MOST] = { 0 };
  for(int i=0; i<w->n; i++){
    const struct wanted_piece *p = &w->pieces[i];
    if( p->id!=id || p->before>=0 || s->is_said[i] ) continue;
    say_word(w, s, i);
    says[p->parent] = 1;
  }
  for(int i=0; i<w->parents; i++) s->words[i] += says[i];
}
