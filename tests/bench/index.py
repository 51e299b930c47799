#!/usr/bin/env python3
"""`make bench-index`: the virtual table's index beside others, in one run on one machine.

    index.py [--full] [--reuse] [--systems latent,vec1] [--data glove,latents]
             [--rows 10000,30000] [--publish]

It writes build/bench-index.md and two pictures. The others are SQLite's own vec1, sqlite-vec and
vectorlite, and Faiss as the limit outside SQL. All search real vectors (index_data.py), with one
thread on one processor. Every measure is a process of its own (index_measure.py). The sweeps go
round all systems in turns, and a figure is the median of the turns.

--full takes all sizes of all data sets for all systems: making a million vectors and building
HNSW of them takes hours. --reuse keeps tables that others built in
an earlier run (and what was measured at that), and never ours. --publish copies the pictures to
tests/bench/, whose README.md shows them.
"""
import argparse
import datetime
import json
import math
import os
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, 'build')
FOLDER = os.path.join(BUILD, 'bench-index')
VENV = os.path.join(BUILD, 'bench-venv')
PACKAGES = ['numpy', 'apsw', 'sqlite-vec', 'vectorlite-py', 'faiss-cpu']
SIZES = {'glove': [10000, 30000, 100000, 339479], 'latents': [10000, 30000, 100000, 300000],
         'meaning': [100000, 339000, 1000000], 'families': [100000]}
TARGET = 0.95
OTHERS = ['vec1', 'sqlite-vec', 'sqlite-vec bits', 'vectorlite', 'Faiss IVF', 'Faiss HNSW']
ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}


def enter_venv():
    """Starts again inside build/bench-venv, where what is missing is installed first."""
    python = os.path.join(VENV, 'bin', 'python')
    ready = os.path.join(VENV, 'ready-index')
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        return
    if not os.path.exists(ready):
        print('installing the others into build/bench-venv: ' + ', '.join(PACKAGES), flush=True)
        if not os.path.exists(python):
            subprocess.run([sys.executable, '-m', 'venv', VENV], check=True)
        subprocess.run([python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check',
                        *PACKAGES], check=True)
        open(ready, 'w').close()
    os.execve(python, [python, *sys.argv], ENVIRONMENT)


# ---- Measuring ----

def table_path(system, data, n):
    plain = ''.join(c for c in system if c.isalnum()) or 'plain'
    return os.path.join(FOLDER, f'{data}-{n}-{plain}')


def measure(what, system, data, n, **more):
    """One measure in a process of its own; where it failed, None, and a line that says so."""
    task = {'system': system, 'data': data, 'n': n, 'path': table_path(system, data, n), **more}
    command = [sys.executable, os.path.join(HERE, 'index_measure.py'), what, json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ['no message'])[-1]
        print(f'  {system}, {data} {n:,}: {what} failed: {said}', flush=True)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def built(system, data, n, reuse):
    """The table, built now or kept from an earlier run."""
    kept = table_path(system, data, n) + '.json'
    if reuse and system != 'latent' and os.path.exists(kept):
        with open(kept) as f:
            return json.load(f)
    found = measure('build', system, data, n)
    if found:
        with open(kept, 'w') as f:
            json.dump(found, f)
    return found


def merged(rounds):
    """One sweep of several, with the median speed of each knob."""
    def middle(points, key):
        return statistics.median(p[key] for p in points)

    rounds = [r for r in rounds if r]
    if not rounds:
        return []
    return [{**points[0], 'qps': middle(points, 'qps'), 'qps_wall': middle(points, 'qps_wall')}
            for points in zip(*rounds)]


def front(points):
    """The points that no other one beats in both, by rising recall."""
    best = []
    for p in sorted(points, key=lambda p: (-p['recall'], -p['qps'])):
        if not best or p['qps'] > best[-1]['qps']:
            best.append(p)
    return best[::-1]


def speed_at(points, recall=TARGET):
    """Queries a second at this recall, between the two points around it.

    None where it is never reached.
    """
    points = front(points)
    for i, p in enumerate(points):
        if p['recall'] >= recall:
            if i == 0:
                return p['qps']
            a = points[i - 1]
            t = (recall - a['recall']) / (p['recall'] - a['recall'])
            return math.exp((1 - t) * math.log(a['qps']) + t * math.log(p['qps']))
    return None


def knob_for(points, recall=TARGET):
    """The fastest knob that reaches the recall, or the most thorough one."""
    enough = [p for p in points if p['recall'] >= recall]
    if enough:
        return max(enough, key=lambda p: p['qps'])['knob']
    return max(points, key=lambda p: p['recall'])['knob']


