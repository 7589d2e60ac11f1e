"""Whether a question can be asked of an index at all, and the study that it names."""

from __future__ import annotations

import re
from pathlib import Path

from rag.corpus.images import check_image
from rag.errors import InputError
from rag.indexing.snapshot import Snapshot
from rag.types import Question

_STUDY = re.compile(r"\b(?:study|case)\s+([A-Za-z]+[-_/]?\d\w*)", re.I)
_IDENTIFIER = re.compile(r"[A-Za-z][\w./:-]*\d[\w./:-]*")


def check_question(q: Question, snapshot: Snapshot, index: str, most: int) -> Question:
    """The question with the id of the study that its words name, if they do.

    Args:
        q: as it was asked.
        snapshot: what it is asked of.
        index: its name, for messages.
        most: characters that a question may have.

    Raises:
        InputError: it is empty, too long, names a study that is not there, or has an image that cannot be used.
    """
    if not q.text.strip():
        raise InputError('the question is empty; write one, e.g.: rag ask "Does study CXR2814 show cardiomegaly?"')
    if len(q.text) > most:
        raise InputError(f"the question has {len(q.text):,} characters; at most {most:,} are read. Shorten it.")
    if q.image is not None:
        check_image(Path(q.image))
        if not snapshot.spaces().keys() & {"image", "joint"}:
            raise InputError(f"index {index!r} has no images to compare with; ask without {q.image}")
    named = _STUDY.search(q.text)
    wanted = q.study or (named[1] if named else None)
    if wanted is not None:
        if (case := snapshot.has_case(wanted)) is None:
            raise InputError(f"index {index!r} has no study {wanted!r}; see the ids with: rag search")
        return q.model_copy(update={"study": case})
    cases = {c for word in _IDENTIFIER.findall(q.text) if (c := snapshot.has_case(word.rstrip(".:/-")))}
    if len(cases) == 1 and any(d.kind == "report" for d in snapshot.case(min(cases))):
        return q.model_copy(update={"study": min(cases)})
    return q
