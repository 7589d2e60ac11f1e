"""The numbers of evidence: the generator's, by rank, and the answer's, by first citation."""

from __future__ import annotations

from collections.abc import Generator as Steps
from collections.abc import Mapping, Sequence

from rag.answering.drafting import Attempt, Passed
from rag.indexing.snapshot import Snapshot
from rag.types import Citation, Event, Evidence, Hit, Sentence
from rag.verification.verify import Verified


def evidence_of(number: int, hit: Hit) -> Evidence:
    """A hit as the generator is handed it."""
    d, p = hit.document, hit.passage
    return Evidence(
        number=number,
        document_id=d.id,
        passage_id=p.id,
        kind=d.kind,
        domain=d.domain,
        title=d.title,
        source=d.source,
        licence=d.licence,
        case_id=d.case_id,
        group_id=d.group_id,
        channel="image" if "image" in hit.ranks else hit.channel,
        score=round(hit.similarities["image"] if "image" in hit.ranks else hit.score, 6),
        text=p.text,
        start=p.start,
        sha256=p.sha256,
        image=hit.found_image or d.image,
        references=tuple(d.metadata.get("references", ())),
    )


def image_file(e: Evidence, snapshot: Snapshot) -> str | None:
    """The file of the image that brought a piece of evidence, or that it is."""
    document = snapshot.document(e.image) if e.image else None
    return document.image if document else e.image


def told(working: Steps[Passed, None, tuple[Attempt, ...]]) -> Steps[Event, None, tuple[Attempt, ...]]:
    """Sentences as they pass, with the numbers that they will have in the answer; all attempts come back."""
    new: dict[int, int] = {}
    while True:
        try:
            passed = next(working)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        for c in passed.citations:
            new.setdefault(c.number, len(new) + 1)
        sentence, citations = _renumbered(passed.sentence, passed.citations, new)
        yield Event(kind="sentence", sentence=sentence, citations=citations)


def _renumbered(
    sentence: Sentence, citations: Sequence[Citation], new: Mapping[int, int]
) -> tuple[Sentence, tuple[Citation, ...]]:
    return (
        sentence.model_copy(update={"citations": tuple(sorted(new[n] for n in sentence.citations))}),
        tuple(c.model_copy(update={"number": new[c.number]}) for c in citations),
    )


def numbered(
    verified: Verified, evidence: tuple[Evidence, ...]
) -> tuple[tuple[Sentence, ...], tuple[Citation, ...], tuple[Evidence, ...]]:
    """Renumber evidence in the order of first citation; what is not cited follows."""
    order = list(dict.fromkeys([c.number for c in verified.citations] + [e.number for e in evidence]))
    new = {old: n for n, old in enumerate(order, start=1)}
    if all(old == n for old, n in new.items()):
        return verified.sentences, verified.citations, evidence
    sentences = tuple(_renumbered(s, (), new)[0] for s in verified.sentences)
    citations = tuple(c.model_copy(update={"number": new[c.number]}) for c in verified.citations)
    found = (e.model_copy(update={"number": new[e.number]}) for e in evidence)
    return sentences, citations, tuple(sorted(found, key=lambda e: e.number))
