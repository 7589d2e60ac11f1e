"""Who writes an answer, who verifies it, and when it is good enough to give."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from rag.settings.group import SettingsGroup


class TransformersSettings(SettingsGroup):
    """A language model on this machine, through the transformers library."""

    model: str | None = Field(
        None,
        description="'compact-lvlm' (ours, assembled at first use), a folder with the model, or its id on the model "
        "hub (found in the hub's cache when offline).",
    )
    cache: Path | None = Field(
        None, description="Folder for assembled models; clincite/models in the user's cache folder unless given."
    )
    revision: str | None = Field(None, description="Branch, tag or commit on the hub.")
    device: str | None = Field(None, description="'cuda', 'cuda:1', 'cpu'; the first GPU where there is one.")
    dtype: Literal["auto", "native", "bfloat16", "float16", "float32"] = Field(
        "auto",
        description="Precision of the weights; 'auto' is bfloat16 on a GPU and float32 on a processor, 'native' is "
        "bfloat16 on a processor, too, where it computes in it.",
    )
    window: int | None = Field(
        None, ge=128, description="Tokens of prompt and answer together; the model's own number unless given."
    )
    chat_template: str | None = Field(
        None,
        description="How turns and pictures are written, where the model does not say: a template of "
        "knowledge/prompts/chat ('mistral-instruct'), or a path that ends in .jinja.",
    )
    openings: tuple[str, ...] = Field(
        ("Yes", "No"),
        description="Words that the model opens its answers to yes/no questions with; more than these two where it was "
        "taught others. How sure it is of its verdict is that word's share among them.",
    )


class OpenAISettings(SettingsGroup):
    """A server that speaks OpenAI's chat completions: vLLM and others. Question, evidence and images are sent to it."""

    base_url: str | None = Field(
        None, description="Address that ends before /chat/completions, e.g. http://gpu:8000/v1."
    )
    model: str | None = Field(None, description="The model's name on that server.")
    api_key: SecretStr | None = Field(None, description="Better in the environment: RAG_GENERATION__OPENAI__API_KEY.")
    logprobs: bool = Field(True, description="Ask for token probabilities; a server that refuses is asked without.")
    window: int | None = Field(
        None, ge=128, description="Tokens of prompt and answer together; unless given, evidence is never left out."
    )
    connect_timeout: float = Field(10.0, gt=0, description="Seconds until the server must have accepted.")
    read_timeout: float = Field(60.0, gt=0, description="Longest silence in seconds.")
    total_timeout: float = Field(300.0, gt=0, description="Seconds for one draft, waiting and trying again included.")
    attempts: int = Field(3, ge=1, le=10, description="Tries where the server is busy (429), failing (5xx) or away.")
    concurrency: int = Field(4, ge=1, le=1024, description="Most requests of this process at once.")
    max_response_bytes: int = Field(
        16_000_000,
        ge=1000,
        description="A longer response is an error. A token with its probabilities takes up to 2,500 bytes.",
    )
    proxy: SecretStr | None = Field(None, description="URL of a proxy to go through; the environment's are not used.")
    ca_file: Path | None = Field(None, description="Certificates (PEM) to trust in place of the public ones.")


class MemoSettings(SettingsGroup):
    """What a language model said, kept on disk: for measurements that are repeated. A server refuses to keep any."""

    folder: Path | None = Field(
        None, description="Folder that keeps the model's texts, which may tell of patients; none are kept unless given."
    )
    misses: Literal["ask", "collect"] = Field(
        "ask",
        description="What the memo lacks is asked of the model, or collected for `rag models write`, which writes in "
        "batches; answers of a run that collects are to be thrown away.",
    )
    most: int = Field(200_000, ge=1, description="Most texts kept; of more, those kept first are dropped.")


