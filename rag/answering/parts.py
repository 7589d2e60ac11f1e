"""A question that asks several things is split, each is answered by itself, and the answers are joined.

Several findings of one study in one yes/no question are no parts: "both" and "or" have one verdict, which
:mod:`rag.language.forms` reads and certificates are tested on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.answering.intake import studies_named
from rag.answering.turn import Turn
from rag.audit.ledger import new_audit_id
from rag.indexing.snapshot import Snapshot
from rag.language.lexicon import Lexicon
from rag.language.tokens import tokens_of
from rag.types import Answer, AnsweredPart, Certificate, Evidence, Question, Sentence

MOST = 8  # parts
_ASKS = (
    r"(?:is|are|was|were|does|do|did|has|have|can|could|should|will|what|which|who|how|why|when|where|show|list"
    r"|compare)\b"
)
_BETWEEN = re.compile(rf"\?\s*(?:and\s+|also,?\s+)?|(?:[,;]\s*(?:and\s+)?|\s+and\s+)(?={_ASKS}\s+\w)", re.I)
_OPENS = re.compile(rf"^\W*(?:please\s+|and\s+)?{_ASKS}", re.I)
_DEFINES = re.compile(r"^(?P<lead>\W*(?:what\s+(?:is|are)|define|explain)\s+)(?P<list>.+?)\W*$", re.I)
_IT = re.compile(r"\b(?:it|they|them|this|these)\b", re.I)
_LISTED = re.compile(r"\s*,\s*(?:and\s+)?|\s+and\s+", re.I)


def split_question(q: Question, snapshot: Snapshot, lexicon: Lexicon) -> list[Question]:
    """The parts of a question, in order; the question alone where it has one.

    A part that names no study is about the one that the part before it names; "CXR1 and CXR2" asks about each.

    >>> asked = Question(text="Is the heart enlarged? What is edema?")      # doctest: +SKIP
    >>> [part.text for part in split_question(asked, snapshot, lexicon)]    # doctest: +SKIP
    ['Is the heart enlarged?', 'What is edema?']
    """
    parts: list[Question] = []
    study = q.study
    about = ""
    for text in _sentences(q.text):
        about, text = _resolved(text, about, lexicon)
        named = studies_named(text, snapshot)
        study = named[0] if len(named) == 1 else study
        if len(named) > 1:
            parts += [_about(q, text, case, named) for case in named]
        else:
            own = study if _of_somebody(text) or named else None
            parts += [q.model_copy(update={"text": one, "study": own or None}) for one in _defined(text, lexicon)]
    return parts[:MOST] if 1 < len(parts) <= MOST else [q]


def _resolved(text: str, about: str, lexicon: Lexicon) -> tuple[str, str]:
    """What a part is about by name, and the part with that in place of "it" where it names nothing itself."""
    found = lexicon.mentions(tokens_of(text))
    if found:
        tokens = tokens_of(text)
        return text[tokens[found[0].first].start : tokens[found[0].last - 1].end], text
    return about, _IT.sub(lambda _: about, text, count=1) if about else text


def join_answers(turn: Turn, index_version: int) -> Answer:
    """One answer from those of a turn's parts; evidence that several parts cite has one number."""
    answers = [part.answer for part in turn.parts]
    evidence: dict[str, Evidence] = {}
    sentences: list[Sentence] = []
    citations, parts = [], []
    for answer in answers:
        numbers = {e.number: _placed(evidence, e).number for e in answer.evidence}
        first = len(sentences)
        for n, s in enumerate(answer.sentences if answer.decision == "answered" else ()):
            text = f"{answer.question.text} — {s.text}" if n == 0 else s.text
            renumbered = tuple(sorted(numbers[c] for c in s.citations))
            sentences.append(s.model_copy(update={"text": text, "citations": renumbered}))
            for c in answer.citations:
                if c.sentence == n:
                    placed = {"sentence": first + n, "number": numbers[c.number]}
                    citations.append(c.model_copy(update=placed))
        parts.append(_part(answer, (first, len(sentences))))
    answered = [a for a in answers if a.decision == "answered"]
    unanswered = [f"“{a.question.text}”: {a.reason}" for a in answers if a.decision != "answered"]
    reason = f"{len(answered)} of {len(answers)} parts are answered, each by itself"
    return Answer(
        question=turn.as_asked,
        answer="\n".join(f"{a.question.text} — {a.answer}" for a in answers),
        decision="answered" if answered else "abstained",
        reason="; ".join([*([turn.taken_for] if turn.taken_for else []), reason, *unanswered]),
        confidence=min((a.confidence for a in answered), default=0.0),
        domain=turn.domain,
        sentences=tuple(sentences),
        citations=tuple(citations),
        evidence=tuple(evidence.values()),
        certificate=_certificate(answers),
        table=next((a.table for a in answers if a.table), None),
        parts=tuple(parts),
        audit_id=new_audit_id(),
        index_version=index_version,
        timings_ms=turn.clock.timings(),
    )


