/*
** codec_draw.c -- drawing on a picture: an even ground, pictures laid on it, lines of text in a small font of its own.
**
** Whole numbers only, so that a drawing is the same everywhere. What lies outside of the picture is left out. Colours are 0xRRGGBB and cover what they fall on.
*/
#include "codec.h"
#include <assert.h>
#include <string.h>

static unsigned char *pixel_at(const struct picture *p, int x, int y){
  return p->pixels + ((size_t)y*(size_t)p->width + (size_t)x)*4;
}

/* ---- Grounds and pictures ---- */

static void set_pixel(unsigned char *pixel, uint32_t colour){
  pixel[0] = (unsigned char)(colour>>16);
  pixel[1] = (unsigned char)(colour>>8);
  pixel[2] = (unsigned char)colour;
  pixel[3] = 255;
}

void draw_fill(struct picture *on, uint32_t colour){
  for(int y=0; y<on->height; y++){
    for(int x=0; x<on->width; x++) set_pixel(pixel_at(on, x, y), colour);
  }
}

/* One pixel over another, neither with its alpha multiplied in (Porter and Duff 1984, "over"); rounded to the nearest. */
static void lay_over(unsigned char *below, const unsigned char *above){
  int a = above[3], rest = below[3]*(255 - a), whole = a*255 + rest;    /* alpha of the result, times 255 */
  if( whole==0 ) return;
  for(int i=0; i<3; i++) below[i] = (unsigned char)((above[i]*a*255 + below[i]*rest + whole/2)/whole);
  below[3] = (unsigned char)((whole + 127)/255);
}

void draw_picture(struct picture *on, const struct picture *p, int x, int y){
  for(int py=0; py<p->height; py++){
    for(int px=0; px<p->width; px++){
      int inside = x+px>=0 && x+px<on->width && y+py>=0 && y+py<on->height;
      if( inside ) lay_over(pixel_at(on, x+px, y+py), pixel_at(p, px, py));
    }
  }
}

/* ---- The font ----
** Drawn for this project. A glyph is its rows from the top, one after a space each, # where it is dark: capitals stand on row 6, what hangs below takes rows
** 7 and 8, rows that are empty to the bottom are left out. It is as wide as its rows, and one column of nothing follows. */
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
static const char BOX[] = "#### #..# #..# #..# #..# #..# ####";     /* a character that has no glyph */

static int glyph_width(const char *glyph){
  int n = 0;
  while( glyph[n]=='.' || glyph[n]=='#' ) n++;
  return n;
}

/* ---- Characters ----
** What has no glyph is written in letters that have: Latin letters without their marks, quotes and dashes as a typewriter has them. */

/* U+00C0 to U+017F in order, a letter each; '*' holds the place of those that DIGRAPHS has. */
static const char LATIN[] =
  "AAAAAA*CEEEEIIIIDNOOOOOxOUUUUY**aaaaaa*ceeeeiiiidnooooo:ouuuuy*y"
  "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi**JjKkkLlLlLlLlLl"
  "NnNnNnnNnOoOoOo**RrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";
static const struct { uint32_t character; const char *letters; } DIGRAPHS[] = {
  { 0xc6, "AE" }, { 0xde, "Th" }, { 0xdf, "ss" }, { 0xe6, "ae" }, { 0xfe, "th" }, { 0x132, "IJ" }, { 0x133, "ij" }, { 0x152, "OE" }, { 0x153, "oe" },
  { 0xa0, " " }, { 0xab, "\"" }, { 0xbb, "\"" }, { 0xb7, "." }, { 0x1e9e, "SS" },
  { 0x2010, "-" }, { 0x2011, "-" }, { 0x2012, "-" }, { 0x2013, "-" }, { 0x2014, "-" }, { 0x2018, "'" }, { 0x2019, "'" }, { 0x201a, "," }, { 0x201c, "\"" },
  { 0x201d, "\"" }, { 0x201e, "\"" }, { 0x2022, "*" }, { 0x202f, " " }, { 0x2032, "'" }, { 0x2033, "\"" }, { 0x2212, "-" },
};

/* Accents that combine, joiners and the selectors that choose between looks of an emoji are seen only with their neighbours. */
static int is_mark(uint32_t u){
  return (u>=0x300 && u<=0x36f) || (u>=0x200b && u<=0x200f) || (u>=0xfe00 && u<=0xfe0f);
}

/* The letters that stand for a character; NULL: none do. */
static const char *letters_of(uint32_t u, char spare[2]){
  if( is_mark(u) ) return "";
  for(size_t i=0; i<sizeof(DIGRAPHS)/sizeof(DIGRAPHS[0]); i++){
    if( DIGRAPHS[i].character==u ) return DIGRAPHS[i].letters;
  }
  spare[0] = (char)u;
  spare[1] = 0;
  if( u<' ' ) spare[0] = ' ';
  else if( u>=0xc0 && u<=0x17f ) spare[0] = LATIN[u-0xc0];
  else if( u>'~' ) return NULL;
  return spare;
}

