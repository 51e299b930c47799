/*
** functions_cluster.c -- latent_cluster(index, k [, options]): the rows of a latent table in k
** groups of rows that are alike, each group with a text that names it.
**
** 1. Rows: the s of every row of the table, of unit length (functions_near.c); of a long text the
**    mean of its segments. Rows of several kinds stand side by side, because s means the same in
**    each. A table of somebody else's vectors has whole vectors in the place of s.
** 2. First means: k-means++ (Arthur and Vassilvitskii 2007), greedy as in their section 5. A row is
**    drawn with a probability that grows with its distance to the means so far. Of TRIALS rows that
**    were drawn, the one after which the sum of all distances is least becomes the next mean.
** 3. Spherical k-means (Dhillon and Modha 2001): each row goes to the mean with the largest cosine,
**    and each mean becomes the sum of its rows, of unit length. It ends when fewer than a row in a
**    thousand has moved. A mean that has lost all its rows takes the row that lies farthest from
**    its own.
** 4. Numbers: 0 for the group with the most rows. Rows come by group, the nearest to its mean
**    first.
** 5. Labels, where the statement reads them. What the mean of hundreds of rows decodes to is often
**    no sentence, because hundreds of r have no common mean. So its s is decoded with the mean r of
**    the NEAREST rows around it, and the mean of these rows is decoded too. Both are decoded at
**    several settings of the dials, and the texts are judged as those of latent_imagine() are
**    (functions_draft.c). The one that lies near the group's mean and reads well is the label.
**    The r of pictures is none that text could use, and without r a text rarely is a sentence: so
**    their s stands beside the r of some short texts, FRAME_TEXTS. Which of them fits is found by
**    the same judgement.
**
** Sums are made in the order of the rowids, by one thread, so the groups are the same on every
** machine.
*/
#include "functions.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  K_MOST = 1000,
  TRIALS = 4,
  ROUNDS = 60,
  MOVED_PART = 1000,            /* it ends when at most one of so many rows has moved */
  ROWS_A_TIME = 16,             /* until SQLite is asked whether to go on */
  ROWS_KNOWN = 24,              /* around a mean: what the words of its label are compared with */
  NEAREST = 3,                  /* of them, whose mean is decoded */
  FRAMES = 5,                   /* of a label of pictures */
  POINTS = FRAMES,              /* that are decoded for a label, at most */
  LABELS = DRAFTS_MOST/(POINTS*DRAFT_DIALS),    /* made together */
  LABEL = 3                     /* its column */
};
static const float SAME = 1e-6f;        /* a distance of less is rounding */
static const size_t BYTES_MOST = 0x7fff0000;    /* SQLite allocates no more at a time */

struct member {                 /* a row */
  sqlite3_int64 rowid;
  float distance;               /* to its mean */
  int group;
  int kind;                     /* KIND_DIRECTION: a vector of somebody else's model */
};
struct clusters {
  struct near near;
  int width;                    /* of s, or of a vector; 0: no row yet */
  struct buf x;                 /* floats [n, width], of unit length; owned */
  struct buf list;              /* struct member [n]; owned */
  struct member *members;       /* [n]: those of list */
  int n;                        /* rows */
  int k;                        /* groups */
  float *means;                 /* [k, width], of unit length */
  float *cosines;               /* [k]: of one row; or of TRIALS candidates, where k is less */
  int *counts;                  /* [k]: rows of each group */
};

static const float *row_at(const struct clusters *g, int i){
  return (const float *)(const void *)g->x.data + (size_t)i*(size_t)g->width;
}

static float *mean_at(const struct clusters *g, int i){
  return g->means + (size_t)i*(size_t)g->width;
}

static float distance_of(float cosine){
  return 1 - cosine>SAME ? 1 - cosine : 0;
}

/* ---- 1. Rows ---- */

