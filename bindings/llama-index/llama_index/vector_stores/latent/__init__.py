"""llama-index-vector-stores-latent: LlamaIndex's vector store, and embeddings, on latent."""
from .base import LatentVectorStore
from .embedding import LatentEmbedding

__all__ = ["LatentEmbedding", "LatentVectorStore"]
