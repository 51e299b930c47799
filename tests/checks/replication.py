#!/usr/bin/python3
"""Replication by statements: the same log gives the same tables, on every SQLite, libc and CPU.

    tests/checks/replication.py

A log of statements (tables with latents in generated columns, latent tables of every sort, decoded
texts, pictures, children) is replayed by replay.c, which is built for Debian's SQLite, for the
newest (there with one thread), and for the newest on musl. Then the hashes of all tables are
compared, shadow tables too. With the shipped weights that is done natively; with the tiny ones also
on CPUs that an emulator has: one with AVX2 alone, and arm64 with and without sdot. raft.py has a
cluster.
"""
import glob
import hashlib
import os
import shutil
import sqlite3

from common import NEWEST, WORK, get_newest_sqlite, last_line, main, ok, run, skip, write

FOLDER = f'{WORK}/replication'


# ---- The log ----
NOTES = ['The beach is empty in the early morning.', 'It is raining in the mountains.',
         'Two children build a castle in the sand.', 'I got the job that I wanted.',
         'The train was late again. We waited in the cold for an hour.', 'The soup is too salty.',
         'My sister is reading a book in the garden.', 'Our dog ran away last night.',
         'Call the landlord about the damp in the bathroom.', 'A quiet place by the sea.']
SCHEMA = """
CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, mood TEXT,
                   z BLOB AS (latent_encode(body)) STORED);
CREATE VIRTUAL TABLE notes_latent USING latent(body, mood TEXT filter, content='notes',
                                               content_rowid='id');
CREATE VIRTUAL TABLE own USING latent(body, year INTEGER filter, words=1);
CREATE VIRTUAL TABLE parts USING latent(body, tenant INTEGER partition);
CREATE VIRTUAL TABLE vectors USING latent(width=8);
CREATE TABLE written(what TEXT, n INTEGER, content, z BLOB, x REAL);
"""
CHANGES = """
BEGIN;
UPDATE notes SET body = 'The library opens at nine.' WHERE id = 2;
DELETE FROM notes WHERE id = 3;
SAVEPOINT a;
INSERT INTO own(body, year) VALUES ('This is taken back.', 2000);
ROLLBACK TO a;
INSERT INTO own(rowid, body, year) VALUES (1000, 'The ferry was late. I left my umbrella.', 2001);
COMMIT;
INSERT INTO notes(id, body) VALUES (1, 'The id is taken, so this fails everywhere.');
DELETE FROM own WHERE year = 1990;
INSERT INTO own(own) VALUES ('optimize');
INSERT INTO notes_latent(notes_latent) VALUES ('rebuild');
"""
# A column that depends on the clock, or on random(), would differ. So would the order of rows of
# equal distance, if it were not settled.
WRITTEN = """
INSERT INTO written(what, n, content) SELECT 'decoded', id, latent_decode(z) FROM notes ORDER BY id;
INSERT INTO written(what, content, z) SELECT 'mean', latent_decode(latent_mean(z)), latent_mean(z)
  FROM notes;
INSERT INTO written(what, n, content) SELECT 'sample', value, latent_sample(value)
  FROM json_each('[1, 2]');
INSERT INTO written(what, n, x) SELECT 'found', l.rowid, l.distance
  FROM notes_latent('a quiet place by the sea') l LIMIT 5;
INSERT INTO written(what, n, x) SELECT 'words', rowid, distance FROM own('umbrella ferry') LIMIT 3;
INSERT INTO written(what, n, x) SELECT 'vectors', rowid, distance
  FROM vectors('[1,2,3,4,4,3,2,1]') LIMIT 20;
INSERT INTO written(what, n, content) SELECT 'picture', id, latent_decode(z) FROM pictures;
"""
# What takes long, and so is left to CPUs that are no emulators.
LONG = """
INSERT INTO written(what, n, content) SELECT 'between', t*8, content
  FROM latent_path('The sun is shining.', 'It is raining in the mountains.', 5);
INSERT INTO written(what, n, content) SELECT 'varied', id, latent_vary(body, 0.3, id) FROM notes
  ORDER BY id LIMIT 3;
INSERT INTO written(what, content, x) SELECT 'imagined', content, distance
  FROM latent_imagine('notes_latent', 'My sister is reading.', 2);
INSERT INTO written(what, n, content, z) SELECT 'child', child, content, latent
  FROM latent_breed('SELECT z, id FROM notes', '{"children":3,"seed":7}');
INSERT INTO written(what, content) SELECT 'code',
  latent_decode(latent_encode('for x in range(3):', '{"kind":"code"}'));
INSERT INTO written(what, content) SELECT 'drawn', latent_image('a red heart', 7, '{"best_of":2}');
INSERT INTO written(what, content) SELECT 'cross', latent_cross(a.png, b.png)
  FROM pictures a, pictures b WHERE a.id = 1 AND b.id = 2;
INSERT INTO written(what, content) SELECT 'strip', latent_strip(a.png, b.png, 3)
  FROM pictures a, pictures b WHERE a.id = 1 AND b.id = 2;
"""
PICTURES = """
CREATE TABLE pictures(id INTEGER PRIMARY KEY, png BLOB, z BLOB AS (latent_encode(png)) STORED);
CREATE VIRTUAL TABLE pictures_latent USING latent(png, content='pictures', content_rowid='id');
"""


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def log(n_notes, n_vectors, end):
    """The statements, as a leader has them: values in place of what changes from run to run."""
    lines = [SCHEMA]
    for i, note in enumerate(NOTES[:n_notes]):
        mood = ('low', 'high')[i % 2]
        lines.append(f"INSERT INTO notes(body, mood) VALUES ({quoted(note)}, '{mood}');")
        lines.append(f'INSERT INTO own(body, year) VALUES ({quoted(note)}, {1990 + i % 3});')
        lines.append(f'INSERT INTO parts(body, tenant) VALUES ({quoted(note)}, {i % 2});')
    lines.append(
        'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < '
        f'{n_vectors}) INSERT INTO vectors(rowid, latent) SELECT i, json_array(i%7 - 3, i%11 - 5, '
        'i%13 - 6, i%17 - 8, i*7%19 - 9, i*5%23 - 11, i*3%29 - 14, 1 + i%31) FROM n;')
    lines.append('DELETE FROM vectors WHERE rowid % 5 = 0;')
    lines += [CHANGES, PICTURES]
    for path in sorted(glob.glob('examples/pictures/noto/*apple.png'))[:2]:
        with open(path, 'rb') as f:
            lines.append(f"INSERT INTO pictures(png) VALUES (x'{f.read().hex()}');")
    return '\n'.join([*lines, end])


