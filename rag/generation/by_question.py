"""Each question to the one who is better at it: studies to the reader, the rest to a language model.

A report's own words are read exactly; what literature says, and what an image shows, is written. A draft of the model's
that verification refuses is not sent back to it: for an open question the reader's quotes stand in for it. A yes or no
is left unsaid: the reader's might be the opposite one, on weaker grounds.

A small model explains in a sentence what it is asked to explain, and forgets half of a list, or answers with a
neighbour of the fact: where the settings say so, it writes explanations alone, and lists and facts are quoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from rag.generation.base import Generator, Request, drafts, refusal
from rag.types import Draft


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
        return f"by-question{written}:{self._reader.fingerprint}:{self._writer.fingerprint}"

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
        asked = request.asked
        told = self._written == "explanations" and (asked.for_list or asked.for_fact) and not asked.yes_no
        read = any(e.channel == "study" for e in request.evidence) or (told and request.question.image is None)
        if request.objections and request.asked.yes_no:
            yield refusal(request.objections[0])
        else:
            yield from drafts(self._reader if read or request.objections else self._writer, request)
