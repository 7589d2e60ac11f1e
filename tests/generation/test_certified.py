"""A language model's answers under a certificate: calibrated with its prompt, stale with another."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag.answering.engine import Engine
from rag.calibration.calibrate import CalibrationPlan, calibrate
from rag.calibration.synthesis import QuestionPlan, propose_questions
from rag.language.lexicon import Lexicon
from rag.settings import Settings

from . import servers


def crude(handler: servers.Handler, body: dict[str, Any]) -> None:
    """A model of sorts: finds the finding's name in the passage, and is sure of itself where a sentence is short."""
    text = body["messages"][1]["content"]
    asked = re.search(r"show (?:an? )?(.*?)\?", text)
    sentences = re.split(r"(?<=[.])\s", text.split("</passage")[0].split(">\n", 1)[1])
    named = [s for s in sentences if asked and asked[1].lower() in s.lower()]
    if not named:
        servers.saying("Cannot answer: the report is silent.")(handler, body)
        return
    said = named[0].removesuffix(".")
    denied = re.search(r"\b(?:no|without|free)\b", said, re.I)
    sure = 0.95 if len(said) < 60 else 0.7
    servers.saying(f"{'No' if denied else 'Yes'}, {said} [1].", yes=1 - sure if denied else sure)(handler, body)


def test_a_models_answers_are_certified_with_their_prompt(
    copy_index: Callable[[Path], None], tmp_path: Path, lexicon: Lexicon
) -> None:
    copy_index(tmp_path / "small")
    with servers.serving(crude) as server:

        def engine(**generation: Any) -> Engine:
            openai = {"base_url": server.url, "model": "crude", "concurrency": 2}
            chosen = {"kind": "openai", "revisions": 0, "openai": openai, **generation}
            return Engine.open(tmp_path / "small", Settings.model_validate({"generation": chosen}))

        own = engine()
        with own.store.snapshot() as snapshot:
            made = propose_questions(snapshot.documents("report"), lexicon, QuestionPlan(count=300, each=2))
        plain = {  # in the one wording that this model understands
            q.group: replace(q, question=f"Does study {q.study} show {lexicon.name(q.finding)}?")
            for q in made
            if q.asks == "presence"
        }
        labelled = [q.labelled() for q in plain.values()][:90]
        result = calibrate(own, labelled, alpha=0.25, delta=0.2, plan=CalibrationPlan(allow_perfect=True))
        (part,) = result.parts
        assert part.certification.policy is not None, part.report()
        covered = own.ask(labelled[0].question)
        assert covered.certificate.status == "valid"
        assert covered.certificate.policy == part.certification.policy.as_dict()
        asked = len(server.requests)
        calibrate(own, labelled, alpha=0.2, delta=0.2, plan=CalibrationPlan(allow_perfect=True))
        assert len(server.requests) == asked, "another level costs no new answers"
        stale = engine(prompt="compare").ask(labelled[0].question)
        assert stale.certificate.status == "stale"
        assert "prompt" in stale.certificate.why
        assert "generator" not in stale.certificate.why
        warm = engine(temperature=0.5).ask(labelled[0].question)
        assert "generator" in warm.certificate.why
        assert "prompt" not in warm.certificate.why


@pytest.mark.parametrize("name", ["cite", "compare"])
def test_a_prompts_hash_does_not_depend_on_where_it_is_read(name: str, tmp_path: Path) -> None:
    from rag.generation.prompts import Prompt
    from rag.settings import knowledge_dir

    for file in (knowledge_dir() / "prompts").glob("*.jinja"):
        shutil.copy(file, tmp_path)
    assert Prompt(str(tmp_path / f"{name}.jinja")).sha256 == Prompt(name).sha256