/* Numbers of a vector that stands in a table with a width: bare ones, or a latent's. */
static int vector_width(struct call *c, struct content blob){
  struct latent z;
  if( !latent_is(blob.bytes, blob.n) ) return (int)(blob.n/4);
  latent_read(&z, blob.bytes, blob.n, &c->arena, "a row", &c->err);
  return z.width;
}

/* x[n] to unit length, whatever its size: the squares of numbers beyond 1e17 would overflow. */
static void bring_to_one(float *x, int n){
  float most = 0;
  for(int i=0; i<n; i++) most = fmaxf(most, fabsf(x[i]));
  for(int i=0; i<n && most>0; i++) x[i] /= most;
  normalize(x, n);
}

/* A vector of somebody else's model; of a latent with several segments, their mean. */
static void read_vector(struct call *c, struct clusters *g, sqlite3_value *v, float *x){
  static const char what[] = "the vector of a row";
  struct content blob = value_bytes(c, v);
  struct vector bare = { 0 };
  struct latent z = { 0 };
  if( c->err.rc!=SQLITE_OK ) return;
  if( latent_is(blob.bytes, blob.n) ) latent_read(&z, blob.bytes, blob.n, &c->arena, what, &c->err);
  else bare = value_vector(c, v, what);
  if( c->err.rc==SQLITE_OK && z.width!=g->width && bare.n!=(size_t)g->width ){
    fail(&c->err, SQLITE_ERROR, "%s has another width than the %d of the first", what, g->width);
  }
  if( c->err.rc!=SQLITE_OK ) return;
  memcpy(x, bare.x ? bare.x : z.z, (size_t)g->width*sizeof(float));
  for(int i=1; i<z.n_segments; i++) add(x, latent_segment(&z, i), g->width);
  bring_to_one(x, g->width);
}

/* Appends a row that has a latent, of the kind that is asked for. */
static void read_row(struct call *c, struct clusters *g, sqlite3_int64 rowid, sqlite3_value *v){
  int is_foreign = g->near.content==NULL;
  struct member row = { .rowid = rowid };
  struct latent z = { 0 };
  float *x;
  if( sqlite3_value_type(v)==SQLITE_NULL ) return;
  if( !is_foreign ) z = value_point(c, v, "the latent of a row");
  row.kind = z.kind;
  if( g->near.kind && g->near.kind!=row.kind ) return;
  if( g->width==0 ) g->width = is_foreign ? vector_width(c, value_bytes(c, v)) : z.s;
  if( c->err.rc!=SQLITE_OK ) return;
  x = buf_extend(&g->x, (size_t)g->width*sizeof(float));
  buf_append(&g->list, &row, sizeof(row));
  if( x==NULL ) return;
  if( is_foreign ) read_vector(c, g, v, x);
  else if( z.n_segments>0 ) point_s(x, g->width, &z, 0, z.n_segments);
}

static void check_rows(struct call *c, const struct clusters *g){
  if( g->x.rc==SQLITE_NOMEM || g->list.rc==SQLITE_NOMEM ) fail_nomem(&c->err);
  if( g->x.rc==SQLITE_TOOBIG ){
    fail(&c->err, SQLITE_TOOBIG, "more rows than can be held in memory: %zu of %d numbers each",
         g->x.n/4/(size_t)g->width, g->width);
  }
}

static void read_rows(struct call *c, struct clusters *g){
  sqlite3_stmt *s = near_all(&g->near);
  struct arena_mark mark;
  arena_get(&c->arena, 1);      /* arena_rewind() keeps its block */
  mark = arena_mark(&c->arena);
  while( nested_step(&g->near, s) && !err_stopped(&c->err) ){
    read_row(c, g, sqlite3_column_int64(s, 0), sqlite3_column_value(s, 1));
    check_rows(c, g);
    if( c->err.rc==SQLITE_OK ) arena_rewind(&c->arena, mark);
  }
  sqlite3_finalize(s);
  g->members = (struct member *)(void *)g->list.data;
  g->n = (int)(g->list.n/sizeof(struct member));
  if( g->k>g->n ) g->k = g->n;
}

/* ---- 2. First means ---- */

