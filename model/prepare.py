"""Packs what the models of texts and code are trained on.

    python3 prepare.py texts   --data ../../shared/data --out DIR
    python3 prepare.py points  --out DIR --model text.safetensors [--share 0.02] [--minutes 90]
    python3 prepare.py middles --out DIR --model text.safetensors [--minutes 10] [--first 0]
    python3 prepare.py code    --data ../../shared/data --out DIR

`points` and `middles` ask the extension (build/latent), so Python's sqlite3 has to be one that
loads extensions.

`texts` writes plain lines. DIR/texts: all texts of pairs/, text/ and text_users/. DIR/changes:
pairs of a sentence and what a rule makes of it (directions.py), a tab between them. DIR/valid: of
text/valid.

`points` makes of each file an npz beside it: of a share of the texts, more of the long ones, as
segments look in use. `flat` are the token ids (uint16) of its texts, end to end, `length` how many
each text has. `z` [texts, 384], float16, is what the decoder reads: the `s` that the network reads,
of unit length, and `r`. Two cores do 100 to 300 texts a second, so there is --minutes: whatever is
there is trained from, and the next call goes on.

`middles` makes DIR/middles/*.npz of the same form, a file for 500 pairs of texts: the point between
the two, and what these weights write there, the best of eight. One that is an end, or has a word
that no text has, is left out. --first is the number of the first file, so that several of these can
run at once.

`code` makes DIR/code.json, a tokenizer of the code lines, unless it is there, and packs the lines
with it. Every line is there once as a document of its own, without its indentation, and once as it
stands, or as the engine cuts it out of a function, after its line break.
"""
import argparse
import functools
import glob
import itertools
import json
import lzma
import os
import re
import sqlite3
import time
import zlib

import numpy as np

import code_lines
import directions
from tokenizer import SPACE, Tokenizer, train_pieces

LONGEST = 63  # tokens; one more is EOS
S_STORED, S_WIDTH, R_WIDTH = 256, 128, 256      # s in a latent, s as the network reads it, r
VALID = 2000  # held-out texts
CURLED = 0.07  # of the sentences get typographic quotes; at 0.3 the samples were full of them


def key(sentence):
    """Its letters and digits: texts with the same are the same sentence."""
    return ''.join(c for c in sentence.lower() if c.isalnum())


def lines(path):
    with lzma.open(path, 'rt', encoding='utf8') as f:
        return [line.rstrip('\n') for line in f]


def curl(sentence):
    """Straight quotes as typographic ones, which is how text comes out of documents."""
    out = ''
    for c in sentence:
        if c in '"\'':
            opens = not out or out[-1] in ' (—“‘'
            c = ('“' if opens else '”') if c == '"' else ('‘' if opens else '’')
        out += c
    return out


def vary(sentence, rng):
    """What a segment looks like in use.

    Most are sentences, some are queries, fragments, start a paragraph, or are nothing at all.
    """
    if rng.rand() < CURLED:
        sentence = curl(sentence)
    u = rng.rand()
    if u < 0.003:
        return SPACE
    if u < 0.08:
        return SPACE + (sentence[0].lower() + sentence[1:]).rstrip('.')
    if u < 0.11:
        words = sentence.split(' ')
        a = rng.randint(len(words))
        return SPACE + ' '.join(words[a: a + 1 + rng.randint(len(words) - a)])
    if u < 0.14:
        return '\n' * rng.randint(1, 3) + sentence
    return SPACE + sentence


# Texts of pairs/: files, and the columns that hold texts.
PAIRS = {
    'coco_val2017_caption_groups': slice(1, 6),
    'tatoeba_paraphrase': slice(0, 2),
    'wikisplit_complex_vs_split': slice(0, 2),
    'onestop_levels_complex_simple': slice(1, 3),
    'disflqa_original_disfluent': slice(0, 2),
    'squad_question_sentence_lower': slice(1, 3),
    'simplewiki_title_firstsentence': slice(0, 2),
    'wordnet_word_definition': slice(0, 2),
}
PART = 20000        # lines of a file of texts/
CHANGED = 1500      # pairs of each change, at most
LONG = 33           # a text of so many tokens is long: they are the hardest to say exactly
LONG_SHARE = 6      # how much likelier a long text is chosen than another


