"""The Transformer-VAE of texts and code in PyTorch: the executable version of README.md.

Training, export and the golden tensors all use this one definition. Shapes: B texts, T tokens, d
the width of the model, heads of 64. Every matrix is stored [in, out] and applied as x @ w, in the
file, here and in C.
"""
import json
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from tokenizer import Tokenizer

PAD, BOS, EOS, UNK = 0, 1, 2, 3
HEAD = 64

# One shape each: what `text.json` calls "config". FIRST is the first day's. The shipped text model
# has encoder_layers=8 and decoder_layers=6.
FIRST = dict(d=256, encoder_layers=4, decoder_layers=4, s=128, r=256, registers=8, memory=16,
             pieces=8192, longest=64)
TINY = dict(d=64, encoder_layers=2, decoder_layers=2, s=16, r=32, registers=4, memory=4,
            pieces=320, longest=24)


def hidden_width(d):
    """Width of the gated feed-forward layer: 8/3 d, rounded up to a multiple of 64."""
    return (d * 8 // 3 + 63) // 64 * 64


def rms_norm(x, weight):
    scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)
    return (x * scale).to(x.dtype) * weight


def rotary_table(n):
    """cos and sin [n, 32]: position p turns the pair (i, i + 32) of a head by p * 10000^(-i/32)."""
    angle = torch.outer(torch.arange(n).float(), 10000.0 ** (-torch.arange(0, HEAD, 2) / HEAD))
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    """Rotary positions over [B, heads, T, 64]; the first 32 numbers of a head with its last 32."""
    p, q = x.float().chunk(2, -1)
    return torch.cat([p * cos - q * sin, p * sin + q * cos], -1).to(x.dtype)


def matrix(n_in, n_out, zero=False):
    """A parameter [in, out], drawn evenly from +-1/sqrt(in), or zero."""
    bound = 0.0 if zero else 1 / math.sqrt(n_in)
    return nn.Parameter(torch.empty(n_in, n_out).uniform_(-bound, bound))


