/*
** model.h -- the Transformer-VAE: content to points of the latent space and back.
**
** Knows no database. model/README.md is the specification, with names, shapes and formulas.
** model/text_model.py is its executable version.
**
** This is the order in which to read the files. Each calls only those above it.
**
**   model_shared.c    keeps one copy a process of what is read from a path
**   model_tensors.c   tensors of a weight file to where the kernels read them
**   model_load.c      opens weights and checks them
**   model_bert_load.c opens the folder of a sentence encoder
**   model_writer_load.c   opens the folder of a writer
**   model_find.c      where the weights of a kind lie on this machine
**   model_point.c     arithmetic of points
**   model_chunks.c    cuts work into chunks and hands them to threads; interrupts
**   model_convolve.c  the network between pixels and points
**   model_picture.c   pictures to points and back
**   model_prior.c     draws the r of a picture for an s and a style
**   model_layer.c     one Transformer layer over rows of tokens
**   model_memory.c    what the decoder reads of a point
**   model_encode.c    rows of tokens to points
**   model_bert.c      rows of pieces to the vectors of a sentence encoder
**   model_meaning.c   rows of tokens to points whose s is what a sentence encoder says
**   model_score.c     how likely rows of tokens are at points
**   model_refine.c    moves points until they decode to what was encoded
**   model_reread.c    encodes what was decoded, as a user would who has only the bytes
**   model_step.c      decodes sequences side by side, one token of each at a step
**   model_strand.c    points to rows of tokens: greedy, sampling, beam search
**   model_writer.c    the writer's network
**   model_wanted.c    the words of what a point lies between, which the writer favours
**   model_write.c     points to texts by the writer, as rows of tokens
**   model_decode.c    points to rows of tokens: also the best of several candidates
**   model_text.c      texts to segments to points
**   model_text_decode.c   points to texts
**   model_content.c   content of any kind to points, and back
**   model_between.c   what is decoded for a point between two ends
**   model_edit.c      what was done to one statement of code is done to another
**   model_twin.c      what was done to one function is done to another
**   model_map.c       a map of points, on which neighbours lie together
**
** Everywhere: d is the model width, s and r are the widths of the two parts of a point z = [s ; r].
** n rows of tokens are ids and start[n+1]: row i is ids[start[i]..start[i+1]), without TOKEN_START
** and TOKEN_END. Functions that return an int give SQLITE_OK or the code of the first failure,
** whose text is in the struct err; those that are given a struct run note it in run->err. What they
** give as pointers lies in run->arena. What they used besides is given back to it on success.
*/
#ifndef LATENT_MODEL_H
#define LATENT_MODEL_H
#include "codec.h"
#include "kernels.h"

/* ---- model_shared.c: one copy a process of what is read from a path ---- */
struct shared {                         /* the first field of each that is shared */
  char *path;                           /* owned; realpath() of what it was read from */
  int n_users;                          /* references; guarded by global_lock() */
  struct shared *next;                  /* in the list of the open ones of its sort */
};
const char *shared_name(const struct shared *s);        /* the last part of its path */

/* ---- model_load.c: a model, shared by all connections and threads ---- */
static const float RMS_EPSILON = 1e-6f;        /* of all norms but those of sentence encoders */
struct block {                          /* one Transformer layer; h is the feed-forward width */
  const float *attention_norm;          /* [d] */
  struct matrix q, kv, o;               /* [d, d], [d, 2d], [d, d] */
  const float *cross_norm;              /* [d]; the decoder's only, as the next three */
  struct matrix cross_q;                /* [d, d] */
  struct matrix cross_kv;               /* [d, 2d] */
  struct matrix cross_o;                /* [d, d] */
  const float *feed_norm;               /* [d] */
  struct matrix feed_in, feed_out;      /* [d, 2h], [h, d] */
};
struct affine {                         /* y = x . w + bias */
  struct matrix w;                      /* [in, out] */
  const float *bias;                    /* [out] */
};
struct picture_block {                  /* x + out(silu(conv(norm(x)))) over c channels */
  const float *norm;                    /* [c] */
  struct affine conv, out;              /* [9c, c], rows in the order (ky, kx, channel); [c, c] */
};
struct prior_block {                    /* x + (v * silu(g)) . out, [v | g] = norm(x) . in */
  const float *norm;                    /* [width] */
  struct matrix in, out;                /* [width, 2 hidden], [hidden, width] */
};
/* The networks of kind picture. Level i has channels[i] of the config, and 2^(i+1) times fewer
** places to a side than the picture has pixels; `flat` is all of the last one. */
struct picture_net {
  struct affine in;                     /* [16, c of level 0], of 2x2 pixels */
  struct picture_block *encoder[PICTURE_LEVELS];        /* by level; the finest is 0 */
  struct picture_block *decoder[PICTURE_LEVELS];        /* likewise */
  struct affine down[PICTURE_LEVELS-1]; /* from level i to i+1: [4c, next c], of 2x2 places */
  struct affine up[PICTURE_LEVELS-1];   /* from level i+1 to i: [next c, 4c] */
  const float *encoder_norm, *decoder_norm;     /* [c of the last level], [c of level 0] */
  struct affine to_hidden, to_s;        /* [flat, hidden], [hidden, s] */
  struct affine to_r, from_z, out;      /* [flat, r], [s+r, flat], [c of level 0, 16] */
  struct matrix to_style;               /* [r, style] */
  struct matrix prior_r, prior_s, prior_style, prior_recalled, memory;  /* memory: [n_names, r] */
  const float *prior_time, *prior_norm; /* [steps, width], [width] */
  struct prior_block *prior;            /* [blocks] */
  struct matrix prior_out;              /* [width, r] */
  const float *names;                   /* [n_names, s] of config.names; unit length */
};
struct model {                          /* read-only after model_open() */
  struct shared shared;                 /* its path is that of the weights */
  struct config config;                 /* shape, tokenizer, fingerprint */
  struct safetensors file;
  int h;                                /* feed-forward width: d*8/3 rounded up to 64 */
  struct matrix embedding;              /* [pieces, d] */
  struct matrix output;                 /* [d, pieces]: the embedding transposed */
  struct bert *meaning;                 /* makes s; a reference is held; NULL: to_s does */
  const float *registers;               /* [registers, d], times sqrt(d) */
  struct block *encoder, *decoder;      /* [encoder_layers], [decoder_layers] */
  const float *encoder_norm, *decoder_norm;     /* [d] each */
  struct matrix to_r;                   /* [d, r/registers] */
  struct matrix to_s;                   /* [d, s]; only where there is no `meaning` */
  struct matrix memory;                 /* [s+r, memory*d] */
  const float *memory_bias;             /* [memory*d] */
  struct matrix z_in;                   /* [s+r, d] */
  const float *cos_sin;                 /* rotary_table() for every position in use */
  struct picture_net picture;           /* kind picture: this, and nothing from h to cos_sin */
  void *converted;                      /* owned: what cannot be used as it lies in the file */
};
/* path is that of the .safetensors file; <same name>.json lies beside it. Opening a path again
** gives the same model and one more reference. Errors name the file, what is wrong and what was
** expected. */
int model_open(struct model **out, const char *path, struct err *e);
void model_close(struct model *m);      /* gives one reference back; NULL is allowed */

