#!/usr/bin/python3
"""The library as it is built: one exported symbol, no special machine."""
import re

from common import main, ok, run


def symbols():
    lines = run(['nm', '-D', '--defined-only', 'build/latent.so'])[1].splitlines()
    names = [line.split()[-1] for line in lines if line.strip()]
    ok(names == ['sqlite3_latent_init'], 'one exported symbol', ' '.join(names))


def machine():
    commands = run(['make', '-n', '-B', 'all'])[1]
    special = re.search(r'-march|-mtune|-mcpu|-mavx|-ffast-math', commands)
    ok('-O2' in commands and not special, 'the build asks for no special machine', commands)


if __name__ == '__main__':
    main(symbols, machine)
