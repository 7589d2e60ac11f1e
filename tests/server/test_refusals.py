"""Bad input: the right status, one sentence, nothing leaked, nothing left behind."""

from __future__ import annotations

import base64
import io
import socket
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from .conftest import QUESTION, Served, running

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.fixture(scope="module")
def small(copy_index: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with narrow bounds and one folder to ingest from."""

    folder = tmp_path_factory.mktemp("bounded")
    copy_index(folder / "small")
    roots = folder / "allowed"
    roots.mkdir()
    bounds = {
        "max_body_mib": 2,
        "max_image_mib": 1,
        "max_image_megapixels": 1,
        "max_upload_mib": 4,
        "max_upload_files": 20,
    }
    with running(folder, ingest_roots=(str(roots),), max_batch_questions=2, **bounds) as one:
        yield one


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"question": QUESTION, "colour": "red"}, 422, "colour"),
        ({"questoin": QUESTION}, 422, "question"),
        ({"question": ""}, 422, "question"),
        ({"question": "   "}, 422, "empty"),
        ({"question": "x" * 20_000}, 422, "characters"),
        ({"question": QUESTION, "index": "other"}, 404, "other"),
        ({"question": QUESTION, "index": "../small"}, 422, "index"),
        ({"question": QUESTION, "study": "CXR999999"}, 422, "no study"),
        ({"question": QUESTION, "domain": "astrology"}, 422, "astrology"),
        ({"question": QUESTION, "image": "not base64!"}, 422, "base64"),
        ({"question": QUESTION, "image": "https://example.org/x.png"}, 422, "not fetched"),
        ({"question": QUESTION, "image": "file:///etc/passwd"}, 422, "not fetched"),
        ({"question": QUESTION, "image": base64.b64encode(SVG).decode()}, 422, "not a PNG"),
        ({"question": QUESTION, "image": "data:image/svg+xml;base64," + base64.b64encode(SVG).decode()}, 422, "PNG"),
        ({"question": QUESTION, "image": base64.b64encode(png(40_000, 40_000)).decode()}, 413, "pixels"),
        ({"question": QUESTION, "image": base64.b64encode(png(2_000, 1_000)).decode()}, 422, "image"),
        ({"question": QUESTION, "image": "A" * 1_500_000}, 413, "larger than 1 MiB"),
        ([QUESTION], 422, ""),
    ],
)
def test_questions_that_cannot_be_asked(
    small: Served, refused: Any, temporary: Path, body: Any, status: int, word: str
) -> None:
    refused(small.client.post("/v1/answers", json=body), status, word)
    assert not list(temporary.iterdir())


def test_bodies_of_the_wrong_kind(small: Served, refused: Any) -> None:
    post = small.client.post
    for content, kind, status in [
        (b"question=x", "application/x-www-form-urlencoded", 415),
        (b"<q/>", "application/xml", 415),
        (b"{}", "text/plain", 415),
        (b"{not json", "application/json", 400),
        (b'{"question": NaN}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"", "application/json", 400),
        (b"x", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=b", 400),
    ]:
        refused(post("/v1/answers", content=content, headers={"content-type": kind}), status)
    for path in ("/v1/search", "/v1/batch", "/v1/indexes/small/rollback", "/v1/chat/completions"):
        refused(post(path, content=b"{}", headers={"content-type": "text/plain"}), 415)
    refused(small.client.get("/v1/nothing"), 404)
    refused(small.client.delete("/v1/answers"), 405)
    refused(post("/v1/batch", json={"questions": [{"question": "x"}] * 3}), 422, "at most 2")


def test_a_huge_body_is_refused_before_it_is_read(small: Served, refused: Any) -> None:
    refused(small.client.post("/v1/answers", json={"question": "x", "image": "A" * (3 << 20)}), 413, "2 MiB")

    def endless() -> Iterator[bytes]:
        yield b'{"question": "'
        for _ in range(8):
            yield b"x" * (1 << 20)

    headers = {"content-type": "application/json"}
    refused(small.client.post("/v1/answers", content=endless(), headers=headers), 413, "2 MiB")


def test_half_a_multipart(small: Served, refused: Any) -> None:
    whole = (
        b'--b\r\nContent-Disposition: form-data; name="question"\r\n\r\nWhat is drusen?\r\n'
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.png"\r\n\r\nabc'
    )
    headers = {"content-type": "multipart/form-data; boundary=b"}
    refused(small.client.post("/v1/answers", content=whole, headers=headers), 400, "closing boundary")
    address = urlsplit(small.url)
    before = small.metric("clincite_answers_total", index="small", decision="answered")
    with socket.create_connection((address.hostname, address.port)) as connection:  # and one that is cut off
        connection.sendall(
            b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Content-Length: 5000\r\n\r\n" + whole
        )
    assert small.client.get("/healthz").status_code == 200
    assert small.metric("clincite_answers_total", index="small", decision="answered") == before


def test_a_client_that_stops_speaking(copied: Path) -> None:
    """In the head of a request, in its body, or in the head of a second one; a slow one that goes on is served."""
    head = b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    body = b'{"question": "What is drusen?"}'
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    alive = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with running(copied, silence_s=1.0) as one:
        address = urlsplit(one.url)

        def replies(*parts: bytes, pause: float) -> bytes:
            """All that is answered until the server hangs up."""
            with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
                for part in parts:
                    connection.sendall(part)
                    time.sleep(pause)
                return b"".join(iter(lambda: connection.recv(65536), b""))

        assert replies(b"POST /v1/ans", pause=0) == b""
        assert replies(pause=0) == b""
        assert replies(head + b"Content-Length: 5000\r\n\r\n{", pause=0).startswith(b"HTTP/1.1 408")
        form = head.replace(b"application/json", b"multipart/form-data; boundary=b")
        assert replies(form + b"Content-Length: 5000\r\n\r\n--b\r\n", pause=0).startswith(b"HTTP/1.1 408")
        answered = replies(alive, b"GET /hea", pause=0.3)
        assert answered.startswith(b"HTTP/1.1 200") and answered.count(b"HTTP/1.1") == 1
        cut = [whole[: len(whole) - 20], *(whole[n : n + 5] for n in range(len(whole) - 20, len(whole), 5))]
        closing = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert replies(*cut, closing, pause=0.4).count(b"HTTP/1.1 200") == 2


def test_forms_with_what_does_not_belong(small: Served, refused: Any) -> None:
    post = small.client.post
    refused(post("/v1/answers", files={"picture": b"x"}, data={"question": "x"}), 422, "picture")
    refused(post("/v1/answers", files={"image": SVG}, data={"question": QUESTION}), 422, "not a PNG")
    refused(post("/v1/answers", files={"image": b"x" * (1 << 20) + b"x"}, data={"question": QUESTION}), 413, "1 MiB")
    refused(post("/v1/answers", files=[("image", b"x"), ("image", b"y")], data={"question": QUESTION}), 413)


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def bomb() -> bytes:
    """5 kB that unpack to 5 MiB, and say of themselves that they hold 10 bytes."""
    content = bytearray(zipped(**{"a.txt": b"0" * (5 << 20)}))
    at = content.index(b"PK\1\2") + 24
    content[at : at + 4] = struct.pack("<I", 10)
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "status", "word"),
    [
        ("../../evil.txt", b"x", 422, "name"),
        ("/etc/evil.txt", b"x", 422, "name"),
        ("a.zip", zipped(**{"../../evil.txt": b"x"}), 422, "name"),
        ("a.zip", zipped(**{"/etc/evil.txt": b"x"}), 422, "name"),
        ("a.zip", zipped(**{"C:\\evil.txt": b"x"}), 422, "name"),
        ("a.zip", zipped(**{"a.txt": b"0" * (5 << 20)}), 413, "4 MiB"),
        ("a.zip", zipped(**{f"{n}.txt": b"0" for n in range(30)}), 413, "20 files"),
        ("a.zip", bomb(), 422, "damaged"),
        ("a.zip", b"PK not really", 422, "damaged"),
    ],
)
def test_uploads_that_are_traps(small: Served, refused: Any, name: str, content: bytes, status: int, word: str) -> None:
    response = small.client.post("/v1/indexes/small/ingest", files={"file": (name, content)})
    refused(response, status, word)
    assert not [p for p in small.folder.rglob("*") if "evil" in p.name]
    assert not list((small.folder / "small" / "uploads").glob("*"))
    assert not small.client.get("/v1/jobs").json()["jobs"]


def test_an_archive_with_links(small: Served, refused: Any) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    response = small.client.post("/v1/indexes/small/ingest", files={"file": ("a.zip", out.getvalue())})
    refused(response, 422, "links")


def test_paths_that_lead_out_of_the_allowed_folder(small: Served, refused: Any, tmp_path: Path) -> None:
    allowed = small.folder / "allowed"
    (tmp_path / "secret.txt").write_text("secret")
    (allowed / "way-out").symlink_to(tmp_path)
    nested = allowed / "nested"
    nested.mkdir(exist_ok=True)
    (nested / "link.txt").symlink_to(tmp_path / "secret.txt")
    post = small.client.post
    for path in ("../small", "/etc", "way-out", "way-out/secret.txt", "nested", "a\0b", str(tmp_path)):
        refused(post("/v1/indexes/small/ingest", json={"path": path}), 403, "path")
    refused(post("/v1/indexes/small/ingest", json={"path": "missing"}), 404, "path")
    refused(post("/v1/indexes/small/ingest", json={"path": "x", "packaged": "notes"}), 422)
    refused(post("/v1/indexes/small/ingest", json={}), 422)
    refused(post("/v1/indexes/other/ingest", json={"packaged": "notes"}), 404)


def test_recorded_answers_are_found_by_id_alone(small: Served, refused: Any) -> None:
    for identity in ("a-20260101-22222222", "..", "%2e%2e%2fetc", "' OR 1=1 --"):
        assert small.client.get(f"/v1/answers/{identity}").status_code == 404
    refused(small.client.get("/v1/jobs/j-1"), 404)
    refused(small.client.post("/v1/jobs/j-1/resume"), 404)


def test_other_sites_get_nothing(small: Served, refused: Any) -> None:
    post = small.client.post
    for host in ("evil.example", "127.0.0.1@evil.example", "[", "", "evil.example:80"):
        refused(small.client.get("/v1/indexes", headers={"host": host}), 421)
    foreign = {"origin": "https://evil.example"}
    refused(post("/v1/answers", data={"question": "x"}, files={"image": b"x"}, headers=foreign), 403)
    preflight = small.client.options("/v1/answers", headers=foreign | {"access-control-request-method": "POST"})
    assert "access-control-allow-origin" not in preflight.headers
    own = post("/v1/answers", json={"question": QUESTION}, headers={"origin": small.url})
    assert own.status_code == 200


def test_an_origin_that_was_allowed(copied: Path) -> None:
    with running(copied, cors_origins=("https://ward.example",)) as one:
        headers = {"origin": "https://ward.example"}
        answer = one.client.post("/v1/answers", json={"question": QUESTION}, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "https://ward.example"
        other = one.client.post("/v1/answers", json={"question": QUESTION}, headers={"origin": "https://x.example"})
        assert other.status_code == 403
        assert "access-control-allow-origin" not in other.headers


def test_an_image_of_many_real_pixels(small: Served, refused: Any) -> None:
    out = io.BytesIO()
    Image.new("RGB", (2_000, 1_000)).save(out, "PNG")
    response: httpx.Response = small.client.post(
        "/v1/answers", data={"question": QUESTION}, files={"image": out.getvalue()}
    )
    refused(response, 413, "1 million pixels")
