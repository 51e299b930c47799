"""What is learned of the points of pictures, once the encoder stays as it is: s, and the prior.

    python3 picture_prior.py encode --data DIR --run RUN                  RUN/flat.npy, minutes
    python3 picture_prior.py head   --data DIR --run RUN --until HH:MM    s, in RUN/ae.pt
    python3 picture_prior.py train  --data DIR --run RUN --until HH:MM    RUN/prior.pt, or goes on

RUN/ae.pt is the autoencoder (picture_train.py). `encode` keeps what its last grid says of each
training picture and a variant of it, so that the other two see each hundreds of times in minutes:
they are matrices of a few million numbers, and need nothing of the convolutions below.

The prior leads from noise to the r of a picture, for an s and a style. Flow matching (Lipman et al.
2023): x goes straight from noise (t = 0) to the point (t = 1), and the network learns the velocity,
at the steps that it will be asked at alone. A tenth of the examples have neither s nor style, for
guidance (Ho and Salimans 2022).

A network of this size does not keep the forms of thousands of things; a table does, which it reads
by s (retrieval for diffusion: Blattmann et al. 2022, Sheynin et al. 2022). The memory has, for each
name that the weights bring along, the mean r of the training pictures of that name.
"""
import argparse
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from text_model import matrix, rms_norm
from train import Muon, autocast

SHAPE = dict(width=512, hidden=1024, blocks=3, steps=16)
RECALL = 40.0       # the memory is read with softmax(RECALL * cosines): so in C
NEARER = 0.6        # of what is recalled is added to what is drawn in no style: so in C
STRANGE = 0.25      # share of examples whose own name is not in the memory
NOTHING = 0.1       # share of examples without a wish
FROM_WORDS = 0.6    # of the others: s is that of a text of the concept, not the picture's own
STYLED = 0.6        # of the others: with the style of a picture of the same set
ASTRAY = 0.3        # length of what is added to half of the s, at most
VARIED = 0.4        # share of examples that are the variant, not the picture itself
MUON = 5            # learning rate of the blocks' matrices, in rates of the others
TEMPERATURE = 0.05  # of the head's contrast
CONTRAST = 0.2      # its weight beside the cosine


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
    """x [B, r], step [B], s [B, s], style [B, style], what is recalled [B, r] -> velocity [B, r].

    s and style have unit length, or are 0: nothing is wished, and nothing is recalled.
    """

    def __init__(self, config, s, r, style, names):
        super().__init__({str(i): PriorBlock(config['width'], config['hidden'])
                          for i in range(config['blocks'])})
        self.config = dict(config)
        width = config['width']
        self.in_r = matrix(r, width)
        self.in_s = matrix(s, width)
        self.in_style = matrix(style, width)
        self.in_memory = matrix(r, width, zero=True)
        self.register_buffer('names', torch.zeros(names, s))
        self.register_buffer('memory', torch.zeros(names, r))
        self.time = nn.Parameter(torch.randn(config['steps'], width) * 0.1)
        self.norm = nn.Parameter(torch.ones(width))
        self.out = matrix(width, r, zero=True)

    def recall(self, s, strange=None):
        """What the memory has for s [B, s]: [B, r]. strange [B]: a name to leave out, or -1."""
        near = RECALL * (s @ self.names.t())
        if strange is not None:
            own = strange[:, None] == torch.arange(len(self.names))
            near = near.masked_fill(own, -1e9)
        known = (s != 0).any(-1, keepdim=True)
        return torch.softmax(near, -1) @ self.memory * known

    def forward(self, x, step, s, style, recalled):
        h = x @ self.in_r + self.time[step] + recalled * recalled.shape[-1] ** 0.5 @ self.in_memory
        h = h + s * s.shape[-1] ** 0.5 @ self.in_s + style * style.shape[-1] ** 0.5 @ self.in_style
        for i in range(self.config['blocks']):
            h = self[str(i)](h)
        return rms_norm(h, self.norm) @ self.out

    @torch.no_grad()
    def draw(self, x, s, style, guidance, seen=None):
        """From noise x [B, r] to r [B, r] of unit length. seen: takes x after each step."""
        n = self.config['steps']
        none = torch.zeros_like(s), torch.zeros_like(style), torch.zeros_like(x)
        recalled = self.recall(s)
        for k in range(n):
            step = torch.full((len(x),), k)
            plain = self(x, step, *none)
            x = x + (plain + guidance * (self(x, step, s, style, recalled) - plain)) / n
            if seen is not None:
                seen.append(x)
        plain = NEARER * (style == 0).all(-1, keepdim=True)
        return F.normalize(F.normalize(x, dim=-1) + plain * F.normalize(recalled, dim=-1), dim=-1)


