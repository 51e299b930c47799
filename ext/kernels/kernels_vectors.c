/*
** kernels_vectors.c -- sums, norms, softmax, attention, positions and arcs: the plain versions,
** made from kernels_lanes.h with vectors of four floats, which every x86-64 and arm64 has; the
** calls of the versions that are best on this CPU; and rotary tables and arcs, of which there is
** one version.
**
** Tables and arcs use libm in double precision and round to float. C libraries differ in the last
** bit of such a double at most. After the rounding that shows once in about 2^29 numbers. The
** float functions of libm differ far more often.
*/
#include "kernels.h"
#include <assert.h>
#include <math.h>
#include <string.h>

#define TARGET
#define WIDTH 4
#define LANES lanes_plain
#include "kernels_lanes.h"

float dot(const float *x, const float *y, int n){
  return lanes_chosen()->dot(x, y, n);
}

float dot_bytes(const float *x, const int8_t *y, int n){
  return lanes_chosen()->dot_bytes(x, y, n);
}

void dots(float *y, const float *x, const float *rows, int n, int d){
  lanes_chosen()->dots(y, x, rows, n, d);
}

void widen(float *y, const uint16_t *x, int n){
  lanes_chosen()->widen(y, x, n);
}

void add(float *y, const float *x, int n){
  lanes_chosen()->add(y, x, n);
}

void add_bias(float *y, const float *bias, int rows, int n){
  lanes_chosen()->add_bias(y, bias, rows, n);
}

int largest(const float *x, int n){
  return lanes_chosen()->largest(x, n);
}

float normalize(float *x, int n){
  return lanes_chosen()->normalize(x, n);
}

void rms_norm(float *y, const float *x, const float *weight, int rows, int d, float epsilon){
  assert( rows>=0 && d>0 );
  lanes_chosen()->rms_norm(y, x, weight, rows, d, epsilon);
}

void layer_norm(float *y, const float *x, const float *weight, const float *bias, int rows, int d,
                float epsilon){
  assert( rows>=0 && d>0 );
  lanes_chosen()->layer_norm(y, x, weight, bias, rows, d, epsilon);
}

void silu_gate(float *y, const float *value_gate, int rows, int h){
  assert( y!=value_gate );
  lanes_chosen()->silu_gate(y, value_gate, rows, h);
}

void silu_bias(float *y, const float *bias, int rows, int n){
  lanes_chosen()->silu_bias(y, bias, rows, n);
}

void gelu_bias(float *y, const float *bias, int rows, int n){
  lanes_chosen()->gelu_bias(y, bias, rows, n);
}

void softmax(float *x, int n){
  lanes_chosen()->softmax(x, n);
}

void log_softmax(float *x, int n){
  lanes_chosen()->log_softmax(x, n);
}

void rotary(float *x, const float *cos_sin, int heads, int stride){
  assert( heads<=1 || stride>=64 );
  lanes_chosen()->rotary(x, cos_sin, heads, stride);
}

void attend(float *out, const float *q, const float *k, const float *v, int n, int stride,
            float *scores){
  assert( n>0 );
  assert( n==1 || stride>=64 );
  lanes_chosen()->attend(out, q, k, v, n, stride, scores);
}

void rotary_table(float *cos_sin, int positions, double base){
  for(int i=0; i<32; i++){
    double step = pow(base, -i/32.0);
    for(int p=0; p<positions; p++){
      cos_sin[p*64+i] = (float)cos(p*step);
      cos_sin[p*64+32+i] = (float)sin(p*step);
    }
  }
}

/*
** The arc from a to b: y = cos(t w) a + sin(t w) u.
**
**     w = 2 atan2(|a - b|, |a + b|), the angle between them. (Kahan: accurate for small and for
**         large angles, where acos of a dot product is not.)
**     u   the unit vector along the part of b that stands at right angles to a.
**
** Equal vectors have w = 0 and need no u. Opposite ones leave u open: it then leans towards the
** axis that a has least of, so that the arc still has even speed and unit length. t = 0 and t = 1
** give a and b bit by bit.
*/
void slerp(float *y, const float *a, const float *b, float t, int n){
  double apart = 0;             /* |a - b|^2 */
  double together = 0;          /* |a + b|^2 */
  double along = 0;             /* a . b, or of the axis in the place of b */
  double length = 0;            /* of u before it is a unit vector */
  double along_a, along_u, angle;
  int opposite, axis = 0;
  if( n<=0 ) return;
  if( t==0.0f || t==1.0f ){
    memmove(y, t==0.0f ? a : b, sizeof(float)*(size_t)n);
    return;
  }
  for(int i=0; i<n; i++){
    double minus = (double)a[i] - b[i];
    double plus = (double)a[i] + b[i];
    apart += minus*minus;
    together += plus*plus;
    if( fabsf(a[i])<fabsf(a[axis]) ) axis = i;
  }
  opposite = together<1e-8;
  for(int i=0; i<n; i++) along += (double)a[i]*(opposite ? i==axis : b[i]);
  for(int i=0; i<n; i++){
    double u = (opposite ? i==axis : b[i]) - along*a[i];
    length += u*u;
  }
  length = sqrt(length);
  angle = 2*atan2(sqrt(apart), sqrt(together));
  along_a = cos(t*angle);
  along_u = length>0 ? sin(t*angle)/length : 0;
  for(int i=0; i<n; i++){
    double u = (opposite ? i==axis : b[i]) - along*a[i];
    y[i] = (float)(along_a*a[i] + along_u*u);
  }
}
