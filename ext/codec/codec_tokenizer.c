/*
** codec_tokenizer.c -- text to token ids and back: unigram pieces, Viterbi over a trie, bytes where
** no piece fits.
**
** model/tokenizer.py is the plain definition, this is the fast one. Both give the same ids, in ties
** too, because both add the same doubles in the same order.
**
** A piece's U+2581 stands for a space. It is turned into a space when the trie is built, so texts
** are never rewritten and offsets are offsets in the text. A U+2581 in a text matches no piece and
** is spelled in bytes.
**
** tokenizer_encode() works over the boundaries of characters. A byte that is not UTF-8 is a
** character of its own.
**   1. best[0] = 0
**   2. from each boundary, in order, two kinds of edges lead to later boundaries:
**      a. one character, spelled in bytes: the lowest score of all pieces, minus 10
**      b. each piece with which the text continues: its score
**      a boundary keeps the edge into it with the highest sum
**   3. back from the end of the text along the edges kept
** Every boundary is reached, at least by (a). A piece ends on a boundary because it is valid UTF-8
** itself. The model is from Kudo: "Subword regularization", ACL 2018.
**
** Ties: for each boundary the definition looks at the edges into it, first the bytes, then the
** pieces from the earliest start, and takes a later one only when it is strictly better. Here the
** edge of bytes is tried last, because no edge starts later. So it wins a tie; a piece does not.
**
** The trie: nodes in breadth-first order. A node's children are neighbours, so the index of the
** first one is all that a node needs.
**
**     node      0 (root)   1 'a'   2 't'   3 'n'   4 'h' ...
**     children  1..2       3..3    4..4    ...             node i: first[i] .. first[i+1] - 1
**
** memchr() over the labels of its siblings finds a child; a table finds the children of the root.
*/
#include "codec.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  PIECES_MOST = 65535,
  PIECE_BYTES_MOST = 256,       /* bounds the work at each position of a text */
  TEXT_BYTES_MOST = 1000000000,
  BYTES_A_TIME = 1 << 15,       /* until the caller is asked whether to go on: 3 ms */
  IN_BYTES = -1,                /* in place of a piece's id: one character, spelled in bytes */
  SPACE_BYTES = 3
};
static const double UNKNOWN_PENALTY = 10.0;
#define SPACE "\xE2\x96\x81"    /* U+2581 */

struct piece {
  const char *text;             /* U+2581 already turned into spaces; not terminated */
  int n;                        /* bytes */
  int id;
};

struct tokenizer {
  struct arena arena;           /* owns everything below; never changes after tokenizer_open() */
  struct piece *pieces;         /* [n_pieces], by id; those below TOKEN_PIECE are empty */
  double *scores;               /* [n_pieces] */
  int n_pieces;
  double fallback;              /* the score of one character spelled in bytes */
  uint32_t root[256];           /* the root's child for each first byte; 0: none */
  unsigned char *label;         /* [n_nodes] the byte that leads to a node */
  uint32_t *first;              /* [n_nodes+1] its first child */
  int *id;                      /* [n_nodes] the piece that ends at it; 0: none */
};

/* ---- Pieces ---- */

static int is_marker(const char *text, int length){
  return length==SPACE_BYTES && memcmp(text, SPACE, SPACE_BYTES)==0;
}

static int copy_piece(struct tokenizer *t, int i, const char *text, struct err *e){
  struct piece *p = &t->pieces[i];
  size_t n = strlen(text);
  char *copy;
  if( n==0 || n>PIECE_BYTES_MOST ){
    return fail(e, SQLITE_CORRUPT, "piece %d has %zu bytes, expected 1 to %d", i, n,
                PIECE_BYTES_MOST);
  }
  if( strchr(text, ' ') ){
    return fail(e, SQLITE_CORRUPT, "piece %d contains a space, expected U+2581 for it", i);
  }
  copy = arena_get(&t->arena, n);
  if( copy==NULL ) return fail_nomem(e);
  p->text = copy;
  p->id = i;
  for(size_t at=0; at<n; ){
    int length = utf8_length(text + at, n - at);
    if( length==0 ) return fail(e, SQLITE_CORRUPT, "piece %d is not UTF-8", i);
    if( is_marker(text + at, length) ){
      copy[p->n++] = ' ';
    }else{
      memcpy(copy + p->n, text + at, (size_t)length);
      p->n += length;
    }
    at += (size_t)length;
  }
  return SQLITE_OK;
}

