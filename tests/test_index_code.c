/*
** test_index_code.c -- the codes of rows compared with the rows. The rotation keeps products, the
** estimate from signs is unbiased and as far off as it says, the bound from bytes always holds.
** And the kernels below them compared with their definitions, in every code that this CPU has.
*/
#include "index.h"
#include "fault.h"
#include "ok.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a)/sizeof((a)[0]))
static const int widths[] = { 1, 2, 3, 7, 63, 64, 65, 100, 128, 384, 1536 };

static float *unit_vector(struct random *r, int width){
  float *x = malloc(sizeof(float)*(size_t)width);
  for(int i=0; i<width; i++) x[i] = random_normal(r)*(i%5==0 ? 3 : 1);      /* uneven axes */
  normalize(x, width);
  return x;
}

static double product(const float *x, const float *y, int n){
  double sum = 0;
  for(int i=0; i<n; i++) sum += (double)x[i]*y[i];
  return sum;
}

/* ---- Kernels ---- */

static void test_bits(void){
  static const char *const codes[] = { "avx512", "popcnt", "plain" };
  for(size_t c=0; c<COUNT(codes); c++){
    struct property equal = { 0 };
    struct random r = random_of(3);
    char name[80];
    if( !bits_choose(codes[c]) ) continue;
    for(int words=1; words<=17; words++){
      for(int n=1; n<=18; n++){
        uint64_t *rows = malloc(8*(size_t)(n*words));
        uint64_t *planes = malloc(8*4*(size_t)words);
        int32_t *y = malloc(4*(size_t)n);
        for(int i=0; i<n*words; i++) rows[i] = random_u64(&r);
        for(int i=0; i<4*words; i++) planes[i] = random_u64(&r);
        bit_products(y, rows, planes, n, words);
        for(int i=0; i<n; i++){
          int want = 0;
          for(int w=0; w<words; w++){
            for(int b=0; b<64; b++){
              int number = 0;
              for(int p=0; p<4; p++) number |= (int)(planes[p*words+w]>>b & 1) << p;
              if( rows[i*words+w]>>b & 1 ) want += number>7 ? number-16 : number;
            }
          }
          holds(&equal, y[i]==want, "%d words, row %d of %d: %d, expected %d", words, i, n, y[i],
                want);
        }
        free(rows);
        free(planes);
        free(y);
      }
    }
    snprintf(name, sizeof(name), "bit_products: %s adds up what the planes hold", codes[c]);
    property_ok(&equal, name);
  }
  bits_choose(NULL);
}

static void test_dots(void){
  static const char *const codes[] = { "avx512", "avx2", "neon", "openblas", "plain" };
  static const int sizes[] = { 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 100 };
  struct property dots_equal = { 0 };
  struct property bytes_equal = { 0 };
  for(size_t c=0; c<COUNT(codes); c++){
    for(size_t s=0; s<COUNT(sizes); s++){
      int d = sizes[s];
      struct random r = random_of(9);
      if( !linear_choose(codes[c]) ) continue;
      for(int n=1; n<=9; n++){
        float *x = malloc(4*(size_t)d);
        float *rows = malloc(4*(size_t)(n*d));
        float *y = malloc(4*(size_t)n);
        float *same = malloc(4*(size_t)d);
        int8_t *bytes = malloc((size_t)d);
        for(int i=0; i<d; i++) x[i] = random_normal(&r);
        for(int i=0; i<n*d; i++) rows[i] = random_normal(&r);
        for(int k=0; k<d; k++){
          bytes[k] = (int8_t)random_u64(&r);
          same[k] = bytes[k];
        }
        dots(y, x, rows, n, d);
        for(int i=0; i<n; i++){
          holds(&dots_equal, y[i]==dot(rows + (size_t)i*d, x, d), "%s, row %d of %d, %d numbers",
                codes[c], i, n, d);
        }
        holds(&bytes_equal, dot_bytes(x, bytes, d)==dot(x, same, d), "%s, %d numbers", codes[c], d);
        free(x);
        free(rows);
        free(y);
        free(same);
        free(bytes);
      }
    }
  }
  linear_choose(NULL);
  property_ok(&dots_equal, "dots: each row has the bits that dot() gives it, in every code");
  property_ok(&bytes_equal, "dot_bytes: the bits of dot() over the same numbers, in every code");
}

