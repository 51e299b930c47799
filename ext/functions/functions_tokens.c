/*
** functions_tokens.c -- latent_tokens(): what a text is made of.
**
** latent_tokens(text): one row for each token, as the model reads it. Spaces show as U+2581, so
** that they can be seen and counted. A U+2581 of the text itself is spelled in bytes (<0xE2>), so
** the two cannot be confused. The bytes of all rows together are one space and then the text.
**
** latent_tokens(a, b, t): one row for each word of latent_interp(a, b, t), with the parents that
** have the word too. Words are what stands between white space. They are compared without the
** punctuation around them, and without case.
*/
#include "functions.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- latent_tokens(text) ---- */

/* The token for human eyes. Byte tokens and control characters show as <0x0A>. */
static void print_token(struct buf *out, int id, const struct buf *bytes){
  for(size_t i=0; i<bytes->n; i++){
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

/* One row: position, token, id, bytes, segment, source. */
static void give_token(struct call *c, const struct model *m, int id, int position, int segment,
                       struct rows *r){
  struct buf bytes = { 0 }, shown = { 0 };
  tokenizer_decode(m->config.tokenizer, id, &bytes);
  print_token(&shown, id, &bytes);
  rows_integer(r, position);
  rows_text(r, buf_text(&shown), shown.n);
  rows_integer(r, id);
  rows_blob(r, buf_text(&bytes), bytes.n);
  rows_integer(r, segment);
  rows_null(r);
  if( bytes.rc!=SQLITE_OK || shown.rc!=SQLITE_OK ) fail_nomem(&c->err);
  buf_release(&shown);
  buf_release(&bytes);
}

static void fill_text(struct call *c, struct rows *r){
  struct content text = call_text(c, 0, "text");
  const struct model *m = call_model(c);
  int *ids, *start, n_segments;
  if( m==NULL ) return;
  if( text_segment(m, &c->run, text.bytes, text.n, &ids, &start, &n_segments)!=SQLITE_OK ) return;
  for(int i=0; i<n_segments && !err_stopped(&c->err); i++){
    for(int k=start[i]; k<start[i+1] && c->err.rc==SQLITE_OK; k++){
      give_token(c, m, ids[k], k + 1, i + 1, r);
    }
  }
}

/* ---- Words ---- */

struct word {
  const char *text;             /* as written; borrowed from the text it comes from */
  size_t n;
  const char *key;              /* what is compared: small letters, no punctuation around them */
  size_t key_n;
};
struct words {                  /* in the call's arena, keys too */
  struct word *words;
  size_t n;
};

static int is_ascii_mark(int c){
  return (c>='!' && c<='/') || (c>=':' && c<='@') || (c>='[' && c<='`') || (c>='{' && c<='~');
}

/* Bytes of the punctuation at p, of n bytes; 0 if there is none. Punctuation is an ASCII mark, or
** one of U+2000 to U+203F: dashes, quotation marks, the ellipsis. */
static size_t mark_length(const char *p, size_t n){
  if( is_ascii_mark((unsigned char)*p) ) return 1;
  return n>=3 && memcmp(p, "\xe2\x80", 2)==0 ? 3 : 0;
}

/* A to Z and the capitals of Latin-1 become small. Those are U+00C0 to U+00DE, of which the
** multiplication sign, U+00D7, is none. Their second byte in UTF-8 is 0x80 to 0x9E, after 0xC3. */
static void fold_case(char *text, size_t n){
  for(size_t i=0; i<n; i++){
    unsigned char byte = (unsigned char)text[i];
    int is_second = i>0 && (unsigned char)text[i-1]==0xc3;
    int is_latin = is_second && byte>=0x80 && byte<=0x9e && byte!=0x97;
    if( is_ascii_upper(byte) || is_latin ) text[i] = (char)(byte + 32);
  }
}

/* Sets the word's key, for which copy has room. A word of nothing but punctuation is its own key.
** */
static void make_key(struct word *w, char *copy){
  const char *key = copy;
  size_t n = w->n;
  memcpy(copy, w->text, w->n);
  while( n>0 ){
    size_t mark = mark_length(key, n);
    if( mark==0 ) break;
    key += mark;
    n -= mark;
  }
  while( n>0 && mark_length(key + n - 1, 1)>0 ) n--;
  while( n>3 && mark_length(key + n - 3, 3)==3 ) n -= 3;
  w->key = n>0 ? key : copy;
  w->key_n = n>0 ? n : w->n;
  fold_case(copy, w->n);
}

/* The words of a text, in order. They point into it. */
static struct words split_words(struct call *c, const struct buf *text){
  size_t n = text->n;
  char *copy = arena_get(&c->arena, n + 1);
  struct words out = { .words = arena_get(&c->arena, (n/2 + 1)*sizeof(struct word)) };
  size_t i = 0;
  if( c->arena.oom ) fail_nomem(&c->err);
  while( c->err.rc==SQLITE_OK ){
    struct word *w = &out.words[out.n];
    size_t begin;
    while( i<n && is_ascii_space(text->data[i]) ) i++;
    begin = i;
    while( i<n && !is_ascii_space(text->data[i]) ) i++;
    if( i==begin ) break;
    assert( out.n<=n/2 );
    w->text = text->data + begin;
    w->n = i - begin;
    make_key(w, copy + begin);
    out.n++;
  }
  return out;
}

static int compare_words(const void *x, const void *y){
  const struct word *a = x;
  const struct word *b = y;
  int order = memcmp(a->key, b->key, a->key_n<b->key_n ? a->key_n : b->key_n);
  return order ? order : (a->key_n>b->key_n) - (a->key_n<b->key_n);
}

/* The parent's words are sorted. */
static int has_word(const struct words *parent, const struct word *w){
  if( parent->n==0 ) return 0;
  return bsearch(w, parent->words, parent->n, sizeof(*w), compare_words)!=NULL;
}

/* ---- latent_tokens(a, b, t) ---- */

/* The text of argument i, whose point is z: as it was given, or what a latent decodes to. */
static void put_parent(struct call *c, int i, const struct model *m, const struct latent *z,
                       struct buf *text){
  struct decode_options o;
  if( c->err.rc!=SQLITE_OK ) return;
  if( sqlite3_value_type(c->args[i])==SQLITE_TEXT ){
    struct content content = value_bytes(c, c->args[i]);
    buf_append(text, content.bytes, content.n);
  }else{
    decode_options_init(&o);
    text_decode(m, &c->run, z, &o, text, NULL);
  }
  if( text->rc==SQLITE_NOMEM ) fail_nomem(&c->err);
}

/* Argument i, a parent: its point, and its words, sorted. Only the keys of the words are used, and
** these are copies. */
static struct latent get_parent(struct call *c, int i, const char *name, struct words *words){
  struct latent z = call_point(c, i, name);
  const struct model *m = latent_model(c, &z);
  struct buf text = { 0 };
  if( m && z.kind==KIND_PICTURE ){
    fail(&c->err, SQLITE_ERROR, "argument %d (%s) is of kind picture, which has no words: "
         "expected text", i + 1, name);
  }
  put_parent(c, i, m, &z, &text);
  *words = split_words(c, &text);
  if( words->n>1 ) qsort(words->words, words->n, sizeof(struct word), compare_words);
  buf_release(&text);
  return z;
}

/* Decodes the point at t to a text, as latent_interp() does it. */
static void decode_between(struct call *c, const struct model *m, const struct latent *parents,
                           const struct latent *z, double t, struct buf *text){
  struct between middle = { .ends = parents, .z = z, .t = &t, .n = 1, .contents = text };
  struct options o = { 0 };
  decode_options_init(&o.decode);
  call_writer(c, m, &o, point_is_between(z), z->n_segments);
  if( c->err.rc==SQLITE_OK ) between_decode(m, &c->run, &middle, &o.decode, c->rounds);
}

/* Bytes up to the end of each segment of a text, from the arena; *n is how many segments. The space
** before a text counts, which the model puts there. */
static size_t *find_segments(struct call *c, const struct model *m, struct buf *text, int *n){
  struct buf bytes = { 0 };
  int *ids, *start;
  size_t *ends;
  *n = 0;
  if( text_segment(m, &c->run, buf_text(text), text->n, &ids, &start, n)!=SQLITE_OK ) return NULL;
  ends = arena_get(&c->arena, (size_t)*n*sizeof(*ends));
  if( ends==NULL ) fail_nomem(&c->err);
  for(int i=0; i<*n && c->err.rc==SQLITE_OK; i++){
    for(int k=start[i]; k<start[i+1]; k++) tokenizer_decode(m->config.tokenizer, ids[k], &bytes);
    ends[i] = bytes.n;
    if( bytes.rc!=SQLITE_OK ) fail_nomem(&c->err);
  }
  buf_release(&bytes);
  return ends;
}

static const char *source_of(const struct words *parents, const struct word *w){
  int in_a = has_word(&parents[0], w);
  int in_b = has_word(&parents[1], w);
  if( in_a && in_b ) return "both";
  if( in_a ) return "a";
  return in_b ? "b" : "neither";
}

/* One row for each word of the text: position, token, id, bytes, segment, source. */
static void give_words(struct call *c, const struct model *m, const struct words *parents,
                       struct buf *text, struct rows *r){
  struct words words = split_words(c, text);
  int segment = 0;
  int n;
  size_t *ends = find_segments(c, m, text, &n);
  for(size_t k=0; k<words.n && c->err.rc==SQLITE_OK; k++){
    const struct word *w = &words.words[k];
    const char *source = source_of(parents, w);
    while( segment<n-1 && (size_t)(w->text - text->data) + 1>=ends[segment] ) segment++;
    rows_integer(r, (sqlite3_int64)k + 1);
    rows_text(r, w->text, w->n);
    rows_null(r);
    rows_blob(r, w->text, w->n);
    rows_integer(r, segment + 1);
    rows_text(r, source, strlen(source));
  }
}

static void fill_words(struct call *c, struct rows *r){
  double t = call_number(c, 2, "t", 0, 1);
  struct latent parents[2], z;
  struct words words[2];        /* of the parents */
  struct buf text = { 0 };
  const struct model *m;
  float eased;
  parents[0] = get_parent(c, 0, "a", &words[0]);
  parents[1] = get_parent(c, 1, "b", &words[1]);
  check_kinds(c, parents, 2);
  m = latent_model(c, &parents[0]);
  if( m==NULL ) return;
  eased = (float)interp_ease(m->config.kind, t);
  if( point_interp(&z, &parents[0], &parents[1], eased, &c->arena, &c->err)!=SQLITE_OK ) return;
  decode_between(c, m, parents, &z, t, &text);
  if( c->err.rc==SQLITE_OK ) give_words(c, m, words, &text, r);
  buf_release(&text);
}

void tokens_fill(struct call *c, struct rows *r){
  if( c->n_args==1 ){
    fill_text(c, r);
  }else if( c->n_args==3 ){
    fill_words(c, r);
  }else{
    fail(&c->err, SQLITE_ERROR, "got %d arguments, expected 1 (a text) or 3 (a, b and t)",
         c->n_args);
  }
}
