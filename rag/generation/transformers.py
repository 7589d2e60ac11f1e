"""A language model on this machine, through transformers: image-text models, or models of text alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator as Steps
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from rag.encoders.runtime import torch
from rag.errors import InputError, RagError, StorageError
from rag.generation.chat import Piece
from rag.generation.memo import SpokenText
from rag.generation.messages import Messages
from rag.generation.weights import Loaded, Weights
from rag.settings import GenerationSettings, knowledge_dir
from rag.types import sha256_of

_YES, _NO = ("yes", "Yes", "YES"), ("no", "No", "NO")
_WORDS = re.compile(r"\s*\S+\s?|\s+")  # a word with the space after it, as it is streamed
_SPACES = ("", "\u2581", "\u0120")  # how vocabularies write that a space comes before


@dataclass(frozen=True)
class Ready:
    """The tensors of one conversation, by name; those of a token each have the shape (1, tokens)."""

    tensors: Mapping[str, Any]

    @property
    def tokens(self) -> int:
        return int(self.tensors["input_ids"].shape[1])

    @property
    def shape(self) -> tuple[Any, ...]:
        """What conversations that are written together have alike: the shapes of their pictures."""
        return tuple((name, *value.shape[1:]) for name, value in self.tensors.items() if not self.by_token(value))

    def by_token(self, value: Any) -> bool:
        """Whether a tensor has something for each token."""
        return tuple(value.shape[:2]) == (1, self.tokens)


class LocalModel:
    """See the module. Loads when it is first asked; safe to use from several threads, which take turns.

    Raises:
        InputError: no model is named, or its files cannot be used.
        MissingDependencyError: the model or a library is not on this machine.
    """

    parallel = 1
    may_think = False  # its own template is rendered here: it is seen when a thought begins

    def __init__(self, settings: GenerationSettings) -> None:
        s = settings.transformers
        self._settings = settings
        self._weights = Weights.find(s.model, s.revision, s.device, s.dtype, s.cache)
        self._template = _chat_template(s.chat_template) if s.chat_template else None

    @cached_property
    def fingerprint(self) -> str:
        template = f":{sha256_of(self._template)[:8]}" if self._template else ""
        openings = self._settings.transformers.openings
        taught = f":{'/'.join(openings)}" if openings != ("Yes", "No") else ""
        return f"transformers:{self._weights.fingerprint}{template}{taught}"

    @property
    def device(self) -> str:
        """Where it computes, as torch names it."""
        return self._weights.device

    @cached_property
    def window(self) -> int | None:
        """The model's own number of positions, or the setting where that is smaller."""
        config = self._weights.config
        own = (config.get("text_config") or config).get("max_position_embeddings")
        known = [n for n in (own, self._settings.transformers.window) if isinstance(n, int)]
        return min(known, default=None)

    def count(self, messages: Messages) -> int:
        """Exactly: as tokenized, with as many tokens for each picture as it becomes."""
        return int(self._inputs(self._weights.load(), messages)["input_ids"].shape[-1])

    def chat(self, messages: Messages) -> Steps[Piece, None, None]:
        """See :class:`~rag.generation.chat.ChatModel`.

        Raises:
            StorageError: prompt and answer do not fit into the device's memory.
        """
        from transformers import TextIteratorStreamer

        loaded = self._weights.load()
        inputs = {name: self._placed(loaded, value) for name, value in self._inputs(loaded, messages).items()}
        streamer = TextIteratorStreamer(loaded.tokenizer, skip_prompt=True, skip_special_tokens=True)
        run = _Run(loaded, inputs, self._settings, streamer)
        run.start()
        try:
            for text in streamer:
                yield Piece(text, run.first.only.yes, either=run.first.only.either)
            run.join()
            if run.error is not None:
                raise self._explained(run.error)
            yield Piece("", run.first.only.yes, run.truncated, run.first.only.either)
        finally:
            run.cancelled.set()
            run.join()

    def ready(self, messages: Messages) -> Ready:
        """A conversation as the model takes it, on the processor: to be written with others."""
        return Ready(dict(self._inputs(self._weights.load(), messages)))

    def write_together(self, conversations: Sequence[Ready], most: int) -> list[SpokenText]:
        """What ``chat`` would say to each, at most ``most`` tokens, from one batch of the model.

        Texts are those written one by one but where two tokens are as likely as sums can tell: those are added in
        another order. Conversations must be of one :attr:`Ready.shape`.

        Raises:
            InputError: the settings have tokens drawn by chance, which no batch repeats.
            StorageError: the batch does not fit into the device's memory.
        """
        from transformers import GenerationConfig, LogitsProcessorList

        if self._settings.temperature > 0:
            raise InputError(
                "texts are written together with 'generation.temperature' = 0 alone, where nothing is drawn"
            )
        library, loaded = torch(), self._weights.load()
        first = _FirstToken(loaded.tokenizer, self._settings.transformers.openings)
        try:
            with loaded.lock, library.inference_mode():
                stacked = _stacked(conversations, loaded.model.generation_config.pad_token_id)
                inputs = {name: self._placed(loaded, value) for name, value in stacked.items()}
                ids = loaded.model.generate(
                    **inputs,
                    generation_config=GenerationConfig(max_new_tokens=most, do_sample=False),
                    logits_processor=LogitsProcessorList([first]),
                )
                rows = ids[:, inputs["input_ids"].shape[1] :].tolist()
        except Exception as error:  # as in chat
            raise self._explained(error) from error
        return [
            self._spoken(loaded, row, opinion, stopped=most < self._settings.max_new_tokens)
            for row, opinion in zip(rows, first.opinions, strict=True)
        ]

    def _spoken(self, loaded: Loaded, ids: list[int], opinion: _Opinion, *, stopped: bool) -> SpokenText:
        """The tokens of one row, up to its end, as ``chat`` would tell them: word by word."""
        end = next((n for n, token in enumerate(ids) if token in loaded.ends), None)
        text = loaded.tokenizer.decode(ids if end is None else ids[:end], skip_special_tokens=True)
        pieces = _WORDS.findall(text)
        if end is not None:
            return SpokenText(tuple(pieces), *opinion, "whole")
        if stopped:  # the last word may go on
            return SpokenText(tuple(pieces[:-1]), *opinion, "broken off")
        return SpokenText(tuple(pieces), *opinion, "truncated")

    def _inputs(self, loaded: Loaded, messages: Messages) -> Any:
        return loaded.inputs(messages, self._template)

    def _placed(self, loaded: Loaded, value: Any) -> Any:
        """A tensor of inputs, where and as the model computes."""
        return value.to(loaded.model.device, loaded.model.dtype if value.is_floating_point() else None)

    def _explained(self, error: Exception) -> RagError:
        if isinstance(error, torch().OutOfMemoryError):
            return StorageError(
                f"the memory of {self._weights.device} is too small for this prompt; lower 'selection.k_max', "
                "'generation.image_side' or 'generation.transformers.window'"
            )
        return RagError(f"the model {self._weights.name!r} failed while it was writing ({type(error).__name__})")


