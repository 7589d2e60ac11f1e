"""How answers are served, and to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from rag.settings.group import SettingsGroup


class OidcSettings(SettingsGroup):
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


class ServingSettings(SettingsGroup):
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
