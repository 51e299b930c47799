/*
** functions_svg.c -- SVG: numbers, texts, lines of texts, pictures.
*/
#include "functions_svg.h"
#include <math.h>
#include <string.h>

/* ---- Lines ---- */

/* About the width of the character at text[0..n) in a wide sans-serif font, in thousandths of the
** font's size. *bytes: its length. */
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
  return is_ascii_upper(text[0]) ? 720 : 620;
}

static double text_width(const char *text, size_t n){
  int bytes;
  int sum = 0;
  for(size_t i=0; i<n && sum<1000000; i+=(size_t)bytes){
    sum += character_width(text+i, n-i, &bytes);
  }
  return sum*SVG_FONT/1000.0;
}

/* Bytes of the longest beginning that is at most `width` wide. */
static size_t text_fits(const char *text, size_t n, int width){
  int bytes;
  int sum = 0;
  size_t i = 0;
  for(; i<n; i+=(size_t)bytes){
    sum += character_width(text+i, n-i, &bytes);
    if( sum*SVG_FONT>width*1000 ) break;
  }
  return i;
}

/* Without the white space around it. */
static struct svg_line trimmed(const char *text, size_t n){
  while( n>0 && is_xml_space(text[0]) ){
    text++;
    n--;
  }
  while( n>0 && is_xml_space(text[n-1]) ) n--;
  return (struct svg_line){ .text = text, .n = n };
}

/* Bytes of `rest` on one line: all of it, or up to the last space that fits, or as much of a long
** word as fits. */
static size_t line_bytes(const struct svg_line *rest, int width){
  size_t fits = text_fits(rest->text, rest->n, width);
  size_t word = fits;
  if( fits==rest->n ) return fits;
  while( word>0 && !is_xml_space(rest->text[word]) ) word--;
  return word>0 ? word : fits;
}

double svg_line_width(const struct svg_line *line){
  return text_width(line->text, line->n) + (line->is_cut ? SVG_FONT : 0);
}

int svg_break(struct svg_line *lines, int most, const char *text, size_t n, int width,
              int *is_whole){
  struct svg_line rest = trimmed(text, n);
  int n_lines = 0;
  *is_whole = 1;
  for(; rest.n>0 && n_lines<most; n_lines++){
    size_t at = line_bytes(&rest, width);
    lines[n_lines] = trimmed(rest.text, at);
    *is_whole &= at==rest.n || is_xml_space(rest.text[at]);
    rest = trimmed(rest.text + at, rest.n - at);
  }
  if( rest.n>0 && n_lines>0 ) lines[n_lines-1].is_cut = 1;
  *is_whole &= rest.n==0;
  return n_lines;
}

/* ---- Numbers, texts, pictures ---- */

/* One decimal, rounded. */
void svg_number(struct buf *out, double x){
  int tenths = (int)floor(x*10 + 0.5);
  int size = tenths<0 ? -tenths : tenths;
  if( tenths<0 ) buf_char(out, '-');
  if( size%10 ) buf_printf(out, "%d.%d", size/10, size%10);
  else buf_printf(out, "%d", size/10);
}

void svg_attribute(struct buf *out, const char *name, double x){
  buf_printf(out, " %s=\"", name);
  svg_number(out, x);
  buf_char(out, '"');
}

/* Can XML have this character, of n bytes, in a text? Not most control characters, nor U+FFFE and
** U+FFFF. */
static int is_xml(const unsigned char *text, int n){
  if( n==0 ) return 0;
  if( text[0]<' ' ) return is_xml_space(text[0]);
  return n!=3 || text[0]!=0xef || text[1]!=0xbf || text[2]<0xbe;
}

void svg_text(struct buf *out, const char *text, size_t n){
  for(size_t i=0; i<n; ){
    int bytes = utf8_length(text+i, n-i);
    if( !is_xml((const unsigned char *)text+i, bytes) ) buf_str(out, UTF8_REPLACEMENT);
    else if( text[i]=='&' ) buf_str(out, "&amp;");
    else if( text[i]=='<' ) buf_str(out, "&lt;");
    else if( text[i]=='>' ) buf_str(out, "&gt;");
    else buf_append(out, text+i, (size_t)bytes);
    i += bytes ? (size_t)bytes : 1;
  }
}

static void put_base64(struct buf *out, const unsigned char *data, size_t n){
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for(size_t i=0; i<n; i+=3){
    int has_second = i+1<n;
    int has_third = i+2<n;
    uint32_t x = (uint32_t)data[i]<<16;
    char four[4];
    if( has_second ) x |= (uint32_t)data[i+1]<<8;
    if( has_third ) x |= data[i+2];
    four[0] = digits[x>>18];
    four[1] = digits[x>>12 & 63];
    four[2] = has_second ? digits[x>>6 & 63] : '=';
    four[3] = has_third ? digits[x & 63] : '=';
    buf_append(out, four, 4);
  }
}

void svg_picture(struct buf *out, double x, double y, double size, const unsigned char *png,
                 size_t n){
  buf_str(out, "<image");
  svg_attribute(out, "x", x);
  svg_attribute(out, "y", y);
  svg_attribute(out, "width", size);
  svg_attribute(out, "height", size);
  buf_str(out, " href=\"data:image/png;base64,");
  put_base64(out, png, n);
  buf_str(out, "\"/>");
}

void svg_lines(struct buf *out, const struct svg_line *lines, int n, double x, double top,
               const char *anchor){
  enum { BASELINE = 11 };       /* below the top of a line */
  for(int i=0; i<n; i++){
    buf_str(out, "<text");
    svg_attribute(out, "x", x);
    svg_attribute(out, "y", top + i*SVG_LINE + BASELINE);
    buf_printf(out, " text-anchor=\"%s\">", anchor);
    svg_text(out, lines[i].text, lines[i].n);
    if( lines[i].is_cut ) buf_str(out, "\xe2\x80\xa6");     /* an ellipsis */
    buf_str(out, "</text>\n");
  }
}
