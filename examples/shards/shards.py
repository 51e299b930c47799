#!/usr/bin/python3
"""Shards: the rows of one latent table in several SQLite files, searched side by side.

    /usr/bin/python3 examples/shards/shards.py build FOLDER --shards 4 < texts    a row a line
    /usr/bin/python3 examples/shards/shards.py search FOLDER 'a quiet place by the sea'

As a library (README.md beside this file says the rest):

    rows = Shards.create('notes.shards', 4)                 # texts, found by their meaning
    rows = Shards.create('vectors.shards', 4, width=384, model='all-MiniLM-L6-v2')
    rows.insert([(1, 'The ferry was late.'), (2, 'We had soup.')])
    rows.search('a boat', 10)                               # [(distance, rowid), ...]
    rows.delete([2])

A folder has shard-0.db, shard-1.db, ... and shards.json, which says how many there are and which
model made them. Each file is a latent table `rows` and a row that says which shard it is. A rowid's
shard follows from the rowid alone (shard_of), so nothing has to be looked up.

A shard gives its rows nearest first. So the k nearest of all are among the first k of each, and a
merge by (distance, rowid) gives the answer of one table that has all rows: with exact=True the same
to the last bit. Otherwise a shard of more than 4,096 rows passes over a few, as a table of that
size does (sql/README.md, Queries).

A shard that is missing, of another folder or of another model is an error. There are no answers
from a part of the rows.
"""
import argparse
import array
import heapq
import itertools
import json
import multiprocessing.connection
import os
import sqlite3
import subprocess
import sys
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXTENSION = os.path.join(ROOT, 'build', 'latent')
FIRST_PULL = 16                 # rows of each shard that a stream asks for first; then more


class ShardError(Exception):
    """Names the file of the shard, what came and what was expected."""


# ---- One connection ----
def extension():
    """LATENT_EXTENSION, or what make left in this repository; without the ending."""
    return (os.environ.get('LATENT_EXTENSION') or EXTENSION).removesuffix('.so')


def connect(path):
    db = sqlite3.connect(path, isolation_level=None)
    if not hasattr(db, 'enable_load_extension'):
        raise ShardError(f'{sys.executable} was built without extension loading; Debian\'s '
                         '/usr/bin/python3 has it')
    db.enable_load_extension(True)
    db.load_extension(extension())
    db.enable_load_extension(False)
    return db


def fingerprint(db):
    """Of the text model that this process has, as 8 hexadecimal digits."""
    model = json.loads(db.execute('SELECT latent_info()').fetchone()[0])['model']
    if not model:
        raise ShardError('there are no weights here: latent_info() says where they are looked for')
    return model['fingerprint']


def fingerprint_of(latent):
    """Of the model that made it: bytes 12 to 15 of its header, little-endian."""
    return f'{int.from_bytes(latent[12:16], "little"):08x}'


