"""A VectorStore in an SQLite file: a table of documents, and a latent table that finds its rows.

    NAME(n INTEGER PRIMARY KEY, id TEXT UNIQUE, text TEXT, metadata TEXT)
    NAME_latent      without an embedding:  latent(text, content=NAME, words=1)
                     with one:              latent(width=N), its rowids are those of NAME

Without an embedding latent reads the texts itself: then a search goes by meaning and by words, a
long text is found by each of its sentences, and imagine() writes what is missing.
"""
import json
import struct
import uuid

from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from .database import Database, quote


class LatentVectorStore(VectorStore):
    def __init__(self, embedding=None, connection=":memory:", name="documents"):
        """connection: the path of a file, or a connection that has latent."""
        self.embedding, self.database, self.name = embedding, Database(connection), name
        self.documents, self.index = quote(name), quote(name + "_latent")
        with self.database as conn:
            conn.execute(f"CREATE TABLE IF NOT EXISTS {self.documents}(n INTEGER PRIMARY KEY, "
                         f"id TEXT NOT NULL UNIQUE, text TEXT NOT NULL, metadata TEXT NOT NULL)")
            if embedding is None:
                conn.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.index} USING latent(text, "
                             f"content={self.documents}, content_rowid='n', words=1)")

    @classmethod
    def from_texts(cls, texts, embedding=None, metadatas=None, *, ids=None, **kwargs):
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @property
    def embeddings(self):
        return self.embedding

    # ---- Rows ----
    def add_texts(self, texts, metadatas=None, *, ids=None, **kwargs):
        """A document whose id is there takes the place of that one."""
        texts = list(texts)
        metadatas = list(metadatas) if metadatas else [{}] * len(texts)
        ids = list(ids) if ids else [None] * len(texts)
        if not len(texts) == len(metadatas) == len(ids):
            raise ValueError(f"{len(texts)} texts, {len(metadatas)} metadatas and {len(ids)} ids: "
                             f"expected as many of each")
        ids = [i if i is not None else str(uuid.uuid4()) for i in ids]
        vectors = self.embedding.embed_documents(texts) if self.embedding and texts else []
        with self.database as conn:
            for row in zip(ids, texts, map(json.dumps, metadatas)):
                conn.execute(f"INSERT INTO {self.documents}(id, text, metadata) VALUES (?, ?, ?) "
                             f"ON CONFLICT(id) DO UPDATE SET text = excluded.text, "
                             f"metadata = excluded.metadata", row)
            if vectors:
                self.put_vectors(conn, ids, vectors)
        return ids

    def put_vectors(self, conn, ids, vectors):
        conn.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {self.index} "
                     f"USING latent(width={len(vectors[0])}, metric=cosine)")
        for i, vector in zip(ids, vectors):
            n, = conn.execute(f"SELECT n FROM {self.documents} WHERE id = ?", [i]).fetchone()
            conn.execute(f"DELETE FROM {self.index} WHERE rowid = ?", [n])
            conn.execute(f"INSERT INTO {self.index}(rowid, latent) VALUES (?, ?)",
                         [n, blob(vector)])

    def delete(self, ids=None, **kwargs):
        """ids=None: all of them."""
        with self.database as conn:
            if ids is None:
                ids = [i for i, in conn.execute(f"SELECT id FROM {self.documents}")]
            for i in ids:
                if self.has_vectors(conn):
                    conn.execute(f"DELETE FROM {self.index} WHERE rowid = "
                                 f"(SELECT n FROM {self.documents} WHERE id = ?)", [i])
                conn.execute(f"DELETE FROM {self.documents} WHERE id = ?", [i])
        return True

    def has_vectors(self, conn):
        """A table of vectors is made with the first of them, whose width it has."""
        return self.embedding is not None and conn.execute(
            "SELECT 1 FROM sqlite_master WHERE name = ?", [self.name + "_latent"]).fetchone()

    def get_by_ids(self, ids, /):
        with self.database as conn:
            rows = [conn.execute(f"SELECT id, text, metadata FROM {self.documents} WHERE id = ?",
                                 [i]).fetchone() for i in ids]
        return [document(*row) for row in rows if row]

    # ---- Search ----
    def similarity_search(self, query, k=4, filter=None, **kwargs):
        return [d for d, _ in self.similarity_search_with_score(query, k, filter, **kwargs)]

    def similarity_search_with_score(self, query, k=4, filter=None, **kwargs):
        """(document, distance): 0 is the same, 2 the opposite.

        filter: {"lang": "en", "year": [2024, 2025]}: metadata that is this, or one of these.
        """
        return self.nearest(self.point(query), k, filter, {})

    def similarity_search_by_vector(self, embedding, k=4, filter=None, **kwargs):
        return [d for d, _ in self.nearest(blob(embedding), k, filter, {})]

    def max_marginal_relevance_search(self, query, k=4, fetch_k=20, lambda_mult=0.5, filter=None,
                                      **kwargs):
        """fetch_k has no part in it: latent takes these rows from the nearest 200."""
        options = {"diverse": 1 - lambda_mult}
        return [d for d, _ in self.nearest(self.point(query), k, filter, options)]

    def max_marginal_relevance_search_by_vector(self, embedding, k=4, fetch_k=20, lambda_mult=0.5,
                                                filter=None, **kwargs):
        return [d for d, _ in self.nearest(blob(embedding), k, filter,
                                           {"diverse": 1 - lambda_mult})]

    def point(self, query):
        """What the table is asked with: the text itself, or its vector."""
        return query if self.embedding is None else blob(self.embedding.embed_query(query))

    def nearest(self, point, k, filter, options):
        conditions, values = condition_of(filter or {})
        with self.database as conn:
            if self.embedding is not None and not self.has_vectors(conn):
                return []
            rows = conn.execute(
                f"SELECT d.id, d.text, d.metadata, v.distance FROM {self.index}(?, ?) v "
                f"CROSS JOIN {self.documents} d ON d.n = v.rowid{conditions} LIMIT ?",
                [point, json.dumps(options), *values, k]).fetchall()
        return [(document(*row[:3]), row[3]) for row in rows]

    def _select_relevance_score_fn(self):
        return lambda distance: max(0.0, 1.0 - distance)

    def imagine(self, query, k=3):
        """Documents that nobody wrote: texts between the rows that are nearer to the query.

        Their metadata say so: {"generated": True, "distance": ..., "parents": [ids]}.
        """
        if self.embedding is not None:
            raise ValueError("imagine() needs a store without an embedding: latent reads its texts")
        with self.database as conn:
            rows = conn.execute("SELECT content, distance, parents FROM latent_imagine(?, ?, ?)",
                                [self.name + "_latent", query, k + 1]).fetchall()
            made = []
            for content, distance, parents in rows:
                ids = [conn.execute(f"SELECT id FROM {self.documents} WHERE n = ?", [n])
                       .fetchone()[0] for n in json.loads(parents)]
                if len(ids) > 1:        # the row that is nearest stands among them, alone
                    made.append(Document(page_content=content, metadata={
                        "generated": True, "distance": distance, "parents": ids}))
        return made[:k]


def document(i, text, metadata):
    return Document(id=i, page_content=text, metadata=json.loads(metadata))


def blob(vector):
    return struct.pack(f"<{len(vector)}f", *vector)


def condition_of(filter):
    """(" AND ...", values)"""
    sql, values = "", []
    for key, value in filter.items():
        several = value if isinstance(value, (list, tuple, set)) else [value]
        for one in several:
            if not isinstance(one, (str, int, float, bool, type(None))):
                raise ValueError(f"filter: {key} is {one!r}, expected a text, a number, or a list "
                                 f"of these")
        places = " OR ".join(["value IS ?"] * len(several)) or "0"
        sql += f" AND EXISTS (SELECT 1 FROM json_each(d.metadata) WHERE key = ? AND ({places}))"
        values += [key, *several]
    return sql, values
