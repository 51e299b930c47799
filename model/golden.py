"""Golden values: what the PyTorch reference gives, for tests/test_model*.c to compare the C engine.

    python3 model/golden.py

Run it when weights change. It writes these files in tests/data:

    golden_tiny.safetensors         of the tiny model
    golden_picture.safetensors      of the tiny picture model
    golden_text.json                of the shipped model, end to end
    golden_shipped_picture.json     of the shipped picture model, from the PNG files of
                                    examples/pictures, where there is a model/picture.safetensors
    golden_writer.safetensors       of the tiny writer (golden_writer.py)

and picture.safetensors, the tiny picture model, where it is missing.

golden_tiny.safetensors holds every layer of a few token rows, in float32. Rows stand one behind
another without padding, as the engine keeps them:

    start [n + 1], ids [start[n]]         the rows, without BOS and EOS (whole numbers)
    encoder.<layer> [tokens, d]           registers, ids and EOS of each row, after that layer
    s [n, s], r [n, r], memory [n * memory, d]
    decoder.<layer> [tokens, d]           BOS and ids of each row, after that layer, given its own z
    log_p [tokens]                        log-probability of each next token (ids and EOS)
    greedy.<f>, greedy.<f>.start          greedy decoding at fluency 0.f, without EOS, rows one
                                          behind another

golden_picture.safetensors, of the tiny picture model:

    pictures [n, 64 * 64 * 4]             8-bit pixels, straight alpha
    z [n, s + r]                          what they encode to
    pixels [n * 32 * 32, 16]              what these decode to: 2x2 joined, premultiplied, not cut
    drawn [n, 64 * 64 * 4]                the same as 8-bit pixels, straight alpha
    s [m, s], like [m, r]                 wishes, zeros where there is none; the seed of wish i is i
    prior.<step> [m, r]                   where the prior is after each step, with GUIDANCE
    r [m, r]                              what it draws

A greedy path is kept only when its best token leads the second by MARGIN at every step: float sums
in another order may turn a nearer tie.
"""
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

import export
import golden_writer
import picture_model
import picture_prior
import prepare
import text_model
from text_model import BOS, EOS, UNK, rms_norm, slerp
from tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
MARGIN = 2e-3
FLUENCY = 0.3

GUIDANCE = 2.0

# The tiny picture model: one block a level.
TINY_PICTURE = dict(size=64, channels=[8, 8, 16, 16], encoder_blocks=[1, 1, 1, 1],
                    decoder_blocks=[1, 1, 1, 1], hidden=24, style=8)
TINY_PRIOR = dict(width=48, hidden=40, blocks=2, steps=4)

TINY_NAMES = ['a cat', 'a red house', 'the naïve café']

TINY_TEXTS = ['a', ' the cat', ' It was late and the', ' naïve café \U0001f600', ' one two, three.']

TEXTS = [
    'The cat sat on the mat.',
    'A quiet place by the sea.',
    'Rain fell on the harbour all night long.',
    'Who left the garden gate open?',
    'She sold her bicycle and bought a piano.',
    'No!',
    'The bakery opens at six, and the first loaves are gone by seven.',
    'Nobody in the village remembered the name of the river.',
    'Two trains pass each other in the dark.',
    'My brother repairs old radios in the cellar.',
    'Prices rose by 4% in March, then fell again.',
    'The museum is closed on Mondays and on public holidays.',
    'He wrote a long letter to his grandmother, sealed it, and then burned it.',
    'A small dog was waiting outside the shop.',
    'If the bridge is flooded, take the road through the hills.',
    'The children painted the fence bright yellow.',
    'Snow had covered the tracks before anyone thought of looking for them.',
    'We counted 1,204 birds before breakfast.',
    '“Come in,” said the doctor, “and shut the door.”',
    'Müller drank his café au lait in the corner.',
    'In the autumn the old lighthouse keeper moved to the city with his three cats, a wooden chest '
    'and a map of the islands that nobody else could read.',
    'The soup was cold.',
    'They danced until the musicians went home.',
    'Every window in the street was dark except one.',
]


