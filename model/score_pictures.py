"""The scoreboard of pictures: what the shipped weights reach, measured through the C engine in SQL.

    score_pictures.py [--data ../build/pictures] [--model picture.safetensors] [--n 100]
                      [--rows back,images] [--sheets DIR]

Prints the rows of SCOREBOARD.md's table. With --sheets it also writes what a person should look at,
as PNGs drawn by latent_sheet() and latent_strip().

DATA is made by `pictures.py prepare`. text.safetensors is taken from beside the model, or else from
beside the extension. Needs numpy and nothing else (Debian: python3-numpy), and a Python that may
load SQLite extensions, as /usr/bin/python3 and environments made from it.

There are three sorts of pictures, as pictures.py splits them: training pictures; "style held out",
of a concept that training knows only from other sets; "concept held out", of a concept that
training has never seen. They are of the board's six sets alone (BOARD_SETS of pictures.py), and so
are the names: the rows stay comparable when there are more sets to train on. Of the sets that are
held out as a whole it is asked what comes back.

A made picture that is compared with real ones is encoded again: the nearest by s has the least
latent_distance(), the nearest by r the greatest cosine of the r parts.
Pixels are compared on white, over 0..1.
"""
import argparse
import collections
import datetime
import functools
import json
import os
import random
import sqlite3
import statistics
import struct
import time
import zlib

import numpy as np

from pictures import BOARD_SETS
from score import PATH, share

HERE = os.path.dirname(os.path.abspath(__file__))
SPLITS = {'train': 'training pictures', 'style': 'style held out', 'concept': 'concept held out'}
# Mean squared difference up to which two pictures are the same: 30 dB.
SAME = 0.001
# Training pictures that a made one may be a copy of: the nearest in pixels.
COPIED = 5


# ---- PNG, 8 bits of R, G, B, A, which is all that the engine writes ----

def chunk(name, body):
    check = struct.pack('>I', zlib.crc32(name + body))
    return struct.pack('>I', len(body)) + name + body + check


def write_png(pixels):
    """[h, w, 4] uint8 -> bytes."""
    h, w, _ = pixels.shape
    lines = b''.join(b'\0' + line.tobytes() for line in pixels)
    head = chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, 8, 6, 0, 0, 0))
    body = chunk(b'IDAT', zlib.compress(lines))
    return b'\x89PNG\r\n\x1a\n' + head + body + chunk(b'IEND', b'')


def unfilter(kind, line, above):
    """One line's bytes; PNG's filters 0 to 4 (none, left, above, mean, Paeth)."""
    if kind <= 2:
        return (line, line.reshape(-1, 4).cumsum(0, dtype=np.uint8).ravel(), line + above)[kind]
    made = [0] * 4
    up = [0] * 4 + above.tolist()
    for i, value in enumerate(line.tolist()):
        a, b, c = made[i], up[i + 4], up[i]
        near = [abs(b - c), abs(a - c), abs(a + b - 2 * c)]
        guess = (a + b) // 2 if kind == 3 else (a, b, c)[near.index(min(near))]
        made.append((value + guess) & 255)
    return np.array(made[4:], np.uint8)


def read_png(data):
    """bytes -> [h, w, 4] uint8."""
    at, body = 8, b''
    while at < len(data):
        n, name = struct.unpack_from('>I4s', data, at)
        if name == b'IHDR':
            w, h, *how = struct.unpack_from('>IIBBBBB', data, at + 8)
            assert how == [8, 6, 0, 0, 0], how
        if name == b'IDAT':
            body += data[at + 8: at + 8 + n]
        at += n + 12
    out, above = [], np.zeros(4 * w, np.uint8)
    for line in np.frombuffer(zlib.decompress(body), np.uint8).reshape(h, 4 * w + 1):
        above = unfilter(line[0], line[1:], above)
        out.append(above)
    return np.stack(out).reshape(h, w, 4)


# ---- Measures: the same as picture_train.py's ----

def on_white(pixels):
    """[..., 4] uint8, straight alpha -> [..., 3] float 0..1."""
    x = pixels.astype(np.float32) / 255
    return x[..., :3] * x[..., 3:] + (1 - x[..., 3:])


