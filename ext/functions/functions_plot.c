/*
** functions_plot.c -- latent_plot(z, label [, picture]): an aggregate that draws a table as a map, rows near each other that are near in meaning. It gives SVG.
**
**   1. Each step keeps the row's s (a document's: the mean of its segments), its label, and its picture as a PNG of 64x64.
**   2. points_map() finds places in the plane, and groups for the colours.
**   3. The places are fitted to a page whose area grows with the number of rows, and marks (dots, pictures) that cover each other are moved apart.
**   4. In the order of the rows, each label takes the first place beside its mark that nothing covers. One that finds none is left to the mark's tooltip, which
**      has every label in full.
**
** All in whole numbers or double arithmetic without libm, lengths of text from a table, so the same rows give the same bytes on every machine.
** What the aggregate holds lies in its struct plot and is freed by plot_final(), which SQLite calls on every way out.
*/
#include "functions.h"
#include <math.h>
#include <string.h>

enum { POINTS_MOST = 2000, PICTURE = 64, GROUPS_MOST = 8 };
enum { AREA = 10500, WIDTH_LEAST = 640, WIDTH_MOST = 2400, MARGIN = 40 };     /* of the page, in its own units; AREA of a row and its label */
enum { DOT = 4, PICTURE_LEAST = 20, PICTURE_LARGEST = 48 };     /* radius of a dot; sizes at which pictures are shown */
enum { APART = 4, SPREAD_STEPS = 100 };         /* between marks; how often they are looked at */
enum { FONT = 12, LINE = 14, LINES_MOST = 3, GAP = 4 };
static const char *const COLOURS[GROUPS_MOST] = { "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#3fa7a0", "#9c755f", "#c9a227" };

/* ---- The rows ---- */

struct row {                    /* offsets into plot.bytes; 0 bytes: none */
  size_t label, label_bytes;
  size_t png, png_bytes;
};
struct plot {                   /* the aggregate's memory; as SQLite zeroes it: empty. The buffers are owned: plot_release() */
  struct buf s;                 /* floats [n, width] */
  struct buf rows;              /* of struct row */
  struct buf bytes;
  int n, width;
};
_Static_assert(sizeof(struct plot)<=STATE_BYTES, "the state of an aggregate fits");

void plot_release(void *state){
  struct plot *p = state;
  buf_release(&p->s);
  buf_release(&p->rows);
  buf_release(&p->bytes);
}

static void hold_point(struct call *c, struct plot *p){
  struct latent z = call_point(c, 0, "z");
  float *mean;
  latent_model(c, &z);          /* latent_load() may have come in between */
  if( c->err.rc!=SQLITE_OK ) return;
  if( p->n>0 && z.s!=p->width ){
    fail(&c->err, SQLITE_ERROR, "argument 1 (z) has an s of width %d, the rows before it %d: these kinds cannot be compared", z.s, p->width);
    return;
  }
  p->width = z.s;
  mean = arena_floats(&c->arena, (size_t)z.width);
  if( mean==NULL ){
    fail_nomem(&c->err);
    return;
  }
  point_mean(mean, &z);
  buf_append(&p->s, mean, sizeof(float)*(size_t)p->width);
}

/* A label is what the value is as text. */
static void hold_label(struct call *c, struct plot *p, struct row *row){
  const char *text;
  if( c->err.rc!=SQLITE_OK || !call_has(c, 1) ) return;
  text = (const char *)sqlite3_value_text(c->args[1]);
  if( text==NULL ){
    fail_nomem(&c->err);
    return;
  }
  row->label = p->bytes.n;
  row->label_bytes = (size_t)sqlite3_value_bytes(c->args[1]);
  buf_append(&p->bytes, text, row->label_bytes);
}

