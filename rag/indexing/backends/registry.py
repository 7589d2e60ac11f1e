"""The backends by name, which is what a segment records and settings ask for."""

from __future__ import annotations

from rag.indexing.backends.cuda import CagraIndex, CudaFlatIndex
from rag.indexing.backends.flat import FlatIndex
from rag.indexing.backends.hnsw import HnswIndex
from rag.indexing.backends.ivf import IvfProductIndex, IvfScalarIndex
from rag.indexing.backends.milvus import MilvusIndex
from rag.indexing.backends.protocol import VectorIndex

BACKENDS: dict[str, type[VectorIndex]] = {
    "flat": FlatIndex,
    "hnsw": HnswIndex,
    "ivf-sq8": IvfScalarIndex,
    "ivf-pq": IvfProductIndex,
    "cuda-flat": CudaFlatIndex,
    "cuda-cagra": CagraIndex,
    "milvus": MilvusIndex,
}
