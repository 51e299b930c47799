/*
** functions_plot.c -- latent_plot(z, label [, picture]): an aggregate that draws a table as a map.
** It gives SVG. Rows that are near in meaning lie near each other.
**
** 1. Each step keeps the row's s (of a document: the mean of its segments), its label, and its
**    picture as a PNG of 64x64.
** 2. points_map() finds places in the plane, and groups, which become colours.
** 3. The places are fitted to a page whose area grows with the number of rows. Marks (dots and
**    pictures) that cover each other are moved apart.
** 4. In the order of the rows, each label takes the first place beside its mark that nothing
**    covers. If there is none the label is left out. The tooltip of a mark has all of it, up to 300
**    characters (functions_keep.c).
**
** The same rows give the same bytes on every machine. For that everything is computed in whole
** numbers, or in doubles with + - * / sqrt() floor() fabs() alone, whose bits IEEE 754 defines. The
** widths of characters come from a table.
**
** What the aggregate holds lies in its struct plot. SQLite ends every aggregate, also after a step
** that failed and after a statement that was reset in the middle, and then plot_release() frees it.
*/
#include "functions_svg.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum {
  POINTS_MOST = 2000,           /* rows of a map */
  PICTURE = 64,                 /* pixels to a side of the PNGs */
  GROUPS_MOST = 8,
  /* The page, in its own units. */
  AREA = 10500,                 /* of a row and its label */
  WIDTH_LEAST = 640,
  WIDTH_MOST = 2400,
  MARGIN = 40,
  /* Marks. */
  DOT = 4,                      /* radius */
  PICTURE_LEAST = 20,           /* sizes at which pictures are shown */
  PICTURE_LARGEST = 48,
  APART = 4,                    /* between two marks */
  SPREAD_STEPS = 100,           /* how often all pairs of marks are looked at, at most */
  /* Labels. */
  LINES_MOST = 3,
  GAP = 4                       /* between a mark and its label */
};
static const char *const COLOURS[GROUPS_MOST] = {
  "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#3fa7a0", "#9c755f", "#c9a227"
};

/* ---- The rows ---- */

struct plot_row {               /* bytes of plot.bytes */
  struct kept label;
  struct kept png;
};
/* The aggregate's memory. As SQLite zeroes it, it is empty. The buffers are owned. */
struct plot {
  struct buf s;                 /* floats [n, width] */
  struct buf rows;              /* of struct plot_row */
  struct buf bytes;
  int n;                        /* rows */
  int width;                    /* of s */
};
_Static_assert(sizeof(struct plot)<=STATE_BYTES, "the state of an aggregate fits");

void plot_release(void *state){
  struct plot *p = state;
  buf_release(&p->s);
  buf_release(&p->rows);
  buf_release(&p->bytes);
}

static void keep_point(struct call *c, struct plot *p){
  struct latent z = call_point(c, 0, "z");
  float *mean;
  latent_model(c, &z);          /* latent_load() may have come in between */
  if( c->err.rc!=SQLITE_OK ) return;
  if( p->n==0 ) p->width = z.s;         /* points of other kinds are cut or filled to it */
  mean = arena_floats(&c->arena, (size_t)p->width);
  if( mean==NULL ){
    fail_nomem(&c->err);
    return;
  }
  point_s(mean, p->width, &z, 0, z.n_segments);
  buf_append(&p->s, mean, sizeof(float)*(size_t)p->width);
}

/* The picture as a PNG of one size, however large it came. */
static struct kept keep_picture(struct call *c, struct plot *p){
  struct kept png = { .at = p->bytes.n };
  struct content file = { "", 0 };
  struct picture fitted;
  if( c->err.rc!=SQLITE_OK || !call_has(c, 2) ) return png;
  if( sqlite3_value_type(c->args[2])==SQLITE_BLOB ) file = value_bytes(c, c->args[2]);
  if( c->err.rc==SQLITE_OK && !picture_is(file.bytes, file.n) ){
    refuse_argument(c, 2, "picture", "a picture (PNG, JPEG) or NULL");
  }
  fitted = read_picture(c, file, PICTURE, "argument 3 (picture)");
  if( c->err.rc==SQLITE_OK ) png_write(&p->bytes, &fitted, &c->err);
  png.n = p->bytes.n - png.at;
  return png;
}

