"""What one entry of the ledger holds, and what its hash commits to.

An entry is a *record* (JSON: ids, spans, numbers, fingerprints, the decision, the caller) and its *parts*: the
question, each piece of evidence, the answer's words, the draft. The chain hashes the record; the record holds one
commitment for each part, SHA-256 over a random salt and the part's text. A part can therefore be taken out later, with
its salt, while every hash still verifies; and without the salt nobody can guess a short text from its commitment.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pydantic import Field
from pydantic_core import from_json

from rag.types import Answer, Certificate, Domain, Draft, Dropped, Noun, Question, sha256_of

Kind = Literal["answer", "feedback", "redaction", "certificate"]
GENESIS = "0" * 64
REDACTED = "[redacted]"
IMAGE = "image"  # the part that stands for the bytes of the question's image, which lie in a file beside the ledger
WHOLE = "entry"  # the only part of an entry of format 1: its whole JSON, which was hashed as it is
EVIDENCE = "evidence:"
_JSON = json.JSONEncoder(separators=(",", ":"))
_RANDOM = secrets.SystemRandom()
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that is misread
# Fields of an answer that hold no text of patients or askers; every other field becomes a part.
_FACTS = (
    "audit_id",
    "index_version",
    "decision",
    "verdict",
    "probability",
    "confidence",
    "domain",
    "certificate",
    "prompt_sha256",
    "timings_ms",
)
_WORDS = ("answer", "reason", "sentences", "citations")
_EVIDENCE_TEXTS = ("text", "sha256", "title", "image", "references", "boxes")


class Failed(Noun):
    """A draft that was sent back to its generator, and why."""

    draft: Draft
    dropped: tuple[Dropped, ...] = ()
    why: str


class Working(Noun):
    """How an answer came about, besides what the answer says itself."""

    draft: Draft | None = Field(None, description="As the generator wrote it, before verification.")
    shown: tuple[str, ...] = Field((), description="Passage ids in the order in which the generator numbered them.")
    dropped: tuple[Dropped, ...] = ()
    repaired: tuple[str, ...] = Field((), description="What the verifier mended in the draft's citations, in words.")
    earlier: tuple[Failed, ...] = Field((), description="Drafts before this one, in order, that did not pass.")
    policy: dict[str, float] = Field(default_factory=dict, description="The policy applied: k, gamma, tau, rho.")
    fingerprints: dict[str, str] = Field(
        default_factory=dict, description="Of all that the answer depends on, by name."
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="Those that shape an answer, by group.")


class LedgerPart(NamedTuple):
    """A text that can be taken out of the ledger. Its commitment stays."""

    salt: str
    text: str

    @classmethod
    def of(cls, text: str) -> LedgerPart:
        """With a salt of its own."""
        return cls(secrets.token_hex(16), text)

    @property
    def commitment(self) -> str:
        """SHA-256 over the salt and the text, separated by a newline."""
        return sha256_of(f"{self.salt}\n{self.text}")


@dataclass(frozen=True)
class Entry:
    """One entry. ``record`` is the JSON that was hashed, ``previous`` the hash of the entry before.

    ``parts`` are those that are still there.
    """

    number: int
    kind: Kind
    audit_id: str
    created: str
    record: str
    previous: str
    sha256: str
    parts: Mapping[str, LedgerPart] = field(default_factory=dict)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The record, parsed; empty for an entry of format 1.

        Raises:
            ValueError: it is not a JSON object.
        """
        value = from_json(self.record) if self.record else {}
        if not isinstance(value, dict):
            raise ValueError("the record is not a JSON object")
        return value

    @property
    def expected_sha256(self) -> str | None:
        """The hash that the entry must have; None where a redaction took out what a format-1 entry's was made of."""
        if self.record:
            return sha256_of(f"{self.previous}\n{self.record}")
        whole = self.parts.get(WHOLE)
        return sha256_of(f"{self.previous}\n{self.created}\n{whole.text}") if whole else None

    @property
    def commitments(self) -> dict[str, str]:
        """What the record commits to, by part."""
        return dict(self.fields.get("parts", {})) if self.record else {WHOLE: ""}

    @property
    def redacted(self) -> tuple[str, ...]:
        """Names of the parts that are gone."""
        return tuple(name for name in self.commitments if name not in self.parts)

    @property
    def caller(self) -> str:
        """Who asked, judged or redacted: the id of a key, 'cli' or 'python'; empty in entries of format 1."""
        return str(self.fields.get("caller", ""))

    @property
    def image_sha256(self) -> str | None:
        """SHA-256 of the bytes of the question's image; it stays when the bytes are redacted."""
        return self.fields.get("image_sha256")

    @property
    def answer(self) -> Answer:
        """The answer as it was given; what has been redacted reads ``[redacted]``.

        Raises:
            ValueError: the entry does not hold an answer, or was tampered with so that it cannot be read.
        """
        if not self.record:
            whole = self.parts.get(WHOLE)
            return Answer.model_validate_json(whole.text) if whole else _forgotten(self.audit_id)
        if self.kind != "answer":
            raise ValueError(f"{self.audit_id} is not an answer but a {self.kind}")
        values = dict(self.fields["answer"]) | {"question": {"text": REDACTED}, "answer": REDACTED, "reason": REDACTED}
        values |= {"sentences": (), "citations": ()}
        for name, part in self.parts.items():
            if name == "answer":
                values |= json.loads(part.text)
            elif name not in (IMAGE, "draft") and not name.startswith(EVIDENCE):
                values[name] = json.loads(part.text)
        values["evidence"] = [self._evidence(ref) for ref in self.fields["evidence"]]
        return Answer.model_validate(values)

    @property
    def working(self) -> Working:
        """How the answer came about; empty in entries of format 1."""
        kept = {name: self.fields[name] for name in ("policy", "fingerprints", "settings") if name in self.fields}
        draft = self.parts.get("draft")
        return Working.model_validate(kept | (json.loads(draft.text) if draft else {}))

    def _evidence(self, reference: Mapping[str, Any]) -> dict[str, Any]:
        part = self.parts.get(f"{EVIDENCE}{reference['number']}")
        if part is not None:
            return dict(json.loads(part.text))
        known = {name: value for name, value in reference.items() if name != "end"}
        return known | {"text": REDACTED, "sha256": "", "title": REDACTED}


