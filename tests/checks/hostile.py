#!/usr/bin/python3
"""Every function with arguments that nobody would give it: an error or a value, and valid UTF-8.

Some 300 values (odd text, blobs, numbers, JSON, damaged latents and pictures, dull text of 3,000
letters) stand in each place of each function of latent_functions(), with good values in the other
places, and in all places at once. A function is tried in a process of its own, so that a crash is
one failure, which names the call. It runs with the tiny models. One function, in this process:

    LATENT_MODEL=tests/data/text.safetensors tests/checks/hostile.py latent_path
"""
import json
import random
import sqlite3
import struct
import sys

from common import TINY, last_line, main, ok, run, skip

LONG = 1000                             # letters of dull text
TEXT, BLOB = 'CAST(? AS TEXT)', '?'     # how bytes get in; a number stands in the statement itself


# ---- Values ----
def texts():
    rng = random.Random(5)
    any_bytes = bytes(rng.randrange(256) for _ in range(300))
    letters = ''.join(rng.choice('ABCDEFabcdef0123456789+/') for _ in range(1000))
    yield from ('', ' ', '\n', '\r\n', '\t\v\f', '.', '...', '?!', "'", '"', '\\', '%s%n%d', '--',
                ';', '{', '[', '{}', '[]', 'null', 'true', 'NaN', 'Infinity', '0', '-1', '1e999',
                '0x10', ' 1 ', 'a', 'A. ', 'Dr. ', 'I.', 'e.g. ', 'sqlite_master', 'main.t', 't',
                'T', 't"', 'temp.t', 'nope', 't_rows', 'latent', 'pragma_function_list', '/',
                '/dev/null',
                '/etc/passwd', '..', 'file:x?mode=ro', 'data:image/png;base64,iVBORw0KGgo=')
    yield from ('x' * 3000, 'word ' * 600, 'A. ' * 600, 'Go on! ' * 300, '\n' * LONG, ' ' * LONG,
                'a\n' * 800, letters, '.' * LONG, '?!' * 500, '(' * LONG, '{"a":' * 500,
                '[' * LONG, '"' * LONG, '\\' * LONG, '0' * LONG, '9' * 400,
                'e\u0301' * 300, 'a' + '\u0301' * 500)
    yield from ('\ufeffx', '\u200b\u200d\u2060', '\u2581\u2581', '\u202eabc',
                '\U0001f469\u200d\U0001f680', '\U0010ffff', '\u00a0\u2003\u3000', 'Straße',
                '日本語', 'עברית', 'ﬁ', '\x01\x02\x7f', 'a\0b', '\0', '\0' * 300, '\u2028\u2029',
                '«Mr. X»')
    yield from (b'\xff', b'\xc0\x80', b'\xed\xa0\x80', b'\xf4\x90\x80\x80', b'\xe2\x82', b'a\xc3',
                b'\x80' * 500, b'LTNT', b'\x89PNG\r\n\x1a\n', any_bytes, b'\xef\xbf\xbd\xff' * 100)


def options():
    odd = ('null', 'true', '-1', '0', '0.5', '1', '64', '65', '1e308', '-1e999', '"x"', '""', '[]',
           '{}', '[[1]]')
    for key in ('kind', 'beams', 'best_of', 'temperature', 'seed', 'max_tokens', 'fluency',
                'detail', 'refine', 'steps', 'distinct', 'kın\u0131d'):
        for value in odd if key in ('kind', 'beams', 'seed', 'max_tokens') else odd[::3]:
            yield f'{{"{key}":{value}}}'
    yield from ('{"beams":2,"beams":3}', '{"\\u0000":1}', '{"kind":"\\ud800"}',
                '{"kind":"direction"}', '{"kind":"picture"}', '{"beams":32,"best_of":64}',
                '{"refine":64}',
                '{"fluency":1,"best_of":4}', '{"steps":"even","distinct":true}',
                '{"max_tokens":1}', '{} {}', '{"beams":1,}', "{'beams':1}",
                '{"x":' + '"' + 'y' * LONG + '"}', '{"kind":"latent"', '\ufeff{}')


