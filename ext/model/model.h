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
struct affine { struct matrix w; const float *bias; };  /* y = x . w + bias */
struct picture_block {                  /* x + out(silu(conv(norm(x)))) over c channels */
  const float *norm;                    /* [c] */
  struct affine conv, out;              /* 3x3: [9c, c], rows in the order (ky, kx, channel); [c, c] */
};
struct picture_codes {                  /* the VQ-VAE: c0, c1, c2 channels at a half, a quarter, an eighth of the size */
  struct affine in;                     /* [16, c0], of 2x2 pixels */
  struct picture_block *encoder[PICTURE_LEVELS], *decoder[PICTURE_LEVELS];      /* by level: the finest is 0 */
  struct affine down[PICTURE_LEVELS-1]; /* from level i to i+1: [4c, next c], of 2x2 places */
  struct affine up[PICTURE_LEVELS-1];   /* from level i+1 to i: [next c, 4c] */
  const float *encoder_norm, *decoder_norm;     /* [c2], [c0] */
  struct affine to_code, from_code;     /* [c2, code_width], [code_width, c2] */
  const float *codebook;                /* [codes, code_width], of unit length */
  struct matrix nearest;                /* [code_width, codes]: the codebook turned round, made at load */
  struct affine out;                    /* [c0, 16] */
};
struct model {                          /* read-only after model_open */
  char *path;                           /* of the weights */
  struct config config;                 /* shape, tokenizer, fingerprint */
  struct safetensors file;
  int h;                                /* feed-forward width: d*8/3 rounded up to 64 */
  struct matrix embedding;              /* [pieces, d] */
  struct matrix output;                 /* [d, pieces]: the embedding turned round, made at load */
  const float *registers;               /* [registers, d], times sqrt(d) */
  struct block *encoder, *decoder;
  const float *encoder_norm, *decoder_norm;
  struct matrix to_s, to_r;             /* [d, s], [d, r/registers] */
  const int8_t *words;                  /* [shape.words, s] as in the file: what single words add to s; NULL where there is no such table */
  const float *word_scale;              /* [s], of its columns */
  struct matrix memory, z_in;           /* [s+r, memory*d], [s+r, d] */
  const float *memory_bias;             /* [memory*d] */
  const float *cos_sin;                 /* rotary_table for every position in use */
  const float *encoder_position, *decoder_position;     /* [longest, d] each: a place on the grid; kind picture only, else NULL */
  struct picture_codes codes;           /* kind picture only */
  void *converted;                      /* owned: what could not be used as it lies in the file (norms, i8 and bf16 matrices, output) */
  int n_users;                          /* references; guarded by global_lock() */
  struct model *next;                   /* registry */
};
/* Path of the .safetensors; <same name>.json lies beside it. The same path again gives the same model and one more reference.
** Errors name the file, what is wrong and what was expected. */
int model_open(struct model **out, const char *path, struct err *e);
void model_close(struct model *m);      /* gives one reference back; NULL is allowed */

/* ---- model_find.c: where the weights of a kind lie on this machine ---- */
enum { PLACES_MOST = 3 };
struct places {
  const char *path[PLACES_MOST];        /* from the arena */
  int n;
};
int is_directory(const char *path);
/* directory/<kind>.safetensors, from the arena; NULL when out of memory. */
const char *weights_in(const char *directory, int kind, struct arena *a, struct err *e);
/* The places in which a kind's weights are looked for, whether there is a file or not. */
int places_list(struct places *p, int kind, struct arena *a, struct err *e);
/* The first file that exists: in directory `first` (may be NULL), then in places_list(). None: SQLITE_CANTOPEN, and the message lists the places. */
int weights_find(const char **path, const char *first, int kind, struct arena *a, struct err *e);

/* ---- What one call may use ---- */
struct run {
  struct arena *arena;
  int (*stop)(void *);                  /* asked at least every 50 ms, on the caller's thread; true ends the work with SQLITE_INTERRUPT. May be NULL */
  void *stop_arg;
  int n_threads;                        /* 1: none but the caller's */
  struct err *err;
  /* For tests: shown x[rows, d] after layer `layer` of "encoder" or "decoder". Asked from every thread; NULL in ordinary use. */
  void (*watch)(void *, const char *stack, int layer, const float *x, int rows);        /* and of "points", layer 0: x[rows, code_width], whose nearest codes
                                           are taken; of "pixels", layer 0: x[rows, 16], 2x2 pixels each, before they are rounded */
  void *watch_arg;
};
int run_stopped(struct run *r);         /* asks stop(); notes SQLITE_INTERRUPT, "interrupted". Caller's thread only */

