"""Sentence encoders of the BERT family in PyTorch: what ext/model/model_bert.c computes.

    python3 model/bert_model.py         writes tests/data/bert and tests/data/mpnet

Each is a folder as Hugging Face has it, with a tiny encoder of random weights, and golden values:

    config.json, 1_Pooling/config.json, modules.json, sentence_bert_config.json, vocab.txt
    model.safetensors
    golden.safetensors      ids, start      rows of pieces, without [CLS] and [SEP]
                            layer.<i>       [tokens, d], after each layer, rows one behind another
                            y               [n, d], the vectors

BERT takes the mean of all tokens and unit length, MPNet the vector of [CLS] as it is, so that both
kinds of both are compared.
"""
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

DATA = Path(__file__).resolve().parent.parent / 'tests/data'
EPSILON = 1e-5
NAMES = {
    'bert': ('attention.self.query', 'attention.self.key', 'attention.self.value',
             'attention.output.dense', 'attention.output.LayerNorm'),
    'mpnet': ('attention.attn.q', 'attention.attn.k', 'attention.attn.v', 'attention.attn.o',
              'attention.LayerNorm'),
}
CONFIG = dict(hidden_size=48, num_attention_heads=3, num_hidden_layers=2, intermediate_size=80,
              max_position_embeddings=40, layer_norm_eps=EPSILON, hidden_act='gelu')
ROWS = [[7], [], [5, 6, 7, 8, 9, 10], list(range(5, 36)), [30, 30, 12]]


def bucket(apart):
    """T5's bucket for the distance of two pieces, bidirectional, 32 buckets up to 128."""
    n = abs(apart)
    if n >= 8:
        n = min(15, 8 + int(math.log(n / 8) / math.log(128 / 8) * 8))
    return n + 16 * (apart > 0)


class Bert:
    """w: the tensors of model.safetensors by name; config: config.json."""

    def __init__(self, w, config):
        self.w = w
        self.config = config
        self.kind = config['model_type']

    def linear(self, x, name):
        return F.linear(x, self.w[name + '.weight'], self.w[name + '.bias'])

    def norm(self, x, name):
        w, b = self.w[name + '.weight'], self.w[name + '.bias']
        return F.layer_norm(x, x.shape[-1:], w, b, self.config['layer_norm_eps'])

    def distances(self, n):
        """[heads, n, n], what MPNet adds to the scores of attention."""
        table = self.w['encoder.relative_attention_bias.weight']
        place = torch.arange(n)
        of = torch.tensor([bucket(apart) for apart in range(1 - n, n)])
        return table[of[place - place[:, None] + n - 1]].permute(2, 0, 1)

    def layer(self, x, i):
        p = f'encoder.layer.{i}.'
        heads = self.config['num_attention_heads']
        q, k, v, out, norm = (p + name for name in NAMES[self.kind])
        q, k, v = (self.linear(x, y).view(len(x), heads, -1).transpose(0, 1) for y in (q, k, v))
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        if self.kind == 'mpnet':
            scores = scores + self.distances(len(x))
        y = (scores.softmax(-1) @ v).transpose(0, 1).reshape(x.shape)
        x = self.norm(x + self.linear(y, out), norm)
        y = F.gelu(self.linear(x, p + 'intermediate.dense'))
        return self.norm(x + self.linear(y, p + 'output.dense'), p + 'output.LayerNorm')

    def layers(self, ids):
        """The tokens of one row, [CLS] and [SEP] among them, after each layer."""
        e = 'embeddings.'
        first = 2 if self.kind == 'mpnet' else 0
        x = self.w[e + 'word_embeddings.weight'][ids]
        x = x + self.w[e + 'position_embeddings.weight'][first:first + len(ids)]
        if self.kind == 'bert':
            x = x + self.w[e + 'token_type_embeddings.weight'][0]
        x = self.norm(x, e + 'LayerNorm')
        out = []
        for i in range(self.config['num_hidden_layers']):
            x = self.layer(x, i)
            out.append(x)
        return out


