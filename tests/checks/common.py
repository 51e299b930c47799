"""What the checks share: running commands and the sqlite3 shell, stating outcomes, the tiny models.

A check is a program. It states each property on a line of its own, as the C programs do:

    ok - name
    not ok - name: detail           (further lines of the detail are indented)
    skipped - name: why

It ends with main(FUNCTION...), and its exit status is 1 if a property did not hold.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = 'build/tests'                            # where the tests write
TINY = 'tests/data/text.safetensors'            # picture.safetensors is found beside it
TINY_PICTURE = 'tests/data/picture.safetensors'
WRITER = 'tests/data/llama'                     # a tiny writer, which is beside no weights there
WRITING = f'{WORK}/models/writing/text.safetensors'     # as TINY, with a writer beside them
SHIPPED = 'model/text.safetensors'
SHELL = ['sqlite3', '-batch', '-init', '/dev/null', ':memory:']
# Programs for Windows: a registry and drives of their own, and no words but the program's.
WINE = {'WINEPREFIX': os.path.join(ROOT, 'build', 'wine'), 'WINEDEBUG': '-all', 'LC_ALL': 'C.UTF-8',
        'WINEDLLOVERRIDES': 'mscoree=;mshtml=;winemenubuilder.exe=;winedbg.exe='}

n_failed = 0


# ---- Outcomes ----
def ok(good, name, detail=''):
    """States a property. The detail is shown only if it does not hold."""
    global n_failed
    if good:
        print(f'ok - {name}', flush=True)
    else:
        n_failed += 1
        detail = detail.strip().replace('\n', '\n    ') or 'no more is known'
        print(f'not ok - {name}: {detail}', flush=True)


def skip(name, why):
    print(f'skipped - {name}: {why}', flush=True)


def main(*checks):
    """Runs the functions in the root of the repository. An exception in one is a failure of it."""
    os.chdir(ROOT)
    make_models()
    for check in checks:
        try:
            check()
        except Exception:
            ok(False, check.__name__, traceback.format_exc())
    sys.exit(n_failed > 0)


# ---- Commands ----
def no_wine():
    """Why nothing for Windows can be run here, or None. Wine's folder is made, the first time."""
    if not shutil.which('wine'):
        return 'no wine on this machine'
    if not os.path.exists(os.path.join(WINE['WINEPREFIX'], 'system.reg')):
        return steps((['wine', 'wineboot', '--init'], ['wine', 'winecfg', '-v', 'win10']),
                     timeout=120, **WINE)
    return None


def run(command, timeout=900, **env):
    """One command: (exit status, output and errors in their order). LATENT_* is not handed on."""
    full = {k: v for k, v in os.environ.items() if not k.startswith('LATENT_')} | env
    p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=timeout, env=full)
    return p.returncode, p.stdout.decode('utf8', 'replace')


def program(command, **env):
    """A program that states its outcomes in the same way: they are passed on."""
    status, out = run(command, timeout=None, **env)
    print(out, end='', flush=True)
    if status != 0 or not re.search('^(ok|skipped) - ', out, re.M):
        ok(False, f'{command[0]} ends well', f'exit status {status}')


def last_line(out):
    return (out.strip().splitlines() or ['no word'])[-1][:200]


def shell(*commands, **env):
    """The sqlite3 shell with the extension loaded: (exit status, output line by line)."""
    status, out = run(['stdbuf', '-oL', *SHELL, '.load build/latent', *commands], **env)
    return status, plain_errors(out)


def plain_errors(out):
    """Shells of different versions begin and end an error differently, or point at its place."""
    out = out.replace(ROOT + '/', '')
    out = re.sub(r'^  .*\n *\^--- error here\n', '', out, flags=re.M)
    out = re.sub(r'^(?:Runtime |Parse )?[Ee]rror(?: in)?(?:[:,]? near line \d+)?: ', 'error: ', out,
                 flags=re.M)
    return re.sub(r'^(error: .*?)(?: \(\d+\))?$', r'\1', out, flags=re.M)


# ---- Files ----
def read(path):
    with open(path, encoding='utf8', errors='surrogateescape') as f:
        return f.read()


