/*
** test_text.c -- documents: text to segments and back, and the arithmetic of points.
*/
#include "model_bench.h"
#include <stdlib.h>

/* ---- Segments ---- */

/* The segments' bytes joined are a space and the text; no segment is empty or too long. */
static int segments_lossless(const struct model *m, const char *text, size_t n, int *n_segments){
  struct buf joined = { 0 };
  struct bench b;
  int *ids, *start, good;
  bench_start(&b);
  good = text_segment(m, &b.run, text, n, &ids, &start, n_segments)==SQLITE_OK;
  for(int i=0; good && i<*n_segments; i++){
    good = start[i+1]>start[i] && start[i+1]-start[i]<m->config.shape.longest;
    for(int k=start[i]; k<start[i+1]; k++) tokenizer_decode(m->config.tokenizer, ids[k], &joined);
  }
  good = good && joined.n==n+1 && joined.data[0]==' ' && memcmp(joined.data+1, text, n)==0;
  buf_release(&joined);
  bench_end(&b);
  return good;
}

static void test_segments(const struct model *m){
  static const struct { const char *text; int n; } counted[] = {
    { "", 1 }, { " ", 1 }, { "One. Two! Three? Four", 4 }, { "He said \"stop.\" Then he left.", 2 }, { "see e.g. this one", 1 },
    { "a\nb\n\nc", 3 }, { "end.\n", 1 }, { "end.  lower case", 2 }, { "\xe2\x80\x9cWhy?\xe2\x80\x9d She left (at once.) Good.", 3 },
    { "version 1.5 is out... now", 1 }, { "\n\nfirst", 1 }, { "No.\r\nYes.", 2 }, { "3.14 is not. An end", 2 },
  };
  static const char *const parts[] = { ".", "!", "?", " ", "  ", "\n", "\r\n", "\t", "a", "The", " word", "\"", ")", "\xe2\x80\x9d", "\xc3\xa9", "\xff", "\xe2\x96\x81", "", "9" };
  struct property count = { 0 }, lossless = { 0 };
  struct random random = random_of(11);
  char *long_text = malloc(1000000);
  int n;
  for(size_t i=0; i<sizeof(counted)/sizeof(counted[0]); i++){
    int good = segments_lossless(m, counted[i].text, strlen(counted[i].text), &n);
    holds(&count, good && n==counted[i].n, "\"%s\" has %d segments, expected %d", counted[i].text, n, counted[i].n);
  }
  property_ok(&count, "text: text is cut after sentences and before line breaks");
  for(int i=0; i<400; i++){
    struct buf text = { 0 };
    int n_parts = (int)(random_u64(&random)%300);
    for(int k=0; k<n_parts; k++){
      if( i%3==0 ) buf_char(&text, (char)random_u64(&random));
      else buf_str(&text, parts[random_u64(&random)%(sizeof(parts)/sizeof(parts[0]))]);
    }
    holds(&lossless, segments_lossless(m, buf_text(&text), text.n, &n), "text %d of %zu bytes", i, text.n);
    buf_release(&text);
  }
  memset(long_text, 'x', 1000000);
  holds(&lossless, segments_lossless(m, long_text, 1000000, &n), "1 MB of one letter");
  for(int i=0; i<1000000; i++) long_text[i] = i%6==5 ? ' ' : 'a' + i*7%26;
  holds(&lossless, segments_lossless(m, long_text, 1000000, &n), "1 MB of words");
  property_ok(&lossless, "text: segments joined are the text, for any bytes");
  free(long_text);
}

static void test_text(const struct model *m){
  const char text[] = "One day it rained. \xff Two cats came!\nAnd a dog.";
  struct decode_options o;
  struct buf out = { 0 };
  struct latent z;
  struct bench b;
  float fidelity = -2, mean = 1;
  bench_start(&b);
  decode_options_init(&o);
  text_encode(m, &b.run, text, sizeof(text)-1, &z);
  ok(b.err.rc==SQLITE_OK && z.n_segments==4-1 && z.kind==KIND_TEXT && z.fingerprint==m->config.fingerprint, "text: a text is a latent of its segments",
     "%d segments; %s", z.n_segments, b.err.text);
  text_decode(m, &b.run, &z, &o, &out, &fidelity);
  text_score(m, &b.run, text, sizeof(text)-1, &z, &mean);
  ok(b.err.rc==SQLITE_OK && fidelity>=-1 && fidelity<=1 && mean<0, "text: text decodes with a fidelity and has a score", "%g %g %s",
     (double)fidelity, (double)mean, b.err.text);
  buf_release(&out);
  bench_end(&b);
}

