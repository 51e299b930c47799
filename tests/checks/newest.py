#!/usr/bin/python3
"""The newest SQLite, with its own checks of how it is used: scripts, the oracle, the sweep.

    tests/checks/newest.py                      all three
    tests/checks/newest.py --soak SECONDS SEED  the oracle alone, for so long

The programs are linked with what `make build/core/oracle` compiled, and SQLite's source from npm.
The scripts run in Python's apsw, which brings the newest SQLite that PyPI has.
"""
import glob
import os
import re
import sys

from common import (NEWEST, TINY, WORK, difference, get_apsw, get_newest_sqlite, main, models_of,
                    ok, plain_errors, program, read, run, scripts, skip, vtab_scripts)

LIBRARIES = ['-lcjson', '-lutf8proc', '-lpng', '-ljpeg', '-Wl,--wrap=ts_subtree_balance',
             '-l:libtree-sitter.a', '-lm', '-lpthread', '-ldl']
FOLDER = f'{WORK}/newest'


def linked(name, source=None, sqlite='sqlite3_fts5.o'):
    """A test program with the newest SQLite in the place of the system's."""
    os.makedirs(FOLDER, exist_ok=True)
    out = f'{NEWEST}/{name}'
    sources = sorted(glob.glob('ext/*.c') + glob.glob('ext/*/*.c') + glob.glob('ext/*/*/*.c'))
    layers = ['-I' + folder for folder in sorted(glob.glob('ext/*/'))]
    status, told = run(['gcc', '-std=gnu11', '-w', '-O2', '-DSQLITE_CORE', *layers, f'-I{NEWEST}',
                        '-o', out, source or f'tests/{name}.c',
                        *(f'build/core/{path[:-2]}.o' for path in sources),
                        f'{NEWEST}/{sqlite}', *LIBRARIES])
    if status != 0:
        raise RuntimeError(told[-2000:])
    return out


def programs():
    why = get_newest_sqlite()
    if why:
        skip('the oracle and the sweep with the newest SQLite', why)
        return
    if '--soak' in sys.argv:
        program([linked('oracle'), TINY, FOLDER, *sys.argv[sys.argv.index('--soak'):]])
        return
    version = re.search(r'define SQLITE_VERSION +"([^"]+)', read(f'{NEWEST}/sqlite3.h'))[1]
    ok(tuple(map(int, version.split('.'))) > (3, 50), f'the newest SQLite is {version}', version)
    program([linked('oracle'), TINY, FOLDER])
    program([linked('sweep'), '--points', '40', TINY, *vtab_scripts()])


def without_threads():
    """A SQLite that was built without threads has no mutexes to link with."""
    if '--soak' in sys.argv:
        return
    name = 'examples/embed.c links with a SQLite without threads, and runs'
    why = get_newest_sqlite()
    if why:
        skip(name, why)
        return
    single = f'{NEWEST}/sqlite3_single.o'
    if not os.path.exists(single):
        run(['gcc', '-w', '-O1', '-DSQLITE_THREADSAFE=0', '-c', '-o', single,
             f'{NEWEST}/sqlite3.c'])
    embed = linked('embed', 'examples/embed.c', 'sqlite3_single.o')
    status, out = run([embed], LATENT_MODEL=os.path.abspath('model'))
    ok(status == 0 and 'rror' not in out, name, out)


def with_apsw():
    if '--soak' in sys.argv:
        return
    why = get_apsw()
    if why:
        skip('scripts with the newest SQLite', why)
        return
    python = 'build/apsw/bin/python'
    version = run([python, '-c', 'import apsw; print(apsw.sqlite_lib_version())'])[1].strip()
    for script in scripts():
        status, out = run([python, 'tests/newest_shell.py', 'build/latent.so', script],
                          LATENT_MODEL=os.path.abspath(models_of(script)[0]))
        got = plain_errors(out)
        # Plans and what dot commands print differ from shell to shell.
        expected = re.sub(r'^(QUERY PLAN|.--.*| +defensive on)\n', '', read(script[:-4] + '.out'),
                          flags=re.M)
        ok(status == 0 and got == expected, f'{script} with SQLite {version}',
           difference(expected, got))


if __name__ == '__main__':
    main(with_apsw, programs, without_threads)
