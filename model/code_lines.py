"""The lines of code/python_functions: what the code model learns from, and which of them it never sees.

Functions are split by the hash of package and name, so that two versions of a function fall on one side; a held-out line counts only if no
function of the training side has it, white space aside. Lines of a package with very many functions (sympy) are thinned.
`score.py` draws its Python lines from here, `prepare.py code` its training rows.
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
    """What two lines have in common that are to count as one."""
    return re.sub(r'\s+', '', line)


def split(data):
    """-> {'train', 'dev', 'test'}: lists of (line with its indentation, function), each key once on each side, blank lines left out."""
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
            if letters and letters not in own and not (large and zlib.crc32(letters.encode()) % 1000 >= 1000 * THINNED):
                own[letters] = line, function
    # A thinned line is not a held-out line: compare with every line of the training side.
    train = {key(line) for f in rows if side(f) == 'train' for line in f['code'].split('\n')}
    for name in ('dev', 'test'):
        sides[name] = {k: v for k, v in sides[name].items() if k not in train and not (name == 'test' and k in sides['dev'])}
    return {name: list(found.values()) for name, found in sides.items()}
