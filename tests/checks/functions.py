#!/usr/bin/python3
"""The table of functions: every example gives what its row says, and SQL gains nothing else."""
from common import SHELL, difference, main, ok, run, shell

COLUMN, ROW = '\x1e', '\x1d'                    # results have commas, bars and line breaks in them
LISTING = ("SELECT DISTINCT name FROM pragma_function_list UNION "
           "SELECT name FROM pragma_module_list WHERE name NOT LIKE 'pragma_%'")


def table():
    """(name, example, result) of every function."""
    out = shell('.mode list', f'.separator {COLUMN} {ROW}',
                'SELECT name, example, result FROM latent_functions')[1]
    return [row.split(COLUMN) for row in out.split(ROW) if COLUMN in row]


def examples():
    rows = table()
    ok(len(rows) >= 24, 'latent_functions has the functions', f'{len(rows)} rows')
    for name, example, result in rows:
        got = shell(example)[1].rstrip('\n')
        ok(got == result, f'the example of {name} gives what it says', difference(result, got))


def nothing_else():
    names = {row[0] for row in table()}
    before = set(run([*SHELL, LISTING])[1].split())
    after = set(shell(LISTING)[1].split())
    ok(after - before == names, 'functions and modules grow by exactly the table',
       f'too many: {after - before - names}, missing: {names - after}')
    ok(before <= after, "none of SQLite's own functions is lost", str(before - after))


def reference():
    ok(run(['tests/reference', '--check'])[0] == 0,
       'the reference is what tests/reference makes of the table', 'tests/golden.py writes it')


if __name__ == '__main__':
    main(examples, nothing_else, reference)
