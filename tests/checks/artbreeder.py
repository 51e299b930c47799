#!/usr/bin/python3
"""The page of examples/artbreeder: its requests, its garden, and the page itself in a browser.

    tests/checks/artbreeder.py                      with the tiny weights, as the tests run it
    tests/checks/artbreeder.py --requests           without the browser
    tests/checks/artbreeder.py --screenshot FILE    the picture for the README, by the shipped ones
"""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from browser import LONGEST, Browser
from common import TINY, main, ok, read, run, skip

PAGE = 'examples/artbreeder/artbreeder.py'


# ---- The server ----
class Server:
    """artbreeder.py on a free port, with the tiny weights or, model=None, the shipped ones."""

    def __init__(self, db, model=TINY):
        env = {k: v for k, v in os.environ.items() if not k.startswith('LATENT_')}
        if model:
            env['LATENT_MODEL'] = os.path.abspath(model)
        self.process = subprocess.Popen(['/usr/bin/python3', PAGE, '--db', db, '--port', '0'],
                                        stdout=subprocess.PIPE, text=True, env=env)
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if m := re.search(r'http://127\.0\.0\.1:(\d+)/', line):
                self.port = int(m[1])
                return
        raise RuntimeError(f'{PAGE} ended: {"".join(self.said)}')

    def ask(self, method, path, body=None, **headers):
        """(status, what came: an object, or bytes)."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=LONGEST)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault('Content-Type', 'application/json')
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        is_json = response.headers['Content-Type'] == 'application/json'
        return response.status, json.loads(data) if is_json else data

    def end(self):
        """Ctrl-C. Gives the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(LONGEST)


def child_of(*parents, **fields):
    return {'kind': 'picture', 'parents': list(parents), 'weights': [1] * len(parents), 'seed': 1,
            **fields}


def served(folder, name, model=TINY):
    return Server(os.path.join(folder, f'{name}.db'), model)


# ---- Requests ----
def requests():
    with tempfile.TemporaryDirectory() as folder:
        server = served(folder, 'garden')
        grown = garden_grows(server)
        bad_requests(server)
        ok(server.end() == 0, 'Ctrl-C ends it', f'exit status {server.process.returncode}')
        goes_on(folder, grown)


def garden_grows(server):
    """Gives what is known of the last child."""
    wall = server.ask('GET', '/api/wall?kind=picture')[1]
    found = server.ask('GET', '/api/wall?kind=picture&words=a+sad+cat')[1]
    ok(len(wall) == len(found) == 222 and {r['id'] for r in wall} == {r['id'] for r in found},
       'a search orders the same wall', f'{len(wall)}, {len(found)}')
    a, b, c = (r['id'] for r in wall[:3])
    status, first = server.ask('POST', '/api/breed', child_of(a, b, genes={'food': 0.5}, number=1,
                                                              wander=0.5, mutation=0.2))
    ok(status == 200 and first['generation'] == 1, 'two parents have a child', str(first)[:300])
    styled = child_of(first['id'], c, style=a, style_amount=0.5)
    second = server.ask('POST', '/api/breed', styled)[1]
    ok({r['id'] for r in second['family']} == {second['id'], first['id'], a, b, c}
       and {r['id']: r['depth'] for r in second['family']}[a] == 2,
       'its child knows its grandparents', str(second['family']))
    ok(server.ask('GET', f"/picture/{second['id']}")[1][:4] == b'\x89PNG', 'it is a picture')
    same = server.ask('POST', '/api/breed', styled)[1]
    ok(same['id'] == second['id'], 'the same recipe is the same row')
    for row in (first, second):
        ok(server.ask('POST', '/api/again', {'id': row['id']}) == (200, {'same': True}),
           f"generation {row['generation']} grows again, byte for byte")
    bone = {'kind': 'picture', 'words': "a dog's bone", 'seed': 3}
    drawn = server.ask('POST', '/api/plant', bone)
    ok(drawn[0] == 200 and drawn[1]['name'] == "a dog's bone", 'words are drawn', str(drawn)[:300])
    state = server.ask('POST', '/api/gene', {'kind': 'picture', 'words': "a '; quote"})[1]
    text = server.ask('POST', '/api/plant', {'kind': 'text', 'words': 'The sea is calm.'})[1]
    note = server.ask('GET', '/api/wall?kind=text&origin=example')[1][0]
    gene = server.ask('POST', '/api/breed', child_of(a, b, genes={"a '; quote": 1}))
    ok(gene[0] == 200 and "a '; quote" in [g['name'] for g in state['genes']],
       'words become a gene', str(gene)[:300])
    said = server.ask('POST', '/api/breed', child_of(text['id'], note['id'], kind='text'))
    ok(said[0] == 200 and isinstance(said[1]['text'], str), 'sentences have children',
       str(said)[:300])
    none = server.ask('POST', '/api/breed', child_of(a, b, weights=[1, 0]))
    ok(none[0] == 200 and none[1]['recipe']['weights'] == [1, 0], 'a share may be 0',
       str(none)[:300])
    return second