/* Only z can be a point. Label and picture say nothing about the kind. */
void plot_step(struct call *c, void *state){
  struct plot *p = state;
  struct plot_row row;
  c->n_points = 1;
  if( p->n>=POINTS_MOST ){
    fail(&c->err, SQLITE_ERROR, "more than %d rows, the most of one map", POINTS_MOST);
    return;
  }
  keep_point(c, p);
  row.label = keep_label(c, &p->bytes, 1);
  row.png = keep_picture(c, p);
  buf_append(&p->rows, &row, sizeof(row));
  check_kept(c, &p->s, "map");
  check_kept(c, &p->bytes, "map");
  check_kept(c, &p->rows, "map");
  p->n++;
}

/* ---- The page ---- */

struct box { double left, top, right, bottom; };
struct mark {
  double x, y;                  /* its centre */
  double half;                  /* of its width and height */
  int group;
  const char *label;            /* all of it; borrowed from the plot, like the PNG */
  size_t label_bytes;
  const unsigned char *png;
  size_t png_bytes;             /* 0: the mark is a dot */
};
struct label {
  struct svg_line lines[LINES_MOST];    /* borrowed from the mark's */
  int n_lines;                  /* 0: there is no label, or no place for it */
  int is_whole;                 /* nothing is cut, and no word is broken */
  struct box box;
  const char *anchor;           /* SVG's text-anchor */
  double x;                     /* where the anchor is */
};
struct page {
  int width, height;
  struct mark *marks;           /* [n], like the labels */
  struct label *labels;
  int n;
};

static double clamp(double x, double least, double most){
  if( x<least ) return least;
  return x>most ? most : x;
}

static struct box mark_box(const struct mark *m, double room){
  double half = m->half + room;
  return (struct box){ m->x - half, m->y - half, m->x + half, m->y + half };
}

static int boxes_meet(const struct box *a, const struct box *b){
  return a->left<b->right && b->left<a->right && a->top<b->bottom && b->top<a->bottom;
}

/* The page is as large as the rows need, has about the proportions of what is on it, and is never
** higher than wide. */
static void size_page(struct page *p, double wide, double high){
  double share = clamp(wide>0 ? high/wide : 0, 0.6, 1);
  p->width = (int)clamp(sqrt(p->n*AREA/share), WIDTH_LEAST, WIDTH_MOST);
  p->height = (int)(p->width*share);
}

static void find_range(const double *x, int n, double *least, double *most){
  *least = x[0];
  *most = x[0];
  for(int i=1; i<n; i++){
    if( x[i]<*least ) *least = x[i];
    if( x[i]>*most ) *most = x[i];
  }
}

/* Places in units of the map become marks in the middle of the page, at one scale for both
** directions. Where the map is higher than wide its axes change places. */
static void fit_marks(struct page *p, const double *x, const double *y){
  double left, right, top, bottom;
  double scale, scale_x, scale_y;
  find_range(x, p->n, &left, &right);
  find_range(y, p->n, &top, &bottom);
  if( bottom-top>right-left ){
    fit_marks(p, y, x);
    return;
  }
  size_page(p, right-left, bottom-top);
  scale_x = right>left ? (p->width - 4*MARGIN)/(right-left) : 1;
  scale_y = bottom>top ? (p->height - 2*MARGIN)/(bottom-top) : scale_x;
  scale = scale_x<scale_y ? scale_x : scale_y;
  for(int i=0; i<p->n; i++){
    p->marks[i].x = p->width/2.0 + (x[i] - (left+right)/2)*scale;
    p->marks[i].y = p->height/2.0 + (y[i] - (top+bottom)/2)*scale;
  }
}

/* ---- Marks apart ---- */

/* Two dots that are too near part along the line between them. So the dots of equal rows come to
** lie in a disc. Returns whether they moved. */
static int part_dots(struct mark *a, struct mark *b){
  double need = a->half + b->half + APART;
  double dx = b->x - a->x;
  double dy = b->y - a->y;
  double distance = dx*dx + dy*dy;
  double push;
  if( distance>=need*need ) return 0;
  distance = sqrt(distance);
  if( distance<1e-9 ){          /* at one place: some part sideways, some upwards */
    distance = 1e-9;
    if( (b - a)%2 ) dx = distance;
    else dy = distance;
  }
  push = (need - distance)/2/distance;
  a->x -= push*dx;
  a->y -= push*dy;
  b->x += push*dx;
  b->y += push*dy;
  return 1;
}

