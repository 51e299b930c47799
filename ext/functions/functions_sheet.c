/*
** functions_sheet.c -- pictures beside each other, so that a user of the shell looks instead of reading: latent_sheet() and latent_strip(). Both give one PNG.
**
** latent_sheet(png [, label]) is an aggregate. Each row becomes a cell at once (its picture fitted to 64x64, its label copied), so that nothing of the row need be
** kept; latents alone wait, to be decoded in one batch at the end. The cells are then laid out in the order in which they came:
**
**      MARGIN, then for each column PICTURE and MARGIN            in as many columns as make the sheet nearly square
**      MARGIN, then for each row PICTURE, the label's lines, MARGIN     labels are broken at a space, and cut when two lines are not enough
**
** What the aggregate holds lies in its struct sheet and is freed by sheet_final(), which SQLite calls on every way out: after a step that failed and after a
** statement that was reset in the middle too. A sheet of the most pictures takes 190 MB while it is made.
*/
#include "functions.h"
#include "functions_draw.h"
#include <string.h>

enum { PICTURE = 64, PICTURE_BYTES = PICTURE*PICTURE*4, PICTURES_MOST = 4096, STRIP_MOST = 64 };
enum { MARGIN = 12, LABEL_WIDTH = PICTURE+MARGIN-4, LABEL_GAP = 4, LINE = DRAW_ROWS+1, LINES_MOST = 2 };
static const uint32_t GROUND = 0xf7f7f5, INK = 0x3a3a38;
#define WANTED_PICTURE "a picture (PNG, JPEG) or a latent of one"       /* in messages: what is expected */

/* ---- Latents to pixels ---- */

