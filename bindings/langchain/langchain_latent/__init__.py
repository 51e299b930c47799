"""langchain-latent: LangChain's VectorStore and Embeddings on latent."""
from .embeddings import LatentEmbeddings
from .store import LatentVectorStore

__all__ = ["LatentEmbeddings", "LatentVectorStore"]