def _stacked(conversations: Sequence[Ready], padding: int) -> dict[str, Any]:
    """Their tensors as one batch: tokens with padding before them, so that all end together; pictures in a row."""
    library, longest = torch(), max(c.tokens for c in conversations)
    stacked = {}
    for name, example in conversations[0].tensors.items():
        values = [c.tensors[name] for c in conversations]
        if conversations[0].by_token(example):
            fill = padding if name == "input_ids" else 0
            values = [library.nn.functional.pad(v, (longest - v.shape[1], 0), value=fill) for v in values]
        stacked[name] = library.cat(values)
    return stacked


def _chat_template(name: str) -> str:
    """The text of a chat template. Raises InputError if there is none of that name."""
    folder = knowledge_dir() / "prompts" / "chat"
    path = Path(name) if name.endswith(".jinja") else folder / f"{name}.jinja"
    try:
        return path.read_text("utf-8").removesuffix("\n")
    except (OSError, ValueError) as error:
        names = ", ".join(sorted(p.stem for p in folder.glob("*.jinja")))
        raise InputError(
            f"setting 'generation.transformers.chat_template': there is no template {name!r}; give a file that ends in "
            f".jinja, or one of: {names}"
        ) from error


class _Run(threading.Thread):
    """One draft being written. ``error`` is what went wrong, once it has ended."""

    def __init__(self, loaded: Loaded, inputs: Any, settings: GenerationSettings, streamer: Any) -> None:
        super().__init__(daemon=True, name="language model")
        self._loaded, self._inputs, self._settings, self._streamer = loaded, inputs, settings, streamer
        self.first = _FirstToken(loaded.tokenizer, settings.transformers.openings)
        self.cancelled = threading.Event()
        self.truncated = False
        self.error: Exception | None = None

    def run(self) -> None:
        library = torch()
        try:
            with self._loaded.lock, library.random.fork_rng():
                library.manual_seed(self._settings.seed)
                self._write(library)
        except Exception as error:  # told to whoever reads the stream, in their thread
            self.error = error
        finally:
            self._streamer.text_queue.put(self._streamer.stop_signal)

    def _write(self, library: Any) -> None:
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        def stop(ids: Any, scores: Any, **_: Any) -> Any:
            return library.full((ids.shape[0],), self.cancelled.is_set(), dtype=library.bool, device=ids.device)

        model, drawing = self._loaded.model, self._settings.temperature > 0
        with library.inference_mode():
            ids = model.generate(
                **self._inputs,
                generation_config=GenerationConfig(
                    max_new_tokens=self._settings.max_new_tokens,
                    do_sample=drawing,
                    **({"temperature": self._settings.temperature, "top_k": 0, "top_p": 1.0} if drawing else {}),
                ),
                logits_processor=LogitsProcessorList([self.first]),
                stopping_criteria=StoppingCriteriaList([stop]),
                streamer=self._streamer,
            )
        self.truncated = int(ids[0, -1]) not in self._loaded.ends


