#!/usr/bin/env python3
"""`make bench`: the engine beside ONNX Runtime, in one run on one machine, as a table.

    bench.py [--repeat N] [--rows WORD] [--picture FILE]
        needs build/core/bench/bench; installs numpy, onnx and onnxruntime into build/bench-venv;
        writes build/bench.md

Both sides get the same token ids or pixels and the same weights (onnx_model.py, onnx_picture.py)
and take turns. A figure is the median of the repetitions. The peer gets what it needs to be at its
best: batches sorted by length, no mask where all lengths are equal, its cache bound in place, no
copy of logits, finished texts taken out of a batch. `--rows pictures` measures those alone.
"""
import argparse
import array
import datetime
import functools
import glob
import itertools
import json
import lzma
import os
import random
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, 'model'))
from tokenizer import Tokenizer  # noqa: E402

BUILD = os.path.join(ROOT, 'build')
VENV = os.path.join(BUILD, 'bench-venv')
FOLDER = os.path.join(BUILD, 'bench')
ENGINE = os.path.join(BUILD, 'core', 'bench', 'bench')
WEIGHTS = os.path.join(ROOT, 'model', 'text.safetensors')
PICTURE = os.path.join(ROOT, 'model', 'picture.safetensors')
SENTENCE = 'The boy ran across the road to meet his mother.'
IMAGE_TEXTS = ('a red apple', 'a happy dog', 'an old castle by the sea',
               'a yellow flower in the sun', 'a sad face', 'a fast car', 'a cake with candles')
PAD, BOS, EOS = 0, 1, 2
BATCH = 64


def enter_venv():
    """Starts again inside build/bench-venv, which is made at the first run."""
    python = os.path.join(VENV, 'bin', 'python')
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        return
    if not os.path.exists(os.path.join(VENV, 'ready')):
        print('installing the peer (numpy, onnx, onnxruntime) into build/bench-venv', flush=True)
        try:
            subprocess.run([sys.executable, '-m', 'venv', VENV], check=True)
            subprocess.run([python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check',
                            'numpy', 'onnx', 'onnxruntime'], check=True)
        except subprocess.CalledProcessError:
            print('it cannot be installed here: our figures alone')
            return
        open(os.path.join(VENV, 'ready'), 'w').close()
    os.execv(python, [python, *sys.argv])


def read_json(weights):
    """What stands beside weights."""
    with open(weights.replace('.safetensors', '.json'), encoding='utf8') as f:
        return json.load(f)


# ---- The texts ----

def sentences():
    """Held-out sentences of the training data where they are at hand, or the notes of the tour."""
    path = os.path.join(ROOT, '..', 'shared', 'data', 'text', 'valid.txt.xz')
    if os.path.exists(path):
        with lzma.open(path, 'rt', encoding='utf8') as f:
            return [line.strip() for line in f], 'held-out sentences'
    with open(os.path.join(ROOT, 'sql', 'notes.sql'), encoding='utf8') as f:
        notes = re.findall(r"', '((?:[^']|'')*)'\)", f.read())
    return notes, 'sentences of sql/notes.sql, repeated'


@functools.cache
def shipped_tokenizer():
    return Tokenizer.from_json(WEIGHTS.replace('.safetensors', '.json'))


def token_rows(texts, least, most, n):
    """n rows of ids without END, of least..most tokens with it.

    Texts are used again where there are too few.
    """
    tokenizer = shipped_tokenizer()
    rows = []
    for text in texts:
        ids = tokenizer.encode(text) if len(text) < 200 else []
        if least <= len(ids) + 1 <= most:
            rows.append(ids)
        if len(rows) == n:
            break
    # No text of just this length: the middle of what there is.
    if not rows:
        rows = [(tokenizer.encode(t) * most)[:least - 1] for t in texts[:n]]
    return [rows[i % len(rows)] for i in range(n)]


def write_rows(rows, path):
    """As bench.c reads them: int32 n, start[n + 1], ids."""
    starts = itertools.accumulate((len(r) for r in rows), initial=0)
    with open(path, 'wb') as f:
        array.array('i', [len(rows), *starts, *itertools.chain(*rows)]).tofile(f)


