"""FHIR: what hospitals' servers give, resource by resource, each with its patient, its study and what became of it.

What is in a file is :mod:`rag.corpus.readers.fhir_files`, what a resource says :mod:`rag.corpus.readers.fhir_texts`.
Nothing that a resource points to over a network is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rag.corpus.files import File
from rag.corpus.own import REASON, is_own_resource
from rag.corpus.pseudonyms import pseudonym
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.fhir_files import Json, recognises_fhir, values_of
from rag.corpus.readers.fhir_texts import Unread, as_list, coded, is_read, said, said_by
from rag.corpus.readers.sections import Publication
from rag.corpus.text import on_one_line
from rag.errors import InputError

_IMAGING = ("RAD", "RUS", "CTH", "NMR", "OUS", "XRC", "imaging", "LP29684-5")
_SETTLED = ("final", "current", "available", "")  # of which nothing needs to be said
_REFUSED = {
    "entered-in-error": "It was entered in error, as its status says.",
    "cancelled": "Its status says that it was cancelled: it tells nothing that was found.",
    "superseded": "A newer document replaces it, as its status says.",
}
_DATES = ("effectiveDateTime", "issued", "date", "started", "recordedDate", "assertedDate", "indexed")


def recognise_fhir(file: File) -> float:
    return CERTAIN * recognises_fhir(file)


def read_fhir(file: File, salt: str = "") -> Iterator[Record]:
    """One document per resource that says something; a report brings the observations it lists.

    Ids are ``<type>/<id>``. The group is the patient, as a pseudonym by ``salt``; a report about an imaging study of
    the same bundle belongs to its case, which is also that of the study's DICOM files. What was entered in error,
    cancelled or replaced is set aside, and so is a report that lists another patient's observation; a resource of
    another type counts as empty. Of several versions of a resource the newest counts.
    """
    path, before = str(file.path), 0
    for values in values_of(file):
        if isinstance(values, tuple):
            yield Quarantined(path, f"{file.name}, line {values[0]}", values[1])
            continue
        resources = _Resources(values, salt)
        if not resources.all and not before:
            yield Quarantined(path, file.name, "empty bundle: it has no resource.", empty=True)
        for older in resources.older:
            reason = "It is an older version of a resource of this file, of which the newest counts."
            yield Quarantined(path, _name(older, 0, file), reason)
        for number, resource in enumerate(resources.all, start=before + 1):
            yield from _records(resource, number, resources, file)
        before += len(resources.all)


def _records(resource: Json, number: int, resources: _Resources, file: File) -> Iterator[Record]:
    kind, name, path = str(resource.get("resourceType")), _name(resource, number, file), str(file.path)
    try:
        _check(resource)
        if another := resources.mixed(resource):
            raise InputError(f"It lists {_name(another, 0, file)}, which is another patient's; correct it first.")
        told = said_by(resource, resources)
        lines = [line for line in told if isinstance(line, str)]
        for unread in told:
            if isinstance(unread, Unread):
                yield Quarantined(path, f"{name}, {unread.name}", unread.reason)
        if lines:
            yield _work(name, resource, resources, file).part("", "", "\n".join(lines))
        elif len(told) == 0 and not resources.is_told(resource):
            reason = f"empty resource: {name} has no text" + ("." if is_read(kind) else " that is read.")
            yield Quarantined(path, name, reason, empty=True)
    except InputError as error:
        yield Quarantined(path, name, str(error))
    except (AttributeError, TypeError, KeyError, IndexError, ValueError) as error:
        yield Quarantined(path, name, f"It is not a FHIR {kind} ({type(error).__name__}: {error}).")


def _name(resource: Json, number: int, file: File) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id') or f'{file.name}#{number}'}"


def _check(resource: Json) -> None:
    """Raises InputError for what its own status takes back, and for what ClinCite wrote."""
    stated = (resource.get("status"), resource.get("docStatus"), *coded(resource.get("verificationStatus")))
    for status in stated:
        if isinstance(status, str) and status in _REFUSED:
            raise InputError(_REFUSED[status])
    if is_own_resource(resource):
        raise InputError(REASON)


class _Resources:
    """Resources that may refer to one another, and which one a reference means.

    Attributes:
        all: each resource once, in its newest version.
        older: the other versions.
    """

    def __init__(self, values: Sequence[Any], salt: str) -> None:
        self.salt = salt
        self.all: list[Json] = []
        self.older: list[Json] = []
        self._urls: dict[int, str] = {}  # by the identity of a resource, as those of contained ones below
        self._owners: dict[int, Json] = {}
        self._by_url: dict[str, Json] = {}
        self._by_name: dict[str, list[Json]] = {}
        newest: dict[tuple[str, str], int] = {}
        for url, resource in _entries(values):
            name = f"{resource.get('resourceType')}/{resource.get('id')}"
            key = (url or name, name)
            if resource.get("id") and key in newest:
                place = newest[key]
                if resource == self.all[place]:
                    continue
                older, newer = sorted((resource, self.all[place]), key=_version)
                self.older.append(older)
                self.all[place] = newer
            else:
                newest[key] = len(self.all)
                self.all.append(resource)
            self._urls[id(resource)] = url
        for resource in self.all:
            for inner in as_list(resource.get("contained")):
                if isinstance(inner, dict):
                    self._owners[id(inner)] = resource
            self._by_url[self._urls[id(resource)]] = resource
            self._by_name.setdefault(f"{resource.get('resourceType')}/{resource.get('id')}", []).append(resource)
        reports = [r for r in self.all if r.get("resourceType") == "DiagnosticReport"]
        self._told = {id(found) for report in reports if self.mixed(report) is None for found in self.results(report)}

    def find(self, reference: Any, owner: Json) -> Json | None:
        """The resource that a reference in ``owner`` means; None if it is not here, or could be one of several."""
        name = str((reference.get("reference") if isinstance(reference, dict) else None) or "")
        owner = self._owners.get(id(owner), owner)
        if name.startswith("#"):
            inner = (one for one in as_list(owner.get("contained")) if isinstance(one, dict))
            return next((one for one in inner if f"#{one.get('id')}" == name), None)
        name = name.partition("/_history/")[0]
        near = self._by_url.get(name) or self._by_url.get(f"{self._base(owner)}/{name}") if name else None
        named = self._by_name.get(name, [])
        return near or (named[0] if len(named) == 1 else None)

    def results(self, report: Json) -> list[Json]:
        """The observations that a report lists, without those that were entered in error."""
        found = (self.find(reference, report) for reference in as_list(report.get("result")))
        return [one for one in found if one is not None and str(one.get("status")) not in _REFUSED]

    def mixed(self, report: Json) -> Json | None:
        """An observation that a report lists and that says to be of another patient; None if there is none."""
        if report.get("resourceType") != "DiagnosticReport" or not (mine := self.group(report)):
            return None
        return next((one for one in self.results(report) if self.group(one) not in ("", mine)), None)

    def is_told(self, resource: Json) -> bool:
        """Whether a report of this file tells it."""
        return id(resource) in self._told

    def group(self, resource: Json) -> str:
        """The patient's pseudonym; empty where none is named."""
        subject = _object(resource.get("subject")) or _object(resource.get("patient"))
        patient = self.find(subject, resource)
        if patient is not None and id(patient) in self._owners:
            numbers = map(_object, as_list(patient.get("identifier")))
            name = next((one["value"] for one in numbers if one.get("value")), None)
        elif patient is not None and patient.get("id") and not self._is_temporary(patient):
            name = patient["id"]
        else:
            reference = str(subject.get("reference") or "").partition("/_history/")[0]
            here = reference.removeprefix(f"{self._base(resource)}/") if self._base(resource) else reference
            name = "" if here.startswith("#") else here or _object(subject.get("identifier")).get("value")
        return pseudonym("patient", str(name).removeprefix("Patient/"), self.salt) if name else ""

    def case(self, resource: Json) -> str:
        """The pseudonym of the imaging study that this is or is about; empty if it is about none that is here."""
        studies = (*as_list(resource.get("imagingStudy")), *as_list(resource.get("study")))
        for study in (resource, *(self.find(reference, resource) for reference in studies)):
            if study is not None and study.get("resourceType") == "ImagingStudy":
                for identifier in map(_object, as_list(study.get("identifier"))):
                    if identifier.get("system") == "urn:dicom:uid":
                        return pseudonym("study", str(identifier.get("value")).removeprefix("urn:oid:"), self.salt)
        return ""

    def _base(self, resource: Json) -> str:
        """Of ``http://server/fhir/Observation/1``, the server."""
        url = self._urls.get(id(resource), "")
        return url.rsplit("/", 2)[0] if url.startswith("http") and url.count("/") > 4 else ""

    def _is_temporary(self, resource: Json) -> bool:
        """Whether its id is only a draft's, beside the one in its address."""
        url = self._urls[id(resource)]
        return url.startswith("urn:") and not url.endswith(str(resource.get("id")))


