#!/usr/bin/python3
"""bindings/datasette and bindings/sqlite-utils, installed from PyPI and from here.

    tests/checks/plugins.py                         with the tiny weights, as the tests run it
    tests/checks/plugins.py --screenshot FILE       the picture for the page, by the shipped ones
    tests/checks/plugins.py --times                 what pages take, by the shipped ones

Without a network it is skipped; without chromium, the browser alone.
"""
import asyncio
import html
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from artbreeder import Browser
from chains import EXTENSION, SOURCE, page_runs
from common import ROOT, TINY, WORK, last_line, main, ok, run, skip, steps, write

VENV = 'build/plugins'
PYTHON = f'{VENV}/bin/python'
FOLDER = f'{WORK}/plugins'
DB = f'{FOLDER}/notes.db'
NASTY = '<script>alert("x")</script> & \'quotes\''


def get_packages():
    """Gives why they are missing, or None."""
    if (not os.path.exists(PYTHON)
            or run([PYTHON, '-c', 'import datasette, sqlite_utils'])[0] != 0):
        why = steps((['/usr/bin/python3', '-m', 'venv', VENV],
                     [f'{VENV}/bin/pip', 'install', '-q', '--no-compile', 'setuptools>=75',
                      'datasette<1', 'sqlite-utils']), timeout=600)
        if why:
            return why
    for name in ('datasette', 'sqlite-utils'):      # sqlite-latent, not on PyPI, is in SOURCE
        copy = f'{FOLDER}/{name}'                   # pip leaves files where it builds
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(f'bindings/{name}', copy)
        status, out = run([f'{VENV}/bin/pip', 'install', '-q', '--no-deps',
                           '--no-build-isolation', '--force-reinstall', copy])
        ok(status == 0, f'bindings/{name} is installed', out[-1000:])
    return None


# ---- The database ----
def make_db():
    """Notes (one of them nasty), pictures, vectors, partitions, a table with an odd name."""
    os.makedirs(FOLDER, exist_ok=True)
    if os.path.exists(DB):
        os.remove(DB)
    conn = sqlite3.connect(DB)
    conn.enable_load_extension(True)
    conn.load_extension(EXTENSION[:-3])
    with open('sql/notes.sql', encoding='utf8') as f:
        conn.executescript(f.read())
    conn.executescript('''
        CREATE VIRTUAL TABLE notes_latent USING latent(body, mood TEXT filter,
          content='notes', content_rowid='id', words=1);
        CREATE TABLE pictures(id INTEGER PRIMARY KEY, name TEXT, png BLOB);
        CREATE VIRTUAL TABLE "odd.name/""x"" y" USING latent("the body", 'at noon' REAL filter);
        CREATE VIRTUAL TABLE v USING latent(width=2);
        INSERT INTO v(rowid, latent) VALUES (1, '[1, 0]'), (2, '[0, 1]'), (3, '[1, 0.5]');
        CREATE VIEW calm AS SELECT id AS n, body FROM notes WHERE mood = 'calm';
        CREATE VIRTUAL TABLE calm_latent USING latent(body, content='calm', content_rowid='n',
          triggers=0);
        INSERT INTO calm_latent(calm_latent) VALUES ('sync');
        CREATE VIRTUAL TABLE mail USING latent(body, customer INTEGER partition);
        INSERT INTO mail VALUES ('The parcel is late.', 1), ('Where is my order?', 2);
    ''')
    conn.execute('''INSERT INTO "odd.name/""x"" y" VALUES (?, 1.5), ('It is warm.', 2)''',
                 [NASTY])
    conn.execute('INSERT INTO notes VALUES (1000, ?, ?, ?)', [NASTY] * 3)
    for name in ('red-apple', 'lemon', 'automobile', 'owl'):
        with open(f'examples/pictures/noto/{name}.png', 'rb') as f:
            conn.execute('INSERT INTO pictures(name, png) VALUES (?, ?)', [name, f.read()])
    conn.execute("CREATE VIRTUAL TABLE pictures_latent USING latent(png, content='pictures', "
                 "content_rowid='id')")
    conn.commit()
    conn.close()


