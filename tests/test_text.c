/*
** test_text.c -- documents: text to segments and back, and the arithmetic of points.
*/
#include "model_bench.h"
#include <stdlib.h>

#define N_OF(list) (sizeof(list)/sizeof((list)[0]))

/* ---- Segments ---- */

/* 1 when the segments' bytes joined are a space and the text, and none is empty or too long. */
static int segments_lossless(const struct model *m, const char *text, size_t n, int *n_segments){
  struct buf joined = { 0 };
  struct bench b;
  int *ids;
  int *start;
  int good;
  bench_start(&b);
  good = text_segment(m, &b.run, text, n, &ids, &start, n_segments)==SQLITE_OK;
  for(int i=0; good && i<*n_segments; i++){
    int n_tokens = start[i+1] - start[i];
    good = n_tokens>0 && n_tokens<m->config.shape.longest;
    for(int k=start[i]; k<start[i+1]; k++) tokenizer_decode(m->config.tokenizer, ids[k], &joined);
  }
  good = good
      && joined.n==n+1
      && joined.data[0]==' '
      && memcmp(joined.data+1, text, n)==0;
  buf_release(&joined);
  bench_end(&b);
  return good;
}

static void test_segment_counts(const struct model *m){
  static const struct { const char *text; int n; } cases[] = {
    { "", 1 },
    { " ", 1 },
    { "One. Two! Three? Four", 4 },
    { "He said \"stop.\" Then he left.", 2 },
    { "see e.g. this one", 1 },
    { "a\nb\n\nc", 3 },
    { "end.\n", 1 },
    { "end.  lower case", 2 },
    { "\xe2\x80\x9cWhy?\xe2\x80\x9d She left (at once.) Good.", 3 },
    { "version 1.5 is out... now", 1 },
    { "\n\nfirst", 1 },
    { "No.\r\nYes.", 2 },
    { "3.14 is not. An end", 2 },
  };
  struct property count = { 0 };
  int n;
  for(size_t i=0; i<N_OF(cases); i++){
    int good = segments_lossless(m, cases[i].text, strlen(cases[i].text), &n);
    holds(&count, good && n==cases[i].n, "\"%s\" has %d segments, expected %d", cases[i].text, n,
          cases[i].n);
  }
  property_ok(&count, "text: text is cut after sentences and before line breaks");
}

/* With a model whose segments have room for them. */
static void test_abbreviations(const struct model *m){
  static const struct { const char *text; int n; } cases[] = {
    { "Dr. Smith met Mr. Jones.", 1 },
    { "MRS. JONES LEFT. SHE DID.", 2 },
    { "(Mr. X) \"Mrs. Y\" \xe2\x80\x9c" "Dr. Z\xe2\x80\x9d \xc2\xabSt. John\xc2\xbb.", 1 },
    { "We met.  Mr.  Jones left.", 2 },
    { "Mr.\nJones", 2 },
    { "J. R. R. Tolkien wrote it. He did.", 2 },
    { "The U.S. Army left. J.S. Bach, Ph.D. Student", 2 },
    { "So am I. You too.", 2 },
    { "On Jan. 5 and Dec. 24 it rained.", 1 },
    { "It ended in Jan. We left.", 2 },
    { "See No. 7, Fig. 3 and pp. 4 to 5.", 1 },
    { "I said no. Then I left.", 2 },
    { "6 ft. 2 in. tall. Big.", 2 },
    { "Fruit, e.g. Apples, i.e. Pears vs. Plums, cf. Ch. 3.", 1 },
    { "Apples, etc. and more.", 1 },
    { "Apples, etc. We left.", 2 },
    { "She is 1st. He is best. We lost. It\xe2\x80\x99s caf\xc3\xa9st. No.", 5 },
  };
  static const char *const sentences[] = {
    "Dr. Smith met Mr. Jones.",
    "The U.S. Army left on Jan. 5.",
    "J. R. R. Tolkien wrote it.",
    "See No. 7 and Fig. 3.",
  };
  struct property count = { 0 };
  struct property back = { 0 };
  struct decode_options o;
  int n;
  if( m->config.shape.longest<64 ) return;
  decode_options_init(&o);
  for(size_t i=0; i<N_OF(cases); i++){
    int good = segments_lossless(m, cases[i].text, strlen(cases[i].text), &n);
    holds(&count, good && n==cases[i].n, "\"%s\" has %d segments, expected %d", cases[i].text, n,
          cases[i].n);
  }
  property_ok(&count, "text: the full stop of an abbreviation ends no sentence");
  for(size_t i=0; i<N_OF(sentences); i++){
    size_t bytes = strlen(sentences[i]);
    struct buf out = { 0 };
    struct latent z;
    struct bench b;
    bench_start(&b);
    texts_encode(m, &b.run, &sentences[i], &bytes, 1, REFINE_ROUNDS, &z);
    text_decode(m, &b.run, &z, &o, &out, NULL);
    holds(&back, strcmp(buf_text(&out), sentences[i])==0, "\"%s\" came back as \"%s\"",
          sentences[i], buf_text(&out));
    buf_release(&out);
    bench_end(&b);
  }
  property_ok(&back, "text: sentences with abbreviations come back");
}

