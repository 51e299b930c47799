"""STS-B by latent_embed(): how like the distances of sentences are to what people say.

    /usr/bin/python3 model/score_meaning.py ../shared/data/pairs/stsb_split_score_s1_s2_genre.tsv.xz

Prints Spearman's correlation for the whole vector and for prefixes, on dev and test. --encoder
takes another folder (latent_load()). Debian's Python, and nothing besides.
"""
import argparse
import array
import lzma
import math
import sqlite3
import statistics

from score import ranks


def cosine(a, b, width):
    a, b = a[:width], b[:width]
    dot = sum(x * y for x, y in zip(a, b))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('pairs')
    parser.add_argument('--extension', default='build/latent.so')
    parser.add_argument('--encoder', help='a folder, for latent_load()')
    a = parser.parse_args()
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.execute('SELECT load_extension(?)', (a.extension,))
    if a.encoder:
        db.execute('SELECT latent_load(?)', (a.encoder,))

    def vector(text):
        return array.array('f', db.execute('SELECT latent_embed(?)', (text,)).fetchone()[0])

    with lzma.open(a.pairs, 'rt', encoding='utf8') as f:
        rows = [line.rstrip('\n').split('\t') for line in f]
    for split in ('dev', 'test'):
        pairs = [r for r in rows if r[0] == split]
        said = ranks([float(r[1]) for r in pairs])
        vectors = [(vector(r[2]), vector(r[3])) for r in pairs]
        for width in (128, 256, len(vectors[0][0])):
            rho = statistics.correlation(ranks([cosine(x, y, width) for x, y in vectors]), said)
            print(f'{split}: {len(pairs)} pairs, {width} numbers: {rho:.4f}')


if __name__ == '__main__':
    main()
