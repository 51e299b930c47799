#!/usr/bin/python3
"""The board's row "functions": whole Python functions that the code model has never seen, in SQL.

    model/score_code.py [--functions 100] [--pairs 100] [--concepts 250] [--options JSON]

Functions are those of the test side (code_lines.py) whose lines have at least 3 and at most 24
lines; a seed draws them, and none is left out. The judge is Python's own ast.parse.

    exact      of 100 functions: latent_decode(latent_encode(f)) is f
    interior   of 100 pairs of them, at the 9 points of latent_path(a, b, 11) between the ends:
               Python parses what is written; and what of it is neither end
    concept    latent_analogy(f, twin, g) for each concept of code_concepts.py in turn, g drawn from
               those that have it not: it parses, has the concept, and keeps the rest
"""
import argparse
import ast
import json
import os
import random
import sqlite3
import time
import warnings

import code_concepts
import code_lines

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 43
LINES = range(3, 25)


def parses(code):
    try:
        return bool(ast.parse(code).body)
    except (SyntaxError, ValueError):
        return False


def unseen(data, side='test'):
    """Code of that side: each once, none that another side has too."""
    sides = {'train': {}, 'dev': {}, 'test': {}}
    for f in code_lines.functions(data):
        sides[code_lines.side(f)][code_lines.key(f['code'])] = f['code']
    own = sides.pop(side)
    found = [code for key, code in own.items() if not any(key in s for s in sides.values())]
    return [code for code in found if code.count('\n') + 1 in LINES and parses(code)]


def share(values):
    values = list(values)
    return f'{100 * sum(values) / max(1, len(values)):.1f}% of {len(values)}'


def score_concepts(db, codes, n, n_read, as_latents):
    kind = '\'{"kind":"code"}\''
    place = f'latent_encode(?, {kind})' if as_latents else '?'
    analogy = f'SELECT latent_analogy({place}, {place}, {place}, {kind})'
    rng = random.Random(SEED)
    concepts = list(code_concepts.CONCEPTS)
    results = []
    begun = time.time()
    for i in range(n):
        name = concepts[i % len(concepts)]
        f, twin = code_concepts.CONCEPTS[name][:2]
        code = rng.choice(codes)
        while not code_concepts.applies(name, code):
            code = rng.choice(codes)
        made, = db.execute(analogy, (f, twin, code)).fetchone()
        results.append((name, *code_concepts.judge(name, code, made)))
        if i < n_read or (n_read < 0 and not all(results[-1])):
            print(f'--- {i + 1} {results[-1]}\n{code}\n=>\n{made}')
    for name in concepts[:n]:
        own = [r[1:] for r in results if r[0] == name]
        print(f'    {name:14}', *(sum(c) for c in zip(*own)), sum(map(all, own)), 'of', len(own))
    parsed, has, keeps = zip(*(r[1:] for r in results))
    print('concept: parses', share(parsed), '; has it', share(has), '; keeps the rest',
          share(keeps), '; all three', share(map(all, (r[1:] for r in results))),
          f'({(time.time() - begun) / n:.2f} s each)')


def score_interior(db, codes, rng, a, options):
    inner, begun = [], time.time()
    path = 'SELECT content FROM latent_path(?, ?, 11, ?) ORDER BY t'
    for i in range(a.pairs):
        pair = rng.sample(codes, 2)
        points = [content for content, in db.execute(path, (*pair, options))]
        inner += [(parses(text), text in pair) for text in points[1:-1]]
        if i < a.read:
            print(f'--- {i + 1}\n{pair[0]}\n//\n{pair[1]}\n=>\n{points[5]}')
    print('interior: ast.parse accepts', share(good for good, _ in inner),
          '; of those that are neither end', share(good for good, end in inner if not end),
          f'({(time.time() - begun) / a.pairs:.2f} s a path)')


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--data', default=f'{HERE}/../../shared/data')
    p.add_argument('--extension', default=f'{HERE}/../build/latent')
    p.add_argument('--functions', type=int, default=100)
    p.add_argument('--pairs', type=int, default=100)
    p.add_argument('--concepts', type=int, default=250)
    p.add_argument('--latents', action='store_true', help='concepts: of latents, not of texts')
    p.add_argument('--side', default='test', help='dev: to work with')
    p.add_argument('--options', default='{}', help='of latent_path(), besides the kind')
    p.add_argument('--read', type=int, default=0, help='show the middle of so many pairs, and '
                   'so many of the concepts; -1: the concepts that failed')
    a = p.parse_args()
    warnings.simplefilter('ignore')
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension(a.extension)
    options = json.dumps(json.loads(a.options) | {'kind': 'code'})
    codes = unseen(a.data, a.side)
    rng = random.Random(SEED)
    drawn = rng.sample(codes, a.functions)
    if a.concepts:
        score_concepts(db, codes, a.concepts, a.read, a.latents)
    exact = 'SELECT latent_decode(latent_encode(?1, \'{"kind":"code"}\')) = ?1'
    begun = time.time()
    if a.functions:
        print('exact:', share(db.execute(exact, (code,)).fetchone()[0] for code in drawn),
              f'({(time.time() - begun) / a.functions:.2f} s each)')
    if a.pairs:
        score_interior(db, codes, rng, a, options)


if __name__ == '__main__':
    main()