def held_out(data):
    """The letters and digits of each held-out sentence."""
    paths = [f'{data}/text/{name}.txt.xz' for name in ('valid', 'test')]
    paths += glob.glob(f'{data}/text_users/*.test.txt.xz')
    held = {key(s) for path in paths for s in lines(path)}
    for row in lines(f'{data}/pairs/stsb_split_score_s1_s2_genre.tsv.xz'):
        held |= {key(s) for s in row.split('\t')[2:4]}
    return held


def sources(data):
    """(name, its texts) of pairs/, text/ and text_users/."""
    for name, columns in PAIRS.items():
        rows = lines(f'{data}/pairs/{name}.tsv.xz')
        yield name, [t for row in rows for t in row.split('\t')[columns]]
    for path in sorted(glob.glob(f'{data}/text/*.xz') + glob.glob(f'{data}/text_users/*.xz')):
        name = os.path.basename(path)[:-len('.txt.xz')]
        if name not in ('valid', 'test') and not name.endswith('.test'):
            yield name, [t.replace('\t', ' ') for t in lines(path)]


def write_rows(path, rows):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf8', newline='\n') as f:
        f.writelines(row + '\n' for row in rows)


def read_rows(path):
    with open(path, encoding='utf8', newline='\n') as f:
        return [row.rstrip('\n') for row in f]


def make_texts(a):
    """No text has the letters of one that is held out, or of one that came before."""
    held = held_out(a.data)
    # Hashes, because three million keys would fill the memory.
    seen = {hash(''), *map(hash, held)}
    total = 0
    plain = []
    for name, texts in sources(a.data):
        new = {hash(key(t)): t for t in reversed(texts)}
        new = [t for h, t in reversed(new.items()) if h not in seen]
        seen.update(hash(key(t)) for t in new)
        for k in range(0, len(new), PART):
            write_rows(f'{a.out}/texts/{name}.{k // PART:02}.txt', new[k: k + PART])
        total += len(new)
        plain += [t for t in new if 15 <= len(t) <= 90]
    np.random.RandomState(1).shuffle(plain)
    for name, change in directions.CHANGES.items():
        changed = (p for p in directions.pairs(plain, change) if key(p[1]) not in held)
        pairs = list(itertools.islice(changed, CHANGED))
        write_rows(f'{a.out}/changes/{name}.txt', map('\t'.join, pairs))
        print(f'{name}: {len(pairs)} pairs, as {pairs[0]}')
    valid = [s for s in lines(f'{a.data}/text/valid.txt.xz') if s and '\t' not in s]
    write_rows(f'{a.out}/valid/valid.txt', valid[:VALID])
    print(f'{total} texts')


def pack(rust, texts):
    """Texts that already carry their prefix -> flat uint16 ids and offsets.

    Those over LONGEST tokens are left out (empty).
    """
    rows = []
    for i in range(0, len(texts), 100000):
        part = [t.replace(' ', SPACE) for t in texts[i: i + 100000]]
        for e in rust.encode_batch_fast(part):
            ids = e.ids if len(e.ids) <= LONGEST else []
            rows.append(np.array(ids, dtype=np.uint16))
    return np.concatenate(rows), np.concatenate([[0], np.cumsum([len(r) for r in rows])])


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


# A text before one that starts with a line break: the engine reads a break within a text alone.
BEFORE = 'Yes.'


@functools.cache
def engine(model):
    """A connection whose texts have this model."""
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension(os.path.join(os.path.dirname(__file__), '..', 'build', 'latent'))
    db.execute('SELECT latent_load(?)', [os.path.abspath(model)])
    return db


def encoded(model, texts):
    """The latent of each text, not refined, and its numbers: [segments, S_STORED + R_WIDTH]."""
    sql = """SELECT latent, latent_vector(latent)
        FROM latent_encode_each(?, NULL, '{"refine":0}')"""
    for latent, blob in engine(model).execute(sql, [json.dumps(texts)]):
        yield latent, np.frombuffer(blob, np.float32).reshape(-1, S_STORED + R_WIDTH)


def points(model, texts):
    """The point of each text, as the engine makes it: [n, S_STORED + R_WIDTH].

    Zeros where the engine cuts a text in two.
    """
    texts = [BEFORE * t.startswith('\n') + t for t in texts]
    out = np.zeros((len(texts), S_STORED + R_WIDTH), np.float32)
    for i, (_, z) in enumerate(encoded(model, texts)):
        if len(z) == 1 + texts[i].startswith(BEFORE + '\n'):
            out[i] = z[-1]
    return out


