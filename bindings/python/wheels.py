#!/usr/bin/python3
"""Makes the wheels of PyPI, with Python's standard library alone: build/dist/wheels/*.whl.

    wheels.py                       of all platforms whose binary is in build/dist, and the weights
    wheels.py linux-x86_64 text     only these

A platform's wheel is sqlite-latent: the extension and sqlite_latent/__init__.py. The weights are
packages of their own. All of them put their files into one folder, sqlite_latent/latent, which is
the one beside the extension where it looks. PyPI takes files of up to 100 MB, so the writer is two.

The version is LATENT_VERSION of ext/functions/functions.h. The same input gives the same bytes.
"""
import base64
import csv
import glob
import hashlib
import io
import os
import re
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(ROOT, 'build', 'dist', 'wheels')
FOLDER = 'sqlite_latent/latent'
BYTES_MOST = 100 * 1000 * 1000          # of a file on PyPI

TAGS = {
    'linux-x86_64': 'manylinux_2_17_x86_64.manylinux2014_x86_64',
    'linux-aarch64': 'manylinux_2_17_aarch64.manylinux2014_aarch64',
    'linux-musl-x86_64': 'musllinux_1_2_x86_64',
    'linux-musl-aarch64': 'musllinux_1_2_aarch64',
    'macos-aarch64': 'macosx_11_0_arm64',
    'macos-x86_64': 'macosx_11_0_x86_64',
    'windows-x86_64': 'win_amd64',
    'windows-aarch64': 'win_arm64',
}
# Of each package of weights: the files of model/, what it needs besides, licence, what it is for.
WEIGHTS = {
    'text': (['text.safetensors', 'text.json', 'meaning/**'], [], 'MIT AND Apache-2.0',
             'texts and their meaning (all-MiniLM-L6-v2)'),
    'pictures': (['picture.safetensors', 'picture.json'], ['text'], 'MIT', 'small pictures'),
    'code': (['code.safetensors', 'code.json'], ['text'], 'MIT', 'Python, line by line'),
    'writer': (['writer/config.json', 'writer/tokenizer.json', 'writer/layers.safetensors'],
               ['text', 'writer-pieces'], 'Apache-2.0',
               'the writer (of SmolLM2-135M-Instruct), its layers'),
    'writer-pieces': (['writer/pieces.safetensors', 'writer/trained.safetensors'], [], 'Apache-2.0',
                      'the writer, its pieces of words and what it has learned'),
}
EXTRAS = {'text': ['text'], 'pictures': ['pictures'], 'code': ['code'], 'writer': ['writer'],
          'all': ['pictures', 'code', 'writer']}


def version():
    """The version of everything: that of latent_info()."""
    with open(os.path.join(ROOT, 'ext/functions/functions.h'), encoding='utf8') as f:
        return re.search(r'#define LATENT_VERSION "([^"]+)"', f.read())[1]


def of_this_release():
    """A patch release may follow the weights or the extension alone; latents stay the same."""
    major, minor = version().split('.')[:2]
    return f'>={major}.{minor},<{major}.{int(minor) + 1}'


def metadata(name, summary, licence, needs, extras, page):
    lines = ['Metadata-Version: 2.1', f'Name: {name}', f'Version: {version()}',
             f'Summary: {summary}', f'License: {licence}', 'Requires-Python: >=3.9',
             'Classifier: Topic :: Database', 'Classifier: Typing :: Typed']
    lines += [f'Requires-Dist: sqlite-latent-{n} ({of_this_release()})' for n in needs]
    for extra, packages in extras.items():
        lines.append(f'Provides-Extra: {extra}')
        lines += [f'Requires-Dist: sqlite-latent-{n} ({of_this_release()}) ; extra == "{extra}"'
                  for n in packages]
    if extras:
        lines += ['Provides-Extra: numpy', 'Requires-Dist: numpy ; extra == "numpy"']
    return '\n'.join(lines) + f'\nDescription-Content-Type: text/markdown\n\n{page}'


def record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
    return [name, f'sha256={digest}', len(data)]


def info_folder(name):
    return f'{name.replace("-", "_")}-{version()}.dist-info'


