/*
** functions_svg.h -- what latent_plot() and latent_tree() write SVG with.
**
** The same on every machine: whole numbers, and doubles with + - * / floor() alone; the widths of
** characters come from a table.
*/
#ifndef LATENT_FUNCTIONS_SVG_H
#define LATENT_FUNCTIONS_SVG_H
#include "functions.h"

enum {
  SVG_FONT = 12,                /* size */
  SVG_LINE = 14                 /* height of a line */
};
struct svg_line {               /* of a text; borrowed from it */
  const char *text;
  size_t n;
  int is_cut;                   /* more would follow */
};
double svg_line_width(const struct svg_line *line);
/* Breaks a text at spaces into lines[returned] of at most `most`, none wider than `width`. The last
** line is cut where more would follow. *is_whole: nothing is cut, and no word is broken. */
int svg_break(struct svg_line *lines, int most, const char *text, size_t n, int width,
              int *is_whole);
void svg_number(struct buf *out, double x);     /* one decimal, rounded */
void svg_attribute(struct buf *out, const char *name, double x);
/* Text between tags. What XML cannot have, and what is no UTF-8, becomes U+FFFD. */
void svg_text(struct buf *out, const char *text, size_t n);
/* A square picture, from a PNG; its upper left corner is at (x, y). */
void svg_picture(struct buf *out, double x, double y, double size, const unsigned char *png,
                 size_t n);
/* anchor: SVG's text-anchor, which is at x. */
void svg_lines(struct buf *out, const struct svg_line *lines, int n, double x, double top,
               const char *anchor);

#endif