@torch.no_grad()
def encode(a, model, corpus):
    """RUN/flat.npy [training pictures, 2, flat] f16: of each, and of a variant of it."""
    from picture_train import vary_gently

    rows = corpus.train
    flat = np.zeros((len(rows), 2, model.to_r.weight.shape[0]), np.float16)
    for at in range(0, len(rows), 64):
        part = rows[at: at + 64]
        x = corpus.pictures[part]
        flat[at: at + 64, 0] = model.trunk(x).half().numpy()
        flat[at: at + 64, 1] = model.trunk(vary_gently(x, corpus.mirror[part])).half().numpy()
    np.save(f'{a.run}/flat.npy', flat)
    print(f'{time.strftime("%H:%M:%S")} {flat.shape}', flush=True)


class Points:
    """Of the training pictures: flat, s, r, style, and what they show."""

    def __init__(self, a, model, corpus):
        from picture_train import names_of

        self.corpus = corpus
        self.rows = corpus.train
        self.flat = torch.from_numpy(np.load(f'{a.run}/flat.npy'))
        with torch.no_grad():
            points = [model.heads(self.flat[at: at + 512].float())
                      for at in range(0, len(self.flat), 512)]
        self.s, self.r = (torch.cat(x) for x in zip(*points))       # [pictures, 2, ...]
        self.style = model.style(self.r[:, 0]).detach()
        self.concept = corpus.concept[self.rows]
        self.set = corpus.set[self.rows]
        self.names, self.keys = names_of(corpus)
        label = [corpus.pictures.concepts[k]['label'] for k in self.concept]
        number = {name: i for i, name in enumerate(self.names)}
        self.name = torch.tensor([number.get(x, -1) for x in label])
        self.mates = [np.flatnonzero(self.set == k) for k in range(len(corpus.sets))]

    def memory(self):
        """[names, r]: the mean r of each name's pictures; without any, of its neighbours'."""
        shown = self.name >= 0
        total = torch.zeros(len(self.names), self.r.shape[-1])
        total.index_add_(0, self.name[shown], self.r[shown, 0])
        count = torch.bincount(self.name[shown], minlength=len(self.names))
        known = count > 0
        memory = total / count.clamp_min(1)[:, None]
        near = torch.softmax(RECALL * (self.keys[~known] @ self.keys[known].t()), -1)
        memory[~known] = near @ memory[known]
        return memory

    def draw(self, n):
        """Pictures, and whether the variant of each."""
        at = np.random.choice(len(self.rows), n, p=self.corpus.weight)
        return at, (np.random.rand(n) < VARIED).astype(int)

    def examples(self, n):
        """Of n examples of the prior: r, s, style, and the name that is no part of the memory."""
        at, k = self.draw(n)
        words = self.corpus.words.draw(self.concept[at])
        s = torch.where(torch.rand(n, 1) < FROM_WORDS, words, self.s[at, k])
        stray = F.normalize(torch.randn_like(s), dim=-1) * torch.rand(n, 1) * ASTRAY
        s = F.normalize(s + stray * (torch.rand(n, 1) < 0.5), dim=-1)
        mate = [np.random.choice(self.mates[self.set[i]]) for i in at]
        style = self.style[mate] * (torch.rand(n, 1) < STYLED)
        asked = torch.rand(n, 1) >= NOTHING
        strange = torch.where(torch.rand(n) < STRANGE, self.name[at], -1)
        return self.r[at, k], s * asked, style * asked, strange


