/*
** codec.h -- bytes to structures and back: JSON, the weights, a model's configuration, its
** tokenizer, texts and their normal form, the latent blob, pictures. Knows no database and no
** arithmetic. Every byte that comes in is checked, because files and blobs may come from anywhere.
**
** Functions that can fail return an SQLite result code and note the reason in `e`, which holds no
** failure when they are called.
*/
#ifndef LATENT_CODEC_H
#define LATENT_CODEC_H
#include "base.h"

/* ---- codec_json.c: a JSON document, whole or not at all ---- */
struct cJSON;

/* The document as cJSON's tree, for cJSON_Delete(). NULL after noting the failure: out of memory,
** "<who>: not valid JSON at byte ...", or SQLITE_TOOBIG: more than 64 MB, or than two million
** values and keys. */
struct cJSON *json_parse(const char *text, size_t n, const char *who, struct err *e);

/* 1 when item is a whole number from least to most; *out is the number, otherwise 0. The limits lie
** within 2^63. item may be NULL. */
int json_whole(const struct cJSON *item, double least, double most, int64_t *out);

/* The text called `name` in an object; `otherwise` where there is none. Lives as long as the
** object, which may be NULL. */
const char *json_text(const struct cJSON *json, const char *name, const char *otherwise);

/* The number that 16 hexadecimal digits are: 1; anything else: 0. */
int json_hash(const char *text, uint64_t *hash);

/* JSON read from the start to the end, without a tree: for what may be long. After a failure each
** function does nothing and gives 0. */
struct json {
  const char *text, *at, *end;  /* borrowed; at: what is read next */
  const char *who;              /* for messages */
  struct err *err;
};
struct json json_of(const char *text, size_t n, const char *who, struct err *e);
int json_next(struct json *j);                  /* the next byte but white space; 0: the end */
int json_take(struct json *j, char c);          /* passes that byte if it is c: 1; else 0 */
int json_want(struct json *j, char c);          /* the same; anything else is not valid JSON */
int json_more(struct json *j, int i, char close);       /* is there an item i? after the bracket */
/* The string that is next, without its quotes, as it is written (\n stays two bytes), terminated,
** and cut to out[n]. */
void json_string(struct json *j, char *out, size_t n);
/* The number that is next; 0 if there is none, and then nothing is passed. */
int json_number(struct json *j, double *x);
/* Passes a value, looking at its strings and brackets alone. Gives how many items it has, which is
** 0 unless it is an array or an object. */
size_t json_skip(struct json *j);
void json_close(struct json *j);                /* nothing may follow but white space */
int json_bad(struct json *j);                   /* "<who>: not valid JSON at byte ..." */

/* ---- codec_folder.c: JSON files in the folder of a model ---- */
struct folder_file {
  const char *folder, *name;
  struct cJSON *json;           /* for cJSON_Delete(); NULL: there is no such file, or a failure */
  struct err *e;                /* where failures go: "folder/name: ..." */
};
struct folder_file folder_open(const char *folder, const char *name, struct err *e);
/* A whole number of the file from least to most. 0 after a failure. */
int folder_whole(const struct folder_file *f, const char *name, int least, int most);

/* ---- codec_safetensors.c: named arrays in one file ---- */
enum element {
  ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16, ELEMENT_I8,
  ELEMENT_BYTES,        /* U8: not numbers; who reads the tensor knows what they are */
  ELEMENT_OTHER         /* I64: nothing here reads such a tensor, but a file may have one */
};

struct tensor {
  const char *name;             /* owned by the safetensors */
  enum element element;         /* type of its numbers */
  int rank;                     /* 0..2 */
  int64_t shape[2];             /* rows, columns; 1 where absent */
  const void *data;             /* in the file as it was read, at any alignment */
  size_t bytes;                 /* of the data */
  /* I8 only: "<name>.scale", F32 or F16, a scale for each column (the output side of a matrix
  ** [in, out]). */
  const struct tensor *scale;
};

