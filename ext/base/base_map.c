/*
** base_map.c -- a file, mapped read-only and shared between processes.
**
** The pages of a weight file are in memory once, however many processes use it. The descriptor is
** closed right after mapping: a mapping needs none, and if the file is a database, closing a
** descriptor of it later would drop SQLite's POSIX locks. A file that someone truncates while it is
** mapped faults when it is read. Weights are therefore replaced by renaming a new file over the
** old.
*/
#include "base.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map_descriptor(struct file_map *m, int fd, const char *path, struct err *e){
  struct stat st;
  void *p;
  if( fstat(fd, &st)!=0 ) return fail(e, SQLITE_IOERR, "%s: %s", path, strerror(errno));
  if( S_ISDIR(st.st_mode) ){
    return fail(e, SQLITE_CANTOPEN, "%s: is a directory, expected a file", path);
  }
  if( !S_ISREG(st.st_mode) ) return fail(e, SQLITE_CANTOPEN, "%s: not a regular file", path);
  if( st.st_size==0 ) return fail(e, SQLITE_CORRUPT, "%s: the file is empty", path);
  if( (uintmax_t)st.st_size>SIZE_MAX/2 ){
    return fail(e, SQLITE_TOOBIG, "%s: too large to map", path);
  }
  p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if( p==MAP_FAILED ) return fail(e, SQLITE_IOERR, "%s: %s", path, strerror(errno));
  madvise(p, (size_t)st.st_size, MADV_WILLNEED);        /* all of it is about to be hashed */
  m->data = p;
  m->n = (size_t)st.st_size;
  return SQLITE_OK;
}

int map_open(struct file_map *m, const char *path, struct err *e){
  int fd, rc;
  assert( path!=NULL );
  *m = (struct file_map){ 0 };
  /* O_NONBLOCK, because open() would wait for the other end of a named pipe; those are refused. */
  fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if( fd<0 ) return fail(e, SQLITE_CANTOPEN, "%s: %s", path, strerror(errno));
  rc = map_descriptor(m, fd, path, e);
  close(fd);
  return rc;
}

void map_close(struct file_map *m){
  if( m->data ) munmap((void *)(uintptr_t)m->data, m->n);
  *m = (struct file_map){ 0 };
}
