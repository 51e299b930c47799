/*
** model_text.c -- text to segments to points, and back.
**
** A document is one space and then the text. It is cut, in this order:
**   1. before the white space that follows a sentence end: one of . ! ? and then any closing quotes or brackets. Not when that white space is
**      one space and a lower-case letter follows ("e.g. this", "Node.js is");
**      Code has no sentences: only 2 and 3 hold for it;
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
static size_t sentence_end(int kind, const char *text, size_t n, size_t from){
  size_t at = from;
  while( at<n && is_space(text[at]) ) at++;                     /* its own leading white space */
  while( at<n ){
    size_t space, broken = 0;
    while( at<n && !is_space(text[at]) ) at++;
    for(space=at; at<n && is_space(text[at]); at++) broken |= is_break(text[at]);
    if( at==n ) break;
    if( broken ) return space;
    if( kind!=KIND_CODE && ends_sentence(text, space) && !(at==space+1 && text[space]==' ' && text[at]>='a' && text[at]<='z') ) return space;
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

static int check_kind(const struct model *m, struct err *e){
  if( m->config.tokenizer ) return SQLITE_OK;
  return fail(e, SQLITE_ERROR, "a model of kind %s reads and writes no text, expected one of kind text or code", kind_name(m->config.kind));
}

int text_segment(const struct model *m, struct run *run, const char *text, size_t n, int **ids, int **start, int *n_segments){
  struct segments s = { 0, 0, 0, m->config.shape.longest-1 };
  size_t room = n+1<MAX_SEGMENTS ? n+1 : MAX_SEGMENTS, at = 0;
  char *document;
  *ids = *start = 0;
  *n_segments = 0;
  if( check_kind(m, run->err) ) return run->err->rc;
  if( n>=1000000000 ) return fail(run->err, SQLITE_TOOBIG, "the text has %llu bytes, expected fewer than 1e9", (unsigned long long)n);
  s.ids = arena_get(run->arena, (n+2)*sizeof(int));             /* a token has one byte at least */
  s.start = arena_get(run->arena, (room+1)*sizeof(int));
  document = arena_get(run->arena, n+1);
  if( run->arena->oom ) return fail_nomem(run->err);
  document[0] = ' ';
  if( n ) memcpy(document+1, text, n);
  s.start[0] = 0;
  while( at<n+1 ){
    size_t end = sentence_end(m->config.kind, document, n+1, at);
    if( add_sentence(m, run, &s, document+at, end-at) || run_stopped(run) ) return run->err->rc;
    at = end;
  }
  *ids = s.ids;
  *start = s.start;
  *n_segments = s.n;
  return SQLITE_OK;
}

/* ---- Many texts in one batch; one text is a batch of one ---- */

/* Joins n texts' token rows, text i having counts[i] of them in ids[i], starts[i], into one batch for encode_tokens(). */
static int join_rows(struct run *run, int **ids, int **starts, const int *counts, int n, int **all_ids, int **all_start, int *n_rows){
  size_t n_ids = 0, rows = 0, at = 0;
  *all_ids = *all_start = 0;
  *n_rows = 0;
  for(int i=0; i<n; i++){
    rows += counts[i];
    n_ids += starts[i][counts[i]];
  }
  if( n_ids>INT32_MAX || rows>=INT32_MAX ) return fail(run->err, SQLITE_TOOBIG, "%d texts have %zu tokens, too many for one batch", n, n_ids);
  *all_ids = arena_get(run->arena, (n_ids+1)*sizeof(int));
  *all_start = arena_get(run->arena, (rows+1)*sizeof(int));
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    int n_own = starts[i][counts[i]];
    if( n_own ) memcpy(*all_ids + at, ids[i], n_own*sizeof(int));
    for(int k=0; k<counts[i]; k++) (*all_start)[(*n_rows)++] = (int)at + starts[i][k];
    at += n_own;
  }
  (*all_start)[*n_rows] = (int)at;
  return SQLITE_OK;
}