/* Numbers of a point's s. The network reads the first shape.s of them. */
static inline int model_s(const struct model *m){
  return m->config.meaning ? m->config.meaning : m->config.shape.s;
}

/* Numbers of a point: s+r. */
static inline int model_width(const struct model *m){
  return model_s(m) + m->config.shape.r;
}

/* A latent of the model's kind and shape, its z still NULL. */
static inline struct latent latent_of(const struct model *m, int n_segments){
  return (struct latent){
    .kind = m->config.kind,
    .n_segments = n_segments,
    .width = model_width(m),
    .s = model_s(m),
    .fingerprint = m->config.fingerprint,
  };
}

/* ---- model_bert_load.c: a sentence encoder, shared by all connections and threads ---- */
struct norm {                           /* of layer_norm() */
  const float *weight, *bias;           /* [d] each */
};
struct bert_layer {
  struct affine qkv, out;               /* [d, 3d], [d, d] */
  struct norm attention_norm;
  struct affine up, down;               /* [d, h], [h, d] */
  struct norm feed_norm;
};
struct bert {                           /* read-only after bert_open() */
  struct shared shared;                 /* its path is that of the folder */
  struct bert_config config;
  struct safetensors file;
  struct wordpiece *wordpiece;          /* owned */
  int cls, sep;                         /* the pieces around a row */
  const float *pieces;                  /* [pieces, d]; or NULL, and these two: */
  const int8_t *piece_bytes;            /* [pieces, d] */
  const float *piece_scale;             /* [pieces]: what the bytes of a row are multiplied by */
  const float *positions;               /* [positions, d] */
  const float *type;                    /* [d]: that of a text that is alone; NULL in MPNet */
  struct norm norm;                     /* of their sum */
  struct bert_layer *layers;            /* owned */
  /* MPNet: [DISTANCE_BUCKETS, heads], what is added to a score; else NULL. */
  const float *distances;
  /* [d, d]: what the pooled vector is multiplied by at the end; in.out are 0 where there is none.
  ** Shipped weights are turned so that a prefix of a vector means what s means in other kinds. */
  struct matrix turn;
  void *converted;                      /* owned: the matrices, transposed */
};
enum { DISTANCE_BUCKETS = 32 };
/* folder has config.json, model.safetensors and more: codec_bert.c lists it. */
int bert_open(struct bert **out, const char *folder, struct err *e);
int is_bert(const char *folder);        /* it looks like one: there is a config.json */
void bert_close(struct bert *b);        /* gives one reference back; NULL is allowed */

/* ---- model_writer_load.c: a writer, shared by all connections and threads ---- */
struct adapted {                        /* y = x . w + (x . a) . b */
  struct matrix w;                      /* [in, out], as the language model came */
  struct matrix a, b;                   /* [in, ranks], [ranks, out]; a.in is 0 in lower layers */
};
struct writer_layer {                   /* kv: 64 times the heads of keys and values */
  const float *attention_norm;          /* [d] */
  struct adapted qkv, out;              /* [d, d + 2kv], [d, d] */
  const float *cross_norm;              /* [d]; upper layers only, as the next three */
  struct matrix cross_q, cross_kv, cross_out;   /* [d, d], [d, 2d], [d, d] */
  const float *feed_norm;               /* [d] */
  struct adapted feed_in, feed_out;     /* [d, 2h], [h, d] */
};
struct writer {                         /* read-only after writer_open() */
  struct shared shared;                 /* its path is that of the folder */
  struct writer_config config;
  struct safetensors files[WRITER_FILES];
  struct bpe *bpe;                      /* owned */
  struct writer_layer *layers;          /* owned */
  const float *norm;                    /* [d] */
  struct matrix pieces;                 /* [d, pieces]: a column is a piece */
  struct matrix z_in;                   /* [s+r, d] */
  struct matrix memory;                 /* [s+r, memory*d] */
  const float *memory_bias;             /* [memory*d] */
  struct matrix code;                   /* [code_s+code_r+1, s+r]: from a line of code's point to a
                                        ** text's, the last row is added; not there where
                                        ** shape.code_s is 0 */
  int *special;                         /* [n_special]: owned; pieces that are no text, ascending */
  int n_special;
  float *cos_sin;                       /* owned; rotary_table() for every position */
  void *converted[WRITER_FILES];        /* owned: the vectors of each file, as floats */
};
/* The file model_writer_load.c lists what the folder has. */
int writer_open(struct writer **out, const char *folder, struct err *e);
void writer_close(struct writer *w);    /* gives one reference back; NULL is allowed */

/* ---- model_find.c: where the weights of a kind lie on this machine ---- */
enum { PLACES_MOST = 3 };
struct places {
  const char *path[PLACES_MOST];        /* from the arena */
  int n;
};
/* directory/<kind>.safetensors, from the arena; NULL when out of memory. */
const char *weights_in(const char *directory, int kind, struct arena *a, struct err *e);
/* The places in which a kind's weights are looked for, whether there is a file or not. */
int places_list(struct places *p, int kind, struct arena *a, struct err *e);
/* The first file that exists: in directory `first` (may be NULL), then in places_list(). None:
** SQLITE_CANTOPEN, and the message lists the places. */
int weights_find(const char **path, const char *first, int kind, struct arena *a, struct err *e);
/* The folder of a sentence encoder, of that name beside text's weights: "meaning" is shipped. */
int encoder_find(const char **folder, const char *first, const char *name, struct arena *a,
                 struct err *e);

/* The folder "writer" beside the weights of m, else in `then`. NULL: none. Memory is from a. */
const char *writer_find(const struct model *m, const char *then, struct arena *a, struct err *e);

