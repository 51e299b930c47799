#!/usr/bin/python3
"""The board's row "functions": whole Python functions that the code model has never seen, in SQL.

    model/score_code.py [--functions 100] [--pairs 100] [--options JSON]

Functions are those of the test side (code_lines.py) whose lines have at least 3 and at most 24
lines; a seed draws them, and none is left out. The judge is Python's own ast.parse.

    exact      of 100 functions: latent_decode(latent_encode(f)) is f
    interior   of 100 pairs of them, at the 9 points of latent_path(a, b, 11) between the ends:
               Python parses what is written; and what of it is neither end
"""
import argparse
import ast
import json
import os
import random
import sqlite3
import time
import warnings

import code_lines

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 43
LINES = range(3, 25)


def parses(code):
    try:
        return bool(ast.parse(code).body)
    except (SyntaxError, ValueError):
        return False


def unseen(data):
    """Code of the test side: each once, none that another side has too."""
    sides = {'train': set(), 'dev': set(), 'test': {}}
    for f in code_lines.functions(data):
        side = sides[code_lines.side(f)]
        if isinstance(side, dict):
            side[code_lines.key(f['code'])] = f['code']
        else:
            side.add(code_lines.key(f['code']))
    known = sides['train'] | sides['dev']
    found = [code for key, code in sides['test'].items() if key not in known]
    return [code for code in found if code.count('\n') + 1 in LINES and parses(code)]


def share(values):
    values = list(values)
    return f'{100 * sum(values) / max(1, len(values)):.1f}% of {len(values)}'


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--data', default=f'{HERE}/../../shared/data')
    p.add_argument('--extension', default=f'{HERE}/../build/latent')
    p.add_argument('--functions', type=int, default=100)
    p.add_argument('--pairs', type=int, default=100)
    p.add_argument('--options', default='{}', help='of latent_path(), besides the kind')
    p.add_argument('--read', type=int, default=0, help='show the middle of so many pairs')
    a = p.parse_args()
    warnings.simplefilter('ignore')
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension(a.extension)
    options = json.dumps(json.loads(a.options) | {'kind': 'code'})
    codes = unseen(a.data)
    rng = random.Random(SEED)
    drawn = rng.sample(codes, a.functions)
    exact = 'SELECT latent_decode(latent_encode(?1, \'{"kind":"code"}\')) = ?1'
    begun = time.time()
    print('exact:', share(db.execute(exact, (code,)).fetchone()[0] for code in drawn),
          f'({(time.time() - begun) / max(1, a.functions):.2f} s each)')
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
          f'({(time.time() - begun) / max(1, a.pairs):.2f} s a path)')


if __name__ == '__main__':
    main()
