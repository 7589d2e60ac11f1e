"""The ledger leaves as JSONL that anyone can verify, and an answer as a page that runs nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rag.audit.checks import check_entry
from rag.audit.export import jsonl
from rag.audit.feedback import feedback_on, give_feedback
from rag.audit.ledger import Ledger
from rag.audit.redaction import redact
from rag.audit.report import NOTICE, certificate_in_words, html_report
from rag.types import Certificate

from .samples import DOCUMENT, QUOTE, WORKING, make_answer

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 6 * 7 }}{% endfor %}</main></style>"


def by_hand(lines: list[str]) -> int:
    """What the documentation of rag.audit.export says, with nothing of the project's: number of the first bad line."""

    def sha256(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    rows = [json.loads(line) for line in lines]
    taken = set()
    for row in rows:
        if row["kind"] == "redaction":
            taken |= {(r["entry"], part) for r in json.loads(row["record"])["redacted"] for part in r["parts"]}
    previous = "0" * 64
    for number, row in enumerate(rows, start=1):
        record = json.loads(row["record"])
        good = row["previous"] == previous and row["sha256"] == sha256(previous + "\n" + row["record"])
        good &= all(record[name] == row[name] for name in ("number", "kind", "audit_id", "created"))
        for name, part in row["parts"].items():
            good &= record["parts"].get(name) == sha256(part["salt"] + "\n" + part["text"])
        good &= all(name in row["parts"] or (number, name) in taken for name in record["parts"])
        if not good:
            return number
        previous = row["sha256"]
    return 0


def test_a_third_party_verifies_the_export(ledger: Ledger, image: Callable[[str], str]) -> None:
    answers = [make_answer(f"question {n}?", image=image("red") if n == 1 else None) for n in range(3)]
    for answer in answers:
        ledger.append(answer, WORKING, "key-1")
    give_feedback(ledger, answers[0].audit_id, "wrong", reason="no")
    redact(ledger, answers[2].audit_id, "by mistake", what="texts")
    lines = list(jsonl(ledger.walk()))
    assert len(lines) == 5 and by_hand(lines) == 0
    assert by_hand([*lines[:1], lines[1].replace("enlarged", "normal", 1), *lines[2:]]) == 2
    assert by_hand([lines[0], *lines[2:]]) == 2
    assert by_hand([lines[1], lines[0], *lines[2:]]) == 1
    sha256 = json.loads(json.loads(lines[1])["record"])["image_sha256"]
    assert sha256 == hashlib.sha256(Path(image("red")).read_bytes()).hexdigest()


def test_an_export_without_texts_holds_none(ledger: Ledger) -> None:
    ledger.append(make_answer("Is Mr Smith's heart enlarged?"), WORKING)
    (line,) = jsonl(ledger.walk(), texts=False)
    assert "Smith" not in line and "enlarged" not in line
    row = json.loads(line)
    assert row["sha256"] == ledger.entries()[0].sha256 and row["parts"] == {}


def page(ledger: Ledger, audit_id: str) -> str:
    entry = ledger.get(audit_id)
    audit = check_entry(entry, lambda _id, _version: DOCUMENT, ledger.verify_chain())
    return html_report(entry, lambda _id, _version: DOCUMENT, audit, ledger.images, feedback_on(ledger, audit_id))


class Tags(HTMLParser):
    """All elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_shows_the_answer_its_evidence_and_its_history(ledger: Ledger, image: Callable[[str], str]) -> None:
    given = make_answer(image=image("red"))
    ledger.append(given, WORKING, "key-1")
    give_feedback(ledger, given.audit_id, "corrected", correction="No.", reason="seen the film")
    html = page(ledger, given.audit_id)
    assert f"<mark>{QUOTE}</mark> No effusion." in html
    text = Tags(html).text
    for words in (
        given.question.text,
        given.audit_id,
        "key-1",
        "Nothing is promised about errors",
        "reader:1",
        "gamma",
        "The aorta is wide.",
        "Dropped (unsupported: nothing says so)",
        "sent back (no sentence passed)",
        "It floats.",
        "[7] names no evidence",
        "correction: No.",
        "holds: the entry is as it was recorded",
    ):
        assert words in text, words
    assert text.count(NOTICE) == 1
    assert re.search(r'<img src="data:image/jpeg;base64,[A-Za-z0-9+/=]+"', html)


def test_a_report_runs_and_loads_nothing_whatever_the_texts_are(ledger: Ledger) -> None:
    given = make_answer(HOSTILE)
    evil = given.evidence[0].model_copy(update={"text": HOSTILE, "title": HOSTILE, "source": HOSTILE, "image": HOSTILE})
    given = given.model_copy(
        update={
            "evidence": (evil,),
            "sentences": (given.sentences[0].model_copy(update={"text": HOSTILE}),),
            "certificate": Certificate(status="stale", why=HOSTILE),
            "reason": HOSTILE,
        }
    )
    working = WORKING.model_copy(update={"fingerprints": {HOSTILE: HOSTILE}})
    ledger.append(given, working, HOSTILE)
    give_feedback(ledger, given.audit_id, "corrected", correction=HOSTILE, reason=HOSTILE)
    html = page(ledger, given.audit_id)
    tags = Tags(html)
    names = {name for name, _ in tags.seen}
    assert not names & {"script", "iframe", "object", "link", "base", "form", "svg"}
    for name, attributes in tags.seen:
        assert not [a for a in attributes if a.startswith("on")], (name, attributes)
        for reference in ("src", "href"):
            assert (attributes.get(reference) or "data:").startswith(("data:", "#evidence-")), attributes
    assert tags.text.count(HOSTILE) >= 8, "shown as it is, and only shown"
    (policy,) = (a["content"] for _, a in tags.seen if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'") and "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert style is not None and base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() in policy


def test_a_redacted_answer_has_a_report_too(ledger: Ledger, image: Callable[[str], str]) -> None:
    given = make_answer(image=image("red"))
    ledger.append(given, WORKING)
    redact(ledger, given.audit_id, "by mistake", what="texts")
    html = page(ledger, given.audit_id)
    assert "The image was redacted." in html and "[redacted]" in html and QUOTE not in html


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"status": "valid", "why": "tested", "alpha": 0.1, "delta": 0.025, "n": 1200, "coverage": 0.83,
          "domains": ("radiology",)}, ["at most 10%", "97.5%", "1,200", "83%", "in radiology", "not of this one"]),
        ({"status": "stale", "why": "since it was computed, these have changed: router"}, ["Nothing", "router"]),
        ({"status": "uncertified", "why": "no certificate has been computed"}, ["Nothing", "no certificate has been"]),
    ],
)  # fmt: skip
def test_a_certificate_is_told_in_words(values: dict[str, object], words: list[str]) -> None:
    told = certificate_in_words(Certificate.model_validate(values))
    assert all(word in told for word in words), told
