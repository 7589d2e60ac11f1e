"""What chat clients send: messages of text and images, in the shapes that are about, and the question in them.

The last message of the user is the question. Earlier ones of the user say what a short question means ("is it on the
left?") and nothing else; what the assistant said is not read, since an answer must stand on its evidence alone. What
cannot be read of the last one, or an image that stands in an earlier one, is refused, never left out.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rag.server.web.problems import Problem
from rag.server.web.schemas import Body


class ImageUrl(Body):
    url: str = Field(description="A data URL; addresses are not fetched.")
    detail: Literal["auto", "low", "high", "original"] | None = None


class TextPart(Body):
    type: Literal["text", "input_text"]
    text: str = Field(max_length=100_000)


class ImagePart(Body):
    type: Literal["image_url", "input_image"]
    image_url: ImageUrl | str
    detail: Literal["auto", "low", "high", "original"] | None = None

    @property
    def url(self) -> str:
        return self.image_url if isinstance(self.image_url, str) else self.image_url.url


class OtherPart(BaseModel):
    """Read in no message; refused in the last one of the user."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(max_length=100)


class Message(BaseModel):
    """A message; the user's alone are read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart | ImagePart | OtherPart] | None = None

    @property
    def parts(self) -> list[TextPart | ImagePart | OtherPart]:
        if isinstance(self.content, str):
            return [TextPart.model_construct(type="text", text=self.content)]
        return self.content or []

    @property
    def text(self) -> str:
        return "\n".join(p.text for p in self.parts if isinstance(p, TextPart))

    @property
    def images(self) -> list[str]:
        return [p.url for p in self.parts if isinstance(p, ImagePart)]


class ChatBody(Body):
    """Settings of sampling are taken and have no effect: nothing here is drawn at random."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [{"model": "demo", "messages": [{"role": "user", "content": "What is drusen?"}]}],
        },
    )

    model: str = Field(min_length=1, max_length=100, description="Name of an index.")
    messages: list[Message] = Field(min_length=1, max_length=1000)
    stream: bool | None = False
    n: Literal[1] | None = 1


class ChatOut(BaseModel):
    """OpenAI's form; ``clincite`` adds what it has no place for."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, int]
    clincite: dict[str, Any]


def asked_in(messages: list[Message]) -> tuple[str, str | None]:
    """Text and image (a data URL) of the user's last message.

    Raises:
        Problem: 422 where there is no question, or something of it could not be taken into account.
    """
    of_user = [m for m in messages if m.role == "user"]
    if not of_user or not of_user[-1].parts:
        raise Problem(422, "messages: there is no question; the last message of the user is read")
    last = of_user[-1]
    for part in last.parts:
        if isinstance(part, OtherPart):
            raise Problem(
                422,
                f"messages: a part of type {part.type!r} cannot be read, or not in this form; send parts of type "
                "'text' and 'image_url'",
            )
    if len(last.images) > 1:
        raise Problem(422, "messages: one image can be asked about at a time")
    if any(not url.startswith("data:") for url in last.images):
        raise Problem(422, "messages: images come as data URLs; addresses are not fetched")
    if not last.text.strip():
        raise Problem(422, "messages: the last message of the user has no text")
    if not last.images and any(m.images for m in of_user):
        raise Problem(
            422,
            "messages: an earlier message holds an image, and only the last one is read: send the image again with "
            "this question, or begin a new chat",
        )
    return last.text, next(iter(last.images), None)


def asked_before(messages: list[Message]) -> list[str]:
    """The words of the user's messages before the last one, oldest first."""
    of_user = [m for m in messages if m.role == "user"]
    return [text for m in of_user[:-1] if (text := m.text.strip())]
