"""Questions with known answers for users without labels: from coded or clearly asserted findings.

After the generator-verifier scheme of MedVLSynther: a generator proposes a question, its answer and its supporting
passages from labels; a verifier drops whatever could be answered either way. Every row is marked synthetic.

Where a corpus carries human codes (``metadata["mesh"]``), the answers come from the codes and never from our reader,
so that the reader can be measured against them. Elsewhere they come from clear assertions, and the row says so.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import tomli

from rag.building.index import Index
from rag.calibration.wordings import Proposal, StudyLabels, Wordings
from rag.errors import InputError, StorageError
from rag.evaluation.questions import LabelledQuestion
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.language.vocabulary import lexicon_of
from rag.progress import Progress, Silent
from rag.settings import knowledge_dir
from rag.types import Document, Question, sha256_of

Kind = Literal["yes_no", "multiple_choice"]
_OPTIONS = 4
_CLEAR = 0.95  # certainty from which an assertion of the text may serve as a label
_SIDES = {"left": ("left",), "right": ("right",), "bilateral": ("left", "right")}
_ZONES = {word: (word,) for word in ("base", "apex", "upper lobe", "lower lobe")}
_DEGREES = {word: (word,) for word in ("mild", "severe", "small", "large")}
_UNUSABLE = ("No Indexing", "Technical Quality")  # nobody coded these studies, or nobody could


@dataclass(frozen=True)
class SyntheticQuestion:
    """One row of a question file. ``labels`` names where the answer comes from, ``asks`` the kind of wording."""

    id: str
    kind: Kind
    question: str
    answer: str
    options: tuple[str, ...]
    study: str
    group: str
    finding: str
    asks: str
    evidence: tuple[str, ...]
    labels: str
    synthetic: bool = True

    def row(self) -> dict[str, Any]:
        return asdict(self)

    def labelled(self) -> LabelledQuestion:
        """As calibration takes it: a yes/no question about its study."""
        question = Question(text=self.question, study=self.study)
        return LabelledQuestion(self.id, question, self.answer, self.group, self.evidence)


@dataclass(frozen=True)
class QuestionPlan:
    """Which questions are wanted.

    Attributes:
        count: most questions.
        kind: ``yes_no``, or ``multiple_choice`` with one right option and three that the labels deny.
        seed: the same documents and seed give the same questions.
        each: most yes/no questions of a group; no two have the same words.
    """

    count: int
    kind: Kind = "yes_no"
    seed: int = 0
    each: int = 1


@dataclass(frozen=True)
class _Code:
    code: str
    finding: str
    near: tuple[str, ...]


def synthesize(
    index: Index,
    *,
    count: int = 600,
    kind: Kind = "yes_no",
    seed: int = 0,
    each: int = 1,
    progress: Progress | None = None,
) -> list[SyntheticQuestion]:
    """Questions with known answers about the reports of an index, read with its own lexicon.

    >>> questions = synthesize(index, count=600)                                # doctest: +SKIP
    >>> calibrate(engine, questions, alpha=0.1, delta=0.05)                     # doctest: +SKIP
    >>> write_questions("questions.jsonl", questions)                           # doctest: +SKIP

    Args:
        index: holds reports with codes, or with findings clearly asserted.
        count: most questions.
        kind: ``yes_no``, in the wordings of ``knowledge/questions.toml``, or ``multiple_choice`` with one right option
            and three that the labels deny.
        seed: the same index and seed give the same questions.
        each: most questions about one patient, who gives one multiple choice at most.
        progress: told of reports read.

    Raises:
        InputError: there is no such kind, or no report carries usable codes or clear assertions.
    """
    if kind not in get_args(Kind):
        raise InputError(f"there is no kind {kind!r} of question; use {' or '.join(get_args(Kind))}")
    with index.store.snapshot() as snapshot:
        documents, lexicon = snapshot.documents("report"), lexicon_of(snapshot)
    tell = (progress or Silent()).stage("reading labels", len(documents))
    return propose_questions(documents, lexicon, QuestionPlan(count, kind, seed, each), tell)


def write_questions(path: str | Path, questions: Iterable[SyntheticQuestion]) -> None:
    """Write questions as a JSONL file that ``calibrate`` and ``evaluate`` read.

    >>> write_questions("questions.jsonl", synthesize(index))                   # doctest: +SKIP

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        with Path(path).open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows_of(questions))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}; choose another file") from error


