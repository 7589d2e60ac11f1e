"""What is asked, what it was taken to mean, and where it belongs."""

from __future__ import annotations

from pydantic import Field, field_validator

from rag.types.documents import Kind
from rag.types.noun import Noun

THREAD = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # the name of a conversation


class TakenAs(Noun):
    """What a question was read as, where that is not what stands in it: in its thread, or with its spelling mended.

    >>> TakenAs(means="Is the pleural effusion on the left?").notes
    ()
    """

    means: str
    notes: tuple[str, ...] = Field((), description="What was taken for what, in words; said with the answer.")


class AskedBack(Noun):
    """The one sentence that asks which of two readings is meant; such a question is not answered.

    >>> AskedBack(back="do you mean cardiomegaly or pleural effusion?").back
    'do you mean cardiomegaly or pleural effusion?'
    """

    back: str


class Question(Noun):
    """What the user asks, and what the search may not see.

    >>> asked = Question(text="Is there an effusion?", image="chest.png", exclude_groups=("patient-7",))
    >>> asked.study is None
    True
    """

    text: str
    image: str | None = None
    study: str | None = Field(None, description="Answer from this case's own documents only (its case_id).")
    exclude_groups: tuple[str, ...] = ()
    domain: str | None = Field(None, description="Overrides the router.")
    thread: str | None = Field(
        None,
        exclude_if=lambda thread: thread is None,  # questions are written as they were before there were any
        pattern=THREAD,
        description="A conversation of one caller: its last turns say what a short question means.",
    )
    language: str | None = Field(
        None,
        exclude_if=lambda language: language is None,
        max_length=2,
        description="ISO 639-1 code of a language other than English; found out by the engine.",
    )
    taken: TakenAs | AskedBack | None = Field(
        None,
        exclude_if=lambda taken: taken is None,
        description="What it was read as; found out by the engine, and kept so that a replay reads the same.",
    )

    @property
    def of_image(self) -> bool:
        """Whether it is about an image alone, and no study whose report could tell."""
        return self.image is not None and self.study is None

    @property
    def read_as(self) -> Question:
        """The question whose words are what it is taken to mean; these are English."""
        if not isinstance(self.taken, TakenAs):
            return self
        return self.model_copy(update={"text": self.taken.means, "taken": None, "language": None})

    @field_validator("study", "domain")
    @classmethod
    def _given(cls, name: str | None) -> str | None:
        """Forms and assistants send an empty text for what is not given."""
        return name if name and name.strip() else None


class Domain(Noun):
    """The router's opinion of where a question belongs."""

    name: str
    probability: float = Field(ge=0, le=1)
    out_of_domain: bool
    searched: tuple[str, ...] = Field((), description="Domains whose indexes were searched; empty: all of them.")
    kinds: tuple[Kind, ...] = Field((), description="Kinds of evidence that were searched; empty: all of them.")
    why: str = Field("", description="Why those kinds; empty where the question did not ask for some above others.")
    basis: str = Field("", description="What was judged: 'words', or how the image was ('trained router', …).")