def head(a, model, points):
    """to_hidden and to_s go on: each picture's s towards those of texts of its concept."""
    learn = [*model.to_hidden.parameters(), *model.to_s.parameters()]
    for p in model.parameters():
        p.requires_grad_(any(p is q for q in learn))
    adam = torch.optim.AdamW(learn, lr=a.lr, betas=(0.9, 0.98), weight_decay=0.05)
    began, step, shown = time.time(), 0, []
    while time.time() < a.until:
        done = (time.time() - began) / (a.until - began)
        adam.param_groups[0]['lr'] = a.lr * min(1, (step + 1) / 100) * (1 - done)
        at, k = points.draw(a.batch)
        flat = points.flat[at, k].float()
        flat = F.dropout(flat + 0.1 * torch.randn_like(flat), 0.2)
        s = F.normalize(model.to_s(F.silu(model.to_hidden(flat))), dim=-1)
        words = points.corpus.words.draw(points.concept[at])
        concept = torch.as_tensor(points.concept[at])
        other = concept[:, None] != concept[None]
        scores = (s @ words.t() / TEMPERATURE).masked_fill(~other, -1e9)
        own = (s * words).sum(-1)
        named = (torch.logsumexp(torch.cat([own[:, None] / TEMPERATURE, scores], 1), 1)
                 - own / TEMPERATURE).mean()
        loss = 1 - own.mean() + CONTRAST * named
        adam.zero_grad()
        loss.backward()
        adam.step()
        step += 1
        shown.append((own.mean().item(), named.item()))
        if step % 100 == 0:
            print(f'{time.strftime("%H:%M:%S")} step {step} cosine, contrast '
                  f'{np.mean(shown, 0).round(4)}', flush=True)
            shown = []
    state = torch.load(f'{a.run}/ae.pt')
    for name, value in model.state_dict().items():
        if name.startswith(('to_hidden', 'to_s.')):
            state['smooth'][name] = state['model'][name] = value
    torch.save(state, f'{a.run}/ae.pt.part')
    os.replace(f'{a.run}/ae.pt.part', f'{a.run}/ae.pt')


def train(a, model, points):
    path = f'{a.run}/prior.pt'
    before = torch.load(path) if os.path.exists(path) else None
    shape = before['config'] if before else SHAPE
    prior = Prior(shape, model.config['s'], model.config['r'], model.config['style'],
                  len(points.names))
    if before:
        prior.load_state_dict(before['smooth'], strict=False)
    prior.names.copy_(points.keys)
    prior.memory.copy_(points.memory())
    smooth = {k: v.clone() for k, v in prior.state_dict().items()}
    print(sum(p.numel() for p in prior.parameters()), 'parameters', flush=True)
    inner = [p for block in prior.values() for p in block.parameters() if p.dim() == 2]
    outer = [p for p in prior.parameters() if all(p is not q for q in inner)]
    muon = Muon(inner, MUON * a.lr)
    adam = torch.optim.AdamW(outer, lr=a.lr, betas=(0.9, 0.98), weight_decay=0.01)
    rates = [(g, g['lr']) for o in (muon, adam) for g in o.param_groups]
    began, step, shown = time.time(), 0, []
    steps = shape['steps']
    while time.time() < a.until:
        done = (time.time() - began) / (a.until - began)
        for group, rate in rates:
            group['lr'] = rate * min(1, (step + 1) / 100) * min(1, (1 - done) / 0.6)
        r, s, style, strange = points.examples(a.batch)
        r = r * r.shape[-1] ** 0.5
        k = torch.randint(0, steps, (len(r),))
        t = (k / steps)[:, None]
        noise = torch.randn_like(r)
        with autocast('cpu'):
            v = prior((1 - t) * noise + t * r, k, s, style, prior.recall(s, strange))
        loss = (v.float() - (r - noise)).square().mean()
        prior.zero_grad()
        loss.backward()
        muon.step()
        torch.nn.utils.clip_grad_norm_(outer, 1.0)
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
            torch.save(dict(smooth=smooth, model=state, config=shape), path + '.part')
            os.replace(path + '.part', path)


def main():
    from picture_train import Corpus, clock, load

    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['encode', 'head', 'train'])
    p.add_argument('--data', required=True)
    p.add_argument('--run', required=True)
    p.add_argument('--until', type=clock)
    p.add_argument('--batch', type=int, default=512)
    p.add_argument('--lr', type=float, default=2e-3)
    p.add_argument('--threads', type=int, default=os.cpu_count())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model, corpus = load(f'{a.run}/ae.pt'), Corpus(a.data)
    if a.what == 'encode':
        return encode(a, model, corpus)
    points = Points(a, model, corpus)
    if a.what == 'head':
        return head(a, model, points)
    return train(a, model, points)


if __name__ == '__main__':
    main()
