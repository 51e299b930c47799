/*
** base_posix.c -- the system under latent where it is one of POSIX: Linux, macOS. Its twin is
** base_windows.c; base_system.h and base.h say what both give.
*/
#ifndef _WIN32
#define _GNU_SOURCE             /* dladdr, realpath, sched_getcpu */
#include "base_system.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Files and paths ---- */

int file_open(const char *path){
  /* O_NONBLOCK, because open() would wait for the other end of a named pipe. */
  return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

int path_exists(const char *path){
  struct stat st;
  return stat(path, &st)==0;
}

int path_is_directory(const char *path){
  struct stat st;
  return stat(path, &st)==0 && S_ISDIR(st.st_mode);
}

int path_real(char *out, const char *path){
  return realpath(path, out)!=NULL;
}

int path_own(char *out){
  Dl_info where;
  int found = dladdr((void *)(uintptr_t)path_own, &where) && where.dli_fname;
  /* Linked statically, dladdr() gives the name that the program was called with, which need not be
  ** a path. */
  return (found && path_real(out, where.dli_fname)) || path_real(out, "/proc/self/exe");
}

const char *environment_get(const char *name, char *out){
  (void)out;
  return getenv(name);
}

/* ---- Pages ---- */

void *pages_get(size_t n){
  void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if( p==MAP_FAILED ) return NULL;
#ifdef MADV_HUGEPAGE
  madvise(p, n, MADV_HUGEPAGE);         /* fewer page faults */
#endif
  return p;
}

void pages_seal(void *pages, size_t n){
  mprotect(pages, n, PROT_READ);
}

void pages_free(void *pages, size_t n){
  munmap(pages, n);
}

/* ---- Threads and processors ---- */

/* Linux often puts a new thread on the processor of the one that starts it, where it waits until
** that one waits, though another processor is idle: on two of them in each second start (kernel
** 6.18, by a probe). So it is sent away, and then may go where it likes. */
static void send_away(pthread_t thread){
#ifdef __linux__
  cpu_set_t all, others;
  if( pthread_getaffinity_np(thread, sizeof(all), &all)!=0 ) return;
  others = all;
  CPU_CLR(sched_getcpu(), &others);
  if( CPU_COUNT(&others)==0 ) return;
  pthread_setaffinity_np(thread, sizeof(others), &others);
  pthread_setaffinity_np(thread, sizeof(all), &all);
#else
  (void)thread;
#endif
}

int threads_start(pthread_t *threads, int n, void *(*work)(void *), void *arg){
  sigset_t all, before;
  int n_started = 0;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while( n_started<n && pthread_create(&threads[n_started], NULL, work, arg)==0 ){
    send_away(threads[n_started++]);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return n_started;
}

int processors_count(void){
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n<1 ? 1 : (int)n;
}

/* /proc/loadavg: "0.10 0.20 0.30 1/120 4711", where 1 thread runs or waits for a processor. The one
** that asks is among them. */
int processors_idle(void){
  char text[128];
  int file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  ssize_t n = file<0 ? -1 : read(file, text, sizeof(text) - 1);
  int idle = processors_count();
  const char *running;
  if( file>=0 ) close(file);
  if( n<=0 ) return 0;
  text[n] = 0;
  running = strchr(text, '/');
  if( running==NULL ) return 0;
  while( running>text && is_ascii_digit(running[-1]) ) running--;
  idle -= atoi(running);
  return idle<0 ? 0 : idle;
}
#endif
