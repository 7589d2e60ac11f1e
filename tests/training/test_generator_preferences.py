"""`rag tune mine` and `rag tune dpo` as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.answering.confidence import Signals
from rag.answering.engine import Engine
from rag.audit.feedback import give_feedback
from rag.calibration.trials import Said, Trial
from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.generation.base import Request
from rag.generation.seen import Seen, hash_of_name
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.progress import Silent
from rag.risk_control.policy import SETTINGS
from rag.training.generator import observed
from rag.training.generator.citing import REFUSAL
from rag.training.generator.examples import Asking
from rag.training.generator.labelled import read_labelled
from rag.training.generator.losses import preference_loss
from rag.training.generator.mining import PairSources, mine
from rag.training.generator.pairing import PairMaker, begins
from rag.training.generator.preferences import Preference, read_pairs, without_twins
from rag.training.generator.recipe import GeneratorRecipe
from rag.training.generator.sft import TuningJob, train_generator
from rag.types import Domain, Draft

from .test_generator_tuning import SMALL, made, run, tiny
from .tuning import studies, write_rows

__all__ = ["made", "tiny"]  # fixtures
KINDS = {"over-reliance", "cross-modality, swapped", "cross-modality, noise", "use of evidence"}
RECIPE = GeneratorRecipe()


@pytest.fixture(scope="session")
def tuned(tiny: Callable[[str], Path], made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "model"
    job = TuningJob(f"local-dir:{tiny('llava')}", str(made / "short.jinja"), out)
    train_generator([made / "few.jsonl"], job, SMALL.model_copy(update={"epochs": 1.0}), Silent())
    return out


def pair(chosen: str, rejected: str, question: str = "Is it?") -> Preference:
    return Preference("use of evidence", "made", "g", "s", "l", Asking(question), chosen, rejected)


def test_pairs_of_every_kind_and_none_with_a_group_or_text_to_keep_apart(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, apart = tmp_path / "pairs.jsonl", tmp_path / "calibration.jsonl"
    report_of_two = next(row["report"] for row in studies() if row["group"] == "patient 2")
    write_rows(apart, [
        {"id": "q1", "question": "Is it?", "answer": "Yes", "group": "patient 0"},
        {"id": "q2", "question": "Is it?", "answer": "Yes", "group": "another", "report": report_of_two},
    ])  # fmt: skip
    command = ("tune", "mine", str(made / "questions.jsonl"), "--apart", str(apart), "--out", str(out))
    code, report, _ = run(capsys, monkeypatch, *command)
    assert code == 0
    pairs = read_pairs(out)
    assert {p.kind for p in pairs} == KINDS == set(report["kinds"])
    assert sum(report["kinds"].values()) == report["pairs"] == len(pairs)
    assert json.loads((tmp_path / "pairs.jsonl.summary.json").read_text()) == report
    assert report["left_out"]["pair of a group that is to be kept apart"] > 0
    groups = {p.group for p in pairs}
    assert not groups & {"patient 0", "patient 2"}
    numbers = {int(g.split()[-1]) % 6 for g in groups}
    assert numbers <= {0, 1, 2, 3}  # the split train alone
    assert not any(report_of_two in s.text for p in pairs for s in p.asking.passages)
    assert len({p.key for p in pairs}) == len(pairs)
    assert all(p.chosen != p.rejected for p in pairs)
    first = out.read_bytes()
    assert run(capsys, monkeypatch, *command)[0] == 0
    assert out.read_bytes() == first
    code, report, _ = run(capsys, monkeypatch, *command, "--most", "3")
    assert (code, set(report["kinds"].values())) == (0, {3})


def test_what_each_kind_prefers(made: Path, lexicon: Lexicon) -> None:
    items, _ = read_labelled([made / "questions.jsonl"])
    train = [i for i in items if i.split == "train"]
    maker = PairMaker(train, RECIPE, Texts(lexicon))
    for item in train:
        for p in maker.pairs(item):
            texts = {n: s.text for n, s in enumerate(p.asking.passages, start=1)}
            own = {n for n, text in texts.items() if text in item.support}
            cited = {n for n in texts if f"[{n}]" in p.chosen}
            if p.kind == "over-reliance":
                wrong = {n for n in texts if f"[{n}]" in p.rejected}
                assert begins(p.chosen) == item.side != begins(p.rejected)
                assert cited <= own
                assert wrong
                assert not wrong & own
                assert all(p.asking.passages[n - 1].whose == "similar" for n in wrong)
            elif p.kind == "cross-modality, noise":
                assert (p.chosen, p.asking.view) == (REFUSAL, "noise")
                assert p.rejected.endswith("[image]")
            elif p.kind == "cross-modality, swapped":
                assert p.asking.view == "plain"
                assert p.chosen.endswith("[image]")
                assert begins(p.chosen) != begins(p.rejected)
            elif p.chosen == REFUSAL:
                assert not own
            else:
                assert cited
                assert cited <= own


def test_a_model_is_taken_at_its_word(made: Path, lexicon: Lexicon) -> None:
    """Over-reliance is a wrong answer after the misleading passage by a model that is right without it."""
    items, _ = read_labelled([made / "questions.jsonl"])
    train = [i for i in items if i.split == "train"]

    def gullible(asking: Asking) -> str:
        """Believes the passage of another patient where there is one, and says yes to every image."""
        if asking.image is not None:
            return "Yes. [image]"
        last = next((p.text for p in asking.passages if p.whose == "similar"), None)
        text = last or next((p.text for p in asking.passages), "")
        heart = "Yes" if "Enlarged" in text else "No"
        fluid = "No" if "No effusion" in text or "effusion" not in text else "Yes"
        return f"{heart if 'heart' in asking.question else fluid}. So I read. [1]"

    maker = PairMaker(train, RECIPE, Texts(lexicon), gullible)
    pairs = [p for item in train for p in maker.pairs(item)]
    assert {p.origin for p in pairs} == {"model"}
    over = [p for p in pairs if p.kind == "over-reliance"]
    assert over
    assert all(p.rejected == gullible(p.asking) for p in pairs)
    assert all(begins(p.chosen) != begins(p.rejected) for p in pairs)
    honest = PairMaker(train, RECIPE, Texts(lexicon), lambda asking: REFUSAL)
    assert not [p for item in train for p in honest.pairs(item) if p.kind == "over-reliance" or p.chosen == REFUSAL]


class Contrary:
    """Writes the side that the evidence does not say, as a language model might."""

    fingerprint, prompt_sha256, revises, parallel = "contrary:1", None, False, 1

    def generate(self, request: Request) -> Draft:
        return Draft(text="No. The heart is normal [1].", verdict="no", confidence=0.9)


@pytest.fixture
def contrary(copy_index: Callable[[Path], None], tmp_path: Path) -> Engine:
    """An engine whose generator is wrong."""
    copy_index(tmp_path / "index")
    engine = Engine.open(tmp_path / "index")
    pipeline = engine.pipeline()
    engine._pipeline = replace(pipeline, drafting=replace(pipeline.drafting, generator=Contrary()))
    return engine


def test_judged_answers_become_pairs_where_the_evidence_says_the_right_one(contrary: Engine, tmp_path: Path) -> None:
    judged = {
        "corrected": contrary.ask("Is there cardiomegaly?", study="CXR2814"),
        "unsupported": contrary.ask("Is there a hernia?", study="CXR2814"),
        "unjudged": contrary.ask("Is there cardiomegaly?", study="CXR227"),
    }
    for name in ("corrected", "unsupported"):
        give_feedback(contrary.ledger, judged[name].audit_id, "corrected", correction="Yes, there is.")
    report = mine(PairSources(engine=contrary), tmp_path / "pairs.jsonl", RECIPE, Silent())
    (made_one,) = read_pairs(tmp_path / "pairs.jsonl")
    assert (made_one.kind, made_one.origin, made_one.group) == ("use of evidence", "feedback", "CXR2814")
    assert made_one.chosen == "Yes. There is cardiomegaly. [1]"
    assert made_one.rejected == "No. The heart is normal [1]."
    assert {s.whose for s in made_one.asking.passages} == {"study"}
    assert report.left_out == {"no evidence that was shown says the right answer": 1}
    apart = write_rows(
        tmp_path / "apart.jsonl", [{"id": "q", "question": "Is it?", "answer": "Yes", "study": "CXR2814"}]
    )
    with pytest.raises(InputError, match="no pairs come of these sources .*kept apart"):
        mine(PairSources(engine=contrary, apart=[apart]), tmp_path / "none.jsonl", RECIPE, Silent())


def test_answers_that_turn_wrong_with_more_contexts_become_pairs(
    contrary: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trial(question: LabelledQuestion, *, turns: bool) -> Trial:
        said = {k: "yes" if k == 1 or not turns else "no" for k, _ in SETTINGS}
        outcomes = tuple(Said(said[k], 0.9, Signals(0.9, 1.0, 1.0, 1.0)) for k, _ in SETTINGS)  # type: ignore[arg-type]
        domain = Domain(name="ophthalmology", probability=1.0, out_of_domain=False)
        return Trial("literature", domain, outcomes, ("d",))

    def traced(questions: list[LabelledQuestion], *_: object) -> list[Trial]:
        return [trial(q, turns="drusen" in q.question.text) for q in questions]

    monkeypatch.setattr(observed, "trace", traced)
    rows = [
        {"id": "a", "question": "Are drusen yellow?", "answer": "Yes"},
        {"id": "b", "question": "Is microphthalmia an abnormal smallness of the eyes?", "answer": "Yes"},
    ]
    sources = PairSources(engine=contrary, traced=[write_rows(tmp_path / "q.jsonl", rows)])
    report = mine(sources, tmp_path / "pairs.jsonl", RECIPE, Silent())
    (made_one,) = read_pairs(tmp_path / "pairs.jsonl")
    assert (made_one.kind, made_one.origin, made_one.group) == ("over-reliance", "trace", "a")
    assert begins(made_one.chosen) == "Yes"
    assert "yellow" in made_one.chosen
    assert made_one.rejected == "No. The heart is normal [1]."
    assert len(made_one.asking.passages) > 1
    assert report.left_out == {"its answer does not turn wrong with more contexts": 1}


def test_the_loss_is_that_of_the_paper() -> None:
    """Worked out by hand: margins of 2 and -1 nats at beta 0.5."""
    margin = torch().tensor([2.0, -1.0], dtype=torch().float64)
    by_hand = (np.log(1 + np.exp(-1.0)) + np.log(1 + np.exp(0.5))) / 2
    assert float(preference_loss(margin, 0.5)) == pytest.approx(by_hand, abs=1e-12)
    assert float(preference_loss(margin * 0, 0.1)) == pytest.approx(np.log(2), abs=1e-7)


def test_pairs_learn_and_a_card_tells(
    tiny: Callable[[str], Path], made: Path, tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pairs, out, recipe = tmp_path / "pairs.jsonl", tmp_path / "preferred", tmp_path / "recipe.toml"
    mine(PairSources(files=[made / "questions.jsonl"]), pairs, RECIPE, Silent(), most=8)
    recipe.write_text("rate = 0.04\ntokens = 2048\nlongest = 2048\nepochs = 4\n")
    model = ("--model", str(tuned), "--base", f"local-dir:{tiny('llava')}", "--prompt", str(made / "short.jinja"))
    command = ("tune", "dpo", str(pairs), *model, "--out", str(out), "--recipe", str(recipe))
    code, report, _ = run(capsys, monkeypatch, *command)
    assert code == 0
    assert report["last_loss"] < report["first_loss"]
    train = next(m for m in report["measured"]["train"] if m["kind"] == "all")
    assert train["after"] > train["before"]
    assert train["margin"] > 1
    card = (out / "README.md").read_text()
    assert "over-reliance" in card
    assert " ".join(command[:2]) in card
    seen, before = Seen.read(out), Seen.read(tuned)
    assert seen is not None
    assert before is not None
    assert seen.groups > before.groups  # what it had seen before, and the pairs
    assert hash_of_name(read_pairs(pairs)[0].group) in seen.groups
    code, report, words = run(capsys, monkeypatch, *command)
    assert (code, words.count("\n")) == (2, 1)
    assert "holds a model already" in report["error"]


def test_our_loss_is_trls(
    tiny: Callable[[str], Path], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL's trainer takes the adapters it is given for the reference; moved afterwards, they have a loss to compare."""
    trl, peft, datasets = (pytest.importorskip(name) for name in ("trl", "peft", "datasets"))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    folder = tiny("qwen2")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch().float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch().manual_seed(1)
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"]))
    with torch().no_grad():  # adapters that say something, so that model and reference differ
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    rows = [{"prompt": "Is it bright?", "chosen": " Yes [1].", "rejected": " No, it is dark [2]."},
            {"prompt": "And the heart?", "chosen": " No effusion.", "rejected": " Yes"}]  # fmt: skip
    options = trl.DPOConfig(
        output_dir=str(tmp_path), beta=0.3, per_device_train_batch_size=2, max_steps=1, learning_rate=0.0,
        report_to=[], save_strategy="no", logging_steps=1, use_cpu=True, bf16=False, gradient_checkpointing=False,
    )  # fmt: skip

    def log_prob(answer: str, prompt: str) -> Any:
        ids = tokenizer.encode(prompt), [*tokenizer.encode(answer), tokenizer.eos_token_id]
        logits = tuned(input_ids=torch().tensor([ids[0] + ids[1]])).logits[0, len(ids[0]) - 1 : -1].log_softmax(-1)
        return logits[range(len(ids[1])), ids[1]].sum()

    def opinions() -> list[tuple[Any, Any]]:
        with torch().inference_mode():
            return [(log_prob(r["chosen"], r["prompt"]), log_prob(r["rejected"], r["prompt"])) for r in rows]

    before = opinions()
    trainer = trl.DPOTrainer(
        model=tuned, args=options, train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer
    )
    with torch().no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B.default" in name:
                parameter.mul_(-2)
    ours, theirs = opinions(), trainer.train().training_loss
    margin = torch().stack([(c - rc) - (j - rj) for (c, j), (rc, rj) in zip(ours, before, strict=True)])
    assert abs(float(margin.max())) > 0.01
    assert theirs == pytest.approx(float(preference_loss(margin, 0.3)), rel=1e-3)


