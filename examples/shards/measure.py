#!/usr/bin/python3
"""Recall and queries a second as the number of shards grows, written as a table of Markdown.

    build/many/bin/python examples/shards/measure.py --rows 1000000          10 minutes, 2 GB
    build/many/bin/python examples/shards/measure.py --rows 20000 --shards 1,4 --ray 4

The rows are synthetic: vectors of length 1 around 200 centres, with fewer and fewer numbers that
count, as those of encoders are. Queries are further ones. The same seed makes them each time.

For each number of shards the table is built once by processes and searched for the 10 nearest:

    recall@10       the share of the true ten that is found; truth by numpy over all rows. A row as
                    near as the tenth, to 1e-6, counts
    queries/s       of this machine, one query after the other, and 50 in a request
    ms of shards    processor time of each of these 50 in all shards together, and in the slowest:
                    1000 / the latter is the queries a second where each shard has a core of its own

and 5 queries with exact=True must give what one table gives, to the last bit.
"""
import argparse
import os
import shutil
import sys
import time

import numpy as np

from shards import ROOT, Shards

FOLDER = os.path.join(ROOT, 'build', 'bench-shards')
N_CENTRES, AROUND, NEAREST, CHUNK, TOGETHER, N_EXACT = 200, 1, 10, 20_000, 50, 5

TRANSACTION = 250_000           # rows; a small one writes most cells of a large index again


def vectors(n, width, seed):
    """f32 [n, width], each of length 1, as a file that is only mapped."""
    path = f'{FOLDER}/{n}x{width}-{seed}.npy'
    if not os.path.exists(path):
        scale = np.arange(1, width + 1, dtype=np.float32) ** -0.5
        centres = np.random.default_rng(1).standard_normal((N_CENTRES, width), np.float32)
        rng = np.random.default_rng(seed)
        file = np.lib.format.open_memmap(path + '.new', 'w+', np.float32, (n, width))
        for at in range(0, n, CHUNK):
            m = min(CHUNK, n - at)
            rows = centres[rng.integers(0, N_CENTRES, m)]
            rows = (rows + AROUND * rng.standard_normal((m, width), np.float32)) * scale
            file[at:at + m] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        os.rename(path + '.new', path)
    return np.load(path, mmap_mode='r')


def tenth(rows, queries):
    """For each query the cosine of its tenth nearest row."""
    best = np.full((len(queries), NEAREST), -2, np.float32)
    for at in range(0, len(rows), CHUNK):
        near = queries @ rows[at:at + CHUNK].T
        best = np.partition(np.hstack((best, near)), -NEAREST, axis=1)[:, -NEAREST:]
    return best.min(axis=1)


def recall(found, rows, queries, least):
    right = 0
    for list, q, cosine in zip(found, queries, least):
        ids = np.array(sorted({rowid for _, rowid in list}), int) - 1
        right += min(NEAREST, int((rows[ids] @ q >= cosine - 1e-6).sum()))
    return right / NEAREST / len(found)


def build(folder, n_shards, rows):
    """Seconds that it took, of this process and all shards together, and of the clock."""
    shutil.rmtree(folder, ignore_errors=True)
    began, own = time.time(), time.process_time()
    with Shards.create(folder, n_shards, rows.shape[1], 'synthetic') as shards:
        for at in range(0, len(rows), TRANSACTION):
            part = rows[at:at + TRANSACTION]
            shards.insert([(at + i + 1, v.tobytes()) for i, v in enumerate(part)])
        work = sum(shards.ask_all('seconds'))
    return work + time.process_time() - own, time.time() - began


def measure(shards, rows, queries, least):
    """Figures by name, and what the exact queries gave."""
    points = [q.tobytes() for q in queries]
    shards.search_many(points, NEAREST)                 # codes come into the cache
    began = time.time()
    found = [shards.search(p, NEAREST) for p in points]
    one = len(points) / (time.time() - began)
    before, began = shards.ask_all('seconds'), time.time()
    for at in range(0, len(points), TOGETHER):
        shards.search_many(points[at:at + TOGETHER], NEAREST)
    together = len(points) / (time.time() - began)
    work = [1000 * (b - a) / len(points) for a, b in zip(before, shards.ask_all('seconds'))]
    return {'recall': recall(found, rows, queries, least), 'one': one, 'together': together,
            'all': sum(work), 'slowest': max(work)}, shards.search_many(
                points[:N_EXACT], NEAREST, exact=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--rows', type=int, default=1_000_000)
    parser.add_argument('--width', type=int, default=100)
    parser.add_argument('--queries', type=int, default=500)
    parser.add_argument('--shards', default='1,2,4,8')
    parser.add_argument('--ray', type=int, default=0, help='so many of the shards by Ray, too')
    a = parser.parse_args()
    os.makedirs(FOLDER, exist_ok=True)
    rows, queries = vectors(a.rows, a.width, 2), np.array(vectors(a.queries, a.width, 3))
    least = tenth(rows, queries)
    counts = [(int(n), Shards) for n in a.shards.split(',')]
    if a.ray:
        counts.append((a.ray, None))
    print(f'{a.rows:,} vectors of {a.width} numbers, {a.queries} queries, {os.cpu_count()} cores, '
          f'{time.strftime("%F %H:%M", time.gmtime())} UTC, load {os.getloadavg()[0]:.1f}\n\n'
          '| shards | build, rows/s of a core (clock) | recall@10 | queries/s, one by one | '
          f'{TOGETHER} in a request | ms of all shards | of the slowest |\n'
          '| --- | ---: | ---: | ---: | ---: | ---: | ---: |', flush=True)
    truth = None
    for n, kind in counts:
        if kind is None:
            import ray
            from ray_shards import RayShards as kind
            ray.init(log_to_driver=False)
        folder = f'{FOLDER}/{a.rows}-{n}.shards'
        built = ''
        if kind is Shards:
            work, clock = build(folder, n, rows)
            built = f'{a.rows / work:,.0f} ({a.rows / clock:,.0f})'
        with kind(folder, 'synthetic') as shards:
            m, exact = measure(shards, rows, queries, least)
        truth = truth or exact
        if exact != truth:
            sys.exit(f'{n} shards: exact=True gives other rows than {counts[0][0]}')
        print(f'| {n}{"" if kind is Shards else ", Ray"} | {built} | {m["recall"]:.3f} | '
              f'{m["one"]:,.0f} | {m["together"]:,.0f} | {m["all"]:.2f} | {m["slowest"]:.2f} |',
              flush=True)
    print(f'\n{N_EXACT} exact queries give the same rows and distances with each, bit for bit.')


if __name__ == '__main__':
    main()