def whole(rows):
    """Lists of ids -> one flat tensor, and where each starts."""
    start = [0]
    for row in rows:
        start.append(start[-1] + len(row))
    flat = [i for row in rows for i in row]
    return torch.tensor(flat, dtype=torch.float32), torch.tensor(start, dtype=torch.float32)


def encoder_layers(model, row):
    """Every layer's output [registers + ids + EOS, d] of one row: encode() without padding."""
    ids = torch.tensor(row + [EOS])
    x = torch.cat([model.registers, model.embedding[ids]])[None] * math.sqrt(model.d)
    out = []
    for block in model.encoder:
        x = block(x, None, (model.cos[: x.shape[1]], model.sin[: x.shape[1]]))
        out.append(x[0])
    return out


def decoder_layers(model, z, row):
    """Every layer's output [BOS + ids, d], and the log-probabilities of ids and EOS."""
    ids = torch.tensor([BOS] + row)
    targets = torch.tensor(row + [EOS])
    T = len(ids)
    memory = (z @ model.memory.weight + model.memory.bias).view(1, -1, model.d)
    x = (model.embedding[ids] * math.sqrt(model.d) + z @ model.z_in)[None]
    causal = torch.full((T, T), -1e9).triu(1)
    rotary = model.cos[:T], model.sin[:T]
    out = []
    for block in model.decoder:
        x = block(x, causal, rotary, memory)
        out.append(x[0])
    log_p = (rms_norm(x[0], model.decoder_norm) @ model.embedding.t()).log_softmax(-1)
    return out, log_p[torch.arange(T), targets]


def greedy(model, s, r, fluency):
    """One point -> (ids, the least lead of a best token over the second).

    The ids are without EOS, of at most longest - 1.
    """
    z = model.join(s, r)[None]
    ids = [BOS]
    margin = math.inf
    never = [0, BOS, UNK]
    if model.config.get('positions'):
        never.append(EOS)
    while len(ids) < model.config['longest']:
        prefix = torch.tensor([ids])
        score = model.logits(z, prefix)[0, -1].log_softmax(-1)
        if fluency:
            plain = model.logits(z * 0, prefix)[0, -1].log_softmax(-1)
            score = (1 - fluency) * score + fluency * plain
        score[never] = -math.inf
        best, second = score.topk(2).values.tolist()
        margin = min(margin, best - second)
        ids.append(int(score.argmax()))
        if ids[-1] == EOS:
            return ids[1:-1], margin
    return ids[1:], margin


def tiny_text(path, out):
    model = text_model.load(str(path))
    tokenizer = Tokenizer.from_json(path.with_suffix('.json'))
    limit = model.config['longest'] - 1
    rows = [[], *(tokenizer.encode(x)[:limit] for x in TINY_TEXTS)]
    # A row of the greatest length.
    rows.append([4 + i * 11 % (model.config['pieces'] - 4) for i in range(limit)])
    tiny(model, rows, {}, out)


def make_picture(path):
    """The tiny picture model, with points and pixels that are spread out.

    Every weight has some value, since zeros and ones would hide mistakes.
    """
    def some(v):
        return v + torch.randn_like(v) * (0.1 if v.ndim == 1 else 0.7 / v.shape[0] ** 0.5)

    torch.manual_seed(6)
    s, r = text_model.TINY['s'], text_model.TINY['r']
    net = picture_model.PictureModel(TINY_PICTURE | dict(s=s, r=r))
    prior = picture_prior.Prior(TINY_PRIOR, s, r, TINY_PICTURE['style'], len(TINY_NAMES))
    weights = {k: some(v) for k, v in net.state_dict().items() if k != 'sets'}
    weights |= {f'prior.{k}': some(v) for k, v in prior.state_dict().items() if k != 'names'}
    weights['out.bias'] = 0.5 + 0.2 * torch.randn(16)
    weights['names'] = F.normalize(torch.randn(len(TINY_NAMES), s), dim=-1)
    export.write(str(path.with_suffix('')), weights, dict(s=s, r=r), None, 'picture',
                 TINY_PICTURE | dict(prior=TINY_PRIOR, names=TINY_NAMES))


