"""Each question to the one who is better at it: studies to the reader, the rest to a language model.

A report's own words are read exactly; what literature says, and what an image shows, is written. A draft of the model's
that verification refuses is not sent back to it: for an open question the reader's quotes stand in for it. A yes or no
is left unsaid: the reader's might be the opposite one, on weaker grounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from rag.generation.base import Generator, Request, drafts, refusal
from rag.types import Draft


class ByQuestion:
    """See the module; a generator of two.

    >>> generator = ByQuestion(make_reader(settings, texts), make_openai(settings, texts))            # doctest: +SKIP
    >>> generator.generate(request).text is None                                                      # doctest: +SKIP
    """

    revises = True  # by the other one

    def __init__(self, reader: Generator, writer: Generator) -> None:
        self._reader, self._writer = reader, writer

    @property
    def writer(self) -> Generator:
        """Who answers what the reader does not."""
        return self._writer

    @property
    def fingerprint(self) -> str:
        return f"by-question:{self._reader.fingerprint}:{self._writer.fingerprint}"

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
        of_a_study = any(e.channel == "study" for e in request.evidence)
        if request.objections and request.asked.yes_no:
            yield refusal(request.objections[0])
        else:
            yield from drafts(self._reader if of_a_study or request.objections else self._writer, request)
