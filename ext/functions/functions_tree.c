/*
** functions_tree.c -- latent_tree(id, parents, content [, label]): an aggregate that draws a
** family, as latent_breed() leaves it in a table. It gives SVG.
**
** 1. Each step keeps a row: its id, the ids of its parents (a JSON array, or NULL), and its picture
**    as a PNG of 64x64, or its text. The label stands below a picture; where there is none, a text
**    is its own.
** 2. A row stands one level below the lowest of its parents. Parents that are no rows are left out.
** 3. On a level rows stand in the order of the middle of their parents, so that few lines cross.
**    Levels are centred. The page is as wide as the widest.
**
** The same rows in the same order give the same bytes on every machine: see functions_svg.h.
*/
#include "functions_svg.h"
#include <string.h>

enum {
  ROWS_MOST = 1000,
  PICTURE = 64,                 /* pixels to a side of the PNGs */
  CELL = 136,                   /* width of a row's place, of the page */
  TEXT = 120,                   /* width of its text */
  LINES = 4,                    /* of a text */
  LINES_BELOW = 2,              /* of the label of a picture */
  BOX = LINES*SVG_LINE + 8,     /* height of what a row shows */
  LEVEL = 150,                  /* from one level to the next */
  MARGIN = 24
};

struct member {                 /* a row; kept are bytes of tree.bytes */
  sqlite3_int64 id;
  struct kept label, png;
  size_t parents;               /* where its own begin in tree.parents */
  int n_parents;
};
struct tree {                   /* the aggregate's memory; zeroed it is empty; owned */
  struct buf members;           /* of struct member */
  struct buf parents;           /* of sqlite3_int64 */
  struct buf bytes;
};
_Static_assert(sizeof(struct tree)<=STATE_BYTES, "the state of an aggregate fits");

void tree_release(void *state){
  struct tree *t = state;
  buf_release(&t->members);
  buf_release(&t->parents);
  buf_release(&t->bytes);
}

static int count_members(const struct tree *t){
  return (int)(t->members.n/sizeof(struct member));
}

/* ---- The rows ---- */

static void keep_parents(struct call *c, struct tree *t, struct member *m){
  static const double most = 9007199254740992.0;
  struct content text = { NULL, 0 };
  struct json j;
  double x;
  m->parents = t->parents.n/sizeof(sqlite3_int64);
  if( !call_has(c, 1) ) return;
  text = call_text(c, 1, "parents");
  if( c->err.rc!=SQLITE_OK ) return;
  j = json_of(text.bytes, text.n, "argument 2 (parents)", &c->err);
  if( !json_take(&j, '[') ) fail(&c->err, SQLITE_ERROR, "argument 2 (parents) is no JSON array");
  for(; json_more(&j, m->n_parents, ']'); m->n_parents++){
    sqlite3_int64 id;
    if( !json_number(&j, &x) || !(x>=-most && x<=most) ){
      fail(&c->err, SQLITE_ERROR, "argument 2 (parents): item %d is no id", m->n_parents);
    }
    if( c->err.rc!=SQLITE_OK ) return;
    id = (sqlite3_int64)x;
    buf_append(&t->parents, &id, sizeof(id));
  }
  json_close(&j);
}

static void keep_content(struct call *c, struct tree *t, struct member *m){
  struct content file;
  struct picture fitted;
  int is_blob = call_has(c, 2) && sqlite3_value_type(c->args[2])==SQLITE_BLOB;
  m->label = keep_label(c, &t->bytes, call_has(c, 3) || is_blob ? 3 : 2);
  m->png.at = t->bytes.n;
  if( !is_blob ) return;
  file = value_bytes(c, c->args[2]);
  if( c->err.rc==SQLITE_OK && !picture_is(file.bytes, file.n) ){
    refuse_argument(c, 2, "content", "text or a picture (PNG, JPEG)");
  }
  fitted = read_picture(c, file, PICTURE, "argument 3 (content)");
  if( c->err.rc==SQLITE_OK ) png_write(&t->bytes, &fitted, &c->err);
  m->png.n = t->bytes.n - m->png.at;
}

void tree_step(struct call *c, void *state){
  struct tree *t = state;
  struct member m = { .id = call_integer(c, 0, "id", INT64_MIN, INT64_MAX) };
  c->n_points = 0;
  if( count_members(t)>=ROWS_MOST ){
    fail(&c->err, SQLITE_ERROR, "more than %d rows, the most of one tree", ROWS_MOST);
    return;
  }
  keep_parents(c, t, &m);
  keep_content(c, t, &m);
  buf_append(&t->members, &m, sizeof(m));
  check_kept(c, &t->members, "tree");
  check_kept(c, &t->parents, "tree");
  check_kept(c, &t->bytes, "tree");
}

