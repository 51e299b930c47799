/*
** web_vfs.c -- what SQLite asks of a system (SQLITE_OS_OTHER): the time, and numbers nobody can
** guess. There are no files: databases are ":memory:", go out by sqlite3_serialize() and come in by
** sqlite3_deserialize(); what is temporary stays in memory too (SQLITE_TEMP_STORE=3).
*/
#include <sqlite3.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int no_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out){
  (void)vfs, (void)name, (void)flags, (void)out;
  file->pMethods = NULL;
  return SQLITE_CANTOPEN;
}

static int no_delete(sqlite3_vfs *vfs, const char *name, int sync){
  (void)vfs, (void)name, (void)sync;
  return SQLITE_IOERR_DELETE_NOENT;
}

static int no_access(sqlite3_vfs *vfs, const char *name, int flags, int *out){
  (void)vfs, (void)name, (void)flags;
  *out = 0;
  return SQLITE_OK;
}

static int full_name(sqlite3_vfs *vfs, const char *name, int n, char *out){
  (void)vfs;
  sqlite3_snprintf(n, out, "%s", name);
  return SQLITE_OK;
}

static int randomness(sqlite3_vfs *vfs, int n, char *out){
  (void)vfs;
  return getentropy(out, (size_t)n)==0 ? n : 0;
}

static int no_sleep(sqlite3_vfs *vfs, int microseconds){
  (void)vfs, (void)microseconds;
  return 0;
}

/* Milliseconds since noon of November 24, 4714 BC. */
static int now_ms(sqlite3_vfs *vfs, sqlite3_int64 *out){
  const sqlite3_int64 year_1970 = 24405875*(sqlite3_int64)8640000;
  struct timespec t;
  (void)vfs;
  clock_gettime(CLOCK_REALTIME, &t);
  *out = year_1970 + (sqlite3_int64)t.tv_sec*1000 + t.tv_nsec/1000000;
  return SQLITE_OK;
}

static int now_days(sqlite3_vfs *vfs, double *out){
  sqlite3_int64 ms;
  now_ms(vfs, &ms);
  *out = (double)ms/86400000.0;
  return SQLITE_OK;
}

static int no_error(sqlite3_vfs *vfs, int n, char *out){
  (void)vfs, (void)n, (void)out;
  return 0;
}

int sqlite3_os_init(void){
  static sqlite3_vfs vfs = {
    .iVersion = 2,
    .szOsFile = sizeof(sqlite3_file),
    .mxPathname = 512,
    .zName = "web",
    .xOpen = no_open,
    .xDelete = no_delete,
    .xAccess = no_access,
    .xFullPathname = full_name,
    .xRandomness = randomness,
    .xSleep = no_sleep,
    .xCurrentTime = now_days,
    .xGetLastError = no_error,
    .xCurrentTimeInt64 = now_ms,
  };
  return sqlite3_vfs_register(&vfs, 1);
}

int sqlite3_os_end(void){
  return SQLITE_OK;
}
