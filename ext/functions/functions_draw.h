/*
** functions_draw.h -- draws on a picture: an even ground, other pictures, lines of text.
**
** Colours are 0xRRGGBB and opaque. What falls outside the picture is left out. Everything is
** computed in whole numbers, so that a drawing is the same on every machine.
*/
#ifndef LATENT_FUNCTIONS_DRAW_H
#define LATENT_FUNCTIONS_DRAW_H
#include "codec.h"

/* Gives every pixel this colour. */
void draw_fill(struct picture *on, uint32_t colour);

/* Lays p, with its alpha, over what is there; the upper left corner of p is at (x, y). */
void draw_picture(struct picture *on, const struct picture *p, int x, int y);

/* Text is one line of UTF-8, text[0..n). A character without a glyph is spelled with characters
** that have one, or is drawn as a box. */
enum {
  DRAW_ROWS = 9,                /* rows of a line; capitals fill the upper 7 */
  DRAW_WIDTH_MOST = 1 << 20     /* draw_width() stops counting soon after this many columns */
};

/* The columns that the text takes. For text wider than DRAW_WIDTH_MOST, a little more than it. */
int draw_width(const char *text, size_t n);

/* The bytes of the longest beginning, of whole characters, that takes at most `width` columns. */
size_t draw_fits(const char *text, size_t n, int width);

/* Draws the text; its upper left corner is at (x, y). Text wider than `width` is cut and ends with
** an ellipsis. */
void draw_text(struct picture *on, int x, int y, int width, const char *text, size_t n,
               uint32_t colour);

#endif
