/*
** flips.c -- damaged model files and damaged latents, handed in through SQL.
**
**   flips MODEL.safetensors FOLDER [ROUNDS]
**
** Made to run under the address sanitizer. Every damaged input must give a result or an error with
** a text, and nothing else. There are four kinds of damage, all drawn from a fixed seed:
**
**   - the weights or the JSON: one byte changed or the end cut off, then loaded with latent_load().
**     For the weights also with their hash corrected in the JSON, so that the damage gets past the
**     hash to the checks behind it. This is done to MODEL, and to picture.safetensors beside it;
**   - each file of a writer, the folder "llama" beside MODEL, in the same ways;
**   - a latent: one bit changed at every place of its header and one byte at some of its payload,
**     and cut at many lengths;
**   - options and JSON latents: one byte changed.
**
** The damaged files are written to FOLDER.
*/
#include "base.h"
#include "meaning.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int sqlite3_latent_init(sqlite3 *, char **, const sqlite3_api_routines *);

static int n_failed = 0;

static void report(const char *name, int good, int n, int n_errors){
  if( good ) printf("ok - flips: %s: %d damaged inputs, %d of them refused\n", name, n, n_errors);
  else printf("not ok - flips: %s\n", name);
  n_failed += !good;
  fflush(stdout);
}

/* ---- Files ---- */

struct bytes {
  char *data;                   /* owned, and 0-terminated */
  long n;
};

/* Empty when the file cannot be read. */
static struct bytes bytes_read(const char *path){
  struct bytes b = { 0 };
  FILE *f = fopen(path, "rb");
  if( f==NULL ) return b;
  fseek(f, 0, SEEK_END);
  b.n = ftell(f);
  rewind(f);
  b.data = calloc(1, b.n+1);
  if( fread(b.data, 1, b.n, f)!=(size_t)b.n ) b.n = 0;
  fclose(f);
  return b;
}

static struct bytes bytes_copy(const struct bytes *from){
  struct bytes b = { malloc(from->n), from->n };
  memcpy(b.data, from->data, from->n);
  return b;
}

static int bytes_write(const char *folder, const char *name, const char *data, long n){
  char path[600];
  FILE *f;
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  f = fopen(path, "wb");
  if( f==NULL ) return 0;
  fwrite(data, 1, n, f);
  return fclose(f)==0;
}

/* Writes the hash of the weights over the 16 digits that follow the key in the JSON. */
static void json_correct(char *json, const char *key, const char *weights, long n){
  char *at = strstr(json, key);
  char digits[17];
  if( at==NULL ) return;
  snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)hash64(weights, n));
  memcpy(at + strlen(key), digits, 16);
}

/* ---- Statements that may fail, but must say why ---- */

enum outcome { WRONG = -1, REFUSED = 0, WORKED = 1 };   /* WRONG: an error without a text */

static sqlite3 *connect(void){
  sqlite3 *db = NULL;
  sqlite3_open(":memory:", &db);
  sqlite3_latent_init(db, NULL, NULL);
  return db;
}

/* Runs one statement with up to two arguments, ?1 and ?2. */
static enum outcome ask(sqlite3 *db, const char *sql, const void *blob, int n_blob,
                        const char *text, int n_text){
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  enum outcome outcome;
  if( rc==SQLITE_OK ){
    if( blob ) sqlite3_bind_blob(statement, 1, blob, n_blob, SQLITE_STATIC);
    if( text ) sqlite3_bind_text(statement, 2, text, n_text, SQLITE_STATIC);
    while( (rc = sqlite3_step(statement))==SQLITE_ROW ){}
  }
  outcome = rc==SQLITE_DONE ? WORKED : REFUSED;
  if( outcome==REFUSED && strlen(sqlite3_errmsg(db))<10 ){
    printf("# %s: error %d without a text: '%s'\n", sql, rc, sqlite3_errmsg(db));
    outcome = WRONG;
  }
  sqlite3_finalize(statement);
  return outcome;
}

/* ---- Model files ---- */

/* Both ways through a model of text, and of pictures. */
#define TEXT_USE "SELECT latent_decode(latent_encode('Hello there.'), '{\"max_tokens\":4}')"
#define PICTURE_USE \
  "SELECT latent_encode(latent_decode(latent_sample(1, '{\"kind\":\"picture\"}')))"

/* Loads FOLDER/flip.safetensors and uses it. */
static enum outcome load_and_use(const char *folder, const char *use){
  sqlite3 *db = connect();
  char path[600];
  enum outcome outcome;
  snprintf(path, sizeof(path), "%s/flip.safetensors", folder);
  outcome = ask(db, "SELECT latent_load(?2)", NULL, 0, path, -1);
  if( outcome==WORKED ) outcome = ask(db, use, NULL, 0, NULL, 0);
  sqlite3_close(db);
  return outcome;
}