/* A PNG of our own decoder as pixels[PICTURE, PICTURE, 4]. */
static int unpack(struct call *c, const void *png, size_t n, const char *what, unsigned char *pixels){
  struct arena_mark mark = arena_mark(&c->arena);
  struct picture read, fitted;
  if( picture_read(&read, png, n, &c->arena, what, &c->err)!=SQLITE_OK ) return c->err.rc;
  if( picture_fit(&fitted, &read, PICTURE, &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
  memcpy(pixels, fitted.pixels, PICTURE_BYTES);
  arena_rewind(&c->arena, mark);
  return SQLITE_OK;
}

/* z[n] of kind picture, decoded in one batch: pixels[i][PICTURE, PICTURE, 4]. */
static int decode(struct call *c, const struct latent *z, int n, const float *fluencies, const struct decode_options *o, unsigned char *const *pixels){
  struct buf *files = arena_zeroed(&c->arena, sizeof(*files)*(size_t)n);
  struct model *m;
  if( !files ) return fail_nomem(&c->err);
  if( latent_model(c, &z[0], &m)==SQLITE_OK && contents_decode(m, &c->run, z, n, fluencies, o, files, NULL)==SQLITE_OK ){
    for(int i=0; i<n && c->err.rc==SQLITE_OK; i++) unpack(c, files[i].data, files[i].n, "what was decoded", pixels[i]);
  }
  for(int i=0; i<n; i++) buf_release(&files[i]);
  return c->err.rc;
}

/* ---- Layout ---- */

struct layout {
  int columns, rows;
  int lines;                    /* of the longest label, 0 to LINES_MOST */
};

static int cell_height(const struct layout *l){
  return PICTURE + MARGIN + (l->lines ? LABEL_GAP + l->lines*LINE : 0);
}

/* The fewest columns that make n cells at least as wide as high. */
static void lay_out(struct layout *l, int n){
  l->columns = 1;
  while( l->columns<n && l->columns*(PICTURE+MARGIN) < (n + l->columns-1)/l->columns*cell_height(l) ) l->columns++;
  l->rows = (n + l->columns-1)/l->columns;
}

static int cell_x(const struct layout *l, int i){ return MARGIN + i%l->columns*(PICTURE+MARGIN); }
static int cell_y(const struct layout *l, int i){ return MARGIN + i/l->columns*cell_height(l); }

/* The ground of a layout; from the arena. */
static int ground(struct call *c, struct picture *p, const struct layout *l){
  p->width = MARGIN + l->columns*(PICTURE+MARGIN);
  p->height = MARGIN + l->rows*cell_height(l);
  p->pixels = arena_get(&c->arena, (size_t)p->width*(size_t)p->height*4);
  if( !p->pixels ) return fail_nomem(&c->err);
  draw_fill(p, GROUND);
  return SQLITE_OK;
}

static void draw_cell(struct picture *on, const struct layout *l, int i, unsigned char *pixels){
  struct picture p = { PICTURE, PICTURE, pixels };
  draw_picture(on, &p, cell_x(l, i), cell_y(l, i));
}

static void give_picture(struct call *c, const struct picture *p){
  struct buf png = call_buf(c);
  if( c->err.rc==SQLITE_OK ) png_write(&png, p, &c->err);
  result_blob(c, &png);
}

/* ---- Labels ---- */

struct line { const char *text; size_t n; };

/* One line where the label fits on it, else two where a space or hyphen allows it; what is too wide even so draw_text() cuts. Returns how many. */
static int break_label(struct line label, struct line lines[LINES_MOST]){
  const char *text = label.text;
  size_t n = label.n, at = draw_fits(text, n, LABEL_WIDTH);
  lines[0] = label;
  if( n==0 || at==n ) return n>0;
  if( text[at]!=' ' ){
    while( at>0 && text[at-1]!=' ' && text[at-1]!='-' ) at--;
  }
  if( at==0 ) return 1;
  for(lines[0].n=at; lines[0].n>0 && text[lines[0].n-1]==' '; lines[0].n--){}
  while( at<n && text[at]==' ' ) at++;
  lines[1] = (struct line){ text+at, n-at };
  return at<n ? 2 : 1;
}

static void draw_label(struct picture *on, const struct layout *l, int i, struct line label){
  struct line lines[LINES_MOST];
  int n_lines = break_label(label, lines);
  for(int k=0; k<n_lines; k++){
    int width = draw_width(lines[k].text, lines[k].n);
    int x = cell_x(l, i) + (PICTURE - (width<LABEL_WIDTH ? width : LABEL_WIDTH))/2;
    draw_text(on, x, cell_y(l, i) + PICTURE + LABEL_GAP + k*LINE, LABEL_WIDTH, lines[k].text, lines[k].n, INK);
  }
}

/* ---- latent_sheet(png [, label]) ---- */

struct cell {
  size_t label, label_bytes;    /* where in sheet.labels; 0 bytes: none */
  size_t z;                     /* of a latent: where in sheet.points; else unused */
  struct latent like;           /* of a latent, without its z; n_segments 0: a picture, whose pixels are there */
};
struct sheet {                  /* the aggregate's memory; as SQLite zeroes it: empty. The buffers are owned: sheet_release() */
  struct buf cells;             /* of struct cell */
  struct buf pixels;            /* PICTURE_BYTES a cell */
  struct buf points;            /* floats of the latents */
  struct buf labels;
  int n;
  int failed;                   /* a step has: there will be no sheet */
};

static void sheet_release(struct sheet *s){
  buf_release(&s->cells);
  buf_release(&s->pixels);
  buf_release(&s->points);
  buf_release(&s->labels);
}

static struct cell *sheet_cells(const struct sheet *s){
  return (struct cell*)(void*)s->cells.data;
}
static unsigned char *sheet_pixels(const struct sheet *s, int i){
  return (unsigned char*)s->pixels.data + (size_t)i*PICTURE_BYTES;
}

static struct line sheet_label(const struct sheet *s, int i){
  const struct cell *cell = &sheet_cells(s)[i];
  return (struct line){ cell->label_bytes ? s->labels.data + cell->label : "", cell->label_bytes };
}

static int refuse(struct call *c, sqlite3_value *v){
  char came[DESCRIBED];
  value_describe(v, came);
  return fail(&c->err, SQLITE_ERROR, "argument 1 (png) is %s, expected " WANTED_PICTURE, came);
}

/* A latent waits in the sheet until all are decoded. */
static int hold_latent(struct call *c, struct sheet *s, sqlite3_value *v, struct cell *cell){
  struct latent z;
  int is_null;
  if( value_point(c, v, "argument 1 (png)", &z, &is_null)!=SQLITE_OK || check_point(c, &z, "argument 1 (png)")!=SQLITE_OK ) return c->err.rc;
  if( z.kind!=KIND_PICTURE ) return fail(&c->err, SQLITE_ERROR, "argument 1 (png) is a latent of kind %s, expected " WANTED_PICTURE, kind_name(z.kind));
  cell->z = s->points.n;
  cell->like = z;
  cell->like.z = NULL;
  buf_append(&s->points, z.z, sizeof(float)*(size_t)z.n_segments*(size_t)z.width);
  return SQLITE_OK;
}

static int hold_picture(struct call *c, struct sheet *s, sqlite3_value *v, struct cell *cell){
  const void *data;
  int n;
  unsigned char *pixels = buf_extend(&s->pixels, PICTURE_BYTES);
  if( !pixels ) return fail_nomem(&c->err);
  if( sqlite3_value_type(v)!=SQLITE_BLOB ) return refuse(c, v);
  if( value_bytes(c, v, &data, &n)!=SQLITE_OK ) return c->err.rc;
  if( latent_is(data, (size_t)n) ) return hold_latent(c, s, v, cell);
  return picture_is(data, (size_t)n) ? unpack(c, data, (size_t)n, "argument 1 (png)", pixels) : refuse(c, v);
}

/* A label is what the value is as text; NULL is none. */
static int hold_label(struct call *c, struct sheet *s, sqlite3_value *v, struct cell *cell){
  const char *text;
  if( sqlite3_value_type(v)==SQLITE_NULL ) return SQLITE_OK;
  text = (const char*)sqlite3_value_text(v);
  if( !text ) return fail_nomem(&c->err);
  cell->label = s->labels.n;
  cell->label_bytes = (size_t)sqlite3_value_bytes(v);
  buf_append(&s->labels, text, cell->label_bytes);
  return SQLITE_OK;
}

static int sheet_add(struct call *c, struct sheet *s, int n, sqlite3_value **args){
  struct cell cell;
  int rc;
  memset(&cell, 0, sizeof(cell));
  if( s->n>=PICTURES_MOST ) return fail(&c->err, SQLITE_ERROR, "more than %d pictures, the most of one sheet", PICTURES_MOST);
  if( hold_picture(c, s, args[0], &cell)!=SQLITE_OK || (n>1 && hold_label(c, s, args[1], &cell)!=SQLITE_OK) ) return c->err.rc;
  buf_append(&s->cells, &cell, sizeof(cell));
  rc = s->points.rc ? s->points.rc : s->labels.rc ? s->labels.rc : s->cells.rc;
  if( rc!=SQLITE_OK ) return rc==SQLITE_TOOBIG ? fail(&c->err, rc, "the rows hold too much for one sheet") : fail_nomem(&c->err);
  s->n++;
  return SQLITE_OK;
}
void sheet_step(sqlite3_context *context, int n, sqlite3_value **args){
  struct sheet *s;
  struct call c;
  if( has_null(n, args, 1) ) return;
  call_begin(&c, context, 1, args);             /* 1: a label says nothing about the kind */
  s = sqlite3_aggregate_context(context, sizeof(*s));
  if( !s ) fail_nomem(&c.err);
  else if( sheet_add(&c, s, n, args)!=SQLITE_OK ) s->failed = 1;
  call_end(&c);
}

/* Gives the cells that are latents their pixels. */
static int sheet_decode(struct call *c, struct sheet *s){
  struct cell *cells = sheet_cells(s);
  struct latent *z = arena_get(&c->arena, sizeof(*z)*(size_t)s->n);
  unsigned char **pixels = arena_get(&c->arena, sizeof(*pixels)*(size_t)s->n);
  float *fluencies = arena_zeroed(&c->arena, sizeof(*fluencies)*(size_t)s->n);
  struct decode_options o;
  int n = 0;
  if( c->arena.oom ) return fail_nomem(&c->err);
  decode_options_init(&o);
  for(int i=0; i<s->n; i++){
    if( cells[i].like.n_segments==0 ) continue;
    z[n] = cells[i].like;
    z[n].z = (float*)(void*)(s->points.data + cells[i].z);
    pixels[n++] = sheet_pixels(s, i);
  }
  return n>0 ? decode(c, z, n, fluencies, &o, pixels) : SQLITE_OK;
}

static int sheet_draw(struct call *c, struct sheet *s, struct picture *p){
  struct layout l = { 0 };
  struct line lines[LINES_MOST];
  for(int i=0; i<s->n; i++){
    int n_lines = break_label(sheet_label(s, i), lines);
    if( n_lines>l.lines ) l.lines = n_lines;
  }
  lay_out(&l, s->n);
  if( ground(c, p, &l)!=SQLITE_OK ) return c->err.rc;
  for(int i=0; i<s->n && !run_stopped(&c->run); i++){
    draw_cell(p, &l, i, sheet_pixels(s, i));
    draw_label(p, &l, i, sheet_label(s, i));
  }
  return c->err.rc;
}
void sheet_final(sqlite3_context *context){
  struct sheet *s = sqlite3_aggregate_context(context, 0);
  struct picture p;
  struct call c;
  if( !s ) return;
  if( s->n>0 && !s->failed ){
    call_begin(&c, context, 0, NULL);
    if( sheet_decode(&c, s)==SQLITE_OK && sheet_draw(&c, s, &p)==SQLITE_OK ) give_picture(&c, &p);
    call_end(&c);
  }
  sheet_release(s);
}

/* ---- latent_strip(a, b, n [, options]) ---- */

/* Points as latent_interp() places them at t = 0 .. 1, and its fluencies. */
static int strip_points(struct call *c, const struct latent *ends, const struct options *o, int n, struct latent *z, float *fluencies){
  struct model *m;
  if( latent_model(c, &ends[0], &m)!=SQLITE_OK ) return c->err.rc;
  for(int i=0; i<n; i++){
    double t = interp_ease((double)i/(n-1));
    if( point_interp(&z[i], &ends[0], &ends[1], (float)t, m->config.shape.s, &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
    fluencies[i] = o->has_fluency ? o->decode.fluency : interp_fluency(m->config.kind, t);
  }
  return SQLITE_OK;
}

static int strip_draw(struct call *c, const struct latent *ends, const struct options *o, int n, struct picture *p){
  struct layout l = { .columns = n, .rows = 1 };
  struct latent *z = arena_get(&c->arena, sizeof(*z)*(size_t)n);
  float *fluencies = arena_floats(&c->arena, (size_t)n);
  unsigned char *all = arena_get(&c->arena, (size_t)n*PICTURE_BYTES), *pixels[STRIP_MOST];
  if( c->arena.oom ) return fail_nomem(&c->err);
  for(int i=0; i<n; i++) pixels[i] = all + (size_t)i*PICTURE_BYTES;
  if( strip_points(c, ends, o, n, z, fluencies)!=SQLITE_OK || decode(c, z, n, fluencies, &o->decode, pixels)!=SQLITE_OK ) return c->err.rc;
  if( ground(c, p, &l)!=SQLITE_OK ) return c->err.rc;
  for(int i=0; i<n; i++) draw_cell(p, &l, i, pixels[i]);
  return SQLITE_OK;
}

/* Argument i, "a" or "b", as a point of kind picture. */
static int strip_end(struct call *c, sqlite3_value **args, int i, const char *what, struct latent *z){
  int is_null;
  char came[DESCRIBED];
  if( sqlite3_value_type(args[i])!=SQLITE_BLOB ){
    value_describe(args[i], came);
    return fail(&c->err, SQLITE_ERROR, "%s is %s, expected " WANTED_PICTURE, what, came);
  }
  if( call_point(c, args, i, z, &is_null)!=SQLITE_OK || check_point(c, z, what)!=SQLITE_OK ) return c->err.rc;
  if( z->kind==KIND_PICTURE ) return SQLITE_OK;
  return fail(&c->err, SQLITE_ERROR, "%s is a latent of kind %s, expected " WANTED_PICTURE, what, kind_name(z->kind));
}

void scalar_strip(sqlite3_context *context, int n, sqlite3_value **args){
  struct call c;
  struct latent ends[2];
  struct options o;
  struct picture p;
  sqlite3_int64 count;
  if( has_null(n, args, 3) ) return;
  call_begin(&c, context, n, args);
  if( call_integer(&c, args, 2, "n", 2, STRIP_MOST, &count)==SQLITE_OK && call_options(&c, n, args, 3, &o)==SQLITE_OK
   && strip_end(&c, args, 0, "argument 1 (a)", &ends[0])==SQLITE_OK && strip_end(&c, args, 1, "argument 2 (b)", &ends[1])==SQLITE_OK
   && strip_draw(&c, ends, &o, (int)count, &p)==SQLITE_OK ){
    give_picture(&c, &p);
  }
  call_end(&c);
}