def plan(args):
    """[(data, n, systems)].

    In the short run the others stand beside us at 100,000 rows, and vec1 at every size.
    """
    out = []
    for data in args.data:
        sizes = sorted({min(n, SIZES[data][-1]) for n in args.rows or SIZES[data]})
        for n in sizes if args.full or args.rows or data == 'glove' else [100000]:
            everyone = args.full or args.rows or n == 100000
            systems = [s for s in args.systems if everyone or s in ('latent', 'vec1')]
            out.append((data, n, systems))
    return out


def measure_all(args, tables):
    """{(data, n): {system: {measure: value}}}"""
    results = {(data, n): {s: {} for s in systems} for data, n, systems in tables}
    for (data, n), found in results.items():
        print(f'building {n:,} rows of {data}', flush=True)
        for s in list(found):
            found[s]['build'] = built(s, data, n, args.reuse)
            if not found[s]['build']:
                del found[s]
    rounds = {}
    for turn in range(args.turns):
        print(f'sweeps, turn {turn + 1}', flush=True)
        for (data, n), found in results.items():
            for s in found:
                found_now = measure('sweep', s, data, n, queries=args.queries)
                rounds.setdefault((data, n, s), []).append(found_now)
    for (data, n), found in results.items():
        print(f'inserts, opening, memory: {n:,} rows of {data}', flush=True)
        for s in found:
            found[s]['sweep'] = points = merged(rounds[data, n, s])
            if not points:
                continue
            knob = knob_for(points)
            found[s]['first'] = [measure('first', s, data, n, knob=knob, turn=i)
                                 for i in range(5)]
            found[s]['memory'] = measure('memory', s, data, n, knob=knob)
            if not s.startswith('Faiss'):
                found[s]['insert'] = measure('insert', s, data, n)
    for (data, n), found in results.items():
        if data != 'meaning' and (n == 100000 or args.rows):
            print(f'churn and filters: {n:,} rows of {data}', flush=True)
            for s in found:
                if s in ('latent', 'vec1', 'vectorlite', 'sqlite-vec') and found[s]['sweep']:
                    found[s]['churn'] = measure('churn', s, data, n, queries=args.queries)
                    found[s]['filters'] = measure('filters', s, data, n, queries=args.queries)
    return results


# ---- The report ----

def number(x, form='{:,.0f}'):
    return 'not reached' if x is None else form.format(x)


def machine():
    with open('/proc/cpuinfo') as f:
        names = [line.split(':')[1].strip() for line in f if line.startswith('model name')]
    name = names[0] if names else 'unknown CPU'
    commit = subprocess.run(['git', 'describe', '--always', '--dirty'], cwd=ROOT,
                            capture_output=True, text=True).stdout.strip()
    now = datetime.datetime.now(datetime.timezone.utc)
    return (f'{name}, {os.cpu_count()} cores, Linux {os.uname().release}; {now:%Y-%m-%d %H:%M} '
            f'UTC; commit {commit}')


def rate(per_second, digits=3):
    """Rounded to what it is worth."""
    return f'{round(per_second, digits - 1 - int(math.log10(max(per_second, 1)))):,.0f}'


def main_rows(found):
    """One system a line."""
    yield ('| | queries/s at 0.95 | build, rows/s | inserts/s into it, one transaction | '
           'one row a transaction | file, bytes per raw byte | memory, MB | '
           'open to first result |')
    yield '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
    for s, m in found.items():
        if not m.get('sweep'):
            continue
        speed = speed_at(m['sweep'])
        insert = m.get('insert')
        first = [t for t in m['first'] if t is not None]
        cells = [
            s,
            rate(speed) if speed else 'not reached',
            rate(m['rate']),
            rate(insert['batch']['cpu']) if insert else '',
            rate(insert['single']) if insert else '',
            f"{m['build']['bytes_ratio']:.2f}",
            f"{m['memory'][0]:.0f}" if m['memory'] else '',
            f'{statistics.median(first):.0f} ms' if first else '',
        ]
        yield '| ' + ' | '.join(cells) + ' |'


def growth_rows(results, data):
    """How everything grows with the rows, ours and vec1's."""
    yield ('| rows | latent, queries/s at 0.95 | vec1 | times as fast | inserts/s | '
           'one row a transaction | file | memory | open |')
    yield '| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
    for (d, n), found in results.items():
        ours = found.get('latent', {})
        theirs = found.get('vec1', {})
        if d != data or not ours.get('sweep'):
            continue
        a = speed_at(ours['sweep'])
        b = speed_at(theirs.get('sweep', []))
        first = [t for t in ours['first'] if t is not None]
        insert = ours.get('insert')
        cells = [
            f'{n:,}',
            number(a and round(a, -1)),
            number(b and round(b, -1)),
            f'{a / b:.2f}' if a and b else '',
            rate(ours['rate']),
            rate(insert['single']) if insert else '',
            f"{ours['build']['bytes_ratio']:.2f}",
            f"{ours['memory'][0]:.0f} MB" if ours['memory'] else '',
            f'{statistics.median(first):.0f} ms' if first else '',
        ]
        yield '| ' + ' | '.join(cells) + ' |'