/* Up to 300 parts: bytes at random, or scraps of text. */
static void any_text(struct buf *text, int of_bytes, struct random *random){
  static const char *const parts[] = {
    ".", "!", "?", " ", "  ", "\n", "\r\n", "\t", "a", "The", " word", "\"", ")",
    "\xe2\x80\x9d", "\xc3\xa9", "\xff", "\xe2\x96\x81", "", "9",
  };
  int n_parts = (int)(random_u64(random)%300);
  for(int k=0; k<n_parts; k++){
    if( of_bytes ) buf_char(text, (char)random_u64(random));
    else buf_str(text, parts[random_u64(random)%N_OF(parts)]);
  }
}

/* Are there at most `most` segments of n times a part, and do they hold every byte of them? */
static void holds_folded(struct property *p, const struct model *m, const char *part, int n,
                         int least, int most){
  struct buf text = { 0 };
  int n_segments, good;
  for(int i=0; i<n; i++) buf_str(&text, part);
  good = segments_lossless(m, buf_text(&text), text.n, &n_segments);
  holds(p, good && n_segments>=least && n_segments<=most,
        "%d times \"%s\" has %d segments, expected %d to %d", n, part, n_segments, least, most);
  buf_release(&text);
}

/* Tiny segments share one where there are many of them: the size of a latent is bounded. */
static void test_folded(const struct model *m){
  struct property few = { 0 };
  struct property many = { 0 };
  holds_folded(&few, m, "Yes.\n", 200, 200, 200);
  holds_folded(&few, m, "The dog runs into the garden.\n", 300, 300, 1200);
  property_ok(&few, "text: ordinary sentences, and up to 256 tiny ones, are segments of their own");
  if( m->config.shape.longest<64 ) return;
  holds_folded(&many, m, "A. ", 34000, 1, 34000*3/24);
  holds_folded(&many, m, "Go on! ", 5000, 1, 5000*7/24);
  holds_folded(&many, m, "a\n", 50000, 1, 50000*2/24);
  holds_folded(&many, m, "7?\n\nIt is warm and it is late. ", 5000, 1, 5000*31/24);
  property_ok(&many, "text: many tiny segments are folded to one for every 24 bytes");
}

static void test_segments_joined(const struct model *m){
  enum { LONG = 1000000 };
  struct property lossless = { 0 };
  struct random random = random_of(11);
  char *long_text = malloc(LONG);
  int n;
  for(int i=0; i<400; i++){
    struct buf text = { 0 };
    any_text(&text, i%3==0, &random);
    holds(&lossless, segments_lossless(m, buf_text(&text), text.n, &n), "text %d of %zu bytes", i,
          text.n);
    buf_release(&text);
  }
  memset(long_text, 'x', LONG);
  holds(&lossless, segments_lossless(m, long_text, LONG, &n), "1 MB of one letter");
  for(int i=0; i<LONG; i++) long_text[i] = i%6==5 ? ' ' : 'a' + i*7%26;
  holds(&lossless, segments_lossless(m, long_text, LONG, &n), "1 MB of words");
  property_ok(&lossless, "text: segments joined are the text, for any bytes");
  free(long_text);
}

