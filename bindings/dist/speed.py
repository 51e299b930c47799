#!/usr/bin/python3
"""The portable binary's speed beside that of build/latent.so, on this machine.

    bindings/dist/speed.py [ROUNDS]     5

Encodes, decodes and compares the first 40 notes of sql/notes.sql, and encodes 40 pictures, with the
shipped weights and one thread. The two take turns, so that what else the machine does meets both;
what counts is the processor time of the process, and of a binary its best round.
"""
import os
import platform
import sqlite3
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARIES = ('build/latent.so', f'build/dist/linux-{platform.machine()}/latent.so')
TASKS = {
    'latent_encode': 'SELECT count(latent_encode(body)) FROM notes',
    'latent_decode': 'SELECT count(latent_decode(z)) FROM points',
    'latent_embed': 'SELECT count(latent_embed(body)) FROM notes',
    'latent_encode, pictures': 'SELECT count(latent_encode(png)) FROM pictures',
    'latent_distance': "SELECT min(latent_distance(body, 'a quiet place by the sea')) FROM notes",
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
    print(f'{"ms of processor time":26}{BINARIES[0]:>18}{BINARIES[1]:>38}')
    for name, sql in TASKS.items():
        best = [float('inf')] * 2
        for i in range(2*rounds):
            start = time.process_time()
            connections[i % 2].execute(sql).fetchone()
            best[i % 2] = min(best[i % 2], time.process_time() - start)
        print(f'{name:26}{1000*best[0]:18.1f}{1000*best[1]:31.1f} ({best[1]/best[0]:.2f})')


if __name__ == '__main__':
    main()
