"""An SQL script in the newest SQLite that PyPI has, printed as the sqlite3 shell prints it: for tests/run, which runs it with build/apsw.

    build/apsw/bin/python tests/newest_shell.py EXTENSION SCRIPT

A statement's rows, columns parted by |; "error: " and the message where it fails. Plans, which shells print each in their own way,
are left out, and what dot commands print.
"""
import sys

import apsw


def statements(db, path):
    """Each statement of the script as it stands there; the one dot command that changes anything is done."""
    text = ''
    for line in open(path, encoding='utf8'):
        if not text and (line.startswith(('.', '--')) or not line.strip()):
            if line.startswith('.dbconfig defensive on'):
                db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
            continue
        text += line
        if apsw.complete(text):
            yield text
            text = ''


def words(db, value):
    if value is None:
        return ''
    if isinstance(value, float):
        return db.execute("SELECT printf('%!.15g', ?)", (value,)).get
    return value.decode('utf8', 'replace').split('\0')[0] if isinstance(value, bytes) else str(value)


def main(extension, script):
    db = apsw.Connection(':memory:')
    db.enable_load_extension(True)
    db.load_extension(extension)
    for sql in statements(db, script):
        if 'EXPLAIN' in sql.upper().split():
            continue
        try:
            for row in db.execute(sql):
                print('|'.join(words(db, value) for value in row))
        except (apsw.Error, UnicodeError) as e:
            print('error:', e)


main(*sys.argv[1:])
