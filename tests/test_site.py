"""The documentation site builds, and every link of it leads somewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)  # noqa: S603
    assert done.returncode == 0, done.stderr
    for page, word in (
        ("reference/python", "Engine"),
        ("reference/commands", "rag ingest"),
        ("reference/rest", "/v1/answers"),
        ("guides/add-a-reader", "reader"),
    ):
        assert word in (tmp_path / "site" / page / "index.html").read_text(encoding="utf-8"), page


@pytest.fixture
def container() -> list[str]:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()


def test_the_container_is_nobody_in_particular_and_asks_for_keys(container: list[str]) -> None:
    user = max(n for n, line in enumerate(container) if line.startswith("USER "))
    assert container[user] == "USER clincite"
    assert not [line for line in container[user:] if line.startswith(("RUN", "COPY", "ADD"))]
    assert any(line.startswith("HEALTHCHECK") for line in container)
    assert any(line.startswith("CMD") and "--keys" in line for line in container)
    images = [line.split()[1] for line in container if line.startswith("FROM ")]
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_what_the_container_copies_is_there_and_not_ignored(container: list[str]) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for line in container:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists() and f"!{source}" in ignored, source


def test_the_services_are_closed() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    server = services.pop("clincite")
    assert server["read_only"] and server["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    assert all(service["profiles"] for service in services.values()), "others start only when they are asked for"
    assert all(":" in s["image"] and not s["image"].endswith(":latest") for s in services.values())
