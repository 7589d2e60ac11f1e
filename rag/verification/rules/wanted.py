"""What an open question about one study asks for, and which sentences of that study's own texts tell it.

A study is read whole, so that search never says whether its report bears on a question. A sentence does where it
speaks of everything that the question names (findings and structures by the lexicon, other words by themselves), at
the place that it names, and has the property that it asks for: a size, a side, a cause, a dose. Where no sentence does,
the report does not tell it, and nothing else of it is an answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import tomli

from rag.errors import InputError
from rag.language.clinical_text import ClinicalSentence, Texts
from rag.language.cues import Phrases, Place, load_cues
from rag.language.headings import headings_of
from rag.language.question import Asked, content_of
from rag.language.tokens import tokens_of
from rag.settings import knowledge_dir
from rag.types import Evidence
from rag.verification.rules.wording import meets, wording_of

_WHOLE = "whole"
_DEFINES = re.compile(
    r"\W*(?:(?:what(?:\s+(?:is|are)|['’]s)|give|tell\s+me)\s+the\s+(?:definition|meaning)\s+of|what\s+(?:is|are)|what['’]s|define|"
    r"explain)\s+(?:an?\s+)?(?P<name>[^?.]+?)\W*$",
    re.I,
)
_BEGINS = 3  # words and marks at a sentence's begin in which it may name what it explains, beside its own
_ADVICE = re.compile(r"\W*(?:should|will|shall|must|ought)\b", re.I)
_GOES_ON = re.compile(r"\W*(?:it|they|this|these|the (?:lesion|former|latter|largest))\b", re.I)
_SIZED = re.compile("enlarg|dilat|widen|small|large|promin|shrunk|swollen")
_LABEL_ONLY = re.compile(r"[\W\d]*[A-Z][A-Za-z/ ]{1,40}:\W*$")


@dataclass(frozen=True, slots=True)
class Property:
    """What may be asked of a thing, and what a sentence that tells it has. See ``knowledge/wanted.toml``."""

    name: str
    meaning: str
    patterns: tuple[re.Pattern[str], ...]
    said: re.Pattern[str] | None
    dimensions: frozenset[str]
    places: tuple[str, ...]
    alone: bool

    def told_by(self, sentence: ClinicalSentence) -> bool:
        """Whether the sentence has it, whatever of."""
        return (
            any(q.dimension in self.dimensions for q in sentence.quantities)
            or any(getattr(sentence.place, name) for name in self.places)
            or (self.said is not None and self.said.search(sentence.text.lower()) is not None)
        )


@dataclass(frozen=True, slots=True)
class ReportPart:
    """A part of a report, such as its impression: the headings above it, or what its sentences have."""

    name: str
    patterns: tuple[re.Pattern[str], ...]
    headings: re.Pattern[str] | None
    said: re.Pattern[str] | None

    def holds(self, heading: str, sentence: str) -> bool:
        """Whether a sentence under a heading belongs to it."""
        under = self.headings is not None and self.headings.fullmatch(heading) is not None
        return under or (self.said is not None and self.said.search(sentence.lower()) is not None)


class _Knowledge(NamedTuple):
    parts: tuple[ReportPart, ...]
    properties: tuple[Property, ...]
    examinations: tuple[re.Pattern[str], ...]
    frame: tuple[re.Pattern[str], ...]
    kinds: Phrases


@dataclass(frozen=True, slots=True)
class Wants:
    """What an open question asks for.

    Attributes:
        parts: of the report, of which one must hold the sentence; none for any.
        properties: that the sentence must have.
        topics: concepts of the lexicon and the question's words for them; a sentence must speak of one at least, and
            all sentences together of all.
        place: where.
        words: names of the other words that it must have.
        examinations: that the report must speak of somewhere.
        shown: the words of the question by which it names things, for messages.
        defines: it asks what something is, which no report says.
    """

    parts: tuple[ReportPart, ...]
    properties: tuple[Property, ...]
    topics: Mapping[str, str]
    place: Place
    words: tuple[str, ...]
    examinations: tuple[str, ...]
    shown: tuple[str, ...]
    defines: bool

    @property
    def whole(self) -> bool:
        """Whether it asks for everything."""
        return not (self.parts or self.properties or self.topics or self.words or self.place.sides or self.place.zones)


class ToldAt(NamedTuple):
    """A sentence that tells what is wanted: ``passages[passage][start:end]``."""

    passage: int
    start: int
    end: int


class Telling(NamedTuple):
    """The sentences that tell what is wanted, those first that are most to the point; ``missing`` says why none is."""

    sentences: tuple[ToldAt, ...]
    missing: str = ""


def defined_by(asked: Asked, texts: Texts) -> frozenset[str]:
    """Lemmas of the finding that is to be explained, in "what is pneumonia?"; none where anything else is asked."""
    match = _DEFINES.match(asked.plain)
    if match is None:
        return frozenset()
    tokens = tokens_of(match["name"])
    found = texts.lexicon.mentions(tokens)
    whole = len(found) == 1 and found[0].kind in ("finding", "term") and found[0].last - found[0].first == len(tokens)
    return content_of(tokens) if whole else frozenset()


def is_about(thing: frozenset[str], sentence: ClinicalSentence, title: ClinicalSentence) -> bool:
    """Whether a sentence can say what a thing is: it begins with it, or stands under its name."""
    begin = content_of(sentence.tokens[: len(thing) + _BEGINS])
    under = 2 * len(thing & title.words) >= max(1, len(title.words))
    return under or 2 * len(thing & begin) >= len(thing)


def needs_telling(asked: Asked) -> bool:
    """Whether a report answers it only by a sentence that tells it: an open question, or one for advice or foresight.

    "Is there an effusion?" is answered by silence, too; "should it be drained?" is answered by no finding.
    """
    return not asked.yes_no or _ADVICE.match(asked.plain) is not None


def tell_of_study(asked: Asked, own: Sequence[Evidence], texts: Texts) -> Telling:
    """The same of the evidence that is a study's ``own``; what is missing is said as a reason for a refusal."""
    told = tell(asked, [e.text for e in own], own[0].title, texts)
    return told._replace(missing=f"the report of {own[0].case_id} does not tell this: {told.missing}")


