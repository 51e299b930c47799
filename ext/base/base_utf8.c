/*
** base_utf8.c -- where a character ends.
**
** The valid ones are those of table 3-7 in the Unicode standard:
**
**     00..7F
**     C2..DF  80..BF
**     E0      A0..BF  80..BF             (below A0: overlong)
**     E1..EF  80..BF  80..BF             (ED: second byte below A0, else a surrogate)
**     F0      90..BF  80..BF  80..BF     (below 90: overlong)
**     F1..F3  80..BF  80..BF  80..BF
**     F4      80..8F  80..BF  80..BF     (above 8F: beyond U+10FFFF)
*/
#include "base.h"
#include <assert.h>

int utf8_length(const char *text, size_t n){
  const unsigned char *s = (const unsigned char *)text;
  unsigned char low = 0x80;     /* the second byte is low..high */
  unsigned char high = 0xBF;
  int length;
  assert( text!=NULL || n==0 );
  if( n==0 ) return 0;
  if( s[0]<0x80 ) return 1;
  if( s[0]<0xC2 || s[0]>0xF4 ) return 0;
  length = s[0]<0xE0 ? 2 : s[0]<0xF0 ? 3 : 4;
  if( n<(size_t)length ) return 0;
  if( s[0]==0xE0 ) low = 0xA0;
  if( s[0]==0xED ) high = 0x9F;
  if( s[0]==0xF0 ) low = 0x90;
  if( s[0]==0xF4 ) high = 0x8F;
  if( s[1]<low || s[1]>high ) return 0;
  for(int i=2; i<length; i++){
    if( (s[i] & 0xC0)!=0x80 ) return 0;
  }
  return length;
}