struct safetensors {
  struct file_map map;          /* the whole file; tensors point into it */
  struct tensor *tensors;       /* sorted by name */
  int n_tensors;                /* scales are tensors too */
  uint64_t hash;                /* of the whole file */
};

/* Maps the file and checks every offset, shape and size. After a failure s is empty. */
int safetensors_open(struct safetensors *s, const char *path, struct err *e);
void safetensors_close(struct safetensors *s);  /* may be called twice */

/* NULL when there is none of that name. */
const struct tensor *safetensors_find(const struct safetensors *s, const char *name);

/* No number of the tensor is infinite or NaN. (Scales are tensors of their own.) */
int tensor_is_finite(const struct tensor *t);
/* y[rows*columns] = the tensor's numbers, whatever their element type, scales applied. */
void tensor_to_floats(float *y, const struct tensor *t);

/* ---- codec_tokenizer.c: text to token ids and back ----
** A unigram tokenizer: pieces with scores, and bytes where no piece fits. Ids: 0 pad, 1 start,
** 2 end, 3 unknown, 4..259 the bytes, then the pieces. Any string of bytes comes back:
** tokenizer_decode(tokenizer_encode(x)) == x. model/tokenizer.py is the plain definition. */
enum {
  TOKEN_PAD = 0,
  TOKEN_START = 1,
  TOKEN_END = 2,
  TOKEN_UNKNOWN = 3,
  TOKEN_BYTE = 4,               /* the byte 0; the others follow */
  TOKEN_PIECE = 260             /* the first piece */
};
struct tokenizer;

/* Copies pieces[n] and scores[n]; entries below TOKEN_PIECE have a score only. Scores are double
** because sums that differ in the last bit decide ties. Fails on pieces that are empty, too long,
** equal, or not UTF-8, and on scores that are not finite: SQLITE_CORRUPT. */
int tokenizer_open(struct tokenizer **out, const char *const *pieces, const double *scores, int n,
                   struct err *e);
void tokenizer_close(struct tokenizer *t);      /* NULL is allowed */

/* The ids of text[0..n), in the arena, with room behind them for a TOKEN_END. starts (may be NULL)
** gets the byte of the text at which each id begins. Adds no leading space: the caller decides
** about it (model_text.c does). Time and memory are linear in n. Fails when the text is longer than
** 1e9 bytes (SQLITE_TOOBIG) or memory runs out. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, struct arena *a,
                     int **ids, size_t **starts, int *n_ids, struct err *e);

/* Appends the bytes of one token. Control tokens and unknown ids append nothing. */
void tokenizer_decode(const struct tokenizer *t, int id, struct buf *out);

/* ---- codec_wordpiece.c: text to piece numbers as BERT reads it ---- */
struct wordpiece;

/* Reads tokenizer.json of the folder of a Hugging Face model, or else vocab.txt, with the flags of
** tokenizer_config.json where that is there. Errors name the file, what came and what was expected:
** SQLITE_CORRUPT, and SQLITE_CANTOPEN where there is neither. */
int wordpiece_open(struct wordpiece **out, const char *folder, struct err *e);
void wordpiece_close(struct wordpiece *w);      /* NULL is allowed */

/* The number of a piece, as "[CLS]"; -1 where there is none. Not for pieces that begin with ##. */
int wordpiece_number(const struct wordpiece *w, const char *piece);

/* The numbers of text[0..n), in the arena, without [CLS] and [SEP]; no text gives these. starts
** (may be NULL) gets the byte of the text at which each piece begins: where they are cut, the text
** can be cut too. Bytes that are not UTF-8 count as U+FFFD, which most models drop. Time and memory
** are linear in n. Fails when the text is longer than 1e9 bytes (SQLITE_TOOBIG) or memory runs
** out. */
int wordpiece_encode(const struct wordpiece *w, const char *text, size_t n, struct arena *a,
                     int **ids, size_t **starts, int *n_ids, struct err *e);

/* ---- codec_bpe.c: text to piece numbers as SmolLM2 reads it, and back ---- */
struct bpe;