def write_wheel(name, tag, described, files):
    """files: {path in the wheel: bytes}. Returns the path of the wheel.

    None is "pure": there is one folder for all of them, also where pure ones have another.
    """
    info = info_folder(name)
    tags = ''.join(f'Tag: py3-none-{t}\n' for t in tag.split('.'))
    files = files | {
        f'{info}/METADATA': described.encode(),
        f'{info}/WHEEL': ('Wheel-Version: 1.0\nGenerator: latent\n'
                          f'Root-Is-Purelib: false\n{tags}').encode(),
        f'{info}/LICENSE': read('LICENSE'),
    }
    rows = [record_line(path, data) for path, data in files.items()]
    table = io.StringIO()
    csv.writer(table, lineterminator='\n').writerows([*rows, [f'{info}/RECORD', '', '']])
    files[f'{info}/RECORD'] = table.getvalue().encode()
    os.makedirs(OUT, exist_ok=True)
    path = os.path.join(OUT, f'{name.replace("-", "_")}-{version()}-py3-none-{tag}.whl')
    with zipfile.ZipFile(path + '.new', 'w', zipfile.ZIP_DEFLATED, compresslevel=6) as wheel:
        for file, data in files.items():
            entry = zipfile.ZipInfo(file, (2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if file.endswith(('.so', '.dylib')) else 0o644) << 16
            wheel.writestr(entry, data)
    os.replace(path + '.new', path)
    if os.path.getsize(path) > BYTES_MOST:
        sys.exit(f'wheels.py: {path} has {os.path.getsize(path)} bytes, PyPI takes {BYTES_MOST}')
    return path


def read(path):
    with open(os.path.join(ROOT, path), 'rb') as f:
        return f.read()


def binary(platform):
    """The path of a platform's extension, or None if it is not built."""
    found = glob.glob(os.path.join(ROOT, 'build', 'dist', platform, 'latent.*'))
    return next((p for p in found if p.endswith(('.so', '.dylib', '.dll'))), None)


def licences(folder):
    """Those of the libraries that are a part of the binary, as Debian's packages state them."""
    paths = sorted(glob.glob(os.path.join(ROOT, 'build/dist/src/*/debian/copyright')))
    found = {f'{folder}/licenses/{p.split(os.sep)[-3]}.txt': read(p) for p in paths}
    found[f'{folder}/licenses/tree-sitter-python.txt'] = read('ext/grammar/python/LICENSE')
    return found


def extension_wheel(platform):
    path = binary(platform)
    if path is None:
        sys.exit(f'wheels.py: no binary in build/dist/{platform}: make dist')
    package = 'bindings/python/sqlite_latent'
    files = {f'sqlite_latent/{name}': read(f'{package}/{name}')
             for name in ('__init__.py', 'py.typed')}
    files['sqlite_latent/' + os.path.basename(path)] = read(path)
    files |= licences(info_folder('sqlite-latent'))
    described = metadata('sqlite-latent', 'SQLite reads and writes a latent space: search, '
                         'interpolate and breed texts and pictures', 'MIT', [], EXTRAS,
                         read('bindings/python/README.md').decode())
    return write_wheel('sqlite-latent', TAGS[platform], described, files)


def weights_wheel(kind):
    patterns, needs, licence, what = WEIGHTS[kind]
    paths = [p for pattern in patterns
             for p in sorted(glob.glob(os.path.join(ROOT, 'model', pattern), recursive=True))
             if os.path.isfile(p)]
    files = {f'{FOLDER}/{os.path.relpath(p, os.path.join(ROOT, "model"))}': read(p) for p in paths}
    if licence != 'MIT':
        files[f'{info_folder("sqlite-latent-" + kind)}/licenses/APACHE-2.0.txt'] = read(
            'model/APACHE-2.0.txt')
    summary = f'Weights of sqlite-latent for {what}'
    page = f'{summary}. They belong to `pip install sqlite-latent[{kind.split("-")[0]}]`.\n'
    described = metadata(f'sqlite-latent-{kind}', summary, licence, needs, {}, page)
    return write_wheel(f'sqlite-latent-{kind}', 'any', described, files)


def main():
    asked = sys.argv[1:] or [p for p in TAGS if binary(p)] + list(WEIGHTS)
    for name in asked:
        if name not in TAGS and name not in WEIGHTS:
            sys.exit(f'wheels.py: {name!r} is none of {", ".join([*TAGS, *WEIGHTS])}')
        path = extension_wheel(name) if name in TAGS else weights_wheel(name)
        print(f'{os.path.getsize(path)/1e6:6.1f} MB  {os.path.relpath(path, ROOT)}')


if __name__ == '__main__':
    main()
