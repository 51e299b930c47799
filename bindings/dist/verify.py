#!/usr/bin/python3
"""Looks at the portable binaries of build/dist, and runs those that can run here.

    verify.py [PLATFORM...]         all that are built

Of each it says what it needs, what it exports, and whether it was run or only linked. A binary that
is run must print the same as build/latent.so in every statement of bits.sql (with the shipped
weights: latents, vectors, PNG files in hexadecimal digits, REALs with all digits), and in the
scripts of tests/sql (with the tiny weights); in QEMU only in those lines of bits.sql that are not
marked "-- long". host.c runs them: x86-64 directly, musl with Debian's loader, arm64 in QEMU,
Windows in Wine. What is run on glibc is run on that of this machine: that 2.17 will do is read from
the symbols.
"""
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'checks'))
import common

DIST = 'build/dist'
PLATFORMS = ('linux-x86_64', 'linux-aarch64', 'linux-musl-x86_64', 'linux-musl-aarch64',
             'macos-aarch64', 'macos-x86_64', 'windows-x86_64', 'windows-aarch64')
GLIBC_MOST = (2, 17)                    # manylinux2014
# What a binary may need of the system.
GLIBC = {'libc.so.6', 'libm.so.6', 'libpthread.so.0', 'libdl.so.2', 'ld-linux-x86-64.so.2',
         'ld-linux-aarch64.so.1'}