/* As a PNG of one size, however large it came. */
static void hold_picture(struct call *c, struct plot *p, struct row *row){
  struct picture came, fitted;
  struct content file = { "", 0 };
  struct err *e = &c->err;
  if( e->rc!=SQLITE_OK || !call_has(c, 2) ) return;
  if( sqlite3_value_type(c->args[2])==SQLITE_BLOB ) file = value_bytes(c, c->args[2]);
  if( e->rc==SQLITE_OK && !picture_is(file.bytes, file.n) ) refuse_argument(c, 2, "picture", "a picture (PNG, JPEG) or NULL");
  if( e->rc!=SQLITE_OK ) return;
  if( picture_read(&came, file.bytes, file.n, &c->arena, "argument 3 (picture)", e)!=SQLITE_OK ) return;
  if( picture_fit(&fitted, &came, PICTURE, &c->arena, e)!=SQLITE_OK ) return;
  row->png = p->bytes.n;
  if( png_write(&p->bytes, &fitted, e)!=SQLITE_OK ) return;
  row->png_bytes = p->bytes.n - row->png;
}

/* Only z can be a point: label and picture say nothing about the kind. */
void plot_step(struct call *c, void *state){
  struct plot *p = state;
  struct row row = { 0 };
  int rc;
  c->n_points = 1;
  if( p->n>=POINTS_MOST ){
    fail(&c->err, SQLITE_ERROR, "more than %d rows, the most of one map", POINTS_MOST);
    return;
  }
  hold_point(c, p);
  hold_label(c, p, &row);
  hold_picture(c, p, &row);
  buf_append(&p->rows, &row, sizeof(row));
  rc = p->s.rc ? p->s.rc : p->bytes.rc ? p->bytes.rc : p->rows.rc;
  if( rc==SQLITE_TOOBIG ) fail(&c->err, rc, "the rows hold too much for one map");
  else if( rc!=SQLITE_OK ) fail_nomem(&c->err);
  p->n++;
}

/* ---- The page ---- */

