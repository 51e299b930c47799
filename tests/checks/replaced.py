#!/usr/bin/python3
"""Weights that are overwritten in place while they are used: no crash, the same latents."""
import os
import shutil
import sqlite3
import subprocess
import sys

from common import ROOT, TINY, WORK, main, ok

FOLDER = f'{WORK}/replaced'
WEIGHTS = f'{FOLDER}/text.safetensors'
TEXT = 'A small boat waits by the old harbor. ' * 20


def connect(path=WEIGHTS):
    db = sqlite3.connect(':memory:', isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension('build/latent')
    db.execute('SELECT latent_load(?)', (path,))
    return db


def copy_weights():
    os.makedirs(FOLDER, exist_ok=True)
    shutil.copy(TINY, WEIGHTS)
    shutil.copy(TINY.replace('.safetensors', '.json'), WEIGHTS.replace('.safetensors', '.json'))
    if not os.path.lexists(f'{FOLDER}/meaning'):
        os.symlink(os.path.abspath('tests/data/bert'), f'{FOLDER}/meaning')


def damaged(how):
    """In a process of its own: what it gives before and after `how` is done to the file."""
    copy_weights()
    db = connect()
    sql = 'SELECT hex(latent_encode(?)), latent_decode(latent_encode(?))'
    before = db.execute(sql, (TEXT, TEXT)).fetchone()
    size = os.path.getsize(WEIGHTS)
    if how == 'shortened':
        os.truncate(WEIGHTS, size // 3)
    elif how == 'emptied':
        os.truncate(WEIGHTS, 0)
    else:
        with open(WEIGHTS, 'r+b') as f:                 # as cp does it
            f.write(bytes(size))
    after = db.execute(sql, (TEXT, TEXT)).fetchone()
    print('same' if before == after else 'different')
    db.close()
    try:
        connect()
    except sqlite3.Error as e:
        print(e)


def replaced():
    for how in ('shortened', 'emptied', 'overwritten'):
        p = subprocess.run([sys.executable, __file__, how], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, check=False)
        lines = p.stdout.splitlines()
        ok(p.returncode == 0 and lines[:1] == ['same'], f'weights are {how}: the latents stay',
           f'exit status {p.returncode}, {p.stdout[-300:]}')
        ok(lines[-1:] and 'text.safetensors' in lines[-1],
           f'weights are {how}: who opens them next is told the file', f'{lines[-1:]}')


def reindexed():
    """An index on an expression of latents is wrong with other weights, until REINDEX."""
    db = sqlite3.connect(':memory:', isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension('build/latent')
    db.execute('SELECT latent_load(?)', (TINY,))
    db.execute('CREATE TABLE notes(id INTEGER PRIMARY KEY, body)')
    db.executemany('INSERT INTO notes(body) VALUES (?)', [(f'note {i}',) for i in range(20)])
    db.execute('CREATE INDEX far ON notes(latent_distance(body, \'the sea\'))')
    check = 'PRAGMA integrity_check'
    ok(db.execute(check).fetchall() == [('ok',)], 'an index on an expression is whole')
    db.execute("SELECT latent_load('model/text.safetensors')")
    ok(db.execute(check).fetchall() != [('ok',)], 'with other weights it is not')
    db.execute('REINDEX far')
    ok(db.execute(check).fetchall() == [('ok',)], 'after REINDEX it is')
    db.execute('DELETE FROM notes WHERE id % 2')
    ok(db.execute(check).fetchall() == [('ok',)], 'and rows can be deleted')


if __name__ == '__main__':
    os.environ.pop('LATENT_MODEL', None)
    if len(sys.argv) > 1:
        os.chdir(ROOT)
        damaged(sys.argv[1])
    else:
        main(replaced, reindexed)
