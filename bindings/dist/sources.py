#!/usr/bin/python3
"""Fetches what the portable binaries are made of besides ext/, into build/dist.

bindings/web/build.py takes the libraries and SQLite from here, too: fetch(names).

    sources.py              all of it, unless it is there already
    sources.py --pin        writes the newest versions of Debian's packages into sources.tsv

sources.tsv pins every file by its SHA-256:

  debian    source packages of Debian 12: the same versions as the ones that build/latent.so is
            linked with on Debian 12, with Debian's security patches. apt-get reads them through
            lists of its own (build/dist/apt) and the keyring of the system, whose lists stay as
            they are. dpkg-source unpacks and patches them. And musl, with which the binaries for
            musl are tried
  npm       better-sqlite3 holds SQLite's amalgamation: the headers, and for the programs that try
            the binaries on musl and arm64 the library
  pypi      ziglang: a C compiler for all platforms, and their libraries

Debian takes a file away once there is a newer one. Then this stops and names both versions: read
the changes, run --pin, and `make dist`.
"""
import argparse
import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
from urllib.parse import unquote

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PINS = os.path.join(HERE, 'sources.tsv')
OUT = os.path.join(ROOT, 'build', 'dist')
APT, DOWNLOADS, SOURCES = (os.path.join(OUT, name) for name in ('apt', 'downloads', 'src'))
DEBIAN = """\
Types: deb deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Architectures: amd64 arm64
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


class Missing(Exception):
    """What cannot be had, and why."""


# ---- Pins ----
def pins():
    """[(where, name, version, {file: sha256})] in the order of sources.tsv."""
    packages = {}
    with open(PINS, encoding='utf8') as f:
        for line in f:
            if line.strip() and not line.startswith('#'):
                where, name, version, file, sha256 = line.rstrip('\n').split('\t')
                packages.setdefault((where, name, version), {})[file] = sha256
    return [(*key, files) for key, files in packages.items()]


def version_of(wanted):
    """The pinned version of a package."""
    return next(version for _, name, version, _ in pins() if name == wanted)


def sha256_of(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest()


def check(name, files):
    """Raises Missing unless all files are there as they were pinned."""
    for file, sha256 in files.items():
        path = os.path.join(DOWNLOADS, file)
        if not os.path.exists(path):
            raise Missing(f'{name}: there is no {file}')
        if sha256_of(path) != sha256:
            got = sha256_of(path)
            os.remove(path)
            raise Missing(f'{name}: {file} has the SHA-256 {got}, {sha256} is pinned')


# ---- The three registries ----
def run(*command, cwd=DOWNLOADS):
    """The output of a command. Raises Missing with its last line if it fails."""
    try:
        done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Missing(f'{command[0]}: {e}') from None
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines() or ['no word']
        raise Missing(f'{command[0]}: {lines[-1]}')
    return done.stdout


def apt_options():
    """Lists and a cache of our own, so that nothing of the system changes."""
    listed = os.path.join(APT, 'debian.sources')
    os.makedirs(os.path.join(APT, 'lists', 'partial'), exist_ok=True)
    os.makedirs(os.path.join(APT, 'cache', 'archives', 'partial'), exist_ok=True)
    with open(listed, 'w', encoding='utf8') as f:
        f.write(DEBIAN)
    settings = {'Dir::Etc::sourcelist': listed, 'Dir::Etc::sourceparts': '/dev/null',
                'Dir::State::lists': os.path.join(APT, 'lists'),
                'Dir::Cache': os.path.join(APT, 'cache'), 'APT::Sandbox::User': 'root',
                'APT::Architectures': 'amd64,arm64', 'Acquire::Languages': 'none'}
    return [word for key, value in settings.items() for word in ('-o', f'{key}={value}')]


def get_debian(name, version, files):
    options = apt_options()
    is_source = any(file.endswith('.dsc') for file in files)
    command, show = (('source', '--download-only'), 'showsrc') if is_source else (
        ('download',), 'show')
    if not glob.glob(os.path.join(APT, 'lists', '*Sources*')):
        run('apt-get', *options, '-qq', 'update')
    try:
        run('apt-get', *options, '-qq', *command, f'{name}={version}')
    except Missing as e:
        there = re.findall(r'^Version: (.*)', run('apt-cache', *options, show, name), re.M)
        raise Missing(f'{name} {version} (Debian has {", ".join(there) or "none"}): {e}') from None
    check(name, files)


def get_npm(name, version, files):
    if not shutil.which('npm'):
        raise Missing(f'{name}: no npm on this machine')
    run('npm', 'pack', '--silent', f'{name}@{version}')
    check(name, files)


def get_pypi(name, version, files):
    """A wheel for the machine that compiles; sources.tsv has those of x86-64 and arm64 Linux."""
    run('/usr/bin/python3', '-m', 'venv', os.path.join(OUT, 'venv'))
    pip = os.path.join(OUT, 'venv', 'bin', 'pip')
    run(pip, 'download', '-q', '--no-deps', '-d', DOWNLOADS, f'{name}=={version}')
    there = {f: h for f, h in files.items() if os.path.exists(os.path.join(DOWNLOADS, f))}
    check(name, there or files)
    run(pip, 'install', '-q', '--no-deps', '--no-index', '--find-links', DOWNLOADS,
        f'{name}=={version}')


# ---- Unpacking ----
def unpack_debian(name, files):
    description = next((f for f in files if f.endswith('.dsc')), None)
    if description is None:
        run('dpkg', '-x', os.path.join(DOWNLOADS, *files), os.path.join(SOURCES, name))
        return
    run('dpkg-source', '--no-check', '-x', os.path.join(DOWNLOADS, description),
        os.path.join(SOURCES, name))


def unpack_npm(name, files):
    os.makedirs(os.path.join(SOURCES, name), exist_ok=True)
    run('tar', 'xzf', os.path.join(DOWNLOADS, *files), '-C', os.path.join(SOURCES, name),
        '--strip-components=1')


GET = {'debian': get_debian, 'npm': get_npm, 'pypi': get_pypi}
UNPACK = {'debian': unpack_debian, 'npm': unpack_npm}


def fetch(wanted=None):
    """These packages, or all that sources.tsv names, into SOURCES. One process at a time."""
    os.makedirs(DOWNLOADS, exist_ok=True)
    os.makedirs(SOURCES, exist_ok=True)
    with open(os.path.join(OUT, 'lock'), 'w', encoding='utf8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for package in pins():
            if wanted is None or package[1] in wanted:
                fetch_one(*package)


def fetch_one(where, name, version, files):
    """A stamp says that a package is there."""
    stamp = os.path.join(SOURCES, f'{name}.{version}')
    if os.path.exists(stamp):
        return
    GET[where](name, version, files)
    shutil.rmtree(os.path.join(SOURCES, name), ignore_errors=True)
    if where in UNPACK:
        UNPACK[where](name, files)
    with open(stamp, 'w', encoding='utf8'):
        pass
    print(f'fetched {name} {version}')


def pin():
    """The newest version of each of Debian's packages, downloaded and written down."""
    shutil.rmtree(APT, ignore_errors=True)
    options = apt_options()
    os.makedirs(DOWNLOADS, exist_ok=True)
    run('apt-get', *options, '-qq', 'update')
    lines = []
    for where, name, version, files in pins():
        if where == 'debian':
            is_source = any(file.endswith('.dsc') for file in files)
            command, show = ('source', 'showsrc') if is_source else ('download', 'show')
            told = run('apt-get', *options, command, '--print-uris', name, cwd=APT)
            files = dict(re.findall(r"^'\S+' (\S+) \d+ SHA256:(\w+)", told, re.M))
            versions = re.findall(r'^Version: (.*)', run('apt-cache', *options, show, name), re.M)
            of_file = lambda v: any('_' + re.sub(r'^\d+:', '', v) in unquote(f) for f in files)
            version = next(v for v in reversed(versions) if of_file(v))
        lines += [f'{where}\t{name}\t{version}\t{file}\t{files[file]}\n' for file in sorted(files)]
    with open(PINS, encoding='utf8') as f:
        head = [line for line in f if line.startswith('#')]
    with open(PINS, 'w', encoding='utf8') as f:
        f.writelines(head + lines)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--pin', action='store_true')
    try:
        pin() if parser.parse_args().pin else fetch()
    except Missing as e:
        sys.exit(f'sources.py: {e}')


if __name__ == '__main__':
    main()
