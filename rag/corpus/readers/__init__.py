"""One reader per format: one module, one value of type Reader, one entry in ``rag.plugins.PARTS``."""

from __future__ import annotations

from rag.corpus.readers.base import BY_NAME, CERTAIN, LIKELY, Reader, Record

__all__ = ["BY_NAME", "CERTAIN", "LIKELY", "Reader", "Record"]
