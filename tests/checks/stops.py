#!/usr/bin/python3
"""Long statements stop: a progress handler is called often in everything that takes long.

Every statement of the table is heavy: an argument of many segments, a large picture, a long text,
many rows. A progress handler stops it after WORK seconds of processor time. Two things hold:

    between two calls of the handler the thread works for at most MOST seconds
    the statement ends with SQLITE_INTERRUPT, or was done before

The product promises 50 ms on the wall clock of an idle machine. Here it is the time of the thread,
and a multiple of that, since a machine that is shared computes more slowly too; and a statement
that was too long once may try again, since giving 240 MB back to a busy system takes what it takes.
Without asking, most of these statements work for seconds, each time (sizes are for that).
"""
import os
import re
import sqlite3
import struct
import time
import zlib

from common import WRITING, main, ok

WORK, MOST, TRIES = 0.6, 0.3, 3
SEGMENTS = 65535
SIDE = 8192
VECTORS = 20000


def connect():
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension('build/latent')
    return db


# ---- Heavy arguments ----
def chunk(name, data):
    return (struct.pack('>I', len(data)) + name + data
            + struct.pack('>I', zlib.crc32(name + data)))


def png(width, height, packed, interlaced=0):
    head = struct.pack('>IIBBBBB', width, height, 8, 6, 0, 0, interlaced)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', packed)
            + chunk(b'IEND', b''))


def zeros(n_mb):
    """Zlib's data of so many MB of zeros, a thousandth of that."""
    z = zlib.compressobj(9)
    return b''.join(z.compress(bytes(1 << 20)) for _ in range(n_mb)) + z.flush()


