/*
** bench.c -- the engine's side of `make bench`: one measurement for each line of its input.
**
** bench.py drives it and ONNX Runtime in turns, so that whatever disturbs the machine disturbs
** both. Commands stand one a line. Each is answered by one line:
**
**   load NAME PATH               rows of tokens, called NAME from now on: int32 n, start[n+1], ids,
**                                as bench.py writes them. Where MODEL is of kind picture, pictures:
**                                a line with their number, then for each FILE DX DY, how far its
**                                pixels are moved
**   encode NAME THREADS how      encodes all rows, `how` is batch or each (one call a row); texts
**                                without s, which the sentence encoder makes (bert.c)
**                                -> seconds
**   decode NAME THREADS how n    decodes the latents of the first n rows, greedy
**                                -> seconds tokens
**   texts NAME n                 -> ids of the decoded rows, a comma after each row
**   write NAME PATH what         writes the set's latents (float32), of pictures also their pixels,
**                                or those of what their latents decode to (drawn)  -> ok
**   draw NAME THREADS n          draws an r for the s of each of the first n pictures -> seconds
**   png NAME                     writes all pictures as PNG, and reads these  -> seconds, seconds
**   memory                       -> resident, proportional and private KiB of this process
**   peak THREADS                 -> GFLOP/s of a loop of fused multiply-adds on all threads, GB/s
**                                of reading 6 MB again and again, GB/s of reading 256 MB
**
** Pictures are pixels before encoding and after decoding: PNG is not in those times.
**
** bench MODEL --once TEXT is a whole life instead: it opens the model, encodes the text, decodes
** it, prints what came out.
*/
#include "model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
# include <immintrin.h>
#endif

enum {
  SETS_MOST = 8,
  THREADS_MOST = 64,
};

struct set {              /* token rows or pictures, and their latents once they are asked for */
  char name[32];
  struct picture *pictures;             /* [n]: or NULL: a set of texts */
  int n;
  int *start;                           /* [n+1] */
  int *ids;                             /* ids[start[i]..start[i+1]) */
  float *z;                             /* [n, s+r] or NULL */
};
static struct set sets[SETS_MOST];
static int n_sets;
static struct model *model;

static double now(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec*1e-9;
}

static void die(const char *what){
  fprintf(stderr, "bench: %s\n", what);
  exit(1);
}

/* What one call uses. */
struct call {
  struct arena arena;
  struct err err;
  struct run run;
};

static void call_begin(struct call *c, int n_threads){
  *c = (struct call){ 0 };
  c->run.arena = &c->arena;
  c->run.err = &c->err;
  c->run.n_threads = n_threads;
}

static void call_end(struct call *c){
  if( c->err.rc ) die(c->err.text);
  arena_release(&c->arena);
}

static int width(void){
  return model_width(model);
}

/* ---- Sets ---- */

static void *get(size_t n, size_t bytes){
  void *p = calloc(n, bytes);
  if( p==NULL ) die("out of memory");
  return p;
}

static void load_ids(struct set *s, FILE *f, const char *path){
  size_t n_starts;
  size_t n_ids;
  if( fread(&s->n, 4, 1, f)!=1 || s->n<1 || s->n>1000000 ) die(path);
  n_starts = (size_t)s->n + 1;
  s->start = get(n_starts, 4);
  if( fread(s->start, 4, n_starts, f)!=n_starts ) die(path);
  n_ids = (size_t)s->start[s->n];
  s->ids = get(n_ids, 4);
  if( fread(s->ids, 4, n_ids, f)!=n_ids ) die(path);
}

/* The picture of a file, fitted and then moved. What comes in from outside is clear. */
static struct picture load_picture(const char *path, int dx, int dy){
  int size = model->config.picture.size;
  struct picture came = { 0 };
  struct picture p = { 0 };
  struct picture out = { size, size, get((size_t)size*size, 4) };
  struct file_map file = { 0 };
  struct call c;
  call_begin(&c, 1);
  if( map_open(&file, path, &c.err)==SQLITE_OK
   && picture_read(&came, file.data, file.n, &c.arena, path, &c.err)==SQLITE_OK ){
    picture_fit(&p, &came, size, &c.arena, &c.err);
  }
  for(int y=0; y<size && p.pixels; y++){
    int from_y = y - dy;
    if( from_y<0 || from_y>=size ) continue;
    for(int x=0; x<size; x++){
      int from_x = x - dx;
      if( from_x<0 || from_x>=size ) continue;
      memcpy(out.pixels + (y*size + x)*4, p.pixels + (from_y*size + from_x)*4, 4);
    }
  }
  call_end(&c);
  map_close(&file);
  return out;
}

