"""Writes what the extension reads.

<name>.safetensors holds the weights in float16, <name>.json the shape, the tokenizer and the hash
of the weights.

After training:

    python3 export.py --checkpoint RUN/decayed.pt --tokenizer text.json --out text
    python3 export.py --checkpoint A/decayed.pt B/decayed.pt ...        # the mean of the two
    python3 export.py --checkpoint RUN/decayed.pt --tokenizer DIR/code.json --kind code --out code

Pictures are exported by picture_train.py. To start training from: of the code model, of a deeper
text model.

    python3 export.py --checkpoint RUN/trunk.pt --tokenizer text.json --code DIR/code.json \\
                      --out DIR/init
    python3 export.py --checkpoint text.safetensors --grow 8,6 --out DIR/init

The first day's weights, laid out again as [in, out]; and a random model of every layer, for the
tests, that makes its own s (tiny) or leaves it to a sentence encoder (text):

    python3 export.py --first ../../shared/reference --out text
    python3 export.py --tiny ../tests/data --tokenizer text.json
    python3 meaning.py tell ../tests/data/text.json 24
"""
import argparse
import json
import os

import torch
from safetensors.torch import load_file, save_file

import text_model
from tokenizer import FIRST_PIECE, SPACE, Tokenizer

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
MASK = (1 << 64) - 1


