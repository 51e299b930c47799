/*
** functions_draw.c -- draws on a picture: an even ground, other pictures, lines of text in a small
** font of its own.
**
** All arithmetic is in whole numbers, so that a drawing is the same on every machine. What falls
** outside the picture is left out. Colours are 0xRRGGBB and opaque.
*/
#include "functions_draw.h"
#include <assert.h>
#include <string.h>

/* ---- Grounds and pictures ---- */

static void set_pixel(unsigned char *pixel, uint32_t colour){
  pixel[0] = (unsigned char)(colour>>16);
  pixel[1] = (unsigned char)(colour>>8);
  pixel[2] = (unsigned char)colour;
  pixel[3] = 255;
}

static int is_inside(const struct picture *p, int x, int y){
  return x>=0 && x<p->width && y>=0 && y<p->height;
}

void draw_fill(struct picture *on, uint32_t colour){
  assert( on->pixels!=NULL );
  for(int y=0; y<on->height; y++){
    for(int x=0; x<on->width; x++) set_pixel(picture_pixel(on, x, y), colour);
  }
}

/* Lays one pixel over another (Porter and Duff 1984, "over"). Alpha is not multiplied into the
** colours of either. Rounds to the nearest. */
static void lay_over(unsigned char *below, const unsigned char *above){
  int a = above[3];
  int rest = below[3]*(255 - a);
  int whole = a*255 + rest;             /* alpha of the result, times 255 */
  if( whole==0 ) return;
  for(int i=0; i<3; i++){
    int sum = above[i]*a*255 + below[i]*rest;
    below[i] = (unsigned char)((sum + whole/2)/whole);
  }
  below[3] = (unsigned char)((whole + 127)/255);
}

void draw_picture(struct picture *on, const struct picture *p, int x, int y){
  assert( on->pixels!=NULL && p->pixels!=NULL );
  assert( on->pixels!=p->pixels );
  for(int py=0; py<p->height; py++){
    for(int px=0; px<p->width; px++){
      if( !is_inside(on, x+px, y+py) ) continue;
      lay_over(picture_pixel(on, x+px, y+py), picture_pixel(p, px, py));
    }
  }
}

