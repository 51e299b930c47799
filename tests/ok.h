/*
** ok.h -- one line for each property that a test program states: "ok - name" or "not ok - name:
** detail".
*/
#ifndef LATENT_TESTS_OK_H
#define LATENT_TESTS_OK_H
#include <stdarg.h>
#include <stdio.h>

static int n_not_ok;

/* Gives `good` back. The detail is printed only when it is false. */
__attribute__((format(printf, 3, 4)))
static int ok(int good, const char *name, const char *detail, ...){
  va_list args;
  if( good ){
    printf("ok - %s\n", name);
    return good;
  }
  n_not_ok++;
  printf("not ok - %s: ", name);
  va_start(args, detail);
  vprintf(detail, args);
  va_end(args);
  printf("\n");
  return good;
}

/* A property of many cases: states it once, naming the first case that fails. Zeroed is "none
** yet". */
struct property {
  int n_cases, n_bad;
  char first[300];
};
__attribute__((format(printf, 3, 4), unused))
static int holds(struct property *p, int good, const char *detail, ...){
  va_list args;
  p->n_cases++;
  if( good || p->n_bad++ ) return good;
  va_start(args, detail);
  vsnprintf(p->first, sizeof(p->first), detail, args);
  va_end(args);
  return good;

}

__attribute__((unused))
static void property_ok(const struct property *p, const char *name){
  ok(p->n_cases>0 && p->n_bad==0, name, "%d of %d cases, first: %s", p->n_bad, p->n_cases,
     p->n_cases ? p->first : "none was tried");
}

#endif