def numbers():
    yield from ('NULL', '0', '1', '-1', '2', '3', '0.5', '-0.0', '1.5', '0.9999999999999999',
                '1e-320', '1e308', '-1e308', '9e999', '-9e999', '2147483647', '2147483648',
                '-2147483648', '4294967296', '65535', '65536', '9223372036854775807',
                '-9223372036854775808', '1000001', '0.1', '255', '1024', '1e18')


def latents(db):
    def one(sql):
        return db.execute('SELECT ' + sql).fetchone()[0]
    z = one("latent_encode('A dog.')")
    yield from (z, one("latent_encode('A dog. A cat. No.')"), one("latent_encode('Go. Yes.')"),
                one("latent_sub('A dog.', 'A cat.')"), one("latent_sub('Go. Yes. No.', 'A. Go.')"),
                one("latent_encode(replace(printf('%.400c', 'x'), 'x', 'Go on. '))"),
                one("latent_scale('A dog.', 1e6)"), one("latent_sub('A dog.', 'A dog.')"))
    for n in (*range(0, 17), 20, len(z) - 1):
        yield z[:n]
    yield z + b'\0'
    for at, to in ((4, 0), (4, 2), (5, 0), (5, 2), (5, 3), (5, 9), (6, 0), (6, 2), (6, 3), (7, 1),
                   (8, 0), (8, 2), (9, 255), (10, 0), (10, 1), (11, 255), (12, 1), (15, 255)):
        yield z[:at] + bytes([to]) + z[at + 1:]
    for half in (b'\x00\x7c', b'\x00\xfe', b'\xff\x7b', b'\x00\x00', b'\x01\x00', b'\x00\x80'):
        yield z[:16] + half * ((len(z) - 16) // 2)


def pictures(db):
    png = db.execute("SELECT latent_image('A dog.', 1)").fetchone()[0]
    yield png
    for n in (8, 16, 20, 29, 33, 40, len(png) // 2, len(png) - 12, len(png) - 1):
        yield png[:n]
    for at in (8, 11, 12, 16, 19, 23, 24, 25, 26, 27, 28, 30, 41, len(png) - 20):
        yield png[:at] + bytes([png[at] ^ 255]) + png[at + 1:]
    yield png + png
    yield b'\xff\xd8\xff\xe0' + bytes(100)
    yield b'\xff\xd8\xff\xda' + b'\x11' * 100
    yield b'GIF89a' + bytes(20)
    yield b'RIFF' + bytes(4) + b'WEBP' + bytes(20)


def blobs():
    rng = random.Random(6)
    yield from (b'', b'\0', b'\xff', bytes(1000), b'text in a blob', b'{}', bytes(100000))
    yield bytes(rng.randrange(256) for _ in range(1000))
    for x in (0.0, 1.0, -1.0, 1e30, float('inf'), float('nan'), 1e-45, 3e38):
        yield struct.pack('<48f', *[x] * 48)
    yield struct.pack('<96f', *[0.1] * 96)
    yield struct.pack('<47f', *[1.0] * 47)


def latent_json(db):
    whole = db.execute("SELECT latent_json('A dog.')").fetchone()[0]
    yield whole
    yield whole[:len(whole) // 2]
    good = json.loads(whole)
    for key in good:
        for value in (None, [], {}, -1, 'x', 1e308, [None], [{}], [{'s': [1], 'r': []}]):
            yield json.dumps(good | {key: value})
    yield json.dumps(good | {'segments': good['segments'] * 9})


def values(db):
    """(how it gets in, the bytes or None) of each."""
    for text in (*texts(), *options(), *latent_json(db)):
        yield TEXT, text.encode('utf8') if isinstance(text, str) else text
    for blob in (*blobs(), *latents(db), *pictures(db)):
        yield BLOB, blob
    for number in numbers():
        yield number, None


# ---- Calls ----
GOOD = {                                # by the name that a parameter has in the usage
    't': '0.5', 'amount': '0.5', 'seed': '1', 'n': '3', 'k': '2', 'label': '1', 'weight': '1',
    'options': "'{}'", 'index': "'t'", 'part': "'s'", 'picture': "(SELECT png FROM good)",
    'png': '(SELECT png FROM good)', 'direction': "latent_sub('A cat.', 'A dog.')",
    'json': "latent_json('A dog.')", 'blob': "latent_vector('A dog.')", 'path': f"'{TINY}'",
    'table': "'good'", 'column': "'png'",
}
TABLE = 'SELECT count(*), min(distance) FROM (SELECT distance FROM t{} LIMIT 3)'


def parameters(usage):
    """The names of all parameters that a call may have."""
    inside = usage.split(' or ')[-1].partition('(')[2].rpartition(')')[0]
    return [p.strip() for p in inside.replace('[', '').replace(']', '').split(',') if p.strip()]


def forms(name, kind, usage):
    """(a statement with a {} for the arguments, their good values)"""
    if kind == 'virtual table':
        yield TABLE, ["'A dog.'", "'{}'"]
        yield 'INSERT INTO t(body) VALUES {}', ["'A dog.'"]
        return
    good = [GOOD.get(p, "'A dog.'") for p in parameters(usage)]
    if kind == 'table' and good:
        yield f'SELECT * FROM {name}{{}} LIMIT 4', good
    elif kind == 'aggregate':
        yield f'SELECT {name}{{}} FROM (VALUES (1), (2))', good
    elif good:
        yield f'SELECT {name}{{}}', good


def connect():
    db = sqlite3.connect(':memory:', isolation_level=None)
    db.enable_load_extension(True)
    db.execute("SELECT load_extension('build/latent')")
    return db


def fill(db):
    db.execute('CREATE VIRTUAL TABLE t USING latent(body)')
    db.execute("INSERT INTO t(body) VALUES ('A dog.'), ('A cat. No.'), ('It is warm.')")
    db.execute("CREATE TABLE good AS SELECT latent_image('A cat.', 1) AS png")


def wrong_with(db, statement, value):
    """None where a call gives values or an error, and all text of them is UTF-8."""
    how, given = value
    bound = [given] * statement.count('?') if given is not None else []
    try:
        db.execute(statement, bound).fetchall()
    except sqlite3.Error as e:
        return None if str(e) else 'an error without a word'
    except UnicodeDecodeError as e:
        return f'text that is not UTF-8: {e.object[:200]}'
    return None


def try_function(name):
    """Each value in each place of one function, and in all places."""
    db = connect()
    fill(db)
    db.text_factory = lambda text: text.decode('utf8')
    kind, usage = db.execute('SELECT kind, usage FROM latent_functions WHERE name = ?',
                             [name]).fetchone()
    all_values = list(values(db))
    n_calls, faults = 0, []
    for form, good in forms(name, kind, usage):
        for value in all_values:
            for place in range(len(good) if len(good) == 1 else len(good) + 1):
                put = [value[0] if place in (i, len(good)) else g for i, g in enumerate(good)]
                statement = form.format('(' + ', '.join(put) + ')')
                print(f'{statement} {str(value[1])[:100]}', flush=True)
                wrong = wrong_with(db, statement, value)
                n_calls += 1
                if wrong:
                    faults.append(f'{statement} with {str(value[1])[:60]}: {wrong}')
    # The connection is as good as before.
    if db.execute("SELECT count(*) FROM (SELECT 1 FROM t('A dog.') LIMIT 2)").fetchone()[0] != 2:
        faults.append('the table t finds nothing any more')
    print('\n'.join(faults[:5]) if faults else f'{len(all_values)} values, {n_calls} calls')
    sys.exit(1 if faults else 0)


def hostile():
    try:
        names = [row[0] for row in connect().execute('SELECT name FROM latent_functions')]
    except (AttributeError, sqlite3.Error) as e:
        skip('functions with hostile arguments', f'Python here loads no extension: {e}')
        return
    for name in names:
        status, out = run([sys.executable, __file__, name], LATENT_MODEL=TINY, LATENT_THREADS='1')
        ok(status == 0, f'{name} gives a value or an error, whatever the arguments',
           f'exit status {status}; {last_line(out)}')


if __name__ == '__main__':
    if len(sys.argv) > 1:
        try_function(sys.argv[1])
    else:
        main(hostile)
