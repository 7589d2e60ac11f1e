"""What a FHIR resource says, line by line: reports, observations, conditions, compositions, documents, imaging studies.

Shapes of STU3 and R5 are read where they differ from those of R4. Conditions are told in words that a reader cannot
take for their opposite: one that was refuted is "absent", one that is over is "history of".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rag.corpus.html import text_of_html
from rag.corpus.readers.fhir_files import Json
from rag.corpus.readers.pdf import pages_of
from rag.corpus.rtf import is_rtf, text_of_rtf
from rag.corpus.text import decode_any, on_one_line
from rag.corpus.ucum import printed_unit
from rag.errors import InputError

_TEXT = ("text/plain", "text/markdown", "")
_PAGES = ("text/html", "application/xhtml+xml")
_LETTERS = ("text/rtf", "application/rtf", "application/x-rtf")
_READ = (*_TEXT, *_PAGES, *_LETTERS, "application/pdf")  # in the order in which one of several forms is chosen
_UNSURE = ("provisional", "differential", "unconfirmed")
_OVER = ("resolved", "inactive", "remission")


@dataclass(frozen=True, slots=True)
class Unread:
    """An attachment of a resource that is not read, and why."""

    name: str
    reason: str


Said = str | Unread


class Around(Protocol):
    """The other resources of a file, as far as a text needs them."""

    def find(self, reference: Any, owner: Json) -> Json | None: ...

    def results(self, report: Json) -> Sequence[Json]:
        """The observations that a report lists and tells."""
        ...

    def is_told(self, resource: Json) -> bool: ...


def said_by(resource: Json, around: Around) -> list[Said]:
    """The lines of a resource, and its attachments that are not read; nothing for a type that is not read."""
    tell = _TEXTS.get(str(resource.get("resourceType")))
    return [one for one in tell(resource, around) if one] if tell else []


def is_read(kind: str) -> bool:
    """Whether resources of this type are read."""
    return kind in _TEXTS


def _titled(title: str, rest: Iterator[Said]) -> Iterator[Said]:
    """A title and what follows; a title alone says nothing."""
    lines = [line for line in rest if line]
    if any(isinstance(line, str) for line in lines):
        yield title
    yield from lines


def _report(resource: Json, around: Around) -> Iterator[Said]:
    return _titled(said(resource.get("code")), _found(resource, around))


def _found(resource: Json, around: Around) -> Iterator[Said]:
    for found in around.results(resource):
        yield from _measured(found)
    yield _plain(resource, "conclusion")
    codes = (*as_list(resource.get("conclusionCode")), *as_list(resource.get("codedDiagnosis")))
    yield "; ".join(filter(None, map(said, codes)))
    yield from _forms(as_list(resource.get("presentedForm")), resource, around)
    if not resource.get("conclusion") and not resource.get("presentedForm") and not resource.get("result"):
        yield _narrative(resource)


def _observation(resource: Json, around: Around) -> Iterator[Said]:
    if not around.is_told(resource):
        yield from _measured(resource)


def _measured(resource: Json) -> Iterator[str]:
    """``name: value unit (reference range) [interpretation]``, for the observation and each component."""
    components = as_list(resource.get("component"))
    for one in (resource, *components):
        name, value = said(one.get("code")), _value(one)
        ranges = "; ".join(filter(None, (_range(r) for r in one.get("referenceRange") or ())))
        meaning = "; ".join(filter(None, map(said, as_list(one.get("interpretation")))))
        if value:
            extra = f" (reference {ranges})" * bool(ranges) + f" [{meaning}]" * bool(meaning)
            yield f"{name}: {value}{extra}" if name else f"{value}{extra}"
        elif one is resource and name and (components or meaning):
            yield f"{name}: {meaning}" if meaning else name
    for note in as_list(resource.get("note")):
        yield _plain(note, "text")
    yield _plain(resource, "comment")  # of STU3


def _condition(resource: Json, around: Around) -> Iterator[Said]:
    name = said(resource.get("code"))
    clinical, verified = coded(resource.get("clinicalStatus")), coded(resource.get("verificationStatus"))
    told = {
        "clinical status": said(resource.get("clinicalStatus")),
        "verification": said(resource.get("verificationStatus")),
        "severity": said(resource.get("severity")),
        "site": ", ".join(filter(None, map(said, as_list(resource.get("bodySite"))))),
        "onset": _plain(resource, "onsetDateTime") or _plain(resource, "onsetString"),
        "abated": _plain(resource, "abatementDateTime") or _plain(resource, "abatementString"),
    }
    if name:
        if "refuted" in verified:
            name = f"{name}: absent"
        elif any(one in clinical for one in _OVER):
            name = f"History of {name}"
        elif any(one in verified for one in _UNSURE):
            name = f"Possible {name}"
        yield f"{name} ({'; '.join(f'{k}: {v}' for k, v in told.items() if v)})" if any(told.values()) else name
    for note in as_list(resource.get("note")):
        yield _plain(note, "text")


def _composition(resource: Json, around: Around) -> Iterator[Said]:
    return _titled(_plain(resource, "title"), _sections(resource))


def _sections(resource: Json) -> Iterator[Said]:
    stack = list(reversed(as_list(resource.get("section"))))
    while stack:
        section = stack.pop()
        text = _narrative(section) or said(section.get("emptyReason"))
        if text:
            yield f"{str(section.get('title') or said(section.get('code')) or 'Section').upper()}: {text}"
        stack.extend(reversed(as_list(section.get("section"))))


def _document(resource: Json, around: Around) -> Iterator[Said]:
    attached = [content.get("attachment") or {} for content in as_list(resource.get("content"))]
    return _titled(_plain(resource, "description"), _forms(attached, resource, around))


def _imaging(resource: Json, around: Around) -> Iterator[Said]:
    yield _plain(resource, "description")
    for series in as_list(resource.get("series")):
        modality, site = series.get("modality") or {}, series.get("bodySite") or {}
        names = (
            str(modality.get("code") or said(modality)),
            _plain(series, "description"),
            said(site.get("concept") or {"coding": [site]}),
        )
        yield ", ".join(filter(None, names))
    for note in as_list(resource.get("note")):
        yield _plain(note, "text")


def _forms(attachments: Sequence[Json], resource: Json, around: Around) -> Iterator[Said]:
    """The texts of attachments, of several forms of the same text one; and those that are not read."""
    known = ""
    for number, one in sorted(enumerate(attachments, start=1), key=lambda it: _rank(it[1])):
        try:
            text = _attached(one, resource, around)
        except InputError as error:
            if not known:
                yield Unread(f"attachment {number}", str(error))
            continue
        letters = "".join(c for c in text if c.isalnum())
        if letters not in known:
            yield text
            known += letters


def _rank(attachment: Json) -> int:
    media = _media(attachment)
    return _READ.index(media) if media in _READ else len(_READ)


def _media(attachment: Json) -> str:
    return str(attachment.get("contentType") or "").partition(";")[0].strip().lower()


def _attached(attachment: Json, resource: Json, around: Around) -> str:
    """The text of an attachment that is here. Raises InputError, which says what to do, for any other."""
    there = attachment
    if not attachment.get("data") and attachment.get("url"):
        binary = around.find({"reference": attachment["url"]}, resource)
        if binary is None or not (binary.get("data") or binary.get("content")):
            raise InputError("Its text is at an address, which is not fetched; attach it, or give the file itself.")
        there = {"contentType": binary.get("contentType"), "data": binary.get("data") or binary.get("content")}
    media = _media(there)
    if not there.get("data"):
        raise InputError("Its attachment is empty; give the file itself.")
    try:
        data = base64.b64decode(str(there["data"]), validate=False)
    except binascii.Error as error:
        raise InputError(f"Its attachment is not base64 ({error}).") from error
    if media in _LETTERS or is_rtf(data):
        return text_of_rtf(data)
    if media == "application/pdf":
        return _printed(data)
    if media not in (*_TEXT, *_PAGES):
        raise InputError(f"Its attachment is {media}, which is not read here; give the file itself.")
    text = decode_any(data)[0]
    return text_of_html(text) if media in _PAGES else text


def _printed(data: bytes) -> str:
    _, pages = pages_of(data)
    if unread := next((page.unread for page in pages if page.unread), ""):
        raise InputError(unread)
    return "\n".join(page.flowed.text for page in pages)


def _narrative(resource: Json) -> str:
    return text_of_html(str((resource.get("text") or {}).get("div") or ""))


def _value(one: Json) -> str:
    if quantity := one.get("valueQuantity"):
        return _quantity(quantity)
    if "valueCodeableConcept" in one:
        return said(one["valueCodeableConcept"])
    if "valueRange" in one:
        return _range(one["valueRange"])
    if ratio := one.get("valueRatio"):
        above, below = (_quantity(ratio.get(part) or {}) for part in ("numerator", "denominator"))
        return f"{above}:{below}" if above and below else above
    if period := one.get("valuePeriod"):
        return " to ".join(filter(None, (str(period.get(end) or "") for end in ("start", "end"))))
    if referred := one.get("valueReference"):
        return str(referred.get("display") or "")
    plain = ("valueString", "valueInteger", "valueBoolean", "valueDateTime", "valueTime")
    value = next((one[name] for name in plain if name in one), None)
    if value is None and one.get("dataAbsentReason"):
        return f"no value ({said(one['dataAbsentReason'])})"
    return "" if value is None else str(value)


def _quantity(quantity: Json) -> str:
    unit = printed_unit(str(quantity.get("unit") or quantity.get("code") or ""))
    parts = (quantity.get("comparator"), quantity.get("value"), unit)
    return " ".join(str(part) for part in parts if part not in (None, ""))


def _range(one: Json) -> str:
    if one.get("text"):
        return str(one["text"])
    low, high = (_quantity(one[end]) if one.get(end) else "" for end in ("low", "high"))
    return f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}" if high else ""


def said(concept: Any) -> str:
    """What a CodeableConcept says: its text, or the display of a coding, or its code; a plain code is itself."""
    if isinstance(concept, str):  # of STU3
        return on_one_line(concept)
    if not isinstance(concept, dict):
        return ""
    if concept.get("text"):
        return str(concept["text"])
    codings = [c for c in as_list(concept.get("coding")) if isinstance(c, dict)]
    return next((str(c[key]) for key in ("display", "code") for c in codings if c.get(key)), "")


def coded(concept: Any) -> list[str]:
    """The codes of a CodeableConcept, or the one that stands in its place in STU3."""
    if isinstance(concept, str):
        return [concept]
    return [str(c.get("code")) for c in as_list((concept or {}).get("coding"))] if isinstance(concept, dict) else []


def _plain(resource: Json, field: str) -> str:
    """A field that is text. Raises TypeError if it is anything else."""
    value = resource.get(field) or ""
    if not isinstance(value, str):
        raise TypeError(f"its {field} is not text")
    return value


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


_TEXTS: dict[str, Callable[[Json, Around], Iterator[Said]]] = {
    "DiagnosticReport": _report,
    "Observation": _observation,
    "Condition": _condition,
    "Composition": _composition,
    "DocumentReference": _document,
    "ImagingStudy": _imaging,
}
