"""The picture model: 64x64 RGBA <-> z = [s ; r], and from a text's s to an r (the prior).

    python3 picture_model.py train --data DIR --run RUN --until HH:MM      the autoencoder, RUN/ae.pt
    python3 picture_model.py prior --data DIR --run RUN --until HH:MM      then the prior, RUN/prior.pt
    python3 picture_model.py measure --data DIR --run RUN                  what comes back
    python3 picture_model.py sheet --data DIR --run RUN --to X.png

DIR is made by pictures.py, and DIR/words.npz by `words`. The layout is [B, rows, columns, channels]
everywhere. Every matrix is [in, out] and applied as x @ w, as in the file and in C (README.md has
the specification). Pixels are premultiplied by alpha, 0..1.
"""
import argparse
import json
import os
import signal
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from picture_codes import (Block, Conv, Level, Linear, Pictures, Stack, block_ssim, fill, in_parts,
                           on_white, patch, premultiply, psnr, save, shift, ssim, turn_hue,
                           unpatch, vary_gently, zoom)
from text_model import matrix, rms_norm
from train import Muon

SHAPE = dict(size=64, channels=[32, 64, 128, 256], encoder_blocks=[1, 1, 2, 1],
             decoder_blocks=[2, 2, 2, 2], s=128, r=512, hidden=384, style=16)


class PictureModel(nn.Module):
    """pixels -> encoder -> s, r of unit length; z = [s ; r] -> decoder -> pixels."""

    def __init__(self, config=SHAPE, n_sets=1):
        super().__init__()
        self.config = dict(config)
        c, e, d = config['channels'], config['encoder_blocks'], config['decoder_blocks']
        side = config['size'] // 16
        flat = side * side * c[3]
        setattr(self, 'in', Linear(16, c[0]))
        self.encoder = Stack(c[3], {
            **{str(i): Level(c[i], e[i], 'down', Linear(4 * c[i], c[i + 1])) for i in range(3)},
            '3': Level(c[3], e[3])})
        self.to_r = Linear(flat, config['r'])
        self.to_hidden = Linear(flat, config['hidden'])
        self.to_s = Linear(config['hidden'], config['s'])
        self.to_style = matrix(config['r'], config['style'])
        self.sets = nn.Parameter(torch.randn(n_sets, config['style']) * 0.3)
        self.from_z = Linear(config['s'] + config['r'], flat)
        self.decoder = Stack(c[0], {
            **{str(i): Level(c[i], d[3 - i], 'up', Linear(c[i], 4 * c[i - 1]))
               for i in (3, 2, 1)},
            '0': Level(c[0], d[3])})
        self.out = Linear(c[0], 16)

    def trunk(self, pixels):
        """[B, 64, 64, 4] -> [B, 16 c3]."""
        x = getattr(self, 'in')(patch(pixels))
        for level in '0123':
            x = self.encoder[level](x)
        return rms_norm(x, self.encoder.norm).flatten(1)

    def heads(self, x):
        s = self.to_s(F.silu(self.to_hidden(x)))
        return F.normalize(s.float(), dim=-1), F.normalize(self.to_r(x).float(), dim=-1)

    def encode(self, pixels):
        """-> s [B, s], r [B, r], of unit length."""
        return self.heads(self.trunk(pixels))

    def join(self, s, r):
        return torch.cat([s * s.shape[-1] ** 0.5, r * r.shape[-1] ** 0.5], -1)

    def pixels(self, z):
        """[B, s + r] -> [B, 64, 64, 4], not clipped."""
        side = self.config['size'] // 16
        x = self.from_z(z).view(len(z), side, side, -1)
        for level in '3210':
            x = self.decoder[level](x)
        return unpatch(self.out(rms_norm(x, self.decoder.norm)))

    def style(self, r):
        return F.normalize(r @ self.to_style, dim=-1)  # of 0: 0


def clipped(x):
    """Premultiplied pixels 0..1, no colour over its alpha."""
    x = x.float().clamp(0, 1)
    return torch.cat([torch.minimum(x[..., :3], x[..., 3:]), x[..., 3:]], -1)


