#!/usr/bin/python3
"""What users do: install, use one kind of weights alone, load again and again, run the examples."""
import os
import re
import shutil

from common import TINY, WORK, WRITER, difference, main, ok, run, shell, write

WITHOUT_PICTURES = """
SELECT latent_image('a', 1);
CREATE VIRTUAL TABLE t USING latent(body);
INSERT INTO t(rowid, body) VALUES (1, 'a'), (2, 'b');
INSERT INTO t(body) VALUES (x'89504E470D0A1A0A');
SELECT rowid FROM t('b') LIMIT 1;
SELECT latent_encode(x'89504E470D0A1A0A');
SELECT latent_distance('a', latent_encode('a')) < 1e-6, latent_info() ->> '$.picture' IS NULL;
"""


def installed():
    """Where nothing of the repository is in sight."""
    root = os.path.abspath(WORK + '/root')
    status, out = run(['make', '--no-print-directory', 'install', f'DESTDIR={root}', 'PREFIX=/usr'])
    ok(status == 0, 'make install', out)
    status, out = run(['sqlite3', '-batch', ':memory:', f'.load {root}/usr/lib/latent',
                       "SELECT latent_distance('a','b') BETWEEN 0 AND 2"])
    ok(out == '1\n', 'the installed extension finds the installed weights', out)


def joined():
    """A directory of links to weights that lie apart, as packages for each kind have them."""
    places = os.path.abspath(f'{WORK}/joined')
    shutil.rmtree(places, ignore_errors=True)
    for place in ('text', 'more', 'links'):
        os.makedirs(f'{places}/{place}')
    tiny = os.path.abspath('tests/data')
    for name in ('text.safetensors', 'text.json'):
        shutil.copy(f'{tiny}/{name}', f'{places}/text')
    shutil.copytree(f'{tiny}/bert', f'{places}/text/meaning')
    shutil.copytree(WRITER, f'{places}/more/writer')
    for place, name in (('text', 'text.safetensors'), ('text', 'text.json'), ('more', 'writer')):
        os.symlink(f'{places}/{place}/{name}', f'{places}/links/{name}')
    status, out = shell(f"SELECT latent_load('{places}/links') <> ''",
                        """SELECT latent_interp('a', 'b', 0.5, '{"decoder":"writer"}') NOTNULL""",
                        "SELECT latent_info() ->> '$.writer.path'")
    expected = f'1\n1\n{WORK}/joined/more/writer\n'
    ok(out == expected, 'weights joined by links, the writer too', difference(expected, out))


def without_pictures():
    """With the weights of text alone, text works; errors say where others were looked for."""
    write(f'{WORK}/without_pictures.sql', WITHOUT_PICTURES)
    got = shell(f'.read {WORK}/without_pictures.sql',
                LATENT_MODEL=os.path.abspath(f'{WORK}/models/other.safetensors'))[1]
    missing = (f'no weights for pictures found (looked for {WORK}/models/picture.safetensors): '
               'set LATENT_MODEL or call latent_load(path)')
    expected = (f'error: latent_image: {missing}\nerror: t: {missing}\n2\n'
                f'error: latent_encode: {missing}\n1|1\n')
    ok(got == expected, 'text without the weights of pictures', difference(expected, got))


def reloaded():
    status, out = run(['/usr/bin/python3', 'tests/reload.py', TINY])
    ok(status == 0, 'loaded, closed and loaded again from a process that lives on', out)


def loaded_twice():
    """Within a statement that uses it. What latent_load() has chosen for the connection stays."""
    status, out = shell(f"SELECT latent_load('{TINY}') IS NOT NULL",
                        "SELECT load_extension('build/latent') IS NULL, latent_info() IS NOT NULL",
                        f"SELECT latent_info() ->> '$.model.path' LIKE '%{TINY}'")
    ok(status == 0 and out == '1\n1|1\n1\n', 'loading it twice changes nothing', out)


def example(name, command):
    status, out = run(command)
    good = status == 0 and out.count('\n') >= 3 and not re.search('error', out, re.I)
    ok(good, f'examples/{name}', f'exit status {status}\n{out[-2000:]}')


def examples():
    if not os.path.exists('build/embed'):
        ok(False, 'examples/embed.c', 'not built: make build/embed')
    else:
        example('embed.c', ['build/embed'])
    example('python_sqlite3.py', ['/usr/bin/python3', 'examples/python_sqlite3.py'])


if __name__ == '__main__':
    main(installed, joined, without_pictures, reloaded, loaded_twice, examples)