def hash64(data):
    """The hash of ext/base/base_hash.c in Python.

    Four interleaved FNV-1a lanes over little-endian 64-bit words, then over the bytes of the tail
    and the length.
    """
    import numpy as np

    lanes = [FNV_OFFSET + i for i in range(4)]
    words = np.frombuffer(data[: len(data) // 32 * 32], dtype='<u8').reshape(-1, 4)
    lanes = np.array(lanes, dtype=np.uint64)
    prime = np.uint64(FNV_PRIME)
    with np.errstate(over='ignore'):
        for row in words:
            lanes = (lanes ^ row) * prime
    h = FNV_OFFSET
    for lane in lanes.tolist():
        for shift in range(0, 64, 8):
            h = (h ^ ((lane >> shift) & 255)) * FNV_PRIME & MASK
    for byte in data[len(data) // 32 * 32:] + len(data).to_bytes(8, 'little'):
        h = (h ^ byte) * FNV_PRIME & MASK
    return h


def write(out, weights, config, tokenizer, kind='text', picture=None, meaning=None):
    """weights: name -> tensor, stored in float16.

    picture: the shape of a picture model. It has that in the place of a tokenizer. meaning: of the
    sentence encoder that makes s, what meaning.py tells.
    """
    stored = {k: v.detach().half().contiguous() for k, v in weights.items()}
    save_file(stored, out + '.safetensors', metadata={'kind': kind})
    os.chmod(out + '.safetensors', 0o644)  # save_file() lets nobody else read it
    with open(out + '.safetensors', 'rb') as f:
        weights_hash = '%016x' % hash64(f.read())
    with open(out + '.json', 'w', encoding='utf8') as f:
        if tokenizer:
            tokens = {'tokenizer': {'pieces': tokenizer.pieces, 'scores': tokenizer.scores}}
        else:
            tokens = {'picture': picture}
        about = {'kind': kind, 'config': config, 'weights_hash': weights_hash}
        if meaning:
            about['meaning'] = meaning
        json.dump(about | tokens, f, ensure_ascii=False, separators=(',', ':'))
        f.write('\n')
    print(out, sum(v.numel() for v in weights.values()), 'parameters', weights_hash)


def first_weights(folder):
    """The reference model keeps its matrices [out, in]; here they are [in, out]."""
    def flip(k, v):
        return v.t() if v.ndim == 2 and k not in ('embedding', 'registers') else v

    return {k: flip(k, v) for k, v in load_file(f'{folder}/text-first.safetensors').items()}


def spelled(piece, old):
    """The old tokenizer's ids for a new piece."""
    if piece in old.ids:
        return [old.ids[piece]]
    plain = piece.replace(SPACE, ' ')
    if plain[0] == ' ' and plain[1:]:
        return old.encode(plain[1:])
    return old.encode(plain)[1:] or old.encode(plain)


def transplanted(weights, old, new):
    """The text model's weights under another tokenizer.

    A piece that both have keeps its embedding. Another one gets the mean of the pieces that spell
    it.
    """
    torch.manual_seed(5)
    table = weights['embedding']
    rows = torch.zeros(len(new.pieces), table.shape[1])
    rows[:FIRST_PIECE] = table[:FIRST_PIECE]
    for i, piece in enumerate(new.pieces[FIRST_PIECE:], FIRST_PIECE):
        ids = spelled(piece, old)
        rows[i] = table[ids].mean(0)
        if len(ids) > 1:
            rows[i] += torch.randn(len(rows[i])) * table.std() * 0.5    # no two alike
    return weights | {'embedding': rows}


def with_own_s(weights):
    """A text model's weights with a `to_s`: other kinds have no sentence encoder to make s."""
    to_s = torch.randn(text_model.FIRST['d'], text_model.FIRST['s']) / text_model.FIRST['d'] ** 0.5
    return {'to_s': to_s} | weights


def layers_of(weights, name):
    """How many the encoder or decoder has."""
    return 1 + max(int(k.split('.')[1]) for k in weights if k.startswith(name + '.'))


def layer(weights, name, source, i):
    """Layer `source` of the encoder or decoder, as its i-th."""
    return {k.replace(f'.{source}.', f'.{i}.', 1): v for k, v in weights.items()
            if k.startswith(f'{name}.{source}.')}


def grown(weights, config, encoder, decoder):
    """The same function with more layers: (weights, config).

    Each new layer stands behind the one it is a copy of. It adds nothing yet, as its outputs start
    from zero.
    """
    out = {k: v for k, v in weights.items() if not k.startswith(('encoder.', 'decoder.'))}
    for name, n in (('encoder', encoder), ('decoder', decoder)):
        source = [i * layers_of(weights, name) // n for i in range(n)]
        for i in range(n):
            copied = layer(weights, name, source[i], i)
            is_new = i > 0 and source[i] == source[i - 1]
            for k, v in copied.items():
                is_output = k.endswith(('.o', '.out'))
                out[k] = torch.zeros_like(v) if is_new and is_output else v.clone()
    return out, config | {'encoder_layers': encoder, 'decoder_layers': decoder}


def tiny_tokenizer(full, n):
    """Control and byte pieces, then the best-scored of the full tokenizer's."""
    best = sorted(range(FIRST_PIECE, len(full.pieces)), key=lambda i: -full.scores[i])
    best = best[: n - FIRST_PIECE]
    keep = list(range(FIRST_PIECE)) + sorted(best)
    return Tokenizer([full.pieces[i] for i in keep], [full.scores[i] for i in keep])


def random_weights():
    """Of the tiny model."""
    torch.manual_seed(3)
    state = text_model.TextModel(text_model.TINY).state_dict()
    # Zero-initialised outputs and unit norms would hide mistakes: give every weight a value.
    return {k: v + torch.randn_like(v) * (0.1 if v.ndim == 1 else 0.7 / v.shape[0] ** 0.5)
            for k, v in state.items()}


def write_trained(a):
    states = [torch.load(path, map_location='cpu') for path in a.checkpoint]
    state, config = states[0], states[0]['config']
    weights = {k: sum(s['model'][k] for s in states) / len(states) for k in state['model']}
    tokenizer = Tokenizer.from_json(a.tokenizer)
    if a.code:
        code = Tokenizer.from_json(a.code)
        weights = transplanted(with_own_s(weights), tokenizer, code)
        write(a.out, weights, config | {'pieces': len(code.pieces)}, code, 'code')
    else:
        write(a.out, weights, config, tokenizer, a.kind, meaning=state['meaning'])


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--checkpoint', nargs='+', help='of several, the mean of their weights')
    p.add_argument('--first')
    p.add_argument('--tiny')
    p.add_argument('--tokenizer', default='text.json')
    p.add_argument('--code', help='tokenizer of a code model')
    p.add_argument('--kind', default='text', help='text, code')
    p.add_argument('--grow', help='layers of the encoder and of the decoder: 8,6')
    p.add_argument('--out', default='text')
    a = p.parse_args()
    if a.first:
        tokenizer = Tokenizer.from_tsv(f'{a.first}/text-first.pieces.tsv')
        write(a.out, first_weights(a.first), text_model.FIRST, tokenizer)
    elif a.tiny:
        full = Tokenizer.from_json(a.tokenizer)
        tokenizer = tiny_tokenizer(full, text_model.TINY['pieces'])
        weights = random_weights()
        write(f'{a.tiny}/tiny', weights, text_model.TINY, tokenizer)
        del weights['to_s']
        write(f'{a.tiny}/text', weights, text_model.TINY, tokenizer)
    elif a.grow:
        model = text_model.load(*a.checkpoint)
        weights, config = grown(model.state_dict(), model.config, *map(int, a.grow.split(',')))
        write(a.out, weights, config, model.tokenizer, meaning=model.meaning)
    else:
        write_trained(a)


if __name__ == '__main__':
    main()