/* Reads json[n], a tokenizer.json as Hugging Face has it: byte-level BPE with SmolLM2's
** pre_tokenizer. Keeps nothing of json. SQLITE_CORRUPT, "<who>: what came, what was expected", and
** what json_parse() says. */
int bpe_open(struct bpe **out, const char *json, size_t n, const char *who, struct err *e);
void bpe_close(struct bpe *b);                  /* NULL is allowed */
int bpe_pieces(const struct bpe *b);            /* how many there are: numbers are below */

/* The numbers of text[0..n), any bytes, in the arena. No text gives the number of a special token.
** Bytes that no piece stands for are left out: SmolLM2 lacks six control characters, and bytes that
** are in no character of Unicode. All else comes back from bpe_decode(). Time is linear in n, and n
** log n in the longest word. Fails when the text is longer than 1e9 bytes (SQLITE_TOOBIG) or memory
** runs out. */
int bpe_encode(const struct bpe *b, const char *text, size_t n, struct arena *a, int **ids,
               int *n_ids, struct err *e);

/* Appends the bytes of a piece: none for special tokens and numbers that no piece has. Characters
** may be cut: a piece need not be UTF-8. */
void bpe_decode(const struct bpe *b, int id, struct buf *out);

/* ---- codec_normal.c: a text as search reads it ---- */
/* Appends text[0..n) in the form in which texts that look alike are the same: NFKC, runs of white
** space folded to one space, none at the end, without zero-width and control characters, quotes and
** dashes as they are typed, capitals throughout made small. White space alone is one space. Bytes
** that are not UTF-8 are read as Latin-1. Doing it twice changes nothing more. Time is linear in n.
** */
void text_normalize(struct buf *out, const char *text, size_t n);

/* ---- codec_config.c: <kind>.json beside the weights ---- */
enum { KIND_DIRECTION = 0, KIND_TEXT = 1, KIND_PICTURE = 2, KIND_CODE = 3 };
const char *kind_name(int kind);        /* "direction", "text", ... or "unknown" */

/* "config" of the JSON; limits are checked when it is read. */
struct shape {
  int d;                        /* model width, a multiple of 64, at most 4096 */
  int encoder_layers;           /* 1..64 */
  int decoder_layers;           /* 1..64 */
  int s;                        /* width of the semantic part of z, as the network reads it */
  int r;                        /* width of the detail part, a multiple of registers */
  int registers;                /* 1..256 */
  int memory;                   /* 1..256 */
  int pieces;                   /* vocabulary, 260..65535 */
  int longest;                  /* most tokens of a segment, with TOKEN_END */
};

enum { PICTURE_LEVELS = 4 };    /* grids of size/2, size/4, size/8 and size/16 to a side */

/* "picture" of the JSON of a model of pictures; limits are checked when it is read. */
struct picture_shape {
  int size;                     /* pixels to a side, a multiple of 16; 64 in the shipped model */
  int hidden;                   /* numbers between the last grid and s, 1..4096 */
  int style;                    /* numbers of a style, 1..256 */
  int channels[PICTURE_LEVELS]; /* 1..512, the finest level first */
  int encoder_blocks[PICTURE_LEVELS];   /* 0..16, from the finest level down */
  int decoder_blocks[PICTURE_LEVELS];   /* 0..16, from the coarsest level up */
  struct prior_shape {          /* of the network that draws an r */
    int width;                  /* 1..4096 */
    int hidden;                 /* of a block, 1..8192 */
    int blocks;                 /* 1..16 */
    int steps;                  /* from noise to an r, 1..64 */
  } prior;
};

struct config {
  int kind;                     /* KIND_TEXT, KIND_PICTURE or KIND_CODE */
  struct shape shape;           /* of pictures: s and r, the rest is 0 */
  struct picture_shape picture; /* zeros unless kind is KIND_PICTURE */
  uint64_t weights_hash;        /* the hash that the safetensors file must have */
  int meaning;                  /* numbers of s that come of a sentence encoder, shape.s or more; 0:
                                ** the network makes its own s */
  uint64_t meaning_hash;        /* the hash that the sentence encoder's weights must have */
  uint32_t fingerprint;         /* low 32 bits of this file's hash: stands for all of the model */
  struct tokenizer *tokenizer;  /* owned; NULL for pictures */
  const char **names;           /* [n_names] of pictures: what they may show; owned, one block */
  int n_names;
};