def write(path, text):
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with open(path, 'w', encoding='utf8', errors='surrogateescape') as f:
        f.write(text)


def difference(expected, got):
    """The first line in which they differ."""
    a, b = expected.splitlines(), got.splitlines()
    for i in range(max(len(a), len(b))):
        x = a[i] if i < len(a) else '(end)'
        y = b[i] if i < len(b) else '(end)'
        if x != y:
            return f'line {i + 1}: expected {x[:300]!r}, got {y[:300]!r}'
    return 'white space at the end'


# ---- SQL scripts ----
def scripts():
    return sorted(glob.glob('tests/sql/*.sql'))


def first_line(script):
    return read(script).split('\n', 1)[0]


def models_of(script):
    """The weights that a script runs with.

    Most scripts state what holds for any weights, and run with the tiny and the shipped ones. One
    that begins with "-- shipped" is about what the shipped weights say; one that begins with
    "-- tiny" would take too long with them, or its messages name the model.
    """
    line = first_line(script)
    if line.startswith('-- shipped'):
        return [SHIPPED]
    return [TINY] if line.startswith('-- tiny') else [TINY, SHIPPED]


def script_output(script, model):
    status, out = shell(f'.read {script}', LATENT_MODEL=os.path.abspath(model))
    return out if status >= 0 else f'{out}(the shell was ended by signal {-status})\n'


def swept_scripts():
    """The scripts that the sweep runs, with the tiny weights."""
    return [s for s in scripts() if TINY in models_of(s) and '(not swept)' not in first_line(s)]


def vtab_scripts():
    """Those of them that are about the virtual table."""
    about = '/(vtab|shadow|imagine|picture_vtab|words|diverse|rebuild|partition)'
    return [s for s in swept_scripts() if re.search(about, s)]


