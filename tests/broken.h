/*
** broken.h -- copies of a folder of tests/data in which one file has some text replaced, is cut off
** or is left out: what test_bert.c and test_writer.c share.
*/
#ifndef LATENT_TESTS_BROKEN_H
#define LATENT_TESTS_BROKEN_H
#include "model_golden.h"
#include <unistd.h>

struct broken {
  const char *file;
  const char *from, *to;                /* from NULL: the file is left out; to NULL: cut at from */
  int rc;
  const char *text;                     /* what the message says */
};

/* memmem() for texts */
static char *find(char *data, size_t n, const char *text){
  size_t length = strlen(text);
  for(size_t i=0; i+length<=n; i++){
    if( memcmp(data + i, text, length)==0 ) return data + i;
  }
  return NULL;
}

static void write_broken(const char *path, char *data, size_t n, const struct broken *how){
  char *at;
  FILE *f;
  if( how && how->from==NULL ) return;
  at = how ? find(data, n, how->from) : data + n;
  f = fopen(path, "wb");
  if( f==NULL || at==NULL ){
    printf("not ok - broken: %s has %s\n", path, how ? how->from : "room");
    exit(1);
  }
  fwrite(data, 1, (size_t)(at - data), f);
  if( how && how->to ){
    at += strlen(how->from);
    fputs(how->to, f);
    fwrite(at, 1, (size_t)(data + n - at), f);
  }
  fclose(f);
}

/* files[n] of tests/data/<of> into the folder. how NULL: as they are. */
static void copy_files(const char *folder, const char *of, const char *const *files, int n,
                       const struct broken *how){
  char path[200], from[80];
  for(int i=0; i<n; i++){
    size_t n_data;
    char *data;
    snprintf(from, sizeof(from), "tests/data/%s/%s", of, files[i]);
    snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
    data = file_read(path_of(from), &n_data);
    unlink(path);
    write_broken(path, data, n_data, how && strcmp(files[i], how->file)==0 ? how : NULL);
    free(data);
  }
}

static void remove_files(const char *folder, const char *const *files, int n){
  char path[200];
  for(int i=0; i<n; i++){
    snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
    unlink(path);
  }
}

#endif