MUSL = {'libc.so', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'}
UCRT = r'KERNEL32\.dll|api-ms-win-crt-[a-z]+-l1-1-0\.dll'       # of Windows 10 and newer
QEMU = ['qemu-aarch64-static', '-cpu', 'neoverse-n1', '-L']
# How the host of a platform is started here.
RUNNERS = {
    'linux-x86_64': [],
    'linux-musl-x86_64': [f'{DIST}/src/musl:amd64/lib/ld-musl-x86_64.so.1'],
    'linux-aarch64': [*QEMU, '/usr/aarch64-linux-gnu'],
    'linux-musl-aarch64': [*QEMU, f'{DIST}/src/musl:arm64'],
    'windows-x86_64': ['wine'],
}


# ---- What a binary is ----
def readelf(path, *options):
    return subprocess.run(['readelf', '-W', *options, path], capture_output=True, text=True,
                          check=True).stdout


def look(platform, path):
    """What is wrong with an ELF file, and what it needs in words."""
    needed = set(re.findall(r'Shared library: \[(.*?)\]', readelf(path, '-d')))
    symbols = [line.split() for line in readelf(path, '--dyn-syms').splitlines()]
    symbols = [s for s in symbols if len(s) > 7 and s[4] in ('GLOBAL', 'WEAK')]
    exported = [s[7] for s in symbols if s[6] != 'UND']
    versions = {tuple(int(n) for n in v.split('.'))
                for s in symbols for v in re.findall(r'@GLIBC_([\d.]+)', s[7])}
    wrong = []
    if needed - (MUSL if 'musl' in platform else GLIBC):
        wrong.append(f'it needs {", ".join(sorted(needed))}')
    if exported != ['sqlite3_latent_init']:
        wrong.append(f'it exports {", ".join(exported)}')
    if versions and max(versions) > GLIBC_MOST:
        wrong.append(f'it needs glibc {max(versions)}')
    needs = 'musl' if 'musl' in platform else 'glibc ' + '.'.join(map(str, max(versions)))
    return wrong, needs


def look_at_dll(path):
    """The same of a file for Windows."""
    told = subprocess.run(['objdump', '-p', path], capture_output=True, text=True,
                          check=True).stdout
    needed = set(re.findall(r'DLL Name: (\S+)', told))
    names = told.split('[Ordinal/Name Pointer]')[-1]
    exported = re.findall(r'^\s+\[ *\d+\] .*\b(\w+)$', names, re.M)
    strange = sorted(n for n in needed if not re.fullmatch(UCRT, n))
    wrong = [f'it needs {", ".join(strange)}'] if strange or not needed else []
    if exported != ['sqlite3_latent_init']:
        wrong.append(f'it exports {", ".join(exported)}')
    return wrong, 'Windows 10'


# ---- What it gives ----
def scripts(is_emulated):
    """The SQL that it runs, each with the weights: (name, SQL, LATENT_MODEL)."""
    bits = common.read(f'{HERE}/bits.sql') + jpegs()
    if is_emulated:                     # a hundred times as slow
        return [('bits.sql in part', re.sub(r'^.*-- long$', '', bits, flags=re.M), 'model')]
    all_of_it = [('bits.sql', bits, 'model')]
    for path in common.scripts():
        name = os.path.basename(path)
        text = common.read(path)
        if common.TINY in common.models_of(path) and not re.search(r'^\.', text, re.M):
            all_of_it.append((name, text, os.path.abspath(common.TINY)))
    return all_of_it


def jpegs():
    """Pictures of many kinds, from a script that has them, and their latents."""
    made = common.read('tests/sql/picture_ground.sql').split(';')
    return f'{";".join(made[:2])};\nSELECT name, latent_encode(file) FROM p;\n'


def host_command(platform):
    """How to start the host of a platform. A reason why not, or None, comes with it."""
    command = [*RUNNERS[platform], f'{DIST}/{platform}/host']
    if platform.startswith('windows'):
        command[-1] += '.exe'
    for word in command:
        there = os.path.exists(word) if '/' in word else word[0] == '-' or shutil.which(word)
        if not there and word != 'neoverse-n1':
            return command, f'no {word} on this machine'
    return command, common.no_wine() if 'wine' in command else None


def output(platform, library, text, model):
    """What the host prints, the names of the two libraries and of the version's machine apart."""
    command, _ = host_command(platform)
    env = {k: v for k, v in os.environ.items() if not k.startswith('LATENT_')}
    done = subprocess.run([*command, library], input=text, text=True, errors='surrogateescape',
                          env=env | common.WINE | {'LATENT_MODEL': model}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=1800)
    printed = done.stdout.replace('Z:' + ROOT, ROOT)        # as Wine calls it
    return printed + (f'exit status {done.returncode}\n' if done.returncode else '')


def compare(platform, path, reference):
    """(what is wrong, what was run, in words)"""
    why = host_command(platform)[1]
    if why:
        return [], f'only linked: {why}'
    wrong, digest, n = [], hashlib.sha256(), 0
    for name, text, model in scripts('aarch64' in platform):
        if name not in reference:
            reference[name] = output('linux-x86_64', os.path.abspath('build/latent.so'), text,
                                     model)
        got = output(platform, os.path.abspath(path), text, model)
        if got != reference[name]:
            wrong.append(f'{name}: {common.difference(reference[name], got)}')
        digest.update(got.encode(errors='surrogateescape'))
        n += 1
        if name.startswith('bits.sql') and 'error: ' in got:
            wrong.append(f'{name}: {got[got.index("error: "):][:200]}')
    found = f'{len(wrong)} differ from' if wrong else 'all bits as'
    what = f'{n} scripts' if n > 1 else name
    return wrong, f'ran {what}: {found} build/latent.so ({digest.hexdigest()[:8]})'


def main():
    os.chdir(ROOT)
    common.make_models()
    n_wrong, reference = 0, {}
    for platform in sys.argv[1:] or PLATFORMS:
        found = [p for p in glob.glob(f'{DIST}/{platform}/latent.*') if not p.endswith('.new')]
        if not found:
            print(f'{platform:19} not built')
            continue
        size = os.path.getsize(found[0])/1e6
        if platform not in RUNNERS:
            print(f'{platform:19} {size:.1f} MB  only linked: nothing here runs it')
            continue
        wrong, needs = (look_at_dll(found[0]) if found[0].endswith('.dll')
                        else look(platform, found[0]))
        unlike, ran = compare(platform, found[0], reference)
        print(f'{platform:19} {size:.1f} MB  {needs}, one symbol; {ran}', flush=True)
        for line in wrong + unlike:
            print(f'    WRONG: {line}')
        n_wrong += len(wrong + unlike)
    return n_wrong > 0


if __name__ == '__main__':
    sys.exit(main())
