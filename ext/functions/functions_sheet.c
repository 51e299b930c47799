/*
** functions_sheet.c -- pictures beside each other, so that a user of the shell can look instead of
** read: latent_sheet() and latent_strip(). Both give one PNG.
**
** latent_sheet(png [, label]) is an aggregate. Each row becomes a tile at once: its picture is
** fitted to 64x64 and its label is copied, so nothing of the row need be kept. Only latents wait:
** they are decoded in one batch at the end. Then the tiles are laid out in the order in which they
** came:
**
**    across   MARGIN, then for each column PICTURE and MARGIN. As many columns as make the sheet
**             nearly square.
**    down     MARGIN, then for each row PICTURE, the lines of the labels, and MARGIN. Labels are
**             broken at a space, and cut where two lines are not enough.
**
** What the aggregate holds lies in its struct sheet. SQLite ends every aggregate, also after a step
** that failed and after a statement that was reset in the middle, and then sheet_release() frees
** it. A sheet of the most pictures takes 190 MB while it is made.
*/
#include "functions.h"
#include "functions_draw.h"
#include <string.h>

enum {
  PICTURE = 64,                 /* pixels to a side */
  PICTURE_BYTES = PICTURE*PICTURE*4,
  PICTURES_MOST = 4096,         /* of a sheet */
  STRIP_MOST = 64,              /* pictures of a strip */
  MARGIN = 12,                  /* between pictures, and around all of them */
  LABEL_WIDTH = PICTURE + MARGIN - 4,
  LABEL_GAP = 4,                /* between a picture and its label */
  LINE = DRAW_ROWS + 1,         /* height of a line of a label */
  LINES_MOST = 2                /* of a label */
};
static const uint32_t GROUND = 0xf7f7f5;
static const uint32_t INK = 0x3a3a38;
#define WANTED_PICTURE "a picture (PNG, JPEG) or a latent of one"       /* in messages */

/* ---- Files and latents to pixels ---- */

/* A PNG or JPEG file as pixels[PICTURE, PICTURE, 4]. */
static void unpack(struct call *c, struct content file, const char *what, unsigned char *pixels){
  struct arena_mark mark = arena_mark(&c->arena);
  struct picture p = read_picture(c, file, PICTURE, what);
  if( c->err.rc==SQLITE_OK ) memcpy(pixels, p.pixels, PICTURE_BYTES);
  arena_rewind(&c->arena, mark);
}

/* Decodes z[n], of kind picture, in one batch: pixels[i][PICTURE, PICTURE, 4]. */
static void decode(struct call *c, const struct latent *z, int n, const struct decode_options *o,
                   unsigned char *const *pixels){
  const struct model *m = latent_model(c, &z[0]);
  struct buf *files = arena_zeroed(&c->arena, (size_t)n*sizeof(*files));
  float *none = arena_zeroed(&c->arena, (size_t)n*sizeof(*none));       /* of fluencies */
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return;
  contents_decode(m, &c->run, z, n, none, o, files, NULL);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++){
    struct content file = { files[i].data, files[i].n };
    unpack(c, file, "what was decoded", pixels[i]);
  }
  for(int i=0; i<n; i++) buf_release(&files[i]);
}

/* ---- Layout ---- */

struct layout {
  int columns, rows;            /* of tiles */
  int lines;                    /* of the longest label, 0 to LINES_MOST */
};

static int tile_height(const struct layout *l){
  int label_height = l->lines>0 ? LABEL_GAP + l->lines*LINE : 0;
  return PICTURE + MARGIN + label_height;
}

/* The fewest columns with which n tiles are at least as wide as high. */
static void lay_out(struct layout *l, int n){
  int columns = 1;
  int rows = n;
  while( columns<n && columns*(PICTURE + MARGIN)<rows*tile_height(l) ){
    columns++;
    rows = (n + columns - 1)/columns;
  }
  l->columns = columns;
  l->rows = rows;
}

/* The left edge of the picture of tile i, and its upper edge. */
static int tile_x(const struct layout *l, int i){
  return MARGIN + i%l->columns*(PICTURE + MARGIN);
}

static int tile_y(const struct layout *l, int i){
  return MARGIN + i/l->columns*tile_height(l);
}

/* A picture that has room for the layout, of one colour. Its pixels lie in the call's arena. */
static struct picture make_ground(struct call *c, const struct layout *l){
  struct picture p = {
    .width = MARGIN + l->columns*(PICTURE + MARGIN),
    .height = MARGIN + l->rows*tile_height(l),
  };
  p.pixels = arena_get(&c->arena, (size_t)p.width*(size_t)p.height*4);
  if( p.pixels ) draw_fill(&p, GROUND);
  else fail_nomem(&c->err);
  return p;
}

static void draw_tile(struct picture *on, const struct layout *l, int i, unsigned char *pixels){
  struct picture p = { .width = PICTURE, .height = PICTURE, .pixels = pixels };
  draw_picture(on, &p, tile_x(l, i), tile_y(l, i));
}