def _entries(values: Sequence[Any]) -> Iterator[tuple[str, Json]]:
    """The resources, and the addresses that they have in their bundle; a bundle may hold bundles."""
    stack = [("", value) for value in reversed(values)]
    while stack:  # no recursion, so depth is harmless
        url, resource = stack.pop()
        if not isinstance(resource, dict):
            continue
        if resource.get("resourceType") == "Bundle":
            entries = [e for e in as_list(resource.get("entry")) if isinstance(e, dict)]
            stack.extend((str(e.get("fullUrl") or ""), e.get("resource")) for e in reversed(entries))
        else:
            yield url, resource


def _version(resource: Json) -> tuple[str, int]:
    meta = _object(resource.get("meta"))
    number = str(meta.get("versionId") or "")
    return str(meta.get("lastUpdated") or ""), int(number) if number.isdecimal() and len(number) < 20 else 0


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _work(name: str, resource: Json, resources: _Resources, file: File) -> Publication:
    date = next((str(resource[field]) for field in _DATES if resource.get(field)), "")
    imaging = {code for category in as_list(resource.get("category")) for code in coded(category)} & {*_IMAGING}
    kind = str(resource["resourceType"])
    title = on_one_line(said(resource.get("code")) or said(resource.get("type")) or str(resource.get("title") or kind))
    status = str(resource.get("docStatus") or resource.get("status") or "")
    return Publication(
        id=name,
        title=title if status in _SETTLED else f"{title} ({status})",
        source=file.corpus,
        kind="report",
        domain="radiology" if imaging or kind == "ImagingStudy" else "general",
        case=resources.case(resource),
        group=resources.group(resource),
        metadata={
            "resource": kind,
            **({"date": date} if date else {}),
            **({"status": [status]} if status not in _SETTLED else {}),
        },
    )


READER = Reader("fhir", "FHIR (resources, bundles, bulk exports)", recognise_fhir, read_fhir, ids="rows")
