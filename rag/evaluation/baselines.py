"""What costs little, beside every figure: a constant, the words alone, no evidence, another's, another's image, noise.

A system that is no better than these has learned nothing from evidence: published figures of this field hide that.
A baseline is a plug-in of the kind ``baseline``: every suite puts all of them beside its own answers, as far as they
apply to what it measures. What a suite can do again, with other evidence or another image, its :class:`Trials` say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast

from rag.plugins import find, names

FOLDS = 5


class Trials:
    """What a suite asked, row by row, as its baselines see it; a suite overrides what it can do again.

    >>> trials = Trials(["Is it large?"] * 3, ["yes", "yes", "no"], ["a", "b", "c"])
    >>> dict(beside(trials))
    {'a constant': ['yes', 'yes', 'yes']}

    Attributes:
        texts: what was asked or read, without what names its case.
        labels: what is right.
        groups: the unit of statistics: patient, article, image.
        kinds: rows of one kind have their labels in common; all are of one kind unless given.
        closed: whether a row's label is one of a few that rows of its kind share; all are unless given.
    """

    def __init__(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        groups: Sequence[str],
        kinds: Sequence[object] = (),
        closed: Sequence[bool] = (),
    ) -> None:
        self.texts, self.labels, self.groups = texts, labels, groups
        self.kinds = kinds or [""] * len(labels)
        self.closed = closed or [True] * len(labels)

    def holds_evidence(self, row: int) -> bool:
        """Whether a row has evidence that could be shown to another."""
        return False

    def from_evidence_of(self, rows: Sequence[int | None]) -> Sequence[str] | None:
        """What is said when each row gets the evidence of the row named for it, or none; None where that cannot be."""
        return None

    def from_own_evidence(self) -> Sequence[str] | None:
        """What is said from the evidence that the labels name; None where they name none."""
        return None

    def holds_image(self, row: int) -> bool:
        """Whether a row is about an image."""
        return False

    def from_image_of(self, rows: Sequence[int | None]) -> Sequence[str] | None:
        """What is said when each row gets the image of the row named for it, or none; None where that cannot be."""
        return None

    def from_image_in_noise(self) -> Sequence[str] | None:
        """What is said when each row's own image is drowned in noise; None where that cannot be."""
        return None


class Baseline(Protocol):
    """One way to answer that costs little.

    >>> class AlwaysYes:
    ...     name = "always yes"
    ...     def answers(self, trials): return ["yes"] * len(trials.labels)
    >>> dict(beside(Trials(["?"], ["no"], ["a"]), AlwaysYes()))["always yes"]
    ['yes']
    """

    name: ClassVar[str]

    def answers(self, trials: Trials) -> Sequence[str] | None:
        """One answer a row; None where the baseline does not apply."""
        ...


def beside(trials: Trials, *own: Baseline) -> Iterator[tuple[str, list[str]]]:
    """By name, what each baseline says that applies: those that are installed, then a suite's own."""
    for baseline in (*(cast(Baseline, find("baseline", name)()) for name in names("baseline")), *own):
        if (said := baseline.answers(trials)) is not None:
            yield baseline.name, list(said)


def others_of(groups: Sequence[str], held: Callable[[int], bool] = lambda row: True) -> list[int | None]:
    """For each row the next one of another group for which ``held`` is true; None where there is none.

    >>> others_of(["a", "a", "b"])
    [2, 2, 0]
    """
    found = list[int | None]()
    for n, group in enumerate(groups):
        later = ((n + step) % len(groups) for step in range(1, len(groups)))
        found.append(next((m for m in later if groups[m] != group and held(m)), None))
    return found


@dataclass(frozen=True)
class ConstantAnswer:
    """The commonest label of its kind, to every row."""

    name: ClassVar[str] = "a constant"

    def answers(self, trials: Trials) -> list[str]:
        counts: dict[object, Counter[str]] = {}
        for kind, label in zip(trials.kinds, trials.labels, strict=True):
            counts.setdefault(kind, Counter())[label] += 1
        return [counts[kind].most_common(1)[0][0] for kind in trials.kinds]


@dataclass(frozen=True)
class WordsAlone:
    """What a logistic regression on words and pairs of words says, learned from other groups' labels.

    Five folds by group, by scikit-learn; rows whose labels are their own get the constant. Does not apply where there
    are too few groups, or a label is too rare to be in every fold.
    """

    name: ClassVar[str] = "the words alone"

    def answers(self, trials: Trials) -> list[str] | None:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GroupKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline

        rows = [n for n, closed in enumerate(trials.closed) if closed]
        texts, labels, groups = ([of[n] for n in rows] for of in (trials.texts, trials.labels, trials.groups))
        if len(set(groups)) < FOLDS or min(Counter(labels).values()) < FOLDS or len(set(labels)) < 2:
            return None
        model = make_pipeline(CountVectorizer(ngram_range=(1, 2), binary=True), LogisticRegression(max_iter=1000))
        try:
            found = cross_val_predict(model, texts, labels, groups=groups, cv=GroupKFold(FOLDS))
        except ValueError:  # a fold in which one label stands alone, or no text has a word
            return None
        said = ConstantAnswer().answers(trials)
        for n, word in zip(rows, found, strict=True):
            said[n] = str(word)
        return said


@dataclass(frozen=True)
class NoEvidence:
    """The same system when nothing was found."""

    name: ClassVar[str] = "no retrieval"

    def answers(self, trials: Trials) -> Sequence[str] | None:
        return trials.from_evidence_of([None] * len(trials.labels))


@dataclass(frozen=True)
class ShuffledEvidence:
    """The same system with the evidence of another group's row: of the next one that has some."""

    name: ClassVar[str] = "shuffled evidence"

    def answers(self, trials: Trials) -> Sequence[str] | None:
        rows = others_of(trials.groups, trials.holds_evidence)
        return trials.from_evidence_of(rows) if any(row is not None for row in rows) else None


@dataclass(frozen=True)
class OracleEvidence:
    """The same system with what the labels name as evidence: as good as finding gets."""

    name: ClassVar[str] = "oracle evidence"

    def answers(self, trials: Trials) -> Sequence[str] | None:
        return trials.from_own_evidence()


@dataclass(frozen=True)
class AnothersImage:
    """The same system when it is shown the image of another group's row."""

    name: ClassVar[str] = "another's image"

    def answers(self, trials: Trials) -> Sequence[str] | None:
        rows = others_of(trials.groups, trials.holds_image)
        return trials.from_image_of(rows) if any(row is not None for row in rows) else None


@dataclass(frozen=True)
class NoImage:
    """The same system when it is shown no image."""

    name: ClassVar[str] = "without the image"

    def answers(self, trials: Trials) -> Sequence[str] | None:
        return trials.from_image_of([None] * len(trials.labels)) if _any_image(trials) else None


@dataclass(frozen=True)
class NoisedImage:
    """The same system when the image is drowned in noise."""

    name: ClassVar[str] = "its image in noise"

    def answers(self, trials: Trials) -> Sequence[str] | None:
        return trials.from_image_in_noise() if _any_image(trials) else None


def _any_image(trials: Trials) -> bool:
    return any(map(trials.holds_image, range(len(trials.labels))))