# ---- Datasette, in its own process: tests/checks/plugins.py --inside ----
class Site:
    def __init__(self, immutable=False, settings=None, **config):
        from datasette.app import Datasette
        files = {'immutables': [DB]} if immutable else {'files': [DB]}
        settings = {'sql_time_limit_ms': 60000, **(settings or {})}     # the machine may be busy
        self.datasette = Datasette(files.pop('files', []), **files, settings=settings,
                                   metadata={'plugins': {'datasette-latent': config}})

    async def get(self, path, **query):
        """(status, text or object)"""
        if not self.datasette._startup_invoked:
            await self.datasette.invoke_startup()
        response = await self.datasette.client.get(path, params=query or None,
                                                    follow_redirects=True)
        is_json = 'json' in response.headers['content-type']
        return response.status_code, response.json() if is_json else response.text


async def searches(site):
    status, page = await site.get('/-/latent/notes')
    ok(status == 200 and all(name in page for name in ('notes_latent', 'pictures_latent', 'mail')),
       'the latent tables of a database', page[:500])
    asked = {'q': 'The beach is empty in the early morning.'}
    status, got = await site.get('/-/latent/notes/notes_latent.json', **asked, n=5)
    distances = [item['distance'] for item in got['items']]
    ok(status == 200 and got['items'][0]['rowid'] == 1 and len(distances) == 5
       and distances[0] < 0.001, 'a search, as JSON', str(got)[:500])
    status, page = await site.get('/-/latent/notes/notes_latent', **asked)
    ok(status == 200 and asked['q'] in page and 'href="/notes/notes/1"' in page
       and 'latent-made' not in page and '_generate=1' in page,
       'a search, as a page: rows at once, the rest by another request', page[-3000:])
    status, got = await site.get('/-/latent/notes/notes_latent.json', q='a boat', n=200, by='words')
    ok(status == 400 and "n is '200', expected a whole number from 1 to 100" in got['error'],
       'n has a limit', str(got)[:300])
    status, got = await site.get('/-/latent/notes/notes_latent.json', q='boat', n=100, by='words')
    ok(status == 200 and 0 < len(got['items']) < 20, 'by words', str(got)[:300])
    status, got = await site.get('/-/latent/notes/notes_latent.json', q='the sea', where_mood='low')
    ok(status == 200 and got['items'] and all(item['mood'] == 'low' for item in got['items']),
       'a filter', str(got)[:300])
    status, got = await site.get('/-/latent/notes/notes_latent.json', row=14, n=2, by='meaning')
    ok(status == 200 and got['items'][0]['rowid'] == 14, 'what is near to a row', str(got)[:300])


async def other_tables(site):
    status, got = await site.get('/-/latent/notes/v.json', row=1)
    ok(status == 200 and [i['rowid'] for i in got['items']] == [1, 3, 2],
       'vectors: what is near to a row', str(got)[:300])
    status, got = await site.get('/-/latent/notes/v.json', q='x')
    ok(status == 400 and 'vectors of another model' in got['error'], 'vectors: no text', str(got))
    status, got = await site.get('/-/latent/notes/mail.json', q='late')
    ok(status == 400 and 'say which' in got['error'], 'a partition has to be named', str(got)[:300])
    status, got = await site.get('/-/latent/notes/mail.json', q='late', where_customer=1)
    ok(status == 200 and [i['customer'] for i in got['items']] == [1], 'and is', str(got)[:300])
    from datasette.utils import tilde_encode
    odd = '/-/latent/notes/' + tilde_encode('odd.name/"x" y')
    status, got = await site.get(odd + '.json', q='warm', **{'where_at noon': '2.0'})
    ok(status == 200 and [i['the body'] for i in got['items']] == ['It is warm.'],
       'an odd name', str(got)[:300])
    status, page = await site.get(odd, q='warm')
    link = re.search(r'<a href="(/notes/[^"]+)">row 2</a>', page)
    status = link and (await site.get(html.unescape(link[1])))[0]
    ok(status == 200, 'and the page of its row', str(link))
    status, page = await site.get('/-/latent/notes/calm_latent', row=2, n=1)
    link = re.search(r'<a href="([^"]+)">row 2</a>,', page) or ['', page[-2000:]]
    status, page = await site.get(html.unescape(link[1])) if link[0] else (0, '')
    ok(status == 200 and link[1] == '/notes/calm?n__exact=2' and 'A small boat waits' in page,
       'a row of a view, which has no page, is found by its column', f'{link[1]} {page[:300]}')
    status, page = await site.get('/-/latent/notes/pictures_latent', q='a car')
    ok(page.count('src="data:image/png;base64,') == 4, 'pictures are shown', page[:500])