/* After a failure c is empty. SQLITE_CORRUPT and a text that says what came where something else
** was expected. */
int config_open(struct config *c, const char *path, struct err *e);
void config_close(struct config *c);    /* may be called twice */

/* ---- codec_bert.c: the folder of a sentence encoder, but its weights ---- */
enum pooling { POOLING_MEAN, POOLING_CLS };
struct bert_shape {
  int d;                        /* width, 1..4096 */
  int heads;                    /* a divisor of d */
  int layers;                   /* 1..64 */
  int h;                        /* width of the feed-forward layers, 1..16384 */
  int pieces;                   /* vocabulary */
  int positions;                /* rows of the table of positions */
  int first_position;           /* the row of [CLS]: 0, and 2 in MPNet */
  int types;                    /* rows of the table of types; 0 in MPNet, which has none */
  int has_distances;            /* MPNet: the scores of attention depend on distances */
  float epsilon;                /* of the norms */
};
struct bert_config {
  struct bert_shape shape;
  enum pooling pooling;
  int normalize;                /* true: vectors have unit length */
  int window;                   /* most tokens of a row, [CLS] and [SEP] among them */
  char *query_prefix, *passage_prefix;  /* owned; what stands before a text; NULL: nothing */
};
/* After a failure c is empty. The text says which file, what came and what was expected. */
int bert_config_open(struct bert_config *c, const char *folder, struct err *e);
void bert_config_close(struct bert_config *c);          /* may be called twice */

/* ---- codec_writer.c: the folder of a writer, but its weights ---- */
enum { WRITER_FILES = 3 };      /* of weights: see WRITER_FILE */
extern const char *const WRITER_FILE[WRITER_FILES];
enum { CONTEXT_MOST = 160 };    /* pieces that are read of what stands before a text */
struct writer_shape {
  int layers;                   /* of the language model, 2..64 */
  int lower;                    /* so many of them, the first ones, read no point: 1..layers-1 */
  int d;                        /* width, a multiple of 64 */
  int shared;                   /* heads of 64 that keys and values have, a divisor of d/64 */
  int h;                        /* width of the feed-forward layers */
  int pieces;                   /* vocabulary */
  int memory;                   /* vectors that a point becomes */
  int rank;                     /* of what was trained beside each matrix */
  int s, r;                     /* numbers of the two parts of a point */
  int code_s, code_r;           /* the same of a line of code; 0: it reads none */
  int longest;                  /* most pieces of a text that it was taught to write */
  int context;                  /* and to read before it: 0..CONTEXT_MOST */
  int begin, end;               /* the pieces around a text */
};
struct writer_config {
  struct writer_shape shape;
  float rotary_base;            /* of the angles of positions */
  float epsilon;                /* of the norms */
  uint64_t reads;               /* the hash of the text weights whose latents it reads */
  uint64_t reads_code;          /* likewise of code, where shape.code_s is not 0 */
  uint64_t hashes[WRITER_FILES];        /* that the files of weights must have */
};
/* The text says which file, what came and what was expected. */
int writer_config_open(struct writer_config *c, const char *folder, struct err *e);

/* ---- codec_latent.c: the latent BLOB; its bytes stand there ---- */
struct latent {                 /* in memory always f32 */
  int kind;
  int n_segments;               /* 1 to 65535; 0: there is none */
  int width;                    /* of a segment: s + r of the model */
  int s;                        /* how many of these are the semantic part; 0: not known until the
                                ** model is looked up */
  uint32_t fingerprint;         /* of the model that made it */
  float *z;                     /* [n_segments, width]: s, then r; from the arena that made it */
};
int latent_is(const void *blob, size_t n);      /* 1 when it starts with the magic */
/* 1 when it has a whole header. Gives what that says, unchecked. */
int latent_peek(const void *blob, size_t n, int *kind, uint32_t *fingerprint);
/* How many bytes and segments the latent at the front of a blob has, by its header; both 0: none
** that fits into n. */
size_t latent_bytes(const void *blob, size_t n, int *n_segments);
/* Anything but a whole latent of this version with finite numbers is SQLITE_ERROR. who: the name of
** the SQL function, for the message. */
int latent_read(struct latent *z, const void *blob, size_t n, struct arena *a, const char *who,
                struct err *e);
