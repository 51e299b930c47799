"""Embeddings by latent_embed(), in this process."""
import json
import struct

from langchain_core.embeddings import Embeddings

from .database import Database


class LatentEmbeddings(Embeddings):
    """Vectors of all-MiniLM-L6-v2 in 8 bits (384 numbers), or of another encoder.

    encoder: a folder of the BERT family as Hugging Face has it (config.json, model.safetensors, a
    tokenizer). connection: one that has latent; without it there is a new one.
    """

    def __init__(self, encoder=None, connection=":memory:"):
        self.database = Database(connection)
        if encoder is not None:
            with self.database as conn:
                conn.execute("SELECT latent_load(?)", [str(encoder)]).fetchone()

    def embed_documents(self, texts):
        with self.database as conn:
            rows = conn.execute(
                "SELECT vector FROM latent_embed_each(?, NULL, 'passage') ORDER BY rowid",
                [json.dumps(list(texts))]).fetchall()
        return [numbers(vector) for vector, in rows]

    def embed_query(self, text):
        with self.database as conn:
            vector, = conn.execute("SELECT latent_embed(?, 'query')", [text]).fetchone()
        return numbers(vector)


def numbers(vector):
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))
