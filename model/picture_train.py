"""Trains the autoencoder of pictures, measures it, and writes what the extension reads.

    python3 picture_train.py words   --data DIR                             what texts say: first
    python3 picture_train.py train   --data DIR --run RUN --until HH:MM     RUN/ae.pt, or goes on
    python3 picture_train.py measure --data DIR --run RUN                   what comes back
    python3 picture_train.py sheet   --data DIR --run RUN --to X.png        pictures above it
    python3 picture_train.py export  --data DIR --run RUN --out ../model/picture
    python3 picture_train.py begin   --data DIR --run RUN --model ../model/picture.safetensors

DIR is made by pictures.py. `words` asks the extension (build/latent), so Python's sqlite3 has to be
one that loads extensions. It writes DIR/words.npz: `v` [texts, 128], f32, the s of every text of
every concept as the network reads it, of unit length; and `start` [concepts + 1], where the texts
of a concept begin. `export` wants RUN/prior.pt too: picture_prior.py makes it. `begin` makes both
of what was exported, to go on from: the decoder and the prior do, the encoder has lost how it
tells sets apart.
"""
import argparse
import json
import os
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import export
import prepare
from picture_model import SHAPE, PictureModel, clipped, load, on_white, premultiply
from pictures import BOARD_SETS, EMOJI_SETS
from train import Muon

HERE = os.path.dirname(os.path.abspath(__file__))
# Shares of a batch: the sets of the board, and the other emoji. The rest are icons.
FROM_BOARD, FROM_SIBLINGS = 0.62, 0.14
NOISE = 0.1          # on z, which has unit variance
WORDS = 0.5          # share of pictures decoded with the s of a text of their concept
SHORT = 0.15         # share decoded from a shorter r, as it is between unlike points
LABEL = 0.6          # share of texts that are the concept's label
TEMPERATURE = 0.07
# Groups that show the same when mirrored.
MIRRORED = ('animals-nature', 'food-drink', 'smileys-emotion', 'extra')


# ---- Variants of pictures ----

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


# ---- Losses and measures ----

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
    return d.abs().mean() + 5 * d.square().mean() + 0.25 * edges + 0.1 * structure


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


# ---- The corpus ----

def in_parts(rows, n=64):
    return (rows[i: i + n] for i in range(0, len(rows), n))


class Pictures:
    """What pictures.py made."""

    def __init__(self, folder):
        self.pixels = np.load(f'{folder}/pixels.npy')
        with open(f'{folder}/index.json', encoding='utf8') as f:
            index = json.load(f)
        self.rows = index['pictures']
        self.concepts = index['concepts']
        self.split = np.array([p['split'] for p in self.rows])

    def of(self, split):
        return np.nonzero(self.split == split)[0]

    def __getitem__(self, rows):
        return premultiply(self.pixels[rows])


