/*
** model_text.c -- text to segments to points, and back.
**
** A document is one space and then the text. It is cut, in this order:
**   1. before the white space that follows a sentence end: one of . ! ? and then any closing quotes or brackets. Not when that white space is
**      one space and a lower-case letter follows ("e.g. this", "Node.js is");
**   2. before white space that holds a line break;
**   3. where a piece still has more tokens than a segment may: before the last token that starts with a space, else at the last token
**      that does not start inside a UTF-8 character.
** White space at the very end stays where it is. Nothing is dropped: the segments joined are the document, for any bytes.
*/
#include "model.h"
#include <string.h>

#define MAX_SEGMENTS 65535              /* what a latent's header can say */

static int is_space(char c){ return c==' ' || (c>='\t' && c<='\r'); }
static int is_break(char c){ return c=='\n' || c=='\r'; }

/* Bytes of the closing quote or bracket that ends before text[at], or 0: ) ] } " ' and U+2019, U+201D, U+00BB. */
static int closing_before(const char *text, size_t at){
  if( at>=1 && text[at-1]!=0 && strchr(")]}\"'", text[at-1]) ) return 1;
  if( at>=3 && (memcmp(text+at-3, "\xe2\x80\x99", 3)==0 || memcmp(text+at-3, "\xe2\x80\x9d", 3)==0) ) return 3;
  if( at>=2 && memcmp(text+at-2, "\xc2\xbb", 2)==0 ) return 2;
  return 0;
}

static int ends_sentence(const char *text, size_t at){
  int n;
  while( (n = closing_before(text, at))>0 ) at -= n;
  return at>0 && (text[at-1]=='.' || text[at-1]=='!' || text[at-1]=='?');
}

/* The end of the sentence that starts at `from`: where the next one starts, or n. */
static size_t sentence_end(const char *text, size_t n, size_t from){
  size_t at = from;
  while( at<n && is_space(text[at]) ) at++;                     /* its own leading white space */
  while( at<n ){
    size_t space, broken = 0;
    while( at<n && !is_space(text[at]) ) at++;
    for(space=at; at<n && is_space(text[at]); at++) broken |= is_break(text[at]);
    if( at==n ) break;
    if( broken ) return space;
    if( ends_sentence(text, space) && !(at==space+1 && text[space]==' ' && text[at]>='a' && text[at]<='z') ) return space;
  }
  return n;
}

/* Where to cut a sentence's tokens from..n: at most `limit` of them stay. */
static int cut_tokens(const char *sentence, const size_t *starts, int from, int n, int limit){
  int most = from+limit;
  if( n<=most ) return n;
  for(int i=most; i>from; i--){
    if( sentence[starts[i]]==' ' ) return i;
  }
  for(int i=most; i>from && i>most-4; i--){
    if( ((unsigned char)sentence[starts[i]] & 0xc0)!=0x80 ) return i;
  }
  return most;
}

/* The segments as they grow. */
struct segments { int *ids, *start; int n, limit; };