/* ---- model_encode.c ---- */
/* n token rows (ids[start[i]..start[i+1]), without TOKEN_END, 0 to longest-1 each, else SQLITE_TOOBIG; of kind picture longest-1 exactly, else
** SQLITE_ERROR) -> z[n, s+r]: s of unit length, then r of unit length. A row's bits do not depend on what shares its batch. */
int encode_tokens(const struct model *m, struct run *run, const int *ids, const int *start, int n, float *z);

/* ---- model_decode.c ---- */
struct tokens { int *ids; int n; float log_probability; };  /* ids from the run's arena, without start and end; log p(ids, end | z), under the mixed dial */
struct decode_options {
  int beams;                            /* 1..32; 1 is greedy (or sampling, when temperature > 0); more: the best mean log-probability per token, END counted */
  int best_of;                          /* 1..64: candidates re-encoded; the nearest to the asked point wins, how well they read counted in by the fluency */
  float temperature;                    /* 0 is greedy; with best_of > 1 and temperature 0, candidates are sampled at 0.5 beside the greedy one */
  uint64_t seed;
  int max_tokens;                       /* most ids of a segment; 0, or more than shape.longest-1: shape.longest-1, which an encoder can read back.
                                        ** Nothing to a picture, which always has them all */
  float fluency;                        /* 0..1: share of the plain language model in each step's log-probabilities */
  const float *fluencies;               /* [n] of decode_tokens(): one a row of z instead; or NULL. Others leave it alone */
  float detail;                         /* 0..1: r is scaled by it before decoding */
  int refine;                           /* rounds of refine_tokens() for what fidelities are measured by, the encoding of what came out */
  const struct tokens *avoid;           /* [n_avoid]: texts, as their own ids, that best_of takes only where no candidate is another one; or NULL */
  int n_avoid;
  const float *way;                     /* [2, s], or NULL: rows lie in this order on the way from one point to the other; best_of chooses for all of them together */
  int has_fluency, has_detail, has_temperature, has_seed, has_best_of;  /* set by the user: a function's own default gives way */
  int one_seed;                         /* true: every row draws what row 0 draws, so that rows that lie near come out alike */
};
void decode_options_init(struct decode_options *o);     /* greedy, one candidate, fluency 0, detail 1 */

/* z[n, s+r] -> out[n]. A row of kind picture is longest-1 codes and has no end: neither is one chosen, nor is it in the log-probability. Rows are independent: row i of a batch gives what it gives alone with the seed
** decode_seed(seed, i); those of a way are not. */
uint64_t decode_seed(uint64_t seed, int row);           /* decode_seed(seed, 0) is seed */
int decode_tokens(const struct model *m, struct run *run, const float *z, int n, const struct decode_options *o, struct tokens *out);
/* The share of ids that a user would see: the bytes of each row of tokens, tokenised and encoded again -> z[n, s+r]. What then has more
** than longest-1 tokens (a rare spelling) is read up to there; rounds are those of refine_tokens(). A picture goes through its pixels, rounded to 8 bits. */
int tokens_encode(const struct model *m, struct run *run, const struct tokens *rows, int n, int rounds, float *z);

/* ---- model_score.c ---- */
/* Sum of log p(token | before, z) over ids and TOKEN_END, for n rows at once, in one pass without a cache ("full decoding"): sums[n].
** all (may be NULL): log p of every target token, ids and end, row after row: [start[n] + n]. guesses (may be NULL), of the same size: what greedy
** decoding would choose in each of their places. Rows of more than longest-1 ids: SQLITE_TOOBIG.
** A picture has no end: the sum is over its longest-1 codes (other rows: SQLITE_ERROR), and all and guesses are [start[n]]. */
int score_tokens(const struct model *m, struct run *run, const float *z, const int *ids, const int *start, int n, float *sums, float *all, int *guesses);

/* ---- model_refine.c ---- */
enum { REFINE_ROUNDS = 8 };             /* enough: see model_refine.c */
/* Moves the r of each of z[n], which encode_tokens() made of the rows, until greedy decoding gives the row back, or for `rounds` rounds (0: z stays as it
** is); then what came nearest. s stays. z is rounded to what its BLOB will hold. Rows are independent, bit by bit. */
int refine_tokens(const struct model *m, struct run *run, const int *ids, const int *start, int n, int rounds, float *z);

