/*
** threads.c -- many threads, interruption, and loading again and again.
**
**   threads MODEL.safetensors FOLDER
**
**   1. Eight threads with a connection each do everything at once, and get what one thread alone
**      gets, bit by bit.
**   2. Meanwhile another thread loads broken files. It gets errors; the others get their results.
**   3. sqlite3_interrupt() in the middle of a long encode, decode and path ends the statement. The
**      milliseconds are printed. The product promises 50. Here the statement's thread may compute
**      for 250 more, however long a busy machine makes it wait.
**   4. A connection opened, used and closed many times leaves 0 bytes.
**
** Runs under the thread sanitizer as well. FOLDER is where the broken files are written.
*/
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int sqlite3_latent_init(sqlite3 *, char **, const sqlite3_api_routines *);

enum { N_THREADS = 8, N_ROUNDS = 3, N_OPENS = 40, MOST_MS = 250 };

static int n_failed;

static void report(int good, const char *name, const char *detail){
  if( good ){
    printf("ok - threads: %s%s%s\n", name, detail[0] ? ": " : "", detail);
  }else{
    printf("not ok - threads: %s: %s\n", name, detail);
  }
  n_failed += !good;
  fflush(stdout);
}

static sqlite3 *connect(void){
  sqlite3 *db = NULL;
  if( sqlite3_open(":memory:", &db)!=SQLITE_OK ) return NULL;
  if( sqlite3_latent_init(db, NULL, NULL)!=SQLITE_OK ) return NULL;
  return db;
}

/* ---- 1 and 2: the same results ---- */

#define ENCODED "latent_encode('A small boat waits by the old harbor.')"
static const char *const WORK[] = {
  "SELECT hex(latent_encode('The beach is empty in the early morning. A small boat waits by the "
      "old harbor.'))",
  "SELECT latent_decode(" ENCODED ", '{\"beams\":2,\"max_tokens\":12}')",
  "SELECT latent_interp('The sun is shining.', 'It is raining in the mountains.', 0.5, "
      "'{\"max_tokens\":12}')",
  "SELECT group_concat(content, '|') FROM latent_path('Two dogs run.', 'A cat sleeps.', 4)",
  "SELECT latent_vary('The sun is shining.', 0.3, 7, '{\"max_tokens\":12}')",
  "SELECT hex(latent_mean(value)) "
      "FROM json_each('[\"one dog\",\"two cats\",\"three birds\"]')",
  "SELECT latent_distance('a quiet place by the sea', 'The beach is empty.')",
};
enum { N_WORK = sizeof(WORK)/sizeof(WORK[0]) };
static char *expected[N_WORK];

/* The statement's one value as text (sqlite3_free), or its error. */
static char *value_of(sqlite3 *db, const char *sql){
  sqlite3_stmt *statement = NULL;
  char *text;
  int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if( rc==SQLITE_OK ) rc = sqlite3_step(statement);
  if( rc==SQLITE_ROW ){
    text = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
  }else{
    text = sqlite3_mprintf("error %d: %s", rc, sqlite3_errmsg(db));
  }
  sqlite3_finalize(statement);
  return text;
}

static int is_error(const char *text){
  return strncmp(text, "error", 5)==0;
}

struct worker {
  pthread_t thread;
  int number;
  int n_wrong;                          /* results that were not those of one thread alone */
  char wrong[300];                      /* the first of them */
};

static void *worker_run(void *arg){
  struct worker *w = arg;
  sqlite3 *db = connect();
  for(int i=0; i<N_ROUNDS*N_WORK; i++){
    int at = (i + w->number)%N_WORK;                    /* each starts elsewhere */
    char *got = value_of(db, WORK[at]);
    if( strcmp(got, expected[at])!=0 && w->n_wrong++==0 ){
      snprintf(w->wrong, sizeof(w->wrong), "%.60s gave %.80s, not %.80s",
               WORK[at], got, expected[at]);
    }
    sqlite3_free(got);
  }
  sqlite3_close(db);
  return NULL;
}

struct breaker {                        /* loads a broken file until it is stopped */
  pthread_t thread;
  const char *folder;
  int stop;                             /* atomic */
  int n_tried, n_loaded;
};

static void *breaker_run(void *arg){
  struct breaker *b = arg;
  char *sql = sqlite3_mprintf("SELECT latent_load('%q/broken.safetensors')", b->folder);
  while( !__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE) ){
    sqlite3 *db = connect();
    char *got = value_of(db, sql);
    b->n_tried++;
    b->n_loaded += !is_error(got);
    sqlite3_free(got);
    sqlite3_close(db);
  }
  sqlite3_free(sql);
  return NULL;
}

static void write_broken(const char *folder){
  char path[600];
  FILE *f;
  snprintf(path, sizeof(path), "%s/broken.safetensors", folder);
  f = fopen(path, "wb");
  if( f==NULL ) return;
  fputs("this is no safetensors file, and there is nothing to be done about it", f);
  fclose(f);
}

/* What one thread alone gets. */
static void fill_expected(void){
  sqlite3 *db = connect();
  for(int i=0; i<N_WORK; i++){
    expected[i] = value_of(db, WORK[i]);
    if( is_error(expected[i]) ) report(0, WORK[i], expected[i]);
  }
  sqlite3_close(db);
}