static int copy_pieces(struct tokenizer *t, const char *const *pieces, const double *scores,
                       struct err *e){
  double lowest = 0;
  for(int i=0; i<t->n_pieces; i++){
    if( !isfinite(scores[i]) ){
      return fail(e, SQLITE_CORRUPT, "score %d is not a finite number", i);
    }
    t->scores[i] = scores[i];
    if( i<TOKEN_PIECE ) continue;
    if( i==TOKEN_PIECE || scores[i]<lowest ) lowest = scores[i];
    if( copy_piece(t, i, pieces[i], e)!=SQLITE_OK ) return e->rc;
  }
  t->fallback = lowest - UNKNOWN_PENALTY;
  return SQLITE_OK;
}

/* ---- The trie ---- */

static int compare_pieces(const void *a, const void *b){
  const struct piece *x = a;
  const struct piece *y = b;
  int shorter = x->n<y->n ? x->n : y->n;
  int order = memcmp(x->text, y->text, (size_t)shorter);
  return order ? order : x->n - y->n;
}

static int common_bytes(const struct piece *x, const struct piece *y){
  int n = 0;
  while( n<x->n && n<y->n && x->text[n]==y->text[n] ) n++;
  return n;
}

/* Nodes of the trie over the sorted pieces, with the root: each piece adds the bytes that it does
** not share with the one before. 0 after noting that two pieces are equal. */
static size_t count_nodes(const struct piece *sorted, int n, struct err *e){
  size_t n_nodes = 1;
  for(int i=0; i<n; i++){
    int shared = i ? common_bytes(&sorted[i-1], &sorted[i]) : 0;
    if( shared==sorted[i].n ){
      fail(e, SQLITE_CORRUPT, "pieces %d and %d are equal", sorted[i-1].id, sorted[i].id);
      return 0;
    }
    n_nodes += (size_t)(sorted[i].n - shared);
  }
  return n_nodes;
}

/* The pieces below a node while the trie is built: sorted[low..high), whose first `depth` bytes are
** the same. */
struct range { int low, high, depth; };

/* Appends the children of one node to the nodes. Returns how many nodes there are now. */
static uint32_t add_children(struct tokenizer *t, struct range *ranges, uint32_t node,
                             uint32_t n_nodes, const struct piece *sorted){
  struct range r = ranges[node];
  int i = r.low;
  /* A piece that ends at this node is the shortest of the range, and sorted first. */
  if( i<r.high && sorted[i].n==r.depth ) t->id[node] = sorted[i++].id;
  while( i<r.high ){
    unsigned char c = (unsigned char)sorted[i].text[r.depth];
    struct range *child = &ranges[n_nodes];
    child->low = i;
    child->depth = r.depth + 1;
    while( i<r.high && (unsigned char)sorted[i].text[r.depth]==c ) i++;
    child->high = i;
    t->label[n_nodes] = c;
    t->id[n_nodes] = 0;
    if( node==0 ) t->root[c] = n_nodes;
    n_nodes++;
  }
  return n_nodes;
}

/* The list of nodes is also the queue: the children of a node are appended when its turn comes. */
static void link_nodes(struct tokenizer *t, struct range *ranges, size_t total,
                       const struct piece *sorted, int n){
  uint32_t n_nodes = 1;
  ranges[0] = (struct range){ .low = 0, .high = n, .depth = 0 };
  t->id[0] = 0;
  for(uint32_t node=0; node<n_nodes; node++){
    t->first[node] = n_nodes;
    n_nodes = add_children(t, ranges, node, n_nodes, sorted);
  }
  assert( n_nodes==total );
  t->first[total] = n_nodes;
}

