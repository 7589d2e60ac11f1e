"""A request becomes a draft that may be given: write → verify → drop what fails → write again once → give up.

Sentences that passed are told while the rest is being written, and a draft which has told something is never replaced:
it is written again only if none of its sentences passed, or if the one that says yes or no did not, and then it has
told nothing. Where the whole of a draft fails although its beginning passed, the answer is withheld.
"""

from __future__ import annotations

from collections.abc import Generator as Steps
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

from rag.answering.turn import Attempt
from rag.generation.base import Generator, Request, drafts
from rag.timing import Clock
from rag.types import Citation, Draft, Sentence
from rag.verification.base import Verified, Verifier


class Passed(NamedTuple):
    """A sentence that passed, and its citations; numbers are those of the request's evidence."""

    sentence: Sentence
    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class Drafting:
    """Who writes, who verifies, and how often a failed draft is sent back."""

    generator: Generator
    verifier: Verifier
    revisions: int

    def write(self, request: Request, clock: Clock) -> Steps[Passed, None, tuple[Attempt, ...]]:
        """Yields sentences as they pass; returns all attempts, of which the last one counts.

        Raises:
            RagError: the generator failed midway.
        """
        made: list[Attempt] = []
        while True:
            attempt, told = yield from self._attempt(request, clock)
            made.append(attempt)
            final = attempt.failure is None or attempt.draft.refusal is not None or told
            if final or not self.generator.revises or len(made) > self.revisions:
                return tuple(made)
            request = replace(request, objections=_objections(attempt))

    def _attempt(self, request: Request, clock: Clock) -> Steps[Passed, None, tuple[Attempt, bool]]:
        """One attempt, and whether any of its sentences was told."""
        attempt: Attempt | None = None
        told = 0
        with closing(drafts(self.generator, request)) as growing:
            while True:
                with clock("generate"):
                    draft = next(growing, None)
                if draft is None:
                    break
                with clock("verify"):
                    attempt = self._check(draft, request)
                yield from _untold(attempt.verified, told)
                told = max(told, len(attempt.verified.sentences))
        assert attempt is not None, "a generator writes at least one draft"
        return attempt, told > 0

    def _check(self, draft: Draft, request: Request) -> Attempt:
        """Verify, and see whether what is left may be given. Nothing is seen where there is no image."""
        if request.question.image is None and any(s.seen_by for s in draft.sentences):
            unseen = tuple(s.model_copy(update={"seen_by": None}) for s in draft.sentences)
            draft = draft.model_copy(update={"sentences": unseen})
        verified = self.verifier.verify(draft, request.asked, request.evidence)
        failure = draft.refusal
        if failure is None and draft.text is not None and request.asked.yes_no:
            failure = self._denied(draft, verified, request)
            if failure is not None:
                verified = Verified((), (), verified.dropped)
        if failure is None and not verified.sentences:
            kinds = ", ".join(sorted({d.verdict for d in verified.dropped})) or "nothing was written"
            failure = f"no sentence of the draft passed verification ({kinds})"
        return Attempt(draft, verified, failure)

    def _denied(self, draft: Draft, verified: Verified, request: Request) -> str | None:
        """Why a model's yes or no, which its first sentence says, may not be given."""
        if draft.verdict is None:
            return "the draft says neither yes nor no"
        first = draft.model_copy(update={"sentences": draft.sentences[:1]})
        if first != draft:
            verified = self.verifier.verify(first, request.asked, request.evidence)
        if not verified.sentences:
            return f"the sentence that says {draft.verdict} did not pass verification"
        return None


def _untold(verified: Verified, told: int) -> Steps[Passed, None, None]:
    for n, sentence in enumerate(verified.sentences[told:], start=told):
        yield Passed(sentence, tuple(c for c in verified.citations if c.sentence == n))


def _objections(attempt: Attempt) -> tuple[str, ...]:
    """What the generator is told of its failure."""
    return (attempt.failure or "", *(f"“{d.text}”: {d.reason or d.verdict}" for d in attempt.verified.dropped))
