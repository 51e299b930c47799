"""The subword tokenizer: a unigram model with byte fallback, lossless for every string of bytes.

A text is "\u2581" + text with every space as "\u2581". The split with the highest sum of
log-probabilities wins (Viterbi). A character that no piece covers, a literal U+2581 and a byte that
is not UTF-8 are spelled in byte pieces, ids 4..259.

`Tokenizer` is the plain definition; ext/codec/codec_tokenizer.c is the fast one. `fast()` is
Hugging Face's Rust twin, for packing a corpus.
"""
import json

SPACE = '\u2581'
FIRST_BYTE, FIRST_PIECE = 4, 260
UNKNOWN_PENALTY = 10.0


class Tokenizer:
    def __init__(self, pieces, scores):
        self.pieces, self.scores = pieces, scores
        # The bytes of each token; none of a control token.
        self.spelling = [b''] * FIRST_BYTE + [bytes([i]) for i in range(256)]
        self.spelling += [p.replace(SPACE, ' ').encode() for p in pieces[FIRST_PIECE:]]
        self.ids = {p: i for i, p in enumerate(pieces) if i >= FIRST_PIECE}
        self.longest = max(map(len, pieces))
        self.fallback = min(scores[FIRST_PIECE:]) - UNKNOWN_PENALTY

    @classmethod
    def from_json(cls, path):
        with open(path, encoding='utf8') as f:
            return cls(**json.load(f)['tokenizer'])

    @classmethod
    def from_tsv(cls, path):
        with open(path, encoding='utf8') as f:
            rows = [line.rstrip('\n').split('\t') for line in f]
        return cls([json.loads(p) for p, _ in rows], [float(x) for _, x in rows])

    def encode(self, data):
        """str or bytes -> ids.

        Bytes that are not UTF-8 travel as lone surrogates, so they cannot match a piece.
        """
        if isinstance(data, str):
            data = data.encode('utf8')
        text = data.decode('utf8', 'surrogateescape')
        # A literal U+2581 must not read as a space: hide it behind a private surrogate.
        text = SPACE + text.replace(SPACE, '\udc00').replace(' ', SPACE)
        best = [(0.0, 0, ())] + [None] * len(text)
        for end in range(1, len(text) + 1):
            char = text[end - 1]
            raw = SPACE.encode() if char == '\udc00' else char.encode('utf8', 'surrogateescape')
            found = (best[end - 1][0] + self.fallback, end - 1, [FIRST_BYTE + b for b in raw])
            for start in range(max(0, end - self.longest), end):
                i = self.ids.get(text[start:end])
                if i is not None and best[start][0] + self.scores[i] > found[0]:
                    found = (best[start][0] + self.scores[i], start, [i])
            best[end] = found
        out = []
        end = len(text)
        while end:
            out[:0] = best[end][2]
            end = best[end][1]
        return out

    def decode_bytes(self, ids):
        """ids -> bytes, without the one leading space that encode() added."""
        raw = b''.join(self.spelling[i] for i in ids)
        return raw[1:] if raw[:1] == b' ' else raw

    def decode(self, ids):
        return self.decode_bytes(ids).decode('utf8', 'replace')

    def fast(self):
        """The same as a Tokenizer of Hugging Face's library."""
        from tokenizers import Tokenizer as Rust, models

        # Control and byte pieces must never match their own spelling in a text.
        vocab = [(p, x if i >= FIRST_PIECE else -1e6)
                 for i, (p, x) in enumerate(zip(self.pieces, self.scores))]
        return Rust(models.Unigram(vocab, unk_id=3, byte_fallback=True))


def train_pieces(sentences, n_pieces=8192, **options):
    """Sentences -> (pieces, scores) by SentencePiece's unigram trainer, ids laid out as above."""
    import io

    import sentencepiece as spm

    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=out, vocab_size=n_pieces,
        model_type='unigram', byte_fallback=True, normalization_rule_name='identity',
        remove_extra_whitespaces=False, pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece='<pad>',
        character_coverage=0.9999, num_threads=2, **options)
    sp = spm.SentencePieceProcessor(model_proto=out.getvalue())
    pieces = [sp.id_to_piece(i) for i in range(n_pieces)]
    return pieces, [round(sp.get_score(i), 5) for i in range(n_pieces)]
