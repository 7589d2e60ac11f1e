"""What a language model server writes: ``python benchmarks/serve_llm.py --base-url http://gpu:8000/v1 --model NAME``.

Any server that speaks OpenAI's chat completions will do. It is sent the prompts of ``generation.kind = "openai"``,
with passages of an index, about 1,500 tokens, none twice, and writes a fixed number of tokens to each, by so many
clients at once. Tokens are those that the server counts.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tables import Cell, Table, measured, report

from rag.generation.base import Request
from rag.generation.messages import Messages
from rag.generation.prompts import Prompt
from rag.indexing import IndexStore
from rag.language.lexicon import Lexicon
from rag.language.question import read_question
from rag.types import Evidence, Question, sha256_of

CHARACTERS_PER_TOKEN = 3  # only to make prompts of about the wanted size; the server's own count is reported
ASKED = "What do these passages say, and what follows from it?"


@dataclass(frozen=True)
class Written:
    """One answer: seconds to its first token and to its end, and the tokens of prompt and answer."""

    first: float
    whole: float
    read: int
    wrote: int


def prompts(index: Path, tokens: int, seed: int) -> Iterator[Messages]:
    """Prompts of about ``tokens`` each, with passages in an order that the seed shuffles."""
    with IndexStore.open(index) as store, store.snapshot() as snapshot:
        documents = [d for d in snapshot.documents("literature") if d.text]
    random.Random(seed).shuffle(documents)
    prompt, asked = Prompt("cite"), read_question(ASKED, Lexicon.load())
    evidence: list[Evidence] = []
    for document in documents:
        evidence.append(
            Evidence(
                number=len(evidence) + 1,
                passage_id=f"{document.id}#0",
                document_id=document.id,
                kind=document.kind,
                domain=document.domain,
                title=document.title,
                source=document.source,
                licence=document.licence,
                case_id=document.case_id,
                group_id=document.group_id,
                channel="text",
                score=0.5,
                text=document.text,
                start=0,
                sha256=sha256_of(document.text),
            )
        )
        made = prompt.render(Request(Question(text=ASKED), asked, tuple(evidence)), evidence, ())
        if len(made.system + made.user) >= tokens * CHARACTERS_PER_TOKEN:
            yield made
            evidence = []


class Server:
    """A server that speaks OpenAI's chat completions, asked with the library that the product asks it with."""

    def __init__(self, base_url: str, model: str, write: int) -> None:
        import openai

        self._client = openai.OpenAI(base_url=base_url, api_key=os.environ.get("API_KEY", "none"), max_retries=0)
        self._model, self._write = model, write

    def answer(self, messages: Messages, logprobs: bool) -> Written:
        begin, first, usage = time.perf_counter(), None, None
        stream = self._client.chat.completions.create(
            model=self._model,
            messages=[{"role": "system", "content": messages.system}, {"role": "user", "content": messages.user}],
            max_tokens=self._write,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True} | ({"logprobs": True, "top_logprobs": 20} if logprobs else {}),
        )
        for chunk in stream:
            if first is None and chunk.choices and chunk.choices[0].delta.content:
                first = time.perf_counter() - begin
            usage = chunk.usage or usage
        if usage is None:
            raise SystemExit("the server does not say how many tokens it wrote (stream_options.include_usage)")
        whole = time.perf_counter() - begin
        return Written(first or whole, whole, usage.prompt_tokens, usage.completion_tokens)

    def load(self, asked: list[Messages], clients: int, logprobs: bool) -> tuple[float, list[Written]]:
        """All answers, ``clients`` under way at once; with the seconds that they took together."""
        begin = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(lambda m: self.answer(m, logprobs), asked))
        return time.perf_counter() - begin, answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--called", help="What the table calls the model and what serves it; its name unless given.")
    parser.add_argument("--index", type=Path, default=Path("indexes/demo"), help="Folder of an index with literature.")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--requests", type=int, default=16, help="For each number of clients.")
    parser.add_argument("--read", type=int, default=1500, help="Tokens of a prompt, about.")
    parser.add_argument("--write", type=int, default=150, help="Tokens of an answer.")
    parser.add_argument(
        "--logprobs", action="store_true", help="With 20 alternatives a token, as for yes/no questions."
    )
    parser.add_argument("--save", action="store_true", help="Write benchmarks/results and the document as well.")
    args = parser.parse_args()
    server = Server(args.base_url, args.model, args.write)
    stock = prompts(args.index, args.read, seed=time.time_ns())
    server.answer(next(stock), args.logprobs)
    rows: list[tuple[Cell, ...]] = []
    for clients in args.clients:
        asked = list(islice(stock, args.requests))
        if len(asked) < args.requests:
            raise SystemExit(f"{args.index} has no passages for more prompts: give --requests or --read less")
        took, answers = server.load(asked, clients, args.logprobs)
        read, wrote = (sum(getattr(a, name) for a in answers) for name in ("read", "wrote"))
        rows.append((
            args.called or args.model, "yes" if args.logprobs else "no", clients, len(answers),
            round(read / len(answers)), round(wrote / len(answers)), round(len(answers) / took, 3),
            round(wrote / took, 1), round(read / took),
            *(round(statistics.median(getattr(a, name) for a in answers), 2) for name in ("first", "whole")),
        ))  # fmt: skip
    table = Table(
        section="Serving",
        question="How much does a language model server write?",
        columns=(
            "model", "probabilities", "clients", "answers", "tokens read for one", "tokens written for one",
            "answers/s", "written tokens/s in all", "read tokens/s in all", "first token p50 s", "answer p50 s",
        ),
        runs=(measured(rows),),
        command="python benchmarks/serve_llm.py --base-url http://localhost:8000/v1 --model NAME",
        note="Prompts of the demo's literature; the machine is that of the client, and here of the server, too.",
    )  # fmt: skip
    report("serving-llm", table, save=args.save, key=3)


if __name__ == "__main__":
    main()
