/*
** test_twin.c -- Python cut into statements and lexemes; two sequences aligned; what was done to
** one statement done to another. No model is needed. Functions are in sql/analogy.sql.
*/
#include "grammar.h"
#include "model.h"
#include "ok.h"
#include <string.h>

static struct arena arena;
static struct err err;
static struct run run = { .arena = &arena, .n_threads = 1, .err = &err };

static struct statements read_code(const char *code, size_t n){
  struct statements s;
  python_statements(&s, code, n, &arena, &err);
  return s;
}

/* ---- Statements ---- */

/* Puts together again what python_statements() has cut. */
static void join(struct buf *out, const struct statements *s){
  for(int i=0; i<s->n; i++){
    const struct statement *x = &s->all[i];
    buf_append(out, x->lead, (size_t)(x->n_lead + x->indent));
    for(int k=0; k<x->n; k++) buf_append(out, x->lexemes[k].text, (size_t)x->lexemes[k].n);
  }
  buf_append(out, s->tail, (size_t)s->n_tail);
}

static int comes_back(const char *code, size_t n){
  struct statements s = read_code(code, n);
  struct buf joined = { 0 };
  int is_same;
  join(&joined, &s);
  is_same = joined.n==n && (n==0 || memcmp(joined.data, code, n)==0);
  buf_release(&joined);
  arena_release(&arena);
  return is_same;
}

static void test_cut(void){
  static const struct { const char *code; int n; } cases[] = {
    { "", 0 }, { "\n \n", 0 }, { "x", 1 }, { "x\n", 1 }, { "def f(\n  a,\n  b):\n    return a", 2 },
    { "x = \"\"\"a\n\nb\"\"\"\ny", 2 }, { "x = 1 + \\\n  2\ny", 2 }, { "# a (\n@b\nx", 3 },
    { "x = 'a\ny'", 2 }, { "f = rb'\\'(' # (\n\n\n\ty", 2 }, { "x = (\ny\n", 1 }, { ")\ny", 2 },
    { "x \\\r\n y\r\nz\r\n", 2 },
  };
  for(size_t i=0; i<sizeof(cases)/sizeof(cases[0]); i++){
    const char *code = cases[i].code;
    int n = read_code(code, strlen(code)).n;
    ok(n==cases[i].n, "statements: their number", "%d of %s", n, code);
    ok(comes_back(code, strlen(code)), "statements: together they are the code", "%s", code);
  }
}

/* Bytes that mean something, in any order. */
static void test_any_bytes(void){
  static const char bytes[] = "\"\"'#()[]{}\\\n\n\r\t  ::,.=+x_9fb\0\xff\xc3";
  struct random random = random_of(7);
  int n_wrong = 0;
  for(int i=0; i<3000; i++){
    char code[64];
    size_t n = random_u64(&random)%sizeof(code);
    for(size_t k=0; k<n; k++) code[k] = bytes[random_u64(&random)%(sizeof(bytes) - 1)];
    n_wrong += !comes_back(code, n);
  }
  ok(n_wrong==0, "statements: any bytes come back", "%d do not", n_wrong);
}

static void test_lexemes(void){
  static const enum lexeme_sort sorts[] = {
    LEXEME_KEYWORD, LEXEME_SPACE, LEXEME_NAME, LEXEME_SPACE, LEXEME_MARK, LEXEME_SPACE,
    LEXEME_STRING, LEXEME_MARK, LEXEME_NUMBER, LEXEME_MARK, LEXEME_NAME, LEXEME_SPACE,
    LEXEME_COMMENT,
  };
  static const char code[] = "return x_1 >= f'{a}'[1.5e3]is_not # it";
  struct statements s = read_code(code, strlen(code));
  int n_wrong = 0;
  for(int i=0; i<s.all[0].n && i<13; i++) n_wrong += s.all[0].lexemes[i].sort!=sorts[i];
  ok(s.all[0].n==13 && n_wrong==0, "lexemes: their sorts", "%d lexemes, %d wrong", s.all[0].n,
     n_wrong);
  arena_release(&arena);
}

/* ---- Alignment ---- */

static float letter_cost(const void *arg, int i, int j){
  const char *const *words = arg;
  return words[0][i]==words[1][j] ? 0 : 3;
}

/* The partners, a digit or '-' for each letter of a. */
static void test_align(void){
  static const char *cases[][3] = {
    { "", "abc", "" }, { "abc", "", "---" }, { "abc", "abc", "012" }, { "abc", "ac", "0-1" },
    { "ac", "abc", "02" }, { "abc", "xyz", "---" }, { "abcd", "bxd", "-0-2" },
  };
  for(size_t i=0; i<sizeof(cases)/sizeof(cases[0]); i++){
    int n = (int)strlen(cases[i][0]);
    struct sequences q = { n, (int)strlen(cases[i][1]), 1, letter_cost, cases[i] };
    int partner[8];
    char got[8] = { 0 };
    sequences_align(&q, partner, &arena, &err);
    for(int k=0; k<n; k++) got[k] = partner[k]<0 ? '-' : (char)('0' + partner[k]);
    ok(strcmp(got, cases[i][2])==0, "alignment: who is whose partner", "%s and %s: %s",
       cases[i][0], cases[i][1], got);
  }
  arena_release(&arena);
}

/* ---- Edits ---- */

static void test_edit(void){
  static const char *cases[][4] = {
    { "def f(a):", "def f(a=None):", "def g(self, b, c=3):", "def g(self, b=None, c=3):" },
    { "def f(a):", "def f(a: int):", "def g(b, *c):", "def g(b: int, *c):" },
    { "def f(a):", "def f(a) -> int:", "def g(\n    b,\n):", "def g(\n    b,\n) -> int:" },
    { "def f(a) -> int:", "def f(a):", "def g(b) -> Dict[str, List[int]]:", "def g(b):" },
    { "def f(a):", "async def f(a):", "def g():", "async def g():" },
    { "def f(a):", "def _f(a):", "def g():", "def _g():" },
    { "return a", "return str(a)", "return b + c", "return str(b + c)" },
    { "return h(a)", "return str(h(a))", "return {b: c}[d]", "return str({b: c}[d])" },
    { "return a", "return a, None", "return b.c", "return b.c, None" },
    { "return a", "yield a", "return b + 1", "yield b + 1" },
    { "if a:", "if not a:", "elif b.c:", "elif not b.c:" },
    { "a = h(b)", "a = h(b, 1)", "c.d = e[h(f)]", "c.d = e[h(f, 1)]" },
    { "a", "a", "b", NULL }, { "a + b", "c", "[]", "c" }, { "a b c", "a c", "d", NULL },
  };
  for(size_t i=0; i<sizeof(cases)/sizeof(cases[0]); i++){
    struct statements s[3];
    struct renaming names = { 0 };
    struct buf made = { 0 };
    int is_made;
    for(int k=0; k<3; k++) s[k] = read_code(cases[i][k], strlen(cases[i][k]));
    is_made = statement_edit(&run, s[0].all, s[1].all, s[2].all, &names, &made);
    ok(is_made==(cases[i][3]!=NULL) && (!is_made || strcmp(buf_text(&made), cases[i][3])==0),
       "edit: what the statement becomes", "%s: %s", cases[i][2], buf_text(&made));
    buf_release(&made);
    arena_release(&arena);
  }
}

int main(void){
  test_cut();
  test_any_bytes();
  test_lexemes();
  test_align();
  test_edit();
  return n_not_ok>0;
}
