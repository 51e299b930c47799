#!/usr/bin/python3
"""How often a sentence is found first when its row, or the query, is in another form.

    /usr/bin/python3 tests/bench/normal.py [--data ../shared/data] [--extension build/latent]

182 held-out sentences lie in a table. Each is asked for: in plain form where its row is in the
other form, and in the other form where its row is plain. Prints a row of a table for each form. The
last columns say how many of the first 60 come back byte for byte from their latents.
"""
import argparse
import lzma
import os
import sqlite3
import unicodedata

N, N_BACK = 182, 60


def shifted(text, first, space=' '):
    """ASCII from ! on as the characters of another block."""
    return ''.join(chr(ord(c) - 0x21 + first) if '!' <= c <= '~' else space for c in text)


def typographic(text):
    out = ''
    for i, c in enumerate(text):
        opens = i == 0 or text[i - 1] == ' '
        out += ('“' if opens else '”') if c == '"' else ('‘' if opens else '’') if c == "'" else c
    return out.replace(' - ', ' — ').replace('-', '\u2010')


FORMS = {
    'as it is': lambda t: t,
    'no-break spaces': lambda t: t.replace(' ', '\u00a0'),
    'tabs': lambda t: t.replace(' ', '\t'),
    'two spaces, and at the end': lambda t: t.replace(' ', '  ') + '  ',
    'capitals': str.upper,
    'zero-width spaces': lambda t: t.replace(' ', ' \u200b'),
    'zero-width inside words': lambda t: '\u200b'.join(t),
    'soft hyphens': lambda t: t.replace('e', 'e\u00ad'),
    'full width': lambda t: shifted(t, 0xff01, '\u3000'),
    'typographic': typographic,
    'accents apart': lambda t: unicodedata.normalize('NFD', t.replace('e', '\u00e9')),
}


def first(db, rows, queries):
    """How many queries find their row first."""
    db.execute('DROP TABLE IF EXISTS t')
    db.execute('CREATE VIRTUAL TABLE t USING latent(body)')
    db.executemany('INSERT INTO t(rowid, body) VALUES (?, ?)', enumerate(rows))
    found = [db.execute("SELECT rowid FROM t(?, '{\"exact\":true}') LIMIT 1", (q,)).fetchone()[0]
             for q in queries]
    return sum(i == at for i, at in enumerate(found))


def comes_back(db, texts):
    return sum(db.execute('SELECT latent_decode(latent_encode(?1)) = ?1', (t,)).fetchone()[0]
               for t in texts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--data', default='../shared/data')
    parser.add_argument('--extension', default='build/latent')
    options = parser.parse_args()
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.execute("SELECT load_extension(?, 'sqlite3_latent_init')",
               (os.path.abspath(options.extension),))
    with lzma.open(f'{options.data}/text/test.txt.xz', 'rt', encoding='utf8') as f:
        held = [line.rstrip('\n') for line in f]
    plain = [t for t in held if 20 <= len(t) <= 90][::40][:N]
    print(f'| {N} sentences | rows in this form | queries in this form | come back of {N_BACK} |')
    print('| --- | ---: | ---: | ---: |')
    for name, form in FORMS.items():
        formed = [form(t) for t in plain]
        if name == 'accents apart':
            plain_form = [unicodedata.normalize('NFC', t) for t in formed]
        else:
            plain_form = plain
        print(f'| {name} | {first(db, formed, plain_form)} | {first(db, plain_form, formed)} '
              f'| {comes_back(db, formed[:N_BACK])} |', flush=True)


main()
