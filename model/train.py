"""Trains the model of any kind (text, code, pictures): one script for two CPU cores and for a GPU, stopped and resumed at any step.

    python3 train.py --data DIR --run RUN [--init text.safetensors]     trunk: constant rate, until stopped (Ctrl-C or --minutes)
    python3 train.py --data DIR --run RUN --decay 2000                  from the trunk's checkpoint: 2,000 steps down to rate 0

    python3 train.py --data DIR --run RUN --init text.safetensors --decay 100000 --minutes 66 --meanings 6000 --teacher 2        for meaning and middles

DIR is made by prepare.py: of text and code, or, with words.npz, of pictures (--shape PICTURE). The trunk writes RUN/trunk.pt every ten minutes and when it is stopped, and goes on from it; the decay reads
trunk.pt and writes RUN/decayed.pt, so the trunk can go on for days and be shipped at any time (export.py). Every random choice of a
step is drawn from the seed and the step's number, and the data order from the seed and the epoch: a resumed run sees what an
uninterrupted one would have seen.

On CPU half of the time goes into page faults unless malloc keeps its memory; the settings are in the Makefile (make train).
"""
import argparse
import math
import os
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F

import text_model
from text_model import BOS, EOS, PAD, UNK, TextModel
from tokenizer import Tokenizer

NOISE = 0.1         # standard deviation per number of z (which has unit variance), for most examples
NOISE_MOST = 0.8    # the others draw theirs from 0 to this: the decoder learns to write from an unsure point
DROP_TOKENS = 0.2   # half of the encoder's inputs lose tokens, at a rate drawn from 0 to this
MASK_TOKENS = 0.05  # of the decoder's inputs
DROP_Z = 0.1        # examples without z: the decoder as a plain language model (the fluency dial)
WEAK_DETAIL = 0.45  # examples with r scaled by 0..1 (the detail dial), and NO_DETAIL with none
NO_DETAIL = 0.1
TEACHER_LIKE = 4    # weight, beside that of the points: of the similarities within a batch of meanings, and of those within its groups
TOPICS = 64         # the meanings' groups are sorted into so many; half of the batches are of one of them, so that texts nearly alike are told apart
MIDDLES = 0.15      # of a batch's tokens: sentences to be written from the middle of two others that they lie between
MIDDLE_LONGEST = 24 # tokens of these, end included
FROM_WORDS = 0.5    # pictures that are decoded from the s of their concept's name; of all, FROM_MATE with the r of another of their style,
FROM_MATE = 0.2     # and FROM_PRIOR with an r drawn at random, as latent_image() draws it
FROM_PRIOR = 0.08


def fast_type(device):
    """bf16 where its products are fast: on GPUs, and on CPUs that have instructions for it. Without them they are seventy times slower than f32
    (AMD EPYC with AVX2, PyTorch 2.15, 2048x1440 by 1440x160: 2 GFLOP/s for 138)."""
    return torch.bfloat16 if device == 'cuda' or torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


