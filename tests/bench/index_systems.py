"""The systems of the index benchmark, all with the same few verbs.

Each is set up as its own documentation advises. Those in SQL run in one SQLite (apsw's), with
prepared statements, and with the same settings of the database: SETTINGS.
"""
import os

import numpy as np

import index_data

# The file, in the working directory. Write-ahead log, and a sync at every commit (FULL); pages are
# read from a memory map, as vec1's own measurements do.
FILE = 'table'
SETTINGS = {'journal_mode': 'wal', 'synchronous': 'full', 'mmap_size': 1 << 30,
            'cache_size': -65536}


class System:
    """One table in the working directory, which holds nothing else.

    The columns are the vector and, where filtered, an integer f.
    """
    name = ''
    in_sql = True

    def __init__(self, width, rows, filtered=False):
        self.width = width
        self.rows = rows
        self.filtered = filtered

    def create(self):
        """An empty table, ready for insert()."""

    def finish(self):
        """After the rows of a build: training, where it is needed."""

    def open(self):
        """An existing file, ready for search."""

    def knobs(self):
        """What buys recall with time, from fast to thorough."""
        return [None]

    def searcher(self, knob, below=None):
        """A function from the bytes of a query to a list of rowids.

        below: only rows whose f is less.
        """

    def bytes(self):
        """Of all its files."""
        return sum(os.path.getsize(name) for name in os.listdir())


class InSql(System):
    table = ''          # CREATE VIRTUAL TABLE; {filter} is replaced
    filter = ''         # the declaration of f in it
    columns = 'rowid, vector'
    marks = '?, ?'

    def extension(self):
        """The path for load_extension()."""

    def open(self):
        import apsw

        self.db = apsw.Connection(FILE)
        self.db.enable_load_extension(True)
        self.db.load_extension(self.extension())
        for name, value in SETTINGS.items():
            self.db.pragma(name, value)

    def create(self):
        self.open()
        filtered = self.filter if self.filtered else ''
        self.db.execute(self.table.format(width=self.width, filter=filtered, file=FILE,
                                          room=self.rows * 2))

    def blobs(self, vector):
        return (vector.tobytes(),)

    def insert(self, rowids, vectors, f):
        """One transaction."""
        with self.db:
            self.insert_rows(rowids, vectors, f)

    def insert_rows(self, rowids, vectors, f):
        columns, marks = self.columns, self.marks
        if self.filtered:
            columns += ', f'
            marks += ', ?'
        n = columns.count(',') + 1
        values = ((int(i), *self.blobs(x), int(y))[:n] for i, x, y in zip(rowids, vectors, f))
        self.db.executemany(f'INSERT INTO v({columns}) VALUES({marks})', values)

    def delete(self, rowids):
        with self.db:
            self.db.executemany('DELETE FROM v WHERE rowid = ?', ((int(i),) for i in rowids))

    def statement(self, knob, where):
        """SQL whose ?1 is the query; where: '' or a condition on f with ?2."""

    def arguments(self, query):
        return (query,)

    def searcher(self, knob, below=None):
        sql = self.statement(knob, '' if below is None else 'f < ?2')
        execute = self.db.cursor().execute
        arguments = self.arguments
        more = () if below is None else (below,)

        def search(query):
            return [row[0] for row in execute(sql, (*arguments(query), *more)).fetchall()]

        return search

    def close(self):
        self.db.close()


class Latent(InSql):
    name = 'latent'
    table = 'CREATE VIRTUAL TABLE v USING latent(width={width}{filter})'
    filter = ', f INTEGER filter'
    columns = 'rowid, latent'

    def extension(self):
        return os.path.join(index_data.ROOT, 'build', 'latent')

    def knobs(self):
        return [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99]

    def statement(self, knob, where):
        where = where and ' WHERE ' + where
        return f"""SELECT rowid FROM v(?1, '{{"recall":{knob}}}'){where} LIMIT 10"""


class Vec1(InSql):
    """Trained as its manual advises, codes re-ranked by the exact distance.

    Of 1 and 1.75 times the square root of the rows as buckets, codes of 20, 25 and 50 bytes for a
    width of 100, with OPQ and without, this was the fastest at a recall of 0.95.
    """
    name = 'vec1'
    table = 'CREATE VIRTUAL TABLE v USING vec1(vector{filter})'
    filter = ', f'
    trained_rows = 100000

    def extension(self):
        import apsw

        return os.path.join(os.path.dirname(apsw.__file__), 'sqlite_extra_binaries', 'vec1')

    def model(self):
        n_buckets = max(32, round(1.75 * self.rows ** 0.5))
        return f'{{codesize: {self.width // 4}, nbucket: {n_buckets}, distance: "cos"}}'

    def finish(self):
        sample = f'SELECT vector FROM v WHERE rowid <= {self.trained_rows}'
        with self.db:
            train = f'SELECT vec1_train(vector, ?) FROM ({sample})'
            model = self.db.execute(train, (self.model(),)).get
            self.db.execute("INSERT INTO v(cmd, arg) VALUES('rebuild', ?)", (model,))

    def knobs(self):
        return [(50, .02), (50, .04), (100, .04), (50, .06), (100, .06), (100, .08), (100, .11),
                (100, .16), (100, .25), (200, .25), (200, .4), (200, .7), (200, .999)]

    def statement(self, knob, where):
        where = where and ' WHERE ' + where
        k, nprobe = knob
        inner = f"SELECT rowid, vector FROM v(?1, '{{k:{k}, nprobe:{nprobe}}}'){where}"
        return f'SELECT rowid FROM ({inner}) ORDER BY vec1_cos_distance(?1, vector) LIMIT 10'


