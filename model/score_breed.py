#!/usr/bin/python3
"""What latent_explore() finds, against as many children that are drawn at random.

    model/score_breed.py [--kind text] [--children 64] [--runs 3] [--options JSON] [--show]

Of each run's seeds, 12 rows that a seed draws (text: sql/notes.sql; picture: examples/pictures), it
makes as many children as each of these gives:

    explore         latent_explore(seeds, NULL)
    mixes           latent_breed(seeds), one generation: random mixes of the seeds, as mutated
    samples         latent_sample(): points drawn from the whole space

and shows how far apart they lie in meaning (s), of each quarter of the budget so far: the mean
distance to the nearest other one, the mean of all pairs, and the mean distance to the nearest seed.
Then, for three wishes, the nearness (1 - distance) of the nearest child and of the nearest five:
latent_explore(seeds, wish) against the best of as many mixes. Debian's Python, nothing besides.
"""
import argparse
import glob
import json
import os
import sqlite3
import struct

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SEEDS = 12
SAMPLES = '''WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?)
  SELECT latent_sample(i + 1000*?, ?), i FROM n'''
WISHES = {'text': ['food for animals', 'a journey by night', 'a present for a child'],
          'picture': ['a red fruit', 'an angry face', 'something that flies']}


def connect():
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension(os.path.join(ROOT, 'build', 'latent'))
    db.execute('CREATE TABLE seeds(id INTEGER PRIMARY KEY, content)')
    return db


def plant(db, kind, run):
    """The seeds of a run."""
    db.execute('DELETE FROM seeds')
    if kind == 'picture':
        rows = []
        for path in sorted(glob.glob(f'{ROOT}/examples/pictures/*/*.png')):
            with open(path, 'rb') as f:
                rows.append(f.read())
    else:
        with open(f'{ROOT}/sql/notes.sql', encoding='utf8') as f:
            db.executescript(f.read())
        rows = [r[0] for r in db.execute('SELECT body FROM notes ORDER BY id')]
    step = 7 + 4*run                    # no divisor of their number
    chosen = [rows[(run*31 + i*step) % len(rows)] for i in range(SEEDS)]
    db.executemany('INSERT INTO seeds(content) VALUES (?)', [(x,) for x in chosen])


def points(db, sql, *arguments):
    """s of what a query's first column gives, as the mean of its segments; and all of its rows."""
    rows = db.execute(sql, arguments).fetchall()
    out = []
    for row in rows:
        blob = db.execute("SELECT latent_vector(?, 's')", (row[0],)).fetchone()[0]
        s = struct.unpack(f'<{len(blob)//4}f', blob)
        norm = sum(x*x for x in s)**.5
        out.append([x/norm for x in s])
    return out, rows


def distance(a, b):
    return 1 - sum(x*y for x, y in zip(a, b))


def mean(values):
    values = list(values)
    return sum(values)/len(values) if values else float('nan')


def spread(found, seeds):
    d = [[distance(a, b) for b in found] for a in found]
    n = len(found)
    nearest = mean(min(d[i][k] for k in range(n) if k != i) for i in range(n)) if n > 1 else 0
    pairs = mean(d[i][k] for i in range(n) for k in range(i))
    return nearest, pairs, mean(min(distance(a, s) for s in seeds) for a in found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--kind', default='text', choices=WISHES)
    parser.add_argument('--children', type=int, default=64)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--options', type=json.loads, default={})
    parser.add_argument('--no-wishes', action='store_true')
    parser.add_argument('--show', action='store_true', help='what they say, of the first run')
    a = parser.parse_args()
    db = connect()
    own = json.dumps(a.options | {'children': a.children})
    breed = 'SELECT latent, content FROM latent_breed(?, ?)'
    explore = 'SELECT latent, content FROM latent_explore(?, ?, ?)'
    table, best = {}, {}
    for run in range(a.runs):
        plant(db, a.kind, run)
        seeds, _ = points(db, 'SELECT content FROM seeds')
        ways = {
            'explore': points(db, explore, 'seeds', None, own),
            'mixes': points(db, breed, 'seeds', own),
            'samples': points(db, SAMPLES, a.children, run, json.dumps({'kind': a.kind})),
        }
        for way, (found, rows) in ways.items():
            for quarter in range(1, 5):
                some = found[:max(2, len(found)*quarter//4)]
                table.setdefault((way, quarter), []).append(spread(some, seeds))
            if a.show and run == 0 and a.kind == 'text':
                print(way, *(r[1] for r in rows if isinstance(r[1], str)), sep='\n    ')
        mixes = ways['mixes'][0]
        for wish in [] if a.no_wishes else WISHES[a.kind]:
            w = points(db, "SELECT latent_encode(?)", wish)[0][0]
            for way, found in (('explore', points(db, explore, 'seeds', wish, own)[0]),
                               ('mixes', mixes), ('seeds', seeds)):
                near = sorted((1 - distance(w, x) for x in found), reverse=True)
                best.setdefault(way, []).append((near[0], mean(near[:5])))
    print(f'{a.kind}, {a.children} children of {SEEDS} seeds, means of {a.runs} runs {a.options}')
    print('               nearest other     all pairs    nearest seed')
    for (way, quarter), values in table.items():
        figures = [mean(v[i] for v in values) for i in range(3)]
        print(f'{way:8} {quarter}/4 ' + ''.join(f'{x:15.3f}' for x in figures))
    for way, values in best.items():
        print(f'wish: {way:8} nearest {mean(v[0] for v in values):.3f}, '
              f'of five {mean(v[1] for v in values):.3f}')


if __name__ == '__main__':
    main()
