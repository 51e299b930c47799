/*
** model.h -- the Transformer-VAE: content to points of the latent space and back. Knows no database.
** The specification with names, shapes and formulas is model/README.md; model/text_model.py is its executable version.
*/
#ifndef LATENT_MODEL_H
#define LATENT_MODEL_H
#include "codec.h"
#include "kernels.h"

/* ---- model_load.c: one copy a process, shared by all connections and threads ---- */
struct block {                          /* one layer; d = model width, h = feed-forward width */
  const float *attention_norm;          /* [d] */
  struct matrix q, kv, o;               /* [d, d], [d, 2d], [d, d] */
  const float *cross_norm;              /* [d], decoder only, like the next three */
  struct matrix cross_q, cross_kv, cross_o;
  const float *feed_norm;               /* [d] */
  struct matrix feed_in, feed_out;      /* [d, 2h], [h, d] */
};
struct model {                          /* read-only after model_open */
  char *path;                           /* of the weights */
  struct config config;                 /* shape, tokenizer, fingerprint */
  struct safetensors file;
  int h;                                /* feed-forward width: d*8/3 rounded up to 64 */
  struct matrix embedding;              /* [pieces, d] */
  struct matrix output;                 /* [d, pieces]: the embedding turned round, made at load */
  const float *registers;               /* [registers, d] */
  struct block *encoder, *decoder;
  const float *encoder_norm, *decoder_norm;
  struct matrix to_s, to_r;             /* [d, s], [d, r/registers] */
  struct matrix memory, z_in;           /* [s+r, memory*d], [s+r, d] */
  const float *memory_bias;             /* [memory*d] */
  const float *cos_sin;                 /* rotary_table for every position in use */
  void *converted;                      /* owned: what could not be used as it lies in the file (norms, i8 and bf16 matrices, output) */
  int n_users;                          /* references; guarded by global_lock() */
  struct model *next;                   /* registry */
};
/* Path of the .safetensors; <same name>.json lies beside it. The same path again gives the same model and one more reference.
** Errors name the file, what is wrong and what was expected. */
int model_open(struct model **out, const char *path, struct err *e);
void model_close(struct model *m);      /* gives one reference back; NULL is allowed */

/* ---- What one call may use ---- */
struct run {
  struct arena *arena;
  int (*stop)(void *);                  /* asked at least every 50 ms, on the caller's thread; true ends the work with SQLITE_INTERRUPT. May be NULL */
  void *stop_arg;
  int n_threads;                        /* 1: none but the caller's */
  struct err *err;
};
int run_stopped(struct run *r);         /* notes SQLITE_INTERRUPT, "interrupted" */

/* ---- model_encode.c ---- */
/* n token rows (ids[start[i]..start[i+1]), without TOKEN_END, 0 to longest-1 each, else SQLITE_TOOBIG) -> z[n, s+r]: s of unit length, then r of unit
** length. A row's bits do not depend on what shares its batch. */
int encode_tokens(const struct model *m, struct run *run, const int *ids, const int *start, int n, float *z);

/* ---- model_decode.c ---- */
struct decode_options {
  int beams;                            /* 1..32; 1 is greedy (or sampling, when temperature > 0) */
  int best_of;                          /* 1..64: candidates re-encoded, nearest to the asked point wins */
  float temperature;                    /* 0 is greedy; with best_of > 1 and temperature 0, candidates are sampled at 0.5 beside the greedy one */
  uint64_t seed;
  int max_tokens;                       /* a segment; 0 means shape.longest */
  float fluency;                        /* 0..1: share of the plain language model in each step's log-probabilities */
  const float *fluencies;               /* one a row of z instead, or NULL; decode_tokens() only */
  float detail;                         /* 0..1: r is scaled by it before decoding */
};
void decode_options_init(struct decode_options *o);     /* greedy, one candidate, fluency 0, detail 1 */