def asked_rows(results):
    """The option `recall` against the truth."""
    tables = [(d, n, found['latent']['sweep']) for (d, n), found in results.items()
              if found.get('latent', {}).get('sweep')]
    yield '| recall asked for | ' + ' | '.join(f'{d}, {n:,}' for d, n, _ in tables) + ' |'
    yield '| ---: |' + ' ---: |' * len(tables)
    for i, point in enumerate(tables[0][2]):
        found = [points[i] for _, _, points in tables]
        cells = [f"{p['recall']:.3f}, {rate(p['qps'])}/s" for p in found]
        yield f"| {point['knob']} | " + ' | '.join(cells) + ' |'


def churn_rows(found):
    yield ('| | queries/s at 0.95 before | after | recall at one setting before | after | '
           'deletes/s | file after |')
    yield '| --- | ---: | ---: | ---: | ---: | ---: | ---: |'
    for s, m in found.items():
        c = m.get('churn')
        if not c:
            continue
        knob = knob_for(c['before'])
        recalls = [next(p['recall'] for p in c[when] if p['knob'] == knob)
                   for when in ('before', 'after')]
        speeds = [number(speed_at(c[when])) for when in ('before', 'after')]
        yield (f'| {s} | {speeds[0]} | {speeds[1]} | {recalls[0]:.3f} | {recalls[1]:.3f} | '
               f"{rate(c['delete'])} | {c['bytes_ratio']:.2f} |")


def filter_rows(found):
    yield '| | all rows | 50% kept | 5% kept | 0.5% kept |\n| --- | ---: | ---: | ---: | ---: |'
    for s, m in found.items():
        if m.get('filters'):
            kept = [number(speed_at(points)) for points in m['filters'].values()]
            yield f"| {s} | {number(speed_at(m['sweep']))} | " + ' | '.join(kept) + ' |'


def aims(results):
    """The aims of the index, each with what was measured at the largest table of each data set."""
    for data in dict.fromkeys(d for d, _ in results):
        sizes = [n for d, n in results
                 if d == data and results[d, n].get('latent', {}).get('sweep')]
        if not sizes:
            continue
        ours = results[data, sizes[-1]]['latent']
        theirs = results[data, sizes[-1]].get('vec1', {})
        a = speed_at(ours['sweep'])
        b = speed_at(theirs.get('sweep', []))
        first = statistics.median(ours['first'])
        yield f'{data}, {sizes[-1]:,} rows:'
        if a and b:
            yield f'- queries/s at recall 0.95, twice those of vec1: {a / b:.2f} times'
        yield f"- 20,000 inserts a second, the index built as they come: {ours['rate']:,.0f}"
        yield f"- 1.5 bytes in the file per raw byte: {ours['build']['bytes_ratio']:.2f}"
        yield f'- first result of a cold open under 50 ms: {first:.0f} ms'
        small = results[data, sizes[0]]['latent']['sweep']
        if len(sizes) > 1 and a and speed_at(small):
            exponent = math.log(speed_at(small) / a) / math.log(sizes[-1] / sizes[0])
            yield ('- query cost grows no faster than the square root of the rows: with the power '
                   f'{exponent:.2f} from {sizes[0]:,} rows on')


def pictures(results):
    """{name of the file: SVG}: speed against recall, and time against rows."""
    import index_plot

    def costs(data, sizes, s):
        """(rows, ms a query) of a system, where it reaches the recall."""
        speeds = [(n, speed_at(results[data, n].get(s, {}).get('sweep', []))) for n in sizes]
        return [(n, 1e3 / speed) for n, speed in speeds if speed]

    names = [s for s in ['latent', *OTHERS] if any(s in found for found in results.values())]
    recall, growth = [], []
    for data in dict.fromkeys(d for d, _ in results):
        sizes = [n for d, n in results if d == data]
        most = max(sizes, key=lambda n: (len(results[data, n]), n))
        curves = {s: [(p['recall'], p['qps']) for p in front(m['sweep'])]
                  for s, m in results[data, most].items() if m.get('sweep')}
        recall.append(index_plot.panel(f'{data}, {most:,} rows', curves, 'recall@10',
                                       'queries per second',
                                       (.7, 1.0, [.7, .75, .8, .85, .9, .95, 1])))
        if len(sizes) > 1:
            curves = {s: costs(data, sizes, s) for s in names}
            start = curves.get('latent') or [(sizes[0], 1)]
            guide = [(n, start[0][1] * (n / start[0][0]) ** .5) for n in sizes]
            curves = {s: c for s, c in curves.items() if c}
            growth.append(index_plot.panel(f'{data}: recall@10 of 0.95', curves, 'rows',
                                           'ms a query', guide=guide))
    return {'index-recall.svg': index_plot.picture(recall, names),
            'index-growth.svg': index_plot.picture(growth, names)}


