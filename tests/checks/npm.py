#!/usr/bin/python3
"""The npm packages: packed, installed into empty folders from a registry on this machine, and used.

The registry is a server on loopback that has the tarballs of build/npm and nothing else, so npm
chooses platforms and resolves versions as it will once they are published. The JavaScript of
bindings/node/README.md runs as it stands there. Node 24, Bun, Deno, pnpm and TypeScript come from
npm, better-sqlite3 as in registries.py.
"""
import base64
import glob
import hashlib
import http.server
import json
import os
import re
import shutil
import tarfile
import tempfile
import threading

from common import ROOT, last_line, main, ok, read, run, skip, write
from pages import fenced
from registries import MODULE, get_better_sqlite3

PACKED = 'build/npm'
TOOLS = 'build/node-tools'
PACKAGES = {'node': '24.21.0', 'bun': '1.4.5', 'deno': '2.9.6', 'pnpm': '12.21.0',
            'typescript': '7.0.2'}
MOST_BYTES = 100_000_000
KINDS = ('text', 'pictures', 'code', 'writer')


# ---- What runs the JavaScript ----
def get_tools():
    """Node 24, Bun, Deno, pnpm and TypeScript. Gives why they are missing, or None."""
    if not shutil.which('npm'):
        return 'no npm on this machine'
    about = json.dumps({'private': True, 'dependencies': PACKAGES,
                        'allowScripts': {name: True for name in PACKAGES}})
    done = f'{TOOLS}/installed.json'
    if os.path.exists(done) and read(done) == about:
        return None
    write(f'{TOOLS}/package.json', about)
    status, out = run(['npm', 'install', '--no-audit', '--no-fund', '--prefix', TOOLS],
                      timeout=600)
    if status != 0 or run([tool('node'), '--version'])[0] != 0:
        return 'cannot be installed here: ' + last_line(out)
    write(done, about)
    return None


def tool(name):
    return os.path.abspath(f'{TOOLS}/node_modules/.bin/{name}')


# ---- The registry ----
def packument(tarball, url):
    """What a registry says of a package that has one version."""
    with tarfile.open(tarball) as t:
        about = json.load(t.extractfile('package/package.json'))
    with open(tarball, 'rb') as f:
        digest = hashlib.sha512(f.read()).digest()
    about['dist'] = {'tarball': f'{url}/{os.path.basename(tarball)}',
                     'integrity': 'sha512-' + base64.b64encode(digest).decode()}
    return {'name': about['name'], 'dist-tags': {'latest': about['version']},
            'versions': {about['version']: about}}


