"""What `make check`, `make campaign` and `make soak` run, and how each test program is called.

A step is a command: a program of tests/ in one of its builds (build/core/, build/asan/ with the
address and undefined behaviour sanitizers, build/tsan/ with the thread sanitizer), or a check.
"""
import glob
import os
import re
import time

from common import SHIPPED, TINY, WORK, scripts, swept_scripts, vtab_scripts
from pages import all_pages

# What the programs that are no unit tests are given, where nothing else is said.
ARGUMENTS = {
    'beside': [TINY, WORK, '30'],
    'damage': [TINY, '7'],
    'flips': [TINY, WORK, '60'],
    'io': [TINY, WORK, '20'],
    'kill': [TINY, WORK, '40'],
    'oracle': [TINY, WORK],
    'sweep': ['--points', '40', TINY, *swept_scripts()],
    'threads': [TINY, WORK],
}
NEEDS = {                               # what a check needs besides build/latent.so
    'installed': ['build/embed'],
    'newest': ['build/core/oracle', 'build/core/sweep'],
}
ALONE = ('threads',)                    # they measure time, so they run when nothing else does


def unit_tests():
    return sorted(os.path.basename(p)[:-2] for p in glob.glob('tests/test_*.c'))


def program(variant, name, *arguments):
    return [f'build/{variant}/{name}', *(arguments or ARGUMENTS.get(name, []))]


def check_named(name, *arguments):
    return [f'tests/checks/{name}.py', *arguments]


def check():
    """Right answers: minutes."""
    steps = [check_named('pages', page) for page in all_pages()]
    steps += [check_named(name) for name in
             ('scripts', 'pictures', 'functions', 'maps', 'installed', 'sources', 'lines',
              'binary')]
    steps += [program('core', name) for name in unit_tests()]
    steps += [program('asan', 'sweep', '--once', TINY, *swept_scripts())]
    return steps


def sweep(variant, script, points):
    """A script that codes pictures or decodes many candidates takes ten times as long as others."""
    slow = re.search(r'/(picture|sheet|(path|scalar)\.sql)', script)
    n = points // 5 if slow else points * 3 if 'vtab' in script else points
    return program(variant, 'sweep', '--points', str(n), TINY, script)


def campaign():
    """Right under failure: half an hour."""
    steps = [check_named(name) for name in ('newest', 'registries', 'compilers', 'training')]
    steps += [program('asan', name) for name in unit_tests()]
    steps += [sweep('core', script, 300) for script in swept_scripts()]
    steps += [sweep('asan', script, 16) for script in swept_scripts()]
    steps += [program('core', name) for name in ('oracle', 'damage', 'recall', 'io', 'kill')]
    steps += [program('asan', 'damage', TINY, '101'), program('asan', 'flips')]
    steps += [program('tsan', 'beside'), program('tsan', 'threads')]
    steps += [program('core', 'threads', SHIPPED if os.path.exists(SHIPPED) else TINY, WORK)]
    return steps


def soak(hours):
    """Everything at length and with new seeds, then random campaigns until the hours are over."""
    seed, seconds = str(int(time.time())), str(int(hours * 3600 * 2 / 3))
    steps = [program('core', 'sweep', '--every', TINY, s) for s in swept_scripts()]
    steps += [program('core', 'sweep', '--every', '--seed', '1', TINY, s) for s in vtab_scripts()]
    steps += [program('core', 'io', TINY, WORK), program('core', 'damage', TINY),
              program('core', 'kill', TINY, WORK, '1000', seed)]
    steps += [program('core', 'recall', '20000', str(n)) for n in range(1, 6)]
    for variant, scripts_swept in (('asan', ['--points', '2000']), ('clang', ['--once'])):
        steps += [program(variant, name) for name in unit_tests()]
        steps += [program(variant, 'test_codec_picture', '500000')]
        steps += [program(variant, 'sweep', *scripts_swept, TINY, s) for s in swept_scripts()]
        steps += [program(variant, 'flips', TINY, WORK, '1000'), program(variant, 'oracle'),
                  program(variant, 'io', TINY, WORK, '100'),
                  program(variant, 'kill', TINY, WORK, '100', seed),
                  program(variant, 'damage', TINY, '11', seed)]
    steps += [program('asan', 'sweep', '--once', SHIPPED, *scripts())]
    steps += [program('asan', 'threads'), program('tsan', 'threads'), program('tsan', 'beside')]
    steps += [program(variant, 'oracle', TINY, WORK, '--soak', seconds, seed)
              for variant in ('core', 'asan')]
    steps += [check_named('newest', '--soak', seconds, seed)]
    return steps
