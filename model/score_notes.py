"""Questions to 100,000 notes, and the rows that come first: to be read by a person.

    /usr/bin/python3 model/score_notes.py /var/tmp/notes.db

The notes are lines of ../shared/data/text_users: as many of each sort, and all of those that have
fewer, mixed. The table, latent(body, words=1), is made in that file: ten minutes of a processor,
and it goes on where it was stopped. questions_notes.tsv has two sets of forty questions: the first
ones were written without a look at the notes, the others each for a note that a seed drew, in other
words, before anything was searched. Prints for each set where the note that it was written for
stands. Debian's Python, and nothing besides.
"""
import argparse
import glob
import lzma
import os
import random
import sqlite3

HERE = os.path.dirname(os.path.abspath(__file__))
NOTES, STEP = 100000, 2000


def read_sorts(folder):
    """[the texts of a sort, shuffled]; a text is of the first sort that has it."""
    seen, sorts = set(), []
    for path in sorted(glob.glob(f'{folder}/*.txt.xz')):
        if '.test.' in path:
            continue
        with lzma.open(path, 'rt', encoding='utf8') as f:
            texts = dict.fromkeys(line.rstrip('\n') for line in f)
        texts = [t for t in texts if t and t not in seen]
        seen.update(texts)
        random.Random(1).shuffle(texts)
        sorts.append(texts)
    return sorts


def pick_notes(folder):
    sorts = read_sorts(folder)
    most = next(n for n in range(1, NOTES) if sum(min(n, len(s)) for s in sorts) >= NOTES)
    print(f'at most {most:,} notes of a sort')
    notes = sum((s[:most] for s in sorts), [])
    random.Random(2).shuffle(notes)
    return notes[:NOTES]


def fill(db, notes):
    db.execute('CREATE VIRTUAL TABLE IF NOT EXISTS notes USING latent(body, words=1)')
    done = db.execute('SELECT count(*) FROM notes_rows').fetchone()[0]
    for at in range(done, NOTES, STEP):
        rows = enumerate(notes[at:at + STEP], at + 1)
        db.execute('BEGIN')
        db.executemany('INSERT INTO notes(rowid, body) VALUES (?, ?)', rows)
        db.execute('COMMIT')


def ask(db, questions):
    """Prints the first rows; returns [(the note that was wanted, those of the first ten)]."""
    search = 'SELECT body, distance FROM notes(?) LIMIT 10'
    found = []
    for i, (question, note) in enumerate(questions, 1):
        rows = db.execute(search, [question]).fetchall()
        print(f'{i}. {question}')
        for body, distance in rows[:3]:
            print(f'    {distance:.2f} {body[:160]}')
        found.append((note, [body for body, _ in rows]))
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('db')
    p.add_argument('--data', default=f'{HERE}/../../shared/data/text_users')
    p.add_argument('--extension', default=f'{HERE}/../build/latent.so')
    a = p.parse_args()
    db = sqlite3.connect(a.db, isolation_level=None)
    db.enable_load_extension(True)
    db.execute('SELECT load_extension(?)', (a.extension,))
    fill(db, pick_notes(a.data))
    with open(f'{HERE}/questions_notes.tsv', encoding='utf8') as f:
        questions = [line.rstrip('\n').split('\t') for line in f]
    ask(db, [q for q in questions if not q[1]])
    print('--- each for a note')
    found = ask(db, [q for q in questions if q[1]])
    for n in (1, 3, 10):
        hits = sum(note in rows[:n] for note, rows in found)
        print(f'the note is among the first {n}: {hits} of {len(found)}')


if __name__ == '__main__':
    main()
