"""What a language model said is kept by all that decides it, and can be written many at once elsewhere."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rag.errors import InputError, StorageError
from rag.generation.batches import write_collected
from rag.generation.chat import LanguageGenerator, Piece
from rag.generation.memo import Memo, RememberingModel, SpokenText
from rag.generation.messages import Messages
from rag.generation.registry import load_generator
from rag.generation.transformers import LocalModel
from rag.language.clinical_text import Texts
from rag.settings import GenerationSettings, MemoSettings

from .checkpoints import MAKERS
from .conftest import Ask, settings_for

Tiny = Callable[[str], Path]
ASKED = (
    "Is there cardiomegaly?",
    "Is there an effusion in the left hemithorax, or was there any in an earlier examination?",
    "What does the report say?",
)


class Scripted:
    """A model of a few words, which counts how often it is asked."""

    parallel, window, may_think = 1, None, False

    def __init__(self, *words: str, fingerprint: str = "scripted", fails: bool = False) -> None:
        self.words, self.fingerprint, self.fails, self.asked, self.closed = words, fingerprint, fails, 0, 0

    def count(self, messages: Messages) -> int:
        return 1

    def chat(self, messages: Messages) -> Any:
        self.asked += 1
        for word in self.words:
            yield Piece(word, 0.8, either=0.9)
        if self.fails:
            raise StorageError("no memory")
        yield Piece("", 0.8, True, 0.9)


SETTINGS = GenerationSettings.model_validate({"kind": "transformers"})


def remembering(model: Scripted, folder: Path, settings: GenerationSettings = SETTINGS) -> RememberingModel:
    return RememberingModel(model, Memo(folder), settings)


def heard(pieces: Iterator[Piece]) -> list[Piece]:
    return [p for p in pieces if p.text or p.truncated]


@given(words=st.lists(st.text(min_size=1, max_size=8), max_size=6), first=st.integers(0, 8))
def test_whoever_listens_a_second_time_hears_the_same(
    words: list[str], first: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whether the first listener stayed to the end, left at once, or in the middle."""
    model, messages = Scripted(*words), Messages("Rules.", "Question?")
    remembered = remembering(model, tmp_path_factory.mktemp("memo"))
    pieces = remembered.chat(messages)
    for _ in range(first):
        next(pieces, None)
    pieces.close()
    said = list(remembered.chat(messages))
    assert "".join(p.text for p in said) == "".join(words)
    assert {(p.yes, p.either) for p in said} == {(0.8, 0.9)}
    assert [p.truncated for p in said] == [False] * (len(said) - 1) + [True]
    asked = model.asked
    assert heard(remembered.chat(messages)) == heard(model.chat(messages))
    assert model.asked == asked + 1, "the last time the memo alone was asked"


@pytest.mark.parametrize(
    ("messages", "fingerprint", "settings"),
    [
        (Messages("Rules.", "Another question?"), "scripted", {}),
        (Messages("Other rules.", "Question?"), "scripted", {}),
        (Messages("Rules.", "Question?"), "another model", {}),
        (Messages("Rules.", "Question?"), "scripted", {"max_new_tokens": 9}),
        (Messages("Rules.", "Question?"), "scripted", {"temperature": 0.5}),
    ],
)
def test_nothing_that_could_change_the_text_is_overlooked(
    messages: Messages, fingerprint: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    list(remembering(Scripted("Yes."), tmp_path).chat(Messages("Rules.", "Question?")))
    other = Scripted("No.", fingerprint=fingerprint)
    said = list(remembering(other, tmp_path, SETTINGS.model_copy(update=settings)).chat(messages))
    assert (other.asked, said[0].text) == (1, "No.")


def test_what_failed_is_not_kept(tmp_path: Path) -> None:
    model = Scripted("Yes, ", fails=True)
    for _ in range(2):
        with pytest.raises(StorageError):
            list(remembering(model, tmp_path).chat(Messages("Rules.", "Question?")))
    assert model.asked == 2


def test_a_memo_is_bounded_and_private(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "memo", most=3)
    for n in range(5):
        memo.keep(str(n), SpokenText(("Yes",), None, None, "whole"))
    assert [memo.find(str(n)) is not None for n in range(5)] == [False, False, True, True, True]
    assert stat.S_IMODE((tmp_path / "memo" / "memo.sqlite").stat().st_mode) == 0o600


def test_a_memo_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "memo.sqlite"
    file.write_bytes(b"no database " * 200)
    with pytest.raises(InputError, match=r"memo\.sqlite is damaged; delete it"):
        Memo(tmp_path)
    file.unlink()
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(InputError, match="another program's file"):
        Memo(tmp_path)
    file.unlink()
    memo = Memo(tmp_path)
    memo._connection.execute("INSERT INTO said VALUES ('key', '{}', NULL, NULL, 'whole')")
    with pytest.raises(InputError, match="is damaged"):
        memo.find("key")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"generation\.memo\.folder"):
        Memo(tmp_path / "file" / "below")