class GenerationSettings(SettingsGroup):
    """Who writes the draft. Whoever does, every sentence is verified afterwards."""

    kind: str = Field(
        "reader",
        description="'reader' (no language model), 'transformers' (a model on this machine), 'openai' (a server), "
        "'by-question' (the reader for studies, 'writer' for the rest), or a generator that plugs in, by name or "
        "dotted path.",
    )
    writer: str = Field("transformers", description="The language model of 'by-question': 'transformers' or another.")
    written: Literal["all", "explanations"] = Field(
        "all",
        description="What the writer of 'by-question' answers: 'explanations' leaves it no list or fact, and no yes or "
        "no of literature that the rules can tell.",
    )
    prompt: str = Field(
        "cite",
        description="A template of knowledge/prompts ('cite', or 'compare': reports are references to compare with, "
        "never the diagnosis), or a path that ends in .jinja.",
    )
    max_new_tokens: int = Field(512, ge=1, le=32_768, description="Longest draft in tokens.")
    temperature: float = Field(0.0, ge=0, le=2, description="0 always takes the likeliest token, so answers repeat.")
    seed: int = Field(0, ge=0, description="Of the draws at temperatures above 0.")
    revisions: int = Field(1, ge=0, le=3, description="How often a failed draft is sent back with the objections.")
    images: int = Field(
        1, ge=0, le=16, description="Most images shown: the question's first, then those of the evidence; 0 for none."
    )
    evidence_images: bool = Field(
        True, description="Show images of the evidence, too; false for models that were taught the question's alone."
    )
    image_questions: Literal["evidence", "image"] = Field(
        "evidence",
        description="Whether the model answers yes/no questions about an image beside the texts of similar cases, or "
        "from the image alone; the latter for models that repeat what lies beside the image.",
    )
    passages: int | None = Field(
        None, ge=1, description="Passages that the model is shown at most, the first ones; none for all selected."
    )
    passage_words: int | None = Field(
        None, ge=20, description="Words of a passage that the model is shown at most; none for all of them."
    )
    article_passages: int | None = Field(
        None, ge=1, description="Passages of one article shown at most, the last ones: results follow the reasons."
    )
    when_maybe: Literal["refuse", "lean"] = Field(
        "refuse", description="Where the model says maybe: no answer, or the side that it leans to, told as such."
    )
    similar_cases: float = Field(
        0.0,
        ge=0,
        le=10,
        description="With image_questions = 'image': how much the vote of similar cases counts beside the model's own "
        "opinion, both as log-odds. 0: not at all, they are only quoted.",
    )
    image_side: int = Field(1024, ge=64, le=8192, description="Longer sides are scaled down to this many pixels.")
    witness: str | None = Field(
        None,
        description="A profile whose model is asked yes/no questions about a study, apart from whoever writes: "
        "agreement makes the answer surer, disagreement less sure. 'compact-lvlm' needs the extra lvlm.",
    )
    transformers: TransformersSettings = Field(default_factory=lambda: TransformersSettings.model_validate({}))
    openai: OpenAISettings = Field(default_factory=lambda: OpenAISettings.model_validate({}))
    memo: MemoSettings = Field(default_factory=lambda: MemoSettings.model_validate({}))

    @property
    def language_model(self) -> str:
        """The kind of who may write in words of their own; the reader's, where nobody does."""
        return self.writer if self.kind == "by-question" else self.kind


class VerificationSettings(SettingsGroup):
    """Who decides whether evidence says what a sentence says; of the rules findings, numbers and words come first."""

    kind: str = Field(
        "rules", description="'rules', with the second opinions below, or a verifier that plugs in, by name or path."
    )
    cross_encoder: str | None = Field(
        None,
        description="A sentence-transformers cross-encoder for natural language inference, by folder or hub id; it "
        "decides where findings and words do not.",
    )
    paraphrase: bool = Field(False, description="Let other words of like meaning (by the text encoder) support, too.")


class AnsweringSettings(SettingsGroup):
    """When an answer is good enough to give."""

    min_confidence: float = Field(0.5, ge=0, le=1, description="Answers less certain than this are withheld.")
    max_question_chars: int = Field(10_000, ge=1, description="Longer questions are refused.")
    when_uncertified: Literal["flag", "abstain"] = Field(
        "flag", description="What to do with an answer that no valid certificate covers: say so, or withhold it."
    )
    when_out_of_domain: Literal["flag", "abstain"] = Field(
        "abstain",
        description="What to do with an open question whose image is unlike those of every domain: say so, or withhold "
        "the answer. A yes/no question about such an image is never answered.",
    )
    when_retracted: Literal["leave out", "cite"] = Field(
        "leave out",
        description="What to do with retracted articles: answer without them (a search still finds them), or cite "
        "them, marked [Retracted].",
    )
    max_sentences: int = Field(6, ge=1, le=50, description="Most sentences in an open answer.")