class _Opinion(NamedTuple):
    """As in :class:`~rag.generation.chat.Piece`."""

    yes: float | None = None
    either: float | None = None


class _FirstToken:
    """Sees the model's opinion of its first token: P(yes) among yes and no, however they are written.

    What is summed are the tokens that "yes" begins with, in either case and with or without a space before it; a token
    that both words may begin with (a lone space) says nothing and is left out. ``either`` is the share of yes and no
    among all ``openings`` that the model was taught.
    """

    def __init__(self, tokenizer: Any, openings: Sequence[str] = ()) -> None:
        yes, no = _first_tokens(tokenizer, _YES), _first_tokens(tokenizer, _NO)
        self._yes, self._no = sorted(yes - no), sorted(no - yes)
        self._others = sorted(_first_tokens(tokenizer, openings) - yes - no)
        self.opinions: list[_Opinion] = []  # of each row, once its first token has been thought of

    @property
    def only(self) -> _Opinion:
        """That of the first row."""
        return self.opinions[0] if self.opinions else _Opinion()

    def __call__(self, ids: Any, scores: Any) -> Any:
        if not self.opinions:
            self.opinions = [self._opinion(row.double()) for row in scores]
        return scores

    def _opinion(self, row: Any) -> _Opinion:
        if not self._yes or not self._no:
            return _Opinion()
        yes, no = (row[some].logsumexp(0) for some in (self._yes, self._no))
        either = None
        if self._others:
            either = float((yes.logaddexp(no) - row[self._others].logsumexp(0)).sigmoid())
        return _Opinion(float((yes - no).sigmoid()), either)


def _first_tokens(tokenizer: Any, words: Iterable[str]) -> set[int]:
    """What the words begin with, after nothing and after a space, as the tokenizer splits them and as it lists them."""
    found: set[int] = set()
    for word in words:
        for text in (word, f" {word}"):
            found.update(tokenizer.encode(text, add_special_tokens=False)[:1])
        for token in (f"{space}{word}" for space in _SPACES):
            known = tokenizer.convert_tokens_to_ids(token)
            if isinstance(known, int) and known != tokenizer.unk_token_id:
                found.add(known)
    return found