/* If one of them is a picture they part in the direction that needs less. Between two pictures
** there is room for a caption. */
static int part_pictures(struct mark *a, struct mark *b){
  int has_captions = a->png_bytes>0 && b->png_bytes>0;
  double need_x = a->half + b->half + (has_captions ? SVG_LINE : APART);
  double need_y = a->half + b->half + (has_captions ? 2*SVG_LINE : APART);
  double dx = b->x - a->x;
  double dy = b->y - a->y;
  double over_x = (need_x - fabs(dx))/2;
  double over_y = (need_y - fabs(dy))/2;
  if( over_x<=0 || over_y<=0 ) return 0;
  if( over_x<=over_y ){
    a->x -= dx<0 ? -over_x : over_x;
    b->x += dx<0 ? -over_x : over_x;
  }else{
    a->y -= dy<0 ? -over_y : over_y;
    b->y += dy<0 ? -over_y : over_y;
  }
  return 1;
}

static int part_marks(struct mark *a, struct mark *b){
  int are_dots = a->png_bytes==0 && b->png_bytes==0;
  return are_dots ? part_dots(a, b) : part_pictures(a, b);
}

static void spread_marks(struct call *c, struct page *p){
  int has_moved = 1;
  for(int step=0; step<SPREAD_STEPS && has_moved; step++){
    has_moved = 0;
    if( err_stopped(&c->err) ) return;
    for(int i=0; i<p->n; i++){
      for(int k=i+1; k<p->n; k++) has_moved |= part_marks(&p->marks[i], &p->marks[k]);
    }
  }
}

/* The page grows where marks have left it, and all marks move to its middle. */
static void centre_marks(struct page *p){
  struct box all = mark_box(&p->marks[0], 0);
  for(int i=1; i<p->n; i++){
    struct box box = mark_box(&p->marks[i], 0);
    if( box.left<all.left ) all.left = box.left;
    if( box.top<all.top ) all.top = box.top;
    if( box.right>all.right ) all.right = box.right;
    if( box.bottom>all.bottom ) all.bottom = box.bottom;
  }
  if( all.right-all.left + 3*MARGIN>p->width ) p->width = (int)(all.right-all.left) + 3*MARGIN;
  if( all.bottom-all.top + 2*MARGIN>p->height ) p->height = (int)(all.bottom-all.top) + 2*MARGIN;
  for(int i=0; i<p->n; i++){
    p->marks[i].x += (p->width - all.left - all.right)/2;
    p->marks[i].y += (p->height - all.top - all.bottom)/2;
  }
}

/* ---- Lines of a label ---- */

struct label_shape { int width, lines; };       /* most of a label */

static void break_label(struct label *l, const struct mark *m, struct label_shape shape){
  l->n_lines = svg_break(l->lines, shape.lines, m->label, m->label_bytes, shape.width,
                         &l->is_whole);
}

/* Makes the lines as even as they can be, without another line. */
static void balance_label(struct label *l, const struct mark *m, int width){
  struct label_shape shape = { .width = width, .lines = l->n_lines };
  struct label narrower = *l;
  while( shape.lines>1 && narrower.is_whole && shape.width>0 ){
    *l = narrower;
    shape.width -= SVG_FONT;
    break_label(&narrower, m, shape);
  }
}

static double label_width(const struct label *l){
  double most = 0;
  for(int i=0; i<l->n_lines; i++){
    double width = svg_line_width(&l->lines[i]);
    if( width>most ) most = width;
  }
  return most;
}

/* ---- Places of labels ---- */

/* Of a label, seen from its mark. across: 1 right, -1 left, 0 in the middle; down: 1 below, -1
** above, 0 at the same height. */
struct side { int across, down; };

enum { N_SHAPES = 2, SIDES_MOST = 8 };
struct manner {                 /* how labels are tried */
  struct label_shape shapes[N_SHAPES];        /* the second where there is no room for the first */
  struct side sides[SIDES_MOST];        /* the best first */
  int n_sides;
};
static const struct manner NAME = {
  .shapes = { { 160, 2 }, { 110, 3 } },
  .sides = { { 1, 0 }, { -1, 0 }, { 1, 1 }, { 1, -1 }, { -1, 1 }, { -1, -1 }, { 0, 1 }, { 0, -1 } },
  .n_sides = 8
};
/* Not above: there it would read as the caption of the picture above. */
static const struct manner CAPTION = {
  .shapes = { { 76, 2 }, { 120, 2 } },
  .sides = { { 0, 1 }, { 1, 0 }, { -1, 0 } },
  .n_sides = 3
};

