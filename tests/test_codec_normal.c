/*
** test_codec_normal.c -- the properties of codec_normal.c: what a text becomes for search.
*/
#include "codec.h"
#include "fault.h"
#include "ok.h"
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define N_OF(list) (sizeof(list)/sizeof((list)[0]))

static const struct { const char *text, *normal; } CASES[] = {
  /* Text that is normal stays. */
  { "", "" },
  { " A dog runs.", " A dog runs." },
  { "co-operate: 'a' & \"b\" (c) 3.5 km", "co-operate: 'a' & \"b\" (c) 3.5 km" },
  { " \xD0\x9F\xD1\x80\xD0\xB8 \xE4\xBD\xA0 \xF0\x9F\x98\x80", " \xD0\x9F\xD1\x80\xD0\xB8 "
    "\xE4\xBD\xA0 \xF0\x9F\x98\x80" },
  /* White space. */
  { " ", " " },
  { "\t \n", " " },
  { "a\t\tb \r\n c  ", "a b c" },
  { "\n\nA dog", " A dog" },
  { "a\xC2\xA0" "b\xE2\x80\x83" "c\xE3\x80\x80" "d\xE2\x80\xA8" "e\xC2\x85" "f", "a b c d e f" },
  { "a \xE2\x80\x8B b", "a b" },
  /* What does not show. */
  { "zero\xE2\x80\x8B" "width\xE2\x81\xA0joiner\xEF\xBB\xBF", "zerowidthjoiner" },
  { "soft\xC2\xADhyphen \xE2\x80\x8Fmark\xE2\x80\xAE", "softhyphen mark" },
  { "\xE2\x9D\xA4\xEF\xB8\x8F", "\xE2\x9D\xA4" },
  { "a\x01" "b\x7F" "c\xC2\x80" "d", "abcd" },
  /* One spelling for each letter. */
  { "e\xCC\x81", "\xC3\xA9" },
  { "e\xE2\x80\x8B\xCC\x81", "\xC3\xA9" },
  { "a\xCC\xA3\xCC\x82", "\xE1\xBA\xAD" },
  { "a\xCC\x82\xCC\xA3", "\xE1\xBA\xAD" },
  { "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C" },
  { "\xEF\xBC\xA8\xEF\xBD\x85\xEF\xBD\x99\xE3\x80\x80\xEF\xBC\x91\xEF\xBC\x81", "Hey 1!" },
  { "\xF0\x9D\x93\x97\xF0\x9D\x93\xB2", "Hi" },
  { "\xEF\xAC\x81nd x\xC2\xB2 \xE2\x84\xA2", "find x2 TM" },
  { "1\xC2\xBD and \xC2\xBD", "1 1/2 and 1/2" },
  /* What a typewriter has. */
  { "don\xE2\x80\x99t \xE2\x80\x9Csay\xE2\x80\x9D \xC2\xABno\xC2\xBB", "don't \"say\" \"no\"" },
  { "1990\xE2\x80\x93" "95 a\xE2\x80\x94" "b a \xE2\x80\x94 b\xE2\x80\xA6", "1990-95 a - b a - "
    "b..." },
  { "co\xE2\x80\x91operate \xE2\x88\x92" "5", "co-operate -5" },
  /* Capitals. */
  { "THE TRAIN WAS LATE.", "The train was late." },
  { " \"STOP IT NOW\"", " \"Stop it now\"" },
  { "NASA and ESA", "NASA and ESA" },
  { "NASA, IBM", "Nasa, ibm" },
  { "IBM PC", "IBM PC" },
  { "NATO", "NATO" },
  { "ABCDEFG J\xCC\x8C", "Abcdefg \xC7\xB0" },
  { "\xD0\x9F\xD0\xA0\xD0\x98\xD0\x92\xD0\x95\xD0\xA2 \xD0\xAF", "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2"
    "\xD0\xB5\xD1\x82 \xD1\x8F" },
  { "\xEF\xBC\xA8\xEF\xBC\xA8\xEF\xBC\xA8\xEF\xBC\xA8\xEF\xBC\xA8\xEF\xBC\xA8\xEF\xBC\xA8",
    "Hhhhhhh" },
  /* Bytes that are not UTF-8. */
  { "caf\xE9 \xFF\xFE", "caf\xC3\xA9 \xC3\xBF\xC3\xBE" },
  { "\xABno\xBB\xA0yes", "\"no\" yes" },
  { "\xE2\x80", "\xC3\xA2" },
  { "\xED\xA0\x80z\xC0\x81", "\xC3\xAD z\xC3\x80" },
};