def _certificate(answers: Sequence[Answer]) -> Certificate:
    """Each part has its own; the whole is promised nothing beyond them."""
    valid = sum(a.certificate.status == "valid" for a in answers)
    return Certificate(
        status="uncertified",
        why=f"certificates are about single questions; {valid} of the {len(answers)} parts have a valid one",
    )


def _part(answer: Answer, sentences: tuple[int, int]) -> AnsweredPart:
    return AnsweredPart(
        question=answer.question.text,
        study=answer.question.study,
        answer=answer.answer,
        verdict=answer.verdict,
        probability=answer.probability,
        decision=answer.decision,
        reason=answer.reason,
        confidence=answer.confidence,
        certificate=answer.certificate,
        second_opinion=answer.second_opinion,
        sentences=sentences,
    )


def _placed(evidence: dict[str, Evidence], e: Evidence) -> Evidence:
    """The piece of evidence under its number in the whole answer."""
    if e.passage_id not in evidence:
        evidence[e.passage_id] = e.model_copy(update={"number": len(evidence) + 1})
    return evidence[e.passage_id]


def _sentences(text: str) -> list[str]:
    """The questions that stand in one text: each begins as questions do."""
    pieces = [piece.strip(" ,;") for piece in _BETWEEN.split(text)]
    pieces = [piece for piece in pieces if any(c.isalnum() for c in piece)]
    if len(pieces) < 2 or not all(_OPENS.match(piece) and len(piece.split()) > 2 for piece in pieces):
        return [text]
    return [piece if piece.endswith("?") else f"{piece}?" for piece in pieces]


def _about(q: Question, text: str, case: str, named: Sequence[str]) -> Question:
    """The question about one of the studies that it names."""
    for other in named:
        if other != case:
            text = re.sub(rf"\s*(?:,|\band\b|\bor\b)?\s*\b{re.escape(other)}\b", " ", text, flags=re.I)
    text = re.sub(r"\s*(?:,|\band\b|\bor\b)\s*(?=[?.!]?\s*$)", "", text, flags=re.I)
    text = re.sub(r"\b(?:both|either)\s+|(?<=\bin)\s+(?:and|or)\b|\bstudies\b", " ", text, flags=re.I)
    text = re.sub(r"^(\W*do(?:es)?)\s+(?:,|and|or)\s+", r"\1 ", text, flags=re.I)
    text = re.sub(r"^(\W*)do\b", r"\1Does", text, flags=re.I)
    return q.model_copy(update={"text": " ".join(text.split()), "study": case})


def _of_somebody(text: str) -> bool:
    """Whether it asks about a patient and not for what a word means."""
    return (
        re.match(r"\W*(?:what\s+(?:is|are|causes?)\s+(?!seen|shown|the\b)|define|explain|how\s+many)", text, re.I)
        is None
    )


def _defined(text: str, lexicon: Lexicon) -> list[str]:
    """ "What are drusen and edema?" asks for each, where each is a name that is known."""
    asked = _DEFINES.match(text)
    names = [name for name in _LISTED.split(asked["list"]) if name] if asked else []
    if asked is None or len(names) < 2 or not all(_is_name(name, lexicon) for name in names):
        return [text]
    return [f"{asked['lead']}{name}?" for name in names]


def _is_name(text: str, lexicon: Lexicon) -> bool:
    tokens = tokens_of(text)
    begin = 1 if tokens and tokens[0].word in ("a", "an", "the") else 0
    found = lexicon.mentions(tokens[begin:])
    return len(found) == 1 and (found[0].first, found[0].last) == (0, len(tokens) - begin)
