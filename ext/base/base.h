/*
** base.h -- what every layer stands on: errors, memory, bounded reading,
** growable buffers, read-only file maps, hashing, random numbers, threads.
**
** This is the only layer below ext/sql_* that speaks to SQLite: memory and
** the process-wide mutex come from it (base_memory.c). Everything above asks here.
*/
#ifndef LATENT_BASE_H
#define LATENT_BASE_H
#include <stddef.h>
#include <stdint.h>
#include <stdarg.h>

/* ---- Result codes: SQLite's own numbers, so that they pass through unchanged ---- */
#ifndef SQLITE_OK
# define SQLITE_OK          0
# define SQLITE_ERROR       1
# define SQLITE_NOMEM       7
# define SQLITE_INTERRUPT   9
# define SQLITE_IOERR      10
# define SQLITE_CORRUPT    11
# define SQLITE_CANTOPEN   14
# define SQLITE_TOOBIG     18
# define SQLITE_MISMATCH   20
#endif

/* ---- base_err.c: one fixed buffer; the first failure wins ---- */
struct err {
  int rc;               /* SQLITE_OK or the first failure */
  char text[500];       /* its message, always terminated; empty while rc is SQLITE_OK */
};

/* Notes a failure unless one is noted already. Returns e->rc, so that `return fail(e, ...)` is the whole report. */
int fail(struct err *e, int rc, const char *format, ...)
#if defined(__GNUC__)
  __attribute__((format(printf, 3, 4)))
#endif
;
int fail_nomem(struct err *e);          /* SQLITE_NOMEM, "out of memory" */

/* ---- base_memory.c: SQLite's allocator, and the arena over it ---- */
void *mem_alloc(size_t bytes);          /* NULL when out of memory or bytes==0; the caller owns it: mem_free() */
void *mem_resize(void *p, size_t bytes);/* like realloc; on NULL the old block stays valid */
void mem_free(void *p);                 /* NULL is allowed */

/* Scratch of one call: many gets, one release. Blocks are 64-byte aligned. Zeroed is a valid empty arena. */
struct arena {
  struct arena_block *block;            /* newest first */
  int oom;                              /* sticky: a get has failed, and every get since returns NULL */
};
void *arena_get(struct arena *a, size_t bytes);             /* not zeroed; sets a->oom and returns NULL on failure */
void *arena_zeroed(struct arena *a, size_t bytes);
float *arena_floats(struct arena *a, size_t count);         /* count*4 bytes, overflow checked */
void arena_release(struct arena *a);                        /* frees everything; the arena is empty and usable again */

/* A place to come back to: everything got since arena_mark() is given back by arena_rewind(). */
struct arena_mark { struct arena_block *block; size_t used; };
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);

/* The one process-wide lock (SQLITE_MUTEX_STATIC_APP1): held only around the model registry. */
void global_lock(void);
void global_unlock(void);

/* ---- base_utf8.c ---- */
#define UTF8_REPLACEMENT "\xEF\xBF\xBD"            /* U+FFFD */
struct buf;
int utf8_length(const char *text, size_t n);        /* bytes of the valid UTF-8 character at text, or 0 when it is none (overlong and surrogates are none) */
void utf8_clean(struct buf *out, const char *text, size_t n);   /* appends text with every invalid byte as U+FFFD */

/* ---- base_buf.c: a growable byte buffer with a maximum ---- */
struct buf {
  char *data;           /* owned; NULL while empty; buf_text() terminates it */
  size_t n;             /* bytes used */
  size_t capacity;
  size_t max;           /* most bytes it may hold; 0 means 1e9 (SQLite's own limit) */
  int rc;               /* sticky: SQLITE_OK, SQLITE_NOMEM or SQLITE_TOOBIG; after it appends do nothing */
};
void buf_append(struct buf *b, const void *data, size_t n);
void buf_char(struct buf *b, char c);
void buf_str(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...)
#if defined(__GNUC__)
  __attribute__((format(printf, 2, 3)))
#endif
;                                                           /* at most 400 bytes a call */
void buf_json_string(struct buf *b, const char *text, size_t n);  /* quoted and escaped; bytes that are not UTF-8 become U+FFFD */
void *buf_extend(struct buf *b, size_t n);                  /* n more bytes, not initialised; NULL when b->rc is set */
const char *buf_text(struct buf *b);                        /* 0-terminated (the 0 is not counted in n); "" on failure */
void buf_release(struct buf *b);

