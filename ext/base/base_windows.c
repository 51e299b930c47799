/*
** base_windows.c -- the system under latent where it is Windows. Its twin is base_posix.c;
** base_system.h and base.h say what both give.
**
** Paths are UTF-8 on this side of the file, and UTF-16 on the system's. Windows takes '/' between
** the parts of a path, and gives '\'. What comes from the system has '/' when it leaves this file,
** so that nobody else need know of the other. The C library's own stat(), open() and getenv() would
** take UTF-8 for the letters of the machine's code page.
**
** Threads are those of mingw-w64's winpthreads, which becomes a part of the library.
*/
#ifdef _WIN32
#include "base_system.h"
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <string.h>
#include <windows.h>

/* A library that is in use stays, as one on Linux that is linked with -z nodelete: SQLite frees the
** library when its last connection closes, and also if the entry point failed, while functions
** that it could not take back may remain registered. */
static __attribute__((constructor)) void stay(void){
  HMODULE self;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                     (const wchar_t *)(uintptr_t)stay, &self);
}

/* ---- UTF-16 ---- */

/* 0: it is not UTF-8, or is too long. */
static int to_wide(wchar_t out[PATH_BYTES], const char *text){
  return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, out, PATH_BYTES)>0;
}

static int from_wide(char *out, size_t n, const wchar_t *text){
  return WideCharToMultiByte(CP_UTF8, 0, text, -1, out, (int)n, NULL, NULL)>0;
}

/* Likewise, a path: with '/', and without the "\\?\" that begins those which Windows gives. */
static int path_from_wide(char *out, const wchar_t *path){
  if( wcsncmp(path, L"\\\\?\\UNC\\", 8)==0 ){           /* \\?\UNC\server\... is //server/... */
    if( !from_wide(out + 1, PATH_BYTES - 1, path + 7) ) return 0;
    out[0] = '/';
  }else{
    if( wcsncmp(path, L"\\\\?\\", 4)==0 ) path += 4;
    if( !from_wide(out, PATH_BYTES, path) ) return 0;
  }
  for(char *p=out; *p; p++){
    if( *p=='\\' ) *p = '/';
  }
  return 1;
}

/* ---- Files and paths ---- */

int file_open(const char *path){
  wchar_t wide[PATH_BYTES];
  errno = ENOENT;
  return to_wide(wide, path) ? _wopen(wide, _O_RDONLY | _O_BINARY | _O_NOINHERIT) : -1;
}

/* INVALID_FILE_ATTRIBUTES: there is nothing of that path. */
static DWORD attributes_of(const char *path){
  wchar_t wide[PATH_BYTES];
  return to_wide(wide, path) ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;
}

int path_exists(const char *path){
  return attributes_of(path)!=INVALID_FILE_ATTRIBUTES;
}

int path_is_directory(const char *path){
  DWORD attributes = attributes_of(path);
  return attributes!=INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY)!=0;
}

static int real_of_wide(char *out, const wchar_t *path){
  wchar_t real[PATH_BYTES];
  DWORD n;
  HANDLE file = CreateFileW(path, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                            OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);   /* folders too */
  if( file==INVALID_HANDLE_VALUE ) return 0;
  n = GetFinalPathNameByHandleW(file, real, PATH_BYTES, FILE_NAME_NORMALIZED | VOLUME_NAME_DOS);
  CloseHandle(file);
  return n>0 && n<PATH_BYTES && path_from_wide(out, real);
}

int path_real(char *out, const char *path){
  wchar_t wide[PATH_BYTES];
  return to_wide(wide, path) && real_of_wide(out, wide);
}

int path_own(char *out){
  wchar_t path[PATH_BYTES];
  HMODULE self;
  DWORD n;
  if( !GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS
                          | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                          (const wchar_t *)(uintptr_t)path_own, &self) ) return 0;
  n = GetModuleFileNameW(self, path, PATH_BYTES);
  return n>0 && n<PATH_BYTES && real_of_wide(out, path);
}

const char *environment_get(const char *name, char *out){
  wchar_t wide_name[PATH_BYTES], value[PATH_BYTES];
  DWORD length;
  if( !to_wide(wide_name, name) ) return NULL;
  length = GetEnvironmentVariableW(wide_name, value, PATH_BYTES);
  return length>0 && length<PATH_BYTES && path_from_wide(out, value) ? out : NULL;
}

/* ---- Pages ---- */

void *pages_get(size_t n){
  return VirtualAlloc(NULL, n, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void pages_seal(void *pages, size_t n){
  DWORD before;
  VirtualProtect(pages, n, PAGE_READONLY, &before);
}

void pages_free(void *pages, size_t n){
  (void)n;
  VirtualFree(pages, 0, MEM_RELEASE);
}

/* ---- Threads and processors ---- */

int threads_start(pthread_t *threads, int n, void *(*work)(void *), void *arg){
  int n_started = 0;
  while( n_started<n && pthread_create(&threads[n_started], NULL, work, arg)==0 ) n_started++;
  return n_started;
}

int processors_count(void){
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  return (int)system.dwNumberOfProcessors;
}

int processors_idle(void){
  return 0;                             /* Windows tells only of the time since it was last asked */
}
#endif