/* Every half that is finite, in every code: as many at once as there are, and as few as 1 to 33. */
static void test_widen(void){
  static const char *const codes[] = { "avx512", "avx2", "neon", "openblas", "plain" };
  static uint16_t halves[1<<16];
  static float y[1<<16];
  struct property same = { 0 };
  int n = 0;
  for(int half=0; half<=0xffff; half++){
    if( (half & 0x7c00)!=0x7c00 ) halves[n++] = (uint16_t)half;
  }
  for(size_t c=0; c<COUNT(codes); c++){
    if( !linear_choose(codes[c]) ) continue;
    for(int few=0; few<=33; few++){
      int step = few ? few : n;
      for(int i=0; i<n; i+=step) widen(y + i, halves + i, n-i<step ? n-i : step);
      for(int i=0; i<n; i++){
        float plain = half_to_float(halves[i]);
        holds(&same, memcmp(&y[i], &plain, sizeof(plain))==0, "%s, %d at once, %04x: %g, %g",
              codes[c], step, halves[i], y[i], plain);
      }
    }
  }
  linear_choose(NULL);
  property_ok(&same, "widen: every finite half is what half_to_float() says, in every code");
}

/* ---- Rotation ---- */

static void test_rotation(void){
  struct property kept = { 0 };
  struct property same = { 0 };
  for(size_t s=0; s<COUNT(widths); s++){
    int w = widths[s];
    struct random r = random_of(w);
    struct rotation turn;
    float *x = unit_vector(&r, w);
    float *y = unit_vector(&r, w);
    float *tx = malloc(4*(size_t)w);
    float *ty = malloc(4*(size_t)w);
    rotation_init(&turn, w);
    rotate(&turn, tx, x);
    rotate(&turn, ty, y);
    holds(&kept, fabs(product(x, y, w) - product(tx, ty, w))<1e-6
          && fabs(product(tx, tx, w) - 1)<1e-6, "width %d", w);
    for(int i=0; i<w; i++) ty[i] = x[i];
    rotate(&turn, ty, ty);
    holds(&same, memcmp(tx, ty, 4*(size_t)w)==0, "width %d", w);
    rotation_release(&turn);
    rotation_release(&turn);
    free(x);
    free(y);
    free(tx);
    free(ty);
  }
  property_ok(&kept, "rotate: lengths and products stay, for every width");
  property_ok(&same, "rotate: in place gives the same");
}

/* ---- Codes ---- */

/* What came out of estimating products of queries with coded rows around a centroid. */
struct outcome {
  double error, squares;        /* (estimate - truth)/error: its sum, the sum of its squares */
  int n, beyond;                /* estimates; those more than three errors off */
  int broken;                   /* byte bounds */
  double slack;                 /* the largest */
};

/* Every third query leans towards its row. spread: the length of the residuals, about. */
static struct outcome measure_codes(int width, float spread, int n){
  struct outcome o = { 0 };
  struct random r = random_of((uint64_t)width*1000 + 7);
  struct rotation turn;
  float estimate, error, slack;
  float *centroid = unit_vector(&r, width);
  float *t = malloc(4*(size_t)width);
  uint64_t *signs = malloc(8*SIGN_WORDS((size_t)width));
  int8_t *bytes = malloc((size_t)width);
  rotation_init(&turn, width);
  for(int i=0; i<width; i++) centroid[i] *= 0.7f;
  rotate(&turn, centroid, centroid);
  for(int j=0; j<n; j++){
    struct arena a = { 0 };
    struct err e = { 0 };
    struct prepared_query p;
    struct factors f;
    float along, rest;
    float *x = unit_vector(&r, width);
    float *q = unit_vector(&r, width);
    double truth, square, at_centroid;
    rotate(&turn, x, x);
    for(int i=0; i<width; i++) x[i] = centroid[i] + spread*x[i];
    normalize(x, width);
    for(int i=0; i<width && j%3==0; i++) q[i] = x[i]*0.5f + q[i];
    normalize(q, width);
    code_make(&f, signs, bytes, x, centroid, width);
    query_prepare(&p, &turn, q, &a, &e);
    rotate(&turn, t, q);
    square = product(centroid, centroid, width);
    at_centroid = product(t, centroid, width);
    along = (float)(at_centroid/square);
    rest = (float)sqrt(fmax(0, 1 - at_centroid*at_centroid/square));
    truth = product(t, x, width) - at_centroid;
    query_signs(&estimate, &error, &p, along, rest, &f.scale, 1, signs, 1);
    o.broken += fabs(query_bytes(&p, &f, bytes, &slack) - truth)>slack;
    o.slack = fmax(o.slack, slack);
    if( error>0 ){
      double off = (estimate - truth)/error;
      o.error += off;
      o.squares += off*off;
      o.beyond += fabs(off)>3;
      o.n++;
    }
    arena_release(&a);
    free(x);
    free(q);
  }
  rotation_release(&turn);
  free(centroid);
  free(t);
  free(signs);
  free(bytes);
  return o;
}

