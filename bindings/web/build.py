#!/usr/bin/python3
"""Builds latent with SQLite for WebAssembly: build/web, a folder that any web server can serve.

    bindings/web/build.py            all of it (`make web`)
    bindings/web/build.py --tests    tests/test_kernels.c as well: build/web-work/test_kernels*.wasm
    bindings/web/build.py --fetch    only what comes from elsewhere

The compiler is pip's ziglang: clang, its linker and WASI's C library in one wheel, which needs
nothing of the system. The libraries that latent uses and SQLite are those of the portable binaries:
bindings/dist/sources.py fetches them.

Two modules come out. latent.wasm uses relaxed SIMD; latent-base.wasm is for browsers without it.
They share all objects but those of kernels that know of it.
"""
import concurrent.futures
import glob
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, 'bindings/dist')
import sources

HERE = 'bindings/web'
OUT = 'build/web'
WORK = 'build/web-work'
PYTHON = f'{WORK}/zig/bin/python'
# Not bindings/dist's 0.17.1: with that one the kernels' test aborts now and then in Node 20, and
# setjmp() wants a tag __c_longjmp of its own.
ZIG = 'ziglang==0.15.1'
LIBRARIES = ['cjson', 'libjpeg-turbo', 'libpng1.6', 'tree-sitter', 'utf8proc', 'zlib']
SOURCE = os.path.relpath(sources.SOURCES)
SQLITE = f'{SOURCE}/better-sqlite3/deps/sqlite3'
SERVED = ['index.html', 'latent.js', 'worker.js', 'engine.js']

# -ffp-contract=off: as in the Makefile. setjmp() becomes WebAssembly's exceptions, in the form that
# browsers have had since 2021.
FLAGS = ['-target', 'wasm32-wasi', '-O3', '-g0', '-DNDEBUG', '-ffp-contract=off', '-msimd128',
         '-mbulk-memory', '-mnontrapping-fptoint', '-fno-stack-protector',
         '-mexception-handling', '-mllvm', '-wasm-enable-sjlj', '-fwasm-exceptions']
SQLITE_FLAGS = ['-O2', *(f'-DSQLITE_{x}' for x in (
    'OS_OTHER=1', 'THREADSAFE=0', 'TEMP_STORE=3', 'OMIT_LOAD_EXTENSION', 'OMIT_SHARED_CACHE',
    'OMIT_DEPRECATED', 'ENABLE_FTS5', 'ENABLE_MATH_FUNCTIONS', 'ENABLE_RTREE', 'DQS=0'))]
RELAXED = ['kernels_choose', 'kernels_wasm_relaxed', 'kernels_groups_wasm_relaxed']
REPLACED = ['base_map', 'base_posix', 'base_thread']    # by c/web_system.c
# Memory is for weights and databases: 4 GB is what 32 bits can address.
LINK = ['-target', 'wasm32-wasi', '-s', '-O2',
        '-Wl,-z,stack-size=2097152', '-Wl,--max-memory=4294901760']
EXPORTS = ['malloc', 'free', *(f'sqlite3_{x}' for x in (
    'open_v2 close_v2 errmsg extended_errcode libversion initialize prepare_v3 step reset finalize '
    'clear_bindings bind_parameter_count bind_parameter_index bind_parameter_name bind_null '
    'bind_int64 bind_double bind_text bind_blob column_count column_name column_type column_int64 '
    'column_double column_text column_blob column_bytes changes64 last_insert_rowid '
    'get_autocommit serialize deserialize free malloc64 memory_used memory_highwater').split())]


def tell(command, **options):
    got = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         **options)
    if got.returncode != 0:
        sys.exit(f"{' '.join(command)[:300]}\n{got.stdout[-3000:]}")
    return got.stdout