/* The character at text[0..n), n > 0, and its bytes; a byte that is no UTF-8 is a character without a glyph. */
static uint32_t character_at(const char *text, size_t n, int *bytes){
  const unsigned char *p = (const unsigned char*)text;
  *bytes = utf8_length(text, n);
  switch( *bytes ){
    case 1:  return p[0];
    case 2:  return (uint32_t)(p[0] & 0x1f)<<6 | (p[1] & 0x3f);
    case 3:  return (uint32_t)(p[0] & 0x0f)<<12 | (uint32_t)(p[1] & 0x3f)<<6 | (p[2] & 0x3f);
    case 4:  return (uint32_t)(p[0] & 0x07)<<18 | (uint32_t)(p[1] & 0x3f)<<12 | (uint32_t)(p[2] & 0x3f)<<6 | (p[3] & 0x3f);
    default: *bytes = 1; return 0xfffd;
  }
}

enum { GLYPHS_MOST = 2 };       /* of one character */

/* The glyphs of the character at text[0..n): how many; *bytes it takes. */
static int glyphs_at(const char *text, size_t n, int *bytes, const char *glyphs[GLYPHS_MOST]){
  char spare[2];
  uint32_t u = character_at(text, n, bytes);
  const char *letters = letters_of(u, spare);
  int n_glyphs = 0;
  glyphs[0] = u==0x2026 ? ELLIPSIS : BOX;
  if( !letters ) return 1;
  for(; letters[n_glyphs]; n_glyphs++){
    assert( n_glyphs<GLYPHS_MOST );
    glyphs[n_glyphs] = GLYPHS[(unsigned char)letters[n_glyphs]];
  }
  return n_glyphs;
}

/* ---- Text ---- */

/* Columns up to the end of the last character, with the empty one after it. */
static int advance(const char *const *glyphs, int n){
  int width = 0;
  for(int i=0; i<n; i++) width += glyph_width(glyphs[i]) + 1;
  return width;
}

int draw_width(const char *text, size_t n){
  const char *glyphs[GLYPHS_MOST];
  int bytes, width = 0;
  for(size_t i=0; i<n && width<DRAW_WIDTH_MOST; i+=(size_t)bytes){
    int n_glyphs = glyphs_at(text+i, n-i, &bytes, glyphs);
    width += advance(glyphs, n_glyphs);
  }
  return width>0 ? width-1 : 0;
}

size_t draw_fits(const char *text, size_t n, int width){
  const char *glyphs[GLYPHS_MOST];
  int bytes, at = 0;
  size_t i = 0;
  for(; i<n; i+=(size_t)bytes){
    int n_glyphs = glyphs_at(text+i, n-i, &bytes, glyphs);
    at += advance(glyphs, n_glyphs);
    if( at-1>width ) break;
  }
  return i;
}

static void draw_glyph(struct picture *on, int x, int y, const char *glyph, uint32_t colour){
  int width = glyph_width(glyph);
  for(int row=0; ; row++, glyph+=width+1){
    for(int i=0; i<width; i++){
      int inside = x+i>=0 && x+i<on->width && y+row>=0 && y+row<on->height;
      if( glyph[i]=='#' && inside ) set_pixel(pixel_at(on, x+i, y+row), colour);
    }
    if( glyph[width]==0 ) return;
  }
}

/* Returns where the next character begins. */
static int draw_characters(struct picture *on, int x, int y, const char *text, size_t n, uint32_t colour){
  const char *glyphs[GLYPHS_MOST];
  int bytes;
  for(size_t i=0; i<n; i+=(size_t)bytes){
    int n_glyphs = glyphs_at(text+i, n-i, &bytes, glyphs);
    for(int k=0; k<n_glyphs; k++){
      draw_glyph(on, x, y, glyphs[k], colour);
      x += glyph_width(glyphs[k]) + 1;
    }
  }
  return x;
}

void draw_text(struct picture *on, int x, int y, int width, const char *text, size_t n, uint32_t colour){
  size_t shown = draw_fits(text, n, width);
  if( shown<n ) shown = draw_fits(text, n, width - glyph_width(ELLIPSIS) - 1);
  while( shown>0 && shown<n && text[shown-1]==' ' ) shown--;
  x = draw_characters(on, x, y, text, shown, colour);
  if( shown<n && width>=glyph_width(ELLIPSIS) ) draw_glyph(on, x, y, ELLIPSIS, colour);
}
