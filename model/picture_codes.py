"""The VQ-VAE of pictures: 64x64 RGBA <-> 8x8 codes of a codebook of 1,024.

Its definition, training, measuring and use.

    python3 picture_codes.py train   --data DIR --run RUN --minutes 35
        RUN/vq.pt; goes on from it if it is there
    python3 picture_codes.py measure --data DIR --vq RUN/vq.pt
        PSNR and SSIM of held-out pictures, use of the codebook
    python3 picture_codes.py sheet   --data DIR --vq RUN/vq.pt --to X.png
        pictures above what came back
    python3 picture_codes.py encode  --data DIR --vq RUN/vq.pt
        DIR/codes.npz, for train.py

DIR is made by pictures.py. The layout is [B, rows, columns, channels] everywhere. Every matrix is
[in, out] and applied as x @ w, as in the file and in C (README.md has the specification). Pixels
are premultiplied by alpha, 0..1.

Known recipes that this follows: codes of unit length in 16 dimensions (Yu et al. 2021), a codebook
by moving averages (van den Oord et al. 2017) with restart of dead codes (Dhariwal et al. 2020),
gradients rotated through the quantisation (Fifty et al. 2024).
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

from text_model import matrix, rms_norm
from train import Muon, autocast

SHAPE = dict(size=64, grid=8, codes=1024, code_width=16, channels=[32, 64, 160],
             encoder_blocks=[1, 1, 3], decoder_blocks=[4, 2, 2])
# The first steps go without quantisation. Then the codebook starts from what the encoder gives.
SMOOTH_STEPS = 250
# What each step leaves of a code's moving average.
KEEP = 0.99
# Codes with fewer uses a step than this share of the mean are restarted, until RESTART_UNTIL of the
# training.
DEAD = 0.3
RESTART_UNTIL = 0.7
# Weight of the loss that pulls what the encoder gives to its codes.
COMMIT = 0.25
# Of each training picture, for the Transformer.
VARIANTS = 7
# Groups that show the same when mirrored.
MIRRORED = ('animals-nature', 'food-drink', 'smileys-emotion')


def patch(x):
    """2x2 neighbours joined: [B, h, w, c] -> [B, h/2, w/2, 4c], order (dy, dx, c)."""
    B, h, w, c = x.shape
    return x.view(B, h // 2, 2, w // 2, 2, c).transpose(2, 3).reshape(B, h // 2, w // 2, 4 * c)


def unpatch(x):
    """The inverse of patch()."""
    B, h, w, c = x.shape
    return x.view(B, h, w, 2, 2, c // 4).transpose(2, 3).reshape(B, 2 * h, 2 * w, c // 4)


class Linear(nn.Module):
    def __init__(self, n_in, n_out, zero=False):
        super().__init__()
        self.weight = matrix(n_in, n_out, zero)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        return x @ self.weight + self.bias


class Conv(Linear):
    """3x3, zero padding.

    The weight is that of the matrix product over im2col, order (ky, kx, c).
    """

    def __init__(self, c):
        super().__init__(9 * c, c)

    def forward(self, x):
        c = x.shape[-1]
        w = self.weight.view(3, 3, c, c).permute(3, 2, 0, 1)
        return F.conv2d(x.permute(0, 3, 1, 2), w, self.bias, padding=1).permute(0, 2, 3, 1)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.Parameter(torch.ones(c))
        self.conv = Conv(c)
        self.out = Linear(c, c, zero=True)

    def forward(self, x):
        return x + self.out(F.silu(self.conv(rms_norm(x, self.norm))))


class Level(nn.ModuleDict):
    """Blocks '0', '1', ... and, if there is one, the matrix to the next resolution."""

    def __init__(self, c, blocks, way=None, to=None):
        super().__init__({str(i): Block(c) for i in range(blocks)})
        if way:
            self[way] = to

    def forward(self, x):
        for name, block in self.items():
            if name == 'down':
                x = patch(x)
            x = block(x)
            if name == 'up':
                x = unpatch(x)
        return x


class Stack(nn.ModuleDict):
    def __init__(self, c, levels):
        super().__init__(levels)
        self.norm = nn.Parameter(torch.ones(c))


class PictureCodes(nn.Module):
    """pixels -> encoder -> 64 unit vectors -> nearest codes -> decoder -> pixels."""

    def __init__(self, config=SHAPE):
        super().__init__()
        self.config = dict(config)
        c = config['channels']
        e = config['encoder_blocks']
        d = config['decoder_blocks']
        k = config['code_width']
        setattr(self, 'in', Linear(16, c[0]))
        self.encoder = Stack(c[2], {
            '0': Level(c[0], e[0], 'down', Linear(4 * c[0], c[1])),
            '1': Level(c[1], e[1], 'down', Linear(4 * c[1], c[2])),
            '2': Level(c[2], e[2])})
        self.to_code = Linear(c[2], k)
        self.register_buffer('codebook', F.normalize(torch.randn(config['codes'], k), dim=-1))
        self.from_code = Linear(k, c[2])
        self.decoder = Stack(c[0], {
            '2': Level(c[2], d[0], 'up', Linear(c[2], 4 * c[1])),
            '1': Level(c[1], d[1], 'up', Linear(c[1], 4 * c[0])),
            '0': Level(c[0], d[2])})
        self.out = Linear(c[0], 16)

    def points(self, pixels):
        """[B, 64, 64, 4] -> [B, 8, 8, 16], unit vectors."""
        x = getattr(self, 'in')(patch(pixels))
        for level in '012':
            x = self.encoder[level](x)
        return F.normalize(self.to_code(rms_norm(x, self.encoder.norm)).float(), dim=-1)

    def nearest(self, points):
        """Unit vectors [..., 16] -> numbers of codes [...]."""
        return (points @ self.codebook.t()).argmax(-1)

    def pixels(self, points):
        """[B, 8, 8, 16] -> [B, 64, 64, 4], not clipped."""
        x = self.from_code(points)
        for level in '210':
            x = self.decoder[level](x)
        return unpatch(self.out(rms_norm(x, self.decoder.norm)))

    @torch.no_grad()
    def encode(self, pixels):
        """[B, 64, 64, 4] -> [B, 64]."""
        return self.nearest(self.points(pixels)).flatten(1)

    @torch.no_grad()
    def decode(self, codes):
        """[B, 64] -> [B, 64, 64, 4], premultiplied, 0..1."""
        n = self.config['grid']
        x = self.pixels(self.codebook[codes].view(len(codes), n, n, -1)).float().clamp(0, 1)
        # No colour over 1 once un-premultiplied.
        return torch.cat([torch.minimum(x[..., :3], x[..., 3:]), x[..., 3:]], -1)


def rotate_to(points, rows):
    """`rows` in the forward pass.

    The gradient goes back to `points` through the rotation that carries one to the other.
    """
    e = points.detach()
    q = rows.detach()
    middle = F.normalize(e + q, dim=-1)
    turned = points - 2 * middle * (middle * points).sum(-1, keepdim=True)
    turned = turned + 2 * q * (e * points).sum(-1, keepdim=True)
    return turned + (q - turned).detach()


class Codebook:
    """Moving averages beside a model's codebook.

    How often each code is used, and the sum of what used it.
    """

    def __init__(self, model):
        self.model = model
        self.count = torch.ones(len(model.codebook))
        self.sum = model.codebook.clone()

    def state(self):
        return dict(count=self.count, sum=self.sum)

    def load(self, state):
        self.count = state['count']
        self.sum = state['sum']

    def start(self, points):
        """k-means over the points [N, 16], by cosine."""
        rows = points[torch.randperm(len(points))[: len(self.count)]].clone()
        for _ in range(10):
            near = (points @ rows.t()).argmax(-1)
            total = torch.zeros_like(rows).index_add_(0, near, points)
            rows = F.normalize(total + 1e-4 * rows, dim=-1)
        self.model.codebook.copy_(rows)
        self.sum = rows * self.count[:, None]

    def update(self, points, near, restart):
        """After a step: points [N, 16] went to the codes near [N]."""
        self.count.mul_(KEEP).index_add_(0, near, torch.full((len(near),), 1 - KEEP))
        self.sum.mul_(KEEP).index_add_(0, near, points * (1 - KEEP))
        dead = self.count < DEAD * len(near) / len(self.count)
        if restart and dead.any():
            # A few a step: all at once would be drawn from one batch.
            k = dead.nonzero()[:8, 0]
            self.count[k] = len(near) / len(self.count)
            self.sum[k] = points[torch.randint(len(points), (len(k),))] * self.count[k][:, None]
        self.model.codebook.copy_(F.normalize(self.sum, dim=-1))


def premultiply(pixels):
    """[..., 4] uint8, straight alpha -> float 0..1, premultiplied."""
    x = torch.as_tensor(pixels).float() / 255
    return torch.cat([x[..., :3] * x[..., 3:], x[..., 3:]], -1)


def on_white(x):
    return x[..., :3] + (1 - x[..., 3:])


def turn_hue(x, angle, gain):
    """Premultiplied pixels with other colours.

    The colours of each picture are turned about the grey axis by its angle, and made stronger or
    weaker by its gain.
    """
    c = angle.cos() * gain
    s = angle.sin() * gain
    a = (1 + 2 * c) / 3
    b = (1 - c) / 3
    d = s / 3 ** 0.5
    m = torch.stack([a, b - d, b + d, b + d, a, b - d, b - d, b + d, a], -1).view(-1, 1, 3, 3)
    colours = (x[..., :3].flatten(1, 2) @ m[:, 0]).view(*x.shape[:3], 3)
    return torch.cat([torch.minimum(colours.clamp_min(0), x[..., 3:]), x[..., 3:]], -1)


def shift(x, reach):
    """By whole pixels, one way for the whole batch: nothing is blurred."""
    dy, dx = np.random.randint(-reach, reach + 1, 2)
    y = F.pad(x, (0, 0, reach, reach, reach, reach))
    return y[:, reach + dy: reach + dy + 64, reach + dx: reach + dx + 64]


def zoom(x, least, most, reach):
    """Each picture scaled (a little differently in the two directions) and shifted.

    Shifts are by fractions of pixels.
    """
    B = len(x)
    wide = (most - least) * torch.rand(B, 1) * torch.ones(B, 2)
    scale = least + wide * (1 + 0.05 * torch.randn(B, 2))
    theta = torch.zeros(B, 2, 3)
    theta[:, 0, 0] = 1 / scale[:, 0]
    theta[:, 1, 1] = 1 / scale[:, 1]
    theta[:, :, 2] = (torch.rand(B, 2) * 2 - 1) * reach / 32
    grid = F.affine_grid(theta, (B, 4, 64, 64), align_corners=False)
    y = F.grid_sample(x.permute(0, 3, 1, 2), grid, align_corners=False)
    return y.permute(0, 2, 3, 1).contiguous()


def vary_hard(x):
    """For training the codes: all that a code should be able to show, whatever it then means."""
    n = len(x)
    x[: n // 2] = zoom(x[: n // 2], 0.7, 1.2, 5)
    x[n // 2:] = shift(x[n // 2:], 4)
    k = 3 * n // 4
    turned = torch.randperm(n)[:k]
    x[turned] = turn_hue(x[turned], torch.randn(k) * 0.9, 1 + 0.15 * torch.randn(k))
    mirrored = torch.rand(n) < 0.5
    x[mirrored] = x[mirrored].flip(2)
    # Photographs and scans have no transparent ground.
    filled = torch.randperm(n)[: n // 12]
    x[filled] = fill(x[filled])
    return x


def vary_gently(x, mirror):
    """Variants that mean the same: x [B, 64, 64, 4], mirror [B] says which may be mirrored."""
    n = len(x)
    x = zoom(x, 0.85, 1.1, 3) if np.random.rand() < 0.5 else shift(x, 3)
    x = turn_hue(x, torch.randn(n) * 0.12, 1 + 0.1 * torch.randn(n))
    mirrored = mirror & (torch.rand(n) < 0.5)
    x[mirrored] = x[mirrored].flip(2)
    return x


def fill(x):
    """Over one opaque colour each."""
    ground = torch.rand(len(x), 1, 1, 3)
    return torch.cat([x[..., :3] + (1 - x[..., 3:]) * ground, torch.ones_like(x[..., 3:])], -1)


def block_ssim(x, y):
    """SSIM [B, channels, 15, 15] over squares of 8x8, every 4: cheap enough for a loss."""
    def pool(v):
        return F.avg_pool2d(v, 8, 4)

    x = x.permute(0, 3, 1, 2)
    y = y.permute(0, 3, 1, 2)
    mx, my = pool(x), pool(y)
    vx = pool(x * x) - mx * mx
    vy = pool(y * y) - my * my
    cov = pool(x * y) - mx * my
    return (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))


def picture_loss(made, wanted):
    """Absolute and squared differences, those of neighbours' differences, and structure."""
    d = made - wanted
    edges = (d[:, 1:] - d[:, :-1]).abs().mean() + (d[:, :, 1:] - d[:, :, :-1]).abs().mean()
    structure = 1 - block_ssim(made, wanted).mean()
    return d.abs().mean() + 3 * d.square().mean() + 0.25 * edges + 0.1 * structure


