/*
** grammar_python.c -- is a text Python 3, or how Python 3 may begin?
**
** tree-sitter's grammar is meant for editors, and takes more than Python does. Its tree says where
** each statement stands, so what can be seen there is checked besides: that the statements of a
** block stand below each other, that a block has one, that no name is a keyword (def in(x)), and
** that there is nothing of Python 2 (print x, exec x, a <> b). What Python refuses for other
** reasons (1 = x, return outside of a function) is not looked at.
**
** How a text may begin. A parser that reads tokens from left to right finds an error at the first
** token that nothing valid has in its place. (It then repairs the text, and goes on.) So the text
** may begin Python if there is no error before its end is read. Its end is made to be that of a
** whole line: a line break follows, and where the statement is complete another one, since the
** grammar takes a line break for white space wherever no statement can end.
*/
#include "grammar.h"
#include <string.h>
#include <tree_sitter/api.h>

extern const TSLanguage *tree_sitter_python(void);

enum {
  STOP_MICROSECONDS = 10000,            /* a parse pauses so often, to ask whether to go on */
  READ_BYTES = 4096                     /* likewise it asks before each piece of the text */
};

struct parse {
  struct heap heap;
  const char *code;
  size_t n;
  struct err *err;
  int has_ended;                        /* the end of the text has been read */
  int is_accepted;                      /* there is a reading of it without an error */
  int is_wrong;                         /* only of python_begins(): there was an error before it */
  int is_valid;                         /* only of python_valid() */
  void (*work)(struct parse *p);
};

static const char *read_code(void *arg, uint32_t at, TSPoint place, uint32_t *n){
  struct parse *p = arg;
  size_t left = at<p->n ? p->n - at : 0;
  (void)place;
  heap_ask(&p->heap);
  if( left==0 ) p->has_ended = 1;
  *n = (uint32_t)(left<READ_BYTES ? left : READ_BYTES);
  return p->code + (left ? at : 0);
}

/* The parser tells what it does. "resume" is its word for the first step of a repair. Before it has
** accepted a reading of the text, that means that there is none; and the answer is known: what
** follows would take the longest of all. */
static void hear(void *arg, TSLogType type, const char *message){
  struct parse *p = arg;
  static const char repair[] = "resume version";
  if( type!=TSLogTypeParse ) return;
  if( strcmp(message, "accept")==0 ) p->is_accepted = 1;
  if( p->is_accepted || strncmp(message, repair, sizeof(repair) - 1)!=0 ) return;
  p->is_wrong = !p->has_ended;
  heap_leave(&p->heap);
}

/* The linker gives the parser this in the place of its own (Makefile), which makes a finished tree
** less deep. That is for who edits the text, and could not be stopped. */
void __wrap_ts_subtree_balance(const void *subtree, void *pool, const void *language);
void __wrap_ts_subtree_balance(const void *subtree, void *pool, const void *language){
  (void)subtree;
  (void)pool;
  (void)language;
}

static TSTree *parse_code(struct parse *p){
  TSInput input = { p, read_code, TSInputEncodingUTF8 };
  TSLogger logger = { p, hear };
  TSParser *parser = ts_parser_new();
  TSTree *tree;
  ts_parser_set_language(parser, tree_sitter_python());
  ts_parser_set_timeout_micros(parser, STOP_MICROSECONDS);
  ts_parser_set_logger(parser, logger);
  while( (tree = ts_parser_parse(parser, NULL, input))==NULL ){
    if( err_stopped(p->err) ) heap_leave(&p->heap);
  }
  return tree;
}

/* Runs p->work, which may leave at any point. All that it has allocated is freed. */
static void run_parse(struct parse *p){
  if( p->n>INT32_MAX ){
    fail(p->err, SQLITE_TOOBIG, "the code has %zu bytes, expected at most %d", p->n, INT32_MAX);
    return;
  }
  if( heap_enter(&p->heap, p->err)==SQLITE_OK && setjmp(p->heap.out)==0 ) p->work(p);
  heap_exit(&p->heap);
}

/* ---- Where statements stand in the tree ---- */

struct level {                          /* a node on the way from the root, and its children */
  int is_block;                         /* its children are statements */
  int column;                           /* block: of its statements; -1: there is none yet */
  int outer;                            /* block: the column of the block around it */
  int row;                              /* where the child before ends; -1: nothing is before */
  int colon_row;                        /* block: where what stands before it ends */
};

struct walk {
  struct level *levels;                 /* of the parse's heap */
  uint32_t n, room;
  TSSymbol block, module, identifier, print, chevron, exec, unequal;
};

static TSSymbol named(const char *name){
  return ts_language_symbol_for_name(tree_sitter_python(), name, (uint32_t)strlen(name), 1);
}

static struct level *enter_level(struct walk *w, TSNode node){
  TSSymbol symbol = ts_node_symbol(node);
  struct level *level;
  if( w->n==w->room ){
    w->room = w->room ? 2*w->room : 64;
    w->levels = grammar_realloc(w->levels, w->room*sizeof(struct level));
  }
  level = &w->levels[w->n++];
  *level = (struct level){ .column = -1, .outer = -1, .row = (int)ts_node_start_point(node).row };
  level->is_block = symbol==w->block || symbol==w->module;
  if( w->n>1 ){
    const struct level *above = level - 1;
    level->outer = above->is_block ? above->column : above->outer;
    level->colon_row = above->row;
  }else{
    level->column = 0;
    level->row = -1;
  }
  return level;
}

