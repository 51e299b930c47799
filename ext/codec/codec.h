/*
** codec.h -- bytes to structures and back: safetensors, the model's JSON, the
** tokenizer, the latent blob. Knows no database and no arithmetic. Everything
** that comes in here is distrusted; everything that goes out is checked.
*/
#ifndef LATENT_CODEC_H
#define LATENT_CODEC_H
#include "base.h"

/* ---- codec_json.c: cJSON's tree, whole or not at all ---- */
struct cJSON;
/* The document, for cJSON_Delete(); NULL after noting why not: "who: not valid JSON at byte ...". */
struct cJSON *json_parse(const char *text, size_t n, const char *who, struct err *e);
int json_whole(const struct cJSON *item, double least, double most, int64_t *out);     /* 1 when item is a whole number in these limits, which are below 2^63 */

/* ---- codec_safetensors.c: named arrays in one file ---- */
enum element { ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16, ELEMENT_I8 };

struct tensor {
  const char *name;             /* owned by the safetensors */
  enum element element;
  int rank;                     /* 0..2 */
  int64_t shape[2];             /* rows, columns; 1 where absent */
  const void *data;             /* into the file map; aligned to nothing */
  size_t bytes;
  const struct tensor *scale;   /* I8 only: "<name>.scale", F32 or F16, one per column (the output side of an [in, out] matrix) */
};
struct safetensors {
  struct file_map map;
  struct tensor *tensors;       /* sorted by name */
  int n_tensors;
  uint64_t hash;                /* of the whole file */
};
int safetensors_open(struct safetensors *s, const char *path, struct err *e);   /* every offset, shape and size checked */
void safetensors_close(struct safetensors *s);
const struct tensor *safetensors_find(const struct safetensors *s, const char *name);   /* NULL when absent */
void tensor_to_floats(float *y, const struct tensor *t);    /* y[rows*columns], any element type */

/* ---- codec_config.c: <kind>.json ---- */
enum { KIND_DIRECTION = 0, KIND_TEXT = 1, KIND_PICTURE = 2, KIND_CODE = 3 };
const char *kind_name(int kind);                            /* "direction", "text", ... or "unknown" */

struct shape {                  /* "config" of the JSON; limits are checked when read */
  int d;                        /* model width, a multiple of 64, at most 4096 */
  int encoder_layers, decoder_layers;   /* 1..64 */
  int s, r;                     /* widths of the two parts of z; r a multiple of registers */
  int registers, memory;        /* 1..256 */
  int pieces;                   /* vocabulary, 260..65535 */
  int longest;                  /* most tokens of a segment, EOS included */
  int words;                    /* rows of the table of words; 0: the model has none */
};

enum { PICTURE_LEVELS = 3 };    /* of the VQ-VAE: the sides of its grids of numbers are size/2, size/4, size/8 */
struct picture_shape {          /* "picture" of the JSON of a model of kind picture; limits are checked when read */
  int size;                     /* pixels of a side: 8 for each code of a side; 64 */
  int grid;                     /* codes of a side, 1..16; 8 */
  int codes;                    /* entries of the codebook: shape.pieces - TOKEN_CODE */
  int code_width;               /* 1..256 */
  int channels[PICTURE_LEVELS]; /* 1..512, the finest level first */
  int encoder_blocks[PICTURE_LEVELS];   /* 0..16, from the finest level down */
  int decoder_blocks[PICTURE_LEVELS];   /* 0..16, from the coarsest level up */
};

struct tokenizer;
struct config {
  int kind;
  struct shape shape;
  struct picture_shape picture; /* kind picture only, otherwise zeros; then shape.longest is grid*grid + 1 */
  uint64_t weights_hash;        /* what the safetensors file must hash to */
  uint32_t fingerprint;         /* low 32 bits of the JSON file's own hash: names weights, shape and tokenizer at once */
  struct tokenizer *tokenizer;  /* owned; NULL in kind picture, which has none */
};
int config_open(struct config *c, const char *path, struct err *e);
void config_close(struct config *c);

/* ---- codec_tokenizer.c: unigram pieces, Viterbi over a trie, bytes where no piece fits ----
** Ids: 0 pad, 1 start, 2 end, 3 unknown, 4..259 the bytes, then the pieces. Lossless for every string of bytes:
** tokenizer_decode(tokenizer_encode(x)) == x. model/tokenizer.py is the plain definition. */
enum { TOKEN_PAD = 0, TOKEN_START = 1, TOKEN_END = 2, TOKEN_UNKNOWN = 3, TOKEN_BYTE = 4, TOKEN_PIECE = 260 };
enum { TOKEN_CODE = 4 };        /* kind picture: the first code of the codebook */

