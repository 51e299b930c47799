/*
** model_text.c -- texts to segments to points, and back.
**
** A document is one space and then the text. It is cut, in this order:
**
**   1. Before the white space that follows the end of a sentence: one of . ! ? and then any closing
**      quotes or brackets. Not where that white space is one space and a lower-case letter follows
**      ("etc. and", "Node.js is"), and not after the full stop of an abbreviation
**      (is_abbreviation()). Code has no sentences: for it only 2 and 3 hold.
**   2. Before white space that holds a line break.
**   3. Where a piece still has more tokens than a segment may have: before the last token that
**      starts with a space, or else at the last token that does not start inside a UTF-8 character.
**
**   4. Where there are more than FOLD_FREE segments, and more than one for each FOLD_BYTES of the
**      text, tiny neighbours are folded into one segment, as long as it has room: a thousand times
**      "Yes." needs no thousand points.
**
** White space at the very end stays where it is. Nothing is dropped: the segments joined are the
** document, whatever its bytes.
**
** A latent has at most SEGMENTS_MOST segments. Of a text that needs more (4 MB of full ones, at
** least) each point is the mean of as many neighbours as it takes.
*/
#include "model.h"
#include <assert.h>
#include <string.h>

enum {
  SEGMENTS_MOST = 65535,                /* what a latent's header can say */
  FOLD_FREE = 256,                      /* segments that are never too many */
  FOLD_BYTES = 24,                      /* so a latent is at most 33 times as large as its text */
  TEXT_BYTES_MOST = 1000000000          /* SQLite's own limit */
};

/* ---- Where a document is cut ---- */

static int is_break(char c){
  return c=='\n' || c=='\r';
}

/* Bytes of the closing quote or bracket that ends before text[at], or 0. These are ) ] } " ' and
** U+2019, U+201D, U+00BB. */
static size_t closing_before(const char *text, size_t at){
  const char *end = text + at;
  if( at>=1 && end[-1]!=0 && strchr(")]}\"'", end[-1]) ) return 1;
  if( at>=3 && memcmp(end-3, "\xe2\x80\x99", 3)==0 ) return 3;
  if( at>=3 && memcmp(end-3, "\xe2\x80\x9d", 3)==0 ) return 3;
  if( at>=2 && memcmp(end-2, "\xc2\xbb", 2)==0 ) return 2;
  return 0;
}

static int ends_sentence(const char *text, size_t at){
  size_t n;
  while( (n = closing_before(text, at))>0 ) at -= n;
  return at>0 && (text[at-1]=='.' || text[at-1]=='!' || text[at-1]=='?');
}

/* Is text[at] in a word that goes on after it, as the 1 of "1st" and the last byte of a letter that
** is not ASCII? Quotes are no part of a word: U+2010 to U+203F, U+00AB and their like. */
static int is_in_word(const char *text, size_t at){
  unsigned char c = (unsigned char)text[at];
  if( c<0x80 ) return is_ascii_letter((char)c) || is_ascii_digit((char)c) || c=='\'';
  if( at>=2 && memcmp(text + at - 2, "\xe2\x80", 2)==0 ) return 0;
  return at<1 || (unsigned char)text[at-1]!=0xc2;
}

/* Does the full stop text[dot] belong to an abbreviation, after which a sentence goes on? That is
** one before a name (a title), before any word, or before a figure; or an initial, which is one
** capital alone, as in "J. Smith" and "U.S. Army". "I." is no initial. Words that are more often
** the last of a sentence ("etc.", "in.", "Sun.") are not here. `next`: what follows the space. */
static int is_abbreviation(const char *text, size_t dot, char next){
  static const char always[] =
    " mr mrs ms messrs mme mlle dr prof st rev hon gen col maj capt lt sgt gov sen rep pres"
    " e.g i.e vs cf viz ";
  static const char before_figures[] =
    " no nos nr vol ch sec fig figs eq art p pp ca jan feb mar apr jun jul aug sep sept oct nov dec"
    " ft lb lbs oz hr min kg km cm mm ";
  enum { LONGEST = 6 };                 /* of these words */
  char word[LONGEST+3];
  size_t from = dot;
  int n = 0;
  while( from>0 && (is_ascii_letter(text[from-1]) || text[from-1]=='.') ) from--;
  if( from==dot || (from>0 && is_in_word(text, from-1)) ) return 0;
  if( is_ascii_upper(text[dot-1]) && (dot-1==from || text[dot-2]=='.') ){
    return !(text[dot-1]=='I' && dot-1==from);
  }
  if( dot-from>LONGEST ) return 0;
  word[n++] = ' ';
  for(size_t i=from; i<dot; i++) word[n++] = (char)ascii_lower(text[i]);
  word[n++] = ' ';
  word[n] = 0;
  return strstr(always, word)!=NULL
      || (is_ascii_digit(next) && strstr(before_figures, word)!=NULL);
}