def read_part(z):
    """What the decoder reads of such points: [n, S_WIDTH + R_WIDTH], float16."""
    return np.concatenate([unit(z[:, :S_WIDTH]), z[:, S_STORED:]], 1).astype(np.float16)


def packed(path, rust, a):
    """What the npz of a file of texts holds."""
    sort = path.split('/')[-2]
    rng = np.random.RandomState(zlib.crc32(os.path.basename(path).encode()))
    texts = [t for row in read_rows(path) for t in row.split('\t')]
    texts = [vary(t, rng) if sort == 'texts' else SPACE + t for t in texts]
    flat, off = pack(rust, texts)
    length = np.diff(off)
    keep = length > 0
    if sort == 'texts':
        keep &= rng.rand(len(texts)) < a.share * np.where(length >= LONG, LONG_SHARE, 1)
    z = np.zeros((len(texts), S_STORED + R_WIDTH), np.float32)
    z[keep] = points(a.model, [t.removeprefix(SPACE) for t, k in zip(texts, keep) if k])
    keep &= z.any(1)
    if sort == 'changes':       # a pair whole or not at all
        keep &= keep.reshape(-1, 2).all(1).repeat(2)
    return dict(flat=flat[np.repeat(keep, length)], length=length[keep].astype(np.uint8),
                z=read_part(z[keep]))


def keep(folder, path, arrays):
    """Under its name only when it is whole; several processes may do so in one folder."""
    part = f'{folder}/part{os.getpid()}.npz'
    np.savez(part, **arrays)
    os.replace(part, path)


def make_points(a):
    """Each file is kept as soon as it is done.

    This may be stopped at any time, trained from, and gone on with.
    """
    rust = Tokenizer.from_json(a.model.replace('.safetensors', '.json')).fast()
    paths = [p for p in sorted(glob.glob(f'{a.out}/*/*.txt'))
             if not os.path.exists(p.replace('.txt', '.npz'))]
    # Whatever is there at any time is of all sorts.
    np.random.RandomState(2).shuffle(paths)
    paths.sort(key=lambda p: not p.startswith((f'{a.out}/changes/', f'{a.out}/valid/')))
    start = time.time()
    done = 0
    for path in paths:
        arrays = packed(path, rust, a)
        keep(a.out, path.replace('.txt', '.npz'), arrays)
        done += len(arrays['length'])
        print(f'{path}: {done} texts in {time.time() - start:.0f} s', flush=True)
        if time.time() - start > a.minutes * 60:
            break


MIDDLE_FILE = 500       # pairs of a file
MIDDLE_NEAR = 0.3       # of the pairs are a text and the nearest of NEAR_AMONG others
NEAR_AMONG = 200
MIDDLE_LETTERS = 12, 110    # of the texts of a pair


def word_list(text):
    return re.findall(r"[^\W\d_]+", text.lower())


def pair_rows(s, rng):
    """Two different rows of s [n, width]."""
    a, b = rng.choice(len(s), 2, replace=False)
    if rng.rand() < MIDDLE_NEAR:
        among = np.setdiff1d(rng.choice(len(s), min(NEAR_AMONG, len(s)), replace=False), [a])
        b = among[(s[among] @ s[a]).argmax()]
    return a, b


def middles(model, texts, known, rng):
    """(the text, its point [S_WIDTH + R_WIDTH]) of what lies between pairs of these texts."""
    latents, points_of = zip(*encoded(model, texts))
    # Of several segments none is near to anything.
    s = np.stack([x[0, :S_WIDTH] * (len(x) == 1) for x in points_of])
    sql = """WITH p AS MATERIALIZED (SELECT latent_slerp(?, ?, ?) AS z)
        SELECT latent_decode(z, '{"decoder":"exact","best_of":8}'), latent_vector(z) FROM p"""
    for _ in texts:
        a, b = pair_rows(s, rng)
        text, z = engine(model).execute(
            sql, [latents[a], latents[b], rng.uniform(0.25, 0.75)]).fetchone()
        z = np.frombuffer(z, np.float32)
        strange = set(word_list(text)) - known
        if len(z) == S_STORED + R_WIDTH and text not in (texts[a], texts[b]) and not strange:
            yield text, read_part(z[None])[0]


