/*
** index_floor.c -- two things that a search reckons with: how good a row must be to be wanted, and
** how many rows of a cell are likely to be that good.
*/
#include "index.h"

/* ---- The floor: a heap with the least on top ---- */

static void floor_push(struct floor *f, float lower){
  int64_t i = f->n++;

  while( i>0 && lower<f->best[(i-1)/2] ){
    f->best[i] = f->best[(i-1)/2];
    i = (i-1)/2;
  }
  f->best[i] = lower;
}

/* `lower` takes the place of the least. */
static void floor_replace(struct floor *f, float lower){
  int64_t i = 0, child;

  while( (child = 2*i+1)<f->size ){
    if( child+1<f->size && f->best[child+1]<f->best[child] ) child++;
    if( f->best[child]>=lower ) break;
    f->best[i] = f->best[child];
    i = child;
  }
  f->best[i] = lower;
}

void floor_see(struct floor *f, float lower){
  if( f->size==0 ) return;
  if( f->n<f->size ){
    floor_push(f, lower);
  }else if( lower>f->best[0] ){
    floor_replace(f, lower);
  }
  if( f->n==f->size && f->best[0]>f->at ) f->at = f->best[0];
}

/* ---- The curve ---- */

/* The table has it for z = 0, 1/4, .... It is that of a normal curve whose spread is itself drawn,
** e^(0.08 g) with a normal g, because cells are longer in one direction than in another. It is
** written out because erfc() differs between C libraries. */
float share_above(float z){
  static const float shares[] = {
    0.5f, 0.401f, 0.308f, 0.226f, 0.159f, 0.106f, 0.0676f, 0.041f, 0.0238f, 0.0131f, 0.00694f,
    0.00351f, 0.0017f, 0.000789f, 0.000352f, 0.000152f, 6.29e-05f, 2.52e-05f, 9.8e-06f, 3.69e-06f,
    1.35e-06f, 4.81e-07f, 1.67e-07f, 5.67e-08f, 1.88e-08f, 6.11e-09f, 1.94e-09f, 6.08e-10f,
    1.87e-10f, 5.64e-11f, 1.68e-11f, 4.93e-12f, 0, 0,
  };
  const float at = z*4;
  int i;

  if( !(at>-16) ) return 1;
  if( at<0 ) return 1 - share_above(-z);
  if( at>=32 ) return 0;
  i = (int)at;
  return shares[i] + (at - (float)i)*(shares[i+1] - shares[i]);
}