enum damage { DAMAGE_WEIGHTS, DAMAGE_WEIGHTS_HASHED, DAMAGE_JSON };

/* The safetensors header comes first in the file. Most damage goes there, because a changed weight
** is only another number. */
static long damage_place(struct random *r, long n, enum damage what){
  unsigned long long x = random_u64(r);
  long header = n<6000 ? n : 6000;
  if( what==DAMAGE_WEIGHTS_HASHED && random_u64(r)%8!=0 ) n = header;
  return (long)(x % (unsigned long long)n);
}

/* One round: damages a copy of the pair, writes it to the folder and uses it. cut: the end is cut
** off, otherwise a bit is changed. */
static enum outcome damage_and_use(const struct bytes *weights, const struct bytes *json,
                                   enum damage what, int cut, struct random *r,
                                   const char *folder, const char *use){
  struct bytes new_weights = bytes_copy(weights);
  struct bytes new_json = { calloc(1, json->n+1), json->n };    /* 0-terminated for strstr() */
  struct bytes *target = what==DAMAGE_JSON ? &new_json : &new_weights;
  long at = damage_place(r, target->n, what);
  enum outcome outcome = WRONG;
  memcpy(new_json.data, json->data, json->n);
  if( cut ) target->n = at;
  else target->data[at] ^= (char)(1 << random_u64(r)%8);
  if( what==DAMAGE_WEIGHTS_HASHED ){
    json_correct(new_json.data, "\"weights_hash\":\"", new_weights.data, new_weights.n);
  }
  if( bytes_write(folder, "flip.safetensors", new_weights.data, new_weights.n)
   && bytes_write(folder, "flip.json", new_json.data, new_json.n) ){
    outcome = load_and_use(folder, use);
  }
  free(new_weights.data);
  free(new_json.data);
  return outcome;
}

static void model_files(const char *name, const char *model, const char *use, const char *folder,
                        enum damage what, int rounds){
  int stem = (int)(strlen(model) - strlen(".safetensors"));
  struct bytes weights = bytes_read(model);
  struct random r = random_of(what+1);
  struct bytes json;
  char json_path[600];
  int good;
  int n_errors = 0;
  snprintf(json_path, sizeof(json_path), "%.*s.json", stem, model);
  json = bytes_read(json_path);
  meaning_link(model, folder);
  good = weights.n>0 && json.n>0;
  for(int i=0; i<rounds && good; i++){
    int cut = i%5==4;
    enum outcome outcome = damage_and_use(&weights, &json, what, cut, &r, folder, use);
    if( outcome==WRONG ) good = 0;
    if( what==DAMAGE_WEIGHTS && outcome!=REFUSED ) good = 0;    /* the hash tells */
    n_errors += outcome==REFUSED;
  }
  report(name, good, rounds, n_errors);
  free(weights.data);
  free(json.data);
}

/* ---- A writer's files ---- */

#define WRITER_USE "SELECT latent_complete('Hello', 'A dog.', '{\"fluency\":0.4}')"
enum { WRITER_CONFIG = 0, WRITER_WEIGHTS = 2, WRITER_PARTS = 5 };
static const char *const WRITER_NAMES[WRITER_PARTS] = {
  "config.json", "tokenizer.json", "layers.safetensors", "pieces.safetensors",
  "trained.safetensors",
};

/* FOLDER/flip.safetensors becomes the model, with FOLDER/writer beside it. */
static int writer_begin(struct bytes parts[WRITER_PARTS], const char *model, const char *folder){
  int stem = (int)(strlen(model) - strlen(".safetensors"));
  const char *slash = strrchr(model, '/');
  int beside = slash ? (int)(slash + 1 - model) : 0;
  char path[700];
  struct bytes weights = bytes_read(model);
  struct bytes json;
  int good;
  snprintf(path, sizeof(path), "%.*s.json", stem, model);
  json = bytes_read(path);
  mkdir(folder, 0755);
  snprintf(path, sizeof(path), "%s/writer", folder);
  mkdir(path, 0755);
  meaning_link(model, folder);
  good = bytes_write(folder, "flip.safetensors", weights.data, weights.n)
      && bytes_write(folder, "flip.json", json.data, json.n);
  for(int i=0; i<WRITER_PARTS; i++){
    snprintf(path, sizeof(path), "%.*sllama/%s", beside, model, WRITER_NAMES[i]);
    parts[i] = bytes_read(path);
    good &= parts[i].n>0;
    snprintf(path, sizeof(path), "writer/%s", WRITER_NAMES[i]);
    good = good && bytes_write(folder, path, parts[i].data, parts[i].n);
  }
  free(weights.data);
  free(json.data);
  return good;
}