static void test_text(const struct model *m){
  const char text[] = "One day it rained. \xff Two cats came!\nAnd a dog.";
  size_t n = sizeof(text)-1;
  struct decode_options o;
  struct buf out = { 0 };
  struct latent z;
  struct bench b;
  float fidelity = -2;
  float mean = 1;
  int good;
  bench_start(&b);
  decode_options_init(&o);
  text_encode(m, &b.run, text, n, &z);
  good = b.err.rc==SQLITE_OK
      && z.n_segments==3
      && z.kind==KIND_TEXT
      && z.fingerprint==m->config.fingerprint;
  ok(good, "text: a text is a latent of its segments", "%d segments; %s", z.n_segments,
     b.err.text);
  text_decode(m, &b.run, &z, &o, &out, &fidelity);
  text_score(m, &b.run, text, n, &z, &mean);
  good = b.err.rc==SQLITE_OK && fidelity>=-1 && fidelity<=1 && mean<0;
  ok(good, "text: text decodes with a fidelity and has a score", "%g %g %s", (double)fidelity,
     (double)mean, b.err.text);
  buf_release(&out);
  bench_end(&b);
}

/* ---- The work of refining ---- */

static int same_latent(const struct latent *a, const struct latent *b){
  size_t bytes = (size_t)b->n_segments*(size_t)b->width*sizeof(float);
  return a->n_segments==b->n_segments && memcmp(a->z, b->z, bytes)==0;
}

struct passes {                         /* what run.watch has seen of layer 0 */
  long long encoder, decoder;           /* tokens */
  int n_decoder;                        /* passes of the decoder */
};

static void count_pass(void *arg, const char *stack, int layer, const float *x, int rows){
  struct passes *p = arg;
  (void)x;
  if( layer!=0 ) return;
  if( strcmp(stack, "encoder")==0 ){
    p->encoder += rows;
  }else if( strcmp(stack, "decoder")==0 ){
    p->decoder += rows;
    p->n_decoder++;
  }
}

/* The passes in which a text is encoded. */
static struct passes count_passes(const struct model *m, struct buf *text, int rounds){
  const char *chars = buf_text(text);
  struct passes p = { 0 };
  struct latent z;
  struct bench b;
  bench_start(&b);
  b.run.watch = count_pass;
  b.run.watch_arg = &p;
  texts_encode(m, &b.run, &chars, &text->n, 1, rounds, &z);
  if( b.err.rc!=SQLITE_OK ) ok(0, "text: a text is encoded", "%s", b.err.text);
  bench_end(&b);
  return p;
}

static void repeat(struct buf *text, const char *part, int n){
  text->n = 0;
  for(int i=0; i<n; i++) buf_str(text, part);
}

/* Lines of a log, of which no two are the same. */
static void log_lines(struct buf *text, int n, struct random *random){
  static const char *const levels[] = { "INFO", "WARN", "ERROR", "DEBUG" };
  text->n = 0;
  for(int i=0; i<n; i++){
    unsigned x = (unsigned)random_u64(random);
    char line[100];
    snprintf(line, sizeof(line), "2026-11-%02u 10:%02u:%02u %s [worker-%u] GET /items/%u %ums\n",
             x%28 + 1, x/7%60, x/11%60, levels[x/3%4], x/13%10, x/17%99999, x/19%999);
    buf_str(text, line);
  }
}

/* Letters and digits at random, as base64 has them, without a space. */
static void any_letters(struct buf *text, int n, struct random *random){
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  text->n = 0;
  for(int i=0; i<n; i++) buf_char(text, letters[random_u64(random)%(sizeof(letters)-1)]);
}

static void holds_bound(struct property *p, const struct model *m, struct buf *text,
                        const char *what){
  struct passes rough = count_passes(m, text, 0);
  struct passes refined = count_passes(m, text, REFINE_ROUNDS);
  long long all = refined.encoder + refined.decoder;
  holds(p, all<=3*rough.encoder, "%s: %lld tokens through the networks, and %lld without refining",
        what, all, rough.encoder);
}

