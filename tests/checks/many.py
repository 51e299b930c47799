#!/usr/bin/python3
"""The examples for more rows than one program encodes or one file holds, on 2,000 rows.

    tests/checks/many.py            shards, then DuckDB and Ray in a virtual environment
    tests/checks/many.py shards     that part alone; likewise duckdb, ray

What they make is compared, byte by byte, with what SQLite makes of one row after the other, and
shards with one table that has all rows.
"""
import functools
import os
import random
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile

from common import ROOT, TINY, WORK, last_line, main, ok, run, skip, steps

PYTHON = 'build/many/bin/python'
PACKAGES = ('ray[data]==2.60.0', 'duckdb==2.0.1', 'pyarrow==26.0.1', 'numpy')
FOLDER = f'{WORK}/many'
OTHER = f'{WORK}/models/other.safetensors'
OUTCOME = re.compile('^(?:ok|not ok|skipped) - .*\n(?:    .*\n)*', re.M)
N_ROWS, N_SHARDS = 2000, 4
QUERIES = ('a quiet place by the sea', 'My sister is reading a book.', 'late trains', '')
for name in ('shards', 'duckdb', 'ray'):
    sys.path.insert(0, os.path.join(ROOT, 'examples', name))


def get_packages():
    """Gives why they are missing, or None."""
    if os.path.exists(PYTHON) and run([PYTHON, '-c', 'import ray.data, duckdb, numpy'])[0] == 0:
        return None
    return steps((['/usr/bin/python3', '-m', 'venv', 'build/many'],
                  ['build/many/bin/pip', 'install', '-q', *PACKAGES]), timeout=600)


def sqlite():
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension('build/latent')
    return db


def texts():
    """Notes, alone and two together; some come more than once."""
    db = sqlite3.connect(':memory:')
    with open('sql/notes.sql', encoding='utf8') as f:
        db.executescript(f.read())
    notes = [body for body, in db.execute('SELECT body FROM notes ORDER BY id')]
    n = len(notes)
    return [notes[i % n] if i % 3 else f'{notes[i % n]} {notes[(7 * i + i // n) % n]}'
            for i in range(N_ROWS)]


def fresh(name):
    path = f'{FOLDER}/{name}'
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(FOLDER, exist_ok=True)
    return path


# ---- Shards ----
def one_table(column, rows):
    db = sqlite()
    db.execute(f'CREATE VIRTUAL TABLE t USING latent({column})')
    name = 'latent' if '=' in column else column
    db.executemany(f'INSERT INTO t(rowid, {name}) VALUES (?, ?)', rows)
    return db


def of_one(db, query, k, options=None):
    return db.execute('SELECT distance, rowid FROM t(?, ?) LIMIT ?', (query, options, k)).fetchall()


def same_as_one(rows, db, name, queries):
    """Searches, exact searches and whole streams, bit for bit."""
    for exact, options in ((False, None), (True, '{"exact":true}')):
        got = rows.search_many(queries, 20, exact)
        ok(got == [of_one(db, q, 20, options) for q in queries],
           f'{name}: {"exact " * exact}searches give what one table gives')
    ok(all(list(rows.nearest(q, exact=True)) == of_one(db, q, -1, options) for q in queries),
       f'{name}: and so do all rows, pulled one by one')


def refused(what, expected, function, *arguments, **options):
    """It is an error that says what is expected."""
    from shards import ShardError
    try:
        function(*arguments, **options)
        ok(False, f'{what} is refused', 'no error')
    except ShardError as e:
        ok(all(part in str(e) for part in expected), f'{what} is refused', f'{e}')