class Attention(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.q = matrix(d, d)
        self.kv = matrix(d, 2 * d)
        self.o = matrix(d, d, zero=True)

    def forward(self, x, source, mask, rotary):
        B, T, d = x.shape

        def split(y):
            return y.view(B, -1, d // HEAD, HEAD).transpose(1, 2)

        q = split(x @ self.q)
        k, v = map(split, (source @ self.kv).chunk(2, -1))
        if rotary is not None:
            q, k = rotate(q, *rotary), rotate(k, *rotary)
        scores = (q @ k.transpose(2, 3)).float() / math.sqrt(HEAD)
        if mask is not None:
            scores = scores + mask
        return (scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(B, T, d) @ self.o


class FeedForward(nn.Module):
    def __init__(self, d):
        super().__init__()
        h = hidden_width(d)
        self.register_parameter('in', matrix(d, 2 * h))
        self.out = matrix(h, d, zero=True)

    def forward(self, x):
        value, gate = (x @ getattr(self, 'in')).chunk(2, -1)
        return (value * F.silu(gate)) @ self.out


class Block(nn.Module):
    def __init__(self, d, cross):
        super().__init__()
        self.attention_norm = nn.Parameter(torch.ones(d))
        self.feed_norm = nn.Parameter(torch.ones(d))
        self.attention = Attention(d)
        self.feed = FeedForward(d)
        if cross:
            self.cross_norm = nn.Parameter(torch.ones(d))
            self.cross = Attention(d)

    def forward(self, x, mask, rotary, memory=None):
        h = rms_norm(x, self.attention_norm)
        x = x + self.attention(h, h, mask, rotary)
        if memory is not None:
            x = x + self.cross(rms_norm(x, self.cross_norm), memory, None, None)
        return x + self.feed(rms_norm(x, self.feed_norm))


class TextModel(nn.Module):
    """content -> tokens -> encoder -> z = [s ; r] -> memory -> decoder -> tokens.

    meaning: what text.json says of the sentence encoder that makes s; None: the model makes s.
    """

    def __init__(self, config, tokenizer=None, meaning=None):
        super().__init__()
        self.tokenizer, self.meaning = tokenizer, meaning
        c = self.config = dict(config)
        d = c['d']
        z = c['s'] + c['r']
        self.d = d
        self.n_registers = c['registers']
        self.embedding = nn.Parameter(torch.randn(c['pieces'], d) * 0.02)
        self.registers = nn.Parameter(torch.randn(c['registers'], d) * 0.02)
        self.encoder = nn.ModuleList(Block(d, cross=False) for _ in range(c['encoder_layers']))
        self.encoder_norm = nn.Parameter(torch.ones(d))
        if meaning is None:
            self.to_s = matrix(d, c['s'])
        self.to_r = matrix(d, c['r'] // c['registers'])
        self.memory = nn.Module()
        self.memory.weight = matrix(z, c['memory'] * d)
        self.memory.bias = nn.Parameter(torch.zeros(c['memory'] * d))
        self.z_in = matrix(z, d)
        self.decoder = nn.ModuleList(Block(d, cross=True) for _ in range(c['decoder_layers']))
        self.decoder_norm = nn.Parameter(torch.ones(d))
        cos, sin = rotary_table(c['registers'] + c['longest'] + 8)
        self.register_buffer('cos', cos, persistent=False)
        self.register_buffer('sin', sin, persistent=False)

    def encode(self, ids):
        """ids [B, T], each row ending in EOS, then PAD -> s [B, s], r [B, r], both of unit length.

        s is None where a sentence encoder makes it. Registers stand at positions 0..n-1 and the
        text after them, so a text's latent does not depend on what shares its batch.
        """
        B, T = ids.shape
        real = ids != PAD
        ok = torch.cat([real.new_ones(B, self.n_registers), real], 1)
        mask = torch.where(ok, 0.0, -1e9)[:, None, None]
        x = F.embedding(ids, self.embedding)
        x = torch.cat([self.registers[None].expand(B, -1, -1), x], 1) * math.sqrt(self.d)
        n = self.n_registers
        rotary = self.cos[: x.shape[1]], self.sin[: x.shape[1]]
        for block in self.encoder:
            x = block(x, mask, rotary)
        x = rms_norm(x, self.encoder_norm)
        r = F.normalize((x[:, :n] @ self.to_r).flatten(1).float(), dim=-1)
        if self.meaning is not None:
            return None, r
        mean = (x[:, n:] * real[:, :, None]).sum(1) / real.sum(1)[:, None]
        return F.normalize((mean @ self.to_s).float(), dim=-1), r

    def join(self, s, r):
        """z of unit variance: what the decoder reads. r may be shorter than 1: weak detail."""
        return torch.cat([s * math.sqrt(s.shape[-1]), r * math.sqrt(r.shape[-1])], -1)

    def hidden(self, z, ids):
        """z [B, s + r], ids [B, T] starting with BOS -> [B, T, d] before the output layer.

        z = 0 is a plain language model.
        """
        B, T = ids.shape
        memory = (z @ self.memory.weight + self.memory.bias).view(B, -1, self.d)
        x = F.embedding(ids, self.embedding) * math.sqrt(self.d) + (z @ self.z_in)[:, None]
        causal = torch.full((T, T), -1e9, device=ids.device).triu(1)
        rotary = self.cos[:T], self.sin[:T]
        for block in self.decoder:
            x = block(x, causal, rotary, memory)
        return rms_norm(x, self.decoder_norm)

    def logits(self, z, ids):
        return self.hidden(z, ids) @ self.embedding.t()

    @torch.no_grad()
    def decode(self, s, r, fluency=0.0, limit=None):
        """s [B, s], r [B, r] -> lists of token ids, greedy.

        It computes the whole prefix anew at each step: this is the slow oracle.

        fluency f mixes in the language model: (1-f) log p(token | z) + f log p(token | 0).
        """
        z = self.join(s, r)
        ids = torch.full((len(z), 1), BOS, device=z.device)
        done = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        for _ in range(limit or self.config['longest']):
            score = self.logits(z, ids)[:, -1].log_softmax(-1)
            if fluency:
                plain = self.logits(z * 0, ids)[:, -1].log_softmax(-1)
                score = (1 - fluency) * score + fluency * plain
            token = score.argmax(-1).masked_fill(done, PAD)
            ids = torch.cat([ids, token[:, None]], 1)
            done |= token == EOS
            if done.all():
                break
        return [[t for t in row if t > UNK] for row in ids.tolist()]


def slerp(a, b, t):
    """The point at t along the great arc from a to b, unit vectors [..., n]."""
    angle = torch.acos((a * b).sum(-1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6))
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def pad_batch(rows):
    """Lists of ids -> [B, longest] with PAD behind."""
    out = torch.full((len(rows), max(map(len, rows))), PAD)
    for i, row in enumerate(rows):
        out[i, : len(row)] = torch.as_tensor(row)
    return out


def load(path):
    """A model from its safetensors file; the shape lies beside it, in <name>.json."""
    from safetensors.torch import load_file

    with open(path.rsplit('.', 1)[0] + '.json', encoding='utf8') as f:
        about = json.load(f)
    model = TextModel(about['config'], Tokenizer(**about['tokenizer']), about.get('meaning'))
    stored = load_file(path)
    model.load_state_dict({k: stored[k].float() for k in model.state_dict()})
    return model.eval()
