/*
** web_main.c -- what JavaScript calls besides the functions of SQLite, which the module exports as
** they are (build.py lists them).
*/
#include "kernels.h"
#include <sqlite3.h>
#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(name)))

int sqlite3_latent_init(sqlite3 *db, char **message, const sqlite3_api_routines *api);

/* Once, before anything else. The weights lie in /model. Gives an SQLite result code. */
EXPORT("web_start") int web_start(void){
  setenv("LATENT_MODEL", "/model", 1);
  return sqlite3_auto_extension((void (*)(void))sqlite3_latent_init);
}

/* JavaScript says whether to stop. It is asked after so many operations of SQLite's virtual machine:
** in SQL of any kind, and in what latent computes, which walks over 10,000 of them every 20 ms
** (ext/call/call.c). */
enum { OPERATIONS = 5000 };
__attribute__((import_module("latent"), import_name("stop"))) int web_stop(void);

static int stop(void *arg){
  (void)arg;
  return web_stop();
}

/* For each connection, after it was opened. */
EXPORT("web_watch") void web_watch(sqlite3 *db){
  sqlite3_progress_handler(db, OPERATIONS, stop, NULL);
}

/* Which code computes: "wasm_relaxed" or "wasm". */
EXPORT("web_kernel") const char *web_kernel(void){
  return linear_kernel();
}

/* For tests: takes the code of that name; 0 where there is none. */
EXPORT("web_choose_kernel") int web_choose_kernel(const char *name){
  return linear_choose(name);
}

/* For tests: y[n] = a*b + c in the code that is chosen, through a product of one row by n columns.
** A chain of two steps: fma(1, c, 0) = c, then fma(a, b, c). x: {1, a[i]}, w: {c[i], b[i]}. */
EXPORT("web_fma") void web_fma(float *y, const float *a, const float *b, const float *c, int n){
  static float scratch[LINEAR_SCRATCH(2)] __attribute__((aligned(64)));
  for(int i=0; i<n; i++){
    float x[2] = { 1.0f, a[i] };
    float w[2][16], all[16];
    struct matrix m = { .in = 2, .out = 16, .full = w[0] };
    for(int j=0; j<16; j++){
      w[0][j] = c[i];
      w[1][j] = b[i];
    }
    linear(all, x, &m, 1, scratch);
    y[i] = all[i%16];
  }
}
