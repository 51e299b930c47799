#!/usr/bin/python3
"""The wheels of bindings/python: built, installed into clean environments, used as its README says.

The compiler and the sources come from PyPI, npm and Debian the first time, into build/dist. Of the
platforms it builds this machine's alone (`make dist` builds all, and compares their bits).
"""
import glob
import os
import platform
import re
import shutil
import sys
import zipfile

from common import WORK, last_line, main, ok, read, run, skip, steps, write

sys.path.insert(0, 'bindings/python')
import wheels

HERE = f'linux-{platform.machine()}'
BUILT = 'build/dist/wheels'
VENV = f'{WORK}/wheels/venv'
PYTHON = f'{VENV}/bin/python'
ANSWER = 'The package was too sweet and the cake was crushed.\n'     # as README.md has it

WITHOUT_WEIGHTS = """
import sqlite3, sqlite_latent
db = sqlite3.connect(':memory:')
sqlite_latent.load(db)
db.execute('CREATE VIRTUAL TABLE t USING latent(width=3)')
db.execute('INSERT INTO t(latent) VALUES (?)', (sqlite_latent.vector([1, 2, 3]),))
print(db.execute('SELECT rowid FROM t(?)', (sqlite_latent.vector((3, 2, 1)),)).fetchall())
print(sqlite_latent.weights())
try:
    db.execute("SELECT latent_encode('a')")
except sqlite3.Error as e:
    print('no weights found' in str(e) and 'sqlite_latent/latent/text.safetensors' in str(e))
try:
    db.execute("SELECT load_extension('x')")
except sqlite3.Error as e:
    print(e)
"""
# Other copies than the wheel's: by a bare name, a path, and load()'s argument.
ELSEWHERE = """
import os, shutil, sqlite3, sqlite_latent, tempfile
own = sqlite_latent.loadable_path() + '.so'
os.chdir(tempfile.mkdtemp())
def tell(extension, argument=None):
    os.environ['LATENT_EXTENSION'] = extension
    db = sqlite3.connect(':memory:')
    try:
        sqlite_latent.load(db, argument)
        print(os.path.abspath(argument or extension) in open('/proc/self/maps').read(),
              db.execute("SELECT latent_valid('1')").fetchone())
    except sqlite_latent.LatentError as e:
        print(e)
for name in ('a/latent.so', 'latent.so', 'b/latent.so'):
    os.makedirs(os.path.dirname(name) or '.', exist_ok=True)
    shutil.copy(own, name)
tell('latent.so')
tell(os.path.abspath('a/latent.so'))
tell('/nowhere/latent.so', 'b/latent.so')
print(own in open('/proc/self/maps').read())
tell('/nowhere/latent.so')
tell('', 'nowhere.so')
tell('.')
shutil.rmtree(os.getcwd())
"""
ELSEWHERE_SAID = """\
True (1,)
True (1,)
True (1,)
False
sqlite_latent: LATENT_EXTENSION is '/nowhere/latent.so', and there is no such file; expected the \
path of the extension, as /path/to/latent.so
sqlite_latent: the extension is 'nowhere.so', and there is no such file; expected the path of the \
extension, as /path/to/latent.so
sqlite_latent: LATENT_EXTENSION is '.', and there is no such file; expected the path of the \
extension, as /path/to/latent.so
"""
TEXT_ALONE = """
import sqlite3, sqlite_latent
db = sqlite_latent.connect()
print(list(sqlite_latent.weights()))
print(db.execute("SELECT latent_decode(latent_encode('It is warm.'))").fetchone()[0])
try:
    db.execute("SELECT latent_image('a', 1)")
except sqlite3.Error as e:
    print(str(e).split(' (')[0])
"""
ALL = """
import importlib.metadata as m, json, sqlite_latent
db = sqlite_latent.connect()
info = json.loads(db.execute('SELECT latent_info()').fetchone()[0])
names = ['sqlite-latent'] + ['sqlite-latent-' + w for w in
                             ('text', 'pictures', 'code', 'writer', 'writer-pieces')]
print({m.version(n) for n in names} | {sqlite_latent.__version__} == {info['version']})
print(list(sqlite_latent.weights()))
print(db.execute("SELECT hex(substr(latent_image('a star', 1), 1, 4))").fetchone()[0])
z = db.execute("SELECT latent_encode('return 1', ?)", ('{"kind":"code"}',)).fetchone()[0]
print(db.execute('SELECT latent_decode(?)', (z,)).fetchone()[0])
"""
ERRORS = """
import sqlite_latent as s
def tell(f, *a, **k):
    try:
        print(f(*a, **k))
    except Exception as e:
        print(type(e).__name__ + ': ' + str(e))
tell(s.load, 7)
tell(s.vector, [])
tell(s.vector, [1, float('nan')])
tell(s.vector, [1e300])
tell(s.vector, ['a'])
tell(s.connect, '/no/such/folder/x.db')
"""
ERRORS_SAID = """\
LatentError: sqlite_latent.load: the builtins of this Python (PYTHON) is built without loadable \
extensions: pip install apsw, or pysqlite3-binary, and use sqlite_latent.connect(path); or take \
another Python
ValueError: sqlite_latent.vector: there are no numbers
ValueError: sqlite_latent.vector: a number is not finite as f32
ValueError: sqlite_latent.vector: a number is not finite as f32
TypeError: must be real number, not str
OperationalError: unable to open database file
"""
NUMPY = """
import numpy, sqlite_latent as s
db = s.connect()
z = db.execute("SELECT latent_encode('It is warm. It is cold.')").fetchone()[0]
blob = db.execute('SELECT latent_vector(?)', (z,)).fetchone()[0]
a = s.array(blob, 512)
print(a.shape, a.dtype, s.array(blob).shape)
print(db.execute('SELECT latent_from_vector(?) = ?', (s.vector(a), z)).fetchone())
print(s.vector(a.astype('f8')) == s.vector(a[:, ::1]) == s.vector(numpy.asfortranarray(a)) == blob)
for bad in (numpy.zeros((1, 1, 1)), numpy.array([numpy.inf]), numpy.zeros(0)):
    try:
        s.vector(bad)
    except ValueError as e:
        print(e)
for blob, width in ((b'123', None), (b'1234', 2), ('text', None)):
    try:
        s.array(blob, width)
    except (TypeError, ValueError) as e:
        print(e)
"""
NUMPY_SAID = """\
(2, 512) float32 (1024,)
(1,)
True
sqlite_latent.vector: an array of 3 dimensions, expected 1 (numbers) or 2 (segments, numbers)
sqlite_latent.vector: a number is not finite as f32
sqlite_latent.vector: there are no numbers
sqlite_latent.array: 3 bytes are no numbers of 4 bytes
sqlite_latent.array: 4 bytes are no rows of 2 numbers
sqlite_latent.array: a str, expected the bytes of a BLOB
"""
# A Python whose sqlite3 loads no extensions, as macOS's own.
FALLBACK = """
import sqlite3, sys, types, warnings
plain = types.ModuleType('sqlite3')
plain.sqlite_version, plain.Connection = '3.45.0', type('Connection', (), {})
sys.modules['sqlite3'] = plain
import sqlite_latent
warnings.simplefilter('always')
warnings.showwarning = lambda message, *rest: print(message)
try:
    db = sqlite_latent.connect()
    print(list(db.execute("SELECT latent_valid('x = 1')")))
except sqlite_latent.LatentError as e:
    print(e)
"""
NO_FALLBACK_SAID = """\
sqlite_latent.connect: sqlite3 is built without loadable extensions, pysqlite3 is not installed, \
apsw is not installed: pip install apsw, or pysqlite3-binary
"""
APSW_SAID = """\
sqlite_latent.connect: this is a connection of apsw, since sqlite3 is built without loadable \
extensions, pysqlite3 is not installed
[(1,)]
"""


