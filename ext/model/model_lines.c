/*
** model_lines.c -- of each line's candidates one, so that the lines together are Python.
**
** The lines of code are decoded apart from each other. What is encoded comes back as it was, but
** between two functions a bracket may be opened that no later line closes. So of the candidates for
** the lines of a text those are taken that are nearest to their points, all together, of those that
** parse. That is a beam search, line by line, with BEAM beginnings of the text. (The writer writes
** a line behind those before it, which are chosen by then. So its search is one of a single line.)
**
**   1. Each beginning goes on with each candidate of the next line. Such a pair has the sum of the
**      marks of its lines, and they are looked at in that order.
**   2. A pair is kept if the text up to there may begin Python (python_begins()), and after the
**      last line, if it is Python (python_valid()). Once BEAM are kept, no more are looked at.
**   3. A candidate may also stand where the lines before it ask for: below the last one, or deeper
**      where that opens a block. That costs it MOVED, for its point says where it stood.
**   4. Where none is kept, the nearest candidates are taken, of this line and of all that follow.
*/
#include "model.h"
#include "grammar.h"
#include <string.h>

enum {
  BEAM = 4,
  TRIES_MOST = 48,                      /* pairs of a line that are looked at, about */
  STEP = 4                              /* columns of a block, where a line is moved into it */
};
static const float MOVED = 0.05f;

struct beginning {
  const char *text;                     /* [n]: of the lines so far, from the arena */
  size_t n;
  float sum;                            /* of the marks of its lines */
  int before;                           /* the beginning that it goes on from, one line shorter */
  int candidate;                        /* of its last line; that and k: it was moved */
};

struct search {
  const struct model *m;
  struct run *run;
  const struct lines *lines;
  struct beginning *kept;               /* [lines+1, BEAM] */
  int *n_kept;                          /* [lines+1] */
  struct content *texts;                /* [k]: the candidates of the present line */
};

/* Is a candidate of the line the same as one before it? */
static int is_repeated(const struct search *s, int candidate){
  const struct content *own = &s->texts[candidate];
  for(int i=0; i<candidate; i++){
    const struct content *text = &s->texts[i];
    if( text->n==own->n && memcmp(text->bytes, own->bytes, own->n)==0 ) return 1;
  }
  return 0;
}

/* The text without the space that text_segment() puts first. */
static int parses(struct search *s, const char *text, size_t n, int is_whole){
  size_t skip = n>0 && text[0]==' ';
  return is_whole ? python_valid(text + skip, n - skip, s->run->err)
                  : python_begins(text + skip, n - skip, s->run->err);
}

/* Appends the candidate, moved to where the text asks for it. 0: it cannot be moved, or stands
** there anyway. */
static int append_moved(struct buf *text, const struct content *candidate){
  struct layout layout = python_layout(text->data, text->n);
  int column = layout.column + (layout.is_opener ? STEP : 0);
  const char *bytes = candidate->bytes;
  size_t first = 0;                     /* byte of the candidate's line, and of its statement */
  size_t at = 0;
  for(; at<candidate->n && is_ascii_space(bytes[at]); at++){
    if( bytes[at]=='\n' ) first = at + 1;
  }
  if( text->n==0 || first==0 || layout.is_open || at-first==(size_t)column ) return 0;
  buf_append(text, bytes, first);
  for(int i=0; i<column; i++) buf_char(text, ' ');
  buf_append(text, bytes + at, candidate->n - at);
  return 1;
}

/* Keeps the beginning with the candidate after it, if that parses. */
static int try_pair(struct search *s, int line, int before, int candidate, float sum){
  const struct beginning *b = &s->kept[line*BEAM + before];
  const struct content *text = &s->texts[candidate%s->lines->k];
  int is_whole = s->lines->is_whole && line==s->lines->n-1;
  struct buf joined = { 0 };
  int is_good = 1;
  char *copy;
  buf_append(&joined, b->text, b->n);
  if( candidate>=s->lines->k ) is_good = append_moved(&joined, text);
  else buf_append(&joined, text->bytes, text->n);
  if( joined.rc!=SQLITE_OK ) fail_nomem(s->run->err);
  if( is_good ) is_good = parses(s, buf_text(&joined), joined.n, is_whole);
  if( is_good && s->run->err->rc==SQLITE_OK ){
    copy = buf_copy(&joined, s->run->arena);
    if( copy==NULL ) fail_nomem(s->run->err);
    s->kept[(line + 1)*BEAM + s->n_kept[line+1]++] =
      (struct beginning){ copy, joined.n, sum, before, candidate };
  }
  buf_release(&joined);
  return s->run->err->rc;
}

