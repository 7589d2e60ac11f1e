"""What a language model wrote becomes the sentences of a draft, each pointing at the passages that it cites."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.generation.base import Request
from rag.language.clinical_text import Texts
from rag.language.question import Asked
from rag.language.reading import read_passage
from rag.types import DraftSentence, Evidence, Quote
from rag.verification.citations import parse

# "Yes. The heart is enlarged [1]." is one statement, and the second half carries the citation of the first
_LEAD = r"[\W_]*(?:(?:the\s+|my\s+)?(?:final\s+|short\s+)?(?:answer|verdict|response|conclusion)(?:\s+is)?[\W_]+)?"
VERDICT = re.compile(rf"{_LEAD}(yes|no)\b", re.I)
_VERDICT = re.compile(rf"{_LEAD}(yes|no)\b[\s.,:;!*\u2013\u2014-]*(?=[^\W_])", re.I)
MAYBE = re.compile(r"[\W_]*maybe\b", re.I)
_BARE = re.compile(r"(yes|no)\W*", re.I)
_ENDS = re.compile(r"[.!?][\"'”’)*]*(?:\s*\[[^\]]*\])*\W*$|\]\W*$")


def parse_draft(text: str, request: Request, left_out: Sequence[str], texts: Texts) -> tuple[DraftSentence, ...]:
    """The sentences of ``text``, which may cite only what the model was shown; the last one may not be finished.

    Args:
        text: what the model wrote, with markers like [1].
        request: what it was asked.
        left_out: ids of passages that it was not shown.
        texts: read as the index's lexicon understands them.
    """
    shown = [e for e in request.evidence if e.passage_id not in left_out]
    if not request.asked.yes_no:
        return parse(text, shown, texts)
    if said := _VERDICT.match(text):
        text = f"{said[1].capitalize()}: {text[said.end() :]}"
    sentences = parse(text, shown, texts)
    if sentences and (bare := _BARE.fullmatch(sentences[0].text)):
        yes = bare[1].lower() == "yes"
        return _grounded(sentences[0], yes, request.asked, shown, texts), *sentences[1:]
    return sentences


def is_finished(text: str) -> bool:
    """Whether ``text`` ends with a sentence, and not in the middle of one."""
    return bool(_ENDS.search(text))


def _grounded(
    sentence: DraftSentence, yes: bool, asked: Asked, shown: Sequence[Evidence], texts: Texts
) -> DraftSentence:
    """A bare "Yes." points at what the assertion reader finds for it, in the passages that it cites.

    Where it cites none, all that the model was shown are read, and none of them may say the opposite.
    """
    cited = {q.number for q in sentence.quotes}
    readings = [(e, read_passage(asked, e.text, texts)) for e in shown if not cited or e.number in cited]
    if not cited and any(r.mentioned and (r.probability >= 0.5) != yes for _, r in readings):
        return sentence
    found = [(e, side) for e, r in readings if (side := r.yes if yes else r.no) is not None]
    best = sorted(found, key=lambda x: -x[1].weight)[: None if cited else 1]
    quotes = tuple(Quote(number=e.number, start=e.start + s.start, end=e.start + s.end) for e, s in best)
    return DraftSentence(text="Yes." if yes else "No.", quotes=quotes) if quotes else sentence