/* A row, drawn with a probability in proportion to its distance. */
static int draw_row(const struct clusters *g, double total, struct random *random){
  double left = (double)(random_u64(random) >> 11)*0x1p-53*total;
  int last = 0;
  for(int i=0; i<g->n; i++){
    if( g->members[i].distance<=0 ) continue;
    last = i;
    left -= (double)g->members[i].distance;
    if( left<0 ) break;
  }
  return last;
}

/* sums[TRIALS]: the sum of all distances if candidate t, of candidates[TRIALS, width], were a mean
** too. */
static void try_candidates(struct call *c, struct clusters *g, const float *candidates,
                           double *sums){
  for(int t=0; t<TRIALS; t++) sums[t] = 0;
  for(int i=0; i<g->n; i++){
    float nearest = g->members[i].distance;
    if( i%ROWS_A_TIME==0 && err_stopped(&c->err) ) return;
    dots(g->cosines, row_at(g, i), candidates, TRIALS, g->width);
    for(int t=0; t<TRIALS; t++){
      float d = distance_of(g->cosines[t]);
      sums[t] += (double)(d<nearest ? d : nearest);
    }
  }
}

/* Sets mean j. total: the sum of the distances to the means before it. */
static void choose_mean(struct call *c, struct clusters *g, int j, double total, float *candidates,
                        struct random *random){
  size_t width = (size_t)g->width;
  double sums[TRIALS];
  int best = 0;
  for(int t=0; t<TRIALS; t++){
    memcpy(candidates + (size_t)t*width, row_at(g, draw_row(g, total, random)),
           width*sizeof(float));
  }
  try_candidates(c, g, candidates, sums);
  for(int t=1; t<TRIALS; t++){
    if( sums[t]<sums[best] ) best = t;
  }
  memcpy(mean_at(g, j), candidates + (size_t)best*width, width*sizeof(float));
}

/* Lowers the rows' distances to those to mean j. Returns the sum of all. */
static double near_mean(struct call *c, struct clusters *g, int j){
  double total = 0;
  for(int i=0; i<g->n; i++){
    struct member *row = &g->members[i];
    float d = distance_of(dot(row_at(g, i), mean_at(g, j), g->width));
    if( i%ROWS_A_TIME==0 && err_stopped(&c->err) ) return 0;
    if( d<row->distance ) row->distance = d;
    total += (double)row->distance;
  }
  return total;
}

/* Where fewer than k rows differ there are only so many means. */
static void first_means(struct call *c, struct clusters *g, uint64_t seed){
  size_t width = (size_t)g->width;
  struct random random = random_of(seed);
  float *candidates = arena_floats(&c->arena, TRIALS*width);
  double total = (double)g->n;
  int j = 0;
  g->means = arena_floats(&c->arena, (size_t)g->k*width);
  g->cosines = arena_floats(&c->arena, (size_t)(g->k>TRIALS ? g->k : TRIALS));
  g->counts = arena_get(&c->arena, (size_t)g->k*sizeof(*g->counts));
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  for(int i=0; i<g->n; i++) g->members[i].distance = 1;         /* the first: any row */
  while( j<g->k && total>0 && c->err.rc==SQLITE_OK ){
    choose_mean(c, g, j, total, candidates, &random);
    total = near_mean(c, g, j++);
  }
  g->k = j;
}

/* ---- 3. k-means ---- */

/* Each row to its nearest mean. Returns how many have moved. */
static int move_rows(struct call *c, struct clusters *g){
  int n_moved = 0;
  memset(g->counts, 0, (size_t)g->k*sizeof(*g->counts));
  for(int i=0; i<g->n; i++){
    struct member *row = &g->members[i];
    int nearest;
    if( i%ROWS_A_TIME==0 && err_stopped(&c->err) ) return 0;
    dots(g->cosines, row_at(g, i), g->means, g->k, g->width);
    nearest = largest(g->cosines, g->k);
    n_moved += nearest!=row->group;
    row->group = nearest;
    row->distance = distance_of(g->cosines[nearest]);
    g->counts[nearest]++;
  }
  return n_moved;
}