class Registry(http.server.BaseHTTPRequestHandler):
    known = {}                  # what is said of each package
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        name = self.path.lstrip('/').partition('?')[0]
        file = f'{PACKED}/{name}'
        if name in self.known:
            self.answer(200, json.dumps(self.known[name]).encode())
        elif name.endswith('.tgz') and '/' not in name and os.path.exists(file):
            with open(file, 'rb') as f:
                self.answer(200, f.read())
        else:
            self.answer(404, b'{"error":"not found"}')

    def answer(self, status, body):
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve():
    """Gives the registry's address."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Registry)
    url = f'http://127.0.0.1:{server.server_port}'
    for tarball in tarballs():
        told = packument(tarball, url)
        Registry.known[told['name']] = told
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return url


def tarballs():
    version = re.search(r'LATENT_VERSION "([^"]+)"', read('ext/functions/functions.h'))[1]
    return sorted(glob.glob(f'{PACKED}/*-{version}.tgz'))


# ---- Folders in which somebody installs them ----
class Project:
    """An empty folder outside of the repository, and what is run in it."""
    def __init__(self, home, url, name):
        self.home, self.folder = home, f'{home}/{name}'
        self.env = {'npm_config_registry': url, 'npm_config_cache': f'{home}/cache',
                    'npm_config_audit': 'false', 'npm_config_fund': 'false', 'HOME': home,
                    'npm_config_update_notifier': 'false', 'DENO_NO_UPDATE_CHECK': '1',
                    'XDG_CACHE_HOME': f'{home}/cache', 'TMPDIR': home}
        write(f'{self.folder}/package.json', '{"private": true, "type": "module"}')
        write(f'{self.folder}/.npmrc', f'registry={url}\n')

    def run(self, *command, **env):
        return run(['env', '-C', self.folder, *command], **(self.env | env))

    def install(self, *packages, options=()):
        return self.run('npm', 'install', *options, *packages)

    def script(self, program, text, name='main.mjs', **env):
        write(f'{self.folder}/{name}', text)
        runs = {'deno': [tool('deno'), 'run', '-A'], 'bun': [tool('bun')],
                'node': [tool('node')], 'old': ['node']}[program]
        return self.run(*runs, name, **env)


def said(code):
    """A script that loads the extension in Node 24, runs `code`, and prints a caught error."""
    return ("import { DatabaseSync } from 'node:sqlite';\n"
            "import * as latent from 'sqlite-latent';\n"
            "const open = (o = { allowExtension: true }) => new DatabaseSync(':memory:', o);\n"
            f"try {{\n{code}\n}} catch (e) {{ console.log(e.code + ': ' + e.message); }}\n")


# ---- Checks ----
def packed():
    status, out = run(['node', 'bindings/node/pack.mjs'])
    ok(status == 0, 'the packages are packed', out)
    sizes = {path: os.path.getsize(path) for path in tarballs()}
    ok(len(sizes) >= 7 and max(sizes.values()) < MOST_BYTES, 'none has 100 MB or more', str(sizes))
    return status == 0


def with_text(project):
    """What the page shows, with each program that can run it."""
    status, out = project.install('sqlite-latent', 'sqlite-latent-text')
    ok(status == 0, 'npm install sqlite-latent sqlite-latent-text, into an empty folder', out)
    installed = sorted(os.path.basename(p)
                       for p in glob.glob(f'{project.folder}/node_modules/sqlite-latent*'))
    ok(len(installed) == 3, 'npm takes the platform of this machine alone', ' '.join(installed))
    why = get_better_sqlite3()
    if why is None:
        os.symlink(os.path.abspath(MODULE), f'{project.folder}/node_modules/better-sqlite3')
    blocks = fenced(read('bindings/node/README.md'))
    for i, (language, code, _) in enumerate(blocks):
        if language != 'js':
            continue
        expected = blocks[i + 1][1]
        module = re.search("from '(better-sqlite3|node:sqlite|bun:sqlite)'", code)[1]
        for program in {'better-sqlite3': ['old'], 'node:sqlite': ['node', 'deno', 'bun'],
                        'bun:sqlite': ['bun']}[module]:
            name = f'example {i} of the page with {module} in {program}'
            if module == 'better-sqlite3' and why:
                skip(name, why)
                continue
            status, got = project.script(program, code)
            got = re.sub(r'^\(node.*\n|^\(Use.*\n|^.*ExperimentalWarning.*\n', '', got, flags=re.M)
            ok((status, got) == (0, expected), name, f'exit status {status}: {got[-1500:]}')
    status, got = project.script('old', "const l = require('sqlite-latent'); console.log(typeof "
                                 "l.load, l.getLoadablePath().endsWith('/latent.so'))", 'main.cjs')
    ok(got == 'function true\n', 'require() gives the same', got)


EVERY = """
const db = open(); latent.load(db); latent.load(open());
const info = () => JSON.parse(db.prepare('SELECT latent_info() AS i').get().i);
const one = (sql, ...p) => Object.values(db.prepare('SELECT ' + sql).get(...p))[0];
console.log(one("latent_interp('The train was late again.', 'I like soup.', 0.5)"));
console.log(one("length(latent_image('a red heart', 7)) > 100"));
console.log(one(`latent_decode(latent_encode('x = f(1)', '{"kind":"code"}'))`));
const { model, picture, code, writer } = info();
console.log([model, picture, code, writer].map((m) => m.path.split('/node_modules/')[1]
  .split('/')[0]).join());