def test_twins_are_dropped() -> None:
    pairs = [pair("Yes.", "No."), pair("Yes.", "No."), pair("No.", "No. "), pair("Yes.", "No.", "Was it?")]
    assert without_twins(pairs) == [pairs[0], pairs[3]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", "line 1: kind: Field required"),
        ("not json", "line 1: Invalid JSON"),
        ('{"kind": "taste"}', "line 1: kind"),
        ("", "holds no pairs"),
        (None, "there is no file"),
    ],
)
def test_a_bad_file_of_pairs_is_named(line: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    if line is not None:
        path.write_text(line)
    with pytest.raises(InputError, match=message):
        read_pairs(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["mine", "--out", "x.jsonl"], "there is nothing to mine"),
        (["mine", "nowhere.jsonl", "--out", "x.jsonl"], "there is no file nowhere.jsonl"),
        (["mine", "q.jsonl", "--out", "x.jsonl", "--traced", "q.jsonl"], "--traced asks an index"),
        (["mine", "q.jsonl", "--out", "x.jsonl", "--model", "m"], "name the base that they belong to"),
        (["mine", "q.jsonl", "--out", "x.jsonl", "--apart", "nowhere"], "there is no file nowhere to keep apart"),
        (["dpo", "nowhere.jsonl", "--model", "m", "--base", "b", "--out", "o"], "there is no file nowhere.jsonl"),
        (["dpo", "pairs.jsonl", "--model", "m", "--base", "b", "--out", "o"], "has no seen.json"),
    ],
)
def test_a_mistake_is_one_sentence(
    options: list[str], message: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "q.jsonl", studies(6))
    if "pairs.jsonl" in options:
        mine(PairSources(files=[tmp_path / "q.jsonl"]), tmp_path / "pairs.jsonl", RECIPE, Silent())
    code, report, words = run(capsys, monkeypatch, "tune", *options)
    assert (code, words.count("\n")) == (2, 1)
    assert message in report["error"]