def goes_on(folder, grown):
    """The garden is a file: with it one goes on, in another process, and in the shell."""
    file = f"{grown['id']}.png"
    sql = grown['sql'].replace(f"'{file}'", f"'{folder}/{file}'")
    status, out = run(['sqlite3', '-batch', f'{folder}/garden.db', '.load build/latent', sql,
                       f"SELECT readfile('{folder}/{file}') = content FROM garden "
                       f"WHERE id = {grown['id']}"], LATENT_MODEL=os.path.abspath(TINY))
    ok(out.endswith('\n1\n'), 'the SQL that is shown makes the child in the sqlite3 shell', out)
    server = served(folder, 'garden')
    ok(server.ask('GET', f"/api/about?id={grown['id']}")[1] == grown, 'another process goes on')
    server.end()
    server = served(folder, 'garden', other_weights(folder))
    status, why = server.ask('POST', '/api/again', {'id': grown['id']})
    ok(status == 400 and b'was made by the weights' in why, 'after other weights a recipe is old',
       str(why))
    status, child = server.ask('POST', '/api/breed', child_of(grown['id'], 1, mutation=0.1))
    ok(status == 200 and child['generation'] == grown['generation'] + 1,
       'after other weights all rows are parents still', str(child)[:300])
    server.end()


def other_weights(folder):
    """The tiny ones, the same in everything except their fingerprints."""
    for kind in ('text', 'picture'):
        shutil.copy(f'tests/data/{kind}.safetensors', folder)
        with open(f'{folder}/{kind}.json', 'w') as f:
            f.write(read(f'tests/data/{kind}.json') + '\n')
    os.symlink(os.path.abspath('tests/data/bert'), f'{folder}/meaning')
    return f'{folder}/text.safetensors'


