"""Trains the model of texts or of code, on two CPU cores or on a GPU.

It can be stopped and resumed at any step.

    python3 train.py --data DIR --run RUN [--init text.safetensors]
        the trunk: at a constant rate, until it is stopped (Ctrl-C or --minutes)
    python3 train.py --data DIR --run RUN --decay 2000
        from the trunk's checkpoint: 2,000 steps down to rate 0
    python3 train.py --data DIR --run RUN --init text.safetensors --decay 100000 --minutes 66
        down to rate 0 in 66 minutes, however many steps that is

DIR is made by prepare.py. It holds DIR/texts; or ids.npz of code. picture_train.py trains pictures.

Code learns whole. Of text, and of code with --decoder, the decoder alone learns, to read the points
that the engine makes: the encoder that makes `r` stays as it is, to the bit, because others have
learned to read it too, and `s` of a text is a sentence encoder's.

The trunk writes RUN/trunk.pt every ten minutes and when it is stopped, and goes on from it. The
decay reads trunk.pt and writes RUN/decayed.pt, so the trunk can go on for days and be shipped at
any time (export.py). Every random choice of a step is drawn from the seed and the step's number,
and the data order from the seed and the epoch: a resumed run sees what an uninterrupted one would
have seen.

On CPU half of the time goes into page faults unless malloc keeps its memory. The settings are in
the Makefile (make train).
"""
import argparse
import glob
import math
import os
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F

import text_model
from text_model import BOS, EOS, PAD, UNK, TextModel
from tokenizer import SPACE, Tokenizer

# ---- Noise and losses of what the encoder and the decoder get ----
NOISE = 0.1         # standard deviation per number of z (of unit variance), for most examples
NOISE_MOST = 0.8    # the others draw theirs from 0 to this: to learn to write from an unsure point
DROP_TOKENS = 0.2   # half of the encoder's inputs lose tokens, at a rate drawn from 0 to this
MASK_TOKENS = 0.05  # share of the decoder's inputs that become UNK
DROP_Z = 0.1        # examples without z: the decoder as a plain language model (the fluency dial)
WEAK_DETAIL = 0.45  # examples with r scaled by 0..1 (the detail dial)
NO_DETAIL = 0.1     # examples without r

# ---- Middles: what other weights write between two texts, to be written from the same point ----
MIDDLES = 0.2       # their share of a batch's tokens

# ---- Changes: sentences to be written from another one and the step of a change ----
CHANGED = 0.15      # their share of a batch's tokens
CHANGED_LEAST = 32  # least number of pairs: a mean needs some


def fast_type(device):
    """bf16 where its products are fast: on GPUs, and on CPUs that have instructions for it.

    On other CPUs they are seventy times slower than those of f32 (AMD EPYC with AVX2, PyTorch 2.15,
    2048x1440 by 1440x160: 2 GFLOP/s for 138).
    """
    is_fast = device == 'cuda' or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if is_fast else torch.float32


