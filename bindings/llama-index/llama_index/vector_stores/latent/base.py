"""A vector store in an SQLite file: a table of nodes, and a latent table that finds its rows.

    NAME(n INTEGER PRIMARY KEY, id TEXT UNIQUE, ref_doc_id TEXT, text TEXT, metadata TEXT)
    NAME_latent      latent(width=N, metric=cosine), its rowids are those of NAME

Filters are LlamaIndex's own, asked of row after row: latent goes on giving rows, the nearest first,
until there are as many as are wanted.
"""
import json
import struct

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore, FilterCondition, MetadataFilters, VectorStoreQueryMode,
    VectorStoreQueryResult)
from llama_index.core.vector_stores.utils import (
    build_metadata_filter_fn, metadata_dict_to_node, node_to_metadata_dict)

from .database import Database, quote


class LatentVectorStore(BasePydanticVectorStore):
    stores_text: bool = True
    flat_metadata: bool = False
    name: str = "nodes"
    _database: Database = PrivateAttr()

    def __init__(self, connection=":memory:", name="nodes", **kwargs):
        """connection: the path of a file, or a connection that has latent."""
        super().__init__(name=name, **kwargs)
        self._database = Database(connection)
        with self._database as conn:
            conn.execute(f"CREATE TABLE IF NOT EXISTS {self._nodes}(n INTEGER PRIMARY KEY, "
                         f"id TEXT NOT NULL UNIQUE, ref_doc_id TEXT, text TEXT NOT NULL, "
                         f"metadata TEXT NOT NULL)")

    @classmethod
    def class_name(cls):
        return "LatentVectorStore"

    @property
    def client(self):
        return self._database.connection

    @property
    def _nodes(self):
        return quote(self.name)

    @property
    def _index(self):
        return quote(self.name + "_latent")

    # ---- Rows ----
    def add(self, nodes, **kwargs):
        """A node whose id is there takes the place of that one."""
        with self._database as conn:
            for node in nodes:
                self._put(conn, node)
        return [node.node_id for node in nodes]

    def _put(self, conn, node):
        vector = node.get_embedding()
        metadata = node_to_metadata_dict(node, remove_text=True, flat_metadata=False)
        conn.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {self._index} "
                     f"USING latent(width={len(vector)}, metric=cosine)")
        conn.execute(
            f"INSERT INTO {self._nodes}(id, ref_doc_id, text, metadata) VALUES (?, ?, ?, ?) "
            f"ON CONFLICT(id) DO UPDATE SET ref_doc_id = excluded.ref_doc_id, "
            f"text = excluded.text, metadata = excluded.metadata",
            [node.node_id, node.ref_doc_id, node.get_content(metadata_mode=MetadataMode.NONE),
             json.dumps(metadata)])
        n, = conn.execute(f"SELECT n FROM {self._nodes} WHERE id = ?", [node.node_id]).fetchone()
        conn.execute(f"DELETE FROM {self._index} WHERE rowid = ?", [n])
        conn.execute(f"INSERT INTO {self._index}(rowid, latent) VALUES (?, ?)", [n, blob(vector)])

    def delete(self, ref_doc_id, **delete_kwargs):
        with self._database as conn:
            self._remove(conn, conn.execute(f"SELECT n FROM {self._nodes} WHERE ref_doc_id = ?",
                                            [ref_doc_id]).fetchall())

    def delete_nodes(self, node_ids=None, filters=None, **delete_kwargs):
        with self._database as conn:
            self._remove(conn, [(row[0],) for row in self._rows(conn, node_ids, filters)])

    def clear(self):
        with self._database as conn:
            conn.execute(f"DELETE FROM {self._nodes}")
            conn.execute(f"DROP TABLE IF EXISTS {self._index}")

    def _remove(self, conn, numbers):
        if numbers:
            conn.executemany(f"DELETE FROM {self._index} WHERE rowid = ?", numbers)
            conn.executemany(f"DELETE FROM {self._nodes} WHERE n = ?", numbers)

    def get_nodes(self, node_ids=None, filters=None):
        with self._database as conn:
            return [as_node(*row[2:]) for row in self._rows(conn, node_ids, filters)]

    def _rows(self, conn, node_ids, filters):
        """(n, id, text, metadata)"""
        rows = conn.execute(f"SELECT n, id, text, metadata FROM {self._nodes} ORDER BY n")
        wanted = None if node_ids is None else set(node_ids)
        return [row for row in rows if (wanted is None or row[1] in wanted)
                and matches(filters, json.loads(row[3]))]

    # ---- Search ----
    def query(self, query, **kwargs):
        """Modes: default, and mmr. similarities are cosines."""
        if query.mode not in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR):
            raise ValueError(f"query mode {query.mode} is neither default nor mmr")
        options = {}
        if query.mode == VectorStoreQueryMode.MMR:
            threshold = kwargs.get("mmr_threshold", query.mmr_threshold)
            options["diverse"] = 1 - (0.5 if threshold is None else threshold)
        found = []
        with self._database as conn:
            for row in self._nearest(conn, query.query_embedding, options):
                if len(found) == query.similarity_top_k:
                    break
                if is_wanted(query, row[0], json.loads(row[2])):
                    found.append(row)
        return VectorStoreQueryResult(nodes=[as_node(*row[1:3]) for row in found],
                                      similarities=[1 - row[3] for row in found],
                                      ids=[row[0] for row in found])

    def _nearest(self, conn, vector, options):
        """(id, text, metadata, distance), for as long as the reader wants more."""
        if not conn.execute("SELECT 1 FROM sqlite_master WHERE name = ?",
                            [self.name + "_latent"]).fetchone():
            return []           # it is made with the first node, whose width it has
        return conn.execute(f"SELECT d.id, d.text, d.metadata, v.distance "
                            f"FROM {self._index}(?, ?) v CROSS JOIN {self._nodes} d ON d.n = v.rowid",
                            [blob(vector), json.dumps(options)])


def is_wanted(query, node_id, metadata):
    """An empty list of ids is none at all: that is what a VectorStoreIndex sends."""
    return ((not query.node_ids or node_id in query.node_ids)
            and (not query.doc_ids or metadata["ref_doc_id"] in query.doc_ids)
            and matches(query.filters, metadata))


def matches(filters, metadata):
    """As LlamaIndex's SimpleVectorStore has it; filters within filters, too."""
    if filters is None or not filters.filters:
        return True
    condition = filters.condition or FilterCondition.AND
    each = (matches(f, metadata) if isinstance(f, MetadataFilters)
            else build_metadata_filter_fn(lambda _: metadata, MetadataFilters(filters=[f]))("")
            for f in filters.filters)
    return {FilterCondition.AND: all, FilterCondition.OR: any,
            FilterCondition.NOT: lambda x: not any(x)}[condition](each)


def as_node(text, metadata):
    return metadata_dict_to_node(json.loads(metadata), text)


def blob(vector):
    return struct.pack(f"<{len(vector)}f", *vector)