def tell(asked: Asked, passages: Sequence[str], title: str, texts: Texts) -> Telling:
    """Which sentences of a study's ``passages`` tell what an open question asks for.

    >>> texts = Texts(Lexicon.load())                                                                  # doctest: +SKIP
    >>> tell(read_question("How large is the nodule?", texts.lexicon), ["A 5 mm nodule. Clear."], "", texts)  # doctest: +SKIP
    Telling(sentences=(ToldAt(passage=0, start=0, end=14),), missing='')
    """  # noqa: E501
    return texts.once(_tell, asked, tuple(passages), title)


def _tell(texts: Texts, asked: Asked, passages: tuple[str, ...], title: str) -> Telling:
    wanted = read_wants(asked, texts)
    if wanted.defines:
        return Telling((), "a report does not explain what a word means; ask it without the study")
    everything = " ".join((title, *passages)).lower()
    for examination in wanted.examinations:
        if not any(p.search(examination) and p.search(everything) for p in _knowledge().examinations):
            return Telling((), f"nothing in it speaks of “{examination}”")
    rows = [row for n, passage in enumerate(passages) for row in _rows(n, passage, texts)]
    if wanted.whole:
        found = [row for row in rows if not row.aside] or rows
        return Telling(tuple(row.at for row in sorted(found, key=_weight)), "it says nothing")
    return _Search(wanted, rows, texts).told()


class _Row(NamedTuple):
    """A sentence of the report, under its heading; ``aside``: it tells why the report was made, or what was before."""

    at: ToldAt
    sentence: ClinicalSentence
    heading: str
    aside: bool


def _rows(n: int, passage: str, texts: Texts) -> list[_Row]:
    read = texts.of(passage)
    spans = [(start, end) for start, end, _ in read.sentences]
    headings = headings_of(read.readable, spans)
    return [
        _Row(ToldAt(n, start, end), sentence, headings[start], start in read.asides)
        for start, end, sentence in read.sentences
        if not _LABEL_ONLY.fullmatch(sentence.text) and any(c.isalpha() for c in sentence.text)
    ]


def _weight(row: _Row) -> tuple[bool, bool]:
    """The impression first, then what is there, then what is not."""
    impression = next(p for p in _knowledge().parts if p.name == "impression")
    found = any(a.status in ("present", "uncertain") for a in row.sentence.statements)
    return not impression.holds(row.heading, row.sentence.text), not found


