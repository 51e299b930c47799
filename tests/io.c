/*
** io.c -- a disk that fails, and a process that dies: at each read, write, sync and opening in
** turn; and a full disk.
**
**   io MODEL FOLDER [POINTS]
**
** A VFS over the default one counts the operations of the files that SQLite opens through it. For
** each kind of table, journal and fault:
**
**   1. A database with some rows is made and copied.
**   2. For N = 1, 2, ...: the copy is put in place, and a script of transactions runs on it. The
**      Nth operation fails; in every third turn all that follow it fail too. Or the process (a
**      child) is killed with SIGKILL at the Nth operation.
**   3. A statement must succeed or fail with an I/O error. After a failure the transaction is
**      rolled back, and the next one begins. When nothing fails any more, t must agree with its
**      twin p (twin.h) on the connection that lived through it.
**   4. The database is opened again with the default VFS. It must be whole, and t and p must
**      agree. Every transaction whose COMMIT succeeded must be there, and none whose COMMIT was
**      not begun.
**
** POINTS: how many values of N are tried, spread over all; 0, the default: every one.
*/
#include "twin.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct kind KINDS[] = {
  { .name = "vectors", .content = VECTORS, .width = 16, .n_filters = 1, .cell_rows = 8 },
  { .name = "texts", .content = TEXTS, .n_filters = 1, .cell_rows = 8 },
  { .name = "notes", .content = NOTES, .n_filters = 1, .cell_rows = 8 },
  { .name = "notes with words", .content = NOTES, .n_filters = 1, .cell_rows = 8, .words = 1 },
};

/* ---- The VFS ---- */
enum fault { FAULT_ERROR, FAULT_FULL, FAULT_DEATH };
static struct {
  enum fault fault;
  long seen;            /* operations since io_set() */
  long fail_at;         /* the one that fails, counted from 1; 0: none */
  int stays;            /* all that follow fail too */
  int failed;           /* how many have failed */
} io;

static void io_set(enum fault fault, long fail_at, int stays){
  io.fault = fault;
  io.seen = 0;
  io.failed = 0;
  io.fail_at = fail_at;
  io.stays = stays;
}

/* Counts one operation; writes: it takes space. */
static int io_fails(int writes){
  if( io.fault==FAULT_FULL && !writes ) return 0;
  io.seen++;
  if( io.fail_at==0 || io.seen<io.fail_at || (io.seen>io.fail_at && !io.stays) ) return 0;
  if( io.fault==FAULT_DEATH ) kill(getpid(), SIGKILL);
  io.failed++;
  return 1;
}

struct file {
  sqlite3_file base;
  sqlite3_file *real;   /* right behind this struct */
};
static sqlite3_vfs *real_vfs;

static sqlite3_file *real_of(sqlite3_file *f){
  return ((struct file *)f)->real;
}

/* The methods that do not count pass the call on. */
static int file_close(sqlite3_file *f){
  return real_of(f)->pMethods->xClose(real_of(f));
}

static int file_lock(sqlite3_file *f, int how){
  return real_of(f)->pMethods->xLock(real_of(f), how);
}

static int file_unlock(sqlite3_file *f, int how){
  return real_of(f)->pMethods->xUnlock(real_of(f), how);
}

