"""Writes bpe.json, a small tokenizer like SmolLM2's, and bpe.tsv: what PyPI's tokenizers makes of
lines in many languages and scripts with it.

    build/tokenizers/bin/python tests/data/make_bpe_cases.py

(tests/checks/wordpiece.py makes that Python.) A row is: the text in hexadecimal, its piece numbers.
bpe_texts() gives the texts of tests/checks/bpe.py.
"""
import json
import pathlib
import random

from make_wordpiece_cases import BLANK, SENTENCES, wordpiece_lines

HERE = pathlib.Path(__file__).resolve().parent
SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
MISSING = 'ĄĖÀÿ'                # the bytes 04 16 C0 FF, which have no piece in bpe.json
HARD = '''I'm sure they're Bob's, we've said they'll go; he'd DON'T IT'S 'tis rock'n'roll ''s 'r 'l
x'  's 'S 't'll'ves'd' !'s 's9'm
a  b   c    d\t\te \t f\u00a0g \u00a0h  \u3000i\u2003 j \u00851 2  3   4a    5
0 1 12 123 1234 3.14159 1e-5 0x1F 2026-11-28T17:30:00Z 1,000,000 ½ ² ١٢٣ ⅷ 一二 \U0001D7D8 ㉠
def f(x):\n    return {'a': x[0]**2}  # two\n\n\n\n  if (a!=b && !c) { x += "\\\\n"; }\n\t\n
one\r\ntwo\r\n\r\n  three \r\nfour\n \n\n \n five\n
<|endoftext|> <|im_start|>user\nHi<|im_end|>\n<|im_end
\u1c89\u1c8a \U000105c0\U000105f3 \U00010d40\U00010d4a \U00011de0x \U00016ff4 x \U00016ff6
\U00016ff2\U00016ff3 \U0001ccf0 \U00020000\U0002ebf0 \U000323b0 \U00013460\U000143fa.\U000143fb
\x00\x01\x02\x03\x05\x1b[0m\x7f ab \x85 \x1c \x1d \x1e \x1f
!\x04= \x04\x16\x04 x\x04y a \x16 b
\U00040000 \U000bffff \U000fffff \U0010ffff \ufffe
'''.split('\n')
ENDS = ['    ', '  \n', 'a ', 'a  ', ' a', '  a', '\n', '\n\n', '\r\n', "'", "'s", " 's", '7',
        ' 7 ', 'a' * 500, 'ab' * 300, ' ' * 300, '\n' * 99 + 'x', '0' * 200, '!' * 200,
        '\U0001F600' * 50, 'é' * 99, '\u0301' * 60, '.' * 64 + ' ' * 64 + '\t' * 9]


def run_of(rng):
    c = rng.choice([' ', '\n', '\t', '\r\n', '0', '7', 'a', '=', '-', "'", '\u3000', '\u0301', 'é',
                    '\U0001F600', '字', '٣'])
    return c * rng.choice([1, 2, 3, 4, 7, 8, 16, 33, 100])


def bpe_texts(rng, n, texts):
    """n texts: the lines of WordPiece's check, several lines in one, runs of one character, short
    forms, and characters from anywhere."""
    out = wordpiece_lines(rng, n // 2, texts)
    short = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'T", "'LL", "'", '’s', "n't", ' ', '  ']
    while len(out) < n:
        kind = rng.random()
        some = [rng.choice(texts) for _ in range(rng.randint(1, 4))]
        if kind < 0.3:
            out.append(rng.choice(['\n', '\r\n', '\n\n', ' \n ', '\t']).join(some))
        elif kind < 0.6:
            out.append(''.join(rng.choice([some[0][:20], run_of(rng), run_of(rng)])
                               for _ in range(rng.randint(1, 9))))
        elif kind < 0.8:
            words = some[0].split(' ')
            out.append(''.join(w + rng.choice(short) for w in words))
        else:
            anything = (0x80, 0x250, 0x3000, 0xd800, 0x30000, 0x110000)
            out.append(''.join(chr(rng.randrange(rng.choice(anything))) for _ in range(60)))
    return [''.join(c for c in text if not '\ud800' <= c <= '\udfff') for text in out]


def reference(vocab=None, merges=None, special=()):
    """PyPI's tokenizer. No text can say a special token, as in the C."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    t = Tokenizer(models.BPE(vocab, merges))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(x, special=True, normalized=False) for x in special])
    t.encode_special_tokens = True
    return t


def train(lines, n_pieces):
    """A tokenizer of n_pieces for the lines, without the MISSING bytes."""
    from tokenizers import pre_tokenizers, trainers
    t = reference()
    t.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=n_pieces, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(t.to_str())['model']
    pieces = [x for x in model['vocab'] if not set(MISSING) & set(x)]
    merges = [tuple(x) for x in model['merges'] if not set(MISSING) & set(''.join(x))]
    return reference({x: i for i, x in enumerate(pieces)}, merges, SPECIAL)


def main():
    rng = random.Random(19)
    t = train(SENTENCES * 2 + HARD * 2, 600)
    texts = SENTENCES + BLANK + HARD + ENDS + ['\n'.join(HARD)] + bpe_texts(rng, 60, SENTENCES)
    t.save(str(HERE / 'bpe.json'), pretty=False)
    with open(HERE / 'bpe.tsv', 'w') as out:
        for text in texts:
            ids = t.encode(text, add_special_tokens=False).ids
            out.write(f'{text.encode().hex()}\t{" ".join(map(str, ids))}\n')


if __name__ == '__main__':
    main()