class _Search:
    """The sentences of one report for one question."""

    def __init__(self, wanted: Wants, rows: Sequence[_Row], texts: Texts) -> None:
        self._wanted, self._rows, self._texts = wanted, rows, texts
        self._lexicon = texts.lexicon

    def told(self) -> Telling:
        wanted = self._wanted
        rows = self._rows
        if wanted.parts:
            rows = [r for r in rows if any(p.holds(r.heading, r.sentence.text) for p in wanted.parts)]
            if not rows and all(p.name == "impression" for p in wanted.parts):
                rows = [r for r in self._rows if not r.aside]  # a report of one piece is its own conclusion
            if not rows:
                return Telling((), f"it has no {' and no '.join(p.name for p in wanted.parts)}")
        elif not any(p.alone for p in wanted.properties):
            rows = [r for r in rows if not r.aside] + [r for r in rows if r.aside]
        speaking = self._speaking(rows)
        met = [r for r, about in speaking if self._has_properties(r, about)]
        if met and self._all_topics(met):
            return Telling(tuple(r.at for r in met))
        return Telling((), self._missing(bool(speaking) and self._named))

    @property
    def _named(self) -> bool:
        return bool(self._wanted.topics or self._wanted.words)

    def _speaking(self, rows: Sequence[_Row]) -> list[tuple[_Row, ClinicalSentence]]:
        """Sentences that speak of what is asked about, with the one that names it: "it" goes on about the last."""
        found: list[tuple[_Row, ClinicalSentence]] = []
        last: _Row | None = None
        for row in rows:
            if self._speaks(row.sentence):
                found.append((row, row.sentence))
                last = row
            elif last is not None and _GOES_ON.match(row.sentence.text) and self._wanted.properties:
                found.append((row, last.sentence))
            else:
                last = None
        return found

    def _speaks(self, sentence: ClinicalSentence) -> bool:
        wanted = self._wanted
        if wanted.topics and not any(self._of_topic(sentence, t) for t in wanted.topics):
            return False
        names = self._names(sentence.text)
        if not all(any(meets(word, name) for name in names) for word in wanted.words):
            return False
        if self._denied(sentence):
            return True
        return wanted.place.sides <= sentence.place.sides and wanted.place.zones <= sentence.place.zones

    def _of_topic(self, sentence: ClinicalSentence, topic: str) -> bool:
        """Whether it names the topic, or a kind of it; the size of a structure is no size of what is found in it."""
        named = {m.concept for m in sentence.mentions} | {a.concept for a in sentence.statements if not a.derived}
        if self._lexicon.concepts[topic].kind != "structure" or not self._wanted.properties:
            return any(self._lexicon.is_a(c, topic) for c in named) or self._has_words(
                sentence, self._wanted.topics[topic]
            )
        return topic in named or any(self._lexicon.is_a(c, topic) and self._tells_size(c) for c in named)

    def _has_words(self, sentence: ClinicalSentence, phrase: str) -> bool:
        names = self._names(sentence.text)
        wanted = self._names(phrase)
        return bool(wanted) and all(any(meets(word, name) for name in names) for word in wanted)

    def _names(self, text: str) -> frozenset[str]:
        return frozenset(w.name for w in wording_of(text, self._texts).words)

    def _tells_size(self, concept: str) -> bool:
        states = self._lexicon.concepts[concept].states
        return any(_SIZED.search(" ".join(words)) for words in states)

    def _denied(self, sentence: ClinicalSentence) -> bool:
        """Whether it says that the thing is not there: then it has no size, and no place."""
        topics = [t for t in self._wanted.topics if self._lexicon.concepts[t].kind != "structure"]
        return any(
            a.status == "absent" and self._lexicon.is_a(t, a.concept) for a in sentence.statements for t in topics
        )

    def _has_properties(self, row: _Row, about: ClinicalSentence) -> bool:
        properties = self._wanted.properties
        if not properties:
            return True
        if not self._named and not self._wanted.parts and not all(p.alone for p in properties):
            return False  # "how large is it?"
        return self._denied(about) or all(p.told_by(row.sentence) for p in properties)

    def _all_topics(self, rows: Sequence[_Row]) -> bool:
        return all(any(self._of_topic(r.sentence, t) for r in self._rows) for t in self._wanted.topics) and bool(rows)

    def _missing(self, spoken: bool) -> str:
        wanted = self._wanted
        lacking = [p.meaning for p in wanted.properties]
        if spoken and lacking:
            return f"it speaks of {_listed(wanted.shown)}, and does not say {' and '.join(lacking)}"
        unsaid = [shown for shown in wanted.shown if not self._somewhere(shown)]
        if unsaid:
            return f"nothing in it speaks of {_listed(unsaid)}"
        if lacking and not wanted.shown:
            return f"it does not say {' and '.join(lacking)}"
        return f"it does not say that of {_listed(wanted.shown)}" if wanted.shown else "nothing in it tells that"

    def _somewhere(self, shown: str) -> bool:
        """Whether the report has these words at all."""
        names = frozenset[str]().union(*(self._names(r.sentence.text) for r in self._rows))
        return all(any(meets(word, name) for name in names) for word in self._names(shown))


