/*
** fault.h -- an allocator for SQLite that fails on demand, for the tests of running out of memory.
*/
#ifndef LATENT_TESTS_FAULT_H
#define LATENT_TESTS_FAULT_H
#include <sqlite3.h>
#include <stddef.h>

static sqlite3_mem_methods fault_real;
static struct {
  long seen;            /* allocations since fault_set() */
  long fail_at;         /* this one fails, counted from 1; 0: none */
  int stays;            /* and all that follow fail too */
  int failed;           /* how many have failed */
} fault;

/* From now on: the allocation number fail_at fails; 0: none. stays: all after it fail too. */
static void fault_set(long fail_at, int stays){
  fault.seen = 0;
  fault.fail_at = fail_at;
  fault.stays = stays;
  fault.failed = 0;
}

static int fault_now(void){
  fault.seen++;
  if( fault.fail_at==0 || fault.seen<fault.fail_at ) return 0;
  if( fault.seen>fault.fail_at && !fault.stays ) return 0;
  fault.failed++;
  return 1;
}

static void *fault_malloc(int n){
  return fault_now() ? NULL : fault_real.xMalloc(n);
}

static void *fault_realloc(void *p, int n){
  return fault_now() ? NULL : fault_real.xRealloc(p, n);
}

/* Before SQLite is used for the first time. */
static int fault_install(void){
  sqlite3_mem_methods ours;
  int rc = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &fault_real);
  if( rc!=SQLITE_OK ) return rc;
  ours = fault_real;
  ours.xMalloc = fault_malloc;
  ours.xRealloc = fault_realloc;
  return sqlite3_config(SQLITE_CONFIG_MALLOC, &ours);
}

#endif
