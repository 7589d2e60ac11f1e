"""From a request to the messages for a language model.

Templates are data (``knowledge/prompts/*.jinja``), rendered in Jinja's sandbox. Retrieved text is data, too, and may
have been written to be obeyed. It stands between tags that carry a word derived from the hash of all content: nobody
who writes a passage knows it, and the same request gives the same prompt again. Characters that are not seen are taken
out, whatever could be a tag or a token of a chat format is broken up by a space, and what speaks to the reader instead
of about a patient is left out: the verifier accepts it as no evidence, either. That is for the model's eyes only:
quotes are cut from the evidence as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rag.errors import InputError
from rag.generation.base import Request
from rag.generation.messages import Messages, Picture
from rag.language import injection
from rag.settings import knowledge_dir
from rag.types import Evidence, sha256_of

_UNSEEN = {"Cf", "Cc", "Cs", "Co", "Cn"}
_BLANKS = {"\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\uffa0", "\u2800"}  # letters that print nothing
_VARIANTS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# "<image>", "</s>", "<|im_end|>", "<start_of_turn>", and not "<5 mm" or "< 0.05"
_TAG = re.compile(r"<(?=[^\s\d=<.,])")
_BRACKET = re.compile(r"\[(?=/?[A-Z_]{3,}\])")  # "[INST]", "[/INST]"; not "[1]"


def strip_unseen(text: str) -> str:
    """``text`` as a model may see it: without characters that nobody sees, and without markup of chat formats."""
    plain = "".join(c for c in text if c in "\n\t" or (unicodedata.category(c) not in _UNSEEN and c not in _BLANKS))
    return _BRACKET.sub("[ ", _TAG.sub("< ", _VARIANTS.sub("", plain)))


class Prompt:
    """A template by its name in ``knowledge/prompts``, or a file that ends in ``.jinja``.

    Raises:
        InputError: there is no such template, or it is not a template; the message says where.
    """

    def __init__(self, name: str) -> None:
        import jinja2.sandbox

        shipped = knowledge_dir() / "prompts"
        own = Path(name) if name.endswith(".jinja") else None
        folders: list[str | Path] = [*([own.parent] if own else []), shipped]
        self._file = own.name if own else f"{name}.jinja"
        self._errors: Any = jinja2.TemplateError
        self._environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            loader=jinja2.FileSystemLoader(folders), undefined=jinja2.StrictUndefined, keep_trailing_newline=False
        )
        try:
            self._template: Any = self._environment.get_template(self._file)
        except jinja2.TemplateNotFound as error:
            names = ", ".join(sorted(p.stem for p in shipped.glob("*.jinja")))
            raise InputError(
                f"there is no prompt {name!r}; give a file that ends in .jinja, or one of: {names}"
            ) from error
        except jinja2.TemplateSyntaxError as error:
            raise InputError(f"prompt {name!r}, line {error.lineno}: {error.message}") from error

    @cached_property
    def sha256(self) -> str:
        """Of the template's text and that of the templates it builds on."""
        from jinja2 import meta

        texts, wanted = {}, {self._file}
        while wanted:
            file = wanted.pop()
            texts[file] = self._environment.loader.get_source(self._environment, file)[0]  # type: ignore[union-attr]
            named = meta.find_referenced_templates(self._environment.parse(texts[file]))
            wanted |= {n for n in named if n is not None and n not in texts}
        return sha256_of("\n".join(texts[file] for file in sorted(texts)))

    def render(self, request: Request, evidence: Sequence[Evidence], pictures: Sequence[Picture]) -> Messages:
        """The messages that ask ``request`` of these passages.

        Raises:
            InputError: the template fails, or names something that does not exist.
        """
        passages: list[dict[str, Any]] = [
            {
                "number": e.number,
                "text": strip_unseen(injection.blank_orders(e.text)).strip(),
                "kind": e.kind,
                "whose": {"study": "study", "image": "similar"}.get(e.channel, "general"),
                "source": strip_unseen(e.source),
            }
            for e in evidence
        ]
        question, objections = strip_unseen(request.question.text), [strip_unseen(o) for o in request.objections]
        values: dict[str, Any] = {
            "question": question,
            "yes_no": request.asked.yes_no,
            "passages": passages,
            "pictures": len(pictures),
            "has_image": request.question.image is not None and bool(pictures),
            "boundary": _boundary([question, *(p["text"] for p in passages), *objections]),
            "most": request.max_sentences,
            "objections": objections,
        }
        try:
            system, user = self._block("system", values), self._block("user", values)
        except (self._errors, KeyError, TypeError, ValueError) as error:
            raise InputError(f"prompt {self._file!r} cannot be rendered: {error}") from error
        return Messages(system, user, tuple(pictures), weighed=request.asked.yes_no)

    def _block(self, name: str, values: dict[str, Any]) -> str:
        # Blocks of a child template are found through its root's context, which new_context builds for blocks as well.
        context = self._template.new_context(values)
        for _ in self._template.root_render_func(context):
            pass
        return "".join(context.blocks[name][0](context)).strip()


def _boundary(texts: Sequence[str]) -> str:
    """Twelve hexadecimal digits that occur in none of the texts, the same for the same texts."""
    word = sha256_of("\x1f".join(texts))[:12]
    while any(word in text for text in texts):
        word = sha256_of(word)[:12]
    return word