/* The row that is farthest from its mean, and not alone there. */
static int farthest_row(const struct clusters *g){
  int farthest = 0;
  for(int i=0; i<g->n; i++){
    const struct member *row = &g->members[i];
    if( row->distance>g->members[farthest].distance && g->counts[row->group]>1 ) farthest = i;
  }
  return farthest;
}

/* Gives each group without rows one. Returns how many have moved. */
static int refill_groups(struct call *c, struct clusters *g){
  int n_moved = 0;
  for(int j=0; j<g->k; j++){
    struct member *row;
    if( g->counts[j]>0 ) continue;
    if( err_stopped(&c->err) ) return 0;
    row = &g->members[farthest_row(g)];
    if( row->distance<=0 || g->counts[row->group]<2 ) return n_moved;
    g->counts[row->group]--;
    g->counts[j] = 1;
    row->group = j;
    row->distance = 0;
    n_moved++;
  }
  return n_moved;
}

/* A group without rows keeps its mean. */
static void move_means(struct call *c, struct clusters *g){
  size_t bytes = (size_t)g->width*sizeof(float);
  for(int j=0; j<g->k; j++){
    if( g->counts[j]>0 ) memset(mean_at(g, j), 0, bytes);
  }
  for(int i=0; i<g->n; i++){
    if( i%ROWS_A_TIME==0 && err_stopped(&c->err) ) return;
    add(mean_at(g, g->members[i].group), row_at(g, i), g->width);
  }
  for(int j=0; j<g->k; j++) normalize(mean_at(g, j), g->width);
}

/* Ends with the distances to the means as they are in the end. */
static void find_groups(struct call *c, struct clusters *g){
  int n_moved = g->n;
  for(int i=0; i<g->n; i++) g->members[i].group = -1;
  for(int round=0; round<ROUNDS && n_moved>g->n/MOVED_PART && c->err.rc==SQLITE_OK; round++){
    n_moved = move_rows(c, g);
    if( c->err.rc==SQLITE_OK ) n_moved += refill_groups(c, g);
    if( c->err.rc==SQLITE_OK ) move_means(c, g);
  }
  for(int i=0; i<g->n && c->err.rc==SQLITE_OK; i++){
    struct member *row = &g->members[i];
    if( i%ROWS_A_TIME==0 && err_stopped(&c->err) ) return;
    row->distance = distance_of(dot(row_at(g, i), mean_at(g, row->group), g->width));
  }
}

/* ---- 4. Numbers ---- */

struct group {
  int at;                       /* its number while it was made */
  int n;                        /* rows */
  int first;                    /* the first of them */
};

/* The largest first; of equal ones, the one with the earlier row. */
static int compare_groups(const void *a, const void *b){
  const struct group *p = a;
  const struct group *q = b;
  if( p->n!=q->n ) return p->n>q->n ? -1 : 1;
  return p->first<q->first ? -1 : p->first>q->first;
}

/* Byte k of what rows are sorted by: the distance, whose bits ascend with it, then the group. */
static unsigned sort_byte(const struct member *row, int k){
  uint32_t bits = (uint32_t)row->group;
  if( k<4 ) memcpy(&bits, &row->distance, sizeof(bits));
  return bits >> 8*(k%4) & 255;
}

/* Stable, byte by byte, so that rows that are equal stay in the order of their rowids. */
static void sort_rows(struct call *c, struct clusters *g){
  enum { BYTES = 6 };
  struct member *from = g->members;
  struct member *to = arena_get(&c->arena, (size_t)g->n*sizeof(*to));
  if( to==NULL ) fail_nomem(&c->err);
  for(int k=0; k<BYTES && !err_stopped(&c->err); k++){
    struct member *swap = from;
    int starts[257] = { 0 };
    for(int i=0; i<g->n; i++) starts[sort_byte(&from[i], k) + 1]++;
    for(int b=1; b<256; b++) starts[b] += starts[b-1];
    for(int i=0; i<g->n; i++) to[starts[sort_byte(&from[i], k)]++] = from[i];
    from = to;
    to = swap;
  }
}

