"""And then? A short question is read with the turn before it: its study, its image, and what it asked for.

"Is it on the left?", "and an effusion?", "in the other study?" become whole questions, and the answer says which. Where
two readings remain, one sentence asks back. A question that stands by itself is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag.answering.intake import in_its_language, studies_named
from rag.audit.ledger import Ledger
from rag.audit.record import IMAGE, Entry
from rag.indexing.snapshot import Snapshot
from rag.language.lexicon import Lexicon, Mention
from rag.language.question import read_question
from rag.language.tokens import Token, tokens_of
from rag.types import AskedBack, Question, TakenAs

REMEMBERED = 8  # turns of a thread that are looked at
_PRONOUN = re.compile(
    r"\b(?:it|that one|this one|they|them|that|this|those|these)\b(?!\s+(?:study|report|case|patient|image))", re.I
)
_ELLIPSIS = re.compile(
    r"^\W*(?:(?:and|also|or)\b(?:\s+what\s+about|\s+how\s+about)?|what\s+about|how\s+about|same\s+for)\s*", re.I
)
_PLACE = re.compile(
    r"^\W*(?:and\s+|or\s+|what\s+about\s+)?(?:on|in|at)?\s*(?:the\s+)?(?P<place>left|right|both\s+sides|"
    r"(?:left|right)?\s*(?:upper|lower|middle)(?:\s+(?:lobe|zone))?)(?:\s+side|\s+one)?\W*$",
    re.I,
)
_OTHER = re.compile(r"\b(?:the\s+)?other\s+(?:study|report|case|one|patient)\b", re.I)
_BARE = re.compile(
    r"^\W*(?:and\s+|or\s+|what\s+about\s+|how\s+about\s+|in\s+|same\s+for\s+|the\s+|study\s+|case\s+)*", re.I
)
_ASKS = re.compile(
    r"\W*(?:is|are|was|were|does|do|did|has|have|what|which|who|how|why|when|where|compare|show)\b", re.I
)
_ARTICLE = re.compile(r"\b(?:an?|any|the)\s+$", re.I)


@dataclass(frozen=True)
class Remembered:
    """A turn of a thread: the question as it was read, its study and the file of its image."""

    text: str
    study: str | None
    image: str | None


def last_turns(ledger: Ledger, thread: str, caller: str) -> list[Remembered]:
    """The last turns of one caller's thread, newest first. Turns that were redacted are forgotten."""
    return [turn for entry in ledger.thread(thread, caller, REMEMBERED) if (turn := _remembered(ledger, entry))]


def follow(q: Question, earlier: Sequence[Remembered], snapshot: Snapshot, lexicon: Lexicon) -> Question:
    """The question with what it is taken to mean after ``earlier`` turns, newest first; as it is where it needs none.

    >>> before = [Remembered("Does study CXR1 show a pleural effusion?", "CXR1", None)]
    >>> follow(Question(text="Is it on the left?"), before, snapshot, lexicon).taken.means   # doctest: +SKIP
    'Is the pleural effusion on the left?'
    """
    if not earlier or isinstance(q.taken, AskedBack):
        return q
    before = q.taken.notes if q.taken else ()
    taken = _followed(q.read_as, earlier, snapshot, lexicon)
    if not isinstance(taken.taken, TakenAs):
        return q if taken.taken is None else _asking(q, taken.taken.back)
    means = taken.taken.model_copy(update={"notes": (*before, *taken.taken.notes)})
    return q.model_copy(update={"study": taken.study, "image": taken.image, "taken": means})


def _followed(q: Question, earlier: Sequence[Remembered], snapshot: Snapshot, lexicon: Lexicon) -> Question:
    """The same of a question in English that nothing was made of yet."""
    last = earlier[0]
    named = studies_named(q.text, snapshot)
    own = _findings(q.text, lexicon, named)
    if _OTHER.search(q.text):
        return _of_other(q, earlier, snapshot, lexicon, own)
    if len(named) == 1 and not own and not _whole(q.text, named):
        return _taken(q, _with_study(last, named[0], snapshot), named[0], None)
    if named or q.study is not None or q.image is not None:
        return q
    before = _findings(last.text, lexicon, studies_named(last.text, snapshot))
    if place := _PLACE.match(q.text):
        return _about_one(q, last, before, lambda name: f"Is the {name} on the {place['place'].strip()}?")
    if _PRONOUN.search(q.text) and not own:
        return _about_one(q, last, before, lambda name: _PRONOUN.sub(f"the {name}", q.text, count=1))
    if (found := _ELLIPSIS.match(q.text)) and own and not _whole(q.text[found.end() :], ()):
        return _taken(q, _exchanged(last, before, q.text[found.end() :].strip(" ?.!")), last.study, last.image)
    asked = read_question(q.text, lexicon)
    if asked.about_patient and asked.claims and (last.study or last.image):
        return _taken(q, q.text, last.study, last.image)
    return q


