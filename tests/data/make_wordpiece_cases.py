"""Writes wordpiece.tsv: what PyPI's tokenizers makes of lines in many languages and scripts, with
the small vocabulary wordpiece.txt, which it writes too.

    build/tokenizers/bin/python tests/data/make_wordpiece_cases.py

(tests/checks/wordpiece.py makes that Python.) A row is: how the normaliser is set, the text in
hexadecimal, its piece numbers. wordpiece_lines() gives the lines of that check.
"""
import codecs
import collections
import pathlib
import random
import unicodedata

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = {                            # as in tests/test_codec_wordpiece.c
    'uncased': dict(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True),
    'cased': dict(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=False),
    'accents': dict(clean_text=True, handle_chinese_chars=False, strip_accents=False,
                    lowercase=True),
    'raw': dict(clean_text=False, handle_chinese_chars=True, strip_accents=True, lowercase=False),
}
SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
SENTENCES = '''The quick brown fox jumps over the lazy dog, and the train was late.
"Why?" she asked; nobody answered -- it's 17:30 on 2026-11-23.
supercalifragilisticexpialidocious antidisestablishmentarianism
x = a[i]*2 + f(y) && ~z | {k: 'v'}; <tag> $5 50% #9 @me a_b c^d `e` \\n
Der Fluß fließt über die ÄUSSERE Brücke, süß und öde. STRASSE
Où est la bibliothèque ? À côté du CAFÉ, l’œuvre « naïve »…
¿Dónde está el niño? ¡Mañana, señor!  Ærø Ångström Þór łódź žluťoučký kůň
İstanbul'da ılık IŞIK, DİYARBAKIR ǅ ǆ
Το σκυλί ΤΡΕΧΕΙ στους δρόμους; Ὀδυσσεύς ᾂ
Быстрая КОРИЧНЕВАЯ лиса й ё Їжак
東京は日本の首都です。カタカナ ｶﾞ ﾊﾟ がぱ
你好，世界！我爱北京天安门 豈更車 𠀀𪜀
안녕하세요 세계 한국어 한
مرحبا بالعالم، هذا نصٌّ مُشَكَّل؟ ١٢٣
שָׁלוֹם עוֹלָם
नमस्ते दुनिया, यह हिन्दी है। क्षत्रिय
தமிழ் கொடு வணக்கம் বাংলা ভাষা কো
สวัสดีชาวโลก ภาษาไทย
Xin chào thế giới, tiếng Việt ệ ậ ữ
አማርኛ ሰላም። ᏣᎳᎩ ꮳꮃꭹ ქართული ᲥᲐᲠᲗ հայերեն
\U0001F600\U0001F468\u200d\U0001F469\u200d\U0001F467 ❤️ \U0001F1E9\U0001F1EA ½ x² ™ ㎞ ﬁ ① ⅷ Ⅷ
\uff28\uff45\uff59\u3000\uff11\uff01 \U0001d4d7\U0001d4f2
a\u0301b\u0323\u0302 a\u0302\u0323 no\u00a0break em\u2003space \ufeffmark \u200bzero\u00adsoft
control\x01\x1b[0m \x7f\x85next\x0bvt\x0cff\tline\u2028sep\u2029par \ufffd \ue000private
≠ ≮ ; \u1fef \u212b \u2126 \u1e9e \u0149 \u0344 \u0958 \u0f43 \u2adc
x\u302e\u1b44 x\U00016ff0\u302f \u0aff\u0b55
x\U000111c9x x\u166dx x\u1734x x\u2e4fx x\u0890x x\u1715\u1b44'''.split('\n')
NOT_UTF8 = [b'\xff', b'the\xe9 caf\xe9', b'\xe2\x96', b'a\xf0\x9f\x98b', b'\xed\xa0\x80',
            b'\xc0\x80the', b'\xf4\x90\x80\x80']
BLANK = ['', ' ', '\t \u3000', 'the', ' the ', 'x' * 100, 'x' * 101, '!' * 30, 'the' * 33 + 'x',
         '\u00e9' * 100, '\u00e9' * 101, '#a ##a', '\x00a\x00']


