/*
** functions_tokens.c -- latent_tokens(): what a text is made of.
**
** latent_tokens(text): one row a token, as the model reads it. Spaces show as U+2581, so that they can be seen and counted; a text that
** holds a U+2581 itself is spelled in bytes there (<0xE2>), so the two cannot be taken for each other. The bytes of all rows
** together are one space and then the text.
** latent_tokens(a, b, t): one row a word of latent_interp(a, b, t), and which parent has the word too. Words are what stands between white
** space; they are compared without the punctuation around them, and without case.
*/
#include "functions.h"
#include <stdlib.h>
#include <string.h>

/* ---- latent_tokens(text) ---- */

/* The token for human eyes. Byte tokens and control characters show as <0x0A>. */
static void print_token(struct buf *out, int id, const struct buf *bytes){
  size_t i;

  for(i=0; i<bytes->n; i++){
    unsigned char byte = (unsigned char)bytes->data[i];
    if( id<TOKEN_PIECE || byte<' ' || byte==0x7f ){
      buf_printf(out, "<0x%02X>", byte);
    }else if( byte==' ' ){
      buf_str(out, "\xe2\x96\x81");
    }else{
      buf_char(out, (char)byte);
    }
  }
}

static void fill_text(struct call *c, struct rows *r){
  struct buf bytes = {0}, shown = {0};
  struct content text = call_text(c, 0, "text");
  const struct model *m = call_model(c);
  int i, k, n_segments, *ids, *start;

  if( m==NULL || text_segment(m, &c->run, text.bytes, text.n, &ids, &start, &n_segments)!=SQLITE_OK ) return;
  for(i=0; i<n_segments && !run_stopped(&c->run); i++){
    for(k=start[i]; k<start[i+1]; k++){
      bytes.n = shown.n = 0;
      tokenizer_decode(m->config.tokenizer, ids[k], &bytes);
      print_token(&shown, ids[k], &bytes);
      rows_integer(r, k + 1);
      rows_text(r, buf_text(&shown), shown.n);
      rows_integer(r, ids[k]);
      rows_blob(r, buf_text(&bytes), bytes.n);
      rows_integer(r, i + 1);
      rows_null(r);
    }
  }
  if( bytes.rc!=SQLITE_OK || shown.rc!=SQLITE_OK ) fail_nomem(&c->err);
  buf_release(&shown);
  buf_release(&bytes);
}

/* ---- latent_tokens(a, b, t) ---- */

struct word {
  const char *text;             /* as written, in the text it comes from */
  size_t n;
  const char *key;              /* what is compared: no punctuation around it, small letters. From the arena */
  size_t key_n;
};
struct words { struct word *words; size_t n; };

static int is_space(char c){
  return c==' ' || (c>='\t' && c<='\r');
}

/* Bytes of the punctuation at p, of n bytes: an ASCII mark, or one of U+2000..203F (dashes, quotation marks, the ellipsis). */
static size_t mark_length(const char *p, size_t n){
  unsigned char c = (unsigned char)*p;

  if( (c>='!' && c<='/') || (c>=':' && c<='@') || (c>='[' && c<='`') || (c>='{' && c<='~') ) return 1;
  return n>=3 && memcmp(p, "\xe2\x80", 2)==0 ? 3 : 0;
}

/* A to Z and the capitals of Latin-1 (U+00C0..00DE but for the multiplication sign) become small. */
static void fold_case(char *text, size_t n){
  size_t i;

  for(i=0; i<n; i++){
    unsigned char c = (unsigned char)text[i];
    int is_latin = i>0 && (unsigned char)text[i-1]==0xc3 && c>=0x80 && c<=0x9e && c!=0x97;
    if( (c>='A' && c<='Z') || is_latin ) text[i] = (char)(c + 32);
  }
}

/* w->text, w->n -> w->key. A word of nothing but punctuation is its own key. */
static void make_key(struct word *w, char *copy){
  size_t n;

  memcpy(copy, w->text, w->n);
  w->key = copy;
  w->key_n = w->n;
  while( w->key_n>0 && (n = mark_length(w->key, w->key_n))>0 ){
    w->key += n;
    w->key_n -= n;
  }
  while( w->key_n>0 && mark_length(w->key + w->key_n - 1, 1) ) w->key_n--;
  while( w->key_n>3 && mark_length(w->key + w->key_n - 3, 3)==3 ) w->key_n -= 3;
  if( w->key_n==0 ){
    w->key = copy;
    w->key_n = w->n;
  }
  fold_case(copy, w->n);
}

/* The words of a text, in order; they point into it. */
static int split_words(struct call *c, const char *text, size_t n, struct words *out){
  char *copy = arena_get(&c->arena, n + 1);
  size_t i, begin;

  out->n = 0;
  out->words = arena_get(&c->arena, sizeof(struct word)*(n/2 + 1));
  if( c->arena.oom ) return fail_nomem(&c->err);
  for(i=0; i<n; ){
    struct word *w = &out->words[out->n];
    while( i<n && is_space(text[i]) ) i++;
    begin = i;
    while( i<n && !is_space(text[i]) ) i++;
    if( i==begin ) break;
    w->text = text + begin;
    w->n = i - begin;
    make_key(w, copy + begin);
    out->n++;
  }
  return SQLITE_OK;
}

