/*
** grammar.h -- is a text code? Python 3's grammar, which is tree-sitter's.
**
** python/ is the grammar as npm's tree-sitter-python publishes it: C that a generator wrote, and
** its scanner of indentation and strings. libtree-sitter.a of Debian's libtree-sitter-dev runs it.
** Both become part of the library, with hidden names: so a program that uses tree-sitter itself
** keeps its own, and the allocator that we set is set for us alone.
*/
#ifndef LATENT_GRAMMAR_H
#define LATENT_GRAMMAR_H
#include "base.h"
#include <setjmp.h>

/* ---- grammar_python.c ---- Any bytes are allowed. A text whose parse would take more than 1 GB
** (of usual code that is 6 MB or more) is SQLITE_TOOBIG. */
/* 1: the text is Python. 0: it is not, or *e has a failure. */
int python_valid(const char *code, size_t n, struct err *e);
/* 1: the lines may be the first ones of Python: they have no error but that they may end too
** early. 0 likewise. */
int python_begins(const char *code, size_t n, struct err *e);

/* ---- grammar_layout.c: where the lines of Python stand ---- */
struct layout {                         /* after the last line of a text */
  int is_wrong;                         /* a line stands where none may */
  int is_open;                          /* in brackets or a long string, or after a backslash */
  int is_opener;                        /* a block has been opened, and has no line yet */
  int column;                           /* of the last line that begins a statement */
};
struct layout python_layout(const char *code, size_t n);
/* Past the string whose first quote is at `at`. A short one ends with its line at the latest.
** *is_open: it is a long one, and the text ends in it. */
const char *python_string_end(const char *at, const char *end, int *is_open);

/* ---- grammar_statements.c: Python cut into statements, and those into lexemes ---- */
enum lexeme_sort { LEXEME_SPACE, LEXEME_NAME, LEXEME_KEYWORD, LEXEME_NUMBER, LEXEME_STRING,
                   LEXEME_COMMENT, LEXEME_MARK };
struct lexeme {
  const char *text;                     /* [n]: where it stands in the code */
  int n;
  enum lexeme_sort sort;
};
/* What stands on a line of its own, brackets and long strings to their end: a simple statement, the
** head of a compound one, or a comment. */
struct statement {
  const char *lead;                     /* [n_lead]: the lines before it that are empty, and its
                                        ** own line break */
  int n_lead;
  int indent;                           /* bytes of white space at the start of its line */
  const struct lexeme *lexemes;         /* [n] */
  int n;
};
struct statements {
  struct statement *all;                /* [n] */
  int n;
  const char *tail;                     /* [n_tail]: white space behind the last one */
  int n_tail;
};
/* Of any bytes; what it gives lies in the arena, and points into the code. */
int python_statements(struct statements *out, const char *code, size_t n, struct arena *a,
                      struct err *e);
int lexeme_is(const struct lexeme *x, const char *text);

/* ======== Inside the layer ======== */

/* ---- grammar_heap.c: all that one parse allocates ---- */
enum { HEAP_SIZES = 48 };
struct heap {
  struct arena arena;                   /* owns everything */
  void *free[HEAP_SIZES];               /* blocks that were given back, by size; each begins with
                                        ** the address of the next */
  size_t bytes;                         /* taken from the arena */
  unsigned n_asked;
  struct err *err;
  jmp_buf out;                          /* where heap_leave() goes; set by the caller */
};
/* From now on tree-sitter allocates in this heap, in this thread. */
int heap_enter(struct heap *h, struct err *e);
void heap_exit(struct heap *h);         /* frees all of it */
void heap_ask(struct heap *h);          /* a step is done: leaves, where the caller wants to stop */
void heap_leave(struct heap *h) __attribute__((noreturn));
/* What tree-sitter, and python/scanner.c, call in the place of malloc() and its like. */
void *grammar_malloc(size_t bytes);
void *grammar_calloc(size_t n, size_t bytes);
void *grammar_realloc(void *p, size_t bytes);
void grammar_free(void *p);

#endif