/* ---- model_text.c: text to segments to points, and back ---- */
/* A document is one space and then the text, cut into segments after sentence ends (. ! ? and closing quotes, before white space; line
** breaks) and at the token limit; each segment keeps the white space it starts with, so the segments joined, without the first space, are
** the text. Any bytes are allowed. Empty text is one segment: the lone space. At most 65535 segments, else SQLITE_TOOBIG. */
int text_segment(const struct model *m, struct run *run, const char *text, size_t n, int **ids, int **start, int *n_segments);
int text_encode(const struct model *m, struct run *run, const char *text, size_t n, struct latent *out);   /* kind text; z from the arena */
/* Appends the text, valid UTF-8. fidelity (may be NULL): cosine between z and the re-encoding of what came out, mean over segments. */
int text_decode(const struct model *m, struct run *run, const struct latent *z, const struct decode_options *o, struct buf *out, float *fidelity);
/* Many in one batch, so that a path of ten points decodes in little more than the time of one. z[i] is what text_encode() gives for texts[i], but for the
** rounds of refine_tokens(): that has none. */
int texts_encode(const struct model *m, struct run *run, const char *const *texts, const size_t *texts_bytes, int n, int rounds, struct latent *z);
/* Appends to texts[i], n buffers of the caller, what text_decode() gives for z[i] at fluency fluencies[i]. fidelities[n] may be NULL. */
int texts_decode(const struct model *m, struct run *run, const struct latent *z, int n, const float *fluencies, const struct decode_options *o,
                 struct buf *texts, float *fidelities);
/* Mean log-probability per token of the text given z: segments of the text are scored in order against those of z (the last one repeats). */
int text_score(const struct model *m, struct run *run, const char *text, size_t n, const struct latent *z, float *mean);

/* ---- model_picture.c: pixels to codes and back ----
** The VQ-VAE of a model of kind picture: 64x64 pixels <-> an 8x8 grid of codes, which as token ids (TOKEN_CODE + code, rows of the grid
** one after another) are a sentence of 64. (64 and 8 stand for config.picture.size and .grid.) A picture's bits do not depend on what
** shares its batch. Models of other kinds: SQLITE_ERROR. */
int pictures_tokens(const struct model *m, struct run *run, const struct picture *p, int n, int *ids);       /* p[n], each 64x64, else SQLITE_ERROR -> ids[n, 64] */
/* Rows of 64 codes, else SQLITE_ERROR -> p[n], each 64x64; pixels from the arena. What is fully transparent has no colour: 0 0 0 0. */
int tokens_pictures(const struct model *m, struct run *run, const struct tokens *rows, int n, struct picture *p);

/* ---- model_content.c: content of any kind, as the model's kind has it ----
** Text and code are UTF-8; a picture is a PNG or JPEG file, fitted to 64x64 when it is read, and a PNG when it is written. What is said of
** texts_encode() and texts_decode() above holds for these, which choose by m->config.kind. `who` ("argument 1") stands at the start of messages
** about a picture that cannot be read. A picture is one segment: points of one segment put together (interp, combine, mean, vary, sample) give one segment
** again; a latent of more (made by hand: nothing here does it) cannot be decoded as a picture: SQLITE_ERROR that says so. */
struct content { const void *bytes; size_t n; };
int contents_encode(const struct model *m, struct run *run, const struct content *contents, int n, const char *who, int rounds, struct latent *z);
int contents_decode(const struct model *m, struct run *run, const struct latent *z, int n, const float *fluencies, const struct decode_options *o,
                    struct buf *contents, float *fidelities);

/* ---- model_point.c: arithmetic of points ----
** A point's s has unit length, its r at most unit length; a direction (KIND_DIRECTION) has any length.
** Results lie in the arena. Latents that meet here are of one width and one s. */
/* A latent of the model's kind and shape, its z still NULL. */
struct latent latent_of(const struct model *m, int n_segments);
float *latent_segment(const struct latent *z, int i);   /* [width] */
/* 1 - cosine of the mean s of all segments, 0 to 2. The two may be of different kinds. */
float point_distance(const struct latent *a, const struct latent *b);
float point_cosine(const float *a, const float *b, int width);
/* The latent at t. Segments are aligned in order so that the sum of their distances is least. Pairs
** go along an arc in s and straight in r. Segments without a partner leave (a's) or enter (b's) along
** t. t = 0 gives a and t = 1 gives b, bit by bit. */
int point_interp(struct latent *out, const struct latent *a, const struct latent *b, float t,
                 struct arena *arena, struct err *e);