/* ---- model_point.c: arithmetic of points ----
** A point's s has unit length, its r at most unit length. A direction (KIND_DIRECTION) has any
** length. Results lie in the arena. Latents that meet here are of one width and one s. */
float *latent_segment(const struct latent *z, int i);   /* [width] */
int most_segments(const struct latent *z, int n);       /* of one of z[n]; 0: there is none */
/* 1 - cosine of the mean s of all segments, 0 to 2. The two may be of different kinds: where one
** has a shorter s, its other numbers count as 0. */
float point_distance(const struct latent *a, const struct latent *b);
float point_cosine(const float *a, const float *b, int width);
/* The passages of a point of several segments: a segment each, or a few neighbours where there are
** more than PASSAGES_MOST. Passage i begins with segment i*passage_segments(). */
enum { PASSAGES_MOST = 255 };
static inline int passage_segments(int n_segments){
  return (n_segments + PASSAGES_MOST - 1)/PASSAGES_MOST;
}
static inline int count_passages(int n_segments){
  int each = passage_segments(n_segments);
  return (n_segments + each - 1)/each;
}

/* s[width] of a passage, as point_s() gives it. */
float passage_s(float *s, int width, const struct latent *z, int passage);
/* The same as point_distance(), or less where a passage of one is nearer to the whole of the other:
** what a search says of a long text. */
int point_nearest(float *distance, const struct latent *a, const struct latent *b,
                  struct arena *arena, struct err *e);
/* s[width] = the mean s of the segments from..to-1, of unit length: cut, or filled with 0, where z
** has another width of s. Returns its length before, 0 where it has none and is 0. */
float point_s(float *s, int width, const struct latent *z, int from, int to);
/* The latent at t. Segments are aligned in order so that the sum of their distances is least. Pairs
** go along an arc in s and straight in r. Segments without a partner leave (a's) or enter (b's)
** along t. t = 0 gives a and t = 1 gives b, bit by bit. */
int point_interp(struct latent *out, const struct latent *a, const struct latent *b, float t,
                 struct arena *arena, struct err *e);
/* out = ka*a + kb*b, segment by segment. kind is what out becomes: a point is normalised, a
** direction is left as it is. b may be NULL: ka*a. Where one side has 1 segment it is repeated. Of
** other unequal numbers
**   - a direction's segments are spread in order over those of a point, or of a longer direction;
**   - two points are aligned as in point_interp(). A point keeps those without a partner that would
**     be there at t = kb/(ka + kb), or a's where kb is not above 0. A direction (the difference of
**     two points) has pairs only; if there is none, it is that of the means. */
int point_combine(struct latent *out, const struct latent *a, float ka, const struct latent *b,
                  float kb, int kind, struct arena *arena, struct err *e);
void point_normalize(struct latent *z);         /* every segment: s to length 1, r to at most 1 */
/* Does a segment lie between others? Content is encoded to an r of unit length, and where texts
** that are not alike are mixed it gets shorter. 1 where one is shorter than 0.95. */
int point_is_between(const struct latent *z);
void point_mean(float *mean, const struct latent *z);   /* of the segments, a point: mean[width] */
/* Numbers from outside as a point: segments that are off the sphere by more than rounding are put
** back on it, so that an exact copy stays exact. An s of length 0 is an error. Directions stay. */
int point_settle(struct latent *z, struct err *e);
/* Turns every segment by amount*90 degrees in a random direction, s and r each. */
void point_vary(struct latent *z, float amount, uint64_t seed);
/* A point drawn from the prior, which is uniform on the spheres of s and of r. */
int point_sample(struct latent *out, uint64_t seed, const struct model *m, struct arena *arena,
                 struct err *e);

/* ---- What many of the files take ---- */
struct content {
  const void *bytes;
  size_t n;
};
struct tokens {                         /* one row of tokens that was decoded */
  int *ids;                             /* without start and end; from the run's arena */
  int n;
  float log_probability;                /* log p(ids, end | z), with the fluency mixed in */
};
struct run {                            /* what one call may use */
  struct arena *arena;                  /* scratch and results */
  int n_threads;                        /* at most so many, the caller's among them: 1 or more */
  /* For tests: a batch of bert_encode() that is one chunk is shared by all threads, though no
  ** processor is idle. */
  int shares;
  /* Where failures are noted. Is asked for a stop (err_stopped()) at least every 50 ms, on the
  ** caller's thread. */
  struct err *err;
  /* For tests; NULL in ordinary use. Is shown numbers on their way through a network, and called
  ** from every thread:
  **   "encoder", "decoder"  x[rows, d] after layer `layer`
  **   "pixels", layer 0     x[rows, 16], 2x2 pixels each, before they are rounded
  **   "prior", layer k      x[rows, r], the points of the prior after step k */
  void (*watch)(void *arg, const char *stack, int layer, const float *x, int rows);
  void *watch_arg;
};

/* ---- model_encode.c: rows of tokens to points ---- */
/* n rows -> z[n, s+r]: s of unit length, then r of unit length. Where the model has a sentence
** encoder nothing is written to s. A row has 0 to longest-1 ids, else
** SQLITE_TOOBIG. A row's bits do not depend on what shares its batch. */
int encode_tokens(const struct model *m, struct run *run, const int *ids, const int *start, int n,
                  float *z);

/* ---- model_bert.c: rows of pieces to the vectors of a sentence encoder ---- */
/* n rows of ids, without [CLS] and [SEP] -> y[n, d]. A row has at most bert_longest() ids, else
** SQLITE_TOOBIG. A row's bits do not depend on what shares its batch. */
int bert_encode(const struct bert *b, struct run *run, const int *ids, const int *start, int n,
                float *y);
int bert_longest(const struct bert *b);
/* The vectors of n texts of any length: y[n, d]. What is longer than one row is read in windows
** that overlap by an eighth; the mean of their vectors is the text's. */
int bert_embed(const struct bert *b, struct run *run, const struct content *texts, int n, float *y);

/* ---- model_meaning.c: rows of tokens to points whose s is what a sentence encoder says ---- */
/* As encode_tokens(). But where the model has a sentence encoder, s is what that makes of the row's
** text, normalised: so texts that look alike have the same s, while r says how they differ. */
int encode_points(const struct model *m, struct run *run, const int *ids, const int *start, int n,
                  float *z);
