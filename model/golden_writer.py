"""The tiny writer of tests/data/llama, and golden values of it: tests/test_writer.c compares the C.

    python3 model/golden_writer.py

It writes the folder only where it is missing: random weights, in writer_files.py's layout, for the
points of tests/data/text.safetensors, and of tests/data/tiny.safetensors as code. The file
golden_writer.safetensors in tests/data has what writer.py's network makes of a few texts with the
weights as they lie in the folder. Each product quantizes its left side by groups of 32 first, as
ext/kernels/kernels_groups.c does.

    start [n + 1], ids [start[n]]     texts in pieces, each with the writer's `begin` first; one
                                      behind another (whole numbers)
    z [n, s + r], detail [n]          what each text is written from
    code_z [n, s + r of code]         and where it is a line of code
    writer.<layer>, code.<layer>, plain.<layer>     [start[n], d] after that layer: of the writer
                                      from z, from code_z; of the language model as it came
    writer.scores, ...                [start[n], pieces]: log-probabilities of the next piece
"""
import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import writer
import writer_files

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / 'tests/data/llama'
TEXT = ROOT / 'tests/data/text.json'
CODE = ROOT / 'tests/data/tiny.json'    # which the tests call code
SHAPE = dict(d=128, layers=3, lower=1, shared=1, h=64, memory=2, rank=8, longest=12, context=4,
             begin=0, end=2, rotary_base=1000.0, epsilon=1e-5)
SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
MISSING = 'ĄĖÀÿ'                # the bytes 04 16 C0 FF have no piece
WORDS = [' the', ' and', ' of', ' a', ' in', ' to', ' was', ' it', 'er', 'ing', ' sea', ' rain',
         ' cat', ' dog', ' old', ' by', 'ly', '."', ' night', 'ou', ' said', ' I', ' on', ' house']
TEXTS = [[], [35], [68, 80, 255], [260, 261, 70, 271, 17, 2, 299, 256, 9, 40, 41]]
DETAILS = [1.0, 0.5, 1.0, 0.0]


# ---- The folder ----------------------------------------------------------------------------------

def tokenizer():
    """A byte-level BPE of SmolLM2's kind, whose merges make the words from left to right."""
    seen = [chr(b) for b in range(33, 256) if b != 127 and not 160 >= b > 126 and b != 173]
    letters = seen + [chr(256 + i) for i in range(68)]
    pieces = SPECIAL + [c for c in letters if c not in MISSING]
    merges = []
    for word in WORDS:
        parts = word.replace(' ', 'Ġ')
        for i in range(1, len(parts)):
            if parts[:i + 1] not in pieces:
                merges.append([parts[:i], parts[i]])
                pieces.append(parts[:i + 1])
    special = [dict(id=i, content=x, single_word=False, lstrip=False, rstrip=False,
                    normalized=False, special=True) for i, x in enumerate(SPECIAL)]
    cut = [dict(type='Digits', individual_digits=True),
           dict(type='ByteLevel', add_prefix_space=False, trim_offsets=True, use_regex=True)]
    vocab = {x: i for i, x in enumerate(pieces)}
    return {'version': '1.0', 'added_tokens': special, 'normalizer': None,
            'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': cut},
            'model': {'type': 'BPE', 'vocab': vocab, 'merges': merges}}


class Random:
    """Random weights with the names and forms of writer_files.Gguf."""

    def __init__(self, pieces, seed):
        self.rng = np.random.default_rng(seed)
        self.made = {}
        d, h, kv = SHAPE['d'], SHAPE['h'], 64 * SHAPE['shared']
        self.shapes = dict(attn_q=(d, d), attn_k=(d, kv), attn_v=(d, kv), attn_output=(d, d),
                           ffn_up=(d, h), ffn_gate=(d, h), ffn_down=(h, d), token_embd=(d, pieces))

    def field(self, key):
        assert key == 'llama.block_count'
        return SHAPE['layers']

    def vector(self, n, mean):
        return (mean + .1 * self.rng.standard_normal(n)).astype('f4')

    def matrix(self, n_in, n_out, size=1.0):
        return (size / n_in ** .5 * self.rng.standard_normal((n_in, n_out))).astype('f4')

    def numbers(self, name):
        return self.vector(SHAPE['d'], 1)

    def groups(self, name):
        """4 bits in groups, and 8 for the table of pieces, in which some are likelier."""
        what = name.split('.')[-1]
        w = self.matrix(*self.shapes[what], size=2.0)
        if what == 'token_embd':
            w *= self.rng.uniform(.5, 2, w.shape[1]).astype('f4')
            w[:, SHAPE['end']] *= 3
            return writer_files.quantize(w)
        w = w.reshape(-1, 32, w.shape[1])
        m = w.min(1).astype('<f2')
        d = ((w.max(1) - m) / 15).astype('<f2')
        q = np.round((w - m[:, None].astype('f4')) / d[:, None].astype('f4'))
        return np.stack([d, m]), np.clip(q, 0, 15).astype('u1')

    def map_of(self, code_z, z):
        """From lines of code to texts. Call it last: what is drawn before it stays as it was."""
        return {'code': self.matrix(code_z + 1, z)}

    def trained(self, s, r):
        d, ranks = SHAPE['d'], SHAPE['rank']
        out = {'memory': self.matrix(s + r, SHAPE['memory'] * d),
               'memory_bias': self.vector(SHAPE['memory'] * d, 0), 'z_in': self.matrix(s + r, d)}
        for i in range(SHAPE['lower'], SHAPE['layers']):
            p = f'layer.{i}.'
            out |= {p + 'cross_norm': self.vector(d, 1), p + 'cross_q': self.matrix(d, d, 2),
                    p + 'cross_kv': self.matrix(d, 2 * d), p + 'cross_out': self.matrix(d, d)}
            for name, parts in writer_files.PARTS.items():
                n_in, columns = self.shapes[parts[0]][0], [self.shapes[x][1] for x in parts]
                b = np.zeros((len(parts) * ranks, sum(columns)), 'f4')
                for k, n in enumerate(columns):
                    at = sum(columns[:k])
                    b[k * ranks:(k + 1) * ranks, at:at + n] = self.matrix(ranks, n)
                out[p + name + '.a'] = self.matrix(n_in, len(parts) * ranks)
                out[p + name + '.b'] = b
        return out