/* ---- Points ---- */

static struct latent points_of(const struct model *m, float *z, int n){
  struct latent points = latent_of(m, n);
  points.z = z;
  return points;
}

static void test_interp(const struct model *m){
  static const struct { int a, b; } sizes[] = { { 1, 1 }, { 1, 5 }, { 7, 2 }, { 6, 6 }, { 40, 31 }, { 2500, 1200 }, { 1, 3000 } };
  struct property ends = { 0 }, counts = { 0 }, lengths = { 0 };
  int s = m->config.shape.s, width = s + m->config.shape.r;
  for(size_t i=0; i<sizeof(sizes)/sizeof(sizes[0]); i++){
    struct bench b;
    struct latent x, y, z;
    int longer = sizes[i].a>sizes[i].b ? sizes[i].a : sizes[i].b;
    bench_start(&b);
    x = points_of(m, random_points(m, sizes[i].a, 1+i, &b.arena), sizes[i].a);
    y = points_of(m, random_points(m, sizes[i].b, 100+i, &b.arena), sizes[i].b);
    point_interp(&z, &x, &y, 0, &b.arena, &b.err);
    holds(&ends, z.n_segments==x.n_segments && memcmp(z.z, x.z, (size_t)width*x.n_segments*sizeof(float))==0, "t = 0 of %d and %d", sizes[i].a, sizes[i].b);
    point_interp(&z, &x, &y, 1, &b.arena, &b.err);
    holds(&ends, z.n_segments==y.n_segments && memcmp(z.z, y.z, (size_t)width*y.n_segments*sizeof(float))==0, "t = 1 of %d and %d", sizes[i].a, sizes[i].b);
    for(float t=0.05f; t<1; t+=0.15f){
      point_interp(&z, &x, &y, t, &b.arena, &b.err);
      holds(&counts, z.n_segments>=1 && z.n_segments<=longer, "%d segments between %d and %d", z.n_segments, sizes[i].a, sizes[i].b);
      for(int k=0; k<z.n_segments; k++){
        const float *v = z.z + (size_t)k*width;
        holds(&lengths, fabsf(dot(v, v, s)-1)<1e-5f && dot(v+s, v+s, width-s)<1+1e-5f, "t %g, segment %d", (double)t, k);
      }
    }
    holds(&ends, b.err.rc==SQLITE_OK, "%s", b.err.text);
    bench_end(&b);
  }
  property_ok(&ends, "text: the ends of a line are its parents, bit by bit");
  property_ok(&counts, "text: a line between documents has as many segments as one of them at most");
  property_ok(&lengths, "text: points on a line have s of length 1 and r of at most 1");
}

/* A document and the same one without some of its sentences: the middle pairs equals with equals. */
static void test_alignment(const struct model *m){
  enum { N = 9 };
  static const int kept[] = { 0, 2, 3, 7, 8 };
  int s = m->config.shape.s, width = s + m->config.shape.r, n_kept = (int)(sizeof(kept)/sizeof(kept[0])), at = 0;
  struct property p = { 0 };
  struct latent x, y, z;
  struct bench b;
  float *shorter;
  bench_start(&b);
  x = points_of(m, random_points(m, N, 77, &b.arena), N);
  shorter = arena_floats(&b.arena, (size_t)n_kept*width);
  for(int i=0; i<n_kept; i++) memcpy(shorter + (size_t)i*width, x.z + (size_t)kept[i]*width, width*sizeof(float));
  y = points_of(m, shorter, n_kept);
  point_interp(&z, &x, &y, 0.99f, &b.arena, &b.err);         /* all that is alone has left */
  holds(&p, z.n_segments==n_kept, "%d segments, expected %d", z.n_segments, n_kept);
  for(int i=0; i<n_kept && i<z.n_segments; i++) holds(&p, difference(z.z + (size_t)i*width, y.z + (size_t)i*width, width)<1e-5f, "segment %d", i);
  point_interp(&z, &y, &x, 0.5f, &b.arena, &b.err);          /* half of what is alone has entered: in its place */
  holds(&p, z.n_segments==n_kept+2, "%d segments at the middle, expected %d", z.n_segments, n_kept+2);
  for(int i=0; i<z.n_segments; i++){
    while( at<N && difference(z.z + (size_t)i*width, x.z + (size_t)at*width, width)>1e-5f ) at++;
    holds(&p, at++<N, "segment %d of the middle is out of order", i);
  }
  property_ok(&p, "text: alignment pairs equal segments and keeps their order");
  bench_end(&b);
}