def text_shards():
    from shards import Shards, shard_of, shard_path
    folder, bodies = fresh('texts'), list(enumerate(texts(), 1))
    with Shards.create(folder, N_SHARDS) as rows:
        rows.insert(bodies)
        db = one_table('body', bodies)
        ok(rows.count() == N_ROWS, 'text shards have all rows')
        same_as_one(rows, db, 'text shards', QUERIES)
        ties = rows.search(bodies[1][1], 12)
        ok(ties == sorted(ties) and len({d for d, _ in ties}) < len(ties),
           'equal rows come by their rowid', f'{ties}')
        gone = range(1, N_ROWS, 3)
        ok(rows.delete(gone) == len(gone) and rows.delete([1, 999_999]) == 0,
           'delete says how many there were')
        rows.insert([(-5, 'The ferry was late.'), (1, 'We had soup.'), (1 << 62, 'It rains.')])
        db.executemany('DELETE FROM t WHERE rowid = ?', [(i,) for i in gone])
        db.executemany('INSERT INTO t(rowid, body) VALUES (?, ?)',
                       [(-5, 'The ferry was late.'), (1, 'We had soup.'), (1 << 62, 'It rains.')])
        same_as_one(rows, db, 'text shards, changed', QUERIES)
        ok(rows.texts([1, 4, 1 << 62]) == {1: 'We had soup.', 1 << 62: 'It rains.'},
           'texts are read from their shards')
        refused('a rowid that is there', ('shard-', 'row 1 is there'), rows.insert, [(1, 'Soup.')])
        stream = rows.nearest('the sea')
        next(stream)
        rows.delete([2, 3, 5, 6, 8, 9, 11, 12])
        refused('a stream whose rows changed', ('ask again',), list, stream)
    held = [{i for i, in sqlite3.connect(shard_path(folder, s)).execute('SELECT id FROM rows_rows')}
            for s in range(N_SHARDS)]
    ok(all(shard_of(i, N_SHARDS) == s for s in range(N_SHARDS) for i in held[s])
       and min(map(len, held)) > 0.8 * sum(map(len, held)) / N_SHARDS,
       'each shard has the rows that are its own, about as many as the others', f'{held}'[:300])
    shard_errors(folder)


def shard_errors(folder):
    from shards import Shards, shard_path
    first, second, away = (*(shard_path(folder, i) for i in (0, 1)), fresh('away'))
    os.rename(second, away)
    refused('a missing shard', ('shard-1.db', 'shard 1 of 4 is missing'), Shards, folder)
    shutil.copy(first, second)
    refused('another shard in its place', ('this is shard 0', 'expected shard 1'), Shards, folder)
    with Shards.create(fresh('others'), N_SHARDS):
        pass
    shutil.copy(shard_path(f'{FOLDER}/others', 1), second)
    refused('a shard of another folder', ('shard 1 of folder', 'expected'), Shards, folder)
    with open(second, 'wb') as f:
        f.write(b'This is a letter to my sister. ' * 99)
    refused('a file that is none', ('shard-1.db', 'no shard'), Shards, folder)
    shutil.copy(away, second)
    refused('no folder', ('shards.json is missing',), Shards, FOLDER)
    ours = os.environ['LATENT_MODEL']
    os.environ['LATENT_MODEL'] = os.path.abspath(OTHER)         # the processes inherit it
    refused('a process with other weights', ('shard-0.db', 'this process has'), Shards, folder)
    # In a process of its own: this one has the weights that it began with.
    rebuild = ("import sys; sys.path.insert(0, 'examples/shards'); from shards import connect; "
               f"connect({second!r}).execute(\"INSERT INTO rows(rows) VALUES ('rebuild')\")")
    ok(run(['/usr/bin/python3', '-c', rebuild], LATENT_MODEL=os.environ['LATENT_MODEL'])[0] == 0,
       'other weights rebuild one shard')
    os.environ['LATENT_MODEL'] = ours
    refused('a shard of another model', ('shard-1.db', 'made by the model'), Shards, folder)
    shutil.move(away, second)
    with Shards(folder) as rows:
        ok(len(rows.search('soup', 3)) == 3, 'put right, the folder answers again')
        rows.workers[2][0].kill()
        rows.workers[2][0].wait()
        refused('a search without one of the processes', ('shard-2.db', 'ended'), rows.search,
                'soup', 3)


def vector_shards():
    from shards import Shards
    dice = random.Random(7)
    draw = lambda: struct.pack('8f', *(dice.choice((-1, -.5, 0, .5, 1)) for _ in range(8)))
    vectors = [(17 * i, draw()) for i in range(N_ROWS)]         # few values: many ties
    queries = [draw() for _ in range(8)]
    folder = fresh('vectors')
    with Shards.create(folder, 3, width=8, model='dice') as rows:
        rows.insert(vectors)
        same_as_one(rows, one_table('width=8', vectors), 'vector shards', queries)
        refused('a query of another width', ('width',), rows.search, [1.0, 2.0], 3)
        ok(rows.search(struct.unpack('8f', queries[0]), 5) == rows.search(queries[0], 5),
           'a list of numbers is a vector too, and an error did no harm')
    refused('a model that did not make the rows', ('dice', 'coins'), Shards, folder, model='coins')
    refused('a width without a model', ('both',), Shards.create, fresh('none'), 2, width=8)


