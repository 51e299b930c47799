#!/usr/bin/python3
"""Runs every example of the function table through the sqlite3 shell and writes what it prints into the table.

The table is ext/functions/functions.c, where each row has its .example and .result on one line each. Results depend on the shipped weights:
run this (`tests/update_examples.py`) when they change, look at what came, and build again.
With --check nothing is written: what differs is shown, and the exit status says whether anything did. An example that fails is always an error.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / 'ext' / 'functions.c'
ROW = re.compile(r'(\n    \.example = "((?:[^"\\\n]|\\.)*)",\n    \.result = ")((?:[^"\\\n]|\\.)*)(" \},)')
ESCAPES = {'n': '\n', '"': '"', '\\': '\\'}


def from_c(text):
    """What a C string literal (with the escapes \\n, \\" and \\\\ alone) stands for."""
    return re.sub(r'\\(.)', lambda m: ESCAPES[m[1]], text)


def to_c(text):
    return text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n')


def run(statement):
    """What the shell prints for the statement, in list mode, without the last line break."""
    command = ['sqlite3', '-batch', '-init', '/dev/null', '-list', ':memory:', f'.load {ROOT}/build/latent', statement]
    shell = subprocess.run(command, capture_output=True, text=True)
    if shell.returncode != 0 or shell.stderr:
        sys.exit(f'{statement}\n  {shell.stderr.strip()}')
    return shell.stdout.removesuffix('\n')


def main():
    source = TABLE.read_text()
    if len(ROW.findall(source)) != source.count('.usage ='):
        sys.exit(f'{TABLE}: a row whose .example and .result are not on one line each')
    changed = []

    def renew(row):
        head, example, old, tail = row.groups()
        new = to_c(run(from_c(example)))
        if new != old:
            changed.append(example)
            print(f'{from_c(example)}\n  was: {from_c(old)}\n  is:  {from_c(new)}')
        return head + new + tail

    renewed = ROW.sub(renew, source)
    if '--check' not in sys.argv[1:]:
        TABLE.write_text(renewed)
    elif changed:
        sys.exit(f'{len(changed)} results differ')


if __name__ == '__main__':
    main()
