#!/usr/bin/python3
"""SQL scripts in the sqlite3 shell: each gives what its .out says, with each of its models.

    tests/checks/scripts.py [SCRIPT.sql...]     all of tests/sql if none is named
"""
import os
import sys

from common import TINY, difference, main, models_of, ok, read, script_output, scripts


def check():
    for script in sys.argv[1:] or scripts():
        expected = script[:-4] + '.out'
        for model in models_of(script):
            kind = 'tiny' if model == TINY else 'shipped'
            name = f'{os.path.basename(script)}, {kind} weights'
            if not os.path.exists(expected):
                ok(False, name, f'{expected} is missing: tests/golden.py writes it')
                continue
            got = script_output(script, model)
            ok(got == read(expected), name, difference(read(expected), got))


if __name__ == '__main__':
    main(check)
