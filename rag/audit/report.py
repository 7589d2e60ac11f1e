"""One recorded answer as a page for people: self-contained, without scripts, nothing loaded from anywhere.

Every text is escaped (see :mod:`rag.audit.markup`), images are embedded small, and a content security policy inside the
page forbids everything but them and the page's own style.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from rag.audit.checks import AuditReport, Lookup
from rag.audit.feedback import Feedback
from rag.audit.images import ImageStore, small_jpeg
from rag.audit.markup import Html, join, tag
from rag.audit.record import EVIDENCE, IMAGE, Entry
from rag.errors import RagError
from rag.types import Answer, Certificate, Draft, Dropped, Evidence

NOTICE = "Research software, not a medical device: do not use it for diagnosis or treatment."
_SIDE = 480  # pixels of an embedded image's longer side
_MOST_IMAGES = 12
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid; }
.said { font-size: 1.1rem; } .refused { font-style: italic; }
article { border: 1px solid #8888; border-radius: .4rem; padding: .2rem 1rem; margin: 1rem 0; }
.text { white-space: pre-wrap; } mark { background: #ffd54f; color: #000; }
table { border-collapse: collapse; } th, td { text-align: left; vertical-align: top; padding: .1rem 1rem .1rem 0; }
th { font-weight: 600; } code { overflow-wrap: anywhere; } img { max-width: 100%; }
.fine { font-size: .85rem; opacity: .8; } .bad { font-weight: 700; }
"""
_POLICY = (
    "default-src 'none'; img-src data:; style-src "
    f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)


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
    body = join(
        tag("h1", answer.question.text),
        _question(entry, answer, images),
        tag("h2", "Answer"),
        *_said(answer),
        tag("p", certificate_in_words(answer.certificate)),
        tag("h2", "Evidence"),
        *_evidences(entry, answer, lookup),
        tag("h2", "How it came about"),
        *_working(entry, answer),
        tag("h2", "Verification of this record"),
        _checks(audit),
        tag("h2", "Judgements") if feedback else None,
        *(_judgement(f) for f in feedback),
        tag("p", NOTICE, class_="fine"),
    )
    head = join(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"Answer {entry.audit_id}"),
        tag("style", Html(_STYLE)),
    )
    return f"<!DOCTYPE html>\n{tag('html', tag('head', head), tag('body', tag('main', body)), lang='en')}\n"


def certificate_in_words(certificate: Certificate) -> str:
    """What is promised about an answer, or that nothing is."""
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


def _question(entry: Entry, answer: Answer, images: ImageStore) -> Html:
    q = answer.question
    told = {
        "Recorded": f"{entry.created} as {entry.audit_id}",
        "Asked by": entry.caller or "not recorded",
        "Index version": answer.index_version,
        "Study": q.study,
        "Excluded": ", ".join(q.exclude_groups) or None,
        "Domain": f"{answer.domain.name} ({answer.domain.probability:.2f})"
        + (", out of domain" if answer.domain.out_of_domain else ""),
        "Image": entry.image_sha256 and f"SHA-256 {entry.image_sha256}",
    }
    picture: Html | None = None
    if IMAGE in entry.redacted:
        picture = tag("p", "The image was redacted.", class_="fine")
    elif entry.image_sha256 is not None:
        picture = _picture(images.path(entry.image_sha256), "the image that was asked about")
    return join(_table(told.items()), picture)


def _said(answer: Answer) -> list[Html]:
    said = []
    if answer.decision == "abstained":
        said.append(tag("p", f"Not answered: {answer.reason}.", class_="said refused"))
        if answer.sentences:
            said.append(tag("p", "What the evidence says:"))
    for sentence in answer.sentences:
        links = [tag("a", f"[{n}]", href=f"#evidence-{n}") for n in sentence.citations]
        said.append(tag("p", sentence.text, " ", *links, class_="said"))
    if not said:
        said.append(tag("p", answer.answer, class_="said"))
    foot = f"{answer.decision}, confidence {answer.confidence:.2f}"
    foot += f"; {answer.reason}" if answer.decision == "answered" else ""
    return [*said, tag("p", foot, class_="fine")]