static void test_arithmetic(const struct model *m){
  int s = m->config.shape.s, width = s + m->config.shape.r;
  struct latent a, c, three, sum, back, sample, other;
  struct bench b;
  float mean[4096], cosine_s, cosine_r;
  bench_start(&b);
  a = points_of(m, random_points(m, 1, 1, &b.arena), 1);
  c = points_of(m, random_points(m, 1, 2, &b.arena), 1);
  three = points_of(m, random_points(m, 3, 3, &b.arena), 3);
  point_combine(&sum, &a, 1, &c, -1, KIND_DIRECTION, &b.arena, &b.err);
  point_combine(&back, &c, 1, &sum, 1, KIND_TEXT, &b.arena, &b.err);
  ok(difference(back.z, a.z, width)<1e-5f, "text: b + (a - b) is a", "apart by %g", (double)difference(back.z, a.z, width));
  point_combine(&sum, &three, 0.5f, &a, 0.5f, KIND_TEXT, &b.arena, &b.err);
  ok(sum.n_segments==3 && fabsf(dot(sum.z+2*width, sum.z+2*width, s)-1)<1e-5f, "text: one segment is added to each of three", "%d", sum.n_segments);
  point_combine(&sum, &three, 2, NULL, 0, KIND_DIRECTION, &b.arena, &b.err);
  ok(b.err.rc==SQLITE_OK && sum.z[5]==2*three.z[5], "text: a direction is scaled", "%g", (double)sum.z[5]);
  three.n_segments = 2;
  back = points_of(m, random_points(m, 3, 3, &b.arena), 3);
  ok(point_combine(&sum, &three, 1, &back, 1, KIND_TEXT, &b.arena, &b.err)==SQLITE_MISMATCH, "text: unequal counts are refused", "%s", b.err.text);
  b.err.rc = 0;
  ok(fabsf(point_distance(&a, &a))<1e-6f && fabsf(point_distance(&a, &c)-(1-point_cosine(a.z, c.z, s)))<1e-6f, "text: distance is 1 - cosine of s",
     "%g", (double)point_distance(&a, &a));
  point_mean(mean, &back);
  other = points_of(m, mean, 1);
  ok(fabsf(point_distance(&back, &other))<1e-5f && fabsf(dot(mean, mean, s)-1)<1e-5f, "text: a document is as far as its mean", "%g",
     (double)point_distance(&back, &other));
  point_combine(&other, &a, 1, NULL, 0, KIND_TEXT, &b.arena, &b.err);
  point_vary(&other, 0.5f, 4);
  cosine_s = point_cosine(a.z, other.z, s);
  cosine_r = point_cosine(a.z+s, other.z+s, width-s);
  ok(fabsf(cosine_s-0.70710678f)<1e-4f && fabsf(cosine_r-0.70710678f)<1e-4f, "text: varying by 0.5 turns by 45 degrees", "%g %g", (double)cosine_s, (double)cosine_r);
  point_sample(&sample, 1, m, &b.arena, &b.err);
  point_sample(&other, 2, m, &b.arena, &b.err);
  ok(fabsf(dot(sample.z, sample.z, s)-1)<1e-5f && fabsf(dot(sample.z+s, sample.z+s, width-s)-1)<1e-5f && point_distance(&sample, &other)>0.1f,
     "text: samples are points, and differ by seed", "%g", (double)point_distance(&sample, &other));
  bench_end(&b);
}

int main(int argc, char **argv){
  static const char *const names[] = { "tests/data/tiny.safetensors", "model/text.safetensors" };
  if( argc>1 ) root = argv[1];
  for(int i=0; i<2; i++){
    struct err e = { 0, "" };
    struct model *m;
    if( !ok(model_open(&m, path_of(names[i]), &e)==SQLITE_OK, "text: a model opens", "%s", e.text) ) continue;
    test_segments(m);
    test_text(m);
    test_interp(m);
    test_alignment(m);
    test_arithmetic(m);
    model_close(m);
  }
  return n_not_ok ? 1 : 0;
}