/* ---- Levels and places ---- */

struct place {
  const struct member *m;
  int level;                    /* -1: not known yet */
  double x;                     /* of its middle */
  double wants;                 /* the middle of its parents */
};
struct family {                 /* in the call's arena */
  const struct tree *tree;
  struct place *places;         /* [n], in the order of the rows */
  int n, n_levels;
  int *widths;                  /* [n_levels]: how many stand on each */
  int *sorted;                  /* [n]: places, scratch */
  struct key_set ids;           /* to the number of the place */
};

/* Parent k of a place; NULL: it is no row. */
static struct place *parent_at(const struct family *f, const struct place *p, int k){
  const sqlite3_int64 *ids = (const void *)f->tree->parents.data;
  int at = key_set_value(&f->ids, (uint64_t)ids[p->m->parents + (size_t)k]);
  return at<0 ? NULL : &f->places[at];
}

static void find_members(struct call *c, const struct tree *t, struct family *f){
  const struct member *members = (const void *)t->members.data;
  size_t n = (size_t)count_members(t);
  *f = (struct family){ .tree = t, .n = (int)n };
  f->ids.arena = &c->arena;
  f->ids.has_values = 1;
  f->places = arena_zeroed(&c->arena, n*sizeof(*f->places));
  f->widths = arena_zeroed(&c->arena, n*sizeof(int));
  f->sorted = arena_get(&c->arena, n*sizeof(int));
  key_set_reserve(&f->ids, n);
  if( c->arena.oom ) fail_nomem(&c->err);
  for(int i=0; i<f->n && c->err.rc==SQLITE_OK; i++){
    f->places[i] = (struct place){ .m = &members[i], .level = -1 };
    if( key_set_put(&f->ids, (uint64_t)members[i].id, i) ) continue;
    fail(&c->err, SQLITE_ERROR, "two rows have the id %lld", members[i].id);
  }
}

/* The level of a place whose parents' levels are known; false: they are not. */
static int find_level(const struct family *f, struct place *p){
  int level = 0;
  for(int k=0; k<p->m->n_parents; k++){
    const struct place *parent = parent_at(f, p, k);
    if( parent==NULL ) continue;
    if( parent->level<0 ) return 0;
    if( parent->level>=level ) level = parent->level + 1;
  }
  p->level = level;
  return 1;
}

/* Ancestors mostly come first, so that one or two rounds are enough. */
static void find_levels(struct call *c, struct family *f){
  int n_known = 0;
  while( n_known<f->n && !err_stopped(&c->err) ){
    int before = n_known;
    for(int i=0; i<f->n; i++){
      struct place *p = &f->places[i];
      if( p->level>=0 || !find_level(f, p) ) continue;
      f->widths[p->level]++;
      if( p->level>=f->n_levels ) f->n_levels = p->level + 1;
      n_known++;
    }
    if( n_known>before ) continue;
    for(int i=0; i<f->n; i++){
      if( f->places[i].level>=0 ) continue;
      fail(&c->err, SQLITE_ERROR, "row %lld is among its own ancestors, or is a child of one that "
           "is", f->places[i].m->id);
      return;
    }
  }
}

static double middle_of_parents(const struct family *f, const struct place *p, double otherwise){
  double sum = 0;
  int n = 0;
  for(int k=0; k<p->m->n_parents; k++){
    const struct place *parent = parent_at(f, p, k);
    if( parent==NULL ) continue;
    sum += parent->x;
    n++;
  }
  return n>0 ? sum/n : otherwise;
}

/* Sets x of all on a level whose parents stand. */
static void place_level(struct family *f, int level, int widest){
  double left = MARGIN + (widest - f->widths[level])*CELL/2.0 + CELL/2.0;
  int n = 0;
  for(int i=0; i<f->n; i++){
    struct place *p = &f->places[i];
    int at = n;
    if( p->level!=level ) continue;
    p->wants = middle_of_parents(f, p, left + n*CELL);
    for(; at>0 && f->places[f->sorted[at-1]].wants>p->wants; at--) f->sorted[at] = f->sorted[at-1];
    f->sorted[at] = i;
    n++;
  }
  for(int i=0; i<n; i++) f->places[f->sorted[i]].x = left + i*CELL;
}