static double label_left(const struct mark *m, int across, double width){
  double room = m->half + GAP;
  if( across>0 ) return m->x + room;
  if( across<0 ) return m->x - room - width;
  return m->x - width/2;
}

/* Above and below stand close to the mark. At a corner a label reaches a little past its middle. */
static double label_top(const struct mark *m, struct side side, double height){
  double room = m->half + GAP;
  if( side.down==0 ) return m->y - height/2;
  if( side.across==0 ) return side.down>0 ? m->y + room - 2 : m->y - room + 1 - height;
  return side.down>0 ? m->y - 2 : m->y + 2 - height;
}

static void set_beside(struct label *l, const struct mark *m, struct side side, double width){
  double height = l->n_lines*SVG_LINE;
  double left = label_left(m, side.across, width);
  double top = label_top(m, side, height);
  l->box = (struct box){ left, top, left + width, top + height };
  l->anchor = "middle";
  l->x = m->x;
  if( side.across>0 ){
    l->anchor = "start";
    l->x = left;
  }else if( side.across<0 ){
    l->anchor = "end";
    l->x = left + width;
  }
}

/* Is the label on the page, and does it touch no other mark and no label that was placed before? */
static int is_free(const struct page *p, int i){
  const struct box *box = &p->labels[i].box;
  if( box->left<GAP || box->right>p->width-GAP ) return 0;
  if( box->top<GAP || box->bottom>p->height-GAP ) return 0;
  for(int k=0; k<p->n; k++){
    struct box mark = mark_box(&p->marks[k], 1);
    if( k!=i && boxes_meet(box, &mark) ) return 0;
    if( k<i && p->labels[k].n_lines>0 && boxes_meet(box, &p->labels[k].box) ) return 0;
  }
  return 1;
}

/* Places the label if there is room for it in this shape. must_be_whole: only if nothing of it is
** cut or broken. Returns whether it has a place. */
static int place_shape(struct page *p, int i, const struct manner *how,
                       struct label_shape shape, int must_be_whole){
  struct label *l = &p->labels[i];
  const struct mark *m = &p->marks[i];
  assert( shape.lines<=LINES_MOST );
  break_label(l, m, shape);
  if( must_be_whole && !l->is_whole ) return 0;
  balance_label(l, m, shape.width);
  for(int k=0; k<how->n_sides && l->n_lines>0; k++){
    set_beside(l, m, how->sides[k], label_width(l));
    if( is_free(p, i) ) return 1;
  }
  return 0;
}

/* A label under a picture reads as its caption; beside a dot, as its name. Whole labels are tried
** first, in both shapes. */
static void place_label(struct page *p, int i){
  const struct manner *how = p->marks[i].png_bytes>0 ? &CAPTION : &NAME;
  for(int must_be_whole=1; must_be_whole>=0; must_be_whole--){
    for(int k=0; k<N_SHAPES; k++){
      if( place_shape(p, i, how, how->shapes[k], must_be_whole) ) return;
    }
  }
  p->labels[i].n_lines = 0;
}

/* ---- SVG ---- */

static void put_mark(struct buf *out, const struct mark *m){
  buf_str(out, "<g>");
  if( m->label_bytes>0 ){
    buf_str(out, "<title>");
    svg_text(out, m->label, m->label_bytes);
    buf_str(out, "</title>");
  }
  if( m->png_bytes>0 ){
    svg_picture(out, m->x - m->half, m->y - m->half, 2*m->half, m->png, m->png_bytes);
  }else{
    buf_str(out, "<circle");
    svg_attribute(out, "cx", m->x);
    svg_attribute(out, "cy", m->y);
    buf_printf(out, " r=\"%d\" fill=\"%s\"/>", DOT, COLOURS[m->group]);
  }
  buf_str(out, "</g>\n");
}

