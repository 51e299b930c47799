#!/usr/bin/python3
"""The kernels on arm64, compiled across and run by an emulator: one CPU with sdot, one without.

Needs Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user-static.
"""
import glob
import os
import shutil

from common import WORK, main, ok, program, run, skip

COMPILER, EMULATOR = 'aarch64-linux-gnu-gcc', 'qemu-aarch64-static'
FOLDER = f'{WORK}/arm64'
LIBRARIES = '/usr/aarch64-linux-gnu'
# As in the Makefile. SQLite is not there for arm64: what of base calls it is not linked.
OPTIONS = ['-std=gnu11', '-O2', '-ffp-contract=off', '-Wall', '-Wextra', '-Wno-psabi',
           '-ffunction-sections', '-Wl,--gc-sections', '-Iext/base', '-Iext/kernels']
BASE = ('hash', 'random', 'reader')
CPUS = {'cortex-a72': 'neon', 'neoverse-n1': 'neon_dot'}


def kernels():
    for tool in (COMPILER, EMULATOR):
        if not shutil.which(tool):
            skip('the kernels on arm64', f'no {tool} on this machine')
            return
    os.makedirs(FOLDER, exist_ok=True)
    out = f'{FOLDER}/test_kernels'
    status, told = run([COMPILER, *OPTIONS, '-o', out, 'tests/test_kernels.c',
                        *sorted(glob.glob('ext/kernels/*.c')),
                        *(f'ext/base/base_{name}.c' for name in BASE), '-lm'])
    ok((status, told) == (0, ''), 'the kernels compile for arm64 without warnings', told[:2000])
    if status != 0:
        return
    for cpu, kernel in CPUS.items():
        command = [EMULATOR, '-L', LIBRARIES, '-cpu', cpu, out]
        told = run(command)[1]
        ok(f'# linear() uses {kernel}\n' in told, f'a {cpu} takes {kernel}', told[:200])
        program(command)


if __name__ == '__main__':
    main(kernels)
