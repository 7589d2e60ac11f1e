"""A request becomes a draft that may be given: write → verify → drop what fails → write again once → give up.

Sentences that passed are told while the rest is being written, and a draft which has told something is never replaced:
it is written again only if none of its sentences passed, or if the one that says yes or no did not, and then it has
told nothing. Where the whole of a draft fails although its beginning passed, the answer is withheld.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from collections.abc import Generator as Steps
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from rag.generation.base import Generator, Request, drafts
from rag.language.lexicon import Lexicon
from rag.language.question import Asked
from rag.language.reading import read_passage
from rag.timing import Clock
from rag.types import Citation, Draft, DraftSentence, Evidence, Quote, Sentence
from rag.verification.citations import parse
from rag.verification.verify import Verified

# "Yes. The heart is enlarged [1]." is one statement, and the second half carries the citation of the first
_VERDICT = re.compile(r"[\W_]*(yes|no)\b[\s.,:;!*\u2013\u2014-]*(?=[^\W_])", re.I)
_BARE = re.compile(r"(yes|no)\W*", re.I)
_ENDS = re.compile(r"[.!?][\"'”’)*]*(?:\s*\[[^\]]*\])*\W*$|\]\W*$")


Verifier = Callable[[Draft, Asked, Sequence[Evidence]], Verified]


class Attempt(NamedTuple):
    """A draft, what the verifier made of it, and why it may not be given (None where it may)."""

    draft: Draft
    verified: Verified
    failure: str | None


class Passed(NamedTuple):
    """A sentence that passed, and its citations; numbers are those of the request's evidence."""

    sentence: Sentence
    citations: tuple[Citation, ...]


def attempts(
    request: Request, generator: Generator, lexicon: Lexicon, verifier: Verifier, revisions: int, clock: Clock
) -> Steps[Passed, None, tuple[Attempt, ...]]:
    """Yields sentences as they pass; returns all attempts, of which the last one counts.

    Raises:
        RagError: the generator failed midway.
    """
    made: list[Attempt] = []
    while True:
        attempt, told = yield from _attempt(request, generator, lexicon, verifier, clock)
        made.append(attempt)
        final = attempt.failure is None or attempt.draft.refusal is not None or told
        if final or not generator.revises or len(made) > revisions:
            return tuple(made)
        request = replace(request, objections=_objections(attempt))


def _attempt(
    request: Request, generator: Generator, lexicon: Lexicon, verifier: Verifier, clock: Clock
) -> Steps[Passed, None, tuple[Attempt, bool]]:
    """One attempt, and whether any of its sentences was told."""
    draft: Draft | None = None
    told = 0
    with closing(drafts(generator, request)) as growing:
        while True:
            with clock("generate"):
                longer = next(growing, None)
            if longer is None:
                break
            draft = longer
            if draft.text is None or draft.refusal:
                continue
            with clock("verify"):
                sentences = _read(draft, request, lexicon)[:-1]  # the last one may go on
                so_far = _checked(draft, sentences[: request.max_sentences], request, verifier)
            yield from _passed(so_far.verified, told)
            told = max(told, len(so_far.verified.sentences))
            if len(sentences) >= request.max_sentences:
                break
    assert draft is not None, "a generator writes at least one draft"
    with clock("verify"):
        sentences = draft.sentences if draft.text is None else _whole(draft, _read(draft, request, lexicon))
        attempt = _checked(draft, sentences[: request.max_sentences] if draft.text else sentences, request, verifier)
    yield from _passed(attempt.verified, told)
    return attempt, told > 0


def _passed(verified: Verified, told: int) -> Steps[Passed, None, None]:
    for n, sentence in enumerate(verified.sentences[told:], start=told):
        yield Passed(sentence, tuple(c for c in verified.citations if c.sentence == n))


def _read(draft: Draft, request: Request, lexicon: Lexicon) -> tuple[DraftSentence, ...]:
    """The sentences of a language model's text, which may cite only what the model was shown."""
    text, shown = draft.text or "", _shown(draft, request.evidence)
    if not request.asked.yes_no:
        return parse(text, shown, lexicon)
    if said := _VERDICT.match(text):
        text = f"{said[1].capitalize()}: {text[said.end() :]}"
    sentences = parse(text, shown, lexicon)
    if sentences and (bare := _BARE.fullmatch(sentences[0].text)):
        yes = bare[1].lower() == "yes"
        return _grounded(sentences[0], yes, request.asked, shown, lexicon), *sentences[1:]
    return sentences


def _grounded(
    sentence: DraftSentence, yes: bool, asked: Asked, shown: Sequence[Evidence], lexicon: Lexicon
) -> DraftSentence:
    """A bare "Yes." points at what the assertion reader finds for it, in the passages that it cites.

    Where it cites none, all that the model was shown are read, and none of them may say the opposite.
    """
    cited = {q.number for q in sentence.quotes}
    readings = [(e, read_passage(asked, e.text, lexicon)) for e in shown if not cited or e.number in cited]
    if not cited and any(r.mentioned and (r.probability >= 0.5) != yes for _, r in readings):
        return sentence
    found = [(e, side) for e, r in readings if (side := r.yes if yes else r.no) is not None]
    best = sorted(found, key=lambda x: -x[1].weight)[: None if cited else 1]
    quotes = tuple(Quote(number=e.number, start=e.start + s.start, end=e.start + s.end) for e, s in best)
    return DraftSentence(text="Yes." if yes else "No.", quotes=quotes) if quotes else sentence


def _whole(draft: Draft, sentences: tuple[DraftSentence, ...]) -> tuple[DraftSentence, ...]:
    """Without a last sentence that was cut off."""
    return sentences[:-1] if draft.truncated and not _ENDS.search(draft.text or "") else sentences


def _shown(draft: Draft, evidence: Sequence[Evidence]) -> list[Evidence]:
    return [e for e in evidence if e.passage_id not in draft.left_out]


def _checked(draft: Draft, sentences: Sequence[DraftSentence], request: Request, verifier: Verifier) -> Attempt:
    """Verify, and see whether what is left may be given."""
    if draft.refusal and draft.text is not None:
        return Attempt(draft, Verified((), (), ()), draft.refusal)
    draft = draft.model_copy(update={"sentences": tuple(sentences)})
    shown = _shown(draft, request.evidence)
    verified = verifier(draft, request.asked, shown)
    failure = draft.refusal
    if failure is None and draft.text is not None and request.asked.yes_no:
        first = draft.model_copy(update={"sentences": draft.sentences[:1]})
        if draft.verdict is None:
            failure = "the draft says neither yes nor no"
        elif not (verified if first == draft else verifier(first, request.asked, shown)).sentences:
            failure = f"the sentence that says {draft.verdict} did not pass verification"
        if failure is not None:
            verified = Verified((), (), verified.dropped)
    if failure is None and not verified.sentences:
        kinds = ", ".join(sorted({d.verdict for d in verified.dropped})) or "nothing was written"
        failure = f"no sentence of the draft passed verification ({kinds})"
    return Attempt(draft, verified, failure)


def _objections(attempt: Attempt) -> tuple[str, ...]:
    """What the generator is told of its failure."""
    return (attempt.failure or "", *(f"“{d.text}”: {d.reason or d.verdict}" for d in attempt.verified.dropped))
