"""Search in a Milvus cluster, or in Milvus Lite (a local path that ends in .db): the way past one machine's memory.

Each segment is one collection of (position, vector). Vectors in half precision stay beside the catalogue: they give the
scores, serve exact scans, and let ``compact`` move an index to another backend without encoding anything again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag.errors import IndexStateError, InputError, MissingDependencyError, StorageError
from rag.indexing.backends.halves import RESIDENT, Halves
from rag.indexing.backends.protocol import Allowed, Cost, Facts, Positions, Stored, Vectors
from rag.indexing.segments import SegmentGoneError, damaged
from rag.indexing.storage import sync_directory, sync_file
from rag.settings import VectorSettings

_WHERE = "milvus.json"
_BATCH = 4096
_MOST = 16_384  # Milvus returns no more for one query
# The client asks every ten seconds whether the other side lives. Milvus Lite ends a connection that asks so while one
# call lasts three minutes, and the client repeats the call. Lite runs in this process: nobody needs to ask.
_UNASKED = {"grpc.keepalive_time_ms": 2**31 - 1}
# A strong reading waits for the cluster's next tick: 200 ms for each question. A collection is written once: what one
# strong reading has seen at the opening stays, and bounded ones (of all but the last seconds) need not wait.
_WHOLE, _SEEN = "Strong", "Bounded"
_WIDEN = 2  # the index on the other side may compress; exact scores put its order right


class MilvusIndex:
    """One Milvus collection. Credentials come from the settings and are never written to disk."""

    exact: ClassVar[bool] = False
    smallest: ClassVar[int] = 0

    @classmethod
    def cost(cls, dim: int) -> Cost:
        return Cost(0, 2 * dim, RESIDENT)

    def __init__(self, client: Any, uri: str, collection: str, halves: Halves, n: int) -> None:
        self._client = client
        self._uri = uri
        self._collection = collection
        self._halves = halves
        self._n = n

    @classmethod
    def write(cls, directory: Path, vectors: Vectors, settings: VectorSettings) -> Facts:
        if settings.milvus_uri is None:
            raise InputError("setting 'vectors.milvus_uri': backend 'milvus' needs the address of a cluster, or a path")
        uri, collection = settings.milvus_uri, f"clincite_{secrets.token_hex(16)}"
        # Written down before it exists, so that whoever finds this directory after a crash can drop the collection.
        (directory / _WHERE).write_text(json.dumps({"uri": uri, "collection": collection}), encoding="utf-8")
        sync_file(directory / _WHERE)
        sync_directory(directory)
        client, kinds = _client(uri, _token(settings)), _pymilvus().DataType
        with _refusals_named(uri):
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("position", kinds.INT64, is_primary=True)
            schema.add_field("vector", kinds.FLOAT_VECTOR, dim=vectors.shape[1])
            index = client.prepare_index_params()
            index.add_index("vector", index_type="AUTOINDEX", metric_type="IP")
            client.create_collection(collection, schema=schema, index_params=index, consistency_level=_WHOLE)
            for start in range(0, len(vectors), _BATCH):
                block = enumerate(vectors[start : start + _BATCH], start)
                client.insert(collection, [{"position": number, "vector": vector} for number, vector in block])
            client.flush(collection)
        Halves.write(directory, vectors)
        return {}

    @classmethod
    def open(cls, directory: Path, n: int, dim: int, facts: Facts, settings: VectorSettings) -> MilvusIndex:
        uri, collection = _where(directory)
        client = _client(uri, _token(settings))
        with _refusals_named(uri):
            if not client.has_collection(collection):
                raise IndexStateError(damaged(directory / _WHERE, f"Milvus at {uri} has no collection {collection}"))
            client.load_collection(collection)
            counted = client.query(collection, filter="", output_fields=["count(*)"], consistency_level=_WHOLE)
        if (there := int(counted[0]["count(*)"])) != n:
            raise IndexStateError(damaged(directory / _WHERE, f"Milvus at {uri} has {there} of its {n} vectors"))
        return cls(client, uri, collection, Halves(directory, n, dim), n)

    def candidates(self, queries: Vectors, k: int, allowed: Allowed | None) -> Positions:
        wide = min(_WIDEN * k, self._n, _MOST)
        with _refusals_named(self._uri):
            results = self._client.search(
                self._collection,
                data=list(queries),
                limit=wide,
                filter=_expression(allowed),
                output_fields=["position"],
                consistency_level=_SEEN,
            )
        found = np.full((len(queries), max(k, wide)), -1, np.int64)
        for number, hits in enumerate(results):
            found[number, : len(hits)] = [hit["position"] for hit in hits]
        return found

    def take(self, positions: Positions) -> Stored:
        return self._halves.take(positions)

    @classmethod
    def drop(cls, directory: Path, settings: VectorSettings) -> None:
        if not (directory / _WHERE).is_file():
            return
        uri, collection = _where(directory)
        with _refusals_named(uri):
            _client(uri, _token(settings)).drop_collection(collection)


def _expression(allowed: Allowed | None) -> str:
    """Milvus's filter for a mask, by whichever of its two sides is shorter."""
    if allowed is None:
        return ""
    if allowed.share <= 0.5:
        return f"position in {np.flatnonzero(allowed.mask).tolist()}"
    return f"position not in {np.flatnonzero(~allowed.mask).tolist()}"


def _where(directory: Path) -> tuple[str, str]:
    try:
        about = json.loads((directory / _WHERE).read_text(encoding="utf-8"))
        return str(about["uri"]), str(about["collection"])
    except FileNotFoundError as error:
        raise SegmentGoneError(directory / _WHERE) from error
    except (ValueError, KeyError, TypeError) as error:
        raise IndexStateError(damaged(directory / _WHERE, "it does not name a collection")) from error


def _token(settings: VectorSettings) -> str:
    return settings.milvus_token.get_secret_value() if settings.milvus_token else ""


@lru_cache(maxsize=8)
def _client(uri: str, token: str) -> Any:
    with _refusals_named(uri):
        return _pymilvus().MilvusClient(uri, token=token, grpc_options={} if "://" in uri else _UNASKED)


def _pymilvus() -> Any:
    try:
        import pymilvus
    except ImportError as error:
        raise MissingDependencyError('pymilvus is not installed: pip install "clincite[milvus]"') from error
    return pymilvus


@contextmanager
def _refusals_named(uri: str) -> Iterator[None]:
    """Milvus's errors as ours, with the address and without its stack."""
    exceptions = _pymilvus().exceptions
    try:
        yield
    except (exceptions.MilvusException, OSError) as error:
        reason = getattr(error, "message", "") or str(error)
        raise StorageError(f"Milvus at {uri} refused: {reason}; nothing was published") from error
