/*
** base.h -- what every layer stands on: errors, memory, growable buffers, sets of keys, characters,
** bounded reading, file maps, hashing, random numbers, threads.
**
** Base asks SQLite for memory (base_memory.c), and for nothing else.
** Of the layers below call, vtab and functions, only index speaks to SQLite too: index_store.c runs
** statements on its shadow tables.
*/
#ifndef LATENT_BASE_H
#define LATENT_BASE_H
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

/* The compiler checks calls as it does those of printf(): argument `nth` is the format, and its
** values begin with argument `first`. */
#if defined(__GNUC__)
# define PRINTF_LIKE(nth, first) __attribute__((format(printf, nth, first)))
#else
# define PRINTF_LIKE(nth, first)
#endif

/* ---- base_err.c: one fixed buffer; the first failure wins ---- */
struct err {
  int rc;               /* SQLITE_OK or the first failure */
  char text[500];       /* its message: UTF-8, terminated; empty while rc is SQLITE_OK */
  /* SQLITE_OK: go on; SQLITE_INTERRUPT: the caller wants the work to stop; SQLITE_NOMEM: asking
  ** failed. NULL: it never stops. */
  int (*stop)(void *arg);
  void *stop_arg;
};

/* Notes a failure, unless one is noted already. Gives e->rc, so that one line reports and leaves:
** `return fail(e, ...)`. A longer text than fits is cut. */
int fail(struct err *e, int rc, const char *format, ...) PRINTF_LIKE(3, 4);
int fail_nomem(struct err *e);          /* SQLITE_NOMEM, "out of memory" */
void err_settle(struct err *e);         /* each byte of the text that is not UTF-8 becomes '?' */
/* Notes the failure of `from`, if it has one. For a copy: whom to ask for a stop is not copied. */
void err_take(struct err *e, const struct err *from);
void err_clear(struct err *e);          /* no failure any more; whom to ask for a stop stays */
/* For loops that may take long: true when a failure is noted, or when stop() says no, which notes
** SQLITE_INTERRUPT, "interrupted", or SQLITE_NOMEM. Asked every millisecond or so, at a cost of 50
** nanoseconds. Only in the thread of the caller. */
int err_stopped(struct err *e);

/* ---- base_memory.c: SQLite's allocator, and the arena over it ---- */
void *mem_alloc(size_t bytes);          /* NULL when out of memory or bytes==0 */
void *mem_zeroed(size_t bytes);         /* likewise, all bytes 0 */
void *mem_resize(void *p, size_t bytes);/* like realloc(); after NULL the old block stays valid */
void mem_free(void *p);                 /* NULL is allowed */

/* Scratch of one call: many gets, one release. Blocks are 64-byte aligned. Zeroed is a valid empty
** arena. An arena belongs to one thread. */
struct arena {
  struct arena_block *block;            /* newest first; owned */
  int oom;                              /* sticky: a get failed, and every get since gives NULL */
};
void *arena_get(struct arena *a, size_t bytes);         /* not zeroed; on failure NULL and a->oom */
void *arena_zeroed(struct arena *a, size_t bytes);
float *arena_floats(struct arena *a, size_t count);     /* a count that would overflow fails */
void arena_release(struct arena *a);                    /* frees everything; empty, usable again */

/* A place to come back to: arena_rewind() frees everything that was got since arena_mark(). */
struct arena_mark {
  struct arena_block *block;            /* the newest one then */
  size_t used;                          /* bytes of it that were used then */
};
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);

/* ---- base_buf.c: a growable byte buffer with a maximum ----
** Zeroed is a valid empty buffer. A run of appends needs no check between them: ask rc after it. */
struct buf {
  char *data;           /* owned; NULL while empty; buf_text() terminates it */
  size_t n;             /* bytes used */
  size_t capacity;      /* bytes allocated */
  size_t max;           /* most bytes it may hold; 0 means 1e9 (SQLite's own limit) */
  int rc;               /* sticky: SQLITE_OK, SQLITE_NOMEM or SQLITE_TOOBIG: appends do nothing */
};
void buf_append(struct buf *b, const void *data, size_t n);
void buf_char(struct buf *b, char c);
void buf_str(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);  /* at most 400 bytes */
void *buf_extend(struct buf *b, size_t n);      /* n more bytes, not set; NULL when b->rc is set */
const char *buf_text(struct buf *b);            /* 0-terminated, the 0 not counted; "" on failure */
/* The bytes, from the arena, 0-terminated likewise; NULL: out of memory. */
char *buf_copy(const struct buf *b, struct arena *a);
void buf_release(struct buf *b);

