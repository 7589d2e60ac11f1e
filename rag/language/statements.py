"""What a text asserts about findings: present, absent, uncertain or historical, where, and how much.

A rule reader in the family of NegEx (Chapman et al. 2001) and ConText (Harkema et al. 2009): cue words act on the
mentions in their scope inside one clause. On top of that it reads predications of structures ("the heart is mildly
enlarged", "clear lungs"), because that is how most normal findings are reported. The same reader is used on evidence,
on questions and on drafts, so that a question, its answer and its support are compared in one vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rag.language.context import ContextReader
from rag.language.cues import NOWHERE, Place, Status, load_cues
from rag.language.lexicon import Lexicon, Mention
from rag.language.predication import predications
from rag.language.tokens import Token

_SEPARATORS = frozenset({"and", ",", "with", "or", "versus"})


@dataclass(frozen=True, slots=True)
class Assertion:
    """One statement about one concept.

    For a structure, ``absent`` reads "stated to be normal" and ``present`` "stated to be abnormal". ``start`` and
    ``end`` are the offsets of the sentence; ``sure``, in (0, 1], is lower for weak or hedged wording; ``derived``
    statements follow from a fixed phrase ("no acute disease") that does not name the concept.
    """

    concept: str
    status: Status
    start: int
    end: int
    place: Place = NOWHERE
    sure: float = 1.0
    derived: bool = False


def statements_of(tokens: Sequence[Token], lexicon: Lexicon, span: tuple[int, int]) -> list[Assertion]:
    """What the one sentence that ``tokens`` are asserts; ``span`` are its offsets."""
    reader = ContextReader(tokens)
    return [a for first, last in _clauses(tokens) for a in _read_clause(tokens, first, last, reader, lexicon, span)]


def moved(a: Assertion, by: int, status: Status) -> Assertion:
    """The same statement ``by`` characters further on, with another status."""
    return Assertion(a.concept, status, a.start + by, a.end + by, a.place, a.sure, a.derived)


def _clauses(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    breaks = load_cues().breaks
    ends = [i for i, t in enumerate(tokens) if t.lemma in breaks or t.text == ":"] + [len(tokens)]
    begins = [0, *(i + 1 for i in ends)]
    return [(begin, end) for begin, end in zip(begins, ends, strict=False) if begin < end]


def _read_clause(
    sentence: Sequence[Token], begin: int, end: int, reader: ContextReader, lexicon: Lexicon, span: tuple[int, int]
) -> list[Assertion]:
    """What sentence[begin:end] asserts; cues may stand outside it ("Pleural effusion: none")."""
    tokens = sentence[begin:end]
    mentions = lexicon.mentions(tokens)
    rivals = [(begin + m.first, begin + m.last) for m in mentions]
    labelled = begin and sentence[begin - 1].text == ":"
    header = load_cues().place(sentence[: begin - 1]) if labelled else None
    found: list[Assertion] = []
    for mention in mentions:
        if mention.kind == "structure" and not reader.assesses:
            continue
        context = reader.context(begin + mention.first, begin + mention.last, rivals)
        if mention.kind == "structure":
            if context.status == "unknown":  # "heart size cannot be assessed"
                found.append(Assertion(mention.concept, "unknown", *span))
            continue
        if mention.kind == "opposite":
            status: Status = "present" if context.status == "absent" else "absent"
            found.append(Assertion(mention.concept, status, *span, sure=context.sure))
        else:
            place = _place(mention, mentions, tokens)
            if header is not None and not place.sides:  # "Lung, left lower lobe: squamous cell carcinoma"
                place = replace(place, sides=header.sides, zones=place.zones or header.zones)
            found.append(Assertion(mention.concept, context.status, *span, place, context.sure))
    for statement in lexicon.normal_statements(tokens):
        if reader.context(begin + statement.first, begin + statement.last, rivals).status != "absent":
            around = load_cues().place(tokens[max(0, statement.first - 2) : statement.last])
            where = Place(sides=around.sides)
            found += [
                Assertion(f, "absent", *span, where, sure=0.9, derived=True) for f in lexicon.normals[statement.concept]
            ]
    if header is not None and not any(m.kind == "structure" for m in mentions):  # "Heart size: enlarged"
        tokens = [*_label(sentence, begin), *tokens]
        mentions = lexicon.mentions(tokens)
    found += [Assertion(p.concept, p.status, *span, p.place, p.sure) for p in predications(tokens, mentions, lexicon)]
    return found


def _label(sentence: Sequence[Token], begin: int) -> Sequence[Token]:
    """The words before the colon that stands before token ``begin``, back to the clause's own beginning."""
    first = max((last for _, last in _clauses(sentence) if last < begin - 1), default=-1) + 1
    return sentence[first : begin - 1]


def _place(mention: Mention, mentions: Sequence[Mention], tokens: Sequence[Token]) -> Place:
    """Sides, zones and degrees inside the mention, before it and after it, up to the neighbouring findings.

    Between two findings the separator decides: words before "and" or a comma belong to the first.
    """
    findings = [m for m in mentions if m.kind in ("finding", "term")]
    where = findings.index(mention)
    begin, end = 0, len(tokens)
    if where:
        begin = _separator(tokens, findings[where - 1].last, mention.first, findings[where - 1].last - 1) + 1
    if where + 1 < len(findings):
        following = findings[where + 1].first
        end = _separator(tokens, mention.last, following, following)
    return load_cues().place(tokens[begin:end])


def _separator(tokens: Sequence[Token], begin: int, end: int, otherwise: int) -> int:
    return next((i for i in range(begin, end) if tokens[i].lemma in _SEPARATORS), otherwise)
