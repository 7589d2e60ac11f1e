"""One small hierarchy of errors.

Every message is one sentence or two that say what is wrong, in which input, and what to do. The command line
prints the message and nothing else; ``exit_code`` is 2 where the input is at fault and 1 where we or the machine are.
"""

from __future__ import annotations


class RagError(Exception):
    """Base of every error that is raised on purpose.

    >>> try:                                                                # doctest: +SKIP
    ...     index.ingest("cases.jsonl")
    ... except RagError as error:
    ...     print(error)                                                    # one sentence, and what to do
    """

    exit_code = 1


class InputError(RagError):
    """The user's input (question, file, option, identifier) cannot be used as it is.

    >>> try:                                                                # doctest: +SKIP
    ...     engine.ask("Does study XYZ show an effusion?")
    ... except InputError as error:
    ...     print(error)                                                    # what is wrong, and with which input
    """

    exit_code = 2


class MissingDependencyError(InputError):
    """An optional package or a model is not installed."""


class IndexStateError(RagError):
    """An index on disk is damaged, of another format, or cannot be written now."""


class StorageError(RagError):
    """The machine refused: disk full, file too large, no permission."""