struct box { double left, top, right, bottom; };
struct mark {
  double x, y;                  /* its centre */
  double half;                  /* of its width and height */
  int group;
  const char *label; size_t label_bytes;        /* as the row has them */
  const unsigned char *png; size_t png_bytes;
};
struct line { const char *text; size_t n; int is_cut; };
struct label {
  struct line lines[LINES_MOST];
  int n_lines;                  /* 0: none, or no place for it */
  int is_whole;                 /* nothing is cut, and no word broken */
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

static struct box mark_box(const struct mark *m, double room){
  double half = m->half + room;
  return (struct box){ m->x-half, m->y-half, m->x+half, m->y+half };
}

static int boxes_meet(const struct box *a, const struct box *b){
  return a->left<b->right && b->left<a->right && a->top<b->bottom && b->top<a->bottom;
}

/* The length of the page's sides: as wide as the rows need, in the proportions of what is on it, lying rather than standing. */
static void size_page(struct page *p, double wide, double high){
  double share = wide>0 ? high/wide : 0;
  share = share<0.6 ? 0.6 : share>1 ? 1 : share;
  p->width = (int)sqrt(p->n*AREA/share);
  p->width = p->width<WIDTH_LEAST ? WIDTH_LEAST : p->width>WIDTH_MOST ? WIDTH_MOST : p->width;
  p->height = (int)(p->width*share);
}

static void find_range(const double *x, int n, double *least, double *most){
  *least = *most = x[0];
  for(int i=1; i<n; i++){
    if( x[i]<*least ) *least = x[i];
    if( x[i]>*most ) *most = x[i];
  }
}

/* Places in units of the map -> marks on the page, at one scale for both directions, in its middle. */
static void fit_marks(struct page *p, const double *x, const double *y){
  double left, right, top, bottom, scale_x, scale_y, scale;
  find_range(x, p->n, &left, &right);
  find_range(y, p->n, &top, &bottom);
  if( bottom-top > right-left ){                /* lying rather than standing: the axes change places */
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

/* Two dots that are too near part along the line between them: those of equal rows come to lie in a disc. */
static int part_dots(struct mark *a, struct mark *b){
  double need = a->half + b->half + APART, dx = b->x - a->x, dy = b->y - a->y, distance = dx*dx + dy*dy, push;
  if( distance>=need*need ) return 0;
  distance = sqrt(distance);
  if( distance<1e-9 ) *((b-a)%2 ? &dx : &dy) = distance = 1e-9;        /* at one place: some to the side, some up */
  push = (need - distance)/2/distance;
  a->x -= push*dx;
  a->y -= push*dy;
  b->x += push*dx;
  b->y += push*dy;
  return 1;
}

/* Where a picture is one of them, they part in the direction that needs less. Between pictures is room for a caption. */
static int part_pictures(struct mark *a, struct mark *b){
  int captions = a->png_bytes>0 && b->png_bytes>0;
  double need_x = a->half + b->half + (captions ? LINE : APART), need_y = a->half + b->half + (captions ? 2*LINE : APART);
  double dx = b->x - a->x, dy = b->y - a->y, over_x = (need_x - fabs(dx))/2, over_y = (need_y - fabs(dy))/2;
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
  return a->png_bytes==0 && b->png_bytes==0 ? part_dots(a, b) : part_pictures(a, b);
}

static int spread_marks(struct call *c, struct page *p){
  int moved = 1;
  for(int step=0; step<SPREAD_STEPS && moved; step++){
    moved = 0;
    if( run_stopped(&c->run) ) return c->err.rc;
    for(int i=0; i<p->n; i++){
      for(int k=i+1; k<p->n; k++) moved |= part_marks(&p->marks[i], &p->marks[k]);
    }
  }
  return SQLITE_OK;
}

/* The page grows where marks have left it, and all are moved to its middle. */
static void centre_marks(struct page *p){
  struct box all = mark_box(&p->marks[0], 0);
  for(int i=1; i<p->n; i++){
    struct box box = mark_box(&p->marks[i], 0);
    if( box.left<all.left ) all.left = box.left;
    if( box.top<all.top ) all.top = box.top;
    if( box.right>all.right ) all.right = box.right;
    if( box.bottom>all.bottom ) all.bottom = box.bottom;
  }
  if( all.right-all.left + 3*MARGIN > p->width ) p->width = (int)(all.right-all.left) + 3*MARGIN;
  if( all.bottom-all.top + 2*MARGIN > p->height ) p->height = (int)(all.bottom-all.top) + 2*MARGIN;
  for(int i=0; i<p->n; i++){
    p->marks[i].x += (p->width - all.left - all.right)/2;
    p->marks[i].y += (p->height - all.top - all.bottom)/2;
  }
}

/* ---- Labels ---- */

/* About the width of the character at text[0..n) in a sans-serif font, a wide one, in thousandths of its size; *bytes it takes. */
static int character_width(const char *text, size_t n, int *bytes){
  *bytes = utf8_length(text, n);
  if( *bytes>2 ) return 1000;
  if( *bytes!=1 ){
    if( *bytes==0 ) *bytes = 1;
    return 650;
  }
  if( strchr("ijl.,:;'|!", text[0]) ) return 320;
  if( strchr("ftr()[]{}/\\-\" I", text[0]) ) return 400;
  if( strchr("mwMW@%", text[0]) ) return 960;
  return text[0]>='A' && text[0]<='Z' ? 720 : 620;
}

static double text_width(const char *text, size_t n){
  int bytes, sum = 0;
  for(size_t i=0; i<n && sum<1000000; i+=(size_t)bytes) sum += character_width(text+i, n-i, &bytes);
  return sum*FONT/1000.0;
}

/* Bytes of the longest beginning that is at most `width` wide. */
static size_t text_fits(const char *text, size_t n, int width){
  int bytes, sum = 0;
  size_t i = 0;
  for(; i<n; i+=(size_t)bytes){
    sum += character_width(text+i, n-i, &bytes);
    if( sum*FONT > width*1000 ) break;
  }
  return i;
}

static int is_space(char c){
  return c==' ' || c=='\n' || c=='\t' || c=='\r';
}

/* Without the spaces around it. */
static struct line trimmed(const char *text, size_t n){
  while( n>0 && is_space(text[0]) ){ text++; n--; }
  while( n>0 && is_space(text[n-1]) ) n--;
  return (struct line){ text, n, 0 };
}

/* Bytes of `rest` on one line: to its end, to the last space that fits, or to what fits of a long word. */
static size_t line_bytes(const struct line *rest, int width){
  size_t fits = text_fits(rest->text, rest->n, width), word = fits;
  if( fits==rest->n ) return fits;
  while( word>0 && !is_space(rest->text[word]) ) word--;
  return word>0 ? word : fits;
}

/* Up to `lines` lines, broken at spaces; the last one is cut where more would follow. */
static void break_label(struct label *l, const char *text, size_t n, int width, int lines){
  struct line rest = trimmed(text, n);
  l->is_whole = 1;
  for(l->n_lines=0; rest.n>0 && l->n_lines<lines; l->n_lines++){
    size_t at = line_bytes(&rest, width);
    l->lines[l->n_lines] = trimmed(rest.text, at);
    l->is_whole &= at==rest.n || is_space(rest.text[at]);
    rest = trimmed(rest.text+at, rest.n-at);
  }
  if( rest.n>0 ) l->lines[lines-1].is_cut = 1;
  l->is_whole &= rest.n==0;
}

/* The same number of lines, as even as they can be. */
static void balance_label(struct label *l, const char *text, size_t n, int width){
  struct label narrower = *l;
  int lines = l->n_lines;
  while( lines>1 && narrower.is_whole && width>0 ){
    *l = narrower;
    width -= FONT;
    break_label(&narrower, text, n, width, lines);
  }
}

static double label_width(const struct label *l){
  double most = 0;
  for(int i=0; i<l->n_lines; i++){
    double width = text_width(l->lines[i].text, l->lines[i].n) + (l->lines[i].is_cut ? FONT : 0);
    if( width>most ) most = width;
  }
  return most;
}

enum side { RIGHT, LEFT, BELOW, ABOVE, RIGHT_BELOW, RIGHT_ABOVE, LEFT_BELOW, LEFT_ABOVE, N_SIDES };
enum { N_SHAPES = 2 };
struct manner {                 /* in which labels are tried */
  struct { int width, lines; } shapes[N_SHAPES];        /* the second where there is no room for the first */
  enum side sides[N_SIDES];     /* the best first */
  int n_sides;
};
static const struct manner NAME = { { { 160, 2 }, { 110, 3 } }, { RIGHT, LEFT, RIGHT_BELOW, RIGHT_ABOVE, LEFT_BELOW, LEFT_ABOVE, BELOW, ABOVE }, 8 };
/* Not above: there it would read as that of the picture above. */
static const struct manner CAPTION = { { { 76, 2 }, { 120, 2 } }, { BELOW, RIGHT, LEFT }, 3 };

static void set_beside(struct label *l, const struct mark *m, enum side side, double width){
  int is_right = side==RIGHT || side==RIGHT_BELOW || side==RIGHT_ABOVE, is_left = side==LEFT || side==LEFT_BELOW || side==LEFT_ABOVE;
  double height = l->n_lines*LINE, room = m->half + GAP, left = m->x - width/2, top = m->y - height/2;
  if( is_right ) left = m->x + room;
  if( is_left ) left = m->x - room - width;
  if( side==BELOW ) top = m->y + room - 2;
  if( side==ABOVE ) top = m->y - room + 1 - height;
  if( side==RIGHT_BELOW || side==LEFT_BELOW ) top = m->y - 2;
  if( side==RIGHT_ABOVE || side==LEFT_ABOVE ) top = m->y + 2 - height;
  l->box = (struct box){ left, top, left+width, top+height };
  l->anchor = is_right ? "start" : is_left ? "end" : "middle";
  l->x = is_right ? left : is_left ? left+width : m->x;
}

static int is_free(const struct page *p, int i){
  const struct box *box = &p->labels[i].box;
  if( box->left<GAP || box->top<GAP || box->right>p->width-GAP || box->bottom>p->height-GAP ) return 0;
  for(int k=0; k<p->n; k++){
    struct box mark = mark_box(&p->marks[k], 1);
    if( k!=i && boxes_meet(box, &mark) ) return 0;
    if( k<i && p->labels[k].n_lines>0 && boxes_meet(box, &p->labels[k].box) ) return 0;
  }
  return 1;
}

/* Returns true when there is room for the label in this shape; must_be_whole: and nothing of it is cut or broken. */
static int place_shape(struct page *p, int i, const struct manner *how, int shape, int must_be_whole){
  struct label *l = &p->labels[i];
  const struct mark *m = &p->marks[i];
  break_label(l, m->label, m->label_bytes, how->shapes[shape].width, how->shapes[shape].lines);
  if( must_be_whole && !l->is_whole ) return 0;
  balance_label(l, m->label, m->label_bytes, how->shapes[shape].width);
  for(int k=0; k<how->n_sides && l->n_lines>0; k++){
    set_beside(l, m, how->sides[k], label_width(l));
    if( is_free(p, i) ) return 1;
  }
  return 0;
}

/* A label under a picture reads as its caption; beside a dot as its name. */
static void place_label(struct page *p, int i){
  const struct manner *how = p->marks[i].png_bytes>0 ? &CAPTION : &NAME;
  for(int k=0; k<2*N_SHAPES; k++){
    if( place_shape(p, i, how, k%N_SHAPES, k<N_SHAPES) ) return;
  }
  p->labels[i].n_lines = 0;
}

/* ---- SVG ---- */

/* One decimal, rounded. */
static void put_number(struct buf *out, double x){
  int tenths = (int)floor(x*10 + 0.5), size = tenths<0 ? -tenths : tenths;
  buf_printf(out, size%10 ? "%s%d.%d" : "%s%d", tenths<0 ? "-" : "", size/10, size%10);
}

static void put_attribute(struct buf *out, const char *name, double x){
  buf_printf(out, " %s=\"", name);
  put_number(out, x);
  buf_char(out, '"');
}

/* Text between tags: what XML cannot have in it (most control characters, U+FFFE, U+FFFF, what is no UTF-8) becomes U+FFFD. */
static void put_xml(struct buf *out, const char *text, size_t n){
  for(size_t i=0; i<n; ){
    int bytes = utf8_length(text+i, n-i);
    unsigned char c = (unsigned char)text[i];
    int is_none = bytes==0 || (c<' ' && !is_space((char)c)) || (bytes==3 && c==0xef && (unsigned char)text[i+1]==0xbf && (unsigned char)text[i+2]>=0xbe);
    if( is_none ) buf_str(out, UTF8_REPLACEMENT);
    else if( c=='&' ) buf_str(out, "&amp;");
    else if( c=='<' ) buf_str(out, "&lt;");
    else if( c=='>' ) buf_str(out, "&gt;");
    else buf_append(out, text+i, (size_t)bytes);
    i += bytes ? (size_t)bytes : 1;
  }
}

static void put_base64(struct buf *out, const unsigned char *data, size_t n){
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for(size_t i=0; i<n; i+=3){
    uint32_t x = (uint32_t)data[i]<<16 | (i+1<n ? (uint32_t)data[i+1]<<8 : 0) | (i+2<n ? data[i+2] : 0);
    char four[4] = { digits[x>>18], digits[x>>12 & 63], i+1<n ? digits[x>>6 & 63] : '=', i+2<n ? digits[x & 63] : '=' };
    buf_append(out, four, 4);
  }
}

static void put_mark(struct buf *out, const struct mark *m){
  buf_str(out, "<g>");
  if( m->label_bytes>0 ){
    buf_str(out, "<title>");
    put_xml(out, m->label, m->label_bytes);
    buf_str(out, "</title>");
  }
  if( m->png_bytes>0 ){
    buf_str(out, "<image");
    put_attribute(out, "x", m->x-m->half);
    put_attribute(out, "y", m->y-m->half);
    put_attribute(out, "width", 2*m->half);
    put_attribute(out, "height", 2*m->half);
    buf_str(out, " href=\"data:image/png;base64,");
    put_base64(out, m->png, m->png_bytes);
    buf_str(out, "\"/>");
  }else{
    buf_str(out, "<circle");
    put_attribute(out, "cx", m->x);
    put_attribute(out, "cy", m->y);
    buf_printf(out, " r=\"%d\" fill=\"%s\"/>", DOT, COLOURS[m->group]);
  }
  buf_str(out, "</g>\n");
}

static void put_label(struct buf *out, const struct label *l){
  for(int i=0; i<l->n_lines; i++){
    buf_str(out, "<text");
    put_attribute(out, "x", l->x);
    put_attribute(out, "y", l->box.top + i*LINE + 11);
    buf_printf(out, " text-anchor=\"%s\">", l->anchor);
    put_xml(out, l->lines[i].text, l->lines[i].n);
    buf_str(out, l->lines[i].is_cut ? "\xe2\x80\xa6</text>\n" : "</text>\n");
  }
}

/* Under everything a glow of each mark's colour, which shows where groups lie. */
static void put_ground(struct buf *out, const struct page *p){
  buf_printf(out, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n<g fill-opacity=\".07\">\n", p->width, p->height);
  for(int i=0; i<p->n; i++){
    buf_str(out, "<circle");
    put_attribute(out, "cx", p->marks[i].x);
    put_attribute(out, "cy", p->marks[i].y);
    put_attribute(out, "r", 24 + p->marks[i].half);
    buf_printf(out, " fill=\"%s\"/>\n", COLOURS[p->marks[i].group]);
  }
  buf_str(out, "</g>\n");
}

static void put_page(struct buf *out, const struct page *p){
  buf_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"A map of %d rows\">\n",
             p->width, p->height, p->width, p->height, p->n);
  put_ground(out, p);
  for(int i=0; i<p->n; i++) put_mark(out, &p->marks[i]);
  buf_printf(out, "<g font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\" font-size=\"%d\" fill=\"#333\" stroke=\"#fff\" stroke-width=\"3\" "
                  "stroke-opacity=\".8\" paint-order=\"stroke\" stroke-linejoin=\"round\" pointer-events=\"none\">\n", FONT);
  for(int i=0; i<p->n; i++) put_label(out, &p->labels[i]);
  buf_str(out, "</g>\n</svg>\n");
}

/* ---- latent_plot(z, label [, picture]) ---- */

/* As large as leaves about half of the page free. */
static double picture_half(const struct page *p){
  double side = sqrt(0.3*p->width*p->height/p->n);
  return (side<PICTURE_LEAST ? PICTURE_LEAST : side>PICTURE_LARGEST ? PICTURE_LARGEST : side)/2;
}

static void set_marks(struct page *p, const struct plot *plot, const int *group){
  const struct row *rows = (const struct row*)(const void*)plot->rows.data;
  const char *bytes = plot->bytes.n ? plot->bytes.data : "";
  for(int i=0; i<p->n; i++){
    struct mark *m = &p->marks[i];
    m->group = group[i];
    m->half = rows[i].png_bytes>0 ? picture_half(p) : DOT;
    m->label = bytes + rows[i].label;
    m->label_bytes = rows[i].label_bytes;
    m->png = (const unsigned char*)bytes + rows[i].png;
    m->png_bytes = rows[i].png_bytes;
  }
}

/* Few rows need few colours. */
static int count_groups(int n){
  int groups = n/12 + 2;
  return n<6 ? 1 : groups<GROUPS_MOST ? groups : GROUPS_MOST;
}

static int plot_draw(struct call *c, const struct plot *plot, struct page *p){
  size_t n = (size_t)plot->n;
  double *x = arena_get(&c->arena, sizeof(*x)*n), *y = arena_get(&c->arena, sizeof(*y)*n);
  int *group = arena_get(&c->arena, sizeof(*group)*n);
  p->n = plot->n;
  p->marks = arena_zeroed(&c->arena, sizeof(*p->marks)*n);
  p->labels = arena_zeroed(&c->arena, sizeof(*p->labels)*n);
  if( c->arena.oom ) return fail_nomem(&c->err);
  if( points_map(&c->run, (const float*)(const void*)plot->s.data, p->n, plot->width, count_groups(p->n), x, y, group)!=SQLITE_OK ) return c->err.rc;
  fit_marks(p, x, y);
  set_marks(p, plot, group);
  if( spread_marks(c, p)!=SQLITE_OK ) return c->err.rc;
  centre_marks(p);
  for(int i=0; i<p->n && !run_stopped(&c->run); i++) place_label(p, i);
  return c->err.rc;
}

void plot_give(struct call *c, void *state){
  const struct plot *plot = state;
  struct page page = { 0 };
  struct buf out = call_buf(c);
  if( plot->n==0 ) return;
  if( plot_draw(c, plot, &page)==SQLITE_OK ) put_page(&out, &page);
  result_buf(c, &out);
}
