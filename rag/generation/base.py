"""What every generator takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Generator as Steps
from dataclasses import dataclass
from typing import Protocol

from rag.language.question import Asked
from rag.types import Domain, Draft, Evidence, Question


@dataclass(frozen=True)
class Request:
    """A question, read, with its numbered evidence.

    ``image_of`` finds the image file of a piece of evidence, for those who look at images. ``objections`` are the
    verifier's reasons against an earlier draft of the same request; empty at the first attempt. ``domain`` is the
    router's opinion of the question, where there is one.
    """

    question: Question
    asked: Asked
    evidence: tuple[Evidence, ...]
    max_sentences: int = 6
    image_of: Callable[[Evidence], str | None] = lambda _: None
    objections: tuple[str, ...] = ()
    domain: Domain | None = None


class Generator(Protocol):
    """Writes a draft from evidence. It never sees anything else, and what it writes is verified afterwards."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the generator would write something else from the same request."""
        ...

    @property
    def prompt_sha256(self) -> str | None:
        """Of the template and the settings that shape the prompt; None for a generator without one."""
        ...

    @property
    def revises(self) -> bool:
        """Whether objections to a draft may lead to another one."""
        ...

    @property
    def parallel(self) -> int:
        """How many drafts it writes faster at once than one after another."""
        ...

    def generate(self, request: Request) -> Draft: ...


class StreamingGenerator(Generator, Protocol):
    """A generator whose draft grows."""

    def stream(self, request: Request) -> Iterator[Draft]:
        """Ever longer drafts of one answer; the last one is what ``generate`` gives. Closing it stops the work."""
        ...


def drafts(generator: Generator, request: Request) -> Steps[Draft, None, None]:
    """The draft as it grows, where the generator tells; else the whole draft alone."""
    stream = getattr(generator, "stream", None)  # quicker than the protocol's isinstance, which reads every property
    if stream is None:
        yield generator.generate(request)
    else:
        yield from stream(request)


def refusal(why: str) -> Draft:
    """A draft that says nothing but why."""
    return Draft(sentences=(), confidence=0.0, refusal=why)