int texts_encode(const struct model *m, struct run *run, const char *const *texts, const size_t *texts_bytes, int n, int rounds, struct latent *z){
  int width = m->config.shape.s + m->config.shape.r, n_rows, *all_ids, *all_start;
  int **ids = arena_get(run->arena, n*sizeof(*ids)), **starts = arena_get(run->arena, n*sizeof(*starts));
  int *counts = arena_get(run->arena, n*sizeof(*counts));
  float *rows;
  memset(z, 0, n*sizeof(*z));
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    if( text_segment(m, run, texts[i], texts_bytes[i], &ids[i], &starts[i], &counts[i]) ) return run->err->rc;
  }
  if( join_rows(run, ids, starts, counts, n, &all_ids, &all_start, &n_rows) ) return run->err->rc;
  rows = arena_floats(run->arena, (size_t)n_rows*width);
  if( rows==0 ) return fail_nomem(run->err);
  if( encode_tokens(m, run, all_ids, all_start, n_rows, rows) || refine_tokens(m, run, all_ids, all_start, n_rows, rounds, rows) ) return run->err->rc;
  for(int i=0; i<n; i++){
    z[i] = latent_of(m, counts[i]);
    z[i].z = rows;
    rows += (size_t)counts[i]*width;
  }
  return SQLITE_OK;
}

int text_encode(const struct model *m, struct run *run, const char *text, size_t n, struct latent *out){
  return texts_encode(m, run, &text, &n, 1, 0, out);
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

/* fidelities[i]: the cosine between a segment of z[i] and what its tokens encode to, mean over its segments. rows: all segments, one
** after another, as tokens has them. */
static int measure_fidelities(const struct model *m, struct run *run, const struct latent *z, int n, const float *rows, const struct tokens *tokens,
                              int n_rows, int rounds, float *fidelities){
  int width = m->config.shape.s + m->config.shape.r;
  float *again = arena_floats(run->arena, (size_t)n_rows*width);
  if( again==0 ) return fail_nomem(run->err);
  if( tokens_encode(m, run, tokens, n_rows, rounds, again) ) return run->err->rc;
  for(int i=0; i<n; i++){
    float sum = 0;
    for(int k=0; k<z[i].n_segments; k++, rows+=width, again+=width) sum += point_cosine(rows, again, width);
    fidelities[i] = sum/(float)z[i].n_segments;
  }
  return SQLITE_OK;
}

/* All segments of z[n] in one array: rows[n_rows, s+r], and the fluency of each. */
static int gather_rows(const struct model *m, struct run *run, const struct latent *z, int n, const float *fluencies, float **rows, float **dials,
                       int *n_rows){
  size_t width = m->config.shape.s + m->config.shape.r, count = 0;
  *rows = *dials = 0;
  *n_rows = 0;
  for(int i=0; i<n; i++) count += z[i].n_segments;
  if( count>=INT32_MAX ) return fail(run->err, SQLITE_TOOBIG, "%zu segments are too many for one batch", count);
  *rows = arena_floats(run->arena, count*width);
  *dials = arena_floats(run->arena, count);
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    memcpy(*rows + *n_rows*width, z[i].z, z[i].n_segments*width*sizeof(float));
    for(int k=0; k<z[i].n_segments; k++) (*dials)[(*n_rows)++] = fluencies[i];
  }
  return SQLITE_OK;
}

int texts_decode(const struct model *m, struct run *run, const struct latent *z, int n, const float *fluencies, const struct decode_options *o,
                 struct buf *texts, float *fidelities){
  struct arena_mark mark = arena_mark(run->arena);
  struct decode_options options = *o;
  struct tokens *tokens;
  float *rows, *dials;
  int n_rows, at = 0;
  if( fidelities ) memset(fidelities, 0, n*sizeof(float));
  if( check_kind(m, run->err) ) return run->err->rc;
  if( gather_rows(m, run, z, n, fluencies, &rows, &dials, &n_rows) ) return run->err->rc;
  tokens = arena_get(run->arena, n_rows*sizeof(struct tokens));
  if( tokens==0 ) return fail_nomem(run->err);
  options.fluencies = dials;
  if( decode_tokens(m, run, rows, n_rows, &options, tokens) ) return run->err->rc;
  for(int i=0; i<n; at+=z[i++].n_segments){
    if( append_text(m, tokens+at, z[i].n_segments, &texts[i], run->err) ) return run->err->rc;
  }
  if( fidelities && measure_fidelities(m, run, z, n, rows, tokens, n_rows, o->refine, fidelities) ) return run->err->rc;
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

int text_decode(const struct model *m, struct run *run, const struct latent *z, const struct decode_options *o, struct buf *out, float *fidelity){
  return texts_decode(m, run, z, 1, &o->fluency, o, out, fidelity);
}

/* ---- How likely a text is at a point ---- */

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
  if( score_tokens(m, run, points, ids, start, n_segments, sums, 0, NULL) ) return run->err->rc;
  for(int i=0; i<n_segments; i++) sum += sums[i];
  *mean = sum/(float)(start[n_segments] + n_segments);          /* every segment's END is a token too */
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}
