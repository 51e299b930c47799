#!/usr/bin/python3
"""The portable binary's speed beside that of build/latent.so, on this machine.

    bindings/dist/speed.py [ROUNDS]     5
    wine build/windows/python/python.exe bindings/dist/speed.py     latent.dll alone, in Wine

Encodes, decodes, compares and searches the first 40 notes of sql/notes.sql, and encodes 40
pictures, with the shipped weights and one thread. The binaries take turns, so that what else the
machine does meets both; what counts is the processor time of the process, and of a binary its best
round.
tests/checks/windows.py --every fetches the Python for Windows.
"""
import os
import platform
import sqlite3
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARIES = (('build/dist/windows-x86_64/latent.dll',) if sys.platform == 'win32' else
            ('build/latent.so', f'build/dist/linux-{platform.machine()}/latent.so'))
TASKS = {
    'latent_encode': 'SELECT count(latent_encode(body)) FROM notes',
    'latent_decode': 'SELECT count(latent_decode(z)) FROM points',
    'latent_embed': 'SELECT count(latent_embed(body)) FROM notes',
    'latent_encode, pictures': 'SELECT count(latent_encode(png)) FROM pictures',
    'latent_distance': "SELECT min(latent_distance(body, 'a quiet place by the sea')) FROM notes",
    'search, 40 queries': 'SELECT count(*) FROM notes, found(notes.body)',
}


def opened(path):
    """A connection with the extension at the path, and all that the tasks read."""
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension(path)
    with open('sql/notes.sql', encoding='utf8') as f:
        db.executescript(f.read())
    db.execute('DELETE FROM notes WHERE id > 40')
    db.execute('CREATE TABLE points AS SELECT latent_encode(body) AS z FROM notes')
    db.execute('CREATE VIRTUAL TABLE found USING latent(body)')
    db.execute('INSERT INTO found(body) SELECT body FROM notes')
    db.execute('CREATE TABLE pictures(png)')
    folder = 'examples/pictures/noto'
    for name in sorted(os.listdir(folder))[:40]:
        with open(f'{folder}/{name}', 'rb') as f:
            db.execute('INSERT INTO pictures VALUES (?)', (f.read(),))
    return db


def main():
    os.chdir(ROOT)
    os.environ |= {'LATENT_MODEL': 'model', 'LATENT_THREADS': '1'}
    rounds = int(sys.argv[1]) if sys.argv[1:] else 5
    connections = [opened(os.path.abspath(path)) for path in BINARIES]
    print(f'{"ms of processor time":26}' + ''.join(f'{path:>40}' for path in BINARIES))
    for name, sql in TASKS.items():
        best = [float('inf')] * len(BINARIES)
        for i in range(rounds*len(BINARIES)):
            which = i % len(BINARIES)
            start = time.process_time()
            connections[which].execute(sql).fetchall()
            best[which] = min(best[which], time.process_time() - start)
        print(f'{name:26}' + ''.join(f'{1000*b:33.1f} ({b/best[0]:.2f})' for b in best))


if __name__ == '__main__':
    main()