"""


def with_all(project):
    """All kinds of weights, which are joined in a folder of links."""
    status, out = project.install('sqlite-latent', *(f'sqlite-latent-{k}' for k in KINDS))
    ok(status == 0, 'npm install of all weights', out)
    expected = run(['sqlite3', '-batch', ':memory:', '.load build/latent',
                    "SELECT latent_interp('The train was late again.', 'I like soup.', 0.5)"])[1]
    expected += ('1\nx = f(1)\nsqlite-latent-text,sqlite-latent-pictures,sqlite-latent-code,'
                 'sqlite-latent\n')
    package = f'{project.folder}/node_modules/sqlite-latent'
    for program in 'node', 'deno', 'bun':
        status, got = project.script(program, said(EVERY))
        ok((status, got) == (0, expected), f'all kinds of weights in {program}', got[-1500:])
    ok(len(os.listdir(f'{package}/.joined')) == 1, 'they are joined once',
       ' '.join(os.listdir(f'{package}/.joined')))


def errors(project):
    """Each says what is missing and what to do."""
    def says(name, code, pattern, **env):
        got = project.script('node', said(code), **env)[1]
        ok(re.search(pattern, got), name, got[-800:])

    project.install('sqlite-latent')
    says('without weights', 'latent.load(open())',
         '^ERR_LATENT_WEIGHTS: .*npm install sqlite-latent-text')
    says('tables of vectors need none', "const db = open(); latent.load(db, { weights: false });"
         "db.exec('CREATE VIRTUAL TABLE v USING latent(width=3)'); console.log('made')", '^made$')
    says('a folder of weights of one\'s own', 'const db = open(); latent.load(db, { weights: '
         f"'{ROOT}/model' }}); console.log(db.prepare(\"SELECT latent_interp('a', 'a', 0) AS x\")"
         '.get().x)', '^a$')
    says('LATENT_MODEL is heeded', 'const db = open(); latent.load(db); console.log(db.prepare('
         "\"SELECT latent_interp('a', 'a', 0) AS x\").get().x)", '^a$',
         LATENT_MODEL=f'{ROOT}/model')
    says('a folder without weights', "latent.load(open(), { weights: '/nowhere' })",
         '^ERR_LATENT_WEIGHTS: .*latent_load: /nowhere')
    says('weights that are no path', 'latent.load(open(), { weights: 7 })',
         '^ERR_LATENT_WEIGHTS: .*weights is 7, expected')
    says('a database that loads no extensions', 'latent.load(open({}), { weights: false })',
         '^ERR_LATENT_DATABASE: .*allowExtension: true')
    says('no database', 'latent.load({})', '^ERR_LATENT_DATABASE: .*got object without')
    says('a machine that has no extension', "Object.defineProperty(process, 'arch', "
         "{ value: 'riscv64' }); latent.getLoadablePath()",
         '^ERR_LATENT_PLATFORM: .*no extension for linux-riscv64; there is one for linux-x64')
    says('a machine whose package was left out', "Object.defineProperty(process, 'arch', "
         "{ value: 'arm64' }); latent.getLoadablePath()",
         '^ERR_LATENT_PLATFORM: .*sqlite-latent-linux-arm64, .*is not installed')
    says('a vector of odd bytes', 'latent.toVector(new Uint8Array(5))', 'got 5 bytes, expected')


BACK = """
const db = open(); latent.load(db);
console.log(db.prepare("SELECT latent_decode(latent_encode('A dog runs.')) AS x").get().x);
"""
WRITES = """
const db = open(); latent.load(db);
db.prepare("SELECT latent_interp('The train was late again.', 'I like soup.', 0.5)").get();
const { writer } = JSON.parse(db.prepare('SELECT latent_info() AS i').get().i);
console.log(writer.bytes > 100000000);
"""


def other_managers(home, url):
    """pnpm hides packages from those that do not name them; Bun lays them out as npm does."""
    pnpm = Project(home, url, 'pnpm')
    status, out = pnpm.run(tool('pnpm'), 'add', 'sqlite-latent', 'sqlite-latent-writer')
    ok(status == 0, 'pnpm add', out[-1500:])
    status, got = pnpm.script('node', said(WRITES))
    ok(got == 'true\n', "in pnpm's layout, what the writer's package needs is found", got[-1500:])
    bun = Project(home, url, 'bun')
    status, out = bun.run(tool('bun'), 'add', 'sqlite-latent', 'sqlite-latent-text',
                          '--registry', url)
    ok(status == 0, 'bun add', out[-1500:])
    status, got = bun.script('bun', said(BACK))
    ok(got == 'A dog runs.\n', "in Bun's layout", got[-1500:])


def from_files(home):
    """The packed tarballs themselves, with no registry at all."""
    project = Project(home, 'http://127.0.0.1:9', 'files')
    main_package = [t for t in tarballs() if re.search(r'sqlite-latent-\d', t)]
    parts = [t for t in tarballs() if re.search('linux-x64-|text', t) and 'musl' not in t]
    status, out = project.install(*map(os.path.abspath, main_package + parts),
                                  options=['--offline'])
    ok(status == 0, 'npm install of the tarballs, offline', out[-1500:])
    got = project.script('node', said("const db = open(); latent.load(db); console.log('loaded')"))
    ok(got[1] == 'loaded\n', 'they load', got[1][-1500:])


TYPED = """
import { load, getLoadablePath, getWeightsPath, toBlob, toVector } from 'sqlite-latent';
import type { LoadOptions } from 'sqlite-latent';
interface Statement { get(x: string): {} }
declare const db: { loadExtension(path: string): void; prepare(sql: string): Statement };
const options: LoadOptions = { weights: false };
load(db, options); load(db, { weights: getWeightsPath() });
const path: string = getLoadablePath();
const v: Float32Array = toVector(toBlob([1, 2]));
// @ts-expect-error: a number is no folder
load(db, { weights: 7 });
// @ts-expect-error: a string is no vector
toBlob('a');
"""


def types(project):
    write(f'{project.folder}/typed.mts', TYPED)
    write(f'{project.folder}/typed.cts', TYPED)
    write(f'{project.folder}/buffer.d.ts', 'interface Buffer extends Uint8Array {}\n')
    status, out = project.run(tool('tsc'), '--strict', '--noEmit', '--module', 'nodenext',
                              '--types', '', 'typed.mts', 'typed.cts', 'buffer.d.ts')
    ok(status == 0, 'the types, for import and for require', out)


def npm():
    why = get_tools()
    if why:
        skip('the npm packages', why)
        return
    if not packed():
        return
    home = tempfile.mkdtemp(prefix='latent-npm-')
    try:
        url = serve()
        text = Project(home, url, 'text')
        with_text(text)
        types(text)
        errors(Project(home, url, 'errors'))
        with_all(Project(home, url, 'all'))
        other_managers(home, url)
        from_files(home)
    finally:
        shutil.rmtree(home)


if __name__ == '__main__':
    main(npm)