static void load_pictures(struct set *s, FILE *f, const char *path){
  int dx, dy;
  char file[400];
  if( fscanf(f, "%d", &s->n)!=1 || s->n<1 || s->n>100000 ) die(path);
  s->pictures = get((size_t)s->n, sizeof(struct picture));
  for(int i=0; i<s->n; i++){
    if( fscanf(f, "%399s %d %d", file, &dx, &dy)!=3 ) die(path);
    s->pictures[i] = load_picture(file, dx, dy);
  }
}

static void load_set(const char *name, const char *path){
  struct set *s = &sets[n_sets];
  FILE *f = fopen(path, "rb");
  if( n_sets==SETS_MOST || f==NULL ) die(path);
  if( model->config.kind==KIND_PICTURE ){
    load_pictures(s, f, path);
  }else{
    load_ids(s, f, path);
  }
  fclose(f);
  snprintf(s->name, sizeof(s->name), "%s", name);
  n_sets++;
}

static struct set *find_set(const char *name){
  for(int i=0; i<n_sets; i++){
    if( strcmp(sets[i].name, name)==0 ) return &sets[i];
  }
  die(name);
  return NULL;
}

/* ---- Rows of the table ---- */

static void encode_rows(const struct set *s, int at, int n, int n_threads, float *z){
  struct call c;
  call_begin(&c, n_threads);
  if( s->pictures ){
    pictures_encode(model, &c.run, s->pictures + at, n, z);
  }else{
    encode_tokens(model, &c.run, s->ids, s->start + at, n, z);
  }
  call_end(&c);
}

/* All of them, the s of texts too. */
static void latents_of(struct set *s){
  struct call c;
  if( s->z ) return;
  s->z = get((size_t)s->n*width(), sizeof(float));
  if( s->pictures ){
    encode_rows(s, 0, s->n, 1, s->z);
    return;
  }
  call_begin(&c, 1);
  encode_points(model, &c.run, s->ids, s->start, s->n, s->z);
  call_end(&c);
}

static double encode(struct set *s, int n_threads, int each){
  float *z = get((size_t)s->n*width(), sizeof(float));
  double start = now();
  double seconds;
  if( each ){
    for(int i=0; i<s->n; i++) encode_rows(s, i, 1, n_threads, z + (size_t)i*width());
  }else{
    encode_rows(s, 0, s->n, n_threads, z);
  }
  seconds = now() - start;
  free(z);
  return seconds;
}

static void write_pixels(const struct picture *p, FILE *f){
  fwrite(p->pixels, 4, (size_t)p->width*p->height, f);
}

/* Decodes the texts at..at+n. Gives the number of tokens chosen (each text's END counts). ids: to
** to print them, or NULL. */
static int decode_texts(const struct set *s, int at, int n, int n_threads, FILE *ids){
  struct decode_options o;
  struct tokens *out = get((size_t)n, sizeof(*out));
  struct call c;
  int n_tokens = n;
  call_begin(&c, n_threads);
  decode_options_init(&o);
  decode_tokens(model, &c.run, s->z + (size_t)at*width(), n, &o, out);
  for(int i=0; i<n && c.err.rc==SQLITE_OK; i++){
    n_tokens += out[i].n;
    for(int k=0; ids && k<out[i].n; k++) fprintf(ids, "%d ", out[i].ids[k]);
    if( ids ) fprintf(ids, ", ");
  }
  call_end(&c);
  free(out);
  return n_tokens;
}

/* pixels: where to write them, or NULL. */
static void decode_pictures(const struct set *s, int at, int n, int n_threads, FILE *pixels){
  struct picture *drawn = get((size_t)n, sizeof(*drawn));
  struct call c;
  call_begin(&c, n_threads);
  pictures_decode(model, &c.run, s->z + (size_t)at*width(), n, 1, drawn);
  for(int i=0; pixels && i<n && c.err.rc==SQLITE_OK; i++) write_pixels(&drawn[i], pixels);
  call_end(&c);
  free(drawn);
}

/* Gives the number of tokens; pictures have none. */
static int decode_rows(const struct set *s, int at, int n, int n_threads){
  if( s->pictures==NULL ) return decode_texts(s, at, n, n_threads, NULL);
  decode_pictures(s, at, n, n_threads, NULL);
  return 0;
}

static double decode(struct set *s, int n_threads, int each, int n, int *n_tokens){
  double start;
  latents_of(s);
  start = now();
  *n_tokens = 0;
  if( each ){
    for(int i=0; i<n; i++) *n_tokens += decode_rows(s, i, 1, n_threads);
  }else{
    *n_tokens = decode_rows(s, 0, n, n_threads);
  }
  return now() - start;
}

