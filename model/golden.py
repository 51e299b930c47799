"""Golden values: what the PyTorch reference gives, for tests/test_model.c to compare the C engine with.

    python3 model/golden.py            writes tests/data/golden_tiny.safetensors and tests/data/golden_text.json; run it when weights change

The tiny model's file holds every layer of a few token rows, float32, rows one behind another without padding, as the engine keeps them:

    start [n + 1], ids [start[n]]         the rows, without BOS and EOS (whole numbers)
    encoder.<layer> [tokens, d]           registers, ids and EOS of each row, after that layer
    s [n, s], r [n, r], memory [n * memory, d]
    decoder.<layer> [tokens, d]           BOS and ids of each row, after that layer, given its own z
    log_p [tokens]                        log-probability of each next token (ids and EOS)
    greedy.<f>, greedy.<f>.start          greedy decoding at fluency 0.f, without EOS, rows one behind another

The shipped model's file is end to end. A greedy path is kept only when its best token leads the second by MARGIN at every step: float sums in another
order may turn a nearer tie.
"""
import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

import text_model
from text_model import BOS, EOS, UNK, rms_norm, slerp
from tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
MARGIN = 2e-3
FLUENCY = 0.3

TINY_TEXTS = ['a', ' the cat', ' It was late and the', ' naïve café \U0001f600', ' one two, three.']

TEXTS = [
    'The cat sat on the mat.', 'A quiet place by the sea.', 'Rain fell on the harbour all night long.', 'Who left the garden gate open?',
    'She sold her bicycle and bought a piano.', 'No!', 'The bakery opens at six, and the first loaves are gone by seven.',
    'Nobody in the village remembered the name of the river.', 'Two trains pass each other in the dark.', 'My brother repairs old radios in the cellar.',
    'Prices rose by 4% in March, then fell again.', 'The museum is closed on Mondays and on public holidays.',
    'He wrote a long letter to his grandmother, sealed it, and then burned it.', 'A small dog was waiting outside the shop.',
    'If the bridge is flooded, take the road through the hills.', 'The children painted the fence bright yellow.',
    'Snow had covered the tracks before anyone thought of looking for them.', 'We counted 1,204 birds before breakfast.',
    '“Come in,” said the doctor, “and shut the door.”', 'Müller drank his café au lait in the corner.',
    'In the autumn the old lighthouse keeper moved to the city with his three cats, a wooden chest and a map of the islands that nobody else could read.',
    'The soup was cold.', 'They danced until the musicians went home.', 'Every window in the street was dark except one.',
]


def whole(rows):
    """Lists of ids -> one flat tensor, and where each starts."""
    start = [0]
    for row in rows:
        start.append(start[-1] + len(row))
    return torch.tensor([i for row in rows for i in row], dtype=torch.float32), torch.tensor(start, dtype=torch.float32)


def encoder_layers(model, row):
    """Every layer's output [registers + ids + EOS, d] of one row: encode() without padding, taken apart."""
    ids = torch.tensor(row + [EOS])
    x = torch.cat([model.registers, model.embedding[ids]])[None] * math.sqrt(model.d)
    out = []
    for block in model.encoder:
        x = block(x, None, (model.cos[: x.shape[1]], model.sin[: x.shape[1]]))
        out.append(x[0])
    return out


def decoder_layers(model, z, row):
    """Every layer's output [BOS + ids, d], and the log-probabilities of ids and EOS."""
    ids, T = torch.tensor([BOS] + row), len(row) + 1
    memory = (z @ model.memory.weight + model.memory.bias).view(1, -1, model.d)
    x = (model.embedding[ids] * math.sqrt(model.d) + z @ model.z_in)[None]
    out = []
    for block in model.decoder:
        x = block(x, torch.full((T, T), -1e9).triu(1), (model.cos[:T], model.sin[:T]), memory)
        out.append(x[0])
    log_p = (rms_norm(x[0], model.decoder_norm) @ model.embedding.t()).log_softmax(-1)
    return out, log_p[torch.arange(T), torch.tensor(row + [EOS])]


def greedy(model, s, r, fluency):
    """One point -> (ids without EOS, of at most longest - 1; the least lead of a best token over the second)."""
    z, ids, margin = model.join(s, r)[None], [BOS], math.inf
    while len(ids) < model.config['longest']:
        prefix = torch.tensor([ids])
        score = model.logits(z, prefix)[0, -1].log_softmax(-1)
        if fluency:
            score = (1 - fluency) * score + fluency * model.logits(z * 0, prefix)[0, -1].log_softmax(-1)
        score[[0, BOS, UNK]] = -math.inf
        best, second = score.topk(2).values.tolist()
        margin = min(margin, best - second)
        ids.append(int(score.argmax()))
        if ids[-1] == EOS:
            return ids[1:-1], margin
    return ids[1:], margin


