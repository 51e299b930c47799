#!/usr/bin/python3
"""Writes every expectation that depends on the weights anew. Look at the diff: a property that
changed is a bug, whatever the weights.

    tests/golden.py             all of these, in turn (`make golden` makes the golden tensors first)
    tests/golden.py WORD...     only: examples, scripts, pictures, pages

examples   the results in the table of functions, ext/functions/functions.c, and builds again
scripts    tests/sql/*.out
pictures   examples/shown, which sql/pictures.sql draws
pages      the outputs in README.md and the other pages, and the reference (tests/reference)
"""
import glob
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'checks'))
import common
import pages
import pictures

TABLE = 'ext/functions/functions.c'
# Each row has its .example and its .result on one line each.
ROW = re.compile(r'(\n *\.example = "((?:[^"\\\n]|\\.)*)",'
                 r'\n *\.result = ")((?:[^"\\\n]|\\.)*)(",? ?\},)')
ESCAPES = {'n': '\n', '"': '"', '\\': '\\'}


def from_c(text):
    """What a C string literal (with no escapes except \\n, \\" and \\\\) stands for."""
    return re.sub(r'\\(.)', lambda m: ESCAPES[m[1]], text)


def to_c(text):
    return text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n')


def result_of(example):
    """What the shell prints for it, in list mode. An example that fails is the end."""
    command = [*common.SHELL, '-list', '.load build/latent', example]
    shell = subprocess.run(command, capture_output=True, text=True)
    if shell.returncode != 0 or shell.stderr:
        sys.exit(f'{example}\n  {shell.stderr.strip()}')
    return shell.stdout.removesuffix('\n')


def renewed(row):
    head, example, old, tail = row.groups()
    new = to_c(result_of(from_c(example)))
    if new != old:
        print(f'{from_c(example)}\n  was: {from_c(old)}\n  is:  {from_c(new)}')
    return head + new + tail


def examples():
    source = common.read(TABLE)
    if len(ROW.findall(source)) != source.count('.usage ='):
        sys.exit(f'{TABLE}: a row whose .example and .result are not on one line each')
    new = ROW.sub(renewed, source)
    if new != source:
        common.write(TABLE, new)
        print(common.run(['make', '--silent', 'all'])[1], end='')


def scripts():
    for script in common.scripts():
        outputs = [common.script_output(script, model) for model in common.models_of(script)]
        common.write(script[:-4] + '.out', outputs[-1])
        for other in outputs[:-1]:
            if other != outputs[-1]:
                told = common.difference(outputs[-1], other)
                print(f'{script}: not the same with every model: {told}')


def shown():
    print(pictures.draw()[1], end='')
    for path in glob.glob(pictures.SHOWN + '/*.png'):
        shutil.copyfile(f'{pictures.DRAWN}/{os.path.basename(path)}', path)


def all_pages():
    for path in pages.all_pages():
        text = common.read(path)
        for _, expected, got, at in sorted(pages.outputs(path), key=lambda x: -x[3]):
            if expected is not None:
                text = text[:at] + got + text[at + len(expected):]
        if text != common.read(path):
            common.write(path, text)
    print(common.run(['tests/reference', '--write'])[1], end='')


PARTS = {'examples': examples, 'scripts': scripts, 'pictures': shown, 'pages': all_pages}


def main(words):
    os.chdir(ROOT)
    if set(words) - set(PARTS):
        sys.exit(__doc__)
    common.make_models()
    for word, part in PARTS.items():
        if not words or word in words:
            part()


if __name__ == '__main__':
    main(sys.argv[1:])