def packed_middles(model, rust, texts, known, rng):
    """What the npz of a file of middles holds."""
    made, z = zip(*middles(model, texts, known, rng))
    flat, off = pack(rust, [SPACE + text for text in made])
    length = np.diff(off)
    keep = length > 0
    return dict(flat=flat, length=length[keep].astype(np.uint8), z=np.stack(z)[keep])


def make_middles(a):
    """As make_points(): each file is kept as soon as it is done."""
    rust = Tokenizer.from_json(a.model.replace('.safetensors', '.json')).fast()
    texts = [t for path in sorted(glob.glob(f'{a.out}/texts/*.txt')) for t in read_rows(path)]
    known = {word for text in texts for word in word_list(text)}
    texts = [t for t in texts if MIDDLE_LETTERS[0] <= len(t) <= MIDDLE_LETTERS[1]]
    os.makedirs(f'{a.out}/middles', exist_ok=True)
    start = time.time()
    for number in itertools.count(a.first):
        if time.time() - start > a.minutes * 60:
            break
        path = f'{a.out}/middles/{number:03}.npz'
        if os.path.exists(path):
            continue
        rng = np.random.RandomState((7, number))
        some = [texts[i] for i in rng.randint(len(texts), size=MIDDLE_FILE)]
        arrays = packed_middles(a.model, rust, some, known, rng)
        keep(a.out, path, arrays)
        print(f'{path}: {len(arrays["length"])} of {MIDDLE_FILE}', flush=True)


CODE_PIECES = 4096
OFTEN = 4           # so many occurrences of a line of code make one more row of it
# White space at the start of a line, without the one space that belongs to the word after it. A
# line break alone, and line breaks with the white space of the line that they start.
INDENTS = [
    *(SPACE * n for n in (4, 8, 12, 16, 20)),
    *('\n' + SPACE * n for n in (0, 3, 7, 11, 15, 19)),
    '\t',
]


def code_tokenizer(path, lines):
    """The tokenizer at path. Where there is none, it is made of a sample of the lines.

    Pieces may join letters and punctuation: `(self.`, `is None:`.
    """
    if not os.path.exists(path):
        rng = np.random.RandomState(3)
        sample = [lines[i].strip() for i in rng.permutation(len(lines))[:90000]]
        pieces, scores = train_pieces(sample, CODE_PIECES - len(INDENTS),
                                      split_by_unicode_script=False, seed_sentencepiece_size=60000)
        tokenizer = {'pieces': pieces + INDENTS, 'scores': scores + [-4.0] * len(INDENTS)}
        with open(path, 'w', encoding='utf8') as f:
            json.dump({'tokenizer': tokenizer}, f, ensure_ascii=False)
    return Tokenizer.from_json(path)


def make_code(a):
    sides = code_lines.split(a.data)
    lines = [line for line, _ in sides['train']]
    rust = code_tokenizer(f'{a.out}/code.json', lines).fast()
    rng = np.random.RandomState(2)
    rows = [SPACE + line.strip() for line in lines]
    rows += [(SPACE if rng.rand() < 0.5 else '\n') + line for line in lines if line[0] == ' ']
    # `else:` alone is one line of a hundred: what is frequent has to come back before all.
    frequent = code_lines.frequent(a.data)
    rows += ['\n' + line for line, n in frequent.items() for _ in range(n // OFTEN)]
    rng.shuffle(rows)
    flat, off = pack(rust, rows)
    valid_flat, valid_off = pack(rust, [SPACE + line for line, _ in sides['dev']])
    np.savez(f'{a.out}/ids.npz', flat=flat, off=off, valid_flat=valid_flat, valid_off=valid_off)
    n_long = (np.diff(off) == 0).sum()
    n_held = {name: len(rows) for name, rows in sides.items() if name != 'train'}
    print(f'{len(lines)} lines as {len(rows)} rows, {len(flat)} tokens, {n_long} too long; '
          'held out:', n_held)


WHAT = {
    'texts': make_texts,
    'points': make_points,
    'middles': make_middles,
    'code': make_code,
}


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=list(WHAT))
    p.add_argument('--data', default='../../shared/data')
    p.add_argument('--out', required=True)
    p.add_argument('--model', default='text.safetensors')
    p.add_argument('--share', type=float, default=0.02, help='points: of so many of the texts')
    p.add_argument('--minutes', type=float, default=1e9, help='points, middles: for so long')
    p.add_argument('--first', type=int, default=0, help='middles: number of the first file')
    a = p.parse_args()
    WHAT[a.what](a)


if __name__ == '__main__':
    main()