static int compare_words(const void *x, const void *y){
  const struct word *a = x, *b = y;
  int order = memcmp(a->key, b->key, a->key_n<b->key_n ? a->key_n : b->key_n);

  return order ? order : (a->key_n>b->key_n) - (a->key_n<b->key_n);
}
static int has_word(const struct words *parent, const struct word *w){
  return parent->n>0 && bsearch(w, parent->words, parent->n, sizeof(*w), compare_words)!=NULL;
}

/* Argument i, a parent: its point, and its words, sorted. A latent's words are those of what it decodes to. */
static struct latent get_parent(struct call *c, int i, const char *name, struct words *words){
  struct latent z = call_point(c, i, name);
  const struct model *m = latent_model(c, &z);
  struct buf text = { 0 };

  if( m && z.kind==KIND_PICTURE ){
    fail(&c->err, SQLITE_ERROR, "argument %d (%s) is of kind picture, which has no words: expected text", i + 1, name);
  }
  if( c->err.rc!=SQLITE_OK ) return z;
  if( sqlite3_value_type(c->args[i])==SQLITE_TEXT ){
    struct content content = value_bytes(c, c->args[i]);
    buf_append(&text, content.bytes, content.n);
  }else{
    struct decode_options o;
    decode_options_init(&o);
    text_decode(m, &c->run, &z, &o, &text, NULL);
  }
  if( text.rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  if( c->err.rc==SQLITE_OK && split_words(c, buf_text(&text), text.n, words)==SQLITE_OK && words->n>1 ){
    qsort(words->words, words->n, sizeof(struct word), compare_words);
  }
  buf_release(&text);   /* keys are copies: the words as written are not asked for again */
  return z;
}

static const char *source_of(const struct words *a, const struct words *b, const struct word *w){
  int in_a = has_word(a, w), in_b = has_word(b, w);

  return in_a && in_b ? "both" : in_a ? "a" : in_b ? "b" : "neither";
}

/* The segments of the point at t, decoded to one text each, as latent_interp() does it. */
static int decode_segments(struct call *c, const struct model *m, const struct latent *parents, const struct latent *z, double t, struct buf *texts){
  struct latent *each = arena_get(&c->arena, sizeof(*each)*z->n_segments);
  double *ts = arena_get(&c->arena, sizeof(*ts)*z->n_segments);
  struct between points = { parents, each, ts, z->n_segments, texts, NULL };
  struct decode_options o;
  int i;

  if( c->arena.oom ) return fail_nomem(&c->err);
  for(i=0; i<z->n_segments; i++){
    each[i] = *z;
    each[i].n_segments = 1;
    each[i].z = z->z + (size_t)i*z->width;
    ts[i] = t;
  }
  decode_options_init(&o);
  return between_decode(m, &c->run, &points, &o, c->rounds);
}

static int give_words(struct call *c, const struct words *a, const struct words *b, struct buf *texts, int n_texts, struct rows *r){
  struct words words;
  sqlite3_int64 position = 0;
  size_t k;
  int i;

  for(i=0; i<n_texts; i++){
    if( split_words(c, buf_text(&texts[i]), texts[i].n, &words)!=SQLITE_OK ) return c->err.rc;
    for(k=0; k<words.n; k++){
      const struct word *w = &words.words[k];
      const char *source = source_of(a, b, w);
      rows_integer(r, ++position);
      rows_text(r, w->text, w->n);
      rows_null(r);
      rows_blob(r, w->text, w->n);
      rows_integer(r, i + 1);
      rows_text(r, source, strlen(source));
    }
  }
  return SQLITE_OK;
}

static void fill_words(struct call *c, struct rows *r){
  double t = call_number(c, 2, "t", 0, 1);
  struct latent parents[2], z;
  struct words a, b;
  struct buf *texts;
  const struct model *m;

  parents[0] = get_parent(c, 0, "a", &a);
  parents[1] = get_parent(c, 1, "b", &b);
  check_kinds(c, parents, 2);
  m = latent_model(c, &parents[0]);
  if( m==NULL ) return;
  if( point_interp(&z, &parents[0], &parents[1], (float)interp_ease(t), &c->arena, &c->err)!=SQLITE_OK ) return;
  texts = arena_zeroed(&c->arena, sizeof(*texts)*(size_t)z.n_segments);
  if( texts==NULL ){
    fail_nomem(&c->err);
    return;
  }
  if( decode_segments(c, m, parents, &z, t, texts)==SQLITE_OK ) give_words(c, &a, &b, texts, z.n_segments, r);
  for(int i=0; i<z.n_segments; i++) buf_release(&texts[i]);
}

void tokens_fill(struct call *c, struct rows *r){
  if( c->n_args==1 ){
    fill_text(c, r);
  }else if( c->n_args==3 ){
    fill_words(c, r);
  }else{
    fail(&c->err, SQLITE_ERROR, "got %d arguments, expected 1 (a text) or 3 (a, b and t)", c->n_args);
  }
}
