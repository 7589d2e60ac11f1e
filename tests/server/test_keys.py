"""Who may do what: keys with scopes and ends, tokens of an identity provider, and no way in without."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from rag.errors import InputError
from rag.server.access.keys import KeyFile
from rag.server.access.oidc import Provider
from rag.server.run import check_address
from rag.settings import OidcSettings, ServingSettings

from .conftest import QUESTION, Served, running

ISSUER, AUDIENCE = "https://login.example", "clincite"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> tuple[rsa.RSAPrivateKey, Path]:
    """A provider's private key, and the file of its public ones."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())) | {"kid": "one", "alg": "RS256"}
    path = tmp_path_factory.mktemp("oidc") / "jwks.json"
    path.write_text(json.dumps({"keys": [public]}))
    return private, path


@pytest.fixture(scope="module")
def locked(
    copy_index: Callable[[Path], None],
    tmp_path_factory: pytest.TempPathFactory,
    provider: tuple[rsa.RSAPrivateKey, Path],
) -> Iterator[tuple[Served, KeyFile]]:
    """A server that asks for keys or tokens."""

    folder = tmp_path_factory.mktemp("locked")
    copy_index(folder / "small")
    keys = KeyFile(folder / "keys.json")
    keys.add("first", ["ask"])
    oidc = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": str(provider[1])}
    with running(folder, keys=str(keys.path), oidc=oidc, requests_per_minute=60) as one:
        yield one, keys


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_without_a_good_key_nothing_is_told(locked: tuple[Served, KeyFile], refused: Any) -> None:
    one, keys = locked
    post = one.client.post
    good, _ = keys.add("good", ["ask"])
    asked = {"question": QUESTION}
    response = post("/v1/answers", json=asked)
    refused(response, 401, "Authorization: Bearer")
    assert response.headers["www-authenticate"].startswith("Bearer")
    for wrong in (good[:-1] + ("A" if good[-1] != "A" else "B"), "cck_x", "nonsense", good.upper(), "é" * 40):
        refused(post("/v1/answers", json=asked, headers={"authorization": f"Bearer {wrong}".encode()}), 401)
    refused(post("/v1/answers", json=asked, headers={"authorization": f"Basic {good}"}), 401)
    assert post("/v1/answers", json=asked, headers=bearer(good)).status_code == 200
    for path in ("/v1/indexes", "/v1/models", "/metrics", "/v1/jobs", "/v1/answers/a-1"):
        refused(one.client.get(path), 401)
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert one.client.get(path).status_code == 200


def test_who_may_not_call_is_told_before_a_byte_of_the_body_is_read(locked: tuple[Served, KeyFile]) -> None:
    """A real socket sends the head of a request alone; the server would wait 30 seconds for the body."""
    one, keys = locked
    nobody = keys.add("may only see the audit", ["audit"])[0]
    address = urlsplit(one.url)

    def first_line(method: str, path: str, key: str, kind: str) -> bytes:
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(
                f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
                f"Content-Type: {kind}\r\nContent-Length: 1000\r\n\r\n".encode()
            )
            return connection.recv(65536).split(b"\r\n")[0]

    operations = [
        (method.upper(), path.replace("{name}", "small").replace("{number}", "1"), operation)
        for path, methods in one.client.get("/openapi.json").json()["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/v1/")
    ]
    bodies = [(m, path, kind) for m, path, o in operations for kind in o.get("requestBody", {}).get("content", ())]
    assert len({path for _, path, _ in bodies}) == 10 and len(bodies) == 14, bodies
    for method, path, kind in bodies:
        assert b" 401 " in first_line(method, path, "cck_wrong", kind), path
    for method, path, _ in operations:
        assert b" 401 " in first_line(method, path, "cck_wrong", "text/plain"), path
    begun = time.monotonic()
    for method, path, kind in bodies:
        assert b" 403 " in first_line(method, path, nobody, kind), path
    assert time.monotonic() - begun < 10, "none of them has waited for the body"