static void together(const char *folder){
  static struct worker workers[N_THREADS];
  struct breaker breaker = { .folder = folder };
  char detail[400] = "";
  int n_wrong = 0;
  fill_expected();
  write_broken(folder);
  pthread_create(&breaker.thread, NULL, breaker_run, &breaker);
  for(int i=0; i<N_THREADS; i++){
    workers[i].number = i;
    pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]);
  }
  for(int i=0; i<N_THREADS; i++){
    struct worker *w = &workers[i];
    pthread_join(w->thread, NULL);
    if( w->n_wrong && n_wrong==0 ){
      snprintf(detail, sizeof(detail), "thread %d: %s", i, w->wrong);
    }
    n_wrong += w->n_wrong;
  }
  __atomic_store_n(&breaker.stop, 1, __ATOMIC_RELEASE);
  pthread_join(breaker.thread, NULL);
  report(n_wrong==0, "eight at once get what one alone gets", detail);
  snprintf(detail, sizeof(detail), "%d of %d loaded", breaker.n_loaded, breaker.n_tried);
  report(breaker.n_tried>0 && breaker.n_loaded==0, "broken files are refused meanwhile", detail);
  for(int i=0; i<N_WORK; i++) sqlite3_free(expected[i]);
}

/* ---- 3: interruption ---- */

static double clock_ms(clockid_t clock){
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec*1000 + (double)t.tv_nsec/1e6;
}

struct interrupter {
  pthread_t thread;
  sqlite3 *db;
  int after_ms;
  clockid_t working;                    /* the clock of what the statement's thread has computed */
  double at;                            /* when sqlite3_interrupt() was called, on the wall clock */
  double work_at;                       /* and on that one */
};

static void *interrupter_run(void *arg){
  struct interrupter *i = arg;
  struct timespec wait = { 0, i->after_ms*1000000L };
  nanosleep(&wait, NULL);
  i->at = clock_ms(CLOCK_MONOTONIC);
  i->work_at = clock_ms(i->working);
  sqlite3_interrupt(i->db);
  return NULL;
}

/* A text that keeps any machine busy for seconds. */
static char *long_text(int sentences){
  sqlite3_str *s = sqlite3_str_new(NULL);
  for(int i=0; i<sentences; i++){
    sqlite3_str_appendf(s, "The beach number %d is empty in the early morning of a long day. ", i);
  }
  return sqlite3_str_finish(s);
}

static void interrupt_one(const char *name, const char *sql, const char *text){
  struct interrupter other = { .db = connect(), .after_ms = 150 };
  sqlite3_stmt *statement = NULL;
  char *warm = value_of(other.db, "SELECT length(latent_encode('warm'))");
  char detail[300];
  double ms, work_ms;
  int rc, works;
  sqlite3_free(warm);
  pthread_getcpuclockid(pthread_self(), &other.working);
  rc = sqlite3_prepare_v2(other.db, sql, -1, &statement, NULL);
  sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
  pthread_create(&other.thread, NULL, interrupter_run, &other);
  while( rc==SQLITE_OK || rc==SQLITE_ROW ) rc = sqlite3_step(statement);
  ms = clock_ms(CLOCK_MONOTONIC);
  work_ms = clock_ms(other.working);
  pthread_join(other.thread, NULL);
  ms -= other.at;
  work_ms -= other.work_at;
  snprintf(detail, sizeof(detail), "result %d after %.1f ms, of which it computed for %.1f",
           rc, ms, work_ms);
  report(rc==SQLITE_INTERRUPT && work_ms<MOST_MS, name, detail);
  sqlite3_finalize(statement);
  warm = value_of(other.db, "SELECT length(latent_encode('still works'))>16");
  works = strcmp(warm, "1")==0;
  report(works, "the connection works after it", works ? "" : warm);
  sqlite3_free(warm);
  sqlite3_close(other.db);
}

static void interrupts(void){
  char *text = long_text(4000);
  interrupt_one("interrupted encode", "SELECT latent_encode(?1 || ?1 || ?1 || ?1 || ?1)", text);
  interrupt_one("interrupted decode",
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000) "
                "SELECT latent_sample(i, '{\"beams\":32,\"best_of\":32}') FROM n "
                "WHERE ?1 IS NOT NULL", text);
  interrupt_one("interrupted path",
                "SELECT content FROM latent_path('Two dogs run.', 'A cat sleeps.', 1000) "
                "WHERE ?1 IS NOT NULL", text);
  sqlite3_free(text);
}

/* ---- 4: open, use, close ---- */

static void again_and_again(void){
  char detail[100] = "";
  for(int i=0; i<N_OPENS && detail[0]==0; i++){
    sqlite3 *db = connect();
    char *got = value_of(db, "SELECT latent_distance('one', 'two') BETWEEN 0 AND 2");
    long long left;
    if( strcmp(got, "1")!=0 ) snprintf(detail, sizeof(detail), "it gives %.80s", got);
    sqlite3_free(got);
    sqlite3_close(db);
    left = sqlite3_memory_used();
    if( left!=0 ) snprintf(detail, sizeof(detail), "%lld bytes left", left);
  }
  report(detail[0]==0, "opened, used and closed again and again: 0 bytes left", detail);
}

int main(int argc, char **argv){
  if( argc<3 ){
    fprintf(stderr, "usage: threads MODEL FOLDER\n");
    return 2;
  }
  setenv("LATENT_MODEL", argv[1], 1);
  together(argv[2]);
  interrupts();
  again_and_again();
  return n_failed>0;
}
