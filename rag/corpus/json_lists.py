"""JSON lists from strangers, entry by entry, so that a file of any size takes the memory of one entry (ijson)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rag.corpus.files import File
from rag.corpus.xml import BoundedStream
from rag.errors import InputError, MissingDependencyError


def entries_of(file: File, keys: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """The entries of a list; of an object that holds lists under ``keys``, those of each, with its key.

    >>> list(entries_of(File(Path("train.json"), "train.json", "slake")))                       # doctest: +SKIP
    [('', {'question': 'What organ is it?', 'answer': 'Liver'})]

    Raises InputError, after the entries that came before the fault, if it is no JSON or one entry is too large.
    """
    try:
        import ijson
    except ImportError as error:
        raise MissingDependencyError('Reading JSON lists needs ijson: pip install "clincite[corpora]".') from error
    is_object = file.start.lstrip().startswith("{")
    for key in keys if is_object else ("",):
        with file.open() as stream:
            source = BoundedStream(stream)
            try:
                for entry in ijson.items(source, f"{key}.item" if key else "item", use_float=True):
                    yield key, entry
                    source.begin()
            except (ijson.JSONError, ValueError, RecursionError, OverflowError) as error:
                raise InputError(f"It is not valid JSON ({str(error).splitlines()[0][:200]}).") from error