def _evidences(entry: Entry, answer: Answer, lookup: Lookup) -> list[Html]:
    shown: list[Html] = []
    left = _MOST_IMAGES
    for e in answer.evidence:
        source = f"{e.document_id}, {e.source}, {e.kind}, licence {e.licence}"
        source += f", found by {e.channel} (score {e.score:.3f})"
        picture = None
        if left > 0 and (path := image_of(e, answer.index_version, lookup)) is not None:
            picture = _picture(path, f"the image of evidence {e.number}")
            left -= 1
        gone = f"{EVIDENCE}{e.number}" in entry.redacted
        shown.append(
            tag(
                "article",
                tag("p", tag("strong", f"[{e.number}] {e.title or e.document_id}"), " ", source),
                tag("p", *_highlighted(e, answer), class_="text"),
                tag("p", f"References: {', '.join(e.references)}", class_="fine") if e.references else None,
                picture,
                tag("p", "redacted" if gone else f"from character {e.start}, SHA-256 {e.sha256}", class_="fine"),
                id=f"evidence-{e.number}",
            )
        )
    return shown or [tag("p", "Nothing was found.")]


def image_of(evidence: Evidence, version: int, lookup: Lookup) -> Path | None:
    """The file of the image that a piece of evidence is or was found by, if any; it need not exist any more."""
    if evidence.image is None:
        return None
    document = lookup(evidence.image, version)  # found by a similar image, which is named by its document
    return Path(document.image if document is not None and document.image else evidence.image)


def _highlighted(e: Evidence, answer: Answer) -> list[object]:
    """The text with what is quoted from it marked; quotes that overlap become one."""
    marked = [False] * len(e.text)
    for c in answer.citations:
        if c.number == e.number:
            for at in range(max(0, c.start - e.start), min(len(e.text), c.end - e.start)):
                marked[at] = True
    pieces: list[object] = []
    begin = 0
    for at in range(1, len(e.text) + 1):
        if at == len(e.text) or marked[at] != marked[begin]:
            piece = e.text[begin:at]
            pieces.append(tag("mark", piece) if marked[begin] else piece)
            begin = at
    return pieces


def _working(entry: Entry, answer: Answer) -> list[Html]:
    working, made = entry.working, list[Html]()
    for n, failed in enumerate(working.earlier, start=1):
        made += _draft(f"Draft {n}, sent back ({failed.why}):", failed.draft, failed.dropped)
    if working.draft is not None:
        made += _draft("The draft, before verification:", working.draft, working.dropped)
    made += [tag("p", tag("strong", "Repaired: "), words) for words in working.repaired]
    policy = ", ".join(f"{name} = {value:g}" for name, value in working.policy.items())
    took = ", ".join(f"{name} {ms:.0f} ms" for name, ms in answer.timings_ms.items())
    rows = {"Policy applied": policy or "not recorded", "Took": took, **working.fingerprints}
    return [*made, _table(rows.items(), code=True)]


def _draft(title: str, draft: Draft, dropped: Sequence[Dropped]) -> list[Html]:
    sentences = [tag("li", s.text) for s in draft.sentences]
    refusal = f"none: {draft.refusal}" if draft.refusal else draft.text or "none"
    made = [tag("p", title), tag("ul", *sentences) if sentences else tag("p", refusal, class_="refused")]
    for one in dropped:
        why = f"{one.verdict}{f': {one.reason}' if one.reason else ''}"
        made.append(tag("p", tag("strong", f"Dropped ({why}): "), one.text))
    return made


def _checks(audit: AuditReport) -> Html:
    words = {True: tag("span", "holds: "), False: tag("span", "FAILS: ", class_="bad")}
    return tag("ul", *(tag("li", words[c.ok], c.name, _detail(c.detail)) for c in audit.checks))


def _detail(text: str) -> str:
    return f" ({text})" if text else ""


def _judgement(f: Feedback) -> Html:
    more = [f"{name}: {text}" for name, text in (("correction", f.correction), ("reason", f.reason)) if text]
    return tag("p", f"{f.created}, {f.caller}: ", tag("strong", f.mark), _detail("; ".join(more)))


def _table(rows: Iterable[tuple[str, object]], code: bool = False) -> Html:
    shown = [(k, tag("code", v) if code else v) for k, v in rows if v is not None]
    return tag("table", *(tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in shown))


def _picture(path: Path, words: str) -> Html:
    """The image, small; or why it is not shown."""
    try:
        data = base64.b64encode(small_jpeg(path, _SIDE)).decode()
    except RagError as error:
        return tag("p", f"({words} cannot be shown: {error})", class_="fine")
    return tag("p", tag("img", src=f"data:image/jpeg;base64,{data}", alt=words))
