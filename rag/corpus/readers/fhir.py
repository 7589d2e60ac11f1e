"""FHIR R4 resources and bundles in JSON: reports, observations, conditions, compositions, documents, imaging studies.

Read as plain JSON: ``fhir.resources`` refuses a whole resource over one field that a hospital's server fills freely,
and what is read here are a dozen fields. Nothing that a resource points to over a network is fetched.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rag.corpus.files import File
from rag.corpus.html import text_of_html
from rag.corpus.own import REASON, is_own_resource
from rag.corpus.pseudonyms import pseudonym
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.sections import Publication
from rag.corpus.text import clean_value, decode_any, on_one_line
from rag.errors import InputError

MAX_BYTES = 200_000_000
_IMAGING = ("RAD", "RUS", "CTH", "NMR", "OUS", "XRC", "imaging", "LP29684-5")

Json = Mapping[str, Any]


def recognise_fhir(file: File) -> float:
    return CERTAIN * (file.start.lstrip().startswith("{") and '"resourceType"' in file.start)


def read_fhir(file: File, salt: str = "") -> Iterator[Record]:
    """One document per resource that says something; a report brings the observations it lists.

    Ids are ``<type>/<id>``. The group is the patient, as a pseudonym by ``salt``; a report about an imaging study of
    the same bundle belongs to its case, which is also that of the study's DICOM files. A resource entered in error is
    set aside; one of another type counts as empty.
    """
    try:
        loaded = clean_value(json.loads(decode_any(file.read(MAX_BYTES))[0]))
    except (ValueError, RecursionError) as error:
        raise InputError(f"It is not valid JSON ({error}).") from error
    resources = _Resources(loaded, salt)
    for number, resource in enumerate(resources.all, start=1):
        kind = str(resource.get("resourceType"))
        name = f"{kind}/{resource.get('id') or f'{file.name}#{number}'}"
        try:
            if resource.get("status") == "entered-in-error" or "entered-in-error" in _codes(
                resource.get("verificationStatus")
            ):
                raise InputError("It was entered in error, as its status says.")
            if is_own_resource(resource):
                raise InputError(REASON)
            lines = [line for line in _TEXTS[kind](resource, resources) if line] if kind in _TEXTS else []
            if not lines:
                reason = f"empty resource: {name} has no text" + ("." if kind in _TEXTS else " that is read.")
                if kind != "Observation" or id(resource) not in resources.told:
                    yield Quarantined(str(file.path), name, reason, empty=True)
                continue
            yield _work(name, resource, resources, file).part("", "", "\n".join(lines))
        except InputError as error:
            yield Quarantined(str(file.path), name, str(error))
        except (AttributeError, TypeError, KeyError, IndexError, ValueError) as error:
            yield Quarantined(str(file.path), name, f"It is not a FHIR R4 {kind} ({type(error).__name__}: {error}).")


class _Resources:
    """The resources of a file, and which one a reference means."""

    def __init__(self, loaded: Any, salt: str) -> None:
        self.salt = salt
        self.all: list[Json] = []
        self._by_name: dict[str, Json] = {}
        stack = [("", loaded)]
        while stack:  # a bundle may hold bundles; no recursion, so depth is harmless
            url, resource = stack.pop()
            if not isinstance(resource, dict):
                continue
            if resource.get("resourceType") == "Bundle":
                entries = [e for e in resource.get("entry") or () if isinstance(e, dict)]
                stack.extend((str(e.get("fullUrl") or ""), e.get("resource")) for e in reversed(entries))
                continue
            self.all.append(resource)
            self._by_name[url] = self._by_name[f"{resource.get('resourceType')}/{resource.get('id')}"] = resource
            for inner in resource.get("contained") or ():
                if isinstance(inner, dict):
                    self._by_name[f"#{inner.get('id')}"] = inner
        listed = [
            r
            for report in self.all
            if report.get("resourceType") == "DiagnosticReport"
            for r in report.get("result") or ()
        ]
        # Observations that a report of this file lists are told there.
        self.told = {id(found) for reference in listed if (found := self.find(reference))}

    def find(self, reference: Any) -> Json | None:
        name = reference.get("reference") if isinstance(reference, dict) else None
        return self._by_name.get(str(name)) if name else None

    def group(self, resource: Json) -> str:
        subject = resource.get("subject") or resource.get("patient") or {}
        name = subject.get("reference") or (subject.get("identifier") or {}).get("value")
        return pseudonym("patient", str(name).removeprefix("Patient/"), self.salt) if name else ""

    def case(self, resource: Json) -> str:
        """The pseudonym of the imaging study that this is or is about; empty if it is about none that is here."""
        about = [resource, *(self.find(reference) for reference in resource.get("imagingStudy") or ())]
        for study in about:
            if study is not None and study.get("resourceType") == "ImagingStudy":
                for identifier in study.get("identifier") or ():
                    if identifier.get("system") == "urn:dicom:uid":
                        return pseudonym("study", str(identifier.get("value")).removeprefix("urn:oid:"), self.salt)
        return ""


def _work(name: str, resource: Json, resources: _Resources, file: File) -> Publication:
    date = next(
        (
            str(resource[f])
            for f in ("effectiveDateTime", "issued", "date", "started", "recordedDate")
            if resource.get(f)
        ),
        "",
    )
    imaging = {code for category in _list(resource.get("category")) for code in _codes(category)} & {*_IMAGING}
    kind = str(resource["resourceType"])
    return Publication(
        id=name,
        title=on_one_line(
            _said(resource.get("code")) or _said(resource.get("type")) or str(resource.get("title") or kind)
        ),
        source=file.corpus,
        kind="report",
        domain="radiology" if imaging or kind == "ImagingStudy" else "general",
        case=resources.case(resource),
        group=resources.group(resource),
        metadata={"resource": kind, **({"date": date} if date else {})},
    )


def _report(resource: Json, resources: _Resources) -> Iterator[str]:
    yield _said(resource.get("code"))
    for reference in resource.get("result") or ():
        if (found := resources.find(reference)) is not None:
            yield from _measured(found)
    yield str(resource.get("conclusion") or "")
    yield "; ".join(filter(None, map(_said, _list(resource.get("conclusionCode")))))
    for attachment in resource.get("presentedForm") or ():
        yield _attached(attachment, must=False)
    if not resource.get("conclusion") and not resource.get("presentedForm") and not resource.get("result"):
        yield _narrative(resource)


def _observation(resource: Json, resources: _Resources) -> Iterator[str]:
    if id(resource) not in resources.told:
        yield from _measured(resource)


def _measured(resource: Json) -> Iterator[str]:
    """``name: value unit (reference range) [interpretation]``, for the observation and each component."""
    for one in (resource, *(resource.get("component") or ())):
        value = _value(one)
        ranges = "; ".join(filter(None, (_range(r) for r in one.get("referenceRange") or ())))
        meaning = "; ".join(filter(None, map(_said, _list(one.get("interpretation")))))
        if value:
            extra = f" (reference {ranges})" * bool(ranges) + f" [{meaning}]" * bool(meaning)
            yield f"{_said(one.get('code'))}: {value}{extra}"
    for note in resource.get("note") or ():
        yield str(note.get("text") or "")


def _condition(resource: Json, resources: _Resources) -> Iterator[str]:
    name = _said(resource.get("code"))
    told = {
        "clinical status": _said(resource.get("clinicalStatus")),
        "verification": _said(resource.get("verificationStatus")),
        "severity": _said(resource.get("severity")),
        "site": ", ".join(filter(None, map(_said, _list(resource.get("bodySite"))))),
        "onset": str(resource.get("onsetDateTime") or resource.get("onsetString") or ""),
        "abated": str(resource.get("abatementDateTime") or resource.get("abatementString") or ""),
    }
    if name:
        yield f"{name} ({'; '.join(f'{k}: {v}' for k, v in told.items() if v)})" if any(told.values()) else name
    for note in resource.get("note") or ():
        yield str(note.get("text") or "")


def _composition(resource: Json, resources: _Resources) -> Iterator[str]:
    yield str(resource.get("title") or "")
    stack = list(reversed(_list(resource.get("section"))))
    while stack:
        section = stack.pop()
        text = _narrative(section)
        if text:
            yield f"{str(section.get('title') or _said(section.get('code')) or 'Section').upper()}: {text}"
        stack.extend(reversed(_list(section.get("section"))))


def _reference(resource: Json, resources: _Resources) -> Iterator[str]:
    yield str(resource.get("description") or "")
    for content in resource.get("content") or ():
        yield _attached(content.get("attachment") or {}, must=True)


def _imaging(resource: Json, resources: _Resources) -> Iterator[str]:
    yield str(resource.get("description") or "")
    for series in resource.get("series") or ():
        modality = (series.get("modality") or {}).get("code") or ""
        site = _said({"coding": [series.get("bodySite") or {}]})
        yield ", ".join(filter(None, (str(modality), str(series.get("description") or ""), site)))
    for note in resource.get("note") or ():
        yield str(note.get("text") or "")


def _attached(attachment: Json, *, must: bool) -> str:
    """The text of an attachment that is here. Raises InputError, if it ``must`` be text, for any other."""
    media = str(attachment.get("contentType") or "").partition(";")[0].strip()
    if attachment.get("data") and media in ("text/plain", "text/html", "application/xhtml+xml", "text/markdown", ""):
        try:
            text = decode_any(base64.b64decode(str(attachment["data"]), validate=False))[0]
        except binascii.Error as error:
            raise InputError(f"Its attachment is not base64 ({error}).") from error
        return text_of_html(text) if "html" in media else text
    if must and attachment.get("url"):
        raise InputError("Its text is at an address, which is not fetched; attach it, or give the file itself.")
    if must:
        raise InputError(f"Its attachment is {media or 'empty'}, which is not read here; give the file itself.")
    return ""


def _narrative(resource: Json) -> str:
    return text_of_html(str((resource.get("text") or {}).get("div") or ""))


def _value(one: Json) -> str:
    if quantity := one.get("valueQuantity"):
        parts = (quantity.get("comparator"), quantity.get("value"), quantity.get("unit") or quantity.get("code"))
        return " ".join(str(part) for part in parts if part not in (None, ""))
    if "valueCodeableConcept" in one:
        return _said(one["valueCodeableConcept"])
    if "valueRange" in one:
        return _range(one["valueRange"])
    plain = ("valueString", "valueInteger", "valueBoolean", "valueDateTime", "valueTime")
    value = next((one[name] for name in plain if name in one), None)
    if value is None and one.get("dataAbsentReason"):
        return f"no value ({_said(one['dataAbsentReason'])})"
    return "" if value is None else str(value)


def _range(one: Json) -> str:
    if one.get("text"):
        return str(one["text"])
    low, high = (_value({"valueQuantity": one[end]}) if one.get(end) else "" for end in ("low", "high"))
    return f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}" if high else ""


def _said(concept: Any) -> str:
    """What a CodeableConcept says: its text, or the display of a coding, or its code."""
    if not isinstance(concept, dict):
        return ""
    if concept.get("text"):
        return str(concept["text"])
    codings = [c for c in concept.get("coding") or () if isinstance(c, dict)]
    return next((str(c[key]) for key in ("display", "code") for c in codings if c.get(key)), "")


def _codes(concept: Any) -> list[str]:
    return [str(c.get("code")) for c in (concept or {}).get("coding") or ()] if isinstance(concept, dict) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


_TEXTS: dict[str, Callable[[Json, _Resources], Iterator[str]]] = {
    "DiagnosticReport": _report,
    "Observation": _observation,
    "Condition": _condition,
    "Composition": _composition,
    "DocumentReference": _reference,
    "ImagingStudy": _imaging,
}

READER = Reader("fhir", "a FHIR resource or bundle in JSON", recognise_fhir, read_fhir, ids="rows")