/* out = ka*a + kb*b, segment by segment (b NULL: ka*a). Both have as many segments, or one has 1, which
** is repeated; else SQLITE_MISMATCH. kind is what out becomes: a point is normalised, a direction is
** left as it is. */
int point_combine(struct latent *out, const struct latent *a, float ka, const struct latent *b,
                  float kb, int kind, struct arena *arena, struct err *e);
void point_normalize(struct latent *z);         /* every segment: s to length 1, r to at most 1 */
void point_mean(float *mean, const struct latent *z);   /* of the segments, normalised: mean[width] */
/* Numbers from outside as a point: segments that are off the sphere by more than rounding are put back
** on it, so that an exact copy stays exact. An s of length 0 is an error. Directions stay. */
int point_settle(struct latent *z, struct err *e);
/* Turns every segment by amount*90 degrees in a random direction, s and r each. */
void point_vary(struct latent *z, float amount, uint64_t seed);
/* A point drawn from the prior, which is uniform on the spheres of s and of r. */
int point_sample(struct latent *out, uint64_t seed, const struct model *m, struct arena *arena,
                 struct err *e);

/* ---- model_between.c: content for points between two ends ---- */
double interp_ease(double t);           /* where on the arc a user's t lies */
float interp_fluency(int kind, double t);       /* share of the plain language model at t of the arc */
enum { SAID_MOST = 2 };
/* What the points z[n_z] decode to, as ids: said[n_said], for decode_options.avoid. Nothing where one
** of them has several segments or is a picture, which rarely stays what it was. n_z<=SAID_MOST. */
int said_by(const struct model *m, struct run *run, const struct latent *z, int n_z,
            struct tokens *said, int *n_said);
enum { BEST_OF_OTHERS = 8 };    /* candidates where something else is wanted than what was said */
struct between {
  const struct latent *ends;    /* [2] */
  const struct latent *z;       /* [n]: points on the way from ends[0] to ends[1] */
  const double *t;              /* [n]: where, as the user counts it; ascending from 0 to 1 */
  int n;
  struct buf *contents;         /* [n]: what they decode to is appended, as contents_decode() does it */
  float *fidelities;            /* [n]; may be NULL */
};
/* Decodes the points. Where o sets no fluency each takes interp_fluency(); where o sets no best_of,
** points strictly between the ends take the best of BEST_OF_OTHERS candidates, and not one that says
** what an end says if there is another. rounds: of refine_tokens(), with which the ends were encoded. */
int between_decode(const struct model *m, struct run *run, const struct between *p,
                   const struct decode_options *o, int rounds);

/* ---- model_map.c: a map of points, on which neighbours lie together ---- */
/* s[n, width] of unit length, n > 0 -> a place for each, x[n] and y[n] in no particular unit, and one of n_groups groups (0..) that are alike, group[n].
** The time grows as n*n: a few seconds for 2,000. The same on every machine. */
int points_map(struct run *run, const float *s, int n, int width, int n_groups, double *x, double *y, int *group);

/* ======== Inside the layer: nothing above model_* uses what follows ======== */

/* ---- model_run.c: chunks of work, shared out to threads ---- */
struct team;
struct worker { struct team *team; int at; };           /* at: 0.., whose scratch to use */
/* Calls work(arg, worker, chunk) once for each chunk, on at most n_workers threads; no two calls share worker->at at one time.
** Returns run->err->rc: SQLITE_INTERRUPT when stop() said so, and then the work is not complete. */
int run_chunks(struct run *run, int n_workers, int n_chunks, void (*work)(void *arg, struct worker *w, int chunk), void *arg);
int worker_stopped(struct worker *w);                   /* ask between layers; true: leave at once */

/* No row may have more than longest-1 ids: else SQLITE_TOOBIG; nor a picture fewer: else SQLITE_ERROR. The message begins with `what`. */
int check_rows(const struct model *m, const int *start, int n, const char *what, struct err *err);
/* Cuts n rows of tokens, each with `more` tokens besides ids[start[i]..start[i+1]), into chunks of at most most_tokens and most_rows (one row
** at least): chunk[0..n_chunks], room for n+1. Returns the most tokens of one. */
int cut_chunks(const int *start, int n, int more, int most_tokens, int most_rows, int *chunk, int *n_chunks);