def propose_questions(
    documents: Iterable[Document],
    lexicon: Lexicon,
    plan: QuestionPlan,
    tell: Callable[[int], None] = lambda n: None,
) -> list[SyntheticQuestion]:
    """The questions of the plan; half of those answered yes or no are about something that is there, where labels
    allow it, and both halves are asked in the affirmative and in the opposite.

    Args:
        documents: reports; of each group the first with usable labels is asked about.
        tell: progress; told how many documents were looked at.

    Raises:
        InputError: no document carries usable codes or clear assertions.
    """
    rng = random.Random(plan.seed)  # noqa: S311 - sampling, not secrets
    reports = defaultdict[str, list[Document]](list)
    for document in documents:
        if document.kind == "report" and document.text:
            reports[document.group_id].append(document)
        else:
            tell(1)
    groups = sorted(reports)
    rng.shuffle(groups)
    texts, found, labelled = Texts(lexicon), list[SyntheticQuestion](), False
    wanted = {True: plan.count - plan.count // 2, False: plan.count // 2}
    for group in groups:
        if len(found) >= plan.count:
            break
        tell(len(reports[group]))
        usable = next(((d, labels) for d in reports[group] if (labels := report_labels(d, texts))), None)
        if usable is None:
            continue
        document, labels = usable
        labelled = True
        if plan.kind == "yes_no":
            proposals = Wordings.load().propose(labels, document.case_id or document.id, lexicon, rng)
            for p in _choose(proposals, wanted, min(plan.each, plan.count - len(found)), rng):
                found.append(_question(document, labels, p))
        elif (choice := _multiple_choice(document, labels, lexicon, rng)) is not None:
            found.append(choice)
    if not labelled:
        raise InputError(
            "no report carries codes that knowledge/codes.toml knows, nor clear assertions; nothing to ask"
        )
    return found


def report_labels(document: Document, texts: Texts) -> StudyLabels | None:
    """What is certain about a report, after the verifier has dropped what the text only raises."""
    raised = {a.concept for a in texts.of(document.text).statements if a.status == "uncertain"}
    codes = document.metadata.get("mesh")
    labels = _from_codes(codes) if isinstance(codes, list) and codes else _from_text(document, texts)
    if labels is None:
        return None

    known = texts.lexicon

    def clear(findings: frozenset[str]) -> frozenset[str]:
        return frozenset(
            f for f in findings if not any(known.is_a(r, f) or known.is_a(f, r) for r in raised if r in known.concepts)
        )

    return replace(labels, present=clear(labels.present), absent=clear(labels.absent))


def _from_codes(codes: list[str]) -> StudyLabels | None:
    if any(code.startswith(_UNUSABLE) for code in codes):
        return None
    present = {c.finding for c in _codes() if any(_has(code, c.code) for code in codes)}
    unclear = {c.finding for c in _codes() if any(_has(code, near) for code in codes for near in c.near)}
    absent = {c.finding for c in _codes()} - present - unclear
    normal = codes == ["normal"] or (False if present else None)
    sides, zones, degrees = (_told(codes, words) for words in (_SIDES, _ZONES, _DEGREES))
    return StudyLabels(frozenset(present), frozenset(absent), "human MeSH codes", sides, zones, degrees, normal)


def _told(codes: list[str], words: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]]:
    """The sides, or the degrees, of each coded finding whose codes all tell it."""
    told = defaultdict[str, list[frozenset[str]]](list)
    for code in codes:
        parts = code.split("/")
        for finding in {c.finding for c in _codes() if _has(code, c.code)}:
            told[finding].append(frozenset(w for part in parts for w in words.get(part, ())))
    return {finding: frozenset().union(*each) for finding, each in told.items() if all(each)}