def autocast(device):
    return torch.autocast(device, dtype=torch.bfloat16, enabled=fast_type(device) == torch.bfloat16)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised by five Newton-Schulz steps in bf16, where that is fast (Jordan et al. 2024), for matrices [in, out]."""

    def __init__(self, params, lr):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group['params']:
                state = self.state[p]
                if 'momentum' not in state:
                    state['momentum'] = torch.zeros_like(p)
                m = state['momentum'].lerp_(p.grad, 0.05)
                u = p.grad.lerp(m, 0.95)
                x = (u / (u.norm() + 1e-7)).to(fast_type(u.device.type))
                if tall := x.shape[0] > x.shape[1]:
                    x = x.t()
                for _ in range(5):
                    b = x @ x.t()
                    x = 3.4445 * x + (-4.775 * b + 2.0315 * b @ b) @ x
                if tall:
                    x = x.t()
                scale = max(1.0, p.shape[1] / p.shape[0]) ** 0.5
                p.mul_(1 - group['lr'] * 0.05).add_(x.float(), alpha=-group['lr'] * scale)


class Corpus:
    """Packed sentences: rows of token ids, and teacher vectors for the first of them."""

    def __init__(self, folder, rows, tokens, seed):
        f = np.load(f'{folder}/ids.npz')
        self.flat, self.off = f['flat'], f['off']
        flat, off = f['valid_flat'], f['valid_off']  # an NpzFile reads the array anew at every look-up
        self.valid = [flat[a:b] for a, b in zip(off, off[1:]) if b > a]
        teacher = f'{folder}/teacher.npz'
        self.teacher = np.load(teacher)['vectors'] if os.path.exists(teacher) else np.zeros((0, 128), np.float16)
        n = len(self.off) - 1
        self.rows, self.tokens, self.seed = min(rows or n, n), tokens, seed

    def __getitem__(self, i):
        return self.flat[self.off[i]: self.off[i + 1]]

    def epoch(self, number):
        """The batches of one epoch: rows of about equal length, at most `tokens` tokens with EOS and padding."""
        rng = np.random.RandomState((self.seed, number))
        length = np.diff(self.off)[: self.rows]
        order = rng.permutation(np.nonzero(length)[0])
        for start in range(0, len(order), 20000):
            part = order[start: start + 20000]
            part = part[np.argsort(length[part] + rng.rand(len(part)))]
            batches, i = [], 0
            while i < len(part):
                j = i
                while j < len(part) and (length[part[j]] + 1) * (j - i + 1) <= self.tokens:
                    j += 1
                batches.append(part[i:j])
                i = j
            yield from (batches[k] for k in rng.permutation(len(batches)))

    def batch(self, rows, rng=None):
        """Row numbers -> encoder input, decoder input, decoder target [B, T] each; with rng, corrupted for training."""
        T = max(len(self[i]) for i in rows) + 1
        x, given, target = (np.full((len(rows), T), fill, np.int64) for fill in (PAD, PAD, -100))
        for b, i in enumerate(rows):
            ids = seen = self[i]
            if rng is not None and rng.rand() < 0.5:
                keep = rng.rand(len(ids)) >= rng.rand() * DROP_TOKENS
                keep[rng.randint(len(ids))] = True
                seen = ids[keep]
            x[b, : len(seen)], x[b, len(seen)] = seen, EOS
            given[b, 0], given[b, 1: len(ids) + 1] = BOS, ids
            target[b, : len(ids)], target[b, len(ids)] = ids, EOS
        if rng is not None:
            mask = rng.rand(*given.shape) < MASK_TOKENS
            mask[:, 0] = False
            given[mask] = UNK
        return [torch.from_numpy(v) for v in (x, given, target)]

    def stand_in(self, rows, s, r):
        """The points to decode these rows from, where they are not their own; pictures have some."""
        return s, r


class PictureCorpus(Corpus):
    """Packed pictures: rows of 64 codes, each with a concept and a style; and what text says of a concept.

    words.npz: `concept` and `style` [rows]; `vectors` [concepts, K, 128], the text model's s of K phrasings of a concept's name. The teacher of a
    picture is its concept's, whatever the style.
    """

    def __init__(self, folder, rows, tokens, seed):
        super().__init__(folder, rows, tokens, seed)
        f = np.load(f'{folder}/words.npz')
        self.concept, self.style, self.words = f['concept'], f['style'], torch.from_numpy(f['vectors'].astype(np.float32))

    def batch(self, rows, rng=None):
        """As for text, but a corrupted code becomes UNK and leaves the others where they are: a code's place is part of what it says."""
        x, given, target = super().batch(rows)
        if rng is not None:
            rate = rng.rand(len(rows), 1) * DROP_TOKENS * (rng.rand(len(rows), 1) < 0.5)
            lost = torch.from_numpy(rng.rand(*x.shape) < rate)
            x[lost & (x > UNK)] = UNK
            mask = torch.from_numpy(rng.rand(*given.shape) < MASK_TOKENS)
            mask[:, 0] = False
            given[mask] = UNK
        return [x, given, target]

    def stand_in(self, rows, s, r):
        """Half of the pictures are decoded from what text says of their concept; of those, some with another picture's r, of the same style,
        or none's: so s says what is to be seen, and an r that does not fit says at most in which manner."""
        n = len(rows)
        words = self.words[self.concept[rows], torch.randint(self.words.shape[1], (n,))].to(s.device)
        u = torch.rand(n, 1, device=s.device)
        alike = torch.from_numpy(self.style[rows][:, None] == self.style[rows][None]).to(s.device) & ~torch.eye(n, dtype=torch.bool, device=s.device)
        mate = (alike.float() + 1e-6).multinomial(1)[:, 0]
        drawn = F.normalize(torch.randn_like(r), dim=-1)
        other = torch.where(u < FROM_MATE, r[mate].detach(), drawn)
        return torch.where(u < FROM_WORDS, words, s), torch.where(u < FROM_MATE + FROM_PRIOR, other, r)