static double draw(struct set *s, int n_threads, int n){
  struct decode_options o;
  struct wish *wishes = get((size_t)n, sizeof(*wishes));
  struct call c;
  double seconds;
  if( s->pictures==NULL || n>s->n ) die("draw: a set of texts, or of fewer pictures");
  latents_of(s);
  decode_options_init(&o);
  for(int i=0; i<n; i++){
    wishes[i] = (struct wish){ .s = s->z + (size_t)i*width(), .seed = (uint64_t)i };
  }
  call_begin(&c, n_threads);
  seconds = now();
  details_draw(model, &c.run, wishes, n, o.guidance,
               arena_floats(&c.arena, (size_t)n*(width() - model_s(model))));
  seconds = now() - seconds;
  call_end(&c);
  free(wishes);
  return seconds;
}

static void write_set(struct set *s, const char *path, const char *what){
  FILE *f = fopen(path, "wb");
  if( f==NULL ) die(path);
  latents_of(s);
  if( strcmp(what, "latents")==0 ){
    fwrite(s->z, sizeof(float)*(size_t)width(), (size_t)s->n, f);
  }else if( strcmp(what, "drawn")==0 && s->pictures ){
    decode_pictures(s, 0, s->n, 1, f);
  }else if( strcmp(what, "pixels")==0 && s->pictures ){
    for(int i=0; i<s->n; i++) write_pixels(&s->pictures[i], f);
  }else{
    die(what);
  }
  if( ferror(f) || fclose(f)!=0 ) die(path);
}

static void print_png(const struct set *s){
  struct buf *files = get((size_t)s->n, sizeof(*files));
  struct picture p;
  struct call c;
  double start = now();
  double written;
  if( s->pictures==NULL ) die("png: a set of texts");
  call_begin(&c, 1);
  for(int i=0; i<s->n; i++) png_write(&files[i], &s->pictures[i], &c.err);
  written = now();
  for(int i=0; i<s->n && c.err.rc==SQLITE_OK; i++){
    struct arena_mark mark = arena_mark(&c.arena);
    picture_read(&p, files[i].data, files[i].n, &c.arena, "png", &c.err);
    arena_rewind(&c.arena, mark);
  }
  printf("%.9f %.9f\n", written - start, now() - written);
  for(int i=0; i<s->n; i++) buf_release(&files[i]);
  free(files);
  call_end(&c);
}

/* ---- The machine ---- */

static void print_memory(void){
  char line[256];
  long rss = 0, pss = 0, own = 0;
  long x;
  FILE *f = fopen("/proc/self/smaps_rollup", "r");
  while( f && fgets(line, sizeof(line), f) ){
    if( sscanf(line, "Rss: %ld", &x)==1 ) rss = x;
    if( sscanf(line, "Pss: %ld", &x)==1 ) pss = x;
    if( sscanf(line, "Private_Clean: %ld", &x)==1 ) own += x;
    if( sscanf(line, "Private_Dirty: %ld", &x)==1 ) own += x;
  }
  if( f ) fclose(f);
  printf("%ld %ld %ld\n", rss, pss, own);
}

/* One vector unit's loop, and nothing from memory: 12 chains, which are as many as latency times
** units asks for, and more. Returns operations. */
enum {
  CHAINS = 12,
  TURNS = 20000000,
};
#if defined(__x86_64__)
# define FMA_LOOP(name, isa, vec, set1, fma, first, floats) \
  __attribute__((target(isa))) static double name(float *out){ \
    vec sum[CHAINS], a = set1(0.999f), b = set1(0.001f); \
    for(int c=0; c<CHAINS; c++) sum[c] = set1((float)c); \
    for(int i=0; i<TURNS; i++){ \
      _Pragma("GCC unroll 12") for(int c=0; c<CHAINS; c++) sum[c] = fma(sum[c], a, b); \
    } \
    for(int c=0; c<CHAINS; c++) *out += first(sum[c]); \
    return 2.0*floats*CHAINS*TURNS; \
  }
FMA_LOOP(loop_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32, 16)
FMA_LOOP(loop_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32, 8)
#endif

struct peak {
  double (*loop)(float *out);           /* of this CPU's vector unit; NULL: it has none of ours */
  const char *memory;
  size_t bytes;                         /* that each thread reads, `times` times */
  int times;
  double operations[THREADS_MOST];
  float out[THREADS_MOST];
};

static void peak_part(void *arg, int part){
  struct peak *p = arg;
  if( p->loop ) p->operations[part] = p->loop(&p->out[part]);
}

static void peak_choose(struct peak *p){
#if defined(__x86_64__)
  /* With what follows the name, "_vnni" or so, products of bytes are meant. */
  if( strncmp(linear_kernel(), "avx512", 6)==0 ) p->loop = loop_avx512;
  if( strncmp(linear_kernel(), "avx2", 4)==0 ) p->loop = loop_avx2;
#else
  (void)p;
#endif
}

