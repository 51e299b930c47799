"""The scoreboard: what the shipped weights reach, measured through the C engine, in SQL.

    /usr/bin/python3 score.py [--data ../../shared/data] [--model text.safetensors] [--n 1000] [--report]

Prints the rows of README.md's table and fixed samples. Without --report it looks at text/valid and STS-B dev only; text/test and STS-B
test are for reporting. The judge of fluency is a word trigram model of its own, trained here on a fixed sample of text/*.
"""
import argparse
import glob
import json
import lzma
import math
import os
import random
import re
import sqlite3
import statistics
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def lines(path):
    with lzma.open(path, 'rt', encoding='utf8') as f:
        return [line.rstrip('\n') for line in f]


def words(text):
    return re.findall(r"\w+|[^\w\s]", text.lower())


class Trigrams:
    """Interpolated absolute discounting (Ney 1994), discount 0.75, over words; unseen words share the mass of a unigram count of 1."""

    def __init__(self, texts):
        self.counts = [{}, {}, {}]      # n-gram -> count, by order
        self.follow = [{}, {}, {}]      # history -> [total, distinct]
        self.ids = {}
        for text in texts:
            row = [0, 0] + [self.ids.setdefault(w, len(self.ids) + 1) for w in words(text)] + [-1]
            for i in range(2, len(row)):
                for order in range(3):
                    gram = tuple(row[i - order: i + 1])
                    n = self.counts[order].get(gram, 0)
                    self.counts[order][gram] = n + 1
                    f = self.follow[order].setdefault(gram[:-1], [0, 0])
                    f[0] += 1
                    f[1] += n == 0
        self.uniform = 1 / (len(self.ids) + 1)

    def probability(self, gram):
        p = self.uniform
        for order in range(3):
            part = gram[2 - order:]
            f = self.follow[order].get(part[:-1])
            if f:
                p = max(self.counts[order].get(part, 0) - 0.75, 0) / f[0] + 0.75 * f[1] / f[0] * p
        return p

    def nats(self, text):
        """(nats a word, number of words), the end of the sentence counted as one."""
        row = [0, 0] + [self.ids.get(w, -2) for w in words(text)] + [-1]
        total = sum(-math.log(self.probability(tuple(row[i - 2: i + 1]))) for i in range(2, len(row)))
        return total / (len(row) - 2), len(row) - 2