/* Input that no refining can help does not get all of its rounds. */
static void test_work_bounded(const struct model *m){
  struct property bounded = { 0 };
  struct property once = { 0 };
  struct random random = random_of(21);
  struct buf text = { 0 };
  struct passes p;
  any_letters(&text, 6000, &random);
  holds_bound(&bounded, m, &text, "letters at random");
  log_lines(&text, 70, &random);
  holds_bound(&bounded, m, &text, "a log");
  property_ok(&bounded, "text: refining a long text takes at most twice what encoding it takes");
  repeat(&text, "x", 10000);
  p = count_passes(m, &text, 0);
  holds(&once, p.encoder<1000, "10,000 times x: %lld tokens", p.encoder);
  repeat(&text, "word ", 2000);
  p = count_passes(m, &text, 0);
  holds(&once, p.encoder<1000, "2,000 times word: %lld tokens", p.encoder);
  repeat(&text, "The same line again.\n", 500);
  p = count_passes(m, &text, 0);
  holds(&once, p.encoder<1000, "500 lines: %lld tokens", p.encoder);
  property_ok(&once, "text: segments that are the same are encoded once");
  buf_release(&text);
}

/* The budget does not touch short texts: one that does not come back has all rounds. (Not so with
** the tiny model, which reads hardly anything.) */
static void test_work_free(const struct model *m){
  struct random random = random_of(22);
  struct buf text = { 0 };
  struct passes p;
  if( m->config.shape.d<256 ) return;
  log_lines(&text, 3, &random);
  p = count_passes(m, &text, REFINE_ROUNDS);
  ok(p.n_decoder==REFINE_ROUNDS+1, "text: a short text has all rounds", "%d of %d", p.n_decoder,
     REFINE_ROUNDS + 1);
  buf_release(&text);
}

/* A text shares its budget with no other, so it comes out as it does alone. */
static void test_texts_alone(const struct model *m){
  enum { N = 3 };
  struct property same = { 0 };
  struct random random = random_of(23);
  struct buf bufs[N] = { { 0 } };
  const char *texts[N];
  size_t bytes[N];
  struct latent z[N], one;
  struct bench b;
  bench_start(&b);
  log_lines(&bufs[0], 40, &random);
  buf_str(&bufs[1], "The Mrlina is a river located primarily in the Central Bohemian Region.");
  log_lines(&bufs[2], 25, &random);
  for(int i=0; i<N; i++){
    texts[i] = buf_text(&bufs[i]);
    bytes[i] = bufs[i].n;
  }
  texts_encode(m, &b.run, texts, bytes, N, REFINE_ROUNDS, z);
  for(int i=0; i<N; i++){
    texts_encode(m, &b.run, &texts[i], &bytes[i], 1, REFINE_ROUNDS, &one);
    holds(&same, b.err.rc==SQLITE_OK && same_latent(&z[i], &one), "text %d: %s", i, b.err.text);
  }
  property_ok(&same, "text: refining a batch of texts equals its texts one by one, bit by bit");
  for(int i=0; i<N; i++) buf_release(&bufs[i]);
  bench_end(&b);
}

/* ---- Points ---- */

static int width_of(const struct model *m){
  return model_width(m);
}

static struct latent points_of(const struct model *m, float *z, int n){
  struct latent points = latent_of(m, n);
  points.z = z;
  return points;
}

/* A document of n random segments, in the bench's arena. */
static struct latent any_latent(const struct model *m, int n, uint64_t seed, struct bench *b){
  return points_of(m, random_points(m, n, seed, &b->arena), n);
}

/* The length of x[n], squared. */
static float square(const float *x, int n){ return dot(x, x, n); }

/* The checks of one line. */
struct line { struct property ends, counts, lengths; };

static void check_between(struct line *l, const struct latent *z, int longer, float t, int s){
  int width = z->width;
  holds(&l->counts, z->n_segments>=1 && z->n_segments<=longer, "%d segments between, %d at most",
        z->n_segments, longer);
  for(int k=0; k<z->n_segments; k++){
    const float *v = z->z + (size_t)k*width;
    int good = fabsf(square(v, s)-1)<1e-5f && square(v+s, width-s)<1+1e-5f;
    holds(&l->lengths, good, "t %g, segment %d", (double)t, k);
  }
}