static void give_picture(struct call *c, const struct picture *p){
  struct buf png = call_buf(c);
  if( c->err.rc==SQLITE_OK ) png_write(&png, p, &c->err);
  result_blob(c, &png);
}

/* ---- Labels ---- */

struct text {                   /* borrowed */
  const char *text;
  size_t n;
};

/* Breaks a label into lines and returns how many: one if it fits, else two where a space or a
** hyphen allows it. What is too wide even then is cut by draw_text(). */
static int break_label(struct text label, struct text lines[LINES_MOST]){
  const char *text = label.text;
  size_t n = label.n;
  size_t at = draw_fits(text, n, LABEL_WIDTH);          /* where the second line begins */
  size_t end;                                           /* of the first line */
  lines[0] = label;
  if( n==0 ) return 0;
  if( at==n ) return 1;
  if( text[at]!=' ' ){
    while( at>0 && text[at-1]!=' ' && text[at-1]!='-' ) at--;
  }
  if( at==0 ) return 1;
  end = at;
  while( end>0 && text[end-1]==' ' ) end--;
  while( at<n && text[at]==' ' ) at++;
  lines[0] = (struct text){ text, end };
  lines[1] = (struct text){ text + at, n - at };
  return at<n ? 2 : 1;
}

/* Under picture i, in the middle. */
static void draw_label(struct picture *on, const struct layout *l, int i, struct text label){
  struct text lines[LINES_MOST];
  int n_lines = break_label(label, lines);
  for(int k=0; k<n_lines; k++){
    int width = draw_width(lines[k].text, lines[k].n);
    int shown = width<LABEL_WIDTH ? width : LABEL_WIDTH;
    int x = tile_x(l, i) + (PICTURE - shown)/2;
    int y = tile_y(l, i) + PICTURE + LABEL_GAP + k*LINE;
    draw_text(on, x, y, LABEL_WIDTH, lines[k].text, lines[k].n, INK);
  }
}

/* ---- latent_sheet(png [, label]) ---- */

struct tile {                   /* what a row of the query becomes */
  struct kept label;            /* in sheet.labels */
  struct latent like;           /* a latent, its z in sheet.points; no segments: it was a picture */
  size_t z;                     /* of a latent: where in sheet.points */
};
/* The aggregate's memory. As SQLite zeroes it, it is empty. The buffers are owned. */
struct sheet {
  struct buf tiles;             /* of struct tile */
  struct buf pixels;            /* PICTURE_BYTES for each tile */
  struct buf points;            /* floats of the latents */
  struct buf labels;
  int n;                        /* tiles */
};
_Static_assert(sizeof(struct sheet)<=STATE_BYTES, "the state of an aggregate fits");

void sheet_release(void *state){
  struct sheet *s = state;
  buf_release(&s->tiles);
  buf_release(&s->pixels);
  buf_release(&s->points);
  buf_release(&s->labels);
}

static const struct tile *sheet_tile(const struct sheet *s, int i){
  const struct tile *tiles = (const void *)s->tiles.data;
  return &tiles[i];
}

static unsigned char *sheet_pixels(const struct sheet *s, int i){
  return (unsigned char *)s->pixels.data + (size_t)i*PICTURE_BYTES;
}

static struct text sheet_label(const struct sheet *s, int i){
  struct kept label = sheet_tile(s, i)->label;
  const char *text = label.n>0 ? s->labels.data + label.at : "";
  return (struct text){ text, label.n };
}

/* A latent waits in the sheet until all are decoded. */
static void keep_latent(struct call *c, struct sheet *s, struct tile *tile){
  struct latent z = call_point(c, 0, "png");
  if( c->err.rc!=SQLITE_OK ) return;
  if( z.kind!=KIND_PICTURE ){
    fail(&c->err, SQLITE_ERROR, "argument 1 (png) is a latent of kind %s, expected "
         WANTED_PICTURE, kind_name(z.kind));
    return;
  }
  tile->z = s->points.n;
  tile->like = z;
  tile->like.z = NULL;
  buf_append(&s->points, z.z, sizeof(float)*(size_t)z.n_segments*(size_t)z.width);
}

/* Makes room for the pixels, and fills it unless a latent has to be decoded first. */
static void keep_picture(struct call *c, struct sheet *s, struct tile *tile){
  unsigned char *pixels = buf_extend(&s->pixels, PICTURE_BYTES);
  struct content file = { "", 0 };
  if( pixels==NULL ) fail_nomem(&c->err);
  if( sqlite3_value_type(c->args[0])==SQLITE_BLOB ) file = value_bytes(c, c->args[0]);
  if( c->err.rc!=SQLITE_OK ) return;
  if( latent_is(file.bytes, file.n) ) keep_latent(c, s, tile);
  else if( picture_is(file.bytes, file.n) ) unpack(c, file, "argument 1 (png)", pixels);
  else refuse_argument(c, 0, "png", WANTED_PICTURE);
}

