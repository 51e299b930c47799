"""The prior of pictures: from noise to the r of a picture, for an s and a style.

    python3 picture_prior.py --data DIR --run RUN --until HH:MM

RUN/ae.pt is the autoencoder that made the points (picture_train.py); RUN/prior.pt is written beside
it. Flow matching (Lipman et al. 2023): x goes straight from noise (t = 0) to the point (t = 1), and
the network learns the velocity, at the steps that it will be asked at alone. A tenth of the
examples have neither s nor style, for guidance (Ho and Salimans 2022).
"""
import argparse
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from text_model import matrix, rms_norm

SHAPE = dict(width=512, hidden=1024, blocks=4, steps=16)
NOTHING = 0.1       # share of examples without a wish
FROM_WORDS = 0.6    # of the others: s is that of a text of the concept, not the picture's own
STYLED = 0.6        # of the others: with the style of a picture of the same set
ASTRAY = 0.3        # length of what is added to half of the s, at most
VARIANTS = 3        # of each picture, gently changed: two fifths of the examples


class PriorBlock(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.norm = nn.Parameter(torch.ones(width))
        self.register_parameter('in', matrix(width, 2 * hidden))
        self.out = matrix(hidden, width, zero=True)

    def forward(self, x):
        value, gate = (rms_norm(x, self.norm) @ getattr(self, 'in')).chunk(2, -1)
        return x + (value * F.silu(gate)) @ self.out


class Prior(nn.ModuleDict):
    """x [B, r], step [B], s [B, s], style [B, style] -> velocity [B, r].

    s and style have unit length, or are 0: nothing is wished.
    """

    def __init__(self, config, s, r, style):
        super().__init__({str(i): PriorBlock(config['width'], config['hidden'])
                          for i in range(config['blocks'])})
        self.config = dict(config)
        width = config['width']
        self.in_r = matrix(r, width)
        self.in_s = matrix(s, width)
        self.in_style = matrix(style, width)
        self.time = nn.Parameter(torch.randn(config['steps'], width) * 0.1)
        self.norm = nn.Parameter(torch.ones(width))
        self.out = matrix(width, r, zero=True)

    def forward(self, x, step, s, style):
        h = x @ self.in_r + self.time[step]
        h = h + s * s.shape[-1] ** 0.5 @ self.in_s + style * style.shape[-1] ** 0.5 @ self.in_style
        for i in range(self.config['blocks']):
            h = self[str(i)](h)
        return rms_norm(h, self.norm) @ self.out

    @torch.no_grad()
    def draw(self, x, s, style, guidance, seen=None):
        """From noise x [B, r] to r [B, r] of unit length. seen: takes x after each step."""
        n = self.config['steps']
        none = torch.zeros_like(s), torch.zeros_like(style)
        for k in range(n):
            step = torch.full((len(x),), k)
            plain = self(x, step, *none)
            x = x + (plain + guidance * (self(x, step, s, style) - plain)) / n
            if seen is not None:
                seen.append(x)
        return F.normalize(x, dim=-1)


class Points:
    """s, r of all training pictures and of some variants of each; and what they show."""

    def __init__(self, model, corpus):
        from picture_train import vary_gently

        self.corpus = corpus
        rows = self.rows = corpus.train
        self.s, self.r = [], []
        for k in range(1 + VARIANTS):
            s, r = [], []
            for part in np.array_split(rows, len(rows) // 64):
                x = corpus.pictures[part]
                if k:
                    x = vary_gently(x, corpus.mirror[part])
                with torch.no_grad():
                    a, b = model.encode(x)
                s.append(a)
                r.append(b)
            self.s.append(torch.cat(s))
            self.r.append(torch.cat(r))
            print(f'{time.strftime("%H:%M:%S")} encoded, {k}', flush=True)
        self.style = model.style(self.r[0]).detach()
        self.set = corpus.set[rows]
        self.mates = [np.flatnonzero(self.set == k) for k in range(len(corpus.sets))]

    def draw(self, n):
        """r, s, style of n examples."""
        at = np.random.choice(len(self.rows), n, p=self.corpus.weight)
        k = np.where(np.random.rand(n) < 0.6, 0, np.random.randint(1, 1 + VARIANTS, n))
        r = torch.stack([self.r[j][i] for i, j in zip(at, k)])
        s = torch.stack([self.s[j][i] for i, j in zip(at, k)])
        words = self.corpus.words.draw(self.corpus.concept[self.rows[at]])
        s = torch.where(torch.rand(n, 1) < FROM_WORDS, words, s)
        stray = F.normalize(torch.randn_like(s), dim=-1) * torch.rand(n, 1) * ASTRAY
        s = F.normalize(s + stray * (torch.rand(n, 1) < 0.5), dim=-1)
        mate = [np.random.choice(self.mates[self.set[i]]) for i in at]
        style = self.style[mate] * (torch.rand(n, 1) < STYLED)
        asked = torch.rand(n, 1) >= NOTHING
        return r, s * asked, style * asked


def train(a, model, points):
    prior = Prior(SHAPE, model.config['s'], model.config['r'], model.config['style'])
    smooth = {k: v.clone() for k, v in prior.state_dict().items()}
    print(sum(p.numel() for p in prior.parameters()), 'parameters', flush=True)
    adam = torch.optim.AdamW(prior.parameters(), lr=a.lr, betas=(0.9, 0.98), weight_decay=0.01)
    began, step, shown = time.time(), 0, []
    steps = SHAPE['steps']
    while time.time() < a.until:
        done = (time.time() - began) / (a.until - began)
        adam.param_groups[0]['lr'] = a.lr * min(1, (step + 1) / 100) * min(1, (1 - done) / 0.6)
        r, s, style = points.draw(a.batch)
        r = r * r.shape[-1] ** 0.5
        k = torch.randint(0, steps, (len(r),))
        t = (k / steps)[:, None]
        noise = torch.randn_like(r)
        v = prior((1 - t) * noise + t * r, k, s, style)
        loss = (v - (r - noise)).square().mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(prior.parameters(), 1.0)
        adam.step()
        step += 1
        keep = min(0.999, step / (step + 10))
        state = prior.state_dict()
        torch._foreach_lerp_(list(smooth.values()), [state[n] for n in smooth], 1 - keep)
        shown.append(loss.item())
        if step % 100 == 0:
            print(f'{time.strftime("%H:%M:%S")} step {step} loss {np.mean(shown):.4f}', flush=True)
            shown = []
        if step % 500 == 0 or time.time() >= a.until:
            torch.save(dict(smooth=smooth, model=state, config=SHAPE), f'{a.run}/prior.pt.part')
            os.replace(f'{a.run}/prior.pt.part', f'{a.run}/prior.pt')


def main():
    from picture_train import Corpus, clock, load

    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', required=True)
    p.add_argument('--run', required=True)
    p.add_argument('--until', type=clock, required=True)
    p.add_argument('--batch', type=int, default=512)
    p.add_argument('--lr', type=float, default=2e-3)
    p.add_argument('--threads', type=int, default=os.cpu_count())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model = load(f'{a.run}/ae.pt')
    train(a, model, Points(model, Corpus(a.data)))


if __name__ == '__main__':
    main()