def test_scopes(locked: tuple[Served, KeyFile], refused: Any) -> None:
    one, keys = locked
    get, post = one.client.get, one.client.post
    made = {scope: bearer(keys.add(scope, [scope])[0]) for scope in ("ask", "ingest", "audit", "admin")}
    for path, scope in [
        ("/v1/indexes", "ask"),
        ("/v1/jobs", "ingest"),
        ("/v1/answers", "audit"),
        ("/metrics", "admin"),
    ]:
        for name, headers in made.items():
            response = get(path, headers=headers)
            if name == scope or (path == "/v1/jobs" and name == "admin"):
                assert response.status_code == 200
            else:
                refused(response, 403, scope)
    refused(post("/v1/indexes/small/ingest", json={"packaged": "notes"}, headers=made["ask"]), 403, "ingest")
    refused(post("/v1/indexes/small/rollback", json={"version": 1}, headers=made["ingest"]), 403, "admin")
    refused(post("/v1/indexes/small/compact", headers=made["audit"]), 403, "admin")


def test_an_answer_is_shown_to_its_asker_and_to_auditors(locked: tuple[Served, KeyFile], refused: Any) -> None:
    one, keys = locked
    mine, other = (bearer(keys.add(name, ["ask"])[0]) for name in ("mine", "other"))
    auditor = bearer(keys.add("auditor", ["ask", "audit"])[0])
    answer = one.client.post("/v1/answers", json={"question": QUESTION}, headers=mine).json()
    path = f"/v1/answers/{answer['audit_id']}"
    assert one.client.get(path, headers=mine).json() == answer
    assert one.client.get(path, headers=auditor).json() == answer
    refused(one.client.get(path, headers=other), 404)
    refused(one.client.post(f"{path}/feedback", json={"verdict": "wrong"}, headers=other), 404)
    refused(one.client.get(f"/v1/audit/{answer['audit_id']}", headers=mine), 403, "audit")
    shown = one.client.get(f"/v1/audit/{answer['audit_id']}", headers=auditor).json()
    assert shown["caller"].startswith("key:")
    assert shown["caller"].removeprefix("key:") in {k.id for k in keys.listed() if k.name == "mine"}


def test_keys_end_and_are_revoked_at_once(locked: tuple[Served, KeyFile], refused: Any) -> None:
    one, keys = locked
    short, _ = keys.add("short", ["ask"], days=1e-6)
    time.sleep(1.1)
    refused(one.client.get("/v1/indexes", headers=bearer(short)), 401, "expired")
    lost, record = keys.add("lost", ["ask"])
    assert one.client.get("/v1/indexes", headers=bearer(lost)).status_code == 200
    keys.revoke(record.id)
    refused(one.client.get("/v1/indexes", headers=bearer(lost)), 401, "not known")


def test_a_key_that_asks_too_often_waits(locked: tuple[Served, KeyFile], refused: Any) -> None:
    one, keys = locked
    eager, patient = (bearer(keys.add(name, ["ask"])[0]) for name in ("eager", "patient"))
    response = one.client.get("/v1/models", headers=eager)
    for _ in range(600):  # 60 at once and one more a second: a slow machine takes longer to have asked too often
        if response.status_code != 200:
            break
        response = one.client.get("/v1/models", headers=eager)
    refused(response, 429, "Retry-After")
    assert int(response.headers["retry-after"]) >= 1
    assert one.client.get("/v1/models", headers=patient).status_code == 200


