#!/usr/bin/python3
"""Latents of a column of Parquet files, made by Ray Data on the cores of a cluster.

    build/many/bin/python examples/ray/encode.py IN OUT --column body
    build/many/bin/python examples/ray/encode.py IN OUT --column body --make vectors

    build/many/bin/python examples/ray/encode.py IN OUT --column body --estimate    makes nothing

IN is a Parquet file or a folder of them (or what else ray.data.read_parquet takes, as s3://...),
OUT a folder for new ones: the same rows and columns, and one more. What is made, by --make:

    latents     `latent`: latent_encode(body, '{"refine":0}'), to search, mix and compare
    exact       `latent`: latent_encode(body), which also decodes to the very text; slower
    vectors     `vector`: latent_embed(body), 384 numbers, as a list of floats

Each actor has one core, a connection of its own with the extension loaded, and puts its batch
into a table that latent_encode_each() reads (not a JSON array: there SQLite ends a text at U+0000).
NULL stays NULL. Rows keep no order between files: keep an id in a column.
"""
import argparse
import os
import sqlite3
import sys
import time

import pyarrow as pa
import ray
from pyarrow import dataset

if __name__ != '__main__':              # the actors need no copy of this file
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXTENSION = os.path.join(ROOT, 'build', 'latent.so')
ESTIMATED = 2000                # rows
BATCH = 2048                    # rows; the model reads 512 of them at a time
MAKES = {
    'latents': ('latent', 'latent_encode_each(\'batch\', \'body\', \'{"refine":0}\')'),
    'exact': ('latent', "latent_encode_each('batch', 'body')"),
    'vectors': ('vector', "latent_embed_each('batch', 'body')"),
}


def extension():
    """LATENT_EXTENSION, or what make left in this repository. It must be there on every node."""
    path = os.path.abspath(os.environ.get('LATENT_EXTENSION') or EXTENSION)
    if not os.path.exists(path):
        sys.exit(f'encode.py: there is no {path}: run make, or set LATENT_EXTENSION to the path of '
                 'the extension')
    return path


class Encoder:
    """The actor: Arrow tables in, Arrow tables with one more column out."""

    def __init__(self, extension, column, make):
        os.environ['LATENT_THREADS'] = '1'      # an actor a core
        # Ray calls it from a thread of its own, one batch at a time.
        self.db = sqlite3.connect(':memory:', check_same_thread=False)
        self.db.enable_load_extension(True)
        self.db.load_extension(extension.removesuffix('.so'))
        self.db.execute('CREATE TABLE batch(id INTEGER PRIMARY KEY, body)')
        self.column, (self.name, each) = column, MAKES[make]
        self.sql = f'SELECT {self.name} FROM {each} ORDER BY rowid'

    def __call__(self, table):
        texts = table.column(self.column).to_pylist()
        self.db.execute('DELETE FROM batch')
        self.db.executemany('INSERT INTO batch VALUES (?, ?)', enumerate(texts))
        made = [row[0] for row in self.db.execute(self.sql)]
        return table.append_column(self.name, self.array(made))

    def array(self, made):
        if self.name == 'latent':
            return pa.array(made, pa.binary())
        numbers = [None if v is None else memoryview(v).cast('f').tolist() for v in made]
        return pa.array(numbers, pa.list_(pa.float32()))


def estimate(source, column, make):
    """What many such rows cost, by the processor time of the first ones, in this process."""
    table = dataset.dataset(source, format='parquet').head(ESTIMATED)
    encoder = Encoder(extension(), column, make)
    encoder(table.slice(0, 1))          # the weights are loaded
    began = time.process_time()
    encoder(table)
    each = (time.process_time() - began) / len(table)
    print(f'{len(table):,} rows, {1 / each:,.0f} a second of a core; '
          f'100 million rows are {each * 1e8 / 3600:,.0f} core-hours')


def encode(source, out, column, make, workers):
    """workers: actors, each with a core; None: all cores but one, which lists, reads and writes."""
    cores = int(ray.cluster_resources()['CPU'])
    workers = workers or cores - 1
    if not 0 < workers < cores:
        sys.exit(f'encode.py: {workers} workers and {cores} cores: it needs a worker, and a core '
                 'beside them for reading and writing')
    rows = ray.data.read_parquet(source)
    schema = rows.schema()
    if column not in schema.names:
        sys.exit(f'encode.py: {source} has no column "{column}"; it has {", ".join(schema.names)}')
    kind = schema.types[schema.names.index(column)]
    if kind not in (pa.string(), pa.large_string()):
        sys.exit(f'encode.py: column "{column}" is {kind}, expected string')
    if MAKES[make][0] in schema.names:
        sys.exit(f'encode.py: {source} has a column "{MAKES[make][0]}" already')
    rows.map_batches(Encoder, fn_constructor_args=(extension(), column, make), batch_size=BATCH,
                     batch_format='pyarrow', num_cpus=1,
                     compute=ray.data.ActorPoolStrategy(size=workers)).write_parquet(out)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('source')
    parser.add_argument('out')
    parser.add_argument('--column', required=True)
    parser.add_argument('--make', choices=MAKES, default='latents')
    parser.add_argument('--workers', type=int)
    parser.add_argument('--estimate', action='store_true')
    a = parser.parse_args()
    if a.estimate:
        estimate(a.source, a.column, a.make)
        sys.exit()
    ray.init()                  # the cluster that RAY_ADDRESS names, or this machine
    ray.data.DataContext.get_current().enable_progress_bars = False
    encode(os.path.abspath(a.source) if os.path.exists(a.source) else a.source,
           a.out if '://' in a.out else os.path.abspath(a.out), a.column, a.make, a.workers)