def picture_loss(made, wanted):
    """Absolute and squared differences, those of neighbours' differences, and structure."""
    d = made - wanted
    edges = (d[:, 1:] - d[:, :-1]).abs().mean() + (d[:, :, 1:] - d[:, :, :-1]).abs().mean()
    structure = 1 - block_ssim(made, wanted).mean()
    return d.abs().mean() + 5 * d.square().mean() + 0.25 * edges + 0.1 * structure


# ---- Training ----

BOARD_SETS = ('noto', 'fluent-emoji-flat', 'twemoji', 'openmoji', 'fxemoji', 'emojione')
SIBLING_SETS = ('noto-v1', 'fluent-emoji', 'emojione-v1')
# Their shares of a batch; the rest are icons.
FROM_BOARD, FROM_SIBLINGS = 0.62, 0.14
NOISE = 0.1          # on z, which has unit variance
WORDS = 0.5          # share of pictures decoded with the s of a text of their concept
SHORT = 0.15         # share decoded from a shorter r, as it is between unlike points
LABEL = 0.6          # share of texts that are the concept's label
TEMPERATURE = 0.07
MIRRORED = ('animals-nature', 'food-drink', 'smileys-emotion', 'extra')


class Words:
    """The s of what one may call each concept: the teacher's."""

    def __init__(self, folder):
        f = np.load(f'{folder}/words.npz')
        self.v = torch.as_tensor(f['v'])
        self.start = f['start']

    def draw(self, concepts):
        """One text's s of each concept [B, s]."""
        first, n = self.start[concepts], np.diff(self.start)[concepts]
        at = np.where(np.random.rand(len(n)) < LABEL, 0, np.random.randint(0, 1 << 30, len(n)) % n)
        return self.v[first + at]