# ---- What is fetched ----
def get_compiler():
    if not os.path.exists(PYTHON):
        tell(['/usr/bin/python3', '-m', 'venv', f'{WORK}/zig'])
    tell([PYTHON, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', ZIG])


def get_sources():
    try:
        sources.fetch([*LIBRARIES, 'better-sqlite3'])
    except sources.Missing as e:
        sys.exit(f'build.py: {e}')


# ---- Headers that a configure script would write ----
def put(path, text):
    """Writes a file, unless it holds just that: what depends on it stays."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path) or open(path).read() != text:
        with open(path, 'w') as f:
            f.write(text)


def configured(name, values):
    with open(f'{SOURCE}/libjpeg-turbo/{name}.in') as f:
        text = f.read()
    text = re.sub(r'#cmakedefine (\w+)( \S+)?', lambda m: f'#define {m[1]}{m[2] or ""}'
                  if values.get(m[1]) else f'#undef {m[1]}', text)
    put(f'{WORK}/include/{name}', re.sub(r'@(\w+)@', lambda m: values[m[1]], text))


def write_headers():
    values = {'JPEG_LIB_VERSION': '62', 'VERSION': '2.1.5', 'LIBJPEG_TURBO_VERSION_NUMBER':
              '2001005', 'C_ARITH_CODING_SUPPORTED': '1', 'D_ARITH_CODING_SUPPORTED': '1',
              'MEM_SRCDST_SUPPORTED': '1', 'BITS_IN_JSAMPLE': '8', 'BUILD': 'latent',
              'INLINE': '__inline__', 'THREAD_LOCAL': '', 'CMAKE_PROJECT_NAME': 'libjpeg-turbo',
              'SIZE_T': '4', 'HAVE_BUILTIN_CTZL': '1', 'COPYRIGHT_YEAR': '1991-2023'}
    for name in ('jconfig.h', 'jconfigint.h', 'jversion.h'):
        configured(name, values)
    with open(f'{SOURCE}/libpng1.6/scripts/pnglibconf.h.prebuilt') as f:
        put(f'{WORK}/include/pnglibconf.h', f.read())
    with open(f'{SOURCE}/cjson/cJSON.h') as f:
        put(f'{WORK}/include/cjson/cJSON.h', f.read())


# ---- What is compiled ----
def library(package, names, *flags):
    names = names if isinstance(names, list) else names.split()
    return [(f'{SOURCE}/{package}/{n}.c', f'{package}/{os.path.basename(n)}', ['-w', *flags])
            for n in names]


def libraries():
    """(source, object's name, flags) of each file that others wrote."""
    jpeg = ('jcomapi jdapimin jdapistd jdatasrc jdcoefct jdcolor jddctmgr jdhuff jdicc jdinput '
            'jdmainct jdmarker jdmaster jdmerge jdphuff jdpostct jdsample jdtrans jerror jidctflt '
            'jidctfst jidctint jidctred jquant1 jquant2 jutils jmemmgr jmemnobs jaricom jdarith '
            'jsimd_none')
    png = ('png pngerror pngget pngmem pngpread pngread pngrio pngrtran pngrutil pngset pngtrans '
           'pngwio pngwrite pngwtran pngwutil')
    tree = [f'lib/src/{n}' for n in ('alloc get_changed_ranges language lexer node parser query '
                                     'stack tree tree_cursor').split()]
    folder = f'{SOURCE}/tree-sitter/lib'
    tree_flags = [f'-I{folder}/include', f'-I{folder}/src']
    return [
        *library('zlib', 'adler32 crc32 deflate inffast inflate inftrees trees zutil'),
        *library('libpng1.6', png, f'-I{SOURCE}/zlib'),
        *library('libjpeg-turbo', jpeg),
        *library('cjson', 'cJSON'),
        *library('utf8proc', 'utf8proc'),
        # What the Makefile does with --wrap.
        *library('tree-sitter', tree, *tree_flags,
                 '-Dts_subtree_balance=__wrap_ts_subtree_balance'),
        *library('tree-sitter', ['lib/src/subtree'], *tree_flags,
                 '-Dts_subtree_balance=__real_ts_subtree_balance'),
        *library('better-sqlite3', 'deps/sqlite3/sqlite3', *SQLITE_FLAGS),
    ]


def own():
    """The same of latent itself."""
    layers = ['-I' + folder for folder in sorted(glob.glob('ext/*/')) if '/python/' not in folder]
    flags = ['-std=gnu11', '-Wall', '-Wextra', '-DSQLITE_CORE', *layers,
             f'-I{SQLITE}', f'-I{SOURCE}/libpng1.6', f'-I{SOURCE}/zlib',
             f'-I{SOURCE}/libjpeg-turbo',
             f'-I{SOURCE}/utf8proc', f'-I{SOURCE}/tree-sitter/lib/include']
    renamed = [f'-D{f}=grammar_{f}' for f in ('malloc', 'calloc', 'realloc', 'free')]
    found = []
    for path in sorted(glob.glob('ext/*.c') + glob.glob('ext/*/*.c') + glob.glob(f'{HERE}/c/*.c')):
        name = os.path.basename(path)[:-2]
        if name in REPLACED:
            continue
        if name in RELAXED:
            found.append((path, f'relaxed/{name}', [*flags, '-mrelaxed-simd']))
        found.append((path, f'own/{name}', flags))
    for path in glob.glob('ext/grammar/python/*.c'):
        found.append((path, f'python/{os.path.basename(path)[:-2]}', ['-w', *renamed]))
    return found


def fresh(target, flags):
    """Is an object newer than all that it was made from, and made with these flags?"""
    try:
        with open(target + '.d') as f:
            needs = f.read().split(':', 1)[1].replace('\\\n', ' ').split()
        with open(target + '.flags') as f:
            made = os.path.getmtime(target)
            return f.read() == ' '.join(flags) and all(os.path.getmtime(n) < made for n in needs)
    except (OSError, IndexError):
        return False


def compile_one(file):
    source, name, flags = file
    target = f'{WORK}/obj/{name}.o'
    flags = [*FLAGS, f'-I{HERE}/c/include', f'-I{WORK}/include', *flags]
    if fresh(target, flags):
        return target
    os.makedirs(os.path.dirname(target), exist_ok=True)
    told = tell([PYTHON, '-m', 'ziglang', 'cc', *flags, '-MD', '-MF', target + '.d', '-c', source,
                 '-o', target])
    if told.strip():
        print(told.strip())
    with open(target + '.flags', 'w') as f:
        f.write(' '.join(flags))
    return target


def link(path, objects, *flags):
    if os.path.exists(path) and all(os.path.getmtime(o) < os.path.getmtime(path)
                                    for o in [*objects, __file__]):
        return
    tell([PYTHON, '-m', 'ziglang', 'cc', *LINK, *flags, *objects, '-o', path + '.new'])
    os.replace(path + '.new', path)


def link_test(path, objects):
    """The kernels' test as a program: what it needs of latent is kernels and base."""
    wanted = ('kernels_', 'base_', 'web_system', 'web_jump', 'test_kernels', 'sqlite3', 'web_vfs')
    link(path, [o for o in objects if os.path.basename(o).startswith(wanted)])


def build_modules():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_one, [*libraries(), *own()]))
    base = [o for o in objects if '/relaxed/' not in o]
    relaxed = [o for o in objects if '/own/' not in o or
               os.path.basename(o)[:-2] not in RELAXED]
    exports = ['-mexec-model=reactor', *(f'-Wl,--export={e}' for e in EXPORTS)]
    link(f'{OUT}/latent-base.wasm', base, *exports)
    link(f'{OUT}/latent.wasm', relaxed, *exports)
    if '--tests' in sys.argv:
        layers = ['-Iext/base', '-Iext/kernels', '-std=gnu11', '-DSQLITE_CORE']
        test = compile_one(('tests/test_kernels.c', 'tests/test_kernels', layers))
        link_test(f'{WORK}/test_kernels-base.wasm', [*base, test])
        link_test(f'{WORK}/test_kernels.wasm', [*relaxed, test])


# ---- The folder ----
PARTS = {
    'text': ['text.json', 'text.safetensors', 'meaning/1_Pooling/config.json',
             'meaning/config.json', 'meaning/model.safetensors', 'meaning/modules.json',
             'meaning/sentence_bert_config.json', 'meaning/vocab.txt'],
    'pictures': ['picture.json', 'picture.safetensors'],
    'code': ['code.json', 'code.safetensors'],
    'writer': [f'writer/{n}' for n in ('config.json', 'layers.safetensors', 'pieces.safetensors',
                                       'tokenizer.json', 'trained.safetensors')],
}


def put_weights():
    """The weights (links), and model/weights.json: files of each part with sizes and hashes."""
    parts = {}
    for part, paths in PARTS.items():
        parts[part] = []
        for path in paths:
            target = f'{OUT}/model/{path}'
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.lexists(target):
                os.remove(target)
            os.symlink(os.path.abspath(f'model/{path}'), target)
            with open(target, 'rb') as f:
                data = f.read()
            parts[part].append({'path': path, 'bytes': len(data),
                                'sha256': hashlib.sha256(data).hexdigest()})
    put(f'{OUT}/model/weights.json', json.dumps(parts, indent=1) + '\n')


def put_demo():
    """demo.db: the notes and pictures that the page begins with, as plain tables."""
    path = f'{OUT}/demo.db'
    if os.path.exists(path):
        os.remove(path)
    db = sqlite3.connect(path)
    with open('sql/notes.sql') as f:
        db.executescript(f.read())
    db.execute('ALTER TABLE notes RENAME TO sample')
    db.execute('CREATE TABLE pictures(id INTEGER PRIMARY KEY, name TEXT, png BLOB, z BLOB)')
    for file in sorted(glob.glob('examples/pictures/noto/*.png')):
        with open(file, 'rb') as f:
            db.execute('INSERT INTO pictures(name, png) VALUES (?, ?)',
                       [os.path.basename(file)[:-4].replace('-', ' '), f.read()])
    db.commit()
    db.execute('VACUUM')
    db.close()


def main():
    os.makedirs(OUT, exist_ok=True)
    get_compiler()
    get_sources()
    if '--fetch' in sys.argv:
        return
    write_headers()
    build_modules()
    put_weights()
    put_demo()
    for name in SERVED:
        if os.path.exists(f'{HERE}/{name}'):
            shutil.copyfile(f'{HERE}/{name}', f'{OUT}/{name}')
    sizes = ', '.join(f"{n} {os.path.getsize(f'{OUT}/{n}')/1e6:.2f} MB"
                      for n in ('latent.wasm', 'latent-base.wasm'))
    print(f'{OUT}: {sizes}')


main()
