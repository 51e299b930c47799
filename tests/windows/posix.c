/*
** posix.c -- posix.h in the words of Windows.
*/
#include "posix.h"
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

/* No file of a test has other ends of lines than elsewhere. */
static __attribute__((constructor)) void all_binary(void){
  _fmode = _O_BINARY;
}

void *zeroed(size_t bytes){
  void *p = malloc(bytes);
  return p ? memset(p, 0, bytes) : NULL;
}

/* An empty value takes the variable away: Windows has no empty ones. */
int setenv(const char *name, const char *value, int replace){
  (void)replace;
  return _putenv_s(name, value);
}

int unsetenv(const char *name){
  return setenv(name, "", 1);
}

ssize_t pwrite(int file, const void *data, size_t n, off_t at){
  return _lseek(file, at, SEEK_SET)<0 ? -1 : _write(file, data, (unsigned)n);
}

/* Few users may make links: a copy of the folder does as well. */
int symlink(const char *from, const char *to){
  WIN32_FIND_DATAA entry;
  char path[PATH_MAX], copy[PATH_MAX];
  HANDLE list;
  snprintf(path, sizeof(path), "%s/*", from);
  list = FindFirstFileA(path, &entry);
  if( list==INVALID_HANDLE_VALUE ) return -1;
  CreateDirectoryA(to, NULL);
  do{
    snprintf(path, sizeof(path), "%s/%s", from, entry.cFileName);
    snprintf(copy, sizeof(copy), "%s/%s", to, entry.cFileName);
    if( strcmp(entry.cFileName, ".")==0 || strcmp(entry.cFileName, "..")==0 ) continue;
    if( entry.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ) symlink(path, copy);
    else CopyFileA(path, copy, FALSE);
  }while( FindNextFileA(list, &entry) );
  FindClose(list);
  return 0;
}
