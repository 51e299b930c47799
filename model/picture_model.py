"""The autoencoder of pictures: 64x64 RGBA <-> z = [s ; r], in one pass each way.

Its definition, which training (picture_train.py), export and the golden values use. s says what is
shown, as that of a text does; r says how. picture_prior.py draws an r for an s.

The layout is [B, rows, columns, channels] everywhere. Every matrix is [in, out] and applied as
x @ w, as in the file and in C (README.md has the specification). Pixels are premultiplied by alpha,
0..1.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from text_model import matrix, rms_norm

SHAPE = dict(size=64, channels=[32, 64, 128, 256], encoder_blocks=[1, 1, 2, 1],
             decoder_blocks=[2, 2, 2, 2], s=128, r=512, hidden=384, style=16)


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
        """[B, 64, 64, 4] -> flat [B, 16 c3]."""
        x = getattr(self, 'in')(patch(pixels))
        for level in '0123':
            x = self.encoder[level](x)
        return rms_norm(x, self.encoder.norm).flatten(1)

    def heads(self, flat):
        """-> s [B, s], r [B, r], of unit length."""
        s = self.to_s(F.silu(self.to_hidden(flat)))
        return F.normalize(s.float(), dim=-1), F.normalize(self.to_r(flat).float(), dim=-1)

    def encode(self, pixels):
        return self.heads(self.trunk(pixels))

    def join(self, s, r):
        """z of unit variance: what the decoder reads. r may be shorter than 1."""
        return torch.cat([s * s.shape[-1] ** 0.5, r * r.shape[-1] ** 0.5], -1)

    def pixels(self, z):
        """[B, s + r] -> [B, 64, 64, 4], not clipped."""
        side = self.config['size'] // 16
        x = self.from_z(z).view(len(z), side, side, -1)
        for level in '3210':
            x = self.decoder[level](x)
        return unpatch(self.out(rms_norm(x, self.decoder.norm)))

    def style(self, r):
        """Tells the set that a picture is of: [B, r] -> [B, style]; 0 of 0."""
        return F.normalize(r @ self.to_style, dim=-1)


def premultiply(pixels):
    """[..., 4] uint8, straight alpha -> float 0..1, premultiplied."""
    x = torch.as_tensor(pixels).float() / 255
    return torch.cat([x[..., :3] * x[..., 3:], x[..., 3:]], -1)


def clipped(x):
    """Premultiplied pixels 0..1, no colour over its alpha."""
    x = x.float().clamp(0, 1)
    return torch.cat([torch.minimum(x[..., :3], x[..., 3:]), x[..., 3:]], -1)


def on_white(x):
    return x[..., :3] + (1 - x[..., 3:])


def load(path):
    """The model as it is shipped: a checkpoint's mean of the last weights, rounded to f16."""
    state = torch.load(path)
    m = PictureModel(state['config'], len(state['sets']))
    m.load_state_dict({k: v.half().float() for k, v in state['smooth'].items()})
    return m.eval()
