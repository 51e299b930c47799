/*
** flips.c -- damaged model files and damaged latents, handed in through SQL.
**
**   flips MODEL.safetensors FOLDER [ROUNDS]
**
** Made to run under the address sanitizer: what is wanted of every damaged input is a result or an error with a text, and nothing else.
** Three kinds of damage, all drawn from a fixed seed:
**
**   - the weights or the JSON, one byte changed or the end cut off, loaded with latent_load(); for the weights also with the hash in the
**     JSON corrected, so that the damage gets past the hash to the checks behind it; MODEL's, and those of picture.safetensors beside it;
**   - a latent, one byte changed at every place of its header and some of its payload, and cut at every length;
**   - options and JSON latents with a byte changed.
**
** FOLDER is where the damaged files are written.
*/
#include "base.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sqlite3_latent_init(sqlite3 *, char **, const sqlite3_api_routines *);

static int n_failed = 0;

static void report(const char *name, int good, int n, int n_errors){
  if( good ) printf("ok - flips: %s: %d damaged inputs, %d of them refused\n", name, n, n_errors);
  else printf("not ok - flips: %s\n", name);
  n_failed += !good;
  fflush(stdout);
}

/* ---- Files ---- */
struct bytes { char *data; long n; };                   /* data is owned, and 0-terminated */