/* The line between documents of n and k segments. */
static void try_line(struct line *l, const struct model *m, int n, int k, uint64_t seed){
  int s = model_s(m);
  int longer = n>k ? n : k;
  struct latent x, y, z;
  struct bench b;
  bench_start(&b);
  x = any_latent(m, n, 1+seed, &b);
  y = any_latent(m, k, 100+seed, &b);
  point_interp(&z, &x, &y, 0, &b.arena, &b.err);
  holds(&l->ends, same_latent(&z, &x), "t = 0 of %d and %d", n, k);
  point_interp(&z, &x, &y, 1, &b.arena, &b.err);
  holds(&l->ends, same_latent(&z, &y), "t = 1 of %d and %d", n, k);
  for(float t=0.05f; t<1; t+=0.15f){
    point_interp(&z, &x, &y, t, &b.arena, &b.err);
    check_between(l, &z, longer, t, s);
  }
  holds(&l->ends, b.err.rc==SQLITE_OK, "%s", b.err.text);
  bench_end(&b);
}

static void test_interp(const struct model *m){
  static const struct { int a, b; } sizes[] = {
    { 1, 1 }, { 1, 5 }, { 7, 2 }, { 6, 6 }, { 40, 31 }, { 2500, 1200 }, { 1, 3000 },
  };
  struct line l = { 0 };
  for(size_t i=0; i<N_OF(sizes); i++) try_line(&l, m, sizes[i].a, sizes[i].b, i);
  property_ok(&l.ends, "text: the ends of a line are its parents, bit by bit");
  property_ok(&l.counts,
              "text: a line between documents has as many segments as one of them at most");
  property_ok(&l.lengths, "text: points on a line have s of length 1 and r of at most 1");
}

/* How far segment i of a is from segment k of b. */
static float apart(const struct latent *a, int i, const struct latent *b, int k){
  int width = a->width;
  return difference(a->z + (size_t)i*width, b->z + (size_t)k*width, width);
}

/* A document, and the same one without some of its sentences: on the line between them equal
** sentences are paired. */
static void test_alignment(const struct model *m){
  static const int kept[] = { 0, 2, 3, 7, 8 };
  enum { N = 9, N_KEPT = sizeof(kept)/sizeof(kept[0]) };
  int width = width_of(m);
  int at = 0;
  struct property p = { 0 };
  struct latent x, y, z;
  struct bench b;
  float *shorter;
  bench_start(&b);
  x = any_latent(m, N, 77, &b);
  shorter = arena_floats(&b.arena, (size_t)N_KEPT*width);
  for(int i=0; i<N_KEPT; i++){
    memcpy(shorter + (size_t)i*width, x.z + (size_t)kept[i]*width, width*sizeof(float));
  }
  y = points_of(m, shorter, N_KEPT);
  /* Near the end all segments without a partner have left. */
  point_interp(&z, &x, &y, 0.99f, &b.arena, &b.err);
  holds(&p, z.n_segments==N_KEPT, "%d segments, expected %d", z.n_segments, N_KEPT);
  for(int i=0; i<N_KEPT && i<z.n_segments; i++){
    holds(&p, apart(&z, i, &y, i)<1e-5f, "segment %d", i);
  }
  /* At the middle half of them have entered, each in its place. */
  point_interp(&z, &y, &x, 0.5f, &b.arena, &b.err);
  holds(&p, z.n_segments==N_KEPT+2, "%d segments at the middle, expected %d", z.n_segments,
        N_KEPT+2);
  for(int i=0; i<z.n_segments; i++){
    while( at<N && apart(&z, i, &x, at)>1e-5f ) at++;
    holds(&p, at<N, "segment %d of the middle is out of order", i);
    at++;
  }
  property_ok(&p, "text: alignment pairs equal segments and keeps their order");
  bench_end(&b);
}