BAD = (
    ('GET', '/api/wall', None, "'kind' is missing"),
    ('GET', '/api/wall?kind=music', None, 'expected one of picture, text'),
    ('GET', '/api/wall?kind=picture&words=' + 'x' * 300, None, 'expected a text'),
    ('GET', '/api/about?id=0', None, 'expected a whole number'),
    ('GET', '/api/about?id=99999', None, 'the garden has no row 99999'),
    ('GET', '/api/about?id=1&x=1', None, "is no field"),
    ('GET', '/picture/99999', None, 'the garden has no row'),
    ('POST', '/api/breed', [], 'expected an object'),
    ('POST', '/api/breed', b'{', 'is no JSON'),
    ('POST', '/api/breed', b'[' * 60000, 'is no JSON'),
    ('POST', '/api/breed', child_of(), 'expected a list of 1 to 8 rows'),
    ('POST', '/api/breed', child_of(1, 1), 'has a row twice'),
    ('POST', '/api/breed', child_of(1, 99999), 'the garden has no row 99999'),
    ('POST', '/api/breed', child_of(*range(1, 10)), 'expected a list of 1 to 8 rows'),
    ('POST', '/api/breed', child_of(1, 2, weights=[1]), 'expected a number for each parent'),
    ('POST', '/api/breed', child_of(1, 2, weights=[0, 0]), 'are all 0'),
    ('POST', '/api/breed', child_of(1, 2, weights=[1, float('nan')]), 'expected a number'),
    ('POST', '/api/breed', child_of(1, 2, weights=[1, 1e300]), 'expected a number'),
    ('POST', '/api/breed', child_of(1, 2, kind='text'), 'is of the kind picture'),
    ('POST', '/api/breed', child_of(1, style=300), 'is of the kind text'),
    ('POST', '/api/breed', child_of(1, 2, genes={'no such': 1}), 'there is no gene'),
    ('POST', '/api/breed', child_of(1, 2, genes={'food': '1); --'}), 'expected a number'),
    ('POST', '/api/breed', child_of(1, 2, mutation=2), 'expected a number from 0 to 1'),
    ('POST', '/api/breed', child_of(1, 2, mutation=True), 'expected a number from 0 to 1'),
    ('POST', '/api/breed', child_of(1, 2, seed=1.5), 'expected a whole number'),
    ('POST', '/api/breed', child_of(1, 2, sead=1), "is no field"),
    ('POST', '/api/plant', {'kind': 'picture', 'words': ' '}, 'expected a text'),
    ('POST', '/api/plant', {'kind': 'picture', 'words': 'a\ud800'}, 'characters that no text has'),
    ('POST', '/api/again', {'id': 1}, 'has no recipe'),
)
SENDERS = (
    ({'Host': 'example.org'}, "the Host is 'example.org'"),
    ({'Host': 'localhost:1'}, "the Host is 'localhost:1'"),
    ({'Origin': 'http://example.org'}, 'expected this page'),
    ({'Origin': 'null'}, 'expected this page'),
    ({'Content-Type': 'text/plain'}, 'expected application/json'),
)


def bad_requests(server):
    before = server.ask('GET', '/api/state?kind=picture')[1]
    wrong = []
    for method, path, body, expected in BAD:
        headers = {'Content-Type': 'application/json'} if isinstance(body, bytes) else {}
        status, why = server.ask(method, path, body, **headers)
        if status != 400 or expected.encode() not in why:
            wrong.append(f'{method} {path[:60]} {str(body)[:80]}: {status} {str(why)[:200]}')
    ok(not wrong, f'{len(BAD)} bad requests are refused, and told why', '\n'.join(wrong))
    plant = {'kind': 'picture', 'words': 'a bone'}
    wrong = []
    for headers, expected in SENDERS:
        status, why = server.ask('POST', '/api/plant', plant, **headers)
        if status != 400 or expected.encode() not in why:
            wrong.append(f'{headers}: {status} {why}')
    ok(not wrong, 'other sites are refused', '\n'.join(wrong))
    gets = [server.ask('GET', path)[0] for path in
            ('/api/breed', '/api/plant?kind=picture&words=a', '/../artbreeder.py', '/x')]
    ok(gets == [404] * 4, 'what changes the garden is no GET; files are not served', str(gets))
    after = server.ask('GET', '/api/state?kind=picture')[1]
    ok(before == after, 'none of it changed anything', f'{before}\n{after}')


# ---- The browser ----
WALL = "document.querySelectorAll('#wall .tile').length > 0"


def grown(n):
    return f"document.querySelectorAll('#children .tile').length === {n}"


def browser():
    if not shutil.which('chromium'):
        return skip('artbreeder in a browser', 'no chromium on this machine (Debian: chromium)')
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = served(folder, 'garden')
        b = Browser(folder)
        try:
            used(b, server)
        finally:
            b.end()
            server.end()