/* ---- The font ----
** Drawn for this project. A glyph is written as its rows from the top, with a space between rows;
** # is a dark pixel. Capitals stand on row 6, and descenders take rows 7 and 8. Empty rows at the
** bottom are left out. A glyph is as wide as its rows; one empty column follows it. */
static const char *const GLYPHS[] = {
  [' ']  = "..",
  ['!']  = "# # # # # . #",
  ['"']  = "#.# #.#",
  ['#']  = ".#.#. .#.#. ##### .#.#. ##### .#.#. .#.#.",
  ['$']  = "..#.. .#### #.#.. .###. ..#.# ####. ..#..",
  ['%']  = "##..# ##..# ...#. ..#.. .#... #..## #..##",
  ['&']  = ".##.. #..#. #..#. .##.. #.#.# #..#. .##.#",
  ['\''] = "# #",
  ['(']  = ".# #. #. #. #. #. #. .#",
  [')']  = "#. .# .# .# .# .# .# #.",
  ['*']  = "..... ..#.. #.#.# .###. #.#.# ..#..",
  ['+']  = "..... ..... ..#.. ..#.. ##### ..#.. ..#..",
  [',']  = ".. .. .. .. .. .. .# #.",
  ['-']  = "... ... ... ... ###",
  ['.']  = ". . . . . . #",
  ['/']  = "...# ...# ..#. ..#. .#.. .#.. #... #...",
  ['0']  = ".##. #..# #..# #..# #..# #..# .##.",
  ['1']  = ".#. ##. .#. .#. .#. .#. ###",
  ['2']  = ".##. #..# ...# ..#. .#.. #... ####",
  ['3']  = ".##. #..# ...# .##. ...# #..# .##.",
  ['4']  = "...# ..## .#.# #..# #### ...# ...#",
  ['5']  = "#### #... ###. ...# ...# #..# .##.",
  ['6']  = ".##. #... #... ###. #..# #..# .##.",
  ['7']  = "#### ...# ...# ..#. ..#. .#.. .#..",
  ['8']  = ".##. #..# #..# .##. #..# #..# .##.",
  ['9']  = ".##. #..# #..# .### ...# ...# .##.",
  [':']  = ". . . # . . #",
  [';']  = ".. .. .. .# .. .. .# #.",
  ['<']  = "... ... ..# .#. #.. .#. ..#",
  ['=']  = ".... .... .... #### .... ####",
  ['>']  = "... ... #.. .#. ..# .#. #..",
  ['?']  = ".##. #..# ...# ..#. .#.. .... .#..",
  ['@']  = ".####. #....# #.##.# #.##.# #.###. #..... .####.",
  ['A']  = ".###. #...# #...# ##### #...# #...# #...#",
  ['B']  = "####. #...# #...# ####. #...# #...# ####.",
  ['C']  = ".###. #...# #.... #.... #.... #...# .###.",
  ['D']  = "####. #...# #...# #...# #...# #...# ####.",
  ['E']  = "#### #... #... ###. #... #... ####",
  ['F']  = "#### #... #... ###. #... #... #...",
  ['G']  = ".###. #...# #.... #.### #...# #...# .####",
  ['H']  = "#...# #...# #...# ##### #...# #...# #...#",
  ['I']  = "### .#. .#. .#. .#. .#. ###",
  ['J']  = "...# ...# ...# ...# ...# #..# .##.",
  ['K']  = "#...# #..#. #.#.. ##... #.#.. #..#. #...#",
  ['L']  = "#... #... #... #... #... #... ####",
  ['M']  = "#...# ##.## #.#.# #.#.# #...# #...# #...#",
  ['N']  = "#...# ##..# ##..# #.#.# #..## #..## #...#",
  ['O']  = ".###. #...# #...# #...# #...# #...# .###.",
  ['P']  = "####. #...# #...# ####. #.... #.... #....",
  ['Q']  = ".###. #...# #...# #...# #.#.# #..#. .##.#",
  ['R']  = "####. #...# #...# ####. #.#.. #..#. #...#",
  ['S']  = ".#### #.... #.... .###. ....# ....# ####.",
  ['T']  = "##### ..#.. ..#.. ..#.. ..#.. ..#.. ..#..",
  ['U']  = "#...# #...# #...# #...# #...# #...# .###.",
  ['V']  = "#...# #...# #...# #...# .#.#. .#.#. ..#..",
  ['W']  = "#...# #...# #...# #.#.# #.#.# #.#.# .#.#.",
  ['X']  = "#...# #...# .#.#. ..#.. .#.#. #...# #...#",
  ['Y']  = "#...# #...# .#.#. ..#.. ..#.. ..#.. ..#..",
  ['Z']  = "##### ....# ...#. ..#.. .#... #.... #####",
  ['[']  = "## #. #. #. #. #. #. ##",
  ['\\'] = "#... #... .#.. .#.. ..#. ..#. ...# ...#",
  [']']  = "## .# .# .# .# .# .# ##",
  ['^']  = ".#. #.#",
  ['_']  = ".... .... .... .... .... .... .... ####",
  ['`']  = "#. .#",
  ['a']  = ".... .... .##. ...# .### #..# .###",
  ['b']  = "#... #... ###. #..# #..# #..# ###.",
  ['c']  = ".... .... .### #... #... #... .###",
  ['d']  = "...# ...# .### #..# #..# #..# .###",
  ['e']  = ".... .... .##. #..# #### #... .###",
  ['f']  = ".## #.. ### #.. #.. #.. #..",
  ['g']  = ".... .... .### #..# #..# #..# .### ...# .##.",
  ['h']  = "#... #... ###. #..# #..# #..# #..#",
  ['i']  = "# . # # # # #",
  ['j']  = ".# .. .# .# .# .# .# .# #.",
  ['k']  = "#... #... #..# #.#. ##.. #.#. #..#",
  ['l']  = "#. #. #. #. #. #. .#",
  ['m']  = "..... ..... ##.#. #.#.# #.#.# #.#.# #.#.#",
  ['n']  = ".... .... ###. #..# #..# #..# #..#",
  ['o']  = ".... .... .##. #..# #..# #..# .##.",
  ['p']  = ".... .... ###. #..# #..# #..# ###. #... #...",
  ['q']  = ".... .... .### #..# #..# #..# .### ...# ...#",
  ['r']  = "... ... #.# ##. #.. #.. #..",
  ['s']  = ".... .... .### #... .##. ...# ###.",
  ['t']  = "... #.. ### #.. #.. #.. .##",
  ['u']  = ".... .... #..# #..# #..# #..# .###",
  ['v']  = "..... ..... #...# #...# .#.#. .#.#. ..#..",
  ['w']  = "..... ..... #...# #.#.# #.#.# #.#.# .#.#.",
  ['x']  = "..... ..... #...# .#.#. ..#.. .#.#. #...#",
  ['y']  = ".... .... #..# #..# #..# #..# .### ...# .##.",
  ['z']  = ".... .... #### ...# .##. #... ####",
  ['{']  = "..# .#. .#. .#. #.. .#. .#. ..#",
  ['|']  = "# # # # # # # # #",
  ['}']  = "#.. .#. .#. .#. ..# .#. .#. #..",
  ['~']  = "..... ..... ..... .#..# #.##.",
};
static const char ELLIPSIS[] = "..... ..... ..... ..... ..... ..... #.#.#";
static const char BOX[] = "#### #..# #..# #..# #..# #..# ####";    /* for a character without one */