/* The pair whose sum is the greatest of those that are less than `most`, or as great and later.
** Which is the last one that was looked at, *before and *candidate. 0: there is none. */
static int next_pair(const struct search *s, int line, float *most, int *before, int *candidate){
  int k = s->lines->k;
  int each = 2*k;
  int last = *before*each + *candidate;
  int next = -1;
  float best = 0;
  for(int at=0; at<s->n_kept[line]*each; at++){
    float sum = s->kept[line*BEAM + at/each].sum + s->lines->marks[line*k + at%k];
    if( at%each>=k ) sum -= MOVED;
    if( sum>*most || (sum==*most && at<=last) || (next>=0 && sum<=best) ) continue;
    best = sum;
    next = at;
  }
  if( next<0 ) return 0;
  *most = best;
  *before = next/each;
  *candidate = next%each;
  return 1;
}

/* From the beginnings of `line` lines those of one more. */
static int search_line(struct search *s, int line){
  float sum = 1e30f;
  int k = s->lines->k;
  int before = -1;
  int candidate = -1;
  for(int i=0; i<k; i++){
    struct tokens *tokens = &s->lines->candidates[line*k + i];
    if( tokens_text(s->m, s->run, tokens, &s->texts[i])!=SQLITE_OK ) return s->run->err->rc;
  }
  for(int tries=0; tries<TRIES_MOST && s->n_kept[line+1]<BEAM; tries++){
    if( err_stopped(s->run->err) ) return s->run->err->rc;
    if( !next_pair(s, line, &sum, &before, &candidate) ) break;
    if( is_repeated(s, candidate%k) ) continue;
    if( try_pair(s, line, before, candidate, sum)!=SQLITE_OK ) return s->run->err->rc;
  }
  return SQLITE_OK;
}

static int search_init(struct search *s){
  struct arena *a = s->run->arena;
  size_t n = (size_t)s->lines->n + 1;
  s->kept = arena_get(a, n*BEAM*sizeof(*s->kept));
  s->n_kept = arena_zeroed(a, n*sizeof(int));
  s->texts = arena_get(a, (size_t)s->lines->k*sizeof(*s->texts));
  if( a->oom ) return fail_nomem(s->run->err);
  s->kept[0] = (struct beginning){ .text = "" };
  if( s->lines->before.n>0 ){
    s->kept[0].text = s->lines->before.bytes;
    s->kept[0].n = s->lines->before.n;
  }
  s->n_kept[0] = 1;
  return SQLITE_OK;
}

/* The tokens of a line that was moved, in the place of its candidate's. Where they are too many, it
** stays where it stood. */
static int replace_tokens(struct search *s, int line, const struct beginning *b){
  const struct beginning *before = &s->kept[(line - 1)*BEAM + b->before];
  int k = s->lines->k;
  struct tokens *tokens = &s->lines->candidates[(line - 1)*k + b->candidate%k];
  size_t *starts;
  int *ids, n;
  tokenizer_encode(s->m->config.tokenizer, b->text + before->n, b->n - before->n, s->run->arena,
                   &ids, &starts, &n, s->run->err);
  if( s->run->err->rc!=SQLITE_OK ) return s->run->err->rc;
  if( n>s->lines->most_tokens ) return SQLITE_OK;
  memcpy(tokens->ids, ids, (size_t)n*sizeof(int));
  tokens->n = n;
  return SQLITE_OK;
}

int lines_choose(const struct model *m, struct run *run, const struct lines *lines){
  struct arena_mark mark = arena_mark(run->arena);
  struct search s = { .m = m, .run = run, .lines = lines };
  int k = lines->k;
  int done = 0;
  int at = 0;
  if( search_init(&s)!=SQLITE_OK ) return run->err->rc;
  while( done<lines->n ){
    if( search_line(&s, done)!=SQLITE_OK ) return run->err->rc;
    if( s.n_kept[done+1]==0 ) break;
    done++;
  }
  for(int line=done; line>0; line--){
    const struct beginning *b = &s.kept[line*BEAM + at];
    lines->chosen[line-1] = b->candidate%k;
    if( b->candidate>=k && replace_tokens(&s, line, b)!=SQLITE_OK ) return run->err->rc;
    at = b->before;
  }
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}

int line_marks(const struct model *m, struct run *run, const struct tokens *candidates, int k,
               float penalty, float *marks){
  struct arena_mark mark = arena_mark(run->arena);
  struct search s = { .m = m, .run = run };
  for(int i=0; i<k; i++){
    struct content text;
    const char *bytes;
    if( tokens_text(m, run, &candidates[i], &text)!=SQLITE_OK ) return run->err->rc;
    bytes = text.bytes;
    while( text.n>0 && is_ascii_space(*bytes) ){
      bytes++;
      text.n--;
    }
    if( !parses(&s, bytes, text.n, 0) ) marks[i] -= penalty;
    if( run->err->rc!=SQLITE_OK ) return run->err->rc;
  }
  arena_rewind(run->arena, mark);
  return SQLITE_OK;
}
