"""Hashes of weights are remembered, and whatever changes a file makes it read again."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from rag.encoders import hashes

SIZE = 2 << 20


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A large file that has not changed for a while, and a cache folder of its own."""
    monkeypatch.setattr(hashes, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(hashes.time, "time_ns", lambda: time.clock_gettime_ns(time.CLOCK_REALTIME) + 10**10)
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\x01" * SIZE)
    return path


def test_what_is_remembered_is_the_hash_and_is_not_read_again(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert hashes.file_sha256(weights) == true
    monkeypatch.setattr(hashes.hashlib, "file_digest", lambda *_: pytest.fail("it was read"))
    assert hashes.file_sha256(weights) == true


def test_whatever_changes_a_file_has_it_read_again(weights: Path) -> None:
    before = hashes.file_sha256(weights)
    times = weights.stat()
    with weights.open("r+b") as file:
        file.write(b"\x02")
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, same inode, and its date set back
    assert hashes.file_sha256(weights) == hashlib.sha256(weights.read_bytes()).hexdigest() != before


def test_the_doctor_has_it_read_again(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes.file_sha256(weights)
    monkeypatch.setattr(hashes.hashlib, "file_digest", lambda *_: hashlib.sha256(b"what the disk has made of it"))
    changed = hashlib.sha256(b"what the disk has made of it").hexdigest()
    assert hashes.file_sha256(weights) != changed
    hashes.forget()
    assert hashes.file_sha256(weights) == changed


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b"\xff", b'{"PATH": 3}', b'{"PATH": {"state": "STATE", "sha256": 5}}']
)
def test_a_damaged_memory_is_none(weights: Path, tmp_path: Path, damage: bytes) -> None:
    true = hashes.file_sha256(weights)
    (tmp_path / "cache" / "clincite" / "weights.json").write_bytes(damage.replace(b"PATH", str(weights).encode()))
    assert hashes.file_sha256(weights) == true


def test_a_folder_that_cannot_be_written_is_no_error(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert hashes.file_sha256(weights) == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_a_file_that_has_just_changed_is_not_trusted(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes.time, "time_ns", lambda: weights.stat().st_ctime_ns + 1)
    hashes.file_sha256(weights)
    assert not (tmp_path / "cache").exists()
