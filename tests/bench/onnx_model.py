"""The same network for ONNX Runtime, built from the weights of model/.

The graphs are encoder.onnx, memory.onnx and step.onnx. model/text_model.py is what they compute.
They are written node by node and not traced, so that the peer gets what its own optimiser would
have to find first: fused norms, attention and rotary operators (domain com.microsoft), q, k and v
in one product, a cache that is updated in place, the greedy choice inside the graph. Weights are
stored in fp32: that is the fastest form for it.
"""
import json
import math
import struct

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

HEAD = 64
PAD = 0
MICROSOFT = 'com.microsoft'


def read_weights(path):
    """name -> float32 array; path is that of the safetensors file (model/README.md)."""
    kinds = {'F32': np.float32, 'F16': np.float16, 'I8': np.int8}
    with open(path, 'rb') as f:
        n, = struct.unpack('<Q', f.read(8))
        header = json.loads(f.read(n))
        data = f.read()
    header.pop('__metadata__', None)
    weights = {}
    for name, t in header.items():
        first, last = t['data_offsets']
        stored = np.frombuffer(data[first:last], kinds[t['dtype']])
        weights[name] = stored.reshape(t['shape']).astype(np.float32)
    return {name: w * weights.get(name + '.scale', np.float32(1)) for name, w in weights.items()}