def large_png():
    row = b'\0' + os.urandom(SIDE // 8 * 4) * 8
    return png(SIDE, SIDE, zlib.compress(row * SIDE, 1))


def large_jpeg():
    """Grey. Each block of 8 x 8 is two bits: no change of its mean, and no more than that."""
    def segment(marker, data):
        return bytes([0xFF, marker]) + struct.pack('>H', len(data) + 2) + data
    table = bytes([1] + [0] * 15) + b'\0'               # one code, "0", for the symbol 0
    return (b'\xFF\xD8' + segment(0xDB, b'\0' + b'\1' * 64)
            + segment(0xC0, struct.pack('>BHHB', 8, SIDE, SIDE, 1) + b'\1\x11\0')
            + segment(0xC4, b'\0' + table) + segment(0xC4, b'\x10' + table)
            + segment(0xDA, b'\1\1\0\0\x3F\0') + bytes((SIDE // 8) ** 2 // 4) + b'\xFF\xD9')


def arguments(db):
    """The temporary table `heavy`, a column each, so that no time goes into binding."""
    one, = db.execute("SELECT latent_vector('It is warm.')").fetchone()
    many, = db.execute('SELECT latent_from_vector(?)', (one * SEGMENTS,)).fetchone()
    json, = db.execute('SELECT latent_json(?)', (many,)).fetchone()
    text = ' '.join(f'The beach number {i} is empty in the morning.' for i in range(20000))
    sheet = png(64, 64, zlib.compress((b'\0' + os.urandom(256)) * 64, 1))
    values = {'small': sheet, 'z': many, 'vector': one * SEGMENTS, 'json': json, 'text': text,
              'word': 'x' * 15_000_000, 'png': large_png(), 'jpeg': large_jpeg(),}
    db.execute(f'CREATE TEMP TABLE heavy({", ".join(values)})')
    db.execute(f'INSERT INTO heavy VALUES ({", ".join("?" * len(values))})', tuple(values.values()))
    db.execute('CREATE VIRTUAL TABLE many USING latent(width=64)')
    vectors = ((struct.pack('<64f', *(os.urandom(64))),) for _ in range(VECTORS))
    db.executemany('INSERT INTO many(latent) VALUES (?)', vectors)


ROWS = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) SELECT %s FROM n'
STATEMENTS = (
    ('short texts in many rows', ROWS % (100000, "count(latent_encode('row '||i||' is short.'))")),
    ('distances in many rows', ROWS % (100000, "count(latent_distance('row '||i, 'a'))")),
    ('a long text', 'SELECT length(latent_encode(text)) FROM heavy'),
    ('tokens of a long text', 'SELECT count(*) FROM heavy, latent_tokens(text)'),
    ('tokens of a long word', 'SELECT count(*) FROM heavy, latent_tokens(word)'),
    ('a long latent as JSON', 'SELECT length(latent_json(z)) FROM heavy'),
    ('a long latent from JSON', 'SELECT length(latent_from_json(json)) FROM heavy'),
    ('a long latent from a vector', 'SELECT length(latent_from_vector(vector)) FROM heavy'),
    ('the sum of long latents', 'SELECT length(latent_add(z, z)) FROM heavy'),
    ('between long latents', 'SELECT length(latent_slerp(z, z, 0.5)) FROM heavy'),
    ('content of a long latent', 'SELECT length(latent_decode(z)) FROM heavy'),
    ('a large PNG', 'SELECT length(latent_encode(png)) FROM heavy'),
    ('a large JPEG', 'SELECT length(latent_encode(jpeg)) FROM heavy'),
    ('a sheet', ROWS % (4096, "length(latent_sheet(small, 'a label'))") + ', heavy'),
    ('clusters', "SELECT count(*) FROM latent_cluster('many', 1000)"),
    ('texts of an array', """SELECT count(*) FROM latent_encode_each((%s))"""
     % (ROWS % (100000, "json_group_array('row '||i||' is short.')"))),
    ('texts by the writer', ROWS % (100000, "count(latent_complete('row '||i))")),
    ('functions by the writer', ROWS % (100000, """count(latent_interp('def f(x):
    return x, '||i, 'if y:
    pass', 0.5, '{"kind":"code","decoder":"writer"}'))""")),
    ('a long latent, written', """SELECT length(latent_decode(z, '{"decoder":"writer"}'))
     FROM heavy"""),
    ('going on with a long text', 'SELECT length(latent_complete(text)) FROM heavy'),
    ('going on with a long word', 'SELECT length(latent_complete(word)) FROM heavy'),
    ('a path', "SELECT count(*) FROM latent_path('The sea is old.', 'The dog said no.', 1000)"),
    ('generations', """SELECT count(*) FROM latent_breed('["The sea is old.", "The dog said no."]',
     '{"children":1000,"generations":1000}')"""),
    ('exploring', """SELECT count(*) FROM latent_explore('["The sea is old.", "The dog said no."]',
     'a storm', '{"children":10000}')"""),
    ('pictures of texts', ROWS % (100000, "count(latent_image('row '||i, i))")),
    ('a map', ROWS % (2000, "length(latent_plot('row '||(i%700), 'its label, row '||i))")),
)


# ---- The handler ----
def work_under_handler(db, sql, n):
    """(the longest work between two calls, what the statement said). It is stopped after WORK."""
    begun = last = time.thread_time()
    longest = 0

    def handler():
        nonlocal last, longest
        now = time.thread_time()
        longest = max(longest, now - last)
        last = now
        return now - begun > WORK

    db.set_progress_handler(handler, n)
    try:
        said = f'done: {db.execute(sql).fetchone()[0]}'
    except sqlite3.Error as e:
        said = str(e)
    db.set_progress_handler(None, 0)
    return max(longest, time.thread_time() - last), said


def statements():
    db = connect()
    arguments(db)
    for name, sql in STATEMENTS:
        for _ in range(TRIES):
            longest, said = work_under_handler(db, sql, 1000)
            ended = re.search('^done|interrupted$|more than 65535 segments', said)
            if not ended or longest < MOST:
                break
        ok(ended and longest < MOST, f'it stops: {name}', f'{longest:.3f} s without a call; {said}')


def large_n():
    """The more operations of the virtual machine a handler wants between two calls, the later it is
    called: 100,000 every 100 ms, a million every second. The calls are counted, so that a slow
    machine does no harm, and there are rows for minutes, so that a fast one does none either."""
    db = connect()
    for n, seconds in ((100_000, 1.0), (1_000_000, 4.0)):
        calls = 0

        def count():
            nonlocal calls
            calls += 1
            return calls == 2                           # the rows alone would not get there

        begun = time.thread_time()
        db.set_progress_handler(count, n)
        try:
            db.execute(ROWS % (1000000, "count(latent_encode('row '||i||' is short.'))")).fetchall()
        except sqlite3.OperationalError:
            pass
        took = time.thread_time() - begun
        ok(calls == 2 and took < 4 * seconds, f'it stops: a handler that wants {n:,} operations',
           f'{calls} calls in {took:.1f} s')


def bombs():
    """A picture whose data cannot be its own is refused before it is unpacked."""
    db = connect()
    for name, file in (('one pixel', png(1, 1, zeros(1500))),
                       ('one pixel, interlaced', png(1, 1, zeros(1500), 1)),
                       ('100 x 100', png(100, 100, zeros(1500)))):
        begun = time.thread_time()
        try:
            said = db.execute('SELECT length(latent_encode(?))', (file,)).fetchone()
        except sqlite3.Error as e:
            said = str(e)
        took = time.thread_time() - begun
        ok('more data than its pixels need' in str(said) and took < 1,
           f'1.5 GB of zeros in a PNG of {name}: refused', f'{said} after {took:.1f} s')


def authorizer():
    """Asking is a SELECT that reads no table, so it works where an application allows little."""
    db = connect()
    asked = []
    db.set_authorizer(lambda action, *rest: asked.append(action) or sqlite3.SQLITE_OK)
    text = ' '.join(f'Row {i} is short.' for i in range(500))
    db.execute('SELECT length(latent_encode(?))', (text,)).fetchall()
    asks = asked[3:]                                    # behind the statement's own: two functions
    ok(len(asks) > 0 and set(asks) == {sqlite3.SQLITE_SELECT},
       'asking is a SELECT, and no more', f'{asked[:20]}')


if __name__ == '__main__':
    os.environ['LATENT_MODEL'] = WRITING
    os.environ['LATENT_THREADS'] = '1'
    main(statements, large_n, bombs, authorizer)