def make_folder(folder):
    folder.mkdir()
    text = json.loads(TEXT.read_text('utf8'))
    s, r = text['meaning']['s'], text['config']['r']
    code = json.loads(CODE.read_text('utf8'))
    code = {'s': code['config']['s'], 'r': code['config']['r'], 'reads': code['weights_hash']}
    words = tokenizer()
    pieces = len(words['model']['vocab'])
    weights = Random(pieces, 19)
    path = lambda name: str(folder / name)
    writer_files.write_layers(weights, path('layers.safetensors'), check=False)
    writer_files.write_tensors(path('pieces.safetensors'),
                               {'pieces': writer_files.pack(8, *weights.groups('token_embd'))})
    trained = weights.trained(s, r)
    trained |= weights.map_of(code['s'] + code['r'], s + r)
    writer_files.write_trained(trained, path('trained.safetensors'))
    (folder / 'tokenizer.json').write_text(
        json.dumps(words, ensure_ascii=False, separators=(',', ':')) + '\n', 'utf8')
    writer_files.write_config(str(folder), SHAPE | dict(pieces=pieces, s=s, r=r,
                                                        reads=text['weights_hash'], code=code))


# ---- writer.py's network, with the folder's weights ----------------------------------------------

def quantized(x):
    """x, each number the nearest of the 255 of its group of 32."""
    n = x.shape[-1]
    groups = torch.nn.functional.pad(x, (0, -n % 32)).unflatten(-1, (-1, 32))
    most = groups.abs().amax(-1, keepdim=True)
    up = torch.where(most > 0, 127 / most, 0)
    return ((groups * up).round() * (most / 127)).flatten(-2)[..., :n]


class Matrix:
    """[in, out]. x @ it is a product in groups."""

    def __init__(self, w):
        self.w = w

    def to(self, dtype):
        return self

    def __getitem__(self, at):
        return Matrix(self.w[at])

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        x, m = args
        assert function in (torch.Tensor.matmul, torch.Tensor.__matmul__), function
        return quantized(x) @ m.w


class Embedding:
    """[pieces, d]: rows are read as they are; .T is a Matrix."""

    def __init__(self, w):
        self.T = Matrix(w)
        self.rows = w.T

    def __getitem__(self, ids):
        return self.rows[ids]


