/*
** piece_rows.h -- rows of texts and their piece numbers, as make_*_cases.py writes them: what
** test_codec.c, test_codec_wordpiece.c and test_bpe.c share.
*/
#ifndef LATENT_TESTS_PIECE_ROWS_H
#define LATENT_TESTS_PIECE_ROWS_H
#include "base.h"
#include <stdio.h>
#include <stdlib.h>

/* A whole file, with a 0 behind it. */
__attribute__((unused))
static struct buf read_whole(const char *path){
  struct buf b = { 0 };
  FILE *f = fopen(path, "rb");
  char part[4096];
  size_t n;
  if( f==NULL ){
    fprintf(stderr, "cannot read %s\n", path);
    exit(2);
  }
  while( (n = fread(part, 1, sizeof(part), f))>0 ) buf_append(&b, part, n);
  fclose(f);
  buf_text(&b);
  return b;
}

/* expected: ids in decimal, to the end of the line. */
static int same_ids(const int *ids, int n, const char *expected){
  for(int i=0; i<n; i++){
    char *end;
    if( strtol(expected, &end, 10)!=ids[i] || end==expected ) return 0;
    expected = end;
  }
  return *expected==0 || *expected=='\n';
}

#endif