static void test_cases(void){
  struct property same = { 0 };
  for(size_t i=0; i<N_OF(CASES); i++){
    struct buf b = { 0 };
    buf_str(&b, "kept");
    text_normalize(&b, CASES[i].text, strlen(CASES[i].text));
    holds(&same, strncmp(buf_text(&b), "kept", 4)==0 && strcmp(b.data + 4, CASES[i].normal)==0,
          "\"%s\" became \"%s\", expected \"%s\"", CASES[i].text, b.data + 4, CASES[i].normal);
    buf_release(&b);
  }
  property_ok(&same, "normal: each case becomes what it should");
}

static void append_code_point(struct buf *b, uint32_t c){
  if( c<0x80 ){
    buf_char(b, (char)c);
    return;
  }
  if( c<0x800 ){
    buf_char(b, (char)(0xC0 | c>>6));
  }else{
    if( c<0x10000 ){
      buf_char(b, (char)(0xE0 | c>>12));
    }else{
      buf_char(b, (char)(0xF0 | c>>18));
      buf_char(b, (char)(0x80 | (c>>12 & 63)));
    }
    buf_char(b, (char)(0x80 | (c>>6 & 63)));
  }
  buf_char(b, (char)(0x80 | (c & 63)));
}

/* A text of up to 40 characters from all of Unicode, surrogates and lone bytes among them. */
static void random_text(struct buf *b, struct random *r){
  static const uint32_t MOST[] = { 0x7F, 0x24F, 0x36F, 0x11FF, 0x30FF, 0xFFFF, 0x1FFFF, 0x10FFFF };
  int n = (int)(random_u64(r)%40);
  b->n = 0;
  for(int i=0; i<n; i++){
    uint32_t most = MOST[random_u64(r)%N_OF(MOST)];
    if( random_u64(r)%20==0 ) buf_char(b, (char)(random_u64(r) & 0xFF));
    else append_code_point(b, (uint32_t)(random_u64(r)%(most + 1)));
  }
}

static int is_normal(const struct buf *b){
  for(size_t i=0; i<b->n; i++){
    unsigned char c = (unsigned char)b->data[i];
    if( c<0x20 || c==0x7F ) return 0;
    if( (c & 0xC0)!=0x80 && utf8_length(b->data + i, b->n - i)==0 ) return 0;
    if( c==' ' && (i+1==b->n ? b->n>1 : b->data[i+1]==' ') ) return 0;
  }
  return 1;
}

static void test_random(void){
  struct property normal = { 0 }, twice = { 0 };
  struct random r = random_of(17);
  struct buf text = { 0 }, once = { 0 }, again = { 0 };
  for(int i=0; i<50000; i++){
    random_text(&text, &r);
    once.n = again.n = 0;
    text_normalize(&once, buf_text(&text), text.n);
    text_normalize(&again, buf_text(&once), once.n);
    holds(&normal, is_normal(&once), "seed 17, case %d: \"%s\"", i, buf_text(&once));
    holds(&twice, once.n==again.n && memcmp(buf_text(&once), buf_text(&again), once.n)==0,
          "seed 17, case %d: \"%.90s\" became \"%.90s\", then \"%.90s\"", i,
          buf_text(&text), buf_text(&once), buf_text(&again));
  }
  property_ok(&normal, "normal: UTF-8 without control characters, one space at a time, comes out");
  property_ok(&twice, "normal: doing it twice changes nothing more");
  buf_release(&text);
  buf_release(&once);
  buf_release(&again);
}

/* A letter with 200,000 marks, in the order that takes longest to put right. */
static void test_many_marks(void){
  struct buf text = { 0 }, out = { 0 };
  buf_char(&text, 'a');
  for(int i=0; i<100000; i++) buf_str(&text, "\xCC\x81");       /* class 230 */
  for(int i=0; i<100000; i++) buf_str(&text, "\xCC\xA3");       /* class 220 */
  buf_char(&text, 'b');
  text_normalize(&out, buf_text(&text), text.n);
  ok(out.n==2 + 29*2 + 1 && out.data[out.n-1]=='b', "normal: 30 marks of a letter are kept",
     "%zu bytes", out.n);
  buf_release(&text);
  buf_release(&out);
}

static void test_out_of_memory(void){
  struct property told = { 0 };
  for(int at=1; at<4; at++){
    static char text[1000];
    struct buf out = { 0 };
    memset(text, 'x', sizeof(text));
    fault_set(at, 1);
    text_normalize(&out, text, sizeof(text));
    holds(&told, out.rc==(fault.failed ? SQLITE_NOMEM : SQLITE_OK), "allocation %d: rc %d", at,
          out.rc);
    fault_set(0, 0);
    buf_release(&out);
  }
  property_ok(&told, "normal: a failed allocation is told as such");
}

int main(void){
  if( fault_install()!=SQLITE_OK ) return 2;
  test_cases();
  test_random();
  test_many_marks();
  test_out_of_memory();
  ok(sqlite3_memory_used()==0, "normal: nothing is left of SQLite's memory", "%lld bytes",
     (long long)sqlite3_memory_used());
  return n_not_ok>0;
}
