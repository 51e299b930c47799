/*
** pictures.h -- pictures in memory, for the tests.
*/
#ifndef LATENT_TESTS_PICTURES_H
#define LATENT_TESTS_PICTURES_H
#include "codec.h"
#include <stdlib.h>
#include <string.h>

#define N_OF(list) (sizeof(list)/sizeof((list)[0]))

static struct arena arena;              /* what one case holds; the test releases it */

static size_t picture_bytes(const struct picture *p){
  return (size_t)p->width*(size_t)p->height*4;
}

/* A clear picture. */
static struct picture blank(int width, int height){
  struct picture p = { width, height, NULL };
  p.pixels = arena_zeroed(&arena, picture_bytes(&p));
  if( p.pixels==NULL ) exit(2);
  return p;
}

/* Any colours; a third of the pixels clear, a third opaque. */
__attribute__((unused))
static struct picture any_picture(int width, int height, struct random *r){
  struct picture p = blank(width, height);
  for(int i=0; i<width*height; i++){
    unsigned char *pixel = p.pixels + (size_t)i*4;
    uint64_t bits = random_u64(r);
    uint64_t third = (bits>>40)%3;
    memcpy(pixel, &bits, 4);
    if( third<2 ) pixel[3] = third ? 255 : 0;
  }
  return p;
}

static int same(const struct picture *a, const struct picture *b){
  return a->width==b->width
      && a->height==b->height
      && memcmp(a->pixels, b->pixels, picture_bytes(a))==0;
}

#endif
