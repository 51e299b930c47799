"""The network of pictures for ONNX Runtime, built with onnx_model.py's Graph.

    encoder.onnx   pixels [B, 64, 64, 4] uint8 -> z [B, s + r], s and r of unit length
    decoder.onnx   z [B, s + r] -> pixels [B, 64, 64, 4] uint8

model/picture_model.py is what they compute. Between pixels and the grid of 4x4 places everything is
a convolution over [B, channels, rows, columns], which its optimiser lays out in blocks of channels.
The weights of norms go into the products behind them, the scales of z into from_z.
"""
import json

import numpy as np
from onnx import TensorProto

import onnx_model
from onnx_model import MICROSOFT, Graph

LEVELS = 4


def number(g, name, value):
    return g.constant(name, np.array(value, np.float32))


def conv(g, x, name, side, stride=1, norm=None):
    """A product over rows of side x side neighbours.

    norm: the weights of the norm that x comes from.
    """
    w = g.weights[name + '.weight']
    w = w.reshape(side, side, -1, w.shape[1])
    if norm:
        w = w * g.weights[norm][:, None]
    weight = g.constant(name + '.matrix', w.transpose(3, 2, 0, 1))
    return g.node('Conv', x, weight, g.weight(name + '.bias'), strides=[stride] * 2,
                  pads=[(side - stride + 1) // 2] * 4)


def affine(g, x, name, scale=None):
    """x . w + b; scale: of the numbers of x."""
    w = g.weights[name + '.weight']
    if scale is not None:
        w = w * scale[:, None]
    return g.node('Gemm', x, g.constant(name + '.matrix', w), g.weight(name + '.bias'))


def norm(g, x):
    """The norm without its weights: they are in the product behind it."""
    mean = g.node('ReduceMean', g.node('Mul', x, x), g.ints(1), keepdims=1)
    return g.node('Div', x, g.node('Sqrt', g.node('Add', mean, number(g, 'epsilon', 1e-6))))


def silu(g, x):
    return g.node('QuickGelu', x, domain=MICROSOFT, alpha=1.0)


def blocks(g, x, name, n):
    for i in range(n):
        block = f'{name}.{i}'
        y = silu(g, conv(g, norm(g, x), block + '.conv', 3, norm=block + '.norm'))
        x = g.node('Add', x, conv(g, y, block + '.out', 1))
    return x


def encoder(weights, config, p, path):
    g = Graph(weights, config)
    x = g.input('pixels', TensorProto.UINT8, ['B', p['size'], p['size'], 4])
    x = g.node('Cast', g.node('Transpose', x, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    x = g.node('Mul', x, number(g, 'byte', 1 / 255))
    colours, alpha = g.node('Split', x, g.ints(3, 1), axis=1, n_outputs=2)
    x = g.node('Concat', g.node('Mul', colours, alpha), alpha, axis=1)
    x = conv(g, x, 'in', 2, 2)
    for level, n in enumerate(p['encoder_blocks']):
        x = blocks(g, x, f'encoder.{level}', n)
        if level < LEVELS - 1:
            x = conv(g, x, f'encoder.{level}.down', 2, 2)
    x = g.node('Transpose', norm(g, x), perm=[0, 2, 3, 1])
    flat = len(weights['to_r.weight'])
    x = g.node('Reshape', x, g.ints(-1, flat))
    scale = np.resize(weights['encoder.norm'], flat)
    s = affine(g, silu(g, affine(g, x, 'to_hidden', scale)), 'to_s')
    r = affine(g, x, 'to_r', scale)
    z = g.node('Concat', onnx_model.unit(g, s), onnx_model.unit(g, r), axis=1)
    g.output('z', z, TensorProto.FLOAT, ['B', config['s'] + config['r']])
    g.save(path)


def decoder(weights, config, p, path):
    g = Graph(weights, config)
    widths = config['s'], config['r']
    x = g.input('z', TensorProto.FLOAT, ['B', sum(widths)])
    scale = np.repeat(np.sqrt(widths), widths).astype(np.float32)
    side = p['size'] >> LEVELS
    x = g.node('Reshape', affine(g, x, 'from_z', scale), g.ints(-1, side, side, p['channels'][-1]))
    x = g.node('Transpose', x, perm=[0, 3, 1, 2])
    for level, n in zip(reversed(range(LEVELS)), p['decoder_blocks']):
        x = blocks(g, x, f'decoder.{level}', n)
        if level > 0:
            x = conv(g, x, f'decoder.{level}.up', 1)
            x = g.node('DepthToSpace', x, blocksize=2)
    x = conv(g, norm(g, x), 'out', 1, norm='decoder.norm')
    x = g.node('DepthToSpace', x, blocksize=2)
    colours, alpha = g.node('Split', x, g.ints(3, 1), axis=1, n_outputs=2)
    zero = number(g, 'zero', 0)
    one = number(g, 'one', 1)
    colours = g.node('Div', colours, g.node('Min', alpha, one))
    seen = g.node('Greater', alpha, number(g, 'least', 0.5 / 255))
    colours = g.node('Where', seen, colours, zero)
    x = g.node('Clip', g.node('Concat', colours, alpha, axis=1), zero, one)
    x = g.node('Mul', x, number(g, 'bytes', 255))
    x = g.node('Add', x, number(g, 'half', 0.5))
    x = g.node('Cast', x, to=TensorProto.UINT8)
    x = g.node('Transpose', x, perm=[0, 2, 3, 1])
    g.output('pixels', x, TensorProto.UINT8, ['B', p['size'], p['size'], 4])
    g.save(path)


def export(weights_path, folder):
    """Writes the graphs into folder."""
    with open(weights_path.replace('.safetensors', '.json'), encoding='utf8') as f:
        model = json.load(f)
    weights = onnx_model.read_weights(weights_path)
    encoder(weights, model['config'], model['picture'], f'{folder}/encoder.onnx')
    decoder(weights, model['config'], model['picture'], f'{folder}/decoder.onnx')
