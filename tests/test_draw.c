/*
** test_draw.c -- the properties of drawing on a picture, and of a sheet drawn in SQL, pixel by
** pixel.
*/
#include "functions_draw.h"
#include "ok.h"
#include "pictures.h"
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

int sqlite3_latent_init(sqlite3 *, char **, const sqlite3_api_routines *);

enum { GROUND = 0xffffff, INK = 0x102030 };
enum { EDGE = 5 };                      /* around a line that is drawn alone */

static struct picture canvas(int width, int height){
  struct picture p = blank(width, height);
  draw_fill(&p, GROUND);
  return p;
}

static uint32_t colour_at(const struct picture *p, int x, int y){
  const unsigned char *pixel = picture_pixel(p, x, y);
  return (uint32_t)pixel[0]<<16 | (uint32_t)pixel[1]<<8 | pixel[2];
}

static int inked(const struct picture *p, int x, int y){
  return colour_at(p, x, y)==INK;
}

/* Pixels of ink in columns [from, to) of all rows. */
static int ink(const struct picture *p, int from, int to){
  int n = 0;
  for(int y=0; y<p->height; y++){
    for(int x=from; x<to; x++) n += inked(p, x, y);
  }
  return n;
}

/* A line of text alone on its canvas. */
static struct picture drawn(const char *text, int width){
  struct picture p = canvas(200, EDGE + DRAW_ROWS + EDGE);
  draw_text(&p, EDGE, EDGE, width, text, strlen(text), INK);
  return p;
}

static int looks_like(const char *a, const char *b){
  struct picture x = drawn(a, 190);
  struct picture y = drawn(b, 190);
  return same(&x, &y);
}

/* ---- Glyphs ---- */

struct glyph_checks { struct property within, widths, differ; };

static void try_glyph(struct glyph_checks *checks, int c){
  char one[2] = { (char)c, 0 };
  int width = draw_width(one, 1);
  struct picture p = drawn(one, 190);
  int all = ink(&p, 0, 200);
  int first = ink(&p, EDGE, EDGE+1);
  int last = ink(&p, EDGE+width-1, EDGE+width);
  holds(&checks->within, ink(&p, EDGE, EDGE+width)==all && (c==' ') == (all==0),
        "'%c' of %d columns", c, width);
  for(int y=0; y<EDGE; y++){
    int clear = !inked(&p, EDGE+1, y) && !inked(&p, EDGE+1, EDGE+DRAW_ROWS+y);
    holds(&checks->within, clear, "'%c', row %d", c, y);
  }
  holds(&checks->widths, width>=1 && width<=6 && (c==' ' || (first>0 && last>0)),
        "'%c' of %d columns", c, width);
  for(int d=' '; d<c; d++){
    char other[2] = { (char)d, 0 };
    holds(&checks->differ, !looks_like(one, other), "'%c' and '%c'", c, d);
  }
  arena_release(&arena);
}

static void test_glyphs(void){
  struct glyph_checks checks = { 0 };
  struct picture all;
  char text[96] = "";
  uint64_t hash;
  for(int c=' '; c<='~'; c++){
    try_glyph(&checks, c);
    text[c-' '] = (char)c;
  }
  property_ok(&checks.within,
              "a glyph lies in its columns and rows, and all but the space can be seen");
  property_ok(&checks.widths,
              "a glyph is 1 to 6 columns wide and fills the first and the last of them");
  property_ok(&checks.differ, "no two printable characters of ASCII look alike");
  all = canvas(600, DRAW_ROWS);
  draw_text(&all, 0, 0, 600, text, 95, INK);
  hash = hash64(all.pixels, picture_bytes(&all));
  ok(hash==0x7eb56581eff8e594ULL, "the font is drawn as it was", "%016llx",
     (unsigned long long)hash);
}

static void test_characters(void){
  static const struct { const char *text, *like; } pairs[] = {
    { "Émile", "Emile" }, { "garçon", "garcon" }, { "Straße", "Strasse" }, { "Æsop", "AEsop" },
    { "Łódź", "Lodz" }, { "Ÿ", "Y" }, { "ſ", "s" }, { "œuf", "oeuf" },
    { "“a–b”", "\"a-b\"" }, { "it’s", "it's" },
    { "e\xcc\x81t", "et" }, { "a\xef\xb8\x8f", "a" },
    { "a\nb\tc", "a b c" }, { "a\xc2\xa0" "b", "a b" },
    { "😀", "猫" }, { "\xff", "猫" }, { "\x7f", "猫" },
  };
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(pairs); i++){
    holds(&p, looks_like(pairs[i].text, pairs[i].like), "\"%s\" is not \"%s\"", pairs[i].text,
          pairs[i].like);
  }
  holds(&p, !looks_like("猫", "?") && !looks_like("猫", ""), "a character without a glyph");
  holds(&p, draw_width("😀\xff", 5)==2*draw_width("猫", 3)+1,
        "a byte that is no UTF-8 is one box");
  property_ok(&p, "what has no glyph is put in letters that have, or is a box");
}

