"""The board of the writer: what lies between texts that people keep in rows, through SQL.

    PYTHON model/score_writer.py [--models FOLDER] [--decoders exact,writer]

Python needs numpy, and a sqlite3 that loads extensions. The judge is all-mpnet-base-v2, which no
part of latent was trained with; it comes from PyPI (mpnet.py). With --models (as writer.py has it)
SmolLM2 itself says how fluent the middles are; that needs torch.

100 pairs: the 50 of pairs_users.tsv, which were written before anything was measured, and 50 that a
seed draws from the held-out halves of ../shared/data/text_users, of two sources each. None is left
out. Rows, for each decoder:

    both      mean of min(cos(m, a), cos(m, b)) of the middles m = latent_interp(a, b, 0.5); the
              same of the best of --real real texts for each pair, which MiniLM finds; and for how
              many pairs m is nearer than that
    fluent    nats a word of the middles, divided by those of the ends
    exact     200 held-out texts that the decoder gives back to the letter
    readable  with --read N: the first N middles, to be read
"""
import argparse
import glob
import json
import lzma
import os
import random
import sqlite3
import subprocess
import sys

import numpy as np

import mpnet

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, '../../shared/data')
CACHE = os.path.expanduser('~/.cache/latent-score')
SEED = 19
SHORT = 100         # most characters of a drawn text


def connect(encoder):
    """A connection whose latent_embed() is the encoder's in that folder."""
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension(os.path.join(HERE, '../build/latent'))
    db.execute('SELECT latent_load(?)', (encoder,)).fetchone()
    return db


def one(db, sql, *args):
    return db.execute(sql, args).fetchone()[0]


def vectors(db, texts):
    return np.stack([np.frombuffer(one(db, 'SELECT latent_embed(?)', x), 'f4') for x in texts])


def lines(path):
    with lzma.open(path, 'rt', encoding='utf8') as f:
        return [' '.join(x.split()) for x in f if 8 < len(x) <= SHORT]


def held_out():
    """Short held-out texts by source."""
    files = sorted(glob.glob(f'{DATA}/text_users/*.test.txt.xz'))
    return {os.path.basename(f).split('.')[0]: lines(f) for f in files}


def all_pairs():
    with open(f'{HERE}/pairs_users.tsv', encoding='utf8') as f:
        pairs = [tuple(x.rstrip('\n').split('\t')[2:4]) for x in f]
    rng = random.Random(SEED)
    sources = held_out()
    for _ in range(50):
        a, b = rng.sample(sorted(sources), 2)
        pairs.append((rng.choice(sources[a]), rng.choice(sources[b])))
    return pairs


def real_texts(n):
    """n short texts of the training side, the same each time, and their vectors by MiniLM."""
    files = [x for x in sorted(glob.glob(f'{DATA}/text_users/*.txt.xz')) if '.test.' not in x]
    files += [x for x in sorted(glob.glob(f'{DATA}/text/*.txt.xz'))
              if os.path.basename(x)[:-7] not in ('valid', 'test')]
    path = f'{CACHE}/real-{n}'
    if not os.path.exists(path + '.npy'):
        rng = random.Random(SEED)
        texts = []
        for file in files:
            some = lines(file)
            texts += rng.sample(some, min(len(some), 2 * n // len(files)))
        rng.shuffle(texts)
        texts = texts[:n]
        os.makedirs(CACHE, exist_ok=True)
        with open(path + '.json', 'w') as f:
            json.dump(texts, f)
        np.save(path + '.npy', vectors(connect(f'{HERE}/meaning'), texts).astype('f2'))
    with open(path + '.json') as f:
        return json.load(f), np.load(path + '.npy').astype('f4')


def both(m, a, b):
    return np.minimum((m * a).sum(1), (m * b).sum(1))


def nearest_real(n, pairs):
    """For each pair the real text that is nearest to both, as MiniLM sees it."""
    texts, table = real_texts(n)
    db = connect(f'{HERE}/meaning')
    ends = [vectors(db, [p[i] for p in pairs]) for i in (0, 1)]
    best = np.minimum(ends[0] @ table.T, ends[1] @ table.T).argmax(1)
    return [texts[i] for i in best]


def nats_a_word(texts, models):
    out = subprocess.run([sys.executable, f'{HERE}/smol.py', '--models', models], check=True,
                         input=json.dumps(texts), stdout=subprocess.PIPE, text=True).stdout
    return sum(json.loads(out)) / sum(len(x.split()) for x in texts)


def exact(db, decoder):
    texts = [x for some in held_out().values() for x in some]
    texts = random.Random(SEED).sample(texts, 200)
    sql = "SELECT latent_decode(latent_encode(?), json_object('decoder', ?))"
    return sum(one(db, sql, x, decoder) == x for x in texts) / len(texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--mpnet', help='the folder of all-mpnet-base-v2; else it is fetched')
    parser.add_argument('--models', help='the unpacked wheels: writer.py --help')
    parser.add_argument('--decoders', default='exact,writer')
    parser.add_argument('--real', type=int, default=100000)
    parser.add_argument('--read', type=int, default=0)
    a = parser.parse_args()
    pairs = all_pairs()
    db = connect(a.mpnet or mpnet.fetch())
    ends = [vectors(db, [p[i] for p in pairs]) for i in (0, 1)]
    real = both(vectors(db, nearest_real(a.real, pairs)), *ends)
    print(f'| {len(pairs)} pairs of users\' texts, best of {a.real} real texts: both | '
          f'{real.mean():.3f} |', flush=True)
    if a.models:
        usual = nats_a_word([x for p in pairs for x in p], a.models)
    for decoder in a.decoders.split(','):
        sql = "SELECT latent_interp(?, ?, 0.5, json_object('decoder', ?))"
        middles = [one(db, sql, *p, decoder) for p in pairs]
        near = both(vectors(db, middles), *ends)
        print(f'| {decoder}: both; written, drawn; nearer than the real text | {near.mean():.3f}; '
              f'{near[:50].mean():.3f}, {near[50:].mean():.3f}; {(near > real).sum()} of '
              f'{len(pairs)} |', flush=True)
        if a.models:
            nats = nats_a_word([x or '.' for x in middles], a.models)
            print(f'| {decoder}: nats a word, of those of the ends | {nats / usual:.2f} |')
        print(f'| {decoder}: exact of 200 users\' texts | {exact(db, decoder):.1%} |', flush=True)
        for (x, y), m in list(zip(pairs, middles))[:a.read]:
            print(f'    {x} | {y}\n        {m}')


if __name__ == '__main__':
    main()
