"""The scoreboard: what the shipped weights reach, measured through the C engine, in SQL.

    /usr/bin/python3 score.py [--data ../../shared/data] [--model text.safetensors] [--n 1000]
                              [--rows exact,samples] [--report]

Prints the rows of SCOREBOARD.md's table, and fixed samples beside them. Without --report it looks
at what is held out for working: text/valid, STS-B dev, SciFact's training queries, the dev lines of
code/. For reporting there are text/test, STS-B test, SciFact's own queries and the test lines.

Fluency is judged by judge.py. Its tables (and the encoded corpus of SciFact) are kept in --cache,
so the first run takes some minutes longer.
"""
import argparse
import ast
import collections
import datetime
import json
import math
import os
import random
import sqlite3
import statistics
import time

import code_lines
from directions import DIRECTIONS, pairs as changed_pairs
from judge import Judge, Training, lines, words

HERE = os.path.dirname(os.path.abspath(__file__))


def share(hits):
    hits = list(hits)
    return f'{100 * statistics.fmean(hits):.1f}%' if hits else '-'


def tsv(path):
    return [line.split('\t') for line in lines(path)]


class Board:
    """What every row needs: the database with the model, the held-out texts, the judge, and n.

    n is how many texts to look at.
    """

    def __init__(self, a):
        self.data, self.cache, self.options, self.n = a.data, a.cache, a.options, a.n
        self.retrieval = a.retrieval
        if a.report:
            self.split, self.sts, self.queries = 'test', 'test', 'scifact'
        else:
            self.split, self.sts, self.queries = 'valid', 'dev', 'scifact_train'
        self.held = lines(f'{a.data}/text/{self.split}.txt.xz')
        self.short = [s for s in self.held if 20 <= len(s) <= 90]
        self.db = sqlite3.connect(':memory:')
        self.db.enable_load_extension(True)
        self.db.load_extension(os.path.join(HERE, '..', 'build', 'latent'))
        self.weights = self.one('SELECT latent_load(?)', os.path.abspath(a.model))
        self.code = os.path.abspath(a.code)
        self.judge = Judge(a.data, a.cache)

    def one(self, sql, *args):
        """The only value of a statement's first row."""
        return self.db.execute(sql, args).fetchone()[0]

    def training(self):
        return Training(self.data, self.cache, self.split)


# ---- The rows: each function gives (name, value) ----

def exact(board):
    """Share of texts that come back letter by letter, by number of tokens; and of words kept.

    Greedy in one pass, and as the best of 8.
    """
    bins = {'to 8 tokens': (0, 8), '9 to 16 tokens': (9, 16), '17 to 32 tokens': (17, 32),
            '33 to 63 tokens': (33, 63)}
    hits = collections.defaultdict(list)
    kept = []
    encode = 'SELECT (SELECT count(*) FROM latent_tokens(?1)), latent_encode(?1)'
    decode = """SELECT latent_decode(?1), latent_decode(?1, '{"best_of":8}')"""
    for text in random.Random(11).sample(board.held, board.n):
        n, z = board.db.execute(encode, [text]).fetchone()
        back, best = board.db.execute(decode, [z]).fetchone()
        sorts = [name for name, (least, most) in bins.items() if least <= n <= most]
        if text.endswith('?'):
            sorts.append('questions')
        for name in sorts:
            hits[name].append((back == text, best == text))
        given = set(text.split())
        kept.append(len(given & set(back.split())) / len(given))
    for name in [*bins, 'questions']:
        if rows := hits[name]:
            yield (f'exact, {name}: greedy in one pass; best of 8',
                   '; '.join(map(share, zip(*rows))) + f' of {len(rows)}')
    yield 'words kept', share(kept)