static void test_sums(const struct model *m){
  int s = model_s(m);
  int width = width_of(m);
  struct latent a, c, three, sum, back;
  struct bench b;
  bench_start(&b);
  a = any_latent(m, 1, 1, &b);
  c = any_latent(m, 1, 2, &b);
  three = any_latent(m, 3, 3, &b);
  point_combine(&sum, &a, 1, &c, -1, KIND_DIRECTION, &b.arena, &b.err);
  point_combine(&back, &c, 1, &sum, 1, KIND_TEXT, &b.arena, &b.err);
  ok(apart(&back, 0, &a, 0)<1e-5f, "text: b + (a - b) is a", "apart by %g",
     (double)apart(&back, 0, &a, 0));
  point_combine(&sum, &three, 0.5f, &a, 0.5f, KIND_TEXT, &b.arena, &b.err);
  ok(sum.n_segments==3 && fabsf(square(sum.z+2*width, s)-1)<1e-5f,
     "text: one segment is added to each of three", "%d", sum.n_segments);
  point_combine(&sum, &three, 2, NULL, 0, KIND_DIRECTION, &b.arena, &b.err);
  ok(b.err.rc==SQLITE_OK && sum.z[5]==2*three.z[5], "text: a direction is scaled", "%g",
     (double)sum.z[5]);
  bench_end(&b);
}

/* Is segment i of z the sum of ka*x and kb*y? As a point it is brought back to the sphere. */
static int is_sum(const struct latent *z, int i, const float *x, float ka, const float *y,
                  float kb){
  float sum[4096];
  struct latent want = *z;
  want.n_segments = 1;
  want.z = sum;
  for(int k=0; k<z->width; k++) sum[k] = ka*x[k] + kb*y[k];
  if( z->kind!=KIND_DIRECTION ) point_normalize(&want);
  return apart(z, i, &want, 0)<1e-5f;
}

/* Sums of documents with different numbers of segments. x is a document of nine segments, y is the
** same one without four of them. */
static void test_uneven_sums(const struct model *m){
  static const int kept[] = { 0, 2, 3, 7, 8 };
  enum { N = 9, N_KEPT = sizeof(kept)/sizeof(kept[0]) };
  size_t width = (size_t)width_of(m);
  struct property aligned = { 0 };
  struct property spread = { 0 };
  struct latent x, y, z, way, opposite;
  struct bench b;
  float *shorter;
  bench_start(&b);
  x = any_latent(m, N, 77, &b);
  shorter = arena_floats(&b.arena, N_KEPT*width);
  for(int i=0; i<N_KEPT; i++){
    memcpy(shorter + i*width, latent_segment(&x, kept[i]), width*sizeof(float));
  }
  y = points_of(m, shorter, N_KEPT);
  point_combine(&way, &x, 1, &y, -1, KIND_DIRECTION, &b.arena, &b.err);
  holds(&aligned, way.n_segments==N_KEPT, "a difference of %d segments", way.n_segments);
  for(int i=0; i<way.n_segments; i++){
    holds(&aligned, dot(latent_segment(&way, i), latent_segment(&way, i), way.width)<1e-9f,
          "the difference of equal segments %d", i);
  }
  point_combine(&z, &x, 1, &y, 1, KIND_TEXT, &b.arena, &b.err);
  holds(&aligned, z.n_segments==N_KEPT+2, "a sum of %d segments", z.n_segments);
  holds(&aligned, apart(&z, 0, &x, 0)<1e-5f, "the sum of equal segments");
  point_combine(&z, &x, 1, &y, 0.001f, KIND_TEXT, &b.arena, &b.err);
  holds(&aligned, z.n_segments==N, "%d segments of x and hardly any y", z.n_segments);
  opposite = any_latent(m, 2, 5, &b);
  for(size_t k=0; k<2*width; k++) opposite.z[k] = k<width ? x.z[k] : x.z[k-width];
  x.n_segments = 3;
  for(size_t k=0; k<3*width; k++) x.z[k] = -opposite.z[k%width];
  point_combine(&z, &x, 1, &opposite, -1, KIND_DIRECTION, &b.arena, &b.err);
  holds(&aligned, z.n_segments==1 && is_sum(&z, 0, x.z, 1, opposite.z, -1),
        "%d segments where none has a partner", z.n_segments);
  property_ok(&aligned, "text: documents are aligned before they are added or subtracted");
  way = any_latent(m, 2, 8, &b);
  way.kind = KIND_DIRECTION;
  point_combine(&z, &y, 1, &way, 0.5f, KIND_TEXT, &b.arena, &b.err);
  holds(&spread, z.n_segments==N_KEPT, "%d segments", z.n_segments);
  for(int i=0; i<N_KEPT; i++){
    int from = i<2 ? 0 : 1;             /* 0 0 1 1 1: the middle one takes the later */
    const float *own = latent_segment(&y, i);
    holds(&spread, is_sum(&z, i, own, 1, latent_segment(&way, from), 0.5f), "segment %d", i);
  }
  point_combine(&z, &way, 1, &y, -1, KIND_DIRECTION, &b.arena, &b.err);
  holds(&spread, z.n_segments==N_KEPT, "%d segments of a direction less a point", z.n_segments);
  property_ok(&spread, "text: a direction's segments are spread over those of a point");
  ok(b.err.rc==SQLITE_OK, "text: unequal numbers of segments are no error", "%s", b.err.text);
  bench_end(&b);
}

