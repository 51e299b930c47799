#!/usr/bin/python3
"""The examples that need a package of PyPI or npm. Without a network they are skipped."""
import os
import shutil

from common import get_apsw, last_line, main, run, skip
from installed import example

MODULE = './build/node/node_modules/better-sqlite3'


def apsw():
    why = get_apsw()
    if why:
        skip('examples/apsw_newest.py', why)
    else:
        example('apsw_newest.py', ['build/apsw/bin/python', 'examples/apsw_newest.py'])


def node():
    why = get_better_sqlite3()
    if why:
        skip('examples/node', why)
    else:
        example('node', ['node', 'examples/node/index.js'])


def get_better_sqlite3():
    """Gives why it is missing, or None."""
    if not shutil.which('npm'):
        return 'no npm on this machine'
    os.makedirs('build/node', exist_ok=True)
    shutil.copy('examples/node/package.json', 'build/node/package.json')
    works = ['node', '-e', f'new (require("{MODULE}"))(":memory:")']
    if os.path.exists(MODULE) and run(works)[0] == 0:
        return None
    # Compiled here against the headers of the installed Node: the ready-made binaries come from a
    # place that may not be reachable.
    status, out = run(['npm', 'install', '--prefix', 'build/node'], timeout=600,
                      npm_config_nodedir='/usr', npm_config_build_from_source='true')
    if status != 0 or run(works)[0] != 0:
        return 'cannot be installed here: ' + last_line(out)
    return None


if __name__ == '__main__':
    main(apsw, node)