class Meanings:
    """Groups of texts that mean about the same, with the teacher's vectors of full width (meaning.npz of prepare.py): what s learns from beside the
    sentences of the corpus, and what middles are made of.

    A middle: of two random short texts and the text whose vector is nearest to the middle of theirs. The decoder is given the middle of the two points, and
    writes the third: so it learns to say something whole where no text lies, rather than halves of two.
    """

    def __init__(self, folder, tokens, seed):
        f = np.load(f'{folder}/meaning.npz')
        self.flat, self.off, self.group = f['flat'], f['off'], f['group']
        self.vectors = torch.from_numpy(f['vectors'].astype(np.float32))
        self.taught = F.normalize(self.vectors @ torch.from_numpy(np.load(f'{folder}/teacher.npz')['axes']), dim=-1)
        self.tokens, self.seed = tokens, seed
        length = np.diff(self.off)
        first = np.flatnonzero(np.diff(self.group, prepend=-1))
        groups = [range(a, b) for a, b in zip(first, [*first[1:], len(length)]) if length[a:b].all()]
        groups.sort(key=lambda g: max(length[g.start: g.stop]))
        topic = self.topics_of(self.vectors[[g.start for g in groups]])
        self.groups, self.topics = groups, [[groups[i] for i in np.flatnonzero(topic == k)] for k in range(TOPICS)]
        self.sizes = np.array([len(t) for t in self.topics]) / len(groups)
        self.short = np.flatnonzero((length > 3) & (length < MIDDLE_LONGEST))
        self.middles = self.find_middles(12000)

    def topics_of(self, vectors):
        """[n]: which of TOPICS each vector belongs to, by spherical k-means."""
        centres = vectors[np.random.RandomState(self.seed).permutation(len(vectors))[:TOPICS]]
        for _ in range(8):
            topic = (vectors @ centres.t()).argmax(1)
            centres = F.normalize(torch.zeros_like(centres).index_add_(0, topic, vectors), dim=-1)
        return topic.numpy()

    def find_middles(self, n):
        """[n, 3]: a, b, and the text nearest to their middle that is of neither's group."""
        rng = np.random.RandomState(self.seed)
        pairs, found = rng.choice(self.short, (n, 2)), []
        pool = self.vectors[self.short]
        for part in np.split(pairs, range(1000, n, 1000)):
            near = (self.vectors[part[:, 0]] + self.vectors[part[:, 1]]) @ pool.t()
            for own in part.T:
                near[torch.from_numpy(self.group[own][:, None] == self.group[self.short][None])] = -1
            found.append(self.short[near.argmax(1).numpy()])
        return np.column_stack([pairs, np.concatenate(found)])

    def __getitem__(self, i):
        return self.flat[self.off[i]: self.off[i + 1]]

    def padded(self, rows):
        return text_model.pad_batch([self[i].tolist() + [EOS] for i in rows])

    def batch(self, rng):
        """Rows of about equal length, their groups whole; of any topics or of one."""
        groups = self.groups if rng.rand() < 0.5 else self.topics[rng.choice(TOPICS, p=self.sizes)]
        at = rng.randint(len(groups))
        window = range(max(0, at - 400), min(len(groups), at + 400))
        rows, longest = [], 0
        for k in rng.permutation(window):
            longest = max([longest, *(len(self[i]) + 1 for i in groups[k])])
            if longest * (len(rows) + len(groups[k])) > self.tokens:
                break
            rows += groups[k]
        return np.array(rows)

    def loss(self, s, rows):
        """(1 - cosine) to the teacher, and the squared errors of the similarities: of all, and of those within a group."""
        t, group = self.vectors[rows].to(s.device), torch.from_numpy(self.group[rows]).to(s.device)
        error = (s @ s.t() - t @ t.t()).pow(2)
        same = (group[:, None] == group[None]) & ~torch.eye(len(rows), dtype=torch.bool, device=s.device)
        points = (1 - (s * self.taught[rows].to(s.device)).sum(-1)).mean()
        return points + TEACHER_LIKE * (error.mean() + (error * same).sum() / same.sum().clamp(min=1))

    def middle_batch(self, rng, tokens):
        """Padded a, b, the decoder's input and its target, of as many middles as make up about so many tokens."""
        a, b, c = self.middles[rng.permutation(len(self.middles))[: max(1, tokens // (MIDDLE_LONGEST * 2 // 3))]].T
        ids = self.padded(c)
        given = torch.cat([torch.full((len(c), 1), BOS), ids[:, :-1]], 1)
        return self.padded(a), self.padded(b), given, ids.masked_fill(ids == PAD, -100)


def between(model, s, r, t):
    """z of the points at t [n, 1] between the first half of the rows and the second."""
    (s_a, s_b), (r_a, r_b) = s.chunk(2), r.chunk(2)
    return model.join(noisy(text_model.slerp(s_a, s_b, t), NOISE), (1 - t) * r_a + t * r_b)


def noisy(v, sigma):
    return F.normalize(v + sigma * torch.randn_like(v) / math.sqrt(v.shape[1]), dim=-1)


def perturb(model, s, r):
    """z as the decoder meets it in use: noisy, with weak detail, or absent."""
    n, dev = len(s), s.device
    u = torch.rand(n, 1, device=dev)
    sigma = torch.where(u < 0.6, torch.full_like(u, NOISE), torch.rand(n, 1, device=dev) * NOISE_MOST)
    detail = torch.where(torch.rand(n, 1, device=dev) < WEAK_DETAIL, torch.rand(n, 1, device=dev), torch.ones(n, 1, device=dev))
    detail = detail * (torch.rand(n, 1, device=dev) >= NO_DETAIL)
    z = model.join(noisy(s, sigma), noisy(r, sigma) * detail)
    return z * (torch.rand(n, 1, device=dev) >= DROP_Z)


def points(model, corpus, rows, s, r, clear):
    """z [B, s + r] to decode these rows from; a share `clear` of them from no other than their own, with the usual noise alone."""
    z = perturb(model, *corpus.stand_in(rows, s, r))
    if not clear:
        return z
    own = model.join(noisy(s, NOISE), noisy(r, NOISE))
    return torch.where(torch.rand(len(s), 1, device=s.device) < clear, own, z)


def teacher_loss(corpus, rows, s):
    """Share of the rows that have a teacher vector times (1 - cosine, plus the squared error of the similarity matrix)."""
    have = np.nonzero(rows < len(corpus.teacher))[0]
    if not len(have):
        return s.sum() * 0
    t = torch.from_numpy(corpus.teacher[rows[have]].astype(np.float32)).to(s.device)
    own = s[torch.from_numpy(have).to(s.device)]
    points = (1 - (own * t).sum(-1)).mean()
    return (points + 2 * (own @ own.t() - t @ t.t()).pow(2).mean()) * len(have) / len(rows)


def with_meanings(meanings, encode, logits, model, rng, tokens, ce, taught):
    """The two losses of a step, with what meanings and middles add to them."""
    device = model.embedding.device
    rows = meanings.batch(rng)
    with autocast(device.type):
        s, _ = encode(meanings.padded(rows).to(device))
    a, b, given, target = (v.to(device) for v in meanings.middle_batch(rng, int(tokens * MIDDLES)))
    width = max(a.shape[1], b.shape[1])
    both = torch.cat([F.pad(v, (0, width - v.shape[1]), value=PAD) for v in (a, b)])
    with autocast(device.type):
        out = logits(between(model, *encode(both), 0.3 + 0.4 * torch.rand(len(a), 1, device=device)), given)
    middle = F.cross_entropy(out.float().flatten(0, 1), target.flatten(), ignore_index=-100)
    return (1 - MIDDLES) * ce + MIDDLES * middle, taught + meanings.loss(s, rows)


@torch.no_grad()
def evaluate(model, corpus, n):
    """A glance while training (score.py measures what is shipped): exact by length, over text/valid, greedy in one pass; of pictures, codes right."""
    model.eval()
    device = model.embedding.device
    hits = {16: [], 32: [], 65: []}
    exact = lambda given, made: np.mean(np.equal(given, made)) if model.config.get('positions') else given == made
    rows = sorted((v.tolist() for v in corpus.valid[:n]), key=len)
    for i in range(0, n, 32):
        part = rows[i: i + 32]
        s, r = model.encode(text_model.pad_batch([p + [EOS] for p in part]).to(device))
        for given, made in zip(part, model.decode(s, r, limit=len(part[-1]) + 1)):
            hits[next(k for k in hits if len(given) < k)].append(exact(given, made))
    model.train()
    return ' '.join(f'<{k} {np.mean(v):.3f}' for k, v in hits.items() if v)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', required=True)
    p.add_argument('--run', required=True)
    p.add_argument('--init', help='safetensors to start from')
    p.add_argument('--shape', default='FIRST', help='a shape of text_model.py: FIRST, PICTURE')
    p.add_argument('--rows', type=int, default=0, help='only the first N sentences (the teacher has seen the first ones)')
    p.add_argument('--tokens', type=int, default=4000, help='a batch')
    p.add_argument('--lr', type=float, default=0.012, help='Muon; AdamW takes a sixth of it')
    p.add_argument('--minutes', type=float, default=1e9)
    p.add_argument('--steps', type=int, default=1 << 60, help='stop after so many')
    p.add_argument('--decay', type=int, default=0, help='steps of the final linear decay; with --minutes, it is down to 0 at whichever comes first')
    p.add_argument('--clear', type=float, default=0.0, help='share of the examples that are decoded from their own point as it is: for more exactness, at the cost of the dials')
    p.add_argument('--teacher', type=float, default=1.0, help="weight of the teacher's losses beside the cross-entropy")
    p.add_argument('--meanings', type=int, default=0, help='tokens a step that only s learns from, with the teacher (meaning.npz of prepare.py); and then middles, too')
    p.add_argument('--warm', type=int, default=200)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--glance', type=int, default=128, help='held-out sentences decoded at each checkpoint; slow on CPU; 0: none')
    p.add_argument('--threads', type=int, default=os.cpu_count())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    os.makedirs(a.run, exist_ok=True)
    torch.manual_seed(a.seed)
    trunk, decayed = f'{a.run}/trunk.pt', f'{a.run}/decayed.pt'
    state = torch.load(trunk, map_location=device) if os.path.exists(trunk) else None
    if state:
        model = TextModel(state['config'], Tokenizer(**state['tokenizer']) if state.get('tokenizer') else None)
    else:
        model = text_model.load(a.init) if a.init else TextModel(getattr(text_model, a.shape))
    model.to(device).train()
    muon = [p for name, p in model.named_parameters() if p.ndim == 2 and name.startswith(('encoder.', 'decoder.'))]
    others = [p for p in model.parameters() if not any(p is m for m in muon)]
    optimizers = [Muon(muon, a.lr), torch.optim.AdamW(others, lr=a.lr / 6, betas=(0.9, 0.95), weight_decay=0.0)]
    kind = PictureCorpus if os.path.exists(f'{a.data}/words.npz') else Corpus
    corpus = kind(a.data, a.rows, a.tokens, a.seed)
    meanings = Meanings(a.data, a.meanings, a.seed) if a.meanings else None
    at = dict(step=0, epoch=0, in_epoch=0, seen=0)
    if state:
        model.load_state_dict(state['model'])
        for o, s in zip(optimizers, state['optimizers']):
            o.load_state_dict(s)
        at = state['at']
    first = at['step']
    print(f'{sum(p.numel() for p in model.parameters())} parameters, {corpus.rows} sentences, from step {first} on {device}', flush=True)

    def save(path):
        t = model.tokenizer
        state = dict(model=model.state_dict(), optimizers=[o.state_dict() for o in optimizers], at=at, config=model.config,
                     tokenizer=dict(pieces=t.pieces, scores=t.scores) if t else None)
        torch.save(state, path + '.part')
        os.replace(path + '.part', path)

    stopping = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.append(1))
    encode_with, logits = torch.compile(model.encode_with, dynamic=True), torch.compile(model.logits, dynamic=True)
    encode = lambda ids: encode_with(ids, model.rows_of_words(ids))
    start = saved = time.time()
    shown = dict(ce=0.0, teacher=0.0, weight=0.0)
    while not stopping:
        for k, rows in enumerate(corpus.epoch(at['epoch'])):
            if k < at['in_epoch']:
                continue
            step = at['step']
            way = max((step - first) / a.decay, (time.time() - start) / 60 / a.minutes) if a.decay else 0.0
            scale = min(1.0, (step + 1) / a.warm) * max(0.0, 1 - way)
            for o, base in zip(optimizers, (a.lr, a.lr / 6)):
                o.param_groups[0]['lr'] = base * scale
            torch.manual_seed(a.seed * 1000003 + step)
            rng = np.random.RandomState((a.seed, step))
            x, given, target = (v.to(device) for v in corpus.batch(rows, rng))
            with autocast(device):
                s, r = encode(x)
                out = logits(points(model, corpus, rows, s, r, a.clear), given)
            ce = F.cross_entropy(out.float().flatten(0, 1), target.flatten(), ignore_index=-100)
            taught = teacher_loss(corpus, rows, s)
            if meanings:
                ce, taught = with_meanings(meanings, encode, logits, model, rng, a.tokens, ce, taught)
            for o in optimizers:
                o.zero_grad()
            (ce + a.teacher * taught).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for o in optimizers:
                o.step()
            at.update(step=step + 1, in_epoch=k + 1, seen=at['seen'] + int((target >= 0).sum()))
            for name, value in (('ce', ce.item()), ('teacher', taught.item()), ('weight', 1.0)):
                shown[name] = 0.98 * shown[name] + 0.02 * value
            now = time.time()
            if now - start > a.minutes * 60 or step + 1 - first >= (a.decay or a.steps):
                stopping.append(1)
            if step % 100 == 99:
                w = shown['weight']
                print(f'{now - start:.0f} s step {step + 1} tokens {at["seen"]/1e6:.2f}M ce {shown["ce"]/w:.3f} teacher {shown["teacher"]/w:.4f}', flush=True)
            if now - saved > 600 or stopping:
                saved = now
                save(decayed if a.decay else trunk)
                print('saved', 'exact: ' + evaluate(model, corpus, a.glance) if a.glance else '', flush=True)
            if stopping:
                break
        else:
            at.update(epoch=at['epoch'] + 1, in_epoch=0)


if __name__ == '__main__':
    main()