static int file_check(sqlite3_file *f, int *out){
  return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int file_control(sqlite3_file *f, int what, void *arg){
  return real_of(f)->pMethods->xFileControl(real_of(f), what, arg);
}

static int file_sector(sqlite3_file *f){
  return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int file_device(sqlite3_file *f){
  return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int file_shm_lock(sqlite3_file *f, int at, int n, int flags){
  return real_of(f)->pMethods->xShmLock(real_of(f), at, n, flags);
}

static void file_shm_barrier(sqlite3_file *f){
  real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int file_shm_unmap(sqlite3_file *f, int delete){
  return real_of(f)->pMethods->xShmUnmap(real_of(f), delete);
}

static int file_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at){
  if( io_fails(0) ) return SQLITE_IOERR_READ;
  return real_of(f)->pMethods->xRead(real_of(f), to, n, at);
}

/* A write that fails may have written a part. */
static int file_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at){
  if( !io_fails(1) ) return real_of(f)->pMethods->xWrite(real_of(f), from, n, at);
  real_of(f)->pMethods->xWrite(real_of(f), from, n/2, at);
  return io.fault==FAULT_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 n){
  if( io_fails(0) ) return SQLITE_IOERR_TRUNCATE;
  return real_of(f)->pMethods->xTruncate(real_of(f), n);
}

/* Does not reach the real disk: no test here takes the power away. */
static int file_sync(sqlite3_file *f, int flags){
  (void)f;
  (void)flags;
  return io_fails(0) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *n){
  if( io_fails(0) ) return SQLITE_IOERR_FSTAT;
  return real_of(f)->pMethods->xFileSize(real_of(f), n);
}

static int file_shm_map(sqlite3_file *f, int page, int n, int extend, void volatile **out){
  if( io_fails(0) ) return SQLITE_IOERR_SHMMAP;
  return real_of(f)->pMethods->xShmMap(real_of(f), page, n, extend, out);
}

static const sqlite3_io_methods METHODS = {
  .iVersion = 2,        /* no memory maps: every read is one of ours */
  .xClose = file_close,
  .xRead = file_read,
  .xWrite = file_write,
  .xTruncate = file_truncate,
  .xSync = file_sync,
  .xFileSize = file_size,
  .xLock = file_lock,
  .xUnlock = file_unlock,
  .xCheckReservedLock = file_check,
  .xFileControl = file_control,
  .xSectorSize = file_sector,
  .xDeviceCharacteristics = file_device,
  .xShmMap = file_shm_map,
  .xShmLock = file_shm_lock,
  .xShmBarrier = file_shm_barrier,
  .xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out){
  struct file *file = (struct file *)f;
  int rc;
  (void)vfs;
  f->pMethods = NULL;
  file->real = (sqlite3_file *)(file+1);
  if( io_fails(0) ) return SQLITE_CANTOPEN;
  rc = real_vfs->xOpen(real_vfs, name, file->real, flags, out);
  if( rc==SQLITE_OK ) f->pMethods = &METHODS;
  return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync){
  (void)vfs;
  (void)sync;
  return io_fails(0) ? SQLITE_IOERR_DELETE : real_vfs->xDelete(real_vfs, name, 0);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out){
  (void)vfs;
  return io_fails(0) ? SQLITE_IOERR_ACCESS : real_vfs->xAccess(real_vfs, name, flags, out);
}

static int vfs_install(void){
  static sqlite3_vfs ours;
  real_vfs = sqlite3_vfs_find(NULL);
  ours = *real_vfs;
  ours.zName = "failing";
  ours.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
  ours.xOpen = vfs_open;
  ours.xDelete = vfs_delete;
  ours.xAccess = vfs_access;
  return sqlite3_vfs_register(&ours, 0);
}

/* ---- The database, and the script ---- */
struct body {
  const struct kind *kind;
  int is_wal;
  char path[600], copy[600];
  int committed;        /* the last transaction whose COMMIT succeeded */
  int begun;            /* the last one whose COMMIT was tried */
  char why[WHY];
};

static int file_copy(const char *from, const char *to){
  char buffer[65536];
  size_t n;
  int good = 1;
  FILE *in = fopen(from, "rb");
  FILE *out = fopen(to, "wb");
  while( in && out && (n = fread(buffer, 1, sizeof(buffer), in))>0 ){
    good &= fwrite(buffer, 1, n, out)==n;
  }
  good &= in!=NULL && out!=NULL;
  if( in ) fclose(in);
  if( out ) good &= fclose(out)==0;
  return good;
}

/* Step 1: some rows, closed so that all of it lies in the one file. */
static int body_make(struct body *b){
  char *create = twins_create(b->kind, "main");
  struct random r = random_of(1);
  sqlite3 *db;
  int rc;
  files_remove(b->path);
  db = connect_to(b->path, NULL);
  rc = sqlite3_exec(db, "PRAGMA page_size=1024", NULL, NULL, NULL);
  if( rc==SQLITE_OK && b->is_wal ){
    rc = sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
  }
  if( rc==SQLITE_OK ) rc = sqlite3_exec(db, create, NULL, NULL, NULL);
  if( rc==SQLITE_OK ){
    rc = sqlite3_exec(db, "CREATE TABLE mark(n); INSERT INTO mark VALUES(0); BEGIN",
                      NULL, NULL, NULL);
  }
  for(int i=0; i<20 && rc==SQLITE_OK; i++) rc = twins_change_any(db, b->kind, &r, 60);
  if( rc==SQLITE_OK ) rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
  if( rc!=SQLITE_OK ) why_not(b->why, "making the database: error %d, %s", rc, sqlite3_errmsg(db));
  sqlite3_close(db);
  sqlite3_free(create);
  if( rc==SQLITE_OK && !file_copy(b->path, b->copy) ){
    why_not(b->why, "%s cannot be copied", b->path);
  }
  return b->why[0]==0;
}

/* The codes with which a statement may fail when the disk does. */
static int is_of_disk(int rc){
  int primary = rc & 0xff;
  return primary==SQLITE_IOERR || primary==SQLITE_FULL || primary==SQLITE_CANTOPEN;
}

/* Notes a failure that the disk did not cause. Returns rc. */
static int allowed(struct body *b, sqlite3 *db, int rc, const char *what){
  /* FTS5 says "malformed" of what it could not read. That it is not, is seen afterwards. */
  int is_of_words = b->kind->words && (rc & 0xff)==SQLITE_CORRUPT;
  if( rc!=SQLITE_OK && !b->why[0] && !((is_of_disk(rc) || is_of_words) && io.failed>0) ){
    why_not(b->why, "%s: error %d, %s", what, rc, sqlite3_errmsg(db));
  }
  return rc;
}

static int pull(sqlite3 *db, const struct kind *k, struct random *r, const char *tail){
  char literal[LITERAL];
  char *sql;
  int rc;
  content_literal(literal, r, k);
  sql = sqlite3_mprintf("SELECT rowid, distance FROM t(%s) %s", literal, tail);
  rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  sqlite3_free(sql);
  return rc;
}

enum { N_TRANSACTIONS = 6 };

/* Transaction i of the script, up to its end. */
static int transaction(struct body *b, sqlite3 *db, struct random *r, int i){
  char mark[80];
  int rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
  snprintf(mark, sizeof(mark), "UPDATE mark SET n=%d", i);
  if( rc==SQLITE_OK ) rc = sqlite3_exec(db, mark, NULL, NULL, NULL);
  for(int j=0; j<6 && rc==SQLITE_OK; j++) rc = twins_change_any(db, b->kind, r, 60);
  if( rc==SQLITE_OK && i%2==0 ) rc = pull(db, b->kind, r, "LIMIT 5");
  if( rc==SQLITE_OK && i==3 ){
    rc = sqlite3_exec(db, "SAVEPOINT s", NULL, NULL, NULL);
    for(int j=0; j<4 && rc==SQLITE_OK; j++) rc = twins_change_any(db, b->kind, r, 60);
    if( rc==SQLITE_OK ) rc = pull(db, b->kind, r, "WHERE x > 3");
    if( rc==SQLITE_OK ) rc = sqlite3_exec(db, "ROLLBACK TO s", NULL, NULL, NULL);
  }
  if( rc==SQLITE_OK && i==4 ){
    rc = sqlite3_exec(db, "INSERT INTO t(t) VALUES('optimize')", NULL, NULL, NULL);
  }
  if( rc==SQLITE_OK && i==5 ){
    rc = sqlite3_exec(db, "INSERT INTO t(t) VALUES('rebuild')", NULL, NULL, NULL);
  }
  if( rc==SQLITE_OK && i==6 ){
    rc = sqlite3_exec(db, "INSERT INTO t(t, rank) VALUES('rebuild', 10);"
                      "INSERT INTO t(t, rank) VALUES('rebuild', 1000)", NULL, NULL, NULL);
  }
  if( rc!=SQLITE_OK ) return rc;
  if( i==2 ) return sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  b->begun = i;
  rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
  if( rc==SQLITE_OK ) b->committed = i;
  return rc;
}

/* Steps 2 and 3, without the faults themselves. */
static void body_run(struct body *b){
  struct random r = random_of(7);
  sqlite3 *db = connect_to(b->path, "failing");
  int rc;
  b->committed = 0;
  b->begun = 0;
  if( db==NULL ) return;                                /* it failed there */
  sqlite3_exec(db, "PRAGMA cache_size=4", NULL, NULL, NULL);
  for(int i=1; i<=N_TRANSACTIONS && !b->why[0]; i++){
    allowed(b, db, transaction(b, db, &r, i), "the script");
    if( !sqlite3_get_autocommit(db) ) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    allowed(b, db, pull(db, b->kind, &r, "LIMIT 3"), "a query after it");
  }
  if( !b->why[0] && !io.stays && io.fault!=FAULT_DEATH && (io.fail_at==0 || io.failed) ){
    io.fail_at = 0;
    if( !twins_agree(db, b->kind, &r, b->why) ){
      memmove(b->why+4, b->why, WHY-5);
      memcpy(b->why, "on: ", 4);
    }
  }
  rc = sqlite3_close(db);
  if( rc!=SQLITE_OK && !b->why[0] ) why_not(b->why, "closing: error %d", rc);
}

static void body_check(struct body *b){
  struct random r = random_of(11);
  sqlite3 *db = connect_to(b->path, NULL);
  sqlite3_int64 mark;
  if( b->why[0] ){
    sqlite3_close(db);
    return;
  }
  mark = integer_of(db, "SELECT n FROM mark", -1);
  if( !is_whole(db) ){
    why_not(b->why, "PRAGMA integrity_check is not ok");
  }else if( mark!=b->committed && mark!=b->begun ){
    why_not(b->why, "transaction %lld is the last, where %d was committed and %d begun to be",
            mark, b->committed, b->begun);
  }else{
    twins_agree(db, b->kind, &r, b->why);
  }
  sqlite3_close(db);
  if( !b->why[0] && sqlite3_memory_used()!=0 ){
    why_not(b->why, "%lld bytes left", (long long)sqlite3_memory_used());
  }
}

/* The script in a child that dies at its Nth operation. What it had committed comes through a
** pipe. Returns whether it died. */
static int body_run_child(struct body *b){
  int ends[2];
  int pair[2] = { 0, 0 };
  int status = 0;
  pid_t child;
  if( pipe(ends)!=0 ) return why_not(b->why, "no pipe can be made");
  child = fork();
  if( child<0 ) return why_not(b->why, "no child can be made");
  if( child==0 ){
    struct random r = random_of(7);
    sqlite3 *db = connect_to(b->path, "failing");
    sqlite3_exec(db, "PRAGMA cache_size=4", NULL, NULL, NULL);
    for(int i=1; i<=N_TRANSACTIONS; i++){
      int told[2] = { b->committed, i==2 ? b->begun : i };      /* before: COMMIT may be its end */
      if( write(ends[1], told, sizeof(told))!=sizeof(told) ) _exit(3);
      if( transaction(b, db, &r, i)!=SQLITE_OK ) _exit(3);
    }
    pair[0] = N_TRANSACTIONS;
    pair[1] = N_TRANSACTIONS;
    if( write(ends[1], pair, sizeof(pair))!=sizeof(pair) ) _exit(3);
    _exit(0);
  }
  close(ends[1]);
  b->committed = 0;
  b->begun = 0;
  while( read(ends[0], pair, sizeof(pair))==sizeof(pair) ){
    b->committed = pair[0];
    b->begun = pair[1];
  }
  close(ends[0]);
  waitpid(child, &status, 0);
  if( WIFEXITED(status) && WEXITSTATUS(status)!=0 ){
    why_not(b->why, "the script failed where nothing had");
  }
  return WIFSIGNALED(status);
}

/* ---- Campaigns ---- */
static int campaign(const struct kind *kind, int is_wal, enum fault fault, const char *folder,
                    int points){
  static const char *const FAULTS[] = {
    "operations failed", "writes found the disk full", "operations were the last of a process",
  };
  struct body *b = calloc(1, sizeof(*b));
  const enum fault in_process = fault==FAULT_DEATH ? FAULT_ERROR : fault;
  long n, total;
  long step = 1, tried = 0;
  int happened = 1, good;
  b->kind = kind;
  b->is_wal = is_wal;
  snprintf(b->path, sizeof(b->path), "%s/io-%d.db", folder, (int)getpid());
  snprintf(b->copy, sizeof(b->copy), "%s/io-%d.copy", folder, (int)getpid());
  io_set(in_process, 0, 0);
  if( body_make(b) ){
    io_set(in_process, 0, 0);
    body_run(b);
    body_check(b);
  }
  total = io.seen;
  if( points>0 && total>points ) step = total/points;
  for(n=1; happened && !b->why[0]; n+=step){
    files_remove(b->path);
    if( !file_copy(b->copy, b->path) ) why_not(b->why, "the copy cannot be put in place");
    io_set(fault, n, tried%3==2);
    if( fault==FAULT_DEATH ){
      happened = body_run_child(b);
    }else{
      body_run(b);
      happened = io.failed>0;
    }
    io_set(FAULT_ERROR, 0, 0);
    body_check(b);
    tried += happened;
  }
  good = !b->why[0];
  printf("%s - io: %s, %s: ", good ? "ok" : "not ok", kind->name, is_wal ? "WAL" : "journal");
  if( good ){
    printf("%ld of about %ld %s\n", tried, total, FAULTS[fault]);
  }else{
    const int stays = (tried-1)%3==2;
    printf("N=%ld (%s), stays %d: %s\n", n-step, FAULTS[fault], stays, b->why);
  }
  fflush(stdout);
  if( good ){
    files_remove(b->path);
    files_remove(b->copy);
  }
  free(b);
  return good;
}

int main(int argc, char **argv){
  int points = argc>3 ? atoi(argv[3]) : 0;
  int good = 1;
  if( argc<3 ){
    fprintf(stderr, "usage: io MODEL FOLDER [POINTS]\n");
    return 2;
  }
  if( !twins_begin("io", argv[1]) ) return 1;
  if( vfs_install()!=SQLITE_OK ){
    printf("not ok - io: the VFS cannot be installed\n");
    return 1;
  }
  for(int i=0; i<(int)(sizeof(KINDS)/sizeof(KINDS[0])); i++){
    for(int is_wal=0; is_wal<2; is_wal++){
      for(int fault=FAULT_ERROR; fault<=FAULT_DEATH; fault++){
        good &= campaign(&KINDS[i], is_wal, fault, argv[2], points);
      }
    }
  }
  return !good;
}