int encode_meanings(const struct model *m, struct run *run, const int *ids, const int *start, int n,
                    float *z);          /* only s, and 0 for r, where there is such an encoder */

/* ---- model_score.c: how likely rows of tokens are at points ---- */
/* For n rows, as encode_tokens() takes them, at z[n, s+r]. Computed in one pass without a cache
** ("full decoding").
**   sums[n]             the sum of log p(token | tokens before, z) over the ids and TOKEN_END
**   all[start[n]+n]     log p of each of these tokens, row after row; may be NULL
**   guesses[likewise]   the token that greedy decoding would choose in each place; may be NULL */
int score_tokens(const struct model *m, struct run *run, const float *z, const int *ids,
                 const int *start, int n, float *sums, float *all, int *guesses);

/* ---- model_refine.c: points that decode to what was encoded ---- */
enum { REFINE_ROUNDS = 8 };             /* enough: see the head of model_refine.c */
enum { ROUNDS_FOR_S = -1 };             /* nobody reads r: it need not be made, and may be 0 */
/* z[n, s+r] is what encode_points() gave for the rows. Moves the r of each until greedy decoding
** gives the row back, at most `rounds` times; then keeps the r that came nearest. s stays. z is
** rounded to what its BLOB can hold. 0 rounds leave z as it is.
** The rows of one text share its budget of work, which is enough for all rounds of a short text.
** texts[n]: the number of each row's text, ascending from 0; NULL: each row is a text by itself.
** Texts do not depend on each other, bit by bit. */
int refine_tokens(const struct model *m, struct run *run, const int *ids, const int *start,
                  const int *texts, int n, int rounds, float *z);
/* Both: rows of tokens to z[n, s+r], refined. rounds may be ROUNDS_FOR_S. */
int encode_refined(const struct model *m, struct run *run, const int *ids, const int *start,
                   const int *texts, int n, int rounds, float *z);

/* ---- model_picture.c: pictures to points and back ---- A picture is 64x64 pixels
** (config.picture.size). Its bits do not depend on what shares its batch. Models of other kinds are
** SQLITE_ERROR. */
/* p[n], of 64x64 pixels each, else SQLITE_ERROR -> z[n, s+r]: s and r of unit length. */
int pictures_encode(const struct model *m, struct run *run, const struct picture *p, int n,
                    float *z);
float picture_detail(float detail);     /* the length that an r of 1 then has */
/* z[n, s+r], r times picture_detail() -> p[n], pixels from the arena. What is clear is 0 0 0 0. */
int pictures_decode(const struct model *m, struct run *run, const float *z, int n, float detail,
                    struct picture *p);
/* z[n, s+r] of p[n], freed of a plain ground as a user's files are. Changes p. */
int pictures_reread(const struct model *m, struct run *run, struct picture *p, int n, float *z);
/* The mean log-probability of a byte of p (colours times alpha), distributed normally about what
** z[s+r] decodes to, with a standard deviation of 16. */
int picture_score(const struct model *m, struct run *run, const struct picture *p, const float *z,
                  float *mean);

/* which[n]: the names nearest to s[s], nearest first, n at most n_names; and how far they are. */
int names_near(const struct model *m, struct run *run, const float *s, int n, int *which,
               float *far);

/* ---- model_prior.c: draws the r of a picture for an s and a style ---- */
struct wish {                           /* for a picture */
  const float *s;                       /* [s], of unit length; NULL: whatever it shows */
  const float *like;                    /* [r]: its style is that of this r; NULL: any style */
  uint64_t seed;
};
/* r[n, r] of unit length, one for each wish. guidance: 0 for no wish at all, 1 for the wish as it
** is, more for a clearer one. */
int details_draw(const struct model *m, struct run *run, const struct wish *wishes, int n,
                 float guidance, float *r);
float styles_cosine(const struct model *m, const float *a, const float *b, struct arena *arena);
/* r of z[s+r] goes `amount` of the way towards another picture of the same thing. */
int picture_vary(const struct model *m, struct run *run, float *z, float amount, uint64_t seed);
/* z[n, s+r]: what pictures that nobody asked for encode to. */
int pictures_sample(const struct model *m, struct run *run, const uint64_t *seeds, int n, float *z);

/* ---- model_reread.c: encodes what was decoded, as a user would who has only the bytes ---- */
/* z[n, s+r]: what the bytes of each row encode to. A text is made of its tokens, split into tokens
** again and cut after longest-1 (only a rare spelling has more). texts and rounds are those of
** refine_tokens(). Fidelity is the cosine to this. */
int tokens_encode(const struct model *m, struct run *run, const struct tokens *rows,
                  const int *texts, int n, int rounds, float *z);

/* ---- model_decode.c: points to rows of tokens ---- */
enum { PARENTS_MOST = 3 };
struct parents {                        /* what a point lies between */
  struct content texts[PARENTS_MOST];   /* borrowed, as the next */
  const float *s[PARENTS_MOST];         /* s of each */
  float weights[PARENTS_MOST];          /* of sum 1 */
  int n;                                /* 0: nothing that is known */
};
struct decode_options {
  /* 1 to 32. 1 is greedy, or sampling where temperature > 0. More: the result has the best mean
  ** log-probability per token, END counted. */
  int beams;
  /* 1 to 64: candidates. Each is encoded again, and the one nearest to the asked point wins. With
  ** fluency, how well it reads counts too. */
  int best_of;
  /* 0 or more; 0 is greedy. Candidates after the first are sampled at 0.5 where this is 0. */
  float temperature;
  uint64_t seed;
  /* Most ids of a segment. 0, or more than an encoder can read back, which is shape.longest-1: so
  ** many. */
  int max_tokens;
  float fluency;                        /* 0 to 1: share of the plain language model (z = 0) */
  const float *fluencies;               /* [n]: one a row of z instead; decode_tokens() only */
  float detail;                         /* 0 to 1: r is multiplied by it before decoding */
  float guidance;                       /* of details_draw(), by those who call it */
  int refine;                           /* rounds of refine_tokens() where fidelity is measured */
  /* [n_avoid] texts, as the ids that encoding them gives. A candidate that is one of them wins only
  ** where every candidate is. May be NULL. */
  const struct tokens *avoid;
  int n_avoid;
  const float *ends;                    /* [2, s]: of a way; may be NULL */
  int is_way;                           /* true: the rows lie in order on the way from the first end
                                        ** to the second, and best_of chooses for all together */
  int one_seed;                         /* true: rows draw alike, so near points decode alike */
  /* Kind text or code: writes in place of the model's own decoder, without beams. NULL: the decoder
  ** does it. Borrowed. */
  const struct writer *writer;
  int keeps_encoded;                    /* true: segments that were encoded are the decoder's */
  /* [n], one a row of z: what stands before each text, which the writer reads. May be NULL. */
  const struct content *contexts;
  struct content before;                /* what stands before each whole text; n is 0: nothing */
  /* [n], one a row of z: the texts that it lies between. The writer takes up their words, and its
  ** candidates are to be as near to each as z is. May be NULL. */
  const struct parents *parents;
  /* [n]: the number of the text of which each row of z is a line, ascending. Lines of a text are
  ** chosen so that it is Python, where best_of leaves a choice, and the text has no more than 1024
  ** candidates in all. NULL: rows are no lines of code, or have contexts. */
  const int *lines_of;
  /* [n], with contexts that are the lines of code before each row: is it the last of its text? Each
  ** is chosen so that it goes on with these as Python. NULL: rows are no lines of code. */
  const int *lasts;
  /* True where the user has set it: a function's own default then gives way. */
  int has_fluency, has_detail, has_temperature, has_seed, has_best_of, has_guidance;
};
void decode_options_init(struct decode_options *o);     /* beams, best_of, detail 1; else 0 */
/* z[n, s+r] -> out[n]. Row i of a batch gives what it gives alone with decode_seed(seed, i), except
** on a way, whose rows are chosen together. An option out of its range is SQLITE_ERROR. */
int decode_tokens(const struct model *m, struct run *run, const float *z, int n,
                  const struct decode_options *o, struct tokens *out);