def autocast(device):
    is_bf16 = fast_type(device) == torch.bfloat16
    return torch.autocast(device, dtype=torch.bfloat16, enabled=is_bf16)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised by five Newton-Schulz steps (Jordan et al. 2024).

    For matrices [in, out]; those of one shape together. The steps are in bf16 where that is fast.
    """

    def __init__(self, params, lr):
        params = list(params)
        shapes = sorted({p.shape for p in params})
        groups = [dict(params=[p for p in params if p.shape == shape]) for shape in shapes]
        super().__init__(groups, dict(lr=lr))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = group['params']
            state = self.state[params[0]]
            grads = torch.stack([p.grad for p in params])
            if 'momentum' not in state:
                state['momentum'] = torch.zeros_like(grads)
            m = state['momentum'].lerp_(grads, 0.05)
            u = grads.lerp(m, 0.95)
            x = (u / (u.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(fast_type(u.device.type))
            n_in, n_out = params[0].shape
            if n_in > n_out:
                x = x.mT
            for _ in range(5):
                b = x @ x.mT
                x = 3.4445 * x + (-4.775 * b + 2.0315 * b @ b) @ x
            if n_in > n_out:
                x = x.mT
            rate = group['lr'] * max(1.0, n_out / n_in) ** 0.5
            torch._foreach_mul_(params, 1 - group['lr'] * 0.05)
            torch._foreach_add_(params, list(x.float().unbind()), alpha=-rate)


def batches_of(length, tokens, seed):
    """The rows of one epoch, batch by batch: of about equal length, and at most `tokens` tokens.

    The end of each row and the padding count.
    """
    rng = np.random.RandomState(seed)
    order = rng.permutation(np.nonzero(length)[0])
    part_rows = max(20000, 8 * tokens)
    for start in range(0, len(order), part_rows):
        part = order[start: start + part_rows]
        part = part[np.argsort(length[part] + rng.rand(len(part)))]
        batches = []
        i = 0
        while i < len(part):
            j = i
            while j < len(part) and (length[part[j]] + 1) * (j - i + 1) <= tokens:
                j += 1
            batches.append(part[i:j])
            i = j
        yield from (batches[k] for k in rng.permutation(len(batches)))


class Rows:
    """Rows of token ids laid end to end, and put together on the device."""

    def __init__(self, flat, length, device):
        self.length = length.astype(np.int64)
        self.device = device
        self.step = 8 if device == 'cuda' else 1
        self.flat = torch.from_numpy(flat.astype(np.int32)).to(device)
        self.start = torch.from_numpy(np.cumsum(self.length) - self.length).to(device)
        self.n = torch.from_numpy(self.length).to(device)

    def padded(self, rows, fill, more=0):
        """[B, T] of these rows (numpy), with `fill` behind them.

        T leaves room for `more`. It is a multiple of `step`: 8 on a GPU, whose products want that.
        """
        width = max(1, int(self.length[rows].max())) + more
        width += -width % self.step
        rows = torch.from_numpy(rows).to(self.device)
        at = torch.arange(width, device=self.device)
        ids = self.flat[(self.start[rows][:, None] + at).clamp(max=len(self.flat) - 1)].long()
        return torch.where(at < self.n[rows][:, None], ids, fill)


def alike(order, n, rng):
    """n of these rows, which are sorted by length: of about one length, to save padding."""
    at = rng.randint(max(1, len(order) - 4 * n))
    return rng.permutation(order[at: at + 4 * n])[:n]


def with_end(ids):
    """EOS behind each row of [B, T]; a row has room for it."""
    n = (ids != PAD).sum(1)
    return ids.scatter(1, n[:, None], EOS)


def lost(ids):
    """[B, T]: which tokens training loses: in half of the rows some, at a rate drawn for each."""
    rate = torch.rand(len(ids), 1, device=ids.device) * DROP_TOKENS
    rate = rate * (torch.rand(len(ids), 1, device=ids.device) < 0.5)
    return torch.rand(ids.shape, device=ids.device) < rate


def less(ids):
    """Rows without what is lost(), but always with their first token; what is left closes up."""
    is_behind = torch.arange(ids.shape[1], device=ids.device) > 0
    ids = torch.where(lost(ids) & is_behind, PAD, ids)
    return ids.gather(1, torch.argsort((ids == PAD).to(torch.uint8), dim=1, stable=True))


def to_write(ids):
    """ids [B, T], PAD behind -> the decoder's input [B, T] and its target."""
    target = with_end(ids)
    return F.pad(target[:, :-1], (1, 0), value=BOS), target.masked_fill(target == PAD, -100)


def masked(given):
    """The decoder's input with some tokens unknown, but never the first."""
    hide = torch.rand(given.shape, device=given.device) < MASK_TOKENS
    hide[:, 0] = False
    return torch.where(hide, UNK, given)


class Corpus:
    """Packed rows of token ids, of code."""

    def __init__(self, folder, tokens, seed, device):
        f = np.load(f'{folder}/ids.npz')
        self.ids = Rows(f['flat'], np.diff(f['off']), device)
        # An NpzFile reads the array anew at every look-up.
        flat, off = f['valid_flat'], f['valid_off']
        self.valid = [flat[a:b] for a, b in zip(off, off[1:]) if b > a]
        self.tokens, self.seed = tokens, seed

    def __len__(self):
        return len(self.ids.length)

    def epoch(self, number):
        return batches_of(self.ids.length, self.tokens, (self.seed, number))

    def points(self, rows, encode):
        """s and r of these rows as training reads them: some of their tokens are lost."""
        return encode(with_end(less(self.ids.padded(rows, PAD, 1))))

    def written(self, rows):
        """The decoder's input for these rows, corrupted for training, and its target: [B, T]."""
        given, target = to_write(self.ids.padded(rows, PAD, 1))
        return masked(given), target

    def held_out(self, model, n):
        """n held-out rows in parts, by length: lists of ids, their s, their r."""
        rows = sorted((v.tolist() for v in self.valid[:n]), key=len)
        for part in (rows[i: i + 32] for i in range(0, len(rows), 32)):
            ids = text_model.pad_batch([p + [EOS] for p in part])
            yield part, *model.encode(ids.to(model.embedding.device))


