#!/usr/bin/python3
"""bindings/web: the module in Node, then its page in a browser.

    tests/checks/web.py                      all of it, with the shipped weights
    tests/checks/web.py --node               without the browser
    tests/checks/web.py --measure            the figures of bindings/web/README.md
    tests/checks/web.py --screenshot FILE    the picture there

The native extension is asked the same, and must answer with the same bytes.
"""
import base64
import functools
import glob
import gzip
import http.server
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import time

from browser import Browser
from common import SHIPPED, WORK, difference, last_line, main, ok, read, run, skip

WEB = 'build/web'               # bindings/web/build.py makes it
RELAXED = ['node', '--no-warnings', '--experimental-wasm-relaxed-simd']     # Node 20 asks for it
# It gives rows, and never ends.
ENDLESS = ('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) '
           'SELECT x FROM c WHERE x < 9')
A = 'The beach is empty in the early morning.'
B = 'The neighbors are moving away next week.'
# 16 x 16 pixels
JPEG = base64.b64decode(
    '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVk'
    'VGZIhlbXd7gYKBTmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8'
    'fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/wAARCAAQABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAABAX/xA'
    'AXEAADAQAAAAAAAAAAAAAAAAAAAwRh/8QAFQEBAQAAAAAAAAAAAAAAAAAAAAL/xAAXEQADAQAAAAAAAAAAAAAAAAAA'
    'AwQx/9oADAMBAAIRAxEAPwCKmTCgmTB6ZMHpkwplAirw/9k=')
PICTURE = 'examples/pictures/noto/red-apple.png'
OTHER = 'examples/pictures/noto/lemon.png'


def binary(path):
    with open(path, 'rb') as f:
        return f.read()


def missing():
    """What it takes to build the module and is not here, or None."""
    for command in ('node', 'npm', 'dpkg-source', 'apt-get'):
        if not shutil.which(command):
            return f'no {command} on this machine'
    status, out = run(['bindings/web/build.py', '--fetch'], timeout=900)
    return None if status == 0 else 'it cannot be built here: ' + last_line(out)


def is_built():
    status, out = run(['bindings/web/build.py', '--tests'], timeout=900)
    ok(status == 0, 'bindings/web is built', last_line(out))
    return status == 0


# ---- Node ----
TEXT = ('text.safetensors', 'text.json', 'meaning')
PICTURES = ('picture.safetensors', 'picture.json')
CODE = ('code.safetensors', 'code.json')


def weights(*names):
    """A folder with some of the shipped weights, and so without a writer. It goes with the object.

    Hard links: behind a symbolic one the native extension finds what lies beside the file.
    """
    folder = tempfile.TemporaryDirectory(dir=WORK)
    for name in names:
        for path in [f'model/{name}', *glob.glob(f'model/{name}/**', recursive=True)]:
            target = f'{folder.name}/{path[len("model/"):]}'
            if os.path.isfile(path):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                if not os.path.exists(target):
                    os.link(path, target)
    return folder


