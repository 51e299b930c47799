"""What latent_imagine() writes for queries to the 182 notes of sql/notes.sql.

    /usr/bin/python3 model/score_imagine.py [OPTIONS]       e.g. '{"decoder":"exact"}'

Queries are twelve phrases, as people type them into a search, and twelve sentences. For each sort:
how many of the texts written are sentences by their form, how far they are from the query, how far
the nearest is in units of the nearest row's distance, and their fluency (judge.py). The texts are
printed, to be read. Debian's Python, and nothing besides.
"""
import os
import re
import sqlite3
import statistics
import sys

import judge

HERE = os.path.dirname(os.path.abspath(__file__))
QUERIES = {
    'phrases': (
        'a quiet place by the sea', 'late delivery', 'my sister reading a book',
        'children playing in the snow', 'bad service at the restaurant',
        'a walk with the dog in the evening', 'problems with the computer', 'birthday party',
        'how to bake bread', 'old friends', 'the new job', 'summer holidays with kids'),
    'sentences': (
        'What should I cook tonight?', 'I am tired of my job.', 'The train was late again.',
        'My sister is reading a book in the garden.', 'We had a wonderful holiday at the sea.',
        'The doctor said I should sleep more.', 'The neighbours are too loud at night.',
        'My son learns to play the guitar.', 'Where can I buy fresh bread?',
        'The hotel was expensive and dirty.', 'I lost my keys on the way home.',
        'The old tree fell in the storm.'),
}
IMAGINE = """SELECT content, distance, json_array_length(parents) > 1
    FROM latent_imagine('notes_latent', ?, 4, ?)"""


def notes():
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension(f'{HERE}/../build/latent')
    with open(f'{HERE}/../sql/notes.sql', encoding='utf8') as f:
        db.executescript(f.read())
    db.execute("CREATE VIRTUAL TABLE notes_latent USING latent(body, content='notes', "
               "content_rowid='id')")
    return db


def main(options):
    db = notes()
    reader = judge.Judge(f'{HERE}/../../shared/data', os.path.expanduser('~/.cache/latent-score'))
    for sort, queries in QUERIES.items():
        written, nearest = [], []
        for query in queries:
            rows = db.execute(IMAGINE, [query, options]).fetchall()
            made = [(text, distance) for text, distance, is_new in rows if is_new]
            row = next((distance for _, distance, is_new in rows if not is_new), None)
            print(query)
            for text, distance, is_new in rows:
                print(f'    {distance:.2f} {text}' + ('' if is_new else ' (a row)'))
            written += made
            if made and row:
                nearest.append(min(distance for _, distance in made) / row)
        texts = [text for text, _ in written]
        whole = sum(bool(re.match(r'[A-Z].*[.?!]$', text)) for text in texts)
        print(f'| {sort}: sentences; mean distance; the nearest, in units of the nearest row\'s; '
              f'fluency | {whole} of {len(texts)}; {statistics.fmean(d for _, d in written):.3f}; '
              f'{statistics.fmean(nearest):.3f}; {reader.fluency(texts):.3f} |')


if __name__ == '__main__':
    main(sys.argv[1] if len(sys.argv) > 1 else '{}')