def test_a_server_keeps_no_memo(tmp_path: Path) -> None:
    from rag.server.run import bind
    from rag.settings import load_settings

    with pytest.raises(InputError, match=r"generation\.memo"):
        bind(load_settings(generation={"memo": {"folder": tmp_path}}), [])


@pytest.mark.parametrize("kind", MAKERS)
def test_texts_written_together_are_those_written_one_by_one(kind: str, tiny: Tiny) -> None:
    """Conversations of several lengths, with and without pictures, so that most are padded."""
    from rag.generation.messages import Picture

    model = LocalModel(settings_for(tiny(kind), max_new_tokens=12))
    seen = [Picture(Image.effect_noise((60, 60), n).convert("RGB"), f"Image {n}:") for n in (20, 60)]
    shown: list[tuple[Picture, ...]] = [()] if kind == "qwen2" else [(), (seen[0],), (seen[1],)]
    conversations = [Messages("Rules.", text, pictures) for text in ASKED for pictures in shown]
    ready = [model.ready(m) for m in conversations]
    for shape in {r.shape for r in ready}:
        alike = [n for n, r in enumerate(ready) if r.shape == shape]
        said = model.write_together([ready[n] for n in alike], 12)
        for n, one in zip(alike, said, strict=True):
            alone = list(model.chat(conversations[n]))
            assert "".join(one.pieces) == "".join(p.text for p in alone)
            assert (one.ended == "truncated") == alone[-1].truncated
            assert one.yes == pytest.approx(alone[0].yes, abs=1e-4)


def test_a_run_that_collects_a_batch_and_a_run_with_the_memo_give_what_asking_gives(
    tiny: Tiny, ask: Ask, texts: Texts, tmp_path: Path
) -> None:
    plain = settings_for(tiny("llava"), images=1, image_questions="image")
    image = tmp_path / "image.png"
    Image.effect_noise((60, 60), 20).convert("RGB").save(image)
    requests = [ask(text) for text in ASKED] + [ask(ASKED[0], image=str(image))]

    def drafts(misses: str | None) -> list[Any]:
        memo = {"folder": tmp_path / "memo", "misses": misses} if misses else {}
        generator = load_generator(plain.model_copy(update={"memo": MemoSettings.model_validate(memo)}), texts)
        assert isinstance(generator, LanguageGenerator)
        return [(generator.opinion(r), generator.generate(r)) for r in requests]

    straight = drafts(None)
    drafts("collect")
    lines = (tmp_path / "memo" / "requests.jsonl").read_text().splitlines()
    assert {json.loads(line)["opening"] for line in lines} == {True, False}
    done = write_collected(tmp_path / "memo", plain)
    assert (done.written, done.left, done.why) == (len(requests), 0, None)
    assert not (tmp_path / "memo" / "requests.jsonl").exists()
    assert not (tmp_path / "memo" / "images").exists()
    again = drafts("ask")
    for (opinion, draft), (remembered, known) in zip(straight, again, strict=True):
        assert (known.text, known.sentences, known.verdict) == (draft.text, draft.sentences, draft.verdict)
        assert remembered == pytest.approx(opinion, abs=1e-4)
    with pytest.raises(InputError, match="nothing was collected"):
        write_collected(tmp_path / "memo", plain)


def test_requests_of_another_model_or_changed_since_are_not_written(
    tiny: Tiny, ask: Ask, texts: Texts, tmp_path: Path
) -> None:
    memo = MemoSettings(folder=tmp_path, misses="collect")
    settings = settings_for(tiny("qwen2"))
    load_generator(settings.model_copy(update={"memo": memo}), texts).generate(ask())
    with pytest.raises(InputError, match="name the profile that they were collected with"):
        write_collected(tmp_path, settings_for(tiny("llava")))
    file = tmp_path / "requests.jsonl"
    file.write_text(file.read_text().replace("cardiomegaly", "pneumonia"))
    done = write_collected(tmp_path, settings)
    assert (done.written, done.left) == (0, 1)
    assert done.why is not None
    assert "changed after it was collected" in done.why
    file.write_text('{"who": 1}\n')
    with pytest.raises(InputError, match="line 1, field 'who'"):
        write_collected(tmp_path, settings)
