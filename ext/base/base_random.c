/*
** base_random.c -- random numbers from a seed, the same on every machine.
**
** The generator is splitmix64 (Steele, Lea, Flood: "Fast splittable
** pseudorandom number generators", OOPSLA 2014): any seed is a good one, 0
** included. Only whole-number arithmetic and exact conversions are used, so
** that latent_sample(7) is the same point everywhere.
*/
#include "base.h"

struct random random_of(uint64_t seed){
  struct random r;
  r.state = seed;
  return r;
}

uint64_t random_u64(struct random *r){
  uint64_t x = r->state += UINT64_C(0x9E3779B97F4A7C15);
  x = (x ^ x >> 30)*UINT64_C(0xBF58476D1CE4E5B9);
  x = (x ^ x >> 27)*UINT64_C(0x94D049BB133111EB);
  return x ^ x >> 31;
}

static int32_t random_24_bits(struct random *r){
  return (int32_t)(random_u64(r) >> 40);
}

float random_uniform(struct random *r){
  return (float)random_24_bits(r)*(1.0f/16777216.0f);
}

/* Twelve uniforms have the variance 1 together. Summed as whole numbers: one rounding, at the end. */
float random_normal(struct random *r){
  int32_t sum = -6*16777216;
  int i;
  for(i=0; i<12; i++) sum += random_24_bits(r);
  return (float)sum*(1.0f/16777216.0f);
}