/* Appends text, every byte of it that is not UTF-8 replaced by U+FFFD. */
void utf8_clean(struct buf *out, const char *text, size_t n);
/* Appends text as a JSON string: quoted, escaped, bytes that are not UTF-8 replaced by U+FFFD. */
void buf_json_string(struct buf *b, const char *text, size_t n);
/* Appends a line of at most 299 bytes, and a line break: one finding of an integrity check. Does
** nothing once the buffer has 20 lines. */
void buf_report_line(struct buf *report, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- base_set.c: a set of 64-bit keys (rowids, hashes), each with a number if wanted ----
** Zeroed is a valid empty set of keys alone, in SQLite's memory. For anything else the user sets
** the first two fields, before the first key comes. */
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
int key_set_add(struct key_set *s, uint64_t key);       /* 1: it is new; 0: it was in, or s->oom */
/* The same with a value of 0 or more. A key that was in keeps the value that it had. */
int key_set_put(struct key_set *s, uint64_t key, int value);
int key_set_has(const struct key_set *s, uint64_t key);
int key_set_value(const struct key_set *s, uint64_t key);       /* -1: the key is not in the set */
void key_set_release(struct key_set *s);        /* empty, usable again; needless with an arena */

/* ---- base_utf8.c: characters ---- */
#define UTF8_REPLACEMENT "\xEF\xBF\xBD"         /* U+FFFD */

/* Bytes of the UTF-8 character at text, of n bytes; 0 when there is no valid one. Overlong forms
** and surrogates are not valid. */
int utf8_length(const char *text, size_t n);

/* Tests of one byte that no locale changes. c may come from a signed or an unsigned char: bytes of
** 0x80 and more pass none of the ASCII tests. The three kinds of white space are not the same:
**     ASCII   space \t \n \v \f \r       isspace() in C
**     SQL     space \t \n \f \r          what separates words for SQLite's parser
**     XML     space \t \n \r             XML allows no other control characters */
static inline int is_ascii_space(int c){
  return c==' ' || (c>='\t' && c<='\r');
}

static inline int is_sql_space(int c){
  return is_ascii_space(c) && c!='\v';
}

static inline int is_xml_space(int c){
  return is_sql_space(c) && c!='\f';
}

static inline int is_ascii_digit(int c){
  return c>='0' && c<='9';
}

static inline int is_ascii_lower(int c){
  return c>='a' && c<='z';
}

static inline int is_ascii_upper(int c){
  return c>='A' && c<='Z';
}

static inline int is_ascii_letter(int c){
  return is_ascii_lower(c) || is_ascii_upper(c);
}

/* A letter, a digit, or a byte of a character beyond ASCII. */
static inline int is_word_part(int c){
  return is_ascii_letter(c) || is_ascii_digit(c) || (c & 0x80)!=0;
}

static inline int ascii_lower(int c){           /* A to Z as a to z; all else as it is */
  return is_ascii_upper(c) ? c + ('a' - 'A') : c;
}

/* ---- base_reader.c: bytes from outside, little-endian, never past the end ---- */
struct reader {
  const unsigned char *at;      /* what is read next */
  const unsigned char *end;
  int bad;              /* sticky: a read went past the end; it and all later ones gave 0 or NULL */
};
struct reader reader_of(const void *data, size_t n);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
const void *reader_bytes(struct reader *r, size_t n);   /* a pointer into the data */
void reader_floats(struct reader *r, float *x, size_t n);

float half_to_float(uint16_t half);             /* IEEE 754 binary16; exact, NaN and infinity too */
uint16_t float_to_half(float x);                /* to nearest, ties to even; too large: infinity */
void round_to_halves(float *x, size_t n);       /* each to the nearest that a half can hold */

/* ---- base_posix.c, base_windows.c: paths, and what the system says ----
** A path is UTF-8; its parts have '/' between them, on Windows '\' as well if a user wrote it. What
** these give has '/' alone. `out` has PATH_BYTES. */
enum { PATH_BYTES = 4096 };             /* of a path, and its end */
int path_exists(const char *path);
int path_is_directory(const char *path);
/* The path without links and detours, the same for all paths to one file; 0: there is none. */
int path_real(char *out, const char *path);
/* Likewise, of the library that this code is in, or of the program if it is linked statically. */
int path_own(char *out);
/* A variable of the environment, NULL where it is not set. It may be in `out`. */
const char *environment_get(const char *name, char *out);
/* How many processors have nothing to do at this moment: 0 where the system does not say. Takes 5
** microseconds. */
int processors_idle(void);

/* ---- base_map.c: a file, read into pages of its own that nobody can change ---- */
struct file_map {
  const unsigned char *data;            /* NULL: nothing is open */
  size_t n;
};
/* SQLITE_CANTOPEN, SQLITE_IOERR; an empty file is SQLITE_CORRUPT. The text names path
** and reason. */
int map_open(struct file_map *m, const char *path, struct err *e);
void map_close(struct file_map *m);             /* may be called twice */

/* ---- base_hash.c: the 64-bit hash of model files ----
** The file's head comment defines it. model/export.py: hash64() is its twin. */
uint64_t hash64(const void *data, size_t n);

/* ---- base_random.c: from a seed, the same on every machine ---- */
struct random {
  uint64_t state;
};
struct random random_of(uint64_t seed);         /* splitmix64 */
uint64_t random_u64(struct random *r);
float random_uniform(struct random *r);         /* [0, 1), 24 bits */
/* Mean 0, variance 1: the sum of 12 uniforms minus 6, so that it does not depend on any libm. */
float random_normal(struct random *r);

/* ---- base_thread.c: parts of one job on several threads ---- */
/* Calls work(arg, i) for i = 0..n_parts-1, on up to n_threads threads, of which the caller is one.
** Returns when all are done. Threads are made for the call and joined before it returns: none
** outlives it. When one cannot be made, fewer do the work. */
void thread_parts(int n_threads, int n_parts, void (*work)(void *arg, int part), void *arg);
/* The one lock of the process. Only the model registry takes it. */
void global_lock(void);
void global_unlock(void);
/* The most threads that a call may use: LATENT_THREADS, else the machine's processors,
** at most 8. */
int thread_count(void);
/* Nanoseconds since some moment, whatever is done to the date. */
int64_t clock_ns(void);
/* For who has waited for another thread since then. In the first fifth of a millisecond: 0 at once.
** Then it sleeps, for an eighth of the time that he has waited, a millisecond at most: 1. */
int thread_wait(int64_t since);

static inline int largest_of(int a, int b){
  return a>b ? a : b;
}

#endif
