#!/usr/bin/python3
"""SQLITE_LIMIT_LENGTH below what a function gives is "too big", not "out of memory": no harm."""
import os
import sqlite3

from common import TINY, main, ok

TEXT = 'A sentence is here. ' * 12
STATEMENTS = (
    'SELECT latent_encode(?1)', 'SELECT latent_decode(?1)', 'SELECT latent_json(?1)',
    'SELECT latent_vector(?1)', 'SELECT latent_add(?1, ?1)', 'SELECT latent_mean(?1)',
    'SELECT latent_interp(?1, ?1, 0.5)', 'SELECT latent_image(?1, 1)', 'SELECT latent_plot(?1, ?1)',
    "SELECT latent FROM latent_path(?1, 'b', 3)", 'SELECT latent FROM t', 'SELECT rowid FROM t(?1)',
    "SELECT content FROM latent_imagine('t', ?1, 2)", "INSERT INTO t(t) VALUES('optimize')",
    "INSERT INTO t(t) VALUES('rebuild')",
)


def lengths():
    db = sqlite3.connect(':memory:', isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension('build/latent')
    db.execute('CREATE VIRTUAL TABLE t USING latent(body)')
    db.execute('INSERT INTO t(body) VALUES (?), (?)', (TEXT, 'It is warm.'))
    rows = "SELECT hex(latent) FROM t"
    before = db.execute(rows).fetchall()
    db.execute('INSERT INTO t(body) SELECT body FROM t')
    n_too_big = 0
    for limit in (300, 600):
        whole = db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limit)
        for sql in STATEMENTS:
            said = 'it worked'
            try:
                db.execute(sql, (TEXT,) if '?1' in sql else ()).fetchall()
            except (sqlite3.Error, MemoryError) as e:
                said = repr(e)
                n_too_big += getattr(e, 'sqlite_errorcode', 0) == 18
            good = said == 'it worked' or 'SQLITE_TOOBIG' in said or 'DataError' in said
            ok(good, f'a limit of {limit} bytes: {sql}', said)
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, whole)
        db.execute("INSERT INTO t(t) VALUES('integrity-check')")
    ok(n_too_big > 10, 'the limit was met', f'{n_too_big} times')
    ok(db.execute(rows).fetchall() == 2 * before, 'the table is whole after it')


if __name__ == '__main__':
    os.environ['LATENT_MODEL'] = TINY
    main(lengths)