/* ---- Lines ---- */

static void test_widths(void){
  static const char text[] = "Grüße from the edge, 猫 & co.";
  size_t n = strlen(text);
  int whole = draw_width(text, n);
  struct property fits = { 0 }, cut = { 0 };
  for(int width=0; width<=whole+3; width++){
    size_t k = draw_fits(text, n, width);
    int taken = draw_width(text, k);
    struct picture p = drawn(text, width);
    int inside = ink(&p, EDGE, EDGE+width);
    holds(&fits, k<=n && taken<=width && (k==n) == (width>=whole), "%zu bytes in %d columns", k,
          width);
    holds(&fits, k==n || draw_fits(text, n, taken)==k, "%zu bytes in %d columns, not again", k,
          width);
    holds(&cut, inside==ink(&p, 0, 200), "something beyond %d columns", width);
    holds(&cut, k==n || width<5 || inside>0, "nothing in %d columns", width);
    arena_release(&arena);
  }
  property_ok(&fits, "draw_fits() gives the longest beginning that draw_width() says fits");
  property_ok(&cut, "text that is too wide is cut inside its width");
  ok(!looks_like("abc", "ab") && whole==draw_width(text, n) && draw_width("", 0)==0,
     "an empty text has no width", "%d", draw_width("", 0));
  arena_release(&arena);
}

static void test_ellipsis(void){
  struct picture a = drawn("abcdefghijkl", 30);
  struct picture b = drawn("abcde…", 60);
  struct picture c = drawn("abc efghijkl", 24);
  struct picture d = drawn("abc…", 60);
  ok(same(&a, &b) && same(&c, &d),
     "what is cut ends with an ellipsis, not with a space before it", "it does not");
  arena_release(&arena);
}

static void test_longest(void){
  enum { LONGEST = 4000000 };
  char *text = arena_get(&arena, LONGEST);
  int width;
  memset(text, 'W', LONGEST);
  width = draw_width(text, LONGEST);
  ok(width>=DRAW_WIDTH_MOST && draw_fits(text, LONGEST, 59)==10,
     "a text of millions of characters is measured", "%d", width);
  arena_release(&arena);
}

/* ---- Borders ---- */

enum { SMALL = 12, AROUND = 40 };

/* The canvas must be the middle of one that is larger by AROUND on all sides. */
static int is_middle(const struct picture *small, const struct picture *large){
  for(int y=0; y<SMALL; y++){
    for(int x=0; x<SMALL; x++){
      if( colour_at(small, x, y)!=colour_at(large, x+AROUND, y+AROUND) ) return 0;
    }
  }
  return 1;
}

static void test_borders(void){
  struct property p = { 0 };
  for(int y=-12; y<=SMALL+1; y++){
    for(int x=-34; x<=SMALL+1; x++){
      struct picture small = canvas(SMALL, SMALL);
      struct picture large = canvas(SMALL+2*AROUND, SMALL+2*AROUND);
      struct picture stamp = canvas(7, 5);
      stamp.pixels[3] = 0;
      stamp.pixels[7] = 100;
      draw_text(&small, x, y, 30, "Wgq@jay", 7, INK);
      draw_text(&large, x+AROUND, y+AROUND, 30, "Wgq@jay", 7, INK);
      draw_picture(&small, &stamp, x, y);
      draw_picture(&large, &stamp, x+AROUND, y+AROUND);
      holds(&p, is_middle(&small, &large), "at (%d, %d)", x, y);
      arena_release(&arena);
    }
  }
  property_ok(&p, "what crosses a border is cut there");
}

/* ---- Pictures over pictures ---- */