# ---- Which shard ----
def shard_of(rowid, n):
    """0 to n - 1, by a hash (splitmix64's last step): also ids in a pattern are shared out evenly.

    It must never change: the rows of every folder lie where it said.
    """
    x = rowid & 0xFFFFFFFFFFFFFFFF
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    x = (x ^ x >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return (x ^ x >> 31) % n


def shard_path(folder, number):
    return os.path.join(folder, f'shard-{number}.db')


# ---- One shard ----
class Shard:
    """One file, in the process that made this object; an actor of Ray too (ray_shards.py)."""

    @staticmethod
    def create(path, number, about):
        """about: what shards.json says, see Shards.create()."""
        db = connect(path)
        column = f'width={about["width"]}' if about['width'] else 'body'
        db.executescript(f'CREATE VIRTUAL TABLE rows USING latent({column});'
                         'CREATE TABLE shard(number INTEGER, folder TEXT, model TEXT)')
        db.execute('INSERT INTO shard VALUES (?, ?, ?)', (number, about['id'], about['model']))
        db.close()

    def __init__(self, path, number, about):
        if not os.path.exists(path):
            raise ShardError(f'{path}: shard {number} of {about["shards"]} is missing')
        self.db, self.path, self.about = connect(path), path, about
        self.column = 'latent' if about['width'] else 'body'
        self.streams = {}
        self.check(number)

    def check(self, number):
        """That it is this shard, of this folder, of this model, and that this process has that."""
        expected, model = (number, self.about['id']), self.about['model']
        try:
            *came, made_by = self.db.execute('SELECT number, folder, model FROM shard').fetchone()
            if not self.about['width']:
                row = self.db.execute('SELECT latent FROM rows WHERE latent IS NOT NULL LIMIT 1')
                made_by = next((fingerprint_of(z) for z, in row), made_by)
        except (sqlite3.Error, TypeError) as e:
            raise ShardError(f'{self.path}: this is no shard: {e}') from e
        if tuple(came) != expected:
            raise ShardError(f'{self.path}: this is shard {came[0]} of folder {came[1]}, '
                             f'expected shard {number} of folder {self.about["id"]}')
        if made_by != model:
            raise ShardError(f'{self.path}: its rows were made by the model {made_by}, expected '
                             f'{model}, which made the other shards')
        if not self.about['width'] and fingerprint(self.db) != model:
            raise ShardError(f'{self.path}: its rows were made by the model {model}, but this '
                             f'process has {fingerprint(self.db)}; set LATENT_MODEL to those '
                             'weights, or build the shards anew')

    def insert(self, rows):
        """[(rowid, text or f32 bytes), ...], all of them or, after an error, none."""
        self.streams.clear()            # none may read a table that changes
        with self.db:
            self.db.execute('BEGIN')
            self.db.executemany(f'INSERT INTO rows(rowid, {self.column}) VALUES (?, ?)', rows)

    def delete(self, rowids):
        """Gives how many there were."""
        self.streams.clear()
        before = self.count()
        with self.db:
            self.db.execute('BEGIN')
            self.db.executemany('DELETE FROM rows WHERE rowid = ?', [(i,) for i in rowids])
        return before - self.count()

    def count(self):
        return self.db.execute('SELECT count(*) FROM rows').fetchone()[0]

    def texts(self, rowids):
        """{rowid: text} of those that are there."""
        sql = 'SELECT rowid, body FROM rows WHERE rowid = ?'
        return {i: body for wanted in rowids for i, body in self.db.execute(sql, (wanted,))}

    def search(self, points, k, options):
        """For each point the k nearest, [(distance, rowid), ...]. options: JSON of the query."""
        sql = 'SELECT distance, rowid FROM rows(?, ?) LIMIT ?'
        return [self.db.execute(sql, (p, options, k)).fetchall() for p in points]

    def pull(self, stream, point, options, n):
        """The next n rows of a stream, which is begun when it is first named."""
        if point is not None:
            sql = 'SELECT distance, rowid FROM rows(?, ?)'
            self.streams[stream] = self.db.execute(sql, (point, options))
        if stream not in self.streams:
            raise ShardError(f'{self.path}: rows were written while a stream was read; ask again')
        return self.streams[stream].fetchmany(n)

    def end(self, stream):
        self.streams.pop(stream, None)

    def seconds(self):
        """Processor time of this process."""
        return time.process_time()


# ---- A process for each ----
def serve(pipe):
    """The process of a shard: a request, a reply, until the pipe ends. First comes which shard."""
    try:
        (path, *rest), shard = pipe.recv(), None
        while True:
            method, arguments = pipe.recv()
            try:
                shard = shard or Shard(path, *rest)
                pipe.send((True, getattr(shard, method)(*arguments)))
            except ShardError as e:
                pipe.send((False, str(e)))
            except Exception as e:
                pipe.send((False, f'{path}: {e}'))
    except (EOFError, KeyboardInterrupt):
        pass


class Shards:
    """All shards of a folder. Close it, or use it in a `with`.

    To have the shards elsewhere, derive a class that has start(), ask() and close() of its own.
    """

    @classmethod
    def create(cls, folder, shards, width=None, model=None, **options):
        """A new folder of so many empty shards.

        Without a width its rows are texts. With one they are vectors, f32, and model is a name of
        yours for what makes them: it is compared when the folder is opened with a model.
        """
        if (width is None) != (model is None):
            raise ShardError(f'width is {width} and model is {model}; vectors need both, texts '
                             'neither')
        if not shards > 0:
            raise ShardError(f'{shards} shards; there must be 1 or more')
        about = {'id': uuid.uuid4().hex, 'shards': shards, 'width': width,
                 'model': model or fingerprint(connect(':memory:'))}
        os.makedirs(folder)
        for number in range(shards):
            Shard.create(shard_path(folder, number), number, about)
        with open(os.path.join(folder, 'shards.json'), 'w', encoding='utf8') as f:
            json.dump(about, f)
        return cls(folder, **options)

    def __init__(self, folder, model=None, **options):
        """model: of vectors, what makes the queries; it must be what made the rows."""
        path = os.path.join(folder, 'shards.json')
        try:
            with open(path, encoding='utf8') as f:
                self.about = json.load(f)
        except FileNotFoundError:
            raise ShardError(f'{path} is missing: {folder} is no folder of shards') from None
        self.folder, self.n, self.db, self.n_streams = folder, self.about['shards'], None, 0
        if model is not None and model != self.about['model']:
            raise ShardError(f'{folder}: its rows were made by the model {self.about["model"]}, '
                             f'the queries by {model}')
        self.start(**options)
        try:
            self.ask_all('count')       # opens every shard, and so checks it
        except ShardError:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # How the shards are reached
    def start(self):
        self.workers = []
        for number in range(self.n):
            ours, theirs = multiprocessing.Pipe()
            process = subprocess.Popen([sys.executable, __file__, 'serve', str(theirs.fileno())],
                                       stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
            theirs.close()
            ours.send((shard_path(self.folder, number), number, self.about))
            self.workers.append((process, ours))

    def ask(self, requests):
        """[(shard, method, *arguments), ...], at most one a shard, all of them side by side.

        Gives the replies in that order. An error of one is raised after all have replied.
        """
        replies = []
        for number, method, *arguments in requests:
            try:
                self.workers[number][1].send((method, arguments))
            except OSError:
                pass                    # its process is gone: recv() says so
        for number, *_ in requests:
            try:
                replies.append(self.workers[number][1].recv())
            except (EOFError, OSError):
                replies.append((False, f'{shard_path(self.folder, number)}: its process ended'))
        return self.results(replies)

    @staticmethod
    def results(replies):
        errors = [reply for good, reply in replies if not good]
        if errors:
            raise ShardError('; '.join(errors))
        return [reply for _, reply in replies]

    def close(self):
        for process, pipe in self.workers:
            pipe.close()
            process.wait()
        self.workers = []

    # What they do together
    def ask_all(self, method, *arguments):
        return self.ask([(number, method, *arguments) for number in range(self.n)])

    def ask_holders(self, method, items, rowid=lambda item: item):
        """Each item goes to the shard that holds its rowid."""
        parts = [[] for _ in range(self.n)]
        for item in items:
            parts[shard_of(rowid(item), self.n)].append(item)
        return self.ask([(i, method, part) for i, part in enumerate(parts) if part])

    def insert(self, rows):
        """[(rowid, text), ...], or f32 vectors. Texts are encoded where their shard is.

        Each shard takes its rows in one transaction. There is none over all shards: after an error
        of one, the others have their rows.
        """
        if self.about['width']:
            rows = [(rowid, f32(vector)) for rowid, vector in rows]
        self.ask_holders('insert', rows, lambda row: row[0])

    def delete(self, rowids):
        """Gives how many there were."""
        return sum(self.ask_holders('delete', rowids))

    def count(self):
        return sum(self.ask_all('count'))

    def texts(self, rowids):
        """{rowid: text} of those that are there."""
        return {i: t for part in self.ask_holders('texts', rowids) for i, t in part.items()}

    def point(self, query):
        """A vector as it is. A text is encoded here, once, and not by every shard."""
        if self.about['width']:
            return f32(query)
        self.db = self.db or connect(':memory:')
        sql = 'SELECT latent_encode(?, \'{"refine":0}\')'       # search reads s alone
        return self.db.execute(sql, (query,)).fetchone()[0]

    def search(self, query, k, exact=False, recall=None):
        """The k nearest rows, [(distance, rowid), ...]; of equally near ones the least rowid first.

        exact and recall are the options of a query (sql/README.md, Queries).
        """
        return self.search_many([query], k, exact, recall)[0]

    def search_many(self, queries, k, exact=False, recall=None):
        """search() of each: one request to a shard, so more queries a second."""
        points = [self.point(q) for q in queries]
        parts = self.ask_all('search', points, k, query_options(exact, recall))
        return [heapq.nsmallest(k, itertools.chain(*lists)) for lists in zip(*parts)]

    def nearest(self, query, exact=False, recall=None):
        """All rows, nearest first, for as long as they are pulled: no k has to be chosen.

        It ends with an error when rows are written meanwhile.
        """
        self.n_streams += 1
        name = self.n_streams
        first = (name, self.point(query), query_options(exact, recall), FIRST_PULL)
        parts = self.ask_all('pull', *first)
        try:
            yield from heapq.merge(*(self.stream(i, name, rows) for i, rows in enumerate(parts)))
        finally:
            if self.workers:
                self.ask_all('end', name)

    def stream(self, number, name, rows):
        n = FIRST_PULL
        while rows:
            yield from rows
            n *= 2
            rows = self.ask([(number, 'pull', name, None, None, n)])[0]


def f32(vector):
    """Little-endian f32 bytes; bytes are taken to be that."""
    return vector if isinstance(vector, bytes) else array.array('f', vector).tobytes()


def query_options(exact, recall):
    given = ({'exact': True} if exact else {}) | ({'recall': recall} if recall else {})
    return json.dumps(given) if given else None


# ---- The program ----
def show(rows, query, k):
    found = rows.search(query, k)
    texts = rows.texts([i for _, i in found])
    for distance, rowid in found:
        print(f'{distance:.2f}  {rowid}  {texts[rowid]}')


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split('As a library')[0])
    parser.add_argument('command', choices=('build', 'search'))
    parser.add_argument('folder')
    parser.add_argument('query', nargs='?')
    parser.add_argument('--shards', type=int, default=os.cpu_count())
    parser.add_argument('-k', type=int, default=10)
    a = parser.parse_args()
    if a.command == 'build':
        with Shards.create(a.folder, a.shards) as rows:
            rows.insert(enumerate((line.rstrip('\n') for line in sys.stdin), 1))
            print(rows.count(), 'rows in', rows.n, 'shards')
    else:
        with Shards(a.folder) as rows:
            show(rows, a.query, a.k)


if __name__ == '__main__':
    if sys.argv[1:2] == ['serve']:      # Shards.start() calls it so
        serve(multiprocessing.connection.Connection(int(sys.argv[2])))
        sys.exit()
    try:
        main()
    except ShardError as e:
        sys.exit(f'shards.py: {e}')
