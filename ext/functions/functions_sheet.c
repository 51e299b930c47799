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
  const struct model *m = latent_model(c, &z[0]);
  if( !files ) return fail_nomem(&c->err);
  if( m && contents_decode(m, &c->run, z, n, fluencies, o, files, NULL)==SQLITE_OK ){
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

struct sheet_cell {
  size_t label, label_bytes;    /* where in sheet.labels; 0 bytes: none */
  size_t z;                     /* of a latent: where in sheet.points; else unused */
  struct latent like;           /* of a latent, without its z; n_segments 0: a picture, whose pixels are there */
};
struct sheet {                  /* the aggregate's memory; as SQLite zeroes it: empty. The buffers are owned: sheet_release() */
  struct buf cells;             /* of struct sheet_cell */
  struct buf pixels;            /* PICTURE_BYTES a cell */
  struct buf points;            /* floats of the latents */
  struct buf labels;
  int n;
};
_Static_assert(sizeof(struct sheet)<=STATE_BYTES, "the state of an aggregate fits");

void sheet_release(void *state){
  struct sheet *s = state;
  buf_release(&s->cells);
  buf_release(&s->pixels);
  buf_release(&s->points);
  buf_release(&s->labels);
}

static struct sheet_cell *sheet_cells(const struct sheet *s){
  return (struct sheet_cell*)(void*)s->cells.data;
}
static unsigned char *sheet_pixels(const struct sheet *s, int i){
  return (unsigned char*)s->pixels.data + (size_t)i*PICTURE_BYTES;
}

static struct line sheet_label(const struct sheet *s, int i){
  const struct sheet_cell *cell = &sheet_cells(s)[i];
  return (struct line){ cell->label_bytes ? s->labels.data + cell->label : "", cell->label_bytes };
}

/* A latent waits in the sheet until all are decoded. */
static void hold_latent(struct call *c, struct sheet *s, struct sheet_cell *cell){
  struct latent z = call_point(c, 0, "png");
  if( c->err.rc!=SQLITE_OK ) return;
  if( z.kind!=KIND_PICTURE ){
    fail(&c->err, SQLITE_ERROR, "argument 1 (png) is a latent of kind %s, expected " WANTED_PICTURE, kind_name(z.kind));
  }
  cell->z = s->points.n;
  cell->like = z;
  cell->like.z = NULL;
  buf_append(&s->points, z.z, sizeof(float)*(size_t)z.n_segments*(size_t)z.width);
}

static void hold_picture(struct call *c, struct sheet *s, struct sheet_cell *cell){
  unsigned char *pixels = buf_extend(&s->pixels, PICTURE_BYTES);
  struct content came = { "", 0 };
  if( !pixels ) fail_nomem(&c->err);
  if( sqlite3_value_type(c->args[0])==SQLITE_BLOB ) came = value_bytes(c, c->args[0]);
  if( c->err.rc!=SQLITE_OK ) return;
  if( latent_is(came.bytes, came.n) ) hold_latent(c, s, cell);
  else if( picture_is(came.bytes, came.n) ) unpack(c, came.bytes, came.n, "argument 1 (png)", pixels);
  else refuse_argument(c, 0, "png", WANTED_PICTURE);
}

/* A label is what the value is as text; NULL is none. */
static void hold_label(struct call *c, struct sheet *s, struct sheet_cell *cell){
  const char *text;
  if( c->err.rc!=SQLITE_OK || !call_has(c, 1) ) return;
  text = (const char *)sqlite3_value_text(c->args[1]);
  if( text==NULL ){
    fail_nomem(&c->err);
    return;
  }
  cell->label = s->labels.n;
  cell->label_bytes = (size_t)sqlite3_value_bytes(c->args[1]);
  buf_append(&s->labels, text, cell->label_bytes);
}

/* Only the picture can be a point: a label says nothing about the kind. */
void sheet_step(struct call *c, void *state){
  struct sheet *s = state;
  struct sheet_cell cell = { 0 };
  int rc;
  c->n_points = 1;
  if( s->n>=PICTURES_MOST ){
    fail(&c->err, SQLITE_ERROR, "more than %d pictures, the most of one sheet", PICTURES_MOST);
    return;
  }
  hold_picture(c, s, &cell);
  hold_label(c, s, &cell);
  buf_append(&s->cells, &cell, sizeof(cell));
  rc = s->points.rc ? s->points.rc : s->labels.rc ? s->labels.rc : s->cells.rc;
  if( rc==SQLITE_TOOBIG ) fail(&c->err, rc, "the rows hold too much for one sheet");
  else if( rc!=SQLITE_OK ) fail_nomem(&c->err);
  s->n++;
}

/* Gives the cells that are latents their pixels. */
static int sheet_decode(struct call *c, struct sheet *s){
  struct sheet_cell *cells = sheet_cells(s);
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

void sheet_give(struct call *c, void *state){
  struct sheet *s = state;
  struct picture p;
  if( s->n>0 && sheet_decode(c, s)==SQLITE_OK && sheet_draw(c, s, &p)==SQLITE_OK ) give_picture(c, &p);
}

/* ---- latent_strip(a, b, n [, options]) ---- */

/* Points as latent_interp() places them at t = 0 .. 1, and its fluencies. */
static int strip_points(struct call *c, const struct latent *ends, const struct options *o, int n, struct latent *z, float *fluencies){
  const struct model *m = latent_model(c, &ends[0]);
  if( m==NULL ) return c->err.rc;
  for(int i=0; i<n; i++){
    double t = interp_ease((double)i/(n-1));
    if( point_interp(&z[i], &ends[0], &ends[1], (float)t, &c->arena, &c->err)!=SQLITE_OK ) return c->err.rc;
    fluencies[i] = o->decode.has_fluency ? o->decode.fluency : interp_fluency(m->config.kind, t);
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

/* Argument i as a point of kind picture. */
static struct latent strip_end(struct call *c, int i, const char *name){
  struct latent z = { 0 };
  if( c->err.rc==SQLITE_OK && sqlite3_value_type(c->args[i])!=SQLITE_BLOB ) refuse_argument(c, i, name, WANTED_PICTURE);
  z = call_point(c, i, name);
  if( c->err.rc==SQLITE_OK && z.kind!=KIND_PICTURE ){
    fail(&c->err, SQLITE_ERROR, "argument %d (%s) is a latent of kind %s, expected " WANTED_PICTURE, i + 1, name, kind_name(z.kind));
  }
  return z;
}

void scalar_strip(struct call *c){
  int n = (int)call_integer(c, 2, "n", 2, STRIP_MOST);
  struct options o = call_options(c, 3);
  struct latent ends[2];
  struct picture p;
  ends[0] = strip_end(c, 0, "a");
  ends[1] = strip_end(c, 1, "b");
  if( c->err.rc==SQLITE_OK && strip_draw(c, ends, &o, n, &p)==SQLITE_OK ) give_picture(c, &p);
}