def ranks(values):
    """The place of each value in their order; equal ones share the mean of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    out = [0.0] * len(values)
    i = 0
    while i < len(order):
        j = i
        while j < len(order) and values[order[j]] == values[order[i]]:
            j += 1
        for k in order[i:j]:
            out[k] = (i + j - 1) / 2
        i = j
    return out


def meaning(board):
    rows = tsv(f'{board.data}/pairs/stsb_split_score_s1_s2_genre.tsv.xz')
    rows = [r for r in rows if r[0] == board.sts]
    near = [1 - board.one('SELECT latent_distance(?, ?)', *r[2:4]) for r in rows]
    spearman = statistics.correlation(ranks(near), ranks([float(r[1]) for r in rows]))
    yield f'STS-B {board.sts}, Spearman of 1 - latent_distance', f'{spearman:.3f}'


def attach_corpus(board, folder):
    """The corpus as a latent table with words=1: corpus.docs."""
    path = f'{board.cache}/{os.path.basename(folder)}-corpus-{board.weights}.db'
    board.db.execute('ATTACH ? AS corpus', [path])
    if board.one("SELECT count(*) FROM corpus.sqlite_master WHERE name = 'docs'"):
        return
    board.db.execute('BEGIN')
    board.db.execute('CREATE VIRTUAL TABLE corpus.docs USING latent(body, words=1)')
    for id, title, body in tsv(f'{folder}/corpus.tsv.xz'):
        insert = 'INSERT INTO corpus.docs(rowid, body) VALUES (?, ?)'
        board.db.execute(insert, [int(id), f'{title}. {body}'])
    board.db.execute('COMMIT')


def ndcg(ids, relevant):
    """At 10; relevance is yes or no."""
    def gain(hits):
        return sum(hit / math.log2(i + 2) for i, hit in enumerate(hits))

    return gain(id in relevant for id in ids[:10]) / gain([1] * min(10, len(relevant)))


def retrieval(board):
    """SciFact, or the folder of --retrieval: its first 300 queries."""
    corpus = board.retrieval or f'{board.data}/retrieval/scifact'
    asked = board.retrieval or f'{board.data}/retrieval/{board.queries}'
    name = {'scifact': 'SciFact', 'scifact_train': 'SciFact, training queries'}
    attach_corpus(board, corpus)
    relevant = collections.defaultdict(set)
    for query, doc, _ in tsv(f'{asked}/qrels.tsv.xz'):
        relevant[query].add(doc)
    ways = {'by meaning': 'meaning', "by words (FTS5's bm25)": 'words', 'by both': 'both'}
    scores = {way: [] for way in ways}
    search = 'SELECT rowid FROM corpus.docs(?, ?) LIMIT 10'
    for query, text in tsv(f'{asked}/queries.tsv.xz')[:300]:
        for way, by in ways.items():
            rows = board.db.execute(search, [text, json.dumps({'by': by})])
            scores[way].append(ndcg([str(id) for id, in rows], relevant[query]))
    folder = os.path.basename(asked)
    yield (f'{name.get(folder, folder)}, nDCG@10: ' + '; '.join(scores),
           '; '.join(f'{statistics.fmean(v):.3f}' for v in scores.values()))


PATH = """WITH p AS MATERIALIZED
        (SELECT *, latent_encode(content) AS again FROM latent_path(?, ?, 11, ?))
    SELECT content, fidelity, distance_a, distance_b,
           latent_distance(again, lag(again) OVER (ORDER BY t)) FROM p ORDER BY t"""


def interpolation(board, name, pairs):
    """11 points from a to b; the 9 interior ones are judged."""
    inner, paths = [], []
    for a, b in pairs:
        rows = board.db.execute(PATH, [a, b, board.options]).fetchall()
        ends = {a, b, rows[0][0], rows[-1][0]}
        own = {*words(a), *words(b)}
        inner += [(text, fidelity, text in ends, own) for text, fidelity, *_ in rows[1:-1]]
        leaving = [p[2] <= q[2] + 1e-6 and p[3] >= q[3] - 1e-6 for p, q in zip(rows, rows[1:])]
        steps = sum(max(0, r[4]) for r in rows[1:])
        smooth = rows[-1][2] / steps if steps > 1e-6 else 1
        paths.append((len({r[0] for r in rows[1:-1]}), statistics.fmean(leaving), smooth))
    texts = [text for text, *_ in inner if text]
    distinct, monotone, smooth = zip(*paths)
    yield f'{name}: interior points that are neither end', share(not end for _, _, end, _ in inner)
    yield f'{name}: different texts among 9', f'{statistics.fmean(distinct):.2f}'
    yield f'{name}: fluency, nats over real sentences', f'{board.judge.fluency(texts):.3f}'
    yield (f'{name}: neither end, and every word one that somebody wrote',
           share(not end and not board.judge.strange(t, own) for t, _, end, own in inner))
    yield f'{name}: steps that leave a and near b', share(monotone)
    yield (f'{name}: smoothness (way from end to end over the sum of the steps)',
           f'{statistics.fmean(smooth):.2f}')
    yield f'{name}: fidelity', f'{statistics.fmean(fidelity for _, fidelity, *_ in inner):.3f}'


def random_pairs(board):
    rng = random.Random(13)
    pairs = [rng.sample(board.short, 2) for _ in range(board.n // 2)]
    return interpolation(board, 'random pairs', pairs)


def near_pairs(board):
    """Each text and its nearest neighbour among 2,000 others."""
    texts = random.Random(17).sample(board.short, 2000 + board.n // 2)
    board.db.execute("""CREATE TEMP TABLE pool AS
        SELECT value AS body, latent_encode(value, '{"refine":0}') AS z FROM json_each(?)""",
                     [json.dumps(texts[:2000])])
    nearest = 'SELECT body FROM pool ORDER BY latent_distance(z, ?) LIMIT 1'
    pairs = [(text, board.one(nearest, text)) for text in texts[2000:]]
    return interpolation(board, 'near pairs', pairs)


def directions(board):
    """A direction learned from 50 pairs, applied to 100 other sentences.

    As it is, doubled, and at 2.5 times its length.
    """
    learn = 'SELECT latent_direction(value ->> 0, value ->> 1) FROM json_each(?)'
    for name, change, happened in DIRECTIONS:
        pairs = list(changed_pairs([s for s in board.held if 15 <= len(s) <= 70], change))
        pairs = random.Random(19).sample(pairs, min(150, len(pairs)))
        rows = [row for before, after in pairs[:50] for row in ((before, 0), (after, 1))]
        direction = board.one(learn, json.dumps(rows))
        for amount in (1.0, 2.0, 2.5):
            made = [(x, y, board.one('SELECT latent_move(?, ?, ?)', x, direction, amount))
                    for x, y in pairs[50:]]
            others = [({*words(x)} & {*words(y)}, {*words(text)}) for x, y, text in made]
            happens = share(happened(text) for *_, text in made)
            kept = share(len(o & w) / len(o) for o, w in others if o)
            same = share(y == text for _, y, text in made)
            yield (f'{name}, amount {amount:g}: the change happens; other words kept; exactly the '
                   'changed sentence', f'{happens}; {kept}; {same} of {len(made)}')
        for x, _, text in made[:2]:
            print(f'    {x} => {text}')


def samples(board):
    texts = [board.one('SELECT latent_sample(?)', seed) for seed in range(board.n)]
    training = board.training()
    fluency = board.judge.fluency([t for t in texts if t])
    yield 'samples: fluency, nats over real sentences', f'{fluency:.3f}'
    known = share(not board.judge.strange(t) for t in texts)
    yield 'samples: every word one that somebody wrote', known
    yield 'samples: different', share([len(set(texts)) / len(texts)])
    yield 'samples: copies of a training sentence', share(map(training.has, texts))
    for text in texts[:5]:
        print('   ', text)


# 11 points of a path between two lines. SLERP: along the arc in equal steps, greedy, at fluency 0.3
# in the middle. EASED: as latent_path() goes.
SLERP = """WITH ends AS MATERIALIZED
        (SELECT latent_encode(?1, '{"kind":"code"}') AS a,
                latent_encode(?2, '{"kind":"code"}') AS b)
    SELECT latent_decode(latent_slerp(a, b, value/10.0),
                         json_object('fluency', 0.012*value*(10-value)))
    FROM ends, json_each('[0,1,2,3,4,5,6,7,8,9,10]') ORDER BY value"""
EASED = """SELECT content FROM latent_path(?, ?, 11, '{"kind":"code"}') ORDER BY t"""


def parses(line):
    try:
        return bool(ast.parse(line.strip()).body)
    except (SyntaxError, ValueError):
        return False


def python_lines(board):
    """Lines of functions that were held out and that no other function has; and paths between two.

    Paths lie between lines that are statements of their own.
    """
    sides = code_lines.split(board.data)
    held = [line for line, _ in sides['dev' if board.split == 'valid' else 'test']]
    board.one('SELECT latent_load(?)', board.code)
    lines = random.Random(37).sample(held, board.n)
    exact = []
    for line in lines:
        z = board.one("""SELECT latent_encode(?, '{"kind":"code"}')""", line)
        exact.append([board.one('SELECT latent_decode(?, ?)', z, o) == line
                      for o in ('{}', '{"best_of":8}')])
    short = [hits for line, hits in zip(lines, exact) if len(line.strip()) <= 40]
    yield ('Python lines: exact, greedy in one pass; best of 8',
           '; '.join(map(share, zip(*exact))) + f' of {len(exact)}')
    yield ('Python lines of up to 40 characters: the same',
           '; '.join(map(share, zip(*short))) + f' of {len(short)}')
    statements = [line.strip() for line in held if parses(line)]
    rng = random.Random(41)
    pairs = [rng.sample(statements, 2) for _ in range(board.n // 2)]
    for name, sql in (('slerp', SLERP), ('t eased', EASED)):
        inner, different = [], []
        for a, b in pairs:
            path = [text for text, in board.db.execute(sql, [a, b])]
            ends = {a, b, path[0], path[-1]}
            inner += [(parses(text), text in ends) for text in path[1:-1]]
            different.append(len(set(path[1:-1])))
            if sql == SLERP and len(different) <= 8:
                print('   ', ' => '.join([a, path[5], b]))
        accepted = share(good for good, _ in inner)
        neither = share(not end for _, end in inner)
        accepted_neither = share(good for good, end in inner if not end)
        yield (f'Python lines, {name}: ast.parse accepts; neither end, and of these accepted; '
               'different among 9',
               f'{accepted}; {neither}, {accepted_neither}; {statistics.fmean(different):.2f}')


def contamination(board):
    training = board.training()
    yield (f'text/{board.split}: sentences that share a run of 8 words with the training text',
           '{} of {}'.format(*training.eights))
    yield (f'text/{board.split}: sentences all of whose runs of 5 words stand in the training text',
           '{} of {}'.format(*training.fives))


ROWS = {
    'exact': exact,
    'meaning': meaning,
    'retrieval': retrieval,
    'random': random_pairs,
    'near': near_pairs,
    'directions': directions,
    'samples': samples,
    'python': python_lines,
    'contamination': contamination,
}


# ---- To be read by a person ----

def print_middles(board, n):
    """n random pairs and what is written halfway."""
    rng = random.Random(29)
    for i in range(n):
        a, b = rng.sample(board.short, 2)
        middle = board.one('SELECT latent_interp(?, ?, 0.5, ?)', a, b, board.options)
        print(f'{i + 1}. {a} // {b}\n    => {middle}')


def print_paths(board, n):
    rng = random.Random(13)
    for _ in range(n):
        print('---')
        pair = rng.sample(board.short, 2)
        path = 'SELECT t, content, fidelity FROM latent_path(?, ?, 7, ?)'
        for row in board.db.execute(path, [*pair, board.options]):
            print('{:.2f} {} ({:.2f})'.format(*row))


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', default=f'{HERE}/../../shared/data')
    p.add_argument('--model', default=f'{HERE}/text.safetensors')
    p.add_argument('--code', default=f'{HERE}/code.safetensors')
    p.add_argument('--cache', default=os.path.expanduser('~/.cache/latent-score'))
    p.add_argument('--n', type=int, default=1000,
                   help='sentences and samples; pairs are half of it')
    p.add_argument('--rows', default=','.join(ROWS), help='which, of: ' + ', '.join(ROWS))
    p.add_argument('--retrieval', type=os.path.abspath,
                   help='a folder with corpus, queries and qrels.tsv.xz, like those of SciFact: '
                   'the row `retrieval` takes it instead')
    p.add_argument('--options', default='{}', help='for latent_path, e.g. {"fluency":0.3}')
    p.add_argument('--report', action='store_true',
                   help='look at text/test, STS-B test and the SciFact queries instead')
    p.add_argument('--middles', type=int, default=0,
                   help='only print so many random pairs and their middles')
    a = p.parse_args()
    board = Board(a)
    print(f'{datetime.date.today()}, text/{board.split}', board.one('SELECT latent_info()'))
    if a.middles:
        return print_middles(board, a.middles)
    for name in a.rows.split(','):
        start = time.time()
        for row, value in ROWS[name](board):
            print(f'| {row} | {value} |', flush=True)
        print(f'    {name}: {time.time() - start:.0f} s', flush=True)
    print_paths(board, 8)


if __name__ == '__main__':
    main()