# ---- Ours ----

class Engine:
    """A process of bench.c. Its methods are the commands, in the units of the other side."""

    name = 'latent'

    def __init__(self, weights=WEIGHTS):
        self.process = subprocess.Popen([ENGINE, weights], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def ask(self, *words):
        self.process.stdin.write(' '.join(map(str, words)) + '\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit('bench: the engine ended')
        return answer.strip()

    def load(self, name, rows):
        path = os.path.join(FOLDER, name + '.ids')
        write_rows(rows, path)
        self.ask('load', name, path)

    def encode(self, name, threads, how):
        return float(self.ask('encode', name, threads, how))

    def decode(self, name, threads, how, n):
        seconds, tokens = self.ask('decode', name, threads, how, n).split()
        return float(seconds), int(tokens)

    def array(self, name, what, kind):
        import numpy as np

        path = os.path.join(FOLDER, f'{name}.{what}')
        self.ask('write', name, path, what)
        return np.fromfile(path, kind)

    def texts(self, name, n):
        rows = self.ask('texts', name, n).split(',')[:n]
        return [[int(x) for x in row.split()] for row in rows]


# ---- The peer ----

def sessions(threads, names, folder):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1

    def session(name):
        path = os.path.join(folder, name + '.onnx')
        return onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])

    return {name: session(name) for name in names}


class Peer:
    """The same in ONNX Runtime."""

    name = 'ONNX Runtime'
    folder = FOLDER
    graphs = 'encoder', 'encoder_same', 'memory', 'step'
    decoded_together = BATCH

    def __init__(self, config):
        self.config = config
        self.sets = {}
        self.encoded = {}               # what it made itself: of texts r, of pictures z
        self.z = {}                     # what it decodes: the engine's points
        self.sessions = {}

    def load(self, name, rows):
        """The batches of both ways, laid out beforehand: that is not what is measured."""
        import numpy as np

        def matrix(part, fill):
            out = np.full((len(part), max(1, *map(len, part))), fill, np.int64)
            for i, row in enumerate(part):
                out[i, :len(row)] = row
            return out

        def pad(part):
            return {'ids': matrix([row + [EOS] for row in part], PAD)}

        ordered = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        groups = [ordered[i:i + BATCH] for i in range(0, len(ordered), BATCH)]
        batches = [pad([rows[i] for i in g]) for g in groups]
        self.sets[name] = {'order': ordered, 'batch': batches, 'each': [pad([r]) for r in rows]}

    def use(self, threads):
        """The sessions with so many threads.

        Only one number of threads is open at a time: waiting threads of another session would spin
        beside us.
        """
        if threads not in self.sessions:
            self.sessions = {threads: sessions(threads, self.graphs, self.folder)}
        return self.sessions[threads]

    def encode(self, name, threads, how):
        s = self.use(threads)
        z = []
        start = time.perf_counter()
        for batch in self.sets[name][how]:
            z.append(self.encode_batch(s, batch))
        seconds = time.perf_counter() - start
        if how == 'batch':
            import numpy as np

            order = self.sets[name]['order']
            self.encoded[name] = np.empty((len(order), z[0].shape[1]), np.float32)
            self.encoded[name][order] = np.concatenate(z)
        return seconds

    def encode_batch(self, s, feeds):
        return s['encoder_same' if feeds['ids'].all() else 'encoder'].run(None, feeds)[0]

    def decode(self, name, threads, how, n):
        s = self.use(threads)
        z = self.z[name][:n]
        size = self.decoded_together if how == 'batch' else 1
        start = time.perf_counter()
        self.texts = [t for i in range(0, n, size) for t in self.decode_batch(s, z[i:i + size])]
        return time.perf_counter() - start, sum(len(t) + 1 for t in self.texts)

    def decode_batch(self, s, z):
        import numpy as np

        names = [o.name for o in s['memory'].get_outputs()]
        memory = dict(zip(names, s['memory'].run(None, {'z': z})))
        shape = len(z), self.config['d'] // 64, self.config['longest'], 64
        cache = {f'{part}_{i}': np.zeros(shape, np.float32)
                 for i in range(self.config['decoder_layers']) for part in ('key', 'value')}
        texts = [[] for _ in z]
        live = list(range(len(z)))
        seen = 0
        ids = np.full((len(z), 1), BOS, np.int64)
        binding = None
        while live and seen < self.config['longest'] - 1:
            if binding is None:
                binding, following, counts, total = self.bind(s['step'], ids, memory, cache)
            counts[:] = seen
            total[...] = seen + 1
            s['step'].run_with_iobinding(binding)
            seen += 1
            ids[:] = following
            for i, row in enumerate(live):
                if ids[i, 0] != EOS and row >= 0:
                    texts[row].append(int(ids[i, 0]))
                else:
                    # It goes on unread until the batch is made smaller.
                    live[i] = -1
            n_live = sum(row >= 0 for row in live)
            if n_live <= len(live) * 3 // 4:
                keep = [i for i, row in enumerate(live) if row >= 0]
                live = [live[i] for i in keep]
                ids = ids[keep]
                memory = {k: v[keep] for k, v in memory.items()}
                cache = {k: v[keep] for k, v in cache.items()}
                binding = None
        return texts

    def bind(self, session, ids, memory, cache):
        """Everything in numpy's own memory: a step copies nothing in or out."""
        import numpy as np

        n = len(ids)
        binding = session.io_binding()
        following = np.zeros((n, 1), np.int64)
        counts = np.zeros(n, np.int32)
        total = np.zeros((), np.int32)
        for name, x in [('ids', ids), ('seen', counts), ('total', total), *memory.items()]:
            binding.bind_cpu_input(name, x)
        for name, x in cache.items():
            binding.bind_cpu_input('past_' + name, x)
            binding.bind_output('present_' + name, 'cpu', 0, np.float32, x.shape, x.ctypes.data)
        binding.bind_output('next', 'cpu', 0, np.int64, following.shape, following.ctypes.data)
        return binding, following, counts, total