# ---- Tables ----
def hashes(database):
    """The hash of every table that holds rows: those of users, and shadow tables."""
    db = sqlite3.connect(database)
    db.enable_load_extension(True)
    db.load_extension('build/latent')           # generated columns name its functions
    db.text_factory = bytes
    tables = [name.decode() for name, sql in db.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        if b'VIRTUAL' not in (sql or b'')]
    found = {}
    for table in tables:
        width = len(db.execute(f'SELECT * FROM "{table}"').description)
        order = ', '.join(str(i + 1) for i in range(width))
        told = hashlib.sha256()
        for row in db.execute(f'SELECT * FROM "{table}" ORDER BY {order}'):
            told.update(repr(row).encode())
        found[table] = told.hexdigest()[:16]
    db.close()
    return found


# ---- The replicas ----
SQLITE = f'{NEWEST}/sqlite3.c'
FEATURES = ['-DSQLITE_ENABLE_FTS5']
# What replay.c is built with: the compiler, SQLite's part of the command, the extension's platform.
REPLICAS = {
    'Debian': ('gcc', ['-lsqlite3'], 'linux-x86_64'),
    'newest': ('gcc', [f'-I{NEWEST}', *FEATURES, SQLITE], 'linux-x86_64'),
    'musl': ('musl-gcc', [f'-I{NEWEST}', *FEATURES, SQLITE], 'linux-musl-x86_64'),
    'arm64': ('aarch64-linux-gnu-gcc', [f'-I{NEWEST}', *FEATURES, SQLITE], 'linux-aarch64'),
}
# What runs the replicas of the second part, and the kernel that this CPU must choose.
CPUS = {
    'this CPU': ('Debian', [], None),
    'Haswell': ('Debian', ['qemu-x86_64-static', '-cpu', 'Haswell'], 'avx2'),
    'cortex-a72': ('arm64', ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu', '-cpu',
                             'cortex-a72'], 'neon'),
    'neoverse-n1': ('arm64', ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu', '-cpu',
                              'neoverse-n1'], 'neon_dot'),
}