def said(name, code, expected):
    write(f'{WORK}/wheels/{name}.py', code)
    status, out = run([PYTHON, f'{WORK}/wheels/{name}.py'])
    expected = expected.replace('PYTHON', os.path.abspath(PYTHON))
    ok((status, out) == (0, expected), name.replace('_', ' '), f'exit status {status}\n{out}')


def pip(*arguments):
    status, out = run([f'{VENV}/bin/pip', *arguments, '-q', '--disable-pip-version-check'],
                      timeout=300)
    return None if status == 0 else last_line(out)


def install(*packages):
    why = pip('install', '--no-index', '--find-links', BUILT, *packages)
    ok(why is None, f'pip install {" ".join(packages)}, without a network', why or '')


def build():
    """Gives why it cannot be done here, or None."""
    status, out = run(['/usr/bin/python3', 'bindings/dist/sources.py'], timeout=600)
    if status != 0:
        return last_line(out)
    binary = f'build/dist/{HERE}/latent.so'
    status, out = run(['make', '--silent', '--no-print-directory', '-j2', binary,
                       f'PLATFORMS={HERE}'], timeout=900)
    ok((status, out) == (0, ''), f'{binary} is built without warnings', out)
    status, out = run(['bindings/python/wheels.py', HERE, *wheels.WEIGHTS])
    ok(status == 0, 'the wheels are built, each under 100 MB', out)
    return None