static void test_over(void){
  static const struct { unsigned char below[4], above[4], result[4]; } cases[] = {
    { { 10, 20, 30, 255 }, { 200, 100, 50, 255 }, { 200, 100, 50, 255 } },
    { { 10, 20, 30, 255 }, { 200, 100, 50, 0 }, { 10, 20, 30, 255 } },
    { { 255, 255, 255, 255 }, { 0, 0, 0, 51 }, { 204, 204, 204, 255 } },
    { { 10, 20, 30, 0 }, { 200, 100, 50, 7 }, { 200, 100, 50, 7 } },    /* clear: no colour */
    { { 10, 20, 30, 0 }, { 200, 100, 50, 0 }, { 10, 20, 30, 0 } },
    { { 0, 0, 0, 128 }, { 255, 255, 255, 128 }, { 170, 170, 170, 192 } },
  };
  struct property p = { 0 };
  for(size_t i=0; i<N_OF(cases); i++){
    unsigned char below[4], above[4];
    struct picture on = { 1, 1, below };
    struct picture one = { 1, 1, above };
    memcpy(below, cases[i].below, 4);
    memcpy(above, cases[i].above, 4);
    draw_picture(&on, &one, 0, 0);
    holds(&p, memcmp(below, cases[i].result, 4)==0, "case %zu gave %d %d %d %d", i, below[0],
          below[1], below[2], below[3]);
  }
  property_ok(&p, "a picture is laid over another as its alpha says");
}

/* ---- latent_sheet() ---- */

/* A picture of 64x64 pixels with every alpha there is. */
static struct picture sample(int seed){
  struct picture p = canvas(64, 64);
  for(int i=0; i<64*64; i++){
    unsigned char *pixel = p.pixels + (size_t)i*4;
    pixel[0] = (unsigned char)(i*seed);
    pixel[1] = (unsigned char)(i/64*4);
    pixel[2] = (unsigned char)(i%64*4);
    pixel[3] = (unsigned char)(i/16);
  }
  return p;
}

static void bind_png(sqlite3_stmt *statement, int at, const struct picture *p){
  struct err e = { 0 };
  struct buf png = { 0 };
  if( png_write(&png, p, &e)!=SQLITE_OK ) exit(2);
  sqlite3_bind_blob64(statement, at, png.data, png.n, SQLITE_TRANSIENT);
  buf_release(&png);
}

/* The sheet that SQL draws of a, b and a. Returns 1 when it is a picture. */
static int sheet_in_sql(struct picture *got, const struct picture *a, const struct picture *b){
  static const char sql[] =
    "SELECT latent_sheet(column1, column2) FROM (VALUES"
    "(?1, 'one'), (?2, 'two words, and another line'), (NULL, 'none'), (?1, NULL))";
  struct err e = { 0 };
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  int good = sqlite3_open(":memory:", &db)==SQLITE_OK
          && sqlite3_latent_init(db, NULL, NULL)==SQLITE_OK
          && sqlite3_prepare_v2(db, sql, -1, &statement, NULL)==SQLITE_OK;
  if( good ){
    bind_png(statement, 1, a);
    bind_png(statement, 2, b);
    good = sqlite3_step(statement)==SQLITE_ROW;
  }
  if( good ){
    const void *png = sqlite3_column_blob(statement, 0);
    size_t n = (size_t)sqlite3_column_bytes(statement, 0);
    good = picture_read(got, png, n, &arena, "the sheet", &e)==SQLITE_OK;
  }
  ok(good, "a sheet is a picture", "%s %s", sqlite3_errmsg(db), e.text);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return good;
}

/* A label in the middle of the 64 columns from x on. */
static void draw_label(struct picture *on, int x, int y, int width, const char *text){
  size_t n = strlen(text);
  draw_text(on, x + (64 - draw_width(text, n))/2, y, width, text, n, 0x3a3a38);
}

/* Three cells beside each other, of 64 pixels each with 12 around them. Below a picture are two
** lines of 10, after a gap of 4. */
static void test_sheet(void){
  struct picture a = sample(1);
  struct picture b = sample(7);
  struct picture expected = canvas(12+3*76, 12+76+24);
  struct picture got = { 0 };
  if( !sheet_in_sql(&got, &a, &b) ) return;
  draw_fill(&expected, 0xf7f7f5);
  draw_picture(&expected, &a, 12, 12);
  draw_picture(&expected, &b, 88, 12);
  draw_picture(&expected, &a, 164, 12);
  draw_label(&expected, 12, 80, 64, "one");
  draw_label(&expected, 88, 80, 72, "two words, and");
  draw_label(&expected, 88, 90, 72, "another line");
  ok(same(&got, &expected), "it holds the pictures in their order, each above its label",
     "%d x %d, expected %d x %d", got.width, got.height, expected.width, expected.height);
  arena_release(&arena);
}

int main(void){
  test_glyphs();
  test_characters();
  test_widths();
  test_ellipsis();
  test_longest();
  test_borders();
  test_over();
  test_sheet();
  arena_release(&arena);
  return n_not_ok>0;
}
