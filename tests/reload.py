"""Loads the extension, uses it, closes the connection, and again: memory must not grow.

    reload.py MODEL.safetensors
"""
import os
import sqlite3
import sys

os.environ['LATENT_MODEL'] = os.path.abspath(sys.argv[1])
ROUNDS, WARM, ALLOWED_KB = 60, 20, 3000     # a model copied and lost is 570 kB a round: 22,800 kB


def resident_kb():
    with open('/proc/self/statm') as f:
        return int(f.read().split()[1]) * 4


def once():
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension('build/latent')
    assert len(db.execute("SELECT latent_encode('hello')").fetchone()[0]) > 16
    assert 0 <= db.execute("SELECT latent_distance('hello', 'there')").fetchone()[0] <= 2
    for broken in ('truncated', 'altered', 'no_tokenizer', 'empty'):
        try:
            db.execute('SELECT latent_load(?)', (f'build/tests/models/{broken}.safetensors',))
            raise SystemExit(f'{broken} was loaded')
        except sqlite3.Error:
            pass
    db.close()


for i in range(ROUNDS):
    once()
    if i == WARM:
        before = resident_kb()
grown = resident_kb() - before
print(f'{ROUNDS - WARM} rounds: {grown} kB more')
sys.exit(grown > ALLOWED_KB)
