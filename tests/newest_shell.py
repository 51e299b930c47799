"""An SQL script in the newest SQLite that PyPI has, printed as the sqlite3 shell prints it.

    build/apsw/bin/python tests/newest_shell.py EXTENSION SCRIPT

tests/checks/newest.py runs it. It prints a statement's rows, columns parted by |, or "error: " and
the message. It leaves out plans, which every shell prints in its own way, and what dot commands
print.
"""
import sys

import apsw


def statements(db, path):
    """Each statement of the script as it stands there.

    The one dot command that changes anything is done.
    """
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
    if isinstance(value, bytes):
        return value.decode('utf8', 'replace').split('\0')[0]
    return str(value)


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