class Points:
    """Rows of token ids with the point of each, as the engine makes it (files of prepare.py).

    s: how many numbers of a point are s.
    """

    def __init__(self, paths, s, device):
        parts = [np.load(p) for p in paths]

        def join(k):
            return np.concatenate([p[k] for p in parts])

        self.s = s
        self.ids = Rows(join('flat'), join('length'), device)
        self.z = torch.from_numpy(join('z')).to(device)

    def of(self, rows):
        """s and r of these rows (numpy)."""
        z = self.z[torch.from_numpy(rows).to(self.z.device)].float()
        return F.normalize(z[:, : self.s], dim=-1), z[:, self.s:]


class Texts(Corpus):
    """Texts with the point of each (DIR/texts/*.npz of prepare.py): the decoder alone learns.

    Middles (DIR/middles/*.npz) are points between two of them. What is to be said there is what
    another decoder says: so this one says something whole where no text lies, not halves of two.
    """

    def __init__(self, folder, tokens, seed, device, model):
        s = model.config['s']
        self.known = Points(sorted(glob.glob(f'{folder}/texts/*.npz')), s, device)
        self.held = Points([f'{folder}/valid/valid.npz'], s, device)
        self.ids = self.known.ids
        self.middles = Points(sorted(glob.glob(f'{folder}/middles/*.npz')), s, device)
        self.by_length = np.argsort(self.middles.ids.length, kind='stable')
        self.tokens, self.seed = tokens, seed

    def points(self, rows, encode):
        return self.known.of(rows)

    def held_out(self, model, n):
        ids = self.held.ids
        order = np.argsort(ids.length[:n], kind='stable')
        for rows in (order[i: i + 32] for i in range(0, len(order), 32)):
            part = [row[row != PAD].tolist() for row in ids.padded(rows, PAD)]
            yield part, *self.held.of(rows)

    def middle(self, model, reading, rng):
        """The loss of middles: of a share MIDDLES of a batch's tokens."""
        length = self.middles.ids.length
        n = max(1, int(self.tokens * MIDDLES / (length.mean() + 1)))
        rows = alike(self.by_length, n, rng)
        s, r = self.middles.of(rows)
        target = self.middles.ids.padded(rows, PAD, 1)
        return reading(model.join(noisy(s, NOISE), r), *to_write(target))


