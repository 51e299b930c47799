#!/usr/bin/python3
"""Files of strangers: databases, weights and pictures that somebody has made on purpose.

    tests/checks/attacks.py             one mutation in forty-one
    tests/checks/attacks.py --every     all of them
    tests/checks/attacks.py TEXT        of the shadow rows, those whose name has the text

**Shadow tables** that are not what was written.

(tests/damage.c has what disks do: bytes that are changed or cut.) A mutation is done to a copy of a
database, which is then used in each of these settings:

    plain       trusted_schema=1
    strict      trusted_schema=0 and SQLITE_DBCONFIG_DEFENSIVE
    attached    the file is attached to a connection that has tables of the same names

What must hold:

    1. Every answer is the right one, or an error with a text. One that differs in silence is
       allowed for the mutations in EXCUSES alone, which says why; then another query tells of it,
       and 'integrity-check'.
    2. Changes succeed or fail with an error that has a text; 'rebuild' gives a table that is whole,
       or says why not.
    3. A progress handler ends what takes longer than SECONDS, at once.
    4. The other schemas are as they were.

**An attached database** whose views, triggers, virtual tables and latent tables reach for what is
not theirs: rows of main, paths, files. The application reads and writes all of it. Nothing of main
may show in an answer, or in the file.

**Weights** with numbers, shapes, places and names changed in their headers and JSON, and the hash
set right: an error with a text when they are loaded, or results in time. **Pictures** whose chunks
and markers lie: the same. (tests/flips.c and test_codec_picture.c change single bytes.)
"""
import copy
import ctypes
import json
import os
import re
import sqlite3
import struct
import sys
import time
import zlib

from common import TINY, TINY_PICTURE, WORK, main, ok, read

SECONDS = 1.0
NOT_ENCODED = 'is not in the index: body is a BLOB'     # of integrity-check
LATE = 1.0                      # so much later a statement may end
N_ROWS = 40
SHADOWS = ('t_config', 't_rows', 't_pending', 't_cells', 't_codes')

# ---- Databases ----

VECTOR_QUERY = "x'" + struct.pack('<8f', 1, 2, 0, -1, 0.5, 0, 1, -2).hex() + "'"
KINDS = {
    'vectors': ('latent(width=8, x INTEGER filter, cell_rows=8)', VECTOR_QUERY),
    'texts': ('latent(body, x INTEGER filter, cell_rows=8)', "'a dog in the rain'"),
    'notes': ("latent(body, x INTEGER filter, content='p', content_rowid='id', cell_rows=8)",
              "'a dog in the rain'"),
    'words': ('latent(body, x INTEGER filter, cell_rows=8, words=1)', "'a dog in the rain'"),
}


def number(i, j):
    return ((i * 7919 + j * 104729 + i * i * 31) % 2003 - 1001) / 500


