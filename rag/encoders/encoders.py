"""What a corpus is encoded with, and where that runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rag.encoders.pool import Encoded, EncoderPool, ThisProcess, Work, open_workers
from rag.encoders.protocols import ImageEncoder, TextEncoder
from rag.encoders.registry import load_bridge_encoder, load_image_encoder, load_text_encoder
from rag.errors import InputError
from rag.progress import Progress
from rag.settings import EncoderSettings


@dataclass(frozen=True)
class Encoders:
    """A text encoder, an image encoder where there is one, and the workers that run them.

    Attributes:
        joint: encode reports in the image encoder's space as well, where it holds texts, so that images find them.
        bridge: of many languages, in whose space passages are encoded as well; in this process.
        workers: where encoding runs, in this process unless given; they must have the same encoders.

    >>> from rag.settings import Settings
    >>> with Encoders.opened(Settings().encoders, workers="4") as encoders:   # doctest: +SKIP
    ...     ingest([Source("notes")], store, encoders)
    """

    text: TextEncoder
    image: ImageEncoder | None = None
    joint: bool = True
    bridge: TextEncoder | None = None
    workers: EncoderPool | None = None

    @classmethod
    def load(cls, settings: EncoderSettings) -> Encoders:
        """The encoders that ``settings`` name, to run in this process.

        Raises:
            InputError: there is no such encoder.
            MissingDependencyError: a model is not on this machine.
        """
        return cls(
            load_text_encoder(settings), load_image_encoder(settings), settings.joint, load_bridge_encoder(settings)
        )

    @classmethod
    @contextmanager
    def opened(cls, settings: EncoderSettings, workers: str | None = None) -> Iterator[Encoders]:
        """The same, with workers as :func:`~rag.encoders.pool.open_workers` reads them, closed at the end."""
        pool = open_workers(workers, settings) if workers else None
        try:
            yield replace(cls.load(settings), workers=pool)
        finally:
            if pool is not None:
                pool.close()

    def encode(self, works: Iterable[Work], progress: Progress) -> Iterator[Encoded]:
        """The vectors of each piece of work, in order.

        Raises:
            InputError: the workers have other encoders than these.
        """
        fingerprints = (self.text.fingerprint, self.image.fingerprint if self.image is not None else "")
        for encoded in (self.workers or ThisProcess(self.text, self.image)).encode(works, progress):
            if encoded.fingerprints != fingerprints:
                raise InputError(f"the workers encode with {encoded.fingerprints}, this process with {fingerprints}")
            yield encoded