/* Appends the blob. Points are stored as f16, directions (any length) as f32. Where e has a
** failure, or is told to stop, the numbers are not complete. */
void latent_write(struct buf *out, const struct latent *z, struct err *e);

/* ---- codec_picture.c: a picture in memory, from a file of any format ---- */
struct picture {
  int width, height;            /* in pixels */
  unsigned char *pixels;        /* [height, width, 4]: R G B A, alpha not multiplied in; arena's */
};

/* Most pixels of a picture from outside. A file of a few bytes may claim billions: it is refused
** before its pixels are unpacked. */
enum { PICTURE_PIXELS_MOST = 1 << 26 };

/* The four bytes of the pixel in column x of row y. */
static inline unsigned char *picture_pixel(const struct picture *p, int x, int y){
  return p->pixels + ((size_t)y*(size_t)p->width + (size_t)x)*4;
}

int picture_is(const void *bytes, size_t n);    /* 1 when they begin as a PNG or a JPEG does */

/* Reads a whole PNG (any colour type and depth, interlaced or not) or JPEG. A file that is neither,
** broken, cut off or too large is SQLITE_ERROR; the text begins with who, "argument 1". */
int picture_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who,
                 struct err *e);

/* The picture on a transparent square of size x size: in its proportions, in the middle, never
** sharper than it came. A pixel is the mean of the area that it covers; colours count by their
** alpha. A picture that has this size keeps its pixels. */
int picture_fit(struct picture *out, const struct picture *in, int size, struct arena *a,
                struct err *e);

/* The picture in its proportions, its longest side `longest` pixels; as above. A picture that has
** this size is given as it is, with the same pixels. */
int picture_scale(struct picture *out, const struct picture *in, int longest, struct arena *a,
                  struct err *e);

/* For png_read() and jpeg_read(): p's size, and memory for its pixels unless they are too many. */
int picture_allocate(struct picture *p, uint32_t width, uint32_t height, struct arena *a,
                     const char *who, struct err *e);

/* ---- codec_ground.c: a plain, opaque ground becomes transparent ---- */
/* Before picture_fit() with the same size, for what is encoded. A picture whose border is plain and
** opaque becomes one whose ground is clear, in memory of the arena, its longest side at most twice
** the size. Any other stays as it came: one that has transparency, a photograph up to its border,
** one that is nothing but a plain colour. */
int picture_clear(struct picture *p, int size, struct arena *a, struct err *e);

/* ---- codec_exif.c: which way is up ---- */
/* The orientation in a TIFF file, as Exif has it: 1 to 8. 1 is the right way up, also when the file
** is broken or says nothing. */
int exif_orientation(const unsigned char *tiff, size_t n);

/* Turns a picture that was stored in this orientation the right way up, into memory of its own. */
int picture_turn(struct picture *p, int orientation, struct arena *a, struct err *e);

/* ---- codec_png.c: PNG, in and out ---- */
/* As picture_read(), for bytes that begin as a PNG does. Turns the picture as its eXIf says. */
int png_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who,
             struct err *e);

/* Appends a PNG of 8-bit RGBA, without texts or times. */
int png_write(struct buf *out, const struct picture *p, struct err *e);

/* ---- codec_jpeg.c: JPEG, in only ---- */
/* As picture_read(), for bytes that begin as a JPEG does. Turns the picture as its Exif says. */
int jpeg_read(struct picture *p, const void *bytes, size_t n, struct arena *a, const char *who,
              struct err *e);

#endif
