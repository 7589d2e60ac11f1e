"""Questions that could be answered from their own case, and would flatter whatever is measured with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag.answering.engine import Engine
from rag.corpus.images import check_image
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion


def refuse_leaks(questions: Sequence[LabelledQuestion], engine: Engine) -> None:
    """Refuse image questions that could be answered from their own case; one about a named study may read its report.

    The same picture under another group's name is found by its hash.
    """
    asked = [(q, q.question.image) for q in questions if q.question.image and not q.question.study]
    for q, _ in asked:
        if not q.question.exclude_groups:
            raise InputError(f"question {q.id!r} has an image and no 'group': its own patient could be its evidence")
    if asked:
        with engine.store.snapshot() as snapshot:
            held = {d.image_sha256: d for d in snapshot.documents("image")}
        for q, image in asked:
            own = held.get(check_image(Path(image or "")).sha256)
            if own is not None and own.group_id not in q.question.exclude_groups:
                raise InputError(
                    f"question {q.id!r} asks about an image that the index holds as {own.id!r} of group "
                    f"{own.group_id!r}, which its own 'group' does not exclude: give it that group"
                )