def new_audit_id(letter: str = "a") -> str:
    """An id such as ``a-20261123-7f3k2m9q``: the kind, the day, and 40 bits that nobody can guess."""
    return f"{letter}-{datetime.now(UTC):%Y%m%d}-{''.join(_RANDOM.choices(_ALPHABET, k=8))}"


def canonical_json(value: Any) -> str:
    """JSON without spaces, in ASCII, so that its bytes are the same everywhere."""
    return _JSON.encode(value)


def record_parts(
    answer: Answer, working: Working, image_sha256: str | None
) -> tuple[dict[str, Any], dict[str, LedgerPart]]:
    """An answer as fields of a record, and as parts."""
    values, parts = answer.model_dump(mode="json"), {}
    thread = {"thread": answer.question.thread} if answer.question.thread else {}
    parts["question"] = LedgerPart.of(canonical_json(values.pop("question")))
    if image_sha256 is not None:
        parts[IMAGE] = LedgerPart.of(image_sha256)
    references = []
    for e in values.pop("evidence"):
        parts[f"{EVIDENCE}{e['number']}"] = LedgerPart.of(canonical_json(e))
        kept = {name: value for name, value in e.items() if name not in _EVIDENCE_TEXTS}
        references.append(kept | {"end": e["start"] + len(e["text"])})
    citations = [
        {k: c[k] for k in ("sentence", "number", "start", "end", "verdict", "score")} for c in values["citations"]
    ]
    facts = {name: values.pop(name) for name in _FACTS if name in values}
    parts["answer"] = LedgerPart.of(canonical_json({name: values.pop(name) for name in _WORDS}))
    parts |= {name: LedgerPart.of(canonical_json(value)) for name, value in values.items() if value is not None}
    work = working.model_dump(mode="json")
    draft = {name: work.pop(name) for name in ("draft", "shown", "dropped", "repaired", "earlier")}
    parts["draft"] = LedgerPart.of(canonical_json(draft))
    fields = {"answer": facts, "image_sha256": image_sha256, "evidence": references, "citations": citations, **work}
    fields |= thread
    return fields, parts


def _forgotten(audit_id: str) -> Answer:
    """What stands for an answer of format 1 after its redaction: nothing of it is left but its id."""
    return Answer(
        question=Question(text=REDACTED),
        answer=REDACTED,
        decision="abstained",
        reason=REDACTED,
        confidence=0.0,
        domain=Domain(name=REDACTED, probability=0.0, out_of_domain=False),
        sentences=(),
        citations=(),
        evidence=(),
        certificate=Certificate(status="uncertified", why=REDACTED),
        audit_id=audit_id,
        index_version=0,
        timings_ms={"total": 0.0},
    )