def difference(x, y):
    """Mean squared difference [n] of pictures on white; y may be one picture."""
    return np.square(x - y).mean((-1, -2, -3))


def psnr(made, wanted):
    return -10 * np.log10(difference(made, wanted) + 1e-10)


def ssim(made, wanted):
    """Wang et al. 2004: Gaussian window of 11, mean over the colours. [n, 64, 64, 3] -> [n]."""
    g = np.exp(-(np.arange(11) - 5.0) ** 2 / (2 * 1.5 ** 2))
    g = (g / g.sum()).astype(np.float32)

    def pool(v):
        v = sum(w * v[:, i: i + v.shape[1] - 10] for i, w in enumerate(g))
        return sum(w * v[:, :, i: i + v.shape[2] - 10] for i, w in enumerate(g))

    mx, my = pool(made), pool(wanted)
    vx = pool(made * made) - mx * mx
    vy = pool(wanted * wanted) - my * my
    cov = pool(made * wanted) - mx * my
    like = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
    most = (mx * mx + my * my + 1e-4) * (vx + vy + 9e-4)
    return (like / most).mean((1, 2, 3))


def n_different(pictures):
    """How many of these pictures on white are different.

    One within SAME of an earlier one that counts does not count.
    """
    counted = pictures[:1]
    for x in pictures[1:]:
        if difference(counted, x).min() > SAME:
            counted = np.concatenate([counted, x[None]])
    return len(counted)


# ---- What every row needs ----

