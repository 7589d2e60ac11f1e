"""Whether a question can be asked of an index at all, the study that it names, and the language that it is in."""

from __future__ import annotations

import re
from pathlib import Path

from rag.cohorts.asking import counts_reports
from rag.corpus.images import check_image
from rag.errors import InputError
from rag.indexing.snapshot import Snapshot
from rag.language.languages import ENGLISH, language_of
from rag.language.lexicon import Lexicon
from rag.language.naming import named_after_word, names_in, spellings, without_study
from rag.language.phrasebook import render
from rag.types import AskedBack, Question, TakenAs

# letters and a number, as studies are often called: "CXR2814", "CT-0071", and not "CD45"
_NUMBERED = re.compile(r"(?P<letters>[^\W\d_]{3,}[-_]?|[^\W\d_]{2}[-_]?(?=\d{3}))\d+")


def check_question(q: Question, snapshot: Snapshot, index: str, most: int) -> Question:
    """The question with the id of the study that its words name, if they do.

    Args:
        q: as it was asked.
        snapshot: what it is asked of.
        index: its name, for messages.
        most: characters that a question may have.

    Raises:
        InputError: it is empty, too long, names a study that is not there, or has an image that cannot be used.
    """
    if any("\ud800" <= c <= "\udfff" for text in (q.text, q.study or "", *q.exclude_groups) for c in text):
        raise InputError("the question is not valid Unicode: it was not UTF-8 where it was read; send it as UTF-8")
    if not q.text.strip():
        raise InputError('the question is empty; write one, e.g.: rag ask "Does study CXR2814 show cardiomegaly?"')
    if len(q.text) > most:
        raise InputError(f"the question has {len(q.text):,} characters; at most {most:,} are read. Shorten it.")
    if q.image is not None:
        check_image(Path(q.image))
        if not snapshot.spaces().keys() & {"image", "joint"}:
            raise InputError(f"index {index!r} has no images to compare with; ask without {q.image}")
    wanted = q.study or named_after_word(q.text)
    case = None if wanted is None else _case(wanted, snapshot) or snapshot.case_ending(wanted)
    unknown = wanted if wanted is not None and case is None else _unknown_study(q.text, snapshot)
    if unknown is not None:
        raise InputError(_no_study(unknown, index))
    if case is not None:
        return q.model_copy(update={"study": case})
    cases = {case for name in names_in(q.text) if (case := _case(name, snapshot))}
    if len(cases) == 1 and any(d.kind == "report" for d in snapshot.case(min(cases))):
        return q.model_copy(update={"study": min(cases)})
    return q


def in_its_language(q: Question, lexicon: Lexicon) -> Question:
    """The question with its language, where it is not English, and what it means in English where all of it is read.

    A question about many reports of which a part is not read is asked back: a quote answers no "how many".
    """
    if q.taken is not None:
        return q
    code = language_of(without_study(q.text, q.study) if q.study else q.text, lexicon.vocabulary)
    if code == ENGLISH:
        return q
    read = render(q.text, code, lexicon)
    if read is None:
        return q.model_copy(update={"language": code})
    found: dict[str, object] = {"language": read.language}
    if not read.unread:
        found["taken"] = TakenAs(means=read.text, notes=(read.note,))
    elif q.study is None and q.image is None and counts_reports(read.text):
        found["taken"] = AskedBack(back=read.asks_back)
    return q.model_copy(update=found)


def _case(name: str, snapshot: Snapshot) -> str | None:
    return next((case for spelling in spellings(name) if (case := snapshot.has_case(spelling))), None)


def _unknown_study(text: str, snapshot: Snapshot) -> str | None:
    """An id that no study has, though others are made as it is: letters, then a number ("CXR99999" beside "CXR1")."""
    for name in names_in(text):
        if (made := _NUMBERED.fullmatch(name)) and _case(name, snapshot) is None:
            beside = snapshot.cases_starting(made["letters"], 1)
            if beside and re.fullmatch(rf"{re.escape(made['letters'])}\d+", beside[0], re.I):
                return name
    return None


def _no_study(name: str, index: str) -> str:
    return f'index {index!r} has no study {name!r}; list the studies that it has with: rag find "show me reports"'


def studies_named(text: str, snapshot: Snapshot) -> list[str]:
    """The studies whose ids stand in a text, in its order."""
    after = named_after_word(text)
    names = [*names_in(text), *([after] if after else [])]
    return list(dict.fromkeys(case for name in names if (case := _case(name, snapshot)) is not None))
