"""The board of what is written between two texts; score.py calls it (--rows writer).

Three judges, none of which the writer was trained with: all-mpnet-base-v2 (mpnet.py), run by
latent_embed(), says whether the text in the middle is about both ends; SmolLM2-135M (smol.py), in
PyTorch, what a word of it costs; and a person reads the list that is printed.

The pairs of users' content are always the same 100. 50 stand in pairs_users.tsv (kind, kind, text,
text), written for it before anything was measured: in half of them the two are about the same
thing. 50 are drawn from ../shared/data/text_users/*.test.txt.xz, which the licence of that
collection keeps out of this repository; DRAWN is the hash of what was drawn.
"""
import glob
import hashlib
import os
import random

from judge import lines

HERE = os.path.dirname(os.path.abspath(__file__))
PAIRS = 50              # of each half of the users' pairs
SHORT = 15, 90          # letters of a text that is drawn
DRAWN = '78bc444ea517a685'


# ---- The pairs ----

def users_tests(data):
    """source -> its short texts, of text_users/*.test."""
    out = {}
    for path in sorted(glob.glob(f'{data}/text_users/*.test.txt.xz')):
        texts = [' '.join(t.split()) for t in lines(path)]
        source = os.path.basename(path).split('.')[0]
        out[source] = [t for t in texts if SHORT[0] <= len(t) <= SHORT[1]]
    return out


def drawn_pairs(data):
    """[(source, source, text, text)] of two sources each, the sources as often as one another."""
    rng = random.Random(43)
    tests = users_tests(data)
    pairs = []
    for _ in range(PAIRS):
        two = rng.sample(sorted(tests), 2)
        pairs.append((*two, *(rng.choice(tests[source]) for source in two)))
    found = hashlib.sha256(repr(pairs).encode()).hexdigest()[:16]
    if found != DRAWN:
        raise SystemExit(f'{data}/text_users is not what the list was drawn from: the pairs have '
                         f'the hash {found}, expected {DRAWN}')
    return pairs


def written_pairs():
    with open(f'{HERE}/pairs_users.tsv', encoding='utf8') as f:
        return [tuple(line.rstrip('\n').split('\t')) for line in f]
