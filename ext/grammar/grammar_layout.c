/*
** grammar_layout.c -- where the lines of Python stand, without its grammar.
**
** A line that begins a statement stands where the one before it stands; deeper, where that ends
** with a colon; or at the place of a block that is still open. That is not so of lines in brackets,
** in a long string, after a backslash, and of those that are empty or a comment. Strings and
** brackets are told apart as Python's own tokenizer did before 3.12: a quote ends an f-string
** even in its braces.
*/
#include "grammar.h"

enum { BLOCKS_MOST = 100, TAB = 8 };    /* as Python has them */

struct scan {
  const char *at, *end;
  int blocks[BLOCKS_MOST];              /* columns of those that are open, from the outermost */
  int n_blocks;
  int depth;                            /* of brackets */
  int is_continued;                     /* the last line ends with a backslash */
  struct layout layout;
};

const char *python_string_end(const char *at, const char *end, int *is_open){
  char quote = *at;
  int is_long = end - at>=3 && at[1]==quote && at[2]==quote;
  *is_open = 0;
  at += is_long ? 3 : 1;
  while( at<end ){
    if( !is_long && *at=='\n' ) return at;
    if( *at=='\\' && end - at>=2 ){
      at += 2;
    }else if( *at!=quote ){
      at++;
    }else if( !is_long ){
      return at + 1;
    }else if( end - at>=3 && at[1]==quote && at[2]==quote ){
      return at + 3;
    }else{
      at++;
    }
  }
  *is_open = is_long;
  return end;
}

static int skip_indentation(struct scan *s){
  int column = 0;
  for(; s->at<s->end && (*s->at==' ' || *s->at=='\t' || *s->at=='\f'); s->at++){
    column = *s->at=='\t' ? (column/TAB + 1)*TAB : column + 1;
  }
  return column;
}

/* A statement begins at this column. */
static void begin_statement(struct scan *s, int column){
  struct layout *l = &s->layout;
  int n = s->n_blocks;
  if( l->is_opener && column>s->blocks[n-1] && n<BLOCKS_MOST ){
    s->blocks[s->n_blocks++] = column;
  }else{
    while( s->n_blocks>1 && s->blocks[s->n_blocks-1]>column ) s->n_blocks--;
    if( l->is_opener || s->blocks[s->n_blocks-1]!=column ) l->is_wrong = 1;
  }
  l->column = column;
  l->is_opener = 0;
}

/* From the first byte of a line after its indentation to its end. */
static void scan_line(struct scan *s){
  struct layout *l = &s->layout;
  s->is_continued = 0;
  while( s->at<s->end && *s->at!='\n' ){
    char c = *s->at;
    int is_open;
    if( c=='#' ){
      while( s->at<s->end && *s->at!='\n' ) s->at++;
      return;
    }
    if( c=='"' || c=='\'' ){
      l->is_opener = 0;
      s->at = python_string_end(s->at, s->end, &is_open);
      l->is_open |= is_open;
      continue;
    }
    if( c=='(' || c=='[' || c=='{' ) s->depth++;
    if( (c==')' || c==']' || c=='}') && s->depth>0 ) s->depth--;
    if( !is_ascii_space(c) ) l->is_opener = c==':' && s->depth==0;
    s->is_continued = c=='\\' || (s->is_continued && c=='\r');
    s->at++;
  }
}

struct layout python_layout(const char *code, size_t n){
  struct scan s = { .at = code, .end = code + n, .n_blocks = 1 };
  while( s.at<s.end ){
    int column = skip_indentation(&s);
    int is_blank = s.at==s.end || *s.at=='\n' || *s.at=='\r' || *s.at=='#';
    if( !is_blank && s.depth==0 && !s.is_continued ) begin_statement(&s, column);
    scan_line(&s);
    if( s.at<s.end ) s.at++;
  }
  s.layout.is_open |= s.depth>0 || s.is_continued;
  return s.layout;
}