/* Under everything else, each mark glows in its colour. That shows where groups lie. */
static void put_ground(struct buf *out, const struct page *p){
  buf_printf(out, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", p->width, p->height);
  buf_str(out, "<g fill-opacity=\".07\">\n");
  for(int i=0; i<p->n; i++){
    buf_str(out, "<circle");
    svg_attribute(out, "cx", p->marks[i].x);
    svg_attribute(out, "cy", p->marks[i].y);
    svg_attribute(out, "r", 24 + p->marks[i].half);
    buf_printf(out, " fill=\"%s\"/>\n", COLOURS[p->marks[i].group]);
  }
  buf_str(out, "</g>\n");
}

static void put_page(struct buf *out, const struct page *p){
  int w = p->width;
  int h = p->height;
  buf_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\"", w, h);
  buf_printf(out, " width=\"%d\" height=\"%d\" role=\"img\"", w, h);
  buf_printf(out, " aria-label=\"A map of %d rows\">\n", p->n);
  put_ground(out, p);
  for(int i=0; i<p->n; i++) put_mark(out, &p->marks[i]);
  buf_str(out, "<g font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\"");
  buf_printf(out, " font-size=\"%d\" fill=\"#333\"", SVG_FONT);
  buf_str(out, " stroke=\"#fff\" stroke-width=\"3\" stroke-opacity=\".8\" paint-order=\"stroke\""
               " stroke-linejoin=\"round\" pointer-events=\"none\">\n");
  for(int i=0; i<p->n; i++){
    const struct label *l = &p->labels[i];
    svg_lines(out, l->lines, l->n_lines, l->x, l->box.top, l->anchor);
  }
  buf_str(out, "</g>\n</svg>\n");
}

/* ---- latent_plot(z, label [, picture]) ---- */

/* Half the size of pictures. The size leaves about half of the page free. */
static double picture_half(const struct page *p){
  double side = sqrt(0.3*p->width*p->height/p->n);
  return clamp(side, PICTURE_LEAST, PICTURE_LARGEST)/2;
}

/* All but the places, which fit_marks() has set. */
static void set_marks(struct page *p, const struct plot *plot, const int *group){
  const struct plot_row *rows = (const void *)plot->rows.data;
  const char *bytes = plot->bytes.n ? plot->bytes.data : "";
  for(int i=0; i<p->n; i++){
    const struct plot_row *row = &rows[i];
    struct mark *m = &p->marks[i];
    m->group = group[i];
    m->half = row->png.n>0 ? picture_half(p) : DOT;
    m->label = bytes + row->label.at;
    m->label_bytes = row->label.n;
    m->png = (const unsigned char *)bytes + row->png.at;
    m->png_bytes = row->png.n;
  }
}

/* Few rows need few colours. */
static int count_groups(int n){
  int n_groups = n/12 + 2;
  if( n<6 ) return 1;
  return n_groups<GROUPS_MOST ? n_groups : GROUPS_MOST;
}

/* Everything on the page, in the call's arena. */
static void draw_page(struct call *c, const struct plot *plot, struct page *p){
  size_t n = (size_t)plot->n;
  const float *s = (const void *)plot->s.data;
  double *x = arena_get(&c->arena, n*sizeof(*x));
  double *y = arena_get(&c->arena, n*sizeof(*y));
  int *group = arena_get(&c->arena, n*sizeof(*group));
  int n_groups = count_groups(plot->n);
  p->n = plot->n;
  p->marks = arena_zeroed(&c->arena, n*sizeof(*p->marks));
  p->labels = arena_zeroed(&c->arena, n*sizeof(*p->labels));
  if( c->arena.oom ){
    fail_nomem(&c->err);
    return;
  }
  if( points_map(&c->run, s, p->n, plot->width, n_groups, x, y, group)!=SQLITE_OK ) return;
  fit_marks(p, x, y);
  set_marks(p, plot, group);
  spread_marks(c, p);
  if( c->err.rc!=SQLITE_OK ) return;
  centre_marks(p);
  for(int i=0; i<p->n && !err_stopped(&c->err); i++) place_label(p, i);
}

void plot_give(struct call *c, void *state){
  const struct plot *plot = state;
  struct page page = { 0 };
  struct buf out = call_buf(c);
  if( plot->n==0 ) return;
  draw_page(c, plot, &page);
  if( c->err.rc==SQLITE_OK ) put_page(&out, &page);
  result_buf(c, &out);
}