static int add_sentence(const struct model *m, struct run *run, struct segments *s, const char *sentence, size_t n){
  struct arena_mark mark = arena_mark(run->arena);
  size_t *starts;
  int *ids, n_ids, at = 0;
  if( tokenizer_encode(m->config.tokenizer, sentence, n, run->arena, &ids, &starts, &n_ids, run->err) ) return run->err->rc;
  while( at<n_ids ){
    int end = cut_tokens(sentence, starts, at, n_ids, s->limit), first = s->start[s->n];
    if( s->n==MAX_SEGMENTS ){
      return fail(run->err, SQLITE_TOOBIG, "the text has more than %d segments, expected at most that many", MAX_SEGMENTS);
    }
    memcpy(s->ids + first, ids+at, (size_t)(end-at)*sizeof(int));
    s->start[++s->n] = first + end-at;
    at = end;
  }
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

int text_segment(const struct model *m, struct run *run, const char *text, size_t n, int **ids, int **start, int *n_segments){
  struct segments s = { 0, 0, 0, m->config.shape.longest-1 };
  size_t room = n+1<MAX_SEGMENTS ? n+1 : MAX_SEGMENTS, at = 0;
  char *document;
  *ids = *start = 0;
  *n_segments = 0;
  if( n>=1000000000 ) return fail(run->err, SQLITE_TOOBIG, "the text has %llu bytes, expected fewer than 1e9", (unsigned long long)n);
  s.ids = arena_get(run->arena, (n+2)*sizeof(int));             /* a token has one byte at least */
  s.start = arena_get(run->arena, (room+1)*sizeof(int));
  document = arena_get(run->arena, n+1);
  if( run->arena->oom ) return fail_nomem(run->err);
  document[0] = ' ';
  if( n ) memcpy(document+1, text, n);
  s.start[0] = 0;
  while( at<n+1 ){
    size_t end = sentence_end(document, n+1, at);
    if( add_sentence(m, run, &s, document+at, end-at) || run_stopped(run) ) return run->err->rc;
    at = end;
  }
  *ids = s.ids;
  *start = s.start;
  *n_segments = s.n;
  return SQLITE_OK;
}

int text_encode(const struct model *m, struct run *run, const char *text, size_t n, struct latent *out){
  const struct shape *c = &m->config.shape;
  float *z;
  int *ids, *start, n_segments;
  memset(out, 0, sizeof(*out));
  if( text_segment(m, run, text, n, &ids, &start, &n_segments) ) return run->err->rc;
  z = arena_floats(run->arena, (size_t)n_segments*(c->s + c->r));
  if( z==0 ) return fail_nomem(run->err);
  if( encode_tokens(m, run, ids, start, n_segments, z) ) return run->err->rc;
  out->kind = KIND_TEXT;
  out->n_segments = n_segments;
  out->width = c->s + c->r;
  out->fingerprint = m->config.fingerprint;
  out->z = z;
  return SQLITE_OK;
}

static int mean_fidelity(const struct model *m, struct run *run, const struct latent *z, const struct tokens *rows, float *fidelity){
  size_t count = (size_t)z->n_segments*z->width;
  float *again = arena_floats(run->arena, count), sum = 0;
  if( again==0 ) return fail_nomem(run->err);
  if( tokens_encode(m, run, rows, z->n_segments, again) ) return run->err->rc;
  for(int i=0; i<z->n_segments; i++){
    size_t at = (size_t)i*z->width;
    sum += point_cosine(z->z + at, again + at, z->width);
  }
  *fidelity = sum/(float)z->n_segments;
  return SQLITE_OK;
}

/* Appends the texts of all segments as valid UTF-8, without the space that text_segment() puts first. */
static int append_text(const struct model *m, const struct tokens *rows, int n, struct buf *out, struct err *e){
  struct buf bytes = {0};
  for(int i=0; i<n; i++){
    for(int k=0; k<rows[i].n; k++) tokenizer_decode(m->config.tokenizer, rows[i].ids[k], &bytes);
  }
  if( bytes.rc==SQLITE_OK && bytes.n>0 ){
    int skip = bytes.data[0]==' ';
    utf8_clean(out, bytes.data+skip, bytes.n-skip);
  }
  if( bytes.rc ) fail(e, bytes.rc, bytes.rc==SQLITE_NOMEM ? "out of memory" : "decode: the text is too long");
  if( out->rc ) fail(e, out->rc, out->rc==SQLITE_NOMEM ? "out of memory" : "decode: the text is too long");
  buf_release(&bytes);
  return e->rc;
}

int text_decode(const struct model *m, struct run *run, const struct latent *z, const struct decode_options *o, struct buf *out, float *fidelity){
  struct arena_mark mark = arena_mark(run->arena);
  struct tokens *rows = arena_get(run->arena, z->n_segments*sizeof(struct tokens));
  if( fidelity ) *fidelity = 0;
  if( rows==0 ) return fail_nomem(run->err);
  if( decode_tokens(m, run, z->z, z->n_segments, o, rows) ) return run->err->rc;
  if( append_text(m, rows, z->n_segments, out, run->err) ) return run->err->rc;
  if( fidelity && mean_fidelity(m, run, z, rows, fidelity) ) return run->err->rc;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

int text_score(const struct model *m, struct run *run, const char *text, size_t n, const struct latent *z, float *mean){
  struct arena_mark mark = arena_mark(run->arena);
  float *points, *sums, sum = 0;
  int *ids, *start, n_segments;
  *mean = 0;
  if( text_segment(m, run, text, n, &ids, &start, &n_segments) ) return run->err->rc;
  points = arena_floats(run->arena, (size_t)n_segments*z->width);
  sums = arena_floats(run->arena, n_segments);
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n_segments; i++){
    int from = i<z->n_segments ? i : z->n_segments-1;
    memcpy(points + (size_t)i*z->width, z->z + (size_t)from*z->width, z->width*sizeof(float));
  }
  if( score_tokens(m, run, points, ids, start, n_segments, sums, 0) ) return run->err->rc;
  for(int i=0; i<n_segments; i++) sum += sums[i];
  *mean = sum/(float)(start[n_segments] + n_segments);          /* every segment's END is a token too */
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}
