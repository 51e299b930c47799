"""The judge of score.py: what the training text says about a sentence, whoever wrote it.

It says how many nats a word costs under a word trigram model, which words the training text does
not know, whether a sentence is a copy of a training sentence, and how many held-out sentences share
long runs of words with the training text. It does not depend on the weights. What takes minutes to
work out is kept in a folder outside the repository (--cache of score.py), and made anew when that
is empty.
"""
import array
import bisect
import glob
import hashlib
import lzma
import marshal
import math
import os
import random
import re
import statistics

ID_BITS = 21            # bits of a word in an n-gram's number


def lines(path):
    with lzma.open(path, 'rt', encoding='utf8') as f:
        return [line.rstrip('\n') for line in f]


def training_files(data):
    held = ('valid.txt.xz', 'test.txt.xz')
    return [p for p in sorted(glob.glob(f'{data}/text/*.xz')) if os.path.basename(p) not in held]


def words(text):
    return re.findall(r"\w+|[^\w\s]", text.lower())


def fingerprint(text):
    """64 bits of the letters and digits: two texts that differ in nothing else are the same."""
    letters = ''.join(c for c in text.lower() if c.isalnum())
    return int.from_bytes(hashlib.blake2b(letters.encode(), digest_size=8).digest(), 'little')


def kept(path, make):
    """What make() gives, from the file that keeps it.

    Texts, numbers, lists and dicts only (marshal).
    """
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        value = make()
        with open(path + '.new', 'wb') as f:
            marshal.dump(value, f)
        os.replace(path + '.new', path)
    with open(path, 'rb') as f:
        return marshal.load(f)


# ---- A word trigram model: interpolated absolute discounting (Ney 1994) ----

DISCOUNT = 0.75
START, END, UNKNOWN = 0, 1, 2


def count_grams(texts):
    """-> word ids, and for each order three dicts. An n-gram is one number.

    They are: n-gram -> count, history -> total, history -> distinct followers.
    """
    ids = {}
    counts = [{}, {}, {}]
    totals = [{}, {}, {}]
    distinct = [{}, {}, {}]
    for text in texts:
        row = [START, START] + [ids.setdefault(w, len(ids) + 3) for w in words(text)] + [END]
        for i in range(2, len(row)):
            history = 0
            for order in range(3):
                history = row[i - order] << ID_BITS * (order - 1) | history if order else 0
                gram = history << ID_BITS | row[i]
                n = counts[order].get(gram, 0)
                counts[order][gram] = n + 1
                totals[order][history] = totals[order].get(history, 0) + 1
                if n == 0:
                    distinct[order][history] = distinct[order].get(history, 0) + 1
    return [ids, counts, totals, distinct]


def sample_training(data):
    """A tenth of every source, always the same."""
    rng = random.Random(5)
    pool = []
    for path in training_files(data):
        whole = lines(path)
        pool += rng.sample(whole, len(whole) // 10)
    return pool


class Judge:
    def __init__(self, data, cache):
        def make():
            return count_grams(sample_training(data))

        self.ids, *self.grams = kept(f'{cache}/trigrams', make)
        by_length = {}
        for text in lines(f'{data}/text/valid.txt.xz')[:8000]:
            costs = self.costs(text)
            by_length.setdefault(min(len(costs), 40), []).append(statistics.fmean(costs))
        self.real = {n: statistics.fmean(v) for n, v in by_length.items() if len(v) >= 20}

    def costs(self, text):
        """Nats of every word; the end of the sentence counts as one.

        Words never seen share the mass of a unigram count of 1.
        """
        row = [START, START] + [self.ids.get(w, UNKNOWN) for w in words(text)] + [END]
        out = []
        for i in range(2, len(row)):
            p = 1 / (len(self.ids) + 1)
            history = 0
            for order, (counts, totals, distinct) in enumerate(zip(*self.grams)):
                history = row[i - order] << ID_BITS * (order - 1) | history if order else 0
                if total := totals.get(history):
                    n = counts.get(history << ID_BITS | row[i], 0)
                    p = (max(n - DISCOUNT, 0) + DISCOUNT * distinct[history] * p) / total
            out.append(-math.log(p))
        return out

    def fluency(self, texts):
        """Nats a word of the texts over those of real sentences of the same lengths.

        1.0 costs what the corpus costs.
        """
        own = real = 0.0
        for text in texts:
            costs = self.costs(text)
            own += sum(costs)
            nearest = min(self.real, key=lambda k: abs(k - len(costs)))
            real += self.real[nearest] * len(costs)
        return own / real

    def strange(self, text, own=()):
        """Has it a word that is neither in the sample of the training text nor among `own`?"""
        return any(w not in self.ids and w not in own for w in words(text))


# ---- Copies and contamination ----

def scan_training(data, held):
    """One pass over the training text -> its sentences, and how much of the held-out texts it has.

    The first are sorted fingerprints. The second are the held-out texts of 8 words or more that
    share a run of 8 with it, and those of 5 words or more all of whose runs of 5 occur in it.
    """
    rows = [tuple(words(t)) for t in held]
    fives = {row[i: i + 5]: False for row in rows for i in range(len(row) - 4)}
    eights = {row[i: i + 8]: False for row in rows for i in range(len(row) - 7)}
    held_prints = {fingerprint(t) for t in held}
    prints = set()
    for path in training_files(data):
        for text in lines(path):
            print_ = fingerprint(text)
            if print_ in held_prints:       # prepare.py leaves it out of training
                continue
            prints.add(print_)
            row = tuple(words(text))
            for i in range(len(row) - 4):
                if row[i: i + 5] in fives:
                    fives[row[i: i + 5]] = True
                    if row[i: i + 8] in eights:
                        eights[row[i: i + 8]] = True

    def share(n, found, quantifier):
        """[rows of n words or more whose runs of n are found, rows of n words or more]."""
        long = [r for r in rows if len(r) >= n]
        hits = (quantifier(found[r[i: i + n]] for i in range(len(r) - n + 1)) for r in long)
        return [sum(hits), len(long)]

    sentences = array.array('Q', sorted(prints)).tobytes()
    return [sentences, share(8, eights, any), share(5, fives, all)]


class Training:
    """What of a held-out split, and of texts that somebody made, stands in the training text."""

    def __init__(self, data, cache, split):
        def made():
            return scan_training(data, lines(f'{data}/text/{split}.txt.xz'))

        prints, self.eights, self.fives = kept(f'{cache}/training-{split}', made)
        self.prints = array.array('Q')
        self.prints.frombytes(prints)

    def has(self, text):
        wanted = fingerprint(text)
        at = bisect.bisect_left(self.prints, wanted)
        return at < len(self.prints) and self.prints[at] == wanted
