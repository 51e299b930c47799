/*
** pthread.h -- what latent asks of POSIX threads, in a module that has one thread. WASI's own C
** library has no such header.
*/
#ifndef LATENT_WEB_PTHREAD_H
#define LATENT_WEB_PTHREAD_H

typedef int pthread_t;
typedef int pthread_once_t;
typedef struct { const void *value; } *pthread_key_t;
#define PTHREAD_ONCE_INIT 0

static inline pthread_t pthread_self(void){
  return 1;
}

static inline int pthread_equal(pthread_t a, pthread_t b){
  return a==b;
}

static inline int pthread_once(pthread_once_t *once, void (*work)(void)){
  if( *once==0 ) work();
  *once = 1;
  return 0;
}

/* web_system.c: one key is all that is asked for. */
int pthread_key_create(pthread_key_t *key, void (*destroy)(void *));

static inline int pthread_setspecific(pthread_key_t key, const void *value){
  key->value = value;
  return 0;
}

static inline void *pthread_getspecific(pthread_key_t key){
  return (void *)key->value;
}

#endif