def psnr(made, wanted):
    """dB of each picture."""
    return -10 * torch.log10((made - wanted).square().flatten(1).mean(1) + 1e-10)


def ssim(made, wanted):
    """Of each picture on white, Wang et al. 2004: Gaussian window of 11, mean over the colours."""
    def pool(v):
        return F.conv2d(v, window, groups=3)

    x = made.permute(0, 3, 1, 2)
    y = wanted.permute(0, 3, 1, 2)
    g = torch.exp(-(torch.arange(11) - 5.0) ** 2 / (2 * 1.5 ** 2))
    g = g / g.sum()
    window = (g[:, None] * g)[None, None].expand(3, 1, 11, 11)
    mx, my = pool(x), pool(y)
    vx = pool(x * x) - mx * mx
    vy = pool(y * y) - my * my
    cov = pool(x * y) - mx * my
    like = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
    most = (mx * mx + my * my + 1e-4) * (vx + vy + 9e-4)
    return (like / most).flatten(1).mean(1)


class Pictures:
    """What pictures.py made."""

    def __init__(self, folder):
        self.pixels = np.load(f'{folder}/pixels.npy', mmap_mode='r')
        with open(f'{folder}/index.json', encoding='utf8') as f:
            index = json.load(f)
        self.rows = index['pictures']
        self.concepts = index['concepts']
        self.split = np.array([p['split'] for p in self.rows])

    def of(self, split):
        return np.nonzero(self.split == split)[0]

    def __getitem__(self, rows):
        return premultiply(self.pixels[rows])