static int build_trie(struct tokenizer *t, struct arena *scratch, struct err *e){
  int n = t->n_pieces - TOKEN_PIECE;
  struct piece *sorted = arena_get(scratch, (size_t)n*sizeof(*sorted));
  struct range *ranges;
  size_t total;
  if( sorted==NULL ) return fail_nomem(e);
  memcpy(sorted, t->pieces + TOKEN_PIECE, (size_t)n*sizeof(*sorted));
  qsort(sorted, (size_t)n, sizeof(*sorted), compare_pieces);
  total = count_nodes(sorted, n, e);
  if( total==0 ) return e->rc;
  ranges = arena_get(scratch, total*sizeof(*ranges));
  t->label = arena_get(&t->arena, total);
  t->first = arena_get(&t->arena, (total + 1)*sizeof(*t->first));
  t->id = arena_get(&t->arena, total*sizeof(*t->id));
  if( scratch->oom || t->arena.oom ) return fail_nomem(e);
  link_nodes(t, ranges, total, sorted, n);
  return SQLITE_OK;
}

int tokenizer_open(struct tokenizer **out, const char *const *pieces, const double *scores, int n,
                   struct err *e){
  struct arena scratch = { 0 };
  struct tokenizer *t;
  int rc;
  assert( pieces!=NULL && scores!=NULL );
  *out = NULL;
  if( n<TOKEN_PIECE || n>PIECES_MOST ){
    return fail(e, SQLITE_CORRUPT, "%d pieces, expected %d to %d", n, TOKEN_PIECE, PIECES_MOST);
  }
  t = mem_alloc(sizeof(*t));
  if( t==NULL ) return fail_nomem(e);
  *t = (struct tokenizer){ .n_pieces = n };
  t->pieces = arena_zeroed(&t->arena, (size_t)n*sizeof(*t->pieces));
  t->scores = arena_get(&t->arena, (size_t)n*sizeof(*t->scores));
  rc = t->arena.oom ? fail_nomem(e) : copy_pieces(t, pieces, scores, e);
  if( rc==SQLITE_OK ) rc = build_trie(t, &scratch, e);
  arena_release(&scratch);
  if( rc==SQLITE_OK ) *out = t;
  else tokenizer_close(t);
  return rc;
}

void tokenizer_close(struct tokenizer *t){
  if( t==NULL ) return;
  arena_release(&t->arena);
  mem_free(t);
}

/* ---- Text to ids ---- */

/* The best way to one boundary of the text. */
struct edge {
  double sum;                   /* of the scores from the text's start; -INFINITY: no way yet */
  int id;                       /* the last piece of that way, or IN_BYTES */
  uint32_t length;              /* bytes of that piece */
};

/* 0 when the node has no child of this label. */
static uint32_t child_of(const struct tokenizer *t, uint32_t node, unsigned char c){
  uint32_t first = t->first[node];
  const unsigned char *found = memchr(t->label + first, c, t->first[node + 1] - first);
  return found ? (uint32_t)(found - t->label) : 0;
}

/* Step 2b: every piece with which the text continues at `at`. */
static void follow_pieces(const struct tokenizer *t, struct edge *best, const unsigned char *text,
                          size_t at, size_t n){
  double sum = best[at].sum;
  uint32_t node = t->root[text[at]];
  size_t end = at + 1;
  while( node ){
    int id = t->id[node];
    if( id && sum + t->scores[id]>best[end].sum ){
      best[end].sum = sum + t->scores[id];
      best[end].id = id;
      best[end].length = (uint32_t)(end - at);
    }
    if( end==n ) return;
    node = child_of(t, node, text[end]);
    end++;
  }
}

/* Asks e whether to go on where `at` is BYTES_A_TIME or more from where it was asked last. */
static int stopped_at(size_t at, size_t *asked_at, struct err *e){
  size_t apart = at>*asked_at ? at - *asked_at : *asked_at - at;
  if( apart<BYTES_A_TIME ) return 0;
  *asked_at = at;
  return err_stopped(e);
}