/* ---- model_layer.c: one layer over rows of tokens: the same code for the encoder, full decoding and cached decoding ---- */
struct span {                           /* what one token row attends to: n rows [k | v] of 2d floats */
  float *kv;                            /* of layer 0 */
  size_t layer_stride;                  /* floats from one layer's kv to the next one's; 0: one place used by every layer in turn */
  int n;
};
struct work {                           /* scratch for up to `rows` token rows; memory of the arena given to work_init() */
  int rows;
  float *x;                             /* [rows, d]: the residual stream */
  float *y;                             /* [rows, d]: normed, or attended */
  float *q;                             /* [rows, d]; also what a projection gives before it is added to x */
  float *kv;                            /* [rows, 2d] */
  float *value_gate, *gated;            /* [rows, 2h], [rows, h] */
  float *scores;                        /* one head's scores over the longest span */
  float *panel;                         /* LINEAR_SCRATCH of the widest matrix */
  struct span *self, *cross;            /* [rows]; cross in the decoder only */
  int *position;                        /* [rows]: for rotary */
  int cached;                           /* true: each row's [k | v] is kept as the last row of its self span */
};
void work_init(struct work *w, const struct model *m, int rows, struct arena *a);   /* asks a->oom of the caller */
void layer_run(const struct model *m, const struct block *b, struct work *w, int rows, int layer);
void embed(const struct model *m, float *x, int id);    /* x[d] = embedding[id] * sqrt(d) */
/* x[d] += row `at` of encoder_position or decoder_position, where there is one. */
void add_position(const struct model *m, float *x, const float *positions, int at);
/* Does a row of tokens end with TOKEN_END? Text and code do; a picture always has longest-1 codes and needs none. */
int has_end(const struct model *m);

struct memories {                       /* what the decoder reads of each latent, made once */
  int n;                                /* room */
  float *z_in;                          /* [n, d] */
  float *cross;                         /* [decoder_layers, n, memory, 2d] */
  float *joined, *expanded;             /* scratch of memories_fill: [n, s+r], [n, memory*d] */
};
void memories_init(struct memories *c, const struct model *m, int n, struct arena *a);
/* Fills slots[count] (NULL: 0, 1, ...) from z[count, s+r]; z NULL: one slot with z = 0, the plain language model. */
void memories_fill(struct memories *c, const struct model *m, const int *slots, const float *z, int count, float detail, float *panel);
void memories_span(const struct memories *c, const struct model *m, int at, struct span *span);

/* ---- model_step.c: texts decoded side by side, a token of each at a step ---- */
struct sequence {
  int latent;                           /* slot of the memories */
  float fluency;                        /* its own; > 0: it has a twin */
  int twin;                             /* the twin's row in this step */
  int n;                                /* ids so far */
  int *ids;                             /* [limit+1], in the block */
  float *cache;                         /* [1 or 2 for the plain twin][layers][limit+1][2d], in the block */
  float sum;                            /* log-probabilities so far */
};
struct batch {
  const struct model *m;
  struct work work;
  struct memories memories;             /* slot 0: z = 0 */
  int limit;                            /* most ids; of a picture, all ids */
  int room;                             /* sequences at most */
  int n;                                /* sequences now */
  int twins;                            /* true: blocks have room for a twin, which reads slot 0 */
  struct sequence *sequences;           /* [n] of [room] */
  struct sequence *spare;               /* [room - n]: the blocks that no sequence uses */
  float *logits;                        /* [room or 2*room, pieces]: after a step, rows 0..n-1 are log-probabilities; ids never to be emitted -inf */
  float *row;                           /* [pieces]: scratch of the sampler */
};
void batch_init(struct batch *b, const struct model *m, int room, int limit, int twins, struct arena *a);   /* slots 1..room are the caller's */
size_t sequence_bytes(const struct model *m, int limit, int twins);     /* of a block's cache */
int batch_step(struct batch *b, struct run *run, struct worker *w);     /* every sequence's last id goes in; 0: stopped */
void sequence_copy(const struct batch *b, struct sequence *to, const struct sequence *from);    /* ids and cache into to's own block */

#endif
