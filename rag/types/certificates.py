"""What is guaranteed of an answer, and what was measured of the image's part in it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rag.types.noun import Noun


class ImageEffect(Noun):
    """Whether answers to one kind of question about images depend on the image, as it was measured.

    Accuracies count silence as half right. *sees*: answers are right more often with the right image than with another
    one in its place, and than with noise; *blind*: that could not be shown, so such a question is not answered from its
    image; *untested*: from too few patients to say, so the mark of its domain counts, where that has one.
    """

    domain: str
    form: str | None = Field(None, description="What is asked for, as 'presence'; None: all forms of the domain.")
    status: Literal["sees", "blind", "untested"]
    questions: int
    groups: int = Field(description="Patients.")
    right: float = Field(description="Accuracy with the right image.")
    swapped: float = Field(description="Accuracy with an image of another patient in its place.")
    noised: float = Field(description="Accuracy with the image drowned in noise.")
    effect: tuple[float, float, float] = Field(description="right - swapped: mean over groups, low, high.")
    noise_effect: tuple[float, float, float] = Field(description="right - noised, likewise.")
    level: float = Field(description="Each interval misses with at most this probability.")

    @property
    def kind(self) -> str:
        """In words: 'presence in radiology'."""
        return f"{self.form or 'any form'} in {self.domain}"

    def __str__(self) -> str:
        value, low, high = self.effect
        found = f"right {self.right:.2f}, with another's image {self.swapped:.2f}, with noise {self.noised:.2f}"
        of = f"{self.questions} questions, {self.groups} patients"
        if self.status == "untested":
            return f"{self.kind}: not shown, too few for that ({found}; {of})"
        return f"{self.kind}: {self.status}; {found}; image effect {value:+.2f} ({low:+.2f} to {high:+.2f}), {of}"


class Certificate(Noun):
    """The statistical guarantee an answer was given under, or the reason there is none."""

    status: Literal["valid", "stale", "uncertified"]
    why: str
    risk: str | None = None
    alpha: float | None = None
    delta: float | None = Field(None, description="This certificate's share, where several share one delta.")
    domains: tuple[str, ...] = Field((), description="That it covers; several: on average over them.")
    forms: tuple[str, ...] = Field((), description="Of question that it is about alone; none: all that were tested.")
    policy: dict[str, float] | None = None
    weights: tuple[float, ...] | None = Field(
        None,
        description="Of the signals that the confidence was combined from, the intercept last; None: their product.",
    )
    n: int | None = None
    coverage: float | None = None
    image_effect: ImageEffect | None = Field(
        None,
        exclude_if=lambda effect: effect is None,  # certificates are written as they were before there was any
        description="For a yes/no question about an image: whether such answers depend on the image, where measured.",
    )
    silence: dict[str, float] | None = Field(
        None,
        exclude_if=lambda silence: silence is None,
        description="Of tested answers that the report does not mention it: how many, their risk, and its interval.",
    )