static int place_family(struct call *c, struct family *f){
  int widest = 0;
  for(int i=0; i<f->n_levels; i++) widest = f->widths[i]>widest ? f->widths[i] : widest;
  for(int i=0; i<f->n_levels && !err_stopped(&c->err); i++) place_level(f, i, widest);
  return widest;
}

/* ---- SVG ---- */

static double top_of(const struct place *p){
  return MARGIN + (double)p->level*LEVEL;
}

/* From the foot of a parent to the head of its child. */
static void put_line(struct buf *out, const struct place *from, const struct place *to){
  double y0 = top_of(from) + BOX;
  double y1 = top_of(to);
  const double points[] = { from->x, y0, from->x, (y0 + y1)/2, to->x, (y0 + y1)/2, to->x, y1 };
  buf_str(out, "<path d=\"M");
  for(int i=0; i<8; i++){
    buf_str(out, i==2 ? " C" : i ? " " : "");
    svg_number(out, points[i]);
  }
  buf_str(out, "\"/>\n");
}

static void put_lines(struct call *c, struct buf *out, const struct family *f){
  buf_str(out, "<g fill=\"none\" stroke=\"#999\" stroke-opacity=\".6\">\n");
  for(int i=0; i<f->n && !err_stopped(&c->err); i++){
    const struct place *p = &f->places[i];
    for(int k=0; k<p->m->n_parents; k++){
      const struct place *parent = parent_at(f, p, k);
      if( parent ) put_line(out, parent, p);
    }
  }
  buf_str(out, "</g>\n");
}

static void put_box(struct buf *out, const struct place *p){
  buf_str(out, "<rect");
  svg_attribute(out, "x", p->x - TEXT/2.0 - 4);
  svg_attribute(out, "y", top_of(p));
  svg_attribute(out, "width", TEXT + 8);
  svg_attribute(out, "height", BOX);
  buf_str(out, " rx=\"6\" fill=\"#f4f4f0\" stroke=\"#bbb\"/>\n");
}

static void put_member(struct buf *out, const struct family *f, const struct place *p){
  const char *bytes = f->tree->bytes.n ? f->tree->bytes.data : "";
  const struct member *m = p->m;
  const char *label = bytes + m->label.at;
  struct svg_line lines[LINES];
  int has_picture = m->png.n>0;
  double top = top_of(p);
  int n, is_whole;
  n = svg_break(lines, has_picture ? LINES_BELOW : LINES, label, m->label.n, TEXT, &is_whole);
  buf_str(out, "<g><title>");
  buf_printf(out, "%lld: ", (long long)m->id);
  svg_text(out, label, m->label.n);
  buf_str(out, "</title>\n");
  if( has_picture ){
    svg_picture(out, p->x - PICTURE/2.0, top, PICTURE, (const unsigned char *)bytes + m->png.at,
                m->png.n);
  }else{
    put_box(out, p);
  }
  top += has_picture ? BOX : (BOX - n*SVG_LINE)/2.0;
  svg_lines(out, lines, n, p->x, top, "middle");
  buf_str(out, "</g>\n");
}

void tree_give(struct call *c, void *state){
  const struct tree *t = state;
  struct buf out = call_buf(c);
  struct family f;
  int w, h;
  if( count_members(t)==0 ) return;
  find_members(c, t, &f);
  if( c->err.rc==SQLITE_OK ) find_levels(c, &f);
  if( c->err.rc!=SQLITE_OK ) return;
  w = place_family(c, &f)*CELL + 2*MARGIN;
  h = (f.n_levels - 1)*LEVEL + BOX + LINES_BELOW*SVG_LINE + 2*MARGIN;
  buf_printf(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\"", w, h);
  buf_printf(&out, " width=\"%d\" height=\"%d\" role=\"img\"", w, h);
  buf_printf(&out, " aria-label=\"A family of %d\">\n", f.n);
  buf_printf(&out, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", w, h);
  put_lines(c, &out, &f);
  buf_str(&out, "<g font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\"");
  buf_printf(&out, " font-size=\"%d\" fill=\"#333\">\n", SVG_FONT);
  for(int i=0; i<f.n && !err_stopped(&c->err); i++) put_member(&out, &f, &f.places[i]);
  buf_str(&out, "</g>\n</svg>\n");
  result_buf(c, &out);
}