def blob(value):
    return {'base64': base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def in_node(module, model, statements, kernel=None):
    jobs = {'module': f'{WEB}/{module}', 'model': model, 'kernel': kernel,
            'statements': [[sql, [blob(p) for p in params]] for sql, *params in statements]}
    with tempfile.NamedTemporaryFile('w') as f:
        json.dump(jobs, f)
        f.flush()
        node = RELAXED if module == 'latent.wasm' else ['node', '--no-warnings']
        status, out = run(['sh', '-c', f'{" ".join(node)} tests/checks/web.js < {f.name}'])
    if status != 0:
        raise RuntimeError(out[-2000:])
    return json.loads(out.strip().splitlines()[-1])


def natively(model, statements):
    """What build/latent.so gives, and each one's milliseconds of processor time."""
    os.environ['LATENT_MODEL'] = f'{model}/text.safetensors'
    os.environ['LATENT_THREADS'] = '1'
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension('build/latent')
    results = []
    for sql, *params in statements:
        began = time.process_time()
        try:
            rows = [[blob(v) for v in row] for row in db.execute(sql, params)]
            results.append({'rows': rows, 'ms': 1000*(time.process_time() - began)})
        except sqlite3.Error as e:
            results.append({'error': str(e)})
    db.close()
    return results


def questions():
    """Statements whose results say whether the bits are the same."""
    png, other = binary(PICTURE), binary(OTHER)
    return [
        ('SELECT latent_encode(?)', A), ('SELECT latent_encode(?)', B),
        ('SELECT latent_interp(?, ?, 0.5)', A, B),
        ('SELECT t, content, latent FROM latent_path(?, ?, 3)', A, B),
        ('SELECT latent_encode(?)', 'Zwölf Boxkämpfer: 图书馆. It rained. We stayed at home.'),
        ('SELECT latent_embed(?)', 'a quiet place by the sea'),
        ('CREATE VIRTUAL TABLE t USING latent(body, words=1)',),
        ("INSERT INTO t(body) VALUES ('A dog runs.'), ('It is warm.'), ('The sea is calm.')",),
        ('SELECT body, distance FROM t(?)', 'The dog is running.'),
        ('SELECT name, hex(latent) FROM t, (SELECT 1 AS name)',),
        ('SELECT latent_encode(?)', png), ('SELECT latent_decode(latent_encode(?))', png),
        ('SELECT latent_cross(?, ?)', png, other), ("SELECT latent_image('a red heart', 7)",),
        ('SELECT latent_encode(?)', JPEG),
        ("SELECT latent_valid('def f(x):\n  return x', 'python')",),
        ("SELECT latent_valid('def f(x:\n  return x', 'python')",),
        ('SELECT latent_encode(?)', png[:len(png)//2]), ('SELECT latent_encode(?)', JPEG[:300]),
        ("SELECT latent_interp('def f(x):\n  return x', 'print(1)', 0.5, '{\"kind\":\"code\"}')",),
        ('SELECT latent_interp(1)',),
    ]


def same(statements, native, web):
    """Where the two differ: a text, or ''."""
    for (sql, *_), n, w in zip(statements, native, web['results']):
        if w.get('trapped') or n.get('error') != w.get('error') or n.get('rows') != w.get('rows'):
            return f'{sql}\nnative: {str(n)[:300]}\nweb:    {str(w)[:300]}'
    return ''


def same_bits():
    statements = questions()
    with weights(*TEXT, *PICTURES, *CODE) as folder:
        native = natively(folder, statements)
        for module, kernel in (('latent-base.wasm', 'wasm'), ('latent.wasm', 'wasm_relaxed')):
            web = in_node(module, folder, statements)
            found = f'{web["kernel"]}\n' if web['kernel'] != kernel else ''
            found += same(statements, native, web)
            ok(not found, f'{module}, code {kernel}: {len(statements)} statements give the bytes '
               'of the native extension', found)


def writer():
    statements = [('SELECT latent_interp(?, ?, 0.5)', A, B),
                  ('SELECT latent_complete(?)', 'The recipe is simple: mix flour, eggs and')]
    native = natively('model', statements)
    found = same(statements, native, in_node('latent.wasm', 'model', statements))
    ok(not found, 'the writer writes the same', found)


def kernels():
    for module in ('test_kernels-base.wasm', 'test_kernels.wasm'):
        program = f"""
            const wasi = new (require('node:wasi').WASI)({{version: 'preview1'}});
            const file = require('fs').readFileSync('build/web-work/{module}');
            const instance = new WebAssembly.Instance(new WebAssembly.Module(file),
              wasi.getImportObject());
            process.exit(wasi.start(instance));"""
        status, out = run([*RELAXED, '-e', program])
        good = status == 0 and 'not ok' not in out
        code = 'wasm_relaxed' if module == 'test_kernels.wasm' else 'wasm'
        ok(good and f'{code}: all kernels give the bits' in out and f'uses {code}\n' in out,
           f'{module}: the kernels give the bits that they give on every machine', out)


def damaged():
    """PNG and JPEG with bytes cut off or changed: an error or a picture, never a trap."""
    png = binary(PICTURE)
    statements = []
    for file in (png, JPEG):
        for i in range(0, len(file), len(file)//60):
            changed = bytearray(file)
            changed[i] ^= 0x55
            statements += [('SELECT length(latent_decode(?))', bytes(changed))]
            statements += [('SELECT length(latent_decode(?))', file[:i])]
    statements = [('SELECT length(latent_encode(?))', s[1]) for s in statements]
    tiny = 'tests/data'
    web = in_node('latent.wasm', tiny, [*statements, ('SELECT length(latent_encode(?))', png)])
    trapped = [w['error'] for w in web['results'] if w.get('trapped')]
    errors = sum('error' in w for w in web['results'])
    ok(not trapped and len(statements)/4 < errors < len(statements)
       and web['results'][-1].get('rows'),
       f'{len(statements)} damaged pictures: {errors} errors, no trap', '\n'.join(trapped[:3]))


FMA = """
import('./build/web/engine.js').then(async ({Engine}) => {
  const fs = require('fs'), N = 40000;
  const e = await Engine.create(new WebAssembly.Module(fs.readFileSync('build/web/latent.wasm')));
  let seed = 1;
  const bits = n => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> (32 - n);
  const at = e.allocate(16*N), f = (i) => new Float32Array(e.c.memory.buffer, at + 4*i*N, N);
  const power = () => 2**(bits(5) - 16), odd = n => (bits(n) | 1) * (bits(1) ? 1 : -1);
  for (let i = 0; i < N; i++) {         // sums near the middle of two floats, and tiny ones
    const small = i % 4 === 0 ? 2**-60 : 1;
    f(1)[i] = odd(12) * power() * small;
    f(2)[i] = odd(13) * power() * small;
    f(3)[i] = f(1)[i]*f(2)[i] * odd(24) * 2**(bits(6) - 44);
    if (i % 2 === 0) continue;
    f(1)[i] = 2**23 + bits(23);
    f(2)[i] = Math.round(2**47 / f(1)[i]);      // the product is half a unit of f(3), nearly
    f(3)[i] = (2**23 + bits(22)) * 2**48;
  }
  const found = {};
  for (const name of ['plain', 'wasm', 'wasm_relaxed']) {
    if (!e.withText(name, p => e.c.web_choose_kernel(p))) throw Error(name);
    e.c.web_fma(at, at + 4*N, at + 8*N, at + 12*N, N);
    found[name] = Buffer.from(e.bytes(at, 4*N)).toString('hex');
  }
  const twice = Array.from(f(1), (a, i) => Math.fround(a*f(2)[i] + f(3)[i]));
  const once = Array.from(f(0));
  console.log(found.plain === found.wasm, found.wasm === found.wasm_relaxed,
    twice.filter((x, i) => !Object.is(x, once[i])).length > 0);
});
"""


def fused():
    """The multiply-add of all three codes, where two roundings are another number than one."""
    status, out = run([*RELAXED, '-e', FMA])
    ok(status == 0 and out.strip() == 'true true true',
       'fused multiply-add: 40,000 hard cases, the same by libc, by doubles and by the CPU',
       out)


def values():
    """What goes in comes out; errors say what was expected."""
    echo = 'SELECT ?1, ?2, ?3, ?4, ?5, typeof(?1), typeof(?3)'
    sent = [1, 2.5, None, 'ä\0b', b'\0\xff']
    web = in_node('latent-base.wasm', 'tests/data',
                  [(echo, *sent), ('SELECT ?1, ?2', 1), ('SELEC',),
                  ("SELECT 1; SELECT 'two' AS x; ",), ('SELECT 9007199254740993, -3',)])
    web = web['results']
    ok(web[0].get('rows') == [[*map(blob, sent), 'integer', 'null']], 'values of all types',
       str(web[0]))
    ok('no value for the parameter ?2' in web[1].get('error', ''), 'a missing value', str(web[1]))
    ok('near "SELEC"' in web[2].get('error', ''), 'a wrong statement', str(web[2]))
    ok(web[3].get('rows') == [['two']], 'the last of several statements', str(web[3]))
    ok(web[4].get('rows') == [[{'bigint': '9007199254740993'}, -3]],
       'whole numbers beyond 2^53 are bigint', str(web[4]))


STOP = f"""
import('./build/web/engine.js').then(async ({{Engine}}) => {{
  const fs = require('fs');
  const e = await Engine.create(new WebAssembly.Module(fs.readFileSync('build/web/latent.wasm')));
  for (const name of fs.readdirSync('tests/data', {{recursive: true}})) {{
    if (/\\.(json|safetensors|txt)$/.test(name)) {{
      e.file(`/model/${{name}}`, fs.readFileSync(`tests/data/${{name}}`));
    }}
  }}
  const db = e.open();
  db.exec('CREATE TABLE t(x)');
  const attempt = sql => {{
    try {{
      return db.exec(sql);
    }} catch (error) {{
      return [error.name, error.message, error.code];
    }}
  }};
  const endless = '{ENDLESS}';
  const path = "SELECT count(*) AS n FROM latent_path('It is warm.', 'It is cold.', 64)";
  const said = [];
  for (const sql of [endless, `INSERT INTO t ${{endless}}`, path]) {{
    let asked = 0;
    e.stop = () => ++asked >= 3;
    said.push([...attempt(sql), asked]);
    e.stop = () => false;
  }}
  said.push(attempt(path), attempt('SELECT count(*) AS n FROM t'));
  console.log(JSON.stringify(said));
}});
"""


def stopped():
    """engine.stop ends a statement of SQL alone, one that writes, and one that computes."""
    status, out = run([*RELAXED, '-e', STOP])
    interrupted = ['LatentError', 'interrupted', 9, 3]
    expected = [interrupted] * 3 + [[{'n': 64}], [{'n': 0}]]
    ok(status == 0 and json.loads(out) == expected, 'engine.stop ends a statement', out)


# ---- The browser ----
class Served(http.server.SimpleHTTPRequestHandler):
    """build/web; `asked` are the paths that were asked for; policy: what a page may connect to."""
    asked = []
    policy = ''

    def end_headers(self):
        if self.policy:
            self.send_header('Content-Security-Policy', f'connect-src {self.policy}')
        super().end_headers()

    def log_message(self, *_):
        self.asked.append(self.path)


def serve():
    server = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(Served, directory=WEB))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def page(width, height, work, dark=False):
    """Calls work(browser, address)."""
    server = serve()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        b = Browser(folder, width, height, dark)
        try:
            work(b, f'http://127.0.0.1:{server.server_port}/')
        finally:
            b.end()
            server.shutdown()


def browser():
    if '--node' in sys.argv:
        return
    if not shutil.which('chromium'):
        skip('bindings/web in a browser', 'no chromium on this machine (Debian: chromium)')
        return
    page(1320, 1000, used)
    Served.policy = "'self'"
    page(1320, 1000, forbidden)


def text(selector):
    return f"document.querySelector('{selector}').textContent"


def used(b, address):
    """What a user does, with mouse and keys."""
    with weights(*TEXT) as folder:
        between, = natively(folder, [('SELECT latent_interp(?, ?, 0.5)', A, B)])[0]['rows'][0]
        way = natively(folder, [('SELECT content FROM latent_path(?, ?, 9)', A, B)])[0]['rows']
    ok(b.open(address, 'window.latent && latent.first'), 'the page writes what lies between',
       b.value(text('#said')))
    first = b.value('latent.first.text')
    ok(first == between, 'it is what the native extension writes', difference(between, first))
    ok(b.wait('latent.way'), 'and the way there', b.value(text('#said')))
    shown = b.value("[...document.querySelectorAll('#way li span')].map(e => e.textContent)")
    expected = [c for i, (c,) in enumerate(way) if i == 0 or way[i-1][0] != c]
    ok(shown == expected, 'the way is the native one', f'{shown}\n{expected}')
    b.value("(t => { t.value = 0; t.dispatchEvent(new Event('input')); })"
            "(document.querySelector('#t'))")
    ok(b.value(text('#middle')) == A, 't = 0 is the first sentence', b.value(text('#middle')))
    ok(b.wait('latent.all') and b.value(text('#found li:first-child span'))
       == 'I love the smell of the sea in the morning.', 'search in the table',
       b.value(text('#found')))
    for n in (0, 3):
        b.click('#wall .tile', n)
    b.click('#breed')
    ok(b.wait("document.querySelectorAll('#children img').length === 5")
       and b.wait("/Children can/.test(document.querySelector('#pictures-said').textContent)"),
       'two pictures have five children', b.value(text('#pictures-said')))
    width = "[...document.querySelectorAll('#children img')].every(i => i.naturalWidth === 64)"
    ok(b.wait(width), 'which are pictures of 64 pixels')
    said = b.value("""latent.db.exec('SELECT latent_encode(?)',
        [new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, 0])]).catch(e => e.message)""")
    ok(said.startswith('latent_encode: argument 1 is a broken PNG'), 'a broken picture is an error',
       said)
    counts = b.value("""(async () => {
        const count = async () =>
          (await latent.db.exec('SELECT count(*) AS n FROM pictures'))[0].n;
        const before = await count();
        await latent.db.read(await latent.db.bytes());
        return [before, await count()]; })()""")
    ok(counts[0] > 100 and counts[0] == counts[1], 'a database goes out and comes in', str(counts))
    interrupted(b)
    Served.asked.clear()
    ok(b.open(address, 'window.latent && latent.ready'), 'the page again', b.value(text('#said')))
    asked = [p for p in Served.asked if 'safetensors' in p]
    ok(not asked, 'takes the weights from the cache', str(asked))
    ok(b.value('document.documentElement.scrollWidth <= innerWidth'),
       'nothing is wider than the page')
    ok(not b.errors, 'the browser has no complaints', '\n'.join(b.errors))


def interrupted(b):
    """By latent.js, then by the button. What was there stays, and the next statements run."""
    endless = f"latent.db.exec('{ENDLESS}').catch(e => [e.message, e.code])"
    said = b.value(f"""(async () => {{
        const db = latent.db, long = "SELECT t FROM latent_path('{A}', '{B}', 64)";
        await db.exec('CREATE TABLE kept AS SELECT 1 AS x');
        const asked = Promise.all([{endless},
          db.exec('INSERT INTO kept {ENDLESS}').catch(e => [e.message, e.code]),
          db.exec(long).catch(e => [e.message, e.code])]);
        await new Promise(done => setTimeout(done, 600));
        const began = performance.now();
        db.interrupt();
        return [...await asked, await db.exec('SELECT sum(x) AS x FROM kept'),
          performance.now() - began]; }})()""")
    seconds = said.pop() / 1000
    ok(said == [['interrupted', 9]] * 3 + [[{'x': 1}]],
       'interrupt() ends what was asked, and undoes it; the rest stays', f'{said} {seconds} s')
    b.value(f"document.querySelector('#sql').value = '{ENDLESS}'")
    b.click('#run')
    ok(b.wait("!document.querySelector('#stop').disabled"), 'what is running can be stopped')
    b.click('#stop')
    ok(b.wait("/interrupted/.test(document.querySelector('#rows').textContent)")
       and b.value("document.querySelector('#stop').disabled"), 'the button stops it',
       b.value(text('#rows')))


def forbidden(b, address):
    """A policy without blob: then nothing is interrupted, and nothing by mistake."""
    ok(b.open(address, 'window.latent && latent.first'), 'a page with a policy',
       b.value(text('#said')))
    said = b.value("""(() => {
        try {
          latent.db.interrupt();
        } catch (e) {
          return [latent.db.interruptible, e.message, document.querySelector('#stop').hidden];
        } })()""")
    ok(said and said[::2] == [False, True] and 'connect-src' in said[1],
       'where the policy is against it, there is no interrupt', str(said))


# ---- The picture and the figures ----
def screenshot(file):
    def draw(b, address):
        b.open(address, 'window.latent && latent.all')
        b.wait('latent.all')
        for n in (3, 9):
            b.click('#wall .tile', n)
        b.click('#breed')
        b.wait("/Children can/.test(document.querySelector('#pictures-said').textContent)")
        b.click('#imagine')
        b.wait("document.querySelector('#found .made')")
        b.value('scrollTo(0, 0)')
        b.screenshot(file, 0.8)
    page(1320, 960, draw)


def figures():
    for name in ('latent.wasm', 'latent-base.wasm'):
        data = binary(f'{WEB}/{name}')
        small = run(['sh', '-c', f'brotli -q 11 -c {WEB}/{name} | wc -c'])[1].strip()
        print(f'{name}: {len(data)/1e6:.2f} MB, gzip {len(gzip.compress(data, 9))/1e6:.2f}, '
              f'brotli {int(small)/1e6:.2f}')
    for part, files in json.loads(read(f'{WEB}/model/weights.json')).items():
        print(f"{part}: {sum(f['bytes'] for f in files)/1e6:.1f} MB")
    png = binary(PICTURE)
    statements = [('SELECT latent_encode(?)', 'Warm.'), ('SELECT latent_encode(?)', png)]
    statements += [('SELECT latent_encode(?)', f'{A} {i}') for i in range(5)]
    statements += [('SELECT latent_decode(latent_encode(?))', A)] * 5
    statements += [('SELECT latent_interp(?, ?, 0.5)', A, f'{B} {i}') for i in range(3)]
    statements += [('SELECT latent_encode(?)', png), ('SELECT latent_image(?, 7)', 'a red heart')]
    statements += [('SELECT latent_decode(latent_vary(latent_encode(?), 0.3, 1))', png)]
    with weights(*TEXT, *PICTURES) as folder:
        native = natively(folder, statements)
        of = {'native, 1 thread': native}
        for module in ('latent.wasm', 'latent-base.wasm'):
            web = in_node(module, folder, statements)
            print(f"{module}: {web['memory']/1e6:.0f} MB of memory with text and pictures")
            of[module] = web['results']
    for name, results in of.items():
        ms = [r['ms'] for r in results]
        print(f'{name}, processor time: encode {min(ms[2:7]):.0f} ms, '
              f'encode and decode {min(ms[7:12]):.0f}, interp {min(ms[12:15]):.0f}, '
              f'picture encode {ms[15]:.0f}, image {ms[16]:.0f}, '
              f'picture encode and decode {ms[17]:.0f}')

    def first(b, address):
        for what in ('first visit', 'second visit'):
            b.open('about:blank', '1')
            b.open(address, 'window.latent && latent.first')
            ready, ms = b.value('[latent.ready, latent.first.ms]')
            print(f'{what}: weights are there after {ready/1000:.1f} s, the first text after '
                  f'{ms/1000:.1f}')
    page(1320, 1000, first)


def alone():
    if '--screenshot' in sys.argv:
        screenshot(sys.argv[sys.argv.index('--screenshot') + 1])
    elif '--measure' in sys.argv:
        figures()
    else:
        return False
    return True


def everything():
    why = missing() if os.path.exists(SHIPPED) else 'no shipped weights'
    if why:
        skip('bindings/web', why)
        return
    if not is_built() or alone():
        return
    for check in (kernels, fused, values, damaged, stopped, same_bits, writer, browser):
        check()


if __name__ == '__main__':
    main(everything)