# ---- Models that scripts and programs find in build/tests/models ----
def make_models():
    """Damaged models for bad_models.sql; others for code.sql, picture_errors.sql and programs."""
    def pair(path):
        parts = []
        for ending in ('.safetensors', '.json'):
            with open(path.replace('.safetensors', ending), 'rb') as f:
                parts.append(f.read())
        return parts

    weights, text = pair(TINY)
    picture_weights, picture_text = pair(TINY_PICTURE)
    plain_weights, plain = pair('tests/data/tiny.safetensors')      # makes its own s
    as_kind = lambda kind: plain.replace(b'"kind":"text"', b'"kind":"%s"' % kind, 1)

    model('truncated', weights[:len(weights) // 2], text)
    model('altered', weights[:-1000] + bytes([weights[-1000] ^ 1]) + weights[-999:], text)
    model('no_tokenizer', weights, None)
    model('not_a_model', b'This is a letter to my sister, and no model.', text)
    model('empty', b'', text)
    model('bad_json', weights, text[:300])
    model('code', plain_weights, as_kind(b'code'))
    model('music', plain_weights, as_kind(b'music'))
    model('other', weights, text + b'\n')       # the same in everything except its fingerprint
    model('other_picture', picture_weights, picture_text + b'\n')
    model('code_meaning', weights, text.replace(b'"kind":"text"', b'"kind":"code"', 1))
    model('other_meaning', weights, text.replace(b'"weights_hash":"2a', b'"weights_hash":"2b', 1))
    model('wide_meaning', weights, text.replace(b'"meaning":{"s":24', b'"meaning":{"s":64', 1))
    model('narrow_meaning', weights, text.replace(b'"meaning":{"s":24', b'"meaning":{"s":15', 1))
    model('alone/text', weights, text)          # without its sentence encoder
    model('plain', plain_weights, plain)
    model('all/text', weights, text)
    model('all/picture', picture_weights, picture_text)
    model('writing/text', weights, text)        # with a writer, which the other tiny ones lack
    model('writing/picture', picture_weights, picture_text)
    code = plain_weights, as_kind(b'code')
    model('writing/code', *code)
    for folder in ('models', 'models/all', 'models/writing'):
        link(f'{WORK}/{folder}/meaning', 'tests/data/bert')
    link(f'{WORK}/models/writing/writer', WRITER)
    shape = read(f'{WRITER}/config.json')
    writing('reads_other', shape.replace('"reads": "6', '"reads": "7'), weights, text, code)
    writing('reads_wide', shape.replace('"s": 24', '"s": 20').replace('"r": 32', '"r": 36'),
            weights, text, code)
    writing('reads_other_code', shape.replace('"reads": "62', '"reads": "63'), weights, text, code)
    writing('reads_no_code', re.sub('"code": {[^}]*},', '', shape), weights, text, code)
    writing('bad_code', shape.replace('"s": 16', '"s": 0'), weights, text, code)
    writing('bad_writer', shape.replace('"rank": 8', '"rank": 9'), weights, text, code)


def writing(name, shape, weights, text, code):
    """A model with the tiny writer, which has that config.json."""
    folder = f'{WORK}/models/{name}'
    model(f'{name}/text', weights, text)
    model(f'{name}/code', *code)
    link(f'{folder}/meaning', 'tests/data/bert')
    put(f'{folder}/writer/config.json', shape.encode())
    for file in ('layers', 'pieces', 'trained'):
        link(f'{folder}/writer/{file}.safetensors', f'{WRITER}/{file}.safetensors')
    link(f'{folder}/writer/tokenizer.json', f'{WRITER}/tokenizer.json')


def link(path, to):
    if not os.path.lexists(path):
        os.symlink(os.path.abspath(to), path)


def model(name, weights, text):
    """Writes the two files of a model. text: NULL writes no JSON."""
    for ending, data in (('safetensors', weights), ('json', text)):
        if data is not None:
            put(f'{WORK}/models/{name}.{ending}', data)


def put(path, data):
    """Moved into place whole: a test that runs beside this one may have the old file mapped."""
    if is_file_with(path, data):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = f'{path}.{os.getpid()}'
    with open(new, 'wb') as f:
        f.write(data)
    os.replace(new, path)


def is_file_with(path, data):
    if not os.path.exists(path):
        return False
    with open(path, 'rb') as f:
        return f.read() == data


# ---- Programs from registries, kept in build/ so that the second time needs no network ----
NEWEST_PACKAGE = 'better-sqlite3@12.11.1'       # SQLite 3.53.2
NEWEST = 'build/newest/' + NEWEST_PACKAGE


def steps(commands, **options):
    """Runs commands until one fails. Gives why it did, or None."""
    for command in commands:
        status, out = run(command, **options)
        if status != 0:
            return f'{os.path.basename(command[0])}: {last_line(out)}'
    return None


def get_apsw():
    """Python's apsw, which brings the newest SQLite. Gives why it is missing, or None."""
    python = 'build/apsw/bin/python'
    if os.path.exists(python) and run([python, '-c', 'import apsw'])[0] == 0:
        return None
    return steps((['/usr/bin/python3', '-m', 'venv', 'build/apsw'],
                  ['build/apsw/bin/pip', 'install', '-q', 'apsw']), timeout=300)


def get_newest_sqlite():
    """SQLite's source (2.6 MB from npm), compiled with its own checks of how it is used.

    Gives why it is missing, or None.
    """
    if os.path.exists(f'{NEWEST}/sqlite3_fts5.o'):
        return None
    if not shutil.which('npm'):
        return 'no npm on this machine'
    os.makedirs(NEWEST, exist_ok=True)
    package = NEWEST_PACKAGE.replace('@', '-') + '.tgz'
    why = steps((['npm', 'pack', '--silent', '--pack-destination', NEWEST, NEWEST_PACKAGE],
                 ['tar', 'xzf', f'{NEWEST}/{package}', '-C', NEWEST, '--strip-components=3',
                  'package/deps/sqlite3'],
                 ['gcc', '-w', '-O1', '-DSQLITE_DEBUG', '-DSQLITE_ENABLE_API_ARMOR',
                  '-DSQLITE_ENABLE_FTS5', '-c',
                  '-o', f'{NEWEST}/sqlite3_fts5.o.new', f'{NEWEST}/sqlite3.c']), timeout=300)
    if why is None:
        os.replace(f'{NEWEST}/sqlite3_fts5.o.new', f'{NEWEST}/sqlite3_fts5.o')
    return why