def _from_text(document: Document, texts: Texts) -> StudyLabels | None:
    concepts = texts.lexicon.concepts
    said = [a for a in texts.of(document.text).statements if not a.derived and a.sure >= _CLEAR]
    present = {a.concept for a in said if a.status == "present" and concepts[a.concept].kind == "finding"}
    absent = {a.concept for a in said if a.status == "absent" and concepts[a.concept].kind == "finding"}
    both = present & absent
    if not present | absent:
        return None
    return StudyLabels(
        frozenset(present - both), frozenset(absent - both), "clear assertions of the text, read by ClinCite"
    )


def _has(code: str, start: str) -> bool:
    """Whether a heading is the coded one or a subheading of it: "Aorta" is not "Aorta, Thoracic"."""
    return code == start or code.startswith(start + "/")


def _choose(proposals: list[Proposal], wanted: dict[bool, int], most: int, rng: random.Random) -> list[Proposal]:
    """At most ``most`` of them, the scarcer side (something is there, or not) first; ``wanted`` is counted down."""
    chosen: list[Proposal] = []
    while len(chosen) < most:
        left = [p for p in proposals if wanted[p.positive] > 0 and p.text not in {c.text for c in chosen}]
        if not left:
            break
        # what is there is there in few studies: ask about it where it can be asked
        side = any(p.positive for p in left) and (not chosen or not chosen[-1].positive)
        p = Wordings.load().draw([p for p in left if p.positive == side] or left, rng)
        wanted[p.positive] -= 1
        chosen.append(p)
    return chosen


def _multiple_choice(
    document: Document, labels: StudyLabels, lexicon: Lexicon, rng: random.Random
) -> SyntheticQuestion | None:
    if not labels.present or len(labels.absent) < _OPTIONS - 1:
        return None
    finding = rng.choice(sorted(labels.present))
    distractors = [f for f in sorted(labels.absent) if not lexicon.is_a(f, finding) and not lexicon.is_a(finding, f)]
    if len(distractors) < _OPTIONS - 1:
        return None
    options = [finding, *rng.sample(distractors, _OPTIONS - 1)]
    rng.shuffle(options)
    names = tuple(lexicon.name(f) for f in options)
    text = f"Which of these does study {document.case_id} show: {', '.join(names[:-1])} or {names[-1]}?"
    return _question(document, labels, Proposal("choice", finding, text, lexicon.name(finding), True), names)


def _question(document: Document, labels: StudyLabels, p: Proposal, options: tuple[str, ...] = ()) -> SyntheticQuestion:
    return SyntheticQuestion(
        id=f"synthetic/{document.case_id}/{p.finding}" + ("" if options else f"/{sha256_of(p.text)[:8]}"),
        kind="multiple_choice" if options else "yes_no",
        question=p.text,
        answer=p.answer,
        options=options,
        study=document.case_id,
        group=document.group_id,
        finding=p.finding,
        asks=p.kind,
        evidence=(document.id,),
        labels=labels.source,
    )


@lru_cache(maxsize=1)
def _codes() -> tuple[_Code, ...]:
    path = knowledge_dir() / "codes.toml"
    try:
        rows = tomli.loads(path.read_text(encoding="utf-8"))["code"]
        return tuple(_Code(r["code"], r["finding"], tuple(r["near"])) for r in rows)
    except (OSError, tomli.TOMLDecodeError, KeyError) as error:
        raise InputError(f"the codes {path} cannot be used: {error}") from error


def rows_of(questions: Iterable[SyntheticQuestion]) -> Iterator[dict[str, Any]]:
    """Rows for a JSONL file; options are left out where there are none."""
    for question in questions:
        row = question.row()
        yield row if row["options"] else {k: v for k, v in row.items() if k != "options"}