def content_of(kind, i):
    if kind == 'vectors':
        return struct.pack('<8f', *(number(i, j) for j in range(8)))
    who = ('A small boat', 'The old dog', 'My sister', 'Nobody', 'The night train')[i % 5]
    what = (' waits by the harbor.', ' sleeps.', ' is late.', ' sings in the rain.')[i // 5 % 4]
    return who + what


def connect():
    os.environ['LATENT_THREADS'] = '1'          # the clock counts what all threads take
    db = sqlite3.connect(':memory:', isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension('build/latent')
    db.execute('SELECT latent_load(?)', (TINY,))
    return db


def make(kind, shift=0):
    """A database as bytes. shift: its rows have other contents."""
    db = connect()
    db.execute('CREATE TABLE p(id INTEGER PRIMARY KEY, body, x INTEGER)')
    db.execute(f'CREATE VIRTUAL TABLE t USING {KINDS[kind][0]}')
    db.execute('BEGIN')
    for i in range(1, N_ROWS + 1):
        row = (i, content_of(kind, i + shift), (i + shift) % 5)
        if kind == 'notes':
            db.execute('INSERT INTO p VALUES(?, ?, ?)', row)
        else:
            column = 'latent' if kind == 'vectors' else 'body'
            db.execute(f'INSERT INTO t(rowid, {column}, x) VALUES(?, ?, ?)', row)
    db.execute('COMMIT')
    return db.serialize()


class Clock:
    """Ends statements that take longer than SECONDS of processor time. worst: by how much one came
    later."""
    def __init__(self, db):
        self.worst = 0
        self.start = time.process_time()
        db.set_progress_handler(self.is_late, 1000)
        self.db = db

    def is_late(self):
        return time.process_time() - self.start > SECONDS

    def run(self, sql):
        """Rows, or the text of an error."""
        self.start = time.process_time()
        try:
            answer = self.db.execute(sql).fetchmany(10000)
        except sqlite3.Error as e:
            answer = f'{type(e).__name__}: {e}'
        except (ValueError, OverflowError, UnicodeError) as e:  # what Python cannot show
            answer = f'{type(e).__name__}: {e} (Python)'
        self.worst = max(self.worst, time.process_time() - self.start - SECONDS)
        return answer


def db_config(db, option, value):
    """sqlite3_db_config(), which Python has since 3.12. The handle is the object's first field."""
    if hasattr(db, 'setconfig'):
        return db.setconfig(option, bool(value))
    handle = ctypes.c_void_p.from_address(id(db) + object.__basicsize__)
    return ctypes.CDLL('libsqlite3.so.0').sqlite3_db_config(handle, option, value, None)


DEFENSIVE = 1010


def opened(image, setting):
    """The database in a setting: (connection, the schema that it is)."""
    db = connect()
    schema = 'main'
    if setting == 'attached':
        db.execute("ATTACH ':memory:' AS s")
        schema = 's'
        db.execute('CREATE TABLE p(id INTEGER PRIMARY KEY, body, x INTEGER)')
        db.execute("INSERT INTO p VALUES(1, 'our secret', 1)")
        db.execute('CREATE TABLE t_rows(id, secret)')
        db.execute("INSERT INTO t_rows VALUES(1, 'our secret')")
    db.deserialize(image, name=schema)
    if setting == 'strict':
        db.execute('PRAGMA trusted_schema=0')
        assert db_config(db, DEFENSIVE, 1) in (0, None)
    return db, schema


# ---- Questions ----

def questions(kind, s):
    q = KINDS[kind][1]
    column = 'latent' if kind == 'vectors' else 'body'
    return [
        f'SELECT rowid, x, {column} FROM {s}.t',
        f'SELECT x, latent FROM {s}.t WHERE rowid=7',
        f'SELECT count(*) FROM {s}.t WHERE x=2',
        f'SELECT rowid, round(distance, 4) FROM {s}.t({q})',
        f'SELECT rowid, x, {column} FROM {s}.t({q}) LIMIT 5',
        f'SELECT rowid FROM {s}.t({q}) WHERE x>2 LIMIT 7 OFFSET 2',
        f'SELECT rowid FROM {s}.t({q}) WHERE rowid IN (3, 7, 9)',
        f"SELECT rowid FROM {s}.t({q}, '{{\"exact\":true}}') LIMIT 5",
        f'SELECT a.rowid, b.rowid FROM {s}.t a JOIN {s}.t(a.latent) b WHERE a.rowid=7 LIMIT 3',
    ]


def changes(kind, s):
    column, new = ('latent', VECTOR_QUERY) if kind == 'vectors' else ('body', "'It is warm.'")
    table = 'p' if kind == 'notes' else 't'
    key = 'id' if kind == 'notes' else 'rowid'
    return [
        f'INSERT INTO {s}.{table}({key}, {column}, x) VALUES(77, {new}, 1)',
        f'UPDATE {s}.{table} SET x=4 WHERE {key}<9',
        f'UPDATE {s}.{table} SET {column}={new} WHERE {key} IN (3, 7)',
        f'DELETE FROM {s}.{table} WHERE {key}%3=0',
        f"INSERT INTO {s}.t(t) VALUES('optimize')",
    ]


# ---- Mutations ----

# Of one value; @ is the column.
VALUES = (
    'NULL', "''", "x''", "'text'", '0', '-1', '1', '9223372036854775807',
    '(-9223372036854775807 - 1)', '1e308', '-9e999', '0.5', 'zeroblob(1)', 'zeroblob(100000)',
    'CAST(@ AS TEXT)', 'CAST(@ AS BLOB)', 'CAST(@ AS REAL)', "@ || x'00'", '@ + 1', '-@',
    'substr(@, 2)', 'substr(@, 1, length(@)/2)', 'CAST(@ || @ AS BLOB)', 'hex(@)',
    'zeroblob(length(@))',
)
# Of tables.
TABLES = (
    'DELETE FROM t_rows',
    'DELETE FROM t_rows WHERE id%2',
    'DELETE FROM t_rows WHERE id=7',
    'DELETE FROM t_cells',
    'DELETE FROM t_cells WHERE id=1',
    'DELETE FROM t_cells WHERE id>0',
    'DELETE FROM t_codes',
    'DELETE FROM t_codes WHERE id=(SELECT max(id) FROM t_codes)',
    'DELETE FROM t_config',
    'UPDATE t_rows SET id=id+100',
    'UPDATE t_rows SET id=-id',
    'UPDATE t_rows SET id=1000 WHERE id=7',
    'UPDATE t_rows SET latent=NULL',
    'UPDATE t_rows SET latent=NULL, sum=sum & -4294967296',
    'UPDATE t_rows SET latent=NULL, sum=sum & -4294967296 WHERE id=7',
    'UPDATE t_rows SET sum=0',
    'UPDATE t_rows SET latent=(SELECT latent FROM t_rows WHERE id=3) WHERE id=7',
    'UPDATE t_rows SET (latent, sum)=(SELECT latent, sum FROM t_rows WHERE id=3) WHERE id=7',
    'UPDATE t_rows SET f0=(SELECT f0 FROM t_rows WHERE id=3) WHERE id=7',
    'REPLACE INTO t_rows(id, sum, latent, f0) SELECT 7, sum, latent, f0 FROM t_rows WHERE id=3',
    'INSERT INTO t_rows(id, sum, latent, f0) SELECT 500, sum, latent, f0 FROM t_rows WHERE id=3',
    "INSERT INTO t_rows(id, sum, latent) VALUES(500, 'x', 'y')",
    'INSERT INTO t_rows(id) VALUES(500)',
    'INSERT INTO t_cells SELECT 500, n, stamp, centroid FROM t_cells WHERE id=1',
    'UPDATE t_cells SET id=id+1 WHERE id=(SELECT max(id) FROM t_cells)',
    'UPDATE t_cells SET n=n+1 WHERE id IN (0, 1)',
    'UPDATE t_cells SET n=0, stamp=0 WHERE id=0',
    'UPDATE t_cells SET n=0, stamp=0 WHERE id=0; DELETE FROM t_cells WHERE id>0;'
    ' DELETE FROM t_codes',
    'UPDATE t_cells SET centroid=(SELECT centroid FROM t_cells WHERE id=1) WHERE id=2',
    'UPDATE t_cells SET (n, stamp, centroid)=(SELECT n, stamp, centroid FROM t_cells WHERE id=1)'
    ' WHERE id=2',
    'INSERT INTO t_codes SELECT 500, rows FROM t_codes WHERE id=1',
    'UPDATE t_codes SET rows=(SELECT rows FROM t_codes WHERE id=2) WHERE id=1',
    'UPDATE t_codes SET rows=zeroblob(length(rows))',
    "UPDATE t_config SET v='1' WHERE k='version'",
    "UPDATE t_config SET v=7 WHERE k='width'",
    "UPDATE t_config SET v=0 WHERE k='model'",
    "INSERT INTO t_config VALUES('width2', 7), ('picture', 7), ('code', 'x')",
    'INSERT INTO t_pending(id) VALUES(7)',
    'INSERT INTO t_pending(id, old) SELECT 7, latent FROM t_rows WHERE id=3',
    'INSERT INTO t_pending(id, old) VALUES(9223372036854775807, zeroblob(100))',
    'INSERT INTO t_pending(id, old) SELECT id, latent FROM t_rows',
    # Columns and options of the table itself.
    "PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql=replace(sql, 'x INTEGER', 'x TEXT')"
    " WHERE name='t'",
    "PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql=replace(sql, 'cell_rows=8',"
    " 'cell_rows=4') WHERE name='t'",
    "PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql=replace(sql, 'width=8', 'width=16')"
    " WHERE name='t'",
    "PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql=replace(sql, '''p''', '''t_rows''')"
    " WHERE name='t'",
    "PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql=replace(sql, '''p''', '''dbstat''')"
    " WHERE name='t'",
)
# Rows of another database with the same tables, which is attached as o: honest, but not of here.
OTHERS = (
    'REPLACE INTO t_rows SELECT * FROM o.t_rows WHERE id=7',
    'REPLACE INTO t_rows SELECT * FROM o.t_rows',
    'REPLACE INTO t_rows SELECT * FROM o.t_rows WHERE id%2',
    'DELETE FROM t_cells; DELETE FROM t_codes; INSERT INTO t_cells SELECT * FROM o.t_cells;'
    ' INSERT INTO t_codes SELECT * FROM o.t_codes',
    'REPLACE INTO t_cells SELECT * FROM o.t_cells WHERE id=1',
    'REPLACE INTO t_codes SELECT * FROM o.t_codes',
)
# A shadow table, @, that is another thing.
ENDLESS = ', '.join(['1'] * 12)
NAMES = 'id, sum, latent, f0, k, v, n, stamp, centroid, rows, old, content'
THINGS = (
    'DROP TABLE @',
    'DROP TABLE @; CREATE TABLE @(x)',
    'DROP TABLE @; CREATE VIEW @ AS SELECT * FROM sqlite_schema',
    'CREATE TABLE "copy @" AS SELECT * FROM @; DROP TABLE @;'
    ' CREATE VIEW @ AS SELECT * FROM "copy @"',
    f'DROP TABLE @; CREATE VIEW @ AS WITH RECURSIVE n({NAMES}) AS (SELECT {ENDLESS} UNION ALL'
    f' SELECT id+1, {ENDLESS[3:]} FROM n) SELECT * FROM n',
    f'DROP TABLE @; CREATE VIRTUAL TABLE @ USING fts5({NAMES.replace("rows,", "")})',
    'CREATE TRIGGER a BEFORE UPDATE ON @ BEGIN SELECT RAISE(IGNORE); END;'
    ' CREATE TRIGGER b BEFORE INSERT ON @ BEGIN SELECT RAISE(IGNORE); END;'
    ' CREATE TRIGGER c BEFORE DELETE ON @ BEGIN SELECT RAISE(IGNORE); END',
    'CREATE TRIGGER a AFTER INSERT ON @ BEGIN DELETE FROM @; END',
    "CREATE TRIGGER a AFTER INSERT ON @ BEGIN SELECT load_extension('nothing'); END",
    "CREATE TRIGGER a AFTER INSERT ON @ BEGIN INSERT INTO t(t) VALUES('rebuild'); END",
    'CREATE TRIGGER a AFTER INSERT ON @ BEGIN DELETE FROM t; END',
    'CREATE INDEX i ON @(!)',
    "CREATE UNIQUE INDEX i ON @(!) WHERE typeof(!)='never'",
)
# FTS5's own, where there are words: that what they hold is right only FTS5 can say, that they are
# what we have made we can.
WORDS = {'t_words': 'body', 't_words_content': 'c0', 't_words_data': 'block', 't_words_idx': 'term',
         't_words_docsize': 'sz', 't_words_config': 'v'}
SECOND = {'t_config': 'v', 't_codes': 'rows', 't_cells': 'n', 't_rows': 'f0', 't_pending': 'old'}
KEYS = {'t_config': 'k', 't_codes': 'id', 't_cells': 'id', 't_rows': 'id', 't_pending': 'id'}


def mutations(image):
    """(name, SQL) of all that can be done to this database."""
    db = connect()
    db.deserialize(image)
    if db.execute("SELECT count(*) FROM sqlite_schema WHERE name='t_words'").fetchone()[0]:
        for table, column in WORDS.items():
            for thing in THINGS:
                yield f'{table}: {thing}', thing.replace('@', table).replace('!', column)
        return
    for table in SHADOWS:
        key = KEYS[table]
        columns = [row[1] for row in db.execute(f'PRAGMA table_info({table})')]
        rows = [row[0] for row in db.execute(f'SELECT {key} FROM {table} ORDER BY 1')]
        for at in rows if table == 't_config' else rows[:2] + rows[7:8]:
            for column in columns:
                for value in VALUES:
                    new = value.replace('@', column)
                    yield (f'{table}.{column} of {at}: {value}',
                           f'UPDATE OR REPLACE {table} SET {column}={new} WHERE {key}={at!r}')
    for sql in TABLES + OTHERS:
        yield sql, sql
    for table in SHADOWS:
        for thing in THINGS:
            yield f'{table}: {thing}', thing.replace('@', table).replace('!', SECOND[table])


def mutated(image, other, sql):
    """The database after the mutation; None where it changes nothing or SQLite refuses it."""
    db = connect()
    db.deserialize(image)
    db.execute("ATTACH ':memory:' AS o")
    db.deserialize(other, name='o')
    try:
        db.executescript(sql)
    except sqlite3.Error:
        return None
    done = db.serialize()
    return None if done == image else done


# ---- What must hold ----

# Mutations (a regular expression) that may change some answers in silence, and why that is right.
# Then a query tells of it, and 'integrity-check'.
EXCUSES = (
    ('^DELETE FROM t_rows',
     'a scan gives the rows that are there; a search that meets one that is gone says so'),
    ('^UPDATE t_rows SET id=',
     'there is no row of the rowid that is asked for; what shows the row, or meets it, says so'),
    ('^UPDATE t_rows SET latent=NULL, sum=',
     'the row says that it has no latent, as one without content; a search that meets it says so'),
    ('^REPLACE INTO t_rows SELECT . FROM o.t_rows',
     'rows that are whole, and somebody wrote them; a search that meets one says that the index was'
     ' told another'),
)


def excuse_for(name):
    return next((why for pattern, why in EXCUSES if re.search(pattern, name)), None)


def is_clean(answer):
    return isinstance(answer, list) or len(answer.split(': ', 1)[-1]) >= 8


class Report:
    def __init__(self):
        self.n = self.n_told = self.n_excused = self.n_same = 0
        self.bad = []

    def fault(self, name, what):
        self.bad.append(f'{name}: {what}')


def use(kind, image, setting, name, right, report):
    db, s = opened(image, setting)
    clock = Clock(db)
    check = f"INSERT INTO {s}.t(t) VALUES('integrity-check')"
    differs = []
    is_told = False
    for sql, expected in zip(questions(kind, s), right):
        answer = clock.run(sql)
        if isinstance(answer, str):
            is_told = True
            if not is_clean(answer):
                report.fault(name, f'{sql}: {answer}')
        elif answer != expected:
            differs.append(sql)
    found = clock.run(check)
    if differs and not excuse_for(name):
        report.fault(f'{kind}, {setting}, {name}',
                     f'differs in silence: {len(differs)} answers, {differs[0]}'
                     f' | {str(found)[:120]}')
    elif differs and (isinstance(found, list) or not is_told):
        report.fault(f'{kind}, {setting}, {name}', 'no query, or no check, tells of it')
    report.n_excused += bool(differs)
    report.n_told += is_told
    report.n_same += not differs and not is_told
    for sql in changes(kind, s) + [f"INSERT INTO {s}.t(t) VALUES('rebuild')"]:
        answer = clock.run(sql)
        if not is_clean(answer):
            report.fault(f'{kind}, {setting}, {name}', f'{sql}: {answer}')
    after = clock.run(check)
    # What was made content that cannot be encoded is told of, and stays.
    if isinstance(answer, list) and isinstance(after, str) and NOT_ENCODED not in after:
        report.fault(f'{kind}, {setting}, {name}', f"after 'rebuild': {after}")
    if setting == 'attached':
        ours = clock.run('SELECT body FROM main.p') + clock.run('SELECT secret FROM main.t_rows')
        if ours != [('our secret',)] * 2:
            report.fault(f'{kind}, {name}', f'our own tables are now {ours}')
    if clock.worst > LATE:
        report.fault(f'{kind}, {setting}, {name}', f'{clock.worst:.1f} s too late')
    report.n += 1
    db.close()


def shadow_rows(kind, stride, wanted):
    image = make(kind)
    other = make(kind, 3)
    right = {}
    for setting in ('plain', 'strict', 'attached'):
        db, s = opened(image, setting)
        right[setting] = [Clock(db).run(sql) for sql in questions(kind, s)]
        if any(isinstance(answer, str) for answer in right[setting]):
            ok(False, f'attacks: {kind}, {setting}', str(right[setting]))
    report = Report()
    for i, (name, sql) in enumerate(mutations(image)):
        if wanted not in name or (i % stride and not wanted):
            continue
        done = mutated(image, other, sql)
        for setting in right if done else ():
            use(kind, done, setting, name, right[setting], report)
    detail = f'{report.n} uses, {report.n_told} told of, {report.n_same} of no effect'
    ok(not report.bad and report.n, f'attacks: shadow rows of {kind}: {detail}',
       f'{len(report.bad)} faults\n' + '\n'.join(report.bad[:400 if wanted or stride == 1 else 12]))


def shadow_tables():
    arguments = sys.argv[1:]
    wanted = next((a for a in arguments if not a.startswith('--')), '')
    for kind in KINDS:
        shadow_rows(kind, 1 if '--every' in arguments else 41, wanted)


# ---- An attached database that reaches for main ----

SECRET = 'zanzibar'
REACHES = ("'main.private_latent'", "'private_latent'", "'private'", "'temp.private_latent'",
           "'/etc/hostname'")


def victim():
    db = connect()
    db.execute('CREATE TABLE private(id INTEGER PRIMARY KEY, body)')
    db.executemany('INSERT INTO private VALUES(?, ?)',
                   [(i, f'{SECRET} number {i} waits.') for i in range(1, 9)])
    db.execute("CREATE VIRTUAL TABLE private_latent USING latent(body, content='private',"
               " content_rowid='id')")
    return db


def calls():
    """SELECTs of every function with names of main's tables as arguments."""
    for name, n, kind in connect().execute('SELECT name, n_min, kind FROM latent_functions'):
        for reach in REACHES:
            arguments = ', '.join([reach] + ["'x'", '1', '1'][:max(n, 1) - 1])
            if kind == 'table' and n > 0:
                yield f'SELECT * FROM {name}({arguments})'
            elif 'virtual' not in kind and kind != 'table':
                yield f'SELECT {name}({arguments if n or name == "latent_load" else ""})'
    yield 'SELECT latent_info()'


def modules():
    """(name, a column, another) of every table that is there without being created."""
    db = connect()
    for name, in db.execute('SELECT name FROM pragma_module_list').fetchall():
        try:
            columns = [row[1] for row in db.execute(f'PRAGMA table_xinfo("{name}")')]
        except sqlite3.Error:
            columns = []
        if len(columns) > 1:
            yield name, columns[0], columns[1]


def stranger():
    """The file. Its latent tables m1, m2, ... name modules as their content."""
    db = connect()
    db.execute('CREATE TABLE bait(x)')
    db.execute('CREATE TABLE caught(y)')
    for i, sql in enumerate(calls()):
        db.execute(f'CREATE VIEW v{i} AS {sql}')
        for event in ('INSERT', 'UPDATE', 'DELETE'):
            into = sql.replace('SELECT *', 'SELECT content') if 'imagine' in sql else sql
            if ' FROM ' not in into or 'imagine' in into:
                db.execute(f'CREATE TABLE IF NOT EXISTS bait{i}(x)')
                db.execute(f'CREATE TRIGGER h{event}{i} AFTER {event} ON bait{i}'
                           f' BEGIN INSERT INTO caught {into}; END')
    db.execute('CREATE TABLE z(a INTEGER PRIMARY KEY, b)')
    db.executemany("INSERT INTO z VALUES(?, 'It is warm.')", [(i,) for i in range(1, 6)])
    names = [*modules(), ('private', 'id', 'body'), ('main.private', 'id', 'body'),
             ('private_latent', 'rowid', 'body'), ('sqlite_temp_schema', 'rowid', 'sql')]
    for i, (name, first, second) in enumerate(names):
        db.execute(f"CREATE VIRTUAL TABLE m{i} USING latent(b, content='z', content_rowid='a',"
                   " triggers=0)")
        db.execute(f"INSERT INTO m{i}(m{i}) VALUES('rebuild')")
        made = f"CREATE VIRTUAL TABLE m{i} USING latent({second}, content='{name}'," \
               f" content_rowid='{first}', triggers=0)"
        db.execute('PRAGMA writable_schema=1')
        db.execute('UPDATE sqlite_schema SET sql=? WHERE name=?', (made, f'm{i}'))
        db.execute(f"UPDATE m{i}_config SET v=replace(v, 'b', ?) WHERE k='columns'", (second,))
        db.execute('PRAGMA writable_schema=0')
    return db.serialize()


def uses(db):
    """What an application does with a file: reads all of it, and writes."""
    objects = db.execute("SELECT type, name, sql FROM s.sqlite_schema").fetchall()
    for kind, name, sql in objects:
        if kind == 'view':
            yield f'SELECT * FROM s.{name}'
        elif kind == 'table' and name.startswith('bait'):
            yield f'INSERT INTO s.{name} VALUES(1)'
            yield f'UPDATE s.{name} SET x=2'
            yield f'DELETE FROM s.{name}'
        elif kind == 'table' and 'USING latent' in sql:
            yield f'SELECT * FROM s.{name}'
            yield f"INSERT INTO s.{name}({name}) VALUES('rebuild')"
            yield f"SELECT * FROM s.{name}('{SECRET[:3]}')"
            yield f"INSERT INTO s.{name}({name}) VALUES('integrity-check')"
            yield f"SELECT * FROM latent_imagine('s.{name}', 'x', 1)"
    yield 'SELECT * FROM s.caught'


def attached():
    image = stranger()
    with open('/etc/hostname', encoding='utf8') as f:
        secrets = [SECRET, os.path.abspath(TINY), f.read().strip() or SECRET]
    probe = victim().execute("SELECT content FROM latent_imagine('private_latent', 'x', 1)")
    ok(probe.fetchone(), 'attacks: the application itself reaches its tables')
    for trusted in (0, 1):
        db = victim()
        before = db.serialize()
        db.execute("ATTACH ':memory:' AS s")
        db.deserialize(image, name='s')
        db.execute(f'PRAGMA trusted_schema={trusted}')
        clock = Clock(db)
        bad, n, n_told = [], 0, 0
        for sql in [*uses(db)]:
            answer = clock.run(sql)
            n += 1
            n_told += isinstance(answer, str)
            shown = str(answer) if isinstance(answer, list) else ''
            if re.fullmatch(r'SELECT . FROM s.m[0-9]+', sql) and shown:
                bad.append(f'{sql}: {shown[:200]}')
            bad += [f'{sql}: {shown[:200]}' for secret in secrets if secret in shown]
            if not is_clean(answer):
                bad.append(f'{sql}: {answer}')
        bad += [f'the file has {secret}' for secret in secrets if secret.encode() in
                db.serialize(name='s')]
        if db.serialize() != before:
            bad.append('main has changed')
        if clock.worst > LATE:
            bad.append(f'{clock.worst:.1f} s too late')
        ok(not bad, f'attacks: an attached database, trusted_schema={trusted}: {n} statements,'
           f' {n_told} refused', '\n'.join(bad[:20]))


# ---- Weights ----

WRONG = (0, -1, 1, 7, 65536, 10**9, 2**31, 2**63, 1e308, 'x', '', None, [], {}, True)
SHAPES = ([], [0], [-1], [1], [10**9], [2**32, 2**32], [2**62, 4], ['x'], [1.5], None, 'x',
          [1] * 9)
OFFSETS = ([0, 0], [8, 0], [-8, 8], [0, 2**62], [2**63, 2**63 + 8], [1, 3], [0], [0, 8, 8], 'x')


def parts(path):
    with open(path, 'rb') as f:
        data = f.read()
    n = struct.unpack('<Q', data[:8])[0]
    return json.loads(data[8:8 + n]), data[8 + n:], json.loads(read(path[:-11] + 'json'))


def header_mutants(header):
    """(name, header as text) of weights that lie about their tensors."""
    names = [name for name in header if name != '__metadata__']
    for name in names[:2] + names[len(names)//2:len(names)//2 + 2] + names[-2:]:
        changed = [('dtype', d) for d in ('F32', 'F16', 'BF16', 'F64', 'I8', 'I64', 'x', 7, None)]
        changed += [('shape', x) for x in SHAPES] + [('data_offsets', x) for x in OFFSETS]
        for key, value in changed:
            h = copy.deepcopy(header)
            h[name][key] = value
            yield f'{name}.{key}: {value}', json.dumps(h)
        h = copy.deepcopy(header)
        h[name]['shape'] = h[name]['shape'][::-1]
        yield f'{name}: shape turned', json.dumps(h)
        h[name] = header[names[0]]
        yield f'{name}: is the first', json.dumps(h)
        del h[name]
        yield f'{name}: missing', json.dumps(h)
        h[name + '\x00'] = header[name]
        yield f'{name}: a name with NUL', json.dumps(h)
    text = json.dumps(header)
    yield 'twice', text[:-1] + ', ' + text[1:]
    yield 'deep', '{"a":' * 20000 + '1' + '}' * 20000
    yield 'deep metadata', text.replace('"__metadata__": {', '"__metadata__": {"x":' + '[' * 20000
                                        + ']' * 20000 + ',', 1)
    yield 'no object', '[1, 2]'
    yield 'numbers', text.replace('[0, ', '[0e999, ', 1)
    yield 'empty', ''


def json_mutants(config):
    """(name, JSON) of models that lie about themselves."""
    def walk(tree, path):
        for key in tree if isinstance(tree, dict) else range(min(len(tree), 2)):
            yield path + [key]
            if isinstance(tree[key], (dict, list)):
                yield from walk(tree[key], path + [key])
    for path in walk(config, []):
        for value in WRONG:
            changed = copy.deepcopy(config)
            at = changed
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = value
            yield f'{path}: {value}', changed


def write_model(name, header, data, config):
    """The files are made anew: others may be mapped."""
    os.makedirs(f'{WORK}/attacks', exist_ok=True)
    path = f'{WORK}/attacks/{name}'
    for ending, content in (('safetensors', struct.pack('<Q', len(header)) + header + data),
                            ('json', json.dumps(config).encode())):
        with open(f'{path}.new', 'wb') as f:
            f.write(content)
        os.replace(f'{path}.new', f'{path}.{ending}')
    meaning = os.path.join(os.path.dirname(path), 'meaning')
    if not os.path.lexists(meaning):
        os.symlink(os.path.abspath('tests/data/bert'), meaning)
    return f'{path}.safetensors'


def load(clock, name, header, data, config):
    """Loads weights; where only their hash is wrong, with the right one."""
    path = write_model(name, header.encode(), data, config)
    answer = clock.run(f"SELECT latent_load('{path}')")
    found = re.search('hash to ([0-9a-f]{16})', str(answer))
    if found and config.get('weights_hash') == load.hash:
        config['weights_hash'] = found[1]
        return load(clock, name, header, data, config)
    return answer


WITH_WEIGHTS = (
    "SELECT latent_decode(latent_encode('It is warm. We wait.'))",
    "SELECT latent_interp('It is warm.', 'The old dog sleeps.', 0.5)",
    "SELECT latent_score('It is warm.', latent_encode('It is cold.'))",
    "SELECT latent_decode(latent_sample(7), '{\"beams\":3}')",
    "SELECT count(*) FROM latent_tokens('It is warm.')",
    "SELECT length(latent_image('a red car', 3))",
    'SELECT latent_info()',
)


def try_model(bad, name, kind, header, data, config):
    """Returns whether the weights were taken."""
    db = connect()
    clock = Clock(db)
    config = copy.deepcopy(config)
    if kind == 'picture':
        load(clock, 'text', *tiny_text())
    answer = load(clock, kind, header, data, config)
    is_taken = isinstance(answer, list)
    answers = [answer] + [clock.run(sql) for sql in WITH_WEIGHTS if is_taken]
    bad += [f'{kind} {name}: {a}' for a in answers if not is_clean(a)]
    if clock.worst > LATE:
        bad.append(f'{kind} {name}: {clock.worst:.1f} s too late')
    db.close()
    return is_taken


def tiny_text():
    header, data, config = parts(TINY)
    return json.dumps(header), data, config


def weights():
    stride = 1 if '--every' in sys.argv else 17
    for kind, path in (('text', TINY), ('picture', TINY_PICTURE)):
        header, data, config = parts(path)
        load.hash = config['weights_hash']
        mutants = [(name, text, config) for name, text in header_mutants(header)]
        mutants += [(name, json.dumps(header), c) for name, c in json_mutants(config)]
        bad = []
        taken = [try_model(bad, name, kind, text, data, c) for name, text, c in mutants[::stride]]
        honest = try_model(bad, 'as it is', kind, json.dumps(header), data, config)
        ok(not bad and honest, f'attacks: weights of {kind}: {len(taken)} mutants, {sum(taken)}'
           ' taken', '\n'.join([f'the honest ones: {honest}'] + bad[:20]))


# ---- Pictures ----

def png(*chunks):
    """Chunks of (name, data), with the right sums."""
    out = b'\x89PNG\r\n\x1a\n'
    for name, data in chunks:
        body = name + data
        out += struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))
    return out


def pngs():
    side = 16
    for depth in (0, 1, 2, 4, 8, 16, 255):
        for color in (0, 2, 3, 4, 6, 7):
            for lace in (0, 1, 2):
                head = struct.pack('>IIBBBBB', side, side, depth, color, 0, 0, lace)
                data = zlib.compress(bytes(range(200)) * 40)
                yield f'depth {depth}, colour {color}, interlace {lace}', png(
                    (b'IHDR', head), (b'PLTE', bytes(range(48))), (b'IDAT', data), (b'IEND', b''))
    head = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress((b'\0' + bytes(side * 3)) * side)
    for size in (0, 1, 8192, 65535, 2**31 - 1, 2**31, 2**32 - 1):
        for width, height in ((size, 1), (1, size), (size, size)):
            lie = struct.pack('>IIBBBBB', width, height, 8, 6, 0, 0, 0)
            yield f'{width} x {height}', png((b'IHDR', lie), (b'IDAT', rows), (b'IEND', b''))
    bomb = zlib.compress(bytes(60000000), 9)
    one = struct.pack('>IIBBBBB', 1, 1, 8, 2, 0, 0, 0)
    yield 'a bomb', png((b'IHDR', one), (b'IDAT', bomb), (b'IEND', b''))
    named = b'a\0\0' + bomb
    yield 'a bomb of text', png((b'IHDR', head), (b'zTXt', named), (b'iCCP', named),
                                (b'IDAT', rows), (b'IEND', b''))
    yield 'no IHDR', png((b'IDAT', rows), (b'IEND', b''))
    yield 'two IHDR', png((b'IHDR', head), (b'IHDR', one), (b'IDAT', rows), (b'IEND', b''))
    yield 'no IDAT', png((b'IHDR', head), (b'IEND', b''))
    yield 'no IEND', png((b'IHDR', head), (b'IDAT', rows))
    yield 'IDAT in a thousand', png((b'IHDR', head), *[(b'IDAT', rows[i:i + 1]) for i in
                                                      range(len(rows))], (b'IEND', b''))
    yield 'empty IDAT', png((b'IHDR', head), *[(b'IDAT', b'')] * 20000, (b'IEND', b''))
    yield 'filters', png((b'IHDR', head), (b'IDAT', zlib.compress((b'\xff' + bytes(48)) * 16)),
                         (b'IEND', b''))
    yield 'too short', png((b'IHDR', head), (b'IDAT', zlib.compress(bytes(48))), (b'IEND', b''))
    long = png((b'IHDR', head), (b'IDAT', rows), (b'IEND', b''))
    for at in (8, 33, len(long) - 12):
        for n in (0, 2**31 - 1, 2**31, 2**32 - 1):
            yield f'length {n} at {at}', long[:at] + struct.pack('>I', n) + long[at + 4:]


def jpegs():
    """Markers around no picture: each is a lie about what follows."""
    def marker(code, data=b'', n=None):
        return bytes([255, code]) + struct.pack('>H', len(data) + 2 if n is None else n) + data
    quant = marker(0xdb, b'\0' + bytes([1] * 64))
    huff = marker(0xc4, b'\0' + bytes([0, 1] + [0] * 14) + b'\0') + \
        marker(0xc4, b'\x10' + bytes([0, 1] + [0] * 14) + b'\0')
    scan = marker(0xda, b'\1\1\0\0\x3f\0')
    for start in (0xc0, 0xc1, 0xc2, 0xc3, 0xc9, 0xcb):
        for height, width in ((0, 0), (16, 16), (65535, 65535), (0, 16), (8192, 8192)):
            for sampling in (0x11, 0x00, 0xff, 0x41):
                frame = marker(start, struct.pack('>BHHB', 8, height, width, 1)
                               + bytes([1, sampling, 0]))
                name = f'{start:x}, {width} x {height}, {sampling:x}'
                yield name, b'\xff\xd8' + quant + frame + huff + scan + bytes(64) + b'\xff\xd9'
                yield name + ', scans', b'\xff\xd8' + quant + frame + huff + scan * 20000
    for n in (0, 1, 2, 65535):
        for code in (0xdb, 0xc4, 0xda, 0xe1, 0xdd, 0xfe):
            yield f'length {n} of {code:x}', b'\xff\xd8' + marker(code, b'\0' * 64, n) + quant


def pictures():
    stride = 1 if '--every' in sys.argv else 17
    db = connect()
    db.execute('SELECT latent_load(?)', (TINY_PICTURE,))
    db.execute('CREATE TABLE picture(png)')
    db.execute('INSERT INTO picture VALUES(0)')
    clock = Clock(db)
    mutants = [*pngs(), *jpegs()]
    bad, n_told = [], 0
    for name, data in mutants[::stride]:
        db.execute('UPDATE picture SET png=?', (data,))
        for sql in ('SELECT length(latent_encode(png)) FROM picture',
                    'SELECT length(latent_sheet(png)) FROM picture'):
            answer = clock.run(sql)
            n_told += isinstance(answer, str)
            if not is_clean(answer):
                bad.append(f'{name}: {answer}')
        if clock.worst > LATE:
            bad.append(f'{name}: {clock.worst:.1f} s too late')
            clock.worst = 0
    ok(not bad, f'attacks: {len(mutants[::stride])} pictures, {n_told} answers are errors',
       '\n'.join(bad[:40]))


if __name__ == '__main__':
    main(shadow_tables, attached, weights, pictures)
