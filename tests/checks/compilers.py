#!/usr/bin/python3
"""Neither gcc nor clang warns of anything, in the library and in the test programs."""
import glob
import shutil

from common import main, ok, run, skip

OPTIONS = ['-std=gnu11', '-Wall', '-Wextra', '-Wno-psabi', '-O2', '-fPIC', '-c', '-o', '/dev/null']


def check():
    library = sorted(glob.glob('ext/*.c') + glob.glob('ext/*/*.c'))
    programs = sorted(glob.glob('tests/*.c') + glob.glob('examples/*.c'))
    layers = ['-I' + folder for folder in sorted(glob.glob('ext/*/'))]
    for compiler in ('gcc', 'clang'):
        if not shutil.which(compiler):
            skip(f'no warnings with {compiler}', f'no {compiler} on this machine')
            continue
        for define in ('-DNDEBUG', '-DSQLITE_CORE'):
            # A program is always linked with the sources, so it is compiled once.
            paths = library + (programs if define == '-DSQLITE_CORE' else [])
            told = ''.join(run([compiler, *OPTIONS, *layers, define, p])[1] for p in paths)
            ok(told == '', f'no warnings with {compiler} {define}, {len(paths)} files', told[:2000])


if __name__ == '__main__':
    main(check)