class Fluency:
    """nats a word of a set of texts over those of real sentences of the same lengths: 1.0 reads like the corpus."""

    def __init__(self, data):
        rng = random.Random(5)
        pool = []
        for path in sorted(glob.glob(f'{data}/text/*.xz')):
            if os.path.basename(path) not in ('valid.txt.xz', 'test.txt.xz'):
                pool += rng.sample(all_lines := lines(path), len(all_lines) // 10)
        self.model = Trigrams(pool)
        by_length = {}
        for text in lines(f'{data}/text/valid.txt.xz')[:8000]:
            nats, n = self.model.nats(text)
            by_length.setdefault(min(n, 40), []).append(nats)
        self.real = {n: statistics.fmean(v) for n, v in by_length.items() if len(v) >= 20}

    def ratio(self, texts):
        own = real = 0.0
        for text in texts:
            nats, n = self.model.nats(text)
            own += nats * n
            real += self.real[min(self.real, key=lambda k: abs(k - n))] * n
        return own / real


def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    out, i = [0.0] * len(values), 0
    while i < len(order):
        j = i
        while j < len(order) and values[order[j]] == values[order[i]]:
            j += 1
        for k in order[i:j]:
            out[k] = (i + j - 1) / 2
        i = j
    return out


def spearman(a, b):
    return statistics.correlation(ranks(a), ranks(b))


def connect(model):
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension(os.path.join(HERE, '..', 'build', 'latent'))
    db.execute('SELECT latent_load(?)', [os.path.abspath(model)])
    return db


def exactness(db, texts, longest=64):
    """Share of texts that come back letter by letter, by number of tokens, greedy in one pass; and the share of words kept."""
    bins = {'to 8': (0, 8), '9 to 16': (9, 16), '17 to 32': (17, 32), '33 to 63': (33, longest - 1)}
    hits, kept = {k: [] for k in bins}, []
    for text in texts:
        n, back = db.execute('SELECT (SELECT count(*) FROM latent_tokens(?1)), latent_decode(latent_encode(?1))', [text]).fetchone()
        for name, (least, most) in bins.items():
            if least <= n <= most:
                hits[name].append(back == text)
        given = set(text.split())
        kept.append(len(given & set(back.split())) / len(given))
    for name, v in hits.items():
        if v:
            yield f'exact, {name} tokens', f'{100 * statistics.fmean(v):.1f}% of {len(v)}'
    yield 'words kept', f'{100 * statistics.fmean(kept):.1f}%'


def meaning(db, data, split):
    rows = [r.split('\t') for r in lines(f'{data}/pairs/stsb_split_score_s1_s2_genre.tsv.xz')]
    rows = [r for r in rows if r[0] == split]
    near = [1 - db.execute('SELECT latent_distance(?, ?)', r[2:4]).fetchone()[0] for r in rows]
    yield f'STS-B {split}, Spearman of 1 - latent_distance', f'{spearman(near, [float(r[1]) for r in rows]):.3f}'


def interpolation(db, pairs, fluency, name, options='{}'):
    """11 points from a to b; the 9 interior ones are judged."""
    interior, ends, repeats, distinct, monotone, fidelity, smooth = [], [], [], [], [], [], []
    for a, b in pairs:
        rows = db.execute('SELECT content, fidelity, distance_a, distance_b FROM latent_path(?, ?, 11, ?)', [a, b, options]).fetchall()
        texts = [r[0] for r in rows]
        inner = texts[1:-1]
        interior += inner
        ends += [t in (a, b, texts[0], texts[-1]) for t in inner]
        distinct.append(len(set(inner)))
        repeats += [bool(re.search(r'\b(\w+)( \1\b)', t)) for t in inner]
        fidelity += [r[1] for r in rows[1:-1]]
        steps = list(zip(rows, rows[1:]))
        monotone += [p[2] <= q[2] + 1e-6 and p[3] >= q[3] - 1e-6 for p, q in steps]
    yield f'{name}: interior points that are neither end', f'{100 * (1 - statistics.fmean(ends)):.1f}%'
    yield f'{name}: different texts among 9', f'{statistics.fmean(distinct):.2f}'
    yield f'{name}: fluency, nats over real sentences', f'{fluency.ratio([t for t in interior if t]):.3f}'
    yield f'{name}: steps that leave a and near b', f'{100 * statistics.fmean(monotone):.1f}%'
    yield f'{name}: fidelity', f'{statistics.fmean(fidelity):.3f}'
    yield f'{name}: a word twice in a row', f'{100 * statistics.fmean(repeats):.1f}%'


def sampling(db, n, fluency):
    texts = [db.execute('SELECT latent_sample(?)', [seed]).fetchone()[0] for seed in range(n)]
    yield 'samples: fluency, nats over real sentences', f'{fluency.ratio([t for t in texts if t]):.3f}'
    yield 'samples: different', f'{100 * len(set(texts)) / n:.1f}%'
    for t in texts[:5]:
        print('   ', t)


def middles(db, held, n, options):
    """n random pairs and what is written halfway, to be read by a person."""
    rng = random.Random(29)
    short = [s for s in held if 20 <= len(s) <= 90]
    for i in range(n):
        a, b = rng.sample(short, 2)
        print(f'{i + 1}. {a} // {b}\n    => {db.execute("SELECT latent_interp(?, ?, 0.5, ?)", [a, b, options]).fetchone()[0]}')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', default=f'{HERE}/../../shared/data')
    p.add_argument('--model', default=f'{HERE}/text.safetensors')
    p.add_argument('--n', type=int, default=1000, help='sentences; pairs and samples are a fifth of it')
    p.add_argument('--options', default='{}', help='for latent_path, e.g. {"fluency":0.3}')
    p.add_argument('--report', action='store_true', help='look at text/test and STS-B test too')
    p.add_argument('--middles', type=int, default=0, help='only print so many random pairs and their middles')
    a = p.parse_args()
    db = connect(a.model)
    print(json.loads(db.execute('SELECT latent_info()').fetchone()[0]))
    held = lines(f'{a.data}/text/{"test" if a.report else "valid"}.txt.xz')
    if a.middles:
        return middles(db, held, a.middles, a.options)
    rng = random.Random(11)
    sample = rng.sample(held, a.n)
    short = [s for s in held if 20 <= len(s) <= 90]
    pairs = [rng.sample(short, 2) for _ in range(a.n // 5)]
    fluency = Fluency(a.data)
    print(f'judge: {len(fluency.model.counts[2])} trigrams; one word of real sentences costs '
          f'{fluency.model.nats(sample[0])[0]:.2f} nats in "{sample[0]}"')
    start = time.time()
    for rows in (exactness(db, sample), meaning(db, a.data, 'dev'), *([meaning(db, a.data, 'test')] if a.report else []),
                 interpolation(db, pairs, fluency, 'random pairs', a.options), sampling(db, a.n // 5, fluency)):
        for name, value in rows:
            print(f'{name} | {value}', flush=True)
    print(f'{time.time() - start:.0f} s')
    for x, y in pairs[:8]:
        print('---')
        for t, text, fid in db.execute('SELECT t, content, fidelity FROM latent_path(?, ?, 7, ?)', [x, y, a.options]):
            print(f'{t:.2f} {fid:.2f} {text}')


if __name__ == '__main__':
    main()