class Corpus:
    def __init__(self, folder):
        self.pictures = p = Pictures(folder)
        self.words = Words(folder)
        self.sets = sorted({r['set'] for r in p.rows})
        self.set = np.array([self.sets.index(r['set']) for r in p.rows])
        self.concept = np.array([r['concept'] for r in p.rows])
        group = [p.concepts[r['concept']]['group'] for r in p.rows]
        self.mirror = torch.tensor([g in MIRRORED for g in group])
        self.train = p.of('train')
        kind = np.array([0 if r['set'] in BOARD_SETS else 1 if r['set'] in SIBLING_SETS else 2
                         for r in p.rows])[self.train]
        share = np.array([FROM_BOARD, FROM_SIBLINGS, 1 - FROM_BOARD - FROM_SIBLINGS])
        w = share[kind] / np.bincount(kind)[kind]
        self.weight = w / w.sum()

    def draw(self, n):
        return np.sort(np.random.choice(self.train, n, replace=False, p=self.weight))

    def varied(self, rows):
        """The pictures: two fifths as they are, two gently changed, one hard; and which are not."""
        x = self.pictures[rows]
        n = len(x)
        order = torch.randperm(n)
        gentle, hard = order[: 2 * n // 5], order[2 * n // 5: 3 * n // 5]
        x[gentle] = vary_gently(x[gentle], self.mirror[rows][gentle])
        x[hard] = zoom(x[hard], 0.7, 1.2, 5) if np.random.rand() < 0.5 else shift(x[hard], 4)
        x[hard] = turn_hue(x[hard], torch.randn(len(hard)) * 0.9,
                           1 + 0.15 * torch.randn(len(hard)))
        x[hard[::3]] = x[hard[::3]].flip(2)
        x[hard[::4]] = fill(x[hard[::4]])
        means = torch.ones(n, dtype=torch.bool)
        means[hard] = False
        return x, means


def noisy(z):
    return z + NOISE * torch.randn_like(z)


class Training:
    """Of the autoencoder. decoder: of the decoder alone."""

    def __init__(self, a):
        torch.manual_seed(int(time.time()))
        np.random.seed(int(time.time()) % (1 << 31))
        self.a = a
        self.path = f'{a.run}/ae.pt'
        self.corpus = Corpus(a.data)
        state = torch.load(self.path) if os.path.exists(self.path) else None
        self.model = PictureModel(state['config'] if state else SHAPE, len(self.corpus.sets))
        self.at = dict(step=0, seconds=0.0)
        self.smooth = {k: v.clone() for k, v in self.model.state_dict().items()}
        if state:
            self.model.load_state_dict(state['model'])
            self.smooth = state['smooth']
            self.at = state['at']
        learn = dict(self.model.named_parameters())
        if a.decoder:
            learn = {k: v for k, v in learn.items() if k.startswith(('decoder.', 'from_z', 'out'))}
        muon = [p for n, p in learn.items()
                if p.ndim == 2 and n.startswith(('encoder.', 'decoder.'))]
        others = [p for p in learn.values() if not any(p is m for m in muon)]
        adam = torch.optim.AdamW(others, lr=a.lr / 12, betas=(0.9, 0.98), weight_decay=0.0)
        self.rates = (a.lr, a.lr / 12)
        self.optimizers = [Muon(muon, a.lr), adam]
        if state and state['decoder'] == a.decoder:
            for o, s in zip(self.optimizers, state['optimizers']):
                o.load_state_dict(s)
        self.learn = list(learn.values())
        self.parts = np.zeros(6)

    def save(self):
        save(self.path, model=self.model.state_dict(), smooth=self.smooth, at=self.at,
             config=self.model.config, sets=self.corpus.sets, decoder=self.a.decoder,
             optimizers=[o.state_dict() for o in self.optimizers])

    def rate(self, now):
        """Up in 100 steps; from a.decay on down to nothing at a.until."""
        left = (self.a.until - now) / max(1.0, self.a.until - self.a.decay)
        return min(1.0, (self.at['step'] - self.first + 1) / 100) * min(1.0, max(0.02, left))

    def step(self, now):
        a, m, c = self.a, self.model, self.corpus
        for o, rate in zip(self.optimizers, self.rates):
            for group in o.param_groups:
                group['lr'] = rate * self.rate(now)
        rows = c.draw(a.batch)
        x, means = c.varied(rows)
        words = c.words.draw(c.concept[rows])
        if a.decoder:
            with torch.no_grad():
                s, r = m.encode(x)
        else:
            s, r = m.encode(x)
        told = (torch.rand(len(rows), 1) < WORDS) & means[:, None]
        length = torch.where(torch.rand(len(rows), 1) < SHORT,
                             0.6 + 0.4 * torch.rand(len(rows), 1), torch.ones(()))
        made = m.pixels(noisy(m.join(torch.where(told, words, s), r * length)))
        seen = picture_loss(made, x)
        loss = seen
        named = like = styled = torch.zeros(())
        if not a.decoder:
            concept = torch.as_tensor(c.concept[rows])
            same = concept[:, None] == concept[None]
            scores = s @ words.t() / TEMPERATURE
            scores = scores.masked_fill(same & ~torch.eye(len(rows), dtype=torch.bool), -1e9)
            own = torch.arange(len(rows))
            named = F.cross_entropy(scores[means], own[means])
            like = 1 - (s * words).sum(-1)[means].mean()
            scores = 10 * m.style(r) @ F.normalize(m.sets, dim=-1).t()
            styled = F.cross_entropy(scores[means], torch.as_tensor(c.set[rows])[means])
            loss = seen + 0.02 * named + 0.05 * like + 0.005 * styled
        for o in self.optimizers:
            o.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.learn, 1.0)
        for o in self.optimizers:
            o.step()
        keep = min(0.997, (self.at['step'] - self.first) / (self.at['step'] - self.first + 10))
        now_state = m.state_dict()
        torch._foreach_lerp_(list(self.smooth.values()), [now_state[k] for k in self.smooth],
                             1 - keep)
        with torch.no_grad():
            ok = psnr(on_white(clipped(made)), on_white(x)).mean()
        self.parts += seen.item(), named.item(), like.item(), styled.item(), ok.item(), 1

    def run(self):
        a = self.a
        stopping = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopping.append(1))
        self.first = self.at['step']
        began = saved = time.time()
        while not stopping and time.time() < a.until:
            self.step(time.time())
            self.at['step'] += 1
            if self.at['step'] % 100 == 0:
                p = self.parts[:5] / self.parts[5]
                n = (self.at['step'] - self.first) * a.batch
                print(f'{time.strftime("%H:%M:%S")} step {self.at["step"]} pixels {p[0]:.4f} named '
                      f'{p[1]:.3f} like {p[2]:.3f} style {p[3]:.3f} {p[4]:.2f} dB, '
                      f'{n / (time.time() - began):.0f}/s', flush=True)
                self.parts[:] = 0
            if time.time() - saved > 300:
                saved = time.time()
                self.save()
        self.save()
        print('saved', said(measure(smoothed(self), self.corpus, 256)), flush=True)