/* Is text cut before the white space space..next-1, at the end of a sentence? */
static int cuts_sentence(const char *text, size_t space, size_t next){
  int is_one_space = next==space+1 && text[space]==' ';
  if( !ends_sentence(text, space) || (is_one_space && is_ascii_lower(text[next])) ) return 0;
  return text[space-1]!='.' || !is_abbreviation(text, space-1, text[next]);
}

/* The end of the sentence that starts at `from`: where the next one starts, or n. */
static size_t sentence_end(int kind, const char *text, size_t n, size_t from){
  size_t at = from;
  while( at<n && is_ascii_space(text[at]) ) at++;       /* its own leading white space */
  while( at<n ){
    int has_break = 0;
    size_t space;
    while( at<n && !is_ascii_space(text[at]) ) at++;
    space = at;
    while( at<n && is_ascii_space(text[at]) ) has_break |= is_break(text[at++]);
    if( at==n ) break;
    if( has_break ) return space;
    if( kind!=KIND_CODE && cuts_sentence(text, space, at) ) return space;
  }
  return n;
}

/* Does token i start inside a UTF-8 character? */
static int starts_inside(const char *sentence, const size_t *starts, int i){
  return ((unsigned char)sentence[starts[i]] & 0xc0)==0x80;
}

/* Where to cut a sentence's tokens from..n-1, so that at most `limit` of them stay. */
static int cut_tokens(const char *sentence, const size_t *starts, int from, int n, int limit){
  int most = from + limit;
  if( n<=most ) return n;
  for(int i=most; i>from; i--){
    if( sentence[starts[i]]==' ' ) return i;
  }
  for(int i=most; i>from && i>most-4; i--){
    if( !starts_inside(sentence, starts, i) ) return i;
  }
  return most;
}

/* ---- Segments ---- */

struct segments {                       /* as they grow */
  int *ids, *start;
  int n;
  int limit;                            /* most tokens of one */
};