/* Appends a line of at most 299 bytes, and a line break: one finding of an integrity check. Does
** nothing once the buffer has 20 lines. */
void buf_report_line(struct buf *report, const char *format, ...)
#if defined(__GNUC__)
  __attribute__((format(printf, 2, 3)))
#endif
;

/* ---- base_set.c: a set of 64-bit keys (rowids, hashes), each with a number if wanted ----
** Zeroed is a valid empty set of keys alone, in SQLite's memory. The first two fields are the
** user's, set before the first key comes. */
struct key_set {
  struct arena *arena;  /* where keys and values are taken from; NULL: SQLite's memory */
  int has_values;       /* each key has a number */
  int oom;              /* sticky: there was no memory for a key, and nothing is added any more */
  uint64_t *keys;       /* [size+1] */
  int *values;          /* [size+1], or NULL */
  size_t n;             /* keys in the set */
  size_t size;          /* a power of 2, or 0: nothing is allocated yet */
};
/* Makes room for `most` keys in all: adding up to there cannot fail. SQLITE_OK or SQLITE_NOMEM. A
** set grows without this too; in an arena, what it grew out of stays until that is released. */
int key_set_reserve(struct key_set *s, size_t most);
int key_set_add(struct key_set *s, uint64_t key);           /* 1: it is new; 0: it was in, or s->oom */
int key_set_put(struct key_set *s, uint64_t key, int value);/* the same with a value, 0 or more */
int key_set_has(const struct key_set *s, uint64_t key);
int key_set_value(const struct key_set *s, uint64_t key);   /* -1: the key is not in the set */
void key_set_release(struct key_set *s);    /* empty, and usable again; needless with an arena */

/* ---- base_reader.c: bytes from outside, little-endian, never past the end ---- */
struct reader {
  const unsigned char *at, *end;
  int bad;              /* sticky: a read went past the end; it and all later ones gave 0 or NULL */
};
struct reader reader_of(const void *data, size_t n);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
const void *reader_bytes(struct reader *r, size_t n);       /* a pointer into the data */

float half_to_float(uint16_t half);                         /* IEEE 754 binary16, exact, subnormals, infinities and NaN included */
uint16_t float_to_half(float x);                            /* round to nearest even; too large becomes infinity */
void round_to_halves(float *x, size_t n);                   /* each to the nearest that a half can hold */

/* ---- base_map.c: a file, mapped read-only and shared between processes ---- */
struct file_map { const unsigned char *data; size_t n; };
int map_open(struct file_map *m, const char *path, struct err *e);  /* SQLITE_CANTOPEN (names path and reason), SQLITE_IOERR; empty file: CORRUPT */
void map_close(struct file_map *m);

/* ---- base_hash.c: the 64-bit hash of model files ----
** Four FNV-1a lanes over interleaved little-endian 64-bit words (lane i starts at offset basis + i; the number of whole
** 32-byte groups is len/32); then byte-wise FNV-1a, starting from the offset basis, over the four lanes (8 bytes each,
** little-endian), the remaining tail bytes, and the length as 8 bytes. model/export.py: hash64() is its twin. */
uint64_t hash64(const void *data, size_t n);

/* ---- base_random.c: seeded, the same on every machine ---- */
struct random { uint64_t state; };
struct random random_of(uint64_t seed);                     /* splitmix64 */
uint64_t random_u64(struct random *r);
float random_uniform(struct random *r);                     /* [0, 1), 24 bits */
float random_normal(struct random *r);                      /* mean 0, variance 1: sum of 12 uniforms minus 6, so that no libm differs */

/* ---- base_thread.c ---- */
/* Calls work(arg, i) for i = 0..n_parts-1, on up to n_threads threads of which the caller is one; returns when all are done.
** Threads are made for the call and joined before it returns: none outlives it. Falls back to fewer when one cannot be made. */
void thread_parts(int n_threads, int n_parts, void (*work)(void *arg, int part), void *arg);
int thread_count(void);     /* the most threads a call may use: LATENT_THREADS, else the machine's processors, at most 8 */

#endif