static void test_codes(void){
  struct property unbiased = { 0 };
  struct property calibrated = { 0 };
  struct property bound = { 0 };
  struct property tight = { 0 };
  for(size_t s=0; s<COUNT(widths); s++){
    int w = widths[s];
    int n = 3000;
    struct outcome o = measure_codes(w, 0.8f, n);
    holds(&bound, o.broken==0, "width %d: %d of %d", w, o.broken, n);
    holds(&tight, w<8 || o.slack<0.02, "width %d: slack %g", w, o.slack);
    if( w<63 ) continue;                /* a mean over rotations says nothing where there are few */
    holds(&unbiased, fabs(o.error/o.n)<0.1, "width %d: mean error %g of the standard error", w,
          o.error/o.n);
    holds(&calibrated, o.squares/o.n>0.6 && o.squares/o.n<1.15 && o.beyond<o.n/100,
          "width %d: variance %g, %d of %d beyond 3", w, o.squares/o.n, o.beyond, o.n);
  }
  property_ok(&unbiased, "query_signs: the estimate is unbiased");
  property_ok(&calibrated, "query_signs: the standard error is what it says");
  property_ok(&bound, "query_bytes: the bound holds for every row");
  property_ok(&tight, "query_bytes: the slack is small");
}

/* No residual; a residual so small that binary16 has no number for its step. */
static void test_code_ends(void){
  struct property zero = { 0 };
  struct property small = { 0 };
  for(size_t s=0; s<COUNT(widths); s++){
    int w = widths[s];
    struct random r = random_of(5);
    struct factors f;
    float *x = unit_vector(&r, w);
    float *c = malloc(4*(size_t)w);
    uint64_t *signs = malloc(8*SIGN_WORDS((size_t)w));
    int8_t *bytes = malloc((size_t)w);
    double lost = 0;
    float step, slack;
    code_make(&f, signs, bytes, x, x, w);
    holds(&zero, f.scale==0 && f.error==0 && f.lean==0 && f.step==0 && f.slack==0, "width %d", w);
    for(int i=0; i<w; i++) c[i] = x[i] + (i%2 ? 1e-7f : -2e-7f);
    code_make(&f, signs, bytes, x, c, w);
    step = half_to_float(f.step);
    for(int i=0; i<w; i++) lost += pow((double)(x[i] - c[i]) - (double)step*bytes[i], 2);
    slack = half_to_float(f.slack);
    holds(&small, sqrt(lost)<=slack && half_to_float(f.error)>=0 && f.scale<0x7c00,
          "width %d: lost %g, slack %g", w, sqrt(lost), slack);
    free(x);
    free(c);
    free(signs);
    free(bytes);
  }
  property_ok(&zero, "code_make: a row on its centroid has no error");
  property_ok(&small, "code_make: tiny residuals are bounded as others are");
}

static void test_oom(void){
  struct rotation turn, whole;
  struct arena a = { 0 };
  struct err e = { 0 };
  struct prepared_query p;
  float q[200] = { 1 };
  int rc;
  fault_set(1, 0);
  rc = rotation_init(&turn, 200);
  fault_set(0, 0);
  ok(rc==SQLITE_NOMEM, "rotation_init: out of memory is said", "%d", rc);
  rotation_init(&whole, 200);
  fault_set(1, 0);
  rc = query_prepare(&p, &whole, q, &a, &e);
  fault_set(0, 0);
  ok(rc==SQLITE_NOMEM, "query_prepare: out of memory is said", "%d", rc);
  arena_release(&a);
  rotation_release(&whole);
}

int main(void){
  fault_install();
  test_bits();
  test_dots();
  test_widen();
  test_rotation();
  test_codes();
  test_code_ends();
  test_oom();
  return n_not_ok>0;
}
