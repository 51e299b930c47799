"""What the index benchmark measures of one system.

    index_measure.py MEASURE '{"system": ..., "data": ..., "n": ..., "path": ...}'

Each measure is a process of its own, which prints one line of JSON. Work that waits for nobody is
timed in seconds of processor time, so that what else runs on the machine counts little. What waits
for the disk, and the opening, is timed by the clock.
"""
import json
import os
import re
import shutil
import sys
import time

import numpy as np

import index_data
import index_systems

F_VALUES = 1000         # f is one of 0...999: f < 500 keeps 50%, f < 5 0.5%
SPARE = 10000           # rows inserted into an index that is there
SINGLE = 300            # of them, one a transaction
LONGEST = 3             # seconds for one knob


def make(task, filtered=False):
    """(the system, still closed; its rows; queries)."""
    rows, queries = index_data.load(task['data'])
    system = index_systems.SYSTEMS[task['system']](rows.shape[1], task['n'], filtered)
    return system, rows, queries


def filter_values(n):
    """f of n rows."""
    return np.random.default_rng(2).integers(0, F_VALUES, n)


class Clock:
    """Seconds of the processor and of the clock."""

    def __init__(self):
        self.cpu = time.process_time()
        self.wall = time.perf_counter()

    def read(self):
        return {'cpu': time.process_time() - self.cpu, 'wall': time.perf_counter() - self.wall}


def empty(path):
    """Makes path an empty directory, and the working directory."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    os.chdir(path)


def open_copy(system, path, name):
    """A copy of the table in a directory beside it, which is the working directory then."""
    shutil.rmtree(path + name, ignore_errors=True)
    shutil.copytree(path, path + name)
    os.chdir(path + name)
    system.open()


# ---- Building ----

def build(task):
    """n rows in one transaction, until they can be searched; and what the file takes."""
    system, rows, _ = make(task)
    empty(task['path'])
    rows = np.array(rows[:task['n']])
    system.create()
    clock = Clock()
    system.insert(range(1, len(rows) + 1), rows, filter_values(len(rows)))
    inserted = clock.read()
    system.finish()
    out = {'seconds': clock.read(), 'insert_seconds': inserted}
    system.close()
    return {**out, 'bytes_ratio': system.bytes() / rows.nbytes}


def insert(task):
    """Rows into an index that is there (a copy of it).

    Rows a second in one transaction, and with one row a transaction.
    """
    system, rows, _ = make(task)
    n, path = task['n'], task['path']
    if len(rows) >= n + SPARE:
        fresh = np.array(rows[n:n + SPARE])
    else:       # no row is left: turned over ones
        fresh = np.array(rows[n - SPARE:n][:, ::-1])
    f = filter_values(SPARE)
    ids = range(n + 1, n + 1 + SPARE)
    open_copy(system, path, '-more')
    at = SPARE - SINGLE
    clock = Clock()
    system.insert(ids[:at], fresh[:at], f)
    out = {'batch': {k: at / s for k, s in clock.read().items()}}
    clock = Clock()
    for i in range(at, SPARE):
        system.insert(ids[i:i + 1], fresh[i:i + 1], f[i:i + 1])
    out['single'] = SINGLE / clock.read()['wall']
    system.close()
    shutil.rmtree(os.getcwd())
    return out


def plain(task):
    """What SQLite itself takes.

    Rows with a blob in an ordinary table, one a transaction; and a query that finds nothing out.
    """
    import apsw

    empty(task['path'])
    db = apsw.Connection(index_systems.FILE)
    for name, value in index_systems.SETTINGS.items():
        db.pragma(name, value)
    db.execute('CREATE TABLE v(id INTEGER PRIMARY KEY, vector BLOB)')
    blob = bytes(400)
    clock = Clock()
    for i in range(SINGLE):
        with db:
            db.execute('INSERT INTO v VALUES(?, ?)', (i, blob))
    single = SINGLE / clock.read()['wall']
    execute = db.cursor().execute
    sql = "SELECT key FROM json_each('[0,1,2,3,4,5,6,7,8,9]') WHERE ?1 IS NOT NULL LIMIT 10"
    n = 20000
    clock = Clock()
    for _ in range(n):
        execute(sql, (blob,)).fetchall()
    return {'single': single, 'floor_us': clock.read()['cpu'] / n * 1e6}


# ---- Searching ----

def timed(search, queries):
    """(what was found, queries a second of processor time, and by the clock).

    One query after the other, warm; slow systems are asked less.
    """
    for q in queries[:20]:
        search(q)
    clock = Clock()
    found = []
    for q in queries:
        found.append(search(q))
        if len(found) % 20 == 0 and clock.read()['cpu'] > LONGEST:
            break
    return found, *(len(found) / s for s in clock.read().values())


def sweep_of(system, rows, queries, wanted, below=None):
    """For each knob: recall, queries a second."""
    points = []
    blobs = [q.tobytes() for q in queries]
    for knob in system.knobs():
        found, qps, qps_wall = timed(system.searcher(knob, below), blobs)
        recall = index_data.recall(found, rows, queries, wanted)
        points.append({'knob': knob, 'recall': recall, 'qps': qps, 'qps_wall': qps_wall})
    return points


def wanted_of(task, rows, label):
    """index_data.worst_wanted() of all queries."""
    queries = index_data.load(task['data'])[1]
    return index_data.worst_wanted(task['data'], rows, queries, label)


def sweep(task):
    system, rows, queries = make(task)
    rows = rows[:task['n']]
    queries = queries[:task['queries']]
    wanted = wanted_of(task, rows, task['n'])
    os.chdir(task['path'])
    system.open()
    points = sweep_of(system, rows, queries, wanted)
    system.close()
    return points


def first(task):
    """By the clock: from nothing to the first result; the file lies in the system's cache."""
    system, _, queries = make(task)
    query = queries[task['turn']].tobytes()
    if system.in_sql:
        import apsw     # noqa: F401: what is measured is the opening, not Python's import
    else:
        import faiss    # noqa: F401
    os.chdir(task['path'])
    start = time.perf_counter()
    system.open()
    system.searcher(task['knob'])(query)
    return (time.perf_counter() - start) * 1e3


