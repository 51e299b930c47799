#!/usr/bin/python3
"""The two tours in sql/ run without an error, and the pictures of the README are what one draws."""
import glob
import os
import re
import shutil
import zlib

from common import main, ok, run, shell

DRAWN = 'build/demo'                            # where sql/pictures.sql draws
SHOWN = 'examples/shown'                        # what the pages show of it


def tour():
    status, out = run(['sqlite3', '-batch', ':memory:', '.read sql/tour.sql'])
    good = status == 0 and not re.search('error', out, re.I)
    ok(good, 'sql/tour.sql runs without an error', out[-2000:])
    ok(len(out.splitlines()) > 60, 'sql/tour.sql shows something', out[-2000:])
    out = shell('.read sql/notes.sql',
                "SELECT count(*) || ' ' || count(DISTINCT body) FROM notes")[1]
    ok(out.strip() == '182 182', 'sql/notes.sql has 182 different notes', out)


def draw():
    """Runs sql/pictures.sql anew: (exit status, output)."""
    shutil.rmtree(DRAWN, ignore_errors=True)
    return run(['sqlite3', '-batch', ':memory:', '.read sql/pictures.sql'],
               DISPLAY='', WAYLAND_DISPLAY='')


def pictures():
    status, out = draw()
    good = status == 0 and not re.search('error', out, re.I)
    ok(good, 'sql/pictures.sql runs without an error', out[-2000:])
    drawn = sorted(os.path.basename(p) for p in glob.glob(DRAWN + '/*.png'))
    ok(len(drawn) >= 6 and os.path.exists(DRAWN + '/index.html'),
       f'it leaves pictures and a page in {DRAWN}', str(drawn))
    for path in sorted(glob.glob(SHOWN + '/*.png')):
        name = os.path.basename(path)
        good = name in drawn and png_rows(path) == png_rows(f'{DRAWN}/{name}')
        ok(good, f'{path} is what sql/pictures.sql draws', 'tests/golden.py copies it')


def png_rows(path):
    """A PNG's header, and its rows unpacked: how they are packed depends on the version of zlib."""
    with open(path, 'rb') as f:
        data = f.read()
    at, header, packed = 8, b'', b''
    while at < len(data):
        n, name = int.from_bytes(data[at:at + 4], 'big'), data[at + 4:at + 8]
        body = data[at + 8:at + 8 + n]
        header += body if name == b'IHDR' else b''
        packed += body if name == b'IDAT' else b''
        at += 12 + n
    return header, zlib.decompress(packed)


if __name__ == '__main__':
    main(tour, pictures)
