/*
** web_jump.c -- setjmp() and longjmp() by WebAssembly's exceptions. LLVM makes calls of these three
** out of them (-mllvm -wasm-enable-sjlj). WASI's C library, as it comes with the compiler, has
** none. They need a file of their own: in one that calls setjmp() LLVM 20 makes wrong code of them.
**
** libpng, libjpeg and grammar_heap.c leave by longjmp().
*/
#include <stdint.h>

/* What a jmp_buf holds. It has room for 8 numbers and more. */
struct jump {
  void *call;                   /* which call of which function has set it */
  uint32_t label;               /* where in that function to go on */
  struct {
    void *env;                  /* the jmp_buf */
    int value;                  /* what setjmp() gives then */
  } thrown;
};

enum { TAG_LONGJMP = 1 };       /* LLVM's number of the exception __c_longjmp */

void __wasm_setjmp(void *env, uint32_t label, void *call){
  struct jump *j = env;
  j->call = call;
  j->label = label;
}

/* The label, or 0: another call has set this jmp_buf, and the exception goes on. */
uint32_t __wasm_setjmp_test(void *env, void *call){
  const struct jump *j = env;
  return j->call==call ? j->label : 0;
}

void __wasm_longjmp(void *env, int value){
  struct jump *j = env;
  j->thrown.env = env;
  j->thrown.value = value ? value : 1;
  __builtin_wasm_throw(TAG_LONGJMP, &j->thrown);
}
