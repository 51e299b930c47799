"""The lines of code/python_functions: what the code model learns from, and what it never sees.

Functions are split by the hash of package and name, so that two versions of a function fall on one
side. A held-out line counts only if no function of the training side has it, white space aside.
Lines of a package with very many functions (sympy) are thinned. `score.py` draws its Python lines
from here, `prepare.py code` its training rows.
"""
import collections
import json
import lzma
import re
import zlib

THINNED = 0.4   # of the lines of a package with more than 8,000 functions are kept


def functions(data):
    with lzma.open(f'{data}/code/python_functions.jsonl.xz', 'rt', encoding='utf8') as f:
        return [json.loads(line) for line in f]


def side(function):
    """'train', 'dev' or 'test': 94, 3 and 3 in a hundred."""
    u = zlib.crc32(f'{function["pkg"]} {function["name"]}'.encode()) % 100
    return 'dev' if u < 3 else 'test' if u < 6 else 'train'


def key(line):
    """What two lines have in common if they count as one."""
    return re.sub(r'\s+', '', line)


def frequent(data):
    """{line with its indentation: how often the functions of the training side have it}."""
    return collections.Counter(line.rstrip() for f in functions(data) if side(f) == 'train'
                               for line in f['code'].split('\n')[1:] if line.strip())


def split(data):
    """-> {'train', 'dev', 'test'}: lists of (line with its indentation, function).

    Each key is once on each side; blank lines are left out.
    """
    sides = {'train': {}, 'dev': {}, 'test': {}}
    packages = collections.Counter()
    rows = functions(data)
    packages.update(f['pkg'] for f in rows)
    for function in rows:
        own = sides[side(function)]
        large = packages[function['pkg']] > 8000 and own is sides['train']
        for line in function['code'].split('\n'):
            line = line.rstrip()
            letters = key(line)
            if not letters or letters in own:
                continue
            if large and zlib.crc32(letters.encode()) % 1000 >= 1000 * THINNED:
                continue
            own[letters] = line, function
    # A line that was thinned out is no held-out line: compare with all lines of the training side.
    train = {key(line) for f in rows if side(f) == 'train' for line in f['code'].split('\n')}
    for k in train:
        sides['dev'].pop(k, None)
        sides['test'].pop(k, None)
    for k in sides['dev']:
        sides['test'].pop(k, None)
    return {name: list(found.values()) for name, found in sides.items()}