/* Steps 1 and 2. In a long text e is asked whether to go on. Short ones do not ask: they are read
** in other threads than the caller's too. */
static int find_ways(const struct tokenizer *t, struct edge *best, const char *text, size_t n,
                     struct err *e){
  size_t at = 0;
  size_t asked_at = 0;
  for(size_t i=0; i<=n; i++){
    if( i%BYTES_A_TIME==BYTES_A_TIME-1 && err_stopped(e) ) return e->rc;
    best[i].sum = -INFINITY;
  }
  best[0].sum = 0;
  while( at<n ){
    int length = utf8_length(text + at, n - at);
    size_t next = at + (length ? (size_t)length : 1);
    double sum;
    if( stopped_at(at, &asked_at, e) ) return e->rc;
    sum = best[at].sum + t->fallback;
    if( sum>=best[next].sum ){
      best[next].sum = sum;
      best[next].id = IN_BYTES;
      best[next].length = (uint32_t)(next - at);
    }
    follow_pieces(t, best, (const unsigned char *)text, at, n);
    at = next;
  }
  return SQLITE_OK;
}

static int count_ids(const struct edge *best, size_t n, int *n_ids, struct err *e){
  size_t asked_at = n;
  *n_ids = 0;
  for(size_t at=n; at>0; at-=best[at].length){
    if( stopped_at(at, &asked_at, e) ) return e->rc;
    *n_ids += best[at].id==IN_BYTES ? (int)best[at].length : 1;
  }
  return SQLITE_OK;
}

/* Step 3: fills ids[n_ids] from the end. starts may be NULL. */
static int write_ids(const struct edge *best, const char *text, size_t n, int *ids,
                     size_t *starts, int n_ids, struct err *e){
  size_t at = n;
  size_t asked_at = n;
  int i = n_ids;
  while( at>0 ){
    size_t begin = at - best[at].length;
    int id = best[at].id;
    if( stopped_at(at, &asked_at, e) ) return e->rc;
    while( id==IN_BYTES && at>begin ){
      at--;
      i--;
      ids[i] = TOKEN_BYTE + (unsigned char)text[at];
      if( starts ) starts[i] = at;
    }
    if( id!=IN_BYTES ){
      i--;
      ids[i] = id;
      if( starts ) starts[i] = begin;
    }
    at = begin;
  }
  assert( i==0 );
  return SQLITE_OK;
}

/* The edges take 16 bytes for each byte of text, in an arena of their own that is released here. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, struct arena *a,
                     int **ids, size_t **starts, int *n_ids, struct err *e){
  struct arena scratch = { 0 };
  struct edge *best;
  int rc;
  assert( t!=NULL );
  assert( text!=NULL || n==0 );
  *ids = NULL;
  *n_ids = 0;
  if( starts ) *starts = NULL;
  if( n>TEXT_BYTES_MOST ){
    return fail(e, SQLITE_TOOBIG, "a text of %zu bytes, expected at most %d", n, TEXT_BYTES_MOST);
  }
  best = arena_get(&scratch, (n + 1)*sizeof(*best));
  if( best==NULL ) return fail_nomem(e);
  rc = find_ways(t, best, text, n, e);
  if( rc==SQLITE_OK ) rc = count_ids(best, n, n_ids, e);
  if( rc==SQLITE_OK ){
    *ids = arena_get(a, ((size_t)*n_ids + 1)*sizeof(**ids));
    if( starts ) *starts = arena_get(a, (size_t)*n_ids*sizeof(**starts));
    if( a->oom ) rc = fail_nomem(e);
    else rc = write_ids(best, text, n, *ids, starts ? *starts : NULL, *n_ids, e);
  }
  arena_release(&scratch);
  return rc;
}

/* ---- Ids to text ---- */

/* The bytes that a token spells, *n of them: none for control tokens and unknown ids. byte: room
** for a token that is one byte. */
static const char *spelling(const struct tokenizer *t, int id, char *byte, int *n){
  *n = 0;
  if( id<TOKEN_BYTE || id>=t->n_pieces ) return byte;
  if( id>=TOKEN_PIECE ){
    *n = t->pieces[id].n;
    return t->pieces[id].text;
  }
  *byte = (char)(id - TOKEN_BYTE);
  *n = 1;
  return byte;
}

void tokenizer_decode(const struct tokenizer *t, int id, struct buf *out){
  char byte;
  int n;
  const char *text = spelling(t, id, &byte, &n);
  buf_append(out, text, (size_t)n);
}