def records():
    """Every file of a wheel is in its RECORD, with its hash, and no two wheels have the same."""
    wrong, seen = [], {}
    paths = glob.glob(f'{BUILT}/sqlite_latent_*-any.whl') + glob.glob(f'{BUILT}/*manylinux*.whl')
    for path in paths:
        with zipfile.ZipFile(path) as wheel:
            record = next(n for n in wheel.namelist() if n.endswith('/RECORD'))
            lines = wheel.read(record).decode().splitlines()
            expected = [','.join(map(str, wheels.record_line(name, wheel.read(name))))
                        for name in wheel.namelist() if name != record]
            if sorted(lines) != sorted([*expected, f'{record},,']):
                wrong.append(path)
            for name in wheel.namelist():
                if seen.setdefault(name, path) != path:
                    wrong.append(f'{name} is in {path} and {seen[name]}')
    ok(len(paths) >= 6 and not wrong, 'each wheel has its RECORD and files of its own',
       '; '.join(wrong))


def audited():
    why = steps((['build/dist/venv/bin/pip', 'install', '-q', 'auditwheel==6.8.2'],), timeout=300)
    if why:
        skip('auditwheel', why)
        return
    path, = glob.glob(f'{BUILT}/*manylinux2014_{platform.machine()}.whl')
    status, out = run(['build/dist/venv/bin/auditwheel', 'show', path])
    out = ' '.join(out.split())
    ok(f'following platform tag: "manylinux_2_17_{platform.machine()}"' in out,
       'auditwheel: manylinux2014', out)


def installed():
    """From nothing to all weights, in one environment that starts empty."""
    shutil.rmtree(VENV, ignore_errors=True)
    ok(steps((['/usr/bin/python3', '-m', 'venv', VENV],)) is None, 'a clean environment')
    install('sqlite-latent')
    said('without_weights', WITHOUT_WEIGHTS, '[(1,)]\n{}\nTrue\nnot authorized\n')
    said('an_extension_that_lies_elsewhere', ELSEWHERE, ELSEWHERE_SAID)
    said('no_sqlite_will_do', FALLBACK, NO_FALLBACK_SAID)
    install('sqlite-latent[text]')
    said('text_alone', TEXT_ALONE, "['text']\nIt is warm.\n"
         'latent_image: no weights for pictures found\n')
    install('sqlite-latent[all]')
    said('all_weights_and_versions', ALL, "True\n['text', 'pictures', 'code', 'writer']\n"
         '89504E47\nreturn 1\n')
    examples = re.findall('```python\n(.*?)```', read('bindings/python/README.md'), re.S)
    said('five_lines', examples[0], ANSWER)
    said('errors', ERRORS, ERRORS_SAID)
    numpy(examples[1])
    why = pip('install', 'apsw')
    if why:
        skip('a connection of apsw', why)
    else:
        said('a_connection_of_apsw', FALLBACK, APSW_SAID)


def numpy(example):
    why = pip('install', 'numpy')
    if why:
        skip('numpy arrays', why)
        return
    said('numpy_arrays', NUMPY, NUMPY_SAID)
    said('an_index_of_numpy_arrays', example, '(7,)\n')


def uninstalled():
    names = ['sqlite-latent', *(f'sqlite-latent-{kind}' for kind in wheels.WEIGHTS)]
    ok(pip('uninstall', '-y', *names) is None, 'pip uninstall')
    left = [p for p in glob.glob(f'{VENV}/lib/*/site-packages/sqlite_latent*/**', recursive=True)
            if os.path.isfile(p)]
    ok(not left, 'nothing of it is left', '; '.join(left))


def all_of_it():
    why = build()
    if why:
        skip('the wheels', why)
        return
    for check in (records, audited, installed, uninstalled):
        check()


if __name__ == '__main__':
    main(all_of_it)