def token(private: Any, kid: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
    whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": "dr-1", "exp": time.time() + 300, "scope": "ask openid", **claims}
    return jwt.encode({k: v for k, v in whole.items() if v is not None}, private, algorithm, {"kid": kid})


def test_tokens_of_the_provider(
    locked: tuple[Served, KeyFile], provider: tuple[rsa.RSAPrivateKey, Path], refused: Any
) -> None:
    one, private = locked[0], provider[0]
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    get = one.client.get
    assert get("/v1/indexes", headers=bearer(token(private))).status_code == 200
    assert get("/v1/indexes", headers=bearer(token(private, scope=["ask"]))).status_code == 200
    refused(get("/v1/answers", headers=bearer(token(private))), 403, "audit")
    for bad in (
        token(private, aud="other"),
        token(private, iss="https://evil.example"),
        token(private, exp=time.time() - 3600),
        token(private, exp=None),
        token(private, sub=None),
        token(private, kid="two"),
        token(stranger),
        token("a shared secret that is long enough to sign with", algorithm="HS256"),
        jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": time.time() + 9}, None, "none", {"kid": "one"}),
        "a.b.c",
    ):
        refused(get("/v1/indexes", headers=bearer(bad)), 401)


def test_tokens_checked_with_keys_that_are_fetched(
    copied: Path, provider: tuple[rsa.RSAPrivateKey, Path], refused: Any
) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(provider[1].parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as jwks:
        threading.Thread(target=jwks.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{jwks.server_port}/jwks.json"
        with running(copied, oidc={"issuer": ISSUER, "audience": AUDIENCE, "jwks": address}) as one:
            assert one.client.get("/v1/indexes", headers=bearer(token(provider[0]))).status_code == 200
            refused(one.client.get("/v1/indexes", headers=bearer(token(provider[0], kid="two"))), 401)
            refused(one.client.get("/v1/indexes", headers=bearer("cck_nothing")), 401)
        jwks.shutdown()
    with pytest.raises(InputError, match="https only"):
        Provider(OidcSettings(issuer=ISSUER, audience=AUDIENCE, jwks="http://localhost.evil.example/jwks.json"))


def test_when_the_keys_are_gone_nobody_is_let_in(copied: Path, tmp_path: Path, refused: Any) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    key, _ = keys.add("x", ["ask"])
    with running(copied, keys=str(keys.path)) as one:
        assert one.client.get("/v1/indexes", headers=bearer(key)).status_code == 200
        keys.path.unlink()
        refused(one.client.get("/v1/indexes", headers=bearer(key)), 503, "keys")


def test_the_file_holds_no_keys_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    whole, record = keys.add("ward", ["ask", "audit"], days=30)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert whole.split("_", 2)[2] not in keys.path.read_text()
    assert keys.find(whole) == record
    for name, scopes, days in [("", ["ask"], None), ("x", ["root"], None), ("x", [], None), ("x", ["ask"], -1)]:
        with pytest.raises(InputError):
            keys.add(name, scopes, days)
    with pytest.raises(InputError, match="rag serve keys list"):
        keys.revoke("nobody")
    keys.path.write_text('{"keys": [{}]}')
    with pytest.raises(InputError, match="not a file of keys"):
        KeyFile(keys.path).listed()


def test_beyond_loopback_only_with_authentication(tmp_path: Path) -> None:
    check_address(ServingSettings(host="0.0.0.0", keys=tmp_path / "keys.json"))
    for host in ("0.0.0.0", "192.168.1.7", "::"):
        with pytest.raises(InputError, match="rag serve keys add"):
            check_address(ServingSettings(host=host))


def test_keys_on_the_command_line(tmp_path: Path) -> None:
    def rag(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from rag.cli import main; main()", "serve", *args]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)

    file = ("--keys", str(tmp_path / "keys.json"), "--json")
    added = json.loads(rag("keys", "add", "--name", "ward-3", "--scope", "ask", "--days", "90", *file).stdout)
    assert added["key"].startswith("cck_")
    assert [k["name"] for k in json.loads(rag("keys", "list", *file).stdout)["keys"]] == ["ward-3"]
    assert json.loads(rag("keys", "revoke", "ward-3", *file).stdout)["revoked"] == [added["id"]]
    refused = rag("--host", "0.0.0.0", "--indexes", str(tmp_path))
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: listening on 0.0.0.0 without authentication is refused")