async def generated(site):
    asked = {'q': 'My sister is in the garden.', '_generate': 1, 'missing': 4}
    status, got = await site.get('/-/latent/notes/notes_latent.json', **asked)
    made = [item for item in got['items'] if item.get('generated')]
    rows = {item['rowid'] for item in got['items'] if 'rowid' in item}
    ok(status == 200 and made and len(rows) == 10 and all(len(i['parents']) > 1 for i in made),
       'what is missing between the rows', str(got)[:800])
    status, page = await site.get('/-/latent/notes/notes_latent', **asked)
    ok(status == 200 and page.count('no row, generated') == len(made), 'it is marked', page[-3000:])
    status, page = await site.get('/-/latent/notes/pictures_latent', q='a car', _generate=1)
    ok(status == 200 and page.count('src="data:image/png;base64,') >= 4 and 'not shown' not in page,
       'pictures, too', page[-3000:])
    status, got = await site.get('/-/latent/notes/notes_latent/path.json', **{'from': 1, 'to': 121})
    contents = [item['content'] for item in got['items']]
    ok(status == 200 and len(contents) >= 2 and all(a != b for a, b in zip(contents, contents[1:])),
       'a path between rows', str(got)[:500])
    status, page = await site.get('/-/latent/notes/notes_latent/path',
                                  from_text='It is warm.', to_text=NASTY)
    ok(status == 200 and 't = 0.00' in page and 't = 1.00' in page and '<script>alert' not in page,
       'a path between texts', page[-2000:])
    status, page = await site.get('/-/latent/notes/pictures_latent/path',
                                  **{'from': 1, 'to': 2, 'n': 5})
    ok(page.count('src="data:image/png;base64,') >= 4 and page.count('as it was given') == 0
       and page.count('stands next to it') == 2, 'a path of pictures, between the two as they are',
       page[-500:])


async def shown_in_datasette(site):
    status, page = await site.get('/notes/pictures')
    ok(page.count('<img src="data:image/png;base64,') == 4, "Datasette's tables show pictures")
    ok('/-/latent/notes/pictures_latent' in page, 'and lead to the search of them')
    status, page = await site.get('/notes/notes_latent')
    ok(status == 200 and '/-/latent/notes/notes_latent' in page, 'a latent table is a table')
    status, page = await site.get('/notes')
    ok('/-/latent/notes' in page, 'the page of the database leads there')
    status, got = await site.get('/notes.json', sql="SELECT latent_distance('a', 'a') < 1e-5 AS d",
                                 _shape='array')
    ok(got == [{'d': 1}], 'SQL has the functions', str(got))
    for call in ("latent_load('/etc/passwd')", 'latent_info()'):
        status, got = await site.get('/notes.json', sql=f'SELECT {call}')
        ok('switched off in Datasette' in str(got['rows']), f'but for {call}', str(got))


async def escaped(site):
    for path, query in (('notes_latent', {'q': NASTY}), ('notes_latent', {'row': 1000}),
                        ('notes_latent', {'q': NASTY, 'n': NASTY}),
                        ('notes_latent', {'q': 'a', 'by': NASTY}),
                        ('notes_latent', {'q': NASTY, 'where_mood': NASTY, '_generate': '1'}),
                        ('notes_latent/path', {'from': NASTY, 'to': 1}),
                        ('notes_latent/path', {'from': 1000, 'to': 1, 'n': 3}),
                        ('odd~2Ename~2F~22x~22+y', {'q': NASTY, 'where_at noon': NASTY})):
        status, page = await site.get(f'/-/latent/notes/{path}', **query)
        ok(status in (200, 400) and '<script>alert' not in page,
           f'{path} {sorted(query)}: nothing of it is HTML', f'{status}\n{page[-2000:]}')


