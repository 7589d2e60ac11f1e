"""Sources to Documents to Passages.

``read`` gives the records of a source, ``passages_of`` cuts a document, ``deidentify`` removes identifiers.
"""

from __future__ import annotations

from rag.corpus.chunking import passages_of
from rag.corpus.quarantine import Quarantined
from rag.corpus.scrub import deidentify
from rag.corpus.source import PACKAGED, detect, locate, read_source

__all__ = ["PACKAGED", "Quarantined", "deidentify", "detect", "locate", "passages_of", "read_source"]
