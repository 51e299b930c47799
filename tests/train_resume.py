"""Training that is stopped and resumed ends with the same weights and optimizers, bit by bit.

Of code, which learns whole, and of texts, of which the decoder alone learns.

    PYTHON tests/train_resume.py FOLDER         needs PyTorch; prints "ok - ..." or "not ok - ..."
"""
import os
import shutil
import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import load_file

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def train(folder, init, run, steps):
    command = [sys.executable, f'{ROOT}/model/train.py', '--data', folder,
               '--run', f'{folder}/{run}', '--tokens', '200',
               '--init', f'{ROOT}/tests/data/{init}.safetensors', '--steps', str(steps),
               '--glance', '0', '--threads', '1']
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                   env=os.environ | {'TORCHDYNAMO_DISABLE': '1'})
    return torch.load(f'{folder}/{run}/trunk.pt')


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def write_code(folder):
    rng = np.random.RandomState(1)
    # Some eight batches, so that an epoch ends on the way.
    rows = [rng.randint(4, 320, rng.randint(1, 20)).astype(np.uint16) for _ in range(120)]
    flat, off = np.concatenate(rows), np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    np.savez(f'{folder}/ids.npz', flat=flat, off=off, valid_flat=flat, valid_off=off)


def write_texts(folder):
    """Rows of ids with points at random."""
    rng = np.random.RandomState(1)
    rows = [rng.randint(4, 320, rng.randint(6, 20)) for _ in range(120)]
    for name in ('texts', 'middles', 'changes', 'valid'):
        os.makedirs(f'{folder}/{name}')
        np.savez(f'{folder}/{name}/{name}.npz', z=rng.randn(len(rows), 48).astype(np.float16),
                 flat=np.concatenate(rows).astype(np.uint16),
                 length=np.array([len(r) for r in rows], np.uint8))


def is_resumed(folder, init):
    whole = train(folder, init, 'whole', 12)
    train(folder, init, 'parts', 5)
    parts = train(folder, init, 'parts', 7)
    good = same(whole, parts) and whole['at']['step'] == 12 and whole['at']['epoch'] > 0
    name = f'resumed training of {init} is uninterrupted training, bit by bit'
    print(f'ok - {name}' if good else f'not ok - {name}: {whole["at"]} and {parts["at"]}')
    return good, whole['model']


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)  # checkpoints of an earlier run would be resumed
    good = []
    for init, write in (('tiny', write_code), ('text', write_texts)):
        os.makedirs(f'{folder}/{init}')
        write(f'{folder}/{init}')
        is_same, trained = is_resumed(f'{folder}/{init}', init)
        good.append(is_same)
    before = load_file(f'{ROOT}/tests/data/text.safetensors')
    moved = {k for k, v in before.items() if not torch.equal(v.float(), trained[k])}
    reads = {k for k in before if k.startswith(('memory.', 'z_in', 'decoder'))}
    good.append(moved == reads)
    name = 'training of texts leaves the encoder as it is, and nothing else'
    print(f'ok - {name}' if good[-1] else f'not ok - {name}: {sorted(moved ^ reads)}')
    return not all(good)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
