"""Training that is stopped and resumed ends with the same weights and optimizers, bit by bit.

    PYTHON tests/train_resume.py FOLDER         needs PyTorch; prints "ok - ..." or "not ok - ..."
"""
import os
import shutil
import subprocess
import sys

import numpy as np
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def train(folder, run, steps):
    command = [sys.executable, f'{ROOT}/model/train.py', '--data', folder,
               '--run', f'{folder}/{run}', '--tokens', '200',
               '--init', f'{ROOT}/tests/data/tiny.safetensors', '--steps', str(steps),
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


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)  # checkpoints of an earlier run would be resumed
    os.makedirs(folder)
    rng = np.random.RandomState(1)
    # Some eight batches, so that an epoch ends on the way.
    rows = [rng.randint(4, 320, rng.randint(1, 20)).astype(np.uint16) for _ in range(120)]
    flat, off = np.concatenate(rows), np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    np.savez(f'{folder}/ids.npz', flat=flat, off=off, valid_flat=flat, valid_off=off)
    whole = train(folder, 'whole', 12)
    train(folder, 'parts', 5)
    parts = train(folder, 'parts', 7)
    good = same(whole, parts) and whole['at']['step'] == 12 and whole['at']['epoch'] > 0
    name = 'resumed training is uninterrupted training, bit by bit'
    print(f'ok - {name}' if good else f'not ok - {name}: {whole["at"]} and {parts["at"]}')
    return not good


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