uint64_t decode_seed(uint64_t seed, int row);           /* decode_seed(seed, 0) is seed */

int tokens_equal(const struct tokens *a, const struct tokens *b);      /* the same ids */

/* ---- model_lines.c: lines of code that parse together ---- */
struct lines {                          /* of a text, and what each may be */
  struct content before;                /* the lines before them; none: n is 0 */
  int is_whole;                         /* true: no line comes after them */
  int n, k;
  struct tokens *candidates;            /* [n, k] */
  const float *marks;                   /* [n, k] */
  int *chosen;                          /* [n]: the candidate of each, 0..k-1 */
  int most_tokens;
};
/* Changes chosen so that the text is Python, or may begin Python where more lines come, and of
** those that are, one of the greatest sum of marks. Where none is found, the last lines stay as
** they are chosen. A candidate that is chosen may be changed: it then stands at another column, and
** has at most most_tokens. */
int lines_choose(const struct model *m, struct run *run, const struct lines *lines);
/* For a line that is alone: marks[k] -= penalty of those that are no beginning of Python. */
int line_marks(const struct model *m, struct run *run, const struct tokens *candidates, int k,
               float penalty, float *marks);

/* ---- model_text.c: texts to segments to points, and back ---- For models of kind text and code;
** others are SQLITE_ERROR. A document is one space and then the text. It is cut into segments after
** sentence ends (. ! ? and closing quotes, before white space; not after abbreviations), after
** lines, and where a segment would have too many tokens. Each segment keeps the white space that it
** starts with: joined, and without the first space, the segments are the text. Any bytes are
** allowed. Empty text is one segment, the lone space. */
/* Segment i is ids[start[i]..start[i+1]). There is no limit to their number: see texts_encode(). Of
** many tiny ones neighbours are folded into one. */
int text_segment(const struct model *m, struct run *run, const char *text, size_t n, int **ids,
                 int **start, int *n_segments);
/* The passages of a text whose latent has n_segments, without white space around them: appended to
** `all`, passage i up to ends[i]. *n is how many; 0, where the text has another number of
** segments. ends: from the arena. */
int text_passages(const struct model *m, struct run *run, const char *text, size_t bytes,
                  int n_segments, struct buf *all, size_t **ends, int *n);
/* n texts to z[n] in one batch, each with `rounds` of refine_tokens(). A latent has at most 65,535
** segments: of a longer text each point is the mean of two or more neighbours. */
int texts_encode(const struct model *m, struct run *run, const char *const *texts,
                 const size_t *texts_bytes, int n, int rounds, struct latent *z);
/* The mean log-probability per token of the text at z. Segments of the text are scored in order
** against those of z, whose last one repeats. */
int text_score(const struct model *m, struct run *run, const char *text, size_t n,
               const struct latent *z, float *mean);

/* ---- model_text_decode.c: points to texts ---- */
/* Appends the text of z as valid UTF-8. fidelity, which may be NULL: the cosine between a segment
** of z and the encoding of its text, mean over the segments. */
int text_decode(const struct model *m, struct run *run, const struct latent *z,
                const struct decode_options *o, struct buf *out, float *fidelity);
/* What the tokens say, whatever its bytes, in the arena. */
int tokens_text(const struct model *m, struct run *run, const struct tokens *tokens,
                struct content *text);
/* Appends to texts[i] what text_decode() gives for z[i] at fluency fluencies[i]. One batch, so that
** ten points take little more time than one. fidelities[n] may be NULL. */
int texts_decode(const struct model *m, struct run *run, const struct latent *z, int n,
                 const float *fluencies, const struct decode_options *o, struct buf *texts,
                 float *fidelities);

/* ---- model_write.c: the writer by itself ---- */
/* Appends what o->writer goes on with after the text, in valid UTF-8: at most o->max_tokens pieces
** (0: shape.longest), as many at a time as a text of the writer's has. o->fluency says how much the
** plain language model counts, which reads the text; the rest is what the writer says at `towards`,
** its segments' mean. Where that is NULL the plain model is alone, and fluency is to be above 0. */
int text_complete(const struct model *m, struct run *run, const struct content *text,
                  const struct latent *towards, const struct decode_options *o, struct buf *out);

/* What a piece takes on one thread, a text alone, at this moment. */
int writer_cost(const struct writer *w, struct run *run, double *seconds);

/* ---- model_aloud.c: how texts read to the plain language model ---- */
/* nats[n]: how surprising each of texts[n] is to the language model of w, which reads no point: the
** mean of its pieces after the first, its end counted; of an empty text 0. Of a text of more than
** shape.longest pieces these are read. */
int texts_nats(const struct writer *w, struct run *run, const struct content *texts, int n,
               float *nats);