/* Nothing but reading: n words, a multiple of 64. There are as many sums as it takes to wait for
** none. */
typedef uint64_t words __attribute__((vector_size(64), aligned(8), may_alias));
#if defined(__x86_64__) && !defined(__clang__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static uint64_t read_words(const uint64_t *x, size_t n){
  words a = { 0 };
  words b = { 0 };
  words c = { 0 };
  words d = { 0 };
  const words *end = (const words *)(x + n);
  for(const words *at = (const words *)x; at<end; at+=4){
    a ^= at[0];
    b ^= at[1];
    c ^= at[2];
    d ^= at[3];
  }
  a ^= b ^ c ^ d;
  return a[0] ^ a[1] ^ a[2] ^ a[3] ^ a[4] ^ a[5] ^ a[6] ^ a[7];
}

static void read_part(void *arg, int part){
  struct peak *p = arg;
  const uint64_t *x = (const uint64_t *)(p->memory + part*p->bytes);
  uint64_t sum = 0;
  for(int t=0; t<p->times; t++) sum ^= read_words(x, p->bytes/8) + t;
  p->out[part] = (float)sum;
}

/* GB/s of n_threads that read n_threads shares of `bytes` in turn. */
static double read_speed(struct peak *p, int n_threads, size_t bytes, int times){
  double start;
  p->bytes = bytes/n_threads/16384*16384;
  p->times = times;
  thread_parts(n_threads, n_threads, read_part, p);
  start = now();
  thread_parts(n_threads, n_threads, read_part, p);
  return (double)p->bytes*n_threads*times/(now() - start)*1e-9;
}

static void print_peak(int n_threads){
  struct peak p = { 0 };
  double flops = 0;
  double seconds, start;
  size_t most = (size_t)256<<20;
  char *memory = malloc(most);
  if( memory==NULL || n_threads<1 || n_threads>THREADS_MOST ) die("peak: too much asked");
  memset(memory, 1, most);
  p.memory = memory;
  peak_choose(&p);
  start = now();
  thread_parts(n_threads, n_threads, peak_part, &p);
  seconds = now() - start;
  for(int i=0; i<n_threads; i++) flops += p.operations[i];
  printf("%.1f %.1f ", flops/seconds*1e-9, read_speed(&p, n_threads, (size_t)6<<20, 100));
  printf("%.1f\n", read_speed(&p, n_threads, most, 1));
  free(memory);
}

/* ---- Commands ---- */

static void obey(char *line){
  char verb[16] = "";
  char name[32] = "";
  char word[300] = "";
  char how[16] = "";
  int n = 0;
  int n_tokens;
  int n_words = sscanf(line, "%15s %31s %299s %15s %d", verb, name, word, how, &n);
  int each = strcmp(how, "each")==0;
  if( strcmp(verb, "load")==0 && n_words==3 ){
    load_set(name, word);
    printf("ok\n");
  }else if( strcmp(verb, "encode")==0 && n_words==4 ){
    printf("%.9f\n", encode(find_set(name), atoi(word), each));
  }else if( strcmp(verb, "decode")==0 && n_words==5 ){
    double seconds = decode(find_set(name), atoi(word), each, n, &n_tokens);
    printf("%.9f %d\n", seconds, n_tokens);
  }else if( strcmp(verb, "texts")==0 && n_words==3 ){
    latents_of(find_set(name));
    decode_texts(find_set(name), 0, atoi(word), 1, stdout);
    printf("\n");
  }else if( strcmp(verb, "write")==0 && n_words==4 ){
    write_set(find_set(name), word, how);
    printf("ok\n");
  }else if( strcmp(verb, "draw")==0 && n_words==4 ){
    printf("%.9f\n", draw(find_set(name), atoi(word), atoi(how)));
  }else if( strcmp(verb, "png")==0 && n_words==2 ){
    print_png(find_set(name));
  }else if( strcmp(verb, "memory")==0 ){
    print_memory();
  }else if( strcmp(verb, "peak")==0 && n_words==2 ){
    print_peak(atoi(name));
  }else{
    die(line);
  }
  fflush(stdout);
}

static void once(const char *text){
  struct decode_options o;
  struct latent z;
  struct buf out = { 0 };
  struct call c;
  size_t n = strlen(text);
  call_begin(&c, thread_count());
  decode_options_init(&o);
  texts_encode(model, &c.run, &text, &n, 1, 0, &z);
  text_decode(model, &c.run, &z, &o, &out, NULL);
  puts(buf_text(&out));
  buf_release(&out);
  call_end(&c);
}

int main(int argc, char **argv){
  struct err e = { 0 };
  char line[1000];
  int is_once = argc==4 && strcmp(argv[2], "--once")==0;
  if( argc!=2 && !is_once ) die("usage: bench MODEL [--once TEXT] < commands");
  if( model_open(&model, argv[1], &e) ) die(e.text);
  if( is_once ){
    once(argv[3]);
  }else{
    while( fgets(line, sizeof(line), stdin) ) obey(line);
  }
  model_close(model);
  return 0;
}
