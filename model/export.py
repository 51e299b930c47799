"""Writes what the extension reads: <name>.safetensors (float16) and <name>.json (shape, tokenizer, hash of the weights).

    python3 export.py --checkpoint RUN/decayed.pt --tokenizer text.json --out text          after training
    python3 export.py --checkpoint RUN/trunk.pt --tokenizer text.json --code DIR/code.json --out DIR/init       to start the code model's training from
    python3 export.py --checkpoint RUN/decayed.pt --tokenizer DIR/code.json --kind code --out code                    after training on code
    python3 export.py --checkpoint text.safetensors --vq PICTURES/vq.pt --kind picture --out DIR/init                 to start the picture model's training from
    python3 export.py --checkpoint RUN/decayed.pt --vq PICTURES/vq.pt --out picture --kind picture                    after training on pictures
    python3 export.py --checkpoint text.safetensors --grow 8,6 --out DIR/init                                        to start a deeper text model's training from
    python3 export.py --first ../../shared/reference --out text                             the first day's weights, re-laid [in, out]
    python3 export.py --tiny ../tests/data/tiny --tokenizer text.json                       a random model of every layer, for the tests
"""
import argparse
import json
import os

import torch
from safetensors.torch import load_file, save_file

import text_model
from tokenizer import FIRST_PIECE, SPACE, Tokenizer

FNV_OFFSET, FNV_PRIME, MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def hash64(data):
    """Four interleaved FNV-1a lanes over little-endian 64-bit words, then over the tail's bytes and the length: ext/base_hash in Python."""
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


def write(out, weights, config, tokenizer, kind='text', picture=None):
    """weights: name -> tensor. Tensors are stored float16, but the table of words int8 with a scale for each column. picture: shape of the VQ-VAE, in a
    picture model the tokenizer's place."""
    stored = {k: v.detach().to(torch.float16).contiguous() for k, v in weights.items()}
    if (words := weights.get('words')) is not None:
        stored['words.scale'] = words.detach().abs().amax(0).clamp(min=1e-9) / 127
        stored['words'] = (words.detach() / stored['words.scale']).round().to(torch.int8)
    save_file(stored, out + '.safetensors', metadata={'kind': kind})
    os.chmod(out + '.safetensors', 0o644)  # save_file() lets nobody else read it
    with open(out + '.safetensors', 'rb') as f:
        weights_hash = '%016x' % hash64(f.read())
    with open(out + '.json', 'w', encoding='utf8') as f:
        tokens = {'tokenizer': {'pieces': tokenizer.pieces, 'scores': tokenizer.scores}} if tokenizer else {'picture': picture}
        json.dump({'kind': kind, 'config': config, 'weights_hash': weights_hash} | tokens, f, ensure_ascii=False, separators=(',', ':'))
        f.write('\n')
    print(out, sum(v.numel() for v in weights.values()), 'parameters', weights_hash)


def first_weights(folder):
    """The reference model keeps its matrices [out, in]; here they are [in, out]."""
    flip = lambda k, v: v.t() if v.ndim == 2 and k not in ('embedding', 'registers') else v
    return {k: flip(k, v) for k, v in load_file(f'{folder}/text-first.safetensors').items()}


def transplanted(weights, old, new):
    """The text model's weights under another tokenizer: a piece that both have keeps its embedding, another one gets the mean of the pieces that spell it."""
    torch.manual_seed(5)
    table = weights['embedding']
    rows = torch.zeros(len(new.pieces), table.shape[1])
    rows[:FIRST_PIECE] = table[:FIRST_PIECE]
    for i, piece in enumerate(new.pieces[FIRST_PIECE:], FIRST_PIECE):
        plain = piece.replace(SPACE, ' ')
        spelled = [old.ids[piece]] if piece in old.ids else old.encode(plain[1:]) if plain[0] == ' ' and plain[1:] else old.encode(plain)[1:] or old.encode(plain)
        rows[i] = table[spelled].mean(0)
        if len(spelled) > 1:
            rows[i] += torch.randn(len(rows[i])) * table.std() * 0.5    # no two alike
    return weights | {'embedding': rows}


def layers_of(weights, name):
    return 1 + max(int(k.split('.')[1]) for k in weights if k.startswith(name + '.'))


def layer(weights, name, source, i):
    """Layer `source` of the encoder or decoder, as its i-th."""
    return {k.replace(f'.{source}.', f'.{i}.', 1): v for k, v in weights.items() if k.startswith(f'{name}.{source}.')}