static void test_distances(const struct model *m){
  int s = model_s(m);
  int width = width_of(m);
  struct latent a, c, document, of_mean, varied;
  struct bench b;
  float mean[4096];
  float cosine_s, cosine_r;
  int good;
  bench_start(&b);
  a = any_latent(m, 1, 1, &b);
  c = any_latent(m, 1, 2, &b);
  document = any_latent(m, 3, 3, &b);
  good = fabsf(point_distance(&a, &a))<1e-6f
      && fabsf(point_distance(&a, &c)-(1-point_cosine(a.z, c.z, s)))<1e-6f;
  ok(good, "text: distance is 1 - cosine of s", "%g", (double)point_distance(&a, &a));
  point_mean(mean, &document);
  of_mean = points_of(m, mean, 1);
  good = fabsf(point_distance(&document, &of_mean))<1e-5f && fabsf(square(mean, s)-1)<1e-5f;
  ok(good, "text: a document is as far as its mean", "%g",
     (double)point_distance(&document, &of_mean));
  point_combine(&varied, &a, 1, NULL, 0, KIND_TEXT, &b.arena, &b.err);
  point_vary(&varied, 0.5f, 4);
  cosine_s = point_cosine(a.z, varied.z, s);
  cosine_r = point_cosine(a.z+s, varied.z+s, width-s);
  good = fabsf(cosine_s-0.70710678f)<1e-4f && fabsf(cosine_r-0.70710678f)<1e-4f;
  ok(good, "text: varying by 0.5 turns by 45 degrees", "%g %g", (double)cosine_s,
     (double)cosine_r);
  bench_end(&b);
}

static void test_samples(const struct model *m){
  int s = model_s(m);
  int width = width_of(m);
  struct latent sample, other;
  struct bench b;
  int good;
  bench_start(&b);
  point_sample(&sample, 1, m, &b.arena, &b.err);
  point_sample(&other, 2, m, &b.arena, &b.err);
  good = fabsf(square(sample.z, s)-1)<1e-5f
      && fabsf(square(sample.z+s, width-s)-1)<1e-5f
      && point_distance(&sample, &other)>0.1f;
  ok(good, "text: samples are points, and differ by seed", "%g",
     (double)point_distance(&sample, &other));
  bench_end(&b);
}

int main(int argc, char **argv){
  static const char *const names[] = {
    "tests/data/tiny.safetensors", "model/text.safetensors",
  };
  if( argc>1 ) root = argv[1];
  for(size_t i=0; i<N_OF(names); i++){
    struct err e = { 0 };
    struct model *m;
    model_open(&m, path_of(names[i]), &e);
    if( !ok(e.rc==SQLITE_OK, "text: a model opens", "%s", e.text) ) continue;
    test_segment_counts(m);
    test_abbreviations(m);
    test_folded(m);
    test_segments_joined(m);
    test_text(m);
    test_work_bounded(m);
    test_work_free(m);
    test_texts_alone(m);
    test_interp(m);
    test_alignment(m);
    test_sums(m);
    test_uneven_sums(m);
    test_distances(m);
    test_samples(m);
    model_close(m);
  }
  return n_not_ok ? 1 : 0;
}