class Tiny(writer.Writer):
    def __init__(self, folder):
        config = json.loads((folder / 'config.json').read_text('utf8'))
        self.config = config
        self.device, self.dtype = 'cpu', torch.float32
        self.width, self.pieces = config['d'], config['pieces']
        self.layers = range(config['layers'])
        self.smol = type('', (), {'base': config['rotary_base']})
        self.seen = {}
        writer.LOWER, writer.MEMORY = config['lower'], config['memory']
        self.read(folder)

    def read(self, folder):
        c = self.config
        d, h, z, kv = c['d'], c['h'], c['s'] + c['r'], 64 * c['shared']
        writer.CODE_Z = c['code']['s'] + c['code']['r']
        files = [writer_files.read_tensors(str(folder / f'{x}.safetensors'))
                 for x in ('layers', 'pieces', 'trained')]
        tensors = {k: v for file in files for k, v in file.items()}
        vector = lambda name: torch.from_numpy(tensors[name])
        self.groups = lambda bits, name, n_in, n_out: Matrix(torch.from_numpy(
            writer_files.unpack(bits, tensors[name], n_in, n_out)))
        self.embedding = Embedding(self.groups(8, 'pieces', d, c['pieces']).w)
        self.w = {'output_norm': vector('norm')}
        self.P = {'mem': self.groups(8, 'memory', z, c['memory'] * d),
                  'mem_b': vector('memory_bias'), 'zin': self.groups(8, 'z_in', z, d),
                  'code': self.groups(8, 'code', writer.CODE_Z + 1, z)}
        self.sizes = {'qkv': (d, d, kv, kv), 'out': (d, d), 'feed_in': (d, h, h),
                      'feed_out': (h, d)}
        for i in self.layers:
            self.w['blk.%d.attn_norm' % i] = vector(f'layer.{i}.attention_norm')
            self.w['blk.%d.ffn_norm' % i] = vector(f'layer.{i}.feed_norm')
            if i < c['lower']:
                continue
            both = self.groups(8, f'layer.{i}.cross_kv', d, 2 * d).w
            self.P |= {'%d.xn' % i: vector(f'layer.{i}.cross_norm'),
                       '%d.xq' % i: self.groups(8, f'layer.{i}.cross_q', d, d),
                       '%d.xk' % i: Matrix(both[:, :d]), '%d.xv' % i: Matrix(both[:, d:]),
                       '%d.xo' % i: self.groups(8, f'layer.{i}.cross_out', d, d)}

    def linear(self, x, l, name):
        """The columns of one of the matrices that lie side by side in the file."""
        whole, parts = next(item for item in writer_files.PARTS.items() if name in item[1])
        n_in, *columns = self.sizes[whole]
        tensor = f'layer.{l}.{whole}'
        y = x @ self.groups(4, tensor, n_in, sum(columns))
        if l >= self.config['lower'] and not self.is_plain:
            ranks = len(parts) * self.config['rank']
            low = x @ self.groups(8, tensor + '.a', n_in, ranks)
            y = y + low @ self.groups(8, tensor + '.b', ranks, sum(columns))
        y = y.split(columns, -1)[parts.index(name)]
        if name in writer_files.TURNED:
            y = y[..., np.argsort(writer_files.turned(y.shape[-1]))]
        return y

    def block(self, x, l, turns, mask, memory, past):
        y = super().block(x, l, turns, mask, None if self.is_plain else memory, past)
        self.seen[l] = y[0]
        return y

    def points(self, z):
        if not z[:, -1].isnan().any():
            return z
        return torch.nn.functional.pad(z[:, :writer.CODE_Z], (0, 1), value=1.) @ self.P['code']

    def run(self, z, ids):
        """Each layer's output, and the log-probabilities of the next pieces."""
        tokens = torch.tensor([ids])
        self.is_plain = z is None
        x = self.lower(tokens)
        if self.is_plain:
            turns, mask = self.frame(0, len(ids))
            for l in self.layers[writer.LOWER:]:
                x = self.block(x, l, turns, mask, None, None)
            y = self.norm(x, self.w['output_norm'])
        else:
            y = self.upper(z[None], x)
        return [*(self.seen[l] for l in self.layers), (y @ self.embedding.T)[0].log_softmax(-1)]


def golden(folder, out):
    tiny = Tiny(folder)
    s, r = tiny.config['s'], tiny.config['r']
    rows = [[tiny.config['begin'], *ids] for ids in TEXTS]
    g = torch.Generator().manual_seed(4)
    unit = lambda n: torch.nn.functional.normalize(torch.randn(len(rows), n, generator=g), dim=-1)
    details = torch.tensor(DETAILS)[:, None]

    def points(s, r):
        """Points, and what is read of them: numbers of unit variance."""
        z = torch.cat([unit(s), unit(r)], 1)
        return z, torch.cat([z[:, :s] * np.float32(math.sqrt(s)),
                             z[:, s:] * (np.float32(math.sqrt(r)) * details)], 1)

    z, of_texts = points(s, r)
    code_z, of_code = points(tiny.config['code']['s'], tiny.config['code']['r'])
    filled = torch.nn.functional.pad(of_code, (0, s + r - of_code.shape[1]), value=torch.nan)
    tensors = {'start': torch.tensor(np.cumsum([0] + [len(x) for x in rows])).float(),
               'ids': torch.tensor(sum(rows, [])).float(), 'z': z, 'code_z': code_z,
               'detail': details}
    for voice, read in (('writer', of_texts), ('code', filled), ('plain', [None] * len(rows))):
        each = [tiny.run(x, ids) for x, ids in zip(read, rows)]
        for what, x in zip([*tiny.layers, 'scores'], zip(*each)):
            tensors[f'{voice}.{what}'] = torch.cat(x)
    save_file({k: v.contiguous() for k, v in tensors.items()}, out)
    out.chmod(0o644)


def main():
    if not FOLDER.exists():
        make_folder(FOLDER)
    golden(FOLDER, ROOT / 'tests/data/golden_writer.safetensors')


if __name__ == '__main__':
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    main()