class Graph:
    """Collects nodes and constants; every method returns the name of its result."""

    def __init__(self, weights, config):
        self.weights = weights
        self.config = config
        self.d = config.get('d', 0)     # none in the network of pictures
        self.heads = self.d // HEAD
        self.nodes = []
        self.constants = {}
        self.inputs = []
        self.outputs = []

    def node(self, kind, *inputs, n_outputs=1, names=None, domain=None, **attributes):
        names = names or [f'{kind}_{len(self.nodes)}_{i}' for i in range(n_outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names[0] if len(names) == 1 else names

    def constant(self, name, value):
        self.constants[name] = numpy_helper.from_array(np.array(value, order='C'), name)
        return name

    def ints(self, *values):
        return self.constant('ints_' + '_'.join(map(str, values)), np.array(values, np.int64))

    def weight(self, name, of=None):
        return self.constant(name, self.weights[of or name])

    def input(self, name, kind, shape):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name, of, kind, shape):
        self.node('Identity', of, names=[name])
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def linear(self, x, name):
        return self.node('MatMul', x, self.weight(name + '.matrix', name))

    def norm(self, x, name):
        return self.node('SimplifiedLayerNormalization', x, self.weight(name), axis=-1,
                         epsilon=1e-6, stash_type=1)

    def qkv(self, x, name):
        """q, k, v of one product: three matrices side by side."""
        matrices = [self.weights[name + '.q'], self.weights[name + '.kv']]
        both = self.constant(name + '.qkv', np.concatenate(matrices, 1))
        return self.node('Split', self.node('MatMul', x, both), axis=-1, num_outputs=3, n_outputs=3)

    def rotary_tables(self):
        n = self.config['registers'] + self.config['longest'] + 8
        angle = np.outer(np.arange(n), 10000.0 ** (-np.arange(0, HEAD, 2) / HEAD))
        return (self.constant('cosines', np.cos(angle).astype(np.float32)),
                self.constant('sines', np.sin(angle).astype(np.float32)))

    def rotate(self, x, positions):
        return self.node('RotaryEmbedding', x, positions, *self.rotary_tables(), domain=MICROSOFT,
                         interleaved=0, num_heads=self.heads, rotary_embedding_dim=0)

    def feed(self, x, name):
        """x + (value * silu(gate)) . out; QuickGelu with alpha 1 is silu."""
        both = self.linear(self.norm(x, name + '.feed_norm'), name + '.feed.in')
        value, gate = self.node('Split', both, axis=-1, num_outputs=2, n_outputs=2)
        silu = self.node('QuickGelu', gate, domain=MICROSOFT, alpha=1.0)
        return self.node('Add', x, self.linear(self.node('Mul', value, silu), name + '.feed.out'))

    def save(self, path):
        graph = helper.make_graph(self.nodes, 'latent', self.inputs, self.outputs,
                                  list(self.constants.values()))
        opsets = [helper.make_opsetid('', 18), helper.make_opsetid(MICROSOFT, 1)]
        save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def unit(g, x):
    return g.node('LpNormalization', x, axis=-1, p=2)


def encoder(weights, config, path, masked=True):
    """ids [B, T] -> r [B, r]; s is a sentence encoder's (bert.py).

    masked: some ids are PAD. Without it, all texts must have the same length.
    """
    g = Graph(weights, config)
    d, registers = g.d, config['registers']
    scale = np.float32(math.sqrt(d))
    ids = g.input('ids', TensorProto.INT64, ['B', 'T'])
    batch = g.node('Shape', ids, start=0, end=1)
    shape = g.node('Concat', batch, g.ints(registers, d), axis=0)
    scaled = g.constant('scaled_registers', weights['registers'][None] * scale)
    first = g.node('Expand', scaled, shape)
    x = g.node('Gather', g.constant('scaled_embedding', weights['embedding'] * scale), ids)
    x = g.node('Concat', first, x, axis=1)
    length = g.node('Shape', x, start=1, end=2)
    one = g.constant('one', np.array(1, np.int64))
    zero = g.constant('zero', np.array(0, np.int64))
    positions = g.node('Range', zero, g.node('Squeeze', length), one)
    positions = g.node('Expand', g.node('Unsqueeze', positions, g.ints(0)),
                       g.node('Concat', batch, length, axis=0))
    mask = ''
    if masked:
        real = g.node('Not', g.node('Equal', ids, g.constant('pad', np.array(PAD, np.int64))))
        ones = g.node('Expand', g.constant('true', np.array([[1]], np.int32)),
                      g.node('Concat', batch, g.ints(registers), axis=0))
        mask = g.node('Concat', ones, g.node('Cast', real, to=TensorProto.INT32), axis=1)
    for i in range(config['encoder_layers']):
        name = f'encoder.{i}'
        q, k, v = g.qkv(g.norm(x, name + '.attention_norm'), name + '.attention')
        y = g.node('MultiHeadAttention', g.rotate(q, positions), g.rotate(k, positions), v, '',
                   mask, domain=MICROSOFT, num_heads=g.heads)
        x = g.feed(g.node('Add', x, g.linear(y, name + '.attention.o')), name)
    x = g.norm(x, 'encoder_norm')
    head = g.node('Slice', x, g.ints(0), g.ints(registers), g.ints(1))
    r = g.node('Reshape', g.linear(head, 'to_r'), g.ints(0, -1))
    g.output('r', unit(g, r), TensorProto.FLOAT, ['B', config['r']])
    g.save(path)


def memory(weights, config, path):
    """z [B, s + r] -> z_in [B, 1, d], and for each decoder layer key_i and value_i.

    These are [B, heads, memory, 64].
    """
    g = Graph(weights, config)
    s, r = config['s'], config['r']
    z = g.input('z', TensorProto.FLOAT, ['B', s + r])
    scale = np.concatenate([np.full(s, math.sqrt(s)), np.full(r, math.sqrt(r))]).astype(np.float32)
    z = g.node('Mul', z, g.constant('scale', scale))
    cells = g.node('Add', g.linear(z, 'memory.weight'), g.weight('memory.bias'))
    cells = g.node('Reshape', cells, g.ints(0, config['memory'], g.d))
    z_in = g.node('Unsqueeze', g.linear(z, 'z_in'), g.ints(1))
    g.output('z_in', z_in, TensorProto.FLOAT, ['B', 1, g.d])
    for i in range(config['decoder_layers']):
        kv = g.linear(cells, f'decoder.{i}.cross.kv')
        kv = g.node('Split', kv, axis=-1, num_outputs=2, n_outputs=2)
        for name, x in zip(('key', 'value'), kv):
            x = g.node('Reshape', x, g.ints(0, 0, g.heads, HEAD))
            x = g.node('Transpose', x, perm=[0, 2, 1, 3])
            g.output(f'{name}_{i}', x, TensorProto.FLOAT, ['B', g.heads, config['memory'], HEAD])
    g.save(path)


def step(weights, config, path):
    """One cached step, greedy: the last ids [B, 1] and the cache -> next ids [B, 1].

    The cache, past_key_i and past_value_i [B, heads, longest, 64], is bound as present_* too, so
    that it is updated in place. seen [B] int32: tokens before this one; total: seen + 1. PAD,
    START and UNKNOWN are never chosen (ext/model/model_step.c).
    """
    g = Graph(weights, config)
    d, longest, cells = g.d, config['longest'], config['memory']
    ids = g.input('ids', TensorProto.INT64, ['B', 1])
    z_in = g.input('z_in', TensorProto.FLOAT, ['B', 1, d])
    seen = g.input('seen', TensorProto.INT32, ['B'])
    total = g.input('total', TensorProto.INT32, [])
    scaled = weights['embedding'] * np.float32(math.sqrt(d))
    x = g.node('Gather', g.constant('scaled_embedding', scaled), ids)
    x = g.node('Add', x, z_in)
    shape = ['B', g.heads, longest, HEAD]
    for i in range(config['decoder_layers']):
        name = f'decoder.{i}'
        past = [g.input(f'past_{part}_{i}', TensorProto.FLOAT, shape) for part in ('key', 'value')]
        present = [f'present_{part}_{i}' for part in ('key', 'value')]
        q, k, v = g.qkv(g.norm(x, name + '.attention_norm'), name + '.attention')
        y = f'attended_{i}'
        g.node('GroupQueryAttention', q, k, v, *past, seen, total, *g.rotary_tables(),
               names=[y, *present], domain=MICROSOFT, num_heads=g.heads, kv_num_heads=g.heads,
               do_rotary=1)
        g.outputs += [helper.make_tensor_value_info(p, TensorProto.FLOAT, shape) for p in present]
        x = g.node('Add', x, g.linear(y, name + '.attention.o'))
        q = g.linear(g.norm(x, name + '.cross_norm'), name + '.cross.q')
        kv = [g.input(f'{part}_{i}', TensorProto.FLOAT, ['B', g.heads, cells, HEAD])
              for part in ('key', 'value')]
        y = g.node('MultiHeadAttention', q, *kv, domain=MICROSOFT, num_heads=g.heads)
        x = g.feed(g.node('Add', x, g.linear(y, name + '.cross.o')), name)
    logits = g.node('MatMul', g.norm(x, 'decoder_norm'),
                    g.constant('output', weights['embedding'].T))
    bar = np.zeros(config['pieces'], np.float32)
    bar[[0, 1, 3]] = -np.inf
    logits = g.node('Add', logits, g.constant('bar', bar))
    g.output('next', g.node('ArgMax', logits, axis=-1, keepdims=0), TensorProto.INT64, ['B', 1])
    g.save(path)


def export(weights_path, config, folder):
    """Writes the graphs into folder. config: as beside the weights."""
    weights = read_weights(weights_path)
    encoder(weights, config, f'{folder}/encoder.onnx')
    encoder(weights, config, f'{folder}/encoder_same.onnx', masked=False)
    memory(weights, config, f'{folder}/memory.onnx')
    step(weights, config, f'{folder}/step.onnx')