def smoothed(training):
    m = PictureModel(training.model.config, len(training.corpus.sets))
    m.load_state_dict(training.smooth)
    return m.eval()


def load(path):
    state = torch.load(path)
    m = PictureModel(state['config'], len(state['sets']))
    m.load_state_dict({k: v.half().float() for k, v in state['smooth'].items()})
    return m.eval()


@torch.no_grad()
def measure(model, corpus, most=1 << 30):
    """{split: PSNR and SSIM on white, and the cosine of s to the label's}."""
    found = {}
    p = corpus.pictures
    board = np.array([r['set'] in BOARD_SETS for r in p.rows])
    for split in ('train', 'style', 'concept', 'set'):
        rows = p.of(split)
        if split != 'set':
            rows = rows[board[rows]]
        rows = rows[:: max(1, len(rows) // most)]
        figures = []
        for part in in_parts(rows):
            x = p[part]
            s, r = model.encode(x)
            y = clipped(model.pixels(model.join(s, r)))
            label = corpus.words.v[corpus.words.start[corpus.concept[part]]]
            a, b = on_white(y), on_white(x)
            figures.append(torch.stack([psnr(a, b), ssim(a, b), (s * label).sum(-1)], 1))
        found[split] = torch.cat(figures).mean(0).tolist()
    return found


def said(found):
    return ', '.join(f'{k} {v[0]:.2f} dB ssim {v[1]:.3f} cos {v[2]:.3f}' for k, v in found.items())


@torch.no_grad()
def sheet(model, corpus, rows, path, columns=16):
    """Pictures, and below each what comes back, on white."""
    from PIL import Image

    x = corpus.pictures[rows]
    y = clipped(model.pixels(model.join(*model.encode(x))))
    pairs = (torch.cat([on_white(x), on_white(y)], 1) * 255).round().to(torch.uint8).numpy()
    lines = [np.concatenate(list(part), 1)
             for part in in_parts(pairs, columns) if len(part) == columns]
    image = Image.fromarray(np.concatenate(lines))
    image.resize((columns * 64 * 3 // 2, len(lines) * 192)).save(path)


def clock(text):
    """HH:MM of today, in seconds."""
    today = time.strftime('%Y-%m-%d ')
    return time.mktime(time.strptime(today + text, '%Y-%m-%d %H:%M'))


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['train', 'measure', 'sheet'])
    p.add_argument('--data', required=True)
    p.add_argument('--run', required=True)
    p.add_argument('--to', help='sheet: PNG to write')
    p.add_argument('--split', default='concept', help='sheet: train, style, concept, set')
    p.add_argument('--until', type=clock, help='train: HH:MM')
    p.add_argument('--decay', type=clock, help='train: from when on the rate falls')
    p.add_argument('--decoder', action='store_true', help='train: the decoder alone')
    p.add_argument('--batch', type=int, default=64)
    p.add_argument('--lr', type=float, default=0.015, help='Muon; AdamW takes a twelfth of it')
    p.add_argument('--threads', type=int, default=os.cpu_count())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    if a.what == 'train':
        os.makedirs(a.run, exist_ok=True)
        return Training(a).run()
    model = load(f'{a.run}/ae.pt')
    corpus = Corpus(a.data)
    if a.what == 'measure':
        print(said(measure(model, corpus)))
    else:
        rows = corpus.pictures.of(a.split)
        sheet(model, corpus, rows[:: max(1, len(rows) // 96)][:96], a.to)


if __name__ == '__main__':
    main()
