"""Pictures on an opaque ground: are they found as well as on a transparent one? Through SQL.

    score_grounds.py [--pictures ../examples/pictures] [--quality 85] [--side 64]

Prints the rows of SCOREBOARD.md's table of grounds. The pictures are the transparent ones of the
repository, named after their files. Each is put on a ground, written as a PNG or JPEG (--side:
scaled to so many pixels first), and encoded. Then:

- a name finds its picture: of all pictures on that ground, one of that name (there are two, in two
  styles) is among the ten nearest to the name by latent_distance();
- a picture finds its original: of all transparent pictures it is the nearest to the one on the
  ground.

Needs numpy and Pillow, and a Python that may load SQLite extensions.
"""
import argparse
import glob
import io
import os
import sqlite3

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
WHITE, BLACK, GREEN = (255, 255, 255), (0, 0, 0), (30, 120, 60)
AMONG = 10
CASES = (  # what it is called, the ground (None: transparent), the format
    ('transparent PNG', None, 'PNG'),
    ('PNG on white', WHITE, 'PNG'),
    ('PNG on black', BLACK, 'PNG'),
    ('JPEG on white', WHITE, 'JPEG'),
    ('JPEG on black', BLACK, 'JPEG'),
    ('JPEG on dark green', GREEN, 'JPEG'),
)


def on_ground(picture, ground, how, quality):
    """The bytes of a file: the picture on a ground."""
    if ground is not None:
        below = Image.new('RGBA', picture.size, (*ground, 255))
        below.alpha_composite(picture)
        picture = below.convert('RGB')
    out = io.BytesIO()
    picture.save(out, how, **({'quality': quality} if how == 'JPEG' else {}))
    return out.getvalue()


class Points:
    """The s parts of content, of unit length."""

    def __init__(self):
        self.db = sqlite3.connect(':memory:')
        self.db.enable_load_extension(True)
        self.db.load_extension(os.path.join(HERE, '..', 'build', 'latent'))

    def unit(self, x):
        sql = "SELECT latent_vector(latent_encode(?, '{\"refine\":0}'), 's')"
        v = np.frombuffer(self.db.execute(sql, [x]).fetchone()[0], '<f4')
        return v / np.linalg.norm(v)

    def units(self, contents):
        return np.stack([self.unit(x) for x in contents])


def found(near, wanted, among):
    """For how many rows of near [rows, pictures] a wanted picture is among the nearest."""
    best = np.where(wanted, near, -2).max(1, keepdims=True)
    return int(((near > best).sum(1) < among).sum())


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--pictures', default=f'{HERE}/../examples/pictures')
    p.add_argument('--quality', type=int, default=85, help='of the JPEGs')
    p.add_argument('--side', type=int, default=64, help='pixels to a side of what is written')
    a = p.parse_args()
    files = sorted(glob.glob(f'{a.pictures}/*/*.png'))
    names = np.array([os.path.basename(f)[:-4].replace('-', ' ') for f in files])
    pictures = [Image.open(f).convert('RGBA') for f in files]
    sized = [x.resize((a.side, a.side), Image.BICUBIC) if x.width != a.side else x
             for x in pictures]
    points = Points()
    texts = points.units(names.tolist())
    originals = points.units([on_ground(x, None, 'PNG', 0) for x in pictures])
    same_name = names[:, None] == names[None]
    for case, ground, how in CASES:
        put = points.units([on_ground(x, ground, how, a.quality) for x in sized])
        # A text's s is longer: of pictures its other numbers count as 0.
        by_name = found(texts[:, :put.shape[1]] @ put.T, same_name, AMONG)
        own = found(put @ originals.T, np.eye(len(files), dtype=bool), 1)
        print(f'| {case} | {by_name} | {own} |', flush=True)


if __name__ == '__main__':
    main()
