"""What listens, and who is let in: loopback unless told otherwise, an API key, TLS."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import grpc_calls
from fastpre.serve.protocol.schema import message
from fastpre.serve.server import Listen
from faulty import GOOD
from server_process import ServerProcess, post

KEY = "k3y-of-a-test"


def certificate(folder: Path) -> tuple[Path, Path]:
    """Files of a self-signed certificate for localhost, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def guarded(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a key and TLS."""
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text(KEY + "\n")
    options = ("--api-key-file", str(key), "--tls-cert", str(files[0]), "--tls-key", str(files[1]))
    options += ("--no-shared-memory",)
    with ServerProcess("python:faulty:model", *options) as found:
        yield found


def test_nothing_listens_but_what_was_asked_for(running: ServerProcess, guarded: ServerProcess) -> None:
    for server in (running, guarded):
        assert server.listens() == {("127.0.0.1", server.port), ("127.0.0.1", server.grpc_port)}


def test_a_port_that_is_taken_is_said_in_one_line(running: ServerProcess) -> None:
    options = ["--port", "0", "--grpc-port", f"{running.grpc_port}"]
    command = [sys.executable, "-m", "fastpre", "serve", "--model", "builtin:tiny", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "cannot listen" in ended.stderr.splitlines()[-1]
    assert f"{running.grpc_port}" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


HEALTH = ("/v2/health/live", "/v2/health/ready")
CLOSED = (
    "/v1/live",
    "/v2",
    "/v2/models",
    "/v2/models/faulty",
    "/v2/models/faulty/ready",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/no",
)


def test_a_key_is_needed_but_for_health(guarded: ServerProcess) -> None:
    client = guarded.client
    for path in HEALTH:
        assert client.get(path).status_code == 200
    for path in CLOSED:
        response = client.get(path)
        assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    for path in ("/v2/health/live/", "/v2/health/../models", "//v2/health/live", "/v2/health/live%2f..%2fmodels"):
        assert client.get(path).status_code in (401, 404)
    assert guarded.predict(GOOD).status_code == 401
    assert guarded.infer([GOOD]).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}, {"X-API-Key": KEY}],
)
def test_a_key_that_is_right(guarded: ServerProcess, headers: dict[str, str]) -> None:
    assert guarded.client.post("/v1/predict", content=GOOD, headers=headers).status_code == 200
    for path in CLOSED[:-1]:
        assert guarded.client.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": "Bearer"},
        {"X-API-Key": ""},
        {"X-API-Key": "\u00e9"},
        {"X-API-Key": KEY.upper()},
    ],
)
def test_a_key_that_is_wrong(guarded: ServerProcess, headers: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    assert guarded.client.post("/v1/predict", content=GOOD, headers=raw).status_code == 401


def test_a_body_without_a_key_is_not_read(guarded: ServerProcess) -> None:
    response = guarded.client.post("/v1/predict", content=bytes(30_000_000))
    assert response.status_code == 401


def test_calls_need_it_too(guarded: ServerProcess, files: tuple[Path, Path]) -> None:
    with grpc_calls.channel(guarded.grpc_port, root_certificates=files[0].read_bytes()) as channel:
        raw = grpc_calls.request([GOOD])
        for metadata in ((), (("x-api-key", "wrong"),), (("authorization", KEY),)):
            with pytest.raises(grpc.RpcError) as caught:
                grpc_calls.infer(channel, raw, metadata=metadata)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        for metadata in ((("x-api-key", KEY),), (("authorization", f"Bearer {KEY}"),)):
            assert grpc_calls.infer(channel, raw, metadata=metadata).model_name == "faulty"
        live = channel.unary_unary(f"{grpc_calls.SERVICE}/ServerLive")(b"")
        assert message("inference.ServerLiveResponse").FromString(live).live
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"{grpc_calls.SERVICE}/ServerMetadata")(b"")
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_shared_memory_is_not_for_all_the_world(guarded: ServerProcess, files: tuple[Path, Path]) -> None:
    for host, shares in (("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("192.0.2.1", False)):
        assert Listen().shares_memory(host) is shares
        assert Listen(shared_memory=True).shares_memory(host)
    path, region = "/v2/systemsharedmemory/region/r/register", {"key": "key", "byte_size": 1}
    response = guarded.client.post(path, json=region, headers={"X-API-Key": KEY})
    assert (response.status_code, response.json()["error"]) == (400, "this server takes no shared memory")
    with grpc_calls.channel(guarded.grpc_port, root_certificates=files[0].read_bytes()) as channel:
        raw = message("inference.SystemSharedMemoryRegisterRequest")(name="r", **region).SerializeToString()
        register = channel.unary_unary(f"{grpc_calls.SERVICE}/SystemSharedMemoryRegister")
        with pytest.raises(grpc.RpcError) as caught:
            register(raw, metadata=(("x-api-key", KEY),))
        assert caught.value.details() == "this server takes no shared memory"


def test_tls_is_spoken_and_nothing_else(guarded: ServerProcess, files: tuple[Path, Path]) -> None:
    assert guarded.scheme == "https"
    with httpx.Client(verify=str(files[0]), trust_env=False) as client:
        response = client.get(f"https://localhost:{guarded.port}/v2/health/live")
        assert response.status_code == 200
    with guarded.connect() as connection:
        connection.sendall(post("/v1/predict", GOOD))
        connection.settimeout(10)
        assert b"200" not in connection.recv(1000)
    with grpc_calls.channel(guarded.grpc_port) as plain, pytest.raises(grpc.RpcError) as caught:
        grpc_calls.infer(plain, grpc_calls.request([GOOD]))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