def tiny(path, out):
    model, tokenizer = text_model.load(str(path)), Tokenizer.from_json(path.with_suffix('.json'))
    limit = model.config['longest'] - 1
    rows = [[], *(tokenizer.encode(x)[:limit] for x in TINY_TEXTS)]
    rows.append([4 + i * 11 % (model.config['pieces'] - 4) for i in range(limit)])      # a row of the greatest length
    points = [tuple(x[0] for x in model.encode(torch.tensor([row + [EOS]]))) for row in rows]
    encoder = [encoder_layers(model, row) for row in rows]
    decoder = [decoder_layers(model, model.join(*p), row) for p, row in zip(points, rows)]
    tensors = dict(zip(['ids', 'start'], whole(rows)))
    for i in range(model.config['encoder_layers']):
        tensors[f'encoder.{i}'] = torch.cat([x[i] for x in encoder])
    for i in range(model.config['decoder_layers']):
        tensors[f'decoder.{i}'] = torch.cat([x[i] for x, _ in decoder])
    tensors['s'], tensors['r'] = (torch.stack(x) for x in zip(*points))
    z = torch.stack([model.join(*p) for p in points])
    tensors['memory'] = (z @ model.memory.weight + model.memory.bias).view(-1, model.d)
    tensors['log_p'] = torch.cat([x for _, x in decoder])
    for fluency in (0.0, FLUENCY):
        texts = [greedy(model, *p, fluency) for p in points]
        near = [i for i, (_, margin) in enumerate(texts) if margin < MARGIN]
        # A near tie is cut off by an empty row, which the test leaves out.
        name = f'greedy.{round(fluency * 10)}'
        tensors[name], tensors[name + '.start'] = whole([[] if i in near else ids for i, (ids, _) in enumerate(texts)])
        print(f'{out.name}: fluency {fluency}: {len(texts) - len(near)} of {len(texts)} greedy rows, {len(near)} near ties left out')
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, out)
    out.chmod(0o644)


def sketch(x):
    """A vector as its first 8 numbers and its product with a fixed one."""
    fixed = torch.tensor([(i * 37 % 101 - 50) / 50 for i in range(len(x))])
    return {'first': [round(v, 6) for v in x[:8].tolist()], 'dot': round(float(x @ fixed), 6)}


def valid(data):
    """The bytes as the engine shows them: each one that is not UTF-8 as U+FFFD (Python's own 'replace' joins some)."""
    return ''.join('\ufffd' if 0xDC80 <= ord(c) <= 0xDCFF else c for c in data.decode('utf8', 'surrogateescape'))


def sentence(model, tokenizer, text):
    ids = tokenizer.encode(text)
    s, r = (x[0] for x in model.encode(torch.tensor([ids + [EOS]])))
    decoded, margin = greedy(model, s, r, 0.0)
    _, log_p = decoder_layers(model, model.join(s, r), ids)
    case = {'text': text, 'ids': ids, 's': sketch(s), 'r': sketch(r), 'decoded': valid(tokenizer.decode_bytes(decoded)), 'log_p': round(float(log_p.sum()), 5)}
    return case, margin, s, r


def shipped(path, out):
    model, tokenizer = text_model.load(str(path)), Tokenizer.from_json(path.with_suffix('.json'))
    cases = [sentence(model, tokenizer, x) for x in TEXTS]
    firm = [c for c in cases if c[1] >= MARGIN]
    middles = []
    for i, (a, _, s0, r0) in enumerate(cases):
        b, _, s1, r1 = cases[(i * 7 + 3) % len(cases)]
        ids, margin = greedy(model, slerp(s0, s1, 0.5), (r0 + r1) / 2, FLUENCY)
        if a is not b and margin >= MARGIN:
            middles.append({'a': a['text'], 'b': b['text'], 'decoded': valid(tokenizer.decode_bytes(ids))})
    print(f'{out.name}: {len(firm)} of {len(cases)} sentences and {len(middles)} middles are no near ties')
    golden = {'weights_hash': json.loads(path.with_suffix('.json').read_text('utf8'))['weights_hash'], 'fluency': FLUENCY,
              'sentences': [c[0] for c in firm[:20]], 'middles': middles[:10]}
    out.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + '\n', 'utf8')


if __name__ == '__main__':
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    data = ROOT / 'tests/data'
    tiny(data / 'tiny.safetensors', data / 'golden_tiny.safetensors')
    shipped(ROOT / 'model/text.safetensors', data / 'golden_text.json')
