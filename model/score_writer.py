"""The board of the writer: what lies between texts that people keep in rows, through SQL.

    PYTHON model/score_writer.py [--decoders exact,writer] [--sets users,...]

Python needs numpy, and a sqlite3 that loads extensions. The judge is all-mpnet-base-v2, which no
part of latent was trained with. Where Python has torch, SmolLM2 itself says how fluent the middles
are. Both come from PyPI (fetch.py).

Three sets of pairs. None of them is left out.

    users      100: the 50 of pairs_users.tsv, which were written before anything was measured, and
               50 that a seed draws from the held-out halves of ../shared/data/text_users, of two
               sources each
    random     60 of ../shared/data/text/valid
    documents  30 of three to five sentences each, of documents.test

Rows, for each set and decoder:

    both       mean of min(cos(m, a), cos(m, b)) of the middles m = latent_interp(a, b, 0.5). But
               for documents the same of the best of --real real texts for each pair, which MiniLM
               finds; and for how many pairs m is nearer than that
    fluent     nats a word of the middles, divided by those of real texts of as many words
    ordered    documents: for how many SmolLM2 finds the middle likelier than its own sentences in
               another order
    exact      200 held-out texts of users that the decoder gives back to the letter
    readable   with --read N: the first N middles, to be read
"""
import argparse
import glob
import importlib.util
import itertools
import json
import lzma
import os
import random
import re
import sqlite3
import subprocess
import sys

import numpy as np

import fetch

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


def users_pairs():
    with open(f'{HERE}/pairs_users.tsv', encoding='utf8') as f:
        pairs = [tuple(x.rstrip('\n').split('\t')[2:4]) for x in f]
    rng = random.Random(SEED)
    sources = held_out()
    for _ in range(50):
        a, b = rng.sample(sorted(sources), 2)
        pairs.append((rng.choice(sources[a]), rng.choice(sources[b])))
    return pairs


def random_pairs():
    texts = random.Random(SEED).sample(lines(f'{DATA}/text/valid.txt.xz'), 120)
    return list(zip(texts[::2], texts[1::2]))


def documents_pairs():
    with lzma.open(f'{DATA}/documents/documents.test.jsonl.xz', 'rt', encoding='utf8') as f:
        documents = [json.loads(x)['sentences'] for x in f]
    documents = [x for x in documents if len(x) >= 3 and max(map(len, x)) <= SHORT]
    rng = random.Random(SEED)
    texts = [' '.join(x[:rng.randint(3, 5)]) for x in rng.sample(documents, 60)]
    return list(zip(texts[::2], texts[1::2]))


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


def nats(texts, models):
    """What each text costs SmolLM2."""
    out = subprocess.run([sys.executable, f'{HERE}/smol.py', '--models', models], check=True,
                         input=json.dumps(texts), stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


def fluency(middles, n, models):
    """Nats a word of the middles, of those of real texts of as many words."""
    rng = random.Random(SEED)
    by_words = {}
    for x in real_texts(n)[0]:
        by_words.setdefault(len(x.split()), []).append(x)
    real = [rng.choice(by_words.get(len(x.split()), [x])) for x in middles]
    return sum(nats(middles, models)) / sum(nats(real, models))


def ordered(documents, models):
    """For how many of them, having two sentences or more, no other order of them is likelier of
    three that are tried; and how many they are."""
    rng = random.Random(SEED)
    texts = []
    for x in documents:
        parts = re.split(r'(?<=[.!?]) +', x)
        orders = list(itertools.islice(itertools.permutations(parts), 1, 24))
        if len(parts) > 1:
            texts.append([x] + [' '.join(p) for p in rng.sample(orders, min(3, len(orders)))])
    costs = iter(nats([x for some in texts for x in some], models))
    costs = [[next(costs) for _ in some] for some in texts]
    return sum(min(x) == x[0] for x in costs), len(costs)


def exact(db, decoder):
    texts = [x for some in held_out().values() for x in some]
    texts = random.Random(SEED).sample(texts, 200)
    sql = "SELECT latent_decode(latent_encode(?), json_object('decoder', ?))"
    return sum(one(db, sql, x, decoder) == x for x in texts) / len(texts)


def score_set(name, db, a):
    """The rows of one set of pairs."""
    pairs = {'users': users_pairs, 'random': random_pairs, 'documents': documents_pairs}[name]()
    ends = [vectors(db, [p[i] for p in pairs]) for i in (0, 1)]
    real = None
    if name != 'documents':
        real = both(vectors(db, nearest_real(a.real, pairs)), *ends)
        print(f'| {name}, {len(pairs)} pairs: both, best of {a.real} real texts | '
              f'{real.mean():.3f} |', flush=True)
    for decoder in a.decoders.split(','):
        sql = "SELECT latent_interp(?, ?, 0.5, json_object('decoder', ?))"
        middles = [one(db, sql, *p, decoder) or '.' for p in pairs]
        near = both(vectors(db, middles), *ends)
        print(f'| {name}, {decoder}: both | {near.mean():.3f} |', flush=True)
        if name == 'users':
            print(f'| {name}, {decoder}: both, of pairs written and drawn | {near[:50].mean():.3f} '
                  f'and {near[50:].mean():.3f} |')
        if real is not None:
            print(f'| {name}, {decoder}: nearer than the best real text | {(near > real).sum()} of '
                  f'{len(pairs)} |')
        if a.models:
            print(f'| {name}, {decoder}: nats a word, of those of real texts as long | '
                  f'{fluency(middles, a.real, a.models):.2f} |', flush=True)
        if a.models and name == 'documents':
            n, of = ordered(middles, a.models)
            print(f'| {name}, {decoder}: likelier than in another order | {n} of {of} |')
        for (x, y), m in list(zip(pairs, middles))[:a.read]:
            print(f'    {x} | {y}\n        {m}')


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--mpnet', help='the folder of all-mpnet-base-v2; else it is fetched')
    parser.add_argument('--models', help='the unpacked wheels; else they are fetched')
    parser.add_argument('--decoders', default='exact,writer')
    parser.add_argument('--sets', default='users,random,documents')
    parser.add_argument('--real', type=int, default=100000)
    parser.add_argument('--read', type=int, default=0)
    a = parser.parse_args()
    db = connect(a.mpnet or fetch.mpnet())
    if importlib.util.find_spec('torch') is None:
        print('fluency: skipped, this Python has no torch')
        a.models = None
    elif not a.models:
        a.models = fetch.wheels()
    for name in a.sets.split(','):
        score_set(name, db, a)
    if 'users' in a.sets:
        for decoder in a.decoders.split(','):
            print(f"| users, {decoder}: exact | {exact(db, decoder):.1%} of 200 texts |")


if __name__ == '__main__':
    main()