class SqliteVec(InSql):
    name = 'sqlite-vec'
    table = ('CREATE VIRTUAL TABLE v USING vec0(vector float[{width}] '
             'distance_metric=cosine{filter})')
    filter = ', f integer'

    def extension(self):
        import sqlite_vec

        return sqlite_vec.loadable_path()

    def statement(self, knob, where):
        where = where and ' AND ' + where
        return f'SELECT rowid FROM v WHERE vector MATCH ?1 AND k = 10{where}'


class SqliteVecBits(SqliteVec):
    """Binary quantisation with re-scoring, as its guide shows.

    The bits are padded to whole bytes, which it asks for.
    """
    name = 'sqlite-vec bits'
    columns = 'rowid, vector, bits'
    marks = '?, ?, vec_bit(?)'

    def create(self):
        bits = f', bits bit[{(self.width + 7) // 8 * 8}]'
        self.table = self.table.replace('{filter}', bits + '{filter}')
        super().create()

    def bits(self, vector):
        return np.packbits(vector > 0, bitorder='little').tobytes()

    def blobs(self, vector):
        return vector.tobytes(), self.bits(vector)

    def knobs(self):
        return [20, 50, 100, 200, 400, 1000]

    def arguments(self, query):
        return query, self.bits(np.frombuffer(query, np.float32))

    def statement(self, knob, where):
        where = where and ' AND ' + where.replace('?2', '?3')
        inner = f'SELECT rowid, vector FROM v WHERE bits MATCH vec_bit(?2) AND k = {knob}{where}'
        return f'SELECT rowid FROM ({inner}) ORDER BY vec_distance_cosine(vector, ?1) LIMIT 10'


class Vectorlite(InSql):
    """hnswlib in memory; it writes its index to a file of its own when the table is let go of."""
    name = 'vectorlite'
    table = ('CREATE VIRTUAL TABLE v USING vectorlite(vector float32[{width}] cosine, '
             "hnsw(max_elements={room}, ef_construction=200, M=16), '{file}.index')")

    def extension(self):
        import vectorlite_py

        return vectorlite_py.vectorlite_path()

    def create(self):
        super().create()
        if self.filtered:
            self.db.execute('CREATE TABLE filters(id INTEGER PRIMARY KEY, f INTEGER)')

    def insert_rows(self, rowids, vectors, f):
        blobs = ((int(i), x.tobytes()) for i, x in zip(rowids, vectors))
        self.db.executemany('INSERT INTO v(rowid, vector) VALUES(?, ?)', blobs)
        if self.filtered:
            values = ((int(i), int(y)) for i, y in zip(rowids, f))
            self.db.executemany('INSERT INTO filters VALUES(?, ?)', values)

    def knobs(self):
        return [10, 20, 40, 80, 160, 320, 640]

    def statement(self, knob, where):
        only = where and f' AND rowid IN (SELECT id FROM filters WHERE {where})'
        return f'SELECT rowid FROM v WHERE knn_search(vector, knn_param(?1, 10, {knob})){only}'


class Faiss(System):
    """The limit outside SQL: no transactions, no file but a whole copy."""
    in_sql = False
    factory = ''

    def create(self):
        import faiss

        faiss.omp_set_num_threads(1)
        factory = self.factory.format(lists=round(2 * self.rows ** 0.5))
        self.index = faiss.index_factory(self.width, factory, faiss.METRIC_INNER_PRODUCT)

    def insert(self, rowids, vectors, f):
        if not self.index.is_trained:
            self.index.train(vectors)
        # Numbered in order: rowids are 1, 2, ...
        self.index.add(vectors)

    def finish(self):
        import faiss

        faiss.write_index(self.index, FILE)

    def open(self):
        import faiss

        faiss.omp_set_num_threads(1)
        self.index = faiss.read_index(FILE)

    def searcher(self, knob, below=None):
        self.turn(knob)
        index_search = self.index.search
        width = self.width

        def search(query):
            _, found = index_search(np.frombuffer(query, np.float32).reshape(1, width), 10)
            return [i + 1 for i in found[0].tolist() if i >= 0]

        return search

    def close(self):
        pass


class FaissIvf(Faiss):
    name = 'Faiss IVF'
    factory = 'IVF{lists},Flat'

    def knobs(self):
        return [2, 4, 8, 16, 32, 64, 128, 256]

    def turn(self, knob):
        self.index.nprobe = knob


class FaissHnsw(Faiss):
    name = 'Faiss HNSW'
    factory = 'HNSW16'

    def insert(self, rowids, vectors, f):
        self.index.hnsw.efConstruction = 200
        super().insert(rowids, vectors, f)

    def knobs(self):
        return [10, 20, 40, 80, 160, 320, 640]

    def turn(self, knob):
        self.index.hnsw.efSearch = knob


SYSTEMS = {s.name: s for s in (Latent, Vec1, SqliteVec, SqliteVecBits, Vectorlite, FaissIvf,
                               FaissHnsw)}


def versions():
    import importlib.metadata as metadata

    import apsw

    db = apsw.Connection(':memory:')
    db.enable_load_extension(True)
    db.load_extension(Vec1(1, 1).extension())
    packages = ', '.join(f'{p} {metadata.version(p)}'
                         for p in ('sqlite-vec', 'vectorlite-py', 'faiss-cpu', 'numpy'))
    vec1 = db.execute('SELECT vec1_info()').get
    return f'SQLite {apsw.sqlite_lib_version()}, vec1 {vec1}, {packages}'
