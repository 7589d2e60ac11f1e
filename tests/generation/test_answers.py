"""A language model behind the engine: what it writes is verified, sent back once, told as it comes, or withheld."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.answering.engine import Engine
from rag.errors import InputError, RagError
from rag.settings import Settings, VerificationSettings, shaping_settings
from rag.types import Answer, Event, Question

from . import checkpoints, servers
from .servers import Server, saying

STUDY = "Does study CXR2814 show cardiomegaly?"
GOOD = "Yes, there is cardiomegaly [1]."
WRONG = "No, there is no cardiomegaly [1]."


@pytest.fixture
def server() -> Iterator[Server]:
    with servers.serving(saying(GOOD, yes=0.9)) as running:
        yield running


Open = Callable[..., Engine]


@pytest.fixture
def open_engine(copy_index: Callable[[Path], None], tmp_path: Path, server: Server) -> Open:
    copy_index(tmp_path / "small")

    def opened(**generation: Any) -> Engine:
        openai = {"base_url": server.url, "model": "m", "read_timeout": 2.0, "attempts": 1}
        return Engine.open(
            tmp_path / "small",
            Settings.model_validate({"generation": {"kind": "openai", "openai": openai, **generation}}),
        )

    return opened


def events_of(engine: Engine, text: str) -> tuple[list[Event], Answer]:
    events = list(engine.stream(Question(text=text)))
    answer = events[-1].answer
    assert answer is not None
    return events, answer


def check(answer: Answer, engine: Engine) -> None:
    snapshot = engine.store.snapshot(answer.index_version)
    for c in answer.citations:
        document = snapshot.document(c.document_id)
        assert document is not None
        assert c.quote == document.text[c.start : c.end]
        assert c.number in answer.sentences[c.sentence].citations
    first = list(dict.fromkeys(c.number for c in answer.citations))
    assert first == sorted(first)


def test_a_cited_draft_becomes_an_answer_with_exact_quotes(open_engine: Open) -> None:
    engine = open_engine()
    answer = engine.ask(STUDY)
    check(answer, engine)
    assert (answer.decision, answer.verdict) == ("answered", "yes")
    assert answer.probability == pytest.approx(0.9, abs=1e-4)
    assert "cardiomegaly" in answer.citations[0].quote.lower()
    assert answer.prompt_sha256 == engine.fingerprints["prompt"]
    other = open_engine(prompt="compare")
    assert other.fingerprints["prompt"] != engine.fingerprints["prompt"]
    assert open_engine(kind="reader").ask(STUDY).prompt_sha256 is None


def test_sentences_that_fail_are_dropped_and_the_rest_is_given(open_engine: Open, server: Server) -> None:
    server.usual = saying(f"{GOOD} There is a pneumothorax [1]. The moon is made of cheese [1].", yes=0.9)
    answer = open_engine().ask(STUDY)
    assert answer.decision == "answered"
    assert [s.text for s in answer.sentences] == ["Yes: there is cardiomegaly."]
    assert len(server.requests) == 1, "what passed is enough"


@pytest.mark.parametrize(
    ("bad", "objection"),
    [
        (WRONG, "did not pass verification"),
        ("There is cardiomegaly [1].", "neither yes nor no"),
        ("Yes, there is a pneumothorax [7].", "did not pass verification"),
        ("Yes, the moon is made of cheese.", "did not pass verification"),
        ("", "neither yes nor no"),
    ],
)
def test_a_failed_draft_is_sent_back_once_with_the_reasons(
    bad: str, objection: str, open_engine: Open, server: Server
) -> None:
    engine = open_engine()
    server.acts.append(saying(bad))
    answer = engine.ask(STUDY)
    assert answer.verdict == "yes"
    first, second = ("".join(m["content"] for m in r["body"]["messages"]) for r in server.requests)
    assert "refused by a checker" not in first
    assert objection in second
    server.usual = saying(bad)
    withheld = engine.ask(STUDY)
    assert withheld.decision == "abstained"
    assert objection in withheld.reason
    assert withheld.sentences == ()
    assert len(server.requests) == 4, "once, and no more"


@pytest.mark.parametrize("text", ["Yes", "Yes.", "**Yes** [1].", "Yes [1]. There is cardiomegaly [1].", "YES!"])
def test_a_bare_verdict_is_grounded_in_what_says_so(text: str, open_engine: Open, server: Server) -> None:
    server.usual = saying(text)
    engine = open_engine(revisions=0)
    answer = engine.ask(STUDY)
    check(answer, engine)
    assert answer.verdict == "yes"
    assert answer.sentences[0].text == "Yes."
    assert "cardiomegaly" in answer.citations[0].quote
    server.usual = saying(text.replace("Yes", "No").replace("YES", "NO").replace("There is", "There is no"))
    assert engine.ask(STUDY).decision == "abstained", "nothing says so"


def test_other_patients_reports_are_never_shown_for_a_yes_no_question(open_engine: Open, server: Server) -> None:
    """However convincing a model would be about them."""
    engine = open_engine()
    server.usual = saying("Yes, there is a pleural effusion [1].")
    answer = engine.ask("Is there a pleural effusion?")
    assert answer.decision == "abstained"
    assert "name the study" in answer.reason
    assert server.requests == []
    engine.ask("Does a pleural effusion blunt the costophrenic angle?")
    assert "another patient" not in server.requests[0]["body"]["messages"][1]["content"]


def test_the_reader_is_never_asked_again_and_revisions_can_be_turned_off(open_engine: Open, server: Server) -> None:
    server.usual = saying(WRONG)
    assert open_engine(revisions=0).ask(STUDY).decision == "abstained"
    assert len(server.requests) == 1


def test_a_model_that_cannot_answer_is_believed_and_its_reason_is_not_shown(open_engine: Open, server: Server) -> None:
    server.usual = saying("Cannot answer: the patient has an aneurysm [1].")
    answer = open_engine().ask(STUDY)
    assert answer.decision == "abstained"
    assert "aneurysm" not in answer.model_dump_json(include={"answer", "reason", "sentences", "citations"})
    assert len(server.requests) == 1


def test_all_attempts_are_kept_for_the_audit(open_engine: Open, server: Server) -> None:
    engine = open_engine()
    server.acts.append(saying(WRONG))
    pipeline = engine.pipeline()
    (turn,) = pipeline.begin([Question(text=STUDY)])
    pipeline.finish(turn)
    bad, good = turn.attempts
    (failed,) = turn.working(pipeline.fingerprints, shaping_settings(engine.settings)).earlier
    assert (failed.draft, failed.why) == (bad.draft, bad.failure)
    assert (bad.draft.text, good.draft.text) == (WRONG, GOOD)
    assert bad.failure is not None
    assert bad.verified.dropped
    assert good.failure is None
    assert turn.last == good
    assert bad.draft.messages_sha256 != good.draft.messages_sha256


def test_sentences_are_told_while_the_model_is_still_writing(open_engine: Open, server: Server) -> None:
    """The server writes its second sentence only after the first has been told."""
    import threading

    engine, told = open_engine(), threading.Event()

    def act(handler: servers.Handler, body: dict[str, Any]) -> None:
        handler.head()
        for word in (*GOOD.split(" "), "There "):
            handler.say(servers.chunk(word if word == "There " else word + " "))
        assert told.wait(20)
        handler.say(servers.chunk("is central vascular congestion [1].", end="stop"))

    server.usual = act
    events = []
    for event in engine.stream(Question(text=STUDY)):
        events.append(event)
        if event.kind == "sentence":
            told.set()
    sentences = [e.sentence for e in events if e.sentence]
    assert len(sentences) == 2
    answer = events[-1].answer
    assert answer is not None
    assert tuple(sentences) == answer.sentences
    assert [c for e in events for c in e.citations] == list(answer.citations)


LITERATURE = "What are drusen of the retina?"


def quoting(numbers: tuple[int, ...], extra: str = "") -> servers.Act:
    """Says the first sentence of each of these passages, in this order."""

    def act(handler: servers.Handler, body: dict[str, Any]) -> None:
        import re

        shown = re.findall(r'<passage-\w+ number="(\d+)"[^>]*>\n(.*?)\n</passage', body["messages"][1]["content"], re.S)
        texts = {int(n): re.split(r"(?<=[.])\s", text)[0] for n, text in shown}
        saying(" ".join(f"{texts[n].rstrip('.')} [{n}]." for n in numbers) + extra)(handler, body)

    return act


def test_numbers_told_are_those_of_the_answer(open_engine: Open, server: Server) -> None:
    server.usual = quoting((3, 1, 3, 2))
    engine = open_engine()
    events, answer = events_of(engine, LITERATURE)
    check(answer, engine)
    assert answer.decision == "answered"
    told = [e for e in events if e.kind == "sentence"]
    assert tuple(e.sentence for e in told) == answer.sentences
    assert tuple(c for e in told for c in e.citations) == answer.citations
    assert next(iter(answer.citations)).number == 1


def test_nothing_is_told_of_a_draft_that_is_sent_back(open_engine: Open, server: Server) -> None:
    server.acts.append(saying(f"{WRONG} There is central vascular congestion [1]."))
    events, answer = events_of(open_engine(), STUDY)
    assert [e.sentence for e in events if e.sentence] == list(answer.sentences)
    assert answer.verdict == "yes"


def test_no_more_sentences_than_wanted_are_waited_for(open_engine: Open, server: Server) -> None:
    server.usual = servers.endless(servers.chunk("There is central vascular congestion [1]. "), 0.005)
    engine = open_engine()
    answer = engine.ask("What does study CXR2814 show?")
    assert answer.decision == "answered"
    assert len(answer.sentences) <= engine.settings.answering.max_sentences


def test_a_sentence_that_was_cut_off_is_not_given(open_engine: Open, server: Server) -> None:
    server.usual = servers.raw(
        servers.chunk("There is cardiomegaly [1]. There is central vascular congestion [1")
        + servers.chunk(end="length")
    )
    answer = open_engine().ask("What does study CXR2814 show?")
    assert [s.text for s in answer.sentences] == ["There is cardiomegaly."]


@pytest.mark.parametrize("fault", [servers.silent(4), servers.raw(servers.chunk(GOOD + " And"))], ids=["silent", "cut"])
def test_a_model_that_fails_midway_is_one_error_and_nothing_is_recorded(
    fault: servers.Act, open_engine: Open, server: Server
) -> None:
    engine = open_engine()
    before = [e.audit_id for e in engine.ledger.entries()]
    server.usual = fault
    with pytest.raises(RagError, match="the language model server"):
        engine.ask(STUDY)
    with pytest.raises(RagError, match="the language model server"):
        list(engine.stream(Question(text=STUDY)))
    assert [e.audit_id for e in engine.ledger.entries()] == before


def test_passages_that_did_not_fit_are_told_and_not_cited(open_engine: Open, server: Server) -> None:
    whole = open_engine().ask(LITERATURE)
    window = len(json.dumps(server.requests[-1]["body"])) // 3 + 300
    openai = {"base_url": server.url, "model": "m", "window": window}
    server.usual = quoting((1,), f" Drusen are deposits [{len(whole.evidence)}].")
    answer = open_engine(openai=openai, max_new_tokens=512).ask(LITERATURE)
    assert "were not shown to the model" in answer.reason
    assert len(answer.evidence) == len(whole.evidence)
    assert len(answer.sentences) == 1


def test_an_image_is_shown_and_so_are_those_of_the_evidence_where_wanted(
    open_engine: Open, server: Server, engine: Engine
) -> None:
    from rag.corpus.packaged import packaged_file

    retina = str(packaged_file("skimage", "data", "retina.jpg"))

    def pictures(images: int) -> list[str]:
        open_engine(images=images).ask("What does this photograph show?", image=retina)
        content = server.requests[-1]["body"]["messages"][1]["content"]
        if isinstance(content, str):
            return []
        return [c["text"] for c in content[:-1] if c["type"] == "text"]

    assert pictures(0) == []
    assert pictures(1) == ["The image that the question is about:"]
    assert pictures(3)[0] == "The image that the question is about:"
    assert pictures(3)[1].startswith("The image of passage")


def test_many_questions_are_written_at_once_and_come_back_in_their_order(open_engine: Open, server: Server) -> None:
    """The server answers nobody before four have asked."""
    import threading

    together = threading.Barrier(4, timeout=20)

    def act(handler: servers.Handler, body: dict[str, Any]) -> None:
        together.wait()
        saying(GOOD if "cardiomegaly" in body["messages"][1]["content"].split("Question:")[1] else "No.")(handler, body)

    server.usual = act
    texts = [STUDY, "Does study CXR1 show a pneumothorax?"] * 2
    engine = open_engine(revisions=0)
    answers = engine.ask_many([Question(text=t) for t in texts], record=False)
    assert [a.verdict for a in answers] == ["yes", "no", "yes", "no"]
    assert [a.question.text for a in answers] == texts


def test_what_a_model_thinks_before_it_answers_is_no_part_of_its_answer(open_engine: Open, server: Server) -> None:
    server.usual = saying(f"<think>No. There is a pneumothorax [1].</think> {GOOD}", yes=0.1)
    answer = open_engine().ask(STUDY)
    assert (answer.verdict, [s.text for s in answer.sentences]) == ("yes", ["Yes: there is cardiomegaly."])
    assert answer.probability is None, "the first token was no answer"
    server.usual = saying("<think>It never ends. Yes, there is cardiomegaly [1].")
    assert open_engine().ask(STUDY).decision == "abstained"


def test_a_second_opinion_is_asked_where_one_is_set_and_is_part_of_what_answers_depend_on(
    open_engine: Open, server: Server, tmp_path: Path
) -> None:
    server.usual = saying("There is central vascular congestion [1].")
    first = open_engine()
    question = "What does study CXR2814 show?"
    assert first.ask(question).decision == "answered"
    judge = checkpoints.judge_that_says(tmp_path / "judge", "contradiction")
    verification = {"cross_encoder": str(judge)}
    strict = Engine(
        first.store,
        first.settings.model_copy(update={"verification": VerificationSettings.model_validate(verification)}),
    )
    answer = strict.ask(question)
    assert answer.decision == "abstained"
    assert "contradicted" in answer.reason
    assert strict.fingerprints["verifier"] != first.fingerprints["verifier"]
    loose = Engine(
        first.store,
        first.settings.model_copy(update={"verification": VerificationSettings.model_validate({"paraphrase": True})}),
    )
    assert loose.ask(question).decision == "answered"
    assert loose.fingerprints["verifier"] != first.fingerprints["verifier"]
    assert "verifier" not in open_engine(kind="reader").fingerprints


def test_an_unknown_generator_is_refused_with_the_known_ones(open_engine: Open) -> None:
    with pytest.raises(InputError, match="reader, transformers, openai"):
        open_engine(kind="oracle")


def test_a_model_on_this_machine_answers_and_its_answer_can_be_replayed(
    copy_index: Callable[[Path], None], tmp_path: Path
) -> None:
    """A tiny model that was taught one answer: everything between question and ledger is as with a large one."""
    from rag.answering.replay import replay

    model = checkpoints.build("qwen2", tmp_path / "model")
    checkpoints.teach(model, GOOD)
    copy_index(tmp_path / "small")
    settings = {"generation": {"kind": "transformers", "max_new_tokens": 40, "transformers": {"model": str(model)}}}
    engine = Engine.open(tmp_path / "small", Settings.model_validate(settings))
    events, answer = events_of(engine, STUDY)
    check(answer, engine)
    assert (answer.verdict, [s.text for s in answer.sentences]) == ("yes", ["Yes: there is cardiomegaly."])
    assert answer.probability is not None
    assert answer.probability > 0.9
    assert [e.sentence for e in events if e.sentence] == list(answer.sentences)
    again = replay(engine, engine.ledger.get(answer.audit_id))
    assert (again.outcome, again.changed) == ("identical", ())
    settings["generation"]["prompt"] = "compare"
    other = Engine.open(tmp_path / "small", Settings.model_validate(settings))
    assert "prompt" in {c.name for c in replay(other, engine.ledger.get(answer.audit_id)).changed}


def test_an_answer_after_a_failed_draft_can_be_replayed(open_engine: Open, server: Server) -> None:
    from rag.answering.replay import replay

    engine = open_engine()
    server.acts.append(saying(WRONG))
    answer = engine.ask(STUDY)
    server.acts.append(saying(WRONG))
    assert replay(engine, engine.ledger.get(answer.audit_id)).outcome == "identical"
    server.usual = saying("Yes, the heart shows cardiomegaly [1].", yes=0.6)
    different = replay(engine, engine.ledger.get(answer.audit_id))
    assert different.outcome == "different"
    assert {"earlier", "draft", "confidence"} <= {d.name for d in different.differences}