/* ---- model_content.c: content of any kind, as the model's kind has it ---- Text and code are
** UTF-8. A picture is a PNG or JPEG file, which is freed of a plain ground and fitted to 64x64 when
** it is read; it is written as a PNG. It is one segment; a latent of several, which nothing here
** makes, cannot be decoded as a picture: SQLITE_ERROR. */
/* p: a square of the model's size, whose pixels take the picture in the file, as it is encoded. */
int content_picture(const struct model *m, struct run *run, const struct content *c,
                    const char *who, struct picture *p);
/* contents[n] -> z[n], as texts_encode() does it for texts. `who`, as "argument 1", stands at the
** start of messages about a picture that cannot be read. */
int contents_encode(const struct model *m, struct run *run, const struct content *contents, int n,
                    const char *who, int rounds, struct latent *z);
/* z[n] -> contents[n], as texts_decode() does it for texts. */
int contents_decode(const struct model *m, struct run *run, const struct latent *z, int n,
                    const float *fluencies, const struct decode_options *o, struct buf *contents,
                    float *fidelities);

/* ---- model_between.c: content for points between two ends ---- */
double interp_ease(int kind, double t); /* where on the arc a user's t lies */
float interp_fluency(int kind, double t);       /* the plain language model's share at t of it */
/* What z decodes to, as ids, for decode_options.avoid: *n_said is 1. It is 0 where z has several
** segments or is a picture: those rarely stay as they are. */
int said_by(const struct model *m, struct run *run, const struct latent *z, struct tokens *said,
            int *n_said);
/* Candidates where something else is wanted than what was said, and of single texts by the
** writer. */
enum { BEST_OF_OTHERS = 8, BEST_OF_WRITTEN = 12 };
struct between {
  const struct latent *ends;    /* [2] */
  const struct latent *z;       /* [n]: points on the way from ends[0] to ends[1] */
  const double *t;              /* [n]: where, as the user counts it; ascending from 0 to 1 */
  int n;
  struct buf *contents;         /* [n]: what they decode to is appended */
  float *fidelities;            /* [n]; may be NULL */
};
/* Decodes the points. Where o sets no fluency each takes interp_fluency(); where o sets no best_of,
** points strictly between the ends take the best of BEST_OF_OTHERS candidates (of BEST_OF_WRITTEN
** where the writer writes one segment, of fewer where an end has more than 32), and not one that
** says what an end says if there is another. rounds: of refine_tokens(), with which the ends were
** encoded. */
int between_decode(const struct model *m, struct run *run, const struct between *p,
                   const struct decode_options *o, int rounds);

/* ---- model_twin.c: what was done to one function is done to another ---- */
/* Kind code. z[3]: a function, its twin that was changed, another function; known[3]: their texts;
** where bytes is NULL it is what z decodes to. Appends the other one, changed likewise, in valid
** UTF-8. *is_carried is 0 where nothing can be carried over: the first two do not differ,
** or what was done does not fit, or there are more than STATEMENTS_MOST statements. */
enum { STATEMENTS_MOST = 400 };
int twin_carry(const struct model *m, struct run *run, const struct latent z[3],
               const struct content known[3], struct buf *out, int *is_carried);

/* ---- model_map.c: a map of points, on which neighbours lie together ---- */
/* s[n, width] of unit length, n > 0 -> a place for each point, x[n] and y[n] in no particular unit,
** and group[n]: one of n_groups groups (0, 1, ...) of points that are alike. The time grows as n*n:
** a few seconds for 2,000. The same on every machine. */
int points_map(struct run *run, const float *s, int n, int width, int n_groups, double *x,
               double *y, int *group);

/* ======== Inside the layer: no other layer uses what follows ======== */

/* ---- model_chunks.c: cuts work into chunks and hands them to threads ---- */
struct team;                            /* the threads of one call */
struct worker {                         /* one of them */
  struct team *team;
  int at;                               /* 0, 1, ...: whose scratch to use */
};
/* Calls work(arg, worker, chunk) once for each chunk 0..n_chunks-1, on at most n_workers threads.
** Two calls at a time never have the same worker->at. SQLITE_INTERRUPT: the work is not
** complete. */
int chunks_run(struct run *run, int n_workers, int n_chunks,
               void (*work)(void *arg, struct worker *worker, int chunk), void *arg);
/* How many workers n_tokens are worth, when each should have least_tokens. *limit: the most tokens
** of a chunk, at most most_tokens, so that each worker gets some. */
int chunks_plan(const struct run *run, size_t n_tokens, int most_tokens, int least_tokens,
                int *limit);
int worker_stopped(struct worker *worker);      /* ask between layers; true: return at once */
/* No row may have more than longest-1 ids, else SQLITE_TOOBIG. The message begins with `what`. */
int rows_check(const struct model *m, const int *start, int n, const char *what, struct err *e);
/* Cuts n rows into chunks of at most most_tokens and most_rows, but of one row at least. A row has
** `more` tokens besides its ids. Gives chunk[0..n_chunks], with room for n+1: chunk i is the rows
** chunk[i]..chunk[i+1]-1. Returns the tokens of the largest. */
int rows_cut(const int *start, int n, int more, int most_tokens, int most_rows, int *chunk,
             int *n_chunks);

/* ---- model_shared.c ---- */
struct sort {                           /* one for each type that is shared */
  size_t bytes;                         /* of the type, which begins with a struct shared */
  const char *what;                     /* that a path should be: "the weights of a model" */
  /* Fills one that is zeroed but for its path. After a failure release() is called too. */
  int (*read)(void *it, struct err *e);
  void (*release)(void *it);            /* frees what read() made */
  struct shared *open;                  /* guarded by global_lock() */
};
/* The one of that path, with one more reference; NULL after a failure. */
struct shared *shared_open(struct sort *sort, const char *path, struct err *e);
void shared_close(struct sort *sort, struct shared *s);         /* NULL is allowed */