/* pieces[i], scores[i], i < n: copied. Scores are double because sums that differ in the last bit decide ties. */
int tokenizer_open(struct tokenizer **out, const char *const *pieces, const double *scores, int n, struct err *e);
void tokenizer_close(struct tokenizer *t);
/* Text without any prefix of its own: the caller decides about the leading space (model_text.c does). ids comes from the arena and
** has one entry of room more than n_ids, for TOKEN_END. Time and memory linear in n. starts (may be NULL) gets for each
** id the byte offset in text where it begins. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, struct arena *a,
                     int **ids, size_t **starts, int *n_ids, struct err *e);
/* Appends the bytes of one token; control tokens append nothing. */
void tokenizer_decode(const struct tokenizer *t, int id, struct buf *out);

/* The words that ids[n] spell, one after another: runs of ASCII letters, digits and bytes that are not ASCII. */
struct word_reader {            /* set the first three, the rest to 0 */
  const struct tokenizer *t;
  const int *ids;
  int n;
  int at, byte;                 /* the next byte to look at: of ids[at] */
};
/* The next word's hash: 32-bit FNV-1a of its bytes, A to Z as a to z, its halves joined. False when there is none. */
int tokenizer_next_word(struct word_reader *w, uint32_t *hash);

/* ---- codec_latent.c: the latent BLOB ----
**   0 magic "LTNT" | 4 u8 version 1 | 5 u8 kind | 6 u8 element: 0 f32, 1 f16, 2 i8 with one f32 scale before each segment
**   7 u8 0 | 8 u16 segments | 10 u16 width | 12 u32 fingerprint | 16 payload, little-endian */
struct latent {                 /* in memory always f32 */
  int kind;
  int n_segments;               /* 1..65535 */
  int width;                    /* s + r of the model: 384 for the shipped one */
  int s;                        /* how many of them are the semantic part; 0 until the model is known */
  uint32_t fingerprint;
  float *z;                     /* [n_segments, width]; s then r, in each segment; from the arena that made it */
};
int latent_is(const void *blob, size_t n);          /* 1 when it starts with the magic */
int latent_peek(const void *blob, size_t n, int *kind, uint32_t *fingerprint);  /* 1 when it has a whole header; what that says, not checked */
/* who: name of the SQL function, for the message. Rejects short, long, future, unknown, non-finite. */
int latent_read(struct latent *z, const void *blob, size_t n, struct arena *a, const char *who, struct err *e);
/* Appends the blob. Points are stored f16, directions (any length) f32. */
void latent_write(struct buf *out, const struct latent *z);

/* ---- codec_png.c, codec_jpeg.c, codec_pixels.c: pictures ---- */
struct picture {
  int width, height;
  unsigned char *pixels;        /* [height, width, 4]: R G B A, alpha not multiplied in; from the arena */
};
enum { PICTURE_PIXELS_MOST = 1 << 26 };             /* of a picture from outside: a bomb of a few bytes is refused before its pixels are unpacked */
int picture_is(const void *bytes, size_t n);        /* 1 when they begin as a PNG or a JPEG does */
/* A whole PNG (any colour type and depth, interlaced or not) or JPEG. who stands at the start of messages: "argument 1". Broken, cut off, empty or too
** large: SQLITE_ERROR that says what came. */
int picture_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who, struct err *e);
/* The picture on a square of size x size: sides kept in proportion, centred on what is transparent, averaged over areas (never sharper than
** it came), with alpha multiplied in while averaging. The same size gives the same pixels. */
int picture_fit(struct picture *out, const struct picture *in, int size, struct arena *a, struct err *e);
int png_write(struct buf *out, const struct picture *p, struct err *e);     /* appends a PNG: 8-bit RGBA, no text, no time */
/* For picture_read() alone: of one format each, and the room for its pixels, unless they are too many. */
int png_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who, struct err *e);
int jpeg_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who, struct err *e);
int picture_room(struct picture *p, uint32_t width, uint32_t height, struct arena *a, const char *who, struct err *e);

/* ---- codec_draw.c: drawing on a picture ----
** In whole numbers, so the same everywhere. What falls outside is left out. Colours are 0xRRGGBB. */
void draw_fill(struct picture *on, uint32_t colour);
void draw_picture(struct picture *on, const struct picture *p, int x, int y);      /* p over what is there, its upper left corner at (x, y) */
/* A line of text in a font of 9 rows (capitals take the upper 7), UTF-8; what it has no glyph for is put in letters that it has, or a box. */
enum { DRAW_ROWS = 9, DRAW_WIDTH_MOST = 1 << 20 };
int draw_width(const char *text, size_t n);             /* columns that it takes; DRAW_WIDTH_MOST and a little more for all that is longer */
size_t draw_fits(const char *text, size_t n, int width);        /* bytes of the longest beginning, of whole characters, that takes at most `width` columns */
/* From (x, y), the upper left corner, on; what takes more than `width` columns is cut, and ends with an ellipsis. */
void draw_text(struct picture *on, int x, int y, int width, const char *text, size_t n, uint32_t colour);

#endif
