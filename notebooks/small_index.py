"""A small index for the notebooks: some hundred real chest X-ray reports, our teaching notes and sample images.

The reports are Open-i's (Indiana University, CC BY-NC-ND 4.0), read from the installed package ``torchxrayvision``.
``make demo`` builds the whole index; this one takes half a minute, and a second call changes nothing.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from filelock import FileLock

import rag
from rag.corpus.packaged import packaged_file

REPORTS = 600


def build(name: str = "notebooks", reports: int = REPORTS) -> rag.Index:
    """The index ``name`` below ``RAG_INDEXES`` (or ``./indexes``)."""
    index = rag.Index.create(name)
    with FileLock(f"{index.path}.lock"):  # notebooks may run side by side, and an index has one writer at a time
        folder = unpack(index.path.parent / f"{name}-reports", reports)
        index.ingest([folder, "notes", "samples"])
    return index


def unpack(folder: Path, reports: int = REPORTS) -> Path:
    """The first reports of the packaged archive, as a folder of XML files such as a hospital might have."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.glob("*.xml"))) < reports:
        with tarfile.open(packaged_file("torchxrayvision", "data", "NLMCXR_reports.tgz")) as archive:
            members = (m for m in archive if m.isfile() and m.name.endswith(".xml"))
            for _, member in zip(range(reports), members, strict=False):
                content = archive.extractfile(member)
                assert content is not None, "a regular file has content"
                (folder / Path(member.name).name).write_bytes(content.read())
    return folder
