/*
** grammar_statements.c -- Python cut into statements, and those into lexemes, without its grammar.
**
** A statement ends with its line, where no bracket and no long string is open, and no backslash
** stands at its end. A lexeme is a name, a keyword, a number, a string with its prefix, a comment,
** white space, an operator, or another character by itself. Nothing is left out: the lead of each
** statement, its indentation and its lexemes, one statement after another, and the tail are the
** code.
*/
#include "grammar.h"
#include <string.h>

struct lexer {
  const char *at, *end;
  int depth;                            /* of brackets */
  struct lexeme *next;                  /* where the next lexeme goes */
};

static int is_name_start(char c){
  return c=='_' || (is_word_part((unsigned char)c) && !is_ascii_digit(c));
}

static int is_name_part(char c){
  return c=='_' || is_word_part((unsigned char)c);
}

static int is_operator(char c){
  return c!=0 && strchr("=<>!+-*/%&|^~@", c)!=NULL;
}

int lexeme_is(const struct lexeme *x, const char *text){
  size_t n = strlen(text);
  return (size_t)x->n==n && memcmp(x->text, text, n)==0;
}

static int is_keyword(const char *name, size_t n){
  static const char keywords[] =
    " False None True and as assert async await break class continue def del elif else except"
    " finally for from global if import in is lambda nonlocal not or pass raise return try while"
    " with yield ";
  enum { LONGEST = 8 };                 /* of these words */
  char word[LONGEST + 3] = " ";
  if( n>LONGEST ) return 0;
  memcpy(word + 1, name, n);
  word[n+1] = ' ';
  word[n+2] = 0;
  return strstr(keywords, word)!=NULL;
}

/* Does a string begin here, after a prefix of at most two letters? */
static int is_string(const char *at, const char *end){
  int n = 0;
  while( n<2 && at + n<end && at[n]!=0 && strchr("rRbBuUfF", at[n]) ) n++;
  return at + n<end && (at[n]=='"' || at[n]=='\'');
}

static const char *skip_string(const char *at, const char *end){
  int is_open;
  while( *at!='"' && *at!='\'' ) at++;
  return python_string_end(at, end, &is_open);
}

/* White space that does not end the statement. */
static const char *skip_space(const struct lexer *l){
  const char *at = l->at;
  while( at<l->end ){
    size_t left = (size_t)(l->end - at);
    if( *at=='\\' && left>=2 && at[1]=='\n' ) at += 2;
    else if( *at=='\\' && left>=3 && at[1]=='\r' && at[2]=='\n' ) at += 3;
    else if( is_ascii_space(*at) && (*at!='\n' || l->depth>0) ) at++;
    else break;
  }
  return at;
}

static const char *skip_while(const char *at, const char *end, int (*is_part)(char c)){
  while( at<end && is_part(*at) ) at++;
  return at;
}

static int is_number_part(char c){
  return c=='.' || is_name_part(c);
}

static int is_comment_part(char c){
  return c!='\n';
}

/* The lexeme at l->at, which is before the end of its statement. */
static void read_lexeme(struct lexer *l){
  const char *from = l->at;
  const char *end = skip_space(l);
  enum lexeme_sort sort = LEXEME_SPACE;
  if( end==from && is_string(from, l->end) ){
    sort = LEXEME_STRING;
    end = skip_string(from, l->end);
  }else if( end==from && is_name_start(*from) ){
    end = skip_while(from, l->end, is_name_part);
    sort = is_keyword(from, (size_t)(end - from)) ? LEXEME_KEYWORD : LEXEME_NAME;
  }else if( end==from && is_ascii_digit(*from) ){
    sort = LEXEME_NUMBER;
    end = skip_while(from, l->end, is_number_part);
  }else if( end==from && *from=='#' ){
    sort = LEXEME_COMMENT;
    end = skip_while(from, l->end, is_comment_part);
  }else if( end==from ){
    sort = LEXEME_MARK;
    end = is_operator(*from) ? skip_while(from, l->end, is_operator) : from + 1;
    if( *from=='(' || *from=='[' || *from=='{' ) l->depth++;
    if( (*from==')' || *from==']' || *from=='}') && l->depth>0 ) l->depth--;
  }
  *l->next++ = (struct lexeme){ from, (int)(end - from), sort };
  l->at = end;
}

/* The lead and the indentation. 0: there is no statement any more, and the lead is the tail. */
static int begin_statement(struct lexer *l, struct statement *s){
  const char *line = l->at;
  s->lead = l->at;
  while( l->at<l->end && is_ascii_space(*l->at) ){
    if( *l->at++=='\n' ) line = l->at;
  }
  s->n_lead = (int)(line - s->lead);
  s->indent = (int)(l->at - line);
  return l->at<l->end;
}

int python_statements(struct statements *out, const char *code, size_t n, struct arena *a,
                      struct err *e){
  struct lexer l = { .at = code, .end = code + n };
  struct statement s = { 0 };
  *out = (struct statements){ 0 };
  /* A statement has at least one byte and a line break, but the last one; a lexeme has a byte. */
  out->all = arena_get(a, (n/2 + 2)*sizeof(*out->all));
  l.next = arena_get(a, (n + 1)*sizeof(*l.next));
  if( a->oom ) return fail_nomem(e);
  while( begin_statement(&l, &s) ){
    if( err_stopped(e) ) return e->rc;
    s.lexemes = l.next;
    l.depth = 0;
    while( l.at<l.end && (*l.at!='\n' || l.depth>0) ) read_lexeme(&l);
    s.n = (int)(l.next - s.lexemes);
    out->all[out->n++] = s;
  }
  out->tail = s.lead;
  out->n_tail = s.n_lead + s.indent;
  return SQLITE_OK;
}