struct tokens { int *ids; int n; float log_probability; };  /* ids from the run's arena, without start and end; log p(ids, end | z), under the mixed dial */
/* z[n, s+r] -> out[n]. Rows are independent: a batch gives what its rows give one by one (seed is mixed with the row's number). */
int decode_tokens(const struct model *m, struct run *run, const float *z, int n, const struct decode_options *o, struct tokens *out);
/* Sum of log p(token | before, z) over ids and TOKEN_END, for n rows at once, in one pass without a cache ("full decoding"): sums[n].
** all (may be NULL): log p of every target token, ids and end, row after row: [start[n] + n]. Rows of more than longest-1 ids: SQLITE_TOOBIG. */
int score_tokens(const struct model *m, struct run *run, const float *z, const int *ids, const int *start, int n, float *sums, float *all);

/* ---- model_text.c: text to segments to points, and back ---- */
/* A document is one space and then the text, cut into segments after sentence ends (. ! ? and closing quotes, before white space; line
** breaks) and at the token limit; each segment keeps the white space it starts with, so the segments joined, without the first space, are
** the text. Any bytes are allowed. Empty text is one segment: the lone space. At most 65535 segments, else SQLITE_TOOBIG. */
int text_segment(const struct model *m, struct run *run, const char *text, size_t n, int **ids, int **start, int *n_segments);
int text_encode(const struct model *m, struct run *run, const char *text, size_t n, struct latent *out);   /* kind text; z from the arena */
/* Appends the text, valid UTF-8. fidelity (may be NULL): cosine between z and the re-encoding of what came out, mean over segments. */
int text_decode(const struct model *m, struct run *run, const struct latent *z, const struct decode_options *o, struct buf *out, float *fidelity);
/* Mean log-probability per token of the text given z: segments of the text are scored in order against those of z (the last one repeats). */
int text_score(const struct model *m, struct run *run, const char *text, size_t n, const struct latent *z, float *mean);

/* ---- model_batch.c: many texts in one batch ---- */
/* Each z[i] is what text_encode() gives for texts[i], texts_bytes[i]. */
int texts_encode(const struct model *m, struct run *run, const char *const *texts, const size_t *texts_bytes, int n, struct latent *z);
/* Appends to texts[i] (n buffers of the caller) what text_decode() gives for z[i] at fluency fluencies[i] (NULL: o->fluency for all). */
int texts_decode(const struct model *m, struct run *run, const struct latent *z, int n, const float *fluencies, const struct decode_options *o,
                 struct buf *texts);

/* ---- model_point.c: arithmetic of points ----
** A point's s is unit length, its r at most unit length; a direction (KIND_DIRECTION) has any length. Results come from the arena. */
float point_distance(const struct latent *a, const struct latent *b, int s);    /* 1 - cosine of the mean s of all segments; 0..2 */
float point_cosine(const float *a, const float *b, int width);                  /* of whole z's */
/* The latent at t: segments aligned in order (monotone, least sum of distances), pairs slerped in s and linear in r, unmatched ones
** of a leave and those of b enter along t. t = 0 gives a, t = 1 gives b, bit by bit. */
int point_interp(struct latent *out, const struct latent *a, const struct latent *b, float t, int s, struct arena *arena, struct err *e);
/* out = ka*a + kb*b, segment by segment (equal counts, or one of them 1: repeated). kind says what out is: a point is normalised
** (s to 1, r to at most 1), a direction is left as it is. */
int point_combine(struct latent *out, const struct latent *a, float ka, const struct latent *b, float kb, int kind, int s,
                  struct arena *arena, struct err *e);
void point_normalize(float *z, int s, int width);                               /* one segment: s to length 1, r to at most 1 */
void point_mean(float *mean, const struct latent *z, int s);                    /* mean of the segments, normalised as a point: mean[width] */
void point_vary(struct latent *z, float amount, uint64_t seed, int s);          /* every segment turned by amount*90 degrees in a random direction, s and r each */
int point_sample(struct latent *out, uint64_t seed, const struct model *m, struct arena *arena, struct err *e);  /* the prior: uniform on both spheres */

#endif