static int add_sentence(const struct model *m, struct run *run, struct segments *s,
                        const char *sentence, size_t n){
  struct arena_mark mark = arena_mark(run->arena);
  size_t *starts;
  int *ids, n_ids;
  int at = 0;
  tokenizer_encode(m->config.tokenizer, sentence, n, run->arena, &ids, &starts, &n_ids, run->err);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  while( at<n_ids ){
    int end = cut_tokens(sentence, starts, at, n_ids, s->limit);
    int first = s->start[s->n];
    memcpy(s->ids + first, ids + at, (size_t)(end - at)*sizeof(int));
    s->start[++s->n] = first + end - at;
    at = end;
  }
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

/* Joins neighbours of which one has fewer than `least` tokens, where a segment has room for both.
** */
static void fold_below(struct segments *s, int least){
  int n = 0;
  for(int i=1; i<s->n; i++){
    int before = s->start[i] - s->start[n];
    int own = s->start[i+1] - s->start[i];
    int is_folded = (before<least || own<least) && before + own<=s->limit;
    if( !is_folded ) s->start[++n] = s->start[i];
  }
  s->start[n+1] = s->start[s->n];
  s->n = n + 1;
}

/* Folds the segments of a text of n bytes until there are not too many, the smallest first. */
static void fold_segments(struct segments *s, size_t n){
  size_t most = n/FOLD_BYTES;
  if( most<FOLD_FREE ) most = FOLD_FREE;
  if( most>SEGMENTS_MOST ) most = SEGMENTS_MOST;
  for(int least=2; (size_t)s->n>most && least<2*s->limit; least*=2) fold_below(s, least);
}

int text_check(const struct model *m, struct err *e){
  if( m->config.tokenizer ) return SQLITE_OK;
  return fail(e, SQLITE_ERROR,
              "a model of kind %s reads and writes no text, expected one of kind text or code",
              kind_name(m->config.kind));
}

int text_segment(const struct model *m, struct run *run, const char *text, size_t n, int **ids,
                 int **start, int *n_segments){
  struct segments s = { .limit = m->config.shape.longest - 1 };
  size_t at = 0;
  char *document;
  *ids = *start = NULL;
  *n_segments = 0;
  assert( text || n==0 );
  if( text_check(m, run->err)!=SQLITE_OK ) return run->err->rc;
  if( n>=TEXT_BYTES_MOST ){
    return fail(run->err, SQLITE_TOOBIG, "the text has %llu bytes, expected fewer than 1e9",
                (unsigned long long)n);
  }
  s.ids = arena_get(run->arena, (n + 2)*sizeof(int));   /* a token has at least one byte */
  s.start = arena_get(run->arena, (n + 2)*sizeof(int));
  document = arena_get(run->arena, n + 1);
  if( run->arena->oom ) return fail_nomem(run->err);
  document[0] = ' ';
  if( n>0 ) memcpy(document + 1, text, n);
  s.start[0] = 0;
  while( at<n+1 ){
    size_t end = sentence_end(m->config.kind, document, n + 1, at);
    add_sentence(m, run, &s, document + at, end - at);
    if( run->err->rc!=SQLITE_OK || err_stopped(run->err) ) return run->err->rc;
    at = end;
  }
  fold_segments(&s, n);
  *ids = s.ids;
  *start = s.start;
  *n_segments = s.n;
  return SQLITE_OK;
}

/* ---- Passages ---- */

/* Appends the bytes without white space around them. */
static void append_trimmed(struct buf *out, const char *text, size_t n){
  while( n>0 && is_ascii_space(text[n-1]) ) n--;
  while( n>0 && is_ascii_space(text[0]) ){
    text++;
    n--;
  }
  utf8_clean(out, text, n);
}

int text_passages(const struct model *m, struct run *run, const char *text, size_t bytes,
                  int n_segments, struct buf *all, size_t **ends, int *n){
  int each = passage_segments(n_segments);
  struct buf passage = { 0 };
  int *ids, *start, n_found;
  *n = 0;
  *ends = arena_get(run->arena, ((size_t)n_segments + 1)*sizeof(**ends));
  if( run->arena->oom ) return fail_nomem(run->err);
  if( text_segment(m, run, text, bytes, &ids, &start, &n_found)!=SQLITE_OK ) return run->err->rc;
  for(int from=0; n_found==n_segments && from<n_segments; from+=each){
    int to = from+each<n_segments ? from+each : n_segments;
    passage.n = 0;
    for(int k=start[from]; k<start[to]; k++){
      tokenizer_decode(m->config.tokenizer, ids[k], &passage);
    }
    append_trimmed(all, buf_text(&passage), passage.n);
    (*ends)[(*n)++] = all->n;
  }
  if( passage.rc!=SQLITE_OK || all->rc==SQLITE_NOMEM ) fail_nomem(run->err);
  buf_release(&passage);
  return run->err->rc;
}

/* ---- Texts to points, many in one batch ----
**
** Segments of one text that have the same tokens are one row: a log, a table or a thousand times
** the same letter costs what is different in it. */

struct text_rows {                      /* a text's segments as rows of tokens */
  int *ids, *start;
  int n;
};

struct distinct_rows {                  /* of all texts, one text after another */
  int *ids, *start;
  int *texts;                           /* [n]: the number of each row's text */
  int n;
  int *row_of;                          /* the row of each segment of all texts */
};

/* Room for the rows of n texts. */
static int distinct_init(struct distinct_rows *d, struct run *run, const struct text_rows *texts,
                         int n){
  size_t n_ids = 0, n_rows = 0;
  *d = (struct distinct_rows){ 0 };
  for(int i=0; i<n; i++){
    n_rows += texts[i].n;
    n_ids += texts[i].start[texts[i].n];
  }
  if( n_ids>INT32_MAX || n_rows>=INT32_MAX ){
    return fail(run->err, SQLITE_TOOBIG, "%d texts have %zu tokens, too many for one batch",
                n, n_ids);
  }
  d->ids = arena_get(run->arena, (n_ids + 1)*sizeof(int));
  d->start = arena_get(run->arena, (n_rows + 1)*sizeof(int));
  d->texts = arena_get(run->arena, n_rows*sizeof(int));
  d->row_of = arena_get(run->arena, n_rows*sizeof(int));
  if( run->arena->oom ) return fail_nomem(run->err);
  d->start[0] = 0;
  return SQLITE_OK;
}

static int is_row(const struct distinct_rows *d, int row, const int *ids, int n){
  const int *own = d->ids + d->start[row];
  return d->start[row+1] - d->start[row]==n && memcmp(own, ids, (size_t)n*sizeof(int))==0;
}

/* The row of these tokens, which may be a new one. known: the rows of this text by their hash. Two
** rows of one hash stay two. */
static int distinct_row(struct distinct_rows *d, struct key_set *known, int text, const int *ids,
                        int n){
  uint64_t hash = hash64(ids, (size_t)n*sizeof(int));
  int row = key_set_value(known, hash);
  if( row>=0 && is_row(d, row, ids, n) ) return row;
  key_set_put(known, hash, d->n);
  memcpy(d->ids + d->start[d->n], ids, (size_t)n*sizeof(int));
  d->texts[d->n] = text;
  d->start[d->n+1] = d->start[d->n] + n;
  return d->n++;
}

static int join_rows(struct run *run, const struct text_rows *texts, int n,
                     struct distinct_rows *d){
  int *row_of;
  if( distinct_init(d, run, texts, n)!=SQLITE_OK ) return run->err->rc;
  row_of = d->row_of;
  for(int i=0; i<n; i++){
    const struct text_rows *text = &texts[i];
    struct key_set known = { .has_values = 1 };
    int rc = key_set_reserve(&known, (size_t)text->n);
    for(int k=0; k<text->n && rc==SQLITE_OK; k++){
      int first = text->start[k];
      *row_of++ = distinct_row(d, &known, i, text->ids + first, text->start[k+1] - first);
    }
    key_set_release(&known);
    if( rc!=SQLITE_OK ) return fail_nomem(run->err);
  }
  return SQLITE_OK;
}

/* How many neighbours of n share a point, so that there are at most SEGMENTS_MOST points. */
static int segments_each(int n){
  return (n + SEGMENTS_MOST - 1)/SEGMENTS_MOST;
}

/* The latent of n segments, whose points are rows row_of[n] of points. */
static struct latent latent_of_rows(const struct model *m, struct run *run, const float *points,
                                    const int *row_of, int n){
  int each = segments_each(n);
  struct latent z = latent_of(m, (n + each - 1)/each);
  size_t width = (size_t)z.width;
  z.z = arena_floats(run->arena, (size_t)z.n_segments*width);
  if( z.z==NULL ) return z;
  for(int i=0; i<n; i++){
    float *point = latent_segment(&z, i/each);
    const float *row = points + (size_t)row_of[i]*width;
    if( i%each==0 ) memcpy(point, row, width*sizeof(float));
    else add(point, row, z.width);
  }
  if( each==1 ) return z;
  for(int i=0; i<z.n_segments; i++){
    float *point = latent_segment(&z, i);
    int count = n - i*each<each ? n - i*each : each;
    for(int k=0; k<z.width; k++) point[k] /= (float)count;
  }
  point_normalize(&z);
  return z;
}

int texts_encode(const struct model *m, struct run *run, const char *const *texts,
                 const size_t *texts_bytes, int n, int rounds, struct latent *z){
  struct text_rows *rows = arena_get(run->arena, (size_t)n*sizeof(*rows));
  size_t width = (size_t)model_width(m);
  struct distinct_rows all;
  const int *row_of;
  float *points;
  for(int i=0; i<n; i++) z[i] = (struct latent){ 0 };
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n; i++){
    struct text_rows *own = &rows[i];
    text_segment(m, run, texts[i], texts_bytes[i], &own->ids, &own->start, &own->n);
    if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  }
  if( join_rows(run, rows, n, &all)!=SQLITE_OK ) return run->err->rc;
  points = arena_floats(run->arena, (size_t)all.n*width);
  if( points==NULL ) return fail_nomem(run->err);
  encode_refined(m, run, all.ids, all.start, all.texts, all.n, rounds, points);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  row_of = all.row_of;
  for(int i=0; i<n; i++){
    z[i] = latent_of_rows(m, run, points, row_of, rows[i].n);
    row_of += rows[i].n;
  }
  if( run->arena->oom ) return fail_nomem(run->err);
  return SQLITE_OK;
}

/* ---- How likely a text is at a point ---- */

int text_score(const struct model *m, struct run *run, const char *text, size_t n,
               const struct latent *z, float *mean){
  struct arena_mark mark = arena_mark(run->arena);
  size_t width = (size_t)z->width;
  float *points, *sums;
  float sum = 0;
  int *ids, *start, n_segments;
  *mean = 0;
  assert( z->n_segments>0 && z->width==model_width(m) );
  text_segment(m, run, text, n, &ids, &start, &n_segments);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  points = arena_floats(run->arena, (size_t)n_segments*width);
  sums = arena_floats(run->arena, (size_t)n_segments);
  if( run->arena->oom ) return fail_nomem(run->err);
  for(int i=0; i<n_segments; i++){
    int point = i/segments_each(n_segments);
    int from = point<z->n_segments ? point : z->n_segments-1;
    memcpy(points + i*width, z->z + from*width, width*sizeof(float));
  }
  score_tokens(m, run, points, ids, start, n_segments, sums, NULL, NULL);
  if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  for(int i=0; i<n_segments; i++) sum += sums[i];
  *mean = sum/(float)(start[n_segments] + n_segments);  /* each segment's END is a token too */
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}
