#!/usr/bin/python3
"""Training resumes exactly. Needs PyTorch: build/python (make golden, make train) or $PYTHON."""
import os
import shutil

from common import WORK, main, program, run, skip


def check():
    python = os.environ.get('PYTHON') or 'build/python/bin/python'
    if not shutil.which(python) or run([python, '-c', 'import torch'])[0] != 0:
        skip('training resumes exactly', f'{python} has no PyTorch')
    else:
        program([python, 'tests/train_resume.py', WORK + '/train'])


if __name__ == '__main__':
    main(check)