def head(args, results, plain):
    """What was measured where and how."""
    import index_systems

    slower = [p['qps'] / p['qps_wall'] for found in results.values() for m in found.values()
              for p in m.get('sweep', [])]
    settings = ', '.join(f'{k}={v}' for k, v in index_systems.SETTINGS.items())
    full = ' FULL=1' if args.full else ''
    yield f'{machine()}; {index_systems.versions()}; `make bench-index{full}`.\n'
    yield (f'One thread on one processor; the same settings of SQLite for all ({settings}). '
           'Queries and bulk inserts by processor time (by the clock queries took '
           f'{statistics.median(slower):.2f} times as long in this run: the machine was shared); '
           "one row a transaction, synced, and opening (the file in the system's cache) by the "
           f'clock. {args.queries:,} queries for 10 neighbours, medians of {args.turns} turns. '
           f"Calling SQLite from Python costs each system in SQL {plain['floor_us']:.0f} us a "
           f"query. A plain table takes {rate(plain['single'])} rows/s, one a transaction.\n")


def report(args, write, results, plain):
    for line in head(args, results, plain):
        write(line)
    for (data, n), found in results.items():
        if len(found) > 2 or len(results) == 1:
            write(f'**{data}, {n:,} rows**\n')
            for line in main_rows(found):
                write(line)
            write('')
    for data in dict.fromkeys(d for d, _ in results):
        if sum(d == data and 'latent' in found for (d, _), found in results.items()) > 1:
            write(f'**Growth, {data}**\n')
            for line in growth_rows(results, data):
                write(line)
            write('')
    churned = 'Half of the rows deleted and as many others inserted', 'churn', churn_rows
    filtered = 'Queries/s at recall 0.95 with a filter', 'filters', filter_rows
    for (data, n), found in results.items():
        for title, key, rows in (churned, filtered):
            if any(m.get(key) for m in found.values()):
                write(f'**{title}: {data}, {n:,} rows**\n')
                for line in rows(found):
                    write(line)
                write('')
    if any(found.get('latent', {}).get('sweep') for found in results.values()):
        write('**Recall asked for, recall measured, queries/s**\n')
        for line in asked_rows(results):
            write(line)
        write('\n**Aims**\n')
        for line in aims(results):
            write(line)


def names(words):
    return words.split(',')


def numbers(words):
    return [int(w) for w in words.split(',')]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--full', action='store_true')
    parser.add_argument('--reuse', action='store_true')
    parser.add_argument('--publish', action='store_true')
    parser.add_argument('--systems', type=names, default=['latent', *OTHERS])
    parser.add_argument('--data', type=names, default=list(SIZES))
    parser.add_argument('--rows', type=numbers)
    parser.add_argument('--queries', type=int, default=1000)
    parser.add_argument('--turns', type=int, default=3)
    args = parser.parse_args()
    enter_venv()
    import index_data

    tables = plan(args)
    for data in args.data:
        index_data.load(data, max(n for d, n, _ in tables if d == data))
    results = measure_all(args, tables)
    for (_, n), found in results.items():
        for m in found.values():
            m['rate'] = n / m['build']['seconds']['cpu'] if m['build'] else 0
    lines = []

    def write(line):
        print(line, flush=True)
        lines.append(line)

    report(args, write, results, measure('plain', '', 'plain', 0))
    with open(os.path.join(BUILD, 'bench-index.md'), 'w', encoding='utf8') as f:
        f.write('\n'.join(lines) + '\n')
    with open(os.path.join(FOLDER, 'results.json'), 'w') as f:
        json.dump([[*key, found] for key, found in results.items()], f)
    for name, svg in pictures(results).items():
        with open(os.path.join(BUILD, name), 'w', encoding='utf8') as f:
            f.write(svg)
        if args.publish:
            shutil.copy(os.path.join(BUILD, name), os.path.join(HERE, name))


if __name__ == '__main__':
    main()
