/*
** posix.h -- what test programs ask of POSIX that mingw-w64 does not have. bindings/dist/dist.mk
** includes it first in each program that it builds for Windows, and links posix.c.
*/
#ifndef LATENT_TESTS_POSIX_H
#define LATENT_TESTS_POSIX_H
#include <direct.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/types.h>

#define mkdir(path, mode) _mkdir(path)
#define realpath(path, out) _fullpath(out, path, PATH_MAX)
/* What is aligned has a free() of its own, so all memory of a test is. */
#define aligned_alloc(alignment, n) _aligned_malloc(n, alignment)
#define malloc(n) _aligned_malloc(n, 16)
#define calloc(n, bytes) zeroed((n)*(bytes))
#define realloc(p, n) _aligned_realloc(p, n, 16)
#define free(p) _aligned_free(p)

void *zeroed(size_t bytes);
int setenv(const char *name, const char *value, int replace);
int unsetenv(const char *name);
int symlink(const char *from, const char *to);
ssize_t pwrite(int file, const void *data, size_t n, off_t at);

#endif