/* One round: part `at` damaged, then all as before. is_hashed: config.json has its new hash. */
static enum outcome writer_damage(const struct bytes parts[WRITER_PARTS], int at, int is_hashed,
                                  int cut, struct random *r, const char *folder){
  struct bytes part = bytes_copy(&parts[at]);
  struct bytes config = { calloc(1, parts[WRITER_CONFIG].n + 1), parts[WRITER_CONFIG].n };
  long place = damage_place(r, part.n, is_hashed ? DAMAGE_WEIGHTS_HASHED : DAMAGE_WEIGHTS);
  enum outcome outcome = WRONG;
  char path[100], key[60];
  memcpy(config.data, parts[WRITER_CONFIG].data, config.n);
  if( cut ) part.n = place;
  else part.data[place] ^= (char)(1 << random_u64(r)%8);
  snprintf(key, sizeof(key), "\"%s\": \"", WRITER_NAMES[at]);
  if( is_hashed ) json_correct(config.data, key, part.data, part.n);
  snprintf(path, sizeof(path), "writer/%s", WRITER_NAMES[at]);
  if( bytes_write(folder, "writer/config.json", config.data, config.n)
   && bytes_write(folder, path, part.data, part.n) ){
    outcome = load_and_use(folder, WRITER_USE);
  }
  bytes_write(folder, path, parts[at].data, parts[at].n);
  bytes_write(folder, "writer/config.json", parts[WRITER_CONFIG].data, parts[WRITER_CONFIG].n);
  free(part.data);
  free(config.data);
  return outcome;
}

static void writer_files(const char *model, const char *folder, int rounds){
  struct bytes parts[WRITER_PARTS] = { 0 };
  char own[600];
  int can_be_used;
  snprintf(own, sizeof(own), "%s/writing", folder);
  can_be_used = writer_begin(parts, model, own) && load_and_use(own, WRITER_USE)==WORKED;
  for(int at=0; at<WRITER_PARTS; at++){
    struct random r = random_of((uint64_t)at + 20);
    int good = can_be_used;
    int n_errors = 0;
    char name[60];
    for(int i=0; i<rounds && good; i++){
      int is_hashed = at>=WRITER_WEIGHTS && i%4>0;
      enum outcome outcome = writer_damage(parts, at, is_hashed, i%5==4, &r, own);
      if( outcome==WRONG ) good = 0;
      if( at>=WRITER_WEIGHTS && !is_hashed && outcome!=REFUSED ) good = 0;
      n_errors += outcome==REFUSED;
    }
    snprintf(name, sizeof(name), "a writer's %s", WRITER_NAMES[at]);
    report(name, good, rounds, n_errors);
  }
  for(int i=0; i<WRITER_PARTS; i++) free(parts[i].data);
}

/* ---- Latents ---- */

static const char *const USES[] = {
  "SELECT latent_decode(?1, '{\"max_tokens\":2}')",
  "SELECT latent_distance(?1, 'Hello there.')",
  "SELECT latent_interp('Hello there.', ?1, 0.5, '{\"max_tokens\":2}')",
  "SELECT latent_json(?1)",
  "SELECT latent_vector(?1)",
  "SELECT latent_mean(?1)",
  "SELECT latent_slerp(?1, ?1, 0.5)",
};
enum { N_USES = sizeof(USES)/sizeof(USES[0]) };

/* What has been tried so far. */
struct tally {
  sqlite3 *db;
  int good;
  int tried, n_errors;
};

/* Hands data[n] to one use after another. The copy has exactly this size, so that the sanitizer
** sees a read past its end. */
static void use_latent(struct tally *t, const char *data, int n){
  char *copy = malloc(n ? n : 1);
  memcpy(copy, data, n);
  for(int i=0; i<N_USES; i++){
    enum outcome outcome = ask(t->db, USES[i], copy, n, NULL, 0);
    if( outcome==WRONG ) t->good = 0;
    t->n_errors += outcome==REFUSED;
  }
  t->tried += N_USES;
  free(copy);
}

/* The bytes of a latent into data[most]; how many, or 0. */
static int encode_latent(sqlite3 *db, char *data, int most){
  static const char sql[] = "SELECT latent_encode('Two dogs run. A cat sleeps.')";
  sqlite3_stmt *statement = NULL;
  int n = 0;
  sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if( sqlite3_step(statement)==SQLITE_ROW ) n = sqlite3_column_bytes(statement, 0);
  if( n>most ) n = 0;
  if( n>0 ) memcpy(data, sqlite3_column_blob(statement, 0), n);
  sqlite3_finalize(statement);
  return n;
}

