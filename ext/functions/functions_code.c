/*
** functions_code.c -- code as such, without a model: latent_valid().
*/
#include "functions.h"
#include "grammar.h"
#include <string.h>

/* Argument i, where it is given, must name a language whose grammar is here. */
static void check_language(struct call *c, int i){
  static const char python[] = "python";
  struct content name;
  if( !call_has(c, i) ) return;
  name = call_text(c, i, "language");
  if( c->err.rc!=SQLITE_OK ) return;
  if( name.n==sizeof(python) - 1 && memcmp(name.bytes, python, name.n)==0 ) return;
  refuse_argument(c, i, "language", "'python'");
}

void scalar_valid(struct call *c){
  struct content code = call_text(c, 0, "code");
  int is_valid;
  check_language(c, 1);
  if( c->err.rc!=SQLITE_OK ) return;
  is_valid = python_valid(code.bytes, code.n, &c->err);
  if( c->err.rc==SQLITE_OK ) sqlite3_result_int(c->context, is_valid);
}