/* The groups that have rows: groups[g->k], and the means in their order. From here on the rows are
** sorted, and no longer those of x. */
static void number_groups(struct call *c, struct clusters *g, struct group *groups){
  size_t bytes = (size_t)g->width*sizeof(float);
  float *means = arena_floats(&c->arena, (size_t)g->k*(size_t)g->width);
  int n = 0;
  if( means==NULL ){
    fail_nomem(&c->err);
    return;
  }
  for(int j=0; j<g->k; j++) groups[j] = (struct group){ .at = j, .n = g->counts[j] };
  for(int i=g->n-1; i>=0; i--) groups[g->members[i].group].first = i;
  qsort(groups, (size_t)g->k, sizeof(*groups), compare_groups);
  while( n<g->k && groups[n].n>0 ) n++;
  for(int j=0; j<n; j++){
    memcpy(means + (size_t)j*(size_t)g->width, mean_at(g, groups[j].at), bytes);
    g->counts[groups[j].at] = j;
  }
  for(int i=0; i<g->n; i++) g->members[i].group = g->counts[g->members[i].group];
  g->means = means;
  g->k = n;
  sort_rows(c, g);
}

/* ---- 5. Labels ---- */

struct labels {                 /* of labels that are made together, by one model */
  const struct model *m;        /* that words them; NULL: not known yet */
  const struct options *options;
  struct neighbour *rows;       /* [n_rows] of [LABELS, ROWS_KNOWN]: what is said near the means */
  int n_rows;
  struct point *points;         /* [n_points] of [LABELS, POINTS]; those of label i are set i+1 */
  int n_points;
  struct neighbour *frames;     /* [FRAMES], NULL: none was wanted yet */
  struct latent *means;         /* [n] of [LABELS]: of whole groups: s, without r */
  int n;
};

/* The kind of most of the rows; of equal ones, the first. */
static int most_frequent(const struct member *rows, int n){
  int counts[KIND_CODE+1] = { 0 };
  int best = KIND_DIRECTION;
  for(int i=0; i<n; i++) counts[rows[i].kind]++;
  for(int kind=KIND_DIRECTION; kind<=KIND_CODE; kind++){
    if( counts[kind]>counts[best] ) best = kind;
  }
  return best;
}

/* Appends to the batch what the table says of the rows of the kind, the nearest first, as far as it
** can be read. Returns how many. */
static int read_members(struct call *c, struct clusters *g, struct labels *b, int kind,
                        const struct member *rows, int n){
  int n_read = 0;
  g->near.kind = kind;
  for(int i=0; i<n && n_read<ROWS_KNOWN && c->err.rc==SQLITE_OK; i++){
    struct neighbour *row = &b->rows[b->n_rows];
    int found, takes;
    if( rows[i].kind!=kind ) continue;
    near_from(&g->near, rows[i].rowid, row, &found);
    takes = found && row->rowid==rows[i].rowid;
    b->n_rows += takes;
    n_read += takes;
  }
  return n_read;
}

/* A point of the label that is being made: with the s of a point, or where that is NULL with the
** mean s of rows[n]. Its r is the mean of theirs. They are the parents, whose words the text may
** repeat. */
static void add_point(struct call *c, struct labels *b, const struct latent *like,
                      const struct neighbour *rows, int n){
  struct point *p = &b->points[b->n_points];
  size_t width = (size_t)model_width(b->m);
  float *mean = arena_floats(&c->arena, width);
  float *z = arena_zeroed(&c->arena, width*sizeof(float));
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  *p = (struct point){ .z = latent_of(b->m, 1), .n_parents = n, .set = b->n + 1 };
  for(int i=0; i<n; i++){
    p->parents[i] = &rows[i];
    point_mean(mean, &rows[i].z);
    add(z, mean, (int)width);
  }
  for(size_t k=0; k<width && n>0; k++) z[k] /= (float)n;
  if( like ) memcpy(z, like->z, (size_t)p->z.s*sizeof(float));
  else normalize(z, p->z.s);
  p->z.z = z;
  b->n_points++;
}