class PicturePeer(Peer):
    folder = os.path.join(FOLDER, 'picture')
    graphs = 'encoder', 'decoder'
    # 5% less CPU time than 64 with an earlier network of convolutions (AMD EPYC with AVX2).
    together = 16

    def load(self, name, pixels):
        def parts(n):
            return [pixels[i:i + n] for i in range(0, len(pixels), n)]

        self.sets[name] = {'order': range(len(pixels)), 'batch': parts(self.together),
                           'each': parts(1)}

    def encode_batch(self, s, pixels):
        return s['encoder'].run(None, {'pixels': pixels})[0]

    def decode(self, name, threads, how, n):
        """As Peer's; a picture has no tokens."""
        s = self.use(threads)
        z = self.z[name][:n]
        size = self.together if how == 'batch' else 1
        start = time.perf_counter()
        self.drawn = [s['decoder'].run(None, {'z': z[i:i + size]})[0] for i in range(0, n, size)]
        return time.perf_counter() - start, 0


# ---- Rows ----

def row_list(n_sentences, n_latents):
    """(what, set, verb, how, items): one row of the table for each number of threads."""
    mixed = f'encode {n_sentences:,} sentences of 8 to 23 tokens'
    same = f'encode {n_sentences:,} sentences of 16 tokens'
    return [
        (mixed + ', in one batch', 'mixed', 'encode', 'batch', n_sentences),
        (mixed + ', one by one', 'mixed', 'encode', 'each', n_sentences),
        (same + ', in one batch', 'same', 'encode', 'batch', n_sentences),
        (same + ', one by one', 'same', 'encode', 'each', n_sentences),
        (f'decode {n_latents} latents, in batches', 'mixed', 'decode', 'batch', n_latents),
        (f'decode {n_latents} latents, one by one', 'mixed', 'decode', 'each', n_latents)]