class Board:
    """The database with the model, and the board's pictures in a virtual table.

    Pictures and concepts are numbered anew: those of the six sets, behind them the pictures of the
    sets that are held out, which have no concept (-1).
    """

    def __init__(self, a):
        self.n = a.n
        with open(f'{a.data}/index.json', encoding='utf8') as f:
            index = json.load(f)
        pictures = list(enumerate(index['pictures']))
        six = [(i, p) for i, p in pictures if p['set'] in BOARD_SETS]
        kept = six + [(i, p) for i, p in pictures if p['split'] == 'set']
        self.pixels = np.load(f'{a.data}/pixels.npy', mmap_mode='r')[[i for i, _ in kept]]
        self.n_pictures = len(six)
        self.sets = sorted(BOARD_SETS)
        self.set = np.array([p['set'] for _, p in kept])
        self.split = np.array([p['split'] for _, p in kept])
        shown, concept = np.unique([p['concept'] for _, p in six], return_inverse=True)
        self.names = [index['concepts'][c]['label'] for c in shown]
        self.concept = np.concatenate([concept, np.full(len(kept) - len(six), -1)])
        self.db = sqlite3.connect(':memory:')
        self.db.enable_load_extension(True)
        self.db.load_extension(os.path.join(HERE, '..', 'build', 'latent'))
        model = os.path.abspath(a.model)
        if os.path.exists(f'{os.path.dirname(model)}/text.safetensors'):
            self.one('SELECT latent_load(?)', os.path.dirname(model))
        self.one('SELECT latent_load(?)', model)
        vector = 'SELECT latent_vector(latent_encode(?), ?)'
        self.widths = {part: len(self.one(vector, self.png(0), part)) // 4 for part in 'sr'}
        self.s_of_text = len(self.one(vector, 'a', 's')) // 4

    def one(self, sql, *args):
        """The only value of a statement's first row."""
        return self.db.execute(sql, args).fetchone()[0]

    def of(self, *splits):
        """The pictures of these splits."""
        return np.flatnonzero(np.isin(self.split, splits))

    def some(self, rows, n, seed):
        return sorted(random.Random(seed).sample(list(map(int, rows)), min(n, len(rows))))

    def png(self, row):
        return write_png(self.pixels[row])

    def unit(self, x, part):
        """The s or r part of a picture or its latent, of unit length; or the s of a text.

        Of the mean of the segments: some names have two. A text has more numbers than a picture. In
        latent_distance() they count as 0 on the other side, so its first ones are kept as they are.
        """
        width = self.s_of_text if isinstance(x, str) else self.widths[part]
        v = np.frombuffer(self.one('SELECT latent_vector(?, ?)', x, part), '<f4')
        v = v.reshape(-1, width).sum(0)
        return v[:self.widths[part]] / np.linalg.norm(v)

    @functools.cached_property
    def points(self):
        """{'s': [pictures, width], 'r': [pictures, width]} of the six sets.

        From the virtual table `pictures`, which it fills.
        """
        self.db.execute('CREATE VIRTUAL TABLE pictures USING latent(body)')
        rows = ((i, self.png(i)) for i in range(self.n_pictures))
        with self.db:
            self.db.executemany('INSERT INTO pictures(rowid, body) VALUES (?, ?)', rows)
        latents = [z for z, in self.db.execute('SELECT latent FROM pictures ORDER BY rowid')]
        return {part: np.stack([self.unit(z, part) for z in latents]) for part in 'sr'}

    def nearest(self, x, part, aside=()):
        """The real picture nearest, by s or by r, to content or to a real picture (its row).

        Those aside are left out.
        """
        point = self.points[part][x] if isinstance(x, int) else self.unit(x, part)
        near = self.points[part] @ point
        near[list(aside)] = -2
        return int(near.argmax())

    def shown(self, *splits):
        """Concepts that pictures of these splits show."""
        return sorted(set(self.concept[self.of(*splits)].tolist()))

    @functools.cached_property
    def common(self):
        """The most common names, in a fixed order.

        They are those of concepts that all sets show and that are not held out.
        """
        sets = collections.defaultdict(set)
        for c, s in zip(self.concept.tolist(), self.set):
            sets[c].add(s)
        return self.mixed(c for c in self.shown('train') if len(sets[c]) == len(self.sets))

    @functools.cached_property
    def unseen(self):
        return self.mixed(self.shown('concept'))

    def mixed(self, concepts):
        concepts = list(concepts)
        random.Random(43).shuffle(concepts)
        return concepts

    def training_picture(self, concept, name):
        """Of a concept and a set: its row, or None."""
        is_it = (self.concept == concept) & (self.set == name) & (self.split == 'train')
        rows = np.flatnonzero(is_it)
        return int(rows[0]) if len(rows) else None

    def nearest_in_pixels(self, made):
        """[n, COPIED]: the training pictures nearest to each of made [n, 64, 64, 3] in pixels.

        The nearest first.
        """
        rows = self.of('train')
        flat = made.reshape(len(made), -1)
        far = []
        for i in range(0, len(rows), 500):
            x = on_white(self.pixels[rows[i: i + 500]]).reshape(-1, flat.shape[1])
            far.append(np.square(x).sum(1) - 2 * flat @ x.T)
        return rows[np.concatenate(far, 1).argsort(1, kind='stable')[:, :COPIED]]

    def back(self, rows):
        """Pictures as they come back, on white."""
        made = [self.one('SELECT latent_decode(latent_encode(?))', self.png(i)) for i in rows]
        return on_white(np.stack([read_png(x) for x in made]))

    def copies(self, made, near):
        """Which of made [n, 64, 64, 3] are copies of one of the training pictures `near`.

        A copy is within SAME of what comes back of the training picture.
        """
        rows = np.unique(near)
        back = dict(zip(rows.tolist(), self.back(rows)))
        return [any(difference(x, back[k]) <= SAME for k in line)
                for x, line in zip(made, near.tolist())]


# ---- The rows: each function gives (name, value) ----

def back(board):
    """What comes back."""
    for split, name in (SPLITS | {'set': 'whole sets held out'}).items():
        rows = board.some(board.of(split), 5 * board.n, 41)
        given = on_white(board.pixels[rows])
        made = board.back(rows)
        yield (f'{name}: PSNR, SSIM of latent_decode(latent_encode())',
               f'{psnr(made, given).mean():.2f} dB, {ssim(made, given).mean():.3f} of {len(rows)}')


def rank(far, hits):
    """Place, from 0, of the first hit, the nearest first. Those equally near keep their order."""
    return int(np.flatnonzero(hits[far.argsort(kind='stable')])[0])


def top(ranks):
    return f'{share(r < 1 for r in ranks)}; {share(r < 10 for r in ranks)} of {len(ranks):,}'


def check_distances(board, far):
    """That numpy's distances are latent_distance()'s, for ten names and all pictures."""
    for c in random.Random(47).sample(range(len(board.names)), 10):
        rows = board.db.execute('SELECT latent_distance(latent, ?) FROM pictures ORDER BY rowid',
                                [board.names[c]])
        said = [d for d, in rows]
        assert np.abs(far[c] - said).max() < 1e-5, (board.names[c], np.abs(far[c] - said).max())


def recall(board, far, queries, options):
    """How many of the 10 rows that the virtual table gives for a name are right: a share.

    Right is what is no farther than the 10th by distance. The mean over names.
    """
    found = []
    for c in queries:
        rows = board.db.execute('SELECT rowid FROM pictures(?, ?) LIMIT 10',
                                [board.names[c], options])
        given = [i for i, in rows]
        found.append((far[c][given] <= np.partition(far[c], 9)[9] + 1e-6).sum() / 10)
    return statistics.fmean(found)


def retrieval(board):
    """From a name to any picture of the concept, and from a picture to its name.

    Among all pictures, and among all names.
    """
    s = np.stack([board.unit(name, 's') for name in board.names])
    far = 1 - s @ board.points['s'].T
    check_distances(board, far)
    n = board.n_pictures
    shows = [board.concept[:n] == c for c in range(len(board.names))]
    training = board.split[:n] == 'train'
    sorts = {'train': 'training concepts', 'style': 'concepts with a style held out',
             'concept': 'concepts held out'}
    for split, sort in sorts.items():
        ranks = [rank(far[c], shows[c]) for c in board.shown(split)]
        yield f'name to picture, {sort}: top 1; top 10', top(ranks)
    ranks = [rank(np.where(shows[c] & training, 9, far[c]), shows[c] & ~training)
             for c in board.shown('style')]
    yield ("name to the picture whose style was held out, the concept's training pictures aside: "
           'top 1; top 10', top(ranks))
    for split, sort in SPLITS.items():
        ranks = [rank(far[:, i], np.arange(len(far)) == board.concept[i]) for i in board.of(split)]
        yield f'picture to name, {sort}: top 1; top 10', top(ranks)
    queries = board.some(range(len(board.names)), 5 * board.n, 71)
    recalls = [recall(board, far, queries, options)
               for options in ('{}', '{"recall":0.99}', '{"exact":true}')]
    yield ("the virtual table's 10 nearest pictures to a name, recall of those by latent_distance: "
           'as it is; asked for 0.99; exact',
           '; '.join(f'{100 * r:.1f}%' for r in recalls) + f' of {len(queries)}')


def images(board):
    """latent_image(name, seed)."""
    for sort, concepts in ('common names', board.common), ('names held out', board.unseen):
        concepts = concepts[:board.n]
        pngs = [board.one('SELECT latent_image(?, ?)', board.names[c], seed)
                for seed, c in enumerate(concepts)]
        made = on_white(np.stack([read_png(x) for x in pngs]))
        right = [board.concept[board.nearest(x, 's')] == c for x, c in zip(pngs, concepts)]
        near = board.nearest_in_pixels(made)
        in_pixels = '-'
        if sort != 'names held out':
            in_pixels = share(board.concept[near[:, 0]] == concepts)
        yield (f'latent_image, {sort}: concept of the nearest real picture is right, by '
               'latent_distance; of the nearest training one in pixels',
               f'{share(right)}; {in_pixels} of {len(made)}')
        yield (f'latent_image, {sort}: copies of a training picture, as '
               'latent_decode(latent_encode()) gives it back; different',
               f'{share(board.copies(made, near))}; {n_different(made)} of {len(made)}')


def paths(board):
    """11 points between held-out pictures; the 9 interior ones are judged, as score.py does."""
    rng = random.Random(53)
    held = board.of('style', 'concept').tolist()
    inner, found = [], []
    for _ in range(board.n):
        pair = rng.sample(held, 2)
        rows = board.db.execute(PATH, [*map(board.png, pair), '{}']).fetchall()
        made = on_white(np.stack([read_png(r[0]) for r in rows]))
        ends = np.concatenate([on_white(board.pixels[pair]), made[[0, -1]]])
        inner += [(r[1], difference(ends, x).min() > SAME)
                  for r, x in zip(rows[1:-1], made[1:-1])]
        leaving = [p[2] <= q[2] + 1e-6 and p[3] >= q[3] - 1e-6 for p, q in zip(rows, rows[1:])]
        steps = sum(max(0, r[4]) for r in rows[1:])
        smooth = rows[-1][2] / steps if steps > 1e-6 else 1
        found.append((n_different(made[1:-1]), statistics.fmean(leaving), smooth))
    distinct, monotone, smooth = zip(*found)
    yield 'random pairs: interior points that are neither end', share(x for _, x in inner)
    yield 'random pairs: different pictures among 9', f'{statistics.fmean(distinct):.2f}'
    yield 'random pairs: steps that leave a and near b', share(monotone)
    yield ('random pairs: smoothness (way from end to end over the sum of the steps)',
           f'{statistics.fmean(smooth):.2f}')
    yield 'random pairs: fidelity', f'{statistics.fmean(x for x, _ in inner):.3f}'


def crossed_pairs(board, n):
    """n pairs of training pictures (content, style), of two concepts that all sets show.

    They are of two sets. The style's set has drawn the content's concept too.
    """
    rng = random.Random(59)
    while n:
        c, d = rng.sample(board.common, 2)
        s, t = rng.sample(board.sets, 2)
        content = board.training_picture(c, s)
        style = board.training_picture(d, t)
        crossed = board.training_picture(c, t)
        if content is not None and style is not None and crossed is not None:
            n -= 1
            yield content, style


def both(hits):
    """Shares of (concept, set) that are right, and of both."""
    concepts, sets = zip(*hits)
    return f'{share(concepts)}; {share(sets)}; {share(a and b for a, b in hits)} of {len(hits)}'


def crosses(board):
    """latent_cross(content, style), decoded and encoded again.

    Whether s is the content's and r the style's.
    """
    def name(i):
        return board.names[board.concept[i]]

    pairs = list(crossed_pairs(board, board.n))
    said = ("concept of the nearest real picture by s is the content's; set of the nearest by r is "
            "the style's; both")
    for sort, content in ('a picture', board.png), ('a text', name):
        hits = collections.defaultdict(list)
        for a, b in pairs:
            z = board.one('SELECT latent_encode(latent_cross(?, ?, 1))', content(a), board.png(b))
            for aside in (), (a, b):
                s, r = (board.nearest(z, part, aside) for part in 'sr')
                hit = board.concept[s] == board.concept[a], board.set[r] == board.set[b]
                hits[aside != ()].append(hit)
        yield f'latent_cross, content {sort}: {said}', both(hits[False])
        yield 'the same, the two pictures themselves aside', both(hits[True])
    real = board.some(np.flatnonzero(np.isin(board.concept, board.common)), 10 * board.n, 61)
    near = [(i, *(board.nearest(i, part, [i]) for part in 'sr')) for i in real]
    hits = [(board.concept[s] == board.concept[i], board.set[r] == board.set[i])
            for i, s, r in near]
    yield ('for comparison, real pictures of such concepts, and the nearest others: concept by s; '
           'set by r; both', both(hits))


def sample(board, seed):
    return board.one("""SELECT latent_sample(?, '{"kind":"picture"}')""", seed)


def samples(board):
    made = on_white(np.stack([read_png(sample(board, seed)) for seed in range(board.n)]))
    copies = share(board.copies(made, board.nearest_in_pixels(made)))
    yield ('samples: different; copies of a training picture, as latent_decode(latent_encode()) '
           'gives it back',
           f'{n_different(made)}; {copies} of {len(made)}')


ROWS = {
    'back': back,
    'retrieval': retrieval,
    'images': images,
    'paths': paths,
    'crosses': crosses,
    'samples': samples,
}


# ---- To be looked at by a person ----

SHEET = 'SELECT latent_sheet(value, label) FROM (SELECT value, label FROM temp.cell ORDER BY at)'


def draw(board, cells):
    """latent_sheet() of (picture, label). Square numbers of cells without labels make a square."""
    board.db.execute('CREATE TABLE IF NOT EXISTS temp.cell(at INTEGER PRIMARY KEY, value, label)')
    board.db.execute('DELETE FROM temp.cell')
    board.db.executemany('INSERT INTO temp.cell(value, label) VALUES (?, ?)', cells)
    return board.one(SHEET)


def sheet_back(board, split):
    """144 cells: six rows of twelve held-out pictures, each row above what comes back."""
    rows = board.some(board.of(split), 72, 67)
    lines = [[board.png(i) for i in rows[k: k + 12]] for k in range(0, 72, 12)]
    cells = []
    for line in lines:
        cells += line + [board.one('SELECT latent_decode(?)', x) for x in line]
    return draw(board, [(x, None) for x in cells])


def sheet_images(board, concepts):
    cells = [(board.one('SELECT latent_image(?, ?)', board.names[c], seed), board.names[c])
             for seed, c in enumerate(concepts[:24])]
    return draw(board, cells)


def sheet_common(board):
    return sheet_images(board, board.common)


def sheet_unseen(board):
    return sheet_images(board, board.unseen)


def sheet_strips(board):
    """Ten strips, one below the other."""
    rng = random.Random(53)
    held = board.of('style', 'concept').tolist()
    pairs = [map(board.png, rng.sample(held, 2)) for _ in range(10)]
    strips = [board.one('SELECT latent_strip(?, ?, 11)', *pair) for pair in pairs]
    return write_png(np.concatenate([read_png(x) for x in strips]))


def sheet_crosses(board):
    """49 cells: on top six styles, at the left six contents."""
    whole = [c for c in board.common
             if all(board.training_picture(c, s) is not None for s in board.sets)]
    styles = [board.png(board.training_picture(whole[0], s)) for s in board.sets]
    contents = [board.png(board.training_picture(c, s)) for c, s in zip(whole[1:], board.sets)]
    cells = [write_png(np.zeros((64, 64, 4), np.uint8)), *styles]
    for x in contents:
        cells += [x, *(board.one('SELECT latent_cross(?, ?, 1)', x, y) for y in styles)]
    return draw(board, [(x, None) for x in cells])


def sheet_crosses_text(board):
    """35 labelled cells, which make five rows: a style and six names in it."""
    styles = [style for _, style in crossed_pairs(board, 5)]
    names = [board.names[c] for c in board.common[7:13]]
    cells = []
    for i in styles:
        style = board.png(i)
        cells.append((style, board.set[i]))
        cells += [(board.one('SELECT latent_cross(?, ?, 1)', name, style), name) for name in names]
    return draw(board, cells)


def sheet_samples(board):
    return draw(board, [(sample(board, seed), None) for seed in range(64)])


SHEETS = {
    'back-style': functools.partial(sheet_back, split='style'),
    'back-concept': functools.partial(sheet_back, split='concept'),
    'back-set': functools.partial(sheet_back, split='set'),
    'images': sheet_common,
    'images-unseen': sheet_unseen,
    'strips': sheet_strips,
    'crosses': sheet_crosses,
    'crosses-text': sheet_crosses_text,
    'samples': sheet_samples,
}


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', default=f'{HERE}/../build/pictures')
    p.add_argument('--model', default=f'{HERE}/picture.safetensors')
    p.add_argument('--n', type=int, default=100,
                   help='names, pairs, crosses and samples; of what comes back five times as many '
                   'of each sort')
    p.add_argument('--rows', default=','.join(ROWS), help='which, of: ' + ', '.join(ROWS))
    p.add_argument('--sheets', help='folder for contact sheets: ' + ', '.join(SHEETS))
    a = p.parse_args()
    board = Board(a)
    print(f'{datetime.date.today()}, {board.n_pictures} pictures of {len(board.names)} concepts',
          board.one('SELECT latent_info()'))
    for name in filter(None, a.rows.split(',')):
        start = time.time()
        for row, value in ROWS[name](board):
            print(f'| {row} | {value} |', flush=True)
        print(f'    {name}: {time.time() - start:.0f} s', flush=True)
    if a.sheets:
        os.makedirs(a.sheets, exist_ok=True)
        for name, make in SHEETS.items():
            with open(f'{a.sheets}/{name}.png', 'wb') as f:
                f.write(make(board))


if __name__ == '__main__':
    main()