/* Chosen by eye among a dozen, on pictures of things, animals, food and faces. */
static const char *const FRAME_TEXTS[FRAMES] = {
  "a thing", "an animal", "a piece of food", "a red heart", "The thing."
};

static void read_frames(struct call *c, struct labels *b){
  struct content texts[FRAMES];
  struct latent z[FRAMES];
  if( b->frames || c->err.rc!=SQLITE_OK ) return;
  b->frames = arena_zeroed(&c->arena, FRAMES*sizeof(*b->frames));
  if( b->frames==NULL ){
    fail_nomem(&c->err);
    return;
  }
  for(int i=0; i<FRAMES; i++){
    texts[i] = (struct content){ FRAME_TEXTS[i], strlen(FRAME_TEXTS[i]) };
    b->frames[i].text = FRAME_TEXTS[i];
    b->frames[i].text_bytes = texts[i].n;
  }
  contents_encode(b->m, &c->run, texts, FRAMES, "a frame", REFINE_ROUNDS, z);
  for(int i=0; i<FRAMES; i++) b->frames[i].z = z[i];
}

/* The points of pictures. */
static void add_framed(struct call *c, struct labels *b){
  read_frames(c, b);
  for(int i=0; i<FRAMES; i++) add_point(c, b, &b->means[b->n], &b->frames[i], 1);
}

/* The points of rows[n]. */
static void add_points(struct call *c, struct clusters *g, struct labels *b, int kind,
                       const struct member *rows, int n){
  const struct neighbour *known = &b->rows[b->n_rows];
  int n_nearest = read_members(c, g, b, kind, rows, n);
  if( n_nearest>NEAREST ) n_nearest = NEAREST;
  add_point(c, b, &b->means[b->n], known, n_nearest);
  if( n_nearest>0 ) add_point(c, b, NULL, known, n_nearest);
}

/* Enters the group of rows[n]. */
static void add_label(struct call *c, struct clusters *g, struct labels *b, int kind,
                      const struct member *rows, int n){
  struct latent whole = { .n_segments = 1, .width = g->width, .s = g->width };
  struct latent *mean = &b->means[b->n];
  *mean = latent_of(b->m, 1);
  mean->z = arena_zeroed(&c->arena, (size_t)mean->width*sizeof(float));
  if( mean->z==NULL ){
    fail_nomem(&c->err);
    return;
  }
  whole.z = mean_at(g, rows[0].group);
  point_s(mean->z, mean->s, &whole, 0, 1);      /* kinds share the first numbers of s */
  if( kind==KIND_PICTURE ) add_framed(c, b);
  else add_points(c, g, b, kind, rows, n);
  b->n++;
}

/* Decodes and judges the points. Appends the best text of each label to texts[b->n]. */
static void word_labels(struct call *c, struct labels *b, struct buf *texts){
  struct drafts drafts = { 0 };
  struct reading reading;
  const struct draft *best;
  reading_init(&reading, c, b->m, b->rows, b->n_rows);
  if( c->err.rc==SQLITE_OK ) drafts_make(&drafts, &reading, b->points, b->n_points, b->options);
  for(int i=0; i<drafts.n && c->err.rc==SQLITE_OK; i++){
    struct draft *d = &drafts.list[i];
    d->distance = point_distance(&d->again, &b->means[d->point->set-1]);
  }
  while( c->err.rc==SQLITE_OK && (best = drafts_best(&drafts))!=NULL ){
    struct buf *text = &texts[best->point->set-1];
    if( text->n==0 ) buf_append(text, best->text.data, best->text.n);
    check_buf(c, text);
  }
  drafts_release(&drafts);
}

