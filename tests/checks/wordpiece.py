#!/usr/bin/python3
"""100,000 lines of every language and script have the piece numbers of PyPI's tokenizers.

    tests/checks/wordpiece.py [seed]

The vocabulary is trained on the lines themselves, so that every script has pieces. Without a
network the check is skipped.
"""
import glob
import lzma
import os
import random
import sys

from common import ROOT, WORK, main, ok, run, skip, steps, write
from pages import all_pages

PYTHON = 'build/tokenizers/bin/python'
FOLDER = f'{WORK}/wordpiece'
TEXTS = ('text/test', 'text_users/docs', 'text_users/commits',
         'pairs/simplewiki_title_firstsentence')
N = {'uncased': 100_000, 'cased': 20_000, 'accents': 20_000, 'raw': 20_000}
PIECES = 30_000


def get_tokenizers():
    """Gives why it is missing, or None."""
    if os.path.exists(PYTHON) and run([PYTHON, '-c', 'import tokenizers'])[0] == 0:
        return None
    return steps((['/usr/bin/python3', '-m', 'venv', 'build/tokenizers'],
                  ['build/tokenizers/bin/pip', 'install', '-q', '--no-deps', 'tokenizers']),
                 timeout=300)


def texts():
    """Lines of the training's data, where it lies beside the repository, and of the pages here."""
    lines = []
    for path in all_pages():
        with open(path, encoding='utf8') as f:
            lines += f.read().split('\n')
    for path in glob.glob('../shared/data/*/*.xz'):
        if any(path.rsplit('.', 2)[0].endswith(name) for name in TEXTS):
            with lzma.open(path, 'rt', encoding='utf8') as f:
                lines += [line.rstrip('\n') for line, _ in zip(f, range(5000))]
    return lines


def compare(seed):
    """Runs in PYTHON: prints the outcomes."""
    from tokenizers import trainers
    sys.path.insert(0, os.path.join(ROOT, 'tests', 'data'))
    from make_wordpiece_cases import SETTINGS, SPECIAL, reference, wordpiece_lines
    rng = random.Random(seed)
    own = texts()
    lines = rng.choices(own, k=N['uncased'] // 4)
    lines += wordpiece_lines(rng, N['uncased'] - len(lines), own)
    rng.shuffle(lines)
    for name, setting in SETTINGS.items():
        some = lines[:N[name]]
        t = reference({}, setting)
        t.train_from_iterator(some, trainers.WordPieceTrainer(
            vocab_size=PIECES, special_tokens=SPECIAL, limit_alphabet=PIECES // 4,
            show_progress=False))
        # The trained model again without the special tokens, which no text may say.
        t = reference(t.get_vocab(), setting)
        write(f'{FOLDER}/tokenizer.json', t.to_str())
        write(f'{FOLDER}/lines.txt', ''.join(line + '\n' for line in some))
        status, out = run(['build/core/test_codec_wordpiece', FOLDER, f'{FOLDER}/lines.txt'])
        got = out.split('\n')
        expected = [' '.join(map(str, e.ids))
                    for e in t.encode_batch(some, add_special_tokens=False)]
        wrong = [i for i, e in enumerate(expected) if i >= len(got) or got[i] != e]
        ok(status == 0 and not wrong, f'{name}: {len(some)} lines have the numbers of tokenizers',
           f'seed {seed}: {len(wrong)} lines differ, first {some[wrong[0]]!a}: expected '
           f'{expected[wrong[0]]}, got {got[wrong[0]]}' if wrong else out[-300:])


def wordpiece():
    seed = sys.argv[1] if len(sys.argv) > 1 else '18'
    why = get_tokenizers()
    if why:
        skip('piece numbers', why)
        return
    status, out = run([PYTHON, __file__, '--compare', seed])
    print(out, end='', flush=True)
    if status != 0 and 'not ok - ' not in out:
        ok(False, 'the comparison runs', out[-500:])


if __name__ == '__main__':
    if sys.argv[1:2] == ['--compare']:
        main(lambda: compare(int(sys.argv[2])))
    else:
        main(wordpiece)