static struct bytes bytes_read(const char *path){
  struct bytes b = {NULL, 0};
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

static int bytes_write(const char *path, const char *data, long n){
  FILE *f = fopen(path, "wb");
  if( f==NULL ) return 0;
  fwrite(data, 1, n, f);
  return fclose(f)==0;
}

/* Writes the hash of the weights into the 16 digits that stand in the JSON. */
static void json_correct(char *json, const char *weights, long n){
  char *at = strstr(json, "\"weights_hash\":\"");
  char digits[17];
  if( at==NULL ) return;
  snprintf(digits, sizeof digits, "%016llx", (unsigned long long)hash64(weights, n));
  memcpy(at+16, digits, 16);
}

/* ---- Statements that may fail, but must say why ---- */
static sqlite3 *connect(void){
  sqlite3 *db = NULL;
  sqlite3_open(":memory:", &db);
  sqlite3_latent_init(db, NULL, NULL);
  return db;
}

/* Runs one statement with up to two arguments. Returns 1 when it gave rows, 0 when an error with a text, -1 when neither. */
static int ask(sqlite3 *db, const char *sql, const void *blob, int n_blob, const char *text, int n_text){
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if( rc==SQLITE_OK ){
    if( blob ) sqlite3_bind_blob(statement, 1, blob, n_blob, SQLITE_STATIC);
    if( text ) sqlite3_bind_text(statement, 2, text, n_text, SQLITE_STATIC);
    while( (rc = sqlite3_step(statement))==SQLITE_ROW ){}
  }
  if( rc!=SQLITE_DONE && strlen(sqlite3_errmsg(db))<10 ){
    printf("# %s: error %d without a text: '%s'\n", sql, rc, sqlite3_errmsg(db));
    rc = -1;
  }
  sqlite3_finalize(statement);
  return rc==SQLITE_DONE ? 1 : rc==-1 ? -1 : 0;
}

/* ---- Model files ---- */
/* Both ways through a model of text, and of pictures. */
#define TEXT_USE "SELECT latent_decode(latent_encode('Hello there.'), '{\"max_tokens\":4}')"
#define PICTURE_USE "SELECT latent_encode(latent_decode(latent_sample(1, '{\"kind\":\"picture\"}')))"

/* Loads FOLDER/flip.safetensors and uses it. Returns as ask() does. */
static int load_and_use(const char *folder, const char *use){
  char path[600];
  sqlite3 *db = connect();
  int outcome;
  snprintf(path, sizeof path, "%s/flip.safetensors", folder);
  outcome = ask(db, "SELECT latent_load(?2)", NULL, 0, path, -1);
  if( outcome==1 ) outcome = ask(db, use, NULL, 0, NULL, 0);
  sqlite3_close(db);
  return outcome;
}

enum damage { DAMAGE_WEIGHTS, DAMAGE_WEIGHTS_HASHED, DAMAGE_JSON };

/* The safetensors header is the first part of the file; most damage goes there, since a changed weight is only another number. */
static long damage_place(struct random *r, long n, long header, enum damage what){
  unsigned long long x = random_u64(r);
  if( what==DAMAGE_WEIGHTS_HASHED && random_u64(r)%8!=0 ) return (long)(x % (unsigned long long)header);
  return (long)(x % (unsigned long long)n);
}

static void model_files(const char *name, const char *model, const char *use, const char *folder, enum damage what, int rounds){
  char json_path[600], to[600];
  struct bytes weights, json;
  struct random r = random_of(what+1);
  int i, good = 1, n_errors = 0;
  snprintf(json_path, sizeof json_path, "%.*s.json", (int)(strlen(model)-strlen(".safetensors")), model);
  weights = bytes_read(model);
  json = bytes_read(json_path);
  for(i=0; i<rounds && weights.n>0 && json.n>0 && good>0; i++){
    struct bytes *target = what==DAMAGE_JSON ? &json : &weights;
    char *before = malloc(target->n), *json_before = malloc(json.n);
    long n = target->n, at = damage_place(&r, n, n<6000 ? n : 6000, what);
    int outcome;
    memcpy(before, target->data, n);
    memcpy(json_before, json.data, json.n);
    if( i%5==4 ) n = at;                                /* cut off */
    else target->data[at] ^= (char)(1 << random_u64(&r)%8);
    if( what==DAMAGE_WEIGHTS_HASHED ) json_correct(json.data, weights.data, n);
    snprintf(to, sizeof to, "%s/flip.safetensors", folder);
    good &= bytes_write(to, weights.data, what==DAMAGE_JSON ? weights.n : n);
    snprintf(to, sizeof to, "%s/flip.json", folder);
    good &= bytes_write(to, json.data, what==DAMAGE_JSON ? n : json.n);
    outcome = good ? load_and_use(folder, use) : -1;
    if( outcome<0 || (what==DAMAGE_WEIGHTS && outcome!=0) ) good = 0;
    n_errors += outcome==0;
    memcpy(json.data, json_before, json.n);
    memcpy(target->data, before, target->n);
    free(before);
    free(json_before);
  }
  report(name, good && weights.n>0 && json.n>0, rounds, n_errors);
  free(weights.data);
  free(json.data);
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
enum { N_USES = sizeof USES/sizeof USES[0] };

/* Hands the bytes to one use after another; they lie in a block of their own size, so that the sanitizer sees a read past the end. */
static int use_latent(sqlite3 *db, const char *data, int n, int *n_errors){
  char *copy = malloc(n ? n : 1);
  int i, good = 1;
  memcpy(copy, data, n);
  for(i=0; i<N_USES; i++){
    int outcome = ask(db, USES[i], copy, n, NULL, 0);
    if( outcome<0 ) good = 0;
    *n_errors += outcome==0;
  }
  free(copy);
  return good;
}

static void latents(void){
  sqlite3 *db = connect();
  sqlite3_stmt *statement = NULL;
  struct random r = random_of(9);
  char data[4096];
  int n = 0, i, good, tried = 0, n_errors = 0;
  sqlite3_prepare_v2(db, "SELECT latent_encode('Two dogs run. A cat sleeps.')", -1, &statement, NULL);
  if( sqlite3_step(statement)==SQLITE_ROW ) n = sqlite3_column_bytes(statement, 0);
  good = n>16 && n<=(int)sizeof data;
  if( good ) memcpy(data, sqlite3_column_blob(statement, 0), n);
  sqlite3_finalize(statement);
  for(i=0; good && i<16*8; i++, tried+=N_USES){         /* every bit of the header */
    data[i/8] ^= (char)(1 << i%8);
    good = use_latent(db, data, n, &n_errors);
    data[i/8] ^= (char)(1 << i%8);
  }
  for(i=0; good && i<200; i++, tried+=N_USES){          /* some of the payload */
    int at = 16 + (int)(random_u64(&r) % (unsigned)(n-16));
    char before = data[at];
    data[at] = (char)random_u64(&r);
    good = use_latent(db, data, n, &n_errors);
    data[at] = before;
  }
  for(i=0; good && i<n; i+=1+i/32, tried+=N_USES) good = use_latent(db, data, i, &n_errors);
  sqlite3_close(db);
  report("latents", good, tried, n_errors);
}

/* ---- JSON from the user ---- */
static void json_texts(int rounds){
  static const char *const TEXTS[][2] = {
    {"SELECT latent_decode(latent_encode('Hello.'), ?2)",
     "{\"beams\":2,\"best_of\":2,\"temperature\":0.5,\"seed\":7,\"max_tokens\":3,\"fluency\":0.25,\"detail\":0.5}"},
    {"SELECT latent_json(latent_from_json(?2))", NULL},
  };
  sqlite3 *db = connect();
  struct random r = random_of(5);
  int i, j, good = 1, n_errors = 0;
  for(j=0; j<2; j++){
    sqlite3_stmt *statement = NULL;
    char *text = NULL;
    if( TEXTS[j][1]==NULL ){
      sqlite3_prepare_v2(db, "SELECT latent_json(latent_encode('Hello.'))", -1, &statement, NULL);
      if( sqlite3_step(statement)==SQLITE_ROW ) text = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
      sqlite3_finalize(statement);
    }else{
      text = sqlite3_mprintf("%s", TEXTS[j][1]);
    }
    good &= text!=NULL;
    for(i=0; good && i<rounds; i++){
      int n = (int)strlen(text), at = (int)(random_u64(&r) % (unsigned)n), outcome;
      char before = text[at], *copy;
      if( i%4!=3 ) text[at] = " {}[],:\"-0e9.\\\xff"[random_u64(&r)%15];
      else n = at;
      copy = malloc(n ? n : 1);
      memcpy(copy, text, n);
      outcome = ask(db, TEXTS[j][0], NULL, 0, copy, n);
      free(copy);
      text[at] = before;
      good = outcome>=0;
      n_errors += outcome==0;
    }
    sqlite3_free(text);
  }
  sqlite3_close(db);
  report("options and JSON latents", good, 2*rounds, n_errors);
}

int main(int argc, char **argv){
  int rounds = argc>3 ? atoi(argv[3]) : 100, n_directory;
  char picture[600];
  if( argc<3 ) return fprintf(stderr, "usage: flips MODEL FOLDER [ROUNDS]\n"), 2;
  setenv("LATENT_MODEL", argv[1], 1);
  setenv("LATENT_THREADS", "1", 1);
  model_files("weights", argv[1], TEXT_USE, argv[2], DAMAGE_WEIGHTS, rounds/4);
  model_files("weights, hash corrected", argv[1], TEXT_USE, argv[2], DAMAGE_WEIGHTS_HASHED, rounds);
  model_files("tokenizer and shape", argv[1], TEXT_USE, argv[2], DAMAGE_JSON, rounds);
  n_directory = strrchr(argv[1], '/') ? (int)(strrchr(argv[1], '/')-argv[1])+1 : 0;
  snprintf(picture, sizeof picture, "%.*spicture.safetensors", n_directory, argv[1]);
  model_files("weights of pictures", picture, PICTURE_USE, argv[2], DAMAGE_WEIGHTS, rounds/4);
  model_files("weights of pictures, hash corrected", picture, PICTURE_USE, argv[2], DAMAGE_WEIGHTS_HASHED, rounds);
  model_files("shape of pictures", picture, PICTURE_USE, argv[2], DAMAGE_JSON, rounds);
  latents();
  json_texts(rounds);
  if( sqlite3_memory_used()!=0 ) printf("not ok - flips: %lld bytes left\n", (long long)sqlite3_memory_used());
  else printf("ok - flips: 0 bytes left\n");
  return n_failed>0 || sqlite3_memory_used()!=0;
}
