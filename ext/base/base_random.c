/*
** base_random.c -- random numbers from a seed, the same on every machine.
**
** The generator is splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
** generators", OOPSLA 2014). Any seed is a good one, 0 too. Only whole-number arithmetic and exact
** conversions are used, so that latent_sample(7) is the same point everywhere.
*/
#include "base.h"

static const float TWO_TO_MINUS_24 = 1.0f/16777216.0f;

struct random random_of(uint64_t seed){
  return (struct random){ seed };
}

uint64_t random_u64(struct random *r){
  uint64_t x = r->state + UINT64_C(0x9E3779B97F4A7C15);
  r->state = x;
  x = (x ^ x >> 30)*UINT64_C(0xBF58476D1CE4E5B9);
  x = (x ^ x >> 27)*UINT64_C(0x94D049BB133111EB);
  return x ^ x >> 31;
}

static int32_t random_24_bits(struct random *r){
  return (int32_t)(random_u64(r) >> 40);
}

float random_uniform(struct random *r){
  return (float)random_24_bits(r)*TWO_TO_MINUS_24;
}

/* The sum of twelve uniforms has variance 1. As whole numbers, they are rounded once, at
** the end. */
float random_normal(struct random *r){
  int32_t sum = -6*16777216;
  for(int i=0; i<12; i++) sum += random_24_bits(r);
  return (float)sum*TWO_TO_MINUS_24;
}
