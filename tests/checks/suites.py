"""What `make check`, `make campaign` and `make soak` run, and how each test program is called.

A step is a command: a program of tests/ in one of its builds (build/core/, build/asan/ with the
address and undefined behaviour sanitizers, build/tsan/ with the thread sanitizer), or a check.
"""
import glob
import os
import re
import time

from common import SHIPPED, TINY, WORK, WRITING, scripts, swept_scripts, vtab_scripts
from pages import all_pages

FOLDER = '{a folder of its own}'         # two of them may run at a time
# What the programs that are no unit tests are given, where nothing else is said.
ARGUMENTS = {
    'beside': [TINY, FOLDER, '30'],
    'damage': [TINY, '7'],
    'flips': [TINY, FOLDER, '60'],
    'io': [TINY, FOLDER, '20'],
    'kill': [TINY, FOLDER, '40'],
    'oracle': [TINY, FOLDER],
    'sweep': ['--points', '40', TINY, *swept_scripts()],
    'test_words': [TINY],
    'threads': [WRITING, FOLDER],
}
NEEDS = {                               # what a check needs besides build/latent.so
    'bpe': ['build/core/test_bpe'],
    'installed': ['build/embed'],
    'newest': ['build/core/oracle', 'build/core/sweep'],
    'wordpiece': ['build/core/test_codec_wordpiece'],
}
ALONE = ('threads',)                    # they measure time, so they run when nothing else does


def unit_tests():
    return sorted(os.path.basename(p)[:-2] for p in glob.glob('tests/test_*.c'))


def program(variant, name, *arguments):
    arguments = arguments or ARGUMENTS.get(name, [])
    folder = f'{WORK}/{variant}/{name}' + ('_soak' if '--soak' in arguments else '')
    os.makedirs(folder, exist_ok=True)
    return [f'build/{variant}/{name}', *(folder if a is FOLDER else a for a in arguments)]


def check_named(name, *arguments):
    return [f'tests/checks/{name}.py', *arguments]


def check():
    """Right answers, in five minutes. The longest come first."""
    steps = [check_named('pictures'), program('asan', 'sweep', '--once', TINY, *swept_scripts())]
    steps += [check_named('scripts')]
    steps += [check_named('pages', page) for page in all_pages()]
    steps += [check_named(name) for name in
              ('functions', 'maps', 'installed', 'attacks', 'lengths', 'replaced', 'sources',
               'lines', 'binary')]
    return steps + [program('core', name) for name in unit_tests()]


def sweep(variant, script, points):
    """A script that codes pictures, decodes many candidates or writes takes ten times as long."""
    slow = re.search(r'/(picture|sheet|writer|breed|explore|(path|scalar)\.sql)', script)
    n = points // 5 if slow else points * 3 if 'vtab' in script else points
    return program(variant, 'sweep', '--points', str(n), TINY, script)


def campaign():
    """Right under failure, and everywhere, in an hour."""
    # Some install the same: bpe and wordpiece, npm and registries, replication and newest, wheels
    # and windows. They stand far from each other, so that they do not run side by side.
    names = ('newest', 'registries', 'artbreeder', 'wordpiece', 'compilers', 'hostile', 'training',
             'wheels', 'raft', 'stops', 'arm64', 'plugins', 'chains', 'web', 'bpe',
             'windows', 'many', 'npm', 'replication')
    steps = [check_named(name) for name in names]
    steps += [check_named('attacks', '--every')]
    steps += [program('asan', name) for name in unit_tests()]
    steps += [sweep('core', script, 1000) for script in swept_scripts()]
    steps += [sweep('asan', script, 16) for script in swept_scripts()]
    steps += [program('core', name) for name in ('oracle', 'recall')]
    steps += [program('core', 'damage', TINY, '3'), program('core', 'io', TINY, FOLDER, '100'),
              program('core', 'kill', TINY, FOLDER, '200')]
    steps += [program('asan', 'damage', TINY, '101'), program('asan', 'flips')]
    steps += [program('tsan', 'beside'), program('tsan', 'threads')]
    steps += [program('core', 'threads', SHIPPED if os.path.exists(SHIPPED) else TINY, FOLDER)]
    return steps


def soak(hours):
    """Everything at length and with new seeds, then random campaigns until the hours are over."""
    seed, seconds = str(int(time.time())), str(int(hours * 3600 * 2 / 3))
    steps = [program('core', 'sweep', '--every', TINY, s) for s in swept_scripts()]
    steps += [program('core', 'sweep', '--every', '--seed', '1', TINY, s) for s in vtab_scripts()]
    steps += [program('core', 'io', TINY, FOLDER), program('core', 'damage', TINY),
              program('core', 'kill', TINY, FOLDER, '1000', seed)]
    steps += [program('core', 'recall', '20000', str(n)) for n in range(1, 6)]
    for variant, scripts_swept in (('asan', ['--points', '2000']), ('clang', ['--once'])):
        steps += [program(variant, name) for name in unit_tests()]
        steps += [program(variant, 'test_codec_picture', '500000')]
        steps += [program(variant, 'test_bpe', '1')]
        steps += [program(variant, 'sweep', *scripts_swept, TINY, s) for s in swept_scripts()]
        steps += [program(variant, 'flips', TINY, FOLDER, '1000'), program(variant, 'oracle'),
                  program(variant, 'io', TINY, FOLDER, '100'),
                  program(variant, 'kill', TINY, FOLDER, '100', seed),
                  program(variant, 'damage', TINY, '11', seed)]
    steps += [program('asan', 'sweep', '--once', SHIPPED, *scripts())]
    steps += [program('asan', 'threads'), program('tsan', 'threads'), program('tsan', 'beside')]
    steps += [program(variant, 'oracle', TINY, FOLDER, '--soak', seconds, seed)
              for variant in ('core', 'asan')]
    steps += [check_named('newest', '--soak', seconds, seed), check_named('windows', '--every')]
    return steps