def used(b, server):
    """What a user does, with mouse and keys."""
    ok(b.open(f'http://127.0.0.1:{server.port}/', WALL), 'the page shows the wall')
    b.click('#wall .tile', 0)
    b.click('#wall .tile', 3)
    ok(b.wait("document.querySelectorAll('#parents .parent').length === 2"),
       'two clicks, two parents')
    b.click('#breed')
    ok(b.wait(grown(8)), 'eight children', b.value("document.getElementById('status').textContent"))
    ok(b.value("document.querySelector('#sql pre').textContent").startswith('WITH family'),
       'the SQL of the last child is shown')
    b.wait("document.getElementById('status').textContent === ''")
    b.click('#children .tile', 2)
    ok(b.wait("document.querySelectorAll('#parents .parent').length === 3"), 'a child is a parent')
    b.press('b', 'b')
    ok(b.wait("document.querySelectorAll('#tree .tile').length === 4")
       and b.wait(grown(8)), 'the key b breeds; the tree has three generations')
    ok(b.wait("document.querySelectorAll('#tree path').length === 5"), 'and its lines')
    b.wait("document.getElementById('status').textContent === ''")
    b.click('#again')
    ok(b.wait("/byte for byte/.test(document.getElementById('status').textContent)"),
       'it grows again', b.value("document.getElementById('status').textContent"))
    b.press('/', '/')
    for letter in 'red fruit':
        b.press(letter, letter)
    b.press('Enter', '\r')
    first = server.ask('GET', '/api/wall?kind=picture&words=red+fruit')[1][0]['id']
    ok(b.wait(f"document.querySelector('#wall .tile').dataset.id === '{first}'"),
       'words sort the wall')
    b.click('#plant')
    ok(b.wait("/first on the wall/.test(document.getElementById('status').textContent)"),
       'and are drawn')
    b.click('#surprise')
    ok(b.wait("document.querySelectorAll('#children .waiting').length > 0") and b.wait(grown(8)),
       'Surprise me')
    b.click('[data-kind=text]')
    ok(b.wait("document.querySelectorAll('#wall .tile.example').length === 182"), 'sentences')
    wide = b.value('document.documentElement.scrollWidth <= innerWidth')
    ok(wide, 'nothing is wider than the page')
    ok(not b.errors, 'the browser has no complaints', '\n'.join(b.errors))


# ---- The picture for the README ----
STEPS = (('dog face', 'sunflower'), ('owl', 'rose'))


def screenshot(file, dark=False, db=None):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = Server(db or os.path.join(folder, 'garden.db'), None)
        b = Browser(folder, 1480, 930, dark)
        try:
            b.open(f'http://127.0.0.1:{server.port}/', WALL)
            b.value('Math.random = (x => () => (x = x * 16807 % 2147483647) / 2147483647)(20)')
            for name in STEPS[0]:
                b.click(f"#wall .tile[title='{name}']")
            b.click('#breed')
            b.wait(grown(8))
            b.wait("document.getElementById('status').textContent === ''")
            b.value("at('clear').click()")
            b.click('#children .tile', 1)
            b.click('#children .tile', 4)
            for name in STEPS[1]:
                b.click(f"#wall .tile[title='{name}']")
            b.click('#breed')
            b.wait("document.getElementById('status').textContent !== ''")
            b.wait(grown(8))
            b.wait("document.getElementById('status').textContent === ''")
            b.value("scrollTo(0, 0), at('wall').scrollTo(0, 0)")
            time.sleep(1)                       # pictures on the wall are loaded when they are seen
            b.screenshot(file, 0.75)     # less than 300 KB
            ok(not b.errors, f'{file} is written', '\n'.join(b.errors))
        finally:
            b.end()
            server.end()


if __name__ == '__main__':
    if '--screenshot' in sys.argv:
        main(lambda: screenshot(sys.argv[2], '--dark' in sys.argv))
    main(requests, *([] if '--requests' in sys.argv else [browser]))
