#!/usr/bin/python3
"""Functions of latent in DuckDB, and Parquet in, Parquet with latents out.

    build/many/bin/python examples/duckdb/latent_duckdb.py IN.parquet OUT.parquet --column body

As a library, register(con) gives a connection of DuckDB

    latent_encode(text)       BLOB          to search, mix and compare ('{"refine":0}')
    latent_encode_exact(text) BLOB          decodes to the very text too; slower
    latent_embed(text)        FLOAT[]       384 numbers, for DuckDB's own list_cosine_distance()
    latent_decode(latent)     VARCHAR
    latent_distance(a, b)     DOUBLE        of two latents
    latent_interp(a, b, t)    VARCHAR       what lies between two texts, written

    SELECT body FROM 'notes.parquet'
      ORDER BY latent_distance(latent, latent_encode('a quiet place by the sea')) LIMIT 3

They are vectorised: DuckDB hands over up to 2,048 values as an Arrow array, and
latent_encode_each() reads them from a table (not a JSON array: there SQLite ends a text at U+0000).
Each thread of DuckDB has an SQLite connection of its own; all share one copy of the weights. NULL
in, NULL out. DuckDB's sqlite extension is not used: it reads tables of SQLite files, and no
functions or virtual tables.
"""
import argparse
import os
import sqlite3
import sys
import threading

import duckdb
import pyarrow as pa
from duckdb.sqltypes import BLOB, DOUBLE, VARCHAR

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXTENSION = os.path.join(ROOT, 'build', 'latent.so')
ENCODE_EACH = 'SELECT latent FROM latent_encode_each(\'batch\', \'body\', \'{"refine":0}\')'
EXACT_EACH = "SELECT latent FROM latent_encode_each('batch', 'body')"
EMBED_EACH = "SELECT vector FROM latent_embed_each('batch', 'body')"
own = threading.local()


def sqlite():
    """The connection of this thread."""
    if not hasattr(own, 'db'):
        path = os.environ.get('LATENT_EXTENSION') or EXTENSION
        own.db = sqlite3.connect(':memory:')
        own.db.enable_load_extension(True)
        own.db.load_extension(path.removesuffix('.so'))
        own.db.execute('CREATE TABLE batch(id INTEGER PRIMARY KEY, body)')
    return own.db


def each(sql, texts):
    """What a table-valued function gives for an Arrow array of texts."""
    db = sqlite()
    db.execute('DELETE FROM batch')
    db.executemany('INSERT INTO batch VALUES (?, ?)', enumerate(texts.to_pylist()))
    return [row[0] for row in db.execute(sql + ' ORDER BY rowid')]


def encode(texts):
    return pa.array(each(ENCODE_EACH, texts), pa.binary())


def encode_exact(texts):
    return pa.array(each(EXACT_EACH, texts), pa.binary())


def embed(texts):
    numbers = [None if v is None else memoryview(v).cast('f').tolist()
               for v in each(EMBED_EACH, texts)]
    return pa.array(numbers, pa.list_(pa.float32()))


def by_row(sql, result, *columns):
    """What a scalar function gives for one row of the Arrow arrays after the other."""
    db, rows = sqlite(), zip(*(column.to_pylist() for column in columns))
    return pa.array([db.execute(sql, row).fetchone()[0] for row in rows], result)


def decode(latents):
    return by_row('SELECT latent_decode(?)', pa.string(), latents)


def distance(a, b):
    return by_row('SELECT latent_distance(?, ?)', pa.float64(), a, b)


def interp(a, b, t):
    return by_row('SELECT latent_interp(?, ?, ?)', pa.string(), a, b, t)


def register(con):
    """Gives the connection of DuckDB these functions."""
    def add(name, function, parameters, result):
        con.create_function(name, function, parameters, result, type='arrow',
                            null_handling='special')

    add('latent_encode', encode, [VARCHAR], BLOB)
    add('latent_encode_exact', encode_exact, [VARCHAR], BLOB)
    add('latent_embed', embed, [VARCHAR], duckdb.list_type('FLOAT'))
    add('latent_decode', decode, [BLOB], VARCHAR)
    add('latent_distance', distance, [BLOB, BLOB], DOUBLE)
    add('latent_interp', interp, [VARCHAR, VARCHAR, DOUBLE], VARCHAR)
    return con


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('source')
    parser.add_argument('out')
    parser.add_argument('--column', required=True)
    parser.add_argument('--function', default='latent_encode',
                        choices=('latent_encode', 'latent_encode_exact', 'latent_embed'))
    a = parser.parse_args()
    con = register(duckdb.connect())
    name = 'vector' if a.function == 'latent_embed' else 'latent'
    column = '"' + a.column.replace('"', '""') + '"'
    con.read_parquet(a.source).project(f'*, {a.function}({column}) AS {name}').write_parquet(a.out)


if __name__ == '__main__':
    try:
        main()
    except duckdb.Error as e:
        sys.exit(f'latent_duckdb.py: {e}')
