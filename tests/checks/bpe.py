#!/usr/bin/python3
"""100,000 texts of every language and script, code, and every character have the piece numbers of
PyPI's tokenizers.

    tests/checks/bpe.py [seed] [tokenizer.json]

With SmolLM2's tokenizer, where it is there (or the one given), and with one that is trained on the
texts themselves, so that every script has pieces. Without a network the check is skipped.
"""
import glob
import json
import lzma
import os
import random
import sys

from common import ROOT, WORK, main, ok, run, skip, write
from pages import all_pages
from wordpiece import PYTHON, get_tokenizers

FOLDER = f'{WORK}/bpe'
SHIPPED = 'model/writer/tokenizer.json'
N = 100_000
N_TRAINED = 30_000
PIECES = 20_000


def texts():
    """Of the training's data, where it lies beside the repository, and of the pages here: lines,
    whole functions, whole files."""
    found = []
    for path in all_pages() + glob.glob('ext/*/*.c'):
        with open(path, encoding='utf8') as f:
            text = f.read()
        found += [text, *text.split('\n')]
    for path in sorted(glob.glob('../shared/data/*/*.xz')):
        with lzma.open(path, 'rt', encoding='utf8') as f:
            lines = [line.rstrip('\n') for line, _ in zip(f, range(5000))]
        for line in lines:
            if '.jsonl' in path:
                found += [x for x in json.loads(line).values() if isinstance(x, str)]
            found.append(line)
    return found


def every_character():
    """Each between what shows by its pieces whether that is a letter, a digit, white space or
    neither: "  " and "'s" become other pieces beside each."""
    parts = (0, 0xD800), (0xE000, 0x34000), (0xE0000, 0xE0200), (0x10FF00, 0x110000)
    all_of = [chr(c) for first, end in parts for c in range(first, end)]
    return [''.join(f"  {c}'s." for c in all_of[i:i + 64]) for i in range(0, len(all_of), 64)]


def compare_one(name, path, t, some, seed):
    write(f'{FOLDER}/texts.txt', ''.join(text.encode().hex() + '\n' for text in some))
    status, out = run(['build/core/test_bpe', path, f'{FOLDER}/texts.txt'])
    got = out.split('\n')
    encoded = [e.ids for e in t.encode_batch(some, add_special_tokens=False)]
    expected = [' '.join(map(str, ids)) for ids in encoded]
    wrong = [i for i, e in enumerate(expected) if i >= len(got) or got[i] != e]
    ok(status == 0 and not wrong, f'{name}: {len(some)} texts have the numbers of tokenizers',
       f'seed {seed}: {len(wrong)} texts differ, first {some[wrong[0]]!a:.300}: expected '
       f'{expected[wrong[0]]:.300}, got {got[wrong[0]]:.300}' if wrong else out[-300:])
    used = {i for ids in encoded for i in ids}
    ok(len(used) > t.get_vocab_size() // 2, f'{name}: they use most pieces',
       f'{len(used)} of {t.get_vocab_size()}')


def compare(seed, path):
    """Runs in PYTHON: prints the outcomes."""
    from tokenizers import Tokenizer
    sys.path.insert(0, os.path.join(ROOT, 'tests', 'data'))
    from make_bpe_cases import bpe_texts, train
    rng = random.Random(seed)
    own = texts()
    some = rng.choices(own, k=N // 2)
    some += bpe_texts(rng, N - len(some), own)
    rng.shuffle(some)
    some += every_character()
    if os.path.exists(path):
        t = Tokenizer.from_file(path)
        t.encode_special_tokens = True
        compare_one('SmolLM2', path, t, some, seed)
    t = train(some[:N_TRAINED], PIECES)
    t.save(f'{FOLDER}/tokenizer.json')
    compare_one('trained', f'{FOLDER}/tokenizer.json', t, some[:N_TRAINED], seed)


def bpe():
    seed, path = (sys.argv[1:] + ['19', SHIPPED][len(sys.argv) - 1:])[:2]
    why = get_tokenizers()
    if why:
        skip('piece numbers', why)
        return
    os.makedirs(FOLDER, exist_ok=True)
    status, out = run([PYTHON, __file__, '--compare', seed, path])
    print(out, end='', flush=True)
    if status != 0 and 'not ok - ' not in out:
        ok(False, 'the comparison runs', out[-500:])


if __name__ == '__main__':
    if sys.argv[1:2] == ['--compare']:
        main(lambda: compare(int(sys.argv[2]), sys.argv[3]))
    else:
        main(bpe)
