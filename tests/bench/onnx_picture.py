"""The network of pictures for ONNX Runtime: onnx_model.py's graphs, and the VQ-VAE around them.

    encoder.onnx   pixels [B, 64, 64, 4] uint8 -> codes [B, 64], z [B, s + r]
    memory.onnx, step.onnx                        as those of text
    pixels.onnx    codes [B, 64] -> pixels [B, 64, 64, 4] uint8

model/picture_codes.py is what they compute. Between pixels everything is a convolution over
[B, channels, rows, columns], which its optimiser lays out in blocks of channels. The weights of
norms go into the convolution behind them, codebook and from_code into one table.

What was tried (AMD EPYC with AVX2, 16 pictures at a time, ms of CPU time each):

    pixels to codes, as it is                                                       2.0
    norms, or norms and 1x1 products, over the last axis as one operator each with
    transpositions around                                                    2.0 to 2.1
    ReduceSumSquare                                                                 2.1
    the mean of a norm as a convolution                                             2.3
    LpNormalization                                                                 2.5
    codes to pixels, as it is                                                       3.1
    with the last steps over the last axis                                          3.6
"""
import json

import numpy as np
from onnx import TensorProto

import onnx_model
from onnx_model import MICROSOFT, Graph

END = 2
FIRST_CODE = 4


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


def norm(g, x):
    """The norm without its weights: they are in the convolution behind it."""
    mean = g.node('ReduceMean', g.node('Mul', x, x), g.ints(1), keepdims=1)
    return g.node('Div', x, g.node('Sqrt', g.node('Add', mean, number(g, 'epsilon', 1e-6))))


def blocks(g, x, name, n):
    for i in range(n):
        block = f'{name}.{i}'
        y = conv(g, norm(g, x), block + '.conv', 3, norm=block + '.norm')
        y = g.node('QuickGelu', y, domain=MICROSOFT, alpha=1.0)
        x = g.node('Add', x, conv(g, y, block + '.out', 1))
    return x


def codes(g, p):
    """Pixels, an input, to codes, an output: ids [B, 64] of the codes and END."""
    places = p['grid'] ** 2
    x = g.input('pixels', TensorProto.UINT8, ['B', p['size'], p['size'], 4])
    x = g.node('Cast', g.node('Transpose', x, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    x = g.node('Mul', x, number(g, 'byte', 1 / 255))
    colours, alpha = g.node('Split', x, g.ints(3, 1), axis=1, n_outputs=2)
    x = g.node('Concat', g.node('Mul', colours, alpha), alpha, axis=1)
    x = conv(g, x, 'picture.in', 2, 2)
    for level, n in enumerate(p['encoder_blocks']):
        x = blocks(g, x, f'picture.encoder.{level}', n)
        if level < 2:
            x = conv(g, x, f'picture.encoder.{level}.down', 2, 2)
    x = conv(g, norm(g, x), 'picture.to_code', 1, norm='picture.encoder.norm')
    x = g.node('Transpose', x, perm=[0, 2, 3, 1])
    x = g.node('Reshape', x, g.ints(0, places, p['code_width']))
    # The nearest, whatever the length of x.
    likeness = g.node('MatMul', x, g.constant('nearest', g.weights['picture.codebook'].T))
    near = g.node('ArgMax', likeness, axis=-1, keepdims=0)
    g.output('codes', near, TensorProto.INT64, ['B', places])
    batch = g.node('Shape', near, start=0, end=1)
    end = g.node('Expand', g.constant('end', np.array([[END]], np.int64)),
                 g.node('Concat', batch, g.ints(1), axis=0))
    first = g.constant('first_code', np.array(FIRST_CODE, np.int64))
    return g.node('Concat', g.node('Add', near, first), end, axis=1)


def pixels(weights, config, p, path):
    """codes [B, 64] -> pixels [B, size, size, 4] uint8."""
    g = Graph(weights, config)
    x = g.input('codes', TensorProto.INT64, ['B', p['grid'] ** 2])
    table = weights['picture.codebook'] @ weights['picture.from_code.weight']
    table = table + weights['picture.from_code.bias']
    x = g.node('Gather', g.constant('table', table), x)
    x = g.node('Reshape', x, g.ints(0, p['grid'], p['grid'], table.shape[1]))
    x = g.node('Transpose', x, perm=[0, 3, 1, 2])
    for level, n in zip((2, 1, 0), p['decoder_blocks']):
        x = blocks(g, x, f'picture.decoder.{level}', n)
        if level > 0:
            x = conv(g, x, f'picture.decoder.{level}.up', 1)
            x = g.node('DepthToSpace', x, blocksize=2)
    x = conv(g, norm(g, x), 'picture.out', 1, norm='picture.decoder.norm')
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
    """Writes the graphs into folder; returns the model's config."""
    with open(weights_path.replace('.safetensors', '.json'), encoding='utf8') as f:
        model = json.load(f)
    weights = onnx_model.read_weights(weights_path)
    config = model['config']
    onnx_model.encoder(weights, config, f'{folder}/encoder.onnx', masked=False,
                       tokens=lambda g: codes(g, model['picture']))
    onnx_model.memory(weights, config, f'{folder}/memory.onnx')
    onnx_model.step(weights, config, f'{folder}/step.onnx', never=range(FIRST_CODE))
    pixels(weights, config, model['picture'], f'{folder}/pixels.onnx')
    return config
