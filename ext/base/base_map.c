/*
** base_map.c -- a file, read into pages of its own that nobody can change.
**
** A shared mapping of the file would keep its pages in memory once for all processes. But it shows
** what the file holds now, not what was checked when it was opened: after `cp new.safetensors
** text.safetensors` the process of the user dies of SIGBUS where the file became shorter, or makes
** other latents under the old fingerprint where it did not. To look at size and time before each
** call leaves the time of the call, which is seconds for a long text; a lock is not known to cp; a
** private mapping (MAP_PRIVATE) has the same pages, until they are written to. So the bytes are
** copied, and what was hashed is what is used, with no window between. A file that is replaced
** meanwhile makes no difference to who has it open. It is read anew when no connection of the
** process uses the old.
**
** What it costs: the shipped weights of text are 42 MB in each process that uses them, once for all
** its connections and threads; after fork() parent and child share them. Loading them and encoding
** a word takes 120 ms where it took 95 (one busy core of two, best of 9; 200 without huge pages).
**
** The descriptor is closed right after reading. That drops SQLite's POSIX locks where the file is a
** database that this process has open; nobody has a reason to load such a file as weights.
*/
#define _FILE_OFFSET_BITS 64            /* st_size, where off_t could have 32 */
#include "base_system.h"
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART = 8 << 20 };                /* bytes that are read between two looks at e's stop */

/* to[n] = the whole file. */
static int read_all(int fd, unsigned char *to, size_t n, const char *path, struct err *e){
  size_t at = 0;
  while( at<n ){
    ssize_t got;
    if( err_stopped(e) ) return e->rc;
    got = read(fd, to + at, n - at<PART ? n - at : PART);
    if( got<0 && errno==EINTR ) continue;
    if( got<0 ) return fail(e, SQLITE_IOERR, "%s: %s", path, strerror(errno));
    if( got==0 ){
      return fail(e, SQLITE_IOERR, "%s: %zu bytes when it was opened, %zu when it was read: it is "
                  "being replaced, try again", path, n, at);
    }
    at += (size_t)got;
  }
  return SQLITE_OK;
}

static int map_descriptor(struct file_map *m, int fd, const char *path, struct err *e){
  struct stat st;
  void *p;
  if( fstat(fd, &st)!=0 ) return fail(e, SQLITE_IOERR, "%s: %s", path, strerror(errno));
  if( !S_ISREG(st.st_mode) ) return fail(e, SQLITE_CANTOPEN, "%s: not a regular file", path);
  if( st.st_size==0 ) return fail(e, SQLITE_CORRUPT, "%s: the file is empty", path);
  if( (uintmax_t)st.st_size>SIZE_MAX/2 ){
    return fail(e, SQLITE_TOOBIG, "%s: too large to be read", path);
  }
  /* Not SQLite's allocator: pages that are read-only, and that its heap limit does not count. */
  p = pages_get((size_t)st.st_size);
  if( p==NULL ) return fail_nomem(e);
  m->data = p;
  m->n = (size_t)st.st_size;
  if( read_all(fd, p, m->n, path, e)==SQLITE_OK ) pages_seal(p, m->n);
  else map_close(m);
  return e->rc;
}

int map_open(struct file_map *m, const char *path, struct err *e){
  int fd, rc;
  assert( path!=NULL );
  *m = (struct file_map){ 0 };
  if( path_is_directory(path) ){
    return fail(e, SQLITE_CANTOPEN, "%s: is a directory, expected a file", path);
  }
  fd = file_open(path);
  if( fd<0 ) return fail(e, SQLITE_CANTOPEN, "%s: %s", path, strerror(errno));
  rc = map_descriptor(m, fd, path, e);
  close(fd);
  return rc;
}

void map_close(struct file_map *m){
  if( m->data ) pages_free((void *)(uintptr_t)m->data, m->n);
  *m = (struct file_map){ 0 };
}