def shards_program():
    """The commands of its head."""
    program, folder = 'examples/shards/shards.py', fresh('program')
    p = subprocess.run(['/usr/bin/python3', program, 'build', folder, '--shards', '3'],
                       input='\n'.join(texts()[:200]), capture_output=True, text=True)
    ok(p.stdout == '200 rows in 3 shards\n', 'shards.py build', p.stdout + p.stderr)
    got = run(['/usr/bin/python3', program, 'search', folder, 'the sea', '-k', '4'],
              LATENT_MODEL=os.environ['LATENT_MODEL'])
    ok(got[0] == 0 and got[1].count('\n') == 4, 'shards.py search', got[1])
    status, out = run(['/usr/bin/python3', program, 'search', FOLDER, 'the sea'])
    ok(status == 1 and 'shards.json is missing' in out and 'Traceback' not in out,
       'its errors are a line', out)


def shards():
    text_shards()
    vector_shards()
    shards_program()


# ---- In the virtual environment: Parquet ----
def parquet(n_files=3):
    """A folder of files with id and body, among them NULL, an empty text and an odd one."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    folder, bodies = fresh('in'), texts()
    bodies[5:8] = None, '', 'ends \0 here: \u00e9\U0001f600 "quoted"'
    os.makedirs(folder)
    for i in range(n_files):
        ids = range(i, N_ROWS, n_files)
        pq.write_table(pa.table({'id': ids, 'body': [bodies[j] for j in ids]}),
                       f'{folder}/{i}.parquet')
    return folder, bodies


def same_as_rows(path, bodies, name, call, column):
    """The rows of Parquet files are those that went in, and what SQLite makes of each text."""
    import pyarrow.parquet as pq
    got = sorted(pq.read_table(path).to_pylist(), key=lambda row: row['id'])
    ok([row['body'] for row in got] == bodies, f'{name}: all rows come out as they went in')
    db = sqlite()
    want = [db.execute(f'SELECT {call}', (body,)).fetchone()[0] for body in bodies]
    made = [row[column] for row in got]
    made = [v if v is None or isinstance(v, bytes) else struct.pack(f'{len(v)}f', *v) for v in made]
    ok(made == want, f'{name}: each is what {call.replace("?", "body")} gives, bit for bit')


WANT = (('latents', 'latent', 'latent_encode(?, \'{"refine":0}\')'),
        ('exact', 'latent', 'latent_encode(?)'), ('vectors', 'vector', 'latent_embed(?)'))
OF_DUCKDB = ('latent_encode', 'latent_encode_exact', 'latent_embed')


def duckdb():
    import duckdb as peer
    import latent_duckdb
    folder, bodies = parquet()
    program = [PYTHON, 'examples/duckdb/latent_duckdb.py', f'{folder}/*.parquet']
    for function, (_, column, call) in zip(OF_DUCKDB, WANT):
        out = f'{FOLDER}/{function}.parquet'
        status, said = run([*program, out, '--column', 'body', '--function', function],
                           LATENT_MODEL=os.environ['LATENT_MODEL'])
        ok(status == 0, f'DuckDB: {function} of {N_ROWS} rows', said)
        same_as_rows(out, bodies, f'DuckDB: {function}', call, column)
    status, said = run([*program, f'{FOLDER}/none.parquet', '--column', 'text'])
    ok(status == 1 and 'text' in said and 'Traceback' not in said,
       'DuckDB: a column that is not there is an error', said)
    con = latent_duckdb.register(peer.connect())
    db = one_table('body', [(i, b) for i, b in enumerate(bodies) if b])
    sql = f"""SELECT latent_distance(latent, latent_encode($1)) AS d, id
              FROM '{FOLDER}/latent_encode.parquet' WHERE body <> '' ORDER BY d, id LIMIT 10"""
    single = '''SELECT latent_distance(latent_encode(body, '{"refine":0}'), ?) d, rowid FROM t
                ORDER BY 1, 2 LIMIT 10'''
    ok(con.execute(sql, [QUERIES[0]]).fetchall() == db.execute(single, QUERIES[:1]).fetchall(),
       'DuckDB: ORDER BY latent_distance() gives what SQLite gives')
    ends = 'It is warm.', 'A man rides a horse.'
    ok(con.execute("""SELECT latent_interp($1, $2, 0.5), latent_decode(latent_encode_exact($1)),
                      latent_encode(NULL) IS NULL""", ends).fetchone()
       == db.execute("""SELECT latent_interp(?1, ?2, 0.5), latent_decode(latent_encode(?1)), 1""",
                     ends).fetchone(), 'DuckDB: latent_interp, latent_decode, NULL')
    figures()


def figures():
    status, out = run([PYTHON, 'examples/shards/measure.py', '--rows', '2000', '--queries', '20',
                       '--shards', '1,2'], timeout=300)
    ok(status == 0 and 'bit for bit' in out and out.count('| 1.000 |') == 2,
       'examples/shards/measure.py runs; two small shards find all', out)


# ---- In the virtual environment: Ray ----
def ray():
    """It prints "Ray runs" when it does; without that line the caller skips it."""
    import ray as peer
    peer.init(num_cpus=2, include_dashboard=False, object_store_memory=200 << 20,
              log_to_driver=False)
    print('Ray runs', flush=True)
    import encode
    folder, bodies = parquet()
    for make, column, call in WANT[0], WANT[2]:
        out = os.path.abspath(fresh(f'ray-{make}'))
        encode.encode(os.path.abspath(folder), out, 'body', make, None)
        same_as_rows(out, bodies, f'Ray Data: {make}', call, column)
    try:
        encode.encode(os.path.abspath(folder), out, 'text', 'latents', None)
        ok(False, 'Ray Data: a column that is not there is an error')
    except SystemExit as e:
        ok('no column "text"' in str(e) and 'body' in str(e),
           'Ray Data: a column that is not there is an error', str(e))
    status, said = run([PYTHON, 'examples/ray/encode.py', folder, 'x', '--column', 'body',
                        '--estimate'], LATENT_MODEL=os.environ['LATENT_MODEL'])
    ok(status == 0 and f'{N_ROWS:,} rows' in said and 'core-hours' in said,
       'Ray Data: an estimate of the cost', said)
    ray_shards()
    peer.shutdown()


def ray_shards():
    from ray_shards import RayShards
    from shards import Shards
    path, rows = os.path.abspath(fresh('ray-shards')), list(enumerate(texts(), 1))
    with RayShards.create(path, N_SHARDS) as shards:
        shards.insert(rows)
        same_as_one(shards, one_table('body', rows), 'shards by Ray', QUERIES[:2])
        ok(shards.delete(range(1, 101)) == 100 and shards.count() == N_ROWS - 100,
           'shards by Ray: rows are deleted')
    with Shards(path) as shards:
        ok(shards.count() == N_ROWS - 100, 'the same folder by processes')
    refused('a place that no node has', ('no node runs the shards [0', 'nowhere'), RayShards, path,
            place=lambda number: {'resources': {'nowhere': 1}} if number == 0 else {}, seconds=5)
    os.remove(f'{path}/shard-3.db')
    refused('a missing shard, by Ray,', ('shard-3.db', 'missing'), RayShards, path)


# ---- All ----
def in_environment(part):
    """One part by PYTHON: its outcomes are passed on."""
    with tempfile.TemporaryDirectory(prefix='ray', ignore_cleanup_errors=True) as folder:
        p = subprocess.Popen(
            [PYTHON, __file__, part], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, env=os.environ | {
                'HOME': folder, 'RAY_TMPDIR': folder, 'RAY_USAGE_STATS_ENABLED': '0'})
        try:
            out = p.communicate(timeout=600)[0]
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            out = p.communicate()[0]
    if part == 'ray' and 'Ray runs' not in out:
        return skip('examples/ray, ray_shards.py', f'Ray cannot run here: {last_line(out)}')
    print(''.join(OUTCOME.findall(out)), end='', flush=True)
    if p.returncode != 0 and 'not ok - ' not in out:
        ok(False, f'{part} ends well', f'exit status {p.returncode}: {out[-2000:]}')


def outside(part):
    why = get_packages()
    if why:
        skip(f'examples of {part}', why)
    else:
        in_environment(part)


if __name__ == '__main__':
    os.environ['LATENT_MODEL'] = os.path.join(ROOT, TINY)
    wanted = sys.argv[1:] or ['shards', 'duckdb', 'ray']
    if os.path.abspath(sys.prefix) == os.path.join(ROOT, 'build', 'many'):
        main(*(globals()[part] for part in wanted))
    main(*(shards if part == 'shards' else functools.partial(outside, part) for part in wanted))