def library(platform):
    """The extension for a platform: what `make dist` made, else this machine's own."""
    path = f'build/dist/{platform}/latent.so'
    if os.path.exists(path):
        return path
    return 'build/latent.so' if platform == 'linux-x86_64' else None


def replica(name):
    """Gives (the program, the extension, why there is none)."""
    compiler, sqlite, platform = REPLICAS[name]
    program = f'build/replay/{name}'
    extension = library(platform)
    if extension is None:
        return None, None, f'no build/dist/{platform}/latent.so: make dist'
    if not shutil.which(compiler):
        return None, None, f'no {compiler} on this machine'
    if SQLITE in sqlite and (why := get_newest_sqlite()):
        return None, None, why
    sources = ['tests/checks/replay.c', *(s for s in sqlite if s.endswith('.c'))]
    made = os.path.getmtime(program) if os.path.exists(program) else 0
    if made < max(map(os.path.getmtime, sources)):
        os.makedirs('build/replay', exist_ok=True)
        status, out = run([compiler, '-w', '-O0', '-o', program, sources[0], *sqlite, '-ldl',
                           '-lpthread', '-lm'])
        if status != 0:
            return None, None, last_line(out)
    return program, extension, None


def replay(name, log_path, model, runner=(), database=None, **env):
    """Gives (the replica's version and kernel, the statements that failed, the hashes of its
    tables); or (why there is none, None, None).
    """
    program, extension, why = replica(name)
    if why is None and runner and not shutil.which(runner[0]):
        why = f'no {runner[0]} on this machine'
    if why:
        return why, None, None
    path = f'{FOLDER}/{database or name}.db'
    if os.path.exists(path):
        os.remove(path)
    status, out = run([*runner, program, path, os.path.abspath(extension), log_path],
                      LATENT_MODEL=os.path.abspath(model), **env)
    if status != 0:
        raise RuntimeError(f'{name}: exit status {status}: {out[-1000:]}')
    # The emulator warns of what it does not emulate.
    lines = [line for line in out.splitlines() if not line.startswith('qemu')]
    return lines[0], lines[1:], hashes(path)


def differing(one, other):
    return ' '.join(t for t in sorted(one | other) if one.get(t) != other.get(t))


def on_sqlites():
    """The shipped weights, on three SQLites."""
    os.makedirs(FOLDER, exist_ok=True)
    path = f'{FOLDER}/log.sql'
    write(path, log(10, 6000, WRITTEN + LONG))
    _, failed, first = replay('Debian', path, 'model')
    ok(len(first) > 20, f'{len(first)} tables are hashed', str(first))
    ok(len(failed) == 1 and 'UNIQUE' in failed[0], 'one statement of the log fails', str(failed))
    for name, n_threads in (('newest', '1'), ('musl', '2')):
        version, also_failed, found = replay(name, path, 'model', LATENT_THREADS=n_threads)
        if found is None:
            skip(f'the same tables: {name}', version)
            continue
        ok(found == first, f'the same tables: {name}, SQLite {version}', differing(first, found))
        ok(also_failed == failed, f'{name} fails at the same statement', str(also_failed))


def on_cpus():
    """The tiny weights, on CPUs that have other kernels."""
    path = f'{FOLDER}/log_tiny.sql'
    write(path, log(5, 100, WRITTEN))
    first = None
    for cpu, (name, runner, kernel) in CPUS.items():
        version, _, found = replay(name, path, 'tests/data', runner, cpu)
        if found is None:
            skip(f'the same tables: {cpu}', version)
            continue
        first = first or found
        used = version.split()[1]
        ok(kernel in (None, used), f'{cpu} takes the kernel {used}', f'expected {kernel}')
        ok(found == first, f'the same tables: {cpu}', differing(first, found))


if __name__ == '__main__':
    main(on_sqlites, on_cpus)