/* Does the child stand where it may? */
static int is_placed(struct level *level, TSNode child){
  TSPoint start = ts_node_start_point(child);
  int has_line = (int)start.row>level->row;
  if( !level->is_block || ts_node_is_extra(child) || !ts_node_is_named(child) ) return 1;
  if( level->column>=0 ) return !has_line || (int)start.column==level->column;
  level->column = (int)start.column;
  return (int)start.row==level->colon_row || level->column>level->outer;
}

/* print >>f, x is Python 3 too: a tuple. */
static int is_of_python_2(const struct walk *w, TSNode node){
  TSSymbol symbol = ts_node_symbol(node);
  if( symbol==w->print ) return ts_node_symbol(ts_node_named_child(node, 0))!=w->chevron;
  return symbol==w->exec || symbol==w->unequal;
}

/* Where a keyword cannot stand the parser takes it for a name. */
static int is_misnamed(const struct parse *p, const struct walk *w, TSNode node){
  static const char *const keywords[] = {
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
  };
  const char *name = p->code + ts_node_start_byte(node);
  size_t n = ts_node_end_byte(node) - ts_node_start_byte(node);
  if( ts_node_symbol(node)!=w->identifier ) return 0;
  for(size_t i=0; i<sizeof(keywords)/sizeof(keywords[0]); i++){
    if( strlen(keywords[i])==n && memcmp(keywords[i], name, n)==0 ) return 1;
  }
  return 0;
}

/* Visits every node of the tree once. Returns whether all of them are as they should be. */
static int are_placed(struct parse *p, TSTree *tree){
  struct walk w = { .block = named("block"), .module = named("module"),
                    .identifier = named("identifier"), .print = named("print_statement"),
                    .chevron = named("chevron"), .exec = named("exec_statement"),
                    .unequal = ts_language_symbol_for_name(tree_sitter_python(), "<>", 2, 0) };
  TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(tree));
  struct level *level = enter_level(&w, ts_tree_root_node(tree));
  if( !ts_tree_cursor_goto_first_child(&cursor) ) return 1;
  for(;;){
    TSNode node = ts_tree_cursor_current_node(&cursor);
    heap_ask(&p->heap);
    if( !is_placed(level, node) || is_misnamed(p, &w, node) ) return 0;
    if( is_of_python_2(&w, node) ) return 0;
    level = enter_level(&w, node);
    if( ts_tree_cursor_goto_first_child(&cursor) ) continue;
    for(;;){
      node = ts_tree_cursor_current_node(&cursor);
      if( level->is_block && level->column<0 ) return 0;
      if( --w.n==0 ) return 1;
      level = &w.levels[w.n-1];
      level->row = (int)ts_node_end_point(node).row;
      if( ts_tree_cursor_goto_next_sibling(&cursor) ) break;
      if( !ts_tree_cursor_goto_parent(&cursor) ) return 1;
    }
  }
}

/* ---- The door ---- */

static void check_whole(struct parse *p){
  TSTree *tree = parse_code(p);
  if( err_stopped(p->err) ) return;
  p->is_valid = !ts_node_has_error(ts_tree_root_node(tree)) && are_placed(p, tree);
}

static void check_beginning(struct parse *p){
  parse_code(p);
}

/* Python's source is UTF-8 without zero bytes. */
static int is_source(const char *code, size_t n){
  for(size_t i=0; i<n; ){
    int length = utf8_length(code + i, n - i);
    if( length==0 || code[i]==0 ) return 0;
    i += (size_t)length;
  }
  return 1;
}

int python_valid(const char *code, size_t n, struct err *e){
  struct parse p = { .code = code, .n = n, .err = e, .work = check_whole };
  if( e->rc!=SQLITE_OK || !is_source(code, n) ) return 0;
  run_parse(&p);
  return e->rc==SQLITE_OK && p.is_valid;
}

/* What may follow a statement: one that may stand after anything, decorators too. */
static void append_statement(struct buf *text, int column){
  for(int i=0; i<column; i++) buf_char(text, ' ');
  buf_str(text, "def a():pass\n");
}

int python_begins(const char *code, size_t n, struct err *e){
  struct layout layout;
  struct buf text = { 0 };
  struct parse p = { .err = e, .work = check_beginning };
  if( e->rc!=SQLITE_OK || !is_source(code, n) ) return 0;
  layout = python_layout(code, n);
  if( layout.is_wrong ) return 0;
  buf_append(&text, code, n);
  buf_char(&text, '\n');
  if( !layout.is_open ) append_statement(&text, layout.column + layout.is_opener);
  if( text.rc!=SQLITE_OK ){
    fail(e, text.rc, "out of memory");
  }else{
    p.code = text.data;
    p.n = text.n;
    run_parse(&p);
  }
  buf_release(&text);
  return e->rc==SQLITE_OK && !p.is_wrong;
}
