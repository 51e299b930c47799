#!/usr/bin/python3
"""A partition column beside a filter: queries for one tenant of many, in one run.

    /usr/bin/python3 tests/bench/partition.py [ROWS [TENANTS [QUERIES]]]        (after make)

Random vectors of 100 numbers around 50 centres, which all tenants share. Each query is
`t(vector) WHERE tenant = ? LIMIT 10`. The two tables take turns, and a figure is the median.
"""
import array
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WIDTH, TURNS = 100, 5
KINDS = ('filter', 'partition')


def make(db, kind, rows):
    began = time.perf_counter()
    db.execute(f'CREATE VIRTUAL TABLE {kind}_t USING latent(width={WIDTH}, tenant INTEGER {kind})')
    with db:
        db.executemany(f'INSERT INTO {kind}_t(latent, tenant) VALUES (?, ?)', rows)
    return time.perf_counter() - began


def ask(db, kind, queries):
    sql = f'SELECT rowid, distance FROM {kind}_t(?) WHERE tenant = ? LIMIT 10'
    began = time.perf_counter()
    found = [db.execute(sql, query).fetchall() for query in queries]
    return len(queries) / (time.perf_counter() - began), found


def delete(db, kind, n):
    began = time.perf_counter()
    with db:
        for rowid in range(1, n + 1):
            db.execute(f'DELETE FROM {kind}_t WHERE rowid = ?', (rowid * 37,))
    return (time.perf_counter() - began) / n


def main():
    given = [int(a) for a in sys.argv[1:]]
    n, tenants, n_queries = given + [100000, 1000, 2000][len(given):]
    rng = random.Random(1)
    centres = [[rng.gauss(0, 1) for _ in range(WIDTH)] for _ in range(50)]

    def vector():
        return array.array('f', [x + rng.gauss(0, 0.7) for x in rng.choice(centres)]).tobytes()

    rows = [(vector(), i % tenants) for i in range(n)]
    queries = [(vector(), rng.randrange(tenants)) for _ in range(n_queries)]
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(os.path.join(folder, 'bench.db'))
        db.enable_load_extension(True)
        db.load_extension(os.path.join(ROOT, 'build', 'latent'))
        made = {kind: make(db, kind, rows) for kind in KINDS}
        rates = {kind: [] for kind in KINDS}
        found = {}
        for _ in range(TURNS):
            for kind in KINDS:
                rate, found[kind] = ask(db, kind, queries)
                rates[kind].append(rate)
        truth = ("SELECT rowid FROM filter_t(?, '{\"exact\":true}') WHERE tenant = ? LIMIT 10")
        exact = [db.execute(truth, query).fetchall() for query in queries[:20]]
        right = {k: sum(len({r[0] for r in f} & {r[0] for r in e}) for f, e in zip(found[k], exact))
                 / sum(map(len, exact)) for k in KINDS}
        gone = {kind: delete(db, kind, 1000) for kind in KINDS}
        for kind in KINDS:
            db.execute(f"INSERT INTO {kind}_t({kind}_t) VALUES ('integrity-check')")
            size, = db.execute('SELECT sum(length(rows)) + (SELECT sum(length(centroid)) FROM '
                               f'{kind}_t_cells) FROM {kind}_t_codes').fetchone()
            print(f'{kind:9} {statistics.median(rates[kind]):8.0f} queries/s, recall '
                  f'{right[kind]:.3f}; {n:,} rows, {tenants:,} tenants: made in '
                  f'{made[kind]:.1f} s, a deletion {1e6*gone[kind]:.0f} us, '
                  f'index {size/1e6:.1f} MB')


main()