def read_wants(asked: Asked, texts: Texts) -> Wants:
    """What a question asks for."""
    return texts.once(_read_wants, asked)


def _read_wants(texts: Texts, asked: Asked) -> Wants:
    known = _knowledge()
    text = asked.plain.lower()
    parts: list[ReportPart] = []
    for part in known.parts:
        text, found = _taken(text, part.patterns)
        parts += [part] if found and part.name != _WHOLE else []
    properties: list[Property] = []
    for one in known.properties:
        text, found = _taken(text, one.patterns)
        properties += [one] if found else []
    text, examinations = _taken(text, known.examinations)
    text, _ = _taken(text, known.frame)
    tokens = tokens_of(text)
    mentions = [m for m in texts.lexicon.mentions(tokens) if m.concept in texts.lexicon.concepts]
    inside = {i for m in mentions for i in range(m.first, m.last)}
    topics = {m.concept: " ".join(t.text for t in tokens[m.first : m.last]) for m in mentions}
    for kind in known.kinds.all(tokens):
        if kind.first not in inside:
            inside |= set(range(kind.first, kind.last))
            topics.setdefault(kind.meaning, tokens[kind.first].text)
    words = [w for w in wording_of(text, texts).words if w.token not in inside]
    if asked.form == "choice" and topics:
        words = []  # "is the heart normal or enlarged?"
    for claim in asked.claims if asked.form != "choice" else ():  # "why is the heart enlarged?" asks about cardiomegaly
        concept = texts.lexicon.concepts[claim.concept]
        if claim.status == "present" and concept.structure in topics and concept.kind == "finding":
            states = {word for state in concept.states for word in state}
            if any({w.text, tokens[w.token].lemma} & states for w in words):
                words = [w for w in words if not {w.text, tokens[w.token].lemma} & states]
                topics = {claim.concept: topics.pop(concept.structure), **topics}
    place = load_cues().place([t for i, t in enumerate(tokens) if i not in inside])
    return Wants(
        parts=tuple(parts),
        properties=tuple(properties),
        topics=topics,
        place=Place(sides=place.sides, zones=place.zones),
        words=tuple(dict.fromkeys(w.name for w in words)),
        examinations=tuple(dict.fromkeys(examinations)),
        shown=tuple(dict.fromkeys([*topics.values(), *(w.text for w in words)])),
        defines=bool(defined_by(asked, texts)),
    )


def _taken(text: str, patterns: Sequence[re.Pattern[str]]) -> tuple[str, list[str]]:
    """The text with what the patterns match blanked, but for what stands in their groups; and those matches."""
    found: list[str] = []
    for pattern in patterns:
        for match in pattern.finditer(text):
            if not match[0].strip():
                continue
            found.append(match[0].strip())
            kept = match.span(1) if pattern.groups and match[1] is not None else (match.end(), match.end())
            middle = text[kept[0] : kept[1]]
            blank = " " * (kept[0] - match.start()) + middle + " " * (match.end() - kept[1])
            text = text[: match.start()] + blank + text[match.end() :]
    return text, found


def _listed(words: Sequence[str]) -> str:
    quoted = [f"“{word}”" for word in words]
    return " and ".join((", ".join(quoted[:-1]), quoted[-1])) if len(quoted) > 1 else "".join(quoted)


@lru_cache(maxsize=1)
def _knowledge() -> _Knowledge:
    path = knowledge_dir() / "wanted.toml"
    try:
        data = tomli.loads(path.read_text(encoding="utf-8"))
        return _Knowledge(
            tuple(
                ReportPart(p["name"], _each(p["patterns"]), _any(p.get("headings")), _any(p.get("said")))
                for p in data["part"]
            ),
            tuple(_property(p) for p in data["property"]),
            _each(data["examination"]["patterns"]),
            _each(data["frame"]["patterns"]),
            Phrases(data["kinds"]),
        )
    except (OSError, tomli.TOMLDecodeError, KeyError, re.error) as error:
        raise InputError(f"what open questions ask for, {path}, cannot be used: {error}") from error


def _property(row: dict[str, Any]) -> Property:
    return Property(
        row["name"],
        row["as"],
        _each(row["patterns"]),
        _any(row.get("said")),
        frozenset(row.get("dimensions", ())),
        tuple(row.get("places", ())),
        bool(row.get("alone")),
    )


def _each(patterns: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"(?<!\w)(?:{p})(?!\w)") for p in patterns)


def _any(patterns: Sequence[str] | None) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{p})" for p in patterns)) if patterns else None