def in_parts(rows, n=64):
    return (rows[i: i + n] for i in range(0, len(rows), n))


@torch.no_grad()
def measure(model, pictures, most=1 << 30):
    """{split: PSNR on white, PSNR of alpha, SSIM on white}, and the codes.

    The figures are means over pictures. Of the codes: how many are used, and how evenly.
    """
    found = {}
    used = torch.zeros(len(model.codebook))
    for split in ('train', 'style', 'concept'):
        rows = pictures.of(split)
        rows = rows[:: max(1, len(rows) // most)]
        figures = []
        for part in in_parts(rows):
            x = pictures[part]
            codes = model.encode(x)
            y = model.decode(codes)
            used += torch.bincount(codes.flatten(), minlength=len(used))
            a, b = on_white(y), on_white(x)
            figures.append(torch.stack([psnr(a, b), psnr(y[..., 3:], x[..., 3:]), ssim(a, b)], 1))
        found[split] = torch.cat(figures).mean(0).tolist()
    share = used / used.sum()
    entropy = -(share * (share + 1e-12).log()).sum()
    found['codes'] = [int((used > 0).sum()), float(torch.exp(entropy))]
    return found


def said(found):
    """What measure() found, in a line."""
    rows = [f'{k} {v[0]:.2f} dB (alpha {min(v[1], 99):.1f}) ssim {v[2]:.3f}'
            for k, v in found.items() if k != 'codes']
    codes = f'codes used {found["codes"][0]}, as if {found["codes"][1]:.0f} evenly'
    return ', '.join(rows) + ', ' + codes


def save(path, **state):
    torch.save(state, path + '.part')
    os.replace(path + '.part', path)


def load(path):
    """The model as it is shipped: weights rounded to f16."""
    state = torch.load(path)
    model = PictureCodes(state['config'])
    model.load_state_dict({k: v.half().float() for k, v in state['model'].items()})
    return model.eval()


class Training:
    def __init__(self, a):
        torch.manual_seed(a.seed)
        self.a = a
        self.path = f'{a.run}/vq.pt'
        self.pictures = Pictures(a.data)
        state = torch.load(self.path) if os.path.exists(self.path) else None
        self.model = PictureCodes(state['config'] if state else dict(SHAPE, **json.loads(a.shape)))
        self.codebook = Codebook(self.model)
        muon = [p for n, p in self.model.named_parameters()
                if p.ndim == 2 and n.startswith(('encoder.', 'decoder.'))]
        others = [p for p in self.model.parameters() if not any(p is m for m in muon)]
        adam = torch.optim.AdamW(others, lr=a.lr / 6, betas=(0.9, 0.95), weight_decay=0.0)
        self.rates = (a.lr, a.lr / 6)
        self.optimizers = [Muon(muon, a.lr), adam]
        self.at = dict(step=0, seconds=0.0)
        self.seen = []
        if state:
            self.resume(state)
        self.points = torch.compile(self.model.points)
        self.made = torch.compile(self.model.pixels)
        self.loss = torch.compile(picture_loss)

    def resume(self, state):
        self.model.load_state_dict(state['model'])
        self.codebook.load(state['codebook'])
        for o, s in zip(self.optimizers, state['optimizers']):
            o.load_state_dict(s)
        self.at = state['at']

    def save(self):
        save(self.path, model=self.model.state_dict(), config=self.model.config,
             codebook=self.codebook.state(), optimizers=[o.state_dict() for o in self.optimizers],
             at=self.at)

    def step(self, x):
        """One batch; how far the training is, 0..1, decides the rate."""
        step = self.at['step']
        progress = self.at['seconds'] / (self.a.minutes * 60)
        scale = min(1.0, (step + 1) / 100) * min(1.0, max(0.0, (1 - progress) / 0.75))
        for o, rate in zip(self.optimizers, self.rates):
            o.param_groups[0]['lr'] = rate * scale
        with autocast('cpu'):
            points = self.points(x)
        given = points
        commit = torch.zeros(())
        flat = points.detach().flatten(0, 2)
        if step == SMOOTH_STEPS:
            self.codebook.start(torch.cat([flat] + self.seen))
        if step >= SMOOTH_STEPS:
            near = self.model.nearest(flat)
            rows = self.model.codebook[near].view_as(points)
            given = rotate_to(points, rows)
            commit = 1 - (points * rows).sum(-1).mean()
        with autocast('cpu'):
            made = self.made(given)
        loss = self.loss(made.float(), x)
        for o in self.optimizers:
            o.zero_grad()
        (loss + COMMIT * commit).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for o in self.optimizers:
            o.step()
        if step >= SMOOTH_STEPS:
            self.codebook.update(flat, near, progress < RESTART_UNTIL)
        else:
            self.seen = (self.seen + [flat])[-20:]
        return loss.item(), commit.item()

    def run(self):
        a, at = self.a, self.at
        stopping = []

        def stop(*_):
            stopping.append(1)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        rows = self.pictures.of('train')
        n_parameters = sum(p.numel() for p in self.model.parameters())
        print(f'{n_parameters} parameters, {len(rows)} pictures, from step {at["step"]}',
              flush=True)
        began = saved = time.time() - at['seconds']
        saved += at['seconds']
        shown = np.zeros(3)
        while not stopping:
            torch.manual_seed(a.seed * 1000003 + at['step'])
            np.random.seed((a.seed * 1000003 + at['step']) % (1 << 32))
            batch = np.sort(np.random.choice(rows, a.batch, replace=False))
            loss, commit = self.step(vary_hard(self.pictures[batch]))
            shown += loss, commit, 1
            at.update(step=at['step'] + 1, seconds=time.time() - began)
            if at['seconds'] > a.minutes * 60 or at['step'] >= a.steps:
                stopping.append(1)
            if at['step'] % 100 == 0:
                loss, commit, _ = shown / shown[2]
                print(f'{at["seconds"]:.0f} s step {at["step"]} loss {loss:.4f} '
                      f'commit {commit:.4f}', flush=True)
                shown[:] = 0
            if at['seconds'] + began - saved > 240 or stopping:
                saved = time.time()
                self.save()
                if a.glance:
                    print('saved', said(measure(self.model, self.pictures, a.glance)), flush=True)


def sheet(model, pictures, rows, path, columns=16):
    """Pictures, and below each what comes back through the codes, on white."""
    from PIL import Image

    x = pictures[rows]
    y = model.decode(model.encode(x))
    pairs = (torch.cat([on_white(x), on_white(y)], 1) * 255).round().to(torch.uint8).numpy()
    lines = [np.concatenate(list(part), 1)
             for part in in_parts(pairs, columns) if len(part) == columns]
    image = Image.fromarray(np.concatenate(lines))
    image.resize((columns * 64 * 3 // 2, len(lines) * 192)).save(path)


def encode(model, pictures, path):
    """codes [n, 64]; row [n_train] and varied [n_train, VARIANTS, 64], of the training pictures."""
    torch.manual_seed(7)
    np.random.seed(7)
    began = time.time()
    parts = in_parts(np.arange(len(pictures.rows)))
    codes = np.concatenate([model.encode(pictures[p]).numpy() for p in parts])
    train = pictures.of('train')
    groups = [pictures.concepts[r['concept']]['group'] for r in pictures.rows]
    mirror = torch.tensor([group in MIRRORED for group in groups])
    varied = np.zeros((len(train), VARIANTS, codes.shape[1]), np.uint16)
    points = torch.compile(model.points, dynamic=True)
    for k in range(VARIANTS):
        # A batch may share its shift, so its pictures are others each time.
        for part in in_parts(np.random.permutation(len(train)), 32):
            part = np.sort(part)
            x = vary_gently(pictures[train[part]], mirror[train[part]])
            with torch.no_grad(), autocast('cpu'):  # precise enough for variants
                x = points(x)
            varied[part, k] = model.nearest(x).flatten(1).numpy()
    np.savez(path, codes=codes.astype(np.uint16), row=train, varied=varied)
    print(f'{codes.shape[0]} pictures, {varied.shape[0]} x {VARIANTS} variants, '
          f'{time.time() - began:.0f} s')


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['train', 'measure', 'sheet', 'encode'])
    p.add_argument('--data', required=True)
    p.add_argument('--run', help='train: folder of the checkpoint')
    p.add_argument('--vq', help='others: the checkpoint')
    p.add_argument('--to', help='sheet: PNG to write')
    p.add_argument('--split', default='concept', help='sheet: train, style, concept')
    p.add_argument('--shape', default='{}', help='train: JSON of what differs from SHAPE')
    p.add_argument('--minutes', type=float, default=35)
    p.add_argument('--steps', type=int, default=1 << 60, help='stop after so many')
    p.add_argument('--batch', type=int, default=32)
    p.add_argument('--lr', type=float, default=0.015, help='Muon; AdamW takes a sixth of it')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--glance', type=int, default=192,
                   help='pictures of each split measured at each checkpoint; 0: none')
    p.add_argument('--threads', type=int, default=os.cpu_count())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    if a.what == 'train':
        os.makedirs(a.run, exist_ok=True)
        return Training(a).run()
    model = load(a.vq)
    pictures = Pictures(a.data)
    if a.what == 'measure':
        print(said(measure(model, pictures)))
    elif a.what == 'sheet':
        rows = pictures.of(a.split)
        sheet(model, pictures, rows[:: max(1, len(rows) // 96)][:96], a.to)
    else:
        encode(model, pictures, f'{a.data}/codes.npz')


if __name__ == '__main__':
    main()