BAD = (
    ('/-/latent/nothing', {}, 404, 'There is no database'),
    ('/-/latent/notes/notes', {'q': 'x'}, 404, 'no latent table'),
    ('/-/latent/notes/notes_latent', {'row': 'x'}, 400, 'expected a whole number'),
    ('/-/latent/notes/notes_latent', {'row': '99999999999999999999'}, 400, 'a whole number'),
    ('/-/latent/notes/notes_latent', {'row': 77777}, 400, 'has no row 77777'),
    ('/-/latent/notes/notes_latent', {'q': 'x' * 2001}, 400, '2,000 is the most'),
    ('/-/latent/notes/notes_latent', {'q': 'x', 'by': 'magic'}, 400, 'expected both, meaning'),
    ('/-/latent/notes/mail', {'q': 'x', 'where_customer': 'x'}, 400, 'expected a number'),
    ('/-/latent/notes/mail', {'q': 'x', 'where_customer': '9' * 30}, 400, 'too large'),
    ('/-/latent/notes/notes_latent/path', {'from': 1}, 400, 'to is missing'),
    ('/-/latent/notes/notes_latent/path', {'from': 1, 'to': 2, 'n': 99}, 400, 'from 2 to 15'),
    ('/-/latent/notes/v/path', {'from': 1, 'to': 2}, 400, 'say nothing'),
)


async def refused(site):
    for path, query, expected, why in BAD:
        status, page = await site.get(path, **query)
        ok(status == expected and why in html.unescape(page),
           f'{path} {str(query)[:40]}: {expected}, and why', f'{status}\n{page[-2500:]}')


async def limits():
    site = Site(generate_ms=1)
    status, got = await site.get('/-/latent/notes/notes_latent.json', q='the sea', _generate=1)
    ok(status == 200 and len(got['items']) == 10 and 'generate_ms' in got['not_generated'],
       'too little time to generate: the rows are there, and it says how to give more',
       str(got)[:500])
    status, got = await site.get('/-/latent/notes/notes_latent/path.json', **{'from': 1, 'to': 9})
    ok(status == 400 and '1 ms' in got['error'] and 'generate_ms' in got['error'],
       'a path likewise', str(got))
    status, page = await Site(generate_ms=0).get('/-/latent/notes/notes_latent', q='a', _generate=1)
    ok(status == 200 and 'latent-made' not in page and '_generate=1"' not in page,
       'generate_ms 0: nothing is generated', page[-2000:])
    await crowd()
    site = Site(settings={'sql_time_limit_ms': 1})
    await site.datasette.invoke_startup()

    async def slow(*_):
        return '9' * 30000
    from datasette_latent import search
    content_of, search.content_of = search.content_of, slow
    status, got = await site.get('/-/latent/notes/notes_latent.json', row=1)
    search.content_of = content_of
    ok(status == 400 and 'sql_time_limit_ms 5' in got.get('error', ''),
       "Datasette's limit for the search: it says how to give more", str(got)[:300])


async def crowd():
    """Pages that want to generate while another one does wait, and not more than so many."""
    from datasette_latent.search import WAITING_MOST, turn_of
    site = Site(generate_ms=60000)
    await site.get('/-/latent/notes')
    n = WAITING_MOST + 4
    async with turn_of(site.datasette):
        pages = [asyncio.ensure_future(site.get('/-/latent/notes/notes_latent/path.json',
                                                from_text='a', to_text='b', n=2))
                 for _ in range(n)]
        for _ in range(600):
            if sum(page.done() for page in pages) == n - WAITING_MOST:
                break
            await asyncio.sleep(0.1)
    got = await asyncio.gather(*pages)
    refused = [body['error'] for status, body in got if status == 400]
    ok(len(refused) == n - WAITING_MOST and all('Try again later' in e for e in refused),
       f'of {n} pages {WAITING_MOST} wait while another one generates', str([s for s, _ in got]))


async def rights():
    from datasette.app import Datasette
    site, settings = Site(), {'sql_time_limit_ms': 60000}
    site.datasette = Datasette([DB], settings=settings,
                               metadata={'databases': {'notes': {'allow': False}}})
    got = [(await site.get(f'/-/latent/notes{path}'))[0] for path in ('', '/notes_latent', '/v')]
    ok(got == [403] * 3, 'who may not see the database may not search it', str(got))
    for closed in ('notes', 'notes_latent'):
        site = Site()
        site.datasette = Datasette([DB], settings=settings, metadata={'databases': {'notes': {
            'tables': {closed: {'allow': {'id': 'root'}}}}}})
        got = [(await site.get(f'/-/latent/notes/{path}', q='sea', **{'from': 1, 'to': 2}))[0]
               for path in ('notes_latent', 'notes_latent.json', 'notes_latent/path',
                            'pictures_latent')]
        listed = 'notes_latent' in (await site.get('/-/latent/notes'))[1]
        ok(got == [403, 403, 403, 200] and not listed,
           f'who may not see {closed} may not search it', f'{got} {listed}')