static void latents(void){
  struct tally t = { .db = connect() };
  struct random r = random_of(9);
  char data[4096];
  int n = encode_latent(t.db, data, sizeof(data));
  t.good = n>16;
  for(int bit=0; t.good && bit<16*8; bit++){            /* every bit of the header */
    data[bit/8] ^= (char)(1 << bit%8);
    use_latent(&t, data, n);
    data[bit/8] ^= (char)(1 << bit%8);
  }
  for(int i=0; t.good && i<200; i++){                   /* some bytes of the payload */
    int at = 16 + (int)(random_u64(&r) % (unsigned)(n-16));
    char before = data[at];
    data[at] = (char)random_u64(&r);
    use_latent(&t, data, n);
    data[at] = before;
  }
  for(int i=0; t.good && i<n; i+=1+i/32) use_latent(&t, data, i);       /* cut off */
  sqlite3_close(t.db);
  report("latents", t.good, t.tried, t.n_errors);
}

/* ---- JSON from the user ---- */

/* The JSON of a latent; for sqlite3_free(). */
static char *latent_json(sqlite3 *db){
  sqlite3_stmt *statement = NULL;
  char *text = NULL;
  sqlite3_prepare_v2(db, "SELECT latent_json(latent_encode('Hello.'))", -1, &statement, NULL);
  if( sqlite3_step(statement)==SQLITE_ROW ){
    text = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
  }
  sqlite3_finalize(statement);
  return text;
}

/* Runs the statement with the text, damaged at one place. The text is as before afterwards. */
static enum outcome use_damaged(sqlite3 *db, const char *sql, char *text, int cut,
                                struct random *r){
  int n = (int)strlen(text);
  int at = (int)(random_u64(r) % (unsigned)n);
  char before = text[at];
  enum outcome outcome;
  char *copy;
  if( cut ) n = at;
  else text[at] = " {}[],:\"-0e9.\\\xff"[random_u64(r)%15];
  copy = malloc(n ? n : 1);
  memcpy(copy, text, n);
  outcome = ask(db, sql, NULL, 0, copy, n);
  free(copy);
  text[at] = before;
  return outcome;
}

static void json_texts(int rounds){
  static const char *const statements[] = {
    "SELECT latent_decode(latent_encode('Hello.'), ?2)",
    "SELECT latent_json(latent_from_json(?2))",
  };
  static const char options[] = "{\"beams\":2,\"best_of\":2,\"temperature\":0.5,\"seed\":7,"
                                "\"max_tokens\":3,\"fluency\":0.25,\"detail\":0.5}";
  sqlite3 *db = connect();
  struct random r = random_of(5);
  int good = 1, n_errors = 0;
  for(int k=0; k<2; k++){
    char *text = k==0 ? sqlite3_mprintf("%s", options) : latent_json(db);
    good &= text!=NULL;
    for(int i=0; good && i<rounds; i++){
      enum outcome outcome = use_damaged(db, statements[k], text, i%4==3, &r);
      good = outcome!=WRONG;
      n_errors += outcome==REFUSED;
    }
    sqlite3_free(text);
  }
  sqlite3_close(db);
  report("options and JSON latents", good, 2*rounds, n_errors);
}

int main(int argc, char **argv){
  int rounds = argc>3 ? atoi(argv[3]) : 100;
  const char *model, *folder, *slash;
  char picture[600];
  if( argc<3 ){
    fprintf(stderr, "usage: flips MODEL FOLDER [ROUNDS]\n");
    return 2;
  }
  model = argv[1];
  folder = argv[2];
  setenv("LATENT_MODEL", model, 1);
  setenv("LATENT_THREADS", "1", 1);
  model_files("weights", model, TEXT_USE, folder, DAMAGE_WEIGHTS, rounds/4);
  model_files("weights, hash corrected", model, TEXT_USE, folder, DAMAGE_WEIGHTS_HASHED, rounds);
  model_files("tokenizer and shape", model, TEXT_USE, folder, DAMAGE_JSON, rounds);
  slash = strrchr(model, '/');
  snprintf(picture, sizeof(picture), "%.*spicture.safetensors",
           slash ? (int)(slash-model)+1 : 0, model);
  model_files("weights of pictures", picture, PICTURE_USE, folder, DAMAGE_WEIGHTS, rounds/4);
  model_files("weights of pictures, hash corrected", picture, PICTURE_USE, folder,
              DAMAGE_WEIGHTS_HASHED, rounds);
  model_files("shape of pictures", picture, PICTURE_USE, folder, DAMAGE_JSON, rounds);
  writer_files(model, folder, rounds);
  latents();
  json_texts(rounds);
  if( sqlite3_memory_used()!=0 ){
    printf("not ok - flips: %lld bytes left\n", (long long)sqlite3_memory_used());
  }else{
    printf("ok - flips: 0 bytes left\n");
  }
  return n_failed>0 || sqlite3_memory_used()!=0;
}