class Words:
    """The s of what one may call each concept: the teacher's (DIR/words.npz)."""

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
        kind = np.array([0 if r['set'] in BOARD_SETS else 1 if r['set'] in EMOJI_SETS else 2
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


# ---- Training ----

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
        self.at = dict(step=0)
        self.smooth = {k: v.clone() for k, v in self.model.state_dict().items()}
        if state:
            first = a.decoder and not state['decoder']     # from here on the encoder stays
            self.model.load_state_dict(state['smooth' if first else 'model'])
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
        state = dict(model=self.model.state_dict(), smooth=self.smooth, at=self.at,
                     config=self.model.config, sets=self.corpus.sets, decoder=self.a.decoder,
                     optimizers=[o.state_dict() for o in self.optimizers])
        torch.save(state, self.path + '.part')
        os.replace(self.path + '.part', self.path)

    def rate(self, now):
        """Up in 100 steps; from a.decay on down to nothing at a.until."""
        left = (self.a.until - now) / max(1.0, self.a.until - (self.a.decay or self.a.until))
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
        print('saved', line(measure(smoothed(self), self.corpus, 256)), flush=True)


# ---- What comes back ----

def smoothed(training):
    m = PictureModel(training.model.config, len(training.corpus.sets))
    m.load_state_dict(training.smooth)
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


def line(found):
    """What measure() found."""
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


# ---- Words, and the shipped files ----

def said(model, texts):
    """What texts say [n, 128]: of a text that the engine cuts in two, the mean."""
    sql = """SELECT latent_vector(latent, 's') FROM latent_encode_each(?, NULL, '{"refine":0}')
             ORDER BY rowid"""
    vectors = [np.frombuffer(v, '<f4').reshape(-1, prepare.S_STORED)[:, :prepare.S_WIDTH]
               for v, in prepare.engine(model).execute(sql, [json.dumps(texts)])]
    return prepare.unit(np.stack([prepare.unit(v).sum(0) for v in vectors]))


def make_words(folder, model):
    with open(f'{folder}/index.json', encoding='utf8') as f:
        texts = [c['texts'] for c in json.load(f)['concepts']]
    found = []
    for part in in_parts([t for some in texts for t in some], 4096):
        found.append(said(model, part))
        print(f'{sum(map(len, found))} texts', flush=True)
    np.savez(f'{folder}/words.npz', v=np.concatenate(found),
             start=np.cumsum([0] + [len(some) for some in texts]))


def names_of(corpus):
    """What a picture may show: the labels of emoji, each once, and their s.

    What one set alone has is left out ("extra"): those names are often no words.
    """
    p = corpus.pictures
    shown = sorted({r['concept'] for r in p.rows if r['set'] in BOARD_SETS
                    and p.concepts[r['concept']]['group'] != 'extra'
                    and not p.concepts[r['concept']]['label'].startswith('regional indicator')},
                   reverse=True)
    first = {p.concepts[c]['label']: c for c in shown}      # of a label that two have
    names = sorted(first, key=first.get)
    return names, corpus.words.v[corpus.words.start[[first[name] for name in names]]]


def export_model(corpus, run, out):
    """The autoencoder, names, and RUN/prior.pt."""
    state = torch.load(f'{run}/ae.pt')
    weights = {k: v for k, v in state['smooth'].items() if k != 'sets'}
    picture = {k: v for k, v in state['config'].items() if k not in ('s', 'r')}
    if os.path.exists(f'{run}/prior.pt'):
        prior = torch.load(f'{run}/prior.pt')
        weights |= {f'prior.{k}': v for k, v in prior['smooth'].items() if k != 'names'}
        picture['prior'] = {k: prior['config'][k] for k in ('width', 'hidden', 'blocks', 'steps')}
    else:
        print(f'no {run}/prior.pt: the extension will not read these files')
    picture['names'], weights['names'] = names_of(corpus)
    config = {k: state['config'][k] for k in ('s', 'r')}
    export.write(out, weights, config, None, 'picture', picture)


def begin(corpus, run, path):
    """RUN/ae.pt and RUN/prior.pt of exported weights."""
    with open(path.rsplit('.', 1)[0] + '.json', encoding='utf8') as f:
        about = json.load(f)
    weights = {k: v.float() for k, v in load_file(path).items()}
    picture = about['picture']
    config = {k: picture[k] for k in SHAPE if k in picture} | about['config']
    sets = PictureModel(config, len(corpus.sets)).sets.data
    own = {k: v for k, v in weights.items() if not k.startswith('prior.') and k != 'names'}
    own['sets'] = sets
    prior = {k.removeprefix('prior.'): v for k, v in weights.items() if k.startswith('prior.')}
    os.makedirs(run, exist_ok=True)
    torch.save(dict(model=own, smooth=own, at=dict(step=0), config=config, sets=corpus.sets,
                    decoder=None, optimizers=[]), f'{run}/ae.pt')
    torch.save(dict(model=prior, smooth=prior, config=picture['prior']), f'{run}/prior.pt')


def clock(text):
    """HH:MM of today, in seconds."""
    today = time.strftime('%Y-%m-%d ')
    return time.mktime(time.strptime(today + text, '%Y-%m-%d %H:%M'))


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['words', 'train', 'measure', 'sheet', 'export', 'begin'])
    p.add_argument('--data', required=True, help='what pictures.py made')
    p.add_argument('--run', help='folder of the checkpoints')
    p.add_argument('--model', default=f'{HERE}/text.safetensors',
                   help='words: of texts; begin: of pictures')
    p.add_argument('--to', help='sheet: PNG to write')
    p.add_argument('--out', help='export: what to write, without .safetensors')
    p.add_argument('--split', default='concept', help='sheet: train, style, concept, set')
    p.add_argument('--until', type=clock, help='train: HH:MM')
    p.add_argument('--decay', type=clock, help='train: from when on the rate falls')
    p.add_argument('--decoder', action='store_true', help='train: the decoder alone')
    p.add_argument('--batch', type=int, default=64)
    p.add_argument('--lr', type=float, default=0.015, help='Muon; AdamW takes a twelfth of it')
    p.add_argument('--threads', type=int, default=os.cpu_count())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    if a.what == 'words':
        return make_words(a.data, a.model)
    if a.what == 'train':
        os.makedirs(a.run, exist_ok=True)
        return Training(a).run()
    corpus = Corpus(a.data)
    if a.what == 'export':
        return export_model(corpus, a.run, a.out)
    if a.what == 'begin':
        return begin(corpus, a.run, a.model)
    model = load(f'{a.run}/ae.pt')
    if a.what == 'measure':
        print(line(measure(model, corpus)))
    else:
        rows = corpus.pictures.of(a.split)
        sheet(model, corpus, rows[:: max(1, len(rows) // 96)][:96], a.to)


if __name__ == '__main__':
    main()
