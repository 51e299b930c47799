#!/usr/bin/python3
"""What the sources promise: layers, who speaks to SQLite, what the library never does."""
import glob
import os
import re
import subprocess

from common import main, ok, read, run

# A layer sees its own headers and those of the layers below it. The Makefile holds it to that.
BELOW = {
    'base': [],
    'codec': ['base'],
    'kernels': ['base'],
    'grammar': ['base'],
    'model': ['base', 'codec', 'kernels', 'grammar'],
    'index': ['base', 'kernels'],
    'call': ['base', 'codec', 'kernels', 'grammar', 'model'],
    'vtab': ['base', 'codec', 'kernels', 'grammar', 'model', 'index', 'call'],
    'functions': ['base', 'codec', 'kernels', 'grammar', 'model', 'index', 'call', 'vtab'],
    'extension': ['base', 'codec', 'kernels', 'grammar', 'model', 'index', 'call', 'vtab',
                  'functions'],
}
SPEAK_TO_SQLITE = ('call', 'vtab', 'functions', 'extension')
SPEAK_TOO = ('ext/base/base_memory.c', 'ext/index/index_store.c')
LINES_MOST = 900
# What a generator wrote, as it was published: nothing here is asked of it.
GENERATED = 'ext/grammar/python/'
NEVER = r'\b(abort|exit|_exit|printf|puts|putchar|fprintf|fputs|vprintf|perror)\s*\('


def sources(endings='ch'):
    paths = [p for e in endings for p in glob.glob(f'ext/**/*.{e}', recursive=True)]
    return sorted(p for p in paths if not p.startswith(GENERATED))


def first_word(path):
    return re.match('[a-z0-9]*', os.path.basename(path))[0]


def code_of(path):
    """The source without its comments."""
    return re.sub(r'/\*.*?\*/|//[^\n]*', '', read(path), flags=re.S)


def names():
    """ext/LAYER/LAYER_*.c and ext/extension.c: a file's first word is its folder."""
    wrong = [p for p in sources() if first_word(p) not in BELOW
             or os.path.dirname(p) not in ('ext/' + first_word(p), 'ext')
             or (os.path.dirname(p) == 'ext') != (first_word(p) == 'extension')]
    ok(sources() and not wrong, "a file's first word is its folder", '; '.join(wrong))
    missing = [f'ext/{layer}/{layer}.h' for layer in BELOW if layer != 'extension'
               and not os.path.exists(f'ext/{layer}/{layer}.h')]
    ok(not missing, 'each layer has a header of its name', '; '.join(missing))


def includes():
    up, with_slash = [], []
    for path in sources():
        layer = first_word(path)
        for header in re.findall(r'#\s*include\s+"([^"]+)"', code_of(path)):
            if '/' in header:
                with_slash.append(f'{path} includes {header}')
            if first_word(header) not in [layer, *BELOW.get(layer, [])]:
                up.append(f'{path} includes {header}')
    ok(not up, 'includes only point down', '; '.join(up))
    ok(not with_slash, 'no include names a folder', '; '.join(with_slash))


def options_of(layer):
    """What the Makefile gives the compiler for a file of the layer: -I..., -std=..."""
    path = 'ext/extension.c' if layer == 'extension' else glob.glob(f'ext/{layer}/{layer}*.c')[0]
    command = run(['make', '-n', '-B', f'build/obj/{path[4:-2]}.o'])[1]
    return re.findall(r' (-[IDfs]\S+)', command)


def compiles(layer, header, options):
    """Does a file of two lines, in the layer's folder, that includes the header compile?"""
    text = f'#include "{header}.h"\nint two_lines;\n'
    told = subprocess.run(['gcc', *options, '-fsyntax-only', '-x', 'c', '-'], input=text, text=True,
                          capture_output=True, cwd='.')
    return told.returncode == 0


def wrong_includes():
    """Every layer with every header: those that point down compile, and no others."""
    headers = [layer for layer in BELOW if layer != 'extension']
    wrong, n_refused = [], 0
    for layer in BELOW:
        options = options_of(layer)
        for header in headers:
            expected = header == layer or header in BELOW[layer]
            n_refused += not expected
            if compiles(layer, header, options) != expected:
                wrong.append(f'{layer} {"cannot" if expected else "can"} include {header}.h')
    ok(n_refused > 20 and not wrong, 'an include that points up does not compile', '; '.join(wrong))


def promises():
    speaking = [p for p in sources() if first_word(p) not in SPEAK_TO_SQLITE
                and p not in SPEAK_TOO and 'sqlite3_' in code_of(p)]
    ok(not speaking, f'below call only {" and ".join(SPEAK_TOO)} speak to SQLite',
       '; '.join(speaking))
    including = [p for p in sources() if 'cblas.h' in code_of(p)]
    ok(len(including) <= 1, 'cblas.h is included in one file at most', '; '.join(including))
    forbidden = [p for p in sources() if re.search(NEVER, code_of(p))]
    ok(not forbidden, 'the library never aborts, exits or prints', '; '.join(forbidden))
    long = [p for p in sources() if read(p).count('\n') > LINES_MOST]
    ok(not long, f'no file of more than {LINES_MOST} lines', '; '.join(long))


def python():
    """Every Python file is Python, also those that no test runs."""
    paths = ['tests/run', 'tests/reference']
    for folder in ('bindings', 'model', 'tests', 'examples'):
        paths += glob.glob(f'{folder}/**/*.py', recursive=True)
    wrong = []
    for path in paths:
        try:
            compile(read(path), path, 'exec')
        except SyntaxError as e:
            wrong.append(str(e))
    ok(len(paths) > 20 and not wrong, 'every Python file compiles', '; '.join(wrong))


if __name__ == '__main__':
    main(names, includes, wrong_includes, promises, python)