async def immutable():
    before = os.stat(DB).st_mtime_ns
    site = Site(immutable=True)
    status, got = await site.get('/-/latent/notes/notes_latent.json', q='the sea', _generate=1)
    ok(status == 200 and len(got['items']) >= 10 and not got['not_generated'],
       'an immutable database', str(got)[:500])
    ok(os.stat(DB).st_mtime_ns == before, 'nothing is written')


async def loading():
    from datasette.utils import StartupError
    from datasette_latent.loading import check
    path = os.environ.pop('LATENT_EXTENSION')
    for config, why in (({}, 'pip install sqlite-latent'),
                        ({'extension': '/nowhere/latent.so'}, 'cannot be loaded'),
                        ({'extention': path}, "no setting 'extention'")):
        try:
            check(Site(**config).datasette)
            ok(False, f'{config} is an error')
        except StartupError as e:
            ok(why in str(e), f'{config}: an error at the start that says why', str(e))
    status, got = await Site(extension=path).get('/-/latent/notes/notes_latent.json', q='sea')
    ok(status == 200, 'the setting says where the extension is', str(got)[:300])
    os.environ['LATENT_EXTENSION'] = path


async def inside():
    site = Site(generate_ms=60000)
    for part in (searches, other_tables, generated, shown_in_datasette, escaped, refused):
        await part(site)
    for part in (limits, rights, immutable, loading):
        await part()


async def times():
    """Prints, in PYTHON, what the pages take: seconds, and seconds of processor time."""
    searched, way = '/-/latent/notes/notes_latent', {'from': 1, 'to': 121, 'n': 7}
    asked = {'q': 'My sister is reading a book in the garden.'}
    for decoder in (None, 'exact'):
        site = Site(decoder=decoder, generate_ms=600000)
        await site.datasette.invoke_startup()
        for name, path, query in (
                ('the first search', searched, asked), ('a search', searched, asked),
                ('what is missing, first', searched, {**asked, '_generate': 1}),
                ('what is missing', searched, {**asked, '_generate': 1}),
                ('a path of 7 points', searched + '/path', way),
                ('pictures that are missing', '/-/latent/notes/pictures_latent',
                 {'q': 'a car on the road', '_generate': 1})):
            start, busy = time.monotonic(), time.process_time()
            status = (await site.get(path, **query))[0]
            print(f'decoder {decoder}, {name}: status {status}, {time.monotonic() - start:.2f} s, '
                  f'{time.process_time() - busy:.2f} s of processor time', flush=True)


# ---- sqlite-utils ----
def sqlite_utils():
    db = f'{FOLDER}/utils.db'
    if os.path.exists(db):
        os.remove(db)
    conn = sqlite3.connect(db)
    conn.executescript("CREATE TABLE log(id INTEGER PRIMARY KEY, body TEXT, year INT);"
                       "INSERT INTO log(body, year) VALUES ('It is warm.', 2000), "
                       "('A man rides a horse.', 2001), ('It is cold in the garden.', 2001);")
    conn.close()

    def tool(*arguments, extension=EXTENSION):
        return run([f'{VENV}/bin/sqlite-utils', *arguments], LATENT_MODEL=os.path.abspath(TINY),
                   **(SOURCE | {'LATENT_EXTENSION': extension}))

    for name, arguments, expected in (
            ('latent-search before there is a table', ('latent-search', db, 'log', 'x'),
             'there is no latent table log or log_latent'),
            ('a column that is not there', ('latent-index', db, 'log', 'text'),
             'log has no column text; it has id, body, year'),
            ('latent-index', ('latent-index', db, 'log', 'body', '--filter', 'year'),
             'log_latent: 3 rows'),
            ('latent-index again', ('latent-index', db, 'log', 'body'), 'already exists'),
            ('latent-index --replace', ('latent-index', db, 'log', 'body', '--filter', 'year',
                                        '--replace', '--words'), 'log_latent: 3 rows'),
            ('latent-search', ('latent-search', db, 'log', 'It is warm.', '--nl', '-n', '1'),
             '"body": "It is warm."'),
            ('latent-search --where', ('latent-search', db, 'log', 'It is warm.', '--csv', '-n',
                                       '1', '--where', 'year > 2000'), 'rowid,distance,body'),
            ('latent-missing', ('latent-missing', db, 'log', 'a horse', '-n', '2', '-t'),
             'parents'),
            ('latent-between texts', ('latent-between', db, 'It is warm.', 'It rains.'),
             '"t": 1.0'),
            ('latent-between rows', ('latent-between', db, '1', '2', '--of', 'log'), '"t": 1.0'),
            ('a row that is not there', ('latent-between', db, '1', '9', '--of', 'log'),
             'log_latent has no row 9'),
            ('functions in query', ('query', db, "SELECT latent_valid('1') AS v"), '"v": 1')):
        out = tool(*arguments)[1]
        ok(expected in out, name, out[-600:])
    out = tool('latent-search', db, 'log', 'x', extension='/nowhere/latent.so')[1]
    ok('latent cannot be loaded' in out, 'an extension that is not there', out)
    status, out = tool('tables', db, extension='/nowhere/latent.so')
    ok(status == 0 and '"log"' in out, 'does not keep sqlite-utils from other work', out)


