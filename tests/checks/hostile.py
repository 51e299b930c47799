#!/usr/bin/python3
"""Files of strangers: shadow tables that somebody has written on purpose.

    tests/checks/hostile.py             one mutation in forty-one
    tests/checks/hostile.py --every     all of them
    tests/checks/hostile.py TEXT        those whose name has the text, with what they answer

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
"""
import ctypes
import re
import sqlite3
import struct
import sys
import time

from common import TINY, main, ok

SECONDS = 1.0
LATE = 1.0                      # so much later a statement may end: the machine may be busy
N_ROWS = 40
SHADOWS = ('t_config', 't_rows', 't_pending', 't_cells', 't_codes')

# ---- Databases ----

VECTOR_QUERY = "x'" + struct.pack('<8f', 1, 2, 0, -1, 0.5, 0, 1, -2).hex() + "'"
KINDS = {
    'vectors': ('latent(width=8, x INTEGER filter, cell_rows=8)', VECTOR_QUERY),
    'texts': ('latent(body, x INTEGER filter, cell_rows=8)', "'a dog in the rain'"),
    'notes': ("latent(body, x INTEGER filter, content='p', content_rowid='id', cell_rows=8)",
              "'a dog in the rain'"),
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
    """Ends statements that take longer than SECONDS. worst: by how much one came later."""
    def __init__(self, db):
        self.worst = 0
        self.start = time.monotonic()
        db.set_progress_handler(self.is_late, 1000)
        self.db = db

    def is_late(self):
        return time.monotonic() - self.start > SECONDS

    def run(self, sql):
        """Rows, or the text of an error."""
        self.start = time.monotonic()
        try:
            answer = self.db.execute(sql).fetchmany(10000)
        except sqlite3.Error as e:
            answer = f'{type(e).__name__}: {e}'
        except (ValueError, OverflowError, UnicodeError) as e:  # what Python cannot show
            answer = f'{type(e).__name__}: {e} (Python)'
        self.worst = max(self.worst, time.monotonic() - self.start - SECONDS)
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
SECOND = {'t_config': 'v', 't_codes': 'rows', 't_cells': 'n', 't_rows': 'f0', 't_pending': 'old'}
KEYS = {'t_config': 'k', 't_codes': 'id', 't_cells': 'id', 't_rows': 'id', 't_pending': 'id'}


def mutations(image):
    """(name, SQL) of all that can be done to this database."""
    db = connect()
    db.deserialize(image)
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
    if isinstance(answer, list) and isinstance(after, str):
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
            ok(False, f'hostile: {kind}, {setting}', str(right[setting]))
    report = Report()
    for i, (name, sql) in enumerate(mutations(image)):
        if wanted not in name or (i % stride and not wanted):
            continue
        done = mutated(image, other, sql)
        for setting in right if done else ():
            use(kind, done, setting, name, right[setting], report)
    detail = f'{report.n} uses, {report.n_told} told of, {report.n_same} of no effect'
    ok(not report.bad and report.n, f'hostile: shadow rows of {kind}: {detail}',
       f'{len(report.bad)} faults\n' + '\n'.join(report.bad[:400 if wanted or stride == 1 else 12]))


def shadow_tables():
    arguments = sys.argv[1:]
    wanted = next((a for a in arguments if not a.startswith('--')), '')
    for kind in KINDS:
        shadow_rows(kind, 1 if '--every' in arguments else 41, wanted)


if __name__ == '__main__':
    main(shadow_tables)