def test_pictures():
    """[n, 64, 64, 4] uint8: white and clear in turn; noise in all four; slopes.

    The slopes have colours that nobody sees.
    """
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing='ij')
    board = ((x + y) % 2 * 255)[..., None].expand(64, 64, 4)
    noise = torch.randint(256, (64, 64, 4), generator=torch.Generator().manual_seed(1))
    slopes = torch.stack([y * 4, x * 0 + 255, x * 4, (x // 32 * (255 - y * 4))], -1)
    return torch.stack([board, noise, slopes]).to(torch.uint8)


def straight(x):
    """Premultiplied 0..1 -> 8 bits, straight alpha; clear pixels have no colour."""
    x = x.clamp(0, 1)
    alpha = (x[..., 3:] * 255 + 0.5).floor()
    colours = ((x[..., :3] / x[..., 3:].clamp_min(1e-9)).clamp(0, 1) * 255 + 0.5).floor()
    return torch.cat([colours * (alpha > 0), alpha], -1)


def load_picture(path):
    """The autoencoder and the prior."""
    about = json.loads(path.with_suffix('.json').read_text('utf8'))
    weights = {k: v.float() for k, v in load_file(path).items()}
    shape = about['picture'] | about['config']
    net = picture_model.PictureModel(shape)
    net.load_state_dict({k: v for k, v in weights.items() if k in net.state_dict()}, strict=False)
    prior = picture_prior.Prior(shape['prior'], shape['s'], shape['r'], shape['style'],
                                len(shape['names']))
    prior.load_state_dict({'names': weights['names']} | {k.removeprefix('prior.'): v
                           for k, v in weights.items() if k.startswith('prior.')})
    return net.eval(), prior.eval()


def noise(seed, n):
    """n of base_random.c's random_normal()."""
    state, out = seed, []
    for _ in range(n):
        total = -6 * 2 ** 24
        for _ in range(12):
            state = state + 0x9E3779B97F4A7C15 & 2 ** 64 - 1
            x = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 2 ** 64 - 1
            x = (x ^ x >> 27) * 0x94D049BB133111EB & 2 ** 64 - 1
            total += (x ^ x >> 31) >> 40
        out.append(total / 2 ** 24)
    return torch.tensor(out)


def drawn_points(net, prior, s, r):
    """The wishes: s and a style, s alone, a style alone, none."""
    asked = s[:1] * torch.tensor([1.0, 1, 0, 0])[:, None]
    like = r[1:2] * torch.tensor([1.0, 0, 1, 0])[:, None]
    x = torch.stack([noise(i, r.shape[1]) for i in range(4)])
    steps = []
    style = net.style(like)
    final = prior.draw(x, asked, style, GUIDANCE, steps)
    return {'s': asked, 'like': like, 'r': final} | {f'prior.{k}': v for k, v in enumerate(steps)}


def tiny_picture(path, out):
    net, prior = load_picture(path)
    pictures = test_pictures()
    s, r = net.encode(picture_model.premultiply(pictures))
    pixels = net.pixels(net.join(s, r))
    tensors = {
        'pictures': pictures.flatten(1).half(),
        'z': torch.cat([s, r], 1),
        'pixels': picture_model.patch(pixels).flatten(0, 2),
        'drawn': straight(pixels).flatten(1).half(),
    } | drawn_points(net, prior, s, r)
    save_file({k: v.contiguous() for k, v in tensors.items()}, out)
    print(f'{out.name}: {len(pictures)} pictures')


def tiny(model, rows, tensors, out):
    """Writes these tensors, and those of every layer of the rows."""
    points = [tuple(x[0] for x in model.encode(torch.tensor([row + [EOS]]))) for row in rows]
    encoder = [encoder_layers(model, row) for row in rows]
    decoder = [decoder_layers(model, model.join(*p), row) for p, row in zip(points, rows)]
    tensors |= dict(zip(['ids', 'start'], whole(rows)))
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
        kept = [[] if i in near else ids for i, (ids, _) in enumerate(texts)]
        name = f'greedy.{round(fluency * 10)}'
        tensors[name], tensors[name + '.start'] = whole(kept)
        print(f'{out.name}: fluency {fluency}: {len(texts) - len(near)} of {len(texts)} greedy '
              f'rows, {len(near)} near ties left out')
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, out)
    out.chmod(0o644)


def sketch(x):
    """A vector as its first 8 numbers and its product with a fixed one."""
    fixed = torch.tensor([(i * 37 % 101 - 50) / 50 for i in range(len(x))])
    return {'first': [round(v, 6) for v in x[:8].tolist()], 'dot': round(float(x @ fixed), 6)}


def valid(data):
    """The bytes as the engine shows them: each one that is not UTF-8 as U+FFFD.

    Python's own 'replace' makes one of several.
    """
    text = data.decode('utf8', 'surrogateescape')
    return ''.join('\ufffd' if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)


def weights_hash(path):
    return json.loads(path.with_suffix('.json').read_text('utf8'))['weights_hash']


def read_s(model, stored):
    return F.normalize(stored[: model.config['s']], dim=-1)


def sentence(model, tokenizer, text, stored):
    """stored: s as a latent has it, which the network reads the first numbers of."""
    ids = tokenizer.encode(text)
    s = read_s(model, stored)
    r = model.encode(torch.tensor([ids + [EOS]]))[1][0]
    decoded, margin = greedy(model, s, r, 0.0)
    _, log_p = decoder_layers(model, model.join(s, r), ids)
    case = {
        'text': text,
        'ids': ids,
        'r': sketch(r),
        'decoded': valid(tokenizer.decode_bytes(decoded)),
        'log_p': round(float(log_p.sum()), 5),
    }
    return case, margin, stored, r


def shipped(path, out):
    model = text_model.load(str(path))
    tokenizer = Tokenizer.from_json(path.with_suffix('.json'))
    points = torch.from_numpy(prepare.points(path, TEXTS))
    cases = [sentence(model, tokenizer, x, p[: prepare.S_STORED]) for x, p in zip(TEXTS, points)]
    firm = [c for c in cases if c[1] >= MARGIN]
    middles = []
    for i, (a, _, s0, r0) in enumerate(cases):
        b, _, s1, r1 = cases[(i * 7 + 3) % len(cases)]
        ids, margin = greedy(model, read_s(model, slerp(s0, s1, 0.5)), (r0 + r1) / 2, FLUENCY)
        if a is not b and margin >= MARGIN:
            decoded = valid(tokenizer.decode_bytes(ids))
            middles.append({'a': a['text'], 'b': b['text'], 'decoded': decoded})
    print(f'{out.name}: {len(firm)} of {len(cases)} sentences and {len(middles)} middles are no '
          'near ties')
    golden = {'weights_hash': weights_hash(path), 'fluency': FLUENCY,
              'sentences': [c[0] for c in firm[:20]], 'middles': middles[:10]}
    out.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + '\n', 'utf8')


def shipped_picture(path, out):
    from PIL import Image

    net, prior = load_picture(path)
    cases = []
    for file in sorted((ROOT / 'examples/pictures').glob('*/*.png'))[::28]:
        pixels = torch.tensor(list(Image.open(file).convert('RGBA').tobytes())).view(1, 64, 64, 4)
        s, r = net.encode(picture_model.premultiply(pixels))
        made = straight(net.pixels(net.join(s, r)))
        like = prior.draw(noise(1, r.shape[1])[None], s, net.style(r), GUIDANCE, [])
        cases.append({
            'file': str(file.relative_to(ROOT)),
            's': sketch(s[0]),
            'r': sketch(r[0]),
            'pixels': [int(v) for v in made.flatten()[::257]],
            'like': sketch(like[0]),
        })
    print(f'{out.name}: {len(cases)} pictures')
    golden = {'weights_hash': weights_hash(path), 'guidance': GUIDANCE, 'pictures': cases}
    out.write_text(json.dumps(golden, separators=(',', ':')) + '\n', 'utf8')


if __name__ == '__main__':
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    data = ROOT / 'tests/data'
    if not (data / 'picture.safetensors').exists():
        make_picture(data / 'picture.safetensors')
    tiny_text(data / 'tiny.safetensors', data / 'golden_tiny.safetensors')
    tiny_picture(data / 'picture.safetensors', data / 'golden_picture.safetensors')
    shipped(ROOT / 'model/text.safetensors', data / 'golden_text.json')
    if (ROOT / 'model/picture.safetensors').exists():
        shipped_picture(ROOT / 'model/picture.safetensors', data / 'golden_shipped_picture.json')
    golden_writer.main()
