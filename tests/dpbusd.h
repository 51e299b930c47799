/*
** dpbusd.h -- the instruction vpdpbusd in C, for the tests that emulate it.
*/
#ifndef LATENT_DPBUSD_H
#define LATENT_DPBUSD_H
#include <stdint.h>
#include <string.h>

/* As vpdpbusd: each of n numbers of 32 bits gets four products of a byte of u without a sign and
** one of w with a sign. */
static inline void dpbusd(void *sums, const void *u, const void *w, int n){
  for(int i=0; i<n; i++){
    int32_t sum;
    memcpy(&sum, (char *)sums + 4*i, sizeof(sum));
    for(int k=4*i; k<4*i+4; k++) sum += ((const uint8_t *)u)[k]*((const signed char *)w)[k];
    memcpy((char *)sums + 4*i, &sum, sizeof(sum));
  }
}

#endif