def follow_conversation(q: Question, earlier: Sequence[Question], snapshot: Snapshot, lexicon: Lexicon) -> Question:
    """The same, for a client that brings its earlier questions along, oldest first, instead of a thread's name."""
    before: list[Remembered] = []
    for one in earlier[-REMEMBERED:]:
        read = follow(in_its_language(one, lexicon), before, snapshot, lexicon)
        named = studies_named(read.read_as.text, snapshot)
        study = read.study or (named[0] if len(named) == 1 else None)
        before.insert(0, Remembered(read.read_as.text, study, read.image))
    return follow(in_its_language(q, lexicon), before, snapshot, lexicon)


def _taken(q: Question, text: str, study: str | None, image: str | None) -> Question:
    where = f"in study {study}" if study else "of the image asked about before" if image else ""
    note = f"with the turn before, it was taken to mean “{text}”{f' {where}' if where else ''}"
    return q.model_copy(update={"study": study, "image": q.image or image, "taken": TakenAs(means=text, notes=(note,))})


def _asking(q: Question, back: str) -> Question:
    return q.model_copy(update={"taken": AskedBack(back=back)})


def _about_one(q: Question, last: Remembered, before: Sequence[str], put: Callable[[str], str]) -> Question:
    """The question about the one finding of the turn before; with several, one sentence asks which."""
    if not before:
        return q
    if len(before) > 1:
        return _asking(q, f"do you mean {' or '.join(before)}?")
    return _taken(q, put(before[0]), last.study, last.image)


def _of_other(
    q: Question, earlier: Sequence[Remembered], snapshot: Snapshot, lexicon: Lexicon, own: Sequence[str]
) -> Question:
    """The question about the other one of the studies that the thread has named."""
    last = earlier[0]
    studies = dict.fromkeys(s for turn in earlier for s in (turn.study, *studies_named(turn.text, snapshot)) if s)
    others = [s for s in studies if s != last.study]
    if not others:
        return _asking(q, "which other study do you mean? Only one has been named")
    if len(others) > 1:
        return _asking(q, f"which other study do you mean: {', '.join(others)}?")
    text = _OTHER.sub(f"study {others[0]}", q.text) if own else _with_study(last, others[0], snapshot)
    return _taken(q, text, others[0], None)


def _with_study(last: Remembered, study: str, snapshot: Snapshot) -> str:
    """The question of the turn before, asked of another study."""
    text = last.text
    for other in studies_named(text, snapshot):
        text = re.sub(rf"\b{re.escape(other)}\b", study, text, flags=re.I)
    return text


def _exchanged(last: Remembered, before: Sequence[str], phrase: str) -> str:
    """The question of the turn before, asked of another finding."""
    if len(before) == 1 and (at := last.text.lower().find(before[0].lower())) >= 0:
        head, tail = last.text[:at], last.text[at + len(before[0]) :]
        if re.match(r"(?:an?|any|the)\b", phrase, re.I):
            head = _ARTICLE.sub("", head)
        return f"{head}{phrase}{tail}"
    return f"Is there {phrase}?"


def _findings(text: str, lexicon: Lexicon, studies: Sequence[str]) -> list[str]:
    """The findings that a text names, in its words; structures count where it names nothing else."""
    for study in studies:
        text = re.sub(rf"\b{re.escape(study)}\b", " " * len(study), text, flags=re.I)
    tokens = tokens_of(text)
    mentions = lexicon.mentions(tokens)
    findings = [m for m in mentions if m.kind in ("finding", "term")] or [m for m in mentions if m.kind == "structure"]
    return list({m.concept: _words(text, tokens, m) for m in findings}.values())


def _words(text: str, tokens: Sequence[Token], m: Mention) -> str:
    return text[tokens[m.first].start : tokens[m.last - 1].end]


def _whole(text: str, studies: Sequence[str]) -> bool:
    """Whether it is a question of its own, beyond naming a study."""
    rest = _BARE.sub("", text)
    for study in studies:
        rest = re.sub(rf"\b{re.escape(study)}\b", "", rest, flags=re.I)
    return _ASKS.match(rest) is not None


def _remembered(ledger: Ledger, entry: Entry) -> Remembered | None:
    if "question" in entry.redacted:
        return None
    question = entry.answer.question
    text = question.taken.means if isinstance(question.taken, TakenAs) else question.text
    image = entry.image_sha256 if IMAGE not in entry.redacted else None
    file = str(ledger.images.path(image)) if image and ledger.images.holds(image) else None
    return Remembered(text, question.study, file)
