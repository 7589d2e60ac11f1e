"""An index is brought to other encoders: every document of its latest version is encoded again, nothing is read anew.

Passages stay as they are. Earlier versions keep their own vectors and stay searchable with their own encoders.
"""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rag.building.batch import BATCH, Batch
from rag.building.report import ReencodeReport
from rag.building.reread import reread
from rag.building.spaces import spaces_of
from rag.corpus.images import image_fault
from rag.encoders.encoders import Encoders
from rag.encoders.pool import Work
from rag.encoders.protocols import Vectors
from rag.errors import InputError
from rag.indexing import IndexStore, Snapshot
from rag.progress import Progress, Silent
from rag.types import Document


def reencode(store: IndexStore, encoders: Encoders, progress: Progress | None = None) -> ReencodeReport:
    """Publish one version with the same documents and the vectors of these encoders.

    Vectors of an encoder that has not changed are copied. An interrupted run publishes nothing; the next one goes on
    from its last batch. Where nothing is to be done the version stays.

    Raises:
        InputError: an image file is not there any more, or is another than when it was ingested.
        IndexStateError: another writer holds the index.
        StorageError: the machine refused; the index is as it was.
    """
    listen, spaces = progress or Silent(), spaces_of(encoders)
    fingerprints = [space.fingerprint for name, space in spaces.items() if name != "joint"]
    with store.writer(checkpoint="|".join(["reencode", *fingerprints, *spaces])) as writer:
        with store.snapshot() as snapshot:
            there = snapshot.spaces()
            report = ReencodeReport(store.name, snapshot.version)
            report.kept = [s for s in there if s in spaces and there[s].fingerprint == spaces[s].fingerprint]
            counts = snapshot.counts()
            lacks = "joint" in spaces.keys() - there.keys() and any(count.kind == "report" for count in counts)
            lacks |= "bridge" in spaces.keys() - there.keys()
            if len(report.kept) == len(there) and not lacks:
                return report
            report.documents = sum(count.documents for count in counts)
            count = listen.stage(f"re-encoding {store.name}", report.documents)
            under_way: deque[Batch] = deque()

            def works() -> Iterator[Work]:
                for documents in writer.documents(BATCH):
                    wanted = writer.compare(documents, anew=True).to_encode
                    count(len(documents) - len(wanted))
                    if chosen := [d for d in documents if d.id in wanted]:
                        passages = [p for d in chosen for _, p in snapshot.passages_of(d.id)]
                        under_way.append(Batch.of(chosen, passages, "joint" in spaces))
                        yield _work(under_way[-1], report.kept, store.name)

            for encoded in encoders.encode(works(), listen):
                batch = under_way.popleft()
                vectors = batch.vectors(encoded)
                if "bridge" in spaces and "bridge" not in report.kept:
                    vectors |= batch.bridged(encoders.bridge)
                for space, (ids, _) in vectors.items():
                    report.encoded[space] = report.encoded.get(space, 0) + len(ids)
                writer.stage(batch.documents, batch.passages, vectors | _stored(batch, report.kept, snapshot))
                count(len(batch.documents))
        for space, plan in writer.plans(spaces).items():
            report.plans[space] = str(plan)
            listen.stage(f"building {space}: {plan}")
        report.version = writer.publish("re-encode", spaces)
    reread(store, listen, again=False)  # a document with other vectors has another row
    return report


def _work(batch: Batch, kept: Sequence[str], index: str) -> Work:
    """What must be encoded, with every image still the one that was ingested."""
    work = batch.work
    for document in () if "image" in kept else batch.documents:
        if document.kind == "image":
            _check_image(document, index)
    return replace(
        work,
        texts=() if "text" in kept else work.texts,
        images=() if "image" in kept else work.images,
        joint=() if "joint" in kept else work.joint,
    )


def _check_image(document: Document, index: str) -> None:
    name = shlex.quote(document.id)
    remedy = f"ingest its source again, or remove it with: rag index remove {index} --document {name}"
    fault = image_fault(Path(document.image or ""), document.image_sha256)
    if fault is not None:
        raise InputError(f"the image of document {document.id!r} {fault}; put it back, or {remedy}")


def _stored(batch: Batch, kept: Sequence[str], snapshot: Snapshot) -> dict[str, tuple[Sequence[str], Vectors]]:
    """Of the batch's passages, the vectors that the index has and that stay."""
    if not kept:
        return {}
    rows = {p.id: row for d in batch.documents for row, p in snapshot.passages_of(d.id)}
    ids = {"text": batch.texts, "image": batch.images, "joint": batch.joint, "bridge": batch.texts}
    return {space: (ids[space], snapshot.vectors(space, [rows[i] for i in ids[space]])) for space in kept}
