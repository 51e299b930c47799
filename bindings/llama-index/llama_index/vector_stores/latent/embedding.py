"""Embeddings by latent_embed(), in this process."""
import json
import struct

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from .database import Database


class LatentEmbedding(BaseEmbedding):
    """Vectors of all-MiniLM-L6-v2 in 8 bits (384 numbers), or of another encoder.

    encoder: a folder of the BERT family as Hugging Face has it (config.json, model.safetensors, a
    tokenizer). connection: one that has latent; without it there is a new one.
    """
    _database: Database = PrivateAttr()

    def __init__(self, encoder=None, connection=":memory:", **kwargs):
        kwargs.setdefault("model_name", str(encoder or "meaning"))
        super().__init__(**kwargs)
        self._database = Database(connection)
        if encoder is not None:
            with self._database as conn:
                conn.execute("SELECT latent_load(?)", [str(encoder)]).fetchone()

    @classmethod
    def class_name(cls):
        return "LatentEmbedding"

    def _get_query_embedding(self, query):
        with self._database as conn:
            vector, = conn.execute("SELECT latent_embed(?, 'query')", [query]).fetchone()
        return numbers(vector)

    def _get_text_embedding(self, text):
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts):
        with self._database as conn:
            rows = conn.execute(
                "SELECT vector FROM latent_embed_each(?, NULL, 'passage') ORDER BY rowid",
                [json.dumps(list(texts))]).fetchall()
        return [numbers(vector) for vector, in rows]

    async def _aget_query_embedding(self, query):
        return self._get_query_embedding(query)


def numbers(vector):
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))