def operations(config, rows, verb):
    """Of one text or one step: operations, and bytes of weights (f16) read.

    Floating-point operations of the products alone.
    """
    d = config['d']
    h = (d * 8 // 3 + 63) // 64 * 64
    z = config['s'] + config['r']
    layer = 4 * d * d + 3 * d * h
    if verb == 'encode':
        one = config['encoder_layers'] * layer
        tokens = sum(len(r) + 1 + config['registers'] for r in rows)
        return 2 * tokens * one, 2 * one
    one = config['decoder_layers'] * (layer + 2 * d * d) + d * config['pieces']
    in_memory = config['decoder_layers'] * config['memory'] * 2 * d * d
    texts = z * d * (config['memory'] + 1) + in_memory
    return 2 * (sum(len(r) + 1 for r in rows) * one + len(rows) * texts), 2 * one


def picture_list(n):
    return [
        (f'encode {n:,} pictures, in one batch', 'pictures', 'encode', 'batch', n),
        (f'encode {n:,} pictures, one by one', 'pictures', 'encode', 'each', n),
        (f'decode {n:,} latents to pictures, in batches', 'pictures', 'decode', 'batch', n),
        (f'decode {n:,} latents to pictures, one by one', 'pictures', 'decode', 'each', n)]


def picture_operations(model, items, verb):
    """As operations(); the bytes of weights are read once for each picture that is alone."""
    p = model['picture']
    c = p['channels']
    places = [(p['size'] >> level) ** 2 for level in (1, 2, 3, 4)]
    s, r = model['config']['s'], model['config']['r']
    flat = places[3] * c[3]
    if verb == 'encode':
        blocks = p['encoder_blocks']
        ends = flat * (p['hidden'] + r) + p['hidden'] * s
    else:
        blocks = p['decoder_blocks'][::-1]
        ends = (s + r) * flat
    # Between a place of a level and the 2x2 of the next finer one, or the 2x2 pixels.
    between = [16 * c[0]] + [4 * a * b for a, b in zip(c, c[1:])]
    each = [a + 10 * n * k * k for a, n, k in zip(between, blocks, c)]
    one = ends + sum(n * a for n, a in zip(places, each))
    return 2 * items * one, 2 * (ends + sum(each))


def measure(sides, what, repeat):
    """Medians of both sides, in turns, after one round that does not count."""
    _, name, verb, how, items, threads = what
    seconds = {s.name: [] for s in sides}
    tokens = {}
    for turn in range(repeat + 1):
        for side in sides:
            # The peer's threads look for more work for 40 ms: not beside us.
            time.sleep(0.1)
            if verb == 'encode':
                t = side.encode(name, threads, how)
            else:
                t, tokens[side.name] = side.decode(name, threads, how, items)
            if turn:
                seconds[side.name].append(t)
    return {s: statistics.median(t) for s, t in seconds.items()}, tokens


def start_up(repeat):
    """Seconds from the start to a first text, of a whole process and of a whole sqlite3 shell."""
    out = {'process': [], 'shell': []}
    sql = f"SELECT latent_decode(latent_encode('{SENTENCE}'));"
    for _ in range(repeat):
        start = time.perf_counter()
        subprocess.run([ENGINE, WEIGHTS, '--once', SENTENCE], check=True, stdout=subprocess.DEVNULL)
        out['process'].append(time.perf_counter() - start)
        start = time.perf_counter()
        subprocess.run(['sqlite3', ':memory:', '-cmd', f'.load {BUILD}/latent', sql], check=True,
                       stdout=subprocess.DEVNULL, env=dict(os.environ, LATENT_MODEL=WEIGHTS))
        out['shell'].append(time.perf_counter() - start)
    return out


def memory():
    """[resident, proportional, private] KiB of the second of two processes.

    They hold the model and have used it once.
    """
    engines = [Engine(), Engine()]
    for e in engines:
        e.load('one', [list(range(260, 270))])
        e.decode('one', 1, 'each', 1)
    ours = [int(x) for x in engines[1].ask('memory').split()]
    for e in engines:
        e.process.stdin.close()
        e.process.wait()
    return ours


# ---- Pictures ----

def list_pictures(files, n, path):
    """As bench.c reads them: all as they are, then again and again, moved by up to 3 pixels."""
    numbers = random.Random(1)
    with open(path, 'w', encoding='utf8') as f:
        print(n, file=f)
        for i in range(n):
            reach = 3 * (i >= len(files))
            dx = numbers.randint(-reach, reach)
            dy = numbers.randint(-reach, reach)
            print(files[i % len(files)], dx, dy, file=f)


def picture_agreement(engine, peer, n):
    """How well the two sides agree; each half alone, from the same pixels and the same points.

    Encoding: the largest difference of a number of z. Decoding: the largest difference of a byte of
    pixels, and the share of bytes that differ.
    """
    import numpy as np

    peer.encode('pictures', 1, 'batch')
    z = engine.array('pictures', 'latents', np.float32).reshape(n, -1)
    apart = np.abs(z - peer.encoded['pictures']).max()
    peer.z['pictures'] = z
    peer.decode('pictures', 1, 'batch', n)
    drawn = engine.array('pictures', 'drawn', np.uint8).astype(int)
    bytes_apart = np.abs(drawn - np.concatenate(peer.drawn).ravel())
    return apart, bytes_apart.max(), (bytes_apart > 0).mean()


def draw_rows(engine, args):
    """The prior alone, for each s of the pictures."""
    n = min(args.pictures, 100)
    for threads in (1, 2):
        turns = [float(engine.ask('draw', 'pictures', threads, n)) for _ in range(args.repeat)]
        ours = figures(statistics.median(turns), None, n)
        yield f'draw {n} r of pictures, each for an s', threads, ours, 'no peer', '', ''


def png_rows(engine, args):
    turns = [[float(x) for x in engine.ask('png', 'pictures').split()] for _ in range(args.repeat)]
    whats = 'write {:,} pictures as PNG', 'read {:,} pictures from PNG'
    for what, t in zip(whats, zip(*turns)):
        ours = figures(statistics.median(t), None, args.pictures)
        peer = 'no peer: libpng, not in the rows above'
        yield what.format(args.pictures), 1, ours, peer, '', ''


def shell_times(folder, threads, first, statements):
    """Seconds of each statement in one sqlite3 shell with the extension.

    The first statements, which load the models, do not count. threads '': as many as it takes.
    """
    script = '\n'.join([f'.load {BUILD}/latent', *first, '.timer on', *statements])
    env = dict(os.environ, LATENT_MODEL=folder, LATENT_THREADS=threads)
    out = subprocess.run(['sqlite3', '-bail', ':memory:'], input=script, text=True, check=True,
                         stdout=subprocess.PIPE, cwd=ROOT, env=env).stdout
    return [float(x) for x in re.findall('Run Time: real ([0-9.]+)', out)]


def picture_sql_rows(files, args):
    """PNG in and out with the rest.

    The shell's clock has 1 ms, so what is shorter goes many times into a statement.
    """
    files = files[::max(1, len(files) // 50)]
    n = args.repeat
    first = ["CREATE TABLE p AS SELECT readfile(value) AS png, "
             """latent_encode(readfile(value), '{"refine":0}') AS z """
             f"FROM json_each('{json.dumps(files)}');",
             "SELECT length(latent_image('a first one', 0));"]
    statements = ["""SELECT count(latent_encode(png, '{"refine":0}')) FROM p;"""] * n
    statements += ['SELECT count(latent_decode(z)) FROM p;'] * n
    statements += [f"SELECT length(latent_image('{text}', {seed}));"
                   for seed in range(n) for text in IMAGE_TEXTS]
    whats = [
        ('latent_encode(png) of {} pictures, in SQL', len(files), slice(n)),
        ('latent_decode(z) of {} pictures, in SQL', len(files), slice(n, 2 * n)),
        ('latent_image(text, seed), the best of 16 pictures, in SQL, '
         f'{len(IMAGE_TEXTS)} texts', 1, slice(2 * n, None))]
    folder = os.path.dirname(args.picture)
    times = {threads: shell_times(folder, threads, first, statements) for threads in ('1', '')}
    for what, items, part in whats:
        for threads, t in times.items():
            ours = figures(statistics.median(t[part]), None, items)
            yield what.format(items), threads or 'default', ours, 'no peer', '', ''


# ---- The table ----

def agreement(engine, peer, config, rows, n):
    """(the largest difference of a number of r, share of equal texts, share of exact ones).

    From here on the peer decodes the engine's points, of which the decoder reads the first numbers
    of s, as an s of length 1, and r.
    """
    import numpy as np

    peer.encode('mixed', 1, 'batch')
    z = engine.array('mixed', 'latents', np.float32).reshape(len(rows), -1)
    s, r = z[:, :config['s']], z[:, -config['r']:]
    apart = np.abs(r - peer.encoded['mixed']).max()
    s = s / np.linalg.norm(s, axis=1, keepdims=True)
    peer.z['mixed'] = np.concatenate([s, r], 1)
    peer.decode('mixed', 1, 'batch', n)
    ours = engine.texts('mixed', n)
    equal = sum(a == b for a, b in zip(ours, peer.texts)) / n
    exact = sum(a == b for a, b in zip(ours, rows)) / n
    return float(apart), equal, exact


def machine():
    with open('/proc/cpuinfo') as f:
        name = re.search(r'model name\s*: (.*)', f.read())
    cpu = name.group(1) if name else 'unknown CPU'
    return f'{cpu}, {os.cpu_count()} cores, Linux {os.uname().release}'


def figures(seconds, tokens, items):
    """A rate and the time of one, as the table shows them."""
    if seconds is None:
        return 'not measured'
    rate = f'{tokens / seconds:,.0f} tokens/s' if tokens else f'{items / seconds:,.0f}/s'
    return f'{rate}, {seconds / items * 1e3:.2f} ms'


def speed_rows(sides, whats, work, args, peaks):
    """work(set, items, verb): operations() of a row."""
    for what in whats:
        for threads in (1, 2):
            seconds, tokens = measure(sides, (*what, threads), args.repeat)
            name, verb, how, items = what[1:]
            shown = {} if name == 'pictures' else tokens
            ours = seconds['latent']
            theirs = seconds.get('ONNX Runtime')
            flops, weights = work(name, items, verb)
            share = f"{100 * flops / ours * 1e-9 / peaks[threads][0]:.0f}% of the multiply-add peak"
            if how == 'each':
                passes = items if verb == 'encode' or name == 'pictures' else tokens['latent']
                share += f", weights at {weights * passes / ours * 1e-9:.0f} GB/s"
            yield (what[0], threads, figures(ours, shown.get('latent'), items),
                   figures(theirs, shown.get('ONNX Runtime'), items),
                   f'{theirs / ours:.2f}' if theirs else '', share)


def start_and_memory_rows(args):
    """Ours alone: the peer's process would be without the sentence encoder."""
    def ms(key):
        return f'{statistics.median(t[key]) * 1e3:.0f} ms'

    t = start_up(args.repeat)
    _, proportional, private = memory()
    process = f"{ms('process')} (a whole process), {ms('shell')} (a whole `sqlite3` shell)"
    second = f'{proportional / 1024:.0f} MB proportional, {private / 1024:.0f} MB private'
    return [('start to first text encoded and decoded', '', process, '', '', ''),
            ('memory of a second process', '', second, '', '', '')]


def text_part(args, write, has_peer):
    """Both sides with the texts, and operations() of a row; writes how well they agree."""
    def work(name, items, verb):
        return operations(config, sets[name][:items], verb)

    config = read_json(WEIGHTS)['config']
    texts, source = sentences()
    sets = {'mixed': token_rows(texts, 8, 23, args.sentences),
            'same': token_rows(texts, 16, 16, args.sentences)}
    sides = [Engine()]
    if has_peer:
        import onnx_model

        onnx_model.export(WEIGHTS, config, FOLDER)
        sides.append(Peer(config))
    for side in sides:
        for name, rows in sets.items():
            side.load(name, rows)
    same = ''
    if has_peer:
        apart, equal, exact = agreement(*sides, config, sets['mixed'], args.latents)
        same = (f' Same results: r differs by {apart:.1e} at most, {100 * equal:.1f}% of the '
                f'decoded texts are equal ({100 * exact:.1f}% are the encoded ones).')
    write(f'Texts: {source}. Encoding makes r; s is the sentence encoder\'s, which bert.py '
          f'measures.{same}')
    return sides, work


def picture_part(args, files, write, has_peer):
    """As text_part(), with pictures."""
    def work(_, items, verb):
        return picture_operations(model, items, verb)

    model = read_json(args.picture)
    path = os.path.join(FOLDER, 'pictures.list')
    n = args.pictures
    sides = [Engine(args.picture)]
    same = ''
    list_pictures(files, n, path)
    sides[0].ask('load', 'pictures', path)
    if has_peer:
        import numpy as np

        import onnx_picture

        os.makedirs(PicturePeer.folder, exist_ok=True)
        onnx_picture.export(args.picture, PicturePeer.folder)
        sides.append(PicturePeer(model['config']))
        size = model['picture']['size']
        pixels = sides[0].array('pictures', 'pixels', np.uint8).reshape(n, size, size, 4)
        sides[1].load('pictures', pixels)
        apart, most, share = picture_agreement(*sides, n)
        same = (f' Same results: z differs by {apart:.1e} at most; of the bytes of pixels '
                f'{100 * share:.3f}% differ, by {most} at most.')
    write('Pictures: examples/pictures, repeated with small shifts; weights '
          f'{model["weights_hash"]}.{same}')
    return sides, work


def report(args, write, has_peer):
    def asked(whats):
        return [what for what in whats if args.rows in what[0]]

    os.makedirs(FOLDER, exist_ok=True)
    texts = asked(row_list(args.sentences, args.latents))
    pictures = asked(picture_list(args.pictures))
    files = sorted(glob.glob('examples/pictures/*/*.png', root_dir=ROOT))
    parts = []
    peer_name = 'no peer'
    if has_peer:
        import onnxruntime

        peer_name = f'onnxruntime {onnxruntime.__version__}, fp32'
    now = datetime.datetime.now(datetime.timezone.utc)
    write(f'{machine()}; {now:%Y-%m-%d %H:%M} UTC; load {os.getloadavg()[0]:.1f}; `make bench`; '
          f'{peer_name}; medians of {args.repeat}, in turns.\n')
    if texts:
        parts.append((texts, *text_part(args, write, has_peer)))
    if pictures and not os.path.exists(args.picture):
        write(f'No pictures: {os.path.relpath(args.picture, ROOT)} is not there.')
    elif pictures:
        parts.append((pictures, *picture_part(args, files, write, has_peer)))
    if not parts:
        return
    engine = parts[0][1][0]
    peaks = {t: [float(x) for x in engine.ask('peak', t).split()] for t in (1, 2)}
    for t, (flops, near, far) in peaks.items():
        write(f'Peak with {t} thread{"s" * (t > 1)}: {flops:.0f} GFLOP/s of fused multiply-adds; '
              f'reads 6 MB at {near:.0f} GB/s, 256 MB at {far:.0f} GB/s.')
    write('\n| | threads | latent | ONNX Runtime | times as fast | share of the machine |\n'
          '| --- | --- | --- | --- | --- | --- |')
    rows = [speed_rows(sides, whats, work, args, peaks) for whats, sides, work in parts]
    # Asked for all, or for all pictures.
    if parts[-1][0] is pictures and args.rows in 'pictures':
        engine = parts[-1][1][0]
        rows += [draw_rows(engine, args), png_rows(engine, args), picture_sql_rows(files, args)]
    if args.rows == '':
        rows.append(start_and_memory_rows(args))
    for row in itertools.chain(*rows):
        write('| ' + ' | '.join(map(str, row)) + ' |')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--rows', default='', help='only rows whose text has this in it')
    parser.add_argument('--sentences', type=int, default=1000)
    parser.add_argument('--latents', type=int, default=200)
    parser.add_argument('--pictures', type=int, default=1000)
    parser.add_argument('--picture', type=os.path.abspath, default=PICTURE,
                        help='weights of the picture model; latent_image() takes the texts of its '
                        'folder')
    args = parser.parse_args()
    enter_venv()
    lines = []

    def write(line):
        print(line, flush=True)
        lines.append(line)

    report(args, write, os.path.exists(os.path.join(VENV, 'ready')))
    for name in 'bench_kernels', 'bench_groups':
        program = os.path.join(BUILD, 'core', name)
        if os.path.exists(program) and args.rows == '':
            write('\n```')
            write(subprocess.run([program], capture_output=True, text=True).stdout.rstrip())
            write('```')
    with open(os.path.join(BUILD, 'bench.md'), 'w', encoding='utf8') as f:
        f.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