def assigned():
    return [chr(c) for c in range(1, 0x110000)
            if unicodedata.category(chr(c)) not in ('Cn', 'Co', 'Cs') and chr(c) not in '\r\n']


def word(rng, letters):
    return ''.join(rng.choice(letters) for _ in range(rng.choice([1, 2, 3, 4, 5, 8, 12])))


def wordpiece_lines(rng, n, texts):
    """n lines: words of each part of Unicode, parts mixed, marks strewn over texts, anything."""
    every = assigned()
    parts = [every[i:i + 96] for i in range(0, len(every), 96)]
    hard = [c for c in every
            if unicodedata.category(c)[0] in 'MPZC' or unicodedata.decomposition(c)]
    lines = [' '.join(word(rng, part) for _ in range(8)) for part in parts[:n // 3]]
    while len(lines) < n:
        kind = rng.random()
        if kind < 0.4:
            part = rng.choice(parts)
            lines.append(' '.join(word(rng, part) for _ in range(rng.randint(1, 12))))
        elif kind < 0.6:
            lines.append(' '.join(word(rng, rng.choice([parts[0], rng.choice(parts), hard]))
                                  for _ in range(rng.randint(1, 12))))
        elif kind < 0.9:
            text = list(rng.choice(texts))
            for _ in range(len(text) // 8):
                text.insert(rng.randint(0, len(text)), rng.choice(hard))
            lines.append(''.join(text))
        else:
            anything = [chr(rng.randrange(1, 0xd800)), chr(rng.randrange(0xe000, 0x110000))]
            lines.append(word(rng, anything + [rng.choice(hard)] + parts[0]) * rng.randint(1, 12))
    return [line.replace('\n', ' ').replace('\r', ' ') for line in lines]


def reference(vocab, setting):
    """PyPI's tokenizer. No text can say a special token, as in the C."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    t = Tokenizer(models.WordPiece(vocab, unk_token='[UNK]', max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(**setting)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return t


def small_vocab(lines):
    """Pieces for three of four lines: their characters, and what is frequent among their words."""
    counts = collections.Counter()
    for setting in SETTINGS.values():
        t = reference({'[UNK]': 0}, setting)
        for line in lines:
            for w, _ in t.pre_tokenizer.pre_tokenize_str(t.normalizer.normalize_str(line)):
                counts.update(dict.fromkeys(w[:1] + '\0', 1))
                counts.update(['##' + c for c in w[1:]])
                counts.update([w[:4], w[:2], w] + ['##' + w[i:i + 3] for i in range(1, len(w) - 2)])
    counts.pop('\0', None)
    pieces = sorted(p for p, n in counts.items()
                    if p.strip() and '\n' not in p and p == p.strip() and len(p.encode()) <= 60
                    and (n > 3 or len(p.removeprefix('##')) == 1))
    return {p: i for i, p in enumerate(SPECIAL + [p for p in pieces if p not in SPECIAL])}


def main():
    rng = random.Random(18)
    lines = SENTENCES + BLANK
    vocab = small_vocab([s for i, s in enumerate(SENTENCES) if i % 8 != 3] * 2 + ['x' * 5])
    texts = [line.encode() for line in lines + wordpiece_lines(rng, 30, SENTENCES)] + NOT_UTF8
    (HERE / 'wordpiece.txt').write_text(''.join(p + '\n' for p in vocab), encoding='utf8')
    with open(HERE / 'wordpiece.tsv', 'w') as out:
        for name, setting in SETTINGS.items():
            t = reference(vocab, setting)
            for text in texts:
                ids = t.encode(text.decode('utf8', 'each byte'), add_special_tokens=False).ids
                out.write(f'{name}\t{text.hex()}\t{" ".join(map(str, ids))}\n')


def each_byte(error):
    """Each byte that is not UTF-8 is a U+FFFD of its own."""
    return '\ufffd', error.start + 1


codecs.register_error('each byte', each_byte)
if __name__ == '__main__':
    main()
