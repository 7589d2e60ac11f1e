"""From a report to the statements that are kept of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rag import language
from rag.indexing.statements import LEFT, RIGHT, ReadDocument, Statement
from rag.language.clinical_text import ClinicalSentence, Texts
from rag.language.languages import ENGLISH, TEXT_LANGUAGE, language_of
from rag.language.lexicon import Lexicon, Mention
from rag.language.quantities import Quantity
from rag.language.statements import Assertion
from rag.types import Document, sha256_of

_RULES = "statements-1"  # what the reader's measured errors are of; see knowledge/reader-errors.toml
_SIZES = frozenset({"length", "volume", "percent", "density", "angle", "mass"})
_BITS = {"left": LEFT, "right": RIGHT}
_ISO = re.compile(r"((?:19|20)\d\d)(?:-(\d\d)(?:-(\d\d))?)?(?!\d)")
_PACKED = re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)(?!\d)")
_DATES = ("date", "study_date", "StudyDate", "Date", "created", "year")


def rules_of(lexicon: Lexicon) -> str:
    """The version of this reading: with another one a report may say something else.

    It changes with the code that reads and with the lexicon, so that nobody has to remember to change it; a change that
    reads nothing differently costs a reading that was not needed.
    """
    return f"{_RULES}:{_code()}:{lexicon.fingerprint}"


def read_document(row: int, document: Document, texts: Texts) -> ReadDocument:
    """What a report says, as it is kept.

    >>> texts = Texts(Lexicon.load())
    >>> report = Document(id="r", kind="report", text="A 1.2 cm nodule is seen.", case_id="c", group_id="c", source="s")
    >>> [(s.concept, s.status, s.value) for s in read_document(0, report, texts).statements]
    [('nodule', 'present', 12.0)]
    """
    if (code := other_language(document, texts)) is not None:
        return ReadDocument(row, date_of(document.metadata), (), code)
    read = texts.of(document.text)
    sentences = {start: sentence for start, _, sentence in read.sentences}
    kept = dict.fromkeys(_statement(a, sentences[a.start], texts.lexicon) for a in read.statements)
    return ReadDocument(row, date_of(document.metadata), tuple(kept))


def other_language(document: Document, texts: Texts) -> str | None:
    """The code of a document's language where it is not read here; None of one in English.

    A finding's name is the same in many languages: "Kein Pneumothorax" must not be read for a pneumothorax.
    """
    code = str(document.metadata.get(TEXT_LANGUAGE) or language_of(document.text, texts.lexicon.vocabulary))
    return None if code == ENGLISH else code


def date_of(metadata: dict[str, Any]) -> str:
    """The date of a document, ISO, as exact as its source tells it ("2019", "2019-03-04"); empty where it does not."""
    for name in _DATES:
        told = str(metadata.get(name) or "").strip()
        if found := _PACKED.match(told) or _ISO.match(told):
            return "-".join(part for part in found.groups() if part)
    return ""


@lru_cache(maxsize=1)
def _code() -> str:
    """Of the modules that read language, and this one."""
    files = [*sorted(Path(language.__file__ or "").parent.glob("*.py")), Path(__file__)]
    return sha256_of("".join(file.read_text(encoding="utf-8") for file in files))[:8]


def kept_words(some: frozenset[str]) -> str:
    """A set of words as it is kept, so that each can be looked for between spaces."""
    return f" {' '.join(sorted(w.replace(' ', '_') for w in some))} " if some else ""


def bits_of(sides: frozenset[str]) -> int:
    """Sides as they are kept."""
    return sum(_BITS[side] for side in sides if side in _BITS)


def _statement(a: Assertion, sentence: ClinicalSentence, lexicon: Lexicon) -> Statement:
    size = _size(a, sentence, lexicon)
    return Statement(
        concept=a.concept,
        status=a.status,
        sides=bits_of(a.place.sides),
        zones=kept_words(a.place.zones),
        degrees=kept_words(a.place.degrees),
        course=kept_words(a.place.course or sentence.place.course),
        dimension=size.dimension if size else "",
        value=size.value if size else None,
        sure=a.sure,
        derived=a.derived,
        start=a.start,
        end=a.end,
    )


def _size(a: Assertion, sentence: ClinicalSentence, lexicon: Lexicon) -> Quantity | None:
    """The largest measure that stands nearer to this finding than to another one of its sentence."""
    if a.status == "absent" or a.derived:
        return None
    findings = [m for m in sentence.mentions if m.kind in ("finding", "term")]
    mine = {m for m in findings if m.concept == a.concept}
    sizes = [q for q in sentence.quantities if q.dimension in _SIZES and q.bound != "<" and q.end != "from"]
    own = [q for q in sizes if _nearest(q, findings) in mine]
    first = own[0].dimension if own else ""
    return max((q for q in own if q.dimension == first), key=lambda q: q.value, default=None)


def _nearest(q: Quantity, findings: Sequence[Mention]) -> Mention | None:
    return min(findings, key=lambda m: max(m.first - q.last, q.first - m.last), default=None)