# ---- The browser ----
def served(db, model, folder):
    """Datasette on a free port: (process, address)."""
    env = {k: v for k, v in os.environ.items() if not k.startswith('LATENT_')}
    env |= SOURCE
    if model:
        env['LATENT_MODEL'] = os.path.abspath(model)
    write(f'{folder}/metadata.json',
          json.dumps({'plugins': {'datasette-latent': {'generate_ms': 60000}}}))
    process = subprocess.Popen([f'{VENV}/bin/datasette', 'serve', db, '--port', '0', '--metadata',
                                f'{folder}/metadata.json', '--setting', 'sql_time_limit_ms',
                                '60000'],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    for line in process.stdout:
        if m := re.search(r'running on (http://127\.0\.0\.1:\d+)', line):
            return process, m[1]
    raise RuntimeError('datasette ended')


def browser(file=None):
    """file: where the picture of the page goes; then the shipped weights are asked."""
    if not shutil.which('chromium'):
        return skip('datasette in a browser', 'no chromium on this machine (Debian: chromium)')
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process, site = served(DB, None if file else TINY, folder)
        b = Browser(folder, 900, 880)
        try:
            b.tell('Page.navigate', url=f'{site}/-/latent/notes/notes_latent?q=My+sister+is+'
                                        'reading+a+book+in+the+garden.&n=6')
            ok(b.wait("document.querySelectorAll('.latent-list li').length >= 6"), 'rows are shown')
            ok(b.wait("document.querySelectorAll('.latent-made').length > 0"),
               'what is missing comes by itself', b.value('document.body.innerText'))
            if file:
                b.screenshot(file, 1)
            b.click('input[name=from]', 0)
            b.click('input[name=to]', 3)
            b.click('form:has(.latent-list) > button')
            ok(b.wait("location.pathname.endsWith('/path') && "
                      "document.querySelectorAll('.latent-list li').length >= 2"),
               'two clicks, and the way from one to the other', b.value('document.body.innerText'))
            ok(not b.errors, 'the browser has no complaints', '\n'.join(b.errors))
        finally:
            b.end()
            process.send_signal(signal.SIGINT)
            process.wait(60)


def plugins():
    why = get_packages()
    if why:
        return skip('datasette-latent and sqlite-utils-latent', why)
    make_db()
    status, out = run([PYTHON, __file__, '--inside'], LATENT_MODEL=os.path.abspath(TINY), **SOURCE)
    print(out, end='', flush=True)
    if status != 0 and 'not ok - ' not in out:
        ok(False, 'the tests of datasette run', last_line(out))
    sqlite_utils()
    page_runs('bindings/sqlite-utils/README.md', 'env',
              f'PATH={os.path.abspath(VENV)}/bin:{os.environ["PATH"]}', 'sh')
    browser()


if __name__ == '__main__':
    if sys.argv[1:2] == ['--times'] and not sys.prefix.endswith(VENV):
        main(get_packages, make_db, lambda: print(run([PYTHON, __file__, '--times'],
                                                      **SOURCE)[1]))
    if sys.argv[1:2] == ['--times']:
        os.chdir(ROOT)
        sys.exit(asyncio.run(times()))
    os.environ.setdefault('LATENT_MODEL', os.path.join(ROOT, TINY))
    if sys.argv[1:2] == ['--inside']:
        main(lambda: asyncio.run(inside()))
    elif sys.argv[1:2] == ['--screenshot']:
        del os.environ['LATENT_MODEL']
        main(get_packages, make_db, lambda: browser(sys.argv[2]))
    else:
        main(plugins)