def vocabulary(kind):
    letters = [chr(c) for c in range(ord('a'), ord('z') + 1)]
    special = {'bert': ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'],
               'mpnet': ['<s>', '<pad>', '</s>', '[UNK]', '<mask>']}[kind]
    return special + letters + ['##' + x for x in letters] + ['the', 'cat', '##ing', '.', 'é', '猫']


def random_weights(kind, config):
    g = torch.Generator().manual_seed(7)
    d, h = config['hidden_size'], config['intermediate_size']

    def some(*shape, scale=.3, around=0.):
        return around + scale * torch.randn(shape, generator=g)

    def dense(name, n_in, n_out):
        return {name + '.weight': some(n_out, n_in, scale=1 / math.sqrt(n_in)),
                name + '.bias': some(n_out)}

    def norm(name):
        return {name + '.weight': some(d, scale=.1, around=1.), name + '.bias': some(d)}

    w = {'embeddings.word_embeddings.weight': some(config['vocab_size'], d),
         'embeddings.position_embeddings.weight': some(config['max_position_embeddings'], d)}
    if kind == 'bert':
        w['embeddings.token_type_embeddings.weight'] = some(2, d)
        w['embeddings.position_ids'] = torch.arange(config['max_position_embeddings'])[None]
    else:
        w['encoder.relative_attention_bias.weight'] = some(32, config['num_attention_heads'])
    w |= norm('embeddings.LayerNorm')
    for i in range(config['num_hidden_layers']):
        p = f'encoder.layer.{i}.'
        q, k, v, out, attention_norm = NAMES[kind]
        for name in (q, k, v, out):
            w |= dense(p + name, d, d)
        w |= dense(p + 'intermediate.dense', d, h) | dense(p + 'output.dense', h, d)
        w |= norm(p + attention_norm) | norm(p + 'output.LayerNorm')
    return w


def write_folder(kind):
    folder = DATA / kind
    (folder / '1_Pooling').mkdir(parents=True, exist_ok=True)
    pieces = vocabulary(kind)
    config = dict(CONFIG, model_type=kind, vocab_size=len(pieces))
    modules = ['Transformer', 'Pooling']
    if kind == 'bert':
        config['type_vocab_size'] = 2
        modules.append('Normalize')
    files = {
        'config.json': config,
        '1_Pooling/config.json': {'pooling_mode_cls_token': kind == 'mpnet',
                                  'pooling_mode_mean_tokens': kind == 'bert'},
        'modules.json': [{'type': 'sentence_transformers.models.' + x} for x in modules],
        'sentence_bert_config.json': {'max_seq_length': 36},
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, indent=1) + '\n', 'utf8')
    (folder / 'vocab.txt').write_text('\n'.join(pieces) + '\n', 'utf8')
    w = random_weights(kind, config)
    save_file(w, folder / 'model.safetensors')
    return Bert(w, config), pieces


def golden(kind):
    model, pieces = write_folder(kind)
    ends = {'bert': ('[CLS]', '[SEP]'), 'mpnet': ('<s>', '</s>')}[kind]
    first, last = map(pieces.index, ends)
    layers = [model.layers([first] + row + [last]) for row in ROWS]
    start = [sum(map(len, ROWS[:i])) for i in range(len(ROWS) + 1)]
    tensors = {f'layer.{i}': torch.cat([x[i] for x in layers])
               for i in range(CONFIG['num_hidden_layers'])}
    if kind == 'bert':
        tensors['y'] = torch.stack([F.normalize(x[-1].mean(0), dim=0) for x in layers])
    else:
        tensors['y'] = torch.stack([x[-1][0] for x in layers])
    tensors['ids'] = torch.tensor([x for row in ROWS for x in row], dtype=torch.float)
    tensors['start'] = torch.tensor(start, dtype=torch.float)
    save_file({k: v.contiguous() for k, v in tensors.items()}, DATA / kind / 'golden.safetensors')
    for file in (DATA / kind).glob('*.safetensors'):
        file.chmod(0o644)


if __name__ == '__main__':
    torch.set_grad_enabled(False)
    golden('bert')
    golden('mpnet')
