"""Writes tokenizer.tsv: what model/tokenizer.py makes of strings that are hard to split.

Run it from anywhere; it needs only Python. A row is: the model (tiny or text), the text in
hexadecimal, its ids. The leading space that encode() adds is the test's to add.
"""
import pathlib
import random
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'model'))
from tokenizer import SPACE, Tokenizer  # noqa: E402

SENTENCES = '''The quick brown fox jumps over the lazy dog.
It was the best of times, it was the worst of times.
"Why?" she asked; nobody answered.
I can't, won't and shouldn't've.
Call 555-0199 or write to a.b@example.org before 17:30 on 2026-11-23.
supercalifragilisticexpialidocious
antidisestablishmentarianism is a long word
SELECT a.body FROM notes a WHERE a.id = 1 -- comment
for(i=0; i<n; i++){ x[i] += y[i]*2; }
https://example.com/path?query=1&other=two#part
Der Fluß fließt über die Brücke, süß und öde.
Où est la bibliothèque ? À côté du café.
Το σκυλί τρέχει.
Быстрая коричневая лиса
東京は日本の首都です。
안녕하세요 세계
مرحبا بالعالم
naïve façade, coöperate, résumé
emoji: \U0001F600\U0001F468\u200d\U0001F469\u200d\U0001F467 done
a\u0301 combining, \u00a0no-break, \u2003em space, \ufeffmark, \u200bzero width'''.split('\n')
# Nothing, and white space in all places.
BLANK = ['', ' ', '  ', '     ', 'a', ' a', 'a ', '  the  the  ', '\t', '\n', 'a\tb\nc\r\nd',
         ' \n \n ']
# Ties when repeated: the same pieces in another order have the same sum.
TIES = ['a', 'aa', 'aaa', 'ab', 'ing', 'the', 's', '.', '..', '-', "'", '"', '0', '12', 'ss', 'ee',
        ' .', '. ', 'in in']
# The mark that stands for a space in pieces, and the names of control and byte pieces.
NAMES = [SPACE, SPACE * 3, 'a' + SPACE + 'the', SPACE + 'the', ' ' + SPACE + ' ',
         '<s></s><unk><pad>', '<0x00><0x41>', 'the' + SPACE]
# Bytes that are not UTF-8: alone, cut short, overlong, surrogates, too large, and between pieces.
NOT_UTF8 = [b'\0', b'\0\0the\0', b'\xff', b'\x80', b'\xe2\x96', b'the\xe2\x96\x81cat\xe2',
            b'\xc0\x80', b'\xe0\x80\x80', b'\xed\xa0\x80', b'\xed\xb2\x80\xed\xb0\x80',
            b'\xf4\x90\x80\x80', b'\xf0\x9f\x98', b'a\xf0\x9f\x98b', b'\xf8\x88\x80\x80\x80',
            b'the \xe9t\xe9 of', bytes(range(256))]


def cases():
    yield from (x.encode() for x in SENTENCES)
    yield from (x.encode() for x in BLANK)
    yield from ((x * 17).encode() for x in TIES)
    yield from (x.encode() for x in NAMES)
    yield from NOT_UTF8
    rng = random.Random(3)
    for n in (1, 2, 3, 7, 20, 100):
        yield rng.randbytes(n)
        yield ''.join(rng.choice('ab the,.\u2581é') for _ in range(n)).encode()


if __name__ == '__main__':
    with open(ROOT / 'tests/data/tokenizer.tsv', 'w') as out:
        for model, path in (('tiny', 'tests/data/tiny.json'), ('text', 'model/text.json')):
            tokenizer = Tokenizer.from_json(ROOT / path)
            for data in cases():
                ids = tokenizer.encode(data)
                assert tokenizer.decode_bytes(ids) == data
                out.write(f'{model}\t{data.hex()}\t{" ".join(map(str, ids))}\n')
