"""Questions that would flatter whatever is measured with them: answered from their own case, or learned by heart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rag.answering.engine import Engine
from rag.corpus.images import check_image
from rag.encoders.registry import load_reranker
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.generation.seen import Seen, hash_of_file, hash_of_name, hashes_of_texts, seen_of
from rag.settings import Settings, load_settings


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


def refuse_seen(questions: Sequence[LabelledQuestion], engine: Engine) -> None:
    """Refuse questions that a model has learned from which finds, writes or judges: their certificate is void.

    A question was learned from if its group was, or its image, or the report of its study, or (where it asks about
    neither) its own words. Models that do not say what they have seen are not refused.

    Raises:
        InputError: at least one was; the message names the first and says how many there are.
    """
    for model, seen in _models(engine.settings):
        found = [(q, why) for q in questions if (why := _why_seen(q, engine, seen))]
        if found:
            q, why = found[0]
            raise InputError(
                f"question {q.id!r} is void: the model {model!r} has learned from {why}; {len(found)} of "
                f"{len(questions)} questions are such, and a certificate computed on them would promise too much: "
                "leave them out"
            )


def _models(settings: Settings) -> Iterator[tuple[str, Seen]]:
    """Who ranks, who writes and who is heard as a witness, as far as they run here and say what they have seen."""
    reranker = load_reranker(settings.retrieval)
    if reranker is not None and (read := Seen.read(reranker.folder)) is not None:
        yield str(settings.retrieval.reranker), read
    generation = settings.generation
    witness = [load_settings(generation.witness).generation] if generation.witness is not None else []
    for some in (generation, *witness):
        model = some.transformers.model if some.language_model == "transformers" else None
        seen = seen_of(model) if model is not None else None
        if model is not None and seen is not None:
            yield model, seen


def _why_seen(q: LabelledQuestion, engine: Engine, seen: Seen) -> str:
    """What of the question was learned from; empty if nothing was."""
    asked = q.question
    groups = filter(None, (q.group, asked.study, *asked.exclude_groups))
    if any(hash_of_name(name) in seen.groups for name in groups):
        return f"its group {q.group!r}"
    if asked.image is not None and Path(asked.image).is_file() and hash_of_file(asked.image) in seen.images:
        return "its image"
    if asked.study is not None:
        texts = [d.text for d in engine.pipeline().snapshot.case(asked.study)]
        known = hashes_of_texts(texts) & seen.texts
        return f"the report of {asked.study!r}, or one with the same words" if known else ""
    return "the same question" if asked.image is None and hashes_of_texts([asked.text]) & seen.texts else ""