class Changes:
    """Pairs of a text and what a rule made of it (DIR/changes/*.npz of prepare.py).

    The mean step of half of a batch's pairs, 1 to 2.5 times, is to take the other half's first text
    to its second: what latent_direction() and latent_move() do.
    """

    def __init__(self, folder, device, model):
        self.kinds = []
        for path in sorted(glob.glob(f'{folder}/changes/*.npz')):
            known = Points([path], model.config['s'], device)
            longest = known.ids.length.reshape(-1, 2).max(1)
            self.kinds.append((known, np.argsort(longest, kind='stable')))

    def loss(self, model, reading, rng, tokens):
        known, order = self.kinds[rng.randint(len(self.kinds))]
        n = min(len(order), max(CHANGED_LEAST, tokens // 64)) // 2 * 2
        pairs = alike(order, n, rng)
        s_x, r_x = known.of(pairs * 2)
        s_y, r_y = known.of(pairs * 2 + 1)
        half = n // 2
        step_s = (s_y - s_x)[:half].mean(0)
        step_r = (r_y - r_x)[:half].mean(0)
        amount = 1 + 1.5 * torch.rand(half, 1, device=s_x.device)
        s = F.normalize(s_x[half:] + amount * step_s, dim=-1)
        r = r_x[half:] + amount * step_r
        r = r / r.norm(dim=-1, keepdim=True).clamp(min=1)
        wanted = known.ids.padded(pairs[half:] * 2 + 1, PAD, 1)
        return reading(model.join(noisy(s, NOISE), r), *to_write(wanted))


def noisy(v, sigma):
    """v [B, width] of unit length, with normal noise of this deviation; of unit length again."""
    return F.normalize(v + sigma * torch.randn_like(v) / math.sqrt(v.shape[1]), dim=-1)


def perturb(model, s, r):
    """z as the decoder meets it in use: noisy, with weak detail, or absent."""
    n, dev = len(s), s.device
    u = torch.rand(n, 1, device=dev)
    wide = torch.rand(n, 1, device=dev) * NOISE_MOST
    sigma = torch.where(u < 0.6, torch.full_like(u, NOISE), wide)
    is_weak = torch.rand(n, 1, device=dev) < WEAK_DETAIL
    detail = torch.where(is_weak, torch.rand(n, 1, device=dev), torch.ones(n, 1, device=dev))
    detail = detail * (torch.rand(n, 1, device=dev) >= NO_DETAIL)
    z = model.join(noisy(s, sigma), noisy(r, sigma) * detail)
    return z * (torch.rand(n, 1, device=dev) >= DROP_Z)


def points(model, s, r, clear):
    """z [B, s + r] to decode these rows from.

    A share `clear` of them comes from its own point, with the usual noise alone.
    """
    z = perturb(model, s, r)
    if not clear:
        return z
    own = model.join(noisy(s, NOISE), noisy(r, NOISE))
    return torch.where(torch.rand(len(s), 1, device=s.device) < clear, own, z)


@torch.no_grad()
def evaluate(model, corpus, n):
    """A glance while training (score.py measures what is shipped), over text/valid.

    Share that comes back exactly, by length, greedy in one pass.
    """
    model.eval()
    hits = {16: [], 32: [], 65: []}
    for given, s, r in corpus.held_out(model, n):
        for given, made in zip(given, model.decode(s, r, limit=len(given[-1]) + 1)):
            hits[next(k for k in hits if len(given) < k)].append(given == made)
    model.train()
    return ' '.join(f'<{k} {np.mean(v):.3f}' for k, v in hits.items() if v)


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--data', required=True)
    p.add_argument('--run', required=True)
    p.add_argument('--init', help='safetensors to start from')
    p.add_argument('--tokens', type=int, default=4000, help='a batch')
    p.add_argument('--lr', type=float, default=0.012, help='Muon; AdamW takes a sixth of it')
    p.add_argument('--minutes', type=float, default=1e9)
    p.add_argument('--steps', type=int, default=1 << 60, help='stop after so many')
    p.add_argument('--decay', type=int, default=0,
                   help='steps of the final linear decay; with --minutes, it is down to 0 at '
                   'whichever comes first')
    p.add_argument('--clear', type=float, default=0.0,
                   help='share of the examples that are decoded from their own point as it is: for '
                   'more exactness, at the cost of the dials')
    p.add_argument('--decoder', action='store_true', help='of code: it alone learns, as of text')
    p.add_argument('--save', type=float, default=10, help='minutes between checkpoints')
    p.add_argument('--warm', type=int, default=200)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--glance', type=int, default=128,
                   help='held-out sentences decoded at each checkpoint; slow on CPU; 0: none')
    p.add_argument('--threads', type=int, default=os.cpu_count())
    return p.parse_args()


def model_of(a, state):
    """The model to go on with: the checkpoint's shape, or --init, or a new one."""
    if state:
        tokenizer = Tokenizer(**state['tokenizer']) if state.get('tokenizer') else None
        return TextModel(state['config'], tokenizer, state['meaning'])
    if a.init:
        return text_model.load(a.init)
    return TextModel(text_model.FIRST)


def freeze_encoder(model):
    """Leaves what reads z to learn. So a point that was stored stays that of its text."""
    for name, p in model.named_parameters():
        p.requires_grad_(name.startswith(('memory.', 'z_in', 'decoder')))


def optimizers_of(model, lr):
    """Muon for the matrices of the layers, AdamW for everything else."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = [p for name, p in named.items()
                if p.ndim == 2 and name.startswith(('encoder.', 'decoder.'))]
    others = [p for p in named.values() if not any(p is m for m in matrices)]
    groups = [dict(params=others, share=1 / 6)]
    adam = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), weight_decay=0.0)
    return [Muon(matrices, lr), adam]


def corpus_of(a, model, device):
    """(what to train on, the pairs of a text and its change: None unless it is text)."""
    if os.path.isdir(f'{a.data}/texts'):
        corpus = Texts(a.data, a.tokens, a.seed, device, model)
        return corpus, Changes(a.data, device, model)
    return Corpus(a.data, a.tokens, a.seed, device), None


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    os.makedirs(a.run, exist_ok=True)
    torch.manual_seed(a.seed)
    trunk, decayed = f'{a.run}/trunk.pt', f'{a.run}/decayed.pt'
    state = torch.load(trunk, map_location=device) if os.path.exists(trunk) else None
    model = model_of(a, state)
    model.to(device).train()
    corpus, changes = corpus_of(a, model, device)
    if changes or a.decoder:
        freeze_encoder(model)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizers = optimizers_of(model, a.lr)
    at = dict(step=0, epoch=0, in_epoch=0, seen=0)
    if state:
        model.load_state_dict(state['model'])
        for o, s in zip(optimizers, state['optimizers']):
            o.load_state_dict(s)
        at = state['at']
    first = at['step']
    n_parameters = sum(p.numel() for p in learning)
    print(f'{n_parameters} parameters, {len(corpus)} rows, from step {first} on {device}',
          flush=True)

    def save(path):
        t = model.tokenizer
        tokenizer = dict(pieces=t.pieces, scores=t.scores) if t else None
        state = dict(model=model.state_dict(), optimizers=[o.state_dict() for o in optimizers],
                     at=at, config=model.config, meaning=model.meaning, tokenizer=tokenizer)
        torch.save(state, path + '.part')
        os.replace(path + '.part', path)

    stopping = []

    def stop(*_):
        stopping.append(1)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)

    # Layer by layer, as all layers of a sort share what is compiled. PyTorch 2.11 fails over its
    # analysis of dynamic shapes.
    torch._inductor.config.triton.coalesce_tiling_analysis = False
    for block in (*model.encoder, *model.decoder):
        block.compile(dynamic=True)

    def encode(ids):
        with autocast(device):
            return model.encode(ids)

    def reading(z, given, target):
        with autocast(device):
            logits = model.logits(z, given).float().flatten(0, 1)
            return F.cross_entropy(logits, target.flatten(), ignore_index=-100)

    start = saved = time.time()
    shown = torch.zeros(3, device=device)
    while not stopping:
        for k, rows in enumerate(corpus.epoch(at['epoch'])):
            if k < at['in_epoch']:
                continue
            step = at['step']
            way = 0.0
            if a.decay:
                way = max((step - first) / a.decay, (time.time() - start) / 60 / a.minutes)
            rate = a.lr * min(1.0, (step + 1) / a.warm) * max(0.0, 1 - way)
            for group in (g for o in optimizers for g in o.param_groups):
                group['lr'] = rate * group.get('share', 1)
            torch.manual_seed(a.seed * 1000003 + step)
            rng = np.random.RandomState((a.seed, step))
            s, r = corpus.points(rows, encode)
            ce = reading(points(model, s, r, a.clear), *corpus.written(rows))
            middle = changed = ce * 0
            loss = ce
            if changes:
                middle = corpus.middle(model, reading, rng)
                changed = changes.loss(model, reading, rng, int(a.tokens * CHANGED))
                loss = (1 - MIDDLES - CHANGED) * ce + MIDDLES * middle + CHANGED * changed
            for o in optimizers:
                o.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            for o in optimizers:
                o.step()
            seen = at['seen'] + int(corpus.ids.length[rows].sum())
            at.update(step=step + 1, in_epoch=k + 1, seen=seen)
            measured = torch.stack([ce, middle, changed]).detach().float()
            shown.lerp_(measured, 0.02 if step > first else 1.0)
            now = time.time()
            if now - start > a.minutes * 60 or step + 1 - first >= (a.decay or a.steps):
                stopping.append(1)
            if step % 10 == 9:
                names = ('ce', 'middle', 'changed')
                losses = ' '.join(f'{name} {v:.3f}' for name, v in zip(names, shown.tolist()))
                print(f'{now - start:.0f} s step {step + 1} tokens {seen / 1e6:.2f}M {losses}',
                      flush=True)
            if now - saved > a.save * 60 or stopping:
                saved = now
                save(decayed if a.decay else trunk)
                glance = 'exact: ' + evaluate(model, corpus, a.glance) if a.glance else ''
                print('saved', glance, flush=True)
            if stopping:
                break
        else:
            at.update(epoch=at['epoch'] + 1, in_epoch=0)


if __name__ == '__main__':
    main()