static int glyph_width(const char *glyph){
  int n = 0;
  while( glyph[n]=='.' || glyph[n]=='#' ) n++;
  return n;
}

/* ---- Characters ----
** A character without a glyph is spelled with characters that have one: Latin letters lose their
** marks, quotes and dashes become those of a typewriter. */

/* U+00C0 to U+017F in order, one letter each; '*' where SPELLINGS has the character. */
static const char LATIN[] =
  "AAAAAA*CEEEEIIIIDNOOOOOxOUUUUY**aaaaaa*ceeeeiiiidnooooo:ouuuuy*y"
  "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi**JjKkkLlLlLlLlLl"
  "NnNnNnnNnOoOoOo**RrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";
static const struct { uint32_t character; const char *letters; } SPELLINGS[] = {
  { 0xc6, "AE" }, { 0xde, "Th" }, { 0xdf, "ss" }, { 0xe6, "ae" }, { 0xfe, "th" },
  { 0x132, "IJ" }, { 0x133, "ij" }, { 0x152, "OE" }, { 0x153, "oe" },
  { 0xa0, " " }, { 0xab, "\"" }, { 0xbb, "\"" }, { 0xb7, "." }, { 0x1e9e, "SS" },
  { 0x2010, "-" }, { 0x2011, "-" }, { 0x2012, "-" }, { 0x2013, "-" }, { 0x2014, "-" },
  { 0x2018, "'" }, { 0x2019, "'" }, { 0x201a, "," }, { 0x201c, "\"" }, { 0x201d, "\"" },
  { 0x201e, "\"" }, { 0x2022, "*" }, { 0x202f, " " }, { 0x2032, "'" }, { 0x2033, "\"" },
  { 0x2212, "-" },
};
enum { N_SPELLINGS = sizeof(SPELLINGS)/sizeof(SPELLINGS[0]) };

/* Combining accents, joiners, and the selectors that choose how an emoji looks. They show only as
** part of the character beside them, so they are not drawn. */
static int is_mark(uint32_t u){
  return (u>=0x300 && u<=0x36f)
      || (u>=0x200b && u<=0x200f)
      || (u>=0xfe00 && u<=0xfe0f);
}

/* What a character is spelled with; NULL when nothing is known. spare: room for one letter. */
static const char *letters_of(uint32_t u, char spare[2]){
  if( is_mark(u) ) return "";
  for(int i=0; i<N_SPELLINGS; i++){
    if( SPELLINGS[i].character==u ) return SPELLINGS[i].letters;
  }
  spare[0] = (char)u;
  spare[1] = 0;
  if( u<' ' ) spare[0] = ' ';
  else if( u>=0xc0 && u<=0x17f ) spare[0] = LATIN[u-0xc0];
  else if( u>'~' ) return NULL;
  return spare;
}

/* The low six bits of a byte that continues a character, moved up by `shift`. */
static uint32_t continued(unsigned char byte, int shift){
  return (uint32_t)(byte & 0x3f) << shift;
}