def cut_to_pictures(weights, codebook):
    """The text model's weights in the shape of the picture model: it has learned to write down what z says, and where registers look. Some of its
    layers go, its table of words, and half of its memory; alike codes get alike embeddings; positions start from nothing."""
    torch.manual_seed(5)
    c, table = text_model.PICTURE, weights['embedding']
    out = {k: v for k, v in weights.items() if not k.startswith(('encoder.', 'decoder.', 'words'))}
    for name in ('encoder', 'decoder'):
        there, wanted = layers_of(weights, name), c[f'{name}_layers']
        for i in range(wanted):     # spread over those that are there, the first and the last among them
            out |= layer(weights, name, round(i * (there - 1) / (wanted - 1)), i)
    width = c['memory'] * c['d']
    codes = codebook @ torch.randn(codebook.shape[1], c['d']) + 0.3 * torch.randn(len(codebook), c['d'])    # unit rows: variance 1.09
    return out | {'memory.weight': weights['memory.weight'][:, :width].clone(), 'memory.bias': weights['memory.bias'][:width].clone(),
                  'embedding': torch.cat([table[:text_model.FIRST_CODE], codes * table.std()]),
                  'encoder_position': torch.zeros(c['longest'], c['d']), 'decoder_position': torch.zeros(c['longest'], c['d'])}


def grown(weights, config, encoder, decoder):
    """The same function with more layers: each new one stands behind the one it is a copy of, and adds nothing yet, as its outputs start from zero."""
    out = {k: v for k, v in weights.items() if not k.startswith(('encoder.', 'decoder.'))}
    for name, n in (('encoder', encoder), ('decoder', decoder)):
        source = [i * layers_of(weights, name) // n for i in range(n)]
        for i in range(n):
            copied = layer(weights, name, source[i], i)
            is_new = i > 0 and source[i] == source[i - 1]
            out |= {k: torch.zeros_like(v) if is_new and k.endswith(('.o', '.out')) else v.clone() for k, v in copied.items()}
    return out, config | {'encoder_layers': encoder, 'decoder_layers': decoder}


def tiny_tokenizer(full, n):
    """Control and byte pieces, then the best-scored of the full tokenizer's."""
    best = sorted(range(FIRST_PIECE, len(full.pieces)), key=lambda i: -full.scores[i])[: n - FIRST_PIECE]
    keep = list(range(FIRST_PIECE)) + sorted(best)
    return Tokenizer([full.pieces[i] for i in keep], [full.scores[i] for i in keep])


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--checkpoint')
    p.add_argument('--first')
    p.add_argument('--tiny')
    p.add_argument('--tokenizer', default='text.json')
    p.add_argument('--code', help='tokenizer of a code model')
    p.add_argument('--vq', help='the VQ-VAE of a picture model')
    p.add_argument('--kind', default='text')
    p.add_argument('--grow', help='layers of the encoder and of the decoder: 8,6')
    p.add_argument('--words', type=float, default=1.0, help='what the table of words counts, times this')
    p.add_argument('--out', default='text')
    a = p.parse_args()
    if a.first:
        write(a.out, first_weights(a.first), text_model.FIRST, Tokenizer.from_tsv(f'{a.first}/text-first.pieces.tsv'))
    elif a.tiny:
        torch.manual_seed(3)
        model = text_model.TextModel(text_model.TINY)
        # Zero-initialised outputs and unit norms would hide mistakes: give every weight a value.
        weights = {k: v + torch.randn_like(v) * (0.1 if v.ndim == 1 else 0.7 / v.shape[0] ** 0.5) for k, v in sorted(model.state_dict().items(), key=lambda x: x[0] == 'words')}
        write(a.tiny, weights, text_model.TINY, tiny_tokenizer(Tokenizer.from_json(a.tokenizer), text_model.TINY['pieces']))
    elif a.grow:
        model = text_model.load(a.checkpoint)
        weights, config = grown(model.state_dict(), model.config, *map(int, a.grow.split(',')))
        write(a.out, weights, config, model.tokenizer)
    elif a.kind == 'picture':
        vq = torch.load(a.vq, map_location='cpu')
        if a.checkpoint.endswith('.safetensors'):
            weights, config = cut_to_pictures({k: v.float() for k, v in load_file(a.checkpoint).items()}, vq['model']['codebook']), text_model.PICTURE
        else:
            state = torch.load(a.checkpoint, map_location='cpu')
            weights, config = state['model'], state['config']
        write(a.out, weights | {'picture.' + k: v for k, v in vq['model'].items()}, config, None, a.kind, vq['config'])
    else:
        state = torch.load(a.checkpoint, map_location='cpu')
        tokenizer = Tokenizer.from_json(a.tokenizer)
        if a.code:
            old, tokenizer = tokenizer, Tokenizer.from_json(a.code)
            weights, config = transplanted(state['model'], old, tokenizer), state['config'] | {'pieces': len(tokenizer.pieces)}
            write(a.out, weights, config, tokenizer, 'code')
        else:
            if 'words' in state['model']:
                state['model']['words'] *= a.words
            write(a.out, state['model'], state['config'], tokenizer, a.kind)
