"""Each question to the one who is better at it: studies to the reader, the rest to a language model.

A report's own words are read exactly; what literature says, and what an image shows, is written. A draft of the model's
that verification refuses is not sent back to it: for an open question the reader's quotes stand in for it. A yes or no
is left unsaid: the reader's might be the opposite one, on weaker grounds.

A small model explains in a sentence what it is asked to explain, and forgets half of a list, or answers with a
neighbour of the fact: where the settings say so, it writes explanations alone, and lists, facts and what is asked for
by its name ("the cause of", "the price of") are quoted. A yes or no is then the reader's where its rules tell one,
since those are right more often and borne out by what they cite; the model is asked for the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from rag.generation.base import Generator, Request, drafts, refusal
from rag.types import Draft
from rag.verification.rules.by_name import sought


class ByQuestion:
    """See the module; a generator of two.

    >>> generator = ByQuestion(make_reader(settings, texts), make_openai(settings, texts))            # doctest: +SKIP
    >>> generator.generate(request).text is None                                                      # doctest: +SKIP
    """

    revises = True  # by the other one

    def __init__(self, reader: Generator, writer: Generator, written: Literal["all", "explanations"] = "all") -> None:
        self._reader, self._writer, self._written = reader, writer, written

    @property
    def writer(self) -> Generator:
        """Who answers what the reader does not."""
        return self._writer

    @property
    def fingerprint(self) -> str:
        written = "" if self._written == "all" else f":{self._written}"
        return f"by-question-2{written}:{self._reader.fingerprint}:{self._writer.fingerprint}"

    @property
    def prompt_sha256(self) -> str | None:
        return self._writer.prompt_sha256

    @property
    def looks(self) -> bool:
        """Whether the writer answers questions about an image from the image."""
        return getattr(self._writer, "looks", False)

    @property
    def parallel(self) -> int:
        return self._writer.parallel

    def generate(self, request: Request) -> Draft:
        *_, whole = self.stream(request)
        return whole

    def stream(self, request: Request) -> Iterator[Draft]:
        """See :class:`~rag.generation.base.StreamingGenerator`."""
        asked, explains = request.asked, self._written == "explanations"
        study = any(e.channel == "study" for e in request.evidence)
        quoted = explains and request.question.image is None
        if quoted and asked.yes_no and not study:
            yield from self._side(request)
        elif request.objections and asked.yes_no:
            yield refusal(request.objections[0])
        elif study or request.objections or (quoted and (asked.for_list or asked.for_fact or sought(asked))):
            yield from drafts(self._reader, request)
        else:
            yield from drafts(self._writer, request)

    def _side(self, request: Request) -> Iterator[Draft]:
        """The reader's yes or no; where it has none, or verification refused that, the model's, which is asked once."""
        afresh = replace(request, objections=())
        read = self._reader.generate(afresh)
        if read.sentences and not request.objections:
            yield read
        elif request.objections and not read.sentences:
            yield refusal(request.objections[0])
        else:
            yield from drafts(self._writer, afresh)