/* The character at text[0..n), n > 0, and how many bytes it takes. A byte that is not UTF-8 is
** U+FFFD, which has no glyph. */
static uint32_t character_at(const char *text, size_t n, int *bytes){
  const unsigned char *p = (const unsigned char *)text;
  uint32_t first = p[0];
  *bytes = utf8_length(text, n);
  switch( *bytes ){
    case 1: return first;
    case 2: return (first & 0x1f)<<6 | continued(p[1], 0);
    case 3: return (first & 0x0f)<<12 | continued(p[1], 6) | continued(p[2], 0);
    case 4: return (first & 0x07)<<18 | continued(p[1], 12) | continued(p[2], 6)
                 | continued(p[3], 0);
  }
  *bytes = 1;
  return 0xfffd;
}

enum { GLYPHS_MOST = 2, U_ELLIPSIS = 0x2026 };

/* The glyphs of one character. */
struct glyphs {
  const char *at[GLYPHS_MOST];
  int n;                        /* 0 for a mark */
  int bytes;                    /* of the text that the character takes */
};

/* The glyphs of the character at text[0..n). */
static struct glyphs glyphs_at(const char *text, size_t n){
  struct glyphs g = { 0 };
  char spare[2];
  uint32_t u = character_at(text, n, &g.bytes);
  const char *letters = letters_of(u, spare);
  if( letters==NULL ){
    g.at[g.n++] = u==U_ELLIPSIS ? ELLIPSIS : BOX;
    return g;
  }
  for(; *letters; letters++){
    assert( g.n<GLYPHS_MOST );
    g.at[g.n++] = GLYPHS[(unsigned char)*letters];
  }
  return g;
}

/* ---- Text ---- */

/* The columns of one character, with the empty column after each glyph. */
static int advance(const struct glyphs *g){
  int width = 0;
  for(int i=0; i<g->n; i++) width += glyph_width(g->at[i]) + 1;
  return width;
}

int draw_width(const char *text, size_t n){
  size_t i = 0;
  int width = 0;
  assert( text!=NULL || n==0 );
  while( i<n && width<DRAW_WIDTH_MOST ){
    struct glyphs g = glyphs_at(text+i, n-i);
    width += advance(&g);
    i += (size_t)g.bytes;
  }
  return width>0 ? width-1 : 0;         /* no empty column at the end */
}

size_t draw_fits(const char *text, size_t n, int width){
  size_t i = 0;
  int at = 0;
  assert( text!=NULL || n==0 );
  while( i<n ){
    struct glyphs g = glyphs_at(text+i, n-i);
    at += advance(&g);
    if( at-1>width ) break;
    i += (size_t)g.bytes;
  }
  return i;
}

static void draw_glyph(struct picture *on, int x, int y, const char *glyph, uint32_t colour){
  int width = glyph_width(glyph);
  for(int row=0; ; row++){
    for(int i=0; i<width; i++){
      if( glyph[i]!='#' || !is_inside(on, x+i, y+row) ) continue;
      set_pixel(picture_pixel(on, x+i, y+row), colour);
    }
    if( glyph[width]==0 ) return;
    glyph += width + 1;
  }
}

/* Returns the column where the next character begins. */
static int draw_characters(struct picture *on, int x, int y, const char *text, size_t n,
                           uint32_t colour){
  size_t i = 0;
  while( i<n ){
    struct glyphs g = glyphs_at(text+i, n-i);
    for(int k=0; k<g.n; k++){
      draw_glyph(on, x, y, g.at[k], colour);
      x += glyph_width(g.at[k]) + 1;
    }
    i += (size_t)g.bytes;
  }
  return x;
}

void draw_text(struct picture *on, int x, int y, int width, const char *text, size_t n,
               uint32_t colour){
  size_t shown = draw_fits(text, n, width);
  assert( on->pixels!=NULL );
  if( shown<n ) shown = draw_fits(text, n, width - glyph_width(ELLIPSIS) - 1);
  while( shown>0 && shown<n && text[shown-1]==' ' ) shown--;
  x = draw_characters(on, x, y, text, shown, colour);
  if( shown<n && width>=glyph_width(ELLIPSIS) ) draw_glyph(on, x, y, ELLIPSIS, colour);
}