/* Only the picture can be a point. A label says nothing about the kind. */
void sheet_step(struct call *c, void *state){
  struct sheet *s = state;
  struct tile tile = { 0 };
  c->n_points = 1;
  if( s->n>=PICTURES_MOST ){
    fail(&c->err, SQLITE_ERROR, "more than %d pictures, the most of one sheet", PICTURES_MOST);
    return;
  }
  keep_picture(c, s, &tile);
  tile.label = keep_label(c, &s->labels, 1);
  buf_append(&s->tiles, &tile, sizeof(tile));
  check_kept(c, &s->points, "sheet");
  check_kept(c, &s->labels, "sheet");
  check_kept(c, &s->tiles, "sheet");
  s->n++;
}

/* Gives the tiles that are latents their pixels. */
static void decode_latents(struct call *c, struct sheet *s){
  size_t most = (size_t)s->n;
  struct latent *z = arena_get(&c->arena, most*sizeof(*z));
  unsigned char **pixels = arena_get(&c->arena, most*sizeof(*pixels));
  struct decode_options o;
  int n = 0;
  if( c->arena.oom ){
    fail_nomem(&c->err);
    return;
  }
  decode_options_init(&o);
  for(int i=0; i<s->n; i++){
    const struct tile *tile = sheet_tile(s, i);
    if( tile->like.n_segments==0 ) continue;
    z[n] = tile->like;
    z[n].z = (float *)(void *)(s->points.data + tile->z);
    pixels[n++] = sheet_pixels(s, i);
  }
  if( n>0 ) decode(c, z, n, &o, pixels);
}

static struct picture draw_sheet(struct call *c, const struct sheet *s){
  struct layout l = { 0 };
  struct text lines[LINES_MOST];
  struct picture p;
  for(int i=0; i<s->n; i++){
    int n_lines = break_label(sheet_label(s, i), lines);
    if( n_lines>l.lines ) l.lines = n_lines;
  }
  lay_out(&l, s->n);
  p = make_ground(c, &l);
  if( c->err.rc!=SQLITE_OK ) return p;
  for(int i=0; i<s->n && !err_stopped(&c->err); i++){
    draw_tile(&p, &l, i, sheet_pixels(s, i));
    draw_label(&p, &l, i, sheet_label(s, i));
  }
  return p;
}

void sheet_give(struct call *c, void *state){
  struct sheet *s = state;
  struct picture p;
  if( s->n==0 ) return;
  decode_latents(c, s);
  if( c->err.rc!=SQLITE_OK ) return;
  p = draw_sheet(c, s);
  give_picture(c, &p);
}

/* ---- latent_strip(a, b, n [, options]) ---- */

/* z[n] as latent_interp() has them at t = 0 .. 1. */
static void place_points(struct call *c, const struct latent *ends, int n, struct latent *z){
  for(int i=0; i<n; i++){
    double t = interp_ease(KIND_PICTURE, (double)i/(n - 1));
    if( c->err.rc!=SQLITE_OK ) return;
    point_interp(&z[i], &ends[0], &ends[1], (float)t, &c->arena, &c->err);
  }
}

static struct picture draw_strip(struct call *c, const struct latent *ends,
                                 const struct options *o, int n){
  struct layout l = { .columns = n, .rows = 1 };
  struct latent *z = arena_get(&c->arena, (size_t)n*sizeof(*z));
  unsigned char *all = arena_get(&c->arena, (size_t)n*PICTURE_BYTES);
  unsigned char *pixels[STRIP_MOST];
  struct picture p = { 0 };
  if( c->arena.oom ) fail_nomem(&c->err);
  if( c->err.rc!=SQLITE_OK ) return p;
  for(int i=0; i<n; i++) pixels[i] = all + (size_t)i*PICTURE_BYTES;
  place_points(c, ends, n, z);
  if( c->err.rc==SQLITE_OK ) decode(c, z, n, &o->decode, pixels);
  if( c->err.rc==SQLITE_OK ) p = make_ground(c, &l);
  for(int i=0; i<n && c->err.rc==SQLITE_OK; i++) draw_tile(&p, &l, i, pixels[i]);
  return p;
}

/* Argument i as a point of kind picture. */
static struct latent get_end(struct call *c, int i, const char *name){
  struct latent z;
  if( c->err.rc==SQLITE_OK && sqlite3_value_type(c->args[i])!=SQLITE_BLOB ){
    refuse_argument(c, i, name, WANTED_PICTURE);
  }
  z = call_point(c, i, name);
  if( c->err.rc==SQLITE_OK && z.kind!=KIND_PICTURE ){
    fail(&c->err, SQLITE_ERROR, "argument %d (%s) is a latent of kind %s, expected " WANTED_PICTURE,
         i + 1, name, kind_name(z.kind));
  }
  return z;
}

void scalar_strip(struct call *c){
  int n = (int)call_integer(c, 2, "n", 2, STRIP_MOST);
  struct options o = call_options(c, 3);
  struct latent ends[2];
  struct picture p;
  ends[0] = get_end(c, 0, "a");
  ends[1] = get_end(c, 1, "b");
  p = draw_strip(c, ends, &o, n);
  give_picture(c, &p);
}