def own_memory():
    """MB: [its own, with the pages of files that are mapped]."""
    with open('/proc/self/smaps_rollup') as f:
        kib = dict(re.findall(r'(\w+): +(\d+) kB', f.read()))
    return np.array([int(kib['Anonymous']), int(kib['Rss'])]) / 1024


def memory(task):
    """MB that a process grows by when it opens the file and answers 1,000 queries.

    Its own, and with the pages of the file that are mapped.
    """
    system, _, queries = make(task)
    blobs = [q.tobytes() for q in queries[:1000]]
    if system.in_sql:
        import apsw     # noqa: F401
    else:
        import faiss    # noqa: F401
    os.chdir(task['path'])
    before = own_memory()
    system.open()
    search = system.searcher(task['knob'])
    for q in blobs:
        search(q)
    return (own_memory() - before).tolist()


# ---- Churn and filters ----

def churn(task):
    """Half of the rows are deleted and as many others inserted.

    Recall and speed before and after, of the same number of rows.
    """
    system, rows, queries = make(task)
    n = task['n']
    half = n // 2
    queries = queries[:task['queries']]
    open_copy(system, task['path'], '-churned')
    wanted = wanted_of(task, rows[:n], n)
    out = {'before': sweep_of(system, rows[:n], queries, wanted)}
    gone = np.random.default_rng(3).permutation(n)[:half]
    clock = Clock()
    system.delete(gone + 1)
    out['delete'] = half / clock.read()['cpu']
    clock = Clock()
    system.insert(range(n + 1, n + half + 1), np.array(rows[n:n + half]), filter_values(half))
    out['insert'] = half / clock.read()['cpu']
    now = np.array(rows[:n + half])
    now[gone] = 0               # never near: rowids stay positions
    wanted = wanted_of(task, now, f'{n}-churned')
    out['after'] = sweep_of(system, now, queries, wanted)
    system.close()
    out['bytes_ratio'] = system.bytes() / rows[:n].nbytes
    shutil.rmtree(os.getcwd())
    return out


def filters(task):
    """Conditions that keep a half, a twentieth and a two-hundredth of the rows."""
    system, rows, queries = make(task, filtered=True)
    empty(task['path'] + '-filtered')
    rows = np.array(rows[:task['n']])
    queries = queries[:task['queries']]
    f = filter_values(task['n'])
    system.create()
    system.insert(range(1, len(rows) + 1), rows, f)
    system.finish()
    out = {}
    for below in (F_VALUES // 2, F_VALUES // 20, F_VALUES // 200):
        kept = np.where((f < below)[:, None], rows, 0)
        wanted = wanted_of(task, kept, f"{task['n']}-f{below}")
        out[below] = sweep_of(system, kept, queries, wanted, below)
    system.close()
    shutil.rmtree(os.getcwd())
    return out


MEASURES = {
    'build': build,
    'insert': insert,
    'plain': plain,
    'sweep': sweep,
    'first': first,
    'memory': memory,
    'churn': churn,
    'filters': filters,
}

if __name__ == '__main__':
    os.sched_setaffinity(0, {0})
    measure = MEASURES[sys.argv[1]]
    print(json.dumps(measure(json.loads(sys.argv[2]))))
