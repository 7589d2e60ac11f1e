"""E-mail (.eml): subject and body of a message, by the standard library's parser.

Who wrote to whom is not kept, for it names people. What is quoted of earlier messages and the signature are left out;
attachments are listed and not read: save them beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser

from rag.corpus.files import File, stem
from rag.corpus.html import text_of_html
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, Reader, Record
from rag.corpus.readers.sections import Publication
from rag.corpus.text import clean, on_one_line
from rag.errors import InputError

MAX_BYTES = 50_000_000
_HEADERS = re.compile(
    r"^(from|to|subject|date|message-id|mime-version|received|return-path|delivered-to|reply-to):\s",
    re.IGNORECASE | re.MULTILINE,
)
_FIRST = re.compile(r"(?:From [^\n]+\r?\n)?[A-Za-z][A-Za-z-]{1,40}: ")
_SIGNATURE = re.compile(r"^-- ?$", re.MULTILINE)
_REPLY = re.compile(r"^(?:on .{5,120} wrote:|am .{5,120} schrieb .*:|el .{5,120} escribió:)\s*$", re.IGNORECASE)


def recognise_mail(file: File) -> float:
    """Sure of three of a message's headers before its first empty line."""
    start = file.start.replace("\r\n", "\n")
    if _FIRST.match(start) and len(header_names(start)) >= 3:
        return CERTAIN
    return BY_NAME * (file.suffix == ".eml")


def header_names(start: str) -> set[str]:
    """Of the headers that nearly every message has, those before its first empty line."""
    return {name.lower() for name in _HEADERS.findall(start.partition("\n\n")[0])}


@dataclass(frozen=True)
class Letter:
    """A message's bytes, the id that its document gets, and what it is called where something is wrong with it."""

    id: str
    name: str
    content: bytes
    file: File


def read_mail(file: File, kind: str = "report") -> Iterator[Record]:
    """The message as one document; its id is the path without suffix."""
    yield from read_letter(Letter(stem(file.name, file.suffix), file.name, file.read(MAX_BYTES), file), kind)


def read_letter(letter: Letter, kind: str) -> Iterator[Record]:
    """One message. Raises InputError if it is damaged."""
    if kind not in ("literature", "report"):
        raise InputError(f"The option kind is {kind!r}; use report or literature.")
    try:
        message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(letter.content)
        body = message.get_body(("plain", "html"))
        content = str(body.get_content()) if body is not None else ""
        is_html = body is not None and body.get_content_subtype() == "html"
        subject, date = on_one_line(str(message["subject"] or "")), on_one_line(str(message["date"] or ""))
        attached = [on_one_line(part.get_filename() or "unnamed") for part in message.iter_attachments()]
    # The parser of headers fails in nearly any way over a hostile one.
    except (MessageError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"It is a damaged message ({type(error).__name__}).") from error
    text = _own_words(text_of_html(content) if is_html else clean(content))
    for name in attached:
        reason = "An attachment is not read; save it as a file of its own."
        yield Quarantined(str(letter.file.path), f"{letter.name}, attachment {name}", reason)
    if not text:
        yield Quarantined(str(letter.file.path), letter.name, "empty message: it has no text.", empty=True)
        return
    work = Publication(
        id=letter.id,
        title=subject or letter.file.path.stem,
        source=letter.file.corpus,
        kind="literature" if kind == "literature" else "report",
        metadata={"file": letter.file.name} | ({"date": date} if date else {}),
    )
    yield work.part("", "", text)


def _own_words(text: str) -> str:
    """The body without its signature and without what it quotes."""
    lines = _SIGNATURE.split(text, maxsplit=1)[0].split("\n")
    return "\n".join(line for line in lines if not line.startswith(">") and not _REPLY.match(line)).strip()


READER = Reader("mail", "an e-mail message (.eml)", recognise_mail, read_mail)
