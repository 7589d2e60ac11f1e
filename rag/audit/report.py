"""One recorded answer as a page for people: self-contained, without scripts, nothing loaded from anywhere.

The page is ``report.html.jinja``; Jinja escapes every text and refuses a name that does not exist. Images are embedded
small, and a content security policy inside the page forbids everything but them and the page's own style.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from rag.audit.checks import AuditReport, Lookup
from rag.audit.feedback import Feedback
from rag.audit.images import ImageStore, small_jpeg
from rag.audit.record import EVIDENCE, IMAGE, Entry
from rag.errors import RagError
from rag.types import Answer, Certificate, Evidence

NOTICE = "Research software, not a medical device: do not use it for diagnosis or treatment."
_SIDE = 480  # pixels of an embedded image's longer side
_MOST_IMAGES = 12


class ShownImage(NamedTuple):
    """An image in words, and as a base64 JPEG or the reason why it cannot be shown."""

    words: str
    data: str
    problem: str = ""


def html_report(
    entry: Entry,
    lookup: Lookup,
    audit: AuditReport,
    images: ImageStore,
    feedback: Sequence[Feedback] = (),
) -> str:
    """The page, as the text of an HTML file.

    Args:
        entry: a recorded answer.
        lookup: (document id, index version) -> the document as it was in that version, or None.
        audit: what a verification of the entry found.
        images: where the question's image lies.
        feedback: judgements of the answer.

    Raises:
        ValueError: the entry does not hold an answer.
    """
    answer = entry.answer
    asked_about = None
    if entry.image_sha256 is not None and IMAGE not in entry.redacted:
        asked_about = _picture(images.path(entry.image_sha256), "the image that was asked about")
    return _page().render(
        entry=entry,
        answer=answer,
        asked=_asked(entry, answer),
        image=asked_about,
        image_redacted=IMAGE in entry.redacted,
        certificate=certificate_in_words(answer.certificate),
        evidence=_evidences(entry, answer, lookup),
        working=_working(entry, answer),
        audit=audit,
        feedback=feedback,
        notice=NOTICE,
    )


@cache
def _page() -> Template:
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters["source_hash"] = _source_hash
    return pages.get_template("report.html.jinja")


def _source_hash(style: str) -> str:
    """What a content security policy calls the one style that it allows."""
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"


def certificate_in_words(certificate: Certificate) -> str:
    """What is promised about an answer, or that nothing is; and whether such answers depend on the image."""
    effect = certificate.image_effect
    seeing = "" if effect is None else f" Whether such answers depend on the image: {effect}."
    return f"{_promise_in_words(certificate)}{seeing}"


def _promise_in_words(certificate: Certificate) -> str:
    why = certificate.why.rstrip(".")
    if certificate.status == "stale":
        return f"Nothing is promised about errors: the certificate of the index does not hold any more ({why})."
    if certificate.status == "uncertified" or certificate.alpha is None or certificate.delta is None:
        return f"Nothing is promised about errors: no certificate covers this answer ({why})."
    where = f" in {', '.join(certificate.domains)}" if certificate.domains else ""
    tested = f" It was tested on {certificate.n:,} independent groups of questions" if certificate.n else ""
    share = f", {certificate.coverage:.0%} of which were answered" if certificate.coverage is not None else ""
    lost = "are wrong" if certificate.risk in (None, "wrong-answer") else f"are lost by the risk “{certificate.risk}”"
    return (
        f"Certified: of the answers given{where} to questions like those of the calibration, at most "
        f"{certificate.alpha:.0%} {lost}, with a confidence of {1 - certificate.delta:.1%}."
        + (f"{tested}{share}." if tested else "")
        + " This speaks of many answers together, not of this one alone."
    )


def _asked(entry: Entry, answer: Answer) -> dict[str, object]:
    """What was asked, when and by whom; None is left out."""
    q = answer.question
    return {
        "Recorded": f"{entry.created} as {entry.audit_id}",
        "Asked by": entry.caller or "not recorded",
        "Index version": answer.index_version,
        "Study": q.study,
        "Excluded": ", ".join(q.exclude_groups) or None,
        "Domain": f"{answer.domain.name} ({answer.domain.probability:.2f})"
        + (", out of domain" if answer.domain.out_of_domain else ""),
        "Image": entry.image_sha256 and f"SHA-256 {entry.image_sha256}",
    }


def _evidences(
    entry: Entry, answer: Answer, lookup: Lookup
) -> list[tuple[Evidence, list[tuple[bool, str]], ShownImage | None, bool]]:
    """Each piece of evidence, its text in marked and unmarked pieces, its picture, and whether it was redacted."""
    shown, left = [], _MOST_IMAGES
    for e in answer.evidence:
        picture = None
        if left > 0 and (path := image_of(e, answer.index_version, lookup)) is not None:
            picture = _picture(path, f"the image of evidence {e.number}")
            left -= 1
        shown.append((e, _highlighted(e, answer), picture, f"{EVIDENCE}{e.number}" in entry.redacted))
    return shown


def image_of(evidence: Evidence, version: int, lookup: Lookup) -> Path | None:
    """The file of the image that a piece of evidence is or was found by, if any; it need not exist any more."""
    if evidence.image is None:
        return None
    document = lookup(evidence.image, version)  # found by a similar image, which is named by its document
    return Path(document.image if document is not None and document.image else evidence.image)


def _highlighted(e: Evidence, answer: Answer) -> list[tuple[bool, str]]:
    """The text in pieces, with whether they are quoted; quotes that overlap become one."""
    marked = [False] * len(e.text)
    for c in answer.citations:
        if c.number == e.number:
            for at in range(max(0, c.start - e.start), min(len(e.text), c.end - e.start)):
                marked[at] = True
    pieces = []
    begin = 0
    for at in range(1, len(e.text) + 1):
        if at == len(e.text) or marked[at] != marked[begin]:
            pieces.append((marked[begin], e.text[begin:at]))
            begin = at
    return pieces


def _working(entry: Entry, answer: Answer) -> dict[str, object]:
    """With what the answer was made."""
    policy = ", ".join(f"{name} = {value:g}" for name, value in entry.working.policy.items())
    took = ", ".join(f"{name} {ms:.0f} ms" for name, ms in answer.timings_ms.items())
    return {"Policy applied": policy or "not recorded", "Took": took, **entry.working.fingerprints}


def _picture(path: Path, words: str) -> ShownImage:
    """The image, small; or why it is not shown."""
    try:
        return ShownImage(words, base64.b64encode(small_jpeg(path, _SIDE)).decode())
    except RagError as error:
        return ShownImage(words, "", str(error))
