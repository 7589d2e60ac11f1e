"""The ways to keep and search vectors that ``search.py`` compares, behind one small face.

Each stores the same vectors under the ids 0, 1, …; those that keep payloads store a text beside each vector, and their
search brings it along. Third-party packages are imported where they are used: none of them has to be there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

DIM, K, BATCH = 512, 10, 10_000
M, EF_CONSTRUCTION = 32, 100  # of every graph, so that graphs differ in their making alone
EF = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
PROBES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
LANCE = ((5, 5), (5, 10), (10, 10), (20, 10), (20, 20), (40, 20), (40, 50), (80, 50), (160, 100))  # nprobes, refine
TEXT = 400  # characters that a text field must hold

Ids = Sequence[int]


class Data:
    """What is stored: vectors in ``vectors.npy`` (mapped, not read) and as many lines of ``texts.txt``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vectors = np.load(folder / "vectors.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self.vectors)

    def blocks(self, size: int = BATCH) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids and vectors."""
        for start in range(0, len(self), size):
            block = np.array(self.vectors[start : start + size])
            yield np.arange(start, start + len(block)), block

    def records(self, size: int = BATCH) -> Iterator[tuple[list[int], np.ndarray, list[str]]]:
        """Ids, vectors and texts."""
        with (self.folder / "texts.txt").open(encoding="utf-8") as file:
            for ids, block in self.blocks(size):
                yield ids.tolist(), block, [line.rstrip("\n") for line in islice(file, len(block))]


class Peer:
    """One library with one kind of index. ``build`` and ``open`` run in different processes."""

    modules: ClassVar[tuple[str, ...]] = ()
    ladder: tuple[Any, ...] = ()
    """Search efforts to choose from, least first; empty where there is nothing to choose."""
    effort_name: ClassVar[str] = ""
    most: ClassVar[int | None] = None
    """The largest size worth trying, where memory is the limit."""

    def __init__(self, name: str, backend: str, kin: str, setting: str = "") -> None:
        self.name = name
        self.backend = backend
        self.kin = kin  # the bare FAISS index that it is compared with
        self.setting = setting

    def missing(self) -> str | None:
        """Why it cannot be measured here."""
        absent = any(find_spec(module.split(".")[0]) is None for module in self.modules)
        return "not installed" if absent else None

    def build(self, data: Data, at: Path) -> None:
        """Store all of ``data`` in the folder ``at``."""
        raise NotImplementedError

    def open(self, at: Path) -> None:
        raise NotImplementedError

    def tune(self, effort: Any) -> None:
        """Search with this effort from now on."""

    def one(self, query: np.ndarray) -> Ids:
        """The ten nearest of one (dim,) query."""
        raise NotImplementedError

    def many(self, queries: np.ndarray) -> Sequence[Ids] | None:
        """The ten nearest of each query in one call; None where the library has no such call."""
        return None


class Faiss(Peer):
    modules = ("faiss",)

    def open(self, at: Path) -> None:
        import faiss

        self._index = faiss.read_index(str(at / "index.faiss"))

    def one(self, query: np.ndarray) -> Ids:
        return self._index.search(query[None], K)[1][0]

    def many(self, queries: np.ndarray) -> Sequence[Ids]:
        return self._index.search(queries, K)[1]

    def _fill(self, index: Any, data: Data, at: Path) -> None:
        import faiss

        for _, block in data.blocks():
            index.add(block)
        faiss.write_index(index, str(at / "index.faiss"))


class FaissFlat(Faiss):
    def build(self, data: Data, at: Path) -> None:
        import faiss

        self._fill(faiss.IndexFlatIP(DIM), data, at)


class FaissHnsw(Faiss):
    ladder, effort_name = EF, "efSearch"

    def build(self, data: Data, at: Path) -> None:
        import faiss

        index = faiss.IndexHNSWFlat(DIM, M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        self._fill(index, data, at)

    def tune(self, effort: int) -> None:
        self._index.hnsw.efSearch = effort


class FaissIvf(Faiss):
    ladder, effort_name = PROBES, "nprobe"

    def build(self, data: Data, at: Path) -> None:
        import faiss

        per_list = 40  # vectors that FAISS wants for each centre
        lists = max(1, min(int(4 * len(data) ** 0.5), len(data) // per_list))
        kind = faiss.ScalarQuantizer.QT_8bit
        quantizer = faiss.IndexFlatIP(DIM)
        index = faiss.IndexIVFScalarQuantizer(quantizer, DIM, lists, kind, faiss.METRIC_INNER_PRODUCT)
        chosen = np.random.default_rng(0).choice(len(data), min(len(data), per_list * lists), replace=False)
        index.train(np.array(data.vectors[np.sort(chosen)]))
        self._fill(index, data, at)

    def tune(self, effort: int) -> None:
        self._index.nprobe = min(effort, self._index.nlist)


class Hnswlib(Peer):
    modules = ("hnswlib",)
    ladder, effort_name = EF, "ef"

    def build(self, data: Data, at: Path) -> None:
        import hnswlib

        index = hnswlib.Index(space="ip", dim=DIM)
        index.init_index(max_elements=len(data), M=M, ef_construction=EF_CONSTRUCTION)
        for ids, block in data.blocks():
            index.add_items(block, ids)
        index.save_index(str(at / "index.bin"))

    def open(self, at: Path) -> None:
        import hnswlib

        self._index = hnswlib.Index(space="ip", dim=DIM)
        self._index.load_index(str(at / "index.bin"))

    def tune(self, effort: int) -> None:
        self._index.set_ef(effort)

    def one(self, query: np.ndarray) -> Ids:
        return self._index.knn_query(query, K)[0][0]

    def many(self, queries: np.ndarray) -> Sequence[Ids]:
        return self._index.knn_query(queries, K)[0]


class Usearch(Peer):
    modules = ("usearch",)
    ladder, effort_name = EF, "expansion_search"

    def build(self, data: Data, at: Path) -> None:
        from usearch.index import Index

        # Its own choice of precision depends on the machine.
        index = Index(ndim=DIM, metric="ip", dtype="f32", connectivity=M, expansion_add=EF_CONSTRUCTION)
        for ids, block in data.blocks():
            index.add(ids, block)
        index.save(str(at / "index.usearch"))

    def open(self, at: Path) -> None:
        from usearch.index import Index

        self._index = Index.restore(str(at / "index.usearch"))

    def tune(self, effort: int) -> None:
        self._index.expansion_search = effort

    def one(self, query: np.ndarray) -> Ids:
        return self._index.search(query, K).keys

    def many(self, queries: np.ndarray) -> Sequence[Ids]:
        return self._index.search(queries, K).keys


class Lance(Peer):
    """LanceDB as it comes: a scan of the table where no index was made."""

    modules = ("lancedb",)
    indexed: ClassVar[bool] = False

    def build(self, data: Data, at: Path) -> None:
        import lancedb
        import pyarrow as pa

        vector = pa.list_(pa.float32(), DIM)
        schema = pa.schema([("id", pa.int64()), ("text", pa.string()), ("vector", vector)])

        def batches() -> Iterator[Any]:
            for ids, block, texts in data.records():
                columns = pa.array(ids), pa.array(texts), pa.FixedSizeListArray.from_arrays(block.reshape(-1), DIM)
                yield pa.RecordBatch.from_arrays(list(columns), schema=schema)

        table = lancedb.connect(str(at)).create_table("passages", data=batches(), schema=schema)
        if self.indexed:
            from lancedb.index import IvfPq

            table.create_index("vector", config=IvfPq(distance_type="dot"))

    def open(self, at: Path) -> None:
        import lancedb

        self._table = lancedb.connect(str(at)).open_table("passages")

    def one(self, query: np.ndarray) -> Ids:
        return [hit["id"] for hit in self._search(query).to_list()]

    def many(self, queries: np.ndarray) -> Sequence[Ids]:
        found: list[list[int]] = [[] for _ in queries]
        for hit in self._search(queries).to_list():
            found[hit["query_index"]].append(hit["id"])
        return found

    def _search(self, queries: np.ndarray) -> Any:
        return self._table.search(queries).distance_type("dot").select(["id", "text", "_distance"]).limit(K)


class LanceIvf(Lance):
    ladder, effort_name, indexed = LANCE, "nprobes, refine_factor", True
    _effort = LANCE[0]

    def tune(self, effort: tuple[int, int]) -> None:
        self._effort = effort

    def _search(self, queries: np.ndarray) -> Any:
        probes, refine = self._effort
        return super()._search(queries).nprobes(probes).refine_factor(refine)


class Chroma(Peer):
    modules = ("chromadb",)
    ladder, effort_name = EF, "ef_search"

    def build(self, data: Data, at: Path) -> None:
        graph = {"space": "ip", "max_neighbors": M, "ef_construction": EF_CONSTRUCTION}
        client = self._client(at)
        passages = client.create_collection("passages", embedding_function=None, configuration={"hnsw": graph})
        for ids, block, texts in data.records(client.get_max_batch_size()):
            passages.add(ids=[str(i) for i in ids], embeddings=block, documents=texts)

    def open(self, at: Path) -> None:
        self._at, self._chroma = at, self._client(at)
        self._passages = self._chroma.get_collection("passages", embedding_function=None)

    def tune(self, effort: int) -> None:
        self._passages.modify(configuration={"hnsw": {"ef_search": effort}})
        self._chroma.close()  # an open collection goes on with the effort it was opened with, and stays in memory
        self.open(self._at)

    def one(self, query: np.ndarray) -> Ids:
        return self.many(query[None])[0]

    def many(self, queries: np.ndarray) -> Sequence[Ids]:
        found = self._passages.query(query_embeddings=queries, n_results=K, include=["documents"])
        return [[int(i) for i in ids] for ids in found["ids"]]

    @staticmethod
    def _client(at: Path) -> Any:
        import chromadb

        return chromadb.PersistentClient(str(at), settings=chromadb.Settings(anonymized_telemetry=False))


class Milvus(Peer):
    modules = ("pymilvus", "milvus_lite")
    ladder, effort_name = EF, "ef"
    _effort = EF[0]

    def build(self, data: Data, at: Path) -> None:
        from pymilvus import DataType

        client = self._client(at)
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("text", DataType.VARCHAR, max_length=TEXT)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
        client.create_collection("passages", schema=schema)
        for ids, block, texts in data.records(5000):  # its messages hold 64 MB
            rows = zip(ids, block, texts, strict=True)
            client.insert("passages", [{"id": i, "vector": vector, "text": text} for i, vector, text in rows])
        client.flush("passages")
        # An index made before the rows are flushed is not built for them, and they are scanned.
        index = client.prepare_index_params()
        graph = {"M": M, "efConstruction": EF_CONSTRUCTION}
        index.add_index("vector", index_type="HNSW", metric_type="IP", params=graph)
        client.create_index("passages", index)
        client.load_collection("passages")
        client.close()

    def open(self, at: Path) -> None:
        self._milvus = self._client(at)
        self._milvus.load_collection("passages")

    def tune(self, effort: int) -> None:
        self._effort = effort

    def one(self, query: np.ndarray) -> Ids:
        return self.many(query[None])[0]

    def many(self, queries: np.ndarray) -> Sequence[Ids]:
        how = {"params": {"ef": self._effort}}
        found = self._milvus.search("passages", queries, limit=K, output_fields=["text"], search_params=how)
        return [[hit["id"] for hit in hits] for hits in found]

    @staticmethod
    def _client(at: Path) -> Any:
        from pymilvus import MilvusClient

        # By default its client asks every ten seconds whether the server lives, and the server ends a connection that
        # asks so during a call of three minutes; the call is then repeated, and fails.
        return MilvusClient(str(at / "milvus.db"), grpc_options={"grpc.keepalive_time_ms": 2**31 - 1})


class LlamaIndex(Peer):
    """SimpleVectorStore and SimpleDocumentStore, which VectorStoreIndex uses unless told otherwise."""

    modules = ("llama_index.core",)
    most = 100_000  # each number is a Python object: 16 GB of them at 1M, more while they are written and read

    def build(self, data: Data, at: Path) -> None:
        from llama_index.core import MockEmbedding, VectorStoreIndex
        from llama_index.core.schema import TextNode

        nodes = [
            TextNode(id_=str(i), text=text, embedding=vector)
            for ids, block, texts in data.records()
            for i, vector, text in zip(ids, block.tolist(), texts, strict=True)
        ]
        VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=DIM)).storage_context.persist(str(at))

    def open(self, at: Path) -> None:
        from llama_index.core import MockEmbedding, StorageContext, load_index_from_storage

        context = StorageContext.from_defaults(persist_dir=str(at))
        index = load_index_from_storage(context, embed_model=MockEmbedding(embed_dim=DIM))
        self._retriever = index.as_retriever(similarity_top_k=K)

    def one(self, query: np.ndarray) -> Ids:
        from llama_index.core.schema import QueryBundle

        asked = QueryBundle(query_str="", embedding=query.tolist())
        return [int(hit.node.node_id) for hit in self._retriever.retrieve(asked)]


class Ours(Peer):
    """The index store. A search asks for rows, then for their passages and documents."""

    modules = ("faiss", "rag.indexing")

    def missing(self) -> str | None:
        return super().missing() or (None if self.backend == "flat" or _has_backends() else "not in this version")

    def build(self, data: Data, at: Path) -> None:
        from rag.indexing import IndexStore, SpaceInfo
        from rag.types import Document, Passage

        with IndexStore.create(at / "bench", **_vectors(self.backend)) as store, store.writer() as writer:
            for ids, block, texts in data.records():
                names = [str(i) for i in ids]
                pairs = list(zip(names, texts, strict=True))
                documents = [
                    Document(id=name, kind="report", text=text, case_id=name, group_id=name, source="bench")
                    for name, text in pairs
                ]
                passages = [
                    Passage(id=name, document_id=name, start=0, end=len(text), text=text) for name, text in pairs
                ]
                writer.stage(documents, passages, {"text": (names, block)})
            writer.publish("bench", {"text": SpaceInfo(DIM, "bench")})

    def open(self, at: Path) -> None:
        from rag.indexing import IndexStore

        self.store = IndexStore.open(at / "bench", **_vectors(self.backend))
        self.snapshot = self.store.snapshot()

    def bare(self, at: Path) -> Callable[[np.ndarray], object]:
        """FAISS called on the store's own files, searching as hard as the store does for near questions.

        Where the store asks compressed lists for more candidates than neighbours, FAISS does, too: its IndexRefine
        orders them by the same half-precision vectors, held in memory.
        """
        import faiss

        indexes = []
        for file in sorted((at / "bench").glob("segments/*/index.faiss")):
            index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
            about = file.with_name("backend.json")
            facts = json.loads(about.read_text()) if about.exists() else {}
            effort, widen = facts.get("near_effort"), facts.get("near_widen", 1)
            if self.backend == "hnsw":
                faiss.downcast_index(index.index).hnsw.efSearch = effort
            elif self.backend.startswith("ivf"):
                index.nprobe = effort
            if widen > 1:
                halves = faiss.IndexScalarQuantizer(DIM, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
                halves.add(np.load(file.with_name("vectors.npy")).astype(np.float32))
                index = faiss.IndexRefine(index, halves)
                index.k_factor = widen
            indexes.append(index)
        return lambda queries: [index.search(np.atleast_2d(queries), K) for index in indexes]

    def one(self, query: np.ndarray) -> Ids:
        return self.many(query)[0]

    def many(self, queries: np.ndarray) -> Sequence[Ids]:
        found = self.rows(queries)
        passages = self.snapshot.passages([row for rows in found for row in rows])
        ids = iter([int(passage.id) for passage, _ in passages])
        return [list(islice(ids, len(rows))) for rows in found]

    def rows(self, queries: np.ndarray) -> list[list[int]]:
        """The search alone."""
        return [[hit.row for hit in hits] for hits in self.snapshot.search("text", queries, K)]


def _has_backends() -> bool:
    from rag.indexing import IndexStore

    return "vectors" in signature(IndexStore.create).parameters


def _vectors(backend: str) -> dict[str, Any]:
    """The keyword that chooses a backend, where the store has it; it began with the flat one alone."""
    if not _has_backends():
        return {}
    from rag.settings import VectorSettings

    return {"vectors": VectorSettings.model_validate({"backend": backend})}


GRAPH = f"M {M}, efConstruction {EF_CONSTRUCTION}"
PEERS = (
    FaissFlat("faiss", "flat", kin="flat"),
    FaissHnsw("faiss", "hnsw", kin="hnsw", setting=GRAPH),
    FaissIvf("faiss", "ivf-sq8", kin="ivf-sq8", setting="4√n lists"),
    Hnswlib("hnswlib", "hnsw", kin="hnsw", setting=GRAPH),
    Usearch("usearch", "hnsw", kin="hnsw", setting=GRAPH + ", f32"),
    Lance("lancedb", "scan", kin="flat", setting="no index"),
    LanceIvf("lancedb", "ivf-pq", kin="ivf-sq8", setting="its own defaults"),
    Chroma("chroma", "hnsw", kin="hnsw", setting=GRAPH),
    Milvus("milvus-lite", "hnsw", kin="hnsw", setting=GRAPH),
    LlamaIndex("llamaindex", "simple", kin="flat"),
    Ours("ours", "flat", kin="flat"),
    Ours("ours", "hnsw", kin="hnsw", setting="chosen by the store"),
    Ours("ours", "ivf-sq8", kin="ivf-sq8", setting="chosen by the store"),
    Ours("ours", "ivf-pq", kin="ivf-sq8", setting="chosen by the store"),
)
