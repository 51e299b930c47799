/*
** base_system.h -- what each system does in its own way, for base alone: base_posix.c does it on
** Linux and macOS, base_windows.c on Windows. What other layers call of it is in base.h.
*/
#ifndef LATENT_BASE_SYSTEM_H
#define LATENT_BASE_SYSTEM_H
#include "base.h"
#include <pthread.h>

/* A descriptor for fstat(), read() and close(), which no child process inherits; -1: errno says
** why. Does not wait for the other end of a named pipe. */
int file_open(const char *path);

/* Memory of its own for n bytes, in whole pages: zeroed, and not counted by SQLite. NULL: there is
** none. */
void *pages_get(size_t n);
void pages_seal(void *pages, size_t n);         /* nobody can write to them any more */
void pages_free(void *pages, size_t n);

/* Starts up to n threads and gives how many there are. They take no signals: those are for the
** application's own threads. */
int threads_start(pthread_t *threads, int n, void *(*work)(void *), void *arg);

int processors_count(void);                     /* 1 where the system does not say */

#endif