static void labels_begin(struct call *c, struct labels *b, const struct options *o){
  *b = (struct labels){ .options = o };
  b->rows = arena_get(&c->arena, LABELS*ROWS_KNOWN*sizeof(*b->rows));
  b->points = arena_get(&c->arena, LABELS*POINTS*sizeof(*b->points));
  b->means = arena_get(&c->arena, LABELS*sizeof(*b->means));
  if( c->arena.oom ) fail_nomem(&c->err);
}

/* Labels the first of groups[n], whose first row is `rows`, and those after it that the same model
** words, LABELS at most: texts[returned]. */
static int label_groups(struct call *c, struct clusters *g, const struct group *groups, int n,
                        const struct member *rows, const struct options *o, struct buf *texts){
  struct arena_mark mark = arena_mark(&c->arena);
  struct labels b;
  labels_begin(c, &b, o);
  while( b.n<n && b.n<LABELS && c->err.rc==SQLITE_OK ){
    int n_rows = groups[b.n].n;
    int kind = most_frequent(rows, n_rows);
    const struct model *m = call_model_of(c, kind==KIND_PICTURE ? KIND_TEXT : kind, 0);
    if( b.m && b.m!=m ) break;
    b.m = m;
    if( c->err.rc==SQLITE_OK ) add_label(c, g, &b, kind, rows, n_rows);
    rows += n_rows;
  }
  if( c->err.rc==SQLITE_OK ) word_labels(c, &b, texts);
  if( c->err.rc==SQLITE_OK ) arena_rewind(&c->arena, mark);
  return b.n;
}

/* ---- Out ---- */

static void make_labels(struct call *c, struct clusters *g, const struct group *groups,
                        const struct options *o, struct buf *texts){
  const struct member *rows = g->members;
  int j = 0;
  while( j<g->k && c->err.rc==SQLITE_OK ){
    int n = label_groups(c, g, groups + j, g->k - j, rows, o, texts + j);
    for(int end=j+n; j<end; j++) rows += groups[j].n;
  }
}

/* The columns rowid, cluster, distance, label, of rows[n]. */
static void give_group(struct call *c, const struct member *rows, int n, const struct buf *label,
                       struct rows *r){
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    if( i%(64*ROWS_A_TIME)==0 && err_stopped(&c->err) ) return;
    rows_integer(r, rows[i].rowid);
    rows_integer(r, rows[i].group);
    rows_real(r, (double)rows[i].distance);
    rows_text(r, label->n>0 ? label->data : NULL, label->n);
  }
}

static void give_groups(struct call *c, struct clusters *g, const struct options *o,
                        struct rows *r){
  size_t k = (size_t)g->k;
  struct group *groups = arena_get(&c->arena, k*sizeof(*groups));
  struct buf *labels = arena_zeroed(&c->arena, k*sizeof(*labels));
  const struct member *rows;
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  number_groups(c, g, groups);
  rows = g->members;
  if( rows_reads(r, LABEL) && g->near.content ) make_labels(c, g, groups, o, labels);
  for(int j=0; j<g->k && c->err.rc==SQLITE_OK; j++){
    give_group(c, rows, groups[j].n, &labels[j], r);
    rows += groups[j].n;
  }
  for(size_t j=0; j<k; j++) buf_release(&labels[j]);
}

void cluster_fill(struct call *c, struct rows *r){
  struct clusters g = { .x.max = BYTES_MOST, .list.max = BYTES_MOST };
  struct options o;
  g.k = (int)call_integer(c, 1, "k", 1, K_MOST);
  o = call_options(c, 2);
  c->named = 0;                 /* it is the kind of the rows */
  near_table(&g.near, c, 0, &o);
  if( c->err.rc==SQLITE_OK ) read_rows(c, &g);
  if( c->err.rc==SQLITE_OK && g.n>0 ){
    first_means(c, &g, o.decode.seed);
    find_groups(c, &g);
    if( c->err.rc==SQLITE_OK ) give_groups(c, &g, &o, r);
  }
  near_release(&g.near);
  buf_release(&g.x);
  buf_release(&g.list);
}
