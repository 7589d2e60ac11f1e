"""The regions of a recorded answer: where in its images is what it says, and where in a report's image what that says.

Medical report grounding (Ichinose et al. 2023; Zou et al. 2024) is the same for every sentence of a report with an
image of its case. Findings are those that the texts assert to be there; of what is absent there is no place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from rag.audit.images import ImageStore
from rag.audit.record import Entry
from rag.corpus.images import image_fault, load_image
from rag.errors import InputError
from rag.grounding.base import Grounder
from rag.grounding.region import Grounding, Region
from rag.grounding.standing import UNLIKE, ground_in, standing_of
from rag.indexing.snapshot import Snapshot
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.language.statements import Assertion
from rag.types import Answer, Document

if TYPE_CHECKING:
    from PIL import Image

MOST = 16  # findings of one answer or report


class Target(NamedTuple):
    """A finding to look for: in the image of a piece of evidence, or (None) of the question.

    ``sentence`` is that of the answer which says it, ``start`` and ``end`` the span of the report's sentence.
    """

    phrase: str
    evidence: int | None
    sentence: int | None = None
    start: int | None = None
    end: int | None = None


class CitedRegion(Region):
    """A region with what says it: a sentence of the answer, or of the report that is evidence."""

    evidence: int | None = Field(None, description="Number of the evidence in whose image it is; null: the question's.")
    sentence: int | None = Field(None, description="0-based index of the answer's sentence that says it.")
    start: int | None = Field(None, description="Offsets of the report's sentence in its document.")
    end: int | None = None


@dataclass(frozen=True)
class CitedGrounding:
    """What was found of one target in an image of ``size`` (width, height)."""

    target: Target
    grounding: Grounding
    size: tuple[int, int]

    @property
    def region(self) -> CitedRegion:
        return CitedRegion(
            **self.grounding.region.model_dump(), **{k: v for k, v in self.target._asdict().items() if k != "phrase"}
        )

    def png(self) -> bytes:
        """The map; see :meth:`~rag.grounding.region.Grounding.png`."""
        return self.grounding.png(*self.size)


class EntryImages:
    """The images of a recorded answer, as of its index version: each only while it is what it was.

    Those of its evidence are the images that brought it, else an image of its case. None stands for the question's.
    """

    def __init__(self, entry: Entry, snapshot: Snapshot, images: ImageStore) -> None:
        self.answer: Answer = entry.answer
        self._snapshot = snapshot
        self._evidence = {e.number: e for e in entry.answer.evidence}
        self._question = images.path(entry.image_sha256) if entry.image_sha256 else None

    def document(self, number: int) -> Document | None:
        """The image document of a piece of evidence, None where there is no such evidence or it has no image."""
        e = self._evidence.get(number)
        if e is None:
            return None
        named = [self._snapshot.document(name) for name in (e.image, e.document_id) if name]
        return next((d for d in (*named, *self._snapshot.case(e.case_id)) if d is not None and d.image), None)

    def has(self, evidence: int | None) -> bool:
        return self._question is not None if evidence is None else self.document(evidence) is not None

    def domain(self, evidence: int | None) -> str:
        if evidence is not None:
            return self._evidence[evidence].domain
        return UNLIKE if self.answer.domain.out_of_domain else self.answer.domain.name

    def open(self, evidence: int | None) -> Image.Image | None:
        """The picture, None where it is gone or another one now."""
        path, sha256 = self._file(evidence)
        if path is None or image_fault(path, sha256) is not None:
            return None
        try:
            return load_image(path)
        except InputError:
            return None

    def report(self, evidence: int) -> str:
        """The text of the evidence's document, empty where that is gone."""
        document = self._snapshot.document(self._evidence[evidence].document_id)
        return document.text if document is not None else ""

    def _file(self, evidence: int | None) -> tuple[Path | None, str | None]:
        if evidence is None:
            return self._question, self._question.name if self._question else None
        document = self.document(evidence)
        return (Path(document.image), document.image_sha256) if document and document.image else (None, None)


def targets_of_answer(images: EntryImages, texts: Texts) -> tuple[Target, ...]:
    """What an answer says is there, for the question's image; and what it quotes, for the evidence's."""
    answer = images.answer
    found = [*_asserted(answer, texts)] if answer.decision == "answered" and images.has(None) else []
    for c in answer.citations:
        if c.verdict != "contradicted" and images.has(c.number):
            found += (Target(p, c.number, c.sentence, c.start, c.end) for p in phrases_in(c.quote, texts))
    return _distinct(found)


def targets_of_report(evidence: int, report: str, texts: Texts) -> tuple[Target, ...]:
    """Every finding that a report says is there, with the span of the sentence that says it."""
    stated = (a for a in texts.of(report).statements if _is_there(a, texts))
    return _distinct(Target(_phrase(a, texts), evidence, None, a.start, a.end) for a in stated)


def phrases_in(text: str, texts: Texts) -> tuple[str, ...]:
    """The findings that a text says are there, with their side where it names one.

    >>> from rag.language.lexicon import Lexicon
    >>> phrases_in("Small left pleural effusion. No pneumothorax.", Texts(Lexicon.load()))
    ('left pleural effusion',)
    """
    return tuple(dict.fromkeys(_phrase(a, texts) for a in texts.of(text).statements if _is_there(a, texts)))


def ground_targets(targets: Sequence[Target], images: EntryImages, grounder: Grounder) -> list[CitedGrounding]:
    """Look for each target in its image, each image once."""
    found = dict[Target, CitedGrounding]()
    for evidence in dict.fromkeys(t.evidence for t in targets):
        of = [t for t in targets if t.evidence == evidence]
        picture, domain = images.open(evidence), images.domain(evidence)
        if picture is None:
            standing = standing_of(grounder, domain)
            why = standing.model_copy(update={"shown": False, "why": "the image is no longer what was indexed"})
            seen, size = [why.nowhere(t.phrase) for t in of], (1, 1)
        else:
            seen, size = ground_in(domain, grounder, picture, [t.phrase for t in of]), picture.size
        found.update({t: CitedGrounding(t, g, size) for t, g in zip(of, seen, strict=True)})
    return [found[t] for t in targets]


def _asserted(answer: Answer, texts: Texts) -> Iterator[Target]:
    asked = [(p.question, p.verdict, p.sentences) for p in answer.parts]
    for question, verdict, (first, last) in asked or [
        (answer.question.read_as.text, answer.verdict, (0, len(answer.sentences)))
    ]:
        claims = read_question(question, texts.lexicon, answer.question.study).claims
        there = {"yes": "present", "no": "absent"}.get(verdict or "")
        for n, sentence in enumerate(answer.sentences[first:last], first):
            if verdict is None and sentence.seen_by is not None:  # what others are quoted with is not this image's
                yield from (Target(phrase, None, n) for phrase in phrases_in(sentence.text, texts))
        for a in claims if first < last else ():
            if a.status == there and texts.lexicon.concepts[a.concept].kind != "structure":
                yield Target(_phrase(a, texts), None, first)


def _is_there(a: Assertion, texts: Texts) -> bool:
    return a.status == "present" and not a.derived and texts.lexicon.concepts[a.concept].kind != "structure"


def _phrase(a: Assertion, texts: Texts) -> str:
    side = next(iter(a.place.sides)) if len(a.place.sides) == 1 else ""
    return f"{side} {texts.lexicon.name(a.concept)}".strip()


def _distinct(targets: Iterable[Target]) -> tuple[Target, ...]:
    """Each finding of an image once, as it was said first."""
    return tuple({(t.evidence, t.phrase): t for t in reversed([*targets])}.values())[::-1][:MOST]