/* ---- model_tensors.c: tensors of a weight file to where the kernels read them ---- */
struct loader {                         /* set owner, tensors, file and e, the rest to 0 */
  void *owner;                          /* whose tensors they are */
  const struct safetensors *tensors;
  const char *file;                     /* its name, for messages */
  unsigned char *block;                 /* where copies go; NULL on the first visit */
  size_t used;                          /* bytes of it */
  struct err *e;
};
/* Calls load(l) twice: to check the tensors and count what is to be copied, and to copy it into
** *block, which the owner frees. After a failure, too. */
int loader_run(struct loader *l, void (*load)(struct loader *l), void **block);
/* Those below are for load(). They do nothing after a failure. */
void *loader_room(struct loader *l, size_t bytes);      /* aligned; NULL on the first visit */
/* The tensor of that name and shape (columns 0: a vector). NULL after noting why not. */
const struct tensor *loader_find(struct loader *l, const char *name, int rows, int columns);
/* A tensor of bytes, where it lies; NULL after noting why not. */
const int8_t *loader_bytes(struct loader *l, const char *name, int rows, int columns);
/* A matrix in groups, of 4 or 8 bits, where it lies. */
void loader_groups(struct loader *l, struct matrix *w, const char *name, int in, int out, int bits);
int loader_has_bytes(const struct loader *l, const char *name); /* there is one, and of bytes */
/* A copy of its n numbers as floats; NULL on the first visit. */
float *loader_floats(struct loader *l, const struct tensor *t, size_t n);
void loader_vector(struct loader *l, const float **v, const char *name, int n);
/* x[rows, columns]: a copy, or where they lie if they are floats. */
void loader_table(struct loader *l, const float **x, const char *name, int rows, int columns);
void loader_matrix(struct loader *l, struct matrix *w, const char *name, int in, int out);
/* y[columns, rows] of x[rows, columns]; transpose_full() puts rows of y `stride` floats apart. */
void transpose_half(uint16_t *y, const uint16_t *x, int rows, int columns);
void transpose_full(float *y, const float *x, int rows, int columns, int stride);
int tensors_check_finite(const struct safetensors *s, const char *file, struct err *e);

/* ---- model_layer.c: the same layer for the encoder, full decoding and cached decoding ---- */
enum { HEAD = 64 };                     /* numbers of an attention head */
struct span {                           /* what one row attends to: n rows [k | v] of 2d floats */
  float *kv;                            /* of layer 0 */
  size_t layer_stride;                  /* floats from a layer's to the next's; 0: all share one */
  int n;
};
struct work {                           /* scratch for up to `rows` rows; from the arena */
  int rows;
  float *x;                             /* [rows, d]: what every layer adds to */
  float *y;                             /* [rows, d]: normed, or attended */
  float *q;                             /* [rows, d]; also a projection before it is added to x */
  float *kv;                            /* [rows, 2d] */
  float *value_gate, *gated;            /* [rows, 2h], [rows, h] */
  float *scores;                        /* one head's scores over the longest span */
  float *panel;                         /* LINEAR_SCRATCH of the widest matrix */
  struct span *self, *cross;            /* [rows]; cross in the decoder only */
  int *position;                        /* [rows]: for rotary() */
  int cached;                           /* true: a row's [k | v] is kept as the last of its span */
};
/* The caller asks a->oom, here and at the other _init functions that take an arena. */
void work_init(struct work *w, const struct model *m, int rows, struct arena *a);
/* Layer number `layer`, which is b, over w->x[rows, d]. */
void layer_run(const struct model *m, const struct block *b, struct work *w, int rows, int layer);
void token_embed(const struct model *m, float *x, int id);      /* x[d] = embedding[id] * sqrt(d) */

/* ---- model_memory.c: what the decoder reads of a point, made once for all of its tokens ---- */
struct memories {
  int n;                                /* slots: room for so many points */
  float *z_in;                          /* [n, d]: added to every input */
  float *cross;                         /* [decoder_layers, n, memory, 2d]: for cross-attention */
  float *scaled;                        /* scratch: [n, s+r] */
  float *expanded;                      /* scratch: [n, memory*d] */
};
void memories_init(struct memories *c, const struct model *m, int n, struct arena *a);
/* Fills slots[count], or 0, 1, ... where slots is NULL, from z[count, s+r]. z NULL stands for z =
** 0, the plain language model, in one slot. panel: LINEAR_SCRATCH, as in struct work. */
void memories_fill(struct memories *c, const struct model *m, const int *slots, const float *z,
                   int count, float detail, float *panel);
struct span memories_span(const struct memories *c, const struct model *m, int slot);

/* ---- model_convolve.c: the network between pixels and points ---- */
struct picture_work {                   /* scratch for up to `pictures` pictures; from the arena */
  float *x, *y;                         /* [rows, channels] of a level: what the blocks add to;
                                        ** normed, joined or taken apart */
  float *neighbours, *hidden;           /* [some rows, 9c], [the same rows, c] */
  float *panel;                         /* LINEAR_SCRATCH of the widest matrix */
};
void picture_work_init(struct picture_work *w, const struct model *m, int pictures,
                       struct arena *a);
/* p[n] -> z[n, s+r]. Both return at once, and unfinished, where the worker is to stop. */
void convolve_encode(const struct model *m, struct worker *worker, struct picture_work *w,
                     const struct picture *p, int n, float *z);
/* z[n, s+r] of unit variance -> w->x[n * size/2 * size/2, 16]: 2x2 pixels each, not rounded. */
void convolve_decode(const struct model *m, struct run *run, struct worker *worker,
                     struct picture_work *w, const float *z, int n);
void convolve_pixels(const struct model *m, const float *x, struct picture *p);     /* of one */

/* ---- model_writer.c: the writer's network ---- */
struct written {                        /* a row of a step */
  int id;                               /* the piece that is read */
  int position;                         /* of it in its text */
  int slot;                             /* of the point; a plain model reads none */
  float *cache;                         /* page_floats(): of its text */
  int limit;                            /* most rows of the text */
};
struct writing {                        /* scratch, and what is read of points; from the arena */
  const struct writer *w;
  int n_slots;
  float *x, *y;                         /* [rows, d]: what layers add to; normed, or attended */
  float *wide, *beside;                 /* [rows, widest output]: of w, and of a and b */
  float *low;                           /* [rows, 3*rank] */
  float *gated;                         /* [rows, h] */
  float *scores;                        /* of one head */
  float *panel;                         /* LINEAR_SCRATCH of the widest matrix */
  int is_plain;                         /* of the present step */
  float *z_in;                          /* [slots, d] */
  float *cross;                         /* [slots, upper layers, memory, 2d]: keys and values */
  float *scaled, *mapped, *expanded;    /* scratch: [s+r+1] of either kind, [s+r], [memory*d] */
};
size_t page_floats(const struct writer *w, int limit);  /* of a text of up to `limit` rows */
/* For up to so many rows at a step, of texts of up to `limit` rows. */
void writing_init(struct writing *g, const struct writer *w, int rows, int slots, int limit,
                  struct arena *a);
/* Fills a slot from z[s+r] of that kind: text, or code where shape.code_s is not 0. */
void writing_point(struct writing *g, int slot, int kind, const float *z, float detail);
/* Reads rows[n], of any texts; the earlier rows of a text have been read, or come before it here.
** is_plain: by the language model as it came, which reads no point. 0: stopped. */
int writing_step(struct writing *g, struct run *run, struct worker *worker,
                 const struct written *rows, int n, int is_plain);
/* y[n, pieces] = log-probabilities of the pieces that follow the first n rows of that step. */
void writing_scores(struct writing *g, float *y, int n);
/* The first n rows of a text's cache into another's; both have room for `limit`. */
void writing_copy(const struct writing *g, float *to, const float *from, int n, int limit);

/* ---- model_wanted.c: the words of what a point lies between, favoured in writing ---- */
struct wanted_piece {
  int id;
  int before;                           /* the piece before it in its word; -1: it begins one */
  int parent, word;                     /* the word of the parent, counted from 1 */
  float weight;                         /* 0 to 1 */
};
struct wanted {                         /* from the arena */
  struct wanted_piece *pieces;
  int n;
  int parents;                          /* how many there are: at least 1 */
};
struct said {                           /* by one text */
  unsigned char *is_said;               /* [n of wanted]; from the arena */
  int words[PARENTS_MOST];              /* of each parent */
};
int wanted_make(struct wanted *w, const struct bpe *b, struct run *run, const struct parents *p);
int said_make(struct said *s, const struct wanted *w, struct arena *a);
/* Changes the scores y[pieces] of what may follow the pieces ids[n], of which the first is `begin`.
** sign 1; -1 takes the change back. */
void wanted_favour(const struct wanted *w, const struct said *s, const int *ids, int n, float sign,
                   float *y);
void wanted_say(const struct wanted *w, struct said *s, int id);        /* the next piece is id */

/* ---- model_text.c ---- */
int text_check(const struct model *m, struct err *e);   /* m must be of a kind that has texts */

/* ---- model_reread.c ---- */
/* The ids that the bytes of each row give when they are read again, at most longest-1 of each. */
int tokens_reread(const struct model *m, struct run *run, const struct tokens *rows, int n,
                  int **ids, int **start);

/* ---- model_step.c: decodes sequences side by side, one token of each at a step ---- */
struct sequence {
  int slot;                             /* of the memories */
  float fluency;                        /* > 0: the sequence has a twin */
  int twin;                             /* the twin's row in this step */
  int n;                                /* ids so far */
  int *ids;                             /* [limit+1], in its block */
  float *cache;                         /* [1; 2 with a twin][layers][limit+1][2d], in its block */
  float sum;                            /* of the log-probabilities so far */
};
struct batch {
  const struct model *m;
  struct work work;
  struct memories memories;             /* slot 0: z = 0; slots 1..room are the caller's to fill */
  int limit;                            /* most ids */
  int room;                             /* most sequences */
  int n;                                /* sequences now */
  int twins;                            /* true: blocks have room for a twin, which reads slot 0 */
  struct sequence *sequences;           /* [n] of [room] */
  struct sequence *spare;               /* [room - n]: the blocks that no sequence uses */
  /* [room, or 2*room with twins, pieces]: after a step rows 0..n-1 are log-probabilities, -inf for
  ** ids that must never come out. */
  float *logits;
  float *row;                           /* [pieces]: scratch for sampling */
};
void batch_init(struct batch *b, const struct model *m, int room, int limit, int twins,
                struct arena *a);
size_t sequence_bytes(const struct model *m, int limit, int twins);     /* of a block's cache */
int batch_step(struct batch *b, struct run *run, struct worker *worker);        /* 0: stopped */
/* Copies ids and cache into to's own block. */
void sequence_copy(const struct batch *b, struct sequence *to, const struct sequence *from);

/* ---- model_strand.c: one text decoded from one point: greedy, sampling, beam search ---- */
struct strand {
  int latent;                           /* row of z */
  int beams;                            /* 1 to BEAMS_MOST */
  float temperature;                    /* > 0: sampled, and beams is 1 */
  struct random random;
  struct tokens *out;                   /* ids has room for the limit and one more */
};
enum { BEAMS_MOST = 32 };
/* Decodes strands[n] from their rows of z into their out. They are in the order of their latents,
** and leave none out between the first and the last. */
int strands_decode(const struct model *m, struct run *run, const float *z,
                   const struct decode_options *o, struct strand *strands, int n);
/* model_write.c: the same by o->writer. The ids are the tokens of m that its text is split into, at
** most strand_limit(). */
int strands_write(const struct model *m, struct run *run, const float *z,
                  const struct decode_options *o, struct strand *strands, int n);
/* The most ids of one. */
int strand_limit(const struct model *m, const struct decode_options *o);
/* n empty rows with room for strand_limit() ids and one more. */
void tokens_init(struct tokens *rows, const struct model *m, int n, const struct decode_options *o,
                 struct arena *a);

/* ---- model_edit.c: what was done to one statement of code is done to another ---- */
struct sequences {                      /* two, to be aligned in order */
  int n_a, n_b;
  float alone;                          /* what it costs to leave one without a partner */
  float (*cost)(const void *arg, int i, int j);         /* of a pair */
  const void *arg;
};
/* partner[n_a]: the place in b, or -1, so that the cost is least; all -1 where the two are too long
** for a table. */
int sequences_align(const struct sequences *q, int *partner, struct arena *arena, struct err *e);
struct name {                           /* of one function, and what stands for it in the other */
  const char *from, *to;                /* [n_from], [n_to]: borrowed */
  int n_from, n_to;
  int is_name;                          /* `to` is a name too, not a longer expression */
};
struct renaming {
  struct name *all;                     /* [most] */
  int n, most;
};
void renaming_put(struct renaming *names, struct name name);  /* the first one of a name stays */
struct lexeme;
struct statement;
/* Appends lexemes from..to-1, with other names where names is not NULL. */
void lexemes_append(struct buf *out, const struct lexeme *all, int from, int to,
                    const struct renaming *names);
/* a became b: appends what c becomes, without its indentation, to out. 0: it cannot be told, or
** run->err has a failure. */
int statement_edit(struct run *run, const struct statement *a, const struct statement *b,
                   const struct statement *c, const struct renaming *names, struct buf *out);

#endif
